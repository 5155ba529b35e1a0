# SPDX-License-Identifier: Apache-2.0
"""/metrics as Prometheus reads it, and whether its counters tell the truth."""

import math
import re

import httpx
from lib.servers import ROOT
from lib.stack import SECRETS
from lib.topics import GROUP_TOPICS
from prometheus_client.parser import text_string_to_metric_families

KINDS = {"COUNTER": ("counter", ""), "GAUGE": ("gauge", ""), "HISTOGRAM": ("histogram", "_seconds")}


def known_metrics():
    """Name and kind of every metric of the table, as the parser names them."""
    table = (ROOT / "common" / "tbl" / "metrics.h").read_text()
    rows = re.findall(r'^METRIC_ROW\(\w+, "(\w+)", (\w+), (?:NULL|"(\w+)"), "(.+)"\)$', table, re.MULTILINE)
    return {f"carillon_{name}{KINDS[kind][1]}": (KINDS[kind][0], label or None, text) for name, kind, label, text in rows}


def check_histogram(family):
    """Buckets rise to +Inf, which is the count; the sum is possible."""
    series = {}
    for sample in family.samples:
        labels = tuple(sorted(item for item in sample.labels.items() if item[0] != "le"))
        series.setdefault(labels, {"buckets": []})
        if sample.name.endswith("_bucket"):
            series[labels]["buckets"].append((float(sample.labels["le"]), sample.value))
        else:
            series[labels][sample.name.removeprefix(family.name)] = sample.value
    for one in series.values():
        limits, counts = zip(*one["buckets"])
        assert list(limits) == sorted(set(limits)) and math.isinf(limits[-1])
        assert list(counts) == sorted(counts) and counts[-1] == one["_count"]
        assert one["_sum"] >= 0 and (one["_count"] or not one["_sum"])


def check(process):
    answer = process.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = answer.text
    assert text.endswith("\n") and "\r" not in text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    known = known_metrics()
    assert set(families) <= set(known), set(families) - set(known)
    for name, family in families.items():
        kind, label, help_text = known[name]
        assert (family.type, family.documentation) == (kind, help_text)
        exported = name + ("_total" if kind == "counter" else "")
        # Once each, and before the samples.
        for word in ("HELP", "TYPE"):
            assert len(re.findall(rf"^# {word} {exported} ", text, re.MULTILINE)) == 1
        keys = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(keys) == len(set(keys))
        for sample in family.samples:
            assert set(sample.labels) <= {"process", "le", label}
            assert sample.labels["process"] == process.kind
            assert math.isfinite(sample.value) and (kind == "gauge" or sample.value >= 0)
            assert len(sample.labels) < 8
        if kind == "histogram":
            check_histogram(family)
    assert not any(secret in text for secret in SECRETS.values())
    assert not re.search(r"\+?1\d{3}55501\d\d", text)
    return families


def total(families, name, **labels):
    return sum(sample.value for sample in families[name].samples
               if sample.name in (name, f"{name}_total", f"{name}_count")
               and labels.items() <= sample.labels.items())


def test_metrics_are_well_formed_and_true(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    for process in stack.processes:
        check(process)  # also before anything has happened
    stack.db.execute("update carillon.lanes set active = false where name = 'follow_ups'")
    leads = stack.leads(10)
    skipped = stack.lead(phone="12")
    stack.sim.script([
        {"match": {"phone": leads[0]["phone"]}, "action": {"status": 400, "body": {"message": ["customer.number is odd"]}}},
        {"action": {"outcome": {"SALE": 1, "BUSY": 1}, "call_ms": 100}},
    ])
    stack.db.execute("update carillon.lanes set active = true where name = 'follow_ups'")
    stack.wait_count(9, "calls", "ended_at is not null and decided_at is not null")
    stack.wait_count(1, "follow_ups", f"lead_id = {skipped['id']} and status = 'skipped'")
    stack.wait_until(lambda: stack.sim.stats()["webhooks_pending"] == 0, 20, "every webhook delivered")
    stack.wait_until(lambda: stack.topics.lag("record") == 0, 20, "all recorded")
    assert httpx.post(f"{stack.webhook.url}/webhooks/vapi/vapi", json={}).status_code == 401

    producer, consumer, webhook = (check(process) for process in stack.processes)
    assert total(producer, "carillon_seeded", source="lead") == 11
    assert total(producer, "carillon_claimed") == total(producer, "carillon_published") == 10
    assert total(producer, "carillon_held", gate="number") == 1
    for process in (producer, consumer, webhook):
        assert total(process, "carillon_postgres_up") == total(process, "carillon_kafka_ready") == 1
    assert total(consumer, "carillon_dispatched", result="accepted") == 9
    assert total(consumer, "carillon_dispatched", result="refused") == 1
    assert total(consumer, "carillon_dispatched") == stack.sim.stats()["posts"] == 10
    assert total(consumer, "carillon_posts_in_flight") == 0
    assert total(consumer, "carillon_dispatch_lateness_seconds") == 10
    assert total(consumer, "carillon_provider_post_seconds", account="vapi") == 10
    for topic in GROUP_TOPICS["record"]:
        assert total(consumer, "carillon_recorded", topic=stack.topics.name(topic)) == len(stack.topics.read(topic))
    assert total(webhook, "carillon_webhooks", answer="202") == stack.sim.stats()["webhooks_ok"]
    assert total(webhook, "carillon_webhooks", answer="401") == total(webhook, "carillon_signature_failures", account="vapi") == 1
    assert total(webhook, "carillon_webhook_events", type="report") == 9
    assert total(webhook, "carillon_webhook_ack_seconds") == stack.sim.stats()["webhooks_ok"]
