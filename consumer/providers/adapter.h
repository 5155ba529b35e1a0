/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A provider as the dispatcher and the reconciler see it: how to ask for a call, what its answers
 * prove, and how to find a call again. A provider without a row in the table is never dialed.
 *
 * Adapters are pure: they build requests into buffers and read answers; nobody here does I/O.
 */
#ifndef CARILLON_CONSUMER_ADAPTER_H
#define CARILLON_CONSUMER_ADAPTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/accounts.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/phone.h"
#include "common/rules/rules.h"
#include "common/tables.h"

#define PROVIDER_CALL_ID_BYTES 129
#define PROVIDER_ERROR_BYTES 256
#define PROVIDER_ERROR_TEXTS_BYTES 2048	       /* of a body that are looked at */
#define PROVIDER_ANSWER_MAX_BYTES (256u << 10) /* of a create or get */
#define PROVIDER_LIST_MAX_BYTES (16u << 20)

/* ---- Asking for a call ---- */

struct dial {
	const char *job_id;
	const char *lead_id;
	const char *kind;
	const char *phone;	     /* E.164 */
	const char *first_name;	     /* or NULL */
	const char *last_name;	     /* or NULL */
	const char *variables;	     /* JSON object text for the agent's prompt, or NULL */
	const char *assistant_id;    /* a campaign's own; NULL: the account's */
	const char *phone_number_id; /* likewise */
	int64_t now_ms;		     /* wall clock */
	int64_t dial_by_ms;	     /* not to be rung after; 0: whenever */
	int64_t max_call_s;
};

/* Reused from one request to the next. */
struct provider_request {
	struct buf url;
	struct buf authorization; /* whole header line */
	struct buf body;
};
void provider_request_init(struct provider_request *r);
void provider_request_release(struct provider_request *r);
void provider_request_clear(struct provider_request *r);

/* ---- What an answer proves ---- */

enum refusal {
	REFUSAL_NONE,
	REFUSAL_BACKPRESSURE,  /* later; not an attempt */
	REFUSAL_NUMBER,	       /* never this number */
	REFUSAL_CONFIGURATION, /* never with these settings */
	REFUSAL_ACCOUNT,       /* nothing with this account for now */
	REFUSAL_RETRY,	       /* later; counts as an attempt */
};
/* The word of messages and of calls.refusal; NULL for REFUSAL_NONE. */
const char *refusal_text(enum refusal r);

struct verdict {
	enum dispatch_result result;
	enum refusal refusal;
	int64_t retry_after_ms;			       /* -1: the provider asked for no wait */
	char provider_call_id[PROVIDER_CALL_ID_BYTES]; /* "" unless accepted */
	char error[PROVIDER_ERROR_BYTES];	       /* "" when accepted */
};

/* One row of an adapter's refusals; the first that fits decides. */
struct refusal_rule {
	int status;	  /* of the answer; REFUSAL_IN_BODY: a refusal inside a 2xx; REFUSAL_ANY */
	const char *text; /* part of the reason, any case; NULL: any reason */
	enum refusal refusal;
	int wait_s; /* if the provider names no wait; 0: ours */
};
#define REFUSAL_IN_BODY 0
#define REFUSAL_ANY (-1)

/* ---- Finding a call again ---- */

/* A call as the provider's list or get shows it. Text pointers borrow from the JSON it was read
 * from. */
struct found_call {
	/* Set by those who want the words of ends understood as the database has it; see
	 * found_call_words(). */
	const struct rule_set *rules;
	const char *tenant;
	char provider_call_id[PROVIDER_CALL_ID_BYTES];
	char job_id[UUID_TEXT_BYTES]; /* "" where the provider doesn't echo it */
	char phone[PHONE_BYTES];      /* "" if not told */
	char from[PHONE_BYTES];	      /* whose number called; "" if not told, "?" if it is none */
	int64_t created_at;	      /* ms; MSG_NO_TIME if not told */
	bool inbound;		      /* somebody called us */
	bool ended;
	bool vague;	      /* it exists; how far it is, is said in no word we know */
	enum event_type type; /* of a call that is not over */
	enum refusal refusal; /* it ended before dialing: this kind of refusal */
	char outcome[RULES_OUTCOME_BYTES]; /* when ended */
	const char *ended_reason;
	int64_t success; /* 1, 0 or MSG_NO_INT */
	int64_t callback_at;
	int64_t ended_at;
	int64_t duration_ms;
	const char *summary;
	const char *transcript;
	const char *recording_url;
	const char *success_evaluation;
	int64_t cost_micros;
};
void found_call_init(struct found_call *f);
/* Words of `f` are understood by these rules, of this tenant; without it as built in. Both outlive
 * it. */
void found_call_words(struct found_call *f, const struct rule_set *rules, const char *tenant);

enum list_kind {
	LIST_BY_TIME,	/* by window; a full answer may hide rows: the window is halved */
	LIST_BY_PAGE,	/* newest first, page after page until older than the window */
	LIST_BY_NUMBER, /* of one number, newest first; a full answer must go back behind the window
			 */
};

/* One request to a provider's list. */
struct list_query {
	int64_t from_ms, to_ms;
	int page;	   /* from 1; LIST_BY_PAGE */
	const char *phone; /* LIST_BY_NUMBER */
};

/* ---- The descriptor ---- */

