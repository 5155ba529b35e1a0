# SPDX-License-Identifier: Apache-2.0
"""Contacts of a campaign from files: large ones in little memory, faulty rows apart from the good, clients and producers that go."""

import csv
import io
import itertools
import json
import os
import socket
import threading
import time

import pytest
from lib.stack import BIN, FULL, SECRETS

KEY = SECRETS["ADMIN_API_KEY"]
CSV = {"Content-Type": "text/csv"}


def call(stack, method, path, **more):
    headers = {"X-API-Key": KEY} | more.pop("headers", {})
    http = more.pop("process", stack.producer).http
    return http.request(method, f"/api/campaigns{path}", headers=headers, timeout=more.pop("timeout", 120), **more)


def campaign(stack, name="Campaign", **settings):
    """One that stands still, so that nobody is called."""
    answer = call(stack, "POST", "", json={"name": name, "account": "vapi", "useLeadWindow": False, "isActive": False} | settings)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def upload(stack, the_campaign, content, query="", headers=CSV, **more):
    answer = call(stack, "POST", f"/{the_campaign}/contacts{query}", content=content, headers=headers, **more)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def finished(stack, the_campaign, the_upload, seconds=120, **more):
    path = f"/{the_campaign}/uploads/{the_upload}"
    return stack.wait_until(lambda: (u := call(stack, "GET", path, **more).json())["state"] not in ("receiving", "applying") and u,
                            seconds, "the upload's end", every=0.3)


def rejected_rows(stack, answer):
    read = stack.producer.http.get(answer["rejectedUrl"], headers={"X-API-Key": KEY}, timeout=60)
    assert read.status_code == 200 and read.headers["content-type"].startswith("text/csv"), read.text
    return list(csv.reader(io.StringIO(read.text, newline="")))


def counts(answer):
    return tuple(answer[key] for key in ("created", "updated", "duplicates", "rejected"))


def test_every_kind_of_row(stack):
    stack.start("producer")
    its = campaign(stack)
    phones = [stack.phone() for _ in range(12)]
    rows = [
        ("First Name;LAST-NAME;Phone  Number;Address;Time Zone;State;External ID;Favourite colour", None),
        (f"Ann;Lee;{phones[0]};1 Main Street;America/Chicago;IL;x1;green", None),
        (f'Bob;"O""Neil; jr.";{phones[1]};"2 Main Street\r\nBack door";;;;', None),
        ("Cleo;;;3 Main Street;;;;", ("phone", "missing")),
        ("Dan;;1.5551E+10;;;;;", ("phone", "as text")),
        (f"Eve;;{phones[2]};;Mars/Base;;;", ("time_zone", "time zone")),
        (f"Fay;;{phones[3]};;", ("", "5 cells, but the header has 8")),
        (f"Gus;;{phones[4]};;;;;;more;cells", ("", "10 cells, but the header has 8")),
        (f"Hal\x00;;{phones[5]};;;;;", ("", "NUL")),
        (f"{'I' * 201};;{phones[6]};;;;;", ("first_name", "200 characters")),
        (f"=cmd();;911;;;;;", ("phone", "no number")),
        (f"Jim;\xff;{phones[7]};;;;;", ("last_name", "UTF-8")),
        (f'Kim;"not closed;{phones[8]};;;;;', ("", "quote")),
        ("", None),
        (f"Lea;;{phones[0]};;;;;", None),  # the same number again
        (f"Mia;;{phones[2]};;;;;;;", None),  # the number of a row that was rejected; empty cells at the end say nothing
    ]
    body = b"\xef\xbb\xbf" + "\r\n".join(text for text, _ in rows).encode("latin-1") + b"\r\n"
    wrong = {n: why for n, (_, why) in enumerate(rows, 1) if why}
    preview = upload(stack, its, body, "?preview=true")
    assert (counts(preview), preview["preview"], preview["state"]) == ((3, 0, 1, len(wrong)), True, "done")
    assert stack.count("leads") == stack.count("campaign_contacts") == 0
    answer = upload(stack, its, body)
    assert counts(answer) == (3, 0, 1, len(wrong)) and answer["rejectedRows"] == preview["rejectedRows"]
    for row in answer["rejectedRows"]:
        column, reason = wrong[row["row"]]
        assert (row["column"] or "") == column and reason in row["reason"], row
    assert phones[2] not in json.dumps(answer)
    assert stack.rows("select first_name, last_name, phone_e164, time_zone, state, external_id, raw_payload -> 'variables' v from leads order by id") == [
        {"first_name": "Ann", "last_name": "Lee", "phone_e164": phones[0], "time_zone": "America/Chicago", "state": "IL", "external_id": "x1",
         "v": {"address": "1 Main Street", "Favourite colour": "green"}},
        {"first_name": "Bob", "last_name": 'O"Neil; jr.', "phone_e164": phones[1], "time_zone": None, "state": None, "external_id": None,
         "v": {"address": "2 Main Street\r\nBack door"}},
        {"first_name": "Mia", "last_name": None, "phone_e164": phones[2], "time_zone": None, "state": None, "external_id": None, "v": None}]
    header, *kept = rejected_rows(stack, answer)
    assert header == ["Rejected row", "Rejected because", *rows[0][0].split(";")]
    assert [int(row[0]) for row in kept] == sorted(wrong)
    formula = next(row for row in kept if row[0] == "11")
    assert formula[1] == "phone: no number that can be called, such as +12125550101" and formula[2] == "'=cmd()"
    # Mended and sent again: the reasons are no variables, the apostrophe is none of the value.
    mended = io.StringIO(newline="")
    writer = csv.writer(mended)
    writer.writerow(header)
    writer.writerow([*formula[:4], "'" + stack.phone(), *formula[5:]])
    assert counts(upload(stack, its, mended.getvalue())) == (1, 0, 0, 0)
    assert stack.value("select count(*) from leads where raw_payload -> 'variables' ? 'Rejected because'") == 0
    # What a second file says of the same people changes them.
    changed = f"phone,name,Favourite colour\n{phones[0]},Ann Lee,red\n{phones[1]},,\n"
    assert counts(upload(stack, its, changed)) == (0, 1, 1, 0)
    assert stack.value("select raw_payload -> 'variables' from leads where phone_e164 = %s", phones[0]) == {
        "address": "1 Main Street", "Favourite colour": "red"}


