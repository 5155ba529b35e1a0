/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the classifier's events. */
#include "webhook_body.h"

static const char *message_id(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "webhook-id") == 0 ? "msg_1" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct webhook_request r = {
		.body = (const char *)data,
		.body_bytes = size,
		.header = message_id,
		.received_at = INT64_C(1700000000000),
	};

	fuzz_request(&webhook_classifier, &r);
	return 0;
}
