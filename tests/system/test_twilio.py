# SPDX-License-Identifier: Apache-2.0
"""Twilio: forms and codes, lost answers found by number, states in any order, who answered, forged callbacks."""

import hashlib
import itertools
import json
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from lib import events
from lib.cases import calls_of, follow_ups_of, leads_of, quick_settings
from lib.stack import SECRETS

QUICK = quick_settings("twilio")
ACCOUNT = "AC00000000000000000000000000000001"
CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"
KEY = (ACCOUNT, SECRETS["TWILIO_AUTH_TOKEN"])
HUMAN = {"action": {"outcome": "HUMAN", "call_ms": 200}}


def refuses(status, code, message="scripted", times=1, **more):
    body = {"code": code, "message": message, "more_info": f"https://www.twilio.com/docs/errors/{code}", "status": status}
    return {"times": times, "action": {"status": status, "body": body} | more}


def read(stack, topic):
    return stack.topics.read(topic, stack.producer.url + "/registry")


def silent_calls(stack, number):
    """Calls under way of which Twilio says nothing by itself."""
    stack.start(**QUICK)
    stack.sim.script([{"action": {"call_ms": 600_000, "webhook": {"lost": True}}}])
    stack.leads(number)
    stack.wait_count(number, "calls", "status = 'calling'")
    return stack.rows("select * from calls order by job_id")


def test_the_request_and_the_way_round(stack):
    stack.start(**QUICK)
    quick = {"call_ms": 200}
    leads = leads_of(stack, "twilio", {
        "human": [{"action": quick | {"outcome": "HUMAN"}}],
        "machine": [{"action": quick | {"outcome": "VOICEMAIL"}}],
        "machine with a beep": [{"action": quick | {"outcome": "HUMAN", "answered_by": "machine_end_beep"}}],
        "nobody knows": [{"action": quick | {"outcome": "HUMAN", "answered_by": "unknown"}}],
        "no answer": [{"action": quick | {"outcome": "NO_ANSWER"}}],
        "busy": [{"action": quick | {"outcome": "BUSY"}}],
        "failed": [{"action": quick | {"outcome": "FAILED"}}],
        "canceled": [{"action": {"outcome": "HUMAN", "call_ms": 600_000}}],
    })
    stack.wait_count(1, "calls", f"status <> 'dialing' and lead_id = {leads['canceled']['id']}")
    canceled = stack.sim.calls(leads["canceled"]["phone"])[0]["id"]
    stack.sim.process.http.post(f"{CALLS}/{canceled}.json", auth=KEY, data={"Status": "canceled"}).raise_for_status()
    stack.wait_count(len(leads), "calls", "outcome is not null and decided_at is not null")
    seen = {}
    for name, lead in leads.items():
        call = stack.row("select * from calls where lead_id = %s", lead["id"])
        seen[name] = (call["status"], call["outcome"], call["ended_reason"])
    assert seen == {
        "human": ("completed", "HUMAN", "human"),
        "machine": ("completed", "VOICEMAIL", "machine_start"),
        "machine with a beep": ("completed", "VOICEMAIL", "machine_end_beep"),
        "nobody knows": ("completed", "HUMAN", "unknown"),
        "no answer": ("failed", "NO_ANSWER", "no-answer"),
        "busy": ("failed", "BUSY", "busy"),
        "failed": ("failed", "FAILED", "failed"),
        "canceled": ("failed", "CANCELLED", "canceled"),
    }
    # Each state, that somebody answered, and at last, from the call's record, who it was: once.
    call = stack.row("select * from calls where lead_id = %s", leads["human"]["id"])
    told = stack.rows("select type, raw from call_events where call_job_id = %s and message = 'event' order by rank, event_id", call["job_id"])
    assert [event["type"] for event in told] == ["queued", "ringing", "in_progress", "in_progress", "ended", "report"]
    assert sum(b"MachineDetectionDuration" in bytes(event["raw"] or b"") for event in told) == 1

    form = next(parse_qs(request["body"]) for request in stack.sim.requests(CALLS, "POST")
                if leads["human"]["phone"][1:] in request["body"])
    ids = f"job={call['job_id']}&kind=follow_up&lead={leads['human']['id']}"
    callback = f"{stack.webhook.url}{events.TWILIO_PATH}?{ids}&amd=1#rc=5&rp=5xx,ct,rt"
    assert form == {
        "To": [leads["human"]["phone"]], "From": ["+12025550100"],
        "Url": [f"https://instructions.example.test/preclassify?{ids}"],
        "Timeout": ["60"], "TimeLimit": ["600"], "MachineDetection": ["Enable"], "AsyncAmd": ["true"],
        "AsyncAmdStatusCallback": [callback], "StatusCallback": [callback],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
    }
    assert {request["headers"]["content-type"] for request in stack.sim.requests(f"{CALLS}.json", "POST")} == {
        "application/x-www-form-urlencoded"}


