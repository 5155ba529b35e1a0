# SPDX-License-Identifier: Apache-2.0
"""What must hold after any fault, each as a list of what is wrong.

O1  nobody is rung twice: the provider's own ledger against ours, both ways
O2  nothing is lost: what is due is final, or has a time at which it is looked at again, and is looked at then
O3  every change of state was a legal one
O4  each call that ended was decided once
O5  no descriptor and no memory is lost (sanitizer reports, secrets and numbers in logs are judged when processes end)
"""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

# What follows what. A row that is not named changes no more, but for what an operator decides.
_CALLED = "calling ringing in_progress completed failed"
ARROWS = {
    "follow_ups": {
        "pending": "queued skipped cancelled failed",
        "queued": "dialing pending skipped cancelled failed",
        "dialing": "completed pending failed undetermined cancelled",
        "skipped": "pending",  # its reason is gone
        "cancelled": "pending",  # what was stopped starts again
        "undetermined": "completed",  # a late sign of life
        "failed": "",
        "completed": "",
    },
    "calls": {
        "dialing": f"unknown rejected not_dialed undetermined {_CALLED}",
        "unknown": f"rejected not_dialed undetermined {_CALLED}",
        "calling": "ringing in_progress completed failed",
        "ringing": "in_progress completed failed",
        "in_progress": "completed failed",
        "not_dialed": _CALLED,  # a late sign of life
        "undetermined": f"not_dialed {_CALLED}",
        "rejected": _CALLED,
        "completed": "",
        "failed": "",
    },
    "redial_queue": {
        "pending": "rescheduled completed max_attempts paused",
        "rescheduled": "pending completed max_attempts paused",
        "paused": "pending rescheduled completed max_attempts",
        "max_attempts": "pending completed paused",
        "completed": "",
    },
}
OPEN = "('dialing', 'unknown', 'calling', 'ringing', 'in_progress')"
_LATE_S = 30  # so long after its time nobody may still be waiting to be looked at


class Broken(AssertionError):
    """An oracle's word, which no second try takes back (tests/lib/junit.py)."""


def watch(stack) -> None:
    """Has every change of a status written down from now on. Before the processes start."""
    stack.db.execute(
        "create schema watch;"
        "create table watch.arrows (entity text, id text, was text, is_now text, at timestamptz default clock_timestamp());"
        "create function watch.note() returns trigger language plpgsql security definer set search_path = watch as $$ begin"
        " insert into watch.arrows values (tg_table_name, to_jsonb(new) ->> tg_argv[0], old.status, new.status); return null; end $$"
    )
    for table in ARROWS:
        stack.db.execute(
            f"create trigger watched after update of status on carillon.{table} for each row"
            f" when (old.status is distinct from new.status) execute function watch.note('{'job_id' if table == 'calls' else 'id'}')"
        )


def _some(wrong: list[Any], what: str) -> list[str]:
    return [f"{what}: {wrong[:5]}{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}"] if wrong else []


# ---- O1 ----

def never_twice(stack) -> list[str]:
    dialed = {job: made["calls"] for job, made in stack.ledger()["jobs"].items()}
    ours = {str(row["job_id"]): row for row in stack.rows(
        "select job_id, follow_up_id, status, provider_call_id, ended_at from calls where kind <> 'outside'")}
    known = {call["id"]: job for job, calls in dialed.items() for call in calls}
    by_follow_up = defaultdict(list)
    for job in dialed:
        if job in ours:
            by_follow_up[ours[job]["follow_up_id"]].append(job)
    return (
        _some([job for job, calls in dialed.items() if len(calls) > 1], "O1 jobs that were dialed twice")
        + _some([job for job in dialed if job not in ours], "O1 dialed without an entry in the ledger")
        + _some([job for job in dialed if job in ours and ours[job]["status"] in ("rejected", "not_dialed")],
                "O1 dialed, and the ledger says that they were not")
        + _some([job for job, row in ours.items() if row["provider_call_id"] and known.get(row["provider_call_id"]) != job],
                "O1 in the ledger with a call that is not theirs")
        + _some([jobs for jobs in by_follow_up.values() if len(jobs) > 1], "O1 follow-ups that were dialed twice")
        + _some(_at_once(dialed, ours), "O1 rung while another call to the number was not over")
    )


def _at_once(dialed: dict[str, list[dict[str, Any]]], ours: dict[str, dict[str, Any]]) -> list[Any]:
    by_phone = defaultdict(list)
    for job, calls in dialed.items():
        for call in calls:
            by_phone[call["phone"]].append((datetime.fromisoformat(call["at"]), job))
    wrong = []
    for calls in by_phone.values():
        calls.sort()
        for (_, first), (at, second) in zip(calls, calls[1:], strict=False):
            ended = ours[first]["ended_at"] if first in ours else None
            if ended is None or ended > at + timedelta(seconds=1):
                wrong.append((first, second))
    return wrong


# ---- O2 ----

