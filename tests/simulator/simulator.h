/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider simulator: Omni, Vapi, Bland and Twilio as they look from outside, with a ledger of
 * every call they placed and a script of what goes wrong. The ledger is the ground truth of the
 * fault tests: whatever our side believes, a person was rung as often as it says.
 *
 * One loop, one thread, one struct simulator. Modules: script (rules), outcomes (how calls end),
 * calls (the ledger), omni, vapi, bland and twilio (their routes and webhooks), classifier, answers
 * (what a create gets back, and the ways not to get it), deliveries (webhooks), control (the test's
 * routes).
 */
#ifndef CARILLON_SIMULATOR_H
#define CARILLON_SIMULATOR_H

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/http_server.h"

#define SIM_BODY_MAX_BYTES (1u << 20)

enum provider { PROVIDER_OMNI, PROVIDER_VAPI, PROVIDER_BLAND, PROVIDER_TWILIO, PROVIDER_COUNT };
const char *provider_name(enum provider p);
bool provider_parse(const char *text, enum provider *ret);

enum vapi_auth { VAPI_AUTH_SECRET, VAPI_AUTH_BEARER, VAPI_AUTH_HMAC };

struct options {
	const char *listen;
	const char *webhook_url; /* origin of the webhook process; NULL: no webhooks */
	const char *omni_token;
	const char *vapi_secret;
	const char *bland_secret;
	const char *twilio_token;
	const char *classifier_secret; /* the bytes behind whsec_ in base64; NULL: no classifier */
	const char *keys[PROVIDER_COUNT]; /* NULL: any */
	const char *script_file;
	enum vapi_auth vapi_auth;
	bool webhooks;
	int64_t seed; /* -1: another one each time */
	int64_t latency_ms;
	int64_t call_ms;
};

/* ---- How calls end (outcomes.c) ---- */

/* One way, in the words of the providers. */
struct outcome {
	const char *name;
	unsigned weight;	 /* in the default mix */
	const char *omni_status; /* call_status of the webhook; the log writes '-' for '_' */
	const char *vapi_reason; /* endedReason */
	const char *bland_status;
	const char *bland_answered_by; /* or NULL */
	const char *bland_tag;	       /* disposition_tag, or NULL */
	const char *twilio_status;
	const char *twilio_answered_by; /* or NULL */
	const char *said;		/* the agent's own word, if there was a conversation */
	bool talked;
	bool success;
};

#define OUTCOMES_MAX 16
/* Weights by row of the table. */
struct outcome_mix {
	unsigned weights[OUTCOMES_MAX];
};

const struct outcome *outcome_find(
	const char *word); /* our name or a provider's word; any case; or NULL */
void outcome_mix_default(struct outcome_mix *m);
/* Text (one outcome) or object {word: weight}; false if a word is unknown or no weight is left. */
bool outcome_mix_parse(const json_t *j, struct outcome_mix *ret);
const struct outcome *outcome_draw(const struct outcome_mix *m, const struct clock *random);

/* ---- The script (script.c) ---- */

enum misbehaviour {
	MISBEHAVE_NOT,
	MISBEHAVE_RESET,    /* RST instead of an answer */
	MISBEHAVE_TIMEOUT,  /* no answer, ever */
	MISBEHAVE_GARBAGE,  /* not HTTP */
	MISBEHAVE_HTML,	    /* HTTP, but not JSON */
	MISBEHAVE_HUGE,	    /* a body without end */
	MISBEHAVE_TRUNCATE, /* cut in the middle */
	MISBEHAVE_COUNT
};

enum webhook_order { ORDER_KEPT, ORDER_REVERSE, ORDER_SHUFFLE };

struct action {
	int64_t latency_ms; /* -1: the option's */
	int64_t call_ms;    /* -1: the option's */
	int64_t queue_ms;   /* Twilio: waits so long before it is dialed */
	long status;	    /* 0: the provider's own for what happened */
	const char *body;   /* JSON text, or NULL */
	const char *retry_after;
	enum misbehaviour misbehaviour;
	bool hold;   /* answered at POST /release */
	bool dialed; /* a call is created */
	struct outcome_mix mix;
	const char *call_status;  /* Omni's word instead of the outcome's */
	const char *ended_reason; /* Vapi's */
	const char *disposition;  /* Bland's */
	const char *error_message;
	const char *answered_by; /* Twilio's */
	const json_t *classify;	 /* what the classifier says of a Twilio call, or NULL */
	int64_t callback_in_ms;
	bool webhooks_lost;
	unsigned webhook_duplicates;
	int64_t webhook_delay_ms;
	enum webhook_order webhook_order;
	bool webhooks_before_answer;
	int64_t list_lag_ms;
};

