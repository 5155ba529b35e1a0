# SPDX-License-Identifier: Apache-2.0
"""What is happening now: the chart's range."""

from lib.stack import SECRETS
from playwright.sync_api import expect


def test_a_late_answer_is_not_drawn_under_another_name(stack, visit):
    stack.start("producer", PRODUCER_ROLES="api")
    visitor = visit()
    page = visitor.page
    late = []
    page.route("**/api/live/series?range=hour", lambda route: late.append(route))
    visitor.enter(SECRETS["ADMIN_API_KEY"])
    while not late:
        page.wait_for_timeout(100)
    page.get_by_text("Day", exact=True).click()
    expect(page.get_by_text("0 dispatches, 0 answers and 0 successes in the last day")).to_be_visible()
    for route in late:
        route.fulfill(json={"t": [1], "dispatched": [7], "answered": [0], "succeeded": [0]})
    page.wait_for_timeout(1000)
    expect(page.get_by_text("0 dispatches, 0 answers and 0 successes in the last day")).to_be_visible()
