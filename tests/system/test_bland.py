# SPDX-License-Identifier: Apache-2.0
"""Bland: refusals told apart by their words, lost answers found by list and look-up, its ends and what follows."""

import json
from datetime import timedelta

from lib import events
from lib.cases import calls_of, follow_ups_of, leads_of, quick_settings
from lib.stack import SECRETS

QUICK = quick_settings("bland")
KEY = {"Authorization": SECRETS["BLAND_API_KEY"]}
SALE = {"action": {"outcome": "SALE", "call_ms": 100}}


def error(message, status="error"):
    return {"status": status, "message": message}


def refuses(status, body, times=1):
    return {"times": times, "action": {"status": status, "body": body}}


def test_the_request_and_the_way_round(stack):
    stack.start(**QUICK, BLAND_NUMBER="+12025550100")
    leads = leads_of(stack, "bland", {
        "call back": [{"action": {"outcome": "CALLBACK", "call_ms": 100, "callback_in_ms": 3_600_000}}],
        "do not contact": [{"action": {"outcome": "DO_NOT_CALL", "call_ms": 100}}],
        "own tag": [{"action": {"outcome": "HUMAN", "disposition": "wants brochure", "call_ms": 100}}],
        "error": [{"action": {"outcome": "FAILED", "call_ms": 100,
                              "error_message": "Call failed. The number you dialed is busy. Please try again later."}}],
        "failed transfer": [{"action": {"outcome": "HUMAN", "call_ms": 100,
                                        "error_message": "Account not allowed to call +12025550199"}}],
        "stopped": [{"action": {"outcome": "HUMAN", "call_ms": 600_000}}],
    })
    stack.wait_count(1, "calls", f"status = 'calling' and lead_id = {leads['stopped']['id']}")
    stopped = stack.sim.calls(leads["stopped"]["phone"])[0]["id"]
    stack.sim.process.http.post(f"/v1/calls/{stopped}/stop", headers=KEY).raise_for_status()
    stack.wait_count(len(leads), "calls", "ended_at is not null and decided_at is not null")
    seen = {
        name: (stack.value("select outcome from calls where lead_id = %s", lead["id"]),
               stack.value("select status from redial_queue where lead_ref = %s", lead["id"]),
               stack.count("suppressions", "phone = %s", lead["phone"]))
        for name, lead in leads.items()
    }
    assert seen == {
        "call back": ("CALLBACK", "rescheduled", 0),
        "do not contact": ("DO_NOT_CALL", None, 1),
        "own tag": ("WANTS_BROCHURE", "pending", 0),
        "error": ("BUSY", "pending", 0),
        "failed transfer": ("HUMAN", "pending", 0),
        "stopped": ("HUMAN", "pending", 0),
    }
    call = stack.row("select * from calls where lead_id = %s", leads["call back"]["id"])
    record = stack.row("select * from redial_queue where lead_ref = %s", leads["call back"]["id"])
    assert record["scheduled_callback_time"] == record["next_redial_timestamp"] == call["callback_at"]
    assert abs(call["callback_at"] - call["ended_at"] - timedelta(hours=1)) < timedelta(seconds=1)
    report = stack.row("select * from call_reports where job_id = %s", call["job_id"])
    assert report["summary"] == "A simulated conversation." and "Hello" in report["transcript"]

    # A suppressed person is not called again, whoever asks.
    stack.insert("follow_ups", lead_id=leads["do not contact"]["id"])
    stack.wait_count(1, "follow_ups", "status = 'skipped' and reason = 'suppressed'")
    assert stack.sim.dialed(leads["do not contact"]["phone"]) == 1

    body = next(json.loads(request["body"]) for request in stack.sim.requests("/v1/calls")
                if leads["call back"]["phone"] in request["body"])
    lead_id = str(leads["call back"]["id"])
    assert body == {
        "phone_number": leads["call back"]["phone"], "pathway_id": stack.environment["BLAND_PATHWAY_ID"],
        "from": "+12025550100", "max_duration": 10, "voicemail": {"action": "hangup"},
        "request_data": {"job_id": str(call["job_id"]), "lead_id": lead_id},
        "metadata": {"job_id": str(call["job_id"]), "lead_id": lead_id, "kind": "follow_up"},
    }


