/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a configuration text of each type is checked, and what is said when it is wrong. The words
 * name what to set instead; the wrong value itself is repeated only where it can't be a secret.
 */
#include "common/config_types.h"

#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/phone.h"
#include "common/seal.h"

#define TEXT_MAX_BYTES 4096
#define SHOWN_BYTES 80

typedef bool check_fn(const struct config_row *row, const char *text, int64_t *ret_num,
		      struct buf *error);

/* The wrong value in quotes, or words for it. URLs may carry a password. */
static void add_shown(const struct config_row *row, const char *text, struct buf *error)
{
	if ((row->flags & CONFIG_FLAG_SECRET) || strchr(text, '@')) {
		buf_adds(error, "the value");
		return;
	}
	buf_add_json_string(error, text, utf8_prefix(text, strlen(text), SHOWN_BYTES));
	if (strlen(text) > SHOWN_BYTES)
		buf_adds(error, "...");
}

__attribute__((format(printf, 4, 5))) static bool refuse(const struct config_row *row,
							 const char *text, struct buf *error,
							 const char *fmt, ...)
{
	va_list ap;

	add_shown(row, text, error);
	buf_addc(error, ' ');
	va_start(ap, fmt);
	buf_vaddf(error, fmt, ap);
	va_end(ap);
	return false;
}

static bool check_str(const struct config_row *row, const char *text, int64_t *ret_num,
		      struct buf *error)
{
	(void)row, (void)text, (void)ret_num, (void)error;
	return true;
}

static bool check_int(const struct config_row *row, const char *text, int64_t *ret_num,
		      struct buf *error)
{
	char *end;

	errno = 0;
	long long v = strtoll(text, &end, 10);
	bool digits = isdigit((unsigned char)text[0]) ||
		      (text[0] == '-' && isdigit((unsigned char)text[1]));
	bool number = digits && *end == '\0';
	if (number && errno == 0 && v >= row->min && v <= row->max) {
		*ret_num = v;
		return true;
	}
	return refuse(row, text, error, "%s; set a whole number from %lld to %lld (%s)",
		      number ? "is out of bounds" : "is no whole number", (long long)row->min,
		      (long long)row->max, row->detail);
}

static bool check_bool(const struct config_row *row, const char *text, int64_t *ret_num,
		       struct buf *error)
{
	static const char *const words[][2] = {
		{"false", "true"}, {"0", "1"}, {"no", "yes"}, {"off", "on"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (int v = 0; v < 2; v++) {
			if (strcasecmp(text, words[i][v]) == 0) {
				*ret_num = v;
				return true;
			}
		}
	}
	return refuse(row, text, error, "is neither true nor false; set true or false");
}

static bool check_url(const struct config_row *row, const char *text, int64_t *ret_num,
		      struct buf *error)
{
	char *fragment = NULL;
	CURLU *url = curl_url();

	(void)ret_num;
	bool http = strncasecmp(text, "https://", 8) == 0 || strncasecmp(text, "http://", 7) == 0;
	bool good = http && !strpbrk(text, " \t") && url &&
		    curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
		    curl_url_get(url, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_NO_FRAGMENT;
	curl_free(fragment);
	curl_url_cleanup(url);
	return good ||
	       refuse(row, text, error, "is no URL; set one like https://host.example/path");
}

/* Splits "host:port" or "[v6]:port" (port optional if `default_port`); the host's span is returned.
 */
static bool split_hostport(const char *text, size_t n, bool port_optional, const char **ret_host,
			   size_t *ret_host_bytes)
{
	const char *end = text + n;
	const char *colon;

	if (n > 0 && text[0] == '[') {
		const char *bracket = memchr(text, ']', n);
		if (!bracket || bracket == text + 1)
			return false;
		*ret_host = text + 1;
		*ret_host_bytes = (size_t)(bracket - text) - 1;
		if (strspn(text + 1, "0123456789abcdefABCDEF:.%") < *ret_host_bytes)
			return false;
		colon = bracket + 1;
	} else {
		colon = memchr(text, ':', n);
		colon = colon ? colon : end;
		*ret_host = text;
		*ret_host_bytes = (size_t)(colon - text);
		for (const char *p = text; p < colon; p++) {
			if (!isalnum((unsigned char)*p) && !strchr(".-_*", *p))
				return false;
		}
		if (colon == text)
			return false;
	}
	if (colon == end)
		return port_optional;
	unsigned long port = 0;
	for (const char *p = colon + 1; p < end; p++) {
		if (!isdigit((unsigned char)*p) || port > 65535)
			return false;
		port = port * 10 + (unsigned long)(*p - '0');
	}
	return *colon == ':' && colon + 1 < end && port <= 65535;
}

static bool check_hostport(const struct config_row *row, const char *text, int64_t *ret_num,
			   struct buf *error)
{
	const char *host;
	size_t host_bytes;

