/* SPDX-License-Identifier: Apache-2.0 */
#include "consumer/written.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BITS 14
#define SLOTS (1u << SLOT_BITS)
#define NO_RESULT (-1)

struct slot {
	uint64_t high, low; /* of the job id */
	int result;
};

struct written {
	struct slot slots[SLOTS];
};

/* The 32 hexadecimal digits of a UUID. */
static void read_id(const char *text, struct slot *ret_id)
{
	uint64_t half[2] = {0, 0};
	size_t digits = 0;

	for (; *text && digits < 32; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '-')
			continue;
		half[digits / 16] = half[digits / 16] << 4 | ((c & 15u) + (c >= 'A' ? 9u : 0u));
		digits++;
	}
	ret_id->high = half[0];
	ret_id->low = half[1];
}

/* One place for each id: of a batch's, which count on, no two have the same. */
static struct slot *place(struct written *w, const struct slot *id)
{
	return &w->slots[(id->low ^ id->high) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SLOT_BITS)];
}

struct written *written_new(void)
{
	struct written *w = malloc(sizeof(*w));

	if (w)
		written_forget(w);
	return w;
}

void written_free(struct written *w)
{
	free(w);
}

void written_add(struct written *w, const char *job_id, enum dispatch_result result)
{
	struct slot id = {.result = (int)result};

	if (!w)
		return;
	read_id(job_id, &id);
	*place(w, &id) = id;
}

bool written_take(struct written *w, const char *job_id, enum dispatch_result result)
{
	struct slot id;

	if (!w)
		return false;
	read_id(job_id, &id);
	struct slot *s = place(w, &id);
	if (s->high != id.high || s->low != id.low || s->result != (int)result)
		return false;
	s->result = NO_RESULT;
	return true;
}

void written_forget(struct written *w)
{
	for (size_t i = 0; w && i < SLOTS; i++)
		w->slots[i] = (struct slot){.result = NO_RESULT};
}
