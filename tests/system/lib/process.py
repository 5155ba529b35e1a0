# SPDX-License-Identifier: Apache-2.0
"""One running program of ours: started, watched, stopped, killed, frozen; its log kept and judged."""

import ctypes
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from .ports import free_port
from .waiting import wait_until

_SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|Assertion .* failed")
# Every number of these tests is +1 NXX 555 01XX.
_FULL_PHONE = re.compile(r"(?<!\d)\+?1?[ (]*[2-9]\d{2}[ ).-]*555[ .-]?01\d{2}(?!\d)")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """`kind` is producer, consumer, webhook or simulator; `name` tells several of a kind apart."""

    def __init__(self, kind: str, name: str, binary: Path, directory: Path, environment: dict[str, str],
                 arguments: tuple[str, ...] = (), ready_path: str = "/readyz"):
        self.kind = kind
        self.name = name
        self.binary = binary
        self.environment = environment
        self.arguments = arguments
        self.ready_path = ready_path
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        self.log_path = directory / f"{name}.log"
        self.http = httpx.Client(base_url=self.url, timeout=10, trust_env=False)
        self._child: subprocess.Popen | None = None
        self._frozen = False
        self.expected_exit_codes: set[int] = {0}
        self.exit_codes: list[int] = []

    # ---- Life ----

    def start(self, wait: bool = True, timeout: float = 30, **environment: str) -> "Process":
        """Starts it, again with the same port and environment (changed by the arguments) if it ran before."""
        assert not self.running, f"{self.name} runs already"
        self.environment = self.environment | {key: str(value) for key, value in environment.items()}
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                [self.binary, *self.arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )
        if wait:
            self.wait_ready(timeout)
        return self

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def ready(self) -> bool:
        try:
            return self.http.get(self.ready_path).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_ready(self, timeout: float = 30) -> None:
        def probe() -> bool:
            if not self.running:
                raise RuntimeError(f"{self.name} ended with {self._child.returncode}:\n{self.log_tail()}")
            return self.ready()

        wait_until(probe, timeout, f"{self.name} ready; its log:\n{self.log_tail()}")

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM, and its exit code. Nothing happens to one that does not run."""
        return self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self.expected_exit_codes.add(-signal.SIGKILL)
        self._end(signal.SIGKILL, 10)

    def wait_exit(self, timeout: float = 30) -> int:
        """Waits until it ends by itself (a fail point, wrong configuration): its exit code."""
        assert self._child is not None
        code = self._child.wait(timeout)
        self._note_exit(code)
        return code

    def wait_fail_point(self, timeout: float = 30) -> None:
        """Waits until it has died at its fail point, which the next start leaves out."""
        assert self.environment.pop("CARILLON_FAIL_POINT")
        self.expected_exit_codes.add(-signal.SIGKILL)
        assert self.wait_exit(timeout) == -signal.SIGKILL

    def restart(self, **environment: str) -> "Process":
        self.stop()
        return self.start(**environment)

    def freeze(self) -> None:
        """SIGSTOP: it holds its connections and does nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Only one that is frozen may get a SIGCONT: at the wrong moment it hangs the leak check at its end."""
        assert self._frozen
        os.kill(self.pid, signal.SIGCONT)
        self._frozen = False

    def _end(self, sign: signal.Signals, timeout: float) -> int:
        if self._child is None:
            return 0
        if self._child.poll() is None:
            os.kill(self.pid, sign)
            if self._frozen:
                self.thaw()
        try:
            code = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            self._note_exit(-signal.SIGKILL)
            raise AssertionError(f"{self.name} did not end within {timeout} s of {sign.name}") from None
        self._note_exit(code)
        return code

    def _note_exit(self, code: int) -> None:
        self._child = None
        self._frozen = False
        self.exit_codes.append(code)

    # ---- Log ----

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 25) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])

    def log_events(self, event: str | None = None) -> Iterator[dict]:
        """The log's JSON lines, all or those of one event."""
        for line in self.log_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and event in (None, entry.get("event")):
                yield entry

    def wait_log(self, event: str, timeout: float = 20) -> dict:
        return wait_until(lambda: next(self.log_events(event), None), timeout, f"an event {event} in {self.name}'s log")

    # ---- Figures ----

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels; 0 if there is none."""
        total = 0.0
        for line in self.http.get("/metrics").text.splitlines():
            if not line.startswith(name) or line[len(name)] not in "{ ":
                continue
            if all(f'{key}="{value}"' in line for key, value in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    # ---- Judgement ----

    def faults(self, secrets: tuple[str, ...]) -> list[str]:
        """What must never be: sanitizer reports, unexpected exits, secrets and full numbers in the log."""
        found = []
        text = self.log_text()
        if match := _SANITIZER.search(text):
            found.append(f"{self.name}: {text[max(match.start() - 200, 0):match.end() + 3000]}")
        unexpected = [code for code in self.exit_codes if code not in self.expected_exit_codes]
        if unexpected:
            found.append(f"{self.name} ended with {unexpected}\n{self.log_tail()}")
        if self.kind != "simulator":
            if match := _FULL_PHONE.search(text):
                found.append(f"{self.name} logged a full phone number: {_line_of(text, match.start())}")
            found += [
                f"{self.name} logged a secret: {_line_of(text, text.index(secret))}"
                for secret in secrets
                if secret in text
            ]
        return found


def _line_of(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1:].split("\n", 1)[0]
