/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator as a whole: its parts, its seeded randomness, its beginning and end. */
#include "tests/simulator/simulator.h"

#include <string.h>

#include "common/json.h"

#define CONNECTIONS_MAX 16384
#define WEBHOOKS_AT_ONCE 256
#define ANSWER_MAX_BYTES (64u << 20)

static const struct http_route routes[] = {
	{"POST", "/api/v1/calls/dispatch", handle_omni_dispatch, SIM_BODY_MAX_BYTES},
	{"GET", "/api/v1/calls/logs", handle_omni_logs, 0},
	{"GET", "/api/v1/calls/logs/{id}", handle_omni_log, 0},
	{"POST", "/call", handle_vapi_create, SIM_BODY_MAX_BYTES},
	{"GET", "/call", handle_vapi_list, 0},
	{"GET", "/call/{id}", handle_vapi_get, 0},
	{"POST", "/vapi-monitor/{id}/control", handle_vapi_control, SIM_BODY_MAX_BYTES},
	{"POST", "/v1/calls", handle_bland_create, SIM_BODY_MAX_BYTES},
	{"GET", "/v1/calls", handle_bland_list, 0},
	{"GET", "/v1/calls/{id}", handle_bland_get, 0},
	{"POST", "/v1/calls/{id}/stop", handle_bland_stop, SIM_BODY_MAX_BYTES},
	{"POST", "/2010-04-01/Accounts/{account}/Calls.json", handle_twilio_create,
	 SIM_BODY_MAX_BYTES},
	{"GET", "/2010-04-01/Accounts/{account}/Calls.json", handle_twilio_list, 0},
	{"GET", "/2010-04-01/Accounts/{account}/Calls/{id}", handle_twilio_get, 0},
	{"POST", "/2010-04-01/Accounts/{account}/Calls/{id}", handle_twilio_update,
	 SIM_BODY_MAX_BYTES},
	{"GET", "/ledger", handle_ledger, 0},
	{"GET", "/stats", handle_stats, 0},
	{"GET", "/requests", handle_requests, 0},
	{"POST", "/script", handle_script, SIM_BODY_MAX_BYTES},
	{"POST", "/reset", handle_reset, SIM_BODY_MAX_BYTES},
	{"POST", "/release", handle_release, SIM_BODY_MAX_BYTES},
	{"POST", "/calls/{id}/end", handle_end, SIM_BODY_MAX_BYTES},
};

int64_t simulator_now(const struct simulator *s)
{
	return clock_wall_ms(&s->clock);
}

/* xoshiro256**: the same seed, the same outcomes. */
static void seeded_random(void *arg, void *ret_bytes, size_t n)
{
	uint64_t *r = ((struct simulator *)arg)->random_state;

	for (unsigned char *to = ret_bytes; n > 0;) {
		uint64_t five = r[1] * 5;
		uint64_t drawn = (five << 7 | five >> 57) * 9;
		uint64_t shifted = r[1] << 17;
		r[2] ^= r[0];
		r[3] ^= r[1];
		r[1] ^= r[2];
		r[0] ^= r[3];
		r[2] ^= shifted;
		r[3] = r[3] << 45 | r[3] >> 19;
		size_t part = n < sizeof(drawn) ? n : sizeof(drawn);
		memcpy(to, &drawn, part);
		to += part;
		n -= part;
	}
}

static int64_t wall_ms(void *arg)
{
	(void)arg;
	return clock_wall_ms(clock_system());
}

static int64_t boot_ms(void *arg)
{
	(void)arg;
	return clock_boot_ms(clock_system());
}

static void seed(struct simulator *s)
{
	uint64_t n = s->o.seed >= 0 ? (uint64_t)s->o.seed
				    : clock_random_below(clock_system(), UINT64_MAX);

	for (size_t i = 0; i < 4; i++) { /* splitmix64 */
		n += UINT64_C(0x9e3779b97f4a7c15);
		uint64_t z = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		s->random_state[i] = z ^ z >> 31;
	}
	s->clock = (struct clock){
		.wall_ms = wall_ms, .boot_ms = boot_ms, .random = seeded_random, .arg = s};
	/* Omni's ids are numbers; those of an earlier run must not come again. */
	s->ledger.next_number = clock_wall_ms(clock_system()) * 1000;
}

static struct script *load_script(const char *file, struct buf *error)
{
	_cleanup_json_ json_t *rules = NULL;
	json_error_t e;

	if (!file)
		return script_new();
	rules = json_load_file(file, JSON_REJECT_DUPLICATES, &e);
	if (!rules)
		buf_addf(error, "%s: %s", file, e.text);
	return rules ? script_parse(rules, error) : NULL;
}

bool simulator_init(struct simulator *s, struct buf *error)
{
	const struct http_server_options server = {.listen = s->o.listen,
						   .routes = routes,
						   .routes_count =
							   sizeof(routes) / sizeof(routes[0]),
						   .max_connections = CONNECTIONS_MAX,
						   .header_timeout_ms = 10000,
						   .request_timeout_ms = 30000,
						   .clock = clock_system(),
						   .arg = s};
	const struct http_client_options client = {.max_requests = WEBHOOKS_AT_ONCE,
						   .connection_max_idle_s = 15,
						   .allow_insecure = true,
						   .user_agent = "carillon-simulator",
						   .clock = clock_system()};

	seed(s);
	buf_init(&s->scratch, ANSWER_MAX_BYTES);
	for (size_t i = 0; i < REQUESTS_KEPT; i++)
		buf_init(&s->requests[i].text, 2 * SIM_BODY_MAX_BYTES);
	s->script = load_script(s->o.script_file, error);
	s->client = http_client_new(s->loop, &client);
	s->server = s->script && s->client ? http_server_new(s->loop, &server, error) : NULL;
	return s->server != NULL;
}

void simulator_release(struct simulator *s)
{
	answers_abort(s);
	http_server_free(s->server);
	ledger_clear(s);
	http_client_free(s->client);
	deliveries_release(s);
	scripts_free(s);
	buf_release(&s->scratch);
	for (size_t i = 0; i < REQUESTS_KEPT; i++)
		buf_release(&s->requests[i].text);
}