def test_a_call_is_ended_by_hand(stack):
    """One that rings and one that was answered; what is told is a form."""
    stack.start(**QUICK)
    stack.sim.script([{"times": 1, "action": {"outcome": "HUMAN", "call_ms": 600_000}}, {"action": {"outcome": "HUMAN", "call_ms": 20_000}}])
    for lead in (stack.lead(), stack.lead()):
        stack.wait_count(1, "calls", f"status <> 'dialing' and lead_id = {lead['id']}")
    stack.wait_count(1, "calls", "status = 'in_progress'")
    for call in stack.rows("select job_id from calls"):
        answer = stack.producer.http.post(f"/api/calls/{call['job_id']}/hangup", headers={"X-API-Key": SECRETS["ADMIN_API_KEY"]})
        assert answer.status_code == 202, answer.text
    stack.wait_count(2, "calls", "outcome is not null and decided_at is not null")
    assert sorted(call["outcome"] for call in stack.rows("select outcome from calls")) == ["CANCELLED", "HUMAN"]
    ended = stack.sim.requests(f"{CALLS}/", "POST")
    assert [request["body"] for request in ended] == ["Status=completed"] * 2
    assert {request["headers"]["content-type"] for request in ended} == {"application/x-www-form-urlencoded"}


def test_what_waits_when_its_window_closes_is_called_off(stack):
    """Twilio takes no latest time for a call: it would ring when its turn comes, at night."""
    stack.start(**QUICK)
    stack.db.execute("update lanes set window_start = (now() at time zone 'UTC' - interval '1 hour')::time, time_zone = 'UTC', use_lead_window = false,"
                     " window_end = (now() at time zone 'UTC' + interval '8 seconds')::time where tenant_id = 'default' and name = 'follow_ups'")
    waiting = {"outcome": "HUMAN", "call_ms": 1000, "queue_ms": 600_000}
    leads = leads_of(stack, "twilio", {
        "waits": [{"action": waiting}],
        "waits, and nobody tells": [{"action": waiting | {"webhook": {"lost": True}}}],
        "talks": [{"action": {"outcome": "HUMAN", "call_ms": 15_000}}],
    })
    stack.wait_count(3, "calls", "status <> 'dialing' and dial_by is not null")
    assert not stack.sim.requests(f"{CALLS}/", "POST")
    stack.wait_count(2, "calls", "outcome = 'CANCELLED' and ended_reason = 'canceled' and decided_at is not null", timeout=60)
    assert stack.value("select bool_and(ended_at >= date_trunc('second', dial_by)) from calls where outcome = 'CANCELLED'")
    stack.wait_count(2, "transitions", "reason = 'call_off_told'")
    told = stack.rows("select note, entity_id from transitions where reason = 'call_off_told'")
    off = stack.rows("select job_id, provider_call_id from calls where outcome = 'CANCELLED'")
    assert sorted(row["entity_id"] for row in told) == sorted(str(call["job_id"]) for call in off)
    assert {row["note"] for row in told} == {"it waited at its provider until its window closed"}
    asked = stack.sim.requests(f"{CALLS}/", "POST")
    assert {request["path"]: request["body"] for request in asked} == {f"{CALLS}/{call['provider_call_id']}.json": "Status=canceled" for call in off}
    assert len(asked) == 2
    stack.wait_count(1, "calls", f"outcome = 'HUMAN' and lead_id = {leads['talks']['id']}")
    rang = stack.rows("select distinct call_job_id from call_events where message = 'event' and type in ('ringing', 'in_progress')")
    assert not {row["call_job_id"] for row in rang} & {call["job_id"] for call in off}


