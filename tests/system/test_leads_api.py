# SPDX-License-Identifier: Apache-2.0
"""/api/leads: one and many, by JSON and CSV; what is wrong is told, and what was removed is not dialed."""

import json

import pytest

from lib.stack import SECRETS

KEY = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}
FIELDS = {"id", "tenant", "external_id", "first_name", "last_name", "phone", "phone_e164", "state", "list_id", "time_zone", "zones",
          "stage", "call_date", "auto_follow_up", "paused", "variables", "raw_payload", "created_at", "updated_at"}


def call(stack, method, path="", headers=None, **more):
    return stack.producer.http.request(method, f"/api/leads{path}", headers=KEY | (headers or {}), timeout=60, **more)


def bulk(stack, body, kind="text/csv"):
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return call(stack, "POST", "/bulk", {"Content-Type": kind}, content=content)


def api(stack):
    """The API alone: nothing is seeded or dialed."""
    stack.start("producer", PRODUCER_ROLES="api")


def fields(answer):
    return sorted(error["field"] for error in answer.json()["errors"])


# ---- One ------------------------------------------------------------------------------------------------------------


def test_a_lead_is_made_read_changed_and_removed(stack):
    api(stack)
    given = {"external_id": "L-1", "first_name": "Ann", "last_name": "Lee", "phone": "(212) 555-0101", "state": "NY", "list_id": 333.0,
             "time_zone": "America/New_York", "stage": "contacted", "call_date": "2026-03-01T10:00:00-05:00", "auto_follow_up": False,
             "paused": True, "variables": {"car": "Saab"}, "raw_payload": {"source": "fair"}}
    made = call(stack, "POST", json=given)
    assert made.status_code == 201, made.text
    lead = made.json()
    assert set(lead) == FIELDS
    assert lead | given | {"list_id": "333", "call_date": "2026-03-01T15:00:00.000Z", "raw_payload": lead["raw_payload"]} == lead
    assert (lead["phone_e164"], lead["zones"], lead["tenant"]) == ("+12125550101", ["America/New_York"], "default")
    assert lead["raw_payload"] == {"source": "fair", "variables": {"car": "Saab"}}

    read = call(stack, "GET", f"/{lead['id']}").json()
    assert read == lead | {"follow_ups": [], "last_call": None}
    changed = call(stack, "PATCH", f"/{lead['id']}", json={"phone": "+13105550102", "time_zone": None, "stage": "closed", "last_name": None,
                                                           "raw_payload": {"note": "x"}})
    assert changed.status_code == 200, changed.text
    assert changed.json()["phone_e164"] == "+13105550102" and changed.json()["zones"] == ["America/Los_Angeles"]
    assert changed.json()["raw_payload"] == {"source": "fair", "note": "x", "variables": {"car": "Saab"}}
    assert changed.json()["last_name"] is None and changed.json()["first_name"] == "Ann"
    assert {key: changed.json()[key] for key in FIELDS} == {key: call(stack, "GET", f"/{lead['id']}").json()[key] for key in FIELDS}
    assert stack.rows("select from_state, to_state, actor from transitions") == [
        {"from_state": "contacted", "to_state": "closed", "actor": "operator"}]

    gone = call(stack, "DELETE", f"/{lead['id']}")
    assert gone.status_code == 200 and gone.json() == {"id": lead["id"], "removed": True, "follow_ups": 0, "redial_records": 0}
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", "")):
        answer = call(stack, method, f"/{lead['id']}{path}", **({"json": {}} if method == "PATCH" else {}))
        assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"


def test_a_phone_that_cannot_be_dialed_is_kept_and_told(stack):
    api(stack)
    for phone in (None, "", "ask me", "12345"):
        lead = call(stack, "POST", json={"phone": phone}).json()
        assert (lead["phone"], lead["phone_e164"]) == (phone, None)
    # The least there can be.
    assert call(stack, "POST", json={}).json()["stage"] == "new"


