/* SPDX-License-Identifier: Apache-2.0 */
/* Who is refused, and what is not for want of memory: neither fills the log nor loses an event. */
#include "webhook_ingest_world.h"

#include <openssl/crypto.h>

static size_t lines_with(const char *log, const char *event)
{
	size_t n = 0;

	for (; (log = strstr(log, event)) != NULL; log++)
		n++;
	return n;
}

static void forge(void)
{
	static const char *const tokens[] = {"omni-tokem", NULL};

	for (size_t i = 0; i < 350; i++) {
		struct webhook_request r = request_of("{}", NULL);
		r.token = tokens[i % 2];
		if (i == 300)
			world.now_ms += 10000;
		ingest_expire(ingest);
		ingest_take(ingest, "omni", "omni", &r, exchange_of(i));
	}
	take_vapi_forged(350);
	world.now_ms += 10000;
	ingest_expire(ingest);
	/* Quiet for a while: the next is a first one again. */
	world.now_ms += 10000;
	ingest_expire(ingest);
	take_vapi_forged(351);
}

static void forgeries_do_not_fill_the_log(void **state)
{
	char logged[16384];

	(void)state;
	stderr_of(forge, logged, sizeof(logged));
	assert_int_equal(world.answers_count, 352);
	assert_int_equal((int)metric_value(METRIC_SIGNATURE_FAILURES, "omni"), 350);
	assert_int_equal(lines_with(logged, "\"webhook.refused\""), 3);
	assert_int_equal(lines_with(logged, "\"webhook.refused_more\""), 2);
	assert_non_null(strstr(logged, "\"requests\":299"));
	assert_non_null(strstr(logged, "\"requests\":50"));
}

/* ---- No memory ---- */

static bool memory_ends;

static void *allocate(size_t n)
{
	return memory_ends ? NULL : malloc(n);
}

static void *crypto_allocate(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return allocate(n);
}

static void *crypto_reallocate(void *p, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return memory_ends ? NULL : realloc(p, n);
}

static void crypto_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

static void *allocate_never(size_t n)
{
	(void)n;
	return NULL;
}

/* Neither forged nor unreadable: it is to be sent again. */
static void without_memory_nobody_is_refused(void **state)
{
	struct webhook_request omni = request_of(sale, NULL);

	(void)state;
	omni.token = "omni-token";
	json_set_alloc_funcs(allocate, free);
	memory_ends = true;
	take_vapi(report, 0);
	ingest_take(ingest, "omni", "omni", &omni, exchange_of(1));
	memory_ends = false;
	assert_int_equal(world.answers_count, 2);
	assert_int_equal(world.answers[0].status, 503);
	assert_int_equal(world.answers[1].status, 503);
	/* Verified, and then not to be parsed. */
	json_set_alloc_funcs(allocate_never, free);
	take_vapi(report, 2);
	ingest_take(ingest, "omni", "omni", &omni, exchange_of(3));
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(world.answers_count, 4);
	assert_int_equal(world.answers[2].status, 503);
	assert_int_equal(world.answers[3].status, 503);
	assert_int_equal(world.sent_count, 0);
	assert_int_equal((int)metric_value(METRIC_SIGNATURE_FAILURES, "omni"), 0);
	ingest_take(ingest, "omni", "omni", &omni, exchange_of(4));
	assert_true(world.sent_count > 0);
	for (size_t i = 0; i < world.sent_count; i++)
		deliver(i, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(forgeries_do_not_fill_the_log),
		TEST(without_memory_nobody_is_refused),
	};

	/* Before the library has any memory. */
	assert_int_equal(CRYPTO_set_mem_functions(crypto_allocate, crypto_reallocate, crypto_free),
			 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
