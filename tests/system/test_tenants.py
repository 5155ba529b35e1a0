# SPDX-License-Identifier: Apache-2.0
"""Two tenants behind one API: the keys of one can neither see nor change anything of the other, whatever route is tried."""

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
from lib.stack import SECRETS

ADMIN = SECRETS["ADMIN_API_KEY"]
CREDENTIALS = {name: {"api_key": f"{name}-key-0b1d5c7f92", "webhook_secret": SECRETS["VAPI_WEBHOOK_SECRET"]} for name in ("acme", "bravo")}
MARK = "Zephyrine"  # is in all that is acme's, and in no request of another
METHODS = ("get", "post", "put", "patch", "delete")
OPEN = ("/page/", "/api/session", "/registry/", "/healthz", "/readyz", "/metrics", "/openapi.json")  # need no key
HIDDEN = (401, 403, 404, 422)
# What is written while nobody asks for anything.
RESTLESS = {"lanes": ("tokens", "tokens_at", "next_at", "served_at", "claim_token")}


def call(stack, key, method, path, **more):
    headers = {"X-API-Key": key} if key else {}
    return stack.producer.http.request(method, path, headers=headers | more.pop("headers", {}), timeout=60, **more)


def made(answer, status=201):
    assert answer.status_code == status, answer.text
    return answer.json()


def new_key(stack, role="operate", **more):
    return made(call(stack, ADMIN, "POST", "/api/api-keys", json={"name": f"for {more}", "role": role} | more))


def new_tenant(stack, name):
    made(call(stack, ADMIN, "POST", "/api/tenants", json={"id": name, "name": name.title()}))
    made(call(stack, ADMIN, "POST", "/api/accounts", json={
        "name": f"{name}-vapi", "provider": "vapi", "tenant": name, "credentials": CREDENTIALS[name],
        "settings": {"assistant_id": f"{name}-assistant", "phone_number_id": f"{name}-number"}}))
    return new_key(stack, tenant=name)["key"]


def wait_known(stack, key, status=200):
    stack.wait_until(lambda: call(stack, key, "GET", "/api/leads?limit=1").status_code == status, 2, f"the key answered with {status}")


def fill(stack, key, mark):
    """One of each thing that a tenant can have; its values as paths, queries and bodies may name them."""
    lead = made(call(stack, key, "POST", "/api/leads", json={"phone": stack.phone(), "first_name": mark, "external_id": f"{mark}-1",
                                                             "auto_follow_up": False}))
    bulk = made(call(stack, key, "POST", "/api/leads/bulk", json=[{"phone": stack.phone(), "last_name": mark, "auto_follow_up": False}]), 200)
    assert bulk["created"] == 1, bulk
    follow_up = made(call(stack, key, "POST", "/api/follow-ups", json={"lead_id": lead["id"], "due_at": "2999-01-01T00:00:00Z"}))
    suppressed = stack.phone()
    made(call(stack, key, "POST", "/api/suppressions", json={"phone": suppressed, "reason": mark}))
    made(call(stack, key, "POST", "/api/suppressions/import", json=[{"phone": stack.phone(), "reason": mark}]), 200)
    campaign = made(call(stack, key, "POST", "/api/campaigns", json={"name": mark, "account": "acme-vapi", "useLeadWindow": False}))
    called = stack.phone()
    assert made(call(stack, key, "POST", f"/api/campaigns/{campaign['id']}/contacts", json=[{"phone": called, "first_name": mark}]), 200)["created"] == 1
    redial = stack.phone()
    record = {"lead_id": "r-1", "phone_number": redial, "first_name": mark, "attempts": 1, "status": "paused", "updated_at": int(time.time() * 1000)}
    assert made(call(stack, key, "POST", "/api/admin/redial-queue/import", json={"r-1": record}), 200)["created"] == 1
    return {"lead": lead["id"], "follow_up": follow_up["id"], "campaign": campaign["id"], "phone": lead["phone"], "suppressed": suppressed,
            "called": called, "redial": redial}


