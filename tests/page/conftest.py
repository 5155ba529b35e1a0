# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the page's tests: those of the system tests (servers, stack), and

`visit`     opens the page of this test's producer in a browser of its own: visit(width=390, dark=True); at the end none of them may
            have written an error to its console, broken its security policy or asked another origin
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

SYSTEM = Path(__file__).resolve().parents[1] / "system"
sys.path[:0] = [str(SYSTEM), str(Path(__file__).parent)]

from lib import databases  # noqa: E402, F401
from playwright.sync_api import sync_playwright  # noqa: E402
from visitor import Visitor  # noqa: E402

_spec = importlib.util.spec_from_file_location("system_conftest", SYSTEM / "conftest.py")
_system = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_system)
directory, servers, stack = _system.directory, _system.servers, _system.stack
pytest_runtest_makereport, pytest_configure = _system.pytest_runtest_makereport, _system.pytest_configure

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        # As root there is no sandbox to be had.
        options = [] if os.geteuid() else ["--no-sandbox"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=[*options, "--disable-dev-shm-usage", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def visit(browser, stack):
    visitors = []

    def open_page(width=1280, dark=False, producer=None, **more):
        visitors.append(Visitor(browser, producer or stack.producer, width, dark, **more))
        return visitors[-1]

    yield open_page
    faults = [fault for visitor in visitors for fault in visitor.close()]
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)
