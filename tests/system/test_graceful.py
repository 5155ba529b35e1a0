# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in the middle of work: what is on the wire is finished and written down, within the unit's time, and nothing becomes unknown."""

import re
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from lib import events
from lib.stack import SECRETS

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "carillon@.service"
STOP_S = int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.M)[1])
ADMIN = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}


def stop(process):
    """It ends well, in time; how long it took."""
    began = time.monotonic()
    assert process.stop(timeout=STOP_S) == 0
    return time.monotonic() - began


def test_a_consumer_with_posts_in_flight(stack):
    stack.sim.script([{"action": {"latency_ms": 1500, "call_ms": 100, "outcome": "TRANSFERRED"}}])
    first, = stack.start("producer", "webhook", "consumer")[2:]
    stack.leads(60)
    stack.wait_until(lambda: first.metric("carillon_posts_in_flight") >= 20, 30, "twenty POSTs on the wire")
    took = stop(first)
    # Every POST that had begun was waited for, and its answer is in the ledger.
    assert took > 0.5
    dialed = stack.ledger()["total"]
    assert dialed >= 20 and stack.count("calls", "provider_call_id is not null") == dialed
    assert stack.count("calls", "status in ('dialing', 'unknown', 'undetermined')") == 0
    # Another takes what was left.
    second = stack.add("consumer").start()
    stack.wait_count(60, "calls", "status = 'completed'", timeout=60)
    assert stack.ledger()["total"] == 60
    assert second.metric("carillon_dispatched_total", result="unknown") == second.metric("carillon_reconciled_total") == 0
    stack.assert_nothing_lost()


def test_a_webhook_that_is_told_much(stack):
    stack.start("producer", "webhook")
    taken, broken = [], []

    def tell(teller):
        with httpx.Client(base_url=stack.webhook.url, timeout=20, trust_env=False) as client:
            for number in range(100_000):
                call = f"{teller:08d}-0000-4000-8000-{number:012d}"
                try:
                    answer = client.post(events.VAPI_PATH, json=events.vapi_status(call, "ringing"), headers=events.VAPI_HEADERS)
                except httpx.ConnectError:
                    return  # it listens no more
                except httpx.HTTPError as error:
                    broken.append((call, error))
                    return
                if answer.status_code != 202:
                    broken.append((call, answer.status_code))
                    return
                taken.append(call)

    tellers = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
    # Beside them one who never comes to an end.
    with socket.create_connection(("127.0.0.1", stack.webhook.port)) as slow:
        slow.sendall(f"POST {events.VAPI_PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n".encode())
        for teller in tellers:
            teller.start()
        stack.wait_until(lambda: len(taken) > 200, 30, "two hundred events")
        took = stop(stack.webhook)
        for teller in tellers:
            teller.join()
    assert took < 15
    # A connection that is idle when the server ends may close under a client's next request, which was not read then; no request that
    # was read is without its answer.
    kept = {message.key for message in stack.topics.read("calls.event.v1")}
    assert set(taken) <= kept
    assert all(isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)) or error == 503 for _, error in broken), broken
    assert kept - set(taken) <= {call for call, _ in broken}


def unfinished_upload(stack, campaign):
    """A connection in the middle of its file."""
    connection = socket.create_connection(("127.0.0.1", stack.producer.port))
    connection.sendall(f"POST /api/campaigns/{campaign}/contacts HTTP/1.1\r\nHost: a\r\nX-API-Key: {ADMIN['X-API-Key']}\r\n"
                       "Content-Type: text/csv\r\nContent-Length: 1000000\r\n\r\nname,phone\r\n".encode())
    connection.sendall(b"".join(b"A,+1212555%04d\r\n" % (100 + n) for n in range(100)))
    return connection


@pytest.mark.parametrize("upload", [False, True], ids=["scheduling", "with an upload"])
def test_a_producer_that_schedules(stack, upload):
    stack.start("consumer", "producer", "webhook")
    made = stack.producer.http.post("/api/campaigns", headers=ADMIN, json={"name": "unfinished", "account": "omni"})
    campaign = made.json()["id"]
    connection = unfinished_upload(stack, campaign) if upload else None
    stack.leads(200)
    stack.wait_until(lambda: stack.count("follow_ups", "status <> 'pending'") > 20, 20, "some are claimed")
    took = stop(stack.producer)
    assert took < 25
    if connection:
        connection.settimeout(5)
        assert connection.recv(65536).startswith((b"HTTP/1.1 503", b"HTTP/1.1 408"))
        connection.close()
    # What it had published is dialed, what it had not is claimed by the next, each once.
    stack.producer.start()
    stack.wait_count(200, "follow_ups", "status = 'completed'", timeout=90)
    assert stack.ledger()["total"] == 200
    assert stack.count("calls", "status in ('unknown', 'undetermined')") == 0
    assert stack.count("campaign_contacts") == 0
