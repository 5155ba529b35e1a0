/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phone numbers to E.164 by structure (ITU-T E.164: at most 15 digits), not by metadata that ages.
 *
 * Kept in step with carillon.normalize_phone() in SQL: tests/unit and tests/sql read one vector
 * table.
 */
#ifndef CARILLON_PHONE_H
#define CARILLON_PHONE_H

#include <stdbool.h>
#include <stddef.h>

#define PHONE_BYTES 17 /* '+', 15 digits, NUL */

enum phone_status {
	PHONE_OK,
	PHONE_EMPTY,
	PHONE_LETTERS, /* anything else than digits, separators, one leading '+' and an extension */
	PHONE_SHORT,
	PHONE_LONG,
	PHONE_NO_COUNTRY, /* without '+' and not a 10-digit (or 11 with leading 1) North American
			     number */
	PHONE_BAD_NANP,	  /* +1 without exactly ten digits */
};
const char *phone_status_text(enum phone_status s);

/*
 * Spaces, ( ) - . / and Unicode spaces and dashes are dropped; "00" and "011" become '+'; ten
 * digits that do not start with 0 or 1, or eleven that start with 1, are North American; an
 * extension at the end (x, ext, extn, extension or #, and digits) is cut. The text is foreign: any
 * bytes. tests/vectors/phone.tsv has the cases.
 */
enum phone_status phone_normalize(const char *text, size_t n, char ret_e164[PHONE_BYTES]);
/* ^\+[1-9][0-9]{6,14}$, and +1 with exactly ten digits. */
bool phone_is_e164(const char *text);
/* "+1********67"-like: first digit, stars, last two digits; all stars when shorter than a number.
 */
void phone_mask(const char *e164, char ret_masked[PHONE_BYTES]);

#endif