def test_codes_say_what_was_refused(stack):
    stack.start(**QUICK)
    leads = leads_of(stack, "twilio", {
        "bad number": [refuses(400, 21211, "The phone number you are attempting to call, +12025550187, is not valid.")],
        "no calls, please": [refuses(400, 21610)],
        "out of reach": [refuses(400, 21214)],
        "geo": [refuses(400, 21215)],
        "caller": [refuses(400, 21212)],
        "no such account": [refuses(404, 20404)],
        "too many requests": [refuses(429, 20429, retry_after=1), HUMAN],
        "too many requests, no wait": [refuses(429, 20429), HUMAN],
        "too many calls": [refuses(400, 10004, retry_after=1), HUMAN],
        "a gateway": [{"times": 1, "action": {"status": 400, "body": "<html>no</html>"}}, HUMAN],
        "500 dialed": [{"times": 1, "action": {"outcome": "HUMAN", "call_ms": 200, "dialed_but_5xx": 500}}],
    })
    stack.wait_count(len(leads), "follow_ups", "status in ('completed', 'failed')", timeout=60)
    assert follow_ups_of(stack, leads) == {
        "bad number": ["failed", "number", 1, 0, "number"],
        "no calls, please": ["failed", "number", 1, 0, "number"],
        "out of reach": ["failed", "number", 1, 0, "number"],
        "geo": ["failed", "number", 1, 0, "number"],
        "caller": ["failed", "configuration", 1, 0, "configuration"],
        "no such account": ["failed", "configuration", 1, 0, "configuration"],
        "too many requests": ["completed", None, 1, 1, "backpressure"],
        "too many requests, no wait": ["completed", None, 1, 1, "backpressure"],
        "too many calls": ["completed", None, 1, 1, "backpressure"],
        "a gateway": ["completed", None, 2, 1, "retry"],
        "500 dialed": ["completed", None, 1, 1],
    }
    error = stack.value("select error from calls where lead_id = %s", leads["bad number"]["id"])
    assert error == "HTTP 400: 21211: The phone number you are attempting to call, +*********87, is not valid."
    first, second = stack.rows("select * from calls where lead_id = %s order by claimed_at", leads["too many requests, no wait"]["id"])
    assert second["posted_at"] - first["answered_at"] >= timedelta(seconds=4.9)


def test_a_token_that_is_refused_opens_the_breaker(stack):
    stack.start(**QUICK)
    stack.consumer.restart(TWILIO_AUTH_TOKEN="another-token-1a2b3c4d5e6f")
    stack.lead()
    stack.wait_count(1, "accounts", "name = 'twilio' and breaker_until > now() and breaker_reason like '%20003%'")
    posts = stack.sim.stats()["posts"]
    stack.leads(3)
    stack.wait_count(4, "follow_ups", "status = 'pending' and attempts = 0")
    stack.stays(lambda: stack.sim.stats()["posts"] == posts, 2, "nothing is posted")
    assert stack.ledger()["total"] == 0
    stack.assert_nothing_lost()


