# SPDX-License-Identifier: Apache-2.0
"""Any other dialer by Standard Webhooks: its calls count for the redial record of their number, beside our own."""

import json
import time

from lib import events

SECRET = "whsec_Z2VuZXJpYy1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg=="
PATH = "/webhooks/generic/generic"


def tell(stack, message_id, **data):
    raw = json.dumps({"type": "call.ended", "data": data}).encode()
    return stack.webhook.http.post(PATH, content=raw, headers=events.standard_headers(raw, message_id, SECRET))


def record(stack):
    return stack.row("select status, attempts, outcomes from redial_queue where lead_id = 'L-7'")


def test_another_dialers_calls_count(stack):
    stack.start(GENERIC_WEBHOOK_SECRET=SECRET)
    # Open at no time: what is asked is what the record says.
    stack.db.execute("update lanes set active = false where name = 'redial'")
    phone = stack.phone()
    call = {"call_id": "c-1", "phone": phone, "lead_id": "L-7", "first_name": "Ada", "outcome": "no answer", "ended_at": time.time() - 60}
    for message_id in ("m-1", "m-1", "m-2"):  # delivered twice, and told again
        assert tell(stack, message_id, **call).status_code == 202
    stack.wait_until(lambda: record(stack) == {"status": "pending", "attempts": 1, "outcomes": ["NO_ANSWER"]}, 20, "one attempt")
    assert tell(stack, "m-3", **call | {"call_id": "c-2", "outcome": "sold", "ended_at": time.time() - 30}).status_code == 202
    stack.wait_until(lambda: record(stack) == {"status": "completed", "attempts": 2, "outcomes": ["NO_ANSWER", "SALE"]}, 20, "completed")
    lead = stack.row("select * from leads where phone = %s", phone)
    assert (lead["first_name"], lead["auto_follow_up"]) == ("Ada", False)
    answer = tell(stack, "m-4", lead_id="L-7")
    assert answer.status_code == 400
    assert answer.json()["detail"] == "no outcome; no call_id; no phone, or none in E.164"
    raw = json.dumps({"type": "call.ended", "data": call}).encode()
    forged = events.standard_headers(raw, "m-5", "whsec_" + "A" * 32)
    assert stack.webhook.http.post(PATH, content=raw, headers=forged).status_code == 401
    assert stack.ledger()["total"] == 0
