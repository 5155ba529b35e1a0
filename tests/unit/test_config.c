/* SPDX-License-Identifier: Apache-2.0 */
/* Every type, every rule between settings, and what is said about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"

#define TWILIO_BUT_ACCOUNT                                                                         \
	"TWILIO_AUTH_TOKEN=t", "TWILIO_NUMBER=+12025550100",                                       \
		"TWIML_URL_PRECLASSIFY=https://instructions.example.test"
#define KEY64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define DATABASE "DATABASE_URL=postgresql://carillon:hidden-word@localhost/carillon"
#define BROKERS "KAFKA_BROKERS=127.0.0.1:9092"

static char said[20000];

/* Loads with the two required variables and up to four more; what is said goes to `said`. */
static struct config *load(enum config_process process, const char *a, const char *b, const char *c,
			   const char *d)
{
	const char *environment[] = {DATABASE, BROKERS, a, b, c, d, NULL};
	struct buf errors;

	buf_init(&errors, sizeof(said) - 1);
	struct config *cfg = config_load(process, environment, &errors);
	memcpy(said, errors.data, errors.len + 1);
	assert_int_equal(cfg == NULL, errors.len > 0);
	buf_release(&errors);
	return cfg;
}

static struct config *load_one(enum config_process process, const char *variable)
{
	return load(process, variable, NULL, NULL, NULL);
}

static unsigned lines_said(void)
{
	unsigned n = 0;

	for (const char *p = said; *p; p++)
		n += *p == '\n';
	return n;
}

static void defaults_are_in_effect(void **state)
{
	static const struct {
		enum config_process process;
		const char *listen;
	} rows[] = {{CONFIG_PRODUCER, "127.0.0.1:8080"},
		    {CONFIG_WEBHOOK, "127.0.0.1:8081"},
		    {CONFIG_CONSUMER, "127.0.0.1:8082"}};
	char pid[32];

	(void)state;
	snprintf(pid, sizeof(pid), "-%ld", (long)getpid());
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config *cfg = load_one(rows[i].process, NULL);
		assert_non_null(cfg);
		assert_string_equal(config_str(cfg, CONFIG_KEY_LISTEN), rows[i].listen);
		assert_string_equal(config_str(cfg, CONFIG_KEY_TOPIC_PREFIX), "carillon.");
		assert_int_equal(config_int(cfg, CONFIG_KEY_WATCHDOG_MS), 60000);
		assert_false(config_bool(cfg, CONFIG_KEY_ALLOW_INSECURE_PROVIDERS));
		assert_null(config_str(cfg, CONFIG_KEY_SECRET_KEY));
		assert_false(config_is_set(cfg, CONFIG_KEY_WATCHDOG_MS));
		assert_true(config_is_set(cfg, CONFIG_KEY_DATABASE_URL));
		assert_non_null(strstr(config_str(cfg, CONFIG_KEY_WORKER_NAME), pid));
		config_free(cfg);
	}
	config_free(NULL);
}

static void given_values_win_and_empty_ones_are_unset(void **state)
{
	struct config *cfg = load(CONFIG_CONSUMER, "HTTP_SLOTS=7", "LOG_LEVEL=", "ROLES=record",
				  "OMNI_FROM_NUMBER_ID=17");

	(void)state;
	assert_non_null(cfg);
	assert_int_equal(config_int(cfg, CONFIG_KEY_HTTP_SLOTS), 7);
	assert_string_equal(config_text(cfg, CONFIG_KEY_HTTP_SLOTS), "7");
	assert_string_equal(config_str(cfg, CONFIG_KEY_LOG_LEVEL), "info");
	assert_false(config_is_set(cfg, CONFIG_KEY_LOG_LEVEL));
	assert_true(config_list_has(cfg, CONFIG_KEY_ROLES, "record"));
	assert_false(config_list_has(cfg, CONFIG_KEY_ROLES, "dispatch"));
	assert_false(config_list_has(cfg, CONFIG_KEY_ROLES, "rec"));
	assert_string_equal(config_text(cfg, CONFIG_KEY_OMNI_FROM_NUMBER_ID), "17");
	config_free(cfg);
}

