# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL, Kafka and the schema registry: started once a session, the registry when it is asked for, by the scripts of deploy/local.

A test may stop, kill or freeze them; the fixture `stack` sets them right again for the next test.
"""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg

from .ports import free_port

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "deploy" / "local"
POSTGRES_PASSWORD = "system-tests-postgres-password"


class Server:
    """A server with a script SCRIPT start|stop|kill DIR PORT."""

    script = ""
    extra_env: dict[str, str] = {}

    def __init__(self, directory: Path):
        self.directory = directory
        self.frozen = False
        self.used = False
        self._take_ports()

    def _take_ports(self) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"

    def _run(self, verb: str) -> None:
        done = subprocess.run(
            [SCRIPTS / self.script, verb, self.directory, str(self.port)],
            env=os.environ | self.extra_env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{self.script} {verb}: {done.stdout}{done.stderr}")

    def start_first(self) -> None:
        """Starts it on other ports if a program that asks nobody for a port has taken one meanwhile."""
        for attempt in range(3):
            try:
                return self.start()
            except RuntimeError as refusal:
                taken = any(words in str(refusal) for words in ("Address already in use", "is taken by another program"))
                if not taken or attempt == 2:
                    raise
            self._run("kill")
            self._take_ports()

    def start(self) -> None:
        """Ready when it returns; nothing happens if it runs."""
        self.used = True
        if self.frozen:
            self.thaw()
        self._run("start")

    def restore(self) -> None:
        """Runs again, if it ever did."""
        if self.used:
            self.start()

    def stop(self) -> None:
        """Orderly."""
        if self.frozen:
            self.thaw()
        self._run("stop")

    def kill(self) -> None:
        """At once, as a crash."""
        self._run("kill")
        self.frozen = False

    def pids(self) -> list[int]:
        raise NotImplementedError

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self.frozen = True
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        self.frozen = False
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT)


class JavaServer(Server):
    pidfile = ""

    def pids(self) -> list[int]:
        return [int((self.directory / self.pidfile).read_text().split()[0])]


@dataclass
class Listener:
    """One that tells its clients to come to another port, where a proxy may listen."""

    broker_port: int
    port: int


class Kafka(JavaServer):
    script = "kafka.sh"
    pidfile = "kafka.pid"

    def _take_ports(self) -> None:
        super()._take_ports()
        self.proxied = {kind: Listener(free_port(), free_port()) for kind in ("producer", "consumer", "webhook")}
        controller = free_port()
        listeners, advertised = f"PLAINTEXT://{self.address}", f"PLAINTEXT://{self.address}"
        protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
        for kind, listener in self.proxied.items():
            listeners += f",{kind.upper()}://127.0.0.1:{listener.broker_port}"
            advertised += f",{kind.upper()}://127.0.0.1:{listener.port}"
            protocols += f",{kind.upper()}:PLAINTEXT"
        # Deleted topics are really gone soon, and so many small ones cost little. Of a setting that is given twice the last counts.
        self.extra_env = {
            "KAFKA_CONTROLLER_PORT": str(controller),
            "KAFKA_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",  # it does not live long enough for better code to pay
            "KAFKA_CONF": "log.index.size.max.bytes=65536\nfile.delete.delay.ms=1000\n"
                          f"listeners={listeners},CONTROLLER://127.0.0.1:{controller}\n"
                          f"advertised.listeners={advertised}\nlistener.security.protocol.map={protocols}\n",
        }


class Registry(JavaServer):
    """Few tests need it: it starts when one asks for its URL."""

    script = "registry.sh"
    pidfile = "registry.pid"

    @property
    def url(self) -> str:
        if not self.used:
            self.start_first()
        return f"http://{self.address}/apis/ccompat/v7"


class Postgres(Server):
    script = "postgres.sh"

    def __init__(self, directory: Path):
        super().__init__(directory)
        # Processes are killed in these tests, the machine is not: fsync would only cost time.
        self.extra_env = {
            "POSTGRES_PASSWORD": POSTGRES_PASSWORD,
            "POSTGRES_CONF": "fsync = off\nmax_connections = 300\nlog_min_messages = warning",
        }

    def url(self, database: str, user: str = "postgres", password: str = POSTGRES_PASSWORD) -> str:
        return f"postgresql://{user}:{password}@{self.address}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.url(database), autocommit=True)

    def pids(self) -> list[int]:
        """The postmaster and its children: a frozen postmaster alone would let sessions go on."""
        first = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def psql_file(self, database: str, path: Path, **variables: str) -> None:
        """Runs a file with psql, variables in its environment."""
        subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", path],
            env=os.environ
            | variables
            | {
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGUSER": "postgres",
                "PGPASSWORD": POSTGRES_PASSWORD,
                "PGDATABASE": database,
            },
            check=True,
            stdin=subprocess.DEVNULL,
        )
