# SPDX-License-Identifier: Apache-2.0
"""The page itself: how it is served, who comes in, and that a lost connection comes back."""

import gzip
import re

from lib.stack import SECRETS
from playwright.sync_api import expect

ADMIN = SECRETS["ADMIN_API_KEY"]
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")


def new_key(stack, role, **more):
    made = stack.producer.http.post("/api/api-keys", json={"name": "a visitor", "role": role} | more, headers={"X-API-Key": ADMIN})
    assert made.status_code == 201, made.text
    key = made.json()["key"]
    stack.wait_until(lambda: stack.producer.http.get("/api/leads?limit=1", headers={"X-API-Key": key}).status_code == 200, 10, "the key known")
    return key


def test_its_files(stack):
    stack.start("producer", SCHEDULE="external")
    http = stack.producer.http
    index = http.get("/", headers={"Accept-Encoding": "identity"})
    assert index.status_code == 200 and index.headers["content-type"] == "text/html; charset=utf-8" and "content-encoding" not in index.headers
    names = set(re.findall(r'(?:src|href)="/page/([^"]+)"', index.text))
    assert len(names) > 3
    for path, kind in [("/", "text/html"), *((f"/page/{name}", "text/css" if name.endswith(".css") else "text/javascript") for name in sorted(names | {"uPlot.iife.min.js", "uPlot.min.css"}))]:
        plain = http.get(path, headers={"Accept-Encoding": "identity"})
        assert plain.status_code == 200 and plain.headers["content-type"] == f"{kind}; charset=utf-8", path
        assert plain.headers["content-security-policy"] == POLICY and plain.headers["x-content-type-options"] == "nosniff"
        assert plain.headers["referrer-policy"] == "no-referrer" and plain.headers["cache-control"] == "no-cache" and plain.headers["vary"] == "Accept-Encoding"
        with http.stream("GET", path, headers={"Accept-Encoding": "br, gzip;q=0.8"}) as answer:
            packed = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "gzip" and gzip.decompress(packed) == plain.content and len(packed) < len(plain.content)
            tag = answer.headers["etag"]
        assert tag != plain.headers["etag"]
        for same, encoding in ((plain.headers["etag"], "identity"), (f'"x", W/{plain.headers["etag"]}', "gzip;q=0"), ("*", "identity"), (tag, "gzip")):
            again = http.get(path, headers={"If-None-Match": same, "Accept-Encoding": encoding})
            assert again.status_code == 304 and not again.content and again.headers["etag"] in (tag, plain.headers["etag"]), (path, same)
        assert http.get(path, headers={"If-None-Match": tag, "Accept-Encoding": "identity"}).status_code == 200
    for path in ("/page/", "/page/x.js", "/page/index.htm", "/page/%2e%2e%2fopenapi.json", "/index.html", "/calls"):
        assert http.get(path).status_code == 404, path
    assert http.post("/").status_code == 405


