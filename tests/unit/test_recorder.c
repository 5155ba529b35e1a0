/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder when things go wrong: each message still counts once, and none holds others up. */
#include "tests/unit/recorder_world.h"

RECORDER_WORLD("recorder")

#define EVENTS "test.calls.event.v1"
#define EVENT_LOG (&broker.logs[1])

static void push_event(int lead, int call, enum event_type type, int64_t at, const char *outcome)
{
	struct texts t;
	struct msg m;

	name_call(&t, lead, call);
	m = event_of(&t, type, at, outcome);
	push(&world, &m);
}

static void push_redial(int lead, int call, enum redial_action action, const char *outcome)
{
	struct texts t;
	struct msg m;

	name_call(&t, lead, call);
	m = redial_of(&t, action, T0 + MINUTE, outcome);
	push(&world, &m);
}

/* ---- Offsets ---- */

static void test_goes_on_where_it_was(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	for (int i = 0; i < 3; i++)
		push_event(1, 1, EVENT_RINGING, T0 + i, NULL);
	world_start(&world);
	run_until_recorded(&world);
	world_stop(&world);
	push_event(1, 1, EVENT_IN_PROGRESS, T0 + 10, NULL);
	EVENT_LOG->read = 0;
	world_start(&world);
	run_until(&world, "select count(*) = 4 from call_events");
	run_until_recorded(&world);
	assert_sql(&world, "select next from applied_offsets where topic = '" EVENTS "'", "4");
	assert_sql(&world, "select status from calls", "in_progress");
	assert_sql(&world, "select state from live", "");
}

/* It ended between PostgreSQL's commit and Kafka's, and nothing new comes. */
static void test_kafka_learns_what_is_applied(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	push_event(1, 1, EVENT_RINGING, T0, NULL);
	world_start(&world);
	run_until_recorded(&world);
	world_stop(&world);
	EVENT_LOG->stored = -1;
	world_start(&world);
	run_until_recorded(&world);
	assert_sql(&world, "select count(*) from call_events", "1");
}

/* PostgreSQL stands beyond the end of a log that was made anew. */
static void test_log_made_anew(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	sql_run(world.db.admin, "insert into applied_offsets values ('" EVENTS "', 0, 1000)");
	push_event(1, 1, EVENT_RINGING, T0, NULL);
	push_event(1, 1, EVENT_ENDED, T0 + 1, "BUSY");
	world_start(&world);
	run_until_recorded(&world);
	assert_sql(&world, "select next from applied_offsets where topic = '" EVENTS "'", "2");
	assert_sql(&world, "select status || ' ' || outcome from calls", "failed BUSY");
}

/* Somebody else has moved the partition: the batch is undone, and PostgreSQL's place is taken. */
static void test_overtaken(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	for (int i = 0; i < 5; i++)
		push_event(1, 1, EVENT_RINGING, T0 + i, NULL);
	push_redial(1, 1, REDIAL_SCHEDULE, "NO_ANSWER");
	world_start(&world);
	run_until_recorded(&world);
	sql_run(world.db.admin, "update applied_offsets set next = 2 where topic = '" EVENTS "';"
				"delete from call_events where event_id like '%1767600000003'");
	push_event(1, 1, EVENT_RINGING, T0 + 100, NULL);
	run_until_recorded(&world);
	assert_sql(&world, "select count(*) from call_events where message = 'event'", "6");
	assert_sql(&world, "select attempts from redial_queue", "1");
	assert_sql(&world, "select next from applied_offsets where topic = '" EVENTS "'", "6");
}

/* A seek that went wrong skips nothing. */
static void test_doubts_a_jump(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	for (int i = 0; i < 5; i++)
		push_event(1, 1, EVENT_RINGING, T0 + i, NULL);
	world_start(&world);
	run_until_recorded(&world);
	sql_run(world.db.admin, "update applied_offsets set next = 2 where topic = '" EVENTS "';"
				"delete from call_events where event_id like '%1767600000003'");
	EVENT_LOG->stray = true;
	push_event(1, 1, EVENT_RINGING, T0 + 100, NULL);
	while (EVENT_LOG->stray)
		run_for(&world, 0.01);
	push_event(1, 1, EVENT_RINGING, T0 + 101, NULL);
	run_until_recorded(&world);
	assert_sql(&world, "select count(*) from call_events", "7");
}

