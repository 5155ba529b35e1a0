# SPDX-License-Identifier: Apache-2.0
"""Pending calls and classifications over the API: made one by one and by file, listed, called off, tried again, replayed."""

import uuid

import pytest
from lib.stack import SECRETS

KEY = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}


@pytest.fixture
def api(stack):
    """A producer whose workflow lane is closed: what is queued stays so."""
    stack.db.execute("update carillon.lanes set active = false where name = 'workflow'")
    stack.start("producer", CLASSIFY_ACCOUNT="bland", TASK_ACCOUNT="vapi", WORKFLOW_HOURS="00:00-24:00")

    def call(method, path, expected=200, headers=None, **more):
        answer = stack.producer.http.request(method, path, headers=KEY | (headers or {}), **more)
        assert answer.status_code == expected, answer.text
        return answer.json()

    return call


def state(stack, the_id):
    return stack.value("select workflow_state from carillon.pending_calls where id = %s", the_id)


def wait(stack, the_id, wanted):
    stack.wait_until(lambda: state(stack, the_id) == wanted, 20, lambda: f"{wanted}, not {state(stack, the_id)}")


def test_one_is_made_shown_and_called_off(stack, api):
    phone = stack.phone()
    made = api("POST", "/api/pending-calls", 201, json={
        "phone": phone, "exam_id": 4711, "employee_name": "Ann Lee", "employee_dob": "1990-01-31", "clinic_name": "Main Street Clinic",
        "appointment_time": "2026-12-01T10:00:00-05:00", "max_retries": 1, "workflow_metadata": {"site": "north"}})
    assert made.items() >= {"phone_e164": phone, "exam_id": "4711", "employee_dob": "1990-01-31", "appointment_time": "2026-12-01T15:00:00.000Z",
                            "max_retries": 1, "workflow_state": "new", "version": 1, "workflow_metadata": {"site": "north"}}.items()
    wait(stack, made["id"], "needs_classification")
    stack.wait_count(1, "follow_ups", "kind = 'classify' and status = 'pending'")
    shown = api("GET", f"/api/pending-calls/{made['id']}")
    assert [t["to"] for t in shown["history"]] == ["new", "checking_classification", "needs_classification"]
    assert [t["actor"] for t in shown["history"]] == ["operator", "workflow", "workflow"]
    assert (shown["follow_up"]["kind"], shown["follow_up"]["account"], shown["calls"], shown["classification"]) == ("classify", "bland", [], None)
    off = api("POST", f"/api/pending-calls/{made['id']}/cancel")
    assert (off["workflow_state"], off["failure_reason"], off["follow_up_id"]) == ("failed", "cancelled", None)
    assert api("POST", f"/api/pending-calls/{made['id']}/cancel")["version"] == off["version"]
    assert stack.row("select status, reason from carillon.follow_ups") == {"status": "cancelled", "reason": "workflow"}
    again = api("POST", f"/api/pending-calls/{made['id']}/retry")
    assert (again["workflow_state"], again["failure_reason"]) == ("checking_classification", None)
    wait(stack, made["id"], "needs_classification")
    api("POST", f"/api/pending-calls/{made['id']}/retry", 409)
    for path in (f"/api/pending-calls/{uuid.uuid4()}", "/api/pending-calls/none"):
        api("GET", path, 404)
        api("POST", f"{path}/cancel", 404)
        api("POST", f"{path}/retry", 404)


def test_what_is_wrong_is_told_all_at_once(stack, api):
    refused = api("POST", "/api/pending-calls", 422, json={
        "employee_dob": "31.1.1990", "appointment_time": "tomorrow", "max_retries": 1.5, "workflow_metadata": [], "clinic_name": 5, "color": "red"})
    assert sorted(e["field"] for e in refused["errors"]) == ["appointment_time", "clinic_name", "color", "employee_dob", "max_retries", "phone", "workflow_metadata"]
    assert stack.count("pending_calls") == 0


