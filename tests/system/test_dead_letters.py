# SPDX-License-Identifier: Apache-2.0
"""Dead letters of every writer over the API: listed, read, replayed once, discarded; none is lost by a replay that fails."""

import base64
import json
import threading
import time

from lib import events
from lib.schemas import Schemas
from lib.stack import SECRETS

KEY = SECRETS["ADMIN_API_KEY"]
PHONE = "+12125550199"
REQUESTED, EVENT, REDIAL = "calls.dispatch.requested.v1", "calls.event.v1", "leads.redial.v1"
HEADERS = [("ce_id", b"one"), ("ce_type", b"carillon.call.event.v1"), ("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
           ("odd", b"\xff\x00"), ("x-mine", "gr\u00fcn".encode())]


def api(stack, path="", method="GET", key=KEY, **more):
    return stack.producer.http.request(method, f"/api/dead-letters{path}", headers={"X-API-Key": key} if key else {}, timeout=30, **more)


def replay(stack, **body):
    return api(stack, "/replay", "POST", json=body)


def send(stack, topic, *values):
    """With a key and headers, as any producer might."""
    from confluent_kafka import Producer

    writer = Producer({"bootstrap.servers": stack.topics.brokers, "log_level": 0})
    for value in values:
        writer.produce(stack.topics.name(topic), value, key=PHONE, partition=0, headers=HEADERS)
    assert writer.flush(20) == 0


def event_of(stack, **more):
    now = int(time.time() * 1000)
    return {"tenant": "default", "account": "vapi", "event_id": "event-1", "provider": "vapi", "type": "ringing", "phone": PHONE,
            "provider_call_id": "call-1", "occurred_at": now, "received_at": now} | more


def listed(stack, number, query=""):
    stack.wait_until(lambda: len(api(stack, query).json()["dead_letters"]) == number, 20, f"{number} dead letters")
    return api(stack, query).json()["dead_letters"]


def test_all_writers_letters_are_listed_and_read(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    schemas = Schemas(stack.topics, f"{stack.producer.url}/registry")
    broken = schemas.encode(EVENT, event_of(stack)) + b"\x00"
    send(stack, EVENT, broken, None)
    send(stack, REQUESTED, b"no job")
    unreadable = b'{"message": {"type": "end-of-call-report", "call": 7}}'
    answer = stack.webhook.http.post(events.VAPI_PATH, content=unreadable, headers=events.VAPI_HEADERS)
    assert answer.status_code == 400
    letters = listed(stack, 4)
    # Of the event's and the job's letters the original place; of the callback, which never was a message, that of the letter.
    places = [(letter["topic"], letter["offset"]) for letter in letters if letter["replayable"]]
    assert sorted(places) == sorted([(stack.topics.name(EVENT), 0), (stack.topics.name(EVENT), 1), (stack.topics.name(REQUESTED), 0)])
    callback = next(letter for letter in letters if not letter["replayable"])
    assert callback["account"] == "vapi" and callback["topic"] == stack.topics.name(EVENT + "-dlt") and callback["reason"]
    event = next(letter for letter in letters if letter["topic"] == stack.topics.name(EVENT) and letter["offset"] == 0)
    assert event["key"] == PHONE and event["bytes"] == len(broken) and event["replayable"] and event["resolution"] is None

    found = api(stack, f"/{event['id']}").json()
    assert base64.b64decode(found["value_base64"]) == broken and found["decodes"] is False and found["problem"]
    assert found["headers"] == [["ce_id", "one"], ["ce_type", "carillon.call.event.v1"],
                                ["traceparent", HEADERS[2][1].decode()], ["x-mine", "gr\u00fcn"]]
    found = api(stack, f"/{callback['id']}").json()
    assert found["value_text"] == unreadable.decode() and found["decodes"] is None
    assert dict(map(tuple, found["headers"]))["x-dlt-provider"] == "vapi"
    none = next(letter for letter in letters if letter["topic"] == event["topic"] and letter["offset"] == 1)
    assert api(stack, f"/{none['id']}").json()["value_base64"] is None
    # In the topic too, with what they came with.
    kept = next(message for message in stack.topics.read(EVENT + "-dlt") if message.raw == broken)
    assert kept.headers["ce_id"] == b"one" and kept.headers["x-mine"] == "gr\u00fcn".encode() and "odd" not in kept.headers

    # Pages and filters.
    page = api(stack, "?limit=3").json()
    rest = api(stack, f"?limit=3&after={page['next']}").json()
    assert page["dead_letters"] + rest["dead_letters"] == letters and rest["next"] is None
    assert listed(stack, 1, f"?topic={stack.topics.name(REQUESTED)}")[0]["topic"] == stack.topics.name(REQUESTED)
    assert listed(stack, 0, "?resolved=true") == [] and len(listed(stack, 4, "?resolved=false")) == 4
    for bad in ("?limit=0", "?limit=x", "?after=x", "?resolved=maybe", "?colour=red"):
        assert api(stack, bad).status_code == 422
    assert api(stack, "/999999").status_code == api(stack, "/x").status_code == 404
    for path, method in (("", "GET"), ("/1", "GET"), ("/replay", "POST"), ("/1/discard", "POST")):
        assert api(stack, path, method, key=None).status_code == 401

    # A callback can't be replayed, alone or among others; it can be discarded, once.
    for ids in ([callback["id"]], [event["id"], callback["id"]]):
        answer = replay(stack, ids=ids)
        assert answer.status_code == 422 and "callback" in answer.json()["errors"][0]["detail"]
    first = api(stack, f"/{callback['id']}/discard", "POST", json={"note": "the provider's own test"})
    assert first.status_code == 200 and first.json()["changed"] and first.json()["dead_letter"]["resolution"] == "discarded"
    assert api(stack, f"/{callback['id']}/discard", "POST").json()["changed"] is False
    steps = api(stack, f"/{callback['id']}").json()["transitions"]
    assert [(step["to"], step["note"], step["actor"]) for step in steps] == [("discarded", "the provider's own test", "operator")]
    assert api(stack, "/999999/discard", "POST").status_code == 404
    assert api(stack, f"/{event['id']}/discard", "POST", json={"why": 1}).status_code == 422
    assert [letter["id"] for letter in listed(stack, 1, "?resolved=true")] == [callback["id"]]
    assert stack.count("call_events") == 0


def test_replayed_once_and_never_lost(stack):
    """A letter whose reason is gone is applied; one whose reason stays comes back as a new letter that names the old one."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    schemas = Schemas(stack.topics, f"{stack.producer.url}/registry")
    suppress = {"tenant": "later", "account": None, "event_id": "later-1", "action": "stop", "outcome": "DO_NOT_CALL",
                "suppress": True, "phone": PHONE, "ended_at": int(time.time() * 1000)}
    value = schemas.encode(REDIAL, {key: entry for key, entry in suppress.items() if entry is not None})
    send(stack, REDIAL, value)   # of a tenant that there is not yet
    send(stack, REDIAL, b"never to be read")
    good, bad = sorted(listed(stack, 2), key=lambda letter: letter["offset"])
    assert "foreign key" in good["reason"]
    found = api(stack, f"/{good['id']}").json()
    assert found["decodes"] is True and found["message"]["action"] == "stop" and found["message"]["suppress"] is True
    stack.db.execute("insert into tenants (id, name) values ('later', 'Later')")

    # What would happen: nothing does.
    told = replay(stack, all=True, dry_run=True).json()
    assert told["dry_run"] and told["replayed"] == 0 and told["remaining"] == told["unreplayable"] == 0
    assert [(letter["id"], letter["decodes"]) for letter in told["letters"]] == [(good["id"], True), (bad["id"], False)]
    assert told["letters"][1]["problem"]
    assert len(stack.topics.read(REDIAL)) == 2 and len(listed(stack, 2, "?resolved=false")) == 2

    # Ten requests at once send each once.
    answers = []
    together = [threading.Thread(target=lambda: answers.append(replay(stack, ids=[good["id"], bad["id"]]))) for _ in range(10)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["replayed"] for answer in answers) == 2
    stack.wait_count(1, "suppressions", f"tenant_id = 'later' and phone = '{PHONE}'")
    again = listed(stack, 3)[2]
    assert again["replay_of"] == bad["id"] and again["resolution"] is None
    for letter in (good, bad):
        now = api(stack, f"/{letter['id']}").json()
        assert now["resolution"] == "replayed" and now["replays"] == 1
        assert [(step["from"], step["to"], step["actor"]) for step in now["transitions"]] == [("open", "replayed", "operator")]
    sent = stack.topics.read(REDIAL)
    assert len(sent) == 4
    copies = [message for message in sent if "x-replay-of" in message.headers]
    assert sorted(message.raw for message in copies) == sorted([value, b"never to be read"])
    assert (again["partition"], again["offset"]) == next(
        (copy.partition, copy.offset) for copy in copies if copy.raw == b"never to be read")
    for copy in copies:
        assert copy.key == PHONE and copy.headers["ce_id"] == b"one" and copy.headers["x-mine"] == "gr\u00fcn".encode()
        assert not any(name.startswith(("x-dlt", "kafka_dlt")) for name in copy.headers)

    # Done is done, unless it is asked for by name.
    told = replay(stack, ids=[good["id"]]).json()
    assert told["replayed"] == 0 and told["resolved"] == 1 and told["letters"] == []
    told = replay(stack, ids=[good["id"]], again=True).json()
    assert told["replayed"] == 1 and api(stack, f"/{good['id']}").json()["replays"] == 2
    assert api(stack, f"/{good['id']}/discard", "POST").status_code == 409
    assert api(stack, f"/{again['id']}/discard", "POST").status_code == 200
    assert replay(stack, all=True, topic=stack.topics.name(REDIAL)).json()["replayed"] == 0
    assert listed(stack, 0, "?resolved=false") == []
    for body in ({}, {"ids": []}, {"ids": ["1"]}, {"ids": [good["id"]], "all": True}, {"all": True, "again": True}, {"all": 1},
                 {"ids": [good["id"]], "topic": "x"}, {"all": True, "colour": "red"}, {"ids": [1.5]}, {"ids": "all"}):
        answer = replay(stack, **body)
        assert answer.status_code == 422, (body, answer.text)
        assert answer.json()["errors"]
    assert replay(stack, ids=[999_999]).status_code == 404
    assert api(stack, "/replay", "POST", content=b"{").status_code == 400
    assert json.loads(api(stack, "/replay", "POST", content=b"[]").text)["status"] == 422


def test_no_kafka_no_replay(stack):
    """A letter that Kafka did not take stays open, and is sent when it is asked for again."""
    stack.start(FOLLOW_UP_ACCOUNT="vapi")
    send(stack, REDIAL, b"nothing", b"and nothing")
    letters = listed(stack, 2)
    stack.servers.kafka.freeze()
    answer = api(stack, "/replay", "POST", json={"ids": [letter["id"] for letter in letters]})
    stack.servers.kafka.thaw()
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert len(listed(stack, 2, "?resolved=false")) == 2
    stack.wait_until(lambda: replay(stack, all=True).json().get("replayed") == 2, 30, "replayed with Kafka back")
    # Kafka may have had the first ones after all: they come back as well.
    stack.wait_until(lambda: {letter["replay_of"] for letter in api(stack, "?resolved=false").json()["dead_letters"]}
                     == {letter["id"] for letter in letters}, 20, "both back")
