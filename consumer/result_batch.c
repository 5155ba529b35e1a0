/* SPDX-License-Identifier: Apache-2.0 */
/* Kept apart because two write results: the dispatcher its own, the reconciler those it finds. */
#include "consumer/result_batch.h"

#include <stdio.h>

#define ARRAY_MAX_BYTES (8u << 20)

enum column {
	COLUMN_JOB,
	COLUMN_RESULT,
	COLUMN_REFUSAL,
	COLUMN_CALL,
	COLUMN_STATUS,
	COLUMN_ERROR,
	COLUMN_POSTED,
	COLUMN_ANSWERED,
	COLUMN_RETRY,
};

void result_batch_init(struct result_batch *b, const struct config *cfg)
{
	const int64_t waits[] = {
		config_int(cfg, CONFIG_KEY_RETRY_BASE_S),
		config_int(cfg, CONFIG_KEY_RETRY_MAX_S),
		config_int(cfg, CONFIG_KEY_MAX_CALL_S) +
			config_int(cfg, CONFIG_KEY_MAX_CALL_GRACE_S),
		config_int(cfg, CONFIG_KEY_SWEEP_INTERVAL_S),
	};

	for (size_t i = 0; i < RESULT_BATCH_ARRAYS; i++)
		buf_init(&b->bufs[i], ARRAY_MAX_BYTES);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		snprintf(b->waits[i], sizeof(b->waits[i]), "%lld", (long long)waits[i]);
		b->params[RESULT_BATCH_ARRAYS + i] = b->waits[i];
	}
	result_batch_clear(b);
}

void result_batch_release(struct result_batch *b)
{
	for (size_t i = 0; i < RESULT_BATCH_ARRAYS; i++)
		buf_release(&b->bufs[i]);
}

void result_batch_clear(struct result_batch *b)
{
	b->n = 0;
	for (size_t i = 0; i < RESULT_BATCH_ARRAYS; i++)
		pg_array_init(&b->arrays[i], &b->bufs[i]);
}

static void add_int(struct result_batch *b, enum column c, int64_t v, int64_t absent)
{
	if (v == absent)
		pg_array_add(&b->arrays[c], NULL);
	else
		pg_array_add_int(&b->arrays[c], v);
}

void result_batch_add(struct result_batch *b, const struct msg_dispatch_result *r)
{
	pg_array_add(&b->arrays[COLUMN_JOB], r->job_id);
	pg_array_add(&b->arrays[COLUMN_RESULT], dispatch_result_text(r->result));
	pg_array_add(&b->arrays[COLUMN_REFUSAL], r->refusal);
	pg_array_add(&b->arrays[COLUMN_CALL], r->provider_call_id);
	add_int(b, COLUMN_STATUS, r->http_status, MSG_NO_INT);
	pg_array_add(&b->arrays[COLUMN_ERROR], r->error);
	add_int(b, COLUMN_POSTED, r->posted_at, MSG_NO_TIME);
	add_int(b, COLUMN_ANSWERED, r->answered_at, MSG_NO_TIME);
	add_int(b, COLUMN_RETRY, r->retry_at, MSG_NO_TIME);
	b->n++;
}

const char *const *result_batch_params(struct result_batch *b)
{
	for (size_t i = 0; i < RESULT_BATCH_ARRAYS; i++) {
		b->params[i] = pg_array_finish(&b->arrays[i]);
		if (!b->params[i])
			return NULL;
	}
	return b->params;
}
