/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups against a provider of our own: when is a list complete, and what does it find? */
#include "lookup_world.h"

/* ---- By time ---- */

/* What is not on the list of a provider with another time may be where nobody looked. */
static void test_clocks_apart(void **state)
{
	struct world *w = *state;

	add_call(w, 1, T0);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 9), SEEN_ABSENT);
	w->ahead_ms = 200000;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 9), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_CALL);
	w->ahead_ms = -300000;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 9), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 9), SEEN_NOTHING);
}

static void test_one_list(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5; i++)
		add_call(w, i, T0 + i * 1000);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 3), SEEN_CALL);
	assert_int_equal(w->requests, 1);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 9), SEEN_ABSENT);
}

/* A full answer may hide rows: windows get shorter until none is full. */
static void test_full_lists_are_divided(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		add_call(w, i, T0 + i * 1000);
	for (int job = 0; job < 100; job += 33)
		assert_int_equal(seen_of(w, &vapi_adapter, 10, job), SEEN_CALL);
	assert_true(w->requests > 10);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_ABSENT);
	/* Exactly full is full. */
	assert_int_equal(seen_of(w, &vapi_adapter, 100, 500), SEEN_ABSENT);
	assert_true(w->requests > 1);
}

/* More in an instant than a page holds: it can't be complete. */
static void test_window_that_stays_full(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 50; i++)
		add_call(w, i, T0);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_NOTHING);
	assert_true(w->requests <= 64);
	/* What it does show counts all the same. */
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 49), SEEN_CALL);
}

/* What was read before that proves what it can. */
static void test_part_of_a_list(void **state)
{
	struct world *w = *state;
	struct check early, late;
	struct lookup_target targets[2] = {
		{.check = &late, .next = &targets[1]},
		{.check = &early, .made_by = T0 + 5000},
	};

	make_check(&early, 1);
	make_check(&late, 2);
	late.claimed_at = T0 + 60000;
	for (int i = 0; i < 50; i++)
		add_call(w, 100 + i, T0 + 90000);
	look_up(w, &vapi_adapter, 10, targets);
	assert_int_equal(targets[1].seen, SEEN_ABSENT);
	assert_int_equal(targets[0].seen, SEEN_NOTHING);
}

/* The first answer tells the provider's clock, and what is asked for after it goes by it. */
static void test_measured_clock(void **state)
{
	static const int64_t ahead_ms[] = {-90000, -40000, 40000, 140000};
	struct world *w = *state;

	for (int i = 0; i < 400; i++)
		add_call(w, i, T0 - 200000 + i * 1000);
	for (size_t i = 0; i < sizeof(ahead_ms) / sizeof(ahead_ms[0]); i++) {
		w->ahead_ms = ahead_ms[i];
		/* Made, by the provider's clock, when it was claimed by ours. */
		int job = 200 - (int)(ahead_ms[i] / 1000);
		assert_int_equal(seen_of(w, &vapi_adapter, 10, job), SEEN_CALL);
		assert_int_equal(seen_of(w, &vapi_adapter, 10, 900), SEEN_ABSENT);
	}
}

/* The database's time is old when it is here: no reason to begin later than the call was made. */
static void test_late_clock(void **state)
{
	struct world *w = *state;
	struct check c;
	struct lookup_target t = {.check = &c, .made_by = T0 + 3000};

	for (int i = 0; i < 400; i++)
		add_call(w, i, T0 - 200000 + i * 1000);
	make_check(&c, 200);
	w->ahead_ms = -60000;
	w->now_late_ms = 60000;
	look_up(w, &vapi_adapter, 10, &t);
	assert_int_equal(t.seen, SEEN_CALL);
	json_decref(t.row);
}

static void test_failing_list(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		add_call(w, i, T0 + i * 1000);
	w->fail_from = 1;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_NOTHING);
	w->fail_from = 4;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_NOTHING);
}

/* Answers that are no list say nothing; rows that are none hide nothing. */
static void test_garbage(void **state)
{
	static const char *const vapi[] = {
		"", "<html>", "{}", "null", "[{}", "7", "{\"call_log_data\":[]}", "[] []"};
	static const char *const omni[] = {"[]", "{}", "{\"call_log_data\":{}}",
					   "{\"call_log_data\":[", "<html>"};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(vapi) / sizeof(vapi[0]); i++) {
		w->garbage = vapi[i];
		assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_NOTHING);
	}
	for (size_t i = 0; i < sizeof(omni) / sizeof(omni[0]); i++) {
		w->garbage = omni[i];
		assert_int_equal(seen_of(w, &omni_adapter, 10, 1), SEEN_NOTHING);
	}
	/* A row that can't be understood could be the one. */
	w->garbage = "[1,null,{\"id\":7}]";
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_NOTHING);
}

