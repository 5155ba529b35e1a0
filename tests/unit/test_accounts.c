/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts of the environment, of the database and of a snapshot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/accounts.h"
#include "common/seal.h"

static const struct seal_keys keys = {1, {"0123456789abcdef0123456789abcde"}};

static struct config *load(enum config_process process, const char *const *variables)
{
	const char *environment[20] = {"DATABASE_URL=dbname=x", "KAFKA_BROKERS=x"};
	struct buf errors;

	for (size_t i = 0; variables && variables[i]; i++)
		environment[i + 2] = variables[i];
	buf_init(&errors, 10000);
	struct config *cfg = config_load(process, environment, &errors);
	if (!cfg)
		fail_msg("%s", errors.data);
	buf_release(&errors);
	return cfg;
}

static const char *const both[] = {"OMNI_API_KEY=omni-key",
				   "OMNI_AGENT_ID=101",
				   "OMNI_WEBHOOK_TOKEN=omni-token",
				   "VAPI_API_KEY=vapi-key",
				   "VAPI_ASSISTANT_ID=assistant",
				   "VAPI_PHONE_NUMBER_ID=number",
				   "VAPI_BASE_URL=https://vapi.example.test/prefix//",
				   "PUBLIC_WEBHOOK_URL=https://hooks.example.test/",
				   NULL};

/* ---- Rows as common/sql/accounts.sql gives them ---- */

struct row {
	const char *id, *name, *tenant, *provider, *active, *max_concurrent;
	const char *credentials; /* before sealing; NULL: none */
	const char *settings, *source;
};

static PGresult *result_of(const struct row *rows, int n)
{
	static const char *const names[] = {"id",	   "name",     "tenant_id",
					    "provider",	   "active",   "max_concurrent",
					    "credentials", "settings", "source"};
	PGresAttDesc columns[9];
	PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	memset(columns, 0, sizeof(columns));
	for (int c = 0; c < 9; c++)
		columns[c].name = (char *)names[c];
	assert_true(PQsetResultAttrs(res, 9, columns));
	for (int r = 0; r < n; r++) {
		struct buf sealed;
		char hex[2000];
		buf_init(&sealed, 900);
		if (rows[r].credentials) {
			assert_int_equal(seal(keys.key[0], rows[r].name, rows[r].credentials,
					      strlen(rows[r].credentials), &sealed),
					 0);
			hex_encode((const unsigned char *)sealed.data, sealed.len, hex);
		}
		const char *values[] = {rows[r].id,
					rows[r].name,
					rows[r].tenant,
					rows[r].provider,
					rows[r].active,
					rows[r].max_concurrent,
					rows[r].credentials ? hex : NULL,
					rows[r].settings,
					rows[r].source};
		for (int c = 0; c < 9; c++)
			assert_true(PQsetvalue(res, r, c, (char *)values[c],
					       values[c] ? (int)strlen(values[c]) : -1));
		buf_release(&sealed);
	}
	return res;
}

static struct account_set *make_set(const struct config *cfg, const struct row *rows, int n,
				    const struct seal_keys *seal_keys,
				    const char *expected_problems)
{
	PGresult *res = result_of(rows, n);
	struct buf problems;

	buf_init(&problems, 10000);
	struct account_set *s = account_set_new(cfg, res, seal_keys, &problems);
	PQclear(res);
	assert_non_null(s);
	assert_string_equal(problems.data, expected_problems);
	buf_release(&problems);
	return s;
}

/* ---- Tests ---- */

