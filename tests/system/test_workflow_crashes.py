# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every arrow of the workflow: while its transaction is open, which is then lost, or as it is committed and nobody knows.

Each pending call comes to its end all the same, by legal arrows, and no number is rung twice for one step. Every other arrow is struck
in this way or that; with CARILLON_LONG=1 all is run once more, the other way round.
"""

import itertools
import os
import re
import threading
from pathlib import Path

import httpx
import pytest
from lib import events
from lib.stack import SECRETS
from test_workflow import CLASSIFIER, TASK, Workflow

pytestmark = pytest.mark.timeout(400)

KEY = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}
QUICK = {"JOB_LEASE_S": 8, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 6, "LIST_LAG_S": 1, "QUEUED_LEASE_S": 3,
         "CLASSIFICATION_WAIT_SECONDS": 60}
LOST, KEPT = "lost", "kept"
NEVER = "2999-01-01T00:00:00Z"

# Of each walk the arrows that are struck, in order.
WALKS = {
    "a machine answers": ["new checking_classification", "checking_classification needs_classification", "needs_classification classifying",
                          "classifying classification_pending", "classification_pending ready_to_call", "ready_to_call calling",
                          "calling completed"],
    "a known number": ["checking_classification ready_to_call"],
    "a person answers": ["classifying calling"],
    "a person has answered": ["classifying completed"],
    "nobody knows": ["classifying classification_failed", "classification_failed checking_classification"],
    "nobody answers": ["classifying retry_pending", "retry_pending checking_classification"],
    "retries": ["calling retry_pending", "retry_pending ready_to_call", "retry_pending failed", "failed checking_classification"],
    "no room": ["classifying needs_classification", "calling ready_to_call"],
}
CALLED_OFF = ["new", "checking_classification", "needs_classification", "classifying", "classification_pending", "ready_to_call", "calling",
              "classification_failed"]


class Striker:
    """Lets a process come into the middle of a transaction that takes an arrow, and kills it there."""

    def __init__(self, stack, first):
        self.stack = stack
        self.first = first
        self._keys = itertools.count(1)
        self._ways = itertools.cycle([LOST, KEPT] if first == LOST else [KEPT, LOST])
        stack.db.execute("""
            create table public.strikes (arrow text, key bigint);
            create function public.strike() returns trigger language plpgsql security definer as $$
            declare
                the_key bigint := (select key from public.strikes where arrow = old.workflow_state || ' ' || new.workflow_state);
            begin
                if the_key is not null then
                    perform pg_advisory_xact_lock_shared(the_key);
                end if;
                return null;
            end $$;
            create trigger strike after update on carillon.pending_calls for each row
                when (old.workflow_state <> new.workflow_state) execute function public.strike()""")

    def arm(self, arrow):
        key = next(self._keys)
        self.stack.db.execute("select pg_advisory_lock(%s)", (key,))
        self.stack.db.execute("insert into public.strikes values (%s, %s)", (arrow, key))
        return key

    def _waiting(self):
        return self.stack.row("select pid, application_name as name from pg_stat_activity where datname = current_database()"
                              " and wait_event_type = 'Lock' and wait_event = 'advisory'")

    def kill(self, key):
        """Once it is there. Answers with the dead process, not started again."""
        way = next(self._ways)
        found = self.stack.wait_until(self._waiting, 60, "a process takes the arrow")
        process = self.stack.producer if found["name"].startswith("carillon-producer") else self.stack.consumer
        process.kill()
        self.stack.db.execute("delete from public.strikes where key = %s", (key,))
        if way == LOST:
            self.stack.db.execute("select pg_terminate_backend(%s)", (found["pid"],))
        self.stack.db.execute("select pg_advisory_unlock(%s)", (key,))
        self.stack.wait_until(lambda: not self.stack.value("select count(*) from pg_stat_activity where pid = %s", found["pid"]), 20,
                              "its transaction is over")
        return process

    def strike(self, arrow, cause=lambda: None):
        """`cause` makes the arrow be taken; it is struck, and the process started again."""
        key = self.arm(arrow)
        thread = threading.Thread(target=cause)
        thread.start()
        process = self.kill(key)
        thread.join()
        process.start()


@pytest.fixture(params=[LOST, KEPT] if os.environ.get("CARILLON_LONG") else [LOST])
def workflow(stack, request):
    made = Workflow(stack, **QUICK)
    made.strikes = Striker(stack, request.param)
    yield made
    made.check()
    stack.assert_nothing_lost()


def rules(stack, classify=None, task=None):
    """What the first calls of each provider do, then all others."""
    usual = {"latency_ms": 5, "call_ms": 300}
    script = [{"match": {"provider": provider}, "times": 1, "action": (usual if "status" not in action else {}) | action}
              for provider, actions in ((CLASSIFIER, classify), (TASK, task)) for action in actions or ()]
    stack.sim.script(script + [{"match": {"provider": CLASSIFIER}, "action": usual | {"outcome": "HUMAN"}},
                               {"match": {"provider": TASK}, "action": usual | {"outcome": "SALE"}}])


def post(stack, path, body=None):
    """By a client that hears nothing if the producer dies."""
    def send():
        try:
            stack.producer.http.post(path, headers=KEY, json=body)
        except httpx.HTTPError:
            pass
    return send


def rung(stack, phone):
    return [call["provider"] for call in stack.sim.calls(phone)]


def test_every_arrow_is_struck():
    rows = (Path(__file__).resolve().parents[2] / "common/tbl/workflow_arrow.h").read_text()
    arrows = {f"{state} {following}" for state, following in re.findall(r'^ARROW_ROW\("(\w+)", "\w+", "(\w+)"', rows, re.MULTILINE)}
    struck = [arrow for walk in WALKS.values() for arrow in walk] + [f"{state} failed" for state in CALLED_OFF]
    assert len(struck) == len(set(struck))
    assert set(struck) == arrows


def test_a_machine_answers_and_all_is_struck(stack, workflow):
    rules(stack)
    workflow.start()
    phone = stack.phone()
    strikes, walk, state = workflow.strikes, WALKS["a machine answers"], "new"
    if strikes.first == KEPT:   # what is kept of the first arrow has the second in it, so that one is taken apart
        (begun, *walk), state = walk, "checking_classification"
        strikes.strike(begun, lambda: workflow.pending("+1"))
    key = strikes.arm(walk[0])
    call = workflow.pending(phone, workflow_state=state)
    with workflow.classifier("ivr_then_human"):
        for following in [*walk[1:], None]:
            process = strikes.kill(key)
            if following:   # before it can be taken
                key = strikes.arm(following)
            process.start()
            if following and following.startswith("classification_pending"):
                workflow.wait(call, "classification_pending", timeout=60)
                workflow.later(call)
        workflow.wait(call, "completed", timeout=60)
    assert rung(stack, phone) == [CLASSIFIER, TASK]


def test_a_known_number_is_struck(stack, workflow):
    rules(stack)
    workflow.start()
    phone = stack.phone()
    workflow.known(phone)
    made = []
    (arrow,) = WALKS["a known number"]
    workflow.strikes.strike(arrow, lambda: made or made.append(workflow.pending(phone)))
    workflow.wait(made[0], "completed", timeout=60)
    assert rung(stack, phone) == [TASK]


def test_a_person_answers_and_it_is_struck(stack, workflow):
    rules(stack, classify=[{"call_ms": 600_000, "outcome": "HUMAN"}])
    workflow.start()
    talking, over = stack.phone(), stack.phone()
    call = workflow.pending(talking)
    workflow.wait(call, "classifying")
    stack.sim.wait_total(1)
    said = []
    (arrow,) = WALKS["a person answers"]
    workflow.strikes.strike(arrow, lambda: said or said.append(workflow.say("human", id=call)))
    workflow.wait(call, "calling", timeout=60)
    stack.sim.process.http.post(f"/calls/{stack.sim.calls(talking)[0]['id']}/end", json={"outcome": "HUMAN"}).raise_for_status()
    workflow.wait(call, "completed", timeout=60)
    # Another conversation is over before anybody has said whose it was.
    call = workflow.pending(over)
    stack.wait_count(1, "calls", f"phone = '{over}' and outcome is not null")
    said.clear()
    (arrow,) = WALKS["a person has answered"]
    workflow.strikes.strike(arrow, lambda: said or said.append(workflow.say("human", id=call)))
    workflow.wait(call, "completed", timeout=60)
    assert rung(stack, talking) == rung(stack, over) == [CLASSIFIER]


def test_nobody_knows_and_it_is_struck(stack, workflow):
    rules(stack)
    workflow.start()
    phone = stack.phone()
    call = workflow.pending(phone)
    workflow.wait(call, "classifying")
    stack.sim.wait_total(1)
    said = []
    failed, replayed = WALKS["nobody knows"]
    workflow.strikes.strike(failed, lambda: said or said.append(workflow.say("unknown", id=call)))
    workflow.wait(call, "classification_failed", timeout=60)
    workflow.strikes.strike(replayed, post(stack, f"/api/pending-calls/{call}/retry"))
    if workflow.state(call) == "classification_failed":   # the client heard nothing, and asks again
        post(stack, f"/api/pending-calls/{call}/retry")()
    stack.sim.wait_total(2)
    workflow.wait(call, "classifying", timeout=60)
    workflow.say("ivr_only", id=call)
    workflow.wait(call, "classification_pending", timeout=60)
    workflow.later(call)
    workflow.wait(call, "completed", timeout=60)
    assert rung(stack, phone) == [CLASSIFIER, CLASSIFIER, TASK]


def test_nobody_answers_and_it_is_struck(stack, workflow):
    rules(stack, classify=[{"outcome": "NO_ANSWER"}])
    workflow.start()
    phone = stack.phone()
    made = []
    over, again = WALKS["nobody answers"]
    workflow.strikes.strike(over, lambda: made or made.append(workflow.pending(phone)))
    (call,) = made
    workflow.wait(call, "retry_pending", timeout=60)
    workflow.strikes.strike(again, lambda: workflow.later(call))
    workflow.wait(call, "classifying", timeout=60)
    stack.sim.wait_total(2)
    workflow.say("ivr_only", id=call)
    workflow.wait(call, "classification_pending", timeout=60)
    workflow.later(call)
    workflow.wait(call, "completed", timeout=60)
    assert rung(stack, phone) == [CLASSIFIER, CLASSIFIER, TASK]


def test_retries_are_struck(stack, workflow):
    rules(stack, task=[{"outcome": "BUSY"}, {"outcome": "BUSY"}])
    workflow.start()
    phone = stack.phone()
    workflow.known(phone)
    made = []
    over, again, exhausted, replayed = WALKS["retries"]
    workflow.strikes.strike(over, lambda: made or made.append(workflow.pending(phone, max_retries=1)))
    (call,) = made
    workflow.wait(call, "retry_pending", timeout=60)
    workflow.strikes.strike(again, lambda: workflow.later(call))
    workflow.strikes.strike(exhausted)
    workflow.wait(call, "failed", timeout=60)
    workflow.strikes.strike(replayed, post(stack, "/api/pending-calls/replay", {"ids": [call]}))
    if workflow.state(call) == "failed":
        post(stack, "/api/pending-calls/replay", {"ids": [call]})()
    workflow.wait(call, "completed", timeout=60)
    assert rung(stack, phone) == [TASK] * 3


def test_no_room_and_it_is_struck(stack, workflow):
    full = {"code": 20429, "message": "Too many requests", "more_info": "https://www.twilio.com/docs/errors/20429", "status": 429}
    rules(stack, classify=[{"status": 429, "body": full, "retry_after": 1}], task=[{"status": 429, "retry_after": 1}])
    workflow.start()
    phone = stack.phone()
    made = []
    for arrow in WALKS["no room"]:
        workflow.strikes.strike(arrow, lambda: made or made.append(workflow.pending(phone)))
        if arrow.startswith("classifying"):
            stack.sim.wait_total(1, timeout=60)
            workflow.wait(made[0], "classifying", timeout=60)
            workflow.say("ivr_only", id=made[0])
            workflow.wait(made[0], "classification_pending", timeout=60)
            workflow.later(made[0])
    workflow.wait(made[0], "completed", timeout=60)
    assert rung(stack, phone) == [CLASSIFIER, TASK]


def test_called_off_and_struck(stack, workflow):
    workflow.start("producer", "consumer")
    for state in CALLED_OFF:
        call = workflow.pending(workflow_state=state, next_action_at=NEVER)
        workflow.strikes.strike(f"{state} failed", post(stack, f"/api/pending-calls/{call}/cancel"))
        if workflow.state(call) == state:   # the client heard nothing, and asks again
            post(stack, f"/api/pending-calls/{call}/cancel")()
        assert stack.row("select workflow_state, failure_reason from carillon.pending_calls where id = %s", call) == {
            "workflow_state": "failed", "failure_reason": "cancelled"}
    assert not stack.sim.calls()


POINTS = [("producer", "workflow.stepped"), ("producer", "workflow.stepped@2"), ("consumer", "dispatch.claimed"),
          ("consumer", "dispatch.claimed@2"), ("consumer", "workflow.moving"), ("consumer", "workflow.moved"),
          ("webhook", "webhook.called"), ("webhook", "webhook.published")]


def test_killed_at_the_fail_points_of_a_pending_calls_way(stack, workflow):
    """The classifier, which hears nothing of a webhook that died, says it again."""
    silent = {"webhook": {"lost": True}, "call_ms": 300, "latency_ms": 5}
    stack.sim.script([{"match": {"provider": CLASSIFIER}, "action": silent | {"outcome": "HUMAN"}},
                      {"match": {"provider": TASK}, "action": silent | {"outcome": "SALE"}}])
    workflow.start()
    for kind, point in POINTS:
        process = stack.process(kind)
        process.restart(CARILLON_FAIL_POINT=point)
        phone = stack.phone()
        call = workflow.pending(phone)

        def look():
            if process.environment.get("CARILLON_FAIL_POINT") and not process.running:
                process.wait_fail_point()
                process.start()
            stack.db.execute("update carillon.live set next_check_at = now() where state = 'calling' and next_check_at > now() + interval '10 seconds'")
            if workflow.state(call) == "classifying" and rung(stack, phone):
                try:
                    events.post_classified(stack.webhook, f"msg_{call}", pending_call_id=call, classification="ivr_only", confidence=0.9)
                except httpx.HTTPError:
                    pass
            elif workflow.state(call) == "classification_pending":
                workflow.later(call)
            return workflow.state(call) == "completed"

        stack.wait_until(look, 90, lambda: f"{call} completed after {point} ({workflow.history(call)})")
        assert "CARILLON_FAIL_POINT" not in process.environment, f"{point} was never passed"
        assert rung(stack, phone) == [CLASSIFIER, TASK]
