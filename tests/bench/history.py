# SPDX-License-Identifier: Apache-2.0
"""Asks for the first page of every filter of GET /api/calls, and for what each view of the page shows first, and prints what it took:
history.py URL ROUNDS MOST_MS MOST_VIEW_MS."""

import http.client
import json
import statistics
import sys
import time
from urllib.parse import urlencode, urlsplit

HALF_A_YEAR_AGO = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 180 * 86400))
A_DAY_LATER = time.strftime("%Y-%m-%dT12:00:00Z", time.gmtime(time.time() - 179 * 86400))
WORDS = ("scheduled", "calling", "in_progress", "completed", "failed", "cancelled", "unknown", "undetermined", "rejected", "not_dialed")


def filters(campaigns, lead):
    """The largest and the smallest campaign, and what people combine."""
    large, small = campaigns
    yield from [{}, {"limit": 1000}, *({"status": word} for word in WORDS)]
    yield from [{"campaign": large}, {"campaign": small}, {"from": HALF_A_YEAR_AGO, "to": A_DAY_LATER}, {"to": HALF_A_YEAR_AGO}]
    # Most contacts, many, some, ten, one number, nobody.
    for part in ("an", "smith", "james sm", "smithaa", "zebulon", "555", "2075550107", "no such name"):
        yield {"q": part}
    yield {"lead_id": lead}
    yield from [{"campaign": small, "status": "failed"}, {"campaign": large, "status": "not_dialed", "to": HALF_A_YEAR_AGO},
                {"status": "rejected", "to": HALF_A_YEAR_AGO}, {"q": "zebulon", "status": "failed"}, {"q": "smith", "campaign": small},
                {"q": "zebulon", "from": HALF_A_YEAR_AGO, "to": A_DAY_LATER}, {"status": "scheduled", "campaign": small}]


def views(api, campaign, lead, call, phone):
    """What a view asks for before it shows anything."""
    def first(path, members):
        return json.loads(api.read(path)[1])[members][0]["id"]

    letter, pending = first("/api/dead-letters?limit=1", "dead_letters"), first("/api/pending-calls?limit=1", "pending_calls")
    return ("/api/session", "/api/live?events=1", "/api/live/series?range=hour", "/api/live/series?range=day", "/api/scheduler", "/api/campaigns?limit=50",
            f"/api/campaigns/{campaign}", f"/api/campaigns/{campaign}/progress", f"/api/campaigns/{campaign}/windows", "/api/calls?limit=50",
            "/api/calls?limit=50&status=undetermined", "/api/leads?limit=50", "/api/leads?limit=50&q=zebulon", f"/api/leads/{lead}", f"/api/leads/{lead}/explain",
            "/api/leads?limit=50&stage=lost", f"/api/leads?phone=%2B{phone[1:]}", f"/api/calls/{call}", "/api/calls?limit=50&q=zebulon",
            "/api/admin/redial-queue/status", "/api/admin/redial-queue/records?limit=50", "/api/admin/redial-queue/records?limit=50&status=paused",
            "/api/admin/redial-queue/records?limit=50&ready=true", "/api/scheduler/dashboard", "/api/pending-calls?limit=50", "/api/pending-calls?limit=50&state=failed",
            "/api/pending-calls?limit=50&q=zebulon", f"/api/pending-calls/{pending}", "/api/classifications?limit=50", "/api/dead-letters?limit=50",
            "/api/dead-letters?limit=50&resolved=true", f"/api/dead-letters/{letter}")


class Api:
    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def read(self, path):
        started = time.monotonic()
        self.connection.request("GET", path, headers={"X-API-Key": "bench"})
        answer = self.connection.getresponse()
        body = answer.read()
        took_ms = (time.monotonic() - started) * 1000
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
        return took_ms, body

    def get(self, query):
        took_ms, body = self.read(f"/api/calls?{urlencode(query)}")
        return took_ms, json.loads(body)


def ready(url):
    for _ in range(300):
        try:
            return Api(url).get({"limit": 1})
        except (OSError, SystemExit):
            time.sleep(0.1)
    raise SystemExit("the producer does not answer")


def main():
    url, rounds, most_ms = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    ready(url)
    api = Api(url)
    page = api.get({"limit": 1000})[1]["calls"]
    seen = [one["campaignId"] for one in page if one["campaignId"]]
    campaigns = (max(set(seen), key=seen.count), min(set(seen), key=seen.count))
    slow = []
    print(f"{'filter':<72} {'rows':>5} {'next':>5} {'fastest':>8} {'median ms':>10} {'longest':>8}")
    for query in filters(campaigns, page[0]["contactId"]):
        for _ in range(2):
            answer = api.get(query)[1]
        times = [api.get(query)[0] for _ in range(rounds)]
        median = statistics.median(times)
        name = " ".join(f"{key}={value}" for key, value in query.items()) or "(none)"
        print(f"{name:<72} {len(answer['calls']):>5} {'yes' if answer['next'] else 'no':>5} {min(times):>8.1f} "
              f"{median:>10.1f} {max(times):>8.1f}", flush=True)
        if median > most_ms and query.get("limit") != 1000:
            slow.append(name)
    most_view_ms = float(sys.argv[4])
    called = next(one for one in page if one["dialedAt"])
    for path in views(api, campaigns[0], page[0]["contactId"], called["id"], called["phone"]):
        api.read(path)
        times = [api.read(path)[0] for _ in range(rounds)]
        median = statistics.median(times)
        print(f"{path:<72} {'':>5} {'':>5} {min(times):>8.1f} {median:>10.1f} {max(times):>8.1f}", flush=True)
        if median > most_view_ms:
            slow.append(path)
    if slow:
        raise SystemExit(f"longer than {most_ms:g} ms, or a view than {most_view_ms:g}: {'; '.join(slow)}")


if __name__ == "__main__":
    main()