static void a_process_sees_only_what_it_reads(void **state)
{
	struct config *cfg = load(CONFIG_WEBHOOK, "OMNI_API_KEY=k", "TICK_MS=nonsense",
				  "OMNI_WEBHOOK_TOKEN=t", NULL);

	(void)state;
	assert_non_null(cfg);
	assert_null(config_text(cfg, CONFIG_KEY_OMNI_API_KEY));
	assert_false(config_is_set(cfg, CONFIG_KEY_OMNI_API_KEY));
	assert_string_equal(config_text(cfg, CONFIG_KEY_OMNI_WEBHOOK_TOKEN), "t");
	config_free(cfg);
}

/* A value that is taken, or the words that its refusal holds. */
static const struct value_row {
	enum config_process process;
	const char *variable;
	const char *refusal;
} value_rows[] = {
	{CONFIG_PRODUCER, "TICK_MS=10", NULL},
	{CONFIG_PRODUCER, "TICK_MS=9",
	 "TICK_MS: \"9\" is out of bounds; set a whole number from 10 to 60000 (ms)\n"},
	{CONFIG_PRODUCER, "TICK_MS=1s", "TICK_MS: \"1s\" is no whole number; set"},
	{CONFIG_PRODUCER, "TICK_MS= 100", "is no whole number"},
	{CONFIG_PRODUCER, "TICK_MS=+100", "is no whole number"},
	{CONFIG_PRODUCER, "TICK_MS=-", "is no whole number"},
	{CONFIG_PRODUCER, "TICK_MS=99999999999999999999", "is out of bounds"},
	{CONFIG_PRODUCER, "OMNI_AGENT_ID=9223372036854775807", NULL},
	{CONFIG_PRODUCER, "OMNI_AGENT_ID=9223372036854775808", "is out of bounds"},
	{CONFIG_PRODUCER, "AUTO_MIGRATE=Off", NULL},
	{CONFIG_PRODUCER, "AUTO_MIGRATE=maybe",
	 "AUTO_MIGRATE: \"maybe\" is neither true nor false; set true or false\n"},
	{CONFIG_PRODUCER, "SCHEDULE=external", NULL},
	{CONFIG_PRODUCER, "SCHEDULE=ext",
	 "SCHEDULE: \"ext\" is unknown; set one of internal|external\n"},
	{CONFIG_PRODUCER, "SCHEDULE=internal external", "is unknown"},
	{CONFIG_CONSUMER, "ROLES=dispatch, record", NULL},
	{CONFIG_CONSUMER, "ROLES=dispatch,dial",
	 "ROLES: \"dispatch,dial\" holds an unknown word; set some of dispatch|record"},
	{CONFIG_CONSUMER, "ROLES=,", "is an empty list"},
	{CONFIG_PRODUCER, "REDIAL_SUCCESS_OUTCOMES=SALE,ACA", NULL},
	{CONFIG_PRODUCER, "REDIAL_SUCCESS_OUTCOMES=SALE;ACA", "is no list"},
	{CONFIG_WEBHOOK, "CONVOSO_FIELDS=status=Disposition, phone_number=data.Phone", NULL},
	{CONFIG_WEBHOOK, "CONVOSO_TIME_ZONE=America/Argentina/Buenos_Aires", NULL},
	{CONFIG_WEBHOOK, "CONVOSO_TIME_ZONE=Etc/GMT+8", NULL},
	{CONFIG_WEBHOOK, "CONVOSO_FIELDS=status", "is no mapping"},
	{CONFIG_WEBHOOK, "CONVOSO_FIELDS=status=", "is no mapping"},
	{CONFIG_WEBHOOK, "CONVOSO_FIELDS=status,lead_id=x", "is no mapping"},
	{CONFIG_WEBHOOK, "CONVOSO_FIELDS=Status=X", "maps Status, which is no field"},
	{CONFIG_WEBHOOK, "CONVOSO_FIELDS=status=X, status=Y", "maps status twice"},
	{CONFIG_WEBHOOK, "CONVOSO_FIELDS=, ,", "is an empty mapping"},
	{CONFIG_WEBHOOK, "CONVOSO_TIME_ZONE=New York", "is no time zone"},
	{CONFIG_WEBHOOK, "CONVOSO_TIME_ZONE=/etc", "is no time zone"},
	{CONFIG_WEBHOOK, "CONVOSO_TIME_ZONE=America", "is no time zone of the IANA database"},
	{CONFIG_PRODUCER, "WORKFLOW_ZONE=Mars/Olympus", "set one like America/New_York"},
	{CONFIG_PRODUCER, "WORKFLOW_ZONE=America/New_york", "is no time zone of the IANA database"},
	{CONFIG_PRODUCER, "WORKFLOW_ZONE=posix/UTC", "is no time zone of the IANA database"},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=0.75", NULL},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=0", NULL},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=1", NULL},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=1.01",
	 "is no fraction; set a number from 0 to 1"},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=-0.5", "is no fraction"},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=0,6", "is no fraction"},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=.6", "is no fraction"},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=1e-1", "is no fraction"},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=nan", "is no fraction"},
	{CONFIG_PRODUCER, "CLASSIFICATION_MIN_CONFIDENCE=0.", "is no fraction"},
	{CONFIG_PRODUCER, "CLASSIFICATION_UNCLEAR=guess", "is unknown; set one of fail|retry"},
	{CONFIG_PRODUCER, "LEAD_WINDOW=00:00-24:00", NULL},
	{CONFIG_PRODUCER, "LEAD_WINDOW=22:00-06:00", NULL},
	{CONFIG_PRODUCER, "LEAD_WINDOW=8:00-21:00", "is no window; set HH:MM-HH:MM"},
	{CONFIG_PRODUCER, "LEAD_WINDOW=08:00-24:01", "is no window"},
	{CONFIG_PRODUCER, "LEAD_WINDOW=24:00-08:00", "is no window"},
	{CONFIG_PRODUCER, "LEAD_WINDOW=08:00-08:00", "is no window"},
	{CONFIG_PRODUCER, "LEAD_WINDOW=08:60-21:00", "is no window"},
	{CONFIG_PRODUCER, "LEAD_WINDOW=08:00-21:00 ", "is no window"},
	{CONFIG_PRODUCER, "SECRET_KEY=" KEY64, NULL},
	{CONFIG_PRODUCER, "SECRET_KEY=" KEY64 "," KEY64, NULL},
	{CONFIG_PRODUCER, "SECRET_KEY=" KEY64 ",hidden-word", "SECRET_KEY: the value is no key;"},
	{CONFIG_PRODUCER, "SECRET_KEY=hidden-word",
	 "SECRET_KEY: the value is no key; set 64 hexadecimal characters"},
	{CONFIG_PRODUCER, "LISTEN=[::1]:0", NULL},
	{CONFIG_PRODUCER, "LISTEN=localhost:65535", NULL},
	{CONFIG_PRODUCER, "LISTEN=127.0.0.1",
	 "LISTEN: \"127.0.0.1\" is no address; set one like 127.0.0.1:8080"},
	{CONFIG_PRODUCER, "LISTEN=127.0.0.1:65536", "is no address"},
	{CONFIG_PRODUCER, "LISTEN=127.0.0.1:", "is no address"},
	{CONFIG_PRODUCER, "LISTEN=:8080", "is no address"},
	{CONFIG_PRODUCER, "LISTEN=[::1:8080", "is no address"},
	{CONFIG_PRODUCER, "LISTEN=[::1]8080", "is no address"},
	{CONFIG_PRODUCER, "LISTEN=::1:8080", "is no address"},
	{CONFIG_PRODUCER, "LISTEN=http://127.0.0.1:8080", "is no address"},
	{CONFIG_PRODUCER, "SCHEMA_REGISTRY_URL=http://registry.example.test:8081/apis/ccompat/v7",
	 NULL},
	{CONFIG_PRODUCER, "SCHEMA_REGISTRY_URL=registry.example.test:8081",
	 "is no URL; set one like https://"},
	{CONFIG_PRODUCER, "SCHEMA_REGISTRY_URL=ftp://registry.example.test", "is no URL"},
	{CONFIG_PRODUCER, "SCHEMA_REGISTRY_URL=https://", "is no URL"},
	{CONFIG_PRODUCER, "SCHEMA_REGISTRY_URL=https://a.example.test/#part", "is no URL"},
	{CONFIG_PRODUCER, "SCHEMA_REGISTRY_URL=https://a b.example.test/", "is no URL"},
	{CONFIG_PRODUCER, "SCHEMA_REGISTRY_URL=gopher://u:hidden-word@registry.example.test",
	 "the value is no URL"},
	{CONFIG_PRODUCER, "TOPIC_PREFIX=staging.eu-1_", NULL},
	{CONFIG_PRODUCER, "TOPIC_PREFIX=a/b",
	 "TOPIC_PREFIX: \"a/b\" has other characters; set letters, digits"},
	{CONFIG_PRODUCER, "KAFKA_PROPERTIES=/dev/null", "is no file that can be read"},
	{CONFIG_PRODUCER, "KAFKA_PROPERTIES=/no/such/file",
	 "is no file that can be read; set the path of one\n"},
	{CONFIG_PRODUCER, "KAFKA_PROPERTIES=" CARILLON_SOURCE_DIR "/CMakeLists.txt", NULL},
	{CONFIG_PRODUCER, "TWILIO_NUMBER=+12025550100", NULL},
	{CONFIG_PRODUCER, "TWILIO_NUMBER=2025550100",
	 "TWILIO_NUMBER: \"2025550100\" is no phone number; set one like"},
	{CONFIG_PRODUCER, "GENERIC_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL},
	{CONFIG_PRODUCER, "GENERIC_WEBHOOK_SECRET=MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL},
	{CONFIG_PRODUCER, "GENERIC_WEBHOOK_SECRET=whsec_hidden-word",
	 "the value is no Standard Webhooks secret; set whsec_"},
	{CONFIG_PRODUCER, "GENERIC_WEBHOOK_SECRET=whsec_", "is no Standard Webhooks secret"},
	{CONFIG_PRODUCER, "WORKER_NAME=a\nb", "WORKER_NAME: \"a\\nb\" holds a control character"},
	{CONFIG_PRODUCER, "ADMIN_API_KEY=hidden-word\r",
	 "ADMIN_API_KEY: the value holds a control character"},
	{CONFIG_WEBHOOK, "WEBHOOK_SNAPSHOT=/no/such/folder/file",
	 "WEBHOOK_SNAPSHOT: \"/no/such/folder/file\" can't be written"},
	{CONFIG_WEBHOOK, "WEBHOOK_SNAPSHOT=/tmp/", "can't be written"},
};

static void values_are_checked_by_type(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(value_rows) / sizeof(value_rows[0]); i++) {
		const struct value_row *row = &value_rows[i];
		struct config *cfg = load_one(row->process, row->variable);
		if (row->refusal ? cfg || !strstr(said, row->refusal) || lines_said() != 1 : !cfg)
			fail_msg("%s: \"%s\"", row->variable, said);
		assert_null(strstr(said, "hidden-word"));
		config_free(cfg);
	}
}

