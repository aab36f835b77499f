"""The SELECTs of the rules in DuckDB, over the same rows, in memory: what the questions cost where nothing is kept."""

import json
import sys
import time
from importlib.metadata import version

import duckdb

ROUNDS = 3


def main(rows, rules):
    connection = duckdb.connect()
    connection.execute("SET threads TO 2")
    connection.execute(
        f"CREATE TABLE bench_row AS SELECT n, n % {rules} AS team, (n * 7919) % 100003 AS value FROM range({rows}) t(n)"
    )
    times, found = [], 0
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        found = 0
        for team in range(rules):
            sql = f"SELECT n, value FROM bench_row WHERE team = {team} AND value > 99000"
            found += len(connection.execute(sql).fetchall())
        times.append(time.perf_counter() - begun)
    times.sort()
    print(json.dumps({"version": version("duckdb"), "seconds": times[ROUNDS // 2], "rows": found}))


main(int(sys.argv[1]), int(sys.argv[2]))
