# SPDX-License-Identifier: Apache-2.0
"""Versions side by side: processes read messages of a schema that is newer than theirs, and of the one that was released before."""

import io
import json
import struct
import time
from pathlib import Path

import httpx
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from lib import events

RELEASED = Path(__file__).resolve().parents[2] / "schemas" / "avro" / "released"
EVENT = "calls.event.v1"
ADDED = {"name": "mood", "type": ["null", "string"], "default": None}


class Registry:
    def __init__(self, stack):
        self._stack = stack

    def _ask(self, method, path, **more):
        url = f"{self._stack.servers.registry.url}{path}"
        return httpx.request(method, url, trust_env=False, timeout=20, **more).raise_for_status().json()

    def _subject(self, topic):
        return f"/subjects/{self._stack.topics.name(topic)}-value"

    def latest(self, topic):
        return json.loads(self._ask("GET", f"{self._subject(topic)}/versions/latest")["schema"])

    def add(self, topic, schema):
        return self._ask("POST", f"{self._subject(topic)}/versions", json={"schema": json.dumps(schema)})["id"]

    def schema(self, schema_id):
        return json.loads(self._ask("GET", f"/schemas/ids/{schema_id}")["schema"])


def told(schema_id, schema, value):
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(schema), value)
    return struct.pack(">BI", 0, schema_id) + out.getvalue()


def ended(call, outcome, **more):
    now = int(time.time() * 1000)
    return {"event_id": f"{call['provider_call_id']}:{outcome}", "tenant": "default", "provider": "omni", "account": "omni", "type": "report",
            "provider_call_id": call["provider_call_id"], "outcome": outcome, "occurred_at": now, "received_at": now} | more


def calling(stack):
    lead = stack.lead()
    stack.wait_count(1, "calls", f"lead_id = {lead['id']} and status = 'calling'")
    return stack.row("select * from carillon.calls where lead_id = %s", lead["id"])


def test_newer_and_older_messages_are_read(stack):
    stack.environment["SCHEMA_REGISTRY_URL"] = stack.servers.registry.url
    stack.sim.script([{"action": {"webhook": {"lost": True}}}])
    stack.start()
    registry = Registry(stack)
    ours, older = registry.latest(EVENT), json.loads((RELEASED / "call_event.v1.avsc").read_text())
    assert len(older["fields"]) < len(ours["fields"])
    # The added field stands in front of all others: who went by places would misread every message.
    newer = ours | {"fields": [ADDED, *ours["fields"]]}
    written = {}
    for outcome, schema, more in (("SALE", newer, {"mood": "glad"}), ("TRANSFERRED", newer, {"mood": None}), ("ACA", older, {})):
        call = calling(stack)
        written[call["job_id"]] = outcome
        stack.topics.produce(EVENT, told(registry.add(EVENT, schema), schema, ended(call, outcome, **more)), partition=0, key=call["phone"])
    for job, outcome in written.items():
        stack.wait_until(lambda job=job, outcome=outcome: stack.row("select status, outcome from carillon.calls where job_id = %s", job)
                         == {"status": "completed", "outcome": outcome}, 30, f"{outcome} applied")
    assert stack.count("dead_letters") == 0

    # And the other way: what the processes write now is read by who knows the released schemas alone.
    assert events.post_omni(stack.webhook, events.omni_report(7, stack.phone())).status_code == 202
    for name in ("call_event", "dispatch_requested", "dispatch_result", "redial_update"):
        reader = parse_schema(json.loads((RELEASED / f"{name}.v1.avsc").read_text()))
        topic = {"call_event": EVENT, "dispatch_requested": "calls.dispatch.requested.v1", "dispatch_result": "calls.dispatch.result.v1",
                 "redial_update": "leads.redial.v1"}[name]
        messages = stack.wait_until(lambda topic=topic: stack.topics.read(topic), 20, f"messages in {topic}")
        for message in messages:
            writer = parse_schema(registry.schema(struct.unpack(">I", message.raw[1:5])[0]))
            value = schemaless_reader(io.BytesIO(message.raw[5:]), writer, reader)
            assert value["tenant"] == "default"
