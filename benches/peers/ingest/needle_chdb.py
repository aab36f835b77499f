"""chDB looks traces up while it takes logs at half of its capacity, an insert a request.
Usage: needle_chdb.py BATCHES STORE CAPACITY_S WINDOW_S LOGS_PER_TRACE; prints one JSON object."""
import itertools
import json
import random
import sys
import threading
import time

import chdb
import pyarrow as pa
import pyarrow.ipc

import into_chdb

SEED = 7
PRELOAD_REQUESTS = 20


def insert(store, rows):  # chDB finds the Arrow table by its name here.
    store.query("INSERT INTO otel.logs SELECT * FROM Python(rows)")


def capacity(store, tables, seconds):
    """Requests a second, as fast as one sender goes."""
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        insert(store, tables[done % len(tables)])
        done += 1
    return done / (time.perf_counter() - begun)


def paced(store, tables, per_s, stop, done):
    """Requests at this pace until told to stop."""
    begun = time.perf_counter()
    for number in itertools.count():
        wait = begun + number / per_s - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        if stop.is_set():
            return
        insert(store, tables[number % len(tables)])
        done.append(time.perf_counter())


def lookups(asked, traces, seconds, logs_per_trace):
    """Milliseconds of each lookup, answer fetched whole."""
    times, begun = [], time.perf_counter()
    while time.perf_counter() - begun < seconds:
        trace = random.choice(traces)
        at = time.perf_counter()
        sql = f"SELECT Timestamp, ServiceName, SeverityText, Body FROM otel.logs WHERE TraceId = '{trace}' ORDER BY Timestamp"
        answer = asked.query(sql, "Arrow").bytes()
        times.append((time.perf_counter() - at) * 1e3)
        with pa.ipc.open_file(pa.BufferReader(answer)) as reader:
            found = reader.read_all().num_rows
        # Requests that were sent again bring the same logs again.
        assert found > 0 and found % logs_per_trace == 0, f"trace {trace}: {found} rows"
    return sorted(times)


def main():
    batches_path, folder, capacity_s, window_s, logs_per_trace = sys.argv[1:6]
    random.seed(SEED)
    with pa.ipc.open_stream(batches_path) as stream:
        batches = list(stream)
    store = into_chdb.open_store(folder)
    for _, rows in into_chdb.pieces(batches, PRELOAD_REQUESTS):
        insert(store, rows)
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    traces = [batch.column("TraceId")[at].as_py() for batch in batches for at in range(0, batch.num_rows, 64)]
    per_s = capacity(store, tables, float(capacity_s)) / 2
    stop, done = threading.Event(), []
    writer = threading.Thread(target=paced, args=(store, tables, per_s, stop, done))
    # A connection of its own: one session answers one question at a time.
    asked = chdb.connect(folder)
    writer.start()
    times = lookups(asked, traces, float(window_s), int(logs_per_trace))
    stop.set()
    writer.join()
    at = lambda share: times[min(int(len(times) * share), len(times) - 1)]
    rate = (len(done) - 1) / (done[-1] - done[0]) if len(done) > 1 else 0.0
    print(json.dumps({"p50_ms": at(0.5), "p99_ms": at(0.99), "lookups": len(times), "requests_per_s": rate, "half_capacity": per_s}))


if __name__ == "__main__":
    main()
