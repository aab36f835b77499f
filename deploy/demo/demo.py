#!/usr/bin/env python3
"""The demo: serves a store on a laptop's defaults, sends it real records over its real doors, and asks across them.

Standard library only. The records are those of tests/fixtures; each folder's README says where they come from.
"""

import argparse
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from budget import refuse
from report import CHAPTERS, QUESTIONS, table
from rule import decide

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
COST = FIXTURES / "cost" / "focus_1.0_real_1000.csv"
KUBERNETES = [FIXTURES / "k8s", FIXTURES / "demo" / "pods-default.json"]
EVENTS = [FIXTURES / "ado", FIXTURES / "demo" / "build.failed.json", *sorted((FIXTURES / "demo").glob("deployment-*.json"))]
TELEMETRY = FIXTURES / "demo"
POLICIES = FIXTURES / "policies"
DOCUMENTS = FIXTURES / "demo" / "documents"
START_SECONDS_MAX = 120
INDEX_SECONDS_MAX = 120
SHOWBACK_LINES_MAX = 40


class Server:
    """The server as a child process."""

    def __init__(self, binary, data, listen):
        self.binary, self.data, self.listen = binary, data, listen
        self.log = open(data.parent / "server.log", "wb")
        self.start()
        self.key = (data / "bootstrap.key").read_text().strip()

    def start(self, *more):
        # A model of 135 million parameters phrases worse than the sources do themselves.
        command = [self.binary, "serve", "--data", self.data, "--listen", self.listen, "--chat-model", "none", *more]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.address = self.wait_until_bound()

    def kill(self):
        """As a power cut does: nothing is said to it before."""
        self.process.kill()
        self.process.wait(timeout=120)

    def wait_until_bound(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        address = None
        while time.monotonic() < deadline:
            line = self.process.stdout.readline()
            if not line:
                break
            found = re.search(r"http://[0-9.:\[\]]+", line)
            address = address or (found and found.group(0))
            if address and line.startswith("  shell:"):
                return address
        log = (self.data.parent / "server.log").read_text(errors="replace")
        sys.exit(f"the server did not start\n{log}")

    def post(self, path, body, content_type, headers=None):
        request = urllib.request.Request(self.address + path, data=body, method="POST")
        request.add_header("authorization", f"Bearer {self.key}")
        request.add_header("content-type", content_type)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.read()
        except urllib.error.HTTPError as refused:
            sys.exit(f"POST {path}: {refused.code} {refused.read().decode(errors='replace')}")

    def ask(self, sql):
        answer = json.loads(self.post("/sql", json.dumps({"sql": sql}).encode(), "application/json"))
        columns = [column["name"] for column in answer["schema"]]
        return columns, [[row[name] for name in columns] for row in answer["rows"]]

    def ingest(self, kind, paths, *more):
        """Files go through the command line, which reaches the running server by its control socket."""
        command = [self.binary, "ingest", kind, *paths, "--data", self.data, "--format", "json", *more]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"stellwerk ingest {kind}: exit code {done.returncode}\n{done.stdout}{done.stderr}")

    def answer(self, question):
        return json.loads(self.post("/answer", json.dumps({"question": question}).encode(), "application/json"))

    def wait_for_index(self):
        """The server follows its sources by itself; an answer is only as good as what it has seen."""
        deadline = time.monotonic() + INDEX_SECONDS_MAX
        while time.monotonic() < deadline:
            command = [self.binary, "index", "status", "--json", "--data", self.data]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"stellwerk index status: exit code {done.returncode}\n{done.stdout}{done.stderr}")
            status = json.loads(done.stdout)
            active = status["active"]
            texts = sum(source["documents"] for source in status["sources"])
            if status["waiting_documents"] == 0 and not status["behind"] and not (active and active["missing"]):
                return f"{texts} texts, " + (f"words and vectors by {active['model']}" if active else "full text only: no weights were pulled")
            time.sleep(0.2)
        sys.exit("the index did not become whole")

    def audit(self):
        """Policies over what is stored; exit code 1 says that something is broken, which is what the demo shows."""
        command = [self.binary, "policy", "audit", "--policies", POLICIES, "--data", self.data, "--format", "json"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            sys.exit(f"stellwerk policy audit: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        audit = json.loads(done.stdout)
        return f"{sum(cluster['reviews'] for cluster in audit['clusters'])} evaluations"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=120)
        self.log.close()
        return code


def moved_to_now(body, now_ns, newest_ns):
    """The recording with its times moved so that the newest is now: retention would otherwise delete it some day.

    OTLP's times are 8-byte little-endian numbers; what reads as an instant within a minute of the recording is one.
    """
    moved = bytearray(body)
    at = 0
    while at + 8 <= len(moved):
        value = int.from_bytes(moved[at : at + 8], "little")
        if abs(value - newest_ns) < 60_000_000_000:
            moved[at : at + 8] = (value - newest_ns + now_ns).to_bytes(8, "little")
            at += 8
        else:
            at += 1
    return bytes(moved)


def send_telemetry(server):
    recorded_ns = int((TELEMETRY / "recorded_ns").read_text())
    sent = 0
    for path in sorted(TELEMETRY.glob("*.pb")):
        signal_name = path.name.split("-")[0]
        body = moved_to_now(path.read_bytes(), time.time_ns(), recorded_ns)
        server.post(f"/v1/{signal_name}", body, "application/x-protobuf")
        sent += 1
    return f"{sent} requests"


def send_events(server):
    sent = 0
    for path in sorted(path for place in EVENTS for path in (place.rglob("*.json") if place.is_dir() else [place])):
        server.post("/hooks/ado", path.read_bytes(), "application/json")
        sent += 1
    return f"{sent} events"


def send_objects(server):
    sent = 0
    for path in sorted(path for place in KUBERNETES for path in (place.iterdir() if place.is_dir() else [place])):
        if path.suffix in (".json", ".yaml"):
            kind = "application/json" if path.suffix == ".json" else "application/yaml"
            server.post("/ingest/k8s?cluster=demo", path.read_bytes(), kind)
            sent += 1
    return f"{sent} lists and objects"


def fill(server):
    steps = [
        ("cost", "stellwerk ingest cost", lambda: server.ingest("cost", [COST])),
        ("Kubernetes", "POST /ingest/k8s", lambda: send_objects(server)),
        ("Azure DevOps", "POST /hooks/ado", lambda: send_events(server)),
        ("OpenTelemetry", "POST /v1/traces, /v1/logs, /v1/metrics", lambda: send_telemetry(server)),
        ("policies", "stellwerk policy audit", server.audit),
        ("documents", "stellwerk ingest docs", lambda: server.ingest("docs", [DOCUMENTS])),
        ("index", "follows by itself", server.wait_for_index),
    ]
    for name, door, act in steps:
        begun = time.monotonic()
        said = act()
        print(f"  {name:<14} {door:<40} {said or ''} {time.monotonic() - begun:.1f} s")


def report(server):
    for title, why, sql in CHAPTERS:
        columns, rows = server.ask(sql)
        print(f"\n── {title} " + "─" * max(0, 96 - len(title)))
        print(f"{why}\n")
        print("\n".join("    " + line for line in sql.strip().splitlines()))
        print()
        print(table(columns, rows))
        if not rows:
            sys.exit(f"the chapter “{title}” has no rows: the demo is broken")


def questions(server):
    print("\n── Questions, answered with the places that say it " + "─" * 46)
    print("Every sentence is held against its source before it leaves; without a model the words are the sources' own.")
    for question in QUESTIONS:
        answer = server.answer(question)
        if not answer["answered"] or not answer["citations"]:
            sys.exit(f"“{question}” was not answered: the demo is broken\n{json.dumps(answer, indent=1)}")
        print(f"\n    POST /answer  {question}\n")
        print("\n".join("  " + line for line in answer["text"].splitlines()))
        shown = set()
        for cited in sorted(answer["citations"], key=lambda cited: cited["n"]):
            if cited["n"] not in shown:
                print(f"    [{cited['n']}] {cited['title']}, version {cited['version']}, bytes {cited['start']} to {cited['end']}")
            shown.add(cited["n"])


def showback(server):
    """Ends with what a tenant is shown of its month, as the command line writes it."""
    command = [server.binary, "cost", "showback", "--tenant", "default", "--month", "2024-09", "--data", server.data]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0 or "## In all" not in done.stdout:
        sys.exit(f"stellwerk cost showback: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    title = "A tenant's showback: stellwerk cost showback --tenant default --month 2024-09"
    print(f"\n── {title} " + "─" * max(0, 96 - len(title)))
    lines = done.stdout.splitlines()
    print("\n".join("    " + line for line in lines[:SHOWBACK_LINES_MAX]))
    if len(lines) > SHOWBACK_LINES_MAX:
        print(f"    … {len(lines) - SHOWBACK_LINES_MAX} lines more")


def options():
    parser = argparse.ArgumentParser(prog="deploy/demo/run", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--exit", action="store_true", help="stop after the report")
    parser.add_argument("--data", type=pathlib.Path, help="keep the store in this folder (default: a temporary one)")
    parser.add_argument("--listen", default="127.0.0.1:0", help="address to serve on (default: a free port)")
    return parser.parse_args()


def main():
    chosen = options()
    keep = chosen.data and chosen.data.resolve()
    with tempfile.TemporaryDirectory(prefix="stellwerk-demo-") as temporary:
        folder = keep or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        begun, begun_at = time.monotonic(), time.time()
        server = Server(chosen.binary.resolve(), folder / "data", chosen.listen)
        try:
            print(f"Stellwerk serves on {server.address}, embedded default: Lance on local disk, SQLite, no other process.\n")
            fill(server)
            report(server)
            questions(server)
            showback(server)
            refuse(server, folder, table)
            decide(server, folder, table, begun_at)
            print(f"\n{time.monotonic() - begun:.1f} s from the first start to the last answer, at {server.address}; the key is in {server.data}/bootstrap.key.")
            if keep or not chosen.exit:
                print("Go on from here:\n")
                print(f"  curl -s {server.address}/sql -H \"Authorization: Bearer $(cat {server.data}/bootstrap.key)\" -d 'SELECT count(*) FROM otel_span'")
                print(f"  {chosen.binary} sql --data {server.data}")
            if not chosen.exit:
                print("\nCtrl-C stops it" + ("." if keep else " and removes its folder (--data DIR keeps it)."))
                sys.stdout.flush()
                server.process.wait()
        except KeyboardInterrupt:
            print()
        finally:
            code = server.stop() if server.process.poll() is None else server.process.returncode
        if code != 0:
            sys.exit(f"the server ended with {code}")


if __name__ == "__main__":
    main()
