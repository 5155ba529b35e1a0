# SPDX-License-Identifier: Apache-2.0
"""/api/admin/redial-queue: every command of the redial guide, as written but for host and key, and what it does to the dialing."""

import json
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from lib.stack import SECRETS

KEY = SECRETS["ADMIN_API_KEY"]

# The guide's commands. Answers have these members, of these values where one is given.
COMMANDS = [
    ("curl -H 'X-API-Key: KEY' BASE/status",
     {"success": True, "timestamp": str, "status": dict, "stats": dict}),
    ("curl -H 'X-API-Key: KEY' BASE/records", {"success": True, "count": 4, "records": list}),
    ("curl -H 'X-API-Key: KEY' 'BASE/records?ready=true'", {"success": True, "count": 1, "records": list}),
    ("curl -H 'X-API-Key: KEY' 'BASE/records?status=pending'", {"success": True, "count": 2, "records": list}),
    ("curl -H 'X-API-Key: KEY' 'BASE/records?status=completed'", {"success": True, "count": 1, "records": list}),
    ("curl -X POST -H 'X-API-Key: KEY' BASE/enable", {"success": True, "message": str}),
    ("curl -X POST -H 'X-API-Key: KEY' BASE/disable", {"success": True, "message": str}),
    ("curl -X POST -H 'X-API-Key: KEY' BASE/start", {"success": False, "error": str}),
    ("curl -X POST -H 'X-API-Key: KEY' BASE/enable", {"success": True, "message": str}),
    ("curl -X POST -H 'X-API-Key: KEY' BASE/stop", {"success": True, "message": str}),
    ("curl -X POST -H 'X-API-Key: KEY' BASE/start", {"success": True, "message": str}),
    ("curl -X POST -H 'X-API-Key: KEY' BASE/process", {"success": True, "message": str}),
    ("curl -X PUT -H 'X-API-Key: KEY' -H 'Content-Type: application/json' -d '{\n"
     '    "enabled": true,\n    "redial_interval_minutes": 45,\n    "max_redial_attempts": 5\n  }\' BASE/config',
     {"success": True, "config": dict}),
    ("curl -X POST -H 'X-API-Key: KEY' 'BASE/lead/123456/pause?phone=+15551234567'", {"success": True, "record": dict}),
    ("curl -X POST -H 'X-API-Key: KEY' 'BASE/lead/123456/resume?phone=+15551234567'", {"success": True, "record": dict}),
    ("curl -X DELETE -H 'X-API-Key: KEY' 'BASE/lead/123456?phone=+15551234567'", {"success": True, "message": str}),
    ("curl -s -H 'X-API-Key: KEY' BASE/config", {"success": True, "config": dict}),
    ("curl -s 'BASE/status?api_key=KEY'", {"success": True, "status": dict}),
    ("curl -s 'BASE/records?ready=true&api_key=KEY'", {"success": True, "count": 1}),
]
STATUS = {"running": bool, "enabled": bool, "is_processing": bool, "interval_minutes": int, "redial_interval_minutes": int,
          "max_attempts": int}
STATS = {"enabled": bool, "total_records": int, "pending": int, "rescheduled": int, "completed": int, "max_attempts": int,
         "paused": int, "ready_to_dial": int, "current_month": str}
RECORD = {"lead_id", "phone_number", "list_id", "first_name", "last_name", "state", "attempts", "last_call_timestamp",
          "next_redial_timestamp", "scheduled_callback_time", "outcomes", "last_outcome", "last_call_id", "created_at",
          "updated_at", "status", "last_call_iso", "next_redial_iso", "created_at_iso", "minutes_until_next_redial", "is_ready"}


def record(stack, lead_id, phone, status="pending", minutes=10, **columns):
    """As the guide shows one; due in so many minutes."""
    at = f"now() + interval '{minutes} minutes'" if status in ("pending", "rescheduled") else "null"
    stack.insert("redial_queue", lead_id=lead_id, phone_number=phone, status=status, attempts=2, first_name="John",
                 outcomes=["VOICEMAIL", "NO_ANSWER"], last_outcome="NO_ANSWER", **columns)
    stack.db.execute(f"update carillon.redial_queue set next_redial_timestamp = {at}, last_call_timestamp = now()"
                     " where lead_id = %s and phone_number = %s", (lead_id, phone))


