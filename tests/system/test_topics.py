# SPDX-License-Identifier: Apache-2.0
"""What others read in Kafka: an independent client decodes every topic and finds its way by keys and headers."""

import json
import re
import struct
from datetime import datetime, timedelta

import httpx
import pytest
from lib import events
from lib.servers import ROOT
from lib.topics import GROUP_TOPICS

# Each topic, its schema, and the type its messages have as CloudEvents.
TOPICS = {
    "calls.dispatch.requested.v1": "dispatch_requested",
    "calls.dispatch.result.v1": "dispatch_result",
    "calls.event.v1": "call_event",
    "leads.redial.v1": "redial_update",
    "leads.stage.v1": "stage_transition",
}
HEADERS = {"ce_id", "ce_source", "ce_type", "ce_specversion", "ce_time", "ce_subject", "content-type", "traceparent"}
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def avsc(topic):
    return json.loads((ROOT / "schemas" / "avro" / f"{TOPICS[topic]}.avsc").read_text())


def play_every_message(stack):
    """Calls that leave messages of every kind: accepted, refused, unknown and found, each end, a stage."""
    stack.db.execute("update outcome_rules set next_stage = 'lost' where outcome = 'NOT_INTERESTED'")
    stack.start(FOLLOW_UP_ACCOUNT="vapi", JOB_LEASE_S=4, LEASE_MARGIN_S=1, PROVIDER_TIMEOUT_S=2, LIST_LAG_S=1)
    with stack.db.transaction():
        leads = [stack.lead(first_name="Zoë", last_name="Ünal") for _ in range(6)]
        quick = {"call_ms": 100}
        bad_number = {"message": ["customer.number must be a valid phone number"]}
        actions = [
            {"outcome": "NOT_INTERESTED"}, {"outcome": "BUSY"}, {"outcome": "SALE"}, {"outcome": "CALLBACK"},
            {"outcome": "SALE", "reset_after_body": True}, {"status": 400, "body": bad_number},
        ]
        stack.sim.script([
            {"match": {"phone": lead["phone"]}, "action": quick | action} for lead, action in zip(leads, actions)
        ])
    stack.wait_count(5, "calls", "ended_at is not null and decided_at is not null")
    stack.wait_count(1, "calls", "status = 'rejected'")
    stack.wait_count(1, "leads", "stage = 'lost'")
    for role in GROUP_TOPICS:
        stack.wait_until(lambda role=role: stack.topics.lag(role) == 0, 20, f"nothing left for {role}")
    return leads


