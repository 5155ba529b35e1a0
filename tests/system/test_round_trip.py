# SPDX-License-Identifier: Apache-2.0
"""The whole circle: a due lead becomes one call, and its end becomes the next step."""

import pytest

# What the simulator answers with, by lead; and what the redial queue is to say afterwards (None: no record).
ENDS = [
    ("TRANSFERRED", "completed", None),
    ("SALE", "completed", None),
    ("HUMAN", "completed", "pending"),
    ("VOICEMAIL", "completed", "pending"),
    ("NO_ANSWER", "failed", "pending"),
    ("BUSY", "failed", "pending"),
    ("FAILED", "failed", "pending"),
    ("CALLBACK", "completed", "rescheduled"),
    ("NOT_INTERESTED", "completed", None),
    ("DO_NOT_CALL", "completed", None),
]


def ends_script(leads, **action):
    return [
        {"match": {"phone": lead["phone"]}, "action": {"outcome": outcome, "call_ms": 200} | action}
        for lead, (outcome, _, _) in zip(leads, ENDS * (len(leads) // len(ENDS) + 1))
    ]


@pytest.mark.parametrize("provider", ["omni", "vapi", "bland"])
def test_due_leads_are_dialed_recorded_and_followed_up(stack, provider):
    stack.start(FOLLOW_UP_ACCOUNT=provider, REDIAL_ACCOUNT=provider)
    with stack.db.transaction():
        leads = [stack.lead(stage="contacted" if n == 0 else "new") for n in range(3 * len(ENDS))]
        stack.sim.script(ends_script(leads))
    stack.wait_count(len(leads), "calls", "ended_at is not null and decided_at is not null")

    ledger = stack.ledger()
    assert ledger["total"] == len(leads)
    assert set(ledger["phones"].values()) == {1}
    stack.assert_never_twice()
    dialed = {call["phone"]: call for call in stack.sim.calls()}
    for lead, (outcome, status, redial) in zip(leads, ENDS * 3):
        call = stack.row("select * from calls where lead_id = %s", lead["id"])
        assert str(call["job_id"]) == dialed[lead["phone"]]["job_id"]
        assert (call["provider"], call["provider_call_id"]) == (provider, dialed[lead["phone"]]["id"])
        assert (call["status"], call["outcome"]) == (status, outcome)
        assert call["due_at"] <= call["claimed_at"] <= call["posted_at"] <= call["answered_at"] <= call["ended_at"]

        follow_up = stack.row("select * from follow_ups where lead_id = %s", lead["id"])
        assert (follow_up["status"], follow_up["attempts"], follow_up["job_id"]) == ("completed", 1, call["job_id"])
        assert follow_up["completed_at"] == call["posted_at"]

        now = stack.row("select * from leads where id = %s", lead["id"])
        assert now["stage"] == "contacted"
        assert now["call_date"] == call["posted_at"]
        dispatch = now["raw_payload"]["dispatch"]
        assert dispatch | {"dispatched_at": ""} == {
            "status": "completed", "job_id": str(call["job_id"]), "provider": provider,
            "provider_call_id": call["provider_call_id"], "dispatched_at": "", "attempts": 1, "last_error": None,
        }

        record = stack.row("select * from redial_queue where lead_id = %s", str(lead["id"]))
        assert (record and record["status"]) == redial
        if redial:
            assert (record["phone_number"], record["attempts"]) == (lead["phone"], 1)
            assert (record["last_outcome"], record["outcomes"]) == (outcome, [outcome])
        if redial == "pending":
            assert 1790 < (record["next_redial_timestamp"] - call["ended_at"]).total_seconds() < 1810
        if redial == "rescheduled":
            assert record["next_redial_timestamp"] == record["scheduled_callback_time"] == call["callback_at"]

    assert {row["phone"] for row in stack.rows("select phone from suppressions")} == {
        lead["phone"] for lead, end in zip(leads, ENDS * 3) if end[0] == "DO_NOT_CALL"
    }
    moved = "entity = 'lead' and from_state = 'new' and to_state = 'contacted' and reason = 'dispatched'"
    assert stack.count("transitions", moved) == stack.count("transitions", "entity = 'lead'") == len(leads) - 1
    assert stack.count("live") == 0
    assert stack.count("dead_letters") == 0
    stack.assert_nothing_lost()


def test_redials_when_due_until_success_or_the_last_attempt(stack):
    stack.start()
    # A redial after two seconds, at any hour.
    stack.db.execute("update settings set value = value || '{\"redial_interval_minutes\": 0.033}' where key = 'redial'")
    stack.db.execute("update lanes set window_start = null, window_end = null where name = 'redial'")
    courses = [
        (["NO_ANSWER", "BUSY", "SALE"], "completed"),
        (["VOICEMAIL", "NO_ANSWER", "NO_ANSWER", "NO_ANSWER"], "max_attempts"),
        (["CALLBACK", "TRANSFERRED"], "completed"),
        (["NO_ANSWER", "DO_NOT_CALL"], "completed"),
    ]
    with stack.db.transaction():
        leads = [stack.lead(first_name="Ada", external_id=f"dialer-{n}") for n in range(len(courses))]
        stack.sim.script([
            {"match": {"phone": lead["phone"]}, "times": 1,
             "action": {"outcome": outcome, "call_ms": 100, "callback_in_ms": 2500}}
            for lead, (outcomes, _) in zip(leads, courses)
            for outcome in outcomes
        ])
    final = "status in ('completed', 'max_attempts')"
    stack.wait_count(len(courses), "redial_queue", final, timeout=40)
    # Ends and decisions are messages of two topics: either may be applied first.
    stack.wait_count(sum(len(outcomes) for outcomes, _ in courses), "calls", "outcome is not null")

    def check():
        for lead, (outcomes, status) in zip(leads, courses):
            record = stack.row("select * from redial_queue where lead_id = %s", lead["external_id"])
            assert (record["status"], record["attempts"], record["outcomes"]) == (status, len(outcomes), outcomes)
            assert record["next_redial_timestamp"] is None
            assert (record["lead_ref"], record["first_name"]) == (lead["id"], "Ada")
            calls = stack.rows("select * from calls where lead_id = %s order by claimed_at", lead["id"])
            assert [call["kind"] for call in calls] == ["follow_up"] + ["redial"] * (len(outcomes) - 1)
            assert [call["outcome"] for call in calls] == outcomes
            for former, call in zip(calls, calls[1:]):
                assert 1.9 < (call["posted_at"] - former["ended_at"]).total_seconds() < 15
            assert stack.sim.dialed(lead["phone"]) == len(outcomes)
        assert stack.count("follow_ups", "status <> 'completed'") == 0

    check()
    stack.stays(lambda: stack.ledger()["total"] == sum(len(outcomes) for outcomes, _ in courses), 3)
    check()
    assert stack.count("suppressions", "phone = %s", leads[3]["phone"]) == 1
