# SPDX-License-Identifier: Apache-2.0
"""Each path of the workflow guide's diagram on a clock that the test moves; all processes and PostgreSQL follow it.

The settings are the defaults: hours from 09:00 to 17:00 in New York, 30 s from a classification to the task call, 30 minutes to the
first retry and twice as long to each further one, stuck after 10 minutes, a classification good for 30 days. The last retry crosses
the night in which New York's clocks are put back. Classification calls are Twilio's, and its classifier speaks by signed webhooks;
task calls are Vapi's.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from lib.clock import Clock, Walk, clocked_servers
from lib.stack import SECRETS
from test_workflow import CLASSIFIER, TASK, Workflow

pytestmark = pytest.mark.timeout(400)

NEW_YORK = ZoneInfo("America/New_York")
EVE, DAY = date(2026, 10, 31), date(2026, 11, 1)   # Sunday: the clocks are put back
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
RETRY = 30 * MINUTE
KEY = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}

BEGUN = ["new", "checking_classification"]
CLASSIFIED = [*BEGUN, "needs_classification", "classifying", "classification_pending", "ready_to_call", "calling"]
KNOWN = [*BEGUN, "ready_to_call", "calling"]
AGAIN = ["retry_pending", "ready_to_call", "calling"]
# The guide's diagram.
DIAGRAM = {
    "new": "checking_classification failed", "checking_classification": "needs_classification ready_to_call",
    "needs_classification": "classifying", "classifying": "classification_pending completed", "classification_pending": "ready_to_call",
    "ready_to_call": "calling", "calling": "completed retry_pending", "retry_pending": "ready_to_call",
}


@pytest.fixture(scope="module")
def clock(directory):
    return Clock(directory / "clock-workflow")


@pytest.fixture(scope="module")
def servers(servers, clock, directory):
    clock.set(datetime(2026, 10, 30, tzinfo=UTC))
    with clocked_servers(servers, clock, directory / "pg-clock-workflow") as mine:
        yield mine


def at(day, hour, minute=0):
    return datetime.combine(day, time(hour, minute), NEW_YORK).astimezone(UTC)


class WorkflowWalk(Walk):
    def __init__(self, stack, clock):
        super().__init__(stack, clock)
        self.workflow = Workflow(stack, WORKFLOW_HOURS="09:00-17:00", CLASSIFICATION_WAIT_SECONDS=30)
        self.rules, self.told = [], {}

    def script(self, phone, classify=(), task=()):
        """What comes of this number's calls from now on, one after the other, the last of each kind for ever; all callbacks come twice."""
        self.rules = [rule for rule in self.rules if rule["match"]["phone"] != phone]
        for provider, actions in ((CLASSIFIER, classify), (TASK, task)):
            for n, action in enumerate(actions, 1):
                self.rules.append({"match": {"provider": provider, "phone": phone}, "action":
                                   {"latency_ms": 5, "call_ms": 800 if provider == CLASSIFIER else 50, "webhook": {"duplicates": 1}} | action}
                                  | ({"times": 1} if n < len(actions) else {}))
        self.stack.sim.script(self.rules)

    def pending(self, name, phone=None, **columns):
        call = self.workflow.pending(phone, **columns)
        self.told[call] = name
        return call

    def row(self, call):
        return self.stack.row("select * from carillon.pending_calls where id = %s", call)

    def comes_to(self, call, state):
        """And all of it is over; the row."""
        self.workflow.wait(call, state)
        self.quiet()
        return self.row(call)

    def rings(self, phone, provider, n, moment, within=MINUTE):
        """The nth call to this number is this provider's, in the minute that begins at `moment`."""
        self.stack.wait_until(lambda: self.stack.sim.dialed(phone) >= n, 20, f"call {n} to {phone[-2:]}")
        made = sorted(self.stack.sim.calls(phone), key=lambda call: call["at"])
        assert len(made) == n and made[-1]["provider"] == provider
        dialed = datetime.fromisoformat(made[-1]["at"])
        assert moment <= dialed < moment + within, f"call {n} at {dialed.astimezone(NEW_YORK)}, not at {moment.astimezone(NEW_YORK)}"

    def waits_for(self, call, moment, latest):
        """Its next action is between these, and nobody is rung before; the clock comes to it."""
        due = self.row(call)["next_action_at"]
        assert moment <= due <= latest, f"{self.told[call]}: due at {due.astimezone(NEW_YORK)}, not at {moment.astimezone(NEW_YORK)}"
        if due - 10 * SECOND > self.clock.now():
            self.silent(due)
        self.clock.set(max(due, self.clock.now()))
        return due

    def went(self, call, *states):
        assert self.workflow.history(call) == list(states), self.told[call]