static void brokers_and_database_are_checked(void **state)
{
	static const struct {
		const char *database, *brokers, *refusal;
	} rows[] = {
		{"DATABASE_URL=host=/run/postgresql dbname=carillon",
		 "KAFKA_BROKERS=a:9092, b:9092,c", NULL},
		{"DATABASE_URL=postgres://h/d", "KAFKA_BROKERS=SSL://a:9092", NULL},
		{"DATABASE_URL=postgres://u:hidden-word@h:port/d?x=y", BROKERS,
		 "DATABASE_URL: the value can't be read; set one"},
		{"DATABASE_URL=hidden-word", BROKERS, "DATABASE_URL: the value can't be read"},
		{DATABASE, "KAFKA_BROKERS=a:9092,,b",
		 "KAFKA_BROKERS: \"a:9092,,b\" is no list of brokers; set host:port"},
		{DATABASE, "KAFKA_BROKERS=a:x", "is no list of brokers"},
		{DATABASE, "KAFKA_BROKERS=a b", "is no list of brokers"},
		{"OTHER=1", BROKERS,
		 "DATABASE_URL: is unset; set it (PostgreSQL, with this process's own login)\n"},
	};
	struct buf errors;

	(void)state;
	buf_init(&errors, 10000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *environment[] = {rows[i].database, rows[i].brokers, NULL};
		buf_clear(&errors);
		struct config *cfg = config_load(CONFIG_CONSUMER, environment, &errors);
		if (rows[i].refusal ? cfg || !strstr(errors.data, rows[i].refusal) : !cfg)
			fail_msg("%s %s: \"%s\"", rows[i].database, rows[i].brokers, errors.data);
		assert_null(strstr(errors.data, "hidden-word"));
		config_free(cfg);
	}
	buf_release(&errors);
}