static void the_environment_makes_accounts_named_after_their_provider(void **state)
{
	struct config *cfg = load(CONFIG_PRODUCER, both);
	struct buf problems;

	(void)state;
	buf_init(&problems, 1000);
	struct account_set *s = account_set_new(cfg, NULL, NULL, &problems);
	assert_string_equal(problems.data, "");
	assert_int_equal(account_count(s), 2);
	const struct account *omni = account_by_name(s, "omni");
	assert_non_null(omni);
	assert_null(omni->id);
	assert_string_equal(omni->tenant, "default");
	assert_string_equal(omni->provider, "omni");
	assert_true(omni->active);
	assert_int_equal(omni->max_concurrent, 0);
	assert_string_equal(account_setting(omni, "api_key"), "omni-key");
	assert_string_equal(account_setting(omni, "base_url"), "https://backend.omnidim.io");
	assert_string_equal(account_setting(omni, "agent_id"), "101");
	assert_string_equal(account_setting(omni, "from_number_id"), "1720");
	assert_string_equal(account_setting(omni, "webhook_token"), "omni-token");
	assert_string_equal(account_setting(omni, "webhook_url"),
			    "https://hooks.example.test/webhooks/omni/omni");
	assert_null(account_setting(omni, "url"));
	const struct account *vapi = account_by_name(s, "vapi");
	assert_string_equal(account_setting(vapi, "base_url"), "https://vapi.example.test/prefix");
	assert_string_equal(account_setting(vapi, "webhook_auth"), "any");
	assert_string_equal(account_setting(vapi, "assistant_id"), "assistant");
	assert_string_equal(account_setting(vapi, "phone_number_id"), "number");
	assert_null(account_by_name(s, "twilio"));
	assert_null(account_by_name(s, ""));
	assert_ptr_equal(account_at(s, 0), omni);
	assert_ptr_equal(account_at(s, 1), vapi);
	account_set_free(s);
	account_set_free(NULL);
	config_free(cfg);
	buf_release(&problems);
}

static void bland_speaks_by_its_pathway(void **state)
{
	static const char *const variables[] = {"BLAND_API_KEY=k",
						"BLAND_PATHWAY_ID=p",
						"BLAND_NUMBER=+12025550100",
						"BLAND_WEBHOOK_SECRET=s",
						"PUBLIC_WEBHOOK_URL=https://hooks.example.test/x",
						NULL};
	static const char *const settings[][2] = {
		{"api_key", "k"},
		{"pathway_id", "p"},
		{"from_number", "+12025550100"},
		{"webhook_secret", "s"},
		{"base_url", "https://api.bland.ai"},
		{"webhook_url", "https://hooks.example.test/x/webhooks/bland/bland"},
	};
	struct config *cfg = load(CONFIG_PRODUCER, variables);
	struct account_set *s = make_set(cfg, NULL, 0, NULL, "");
	const struct account *a = account_by_name(s, "bland");

	(void)state;
	assert_int_equal(account_count(s), 1);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		assert_string_equal(account_setting(a, settings[i][0]), settings[i][1]);
	account_set_free(s);
	config_free(cfg);
}

static void secrets_that_are_repeated_are_masked(void **state)
{
	static const char *const variables[] = {"OMNI_API_KEY=omni-key",
						"OMNI_AGENT_ID=1",
						"TWILIO_ACCOUNT_SID=AC1",
						"TWILIO_AUTH_TOKEN=token-1,token-2",
						"TWILIO_NUMBER=+12025550100",
						"TWIML_URL_PRECLASSIFY=https://twiml.example.test",
						"PUBLIC_WEBHOOK_URL=https://hooks.example.test",
						NULL};
	struct config *cfg = load(CONFIG_CONSUMER, variables);
	struct account_set *s = make_set(cfg, NULL, 0, NULL, "");
	char text[] = "Bearer omni-key, omni-keyomni-key to omni: refused";
	char other[] = "token-2 and token-1, AC1";

	(void)state;
	account_mask(account_by_name(s, "omni"), text);
	assert_string_equal(text, "Bearer ********, **************** to omni: refused");
	account_mask(account_by_name(s, "twilio"), other);
	assert_string_equal(other, "******* and *******, AC1");
	account_set_free(s);
	config_free(cfg);
}

