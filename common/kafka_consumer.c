/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group member on the loop. Two things make it more than a poll:
 *
 * A member that does not poll is thrown out of its group, yet a caller that is full can take no
 * more. So short back-pressure just stops polling and keeps the message that was refused; when it
 * lasts, the partitions are paused (librdkafka drops what it fetched ahead and fetches it again
 * later) and polling goes on. Resuming a partition that is not paused rewinds it (librdkafka
 * #4636), hence the exact account of what is.
 *
 * A fatal error (a broker that was away too long can fence a static member by its own former self)
 * ends librdkafka's client for good; a new one takes its place a little later.
 *
 * Assignments are eager: each takes all partitions away before it gives new ones. Cooperative ones
 * lose messages in librdkafka 2.0 (#4059, #4908).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/fail_point.h"
#include "common/kafka_internal.h"

#define TICK_S 1.0
#define PAUSE_AFTER_S 5.0
#define MESSAGES_PER_TURN 1000 /* then the rest of the loop has its turn */
#define CLOSE_TIMEOUT_S 5.0
#define DESTROY_TIMEOUT_MS 2000
#define HELD_MAX 16
#define TOPICS_MAX 16
#define REOPEN_AFTER_S 3.0 /* a fatal error */
#define DEAD_CLOSE_TIMEOUT_S 0.5
#define MAX_POLL_MS 300000
#define IDLE_FETCH_MS 100

struct kafka_consumer {
	struct ev_loop *loop;
	struct kafka_consumer_options o;
	const char *topics[TOPICS_MAX + 1];
	rd_kafka_t *rk; /* NULL: to be made anew */
	bool dead;	/* a client that had a fatal error does nothing any more */
	ev_tstamp dead_at;
	struct kafka_wake wake;
	ev_timer tick;
	bool joined;
	bool connected;

	/* The assignment, also while on_assign's answer is awaited. */
	rd_kafka_topic_partition_list_t *assigned;
	struct kafka_partition *parts;
	bool deferred;

	/* Back-pressure: what was refused, or came while stopped, in order. */
	bool stopped;
	ev_tstamp stopped_at;
	rd_kafka_topic_partition_list_t *paused; /* NULL: none */
	rd_kafka_message_t *held[HELD_MAX];
	size_t held_count;
	const rd_kafka_message_t *current; /* in on_message */
	bool current_dropped;		   /* by a seek in it */
	char last_trouble[256];		   /* of a single broker */
};

static void report(struct kafka_consumer *c, const char *reason, bool fatal)
{
	if (fatal) {
		c->joined = false;
		c->dead = true;
		c->dead_at = ev_now(c->loop);
	}
	if (c->o.on_error)
		c->o.on_error(c->o.arg, reason, fatal);
}

/* ---- Back-pressure ---- */

static void resume_paused(struct kafka_consumer *c)
{
	if (!c->paused)
		return;
	rd_kafka_resume_partitions(c->rk, c->paused);
	rd_kafka_topic_partition_list_destroy(c->paused);
	c->paused = NULL;
}

static void pause_assigned(struct kafka_consumer *c)
{
	if (rd_kafka_assignment(c->rk, &c->paused) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		c->paused = NULL;
		return;
	}
	rd_kafka_pause_partitions(c->rk, c->paused);
}

static bool is_of(const rd_kafka_message_t *m, const char *topic, int32_t partition)
{
	return m->partition == partition && strcmp(rd_kafka_topic_name(m->rkt), topic) == 0;
}

/* Forgets what is held of a partition; topic NULL: of all. */
static void drop_held(struct kafka_consumer *c, const char *topic, int32_t partition)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->held_count; i++) {
		if (!topic || is_of(c->held[i], topic, partition))
			rd_kafka_message_destroy(c->held[i]);
		else
			c->held[kept++] = c->held[i];
	}
	c->held_count = kept;
	if (c->current && (!topic || is_of(c->current, topic, partition)))
		c->current_dropped = true;
}

