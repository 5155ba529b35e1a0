/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All bookkeeping about jobs is here, so that a state, its list, its count and its account's share
 * can't come apart.
 */
#include "consumer/dispatch_jobs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define SHARED_FOR_MS 60000
#define USES_MAX 10000 /* later accounts share the last one's counters */

bool job_pool_init(struct job_pool *p, size_t n, struct dispatcher *d)
{
	*p = (struct job_pool){.n = n, .last_switch_ms = INT64_MIN / 2};
	p->jobs = calloc(n, sizeof(*p->jobs));
	if (!p->jobs)
		return false;
	for (size_t i = 0; i < n; i++) {
		struct job *j = &p->jobs[i];
		j->d = d;
		j->state = JOB_FREE;
		DL_APPEND(p->lists[JOB_FREE], j);
	}
	p->counts[JOB_FREE] = n;
	return true;
}

void job_pool_release(struct job_pool *p)
{
	struct job_partition *part, *next_part;
	struct account_use *use, *next_use;

	HASH_CLEAR(hh, p->by_id);
	/* The analyzer can't follow uthash's list. NOLINTBEGIN(clang-analyzer-unix.Malloc) */
	HASH_ITER (hh, p->partitions, part, next_part) {
		HASH_DEL(p->partitions, part);
		free(part);
	}
	HASH_ITER (hh, p->uses, use, next_use) {
		HASH_DEL(p->uses, use);
		free(use);
	}
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
	for (size_t i = 0; i < p->n; i++)
		free(p->jobs[i].dead_bytes);
	free(p->jobs);
	*p = (struct job_pool){0};
}

/* ---- States ---- */

static bool is_active(enum job_state state)
{
	return state == JOB_CLAIMING || state == JOB_POSTING;
}

static void count_use(struct job *j, enum job_state from, enum job_state to)
{
	if (!j->use)
		return;
	if (from == JOB_WAITING)
		j->use->waiting--;
	if (is_active(from))
		j->use->active--;
	if (to == JOB_WAITING)
		j->use->waiting++;
	if (is_active(to))
		j->use->active++;
}

static void leave_list(struct job_pool *p, struct job *j)
{
	DL_DELETE(p->lists[j->state], j);
	p->counts[j->state]--;
}

void job_move(struct job_pool *p, struct job *j, enum job_state state)
{
	leave_list(p, j);
	count_use(j, j->state, state);
	j->state = state;
	DL_APPEND(p->lists[state], j);
	p->counts[state]++;
}

void job_return(struct job_pool *p, struct job *j)
{
	leave_list(p, j);
	count_use(j, j->state, JOB_WAITING);
	j->state = JOB_WAITING;
	DL_PREPEND(p->lists[JOB_WAITING], j);
	p->counts[JOB_WAITING]++;
}

/* ---- Accounts ---- */

static struct account_use *use_of(struct job_pool *p, const char *account)
{
	struct account_use *use = NULL;

	HASH_FIND_STR(p->uses, account, use);
	if (use)
		return use;
	if (HASH_COUNT(p->uses) >= USES_MAX)
		return p->last_use;
	use = calloc(1, sizeof(*use));
	if (!use)
		return p->last_use;
	snprintf(use->name, sizeof(use->name), "%s", account);
	HASH_ADD_STR(p->uses, name, use);
	return use;
}

void job_set_use(struct job_pool *p, struct job *j, const char *account, int64_t now_ms)
{
	struct account_use *use = use_of(p, account);

	assert(!j->use);
	if (p->last_use && use != p->last_use)
		p->last_switch_ms = now_ms;
	p->last_use = use;
	j->use = use;
	count_use(j, JOB_FREE, j->state);
}

bool job_pool_is_shared(const struct job_pool *p, int64_t now_ms)
{
	return now_ms - p->last_switch_ms < SHARED_FOR_MS;
}

/* ---- Marks ---- */

/* NULL without memory. */
static struct job_partition *partition_of(struct job_pool *p, int32_t id)
{
	struct job_partition *part = NULL;

	HASH_FIND(hh, p->partitions, &id, sizeof(id), part);
	if (part)
		return part;
	part = calloc(1, sizeof(*part));
	if (!part)
		return NULL;
	part->id = id;
	part->stuck_at = -1;
	HASH_ADD(hh, p->partitions, id, sizeof(part->id), part);
	return part;
}

static int64_t low_water(const struct job_partition *part)
{
	int64_t next = part->undecided ? part->undecided->offset : part->next;

	return part->stuck_at >= 0 && part->stuck_at < next ? part->stuck_at : next;
}

