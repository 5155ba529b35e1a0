# SPDX-License-Identifier: Apache-2.0
"""What the page says in words of its own, and reads by itself: schedules, windows, the first rows of a file, times."""

import pytest

WEEKLY = {"scheduleFrequency": "weekly", "scheduleDays": [5, 1, 3], "startTime": "10:00", "endTime": "14:00", "timeZone": "America/New_York", "maxConcurrent": 10, "useLeadWindow": False}

SCHEDULES = [
    ({}, "Mon, Wed, Fri 10:00\u201314:00 New York, at most 10 at once; each contact at most once a week"),
    ({"scheduleDays": [1, 2, 3, 5]}, "Mon\u2013Wed, Fri 10:00\u201314:00 New York, at most 10 at once; each contact at most once a week"),
    ({"scheduleDays": [0, 6]}, "Sat, Sun 10:00\u201314:00 New York, at most 10 at once; each contact at most once a week"),
    ({"scheduleDays": [1, 2, 3, 4, 5, 6, 7]}, "Every day 10:00\u201314:00 New York, at most 10 at once; each contact at most once a week"),
    # Days count for weekly and custom campaigns alone.
    ({"scheduleFrequency": "daily", "maxConcurrent": 0}, "Every day 10:00\u201314:00 New York, as many at once as the account takes; each contact at most once a day"),
    ({"startTime": "22:00", "endTime": "02:00", "callsPerSecond": 2.5},
     "Mon, Wed, Fri 22:00\u201302:00 (over midnight) New York, at most 10 at once, 2.5 a second; each contact at most once a week"),
    ({"scheduleFrequency": "none", "startTime": None, "endTime": None, "timeZone": None, "retryAttempts": 4, "useLeadWindow": True},
     "Every day at any hour, at most 10 at once; each contact until it succeeds, at most 4 times, within the hours allowed where the contact lives"),
]

# 2026-03-08 is a Sunday, on which New York's clocks go forward at 02:00.
WINDOWS = [
    ({}, "2026-03-06T14:59:00Z", ["Fri 6 Mar, 10:00\u201314:00", "Mon 9 Mar, 10:00\u201314:00"]),
    ({}, "2026-03-06T15:00:00Z", ["Fri 6 Mar, 10:00\u201314:00 (open now)", "Mon 9 Mar, 10:00\u201314:00"]),
    ({}, "2026-03-06T19:00:00Z", ["Mon 9 Mar, 10:00\u201314:00", "Wed 11 Mar, 10:00\u201314:00"]),
    ({"startTime": "22:00", "endTime": "02:00"}, "2026-03-07T06:30:00Z", ["Fri 6 Mar, 22:00\u201302:00 the next day (open now)", "Mon 9 Mar, 22:00\u201302:00 the next day"]),
    ({"scheduleFrequency": "daily"}, "2026-03-08T03:30:00Z", ["Sun 8 Mar, 10:00\u201314:00", "Mon 9 Mar, 10:00\u201314:00"]),
    ({"timeZone": "Mars/Olympus"}, "2026-03-08T03:30:00Z", None),
]

FILES = [
    ("name,phone\r\nAda,+1\r\n", [["name", "phone"], ["Ada", "+1"]]),
    ("\ufeffname;phone\nAda;1,5", [["name", "phone"], ["Ada", "1,5"]]),
    ('a\tb\n"x ""y""\nz"\t2\n\n', [["a", "b"], ['x "y"\nz', "2"]]),
    ("", []),
]


@pytest.fixture
def said(stack, visit):
    """said(module, function, arguments...): what a function of the page answers; a text that is a time comes as a Date."""
    stack.start("producer", PRODUCER_ROLES="api")
    page = visit().go().page
    page.get_by_role("button", name="Sign in").wait_for()
    return lambda module, name, *given: page.evaluate(
        """async ([module, name, given]) => (await import(`/page/${module}`))[name](
            ...given.map(one => typeof one === "string" && /^\\d{4}-\\d\\d-\\d\\dT.*Z$/.test(one) ? new Date(one) : one))""", [module, name, given])


def test_words(said):
    for changes, words in SCHEDULES:
        assert said("schedule.js", "scheduleInWords", WEEKLY | changes) == words
    for changes, now, windows in WINDOWS:
        assert said("schedule.js", "nextWindows", WEEKLY | changes, 2, now) == windows, (changes, now)
    for text, rows in FILES:
        assert said("csv.js", "firstRows", text, 6) == rows
    for seconds, words in ((0.0204, "20 ms"), (3.21, "3.2 s"), (75, "1 min 15 s"), (3700, "1 h 01 min"), (90000, "1 d 1 h")):
        assert said("format.js", "duration", seconds) == words
    open_hours = {"start": "2026-03-09T14:00:00Z", "end": "2026-03-09T18:00:00Z"}
    assert said("format.js", "windowTimes", open_hours, "America/New_York", False) == "Mon, Mar 9, 10:00\u201314:00"
    assert said("format.js", "windowTimes", open_hours | {"end": "2026-03-10T06:00:00Z"}, "America/New_York", False) == "Mon, Mar 9, 10:00\u2013Tue, Mar 10, 02:00"
    assert said("format.js", "windowTimes", open_hours | {"end": None}, "America/New_York", True) == "Open now, and does not close"
