# SPDX-License-Identifier: Apache-2.0
"""What the page shows as it happens: figures by server-sent events, one question for all who look, and the calls of an hour and a day."""

import json
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
from lib.stack import SECRETS

ADMIN = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}
COUNTS = ("waiting", "due", "dialing", "live", "doneToday", "undetermined", "deadLetters")


class Stream:
    """The events of one stream, as they come: (when, figures). Comments are counted."""

    def __init__(self, lines):
        self.events, self.comments, self.ended = [], 0, threading.Event()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines):
        name = None
        try:
            for line in lines:
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    assert name == "figures"
                    self.events.append((time.monotonic(), json.loads(line[6:])))
                elif line.startswith(":"):
                    self.comments += 1
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()

    @property
    def last(self):
        return self.events[-1][1] if self.events else {}

    def wait(self, stack, probe, seconds=40):
        stack.wait_until(lambda: self.events and probe(self.last), seconds, "figures that show it")
        return self.last


@contextmanager
def watching(producer, headers=None, query=""):
    with httpx.Client(base_url=producer.url, timeout=30, trust_env=False) as http, \
            http.stream("GET", f"/api/live{query}", headers=ADMIN if headers is None else headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream" and answer.headers["cache-control"] == "no-cache"
        yield Stream(answer.iter_lines())


def get(stack, path, status=200, headers=None, **more):
    answer = stack.producer.http.get(path, headers=ADMIN if headers is None else headers, **more)
    assert answer.status_code == status, answer.text
    return answer.json()


def new_key(stack, **more):
    made = stack.producer.http.post("/api/api-keys", json={"name": "a viewer", "role": "read"} | more, headers=ADMIN).json()
    stack.wait_until(lambda: stack.producer.http.get("/api/leads?limit=1", headers={"X-API-Key": made["key"]}).status_code == 200, 10, "the key known")
    return made


def test_figures_follow_the_calls(stack):
    stack.sim.script([{"action": {"latency_ms": 5, "call_ms": 20, "outcome": "SALE"}}])
    stack.db.execute("update carillon.lanes set use_lead_window = false where name = 'follow_ups'")
    stack.start()
    with watching(stack.producer) as stream:
        began = time.monotonic()
        first = stream.wait(stack, lambda f: True, 10)
        assert stream.events[0][0] - began < 4
        assert all(first[name] == 0 for name in COUNTS) and first["successRateToday"] is None and first["oldestDueSeconds"] is None
        assert first["stopped"] is False and first["kafka"]["ok"] is True and first["postgres"]["ok"] is True
        heard = stream.wait(stack, lambda f: {"producer", "consumer", "webhook"} <= {p["name"] for p in f["processes"]} and len(f["kafka"]["lag"]) == 2)
        assert set(heard["kafka"]["lag"].values()) == {0} and all(p["seenSecondsAgo"] < 10 for p in heard["processes"])
        assert "omni" in {b["account"] for b in first["breakers"]} and {b["state"] for b in first["breakers"]} == {"closed"}
        # Stopped, the calls wait; started, they are made.
        stack.producer.http.post("/api/scheduler/stop", json={}, headers=ADMIN).raise_for_status()
        stack.leads(5)
        stream.wait(stack, lambda f: f["stopped"] and f["waiting"] == 5)
        stack.producer.http.post("/api/scheduler/start", json={}, headers=ADMIN).raise_for_status()
        assert stream.wait(stack, lambda f: f["lastStopSeconds"] is not None)["lastStopSeconds"] < 5
        done = stream.wait(stack, lambda f: f["doneToday"] == 5 and f["successRateToday"] == 1)
        assert (done["waiting"], done["stopped"], done["dialing"], done["live"]) == (0, False, 0, 0)
        stack.db.execute("update carillon.accounts set breaker_until = now() + interval '1 hour', breaker_reason = '401' where name = 'omni'")
        stack.insert("dead_letters", topic="x", partition=0, offset=1, reason="no message")
        seen = stream.wait(stack, lambda f: f["deadLetters"] == 1)
        assert [b for b in seen["breakers"] if b["account"] == "omni"][0]["state"] == "open"
        # Nothing changes: comments, and the same again every five seconds.
        events, comments = len(stream.events), stream.comments
        time.sleep(6.5)
        assert 1 <= len(stream.events) - events <= 4 and stream.comments - comments >= 3
    for name, size in (("hour", 61), ("day", 289)):
        series = get(stack, f"/api/live/series?range={name}")
        assert {len(series[part]) for part in ("t", "dispatched", "answered", "succeeded")} == {size}
        assert [sum(series[part]) for part in ("dispatched", "answered", "succeeded")] == [5, 5, 5]
        assert series["t"][-1] <= time.time() < series["t"][-1] + (60 if name == "hour" else 300) + 2
        assert {b - a for a, b in zip(series["t"], series["t"][1:])} == {60 if name == "hour" else 300}
    assert get(stack, "/api/live/series") == get(stack, "/api/live/series?range=hour")
    assert get(stack, "/api/live/series?range=week", 422)["errors"][0]["field"] == "range"
    assert get(stack, "/api/live?events=0", 422) and get(stack, "/api/live?events=x", 422)
    # For who wants to know once.
    once = stack.producer.http.get("/api/live?events=1", headers=ADMIN).text
    assert once.count("event: figures") == 1 and json.loads(once.partition("data: ")[2].partition("\n")[0])["doneToday"] == 5


def test_a_tenant_sees_its_own_alone(stack):
    stack.start("producer", SCHEDULE="external")
    for tenant in ("acme", "bravo"):
        stack.producer.http.post("/api/tenants", json={"id": tenant, "name": tenant}, headers=ADMIN).raise_for_status()
    stack.producer.http.post("/api/accounts", json={"name": "acme-vapi", "provider": "vapi", "tenant": "acme"}, headers=ADMIN).raise_for_status()
    acme, bravo = ({"X-API-Key": new_key(stack, tenant=tenant)["key"]} for tenant in ("acme", "bravo"))
    lane = stack.value("select id from carillon.lanes where tenant_id = 'acme' and name = 'follow_ups'")
    account = stack.value("select id from carillon.accounts where name = 'acme-vapi'")
    lead = stack.lead(tenant_id="acme", auto_follow_up=False)
    stack.insert("follow_ups", tenant_id="acme", lead_id=lead["id"], lane_id=lane, due_at="2999-01-01T00:00:00Z")
    job = stack.value("select carillon.uuid_v7()")
    stack.insert("calls", job_id=job, tenant_id="acme", lead_id=lead["id"], lane_id=lane, account_id=account, kind="follow_up", provider="vapi", phone=lead["phone"],
                 attempt=1, status="completed", worker="a worker", due_at="2026-01-01T00:00:00Z", posted_at=stack.value("select now()"), outcome="SALE")
    stack.insert("dead_letters", topic="x", partition=0, offset=1, reason="no message")
    with watching(stack.producer, acme) as one, watching(stack.producer, bravo) as other, watching(stack.producer) as all_of_them, \
            watching(stack.producer, query="?tenant=acme") as as_acme:
        for stream, calls in ((one, 1), (other, 0), (all_of_them, 1), (as_acme, 1)):
            figures = stream.wait(stack, lambda f: True)
            assert (figures["waiting"], figures["doneToday"], figures["successRateToday"]) == (calls, calls, 1 if calls else None)
            assert figures["deadLetters"] == (1 if stream is all_of_them else 0)
            assert ("acme-vapi" in {b["account"] for b in figures["breakers"]}) == bool(calls)
        assert not other.last["processes"] and not other.last["kafka"]["lag"] and "acme" not in json.dumps(other.last)
        # Its own stop is its own.
        stack.producer.http.post("/api/scheduler/stop", json={"tenant": "acme"}, headers=ADMIN).raise_for_status()
        assert one.wait(stack, lambda f: f["stopped"]) and not other.last["stopped"] and not all_of_them.last["stopped"]
    assert sum(get(stack, "/api/live/series", headers=acme)["dispatched"]) == 1
    assert sum(get(stack, "/api/live/series", headers=bravo)["dispatched"]) == 0
    assert get(stack, "/api/live?tenant=acme", 403, headers=bravo) and get(stack, "/api/live", 401, headers={})


def test_all_streams_share_one_question_and_there_is_an_end_to_them(stack):
    stack.db.execute(f"alter database \"{stack.name}\" set track_functions = 'pl'")
    stack.start("producer", SCHEDULE="external")
    asked = "select coalesce(sum(calls), 0)::integer from pg_stat_user_functions where funcname = 'live_figures'"
    with ExitStack() as streams:
        opened = [streams.enter_context(watching(stack.producer)) for _ in range(128)]
        for stream in opened:
            stream.wait(stack, lambda f: f["kafka"]["ok"])
        refused = stack.producer.http.get("/api/live", headers=ADMIN)
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        before = stack.value(asked)
        time.sleep(5)
        assert 1 <= stack.value(asked) - before <= 20
        # Others are served all the while.
        assert get(stack, "/api/leads")["leads"] == []
    stack.wait_until(lambda: stack.producer.http.get("/api/live?events=1", headers=ADMIN).status_code == 200, 10, "room for another")
    # Who has gone is not asked for.
    time.sleep(2)
    before = stack.value(asked)
    time.sleep(3)
    assert stack.value(asked) == before


def test_a_stream_ends_with_what_it_was_opened_with(stack):
    stack.start("producer", SCHEDULE="external")
    key = new_key(stack)
    signed_in = stack.producer.http.post("/api/session", json={"key": SECRETS["ADMIN_API_KEY"]})
    stack.producer.http.cookies.clear()
    session = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0], "X-CSRF-Token": signed_in.json()["csrf"]}
    with watching(stack.producer, {"X-API-Key": key["key"]}) as by_key, watching(stack.producer, session) as by_session, watching(stack.producer) as stays:
        for stream in (by_key, by_session, stays):
            stream.wait(stack, lambda f: True)
        stack.producer.http.delete(f"/api/api-keys/{key['id']}", headers=ADMIN).raise_for_status()
        assert by_key.ended.wait(5) and not by_session.ended.is_set()
        stack.producer.http.delete("/api/session", headers=session).raise_for_status()
        assert by_session.ended.wait(5)
        # A producer that stops does not wait for who looks.
        began = time.monotonic()
        stack.producer.stop()
        assert time.monotonic() - began < 15 and stays.ended.wait(2)


def test_what_does_not_answer_is_told(stack):
    stack.start("producer", SCHEDULE="external")
    stack.leads(1)
    with watching(stack.producer) as stream:
        stream.wait(stack, lambda f: f["postgres"]["ok"] and f["kafka"]["ok"])
        stack.servers.postgres.stop()
        down = stream.wait(stack, lambda f: not f["postgres"]["ok"])
        assert "waiting" in down  # as it was last known
        stack.servers.postgres.start()
        stream.wait(stack, lambda f: f["postgres"]["ok"], 30)
        assert not stream.ended.is_set()
