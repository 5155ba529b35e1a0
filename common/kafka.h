/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librdkafka on the event loop: its queues signal an eventfd, the loop drains them; a timer polls
 * once a second so that an idle consumer stays in its group. All callbacks come on the loop's
 * thread.
 */
#ifndef CARILLON_KAFKA_H
#define CARILLON_KAFKA_H

#include <ev.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/*
 * What every client is made from. `properties_file`: librdkafka properties, NAME=VALUE a line, #
 * for comments, which win over ours; all bad lines are reported at once.
 */
struct kafka_settings {
	const char *brokers;
	const char *properties_file; /* or NULL */
	const char *client_id;
};

/* ---- Producer: idempotent, acks=all, murmur2_random ---- */

struct kafka_header {
	const char *name;
	const char *value; /* text */
};

struct kafka_message {
	const char *topic;
	const char *key;
	size_t key_bytes;
	const void *value;
	size_t value_bytes;
	const struct kafka_header *headers;
	size_t headers_count;
};

/*
 * error NULL: acknowledged by all in-sync replicas; else the reason, and the message may or may not
 * be in the topic. `opaque` is the sender's. Once for each message that kafka_produce() took.
 */
typedef void kafka_delivery_cb(void *arg, void *opaque, const char *error);

/*
 * A client that is beyond repair (a fatal error) is made again inside; what it had not acknowledged
 * has failed.
 */
struct kafka_producer;

struct kafka_producer_options {
	struct kafka_settings settings;
	double linger_ms;
	int message_timeout_ms; /* after which an unacknowledged message fails */
	size_t max_messages;	/* bound of the queue; kafka_produce() answers false beyond */
	size_t max_message_bytes;
	/* NULL-terminated: their metadata is fetched at start, so that the first batch does not
	 * wait */
	const char *const *topics;
	kafka_delivery_cb *on_delivery;
	void *arg;
};

/* NULL on a bad property; the reason in `error`. Copies what it needs of `o`. */
struct kafka_producer *kafka_producer_new(struct ev_loop *loop,
					  const struct kafka_producer_options *o,
					  struct buf *error);
/*
 * Copies the message. false: queue full or client down; on_delivery is then not called. A message
 * that can never be sent (too large, no such topic) is taken and fails from the loop.
 */
bool kafka_produce(struct kafka_producer *p, const struct kafka_message *m, void *opaque)
	__attribute__((warn_unused_result));
/* Messages not yet acknowledged or failed. */
size_t kafka_producer_in_flight(const struct kafka_producer *p);
/* True once metadata was received and while at least one broker is connected. */
bool kafka_producer_ready(const struct kafka_producer *p);
/* Waits up to timeout_ms for acknowledgements (callbacks run), fails the rest, frees. Takes NULL.
 */
void kafka_producer_free(struct kafka_producer *p, int timeout_ms);

/* ---- Consumer: one group member, range assignor, manual offset store ---- */

struct kafka_partition {
	const char *topic;
	int32_t partition;
	int64_t offset; /* on_assign may set it; RD_KAFKA_OFFSET_INVALID: the committed one */
};

/* Topics' names in callbacks live until the callback returns, those of on_assign until on_revoke.
 */
struct kafka_consumer_options {
	struct kafka_settings settings;
	const char *group_id;
	const char *group_instance_id; /* static membership; NULL: none */
	const char *const *topics;     /* NULL-terminated, at most 16; texts that outlive it */
	int session_timeout_ms;
	size_t max_queued_kbytes;
	/* A trickle is fetched together, kept back by the broker for so long; 0: each message at
	 * once. */
	int gather_ms;
	/*
	 * A message; it belongs to the consumer and lives until the callback returns. Return false
	 * to stop reading (back-pressure): the message is kept and offered again after
	 * kafka_consumer_resume(), which must not be called in here. A group may be kept waiting so
	 * for any time.
	 */
	bool (*on_message)(void *arg, const rd_kafka_message_t *m);
	/*
	 * Partitions were given. Return true to go on at once (offsets in `parts` are honoured),
	 * false to look up where to begin first: then call kafka_consumer_assigned() with the same
	 * array filled. NULL: the committed offsets, else the earliest.
	 */
	bool (*on_assign)(void *arg, struct kafka_partition *parts, size_t n);
	/*
	 * Partitions go away, always all of them; what was read from them and not stored will be
	 * read by another. kafka_consumer_store() still works in here. `lost`: already taken. Or
	 * NULL.
	 */
	void (*on_revoke)(void *arg, const struct kafka_partition *parts, size_t n, bool lost);
	/* fatal: all partitions are lost, and it joins anew in 3 s. Or NULL. */
	void (*on_error)(void *arg, const char *reason, bool fatal);
	void *arg;
};

