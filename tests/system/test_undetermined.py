# SPDX-License-Identifier: Apache-2.0
"""Calls whose fate could not be proved: listed with the evidence, decided by an operator, and resolved by whatever comes late."""

import threading
import uuid

import pytest
from lib import events
from lib.schemas import Schemas
from lib.stack import SECRETS

KEY = SECRETS["ADMIN_API_KEY"]
QUICK = {"JOB_LEASE_S": 4, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 2, "LIST_LAG_S": 1, "UNDETERMINED_AFTER_S": 4,
         "MAX_CALL_S": 10, "MAX_CALL_GRACE_S": 1}
RESULT = "calls.dispatch.result.v1"


def api(stack, path, method="GET", key=KEY, **more):
    return stack.producer.http.request(method, f"/api{path}", headers={"X-API-Key": key} if key else {}, **more)


def resolve(stack, job, decision, note=None, **more):
    return api(stack, f"/calls/{job}/resolve", "POST", json={"decision": decision} | ({"note": note} if note else {}) | more)


def undetermined(stack, number, dialed=True, **environment):
    """So many calls that Omni took, or not, without a word; their leads, each with its job."""
    stack.start(FOLLOW_UP_ACCOUNT="omni", **QUICK | environment)
    silent = {"outcome": "SALE", "call_ms": 600_000, "webhook": {"lost": True}}
    # The first POSTs alone: what is dialed after them answers.
    stack.sim.script([{"times": number, "action": silent | {"reset_after_body": True if dialed else {"dialed": False}}},
                      {"action": {"outcome": "SALE", "call_ms": 100}}])
    leads = stack.leads(number)
    stack.wait_count(number, "calls", "status = 'undetermined'", timeout=60)
    for lead in leads:
        lead["job"] = str(stack.value("select job_id from calls where lead_id = %s", lead["id"]))
    return leads


def call(stack, lead):
    return api(stack, f"/calls/{lead['job']}").json()


