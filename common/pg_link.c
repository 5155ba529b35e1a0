/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection under the batches: connecting, preparing, watching its socket, and losing it. Each
 * phase has a deadline, because every one of them can hang: a host that drops packets, a migration
 * that holds locks, a server that is frozen but whose kernel still answers keepalives.
 */
#include <string.h>

#include "common/pg_internal.h"

#define CONNECT_TIMEOUT_MS 10000
#define SETUP_TIMEOUT_MS 30000 /* preparing may wait for a migration's locks */
/* A server is given so much longer to answer than a statement may take. */
#define STALL_MARGIN_MS 10000
#define BACKOFF_BASE_MS 200
#define BACKOFF_MAX_MS 5000

static void start_deadline(struct pg *pg, int64_t ms)
{
	pg->deadline.repeat = (double)ms / 1000.0;
	ev_timer_again(pg->loop, &pg->deadline);
}

void pg_link_await_answer(struct pg *pg)
{
	bool out = pg->count > 0 && pg_batch_at(pg, 0)->state == PG_BATCH_SENT;

	if (out && pg->o.statement_timeout_ms > 0)
		start_deadline(pg, (int64_t)pg->o.statement_timeout_ms + STALL_MARGIN_MS);
	else
		ev_timer_stop(pg->loop, &pg->deadline);
}

static void watch(struct pg *pg, int events)
{
	ev_io_stop(pg->loop, &pg->io);
	ev_io_set(&pg->io, PQsocket(pg->conn), events);
	ev_io_start(pg->loop, &pg->io);
}

void pg_link_flush(struct pg *pg)
{
	int rest = PQflush(pg->conn);

	if (rest < 0) {
		pg_link_break(pg, PQerrorMessage(pg->conn));
	} else if ((rest > 0) != pg->write_wanted) {
		pg->write_wanted = rest > 0;
		watch(pg, pg->write_wanted ? EV_READ | EV_WRITE : EV_READ);
	}
}

/* ---- Losing ---- */

void pg_link_drop(struct pg *pg)
{
	ev_io_stop(pg->loop, &pg->io);
	ev_timer_stop(pg->loop, &pg->deadline);
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->broken = false;
	pg->write_wanted = false;
}

static void set_reason(struct pg *pg, const char *reason)
{
	pg_first_line(pg->reason, reason && *reason ? reason : "connection lost");
}

void pg_link_lose(struct pg *pg, const char *reason)
{
	if (!pg->broken)
		set_reason(pg, reason);
	pg_link_drop(pg);
	pg->phase = PG_PHASE_WAIT;
	pg_batches_lost(pg);
	start_deadline(
		pg, clock_backoff_ms(pg->o.clock, pg->attempt++, BACKOFF_BASE_MS, BACKOFF_MAX_MS));
	if (pg->o.on_state)
		pg->o.on_state(pg->o.arg, false, pg->reason);
}

void pg_link_break(struct pg *pg, const char *reason)
{
	if (!pg->broken)
		set_reason(pg, reason);
	pg->broken = true;
	ev_timer_start(pg->loop, &pg->later);
}

/* ---- Setup ---- */

static bool send_listen(struct pg *pg, const char *name)
{
	char text[PG_REASON_BYTES];
	struct buf b;
	char *channel = PQescapeIdentifier(pg->conn, name, strlen(name));

	if (!channel)
		return false;
	buf_init_fixed(&b, text, sizeof(text));
	buf_addf(&b, "LISTEN %s", channel);
	PQfreemem(channel);
	return !b.failed && PQsendQueryParams(pg->conn, text, 0, NULL, NULL, NULL, NULL, 0);
}

static bool send_setup(struct pg *pg)
{
	pg->setup_done = 0;
	for (size_t i = 0; i < pg->channels; i++) {
		if (!send_listen(pg, pg->o.listen[i]))
			return false;
	}
	for (size_t i = 0; i < pg->o.stmts_count; i++) {
		const struct pg_stmt *s = &pg->o.stmts[i];
		if (s->sql && !PQsendPrepare(pg->conn, s->name, s->sql, 0, NULL))
			return false;
	}
	return PQpipelineSync(pg->conn) == 1;
}

/* The nth of those that are prepared; "" if there are fewer. */
static const char *prepared_name(const struct pg *pg, size_t nth)
{
	for (size_t i = 0; i < pg->o.stmts_count; i++) {
		if (pg->o.stmts[i].sql && nth-- == 0)
			return pg->o.stmts[i].name;
	}
	return "";
}

