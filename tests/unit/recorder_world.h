/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder with a real PostgreSQL and a Kafka made of memory, so that a test decides what comes
 * in which order, and what of it comes again. Defines what the recorder calls of common/kafka.h and
 * consumer/publisher.h.
 */
#ifndef CARILLON_TESTS_RECORDER_WORLD_H
#define CARILLON_TESTS_RECORDER_WORLD_H

#include "common/kafka.h"
#include "common/msg.h"
#include "consumer/recorder.h"

#include "tests/unit/database_migrated.h"

#define LOG_MAX 4096
#define LETTERS_MAX 64
#define WAIT_S 20.0

static const enum msg_type recorded_types[] = {MSG_DISPATCH_RESULT, MSG_CALL_EVENT,
					       MSG_REDIAL_UPDATE, MSG_STAGE_TRANSITION};
#define TOPICS (sizeof(recorded_types) / sizeof(recorded_types[0]))

/* ---- Kafka in memory: one partition a topic ---- */

struct kafka_log {
	char name[64];
	rd_kafka_topic_t *handle;
	rd_kafka_message_t messages[LOG_MAX];
	int64_t end;
	int64_t read;	/* what comes next */
	int64_t stored; /* -1: nothing */
	bool stray;	/* the next seek goes wrong */
};

struct kafka_consumer {
	struct kafka_consumer_options o;
	struct ev_loop *loop;
	ev_timer poll;
	bool assigned;
	bool stopped;
};

static struct {
	rd_kafka_t *names; /* topic handles need one */
	struct kafka_log logs[TOPICS];
	struct kafka_consumer *consumer;
	size_t burst; /* messages a turn */
	struct dead_letter letters[LETTERS_MAX];
	struct delivery *deliveries[LETTERS_MAX];
	size_t letters_count;
	ev_timer deliver;
	const char *delivery_error;
} broker;

static inline struct kafka_log *log_of(const char *topic)
{
	for (size_t t = 0; t < TOPICS; t++) {
		if (strcmp(broker.logs[t].name, topic) == 0)
			return &broker.logs[t];
	}
	fail_msg("no topic %s", topic);
	return NULL;
}

static inline void assign(struct kafka_consumer *c)
{
	struct kafka_partition parts[TOPICS];

	for (size_t t = 0; t < TOPICS; t++)
		parts[t] = (struct kafka_partition){.topic = broker.logs[t].name};
	assert_false(c->o.on_assign(c->o.arg, parts, TOPICS));
}

static inline void on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct kafka_consumer *c = w->data;
	bool any = true;

	(void)loop;
	(void)revents;
	for (size_t n = 0; c->assigned && any && n < broker.burst;) {
		any = false;
		for (size_t t = 0; t < TOPICS && !c->stopped && n < broker.burst; t++) {
			struct kafka_log *l = &broker.logs[t];

			if (l->read >= l->end)
				continue;
			int64_t at = l->read;
			if (!c->o.on_message(c->o.arg, &l->messages[at])) {
				c->stopped = true;
				return;
			}
			if (l->read == at)
				l->read++;
			any = true;
			n++;
		}
	}
}

struct kafka_consumer *kafka_consumer_new(struct ev_loop *loop,
					  const struct kafka_consumer_options *o, struct buf *error)
{
	struct kafka_consumer *c = calloc(1, sizeof(*c));

	(void)error;
	assert_non_null(c);
	c->o = *o;
	c->loop = loop;
	ev_timer_init(&c->poll, on_poll, 0, 0.001);
	c->poll.data = c;
	ev_timer_start(loop, &c->poll);
	broker.consumer = c;
	assign(c);
	return c;
}

void kafka_consumer_assigned(struct kafka_consumer *c, const struct kafka_partition *parts,
			     size_t n)
{
	assert_int_equal(n, TOPICS);
	for (size_t i = 0; i < n; i++) {
		struct kafka_log *l = log_of(parts[i].topic);

		/* Out of range: the earliest. */
		l->read = parts[i].offset <= l->end ? parts[i].offset : 0;
	}
	c->assigned = true;
}