/* Gives a message to the caller; false if it was refused. It stays ours. */
static bool offer(struct kafka_consumer *c, rd_kafka_message_t *m)
{
	c->current = m;
	c->current_dropped = false;
	fail_point_of(FAIL_KAFKA_READ, rd_kafka_topic_name(m->rkt));
	bool taken = c->o.on_message(c->o.arg, m);
	c->current = NULL;
	c->connected = true;
	if (!taken) {
		c->stopped = true;
		c->stopped_at = ev_now(c->loop);
	}
	return taken || c->current_dropped;
}

static rd_kafka_message_t *take_first_held(struct kafka_consumer *c)
{
	rd_kafka_message_t *m = c->held[0];

	c->held_count--;
	for (size_t i = 0; i < c->held_count; i++)
		c->held[i] = c->held[i + 1];
	return m;
}

static void put_back_held(struct kafka_consumer *c, rd_kafka_message_t *m)
{
	for (size_t i = c->held_count; i > 0; i--)
		c->held[i] = c->held[i - 1];
	c->held[0] = m;
	c->held_count++;
}

static void offer_held(struct kafka_consumer *c)
{
	while (c->held_count > 0 && !c->stopped) {
		/* Off the list first: a seek in the callback may shorten it. */
		rd_kafka_message_t *m = take_first_held(c);
		if (offer(c, m))
			rd_kafka_message_destroy(m);
		else
			put_back_held(c, m);
	}
}

/* ---- Polling ---- */

static void take(struct kafka_consumer *c, rd_kafka_message_t *m)
{
	if (m->err) {
		report(c, rd_kafka_message_errstr(m), m->err == RD_KAFKA_RESP_ERR__FATAL);
		if (m->err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
			c->joined = false;
	} else if (c->stopped || !offer(c, m)) {
		c->held[c->held_count++] = m;
		return;
	}
	rd_kafka_message_destroy(m);
}

static void serve(struct kafka_consumer *c)
{
	offer_held(c);
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		if (c->dead || (c->stopped && !c->paused) || c->held_count == HELD_MAX)
			return; /* resume or the tick goes on */
		rd_kafka_message_t *m = rd_kafka_consumer_poll(c->rk, 0);
		if (!m)
			return;
		take(c, m);
	}
	kafka_wake_poke(&c->wake);
}

static void on_wake(struct ev_loop *loop, ev_io *w, int revents)
{
	struct kafka_consumer *c = w->data;

	(void)loop;
	(void)revents;
	kafka_wake_clear(&c->wake);
	serve(c);
}

static void reopen(struct kafka_consumer *c);

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct kafka_consumer *c = w->data;

	(void)revents;
	if (c->dead) {
		if (ev_now(loop) - c->dead_at >= REOPEN_AFTER_S)
			reopen(c);
		return;
	}
	if (c->stopped && !c->paused && ev_now(loop) - c->stopped_at >= PAUSE_AFTER_S)
		pause_assigned(c);
	serve(c);
	if (!c->connected)
		c->connected = kafka_client_connected(c->rk);
}

/* ---- Assignments ---- */

static struct kafka_partition *parts_of(const rd_kafka_topic_partition_list_t *list)
{
	struct kafka_partition *parts = calloc((size_t)list->cnt + 1, sizeof(*parts));

	if (!parts)
		abort();
	for (int i = 0; i < list->cnt; i++)
		parts[i] = (struct kafka_partition){.topic = list->elems[i].topic,
						    .partition = list->elems[i].partition,
						    .offset = RD_KAFKA_OFFSET_INVALID};
	return parts;
}

static void forget_assignment(struct kafka_consumer *c)
{
	if (c->assigned)
		rd_kafka_topic_partition_list_destroy(c->assigned);
	free(c->parts);
	c->assigned = NULL;
	c->parts = NULL;
	c->deferred = false;
}

