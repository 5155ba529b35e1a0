# SPDX-License-Identifier: Apache-2.0
"""The history of calls over the API: its filters, pages and export, one call with all that is known of it, and what an operator
decides of one."""

import csv
import io
import threading

import pytest
from lib.stack import SECRETS

KEY = SECRETS["ADMIN_API_KEY"]
OPEN = {"use_lead_window": False, "window_start": None, "window_end": None}


def api(stack, path, method="GET", accept="application/json", **more):
    return stack.producer.http.request(method, f"/api{path}", headers={"X-API-Key": KEY, "Accept": accept}, **more)


def calls(stack, query=""):
    answer = api(stack, f"/calls{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["calls"]


def names(stack, query):
    return [one["contactName"] for one in calls(stack, query)]


def campaign(stack, name, contacts, account="vapi", **more):
    made = api(stack, "/campaigns", "POST", json={"name": name, "account": account, "useLeadWindow": False} | more).json()
    answer = api(stack, f"/campaigns/{made['id']}/contacts", "POST", json=contacts)
    assert answer.status_code == 200 and answer.json()["created"] == len(contacts), answer.text
    return made["id"]


def contact(stack, name):
    first, _, last = name.partition(" ")
    return {"first_name": first, "last_name": last or None, "phone": stack.phone(), "time_zone": "America/New_York"}


def talk(stack, provider, call_ms=600_000, **more):
    """One call that goes on."""
    stack.start(FOLLOW_UP_ACCOUNT=provider, LEAD_WINDOW="00:00-24:00", **more)
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": call_ms}}])
    lead = stack.lead(first_name="Ada")
    stack.wait_count(1, "calls", "status in ('calling', 'in_progress') and provider_call_id is not null")
    return lead, str(stack.value("select job_id from calls"))


def test_filters_and_export(stack):
    stack.start(LEAD_WINDOW="00:00-24:00")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    people = [contact(stack, name) for name in ("Ada Lovelace", "=cmd|'/c calc'!A1", 'Grace "Amazing" Hopper', "Jos\u00e9 Mu\u00f1oz")]
    first = campaign(stack, "First, of all", people[:3])
    second = campaign(stack, "-second", people[3:], isActive=False)
    stack.wait_count(3, "calls", "status = 'completed' and outcome = 'SALE'")
    # One is not dialed any more, one waits for its hour.
    stopped = api(stack, "/suppressions", "POST", json={"phone": (gone := contact(stack, "Gone"))["phone"]})
    assert stopped.status_code in (200, 201)
    api(stack, f"/campaigns/{first}/contacts", "POST", json=[gone]).raise_for_status()
    stack.wait_count(1, "follow_ups", "status = 'skipped'")

    assert sorted(one["status"] for one in calls(stack)) == ["cancelled", "cancelled", "completed", "completed", "completed"]
    assert sorted(names(stack, f"?campaign={first}")) == sorted(["Gone", "Ada Lovelace", "=cmd|'/c calc'!A1", 'Grace "Amazing" Hopper'])
    assert names(stack, f"?campaign={second}") == ["Jos\u00e9 Mu\u00f1oz"] and names(stack, f"?campaign={second}&status=cancelled") == ["Jos\u00e9 Mu\u00f1oz"]
    assert len(names(stack, "?status=completed")) == 3 and names(stack, "?status=failed") == names(stack, "?status=scheduled") == []
    assert names(stack, "?q=lovel") == ["Ada Lovelace"] and names(stack, "?q=MU%C3%91") == ["Jos\u00e9 Mu\u00f1oz"]
    assert names(stack, f"?q={people[0]['phone'][2:]}") == ["Ada Lovelace"]
    assert names(stack, f"?q=%2B{people[0]['phone'][1:]}&status=completed") == ["Ada Lovelace"]
    one = calls(stack, "?q=Ada+Lovelace")[0]
    assert (one["campaignId"], one["campaignName"], one["phone"]) == (first, "First, of all", people[0]["phone"])
    assert one["status"] == "completed" and one["outcome"] == "SALE" and "SALE" in one["message"] and one["durationSeconds"] is not None
    assert one["provider"] == one["account"] == "vapi" and one["providerCallId"] and one["dialedAt"] and one["endedAt"] and one["attempt"] == 1
    assert names(stack, f"?lead_id={one['contactId']}") == ["Ada Lovelace"]
    assert names(stack, f"?from={one['timestamp']}&to={one['timestamp']}") == [] and "Ada Lovelace" in names(stack, f"?from={one['timestamp']}")
    assert "Ada Lovelace" not in names(stack, f"?to={one['timestamp']}") and len(names(stack, f"?from={one['timestamp'][:10]}")) == 5
    skipped = calls(stack, "?q=gone")[0]
    assert skipped["status"] == "cancelled" and skipped["id"].startswith("s") and "do-not-call" in skipped["message"]
    for wrong in ("status=lost", "campaign=x", "from=yesterday", "to=2026-02-30", "q=%20", "after=1", "limit=1001", "colour=red"):
        answer = api(stack, f"/calls?{wrong}")
        assert answer.status_code == 422 and wrong.split("=")[0] in answer.text, answer.text

    sheet = api(stack, "/calls", accept="text/csv")
    assert sheet.status_code == 200 and sheet.headers["content-type"].startswith("text/csv")
    assert sheet.text.endswith("\r\n") and sheet.text.count("\r\n") == 6
    rows = {row["contactName"]: row for row in csv.DictReader(io.StringIO(sheet.text, newline=""))}
    assert set(rows) == {"Gone", "Ada Lovelace", "'=cmd|'/c calc'!A1", 'Grace "Amazing" Hopper', "Jos\u00e9 Mu\u00f1oz"}
    assert rows["Ada Lovelace"]["phone"] == people[0]["phone"] and rows["Ada Lovelace"]["campaignName"] == "First, of all"
    assert rows["Jos\u00e9 Mu\u00f1oz"]["campaignName"] == "'-second" and rows["Jos\u00e9 Mu\u00f1oz"]["status"] == "cancelled"
    only = api(stack, f"/calls?campaign={first}&status=completed&limit=2", accept="text/csv").text
    assert only.count("\r\n") == 3
    refused = api(stack, "/calls?status=lost", accept="text/csv")
    assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["", "&status=completed", "&q=person"])
