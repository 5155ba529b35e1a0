/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a callback: account, signature, event, decision, messages, acknowledgements, answer.
 *
 *   404  no such provider or account          401  forged, or nothing to verify it with
 *   400  authentic, but can't be read; its bytes are in the event topic's -dlt
 *   202  all messages are acknowledged by Kafka, or there is nothing to say
 *   503  anything else, also an account whose secrets can't be opened: nothing is lost if the
 *        provider sends it again
 *
 * Knows neither HTTP server nor Kafka client: it is given functions, so tests give it others. What
 * is open at once is bounded, in number and bytes.
 */
#ifndef CARILLON_WEBHOOK_INGEST_H
#define CARILLON_WEBHOOK_INGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/msg.h"
#include "webhook/adapter.h"
#include "webhook/snapshot.h"

#define INGEST_RETRY_AFTER_S 5

struct ingest_answer {
	unsigned status;
	const char *event_id; /* of a 202 that published something; else NULL */
	const char *detail;   /* for people, when it is no 202 */
	bool says_success;    /* a 202 that the dialer reads as {"success":true} */
};

struct ingest_options {
	const char *topic_prefix; /* copied */
	struct msg_codec *codec;
	const struct clock *clock;
	int64_t timeout_ms; /* an exchange is answered by then */
	size_t max_open;
	size_t max_open_bytes; /* of bodies */
	/* NULL: not ready; everything is answered 503. */
	const struct snapshot *(*snapshot)(void *arg);
	/* As kafka_produce(): if taken, ingest_on_delivery() is called with `opaque`, later, once.
	 */
	bool (*produce)(void *arg, const struct kafka_message *m, void *opaque);
	/* Exactly once for each ingest_take(), perhaps before it returns. */
	void (*answer)(void *arg, void *exchange, const struct ingest_answer *a);
	void *arg;
};

struct ingest;

/* NULL without memory. */
struct ingest *ingest_new(const struct ingest_options *o);
/* Every delivery must have been told of before. Takes NULL. */
void ingest_free(struct ingest *g);

/* `r` may go when this returns; `exchange` is handed to answer(). */
void ingest_take(struct ingest *g, const char *provider, const char *account,
		 const struct webhook_request *r, void *exchange);
/* error NULL: acknowledged. */
void ingest_on_delivery(struct ingest *g, void *opaque, const char *error);
/* Answers what is open for longer than timeout_ms, and logs how many were refused. To be called
 * every now and then. */
void ingest_expire(struct ingest *g);
/* Exchanges not answered yet. */
size_t ingest_open(const struct ingest *g);

/* The topics it writes to, NULL-terminated; they live as long as it does. */
const char *const *ingest_topics(const struct ingest *g);

#endif
