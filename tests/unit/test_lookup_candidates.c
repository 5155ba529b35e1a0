/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups where the list lacks the job ids: which rows are read one by one, and what stays
 * doubtful? */
#include "lookup_world.h"

/* Jobs 1 and 101 have one number. */
static void test_candidates(void **state)
{
	struct world *w = *state;

	add_call(w, 101, T0 + 1000);
	add_call(w, 1, T0 + 2000);
	add_call(w, 2, T0 + 3000);
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_CALL);
	assert_int_equal(w->requests, 1);
	assert_int_equal(w->gets, 2); /* those to its number, and no others */
	assert_int_equal(seen_of(w, &bland_adapter, 10, 201), SEEN_ABSENT);
	assert_int_equal(w->gets, 2);
	assert_int_equal(seen_of(w, &bland_adapter, 10, 3), SEEN_ABSENT);
	assert_int_equal(w->gets, 0);
	add_call(w, 1, T0 + 4000);
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_AMBIGUOUS);
	/* Made before its claim, by a clock that is behind. */
	add_call(w, 4, T0 - 100000);
	assert_int_equal(seen_of(w, &bland_adapter, 10, 4), SEEN_CALL);
}

/* As long as one could be the call, it is not absent. */
static void test_candidates_that_stay_doubtful(void **state)
{
	struct world *w = *state;

	add_call(w, 101, T0 + 1000);
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_ABSENT);
	w->get_status = 404;
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &bland_adapter, 10, 2), SEEN_ABSENT);
	w->get_status = 0;
	w->other_id = "call-9";
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_NOTHING);
	w->other_id = NULL;
	w->calls[0].anonymous = true;
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_NOTHING);
	/* One that can't be read hides no other. */
	w->calls[0].anonymous = false;
	w->calls[0].job = 1;
	add_call(w, 101, T0 + 2000);
	w->calls[1].anonymous = true;
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_CALL);
	assert_int_equal(w->gets, 2);
}

/* Without a number that can be read a row could be anybody's. */
static void test_candidate_without_number(void **state)
{
	struct world *w = *state;
	char at[TIME_TEXT_BYTES], text[256];

	time_format(T0 + 1000, at);
	snprintf(text, sizeof(text), "{\"calls\":[{\"call_id\":\"call-0\",\"created_at\":\"%s\"}]}",
		 at);
	w->garbage = text;
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_NOTHING);
	assert_int_equal(w->gets, 1);
}

static void test_candidates_of_many_windows(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 100; i++)
		add_call(w, 200 + i, T0 + i * 1000);
	add_call(w, 1, T0 + 50000);
	assert_int_equal(seen_of(w, &bland_adapter, 10, 1), SEEN_CALL);
	assert_true(w->requests > 10);
	assert_int_equal(w->gets, 2);
	assert_int_equal(seen_of(w, &bland_adapter, 10, 102), SEEN_ABSENT);
	/* More than the list shows, by its own count. */
	w->hidden = 1;
	assert_int_equal(seen_of(w, &bland_adapter, 1000, 102), SEEN_NOTHING);
	assert_int_equal(seen_of(w, &bland_adapter, 1000, 1), SEEN_CALL);
}

/* More candidates than are read: what is left over is a doubt. */
static void test_too_many_candidates(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 200; i++)
		add_call(w, 101, T0 + i);
	assert_int_equal(seen_of(w, &bland_adapter, 1000, 1), SEEN_NOTHING);
	assert_int_equal(w->gets, 128);
	w->calls_count = 128;
	assert_int_equal(seen_of(w, &bland_adapter, 1000, 1), SEEN_ABSENT);
}

static void test_candidates_of_many_targets(void **state)
{
	struct world *w = *state;
	struct check checks[3];
	struct lookup_target targets[3] = {{.check = &checks[0], .next = &targets[1]},
					   {.check = &checks[1], .next = &targets[2]},
					   {.check = &checks[2]}};

	make_check(&checks[0], 1);
	make_check(&checks[1], 101);
	make_check(&checks[2], 5);
	add_call(w, 101, T0 + 1000);
	add_call(w, 5, T0 + 1000);
	look_up(w, &bland_adapter, 100, targets);
	assert_int_equal(targets[0].seen, SEEN_ABSENT);
	assert_int_equal(targets[1].seen, SEEN_CALL);
	assert_string_equal(targets[1].found_id, "call-0");
	assert_int_equal(targets[2].seen, SEEN_CALL);
	assert_int_equal(w->gets, 2);
	for (int i = 0; i < 3; i++)
		json_decref(targets[i].row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_candidates),
		WORLD_TEST(test_candidates_that_stay_doubtful),
		WORLD_TEST(test_candidate_without_number),
		WORLD_TEST(test_candidates_of_many_windows),
		WORLD_TEST(test_too_many_candidates),
		WORLD_TEST(test_candidates_of_many_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
