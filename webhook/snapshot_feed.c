/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One batch reads all tables, so that accounts and rules are of one moment. Most reads find what
 * the last one found; a digest of the rows tells, and nothing else is done then.
 */
#include "webhook/snapshot_feed.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/pg.h"
#include "common/seal.h"
#include "webhook_sql.h"

#define PROBLEMS_BYTES_MAX 4096
#define READ_EVERY_S 10 /* changes are told; this is for those that were missed */
#define STATEMENT_TIMEOUT_MS 10000

struct snapshot_feed {
	struct ev_loop *loop;
	const struct config *cfg;
	const struct clock *clock;
	struct pg *pg;
	ev_timer timer;	      /* the next read */
	int64_t refresh_ms;   /* least time between two reads */
	int64_t last_read_at; /* boot clock */
	bool reading, again;
	bool down_told, failure_told;
	struct seal_keys keys;
	const char *path; /* of the file, or NULL */
	struct snapshot *current;
	unsigned char digest[SHA256_BYTES]; /* of the rows behind `current` */
};

/* ---- The file ---- */

static void save(struct snapshot_feed *f)
{
	struct buf error;

	if (!f->path || f->keys.n == 0)
		return;
	buf_init(&error, PROBLEMS_BYTES_MAX);
	if (snapshot_save(f->current, f->path, &f->keys, &error) != 0)
		log_error("snapshot.not_saved", LOG_STR("error", error.data));
	buf_release(&error);
}

static void load(struct snapshot_feed *f)
{
	struct buf error;

	if (!f->path || f->keys.n == 0)
		return;
	buf_init(&error, PROBLEMS_BYTES_MAX);
	f->current = snapshot_load(f->cfg, f->path, &f->keys, &error);
	if (f->current)
		log_info("snapshot.loaded", LOG_STR("path", f->path),
			 LOG_INT("accounts", account_count(f->current->accounts)),
			 LOG_INT("rules", f->current->rules.n));
	else
		log_warn("snapshot.not_loaded", LOG_STR("error", error.data));
	buf_release(&error);
}

/* ---- Reading ---- */

/* Digest of all values of all results. */
static bool digest_rows(PGresult *const *res, size_t n, unsigned char ret[SHA256_BYTES])
{
	/* Not zeros, so that no rows at all differ from what was never read. */
	memset(ret, 1, SHA256_BYTES);
	for (size_t i = 0; i < n; i++) {
		int columns = PQnfields(res[i]);
		for (int row = 0; row < PQntuples(res[i]); row++) {
			for (int col = 0; col < columns; col++) {
				unsigned char place[] = {(unsigned char)i, (unsigned char)col,
							 PQgetisnull(res[i], row, col) != 0};
				const struct sign_part parts[] = {
					{ret, SHA256_BYTES},
					{place, sizeof(place)},
					{PQgetvalue(res[i], row, col),
					 (size_t)PQgetlength(res[i], row, col)},
				};
				if (!sha256(parts, sizeof(parts) / sizeof(parts[0]), ret))
					return false;
			}
		}
	}
	return true;
}

static void take(struct snapshot_feed *f, const struct pg_batch_result *b)
{
	unsigned char digest[SHA256_BYTES];
	struct buf problems;

	if (!digest_rows(b->res, b->n, digest)) {
		log_error("snapshot.not_read", LOG_STR("error", "no digest"));
		return;
	}
	if (f->current && sign_equal(digest, f->digest, sizeof(digest)))
		return;
	buf_init(&problems, PROBLEMS_BYTES_MAX);
	const struct snapshot_rows rows = {b->res[0], b->res[1], b->res[2], b->res[3]};
	struct snapshot *s = snapshot_of_rows(f->cfg, &rows, &f->keys, &problems);
	if (problems.len > 0)
		log_warn("accounts.problems", LOG_STR("problems", problems.data));
	buf_release(&problems);
	if (!s) {
		log_error("snapshot.not_read", LOG_STR("error", "no memory"));
		return;
	}
	snapshot_free(f->current);
	f->current = s;
	memcpy(f->digest, digest, sizeof(digest));
	log_info("snapshot.read", LOG_INT("accounts", account_count(s->accounts)),
		 LOG_INT("rules", s->rules.n), LOG_INT("words", s->rules.words_count));
	save(f);
}

