/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a phone number: what is taken is E.164, stays itself, and is masked but for
 * three digits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/phone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char e164[PHONE_BYTES], again[PHONE_BYTES], masked[PHONE_BYTES];
	char *copy = malloc(n + 1);

	check(copy != NULL);
	memcpy(copy, data, n);
	copy[n] = '\0';
	phone_mask(copy, masked);
	check(memchr(masked, '\0', sizeof(masked)) != NULL);
	enum phone_status s = phone_normalize(copy, n, e164);
	check(phone_status_text(s) != NULL);
	if (s == PHONE_OK) {
		check(phone_is_e164(e164));
		check(phone_normalize(e164, strlen(e164), again) == PHONE_OK);
		check(strcmp(e164, again) == 0);
		phone_mask(e164, masked);
		check(strlen(masked) == strlen(e164) &&
		      strspn(masked + 2, "*") == strlen(e164) - 4);
	}
	free(copy);
	return 0;
}
