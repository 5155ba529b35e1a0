/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of Bland's callbacks. */
#include "webhook_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_body(&webhook_bland, data, size);
	return 0;
}
