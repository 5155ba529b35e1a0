# SPDX-License-Identifier: Apache-2.0
"""Another dialer's calls, told by its webhooks: secrets, bodies, mappings, and the redial record they share with our own dials."""

import time
from datetime import UTC, datetime, timedelta

import pytest

SECRET = "convoso-secret-3c2b1a09f8e7"
OLD_SECRET = "convoso-secret-of-yesterday"
PATH = "/webhooks/convoso/convoso"
HEADER = {"X-Webhook-Secret": SECRET}


def started(stack, *kinds, **environment):
    stack.start(*kinds, **({"CONVOSO_WEBHOOK_SECRET": f"{SECRET}, {OLD_SECRET}", "CONVOSO_TIME_ZONE": "UTC"} | environment))
    stack.db.execute("update lanes set window_start = null, window_end = null where name = 'redial'")


def disposition(call, status, phone, lead="900001", ago=60, **more):
    """As the usual adaptor maps it: texts, national digits, local times."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return {
        "call_log_id": str(call), "lead_id": lead, "list_id": "100", "status": status, "call_type": "OUTBOUND", "length_in_sec": "12",
        "call_date": at.strftime("%Y-%m-%d %H:%M:%S"), "term_reason": "NONE", "phone_number": phone.removeprefix("+1"),
        "phone_code": "1", "first_name": "Ada", "last_name": "Love", "state": "FL",
    } | more


def tell(stack, *arguments, form=False, path=PATH, **more):
    body = disposition(*arguments, **more)
    answer = stack.webhook.http.post(path, headers=HEADER, **({"data": body} if form else {"json": body}))
    assert answer.status_code == 202, answer.text
    return answer


def record(stack, lead="900001"):
    return stack.row("select status, attempts, outcomes, last_outcome, next_redial_timestamp from redial_queue where lead_id = %s", lead)


def is_now(stack, status, attempts, outcomes, lead="900001"):
    def check():
        now = record(stack, lead)
        return now and (now["status"], now["attempts"], now["outcomes"]) == (status, attempts, outcomes)

    stack.wait_until(check, 20, lambda: f"{status} {attempts} {outcomes}, now {record(stack, lead)}")


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
@pytest.mark.parametrize("headers, token, status", [
    ({"X-Webhook-Secret": SECRET}, "", 202),
    ({"X-Webhook-Secret": OLD_SECRET}, "", 202),
    ({}, f"/{SECRET}", 202),
    ({}, f"/{OLD_SECRET}", 202),
    ({"X-Webhook-Secret": "wrong"}, "", 401),
    ({}, "/wrong", 401),
    ({}, "", 401),
    ({"Authorization": f"Bearer {SECRET}"}, "", 401),
])
def test_secrets(stack, headers, token, status, form):
    started(stack, "producer", "webhook")
    body = disposition(1, "NA", stack.phone())
    answer = stack.webhook.http.post(PATH + token, headers=headers, **({"data": body} if form else {"json": body}))
    assert answer.status_code == status, answer.text
    if status == 202:
        assert answer.json() == {"status": "accepted", "event_id": "convoso:1:NA", "success": True}
        plain = stack.webhook.http.post(PATH + token, headers=headers | {"Accept": "text/plain"}, data=body)
        assert (plain.status_code, plain.text) == (202, "success\n")


def test_what_cannot_be_read_is_kept_and_says_what_is_missing(stack):
    started(stack, "producer", "webhook", CONVOSO_FIELDS="status=Disposition")
    phone = stack.phone()
    for body in (disposition(1, "NA", phone), {"Disposition": "NA"}, {"call_log_id": 1, "Disposition": "NA", "phone_number": "12"}):
        assert stack.webhook.http.post(PATH, headers=HEADER, json=body).status_code == 400
    assert stack.webhook.http.post(PATH, headers=HEADER, content=b"a=%zz").status_code == 400
    assert stack.webhook.http.post(PATH, headers=HEADER, json=disposition(1, "", phone, Disposition="NEW")).json() == {
        "status": "ignored", "success": True}
    assert "Disposition" in stack.webhook.wait_log("webhook.unreadable")["reason"]
    assert stack.webhook.metric("carillon_dead_letters_total") == 4


def test_a_dial_of_theirs_is_an_attempt_of_the_record(stack):
    started(stack)
    phone = stack.phone()
    tell(stack, 1, "NA", phone, ago=600)
    is_now(stack, "pending", 1, ["NO_ANSWER"])
    lead = stack.row("select * from leads where external_id = '900001'")
    assert (lead["phone_e164"], lead["first_name"], lead["list_id"], lead["auto_follow_up"]) == (phone, "Ada", "100", False)
    stack.wait_count(2, "call_events", "state = 'applied'")
    call = stack.row("select * from calls")
    assert (call["kind"], call["provider"], call["status"], call["outcome"], call["duration_ms"]) == (
        "outside", "convoso", "failed", "NO_ANSWER", 12000)
    # It began ten minutes ago, by their clock.
    assert abs((call["ended_at"] - datetime.now(UTC)).total_seconds() + 588) < 20

    # The same call again, in another form and under another disposition.
    for _ in range(3):
        tell(stack, 1, "NA", phone, ago=600, form=True)
    tell(stack, 1, "B", phone, ago=600)
    tell(stack, 2, "AA", f"({phone[2:5]}) {phone[5:8]}-{phone[8:]}", ago=60, form=True)
    is_now(stack, "pending", 2, ["NO_ANSWER", "VOICEMAIL"])
    assert stack.count("calls") == 2 and stack.count("leads") == 1

    # Ours is the third, of the same record; theirs after it is the last.
    stack.sim.script([{"action": {"outcome": "BUSY", "call_ms": 100}}])
    stack.db.execute("update redial_queue set next_redial_timestamp = now()")
    is_now(stack, "pending", 3, ["NO_ANSWER", "VOICEMAIL", "BUSY"])
    stack.assert_rung([phone])
    time.sleep(1.1)
    tell(stack, 3, "NA", phone, ago=0, length_in_sec="0", call_date="")
    is_now(stack, "max_attempts", 4, ["NO_ANSWER", "VOICEMAIL", "BUSY", "NO_ANSWER"])

    # Facts, not the status.
    time.sleep(1.1)
    tell(stack, 4, "XFER", phone, ago=0, call_date="")
    is_now(stack, "max_attempts", 5, ["NO_ANSWER", "VOICEMAIL", "BUSY", "NO_ANSWER", "TRANSFERRED"])
    assert stack.count("redial_queue") == 1
    assert stack.count("dead_letters") == 0


def test_a_record_of_our_own_dial_takes_theirs(stack):
    started(stack)
    stack.sim.script([{"action": {"outcome": "NO_ANSWER", "call_ms": 100}}])
    lead = stack.lead(external_id="900001")
    is_now(stack, "pending", 1, ["NO_ANSWER"])
    time.sleep(1.1)
    tell(stack, 1, "XFER", lead["phone"], call_date="")
    is_now(stack, "completed", 2, ["NO_ANSWER", "TRANSFERRED"])
    assert stack.count("leads") == stack.count("redial_queue") == 1
    stack.stays(lambda: stack.ledger()["total"] == 1, 2, "not dialed again")


def test_callbacks_and_do_not_call(stack):
    started(stack)
    phone, other = stack.phone(), stack.phone()
    at = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    tell(stack, 1, "CALLBK", phone, callback_at=at.strftime("%Y-%m-%d %H:%M:%S"))
    is_now(stack, "rescheduled", 1, ["CALLBACK"])
    assert record(stack)["next_redial_timestamp"] == at

    tell(stack, 2, "NA", other, lead="900002")
    is_now(stack, "pending", 1, ["NO_ANSWER"], lead="900002")
    tell(stack, 2, "QDNC", other, lead="900002")  # disposed of again
    is_now(stack, "completed", 1, ["NO_ANSWER", "DO_NOT_CALL"], lead="900002")
    assert stack.count("suppressions", "phone = %s and reason = 'DO_NOT_CALL'", other) == 1
    # Whoever has that number is called by nobody.
    stack.lead(phone=other)
    stack.wait_count(1, "follow_ups", "status = 'skipped' and reason = 'suppressed'")
    assert stack.ledger()["total"] == 0


def test_keys_and_statuses_are_the_accounts_own(stack):
    started(stack, CONVOSO_FIELDS="call_log_id=LogID, phone_number=Phone")
    phone = stack.phone()
    body = {"LogID": "1", "lead_id": "900001", "status": "NI", "Phone": phone}
    assert stack.webhook.http.post(PATH, headers=HEADER, json=body).status_code == 202
    is_now(stack, "pending", 1, ["NI"])
    # A word of the account's gets a meaning; the next event has it.
    stack.db.execute("insert into outcome_words (provider, word, outcome) values ('convoso', 'NI', 'NOT_INTERESTED')")
    stack.webhook.wait_log("snapshot.read")
    stack.wait_until(lambda: len([e for e in stack.webhook.log_events("snapshot.read") if e["words"] == 1]) > 0, 5, "the word is read")
    assert stack.webhook.http.post(PATH, headers=HEADER, json=body | {"LogID": "2"}).status_code == 202
    is_now(stack, "completed", 2, ["NI", "NOT_INTERESTED"])

    # It is known without PostgreSQL too, from the sealed file.
    stack.webhook.stop()
    stack.servers.postgres.stop()
    stack.webhook.start()
    assert stack.webhook.http.post(
        PATH, headers=HEADER, json=body | {"LogID": "3", "lead_id": "900003", "Phone": stack.phone(), "status": "ni"}).status_code == 202
    stack.servers.postgres.start()
    stack.wait_count(1, "calls", "provider_call_id = '3' and outcome = 'NOT_INTERESTED'")
    assert record(stack, "900003") is None

    # An account of the database maps by its settings.
    stack.insert("accounts", name="second", provider="convoso", settings={
        "webhook_secret": "second-secret-5577aa", "time_zone": "America/New_York", "fields": {"status": "Dispo", "lead_id": "remote"}})
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40)
    local = stack.value("select to_char(%s::timestamptz at time zone 'America/New_York', 'YYYY-MM-DD HH24:MI:SS')", at)
    body = {"call_log_id": "1", "remote": "r-7", "Dispo": "NA", "phone_number": stack.phone(), "call_date": local}
    stack.wait_until(lambda: stack.webhook.http.post("/webhooks/convoso/second/second-secret-5577aa", json=body).status_code == 202, 5)
    is_now(stack, "pending", 1, ["NO_ANSWER"], lead="r-7")
    assert stack.value("select ended_at from calls where provider_call_id = '1' and account_id ="
                       " (select id from accounts where name = 'second')") == at


def test_many_at_once_make_one_record(stack):
    started(stack)
    phone = stack.phone()
    for number in range(3):
        for _ in range(2):
            for form in (False, True):
                tell(stack, number, "NA", phone, ago=600 - 100 * number, form=form)
    is_now(stack, "pending", 3, ["NO_ANSWER"] * 3)
    stack.wait_count(6, "call_events", "state <> 'parked'")
    assert stack.count("leads") == 1 and stack.count("calls") == 3 and stack.count("call_events") == 6