def test_forms_and_other_bodies(stack):
    stack.start("producer")
    its = campaign(stack)
    text = "Phone\n" + "".join(f"{stack.phone()}\n" for _ in range(5000))
    form = {"file": ("list.csv", text, "application/vnd.ms-excel")}
    answer = call(stack, "POST", f"/{its}/contacts", data={"note": "x" * 100000}, files=form).json()
    assert counts(answer) == (5000, 0, 0, 0)
    answer = call(stack, "POST", f"/{its}/contacts", json=[{"phone": stack.phone(), "first_name": "Nia"}, 5, {"phone": "no"}]).json()
    assert counts(answer) == (1, 0, 0, 2)
    assert [len(row) for row in rejected_rows(stack, answer)] == [3, 3, 3]
    two = [("a", ("a.csv", "Phone\n1\n", "text/csv")), ("b", ("b.csv", "Phone\n1\n", "text/csv"))]
    for status, what, more in (
            (422, "one at a time", {"files": two}), (422, "no file", {"files": {"note": (None, "x")}}),
            (422, "two columns of the header mean A; the first row names the columns; none of them is phone", {"content": "Name,A,A\nAnn,1,2\n", "headers": CSV}),
            (422, "UTF-16", {"content": "Phone\n1\n".encode("utf-16"), "headers": CSV}),
            (422, "workbook", {"content": b"PK\x03\x04" + bytes(5000), "headers": CSV}),
            (422, "empty", {"content": "", "headers": CSV}), (422, "empty", {"content": "\r\n", "headers": CSV}),
            (415, "text/csv", {"content": "x", "headers": {"Content-Type": "image/png"}}),
            (400, "", {"content": "{", "headers": {"Content-Type": "application/json"}}),
            (413, "", {"content": b"[" + b" " * (17 << 20), "headers": {"Content-Type": "application/json"}})):
        answer = call(stack, "POST", f"/{its}/contacts", **more)
        assert answer.status_code == status and what in answer.text, (what, answer.text)
    assert call(stack, "POST", "/999/contacts", content=text, headers=CSV).status_code == 404
    assert call(stack, "POST", f"/{its}/contacts?preview=maybe", content=text, headers=CSV).status_code == 422
    assert call(stack, "POST", f"/{its}/contacts?prevew=true", content=text, headers=CSV).status_code == 422
    assert call(stack, "GET", f"/{its}/uploads/999").status_code == 404
    assert call(stack, "GET", f"/{its}/uploads/999/rejected").status_code == 404
    assert stack.count("leads") == 5001


# ---- Large ones ---------------------------------------------------------------------------------------------------------

# Each makes a row that can't be used of a number.
FAULTS = [
    lambda p: "Cleo;Lee;;1 Main Street;", lambda p: "Dan;Lee;1.5551E+10;1 Main Street;", lambda p: f"Eve;Lee;{p};1 Main Street;Mars/Base",
    lambda p: f"Fay;Lee;{p}", lambda p: f"Gus;Lee;{p};1 Main Street;;more", lambda p: f"Hal;L\0ee;{p};1 Main Street;",
    lambda p: f"{'I' * 201};Lee;{p};1 Main Street;", lambda p: "Jim;Lee;911;1 Main Street;", lambda p: f"Kim;L\xff;{p};1 Main Street;",
    lambda p: f'Lou;"Lee;{p};1 Main Street;',
]


