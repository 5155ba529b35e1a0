/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of its own, with these two statements: behind the API's requests a revocation would
 * wait for the slowest of them.
 */
#include "producer/api/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api_sql.h"
#include "common/log.h"
#include "common/pg.h"

#define STATEMENT_TIMEOUT_MS 5000
#define HASH_TEXT_BYTES (2 * SHA256_BYTES)
#define SESSION_ID_TEXT_BYTES (2 * SESSION_ID_BYTES)

enum { STMT_KEYS, STMT_ENDED, STMTS };

struct api_keys {
	struct ev_loop *loop;
	const struct clock *clock;
	struct pg *pg;
	struct pg_stmt stmts[STMTS];
	ev_timer timer;
	bool reading, again;
	bool known;
	struct api_key *keys;
	size_t n;
	unsigned char (*ended)[SESSION_ID_BYTES]; /* in order */
	size_t ended_n;
};

/* A row that can't be read is no key. */
static bool read_key(const PGresult *rows, int row, struct api_key *ret)
{
	const char *hash = pg_text(rows, row, pg_col(rows, "hash"));
	const char *tenant = pg_text(rows, row, pg_col(rows, "tenant"));

	*ret = (struct api_key){
		.may_operate = pg_bool(rows, row, pg_col(rows, "may_operate")),
		.expires_at_ms = pg_int(rows, row, pg_col(rows, "expires_at")),
	};
	int n = snprintf(ret->tenant, sizeof(ret->tenant), "%s", tenant);
	return n >= 0 && (size_t)n < sizeof(ret->tenant) && strlen(hash) == HASH_TEXT_BYTES &&
	       hex_decode(hash, HASH_TEXT_BYTES, ret->hash) == 0;
}

void api_keys_take(struct api_keys *k, const PGresult *rows)
{
	k->n = 0;
	for (int row = 0; row < PQntuples(rows) && k->n < API_KEYS_MAX; row++)
		k->n += read_key(rows, row, &k->keys[k->n]);
	k->known = true;
}

void api_keys_take_ended(struct api_keys *k, const PGresult *rows)
{
	k->ended_n = 0;
	for (int row = 0; row < PQntuples(rows) && k->ended_n < ENDED_SESSIONS_MAX; row++) {
		const char *id = pg_text(rows, row, pg_col(rows, "id"));
		k->ended_n += strlen(id) == SESSION_ID_TEXT_BYTES &&
			      hex_decode(id, SESSION_ID_TEXT_BYTES, k->ended[k->ended_n]) == 0;
	}
}

static void refresh(struct api_keys *k);

static void on_read(void *arg, const struct pg_batch_result *b)
{
	struct api_keys *k = arg;

	k->reading = false;
	if (b->error.status == PG_OK) {
		api_keys_take(k, b->res[STMT_KEYS]);
		api_keys_take_ended(k, b->res[STMT_ENDED]);
	} else if (b->error.status == PG_ERROR) {
		log_error("api_keys.not_read", LOG_STR("error", b->error.message));
	}
	if (k->again)
		refresh(k);
}

static void refresh(struct api_keys *k)
{
	static const int most[STMTS] = {
		[STMT_KEYS] = API_KEYS_MAX, [STMT_ENDED] = ENDED_SESSIONS_MAX};
	char text[16];
	const char *params[] = {text};

	/* The read under way may have its snapshot from before the change. */
	k->again = k->reading;
	if (k->reading || !pg_is_up(k->pg))
		return;
	k->reading = pg_begin(k->pg, on_read, k);
	for (unsigned i = 0; k->reading && i < STMTS; i++) {
		snprintf(text, sizeof(text), "%d", most[i]);
		pg_add(k->pg, i, 1, params);
	}
	if (k->reading)
		pg_commit(k->pg);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct api_keys *k = w->data;

	(void)loop, (void)revents;
	if (!k->reading)
		refresh(k);
}

static void on_state(void *arg, bool up, const char *reason)
{
	/* The scheduler's connection tells of the server. */
	if (up)
		refresh(arg);
	else
		log_debug("api.postgres_down", LOG_STR("error", reason));
}

static void on_notify(void *arg, const char *channel, const char *payload)
{
	(void)channel, (void)payload;
	refresh(arg);
}

struct api_keys *api_keys_new(struct ev_loop *loop, const struct config *cfg,
			      const struct clock *clock)
{
	static const char *const channels[] = {"carillon_settings", NULL};
	struct api_keys *k = calloc(1, sizeof(*k));
	struct api_key *keys = calloc(API_KEYS_MAX, sizeof(*keys));

	if (!k || !keys)
		abort();
	k->ended = calloc(ENDED_SESSIONS_MAX, sizeof(*k->ended));
	if (!k->ended)
		abort();
	k->stmts[STMT_KEYS] = api_stmts[API_API_KEYS_LIVE];
	k->stmts[STMT_ENDED] = api_stmts[API_SESSIONS_ENDED];
	k->loop = loop;
	k->clock = clock;
	k->keys = keys;
	k->pg = pg_new(loop, &(struct pg_options){
				     .url = config_str(cfg, CONFIG_KEY_DATABASE_URL),
				     .application_name = "carillon-producer-keys",
				     .stmts = k->stmts,
				     .stmts_count = STMTS,
				     .listen = channels,
				     .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
				     .max_batches = 1,
				     .on_state = on_state,
				     .on_notify = on_notify,
				     .arg = k,
				     .clock = clock,
			     });
	double every_s = (double)config_int(cfg, CONFIG_KEY_SETTINGS_REFRESH_S);
	ev_timer_init(&k->timer, on_timer, every_s, every_s);
	k->timer.data = k;
	ev_timer_start(loop, &k->timer);
	return k;
}

bool api_keys_ready(const struct api_keys *k)
{
	return k->known;
}

void api_keys_free(struct api_keys *k)
{
	if (!k)
		return;
	ev_timer_stop(k->loop, &k->timer);
	k->again = false;
	pg_free(k->pg);
	free(k->keys);
	free(k->ended);
	free(k);
}

const struct api_key *api_keys_find(const struct api_keys *k, const char *presented)
{
	const struct sign_part part = {presented, presented ? strlen(presented) : 0};
	unsigned char hash[SHA256_BYTES];

	return presented && sha256(&part, 1, hash) ? api_keys_find_hash(k, hash) : NULL;
}

const struct api_key *api_keys_find_hash(const struct api_keys *k,
					 const unsigned char hash[SHA256_BYTES])
{
	const struct api_key *found = NULL;

	for (size_t i = 0; i < k->n; i++) {
		if (sign_equal(hash, k->keys[i].hash, SHA256_BYTES))
			found = &k->keys[i];
	}
	if (found && found->expires_at_ms != 0 && found->expires_at_ms <= clock_wall_ms(k->clock))
		return NULL;
	return found;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, SESSION_ID_BYTES);
}

bool api_keys_session_ended(const struct api_keys *k, const unsigned char id[SESSION_ID_BYTES])
{
	return bsearch(id, k->ended, k->ended_n, SESSION_ID_BYTES, compare_ids) != NULL;
}
