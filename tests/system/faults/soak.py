# SPDX-License-Identifier: Apache-2.0
"""tests/run faults --hours N: leads fall due at a steady rate, and every few seconds something breaks, as the seed says.

The second producer and consumer are killed and put to sleep; the first ones and the webhook live all the time, with bad links
and servers that go away, and their memory and descriptors must stay as they are. At the end all has to be in the books.
"""

import os
import random
import threading
import time
from collections import Counter

import psycopg
import pytest
from lib import faults, oracles
from lib.proxy import KINDS, Fault, Network, route
from lib.stack import test_phones
from lib.workload import QUICK

HOURS = float(os.environ.get("CARILLON_SOAK_HOURS", "0.5"))
SEED = int((os.environ.get("CARILLON_FAULT_SEEDS") or "0").partition("-")[0])
RATE = int(os.environ.get("CARILLON_SOAK_RATE", "200"))
RECOVERED_S = 300
AMOUNTS = {"cut": "1-3", "stall": "1-4", "stall_answers": "1-4", "delay": "20-200", "drip": "20000-200000",
           "reset_request": "1-20000", "reset_response": "1-20000", "reset": "0"}
MORE_KB, MORE_DESCRIPTORS = 4096, 8  # in a third of the time


class Chaos:
    """Something every few seconds; each ends by itself before the next."""

    def __init__(self, stack, network, dice):
        self.stack, self.network, self.dice = stack, network, dice
        self.done = Counter()
        self._next = time.monotonic() + 20

    def look(self) -> None:
        if time.monotonic() < self._next:
            return
        what = self.dice.choices((self._link, self._kill, self._sleep, self._server), (12, 3, 2, 2))[0]
        what()
        self._next = time.monotonic() + self.dice.uniform(6, 16)

    def _link(self) -> None:
        name = self.dice.choice(sorted(self.network.proxies))
        kind = self.dice.choice(KINDS)
        self.network.proxies[name].tell(Fault.draw(f"{kind}={AMOUNTS[kind]}", self.dice))
        self.done[f"{name} {kind}"] += 1

    def _second(self):
        return self.stack.process(self.dice.choice(("producer2", "consumer2")))

    def _kill(self) -> None:
        process = self._second()
        process.kill()
        process.start(wait=False)
        self.done[f"{process.name} killed"] += 1

    def _sleep(self) -> None:
        process = self._second()
        process.freeze()
        threading.Timer(self.dice.randint(1, faults.ASLEEP_S) - 0.5, process.thaw).start()
        self.done[f"{process.name} asleep"] += 1
        time.sleep(faults.ASLEEP_S)

    def _server(self) -> None:
        name, kind = self.dice.choice((("postgres", "freeze"), ("kafka", "freeze"), ("postgres", "kill"), ("kafka", "kill")))
        server = getattr(self.stack.servers, name)
        getattr(server, kind)()
        time.sleep(self.dice.uniform(1, 3))
        server.start()
        self.done[f"{name} {'killed' if kind == 'kill' else 'asleep'}"] += 1


