# SPDX-License-Identifier: Apache-2.0
"""Asks for the first page of every filter of GET /api/calls and prints what it took: history.py URL ROUNDS MOST_MS."""

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


class Api:
    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def get(self, query):
        started = time.monotonic()
        self.connection.request("GET", f"/api/calls?{urlencode(query)}", headers={"X-API-Key": "bench"})
        answer = self.connection.getresponse()
        body = answer.read()
        took_ms = (time.monotonic() - started) * 1000
        if answer.status != 200:
            raise SystemExit(f"{query}: {answer.status} {body[:300]!r}")
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
    if slow:
        raise SystemExit(f"longer than {most_ms:g} ms: {'; '.join(slow)}")


if __name__ == "__main__":
    main()