/* A statement that can't be prepared makes the connection useless: its name is the reason. */
static void setup_failed(struct pg *pg, const PGresult *res)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
	char line[PG_REASON_BYTES], text[2 * PG_REASON_BYTES];
	size_t i = pg->setup_done;
	struct buf b;

	pg_first_line(line, message ? message : PQresultErrorMessage(res));
	buf_init_fixed(&b, text, sizeof(text));
	if (i < pg->channels)
		buf_addf(&b, "listen %.100s: ", pg->o.listen[i]);
	else
		buf_addf(&b, "statement %.100s: ", prepared_name(pg, i - pg->channels));
	buf_adds(&b, line);
	pg_link_lose(pg, text);
}

void pg_link_setup_result(struct pg *pg, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_FATAL_ERROR)
		setup_failed(pg, res);
	PQclear(res);
	if (status == PGRES_COMMAND_OK)
		pg->setup_done++;
	if (status != PGRES_PIPELINE_SYNC)
		return;
	pg->phase = PG_PHASE_UP;
	pg->attempt = 0;
	pg_link_await_answer(pg);
	if (pg->o.on_state)
		pg->o.on_state(pg->o.arg, true, "");
}

/* ---- Connecting ---- */

static void connected(struct pg *pg)
{
	pg->phase = PG_PHASE_SETUP;
	start_deadline(pg, SETUP_TIMEOUT_MS);
	if (PQsetnonblocking(pg->conn, 1) != 0 || !PQenterPipelineMode(pg->conn) ||
	    !send_setup(pg)) {
		pg_link_lose(pg, PQerrorMessage(pg->conn));
		return;
	}
	watch(pg, EV_READ);
	pg_link_flush(pg);
}

static void poll_connect(struct pg *pg)
{
	/* libpq may close its socket in here and open another with the same number. */
	ev_io_stop(pg->loop, &pg->io);
	switch (PQconnectPoll(pg->conn)) {
	case PGRES_POLLING_READING:
		watch(pg, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		watch(pg, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		connected(pg);
		break;
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
	default:
		pg_link_lose(pg, PQerrorMessage(pg->conn));
		break;
	}
}

static void start_connect(struct pg *pg)
{
	pg->conn = pg_connect_start(pg->o.url, pg->o.application_name, pg->o.statement_timeout_ms);
	if (!pg->conn) {
		pg_link_lose(pg, "the database URL can't be read");
		return;
	}
	if (PQstatus(pg->conn) == CONNECTION_BAD) {
		pg_link_lose(pg, PQerrorMessage(pg->conn));
		return;
	}
	PQsetNoticeReceiver(pg->conn, pg_on_notice, pg);
	pg->phase = PG_PHASE_CONNECT;
	start_deadline(pg, CONNECT_TIMEOUT_MS);
	watch(pg, EV_WRITE); /* what libpq wants before the first PQconnectPoll() */
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	static const char *const reasons[] = {
		[PG_PHASE_CONNECT] = "timeout while connecting",
		[PG_PHASE_SETUP] = "timeout while preparing statements",
		[PG_PHASE_UP] = "timeout: the server does not answer",
	};
	struct pg *pg = w->data;

	(void)revents;
	ev_timer_stop(loop, w);
	if (pg->phase == PG_PHASE_WAIT)
		start_connect(pg);
	else
		pg_link_lose(pg, reasons[pg->phase]);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct pg *pg = w->data;

	(void)loop;
	if (pg->phase == PG_PHASE_CONNECT) {
		poll_connect(pg);
		return;
	}
	if (revents & EV_READ) {
		bool alive = PQconsumeInput(pg->conn);
		/* Even on a dead connection: a FATAL that came before its end tells the reason. */
		pg_drain(pg);
		if (pg->conn && !alive)
			pg_link_lose(pg, PQerrorMessage(pg->conn));
		if (pg->phase == PG_PHASE_UP)
			pg_link_await_answer(pg);
	}
	if (pg->conn)
		pg_link_flush(pg);
}

void pg_link_init(struct pg *pg)
{
	ev_init(&pg->io, on_io);
	ev_init(&pg->deadline, on_deadline);
	pg->io.data = pg->deadline.data = pg;
	pg->phase = PG_PHASE_WAIT;
	while (pg->o.listen && pg->o.listen[pg->channels])
		pg->channels++;
	start_deadline(pg, 1);
}
