# SPDX-License-Identifier: Apache-2.0
"""Messages that can't be used: kept with their reason in a dead-letter topic, and their partition goes on."""

import os
import time
import uuid

import pytest
from lib.schemas import Schemas
from lib.topics import GROUP_TOPICS

PARTITIONS = range(3)
DISPATCH, (RESULT, EVENT, REDIAL, STAGE) = GROUP_TOPICS["dispatch"][0], GROUP_TOPICS["record"]
UNKNOWN_ID = (987_654).to_bytes(4, "big")
FAR = 2**62  # milliseconds that no timestamptz holds
KEY = "+12125550199"


def good_values():
    """One message of each kind that is well formed and concerns nothing that exists."""
    now, job, call = int(time.time() * 1000), str(uuid.uuid4()), str(uuid.uuid4())
    whose = {"tenant": "default", "account": "vapi"}
    return {
        DISPATCH: whose | {"job_id": job, "follow_up_id": "1", "kind": "follow_up", "phone": KEY, "attempt": 1, "due_at": now},
        RESULT: whose | {"job_id": job, "result": "accepted"},
        EVENT: whose | {"event_id": call, "provider": "vapi", "type": "ringing", "provider_call_id": call,
                        "occurred_at": now, "received_at": now},
        REDIAL: whose | {"event_id": call, "action": "schedule", "outcome": "BUSY", "suppress": False, "ended_at": now},
        STAGE: whose | {"event_id": call, "entity": "lead", "to": "lost", "reason": "BUSY", "at": now},
    }


def hostile(schemas, topic):
    """What no reader of this topic can decode."""
    good = schemas.encode(topic, good_values()[topic])
    other = EVENT if topic != EVENT else REDIAL
    return [
        None, b"", b"\x00", b"not a message of ours", b"\x01" + good[1:], b"\x00" + UNKNOWN_ID + good[5:],
        good[:5], good[:-1], good + b"\x00", schemas.encode(other, good_values()[other]),
        good[:5] + b"\xfe\xff\xff\xff\xff\x0f" + good[6:], good[:5] + b"\x01" + good[6:], good[:5] + b"\x04\xff\xfe" + good[6:],
        good[:5] + bytes(200_000),
    ]


def senseless(schemas, topic):
    """Well formed, and yet no call can be meant."""
    good = good_values()[topic]
    changes = {
        DISPATCH: [{"job_id": "nonsense"}, {"follow_up_id": "nonsense"}, {"account": "x" * 500}],
        RESULT: [{"job_id": "nonsense"}],
    }
    return [schemas.encode(topic, good | change) for change in changes.get(topic, [])]


@pytest.mark.parametrize("registry", ["built-in", "apicurio"])
def test_each_goes_to_the_dead_letters_and_the_partition_goes_on(stack, registry):
    if registry == "apicurio":
        stack.environment["SCHEMA_REGISTRY_URL"] = stack.servers.registry.url
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    stack.db.execute("update outcome_rules set next_stage = 'lost' where outcome = 'NOT_INTERESTED'")
    schemas = Schemas(stack.topics, f"{stack.producer.url}/registry")
    bad = {}
    for topic in (DISPATCH, RESULT, EVENT, REDIAL, STAGE):
        bad[topic] = hostile(schemas, topic) + senseless(schemas, topic)
        for partition in PARTITIONS:
            stack.topics.produce(topic, *bad[topic], partition=partition, key=KEY)

    # Calls whose messages come behind them, in each partition of each topic but the rare ones.
    leads = stack.leads(12)
    stack.sim.script([{"action": {"outcome": {"BUSY": 1, "NOT_INTERESTED": 1}, "call_ms": 100}}])
    stack.wait_count(12, "calls", "ended_at is not null and decided_at is not null")
    for role in GROUP_TOPICS:
        stack.wait_until(lambda role=role: stack.topics.lag(role) == 0, 20, f"nothing left for {role}")
    for topic in (DISPATCH, RESULT, EVENT, REDIAL):
        behind = {message.partition for message in stack.topics.read(topic) if message.offset >= len(bad[topic])}
        assert behind == set(PARTITIONS), topic
    stack.assert_rung(lead["phone"] for lead in leads)
    assert stack.count("follow_ups", "status = 'completed'") == 12

    for topic, values in bad.items():
        letters = stack.topics.read(topic + "-dlt")
        assert {(letter.headers["x-dlt-partition"], letter.headers["x-dlt-offset"]) for letter in letters} == {
            (str(partition).encode(), str(offset).encode()) for partition in PARTITIONS for offset in range(len(values))
        }
        assert len(letters) == 3 * len(values)
        for letter in letters:
            headers = {name: value.decode() for name, value in letter.headers.items()}
            assert letter.raw == (values[int(headers["x-dlt-offset"])] or b"")
            assert letter.key == KEY
            assert headers["x-dlt-topic"] == headers["kafka_dlt-original-topic"] == stack.topics.name(topic)
            assert headers["x-dlt-reason"] == headers["kafka_dlt-exception-message"] != ""
            assert headers["kafka_dlt-original-offset"] == headers["x-dlt-offset"]
        if topic != DISPATCH:
            rows = stack.rows("select * from dead_letters where topic = %s", stack.topics.name(topic))
            kept = {(row["partition"], row["offset"]): row for row in rows}
            assert len(kept) == len(rows) == 3 * len(values)
            for (_, offset), row in kept.items():
                assert bytes(row["value"] or b"") == (values[offset] or b"") and row["reason"] and row["key"] == KEY.encode()
        assert stack.consumer.metric("carillon_dead_letters_total", topic=stack.topics.name(topic)) == 3 * len(values)
    assert stack.consumer.metric("carillon_dead_letters_total") == sum(3 * len(values) for values in bad.values())