def undetermined(stack, its):
    """A call of acme that an operator is to decide."""
    lane = stack.value("select id from carillon.lanes where tenant_id = 'acme' and name = 'follow_ups'")
    account = stack.value("select id from carillon.accounts where name = 'acme-vapi'")
    lead = stack.lead(tenant_id="acme", first_name=MARK, auto_follow_up=False)
    job = "018f4d3e-7a10-7c3b-9d5e-2f6a1b4c8d71"
    held = stack.insert("follow_ups", tenant_id="acme", lead_id=lead["id"], lane_id=lane, status="undetermined", job_id=job, due_at=datetime.now(UTC))
    common = {"job_id": job, "tenant_id": "acme", "phone": lead["phone"], "lane_id": lane, "account_id": account, "follow_up_id": held["id"]}
    stack.insert("calls", **common, kind="follow_up", lead_id=lead["id"], provider="vapi", attempt=1, status="undetermined", error=MARK,
                 worker="a worker", due_at=held["due_at"], posted_at=held["due_at"])
    stack.insert("live", **common, state="undetermined", lease_until="2999-01-01T00:00:00Z", next_check_at="2999-01-01T00:00:00Z")
    return its | {"undetermined": job, "job": str(stack.value("select job_id from carillon.calls where kind = 'campaign' and tenant_id = 'acme'"))}


def spread_ids(stack):
    """No two things have the same number, whatever they are: each route can be tried with all of acme's."""
    columns = stack.rows("select table_name, column_name from information_schema.columns where table_schema = 'carillon' and is_identity = 'YES' order by 1")
    for n, row in enumerate(columns, 1):
        stack.db.execute(f"alter table carillon.{row['table_name']} alter {row['column_name']} restart with {n}00000")


def belongings(stack):
    """All rows of acme's, and what is everybody's."""
    seen = {}
    for row in stack.rows("select c.table_name as name, bool_or(column_name = 'tenant_id') as own from information_schema.columns c"
                          " join information_schema.tables using (table_schema, table_name)"
                          " where table_schema = 'carillon' and table_type = 'BASE TABLE' group by 1"):
        name = row["name"]
        if name in ("claims", "applied_offsets", "schema_migrations", "workflow_runs", "processes", "audits", "ended_totals"):
            continue
        where = ("tenant_id = 'acme' or tenant_id is null and entity <> 'pending_call'" if name == "transitions"   # bravo's own take their way
                 else "tenant_id = 'acme' or tenant_id is null" if row["own"] else {
            "tenants": "id = 'acme'", "settings": "key <> 'pacing'",
            "campaign_contacts": "campaign_id in (select id from carillon.campaigns where tenant_id = 'acme')"}.get(name, "true"))
        restless = json.dumps(list(RESTLESS.get(name, ()))).replace("[", "{").replace("]", "}")
        seen[name] = stack.rows(f"select to_jsonb(t) - '{restless}'::text[] as row from carillon.{name} t where {where} order by 1")
    return seen


def settled(stack):
    """The report of a call comes after its end."""
    was, since = belongings(stack), time.monotonic()

    def probe():
        nonlocal was, since
        now = belongings(stack)
        was, since = now, since if now == was else time.monotonic()
        return time.monotonic() - since > 2

    stack.wait_until(probe, 30, "nothing more to be written")


def operations(stack):
    document = stack.producer.http.get("/openapi.json").json()
    known = document["components"]["parameters"]
    for path, item in document["paths"].items():
        if path.startswith(OPEN) or path in ("/", "/api/live"):   # the stream: test_live.py
            continue
        for method in METHODS:
            if method in item:
                parameters = [known[p["$ref"].rsplit("/", 1)[1]] if "$ref" in p else p
                              for p in item.get("parameters", []) + item[method].get("parameters", [])]
                yield method.upper(), path, parameters, item[method]


def paths(path, values):
    """The path with each of these values in each of its places."""
    if "{" not in path:
        return [path]
    before, _, rest = path.partition("{")
    after = rest.partition("}")[2]
    return [f"{before}{value}{tail}" for value in values for tail in paths(after, values)]


def is_for_tenants(parameters):
    return any(p["name"] == "tenant" and p["description"].startswith("Act as") for p in parameters)


