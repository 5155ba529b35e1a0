/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A finding in messages: the result that the dispatcher could not give, the end that no webhook
 * brought, and what the rules make of that end. The event's id is made from the job's, so that a
 * finding told twice is one event.
 *
 * What follows from an end goes before the end itself. Once that is recorded the call is no longer
 * looked up; were a decision lost after it, nobody would ever make it again.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/rules/rules.h"
#include "consumer/reconciler_internal.h"

#define END_UNKNOWN_OUTCOME "UNKNOWN"

static void acknowledged(struct finding *f);

static void on_delivered(struct delivery *d, const char *error)
{
	struct finding *f = ((struct finding_delivery *)(void *)d)->f;

	if (error)
		f->failed = true;
	acknowledged(f);
}

static void say(struct finding *f, const struct msg *m)
{
	struct finding_delivery *d = &f->deliveries[f->sent++];

	assert(f->sent <= FINDING_MESSAGES_MAX);
	d->delivery.done = on_delivered;
	d->f = f;
	if (publish(f->publisher, m, NULL, &d->delivery))
		f->waiting++;
	else
		f->failed = true;
}

/* One thing less to wait for. */
static void acknowledged(struct finding *f)
{
	if (--f->waiting > 0)
		return;
	bool end_is_next = f->end_waits && !f->failed;
	f->end_waits = false;
	if (!end_is_next) {
		finding_published(f);
		return;
	}
	f->waiting = 1;
	say(f, &f->end);
	acknowledged(f);
}

static bool has_result(const struct finding *f)
{
	const struct check *c = &f->check;
	enum reconcile_step s = f->decision.step;

	return (c->state == CALL_DIALING || c->state == CALL_UNKNOWN) &&
	       (s == STEP_ACCEPTED || s == STEP_REFUSED || s == STEP_NOT_DIALED);
}

static bool has_end(const struct finding *f, const struct found_call *call)
{
	enum reconcile_step s = f->decision.step;

	return s == STEP_END_UNKNOWN || s == STEP_ENDED ||
	       (s == STEP_ACCEPTED && call && call->ended);
}

static void fill_result(struct finding *f, const struct found_call *call, const char *worker)
{
	const struct check *c = &f->check;
	struct msg_dispatch_result *r = &f->result;

	*r = (struct msg_dispatch_result){
		.job_id = c->job_id,
		.follow_up_id = c->follow_up_id,
		.tenant = c->tenant,
		.kind = c->kind,
		.lead_id = c->lead_id,
		.phone = c->phone,
		.account = c->account,
		.result = RESULT_ACCEPTED,
		.provider = c->provider,
		.http_status = MSG_NO_INT,
		.posted_at = c->posted_at,
		.answered_at = MSG_NO_TIME,
		.retry_at = MSG_NO_TIME,
		.worker = worker,
	};
	if (f->decision.step == STEP_NOT_DIALED) {
		r->result = RESULT_NOT_SENT;
		r->error = "proved absent";
		return;
	}
	memcpy(f->result_call_id, call->provider_call_id, sizeof(f->result_call_id));
	r->provider_call_id = f->result_call_id;
	if (r->posted_at == MSG_NO_TIME)
		r->posted_at = call->created_at;
	if (f->decision.step == STEP_REFUSED) {
		r->result = RESULT_REFUSED;
		r->refusal = refusal_text(call->refusal);
		r->error = "ended before it was dialed";
	}
}

static void fill_event(struct finding *f, const struct found_call *call, int64_t wall_ms,
		       struct msg_call_event *e)
{
	const struct check *c = &f->check;

	snprintf(f->event_id, sizeof(f->event_id), "reconcile:%s", c->job_id);
	*e = (struct msg_call_event){
		.event_id = f->event_id,
		.tenant = c->tenant,
		.provider = c->provider,
		.account = c->account,
		.type = EVENT_ENDED,
		.provider_call_id = c->provider_call_id[0] ? c->provider_call_id : NULL,
		.job_id = c->job_id,
		.lead_id = c->lead_id,
		.phone = c->phone,
		.outcome = END_UNKNOWN_OUTCOME,
		.ended_reason = "no end came and none could be looked up",
		.success = MSG_NO_INT,
		.callback_at = MSG_NO_TIME,
		.duration_ms = MSG_NO_INT,
		.occurred_at = wall_ms,
		.received_at = wall_ms,
		.cost_micros = MSG_NO_INT,
	};
	if (!call)
		return;
	e->type = call->type;
	e->provider_call_id = call->provider_call_id;
	e->outcome = call->outcome[0] ? call->outcome : END_UNKNOWN_OUTCOME;
	e->ended_reason = call->ended_reason;
	e->success = call->success;
	e->callback_at = call->callback_at;
	e->duration_ms = call->duration_ms;
	e->summary = call->summary;
	e->transcript = call->transcript;
	e->recording_url = call->recording_url;
	e->success_evaluation = call->success_evaluation;
	e->cost_micros = call->cost_micros;
	if (call->ended_at != MSG_NO_TIME && call->ended_at < wall_ms)
		e->occurred_at = call->ended_at;
}

static void publish_end(struct finding *f, const struct found_call *call,
			const struct rule_set *rules, int64_t wall_ms)
{
	struct rule_decision next;

	if (call)
		f->end_of = *call;
	f->end.type = MSG_CALL_EVENT;
	fill_event(f, call ? &f->end_of : NULL, wall_ms, &f->end.event);
	f->end_waits = true;
	rules_decide(rules, &f->end.event, &next);
	if (next.has_redial)
		say(f, &(struct msg){.type = MSG_REDIAL_UPDATE, .redial = next.redial});
	if (next.has_stage)
		say(f, &(struct msg){.type = MSG_STAGE_TRANSITION, .stage = next.stage});
}

void finding_publish(struct finding *f, const struct found_call *call, struct publisher *p,
		     const struct rule_set *rules, const char *worker, int64_t wall_ms)
{
	f->publisher = p;
	f->waiting = 1; /* nobody is told before all are under way */
	if (has_result(f)) {
		struct msg m = {.type = MSG_DISPATCH_RESULT};
		fill_result(f, call, worker);
		m.result = f->result;
		say(f, &m);
	}
	if (has_end(f, call))
		publish_end(f, call, rules, wall_ms);
	acknowledged(f);
}