class Leads(threading.Thread):
    """RATE leads a second. What the database's absence has held up comes after it."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.made = 0
        self._url = stack.database_url()
        self._phones = list(test_phones())[1:]  # the first is the caller's
        self._over = threading.Event()

    def run(self) -> None:
        began, db = time.monotonic(), None
        while not self._over.wait(0.25):
            due = min(int((time.monotonic() - began) * RATE) - self.made, 10 * RATE)
            phones = [self._phones[(self.made + n) % len(self._phones)] for n in range(due)]
            try:
                db = db if db and not db.closed else psycopg.connect(self._url, autocommit=True)
                db.execute("insert into carillon.leads (phone, time_zone) select unnest(%s::text[]), 'America/New_York'", [phones])
                self.made += due
            except psycopg.OperationalError:  # none of them, or all, and nobody says: the database has the count
                if db:
                    db.close()
        if db:
            db.close()

    def end(self) -> None:
        self._over.set()
        self.join()


def settled(stack):
    try:
        return (stack.count("leads", "seeded_at is null") == 0
                and stack.count("follow_ups", "status in ('pending', 'queued', 'dialing') and kind = 'follow_up'") == 0
                and stack.count("live") == 0 and stack.topics.lag("record") == 0)
    except (psycopg.OperationalError, AssertionError):
        return False


def told(stack, chaos, usage, seconds):
    """The summary; what is not flat; and that as many were dialed as the rate says."""
    late = stack.row("select percentile_disc(array[0.5, 0.99]) within group (order by extract(epoch from posted_at - due_at)) as p"
                     " from calls where posted_at is not null and attempt = 1")["p"]
    dialed = stack.sim.stats()["posts"]
    print(f"\nsoak of {seconds / 60:.1f} min, seed {SEED}: {dialed} POSTs, {dialed / seconds:.0f}/s; late p50 {late[0]:.2f} s, p99 {late[1]:.2f} s")
    print("  " + ", ".join(f"{what} {times}" for what, times in sorted(chaos.done.items())))
    print("  calls: " + ", ".join(f"{row['status']} {row['n']}" for row in stack.rows("select status, count(*) as n from calls group by 1")))
    wrong = [] if dialed >= 0.95 * RATE * seconds else [f"{dialed} POSTs are less than {RATE}/s"]
    for (name, pid), (d0, d1, k0, k1) in sorted(usage.least().items()):
        lived = usage.seen[name, pid][-1][0] - usage.seen[name, pid][0][0]
        if lived < seconds / 2:
            continue
        print(f"  {name}: descriptors {d0} -> {d1}, memory {k0 / 1024:.1f} -> {k1 / 1024:.1f} MiB; now and then "
              + ", ".join(f"{d}/{k / 1024:.0f}" for _, d, k in usage.seen[name, pid][::max(len(usage.seen[name, pid]) // 20, 1)]))
        if d1 > d0 + MORE_DESCRIPTORS or k1 > k0 + MORE_KB:
            wrong.append(f"O5 {name} grows: descriptors {d0} -> {d1}, memory {k0} -> {k1} KiB")
    return wrong


@pytest.fixture
def network():
    made = Network()
    yield made
    made.close()


@pytest.mark.timeout(int(HOURS * 3600) + 1800)
def test_soak(network, stack):
    oracles.watch(stack)
    environment = route(stack, network)
    stack.db.execute("update carillon.lanes set active = false where name = 'redial'")
    stack.db.execute("update carillon.lanes set max_concurrent = 4000, batch_per_run = 0 where name = 'follow_ups'")
    stack.sim.script([{"action": {"outcome": {"SALE": 2, "BUSY": 1, "VOICEMAIL": 1}, "call_ms": 300, "latency_ms": 20}}])
    settings = QUICK | {"MAX_CALL_S": 60, "LOG_LEVEL": "warn", "TICK_MS": 1000, "SWEEP_INTERVAL_S": 5}
    for kind in ("producer", "consumer", "webhook", "producer", "consumer"):
        stack.add(kind, **settings, **environment(kind))
    stack.producer.start()
    stack.topics.wait_led()
    for process in stack.processes[1:]:
        process.start()
    leads, chaos, usage = Leads(stack), Chaos(stack, network, random.Random(SEED)), oracles.Usage()
    began, looked = time.monotonic(), 0.0
    leads.start()
    while (now := time.monotonic()) < began + HOURS * 3600:
        chaos.look()
        if now - looked > 5:
            usage.look(stack.processes, now)
            looked = now
        time.sleep(0.05)
    assert leads.is_alive(), "what makes leads has failed"
    leads.end()
    for proxy in network.proxies.values():
        proxy.heal()
    seconds = time.monotonic() - began
    for process in stack.processes:
        process.wait_ready(120)
    stack.wait_until(lambda: settled(stack), RECOVERED_S, lambda: "all is over: "
                     f"{stack.rows('select status, gate, count(*) from follow_ups group by 1, 2')}", every=1)
    wrong = told(stack, chaos, usage, seconds) + oracles.judge(stack)
    if wrong:
        raise oracles.Broken("\n".join(wrong) + f"\nagain: tests/run faults --hours {HOURS} --seeds {SEED}")
