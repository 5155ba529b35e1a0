# SPDX-License-Identifier: Apache-2.0
"""Signing in to the page: a cookie that opens what its key opens, no more and no longer, and changes nothing without its token."""

import time

from lib.stack import SECRETS

ADMIN = SECRETS["ADMIN_API_KEY"]
COOKIE = "carillon_session"
NOBODY = {"role": None, "tenant": None, "admin": False, "csrf": None, "expiresAt": None}


class Browser:
    """Has what /api/session gave it, and shows it."""

    def __init__(self, producer, key=None, **headers):
        self.producer = producer
        self.cookie = self.csrf = None
        if key:
            self.answer = self.sign_in(key, **headers)

    def sign_in(self, key, **headers):
        answer = self.producer.http.post("/api/session", json={"key": key}, headers=headers)
        self.producer.http.cookies.clear()  # this test shows them itself
        if answer.status_code == 200:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.csrf = answer.json()["csrf"]
        return answer

    def ask(self, method, path, csrf=True, producer=None, **more):
        headers = {"Cookie": self.cookie} if self.cookie else {}
        if csrf is True and self.csrf and method != "GET":
            headers["X-CSRF-Token"] = self.csrf
        elif isinstance(csrf, str):
            headers["X-CSRF-Token"] = csrf
        http = (producer or self.producer).http
        answer = http.request(method, path, headers=headers | more.pop("headers", {}), **more)
        http.cookies.clear()
        return answer


def new_key(stack, role="operate", **more):
    answer = stack.producer.http.post("/api/api-keys", json={"name": "for a browser", "role": role} | more, headers={"X-API-Key": ADMIN})
    assert answer.status_code == 201, answer.text
    key = answer.json()
    stack.wait_until(lambda: stack.producer.http.get("/api/leads?limit=1", headers={"X-API-Key": key["key"]}).status_code == 200, 10, "the key known")
    return key


def test_a_session_opens_what_its_key_opens(stack):
    stack.start("producer")
    assert stack.producer.http.get("/api/session").json() == NOBODY
    assert stack.producer.http.get("/api/leads").status_code == 401
    admin = Browser(stack.producer, ADMIN)
    told = admin.answer.json()
    assert (told["role"], told["tenant"], told["admin"]) == ("operate", None, True) and len(told["csrf"]) == 64
    attributes = admin.answer.headers["set-cookie"].split("; ")[1:]
    assert set(attributes) == {"Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=43200"}
    assert admin.ask("GET", "/api/session").json() == told
    # Its key is nowhere in it.
    assert ADMIN not in admin.cookie and ADMIN.encode().hex() not in admin.cookie
    assert admin.ask("GET", "/api/accounts").status_code == 200
    assert admin.ask("POST", "/api/leads", json={"phone": stack.phone()}).status_code == 201
    assert admin.ask("GET", "/api/admin/redial-queue/status").status_code == 200
    # A database's key: of its tenant, and of its role.
    assert admin.ask("POST", "/api/tenants", json={"id": "acme", "name": "Acme"}).status_code == 201
    reader = Browser(stack.producer, new_key(stack, "read", tenant="acme")["key"])
    assert {k: reader.answer.json()[k] for k in ("role", "tenant", "admin")} == {"role": "read", "tenant": "acme", "admin": False}
    assert reader.ask("GET", "/api/leads").json()["leads"] == []
    assert reader.ask("GET", "/api/leads?tenant=default").status_code == 403
    assert reader.ask("GET", "/api/accounts").status_code == 403
    assert reader.ask("POST", "/api/leads", json={"phone": stack.phone()}).status_code == 403
    assert reader.ask("POST", "/api/scheduler/stop", json={}).status_code == 403
    operator = Browser(stack.producer, new_key(stack, tenant="acme")["key"])
    made = operator.ask("POST", "/api/leads", json={"phone": stack.phone()})
    assert made.status_code == 201 and made.json()["tenant"] == "acme"
    assert stack.producer.http.get("/api/session", headers={"X-API-Key": ADMIN}).json() == {**NOBODY, "role": "operate", "admin": True}
    # The dispatch job has a secret of its own.
    assert admin.ask("POST", "/api/jobs/call-dispatch").status_code == 401


def test_a_cookie_alone_changes_nothing(stack):
    stack.start("producer")
    admin, other = Browser(stack.producer, ADMIN), Browser(stack.producer, ADMIN)
    lead = {"phone": stack.phone()}
    for token in (None, "", "0" * 64, other.csrf, admin.csrf[:-1], admin.csrf + "0"):
        for method, path in (("POST", "/api/leads"), ("POST", "/api/scheduler/stop"), ("DELETE", "/api/session"), ("PUT", "/api/admin/redial-queue/config"),
                             ("POST", "/api/leads/bulk"), ("POST", "/api/dead-letters/replay"), ("POST", "/api/campaigns/1/contacts")):
            answer = admin.ask(method, path, csrf=token, json=lead if method != "DELETE" else None)
            assert answer.status_code == 403 and "X-CSRF-Token" in answer.text, (token, method, path, answer.text)
    assert stack.count("leads") == 0 and admin.ask("GET", "/api/scheduler").json()["stopped"] is False
    # A key that is shown wins over the cookie, and needs no token.
    assert admin.ask("POST", "/api/leads", csrf=None, json=lead, headers={"X-API-Key": ADMIN}).status_code == 201
    assert admin.ask("GET", "/api/leads", headers={"X-API-Key": "wrong"}).status_code == 401
    # Nobody is signed in by a form of another site.
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = stack.producer.http.post("/api/session", content=f'{{"key": "{ADMIN}"}}', headers={"Content-Type": kind})
        assert answer.status_code == 415 and "set-cookie" not in answer.headers
    assert Browser(stack.producer).ask("GET", "/api/leads", headers={"Cookie": f"{COOKIE}={'0' * len(admin.cookie)}"}).status_code == 401
    broken = admin.cookie[:-1] + ("0" if admin.cookie[-1] != "0" else "1")
    answer = admin.ask("GET", "/api/session", headers={"Cookie": broken})
    assert answer.json() == NOBODY and "Max-Age=0" in answer.headers["set-cookie"]
    # Behind a proxy that has TLS, the cookie stays there.
    assert "Secure" in Browser(stack.producer, ADMIN, **{"X-Forwarded-Proto": "https"}).answer.headers["set-cookie"].split("; ")


