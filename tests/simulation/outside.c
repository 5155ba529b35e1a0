/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not the consumer's dispatcher and reconciler: a producer that claims and publishes, a
 * webhook that decides by the rules, a recorder that applies what the topics say. The first two
 * lose, repeat and delay; the recorder is at times not there.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/rules/rules.h"
#include "tests/simulation/differential.h"

#define TICK_MS 500
#define QUEUED_LEASE_S 20
#define LEASE_MAX_S 120
#define MESSAGE_MAX_BYTES (64u << 10)

static struct {
	struct rule_set rules;
	bool has_rules;
	size_t offsets[MSG_TYPE_COUNT];
	int64_t recorded_to;
} outside;

/* ---- Kafka's other users ---- */

struct message {
	enum msg_type type;
	struct buf value;
};

static void release_message(void *arg)
{
	struct message *m = arg;

	buf_release(&m->value);
	free(m);
}

static void on_append(void *arg)
{
	const struct message *m = arg;

	kafka_append(m->type, m->value.data, m->value.len);
}

static void publish_at(int64_t at, const struct msg *msg)
{
	struct message *m = calloc(1, sizeof(*m));

	assert(m);
	m->type = msg->type;
	buf_init(&m->value, MESSAGE_MAX_BYTES);
	if (msg_encode(sim.codec, msg, &m->value) != 0)
		sim_fail("a message can't be encoded");
	sim_at(at, NULL, on_append, m, release_message);
}

/* ---- Producer ---- */

static void publish_job(const struct follow_up *f)
{
	char id[24], lead[24];
	const struct msg m = {
		.type = MSG_DISPATCH_REQUESTED,
		.requested =
			{
				.job_id = f->job_id,
				.follow_up_id = id,
				.tenant = "default",
				.kind = "redial",
				.lead_id = lead,
				.phone = f->phone,
				.account = account_names[f->account],
				.attempt = f->attempts + 1,
				.due_at = f->due_at,
				.dial_by = NO_TIME,
			},
	};

	snprintf(id, sizeof(id), "%lld", (long long)f->id);
	snprintf(lead, sizeof(lead), "%lld", (long long)f->lead_id);
	if (faulty(sim.faults.kafka_lost))
		return;
	publish_at(sim_now() + chance_between(0, 50), &m);
	if (faulty(sim.faults.kafka_twice))
		publish_at(sim_now() + chance_between(0, MINUTE), &m);
}

static bool another_is_queued(const struct follow_up *f)
{
	for (size_t i = 0; i < db.follow_ups_n; i++) {
		const struct follow_up *o = &db.follow_ups[i];
		if (o != f && o->status == FOLLOW_UP_QUEUED && strcmp(o->phone, f->phone) == 0)
			return true;
	}
	return false;
}

static void random_bytes(void *arg, void *ret_bytes, size_t n)
{
	unsigned char *p = ret_bytes;

	(void)arg;
	while (n-- > 0)
		*p++ = (unsigned char)chance_bits();
}

static int64_t wall_ms(void *arg)
{
	(void)arg;
	return database_now();
}

static void claim(struct follow_up *f)
{
	static const struct clock clock = {.wall_ms = wall_ms, .random = random_bytes};
	const char *gate = gate_of(f, database_now());

	if (gate) {
		follow_up_hold(f, gate);
		return;
	}
	/* Two jobs to one person at once, now and then: the consumer's claim has to see to it. */
	if (another_is_queued(f) && !chance(100))
		return;
	uuid_v7(&clock, f->job_id);
	f->next_look_at = NO_TIME;
	f->gate[0] = '\0';
	f->lease_s = QUEUED_LEASE_S;
	f->lease_until = database_now() + f->lease_s * SECOND;
	follow_up_move(f, FOLLOW_UP_QUEUED);
	publish_job(f);
}

static void claim_again(struct follow_up *f)
{
	const char *gate = gate_of(f, database_now());

	if (gate) {
		follow_up_hold(f, gate);
		return;
	}
	counts.resent++;
	f->lease_s = f->lease_s * 2 < LEASE_MAX_S ? f->lease_s * 2 : LEASE_MAX_S;
	f->lease_until = database_now() + f->lease_s * SECOND;
	publish_job(f);
}

