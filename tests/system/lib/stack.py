# SPDX-License-Identifier: Apache-2.0
"""One test's own Carillon: a fresh database, its own topics, a simulator, and any number of processes."""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.datetime import TimestamptzLoader

from . import databases, oracles
from .ports import free_port
from .process import Process
from .servers import Kafka, Postgres, Registry
from .simulator import Simulator
from .topics import Topics
from .waiting import stays, wait_until

BIN = Path(os.environ.get("CARILLON_BIN_DIR", Path(__file__).resolve().parents[3] / ".build" / "asan"))
FULL = os.environ.get("CARILLON_FULL") == "1"  # the sizes that are promised, not those of the usual run

SECRETS = {
    "ADMIN_API_KEY": "admin-key-4b7c1f0a93e2",
    "CRON_JOB_SECRET": "cron-secret-0d8e5a7b21c9",
    "SECRET_KEY": "5f" * 32,
    "OMNI_API_KEY": "omni-key-77a1c2d3e4f5",
    "OMNI_WEBHOOK_TOKEN": "omni-token-19b8c7d6e5f4",
    "VAPI_API_KEY": "vapi-key-a0b1c2d3e4f6",
    "VAPI_WEBHOOK_SECRET": "vapi-secret-f6e5d4c3b2a1",
    "BLAND_API_KEY": "bland-key-c3d4e5f6a7b8",
    "BLAND_WEBHOOK_SECRET": "bland-secret-8b7a6f5e4d3c",
    "TWILIO_AUTH_TOKEN": "twilio-token-e5f6a7b8c9d0",
    "CLASSIFIER_WEBHOOK_SECRET": "whsec_Y2xhc3NpZmllci1zZWNyZXQtMDEyMzQ1Njc4OWFi",
}

# One area code a hundred numbers: 555-01XX is for fiction everywhere.
_AREA_CODES = [
    "201", "202", "203", "205", "206", "207", "208", "209", "210", "212", "213", "214", "215", "216", "217",
    "218", "219", "224", "225", "228", "229", "231", "234", "239", "240", "248", "251", "252", "253", "254",
    "256", "260", "262", "267", "269", "270", "276", "281", "301", "302", "303", "304", "305", "307", "308",
    "309", "310", "312", "313", "314", "315", "316", "317", "318", "319", "320", "321", "323", "325", "330",
    "334", "336", "337", "339", "347", "351", "352", "360", "361", "386", "401", "402", "404", "405", "406",
    "407", "408", "409", "410", "412", "413", "414", "415", "417", "419", "423", "424", "425", "432", "434",
    "440", "443", "469", "478", "479", "480", "484", "501", "502", "503", "504", "505", "507", "508", "509",
    "510", "512", "513", "515", "516", "517", "518", "520", "530", "540", "541", "551", "559", "561", "562",
    "563", "570", "571", "573", "574", "580", "585", "586", "601", "602", "603", "605", "606", "607", "608",
    "609", "610", "612", "614", "615", "616", "617", "618", "619", "620", "623", "626", "630", "631", "636",
    "641", "646", "650", "651", "660", "661", "662", "678", "682", "701", "702", "703", "704", "706", "707",
    "708", "712", "713", "714", "715", "716", "717", "718", "719", "720", "724", "727", "731", "732", "734",
    "740", "754", "757", "760", "763", "765", "770", "772", "773", "774", "775", "781", "785", "786", "801",
    "802", "803", "804", "805", "806", "808", "810", "812", "813", "814", "815", "816", "817", "818", "828",
    "830", "831", "832", "843", "845", "847", "850", "856", "857", "858", "859", "860", "862", "863", "864",
    "865", "870", "901", "903", "904", "906", "907", "908", "909", "910", "912", "913", "914", "915", "916",
    "917", "918", "919", "920", "925", "928", "931", "936", "937", "940", "941", "947", "949", "952", "954",
    "956", "970", "971", "972", "973", "978", "979", "980", "985", "989",
]