def test_lost_answers_are_found_by_number(stack):
    stack.start(**QUICK)
    silent = {"outcome": "HUMAN", "call_ms": 300, "webhook": {"lost": True}}
    leads = leads_of(stack, "twilio", {
        "reset": [{"action": silent | {"reset_after_body": True}}],
        "timeout": [{"action": silent | {"timeout": True, "outcome": "VOICEMAIL"}}],
        "garbage": [{"action": silent | {"garbage": "html", "outcome": "NO_ANSWER"}}],
        "still talking": [{"action": silent | {"reset_after_body": True, "call_ms": 600_000}}],
        "absent": [{"times": 1, "action": {"reset_after_body": {"dialed": False}}}, HUMAN],
        "told": [{"action": {"outcome": "BUSY", "call_ms": 300, "reset_after_body": True}}],
    })
    stack.wait_count(len(leads), "follow_ups", "status = 'completed'", timeout=60)
    stack.wait_count(5, "calls", "outcome is not null", timeout=30)
    assert calls_of(stack, leads) == {
        "reset": [1, ("completed", "HUMAN")],
        "timeout": [1, ("completed", "VOICEMAIL")],
        "garbage": [1, ("failed", "NO_ANSWER")],
        "still talking": [1, ("calling", None)],
        "absent": [1, ("not_dialed", None), ("completed", "HUMAN")],
        "told": [1, ("failed", "BUSY")],
    }
    assert {request["path"] for request in stack.sim.requests(CALLS, "GET")} >= {f"{CALLS}.json"}


def test_an_earlier_call_to_the_number_is_not_taken_for_a_lost_one(stack):
    """The list shows it, seconds old; the one that is looked for was not dialed."""
    stack.start(**QUICK)
    lead = stack.lead()
    rules = [{"times": 1, **HUMAN}, {"times": 1, "action": {"reset_after_body": {"dialed": False}}}, HUMAN]
    stack.sim.script([{"match": {"phone": lead["phone"]}} | rule for rule in rules])
    stack.wait_count(1, "calls", "outcome = 'HUMAN'")
    stack.insert("follow_ups", lead_id=lead["id"])
    stack.wait_count(2, "calls", "outcome = 'HUMAN'", timeout=60)
    assert [call["status"] for call in stack.rows("select status from calls order by claimed_at")] == [
        "completed", "not_dialed", "completed"]
    assert stack.sim.dialed(lead["phone"]) == 2


def test_somebody_elses_call_to_the_number_proves_nothing(stack):
    """By the same account, just before the claim: by its clock alone it could be the lost one."""
    stack.start(**QUICK)
    phone = stack.phone()
    stack.sim.script([{"action": {"call_ms": 600_000, "webhook": {"lost": True}}}])
    stack.sim.process.http.post(f"{CALLS}.json", auth=KEY, data={
        "To": phone, "From": "+12025550100", "Url": "https://instructions.example.test/other"}).raise_for_status()
    stack.stays(lambda: True, 6, "time passes")
    stack.sim.script([{"times": 1, "action": {"reset_after_body": {"dialed": False}}}, HUMAN])
    stack.lead(phone=phone)
    stack.wait_count(1, "follow_ups", "status = 'undetermined'", timeout=60)
    assert [call["status"] for call in stack.rows("select status from calls")] == ["undetermined"]


def test_a_call_from_another_number_is_not_taken_for_a_lost_one(stack):
    """Somebody else's by the same account, after the claim: it looks like the lost one but for its number."""
    stack.start(**QUICK)
    phone = stack.phone()
    stack.sim.script([{"times": 1, "action": {"reset_after_body": {"dialed": False}}}, {"action": {"call_ms": 600_000, "webhook": {"lost": True}}}])
    stack.lead(phone=phone)
    stack.wait_count(1, "calls")
    stack.sim.process.http.post(f"{CALLS}.json", auth=KEY, data={
        "To": phone, "From": "+12025550199", "Url": "https://instructions.example.test/other"}).raise_for_status()
    stack.wait_count(1, "follow_ups", "status = 'undetermined'", timeout=60)
    assert [call["provider_call_id"] for call in stack.rows("select provider_call_id from calls")] == [None]


