/* SPDX-License-Identifier: Apache-2.0 */
/* What a process does with Kafka before its loop turns, and reading headers. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/avro_walk.h"
#include "common/kafka_internal.h"

#define TOPICS_MAX 64
#define DESTROY_TIMEOUT_MS 2000

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- A client that says why it can't reach a broker ---- */

struct visitor {
	rd_kafka_t *rk;
	int64_t until_ms;
	char trouble[256];
};

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct visitor *v = opaque;
	struct buf text;

	(void)rk;
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && v->trouble[0])
		return; /* says less than what is there */
	buf_init_fixed(&text, v->trouble, sizeof(v->trouble));
	buf_addf(&text, "%.250s", reason);
}

static int left_ms(const struct visitor *v)
{
	int64_t left = v->until_ms - now_ms();

	return left > 0 ? (int)left : 0;
}

static bool visitor_init(struct visitor *v, const struct kafka_settings *s, int timeout_ms,
			 struct buf *error)
{
	static const struct kafka_property none[] = {{NULL, NULL}};
	rd_kafka_conf_t *conf = kafka_conf_new(s, none, error);

	*v = (struct visitor){.until_ms = now_ms() + timeout_ms};
	if (!conf)
		return false;
	rd_kafka_conf_set_opaque(conf, v);
	rd_kafka_conf_set_error_cb(conf, on_error);
	v->rk = kafka_client_new(RD_KAFKA_PRODUCER, conf, error);
	rd_kafka_conf_destroy(conf);
	return v->rk != NULL;
}

static void visitor_release(struct visitor *v)
{
	kafka_client_destroy(v->rk, DESTROY_TIMEOUT_MS);
}

/* All topics: a request for single ones would make a broker create them on its own terms. */
static const struct rd_kafka_metadata *read_metadata(struct visitor *v, struct buf *error)
{
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t err = rd_kafka_metadata(v->rk, 1, NULL, &metadata, left_ms(v));

	if (!err)
		return metadata;
	rd_kafka_poll(v->rk, 0);
	buf_adds(error, v->trouble[0] ? v->trouble : rd_kafka_err2str(err));
	return NULL;
}

int kafka_check(const struct kafka_settings *s, int timeout_ms, struct buf *error)
{
	struct visitor v;

	if (!visitor_init(&v, s, timeout_ms, error))
		return -1;
	const struct rd_kafka_metadata *metadata = read_metadata(&v, error);
	if (metadata)
		rd_kafka_metadata_destroy(metadata);
	visitor_release(&v);
	return metadata ? 0 : -1;
}

/* ---- Topics ---- */

static bool exists(const struct rd_kafka_metadata *metadata, const char *name)
{
	for (int i = 0; i < metadata->topic_cnt; i++) {
		if (strcmp(metadata->topics[i].topic, name) == 0)
			return true;
	}
	return false;
}

static rd_kafka_NewTopic_t *new_topic(const struct kafka_topic_spec *t, struct buf *error)
{
	char reason[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(t->name, t->partitions, t->replication,
							   reason, sizeof(reason));

	if (!topic) {
		buf_addf(error, "%s: %s", t->name, reason);
		return NULL;
	}
	if (t->max_message_bytes > 0)
		rd_kafka_NewTopic_set_config(topic, "max.message.bytes",
					     kafka_int(t->max_message_bytes).text);
	return topic;
}

/* Another process may have been faster: a topic that exists by now is as good. */
static int read_results(rd_kafka_event_t *event, struct buf *error)
{
	const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
	size_t n = 0;
	int r = 0;

	if (!result || rd_kafka_event_error(event)) {
		buf_adds(error, rd_kafka_event_error_string(event));
		return -1;
	}
	const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result, &n);
	for (size_t i = 0; i < n; i++) {
		rd_kafka_resp_err_t err = rd_kafka_topic_result_error(topics[i]);
		if (!err || err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
			continue;
		const char *reason = rd_kafka_topic_result_error_string(topics[i]);
		buf_addf(error, "%s%s: %s", r ? "\n" : "", rd_kafka_topic_result_name(topics[i]),
			 reason ? reason : rd_kafka_err2str(err));
		r = -1;
	}
	return r;
}

static int create(struct visitor *v, rd_kafka_NewTopic_t **topics, size_t n, struct buf *error)
{
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(v->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(v->rk);
	char reason[256];
	int timeout_ms = left_ms(v);

	/* The brokers' time ends a little before ours, so that their reason arrives. */
	rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms * 3 / 4, reason,
						    sizeof(reason));
	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms > 1 ? timeout_ms : 1, reason,
						  sizeof(reason));
	rd_kafka_CreateTopics(v->rk, topics, n, options, queue);
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
	int r = -1;
	if (event)
		r = read_results(event, error);
	else
		buf_adds(error, "no answer while creating topics");
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	return r;
}

static int create_missing(struct visitor *v, const struct rd_kafka_metadata *metadata,
			  const struct kafka_topic_spec *topics, size_t n, struct buf *error)
{
	rd_kafka_NewTopic_t *missing[TOPICS_MAX];
	size_t missing_count = 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (exists(metadata, topics[i].name))
			continue;
		missing[missing_count] = new_topic(&topics[i], error);
		if (missing[missing_count])
			missing_count++;
		else
			r = -1;
	}
	if (r == 0 && missing_count > 0)
		r = create(v, missing, missing_count, error);
	rd_kafka_NewTopic_destroy_array(missing, missing_count);
	return r;
}

int kafka_create_topics(const struct kafka_settings *s, const struct kafka_topic_spec *topics,
			size_t n, int timeout_ms, struct buf *error)
{
	struct visitor v;
	int r = -1;

	if (n > TOPICS_MAX) {
		buf_adds(error, "too many topics");
		return -1;
	}
	if (!visitor_init(&v, s, timeout_ms, error))
		return -1;
	const struct rd_kafka_metadata *metadata = read_metadata(&v, error);
	if (metadata) {
		r = create_missing(&v, metadata, topics, n, error);
		rd_kafka_metadata_destroy(metadata);
	}
	visitor_release(&v);
	return r;
}

/* ---- Headers ---- */

const char *kafka_header_text(const rd_kafka_message_t *m, const char *name, size_t *ret_bytes)
{
	rd_kafka_headers_t *headers;
	const void *value = NULL;
	size_t n = 0;

	/* librdkafka puts a NUL after each value that it does not count. */
	if (rd_kafka_message_headers(m, &headers) ||
	    rd_kafka_header_get_last(headers, name, &value, &n))
		value = NULL;
	if (ret_bytes)
		*ret_bytes = value ? n : 0;
	return value;
}

void kafka_headers_pack(const rd_kafka_message_t *m, struct buf *packed)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t n, count = 0;

	if (rd_kafka_message_headers(m, &headers))
		return;
	for (size_t i = 0;
	     count < KAFKA_HEADERS_MAX && !rd_kafka_header_get_all(headers, i, &name, &value, &n);
	     i++) {
		size_t name_bytes = strlen(name) + 1;

		if (!value || !avro_text_valid(name, name_bytes - 1) ||
		    !avro_text_valid(value, n) ||
		    packed->len + name_bytes + n + 1 > packed->max_bytes)
			continue;
		buf_add(packed, name, name_bytes);
		buf_add(packed, value, n);
		buf_addc(packed, '\0');
		count++;
	}
}