/* Starts reading where `parts`, which are those of c->assigned in the same order, say. */
static void begin(struct kafka_consumer *c, const struct kafka_partition *parts)
{
	c->deferred = false;
	for (int i = 0; i < c->assigned->cnt; i++)
		c->assigned->elems[i].offset = parts[i].offset;
	rd_kafka_resp_err_t err = rd_kafka_assign(c->rk, c->assigned);
	if (err)
		report(c, rd_kafka_err2str(err), false);
}

static void given(struct kafka_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	size_t n = (size_t)list->cnt;

	forget_assignment(c);
	c->assigned = rd_kafka_topic_partition_list_copy(list);
	c->parts = parts_of(c->assigned);
	c->joined = c->connected = true;
	c->deferred = true;
	bool at_once = !c->o.on_assign || n == 0 || c->o.on_assign(c->o.arg, c->parts, n);
	if (at_once && c->deferred)
		begin(c, c->parts);
}

static void taken_away(struct kafka_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	bool lost = rd_kafka_assignment_lost(c->rk) != 0;

	if (list && list->cnt > 0 && c->o.on_revoke) {
		struct kafka_partition *parts = parts_of(list);
		c->o.on_revoke(c->o.arg, parts, (size_t)list->cnt, lost);
		free(parts);
	}
	if (lost)
		c->joined = false;
	drop_held(c, NULL, 0);
	resume_paused(c);
	forget_assignment(c);
	/* Commits what was stored, unless it is lost. */
	rd_kafka_assign(c->rk, NULL);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
			 rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct kafka_consumer *c = opaque;

	(void)rk;
	if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		given(c, list);
		return;
	}
	taken_away(c, list);
	if (err != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
		report(c, rd_kafka_err2str(err), false);
}

/* A single broker's troubles are told only once none is left: the client goes on with the others.
 */
static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_consumer *c = opaque;
	struct buf text;

	switch (err) {
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__RESOLVE:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
		buf_init_fixed(&text, c->last_trouble, sizeof(c->last_trouble));
		buf_addf(&text, "%.250s", reason);
		break;
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		c->connected = false;
		report(c, c->last_trouble[0] ? c->last_trouble : reason, false);
		break;
	case RD_KAFKA_RESP_ERR__FATAL: {
		char detail[256];
		rd_kafka_fatal_error(rk, detail, sizeof(detail));
		report(c, detail, true);
		break;
	}
	default:
		report(c, reason, false);
		break;
	}
}

/* ---- Public ---- */

