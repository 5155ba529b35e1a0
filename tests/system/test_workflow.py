# SPDX-License-Identifier: Apache-2.0
"""Workflow calls through all processes: each way of the guide's diagram, with a classifier that the test plays."""

import json
import threading
import time
import uuid
from contextlib import contextmanager
from itertools import pairwise

import pytest
from lib.schemas import Schemas
from lib.stack import FULL

CLASSIFIER = "twilio"  # the account of classification calls
TASK = "vapi"
NUMBERS, CALLS = (50, 1000) if FULL else (10, 60)


class Workflow:
    def __init__(self, stack, **environment):
        self.stack = stack
        stack.environment |= {
            "CLASSIFY_ACCOUNT": CLASSIFIER, "TASK_ACCOUNT": TASK, "WORKFLOW_HOURS": "00:00-24:00", "CLASSIFICATION_WAIT_SECONDS": "3",
        } | {name: str(value) for name, value in environment.items()}
        self.said = set()

    def start(self, *kinds):
        made = self.stack.start(*kinds)
        self.schemas = Schemas(self.stack.topics, f"{self.stack.producer.url}/registry")
        return made

    def pending(self, phone=None, **columns):
        """A pending call as the guide's SQL makes one; its id."""
        given = {"phone": phone or self.stack.phone(), "exam_id": "TEST-001", "employee_name": "Test Patient", "employee_dob": "1990-01-01",
                 "clinic_name": "Test Clinic"}
        return str(self.stack.insert("pending_calls", **(given | columns))["id"])

    def known(self, phone, classification="ivr_only"):
        self.stack.insert("call_classifications", phone_number=phone, classification_type=classification)

    def state(self, call):
        return self.stack.value("select workflow_state from carillon.pending_calls where id = %s", call)

    def wait(self, call, state, timeout=30):
        self.stack.wait_until(lambda: self.state(call) == state, timeout, lambda: f"{call} in {state} ({self.history(call)})")

    def history(self, call):
        return [row["to_state"] for row in self.stack.rows(
            "select to_state from carillon.transitions where entity = 'pending_call' and entity_id = %s order by id", call)]

    def later(self, call):
        """Its next action is due."""
        self.stack.db.execute("update carillon.pending_calls set next_action_at = now() where id = %s", (call,))

    def say(self, classification, **ids):
        """What a classifier tells of a call: by job_id, by the pending call's id, or by phone."""
        self.stack.topics.produce("leads.stage.v1", self.word(classification, **ids), partition=0, key="classifier")

    def word(self, classification, **ids):
        detail = {"classification": classification, "confidence": ids.pop("confidence", 0.95), "menu_path": ["2", "1"]}
        return self.schemas.encode("leads.stage.v1", {
            "event_id": str(uuid.uuid4()), "tenant": "default", "entity": "pending_call", "to": classification, "reason": "classified",
            "at": int(time.time() * 1000), "detail": json.dumps(detail)} | ids)

    def calls(self, provider, phone=None):
        return [call for call in self.stack.sim.calls(phone) if call["provider"] == provider]

    def classify_all(self, classification):
        """Speaks of each classification call once."""
        new = {call["job_id"] for call in self.calls(CLASSIFIER)} - self.said
        if new:
            self.said |= new
            words = [self.word(classification, job_id=job) for job in new]
            self.stack.topics.produce("leads.stage.v1", *words, partition=0, key="classifier")

    @contextmanager
    def classifier(self, classification):
        """One that listens to every classification call and says this of each."""
        over = threading.Event()

        def listen():
            while not over.wait(0.05):
                self.classify_all(classification)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def check(self):
        """No arrow but those of the table, and what is over is over."""
        assert not self.stack.rows(
            "select from_state, to_state from carillon.transitions where entity = 'pending_call' and from_state is not null"
            " except select state, next from carillon.workflow_arrows")
        self.stack.assert_never_twice()


@pytest.fixture
def workflow(stack):
    made = Workflow(stack)
    yield made
    made.check()


