/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Provider accounts: those of the environment (tenant `default`, named after their provider) and
 * those of carillon.accounts, whose credentials are sealed. An immutable snapshot; a refresh makes
 * a new one.
 *
 * Settings by provider (strings; * secret): omni: api_key* base_url url agent_id from_number_id
 * webhook_token*; vapi: api_key* base_url assistant_id phone_number_id webhook_secret*
 * webhook_auth; twilio: account_sid auth_token* (several while it is replaced: the first one is
 * shown) base_url from_number twiml_url machine_detection (Enable, DetectMessageEnd, off); bland:
 * api_key* base_url from_number webhook_secret* and one of pathway_id (with pathway_version, if
 * any), agent_id, persona_id, task; convoso: webhook_secret* fields time_zone (of the webhook);
 * classifier, generic: webhook_secret*; every one also webhook_url (public URL of its webhook
 * without a token, made from PUBLIC_WEBHOOK_URL; absent without). base_url has no slash at its
 * end; an account of the database without one has the environment's or the default. A process
 * knows only what it may read (tbl/config.h): the webhook no API keys.
 */
#ifndef CARILLON_ACCOUNTS_H
#define CARILLON_ACCOUNTS_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/seal.h"

#define ACCOUNTS_MAX 10000
#define ACCOUNT_FINGERPRINT_BYTES                                                                  \
	17 /* 16 hex digits: of provider, base URL and credentials a call was made with */

struct account {
	const char *id; /* accounts.id as text; NULL for one of the environment not yet seen in the
			   database */
	const char *name;
	const char *tenant;
	const char *provider;
	bool active;
	long max_concurrent; /* 0: no limit of its own */
	char fingerprint[ACCOUNT_FINGERPRINT_BYTES];
	struct json_t *settings; /* object of strings */
};

struct account_set;

/*
 * Merges the environment's accounts (one for each provider of which this process knows a secret)
 * with rows of common/sql/accounts.sql (`rows` may be NULL: environment only). A row of the
 * environment's source that this environment does not have is an account without secrets.
 * `keys` may be NULL; an account whose credentials can't be opened is left out. What is odd
 * goes to `problems`, a line each. NULL only without memory.
 */
struct account_set *account_set_new(const struct config *cfg, const PGresult *rows,
				    const struct seal_keys *keys, struct buf *problems);
void account_set_free(struct account_set *s);
const struct account *account_by_name(const struct account_set *s, const char *name);
/* Whether it was left out because its credentials can't be opened. */
bool account_is_shut(const struct account_set *s, const char *name);
size_t account_count(const struct account_set *s);
const struct account *account_at(const struct account_set *s, size_t i);
/* NULL when absent or empty. */
const char *account_setting(const struct account *a, const char *key);
/* Stars in place of the account's secrets, wherever a provider's words repeat them. */
void account_mask(const struct account *a, char *text);

/* The set without sealing, as JSON, and back: for the webhook's last-known snapshot on disk (which
 * is sealed whole). */
void account_set_write(const struct account_set *s, struct buf *json);
struct account_set *account_set_read(const char *json, size_t n, struct buf *error);

#endif
