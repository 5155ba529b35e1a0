# SPDX-License-Identifier: Apache-2.0
"""Campaigns at the page: made, filled from a file with faulty rows, started, watched, stopped, cloned, and what is wrong with a form."""

import csv
import re

from lib.stack import SECRETS
from playwright.sync_api import expect
from views import noticed, opened

ADMIN = SECRETS["ADMIN_API_KEY"]
KEY = {"X-API-Key": ADMIN}
WINDOW = {"startTime": "10:00", "endTime": "14:00", "timeZone": "America/New_York"}


def made(stack, name, **settings):
    answer = stack.producer.http.post("/api/campaigns", json={"name": name, "account": "vapi", "useLeadWindow": False} | settings, headers=KEY)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def campaigns(stack):
    return stack.producer.http.get("/api/campaigns", headers=KEY).json()["campaigns"]


def write_contacts(path, stack, good):
    phones = [stack.phone() for _ in range(good)]
    rows = [["name", "phone", "address"], *([f"Person {n}", phone, f"{n} Main Street"] for n, phone in enumerate(phones))]
    rows += [["<img src=x onerror=alert(1)>", "12345", "x"], ["Nobody", "", "y"], ["Twice", phones[0], "z"]]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return phones


def upload(page, path):
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_role("heading", name="2 rows rejected")).to_be_visible()


def test_from_the_form_to_the_last_call(stack, visit, tmp_path):
    stack.start()
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 300}}])
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "campaigns", "Campaigns")
    expect(page.get_by_text("No campaign yet.")).to_be_visible()
    page.get_by_role("link", name="Create campaign").click()
    page.get_by_label("Name", exact=True).fill("Spring check-in")
    page.get_by_label("Provider account").fill("vapi")
    page.get_by_label("Frequency").select_option("weekly")
    page.get_by_label("From").fill("10:00")
    page.get_by_label("To", exact=True).fill("14:00")
    page.get_by_label("Time zone").fill("America/New_York")
    for day in ("Monday", "Wednesday", "Friday"):
        page.get_by_label(day).check()
    page.get_by_label("Only in the hours allowed").uncheck()
    schedule = "Mon, Wed, Fri 10:00\u201314:00 New York, at most 10 at once; each contact at most once a week"
    expect(page.get_by_text(schedule)).to_be_visible()
    windows = page.locator("form ol li")
    expect(windows).to_have_count(5)
    assert all(re.match(r"(Mon|Wed|Fri)\b", text) for text in windows.all_inner_texts())
    # Now at any hour, so that somebody is called.
    for label in ("From", "To"):
        page.get_by_label(label, exact=True).fill("")
    page.get_by_label("Frequency").select_option("none")
    page.get_by_role("button", name="Create campaign").click()
    expect(page.get_by_role("heading", level=1, name="Spring check-in")).to_be_visible()
    campaign = campaigns(stack)[0]
    assert (campaign["name"], campaign["scheduleFrequency"], campaign["startTime"], campaign["account"]) == ("Spring check-in", "none", None, "vapi")

    phones = write_contacts(tmp_path / "contacts.csv", stack, 30)
    upload(page, tmp_path / "contacts.csv")
    expect(page.get_by_text("Checked, nothing is changed yet: 33 rows: 30 new contacts")).to_be_visible()
    assert stack.count("leads") == 0
    page.get_by_role("button", name="Upload 30 contacts").click()
    expect(page.get_by_text("Uploaded: 33 rows: 30 new contacts, 0 known and updated, 1 duplicate left out, 2 rejected.")).to_be_visible()
    rejected = page.get_by_role("region", name="Rejected rows").get_by_role("row")
    expect(rejected).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all rejected rows").click()
    rows = list(csv.reader(download.value.path().read_text().splitlines()))
    assert len(rows) == 3 and "Nobody" in str(rows)

    page.get_by_role("button", name="Start", exact=True).click()
    noticed(page, "Started: ")
    expect(rejected).to_have_count(3)
    expect(page.locator(".progress").get_by_text("30 completed, 0 scheduled")).to_be_visible(timeout=60_000)
    assert all(stack.sim.dialed(phone) == 1 for phone in phones)
    page.get_by_role("link", name="Its calls").click()
    expect(page.get_by_role("heading", level=1, name="Calls")).to_be_visible()
    expect(page.get_by_text("30 calls", exact=True)).to_be_visible()