def script(stack, task="SALE", classify="HUMAN", classify_ms=300, **more):
    stack.sim.script([
        {"match": {"provider": CLASSIFIER}, "action": {"latency_ms": 5, "call_ms": classify_ms, "outcome": classify} | more},
        {"match": {"provider": TASK}, "action": {"latency_ms": 5, "call_ms": 50, "outcome": task}},
    ])


def test_a_known_number_has_its_task_call_at_once(stack, workflow):
    script(stack)
    workflow.start()
    stack.wait_until(lambda: "carillon_workflow_transitions_total" in stack.producer.http.get("/metrics").text, 20, "changes are counted from now on")
    phone = stack.phone()
    workflow.known(phone, "ivr_then_human")
    call = workflow.pending(phone)
    workflow.wait(call, "completed")
    assert workflow.history(call) == ["new", "checking_classification", "ready_to_call", "calling", "completed"]
    assert [c["provider"] for c in stack.sim.calls(phone)] == [TASK]
    read = stack.sim.process.http.get("/requests?n=256").json()
    body = next(json.loads(r["body"]) for r in read if r["method"] == "POST" and phone in r["body"])
    assert body["assistantOverrides"]["variableValues"].items() >= {
        "pending_call_id": call, "exam_id": "TEST-001", "employee_name": "Test Patient", "classification_type": "ivr_then_human"}.items()
    stack.wait_until(lambda: stack.producer.metric("carillon_workflow_transitions_total", state="completed") == 1, 20, "the change is counted")
    assert stack.producer.metric("carillon_workflow_transitions_total", state="failed") == 0
    assert stack.count("leads", "auto_follow_up") == 0
    assert stack.row("select kind, outcome from carillon.call_sessions where pending_call_id = %s", call) == {"kind": "task", "outcome": "SALE"}


@pytest.mark.parametrize("classification", ["ivr_only", "ivr_then_human"])
def test_a_machine_answers_and_the_task_call_follows(stack, workflow, classification):
    script(stack)
    workflow.start()
    phone = stack.phone()
    call = workflow.pending(phone)
    workflow.wait(call, "classifying")
    stack.sim.wait_total(1)
    workflow.classify_all(classification)
    workflow.wait(call, "completed")
    assert workflow.history(call) == ["new", "checking_classification", "needs_classification", "classifying", "classification_pending",
                                      "ready_to_call", "calling", "completed"]
    assert [c["provider"] for c in stack.sim.calls(phone)] == [CLASSIFIER, TASK]
    kept = stack.row("select * from carillon.call_classifications where phone_e164 = %s", phone)
    assert (kept["classification_type"], kept["is_active"], kept["confidence"], kept["menu_path"]) == (classification, True, 0.95, ["2", "1"])
    # The next one needs none.
    again = workflow.pending(phone)
    workflow.wait(again, "completed")
    assert [c["provider"] for c in stack.sim.calls(phone)] == [CLASSIFIER, TASK, TASK]


def test_a_person_answers_and_the_conversation_is_the_task_call(stack, workflow):
    script(stack, classify_ms=3000)
    workflow.start()
    phone = stack.phone()
    call = workflow.pending(phone)
    workflow.wait(call, "classifying")
    stack.sim.wait_total(1)
    workflow.say("human", id=call)
    workflow.wait(call, "calling")
    workflow.wait(call, "completed")
    assert workflow.history(call) == ["new", "checking_classification", "needs_classification", "classifying", "calling", "completed"]
    assert [c["provider"] for c in stack.sim.calls(phone)] == [CLASSIFIER]


def test_a_person_answers_and_the_conversation_breaks_off(stack, workflow):
    script(stack, classify="FAILED", classify_ms=3000)
    workflow.start()
    phone = stack.phone()
    call = workflow.pending(phone)
    workflow.wait(call, "classifying")
    workflow.say("human", phone=phone)
    workflow.wait(call, "retry_pending")
    assert workflow.history(call)[-2:] == ["calling", "retry_pending"]
    workflow.later(call)
    workflow.wait(call, "completed")
    assert [c["provider"] for c in stack.sim.calls(phone)] == [CLASSIFIER, TASK]


