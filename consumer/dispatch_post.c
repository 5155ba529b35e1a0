/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a claimed row to a result. The POST is sent at most once, and only if in the moment its
 * first byte would leave the lease still runs and nothing forbids it; whatever happens then, the
 * result says no more than what is proved.
 */
#include "consumer/dispatcher_internal.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/metrics.h"

#define WRITE_LATE_MS 500
#define ACCOUNT_HOLD_MS 60000 /* as long as apply_results.sql opens the breaker */
#define HEADER_BYTES 128

/* ---- Results ---- */

static void end_if_done(struct dispatcher *d, struct job *j)
{
	if (j->written && j->published)
		job_free(&d->pool, j);
}

static void on_published(struct delivery *delivery, const char *error)
{
	struct job *j = (struct job *)(void *)((char *)delivery - offsetof(struct job, delivery));

	j->publishing = false;
	if (error) {
		metric_add(METRIC_PUBLISH_FAILED, NULL, 1);
		log_warn("result.not_published", LOG_STR("job_id", j->job_id),
			 LOG_STR("error", error));
		return;
	}
	j->published = true;
	end_if_done(j->d, j);
}

static void publish_result(struct dispatcher *d, struct job *j)
{
	struct msg m = {.type = MSG_DISPATCH_RESULT};

	job_result(j, d->o.worker, &m.result);
	j->delivery.done = on_published;
	j->publishing = publish(d->o.publisher, &m, j->traceparent, &j->delivery);
}

/* The database is away or slow: Kafka alone keeps the results meanwhile. */
static bool writing_is_late(const struct dispatcher *d)
{
	return !pg_is_up(d->writer) ||
	       (d->results_out > 0 &&
		clock_boot_ms(d->o.clock) - d->results_sent_ms > WRITE_LATE_MS);
}

void dispatch_publish_results(struct dispatcher *d)
{
	struct job *j = d->pool.lists[JOB_REPORTING];
	bool late = writing_is_late(d);

	for (; j; j = j->next) {
		if (j->published || j->publishing || (!j->written && !late))
			continue;
		publish_result(d, j);
		if (!j->publishing)
			return; /* the queue is full */
	}
}

void dispatch_written(struct dispatcher *d, struct job *j)
{
	j->writing = false;
	j->written = true;
	end_if_done(d, j);
}

static void log_result(const struct job *j)
{
	const char *event = NULL;

	switch (j->verdict.result) {
	case RESULT_UNKNOWN:
		event = "call.unknown";
		break;
	case RESULT_REFUSED:
		event = "call.refused";
		break;
	case RESULT_NOT_SENT:
		event = "call.not_sent";
		break;
	case RESULT_ACCEPTED:
	case DISPATCH_RESULT_COUNT:
		return;
	}
	log_warn(event, LOG_STR("job_id", j->job_id), LOG_STR("lead_id", j->lead_id),
		 LOG_PHONE("phone", j->phone), LOG_STR("account", j->account),
		 LOG_STR("refusal", refusal_text(j->verdict.refusal)),
		 LOG_STR("error", j->verdict.error));
}

/*
 * The job has a result: it is written with the next batch of them, and published then, so that the
 * recorder finds it applied instead of waiting for the same rows.
 */
static void report(struct dispatcher *d, struct job *j)
{
	metric_add(METRIC_DISPATCHED, dispatch_result_text(j->verdict.result), 1);
	if (j->verdict.refusal == REFUSAL_ACCOUNT && j->use)
		j->use->held_until_ms = clock_boot_ms(d->o.clock) + ACCOUNT_HOLD_MS;
	log_result(j);
	job_move(&d->pool, j, JOB_REPORTING);
	metric_set(METRIC_POSTS_IN_FLIGHT, NULL, (double)d->pool.counts[JOB_POSTING]);
	if (d->result_since_ms == 0)
		d->result_since_ms = clock_boot_ms(d->o.clock);
}