static void read_at(struct snapshot_feed *f, int64_t delay_ms)
{
	ev_timer_stop(f->loop, &f->timer);
	ev_timer_set(&f->timer, (double)(delay_ms > 0 ? delay_ms : 0) / 1000, 0);
	ev_timer_start(f->loop, &f->timer);
}

/* As soon as the last read is refresh_ms ago. */
static void read_soon(struct snapshot_feed *f)
{
	f->again = f->reading;
	if (!f->reading)
		read_at(f, f->last_read_at + f->refresh_ms - clock_boot_ms(f->clock));
}

static void on_rows(void *arg, const struct pg_batch_result *b)
{
	struct snapshot_feed *f = arg;

	f->reading = false;
	if (b->error.status == PG_OK)
		take(f, b);
	else if (b->error.status == PG_ERROR && !f->failure_told)
		log_error("snapshot.not_read", LOG_STR("error", b->error.message));
	f->failure_told = b->error.status == PG_ERROR;
	if (f->again)
		read_soon(f);
	else
		read_at(f, READ_EVERY_S * INT64_C(1000) > f->refresh_ms
				   ? READ_EVERY_S * INT64_C(1000)
				   : f->refresh_ms);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct snapshot_feed *f = w->data;

	(void)loop, (void)revents;
	if (f->reading || !pg_is_up(f->pg) || !pg_begin(f->pg, on_rows, f))
		return;
	f->reading = true;
	f->again = false;
	f->last_read_at = clock_boot_ms(f->clock);
	pg_add(f->pg, WEBHOOK_ACCOUNTS, 0, NULL);
	pg_add(f->pg, WEBHOOK_OUTCOME_RULES, 0, NULL);
	pg_add(f->pg, WEBHOOK_OUTCOME_WORDS, 0, NULL);
	pg_add(f->pg, WEBHOOK_ZONES, 1,
	       (const char *const[]){config_str(f->cfg, CONFIG_KEY_CONVOSO_TIME_ZONE)});
	pg_commit(f->pg);
}

static void on_state(void *arg, bool up, const char *reason)
{
	struct snapshot_feed *f = arg;

	metric_set(METRIC_PG_UP, NULL, up);
	if (up) {
		log_info("postgres.up");
		read_at(f, 0);
	} else if (!f->down_told) {
		log_warn("postgres.down", LOG_STR("error", reason));
	}
	f->down_told = !up;
}

static void on_notify(void *arg, const char *channel, const char *payload)
{
	(void)channel, (void)payload;
	read_soon(arg);
}

/* ---- Public ---- */

struct snapshot_feed *snapshot_feed_new(struct ev_loop *loop, const struct config *cfg,
					const struct clock *clock)
{
	static const char *const channels[] = {"carillon_settings", NULL};
	const char *key = config_str(cfg, CONFIG_KEY_SECRET_KEY);
	struct snapshot_feed *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->loop = loop;
	f->cfg = cfg;
	f->clock = clock;
	f->refresh_ms = config_int(cfg, CONFIG_KEY_SETTINGS_REFRESH_S) * 1000;
	if (key)
		seal_keys_parse(key, &f->keys);
	f->path = config_str(cfg, CONFIG_KEY_WEBHOOK_SNAPSHOT);
	ev_init(&f->timer, on_timer);
	f->timer.data = f;
	load(f);
	const struct pg_options po = {
		.url = config_str(cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-webhook",
		.stmts = webhook_stmts,
		.stmts_count = WEBHOOK_STMT_COUNT,
		.listen = channels,
		.statement_timeout_ms = STATEMENT_TIMEOUT_MS,
		.max_batches = 1,
		.on_state = on_state,
		.on_notify = on_notify,
		.arg = f,
		.clock = clock,
	};
	metric_set(METRIC_PG_UP, NULL, 0);
	f->pg = pg_new(loop, &po);
	return f;
}

void snapshot_feed_free(struct snapshot_feed *f)
{
	if (!f)
		return;
	pg_free(f->pg);
	ev_timer_stop(f->loop, &f->timer);
	snapshot_free(f->current);
	explicit_bzero(&f->keys, sizeof(f->keys));
	free(f);
}

const struct snapshot *snapshot_feed_current(const struct snapshot_feed *f)
{
	return f->current;
}

bool snapshot_feed_is_ready(void *feed)
{
	return ((struct snapshot_feed *)feed)->current != NULL;
}