def test_listed_with_evidence_and_decided_once(stack):
    first, second, third = leads = undetermined(stack, 3, dialed=False)
    answer = api(stack, "/calls?status=undetermined").json()
    claimed = {str(row["job_id"]): (row["claimed_at"], row["job_id"]) for row in stack.rows("select job_id, claimed_at from calls")}.get
    assert [one["id"] for one in answer["calls"]] == sorted((lead["job"] for lead in leads), key=claimed, reverse=True)
    assert answer["next"] is None
    page = api(stack, "/calls?status=undetermined&limit=2").json()
    rest = api(stack, f"/calls?status=undetermined&limit=2&after={page['next']}").json()
    assert page["calls"] + rest["calls"] == answer["calls"] and rest["next"] is None
    assert [one["id"] for one in api(stack, f"/calls?lead_id={second['id']}").json()["calls"]] == [second["job"]]
    assert api(stack, "/calls?status=completed").json()["calls"] == []
    assert len(api(stack, "/calls?limit=1000").json()["calls"]) == 3

    found = call(stack, first)
    assert found["status"] == "undetermined" and found["phone"] == first["phone"] and found["account"] == "omni"
    assert found["error"] and found["dialedAt"] and found["resolution"] is None
    assert found["followUp"]["status"] == "undetermined" and found["followUp"]["jobId"] == first["job"]
    assert found["lookUps"]["made"] >= 2 and found["events"] == found["possibleEvents"] == []
    assert [(step["from"], step["to"], step["actor"]) for step in found["transitions"]] == [("unknown", "undetermined", "reconciler")]

    # Nothing dialed: the same follow-up again, under a new job, its attempt not counted.
    answers = []
    together = [threading.Thread(target=lambda: answers.append(resolve(stack, first["job"], "redial", "asked Omni: no such call")))
                for _ in range(6)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 6
    assert sorted(answer.json()["changed"] for answer in answers) == [False] * 5 + [True]
    stack.wait_count(1, "follow_ups", f"lead_id = {first['id']} and status = 'completed' and attempts = 1")
    assert stack.sim.dialed(first["phone"]) == 1
    again = stack.rows("select job_id, status, resolution, attempt from calls where lead_id = %s order by claimed_at", first["id"])
    assert [str(again[0]["job_id"]), again[0]["status"], again[0]["resolution"]] == [first["job"], "not_dialed", "redial"]
    assert len(again) == 2 and str(again[1]["job_id"]) != first["job"] and again[1]["attempt"] == 1

    # Closed: over, and nothing follows from it; the phone is free.
    other = stack.insert("follow_ups", lead_id=second["id"], source="api")
    stack.wait_count(1, "follow_ups", f"id = {other['id']} and gate = 'live'")
    answer = resolve(stack, second["job"], "close", "the customer told us").json()
    assert answer["changed"] and answer["call"]["status"] == "failed" and answer["followUpStatus"] == "completed"
    assert resolve(stack, second["job"], "close").json()["changed"] is False
    stack.db.execute("update follow_ups set next_look_at = now() where id = %s", (other["id"],))
    stack.wait_count(1, "follow_ups", f"id = {other['id']} and status = 'completed'")
    done = call(stack, second)
    assert done["outcome"] == "UNKNOWN" and done["endedAt"] and done["followUp"]["reason"] == "closed"
    assert [(step["to"], step["reason"], step["note"], step["actor"]) for step in done["transitions"]][-1] == (
        "failed", "close", "the customer told us", "operator")
    assert stack.count("redial_queue", "last_outcome = 'UNKNOWN'") == 0

    # Another decision, a call that is none, one that is not undetermined, and nonsense.
    assert resolve(stack, second["job"], "redial").status_code == 409
    assert resolve(stack, str(again[1]["job_id"]), "close").status_code == 409
    assert resolve(stack, str(uuid.uuid4()), "close").status_code == resolve(stack, "nonsense", "close").status_code == 404
    assert api(stack, "/calls/nonsense").status_code == 404
    for bad in (resolve(stack, third["job"], "hang up"), resolve(stack, third["job"], "close", colour="red"),
                resolve(stack, third["job"], "close", note=7), api(stack, "/calls?status=lost"), api(stack, "/calls?limit=0"),
                api(stack, "/calls?after=x"), api(stack, "/calls?lead_id=x"), api(stack, "/calls?colour=red")):
        assert bad.status_code == 422, bad.text
        assert bad.headers["content-type"] == "application/problem+json"
    for path, method in (("/calls", "GET"), (f"/calls/{third['job']}", "GET"), (f"/calls/{third['job']}/resolve", "POST")):
        assert api(stack, path, method, key="wrong").status_code == 401
    assert call(stack, third)["status"] == "undetermined"
    stack.assert_nothing_lost()


def report(stack, lead, outcome):
    """What the provider says at last."""
    request = stack.sim.calls(lead["phone"])[0]["id"]
    answer = events.post_omni(stack.webhook, events.omni_report(request, lead["phone"], outcome=outcome))
    assert answer.status_code == 202


def accepted(stack, lead):
    """The dispatcher's result, late: as the topic may hold it."""
    schemas = Schemas(stack.topics, f"{stack.producer.url}/registry")
    value = schemas.encode(RESULT, {"job_id": lead["job"], "tenant": "default", "account": "omni", "result": "accepted",
                                    "provider_call_id": str(stack.sim.calls(lead["phone"])[0]["id"]), "http_status": 200,
                                    "posted_at": 1_770_000_000_000, "answered_at": 1_770_000_000_100})
    stack.topics.produce(RESULT, value, partition=0, key=lead["phone"])


@pytest.mark.parametrize("sign", ["event", "result"])
def test_a_late_sign_of_life_wins_over_either_decision(stack, sign):
    """The operator was wrong: it was dialed. What was to be dialed again is called off, and the phone is held while it lasts."""
    wrong, closed, raced = undetermined(stack, 3)
    # Nothing is dialed while the signs come.
    assert api(stack, "/scheduler/stop", "POST", json={"reason": "test"}).status_code == 200
    assert resolve(stack, wrong["job"], "redial").json()["followUpStatus"] == "pending"
    assert resolve(stack, closed["job"], "close").json()["followUpStatus"] == "completed"
    assert stack.count("live", "phone = any(%s)", [wrong["phone"], closed["phone"]]) == 0
    if sign == "event":
        for lead, outcome in ((wrong, "NO_ANSWER"), (closed, "NO_ANSWER"), (raced, "TRANSFERRED")):
            report(stack, lead, outcome)
        stack.wait_count(2, "calls", "outcome = 'NO_ANSWER' and status = 'failed'")
        stack.wait_count(1, "calls", "outcome = 'TRANSFERRED' and status = 'completed'")
        # The end of the call that was to be dialed again decides as any end does; a closed one decides nothing any more.
        stack.wait_count(1, "redial_queue", "status = 'pending' and last_outcome = 'NO_ANSWER'")
        assert stack.count("redial_queue", "lead_ref = %s", wrong["id"]) == 1
    else:
        for lead in (wrong, closed, raced):
            accepted(stack, lead)
        stack.wait_count(3, "calls", "status = 'calling'")
        assert stack.count("live", "state = 'calling'") == 3
        assert stack.count("calls", "error is not null and resolution is not null") == 0
    assert stack.row("select status, reason from follow_ups where lead_id = %s", wrong["id"]) == {
        "status": "cancelled", "reason": "call_found"}
    assert [step["reason"] for step in call(stack, wrong)["transitions"] if step["entity"] == "call"][-1] == "call_found"
    assert {entry["job_id"] for entry in stack.consumer.log_events("call.came_alive")} == {wrong["job"], closed["job"]}
    # Resolved by itself: no decision any more.
    assert resolve(stack, raced["job"], "redial").status_code == 409
    assert resolve(stack, wrong["job"], "redial").json()["changed"] is False
    assert api(stack, "/scheduler/start", "POST").status_code == 200
    stack.stays(lambda: stack.ledger()["phones"] == {lead["phone"]: 1 for lead in (wrong, closed, raced)}, 4)
    stack.assert_nothing_lost()


def test_a_decision_while_the_provider_speaks(stack):
    """Redial decisions and late events at the same moment: whichever comes second, nobody is called twice."""
    leads = undetermined(stack, 12)
    start = threading.Barrier(2 * len(leads))

    def at_once(what, *arguments):
        start.wait()
        what(stack, *arguments)

    threads = [threading.Thread(target=at_once, args=(report, lead, "SALE")) for lead in leads]
    threads += [threading.Thread(target=at_once, args=(resolve, lead["job"], "redial")) for lead in leads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stack.wait_count(len(leads), "calls", "outcome = 'SALE' and status = 'completed'")
    stack.wait_count(0, "follow_ups", "status in ('pending', 'queued', 'dialing', 'undetermined')")
    stack.stays(lambda: stack.ledger()["phones"] == {lead["phone"]: 1 for lead in leads}, 3)
    assert stack.count("live") == 0


def test_a_redial_record_goes_the_way_of_its_decision(stack):
    """A record that was paused or removed meanwhile is not dialed again, and a closed call ends its record."""
    stack.start(FOLLOW_UP_ACCOUNT="omni", **QUICK)
    stack.db.execute("update lanes set window_start = null, window_end = null, max_concurrent = 0 where name = 'redial'")
    stack.sim.script([{"times": 4, "action": {"outcome": "SALE", "webhook": {"lost": True}, "reset_after_body": {"dialed": False}}},
                      {"action": {"outcome": "SALE", "call_ms": 100}}])
    leads = stack.leads(4, auto_follow_up=False)
    for lead in leads:
        stack.insert("redial_queue", lead_id=str(lead["id"]), lead_ref=lead["id"], phone_number=lead["phone"], status="pending",
                     attempts=1)
    stack.db.execute("update redial_queue set next_redial_timestamp = now(), last_call_timestamp = now() - interval '1 hour'")
    stack.wait_count(4, "calls", "status = 'undetermined'", timeout=60)
    jobs = {row["lead_id"]: str(row["job_id"]) for row in stack.rows("select lead_id, job_id from calls")}
    paused, removed, closed, again = leads
    base = "/admin/redial-queue/lead"
    assert api(stack, f"{base}/{paused['id']}/pause?phone={paused['phone'][1:]}", "POST").status_code == 200
    assert api(stack, f"{base}/{removed['id']}?phone={removed['phone'][1:]}", "DELETE").status_code == 200
    for lead, decision, status in ((paused, "redial", "cancelled"), (removed, "redial", "cancelled"), (closed, "close", "completed"),
                                   (again, "redial", "pending")):
        assert resolve(stack, jobs[lead["id"]], decision).json()["followUpStatus"] == status
    assert stack.value("select status from redial_queue where lead_id = %s", str(closed["id"])) == "completed"
    stack.wait_count(1, "redial_queue", f"lead_id = '{again['id']}' and status = 'completed' and attempts = 2")
    stack.assert_rung([again["phone"]])
    # Taken up again with its record.
    assert api(stack, f"{base}/{paused['id']}/resume?phone={paused['phone'][1:]}", "POST").status_code == 200
    stack.wait_until(lambda: stack.sim.dialed(paused["phone"]) == 1, 20, "the resumed one dialed")
    stack.stays(lambda: stack.sim.dialed(removed["phone"]) == stack.sim.dialed(closed["phone"]) == 0, 2)