def test_a_file_of_many(stack, api):
    phones = [stack.phone() for _ in range(3)]
    csv = ("Phone Number,Exam ID,Employee Name,DOB,Clinic,Max Retries,Remark\r\n"
           + "".join(f"{p},EX-{n},Person {n},1990-01-1{n},Clinic {n % 2},2,left out\r\n" for n, p in enumerate(phones))
           + "\r\nno phone,EX-9,,,,,\r\n" + f"{phones[0]},EX-10,,1990-02-30,,,\r\n")
    answer = api("POST", "/api/pending-calls/bulk", content=csv, headers={"Content-Type": "text/csv"})
    assert (answer["created"], answer["rejected"]) == (3, 2)
    assert [(e["row"], e["field"]) for e in answer["errors"]] == [(6, "phone"), (7, "employee_dob")]
    assert api("POST", "/api/pending-calls/bulk", json=[{"phone": phones[0]}, 5, {"phone": phones[1], "exam_id": None}])["created"] == 2
    everyone = api("GET", "/api/pending-calls?limit=2")
    assert [p["exam_id"] for p in everyone["pending_calls"]] == ["EX-0", "EX-1"]
    rest = api("GET", f"/api/pending-calls?after={everyone['next']}")
    assert [p["exam_id"] for p in rest["pending_calls"]] == ["EX-2", None, None] and "next" not in rest
    assert [p["employee_name"] for p in api("GET", "/api/pending-calls?q=clinic 1")["pending_calls"]] == ["Person 1"]
    assert len(api("GET", "/api/pending-calls", params={"phone": phones[0]})["pending_calls"]) == 2
    stack.wait_count(5, "pending_calls", "workflow_state = 'needs_classification'")
    assert len(api("GET", "/api/pending-calls?state=needs_classification")["pending_calls"]) == 5
    refused = api("GET", "/api/pending-calls?state=dreaming&limit=0&after=x&phone=y", 422)
    assert sorted(e["field"] for e in refused["errors"]) == ["after", "limit", "phone", "state"]
    stack.wait_count(3, "follow_ups", "kind = 'classify' and status = 'pending'")


def test_classifications_are_put_used_and_expired(stack, api):
    phone = stack.phone()
    kept = api("PUT", f"/api/classifications/{phone}", json={"classification": "ivr_only", "menu_path": ["2"], "confidence": 1})
    api("PUT", f"/api/classifications/{phone}", json={"classification": "human"})
    listed = api("GET", "/api/classifications", params={"phone": phone})["classifications"]
    assert [(c["classification_type"], c["is_active"], c["source"]) for c in listed] == [("ivr_only", False, "operator"), ("human", True, "operator")]
    assert listed[0]["id"] == kept["id"]
    assert [c["classification_type"] for c in api("GET", "/api/classifications?active=true")["classifications"]] == ["human"]
    made = api("POST", "/api/pending-calls", 201, json={"phone": phone})
    wait(stack, made["id"], "ready_to_call")
    assert api("GET", f"/api/pending-calls/{made['id']}")["classification"]["classification_type"] == "human"
    assert api("POST", f"/api/classifications/{phone}/expire") == {"expired": 1}
    assert api("POST", f"/api/classifications/{phone}/expire") == {"expired": 0}
    api("POST", f"/api/classifications/{stack.phone()}/expire", 404)
    other = api("POST", "/api/pending-calls", 201, json={"phone": phone})
    wait(stack, other["id"], "needs_classification")
    refused = api("PUT", "/api/classifications/none", 422, json={"classification": "robot", "confidence": 2, "expires_at": "2020-01-01T00:00:00Z", "x": 1})
    assert sorted(e["field"] for e in refused["errors"]) == ["classification", "confidence", "expires_at", "phone", "x"]


