/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dispatcher with a real PostgreSQL, a provider of raw sockets, a clock that can be moved and a
 * Kafka made of memory. Defines what the dispatcher and the reconciler call of common/kafka.h and
 * consumer/publisher.h.
 */
#ifndef CARILLON_TESTS_DISPATCHER_WORLD_H
#define CARILLON_TESTS_DISPATCHER_WORLD_H

#include "common/msg.h"
#include "consumer/dispatcher_internal.h"
#include "consumer/reconciler.h"
#include "consumer_sql.h"

#include "tests/unit/database_migrated.h"
#include "tests/unit/provider_fixture.h"

#define MESSAGES_MAX 64
#define SAID_MAX 64
#define WAIT_S 15.0
#define SLOTS 4
#define TOPIC "test.calls.dispatch.requested.v1"
#define SAID_TOPIC "said"

/* ---- Kafka in memory: one topic of one partition to read, and what was published ---- */

struct kafka_consumer {
	struct kafka_consumer_options o;
	struct ev_loop *loop;
	ev_timer poll;
	bool stopped;
};

struct said {
	enum msg_type type;
	enum dispatch_result result;
	char job_id[UUID_TEXT_BYTES];
	char error[PROVIDER_ERROR_BYTES];
	char provider_call_id[PROVIDER_CALL_ID_BYTES];
	int64_t retry_at;
	struct delivery *delivery; /* NULL: told */
};

static struct {
	rd_kafka_message_t messages[MESSAGES_MAX];
	int64_t end, read, stored;
	char group[KAFKA_GROUP_BYTES];
	struct said said[SAID_MAX];
	size_t said_count;
	size_t letters;
	struct delivery *letter;
	bool full;	   /* nothing is taken */
	bool deaf;	   /* nothing is acknowledged */
	const char *error; /* of what is delivered */
	ev_timer deliver;
} broker;

static inline void on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct kafka_consumer *c = w->data;

	(void)loop;
	(void)revents;
	while (!c->stopped && broker.read < broker.end) {
		if (!c->o.on_message(c->o.arg, &broker.messages[broker.read]))
			c->stopped = true;
		else
			broker.read++;
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
	snprintf(broker.group, sizeof(broker.group), "%s", o->group_id);
	ev_timer_init(&c->poll, on_poll, 0, 0.001);
	c->poll.data = c;
	ev_timer_start(loop, &c->poll);
	return c;
}

void kafka_consumer_resume(struct kafka_consumer *c)
{
	c->stopped = false;
}

void kafka_consumer_store(struct kafka_consumer *c, const char *topic, int32_t partition,
			  int64_t next_offset)
{
	(void)c;
	assert_string_equal(topic, TOPIC);
	assert_int_equal(partition, 0);
	broker.stored = next_offset;
}

bool kafka_consumer_ready(const struct kafka_consumer *c)
{
	return c != NULL;
}

int64_t kafka_consumer_lag(const struct kafka_consumer *c)
{
	(void)c;
	return 0;
}

void kafka_consumer_free(struct kafka_consumer *c)
{
	if (!c)
		return;
	ev_timer_stop(c->loop, &c->poll);
	free(c);
}

const char *kafka_header_text(const rd_kafka_message_t *m, const char *name, size_t *ret_bytes)
{
	(void)m;
	(void)name;
	*ret_bytes = 0;
	return NULL;
}

void kafka_headers_pack(const rd_kafka_message_t *m, struct buf *packed)
{
	(void)m;
	buf_add(packed, "ce_id\0seven", sizeof("ce_id\0seven"));
}

const char *publisher_topic(const struct publisher *p, enum msg_type type)
{
	(void)p;
	return type == MSG_DISPATCH_REQUESTED ? TOPIC : SAID_TOPIC;
}

bool publisher_is_ready(const struct publisher *p)
{
	(void)p;
	return true;
}

bool publish(struct publisher *p, const struct msg *m, const char *traceparent, struct delivery *d)
{
	struct said *s = &broker.said[broker.said_count];

	(void)p;
	(void)traceparent;
	if (broker.full)
		return false;
	assert_true(broker.said_count++ < SAID_MAX);
	*s = (struct said){.type = m->type, .delivery = d, .retry_at = MSG_NO_TIME};
	if (m->type != MSG_DISPATCH_RESULT)
		return true;
	const struct msg_dispatch_result *r = &m->result;
	s->result = r->result;
	s->retry_at = r->retry_at;
	snprintf(s->job_id, sizeof(s->job_id), "%s", r->job_id);
	snprintf(s->error, sizeof(s->error), "%s", r->error ? r->error : "");
	snprintf(s->provider_call_id, sizeof(s->provider_call_id), "%s",
		 r->provider_call_id ? r->provider_call_id : "");
	return true;
}

