# SPDX-License-Identifier: Apache-2.0
"""/api/leads/{id}/explain says what the claim does: for a thousand leads of all kinds, and at other times than now."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg

from lib.stack import SECRETS

SQL = Path(__file__).resolve().parents[2] / "producer" / "sql"
KEY = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}
LANE_GATES = ("stopped", "lane", "day", "holiday", "window")
FINAL = ("no_phone", "number", "stage", "suppressed")
SEED = 20261121


def explain(stack, lead, at=None):
    return stack.producer.http.get(f"/api/leads/{lead}/explain", headers=KEY, params={"at": at} if at else {})


def holds(answer):
    return [gate["gate"] for gate in answer["gates"] if gate["verdict"] == "hold"]


def clock(now, hours):
    return (now + timedelta(hours=hours)).strftime("%H:00")


# ---- A thousand leads -----------------------------------------------------------------------------------------------


class World:
    """Lanes closed and limited in every way, and leads with every fact that a gate asks for."""

    def __init__(self, stack):
        self.stack, self.random, self.expected = stack, random.Random(SEED), {}
        self.now = datetime.now(timezone.utc)
        for tenant in ("resting", "silent"):
            stack.insert("tenants", id=tenant, name=tenant)
        stack.db.execute("update tenants set stopped_at = now() where id = 'silent'")
        for day in (-1, 0, 1):
            stack.insert("holidays", tenant_id="resting", day=(self.now + timedelta(days=day)).date())
        stack.db.execute("update settings set value = value || '{\"enabled\": false, \"running\": false}' where key = 'redial'")
        stack.db.execute("update lanes set window_start = null, window_end = null, next_at = '-infinity' where name = 'redial'")
        self.omni = stack.value("select id from accounts where name = 'omni'")
        self.broken = self.account("broken", breaker_until=self.now + timedelta(hours=2))
        self.crowded = self.account("crowded", max_concurrent=1)
        self.off = self.account("off", active=False)
        today = self.now.isoweekday()
        other_days = [day for day in range(1, 8) if day not in (today, today % 7 + 1, (today + 5) % 7 + 1)]
        stack.db.execute("update lanes set max_concurrent = 0, batch_per_run = 0, account_id = %s where name = 'follow_ups'", (self.omni,))
        self.lanes = {
            "follow_ups": stack.value("select id from lanes where name = 'follow_ups' and tenant_id = 'default'"),
            "redial": stack.value("select id from lanes where name = 'redial' and tenant_id = 'default'"),
            "resting": stack.value("select id from lanes where name = 'follow_ups' and tenant_id = 'resting'"),
            "silent": stack.value("select id from lanes where name = 'follow_ups' and tenant_id = 'silent'"),
            "plain": self.lane("plain"),
            "by_zone": self.lane("by_zone", use_lead_window=False),
            "short": self.lane("short", window_start=clock(self.now, -1), window_end=clock(self.now, 2), time_zone="UTC"),
            "day": self.lane("day", days=other_days, time_zone="UTC"),
            "window": self.lane("window", window_start=clock(self.now, 3), window_end=clock(self.now, 5), time_zone="UTC"),
            "inactive": self.lane("inactive", active=False),
            "full": self.lane("full", max_concurrent=1),
            "slow": self.lane("slow", rate_per_second=0.001, tokens=-50),
            "capped": self.lane("capped", cap_24h=1),
            "weekly": self.lane("weekly", cap_7d=2, cap_24h=2),
            "broken": self.lane("broken", account_id=self.broken),
            "crowded": self.lane("crowded", account_id=self.crowded),
            "no_account": self.lane("no_account", account_id=None),
            "off": self.lane("off", account_id=self.off),
        }
        self.live(stack.phone(), self.lanes["full"], self.omni)
        self.live(stack.phone(), self.lanes["plain"], self.crowded)

    def account(self, name, **columns):
        return self.stack.insert("accounts", name=name, provider="omni", **columns)["id"]

    def lane(self, name, **columns):
        return self.stack.insert("lanes", name=name, **({"account_id": self.omni, "max_concurrent": 0, "batch_per_run": 0} | columns))["id"]

    def live(self, phone, lane, account):
        self.stack.db.execute(
            "insert into live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, lease_until, next_check_at)"
            " values (gen_random_uuid(), 'default', %s, %s, %s, -1, 'in_progress', now() + interval '1 day', now() + interval '1 day')",
            (phone, lane, account))

    def called(self, phone, hours):
        self.stack.insert("calls", job_id=self.stack.value("select gen_random_uuid()"), tenant_id="default", follow_up_id=-1, kind="follow_up",
                          lane_id=self.lanes["plain"], lead_id=-1, account_id=self.omni, provider="omni", phone=phone, attempt=1,
                          status="completed", worker="w/1", due_at=self.now, claimed_at=self.now - timedelta(hours=hours))

    def chance(self, per_cent):
        return self.random.random() * 100 < per_cent

    def lead(self):
        """One more. Most facts are such that only now and then one holds; several may."""
        lane = self.random.choice([*self.lanes, *["follow_ups", "plain"] * 8])
        tenant = lane if lane in ("resting", "silent") else "default"
        phone = self.stack.phone()
        facts = {
            "tenant_id": tenant,
            "phone": self.random.choice([None, "", "call me", "+19005550101", "911"]) if self.chance(8) else phone,
            "time_zone": self.random.choice(["UTC", "UTC", "Etc/GMT-2", "Etc/GMT+2"]),
            "stage": self.random.choice(["closed", "lost", "nurturing"]) if self.chance(12)
            else self.random.choice(["new", "contacted", "visit_scheduled"]),
            "paused": self.chance(6),
            "auto_follow_up": not self.chance(15) and lane != "redial",  # who is redialed was called
        }
        if self.chance(12):
            facts["time_zone"] = self.random.choice(["Etc/GMT+8", "Etc/GMT-8", "Etc/GMT-12", "Mars/Base"])
        if self.chance(6):
            facts["call_date"] = self.now
        lead = self.stack.insert("leads", **facts)["id"]
        if self.chance(8):
            ends = self.random.choice([None, self.now + timedelta(days=1), self.now - timedelta(seconds=5)])
            self.stack.insert("suppressions", tenant_id=tenant, phone=phone, expires_at=ends)
        if self.chance(4):
            self.live(phone, self.lanes["plain"], self.omni)
        if lane in ("capped", "weekly") or self.chance(3):
            for hours in self.random.choice([(1,), (30,), (1, 30), (40, 50), (24 * 8,), ()]):
                self.called(phone, hours)
        # A lane of its own needs a follow-up; the lead source makes one for the rest, unless one is there that forbids it.
        if lane not in ("follow_ups", "resting", "silent") or self.chance(40):
            status = self.random.choice(["pending"] * 9 + ["completed", "cancelled", "skipped", "failed", "undetermined"])
            due = self.now + timedelta(days=1) if self.chance(8) else self.now - timedelta(minutes=self.random.randrange(60))
            retry = self.now + timedelta(hours=1) if status == "pending" and self.chance(6) else None
            kind = "redial" if lane == "redial" else "follow_up"
            self.stack.insert("follow_ups", tenant_id=tenant, lead_id=lead, lane_id=self.lanes[lane], kind=kind, status=status, due_at=due,
                              next_look_at=retry, priority=self.random.randrange(3), reason="test" if status == "skipped" else None)
        if self.chance(3):
            self.stack.db.execute("update leads set seeded_at = now() where id = %s", (lead,))
        return lead


def claim(stack):
    """What the producer's next run would do, undone afterwards: jobs, what it wrote of held ones, and how many a lane's gate held."""
    statements = {name: (SQL / f"{name}.sql").read_text() for name in ("seed_leads", "lock_lanes", "lock_accounts", "claim")}
    token = "00000000-0000-4000-8000-000000000001"
    with psycopg.connect(stack.database_url("producer"), cursor_factory=psycopg.RawCursor, row_factory=psycopg.rows.dict_row) as db:
        db.execute(statements["seed_leads"], ["100000"])
        db.execute(statements["lock_lanes"], [token, "true", "false"])
        db.execute(statements["lock_accounts"], [token])
        rows = db.execute(statements["claim"], [token, "test", "100000", "300"]).fetchall()
        after = db.execute("select id, lead_id, status, gate, reason, next_look_at from carillon.follow_ups").fetchall()
        db.rollback()
    return rows, after


def what_holds(answer):
    """The gate that stops the claim: the lane as a whole first, then its limits, then the first in order."""
    held = holds(answer)
    for group in (("follow_up",), ("due",), LANE_GATES, ()):
        for gate in held:
            if gate in group:
                return gate
    facts = {gate["gate"]: gate["facts"] for gate in answer["gates"]}
    if facts["concurrency"]["lane_free"] == 0:
        return "concurrency"
    if "rate" in held:
        return "rate"
    if held[0] == "lead_window" and "no_common_window" in held:
        return "no_common_window"
    return held[0]


def test_explain_agrees_with_the_claim_for_a_thousand_leads(stack):
    window = {"LEAD_WINDOW": f"{clock(datetime.now(timezone.utc), -5)}-{clock(datetime.now(timezone.utc), 5)}"}
    stack.start("producer", **window)
    stack.producer.stop()
    world = World(stack)
    with stack.db.transaction():
        leads = [world.lead() for _ in range(1000)]
    stack.db.execute("analyze")
    before = {row["id"]: row for row in stack.rows("select id, status, gate, next_look_at from follow_ups")}
    stack.producer.environment["PRODUCER_ROLES"] = "api"
    stack.producer.start()
    stack.wait_until(lambda: explain(stack, leads[0]).status_code == 200, 10, "the API answers")
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(leads, (answer.json() for answer in pool.map(lambda lead: explain(stack, lead), leads))))

    rows, after = claim(stack)
    jobs = {row["lead_id"] for row in rows if row["row"] == "job"}
    allowed = {lead for lead, answer in answers.items() if answer["allowed"]}
    assert allowed == jobs, [(lead, lead in jobs, holds(answers[lead])) for lead in sorted(allowed ^ jobs)]
    assert all((answer["next_allowed_at"] == answer["at"]) == (lead in allowed) for lead, answer in answers.items())

    latest = {row["lead_id"]: row for row in after if row["id"] not in before or before[row["id"]]["status"] == "pending"}
    by_lane, seen = {}, set()
    for lead in set(leads) - jobs:
        gate, row = what_holds(answers[lead]), latest.get(lead)
        seen.add(gate)
        touched = row and (row["id"] not in before or before[row["id"]] != {key: row[key] for key in ("id", "status", "gate", "next_look_at")})
        if gate == "follow_up":
            assert row is None, (lead, row)
        elif gate in ("due", "concurrency", "rate"):
            assert not touched or (row["id"] not in before and row["gate"] is None), (lead, gate, row)
        elif gate in LANE_GATES:
            assert row["status"] == "pending" and row["gate"] is None, (lead, gate, row)
            by_lane[gate] = by_lane.get(gate, 0) + (answers[lead]["gates"][7]["facts"]["active"])
        elif gate in FINAL:
            assert (row["status"], row["reason"]) == ("skipped", gate), (lead, gate, row)
        else:
            assert (row["status"], row["gate"]) == ("pending", gate), (lead, gate, row)
    written = {}
    for row in after:
        if row["gate"] and row["id"] in {one["id"] for one in latest.values()}:
            written[row["gate"]] = written.get(row["gate"], 0) + 1
    told = {row["gate"]: 0 for row in rows if row["row"] == "held"}
    for row in rows:
        if row["row"] in ("held", "skipped"):
            told[row["gate"]] = told.get(row["gate"], 0) + row["n"]
    assert told == {gate: n for gate, n in (written | by_lane).items() if n}
    assert seen >= {"follow_up", "due", *LANE_GATES, *FINAL, "concurrency", "rate", "paused", "credentials", "breaker", "zone", "lead_window",
                    "no_common_window", "live", "cap"}
    assert 150 < len(allowed) < 700

    # And the processes dial those, and nobody else.
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 50}}])
    stack.producer.restart(PRODUCER_ROLES="schedule,api")
    stack.start("consumer", "webhook", **window)
    numbers = {row["phone"] for row in stack.rows("select phone from leads where id = any(%s)", [*allowed])}
    stack.wait_until(lambda: stack.ledger()["total"] >= len(numbers), 60, lambda: f"{len(numbers)} calls, not {stack.ledger()['total']}")
    stack.wait_count(0, "follow_ups", "status in ('queued', 'dialing')")
    stack.assert_rung(numbers)


# ---- The answer -----------------------------------------------------------------------------------------------------


def test_times_and_facts(stack):
    stack.start("producer", LEAD_WINDOW="08:00-21:00", PRODUCER_ROLES="api")
    stack.db.execute("update settings set value = '{\"start\": \"08:00\", \"end\": \"21:00\"}' where key = 'lead_window'")
    account = stack.insert("accounts", name="line", provider="omni")
    stack.db.execute("update lanes set account_id = %s where name = 'follow_ups'", (account["id"],))
    lead = stack.lead()["id"]

    night = explain(stack, lead, "2031-06-17T03:00:00-04:00").json()
    assert set(night) == {"lead_id", "at", "allowed", "next_allowed_at", "follow_up", "gates"}
    assert (night["lead_id"], night["at"], night["allowed"], night["follow_up"]) == (lead, "2031-06-17T07:00:00.000Z", False, None)
    assert holds(night) == ["lead_window"] and night["next_allowed_at"] == "2031-06-17T12:00:00.000Z"
    gates = {gate["gate"]: gate for gate in night["gates"]}
    assert all(set(gate) == {"gate", "verdict", "facts", "opens_at"} for gate in night["gates"])
    assert gates["lead_window"]["opens_at"] == night["next_allowed_at"]
    assert gates["lead_window"]["facts"] == {"start": "08:00:00", "end": "21:00:00", "zones": ["America/New_York"], "used": True}
    assert gates["follow_up"]["facts"] == {"follow_up_id": None, "would_be_made": True, "why_not": []}
    # The "+" of an offset may arrive as a blank.
    for at in ("2031-06-17T14:00:00+02:00", "2031-06-17T14:00:00 02:00", "2031-06-17T12:00Z"):
        day = explain(stack, lead, at).json()
        assert day["allowed"] and day["next_allowed_at"] == day["at"] == "2031-06-17T12:00:00.000Z", day
    for change, why in (("stage = 'nurturing'", "its stage is not one to call in"), ("auto_follow_up = false", "auto_follow_up is off"),
                        ("call_date = now()", "it has a call_date"), ("phone = null", "it has no phone")):
        other = stack.lead()["id"]
        stack.db.execute(f"update leads set {change} where id = %s", (other,))
        answer = explain(stack, other, "2031-06-17T12:00Z").json()
        assert not answer["allowed"] and answer["next_allowed_at"] is None
        assert answer["gates"][0]["facts"]["why_not"] == [why]
    done = stack.insert("follow_ups", lead_id=lead, due_at="2031-06-01T00:00:00Z", status="completed")
    assert explain(stack, lead).json()["gates"][0]["facts"]["why_not"] == [f"follow-up {done['id']} is completed"]
    # What time opens adds up; what a person must end has no time.
    stack.insert("follow_ups", lead_id=lead, due_at="2031-06-20T02:00:00Z")
    stack.db.execute("update accounts set breaker_until = '2031-06-20 03:00Z' where id = %s", (account["id"],))
    answer = explain(stack, lead, "2031-06-17T07:00:00Z").json()
    assert holds(answer) == ["due", "breaker", "lead_window"] and answer["next_allowed_at"] == "2031-06-20T12:00:00.000Z"
    assert answer["follow_up"]["status"] == "pending"
    stack.db.execute("update leads set paused = true where id = %s", (lead,))
    answer = explain(stack, lead, "2031-06-17T07:00:00Z").json()
    assert "paused" in holds(answer) and answer["next_allowed_at"] is None
    stack.db.execute("update leads set paused = false where id = %s", (lead,))
    again = explain(stack, lead, "2031-06-20T12:00:00Z").json()
    assert again["allowed"]


NO_TIMES = ["tomorrow", "2026-06-17", "2026-06-17T12:00:00", "2026-02-30T12:00:00Z", "0000-01-01T00:00:00Z", "infinity",
            "2026-06-17T25:00:00Z", "1" * 4000, "2026-06-17T12:00:00Z'; drop table leads; --", ""]


def test_a_time_that_is_none(stack):
    stack.start("producer", PRODUCER_ROLES="api")
    lead = stack.lead()["id"]
    for at in NO_TIMES:
        answer = stack.producer.http.get(f"/api/leads/{lead}/explain", headers=KEY, params={"at": at})
        assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "at", answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    for unknown in ("999999", "x", "-1", "99999999999999999999"):
        assert explain(stack, unknown).status_code == 404
    assert stack.producer.http.get(f"/api/leads/{lead}/explain").status_code == 401