def test_one_status_has_many_meanings(stack):
    stack.start(**QUICK)
    ten_seconds = error("Calls can only be sent every 10 seconds to the same number. Please try again in a few seconds.")
    leads = leads_of(stack, "bland", {
        "429 blacklist": [refuses(429, error("This number is blacklisted."))],
        "429 ten seconds": [refuses(429, ten_seconds), SALE],
        "429 limit": [{"times": 1, "action": {"status": 429, "retry_after": 1, "body": error("Rate limit exceeded")}}, SALE],
        "400 queue": [refuses(400, error("Unable to queue call.")), SALE],
        "400 save": [refuses(400, error("Unable to save request body.")), SALE],
        "400 number": [refuses(400, error("Invalid phone number. Please include a country code if outside the US."))],
        "400 do not call": [refuses(400, error("Number found in DNC list. You cannot dial sensitive numbers.", "DNC Error"))],
        "400 member": [refuses(400, error("Additional properties are not allowed"))],
        "404 pathway": [refuses(404, error('Pathway with ID "x" not found'))],
        "418": [refuses(418, {"error": "OBJECTIVE_VALIDATION_ERROR", "details": "x"})],
        "200 refused": [refuses(200, error("No numbers left.")), SALE],
        "500 dialed": [{"times": 1, "action": {"outcome": "SALE", "call_ms": 100, "dialed_but_5xx": 500}}],
    })
    stack.wait_count(len(leads), "follow_ups", "status in ('completed', 'failed')", timeout=60)
    assert follow_ups_of(stack, leads) == {
        "429 blacklist": ["failed", "number", 1, 0, "number"],
        "429 ten seconds": ["completed", None, 1, 1, "backpressure"],
        "429 limit": ["completed", None, 1, 1, "backpressure"],
        "400 queue": ["completed", None, 2, 1, "retry"],
        "400 save": ["completed", None, 2, 1, "retry"],
        "400 number": ["failed", "number", 1, 0, "number"],
        "400 do not call": ["failed", "number", 1, 0, "number"],
        "400 member": ["failed", "configuration", 1, 0, "configuration"],
        "404 pathway": ["failed", "configuration", 1, 0, "configuration"],
        "418": ["failed", "configuration", 1, 0, "configuration"],
        "200 refused": ["completed", None, 2, 1, "retry"],
        "500 dialed": ["completed", None, 1, 1],
    }
    first, second = stack.rows("select * from calls where lead_id = %s order by claimed_at", leads["429 ten seconds"]["id"])
    assert second["posted_at"] - first["answered_at"] >= timedelta(seconds=9.9)


def test_account_trouble_opens_the_breaker(stack):
    stack.start(**QUICK)
    # A key that Bland does not know: the answer has its other shape.
    stack.consumer.restart(BLAND_API_KEY="another-key-1a2b3c4d5e6f")
    lead = stack.lead()
    stack.wait_count(1, "accounts", "name = 'bland' and breaker_until > now()")
    assert "Unauthorized" in stack.value("select breaker_reason from accounts where name = 'bland'")
    posts = stack.sim.stats()["posts"]
    others = stack.leads(3)
    ids = [lead["id"], *(other["id"] for other in others)]
    stack.wait_until(
        lambda: stack.count("follow_ups", "lead_id = any(%s) and status = 'pending' and attempts = 0", ids) == 4
        and stack.count("follow_ups", "lead_id = any(%s) and gate = 'breaker'", ids) >= 3, 20, "all held")
    assert stack.sim.stats()["posts"] == posts
    # The key is right again, the account has no money: the same in words.
    stack.consumer.restart(BLAND_API_KEY=SECRETS["BLAND_API_KEY"])
    stack.sim.script([{"match": {"provider": "bland"}, "action": {"status": 402, "body": error("Insufficient balance.")}}])
    stack.db.execute("update accounts set breaker_until = null, breaker_reason = null where name = 'bland'")
    stack.db.execute("update follow_ups set next_look_at = now() where status = 'pending'")
    stack.wait_count(1, "accounts", "name = 'bland' and breaker_reason like '%Insufficient balance%'")
    assert stack.ledger()["total"] == 0
    stack.assert_nothing_lost()


