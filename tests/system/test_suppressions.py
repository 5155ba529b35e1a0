# SPDX-License-Identifier: Apache-2.0
"""/api/suppressions: numbers that are not called, at once and until the last byte that can still be held back."""

import json

from lib.stack import SECRETS

KEY = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}


def call(stack, method, path="", headers=None, **more):
    return stack.producer.http.request(method, f"/api/suppressions{path}", headers=KEY | (headers or {}), timeout=60, **more)


def load(stack, body, kind="text/csv"):
    content = json.dumps(body).encode() if isinstance(body, list) else body.encode() if isinstance(body, str) else body
    return call(stack, "POST", "/import", {"Content-Type": kind}, content=content)


def fields(answer):
    return sorted(error["field"] for error in answer.json()["errors"])


def test_added_renewed_listed_and_removed(stack):
    stack.start("producer", PRODUCER_ROLES="api")
    made = call(stack, "POST", json={"phone": "(212) 555-0101", "reason": "asked", "expires_at": "2099-01-01T00:00:00Z"})
    assert made.status_code == 201, made.text
    assert made.json() == {"phone": "+12125550101", "tenant": "default", "reason": "asked", "source": "operator",
                           "expires_at": "2099-01-01T00:00:00.000Z", "created_at": made.json()["created_at"]}
    # The later of both ends counts, and none is the latest.
    for expires_at, wanted in (("2098-01-01T00:00:00Z", "2099-01-01T00:00:00.000Z"), ("2100-01-01T00:00:00Z", "2100-01-01T00:00:00.000Z"),
                               (None, None), ("2099-01-01T00:00:00Z", None)):
        again = call(stack, "POST", json={"phone": "+12125550101", "expires_at": expires_at})
        assert again.status_code == 200 and again.json()["expires_at"] == wanted and again.json()["reason"] == "asked"
    for last in range(2, 6):
        call(stack, "POST", json={"phone": f"+1212555010{last}"})
    assert [one["phone"][-1] for one in call(stack, "GET").json()["suppressions"]] == [*"12345"]
    first = call(stack, "GET", params={"limit": 2}).json()
    assert first["next"] == "+12125550102"
    for after in (first["next"], " 12125550102"):
        second = call(stack, "GET", params={"limit": 2, "after": after}).json()
        assert [one["phone"][-1] for one in second["suppressions"]] == [*"34"]
    for phone in ("+12125550104", " 12125550104", "2125550104", "(212) 555-0104"):
        assert len(call(stack, "GET", params={"phone": phone}).json()["suppressions"]) == 1
    assert call(stack, "GET", params={"phone": "+12125550199"}).json() == {"suppressions": []}
    assert fields(call(stack, "GET", params={"phone": "x", "limit": "0", "after": "y"})) == ["after", "limit", "phone"]
    for phone in ("+12125550101", "%2B12125550102", "2125550103"):
        gone = call(stack, "DELETE", f"/{phone}")
        assert gone.status_code == 200 and gone.json()["removed"] is True
        assert call(stack, "DELETE", f"/{phone}").status_code == 404
    assert call(stack, "DELETE", "/none").status_code == 404
    assert stack.count("suppressions") == 2


def test_bad_input_names_every_problem(stack):
    stack.start("producer", PRODUCER_ROLES="api")
    for body, problems in (({}, ["phone"]), ({"phone": "12"}, ["phone"]), ({"phone": None}, ["phone"]), ({"phone": {}}, ["phone"]),
                           ({"phone": "1.2E+10", "reason": 5, "expires_at": "later", "x": 1}, ["expires_at", "phone", "reason", "x"]),
                           ({"phone": "+12125550101", "expires_at": "2020-01-01T00:00:00Z"}, ["expires_at"]),
                           ({"phone": "+12125550101", "reason": "x" * 501}, ["reason"])):
        answer = call(stack, "POST", json=body)
        assert answer.status_code == 422 and fields(answer) == problems, answer.text
    for body in (b"", b"[]", b'{"phone": "\xff"}', b"{" * 1000):
        assert call(stack, "POST", content=body).status_code in (400, 422)
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/import"), ("DELETE", "/+12125550101")):
        assert stack.producer.http.request(method, f"/api/suppressions{path}").status_code == 401
    assert stack.count("suppressions") == 0


