/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file holds {"accounts":[...],"rules":[...],"words":[...],"zones":[...]}, sealed. It is
 * written beside its place, forced to disk and renamed: whoever starts next finds the old one or
 * the new one, never half of one.
 */
#include "webhook/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json.h"
#include "common/pg.h"
#include "common/rules/words.h"
#include "common/seal.h"

#define SEAL_CONTEXT "webhook-snapshot"
#define SNAPSHOT_BYTES_MAX (64u << 20)
#define PATH_BYTES 4096

static struct snapshot *snapshot_new(void)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (s && !rule_set_init(&s->rules)) {
		rule_set_release(&s->rules);
		free(s);
		return NULL;
	}
	return s;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	account_set_free(s->environment);
	account_set_free(s->accounts);
	rule_set_release(&s->rules);
	free(s);
}

const struct account *snapshot_account(const struct snapshot *s, const char *name)
{
	const struct account *a = s->environment ? account_by_name(s->environment, name) : NULL;

	return a ? a : account_by_name(s->accounts, name);
}

bool snapshot_account_is_shut(const struct snapshot *s, const char *name)
{
	return !snapshot_account(s, name) && account_is_shut(s->accounts, name);
}

/* ---- Rules ---- */

static bool fill(char *ret, size_t n, const char *text)
{
	if (!text || strlen(text) >= n)
		return false;
	memcpy(ret, text, strlen(text) + 1);
	return true;
}

/* False: full, or a text or action that no rule has. */
static bool add_rule(struct rule_set *rules, const char *tenant, const char *outcome,
		     const char *action, const char *next_stage)
{
	struct outcome_rule r;

	if (rules->n >= RULES_MAX || !action || !rule_action_parse(action, &r.action) ||
	    !fill(r.tenant, sizeof(r.tenant), tenant) ||
	    !fill(r.outcome, sizeof(r.outcome), outcome) ||
	    !fill(r.next_stage, sizeof(r.next_stage), next_stage))
		return false;
	rules->rules[rules->n++] = r;
	return true;
}

static void take_rules(struct rule_set *rules, const PGresult *rows, struct buf *problems)
{
	int tenant = pg_col(rows, "tenant"), outcome = pg_col(rows, "outcome");
	int action = pg_col(rows, "action"), stage = pg_col(rows, "next_stage");
	int left_out = 0;

	for (int i = 0; i < PQntuples(rows); i++)
		left_out += !add_rule(rules, pg_text(rows, i, tenant), pg_text(rows, i, outcome),
				      pg_text(rows, i, action), pg_text(rows, i, stage));
	if (left_out > 0)
		buf_addf(problems, "outcome rules: %d can't be used; at most %d are taken\n",
			 left_out, RULES_MAX);
}

static void take_words(struct rule_set *rules, const PGresult *rows, struct buf *problems)
{
	int tenant = pg_col(rows, "tenant"), provider = pg_col(rows, "provider");
	int word = pg_col(rows, "word"), outcome = pg_col(rows, "outcome");
	int left_out = 0;

	for (int i = 0; i < PQntuples(rows); i++)
		left_out += !rule_set_add_word(rules, pg_text(rows, i, tenant),
					       pg_text(rows, i, provider), pg_text(rows, i, word),
					       pg_text(rows, i, outcome));
	if (left_out > 0)
		buf_addf(problems, "outcome words: %d can't be used; at most %d are taken\n",
			 left_out, WORDS_MAX);
}

/* A zone that PostgreSQL doesn't know has no rows: its times would be taken for those of receipt.
 */
static void take_zones(struct snapshot *s, const PGresult *rows, struct buf *problems)
{
	int name = pg_col(rows, "name"), from = pg_col(rows, "from_ms");
	int offset = pg_col(rows, "offset_s"), left_out = 0;

	for (int i = 0; i < PQntuples(rows); i++)
		left_out += !zones_add(&s->zones, pg_text(rows, i, name), pg_int(rows, i, from),
				       pg_int(rows, i, offset));
	if (left_out > 0)
		buf_addf(problems, "time zones: %d changes of clocks can't be used\n", left_out);
	for (size_t i = 0; i < account_count(s->accounts); i++) {
		const struct account *a = account_at(s->accounts, i);
		const char *zone = account_setting(a, "time_zone");
		if (zone && !zones_know(&s->zones, zone))
			buf_addf(problems, "account %s: %s is no time zone\n", a->name, zone);
	}
}

