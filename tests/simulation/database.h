/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of the schema as far as dialing needs them, and the statements as functions over them.
 * They say the same as the SQL: differential.c runs both side by side and compares.
 */
#ifndef CARILLON_TESTS_SIMULATION_DATABASE_H
#define CARILLON_TESTS_SIMULATION_DATABASE_H

#include <libpq-fe.h>

#include "common/phone.h"
#include "common/tables.h"
#include "consumer/providers/adapter.h"
#include "tests/simulation/sim.h"

#define FOLLOW_UPS_MAX 64
#define CALLS_MAX 512
#define EVENTS_KEPT_MAX 4096
#define WORD_BYTES 32
#define ACCOUNTS 3
#define NO_TIME MSG_NO_TIME

/* All times are of the database's clock: ms since 1970. */
struct follow_up {
	int64_t id, lead_id;
	char phone[PHONE_BYTES];
	size_t account;
	enum follow_up_status status;
	char job_id[UUID_TEXT_BYTES];
	int64_t due_at, next_look_at, lease_until, lease_s, attempts;
	char reason[WORD_BYTES], gate[WORD_BYTES];
	int redials; /* this one is the nth */
};

struct call {
	char job_id[UUID_TEXT_BYTES];
	int64_t follow_up_id, lead_id;
	char phone[PHONE_BYTES];
	size_t account;
	enum call_status status;
	char worker[64], fingerprint[ACCOUNT_FINGERPRINT_BYTES];
	char provider_call_id[PROVIDER_CALL_ID_BYTES];
	char outcome[RULES_OUTCOME_BYTES];
	int64_t attempt, claimed_at, posted_at, answered_at, ended_at, http_status, due_at, dial_by;
	int64_t event_rank;
	bool fragile; /* its claim was not durable */
	bool backpressure;
	bool decided;
	int decisions;
};

struct live {
	char job_id[UUID_TEXT_BYTES];
	char phone[PHONE_BYTES];
	size_t account;
	int64_t follow_up_id;
	enum call_status state;
	int64_t lease_until, next_check_at, checks, absent_at;
	char checker[64];
};

/* A message of the recorder's inbox. */
struct inbox_row {
	bool is_redial;
	char event_id[RULES_EVENT_ID_BYTES];
	size_t account;
	char job_id[UUID_TEXT_BYTES]; /* as the message has it, or found */
	char call_job_id[UUID_TEXT_BYTES];
	char provider_call_id[PROVIDER_CALL_ID_BYTES];
	char phone[PHONE_BYTES];
	enum event_type type;
	char outcome[RULES_OUTCOME_BYTES];
	enum redial_action action;
	bool suppress;
	int64_t occurred_at, recorded_at;
	bool parked;
};

/* An id that a provider has given to a call. */
struct provider_call {
	size_t account;
	char id[PROVIDER_CALL_ID_BYTES];
	char job_id[UUID_TEXT_BYTES];
};

struct suppression {
	char phone[PHONE_BYTES];
	int64_t created_at;
};

struct database {
	struct follow_up follow_ups[FOLLOW_UPS_MAX];
	size_t follow_ups_n;
	struct call calls[CALLS_MAX];
	size_t calls_n;
	struct live live[FOLLOW_UPS_MAX];
	size_t live_n;
	struct inbox_row inbox[EVENTS_KEPT_MAX];
	size_t inbox_n;
	struct provider_call provider_calls[CALLS_MAX];
	size_t provider_calls_n;
	struct suppression suppressions[FOLLOW_UPS_MAX];
	size_t suppressions_n;
	int64_t breaker_until[ACCOUNTS];
};
extern struct database db;

extern const char *const account_names[ACCOUNTS]; /* each is of the provider of that name */

void database_reset(void);
int64_t database_now(void);
/* A statement of consumer_sql.h with its parameters as the C code gives them. */
PGresult *database_run(size_t statement, size_t n, const char *const *params);

struct follow_up *follow_up_find(int64_t id);
struct call *call_find(const char *job_id);
struct live *live_find(const char *job_id);
struct live *live_on(const char *phone);
void live_remove(const char *job_id);
struct provider_call *provider_call_find(size_t account, const char *id);
/* Unless another has it. */
void provider_call_name(const struct call *c);
bool is_suppressed(const char *phone);
void suppress(const char *phone);
size_t account_index(const char *name);
bool text_set(char *ret, size_t n, const char *text); /* NULL is ""; false: it was cut */

/* Every change of a state goes through these: oracles watch the arrows. */
void call_move(struct call *c, enum call_status to);
void follow_up_move(struct follow_up *f, enum follow_up_status to);

/* ---- Results made here ---- */

/* `names` is NULL-terminated. */
PGresult *rows_new(const char *const *names);
void rows_text(PGresult *r, int row, int col, const char *text); /* NULL is null */
void rows_int(PGresult *r, int row, int col, int64_t v);
void rows_time(PGresult *r, int row, int col, int64_t v); /* NO_TIME is null */

/* ---- Arrays in parameters ---- */

struct array {
	char *storage;
	char **items; /* NULL is null */
	size_t n;
};
void array_parse(struct array *a, const char *text);
void array_free(struct array *a);
int64_t array_int(const struct array *a, size_t i, int64_t null);

/* ---- Statements, a file each group ---- */

/* What forbids a dial now, or NULL. */
const char *gate_of(const struct follow_up *f, int64_t now);
bool gate_is_final(const char *gate);
int64_t gate_look_again(const char *gate, const struct follow_up *f, int64_t now);
/* Back to the queue, or to its end. */
void follow_up_hold(struct follow_up *f, const char *gate);

PGresult *claim_jobs(const char *const *params);
PGresult *my_dialing(const char *const *params);
PGresult *apply_results(const char *const *params);
PGresult *due_checks(const char *const *params);
PGresult *check_again(const char *const *params);
PGresult *mark_undetermined(const char *const *params);
PGresult *take_over(const char *const *params);
PGresult *count_unknown(void);

/* The recorder's: what it reads of the topics, and what it does with it. */
void record_result(const struct msg_dispatch_result *r);
void record_event(const struct msg_call_event *e);
void record_redial(const struct msg_redial_update *r);
/* Once a batch: calls that messages speak of. */
void record_apply(void);

#endif
