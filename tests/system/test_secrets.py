# SPDX-License-Identifier: Apache-2.0
"""Secrets and numbers in every place where they can stand, and everything that fails told at the most talkative level: the logs, what
programs print, metrics and the API's answers have none of them."""

import json
import subprocess

from lib import databases, events
from lib.stack import BIN, SECRETS

KAFKA_PASSWORD = "kafka-password-2b9d6f1c"
URL_PASSWORD = "url-password-91c3a7e5"
CREDENTIAL = "credential-7f3e9b20c1"
GUESS = "guessed-secret-5d1c8a"  # a wrong one may be a right one mistyped
FURTHER = (KAFKA_PASSWORD, URL_PASSWORD, CREDENTIAL, GUESS)
OMNI = SECRETS["OMNI_WEBHOOK_TOKEN"]
ADMIN = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}
PROCESSES = ("producer", "consumer", "webhook")


def say_all(number):
    """As an answer that repeats what it was asked with."""
    return json.dumps({"error": f"Authorization: Bearer {SECRETS['OMNI_API_KEY']} to {number}: refused", "seen": list(SECRETS.values())})


def dial_badly(stack):
    ways = [{"status": 400, "body": say_all("+12125550142")}, {"status": 422, "body": say_all("2125550142")}, {"status": 500, "body": say_all("x")},
            {"garbage": True}, {"reset_after_body": True}, {"reset_before_body": True}, {"status": 200, "body": say_all("y"), "dialed": True},
            {"status": 200, "body": '{"success": false, "message": "Invalid phone number +12125550142, (212) 555-0142"}'},
            {"status": 401, "body": say_all("z")}]
    leads = stack.leads(len(ways))
    stack.sim.script([{"match": {"phone": lead["phone"]}, "action": way} for lead, way in zip(leads, ways, strict=True)])
    stack.wait_until(lambda: stack.consumer.metric("carillon_dispatched_total") >= len(ways) - 1, 40, "all tried")


def tell_badly(stack):
    http, phone = stack.webhook.http, "+12125550143"
    good = json.dumps(events.omni_report(7, phone))
    for path in (f"/webhooks/omni/omni/{GUESS}", f"/webhooks/omni/omni/{OMNI}x", f"/webhooks/{OMNI}/omni", f"/webhooks/omni/{OMNI}",
                 f"/webhooks/omni/omni?token={OMNI}", f"/{OMNI}", f"/webhooks/omni/omni/{OMNI}/{OMNI}", f"/webhooks/omni/omni/{OMNI}%00"):
        assert http.post(path, content=good).status_code in (400, 401, 404), path
    for headers in ({"X-Vapi-Secret": GUESS}, {"Authorization": f"Bearer {GUESS}"}, {"Authorization": f"Basic {GUESS}"},
                    {"x-timestamp": GUESS, "x-signature": GUESS}):
        assert http.post(events.VAPI_PATH, headers=headers, content=good).status_code == 401
    for body in (f'{{"secret": "{OMNI}", "phone": "{phone}"', f"{OMNI} {phone}", "[" * 5000, f'{{"a":"{OMNI}","a":"{phone}"}}'):
        assert http.post(events.OMNI_PATH, content=body).status_code == 400
        assert http.post(events.VAPI_PATH, headers=events.VAPI_HEADERS, content=body).status_code == 400
    assert http.post(events.OMNI_PATH, content=OMNI.encode() * 80_000).status_code == 413
    assert http.post(events.OMNI_PATH, content=good).status_code == 202


def ask_badly(stack):
    http = stack.producer.http
    key = ADMIN["X-API-Key"]
    for path in (f"/api/leads?api_key={key}", f"/api/leads/{key}", f"/{key}", f"/api/jobs/call-dispatch?secret={SECRETS['CRON_JOB_SECRET']}"):
        assert http.get(path).status_code in (401, 404), path
    for headers in ({"X-API-Key": GUESS}, {"Authorization": f"Bearer {GUESS}"}, {"x-cron-secret": GUESS}):
        assert http.get("/api/leads", headers=headers).status_code == 401
        assert http.post("/api/jobs/call-dispatch", headers=headers).status_code == 401
    answers = []
    for account in ({"credentials": {"api_key": CREDENTIAL, "colour": CREDENTIAL}}, {"credentials": CREDENTIAL}, {"credentials": {"api_key": [CREDENTIAL]}},
                    {"settings": {"base_url": f"ftp://user:{URL_PASSWORD}@host"}}, {"credentials": {"api_key": CREDENTIAL}, "colour": "red"}):
        answers.append(http.post("/api/accounts", headers=ADMIN, json={"name": "x", "provider": "omni"} | account))
        assert answers[-1].status_code == 422, answers[-1].text
    made = {"name": "x", "provider": "omni", "credentials": {"api_key": CREDENTIAL}}
    answers.append(http.post("/api/accounts", headers=ADMIN, json=made))
    assert answers[-1].status_code == 201
    answers += [http.get(f"/api/{path}", headers=ADMIN) for path in ("accounts", "accounts/x", "tenants", "api-keys", "settings", "calls", "dead-letters", "scheduler")]
    answers.append(http.post("/api/leads", headers=ADMIN, json={"phone": "+1212555014", "colour": "red"}))
    return [answer.text for answer in answers[5:]]


def run(stack, process, *options, **environment):
    done = subprocess.run([BIN / f"carillon-{process}", *options], env=stack.process(process).environment | environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_nothing_tells_them(stack, tmp_path):
    properties = tmp_path / "kafka.properties"
    properties.write_text(f"sasl.username=carillon\nsasl.password={KAFKA_PASSWORD}\n")
    everywhere = {"KAFKA_PROPERTIES": properties, "LOG_LEVEL": "debug"}
    stack.start(**everywhere)
    said = ask_badly(stack)
    tell_badly(stack)
    dial_badly(stack)
    # The database goes away in the middle of it, and comes back with other passwords.
    stack.servers.postgres.kill()
    stack.wait_until(lambda: not stack.producer.ready(), 20, "it is missed")
    assert stack.webhook.http.post(events.OMNI_PATH, json=events.omni_report(8, "+12125550144")).status_code == 202
    stack.servers.postgres.start()
    for name in PROCESSES:
        stack.process(name).wait_ready(60)

    for name in PROCESSES:
        said += [run(stack, name, "--print-config"), run(stack, name, "--help"), run(stack, name, "--check-config"),
                 run(stack, name, "--check-config", DATABASE_URL=f"postgresql://nobody:{URL_PASSWORD}@{stack.servers.postgres.address}/{stack.name}"),
                 run(stack, name, SECRET_KEY=CREDENTIAL, SCHEMA_REGISTRY_URL=f"ftp://user:{URL_PASSWORD}@registry", LISTEN=f"{URL_PASSWORD}@nowhere",
                     DATABASE_URL=f"postgresql://user:{URL_PASSWORD}@[broken", PUBLIC_WEBHOOK_URL=f"gopher://user:{URL_PASSWORD}@host"),
                 stack.process(name).http.get("/metrics").text, stack.process(name).http.get("/readyz").text]
        said.append(stack.process(name).log_text())
    secrets = (*SECRETS.values(), *FURTHER, *map(databases.login_password, databases.LOGINS))
    for text in said:
        told = [secret for secret in secrets if secret in text]
        assert not told, (told, text[max(text.index(told[0]) - 300, 0):][:600])
    # The log tells of it all the same.
    assert list(stack.webhook.log_events("webhook.refused")) and list(stack.webhook.log_events("webhook.unreadable"))
