# SPDX-License-Identifier: Apache-2.0
"""Stops bind what was queued already; limits are exact with any number of processes; ends are clean."""

import time
from datetime import datetime, timedelta

from lib.stack import SECRETS

QUICK = {"JOB_LEASE_S": 8, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 4}


def test_stops_between_queue_and_post(stack):
    stack.start(KAFKA_SESSION_TIMEOUT_MS=30000)
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    posted = 0

    def round_of(number, stop, start, gate):
        """Jobs are queued, then comes the stop, then the consumer looks at them; later the stop ends."""
        nonlocal posted
        stack.consumer.freeze()
        leads = stack.leads(number)
        stack.wait_count(number, "follow_ups", "status = 'queued'")
        stack.db.execute(stop)
        stack.consumer.thaw()
        ids = [lead["id"] for lead in leads]
        stack.wait_until(lambda: stack.count("follow_ups", "lead_id = any(%s) and status = 'pending' and gate = %s", ids, gate)
                         == number, 20, f"all held by {gate}")
        assert stack.sim.stats()["posts"] == posted
        assert stack.count("follow_ups", "lead_id = any(%s) and (attempts > 0 or job_id is not null)", ids) == 0
        stack.db.execute(start)
        stack.db.execute("update follow_ups set next_look_at = now() where status = 'pending'")
        posted += number
        stack.wait_count(posted, "follow_ups", "status = 'completed'")
        assert stack.ledger()["total"] == posted

    round_of(5, "update lanes set active = false where name = 'follow_ups'",
             "update lanes set active = true where name = 'follow_ups'", "lane")
    round_of(5, "update settings set value = 'true' where key = 'stopped'",
             "update settings set value = 'false' where key = 'stopped'", "stopped")
    round_of(5, "update tenants set stopped_at = now()", "update tenants set stopped_at = null", "stopped")
    round_of(5, "update accounts set active = false", "update accounts set active = true", "credentials")
    round_of(5, "update lanes set window_start = (now() at time zone 'UTC' + interval '2 hours')::time,"
             " window_end = (now() at time zone 'UTC' + interval '3 hours')::time, time_zone = 'UTC' where name = 'follow_ups'",
             "update lanes set window_start = null, window_end = null where name = 'follow_ups'", "window")

    # What binds one lead binds that lead alone.
    stack.consumer.freeze()
    asked, closed, lost, paused, moved, free = stack.leads(6)
    stack.wait_count(6, "follow_ups", "status = 'queued'")
    stack.insert("suppressions", phone=asked["phone"], reason="asked")
    for lead, change in ((closed, "stage = 'closed'"), (lost, "stage = 'lost'"), (paused, "paused = true"),
                         (moved, "phone = '911'")):
        stack.db.execute(f"update leads set {change} where id = %s", (lead["id"],))
    stack.consumer.thaw()
    stack.wait_count(0, "follow_ups", "status in ('queued', 'dialing')")
    stack.wait_until(lambda: stack.ledger()["total"] == posted + 1, 10, "one was dialed")
    ends = [stack.row("select status, coalesce(reason, gate) as why from follow_ups where lead_id = %s", lead["id"])
            for lead in (asked, closed, lost, paused, moved, free)]
    assert [(end["status"], end["why"]) for end in ends] == [
        ("skipped", "suppressed"), ("skipped", "stage"), ("skipped", "stage"), ("pending", "paused"),
        ("skipped", "number"), ("completed", None)]
    assert stack.sim.stats()["posts"] == posted + 1
    assert stack.sim.dialed(free["phone"]) == 1
    stack.assert_nothing_lost()


def scheduler(stack, word="", key=SECRETS["ADMIN_API_KEY"], **more):
    return stack.producer.http.request("POST" if word else "GET", f"/api/scheduler{word and '/' + word}",
                                       headers={"X-API-Key": key}, **more)


