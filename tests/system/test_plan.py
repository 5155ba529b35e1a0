# SPDX-License-Identifier: Apache-2.0
"""What is planned is dialed: hours, holidays, lanes and settings that change over the API reach calls that are scheduled already."""

from datetime import UTC, datetime, timedelta

from lib.stack import SECRETS

KEY = SECRETS["ADMIN_API_KEY"]


def api(stack, method, path, body=None, status=200):
    answer = stack.producer.http.request(method, f"/api{path}", json=body, timeout=60, headers={"X-API-Key": KEY})
    assert answer.status_code == status, answer.text
    return answer.json()


def planned(stack, its):
    """The plan of one campaign."""
    (lane,) = api(stack, "GET", f"/plan?hours=24&campaign={its}")["lanes"]
    return lane


def hour(ahead):
    return (datetime.now(UTC) + timedelta(hours=ahead)).replace(minute=0, second=0, microsecond=0)


def test_a_changed_schedule_is_planned_and_dialed(stack):
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 50, "outcome": "SALE"}}])
    stack.start()
    opens = hour(3)
    its = api(stack, "POST", "/campaigns", {
        "name": "Later", "account": "vapi", "timeZone": "UTC", "startTime": f"{opens:%H:%M}", "endTime": f"{opens + timedelta(hours=4):%H:%M}",
        "useLeadWindow": False, "maxConcurrent": 0, "maxPerRun": 0, "callsPerSecond": 10 / 3600}, 201)["id"]
    phones = [stack.phone() for _ in range(25)]
    api(stack, "POST", f"/campaigns/{its}/contacts", [{"phone": phone} for phone in phones])
    stack.wait_count(25, "follow_ups", "status = 'pending'")
    lane = planned(stack, its)
    assert (lane["waiting"], lane["planned"], lane["limited_by"], lane["calls_per_hour"]) == (25, 25, "rate", 10)
    assert [(datetime.fromisoformat(h["at"]), h["calls"]) for h in lane["hours"]] == [
        (opens, 10), (opens + timedelta(hours=1), 10), (opens + timedelta(hours=2), 5)]
    assert stack.ledger()["total"] == 0

    # A holiday, and the day after it: the window is on the next one.
    day = f"{opens:%Y-%m-%d}"
    assert api(stack, "POST", "/holidays", {"day": day, "name": "Fest"}) == {"day": day, "name": "Fest", "tenant": "default"}
    stack.wait_until(lambda: not stack.count("follow_ups", "due_at < %s", opens + timedelta(hours=20)), 30, "calls moved to the day after")
    assert planned(stack, its)["planned"] == 0
    api(stack, "DELETE", f"/holidays/{day}")
    stack.wait_until(lambda: stack.count("follow_ups", "due_at = %s", opens) == 25, 30, "calls moved back")

    # Open now, and fast: all that had its time hours from now is called.
    api(stack, "PATCH", f"/campaigns/{its}", {"startTime": None, "endTime": None, "callsPerSecond": None})
    stack.wait_until(lambda: stack.ledger()["phones"] == dict.fromkeys(phones, 1), 40, "all are called")
    stack.wait_count(25, "calls", "outcome is not null")
    assert api(stack, "GET", f"/plan?campaign={its}")["lanes"] == []


def test_lanes_and_settings_change_and_say_for_how_long(stack):
    stack.start()
    lead = stack.lead(time_zone="Pacific/Kiritimati")
    (lane,) = [n for n in api(stack, "GET", "/lanes?tenant=default")["lanes"] if n["name"] == "follow_ups"]
    stack.wait_until(lambda: stack.sim.dialed(lead["phone"]) == 1, 30, "one that may be called is")
    now = datetime.now(UTC)
    changed = api(stack, "PATCH", f"/lanes/{lane['id']}", {
        "window_start": f"{now + timedelta(hours=2):%H:%M}", "window_end": f"{now + timedelta(hours=3):%H:%M}", "time_zone": "UTC", "rate_per_second": 2})
    assert changed["closed"] == "window" and changed["rate_per_second"] == 2
    held = stack.lead()
    stack.wait_count(1, "follow_ups", "status = 'pending'")
    (plan,) = api(stack, "GET", "/plan?hours=2")["lanes"]
    assert (plan["lane"], plan["waiting"], [h["gate"] for h in plan["held"]]) == ("follow_ups", 1, ["window"])
    assert stack.sim.dialed(held["phone"]) == 0
    api(stack, "PATCH", f"/lanes/{lane['id']}", {"window_start": None, "window_end": None})
    stack.wait_until(lambda: stack.sim.dialed(held["phone"]) == 1, 30, "it is called when the lane opens")

    its = api(stack, "POST", "/campaigns", {"name": "Its own"}, 201)["id"]
    (its_lane,) = [n["id"] for n in api(stack, "GET", "/lanes?campaigns=true")["lanes"] if n["campaign"] == its]
    assert f"/api/campaigns/{its}" in api(stack, "PATCH", f"/lanes/{its_lane}", {"max_concurrent": 1}, 409)["detail"]

    # A lead window that is over: what would be called waits, until the settings or a start with another environment open it.
    kiritimati = now + timedelta(hours=14)
    ends = {"start": "00:00", "end": f"{kiritimati:%H:%M}"} if kiritimati.hour else {"start": "23:00", "end": "24:00"}
    shown = api(stack, "PATCH", "/settings", {"lead_window": ends})["settings"]["lead_window"]
    assert shown["value"] == ends and "LEAD_WINDOW" in shown["lasts"]
    late = stack.lead(time_zone="Pacific/Kiritimati")
    stack.wait_count(1, "follow_ups", "status = 'pending' and gate = 'lead_window'")
    stack.producer.restart()
    assert api(stack, "GET", "/settings")["settings"]["lead_window"]["value"] == ends
    stack.producer.restart(LEAD_WINDOW="00:00-23:59")
    assert api(stack, "GET", "/settings")["settings"]["lead_window"]["value"] == {"start": "00:00", "end": "23:59"}
    stack.wait_until(lambda: stack.sim.dialed(late["phone"]) == 1, 30, "it is called with the window of the environment")
    api(stack, "GET", "/plan?hours=169", status=422)
    api(stack, "GET", "/plan?campaign=99999", status=404)
