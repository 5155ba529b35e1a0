# SPDX-License-Identifier: Apache-2.0
"""Two schedulers, recorders and people at the same pending calls: statement by statement, on connections of their own, or as processes."""

import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

ROOT = Path(__file__).resolve().parents[2]


class Session:
    def __init__(self, stack, kind="producer"):
        self.db = psycopg.connect(stack.database_url(kind), row_factory=dict_row)
        self.db.execute("set lock_timeout = '20s'")
        self.db.commit()

    def run(self):
        """A scheduler's pass; its transaction stays open."""
        return self.db.execute((ROOT / "producer/sql/seed_workflow.sql").read_text().replace("$1", "1000")).fetchone()


@pytest.fixture
def sessions(stack):
    stack.insert("accounts", name="classifying", provider="vapi")
    stack.db.execute("""update carillon.settings set value = value || '{"classify_account": "classifying"}' where key = 'workflow'""")
    made = [Session(stack), Session(stack)]
    yield made
    for session in made:
        session.db.close()


def pending(stack, phone=None, **columns):
    return stack.insert("pending_calls", phone=phone or stack.phone(), **columns)["id"]


def beside(stack, work):
    """Runs it in a thread, until it waits for a lock. Answers with how to wait for its end."""
    failures = []

    def run():
        try:
            work()
        except psycopg.Error as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    stack.wait_until(lambda: stack.value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                                         " and datname = current_database()") == 1, 10, "the second one waits")

    def finish():
        thread.join(30)
        assert not thread.is_alive() and not failures, failures

    return finish


def states(stack):
    return sorted(row["workflow_state"] for row in stack.rows("select workflow_state from carillon.pending_calls"))


def test_two_schedulers_take_the_same_row_and_one_wins(stack, sessions):
    first, second = sessions
    calls = [pending(stack) for _ in range(3)]
    assert first.run()["seeded"] == 3
    # The other one neither waits nor fails.
    second.db.execute("set lock_timeout = '1s'")
    assert second.run() == {"seeded": 0, "looked": 0, "error": None}
    second.db.commit()
    first.db.commit()
    assert second.run() == {"seeded": 0, "looked": 0, "error": None}
    second.db.commit()
    assert states(stack) == ["needs_classification"] * 3
    assert stack.rows("select entity_id, count(*) as n from carillon.transitions where entity = 'pending_call' group by 1 having count(*) <> 3") == []
    assert stack.count("follow_ups") == 3 and len(calls) == 3


def test_two_producers_at_the_same_rows_take_each_step_once(stack):
    """As real processes: whoever comes second to a row goes on with others, and has nothing to complain of."""
    stack.db.execute("""
        create table public.steps (call text, step text, backend integer);
        create function public.step() returns trigger language plpgsql security definer as $$
        begin
            insert into public.steps values (new.entity_id, new.to_state, pg_backend_pid());
            perform pg_sleep(0.02);   -- so that both are at it at the same time
            return null;
        end $$;
        create trigger step after insert on carillon.transitions for each row
            when (new.entity = 'pending_call' and new.actor = 'workflow') execute function public.step()""")
    producers = stack.start("producer", "producer", CLASSIFY_ACCOUNT="twilio", TASK_ACCOUNT="vapi", WORKFLOW_HOURS="00:00-24:00")
    phones = [stack.phone() for _ in range(20)]
    known = set(phones[::2])
    for phone in known:
        stack.insert("call_classifications", phone_number=phone, classification_type="ivr_only")
    for _ in range(6):   # each time both are told that there is something to do
        with stack.db.transaction():
            for phone in phones:
                pending(stack, phone)
        stack.stays(lambda: True, 0.5, "time passes")
    stack.wait_count(120, "pending_calls", "follow_up_id is not null", timeout=60)
    assert stack.value("select count(distinct backend) from public.steps") == 2
    assert stack.rows("select call, step, count(*) from public.steps group by 1, 2 having count(*) > 1") == []
    assert stack.value("select count(*) from public.steps") == 240
    # One task call for each pending call to a known number, one classification call for each other number.
    assert {row["kind"]: row["n"] for row in stack.rows("select kind, count(*) as n from carillon.follow_ups group by 1")} == {"task": 60, "classify": 10}
    assert stack.count("workflow_runs", "error is not null") == 0
    for producer in producers:
        assert [entry for entry in producer.log_events() if entry["level"] == "error"] == []


