# SPDX-License-Identifier: Apache-2.0
"""The providers' callbacks as they send them, for tests that send their own."""

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


def post_vapi(webhook: Any, body: dict, client: httpx.Client | None = None) -> httpx.Response:
    return (client or webhook.http).post(VAPI_PATH, json=body, headers=VAPI_HEADERS)


def post_omni(webhook: Any, body: dict, client: httpx.Client | None = None) -> httpx.Response:
    return (client or webhook.http).post(OMNI_PATH, json=body)
