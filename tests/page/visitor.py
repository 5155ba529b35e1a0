# SPDX-License-Identifier: Apache-2.0
"""Somebody who looks at the page: a browser context with nothing in it, which notes all that a page must never do."""

import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import expect

AXE = Path(os.environ["AXE_DIR"]) / "axe.min.js"
ARTIFACTS = Path(os.environ["CARILLON_PAGE_ARTIFACTS"])
WAIT_MS = 20000  # for what has to go through the processes
WIDTHS = (1280, 390)

expect.set_options(timeout=WAIT_MS)


class Visitor:
    """`page` is Playwright's. What the producer refuses on purpose, a test says beforehand by expects()."""

    def __init__(self, browser, producer, width, dark, height=900):
        self.producer, self.width, self.dark = producer, width, dark
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-US",
                                           timezone_id="America/New_York", reduced_motion="reduce", accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.faults, self.expected = [], []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message):
        if message.type in ("error", "warning") and not any(re.search(pattern, f"{message.text} {message.location.get('url', '')}") for pattern in self.expected):
            self.faults.append(f"console {message.type}: {message.text} {message.location}")

    def _asked(self, request):
        at = urlsplit(request.url)
        if at.scheme not in ("data", "blob") and at.netloc != self.producer.address:
            self.faults.append(f"another origin was asked: {request.url}")

    def expects(self, pattern):
        """From now on the console may say this."""
        self.expected.append(pattern)

    # ---- Where it is ----

    def go(self, path=""):
        self.page.goto(f"{self.producer.url}/{path}")
        return self

    def sign_in(self, key):
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        return self

    def enter(self, key, path="#/"):
        """Signed in, at this view."""
        self.go(path).sign_in(key)
        expect(self.page.get_by_role("navigation", name="Views")).to_be_attached()
        expect(self.page.locator("#main h1")).to_be_visible()
        return self

    def view(self, path):
        self.page.evaluate("path => { location.hash = path }", path)
        expect(self.page.locator("#main h1")).to_be_visible()
        return self

    # ---- What it is like ----

    def ask(self, method, path, body=None, headers=None):
        """As a script of the page would: status and JSON."""
        return self.page.evaluate("""async ([method, path, body, headers]) => {
            const answer = await fetch(path, { method, headers: { "Content-Type": "application/json", ...headers }, body: body === null ? undefined : JSON.stringify(body) });
            return [answer.status, await answer.json().catch(() => null)];
        }""", [method, path, body, headers or {}])

    def accessible(self):
        """axe-core finds nothing. Its script is run by the browser itself, past the page's policy."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        assert not found, json.dumps([{"id": one["id"], "help": one["help"], "at": [[node["target"], node["failureSummary"]] for node in one["nodes"][:5]]} for one in found], indent=1)

    def fits(self):
        """Nothing sticks out of the screen's side."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{wide} pixels too wide at {self.width}"

    def picture(self, name):
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTIFACTS / f"{name}-{'dark' if self.dark else 'light'}-{self.width}.png", full_page=True)

    def close(self):
        self.context.close()
        return self.faults
