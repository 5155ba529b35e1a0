# SPDX-License-Identifier: Apache-2.0
"""Kafka and PostgreSQL away while leads fall due and calls end. CARILLON_FULL=1: for a minute instead of seconds."""

import time

import httpx
import pytest
from lib import events
from lib.stack import FULL, SECRETS

AWAY_S = 60 if FULL else 5
TOLD_AGAIN_S = 31  # five retries of the provider, 1 s to 16 s apart


@pytest.mark.timeout(300)
def test_kafka_away(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"outcome": "BUSY", "call_ms": 2500}}])
    first = stack.leads(12)
    stack.wait_count(12, "calls", "status not in ('dialing', 'unknown')")
    began = time.monotonic()
    stack.servers.kafka.kill()

    # Leads fall due; and the calls end, of which no webhook can be stored.
    second = stack.leads(15)
    call = stack.row("select * from calls limit 1")
    answer = events.post_vapi(stack.webhook, events.vapi_report(call["provider_call_id"], "customer-busy", phone=call["phone"]))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    stack.wait_until(lambda: stack.webhook.metric("carillon_webhooks_total", answer="503") >= 10, 20, "503 for the provider")
    assert stack.webhook.metric("carillon_webhooks_total") == (
        stack.webhook.metric("carillon_webhooks_total", answer="202")
        + stack.webhook.metric("carillon_webhooks_total", answer="503"))
    assert not stack.webhook.ready() and not stack.producer.ready() and not stack.consumer.ready()
    answer = stack.producer.http.post("/api/jobs/call-dispatch", headers={"X-Cron-Secret": SECRETS["CRON_JOB_SECRET"]})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    time.sleep(max(0.0, AWAY_S - (time.monotonic() - began)))
    assert stack.ledger()["total"] == 12

    stack.servers.kafka.start()
    # A busy machine takes its time to start Kafka: ends that the provider gave up to tell are left to the look-up.
    ended = 27 if time.monotonic() - began < TOLD_AGAIN_S - 10 else 15
    stack.wait_count(27, "follow_ups", "status = 'completed'", timeout=60)
    stack.wait_until(lambda: stack.count("calls", "status = 'failed' and outcome = 'BUSY' and decided_at is not null")
                     >= ended, 60, "every end that was told")
    for process in stack.processes:
        process.wait_ready()
    stack.assert_rung(lead["phone"] for lead in first + second)
    assert stack.count("calls", "status in ('rejected', 'not_dialed', 'undetermined')") == 0
    stack.wait_count(stack.count("calls", "decided_at is not null"), "redial_queue", "attempts = 1")
    stack.assert_nothing_lost()


@pytest.mark.timeout(300)
def test_postgres_away(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 3000, "latency_ms": 500}}])
    first = stack.leads(12)
    # Answers on their way, jobs in Kafka that nobody has taken yet, and calls that end meanwhile.
    stack.wait_until(lambda: stack.ledger()["total"] == 12, 20, "12 calls")
    stack.consumer.freeze()
    second = stack.leads(15)
    stack.wait_until(lambda: stack.producer.metric("carillon_published_total") == 27, 20, "the jobs are in Kafka")
    stack.servers.postgres.stop()
    stack.consumer.thaw()

    def accepted():
        return stack.webhook.metric("carillon_webhooks_total", answer="202")

    stack.wait_until(lambda: accepted() >= 24, 20, "webhooks are taken")
    assert accepted() == stack.webhook.metric("carillon_webhooks_total")
    assert stack.webhook.ready()
    assert not stack.producer.ready() and not stack.consumer.ready()
    stack.stays(lambda: stack.sim.stats()["posts"] == 12, AWAY_S, "no POST without PostgreSQL")

    stack.servers.postgres.start()
    stack.wait_count(27, "calls", "status = 'completed' and outcome = 'SALE'", timeout=60)
    stack.wait_count(27, "follow_ups", "status = 'completed'", timeout=10)
    for process in stack.processes:
        process.wait_ready()
    stack.assert_rung(lead["phone"] for lead in first + second)
    assert stack.sim.stats()["posts"] == 27
    stack.wait_count(0, "calls", "decided_at is null", timeout=10)
    stack.assert_nothing_lost()


def test_a_webhook_starts_without_postgres(stack):
    """A sealed copy of what it last knew serves a cold start; without one it is not ready and takes nothing."""
    stack.start("producer", "webhook")
    call = events.vapi_status("11111111-0000-4000-8000-000000000001", "ringing", stack.phone())
    assert events.post_vapi(stack.webhook, call).status_code == 202
    stack.wait_until(lambda: (stack.directory / "webhook.snapshot").exists(), 10, "the snapshot is written")
    assert b"vapi" not in (stack.directory / "webhook.snapshot").read_bytes()
    stack.webhook.stop()
    bare = stack.add("webhook")
    stack.servers.postgres.stop()

    stack.webhook.start()
    call = events.vapi_status("11111111-0000-4000-8000-000000000002", "ringing", stack.phone())
    assert events.post_vapi(stack.webhook, call).status_code == 202
    bare.start(wait=False)
    stack.wait_until(lambda: bare.http.get("/healthz").status_code == 200, 10, "the other one runs", retry=httpx.HTTPError)
    assert events.post_vapi(bare, call).status_code == 503
    assert not bare.ready()
    stack.servers.postgres.start()
    bare.wait_ready()
    assert events.post_vapi(bare, call).status_code == 202