	(void)ret_num;
	return split_hostport(text, strlen(text), false, &host, &host_bytes) ||
	       refuse(row, text, error, "is no address; set one like 127.0.0.1:8080 or [::]:8080");
}

bool config_hostport_is_loopback(const char *hostport)
{
	const char *host;
	size_t n;

	if (!split_hostport(hostport, strlen(hostport), false, &host, &n))
		return false;
	return (n == 9 && strncasecmp(host, "localhost", n) == 0) ||
	       (n == 3 && memcmp(host, "::1", n) == 0) ||
	       (n > 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= n);
}

static bool check_brokers(const struct config_row *row, const char *text, int64_t *ret_num,
			  struct buf *error)
{
	const char *host;
	size_t host_bytes;

	(void)ret_num;
	for (const char *p = text; *p;) {
		p += strspn(p, " ");
		size_t n = strcspn(p, ",");
		const char *scheme_end = memmem(p, n, "://", 3);
		const char *start = scheme_end ? scheme_end + 3 : p;
		if (!split_hostport(start, (size_t)(p + n - start), true, &host, &host_bytes))
			return refuse(row, text, error,
				      "is no list of brokers; set host:port, separated by commas");
		p += n + (p[n] == ',');
	}
	return true;
}

/* libpq's own words may repeat parts of the password, so they are not passed on. */
static bool check_pgurl(const struct config_row *row, const char *text, int64_t *ret_num,
			struct buf *error)
{
	PQconninfoOption *options = PQconninfoParse(text, NULL);

	(void)ret_num;
	if (!options)
		return refuse(
			row, text, error,
			"can't be read; set one like postgresql://user:password@host:5432/database");
	PQconninfoFree(options);
	return true;
}

/* Minutes of "hh:mm" up to 24:00, or -1. */
static int clock_minutes(const char *text)
{
	for (int i = 0; i < 5; i++) {
		if (i == 2 ? text[i] != ':' : !isdigit((unsigned char)text[i]))
			return -1;
	}
	int hours = (text[0] - '0') * 10 + (text[1] - '0');
	int minutes = (text[3] - '0') * 10 + (text[4] - '0');
	return minutes < 60 && hours * 60 + minutes <= 24 * 60 ? hours * 60 + minutes : -1;
}

static bool check_window(const struct config_row *row, const char *text, int64_t *ret_num,
			 struct buf *error)
{
	(void)ret_num;
	if (strlen(text) == 11 && text[5] == '-') {
		int start = clock_minutes(text), end = clock_minutes(text + 6);
		if (start >= 0 && start < 24 * 60 && end >= 0 && start != end)
			return true;
	}
	return refuse(
		row, text, error,
		"is no window; set HH:MM-HH:MM, like 08:00-21:00 (24:00 may end it, it may cross midnight)");
}

static bool check_hex64(const struct config_row *row, const char *text, int64_t *ret_num,
			struct buf *error)
{
	struct seal_keys keys;

	(void)ret_num;
	bool good = seal_keys_parse(text, &keys) == 0;
	explicit_bzero(&keys, sizeof(keys));
	return good ||
	       refuse(row, text, error,
		      "is no key; set 64 hexadecimal characters, as openssl rand -hex 32 makes them, and behind a comma those it replaces");
}

static bool check_file(const struct config_row *row, const char *text, int64_t *ret_num,
		       struct buf *error)
{
	struct stat st;

	(void)ret_num;
	if (stat(text, &st) == 0 && S_ISREG(st.st_mode) && access(text, R_OK) == 0)
		return true;
	return refuse(row, text, error, "is no file that can be read; set the path of one");
}

static bool check_path(const struct config_row *row, const char *text, int64_t *ret_num,
		       struct buf *error)
{
	const char *slash = strrchr(text, '/');
	struct stat st;

