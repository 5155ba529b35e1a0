/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups where no row has the job id: by number, time, and the ids of calls that are known. */
#include "lookup_world.h"

static void test_one_number(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 30; i++)
		add_call(w, 20 + i, T0 + 1000);
	add_call(w, 1, T0 + 1000);
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 1), SEEN_CALL);
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 2), SEEN_ABSENT);
	assert_int_equal(w->requests, 1);
}

/* Two that began after the claim: one of them is somebody else's. */
static void test_two_calls(void **state)
{
	struct world *w = *state;

	add_call(w, 1, T0 + 1000);
	add_call(w, 1, T0 + 2000);
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 1), SEEN_AMBIGUOUS);
}

/* One that began before the claim is another, unless the clocks differ; a day ago it was. */
static void test_earlier_calls(void **state)
{
	struct world *w = *state;

	add_call(w, 1, T0 - 86400000);
	add_call(w, 1, T0 - 301000);
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 1), SEEN_ABSENT);
	add_call(w, 1, T0 - 60000);
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 1), SEEN_NOTHING);
	add_call(w, 1, T0 - 1000);
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 1), SEEN_CALL);
}

/* The ids of other calls tell them apart, however close they were. */
static void test_known_calls(void **state)
{
	static const struct {
		const char *others;
		enum seen seen;
	} rows[] = {
		{"", SEEN_AMBIGUOUS},
		{"CA0", SEEN_CALL},
		{"CA1", SEEN_CALL},
		{"CA0\nCA1", SEEN_ABSENT},
		{"CA1\nCA0", SEEN_ABSENT},
		{"CA9\nCA1\nCA7", SEEN_CALL},
		{"XCA0\nCA11", SEEN_AMBIGUOUS},
	};
	struct world *w = *state;

	add_call(w, 1, T0 - 2000);
	add_call(w, 1, T0 + 2000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check c;
		struct lookup_target t = {.check = &c};
		make_check(&c, 1);
		snprintf(c.others, sizeof(c.others), "%s", rows[i].others);
		look_up(w, &twilio_adapter, 10, &t);
		if (t.seen != rows[i].seen)
			fail_msg("row %zu: %d", i, t.seen);
		json_decref(t.row);
	}
}

/* Somebody else's call to the number is not it, nor does it prove that there is none. */
static void test_other_callers(void **state)
{
	static const struct {
		const char *kind, *from;
		enum seen seen;
	} rows[] = {
		{"task", "+12025550100", SEEN_CALL},
		{"task", "(202) 555-0100", SEEN_CALL},
		{"task", NULL, SEEN_CALL},
		{"task", "", SEEN_CALL},
		{"task", "+12025550199", SEEN_NOTHING},
		{"task", "client:ada", SEEN_NOTHING},
		{"campaign", "+12025550199", SEEN_CALL},
	};
	struct world *w = *state;

	json_object_set_new(w->account.settings, "from_number", json_string("+12025550100"));
	add_call(w, 1, T0 + 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct check c;
		struct lookup_target t = {.check = &c};
		make_check(&c, 1);
		snprintf(c.kind, sizeof(c.kind), "%s", rows[i].kind);
		w->calls[0].from = rows[i].from;
		look_up(w, &twilio_adapter, 10, &t);
		if (t.seen != rows[i].seen)
			fail_msg("row %zu: %d", i, t.seen);
		json_decref(t.row);
	}
	/* Beside it, its own is found. */
	w->calls[0].from = "+12025550199";
	add_call(w, 1, T0 + 2000);
	w->calls[1].from = "+12025550100";
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 1), SEEN_CALL);
}

/* What lies behind a full page may be the call, unless the page goes back far enough. */
static void test_full_pages(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 20; i++)
		add_call(w, 1, T0 - INT64_C(86400000) * 3);
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 1), SEEN_ABSENT);
	w->calls_count = 0;
	for (int i = 0; i < 20; i++)
		add_call(w, 1, T0 - 400000);
	assert_int_equal(seen_of(w, &twilio_adapter, 10, 1), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &twilio_adapter, 100, 1), SEEN_ABSENT);
	/* Fewer than a page, and yet there is another one. */
	w->hidden = 1;
	assert_int_equal(seen_of(w, &twilio_adapter, 100, 1), SEEN_NOTHING);
	w->hidden = 0;
	w->ahead_ms = 200000; /* nobody knows when its calls were */
	assert_int_equal(seen_of(w, &twilio_adapter, 100, 1), SEEN_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_one_number),	WORLD_TEST(test_two_calls),
		WORLD_TEST(test_earlier_calls), WORLD_TEST(test_known_calls),
		WORLD_TEST(test_full_pages),	WORLD_TEST(test_other_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
