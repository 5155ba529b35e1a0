/* SPDX-License-Identifier: Apache-2.0 */
/* What dispatcher.c (Kafka, life), dispatch_claim.c (jobs out of PostgreSQL), dispatch_post.c
 * (HTTP) and dispatch_results.c (results into PostgreSQL) share. */
#ifndef CARILLON_CONSUMER_DISPATCHER_INTERNAL_H
#define CARILLON_CONSUMER_DISPATCHER_INTERNAL_H

#include "common/http_client.h"
#include "common/kafka.h"
#include "common/pg.h"
#include "consumer/dispatch_jobs.h"
#include "consumer/dispatcher.h"
#include "consumer/kafka_group.h"
#include "consumer/result_batch.h"

struct claim_params {
	struct buf job_ids, follow_up_ids, lost_ids, accounts, fingerprints;
	struct pg_array job_array, follow_up_array, lost_array, account_array, fingerprint_array;
	size_t n, lost;
	char lease_s[24], check_s[24];
};

struct dispatcher {
	struct ev_loop *loop;
	struct dispatcher_options o;
	struct pg *pg;	   /* for claims */
	struct pg *writer; /* for results */
	struct http_client *http;
	struct kafka_consumer *kafka;
	struct job_pool pool;
	char group[KAFKA_GROUP_BYTES];
	size_t slots;
	size_t batch_max;
	int64_t lease_ms, margin_ms, post_timeout_ms, max_call_s;

	/* dispatcher.c */
	ev_prepare turn; /* before the loop sleeps: what came in this turn becomes one batch */
	ev_timer linger; /* jobs and results wait a moment for others */
	ev_timer ticker; /* what has to be tried again */
	bool stalled;	 /* on_message said no */
	int64_t read_again_ms; /* boot clock: there was no memory for a message */
	enum { PG_SEEN_NOT_YET, PG_SEEN_UP, PG_SEEN_DOWN } pg_seen; /* what was logged last */
	bool writer_missed; /* logged: there is a connection for claims, none for results */
	int64_t schema_wait_since_ms; /* boot clock; 0: no message waits for its schema */
	int32_t schema_wait_id;
	bool schema_refused; /* the registry does not know schema_wait_id */
	bool stopping;
	int64_t stop_deadline_ms;
	void (*stopped)(void *arg);
	void *stopped_arg;

	/* dispatch_claim.c: one batch at a time */
	bool batch_out;
	uint64_t batch_number;
	size_t batch_claims;
	int64_t batch_sent_ms;
	int64_t waiting_since_ms; /* boot clock, of the first job that waits to be claimed; 0: none
				   */
	int64_t not_before_ms;	  /* boot clock: wait after an error */
	unsigned errors;	  /* in a row */
	unsigned asking;	  /* claims that still ask first what is live */
	struct claim_params claim;

	/* dispatch_results.c: one batch at a time */
	size_t results_out;	     /* results of the batch under way; 0: there is none */
	size_t singly;		     /* so many results are written alone: one of them is refused */
	int64_t result_since_ms;     /* boot clock, when the oldest unwritten one came; 0: none */
	int64_t results_sent_ms;     /* boot clock, of the last batch */
	int64_t write_not_before_ms; /* boot clock: wait after an error */
	unsigned write_errors;	     /* in a row */
	struct result_batch results;

	/* dispatch_post.c */
	struct provider_request request;
};

/* ---- dispatch_claim.c ---- */
void dispatch_claim_init(struct dispatcher *d);
void dispatch_claim_release(struct dispatcher *d);
/* Starts the next batch if there is something to claim and none is under way. Answers in how many
 * milliseconds it is to be called again; -1: when something happens. */
int64_t dispatch_claim_pump(struct dispatcher *d);

/* Columns of claim_jobs.sql and my_dialing.sql. */
struct claim_columns {
	int job_id, verdict, gate, tenant, kind, lead_id, phone, account, provider, lane_id;
	int first_name, last_name, state, variables, attempt, due_at, dial_by;
	int assistant_id, phone_number_id;
};

/* ---- dispatch_post.c ---- */
/* POSTs a job that is ours from now on, or reports why not. */
void dispatch_post(struct dispatcher *d, struct job *j, const PGresult *rows,
		   const struct claim_columns *c, int row);
/* stop_feed_waiting of a dispatcher. */
void dispatch_waiting(void *arg, struct buf *ret_job_ids);
/* Takes the job's facts from its row and reports that nothing was sent. */
void dispatch_not_sent(struct dispatcher *d, struct job *j, const PGresult *rows,
		       const struct claim_columns *c, int row, const char *reason);
/* Publishes the results that are written, or can't be written soon. */
void dispatch_publish_results(struct dispatcher *d);
/* The result of a job was written: it is to be published now, and ends with that. */
void dispatch_written(struct dispatcher *d, struct job *j);

/* ---- dispatch_results.c ---- */
/* As dispatch_claim_pump(), for what is to be written. */
int64_t dispatch_results_pump(struct dispatcher *d);

/* ---- dispatcher.c ---- */
/* Stores the offset if the decision on this job moves its partition's mark. */
void dispatch_decided(struct dispatcher *d, struct job *j);

#endif
