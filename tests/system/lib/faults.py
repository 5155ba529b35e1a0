# SPDX-License-Identifier: Apache-2.0
"""The scenarios of tests/faults/scenarios.tsv: what a seed draws from each, and seeing it through."""

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec

from .process import Process
from .proxy import Fault, Network, Proxy
from .waiting import wait_until
from .workload import Workload

_TABLE = Path(__file__).resolve().parents[3] / "tests" / "faults" / "scenarios.tsv"
_STRIKE = re.compile(r"^([\w.]+)(?::([\w.-]+))?=(\w+)(?:@(\d+)(?:-(\d+))?)?$")
_TIMED = re.compile(r"^(\w+)(?:=(\d+)(?:-(\d+))?)?$")
PROCESSES = ("producer", "consumer", "webhook")
ASLEEP_S = 9  # longer than a lease, a request and Kafka's session
JOBS = "calls.dispatch.requested.v1"


@dataclass(frozen=True)
class Scenario:
    name: str
    at: str
    work: str
    seconds: int
    faults: tuple[str, ...]
    gap: str

    def fault(self, seed: int) -> str:
        return self.faults[seed % len(self.faults)]

    def dice(self, seed: int) -> random.Random:
        return random.Random(f"{self.name} {seed}")


def table() -> dict[str, Scenario]:
    lines = [line.split("\t") for line in _TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return {name: Scenario(name, at, work, int(s), tuple(faults.split()), gap) for name, at, work, s, faults, gap in lines}


def _points(scenario: Scenario) -> set[str]:
    """Where it may strike; a process can be struck at one place once."""
    return {match[1] if (match := _STRIKE.match(fault)) else "link" for fault in scenario.faults}


def _together(scenarios: list[Scenario]) -> list[list[str]]:
    """Up to three at one process, at different places."""
    packs: list[list[Scenario]] = []
    for scenario in scenarios:
        for pack in packs:
            if len(pack) < 3 and not any(_points(scenario) & _points(other) for other in pack):
                pack.append(scenario)
                break
        else:
            packs.append([scenario])
    return [[scenario.name for scenario in pack] for pack in packs]


def packed() -> list[tuple[str, ...]]:
    """All scenarios, many at once: most of a run is waiting. Servers alone."""
    packs: list[tuple[str, ...]] = []
    for letter in "KLS":
        mine = [scenario for scenario in table().values() if scenario.name[0] == letter]
        by_process = [_together([one for one in mine if one.at.partition(">")[0] == kind])
                      for kind in ("consumer", "producer", "webhook", "provider")]
        packs += [tuple(sum((part[n] for part in by_process if n < len(part)), [])) for n in range(max(map(len, by_process)))]
        packs += [(one.name,) for one in mine if one.at in ("kafka", "postgres")]
    return packs


def runs() -> list[tuple[tuple[str, ...], int]]:
    """What is asked for: each pack of scenarios, or those that are named, with each seed."""
    first, _, last = (os.environ.get("CARILLON_FAULT_SEEDS") or "0").partition("-")
    named = os.environ.get("CARILLON_FAULT_SCENARIOS")
    packs = [tuple(pack.split("+")) for pack in named.split(",")] if named else packed()
    return [(pack, seed) for seed in range(int(first), int(last or first) + 1) for pack in packs]


# ---- Injections: look() is to be called again and again while work goes on ----

@dataclass
class Strike:
    """At a fail point of a process."""

    point: str
    action: str
    text: str
    struck: bool = False

    @classmethod
    def draw(cls, text: str, dice: random.Random) -> "Strike":
        match = _STRIKE.match(text)
        assert match, f"{text} is no strike"
        first = int(match[4] or 1)
        nth = dice.randint(first, int(match[5] or first))
        return cls(match[1], match[3], f"{match[1]}{':' + match[2] if match[2] else ''}={match[3]}@{nth}")


class Victim:
    """A process with its strikes: started again when it was killed, with those that are left, and woken when it was stopped."""

    def __init__(self, process: Process):
        self.process = process
        self.strikes: list[Strike] = []
        self._wake_at: float | None = None
        self._leave_at: float | None = None  # to be told to end, where that is struck at
        self._leaving = False

    def add(self, strike: Strike) -> Strike:
        assert strike.point not in [other.point for other in self.strikes], f"two strikes at {strike.point}"
        self.strikes.append(strike)
        self._arm()
        return strike

    def _arm(self) -> None:
        left = [strike.text for strike in self.strikes if not strike.struck]
        self.process.environment.pop("CARILLON_FAIL_POINT", None)
        if left:
            self.process.environment["CARILLON_FAIL_POINT"] = ",".join(left)

    @property
    def _leaves(self) -> bool:
        return any(strike.point == "process.leaving" and not strike.struck for strike in self.strikes)

    def begin(self) -> None:
        if self._leaves:
            self._leave_at = time.monotonic() + 2

    def look(self) -> None:
        now = time.monotonic()
        if self._leave_at is not None and now >= self._leave_at and self.process.running:
            os.kill(self.process.pid, signal.SIGTERM)
            self._leave_at = None
        if self._wake_at is not None:
            if now >= self._wake_at:
                self._wake()
            return
        log = self.process.log_text()
        for strike in [strike for strike in self.strikes if not strike.struck]:
            if f'"point":"{strike.point}"' in log:
                strike.struck = True
                self._strike(strike, now)

    def _strike(self, strike: Strike, now: float) -> None:
        if strike.action == "kill":
            self.process.expected_exit_codes.add(-signal.SIGKILL)
            self._start_again(now)
        elif strike.action == "pause":
            self._wake_at = now + ASLEEP_S
            self._leaving = strike.point == "process.leaving"

    def kill(self) -> None:
        """At once, by somebody else."""
        self.process.expected_exit_codes.add(-signal.SIGKILL)
        if self.process.running:
            os.kill(self.process.pid, signal.SIGKILL)
        self._wake_at = None
        self._start_again(time.monotonic())

    def _start_again(self, now: float) -> None:
        self.process.wait_exit()
        self._arm()
        self.process.start(wait=False)
        if self._leaves:
            self._leave_at = now + 2

    def _wake(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)
        self._wake_at = None
        if self._leaving:
            self._leaving = False
            self._start_again(time.monotonic())

    def end(self) -> None:
        """One that is struck too late, or never, goes on without the threat of it."""
        self.look()
        if self._wake_at is not None:
            self._wake()
        left = [strike for strike in self.strikes if not strike.struck]
        self.process.environment.pop("CARILLON_FAIL_POINT", None)
        if left:
            self.process.restart()


class LinkFault:
    def __init__(self, proxy: Proxy, text: str, dice: random.Random):
        self._proxy = proxy
        self._fault = Fault.draw(text, dice)
        self._after = dice.uniform(0.2, 3.0)
        self._at: float | None = None
        self._told_from: int | None = None
        self.text = str(self._fault)

    @property
    def struck(self) -> bool:
        return self._told_from is not None and self._proxy.struck > self._told_from

    def begin(self) -> None:
        self._at = time.monotonic() + self._after

    def look(self) -> None:
        if self._told_from is None and self._at is not None and time.monotonic() >= self._at:
            self._told_from = self._proxy.struck
            self._proxy.tell(self._fault)

    def end(self) -> None:
        self._proxy.heal()


class KillUnanswered(LinkFault):
    """The provider has the request and answers; the process is killed before it hears of it."""

    def __init__(self, victim: Victim, proxy: Proxy, dice: random.Random):
        super().__init__(proxy, "stall_answers=60", dice)
        self.text = "kill_unanswered"
        self._victim = victim
        self._killed = False

    def look(self) -> None:
        super().look()
        if self.struck and not self._killed:
            self._killed = True
            self._victim.kill()
            self._proxy.heal()


class ServerFault:
    """kill and freeze, for so many seconds; lose: what is in the topic of jobs and was not read is gone."""

    def __init__(self, stack, work: Workload, at: str, text: str, dice: random.Random):
        match = _TIMED.match(text)
        assert match and match[1] in ("kill", "freeze", "lose"), f"{text} is no fault of a server"
        first = int(match[2] or 0)
        self._stack = stack
        self._work = work
        self._server = getattr(stack.servers, at)
        self._kind, self._seconds = match[1], dice.randint(first, int(match[3] or first))
        self._after = dice.uniform(0.2, 3.0)
        self._at: float | None = None
        self._timer: threading.Timer | None = None
        self.struck = False
        self.text = f"{self._kind}={self._seconds}" if self._seconds else self._kind

    def begin(self) -> None:
        self._at = time.monotonic() + self._after

    def look(self) -> None:
        if self._at is not None and time.monotonic() >= self._at:
            self._at = None
            self._strike()

    def _strike(self) -> None:
        """Its end does not depend on us: who looks may be waiting for this very server."""
        if self._kind == "lose":
            self._lose()
            return
        getattr(self._server, self._kind)()
        self.struck = True
        self._timer = threading.Timer(self._seconds, self._server.start)
        self._timer.start()

    def _lose(self) -> None:
        """The consumer sleeps until there are jobs that it has not read."""
        stack = self._stack
        stack.consumer.freeze()
        name = stack.topics.name(JOBS)

        def unread() -> dict[TopicPartition, int]:
            ends = stack.topics.admin.list_offsets({TopicPartition(name, n): OffsetSpec.latest() for n in range(3)})
            done = stack.topics.committed("dispatch")
            return {place: end.result().offset for place, end in ends.items()
                    if end.result().offset > done.get((name, place.partition), 0)}

        try:
            self._work.wave()
            lost = wait_until(unread, 10, "jobs that nobody has read")
            places = [TopicPartition(name, place.partition, end) for place, end in lost.items()]
            for deleted in stack.topics.admin.delete_records(places).values():
                deleted.result()
            self.struck = True
        finally:
            stack.consumer.thaw()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.join()


def injections(stack, work: Workload, network: Network, names: tuple[str, ...], seed: int) -> tuple[dict[str, Any], list[Any]]:
    """By scenario, what strikes; and all that has to be looked at. The processes are there, and not started yet."""
    made: dict[str, Any] = {}
    victims = {kind: Victim(stack.process(kind)) for kind in PROCESSES}
    for scenario in (table()[name] for name in names):
        fault, dice = scenario.fault(seed), scenario.dice(seed)
        process = scenario.at.partition(">")[0]
        if _STRIKE.match(fault) and process in PROCESSES:
            made[scenario.name] = victims[process].add(Strike.draw(fault, dice))
        elif fault == "kill_unanswered":
            made[scenario.name] = KillUnanswered(victims["consumer"], network.proxies[scenario.at], dice)
        elif ">" in scenario.at:
            made[scenario.name] = LinkFault(network.proxies[scenario.at], fault, dice)
        else:
            made[scenario.name] = ServerFault(stack, work, scenario.at, fault, dice)
    return made, [*victims.values(), *(one for one in made.values() if not isinstance(one, Strike))]


def needs_network(names: tuple[str, ...]) -> bool:
    return any(">" in table()[name].at for name in names)


def looking(injected, seconds: float = 0, until: Callable[[], bool] | None = None) -> bool:
    """Goes on for so many seconds, or until something is true, seeing to the injections all the time."""
    end = time.monotonic() + seconds
    while True:
        for one in injected:
            one.look()
        if until is not None and until():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
