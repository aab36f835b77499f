"""procrastinate on PostgreSQL: jobs made by 64 tasks, then done by one worker; how many a second, from making to end."""

import asyncio
import json
import logging
import sys
import time
from importlib.metadata import version

from procrastinate import App, PsycopgConnector

PRODUCERS = 64
AT_ONCE = 20


async def main(url, count):
    logging.disable(logging.CRITICAL)
    app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=PRODUCERS // 4))
    done = 0

    @app.task(name="nothing")
    async def nothing(number):
        nonlocal done
        done += 1

    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        begun = time.perf_counter()

        async def produce(number):
            for at in range(number, count, PRODUCERS):
                await nothing.defer_async(number=at)

        await asyncio.gather(*(produce(number) for number in range(PRODUCERS)))
        made = time.perf_counter()
        await app.run_worker_async(wait=False, concurrency=AT_ONCE, install_signal_handlers=False)
        ended = time.perf_counter()
    assert done == count, f"{done} of {count} jobs were done"
    print(json.dumps({
        "version": version("procrastinate"), "jobs": count, "jobs_per_s": count / (ended - begun),
        "made_per_s": count / (made - begun), "done_per_s": count / (ended - made),
    }))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
