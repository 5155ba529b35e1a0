# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests.

`servers`  PostgreSQL and Kafka, started once for all tests of a worker, and the schema registry if one asks for it
`stack`    this test's own Carillon (lib/stack.py): fresh database, own topics, a simulator; the test starts the
           processes it wants. At the end all are stopped and judged: a sanitizer report, an unexpected exit code,
           a secret or a full phone number in a log, or a job that was dialed twice fails the test.
"""

import itertools
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lib import databases
from lib.servers import Kafka, Postgres, Registry
from lib.stack import BIN, Servers, Stack

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def directory():
    """Where the session's servers and logs live; kept with CARILLON_KEEP set."""
    path = Path(tempfile.mkdtemp(prefix="carillon-system-"))
    path.chmod(0o755)  # PostgreSQL runs as another user
    yield path
    if not os.environ.get("CARILLON_KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def servers(directory):
    missing = [name for name in ("producer", "consumer", "webhook", "simulator") if not (BIN / f"carillon-{name}").exists()]
    if missing:
        pytest.fail(f"not built in {BIN}: {', '.join(missing)}", pytrace=False)
    started = Servers(Postgres(directory / "pg"), Kafka(directory / "kafka"), Registry(directory / "registry"))
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda server: server.start_first(), (started.postgres, started.kafka)))
        environment = {"KAFKA_BROKERS": started.kafka.address}
        databases.make_template(started.postgres, BIN / "carillon-producer", environment)
        yield started
    finally:
        for server in (started.postgres, started.kafka, started.registry):
            server.kill()


@pytest.fixture
def stack(servers, directory, request):
    number = next(_numbers)
    logs = directory / f"{number:03d}-{request.node.name[:60].replace('/', '_')}"
    logs.mkdir()
    made = Stack(servers, f"t{number:03d}", logs)
    request.node.stack = made
    yield made
    faults = made.close()
    if faults:
        pytest.fail("\n\n".join(faults), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of each process's log."""
    report = yield
    stack = getattr(item, "stack", None)
    if report.when == "call" and report.failed and stack is not None:
        for process in [*stack.processes, stack.sim.process]:
            report.sections.append((f"log of {process.name}", process.log_tail(40)))
    return report


def pytest_configure(config):
    sys.dont_write_bytecode = True