def test_import(stack):
    stack.start("producer", PRODUCER_ROLES="api")
    call(stack, "POST", json={"phone": "+12125550101", "expires_at": "2099-01-01T00:00:00Z"})
    answer = load(stack, ["+12125550101", "2125550102", {"phone": "2125550103", "reason": "list", "expires_at": "2099-01-01T00:00:00Z"},
                          "2125550102", "none", {"reason": "x"}, 7, {"phone": "2125550104", "expires_at": "2001-01-01T00:00:00Z", "x": 1}],
                  "application/json").json()
    assert {key: answer[key] for key in ("created", "renewed", "duplicates", "rejected", "errors_left_out")} == {
        "created": 2, "renewed": 1, "duplicates": 1, "rejected": 4, "errors_left_out": 0}
    assert [(error["row"], error["field"]) for error in answer["errors"]] == [(5, "phone"), (6, "phone"), (7, "phone"), (8, "expires_at"), (8, "x")]
    answer = load(stack, "Name;Phone;Reason\nAnn;2125550105;asked\nBob;2.12E+09;\n\nCy;;\nDi;+12125550106;told us\n").json()
    assert (answer["created"], [error["row"] for error in answer["errors"]]) == (2, [3, 5])
    assert "5550" not in json.dumps(answer["errors"])
    assert {row["phone"][-1]: row["source"] for row in stack.rows("select phone, source from suppressions")} == {
        "1": "operator", "2": "import", "3": "import", "5": "import", "6": "import"}
    assert stack.value("select expires_at is null from suppressions where phone = '+12125550101'")
    for body in (b"2125550101\n2125550102\n", b"", "phone\n1".encode("utf-16")):
        assert load(stack, body).status_code == 422
    many = load(stack, "phone\n" + "".join(f"+1{2010000000 + n}\n" if n % 1000 else "x\n" for n in range(50000))).json()
    assert (many["created"], many["rejected"], len(many["errors"])) == (49950, 50, 50)


def test_effective_at_once_and_lifted(stack):
    stack.start()
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    stack.consumer.freeze()
    held, free, listed = stack.leads(3)
    stack.wait_count(3, "follow_ups", "status = 'queued'")
    call(stack, "POST", json={"phone": held["phone"]})
    load(stack, [listed["phone"]], "application/json")
    stack.consumer.thaw()
    stack.wait_count(2, "follow_ups", "status = 'skipped' and reason = 'suppressed'")
    stack.wait_until(lambda: stack.ledger()["total"] == 1, 20, "the other is dialed")
    stack.assert_rung([free["phone"]])
    call(stack, "DELETE", f"/{held['phone']}")
    stack.wait_until(lambda: stack.sim.dialed(held["phone"]) == 1, 20, "dialed once it may be")
    assert stack.sim.dialed(listed["phone"]) == 0


def test_a_long_list_stops_those_on_it_alone(stack):
    """More numbers than the dispatchers would keep are asked for by the calls that are under way."""
    stack.start()
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])
    stack.consumer.freeze()
    held, free = stack.leads(2)
    stack.wait_count(2, "follow_ups", "status = 'queued'")
    stack.db.execute("insert into suppressions (phone) select '+1' || 2010000000 + n from generate_series(1, 120000) n")
    call(stack, "POST", json={"phone": held["phone"]})
    stack.consumer.thaw()
    stack.wait_until(lambda: stack.sim.dialed(free["phone"]) == 1, 20, "the other is dialed")
    stack.wait_count(1, "follow_ups", "status = 'skipped' and reason = 'suppressed'")
    assert stack.sim.dialed(held["phone"]) == 0 and not list(stack.consumer.log_events("stop_feed.too_many"))