/* ---- Messages that can't be used ---- */

static void test_dead_letters(void **state)
{
	static const char garbage[] = "\x00\x7f\x7f\x7f\x7fgarbage";

	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	broker.delivery_error = "no broker";
	push_event(1, 1, EVENT_RINGING, T0, NULL);
	push_bytes(MSG_CALL_EVENT, "nothing", 7);
	push_bytes(MSG_CALL_EVENT, garbage, sizeof(garbage) - 1);
	push_event(1, 1, EVENT_ENDED, T0 + 1, "SALE");
	world_start(&world);
	for (int i = 0; i < 1000 && broker.letters_count == 0; i++)
		run_for(&world, 0.02);
	/* Not past it before it is in the dead-letter topic. */
	assert_true(broker.letters_count > 0);
	run_for(&world, 0.1);
	assert_sql(&world, "select count(*) from dead_letters", "0");
	assert_int_not_equal(EVENT_LOG->stored, 4);
	broker.delivery_error = NULL;
	run_until_recorded(&world);
	assert_sql(&world,
		   "select string_agg(topic || ' ' || \"offset\" || ' ' || length(value), ',' "
		   "order by \"offset\") from dead_letters",
		   EVENTS " 1 7," EVENTS " 2 12");
	assert_sql(&world, "select distinct headers::text from dead_letters",
		   "[[\"ce_id\", \"seven\"]]");
	assert_sql(&world, "select status from calls", "completed");
}

/* One message breaks a rule of the database: the rest of its batch goes on. */
static void test_bad_message_alone(void **state)
{
	struct texts t;
	struct msg m;

	(void)state;
	for (int i = 1; i <= 40; i++) {
		seed_call(&world, i, i, "vapi", "follow_up", "calling");
		push_redial(i, i, REDIAL_SCHEDULE, "NO_ANSWER");
		if (i != 23)
			continue;
		name_call(&t, 99, 99);
		m = redial_of(&t, REDIAL_STOP, T0, "DO_NOT_CALL");
		m.redial.tenant = "nobody"; /* has no suppressions */
		m.redial.suppress = true;
		push(&world, &m);
	}
	world_start(&world);
	run_until_recorded(&world);
	assert_sql(&world, "select count(*) from redial_queue where attempts = 1", "40");
	assert_sql(&world, "select \"offset\" || ' ' || substr(reason, 1, 14) from dead_letters",
		   "23 SQLSTATE 23503");
	assert_int_equal(broker.letters_count, 1);
	assert_string_equal(broker.letters[0].topic, "test.leads.redial.v1");
}

/* An id that no index takes is the message's own fault, too. */
static void test_endless_id(void **state)
{
	struct texts t;
	struct msg m;
	char id[9001];
	uint64_t x = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(id) - 1; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
		id[i] = (char)('!' + (x >> 33) % 90); /* nothing to compress */
	}
	id[sizeof(id) - 1] = '\0';
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	push_event(1, 1, EVENT_RINGING, T0, NULL);
	name_call(&t, 1, 1);
	m = event_of(&t, EVENT_RINGING, T0 + 1, NULL);
	m.event.event_id = id;
	push(&world, &m);
	push_event(1, 1, EVENT_ENDED, T0 + 2, "BUSY");
	world_start(&world);
	run_until_recorded(&world);
	assert_sql(&world, "select \"offset\" || ' ' || substr(reason, 1, 14) from dead_letters",
		   "1 SQLSTATE 54000");
	assert_sql(&world, "select status from calls", "failed");
}

/* ---- A schema registry that is away ---- */

static size_t registry_asks;
static int64_t clock_ahead_ms;

void schema_registry_resolve(struct schema_registry *r, enum msg_type type, int32_t id)
{
	(void)r;
	assert_int_equal(type, MSG_CALL_EVENT);
	assert_int_equal(id, 0x01020304);
	registry_asks++;
}

static int64_t boot_ahead(void *arg)
{
	(void)arg;
	return clock_boot_ms(clock_system()) + clock_ahead_ms;
}

