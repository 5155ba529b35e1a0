# SPDX-License-Identifier: Apache-2.0
"""Proxies between our processes and PostgreSQL, Kafka, the provider and the webhook, which do to the bytes what a fault says.

A link runs from a process to what it talks to, "consumer>postgres", and has a proxy of its own:

    cut=S              all connections are reset, and new ones refused, for S seconds
    reset              all connections are reset, once
    reset_request=N    the connection that has sent N bytes from now on is reset: they arrive, nothing after them does
    reset_response=N   the same of bytes of answers
    stall=S            nothing passes for S seconds, either way; connections stay
    stall_answers=S    requests pass, no answer does
    delay=MS           every piece is so late, both ways
    drip=N             N bytes a second each way
"""

import asyncio
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .ports import free_port

_PIECE = 65536
_LINGER_NOT = struct.pack("ii", 1, 0)  # close() sends a reset
KINDS = ("cut", "reset", "reset_request", "reset_response", "stall", "stall_answers", "delay", "drip")
_LASTS_S = {"delay": 4.0, "drip": 4.0}
_FAULT = re.compile(r"^(\w+)(?:=(\d+)(?:-(\d+))?)?$")


@dataclass
class Fault:
    kind: str
    amount: int = 0

    @classmethod
    def draw(cls, text: str, dice: random.Random) -> "Fault":
        """`kind=A-B`: the amount is one between the two."""
        match = _FAULT.match(text)
        assert match and match[1] in KINDS, f"{text} is no fault of a link"
        first = int(match[2] or 0)
        return cls(match[1], dice.randint(first, int(match[3] or first)))

    @property
    def seconds(self) -> float:
        """How long it lasts; 0: until it has struck."""
        return _LASTS_S.get(self.kind, self.amount if self.kind in ("cut", "stall", "stall_answers") else 0.0)

    def __str__(self) -> str:
        return f"{self.kind}={self.amount}" if self.amount else self.kind


