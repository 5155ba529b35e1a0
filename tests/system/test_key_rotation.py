# SPDX-License-Identifier: Apache-2.0
"""SECRET_KEY is replaced while calls go on: both keys open, --reseal moves to the new one, then the old one is of no use."""

import hashlib
import subprocess

from lib.stack import BIN, SECRETS

OLD, NEW = SECRETS["SECRET_KEY"], "a7" * 32
CREDENTIALS = {"api_key": "east-key-5c0d9b1e77", "webhook_secret": SECRETS["VAPI_WEBHOOK_SECRET"]}

SHOWN = "sha256:" + hashlib.sha256(f"Bearer {CREDENTIALS['api_key']}".encode()).hexdigest()


def reseal(stack, keys):
    done = subprocess.run([BIN / "carillon-producer", "--reseal"], env=stack.producer.environment | {"SECRET_KEY": keys},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    said = done.stdout + done.stderr
    assert not any(secret in said for secret in (*CREDENTIALS.values(), OLD, NEW)), said
    return done.returncode, done.stdout.strip()


def sealed(stack):
    return bytes(stack.value("select credentials from carillon.accounts where name = 'east'"))


def call_one(stack):
    """Its POST needs the key, its end the webhook's secret: both are sealed."""
    lead = stack.lead()
    stack.wait_count(1, "calls", f"lead_id = {lead['id']} and status = 'completed'")
    assert stack.sim.requests("/call", "POST")[-1]["headers"]["authorization"] == SHOWN


def stranger_files(stack):
    return [event for event in stack.webhook.log_events("snapshot.not_loaded") if "not sealed with this" in event["error"]]


def restart(stack, keys):
    for process in (stack.producer, stack.consumer, stack.webhook):
        process.restart(SECRET_KEY=keys)


def test_a_new_key(stack):
    stack.sim.script([{"action": {"call_ms": 50, "outcome": "TRANSFERRED"}}])
    stack.start("producer")
    account = {"name": "east", "provider": "vapi", "credentials": CREDENTIALS,
               "settings": {"assistant_id": "east-assistant", "phone_number_id": "east-number"}}
    made = stack.producer.http.post("/api/accounts", json=account, headers={"X-API-Key": SECRETS["ADMIN_API_KEY"]})
    assert made.status_code == 201, made.text
    stack.db.execute("update carillon.lanes set account_id = (select id from carillon.accounts where name = 'east')"
                     " where name = 'follow_ups'")
    stack.start("consumer", "webhook")
    call_one(stack)
    first = sealed(stack)
    assert not any(secret.encode() in first for secret in CREDENTIALS.values())

    restart(stack, f"{NEW},{OLD}")
    call_one(stack)
    assert sealed(stack) == first
    assert reseal(stack, NEW) == (1, "0 accounts' credentials sealed anew, 0 were already, 1 can't be opened")
    assert sealed(stack) == first
    assert reseal(stack, f"{NEW},{OLD}") == (0, "1 accounts' credentials sealed anew, 0 were already, 0 can't be opened")
    assert sealed(stack) != first
    again = sealed(stack)
    assert reseal(stack, f"{NEW},{OLD}") == (0, "0 accounts' credentials sealed anew, 1 were already, 0 can't be opened")
    assert sealed(stack) == again
    call_one(stack)

    restart(stack, NEW)
    call_one(stack)
    assert reseal(stack, OLD) == (1, "0 accounts' credentials sealed anew, 0 were already, 1 can't be opened")
    # The file of a start without PostgreSQL was sealed anew as well.
    assert not stranger_files(stack)
    stack.webhook.restart(SECRET_KEY=OLD)
    assert len(stranger_files(stack)) == 1
