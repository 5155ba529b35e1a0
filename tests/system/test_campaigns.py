# SPDX-License-Identifier: Apache-2.0
"""Campaigns over the API, through all processes: contacts from CSV, limits, stop and start, refusals of bad input."""

import json
import time

from lib.stack import SECRETS

KEY = SECRETS["ADMIN_API_KEY"]
OPEN = {"account": "vapi", "useLeadWindow": False}


def call(stack, method, path, **more):
    headers = {"X-API-Key": KEY} | more.pop("headers", {})
    return stack.producer.http.request(method, f"/api/campaigns{path}", headers=headers, timeout=60, **more)


def campaign(stack, name="Campaign", **settings):
    answer = call(stack, "POST", "", json={"name": name} | OPEN | settings)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def upload(stack, the_campaign, phones, query=""):
    csv = "Name,Phone,Address,Favourite colour\r\n" + "".join(f"Person {n},{p},{n} Main Street,green\r\n" for n, p in enumerate(phones))
    answer = call(stack, "POST", f"/{the_campaign}/contacts{query}", content=csv, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def progress(stack, the_campaign):
    return call(stack, "GET", f"/{the_campaign}/progress").json()


def dials(stack, phones):
    return [len(stack.sim.calls(phone)) for phone in phones]


def test_contacts_are_called_once_with_the_campaigns_own_settings(stack):
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 20, "outcome": "NO_ANSWER"}}])
    stack.start()
    phones = [stack.phone() for _ in range(30)]
    its = campaign(stack, "Own settings", assistantId="its-assistant", phoneNumberId="its-number", scheduleFrequency="daily",
                   timeZone="America/New_York", maxConcurrent=5)
    seen = upload(stack, its, phones, "?preview=true")
    assert (seen["preview"], seen["created"], seen["rejected"]) == (True, 30, 0)
    assert stack.count("campaign_contacts") == 0
    assert upload(stack, its, [*phones, phones[0]]).items() >= {
        "preview": False, "created": 30, "updated": 0, "duplicates": 1, "rejected": 0, "rejectedRows": [], "rejectedUrl": None}.items()
    stack.wait_count(30, "calls", "outcome is not null")
    # One call a day: the next one is scheduled for tomorrow, in the campaign's zone.
    stack.wait_count(30, "follow_ups", "status = 'pending' and due_at = (date_trunc('day', now() at time zone 'America/New_York')"
                                       " + interval '1 day') at time zone 'America/New_York'")
    assert dials(stack, phones) == [1] * 30
    read = stack.sim.process.http.get("/requests?n=256").json()
    body = next(json.loads(r["body"]) for r in read if r["method"] == "POST" and phones[0] in r["body"])
    assert (body["assistantId"], body["phoneNumberId"]) == ("its-assistant", "its-number")
    assert body["assistantOverrides"]["variableValues"].items() >= {"address": "0 Main Street", "Favourite colour": "green", "name": "Person 0"}.items()
    assert upload(stack, its, phones)["duplicates"] == 30
    assert progress(stack, its).items() >= {"contacts": 30, "scheduled": 30, "failed": 30, "cancelled": 0, "skipped": {}}.items()
    # Campaign calls are nobody's redial.
    assert stack.count("redial_queue") == 0
    assert stack.count("leads", "stage <> 'new' or call_date is not null") == 0


def test_at_most_so_many_live_calls_over_all_processes(stack):
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 400, "outcome": "SALE"}}])
    stack.start()
    producers = [stack.producer, *stack.start("producer")]
    consumers = [stack.consumer, *stack.start("consumer")]
    assert len(producers) == len(consumers) == 2
    phones = [stack.phone() for _ in range(60)]
    its = campaign(stack, "Ten at once", maxConcurrent=10, maxPerRun=0)
    upload(stack, its, phones)
    most, until = 0, time.monotonic() + 60
    while stack.count("calls", "outcome is not null") < 60 and time.monotonic() < until:
        most = max(most, stack.value("select count(*) from carillon.live"))
        assert most <= 10
        time.sleep(0.02)
    stack.wait_count(60, "calls", "outcome is not null")
    assert dials(stack, phones) == [1] * 60
    assert 5 <= most <= 10
    # A success is not followed by another call.
    assert progress(stack, its).items() >= {"scheduled": 0, "completed": 60}.items()