	(void)ret_num;
	char *folder = slash == text ? strdup("/")
		       : slash	     ? strndup(text, (size_t)(slash - text))
				     : strdup(".");
	bool good = folder && text[0] && (!slash || slash[1]) && stat(folder, &st) == 0 &&
		    S_ISDIR(st.st_mode) && access(folder, W_OK) == 0;
	free(folder);
	return good ||
	       refuse(row, text, error,
		      "can't be written; set a path in a folder that exists and is writable");
}

static bool check_phone(const struct config_row *row, const char *text, int64_t *ret_num,
			struct buf *error)
{
	(void)ret_num;
	return phone_is_e164(text) ||
	       refuse(row, text, error, "is no phone number; set one like +12025550100");
}

/* Standard Webhooks: base64, with or without its whsec_ in front. */
static bool check_whsec(const struct config_row *row, const char *text, int64_t *ret_num,
			struct buf *error)
{
	const char *base64 = strncmp(text, "whsec_", 6) == 0 ? text + 6 : text;
	struct buf key;

	(void)ret_num;
	buf_init(&key, TEXT_MAX_BYTES);
	bool good = base64_decode(base64, strlen(base64), &key) == 0 && key.len > 0;
	buf_release(&key);
	return good ||
	       refuse(row, text, error, "is no Standard Webhooks secret; set whsec_ and base64");
}

static bool is_word(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
			return false;
	}
	return n > 0;
}

static bool check_word(const struct config_row *row, const char *text, int64_t *ret_num,
		       struct buf *error)
{
	(void)ret_num;
	return is_word(text, strlen(text)) ||
	       refuse(row, text, error,
		      "has other characters; set letters, digits, dot, underscore, hyphen");
}

/* "phone_number=Phone,status=Disposition": our names of a Convoso event's parts, and theirs. */
static bool check_fields(const struct config_row *row, const char *text, int64_t *ret_num,
			 struct buf *error)
{
	static const char *const names[] = {
#define CONVOSO_FIELD(NAME, name, key, description) name,
#include "common/tbl/convoso_field.h"
#undef CONVOSO_FIELD
	};
	unsigned seen = 0;

	(void)ret_num;
	for (const char *p = text + strspn(text, ", "); *p; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ", "), equals = strcspn(p, "=");
		size_t i = 0;
		while (i < sizeof(names) / sizeof(names[0]) &&
		       (strlen(names[i]) != equals || memcmp(p, names[i], equals) != 0))
			i++;
		if (equals + 1 >= n)
			return refuse(row, text, error,
				      "is no mapping; set field=key, separated by commas");
		if (i == sizeof(names) / sizeof(names[0]))
			return refuse(row, text, error,
				      "maps %.*s, which is no field; they are listed in the README",
				      (int)(equals < 40 ? equals : 40), p);
		if (seen & (1u << i))
			return refuse(row, text, error, "maps %s twice; set one key", names[i]);
		seen |= 1u << i;
		p += n;
	}
	return seen != 0 || refuse(row, text, error, "is an empty mapping; set field=key");
}

/* Plain digits: what strtod() takes besides, PostgreSQL may not. */
static bool check_fraction(const struct config_row *row, const char *text, int64_t *ret_num,
			   struct buf *error)
{
	bool plain = isdigit((unsigned char)text[0]) && text[strspn(text, ".0123456789")] == '\0' &&
		     strchr(text, '.') == strrchr(text, '.') && text[strlen(text) - 1] != '.';

	(void)ret_num;
	return (plain && strtod(text, NULL) <= 1) ||
	       refuse(row, text, error, "is no fraction; set a number from 0 to 1, such as 0.6");
}

#define ZONES_DIRECTORY "/usr/share/zoneinfo"

/* Zones that PostgreSQL does not list among its own. */
static const char *const other_trees[] = {"posix", "right", "Factory"};

