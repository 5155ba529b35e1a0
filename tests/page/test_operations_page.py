# SPDX-License-Identifier: Apache-2.0
"""What an operator decides at the page: undetermined calls, dead letters, the redial queue, the workflow, the stop of everything."""

import re
import time

from lib import events
from lib.schemas import Schemas
from lib.stack import SECRETS
from past import a_call
from playwright.sync_api import expect
from views import noticed, opened

ADMIN = SECRETS["ADMIN_API_KEY"]
QUICK = {"JOB_LEASE_S": 4, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 2, "LIST_LAG_S": 1, "UNDETERMINED_AFTER_S": 4, "MAX_CALL_S": 10, "MAX_CALL_GRACE_S": 1}
EVENT = "calls.event.v1"


def test_undetermined_calls_are_decided(stack, visit):
    stack.start(FOLLOW_UP_ACCOUNT="omni", LEAD_WINDOW="00:00-24:00", **QUICK)
    silent = {"outcome": "SALE", "call_ms": 600_000, "webhook": {"lost": True}, "reset_after_body": {"dialed": False}}
    stack.sim.script([{"times": 2, "action": silent}, {"action": {"outcome": "SALE", "call_ms": 100}}])
    close, redial = stack.lead(first_name="Close"), stack.lead(first_name="Redial")
    stack.wait_count(2, "calls", "status = 'undetermined'", timeout=90)
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "", "Now")
    expect(page.locator("[data-figure=undetermined] .tile-value")).to_have_text("2")
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Undetermined").click()
    entry = page.get_by_role("article", name="Call to Close")
    entry.get_by_text("Evidence").click()
    expect(entry.get_by_text("no answer came back that says whether a call was made")).to_be_visible()
    entry.get_by_role("button", name="It was dialed: close").click()
    page.get_by_role("dialog").get_by_label("Note").fill("seen at the provider")
    page.get_by_role("dialog").get_by_role("button", name="Close it").click()
    noticed(page, "Close: Closed as dialed.")
    assert stack.row("select resolution from carillon.calls where lead_id = %s", close["id"])["resolution"] == "close"
    assert stack.count("transitions", "note = 'seen at the provider'") == 1

    # The other one in its own view.
    page.get_by_role("link", name="Redial", exact=True).click()
    expect(page.get_by_role("heading", name="What became of this call is not known")).to_be_visible()
    page.get_by_role("button", name="Nothing was dialed: redial").click()
    page.get_by_role("dialog").get_by_role("button", name="Redial").click()
    noticed(page, "To be redialed.")
    stack.wait_until(lambda: stack.sim.dialed(redial["phone"]) == 1, 30, "it is dialed")
    opened(visitor, "undetermined", "Undetermined calls")
    expect(page.get_by_text("Nothing to decide.")).to_be_visible()


def test_more_undetermined_calls_than_are_shown(stack, visit):
    stack.start("producer", PRODUCER_ROLES="api")
    for _ in range(3):
        a_call(stack, stack.lead(first_name="Ada", call_date="2020-01-01T00:00:00Z")["id"], "undetermined")
    visitor = visit().enter(ADMIN)
    page = visitor.page
    page.route("**/api/calls?*", lambda route: route.continue_(url=route.request.url.replace("limit=20", "limit=2")))
    opened(visitor, "undetermined", "Undetermined calls")
    entries = page.get_by_role("article")
    more = page.get_by_role("button", name="Show more")
    expect(entries).to_have_count(2)
    visitor.expects("ERR_FAILED")
    page.route("**/api/calls?*after=*", lambda route: route.abort())
    more.click()
    expect(page.get_by_role("alert").filter(has_text="can't be reached")).to_be_visible()
    page.unroute("**/api/calls?*after=*")
    more.click()
    expect(entries).to_have_count(3)
    expect(more).to_be_hidden()
    page.reload()

    def close_one():
        entries.first.get_by_role("button", name="It was dialed: close").click()
        page.get_by_role("dialog").get_by_role("button", name="Close it").click()
        expect(page.get_by_role("dialog")).to_have_count(0)

    expect(entries).to_have_count(2)
    close_one()
    expect(entries).to_have_count(1)
    close_one()
    expect(entries).to_have_count(1)
    close_one()
    expect(page.get_by_text("Nothing to decide.")).to_be_visible()
    assert stack.count("calls", "resolution = 'close'") == 3


