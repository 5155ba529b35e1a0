# SPDX-License-Identifier: Apache-2.0
"""The redial queue over days on a clock that the test moves: all processes and PostgreSQL follow it.

Both days of the year on which New York's clocks change. The windows are those of the defaults: redials from 11:00 to 20:00 there.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from lib.clock import Clock, Walk, clocked_servers

NEW_YORK = ZoneInfo("America/New_York")
FALL_BACK, SPRING_FORWARD = date(2026, 11, 1), date(2027, 3, 14)
MINUTE = timedelta(minutes=1)
RETENTION = timedelta(days=30)


@pytest.fixture(scope="module")
def clock(directory):
    return Clock(directory / "clock")


@pytest.fixture(scope="module")
def servers(servers, clock, directory):
    clock.set(datetime(2026, 10, 31, tzinfo=UTC))
    with clocked_servers(servers, clock, directory / "pg-clock") as mine:
        yield mine


class RedialWalk(Walk):
    """In New York's time."""

    def __init__(self, stack, clock, day):
        super().__init__(stack, clock)
        self.day = day
        self.eve, self.next_day = day - timedelta(days=1), day + timedelta(days=1)

    def at(self, day, hour, minute=0):
        return datetime.combine(day, time(hour, minute), NEW_YORK)

    def dials(self, lead):
        return [datetime.fromisoformat(call["at"]) for call in self.stack.sim.calls(lead["phone"])]

    def script(self, lead, *ends):
        """How this lead's calls end, one after the other, the last of them for ever; all events come three times."""
        action = {"latency_ms": 5, "call_ms": 50, "webhook": {"duplicates": 2}}
        return [{"match": {"phone": lead["phone"]}, "action": action | end} | ({"times": 1} if n < len(ends) else {})
                for n, end in enumerate(ends, 1)]

    def record(self, lead):
        return self.stack.row("select * from carillon.redial_queue where lead_ref = %s", lead["id"])

    def dialed(self, lead, n, at, status):
        """Its nth dial was in the minute that begins at `at`, and is what the record says; nobody else was dialed."""
        self.stack.wait_until(lambda: len(self.dials(lead)) == n, 20, f"dial {n}")
        self.stack.wait_until(lambda: self.record(lead) and self.record(lead)["attempts"] == n, 20, f"attempt {n} recorded")
        self.quiet()
        dial, record = self.dials(lead)[-1], self.record(lead)
        assert at.astimezone(UTC) <= dial < at.astimezone(UTC) + MINUTE, f"dial {n} at {dial.astimezone(NEW_YORK)}"
        assert record["attempts"] == n == len(record["outcomes"]) and record["status"] == status
        if status == "pending":
            assert record["next_redial_timestamp"] - record["last_call_timestamp"] == 30 * MINUTE
            assert at.astimezone(UTC) + 30 * MINUTE <= record["next_redial_timestamp"] < at.astimezone(UTC) + 31 * MINUTE

    def redialed(self, lead, n, at, status):
        """The same of a dial that the record's own time is the moment of."""
        moment = self.record(lead)["next_redial_timestamp"]
        assert at.astimezone(UTC) <= moment < at.astimezone(UTC) + MINUTE, f"due at {moment.astimezone(NEW_YORK)}"
        self.silent(moment)
        self.clock.set(moment)
        self.dialed(lead, n, at, status)

    def opens(self, lead, n, at, status):
        """The same of a dial that waits for the opening of the window."""
        assert self.record(lead)["next_redial_timestamp"] < at
        self.silent(at)
        self.clock.set(at.astimezone(UTC))
        self.dialed(lead, n, at, status)

    def sizes(self):
        return {table: self.stack.count(table) for table in
                ("leads", "calls", "call_events", "follow_ups", "suppressions", "outcome_rules", "provider_calls", "lanes")}


@pytest.mark.parametrize("day", [FALL_BACK, SPRING_FORWARD], ids=["fall-back", "spring-forward"])
def test_walk(stack, clock, day):
    w = RedialWalk(stack, clock, day)
    start = w.at(w.eve, 19, 10)
    clock.set(start.astimezone(UTC))
    stack.start()
    keen, sold, called_back, asked_late = ({"phone": stack.phone()} for _ in range(4))
    no_answer, sale = {"outcome": "NO_ANSWER"}, {"outcome": "SALE"}

    def callback(first_call, at):
        return {"outcome": "CALLBACK", "callback_in_ms": int((at - first_call).total_seconds() * 1000)}

    # A call ends within seconds of its beginning, so the time that is asked for is at most a few seconds after these.
    half_past = w.at(day, 13, 30)
    stack.sim.script([
        *w.script(keen, no_answer), *w.script(sold, no_answer, no_answer, sale),
        *w.script(called_back, callback(half_past, w.at(day, 15)), sale),
        *w.script(asked_late, callback(half_past, w.at(day, 22)), sale)])

    def lead(one):
        one |= stack.lead(phone=one["phone"])

    # Four dials 30 minutes apart, of which the third waits for the morning, an hour that the night made longer or shorter.
    lead(keen)
    w.dialed(keen, 1, start, "pending")
    w.redialed(keen, 2, w.at(w.eve, 19, 40), "pending")
    w.silent(w.at(w.eve, 20, 11))
    w.silent(w.at(day, 10, 0))
    assert w.at(day, 11).astimezone(UTC) - w.at(w.eve, 11).astimezone(UTC) == timedelta(hours=25 if day == FALL_BACK else 23)
    w.opens(keen, 3, w.at(day, 11), "pending")
    w.redialed(keen, 4, w.at(day, 11, 30), "max_attempts")

    # Success on the third ends it.
    w.goto(w.at(day, 12))
    lead(sold)
    w.dialed(sold, 1, w.at(day, 12), "pending")
    w.redialed(sold, 2, w.at(day, 12, 30), "pending")
    w.redialed(sold, 3, w.at(day, 13), "completed")

    # A time that was agreed on: within the window it is kept, else the next opening is the time.
    w.goto(half_past)
    lead(called_back)
    lead(asked_late)
    w.dialed(called_back, 1, half_past, "rescheduled")
    w.dialed(asked_late, 1, half_past, "rescheduled")
    w.redialed(called_back, 2, w.at(day, 15), "completed")
    assert w.at(day, 22) <= w.record(asked_late)["scheduled_callback_time"] < w.at(day, 22, 1)
    w.silent(w.at(day, 22, 1))
    w.opens(asked_late, 2, w.at(w.next_day, 11), "completed")

    # And that was all. Each event came three times and was applied once.
    w.silent(w.at(w.next_day + timedelta(days=3), 12))
    assert [len(w.dials(one)) for one in (keen, sold, called_back, asked_late)] == [4, 3, 2, 2]
    assert stack.count("calls") == 11
    assert stack.count("call_events", "message = 'redial'") == stack.count("call_events", "message = 'redial' and state = 'applied'") == 11
    assert stack.webhook.metric("carillon_webhooks_total", answer="202") >= 33

    # Retention takes what is older, and nothing else.
    sizes = w.sizes()
    w.goto(w.record(keen)["updated_at"] + RETENTION + MINUTE)
    stack.wait_count(3, "redial_queue")
    assert w.record(keen) is None
    w.goto(w.record(asked_late)["updated_at"] + RETENTION - MINUTE)
    stack.wait_count(1, "redial_queue")
    assert w.record(asked_late)["status"] == "completed"
    assert w.sizes() == sizes and stack.ledger()["total"] == 11
