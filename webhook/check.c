/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row a connection. All are tried, so that one run tells of everything that is wrong; nothing
 * is changed on the other side.
 */
#include "webhook/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http_client.h"
#include "common/kafka.h"
#include "common/pg.h"
#include "common/seal.h"
#include "webhook/snapshot.h"

#define TIMEOUT_MS 10000
#define ERROR_BYTES 1024
#define URL_BYTES 4200

static bool check_postgres(struct ev_loop *loop, const struct config *cfg, struct buf *error)
{
	PGconn *conn = pg_connect_blocking(config_str(cfg, CONFIG_KEY_DATABASE_URL),
					   "carillon-webhook", error);

	(void)loop;
	if (!conn)
		return false;
	PQfinish(conn);
	return true;
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

struct registry_check {
	struct ev_loop *loop;
	struct buf *error;
	bool good;
};

static void on_answer(void *arg, const struct http_answer *a)
{
	struct registry_check *c = arg;

	c->good = a->outcome == HTTP_ANSWERED && a->status == 200;
	if (a->outcome != HTTP_ANSWERED)
		buf_adds(c->error, a->error ? a->error : "no answer");
	else if (!c->good)
		buf_addf(c->error, "answered with status %ld", a->status);
	ev_break(c->loop, EVBREAK_ONE);
}

static bool check_registry(struct ev_loop *loop, const struct config *cfg, struct buf *error)
{
	const char *url = config_str(cfg, CONFIG_KEY_SCHEMA_REGISTRY_URL);
	struct registry_check c = {.loop = loop, .error = error};
	char subjects[URL_BYTES];

	const struct http_client_options o = {
		.max_requests = 1,
		.allow_insecure = true,
		.user_agent = "carillon-webhook",
		.clock = clock_system(),
	};
	struct http_client *http = http_client_new(loop, &o);
	snprintf(subjects, sizeof(subjects), "%s/subjects", url);
	const struct http_request r = {
		.method = "GET",
		.url = subjects,
		.timeout_ms = TIMEOUT_MS,
		.max_response_bytes = 4u << 20,
	};
	if (!http || !http_send(http, &r, on_answer, &c))
		buf_adds(error, "the URL can't be used");
	else
		ev_run(loop, 0);
	http_client_free(http);
	return c.good;
}

/* A missing file is no mistake: it is written when PostgreSQL was seen. */
static bool check_snapshot(struct ev_loop *loop, const struct config *cfg, struct buf *error)
{
	const char *path = config_str(cfg, CONFIG_KEY_WEBHOOK_SNAPSHOT);
	const char *hex = config_str(cfg, CONFIG_KEY_SECRET_KEY);
	struct seal_keys keys;

	(void)loop;
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return true;
	struct snapshot *s = hex && seal_keys_parse(hex, &keys) == 0
				     ? snapshot_load(cfg, path, &keys, error)
				     : NULL;
	explicit_bzero(&keys, sizeof(keys));
	snapshot_free(s);
	return s != NULL;
}

static const struct {
	const char *name;
	enum config_key key; /* unset: not used */
	bool (*check)(struct ev_loop *loop, const struct config *cfg, struct buf *error);
} checks[] = {
	{"PostgreSQL", CONFIG_KEY_DATABASE_URL, check_postgres},
	{"Kafka", CONFIG_KEY_KAFKA_BROKERS, check_kafka},
	{"schema registry", CONFIG_KEY_SCHEMA_REGISTRY_URL, check_registry},
	{"snapshot", CONFIG_KEY_WEBHOOK_SNAPSHOT, check_snapshot},
};

bool webhook_check(struct ev_loop *loop, const struct config *cfg)
{
	bool all = true;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct buf error;
		if (!config_str(cfg, checks[i].key))
			continue;
		buf_init(&error, ERROR_BYTES);
		bool good = checks[i].check(loop, cfg, &error);
		printf("%s: %s\n", checks[i].name, good ? "good" : error.data);
		buf_release(&error);
		all = all && good;
	}
	return all;
}
