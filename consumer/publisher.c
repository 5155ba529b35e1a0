/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One producer for all that the consumer says, so that there is one place that decides how a
 * message looks on the wire and one that hears how it went.
 */
#include "consumer/publisher.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/log.h"

#define LINGER_MS 5.0
#define MESSAGE_TIMEOUT_MS 30000
#define MESSAGES_MAX 20000
#define MESSAGE_MAX_BYTES (2u << 20)
#define TOPIC_BYTES 160
#define DLT_SUFFIX "-dlt"
#define DLT_HEADERS 8

struct publisher {
	struct kafka_producer *producer;
	struct msg_codec *codec;
	const struct clock *clock;
	struct buf value;
	char topics[MSG_TYPE_COUNT][TOPIC_BYTES];
};

static void on_delivery(void *arg, void *opaque, const char *error)
{
	struct delivery *d = opaque;

	(void)arg;
	d->done(d, error);
}

struct publisher *publisher_new(struct ev_loop *loop, const struct publisher_options *o,
				struct buf *error)
{
	struct publisher *p = calloc(1, sizeof(*p));
	const char *topics[MSG_TYPE_COUNT + 1] = {NULL};

	if (!p) {
		buf_adds(error, "no memory");
		return NULL;
	}
	p->codec = o->codec;
	p->clock = o->clock;
	buf_init(&p->value, MESSAGE_MAX_BYTES);
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		snprintf(p->topics[t], TOPIC_BYTES, "%s%s",
			 config_str(o->cfg, CONFIG_KEY_TOPIC_PREFIX),
			 msg_type_info((enum msg_type)t)->topic_suffix);
		topics[t] = p->topics[t];
	}
	struct kafka_producer_options ko = {
		.settings = {.brokers = config_str(o->cfg, CONFIG_KEY_KAFKA_BROKERS),
			     .properties_file = config_str(o->cfg, CONFIG_KEY_KAFKA_PROPERTIES),
			     .client_id = o->worker},
		.linger_ms = LINGER_MS,
		.message_timeout_ms = MESSAGE_TIMEOUT_MS,
		.max_messages = MESSAGES_MAX,
		.max_message_bytes = MESSAGE_MAX_BYTES,
		.topics = topics,
		.on_delivery = on_delivery,
		.arg = p,
	};
	p->producer = kafka_producer_new(loop, &ko, error);
	if (!p->producer) {
		publisher_free(p, 0);
		return NULL;
	}
	return p;
}

bool publisher_is_ready(const struct publisher *p)
{
	return kafka_producer_ready(p->producer);
}

void publisher_free(struct publisher *p, int timeout_ms)
{
	if (!p)
		return;
	kafka_producer_free(p->producer, timeout_ms);
	buf_release(&p->value);
	free(p);
}

const char *publisher_topic(const struct publisher *p, enum msg_type type)
{
	return p->topics[type];
}

bool publish(struct publisher *p, const struct msg *m, const char *traceparent, struct delivery *d)
{
	struct msg_envelope e;
	struct kafka_header headers[MSG_HEADERS_MAX];

	buf_clear(&p->value);
	if (msg_encode(p->codec, m, &p->value) != 0) {
		log_error("message.not_encoded", LOG_STR("topic", p->topics[m->type]));
		return false;
	}
	msg_envelope_init(&e, m, "/carillon/consumer", traceparent, p->clock);
	struct kafka_message k = {
		.topic = p->topics[m->type],
		.key = e.key,
		.key_bytes = strlen(e.key),
		.value = p->value.data,
		.value_bytes = p->value.len,
		.headers = headers,
		.headers_count = msg_envelope_headers(&e, headers),
	};
	return kafka_produce(p->producer, &k, d);
}

void dead_letter_of(const rd_kafka_message_t *m, const char *reason, struct dead_letter *ret)
{
	*ret = (struct dead_letter){
		.topic = rd_kafka_topic_name(m->rkt),
		.partition = m->partition,
		.offset = m->offset,
		.key = m->key,
		.key_bytes = m->key_len,
		.value = m->payload,
		.value_bytes = m->len,
		.reason = reason,
	};
	dead_letter_cut(ret);
}

bool is_dead_letter_header(const char *name)
{
	return strncmp(name, "x-dlt-", 6) == 0 || strncmp(name, "kafka_dlt-", 10) == 0;
}

bool publish_dead_letter(struct publisher *p, const struct dead_letter *l, struct delivery *d)
{
	char topic[TOPIC_BYTES + sizeof(DLT_SUFFIX)], partition[16], offset[24];
	struct kafka_header own[KAFKA_HEADERS_MAX];
	struct kafka_header headers[DLT_HEADERS + KAFKA_HEADERS_MAX] = {
		{"x-dlt-reason", l->reason},
		{"x-dlt-topic", l->topic},
		{"x-dlt-partition", partition},
		{"x-dlt-offset", offset},
		{"kafka_dlt-exception-message", l->reason},
		{"kafka_dlt-original-topic", l->topic},
		{"kafka_dlt-original-partition", partition},
		{"kafka_dlt-original-offset", offset},
	};
	struct kafka_message k = {
		.topic = topic,
		.key = l->key,
		.key_bytes = l->key_bytes,
		.value = l->value,
		.value_bytes = l->value_bytes,
		.headers = headers,
		.headers_count = DLT_HEADERS,
	};
	size_t n = kafka_headers_unpack(l->headers, l->headers_bytes, own);

	for (size_t i = 0; i < n; i++) {
		if (!is_dead_letter_header(own[i].name))
			headers[k.headers_count++] = own[i];
	}
	snprintf(topic, sizeof(topic), "%s" DLT_SUFFIX, l->topic);
	snprintf(partition, sizeof(partition), "%" PRId32, l->partition);
	snprintf(offset, sizeof(offset), "%" PRId64, l->offset);
	return kafka_produce(p->producer, &k, d);
}