def test_callbacks_in_any_order_doubled_and_late(stack):
    states = ["ringing", "in-progress", None, "completed"]
    orders = list(itertools.permutations(states))
    calls = silent_calls(stack, len(orders))
    for call, order in zip(calls, orders, strict=True):
        query = f"job={call['job_id']}&kind=follow_up&lead={call['lead_id']}&amd=1"
        for status in order:
            more = {"AnsweredBy": "machine_start"} if status in (None, "completed") else {}
            more |= {"CallDuration": "12"} if status == "completed" else {}
            for _ in range(2):
                answer = events.post_twilio(stack.webhook, call["provider_call_id"], status, query, To=call["phone"], **more)
                assert answer.status_code == 202
    stack.wait_count(len(calls), "calls", "decided_at is not null and status = 'completed' and outcome = 'VOICEMAIL' and duration_ms = 12000")
    stack.wait_until(lambda: stack.topics.lag("record") == 0, 20, "all messages recorded")
    assert stack.count("call_events", "message = 'event'") == 4 * len(calls)
    assert stack.count("call_events", "message = 'redial'") == len(calls)
    assert stack.count("redial_queue", "attempts = 1 and status = 'pending'") == len(calls)
    assert stack.count("call_events", "state in ('parked', 'orphan')") == 0


def test_callbacks_before_the_answer(stack):
    """The call's end is told before we know that there is a call."""
    stack.start(**QUICK)
    stack.sim.script([{"action": {"outcome": "NO_ANSWER", "call_ms": 100, "webhook": {"before_answer": True, "order": "shuffle", "duplicates": 1}}}])
    leads = stack.leads(5)
    stack.wait_count(5, "calls", "outcome = 'NO_ANSWER' and decided_at is not null and status = 'failed'")
    assert all(stack.sim.dialed(lead["phone"]) == 1 for lead in leads)
    assert stack.count("redial_queue", "attempts = 1") == 5


def test_who_answered_is_looked_up_where_the_end_lacks_it(stack):
    """The end alone says no outcome; the call's own record has it, asked for once no callback brought it."""
    stack.start(**QUICK)
    stack.sim.script([{"action": {"outcome": "VOICEMAIL", "call_ms": 200}}])
    stack.lead()
    stack.wait_count(1, "calls", "status = 'completed' and outcome is null")
    stack.wait_count(1, "calls", "outcome = 'VOICEMAIL' and decided_at is not null")
    call = stack.row("select * from calls")
    assert f"{CALLS}/{call['provider_call_id']}.json" in {request["path"] for request in stack.sim.requests(CALLS, "GET")}
    stack.wait_count(0, "live")
    assert stack.count("redial_queue", "attempts = 1 and last_outcome = 'VOICEMAIL'") == 1


