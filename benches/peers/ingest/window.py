"""How the Python peers are timed: warm up, then count rows, CPU and the time of each insert within a window."""
import itertools
import json
import resource
import sys
import time

import pyarrow.ipc


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def arguments():
    """The batches, the folder of the store, and warm_s, window_s, batch_ms."""
    batches, store, warm_s, window_s, batch_ms = sys.argv[1:6]
    with pyarrow.ipc.open_stream(batches) as stream:
        return list(stream), store, float(warm_s), float(window_s), float(batch_ms)


def measure(pieces, insert, warm_s, window_s, pause_s=0.0):
    """Inserts (rows, piece) in turn. `pause_s` is how long a batching sender collects before each insert: it counts as
    wall time of each row's ack, and the CPU is idle meanwhile."""
    begun = time.perf_counter()
    window, cpu, rows, times = None, 0.0, 0, []
    for count, piece in itertools.cycle(pieces):
        now = time.perf_counter()
        if window is None and now - begun >= warm_s:
            window, cpu = now, cpu_s()
        if window is not None and now - window >= window_s:
            break
        at = time.perf_counter()
        insert(piece)
        took = time.perf_counter() - at
        if window is not None:
            rows += count
            times.append((took + pause_s) * 1e3)
    times.sort()
    at = lambda share: times[min(int(len(times) * share), len(times) - 1)]
    print(json.dumps({
        "rows": rows, "cpu_s": cpu_s() - cpu, "wall_s": time.perf_counter() - window,
        "p50_ms": at(0.5), "p99_ms": at(0.99), "inserts": len(times),
    }))