def test_dead_letters_are_tried_and_replayed(stack, visit):
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    schemas = Schemas(stack.topics, f"{stack.producer.url}/registry")
    now = int(time.time() * 1000)
    event = {"tenant": "default", "account": "vapi", "event_id": "event-1", "provider": "vapi", "type": "ringing", "phone": "+12125550199",
             "provider_call_id": "call-1", "occurred_at": now, "received_at": now}
    from confluent_kafka import Producer

    writer = Producer({"bootstrap.servers": stack.topics.brokers, "log_level": 0})
    for value in (schemas.encode(EVENT, event) + b"\x00", b"nothing"):
        writer.produce(stack.topics.name(EVENT), value, key="+12125550199", partition=0)
    assert writer.flush(20) == 0
    answer = stack.webhook.http.post(events.VAPI_PATH, content=b'{"message": {"type": "end-of-call-report", "call": 7}}', headers=events.VAPI_HEADERS)
    assert answer.status_code == 400
    stack.wait_count(3, "dead_letters")

    visitor = visit().enter(ADMIN)
    page = opened(visitor, "dead-letters", "Dead letters")
    letters = page.get_by_role("region", name="Dead letters").locator("tbody tr[role=row]")
    expect(letters).to_have_count(3)
    expect(letters.filter(has_text="no message: can't be replayed")).to_have_count(1)
    page.get_by_role("button", name="Try a replay of all").click()
    trial = page.get_by_role("region", name="Trial of a replay")
    expect(trial).to_contain_text("2 letters would be sent again: 0 can be read now, 2 can't and would come back.")
    assert stack.count("dead_letters", "resolved_at is not null") == 0
    page.locator("input[type=checkbox]").first.check()
    page.get_by_role("button", name="Try a replay of 1 letter").click()
    trial.get_by_role("button", name="Replay 1 letter now").click()
    noticed(page, "1 letter was replayed.")
    stack.wait_count(1, "dead_letters", "resolution = 'replayed'")
    # It comes back, since it still can't be read; the callback is of no use any more.
    stack.wait_count(4, "dead_letters")
    letters.filter(has_text="no message").get_by_role("button", name="Discard").click()
    page.get_by_role("dialog").get_by_label("Note").fill("a test of the provider")
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    noticed(page, "was discarded.")
    stack.wait_count(1, "dead_letters", "resolution = 'discarded'")
    page.get_by_label("State").select_option("true")
    expect(letters).to_have_count(2)
    page.get_by_role("link", name=str(stack.value("select min(id) from carillon.dead_letters where resolution = 'replayed'")), exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Dead letter")


def test_the_redial_queue(stack, visit):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", LEAD_WINDOW="00:00-24:00")
    stack.sim.script([{"action": {"outcome": "NO_ANSWER", "call_ms": 100}}])
    for name in ("Ada", "Grace"):
        stack.lead(first_name=name, external_id=name)
    stack.wait_count(2, "redial_queue", "status = 'pending'")
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "redial", "Redial queue")
    ada = page.get_by_role("row", name="Ada")
    ada.get_by_role("button", name="Pause").click()
    noticed(page, "Ada: paused.")
    stack.wait_count(1, "redial_queue", "status = 'paused'")
    page.locator(".board").get_by_role("link", name="Paused").click()
    expect(page.get_by_role("row", name="Grace")).to_have_count(0)
    page.get_by_role("row", name="Ada").get_by_role("button", name="Resume").click()
    noticed(page, "Ada: resumed.")
    page.locator(".board").get_by_role("link", name=re.compile("^All")).click()
    page.get_by_role("row", name="Ada").get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    noticed(page, "Ada: removed.")
    stack.wait_count(1, "redial_queue")
    page.get_by_role("button", name="Disable the queue").click()
    expect(page.get_by_text("The queue is disabled: a lead is dialed again")).to_be_visible()
    expect(page.get_by_role("button", name="Enable the queue")).to_be_focused()
    assert stack.value("select value -> 'enabled' from carillon.settings where key = 'redial'") is False
    page.get_by_label("Minutes between dials").fill("45")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("after 45 minutes")).to_be_visible()


def test_the_redial_queue_moves_under_a_focus(stack, visit):
    stack.start("producer", PRODUCER_ROLES="api")
    record = {"phone_number": "+12125550142", "status": "pending", "attempts": 1}
    ada = stack.lead(first_name="Ada", call_date="2020-01-01T00:00:00Z")["id"]
    stack.insert("redial_queue", lead_id="4711", first_name="Ada", lead_ref=ada, **record)
    visitor = visit().enter(ADMIN)
    page = visitor.page

    def with_tenant(route):
        answer = route.fetch()
        body = answer.json()
        route.fulfill(response=answer, json=body | {"records": [one | {"tenant": "default"} for one in body["records"]]})

    page.route("**/redial-queue/records?*", with_tenant)
    opened(visitor, "redial", "Redial queue")
    everything = page.locator(".board").get_by_role("link", name=re.compile("^All"))
    expect(everything).to_have_text("All1")
    everything.focus()
    stack.insert("redial_queue", lead_id="4712", first_name="Grace", lead_ref=ada, **record)
    expect(everything).to_have_text("All2")
    expect(page.get_by_role("row", name="Grace")).to_be_visible()
    expect(everything).to_be_focused()
    with page.expect_request("**/lead/4711/pause?*") as paused:
        page.get_by_role("row", name="Ada").get_by_role("button", name="Pause").click()
    assert "tenant=default" in paused.value.url
    noticed(page, "Ada: paused.")


