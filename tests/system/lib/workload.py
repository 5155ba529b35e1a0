# SPDX-License-Identifier: Apache-2.0
"""What goes on while faults strike: leads fall due, calls are made, some of them oddly, and end."""

import psycopg

from .topics import GROUP_TOPICS

QUICK = {"JOB_LEASE_S": 5, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 3, "LIST_LAG_S": 1, "QUEUED_LEASE_S": 3, "MAX_CALL_S": 10,
         "MAX_CALL_GRACE_S": 5, "HTTP_SLOTS": 32, "FOLLOW_UP_ACCOUNT": "vapi", "REDIAL_ACCOUNT": "vapi"}
LEADS = 12
# Of every twelve calls one is made without a word of it, one is not made and says nothing, one is refused for a while.
_ODDITIES = {0: {"timeout": {"dialed": True}}, 4: {"timeout": {"dialed": False}}, 8: {"status": 429, "retry_after": "1"}}
_USUAL = [{"action": {"outcome": {"SALE": 2, "BUSY": 1, "VOICEMAIL": 1}, "call_ms": 300, "latency_ms": 20}}]
_NONSENSE = (b"not a message of ours", b"\x00\x00\x00")


class Workload:
    """`calls`: waves of leads. `poison`: the same, and between them messages that nobody can read."""

    def __init__(self, stack, work: str):
        assert work in ("calls", "poison"), f"{work} is no work"
        self.stack = stack
        self.leads: list[dict] = []
        self._poison = work == "poison"
        self._letters = 0
        # Who was not reached is not called again: each number rings once.
        stack.db.execute("update carillon.lanes set active = false where name = 'redial'")

    def wave(self) -> None:
        """None if the database is away: its connection breaks before anything is done."""
        try:
            wave = self._leads_due()
        except psycopg.OperationalError:
            return
        self.leads += wave
        if self._poison:
            for topic in (name for names in GROUP_TOPICS.values() for name in names):
                partition = len(self.leads) // LEADS % 3
                self.stack.topics.produce(topic, *_NONSENSE, partition=partition)
                self._letters += len(_NONSENSE)

    def _leads_due(self) -> list[dict]:
        with self.stack.db.transaction():
            wave = [self.stack.lead() for _ in range(LEADS)]
            self.stack.sim.script([
                {"match": {"phone": lead["phone"]}, "times": 1, "action": {"outcome": "SALE", "call_ms": 300} | _ODDITIES[n]}
                for n, lead in enumerate(wave) if n in _ODDITIES
            ] + _USUAL)
        return wave

    def settled(self) -> bool:
        """Not while the database is away."""
        try:
            return self._is_settled()
        except psycopg.OperationalError:
            return False

    def _is_settled(self) -> bool:
        count = self.stack.count
        return (
            count("follow_ups", "status = 'completed'") == len(self.leads)
            and count("calls", "status in ('dialing', 'unknown', 'calling', 'ringing', 'in_progress')") == 0
            and count("calls", "status in ('completed', 'failed') and decided_at is null") == 0
            and count("dead_letters") >= self._letters
        )

    def state(self) -> str:
        return (f"{self.stack.rows('select status, gate, count(*) from follow_ups group by 1, 2')}"
                f" {self.stack.rows('select status, outcome, count(*) from calls group by 1, 2')}")

    def judge(self) -> list[str]:
        """What is known of this work beyond the oracles: each was reached, once, and it is all in the books."""
        stack, wrong = self.stack, []
        phones = stack.ledger()["phones"]
        rung = {lead["phone"]: phones.get(lead["phone"], 0) for lead in self.leads}
        expected = {
            "numbers that did not ring once": (0, sum(times != 1 for times in rung.values())),
            "calls that ended": (len(self.leads), stack.count("calls", "status in ('completed', 'failed')")),
            "undetermined": (0, stack.count("calls", "status = 'undetermined'")),
            "live": (0, stack.count("live")),
            "records": (stack.count("calls", "outcome in ('BUSY', 'VOICEMAIL')"), stack.count("redial_queue")),
            "leads that were contacted": (len(self.leads), stack.count(
                "leads", "stage = 'contacted' and raw_payload #>> '{dispatch,status}' is not null")),
            "dead letters": (self._letters, stack.count("dead_letters")),
        }
        for what, (wanted, found) in expected.items():
            if wanted != found:
                wrong.append(f"{what}: {found}, not {wanted}")
        return wrong
