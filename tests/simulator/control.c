/* SPDX-License-Identifier: Apache-2.0 */
/* The test's side: script, ledger, counters, the requests as they came, and the end of a call at
 * will. */
#include "tests/simulator/simulator.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/json.h"
#include "common/seal.h"

#define SCRIPT_MAX_BYTES (1u << 20)
#define LEDGER_MAX_BYTES (1u << 30)
#define STATS_MAX_BYTES (1u << 20)
#define REQUESTS_SHOWN 20

static void respond_fault(struct http_exchange *x, unsigned status, const char *text)
{
	http_respond_problem(x, status, text);
}

static void respond_ok(struct http_exchange *x)
{
	http_respond(x, 200, "application/json", "{\"ok\":true}", 11);
}

void respond_json(struct http_exchange *x, unsigned status, const struct buf *body)
{
	if (body->failed)
		respond_fault(x, 500, "the answer is too large");
	else
		http_respond(x, status, "application/json", body->data, body->len);
}

void handle_script(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	struct buf error;
	size_t n;
	const char *bytes = http_body(x, &n);

	buf_init(&error, 1000);
	_cleanup_json_ json_t *rules = json_parse(bytes, n, SCRIPT_MAX_BYTES, &error);
	struct script *script = rules ? script_parse(rules, &error) : NULL;
	if (script) {
		simulator_set_script(s, script);
		respond_ok(x);
	} else {
		respond_fault(x, 400, error.data);
	}
	buf_release(&error);
}

void handle_ledger(void *arg, struct http_exchange *x)
{
	const struct simulator *s = arg;
	struct buf b;

	buf_init(&b, LEDGER_MAX_BYTES);
	ledger_write(s, &b);
	respond_json(x, 200, &b);
	buf_release(&b);
}

void handle_reset(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	struct script *script = script_new();

	if (!script) {
		respond_fault(x, 503, NULL);
		return;
	}
	answers_abort(s);
	ledger_clear(s);
	simulator_set_script(s, script);
	unsigned long pending = s->stats.webhooks_pending; /* those on their way */
	s->stats = (struct stats){.webhooks_pending = pending};
	s->requests_seen = 0;
	respond_ok(x);
}

void handle_release(void *arg, struct http_exchange *x)
{
	answers_release(arg);
	respond_ok(x);
}

