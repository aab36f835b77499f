"""The demo's rule: ten lines that decide, tried on now and on what was, run, killed in the middle, and explained."""

import hashlib
import hmac
import http.server
import json
import subprocess
import sys
import threading
import time

RULE = """-- ---
-- owner: platform
-- every: 2s
-- key: [namespace, pod, container]
-- new: notify("ops", "{namespace}/{pod}: {container} may take all of its node's memory")
-- resolved: notify("ops", "{namespace}/{pod}: {container} is limited, or gone")
-- why: One container without a memory limit takes its node with it.
-- ---
SELECT namespace, pod, container, image FROM k8s_pod
WHERE memory_limit_bytes IS NULL
"""
SECRET = b"a secret of the demo"
SECONDS_MAX = 60
# The receiver takes this long for a message, so that there is a middle in which the process can be killed.
SECONDS_PER_MESSAGE = 0.15


class Receiver:
    """A web hook on this machine: checks each message's signature, and remembers it by its key."""

    def __init__(self):
        self.messages, self.deliveries, self.turn = {}, 0, threading.Lock()
        outer = self

        class Hook(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                signed = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
                good = hmac.compare_digest(signed, self.headers.get("x-stellwerk-signature-256", ""))
                with outer.turn:
                    time.sleep(SECONDS_PER_MESSAGE)
                    if good:
                        outer.deliveries += 1
                        outer.messages[self.headers["idempotency-key"]] = json.loads(body)
                self.send_response(200 if good else 401)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def wait_for(self, count):
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline and len(self.messages) < count:
            time.sleep(0.01)
        return len(self.messages) >= count


def command(server, *arguments):
    return [server.binary, "rule", *arguments, "--data", server.data]


def shown(server, *arguments, lines_max=14):
    """Prints a command with what it says; the demo is broken where it fails."""
    done = subprocess.run(command(server, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(f"\n    stellwerk rule {' '.join(str(a).rsplit('/rules/', 1)[-1] for a in arguments)}\n")
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode}: the demo is broken\n{done.stdout}{done.stderr}")
    lines = done.stdout.rstrip().splitlines()
    # What counts stands at the end: of a long answer both ends are shown.
    head = lines if len(lines) <= lines_max else [*lines[: lines_max - 3], f"… {len(lines) - lines_max + 1} lines more", *lines[-2:]]
    print("\n".join("  " + line[:150] for line in head))
    return done.stdout


def decide(server, folder, table, begun):
    """A rule from its ten lines to its last message."""
    title = "A rule of ten lines: tried, run, killed in the middle, explained"
    print(f"\n── {title} " + "─" * max(0, 96 - len(title)))
    print("A SELECT decides: rows that are new to it act once. What it would do, and would have done, is shown before.\n")
    print("\n".join("    " + line for line in RULE.strip().splitlines()))
    rules, receiver = folder / "rules", Receiver()
    (rules / "shop").mkdir(parents=True, exist_ok=True)
    path = rules / "shop" / "unlimited.sql"
    path.write_text(RULE)
    (folder / "hook.key").write_bytes(SECRET)
    actions = folder / "actions.yaml"
    actions.write_text(f"channels: {{ops: {{url: '{receiver.url}', secret: 'file:hook.key'}}}}\n")

    shown(server, "check", path)
    preview = shown(server, "preview", path)
    # An answer of a command: the rows that would be new.
    wanted = sum(line.startswith("  new ") for line in preview.splitlines())
    shown(server, "backtest", path, "--from", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun)))
    if wanted < 4 or receiver.messages:
        sys.exit(f"{wanted} rows would be new, {len(receiver.messages)} messages came: the demo is broken")

    print("\n    stellwerk rule run shop/unlimited.sql --actions actions.yaml, and kill -9 of the server after two messages\n")
    running = subprocess.Popen(
        command(server, "run", path, "--actions", actions), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    receiver.wait_for(2)
    server.kill()
    running.wait(timeout=SECONDS_MAX)
    told = len(receiver.messages)
    server.start("--rules", rules, "--actions", actions)
    if not receiver.wait_for(wanted):
        sys.exit(f"{len(receiver.messages)} of {wanted} messages came after the kill: the demo is broken")
    deadline = time.monotonic() + SECONDS_MAX
    while int(server.ask("SELECT count(*) AS n FROM job")[1][0][0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    # Its ticks go by, and nothing is told again.
    time.sleep(4)
    if len(receiver.messages) != wanted:
        sys.exit(f"{len(receiver.messages)} different messages came for {wanted} rows: the demo is broken")
    again = receiver.deliveries - wanted
    print(f"  {told} messages before the kill, {wanted} in the end, one a row, each signed; of the deliveries {again} repeated one that the kill cut off, under its key")
    for message in list(receiver.messages.values())[:3]:
        print(f"    {message['transition']}  {message['text']}")
    one = next(iter(receiver.messages.values()))
    shown(server, "explain", "shop/unlimited", json.dumps(one["key"]))
    sql = "SELECT state, count(*) AS jobs, count(DISTINCT dedupe) AS names, max(attempt) AS attempts_most FROM job_done GROUP BY state"
    print(f"\n    {sql}\n")
    print(table(*server.ask(sql)))