def numbers():
    """Of the exchange 555, each once; more than there are of those for fiction, and never dialed."""
    for line, area in itertools.product(range(10000), range(200, 999)):
        if area % 100 != 11 and area != 900:
            yield f"+1{area}555{line:04d}"


def large_file(rows, faulty):
    """The file, and the rows that can't be used."""
    every, phones, bad = rows // faulty, numbers(), []
    lines = ["First name;Last name;Phone;Address;Time zone"]
    for n in range(rows):
        phone = next(phones)
        if n % every == 5:
            bad.append(n + 2)
            lines.append(FAULTS[len(bad) % len(FAULTS)](phone))
        else:
            lines.append(f'Ann;"Lee ""{n}""";{phone};{n} Main Street;America/Chicago')
    return "\r\n".join(lines).encode("latin-1"), bad


def memory_mb(process, what):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what)) / 1024


def processor_seconds(pids):
    """Of their time on a processor, to the nanosecond: sampled by the clock's tick it is off by half when others run too."""
    spent = 0
    for pid in pids:
        with open(f"/proc/{pid}/schedstat") as stat:
            spent += int(stat.read().split()[0])
    return spent / 1e9


@pytest.mark.timeout(600)
def test_a_large_file(stack):
    """200,000 rows, 3,000 of them faulty, within a minute and in little memory; in the usual run a quarter of both.

    The minute is one of processor time: receiving and applying are done by one process and its session one after the other, and
    other tests run beside this. A sanitized build has two. Of the memory what the process had before is left out, which is mostly the sanitizers'.
    """
    rows = int(os.environ.get("CARILLON_UPLOAD_ROWS", 200_000 if FULL else 50_000))
    stack.start("producer")
    its = campaign(stack)
    upload(stack, its, "phone\n" + "".join(f"{stack.phone()}\n" for _ in range(2000)), "?preview=true")
    body, bad = large_file(rows, rows * 3 // 200)
    workers = [stack.producer.pid, *[row["pid"] for row in stack.rows(
        "select pid from pg_stat_activity where datname = current_database() and application_name like %s", "%-uploads")]]
    assert len(workers) == 2
    before, began, spent = memory_mb(stack.producer, "VmRSS"), time.monotonic(), processor_seconds(workers)
    answer = upload(stack, its, body, timeout=300)
    received = time.monotonic() - began
    answer = finished(stack, its, answer["upload"], 300)
    took, most, spent = time.monotonic() - began, memory_mb(stack.producer, "VmHWM"), processor_seconds(workers) - spent
    print(f"{rows} rows in {took:.1f} s, answered after {received:.1f} s, {spent:.1f} s of processor time;"
          f" {before:.0f} MB before, {most:.0f} MB at most")
    assert (answer["state"], answer["rows"], *counts(answer)) == ("done", rows, rows - len(bad), 0, 0, len(bad))
    assert most - before < 60 and spent < (120 if BIN.name == "asan" else 60) * max(1, rows / 200_000)
    assert stack.count("leads") == stack.count("campaign_contacts") == rows - len(bad)
    assert len(answer["rejectedRows"]) == 100
    kept = rejected_rows(stack, answer)
    assert [int(row[0]) for row in kept[1:]] == bad
    original = body.split(b"\r\n")
    assert all(row[2] in original[int(row[0]) - 1].decode("latin-1").replace("\xff", "\ufffd") for row in kept[1:])
    stack.wait_count(len(bad), "upload_rows", timeout=300)  # what was staged goes


# ---- Who goes away ------------------------------------------------------------------------------------------------------


def send_head(stack, the_campaign, length, key=KEY):
    """A connection on which a request's header was sent, and nothing of its body."""
    connection = socket.create_connection(("127.0.0.1", int(stack.producer.address.rsplit(":", 1)[1])), timeout=60)
    connection.sendall(f"POST /api/campaigns/{the_campaign}/contacts HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
                       f"X-API-Key: {key}\r\nContent-Length: {length}\r\n\r\n".encode())
    return connection


def test_a_client_that_goes_away_has_changed_nothing(stack):
    stack.start("producer", SWEEP_INTERVAL_S=1)
    its = campaign(stack)
    body, bad = large_file(20_000, 300)
    good = 20_000 - len(bad)
    with send_head(stack, its, len(body)) as connection:
        connection.sendall(body[: len(body) // 2])
        stack.wait_until(lambda: (stack.value("select rows from uploads") or 0) > 5000, 30, "some rows")
    stack.wait_count(1, "uploads", "state = 'abandoned' and tidied", timeout=60)
    assert stack.count("upload_rows") == stack.count("leads") == stack.count("campaign_contacts") == 0
    with send_head(stack, its, len(body)) as connection:  # whole, and then away before the answer
        connection.sendall(body)
        stack.wait_until(lambda: stack.value("select count(*) from uploads where state in ('applying', 'done')") == 1, 60, "all rows")
    assert counts(finished(stack, its, 2)) == (good, 0, 0, len(bad))
    assert stack.count("campaign_contacts") == good


def test_who_has_no_key_or_drips(stack):
    stack.start("producer")
    its = campaign(stack)
    with send_head(stack, its, 100 << 20, key="wrong") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")
    with send_head(stack, its, 600 << 20) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")
    assert stack.count("uploads") == 0
    began = time.monotonic()
    with send_head(stack, its, 100 << 20) as connection:
        connection.settimeout(0.5)
        answer = b""
        while not answer and time.monotonic() - began < 60:
            try:
                connection.sendall(b"phone\n")
                answer = connection.recv(100)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert 25 < time.monotonic() - began < 45
    stack.wait_count(1, "uploads", "state = 'abandoned'")


def test_two_files_with_the_same_people_at_once(stack):
    stack.start("producer", "producer")
    its = campaign(stack)
    body, bad = large_file(20_000, 300)
    answers = []
    threads = [threading.Thread(target=lambda p=p: answers.append(upload(stack, its, body, process=p))) for p in stack.processes[-2:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ends = [finished(stack, its, answer["upload"]) for answer in answers]
    assert sum(end["created"] for end in ends) == stack.count("leads") == stack.count("campaign_contacts") == 20_000 - len(bad)
    assert sum(end["duplicates"] for end in ends) == 20_000 - len(bad) and [end["rejected"] for end in ends] == [len(bad)] * 2


def test_what_others_note_in_a_lead_meanwhile_stays(stack):
    stack.start("producer")
    its, lead, answers = campaign(stack), stack.lead(auto_follow_up=False), []
    thread = threading.Thread(target=lambda: answers.append(
        upload(stack, its, json.dumps([{"phone": lead["phone"], "variables": {"a": "1"}}]), headers={"Content-Type": "application/json"})))
    with stack.db.transaction():   # as a result is applied
        stack.db.execute("update carillon.leads set raw_payload = raw_payload || '{\"dispatch\": {\"status\": \"completed\"}}' where id = %s", (lead["id"],))
        thread.start()
        stack.wait_until(lambda: stack.value("select count(*) from pg_locks where not granted") > 0, 20, "the batch waits for it")
    thread.join()
    assert counts(answers[0]) == (1, 0, 0, 0)   # no contact yet
    assert stack.value("select raw_payload from carillon.leads") == {"dispatch": {"status": "completed"}, "variables": {"a": "1"}}


def test_a_lead_that_others_make_meanwhile_is_no_obstacle(stack):
    stack.start("producer")
    its, answers = campaign(stack), []
    body = json.dumps([{"phone": stack.phone(), "external_id": "x9"}])
    thread = threading.Thread(target=lambda: answers.append(upload(stack, its, body, headers={"Content-Type": "application/json"})))
    with stack.db.transaction():
        stack.db.execute("insert into carillon.leads (phone, external_id, auto_follow_up) values (%s, 'x9', false)", (stack.phone(),))
        thread.start()
        stack.wait_until(lambda: stack.value("select count(*) from pg_locks where not granted") > 0, 20, "the batch waits for it")
    thread.join()
    assert answers[0]["state"] == "done" and counts(answers[0]) == (1, 0, 0, 0), "at once, not when it is taken over"
    assert stack.rows("select external_id from leads order by id") == [{"external_id": "x9"}, {"external_id": None}]


def test_another_producer_goes_on_where_one_was_killed(stack):
    stack.start("producer", "producer", SWEEP_INTERVAL_S=1)
    first, second = stack.processes[-2:]
    its = campaign(stack)
    body, bad = large_file(40_000, 300)
    with send_head(stack, its, len(body)) as connection:
        connection.sendall(body)
        stack.wait_until(lambda: 0 < (stack.value("select applied_to from uploads") or 0) < 30_000, 60, "some batches", every=0.01)
        first.kill()
    done = stack.value("select applied_to from uploads")
    assert 0 < done < 40_000
    end = finished(stack, its, 1, 120, process=second)
    assert (end["state"], *counts(end)) == ("done", 40_000 - len(bad), 0, 0, len(bad))
    assert stack.count("leads") == stack.count("campaign_contacts") == 40_000 - len(bad)
    assert second.wait_log("upload.taken_over")
