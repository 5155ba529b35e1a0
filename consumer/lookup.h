/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking calls up at their provider: one list for all unknown calls of an account (where lists are
 * by number: of a number), a get for a call whose id is known, and for each row that can't be told
 * from another without. A list counts as complete only if nothing can have been left out.
 */
#ifndef CARILLON_CONSUMER_LOOKUP_H
#define CARILLON_CONSUMER_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/clock.h"
#include "common/http_client.h"
#include "common/json.h"
#include "consumer/reconcile.h"

/* At most so many calls in one look-up. */
#define LOOKUP_TARGETS_MAX 64
/* By how much the provider's clock and the database's may differ, for a list to prove anything. */
#define LOOKUP_APART_MAX_MS 150000

/* One call that is looked for, and what was seen of it. */
struct lookup_target {
	const struct check *check;
	/* The database's clock, ms: it was made between its claim and then, or not at all. */
	int64_t made_by;
	enum seen seen;
	json_t *row; /* of SEEN_CALL; owned */
	char found_id[PROVIDER_CALL_ID_BYTES];
	unsigned doubts;   /* rows of which nobody can say that they are another's */
	bool same_account; /* asked with the credentials that the call was posted with */
	struct lookup_target *next;
};

struct lookup;

struct lookup_options {
	struct http_client *http;
	/* Asked before each request: accounts may be replaced meanwhile. */
	const struct account *(*account)(void *arg, const char *name);
	const struct adapter *adapter;
	int64_t timeout_ms;
	/* The database's clock, ms: it is `now`, or up to `now_late_ms` more, for that is how long
	 * its word was on its way. */
	int64_t now, now_late_ms;
	const struct clock *clock;
	int64_t reading_max_ms; /* after which no further part of a list is asked for */
	void (*done)(struct lookup *l, void *arg);
	void *arg;					    /* of account(), done() and row() */
	void (*row)(void *arg, const struct found_call *f); /* of lookup_list() */
};

/*
 * `targets` (linked, all of one account, and of one number where lists are by number) are filled in
 * until done() is called, which comes later and exactly once; lookup_free() is allowed in it. NULL
 * if nothing can be asked: nothing was seen then.
 */
struct lookup *lookup_start(const struct lookup_options *o, struct lookup_target *targets);
struct lookup_target *lookup_targets(struct lookup *l);

/*
 * The whole list of an account's calls between two times (ms of the database's clock), and some
 * around them, for clocks differ: row() for each of them, then done(). NULL where lists are by
 * number.
 */
struct lookup *lookup_list(const struct lookup_options *o, const char *account, int64_t from_ms,
			   int64_t to_ms);
/* In done(): nothing can have been left out, and the provider's clock is right. */
bool lookup_is_complete(const struct lookup *l);
/* In done(): why the list is not complete, or proves nothing; NULL if nothing was in the way. */
const char *lookup_trouble(const struct lookup *l);
/* Of the credentials that were used. */
const char *lookup_fingerprint(const struct lookup *l);

/* Takes NULL. */
void lookup_free(struct lookup *l);

#endif