def nothing_lost(stack) -> list[str]:
    late = f"now() - interval '{_LATE_S} s'"
    found = [
        ("neither final nor with a next time",
         "select id, status, reason from carillon.follow_ups"
         " where status = 'pending' and next_look_at is null"
         " or status = 'queued' and lease_until is null"
         " or status = 'dialing' and not exists (select from carillon.live v where v.follow_up_id = follow_ups.id)"),
        ("long due, and nobody looks",
         f"select id, status, gate from carillon.follow_ups where status = 'pending' and next_look_at < {late} and lane_id in"
         f" (select id from carillon.lanes where active) or status = 'queued' and lease_until < {late}"),
        ("final without a reason", "select id, status from carillon.follow_ups where status in ('skipped', 'cancelled', 'failed',"
                                   " 'undetermined') and reason is null"),
        ("an open call that nobody looks after",
         f"select job_id, status from carillon.calls c where status in {OPEN} and kind <> 'outside'"
         " and not exists (select from carillon.live v where v.job_id = c.job_id)"),
        ("a call that holds its number and is over",
         f"select v.job_id from carillon.live v join carillon.calls c using (job_id) where c.status not in {OPEN}"
         " and c.status <> 'undetermined'"),
        ("long due to be checked", f"select job_id, state from carillon.live where state <> 'undetermined' and next_check_at < {late}"),
        ("messages about calls that wait for ever",
         f"select id, message, type from carillon.call_events where state = 'parked' and recorded_at < {late}"),
    ]
    return [fault for what, query in found for fault in _some([tuple(row.values()) for row in stack.rows(query)], f"O2 {what}")]


# ---- O3 ----

def legal(stack) -> list[str]:
    seen = stack.rows("select entity, was, is_now, count(*) as n, min(id) as id from watch.arrows group by 1, 2, 3")
    return _some([(row["entity"], row["was"], row["is_now"], row["id"]) for row in seen
                  if row["is_now"] not in ARROWS[row["entity"]][row["was"]].split()], "O3 changes that are not legal")


# ---- O4 ----

def decided_once(stack) -> list[str]:
    ended = "status in ('completed', 'failed') and kind in ('follow_up', 'redial')"
    found = [
        ("ended and not decided", f"select job_id, outcome from carillon.calls where {ended} and decided_at is null"),
        ("decided more than once",
         "select entity, entity_id, event_id, to_state, count(*) from carillon.transitions where event_id is not null"
         " group by 1, 2, 3, 4 having count(*) > 1"),
        # A lead's first success makes no record; from the first other end on every end is an attempt.
        ("attempts that are not the calls that ended",
         "select r.id, r.attempts, e.n from (select lead_id, count(*) as n from carillon.calls"
         f" where {ended} group by 1 having bool_or(not coalesce(success, outcome in ('SALE', 'TRANSFERRED', 'ACA')))) e"
         " full join (select * from carillon.redial_queue where lead_ref is not null) r on r.lead_ref = e.lead_id"
         " where r.attempts is distinct from e.n"),
    ]
    return [fault for what, query in found for fault in _some([tuple(row.values()) for row in stack.rows(query)], f"O4 {what}")]


# ---- O5 ----

def _own_descriptors(pid: int, port: int, provider: int) -> int:
    """Without the connections that others keep open to it, and those to the provider, of which there are as many as HTTP_SLOTS allow
    after a burst, and none after the link was cut."""
    lines = (line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:])
    inbound = {line[9] for line in lines if line[3] != "0A" and (
        int(line[1].split(":")[1], 16) == port or int(line[2].split(":")[1], 16) == provider)}
    count = 0
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(entry.path).removeprefix("socket:[").rstrip("]") not in inbound
        except FileNotFoundError:
            continue  # closed meanwhile
    return count


@dataclass
class Usage:
    """What a process holds, seen again and again; a new process id is another one."""

    seen: dict[tuple[str, int], list[tuple[float, int, int]]] = field(default_factory=lambda: defaultdict(list))

    def look(self, processes, at: float) -> None:
        """Descriptors and memory of those that run."""
        for process in processes:
            try:
                pid = process.pid
                descriptors = _own_descriptors(pid, *(int(process.environment[key].rsplit(":", 1)[1]) for key in ("LISTEN", "VAPI_BASE_URL")))
                status = Path(f"/proc/{pid}/status").read_text()
                kilobytes = int(status.split("VmRSS:")[1].split()[0])
            except (AssertionError, OSError, IndexError):
                continue  # between two lives
            self.seen[process.name, pid].append((at, descriptors, kilobytes))

    def least(self) -> dict[tuple[str, int], tuple[int, int, int, int]]:
        """Of each the least descriptors and kilobytes in the middle and in the last third of its life: what comes and goes with the
        work is left out, and what it took to get going."""
        result = {}
        for key, seen in self.seen.items():
            third = max(len(seen) // 3, 1)
            middle, last = seen[third:2 * third] or seen, seen[-third:]
            result[key] = (min(d for _, d, _ in middle), min(d for _, d, _ in last), min(k for _, _, k in middle), min(k for _, _, k in last))
        return result


def descriptors_flat(stack, more: int) -> list[str]:
    """None has more than those of its kind that has just started, and the connections it may keep."""
    usage = Usage()
    usage.look(stack.processes, 0)
    return _some([(name, seen[0][1]) for (name, _), seen in usage.seen.items() if seen[0][1] > more], "O5 descriptors")


def judge(stack) -> list[str]:
    """O1 to O4 of any workload that has come to rest."""
    return never_twice(stack) + nothing_lost(stack) + legal(stack) + decided_once(stack)