static const struct rule_row {
	enum config_process process;
	const char *variables[4];
	const char *refusal;
} rule_rows[] = {
	{CONFIG_CONSUMER, {"LEASE_MARGIN_S=60"}, "LEASE_MARGIN_S: leaves nothing of JOB_LEASE_S"},
	{CONFIG_CONSUMER,
	 {"PROVIDER_TIMEOUT_S=56"},
	 "PROVIDER_TIMEOUT_S: with LEASE_MARGIN_S is longer than JOB_LEASE_S"},
	{CONFIG_CONSUMER, {"PROVIDER_TIMEOUT_S=55"}, NULL},
	{CONFIG_CONSUMER, {"JOB_LEASE_S=5", "LEASE_MARGIN_S=1", "PROVIDER_TIMEOUT_S=4"}, NULL},
	{CONFIG_CONSUMER, {"RETRY_BASE_S=3601"}, "RETRY_BASE_S: is longer than RETRY_MAX_S"},
	{CONFIG_CONSUMER, {"RETRY_BASE_S=3600"}, NULL},
	{CONFIG_PRODUCER, {"LISTEN=127.8.9.1:80"}, NULL},
	{CONFIG_PRODUCER, {"LISTEN=[::1]:80"}, NULL},
	{CONFIG_PRODUCER, {"LISTEN=LocalHost:80"}, NULL},
	{CONFIG_PRODUCER,
	 {"LISTEN=0.0.0.0:80", "CRON_JOB_SECRET=s"},
	 "ADMIN_API_KEY: is unset and LISTEN is open to other machines"},
	{CONFIG_PRODUCER,
	 {"LISTEN=[::]:80", "ADMIN_API_KEY=k"},
	 "N8N_DISPATCH_SECRET: is unset, as is CRON_JOB_SECRET"},
	{CONFIG_PRODUCER,
	 {"LISTEN=127.0.0.1.example.test:80", "ADMIN_API_KEY=k"},
	 "N8N_DISPATCH_SECRET: is unset"},
	{CONFIG_PRODUCER, {"LISTEN=[::]:80", "ADMIN_API_KEY=k", "CRON_JOB_SECRET=s"}, NULL},
	{CONFIG_PRODUCER, {"LISTEN=[::]:80", "ADMIN_API_KEY=k", "N8N_DISPATCH_SECRET=s"}, NULL},
	{CONFIG_CONSUMER, {"LISTEN=0.0.0.0:80"}, NULL},
	{CONFIG_WEBHOOK, {"LISTEN=0.0.0.0:80"}, NULL},
	{CONFIG_CONSUMER,
	 {"OMNI_BASE_URL=http://omni.example.test"},
	 "OMNI_BASE_URL: is not encrypted; set an https:// URL"},
	{CONFIG_CONSUMER, {"OMNI_URL=HTTP://omni.example.test/x"}, "OMNI_URL: is not encrypted"},
	{CONFIG_CONSUMER,
	 {"VAPI_BASE_URL=http://vapi.example.test"},
	 "VAPI_BASE_URL: is not encrypted"},
	{CONFIG_CONSUMER, {"VAPI_BASE_URL=HTTPS://vapi.example.test"}, NULL},
	{CONFIG_CONSUMER,
	 {"VAPI_BASE_URL=http://vapi.example.test", "ALLOW_INSECURE_PROVIDERS=true"},
	 NULL},
	{CONFIG_WEBHOOK, {"VAPI_BASE_URL=http://vapi.example.test"}, NULL},
	{CONFIG_WEBHOOK,
	 {"PUBLIC_WEBHOOK_URL=http://hooks.example.test"},
	 "PUBLIC_WEBHOOK_URL: is not encrypted"},
	{CONFIG_CONSUMER, {"OMNI_API_KEY=k"}, "OMNI_AGENT_ID: is unset, but OMNI_API_KEY is set"},
	{CONFIG_CONSUMER, {"OMNI_API_KEY=k", "OMNI_AGENT_ID=1"}, NULL},
	{CONFIG_CONSUMER,
	 {"BLAND_API_KEY=k"},
	 "BLAND_PATHWAY_ID: is unset, but BLAND_API_KEY is set"},
	{CONFIG_CONSUMER, {"BLAND_API_KEY=k", "BLAND_PATHWAY_ID=p"}, NULL},
	{CONFIG_WEBHOOK, {"BLAND_API_KEY=k"}, NULL},
	{CONFIG_CONSUMER, {"BLAND_NUMBER=12"}, "BLAND_NUMBER: "},
	{CONFIG_CONSUMER,
	 {"VAPI_API_KEY=k", "VAPI_ASSISTANT_ID=a"},
	 "VAPI_PHONE_NUMBER_ID: is unset"},
	{CONFIG_CONSUMER,
	 {"VAPI_API_KEY=k", "VAPI_PHONE_NUMBER_ID=n"},
	 "VAPI_ASSISTANT_ID: is unset"},
	{CONFIG_CONSUMER,
	 {"VAPI_API_KEY=k", "VAPI_PHONE_NUMBER_ID=n", "VAPI_ASSISTANT_ID=a"},
	 NULL},
	{CONFIG_CONSUMER, {"TWILIO_ACCOUNT_SID=AC1"}, "TWILIO_AUTH_TOKEN: is unset"},
	{CONFIG_CONSUMER,
	 {TWILIO_BUT_ACCOUNT, "PUBLIC_WEBHOOK_URL=https://hooks.example.test"},
	 "TWILIO_ACCOUNT_SID: is unset, but TWILIO_AUTH_TOKEN is set"},
	{CONFIG_CONSUMER,
	 {"TWILIO_AUTH_TOKEN=t", "TWILIO_ACCOUNT_SID=AC1"},
	 "TWILIO_NUMBER: is unset, but TWILIO_AUTH_TOKEN is set"},
	{CONFIG_CONSUMER,
	 {"TWILIO_AUTH_TOKEN=t", "TWILIO_ACCOUNT_SID=AC1", "TWILIO_NUMBER=+12025550100"},
	 "TWIML_URL_PRECLASSIFY: is unset, but TWILIO_AUTH_TOKEN is set"},
	{CONFIG_WEBHOOK,
	 {"TWILIO_AUTH_TOKEN=t"},
	 "PUBLIC_WEBHOOK_URL: is unset, but TWILIO_AUTH_TOKEN is set"},
	{CONFIG_WEBHOOK,
	 {"TWILIO_AUTH_TOKEN=t", "PUBLIC_WEBHOOK_URL=https://hooks.example.test"},
	 NULL},
	{CONFIG_WEBHOOK,
	 {"WEBHOOK_SNAPSHOT=/tmp/carillon-snapshot"},
	 "SECRET_KEY: is unset, but seals WEBHOOK_SNAPSHOT"},
	{CONFIG_WEBHOOK, {"WEBHOOK_SNAPSHOT=/tmp/carillon-snapshot", "SECRET_KEY=" KEY64}, NULL},
};