struct adapter {
	const char *provider;
	const char *const *correlation; /* fields that bring the job id back; NULL-terminated */
	const char *content_type;	/* header line of what is posted; NULL: of JSON */
	const struct refusal_rule *refusals;
	size_t refusals_count;
	bool fresh_connection; /* each dial: what is lost on a reused one could not be proved absent
				*/
	bool absence_is_proof; /* a complete list without the call means that there is none */
	bool rows_from_end;    /* a row shows only when the call is over */
	bool rows_need_get;    /* a row lacks the job id, which build_get's answer has */
	bool rows_lack_id;     /* no row has the job id: a call is told by its number and time */
	int list_lag_s;	       /* until a row shows */
	enum list_kind list_kind;
	int list_page_rows;
	const char *list_total; /* path of the number of rows there are, if an answer tells it */
	const char *list_next;	/* path of a text that is there while there are further rows */

	/* Fills `r`; false with the reason: the account's settings don't allow a call. */
	bool (*build)(const struct account *a, const struct dial *d, struct provider_request *r,
		      struct buf *error);
	/* Reads the body of a 2xx answer. */
	void (*read_created)(const struct adapter *ad, const char *job_id, const json_t *body,
			     struct verdict *v);
	bool (*build_list)(const struct adapter *ad, const struct account *a,
			   const struct list_query *q, struct provider_request *r);
	/* The array of rows in a list's answer; NULL if it is no such answer. */
	const json_t *(*list_rows)(const json_t *body);
	/* False: the row can't be understood. */
	bool (*read_row)(const json_t *row, struct found_call *f);
	/* Asks for one call, which read_row reads. NULL: a call can be found by the list alone. */
	bool (*build_get)(const struct account *a, const char *provider_call_id,
			  struct provider_request *r);
	/* A POST that ends a call which goes on, `row` as build_get's answer shows it. False: the
	 * row does not permit it. NULL: it can't be ended from outside. */
	bool (*build_hang_up)(const struct account *a, const char *provider_call_id,
			      const json_t *row, struct provider_request *r);
	/* The same for a call that is not dialed yet, and has no effect on one that goes on. NULL:
	 * what the provider takes it dials at once, or knows until when it may. */
	bool (*build_call_off)(const struct account *a, const char *provider_call_id,
			       const json_t *row, struct provider_request *r);
};

/* NULL for a provider that can't be dialed. */
const struct adapter *adapter_find(const char *provider);
/* For --help and tests: the rows of the table. */
const struct adapter *const *adapter_table(size_t *ret_n);

/* The header line of the type of what is posted to it. */
const char *adapter_content_type(const struct adapter *ad);

/* The result of a POST by proof. `a` may be any answer at all. */
void adapter_classify(const struct adapter *ad, const char *job_id, const struct http_answer *a,
		      struct verdict *v);

/* ---- For adapters ---- */

/* The reason in a provider's error body with the texts of the array `errors` behind it and a number
 * `code` before it ("21211: "), people's numbers masked; "" if there is none of all. */
void adapter_error_texts(const json_t *body, char *ret_text, size_t n);
/* The first rule that fits; NULL if none does. */
const struct refusal_rule *refusal_find(const struct adapter *ad, int status, const char *text);
void verdict_refuse(struct verdict *v, const struct refusal_rule *rule, const char *reason);
void verdict_unknown(struct verdict *v, const char *reason);
/* Accepted as this call; if that is no id, unknown for this reason. */
void verdict_accept(struct verdict *v, const char *provider_call_id, const char *reason);
/* Foreign words, cut to fit and made text. */
void verdict_error(struct verdict *v, const char *reason);
/* `"job_id":"...","lead_id":"...","customer_name":"Ada"` and the lead's own variables, of which
 * none of these names; none at all of what is no JSON object or longer than 32 kB. */
void add_variables(struct buf *b, const struct dial *d);
/* `"customer_name"`'s value: "Ada Lovelace", at most max_bytes; "" if there is no name. */
void customer_name(const struct dial *d, size_t max_bytes, char *ret_name, size_t n);
/* `"job_id":"...","kind":"...","lead_id":"..."` */
void add_metadata(struct buf *b, const struct dial *d);
/* `,"name":"value"` or, with `first`, without the comma. */
void add_member(struct buf *b, const char *name, const char *value, bool first);
/* The account's base URL without its final slashes, then `path`. */
void add_base_url(struct buf *b, const struct account *a, const char *path);
/* '/' and the text, escaped. */
void add_path_segment(struct buf *b, const char *text);
/* The account's key as a header line that begins with `start`; false: it has none. */
bool add_api_key(struct provider_request *r, const struct account *a, const char *start);
/* Whether all of it had room. */
bool request_is_whole(const struct provider_request *r);
/* The same for build(), which is to give a reason. */
bool request_is_built(const struct provider_request *r, const struct account *a, struct buf *error);
/* The array at a path of a list's answer; NULL if it is none. */
const json_t *rows_at(const json_t *body, const char *path);
/* "" for what is no number; `text` may be NULL. */
void found_call_phone(struct found_call *f, const char *text);
/* The outcome of an end: what an agent said, else what the provider's own word means. Each takes
 * the first one that is a word, and is false for none. */
bool found_call_said(struct found_call *f, const struct adapter *ad, const char *text);
bool found_call_status(struct found_call *f, const struct adapter *ad, const char *text);
/* While a secret is being replaced there are several, separated by commas: the first one is shown.
 * False: there is none, or it doesn't fit. `secrets` may be NULL. */
bool first_secret(const char *secrets, char *ret_secret, size_t n);
/* Non-empty digits only, at most 18. */
bool is_number(const char *text);
/* Copies a text that fits; false (and "") if it doesn't or has control characters. */
bool copy_text(const char *text, char *ret_text, size_t n);

extern const struct adapter bland_adapter;
extern const struct adapter omni_adapter;
extern const struct adapter twilio_adapter;
extern const struct adapter vapi_adapter;

#endif