bool job_decide(struct job_pool *p, struct job *j, int32_t *ret_partition, int64_t *ret_next)
{
	struct job_partition *part = j->partition;

	(void)p;
	if (!part)
		return false;
	bool first = part->undecided == j;
	DL_DELETE2(part->undecided, j, mark_prev, mark_next);
	j->partition = NULL;
	*ret_partition = part->id;
	*ret_next = low_water(part);
	return first;
}

bool job_pool_skip(struct job_pool *p, int32_t partition, int64_t offset, int64_t *ret_next)
{
	struct job_partition *part = partition_of(p, partition);

	if (!part)
		return false;
	part->next = offset + 1;
	*ret_next = part->next;
	return !part->undecided;
}

void job_pool_revoke(struct job_pool *p, int32_t partition)
{
	struct job_partition *part = NULL;
	struct job *j, *next;

	HASH_FIND(hh, p->partitions, &partition, sizeof(partition), part);
	if (!part)
		return;
	DL_FOREACH_SAFE2 (part->undecided, j, next, mark_next) {
		DL_DELETE2(part->undecided, j, mark_prev, mark_next);
		j->partition = NULL;
		/* A lost claim may be ours, a dead letter is on its way: both go on. */
		if (j->state == JOB_WAITING && !j->lost)
			job_free(p, j);
	}
	HASH_DEL(p->partitions, part);
	free(part);
}

/* ---- Life ---- */

struct job *job_take(struct job_pool *p, enum job_state state, int32_t partition, int64_t offset)
{
	struct job *j = p->lists[JOB_FREE];
	struct job_partition *part = j ? partition_of(p, partition) : NULL;

	if (!part)
		return NULL;
	job_move(p, j, state);
	j->partition = part;
	j->partition->next = offset + 1;
	j->offset = offset;
	DL_APPEND2(j->partition->undecided, j, mark_prev, mark_next);
	return j;
}

bool job_identify(struct job_pool *p, struct job *j, const char *job_id)
{
	struct job *other = NULL;
	size_t n = strlen(job_id);
	unsigned hash;

	assert(n < sizeof(j->job_id));
	HASH_VALUE(job_id, n, hash);
	HASH_FIND_BYHASHVALUE(hh, p->by_id, job_id, n, hash, other);
	if (other)
		return false;
	memcpy(j->job_id, job_id, n + 1);
	HASH_ADD_BYHASHVALUE(hh, p->by_id, job_id, n, hash, j);
	return true;
}

struct job *job_find(struct job_pool *p, const char *job_id)
{
	struct job *j = NULL;

	HASH_FIND_STR(p->by_id, job_id, j);
	return j;
}

void job_free(struct job_pool *p, struct job *j)
{
	assert(!j->partition);
	if (j->job_id[0])
		HASH_DEL(p->by_id, j);
	job_move(p, j, JOB_FREE);
	free(j->dead_bytes);
	j->dead_bytes = NULL;
	j->use = NULL;
	j->job_id[0] = '\0';
	j->asked = j->lost = j->writing = j->written = j->publishing = j->published = false;
	j->held_by = NULL;
	j->adapter = NULL;
}

void job_forget(struct job_pool *p, struct job *j)
{
	struct job_partition *part = j->partition;

	/* The mark can't pass this offset any more: whatever is read later is not stored. */
	if (part) {
		DL_DELETE2(part->undecided, j, mark_prev, mark_next);
		if (part->stuck_at < 0 || j->offset < part->stuck_at)
			part->stuck_at = j->offset;
		j->partition = NULL;
	}
	job_free(p, j);
}

/* ---- Results ---- */

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

void job_result(const struct job *j, const char *worker, struct msg_dispatch_result *ret)
{
	*ret = (struct msg_dispatch_result){
		.job_id = j->job_id,
		.follow_up_id = j->follow_up_id,
		.tenant = j->tenant,
		.kind = j->kind,
		.lead_id = j->lead_id,
		.phone = j->phone,
		.account = j->account,
		.result = j->verdict.result,
		.refusal = refusal_text(j->verdict.refusal),
		.provider = j->provider,
		.provider_call_id = text_or_null(j->verdict.provider_call_id),
		.http_status = j->http_status,
		.error = text_or_null(j->verdict.error),
		.posted_at = j->posted_at,
		.answered_at = j->answered_at,
		.retry_at = j->retry_at,
		.worker = worker,
	};
}