static void report_without_post(struct dispatcher *d, struct job *j, enum dispatch_result result,
				enum refusal refusal, const char *reason)
{
	j->verdict = (struct verdict){.result = result, .refusal = refusal, .retry_after_ms = -1};
	snprintf(j->verdict.error, sizeof(j->verdict.error), "%s", reason);
	j->http_status = MSG_NO_INT;
	j->posted_at = j->answered_at = j->retry_at = MSG_NO_TIME;
	report(d, j);
}

/* ---- The POST ---- */

void dispatch_waiting(void *arg, struct buf *ret_job_ids)
{
	const struct dispatcher *d = arg;
	const char *separator = "";

	for (const struct job *j = d->pool.lists[JOB_POSTING]; j; j = j->next) {
		if (j->asked)
			continue;
		buf_addf(ret_job_ids, "%s%s", separator, j->job_id);
		separator = ",";
	}
}

/* Asked by the HTTP client right before the first byte; says in `held_by` why not. */
static bool may_send(void *arg)
{
	struct job *j = arg;
	const struct dispatcher *d = j->d;
	int64_t now_ms = clock_boot_ms(d->o.clock);

	if (now_ms >= j->claim_sent_ms + d->lease_ms - d->margin_ms)
		j->held_by = "lease";
	else if (j->dial_by != MSG_NO_TIME && clock_wall_ms(d->o.clock) >= j->dial_by)
		j->held_by = gate_text(GATE_DIAL_BY);
	else if (j->use && now_ms < j->use->held_until_ms)
		j->held_by = gate_text(GATE_BREAKER);
	else
		j->held_by = stop_feed_holds(d->o.stop_feed,
					     &(struct stop_scope){.tenant = j->tenant,
								  .lane_id = j->lane_id,
								  .account = j->account,
								  .phone = j->phone,
								  .lead_id = j->lead_id});
	j->asked = true;
	if (!j->held_by)
		stop_feed_posted(d->o.stop_feed, j->tenant, j->lane_id);
	return !j->held_by;
}

static void on_answer(void *arg, const struct http_answer *a)
{
	struct job *j = arg;
	struct dispatcher *d = j->d;

	const struct account *account = reference_account(d->o.reference, j->account);
	adapter_classify(j->adapter, j->job_id, a, &j->verdict);
	if (account)
		account_mask(account, j->verdict.error);
	if (a->outcome == HTTP_HELD && j->held_by)
		snprintf(j->verdict.error, sizeof(j->verdict.error), "held: %s", j->held_by);
	j->http_status = a->status > 0 ? a->status : MSG_NO_INT;
	j->posted_at = a->body_started ? a->started_at : MSG_NO_TIME;
	j->answered_at = a->answered_at;
	j->retry_at = j->verdict.result == RESULT_REFUSED && j->verdict.retry_after_ms >= 0
			      ? a->answered_at + j->verdict.retry_after_ms
			      : MSG_NO_TIME;
	if (a->body_started) {
		metric_observe(METRIC_POST, j->account,
			       (double)(a->answered_at - a->started_at) / 1000.0);
		metric_observe(METRIC_LATENESS, NULL, (double)(a->started_at - j->due_at) / 1000.0);
	}
	report(d, j);
}

static bool send_post(struct dispatcher *d, struct job *j)
{
	char key[HEADER_BYTES], traceparent[HEADER_BYTES];
	const char *headers[] = {d->request.authorization.data, adapter_content_type(j->adapter),
				 key, j->traceparent[0] ? traceparent : NULL, NULL};
	const struct http_request r = {
		.method = "POST",
		.url = d->request.url.data,
		.headers = headers,
		.body = d->request.body.data,
		.body_bytes = d->request.body.len,
		.timeout_ms = d->post_timeout_ms,
		.max_response_bytes = PROVIDER_ANSWER_MAX_BYTES,
		.once = true,
		.fresh_connection = j->adapter->fresh_connection,
		.may_send = may_send,
	};

	snprintf(key, sizeof(key), "Idempotency-Key: %s", j->job_id);
	snprintf(traceparent, sizeof(traceparent), "traceparent: %s", j->traceparent);
	return http_send(d->http, &r, on_answer, j);
}

