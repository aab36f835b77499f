"""Writes a table of the running server as one Parquet file with zstd level 3 and row groups of a million rows, so that
the peers have the same rows. Instants lose their zone (they are UTC), which every peer reads alike; dictionaries become
plain text columns, which the Parquet writer encodes as dictionaries of its own. Read an hour at a time, in log order.
Usage: export.py ADDRESS KEY TABLE BEGIN_NS HOURS FILE
"""

import os
import sys
import urllib.request

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 1_000_000
HOUR_NS = 3_600_000_000_000


def plain(table):
    columns, fields = [], []
    for field, column in zip(table.schema, table.columns):
        kind = field.type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_timestamp(kind):
            kind = pa.timestamp(kind.unit)
        columns.append(column.cast(kind))
        fields.append(pa.field(field.name, kind))
    return pa.table(columns, schema=pa.schema(fields))


def slices(address, key, table, begin_ns, hours):
    for hour in range(hours):
        edge = lambda at: f"TIMESTAMP '{str(pa.scalar(at, pa.timestamp('ns')).cast(pa.string()))[:19]}'"
        at = begin_ns + hour * HOUR_NS
        sql = f"SELECT * FROM {table} WHERE time >= {edge(at)} AND time < {edge(at + HOUR_NS)}"
        headers = {"authorization": f"Bearer {key}", "content-type": "text/plain"}
        request = urllib.request.Request(f"http://{address}/sql?format=arrow", sql.encode(), headers)
        with urllib.request.urlopen(request) as reply, pa.ipc.open_stream(reply) as rows:
            found = rows.read_all()
        yield plain(found.sort_by("_seq"))


def main():
    address, key, table, begin_ns, hours, file = sys.argv[1:]
    writer, held, rows = None, [], 0
    for part in slices(address, key, table, int(begin_ns), int(hours)):
        held.append(part)
        rows += part.num_rows
        writer = writer or pq.ParquetWriter(file + ".part", part.schema, compression="zstd", compression_level=3)
        whole = pa.concat_tables(held)
        full = whole.num_rows // GROUP_ROWS * GROUP_ROWS
        if full:
            writer.write_table(whole.slice(0, full), row_group_size=GROUP_ROWS)
        held = [whole.slice(full)]
    writer.write_table(pa.concat_tables(held), row_group_size=GROUP_ROWS)
    writer.close()
    os.rename(file + ".part", file)
    print(rows)


if __name__ == "__main__":
    main()