static rd_kafka_conf_t *consumer_conf(const struct kafka_consumer_options *o, struct buf *error)
{
	struct kafka_number session = kafka_int(o->session_timeout_ms);
	struct kafka_number heartbeat = kafka_int(o->session_timeout_ms / 3);
	struct kafka_number kbytes = kafka_int((long long)o->max_queued_kbytes);
	struct kafka_number wait = kafka_int(o->gather_ms > 0 ? o->gather_ms : IDLE_FETCH_MS);
	/* May not be less than the session's. */
	struct kafka_number poll = kafka_int(
		o->session_timeout_ms > MAX_POLL_MS ? o->session_timeout_ms : MAX_POLL_MS);
	const struct kafka_property properties[] = {
		{"group.id", o->group_id},
		{"group.instance.id", o->group_instance_id},
		{"auto.offset.reset", "earliest"},
		{"enable.auto.commit", "true"},
		{"auto.commit.interval.ms", "1000"},
		{"enable.auto.offset.store", "false"},
		{"partition.assignment.strategy", "range"},
		{"session.timeout.ms", session.text},
		{"heartbeat.interval.ms", heartbeat.text},
		{"max.poll.interval.ms", poll.text},
		/* A limit that is reached stops fetching for up to a second. */
		{"queued.min.messages", "100000"},
		{"queued.max.messages.kbytes", kbytes.text},
		{"fetch.min.bytes", o->gather_ms > 0 ? "65536" : "1"},
		/* Other requests to a broker wait behind an idle fetch. */
		{"fetch.wait.max.ms", wait.text},
		{"fetch.error.backoff.ms", "100"},
		{"check.crcs", "true"},
		/* A topic that is made after us is found by then. */
		{"topic.metadata.refresh.interval.ms", "5000"},
		{NULL, NULL},
	};
	rd_kafka_conf_t *conf = kafka_conf_new(&o->settings, properties, error);
	char strategy[256] = "";
	size_t size = sizeof(strategy);

	if (conf &&
	    rd_kafka_conf_get(conf, "partition.assignment.strategy", strategy, &size) ==
		    RD_KAFKA_CONF_OK &&
	    strstr(strategy, "cooperative")) {
		buf_adds(error, "partition.assignment.strategy must be range or roundrobin");
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	return conf;
}

static bool subscribe(struct kafka_consumer *c, const char *const *topics, struct buf *error)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);

	for (; *topics; topics++)
		rd_kafka_topic_partition_list_add(list, *topics, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t err = rd_kafka_subscribe(c->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		buf_adds(error, rd_kafka_err2str(err));
	return !err;
}

static bool open_client(struct kafka_consumer *c, struct buf *error)
{
	rd_kafka_conf_t *conf = consumer_conf(&c->o, error);

	if (!conf)
		return false;
	rd_kafka_conf_set_opaque(conf, c);
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	rd_kafka_conf_set_error_cb(conf, on_error);
	c->rk = kafka_client_new(RD_KAFKA_CONSUMER, conf, error);
	rd_kafka_conf_destroy(conf);
	if (!c->rk)
		return false;
	rd_kafka_poll_set_consumer(c->rk);
	kafka_wake_follow(&c->wake, rd_kafka_queue_get_consumer(c->rk));
	return subscribe(c, c->topics, error);
}

/* Revokes, commits and leaves; the callbacks of that come as events of this queue. */
static void leave_group(struct kafka_consumer *c)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(c->rk);
	rd_kafka_error_t *error = rd_kafka_consumer_close_queue(c->rk, queue);
	ev_tstamp until = ev_time() + (c->dead ? DEAD_CLOSE_TIMEOUT_S : CLOSE_TIMEOUT_S);

	while (!error && !rd_kafka_consumer_closed(c->rk) && ev_time() < until) {
		rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 50);
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
			on_rebalance(c->rk, rd_kafka_event_error(event),
				     rd_kafka_event_topic_partition_list(event), c);
		rd_kafka_event_destroy(event);
	}
	if (error)
		rd_kafka_error_destroy(error);
	rd_kafka_queue_destroy(queue);
}

static void close_client(struct kafka_consumer *c)
{
	kafka_wake_follow(&c->wake, NULL);
	drop_held(c, NULL, 0);
	if (!c->rk)
		return;
	leave_group(c);
	if (c->paused)
		rd_kafka_topic_partition_list_destroy(c->paused);
	c->paused = NULL;
	kafka_client_destroy(c->rk, c->dead ? 0 : DESTROY_TIMEOUT_MS);
	c->rk = NULL;
}

static void reopen(struct kafka_consumer *c)
{
	char text[512];
	struct buf error;

	buf_init_fixed(&error, text, sizeof(text));
	if (c->assigned) {
		rd_kafka_topic_partition_list_t *list =
			rd_kafka_topic_partition_list_copy(c->assigned);
		taken_away(c, list);
		rd_kafka_topic_partition_list_destroy(list);
	}
	close_client(c);
	c->connected = false;
	c->stopped = false;
	c->dead = false;
	if (!open_client(c, &error))
		report(c, text, true);
}

rd_kafka_t *kafka_consumer_client(struct kafka_consumer *c)
{
	return c->rk;
}