/* It is waited for as long as it takes; only its own "no" makes a dead letter. */
static void test_registry_away(void **state)
{
	static const char unknown[] = "\x00\x01\x02\x03\x04of a later version";
	struct clock clock = *clock_system();
	struct buf error;

	(void)state;
	registry_asks = 0;
	clock_ahead_ms = 0;
	clock.boot_ms = boot_ahead;
	const struct recorder_options o = {
		.cfg = world.cfg,
		.codec = world.codec,
		.registry = (struct schema_registry *)&registry_asks,
		.worker = "test/1",
		.clock = &clock,
	};
	buf_init(&error, 1000);
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	push_event(1, 1, EVENT_RINGING, T0, NULL);
	push_bytes(MSG_CALL_EVENT, unknown, sizeof(unknown) - 1);
	push_event(1, 1, EVENT_ENDED, T0 + 1, "BUSY");
	world.recorder = recorder_new(world.loop, &o, &error);
	assert_non_null(world.recorder);
	buf_release(&error);
	run_until(&world, "select status = 'ringing' from calls");
	run_for(&world, 0.1);
	clock_ahead_ms = 3600000;
	size_t asked = registry_asks;
	for (int i = 0; i < 100 && registry_asks == asked; i++)
		run_for(&world, 0.05);
	assert_true(registry_asks > asked);
	assert_int_equal(broker.letters_count, 0);
	recorder_schema_resolved(world.recorder, 0x01020304, false);
	run_until_recorded(&world);
	assert_int_equal(broker.letters_count, 1);
	assert_sql(&world, "select status from calls", "failed");
	world_stop(&world);
}

/* What fails is not the message but something that was there before: nothing is thrown away. */
static void test_blames_no_message_for_another(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	sql_run(world.db.admin,
		"insert into call_events (message, account, event_id, tenant_id, type, rank, "
		"call_job_id, body) select 'event', 'vapi', 'odd', 'default', 'ringing', 2, job_id, "
		"'{\"cost_micros\": \"odd\"}' from calls");
	push_event(1, 1, EVENT_ENDED, T0, "SALE");
	world_start(&world);
	run_for(&world, 1.5);
	assert_sql(&world, "select status from calls", "calling");
	assert_sql(&world, "select count(*) from dead_letters", "0");
	sql_run(world.db.admin, "update call_events set body = '{}'");
	run_until_recorded(&world);
	assert_sql(&world, "select status from calls", "completed");
	assert_int_equal(broker.letters_count, 0);
}

/* ---- PostgreSQL goes away ---- */

static void test_connection_lost(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	world_start(&world);
	push_redial(1, 1, REDIAL_SCHEDULE, "NO_ANSWER");
	run_until_recorded(&world);
	for (int i = 2; i < 12; i++) {
		seed_call(&world, i, i, "vapi", "follow_up", "calling");
		sql_run(world.db.admin, "begin");
		sql_run(world.db.admin, "lock table call_events");
		push_redial(i, i, REDIAL_SCHEDULE, "NO_ANSWER");
		run_for(&world, 0.02);
		end_connections(&world);
		sql_run(world.db.admin, "commit");
		run_until_recorded(&world);
	}
	assert_sql(&world, "select count(*) || ' ' || sum(attempts) from redial_queue", "11 11");
}

/* Reading stops when enough waits, and goes on. */
static void test_database_away(void **state)
{
	struct buf sql;

	(void)state;
	buf_init(&sql, 200);
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	world_start(&world);
	push_event(1, 1, EVENT_RINGING, T0, NULL);
	run_until_recorded(&world);
	buf_addf(&sql, "alter database %s allow_connections false", world.db.name);
	sql_run(world.db.server, sql.data);
	end_connections(&world);
	for (int i = 0; i < 400; i++)
		push_event(1, 1, EVENT_IN_PROGRESS, T0 + i, NULL);
	run_for(&world, 0.5);
	assert_true(broker.consumer->stopped);
	assert_true(EVENT_LOG->read < 120);
	assert_int_equal(EVENT_LOG->stored, 1);
	buf_clear(&sql);
	buf_addf(&sql, "alter database %s allow_connections true", world.db.name);
	sql_run(world.db.server, sql.data);
	run_until_recorded(&world);
	assert_sql(&world, "select count(*) from call_events", "401");
	buf_release(&sql);
}

/* ---- Whose call is it ---- */

