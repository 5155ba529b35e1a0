# SPDX-License-Identifier: Apache-2.0
"""Clients with a process of their own, so that they measure the server and not the test: an honest one, and a crowd of slow ones.

    python -m lib.clients honest PORT RATE REQUEST-FILE     times requests at a steady rate
    python -m lib.clients slow PORT SOCKETS                 holds so many connections, each a byte a second

Both end when their standard input does; then the honest one says what it saw, the slow ones how many were cut off.
"""

import contextlib
import json
import os
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

_ENDED = threading.Event()


def _exchange(connection: socket.socket, request: bytes) -> int:
    """The status; the body is read, too."""
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError("closed before the answer")
        answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split(b" ", 2)[1])


def _on_kept(port: int, kept: socket.socket | None, request: bytes) -> tuple[int, socket.socket]:
    """A server may close what is idle: as every client of HTTP does, it is tried on a new connection then."""
    if kept:
        with contextlib.suppress(ConnectionError):
            return _exchange(kept, request), kept
        kept.close()
    kept = socket.create_connection(("127.0.0.1", port), timeout=10)
    return _exchange(kept, request), kept


def honest(port: int, rate: float, request_file: str) -> dict:
    """Every second request comes on a new connection, the others on one that is kept. A time counts from when it was due, so that
    a server that stops for a while is not asked less."""
    template = Path(request_file).read_bytes()
    kept = None
    times, failures, began, sent = [], [], time.monotonic(), 0
    while not _ENDED.is_set():
        due = began + sent / rate
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        request = template.replace(b"@NUMBER@", b"%012d" % sent)
        sent += 1
        try:
            if sent % 2:
                with socket.create_connection(("127.0.0.1", port), timeout=10) as fresh:
                    status = _exchange(fresh, request)
            else:
                status, kept = _on_kept(port, kept, request)
            times.append(time.monotonic() - due)
            if status not in (200, 202):
                failures.append(status)
        except OSError as error:
            failures.append(f"{'fresh' if sent % 2 else 'kept'}: {error!r}")
            kept = None
    times.sort()
    return {"sent": sent, "answered": len(times), "failures": failures,
            "p50_ms": round(times[len(times) // 2] * 1000, 1), "p99_ms": round(times[len(times) * 99 // 100] * 1000, 1),
            "max_ms": round(times[-1] * 1000, 1)}


def slow(port: int, sockets: int) -> dict:
    """Each begins a request and never ends it; one that is cut off comes again. Such a crowd has machines of its own: here it takes
    no time from the server's."""
    os.nice(10)
    selector, begun, cut, most = selectors.DefaultSelector(), {}, 0, 0

    def begin() -> None:
        connection = socket.socket()
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.connect(("127.0.0.1", port))
        begun[connection] = 0.0
        selector.register(connection, selectors.EVENT_READ)

    def end(connection: socket.socket) -> None:
        selector.unregister(connection)
        connection.close()
        del begun[connection]

    while not _ENDED.is_set():
        for _ in range(min(200, sockets - len(begun))):
            begin()
        most = max(most, len(begun))
        for key, _ in selector.select(0.02):
            try:
                over = not key.fileobj.recv(4096)
            except BlockingIOError:
                over = False
            except OSError:
                over = True
            if over:
                end(key.fileobj)
                cut += 1
        now = time.monotonic()
        for connection, last in list(begun.items()):
            if now - last < 1:
                continue
            begun[connection] = now
            try:
                connection.send(b"a" if last else b"POST /webhooks/vapi/vapi HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            except BlockingIOError:
                pass
            except OSError:
                end(connection)
                cut += 1
    return {"most": most, "cut": cut}


class Client:
    """One of them, running: `with Client("slow", port, 5000) as crowd: ...`, then crowd.said."""

    def __init__(self, what: str, *arguments: object):
        self._command = [sys.executable, "-m", "lib.clients", what, *map(str, arguments)]
        self.said: dict = {}

    def __enter__(self) -> "Client":
        self._child = subprocess.Popen(self._command, cwd=Path(__file__).resolve().parents[1], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        out, _ = self._child.communicate("", timeout=60)
        self.said = json.loads(out)


if __name__ == "__main__":
    def watch() -> None:
        select.select([sys.stdin], [], [])
        _ENDED.set()

    threading.Thread(target=watch, daemon=True).start()
    role, port, number, *rest = sys.argv[1:]
    print(json.dumps({"honest": honest, "slow": slow}[role](int(port), int(number), *rest)))