def bodies(operation, its):
    """Its examples, and what names something of acme's."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return [None]
    examples = [example["value"] for example in content.get("examples", {}).values()] or [{}]
    return [*examples, {"lead_id": its["lead"]}, {"tenant": "acme"}, {"name": "Mine", "account": "acme-vapi"}, {"phone": its["called"], "reason": "mine"},
            {"stage": "lost", "paused": True}, {"decision": "close"}, {"isActive": False}, [{"phone": its["called"]}, {"phone": its["phone"], "external_id": f"{its['lead']}"}]]


def queries(parameters, its):
    """None, and what asks for something of acme's."""
    asked = {"phone": its["phone"], "lead_id": its["lead"], "campaign": its["campaign"], "campaignId": its["campaign"], "q": "Zeph", "status": "undetermined",
             "limit": "1000", "tenant": "acme", "account": "acme-vapi"}
    own = {"phone": its["redial"]} if any(p["name"] == "phone" and p.get("required") for p in parameters) else {}
    return [own, *({p["name"]: asked[p["name"]]} | own for p in parameters if p["in"] == "query" and p["name"] in asked and p["name"] not in own)]


def every_request(stack, its):
    """Each operation with all that may name something of acme's: method, path, query, body, and whether its path names it."""
    values = [str(value) for value in its.values()] + ["acme", "acme-vapi"]
    for method, path, parameters, operation in operations(stack):
        for query in queries(parameters, its):
            for body in bodies(operation, its):
                # What is not for tenants is closed whatever is in its places.
                for filled in paths(path, values if is_for_tenants(parameters) else values[:2]):
                    yield method, path, filled, query, body


@pytest.fixture
def two(stack):
    """The stack with acme, whose campaign has called, and bravo; keys of both."""
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 20, "outcome": "SALE"}}])
    stack.start()
    spread_ids(stack)
    keys = {name: new_tenant(stack, name) for name in ("acme", "bravo")}
    for key in keys.values():
        wait_known(stack, key)
    its = fill(stack, keys["acme"], MARK)
    stack.wait_count(1, "calls", "tenant_id = 'acme' and outcome = 'SALE'")
    stack.wait_count(0, "live")
    its = undetermined(stack, its)
    settled(stack)
    return stack, keys, its


def test_its_campaign_dials_with_its_own_sealed_credentials(two):
    stack, keys, its = two
    posts = [r for r in stack.sim.process.http.get("/requests?n=256").json() if r["method"] == "POST" and its["called"] in r["body"]]
    assert len(posts) == 1 and stack.sim.dialed(its["called"]) == 1
    digest = hashlib.sha256(f"Bearer {CREDENTIALS['acme']['api_key']}".encode()).hexdigest()
    assert posts[0]["headers"]["authorization"] == f"sha256:{digest}"
    assert json.loads(posts[0]["body"])["assistantId"] == "acme-assistant"
    stored = stack.row("select encode(credentials, 'escape') as sealed, * from carillon.accounts where name = 'acme-vapi'")
    assert stored["credential_names"] == ["api_key", "webhook_secret"] and "acme-key" not in str(stored)
    # Neither credentials nor keys are told again, to anybody, or logged.
    shown = call(stack, ADMIN, "GET", "/api/accounts/acme-vapi").json()
    assert shown["credentials"] == ["api_key", "webhook_secret"]
    told = [call(stack, ADMIN, "GET", f"/api/{path}").text for path in ("accounts", "api-keys", "tenants")]
    told += [process.log_text() for process in stack.processes]
    for secret in (*keys.values(), CREDENTIALS["acme"]["api_key"], CREDENTIALS["bravo"]["api_key"]):
        assert not any(secret in text for text in told)
    assert not stack.count("api_keys", "hash = convert_to(%s, 'UTF8')", keys["acme"])
    # Two others for it: they count from the next call on; none: it is not dialed with.
    stack.db.execute("update carillon.accounts set breaker_until = '2999-01-01', breaker_reason = '401' where name = 'acme-vapi'")
    assert made(call(stack, ADMIN, "PATCH", "/api/accounts/acme-vapi", json={"max_concurrent": 5}), 200)["breaker_reason"] == "401"
    changed = made(call(stack, ADMIN, "PATCH", "/api/accounts/acme-vapi", json={"credentials": {"api_key": "another"}, "settings": {"phone_number_id": None}}), 200)
    assert changed["credentials"] == ["api_key"] and changed["settings"] == {"assistant_id": "acme-assistant"}
    assert (changed["max_concurrent"], changed["breaker_until"], changed["breaker_reason"]) == (5, None, None)
    removed = made(call(stack, ADMIN, "DELETE", "/api/accounts/acme-vapi"), 200)
    assert (removed["credentials"], removed["active"]) == ([], False)


