/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of http.c. */
#ifndef CARILLON_TESTS_SIMULATION_PROVIDER_H
#define CARILLON_TESTS_SIMULATION_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

struct reply {
	long status; /* 0: none comes */
	struct buf body;
	int64_t retry_after_ms; /* -1: none */
};

/* What becomes of a POST that arrives. */
enum fate {
	FATE_ACCEPTED,
	FATE_REFUSED,	    /* a clear answer: no call was made */
	FATE_REFUSED_LATER, /* the same, for now */
	FATE_BROKEN,	    /* nobody can tell from the answer */
};

void provider_post(const char *url, const char *body, enum fate fate, struct reply *ret);
/* A list, or one call. */
void provider_get(const char *url, bool broken, struct reply *ret);
/* The provider's clock, ms. */
int64_t provider_now(void);

#endif
