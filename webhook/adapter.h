/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A provider as the webhook sees it: is this callback its own, and what does it say?
 *
 * Adapters are pure functions of a plain struct: no server, no clock, no I/O. verify() looks at the
 * raw bytes before anything parses them; normalize() is called only for what verify() let through,
 * and still takes its bytes for hostile.
 */
#ifndef CARILLON_WEBHOOK_ADAPTER_H
#define CARILLON_WEBHOOK_ADAPTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/accounts.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/msg.h"
#include "common/phone.h"
#include "common/rules/rules.h"

#define WEBHOOK_BODY_BYTES_MAX (1u << 20)

/* A callback as it came. */
struct snapshot; /* webhook/snapshot.h */

struct webhook_request {
	const char *body;
	size_t body_bytes;
	const char *token; /* what the path has behind the account, or NULL */
	const char *job;   /* ?job= of the URL, or NULL */
	const char *query; /* of the URL, as it came and without its '?', or NULL */
	/* The first header of that name, any case, or NULL. */
	const char *(*header)(void *arg, const char *name);
	void *header_arg;
	int64_t received_at; /* wall clock, ms */
};

enum webhook_verify {
	VERIFY_OK,
	VERIFY_FORGED,	  /* with errno ENOMEM: it can't be told */
	VERIFY_NO_SECRET, /* the account has nothing to verify with: nobody can be let in */
};

enum webhook_reading {
	READING_EVENT,	/* ret->event is filled */
	READING_MOVE,	/* ret->move is filled: nothing of a call, but a state to move to */
	READING_UNUSED, /* well-formed, and of no use: acknowledged without a message */
	READING_BAD,	/* not what the provider sends; the reason in `error` */
};

#define WEBHOOK_EVENT_ID_BYTES 160
#define WEBHOOK_CALL_ID_BYTES 129
#define WEBHOOK_REASON_BYTES 129
#define WEBHOOK_LEAD_ID_BYTES 65
#define WEBHOOK_OWN_LEAD_ID_DIGITS 18
#define WEBHOOK_DETAIL_BYTES 2048

/* An event and the memory its texts live in; it must stay where it is. */
struct webhook_event {
	struct msg_call_event event;
	/* By which words are understood and local times read; NULL: as built in, and not at all. */
	const struct snapshot *snapshot;
	json_t *json;
	/* Of the person, where the provider tells; they live in `json`. */
	const char *list_id, *first_name, *last_name, *state;
	struct msg_stage_transition move; /* READING_MOVE */
	bool no_memory;			  /* why it can't be read */
	char event_id[WEBHOOK_EVENT_ID_BYTES];
	char provider_call_id[WEBHOOK_CALL_ID_BYTES];
	char job_id[UUID_TEXT_BYTES];
	char lead_id[WEBHOOK_LEAD_ID_BYTES];
	char phone[PHONE_BYTES];
	char outcome[RULES_OUTCOME_BYTES];
	char ended_reason[WEBHOOK_REASON_BYTES];
	char entity_id[UUID_TEXT_BYTES];
	char detail[WEBHOOK_DETAIL_BYTES];
};

struct webhook_adapter {
	const char *provider;
	enum webhook_verify (*verify)(const struct account *a, const struct webhook_request *r);
	/* `ret` comes from webhook_event_init(). */
	enum webhook_reading (*normalize)(const struct account *a, const struct webhook_request *r,
					  struct webhook_event *ret, struct buf *error);
	/* Its sender is told what is wrong with a body that can't be read. */
	bool tells_reasons;
	/* Its dialer looks for {"success":true} in an answer, whatever the status is. */
	bool answers_success;
};

/* NULL for a provider without one. */
const struct webhook_adapter *webhook_adapter_find(const char *provider);

extern const struct webhook_adapter webhook_bland;
extern const struct webhook_adapter webhook_classifier;
extern const struct webhook_adapter webhook_convoso;
extern const struct webhook_adapter webhook_generic;
extern const struct webhook_adapter webhook_omni;
extern const struct webhook_adapter webhook_twilio;
extern const struct webhook_adapter webhook_vapi;

/* ---- Events ---- */

/* What every event of this request has. Borrows from both arguments. */
void webhook_event_init(struct webhook_event *e, const struct account *a,
			const struct webhook_request *r);
void webhook_event_release(struct webhook_event *e);

/* ---- For adapters: foreign values, checked and bounded. NULL and nonsense leave things absent
 * ---- */

/* The body as an object, which the event keeps. NULL with the reason. */
const json_t *webhook_event_parse(struct webhook_event *e, const struct webhook_request *r,
				  struct buf *error);
/* The same of a body that may be a form as well. */
const json_t *webhook_event_parse_form(struct webhook_event *e, const struct webhook_request *r,
				       struct buf *error);
/* One more of the things that are wrong with it. */
void webhook_problem(struct buf *error, const char *problem);
/* What a Standard Webhook is about: its member `data`, or else itself. */
const json_t *webhook_standard_data(const json_t *body);
/* verify() of Standard Webhooks with the account's webhook_secret. */
enum webhook_verify webhook_verify_standard(const struct account *a,
					    const struct webhook_request *r);
/* A text; NULL for what agents write when they heard nothing ("Not provided"). */
const char *webhook_said(const json_t *j, const char *path);
/* A text or whole number of at most n - 1 bytes without control characters. False (and ""): none.
 */
bool webhook_id(const json_t *j, const char *path, char *ret_text, size_t n);
/* A text of at most max_bytes; a longer one is cut, in `j`. */
const char *webhook_text(const json_t *j, const char *path, size_t max_bytes);
/* An http or https URL, or NULL. */
const char *webhook_url(const json_t *j, const char *path);
/* Seconds (or milliseconds, beyond 1e11) since 1970, or a text with its offset; else MSG_NO_TIME.
 */
int64_t webhook_time(const json_t *j, const char *path);

/* Takes the first UUID it is given: job ids are ours, and anything else is not. */
void webhook_event_job(struct webhook_event *e, const char *text);
void webhook_event_lead(struct webhook_event *e, const json_t *j, const char *path);
void webhook_event_phone(struct webhook_event *e, const char *text);
/* By which its words are understood; NULL: as built in. */
const struct rule_set *webhook_event_rules(const struct webhook_event *e);
/* The outcome: what an agent said, or the adapter says itself. Takes the first one that is a word.
 */
void webhook_event_outcome(struct webhook_event *e, const char *text);
/* The same of the provider's own word for an end, if that means one; with `decided_only`, if no
 * later event can know better. */
void webhook_event_status(struct webhook_event *e, const char *text, bool decided_only);
void webhook_event_ended_reason(struct webhook_event *e, const char *text);
/* Never later than the receipt, whatever the provider's clock says. */
void webhook_event_occurred(struct webhook_event *e, int64_t at);
/* Calls longer than a week are taken for nonsense. */
void webhook_event_duration(struct webhook_event *e, int64_t duration_ms);

#endif
