# SPDX-License-Identifier: Apache-2.0
"""Two recorders' batches at once, statement by statement: each applies its own messages, and nothing is applied twice."""

import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parents[2]
STATEMENTS = ("inbox_insert", "inbox_resolve", "events_apply", "redial_apply", "stage_apply")


class Recorder:
    """A batch as recorder_batch.c sends it, without results and offsets, on a connection of its own."""

    def __init__(self, stack):
        self.db = psycopg.connect(stack.database_url("consumer"), row_factory=dict_row, cursor_factory=psycopg.ClientCursor)
        for name in STATEMENTS:
            self.db.execute(f"prepare {name} as {(ROOT / 'consumer/sql' / f'{name}.sql').read_text()}")
        self.db.commit()

    def run(self, name, *values):
        marks = f"({', '.join(['%s'] * len(values))})" if values else ""
        self.db.execute(f"execute {name}{marks}", values or None)

    def receive(self, *messages):
        """Redial updates: (event id, job id, phone)."""
        n = len(messages)
        ids, jobs, phones = zip(*messages)
        self.run("inbox_insert", ["redial"] * n, [""] * n, list(ids), ["default"] * n, [None] * n, [0] * n, [None] * n, list(jobs),
                 [None] * n, list(phones), ["NO_ANSWER"] * n, [None] * n, [None] * n, [None] * n, [None] * n, [1_770_000_000_000] * n,
                 [None] * n, ['{"action": "schedule", "suppress": false}'] * n, [None] * n)

    def apply(self, ids, jobs=()):
        """What a batch of these messages, and of the results of these jobs, applies; it stays open."""
        self.run("inbox_resolve", [""] * len(ids), list(ids), list(jobs), [], False)
        self.run("events_apply", 1200)
        self.run("redial_apply")
        self.run("stage_apply", [""] * len(ids), list(ids))

    def close(self):
        self.db.close()


@pytest.fixture
def recorders(stack):
    made = [Recorder(stack), Recorder(stack)]
    yield made
    for recorder in made:
        recorder.close()


def call(stack, status):
    """A call of a fresh lead; its job."""
    lead = stack.lead(auto_follow_up=False)
    follow_up = stack.insert("follow_ups", lead_id=lead["id"], status="completed")
    account = stack.row("insert into accounts (name, provider) values ('omni', 'omni') on conflict (name) do update set active = true returning id")
    row = stack.row(
        "insert into calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider, phone, attempt, status, worker, due_at)"
        " values (gen_random_uuid(), 'default', %s, 'follow_up', %s, %s, %s, 'omni', %s, 1, %s, 'w/1', now()) returning job_id",
        follow_up["id"], follow_up["lane_id"], lead["id"], account["id"], lead["phone"], status)
    return str(row["job_id"]), lead["phone"]


def test_what_another_batch_made_ready_is_left_to_it(stack, recorders):
    first, second = recorders
    (waiting, phone), (other, other_phone) = call(stack, "unknown"), call(stack, "calling")
    first.receive(("redial-1", waiting, phone))
    first.apply(["redial-1"])
    first.db.commit()
    assert stack.count("call_events", "state = 'parked'") == 1
    # The dispatcher writes its result; the first recorder has it from Kafka, the second one has other messages.
    stack.db.execute("update calls set status = 'calling' where job_id = %s", (waiting,))
    first.apply([], [waiting])
    second.db.execute("set lock_timeout = '5s'")
    second.receive(("redial-2", other, other_phone))
    second.apply(["redial-2"])   # waits for nobody
    second.db.commit()
    first.db.commit()
    assert stack.count("call_events", "state = 'applied'") == 2
    assert stack.rows("select phone_number, attempts from redial_queue order by phone_number") == [
        {"phone_number": number, "attempts": 1} for number in sorted([other_phone, phone])]
    assert stack.rows("select event_id, count(*) as n from transitions group by 1 order by 1") == [
        {"event_id": "redial-1", "n": 1}, {"event_id": "redial-2", "n": 1}]


def test_the_same_message_in_two_batches_is_applied_once(stack, recorders):
    first, second = recorders
    waiting, phone = call(stack, "unknown")
    first.receive(("redial-1", waiting, phone))
    first.apply(["redial-1"])
    first.db.commit()
    stack.db.execute("update calls set status = 'calling' where job_id = %s", (waiting,))
    # Both have a result of the call: the second one waits for the first, and finds nothing left to do.
    first.apply([], [waiting])
    begun, failures = threading.Event(), []

    def beside():
        begun.set()
        try:
            second.apply([], [waiting])
            second.db.commit()
        except psycopg.Error as error:
            failures.append(error)

    thread = threading.Thread(target=beside)
    thread.start()
    begun.wait()
    stack.wait_until(lambda: stack.value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                                         " and datname = current_database()") == 1, 10, "the second one waits")
    first.db.commit()
    thread.join(20)
    assert not failures and not thread.is_alive()
    assert stack.rows("select attempts, outcomes from redial_queue") == [{"attempts": 1, "outcomes": ["NO_ANSWER"]}]
    assert stack.count("transitions") == 1


def test_two_recorders_of_one_record(stack, recorders):
    """Two calls of one lead, in a batch each: the second sees what the first did, and both dials count."""
    first, second = recorders
    job, phone = call(stack, "calling")
    another = str(stack.row("insert into calls select gen_random_uuid(), tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, provider,"
                            " fingerprint, phone, attempt, status, worker, due_at from calls where job_id = %s returning job_id", job)["job_id"])
    first.receive(("redial-1", job, phone))
    first.apply(["redial-1"])
    thread = threading.Thread(target=lambda: (second.receive(("redial-2", another, phone)), second.apply(["redial-2"]), second.db.commit()))
    thread.start()
    stack.wait_until(lambda: stack.value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                                         " and datname = current_database()") == 1, 10, "the second one waits")
    first.db.commit()
    thread.join(20)
    assert stack.rows("select attempts, outcomes from redial_queue") == [{"attempts": 2, "outcomes": ["NO_ANSWER", "NO_ANSWER"]}]