def test_signing_in_and_out(stack, visit):
    stack.start()
    visitor = visit()
    page = visitor.go().page
    expect(page.get_by_label("API key")).to_be_focused()
    visitor.expects("401.*/api/session")
    visitor.sign_in("no such key")
    expect(page.get_by_role("alert")).to_contain_text("No such key")
    expect(page.get_by_label("API key")).to_be_focused()
    page.get_by_label("API key").fill(ADMIN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Now", level=1)).to_be_visible()
    expect(page.locator("[data-figure=waiting] .tile-value")).to_have_text("0")
    # Scripts see neither the key nor the cookie.
    assert page.evaluate("document.cookie") == "" and ADMIN not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    cookie = visitor.context.cookies()[0]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and not cookie["secure"] and cookie["path"] == "/"
    # It is still there after a reload, and in another tab's first view.
    page.reload()
    expect(page.get_by_role("heading", name="Now", level=1)).to_be_visible()
    # What a page of another site could send changes nothing.
    visitor.expects("403.*/api/scheduler/stop")
    assert visitor.ask("POST", "/api/scheduler/stop", {})[0] == 403
    assert visitor.ask("POST", "/api/scheduler/stop", {}, {"X-CSRF-Token": "0" * 64})[0] == 403
    assert visitor.ask("GET", "/api/scheduler")[1]["stopped"] is False
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    visitor.expects("401.*/api/leads")
    assert visitor.ask("GET", "/api/leads")[0] == 401
    page.reload()
    expect(page.get_by_label("API key")).to_be_visible()


def test_who_may_read_alone_changes_nothing(stack, visit):
    stack.start()
    reader = visit().enter(new_key(stack, "read"))
    expect(reader.page.locator("#stop")).to_have_text("Running")
    expect(reader.page.locator("#account")).to_contain_text("Read only")
    assert reader.page.get_by_role("button", name=re.compile("Stop|Start")).count() == 0
    for path in ("campaigns", "calls", "leads", "redial", "workflow", "undetermined", "dead-letters"):
        reader.view(f"#/{path}")
        assert reader.page.locator("#main").get_by_role("button", name=re.compile("^(Stop|Start|Pause|Resume|Remove|Replay|Discard|Create|Reset)")).count() == 0, path
    token = reader.ask("GET", "/api/session")[1]["csrf"]
    reader.expects("403.*/api/")
    for path, body in (("/api/scheduler/stop", {}), ("/api/campaigns", {"name": "Mine"}), ("/api/leads", {"phone": stack.phone()})):
        assert reader.ask("POST", path, body, {"X-CSRF-Token": token})[0] == 403, path
    assert stack.count("campaigns") == 0 and stack.count("leads") == 0


def test_a_lost_connection_comes_back(stack, visit):
    stack.start()
    visitor = visit().enter(ADMIN)
    page = visitor.page
    expect(page.locator("#link")).to_have_text("Live")
    visitor.expects("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|503")
    stack.producer.stop()
    expect(page.locator("#connection")).to_be_visible()
    expect(page.locator("#link")).to_have_text("Not connected")
    expect(page.locator("#told")).to_contain_text("Connection lost")
    visitor.picture("connection-lost")
    stack.producer.start()
    expect(page.locator("#link")).to_have_text("Live", timeout=40000)
    expect(page.locator("#told")).to_contain_text("Connection regained")
    stack.db.execute("insert into carillon.dead_letters (topic, partition, \"offset\", reason) values ('x', 0, 1, 'no message')")
    expect(page.locator("[data-figure=deadLetters] .tile-value")).to_have_text("1")
    # PostgreSQL alone is away: the stream goes on and says so.
    stack.servers.postgres.stop()
    expect(page.locator(".health").first).to_contain_text("does not answer")
    stack.servers.postgres.start()
    expect(page.locator(".health").first).not_to_contain_text("does not answer", timeout=40000)


def test_a_connection_that_swallows_everything(stack, visit):
    stack.start("producer", PRODUCER_ROLES="api")
    visitor = visit().enter(ADMIN)
    page = visitor.page
    expect(page.locator("#link")).to_have_text("Live")
    page.route("**/api/leads?*", lambda route: None)
    visitor.view("#/leads")
    expect(page.get_by_text("The producer can't be reached.")).to_be_visible(timeout=30000)
    swallowed = []
    page.route("**/api/session", lambda route: swallowed.append(route))
    visitor.expects("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|503")
    stack.producer.stop()
    expect(page.locator("#link")).to_have_text("Not connected")
    stack.producer.start()
    while not swallowed:
        page.wait_for_timeout(100)
    page.unroute("**/api/session")
    expect(page.locator("#link")).to_have_text("Live", timeout=40000)


def test_other_tabs_sign_in(stack, visit):
    stack.start("producer", PRODUCER_ROLES="api")
    stack.producer.http.post("/api/tenants", json={"id": "acme", "name": "Acme"}, headers={"X-API-Key": ADMIN}).raise_for_status()
    tenants = new_key(stack, "operate", tenant="acme")
    visitor = visit().go()
    page = visitor.page
    others = [visitor.context.new_page() for _ in range(2)]

    def enter(tab, key):
        tab.get_by_label("API key").fill(key)
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_role("heading", name="Now", level=1)).to_be_visible()

    for other in others:
        other.goto(f"{visitor.producer.url}/")
        expect(other.get_by_label("API key")).to_be_visible()
    enter(page, ADMIN)
    enter(others[0], ADMIN)
    visitor.expects("403.*/api/scheduler/st(op|art)")
    page.get_by_role("button", name="Stop everything").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop everything").click()
    expect(page.locator("#stopped")).to_contain_text("Everything is stopped since")
    # What was meant for all tenants is not done for one of them.
    page.get_by_role("button", name="Start again").click()
    enter(others[1], tenants)
    page.get_by_role("dialog").get_by_role("button", name="Start again").click()
    dialog = page.get_by_role("dialog", name="Another key was signed in")
    expect(dialog).to_contain_text("Operator, tenant acme")
    dialog.get_by_role("button", name="OK").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#account")).to_contain_text("tenant acme")
    expect(page.get_by_role("heading", name="Now", level=1)).to_be_visible()
    assert stack.value("select value from carillon.settings where key = 'stopped'") is True