void kafka_consumer_resume(struct kafka_consumer *c)
{
	c->stopped = false;
}

void kafka_consumer_store(struct kafka_consumer *c, const char *topic, int32_t partition,
			  int64_t next_offset)
{
	(void)c;
	(void)partition;
	log_of(topic)->stored = next_offset;
}

void kafka_consumer_seek(struct kafka_consumer *c, const char *topic, int32_t partition,
			 int64_t offset)
{
	struct kafka_log *l = log_of(topic);

	(void)partition;
	c->stopped = false;
	if (!l->stray)
		l->read = offset;
	l->stray = false;
}

int64_t kafka_consumer_lag(const struct kafka_consumer *c)
{
	(void)c;
	return 0;
}

bool kafka_consumer_range(const struct kafka_consumer *c, const char *topic, int32_t partition,
			  int64_t *ret_start, int64_t *ret_end)
{
	(void)c;
	(void)partition;
	*ret_start = 0;
	*ret_end = log_of(topic)->end;
	return true;
}

bool kafka_consumer_ready(const struct kafka_consumer *c)
{
	return c->assigned;
}

/* Every message has this one. */
void kafka_headers_pack(const rd_kafka_message_t *m, struct buf *packed)
{
	(void)m;
	buf_add(packed, "ce_id\0seven", sizeof("ce_id\0seven"));
}

void kafka_consumer_free(struct kafka_consumer *c)
{
	if (!c)
		return;
	c->o.on_revoke(c->o.arg, NULL, 0, false);
	ev_timer_stop(c->loop, &c->poll);
	free(c);
	broker.consumer = NULL;
}

/* ---- The publisher ---- */

const char *publisher_topic(const struct publisher *p, enum msg_type type)
{
	(void)p;
	for (size_t t = 0; t < TOPICS; t++) {
		if (recorded_types[t] == type)
			return broker.logs[t].name;
	}
	return NULL;
}

static inline void on_deliver(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	for (size_t i = 0; i < broker.letters_count; i++) {
		struct delivery *d = broker.deliveries[i];

		broker.deliveries[i] = NULL;
		if (d)
			d->done(d, broker.delivery_error);
	}
}

bool publish_dead_letter(struct publisher *p, const struct dead_letter *l, struct delivery *d)
{
	(void)p;
	assert_true(broker.letters_count < LETTERS_MAX);
	broker.letters[broker.letters_count] = *l;
	broker.letters[broker.letters_count].reason = strdup(l->reason);
	broker.deliveries[broker.letters_count++] = d;
	return true;
}

/* ---- The world ---- */

struct world {
	struct database db;
	struct ev_loop *loop;
	struct config *cfg;
	struct msg_codec *codec;
	struct recorder *recorder;
	struct written *written;
};

static inline void world_init(struct world *w, const char *test)
{
	struct buf errors, url;

	database_init(&w->db, test);
	migrate(w->db.admin);
	memset(&broker, 0, sizeof(broker));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
	broker.names = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	assert_non_null(broker.names);
	broker.burst = 1000;
	for (size_t t = 0; t < TOPICS; t++) {
		struct kafka_log *l = &broker.logs[t];

		snprintf(l->name, sizeof(l->name), "test.%s",
			 msg_type_info(recorded_types[t])->topic_suffix);
		l->handle = rd_kafka_topic_new(broker.names, l->name, NULL);
		l->stored = -1;
	}
	w->loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer_init(&broker.deliver, on_deliver, 0, 0.002);
	ev_timer_start(w->loop, &broker.deliver);
	buf_init(&errors, 4096);
	buf_init(&url, 4096);
	buf_addf(&url, "DATABASE_URL=postgresql://%s:%s@%s:%s/%s", PQuser(w->db.admin),
		 PQpass(w->db.admin), PQhost(w->db.admin), PQport(w->db.admin), w->db.name);
	const char *environment[] = {url.data, "RECORD_BATCH_MAX=50", "KAFKA_BROKERS=127.0.0.1:1",
				     "TOPIC_PREFIX=test.", NULL};
	w->cfg = config_load(CONFIG_CONSUMER, environment, &errors);
	if (!w->cfg)
		fail_msg("%s", errors.data);
	buf_release(&errors);
	buf_release(&url);
	w->codec = msg_codec_new();
	w->written = written_new();
	assert_true(w->codec && w->written);
	w->recorder = NULL;
}