def test_only_what_twilio_signed_is_taken(stack):
    stack.start("producer", "webhook")
    url = stack.webhook.url + events.TWILIO_PATH
    fields = [("CallSid", "CA1"), ("CallStatus", "ringing"), ("To", stack.phone()), ("Empty", ""), ("Twice", "b"), ("Twice", "a")]
    form = urlencode(fields)
    good = events.twilio_signature(url + "?job=1", fields)
    secret = SECRETS["TWILIO_AUTH_TOKEN"]
    without_port = url.replace(f":{urlsplit(url).port}", "")
    body = json.dumps({"CallSid": "CA2", "CallStatus": "completed"}).encode()
    digest = hashlib.sha256(body).hexdigest()
    signed_json = events.twilio_signature(f"{url}?bodySHA256={digest}", [])
    kinds = {"form": {"Content-Type": "application/x-www-form-urlencoded"}, "json": {"Content-Type": "application/json"}}
    for query, headers, kind, content, status in (
        ("?job=1", good, "form", form, 202),
        ("?job=1", good, "form", "&".join(reversed(form.split("&"))), 202),  # the order of the fields is not signed
        ("?job=1", events.twilio_signature(without_port + "?job=1", fields), "form", form, 202),
        ("?job=1", events.twilio_signature(url + "?job=1#rc=5&rp=5xx,ct,rt", fields), "form", form, 202),
        ("?job=1", {}, "form", form, 401),
        ("?job=1", {"X-Twilio-Signature": ""}, "form", form, 401),
        ("?job=1", events.twilio_signature(url + "?job=1", fields, "another"), "form", form, 401),
        ("?job=2", good, "form", form, 401),
        ("", good, "form", form, 401),
        ("?job=1&", good, "form", form, 401),
        ("?job=1", good, "form", form + "&More=1", 401),
        ("?job=1", good, "form", form.replace("Empty=&", ""), 401),
        ("?job=1", good, "form", form.replace("ringing", "completed"), 401),
        ("?job=1", {"X-Twilio-Signature": secret}, "form", form, 401),
        ("?job=1", {"Authorization": f"Bearer {secret}"}, "form", form, 401),
        (f"?bodySHA256={digest}", signed_json, "json", body, 202),
        (f"?bodySHA256={digest}", signed_json, "json", body + b" ", 401),
        ("", events.twilio_signature(url, []), "json", body, 401),
        ("", events.twilio_signature(url, [("CallSid", "CA1")]), "form", "CallSid=CA1", 400),
        ("", events.twilio_signature(url, [("x", "y")]), "form", "x=y", 400),
    ):
        answer = stack.webhook.http.post(events.TWILIO_PATH + query, headers=headers | kinds[kind], content=content)
        assert answer.status_code == status, (query, headers, content)
    # A call to us, one that instructions made, a recording: none of our business.
    for unused in ({"Direction": "inbound"}, {"Direction": "outbound-dial"}):
        assert events.post_twilio(stack.webhook, "CA3", "completed", **unused).status_code == 202
    assert events.post_twilio(stack.webhook, "CA3", None, RecordingSid="RE1").status_code == 202
    ids = [message.value["event_id"] for message in read(stack, "calls.event.v1")]
    assert sorted(ids) == ["twilio:CA1:ringing"] * 4 + ["twilio:CA2:completed"]


@pytest.mark.parametrize("by", ["pending_call_id", "job_id", "phone"])
def test_the_classifiers_word_becomes_a_move_of_the_pending_call(stack, by):
    stack.start("producer", "webhook")
    subject = {"pending_call_id": "0B0E7F0C-6A0B-4B8A-9F0B-2A4A3C1D5E6F", "job_id": "0190a6c4-7d3e-7cc1-8a5e-0242ac120002",
               "phone": stack.phone()}[by]
    answer = events.post_classified(stack.webhook, "msg_1", **{by: subject}, classification="ivr_then_human",
                                    confidence=0.93, menu_path=["2", "1"])
    assert answer.status_code == 202 and answer.json()["event_id"] == "msg_1"
    (message,) = read(stack, "leads.stage.v1")
    said = message.value
    assert json.loads(said.pop("detail")) == {"classification": "ivr_then_human", "confidence": 0.93, "menu_path": ["2", "1"]}
    assert said.pop("at") is not None
    nothing = {"id": None, "job_id": None, "phone": None}
    given = {"pending_call_id": {"id": subject.lower()}, "job_id": {"job_id": subject}, "phone": {"phone": subject}}[by]
    assert said == nothing | given | {
        "event_id": "msg_1", "tenant": "default", "account": "classifier", "provider": "classifier", "provider_call_id": None,
        "entity": "pending_call", "to": "ivr_then_human", "reason": "classified"}
    assert not read(stack, "calls.event.v1")