static void test_hundred_copies(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	for (int i = 0; i < 100; i++) {
		push_event(1, 1, EVENT_ENDED, T0, "NO_ANSWER");
		push_redial(1, 1, REDIAL_SCHEDULE, "NO_ANSWER");
	}
	broker.burst = 7;
	world_start(&world);
	run_until_recorded(&world);
	assert_sql(&world, "select count(*) from call_events", "2");
	assert_sql(&world,
		   "select attempts || ' ' || status || ' ' || array_to_string(outcomes, ',') "
		   "|| ' ' || to_ms(next_redial_timestamp) from redial_queue",
		   "1 pending NO_ANSWER 1767601860000");
}

static struct msg nameless_event(struct texts *t, int lead, int call)
{
	name_call(t, lead, call);
	struct msg m = event_of(t, EVENT_ENDED, T0, "BUSY");
	m.event.job_id = NULL;
	m.event.account = "omni";
	return m;
}

static void test_by_phone(void **state)
{
	struct texts t;
	struct msg m;

	(void)state;
	/* One call it can be: proved by it, it goes on as accepted. */
	seed_call(&world, 1, 1, "omni", "follow_up", "undetermined");
	m = nameless_event(&t, 1, 1);
	push(&world, &m);
	/* Two it can be. */
	seed_call(&world, 2, 2, "omni", "follow_up", "not_dialed");
	seed_call(&world, 2, 3, "omni", "follow_up", "unknown");
	m = nameless_event(&t, 2, 3);
	push(&world, &m);
	/* Another account's. */
	seed_call(&world, 4, 4, "vapi", "follow_up", "unknown");
	m = nameless_event(&t, 4, 4);
	push(&world, &m);
	/* Claimed after the event. */
	seed_call(&world, 5, 5, "omni", "follow_up", "unknown");
	sql_run(world.db.admin, "update calls set claimed_at = now() where follow_up_id = 5");
	m = nameless_event(&t, 5, 5);
	push(&world, &m);
	/* It has an id already, and this is not it. */
	seed_call(&world, 6, 6, "omni", "follow_up", "calling");
	sql_run(world.db.admin, "update calls set provider_call_id = 'x' where follow_up_id = 6");
	m = nameless_event(&t, 6, 6);
	push(&world, &m);
	world_start(&world);
	run_until(&world, "select status = 'failed' from calls where follow_up_id = 1");
	run_until_recorded(&world);
	assert_sql(&world,
		   "select provider_call_id || ' ' || f.status || ' ' || l.stage from calls c "
		   "join follow_ups f on f.id = c.follow_up_id join leads l on l.id = c.lead_id "
		   "where f.id = 1",
		   "call-1 completed contacted");
	assert_sql(&world, "select count(*) from live where follow_up_id = 1", "0");
	assert_sql(&world,
		   "select string_agg(provider_call_id, ' ' order by id) from call_events "
		   "where state = 'parked' and call_job_id is null",
		   "call-3 call-4 call-5 call-6");
	/* The result names the id: no doubt any more. */
	name_call(&t, 2, 3);
	m = accepted_of(&t);
	m.result.account = "omni";
	push(&world, &m);
	run_until_recorded(&world);
	assert_sql(&world, "select status from calls where follow_up_id = 3", "failed");
}

/* A job id of one account is worth nothing in the mouth of another. */
static void test_foreign_job_id(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "omni", "follow_up", "unknown");
	push_event(1, 1, EVENT_ENDED, T0, "SALE");
	world_start(&world);
	run_until_recorded(&world);
	run_for(&world, 0.1);
	assert_sql(&world, "select status from calls", "unknown");
	assert_sql(&world, "select state from call_events", "parked");
}

/* A call that had been proved absent lives: no second one is made, and its phone is taken. */
static void test_came_alive(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "not_dialed");
	sql_run(world.db.admin, "update follow_ups set status = 'pending', job_id = null");
	push_event(1, 1, EVENT_RINGING, T0, NULL);
	world_start(&world);
	run_until_recorded(&world);
	assert_sql(&world, "select status || ' ' || reason from follow_ups",
		   "cancelled call_found");
	assert_sql(&world, "select status from calls", "ringing");
	assert_sql(&world, "select state from live", "ringing");
	assert_sql(&world, "select call_date is not null from leads", "t");
	push_event(1, 1, EVENT_ENDED, T0 + 1, "SALE");
	run_until_recorded(&world);
	assert_sql(&world, "select count(*) from live", "0");
}

