# SPDX-License-Identifier: Apache-2.0
"""POST /api/admin/redial-queue/import: the redial guide's monthly files. Every bad record is told, the good ones come in, once."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from lib.stack import SECRETS

KEY = SECRETS["ADMIN_API_KEY"]
PATH = "/api/admin/redial-queue"
DAY_MS = 86400_000
NOW_MS = int(time.time() * 1000)
ERASED = object()


def record(lead_id, phone, **more):
    """As the guide's file has one, a day old; a field that is ERASED is left out."""
    made = {
        "lead_id": lead_id, "phone_number": phone, "list_id": "456", "first_name": "John", "last_name": "Doe", "state": "FL",
        "attempts": 2, "last_call_timestamp": NOW_MS - DAY_MS, "next_redial_timestamp": NOW_MS + DAY_MS,
        "scheduled_callback_time": None, "outcomes": ["VOICEMAIL", "NO_ANSWER"], "last_outcome": "NO_ANSWER",
        "last_call_id": "abc123", "created_at": NOW_MS - 2 * DAY_MS, "updated_at": NOW_MS - DAY_MS, "status": "pending"} | more
    return {name: value for name, value in made.items() if value is not ERASED}


def file_of(*records):
    return {f"{one['lead_id']}_{one['phone_number'].lstrip('+1')}": one for one in records}


def post(stack, file, **more):
    content = file if isinstance(file, bytes) else json.dumps(file).encode()
    return stack.producer.http.post(f"{PATH}/import", headers={"X-API-Key": KEY}, content=content, timeout=120, **more)


def counts(answer):
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["success"] and told["records"] == sum(told[name] for name in ("created", "updated", "unchanged", "expired", "rejected"))
    return {name: told[name] for name in ("created", "updated", "unchanged", "expired", "rejected") if told[name]}


def queue(stack):
    return {row["lead_id"]: row for row in stack.rows("select * from carillon.redial_queue order by id")}


def test_a_file_comes_in_once(stack):
    stack.start("producer")
    given = record("123456", "+12125550101")
    file = file_of(given, record("2", "(212) 555-0102", status="completed"),
                   record("3", "12125550103", status="paused", list_id=77, outcomes=None, last_call_id=None),
                   record("4", "+12125550104", status="rescheduled", next_redial_timestamp=None, scheduled_callback_time=NOW_MS + DAY_MS),
                   record("5", "+12125550105", attempts=4), record("6", "+12125550106", is_ready=True, minutes_until_next_redial=5))
    assert counts(post(stack, file)) == {"created": 6}
    rows = stack.rows("select * from carillon.redial_queue order by id")
    assert counts(post(stack, file)) == {"unchanged": 6}
    assert stack.rows("select * from carillon.redial_queue order by id") == rows

    shown = {one["lead_id"]: one for one in stack.producer.http.get(f"{PATH}/records", headers={"X-API-Key": KEY}).json()["records"]}
    assert given.items() <= shown["123456"].items()
    assert {lead_id: (one["status"], one["phone_number"]) for lead_id, one in shown.items()} == {
        "123456": ("pending", "+12125550101"), "2": ("completed", "+12125550102"), "3": ("paused", "+12125550103"),
        "4": ("rescheduled", "+12125550104"), "5": ("max_attempts", "+12125550105"), "6": ("pending", "+12125550106")}
    assert shown["2"]["next_redial_timestamp"] is None and shown["3"]["list_id"] == "77" and shown["3"]["outcomes"] == []
    assert shown["4"]["next_redial_timestamp"] == NOW_MS + DAY_MS
    # Their leads are the queue's alone: no first call is made of them.
    assert stack.count("leads", "not auto_follow_up and stage = 'new'") == stack.count("leads") == 6
    assert stack.count("redial_queue q join carillon.leads l on l.id = q.lead_ref",
                       "l.external_id = q.lead_id and l.phone_e164 = q.phone_number") == 6
    assert stack.count("transitions", "entity = 'redial' and from_state is null and reason = 'import' and actor = 'operator'") == 6
    stack.stays(lambda: stack.count("follow_ups") == 0, 1, "not due")