static inline void world_start(struct world *w)
{
	const struct recorder_options o = {.cfg = w->cfg,
					   .codec = w->codec,
					   .written = w->written,
					   .worker = "test/1",
					   .clock = clock_system()};
	struct buf error;

	buf_init(&error, 1000);
	w->recorder = recorder_new(w->loop, &o, &error);
	assert_non_null(w->recorder);
	buf_release(&error);
}

/* The recorder's; it connects again. */
static inline void end_connections(struct world *w)
{
	sql_run(w->db.admin, "select pg_terminate_backend(pid) from pg_stat_activity where "
			     "application_name = 'carillon-consumer record' and datname = "
			     "current_database()");
}

static inline void world_stop(struct world *w)
{
	recorder_free(w->recorder);
	w->recorder = NULL;
}

/* Empties Kafka and what the recorder wrote; the recorder must be stopped. */
static inline void broker_clear(void)
{
	for (size_t t = 0; t < TOPICS; t++) {
		struct kafka_log *l = &broker.logs[t];

		for (int64_t i = 0; i < l->end; i++)
			free(l->messages[i].payload);
		l->end = l->read = 0;
		l->stored = -1;
	}
	for (size_t i = 0; i < broker.letters_count; i++)
		free((void *)(uintptr_t)broker.letters[i].reason);
	broker.letters_count = 0;
}

static inline void world_release(struct world *w)
{
	world_stop(w);
	broker_clear();
	for (size_t t = 0; t < TOPICS; t++)
		rd_kafka_topic_destroy(broker.logs[t].handle);
	rd_kafka_destroy(broker.names);
	ev_timer_stop(w->loop, &broker.deliver);
	ev_loop_destroy(w->loop);
	msg_codec_free(w->codec);
	config_free(w->cfg);
	database_release(&w->db);
	written_free(w->written);
}

static inline void push_bytes(enum msg_type type, const void *bytes, size_t n)
{
	for (size_t t = 0; t < TOPICS; t++) {
		struct kafka_log *l = &broker.logs[t];

		if (recorded_types[t] != type)
			continue;
		assert_true(l->end < LOG_MAX);
		void *payload = malloc(n + 1);
		assert_non_null(payload);
		memcpy(payload, bytes, n);
		l->messages[l->end] = (rd_kafka_message_t){
			.rkt = l->handle, .payload = payload, .len = n, .offset = l->end};
		l->end++;
		return;
	}
	fail_msg("not a recorded type");
}

static inline void push(struct world *w, const struct msg *m)
{
	struct buf value;

	buf_init(&value, 1 << 20);
	assert_int_equal(msg_encode(w->codec, m, &value), 0);
	push_bytes(m->type, value.data, value.len);
	buf_release(&value);
}

/* All that was pushed is applied and stored. */
static inline bool all_recorded(void)
{
	for (size_t t = 0; t < TOPICS; t++) {
		if (broker.logs[t].end > 0 && broker.logs[t].stored != broker.logs[t].end)
			return false;
	}
	return true;
}

static inline void run_for(struct world *w, double seconds)
{
	ev_tstamp until = ev_time() + seconds;

	while (ev_time() < until)
		ev_run(w->loop, EVRUN_ONCE);
}

