# SPDX-License-Identifier: Apache-2.0
"""The history at the page: filters that are in the address, endless pages in a bounded document, the export, and one call."""

import csv
import json
import re

from lib.stack import SECRETS
from playwright.sync_api import expect
from views import noticed, opened

ADMIN = SECRETS["ADMIN_API_KEY"]
KEY = {"X-API-Key": ADMIN}
HOSTILE = "<script>alert(1)</script>"


def dialed(stack, *names, **action):
    stack.start(LEAD_WINDOW="00:00-24:00", FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100} | action}])
    for name in names:
        stack.lead(first_name=name)
    stack.wait_count(len(names), "calls", "status = 'completed'")


def many(stack, number):
    """So many calls of the past, without dialing them."""
    lead = stack.lead(first_name="Often", call_date="2020-01-01T00:00:00Z")
    stack.db.execute(
        """insert into carillon.follow_ups (lead_id, due_at, status, reason, completed_at, created_at)
           select %s, now() - n * interval '1 minute', 'cancelled', 'operator', now(), now() - n * interval '1 minute' from generate_series(1, %s) n""",
        (lead["id"], number),
    )


def rows(page):
    return page.get_by_role("region", name="Calls, the youngest first").locator("tbody tr[role=row]")


def test_filters_deep_links_and_export(stack, visit):
    dialed(stack, "Ada", "Grace", HOSTILE)
    stack.wait_count(3, "call_reports")
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "calls?status=completed", "Calls")
    expect(rows(page)).to_have_count(3)
    expect(page.get_by_text(HOSTILE)).to_be_visible()
    page.get_by_label("Name or number").fill("grac")
    expect(rows(page)).to_have_count(1)
    assert page.url.endswith("#/calls?q=grac&status=completed")
    page.reload()
    expect(page.get_by_label("Name or number")).to_have_value("grac")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Status").select_option("failed")
    expect(page.get_by_text("No call fits these filters.")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Status")).to_have_value("completed")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Name or number").fill("")
    expect(rows(page)).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    exported = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert sorted(row["contactName"] for row in exported) == sorted(["Ada", "Grace", HOSTILE])
    assert download.value.suggested_filename.startswith("calls-")


def test_one_call_with_its_report(stack, visit):
    dialed(stack, "Ada")
    job = stack.value("select job_id from carillon.calls")
    stack.wait_count(1, "call_reports", "summary is not null")
    visitor = visit().enter(ADMIN)
    page = opened(visitor, f"calls/{job}", "Call to Ada")
    steps = page.get_by_role("heading", name="Timeline").locator("xpath=..").get_by_role("listitem").all_inner_texts()
    assert "scheduled" in steps[0] and any("dialed" in step for step in steps) and any("report SALE" in step for step in steps)
    expect(page.get_by_text("A simulated conversation.")).to_be_visible()
    expect(page.get_by_label("Transcript")).to_contain_text("User: Hello.")
    recording = page.get_by_role("link", name="Recording")
    assert recording.get_attribute("href").startswith("https://") and recording.get_attribute("rel") == "noopener noreferrer"
    assert recording.get_attribute("target") == "_blank"
    provider_id = stack.value("select provider_call_id from carillon.calls")
    expect(page.get_by_text(provider_id).first).to_be_visible()
    # A link that would run is none, and a transcript is text.
    stack.db.execute("update carillon.call_reports set recording_url = 'javascript:alert(1)', transcript = %s", (HOSTILE,))
    page.reload()
    expect(page.get_by_text("Recording: not a link")).to_be_visible()
    expect(page.get_by_label("Transcript")).to_have_text(HOSTILE)
    expect(page.get_by_role("link", name="Recording")).to_have_count(0)


def test_a_live_call_is_watched_and_hung_up(stack, visit):
    stack.start(LEAD_WINDOW="00:00-24:00", FOLLOW_UP_ACCOUNT="vapi")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 600_000}}])
    stack.lead(first_name="Ada")
    stack.wait_count(1, "calls", "provider_call_id is not null")
    visitor = visit().enter(ADMIN)
    page = opened(visitor, f"calls/{stack.value('select job_id from carillon.calls')}", "Call to Ada")
    page.get_by_role("button", name="Hang up").click()
    page.get_by_role("dialog").get_by_role("button", name="Hang up").click()
    noticed(page, "The provider is being told to end the call.")
    expect(page.locator(".heading .pill")).to_have_text(re.compile("completed|failed"), timeout=60_000)


def test_endless_pages_in_a_bounded_document(stack, visit):
    stack.start("producer", PRODUCER_ROLES="api")
    many(stack, 1200)
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "calls", "Calls")
    expect(rows(page)).not_to_have_count(0)
    most = 0
    for _ in range(600):
        page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(100)
        most = max(most, rows(page).count())
        if page.get_by_text("1,200 calls", exact=True).count():
            break
    expect(page.get_by_text("1,200 calls", exact=True)).to_be_visible()
    assert most <= 350, most
    oldest = rows(page).last.locator("a").first.get_attribute("href")
    # Back at the top the first ones are there again, and nothing moved meanwhile.
    page.evaluate("window.scrollTo(0, 0)")
    first = json.loads(stack.producer.http.get("/api/calls?limit=1", headers=KEY).text)["calls"][0]["id"]
    expect(page.locator(f"a[href='#/calls/{first}']")).to_be_visible()
    assert rows(page).count() <= 350
    page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.locator(f"a[href='{oldest}']")).to_be_visible()