def test_pages_while_calls_are_added(stack, query):
    """Each call that was there when the first page was read comes once, whatever is dialed meanwhile; so does the export."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi", LEAD_WINDOW="00:00-24:00")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 50}}])
    stack.leads(150, first_name="Person")
    stack.wait_count(150, "calls", "status = 'completed'", timeout=60)
    known = {str(row["job_id"]) for row in stack.rows("select job_id from calls")}
    done = threading.Event()

    def dial():
        while not done.wait(0.2):
            stack.producer.http.post("/api/leads", json={"phone": stack.phone(), "first_name": "Person", "time_zone": "America/New_York"},
                                     headers={"X-API-Key": KEY}).raise_for_status()

    adding = threading.Thread(target=dial)
    adding.start()
    try:
        before = stack.count("calls")
        seen, after = [], ""
        while True:
            page = api(stack, f"/calls?limit=7{query}{after}").json()
            seen += [one["id"] for one in page["calls"]]
            if not page["next"]:
                break
            after = f"&after={page['next']}"
        stack.wait_until(lambda: stack.count("calls") > before, 20, "calls that were added")
        sheet = api(stack, f"/calls?{query[1:]}", accept="text/csv").text
    finally:
        done.set()
        adding.join()
    assert len(seen) == len(set(seen)) and known <= set(seen)
    rows = [row["id"] for row in csv.DictReader(io.StringIO(sheet, newline=""))]
    assert len(rows) == len(set(rows)) and known <= set(rows)


def test_one_call_as_it_goes_on(stack):
    """Ringing and answered show as they happen; the report's members, and everything in one timeline, when it is over."""
    lead, job = talk(stack, "vapi", call_ms=30_000)
    stack.wait_until(lambda: api(stack, f"/calls/{job}").json()["ledgerStatus"] == "ringing", 20, "it rings")
    stack.wait_until(lambda: api(stack, f"/calls/{job}").json()["status"] == "in_progress", 30, "it was answered")
    assert [one["id"] for one in calls(stack, "?status=in_progress")] == [job]
    stack.sim.process.http.post(f"/calls/{stack.sim.calls(lead['phone'])[0]['id']}/end").raise_for_status()
    stack.wait_until(lambda: (api(stack, f"/calls/{job}").json()["report"] or {}).get("summary"), 30, "the report")
    shown = api(stack, f"/calls/{job}").json()
    assert shown["status"] == "completed" and shown["outcome"] == "SALE" and shown["success"] is True
    assert shown["report"] == {"summary": "A simulated conversation.", "transcript": "AI: Hello. User: Hello.", "cost": 0.07,
                               "recordingUrl": f"https://recordings.example.test/{shown['providerCallId']}.wav", "successEvaluation": "true"}
    told = [(step["what"], step["detail"]) for step in shown["timeline"]]
    assert [what for what, _ in told][:3] == ["scheduled", "claimed", "dialed"]
    assert ("event", "ringing") in told and ("event", "in_progress") in told and ("event", "report SALE customer-ended-call") in told
    assert ("answer", f"HTTP 201 {shown['providerCallId']}") in told and ("lead contacted", "dispatched") in told
    assert [step["at"] for step in shown["timeline"]] == sorted(step["at"] for step in shown["timeline"])
    assert [one["id"] for one in shown["tries"]] == [job] and shown["followUp"]["jobId"] == job
    # By the id that it had while it was scheduled, too.
    assert api(stack, f"/calls/s{shown['followUpId']}").json()["id"] == job
    assert api(stack, "/calls/s999999").status_code == api(stack, "/calls/nonsense").status_code == 404


