/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes where another's headers come from: a traceparent to go on with, ids to make
 * headers of, and the names and values of a dead letter's headers as they are kept. What is made of
 * them is text within its bounds.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/kafka.h"
#include "common/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void make(const char *text)
{
	const struct msg m = {
		.type = MSG_CALL_EVENT,
		.event = {.event_id = text,
			  .tenant = text,
			  .provider = "vapi",
			  .account = text,
			  .provider_call_id = text,
			  .lead_id = text,
			  .job_id = text},
	};
	struct kafka_header headers[MSG_HEADERS_MAX];
	struct msg_envelope e;
	char id[64];

	msg_envelope_init(&e, &m, "/fuzz", text, clock_system());
	check(e.headers_count <= MSG_HEADERS_MAX);
	for (size_t i = 0; i < e.headers_count; i++)
		check(memchr(e.headers[i].value, '\0', MSG_HEADER_BYTES) != NULL);
	check(msg_envelope_headers(&e, headers) == e.headers_count);
	msg_id_fit(text, "#redial", id, sizeof(id));
	check(memchr(id, '\0', sizeof(id)) != NULL && strlen(id) >= strlen("#redial"));
}

static void unpack(const char *packed, size_t n)
{
	struct kafka_header headers[KAFKA_HEADERS_MAX];
	struct buf out;

	buf_init(&out, 16 * n + 4096);
	size_t count = kafka_headers_unpack(packed, n, headers);
	check(count <= KAFKA_HEADERS_MAX);
	kafka_headers_json(headers, count, &out);
	(void)kafka_headers_find(headers, count, "traceparent");
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = calloc(1, n + 2);
	size_t texts = 1;

	check(copy != NULL);
	memcpy(copy, data, n);
	for (size_t i = 0; i < n; i++)
		texts += copy[i] == '\0';
	if (copy[0])
		make(copy);
	/* Each name has a value. */
	unpack(copy, n + 1 + texts % 2);
	free(copy);
	return 0;
}
