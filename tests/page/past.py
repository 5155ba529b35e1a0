# SPDX-License-Identifier: Apache-2.0
"""Calls of the past, which nobody has to dial."""

import uuid


def a_call(stack, lead, status, **more):
    """One that was dialed in the past, with all that belongs to its state."""
    account = stack.row("select id, provider from carillon.accounts where name = 'vapi'")
    ended = "now" if status == "completed" else None
    follow_up = stack.insert("follow_ups", lead_id=lead, due_at="2026-01-01T00:00:00Z", status="completed" if ended else status)
    phone = stack.value("select phone_e164 from carillon.leads where id = %s", lead)
    same = {"tenant_id": "default", "lane_id": follow_up["lane_id"], "account_id": account["id"], "follow_up_id": follow_up["id"], "phone": phone}
    job = stack.insert("calls", job_id=uuid.uuid4(), lead_id=lead, kind=follow_up["kind"], provider="vapi", attempt=1, status=status, due_at="2026-01-01T00:00:00Z",
                       posted_at="now", ended_at=ended, worker="w/1", **same, **more)["job_id"]
    if status == "undetermined":
        stack.insert("live", job_id=job, state=status, lease_until="now", next_check_at="infinity", checks=3, absent_at="now", **same)
    return job
