# SPDX-License-Identifier: Apache-2.0
"""Scenarios of tests/faults/scenarios.tsv: nobody is rung twice, nothing is lost, whatever strikes.

A test is some scenarios that strike at once, and a seed that says what, where and when. tests/run faults says which.
"""

import json
import os
import time

import pytest
from lib import faults, oracles
from lib.proxy import Network, route
from lib.workload import QUICK, Workload

RECOVERED_S = 180
DESCRIPTORS = 72  # some 50 to begin with


def report(names, seed, made, seconds, wrong):
    """A line a run, of which tests/faults/table.py makes the table."""
    if path := os.environ.get("CARILLON_FAULT_REPORT"):
        line = {"seed": seed, "seconds": round(seconds), "wrong": wrong,
                "faults": {name: {"fault": one.text, "struck": one.struck} for name, one in made.items()}}
        with open(path, "a") as file:
            print(json.dumps(line | {"scenarios": "+".join(names)}), file=file)


def start(stack, injected):
    """The producer makes the topics, which the others want. Whoever is struck at once is started again."""
    for kinds in (("producer",), ("consumer", "webhook")):
        group = [process for process in stack.processes if process.kind in kinds]
        for process in group:
            process.start(wait=False)
        assert faults.looking(injected, 60, lambda group=group: all(process.ready() for process in group)), "they get ready"
        if kinds == ("producer",):
            stack.topics.wait_led()


def rest(stack, work, injected):
    """All has come to an end although it was struck, and stays so without."""
    assert faults.looking(injected, RECOVERED_S, work.settled), f"not over after {RECOVERED_S} s: {work.state()}"
    for one in injected:
        one.end()
    for process in stack.processes:
        process.wait_ready(60)
    stack.wait_until(lambda: work.settled() and all(stack.topics.lag(role) == 0 for role in ("record", "dispatch")), 60,
                     lambda: f"nothing is left to be read; {work.state()}")


@pytest.fixture
def network():
    """Goes after the stack, whose processes end through it."""
    made = Network()
    yield made
    made.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("names", "seed"), [pytest.param(names, seed, id=f"{'+'.join(names)}-{seed}") for names, seed in faults.runs()])
def test_holds(network, stack, names, seed):
    rows = [faults.table()[name] for name in names]
    began, made, wrong = time.monotonic(), {}, []
    try:
        oracles.watch(stack)
        environment = route(stack, network) if faults.needs_network(names) else lambda kind: {}
        for kind in faults.PROCESSES:
            stack.add(kind, **QUICK, **environment(kind))
        work = Workload(stack, "poison" if any(row.work == "poison" for row in rows) else "calls")
        made, injected = faults.injections(stack, work, network, names, seed)
        start(stack, injected)
        for one in injected:
            one.begin()
        for _ in range(max(row.seconds for row in rows)):
            work.wave()
            faults.looking(injected, 1)
        rest(stack, work, injected)
        wrong = work.judge() + oracles.judge(stack) + oracles.descriptors_flat(stack, DESCRIPTORS)
        if wrong:
            raise oracles.Broken("\n".join(wrong))
    except BaseException as error:
        wrong = wrong or [f"{type(error).__name__}: {str(error)[:300]}"]
        print(f"again: tests/run faults --scenario {'+'.join(names)} --seeds {seed}")
        raise
    finally:
        report(names, seed, made, time.monotonic() - began, wrong)
