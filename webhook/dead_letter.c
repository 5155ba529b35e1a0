/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The account is the key: nothing else is known of such a body, and a key is never empty.
 */
#include "webhook/dead_letter.h"

#include <string.h>

void dead_letter_init(struct dead_letter *ret, const char *dead_topic, const char *topic,
		      const char *source, const struct account *a, const struct webhook_request *r,
		      const char *reason)
{
	time_format(r->received_at, ret->at);
	const struct kafka_header headers[DEAD_LETTER_HEADERS] = {
		{"x-dlt-reason", reason},
		{"x-dlt-topic", topic},
		{"x-dlt-at", ret->at},
		{"x-dlt-source", source},
		{"x-dlt-provider", a->provider},
		{"x-dlt-account", a->name},
		{"kafka_dlt-exception-message", reason},
		{"kafka_dlt-original-topic", topic},
	};
	memcpy(ret->headers, headers, sizeof(headers));
	ret->message = (struct kafka_message){
		.topic = dead_topic,
		.key = a->name,
		.key_bytes = strlen(a->name),
		.value = r->body,
		.value_bytes = r->body_bytes,
		.headers = ret->headers,
		.headers_count = DEAD_LETTER_HEADERS,
	};
}
