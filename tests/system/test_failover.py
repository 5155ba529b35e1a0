# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL is promoted: nobody is dialed, whatever is due or in Kafka, until an operator has looked and says so."""

import pytest
from lib import databases
from lib.servers import Postgres
from lib.stack import BIN, SECRETS, Servers, Stack

ADMIN = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}


@pytest.fixture
def own(servers, directory, request):
    """A Carillon with a PostgreSQL of its own: to be promoted is for good."""
    logs = directory / "failover"
    logs.mkdir()
    postgres = Postgres(logs / "pg")
    postgres.start()
    try:
        databases.make_template(postgres, BIN / "carillon-producer", {"KAFKA_BROKERS": servers.kafka.address})
        made = Stack(Servers(postgres, servers.kafka, servers.registry), "failover", logs)
        request.node.stack = made
        yield made
        faults = made.close()
        assert not faults, "\n\n".join(faults)
    finally:
        postgres.kill()


def promote(stack):
    """As a standby that takes over: stopped, started as one, promoted to the next timeline."""
    postgres = stack.servers.postgres
    postgres.stop()
    (postgres.directory / "data" / "standby.signal").touch()
    postgres.start()
    with postgres.connect() as connection:
        connection.execute("select pg_promote()")


def test_nobody_is_dialed_on_another_timeline(own):
    own.sim.script([{"action": {"call_ms": 100, "outcome": "TRANSFERRED"}}])
    own.start()
    own.leads(3)
    own.wait_count(3, "calls", "status = 'completed'")
    # Some jobs are in Kafka at that moment, some are due after it.
    own.consumer.stop()
    own.leads(5)
    own.wait_count(5, "follow_ups", "status = 'queued'")
    promote(own)
    own.consumer.start(wait=False)
    own.wait_until(lambda: own.db.execute("select 1"), 20, "the database", retry=Exception)
    own.leads(2)
    own.wait_until(lambda: own.producer.ready() and own.consumer.ready(), 40, "both are connected again")
    own.stays(lambda: own.ledger()["total"] == 3, 4, "nobody else is dialed")
    state = own.producer.http.get("/api/scheduler", headers=ADMIN).json()
    assert state["stopped"] is True and "timeline" in state["reason"], state
    own.wait_until(lambda: own.producer.metric("carillon_timeline_changed") == 1, 20, "the alarm")
    assert own.producer.wait_log("postgres.timeline_changed")
    # A restart changes nothing.
    own.producer.restart()
    own.stays(lambda: own.ledger()["total"] == 3, 2, "nobody is dialed after a restart")

    said = own.producer.http.post("/api/scheduler/start", headers=ADMIN, json={"reason": "compared with the provider"})
    assert said.status_code == 200 and said.json()["changed"] is True and said.json()["stopped"] is False, said.text
    own.wait_count(10, "calls", "status = 'completed'", timeout=60)
    assert own.ledger()["total"] == 10
    assert own.value("select note from carillon.transitions where entity = 'scheduler' order by id desc") == "compared with the provider"
    own.wait_until(lambda: own.producer.metric("carillon_timeline_changed") == 0, 20, "no alarm any more")