void handle_stats(void *arg, struct http_exchange *x)
{
	const struct simulator *s = arg;
	const struct {
		const char *name;
		unsigned long n;
	} rows[] = {
		{"posts", s->stats.posts},
		{"dials", s->stats.dials},
		{"lookups", s->stats.lookups},
		{"in_flight", s->stats.in_flight},
		{"max_in_flight", s->stats.max_in_flight},
		{"webhooks_sent", s->stats.webhooks_sent},
		{"webhooks_ok", s->stats.webhooks_ok},
		{"webhooks_failed", s->stats.webhooks_failed},
		{"webhooks_pending", s->stats.webhooks_pending},
	};
	struct buf b;

	buf_init(&b, STATS_MAX_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		buf_addf(&b, "%c\"%s\":%lu", i == 0 ? '{' : ',', rows[i].name, rows[i].n);
	buf_adds(&b, ",\"agents\":");
	agents_write(s, &b);
	buf_addc(&b, '}');
	respond_json(x, 200, &b);
	buf_release(&b);
}

/* ---- Requests as they came ---- */

/* Tells keys apart, and none of them. */
static void add_digest(struct buf *b, const char *value)
{
	const struct sign_part part = {value, strlen(value)};
	unsigned char digest[SHA256_BYTES] = {0};
	char hex[2 * SHA256_BYTES + 1] = "";

	if (sha256(&part, 1, digest))
		hex_encode(digest, sizeof(digest), hex);
	buf_addf(b, "\"sha256:%s\"", hex);
}

static void add_header(struct buf *b, const struct http_exchange *x, const char *name, bool *first)
{
	const char *value = http_header(x, name);

	if (!value)
		return;
	buf_addf(b, "%s\"%s\":", *first ? "" : ",", name);
	*first = false;
	if (strcmp(name, "authorization") == 0)
		add_digest(b, value);
	else
		buf_add_json_string(b, value, strlen(value));
}

/* Tells connections apart. */
static unsigned peer_port(const struct http_exchange *x)
{
	struct sockaddr_storage peer = {0};
	socklen_t n = sizeof(peer);
	struct sockaddr_in in;

	if (getpeername(http_socket(x), (struct sockaddr *)&peer, &n) != 0 ||
	    peer.ss_family != AF_INET)
		return 0;
	memcpy(&in, &peer, sizeof(in));
	return ntohs(in.sin_port);
}

/* Kept as JSON members. */
void request_record(struct simulator *s, const struct http_exchange *x)
{
	static const char *const shown[] = {
		"authorization",   "content-type", "content-length",	"expect",
		"idempotency-key", "traceparent",  "transfer-encoding", "user-agent"};
	struct recorded_request *r = &s->requests[s->requests_seen++ % REQUESTS_KEPT];
	bool first = true;
	size_t n;
	const char *body = http_body(x, &n);

	r->at = simulator_now(s);
	buf_clear(&r->text);
	buf_addf(&r->text, "\"port\":%u,\"method\":\"%s\",\"path\":", peer_port(x), http_method(x));
	buf_add_json_string(&r->text, http_path(x), strlen(http_path(x)));
	buf_adds(&r->text, ",\"headers\":{");
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		add_header(&r->text, x, shown[i], &first);
	buf_adds(&r->text, "},\"body\":");
	buf_add_json_string(&r->text, body, n);
}

void handle_requests(void *arg, struct http_exchange *x)
{
	const struct simulator *s = arg;
	const char *text = http_query(x, "n");
	unsigned long n = text ? strtoul(text, NULL, 10) : REQUESTS_SHOWN;
	unsigned long kept = s->requests_seen < REQUESTS_KEPT ? s->requests_seen : REQUESTS_KEPT;
	struct buf b;

	if (n > kept)
		n = kept;
	buf_init(&b, (size_t)REQUESTS_KEPT * 2 * SIM_BODY_MAX_BYTES);
	buf_addc(&b, '[');
	for (unsigned long i = s->requests_seen - n; i < s->requests_seen; i++) {
		const struct recorded_request *r = &s->requests[i % REQUESTS_KEPT];
		char at[TIME_TEXT_BYTES];
		time_format(r->at, at);
		buf_addf(&b, "%s{\"at\":\"%s\"", i == s->requests_seen - n ? "" : ",", at);
		if (!r->text.failed) {
			buf_addc(&b, ',');
			buf_add(&b, r->text.data, r->text.len);
		}
		buf_addc(&b, '}');
	}
	buf_addc(&b, ']');
	respond_json(x, 200, &b);
	buf_release(&b);
}

/* ---- The end of a call at will ---- */

void handle_end(void *arg, struct http_exchange *x)
{
	struct simulator *s = arg;
	struct call *c = call_find(s, http_param(x, "id"));
	struct buf error;
	size_t n;
	const char *bytes = http_body(x, &n);

	if (!c) {
		respond_fault(x, 404, "no such call");
		return;
	}
	buf_init(&error, 500);
	_cleanup_json_ json_t *body =
		n > 0 ? json_parse(bytes, n, SIM_BODY_MAX_BYTES, &error) : NULL;
	buf_release(&error);
	const char *word = json_path_text(body, "outcome");
	const struct outcome *o = word ? outcome_find(word) : NULL;
	if ((n > 0 && !body) || (word && !o)) {
		respond_fault(x, 400, "outcome: a word of ours or of a provider");
		return;
	}
	deliveries_cancel(s, c);
	call_end(s, c, o);
	deliveries_plan(s, c, DELIVERY_ENDED);
	respond_ok(x);
}
