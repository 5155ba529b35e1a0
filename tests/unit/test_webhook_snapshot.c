/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and rules as read from PostgreSQL, and kept in a sealed file. */
#include "webhook_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/rules/words.h"
#include "common/seal.h"
#include "webhook/snapshot.h"

static const struct seal_keys keys = {1, {"0123456789abcdef0123456789abcde"}};
static const struct seal_keys other_keys = {1, {"another key, of the same length"}};
static const struct seal_keys replaced = {
	2, {"another key, of the same length", "0123456789abcdef0123456789abcde"}};

static char path[64];
static char folder[32];
static struct buf text;

static struct config *load(const char *omni_token)
{
	char token[64];
	const char *environment[] = {"DATABASE_URL=dbname=x", "KAFKA_BROKERS=x", token, NULL};
	struct buf errors;

	snprintf(token, sizeof(token), "OMNI_WEBHOOK_TOKEN=%s", omni_token);
	buf_init(&errors, 10000);
	struct config *cfg = config_load(CONFIG_WEBHOOK, environment, &errors);
	if (!cfg)
		fail_msg("%s", errors.data);
	buf_release(&errors);
	return cfg;
}

/* A result of texts; NULL cells are SQL NULLs. */
static PGresult *result_of(const char *const *columns, int n_columns, const char *const *cells,
			   int n_rows)
{
	PGresAttDesc attributes[16];
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	assert_non_null(res);
	memset(attributes, 0, sizeof(attributes));
	for (int c = 0; c < n_columns; c++)
		attributes[c].name = (char *)columns[c];
	assert_true(PQsetResultAttrs(res, n_columns, attributes));
	for (int i = 0; i < n_rows * n_columns; i++) {
		const char *cell = cells[i];
		assert_true(PQsetvalue(res, i / n_columns, i % n_columns, (char *)cell,
				       cell ? (int)strlen(cell) : -1));
	}
	return res;
}

static PGresult *account_rows(void)
{
	static const char *const columns[] = {"id",	     "name",	 "tenant_id",
					      "provider",    "active",	 "max_concurrent",
					      "credentials", "settings", "source"};
	struct buf sealed;
	char *hex;

	buf_init(&sealed, 1000);
	static const char credentials[] = "{\"webhook_secret\":\"sealed-secret\"}";
	assert_int_equal(seal(keys.key[0], "west", credentials, strlen(credentials), &sealed), 0);
	hex = malloc(2 * sealed.len + 1);
	assert_non_null(hex);
	hex_encode((const unsigned char *)sealed.data, sealed.len, hex);
	const char *const cells[] = {"1",    "omni", "default",	    "omni", "t",    "0",
				     NULL,   "{}",   "environment", "2",    "west", "acme",
				     "vapi", "t",    "5",	    hex,    "{}",   "api"};
	PGresult *res = result_of(columns, 9, cells, 2);
	free(hex);
	buf_release(&sealed);
	return res;
}

static PGresult *rule_rows(void)
{
	static const char *const columns[] = {"tenant", "outcome", "action", "next_stage"};
	static const char *const cells[] = {
		"",	"SALE", "success", "closed", "acme", "SALE",  "stop",	  "",
		"acme", "ODD",	"explode", "",	     "",     "QUIET", "suppress", "lost"};

	return result_of(columns, 4, cells, 4);
}

static PGresult *word_rows(void)
{
	static const char *const columns[] = {"tenant", "provider", "word", "outcome"};
	static const char *const cells[] = {
		"",	"vapi", "CUSTOMER_BUSY", "VOICEMAIL", "acme", "vapi", "CUSTOMER_BUSY",
		"SALE", "",	"vapi",		 "",	      "SALE"};

	return result_of(columns, 4, cells, 3);
}

static PGresult *zone_rows(void)
{
	static const char *const columns[] = {"name", "from_ms", "offset_s"};
	static const char *const cells[] = {"America/Phoenix", "0", "-25200", "Asia/Kolkata", "0",
					    "19800",	       "X", "0",      "999999999999"};

	return result_of(columns, 3, cells, 3);
}

static struct snapshot *snapshot_of(const struct config *cfg)
{
	PGresult *accounts = account_rows();
	PGresult *rules = rule_rows();
	PGresult *words = word_rows();
	PGresult *zones = zone_rows();

	buf_clear(&text);
	struct snapshot *s = snapshot_of_rows(
		cfg, &(struct snapshot_rows){accounts, rules, words, zones}, &keys, &text);
	PQclear(accounts);
	PQclear(rules);
	PQclear(words);
	PQclear(zones);
	assert_non_null(s);
	return s;
}

