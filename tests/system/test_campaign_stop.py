# SPDX-License-Identifier: Apache-2.0
"""Stopping campaigns under load, fifty times (fifteen in the usual run): the provider's ledger says when the last call began, and that nobody is left out."""

import re
import time
from datetime import datetime

import pytest
from lib.stack import FULL, SECRETS

CAMPAIGNS, ROUNDS = 5, 10 if FULL else 3
CONTACTS = 80  # each has so many left, or more, at each stop
PROMISE_S = 1.0


def at(call):
    return datetime.fromisoformat(call["at"]).timestamp()


def api(stack, method, path, body=None):
    answer = stack.producer.http.request(method, f"/api{path}", json=body, timeout=60, headers={"X-API-Key": SECRETS["ADMIN_API_KEY"]})
    assert answer.status_code < 300, answer.text
    return answer.json()


def stop(stack, its, by_switch):
    """The time at which the answer was here."""
    if by_switch:
        assert api(stack, "POST", "/scheduler/stop", {"campaign": its, "reason": "fire drill"})["changed"]
    else:
        assert api(stack, "POST", f"/campaigns/{its}/stop")["isActive"] is False
    return time.time()


def measured(process):
    """How many stops of lanes a consumer has measured, and those within a second and a half."""
    page = process.http.get("/metrics").text
    found = dict(re.findall(r'carillon_stop_to_last_post_seconds_(count|bucket)\{[^}]*scope="lane"(?:,le="1")?\} (\S+)', page))
    return int(float(found.get("count", 0))), int(float(found.get("bucket", 0)))


@pytest.mark.timeout(600)
def test_the_last_call_begins_within_a_second_of_a_stop_and_a_start_goes_on_with_the_rest(stack):
    stack.sim.script([{"action": {"latency_ms": 20, "call_ms": 200, "outcome": "SALE"}}])
    stack.start("producer", "producer", "consumer", "consumer", "webhook", HTTP_SLOTS=8, KAFKA_SESSION_TIMEOUT_MS=30000)
    phones = {}
    for n in range(CAMPAIGNS):
        its = api(stack, "POST", "/campaigns", {"name": f"Campaign {n}", "account": "vapi", "maxConcurrent": 10, "maxPerRun": 0,
                                                "callsPerSecond": 20, "useLeadWindow": False})["id"]
        phones[its] = []
    whose, late, stops = {}, [], 0

    def made():
        count = dict.fromkeys(phones, 0)
        for phone, calls in stack.ledger()["phones"].items():
            count[whose[phone]] += calls
        return count

    for turn in range(ROUNDS):
        before = made()
        for its, its_phones in phones.items():
            more = [stack.phone() for _ in range(before[its] + 2 * CONTACTS - len(its_phones))]
            whose |= dict.fromkeys(more, its)
            its_phones += more
            api(stack, "POST", f"/campaigns/{its}/contacts", [{"phone": phone} for phone in more])
        stack.wait_until(lambda before=before: all(n >= before[its] + 5 for its, n in made().items()), 30,
                         lambda before=before: f"calls of every campaign: {before}, then {made()}")
        assert all(n <= len(phones[its]) - CONTACTS for its, n in made().items()), "too few are left: no load to stop"
        answered = {its: stop(stack, its, (turn + its) % 2 == 0) for its in phones}
        stops += len(answered)
        time.sleep(PROMISE_S + 0.5)
        quiet = stack.ledger()["total"]
        last = {}
        for call in stack.sim.calls():
            last[whose[call["phone"]]] = at(call)
        late += [last[its] - answered[its] for its in phones]
        state = api(stack, "GET", "/scheduler")
        assert {one["campaign"] for one in state["campaigns"]} == set(phones) and state["campaigns_stopped"] == CAMPAIGNS
        stack.wait_count(0, "follow_ups", "status in ('pending', 'queued', 'dialing')")
        assert stack.ledger()["total"] == quiet, "a call came out of Kafka after the stop"
        for its in phones:
            api(stack, "POST", "/scheduler/start", {"campaign": its})

    late.sort()
    print(f"{stops} stops; the last call began after the answer by (ms): " + " ".join(f"{1000 * s:.0f}" for s in late))
    assert stops == CAMPAIGNS * ROUNDS and late[-1] <= PROMISE_S, "the worst of all"
    stack.wait_until(lambda: sum(made().values()) == len(whose), 90, "the rest")
    stack.wait_count(0, "follow_ups", "status <> 'completed'")
    stack.assert_rung(whose)
    for process in (stack.consumer, stack.process("consumer2")):
        count, within = measured(process)
        assert count == within == stops, "each consumer measures each stop"
