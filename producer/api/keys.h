/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API's keys that the database has, and which sessions were ended, as a snapshot in memory:
 * read again at each notification and every SETTINGS_REFRESH_S, so that what is revoked or ended is
 * refused within about a second. While PostgreSQL is away those known last go on. Of a key its
 * SHA-256 is known alone.
 */
#ifndef CARILLON_PRODUCER_API_KEYS_H
#define CARILLON_PRODUCER_API_KEYS_H

#include <ev.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/seal.h"

#define API_KEYS_MAX 4096
#define TENANT_BYTES 64 /* an id of a tenant and a NUL */
#define SESSION_ID_BYTES 16
#define ENDED_SESSIONS_MAX 16384 /* of 12 hours; the youngest */

struct api_key {
	unsigned char hash[SHA256_BYTES];
	char tenant[TENANT_BYTES]; /* "": a key to all */
	bool may_operate;
	int64_t expires_at_ms; /* 0: never */
};

struct api_keys;

/* Starts connecting. Never NULL: without memory the process ends. */
struct api_keys *api_keys_new(struct ev_loop *loop, const struct config *cfg,
			      const struct clock *clock);
/* They have been read once. */
bool api_keys_ready(const struct api_keys *k);
/* Takes NULL. */
void api_keys_free(struct api_keys *k);

/* The key that this text is, if it can be used now; in time that does not depend on which. Takes
 * NULL. */
const struct api_key *api_keys_find(const struct api_keys *k, const char *presented);

/* The same by its hash. */
const struct api_key *api_keys_find_hash(const struct api_keys *k,
					 const unsigned char hash[SHA256_BYTES]);
bool api_keys_session_ended(const struct api_keys *k, const unsigned char id[SESSION_ID_BYTES]);

/* The rows of a read (api_keys_live.sql, sessions_ended.sql), for tests. */
void api_keys_take(struct api_keys *k, const PGresult *rows);
void api_keys_take_ended(struct api_keys *k, const PGresult *rows);

#endif
