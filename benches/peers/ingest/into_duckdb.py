"""DuckDB takes logs: one autocommitted insert a request into a table on disk, synced at each commit by default.
Usage: into_duckdb.py BATCHES STORE WARM_S WINDOW_S BATCH_MS"""
import os

import duckdb
import pyarrow as pa

import window


def main():
    batches, folder, warm_s, window_s, _ = window.arguments()
    os.makedirs(folder)
    connection = duckdb.connect(os.path.join(folder, "logs.db"))
    empty = pa.Table.from_batches(batches[:1]).slice(0, 0)
    connection.register("empty", empty)
    connection.execute("CREATE TABLE logs AS SELECT * FROM empty")

    def insert(rows):
        connection.register("arrived", rows)
        connection.execute("INSERT INTO logs SELECT * FROM arrived")

    pieces = [(batch.num_rows, pa.Table.from_batches([batch])) for batch in batches]
    window.measure(pieces, insert, warm_s, window_s)


if __name__ == "__main__":
    main()