/* An end that leaves the outcome to a report: without one the reconciler asks the provider. */
static void test_undecided_end(void **state)
{
	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "unknown");
	sql_run(world.db.admin, "update live set next_check_at = now() + interval '1 day'");
	push_event(1, 1, EVENT_ENDED, T0, NULL);
	world_start(&world);
	run_until(&world, "select status = 'completed' from calls");
	assert_sql(&world,
		   "select next_check_at between now() and now() + interval '1 minute' from live",
		   "t");
	push_event(1, 1, EVENT_REPORT, T0 + 1, "SALE");
	run_until_recorded(&world);
	assert_sql(&world, "select outcome from calls", "SALE");
	assert_sql(&world, "select count(*) from live", "0");
}

/* ---- The queue's rules ---- */

static void test_redial_rules(void **state)
{
	struct texts t;
	struct msg m;

	(void)state;
	world_start(&world);
	for (int call = 1; call <= 9; call++) {
		seed_call(&world, 1, call, "vapi", "follow_up", "calling");
		name_call(&t, 1, call);
		m = redial_of(&t, call < 5 ? REDIAL_SCHEDULE : REDIAL_CALLBACK, T0 + call * MINUTE,
			      "X");
		push(&world, &m);
		run_until_recorded(&world);
	}
	seed_call(&world, 2, 20, "vapi", "follow_up", "calling");
	push_redial(2, 20, REDIAL_COMPLETE, "SALE");
	seed_call(&world, 3, 30, "vapi", "campaign", "calling");
	push_redial(3, 30, REDIAL_SCHEDULE, "BUSY");
	run_until_recorded(&world);
	/* Four dials, callbacks beyond, but never after twice as many. */
	assert_sql(
		&world,
		"select string_agg(coalesce(from_state, '-') || '>' || to_state, ' ' order by id) "
		"from transitions where entity = 'redial'",
		"->pending pending>max_attempts max_attempts>rescheduled rescheduled>max_attempts");
	assert_sql(&world, "select count(*) || ' ' || max(attempts) from redial_queue", "1 9");
	assert_sql(&world, "select next_redial_timestamp from redial_queue", "");
}

static void test_stage_and_pause(void **state)
{
	struct texts t;
	struct msg m;

	(void)state;
	seed_call(&world, 1, 1, "vapi", "follow_up", "calling");
	sql_run(world.db.admin,
		"insert into redial_queue (lead_id, phone_number, lead_ref, attempts, status, "
		"created_at) values ('1', '+12125550101', 1, 1, 'paused', '2026-01-01')");
	push_redial(1, 1, REDIAL_SCHEDULE, "NO_ANSWER");
	name_call(&t, 1, 1);
	m = stage_of(&t, "visit_scheduled", T0 + 5);
	push(&world, &m);
	name_call(&t, 1, 1);
	m = stage_of(&t, "lost", T0 + 1);
	push(&world, &m);
	m = stage_of(&t, "closed", T0 + 2);
	m.stage.event_id = "no such lead";
	m.stage.job_id = m.stage.provider_call_id = NULL;
	m.stage.id = "12345";
	push(&world, &m);
	world_start(&world);
	run_until_recorded(&world);
	name_call(&t, 1, 1);
	m = stage_of(&t, "contacted", T0 + 3); /* comes late */
	push(&world, &m);
	run_until_recorded(&world);
	assert_sql(&world,
		   "select status || ' ' || attempts || ' ' || last_outcome from redial_queue",
		   "paused 2 NO_ANSWER");
	assert_sql(&world, "select stage from leads", "visit_scheduled");
	assert_sql(
		&world,
		"select string_agg(state, ' ' order by id) from call_events where message = 'stage'",
		"history applied history history");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_goes_on_where_it_was), TEST(test_kafka_learns_what_is_applied),
		TEST(test_log_made_anew),	 TEST(test_overtaken),
		TEST(test_doubts_a_jump),	 TEST(test_dead_letters),
		TEST(test_bad_message_alone),	 TEST(test_endless_id),
		TEST(test_registry_away),	 TEST(test_blames_no_message_for_another),
		TEST(test_connection_lost),	 TEST(test_database_away),
		TEST(test_hundred_copies),	 TEST(test_by_phone),
		TEST(test_foreign_job_id),	 TEST(test_came_alive),
		TEST(test_undecided_end),	 TEST(test_redial_rules),
		TEST(test_stage_and_pause),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