def test_bad_input_names_every_problem(stack):
    api(stack)
    taken = call(stack, "POST", json={"external_id": "A"}).json()["id"]
    bad = {"id": 7, "first_name": 5, "phone": ["x"], "stage": "Closed!", "call_date": "yesterday", "paused": "yes", "auto_follow_up": None,
           "time_zone": "Mars/Base", "variables": [], "raw_payload": {"dispatch": {}}, "external_id": "", "list_id": 1.5, "state": "x" * 201}
    answer = call(stack, "POST", json=bad)
    assert answer.status_code == 422 and fields(answer) == sorted(bad)
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == 422
    other = call(stack, "POST", json={}).json()["id"]
    assert fields(call(stack, "PATCH", f"/{other}", json=bad)) == sorted(bad)
    assert call(stack, "GET", f"/{other}").json()["stage"] == "new"
    for method, path in (("POST", ""), ("PATCH", f"/{other}")):
        answer = call(stack, method, path, json={"external_id": "A"})
        assert answer.status_code == 409 and answer.json()["id"] == taken
    assert "spreadsheet" in call(stack, "POST", json={"phone": "1.5551E+10"}).json()["errors"][0]["detail"]
    for phone in ("1,5551E+10", "1E10", "1.2125550101e+10"):
        assert "spreadsheet" in call(stack, "POST", json={"phone": phone}).text
    for body, status in ((b"", 400), (b"{", 400), (b"\xff", 400), (b"[]", 422), (b'"x"', 400), (b'{"phone": "1", "phone": "2"}', 400),
                         (b'{"first_name": "a\\u0000b"}', 400), (b'{"first_name": "\xff"}', 400), (b'{"first_name": "\\ufffd"}', 422),
                         (b'{"list_id": 1' + b"0" * 5000 + b"}", 400), (b'{"list_id": 1e-20000}', 422), (b"[" * 60000, 400),
                         (b'{"variables": {"a": "' + b"x" * 20000 + b'"}}', 422)):
        assert call(stack, "POST", content=body).status_code == status, body[:40]
    assert call(stack, "POST", content=b'{"first_name": "' + b"x" * 70000 + b'"}').status_code == 413
    for unknown in ("x", "-1", "99999999999999999999", "1'", "%FF"):
        assert call(stack, "GET", f"/{unknown}").status_code in (400, 404)
    for key in ({}, {"X-API-Key": "wrong"}):
        for method, path in (("GET", ""), ("POST", ""), ("POST", "/bulk"), ("DELETE", "/1"), ("PATCH", "/1")):
            assert stack.producer.http.request(method, f"/api/leads{path}", headers=key).status_code == 401
    assert stack.count("leads") == 2


def test_filters_and_pages(stack):
    api(stack)
    for number in range(7):
        call(stack, "POST", json={"external_id": f"E{number}", "first_name": "Ann" if number % 2 else "Böb", "last_name": f"Lee{number}",
                                  "phone": f"+1212555010{number}", "stage": "closed" if number > 4 else "new", "list_id": str(number % 3),
                                  "state": "NY" if number < 2 else "CA", "paused": number == 3})

    def found(**query):
        answer = call(stack, "GET", params=query)
        assert answer.status_code == 200, answer.text
        return [int(lead["external_id"][1:]) for lead in answer.json()["leads"]]

    assert found() == [*range(7)]
    for query, wanted in (({"stage": "closed"}, [5, 6]), ({"list_id": "0"}, [0, 3, 6]), ({"state": "NY"}, [0, 1]), ({"paused": "true"}, [3]),
                          ({"paused": "false", "stage": "new"}, [0, 1, 2, 4]), ({"q": "ann lee3"}, [3]), ({"q": "BÖB"}, [0, 2, 4, 6]),
                          ({"q": "%"}, []), ({"external_id": "E2"}, [2]), ({"external_id": "E2", "stage": "closed"}, []),
                          ({"phone": "+12125550104"}, [4]), ({"phone": " 12125550104"}, [4]), ({"phone": "2125550104"}, [4]),
                          ({"phone": "(212) 555-0104", "external_id": "E4"}, [4]), ({"phone": "2125550104", "external_id": "E3"}, []),
                          ({"stage": "new", "limit": 2, "after": 0}, [0, 1])):
        assert found(**query) == wanted, query
    seen, after = [], None
    while True:
        answer = call(stack, "GET", params={"limit": 3} | ({"after": after} if after else {})).json()
        seen += [lead["external_id"] for lead in answer["leads"]]
        after = answer.get("next")
        if not after:
            break
    assert seen == [f"E{number}" for number in range(7)]
    assert "next" not in call(stack, "GET", params={"limit": 7}).json()
    answer = call(stack, "GET", params={"limit": 0, "after": "x", "paused": "maybe", "phone": "none"})
    assert answer.status_code == 422 and fields(answer) == ["after", "limit", "paused", "phone"]
    for limit in ("1001", "-1", "1e3", "99999999999999"):
        assert call(stack, "GET", params={"limit": limit}).status_code == 422
    assert call(stack, "GET", params={"colour": "red"}).status_code == 422