static void assert_holds_it_all(const struct snapshot *s)
{
	const struct account *a = snapshot_account(s, "west");

	assert_non_null(a);
	assert_string_equal(a->tenant, "acme");
	assert_string_equal(a->provider, "vapi");
	assert_string_equal(account_setting(a, "webhook_secret"), "sealed-secret");
	assert_non_null(snapshot_account(s, "omni"));
	assert_null(snapshot_account(s, "east"));
	assert_int_equal(s->rules.n, 3);
	assert_int_equal(rule_set_find(&s->rules, "acme", "SALE")->action, RULE_STOP);
	assert_int_equal(rule_set_find(&s->rules, "default", "SALE")->action, RULE_SUCCESS);
	assert_string_equal(rule_set_find(&s->rules, "acme", "QUIET")->next_stage, "lost");
	assert_null(rule_set_find(&s->rules, "acme", "ODD"));

	struct word_meaning meaning;
	int64_t at = 0;
	assert_int_equal(s->rules.words_count, 2);
	assert_true(word_find(&s->rules, "acme", "vapi", WORD_STATUS, "customer-busy", &meaning));
	assert_string_equal(meaning.outcome, "SALE");
	assert_true(word_find(&s->rules, "other", "vapi", WORD_STATUS, "customer-busy", &meaning));
	assert_string_equal(meaning.outcome, "VOICEMAIL");
	assert_true(zones_local_time(&s->zones, "Asia/Kolkata", "1970-01-01 05:30:01", &at));
	assert_int_equal(at, 1000);
	assert_false(zones_know(&s->zones, "X"));
}

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/snapshot-XXXXXX");
	buf_init(&text, 10000);
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/snapshot", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	buf_release(&text);
	/* Fails if a half-written file was left beside it. */
	return rmdir(folder);
}

static void rows_become_accounts_and_rules(void **state)
{
	struct config *cfg = load("token-1");
	struct snapshot *s = snapshot_of(cfg);

	(void)state;
	assert_holds_it_all(s);
	assert_non_null(strstr(text.data, "outcome rules: 1 can't be used"));
	assert_non_null(strstr(text.data, "outcome words: 1 can't be used"));
	assert_non_null(strstr(text.data, "time zones: 1 changes"));
	assert_string_equal(account_setting(snapshot_account(s, "omni"), "webhook_token"),
			    "token-1");
	snapshot_free(s);
	config_free(cfg);
}

static void the_file_brings_it_all_back(void **state)
{
	struct config *cfg = load("token-1");
	struct snapshot *s = snapshot_of(cfg);
	struct stat status;
	char bytes[4096];

	(void)state;
	/* Twice: the second one takes the place of the first. */
	for (int i = 0; i < 2; i++) {
		if (snapshot_save(s, path, &keys, &text) != 0)
			fail_msg("%s", text.data);
	}
	snapshot_free(s);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	size_t n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	assert_true(n > 100);
	assert_null(memmem(bytes, n, "sealed-secret", 13));
	assert_null(memmem(bytes, n, "token-1", 7));

	s = snapshot_load(cfg, path, &keys, &text);
	if (s)
		assert_holds_it_all(s);
	else
		fail_msg("%s", text.data);
	snapshot_free(s);
	config_free(cfg);
}

static void the_environment_of_today_wins(void **state)
{
	struct config *cfg = load("token-1");
	struct snapshot *s = snapshot_of(cfg);

	(void)state;
	assert_int_equal(snapshot_save(s, path, &keys, &text), 0);
	snapshot_free(s);
	config_free(cfg);
	cfg = load("token-2");
	s = snapshot_load(cfg, path, &keys, &text);
	assert_non_null(s);
	assert_string_equal(account_setting(snapshot_account(s, "omni"), "webhook_token"),
			    "token-2");
	snapshot_free(s);
	config_free(cfg);
}

static void a_file_that_is_not_ours_is_refused(void **state)
{
	struct config *cfg = load("token-1");
	struct snapshot *s = snapshot_of(cfg);

	(void)state;
	assert_null(snapshot_load(cfg, path, &keys, &text));
	assert_non_null(strstr(text.data, strerror(ENOENT)));
	assert_int_equal(snapshot_save(s, path, &keys, &text), 0);
	buf_clear(&text);
	assert_null(snapshot_load(cfg, path, &other_keys, &text));
	assert_non_null(strstr(text.data, "SECRET_KEY"));
	struct snapshot *opened = snapshot_load(cfg, path, &replaced, &text);
	assert_non_null(opened);
	snapshot_free(opened);
	assert_int_equal(truncate(path, 40), 0);
	assert_null(snapshot_load(cfg, path, &keys, &text));
	assert_int_equal(truncate(path, 0), 0);
	assert_null(snapshot_load(cfg, path, &keys, &text));
	snapshot_free(s);
	config_free(cfg);
}

static void what_cannot_be_written_leaves_the_old_one(void **state)
{
	struct config *cfg = load("token-1");
	struct snapshot *s = snapshot_of(cfg);

	(void)state;
	buf_clear(&text);
	assert_int_equal(snapshot_save(s, "/nonexistent/snapshot", &keys, &text), -1);
	assert_non_null(strstr(text.data, strerror(ENOENT)));
	assert_int_equal(snapshot_save(s, folder, &keys, &text), -1);
	snapshot_free(s);
	config_free(cfg);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_become_accounts_and_rules),
		TEST(the_file_brings_it_all_back),
		TEST(the_environment_of_today_wins),
		TEST(a_file_that_is_not_ours_is_refused),
		TEST(what_cannot_be_written_leaves_the_old_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
