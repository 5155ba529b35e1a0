# SPDX-License-Identifier: Apache-2.0
"""A wrong configuration is told whole, at once, with exit code 2, before any connection is made."""

import select
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from lib.stack import BIN, SECRETS

PROCESSES = ["producer", "consumer", "webhook"]


def run(process, *options, **environment):
    return subprocess.run([BIN / f"carillon-{process}", *options], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20)


def named(done):
    """The variables that are complained about, in order."""
    return [line.split(":", 1)[0] for line in done.stderr.splitlines()[1:]]


@pytest.fixture
def servers_seen():
    """An address for all servers, and whether anybody has come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1], lambda: bool(select.select([listener], [], [], 0)[0])


WRONG = {
    "producer": {
        "LISTEN": "nowhere", "LOG_LEVEL": "loud", "TICK_MS": "0", "LEAD_WINDOW": "25:00-26:00", "SECRET_KEY": "abc123",
        "UNKNOWN_ZONE": "open", "SCHEDULE": "sometimes", "VAPI_API_KEY": "key-of-vapi", "OMNI_AGENT_ID": "seven",
        "OMNI_BASE_URL": "ftp://omni", "REDIAL_MAX_ATTEMPTS": "0", "AUTO_MIGRATE": "perhaps", "TOPIC_PREFIX": "a b",
        "TWILIO_NUMBER": "12", "KAFKA_PROPERTIES": "/nonexistent/kafka.properties", "WORKFLOW_ZONE": "Mars/Olympus",
        "WORKFLOW_HOURS": "9-5", "CLASSIFICATION_UNCLEAR": "guess", "STUCK_MINUTES": "soon",
    },
    "consumer": {
        "LISTEN": "127.0.0.1:99999", "ROLES": "dispatch,dance", "HTTP_SLOTS": "-1", "PROVIDER_TIMEOUT_S": "58",
        "VAPI_BASE_URL": "http://vapi.test", "KAFKA_SESSION_TIMEOUT_MS": "5", "RECORD_BATCH_MAX": "many",
        "WATCHDOG_MS": "1e9", "SCHEMA_REGISTRY_URL": "registry", "RETRY_BASE_S": "4000",
    },
    "webhook": {
        "LISTEN": "127.0.0.1", "WEBHOOK_BODY_MAX": "5000000", "WEBHOOK_SNAPSHOT": "/tmp/snapshot",
        "VAPI_WEBHOOK_AUTH": "none", "GENERIC_WEBHOOK_SECRET": "whsec_???", "PUBLIC_WEBHOOK_URL": "http://public.test",
        "WEBHOOK_MAX_CONNECTIONS": "1", "CONVOSO_FIELDS": "phone_number=Phone,phone=Number", "CONVOSO_TIME_ZONE": "half past nine",
    },
}
# Beside the wrong ones: what belongs to them and is missing, or breaks a rule between two.
FURTHER = {"producer": {"VAPI_ASSISTANT_ID", "VAPI_PHONE_NUMBER_ID"}, "consumer": set(), "webhook": {"SECRET_KEY"}}
NOT_ITSELF = {"producer": {"VAPI_API_KEY"}, "consumer": set(), "webhook": {"WEBHOOK_SNAPSHOT"}}


@pytest.mark.parametrize("process", PROCESSES)
def test_every_problem_at_once_and_no_connection(process, servers_seen):
    port, anybody_came = servers_seen
    wrong = WRONG[process]
    done = run(process, DATABASE_URL=f"postgresql://u:p@127.0.0.1:{port}/db", KAFKA_BROKERS=f"127.0.0.1:{port}", **wrong)
    assert done.returncode == 2
    complaints = named(done)
    assert sorted(complaints) == sorted(set(wrong) - NOT_ITSELF[process] | FURTHER[process])
    for line in done.stderr.splitlines()[1:]:
        assert ";" in line, f"says not what to do: {line}"
    assert "abc123" not in done.stderr and "key-of-vapi" not in done.stderr
    assert not done.stdout
    assert not anybody_came()


@pytest.mark.parametrize("process", PROCESSES)
def test_missing_ones(process):
    done = run(process)
    assert (done.returncode, named(done)) == (2, ["DATABASE_URL", "KAFKA_BROKERS"])
    assert run(process, "--no-such-option").returncode == 2


def test_open_to_others_only_with_keys(servers_seen):
    port, anybody_came = servers_seen
    servers = {"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/db", "KAFKA_BROKERS": f"127.0.0.1:{port}", "LISTEN": "0.0.0.0:0"}
    done = run("producer", **servers)
    assert (done.returncode, named(done)) == (2, ["ADMIN_API_KEY", "N8N_DISPATCH_SECRET"])
    done = run("producer", **servers, CRON_JOB_SECRET="secret")
    assert (done.returncode, named(done)) == (2, ["ADMIN_API_KEY"])
    assert not anybody_came()


@pytest.mark.parametrize("process", PROCESSES)
def test_what_is_shown_of_it(stack, process):
    settings = stack.add(process).environment
    shown = run(process, "--print-config", **settings)
    assert shown.returncode == 0
    values = dict(line.split("=", 1) for line in shown.stdout.splitlines())
    for name in set(SECRETS) & set(values):
        assert values[name] == "********"
    assert not any(secret in shown.stdout + shown.stderr for secret in SECRETS.values())
    assert values["KAFKA_BROKERS"] == stack.servers.kafka.address
    told = run(process, "--help").stdout
    assert all(name in told for name in values)
    assert run(process, "--version").stdout.startswith(f"carillon-{process} ")



def test_every_connection_is_checked(stack):
    """By each process, and each connection by itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    changes = [{}, {"DATABASE_URL": f"postgresql://u:p@{nobody}/db"}, {"KAFKA_BROKERS": nobody}]
    cases = [(kind, stack.add(kind).environment | change) for kind in PROCESSES for change in changes]

    def wrong(case):
        done = run(case[0], "--check-config", **case[1])
        lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        assert {"PostgreSQL", "Kafka"} <= set(lines), done
        return done.returncode, [name for name, said in lines.items() if said != "good"]

    with ThreadPoolExecutor(len(cases)) as pool:
        assert list(pool.map(wrong, cases)) == [(0, []), (1, ["PostgreSQL"]), (1, ["Kafka"])] * len(PROCESSES)