def test_those_that_failed_are_replayed(stack, api):
    made = [str(stack.insert("pending_calls", phone=stack.phone(), workflow_state="retry_pending", retry_count=3)["id"]) for _ in range(3)]
    unclear = str(stack.insert("pending_calls", phone=stack.phone(), workflow_state="classification_failed", next_action_at=None)["id"])
    for the_id in made:
        wait(stack, the_id, "failed")
    off = stack.insert("pending_calls", phone=stack.phone(), next_action_at="2999-01-01T00:00:00Z")["id"]
    api("POST", f"/api/pending-calls/{off}/cancel")
    unwanted = stack.insert("pending_calls", phone=stack.phone(), workflow_state="failed", failure_reason="do_not_call")["id"]
    dead = api("GET", "/api/pending-calls?state=failed")["pending_calls"]
    assert {p["failure_reason"] for p in dead} == {"Max retries exceeded", "cancelled", "do_not_call"}
    assert api("POST", "/api/pending-calls/replay", json={"ids": [made[0], unclear, str(uuid.uuid4())]}) == {"replayed": 2, "skipped": 1}
    assert api("POST", "/api/pending-calls/replay", json={"all": True, "reason": "another"}) == {"replayed": 0, "skipped": 0}
    assert api("POST", "/api/pending-calls/replay", json={"all": True, "reason": "Max retries exceeded"}) == {"replayed": 2, "skipped": 0}
    for the_id in (*made, unclear):
        wait(stack, the_id, "needs_classification")
    assert stack.count("pending_calls", "retry_count = 0 and failed_at is null and workflow_state <> 'failed'") == 4
    # Of all, but for whom nobody is to call; these have to be named.
    assert api("POST", "/api/pending-calls/replay", json={"all": True}) == {"replayed": 0, "skipped": 0}
    assert api("POST", "/api/pending-calls/replay", json={"ids": [str(off)]}) == {"replayed": 1, "skipped": 0}
    wait(stack, str(off), "needs_classification")
    assert stack.value("select workflow_state from carillon.pending_calls where id = %s", unwanted) == "failed"
    for body in ({}, {"ids": []}, {"ids": ["x"]}, {"all": True, "ids": made}, {"ids": made, "reason": "x"}, {"all": 1}):
        api("POST", "/api/pending-calls/replay", 422, json=body)


def test_dashboard_and_the_guides_functions(stack, api):
    waiting = str(stack.insert("pending_calls", phone=stack.phone(), workflow_state="retry_pending", next_action_at="2999-01-01T00:00:00Z", retry_count=2)["id"])
    stuck = str(stack.insert("pending_calls", phone=stack.phone(), workflow_state="calling", next_action_at="2999-01-01T00:00:00Z", state_since="2026-01-01T00:00:00Z")["id"])
    board = api("GET", "/api/scheduler/dashboard")
    by_state = {row["workflow_state"]: row for row in board["states"]}
    assert by_state["retry_pending"].items() >= {"count": 1, "avg_retries": 2, "next_action": "2999-01-01T00:00:00.000Z"}.items()
    assert [row["id"] for row in board["stuck"]] == [stuck]
    assert api("POST", "/functions/v1/scheduler") == {"processed": 0, "queued": 0, "error": None, "results": []}
    # While nothing ticks, the guide's function is what runs it.
    stack.producer.stop()
    stack.producer.environment["PRODUCER_ROLES"] = "api"
    stack.producer.start()
    new = str(stack.insert("pending_calls", phone=stack.phone())["id"])
    ran = api("POST", "/functions/v1/scheduler")
    assert (ran["processed"], ran["queued"], [(r["id"], r["status"]) for r in ran["results"]]) == (1, 1, [(new, "needs_classification")])
    later = str(stack.insert("pending_calls", phone=stack.phone(), next_action_at="2999-01-01T00:00:00Z")["id"])
    assert api("POST", "/functions/v1/pre-classify-call", json={"pending_call_id": later})["workflow_state"] == "needs_classification"
    api("POST", "/functions/v1/pre-classify-call", 409, json={"pending_call_id": stuck})
    api("POST", "/functions/v1/pre-classify-call", 404, json={"pending_call_id": str(uuid.uuid4())})
    api("POST", "/functions/v1/pre-classify-call", 422, json={})
    assert state(stack, waiting) == "retry_pending"
    assert [run["source"] for run in api("GET", "/api/scheduler/dashboard")["runs"]] == ["api", "api"]
    # A tenant sees what became of its own.
    assert [t["to"] for t in api("GET", f"/api/pending-calls/{later}?tenant=default")["history"]] == ["new", "checking_classification", "needs_classification"]
    for method in ("GET", "POST"):
        assert api(method, "/api/scheduler/init") == {"success": True, "running": True, "message": "the scheduler runs"}
    assert stack.producer.http.get("/api/pending-calls").status_code == 401
    assert stack.producer.http.post("/functions/v1/scheduler").status_code == 401
