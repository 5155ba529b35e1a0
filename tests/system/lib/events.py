# SPDX-License-Identifier: Apache-2.0
"""The providers' callbacks as they send them, for tests that send their own."""

import time
from datetime import UTC, datetime
from typing import Any

import httpx

from .stack import SECRETS

VAPI_PATH = "/webhooks/vapi/vapi"
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


def post_vapi(webhook: Any, body: dict, client: httpx.Client | None = None) -> httpx.Response:
    return (client or webhook.http).post(VAPI_PATH, json=body, headers=VAPI_HEADERS)


def post_omni(webhook: Any, body: dict, client: httpx.Client | None = None) -> httpx.Response:
    return (client or webhook.http).post(OMNI_PATH, json=body)