# ---- Many -----------------------------------------------------------------------------------------------------------


def test_bulk_json(stack):
    api(stack)
    first = bulk(stack, [{"external_id": "A", "phone": "2125550101"}, {"external_id": "B", "stage": "closed"}, {"phone": "ask"}], "application/json")
    assert first.status_code == 200, first.text
    assert first.json() == {"created": 3, "updated": 0, "unchanged": 0, "rejected": 0, "not_dialable": 2, "errors": [], "errors_left_out": 0}
    second = bulk(stack, {"leads": [
        {"external_id": "A", "phone": "2125550101"}, {"external_id": "B", "stage": "new"}, {"external_id": "C", "first_name": "Cy"},
        {"external_id": "A", "stage": "lost"}, {"phone": ["2125550102"], "stage": "No", "x": 1}, "2125550103", None, {},
        {"phone": "2.125550104E+9"}]}, "application/json").json()
    assert {key: second[key] for key in ("created", "updated", "unchanged", "rejected")} == {
        "created": 1, "updated": 1, "unchanged": 1, "rejected": 6}
    assert [(error["row"], error["field"]) for error in second["errors"]] == [
        (4, "external_id"), (5, "phone"), (5, "stage"), (5, "x"), (6, ""), (7, ""), (8, ""), (9, "phone")]
    assert second["errors"][0]["detail"] == "row 1 has it already"
    assert second["errors"][-1]["value"] == "*.********4E+9"
    assert {row["external_id"]: row["stage"] for row in stack.rows("select external_id, stage from leads where external_id is not null")} == {
        "A": "new", "B": "new", "C": "new"}
    assert [row["to_state"] for row in stack.rows("select to_state from transitions")] == ["new"]
    for body in ({"leads": 1}, {"leads": [], "more": 1}, {"phone": "1"}, {}):
        assert bulk(stack, body, "application/json").status_code == 422
    assert bulk(stack, b"[1, 2", "application/json").status_code == 400
    assert bulk(stack, [], "application/json").json()["created"] == 0


CSV = [
    ("plain", "external_id,name,phone,car\r\n1,Ann Mary Lee,2125550101,Saab\r\n"),
    ("semicolons and a mark", "\ufeffexternal_id;name;phone;car\n1;Ann Mary Lee;2125550101;Saab"),
    ("tabs", "External ID\tName\tPhone Number\tcar\n1\tAnn Mary Lee\t212-555-0101\tSaab\n"),
    ("quotes", '"id","full name","phone","car"\n"1","Ann Mary Lee","(212) 555-0101","Saab"\n'),
    ("blank rows and old line ends", "id,first name,last-name,mobile,car\r\r1,Ann,Mary Lee,2125550101,Saab\r"),
    ("a named delimiter", "sep=;\r\nid;name;phone;car\r\n1;Ann Mary Lee;2125550101;Saab\r\n"),
]


