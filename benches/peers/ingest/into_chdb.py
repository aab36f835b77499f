"""chDB takes logs: MergeTree in the columns of ClickHouse's OpenTelemetry exporter, each part fsynced before the insert
returns. Usage: into_chdb.py BATCHES STORE WARM_S WINDOW_S BATCH_MS; a batch of 0 ms is one insert a request."""
import pyarrow as pa
from chdb import session

import window

# Requests that arrive in each millisecond of a batch at 100,000 logs a second, 512 a request.
REQUESTS_PER_MS = 100_000 / 512 / 1000

TABLE = """CREATE TABLE otel.logs (
  Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)), TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)),
  TraceFlags UInt8, SeverityText LowCardinality(String) CODEC(ZSTD(1)), SeverityNumber UInt8,
  ServiceName LowCardinality(String) CODEC(ZSTD(1)), Body String CODEC(ZSTD(1)),
  ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
  INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
  INDEX idx_body Body TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 8)
ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, toDateTime(Timestamp), Timestamp)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"""


def open_store(folder):
    """A session with the empty table."""
    opened = session.Session(folder)
    opened.query("CREATE DATABASE IF NOT EXISTS otel ENGINE = Atomic")
    opened.query(TABLE)
    return opened


def pieces(batches, requests):
    """Tables of so many requests each."""
    groups = [batches[at:at + requests] for at in range(0, len(batches), requests)]
    return [(sum(batch.num_rows for batch in group), pa.Table.from_batches(group)) for group in groups]


def main():
    batches, folder, warm_s, window_s, batch_ms = window.arguments()
    store = open_store(folder)

    def insert(rows):  # chDB finds the Arrow table by its name here.
        store.query("INSERT INTO otel.logs SELECT * FROM Python(rows)")

    # A sender that waits inserts what came meanwhile; the waiting itself costs no CPU and is added to its times.
    window.measure(pieces(batches, max(1, round(batch_ms * REQUESTS_PER_MS))), insert, warm_s, window_s, batch_ms / 1000)


if __name__ == "__main__":
    main()
