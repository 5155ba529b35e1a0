# SPDX-License-Identifier: Apache-2.0
"""Every process is killed, put to sleep or lied to at a fail point while it works: nobody is rung twice, nothing is lost.

A test is a seed: it says what strikes where, and at which passing. CARILLON_FAULT_SEEDS=A-B names those to run (tests/run faults).
"""

import os
import time

import pytest
from lib import faults

QUICK = {"JOB_LEASE_S": 5, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 3, "LIST_LAG_S": 1, "QUEUED_LEASE_S": 3, "MAX_CALL_S": 10,
         "MAX_CALL_GRACE_S": 5}
ASLEEP_S = 9  # longer than a lease, a request and Kafka's session
WAVES, LEADS = 4, 12


def seeds():
    first, _, last = (os.environ.get("CARILLON_FAULT_SEEDS") or f"0-{faults.rounds(sleeps=False) - 1}").partition("-")
    return range(int(first), int(last or first) + 1)


def script(stack, leads):
    """Of every twelve calls one is made without a word of it, one is not made and says nothing, one is refused for a while."""
    oddities = {0: {"timeout": {"dialed": True}}, 4: {"timeout": {"dialed": False}}, 8: {"status": 429, "retry_after": "1"}}
    stack.sim.script([
        {"match": {"phone": lead["phone"]}, "times": 1, "action": {"outcome": "SALE", "call_ms": 300} | oddities[n % 12]}
        for n, lead in enumerate(leads) if n % 12 in oddities
    ] + [{"action": {"outcome": {"SALE": 2, "BUSY": 1, "VOICEMAIL": 1}, "call_ms": 300, "latency_ms": 20}}])


def settled(stack):
    return (
        stack.count("follow_ups", "status = 'completed'") == WAVES * LEADS
        and stack.count("calls", "status in ('dialing', 'unknown', 'calling', 'ringing', 'in_progress')") == 0
        and stack.count("calls", "status in ('completed', 'failed') and decided_at is null") == 0
    )


def judge(stack, leads):
    """O1 to O4 of the fault suite; O5 is judged when the processes end."""
    phones = stack.ledger()["phones"]
    assert {lead["phone"]: phones.get(lead["phone"], 0) for lead in leads} == {lead["phone"]: 1 for lead in leads}
    stack.assert_never_twice()
    stack.assert_nothing_lost()
    assert stack.count("calls", "status in ('completed', 'failed')") == WAVES * LEADS
    assert stack.count("calls", "status = 'undetermined'") == 0
    assert stack.count("live") == 0
    # One decision for each call that ended: a redial for who was not reached, with one dial counted.
    assert stack.count("redial_queue") == stack.count("calls", "outcome in ('BUSY', 'VOICEMAIL')")
    assert stack.count("redial_queue", "attempts <> 1") == 0
    assert stack.count("leads", "stage = 'contacted' and raw_payload #>> '{dispatch,status}' is not null") == WAVES * LEADS


def note(seed, victims):
    """A line a strike for tests/run faults, which counts them."""
    if path := os.environ.get("CARILLON_FAULT_REPORT"):
        with open(path, "a") as report:
            for victim in victims:
                if victim.struck:
                    print(seed, victim.process.kind, victim.strike.point, victim.strike.action, file=report)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", seeds())
def test_struck_at_fail_points(stack, seed):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", **QUICK)
    stack.db.execute("update carillon.lanes set active = false where name = 'redial'")
    strikes = faults.chosen(seed)
    victims = [faults.Victim(stack.process(kind), strike, ASLEEP_S) for kind, strike in strikes.items()]
    leads = []
    for victim in victims:
        victim.arm()
    for _ in range(WAVES):
        with stack.db.transaction():
            wave = [stack.lead() for _ in range(LEADS)]
            script(stack, wave)
        leads += wave
        until = time.monotonic() + 1
        while time.monotonic() < until:
            for victim in victims:
                victim.look()
            time.sleep(0.05)

    def done():
        for victim in victims:
            victim.look()
        return settled(stack)

    try:
        stack.wait_until(done, 90, lambda: f"all is over; {stack.rows('select status, gate, count(*) from follow_ups group by 1, 2')}"
                         f" {stack.rows('select status, outcome, count(*) from calls group by 1, 2')}")
        for victim in victims:
            victim.disarm()
        stack.wait_until(lambda: settled(stack) and stack.topics.lag("record") == 0, 30, "nothing is left to be recorded")
        judge(stack, leads)
    except BaseException:
        print(f"again: tests/run faults --seeds {seed}")
        raise
    note(seed, victims)
    missed = [str(victim.strike) for victim in victims if not victim.struck and victim.strike.nth == 1]
    assert not missed, f"never came by {missed}"
