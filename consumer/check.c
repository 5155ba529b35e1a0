/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row a connection. All are tried, so that one run tells of everything that is wrong; nothing
 * is changed on the other side, and no provider is asked for anything.
 */
#include <stdio.h>

#include "common/kafka.h"
#include "consumer/consumer.h"

#define TIMEOUT_MS 10000
#define ERROR_BYTES 1024
#define URL_BYTES 4200

static bool check_postgres(struct ev_loop *loop, const struct config *cfg, struct buf *error)
{
	PGconn *conn = pg_connect_blocking(config_str(cfg, CONFIG_KEY_DATABASE_URL),
					   "carillon-consumer", error);

	(void)loop;
	PQfinish(conn);
	return conn != NULL;
}

static bool check_kafka(struct ev_loop *loop, const struct config *cfg, struct buf *error)
{
	const struct kafka_settings settings = {
		.brokers = config_str(cfg, CONFIG_KEY_KAFKA_BROKERS),
		.properties_file = config_str(cfg, CONFIG_KEY_KAFKA_PROPERTIES),
		.client_id = config_str(cfg, CONFIG_KEY_WORKER_NAME),
	};

	(void)loop;
	return kafka_check(&settings, TIMEOUT_MS, error) == 0;
}

struct registry_answer {
	struct ev_loop *loop;
	struct buf *error;
	bool good;
};

static void on_answer(void *arg, const struct http_answer *a)
{
	struct registry_answer *r = arg;

	r->good = a->outcome == HTTP_ANSWERED && a->status == 200;
	if (a->outcome != HTTP_ANSWERED)
		buf_adds(r->error, a->error ? a->error : "no answer");
	else if (!r->good)
		buf_addf(r->error, "answered with status %ld", a->status);
	ev_break(r->loop, EVBREAK_ONE);
}

static bool check_registry(struct ev_loop *loop, const struct config *cfg, struct buf *error)
{
	const char *url = config_str(cfg, CONFIG_KEY_SCHEMA_REGISTRY_URL);
	struct registry_answer answer = {.loop = loop, .error = error};
	char subjects[URL_BYTES];

	if (!url)
		return true;
	const struct http_client_options o = {
		.max_requests = 1,
		.allow_insecure = true,
		.user_agent = "carillon/" CARILLON_VERSION,
		.clock = clock_system(),
	};
	const struct http_request r = {
		.method = "GET",
		.url = subjects,
		.timeout_ms = TIMEOUT_MS,
		.max_response_bytes = 4u << 20,
	};
	struct http_client *http = http_client_new(loop, &o);
	snprintf(subjects, sizeof(subjects), "%s/subjects", url);
	if (http && http_send(http, &r, on_answer, &answer))
		ev_run(loop, 0);
	else
		buf_adds(error, "the URL can't be used");
	http_client_free(http);
	return answer.good;
}

static const struct {
	const char *name;
	bool (*check)(struct ev_loop *loop, const struct config *cfg, struct buf *error);
} checks[] = {
	{"PostgreSQL", check_postgres},
	{"Kafka", check_kafka},
	{"schema registry", check_registry},
};

bool consumer_check(struct ev_loop *loop, const struct config *cfg)
{
	bool all = true;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct buf error;
		buf_init(&error, ERROR_BYTES);
		bool good = checks[i].check(loop, cfg, &error);
		printf("%s: %s\n", checks[i].name, good ? "good" : error.data);
		buf_release(&error);
		all = all && good;
	}
	return all;
}
