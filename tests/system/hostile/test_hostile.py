# SPDX-License-Identifier: Apache-2.0
"""Hostile traffic, case by case as a table, while thousands of slow connections fill the server: each is refused as designed, and an
honest client is answered as if nothing were."""

import base64
import hashlib
import hmac
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lib import events
from lib.clients import Client
from lib.stack import SECRETS
from lib.waiting import wait_until

CLOSED = 0  # without an answer
P99_MS = 200
GENERIC = "whsec_Z2VuZXJpYy1zZWNyZXQtMDEyMzQ1Njc4OWFiY2RlZg=="
VAPI = f"X-Vapi-Secret: {SECRETS['VAPI_WEBHOOK_SECRET']}\r\n"
ADMIN = f"X-API-Key: {SECRETS['ADMIN_API_KEY']}\r\n"
MIB = 1 << 20
CALL = "11111111-0000-4000-8000-"


@dataclass
class Case:
    """What is sent, in parts with a pause between them; the first status, or one of them; and between which seconds it is over."""
    name: str
    parts: tuple[bytes, ...]
    expected: int | tuple[int, ...]
    pause: float = 0
    seconds: tuple[float, float] = (0, 15)

    @property
    def is_slow(self):
        """Its request is not complete before its time is over."""
        return bool(self.pause) or self.seconds[0] > 0 or 408 in (self.expected if isinstance(self.expected, tuple) else (self.expected,))


def post(path, headers="", body=b"", length=True, version="1.1", close=True):
    framed = f"Content-Length: {len(body)}\r\n" if length else ""
    ending = "Connection: close\r\n" if close else ""
    return f"POST {path} HTTP/{version}\r\nHost: a\r\n{headers}{framed}{ending}\r\n".encode() + body


