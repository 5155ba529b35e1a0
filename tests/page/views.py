# SPDX-License-Identifier: Apache-2.0
"""Going from view to view, and what a view says of what was done."""

from playwright.sync_api import expect


def opened(visitor, view, heading=None):
    """The view, once its own heading is there and nothing in it is being loaded any more."""
    visitor.view(f"#/{view}")
    if heading:
        expect(visitor.page.get_by_role("heading", level=1, name=heading)).to_be_visible()
    expect(visitor.page.locator(".loading, [aria-busy=true]")).to_have_count(0)
    return visitor.page


def noticed(page, text):
    """It is there to be read, and told to those who listen."""
    expect(page.locator("main .notice").filter(has_text=text)).to_be_visible()
    expect(page.locator("#told")).to_contain_text(text)
