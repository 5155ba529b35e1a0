# SPDX-License-Identifier: Apache-2.0
"""Strikes at fail points (common/tbl/fail_point.h): which there are, what a seed chooses, and seeing them through."""

import os
import random
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from .process import Process
from .waiting import wait_until

_TABLE = Path(__file__).resolve().parents[3] / "common" / "tbl" / "fail_point.h"
_ROW = re.compile(r'^FAIL_POINT\(\w+, "([\w.]+)", "([\w ]+)", "([\w ]+)", ".+"\)$')

# How often a point is passed in a round, at least: a later passing may not come.
_PASSINGS = {"producer": 3, "consumer": 8, "webhook": 6}
_RARE = {"reconcile.looked_up": 1, "producer.claimed": 2}


@dataclass(frozen=True)
class Strike:
    point: str
    action: str
    nth: int

    def __str__(self) -> str:
        return f"{self.point}={self.action}@{self.nth}"


def table() -> dict[str, list[tuple[str, str]]]:
    """For each kind of process all points and what can be done there; what takes long, the sleeps, at the end."""
    found: dict[str, list[tuple[str, str]]] = {"producer": [], "consumer": [], "webhook": []}
    for line in _TABLE.read_text().splitlines():
        if row := _ROW.match(line):
            for kind in row[2].split():
                found[kind] += [(row[1], action) for action in row[3].split()]
    assert all(found.values())
    return {kind: sorted(points, key=lambda one: one[1] == "pause") for kind, points in found.items()}


def chosen(seed: int) -> dict[str, Strike]:
    """One strike for each kind of process. Seeds that follow each other go round the table."""
    dice = random.Random(seed)
    strikes = {}
    for kind, points in table().items():
        point, action = points[seed % len(points)]
        strikes[kind] = Strike(point, action, dice.randint(1, _RARE.get(point, _PASSINGS[kind])))
    return strikes


def rounds(sleeps: bool) -> int:
    """So many seeds from 0 on have every point and action."""
    return max(sum(sleeps or action != "pause" for _, action in points) for points in table().values())


class Victim:
    """A process that will be struck: started again if it was killed, woken if it was stopped."""

    def __init__(self, process: Process, strike: Strike, asleep_s: float):
        self.process = process
        self.strike = strike
        self.struck = False
        self._asleep_s = asleep_s
        self._wake_at: float | None = None

    def arm(self) -> None:
        self.process.stop()
        self.process.start(wait=False, CARILLON_FAIL_POINT=str(self.strike))

    def look(self) -> None:
        """To be called again and again."""
        if not self.struck:
            self.struck = f'"point":"{self.strike.point}"' in self.process.log_text()
            if self.struck and self.strike.action == "kill":
                self.process.wait_fail_point()
                self.process.start(wait=False)
            elif self.struck and self.strike.action == "pause":
                self._wake_at = time.monotonic() + self._asleep_s
        elif self._wake_at is not None and time.monotonic() >= self._wake_at:
            self._wake()

    def disarm(self) -> None:
        """One that is struck too late, or never, goes on without the threat of it."""
        self.look()
        if self._wake_at is not None:
            self._wake()
        if self.process.environment.pop("CARILLON_FAIL_POINT", None) and not self.struck:
            self.process.restart()
        wait_until(self.process.ready, 40, f"{self.process.name} ready after {self.strike}")

    def _wake(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)
        self._wake_at = None
