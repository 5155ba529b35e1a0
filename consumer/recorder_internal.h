/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the recorder share.
 *
 * recorder.c               life, Kafka's callbacks, and what is done next
 * recorder_offsets.c       partitions and where PostgreSQL says they stand
 * recorder_read.c          up to when all that was published is applied
 * recorder_batch.c         one transaction: its statements, and how it ended
 * recorder_rows.c          messages as rows of the statements' arrays
 * recorder_dead_letters.c  messages that can't be used
 *
 * Messages wait in one queue; the first ones of it are the batch. At most one thing is under way
 * at a time: a batch, a look at the offsets, the way of dead letters to Kafka, or a wait; and
 * beside it a note of what is read.
 */
#ifndef CARILLON_CONSUMER_RECORDER_INTERNAL_H
#define CARILLON_CONSUMER_RECORDER_INTERNAL_H

#include "common/kafka.h"
#include "common/pg.h"
#include "consumer/kafka_group.h"
#include "consumer/recorder.h"
#include "consumer/result_batch.h"

#define RECORDER_TOPICS 4
#define RECORDER_BATCH_BYTES                                                                       \
	(4u << 20) /* of message values in a transaction; one may be larger                        \
		    */
#define RECORDER_STMTS_MAX 12
#define RECORDER_TEXT_BYTES 512

/* ---- Messages waiting ---- */

struct recorder_item {
	struct recorder_item *prev, *next;
	struct recorder *recorder; /* NULL: given up, freed when its delivery is told */
	struct delivery delivery;  /* of the dead letter */
	size_t topic;
	int32_t partition;
	int64_t offset;
	const char *key; /* this and the next two are in `bytes` */
	size_t key_bytes;
	const void *value;
	size_t value_bytes;
	const char *headers; /* packed (common/kafka.h) */
	size_t headers_bytes;
	enum { ITEM_GOOD, ITEM_DEAD, ITEM_DEAD_SENT, ITEM_DEAD_STORED } state;
	bool suspect; /* failed alone once */
	char reason[RECORDER_TEXT_BYTES];
	char bytes[];
};

/* NULL without memory. */
struct recorder_item *recorder_item_new(struct recorder *r, size_t topic,
					const rd_kafka_message_t *m);
/* Takes NULL. One whose dead letter is on the way is freed later. */
void recorder_item_free(struct recorder_item *item);

/* ---- Partitions ---- */

struct recorder_position {
	size_t topic;
	int32_t partition;
	int64_t applied;   /* the first offset not applied, as PostgreSQL has it */
	int64_t expected;  /* the next one to come from Kafka, or later */
	int64_t batch_end; /* of the batch being built; -1: not in it */
	int64_t jump_to;   /* where an offset jumped to that is not believed yet; else any */
	int64_t mark;	   /* where the log ended after marked_at; -1: not known */
	int64_t marked_at; /* of the database's clock */
};

/* ---- Rows of the statements ---- */

enum { TOLD_JOB_ID, TOLD_CALL_ID, TOLD_COLUMNS };
enum { OFFSET_TOPIC, OFFSET_PARTITION, OFFSET_FROM, OFFSET_TO, OFFSET_COLUMNS };
enum {
	LETTER_TOPIC,
	LETTER_PARTITION,
	LETTER_OFFSET,
	LETTER_KEY,
	LETTER_REASON,
	LETTER_VALUE,
	LETTER_HEADERS,
	LETTER_COLUMNS
};
enum {
	INBOX_MESSAGE,
	INBOX_ACCOUNT,
	INBOX_EVENT_ID,
	INBOX_TENANT,
	INBOX_TYPE,
	INBOX_RANK,
	INBOX_PROVIDER_CALL_ID,
	INBOX_JOB_ID,
	INBOX_LEAD_ID,
	INBOX_PHONE,
	INBOX_OUTCOME,
	INBOX_ENDED_REASON,
	INBOX_SUCCESS,
	INBOX_CALLBACK_AT,
	INBOX_DURATION_MS,
	INBOX_OCCURRED_AT,
	INBOX_RECEIVED_AT,
	INBOX_BODY,
	INBOX_RAW,
	INBOX_COLUMNS
};

/* Array parameters that grow together. */
struct recorder_rows {
	size_t n;
	size_t columns;
	struct buf *bufs;
	struct pg_array *arrays;
	const char **params;
	struct buf scratch;
};

/* 0 or -1 without memory. */
int recorder_rows_init(struct recorder_rows *rows, size_t columns);
void recorder_rows_release(struct recorder_rows *rows);
void recorder_rows_clear(struct recorder_rows *rows);
/* Ends the arrays; NULL if one of them passed its bound. Once before the next clear. */
const char *const *recorder_rows_params(struct recorder_rows *rows);