def test_lost_answers_are_found_by_list_and_look_up(stack):
    stack.start(**QUICK)
    silent = {"outcome": "SALE", "call_ms": 300, "webhook": {"lost": True}}
    leads = leads_of(stack, "bland", {
        "reset": [{"action": silent | {"reset_after_body": True}}],
        "timeout": [{"action": silent | {"timeout": True}}],
        "garbage": [{"action": silent | {"garbage": "html"}}],
        "still talking": [{"action": silent | {"reset_after_body": True, "call_ms": 600_000}}],
        "absent": [{"times": 1, "action": {"reset_after_body": {"dialed": False}}}, SALE],
        "told": [{"action": {"outcome": "TRANSFERRED", "call_ms": 300, "reset_after_body": True}}],
    })
    stack.wait_count(len(leads), "follow_ups", "status = 'completed'", timeout=60)
    stack.wait_count(5, "calls", "status = 'completed'", timeout=30)
    sold = ("completed", "SALE")
    assert calls_of(stack, leads) == {
        "reset": [1, sold], "timeout": [1, sold], "garbage": [1, sold],
        "still talking": [1, ("calling", None)],
        "absent": [1, ("not_dialed", None), sold],
        "told": [1, ("completed", "TRANSFERRED")],
    }
    # By the list first, whose rows lack the job id, then by each candidate's own record.
    read = {request["path"].removeprefix("/v1/calls/") for request in stack.sim.requests("/v1/calls/")}
    found = {call["id"] for name in ("reset", "timeout", "garbage", "still talking") for call in stack.sim.calls(leads[name]["phone"])}
    assert found <= read


def test_a_candidate_that_cannot_be_read_proves_nothing(stack):
    """The list shows a call to the number; were it ours, the person would be rung twice."""
    stack.start(**QUICK)
    phone = stack.phone()
    # Somebody else calls the same person by the same Bland account, and leaves no id of ours.
    stack.sim.script([{"action": {"call_ms": 600_000, "webhook": {"lost": True}}}])
    stack.sim.process.http.post(
        "/v1/calls", headers=KEY, json={"phone_number": phone, "task": "Say hello.", "metadata": {}},
    ).raise_for_status()
    stack.sim.script([{"times": 1, "action": {"reset_after_body": {"dialed": False}}}, SALE])
    stack.lead(phone=phone)
    stack.wait_count(1, "follow_ups", "status = 'undetermined'", timeout=60)
    assert [call["status"] for call in stack.rows("select status from calls")] == ["undetermined"]
    assert stack.sim.requests("/v1/calls/")


def test_only_signed_bytes_are_taken(stack):
    stack.start("producer", "webhook")
    body = json.dumps(events.bland_report("c-1", stack.phone(), summary="café")).encode()
    spaced = json.dumps(json.loads(body), indent=1).encode()
    good = events.bland_signature(body)
    for headers, content, status in (
        (good, body, 202),
        (good, spaced, 401),  # the same document, other bytes
        (good, body + b"\n", 401),
        ({}, body, 401),
        (events.bland_signature(body, "another"), body, 401),
        ({"X-Webhook-Signature": "sha256=" + good["X-Webhook-Signature"]}, body, 401),
        ({"Authorization": SECRETS["BLAND_WEBHOOK_SECRET"]}, body, 401),
        (events.bland_signature(b"{}"), b"{}", 400),
        (events.bland_signature(b"x"), b"x", 400),
    ):
        assert stack.webhook.http.post(events.BLAND_PATH, headers=headers, content=content).status_code == status, (headers, content)
    in_call = {"message": "Call connected", "call_id": "c-1", "category": "call", "log_level": "info"}
    later = {"call_id": "c-1", "event_type": "citations", "citations": []}
    for unused in (in_call, later):
        assert events.post_bland(stack.webhook, unused).status_code == 202
    assert len(stack.topics.read("calls.event.v1")) == 1
