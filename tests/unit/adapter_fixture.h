/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts, requests and rows for the tests of the providers' adapters. */
#ifndef CARILLON_TESTS_ADAPTER_FIXTURE_H
#define CARILLON_TESTS_ADAPTER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/json.h"
#include "common/msg.h"
#include "consumer/providers/adapter.h"

#define JOB "01890a5d-ac96-774b-bcce-b302099a8057"

/* Free with json_decref(a.settings). */
static inline struct account account_of(const char *provider, const char *settings)
{
	struct account a = {
		.name = "acct", .tenant = "default", .provider = provider, .active = true};

	a.settings = json_loads(settings, 0, NULL);
	assert_non_null(a.settings);
	return a;
}

static inline void build_request(const struct adapter *ad, const struct account *a,
				 const struct dial *d, struct provider_request *r)
{
	char text[256];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	provider_request_clear(r);
	if (!ad->build(a, d, r, &error))
		fail_msg("%s", text);
}

/* The body of a request in JSON. Free with json_decref(). */
static inline json_t *built(const struct adapter *ad, const struct account *a, const struct dial *d,
			    struct provider_request *r)
{
	build_request(ad, a, d, r);
	json_t *body = json_loadb(r->body.data, r->body.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(body);
	return body;
}

static inline void assert_member(const json_t *j, const char *path, const char *text)
{
	const char *there = json_path_text(j, path);

	if (!there || strcmp(there, text) != 0)
		fail_msg("%s is %s, not %s", path, there ? there : "absent", text);
}

/* Borrows from *ret_row, which is to be released. */
static inline struct found_call read_row(const struct adapter *ad, const char *text,
					 json_t **ret_row)
{
	struct found_call f;

	*ret_row = json_loads(text, 0, NULL);
	assert_non_null(*ret_row);
	found_call_init(&f);
	assert_true(ad->read_row(*ret_row, &f));
	return f;
}

static inline void assert_neither_row_nor_list(const struct adapter *ad, const char *text)
{
	struct found_call f;
	json_t *row = json_loads(text, 0, NULL);

	assert_non_null(row);
	found_call_init(&f);
	assert_false(ad->read_row(row, &f));
	assert_null(ad->list_rows(row));
	json_decref(row);
}

#endif
