# SPDX-License-Identifier: Apache-2.0
"""/openapi.json against the real processes: schemathesis calls every operation with what its description permits and forbids.

It fails on 5xx, on statuses, content types and members that are not described, on wrong input that is taken and right input
that is refused, on methods that are not answered with 405, and on operations that work without their key."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lib.stack import SECRETS

HOOKS = Path(__file__).with_name("lib") / "openapi_hooks.py"
# An operation, one after the other: Python 3.11 parses no source in two threads at once.
EXAMPLES = 20 if os.environ.get("CARILLON_FULL") else 4
SEED = 20261121
SETTINGS = """
hooks = "{HOOKS}"

[generation]
allow-x00 = false  # what JSON's \\u0000 and a query's %00 lead to: test_bad_requests.py

[auth.openapi.apiKey]
api_key = "{ADMIN_API_KEY}"
[auth.openapi.n8nSecret]
api_key = "{CRON_JOB_SECRET}"
[auth.openapi.cronSecret]
api_key = "{CRON_JOB_SECRET}"
"""

JOB = "018f4d3e-7a10-7c3b-9d5e-2f6a1b4c8d70"  # that of the document's examples
LIVE = "018f4d3e-7a10-7c3b-9d5e-2f6a1b4c8d71"  # that of a call which goes on


def fill(stack):
    """One of each thing that a path can name, with the ids of the document's examples."""
    leads = stack.leads(5)
    account = stack.value("select id from carillon.accounts order by id limit 1")
    lane = stack.value("select id from carillon.lanes where name = 'follow_ups' and tenant_id = 'default'")
    ours, undetermined = leads[2:4]
    stack.insert("follow_ups", lead_id=ours["id"], lane_id=lane, due_at="2999-01-01T00:00:00Z")
    held = stack.insert("follow_ups", lead_id=undetermined["id"], lane_id=lane, status="undetermined", job_id=JOB)
    stack.insert("follow_ups", lead_id=ours["id"], lane_id=lane, due_at="2999-01-01T00:00:00Z")  # one is cancelled, one is hurried
    common = {"job_id": JOB, "tenant_id": "default", "phone": undetermined["phone"], "lane_id": lane, "account_id": account,
              "follow_up_id": held["id"]}
    stack.insert("calls", **common, kind="follow_up", lead_id=undetermined["id"], provider="omni", attempt=1, status="undetermined",
                 worker="a worker", due_at=held["due_at"], posted_at=held["due_at"])
    stack.insert("live", **common, state="undetermined", lease_until="2999-01-01T00:00:00Z", next_check_at="2999-01-01T00:00:00Z")
    talking = common | {"job_id": LIVE, "phone": leads[1]["phone"]}
    stack.insert("calls", **talking, kind="follow_up", lead_id=leads[1]["id"], provider="vapi", attempt=1, status="in_progress",
                 worker="a worker", due_at=held["due_at"], posted_at=held["due_at"], provider_call_id="a call of Vapi")
    stack.insert("live", **talking, state="in_progress", lease_until="2999-01-01T00:00:00Z", next_check_at="2999-01-01T00:00:00Z")
    for offset in range(3):
        stack.insert("dead_letters", topic=stack.topics.name("calls.event.v1"), partition=0, offset=offset, key=b"key", reason="no message",
                     value=b"no message")
    for path, body in (("campaigns", {"name": "One"}), ("accounts", {"name": "extra", "provider": "vapi"}), ("api-keys", {"name": "One", "role": "read"})):
        stack.producer.http.post(f"/api/{path}", json=body, headers={"X-API-Key": SECRETS["ADMIN_API_KEY"]}).raise_for_status()
    stack.insert("uploads", tenant_id="default", campaign_id=1, preview=False, worker="a worker", state="done", header='"Phone"', rows=1, rejected=1,
                 finished_at=held["due_at"])
    stack.insert("upload_rows", upload_id=1, row=2, line='"1"', members={"phone": "1"}, problems='[{"column": "phone", "value": "1", "reason": "no number"}]')
    stack.insert("audit_differences", account_id=account, tenant_id="default", kind="unknown_call", provider_call_id="a call of Omni",
                 happened_at=held["due_at"])
    stack.insert("suppressions", phone="+12125550108", reason="asked")
    stack.insert("call_classifications", phone_number="+12125550115", classification_type="human")
    for last, state in (("5f", "retry_pending"), ("60", "new")):
        stack.insert("pending_calls", id=f"5b0f7c1e-3a52-4e0d-9c64-0a1b2c3d4e{last}", phone="+12125550116", workflow_state=state,
                     next_action_at="2999-01-01T00:00:00Z")
    stack.insert("redial_queue", lead_id="123456", phone_number="+15551234567", status="paused", attempts=1, lead_ref=leads[4]["id"])


@pytest.mark.timeout(600)  # a few thousand requests
def test_every_operation_is_as_described(stack, tmp_path):
    stack.start("producer", SCHEDULE="external")
    fill(stack)
    (tmp_path / "schemathesis.toml").write_text(SETTINGS.format(HOOKS=HOOKS, **SECRETS))
    log = tmp_path / "schemathesis.log"
    with log.open("w") as out:
        ended = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run", f"{stack.producer.url}/openapi.json",
             "--seed", str(SEED), "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing",
             "--generation-database", "none", "--workers", "1", "--no-color", "--continue-on-failure", "--warnings", "off"],
            stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path, timeout=540, check=False)
    said = log.read_text()
    operations = re.search(r"Selected: (\d+)/(\d+)", said)
    assert ended.returncode == 0, said[-12000:]
    assert operations and operations[1] == operations[2] != "0", said[-3000:]
    # What is only ever refused shows nothing. The registry's names are this run's own; the document was read to begin with.
    paths = stack.producer.http.get("/openapi.json").json()["paths"]
    described = {f"{method.upper()} {path}" for path, item in paths.items() for method in item
                 if method != "parameters" and path.startswith("/api/")}
    idle = described - set((tmp_path / "served").read_text().splitlines())
    assert not idle, idle
