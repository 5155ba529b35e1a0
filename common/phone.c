/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phone numbers by structure alone. Number metadata ages (new area codes are refused by old
 * tables), so a number is refused only where no network could route it; what may be dialed is a
 * gate's business.
 */
#include "common/phone.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"

#define DIGITS_MIN 7
#define DIGITS_MAX 15

static const char *const status_texts[] = {
	[PHONE_OK] = "ok",
	[PHONE_EMPTY] = "empty",
	[PHONE_LETTERS] = "letters",
	[PHONE_SHORT] = "short",
	[PHONE_LONG] = "long",
	[PHONE_NO_COUNTRY] = "no_country",
	[PHONE_BAD_NANP] = "bad_nanp",
};

const char *phone_status_text(enum phone_status s)
{
	return status_texts[s];
}

/* Code points dropped wherever they stand: spaces, dashes, and marks that copied text brings along.
 */
static const struct {
	uint32_t first, last;
} dropped[] = {
	{'\t', '\r'},	  {' ', ' '},	    {'(', ')'},	      {'-', '/'},	{0xa0, 0xa0},
	{0xad, 0xad},	  {0x2000, 0x200f}, {0x2010, 0x2015}, {0x202a, 0x202f}, {0x205f, 0x2060},
	{0x2212, 0x2212}, {0x3000, 0x3000}, {0xfeff, 0xfeff},
};

static bool is_dropped(uint32_t c)
{
	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
		if (c >= dropped[i].first && c <= dropped[i].last)
			return true;
	}
	return false;
}

/* The code point of a well-formed sequence. */
static uint32_t code_point(const char *s, size_t length)
{
	static const unsigned char first_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (unsigned char)s[0] & first_mask[length];

	for (size_t i = 1; i < length; i++)
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	return c;
}

/* #, x, ext, extn or extension, an optional dot or colon, and digits (or nothing) to the end. */
static bool is_extension(const char *s, size_t n)
{
	static const char *const marks[] = {"extension", "extn", "ext", "x", "#"};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		size_t length = strlen(marks[i]);
		if (n < length || strncasecmp(s, marks[i], length) != 0)
			continue;
		size_t at = length;
		if (at < n && (s[at] == '.' || s[at] == ':'))
			at++;
		while (at < n && (s[at] == ' ' || (s[at] >= '0' && s[at] <= '9')))
			at++;
		return at == n;
	}
	return false;
}

struct digits {
	bool plus;
	size_t n;		   /* of all digits seen */
	char text[DIGITS_MAX + 5]; /* the first of them: 15 and an international prefix */
};

static enum phone_status take_digits(const char *text, size_t n, struct digits *ret)
{
	*ret = (struct digits){0};
	for (size_t i = 0; i < n;) {
		size_t length = utf8_sequence(text + i, n - i);
		if (length == 0)
			return PHONE_LETTERS;
		uint32_t c = code_point(text + i, length);
		if (c >= '0' && c <= '9') {
			if (ret->n < sizeof(ret->text))
				ret->text[ret->n] = (char)c;
			ret->n++;
		} else if (c == '+' && !ret->plus && ret->n == 0) {
			ret->plus = true;
		} else if (!is_dropped(c)) {
			if (ret->n == 0 || !is_extension(text + i, n - i))
				return PHONE_LETTERS;
			break;
		}
		i += length;
	}
	return PHONE_OK;
}

enum phone_status phone_normalize(const char *text, size_t n, char ret_e164[PHONE_BYTES])
{
	struct digits d;
	enum phone_status status = take_digits(text, n, &d);

	if (status != PHONE_OK)
		return status;
	const char *digits = d.text;
	size_t count = d.n;
	bool international = d.plus;
	if (!international && count >= 3 && memcmp(digits, "011", 3) == 0) {
		international = true;
		digits += 3;
		count -= 3;
	} else if (!international && count >= 2 && memcmp(digits, "00", 2) == 0) {
		international = true;
		digits += 2;
		count -= 2;
	}
	if (count == 0)
		return PHONE_EMPTY;
	if (count < DIGITS_MIN)
		return PHONE_SHORT;
	if (count > DIGITS_MAX)
		return PHONE_LONG;
	/* North American area codes start with 2..9: "0301234567" is somebody else's national form.
	 */
	bool ten = !international && count == 10 && digits[0] >= '2';
	if (!international && !ten && !(count == 11 && digits[0] == '1'))
		return PHONE_NO_COUNTRY;
	if (digits[0] == '0')
		return PHONE_NO_COUNTRY;
	if (!ten && digits[0] == '1' && count != 11)
		return PHONE_BAD_NANP;
	char *p = ret_e164;
	*p++ = '+';
	if (ten)
		*p++ = '1';
	memcpy(p, digits, count);
	p[count] = '\0';
	return PHONE_OK;
}

bool phone_is_e164(const char *text)
{
	if (!text || text[0] != '+' || text[1] < '1' || text[1] > '9')
		return false;
	size_t n = strspn(text + 1, "0123456789");
	if (text[1 + n] != '\0' || n < DIGITS_MIN || n > DIGITS_MAX)
		return false;
	return text[1] != '1' || n == 11;
}

void phone_mask(const char *e164, char ret_masked[PHONE_BYTES])
{
	size_t n = strlen(e164);
	/* Of a text too short for a number, two digits would be too much. */
	bool show = n >= DIGITS_MIN;
	size_t shown = n < PHONE_BYTES ? n : PHONE_BYTES - 1;

	memset(ret_masked, '*', shown);
	ret_masked[shown] = '\0';
	if (!show)
		return;
	if (e164[0] == '+') {
		ret_masked[0] = e164[0];
		ret_masked[1] = e164[1];
	}
	memcpy(ret_masked + shown - 2, e164 + n - 2, 2);
}