void dead_letter_of(const rd_kafka_message_t *m, const char *reason, struct dead_letter *ret)
{
	*ret = (struct dead_letter){.partition = m->partition,
				    .offset = m->offset,
				    .value_bytes = m->len,
				    .reason = reason};
}

bool publish_dead_letter(struct publisher *p, const struct dead_letter *l, struct delivery *d)
{
	(void)p;
	if (broker.full)
		return false;
	assert_memory_equal(l->headers, "ce_id\0seven", l->headers_bytes);
	broker.letters++;
	broker.letter = d;
	return true;
}

static inline void on_deliver(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct delivery *letter = broker.letter;

	(void)loop;
	(void)w;
	(void)revents;
	if (broker.deaf)
		return;
	broker.letter = NULL;
	if (letter)
		letter->done(letter, broker.error);
	for (size_t i = 0; i < broker.said_count; i++) {
		struct delivery *d = broker.said[i].delivery;

		broker.said[i].delivery = NULL;
		if (d)
			d->done(d, broker.error);
	}
}

/* ---- The world ---- */

struct world {
	struct database db;
	struct ev_loop *loop;
	struct config *cfg;
	struct msg_codec *codec;
	struct provider provider;
	struct clock clock;
	int64_t ahead_ms; /* of both of the clock's times */
	struct pg *watch;
	struct reference *reference;
	struct stop_feed *feed;
	struct written *written;
	struct dispatcher *dispatcher; /* or */
	struct reconciler *reconciler;
};

static inline int64_t moved_wall_ms(void *arg)
{
	return clock_wall_ms(clock_system()) + ((const struct world *)arg)->ahead_ms;
}

static inline int64_t moved_boot_ms(void *arg)
{
	return clock_boot_ms(clock_system()) + ((const struct world *)arg)->ahead_ms;
}

static inline void system_random(void *arg, void *ret_bytes, size_t n)
{
	(void)arg;
	clock_system()->random(clock_system()->arg, ret_bytes, n);
}

static inline void on_watch_state(void *arg, bool up, const char *reason)
{
	struct world *w = arg;

	(void)reason;
	if (!up)
		return;
	reference_refresh(w->reference);
	stop_feed_refresh(w->feed);
}

static inline void load_config(struct world *w)
{
	char url[512], vapi[64], omni[64];
	const char *environment[] = {url,
				     vapi,
				     omni,
				     "KAFKA_BROKERS=127.0.0.1:1",
				     "TOPIC_PREFIX=test.",
				     "WORKER_NAME=unit",
				     "ALLOW_INSECURE_PROVIDERS=true",
				     "VAPI_API_KEY=key-of-vapi",
				     "VAPI_ASSISTANT_ID=a",
				     "VAPI_PHONE_NUMBER_ID=p",
				     "OMNI_API_KEY=k",
				     "OMNI_AGENT_ID=7",
				     "HTTP_SLOTS=4",
				     "PROVIDER_TIMEOUT_S=1",
				     "SWEEP_INTERVAL_S=1",
				     "LIST_LAG_S=0",
				     NULL};
	struct buf errors;

	snprintf(url, sizeof(url), "DATABASE_URL=postgresql://%s:%s@%s:%s/%s", PQuser(w->db.admin),
		 PQpass(w->db.admin), PQhost(w->db.admin), PQport(w->db.admin), w->db.name);
	snprintf(vapi, sizeof(vapi), "VAPI_BASE_URL=http://127.0.0.1:%u", w->provider.port);
	snprintf(omni, sizeof(omni), "OMNI_BASE_URL=http://127.0.0.1:%u", w->provider.port);
	buf_init(&errors, 4096);
	w->cfg = config_load(CONFIG_CONSUMER, environment, &errors);
	if (!w->cfg)
		fail_msg("%s", errors.data);
	buf_release(&errors);
}

static const char world_sql[] =
	"update settings set value = '{\"start\": \"00:00\", \"end\": \"24:00\"}' where key = 'lead_window';"
	"insert into accounts (name, provider, source) values "
	"('vapi', 'vapi', 'environment'), ('omni', 'omni', 'environment');"
	"update lanes set account_id = (select id from accounts where name = 'vapi')";

