/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of Convoso's callbacks: JSON and forms. */
#include "webhook_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_body(&webhook_convoso, data, size);
	return 0;
}