def framing(path, key, body):
    """What two readers could understand in two ways. `body` would be taken if it came alone."""
    inner = post(path, key, body)

    def case(name, headers, behind=inner, expected=400, version="1.1"):
        return Case(name, (post(path, key + headers, length=False, version=version) + behind,), expected)

    n = len(body)
    return [
        case("length and chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + inner),
        case("chunked and length", f"Transfer-Encoding: chunked\r\nContent-Length: {len(inner)}\r\n", b"0\r\n\r\n" + inner),
        case("two lengths", f"Content-Length: 0\r\nContent-Length: {n}\r\n", body),
        case("one length twice", f"Content-Length: {n}\r\nContent-Length: {n}\r\n", body),
        case("a list of lengths", f"Content-Length: {n}, {n}\r\n", body),
        case("a blank before the colon", f"Content-Length : {n}\r\n", body),
        case("a signed length", f"Content-Length: +{n}\r\n", body),
        case("a negative length", "Content-Length: -1\r\n", body),
        case("a hexadecimal length", f"Content-Length: {n:#x}\r\n", body),
        case("a length beyond counting", "Content-Length: 99999999999999999999999\r\n", b"", (400, 413, CLOSED)),
        case("another coding", "Transfer-Encoding: xchunked\r\n"),
        case("two codings", "Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
        case("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        case("chunked in HTTP/1.0", "Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", version="1.0"),
        case("a folded line", f"X-Folded: a\r\n Content-Length: {n}\r\n", body),
        case("a bare line feed", f"X-Bare: a\nContent-Length: {n}\r\n", body),
        case("a bare return", f"X-Bare: a\rContent-Length: {n}\r\n", body),
        case("a NUL in a header", f"X-Nul: a\0b\r\nContent-Length: {n}\r\n", body),
        case("a second host", f"Host: b\r\nContent-Length: {n}\r\n", body),
        Case("no host", (f"POST {path} HTTP/1.1\r\n{key}Content-Length: {n}\r\n\r\n".encode() + body,), 400),
        Case("a whole URL as target", (inner.replace(b"POST /", b"POST http://a/", 1),), 400),
        Case("a control character in the target", (inner.replace(b" HTTP", b"\x01 HTTP", 1),), 400),
        Case("HTTP/2 without a word", (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), (400, 505, CLOSED)),
        Case("TLS", (bytes.fromhex("1603010200010001fc0303") + os.urandom(500) + b"\r\n\r\n",), (400, CLOSED)),
        Case("noise", (os.urandom(4000) + b"\r\n\r\n",), (400, 431, CLOSED)),
        Case("a chunk of 2^64 bytes", (post(path, key + "Transfer-Encoding: chunked\r\n", length=False) + b"ffffffffffffffff\r\n" + body,),
             (400, 413, 408, CLOSED), seconds=(0, 40)),
        Case("a chunk without end of its size", (post(path, key + "Transfer-Encoding: chunked\r\n", length=False) + b"0" * 65536,),
             (400, 413, 431, 408, CLOSED), seconds=(0, 40)),
    ]


def flooding(path, key, largest, header_s, request_s):
    """Too much, too long, too slow."""
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    chunked = post(path, key + "Transfer-Encoding: chunked\r\n", length=False)
    return [
        Case("a giant that is announced", (post(path, key + f"Content-Length: {1 << 40}\r\n", length=False),), 413, seconds=(0, 5)),
        Case("one byte too many", (post(path, key, b"x" * (largest + 1)),), 413),
        Case("a giant that is invited", (post(path, key + f"Expect: 100-continue\r\nContent-Length: {1 << 40}\r\n", length=False),), 413),
        Case("a body without end", (chunked, *[chunk] * (largest // 65536 + 2)), 413),
        Case("64 KiB of header", (post(path, key + f"X-Long: {'x' * 65536}\r\n"),), (431, CLOSED)),
        Case("ten thousand headers", (post(path, key + "".join(f"X-{n}: {n}\r\n" for n in range(10_000))),), (431, 400, CLOSED)),
        Case("a target of 64 KiB", (post(path + "/" + "x" * 65536, key),), (414, 431, CLOSED)),
        Case("nothing at all", (b"",), (408, CLOSED), seconds=(header_s - 1, header_s + 5)),
        Case("a header drop by drop", (b"POST ", *[b"/"] * 100), (408, CLOSED), 0.3, (header_s - 1, header_s + 5)),
        Case("a body drop by drop", (post(path, key + "Content-Length: 1000\r\n", length=False), *[b"x"] * 200), 408, 0.3,
             (request_s - 2, request_s + 6)),
        Case("chunks drop by drop", (chunked, *[b"1\r\nx\r\n"] * 200), 408, 0.3, (request_s - 2, request_s + 6)),
    ]


def nested(depth):
    return b'{"message":' + b"[" * depth + b"]" * depth + b"}"


def generic(body, at=None, secret=GENERIC, message_id="hostile-1", signed=None):
    headers = events.standard_headers(signed if signed is not None else body, message_id, secret, at)
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def webhook_cases(webhook):
    path, now = events.VAPI_PATH, time.time()
    good = json.dumps(events.vapi_status("hostile-call", "ringing")).encode()
    told = json.dumps({"type": "call.ended", "data": {"call_id": "h-1", "phone": "+12125550199", "outcome": "busy"}}).encode()
    stamp = str(int(now))
    mac = hmac.new(SECRETS["VAPI_WEBHOOK_SECRET"].encode(), f"{stamp}.".encode() + good, hashlib.sha256).hexdigest()
    old = str(int(now) - 400)
    old_mac = hmac.new(SECRETS["VAPI_WEBHOOK_SECRET"].encode(), f"{old}.".encode() + good, hashlib.sha256).hexdigest()
    form = b"&".join(b"a%d=%d" % (n, n) for n in range(50_000))
    fields = [tuple(pair.split("=")) for pair in form.decode().split("&")]
    twilio = events.twilio_signature(webhook.url + events.TWILIO_PATH, fields)["X-Twilio-Signature"]
    signed = "/webhooks/generic/generic"
    return [
        Case("no secret", (post(path, "", good),), 401),
        Case("a wrong secret", (post(path, "X-Vapi-Secret: wrong\r\n", good),), 401),
        Case("an empty secret", (post(path, "X-Vapi-Secret: \r\nAuthorization: Bearer \r\n", good),), 401),
        Case("another account's secret", (post(path, f"X-Vapi-Secret: {SECRETS['BLAND_WEBHOOK_SECRET']}\r\n", good),), 401),
        Case("a signature of other bytes", (post(path, f"x-timestamp: {stamp}\r\nx-signature: {mac}\r\n", good + b" "),), 401),
        Case("a signature played back later", (post(path, f"x-timestamp: {old}\r\nx-signature: {old_mac}\r\n", good),), 401),
        Case("an old signature with a new time", (post(path, f"x-timestamp: {stamp}\r\nx-signature: {old_mac}\r\n", good),), 401),
        Case("a forged standard signature", (post(signed, generic(told, secret="whsec_" + "A" * 32), told),), 401),
        Case("one played back", (post(signed, generic(told, at=now - 400), told),), 401),
        Case("one from the future", (post(signed, generic(told, at=now + 400), told),), 401),
        Case("one for another body", (post(signed, generic(told, signed=told + b" "), told),), 401),
        Case("a thousand signatures", (post(signed, generic(told, secret="whsec_" + "A" * 32)
                                            .replace("v1,", " ".join(["v1," + base64.b64encode(bytes(32)).decode()] * 400) + " v1,"), told),), 401),
        Case("a token that is too long", (post("/webhooks/omni/omni/" + "x" * 8000, "", b"{}"),), 401),
        Case("nobody's account", (post("/webhooks/vapi/nobody", VAPI, good),), 404),
        Case("nobody's provider", (post("/webhooks/pigeon/vapi", VAPI, good),), 404),
        Case("a way out of the tree", (post("/webhooks/../../etc/passwd", VAPI, good),), 404),
        Case("an encoded way out", (post("/webhooks/vapi/..%2f..%2fetc%2fpasswd", VAPI, good),), 404),
        Case("a line end in the path", (post("/webhooks/vapi/vapi%0d%0aX-Injected:%201", VAPI, good),), (400, 404)),
        Case("a NUL in the path", (post("/webhooks/vapi/vapi%00", VAPI, good),), 400),
        Case("another method", (post(path, VAPI, good).replace(b"POST", b"TRACE", 1),), 405),
        Case("nested to the sky", (post(path, VAPI, nested(400_000)),), 400),
        Case("wide as the sea", (post(path, VAPI, b'{"message":[' + b"{}," * 300_000 + b"{}]}"),), (400, 202)),
        Case("a member twice", (post(path, VAPI, b'{"message":{"type":"a"},"message":{"type":"b"}}'),), 400),
        Case("text that is not UTF-8", (post(path, VAPI, b'{"message":{"type":"\xff\xfe"}}'),), 400),
        Case("half a surrogate", (post(path, VAPI, b'{"message":{"type":"\\ud800"}}'),), 400),
        Case("a NUL in JSON", (post(path, VAPI, b'{"message":{"type":"a\\u0000b"}}'),), 400),
        Case("a number beyond all", (post(path, VAPI, b'{"message":1e99999}'),), 400),
        Case("a compressed bomb", (post(path, VAPI + "Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\x00" + bytes(1000)),), 400),
        Case("nothing, signed", (post(path, VAPI),), 400),
        Case("fifty thousand fields", (post(events.TWILIO_PATH, f"X-Twilio-Signature: {twilio}\r\n"
                                            "Content-Type: application/x-www-form-urlencoded\r\n", form),), 401),
    ]


def api_cases():
    path = "/api/leads"

    def get(target, headers=ADMIN):
        return (f"GET {target} HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n".encode(),)

    return [
        Case("no key", get(path, ""), 401),
        Case("a wrong key", get(path, "X-API-Key: wrong\r\n"), 401),
        Case("an empty key", get(path, "X-API-Key: \r\nAuthorization: Bearer \r\n"), 401),
        Case("the key in the URL", get(f"{path}?api_key={SECRETS['ADMIN_API_KEY']}", ""), 401),
        Case("the dispatch secret as key", get(path, f"X-API-Key: {SECRETS['CRON_JOB_SECRET']}\r\n"), 401),
        Case("a key of 16 KiB", get(path, f"X-API-Key: {'k' * 16384}\r\n"), (401, 431)),
        Case("a page without end", get(f"{path}?limit=1000000000"), 422),
        Case("SQL in a filter", get(f"{path}?q=%27%3B%20drop%20table%20carillon.leads%3B--"), 200),
        Case("SQL in an id", get(f"{path}/1%3Bdrop%20table%20leads"), (404, 422)),
        Case("a NUL in a filter", get(f"{path}?q=a%00b"), 400),
        Case("bad UTF-8 in a filter", get(f"{path}?q=%ff%fe"), (400, 422)),
        Case("a filter nobody knows", get(f"{path}?colour=red"), 422),
        Case("a way out of the tree", get("/api/../../etc/passwd"), 404),
        Case("a line end in the path", get("/api/leads/1%0d%0aX-Injected:%201"), (404, 422)),
        Case("another method", (post(path, ADMIN, b"{}").replace(b"POST", b"TRACE", 1),), 405),
        Case("nested to the sky", (post(path, ADMIN, b'{"phone":' + b"[" * 20_000 + b"]" * 20_000 + b"}"),), (400, 413)),
        Case("a member twice", (post(path, ADMIN, b'{"phone":"1","phone":"2"}'),), 400),
        Case("text that is not UTF-8", (post(path, ADMIN, b'{"first_name":"\xff"}'),), 400),
        Case("a NUL in JSON", (post(path, ADMIN, b'{"first_name":"a\\u0000b"}'),), (400, 422)),
        Case("a number beyond all", (post(path, ADMIN, b'{"first_name":1e99999}'),), (400, 422)),
        Case("no object", (post(path, ADMIN, b"[]"),), (400, 422)),
        Case("a change by GET", get("/api/scheduler/stop"), 405),
    ]


def play(port, case):
    """(the first status or CLOSED, seconds until the other end closed)"""
    began = time.monotonic()
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=40) as connection:
        try:
            for number, part in enumerate(case.parts):
                if number and case.pause:
                    connection.settimeout(case.pause)
                    try:
                        if answer := connection.recv(65536):
                            break
                    except TimeoutError:
                        pass
                    connection.settimeout(40)
                connection.sendall(part)
        except OSError:
            pass  # it has heard enough
        connection.settimeout(40)
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
    status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else CLOSED
    assert b"X-Injected" not in answer.partition(b"\r\n\r\n")[0], case.name
    return status, time.monotonic() - began


def wrong(port, case, crowded):
    """What is not as designed, in words; None."""
    expected = case.expected if isinstance(case.expected, tuple) else (case.expected,)
    status, took = play(port, case)
    if crowded and case.is_slow and status in (503, CLOSED) and took <= case.seconds[1]:
        return None  # it gave its place to one that came later
    if status not in expected or not case.seconds[0] <= took <= case.seconds[1]:
        return f"{case.name}: {status} after {took:.1f} s, not {case.expected} within {case.seconds}"
    return None


def descriptors(process):
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def resident_mib(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def besiege(process, cases, request, tmp_path, sockets, places):
    """All cases beside a crowd of slow connections, more than it has places for, and an honest client, who is timed before, too.
    Those that wait to be timed out also alone: in a full house they are cut off sooner."""
    assert len({case.name for case in cases}) == len(cases)
    (tmp_path / "request").write_bytes(request)
    open_before = descriptors(process)
    with Client("honest", process.port, 40, tmp_path / "request") as alone, ThreadPoolExecutor(8) as pool:
        waiting = pool.map(lambda case: wrong(process.port, case, False), [case for case in cases if case.is_slow])
        time.sleep(4)
        assert not (late := list(filter(None, waiting))), "\n".join(late)
    with Client("honest", process.port, 40, tmp_path / "request") as honest:
        with Client("slow", process.port, sockets) as crowd:
            wait_until(lambda: descriptors(process) >= open_before + places * 0.9, 90, "a full house")
            filled = descriptors(process)
            with ThreadPoolExecutor(4) as pool:
                found = list(filter(None, pool.map(lambda case: wrong(process.port, case, True), cases)))
            mib = resident_mib(process)
        time.sleep(1)
    print(f"{len(cases)} cases, {crowd.said}, {filled} descriptors, {mib} MiB, alone {alone.said}, meanwhile {honest.said}")
    assert not found, "\n".join(found)
    assert crowd.said["most"] > places and crowd.said["cut"] > 0
    assert not honest.said["failures"], honest.said
    assert honest.said["p99_ms"] < P99_MS, (alone.said, honest.said)
    wait_until(lambda: descriptors(process) <= open_before + 8, 40, "all connections closed")
    return honest.said["answered"], alone.said["answered"]


def test_the_webhook(stack, tmp_path):
    stack.start("producer", "webhook", GENERIC_WEBHOOK_SECRET=GENERIC)
    body = json.dumps(events.vapi_status(CALL + "@NUMBER@", "ringing")).encode()
    request = post(events.VAPI_PATH, VAPI, body, close=False)
    length = len(body) - len(b"@NUMBER@") + 12
    request = request.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % length)
    cases = (framing(events.VAPI_PATH, VAPI, body) + flooding(events.VAPI_PATH, VAPI, MIB, 3, 10) + webhook_cases(stack.webhook))
    answered = besiege(stack.webhook, cases, request, tmp_path, 5000, 4096)
    # Nothing but the honest clients' events came through, and all of those: both count from the same number.
    keys = {message.key for message in stack.topics.read("calls.event.v1")}
    assert max(answered) <= len(keys) <= sum(answered) and all(key.removeprefix(CALL).isdigit() for key in keys), sorted(keys)[-3:]


def test_the_webhook_with_few_descriptors(stack, tmp_path):
    """It takes as many connections as it has descriptors for, and not one more that would keep it from accepting."""
    stack.start("producer")
    webhook = stack.add("webhook")
    webhook.arguments = ("--nofile=512:512", str(webhook.binary))
    webhook.binary = "/usr/bin/prlimit"
    webhook.start()
    body = json.dumps(events.vapi_status(CALL + "000000000000", "ringing")).encode()
    besiege(webhook, flooding(events.VAPI_PATH, VAPI, MIB, 3, 10)[:3], post(events.VAPI_PATH, VAPI, body, close=False), tmp_path, 1000, 320)


def test_the_api(stack, tmp_path):
    stack.start("producer")
    cases = framing("/api/leads", ADMIN, b'{"first_name":"smuggled"}') + flooding("/api/leads", ADMIN, 65536, 5, 30) + api_cases()
    request = f"GET /api/leads?limit=1 HTTP/1.1\r\nHost: a\r\n{ADMIN}\r\n".encode()
    besiege(stack.producer, cases, request, tmp_path, 2000, 1024)
    assert stack.count("leads") == 0