def test_a_stop_says_how_many_and_a_clone_is_edited(stack, visit, tmp_path):
    stack.start("producer")
    campaign = made(stack, "Evening calls", maxConcurrent=0, **WINDOW | {"startTime": "00:00", "endTime": "00:01"})
    contacts = [{"phone": stack.phone(), "first_name": f"Person {n}"} for n in range(7)]
    stack.producer.http.post(f"/api/campaigns/{campaign}/contacts", json=contacts, headers=KEY).raise_for_status()
    visitor = visit().enter(ADMIN)
    page = opened(visitor, "campaigns", "Campaigns")
    row = page.get_by_role("row", name="Evening calls")
    expect(row.get_by_text("0 completed, 7 scheduled")).to_be_visible()
    row.get_by_role("button", name="Stop").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Stop \u201cEvening calls\u201d?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert campaigns(stack)[0]["isActive"]
    row.get_by_role("button", name="Stop").click()
    dialog.get_by_role("button", name="Stop campaign").click()
    noticed(page, "Evening calls: Stopped: 7 calls were cancelled.")
    stack.wait_count(7, "follow_ups", "status = 'cancelled'")
    page.get_by_role("row", name="Evening calls").get_by_role("button", name="Start").click()
    noticed(page, "Evening calls: Started: 7 calls are scheduled.")

    page.get_by_role("link", name="Evening calls").click()
    page.get_by_role("button", name="Clone").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Copy of Evening calls")
    # Everything that is wrong at once, each beside its field.
    visitor.expects("status of 422")
    page.get_by_label("Name", exact=True).fill("")
    page.get_by_label("Time zone").fill("Mars/Olympus")
    page.get_by_label("Attempts a contact").fill("0")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Not saved: 3 things have to be mended.")).to_be_visible()
    for label in ("Name", "Time zone", "Attempts a contact"):
        field = page.get_by_label(label, exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
        assert page.locator(f"#{field.get_attribute('aria-describedby').split()[-1]}").inner_text()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill("Morning calls")
    page.get_by_label("Time zone").fill("America/Chicago")
    page.get_by_label("Attempts a contact").fill("2")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1, name="Morning calls")).to_be_visible()
    changed = next(one for one in campaigns(stack) if one["name"] == "Morning calls")
    assert (changed["timeZone"], changed["retryAttempts"], changed["isActive"]) == ("America/Chicago", 2, False)


def test_a_stop_with_calls_under_way(stack, visit):
    """Those that ring go on to their end, and nobody else is dialed."""
    stack.start()
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 12_000}}])
    campaign = made(stack, "Spring check-in", isActive=False)
    contacts = [{"phone": stack.phone(), "first_name": f"Person {n}"} for n in range(30)]
    stack.producer.http.post(f"/api/campaigns/{campaign}/contacts", json=contacts, headers=KEY).raise_for_status()
    page = opened(visit().enter(ADMIN), "campaigns", "Campaigns")
    row = page.get_by_role("row", name="Spring check-in")
    row.get_by_role("button", name="Start").click()
    noticed(page, "Spring check-in: Started: ")
    stack.wait_count(10, "live", "true")
    expect(row.locator(".progress").get_by_text("10 under way, 20 scheduled")).to_be_visible()
    row.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop campaign").click()
    noticed(page, "Spring check-in: Stopped: 20 calls were cancelled.")
    expect(row.locator(".progress").get_by_text("10 under way, 0 scheduled, 20 cancelled")).to_be_visible()
    expect(row.locator(".progress").get_by_text("10 completed, 0 scheduled, 20 cancelled")).to_be_visible(timeout=30_000)
    assert sum(stack.sim.dialed(contact["phone"]) for contact in contacts) == 10
    row.get_by_role("button", name="Start").click()
    noticed(page, "Spring check-in: Started: 20 calls are scheduled.")
    expect(row.locator(".progress").get_by_text("10 under way, 10 scheduled")).to_be_visible()
    assert max(stack.sim.dialed(contact["phone"]) for contact in contacts) == 1