@pytest.mark.timeout(600)  # a few thousand requests
def test_another_tenants_key_sees_and_changes_nothing(two):
    stack, keys, its = two
    before, tried, open_to_tenants = belongings(stack), 0, set()
    for method, path, filled, query, body in every_request(stack, its):
        answer = call(stack, keys["bravo"], method, filled, params=query, json=body)
        what = f"{method} {filled} {query} {body}: {answer.status_code} {answer.text[:1000]}"
        assert answer.status_code < 500, what
        assert MARK not in answer.text, what
        if "{" in path:
            assert answer.status_code in HIDDEN, what
        if answer.status_code not in (401, 403):
            open_to_tenants.add((method, path))
        tried += 1
    assert tried > 1000 and len(open_to_tenants) > 25
    assert belongings(stack) == before
    # What is acme's is there for acme.
    for path in ("/api/leads", f"/api/leads/{its['lead']}", "/api/suppressions", "/api/campaigns", "/api/calls", "/api/admin/redial-queue/records",
                 f"/api/calls/{its['undetermined']}"):
        assert MARK in call(stack, keys["acme"], "GET", path).text, path
    assert call(stack, keys["acme"], "GET", "/api/follow-ups").json()["follow_ups"][0]["id"] == its["follow_up"]
    assert call(stack, keys["acme"], "GET", "/api/scheduler").json()["tenants"] == [
        {"tenant": "acme", "stopped": False, "since": None, "reason": None}]
    # Bravo stopped itself, by its own key, and nobody else.
    assert stack.rows("select id from carillon.tenants where stopped_at is not null") in ([{"id": "bravo"}], [])
    assert made(call(stack, keys["acme"], "POST", f"/api/calls/{its['undetermined']}/resolve", json={"decision": "close"}), 200)["changed"]


@pytest.mark.timeout(600)
def test_a_key_to_read_changes_nothing(two):
    stack, keys, its = two
    its_key, all_key = new_key(stack, "read", tenant="acme")["key"], new_key(stack, "read")["key"]
    wait_known(stack, its_key)
    wait_known(stack, all_key)
    before, read = belongings(stack), 0
    for method, _, filled, query, body in every_request(stack, its):
        for key in (its_key, all_key):
            if method == "GET" and body is None and query.get("tenant") is None:
                answer = call(stack, key, method, filled, params=query)
                assert answer.status_code < 500, (filled, answer.text)
                read += answer.status_code == 200
            elif method != "GET":
                assert call(stack, key, method, filled, params=query, json=body).status_code in (401, 403), (method, filled)
                break
    assert read > 30
    assert belongings(stack) == before
    # A key to all sees all, or, asked for it, one.
    assert MARK in call(stack, all_key, "GET", "/api/leads").text
    for tenant, key in keys.items():
        for path in ("/api/leads", "/api/campaigns", "/api/calls", "/api/suppressions", "/api/admin/redial-queue/records"):
            seen = [call(stack, who, "GET", path, params=query).json() for who, query in ((key, {}), (all_key, {"tenant": tenant}))]
            assert [{k: v for k, v in s.items() if k != "timestamp"} for s in seen[:1]] == [{k: v for k, v in s.items() if k != "timestamp"} for s in seen[1:]]
    answer = call(stack, all_key, "GET", "/api/leads?tenant=nobody")
    assert answer.status_code == 422 and "tenant" in answer.json()["detail"]
    # What a key to all makes is one tenant's too.
    assert made(call(stack, ADMIN, "POST", "/api/leads?tenant=bravo", json={"external_id": "b-1"}))["tenant"] == "bravo"
    assert made(call(stack, ADMIN, "POST", "/api/leads", json={"external_id": "b-1"}))["tenant"] == "default"


