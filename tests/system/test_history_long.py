# SPDX-License-Identifier: Apache-2.0
"""A long history (tests/bench/history.sql; tests/bench/history measures it at full length): every filter gives what a plain query of
all rows gives, without a table being read through."""

import os
import subprocess
import time
from pathlib import Path
from urllib.parse import urlencode

from lib.stack import SECRETS

FILL = Path(__file__).resolve().parents[1] / "bench" / "history.sql"
CALLS = 60_000
TABLES = "('calls', 'follow_ups', 'leads', 'ended_calls')"

# All of it, as it should be shown.
ALL = """
    with entry as (
        select c.claimed_at as at, c.job_id, null::bigint as follow_up_id, c.lane_id, c.lead_id, c.status as ledger,
            case when c.status in ('dialing', 'ringing') then 'calling' when c.status = 'rejected' and c.refusal = 'number' then 'failed'
                when c.status in ('rejected', 'not_dialed') then 'put back' else c.status end as word
        from carillon.calls c
        union all
        select f.created_at, null, f.id, f.lane_id, f.lead_id, null,
            case when f.status in ('pending', 'queued') then 'scheduled' else 'cancelled' end
        from carillon.follow_ups f where f.status in ('pending', 'queued', 'cancelled', 'skipped')
    )
    select coalesce(job_id::text, 's' || follow_up_id) as id from entry e join carillon.leads l on l.id = e.lead_id
    where {} order by at desc, job_id desc nulls last, follow_up_id desc limit 1000
"""
SHOWN = "word <> 'put back'"


def page(stack, query):
    answer = stack.producer.http.get(f"/api/calls?{urlencode(query)}", headers={"X-API-Key": SECRETS["ADMIN_API_KEY"]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(stack, query):
    """Up to a thousand: pages may be short."""
    found, after = [], {}
    while len(found) < 1000:
        answer = page(stack, query | {"limit": 1000} | after)
        found += [one["id"] for one in answer["calls"]]
        if not answer["next"]:
            break
        after = {"after": answer["next"]}
    return found[:1000]


def scans(stack):
    """Statistics come a while after the fact."""
    time.sleep(2)
    return stack.value(f"select sum(seq_scan) from pg_stat_user_tables where schemaname = 'carillon' and relname in {TABLES}")


def test_every_filter_of_a_long_history(stack):
    stack.start("producer", SCHEDULE="external")
    stack.db.execute("update carillon.lanes set active = false")
    subprocess.run(["psql", "-X", "-q", "-v", f"calls={CALLS}", "-f", FILL, stack.database_url()], check=True, stdout=subprocess.DEVNULL,
                   env=os.environ | {"PGOPTIONS": "-c client_min_messages=warning"}, timeout=150)
    lane = "lane_id = (select lane_id from carillon.campaigns where id = {})"
    middle = stack.value("select to_char(now() at time zone 'utc' - interval '180 days', 'YYYY-MM-DD')")
    half = f"at >= '{middle}T00:00:00Z' and at < timestamptz '{middle}T00:00:00Z' + interval '1 day'"
    lead = stack.value("select lead_id from carillon.follow_ups where status = 'cancelled' order by id limit 1")
    name = "coalesce(l.first_name, '') || ' ' || coalesce(l.last_name, '') ilike '%{}%'"
    cases = [({}, SHOWN)]
    cases += [({"status": word}, f"word = '{word}'")
              for word in ("scheduled", "calling", "in_progress", "completed", "failed", "cancelled", "unknown", "undetermined")]
    cases += [({"status": word}, f"ledger = '{word}'") for word in ("dialing", "ringing", "rejected", "not_dialed")]
    cases += [({"campaign": 1}, f"{SHOWN} and {lane.format(1)}"), ({"campaign": 60}, f"{SHOWN} and {lane.format(60)}"),
              ({"campaign": 7, "status": "failed"}, f"word = 'failed' and {lane.format(7)}"),
              ({"campaign": 7, "status": "cancelled", "to": middle}, f"word = 'cancelled' and {lane.format(7)} and at < timestamptz '{middle}' + interval '1 day'"),
              ({"from": middle, "to": middle}, f"{SHOWN} and {half}"), ({"from": middle, "to": middle, "status": "rejected"}, f"ledger = 'rejected' and {half}"),
              ({"lead_id": lead}, f"{SHOWN} and e.lead_id = {lead}"), ({"q": "zebulon q"}, f"{SHOWN} and {name.format('zebulon q')}"),
              ({"q": "JAMES S"}, f"{SHOWN} and {name.format('james s')}"), ({"q": "aa", "status": "completed"}, f"word = 'completed' and {name.format('aa')}"),
              ({"q": "501555"}, f"{SHOWN} and l.phone_e164 like '%501555%'"), ({"q": "smith", "campaign": 3}, f"{SHOWN} and {lane.format(3)} and {name.format('smith')}")]
    for query, _ in cases:  # the connection's first plans
        page(stack, query)
    before = scans(stack)
    shown = [ids(stack, query) for query, _ in cases]
    assert scans(stack) == before
    for (query, where), found in zip(cases, shown):
        wanted = [row["id"] for row in stack.rows(ALL.format(where))]
        assert found == wanted, query
    assert all(shown), [query for (query, _), found in zip(cases, shown) if not found]