def test_a_file_is_dropped_and_a_broken_connection_changes_nothing(stack, visit, tmp_path):
    stack.start("producer")
    campaign = made(stack, "Dropped", isActive=False)
    write_contacts(tmp_path / "contacts.csv", stack, 3)
    visitor = visit().enter(ADMIN)
    page = opened(visitor, f"campaigns/{campaign}", "Dropped")
    text = (tmp_path / "contacts.csv").read_text()
    page.evaluate("""text => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([text], "dropped.csv", {type: "text/csv"}));
        document.querySelector(".drop").dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
    }""", text)
    expect(page.get_by_role("region", name="The first rows of dropped.csv").get_by_role("row")).to_have_count(6)
    expect(page.get_by_role("button", name="Upload 3 contacts")).to_be_visible()
    visitor.expects("ERR_FAILED")
    page.route("**/api/campaigns/*/contacts", lambda route: route.abort())
    page.get_by_role("button", name="Upload 3 contacts").click()
    expect(page.get_by_text("The producer can't be reached.")).to_be_visible()
    assert stack.count("leads") == 0
    page.unroute("**/api/campaigns/*/contacts")
    page.get_by_role("alert").get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Uploaded: 6 rows: 3 new contacts")).to_be_visible()
    assert stack.count("leads") == 3


def test_an_edit_leaves_what_others_changed(stack, visit):
    stack.start("producer", PRODUCER_ROLES="api")
    campaign = made(stack, "Evening calls", maxConcurrent=5)
    visitor = visit().enter(ADMIN)
    page = opened(visitor, f"campaigns/{campaign}/edit", "Edit")
    http = stack.producer.http
    http.post(f"/api/campaigns/{campaign}/stop", json={}, headers=KEY).raise_for_status()
    http.patch(f"/api/campaigns/{campaign}", json={"maxConcurrent": 7}, headers=KEY).raise_for_status()
    page.get_by_label("Name", exact=True).fill("Morning calls")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1, name="Morning calls")).to_be_visible()
    one = campaigns(stack)[0]
    assert (one["name"], one["isActive"], one["maxConcurrent"]) == ("Morning calls", False, 7)


def test_a_second_file_while_the_first_is_imported(stack, visit, tmp_path):
    stack.start("producer", PRODUCER_ROLES="api")
    campaign = made(stack, "Two files", isActive=False)
    for name in ("first.csv", "second.csv"):
        write_contacts(tmp_path / name, stack, 3)
    visitor = visit().enter(ADMIN)
    page = opened(visitor, f"campaigns/{campaign}", "Two files")
    upload(page, tmp_path / "first.csv")
    importing = {"upload": "7", "state": "applying", "rows": 6, "created": 0, "updated": 0, "duplicates": 0, "rejected": 0, "rejectedRows": []}
    for path in ("contacts", "uploads/7"):
        page.route(f"**/api/campaigns/*/{path}", lambda route: route.fulfill(json=importing))
    page.get_by_role("button", name="Upload 3 contacts").click()
    expect(page.get_by_text("Importing: 0 of 6 rows")).to_be_visible()
    upload(page, tmp_path / "second.csv")
    expect(page.get_by_text("first.csv was sent already: its import goes on.")).to_be_visible()
    expect(page.get_by_text("Checked, nothing is changed yet")).to_be_visible()
    expect(page.get_by_text("Cancelled")).to_have_count(0)