def test_the_workflow_board(stack, visit):
    stack.start("producer", CLASSIFY_ACCOUNT="twilio", TASK_ACCOUNT="vapi", PRODUCER_ROLES="api")
    stack.insert("pending_calls", phone=stack.phone(), employee_name="New One")
    failed = stack.insert("pending_calls", phone=stack.phone(), employee_name="Failed One")
    stack.db.execute("update carillon.pending_calls set workflow_state = 'failed', failed_at = now(), failure_reason = 'cancelled' where id = %s", (failed["id"],))
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "workflow", "Workflow")
    board = page.locator(".board")
    expect(board.get_by_role("link", name="new 1")).to_be_visible()
    expect(page.get_by_role("row", name="New One")).to_be_visible()
    board.get_by_role("link", name="failed 1 in a day").last.click()
    expect(page.get_by_role("row", name="New One")).to_have_count(0)
    page.get_by_role("row", name="Failed One").get_by_role("button", name="Begin anew").click()
    noticed(page, "Failed One: tried again.")
    assert stack.value("select workflow_state from carillon.pending_calls where id = %s", failed["id"]) == "checking_classification"
    opened(visitor, f"workflow/{failed['id']}", "Failed One")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the call").click()
    noticed(page, "Failed One: cancelled.")


def test_a_stuck_one_is_reset(stack, visit):
    stack.start("producer", CLASSIFY_ACCOUNT="twilio", TASK_ACCOUNT="vapi", PRODUCER_ROLES="api")
    stuck = stack.insert("pending_calls", phone=stack.phone(), employee_name="Stuck One")
    for state in ("checking_classification", "needs_classification", "classifying"):
        stack.db.execute("update carillon.pending_calls set workflow_state = %s where id = %s", (state, stuck["id"]))
    stack.db.execute("update carillon.pending_calls set state_since = now() - interval '1 hour' where id = %s", (stuck["id"],))
    page = opened(visit().enter(ADMIN), "workflow", "Workflow")
    expect(page.get_by_role("heading", name="1 call is stuck")).to_be_visible()
    page.get_by_role("region", name="Stuck pending calls").get_by_role("button", name="Reset").click()
    page.get_by_role("dialog").get_by_role("button", name="Reset").click()
    noticed(page, "Reset: it begins anew.")
    expect(page.get_by_role("heading", name="1 call is stuck")).to_have_count(0)
    expect(page.locator("main .notice")).to_be_focused()
    expect(page.locator("#told")).to_have_text("Reset: it begins anew.")
    assert stack.value("select workflow_state from carillon.pending_calls") == "checking_classification"


def test_everything_is_stopped(stack, visit):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", LEAD_WINDOW="00:00-24:00")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    stack.lead(first_name="Ada")
    stack.wait_count(1, "calls", "status = 'completed'")
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "calls", "Calls")
    page.get_by_role("button", name="Stop everything").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("fire drill")
    dialog.get_by_role("button", name="Stop everything").click()
    banner = page.locator("#stopped")
    expect(banner).to_contain_text("Everything is stopped since")
    expect(banner).to_contain_text("fire drill")
    expect(page.get_by_role("button", name="Start again")).to_be_focused()
    assert stack.value("select value from carillon.settings where key = 'stopped'") is True
    expect(banner).to_contain_text("No call began after it.", timeout=30_000)
    lead = stack.lead(first_name="Grace")
    stack.stays(lambda: stack.sim.dialed(lead["phone"]) == 0, 2, "nobody is dialed")
    page.get_by_role("button", name="Start again").click()
    page.get_by_role("dialog").get_by_role("button", name="Start again").click()
    expect(banner).to_be_hidden()
    stack.wait_until(lambda: stack.sim.dialed(lead["phone"]) == 1, 30, "it is dialed")


def test_the_figures_and_the_scheduler_disagree(stack, visit):
    stack.start("producer", PRODUCER_ROLES="api")
    visitor = visit()
    asked = []

    def stopped(route):
        asked.append(route)
        route.fulfill(json={"stopped": True, "since": None, "reason": "by another", "tenants": []})

    visitor.page.route("**/api/scheduler", stopped)
    page = visitor.enter(ADMIN).page
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#stopped")).to_contain_text("Everything is stopped: by another. Measuring")
    page.wait_for_timeout(5000)
    assert len(asked) <= 2, len(asked)
    expect(page.locator("#told")).to_have_text("")
    expect(page.locator("#stopped")).to_be_visible()