/* A list of one call that began at T0 + `after_ms`, with more of its members. */
static const char *one_row(int64_t after_ms, const char *more)
{
	static char text[256];
	char at[TIME_TEXT_BYTES];

	time_format(T0 + after_ms, at);
	snprintf(
		text, sizeof(text),
		"[{\"id\":\"c-1\",\"createdAt\":\"%s\",%s\"customer\":{\"number\":\"+12025550101\"}}]",
		at, more);
	return text;
}

/* A call to its number that bears nobody's id is perhaps the one, and no other's absence. */
static void test_row_without_id(void **state)
{
	struct world *w = *state;

	w->garbage = one_row(1000, "");
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 2), SEEN_ABSENT);
	w->garbage = one_row(1000 - 3600000, "");
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_ABSENT);
	/* Another job's. */
	w->garbage = one_row(1000, "\"name\":\"01890a5d-ac96-774b-bcce-000000000009\",");
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_ABSENT);
}

/* Larger than is taken: the window is halved until it is given up. */
static void test_huge_list(void **state)
{
	struct world *w = *state;
	size_t n = PROVIDER_LIST_MAX_BYTES + 1000;
	char *text = malloc(n);

	assert_non_null(text);
	memset(text, ' ', n);
	text[0] = '[';
	text[n - 2] = ']';
	text[n - 1] = '\0';
	w->garbage = text;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 1), SEEN_NOTHING);
	assert_true(w->requests > 1 && w->requests <= 64);
	free(text);
}

/* Credentials that change on the way make two halves of two accounts. */
static void test_changing_account(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		add_call(w, i, T0 + i * 1000);
	w->change_account = true;
	assert_int_equal(seen_of(w, &vapi_adapter, 10, 500), SEEN_NOTHING);
}

static void test_many_targets(void **state)
{
	struct world *w = *state;
	struct check checks[3];
	struct lookup_target targets[3] = {{.check = &checks[0], .next = &targets[1]},
					   {.check = &checks[1], .next = &targets[2]},
					   {.check = &checks[2]}};

	for (int i = 0; i < 3; i++)
		make_check(&checks[i], i * 10);
	checks[1].fingerprint[0] = 'f'; /* it was posted with other credentials */
	checks[2].fingerprint[0] = '\0';
	add_call(w, 10, T0);
	add_call(w, 20, T0);
	add_call(w, 20, T0 + 5);
	look_up(w, &vapi_adapter, 100, targets);
	assert_int_equal(targets[0].seen, SEEN_ABSENT);
	assert_int_equal(targets[1].seen, SEEN_CALL);
	assert_int_equal(targets[2].seen, SEEN_AMBIGUOUS);
	assert_true(targets[0].same_account);
	assert_false(targets[1].same_account || targets[2].same_account);
	for (int i = 0; i < 3; i++)
		json_decref(targets[i].row);
}

static void test_get(void **state)
{
	struct world *w = *state;
	struct check c;
	struct lookup_target t = {.check = &c};

	add_call(w, 1, T0);
	add_call(w, 2, T0);
	make_check(&c, 2);
	c.state = CALL_CALLING;
	snprintf(c.provider_call_id, sizeof(c.provider_call_id), "call-1");
	look_up(w, &vapi_adapter, 100, &t);
	assert_int_equal(t.seen, SEEN_CALL);
	assert_string_equal(t.found_id, "call-1");
	json_decref(t.row);
}

/* ---- By page ---- */

static void test_pages(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 45; i++)
		add_call(w, 50 + i % 10, T0 + i * 1000);
	add_call(w, 7, T0 + 50000);
	add_call(w, 8, T0 + 51000);
	add_call(w, 8, T0 + 52000);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 7), SEEN_CALL);
	assert_int_equal(w->requests, 5);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 8), SEEN_AMBIGUOUS);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 9), SEEN_ABSENT);
}

/* Reading ends where the rows are older than a zone can explain. */
static void test_pages_end_at_the_window(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 500; i++)
		add_call(w, 50, T0 - INT64_C(86400000) * 3);
	add_call(w, 7, T0 + 1000);
	assert_int_equal(seen_of(w, &omni_adapter, 10, 7), SEEN_CALL);
	assert_int_equal(w->requests, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_clocks_apart),
		WORLD_TEST(test_one_list),
		WORLD_TEST(test_full_lists_are_divided),
		WORLD_TEST(test_window_that_stays_full),
		WORLD_TEST(test_part_of_a_list),
		WORLD_TEST(test_measured_clock),
		WORLD_TEST(test_late_clock),
		WORLD_TEST(test_failing_list),
		WORLD_TEST(test_garbage),
		WORLD_TEST(test_row_without_id),
		WORLD_TEST(test_huge_list),
		WORLD_TEST(test_changing_account),
		WORLD_TEST(test_many_targets),
		WORLD_TEST(test_get),
		WORLD_TEST(test_pages),
		WORLD_TEST(test_pages_end_at_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