static void on_tick(void *arg)
{
	int64_t now = database_now();

	(void)arg;
	for (size_t i = 0; i < db.follow_ups_n && sim_now() >= sim.database_down_until; i++) {
		struct follow_up *f = &db.follow_ups[i];
		if (f->status == FOLLOW_UP_PENDING && f->next_look_at <= now)
			claim(f);
		else if (f->status == FOLLOW_UP_QUEUED && f->lease_until < now)
			claim_again(f);
		else
			continue;
		differential_follow_up(f);
	}
	oracle_rows();
	sim_at(sim_now() + TICK_MS, NULL, on_tick, NULL, NULL);
}

/* ---- Webhook ---- */

static int64_t arrival(void)
{
	return sim_now() + (faulty(sim.faults.event_late) ? chance_between(0, 5 * MINUTE)
							  : chance_between(10, 2 * SECOND));
}

static void say(const struct msg *m)
{
	for (int copies = 1 + faulty(sim.faults.kafka_twice); copies > 0; copies--)
		publish_at(arrival(), m);
}

void outside_event(const struct msg_call_event *e)
{
	struct rule_decision next;

	if (faulty(sim.faults.event_lost))
		return;
	say(&(struct msg){.type = MSG_CALL_EVENT, .event = *e});
	rules_decide(&outside.rules, e, &next);
	if (next.has_redial)
		say(&(struct msg){.type = MSG_REDIAL_UPDATE, .redial = next.redial});
}

/* ---- Recorder ---- */

static void record(enum msg_type type, const void *value, size_t bytes)
{
	char text[256];
	struct buf error;
	struct msg m;
	int32_t schema_id;

	buf_init_fixed(&error, text, sizeof(text));
	if (msg_decode(sim.codec, type, value, bytes, &m, &schema_id, &error) != MSG_DECODED) {
		sim_fail("a message can't be decoded: %s", text);
		return;
	}
	if (type != MSG_DISPATCH_RESULT)
		differential_message(&m);
	if (type == MSG_DISPATCH_RESULT)
		record_result(&m.result);
	else if (type == MSG_CALL_EVENT)
		record_event(&m.event);
	else if (type == MSG_REDIAL_UPDATE)
		record_redial(&m.redial);
}

int64_t outside_recorded_to(void)
{
	return outside.recorded_to;
}

static void on_record(void *arg)
{
	static const enum msg_type types[] = {MSG_DISPATCH_RESULT, MSG_CALL_EVENT,
					      MSG_REDIAL_UPDATE};
	size_t first = (size_t)chance_between(0, 2), bytes;
	bool any = false;

	(void)arg;
	for (size_t i = 0; i < 3; i++) {
		enum msg_type type = types[(first + i) % 3];
		const void *value;
		while ((value = kafka_read(type, &outside.offsets[type], &bytes))) {
			record(type, value, bytes);
			any = true;
		}
	}
	if (any)
		record_apply();
	outside.recorded_to = database_now();
	int64_t at = sim_now() + chance_between(20, 400);
	if (faulty(sim.faults.crash))
		at += chance_between(SECOND, 30 * SECOND); /* it is away */
	if (at < sim.database_down_until)
		at = sim.database_down_until;
	sim_at(at, NULL, on_record, NULL, NULL);
}

/* ---- The weather ---- */

static void on_minute(void *arg)
{
	(void)arg;
	if (faulty(sim.faults.outage))
		sim.database_down_until = sim_now() + chance_between(SECOND, MINUTE);
	sim_at(sim_now() + MINUTE, NULL, on_minute, NULL, NULL);
}

static void make_rules(void)
{
	static const struct outcome_rule rules[] = {
		{.outcome = "TRANSFERRED", .action = RULE_SUCCESS},
		{.outcome = "DO_NOT_CALL", .action = RULE_SUPPRESS},
	};

	if (outside.has_rules)
		return;
	assert(rule_set_init(&outside.rules));
	memcpy(outside.rules.rules, rules, sizeof(rules));
	outside.rules.n = sizeof(rules) / sizeof(rules[0]);
	rule_set_sort(&outside.rules);
	outside.has_rules = true;
}

void outside_start(void)
{
	make_rules();
	memset(outside.offsets, 0, sizeof(outside.offsets));
	sim_at(0, NULL, on_tick, NULL, NULL);
	sim_at(0, NULL, on_record, NULL, NULL);
	sim_at(0, NULL, on_minute, NULL, NULL);
}

void outside_release(void)
{
	if (outside.has_rules)
		rule_set_release(&outside.rules);
	outside.has_rules = false;
}
