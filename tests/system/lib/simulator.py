# SPDX-License-Identifier: Apache-2.0
"""The provider simulator's control API: what it dialed, and what it should do."""

from typing import Any

from .process import Process
from .waiting import wait_until


class Simulator:
    def __init__(self, process: Process):
        self.process = process
        self.url = process.url

    def ledger(self) -> dict[str, Any]:
        """{jobs: {JOB_ID: {calls: [{id, phone, provider, at, until}]}}, phones: {PHONE: n}, total}"""
        return self.process.http.get("/ledger", timeout=120).raise_for_status().json()

    def stats(self) -> dict[str, Any]:
        """Counters, and {agents: {AGENT: {live, max_live}}}: the calls that an agent or assistant has and had at once."""
        return self.process.http.get("/stats").raise_for_status().json()

    def requests(self, path: str = "", method: str | None = None) -> list[dict[str, Any]]:
        """The last ones it has read below a path, oldest first."""
        read = self.process.http.get("/requests?n=256").raise_for_status().json()
        return [request for request in read if request["path"].startswith(path) and method in (None, request["method"])]

    def script(self, rules: Any) -> None:
        """Replaces the rules of its behaviour."""
        self.process.http.post("/script", json=rules).raise_for_status()

    def reset(self) -> None:
        """Forgets rules and ledger."""
        self.process.http.post("/reset").raise_for_status()

    def release(self) -> None:
        """Lets go what a rule holds back."""
        self.process.http.post("/release").raise_for_status()

    # ---- What the ledger says ----

    def calls(self, phone: str | None = None) -> list[dict[str, Any]]:
        """Every call that was created, each with its job id, oldest first."""
        found = [
            call | {"job_id": job_id}
            for job_id, job in self.ledger()["jobs"].items()
            for call in job["calls"]
            if phone in (None, call["phone"])
        ]
        return sorted(found, key=lambda call: call["at"])

    def dialed(self, phone: str) -> int:
        """How many calls this number got."""
        return self.ledger()["phones"].get(phone, 0)

    def wait_total(self, total: int, timeout: float = 30) -> dict[str, Any]:
        """Waits for at least so many calls; the ledger."""

        def probe() -> dict[str, Any] | None:
            ledger = self.ledger()
            return ledger if ledger["total"] >= total else None

        return wait_until(probe, timeout, f"{total} calls in the ledger")

    def twice(self) -> dict[str, Any]:
        """The jobs with more than one call: must be empty, always."""
        return {job_id: job["calls"] for job_id, job in self.ledger()["jobs"].items() if len(job["calls"]) > 1}