def test_it_is_tried_again_until_it_succeeds(stack, workflow):
    stack.sim.script([
        {"match": {"provider": TASK}, "times": 2, "action": {"latency_ms": 5, "call_ms": 20, "outcome": "NO_ANSWER"}},
        {"match": {"provider": TASK}, "action": {"latency_ms": 5, "call_ms": 20, "outcome": "SALE"}},
    ])
    workflow.start()
    phone = stack.phone()
    workflow.known(phone)
    call = workflow.pending(phone)
    for retry in range(2):
        workflow.wait(call, "retry_pending")
        row = stack.row("select retry_count, last_error, next_action_at > now() + interval '29 minutes' as later from carillon.pending_calls where id = %s", call)
        assert row == {"retry_count": retry, "last_error": "no_answer", "later": True}
        workflow.later(call)
        workflow.stack.wait_until(lambda: workflow.state(call) != "retry_pending" or len(stack.sim.calls(phone)) == retry + 2, 20, "the retry")
        stack.sim.wait_total(retry + 2)
    workflow.wait(call, "completed")
    assert len(stack.sim.calls(phone)) == 3


def test_retries_are_exhausted(stack, workflow):
    script(stack, task="BUSY")
    workflow.start()
    phone = stack.phone()
    workflow.known(phone)
    call = workflow.pending(phone, max_retries=1)
    workflow.wait(call, "retry_pending")
    workflow.later(call)
    workflow.wait(call, "failed")
    row = stack.row("select failure_reason, last_error, retry_count, failed_at is not null as told from carillon.pending_calls where id = %s", call)
    assert row == {"failure_reason": "Max retries exceeded", "last_error": "Max retries exceeded", "retry_count": 1, "told": True}
    assert len(stack.sim.calls(phone)) == 2


def test_nobody_can_say_who_answered(stack, workflow):
    script(stack, answered_by="unknown")
    workflow.start()
    unknown, unsure, silent = (workflow.pending() for _ in range(3))
    for call in (unknown, unsure, silent):
        workflow.wait(call, "classifying")
    workflow.say("unknown", id=unknown)
    workflow.say("ivr_only", id=unsure, confidence=0.3)
    for call, reason in ((unknown, "classification unknown"), (unsure, "low confidence"), (silent, "no classification")):
        workflow.wait(call, "classification_failed")
        assert stack.value("select last_error from carillon.pending_calls where id = %s", call) == reason
    stack.wait_until(lambda: stack.producer.metric("carillon_workflow_calls", state="classification_failed") == 3, 20, "they are counted")
    assert stack.producer.metric("carillon_workflow_oldest_age_seconds", state="classification_failed") > 0
    assert not workflow.calls(TASK)
    assert stack.count("call_classifications") == 0


def test_a_word_is_said_twice_and_late(stack, workflow):
    script(stack)
    workflow.start()
    call = workflow.pending()
    workflow.wait(call, "classifying")
    stack.sim.wait_total(1)
    job = workflow.calls(CLASSIFIER)[0]["job_id"]
    for _ in range(3):
        workflow.say("ivr_only", job_id=job)
    workflow.wait(call, "completed")
    workflow.say("unknown", job_id=job)
    workflow.say("human", job_id=job)
    stack.wait_count(5, "call_events", "message = 'stage' and state = 'applied'")
    assert workflow.state(call) == "completed"
    assert len(stack.sim.calls()) == 2


def test_a_refused_number_and_a_suppressed_one_end_with_their_reason(stack, workflow):
    stack.sim.script([{"action": {"status": 400, "body": '{"message": "customer.number is not valid"}'}}])
    workflow.start()
    refused, suppressed = stack.phone(), stack.phone()
    stack.insert("suppressions", phone=suppressed)
    for phone in (refused, suppressed):
        workflow.known(phone)
    calls = [workflow.pending(phone) for phone in (refused, suppressed)]
    for call, reason in zip(calls, ("number", "suppressed")):
        workflow.wait(call, "failed")
        assert stack.value("select failure_reason from carillon.pending_calls where id = %s", call) == reason
    assert not stack.sim.calls()