@pytest.mark.parametrize("text", [text for _, text in CSV], ids=[name for name, _ in CSV])
def test_bulk_csv(stack, text):
    api(stack)
    answer = bulk(stack, text)
    assert answer.status_code == 200 and answer.json()["created"] == 1, answer.text
    lead = call(stack, "GET").json()["leads"][0]
    assert (lead["external_id"], lead["first_name"], lead["last_name"], lead["phone_e164"], lead["variables"]) == (
        "1", "Ann", "Mary Lee", "+12125550101", {"car": "Saab"})
    assert bulk(stack, text).json()["unchanged"] == 1


def test_bulk_csv_with_bad_rows(stack):
    api(stack)
    text = ('phone,external_id,paused,note\n2125550101,1,yes,"two\nlines, ""quoted"""\n2.12555E+09,2,no,\n\n2125550103,3,perhaps,x\n'
            "2125550104,4,no,x,surplus\n2125550105,1,no,x\n,6,,\n").encode() + "2125550107,7,no,José\n".encode("latin-1")
    answer = bulk(stack, text).json()
    assert {key: answer[key] for key in ("created", "rejected")} == {"created": 2, "rejected": 5}
    assert [(error["row"], error["field"]) for error in answer["errors"]] == [
        (3, "phone"), (5, "paused"), (6, ""), (7, "external_id"), (9, "variables")]
    assert "spreadsheet" in answer["errors"][0]["detail"] and "UTF-8" in answer["errors"][4]["detail"]
    assert stack.value("select raw_payload -> 'variables' ->> 'note' from leads where external_id = '1'") == 'two\nlines, "quoted"'
    assert stack.value("select paused from leads where external_id = '1'") is True

    for body, words in (("phone,name\n1,2".encode("utf-16"), "UTF-16"), ("phone,name\n1,2".encode("utf-16-le"), "UTF-16"),
                        (b"", "empty"), (b"2125550101,Ann\n", "phone or external_id"), (b'phone\n"1\n2\n3', "quote"),
                        (b"phone,phone_number\n1,2\n", "two columns"), (b"phone\n" + b"1" * 300000, "longer"),
                        (b"phone" + b"," * 300 + b"\n", "more fields"), (b"phone\n12\x0034\n", "NUL")):
        answer = bulk(stack, body)
        assert answer.status_code == 422 and words in answer.json()["detail"], answer.text
    assert stack.count("leads") == 2


def test_ten_thousand_rows(stack):
    api(stack)
    text = "external_id,name,phone,list_id,city\n" + "".join(
        f"L{n},Ann Lee{n},+1{2010000000 + n * 7},9,Town {n}\n" if n % 100 else f"L{n},Bad,1.5E+10,9,Town\n" for n in range(10000))
    answer = bulk(stack, text)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["created"], answer.json()["rejected"], len(answer.json()["errors"])) == (9900, 100, 100)
    assert answer.elapsed.total_seconds() < 15
    again = bulk(stack, text.replace("Town 1", "City 1"))
    assert again.json()["created"] == 0 and again.json()["updated"] + again.json()["unchanged"] == 9900 and again.json()["updated"] > 1000
    assert call(stack, "GET", params={"external_id": "L9999"}).json()["leads"][0]["variables"] == {"city": "Town 9999"}


# ---- What it means for the dialing ----------------------------------------------------------------------------------


def test_made_by_the_api_and_dialed(stack):
    stack.start()
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    phones = [stack.phone() for _ in range(3)]
    one = call(stack, "POST", json={"phone": phones[0], "time_zone": "America/New_York"}).json()["id"]
    bulk(stack, [{"phone": phone, "time_zone": "America/New_York"} for phone in phones[1:]], "application/json")
    stack.wait_count(3, "calls", "outcome = 'SALE'")
    stack.wait_until(lambda: call(stack, "GET", f"/{one}").json()["stage"] == "contacted", 10, "its stage has moved on")
    lead = call(stack, "GET", f"/{one}").json()
    assert lead["follow_ups"][0]["status"] == "completed" and lead["last_call"]["outcome"] == "SALE"
    assert lead["raw_payload"]["dispatch"]["status"] == "completed" and lead["call_date"]
    # Its phone changes: the last call stays known.
    call(stack, "PATCH", f"/{one}", json={"phone": stack.phone()})
    assert call(stack, "GET", f"/{one}").json()["last_call"]["phone"] == phones[0]