def call(stack, path, method="GET", key=KEY, **more):
    return stack.producer.http.request(method, f"/api/admin/redial-queue{path}", headers={"X-API-Key": key} if key else {}, **more)


def matches(answer, shape):
    for name, wanted in shape.items():
        assert name in answer, f"{name} in {answer}"
        if isinstance(wanted, type):
            assert isinstance(answer[name], wanted), f"{name}: {answer[name]}"
        else:
            assert answer[name] == wanted


def test_every_command_of_the_guide(stack):
    stack.start("producer", ALLOW_QUERY_API_KEY="true")
    record(stack, "123456", "+15551234567")
    record(stack, "123456", "+15551234568", minutes=-1)
    record(stack, "789012", "+15551234569", "completed")
    record(stack, "789013", "+15551234570", "rescheduled", minutes=90)
    base = f"{stack.producer.url}/api/admin/redial-queue"
    for command, shape in COMMANDS:
        command = command.replace("BASE", base).replace("KEY", KEY)
        done = subprocess.run(["bash", "-c", f"{command} -s --noproxy '*'"], capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        matches(answer, shape)
        if "/status" in command:
            matches(answer["status"], STATUS)
            matches(answer["stats"], STATS)
        for one in answer.get("records", [answer["record"]] if "record" in answer else []):
            assert RECORD <= one.keys()
    assert call(stack, "/config").json()["config"] == {
        "enabled": True, "running": True, "redial_interval_minutes": 45, "max_attempts": 5, "max_redial_attempts": 5,
        "process_interval_minutes": 5, "retention_days": 30, "success_outcomes": ["ACA", "SALE", "TRANSFERRED"]}
    one = call(stack, "/records?status=rescheduled").json()["records"][0]
    assert one["minutes_until_next_redial"] == 90 and not one["is_ready"]
    assert one["next_redial_timestamp"] > one["last_call_timestamp"] and one["next_redial_iso"].endswith("Z")
    assert stack.count("redial_queue", "phone_number = '+15551234567'") == 0


@pytest.mark.parametrize("key", [None, "wrong", KEY[:-1]])
def test_no_key_no_queue(stack, key):
    stack.start("producer")
    for method, path in (("GET", "/status"), ("POST", "/disable"), ("PUT", "/config"), ("DELETE", "/lead/1?phone=1")):
        answer = call(stack, path, method, key)
        assert answer.status_code == 401 and answer.json()["success"] is False
    # In the address only where it is permitted, and never to change anything.
    assert call(stack, f"/status?api_key={KEY}", key=None).status_code == 401
    stack.producer.restart(ALLOW_QUERY_API_KEY="true")
    assert call(stack, f"/status?api_key={KEY}", key=None).status_code == 200
    assert call(stack, f"/disable?api_key={KEY}", "POST", key=None).status_code == 401
    assert call(stack, "/status").json()["status"]["enabled"] is True


def test_bad_input_names_every_problem(stack):
    stack.start("producer")
    record(stack, "1", "+12125550101", "completed")
    for body, problems in (
        ({"redial_interval_minutes": 0, "max_attempts": "four", "colour": "red"},
         ("redial_interval_minutes: a whole number from 1 to 10080", "max_attempts: a whole number from 1 to 100",
          "colour: no such setting")),
        ({"enabled": 1, "success_outcomes": ["Sale!"], "retention_days": 1.5},
         ("enabled: true or false", "success_outcomes: an array", "retention_days: a whole number")),
        ({"max_attempts": 4, "max_redial_attempts": 5}, ("the same setting",)),
    ):
        before = call(stack, "/config").json()["config"]
        answer = call(stack, "/config", "PUT", json=body)
        assert answer.status_code == 422 and len(answer.json()["errors"]) == len(problems)
        for problem in problems:
            assert problem in answer.json()["error"]
        assert call(stack, "/config").json()["config"] == before
    for text in (b"", b"{", b"[]", b'{"enabled": true, "enabled": false}', b"\xff"):
        assert call(stack, "/config", "PUT", content=text).status_code == 422
    answer = call(stack, "/records?ready=maybe&status=odd&limit=0&after=x")
    assert answer.status_code == 422
    assert all(name in answer.json()["error"] for name in ("ready:", "status:", "limit:", "after:"))
    for method, path, status in (("POST", "/lead/1/pause", 422), ("POST", "/lead/1/pause?phone=%2B12125550199", 404),
                                 ("POST", "/lead/2/pause?phone=2125550101", 404), ("POST", "/lead/1/pause?phone=2125550101", 409),
                                 ("GET", "/nothing", 404), ("GET", "/enable", 405)):
        assert call(stack, path, method).status_code == status, path


def test_pages(stack):
    stack.start("producer")
    for n in range(5):
        record(stack, f"L{n}", f"+1212555010{n}")
    seen, path = [], "/records?limit=2"
    while path:
        answer = call(stack, path).json()
        assert answer["count"] == len(answer["records"]) <= 2
        seen += [one["lead_id"] for one in answer["records"]]
        path = f"/records?limit=2&after={answer['next']}" if "next" in answer else None
    assert seen == [f"L{n}" for n in range(5)]


def many(stack, number):
    stack.db.execute(
        "insert into carillon.redial_queue (lead_id, phone_number, status, attempts, outcomes, next_redial_timestamp)"
        " select 'L' || n, '+1' || (2010000000 + n), (array['pending', 'completed', 'paused'])[1 + n %% 3], 1, '{NO_ANSWER}',"
        " case when n %% 3 = 0 then now() + interval '1 hour' + n * interval '1 second' end from generate_series(1, %s) n", (number,))
    stack.db.execute("vacuum analyze carillon.redial_queue")


def resident_bytes(process):
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_hundred_thousand_records(stack):
    """Status at once; a page at once; all of them in one answer that is never in memory whole."""
    # A sanitizer keeps what was freed.
    stack.start("producer", ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
    many(stack, 100_000)
    call(stack, "/status")
    took = []
    stack.wait_until(lambda: took.append(call(stack, "/status").elapsed.total_seconds()) or min(took) < 0.05, 20,
                     lambda: f"status within 50 ms, it took {took}")
    assert call(stack, "/status").json()["stats"] | {"current_month": ""} == {
        "enabled": True, "total_records": 100_000, "pending": 33_333, "rescheduled": 0, "completed": 33_334, "max_attempts": 0,
        "paused": 33_333, "ready_to_dial": 0, "current_month": ""}
    page = call(stack, "/records?limit=500&after=70000")
    assert page.json()["count"] == 500 and page.elapsed.total_seconds() < 1

    before, headers = resident_bytes(stack.producer), {"X-API-Key": KEY}
    everything, most = bytearray(), 0
    with stack.producer.http.stream("GET", "/api/admin/redial-queue/records", headers=headers, timeout=60) as answer:
        assert answer.headers["transfer-encoding"] == "chunked" and "content-length" not in answer.headers
        for part in answer.iter_raw():
            everything += part
            most = max(most, resident_bytes(stack.producer))
    told = json.loads(everything)
    assert told["success"] is True and told["count"] == 100_000 and "next" not in told
    assert [one["lead_id"] for one in told["records"]] == [f"L{n}" for n in range(1, 100_001)]
    assert all(RECORD <= one.keys() for one in told["records"][::1000])
    assert len(everything) > 50_000_000 and most - before < len(everything) / 3
    paused = call(stack, "/records?status=paused", timeout=60).json()
    assert paused["count"] == len(paused["records"]) == 33_333


def test_who_hangs_up_or_reads_nothing_harms_nobody(stack):
    stack.start("producer")
    many(stack, 30_000)
    request = f"GET /api/admin/redial-queue/records HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n".encode()
    with ExitStack() as open_ones:
        readers = []
        for n in range(20):
            reader = socket.create_connection(("127.0.0.1", stack.producer.port))
            reader.sendall(request)
            reader.recv(1000 * n + 1)
            if n % 2:
                reader.close()
            else:
                readers.append(open_ones.enter_context(reader))
        assert call(stack, "/records", timeout=60).json()["count"] == 30_000
        assert resident_bytes(stack.producer) < 1 << 30
        assert call(stack, "/records", "HEAD").status_code == 200
        # The database goes: what was begun is broken off, what begins is refused.
        stack.servers.postgres.kill()
        received = b""
        while part := readers[0].recv(1 << 20):
            received += part
        assert received.startswith(b"H") or received and b"0\r\n\r\n" not in received[-10:]
    stack.wait_until(lambda: call(stack, "/records").status_code == 503)
    stack.servers.postgres.start()
    stack.wait_until(lambda: call(stack, "/records").status_code == 200)
    # And it ends in time with streams open.
    with socket.create_connection(("127.0.0.1", stack.producer.port)) as reader:
        reader.sendall(request)
        reader.recv(10)
        stack.producer.stop(timeout=10)


def redials(stack):
    """A lead whose first call led to a record, at no time yet."""
    stack.db.execute("update carillon.lanes set window_start = null, window_end = null where name = 'redial'")
    lead = stack.lead(external_id="L-1", auto_follow_up=False)
    stack.insert("redial_queue", lead_id="L-1", phone_number=lead["phone"], lead_ref=lead["id"], status="pending", attempts=1)
    return lead


def due(stack):
    stack.db.execute("update carillon.redial_queue set next_redial_timestamp = now()")


OFF = [
    ("POST", "/lead/L-1/pause?phone=PHONE", "paused", "cancelled"),
    ("DELETE", "/lead/L-1?phone=PHONE", "removed", "cancelled"),
    ("POST", "/disable", "lane", "pending"),
    ("POST", "/stop", "lane", "pending"),
]


@pytest.mark.parametrize("method, path, why, status", OFF, ids=[off[1].split("?")[0] for off in OFF])
def test_called_off_between_publication_and_claim(stack, method, path, why, status):
    stack.start("producer")
    lead = redials(stack)
    due(stack)
    stack.wait_count(1, "follow_ups", "status = 'queued'")
    assert call(stack, path.replace("PHONE", lead["phone"]), method).status_code == 200
    stack.start("consumer", "webhook")
    stack.wait_count(1, "follow_ups", f"status = '{status}' and '{why}' in (gate, reason)")
    stack.stays(lambda: stack.ledger()["total"] == 0, 2, "not dialed")
    if why == "paused":
        stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
        assert call(stack, path.replace("PHONE", lead["phone"]).replace("pause", "resume"), method).status_code == 200
        stack.wait_count(1, "redial_queue", "status = 'completed' and attempts = 2")
        stack.assert_rung([lead["phone"]])
        assert [row["to_state"] for row in stack.rows(
            "select to_state from carillon.transitions where entity = 'redial' order by id")] == ["paused", "pending", "completed"]
    if why == "lane":
        assert call(stack, "/enable", "POST").status_code == 200
        stack.db.execute("update carillon.follow_ups set next_look_at = now()")
        stack.wait_count(1, "calls")


def test_who_may_never_be_dialed_ends_the_record(stack):
    stack.start()
    lead = redials(stack)
    stack.insert("suppressions", phone=lead["phone"])
    due(stack)
    stack.wait_count(1, "redial_queue", "status = 'completed' and next_redial_timestamp is null")
    assert stack.value("select reason from carillon.transitions where entity = 'redial'") == "suppressed"
    assert stack.ledger()["total"] == 0


def test_retention(stack):
    stack.start("producer", SWEEP_INTERVAL_S="3600")
    for lead_id, status, days in (("old", "completed", 31), ("limit", "max_attempts", 40), ("young", "completed", 29),
                                  ("open", "paused", 90)):
        record(stack, lead_id, "+12125550101", status)
        stack.db.execute("update carillon.redial_queue set updated_at = now() - %s * interval '1 day' where lead_id = %s",
                         (days, lead_id))
    answer = call(stack, "/cleanup", "POST").json()
    assert (answer["removed"], answer["closed"]) == (2, 1)
    assert [row["lead_id"] for row in stack.rows("select lead_id from carillon.redial_queue order by lead_id")] == ["open", "young"]
    assert stack.value("select status from carillon.redial_queue where lead_id = 'open'") == "completed"
    # And by itself.
    stack.db.execute("update carillon.redial_queue set updated_at = now() - interval '31 days' where lead_id = 'open'")
    stack.producer.restart(SWEEP_INTERVAL_S="1")
    stack.wait_count(0, "redial_queue", "lead_id = 'open'")
    assert stack.count("redial_queue") == 1


def test_success_outcomes_never_undo_a_stop(stack):
    stack.start("producer")
    for words in (["SALE", "DO_NOT_CALL", "NOT_INTERESTED", "CALLBACK", "BOOKED"], ["SALE"]):
        answer = call(stack, "/config", "PUT", json={"success_outcomes": words})
        assert answer.json()["config"]["success_outcomes"] == sorted({*words} & {"SALE", "BOOKED"})
        assert answer.json()["config"] == call(stack, "/config").json()["config"]
    assert {row["outcome"]: row["action"] for row in stack.rows("select outcome, action from carillon.outcome_rules")} == {
        "SALE": "success", "CALLBACK": "callback", "DO_NOT_CALL": "suppress", "NOT_INTERESTED": "stop"}


def test_switches(stack):
    stack.start("producer")
    call(stack, "/stop", "POST")
    # Enabled already: a processor that was stopped stays so.
    assert call(stack, "/config", "PUT", json={"enabled": True}).json()["config"]["running"] is False
    call(stack, "/disable", "POST")
    assert call(stack, "/config", "PUT", content='{"max_attempts": 6.0}').json()["config"]["max_attempts"] == 6
    assert call(stack, "/status").json()["status"]["max_attempts"] == 6
    assert call(stack, "/config", "PUT", json={"running": True}).status_code == 409
    assert call(stack, "/config", "PUT", json={"enabled": True}).json()["config"]["running"] is True


def test_a_lower_limit_ends_those_above_it(stack):
    stack.start("producer")
    record(stack, "1", "(212) 555-0101")  # two attempts
    record(stack, "2", "+12125550102", "rescheduled")
    call(stack, "/config", "PUT", json={"max_attempts": 2})
    assert {row["lead_id"]: row["status"] for row in stack.rows("select lead_id, status from carillon.redial_queue")} == {
        "1": "max_attempts", "2": "rescheduled"}
    # As stored without the country code, asked for with it.
    assert call(stack, "/lead/1/pause?phone=+12125550101", "POST").status_code == 409


def test_hostile_values(stack):
    stack.start("producer")
    for body in (b'{"retention_days": 1e-20000}', b'{"retention_days": 1.' + b"0" * 20000 + b"}", b'{"max_attempts": 99999999999999}'):
        assert call(stack, "/config", "PUT", content=body).status_code == 422
    for method, path in (("GET", "/records?status=%FF"), ("POST", "/lead/%FF/pause?phone=1"), ("DELETE", "/lead/1?phone=%FF")):
        assert call(stack, path, method).status_code in (400, 404, 422), path


def test_a_removed_record_stays_removed(stack):
    stack.start()
    stack.sim.script([{"action": {"outcome": "NO_ANSWER", "call_ms": 1500}}])
    lead = redials(stack)
    due(stack)
    stack.wait_count(1, "calls", "status in ('calling', 'ringing', 'in_progress')")
    assert call(stack, f"/lead/L-1?phone={lead['phone']}", "DELETE").status_code == 200
    stack.wait_count(1, "calls", "outcome = 'NO_ANSWER'")
    stack.wait_count(0, "call_events", "state = 'parked'")
    stack.stays(lambda: stack.count("redial_queue") == 0, 1, "not brought back by the end of its call")


def test_a_pause_and_a_claim_lock_in_one_order(stack):
    stack.start("producer")
    lead = redials(stack)
    due(stack)
    stack.wait_count(1, "follow_ups", "status = 'queued'")
    with psycopg.connect(stack.database_url()) as claim, ThreadPoolExecutor() as pool:
        claim.execute("select from carillon.follow_ups for update")
        answer = pool.submit(call, stack, f"/lead/L-1/pause?phone={lead['phone']}", "POST")
        stack.wait_until(lambda: stack.value("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == 1)
        claim.execute("update carillon.follow_ups set status = 'skipped', reason = 'suppressed'")
        claim.commit()
        assert answer.result().status_code == 409 and "completed" in answer.result().json()["error"]
    assert stack.count("redial_queue", "status = 'completed'") == 1
