/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each wrong key puts the time at which an address has all its tries again off by SIGN_IN_EVERY_MS;
 * when that is SIGN_IN_TRIES of these away, there is none left. So an address is one number, and
 * the one to forget is the one that has the most tries.
 */
#include "producer/api/sign_ins.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static size_t place_of(const struct sign_ins *s, const char *address)
{
	size_t i = 0;

	while (i < SIGN_IN_ADDRESSES && strcmp(s->seen[i].address, address) != 0)
		i++;
	return i;
}

int64_t sign_ins_wait_ms(const struct sign_ins *s, const char *address, int64_t now_ms)
{
	size_t i = place_of(s, address);

	if (i == SIGN_IN_ADDRESSES)
		return 0;
	int64_t wait_ms = s->seen[i].spent_until_ms - now_ms -
			  INT64_C(1) * SIGN_IN_EVERY_MS * (SIGN_IN_TRIES - 1);
	return wait_ms > 0 ? wait_ms : 0;
}

void sign_ins_failed(struct sign_ins *s, const char *address, int64_t now_ms)
{
	size_t place = place_of(s, address);

	if (place == SIGN_IN_ADDRESSES) {
		place = 0;
		for (size_t i = 1; i < SIGN_IN_ADDRESSES; i++) {
			if (s->seen[i].spent_until_ms < s->seen[place].spent_until_ms)
				place = i;
		}
	}
	if (strcmp(s->seen[place].address, address) != 0) {
		snprintf(s->seen[place].address, sizeof(s->seen[place].address), "%s", address);
		s->seen[place].spent_until_ms = 0;
	}
	if (s->seen[place].spent_until_ms < now_ms)
		s->seen[place].spent_until_ms = now_ms;
	s->seen[place].spent_until_ms += SIGN_IN_EVERY_MS;
}

void sign_ins_succeeded(struct sign_ins *s, const char *address)
{
	size_t i = place_of(s, address);

	if (i < SIGN_IN_ADDRESSES)
		s->seen[i].spent_until_ms = 0;
}
