"""One peer as a process that answers questions: chDB, DataFusion or DuckDB over the rows of Parquet files.

The bench asks all engines in turn and judges the answers, so every peer speaks the same protocol: one JSON document a
line on stdin, one answer a line on stdout. Times are taken around the question only, answer fetched whole, as a client
in the same process sees it. Usage: engine.py {chdb|datafusion|duckdb} FOLDER THREADS
"""

import json
import os
import resource
import sys
import time

import pyarrow as pa
import pyarrow.compute as pc

# Rows of an answer that go back to the judge; a longer answer is a mistake of the question.
ROWS_SHOWN = 200_000


def cells(table):
    """The rows of an answer, each cell as text, times in one spelling for every engine."""
    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = pc.cast(column, kind.value_type)
            kind = kind.value_type
        if pa.types.is_timestamp(kind):
            column = pc.cast(column, pa.string())
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            column = pc.cast(column, pa.string())
        columns.append(column.to_pylist())
    return [[text(cell) for cell in row] for row in zip(*columns)][:ROWS_SHOWN]


def text(cell):
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return repr(cell)
    if isinstance(cell, (list, tuple, dict)):
        return json.dumps(cell, default=str)
    return str(cell)


class Duck:
    """DuckDB over native tables in a file of its own."""

    def __init__(self, folder, threads):
        import duckdb

        self.path = os.path.join(folder, "duck.db")
        self.connection = duckdb.connect(self.path)
        self.connection.execute(f"SET threads = {threads}")
        self.connection.execute("SET TimeZone = 'UTC'")

    def table(self, name, files, _options):
        if self.ask(f"SELECT 1 AS one FROM duckdb_tables() WHERE table_name = '{name}'").num_rows == 0:
            self.run(f"CREATE TABLE {name} AS SELECT * FROM read_parquet({files!r})")
            self.run("CHECKPOINT")

    def run(self, sql):
        # An answer that was not fetched to its end keeps the connection busy.
        self.connection.execute(sql).fetchall()

    def ask(self, sql):
        return self.connection.sql(sql).to_arrow_table()


class Fusion:
    """DataFusion over the Parquet file itself, with the default settings but for partitions and the case of names."""

    def __init__(self, _folder, threads):
        from datafusion import SessionConfig, SessionContext

        # ClickBench's columns have capitals; nothing else of the session differs from the defaults.
        config = SessionConfig().with_target_partitions(threads)
        config = config.set("datafusion.sql_parser.enable_ident_normalization", "false")
        self.context = SessionContext(config)

    def table(self, name, files, _options):
        self.context.register_parquet(name, files[0])

    def run(self, sql):
        self.context.sql(sql).collect()

    def ask(self, sql):
        frame = self.context.sql(sql)
        batches = frame.collect()
        # The plan's schema and the batches' differ in what may be null, so it stands in for missing batches only.
        return pa.Table.from_batches(batches) if batches else frame.schema().empty_table()


class House:
    """chDB with MergeTree tables whose declarations come with the question set."""

    def __init__(self, folder, threads):
        from chdb import session

        self.folder = os.path.join(folder, "chdb")
        self.session = session.Session(self.folder)
        self.session.query(f"SET max_threads = {threads}")
        self.session.query("SET output_format_arrow_string_as_string = 1")

    def table(self, name, files, options):
        have = self.ask(f"SELECT count() AS n FROM system.tables WHERE database = 'default' AND name = '{name}'")
        if have.column(0)[0].as_py() == 0:
            self.session.query(options["create"])
            for file in files:
                self.session.query(f"INSERT INTO {name} SELECT * FROM file('{file}', Parquet)")
            self.session.query(f"OPTIMIZE TABLE {name} FINAL")

    def run(self, sql):
        self.session.query(sql)

    def ask(self, sql):
        answer = self.session.query(sql, "Arrow")
        return pa.ipc.open_file(pa.py_buffer(answer.bytes())).read_all()


ENGINES = {"chdb": House, "datafusion": Fusion, "duckdb": Duck}


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def serve(engine, asked):
    cpu, begun = cpu_s(), time.perf_counter()
    answer = {}
    if asked["do"] == "table":
        engine.table(asked["name"], asked["files"], asked.get("options") or {})
    elif asked["do"] == "run":
        engine.run(asked["sql"])
    elif asked["do"] == "ask":
        table = engine.ask(asked["sql"])
        answer["ms"] = (time.perf_counter() - begun) * 1e3
        answer["cpu_s"] = cpu_s() - cpu
        answer["rows"] = cells(table) if asked.get("rows", True) else []
    answer.setdefault("ms", (time.perf_counter() - begun) * 1e3)
    answer.setdefault("cpu_s", cpu_s() - cpu)
    return answer


def main():
    name, folder, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    os.makedirs(folder, exist_ok=True)
    # Libraries print to stdout; the protocol keeps a descriptor of its own.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = ENGINES[name](folder, threads)
    for line in sys.stdin:
        try:
            answer = serve(engine, json.loads(line))
        except BaseException as error:  # Some engines raise panics that are no Exception.
            if isinstance(error, KeyboardInterrupt):
                raise
            answer = {"error": f"{type(error).__name__}: {str(error)[:1000]}"}
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
