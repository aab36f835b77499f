"""huey on SQLite with fsync: jobs made by 64 threads, then done by one consumer; how many a second, from making to end."""

import json
import sys
import threading
import time
from importlib.metadata import version

from huey import SqliteHuey

PRODUCERS = 64


def main(path, count):
    huey = SqliteHuey(filename=path, fsync=True, timeout=60, results=False)

    @huey.task()
    def nothing(number):
        return None

    begun = time.perf_counter()

    def produce(number):
        for at in range(number, count, PRODUCERS):
            nothing(at)

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(PRODUCERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = time.perf_counter()
    done = 0
    while (task := huey.dequeue()) is not None:
        huey.execute(task)
        done += 1
    ended = time.perf_counter()
    assert done == count, f"{done} of {count} jobs were done"
    print(json.dumps({
        "version": version("huey"), "jobs": count, "jobs_per_s": count / (ended - begun),
        "made_per_s": count / (made - begun), "done_per_s": count / (ended - made),
    }))


main(sys.argv[1], int(sys.argv[2]))