@pytest.mark.parametrize("registry", ["built-in", "apicurio"])
def test_an_independent_client_decodes_every_topic(stack, registry):
    if registry == "apicurio":
        stack.environment["SCHEMA_REGISTRY_URL"] = stack.servers.registry.url
    leads = play_every_message(stack)
    url = f"{stack.producer.url}/registry" if registry == "built-in" else stack.servers.registry.url
    read = {topic: stack.topics.read(topic, url) for topic in TOPICS}

    # What they say is what the database says.
    calls = {str(call["job_id"]): call for call in stack.rows("select * from calls")}
    follow_ups = {row["lead_id"]: row for row in stack.rows("select * from follow_ups")}
    assert len(calls) == len(leads)
    for message in read["calls.dispatch.requested.v1"]:
        call = calls[message.value["job_id"]]
        assert abs(message.value["due_at"] - call["due_at"]) <= timedelta(milliseconds=1)
        assert message.value | {"due_at": None, "dial_by": None} == {
            "job_id": str(call["job_id"]), "follow_up_id": str(follow_ups[call["lead_id"]]["id"]), "tenant": "default",
            "kind": "follow_up", "lead_id": str(call["lead_id"]), "phone": call["phone"], "account": "vapi",
            "attempt": 1, "due_at": None, "dial_by": None,
        }
    results = {job: [] for job in calls}
    for message in read["calls.dispatch.result.v1"]:
        value = message.value
        call = calls[value["job_id"]]
        results[value["job_id"]].append((value["result"], value["refusal"], value["http_status"]))
        assert (value["phone"], value["account"]) == (call["phone"], "vapi")
        assert value["provider_call_id"] in (None, call["provider_call_id"])
    by_lead = [results[str(call["job_id"])] for lead in leads for call in calls.values() if call["lead_id"] == lead["id"]]
    accepted = ("accepted", None, 201)
    assert by_lead[:4] == [[accepted]] * 4
    assert by_lead[4][0] == ("unknown", None, None) and by_lead[5] == [("refused", "number", 400)]
    ends = {message.value["phone"]: message.value for message in read["calls.event.v1"] if message.value["type"] == "report"}
    assert {ends[lead["phone"]]["outcome"] for lead in leads[:5]} == {"NOT_INTERESTED", "BUSY", "SALE", "CALLBACK"}
    for end in ends.values():
        raw = json.loads(end["raw"])
        assert raw["message"]["call"]["id"] == end["provider_call_id"]
        assert end["occurred_at"].tzinfo and end["received_at"] >= end["occurred_at"]
    redials = {message.value["phone"]: message.value for message in read["leads.redial.v1"]}
    assert [redials[lead["phone"]]["action"] for lead in leads[:5]] == ["stop", "schedule", "complete", "callback", "complete"]
    assert redials[leads[3]["phone"]]["callback_at"] == ends[leads[3]["phone"]]["callback_at"] > datetime.now().astimezone()
    (stage,) = read["leads.stage.v1"]
    assert (stage.value["entity"], stage.value["to"], stage.value["reason"], stage.value["phone"]) == (
        "lead", "lost", "NOT_INTERESTED", leads[0]["phone"])

    # Keys, partitions, headers and schema ids, for those who do not decode.
    partition_of, ids, types = {}, set(), {}
    with httpx.Client(trust_env=False) as client:
        for topic, messages in read.items():
            schema_ids = {struct.unpack(">BI", message.raw[:5]) for message in messages}
            assert {magic for magic, _ in schema_ids} == {0} and len(schema_ids) == 1
            schema = client.get(f"{url}/schemas/ids/{next(iter(schema_ids))[1]}").raise_for_status().json()
            assert json.loads(schema["schema"]) == avsc(topic)
            latest = client.get(f"{url}/subjects/{stack.topics.name(topic)}-value/versions/latest").json()
            assert (latest["id"], json.loads(latest["schema"])) == (next(iter(schema_ids))[1], avsc(topic))
            for message in messages:
                assert message.key == message.value["phone"]
                assert partition_of.setdefault(message.key, message.partition) == message.partition
                headers = {name: value.decode() for name, value in message.headers.items()}
                assert set(headers) == HEADERS
                lead = next(str(row["id"]) for row in leads if row["phone"] == message.key)
                job = message.value["job_id"]
                assert headers["ce_subject"] in (lead, job) and headers["ce_subject"]
                assert headers["ce_specversion"] == "1.0" and headers["content-type"] == "application/avro"
                assert re.fullmatch(r"/carillon/(producer|consumer|webhook)", headers["ce_source"])
                assert datetime.fromisoformat(headers["ce_time"]).tzinfo
                assert TRACEPARENT.fullmatch(headers["traceparent"])
                assert (headers["ce_source"], headers["ce_id"]) not in ids
                ids.add((headers["ce_source"], headers["ce_id"]))
                types.setdefault(headers["ce_type"], topic)
                assert types[headers["ce_type"]] == topic
    assert len(types) == len(TOPICS)
    assert len(set(partition_of.values())) > 1

    everything = sorted(stack.topics.name(topic + dlt) for topic in TOPICS for dlt in ("", "-dlt"))
    assert stack.topics.names() == everything
    assert {stack.topics.partitions(topic) for topic in TOPICS} == {3}


def test_lag_tells_what_waits(stack):
    """Autoscalers read the groups' committed offsets, wherever the recorder keeps its own."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"call_ms": 600_000}}])
    leads = stack.leads(6)
    stack.wait_count(6, "calls", "status <> 'dialing'")
    for role in GROUP_TOPICS:
        stack.wait_until(lambda role=role: stack.topics.lag(role) == 0, 20, f"nothing left for {role}")
    assert sum(stack.topics.committed("dispatch").values()) == 6
    assert stack.consumer.stop() == 0

    calls = stack.rows("select * from calls")
    for call in calls:
        body = events.vapi_report(call["provider_call_id"], "customer-busy", phone=call["phone"])
        assert events.post_vapi(stack.webhook, body).status_code == 202
    stack.leads(4)
    stack.wait_until(lambda: stack.topics.lag("dispatch") == 4, 20, "four jobs wait")
    assert stack.topics.lag("record") == 12  # an event and a redial update each
    stack.consumer.start()
    for role in GROUP_TOPICS:
        stack.wait_until(lambda role=role: stack.topics.lag(role) == 0, 20, f"nothing left for {role}")
    assert stack.count("redial_queue") == len(leads)
    assert stack.ledger()["total"] == 10
