# SPDX-License-Identifier: Apache-2.0
"""/api/jobs/call-dispatch: who may ask, and what the counts of its answer mean; leads that can't be called."""

from concurrent.futures import ThreadPoolExecutor

from lib.stack import SECRETS

PATH = "/api/jobs/call-dispatch"
CRON = SECRETS["CRON_JOB_SECRET"]
N8N = "n8n-secret-5e4d3c2b1a09"
NOTHING = {"success": True, "seeded": 0, "published": 0, "skipped": {}, "deferred": {}}


def ask(stack, secret=CRON, header=None, method="POST", wait=None):
    headers = {"Authorization": f"Bearer {secret}"} if header is None else {header: secret}
    path = PATH if wait is None else f"{PATH}?wait={wait}"
    return stack.producer.http.request(method, path, headers=headers if secret else {}, timeout=40)


def counts(answer):
    assert answer.status_code == 200
    return {key: value for key, value in answer.json().items() if key in NOTHING}


def test_it_runs_the_lead_source_and_counts(stack):
    stack.start(SCHEDULE="external", FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    good = stack.leads(7)
    stack.lead(phone="")
    stack.lead(phone="none of them")
    stack.lead(phone="911")
    asked = stack.lead()
    stack.insert("suppressions", phone=asked["phone"], reason="asked")
    stack.lead(paused=True)
    stack.lead(time_zone="Mars/Olympus_Mons")
    for out_of_question in ({"stage": "closed"}, {"stage": "lost"}, {"auto_follow_up": False}, {"phone": None}):
        stack.lead(**out_of_question)
    stack.stays(lambda: stack.count("follow_ups") == 0, 1, "left to those who ask")

    for secret, header in ((None, None), ("wrong", None), (CRON[:-1], "X-Cron-Secret"), (CRON, "X-Api-Key"),
                           (SECRETS["ADMIN_API_KEY"], None)):
        assert ask(stack, secret, header).status_code == 401
    assert stack.producer.http.get(f"{PATH}?secret={CRON}").status_code == 401
    assert stack.count("follow_ups") == 0
    assert stack.producer.http.request("DELETE", PATH, headers={"X-Cron-Secret": CRON}).status_code == 405

    assert counts(ask(stack)) == {
        "success": True, "seeded": 13, "published": 7,
        "skipped": {"no_phone": 1, "number": 2, "suppressed": 1}, "deferred": {"paused": 1, "zone": 1},
    }
    stack.wait_count(7, "calls", "status = 'completed'")
    stack.assert_rung(lead["phone"] for lead in good)
    for method in ("GET", "POST"):
        for header in (None, "X-N8n-Secret", "X-Cron-Secret"):
            assert counts(ask(stack, header=header, method=method)) == NOTHING

    # The kill switch.
    stack.db.execute("update settings set value = 'true' where key = 'stopped'")
    stack.leads(3)
    answer = ask(stack).json()
    assert {key: answer[key] for key in ("success", "seeded", "published", "stopped")} == {
        "success": True, "seeded": 0, "published": 0, "stopped": True}
    assert stack.ledger()["total"] == 7
    stack.db.execute("update settings set value = 'false' where key = 'stopped'")
    assert counts(ask(stack)) == NOTHING | {"seeded": 3, "published": 3}

    # Seconds to wait for what the providers say.
    for wait in ("x", "-1", "61", "1.5", ""):
        answer = ask(stack, wait=wait)
        assert answer.status_code == 422 and "wait" in answer.json()["detail"]
    assert ask(stack, wait="5").json() == NOTHING | {"dispatched": 0, "failed": {}, "held": 0, "waiting": 0}
    fine, busy, wrong = stack.leads(4), stack.leads(2), stack.leads(1)
    stack.sim.script(
        [{"match": {"phone": lead["phone"]}, "times": 1, "action": {"status": 429}} for lead in busy]
        + [{"match": {"phone": lead["phone"]}, "times": 1, "action": {"status": 400}} for lead in wrong]
        + [{"action": {"outcome": "SALE", "call_ms": 100}}])
    answer = ask(stack, wait="20").json()
    assert (answer["published"], answer["dispatched"], answer["waiting"]) == (7, len(fine), 0)
    assert sum(answer["failed"].values()) == 3

    # n8n's secret, where there is one, is the only one.
    stack.producer.restart(N8N_DISPATCH_SECRET=N8N)
    for header in (None, "X-N8n-Secret", "X-Cron-Secret"):
        assert ask(stack, CRON, header).status_code == 401
        assert ask(stack, N8N, header).status_code == 200
    assert N8N not in stack.producer.log_text()


def test_without_a_secret_on_loopback(stack):
    stack.start("producer", CRON_JOB_SECRET="", SCHEDULE="external")
    assert ask(stack, None).status_code == 200


def test_leads_that_cannot_be_called_keep_the_reason(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    cases = [
        ({"phone": None}, "skipped", "no_phone"), ({"phone": ""}, "skipped", "no_phone"),
        ({"phone": "call me"}, "skipped", "number"), ({"phone": "555 0101"}, "skipped", "number"),
        ({"phone": "+1 212 555 010"}, "skipped", "number"), ({"phone": "1212555010199"}, "skipped", "number"),
        ({"phone": "+0123456789"}, "skipped", "number"), ({"phone": "911"}, "skipped", "number"),
        ({"phone": "+1" + "2" * 400}, "skipped", "number"), ({"phone": "'; drop table leads; --"}, "skipped", "number"),
        ({"stage": "closed"}, "skipped", "stage"), ({"stage": "lost"}, "skipped", "stage"),
        ({"paused": True}, "pending", "paused"), ({"time_zone": "Nowhere/City"}, "pending", "zone"),
    ]
    with stack.db.transaction():
        leads = [stack.lead(auto_follow_up=False, **columns) for columns, _, _ in cases]
        for lead in leads:
            stack.insert("follow_ups", lead_id=lead["id"])
        written = stack.lead(phone="(212) 555-0187")
    stack.wait_count(1, "follow_ups", "status = 'completed'")
    stack.wait_count(0, "follow_ups", "status = 'pending' and gate is null")
    seen = [stack.row("select status, coalesce(reason, gate) as why from follow_ups where lead_id = %s", lead["id"])
            for lead in leads]
    assert [(row["status"], row["why"]) for row in seen] == [case[1:] for case in cases]
    stack.assert_rung(["+12125550187"])
    assert stack.sim.stats()["posts"] == stack.count("calls") == 1
    assert stack.row("select stage from leads where id = %s", written["id"]) == {"stage": "contacted"}

    # The reason gone, those of the lead source are called after all.
    wrong, closed = stack.lead(phone="12"), stack.lead()
    stack.db.execute("update leads set stage = 'closed' where id = %s", (closed["id"],))
    stack.wait_count(1, "follow_ups", f"lead_id = {wrong['id']} and status = 'skipped' and reason = 'number'")
    phone = stack.phone()
    stack.db.execute("update leads set phone = %s where id = %s", (phone, wrong["id"]))
    stack.wait_count(1, "follow_ups", f"lead_id = {wrong['id']} and status = 'completed'")
    assert stack.sim.dialed(phone) == 1
    stack.assert_nothing_lost()


def test_who_waits_is_answered_when_the_producer_stops(stack):
    stack.start(SCHEDULE="external")
    stack.sim.script([{"action": {"hold": True}}])
    stack.leads(2)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, stack, wait="30")
        stack.wait_count(2, "follow_ups", "status = 'dialing'")
        stack.producer.stop()
        answer = asked.result()
    assert answer.status_code == 200
    assert (answer.json()["published"], answer.json()["waiting"]) == (2, 2)
    stack.sim.release()


def test_a_full_queue_is_looked_at_now_and_then(stack):
    """Also where it was full before the producer started."""
    stack.start("producer", ACCOUNT_QUEUED_MAX=16)
    stack.leads(40)
    stack.wait_count(16, "follow_ups", "status = 'queued'")
    stack.producer.restart()
    passes = stack.producer.metric("carillon_scheduler_pass_seconds_count")
    stack.stays(lambda: stack.count("follow_ups", "status = 'queued'") == 16, 2, "full")
    assert stack.producer.metric("carillon_scheduler_pass_seconds_count") - passes < 40
    stack.start("consumer")
    stack.sim.wait_total(40)