static void a_webhook_secret_alone_makes_an_account(void **state)
{
	static const char *const variables[] = {"VAPI_WEBHOOK_SECRET=s",
						"CONVOSO_WEBHOOK_SECRET=c",
						"TWILIO_AUTH_TOKEN=t",
						"PUBLIC_WEBHOOK_URL=https://hooks.example.test",
						"GENERIC_WEBHOOK_SECRET=whsec_AAAA",
						"OMNI_API_KEY=not-for-the-webhook",
						NULL};
	struct config *cfg = load(CONFIG_WEBHOOK, variables);
	struct account_set *s = make_set(cfg, NULL, 0, NULL, "");

	(void)state;
	assert_int_equal(account_count(s), 4);
	assert_string_equal(account_setting(account_by_name(s, "vapi"), "webhook_secret"), "s");
	assert_null(account_setting(account_by_name(s, "vapi"), "base_url"));
	assert_string_equal(account_setting(account_by_name(s, "vapi"), "webhook_url"),
			    "https://hooks.example.test/webhooks/vapi/vapi");
	assert_string_equal(account_setting(account_by_name(s, "twilio"), "auth_token"), "t");
	assert_string_equal(account_setting(account_by_name(s, "convoso"), "webhook_secret"), "c");
	assert_string_equal(account_setting(account_by_name(s, "generic"), "webhook_secret"),
			    "whsec_AAAA");
	assert_null(account_by_name(s, "omni"));
	account_set_free(s);
	config_free(cfg);
}

static void rows_join_what_is_stored_and_what_is_given(void **state)
{
	static const struct row rows[] = {
		{"1", "omni", "default", "omni", "f", "5", NULL, "{\"agent_id\":\"7\"}",
		 "environment"},
		{"2", "acme-omni", "acme", "omni", "t", "12", "{\"api_key\":\"acme-key\"}",
		 "{\"agent_id\":202,\"base_url\":\"https://omni.example.test/\",\"note\":null,\"list\":[1]}",
		 "api"},
		{"3", "acme-vapi", "acme", "vapi", "t", "0",
		 "{\"api_key\":\"k\",\"webhook_secret\":\"w\"}", "{}", "api"},
		{"4", "twilio", "default", "twilio", "t", "0", NULL,
		 "{\"from_number\":\"+12025550100\"}", "environment"},
	};
	struct config *cfg = load(CONFIG_CONSUMER, both);
	struct account_set *s = make_set(cfg, rows, 4, &keys, "");

	(void)state;
	assert_int_equal(account_count(s), 5);
	const struct account *omni = account_by_name(s, "omni");
	assert_string_equal(omni->id, "1");
	assert_false(omni->active);
	assert_int_equal(omni->max_concurrent, 5);
	assert_string_equal(account_setting(omni, "agent_id"), "101");
	assert_string_equal(account_setting(omni, "api_key"), "omni-key");
	assert_null(account_by_name(s, "vapi")->id);
	const struct account *acme = account_by_name(s, "acme-omni");
	assert_string_equal(acme->id, "2");
	assert_string_equal(acme->tenant, "acme");
	assert_int_equal(acme->max_concurrent, 12);
	assert_string_equal(account_setting(acme, "api_key"), "acme-key");
	assert_string_equal(account_setting(acme, "agent_id"), "202");
	assert_string_equal(account_setting(acme, "base_url"), "https://omni.example.test");
	assert_string_equal(account_setting(acme, "webhook_url"),
			    "https://hooks.example.test/webhooks/omni/acme-omni");
	assert_null(account_setting(acme, "note"));
	assert_null(account_setting(acme, "list"));
	/* Where it has none of its own it goes where the environment says, but with no other
	 * account's key. */
	const struct account *acme_vapi = account_by_name(s, "acme-vapi");
	assert_string_equal(account_setting(acme_vapi, "base_url"),
			    "https://vapi.example.test/prefix");
	assert_string_equal(account_setting(acme_vapi, "webhook_auth"), "any");
	assert_null(account_setting(acme_vapi, "assistant_id"));
	/* Known to the database, not to this environment: there, without a secret. */
	const struct account *twilio = account_by_name(s, "twilio");
	assert_string_equal(account_setting(twilio, "from_number"), "+12025550100");
	assert_null(account_setting(twilio, "auth_token"));
	account_set_free(s);
	config_free(cfg);
}

