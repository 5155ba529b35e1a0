# SPDX-License-Identifier: Apache-2.0
"""kill -9 and long sleeps in the worst moments: every follow-up goes on, and nobody is rung twice."""

import threading

import httpx
import pytest
from lib import events

QUICK = {"JOB_LEASE_S": 8, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 6, "LIST_LAG_S": 1, "QUEUED_LEASE_S": 3}
LOST = {"webhook": {"lost": True}}


def assert_each_dialed_once(stack, leads):
    phones = stack.ledger()["phones"]
    assert {lead["phone"]: phones.get(lead["phone"], 0) for lead in leads} == {lead["phone"]: 1 for lead in leads}
    stack.assert_never_twice()
    stack.assert_nothing_lost()


def test_a_consumer_killed_with_fifty_posts_in_flight(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", **QUICK)
    with stack.db.transaction():
        leads = [stack.lead() for _ in range(50)]
        # All answers are slow. Of every five calls one never came to be, and two say nothing of their end.
        stack.sim.script([
            {"match": {"phone": lead["phone"]}, "times": 1,
             "action": {"outcome": "SALE", "call_ms": 200, "latency_ms": 5000}
             | ({"timeout": {"dialed": False}} if n % 5 == 0 else LOST if n % 5 < 3 else {})}
            for n, lead in enumerate(leads)
        ] + [{"action": {"outcome": "SALE", "call_ms": 200}}])
    stack.wait_until(lambda: stack.sim.stats()["in_flight"] == 50, 20, "50 POSTs in flight")
    stack.consumer.kill()
    assert stack.count("calls", "answered_at is null") == 50
    stack.consumer.start()
    stack.wait_count(50, "follow_ups", "status = 'completed'", timeout=60)
    assert_each_dialed_once(stack, leads)
    assert stack.sim.stats()["posts"] == 60
    assert stack.count("calls", "status = 'not_dialed'") == 10


def test_a_producer_killed_between_claim_and_publish(stack):
    stack.start(CARILLON_FAIL_POINT="producer.claimed", **QUICK)
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 200}}])
    leads = stack.leads(30)
    stack.producer.wait_fail_point()
    jobs = {row["lead_id"]: str(row["job_id"]) for row in stack.rows("select lead_id, job_id from follow_ups where status = 'queued'")}
    assert jobs and stack.count("claims", "published_at is not null") == 0
    assert not stack.topics.read("calls.dispatch.requested.v1")
    stack.producer.start()
    stack.wait_count(30, "calls", "status = 'completed'", timeout=60)
    assert_each_dialed_once(stack, leads)
    dialed = {call["phone"]: call["job_id"] for call in stack.sim.calls()}
    assert {lead["id"]: dialed[lead["phone"]] for lead in leads if lead["id"] in jobs} == jobs


def test_a_producer_killed_while_kafka_does_not_answer(stack):
    """What it had sent may have come, or not; the same jobs are published again."""
    stack.start(**QUICK)
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 200}}])
    stack.servers.kafka.freeze()
    leads = stack.leads(30)
    stack.wait_count(30, "follow_ups", "status = 'queued'")
    jobs = {row["lead_id"]: str(row["job_id"]) for row in stack.rows("select lead_id, job_id from follow_ups")}
    assert stack.count("claims", "published_at is null") > 0
    stack.producer.kill()
    stack.servers.kafka.thaw()
    stack.producer.start()
    stack.wait_count(30, "calls", "status = 'completed'", timeout=60)
    assert_each_dialed_once(stack, leads)
    assert {call["phone"]: call["job_id"] for call in stack.sim.calls()} == {lead["phone"]: jobs[lead["id"]] for lead in leads}


def test_a_webhook_killed_between_publish_and_answer(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"call_ms": 600_000} | LOST}])
    (lead,) = stack.leads(1)
    stack.wait_count(1, "calls", "status = 'calling'")
    call = stack.row("select * from calls")
    stack.webhook.restart(CARILLON_FAIL_POINT="webhook.published")
    body = events.vapi_report(call["provider_call_id"], "customer-busy", phone=call["phone"])
    with pytest.raises(httpx.RemoteProtocolError):
        events.post_vapi(stack.webhook, body)
    stack.webhook.wait_fail_point()
    assert len(stack.topics.read("calls.event.v1")) == len(stack.topics.read("leads.redial.v1")) == 1
    stack.wait_count(1, "calls", "status = 'failed' and outcome = 'BUSY' and decided_at is not null")
    # The sender heard nothing, and sends it again.
    stack.webhook.start()
    assert events.post_vapi(stack.webhook, body).status_code == 202
    stack.wait_until(lambda: stack.topics.lag("record") == 0, 20, "all messages recorded")
    assert len(stack.topics.read("calls.event.v1")) == 2
    assert stack.count("redial_queue", "attempts = 1 and outcomes = '{BUSY}'") == 1
    assert stack.count("call_events", "message = 'event'") == 1
    assert_each_dialed_once(stack, [lead])


