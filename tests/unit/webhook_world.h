/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One adapter of the webhook with its accounts and the database's words, and what it made of the
 * last request. main() says which with world_of() and runs its tests with setup() and teardown().
 */
#ifndef CARILLON_TESTS_WEBHOOK_WORLD_H
#define CARILLON_TESTS_WEBHOOK_WORLD_H

#include "webhook_hostile.h"

#include "common/rules/words.h"
#include "webhook/snapshot.h"

static const struct webhook_adapter *adapter;
static const char *accounts_text;
static struct account_set *accounts;
static struct webhook_event event; /* good until the next request */
static struct buf reason;
static struct snapshot database;
static const struct snapshot *snapshot; /* what requests are read with: the database's, or none */

static inline void world_of(const struct webhook_adapter *its, const char *its_accounts)
{
	adapter = its;
	accounts_text = its_accounts;
}

static inline int setup(void **state)
{
	(void)state;
	accounts = accounts_of(accounts_text);
	buf_init(&reason, 1024);
	assert_true(rule_set_init(&database.rules));
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	webhook_event_release(&event);
	rule_set_release(&database.rules);
	database = (struct snapshot){0};
	snapshot = NULL;
	account_set_free(accounts);
	buf_release(&reason);
	return 0;
}

/* The account that has the provider's name. */
static inline const struct account *its_account(void)
{
	return account_by_name(accounts, adapter->provider);
}

static inline enum webhook_reading normalize_request(const struct account *a,
						     const struct webhook_request *r)
{
	webhook_event_release(&event);
	buf_clear(&reason);
	webhook_event_init(&event, a, r);
	event.snapshot = snapshot;
	return adapter->normalize(a, r, &event, &reason);
}

static inline enum webhook_reading normalize(const char *body)
{
	const struct webhook_request r = request_of(body, NULL);

	return normalize_request(its_account(), &r);
}

static inline const struct msg_call_event *read_request(const struct account *a,
							const struct webhook_request *r)
{
	if (normalize_request(a, r) != READING_EVENT)
		fail_msg("%s: %s", r->body, reason.data);
	return &event.event;
}

static inline const struct msg_call_event *read_event(const char *body)
{
	const struct webhook_request r = request_of(body, NULL);

	return read_request(its_account(), &r);
}

/* The database says what a word means, from now until words_are_built_in(). */
static inline void word_means(const char *word, const char *outcome)
{
	assert_true(rule_set_add_word(&database.rules, "", adapter->provider, word, outcome));
	rule_set_sort(&database.rules);
	snapshot = &database;
}

static inline void words_are_built_in(void)
{
	database.rules.words_count = 0;
	snapshot = NULL;
}

struct body_reading {
	const char *body;
	enum webhook_reading reading;
};

/* What is bad has a reason. */
static inline void check_reading(const char *body, enum webhook_reading expected,
				 enum webhook_reading reading)
{
	if (reading != expected)
		fail_msg("%s", body);
	assert_true(reading != READING_BAD || reason.len > 0);
}

static inline void check_readings(const struct body_reading *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_reading(rows[i].body, rows[i].reading, normalize(rows[i].body));
}
#define CHECK_READINGS(rows) check_readings(rows, sizeof(rows) / sizeof((rows)[0]))

#endif
