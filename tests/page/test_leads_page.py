# SPDX-License-Identifier: Apache-2.0
"""Leads at the page: found, explained, paused, resumed, taken off the list of who may be called, called now."""

from lib.stack import SECRETS
from playwright.sync_api import expect
from views import noticed, opened

ADMIN = SECRETS["ADMIN_API_KEY"]


def closed(stack):
    """Nobody is called before midnight and after one minute past."""
    stack.start(LEAD_WINDOW="00:00-00:01", FOLLOW_UP_ACCOUNT="vapi")


def test_found_by_name_and_by_number(stack, visit):
    closed(stack)
    ada = stack.lead(first_name="Ada", last_name="Lovelace")
    stack.lead(first_name="Grace", last_name="Hopper")
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "leads", "Leads")
    found = page.get_by_role("region", name="Leads, the oldest first").locator("tbody tr[role=row]")
    expect(found).to_have_count(2)
    page.get_by_label("Name or whole number").fill("lovel")
    expect(found).to_have_count(1)
    digits = ada["phone"][2:]
    page.get_by_label("Name or whole number").fill(f"({digits[:3]}) {digits[3:6]}-{digits[6:]}")
    expect(found).to_have_count(1)
    expect(found.first).to_contain_text("Ada Lovelace")
    page.get_by_label("Name or whole number").fill("nobody")
    expect(page.get_by_text("No lead fits.")).to_be_visible()


def test_why_not_now_and_what_can_be_done(stack, visit):
    closed(stack)
    lead = stack.lead(first_name="Ada")
    stack.wait_count(1, "follow_ups")
    visitor = visit().enter(ADMIN)
    page = opened(visitor, f"leads/{lead['id']}", "Ada")
    why = page.locator("#why")
    expect(why).to_contain_text("Not called now: ")
    expect(why).to_contain_text("people in New York are called 00:00\u201300:01 only")
    expect(why).to_contain_text("It opens ")
    expect(page.locator("[data-gate=lead_window]")).to_contain_text("holds")
    expect(page.locator("[data-gate=paused]")).to_contain_text("open")

    page.get_by_role("button", name="Pause").click()
    noticed(page, "Paused: it is not called until it is resumed.")
    expect(why).to_contain_text("the lead is paused")
    expect(why).to_contain_text("Time alone does not open it")
    assert stack.value("select paused from carillon.leads")
    page.get_by_role("button", name="Resume").click()
    noticed(page, "Resumed: ")
    expect(page.locator("[data-gate=paused]")).to_contain_text("open")

    page.get_by_role("button", name="Do not call").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("asked for it")
    page.get_by_role("dialog").get_by_role("button", name="Do not call").click()
    noticed(page, "On the do-not-call list.")
    expect(why).to_contain_text("the number is on the do-not-call list")
    assert stack.row("select phone, reason from carillon.suppressions") == {"phone": lead["phone"], "reason": "asked for it"}
    page.get_by_role("button", name="Allow calls").click()
    page.get_by_role("dialog").get_by_role("button", name="Take it off").click()
    noticed(page, "Taken off the do-not-call list.")
    assert stack.count("suppressions") == 0


def test_called_now(stack, visit):
    stack.start(LEAD_WINDOW="00:00-24:00", FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    # It waits for next year; an operator wants it now.
    lead = stack.lead(first_name="Ada", auto_follow_up=False)
    waiting = stack.insert("follow_ups", lead_id=lead["id"], due_at="2099-01-01T00:00:00Z")
    visitor = visit().enter(ADMIN)
    page = opened(visitor, f"leads/{lead['id']}", "Ada")
    expect(page.locator("#why")).to_contain_text("it is due ")
    page.get_by_role("button", name="Call now").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("is made now")
    dialog.get_by_role("button", name="Call now").click()
    noticed(page, "A call by hand waits for the gates.")
    stack.wait_until(lambda: stack.sim.dialed(lead["phone"]) == 1, 30, "it is dialed")
    # The call that waited, and none beside it.
    stack.wait_until(lambda: stack.value("select status from carillon.follow_ups where id = %s", waiting["id"]) == "completed", 10, "its end")
    assert stack.count("follow_ups") == 1


def test_in_the_lead_s_own_tenant(stack, visit):
    closed(stack)
    stack.producer.http.post("/api/tenants", json={"id": "acme", "name": "Acme"}, headers={"X-API-Key": ADMIN}).raise_for_status()
    lead = stack.lead(first_name="Ada", tenant_id="acme")
    page = opened(visit().enter(ADMIN), f"leads/{lead['id']}", "Ada")
    page.get_by_role("button", name="Do not call").click()
    page.get_by_role("dialog").get_by_role("button", name="Do not call").click()
    expect(page.locator("#why")).to_contain_text("the number is on the do-not-call list")
    assert stack.row("select tenant_id, phone from carillon.suppressions") == {"tenant_id": "acme", "phone": lead["phone"]}
    page.get_by_role("button", name="Allow calls").click()
    page.get_by_role("dialog").get_by_role("button", name="Take it off").click()
    noticed(page, "Taken off the do-not-call list.")
    assert stack.count("suppressions") == 0
    with page.expect_request("**/api/leads/*") as paused:
        page.get_by_role("button", name="Pause").click()
    assert paused.value.url.endswith("?tenant=acme")
    noticed(page, "Paused: it is not called until it is resumed.")


def test_who_may_only_read_sees_no_buttons(stack, visit):
    closed(stack)
    lead = stack.lead(first_name="Ada")
    made = stack.producer.http.post("/api/api-keys", json={"name": "eyes", "role": "read"}, headers={"X-API-Key": ADMIN}).json()
    stack.wait_until(lambda: stack.producer.http.get("/api/leads", headers={"X-API-Key": made["key"]}).status_code == 200, 10, "the key works")
    visitor = visit().enter(made["key"])
    page = opened(visitor, f"leads/{lead['id']}", "Ada")
    expect(page.locator("#why")).to_be_visible()
    expect(page.get_by_text("Read only")).to_be_visible()
    for view in (f"leads/{lead['id']}", "campaigns", "redial", "workflow", "undetermined", "dead-letters"):
        opened(visitor, view)
        names = page.locator("main").get_by_role("button").all_inner_texts()
        assert not names, (view, names)
    expect(page.get_by_role("button", name="Stop everything")).to_have_count(0)
    expect(page.locator("#stop")).to_have_text("Running")
