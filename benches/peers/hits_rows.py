"""Writes rows of ClickBench's `hits` as Parquet: its 105 columns, with generated values. The real data set is too large
to fetch for a bench, so its shapes are imitated: most pages and users are seen once and few very often, most search
phrases are empty, and the single values that the questions look for are there. Seeded.
Usage: hits_rows.py COLUMNS ROWS FILE
"""

import os
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 43
GROUP_ROWS = 1_000_000
# One month, as in the real data set.
FIRST_SECOND = 1_372_636_800
SECONDS = 31 * 86_400
KINDS = {
    "i16": pa.int16(), "i32": pa.int32(), "i64": pa.int64(), "text": pa.string(), "name": pa.string(),
    "time": pa.timestamp("us"), "date": pa.date32(),
}
WORDS = "weather news cheap flat car moscow berlin film online game photo recipe job phone map bank ticket hotel".split()


class Pools:
    """Distinct values, the same for every row group."""

    def __init__(self, rows):
        dice = np.random.default_rng(SEED)
        pages, users = max(rows // 8, 1000), max(rows // 6, 1000)
        hosts = [f"{WORDS[n % len(WORDS)]}{n}.example" for n in range(3000)]
        hosts[1], hosts[700] = "www.google.com", "maps.google.example"
        host = (dice.random(pages) ** 3 * len(hosts)).astype(int)
        word = dice.integers(0, len(WORDS), (pages, 3))
        self.urls = pa.array([
            f"http://{hosts[h]}/{WORDS[a]}/{WORDS[b]}?{'google' if n % 4001 == 7 else 'id'}={n}&from={WORDS[c]}"
            for n, (h, (a, b, c)) in enumerate(zip(host, word))
        ])
        self.titles = pa.array([""] + [
            f"{WORDS[a].title()} {WORDS[b]} - {'Google' if n % 3001 == 11 else WORDS[c]} {n % 977}"
            for n, (a, b, c) in enumerate(word[: pages // 4])
        ])
        self.referers = pa.array([""] + [
            f"http://{'www.' if n % 2 else ''}{hosts[h]}/{WORDS[n % 18]}/{n}" for n, h in enumerate(host[: pages // 3])
        ])
        phrases = enumerate(word[: pages // 10])
        self.phrases = pa.array([""] + [f"{WORDS[a]} {WORDS[b]} {n}" for n, (a, b, _) in phrases])
        self.url_hashes = dice.integers(-(2**63), 2**63 - 1, pages)
        self.url_hashes[2] = 2868770270353813622
        self.referer_hashes = dice.integers(-(2**63), 2**63 - 1, len(self.referers))
        self.referer_hashes[1] = 3594120000172545465
        self.users = dice.integers(0, 2**63 - 1, users)
        self.users[3] = 435090932899640449
        self.counters = dice.permutation(6000) + 100
        self.counters[10] = 62


def skewed(dice, rows, end, power):
    return (dice.random(rows) ** power * end).astype(np.int64)


def texts(pool, places):
    return pool.take(pa.array(places))


def few(dice, rows, values, power=3):
    return pa.array(values).take(pa.array(skewed(dice, rows, len(values), power)))


def special(pools, dice, rows, at, total):
    """The columns whose values the questions depend on."""
    begin, end = at * SECONDS // total, (at + rows) * SECONDS // total
    seconds = np.sort(dice.integers(begin, max(end, begin + 1), rows))
    moment = (seconds + FIRST_SECOND) * 1_000_000
    page, user = skewed(dice, rows, len(pools.urls), 3), skewed(dice, rows, len(pools.users), 2)
    referer = np.where(dice.random(rows) < 0.2, 0, skewed(dice, rows, len(pools.referers), 3))
    phrase = np.where(dice.random(rows) < 0.87, 0, 1 + skewed(dice, rows, len(pools.phrases) - 1, 2))
    phone = np.where(dice.random(rows) < 0.94, 0, dice.integers(1, 9, rows))
    models = ["", "iPad", "iPhone", "Galaxy S3", "Lumia 920", "Nexus 4", "One X", "Xperia Z", "Desire"]
    width = few(dice, rows, [1366, 1920, 1280, 1024, 1600, 1440, 320, 768, 2560]).to_numpy()
    return {
        "WatchID": dice.integers(0, 2**63 - 1, rows),
        "Title": texts(pools.titles, np.where(dice.random(rows) < 0.15, 0, page % len(pools.titles))),
        "EventTime": pa.array(moment), "LocalEventTime": pa.array(moment),
        "ClientEventTime": pa.array(moment + 3_000_000),
        "EventDate": pa.array(((seconds + FIRST_SECOND) // 86_400).astype(np.int32)),
        "CounterID": pools.counters[skewed(dice, rows, 6000, 4)],
        "ClientIP": dice.integers(-(2**31), 2**31 - 1, len(pools.users))[user],
        "RemoteIP": dice.integers(-(2**31), 2**31 - 1, rows),
        "RegionID": skewed(dice, rows, 5000, 4) + 1, "UserID": pools.users[user],
        "URL": texts(pools.urls, page), "URLHash": pools.url_hashes[page],
        "OriginalURL": texts(pools.urls, np.where(dice.random(rows) < 0.7, page, 0)),
        "Referer": texts(pools.referers, referer), "RefererHash": pools.referer_hashes[referer],
        "SearchPhrase": texts(pools.phrases, phrase), "SearchEngineID": np.where(phrase > 0, 2 + phrase % 5, 0),
        "MobilePhone": phone, "MobilePhoneModel": few_by(models, phone), "IsMobile": (phone > 0).astype(int),
        "AdvEngineID": np.where(dice.random(rows) < 0.994, 0, dice.integers(1, 30, rows)),
        "TraficSourceID": few(dice, rows, [0, -1, 6, 1, 2, 3, 5]).to_numpy(),
        "IsRefresh": (dice.random(rows) < 0.15).astype(int), "DontCountHits": (dice.random(rows) < 0.05).astype(int),
        "IsLink": (dice.random(rows) < 0.05).astype(int), "IsDownload": (dice.random(rows) < 0.01).astype(int),
        "ResolutionWidth": width, "ResolutionHeight": width * 9 // 16,
        "WindowClientWidth": width - skewed(dice, rows, 300, 3),
        "WindowClientHeight": width // 2 - skewed(dice, rows, 200, 2),
    }


def few_by(values, places):
    return pa.array(values).take(pa.array(places))


def filler(dice, rows, name, kind):
    """The columns that no question names: near constant, or small numbers."""
    if kind == "text":
        return few(dice, rows, [""] + [f"{name.lower()}-{n}" for n in range(400)], 12)
    if kind == "name":
        return few(dice, rows, [""] + [f"{name[:3].lower()}{n}" for n in range(30)], 8)
    return skewed(dice, rows, {"i16": 90, "i32": 20_000, "i64": 10**12}[kind], 6)


def main():
    with open(sys.argv[1]) as file:
        columns = [line.split() for line in file if line.strip()]
    total, path = int(sys.argv[2]), sys.argv[3]
    pools = Pools(total)
    schema = pa.schema([(name, KINDS[kind]) for name, kind in columns])
    with pq.ParquetWriter(path + ".part", schema, compression="zstd", compression_level=3) as writer:
        for at in range(0, total, GROUP_ROWS):
            rows, dice = min(GROUP_ROWS, total - at), np.random.default_rng(SEED + at + 1)
            named = special(pools, dice, rows, at, total)
            made = [named[name] if name in named else filler(dice, rows, name, kind) for name, kind in columns]
            arrays = [pa.array(values).cast(KINDS[kind]) for values, (_, kind) in zip(made, columns)]
            writer.write_table(pa.table(arrays, schema=schema), row_group_size=GROUP_ROWS)
    os.rename(path + ".part", path)


if __name__ == "__main__":
    main()
