# SPDX-License-Identifier: Apache-2.0
"""/api/follow-ups: a call by hand, one that is called off, and the queue as a list."""

from concurrent.futures import ThreadPoolExecutor

from lib.stack import SECRETS

KEY = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}
FIELDS = {"id", "tenant", "lead_id", "kind", "lane", "account", "source", "status", "priority", "due_at", "next_look_at", "gate", "reason",
          "last_error", "attempts", "job_id", "completed_at", "created_at"}


def call(stack, method, path="", **more):
    return stack.producer.http.request(method, f"/api/follow-ups{path}", headers=KEY, **more)


def fields(answer):
    return sorted(error["field"] for error in answer.json()["errors"])


def test_a_call_by_hand(stack):
    stack.start()
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    lead = stack.lead(auto_follow_up=False, call_date="2026-01-01T00:00:00Z")
    made = call(stack, "POST", json={"lead_id": float(lead["id"]), "priority": 2.0})
    assert made.status_code == 201, made.text
    assert set(made.json()) == FIELDS
    assert {key: made.json()[key] for key in ("lead_id", "kind", "lane", "source", "status", "priority", "gate")} == {
        "lead_id": lead["id"], "kind": "follow_up", "lane": "follow_ups", "source": "api", "status": "pending", "priority": 2, "gate": None}
    stack.wait_until(lambda: call(stack, "GET", f"/{made.json()['id']}").json()["status"] == "completed", 20, "dialed")
    stack.assert_rung([lead["phone"]])
    # And again, once that one is over.
    stack.wait_count(0, "live")
    again = call(stack, "POST", json={"lead_id": lead["id"]})
    assert again.status_code == 201 and again.json()["priority"] == 1
    stack.wait_until(lambda: stack.ledger()["total"] == 2, 20, "dialed again")


def test_what_waits_is_called_now(stack):
    stack.start()
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    lead = stack.lead(auto_follow_up=False)
    waiting = call(stack, "POST", json={"lead_id": lead["id"], "due_at": "2099-01-01T00:00:00Z"}).json()
    stack.db.execute("update carillon.lanes set active = false where name = 'follow_ups'")
    hurried = call(stack, "POST", f"/{waiting['id']}/now")
    assert hurried.status_code == 200 and hurried.json()["priority"] == 2 and hurried.json()["due_at"] < "2099"
    assert call(stack, "POST", "/999999/now").status_code == 404
    stack.db.execute("update carillon.lanes set active = true where name = 'follow_ups'")
    stack.wait_until(lambda: call(stack, "GET", f"/{waiting['id']}").json()["status"] == "completed", 20, "dialed")
    stack.assert_rung([lead["phone"]])
    assert call(stack, "POST", f"/{waiting['id']}/now").status_code == 409
    assert stack.value("select to_state || ' ' || reason from transitions where entity = 'call' and entity_id = %s", f"s{waiting['id']}") == "scheduled now"


def test_one_open_follow_up_a_lead(stack):
    stack.start("producer", PRODUCER_ROLES="api")
    lead = stack.lead()
    later = {"lead_id": lead["id"], "due_at": "2099-01-01T12:00:00+01:00"}
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: call(stack, "POST", json=later), range(8))]
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    first = next(answer.json() for answer in answers if answer.status_code == 201)
    assert first["due_at"] == first["next_look_at"] == "2099-01-01T11:00:00.000Z"
    assert {answer.json()["follow_up_id"] for answer in answers if answer.status_code == 409} == {first["id"]}
    assert call(stack, "POST", f"/{first['id']}/cancel").json()["status"] == "cancelled"
    # It stays so, however often it is said; the lead is free for another.
    assert call(stack, "POST", f"/{first['id']}/cancel").json()["reason"] == "operator"
    assert call(stack, "POST", json=later).status_code == 201
    # The lead source makes none beside them.
    stack.producer.restart(PRODUCER_ROLES="schedule,api")
    stack.stays(lambda: stack.count("follow_ups") == 2, 1, "no other")


def test_what_can_be_cancelled(stack):
    stack.start("producer", PRODUCER_ROLES="api")
    for status, answer in (("pending", 200), ("queued", 200), ("cancelled", 200), ("dialing", 409), ("completed", 409), ("skipped", 409),
                           ("failed", 409), ("undetermined", 409)):
        follow_up = stack.insert("follow_ups", lead_id=stack.lead()["id"], status=status)["id"]
        got = call(stack, "POST", f"/{follow_up}/cancel")
        assert got.status_code == answer, status
        assert stack.value("select status from follow_ups where id = %s", follow_up) == ("cancelled" if answer == 200 else status)
        assert answer == 200 or status in got.json()["detail"]
    for unknown in ("0", "x", "99999999999999999999"):
        assert call(stack, "POST", f"/{unknown}/cancel").status_code == 404
        assert call(stack, "GET", f"/{unknown}").status_code == 404