static inline void run_until_recorded(struct world *w)
{
	ev_tstamp until = ev_time() + WAIT_S;

	while (!all_recorded()) {
		if (ev_time() > until)
			fail_msg("not recorded in %.0f s", WAIT_S);
		ev_run(w->loop, EVRUN_ONCE);
	}
}

/* Runs until the query's value is "t". */
static inline void run_until(struct world *w, const char *sql)
{
	ev_tstamp until = ev_time() + WAIT_S;

	for (;;) {
		char *value = sql_value(w->db.admin, sql);
		bool yes = strcmp(value, "t") == 0;

		free(value);
		if (yes)
			return;
		if (ev_time() > until)
			fail_msg("never true: %s", sql);
		run_for(w, 0.02);
	}
}

static inline void assert_sql(struct world *w, const char *sql, const char *expected)
{
	char *value = sql_value(w->db.admin, sql);

	if (strcmp(value, expected) != 0)
		fail_msg("%s: %s instead of %s", sql, value, expected);
	free(value);
}

static const char forget_sql[] =
	"truncate calls, provider_calls, live, call_reports, call_events, redial_queue, suppressions, transitions, "
	"applied_offsets, dead_letters, follow_ups, leads restart identity cascade";

/* Before each test, and after it. */
static inline int world_begin(struct world *w)
{
	sql_alone(w->db.admin);
	sql_run(w->db.admin, forget_sql);
	written_forget(w->written);
	broker.delivery_error = NULL;
	broker.burst = 1000;
	return 0;
}

static inline int world_end(struct world *w)
{
	world_stop(w);
	broker_clear();
	return 0;
}

/* ---- What is in it ---- */

#define T0 INT64_C(1767600000000) /* 2026-01-05T08:00:00Z */
#define MINUTE INT64_C(60000)

static const char seed_sql[] =
	"insert into accounts (name, provider) values ('vapi', 'vapi'), ('omni', 'omni');";

/* Lead n, its follow-up, and a call to it with the given status; job id 00000000-...-n. */
static inline void seed_call(struct world *w, int lead, int call, const char *account,
			     const char *kind, const char *status)
{
	struct buf sql;

	buf_init(&sql, 4000);
	buf_addf(
		&sql,
		"insert into leads (id, phone, external_id, auto_follow_up) overriding system value "
		"values (%d, '+1212555%04d', case when %d %% 2 = 0 then 'X%d' end, false) "
		"on conflict do nothing;"
		"insert into follow_ups (id, lead_id, kind, status, job_id) overriding system value "
		"values (%d, %d, '%s', 'dialing', '00000000-0000-0000-0000-%012d');"
		"insert into calls (job_id, tenant_id, follow_up_id, kind, lane_id, lead_id, account_id, "
		"provider, phone, attempt, status, worker, due_at, claimed_at) "
		"select job_id, 'default', f.id, f.kind, f.lane_id, f.lead_id, a.id, a.provider, "
		"l.phone_e164, 1, '%s', 'w/1', now(), from_ms(%lld) from follow_ups f, accounts a, leads l "
		"where f.id = %d and a.name = '%s' and l.id = f.lead_id;"
		"insert into live (job_id, tenant_id, phone, lane_id, account_id, follow_up_id, state, "
		"lease_until, next_check_at) select job_id, tenant_id, phone, lane_id, account_id, "
		"follow_up_id, status, now(), now() from calls "
		"where follow_up_id = %d and status in ('dialing', 'unknown', 'undetermined') "
		"on conflict do nothing",
		lead, 100 + lead, lead, lead, call, lead, kind, call, status,
		(long long)(T0 - MINUTE), call, account, call);
	assert_false(sql.failed);
	sql_run(w->db.admin, sql.data);
	buf_release(&sql);
}

struct texts {
	char job[UUID_TEXT_BYTES], provider_call[32], phone[20], event[80];
};

