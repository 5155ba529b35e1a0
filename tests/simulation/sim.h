/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deterministic simulation: the consumer's own dispatcher, reconciler, look-ups, adapters,
 * rules and messages, several of each, in a world made of memory. Time is a queue of events, all
 * chance comes from one seed, and what the C code reaches through libev, common/pg.h,
 * common/http_client.h and common/kafka.h is defined here. So a seed is one history, to be had
 * again as often as wanted, and minutes of it pass in milliseconds.
 *
 *   time.c      the queue of events and the timers of libev
 *   worker.c    a consumer process: its life, its death between any two steps, its clock
 *   pg.c        the way to the database: batches that are lost before or after they are done
 *   database.c  tables, and the statements as the SQL has them (claims.c, results.c, events.c)
 *   http.c      the way to the provider: what of a request arrives, and what of its answer
 *   provider.c  the provider: the calls it really made, its lists, its events
 *   kafka.c     logs, partitions, offsets
 *   outside.c   what is not the consumer: producer, webhook and recorder
 *   oracles.c   what must be true of each step, and at the end
 */
#ifndef CARILLON_TESTS_SIMULATION_H
#define CARILLON_TESTS_SIMULATION_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/msg.h"

#define WORKERS_MAX 3
#define EPOCH_MS INT64_C(1767600000000) /* when each history begins: 2026-01-05T08:00:00Z */
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)

/* ---- Chance ---- */

uint64_t chance_bits(void);
/* Uniform in [from, to]. */
int64_t chance_between(int64_t from, int64_t to);
/* True in `permille` of 1000 cases. */
bool chance(int permille);

/* ---- Time ---- */

struct worker;
typedef void event_fn(void *arg);

int64_t sim_now(void); /* ms since EPOCH_MS; what boot clocks and the database show is made of it */
/*
 * `fn` is called with `arg` at `at`; `arg` is the queue's and goes to `release` (free() if NULL)
 * after that, or if the worker it is for has died meanwhile. One that is frozen gets it later.
 */
void sim_at(int64_t at, struct worker *owner, event_fn *fn, void *arg, event_fn *release);
/* Runs the next event; false: there is none, or none before `until`. */
bool sim_step(int64_t until);
void sim_clear(void);

struct ev_loop *loop_new(struct worker *owner);
void loop_free(struct ev_loop *loop);
/* What is done before it sleeps. */
void loop_prepare(struct ev_loop *loop);

/* ---- A history ---- */

/* How often what goes wrong, in permille; drawn for each seed. */
struct faults {
	int crash;	/* of a step of a worker */
	int freeze;	/* of a step of a worker */
	int pg_lost;	/* of batches; half of them done */
	int pg_refused; /* of batches: a deadlock, say */
	int pg_not_durable;
	int http_unsent; /* of requests: no connection */
	int http_broken; /* of POSTs: anything but a clear answer */
	int list_broken; /* of look-ups */
	int refused;	 /* of POSTs */
	int kafka_lost;	 /* of messages and acknowledgements */
	int kafka_twice; /* of messages */
	int event_lost;	 /* of webhooks, for good */
	int event_late;	 /* of webhooks, by minutes */
	int outage;	 /* of minutes: the database is away for a while */
	int64_t until;	 /* nothing of it goes wrong after that */
};

struct sim {
	uint64_t seed;
	uint64_t state; /* of chance */
	struct faults faults;
	struct worker *workers[WORKERS_MAX];
	size_t workers_count;
	struct msg_codec *codec;
	const struct config *cfg;
	bool trace;
	bool fragile; /* the batch that is being done will not be durable */
	int64_t database_down_until;
	int64_t provider_ahead_ms; /* its clock */
	size_t list_rows;	   /* at most in an answer that says how many there are */
	int64_t stopped_at, stopped_until;
	int64_t closed_at, opens_at; /* nobody is to be rung between */
	char failure[512];	     /* what broke first, or "" */
};
extern struct sim sim;

/* What the histories went through, of all seeds together. */
struct sim_counts {
	int64_t events, posts, dialed, unknown, proved_absent, found, undetermined, end_unknown;
	int64_t crashes, freezes, lost_batches, held, repeated, resent, decided, parked, looked_up,
		compared;
};
extern struct sim_counts counts;

/* Notes the first thing that is wrong; the history ends. */
void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool sim_failed(void);
/* A line of the trace, with the time. */
void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool faulty(int permille); /* chance() while things may still go wrong */

/* ---- Workers ---- */

struct worker *worker_new(size_t index);
void worker_start(struct worker *w);
void worker_free(struct worker *w);
bool worker_is_alive(const struct worker *w);
bool worker_is_frozen(const struct worker *w);
int64_t worker_frozen_until(const struct worker *w);
unsigned worker_incarnation(const struct worker *w);
struct worker *worker_of(const struct ev_loop *loop);
size_t worker_index(const struct worker *w);
const struct clock *worker_clock(const struct worker *w);
/*
 * Between any two things that others can see, a worker may die or fall asleep. False: it is dead,
 * and what it was about to do does not happen.
 */
bool worker_acts(struct worker *w, const char *what);
void worker_sleeps(struct worker *w, int64_t for_ms);
/* After each of its events: what it does before it sleeps, and its burial. */
void worker_turns(struct worker *w);

/* ---- Kafka ---- */

void kafka_reset(void);
void kafka_append(enum msg_type type, const void *value, size_t bytes);
/* The next message from `*offset` on; NULL at the end. */
const void *kafka_read(enum msg_type type, size_t *offset, size_t *ret_bytes);
void kafka_member_gone(struct worker *w);

/* ---- What is outside ---- */

void outside_start(void);
void outside_release(void);
/* A provider's callback: what the webhook makes of it goes to the recorder. */
void outside_event(const struct msg_call_event *e);
/* What was published by then is recorded; of the database's clock. */
int64_t outside_recorded_to(void);

/* ---- Provider ---- */

void provider_reset(void);
/* The calls that it made, one by one; false: there is no i-th. */
bool provider_each(size_t i, const char **ret_job_id, bool *ret_over);
bool provider_rings(const char *phone);

/* ---- Oracles ---- */

/* After each change of the database. */
void oracle_rows(void);
/* The first byte of a POST leaves. */
void oracle_posting(const char *body);
/* The provider made a call. */
void oracle_dialed(const char *job_id, const char *phone);
/* Nothing is left to do. */
bool oracle_is_settled(void);
/* When all should be over. */
void oracle_end(void);

#endif