def test_a_redial_that_is_cancelled_pauses_its_record(stack):
    stack.start("producer")
    stack.db.execute("update lanes set window_start = null, window_end = null, account_id = null where name = 'redial'")
    lead = stack.lead(external_id="L-1", auto_follow_up=False)
    stack.insert("redial_queue", lead_id="L-1", phone_number=lead["phone"], lead_ref=lead["id"], status="pending", attempts=1)
    stack.db.execute("update redial_queue set next_redial_timestamp = now()")
    stack.wait_count(1, "follow_ups", "kind = 'redial' and gate = 'credentials'")
    follow_up = stack.value("select id from follow_ups")
    assert call(stack, "POST", f"/{follow_up}/cancel").json()["reason"] == "paused"
    assert stack.value("select status from redial_queue") == "paused"
    assert stack.row("select entity, to_state, actor from transitions where entity = 'redial'") == {"entity": "redial", "to_state": "paused", "actor": "operator"}
    # Resumed, it is dialed after all.
    resumed = stack.producer.http.post("/api/admin/redial-queue/lead/L-1/resume", headers=KEY, params={"phone": lead["phone"]})
    assert resumed.status_code == 200
    stack.wait_count(1, "follow_ups", "status = 'pending' and kind = 'redial'")


def test_filters_and_pages(stack):
    stack.start("producer", PRODUCER_ROLES="api")
    leads = stack.leads(4)
    made = []
    for day, lead in enumerate([*leads, leads[0]], start=1):
        made.append(stack.insert("follow_ups", lead_id=lead["id"], due_at=f"2031-01-0{day}T00:00:00Z",
                                 status="completed" if day == 1 else "pending")["id"])
    stack.db.execute("update follow_ups set lane_id = (select id from lanes where name = 'workflow') where id = %s", (made[1],))

    def found(**query):
        answer = call(stack, "GET", params=query)
        assert answer.status_code == 200, answer.text
        return [made.index(one["id"]) for one in answer.json()["follow_ups"]]

    for query, wanted in (({}, [0, 1, 2, 3, 4]), ({"lead_id": leads[0]["id"]}, [0, 4]), ({"status": "completed"}, [0]), ({"lane": "workflow"}, [1]),
                          ({"lane": "none"}, []), ({"due_before": "2031-01-02T00:00:00Z"}, [0]), ({"due_after": "2031-01-03T00:00:00 00:00"}, [3, 4]),
                          ({"due_after": "2031-01-01T00:00:00Z", "due_before": "2031-01-04T00:00:00Z", "lane": "follow_ups"}, [2]),
                          ({"limit": 2}, [0, 1]), ({"limit": 2, "after": made[1]}, [2, 3]), ({"limit": 2, "after": made[3]}, [4])):
        assert found(**query) == wanted, query
    assert call(stack, "GET", params={"limit": 2}).json()["next"] == str(made[1])
    assert "next" not in call(stack, "GET").json()
    answer = call(stack, "GET", params={"lead_id": "x", "status": "odd", "due_before": "now", "due_after": "2031-02-30T00:00:00Z", "limit": "1001",
                                        "after": "-1"})
    assert answer.status_code == 422 and fields(answer) == ["after", "due_after", "due_before", "lead_id", "limit", "status"]


def test_bad_input_names_every_problem(stack):
    stack.start("producer", PRODUCER_ROLES="api")
    lead = stack.lead()["id"]
    for body, problems in (({}, ["lead_id"]), ({"lead_id": "x"}, ["lead_id"]), ({"lead_id": 10 ** 18}, ["lead_id"]),
                           ({"lead_id": lead, "due_at": "soon", "lane": 7, "priority": 3, "colour": 1}, ["colour", "due_at", "lane", "priority"]),
                           ({"lead_id": lead, "due_at": 5, "lane": [], "priority": "2"}, ["due_at", "lane", "priority"]),
                           ({"lead_id": lead, "priority": 1.5, "due_at": "2031-01-01T00:00:00"}, ["due_at", "priority"])):
        answer = call(stack, "POST", json=body)
        assert answer.status_code == 422 and fields(answer) == problems, answer.text
    for body in (b"", b"[1]", b'{"lead_id": "\xff"}', b'{"lead_id": 1e-20000}', b'{"lead_id": 1' + b"0" * 30 + b"}"):
        assert call(stack, "POST", content=body).status_code in (400, 422)
    for body, missing in (({"lead_id": 999}, "no such lead"), ({"lead_id": lead, "lane": "none"}, "no such lane")):
        answer = call(stack, "POST", json=body)
        assert (answer.status_code, answer.json()["detail"]) == (404, missing)
    assert stack.count("follow_ups") == 0
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/1"), ("POST", "/1/cancel")):
        assert stack.producer.http.request(method, f"/api/follow-ups{path}").status_code == 401
