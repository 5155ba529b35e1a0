# SPDX-License-Identifier: Apache-2.0
"""A huge campaign and a small one that starts later: the small one is done at its own pace.

50,000 contacts wait in the huge one, put in by SQL; with CARILLON_FULL=1 200,000.
"""

import time

import pytest
from lib.stack import FULL, SECRETS

KEY = SECRETS["ADMIN_API_KEY"]
CONTACTS = 200_000 if FULL else 50_000
SMALL = 20


def call(stack, method, path, **more):
    answer = stack.producer.http.request(method, f"/api/campaigns{path}", headers={"X-API-Key": KEY}, timeout=60, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


def campaign(stack, name, **settings):
    return call(stack, "POST", "", json={"name": name, "account": "vapi", "useLeadWindow": False} | settings)["id"]


def fill(stack, the_campaign, contacts):
    """Numbers of the exchange 555, which the simulator alone is asked for."""
    with stack.db.transaction():
        stack.db.execute(
            "with made as (insert into carillon.leads (phone, auto_follow_up)"
            " select '+1' || (201 + n %% 99) || '555' || lpad((n / 99)::text, 4, '0'), false from generate_series(1000, %s) n returning id)"
            " insert into carillon.campaign_contacts (campaign_id, lead_id) select %s, id from made", (contacts + 999, the_campaign))
    stack.db.execute("analyze carillon.leads, carillon.campaign_contacts")


def run_small(stack, name):
    """Seconds from the upload of a small campaign's contacts to the end of its last call."""
    phones = [stack.phone() for _ in range(SMALL)]
    its = campaign(stack, name, maxConcurrent=5)
    began = time.monotonic()
    assert call(stack, "POST", f"/{its}/contacts", json=[{"phone": phone} for phone in phones])["created"] == SMALL
    stack.wait_until(lambda: call(stack, "GET", f"/{its}/progress")["completed"] == SMALL, 120, f"the calls of {name}")
    assert [len(stack.sim.calls(phone)) for phone in phones] == [1] * SMALL
    return time.monotonic() - began


@pytest.mark.timeout(600)
def test_a_small_campaign_does_not_wait_for_a_huge_one(stack):
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 300, "outcome": "SALE"}}])
    stack.start()
    alone = run_small(stack, "Alone")
    huge = campaign(stack, "Huge", maxConcurrent=50, maxPerRun=0)
    fill(stack, huge, CONTACTS)
    began = time.monotonic()
    waiting = "schedule_at is not null"
    stack.wait_until(lambda: call(stack, "GET", f"/{huge}/progress")["completed"] > 0, 60, "the huge one's first calls")
    if CONTACTS > 5000:
        assert stack.count("campaign_contacts", waiting) > 0, "all were scheduled before the small one began"
    beside = run_small(stack, "Beside")
    scheduled = stack.wait_until(lambda: stack.count("campaign_contacts", waiting) == 0, 400, "the huge one's schedule", every=0.5)
    assert scheduled
    took = time.monotonic() - began
    behind = run_small(stack, "Behind")  # all of the huge one's calls are due by now, each longer than any of these
    left = call(stack, "GET", f"/{huge}/progress")
    print(f"{SMALL} calls alone {alone:.1f} s, beside the scheduling of {CONTACTS} {beside:.1f} s, behind it {behind:.1f} s;"
          f" {CONTACTS} scheduled in {took:.1f} s")
    assert left["contacts"] == CONTACTS and left["scheduled"] > CONTACTS / 2, left
    assert max(beside, behind) < 3 * alone + 10
    call(stack, "POST", f"/{huge}/stop")
    stack.wait_count(0, "campaigns", "changing", timeout=120)
    stack.wait_count(0, "live", timeout=60)