static void what_cannot_be_opened_is_left_out_and_named(void **state)
{
	static const struct row rows[] = {
		{"1", "a", "default", "omni", "t", "0", "{\"api_key\":\"k\"}", "{}", "api"},
		{"2", "b", "default", "omni", "t", "0", "not json", "{}", "api"},
		{"3", "omni", "default", "omni", "t", "0", "{\"api_key\":\"other\"}", "{}", "api"},
		{"4", "c", "default", "omni", "t", "0", NULL, "{}", "api"},
	};
	const struct seal_keys other_keys = {1, {"another key"}};
	const struct seal_keys replaced = {2, {"another key", "0123456789abcdef0123456789abcde"}};
	struct config *cfg = load(CONFIG_CONSUMER, both);

	(void)state;
	struct account_set *s =
		make_set(cfg, rows, 4, &keys,
			 "account b: its credentials can't be opened with this SECRET_KEY\n"
			 "account omni: is in the database too; the environment's wins\n");
	assert_string_equal(account_setting(account_by_name(s, "a"), "api_key"), "k");
	assert_null(account_by_name(s, "b"));
	assert_true(account_is_shut(s, "b"));
	assert_false(account_is_shut(s, "a"));
	assert_false(account_is_shut(s, "nobody"));
	assert_string_equal(account_setting(account_by_name(s, "omni"), "api_key"), "omni-key");
	assert_string_equal(account_by_name(s, "omni")->id, "3");
	assert_null(account_setting(account_by_name(s, "c"), "api_key"));
	account_set_free(s);
	s = make_set(cfg, rows, 1, &other_keys,
		     "account a: its credentials can't be opened with this SECRET_KEY\n");
	assert_null(account_by_name(s, "a"));
	account_set_free(s);
	s = make_set(cfg, rows, 1, &replaced, "");
	assert_string_equal(account_setting(account_by_name(s, "a"), "api_key"), "k");
	account_set_free(s);
	s = make_set(cfg, rows, 1, NULL,
		     "account a: its credentials are sealed and SECRET_KEY is unset\n");
	assert_null(account_by_name(s, "a"));
	account_set_free(s);
	config_free(cfg);
}

static void credentials_sealed_for_another_account_stay_shut(void **state)
{
	struct row row = {"1",	"a",  "default", "omni", "t", "0", "{\"api_key\":\"k\"}",
			  "{}", "api"};
	struct config *cfg = load(CONFIG_CONSUMER, NULL);
	PGresult *res = result_of(&row, 1);
	struct buf problems;

	(void)state;
	char moved[] = "b";
	assert_true(PQsetvalue(res, 0, 1, moved, 1));
	buf_init(&problems, 1000);
	struct account_set *s = account_set_new(cfg, res, &keys, &problems);
	assert_int_equal(account_count(s), 0);
	assert_string_equal(problems.data,
			    "account b: its credentials can't be opened with this SECRET_KEY\n");
	account_set_free(s);
	PQclear(res);
	buf_release(&problems);
	config_free(cfg);
}

