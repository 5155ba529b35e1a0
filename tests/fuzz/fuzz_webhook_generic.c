/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of any other dialer's events. */
#include "webhook_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_body(&webhook_generic, data, size);
	return 0;
}