struct script;
struct script *script_new(void); /* without rules */
/* Parses an array of rules; NULL with the reason. */
struct script *script_parse(const json_t *rules, struct buf *error);
void script_free(struct script *s);
/* What to do with this create; never NULL. Counts. Lives as long as the script. */
const struct action *script_match(struct script *s, enum provider p, const char *phone,
				  const char *job_id);
/* True if this look-up is to fail. Counts. */
bool script_list_fails(struct script *s, enum provider p);

/* ---- Calls: the ledger (calls.c) ---- */

struct call {
	char id[40]; /* what the provider's answer names it */
	int64_t number;
	enum provider provider;
	char phone[24];
	struct job *job;
	struct call *next_of_job;
	char *echo;  /* Vapi, Bland: the request's members that come back, JSON without braces */
	char *agent; /* Omni agent id, Vapi assistant id or Bland's pathway; "" if none */
	char *from;  /* Omni number id, Vapi phone number id or Bland's number */
	const struct action *action;
	const struct outcome *outcome;
	int64_t created_at; /* wall clock, ms */
	int64_t ringing_at, answered_at, ended_at;
	struct delivery *deliveries;
	char *server_url; /* Vapi, Bland: where the request wants its events; NULL: where the
			     assistant or account has it */
	char **server_headers;
	char *amd_url;		    /* Twilio: where who answered is told, or NULL */
	unsigned status_events;	    /* Twilio: of these kinds, a bit each */
	const char *stopped_status; /* Twilio: its state after it was stopped, or NULL */
	bool server_credential;	    /* authenticate as --vapi-auth says */
	unsigned retries_max;
	int64_t retry_base_ms;
	bool retry_fixed;
	UT_hash_handle hh; /* by id */
};

struct job {
	char *id;
	struct call *first, *last;
	UT_hash_handle hh;
};

struct phone {
	char number[24];
	unsigned long calls;
	UT_hash_handle hh;
};

/* What calls under way at once an agent or assistant had. */
struct agent {
	char *name;
	struct call **live; /* some of them may be over */
	size_t count, room;
	size_t most;
	UT_hash_handle hh;
};

struct ledger {
	struct call **calls; /* in order of creation */
	size_t count, room;
	struct call *by_id;
	struct job *jobs;
	struct phone *phones;
	struct agent *agents;
	int64_t next_number;
};

/* What a create asks for. */
struct create {
	enum provider provider;
	char phone[24];
	char job_id[80];
	json_t *body;
};

struct simulator;
/* Dials. NULL without memory. */
struct call *call_create(struct simulator *s, const struct create *c, const struct action *a);
struct call *call_find(struct simulator *s, const char *id);
bool call_ended(const struct simulator *s, const struct call *c);
/* Ends it now. */
void call_end(struct simulator *s, struct call *c, const struct outcome *o);
/* '+' and 7 to 15 digits. */
bool phone_usable(const char *text);
/* Shows in the provider's list. */
bool call_listed(const struct simulator *s, const struct call *c);
void ledger_write(const struct simulator *s, struct buf *out);
/* {AGENT: {"live", "max_live"}} */
void agents_write(const struct simulator *s, struct buf *out);
void ledger_clear(struct simulator *s);

/* ---- Webhooks (deliveries.c) ---- */

enum delivery_kind {
	DELIVERY_INITIATED,
	DELIVERY_RINGING,
	DELIVERY_IN_PROGRESS,
	DELIVERY_AMD, /* who answered */
	DELIVERY_ENDED,
	DELIVERY_REPORT,
	DELIVERY_CLASSIFIED, /* the classifier's, on a time of its own */
};

/* Plans the events of a call from that kind on. */
void deliveries_plan(struct simulator *s, struct call *c, enum delivery_kind first);
void deliveries_cancel(struct simulator *s, struct call *c);
bool deliveries_done(const struct call *c);
/* Frees what was on its way when the client ended. */
void deliveries_release(struct simulator *s);

/* ---- Providers (omni.c, vapi.c, bland.c, twilio.c) ---- */

struct provider_ops {
	bool row_at_end; /* a row of the list shows only when the call is over */
	bool bare_key;	 /* Authorization is the key itself; a scheme before it is permitted */
	bool basic;	 /* Authorization is Basic, of the path's account and the key */
	/* NULL: JSON. */
	json_t *(*parse)(const char *bytes, size_t n, struct buf *error);
	/* False: answered already, with a refusal. */
	bool (*read_create)(struct simulator *s, struct http_exchange *x, struct create *c);
	void (*complete)(struct simulator *s, struct call *c, const json_t *body);
	void (*write_created)(const struct simulator *s, const struct call *c, const json_t *body,
			      struct buf *out);
	unsigned created_status;
	/* Which events a call of this kind sends. */
	bool (*sends)(const struct call *c, enum delivery_kind kind);
	void (*write_event)(const struct simulator *s, const struct call *c,
			    enum delivery_kind kind, struct buf *out);
	/* Where to, and the headers; false if nobody is to be told. */
	bool (*address)(const struct simulator *s, const struct call *c, enum delivery_kind kind,
			const struct buf *body, struct buf *url, struct buf *headers);
	void (*refuse)(struct http_exchange *x, unsigned status, const char *text);
};
extern const struct provider_ops omni_ops;
extern const struct provider_ops vapi_ops;
extern const struct provider_ops bland_ops;
extern const struct provider_ops twilio_ops;
const struct provider_ops *provider_ops(enum provider p);