def test_keys_end(stack):
    stack.start("producer")
    revoked, expiring = new_key(stack), new_key(stack, expires_at=(datetime.now(UTC) + timedelta(seconds=6)).isoformat())
    for key in (revoked, expiring):
        wait_known(stack, key["key"])
    assert made(call(stack, ADMIN, "DELETE", f"/api/api-keys/{revoked['id']}"), 200)["revoked_at"]
    wait_known(stack, revoked["key"], 401)
    time.sleep(max(0, datetime.fromisoformat(expiring["expires_at"]).timestamp() - time.time()))
    wait_known(stack, expiring["key"], 401)
    kept = new_key(stack)["key"]
    wait_known(stack, kept)
    # Those known last go on while PostgreSQL is away: it is the database that can't be asked, not the key that is wrong.
    stack.servers.postgres.stop()
    assert call(stack, kept, "GET", "/api/leads").status_code == 503
    assert call(stack, revoked["key"], "GET", "/api/leads").status_code == 401
    stack.servers.postgres.start()
    wait = time.monotonic() + 20
    while call(stack, kept, "GET", "/api/leads").status_code != 200:
        assert time.monotonic() < wait
        time.sleep(0.1)
    for method, path, _, _ in operations(stack):
        filled = paths(path, ["1"])[0]
        assert call(stack, None, method, filled, json={} if method != "GET" else None).status_code == 401, (method, path)


def test_what_is_wrong_with_them_is_told(stack):
    stack.start("producer", SECRET_KEY="")
    account = {"name": "one", "provider": "vapi"}
    assert call(stack, ADMIN, "POST", "/api/accounts", json=account | {"credentials": {"api_key": "x"}}).status_code == 409
    made(call(stack, ADMIN, "POST", "/api/accounts", json=account))
    assert call(stack, ADMIN, "POST", "/api/accounts", json=account).status_code == 409
    for method, path, body, fields in (
            ("POST", "accounts", {"name": "A", "provider": "pigeon", "tenant": "nobody", "active": 1, "max_concurrent": -1, "settings": [], "colour": 1},
             {"name", "provider", "tenant", "active", "max_concurrent", "settings", "colour"}),
            ("POST", "accounts", account | {"settings": {"api_key": "x", "base_url": "ftp://x", "webhook_auth": "none"}, "credentials": {"auth_token": None, "api_key": 5}},
             {"settings.api_key", "settings.base_url", "settings.webhook_auth", "credentials.auth_token", "credentials.api_key"}),
            ("POST", "accounts", account | {"credentials": "a secret"}, {"credentials"}),
            ("PATCH", "accounts/one", {"name": "two", "provider": "omni", "tenant": "default"}, {"name", "provider", "tenant"}),
            ("POST", "tenants", {"id": "A b", "name": "", "colour": 1}, {"id", "name", "colour"}),
            ("PATCH", "tenants/default", {"id": "other"}, {"id"}),
            ("POST", "api-keys", {"role": "admin", "tenant": "nobody", "expires_at": "2020-01-01T00:00:00Z"}, {"name", "role", "tenant", "expires_at"})):
        answer = call(stack, ADMIN, method, f"/api/{path}", json=body)
        assert answer.status_code == 422 and {e["field"] for e in answer.json()["errors"]} == fields, answer.text
    for method, path, status in (("PATCH", "accounts/omni", 409), ("DELETE", "accounts/omni", 409), ("PATCH", "accounts/none", 404), ("DELETE", "accounts/none", 404),
                                 ("GET", "accounts/none", 404), ("GET", "tenants/none", 404), ("PATCH", "tenants/none", 404), ("DELETE", "api-keys/77", 404)):
        assert call(stack, ADMIN, method, f"/api/{path}", json={} if method == "PATCH" else None).status_code == status, (method, path)
    assert call(stack, ADMIN, "GET", "/api/accounts/omni").json()["credentials"] is None