static inline void name_call(struct texts *t, int lead, int call)
{
	snprintf(t->job, sizeof(t->job), "00000000-0000-0000-0000-%012d", call);
	snprintf(t->provider_call, sizeof(t->provider_call), "call-%d", call);
	snprintf(t->phone, sizeof(t->phone), "+1212555%04d", 100 + lead);
}

static inline struct msg accepted_of(const struct texts *t)
{
	return (struct msg){.type = MSG_DISPATCH_RESULT,
			    .result = {.job_id = t->job,
				       .tenant = "default",
				       .account = "vapi",
				       .result = RESULT_ACCEPTED,
				       .provider = "vapi",
				       .provider_call_id = t->provider_call,
				       .http_status = 201,
				       .posted_at = T0,
				       .answered_at = T0 + 200,
				       .retry_at = MSG_NO_TIME}};
}

static inline struct msg event_of(struct texts *t, enum event_type type, int64_t at,
				  const char *outcome)
{
	snprintf(t->event, sizeof(t->event), "%s-%s-%lld", t->provider_call, event_type_text(type),
		 (long long)at);
	return (struct msg){.type = MSG_CALL_EVENT,
			    .event = {.event_id = t->event,
				      .tenant = "default",
				      .provider = "vapi",
				      .account = "vapi",
				      .type = type,
				      .job_id = t->job,
				      .provider_call_id = t->provider_call,
				      .phone = t->phone,
				      .outcome = outcome,
				      .success = MSG_NO_INT,
				      .callback_at = MSG_NO_TIME,
				      .duration_ms = MSG_NO_INT,
				      .occurred_at = at,
				      .received_at = at + 50,
				      .cost_micros = MSG_NO_INT}};
}

static inline struct msg redial_of(struct texts *t, enum redial_action action, int64_t at,
				   const char *outcome)
{
	snprintf(t->event, sizeof(t->event), "%s-%lld#redial", t->provider_call, (long long)at);
	return (struct msg){.type = MSG_REDIAL_UPDATE,
			    .redial = {.event_id = t->event,
				       .tenant = "default",
				       .account = "vapi",
				       .provider = "vapi",
				       .provider_call_id = t->provider_call,
				       .job_id = t->job,
				       .phone = t->phone,
				       .action = action,
				       .outcome = outcome,
				       .ended_at = at,
				       .callback_at = action == REDIAL_CALLBACK ? at + 90 * MINUTE
										: MSG_NO_TIME}};
}

static inline struct msg stage_of(struct texts *t, const char *to, int64_t at)
{
	snprintf(t->event, sizeof(t->event), "%s-%lld#stage", t->provider_call, (long long)at);
	return (struct msg){.type = MSG_STAGE_TRANSITION,
			    .stage = {.event_id = t->event,
				      .tenant = "default",
				      .account = "vapi",
				      .provider = "vapi",
				      .provider_call_id = t->provider_call,
				      .job_id = t->job,
				      .phone = t->phone,
				      .entity = ENTITY_LEAD,
				      .to = to,
				      .reason = "SALE",
				      .at = at}};
}

/* The world of a test program, and what its tests begin and end with. */
#define RECORDER_WORLD(name)                                                                       \
	static struct world world;                                                                 \
	static int set_up(void **state)                                                            \
	{                                                                                          \
		(void)state;                                                                       \
		world_init(&world, name);                                                          \
		sql_run(world.db.admin, seed_sql);                                                 \
		return 0;                                                                          \
	}                                                                                          \
	static int tear_down(void **state)                                                         \
	{                                                                                          \
		(void)state;                                                                       \
		world_release(&world);                                                             \
		return 0;                                                                          \
	}                                                                                          \
	static inline int begin(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		return world_begin(&world);                                                        \
	}                                                                                          \
	static inline int end(void **state)                                                        \
	{                                                                                          \
		(void)state;                                                                       \
		return world_end(&world);                                                          \
	}

#endif