def retries(number):
    """When each of them is due after the end of the call before, at the earliest and at the latest."""
    return [(RETRY * 2 ** n, RETRY * 2 ** n * 1.1 + MINUTE) for n in range(number)]


def test_each_path_of_the_diagram(stack, clock):
    w = WorkflowWalk(stack, clock)
    clock.set(at(EVE, 8, 30))
    w.workflow.start()
    known, person, menu, switchboard, late, never, unsure, silent, away, lost = (stack.phone() for _ in range(10))
    no_answer, sale = {"outcome": "NO_ANSWER"}, {"outcome": "SALE"}

    def heard(classification, **more):
        return {"outcome": "HUMAN", "classify": {"classification": classification, "confidence": 0.9, "menu_path": ["2"]} | more}

    # A known number. The office is closed still.
    w.workflow.known(known, "human")
    w.script(known, task=[sale])
    call = w.pending("known", known)
    w.workflow.wait(call, "ready_to_call")
    w.silent(at(EVE, 9))
    clock.set(at(EVE, 9))
    w.comes_to(call, "completed")
    w.rings(known, TASK, 1, at(EVE, 9))
    w.went(call, *KNOWN, "completed")

    # A person answers the classification call: it is the task call, and there is no other.
    w.script(person, classify=[heard("human")])
    w.goto(at(EVE, 9, 10))
    call = w.pending("person", person)
    w.comes_to(call, "completed")
    w.rings(person, CLASSIFIER, 1, at(EVE, 9, 10))
    w.went(call, *BEGUN, "needs_classification", "classifying", "calling", "completed")

    # A machine answers, or a machine and then a person: the task call is made 30 s later, and is told of it.
    for minute, phone, classification in ((20, menu, "ivr_only"), (30, switchboard, "ivr_then_human")):
        w.script(phone, classify=[heard(classification)], task=[sale])
        w.goto(at(EVE, 9, minute))
        call = w.pending(classification, phone)
        heard_at = w.comes_to(call, "classification_pending")["ivr_classified_at"]
        w.rings(phone, CLASSIFIER, 1, at(EVE, 9, minute))
        due = w.waits_for(call, heard_at + 30 * SECOND, heard_at + 30 * SECOND)
        w.comes_to(call, "completed")
        w.rings(phone, TASK, 2, due)
        w.went(call, *CLASSIFIED, "completed")
        (body,) = [r["body"] for r in stack.sim.requests(method="POST") if phone in r["body"] and '"assistantOverrides"' in r["body"]]
        assert f'"classification_type":"{classification}"' in body.replace(" ", "")

    # Nobody answers twice, then the task is done.
    w.workflow.known(late)
    w.script(late, task=[no_answer, no_answer, sale])
    w.goto(at(EVE, 10))
    call = w.pending("late", late)
    ended = at(EVE, 10)
    for n, (soonest, latest) in enumerate(retries(2), 1):
        w.comes_to(call, "retry_pending")
        w.rings(late, TASK, n, ended)
        ended = w.waits_for(call, ended + soonest, ended + latest)
        stack.wait_until(lambda n=n: stack.sim.dialed(late) > n, 20, "the retry")
    row = w.comes_to(call, "completed")
    assert row["retry_count"] == 2
    w.went(call, *KNOWN, *AGAIN, *AGAIN, "completed")

    # Nobody can say who answered: nothing more is called, for whole hours, until somebody has it tried again.
    w.script(never, classify=[heard("unknown"), heard("ivr_only")], task=[sale])
    w.script(unsure, classify=[heard("ivr_only", confidence=0.4)])
    w.script(silent, classify=[{"outcome": "HUMAN", "answered_by": "unknown"}])
    w.goto(at(EVE, 11, 45))
    calls = [w.pending(*one) for one in (("never", never), ("unsure", unsure), ("silent", silent))]
    for call, reason in zip(calls[:2], ("classification unknown", "low confidence"), strict=True):
        assert w.comes_to(call, "classification_failed")["last_error"] == reason
    w.workflow.wait(calls[2], "classifying")
    w.quiet()
    now = clock.now()
    w.waits_for(calls[2], now - MINUTE, now + 31 * SECOND)   # for a word, after the call's end
    assert w.comes_to(calls[2], "classification_failed")["last_error"] == "no classification"
    for call in calls:
        w.went(call, *BEGUN, "needs_classification", "classifying", "classification_failed")
    w.silent(at(EVE, 12, 30))
    w.goto(at(EVE, 12, 30))
    stack.producer.http.post(f"/api/pending-calls/{calls[0]}/retry", headers=KEY).raise_for_status()
    w.workflow.wait(calls[0], "classification_pending")
    w.rings(never, CLASSIFIER, 2, at(EVE, 12, 30))
    w.quiet()
    now = clock.now()
    w.waits_for(calls[0], now, now + 31 * SECOND)
    w.comes_to(calls[0], "completed")

    # Nobody answers the classification call: it is looked up and classified again at the retry.
    w.script(away, classify=[no_answer, heard("ivr_only")], task=[sale])
    w.goto(at(EVE, 12, 50))
    call = w.pending("away", away)
    w.comes_to(call, "retry_pending")
    ((soonest, latest),) = retries(1)
    w.waits_for(call, at(EVE, 12, 50) + soonest, at(EVE, 12, 50) + latest)
    w.comes_to(call, "classification_pending")
    now = clock.now()
    w.waits_for(call, now, now + 31 * SECOND)
    assert w.comes_to(call, "completed")["retry_count"] == 1
    w.went(call, *BEGUN, "needs_classification", "classifying", "retry_pending", *CLASSIFIED[1:], "completed")
    assert [made["provider"] for made in stack.sim.calls(away)] == [CLASSIFIER, CLASSIFIER, TASK]

    # No callback comes: after ten minutes the provider is asked.
    w.workflow.known(lost)
    w.script(lost, task=[sale | {"webhook": {"lost": True}}])
    w.goto(at(EVE, 13, 30))
    call = w.pending("lost", lost)
    w.workflow.wait(call, "calling")
    stack.wait_count(1, "live", "state = 'calling'")
    clock.set(at(EVE, 13, 39))
    stack.stays(lambda: w.workflow.state(call) == "calling", 1.5, "calling")
    clock.set(at(EVE, 13, 40) + 5 * SECOND)
    w.comes_to(call, "completed")
    w.went(call, *KNOWN, "completed")
    assert stack.sim.dialed(lost) == 1

    # All retries in vain; the last one is due after hours, and waits for the morning, an hour longer than usual.
    w.script(known, task=[no_answer])
    w.goto(at(EVE, 14))
    call = w.pending("exhausted", known)
    ended, rung = at(EVE, 14), 1
    for soonest, latest in retries(3):
        w.comes_to(call, "retry_pending")
        rung += 1
        w.rings(known, TASK, rung, ended)
        if ended + soonest >= at(EVE, 17):
            soonest = latest = at(DAY, 9) - ended
            assert at(DAY, 9) - at(EVE, 9) == timedelta(hours=25)
        ended = w.waits_for(call, ended + soonest, ended + latest)
        stack.wait_until(lambda n=rung: stack.sim.dialed(known) > n, 20, "the retry")
    row = w.comes_to(call, "failed")
    w.rings(known, TASK, 5, at(DAY, 9))
    assert (row["retry_count"], row["failure_reason"]) == (3, "Max retries exceeded")
    w.went(call, *KNOWN, *AGAIN * 3, "retry_pending", "failed")

    # Called off before its time.
    call = w.pending("called off", next_action_at=at(DAY, 12))
    stack.producer.http.post(f"/api/pending-calls/{call}/cancel", headers=KEY).raise_for_status()
    w.went(call, "new", "failed")

    # The conversation is over before the classifier says whose it was.
    w.script(person, classify=[{"outcome": "HUMAN", "call_ms": 300, "classify": {"classification": "human", "confidence": 0.9, "after_ms": 6000}}])
    stack.db.execute("update carillon.call_classifications set is_active = false where phone_number = %s", (person,))
    w.goto(at(DAY, 10))
    call = w.pending("told afterwards", person)
    w.comes_to(call, "completed")
    w.went(call, *BEGUN, "needs_classification", "classifying", "completed")

    # What a number was classified as is good for 30 days, and no longer.
    w.script(menu, classify=[heard("human")], task=[sale])
    for day, expected in ((EVE + timedelta(days=29), [TASK]), (EVE + timedelta(days=31), [CLASSIFIER])):
        before = len(stack.sim.calls(menu))
        w.silent(at(day, 10))
        w.goto(at(day, 10))
        call = w.pending(f"on {day}", menu)
        w.comes_to(call, "completed")
        assert [made["provider"] for made in stack.sim.calls(menu)][before:] == expected

    # Nothing was rung for nothing, each callback came twice, and no arrow was taken but those of the table.
    w.silent(at(EVE + timedelta(days=34), 12))
    w.workflow.check()
    taken = {(row["from_state"], row["to_state"]) for row in stack.rows(
        "select distinct from_state, to_state from carillon.transitions where entity = 'pending_call'")}
    assert taken >= {(state, following) for state, all_following in DIAGRAM.items() for following in all_following.split()}
    assert stack.ledger()["total"] == stack.count("calls") == 25
    assert not stack.count("pending_calls", "workflow_state not in ('completed', 'failed', 'classification_failed')")
