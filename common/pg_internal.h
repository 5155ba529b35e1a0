/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the halves of pg.h share: pg.c keeps the batches and reads their results, pg_link.c keeps
 * the connection under them.
 */
#ifndef CARILLON_PG_INTERNAL_H
#define CARILLON_PG_INTERNAL_H

#include "common/pg.h"

#define PG_REASON_BYTES 256

enum pg_phase {
	PG_PHASE_WAIT,	  /* for the next try to connect */
	PG_PHASE_CONNECT, /* PQconnectPoll() is at work */
	PG_PHASE_SETUP,	  /* LISTEN and prepare are in flight */
	PG_PHASE_UP,
	PG_PHASE_CLOSED, /* pg_free() is at work */
};

enum pg_batch_state {
	PG_BATCH_OPEN,
	PG_BATCH_SENT,	 /* with its sync: may be committed */
	PG_BATCH_FAILED, /* waits for its callback */
};

struct pg_batch {
	pg_batch_cb *cb;
	void *arg;
	enum pg_batch_state state;
	enum pg_status status;
	unsigned fail_bits; /* of its statements */
	bool replans; /* the first result is that of the forgetting of plans, not the caller's */
	size_t n;     /* statements sent */
	size_t got;   /* results received */
	PGresult **res;
	size_t res_cap;
	int failed_index;
	char sqlstate[6];
	char message[PG_REASON_BYTES];
};

struct pg {
	struct ev_loop *loop;
	struct pg_options o;
	PGconn *conn; /* NULL while waiting */
	enum pg_phase phase;
	bool broken; /* to be dropped by `later`; `reason` says why */
	bool write_wanted;
	char reason[PG_REASON_BYTES]; /* of the last loss */
	size_t channels;	      /* of o.listen */
	size_t setup_done;	      /* statements of the setup that were answered */
	unsigned attempt;
	int64_t replan_at_ms; /* boot clock */
	ev_io io;
	ev_timer deadline;	  /* of the phase; while up, of the next answer */
	ev_timer later;		  /* what can't be done where it arises */
	struct pg_batch *batches; /* a ring, with a slot more for the batch being answered */
	size_t slots;
	size_t head;
	size_t count;
	bool open; /* the last of the ring is PG_BATCH_OPEN */
};

/* ---- pg.c ---- */

struct pg_batch *pg_batch_at(struct pg *pg, size_t i);
/* Marks what was out when the connection went; the callbacks come from `later`. */
void pg_batches_lost(struct pg *pg);
/* Reads all results that are here without waiting, and calls back. The connection may go in it. */
void pg_drain(struct pg *pg);
void pg_on_notice(void *arg, const PGresult *res);
/* The first line of a text that may be NULL, cut to fit. */
void pg_first_line(char ret[PG_REASON_BYTES], const char *text);

/* ---- pg_link.c ---- */

void pg_link_init(struct pg *pg); /* starts connecting */
/* Closes the connection and stops its watchers. */
void pg_link_drop(struct pg *pg);
/* Drops the connection, now, and arranges for the next. */
void pg_link_lose(struct pg *pg, const char *reason);
/* The same, but from the loop: for where the connection is still in use. */
void pg_link_break(struct pg *pg, const char *reason);
/* Sends what libpq has buffered, as far as the socket takes it. */
void pg_link_flush(struct pg *pg);
/* The result of a statement of the setup, or of its sync. */
void pg_link_setup_result(struct pg *pg, PGresult *res);
/* Starts, prolongs or stops the time in which the next answer must come. */
void pg_link_await_answer(struct pg *pg);

/* ---- pg_connect.c ---- */

/* Begins a connection; NULL if `url` can't be read. statement_timeout_ms 0: none. */
PGconn *pg_connect_start(const char *url, const char *application_name, int statement_timeout_ms);

#endif