struct snapshot *snapshot_of_rows(const struct config *cfg, const struct snapshot_rows *rows,
				  const struct seal_keys *keys, struct buf *problems)
{
	struct snapshot *s = snapshot_new();

	if (!s)
		return NULL;
	s->accounts = account_set_new(cfg, rows->accounts, keys, problems);
	if (!s->accounts) {
		snapshot_free(s);
		return NULL;
	}
	take_rules(&s->rules, rows->rules, problems);
	take_words(&s->rules, rows->words, problems);
	rule_set_sort(&s->rules);
	take_zones(s, rows->zones, problems);
	return s;
}

/* ---- As JSON ---- */

static void write_text(struct buf *b, const char *name, const char *text)
{
	buf_addf(b, "\"%s\":", name);
	buf_add_json_string(b, text, strlen(text));
}

static void write_rules(const struct rule_set *rules, struct buf *b)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct outcome_rule *r = &rules->rules[i];
		buf_adds(b, i > 0 ? ",{" : "{");
		write_text(b, "tenant", r->tenant);
		buf_addc(b, ',');
		write_text(b, "outcome", r->outcome);
		buf_addc(b, ',');
		write_text(b, "action", rule_action_text(r->action));
		buf_addc(b, ',');
		write_text(b, "next_stage", r->next_stage);
		buf_addc(b, '}');
	}
}

static void write_words(const struct rule_set *rules, struct buf *b)
{
	for (size_t i = 0; i < rules->words_count; i++) {
		const struct outcome_word *w = &rules->words[i];
		buf_adds(b, i > 0 ? ",{" : "{");
		write_text(b, "tenant", w->tenant);
		buf_addc(b, ',');
		write_text(b, "provider", w->provider);
		buf_addc(b, ',');
		write_text(b, "word", w->word);
		buf_addc(b, ',');
		write_text(b, "outcome", w->outcome);
		buf_addc(b, '}');
	}
}

static void write_zones(const struct zones *zones, struct buf *b)
{
	for (size_t i = 0; i < zones->n; i++) {
		const struct zone_offset *z = &zones->offsets[i];
		buf_adds(b, i > 0 ? ",{" : "{");
		write_text(b, "name", z->name);
		buf_addf(b, ",\"from_ms\":%" PRId64 ",\"offset_s\":%" PRId64 "}", z->from_ms,
			 z->offset_s);
	}
}

static void write_json(const struct snapshot *s, struct buf *b)
{
	buf_adds(b, "{\"accounts\":");
	account_set_write(s->accounts, b);
	buf_adds(b, ",\"rules\":[");
	write_rules(&s->rules, b);
	buf_adds(b, "],\"words\":[");
	write_words(&s->rules, b);
	buf_adds(b, "],\"zones\":[");
	write_zones(&s->zones, b);
	buf_adds(b, "]}");
}

static bool read_rules(struct rule_set *rules, const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		if (!add_rule(rules, json_string_value(json_path(row, "tenant")),
			      json_string_value(json_path(row, "outcome")),
			      json_string_value(json_path(row, "action")),
			      json_string_value(json_path(row, "next_stage"))))
			return false;
	}
	return json_is_array(rows);
}

static bool read_words(struct rule_set *rules, const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach (rows, i, row) {
		if (!rule_set_add_word(rules, json_string_value(json_path(row, "tenant")),
				       json_string_value(json_path(row, "provider")),
				       json_string_value(json_path(row, "word")),
				       json_string_value(json_path(row, "outcome"))))
			return false;
	}
	return json_is_array(rows);
}

static bool read_zones(struct zones *zones, const json_t *rows)
{
	const json_t *row;
	int64_t from_ms, offset_s;
	size_t i;

	json_array_foreach (rows, i, row) {
		if (!json_path_int(row, "from_ms", &from_ms) ||
		    !json_path_int(row, "offset_s", &offset_s) ||
		    !zones_add(zones, json_path_text(row, "name"), from_ms, offset_s))
			return false;
	}
	return json_is_array(rows);
}