def test_two_schedulers_ask_for_one_number_and_it_is_classified_once(stack, sessions):
    first, second = sessions
    phone = stack.phone()
    pending(stack, phone)
    assert first.run()["seeded"] == 1
    other = pending(stack, phone)
    seen = []
    finish = beside(stack, lambda: (seen.append(second.run()), second.db.commit()))
    first.db.commit()
    finish()
    assert seen == [{"seeded": 0, "looked": 1, "error": None}]
    assert second.run()["seeded"] == 0
    second.db.commit()
    assert stack.count("follow_ups") == 1
    assert stack.count("pending_calls", "follow_up_id is not null") == 2
    assert stack.value("select workflow_state from carillon.pending_calls where id = %s", other) == "needs_classification"


def test_one_joins_while_the_number_is_being_classified(stack, sessions):
    """Whoever comes as the classifier speaks is either with the others, or looks up what it said."""
    first, second = sessions
    phone = stack.phone()
    early = pending(stack, phone)
    first.run()
    first.db.commit()
    stack.db.execute("update carillon.follow_ups set status = 'dialing', job_id = gen_random_uuid()")
    assert states(stack) == ["classifying"]
    pending(stack, phone)
    stack.db.execute("update carillon.pending_calls set workflow_state = 'checking_classification' where workflow_state = 'new'")
    recorder = Session(stack, "consumer")
    recorder.db.execute("select carillon.workflow_classified('event', 'default', null, %s, null, 'ivr_only', '{}', 'test')", (str(early),))
    finish = beside(stack, lambda: (second.run(), second.db.commit()))
    recorder.db.commit()
    recorder.db.close()
    finish()
    # Its lookup came before the word, its attempt to join after: it makes no other call to be told what is known.
    assert states(stack) == ["classification_pending"] * 2
    assert stack.count("follow_ups") == 1


def test_it_is_called_off_while_it_is_dialed(stack, sessions):
    """Whichever comes first, nobody waits for the other for ever, and what is called off leads to nothing."""
    first, second = sessions
    call = pending(stack)
    first.run()
    first.db.commit()
    consumer = Session(stack, "consumer")
    consumer.db.execute("update carillon.follow_ups set status = 'dialing'")   # as a claim does
    finish = beside(stack, lambda: (second.db.execute("select * from carillon.pending_call_cancel(%s)", (str(call),)), second.db.commit()))
    consumer.db.commit()
    consumer.db.close()
    finish()
    row = stack.row("select workflow_state, failure_reason from carillon.pending_calls")
    assert row == {"workflow_state": "failed", "failure_reason": "cancelled"}
    assert stack.value("select status from carillon.follow_ups") == "dialing"


def test_who_is_late_by_version_changes_nothing(stack, sessions):
    first, second = sessions
    call = pending(stack, workflow_state="ready_to_call", next_action_at="2999-01-01T00:00:00Z")
    taken = "update carillon.pending_calls set workflow_state = 'calling' where id = %s and version = 1"
    assert first.db.execute(taken, (call,)).rowcount == 1
    seen = []
    finish = beside(stack, lambda: (seen.append(second.db.execute(taken, (call,)).rowcount), second.db.commit()))
    first.db.commit()
    finish()
    assert seen == [0]
    assert stack.value("select version from carillon.pending_calls") == 2


def test_a_number_becomes_known_while_its_call_is_claimed(stack, sessions):
    """Whoever says who answers does not wait for the dispatcher, which would wait for it in turn: the call is made."""
    first, _ = sessions
    phone = stack.phone()
    pending(stack, phone)
    first.run()
    first.db.commit()
    consumer = Session(stack, "consumer")
    consumer.db.execute("select id from carillon.follow_ups for update")   # as a claim begins
    first.db.execute("set lock_timeout = '1s'")
    first.db.execute("insert into carillon.call_classifications (phone_number, classification_type) values (%s, 'ivr_only')", (phone,))
    consumer.db.execute("update carillon.follow_ups set status = 'dialing'")
    consumer.db.commit()
    consumer.db.close()
    first.db.commit()
    assert states(stack) == ["classifying"]
    assert stack.count("follow_ups", "status = 'dialing'") == 1