void handle_omni_dispatch(void *arg, struct http_exchange *x);
void handle_omni_logs(void *arg, struct http_exchange *x);
void handle_omni_log(void *arg, struct http_exchange *x);
void handle_vapi_create(void *arg, struct http_exchange *x);
void handle_vapi_list(void *arg, struct http_exchange *x);
void handle_vapi_get(void *arg, struct http_exchange *x);
void handle_vapi_control(void *arg, struct http_exchange *x);
void handle_bland_create(void *arg, struct http_exchange *x);
void handle_bland_list(void *arg, struct http_exchange *x);
void handle_bland_get(void *arg, struct http_exchange *x);
void handle_bland_stop(void *arg, struct http_exchange *x);
void handle_twilio_create(void *arg, struct http_exchange *x);
void handle_twilio_list(void *arg, struct http_exchange *x);
void handle_twilio_get(void *arg, struct http_exchange *x);
void handle_twilio_update(void *arg, struct http_exchange *x);

/* ---- The classifier (classifier.c) ---- */

/* When it speaks of the call, wall clock; -1: never. */
int64_t classifier_time(const struct simulator *s, const struct call *c);
void classifier_write_event(const struct call *c, struct buf *out);
void classifier_address(const struct simulator *s, const struct call *c, const struct buf *body,
			struct buf *url, struct buf *headers);

/* ---- Answers (answers.c) ---- */

/* The whole way of a create: key, body, script, dial, answer. */
void create_handle(struct simulator *s, enum provider p, struct http_exchange *x);
/* The key, and look-ups scripted to fail; false: answered already. */
bool lookup_permitted(struct simulator *s, enum provider p, struct http_exchange *x);
/* Answers what is held back by `hold`, resets what waits for its timeout. */
void answers_release(struct simulator *s);
/* Resets all that is open: their calls are being forgotten. */
void answers_abort(struct simulator *s);
/* A call's last webhook is through: an answer may wait for it. */
void answers_webhooks_done(struct simulator *s, const struct call *c);

/* ---- The test's routes (control.c) ---- */

void request_record(struct simulator *s, const struct http_exchange *x);
void handle_script(void *arg, struct http_exchange *x);
void handle_ledger(void *arg, struct http_exchange *x);
void handle_reset(void *arg, struct http_exchange *x);
void handle_release(void *arg, struct http_exchange *x);
void handle_stats(void *arg, struct http_exchange *x);
void handle_requests(void *arg, struct http_exchange *x);
void handle_end(void *arg, struct http_exchange *x);

/* ---- All of it ---- */

struct stats {
	unsigned long posts, dials, lookups;
	unsigned long webhooks_sent, webhooks_ok, webhooks_failed, webhooks_pending;
	unsigned long in_flight, max_in_flight;
};

#define REQUESTS_KEPT 256

struct recorded_request {
	int64_t at;
	struct buf text; /* JSON members: method, path, headers, body */
};

struct simulator {
	struct ev_loop *loop;
	struct options o;
	struct clock clock; /* the system's, with seeded randomness */
	uint64_t random_state[4];
	struct http_server *server;
	struct http_client *client;
	struct script *script;
	struct script *old_scripts; /* calls refer to their actions */
	struct ledger ledger;
	struct stats stats;
	struct pending *pending;		   /* answers that wait */
	struct delivery *forgotten;		   /* on their way, their call is gone */
	struct delivery *queue_first, *queue_last; /* due, waiting for a free request */
	struct recorded_request requests[REQUESTS_KEPT];
	unsigned long requests_seen;
	struct buf scratch; /* for answers */
};

/* Needs `loop` and `o`; false with the reason. To be released either way. */
bool simulator_init(struct simulator *s, struct buf *error);
void simulator_release(struct simulator *s);
/* Replaces the rules. */
void simulator_set_script(struct simulator *s, struct script *script);
void scripts_free(struct simulator *s);
int64_t simulator_now(const struct simulator *s);
void respond_json(struct http_exchange *x, unsigned status, const struct buf *body);

#endif
