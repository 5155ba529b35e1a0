# SPDX-License-Identifier: Apache-2.0
"""A clock that a test moves, for PostgreSQL (tests/clock) and for the processes (builds with fail points) alike."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from . import databases
from .servers import ROOT, Postgres
from .stack import BIN, Servers, Stack


class Clock:
    """Goes on by itself from wherever it is set. The file says by how many seconds it is ahead of the machine's."""

    def __init__(self, path: Path):
        self._path = path
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def set(self, at: datetime) -> None:
        """At most a second later than `at`: whole seconds are all that the file says."""
        self._ahead = timedelta(seconds=-((datetime.now(UTC) - at) // timedelta(seconds=1)))
        new = self._path.with_suffix(".new")
        new.write_text(f"{int(self._ahead.total_seconds()):+d}\n")
        new.chmod(0o644)  # PostgreSQL runs as another user
        os.replace(new, self._path)

    @property
    def process_environment(self) -> dict[str, str]:
        return {"CARILLON_CLOCK_OFFSET": str(self._path)}

    @property
    def postgres_environment(self) -> dict[str, str]:
        return {"POSTGRES_ENV": subprocess.check_output([ROOT / "tests/clock/environment", self._path], text=True).rstrip("\n")}


class Walk:
    """A stack on its way through the days, from one time that is due to the next."""

    def __init__(self, stack: Stack, clock: Clock):
        self.stack, self.clock = stack, clock

    def quiet(self) -> None:
        """Waits until nothing is under way: what is would be late all of a sudden."""
        for table, where in (("live", "true"), ("call_events", "state = 'parked'"), ("follow_ups", "status in ('queued', 'dialing')")):
            self.stack.wait_count(0, table, where)

    def goto(self, at: datetime) -> None:
        """Only forward."""
        assert at.astimezone(UTC) > self.clock.now()
        self.quiet()
        self.clock.set(at.astimezone(UTC))

    def silent(self, until: datetime) -> None:
        """Nobody is dialed from now until shortly before this time; the clock stops there on the way."""
        total = self.stack.ledger()["total"]
        self.goto(until.astimezone(UTC) - timedelta(seconds=10))
        self.stack.stays(lambda: self.stack.ledger()["total"] == total, 0.8, "silence")


@contextmanager
def clocked_servers(servers: Servers, clock: Clock, directory: Path) -> Iterator[Servers]:
    """PostgreSQL is one of its own that follows the clock, as the processes do; Kafka's broker keeps real time."""
    postgres = Postgres(directory)
    postgres.extra_env |= clock.postgres_environment
    with pytest.MonkeyPatch.context() as patch:
        for name, value in clock.process_environment.items():
            patch.setenv(name, value)
        try:
            postgres.start()
            databases.make_template(postgres, BIN / "carillon-producer", {"KAFKA_BROKERS": servers.kafka.address})
            yield Servers(postgres, servers.kafka, servers.registry)
        finally:
            postgres.kill()
