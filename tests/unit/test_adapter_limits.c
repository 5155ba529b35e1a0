/* SPDX-License-Identifier: Apache-2.0 */
/* What adapters say of a call's time: until when it may ring, and that it is to end now. */
#include "adapter_fixture.h"

#define SETTINGS                                                                                   \
	"{\"api_key\":\"k\",\"base_url\":\"https://provider.example.test\","                       \
	"\"assistant_id\":\"asst\",\"phone_number_id\":\"num\"}"

static const struct dial dial = {
	.job_id = JOB,
	.lead_id = "42",
	.kind = "campaign",
	.phone = "+12025550101",
	.max_call_s = 900,
};

/* A call that would ring after its hours is not begun by Vapi either. */
static void test_vapi_schedule(void **state)
{
	struct account a = account_of("vapi", SETTINGS);
	struct dial d = dial;
	struct provider_request r;

	(void)state;
	provider_request_init(&r);
	json_t *body = built(&vapi_adapter, &a, &d, &r);
	assert_null(json_path(body, "schedulePlan"));
	json_decref(body);
	d.now_ms = INT64_C(1767630011000);
	d.dial_by_ms = INT64_C(1767630071000);
	body = built(&vapi_adapter, &a, &d, &r);
	assert_member(body, "schedulePlan.earliestAt", "2026-01-05T16:20:11.000Z");
	assert_member(body, "schedulePlan.latestAt", "2026-01-05T16:21:11.000Z");
	json_decref(body);
	provider_request_release(&r);
	json_decref(a.settings);
}

static json_t *hang_up_of(const struct adapter *ad, const struct account *a, const char *row,
			  struct provider_request *r)
{
	json_t *call = json_loads(row, 0, NULL), *body;

	assert_non_null(call);
	provider_request_clear(r);
	bool built = ad->build_hang_up(a, "a/b", call, r);
	json_decref(call);
	if (!built)
		return NULL;
	body = json_loadb(r->body.data, r->body.len, 0, NULL);
	assert_non_null(body);
	return body;
}

/* The URL is one that the provider gives: it is not shown our key. */
static void test_vapi_hang_up(void **state)
{
	struct account a = account_of("vapi", SETTINGS);
	struct provider_request r;

	(void)state;
	provider_request_init(&r);
	json_t *body = hang_up_of(
		&vapi_adapter, &a,
		"{\"monitor\":{\"controlUrl\":\"https://control.example.test/1/control\"}}", &r);
	assert_string_equal(r.url.data, "https://control.example.test/1/control");
	assert_null(strstr(r.authorization.data, "Bearer"));
	assert_member(body, "type", "end-call");
	json_decref(body);
	assert_null(hang_up_of(&vapi_adapter, &a, "{\"monitor\":{}}", &r));
	assert_null(hang_up_of(&vapi_adapter, &a,
			       "{\"monitor\":{\"controlUrl\":\"file:///etc/passwd\"}}", &r));
	provider_request_release(&r);
	json_decref(a.settings);
}

static bool hangs_up(const struct adapter *ad)
{
	return ad->build_hang_up != NULL;
}

static bool calls_off(const struct adapter *ad)
{
	return ad->build_call_off != NULL;
}

/* Those that can are the named ones, and no others; and each can be asked what came of it. */
static void assert_able(const char *const *names, size_t count,
			bool (*can)(const struct adapter *ad))
{
	size_t n, found = 0;
	const struct adapter *const *table = adapter_table(&n);

	for (size_t i = 0; i < count; i++) {
		const struct adapter *ad = adapter_find(names[i]);
		assert_non_null(ad);
		assert_true(can(ad));
		assert_non_null(ad->build_get);
	}
	for (size_t i = 0; i < n; i++)
		found += can(table[i]);
	assert_int_equal(found, count);
}

/* The API's refusals are made of this table. */
static void test_who_hangs_up(void **state)
{
	static const char *const able[] = {
#define TABLE_ROW(NAME, text, how) text,
#include "common/tbl/hang_up.h"
#undef TABLE_ROW
	};

	(void)state;
	assert_able(able, sizeof(able) / sizeof(able[0]), hangs_up);
}

/* The calls of these are looked at when their window closes. */
static void test_who_calls_off(void **state)
{
	static const char *const able[] = {
#define TABLE_ROW(NAME, text, how) text,
#include "common/tbl/call_off.h"
#undef TABLE_ROW
	};

	(void)state;
	assert_able(able, sizeof(able) / sizeof(able[0]), calls_off);
}

static void test_bland_hang_up(void **state)
{
	struct account a = account_of("bland", SETTINGS);
	struct provider_request r;

	(void)state;
	provider_request_init(&r);
	json_decref(hang_up_of(&bland_adapter, &a, "{}", &r));
	assert_string_equal(r.url.data, "https://provider.example.test/v1/calls/a%2Fb/stop");
	assert_string_equal(r.authorization.data, "authorization: k");
	provider_request_release(&r);
	json_decref(a.settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vapi_schedule), cmocka_unit_test(test_vapi_hang_up),
		cmocka_unit_test(test_who_hangs_up),  cmocka_unit_test(test_who_calls_off),
		cmocka_unit_test(test_bland_hang_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