/* Adds an event, redial update or stage transition; `body` is scratch. */
void recorder_rows_add_message(struct recorder_rows *inbox, const struct msg *m, struct buf *body);
void recorder_rows_add_letter(struct recorder_rows *letters, const struct dead_letter *l);
/* `call_id` NULL: the provider named none. */
void recorder_rows_add_told(struct recorder_rows *told, const char *job_id, const char *call_id);
void recorder_rows_add_position(struct recorder_rows *offsets, const char *topic,
				const struct recorder_position *p);

/* ---- The recorder ---- */

/* A call that a message proves to exist; the next batch accepts it. */
struct recorder_proof {
	char job_id[UUID_TEXT_BYTES];
	char provider_call_id[256]; /* "": not known */
};

struct recorder_batch {
	bool open;     /* sent, not answered */
	bool probe;    /* without messages: is it they that fail? */
	bool revisits; /* takes up those left behind */
	size_t n;      /* messages: the first of the queue */
	size_t stmts_count;
	size_t stmts[RECORDER_STMTS_MAX];
	size_t proofs_count; /* of those in it */
	int64_t begun_ms;
	struct recorder_rows offsets, letters, inbox;
	struct recorder_rows
		told;	   /* the calls of all results, of those too that are written already */
	bool from_outside; /* the inbox has messages of a dialer of its own */
	bool classified;   /* and of a classifier */
	struct result_batch results;
	struct buf body;
};

struct recorder {
	struct ev_loop *loop;
	struct recorder_options o;
	const char *topics[RECORDER_TOPICS + 1];
	char group[KAFKA_GROUP_BYTES];
	struct pg_options pg_options;
	struct pg *pg;
	struct kafka_consumer *consumer;

	struct recorder_item *queue; /* in order of arrival */
	size_t queue_count, queue_bytes, queue_max;
	bool reading_stopped; /* on_message said so */

	struct recorder_position *positions;
	size_t positions_count;
	bool assigning;	 /* Kafka waits for where to begin */
	bool lost_place; /* the positions must be read again, and Kafka set to them */
	bool loading;	 /* they are being read */
	bool load_stale; /* other partitions have come or gone meanwhile */
	int64_t time;	 /* of the database's clock, at the last note; 0: not known */
	bool disturbed;	 /* since the last look: where the logs end may not be known */
	bool noting;	 /* a note of what is read is under way */
	ev_timer marker;

	struct recorder_batch batch;
	struct recorder_proof *proofs;
	size_t proofs_count;
	size_t limit, limit_max; /* messages of a batch: halved on failure, doubled on success */
	bool probe_due;
	bool revisit_due;
	ev_timer revisit;

	size_t letters_on_way;
	int64_t started_ms;	/* boot clock, of the last batch */
	ev_timer pause;		/* until the next try */
	unsigned failures;	/* in a row */
	int32_t schema_wanted;	/* of the first message; 0: none is waited for */
	int32_t schema_refused; /* the registry says that there is none, at that time */
	int64_t schema_refused_ms;

	bool stopping;
	ev_timer stopped;
	void (*on_stopped)(void *arg);
	void *on_stopped_arg;
};

/* Does what is to be done next, if nothing is under way. */
void recorder_advance(struct recorder *r);
/* Nothing more before `ms` are over. */
void recorder_pause(struct recorder *r, int64_t ms);
/* Backoff after a failure. */
void recorder_back_off(struct recorder *r);
/* Drops the first message of the queue. */
void recorder_pop(struct recorder *r);
/* Drops all that waits. */
void recorder_clear(struct recorder *r);
/* Reading goes on if it was stopped and there is room. */
void recorder_make_room(struct recorder *r);

/* NULL if the partition is not ours. */
struct recorder_position *recorder_position_find(struct recorder *r, size_t topic,
						 int32_t partition);
bool recorder_on_assign(void *arg, struct kafka_partition *parts, size_t n);
void recorder_on_revoke(void *arg, const struct kafka_partition *parts, size_t n, bool lost);
/* Now and then: tells PostgreSQL up to when all that was published is applied. */
void recorder_mark(struct recorder *r);
/* Asks PostgreSQL where the partitions stand. */
void recorder_load_offsets(struct recorder *r);

int recorder_batch_init(struct recorder *r);
void recorder_batch_release(struct recorder *r);
/* Builds and sends the next batch, unless its dead letters or a schema are waited for. */
void recorder_batch_start(struct recorder *r);

/* The item as a dead letter; borrowed from it. */
struct dead_letter recorder_item_letter(const struct recorder *r, const struct recorder_item *item);
/* The message is none that can be used. */
void recorder_item_bury(struct recorder_item *item, const char *reason);
/* Sends the batch's dead letters to Kafka. True once all of them are there. */
bool recorder_letters_stored(struct recorder *r, size_t n);

#endif