class _Connection:
    """Two pumps, one a way."""

    def __init__(self, proxy: "Proxy", near: asyncio.StreamWriter):
        self.proxy = proxy
        self.near = near
        self.far: asyncio.StreamWriter | None = None

    def reset(self) -> None:
        for writer in (self.near, self.far):
            if writer is not None and not writer.transport.is_closing():
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                writer.transport.abort()

    async def run(self, near_reader: asyncio.StreamReader) -> None:
        far_reader, self.far = await asyncio.open_connection("127.0.0.1", self.proxy.upstream)
        self.far.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(self._pump(near_reader, self.far, True), self._pump(far_reader, self.near, False))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_request: bool) -> None:
        while data := await reader.read(_PIECE):
            await self._pass(data, writer, is_request)
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter, is_request: bool) -> None:
        fault = self.proxy.fault
        kind = fault.kind if fault else ""
        if kind == "stall" or (kind == "stall_answers" and not is_request):
            self.proxy.strike()
            await self.proxy.healed.wait()
        elif kind == "delay":
            self.proxy.strike()
            await asyncio.sleep(fault.amount / 1000)
        elif kind == "drip":
            self.proxy.strike()
            data = await self._drip(data, writer, max(fault.amount // 20, 1))
        elif kind == ("reset_request" if is_request else "reset_response"):
            data = data[: self.proxy.left]
            self.proxy.left -= len(data)
        writer.write(data)
        await writer.drain()
        if self.proxy.fault is fault and kind.startswith("reset_") and self.proxy.left == 0:
            await self._deliver_and_reset(writer)

    async def _drip(self, data: bytes, writer: asyncio.StreamWriter, piece: int) -> bytes:
        """What is left when it heals."""
        while data and not self.proxy.healed.is_set():
            writer.write(data[:piece])
            await writer.drain()
            data = data[piece:]
            await asyncio.sleep(0.05)
        return data

    async def _deliver_and_reset(self, writer: asyncio.StreamWriter) -> None:
        """A reset overtakes what the other side has not read: it gets a moment for that."""
        self.proxy.strike()
        self.proxy.settle()
        await asyncio.sleep(0.02)
        self.reset()


class Proxy:
    """Listens on `port` and passes everything on to `upstream`. All methods may be called from any thread."""

    def __init__(self, network: "Network", upstream: int, port: int):
        self.upstream = upstream
        self.port = port
        self.fault: Fault | None = None
        self.left = 0
        self.struck = 0  # pieces that a fault changed, connections that it reset or refused
        self.struck_at: float | None = None
        self.healed = asyncio.Event()
        self._network = network
        self._connections: set[_Connection] = set()
        self._listener: asyncio.Server | None = None
        self._heal_at: asyncio.TimerHandle | None = None

    def tell(self, fault: Fault) -> None:
        self._network.call(self._tell(fault))

    def heal(self) -> None:
        self._network.call(self._heal())

    @property
    def ill(self) -> bool:
        return self.fault is not None

    # ---- In the loop ----

    def strike(self) -> None:
        self.struck += 1
        self.struck_at = self.struck_at or time.monotonic()

    def settle(self) -> None:
        self.fault = None
        self.healed.set()

    async def listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512, start_serving=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, writer)
        self._connections.add(connection)
        try:
            if self.fault and self.fault.kind == "cut":
                self.strike()
                connection.reset()
            else:
                await connection.run(reader)
        except OSError:
            connection.reset()
        finally:
            self._connections.discard(connection)
            for side in (connection.near, connection.far):
                if side is not None:
                    side.close()

    async def _tell(self, fault: Fault) -> None:
        await self._heal()
        if fault.kind in ("cut", "reset"):
            for connection in [*self._connections]:
                self.strike()
                connection.reset()
        if fault.kind == "reset":
            return
        self.left = max(fault.amount, 1)
        self.healed.clear()
        self.fault = fault
        if fault.seconds:
            self._heal_at = asyncio.get_running_loop().call_later(fault.seconds, self.settle)

    async def _heal(self) -> None:
        if self._heal_at is not None:
            self._heal_at.cancel()
            self._heal_at = None
        self.settle()

    async def close(self) -> None:
        await self._heal()
        if self._listener is not None:
            self._listener.close()
        for connection in [*self._connections]:
            connection.reset()


@dataclass
class Network:
    """The proxies, in a thread of their own."""

    proxies: dict[str, Proxy] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def link(self, name: str, upstream: int, port: int | None = None) -> Proxy:
        proxy = self.proxies[name] = Proxy(self, upstream, port or free_port())
        self.call(proxy.listen())
        return proxy

    def close(self) -> None:
        for proxy in self.proxies.values():
            self.call(proxy.close())
        self.call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def route(stack, network: Network, kinds: tuple[str, ...] = ("producer", "consumer", "webhook")) -> Callable[[str], dict[str, str]]:
    """Lays a link for each connection of these processes; what each must be started with."""
    servers = stack.servers
    for kind in kinds:
        network.link(f"{kind}>postgres", servers.postgres.port)
        network.link(f"{kind}>kafka", servers.kafka.proxied[kind].broker_port, servers.kafka.proxied[kind].port)
    network.link("consumer>provider", int(stack.sim.url.rsplit(":", 1)[1]))
    inside = free_port()
    network.link("provider>webhook", inside, stack.webhook_port)

    def environment(kind: str) -> dict[str, str]:
        given = {
            "DATABASE_URL": stack.database_url(kind).replace(f":{servers.postgres.port}/",
                                                             f":{network.proxies[f'{kind}>postgres'].port}/"),
            "KAFKA_BROKERS": f"127.0.0.1:{network.proxies[f'{kind}>kafka'].port}",
        }
        if kind == "consumer":
            url = f"http://127.0.0.1:{network.proxies['consumer>provider'].port}"
            given |= {f"{provider}_BASE_URL": url for provider in ("OMNI", "VAPI", "BLAND", "TWILIO")}
        if kind == "webhook":
            given["LISTEN"] = f"127.0.0.1:{inside}"
        return given

    return environment