BAD = [
    ({"lead_id": ERASED}, "lead_id"), ({"lead_id": ""}, "lead_id"), ({"lead_id": {"a": 1}}, "lead_id"), ({"lead_id": "x" * 101}, "lead_id"),
    ({"phone_number": "555"}, "phone_number"), ({"phone_number": None}, "phone_number"), ({"attempts": -1}, "attempts"),
    ({"attempts": "2"}, "attempts"), ({"attempts": 1e300}, "attempts"), ({"attempts": 2.5}, "attempts"),
    ({"last_call_timestamp": 1703280000}, "last_call_timestamp"), ({"last_call_timestamp": "2024-12-22"}, "last_call_timestamp"),
    ({"updated_at": ERASED}, "updated_at"), ({"created_at": 10 ** 30}, "created_at"), ({"status": "done"}, "status"),
    ({"status": ERASED}, "status"), ({"status": "PENDING"}, "status"), ({"outcomes": "SALE"}, "outcomes"), ({"outcomes": ["SALE", 5]}, "outcomes"),
    ({"outcomes": ["x\x00"]}, "outcomes"), ({"first_name": True}, "first_name"), ({"first_name": "Jo\x00hn"}, "first_name"),
    ({"last_name": "\ud800"}, "last_name"), ({"last_name": "\udc00\ud800"}, "last_name"), ({"state": "x" * 201}, "state"),
    ({"next_redial_timestamp": None}, "next_redial_timestamp"),
    ({"status": "rescheduled", "next_redial_timestamp": ERASED}, "next_redial_timestamp"),
]


def test_every_bad_record_is_told_and_loses_no_good_one(stack):
    stack.start("producer")
    file = {f"bad {n}": record(f"bad {n}", "+12125550101") | change for n, (change, _) in enumerate(BAD)}
    file = {key: {name: value for name, value in one.items() if value is not ERASED} for key, one in file.items()}
    file |= {"no record": 5, "none": None, "list": [], "two faults": record("x", "12", status=7)}
    good = [record(f"good {n}", f"+121255502{n:02d}", first_name=name) for n, name in enumerate(
        ("José", "\U0001F600 \U0001F601", "back\\slash \\u0000 \\ud800", "\\", "\"", ""))]
    for escaped in (True, False):
        text = json.dumps(file | file_of(*good), ensure_ascii=escaped).encode(errors="surrogatepass")
        if not escaped:  # half a pair can only be an escape
            text = text.replace(b"\xed\xa0\x80", rb"\ud800").replace(b"\xed\xb0\x80", rb"\udc00")
        answer = post(stack, text)
        assert counts(answer) == {"rejected": len(BAD) + 4, "created" if escaped else "unchanged": len(good)}
        errors = answer.json()["errors"]
        for n, (_, field) in enumerate(BAD):
            assert [one["field"] for one in errors if one["key"] == f"bad {n}"] == [field], (n, errors)
        assert [one["field"] for one in errors if one["key"] == "two faults"] == ["phone_number", "status"]
        assert [one["field"] for one in errors if one["key"] in ("no record", "none", "list")] == [None] * 3
        assert all(one["detail"] for one in errors)
    assert {one["lead_id"]: one["first_name"] for one in queue(stack).values()} == {one["lead_id"]: one["first_name"] for one in good}


NO_FILES = [
    (b"", "not JSON"), (b"{", "not JSON"), (b'{\n"1_2": {},\n}', "line 3"), (b"[]", "not a JSON object"), (b'"text"', "not a JSON object"),
    (b"null", "not a JSON object"), (b"\xff", "UTF-8"), (b"{}\0", "NUL"), (b"[" * 200000, "not JSON"),
    (b'{"a": ' * 200000, "not JSON"), (b'{"a": ' * 200000 + b"1" + b"}" * 200000, "not JSON"),
]


def test_what_is_no_file(stack):
    stack.start("producer")
    for text, problem in NO_FILES:
        answer = post(stack, text)
        assert answer.status_code == 422 and answer.json()["success"] is False and problem in answer.json()["error"], answer.text
    assert counts(post(stack, {})) == {}


def test_the_newest_of_several_files_counts(stack):
    stack.start("producer")
    november = file_of(record("1", "+12125550101", attempts=1, updated_at=NOW_MS - 9 * DAY_MS),
                       record("2", "+12125550102", status="completed", updated_at=NOW_MS - 9 * DAY_MS),
                       record("3", "+12125550103", updated_at=NOW_MS - 31 * DAY_MS))
    december = file_of(record("1", "+12125550101", attempts=3, updated_at=NOW_MS - 2 * DAY_MS),
                       record("2", "+12125550102", attempts=1, updated_at=NOW_MS - 2 * DAY_MS))
    assert counts(post(stack, november)) == {"created": 2, "expired": 1}
    assert counts(post(stack, december)) == {"updated": 2}
    assert counts(post(stack, november)) == {"unchanged": 2, "expired": 1}
    found = {lead_id: (row["status"], row["attempts"]) for lead_id, row in queue(stack).items()}
    assert found == {"1": ("pending", 3), "2": ("pending", 1)}
    # The other way round, and in one file, it is the same.
    stack.db.execute("delete from carillon.redial_queue")
    stack.db.execute("delete from carillon.redial_removed")
    assert counts(post(stack, december)) == {"created": 2}
    assert counts(post(stack, november)) == {"unchanged": 2, "expired": 1}
    stack.db.execute("delete from carillon.redial_queue")
    stack.db.execute("delete from carillon.redial_removed")
    twice = {f"a{key}": one for key, one in december.items()} | november
    assert counts(post(stack, twice)) == {"created": 2, "unchanged": 2, "expired": 1}
    assert {lead_id: (row["status"], row["attempts"]) for lead_id, row in queue(stack).items()} == found