static bool read_json(struct snapshot *s, const struct buf *plain, struct buf *error)
{
	_cleanup_json_ json_t *j = json_parse(plain->data, plain->len, SNAPSHOT_BYTES_MAX, error);
	struct buf accounts;

	if (!j)
		return false;
	buf_init(&accounts, SNAPSHOT_BYTES_MAX);
	json_write(json_path(j, "accounts"), &accounts);
	s->accounts = account_set_read(accounts.data, accounts.len, error);
	explicit_bzero(accounts.data, accounts.len);
	buf_release(&accounts);
	if (!s->accounts)
		return false;
	if (!read_rules(&s->rules, json_path(j, "rules")) ||
	    !read_words(&s->rules, json_path(j, "words")) ||
	    !read_zones(&s->zones, json_path(j, "zones"))) {
		buf_adds(error, "no snapshot of rules");
		return false;
	}
	rule_set_sort(&s->rules);
	return true;
}

/* ---- The file ---- */

static bool write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = write(fd, bytes, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		bytes += written;
		n -= (size_t)written;
	}
	return true;
}

/* The rename lasts once the folder is on disk. */
static bool sync_folder_of(const char *path)
{
	char folder[PATH_BYTES];
	const char *slash = strrchr(path, '/');
	size_t n = slash == path ? 1 : slash ? (size_t)(slash - path) : 0;

	memcpy(folder, path, n);
	folder[n] = '\0';
	int fd = open(n > 0 ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool good = fsync(fd) == 0;
	close(fd);
	return good;
}

static bool replace_file(const char *path, const struct buf *sealed)
{
	char temporary[PATH_BYTES];

	if (snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid()) >=
	    (int)sizeof(temporary)) {
		errno = ENAMETOOLONG;
		return false;
	}
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd < 0)
		return false;
	bool good = write_all(fd, sealed->data, sealed->len) && fsync(fd) == 0;
	good = close(fd) == 0 && good;
	good = good && rename(temporary, path) == 0;
	if (!good) {
		int reason = errno;
		unlink(temporary);
		errno = reason;
		return false;
	}
	return sync_folder_of(path);
}

int snapshot_save(const struct snapshot *s, const char *path, const struct seal_keys *keys,
		  struct buf *error)
{
	struct buf plain, sealed;
	int result = -1;

	buf_init(&plain, SNAPSHOT_BYTES_MAX);
	buf_init(&sealed, SNAPSHOT_BYTES_MAX);
	write_json(s, &plain);
	if (plain.failed || seal(keys->key[0], SEAL_CONTEXT, plain.data, plain.len, &sealed) != 0 ||
	    sealed.failed)
		buf_adds(error, "it can't be sealed");
	else if (!replace_file(path, &sealed))
		buf_addf(error, "%s: %s", path, strerror(errno));
	else
		result = 0;
	explicit_bzero(plain.data, plain.len);
	buf_release(&plain);
	buf_release(&sealed);
	return result;
}

static bool read_file(const char *path, struct buf *ret)
{
	char part[16384];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	do {
		n = read(fd, part, sizeof(part));
		if (n > 0)
			buf_add(ret, part, (size_t)n);
	} while (!ret->failed && (n > 0 || (n < 0 && errno == EINTR)));
	int reason = ret->failed ? EFBIG : errno;
	close(fd);
	errno = reason;
	return n == 0;
}

struct snapshot *snapshot_load(const struct config *cfg, const char *path,
			       const struct seal_keys *keys, struct buf *error)
{
	struct buf sealed, plain;
	struct snapshot *s = snapshot_new();
	bool good = false;
	size_t which;

	if (!s)
		return NULL;
	buf_init(&sealed, SNAPSHOT_BYTES_MAX);
	buf_init(&plain, SNAPSHOT_BYTES_MAX);
	if (!read_file(path, &sealed))
		buf_addf(error, "%s: %s", path, strerror(errno));
	else if (unseal_any(keys, SEAL_CONTEXT, sealed.data, sealed.len, &plain, &which) != 0)
		buf_addf(error, "%s: is not sealed with this SECRET_KEY", path);
	else
		good = read_json(s, &plain, error);
	explicit_bzero(plain.data, plain.len);
	buf_release(&plain);
	buf_release(&sealed);
	if (good) {
		s->environment = account_set_new(cfg, NULL, NULL, error);
		good = s->environment != NULL;
	}
	if (!good) {
		snapshot_free(s);
		return NULL;
	}
	return s;
}