def test_the_stop_switch_binds_within_a_second(stack):
    """Under load, by the API: what is queued, claimed or in Kafka is not POSTed any more; the ledger is the witness."""
    stack.start("producer", "producer", "consumer", "consumer", "webhook", HTTP_SLOTS=4)
    stack.db.execute("update lanes set max_concurrent = 0")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100, "latency_ms": 60}}])
    stack.insert("tenants", id="other", name="Other")
    lane = stack.row("update lanes set account_id = (select id from accounts where name = 'omni'), max_concurrent = 0"
                     " where tenant_id = 'other' and name = 'follow_ups' returning id")
    assert lane
    # More than they get done meanwhile.
    leads = stack.leads(300) + stack.leads(200, tenant_id="other")
    mine = {lead["phone"] for lead in leads[:300]}

    def stopped_after(word, whom, phones, **body):
        """Stops while calls go out; none of these later than a second, and the others go on."""
        before = stack.sim.wait_total(stack.ledger()["total"] + 10)["total"]
        asked = time.time()
        answer = scheduler(stack, word, json=body)
        assert answer.status_code == 200 and answer.json()["changed"]
        stack.stays(lambda: stack.ledger()["total"] >= before, 3)
        late = [call for call in stack.sim.calls()
                if call["phone"] in phones and datetime.fromisoformat(call["at"]).timestamp() > asked + 1.1]
        assert not late, f"{whom}: {len(late)} calls later than a second after the stop"
        return stack.ledger()["phones"].keys()

    dialed = stopped_after("stop", "tenant", mine, tenant="default", reason="maintenance")
    state = scheduler(stack).json()
    assert state["stopped"] is False and state["since"] is None
    assert [(one["tenant"], one["stopped"], one["reason"]) for one in state["tenants"]] == [
        ("default", True, "maintenance"), ("other", False, None)]
    assert dialed & mine != mine and dialed - mine, "the other tenant goes on"
    assert scheduler(stack, "start", json={"tenant": "default"}).json()["changed"]

    dialed = stopped_after("stop", "all", {lead["phone"] for lead in leads}, reason="fire drill")
    assert len(dialed) < len(leads), "all were dialed before the stop"
    state = scheduler(stack).json()
    assert state["stopped"] is True and state["reason"] == "fire drill" and state["since"]
    again = scheduler(stack, "stop", json={"reason": "another"}).json()
    assert again["changed"] is False and again["reason"] == "fire drill" and again["since"] == state["since"]
    dispatch = stack.producer.http.post("/api/jobs/call-dispatch", headers={"Authorization": f"Bearer {SECRETS['CRON_JOB_SECRET']}"})
    assert dispatch.status_code == 200 and dispatch.json()["stopped"] is True

    begun = time.monotonic()
    assert scheduler(stack, "start").json() | {"tenants": None} == {
        "changed": True, "stopped": False, "since": None, "reason": None, "tenants": None, "campaigns": [], "campaigns_stopped": 0, "lanes": []}
    # What the stop held is looked at now, not when it would have been.
    stack.wait_count(len(leads), "follow_ups", "status = 'completed'", timeout=40)
    assert time.monotonic() - begun < 25
    stack.assert_rung(lead["phone"] for lead in leads)
    assert [(row["entity"], row["entity_id"], row["to_state"], row["note"]) for row in stack.rows(
        "select * from transitions where entity in ('scheduler', 'tenant') order by id")] == [
        ("tenant", "default", "stopped", "maintenance"), ("tenant", "default", "running", None),
        ("scheduler", "all", "stopped", "fire drill"), ("scheduler", "all", "running", None)]

    assert scheduler(stack, "stop", json={"tenant": "nobody"}).status_code == 404
    for body in ({"reason": 7}, {"colour": "red"}, {"tenant": 1}):
        assert scheduler(stack, "stop", json=body).status_code == 422, body
    assert scheduler(stack, "stop", key="wrong").status_code == scheduler(stack, key="wrong").status_code == 401
    assert scheduler(stack).json()["stopped"] is False


def test_concurrency_is_exact_with_two_of_each(stack):
    most, call_ms = 5, 300
    stack.start("producer", "producer", "consumer", "consumer", "webhook")
    stack.db.execute("update lanes set max_concurrent = %s where name = 'follow_ups'", (most,))
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": call_ms, "latency_ms": 20}}])
    leads = stack.leads(60)
    highest = 0

    def done():
        nonlocal highest
        busy = stack.value("select (select count(*) from live) + (select count(*) from follow_ups where status = 'queued')")
        assert busy <= most
        highest = max(highest, busy)
        return stack.count("calls", "status = 'completed'") == len(leads)

    # An assertion about the limit must not count as "not yet".
    stack.wait_until(lambda: _settled(done), 60, "all calls")
    assert highest == most
    starts = sorted(datetime.fromisoformat(call["at"]) for call in stack.sim.calls())
    assert len(starts) == len(leads)
    for first, later in zip(starts, starts[most:]):
        assert later - first >= timedelta(milliseconds=call_ms), "more calls at once than the lane permits"
    workers = stack.rows("select distinct split_part(worker, '/', 1) as name from calls")
    assert len(workers) == 2, "one consumer did all the work"
    stack.assert_rung(lead["phone"] for lead in leads)


def _settled(probe):
    try:
        return probe()
    except AssertionError as error:
        raise RuntimeError("the limit was broken") from error


def test_stopping_under_load_is_clean(stack):
    stack.start(HTTP_SLOTS=10, FOLLOW_UP_ACCOUNT="vapi", **QUICK)
    stack.sim.script([{"action": {"outcome": {"SALE": 1, "NO_ANSWER": 1}, "call_ms": 300, "latency_ms": 400}}])
    leads = stack.leads(240)
    for number, process in enumerate([stack.consumer, stack.webhook, stack.producer, stack.consumer]):
        stack.wait_until(lambda number=number: stack.sim.stats()["in_flight"] >= 5
                         and stack.ledger()["total"] >= 12 * (number + 1), 20, "POSTs in flight")
        assert process.stop() == 0
        if process.kind == "consumer":
            assert stack.sim.stats()["in_flight"] == 0
            assert stack.count("calls", "status in ('dialing', 'unknown')") == 0
        process.start()
    stack.wait_count(240, "calls", "ended_at is not null and decided_at is not null", timeout=60)
    stack.assert_rung(lead["phone"] for lead in leads)
    # What was claimed in the moment of a stop is not sent, and claimed again.
    assert stack.sim.stats()["posts"] == stack.count("calls", "status <> 'not_dialed'") == 240
    assert not list(stack.consumer.log_events("call.unknown"))
    assert stack.count("calls", "error <> 'the dispatcher stops'") == 0
    stack.assert_nothing_lost()
