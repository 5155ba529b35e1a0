/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a lead's variables: what is sent is an object with each name once, and has
 * what jansson reads. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "consumer/providers/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SENT_MAX (1 << 20)

static void check(bool holds)
{
	if (!holds)
		abort();
}

static json_t *parse(const char *text, size_t n, size_t max_bytes)
{
	char reason[256];
	struct buf error;

	buf_init_fixed(&error, reason, sizeof(reason));
	return json_parse(text, n, max_bytes, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dial d = {.job_id = "j", .lead_id = "l", .first_name = "f"};
	const char *key;
	json_t *value;
	struct buf sent;
	char *copy = malloc(n + 1);

	check(copy != NULL);
	memcpy(copy, data, n);
	copy[n] = '\0';
	d.variables = copy;
	buf_init(&sent, SENT_MAX);
	buf_addc(&sent, '{');
	add_variables(&sent, &d);
	buf_addc(&sent, '}');
	check(!sent.failed);
	json_t *got = parse(sent.data, sent.len, SENT_MAX);
	json_t *own = parse(copy, strlen(copy), 32u << 10);
	check(json_is_object(got));
	check(strcmp(json_string_value(json_object_get(got, "job_id")), "j") == 0);
	json_object_foreach (own, key, value) {
		bool ours = strcmp(key, "customer_name") == 0 || strcmp(key, "job_id") == 0 ||
			    strcmp(key, "lead_id") == 0;
		check(ours || json_equal(json_object_get(got, key), value));
	}
	json_decref(own);
	json_decref(got);
	buf_release(&sent);
	free(copy);
	return 0;
}
