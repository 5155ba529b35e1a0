# SPDX-License-Identifier: Apache-2.0
"""The limit of a campaign's live calls is exact over any number of processes, as the provider counts them.

CARILLON_FULL=1 makes the campaign as large, and its calls as long, as those of a real one: some 17 minutes."""

import time

import pytest
from lib.stack import FULL, SECRETS

CONTACTS, CALL_MS = (5000, 2000) if FULL else (300, 300)
MOST = 10
LEAST_S = CONTACTS * CALL_MS / 1000 / MOST


@pytest.mark.timeout(180 + 5 * LEAST_S)
def test_never_more_live_calls_than_the_limit_with_four_consumers_and_two_producers(stack):
    stack.sim.script([{"action": {"latency_ms": 20, "call_ms": CALL_MS, "outcome": "SALE"}}])
    stack.start("producer", "producer", "consumer", "consumer", "consumer", "consumer", "webhook", TOPIC_PARTITIONS=12,
                KAFKA_SESSION_TIMEOUT_MS=30000)
    phones = [stack.phone() for _ in range(CONTACTS)]

    def api(method, path, body=None):
        answer = stack.producer.http.request(method, f"/api/campaigns{path}", json=body, timeout=60,
                                             headers={"X-API-Key": SECRETS["ADMIN_API_KEY"]})
        assert answer.status_code < 300, answer.text
        return answer.json()

    its = api("POST", "", {"name": "Ten at once", "account": "vapi", "assistantId": "ten-at-once", "maxConcurrent": MOST, "maxPerRun": 0,
                           "useLeadWindow": False})["id"]
    begun = time.monotonic()
    for first in range(0, CONTACTS, 1000):
        api("POST", f"/{its}/contacts", [{"phone": phone} for phone in phones[first:first + 1000]])
    stack.wait_count(CONTACTS, "calls", "outcome is not null", timeout=60 + 4 * LEAST_S)
    took_s = time.monotonic() - begun
    agent = stack.sim.stats()["agents"]["ten-at-once"]
    workers = stack.rows("select split_part(worker, '/', 1) as name, count(*) as calls from calls group by 1 order by 1")
    print(f"{CONTACTS} calls of {CALL_MS} ms, {MOST} at once: at most {agent['max_live']} live, {took_s:.1f} s of at least {LEAST_S:.1f} s;"
          f" by consumer {[row['calls'] for row in workers]}")
    assert agent["max_live"] <= MOST, "more live calls than the campaign permits"
    assert agent["max_live"] == MOST, "the limit was never reached: this shows nothing"
    stack.assert_rung(phones)
    assert len(workers) == 4, "the work was not shared"
    assert api("GET", f"/{its}/progress").items() >= {"scheduled": 0, "completed": CONTACTS}.items()