def test_one_that_is_too_large_for_its_letter(stack):
    """As large as its topic takes, or much larger before it was compressed: told without its end, and its partition goes on."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    large = {"random": os.urandom((2 << 20) - 200), "spread": b"x" * (12 << 20)}
    for topic in (DISPATCH, RESULT):
        stack.topics.produce(topic, large["random"], partition=0, key=KEY)
        stack.topics.produce(topic, large["spread"], partition=0, key=KEY, compressed=True)
    stack.sim.script([{"action": {"outcome": "BUSY", "call_ms": 100}}])
    stack.leads(6)
    stack.wait_count(6, "calls", "outcome = 'BUSY' and decided_at is not null")
    for role in GROUP_TOPICS:
        stack.wait_until(lambda role=role: stack.topics.lag(role) == 0, 20, f"nothing left for {role}")
    for topic in (DISPATCH, RESULT):
        letters = stack.topics.read(topic + "-dlt")
        assert [letter.headers["x-dlt-offset"] for letter in letters] == [b"0", b"1"]
        for letter, value in zip(letters, large.values(), strict=True):
            told = f"of {len(value) + len(KEY)} bytes {len(letter.raw) + len(KEY)} are kept: "
            assert letter.headers["x-dlt-reason"].startswith(told.encode())
            assert letter.key == KEY and 1_900_000 < len(letter.raw) < len(value) and value.startswith(letter.raw)


def test_a_stranger_among_good_messages_spoils_none(stack):
    """Ids that mean nothing here, a phone that is none, an arrow that is not legal: recorded, and nothing else moves."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    schemas = Schemas(stack.topics, f"{stack.producer.url}/registry")
    good = good_values()
    odd = {
        RESULT: [{}, {"phone": "none", "lead_id": "none", "follow_up_id": "none", "provider_call_id": "x" * 3000}],
        EVENT: [{"occurred_at": FAR}, {"account": "nobody"}, {"lead_id": "none", "phone": "none", "job_id": "none"}, {"outcome": "not a word"},
                {"duration": -5, "cost_micros": -1, "callback_at": 1, "type": "report"}, {"event_id": "y" * 3000}],
        REDIAL: [{"ended_at": FAR}, {"lead_id": "none", "job_id": "none"}, {"phone": "none", "outcome": ""}, {"action": "callback"}],
        STAGE: [{"at": FAR}, {"id": "none"}, {"to": "no such stage"}, {"entity": "campaign"}, {"entity": "pending_call", "id": "99"}],
    }
    lead = stack.lead(stage="visit_scheduled", auto_follow_up=False)
    for topic, changes in odd.items():
        values = [
            schemas.encode(topic, good[topic] | ({"event_id": f"{topic}-{n}"} if "event_id" in good[topic] else {}) | change)
            for n, change in enumerate(changes)
        ]
        stack.topics.produce(topic, *values, partition=0, key=KEY)
    stack.wait_until(lambda: stack.topics.lag("record") == 0, 20, "nothing left")
    assert stack.row("select stage from leads where id = %s", lead["id"]) == {"stage": "visit_scheduled"}
    assert stack.count("transitions") == stack.count("redial_queue") == stack.count("suppressions") == 0

    stack.sim.script([{"action": {"outcome": "BUSY", "call_ms": 100}}])
    stack.leads(6)
    stack.wait_count(6, "calls", "outcome = 'BUSY' and decided_at is not null")
