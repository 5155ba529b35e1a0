# SPDX-License-Identifier: Apache-2.0
"""The providers' callbacks as they send them, for tests that send their own."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx

from .stack import SECRETS

VAPI_PATH = "/webhooks/vapi/vapi"
BLAND_PATH = "/webhooks/bland/bland"
TWILIO_PATH = "/webhooks/twilio/twilio"
CLASSIFIER_PATH = "/webhooks/classifier/classifier"
OMNI_PATH = f"/webhooks/omni/omni/{SECRETS['OMNI_WEBHOOK_TOKEN']}"
VAPI_HEADERS = {"X-Vapi-Secret": SECRETS["VAPI_WEBHOOK_SECRET"]}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def vapi_status(call_id: str, status: str, phone: str | None = None, at: float | None = None, **more: Any) -> dict:
    """queued, ringing, in-progress, or ended with endedReason=..."""
    message = {
        "type": "status-update",
        "status": status,
        "timestamp": int((at or time.time()) * 1000),
        "call": {"id": call_id, "type": "outboundPhoneCall"},
    }
    if phone:
        message["customer"] = {"number": phone}
    return {"message": message | more}


def vapi_report(call_id: str, reason: str, outcome: str | None = None, phone: str | None = None,
                at: float | None = None) -> dict:
    at = at or time.time()
    message = {
        "type": "end-of-call-report",
        "timestamp": int(at * 1000),
        "endedReason": reason,
        "startedAt": _iso(at - 30),
        "endedAt": _iso(at),
        "cost": 0.07,
        "call": {"id": call_id, "type": "outboundPhoneCall"},
        "artifact": {"transcript": "AI: Hello."},
        "analysis": {"summary": "A call.", "structuredData": {"outcome": outcome} if outcome else {}},
    }
    if phone:
        message["customer"] = {"number": phone}
    return {"message": message}


def omni_report(call_request_id: int | str, phone: str, status: str = "completed", outcome: str | None = None,
                **more: Any) -> dict:
    return {
        "call_id": int(call_request_id) + 70_000_000,
        "bot_id": 101,
        "to_number": phone,
        "call_direction": "outbound",
        "call_request_id": int(call_request_id),
        "call_duration": 31,
        "call_status": status,
        "hangup_source": False,
        "recording_url": False,
        "call_report": {
            "summary": "A call.",
            "extracted_variables": {"outcome": outcome or "Not provided"},
            "full_conversation": "Agent: Hello.",
        },
    } | more


def bland_report(call_id: str, phone: str, job_id: str | None = None, **more: Any) -> dict:
    return {
        "call_id": call_id,
        "to": phone,
        "completed": True,
        "status": "completed",
        "queue_status": "complete",
        "answered_by": "human",
        "corrected_duration": "31",
        "error_message": None,
        "metadata": {"job_id": job_id} if job_id else {},
    } | more


def bland_signature(body: bytes, secret: str = SECRETS["BLAND_WEBHOOK_SECRET"]) -> dict[str, str]:
    return {"X-Webhook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def post_bland(webhook: Any, body: dict, client: httpx.Client | None = None) -> httpx.Response:
    raw = json.dumps(body).encode()
    return (client or webhook.http).post(BLAND_PATH, content=raw, headers=bland_signature(raw))


def twilio_signature(url: str, fields: list[tuple[str, str]], token: str = SECRETS["TWILIO_AUTH_TOKEN"]) -> dict[str, str]:
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    digest = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
    return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


def post_twilio(webhook: Any, call_id: str, status: str | None, query: str = "", **more: str) -> httpx.Response:
    """A status callback, or without a status what else Twilio sends, as the URL with this query was told."""
    fields = {"AccountSid": "AC00000000000000000000000000000001", "CallSid": call_id}
    if status:
        fields |= {"CallStatus": status, "CallbackSource": "call-progress-events", "Direction": "outbound-api"}
    fields |= more
    path = TWILIO_PATH + (f"?{query}" if query else "")
    headers = twilio_signature(webhook.url + path, list(fields.items()))
    return webhook.http.post(path, data=fields, headers=headers)


def standard_headers(body: bytes, message_id: str, secret: str = SECRETS["CLASSIFIER_WEBHOOK_SECRET"],
                     at: float | None = None) -> dict[str, str]:
    timestamp = str(int(at or time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": message_id, "webhook-timestamp": timestamp,
            "webhook-signature": "v1," + base64.b64encode(digest).decode()}


def post_classified(webhook: Any, message_id: str, **event: Any) -> httpx.Response:
    raw = json.dumps({"type": "call.classified"} | event).encode()
    return webhook.http.post(CLASSIFIER_PATH, content=raw, headers=standard_headers(raw, message_id))


def post_vapi(webhook: Any, body: dict, client: httpx.Client | None = None) -> httpx.Response:
    return (client or webhook.http).post(VAPI_PATH, json=body, headers=VAPI_HEADERS)


def post_omni(webhook: Any, body: dict, client: httpx.Client | None = None) -> httpx.Response:
    return (client or webhook.http).post(OMNI_PATH, json=body)