/* A file of the zone database of this machine. Where it has none, PostgreSQL alone can tell. */
static bool zone_is_known(const char *name)
{
	char path[sizeof(ZONES_DIRECTORY) + 128], magic[4] = "";

	for (size_t i = 0; i < sizeof(other_trees) / sizeof(other_trees[0]); i++) {
		if (strncmp(name, other_trees[i], strlen(other_trees[i])) == 0)
			return false;
	}
	if (access(ZONES_DIRECTORY "/UTC", R_OK) != 0)
		return true;
	snprintf(path, sizeof(path), "%s/%s", ZONES_DIRECTORY, name);
	FILE *file = fopen(path, "re");
	bool known = file && fread(magic, 1, sizeof(magic), file) == sizeof(magic) &&
		     memcmp(magic, "TZif", sizeof(magic)) == 0;
	if (file)
		fclose(file);
	return known;
}

static bool check_zone(const struct config_row *row, const char *text, int64_t *ret_num,
		       struct buf *error)
{
	(void)ret_num;
	for (const char *p = text; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("/_+-", *p))
			return refuse(row, text, error,
				      "is no time zone; set one like America/New_York");
	}
	if (!isalpha((unsigned char)*text))
		return refuse(row, text, error, "is no time zone; set one like America/New_York");
	return zone_is_known(text) ||
	       refuse(row, text, error,
		      "is no time zone of the IANA database; set one like America/New_York");
}

bool config_word_in(const char *list, char separator, const char *word, size_t n)
{
	const char separators[] = {separator, ' ', '\0'};

	for (const char *p = list; *p;) {
		p += strspn(p, separators);
		size_t length = strcspn(p, separators);
		if (length == n && n > 0 && memcmp(p, word, n) == 0)
			return true;
		p += length;
	}
	return false;
}

static bool check_enum(const struct config_row *row, const char *text, int64_t *ret_num,
		       struct buf *error)
{
	(void)ret_num;
	return config_word_in(row->detail, '|', text, strlen(text)) ||
	       refuse(row, text, error, "is unknown; set one of %s", row->detail);
}

static bool check_list(const struct config_row *row, const char *text, int64_t *ret_num,
		       struct buf *error)
{
	const char *words = row->detail;

	(void)ret_num;
	for (const char *p = text + strspn(text, ", "); *p; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ", ");
		if (*words && !config_word_in(words, '|', p, n))
			return refuse(row, text, error,
				      "holds an unknown word; set some of %s, separated by commas",
				      words);
		if (!is_word(p, n))
			return refuse(row, text, error,
				      "is no list; set words, separated by commas");
		p += n;
	}
	return text[strspn(text, ", ")] != '\0' ||
	       refuse(row, text, error, "is an empty list; set words or leave it out");
}

static check_fn *const checks[CONFIG_TYPE_COUNT] = {
	[CONFIG_TYPE_STR] = check_str,		 [CONFIG_TYPE_INT] = check_int,
	[CONFIG_TYPE_BOOL] = check_bool,	 [CONFIG_TYPE_URL] = check_url,
	[CONFIG_TYPE_HOSTPORT] = check_hostport, [CONFIG_TYPE_BROKERS] = check_brokers,
	[CONFIG_TYPE_PGURL] = check_pgurl,	 [CONFIG_TYPE_WINDOW] = check_window,
	[CONFIG_TYPE_HEX64] = check_hex64,	 [CONFIG_TYPE_FILE] = check_file,
	[CONFIG_TYPE_PATH] = check_path,	 [CONFIG_TYPE_PHONE] = check_phone,
	[CONFIG_TYPE_WHSEC] = check_whsec,	 [CONFIG_TYPE_WORD] = check_word,
	[CONFIG_TYPE_ENUM] = check_enum,	 [CONFIG_TYPE_LIST] = check_list,
	[CONFIG_TYPE_FIELDS] = check_fields,	 [CONFIG_TYPE_ZONE] = check_zone,
	[CONFIG_TYPE_FRACTION] = check_fraction,
};

bool config_check(const struct config_row *row, const char *text, int64_t *ret_num,
		  struct buf *error)
{
	bool number = row->type == CONFIG_TYPE_INT || row->type == CONFIG_TYPE_BOOL;
	size_t max_bytes = number || row->max == 0 ? TEXT_MAX_BYTES : (size_t)row->max;

	for (const char *p = text; *p; p++) {
		if (iscntrl((unsigned char)*p))
			return refuse(row, text, error,
				      "holds a control character (a line's end?); set it without");
	}
	if (strlen(text) > max_bytes)
		return refuse(row, text, error, "is longer than %zu bytes; set a shorter one",
			      max_bytes);
	return checks[row->type](row, text, ret_num, error);
}
