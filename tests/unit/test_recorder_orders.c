/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder's promise about order: whatever order the messages of some calls come in, however
 * they are cut into batches and how often they come, PostgreSQL says the same in the end.
 */
#include "tests/unit/recorder_world.h"

#define LEADS 12
#define MESSAGES_MAX 600
#define SEEDS 4
#define ROUNDS 6

RECORDER_WORLD("recorder_orders")

/* Deterministic, so that a failing seed can be run again. */
static uint64_t random_state;

static size_t random_below(size_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)((random_state >> 33) % n);
}

struct scene {
	struct texts texts[MESSAGES_MAX];
	struct msg messages[MESSAGES_MAX];
	size_t n;
};

static struct texts *next_texts(struct scene *s, int lead, int call)
{
	assert_true(s->n < MESSAGES_MAX);
	name_call(&s->texts[s->n], lead, call);
	return &s->texts[s->n];
}

static void add_call(struct scene *s, int lead, int call, int64_t at)
{
	static const struct {
		const char *outcome;
		enum redial_action action;
		bool suppress;
	} ends[] = {
		{"NO_ANSWER", REDIAL_SCHEDULE, false}, {"VOICEMAIL", REDIAL_SCHEDULE, false},
		{"BUSY", REDIAL_SCHEDULE, false},      {"CALLBACK", REDIAL_CALLBACK, false},
		{"SALE", REDIAL_COMPLETE, false},      {"NOT_INTERESTED", REDIAL_STOP, false},
		{"DO_NOT_CALL", REDIAL_STOP, true},
	};
	/* Mostly ends that go on, or there would be little to get wrong. */
	size_t end = random_below(3) ? random_below(4) : random_below(7);
	struct texts *t = next_texts(s, lead, call);

	s->messages[s->n++] = accepted_of(t);
	for (enum event_type type = EVENT_QUEUED; type <= EVENT_REPORT; type++) {
		if (type != EVENT_ENDED && random_below(4) == 0)
			continue;
		t = next_texts(s, lead, call);
		s->messages[s->n] = event_of(t, type, at + type * 1000,
					     type >= EVENT_ENDED ? ends[end].outcome : NULL);
		if (type == EVENT_REPORT)
			s->messages[s->n].event.summary = t->provider_call;
		if (type == EVENT_ENDED)
			s->messages[s->n].event.duration_ms = 1000 * call;
		s->n++;
	}
	t = next_texts(s, lead, call);
	s->messages[s->n] = redial_of(t, ends[end].action, at + 9000, ends[end].outcome);
	s->messages[s->n++].redial.suppress = ends[end].suppress;
	if (ends[end].action == REDIAL_COMPLETE)
		s->messages[s->n++] = stage_of(next_texts(s, lead, call), "closed", at + 9000);
}

static void seed_scene(struct scene *s, uint64_t seed, bool into_database)
{
	int call = 1;

	random_state = seed;
	s->n = 0;
	for (int lead = 1; lead <= LEADS; lead++) {
		int calls = 1 + (int)random_below(6);

		for (int i = 0; i < calls; i++, call++) {
			static const char *const statuses[] = {"dialing", "dialing", "unknown",
							       "undetermined"};
			const char *status = statuses[random_below(4)];
			const char *kind = random_below(6) ? "follow_up" : "task";

			if (into_database)
				seed_call(&world, lead, call, "vapi", kind, status);
			add_call(s, lead, call, T0 + (int64_t)i * 60 * MINUTE);
		}
	}
}

static void push_shuffled(struct scene *s, size_t copies)
{
	size_t order[MESSAGES_MAX * 2], n = 0;

	for (size_t i = 0; i < s->n; i++) {
		order[n++] = i;
		if (copies > 1 && random_below(3) == 0)
			order[n++] = i;
	}
	for (size_t i = n; i > 1; i--) {
		size_t j = random_below(i), swap = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swap;
	}
	for (size_t i = 0; i < n; i++)
		push(&world, &s->messages[order[i]]);
}

/* All that must not depend on the order. */
static const char state_sql[] =
	"select jsonb_pretty(jsonb_build_object("
	"'calls', (select jsonb_agg(to_jsonb(c) - '{decided_at,claimed_at,due_at}'::text[] "
	"|| jsonb_build_object('decided', decided_at is not null) order by job_id) from calls c), "
	"'reports', (select jsonb_agg(to_jsonb(r) - 'updated_at' order by job_id) from call_reports r), "
	"'live', (select jsonb_agg(job_id order by job_id) from live), "
	"'follow_ups', (select jsonb_agg(jsonb_build_array(id, status, attempts) order by id) from follow_ups), "
	"'stages', (select jsonb_agg(stage order by id) from leads), "
	"'parked', (select jsonb_agg(event_id order by event_id) from call_events where state = 'parked'), "
	"'suppressions', (select jsonb_agg(jsonb_build_array(phone, reason, source) order by phone) from suppressions), "
	"'redial', (select jsonb_agg(to_jsonb(q) - '{id,updated_at}'::text[] order by lead_id) from redial_queue q)))";

static char *outcome_of(struct scene *s, uint64_t seed, size_t round)
{
	sql_alone(world.db.admin);
	sql_run(world.db.admin, forget_sql);
	seed_scene(s, seed, true);
	random_state = seed * 1000 + round;
	if (round == 0) {
		for (size_t i = 0; i < s->n; i++)
			push(&world, &s->messages[i]);
	} else {
		push_shuffled(s, round % 2 + 1);
	}
	broker.burst = round % 3 == 0 ? 1000 : 1 + random_below(20);
	world_start(&world);
	run_until_recorded(&world);
	/* Messages that ran ahead of their call's result come in with the next batch. */
	run_until(&world, "select not exists (select from call_events where state = 'parked')");
	world_stop(&world);
	assert_int_equal(broker.letters_count, 0);
	broker_clear();
	return sql_value(world.db.admin, state_sql);
}

/* Says where two long texts part. */
static void assert_same(const char *expected, const char *got, uint64_t seed, size_t round)
{
	size_t i = 0, line = 0;

	for (; expected[i] && expected[i] == got[i]; i++) {
		if (expected[i] == '\n')
			line = i + 1;
	}
	if (expected[i] != got[i])
		fail_msg("seed %d, round %zu: %.400s\ninstead of %.400s", (int)seed, round,
			 got + line, expected + line);
}

static void test_order_does_not_matter(void **state)
{
	static struct scene scene;

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		char *expected = outcome_of(&scene, seed, 0);

		assert_non_null(strstr(expected, "pending"));
		for (size_t round = 1; round < ROUNDS; round++) {
			char *got = outcome_of(&scene, seed, round);

			assert_same(expected, got, seed, round);
			free(got);
		}
		free(expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_does_not_matter),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