struct kafka_consumer;

/* Messages of its partitions that it has not taken yet, as far as it has heard; 0 where it has
 * heard of none. */
int64_t kafka_consumer_lag(const struct kafka_consumer *c);
/* Of the partition's log the first offset, and the one behind the last, as the broker said in its
 * last answer to a fetch: old, if nothing has been fetched since. The first may be less than it is.
 * False: it has not said yet. */
bool kafka_consumer_range(const struct kafka_consumer *c, const char *topic, int32_t partition,
			  int64_t *ret_start, int64_t *ret_end);

/* NULL on a bad property; the reason in `error`. */
struct kafka_consumer *kafka_consumer_new(struct ev_loop *loop,
					  const struct kafka_consumer_options *o,
					  struct buf *error);
/* Completes an assignment that on_assign deferred. Ignored if it was revoked meanwhile. */
void kafka_consumer_assigned(struct kafka_consumer *c, const struct kafka_partition *parts,
			     size_t n);
/* Reading goes on, from the loop, after on_message returned false. */
void kafka_consumer_resume(struct kafka_consumer *c);
/*
 * Sets the offset to commit for a partition: the next one to read. Committed once a second and at
 * close. Ignored for a partition that is no longer ours.
 */
void kafka_consumer_store(struct kafka_consumer *c, const char *topic, int32_t partition,
			  int64_t next_offset);
/* Goes back (or on) to `offset` of a partition being read; what was fetched beyond is dropped. */
void kafka_consumer_seek(struct kafka_consumer *c, const char *topic, int32_t partition,
			 int64_t offset);
/* Has joined its group and is connected. */
bool kafka_consumer_ready(const struct kafka_consumer *c);
/* Revokes, commits what is stored and leaves the group, 7 s at most; then frees. Takes NULL. */
void kafka_consumer_free(struct kafka_consumer *c);

/* ---- Topics ---- */

struct kafka_topic_spec {
	const char *name;
	int partitions;
	int replication;       /* -1: the broker's default */
	int max_message_bytes; /* 0: the broker's default */
};
/*
 * Blocking, for start-up: creates what is missing; existing topics are left alone, and so are ones
 * that another process creates meanwhile. 0, or -1 with the reason.
 */
int kafka_create_topics(const struct kafka_settings *s, const struct kafka_topic_spec *topics,
			size_t n, int timeout_ms, struct buf *error);
/* Blocking: can a broker be reached? For --check-config. 0, or -1 with the reason. */
int kafka_check(const struct kafka_settings *s, int timeout_ms, struct buf *error);

/* Header value of a consumed message as text, or NULL. Valid as long as the message. */
const char *kafka_header_text(const rd_kafka_message_t *m, const char *name, size_t *ret_bytes);

/* ---- Headers to be kept ---- */
#define KAFKA_HEADERS_MAX 32
#define KAFKA_HEADERS_BYTES 4096 /* packed */
/*
 * Appends the headers of a consumed message as "name NUL value NUL ...", in their order. Left out
 * is what is no text (UTF-8 without NUL) and what would pass KAFKA_HEADERS_MAX or the buffer.
 */
void kafka_headers_pack(const rd_kafka_message_t *m, struct buf *packed);
/* The headers of `n` packed bytes, borrowed from them, KAFKA_HEADERS_MAX at most. */
size_t kafka_headers_unpack(const char *packed, size_t n, struct kafka_header *ret_headers);
/* The value of the first one of that name, or NULL. */
const char *kafka_headers_find(const struct kafka_header *headers, size_t n, const char *name);
/* Appends [["name", "value"], ...]. */
void kafka_headers_json(const struct kafka_header *headers, size_t n, struct buf *out);

#endif
