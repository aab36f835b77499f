"""LiteLLM's in-process budget counter: how often a second it can be raised, and what it makes of tenths."""

import asyncio
import json
import os
import time
from importlib.metadata import version

# Its list of prices is not asked for, and would be fetched with the import.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from litellm.caching.dual_cache import DualCache

SECONDS = 3


async def main():
    cache = DualCache()
    total = 0.0
    for _ in range(10):
        total = await cache.async_increment_cache(key="tenths", value=0.1)
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        for _ in range(100):
            await cache.async_increment_cache(key="spend", value=0.01)
        count += 100
    took = time.perf_counter() - begun
    print(json.dumps({"version": version("litellm"), "increments_per_s": count / took, "ten_times_a_tenth": total}))


asyncio.run(main())
