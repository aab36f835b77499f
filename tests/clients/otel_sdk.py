#!/usr/bin/env python3
"""Sends telemetry with the OpenTelemetry SDK and its exporters, and prints as JSON what the server acknowledged.

    otel_sdk.py --endpoint http://127.0.0.1:7480 [--protocol grpc|http] [--key KEY] [--count N]
    otel_sdk.py --record DIR        writes the requests as DIR/{logs,traces,metrics}.{pb,json} instead of sending them

The key comes from STELLWERK_KEY when --key is not given. Each protocol sends everything twice, with gzip and without;
over HTTP also one request a signal in OTLP/JSON, written by hand. Services of one shop run for two tenants: spans with
events, links and exceptions, logs of every severity, and every kind of metric that the SDK makes.
"""

import argparse
import base64
import json
import logging
import os
import pathlib
import sys
import time
import urllib.request

import grpc
from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc_logs
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_traces
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http import _log_exporter as http_logs
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_traces
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

SERVICES = [
    {"service.name": "checkout", "service.version": "4.2.0", "tenant": "retail", "cost_center": "1234"},
    {"service.name": "payment", "service.version": "1.9.3", "tenant": "retail", "cost_center": "5678"},
    {"service.name": "build-agent", "service.version": "0.7.1", "tenant": "platform", "cost_center": "9000"},
]
sent = {"logs": 0, "spans": 0, "metrics": 0, "metric_kinds": {}, "trace_ids": set(), "error_spans": 0, "requests": 0}
failures = []


def count_logs(batch):
    sent["logs"] += len(batch)


def count_spans(batch):
    sent["spans"] += len(batch)
    sent["error_spans"] += sum(span.status.status_code is StatusCode.ERROR for span in batch)
    sent["trace_ids"].update(f"{span.context.trace_id:032x}" for span in batch)


def count_metrics(data):
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points = len(metric.data.data_points)
                kind = type(metric.data).__name__
                sent["metrics"] += points
                sent["metric_kinds"][kind] = sent["metric_kinds"].get(kind, 0) + points


def counted(exporter, count):
    """The exporter as it is, counting what the server acknowledged."""

    class Counted(exporter):
        def export(self, batch, *rest, **named):
            result = super().export(batch, *rest, **named)
            if result.name == "SUCCESS":
                sent["requests"] += 1
                count(batch)
            else:
                failures.append(f"{exporter.__module__}: {result}")
            return result

    return Counted


