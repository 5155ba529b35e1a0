# SPDX-License-Identifier: Apache-2.0
"""The audit: the provider's list of calls against the ledger, both ways."""

import json
import subprocess

from lib.stack import SECRETS

AUDIT = {"AUDIT_INTERVAL_S": 1, "AUDIT_SETTLE_S": 1, "LIST_LAG_S": 0}
HEADERS = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}


def api(stack, path, method="GET", **more):
    return stack.producer.http.request(method, f"/api/audit{path}", headers=HEADERS, **more)


def dialed(stack, number):
    """So many calls that the provider took and ended."""
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    leads = stack.leads(number)
    stack.wait_count(number, "calls", "status = 'completed'")
    return leads


def foreign_call(stack, phone):
    """What somebody dials by hand with the same account."""
    answer = stack.sim.process.http.post("/call", headers={"Authorization": f"Bearer {SECRETS['VAPI_API_KEY']}"}, json={
        "assistantId": "assistant-1", "phoneNumberId": "number-1", "name": "by hand", "customer": {"number": phone}})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def wait_audited(stack):
    """Until all of now has been compared."""
    now = stack.value("select now()")
    stack.wait_until(lambda: stack.count("audits", "audited_to > %s", now), 30, "the audit of what is there now")


def run_audit(stack):
    """carillon-consumer --audit: its exit code and the lines it prints."""
    done = subprocess.run([stack.consumer.binary, "--audit"], env=stack.consumer.environment | {"LOG_LEVEL": "error"},
                          capture_output=True, text=True, timeout=150)
    assert "Sanitizer" not in done.stderr, done.stderr
    assert "not audited: account twilio" in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_equal_worlds_have_no_difference(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", **AUDIT)
    dialed(stack, 5)
    wait_audited(stack)
    assert stack.count("audit_differences") == 0
    assert stack.consumer.metric("carillon_audit_open") == 0
    assert stack.consumer.metric("carillon_audits_total", result="complete") > 0
    answer = api(stack, "").json()
    assert answer["differences"] == [] and answer["next"] is None
    assert {"vapi"} <= {account["account"] for account in answer["accounts"]}
    assert run_audit(stack) == (0, [])
    assert "twilio" not in {account["account"] for account in api(stack, "").json()["accounts"]}


def test_a_call_that_we_do_not_know(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", **AUDIT)
    dialed(stack, 2)
    phone = stack.phone()
    call = foreign_call(stack, phone)
    stack.wait_count(1, "audit_differences", "resolved_at is null")
    found = stack.consumer.wait_log("audit.difference")
    assert found["kind"] == "unknown_call" and found["provider_call_id"] == call and phone not in json.dumps(found)
    stack.wait_until(lambda: stack.consumer.metric("carillon_audit_open") == 1, 10, "the gauge")
    assert stack.consumer.metric("carillon_audit_differences_total", kind="unknown_call") == 1

    [shown] = api(stack, "?resolved=false&account=vapi").json()["differences"]
    assert [shown["kind"], shown["provider_call_id"], shown["phone"], shown["job_id"]] == ["unknown_call", call, phone, None]
    status, lines = run_audit(stack)
    assert status == 1 and [line["provider_call_id"] for line in lines] == [call] and phone not in json.dumps(lines)

    # Seen again it is the same one; explained it stays so.
    assert api(stack, f"/{shown['id']}/close", "POST", json={}).status_code == 422
    assert api(stack, "/999/close", "POST", json={"note": "?"}).status_code == 404
    closed = api(stack, f"/{shown['id']}/close", "POST", json={"note": "dialed by hand"})
    assert closed.status_code == 200 and closed.json()["difference"]["resolved_at"]
    assert run_audit(stack) == (0, [])
    assert stack.count("audit_differences") == 1
    stack.wait_until(lambda: stack.consumer.metric("carillon_audit_open") == 0, 10, "the gauge")
    assert api(stack, "?resolved=false").json()["differences"] == []
    assert stack.value("select note from transitions where entity = 'audit'") == "dialed by hand"


def test_a_call_that_only_the_ledger_has(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", **AUDIT)
    wait_audited(stack)
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 600_000}}])
    stack.leads(2)
    stack.wait_count(2, "calls", "status in ('calling', 'ringing', 'in_progress')")
    # The row of one of them names a call that the provider never had.
    job = stack.value("update calls set provider_call_id = 'phantom' where job_id = (select min(job_id::text)::uuid from calls)"
                      " returning job_id")
    status, lines = run_audit(stack)
    assert status == 1
    assert {(line["kind"], line["provider_call_id"]) for line in lines} >= {("missing_call", "phantom")}
    assert {line["job_id"] for line in lines} == {str(job)}

    # Nothing is concluded from a list that could not be read whole, and nothing hindered.
    stack.db.execute("delete from audit_differences")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 600_000, "list_fails": True}}])
    status, lines = run_audit(stack)
    assert status == 1 and lines == []
    stack.leads(1)
    stack.wait_count(3, "calls", "status in ('calling', 'ringing', 'in_progress')")