static inline void world_init(struct world *w, const char *test)
{
	memset(w, 0, sizeof(*w));
	memset(&broker, 0, sizeof(broker));
	broker.stored = -1;
	database_init(&w->db, test);
	migrate(w->db.admin);
	sql_run(w->db.admin, world_sql);
	w->loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer_init(&broker.deliver, on_deliver, 0, 0.002);
	ev_timer_start(w->loop, &broker.deliver);
	provider_init(&w->provider, w->loop);
	w->clock = (struct clock){.wall_ms = moved_wall_ms,
				  .boot_ms = moved_boot_ms,
				  .random = system_random,
				  .arg = w};
	load_config(w);
	w->codec = msg_codec_new();
	const struct pg_options po = {
		.url = config_str(w->cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "watch",
		.stmts = consumer_stmts,
		.stmts_count = CONSUMER_STMT_COUNT,
		.max_batches = 128,
		.on_state = on_watch_state,
		.arg = w,
		.clock = clock_system(),
	};
	w->watch = pg_new(w->loop, &po);
	w->reference = reference_new(w->loop, w->watch, w->cfg);
	w->feed = stop_feed_new(w->loop, w->watch, 60, &w->clock);
	w->written = written_new();
	assert_true(w->codec && w->reference && w->feed && w->written);
}

static inline void world_dispatch(struct world *w)
{
	const struct dispatcher_options o = {
		.cfg = w->cfg,
		.codec = w->codec,
		.reference = w->reference,
		.stop_feed = w->feed,
		.written = w->written,
		.worker = "unit/1",
		.clock = &w->clock,
	};
	struct buf error;

	buf_init(&error, 1000);
	w->dispatcher = dispatcher_new(w->loop, &o, &error);
	assert_non_null(w->dispatcher);
	buf_release(&error);
}

static inline void world_release(struct world *w)
{
	dispatcher_free(w->dispatcher);
	written_free(w->written);
	pg_free(w->watch);
	reconciler_free(w->reconciler);
	stop_feed_free(w->feed);
	reference_free(w->reference);
	provider_release(&w->provider);
	for (int64_t i = 0; i < broker.end; i++)
		free(broker.messages[i].payload);
	ev_timer_stop(w->loop, &broker.deliver);
	ev_loop_destroy(w->loop);
	msg_codec_free(w->codec);
	config_free(w->cfg);
	database_release(&w->db);
}

/* ---- Running it ---- */

#define RUN_UNTIL(w, condition)                                                                    \
	do {                                                                                       \
		ev_tstamp until_ = ev_time() + WAIT_S;                                             \
		while (!(condition)) {                                                             \
			if (ev_time() > until_)                                                    \
				fail_msg("never came: %s", #condition);                            \
			ev_run((w)->loop, EVRUN_ONCE);                                             \
		}                                                                                  \
	} while (0)

static inline void run_for(struct world *w, double seconds)
{
	ev_tstamp until = ev_time() + seconds;

	while (ev_time() < until)
		ev_run(w->loop, EVRUN_ONCE);
}

static inline bool sql_is(struct world *w, const char *sql, const char *expected)
{
	char *value = sql_value(w->db.admin, sql);
	bool same = strcmp(value, expected) == 0;

	free(value);
	return same;
}

static inline void assert_sql(struct world *w, const char *sql, const char *expected)
{
	char *value = sql_value(w->db.admin, sql);

	if (strcmp(value, expected) != 0)
		fail_msg("%s: %s instead of %s", sql, value, expected);
	free(value);
}

/* Nothing under way, and all that was said is written and acknowledged. */
static inline bool is_idle(const struct world *w)
{
	const struct dispatcher *d = w->dispatcher;

	return broker.read == broker.end && d->pool.counts[JOB_FREE] == d->pool.n &&
	       !d->batch_out && d->results_out == 0;
}

/* Commits of what does this are confirmed by no standby. */
static inline void leave_unconfirmed(struct world *w, const char *what)
{
	char sql[500];

	snprintf(sql, sizeof(sql),
		 "create function unconfirmed() returns trigger language plpgsql as $$ begin "
		 "raise warning 'canceling wait for synchronous replication due to user request'; "
		 "return null; end $$; create trigger unconfirmed after %s "
		 "for each statement execute function unconfirmed()",
		 what);
	sql_run(w->db.admin, sql);
}

/* ---- What is in it ---- */

static inline void job_name(int n, char ret_id[UUID_TEXT_BYTES])
{
	snprintf(ret_id, UUID_TEXT_BYTES, "01890a5d-ac96-774b-bcce-%012d", n);
}

static inline void push_bytes(const void *bytes, size_t n)
{
	assert_true(broker.end < MESSAGES_MAX);
	void *payload = malloc(n);
	assert_non_null(payload);
	memcpy(payload, bytes, n);
	broker.messages[broker.end] =
		(rd_kafka_message_t){.payload = payload, .len = n, .offset = broker.end};
	broker.end++;
}

/* The message for job n; its follow-up is another thing. */
static inline void push_job(struct world *w, int n, const char *account)
{
	char id[UUID_TEXT_BYTES], follow_up[16], phone[PHONE_BYTES];
	struct buf value;

	job_name(n, id);
	snprintf(follow_up, sizeof(follow_up), "%d", n);
	snprintf(phone, sizeof(phone), "+1212555%04d", 100 + n);
	const struct msg m = {.type = MSG_DISPATCH_REQUESTED,
			      .requested = {.job_id = id,
					    .follow_up_id = follow_up,
					    .tenant = "default",
					    .kind = "follow_up",
					    .lead_id = follow_up,
					    .phone = phone,
					    .account = account,
					    .attempt = 1,
					    .due_at = clock_wall_ms(clock_system()),
					    .dial_by = MSG_NO_TIME}};
	buf_init(&value, 1 << 16);
	assert_int_equal(msg_encode(w->codec, &m, &value), 0);
	push_bytes(value.data, value.len);
	buf_release(&value);
}

/* Lead n and its follow-up, queued under job n. */
static inline void seed_queued(struct world *w, int n, const char *account)
{
	char id[UUID_TEXT_BYTES], sql[1024];

	job_name(n, id);
	snprintf(
		sql, sizeof(sql),
		"insert into leads (id, phone, time_zone, auto_follow_up) overriding system value "
		"values (%d, '+1212555%04d', 'America/New_York', false) on conflict do nothing;"
		"with claim as (insert into claims (lane_id, producer, jobs, lease_s, lease_until) "
		"select id, 'test', 1, 300, now() + interval '5 minutes' from lanes "
		"where tenant_id = 'default' and name = 'follow_ups' returning id, lease_until) "
		"insert into follow_ups (id, lead_id, status, job_id, claim_id, lease_until, account_id) "
		"overriding system value select %d, %d, 'queued', '%s', claim.id, claim.lease_until, "
		"a.id from accounts a, claim where a.name = '%s'",
		n, 100 + n, n, n, id, account);
	sql_run(w->db.admin, sql);
}

static inline void seed_job(struct world *w, int n, const char *account)
{
	seed_queued(w, n, account);
	push_job(w, n, account);
}

/* ---- What was said, and what is written ---- */

/* The one thing that was said of job n. */
static inline const struct said *said_of(int n)
{
	const struct said *found = NULL;
	char id[UUID_TEXT_BYTES];

	job_name(n, id);
	for (size_t i = 0; i < broker.said_count; i++) {
		if (strcmp(broker.said[i].job_id, id) != 0)
			continue;
		assert_null(found);
		found = &broker.said[i];
	}
	if (!found)
		fail_msg("nothing was said of job %d", n);
	return found;
}

static inline void assert_said(int n, enum dispatch_result result)
{
	assert_string_equal(dispatch_result_text(said_of(n)->result), dispatch_result_text(result));
}

static const char status_sql[] =
	"select f.status || ' ' || coalesce(c.status, 'none') || ' ' || coalesce(v.state, 'none') "
	"from follow_ups f left join calls c on c.follow_up_id = f.id "
	"left join live v on v.follow_up_id = f.id where f.id = 1";

/* ---- Each test with its own ---- */

static inline int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	world_init(w, "dispatch");
	world_dispatch(w);
	RUN_UNTIL(w, dispatcher_is_ready(w->dispatcher) && stop_feed_is_fresh(w->feed) &&
			     reference_is_ready(w->reference));
	*state = w;
	return 0;
}

static inline int free_world(void **state)
{
	world_release(*state);
	free(*state);
	return 0;
}

#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, make_world, free_world)

#endif