struct kafka_consumer *kafka_consumer_new(struct ev_loop *loop,
					  const struct kafka_consumer_options *o, struct buf *error)
{
	assert(o->on_message && o->group_id && o->topics && o->topics[0]);
	struct kafka_consumer *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->loop = loop;
	c->o = *o;
	for (size_t i = 0; o->topics[i]; i++) {
		assert(i < TOPICS_MAX);
		c->topics[i] = o->topics[i];
	}
	ev_timer_init(&c->tick, on_tick, TICK_S, TICK_S);
	c->tick.data = c;
	bool good = kafka_wake_init(&c->wake, loop, on_wake, c);
	if (!good)
		buf_adds(error, "no descriptor for a Kafka client");
	if (!good || !open_client(c, error)) {
		kafka_consumer_free(c);
		return NULL;
	}
	ev_timer_start(loop, &c->tick);
	return c;
}

void kafka_consumer_assigned(struct kafka_consumer *c, const struct kafka_partition *parts,
			     size_t n)
{
	if (!c->deferred || n != (size_t)c->assigned->cnt)
		return;
	/* An answer about an assignment before this one is of no use. */
	for (size_t i = 0; i < n; i++) {
		if (parts[i].partition != c->parts[i].partition ||
		    strcmp(parts[i].topic, c->parts[i].topic) != 0)
			return;
	}
	begin(c, parts);
}

void kafka_consumer_resume(struct kafka_consumer *c)
{
	if (!c->stopped)
		return;
	c->stopped = false;
	resume_paused(c);
	kafka_wake_poke(&c->wake);
}

static rd_kafka_topic_partition_list_t *single(const char *topic, int32_t partition, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	return list;
}

void kafka_consumer_store(struct kafka_consumer *c, const char *topic, int32_t partition,
			  int64_t next_offset)
{
	if (!c->rk)
		return;
	rd_kafka_topic_partition_list_t *list = single(topic, partition, next_offset);
	/* Refused for a partition that is no longer ours, which is right. */
	rd_kafka_offsets_store(c->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	fail_point_of(FAIL_KAFKA_STORED, topic);
}

void kafka_consumer_seek(struct kafka_consumer *c, const char *topic, int32_t partition,
			 int64_t offset)
{
	drop_held(c, topic, partition);
	if (!c->rk)
		return;
	rd_kafka_topic_partition_list_t *list = single(topic, partition, offset);
	/* At once: what is queued of the partition is not seen again. The rest runs behind. */
	rd_kafka_error_t *error = rd_kafka_seek_partitions(c->rk, list, 0);
	if (error) {
		report(c, rd_kafka_error_string(error), false);
		rd_kafka_error_destroy(error);
	}
	rd_kafka_topic_partition_list_destroy(list);
}

int64_t kafka_consumer_lag(const struct kafka_consumer *c)
{
	rd_kafka_topic_partition_list_t *at =
		c->rk && c->assigned ? rd_kafka_topic_partition_list_copy(c->assigned) : NULL;
	int64_t lag = 0;

	if (at && rd_kafka_position(c->rk, at) == RD_KAFKA_RESP_ERR_NO_ERROR) {
		for (int i = 0; i < at->cnt; i++) {
			const rd_kafka_topic_partition_t *p = &at->elems[i];
			int64_t low, high;
			if (p->offset >= 0 &&
			    rd_kafka_get_watermark_offsets(c->rk, p->topic, p->partition, &low,
							   &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
			    high > p->offset)
				lag += high - p->offset;
		}
	}
	if (at)
		rd_kafka_topic_partition_list_destroy(at);
	return lag;
}

bool kafka_consumer_range(const struct kafka_consumer *c, const char *topic, int32_t partition,
			  int64_t *ret_start, int64_t *ret_end)
{
	return c->rk &&
	       !rd_kafka_get_watermark_offsets(c->rk, topic, partition, ret_start, ret_end) &&
	       *ret_end >= 0;
}

bool kafka_consumer_ready(const struct kafka_consumer *c)
{
	return c->joined && c->connected;
}

void kafka_consumer_free(struct kafka_consumer *c)
{
	if (!c)
		return;
	ev_timer_stop(c->loop, &c->tick);
	close_client(c);
	kafka_wake_release(&c->wake);
	forget_assignment(c);
	free(c);
}