static void fingerprints_tell_credentials_and_places_apart(void **state)
{
	static const struct row rows[] = {
		{"1", "a", "x", "omni", "t", "0", "{\"api_key\":\"k\"}",
		 "{\"base_url\":\"https://a.example.test\"}", "api"},
		{"2", "b", "y", "omni", "f", "9", "{\"api_key\":\"k\"}",
		 "{\"base_url\":\"https://a.example.test/\"}", "api"},
		{"3", "c", "x", "omni", "t", "0", "{\"api_key\":\"K\"}",
		 "{\"base_url\":\"https://a.example.test\"}", "api"},
		{"4", "d", "x", "omni", "t", "0", "{\"api_key\":\"k\"}",
		 "{\"base_url\":\"https://b.example.test\"}", "api"},
		{"5", "e", "x", "vapi", "t", "0", "{\"api_key\":\"k\"}",
		 "{\"base_url\":\"https://a.example.test\"}", "api"},
		{"6", "f", "x", "omni", "t", "0", "{\"auth_token\":\"k\"}",
		 "{\"base_url\":\"https://a.example.test\"}", "api"},
	};
	struct config *cfg = load(CONFIG_CONSUMER, NULL);
	struct account_set *s = make_set(cfg, rows, 6, &keys, "");

	(void)state;
	assert_int_equal(strlen(account_at(s, 0)->fingerprint), 16);
	assert_string_equal(account_by_name(s, "a")->fingerprint,
			    account_by_name(s, "b")->fingerprint);
	for (size_t i = 1; i < 6; i++) {
		for (size_t k = i + 1; k < 6; k++)
			assert_string_not_equal(account_at(s, i)->fingerprint,
						account_at(s, k)->fingerprint);
	}
	account_set_free(s);
	config_free(cfg);
}

static void snapshots_read_back_the_same(void **state)
{
	static const struct row rows[] = {
		{"2", "acme", "acme", "vapi", "f", "12", "{\"webhook_secret\":\"w\"}", "{}", "api"},
		{"3", "shut", "acme", "vapi", "t", "0", "not json", "{}", "api"},
	};
	struct config *cfg = load(CONFIG_WEBHOOK, NULL);
	struct account_set *s =
		make_set(cfg, rows, 2, &keys,
			 "account shut: its credentials can't be opened with this SECRET_KEY\n");
	struct buf json, error;

	(void)state;
	buf_init(&json, 100000);
	buf_init(&error, 1000);
	account_set_write(s, &json);
	assert_false(json.failed);
	struct account_set *back = account_set_read(json.data, json.len, &error);
	assert_non_null(back);
	assert_int_equal(account_count(back), 1);
	assert_true(account_is_shut(back, "shut"));
	const struct account *a = account_by_name(s, "acme"), *b = account_by_name(back, "acme");
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->tenant, b->tenant);
	assert_string_equal(a->provider, b->provider);
	assert_int_equal(a->active, b->active);
	assert_int_equal(b->max_concurrent, 12);
	assert_string_equal(a->fingerprint, b->fingerprint);
	assert_true(json_equal(a->settings, b->settings));
	account_set_free(back);
	account_set_free(s);
	config_free(cfg);
	buf_release(&json);
	buf_release(&error);
}

static void snapshots_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[1]",
		"[{}]",
		"[{\"name\":\"a\",\"tenant\":\"t\",\"provider\":\"p\",\"max_concurrent\":0}]",
		"[{\"name\":\"\",\"tenant\":\"t\",\"provider\":\"p\",\"max_concurrent\":0,\"settings\":{}}]",
		"[{\"name\":\"a\",\"tenant\":\"t\",\"provider\":\"p\",\"max_concurrent\":-1,\"settings\":{}}]",
	};
	struct buf error;

	(void)state;
	buf_init(&error, 1000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_clear(&error);
		assert_null(account_set_read(bad[i], strlen(bad[i]), &error));
		assert_true(error.len > 0);
	}
	struct account_set *empty = account_set_read("[]", 2, &error);
	assert_int_equal(account_count(empty), 0);
	assert_null(account_by_name(empty, "omni"));
	account_set_free(empty);
	buf_release(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_environment_makes_accounts_named_after_their_provider),
		cmocka_unit_test(bland_speaks_by_its_pathway),
		cmocka_unit_test(secrets_that_are_repeated_are_masked),
		cmocka_unit_test(a_webhook_secret_alone_makes_an_account),
		cmocka_unit_test(rows_join_what_is_stored_and_what_is_given),
		cmocka_unit_test(what_cannot_be_opened_is_left_out_and_named),
		cmocka_unit_test(credentials_sealed_for_another_account_stay_shut),
		cmocka_unit_test(fingerprints_tell_credentials_and_places_apart),
		cmocka_unit_test(snapshots_read_back_the_same),
		cmocka_unit_test(snapshots_that_are_none_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
