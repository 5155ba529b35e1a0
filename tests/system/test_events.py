# SPDX-License-Identifier: Apache-2.0
"""Whatever way events come in, a call has one outcome and one decision."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
from lib import events


def calling(stack, number, **script):
    """Leads whose Vapi calls are under way and say nothing by themselves, with their calls."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi", REDIAL_ACCOUNT="vapi")
    stack.sim.script([{"action": {"call_ms": 600_000, "webhook": {"lost": True}}}])
    leads = stack.leads(number)
    stack.wait_count(number, "calls", "status = 'calling'")
    calls = {row["lead_id"]: row for row in stack.rows("select * from calls")}
    return leads, [calls[lead["id"]] for lead in leads]


def decided(stack, where="true"):
    return stack.count("calls", f"ended_at is not null and decided_at is not null and {where}")


def test_the_same_end_a_hundred_times_at_once(stack):
    _, (call, other) = calling(stack, 2)
    body = events.vapi_report(call["provider_call_id"], "customer-did-not-answer", phone=call["phone"])
    with httpx.Client(base_url=stack.webhook.url, trust_env=False, timeout=20,
                      limits=httpx.Limits(max_connections=100)) as client:
        with ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(lambda _: events.post_vapi(stack.webhook, body, client).status_code, range(100)))
    assert answers == [202] * 100
    # Behind them in the same partition: when it is applied, all of the hundred are.
    after = events.vapi_status(call["provider_call_id"], "ringing", phone=call["phone"])
    assert events.post_vapi(stack.webhook, after).status_code == 202
    stack.wait_count(1, "call_events", "type = 'ringing' and state <> 'parked'")
    stack.wait_until(lambda: decided(stack) == 1, 10, "one call decided")
    stack.wait_until(lambda: stack.topics.lag("record") == 0, 20, "all messages recorded")

    now = stack.row("select * from calls where job_id = %s", call["job_id"])
    assert (now["status"], now["outcome"]) == ("failed", "NO_ANSWER")
    assert stack.count("call_events", "message = 'event' and type = 'report'") == 1
    assert stack.count("call_events", "message = 'redial'") == 1
    record = stack.row("select * from redial_queue")
    assert (record["attempts"], record["status"], record["outcomes"]) == (1, "pending", ["NO_ANSWER"])
    assert stack.count("transitions", "entity = 'redial'") == 1
    assert stack.count("calls", "job_id = %s and status = 'calling'", other["job_id"]) == 1


def test_events_in_every_order_tell_the_same(stack):
    orders = list(itertools.permutations(["ringing", "in-progress", "ended", "report"]))
    leads, calls = calling(stack, len(orders))
    at = time.time()
    callback = datetime.fromtimestamp(int(at) + 30 * 86400, UTC)
    with ThreadPoolExecutor(8) as pool:

        def tell(call, order):
            for number, kind in enumerate(order):
                # Half of them by the provider's id alone, half with the number as well.
                phone = call["phone"] if number % 2 else None
                if kind == "report":
                    body = events.vapi_report(call["provider_call_id"], "customer-ended-call", "CALLBACK", phone, at)
                    body["message"]["analysis"]["structuredData"]["callback_at"] = callback.strftime("%Y-%m-%dT%H:%M:%SZ")
                elif kind == "ended":
                    body = events.vapi_status(call["provider_call_id"], "ended", phone, at, endedReason="customer-ended-call")
                else:
                    body = events.vapi_status(call["provider_call_id"], kind, phone, at - 20)
                assert events.post_vapi(stack.webhook, body).status_code == 202

        list(pool.map(tell, calls, orders))
    stack.wait_count(4 * len(orders), "call_events", "message = 'event' and state <> 'parked'")
    stack.wait_until(lambda: decided(stack) == len(orders), 20, "every call decided")
    stack.wait_until(lambda: stack.topics.lag("record") == 0, 20, "all messages recorded")

    for call, order in zip(calls, orders):
        now = stack.row("select * from calls where job_id = %s", call["job_id"])
        record = stack.row("select * from redial_queue where lead_ref = %s", call["lead_id"])
        assert (now["status"], now["outcome"], now["ended_reason"]) == ("completed", "CALLBACK", "customer-ended-call"), order
        assert abs(now["ended_at"].timestamp() - at) < 0.01, order
        assert now["duration_ms"] == 30_000, order
        assert (record["status"], record["attempts"], record["outcomes"]) == ("rescheduled", 1, ["CALLBACK"]), order
        assert record["next_redial_timestamp"] == callback, order
    assert stack.count("transitions", "entity = 'redial'") == len(orders)
    assert stack.count("call_reports") == len(orders)
    assert stack.count("live") == 0


def test_events_that_come_before_the_answer_twice_or_shuffled(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", REDIAL_ACCOUNT="omni")
    omni = stack.value("select id from accounts where name = 'omni'")
    ways = [
        {"before_answer": True},
        {"before_answer": True, "duplicates": 3},
        {"order": "reverse"},
        {"order": "shuffle", "duplicates": 2},
        {"delay_ms": 1500, "duplicates": 1},
    ]
    with stack.db.transaction():
        leads = [stack.lead(auto_follow_up=False) for _ in range(4 * len(ways))]
        stack.sim.script([
            {"match": {"phone": lead["phone"]},
             "action": {"outcome": "BUSY", "call_ms": 200, "webhook": ways[n % len(ways)]}}
            for n, lead in enumerate(leads)
        ])
        for n, lead in enumerate(leads):
            stack.insert("follow_ups", lead_id=lead["id"], account_id=omni if n % 2 else None)
    stack.wait_until(lambda: decided(stack) == len(leads), 30, "every call decided")
    stack.wait_until(lambda: stack.sim.stats()["webhooks_pending"] == 0, 20, "every webhook delivered")
    stack.wait_until(lambda: stack.topics.lag("record") == 0, 20, "all messages recorded")
    assert stack.count("calls", "status = 'failed' and outcome = 'BUSY' and posted_at is not null") == len(leads)
    assert stack.count("redial_queue", "attempts = 1 and status = 'pending' and outcomes = '{BUSY}'") == len(leads)
    assert stack.count("follow_ups", "status = 'completed'") == len(leads)
    assert stack.count("call_events", "state not in ('applied', 'history')") == 0
    assert stack.count("live") == 0


def test_an_event_that_matches_no_call_stays_listed(stack):
    stack.start("producer", "consumer", "webhook")
    stranger = events.vapi_report("99999999-0000-4000-8000-000000000000", "customer-busy", phone=stack.phone())
    assert events.post_vapi(stack.webhook, stranger).status_code == 202
    stack.wait_count(2, "call_events", "state = 'parked'")
    assert stack.count("redial_queue") == stack.count("calls") == 0
