/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message is remembered here from kafka_produce() to its one callback. That makes the bound
 * and the count exact, and it lets a client with a fatal error be thrown away at once: its messages
 * are failed from our own list instead of waiting for reports that may never come.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/fail_point.h"
#include "common/kafka_internal.h"

#define TICK_S 1.0
#define TICK_DOUBT_S 0.1 /* while no broker is known to be connected */
#define QUEUE_KBYTES "131072"
/* A batch's and a message's own bytes around the value. */
#define MESSAGE_SLACK_BYTES 65536
#define DESTROY_TIMEOUT_MS 2000

struct sent {
	void *opaque;
	rd_kafka_resp_err_t err; /* of a rejected one */
	struct sent *prev;
	struct sent *next;
};

struct kafka_producer {
	struct ev_loop *loop;
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk; /* NULL if it could not be made again yet */
	struct kafka_wake wake;
	ev_timer tick;
	kafka_delivery_cb *on_delivery;
	void *arg;
	char **topic_names;
	rd_kafka_topic_t **topics;
	size_t topics_count;
	struct sent *pool;
	struct sent *unused;   /* by `next` */
	struct sent *sent;     /* librdkafka has them */
	struct sent *rejected; /* refused for good by kafka_produce(): reported from the loop */
	size_t in_flight;
	bool connected;
	bool metadata;
	bool fatal;
	bool closing;
	char fatal_reason[256];
};

/* ---- Reports ---- */

static void finish(struct kafka_producer *p, struct sent **list, struct sent *s, const char *error)
{
	void *opaque = s->opaque;

	DL_DELETE(*list, s);
	LL_PREPEND(p->unused, s);
	p->in_flight--;
	p->on_delivery(p->arg, opaque, error);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_producer *p = opaque;

	(void)rk;
	if (!m->err)
		p->connected = p->metadata = true;
	bool failed = fail_point_of(FAIL_KAFKA_DELIVERED, rd_kafka_topic_name(m->rkt));
	finish(p, &p->sent, m->_private,
	       m->err	? rd_kafka_err2str(m->err)
	       : failed ? "its acknowledgement is lost"
			: NULL);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct kafka_producer *p = opaque;
	struct buf text;

	(void)reason;
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		p->connected = false;
	if (err != RD_KAFKA_RESP_ERR__FATAL || p->fatal)
		return;
	p->fatal = true;
	buf_init_fixed(&text, p->fatal_reason, sizeof(p->fatal_reason));
	char detail[200];
	rd_kafka_fatal_error(rk, detail, sizeof(detail));
	buf_addf(&text, "fatal: %s", detail);
}

/* ---- The client ---- */

static void client_start(struct kafka_producer *p, struct buf *error)
{
	p->connected = p->metadata = p->fatal = false;
	p->rk = kafka_client_new(RD_KAFKA_PRODUCER, p->conf, error);
	if (!p->rk)
		return;
	/* A handle makes the client fetch the topic's metadata on its own. */
	for (size_t i = 0; i < p->topics_count; i++)
		p->topics[i] = rd_kafka_topic_new(p->rk, p->topic_names[i], NULL);
	kafka_wake_follow(&p->wake, rd_kafka_queue_get_main(p->rk));
}

static void client_stop(struct kafka_producer *p, int timeout_ms)
{
	if (!p->rk)
		return;
	kafka_wake_follow(&p->wake, NULL);
	for (size_t i = 0; i < p->topics_count; i++) {
		if (p->topics[i])
			rd_kafka_topic_destroy(p->topics[i]);
	}
	kafka_client_destroy(p->rk, timeout_ms);
	p->rk = NULL;
}

static void fail_all(struct kafka_producer *p, const char *error)
{
	/* A callback may produce again: only those of now. */
	struct sent *all = p->sent;

	p->sent = NULL;
	while (all)
		finish(p, &all, all, error);
}

static void serve(struct kafka_producer *p)
{
	/* One poll takes all that is there; what its callbacks cause is for the next turn. */
	if (p->rk && rd_kafka_poll(p->rk, 0) > 0)
		kafka_wake_poke(&p->wake);
	struct sent *rejected = p->rejected;
	p->rejected = NULL;
	while (rejected)
		finish(p, &rejected, rejected, rd_kafka_err2str(rejected->err));
	if (p->fatal && !p->closing) {
		client_stop(p, 0);
		client_start(p, NULL);
		fail_all(p, p->fatal_reason);
	}
}

static void on_wake(struct ev_loop *loop, ev_io *w, int revents)
{
	struct kafka_producer *p = w->data;

	(void)loop;
	(void)revents;
	kafka_wake_clear(&p->wake);
	serve(p);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct kafka_producer *p = w->data;

	(void)revents;
	serve(p);
	if (!p->rk)
		client_start(p, NULL);
	if (p->rk && !p->connected)
		p->connected = kafka_client_connected(p->rk);
	if (p->rk && p->connected && !p->metadata) {
		char *id = rd_kafka_clusterid(p->rk, 0); /* known from the first metadata on */
		p->metadata = id != NULL;
		if (id)
			rd_kafka_mem_free(p->rk, id);
	}
	w->repeat = kafka_producer_ready(p) ? TICK_S : TICK_DOUBT_S;
	ev_timer_again(loop, w);
}

/* ---- Public ---- */

