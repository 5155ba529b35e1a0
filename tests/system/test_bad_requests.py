# SPDX-License-Identifier: Apache-2.0
"""Webhook requests that are forged, too large, slow, badly framed or no JSON: refused, and nothing of them is left."""

import hashlib
import hmac
import json
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from lib import events
from lib.stack import SECRETS

BODY_MAX = 1 << 20
SECRET = SECRETS["VAPI_WEBHOOK_SECRET"]
GOOD_HEADERS = f"X-Vapi-Secret: {SECRET}\r\n"


@pytest.fixture
def webhook(stack):
    """With its topics; nobody reads them. A quarantine of freed memory would look like a leak."""
    options = stack.environment.get("ASAN_OPTIONS", "")
    stack.start("producer", "webhook", ASAN_OPTIONS=f"{options}:quarantine_size_mb=8")
    return stack.webhook


def exchange(webhook, *parts, pause=0.0, timeout=20):
    """Sends bytes, a pause between the parts, and reads until the other end closes: (statuses, seconds)."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=timeout) as connection:
        answer = b""
        try:
            for number, part in enumerate(parts):
                if number and pause:
                    time.sleep(pause)
                connection.sendall(part)
        except OSError:
            pass  # it has heard enough
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
    statuses = [int(part.split(b" ", 1)[0]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    return statuses, time.monotonic() - began


def request(headers, body=b"", path=events.VAPI_PATH, close=True):
    end = "Connection: close\r\n" if close else ""
    return f"POST {path} HTTP/1.1\r\nHost: carillon\r\n{GOOD_HEADERS}{headers}{end}\r\n".encode() + body


def ringing(stack, n=0):
    return json.dumps(events.vapi_status(f"11111111-0000-4000-8000-{n:012d}", "ringing", stack.phone())).encode()


def published(stack):
    return stack.topics.read("calls.event.v1")


def test_only_authentic_ones_are_taken(stack, webhook):
    now, body = int(time.time()), ringing(stack)

    def signature(at, key=SECRET, signed=body):
        return {"x-timestamp": str(at), "x-signature": hmac.new(key.encode(), f"{at}.".encode() + signed, hashlib.sha256).hexdigest()}

    bearer = {"Authorization": f"Bearer {SECRET}"}
    omni = json.dumps(events.omni_report(77, stack.phone())).encode()
    token = SECRETS["OMNI_WEBHOOK_TOKEN"]
    good = [
        (events.VAPI_PATH, events.VAPI_HEADERS, body), (events.VAPI_PATH, bearer, body),
        (events.VAPI_PATH, signature(now), body), (events.VAPI_PATH, signature(now * 1000), body),
        ("/api/vapi/webhook", events.VAPI_HEADERS, body), (events.OMNI_PATH, {}, omni),
    ]
    forged = [
        (events.VAPI_PATH, {}, body), (events.VAPI_PATH, {"X-Vapi-Secret": SECRET[:-1]}, body),
        (events.VAPI_PATH, {"X-Vapi-Secret": SECRET + "x"}, body), (events.VAPI_PATH, {"X-Vapi-Secret": token}, body),
        (events.VAPI_PATH, {"Authorization": SECRET}, body), (events.VAPI_PATH, signature(now, key="wrong"), body),
        (events.VAPI_PATH, signature(now - 400), body), (events.VAPI_PATH, signature(now + 400), body),
        (events.VAPI_PATH, signature(now, signed=body + b" "), body),
        (events.VAPI_PATH, {"x-signature": signature(now)["x-signature"]}, body),
        (events.OMNI_PATH[:-1], {}, omni), (events.OMNI_PATH + "x", {}, omni), ("/webhooks/omni/omni", {}, omni),
        (f"/webhooks/omni/omni?token={token}", {}, omni),
        # A body that is no JSON tells a forger no more than one that is.
        (events.VAPI_PATH, {}, b"{"),
    ]
    nowhere = [
        ("/webhooks/nobody/vapi", bearer, body), ("/webhooks/vapi/nobody", bearer, body),
        ("/webhooks/omni/vapi", bearer, body), ("/webhooks/vapi/omni/" + token, {}, body), ("/webhooks", bearer, body),
    ]
    for cases, status in ((good, 202), (forged, 401), (nowhere, 404)):
        for path, headers, content in cases:
            assert webhook.http.post(path, headers=headers, content=content).status_code == status, (path, headers)
    assert webhook.http.get(events.VAPI_PATH, headers=bearer).status_code == 405
    assert len(published(stack)) == len(good)
    assert not stack.topics.read("calls.event.v1-dlt")
    assert webhook.metric("carillon_signature_failures_total") == len(forged)


def test_what_cannot_be_read_is_kept(stack, webhook):
    deep = b'{"message":' + b"[" * 5000 + b"]" * 5000 + b"}"
    bad = [
        b"", b"{", b"null", b"[]", b"7", b'"text"', b"\xff\xfe", b'{"message":{"type":"status-update"', deep,
        b'{"message": {"type": "end-of-call-report"}, "message": {}}', b'{"message": NaN}', b"\x00" * 100,
        b'{"message":{"type":"end-of-call-report","endedReason":"customer-busy"}}',  # of which call?
        b"a=1&b=2", b"\x1f\x8b\x08\x00", b"{" + b" " * 1_000_000,
    ]
    for body in bad:
        assert webhook.http.post(events.VAPI_PATH, headers=events.VAPI_HEADERS, content=body).status_code == 400, body[:60]
        assert webhook.http.post(events.OMNI_PATH, content=body).status_code == 400, body[:60]
    letters = stack.topics.read("calls.event.v1-dlt")
    assert sorted(letter.raw for letter in letters) == sorted(bad * 2)
    for letter in letters:
        assert letter.headers["x-dlt-reason"] and letter.headers["x-dlt-provider"] in (b"vapi", b"omni")
        assert letter.headers["x-dlt-topic"].decode() == stack.topics.name("calls.event.v1")
    # What providers send besides the events we follow is no fault of theirs.
    unused = b'{"message":{"type":"speech-update","status":"started","call":{"id":"x"}}}'
    assert webhook.http.post(events.VAPI_PATH, headers=events.VAPI_HEADERS, content=unused).status_code == 202
    assert not published(stack)


def test_bad_framing_is_refused_before_anything_behind_it_is_read(stack, webhook):
    inner = ringing(stack, 1)
    smuggled = request(f"Content-Length: {len(inner)}\r\n", inner)
    chunked = b"0\r\n\r\n" + smuggled
    cases = {
        "length and chunked": request(f"Content-Length: {len(chunked)}\r\nTransfer-Encoding: chunked\r\n", chunked, close=False),
        "chunked and length": request(f"Transfer-Encoding: chunked\r\nContent-Length: {len(chunked)}\r\n", chunked, close=False),
        "two lengths": request(f"Content-Length: 0\r\nContent-Length: {len(smuggled)}\r\n", smuggled, close=False),
        "the same length twice": request("Content-Length: 2\r\nContent-Length: 2\r\n", b"{}" + smuggled, close=False),
        "a blank before the colon": request(f"Content-Length : {len(smuggled)}\r\n", smuggled, close=False),
        "a list of lengths": request("Content-Length: 2, 2\r\n", b"{}" + smuggled, close=False),
        "a negative length": request("Content-Length: -2\r\n", smuggled, close=False),
        "a length with a sign": request("Content-Length: +2\r\n", b"{}" + smuggled, close=False),
        "a hexadecimal length": request("Content-Length: 0x2\r\n", b"{}" + smuggled, close=False),
        "a length beyond 64 bits": request("Content-Length: 99999999999999999999\r\n", b"{}" + smuggled, close=False),
        "another coding": request("Transfer-Encoding: gzip, chunked\r\n", chunked, close=False),
        "chunked as a near miss": request("Transfer-Encoding: xchunked\r\n", chunked, close=False),
        "two hosts": request("Host: other\r\nContent-Length: 2\r\n", b"{}" + smuggled, close=False),
        "a folded line": request("X-A: 1\r\n folded\r\nContent-Length: 2\r\n", b"{}" + smuggled, close=False),
        "a bare line feed": request("X-A: 1\nX-B: 2\r\nContent-Length: 2\r\n", b"{}" + smuggled, close=False),
        "a NUL": request("X-A: 1\0\r\nContent-Length: 2\r\n", b"{}" + smuggled, close=False),
        "no name": request(": 1\r\nContent-Length: 2\r\n", b"{}" + smuggled, close=False),
        "a name with a blank": request("X A: 1\r\nContent-Length: 2\r\n", b"{}" + smuggled, close=False),
        "an absolute target": request("Content-Length: 2\r\n", b"{}", path=f"http://carillon{events.VAPI_PATH}", close=False),
        "no method": b"\r\n\r\n / HTTP/1.1\r\n\r\n",
    }
    seen = {}
    with ThreadPoolExecutor(8) as pool:
        for name, (statuses, _) in zip(cases, pool.map(lambda raw: exchange(webhook, raw), cases.values())):
            seen[name] = statuses
    # Refused and closed (libmicrohttpd says so twice where the length is no number); nothing at all to what is no HTTP.
    refused = ([400], [400, 400], [413, 413])
    assert {name: statuses for name, statuses in seen.items() if statuses not in refused and name != "no method"} == {}
    assert seen["no method"] in ([], [400])
    assert not published(stack)
    assert webhook.http.post(events.VAPI_PATH, headers=events.VAPI_HEADERS, content=inner).status_code == 202
    assert len(published(stack)) == 1


def test_large_and_slow_ones_are_cut_off(stack, webhook):
    body = ringing(stack)
    full = body + b" " * (BODY_MAX - len(body))

    def chunks(total):
        yield request("Transfer-Encoding: chunked\r\n")
        for _ in range(total // 65536):
            yield b"10000\r\n" + bytes(65536) + b"\r\n"

    def drip(first, n):
        return [first, *([b"x"] * n)]

    slow_header = f"POST {events.VAPI_PATH} HTTP/1.1\r\nHost: carillon\r\nX-A: ".encode()
    cases = {
        "announced": ([request(f"Content-Length: {BODY_MAX + 1}\r\n")], 0),
        "announced by far": ([request("Content-Length: 999999999999\r\n")], 0),
        "in chunks": (chunks(4 * BODY_MAX), 0),
        "huge header": ([request(f"X-A: {'x' * 100_000}\r\nContent-Length: 2\r\n", b"{}")], 0),
        "header drips": (drip(slow_header, 200), 0.1),
        "body drips": (drip(request("Content-Length: 100000\r\n"), 400), 0.05),
        "body never comes": ([request("Content-Length: 100\r\n")], 0),
        "nothing comes": ([b"POST"], 0),
        "chunk never ends": ([request("Transfer-Encoding: chunked\r\n") + b"10\r\nabc"], 0),
        "just fits": ([request(f"Content-Length: {BODY_MAX}\r\n") + full], 0),
    }
    with ThreadPoolExecutor(len(cases)) as pool:
        running = {name: pool.submit(exchange, webhook, *parts, pause=pause) for name, (parts, pause) in cases.items()}
        # Others are served meanwhile.
        for _ in range(20):
            assert webhook.http.post(events.VAPI_PATH, headers=events.VAPI_HEADERS, content=body).status_code == 202
        seen = {name: future.result() for name, future in running.items()}
    assert {name: statuses for name, (statuses, _) in seen.items()} == {
        "announced": [413], "announced by far": [413], "in chunks": [413], "huge header": [431], "header drips": [408],
        "body drips": [408], "body never comes": [408], "nothing comes": [408], "chunk never ends": [408],
        "just fits": [202],
    }
    took = {name: seconds for name, (_, seconds) in seen.items()}
    assert max(took[name] for name in ("announced", "announced by far", "in chunks", "huge header")) < 3
    assert max(took[name] for name in ("header drips", "nothing comes")) < 6
    assert max(took.values()) < 13
    messages = stack.topics.read("calls.event.v1", f"{stack.producer.url}/registry")
    assert len(messages) == 21
    assert sorted(len(message.value["raw"]) for message in messages)[-1] == BODY_MAX


def test_memory_stays_constant_under_a_flood(stack, webhook):
    large = b"{" + b" " * (BODY_MAX - 1)
    endless = request("Transfer-Encoding: chunked\r\n") + (b"10000\r\n" + bytes(65536) + b"\r\n") * 20

    def rss():
        status = Path(f"/proc/{webhook.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def round_of(number):
        with httpx.Client(base_url=webhook.url, trust_env=False, timeout=20) as client, ThreadPoolExecutor(4) as pool:
            forged = [pool.submit(client.post, events.VAPI_PATH, content=large) for _ in range(number)]
            for _ in range(number):
                assert exchange(webhook, endless)[0] == [413]
            for _ in range(5 * number):  # connections that go away in the middle of their request
                with socket.create_connection(("127.0.0.1", webhook.port)) as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.sendall(request("Content-Length: 5000\r\n") + bytes(100))
            assert {future.result().status_code for future in forged} == {401}

    round_of(20)
    before = rss()
    round_of(80)
    grown = rss() - before
    assert grown < 24, f"{grown} MiB more after 160 MiB were sent"
    assert webhook.http.post(events.VAPI_PATH, headers=events.VAPI_HEADERS, content=ringing(stack)).status_code == 202