static void rules_between_settings_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rule_rows) / sizeof(rule_rows[0]); i++) {
		const struct rule_row *row = &rule_rows[i];
		const char *const *v = row->variables;
		struct config *cfg = load(row->process, v[0], v[1], v[2], v[3]);
		if (row->refusal ? cfg || !strstr(said, row->refusal) : !cfg)
			fail_msg("%s: \"%s\"", v[0], said);
		config_free(cfg);
	}
}

static void all_problems_are_said_at_once(void **state)
{
	const char *environment[] = {"KAFKA_BROKERS=:",
				     "TICK_MS=x",
				     "LISTEN=0.0.0.0:8080",
				     "SECRET_KEY=hidden-word",
				     "OMNI_BASE_URL=http://o.example.test",
				     NULL};
	static const char *const names[] = {
		"DATABASE_URL: ",	"KAFKA_BROKERS: ", "TICK_MS: ",
		"SECRET_KEY: ",		"OMNI_BASE_URL: ", "ADMIN_API_KEY: ",
		"N8N_DISPATCH_SECRET: "};
	struct buf errors;

	(void)state;
	buf_init(&errors, sizeof(said) - 1);
	assert_null(config_load(CONFIG_PRODUCER, environment, &errors));
	memcpy(said, errors.data, errors.len + 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_non_null(strstr(said, names[i]));
	assert_int_equal(lines_said(), 7);
	assert_null(strstr(said, "hidden-word"));
	/* Each line names what is wrong and, after a semicolon, what to set. */
	char *rest = said;
	for (char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n"))
		assert_non_null(strstr(line, "; set "));
	/* A rule is not held against a value that is wrong by itself. */
	assert_null(load(CONFIG_CONSUMER, "LEASE_MARGIN_S=x", "JOB_LEASE_S=5", NULL, NULL));
	assert_int_equal(lines_said(), 1);
	buf_release(&errors);
}

static char *printed(void (*print)(FILE *, const void *), const void *arg)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(f);
	print(f, arg);
	fclose(f);
	return text;
}

static void print_help(FILE *f, const void *arg)
{
	config_print_help(*(const enum config_process *)arg, "carillon-x", f);
}

static void print_values(FILE *f, const void *arg)
{
	config_print(arg, f);
}

static void help_names_what_the_process_reads(void **state)
{
	const enum config_process consumer = CONFIG_CONSUMER, webhook = CONFIG_WEBHOOK;

	(void)state;
	char *text = printed(print_help, &consumer);
	assert_non_null(strstr(text, "Environment of carillon-x"));
	assert_non_null(strstr(
		text, "\n  DATABASE_URL               required                    PostgreSQL"));
	assert_non_null(
		strstr(text, "\n  LISTEN                     127.0.0.1:8082              address"));
	assert_non_null(strstr(
		text, "\n  JOB_LEASE_S                60 s                        a claimed"));
	assert_non_null(
		strstr(text, "\n  LIST_LAG_S                 unset                       time"));
	assert_non_null(strstr(text, "as known of the provider (s)\n"));
	assert_non_null(strstr(text, "(debug|info|warn|error)\n"));
	assert_null(strstr(text, "TICK_MS"));
	free(text);
	text = printed(print_help, &webhook);
	assert_non_null(strstr(text, "WEBHOOK_BODY_MAX"));
	assert_null(strstr(text, "OMNI_API_KEY"));
	free(text);
}

static void secrets_are_masked_when_printed(void **state)
{
	struct config *cfg = load(CONFIG_CONSUMER, "OMNI_API_KEY=hidden-word", "OMNI_AGENT_ID=5",
				  "SCHEMA_REGISTRY_URL=https://user:hidden-word@r.example.test/p@q",
				  "SECRET_KEY=" KEY64);

	(void)state;
	assert_non_null(cfg);
	char *text = printed(print_values, cfg);
	assert_null(strstr(text, "hidden-word"));
	assert_null(strstr(text, KEY64));
	assert_non_null(strstr(text, "\nOMNI_API_KEY=********\n"));
	assert_non_null(strstr(text, "\nVAPI_API_KEY=\n"));
	assert_non_null(strstr(text, "\nOMNI_AGENT_ID=5\n"));
	assert_non_null(
		strstr(text, "\nSCHEMA_REGISTRY_URL=https://********@r.example.test/p@q\n"));
	assert_non_null(strstr(text, "\nOMNI_BASE_URL=https://backend.omnidim.io\n"));
	assert_null(strstr(text, "TICK_MS"));
	free(text);
	config_free(cfg);
}

/* The table's own defaults must pass its checks, for every process; this also finds rows of a wrong
 * type. */
static void every_default_passes_its_own_check(void **state)
{
	(void)state;
	for (unsigned process = 1; process < CONFIG_ALL; process *= 2) {
		struct config *cfg = load_one((enum config_process)process, NULL);
		assert_non_null(cfg);
#define CONFIG_ROW(NAME, type, dflt, min, max, flags, processes, doc)                              \
	if (((processes)&process) && (dflt))                                                       \
		assert_string_equal(config_text(cfg, CONFIG_KEY_##NAME), dflt);
#include "common/tbl/config.h"
#undef CONFIG_ROW
		config_free(cfg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_in_effect),
		cmocka_unit_test(given_values_win_and_empty_ones_are_unset),
		cmocka_unit_test(a_process_sees_only_what_it_reads),
		cmocka_unit_test(values_are_checked_by_type),
		cmocka_unit_test(brokers_and_database_are_checked),
		cmocka_unit_test(rules_between_settings_hold),
		cmocka_unit_test(all_problems_are_said_at_once),
		cmocka_unit_test(help_names_what_the_process_reads),
		cmocka_unit_test(secrets_are_masked_when_printed),
		cmocka_unit_test(every_default_passes_its_own_check),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