static rd_kafka_conf_t *producer_conf(const struct kafka_producer_options *o, struct buf *error)
{
	struct kafka_number timeout = kafka_int(o->message_timeout_ms);
	/* Its count includes what on_delivery is just told of, and may be replaced in there. */
	struct kafka_number messages = kafka_int((long long)o->max_messages * 2);
	struct kafka_number bytes =
		kafka_int((long long)o->max_message_bytes + MESSAGE_SLACK_BYTES);
	char linger[32];
	struct buf text;

	buf_init_fixed(&text, linger, sizeof(linger));
	buf_addf(&text, "%g", o->linger_ms);
	const struct kafka_property properties[] = {
		{"enable.idempotence", "true"},
		{"acks", "all"},
		{"partitioner", "murmur2_random"},
		{"compression.codec", "lz4"},
		{"linger.ms", linger},
		{"message.timeout.ms", timeout.text},
		{"message.max.bytes", bytes.text},
		{"queue.buffering.max.messages", messages.text},
		{"queue.buffering.max.kbytes", QUEUE_KBYTES},
		{NULL, NULL},
	};
	return kafka_conf_new(&o->settings, properties, error);
}

static void copy_topics(struct kafka_producer *p, const char *const *topics)
{
	while (topics && topics[p->topics_count])
		p->topics_count++;
	p->topic_names = calloc(p->topics_count + 1, sizeof(char *));
	p->topics = calloc(p->topics_count + 1, sizeof(rd_kafka_topic_t *));
	if (!p->topic_names || !p->topics)
		abort();
	for (size_t i = 0; i < p->topics_count; i++) {
		p->topic_names[i] = strdup(topics[i]);
		if (!p->topic_names[i])
			abort();
	}
}

struct kafka_producer *kafka_producer_new(struct ev_loop *loop,
					  const struct kafka_producer_options *o, struct buf *error)
{
	assert(o->max_messages > 0 && o->on_delivery);
	rd_kafka_conf_t *conf = producer_conf(o, error);
	if (!conf)
		return NULL;
	struct kafka_producer *p = calloc(1, sizeof(*p));
	struct sent *pool = calloc(o->max_messages, sizeof(*pool));
	if (!p || !pool)
		abort();
	p->loop = loop;
	p->conf = conf;
	p->on_delivery = o->on_delivery;
	p->arg = o->arg;
	p->pool = pool;
	for (size_t i = o->max_messages; i > 0; i--)
		LL_PREPEND(p->unused, &pool[i - 1]);
	copy_topics(p, o->topics);
	rd_kafka_conf_set_opaque(conf, p);
	rd_kafka_conf_set_dr_msg_cb(conf, on_report);
	rd_kafka_conf_set_error_cb(conf, on_error);
	ev_timer_init(&p->tick, on_tick, TICK_DOUBT_S, TICK_DOUBT_S);
	p->tick.data = p;
	if (kafka_wake_init(&p->wake, loop, on_wake, p))
		client_start(p, error);
	else
		buf_adds(error, "no descriptor for a Kafka client");
	if (!p->rk) {
		kafka_producer_free(p, 0);
		return NULL;
	}
	ev_timer_start(loop, &p->tick);
	return p;
}

/* The client takes `headers` over only when it takes the message. */
static rd_kafka_resp_err_t hand_over(struct kafka_producer *p, const struct kafka_message *m,
				     struct sent *s)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(m->headers_count);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;

	for (size_t i = 0; i < m->headers_count && !err; i++)
		err = rd_kafka_header_add(headers, m->headers[i].name, -1, m->headers[i].value, -1);
	if (!err)
		err = rd_kafka_producev(p->rk, RD_KAFKA_V_TOPIC(m->topic),
					RD_KAFKA_V_KEY((void *)m->key, m->key_bytes),
					RD_KAFKA_V_VALUE((void *)m->value, m->value_bytes),
					RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
					RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(s),
					RD_KAFKA_V_END);
	if (err)
		rd_kafka_headers_destroy(headers);
	return err;
}

bool kafka_produce(struct kafka_producer *p, const struct kafka_message *m, void *opaque)
{
	struct sent *s = p->unused;

	if (!s || !p->rk || p->fatal || p->closing)
		return false;
	rd_kafka_resp_err_t err = fail_point_of(FAIL_KAFKA_PRODUCING, m->topic)
					  ? RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
					  : hand_over(p, m, s);
	if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL || err == RD_KAFKA_RESP_ERR__FATAL)
		return false; /* the error callback tells of the fatal one */
	LL_DELETE(p->unused, s);
	p->in_flight++;
	s->opaque = opaque;
	s->err = err;
	if (err) {
		DL_APPEND(p->rejected, s);
		kafka_wake_poke(&p->wake);
	} else {
		DL_APPEND(p->sent, s);
	}
	fail_point_of(FAIL_KAFKA_PRODUCED, m->topic);
	return true;
}

size_t kafka_producer_in_flight(const struct kafka_producer *p)
{
	return p->in_flight;
}

bool kafka_producer_ready(const struct kafka_producer *p)
{
	return p->rk && !p->fatal && p->connected && p->metadata;
}

void kafka_producer_free(struct kafka_producer *p, int timeout_ms)
{
	if (!p)
		return;
	p->closing = true;
	ev_timer_stop(p->loop, &p->tick);
	if (p->rk) {
		if (p->sent && !p->fatal)
			rd_kafka_flush(p->rk, timeout_ms);
		serve(p);
		client_stop(p, DESTROY_TIMEOUT_MS);
	}
	fail_all(p, "not acknowledged before the end");
	kafka_wake_release(&p->wake);
	rd_kafka_conf_destroy(p->conf);
	for (size_t i = 0; i < p->topics_count; i++)
		free(p->topic_names[i]);
	free(p->topic_names);
	free(p->topics);
	free(p->pool);
	free(p);
}
