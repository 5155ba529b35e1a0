/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jobs a dispatcher holds, from the Kafka message to the written result: a pool of fixed size,
 * a list for each state, the low-water mark of each partition, and what each account has under way.
 */
#ifndef CARILLON_CONSUMER_DISPATCH_JOBS_H
#define CARILLON_CONSUMER_DISPATCH_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "common/clock.h"
#include "common/msg.h"
#include "common/phone.h"
#include "consumer/providers/adapter.h"
#include "consumer/publisher.h"

#define JOB_WORD_BYTES 64
#define JOB_ID_BYTES 24 /* a bigint's text */
#define TRACEPARENT_BYTES 64

enum job_state {
	JOB_FREE,
	JOB_WAITING,   /* for a slot and its claim */
	JOB_CLAIMING,  /* in the claim that is under way */
	JOB_POSTING,   /* claimed; its POST is under way */
	JOB_REPORTING, /* has a result that is not yet both written and published */
	JOB_DEAD,      /* no job but a dead letter, not yet acknowledged */
	JOB_STATE_COUNT
};

struct dispatcher;

/* A partition we read: the messages without decision, in order. */
struct job_partition {
	int32_t id;
	struct job *undecided;
	int64_t next;	  /* the offset after the last one read */
	int64_t stuck_at; /* the first one given up without decision; -1: none */
	UT_hash_handle hh;
};

/* What an account has in this process. Never freed while the pool lives. */
struct account_use {
	char name[JOB_WORD_BYTES];
	size_t waiting;
	uint64_t stamped_by;   /* number of the batch that has its fingerprint */
	size_t active;	       /* claiming or posting: holds an HTTP slot */
	int64_t held_until_ms; /* boot clock: its provider refuses it */
	UT_hash_handle hh;
};

struct job {
	struct job *prev, *next; /* the list of its state */
	enum job_state state;
	struct dispatcher *d;
	UT_hash_handle hh; /* by job_id, unless dead or free */

	struct job_partition *partition; /* NULL: decided, or the partition was revoked */
	int64_t offset;
	struct job *mark_prev, *mark_next;

	/* From the message. */
	char job_id[UUID_TEXT_BYTES];
	char follow_up_id[JOB_ID_BYTES];
	char traceparent[TRACEPARENT_BYTES];
	struct account_use *use;
	bool asked;		/* whether its POST may begin */
	bool lost;		/* its claim may have been done without our hearing of it */
	const PGresult *row_of; /* its claim's answer, until its POST is made of it */
	int64_t claim_sent_ms;	/* boot clock: its lease runs from here */

	/* From the claim. */
	char tenant[JOB_WORD_BYTES];
	char kind[JOB_WORD_BYTES];
	char account[JOB_WORD_BYTES];
	char provider[JOB_WORD_BYTES];
	char lead_id[JOB_ID_BYTES];
	char lane_id[JOB_ID_BYTES];
	char phone[PHONE_BYTES];
	int64_t due_at;
	int64_t dial_by;

	/* The result. */
	const struct adapter *adapter;
	const char *held_by; /* what forbade the POST in the last moment */
	struct verdict verdict;
	int64_t http_status, posted_at, answered_at, retry_at;
	bool writing, written, publishing, published;
	struct delivery delivery;

	/* A dead letter's bytes, kept until it is acknowledged. */
	struct dead_letter dead;
	char *dead_bytes;
};

struct job_pool {
	struct job *jobs;
	size_t n;
	struct job *lists[JOB_STATE_COUNT];
	size_t counts[JOB_STATE_COUNT];
	struct job *by_id;
	struct job_partition *partitions;
	struct account_use *uses;
	struct account_use *last_use; /* of the last job read */
	int64_t last_switch_ms;	      /* when it last differed from the one before */
};

/* False without memory. */
bool job_pool_init(struct job_pool *p, size_t n, struct dispatcher *d);
void job_pool_release(struct job_pool *p);

/* A free job for a message of this place, moved to `state`; NULL if there is none, or no memory. */
struct job *job_take(struct job_pool *p, enum job_state state, int32_t partition, int64_t offset);
/* The only way to change a state. */
void job_move(struct job_pool *p, struct job *j, enum job_state state);
/* Back to the head of those waiting. */
void job_return(struct job_pool *p, struct job *j);
void job_free(struct job_pool *p, struct job *j);
/* Gives up a job without decision: its message, and those after it, are read again by the next
 * owner. */
void job_forget(struct job_pool *p, struct job *j);
/* Names a job taken; false if another in the pool has this id. */
bool job_identify(struct job_pool *p, struct job *j, const char *job_id);
struct job *job_find(struct job_pool *p, const char *job_id);
/* Which account it is for, as the message says. */
void job_set_use(struct job_pool *p, struct job *j, const char *account, int64_t now_ms);
/* Several accounts had jobs lately. */
bool job_pool_is_shared(const struct job_pool *p, int64_t now_ms);

/*
 * The message of this job needs no second reading. True if the partition's low-water mark moved:
 * all before *ret_next is decided.
 */
bool job_decide(struct job_pool *p, struct job *j, int32_t *ret_partition, int64_t *ret_next);
/* A message that became no job: true as above. */
bool job_pool_skip(struct job_pool *p, int32_t partition, int64_t offset, int64_t *ret_next);
/* The partition belongs to another now: its marks are forgotten, and what only waited is dropped.
 */
void job_pool_revoke(struct job_pool *p, int32_t partition);

/* The result as the message and the table's row; borrows from the job. */
void job_result(const struct job *j, const char *worker, struct msg_dispatch_result *ret);

#endif