def test_phones():
    """Every number a test may dial, each once: +1 NXX 555 01XX."""
    for last, area in itertools.product(range(100), _AREA_CODES):
        yield f"+1{area}55501{last:02d}"


test_phones.__test__ = False


class _TimestamptzLoader(TimestamptzLoader):
    """Infinity, which no datetime can say, becomes None."""

    def load(self, data: Any) -> Any:
        return None if bytes(data).endswith(b"infinity") else super().load(data)


@dataclass
class Servers:
    postgres: Postgres
    kafka: Kafka
    registry: Registry


class Stack:
    """What a test works with. Nothing runs at first but the servers and the simulator.

    servers     .postgres .kafka .registry: each start() stop() kill() freeze() thaw()
    db          an autocommitting superuser connection to this test's database, rows as dicts
    sim         the Simulator
    topics      this test's Topics; the processes use their built-in schema ids, served at
                producer.url + "/registry", unless started with SCHEMA_REGISTRY_URL=servers.registry.url
    """

    wait_until = staticmethod(wait_until)
    stays = staticmethod(stays)

    def __init__(self, servers: Servers, name: str, directory: Path):
        self.servers = servers
        self.name = name
        self.directory = directory
        self.topics = Topics(servers.kafka.address, f"{name}.")
        self.processes: list[Process] = []
        self.environment: dict[str, str] = {}
        self._db: psycopg.Connection | None = None
        self._phones = test_phones()
        self._webhook_port = free_port()
        databases.clone(servers.postgres, name)
        simulator = Process(
            "simulator", "simulator", BIN / "carillon-simulator", directory, self._bare_environment(),
            ready_path="/stats",
        )
        simulator.arguments = (
            "--listen", simulator.address,
            "--webhook-url", f"http://127.0.0.1:{self._webhook_port}",
            "--omni-token", SECRETS["OMNI_WEBHOOK_TOKEN"],
            "--vapi-secret", SECRETS["VAPI_WEBHOOK_SECRET"],
            "--bland-secret", SECRETS["BLAND_WEBHOOK_SECRET"],
            "--bland-key", SECRETS["BLAND_API_KEY"],
            "--twilio-token", SECRETS["TWILIO_AUTH_TOKEN"],
            "--classifier-secret", SECRETS["CLASSIFIER_WEBHOOK_SECRET"],
        )
        self.sim = Simulator(simulator)
        self.environment = self._default_environment()
        simulator.start()

    # ---- Processes ----

    def start(self, *kinds: str, **environment: Any) -> list[Process]:
        """Starts one process of each kind, with these settings, and waits until all are ready.

        A producer is ready before the others start, since it creates the topics. Without kinds: all three.
        """
        made = [self.add(kind, **environment) for kind in kinds or ("producer", "consumer", "webhook")]
        for first in (True, False):
            group = [process for process in made if (process.kind == "producer") == first]
            for process in group:
                process.start(wait=False)
            for process in group:
                process.wait_ready()
            if first and group:
                self.topics.wait_led()
        return made

    def add(self, kind: str, **environment: Any) -> Process:
        """A further process of this kind, not yet started: producer, producer2, ..."""
        same = sum(process.kind == kind for process in self.processes)
        process = Process(kind, f"{kind}{same + 1 if same else ''}", BIN / f"carillon-{kind}", self.directory, {})
        if kind == "webhook" and not same:
            # The simulator posts its events to the first.
            process.port = self._webhook_port
            process.address = f"127.0.0.1:{process.port}"
            process.url = f"http://{process.address}"
            process.http = httpx.Client(base_url=process.url, timeout=10, trust_env=False)
        process.environment = (
            self.environment
            | {
                "DATABASE_URL": self.database_url(kind),
                "LISTEN": process.address,
                "WORKER_NAME": f"{self.name}-{process.name}",
                "WEBHOOK_SNAPSHOT": str(self.directory / f"{process.name}.snapshot"),
            }
            | {key: str(value) for key, value in environment.items()}
        )
        self.processes.append(process)
        return process

    @property
    def webhook_port(self) -> int:
        """To which the simulator posts."""
        return self._webhook_port

    def process(self, name: str) -> Process:
        found = [process for process in self.processes if process.name == name]
        assert found, f"this test has no {name}"
        return found[0]

    @property
    def producer(self) -> Process:
        return self.process("producer")

    @property
    def consumer(self) -> Process:
        return self.process("consumer")

    @property
    def webhook(self) -> Process:
        return self.process("webhook")

    def database_url(self, kind: str | None = None) -> str:
        """As the login of a kind of process; without one as the owner."""
        if kind is None:
            return self.servers.postgres.url(self.name)
        return self.servers.postgres.url(
            self.name, f"carillon_{kind}_login", databases.login_password(kind)
        )

    def _bare_environment(self) -> dict[str, str]:
        keep = ("PATH", "HOME", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LLVM_PROFILE_FILE",
                "CARILLON_CLOCK_OFFSET")
        return {key: os.environ[key] for key in keep if key in os.environ} | {"LANG": "C.UTF-8"}

    def _default_environment(self) -> dict[str, str]:
        """Quick ticks and short back-offs; an open window; all providers are the simulator."""
        return self._bare_environment() | SECRETS | {
            "KAFKA_BROKERS": self.servers.kafka.address,
            "TOPIC_PREFIX": self.topics.prefix,
            "TOPIC_PARTITIONS": "3",
            "KAFKA_SESSION_TIMEOUT_MS": "6000",
            "PUBLIC_WEBHOOK_URL": f"http://127.0.0.1:{self._webhook_port}",
            "OMNI_BASE_URL": self.sim.url,
            "OMNI_AGENT_ID": "101",
            "VAPI_BASE_URL": self.sim.url,
            "VAPI_ASSISTANT_ID": "7d3f6c1e-2b54-4c8e-9a61-0f5d2e8b7a10",
            "VAPI_PHONE_NUMBER_ID": "c2a9e4b8-61d7-4f03-8e52-93b7d0a4f6c1",
            "BLAND_BASE_URL": self.sim.url,
            "BLAND_PATHWAY_ID": "5a1b9c7e-3d2f-4e60-8b14-6c9f0a7d2e53",
            "TWILIO_BASE_URL": self.sim.url,
            "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
            "TWILIO_NUMBER": "+12025550100",
            "TWIML_URL_PRECLASSIFY": "https://instructions.example.test/preclassify",
            "ALLOW_INSECURE_PROVIDERS": "true",
            "FOLLOW_UP_ACCOUNT": "omni",
            "REDIAL_ACCOUNT": "omni",
            "LEAD_WINDOW": "00:00-24:00",
            "AUTO_MIGRATE": "false",
            "TICK_MS": "200",
            "SWEEP_INTERVAL_S": "1",
            "RETRY_BASE_S": "1",
            "LOG_LEVEL": "debug",
        }

    # ---- Database ----

    @property
    def db(self) -> psycopg.Connection:
        """Connects anew after the server was away."""
        if self._db is None or self._db.closed:
            self._db = psycopg.connect(self.database_url(), autocommit=True, row_factory=dict_row)
            self._db.adapters.register_loader("timestamptz", _TimestamptzLoader)
        return self._db

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        return self._read(query, parameters).fetchall()

    def row(self, query: str, *parameters: Any) -> dict[str, Any] | None:
        return self._read(query, parameters).fetchone()

    def _read(self, query: str, parameters: tuple[Any, ...]) -> psycopg.Cursor:
        """That the server was away meanwhile shows only when the old connection is used."""
        try:
            return self.db.execute(query, parameters or None)
        except psycopg.OperationalError:
            if not self._db.closed:
                raise
            return self.db.execute(query, parameters or None)

    def value(self, query: str, *parameters: Any) -> Any:
        """The first column of the first row."""
        found = self.row(query, *parameters)
        return next(iter(found.values())) if found else None

    def count(self, table: str, where: str = "true", *parameters: Any) -> int:
        return self.value(f"select count(*) from carillon.{table} where {where}", *parameters)

    def wait_count(self, number: int, table: str, where: str = "true", timeout: float = 30) -> None:
        wait_until(lambda: self.count(table, where) == number, timeout,
                   lambda: f"{number} rows in {table} where {where} ({self.count(table, where)} now)")

    def insert(self, table: str, **columns: Any) -> dict[str, Any]:
        """One row; dicts and lists of dicts become JSON. The whole row comes back."""
        values = [
            psycopg.types.json.Jsonb(value) if isinstance(value, dict) else value for value in columns.values()
        ]
        statement = sql.SQL("insert into carillon.{} ({}) values ({}) returning *").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        )
        return self.db.execute(statement, values).fetchone()

    # ---- Leads ----

    def phone(self) -> str:
        """A number this test has not used yet."""
        return next(self._phones)

    def lead(self, **columns: Any) -> dict[str, Any]:
        """A lead that is due for its first call at once; columns override. phone=None: none."""
        given = {"phone": self.phone() if "phone" not in columns else None, "time_zone": "America/New_York"}
        return self.insert("leads", **(given | columns))

    def leads(self, number: int, **columns: Any) -> list[dict[str, Any]]:
        """Many at once, in one transaction, so that they fall due together."""
        with self.db.transaction():
            return [self.lead(**columns) for _ in range(number)]

    # ---- The ground truth ----

    def ledger(self) -> dict[str, Any]:
        return self.sim.ledger()

    def assert_never_twice(self) -> None:
        if twice := self.sim.twice():
            raise oracles.Broken(f"dialed twice: {twice}")

    def assert_rung(self, phones) -> None:
        """Each of these numbers once, and no other."""
        rung = self.ledger()["phones"]
        if twice := {phone: times for phone, times in rung.items() if times > 1}:
            raise oracles.Broken(f"dialed twice: {twice}")
        assert rung.keys() == set(phones), f"rung: {sorted(rung)}, not {sorted(phones)}"

    def assert_nothing_lost(self) -> None:
        """Every follow-up is final, or has a next time that a process looks at."""
        lost = self.rows(
            "select id, status, reason from carillon.follow_ups"
            " where status not in ('completed', 'skipped', 'cancelled', 'failed', 'undetermined')"
            " and not (status = 'pending' and due_at is not null)"
            " and not (status in ('queued', 'dialing') and lease_until is not null)"
        )
        if lost:
            raise oracles.Broken(f"neither final nor with a next time: {lost}")

    # ---- End ----

    def close(self) -> list[str]:
        """Stops all, cleans up, and says what was wrong."""
        faults: list[str] = []
        everything = [*self.processes, self.sim.process]

        def attempt(action: Callable[[], Any]) -> None:
            try:
                action()
            except Exception as error:  # every step must be tried, and each failure told
                faults.append(f"{type(error).__name__}: {error}")

        for server in (self.servers.postgres, self.servers.kafka, self.servers.registry):
            attempt(server.restore)
        if self.sim.process.running:
            attempt(self.assert_never_twice)
        for kinds in (("producer",), ("consumer", "webhook"), ("simulator",)):
            with ThreadPoolExecutor() as pool:
                ends = [pool.submit(process.stop) for process in everything if process.kind in kinds]
            for end in ends:
                attempt(end.result)
        secrets = (*SECRETS.values(), *map(databases.login_password, databases.LOGINS))
        for process in everything:
            faults += process.faults(secrets)
            process.http.close()
        if self._db is not None:
            self._db.close()
        attempt(lambda: databases.drop(self.servers.postgres, self.name))
        attempt(self.topics.delete_all)
        return faults
