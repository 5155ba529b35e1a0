# SPDX-License-Identifier: Apache-2.0
"""Waiting for what must come true, never sleeping for what may."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(probe: Callable[[], T], timeout: float = 20,
               what: str | Callable[[], str] = "", every: float = 0.05, retry: type[Exception] = AssertionError) -> T:
    """Calls probe until it answers something true, which is returned. An AssertionError, with the last
    answer, after timeout seconds. An assertion that fails inside probe, or an exception of the kind
    `retry`, counts as not yet."""
    deadline = time.monotonic() + timeout
    while True:
        failure: Exception | None = None
        try:
            last = probe()
            if last:
                return last
        except (AssertionError, retry) as error:
            last, failure = None, error
        if time.monotonic() >= deadline:
            saw = failure if failure is not None else repr(last)
            told = what() if callable(what) else what or "true"
            raise AssertionError(f"after {timeout} s still not {told}; last: {saw}") from failure
        time.sleep(every)


def stays(probe: Callable[[], T], seconds: float, what: str = "", every: float = 0.1) -> None:
    """Asserts that probe answers something true all the time for so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        last = probe()
        assert last, f"{what or 'it'} did not stay true for {seconds} s: {last!r}"
        time.sleep(every)