def exporters(protocol, endpoint, key, zipped):
    """A log, span and metric exporter of one protocol."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if protocol == "grpc":
        address = endpoint.removeprefix("http://")
        common = {"endpoint": address, "insecure": True, "headers": tuple(headers.items()),
                  "compression": grpc.Compression.Gzip if zipped else grpc.Compression.NoCompression}
        return (counted(grpc_logs.OTLPLogExporter, count_logs)(**common),
                counted(grpc_traces.OTLPSpanExporter, count_spans)(**common),
                counted(grpc_metrics.OTLPMetricExporter, count_metrics)(**common))
    common = {"headers": headers, "compression": Compression.Gzip if zipped else Compression.NoCompression}
    return (counted(http_logs.OTLPLogExporter, count_logs)(endpoint=f"{endpoint}/v1/logs", **common),
            counted(http_traces.OTLPSpanExporter, count_spans)(endpoint=f"{endpoint}/v1/traces", **common),
            counted(http_metrics.OTLPMetricExporter, count_metrics)(endpoint=f"{endpoint}/v1/metrics", **common))


def resource_of(service):
    name = service["service.name"]
    return Resource.create({
        **service, "service.namespace": "shop", "deployment.environment.name": "prod", "service.instance.id": f"{name}-0",
        "k8s.cluster.name": "demo", "k8s.namespace.name": "shop", "k8s.pod.name": f"{name}-0", "k8s.container.name": name,
        "k8s.node.name": "node-1", "host.name": "node-1"})


def requests_of(tracer, log, count):
    """`count` traces: a server span with an event, a failing client span with an exception, a linked consumer."""
    for number in range(count):
        with tracer.start_as_current_span("POST /pay", kind=SpanKind.SERVER) as server:
            server.set_attributes({"http.request.method": "POST", "http.route": "/pay", "http.response.status_code": 200,
                                   "items": ["a", "b"], "ratio": 0.5, "first": number == 0})
            server.add_event("cart.loaded", {"cart.items": number})
            with tracer.start_as_current_span("INSERT payment", kind=SpanKind.CLIENT) as client:
                client.set_attributes({"db.system.name": "postgresql", "db.operation.name": "INSERT"})
                if number % 3 == 0:
                    error = TimeoutError("the database did not answer in time")
                    client.record_exception(error)
                    client.set_status(Status(StatusCode.ERROR, str(error)))
                    client.set_attribute("error.type", "TimeoutError")
                    log.error("payment %d failed", number, exc_info=error)
                else:
                    log.info("payment %d done", number)
        with tracer.start_as_current_span("notify", kind=SpanKind.CONSUMER, links=[Link(server.get_span_context(), {"why": "caused by"})]):
            log.warning("receipt %d is late", number)


def measure(meter, count):
    meter.create_observable_gauge("queue.size", [lambda _: [Observation(7, {"queue": "mail"})]], unit="{job}")
    meter.create_observable_counter("cpu.time", [lambda _: [Observation(1.5, {"state": "user"})]], unit="s")
    meter.create_gauge("temperature", unit="Cel").set(21.5)
    requests, running = meter.create_counter("requests", unit="{request}"), meter.create_up_down_counter("running")
    latency, size = meter.create_histogram("latency", unit="s"), meter.create_histogram("size", unit="By")
    for number in range(count):
        requests.add(1, {"http.route": "/pay"})
        running.add(1 if number % 2 else -1)
        latency.record(0.001 * (number + 1), {"http.route": "/pay"})
        size.record(100 * (number + 1))


def run(service, to_logs, to_spans, to_metrics, count):
    """One process of a service, from start to shutdown."""
    resource = resource_of(service)
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(to_spans))
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(to_logs))
    exponential = View(instrument_type=Histogram, instrument_name="size", aggregation=ExponentialBucketHistogramAggregation())
    # Collected once, by the shutdown below.
    reader = PeriodicExportingMetricReader(to_metrics, export_interval_millis=3_600_000)
    meters = MeterProvider(resource=resource, metric_readers=[reader], views=[exponential])
    log = logging.getLogger(service["service.name"])
    log.handlers, log.propagate = [LoggingHandler(logger_provider=logs)], False
    log.setLevel(logging.INFO)
    requests_of(tracing.get_tracer("shop", "1.0"), log, count)
    measure(meters.get_meter("shop", "1.0"), count)
    for provider in (tracing, logs, meters):
        provider.shutdown()


def by_hand(endpoint, key):
    """OTLP/JSON, which the SDK does not write."""
    now, trace_id = str(time.time_ns()), os.urandom(16).hex()
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "by-hand"}}]}
    for path, body in {
        "logs": {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [
            {"timeUnixNano": now, "severityNumber": "SEVERITY_NUMBER_INFO", "body": {"stringValue": "hello"}, "traceId": trace_id}]}]}]},
        "traces": {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [
            {"traceId": trace_id.upper(), "spanId": os.urandom(8).hex(), "name": "by hand", "kind": 1,
             "startTimeUnixNano": now, "endTimeUnixNano": int(now) + 5}]}]}]},
        "metrics": {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": [
            {"name": "by.hand", "gauge": {"dataPoints": [{"timeUnixNano": now, "asInt": "1"}]}}]}]}]},
    }.items():
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        request = urllib.request.Request(f"{endpoint}/v1/{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        if answer != {}:
            failures.append(f"{path} in JSON: {answer}")
        sent["requests"] += 1
        sent["spans" if path == "traces" else path] += 1
    sent["trace_ids"].add(trace_id)
    sent["metric_kinds"]["Gauge"] = sent["metric_kinds"].get("Gauge", 0) + 1


def record(folder):
    """The same telemetry as the bodies of requests, one a signal, in both encodings."""
    kept = {"logs": [], "traces": [], "metrics": []}

    class Keep:
        _preferred_temporality = _preferred_aggregation = None

        def __init__(self, signal, encode):
            self.signal, self.encode = signal, encode

        def export(self, batch, *_, **__):
            kept[self.signal].append(self.encode(batch))

        def shutdown(self, *_, **__):
            pass

        force_flush = shutdown

    for service in SERVICES:
        run(service, Keep("logs", encode_logs), Keep("traces", encode_spans), Keep("metrics", encode_metrics), 3)
    for signal, requests in kept.items():
        whole = requests[0]
        for more in requests[1:]:
            whole.MergeFrom(more)
        if signal == "logs":
            # Where this script lies is nobody's business.
            records = [r for resource in whole.resource_logs for scope in resource.scope_logs for r in scope.log_records]
            for attribute in (a for r in records for a in r.attributes if a.key == "code.file.path"):
                attribute.value.string_value = "shop.py"
        (folder / f"{signal}.pb").write_bytes(whole.SerializeToString(deterministic=True))
        body = with_hex_ids(json_format.MessageToDict(whole, use_integers_for_enums=True))
        (folder / f"{signal}.json").write_text(json.dumps(body, separators=(",", ":")) + "\n")


def with_hex_ids(value):
    """Protobuf's JSON writes ids in base64, OTLP's in hex."""
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = {"traceId", "spanId", "parentSpanId"}
    return {key: base64.b64decode(item).hex() if key in ids else with_hex_ids(item) for key, item in value.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint")
    parser.add_argument("--protocol", choices=["grpc", "http", "both"], default="both")
    parser.add_argument("--key", default=os.environ.get("STELLWERK_KEY"))
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--record", type=pathlib.Path)
    args = parser.parse_args()
    if args.record:
        return record(args.record)
    if not args.endpoint:
        parser.error("--endpoint is needed")
    for protocol in ["grpc", "http"] if args.protocol == "both" else [args.protocol]:
        for zipped in (True, False):
            for service in SERVICES:
                run(service, *exporters(protocol, args.endpoint, args.key, zipped), args.count)
        if protocol == "http":
            by_hand(args.endpoint, args.key)
    print(json.dumps({**sent, "trace_ids": sorted(sent["trace_ids"]), "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
