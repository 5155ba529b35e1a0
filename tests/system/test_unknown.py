# SPDX-License-Identifier: Apache-2.0
"""POSTs whose fate is not known: looked up, proved, or held for an operator; never sent again blindly."""

from collections import Counter

from lib import events

QUICK = {"JOB_LEASE_S": 4, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 2, "LIST_LAG_S": 1, "UNDETERMINED_AFTER_S": 12,
         "MAX_CALL_S": 10, "MAX_CALL_GRACE_S": 1}


def follow_ups(stack, cases, accounts):
    """One lead and follow-up a case, all due together; by name."""
    with stack.db.transaction():
        leads = {name: stack.lead(auto_follow_up=False) for name in cases}
        stack.sim.script([
            {"match": {"phone": leads[name]["phone"]}} | rule for name, rules in cases.items() for rule in rules
        ])
        for name, lead in leads.items():
            stack.insert("follow_ups", lead_id=lead["id"], account_id=accounts[name.split()[0]])
    return leads


def accounts_of(stack):
    return {row["name"]: row["id"] for row in stack.rows("select name, id from accounts")}


def requests(stack):
    """What the provider has read, oldest first."""
    return stack.sim.process.http.get("/requests?n=256").json()


def posts(stack):
    return [request for request in requests(stack) if request["method"] == "POST"]


def posts_by_job(stack):
    return Counter(request["headers"]["idempotency-key"] for request in posts(stack))


