"""The demo's end: a budget that refuses the call that would break it, before anything is spent."""

import json
import subprocess
import sys

BUDGETS = """
budgets:
- name: assistants
  tenant: default
  scope: x_app = 'support-bot'
  unit: USD
  limit: "1.00"
  window: month
  zone: Europe/Berlin
  counts: calls
  thresholds: [{on: actual, percent: 80}]
"""
# What three calls may take, and what they took.
CALLS = [("call-1", "0.60", "0.48"), ("call-2", "0.40", "0.39"), ("call-3", "0.25", None)]
STATUS = """
SELECT budget, limit_amount, spent, reserved, remaining, unit, state, charges, refusals FROM budget_status
"""


def budget(server, folder, command, *arguments):
    """`stellwerk budget`; exit code 1 is a refusal."""
    done = subprocess.run(
        [server.binary, "budget", command, *arguments, "--data", server.data], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        sys.exit(f"stellwerk budget {command}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.returncode, done.stdout


def refuse(server, folder, table):
    """Three calls on a budget for two; the third must be refused."""
    title = "A budget that refuses the call that would break it"
    print(f"\n── {title} " + "─" * max(0, 96 - len(title)))
    print("Reserve what a call may take, post what it took. What does not fit is refused before it is spent.\n")
    path = folder / "budgets.yaml"
    path.write_text(BUDGETS)
    budget(server, folder, "apply", path)
    refused = None
    for call, at_most, took in CALLS:
        code, said = budget(server, folder, "reserve", call, "--attribute", "x_app=support-bot", "--amount", f"USD={at_most}")
        answer = json.loads(said)
        if code == 1:
            refused = answer
            print(f"  {call}: at most {at_most} USD → refused: {answer['detail']}; {answer['spent']} of {answer['limit']} spent, anew {answer['resets_at']}")
            continue
        budget(server, folder, "post", call, "--amount", f"USD={took}")
        print(f"  {call}: at most {at_most} USD → allowed, took {took}")
    if not refused or refused["budget"] != "assistants":
        sys.exit("the budget refused nothing: the demo is broken")
    print()
    print("\n".join("    " + line for line in STATUS.strip().splitlines()))
    print()
    print(table(*server.ask(STATUS)))
