/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and requests for the tests of the webhook. */
#ifndef CARILLON_TESTS_WEBHOOK_FIXTURE_H
#define CARILLON_TESTS_WEBHOOK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <strings.h>

#include "common/accounts.h"
#include "webhook/adapter.h"

#define NOW_S INT64_C(1700000000)
#define NOW_MS (NOW_S * 1000)
#define JOB "0190a6c4-7d3e-7cc1-8a5e-0242ac120002"

/* "name: value" pairs, NULL-terminated. */
struct sent_header {
	const char *name, *value;
};

static inline const char *sent_header(void *arg, const char *name)
{
	for (const struct sent_header *h = arg; h && h->name; h++) {
		if (strcasecmp(h->name, name) == 0)
			return h->value;
	}
	return NULL;
}

static inline struct webhook_request request_of(const char *body, struct sent_header *headers)
{
	return (struct webhook_request){
		.body = body,
		.body_bytes = strlen(body),
		.header = sent_header,
		.header_arg = headers,
		.received_at = NOW_MS,
	};
}

/* A set from its JSON, as snapshots hold it. */
static inline struct account_set *accounts_of(const char *json)
{
	struct buf error;

	buf_init(&error, 1024);
	struct account_set *s = account_set_read(json, strlen(json), &error);
	if (!s)
		fail_msg("%s", error.data);
	buf_release(&error);
	return s;
}

#define ACCOUNT_JSON(name, provider, settings)                                                     \
	"{\"id\":\"1\",\"name\":\"" name "\",\"tenant\":\"default\",\"provider\":\"" provider      \
	"\",\"active\":true,\"max_concurrent\":0,\"settings\":" settings "}"

#endif
