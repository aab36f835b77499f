"""The difference of tracked rows as SQL in SQLite, in memory: what is new, what changed, what is gone, then kept."""

import json
import sqlite3
import sys
import time

ROUNDS = 5


def once(count):
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE tracked (key TEXT PRIMARY KEY, watch TEXT)")
    base.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, watch TEXT)")
    base.executemany("INSERT INTO tracked VALUES (?, ?)", ((f"[{n}]", f"{n:064}") for n in range(count)))

    def churned():
        for n in range(count):
            key, value = {0: (n, n + 1), 1: (n + count, n)}.get(n % 100, (n, n))
            yield f"[{key}]", f"{value:064}"

    rows = list(churned())
    begun = time.perf_counter()
    base.executemany("INSERT INTO seen VALUES (?, ?)", rows)
    new = base.execute("SELECT key FROM seen WHERE key NOT IN (SELECT key FROM tracked)").fetchall()
    changed = base.execute("SELECT key FROM seen JOIN tracked USING (key) WHERE seen.watch <> tracked.watch").fetchall()
    gone = base.execute("SELECT key FROM tracked WHERE key NOT IN (SELECT key FROM seen)").fetchall()
    base.execute("DELETE FROM tracked WHERE key NOT IN (SELECT key FROM seen)")
    base.execute(
        "INSERT INTO tracked SELECT key, watch FROM seen WHERE true "
        "ON CONFLICT (key) DO UPDATE SET watch = excluded.watch WHERE tracked.watch <> excluded.watch"
    )
    base.commit()
    took = time.perf_counter() - begun
    assert len(new) + len(changed) + len(gone) == 3 * count // 100
    return took


def main(count):
    times = sorted(once(count) for _ in range(ROUNDS))
    print(json.dumps({"sqlite": sqlite3.sqlite_version, "seconds": times[ROUNDS // 2]}))


main(int(sys.argv[1]))