def test_webhooks_killed_while_many_send(stack):
    """Senders try again until they hear 2xx; whatever was published before counts once."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi", **QUICK)
    stack.sim.script([{"action": {"call_ms": 600_000} | LOST}])
    leads = stack.leads(40)
    stack.wait_count(40, "calls", "status = 'calling'")
    calls = stack.rows("select * from calls")
    broken, answered = [], []

    def tell(part):
        with httpx.Client(base_url=stack.webhook.url, trust_env=False, timeout=10) as client:
            for call in part:
                body = events.vapi_report(call["provider_call_id"], "customer-busy", phone=call["phone"])
                while True:
                    try:
                        if events.post_vapi(stack.webhook, body, client).status_code == 202:
                            break
                    except httpx.HTTPError:
                        broken.append(call["job_id"])
                        stop.wait(0.05)
                answered.append(call["job_id"])

    stop = threading.Event()
    threads = [threading.Thread(target=tell, args=(calls[n::8],), daemon=True) for n in range(8)]
    # The first ones are published to a Kafka that does not answer, and their webhook dies.
    stack.servers.kafka.freeze()
    for thread in threads:
        thread.start()
    stack.wait_until(lambda: stack.webhook.metric("carillon_webhook_events_total") == 8, 10, "8 events in the webhook")
    stack.webhook.kill()
    stack.servers.kafka.thaw()
    stack.webhook.start()
    for number in (12, 24):
        stack.wait_until(lambda number=number: len(answered) >= number, 20, "more answers")
        stack.webhook.kill()
        stack.webhook.start()
    for thread in threads:
        thread.join(30)
    assert len(answered) == 40 and len(broken) >= 8
    stack.wait_count(40, "calls", "status = 'failed' and outcome = 'BUSY' and decided_at is not null")
    stack.wait_until(lambda: stack.topics.lag("record") == 0, 20, "all messages recorded")
    # What follows from some had been published by those that died before they could answer.
    assert len(stack.topics.read("leads.redial.v1")) > 40
    assert stack.count("redial_queue", "attempts = 1 and outcomes = '{BUSY}'") == 40
    assert stack.count("call_events", "message = 'event'") == 40
    assert_each_dialed_once(stack, leads)


def test_a_consumer_that_slept_through_its_lease(stack):
    """Frozen with answers on their way, its work taken over, then awake again: nothing is sent late or applied twice."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi", HTTP_SLOTS=20, **QUICK)
    with stack.db.transaction():
        leads = [stack.lead() for _ in range(60)]
        stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 3000, "latency_ms": 700}}])
    stack.wait_until(lambda: stack.sim.stats()["in_flight"] == 20, 20, "20 POSTs in flight")
    stack.consumer.freeze()
    second = stack.add("consumer", **QUICK).start(wait=False)
    # Its session ends, and the rest is taken over; then its lease ends, and what it had claimed is looked up.
    stack.wait_count(60, "calls", "status = 'completed'", timeout=60)
    stack.consumer.thaw()
    second.wait_ready()
    stack.wait_until(stack.consumer.ready, 30, "the sleeper is ready again")
    stack.wait_until(lambda: stack.topics.lag("dispatch") == 0 and stack.topics.lag("record") == 0, 30, "nothing waits")
    assert_each_dialed_once(stack, leads)
    assert stack.sim.stats()["posts"] == 60
    assert stack.count("calls") == 60
    assert stack.count("calls", "status = 'completed'") == 60


def test_everything_killed_in_turn_under_load(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", **QUICK)
    stack.sim.script([{"action": {"outcome": {"SALE": 1, "BUSY": 1, "VOICEMAIL": 1}, "call_ms": 400, "latency_ms": 50}}])
    leads = []
    for number, victim in enumerate([stack.consumer, stack.webhook, stack.producer, stack.consumer]):
        leads += stack.leads(40)
        stack.wait_until(lambda number=number: stack.ledger()["total"] >= 40 * number + 15, 30, "some were dialed")
        victim.kill()
        victim.start(wait=False)
    for process in stack.processes:
        process.wait_ready()
    stack.wait_count(160, "follow_ups", "status = 'completed'", timeout=60)
    stack.wait_count(160, "calls", "ended_at is not null and decided_at is not null", timeout=60)
    assert_each_dialed_once(stack, leads)
    assert stack.count("redial_queue") == stack.count("calls", "outcome in ('BUSY', 'VOICEMAIL')")
    assert stack.count("redial_queue", "attempts <> 1") == 0