def test_the_classifier_is_told_all_that_is_wrong(stack):
    stack.start("producer", "webhook")
    right = {"phone": stack.phone(), "classification": "human", "confidence": 1}
    for number, (event, problems) in enumerate((
        ({"classification": "robot", "confidence": "high", "menu_path": 7, "pending_call_id": "x"},
         ["pending_call_id is no UUID", "classification is none of", "confidence is no number", "menu_path is neither"]),
        ({}, ["one of pending_call_id, job_id and phone", "classification is none of"]),
        (right | {"confidence": 1.5}, ["confidence is no number from 0 to 1"]),
        (right | {"phone": "nobody"}, ["phone is no number"]),
        (right | {"menu_path": "1" * 2000}, ["menu_path is too long"]),
    )):
        answer = events.post_classified(stack.webhook, f"msg_{number}", **event)
        assert answer.status_code == 400
        assert all(problem in answer.json()["detail"] for problem in problems), answer.text
    raw = json.dumps({"type": "call.classified"} | right).encode()
    signed = events.standard_headers(raw, "msg_x")
    for headers, content in (
        ({}, raw), (signed, raw + b" "), (signed | {"webhook-id": "msg_y"}, raw),
        (signed | {"webhook-timestamp": "1700000000"}, raw),
        (events.standard_headers(raw, "msg_x", at=1_700_000_000), raw),
        (events.standard_headers(raw, "msg_x", "whsec_" + "A" * 32), raw),
        (events.standard_headers(raw, "a.b"), raw),
    ):
        assert stack.webhook.http.post(events.CLASSIFIER_PATH, headers=headers, content=content).status_code == 401
    several = signed | {"webhook-signature": f"v1a,AAAA v1,{'A' * 43}= {signed['webhook-signature']}"}
    assert stack.webhook.http.post(events.CLASSIFIER_PATH, headers=several, content=raw).status_code == 202
    other = json.dumps({"type": "call.started"}).encode()
    assert stack.webhook.http.post(events.CLASSIFIER_PATH, headers=events.standard_headers(other, "m"), content=other).status_code == 202
    assert len(read(stack, "leads.stage.v1")) == 1
    assert len(stack.topics.read("calls.event.v1-dlt")) == 5


def test_the_simulated_classifier_speaks_after_the_answer(stack):
    stack.start(**QUICK)
    leads = leads_of(stack, "twilio", {
        "menu": [{"action": {"outcome": "HUMAN", "call_ms": 300,
                             "classify": {"classification": "ivr_only", "confidence": 0.8, "menu_path": "1"}}}],
        "no answer": [{"action": {"outcome": "NO_ANSWER", "call_ms": 300, "classify": {"classification": "human"}}}],
        "by phone": [{"action": {"outcome": "HUMAN", "call_ms": 300, "classify": {"classification": "unknown", "by": "phone"}}}],
    })
    stack.wait_count(3, "calls", "decided_at is not null")
    said = {message.value["phone"] or message.value["job_id"]: message.value
            for message in read(stack, "leads.stage.v1") if message.value["entity"] == "pending_call"}
    job_id = stack.value("select job_id from calls where lead_id = %s", leads["menu"]["id"])
    assert {subject: value["to"] for subject, value in said.items()} == {
        str(job_id): "ivr_only", leads["by phone"]["phone"]: "unknown"}


def test_url_of_a_call_is_told_who_it_is_about(stack):
    """What the classifier hears of a call: its ids, and nothing about the person."""
    stack.start(**QUICK)
    stack.sim.script([HUMAN])
    lead = stack.lead(first_name="Ada", last_name="Lovelace")
    stack.wait_count(1, "calls", "decided_at is not null")
    form = dict(parse_qsl(stack.sim.requests(CALLS, "POST")[0]["body"]))
    assert dict(parse_qsl(urlsplit(form["Url"]).query)) == {
        "job": str(stack.value("select job_id from calls")), "kind": "follow_up", "lead": str(lead["id"])}
    assert "Lovelace" not in str(form)