static void take_row(struct job *j, const PGresult *rows, const struct claim_columns *c, int row)
{
	pg_copy(rows, row, c->tenant, j->tenant, sizeof(j->tenant));
	pg_copy(rows, row, c->kind, j->kind, sizeof(j->kind));
	pg_copy(rows, row, c->account, j->account, sizeof(j->account));
	pg_copy(rows, row, c->provider, j->provider, sizeof(j->provider));
	pg_copy(rows, row, c->lead_id, j->lead_id, sizeof(j->lead_id));
	pg_copy(rows, row, c->lane_id, j->lane_id, sizeof(j->lane_id));
	pg_copy(rows, row, c->phone, j->phone, sizeof(j->phone));
	j->due_at = pg_int_or(rows, row, c->due_at, MSG_NO_TIME);
	j->dial_by = pg_int_or(rows, row, c->dial_by, MSG_NO_TIME);
}

void dispatch_not_sent(struct dispatcher *d, struct job *j, const PGresult *rows,
		       const struct claim_columns *c, int row, const char *reason)
{
	take_row(j, rows, c, row);
	report_without_post(d, j, RESULT_NOT_SENT, REFUSAL_NONE, reason);
}

/*
 * A lead whose variables are too many is tried no longer than others are. Settings that are missing
 * hold the account back for all, unless a campaign was to bring its own.
 */
static void report_unbuilt(struct dispatcher *d, struct job *j, const char *reason)
{
	if (!request_is_whole(&d->request))
		report_without_post(d, j, RESULT_REFUSED, REFUSAL_RETRY, reason);
	else if (strcmp(j->kind, "campaign") == 0)
		report_without_post(d, j, RESULT_NOT_SENT, REFUSAL_NONE, reason);
	else
		report_without_post(d, j, RESULT_REFUSED, REFUSAL_ACCOUNT, reason);
}

void dispatch_post(struct dispatcher *d, struct job *j, const PGresult *rows,
		   const struct claim_columns *c, int row)
{
	char text[PROVIDER_ERROR_BYTES];
	struct buf reason;

	take_row(j, rows, c, row);
	j->adapter = adapter_find(j->provider);
	const struct account *a = reference_account(d->o.reference, j->account);
	buf_init_fixed(&reason, text, sizeof(text));
	if (!j->adapter) {
		buf_addf(&reason, "no adapter for provider %s", j->provider);
		report_without_post(d, j, RESULT_REFUSED, REFUSAL_CONFIGURATION, text);
		return;
	}
	if (!a) {
		/* Another process may have them: nothing is wrong with the account. */
		buf_addf(&reason, "no credentials for account %s in this process", j->account);
		report_without_post(d, j, RESULT_NOT_SENT, REFUSAL_NONE, text);
		return;
	}
	const struct dial dial = {
		.job_id = j->job_id,
		.lead_id = j->lead_id,
		.kind = j->kind,
		.phone = j->phone,
		.first_name = pg_text(rows, row, c->first_name),
		.last_name = pg_text(rows, row, c->last_name),
		.variables = pg_text(rows, row, c->variables),
		.assistant_id = pg_text(rows, row, c->assistant_id),
		.phone_number_id = pg_text(rows, row, c->phone_number_id),
		.max_call_s = d->max_call_s,
		.now_ms = clock_wall_ms(d->o.clock),
		.dial_by_ms = j->dial_by != MSG_NO_TIME ? j->dial_by : 0,
	};
	provider_request_clear(&d->request);
	if (!j->adapter->build(a, &dial, &d->request, &reason)) {
		report_unbuilt(d, j, text);
		return;
	}
	metric_set(METRIC_POSTS_IN_FLIGHT, NULL, (double)d->pool.counts[JOB_POSTING]);
	if (!send_post(d, j))
		report_without_post(d, j, RESULT_NOT_SENT, REFUSAL_NONE,
				    "the request could not be made");
}