def test_called_off_with_its_job_in_kafka(stack):
    """What an operator cancels is not dialed, though a dispatcher finds its job in the topic."""
    stack.start("producer", "webhook", FOLLOW_UP_ACCOUNT="vapi", LEAD_WINDOW="00:00-24:00")
    gone, other = stack.leads(2)
    stack.wait_count(2, "follow_ups", "status = 'queued'")
    ids = {one["contactId"]: one["id"] for one in calls(stack, "?status=scheduled")}
    answer = api(stack, f"/calls/{ids[gone['id']]}/cancel", "POST")
    assert answer.status_code == 200 and answer.json()["status"] == "cancelled" and "operator" in answer.json()["message"]
    assert api(stack, f"/calls/{ids[gone['id']]}/cancel", "POST").status_code == 200
    stack.start("consumer", FOLLOW_UP_ACCOUNT="vapi", LEAD_WINDOW="00:00-24:00")
    stack.wait_count(1, "calls", "status in ('calling', 'ringing', 'in_progress', 'completed', 'failed')")
    stack.stays(lambda: stack.ledger()["phones"] == {other["phone"]: 1}, 3)
    assert [one["contactId"] for one in calls(stack, "?status=cancelled")] == [gone["id"]]
    told = api(stack, f"/calls/{ids[gone['id']]}").json()["timeline"]
    assert ("call cancelled", "operator") in [(step["what"], step["actor"]) for step in told]
    # Dialed, it can't be called off; neither can a call that there is not.
    dialed = str(stack.value("select job_id from calls"))
    assert api(stack, f"/calls/{dialed}/cancel", "POST").status_code == 409
    assert api(stack, f"/calls/{ids[other['id']]}/cancel", "POST").status_code == 409
    assert api(stack, "/calls/s99999/cancel", "POST").status_code == 404
    assert api(stack, f"/calls/{ids[gone['id']]}/hangup", "POST").status_code == 409


@pytest.mark.parametrize("provider", ["vapi", "bland"])
def test_hung_up(stack, provider):
    lead, job = talk(stack, provider, SWEEP_INTERVAL_S=60)
    answer = api(stack, f"/calls/{job}/hangup", "POST")
    assert answer.status_code == 202, answer.text
    # At once, not with the next sweep, and over by the provider's own word.
    stack.wait_count(1, "calls", "status in ('completed', 'failed') and ended_at is not null", timeout=15)
    assert stack.count("call_events", "type in ('ended', 'report') and event_id not like 'reconcile%%'") >= 1
    stack.wait_count(0, "live")
    shown = api(stack, f"/calls/{job}").json()
    told = [(step["what"].split()[0], (step["detail"] or "").split(":")[0], step["actor"]) for step in shown["timeline"] if step["what"].startswith("call ")]
    assert ("call", "hang_up", "operator") in told
    stack.wait_until(lambda: "hang_up_told" in api(stack, f"/calls/{job}").text or stack.count("live") == 0, 5, "what came of it")
    assert [entry["result"] for entry in stack.consumer.log_events("call.hang_up")] == ["told"]
    assert api(stack, f"/calls/{job}/hangup", "POST").status_code == 409
    assert stack.sim.dialed(lead["phone"]) == 1


def test_hung_up_by_a_provider_that_fails(stack):
    """It is told a few times, and why it could not be is in the call's timeline; the call goes on until it ends."""
    lead, job = talk(stack, "vapi", PROVIDER_TIMEOUT_S=2)
    stack.sim.script([{"action": {"list_fails": True}}])
    assert api(stack, f"/calls/{job}/hangup", "POST").status_code == 202
    stack.wait_until(lambda: "hang_up_failed" in api(stack, f"/calls/{job}").text, 20, "a try that failed")
    assert api(stack, f"/calls/{job}").json()["hangUp"]["tries"] >= 1
    stack.sim.script([{"action": {"outcome": "SALE"}}])
    stack.wait_count(1, "calls", "status in ('completed', 'failed')", timeout=30)


def test_a_provider_that_can_not(stack):
    _, job = talk(stack, "omni")
    answer = api(stack, f"/calls/{job}/hangup", "POST")
    assert answer.status_code == 409 and "omni" in answer.json()["detail"]
    assert stack.count("live", "hang_up_at is not null") == 0