def test_stop_cancels_and_start_goes_on_with_the_rest(stack):
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 300, "outcome": "SALE"}}])
    stack.start()
    phones = [stack.phone() for _ in range(80)]
    its = campaign(stack, "Stopped", maxConcurrent=4)
    other = campaign(stack, "Not stopped", maxConcurrent=4)
    spared = [stack.phone() for _ in range(10)]
    upload(stack, its, phones)
    stack.wait_until(lambda: sum(dials(stack, phones)) >= 8, 30, "some calls")
    stopped = call(stack, "POST", f"/{its}/stop").json()
    assert stopped["isActive"] is False and 0 < stopped["cancelled"] <= 72
    time.sleep(1)
    made = sum(dials(stack, phones))
    upload(stack, other, spared)
    stack.wait_until(lambda: sum(dials(stack, spared)) == 10, 30, "the other campaign")
    stack.wait_count(0, "follow_ups", "kind = 'campaign' and status in ('pending', 'queued', 'dialing')")
    assert sum(dials(stack, phones)) == made
    assert progress(stack, its).items() >= {"scheduled": 0, "cancelled": 80 - made}.items()
    assert call(stack, "POST", f"/{its}/stop").json()["isActive"] is False  # again: nothing happens
    assert call(stack, "PATCH", f"/{its}", json={"isActive": True}).json()["isActive"] is True
    stack.wait_until(lambda: sum(dials(stack, phones)) == 80, 60, "the rest")
    assert dials(stack, phones) == [1] * 80
    assert stack.rows("select from_state, to_state from carillon.transitions where entity = 'campaign' and entity_id = %s"
                      " order by id", str(its)) == [
        {"from_state": None, "to_state": "active"},
        {"from_state": "active", "to_state": "stopped"}, {"from_state": "stopped", "to_state": "active"}]


def test_bad_input_is_told_all_at_once(stack):
    stack.start("producer")
    answer = call(stack, "POST", "", json={
        "account": "nobody", "scheduleFrequency": "hourly", "scheduleDays": [8], "startTime": "25:00", "timeZone": "Mars/Base",
        "retryAttempts": 0, "maxConcurrent": -1, "callsPerSecond": 0, "priority": 9, "useLeadWindow": "yes", "colour": "green"})
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json"
    assert {e["field"] for e in answer.json()["errors"]} == {
        "name", "account", "scheduleFrequency", "scheduleDays", "startTime", "timeZone", "retryAttempts", "maxConcurrent",
        "callsPerSecond", "priority", "useLeadWindow", "colour"}
    answer = call(stack, "POST", "", json={"name": "x", "startTime": "09:00", "scheduleFrequency": "weekly", "assistantId": "a"})
    assert {e["field"] for e in answer.json()["errors"]} == {"endTime", "timeZone", "scheduleDays", "assistantId"}
    its = campaign(stack, "Rows", scheduleFrequency="weekly", scheduleDays=[0, 1, 7], timeZone="Asia/Kolkata",
                   startTime="9:30", endTime="17:00")
    shown = call(stack, "GET", f"/{its}").json()
    assert (shown["scheduleDays"], shown["startTime"], shown["endTime"]) == ([1, 7], "09:30", "17:00")
    good = stack.phone()
    rows = ["Name;Phone;Time zone", f"Ann;{good};", "Bob;;", "Cleo;1.5551E+10;", f"Dan;{stack.phone()};Mars/Base", "Eve;911;", "", f"Fay;{good};"]
    answer = call(stack, "POST", f"/{its}/contacts", content="\ufeff" + "\r\n".join(rows), headers={"Content-Type": "text/csv"}).json()
    assert (answer["created"], answer["duplicates"], answer["rejected"]) == (1, 1, 4)
    assert [(r["row"], r["column"]) for r in answer["rejectedRows"]] == [(3, "phone"), (4, "phone"), (5, "time_zone"), (6, "phone")]
    assert "spreadsheet" in answer["rejectedRows"][1]["reason"]
    assert call(stack, "POST", f"/{its}/contacts?preview=yes", json=[{"phone": stack.phone()}]).status_code == 422
    assert stack.count("campaign_contacts") == 1
    assert call(stack, "POST", f"/{its}/contacts", json=[{"phone": stack.phone(), "first_name": "Gus"}]).json()["created"] == 1
    for method, path in (("GET", "/999"), ("GET", "/x"), ("PATCH", "/999"), ("DELETE", "/999"), ("POST", "/999/start"), ("POST", "/999/clone"),
                         ("GET", "/999/progress"), ("POST", "/999/contacts")):
        body = {"json": [{"phone": good}] if path.endswith("contacts") else {}} if method in ("PATCH", "POST") else {}
        assert call(stack, method, path, **body).status_code == 404, (method, path)
    copy = call(stack, "POST", f"/{its}/clone", json={"name": "Other"}).json()
    assert copy.items() >= {"name": "Other", "isActive": False, "scheduleDays": [1, 7], "timeZone": "Asia/Kolkata"}.items()
    assert call(stack, "DELETE", f"/{its}").json() == {"id": its, "deleted": True}
    assert [c["id"] for c in call(stack, "GET", "?active=false").json()["campaigns"]] == [copy["id"]]
    assert call(stack, "GET", f"/{its}").status_code == 404