def test_what_moved_on_is_not_turned_back(stack):
    """By a call, by people, by a follow-up that is under way; even where the file is newer than that."""
    stack.start()
    stack.db.execute("update carillon.lanes set window_start = null, window_end = null where name = 'redial'")
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 50}}])
    phones = [stack.phone() for _ in range(4)]
    file = file_of(record("dialed", phones[0], next_redial_timestamp=NOW_MS - DAY_MS), record("paused", phones[1]),
                   record("removed", phones[2]), record("seeded", phones[3]))
    assert counts(post(stack, file)) == {"created": 4}
    for method, lead_id, phone in (("POST", "paused/pause", phones[1]), ("DELETE", "removed", phones[2])):
        assert stack.producer.http.request(method, f"{PATH}/lead/{lead_id}?phone={phone}", headers={"X-API-Key": KEY}).status_code == 200
    stack.wait_count(1, "redial_queue", "lead_id = 'dialed' and status = 'completed' and attempts = 3")
    stack.db.execute("update carillon.redial_queue set seeded_for = next_redial_timestamp where lead_id = 'seeded'")
    before = queue(stack)
    assert counts(post(stack, file)) == {"unchanged": 4}
    for one in file.values():
        one |= {"updated_at": NOW_MS - DAY_MS + 60_000, "attempts": 0}
    assert counts(post(stack, file)) == {"unchanged": 4}
    assert queue(stack) == before and stack.ledger()["total"] == 1
    # Used again after it was removed, by whoever wrote the file.
    file[f"removed_{phones[2].lstrip('+1')}"]["updated_at"] = int(time.time() * 1000) + 60_000
    assert counts(post(stack, file)) == {"created": 1, "unchanged": 3}


def test_leads_that_are_there(stack):
    stack.start("producer")
    known = stack.lead(external_id="known", phone="+12125550101", auto_follow_up=False, first_name="Jane")
    stack.lead(external_id="moved", phone="+12125550102", auto_follow_up=False)
    answer = post(stack, file_of(record("known", "+12125550101"), record("moved", "+12125550103"),
                                 record("two", "+12125550104", updated_at=NOW_MS - DAY_MS + 1), record("two", "+12125550105")))
    assert counts(answer) == {"created": 2, "rejected": 2}
    assert sorted((one["key"], one["field"]) for one in answer.json()["errors"]) == [
        ("moved_2125550103", "phone_number"), ("two_2125550105", "phone_number")]
    assert queue(stack)["known"]["lead_ref"] == known["id"] and stack.count("leads") == 3
    assert stack.value("select first_name from carillon.leads where id = %s", known["id"]) == "Jane"


def test_imports_at_once(stack):
    stack.start("producer")
    stack.start("producer")
    file = file_of(*(record(str(n), f"+1{2010000000 + n}") for n in range(2000)))
    producers = [process for process in stack.processes if process.kind == "producer"]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda process: process.http.post(f"{PATH}/import", headers={"X-API-Key": KEY}, json=file, timeout=60),
                                producers * 2))
    assert sum(answer.json()["created"] for answer in answers) == 2000 == stack.count("redial_queue") == stack.count("leads")
    assert stack.count("redial_queue", "lead_ref is null") == 0


def test_a_large_file(stack):
    """As large as one may be; other requests don't wait for it. A larger one, or one without the key, is refused before it is read."""
    stack.start("producer")
    file = {str(n): record(str(n), f"+1{2010000000 + n}") for n in range(75000)}
    for one in list(file.values())[3000:]:
        one["updated_at"] -= 60 * DAY_MS
    content = json.dumps(file).encode()
    assert 30 << 20 < len(content) < 32 << 20, len(content)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, stack, content)
        waited = []
        while not answer.done():
            waited.append(stack.producer.http.get(f"{PATH}/config", headers={"X-API-Key": KEY}).elapsed.total_seconds())
            time.sleep(0.05)
    assert counts(answer.result()) == {"created": 3000, "expired": 72000}
    assert len(waited) > 5 and max(waited) < 1.5, waited
    for head, status in ((f"X-API-Key: {KEY}\r\nContent-Length: {(32 << 20) + 1}", b"413"), (f"Content-Length: {32 << 20}", b"401")):
        with socket.create_connection(("127.0.0.1", stack.producer.port), timeout=10) as connection:
            connection.sendall(f"POST {PATH}/import HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 " + status) and b"Connection: close" in answer
