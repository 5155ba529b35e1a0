# SPDX-License-Identifier: Apache-2.0
"""The campaign guide's scenarios over fifteen days on a clock that the test moves; all processes and PostgreSQL follow it.

Around both days on which New York's clocks change; Lord Howe's, which change by half an hour, change in between or not at all,
Kolkata's never. Nobody is to be called out of hours, twice in a cycle, or on another day, and nobody is to be left out.
"""

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from lib.clock import Clock, Walk, clocked_servers
from lib.stack import SECRETS

DAYS = 15
SECOND = timedelta(seconds=1)

# name: frequency, days, hours, zone
CAMPAIGNS = {
    "daily": ("daily", None, "09:00", "17:00", "America/New_York"),
    "weekly": ("weekly", [1, 3, 5], "10:00", "14:00", "America/Los_Angeles"),
    "custom": ("custom", [2, 6, 0], "22:00", "02:00", "America/New_York"),  # over midnight, and over the hour that comes twice
    "kolkata": ("daily", None, "09:30", "18:00", "Asia/Kolkata"),
    "lord howe": ("daily", None, "01:00", "03:30", "Australia/Lord_Howe"),
    "stopped": ("daily", None, "09:00", "17:00", "America/New_York"),
}


@pytest.fixture(scope="module")
def clock(directory):
    return Clock(directory / "clock-campaigns")


@pytest.fixture(scope="module")
def servers(servers, clock, directory):
    clock.set(datetime(2026, 10, 1, tzinfo=UTC))
    with clocked_servers(servers, clock, directory / "pg-clock-campaigns") as mine:
        yield mine


class CampaignWalk(Walk):
    def __init__(self, stack, clock):
        super().__init__(stack, clock)
        self.ids, self.phones = {}, {}

    def call(self, method, path, **more):
        answer = self.stack.producer.http.request(method, f"/api/campaigns{path}", headers={"X-API-Key": SECRETS["ADMIN_API_KEY"]}, **more)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def begin(self, name):
        frequency, days, start, end, zone = CAMPAIGNS[name]
        self.ids[name] = self.call("POST", "", json={
            "name": name, "account": "vapi", "scheduleFrequency": frequency, "scheduleDays": days, "startTime": start, "endTime": end,
            "timeZone": zone, "useLeadWindow": False})["id"]
        self.phones[name] = [self.stack.phone() for _ in range(3)]
        self.call("POST", f"/{self.ids[name]}/contacts", json=[{"phone": phone} for phone in self.phones[name]])

    def quiet(self):
        """All that is due by now is done."""
        self.stack.wait_count(0, "campaigns", "changing")
        self.stack.wait_count(0, "follow_ups f", "status in ('queued', 'dialing') or status = 'pending' and next_look_at <= now()"
                              " and (select closed from carillon.lane_gates(now()) g where g.lane_id = f.lane_id) is null")
        # Last, what the end of a call leads to.
        for table, where in (("live", "true"), ("call_events", "state = 'parked'"), ("campaign_contacts", "schedule_at is not null")):
            self.stack.wait_count(0, table, where)

    def until(self, end):
        """From one time that is due to the next; shortly before each of them nobody is called."""
        while True:
            self.quiet()
            due = self.stack.value("select min(case when next_look_at > now() then next_look_at else carillon.next_opening(now(), lane_id,"
                                   " '{}', null, null) end) from carillon.follow_ups where status = 'pending'")
            if due is None or due >= end:
                break
            if due - 20 * SECOND > self.clock.now():
                before = self.stack.ledger()["total"]
                self.clock.set(due - 20 * SECOND)
                self.stack.stays(lambda total=before: self.stack.ledger()["total"] == total, 0.15, "silence")
            self.clock.set(max(due, self.clock.now()) + SECOND)
        if end > self.clock.now():
            self.clock.set(end)

    def calls(self, name):
        """The local times of each contact's calls."""
        zone = ZoneInfo(CAMPAIGNS[name][4])
        return {phone: [datetime.fromisoformat(c["at"]).astimezone(zone) for c in self.stack.sim.calls(phone)] for phone in self.phones[name]}


def hours(name):
    return tuple(time.fromisoformat(t) for t in CAMPAIGNS[name][2:4])


def run_of(name, at):
    """The day that a call belongs to: the one on which its window opened."""
    start, end = hours(name)
    return at.date() - timedelta(days=1) if start > end and at.time() < end else at.date()


def check(name, calls):
    start, end = hours(name)
    days = CAMPAIGNS[name][1]
    for at in calls:
        inside = start <= at.time() < end if start < end else at.time() >= start or at.time() < end
        assert inside, f"{name}: called at {at}"
        assert not days or run_of(name, at).isoweekday() in [d or 7 for d in days], f"{name}: called on {at:%A}"
    for day_of in (datetime.date, lambda at: run_of(name, at)):
        cycle = Counter(day_of(at).isocalendar()[:2] if CAMPAIGNS[name][0] == "weekly" else day_of(at) for at in calls)
        assert max(cycle.values()) == 1, f"{name}: twice in {cycle.most_common(1)}"


@pytest.mark.parametrize("first", [date(2026, 10, 25), date(2027, 3, 7)], ids=["fall-back", "spring-forward"])
def test_fifteen_days(stack, clock, first):
    begin = datetime.combine(first, time(0), ZoneInfo("America/New_York")).astimezone(UTC)
    clock.set(begin)
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 30, "outcome": "SALE"}}])
    stack.start()
    w = CampaignWalk(stack, clock)
    for name in CAMPAIGNS:
        w.begin(name)
    w.until(begin + timedelta(days=4, hours=12))
    w.call("POST", f"/{w.ids['stopped']}/stop")
    stopped = clock.now()
    w.until(begin + timedelta(days=8, hours=3))
    w.call("POST", f"/{w.ids['stopped']}/start")
    started = clock.now()
    w.until(begin + timedelta(days=DAYS))
    w.quiet()
    for name in CAMPAIGNS:
        for phone, calls in w.calls(name).items():
            check(name, calls)
            dates = sorted({run_of(name, at) for at in calls})
            local = {(begin + timedelta(days=d)).astimezone(ZoneInfo(CAMPAIGNS[name][4])).date() for d in range(1, DAYS - 1)}
            if name == "daily" or name in ("kolkata", "lord howe"):
                assert local <= set(dates), f"{name} {phone[-2:]}: not called on {sorted(local - set(dates))}"
            elif name == "custom":
                wanted = {d for d in local if d.isoweekday() in (2, 6, 7)}
                assert wanted <= set(dates), f"{name}: not called on {sorted(wanted - set(dates))}"
            elif name == "weekly":
                weeks = {d.isocalendar()[:2] for d in local if d.isoweekday() == 5}
                assert weeks <= {d.isocalendar()[:2] for d in dates}
            else:
                assert not [at for at in calls if stopped <= at < started], "called while it was stopped"
                assert min(calls) < stopped and max(calls) > started
    assert stack.count("follow_ups", "kind = 'campaign' and status = 'pending'") == 3 * len(CAMPAIGNS)