def test_a_call_that_takes_too_long_is_asked_for_and_its_end_found(stack, workflow):
    """No callback comes; after STUCK_MINUTES the provider is asked, long before the call's end is overdue."""
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 200, "outcome": "SALE", "webhook": {"lost": True}}}])
    workflow.start()
    phone = stack.phone()
    workflow.known(phone)
    call = workflow.pending(phone)
    workflow.wait(call, "calling")
    stack.wait_count(1, "live", "state = 'calling'")
    stack.stays(lambda: workflow.state(call) == "calling", 1, "calling")
    stack.db.execute("update carillon.pending_calls set state_since = state_since - interval '11 minutes' where id = %s", (call,))
    workflow.wait(call, "completed")
    assert len(stack.sim.calls(phone)) == 1


@pytest.mark.timeout(300)
def test_killed_at_each_state_change_it_goes_on(stack):
    """kill -9 of producer and consumer as soon as a pending call comes to a state: each ends well, and no number is rung twice for one step."""
    workflow = Workflow(stack, JOB_LEASE_S=8, LEASE_MARGIN_S=1, PROVIDER_TIMEOUT_S=6, LIST_LAG_S=1, QUEUED_LEASE_S=3)
    script(stack, classify_ms=500)
    workflow.start()
    calls = {}
    states = ("checking_classification", "needs_classification", "classifying", "classification_pending", "ready_to_call", "calling", "completed")
    with workflow.classifier("ivr_then_human"):
        for state in states:
            call = calls[state] = workflow.pending()
            stack.wait_until(lambda: state in workflow.history(call), 60, lambda: f"{state} ({workflow.history(call)})")
            for process in (stack.consumer, stack.producer):
                process.kill()
            for process in (stack.consumer, stack.producer):
                process.start()
        stack.wait_until(lambda: stack.count("pending_calls", "workflow_state = 'completed'") == len(calls), 120,
                         lambda: f"all completed ({stack.rows('select workflow_state, state_reason from carillon.pending_calls')})")
    workflow.check()
    stack.assert_nothing_lost()
    assert not stack.rows("select pending_call_id, kind from carillon.call_sessions where status not in ('rejected', 'not_dialed')"
                          " group by 1, 2 having count(*) > 1")
    assert len(workflow.calls(CLASSIFIER)) == len(workflow.calls(TASK)) == len(calls)


@pytest.mark.timeout(900 if CALLS >= 1000 else 180)
def test_many_pending_calls_to_few_numbers(stack, workflow):
    """One classification call for each number, a task call for each pending call, and no number rung while it is live."""
    stack.sim.script([
        {"match": {"provider": CLASSIFIER}, "action": {"latency_ms": 5, "call_ms": 200, "outcome": "HUMAN"}},
        {"match": {"provider": TASK}, "action": {"latency_ms": 5, "call_ms": 30, "outcome": "SALE"}},
    ])
    for kind in ("producer", "producer", "consumer", "consumer", "consumer", "webhook"):
        stack.add(kind)
    for process in stack.processes:
        process.start(wait=False)
    for process in stack.processes:
        process.wait_ready()
    stack.topics.wait_led()
    workflow.schemas = Schemas(stack.topics, f"{stack.producer.url}/registry")
    stack.db.execute("update carillon.lanes set max_concurrent = 0, batch_per_run = 0 where name = 'workflow'")
    phones = [stack.phone() for _ in range(NUMBERS)]
    with stack.db.transaction():
        for n in range(CALLS):
            workflow.pending(phones[n % NUMBERS])

    with workflow.classifier("ivr_only"):
        stack.wait_until(lambda: stack.count("pending_calls", "workflow_state = 'completed'") == CALLS, 90 if CALLS < 1000 else 600,
                         lambda: f"all completed ({stack.rows('select * from carillon.scheduler_dashboard')})")
    assert len(workflow.calls(CLASSIFIER)) == NUMBERS
    assert len(workflow.calls(TASK)) == CALLS
    per_call = stack.rows("select pending_call_id, count(*) as n from carillon.call_sessions where kind = 'task' group by 1 having count(*) <> 1")
    assert not per_call
    # By the provider's books no call of a number began before the one before was over.
    by_number = sorted(stack.sim.calls(), key=lambda call: (call["phone"], call["at"]))
    assert not [(one, other) for one, other in pairwise(by_number) if one["phone"] == other["phone"] and other["at"] < one["until"]]
