/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling a provider to end a call, or to dial it no more, by its adapter's build_hang_up or
 * build_call_off. That the provider was told is
 * all that is known then: the call is over when its end event or a look-up says so.
 */
#ifndef CARILLON_CONSUMER_HANG_UP_H
#define CARILLON_CONSUMER_HANG_UP_H

#include <stdbool.h>

#include "common/http_client.h"
#include "consumer/providers/adapter.h"

enum hang_up_result {
	HANG_UP_TOLD,
	HANG_UP_REFUSED, /* for good */
	HANG_UP_FAILED,	 /* may be tried again */
};
/* The word of the database and the metric. */
const char *hang_up_text(enum hang_up_result h);

struct hang_up {
	bool calls_off; /* ends it only if it is not dialed yet */
	bool tried;	/* there is a result */
	enum hang_up_result result;
	char reason[PROVIDER_ERROR_BYTES]; /* "" when told */
	void (*done)(struct hang_up *h, void *arg);
	void *arg;
};

/*
 * True: done() follows, once, with the result. False: there is none, but the result may be set: a
 * request that can't be built (`row`, the call as the provider shows it, or `a` may be NULL). Not
 * tried: the client has no slot for it.
 */
bool hang_up_send(struct hang_up *h, struct http_client *http, const struct adapter *ad,
		  const struct account *a, const char *provider_call_id, const json_t *row,
		  int64_t timeout_ms);

#endif