BETWEEN = [
    ("paused", lambda stack, lead: call(stack, "PATCH", f"/{lead['id']}", json={"paused": True}), ("pending", "paused")),
    ("closed", lambda stack, lead: call(stack, "PATCH", f"/{lead['id']}", json={"stage": "closed"}), ("skipped", "stage")),
    ("suppressed", lambda stack, lead: stack.producer.http.post("/api/suppressions", headers=KEY, json={"phone": lead["phone"]}),
     ("skipped", "suppressed")),
    ("cancelled", lambda stack, lead: stack.producer.http.post(
        f"/api/follow-ups/{stack.value('select id from follow_ups where lead_id = %s', lead['id'])}/cancel", headers=KEY), ("cancelled", "operator")),
    ("removed", lambda stack, lead: call(stack, "DELETE", f"/{lead['id']}"), None),
    ("free", lambda stack, lead: call(stack, "GET", f"/{lead['id']}"), ("completed", None)),
]


def test_called_off_between_publication_and_claim(stack):
    """One lead each; all jobs are in Kafka before anything happens. The redial queue's switches: test_redial_api.py."""
    stack.start("producer")
    leads = stack.leads(len(BETWEEN))
    stack.wait_count(len(BETWEEN), "follow_ups", "status = 'queued'")
    stack.wait_until(lambda: stack.value("select bool_and(published_at is not null) from claims"), 10, "published")
    for (_, change, _), lead in zip(BETWEEN, leads):
        assert change(stack, lead).status_code < 300
    stack.start("consumer", "webhook")
    stack.wait_count(0, "follow_ups", "status in ('queued', 'dialing')")
    stack.wait_until(lambda: stack.ledger()["total"] == 1, 20, "the free one is dialed")
    stack.stays(lambda: stack.sim.stats()["posts"] == 1, 2, "nobody else is")
    stack.assert_rung([leads[-1]["phone"]])
    for (what, _, end), lead in zip(BETWEEN, leads):
        row = stack.row("select status, coalesce(reason, gate) as why from follow_ups where lead_id = %s", lead["id"])
        assert (row and (row["status"], row["why"])) == end, what
    removed = stack.row("select entity_id, actor, reason from transitions where to_state = 'removed'")
    assert (removed["entity_id"], removed["actor"]) == (str(leads[4]["id"]), "operator") and "queued" in removed["reason"]


def test_a_lead_removed_while_it_is_called(stack):
    stack.start()
    stack.sim.script([{"action": {"outcome": "NO_ANSWER", "call_ms": 1500}}])
    lead, redialed = stack.leads(2)
    stack.insert("redial_queue", lead_id=str(redialed["id"]), phone_number=redialed["phone"], lead_ref=redialed["id"], status="pending", attempts=1)
    stack.db.execute("update redial_queue set next_redial_timestamp = now() + interval '1 hour'")
    stack.wait_count(2, "calls", "status in ('calling', 'ringing', 'in_progress')")
    assert call(stack, "DELETE", f"/{lead['id']}").json()["follow_ups"] == 1
    assert call(stack, "DELETE", f"/{redialed['id']}").json()["redial_records"] == 1
    # The calls go on, the ledger has their ends, and nothing comes of them.
    stack.wait_count(2, "calls", "outcome = 'NO_ANSWER' and ended_at is not null")
    stack.wait_count(0, "call_events", "state = 'parked'")
    stack.wait_count(0, "live")
    stack.stays(lambda: stack.count("redial_queue") == 0, 1, "no redial")
    assert stack.count("leads") == stack.count("follow_ups") == 0
    assert stack.ledger()["total"] == 2
    assert not list(stack.consumer.log_events("batch.failed")) and stack.count("dead_letters") == 0
