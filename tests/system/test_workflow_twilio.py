# SPDX-License-Identifier: Apache-2.0
"""Workflow calls with Twilio's classification calls and a classifier that speaks for itself, by signed webhooks."""

import pytest
from test_workflow import Workflow


@pytest.fixture
def workflow(stack):
    made = Workflow(stack, CLASSIFY_ACCOUNT="twilio")
    yield made
    made.check()


def script(stack, outcome="HUMAN", **classify):
    """The classifier speaks while the call goes on, and delivers it all twice."""
    said = {"classify": classify} if classify else {}
    stack.sim.script([
        {"match": {"provider": "twilio"}, "action": {"outcome": outcome, "call_ms": 1500, "webhook": {"duplicates": 1}} | said},
        {"match": {"provider": "vapi"}, "action": {"outcome": "SALE", "call_ms": 50}},
    ])


@pytest.mark.parametrize("by", ["pending_call_id", "job_id", "phone"])
def test_a_menu_answers_and_the_task_call_follows(stack, workflow, by):
    script(stack, classification="ivr_then_human", confidence=0.93, menu_path=["2", "1"], by=by)
    workflow.start()
    phone = stack.phone()
    call = workflow.pending(phone)
    workflow.wait(call, "completed", timeout=60)
    assert workflow.history(call) == ["new", "checking_classification", "needs_classification", "classifying", "classification_pending",
                                      "ready_to_call", "calling", "completed"]
    assert [made["provider"] for made in stack.sim.calls(phone)] == ["twilio", "vapi"]
    known = stack.row("select classification_type, confidence from call_classifications where phone_number = %s and is_active", phone)
    assert (known["classification_type"], float(known["confidence"])) == ("ivr_then_human", 0.93)


def test_a_human_who_answers_is_the_conversation(stack, workflow):
    script(stack, classification="human", confidence=0.9)
    workflow.start()
    phone = stack.phone()
    call = workflow.pending(phone)
    workflow.wait(call, "completed", timeout=60)
    assert workflow.history(call) == ["new", "checking_classification", "needs_classification", "classifying", "calling", "completed"]
    assert [made["provider"] for made in stack.sim.calls(phone)] == ["twilio"]


def test_a_person_is_detected_and_no_classifier_speaks(stack, workflow):
    """Who answered is in the call's record, which is read at once when the call is over."""
    stack.sim.script([{"match": {"provider": "twilio"}, "action": {"outcome": "HUMAN", "call_ms": 500}}])
    workflow.start()
    call = workflow.pending()
    workflow.wait(call, "completed", timeout=30)
    assert stack.value("select ended_reason from calls") == "human"
    assert workflow.history(call) == ["new", "checking_classification", "needs_classification", "classifying", "completed"]


def test_nobody_answers(stack, workflow):
    script(stack, "NO_ANSWER", classification="human")
    workflow.start()
    phone = stack.phone()
    call = workflow.pending(phone)
    workflow.wait(call, "retry_pending", timeout=60)
    assert not stack.count("call_classifications")
    assert [made["provider"] for made in stack.sim.calls(phone)] == ["twilio"]


def test_a_call_that_waits_at_twilio_when_the_hours_are_over_is_called_off(stack, workflow):
    stack.sim.script([{"match": {"provider": "twilio"}, "action": {"outcome": "HUMAN", "call_ms": 1000, "queue_ms": 600_000}}])
    workflow.start()
    stack.db.execute("update carillon.lanes set window_start = (now() at time zone 'UTC' - interval '1 hour')::time, time_zone = 'UTC',"
                     " window_end = (now() at time zone 'UTC' + interval '6 seconds')::time where tenant_id = 'default' and name = 'workflow'")
    call = workflow.pending()
    workflow.wait(call, "classifying")
    workflow.wait(call, "retry_pending", timeout=60)
    row = stack.row("select last_error, next_action_at > now() + interval '22 hours' as next_day from carillon.pending_calls where id = %s", call)
    assert row == {"last_error": "cancelled", "next_day": True}
    assert stack.count("call_events", "type in ('ringing', 'in_progress')") == 0
