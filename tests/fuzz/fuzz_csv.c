/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as CSV. Beyond the sanitizers: what is read does not depend on the pieces it came
 * in, no row passes its bounds, and rows are numbered upwards. With faults, nothing but a first row
 * ends the reading.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/csv.h"

#define ROW_BYTES_MAX 512
#define FIELDS_MAX 16
#define REASON_BYTES 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct sum {
	uint64_t hash;
	size_t rows, last;
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void mix(struct sum *s, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		s->hash = (s->hash ^ (unsigned char)bytes[i]) * UINT64_C(1099511628211);
	s->hash = (s->hash ^ n) * UINT64_C(1099511628211);
}

static bool take(void *arg, const struct csv_row *row)
{
	struct sum *s = arg;
	size_t bytes = 0;

	check(row->number > s->last && row->count <= FIELDS_MAX);
	s->last = row->number;
	s->rows++;
	for (size_t i = 0; i < row->count; i++) {
		check(memchr(row->fields[i].data, '\0', row->fields[i].bytes) == NULL);
		mix(s, row->fields[i].data, row->fields[i].bytes);
		bytes += row->fields[i].bytes;
	}
	check(bytes <= ROW_BYTES_MAX);
	if (row->fault)
		mix(s, row->fault, strlen(row->fault));
	mix(s, (const char *)&row->number, sizeof(row->number));
	return true;
}

static bool read_all(const char *data, size_t n, size_t piece, bool faults, struct sum *ret)
{
	char reason[REASON_BYTES];
	struct buf error;
	bool good = true;

	*ret = (struct sum){0};
	buf_init_fixed(&error, reason, sizeof(reason));
	struct csv *c = csv_new(&(struct csv_options){.row_bytes_max = ROW_BYTES_MAX,
						      .fields_max = FIELDS_MAX,
						      .faults = faults,
						      .on_row = take,
						      .arg = ret});
	for (size_t i = 0; good && i < n; i += piece)
		good = csv_feed(c, data + i, n - i < piece ? n - i : piece, &error);
	good = good && csv_finish(c, &error);
	check(good == (error.len == 0));
	check(good || !faults || ret->rows == 0);
	csv_free(c);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct sum whole, pieces;

	if (n == 0)
		return 0;
	/* An exact copy, so that a read beyond the end is seen. */
	char *copy = malloc(n);
	check(copy != NULL);
	memcpy(copy, data, n);
	size_t piece = 1 + (unsigned char)copy[0] % 7;
	for (int faults = 0; faults < 2; faults++) {
		bool good = read_all(copy + 1, n - 1, n, faults, &whole);
		check(read_all(copy + 1, n - 1, piece, faults, &pieces) == good);
		check(whole.hash == pieces.hash && whole.rows == pieces.rows);
	}
	free(copy);
	return 0;
}