def test_a_session_ends_with_its_key_or_at_sign_out(stack):
    stack.start("producer")
    key = new_key(stack)
    first, second = Browser(stack.producer, key["key"]), Browser(stack.producer, key["key"])
    answer = first.ask("DELETE", "/api/session")
    assert answer.status_code == 200 and answer.json() == NOBODY and "Max-Age=0" in answer.headers["set-cookie"]
    stack.wait_until(lambda: first.ask("GET", "/api/leads").status_code == 401, 3, "the cookie refused")
    assert second.ask("GET", "/api/leads").status_code == 200
    assert first.ask("DELETE", "/api/session").json() == NOBODY
    Browser(stack.producer, ADMIN).ask("DELETE", f"/api/api-keys/{key['id']}")
    stack.wait_until(lambda: second.ask("GET", "/api/leads").status_code == 401, 3, "the revoked key's session refused")
    assert second.ask("GET", "/api/session").json() == NOBODY
    # What was ended need not be remembered for longer than it could have lasted.
    stack.db.execute("update carillon.ended_sessions set expires_at = now() - interval '1 second'")
    assert Browser(stack.producer, ADMIN).ask("GET", "/api/leads").status_code == 200
    Browser(stack.producer, ADMIN).ask("DELETE", "/api/session")
    assert stack.count("ended_sessions") == 1


def test_every_producer_knows_it_and_a_restart_ends_none(stack):
    one, two = stack.start("producer", "producer")
    signed_in = Browser(one, ADMIN)
    assert signed_in.ask("POST", "/api/leads", producer=two, json={"phone": stack.phone()}).status_code == 201
    one.restart()
    assert signed_in.ask("GET", "/api/session").json()["role"] == "operate"
    assert signed_in.ask("DELETE", "/api/session", producer=two).status_code == 200
    stack.wait_until(lambda: signed_in.ask("GET", "/api/leads").status_code == 401, 3, "the cookie refused")
    one.restart()
    assert signed_in.ask("GET", "/api/leads").status_code == 401
    # With other secrets it is nobody's.
    third = stack.start("producer", SECRET_KEY="6a" * 32)[0]
    assert Browser(one, ADMIN).ask("GET", "/api/session", producer=third).json() == NOBODY


def test_wrong_keys_are_slowed_down_for_who_tries_them(stack):
    stack.start("producer")
    guesser, honest = {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.7, 198.51.100.9"}
    statuses = [Browser(stack.producer).sign_in(f"guess {n}", **guesser).status_code for n in range(15)]
    assert statuses[:10] == [401] * 10 and 429 in statuses[10:], statuses
    refused = Browser(stack.producer).sign_in(ADMIN, **guesser)
    assert refused.status_code == 429 and 1 <= int(refused.headers["retry-after"]) <= 2
    # Others come in, and so does this one after a moment.
    assert Browser(stack.producer).sign_in(ADMIN, **honest).status_code == 200
    assert Browser(stack.producer).sign_in(ADMIN).status_code == 200
    time.sleep(int(refused.headers["retry-after"]))
    assert Browser(stack.producer).sign_in(ADMIN, **guesser).status_code == 200
    assert Browser(stack.producer).sign_in("guess", **guesser).status_code == 401
    assert "guess" not in stack.producer.log_text()


def test_what_is_no_key_is_refused(stack):
    stack.start("producer")
    for body in (b"", b"{", b"[]", b"{}", b'{"key": ""}', b'{"key": 5}', b'{"key": "a", "b": 1}'):
        answer = stack.producer.http.post("/api/session", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text


def test_without_an_admin_key_nobody_needs_to_sign_in(stack):
    stack.start("producer", ADMIN_API_KEY="")
    assert stack.producer.http.get("/api/session").json() == {**NOBODY, "role": "operate", "admin": True}
    assert Browser(stack.producer).sign_in("a key").status_code == 401


def test_without_an_admin_key_other_sites_pages_reach_nothing(stack):
    stack.start("producer", ADMIN_API_KEY="", CRON_JOB_SECRET="", N8N_DISPATCH_SECRET="")
    http, host = stack.producer.http, stack.producer.address
    stop = {"method": "POST", "url": "/api/scheduler/stop", "content": b"{}"}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://elsewhere.example"}, {"Origin": "null"},
                    {"Host": "elsewhere.example"}):
        answer = http.request(**stop, headers=headers)
        assert answer.status_code == 403 and "ADMIN_API_KEY" in answer.json()["detail"], (headers, answer.text)
        assert http.post("/api/jobs/call-dispatch", headers=headers).status_code == 403
    # A name that is pointed here reads nothing either.
    assert http.get("/api/leads", headers={"Host": "elsewhere.example:8080"}).status_code == 403
    assert stack.value("select count(*) from transitions") == 0
    for headers in ({}, {"Sec-Fetch-Site": "same-origin", "Origin": f"http://{host}"}, {"Sec-Fetch-Site": "none"}, {"Host": "localhost"}):
        assert http.request(**stop, headers=headers).status_code == 200, headers