def test_every_unknown_answer_is_reconciled(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", **QUICK)
    silent = {"outcome": "SALE", "call_ms": 500, "webhook": {"lost": True}}
    told = {"outcome": "SALE", "call_ms": 500}
    sale = {"action": silent}
    cases = {
        # The provider took the call and its list tells.
        "vapi reset": [{"action": silent | {"reset_after_body": True}}],
        "vapi timeout": [{"action": silent | {"timeout": True}}],
        "vapi 502": [{"action": silent | {"dialed_but_5xx": True}}],
        "vapi garbage": [{"action": silent | {"garbage": True}}],
        "vapi html": [{"action": silent | {"garbage": "html"}}],
        "vapi huge": [{"action": silent | {"huge": True}}],
        "vapi truncated": [{"action": silent | {"truncate": True}}],
        # It did not, and a complete list without the call proves it: dialed again.
        "vapi absent after reset": [{"times": 1, "action": {"reset_after_body": {"dialed": False}}}, sale],
        "vapi absent after timeout": [{"times": 1, "action": {"timeout": {"dialed": False}}}, sale],
        "vapi absent after 409": [{"times": 1, "action": {"status": 409}}, sale],
        "vapi absent after 500": [{"times": 1, "action": {"status": 500}}, sale],
        # Omni's log shows a call once it is over, or its event tells.
        "omni in log": [{"action": silent | {"reset_after_body": True}}],
        "omni told": [{"action": told | {"reset_after_body": True}}],
        # Nothing proves anything.
        "omni silent": [{"action": silent | {"reset_after_body": True, "call_ms": 600_000}}],
        "omni absent": [{"action": silent | {"reset_after_body": {"dialed": False}}}],
    }
    leads = follow_ups(stack, cases, accounts_of(stack))
    undetermined = ["omni silent", "omni absent"]

    settled = "status in ('completed', 'failed', 'undetermined')"
    stack.wait_count(len(cases), "follow_ups", settled, timeout=60)
    stack.wait_until(lambda: stack.count("live", "state <> 'undetermined'") == 0, 30, "no call under way")

    seen = {}
    for name, lead in leads.items():
        calls = stack.rows("select status, outcome from calls where lead_id = %s order by claimed_at", lead["id"])
        status = stack.value("select status from follow_ups where lead_id = %s", lead["id"])
        seen[name] = [status, stack.sim.dialed(lead["phone"]), *((call["status"], call["outcome"]) for call in calls)]
    sold = ("completed", "SALE")
    assert seen == {
        name: ["undetermined", "silent" in name, ("undetermined", None)] if name in undetermined
        else ["completed", 1, ("not_dialed", None), sold] if "absent" in name
        else ["completed", 1, sold]
        for name in cases
    }
    assert set(posts_by_job(stack).values()) == {1}
    assert stack.consumer.metric("carillon_undetermined_total") == 2
    assert stack.count("leads", "call_date is null") == 2

    # An undetermined call holds its phone, until a late sign of life resolves it.
    lead = leads["omni silent"]
    second = stack.insert("follow_ups", lead_id=lead["id"])
    stack.wait_count(1, "follow_ups", f"id = {second['id']} and status = 'pending' and gate = 'live'")
    call = stack.sim.calls(lead["phone"])[0]
    late = events.omni_report(call["id"], lead["phone"], outcome="TRANSFERRED")
    assert events.post_omni(stack.webhook, late).status_code == 202
    stack.wait_count(1, "calls", f"lead_id = {lead['id']} and status = 'completed' and outcome = 'TRANSFERRED'")
    stack.wait_count(1, "follow_ups", f"lead_id = {lead['id']} and id <> {second['id']} and status = 'completed'")
    assert stack.count("live", "phone = %s", lead["phone"]) == 0
    assert stack.count("live", "state = 'undetermined' and phone = %s", leads["omni absent"]["phone"]) == 1


def test_a_reset_on_a_kept_connection_is_seen_once(stack):
    """libcurl sends a POST again, by itself, on a reused connection that died; the provider must see it once."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi", HTTP_SLOTS=1, **QUICK)
    quick = {"outcome": "SALE", "call_ms": 300}
    # Two answers, then a reset, thrice.
    stack.sim.script([{"match": {"nth": n}, "action": quick | {"reset_after_body": True}} for n in (9, 6, 3)]
                     + [{"action": quick}])
    leads = stack.leads(9)
    stack.wait_count(len(leads), "calls", "status = 'completed'", timeout=40)
    assert stack.ledger()["total"] == len(leads)
    by_job = posts_by_job(stack)
    assert len(by_job) == len(leads) and set(by_job.values()) == {1}
    broken = [request["headers"]["idempotency-key"] for request in posts(stack)[2::3]]
    ports = set()
    for request in requests(stack):
        if request["headers"].get("idempotency-key") in broken:
            assert request["port"] in ports, "the reset came on a fresh connection"
        ports.add(request["port"])
    assert {entry["job_id"] for entry in stack.consumer.log_events("call.unknown")} == set(broken)
    assert stack.consumer.metric("carillon_dispatched_total", result="unknown") == 3


def test_refusals_are_told_apart(stack):
    """Nothing was dialed, and each refusal says what comes next: wait, try again, give up, or stop the account."""
    stack.sim.process.stop()
    stack.start(FOLLOW_UP_ACCOUNT="omni", **QUICK)
    concurrency = {"success": False, "plan_expire": False, "error": "Concurrency call limit exceeded"}
    sale = {"action": {"outcome": "SALE", "call_ms": 100}}
    cases = {
        "omni plain": [sale],
        "omni concurrency": [{"times": 2, "action": {"status": 200, "body": concurrency}}, sale],
        "omni odd": [{"times": 1, "action": {"status": 200, "body": {"success": False, "error": "odd"}}}, sale],
        "omni bad number": [{"action": {"status": 400, "body": {"error": "bad", "error_description": "to_number is invalid"}}}],
        "omni 404": [{"action": {"status": 404}}],
        "vapi 429": [{"times": 1, "action": {"status": 429, "retry_after": 2}}, sale],
        "vapi concurrency": [{"times": 1, "action": {"status": 400, "retry_after": 2, "body": {"error": "Over Concurrency Limit"}}}, sale],
        "vapi bad number": [{"action": {"status": 400, "body": {"message": ["customer.number must be a valid phone number"]}}}],
        "vapi ended at once": [{"times": 1, "action": {"status": 201, "body": {
            "id": "0190a1b2-0000-7000-8000-0000000000aa", "status": "ended", "endedReason": "call.start.error-something-new"}}}, sale],
    }
    with stack.db.transaction():
        leads = {name: stack.lead(auto_follow_up=False) for name in cases}
        accounts = accounts_of(stack)
        for name, lead in leads.items():
            stack.insert("follow_ups", lead_id=lead["id"], account_id=accounts[name.split()[0]])
    # Nobody listens: nothing was sent, which is no attempt.
    stack.wait_until(lambda: stack.value("select count(distinct lead_id) from calls where status = 'not_dialed'")
                     == len(cases), 20, "every call not sent")
    assert stack.count("follow_ups", "attempts > 0") == 0
    stack.sim.process.start()
    stack.sim.script([{"match": {"phone": leads[name]["phone"]}} | rule for name, rules in cases.items() for rule in rules])

    stack.wait_count(len(cases), "follow_ups", "status in ('completed', 'failed')", timeout=40)
    seen = {}
    for name, lead in leads.items():
        row = stack.row("select * from follow_ups where lead_id = %s", lead["id"])
        refusals = stack.rows("select refusal from calls where lead_id = %s and status = 'rejected' order by claimed_at", lead["id"])
        seen[name] = [row["status"], row["reason"], row["attempts"], stack.sim.dialed(lead["phone"]),
                      *(call["refusal"] for call in refusals)]
    assert seen == {
        "omni plain": ["completed", None, 1, 1],
        "omni concurrency": ["completed", None, 1, 1, "backpressure", "backpressure"],
        "omni odd": ["completed", None, 2, 1, "retry"],
        "omni bad number": ["failed", "number", 1, 0, "number"],
        "omni 404": ["failed", "configuration", 1, 0, "configuration"],
        "vapi 429": ["completed", None, 1, 1, "backpressure"],
        "vapi concurrency": ["completed", None, 1, 1, "backpressure"],
        "vapi bad number": ["failed", "number", 1, 0, "number"],
        "vapi ended at once": ["completed", None, 2, 1, "retry"],
    }

    # No balance: the account stops, not one lead after the other.
    broke = {"success": False, "plan_expire": True, "error": "Your plan has expired"}
    stack.sim.script([{"match": {"provider": "omni"}, "action": {"status": 200, "body": broke}}])
    first = stack.lead()
    stack.wait_count(1, "accounts", "name = 'omni' and breaker_until > now()")
    posts = stack.sim.stats()["posts"]
    others = stack.leads(5)
    ids = [first["id"], *(lead["id"] for lead in others)]
    stack.wait_until(
        lambda: stack.count("follow_ups", "lead_id = any(%s) and status = 'pending' and attempts = 0", ids) == 6
        and stack.count("follow_ups", "lead_id = any(%s) and gate = 'breaker'", ids) >= 5, 20, "all held")
    assert stack.sim.stats()["posts"] == posts
    assert "expired" in stack.value("select breaker_reason from accounts where name = 'omni'")
    stack.assert_nothing_lost()
