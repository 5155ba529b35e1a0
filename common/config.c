/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of tbl/config.h at work: reading the environment, the checks between rows, --help and
 * --print-config. Everything is checked before anything is reported, so that one run names all
 * mistakes.
 */
#include "common/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config_types.h"

#define CONFIG_STR CONFIG_TYPE_STR, NULL
#define CONFIG_INT(unit) CONFIG_TYPE_INT, unit
#define CONFIG_BOOL CONFIG_TYPE_BOOL, NULL
#define CONFIG_URL CONFIG_TYPE_URL, NULL
#define CONFIG_HOSTPORT CONFIG_TYPE_HOSTPORT, NULL
#define CONFIG_BROKERS CONFIG_TYPE_BROKERS, NULL
#define CONFIG_PGURL CONFIG_TYPE_PGURL, NULL
#define CONFIG_WINDOW CONFIG_TYPE_WINDOW, NULL
#define CONFIG_HEX64 CONFIG_TYPE_HEX64, NULL
#define CONFIG_FILE CONFIG_TYPE_FILE, NULL
#define CONFIG_PATH CONFIG_TYPE_PATH, NULL
#define CONFIG_PHONE CONFIG_TYPE_PHONE, NULL
#define CONFIG_WHSEC CONFIG_TYPE_WHSEC, NULL
#define CONFIG_WORD CONFIG_TYPE_WORD, NULL
#define CONFIG_FIELDS CONFIG_TYPE_FIELDS, NULL
#define CONFIG_FRACTION CONFIG_TYPE_FRACTION, NULL
#define CONFIG_ZONE CONFIG_TYPE_ZONE, NULL
#define CONFIG_ENUM(words) CONFIG_TYPE_ENUM, words
#define CONFIG_LIST(words) CONFIG_TYPE_LIST, words

static const struct config_row rows[CONFIG_KEY_COUNT] = {
#define NONE CONFIG_FLAG_NONE
#define REQUIRED CONFIG_FLAG_REQUIRED
#define SECRET CONFIG_FLAG_SECRET
#define HTTPS CONFIG_FLAG_HTTPS
#define CONFIG_ROW(NAME, type, dflt, min, max, flags, processes, doc)                              \
	{#NAME, CONFIG_##type, dflt, min, max, flags, processes, doc},
#include "common/tbl/config.h"
#undef CONFIG_ROW
#undef NONE
#undef REQUIRED
#undef SECRET
#undef HTTPS
};

/* Defaults that the table can't hold: they differ by process. */
static const struct {
	enum config_key key;
	enum config_process process;
	const char *dflt;
} process_defaults[] = {
	{CONFIG_KEY_LISTEN, CONFIG_PRODUCER, "127.0.0.1:8080"},
	{CONFIG_KEY_LISTEN, CONFIG_WEBHOOK, "127.0.0.1:8081"},
	{CONFIG_KEY_LISTEN, CONFIG_CONSUMER, "127.0.0.1:8082"},
};

struct config_value {
	char *given;	  /* from the environment */
	const char *text; /* given or default; NULL if neither */
	int64_t num;	  /* of INT and BOOL */
	bool wrong;	  /* reported already: no check between rows looks at it */
};

struct config {
	enum config_process process;
	char worker_name[128];
	struct config_value values[CONFIG_KEY_COUNT];
};

static bool reads(enum config_process process, enum config_key key)
{
	return (rows[key].processes & process) != 0;
}

/* ---- Checks between rows ---- */

static bool given(const struct config *cfg, enum config_key key)
{
	return cfg->values[key].given != NULL;
}

static int64_t number(const struct config *cfg, enum config_key key)
{
	return cfg->values[key].num;
}

static bool not_less(const struct config *cfg, const enum config_key *k)
{
	return number(cfg, k[0]) >= number(cfg, k[1]);
}

static bool greater(const struct config *cfg, const enum config_key *k)
{
	return number(cfg, k[0]) > number(cfg, k[1]);
}

static bool sum_greater(const struct config *cfg, const enum config_key *k)
{
	return number(cfg, k[0]) + number(cfg, k[1]) > number(cfg, k[2]);
}

static bool first_without_second(const struct config *cfg, const enum config_key *k)
{
	return given(cfg, k[0]) && !given(cfg, k[1]);
}

static bool open_to_others(const struct config *cfg, const enum config_key *k)
{
	return !given(cfg, k[0]) && !given(cfg, k[1]) &&
	       !config_hostport_is_loopback(cfg->values[CONFIG_KEY_LISTEN].text);
}

#define KEYS(...)                                                                                  \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define K(NAME) CONFIG_KEY_##NAME

/* Rules over up to three rows; a rule is for the processes that read all of them. */
static const struct config_rule {
	bool (*broken)(const struct config *cfg, const enum config_key *keys);
	enum config_key keys[3];
	unsigned keys_count;
	const char *message;
} rules[] = {
	{not_less, KEYS(K(LEASE_MARGIN_S), K(JOB_LEASE_S)), 2,
	 "LEASE_MARGIN_S: leaves nothing of JOB_LEASE_S; set it below JOB_LEASE_S"},
	{sum_greater, KEYS(K(PROVIDER_TIMEOUT_S), K(LEASE_MARGIN_S), K(JOB_LEASE_S)), 3,
	 "PROVIDER_TIMEOUT_S: with LEASE_MARGIN_S is longer than JOB_LEASE_S; set a shorter one, or a longer "
	 "JOB_LEASE_S"},
	{greater, KEYS(K(RETRY_BASE_S), K(RETRY_MAX_S)), 2,
	 "RETRY_BASE_S: is longer than RETRY_MAX_S; set it to RETRY_MAX_S or less"},
	{open_to_others, KEYS(K(ADMIN_API_KEY), K(ADMIN_API_KEY), K(LISTEN)), 3,
	 "ADMIN_API_KEY: is unset and LISTEN is open to other machines; set a key, or LISTEN to 127.0.0.1"},
	{open_to_others, KEYS(K(N8N_DISPATCH_SECRET), K(CRON_JOB_SECRET), K(LISTEN)), 3,
	 "N8N_DISPATCH_SECRET: is unset, as is CRON_JOB_SECRET, and LISTEN is open to other machines; set one of "
	 "them, or LISTEN to 127.0.0.1"},
	{first_without_second, KEYS(K(WEBHOOK_SNAPSHOT), K(SECRET_KEY)), 2,
	 "SECRET_KEY: is unset, but seals WEBHOOK_SNAPSHOT; set 64 hexadecimal characters"},
	{first_without_second, KEYS(K(OMNI_API_KEY), K(OMNI_AGENT_ID)), 2,
	 "OMNI_AGENT_ID: is unset, but OMNI_API_KEY is set; set the agent that calls"},
	{first_without_second, KEYS(K(VAPI_API_KEY), K(VAPI_ASSISTANT_ID)), 2,
	 "VAPI_ASSISTANT_ID: is unset, but VAPI_API_KEY is set; set the assistant that calls"},
	{first_without_second, KEYS(K(VAPI_API_KEY), K(VAPI_PHONE_NUMBER_ID)), 2,
	 "VAPI_PHONE_NUMBER_ID: is unset, but VAPI_API_KEY is set; set the number that calls"},
	{first_without_second, KEYS(K(BLAND_API_KEY), K(BLAND_PATHWAY_ID)), 2,
	 "BLAND_PATHWAY_ID: is unset, but BLAND_API_KEY is set; set the pathway that calls"},
	{first_without_second, KEYS(K(TWILIO_ACCOUNT_SID), K(TWILIO_AUTH_TOKEN)), 2,
	 "TWILIO_AUTH_TOKEN: is unset, but TWILIO_ACCOUNT_SID is set; set the account's token"},
	{first_without_second, KEYS(K(TWILIO_AUTH_TOKEN), K(TWILIO_ACCOUNT_SID)), 2,
	 "TWILIO_ACCOUNT_SID: is unset, but TWILIO_AUTH_TOKEN is set; set the account"},
	{first_without_second, KEYS(K(TWILIO_AUTH_TOKEN), K(TWILIO_NUMBER)), 2,
	 "TWILIO_NUMBER: is unset, but TWILIO_AUTH_TOKEN is set; set the number that calls"},
	{first_without_second, KEYS(K(TWILIO_AUTH_TOKEN), K(TWIML_URL_PRECLASSIFY)), 2,
	 "TWIML_URL_PRECLASSIFY: is unset, but TWILIO_AUTH_TOKEN is set; set the calls' instructions"},
	{first_without_second, KEYS(K(TWILIO_AUTH_TOKEN), K(PUBLIC_WEBHOOK_URL)), 2,
	 "PUBLIC_WEBHOOK_URL: is unset, but TWILIO_AUTH_TOKEN is set; set the address that Twilio signs"},
};

static bool rule_applies(const struct config *cfg, const struct config_rule *rule)
{
	for (unsigned i = 0; i < rule->keys_count; i++) {
		if (!reads(cfg->process, rule->keys[i]) || cfg->values[rule->keys[i]].wrong)
			return false;
	}
	return true;
}

static void check_rules(const struct config *cfg, struct buf *errors)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rule_applies(cfg, &rules[i]) && rules[i].broken(cfg, rules[i].keys))
			buf_addf(errors, "%s\n", rules[i].message);
	}
}

/* Credentials and people's numbers go over these URLs. */
static void check_https(const struct config *cfg, struct buf *errors)
{
	if (number(cfg, CONFIG_KEY_ALLOW_INSECURE_PROVIDERS))
		return;
	for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
		const struct config_value *v = &cfg->values[k];
		bool wanted = (rows[k].flags & CONFIG_FLAG_HTTPS) && !v->wrong && v->text;
		if (wanted && strncasecmp(v->text, "https://", 8) != 0)
			buf_addf(errors,
				 "%s: is not encrypted; set an https:// URL (or, for tests, "
				 "ALLOW_INSECURE_PROVIDERS=true)\n",
				 rows[k].name);
	}
}

/* ---- Loading ---- */

/* Host name and process id: unique among those running, and telling in a list of leases. */
static void make_worker_name(char *ret_name, size_t n)
{
	char host[96] = "";

	if (gethostname(host, sizeof(host) - 1) != 0 || !host[0])
		snprintf(host, sizeof(host), "worker");
	for (char *p = host; *p; p++) {
		bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			    (*p >= '0' && *p <= '9') || *p == '.' || *p == '_';
		if (!word)
			*p = '-';
	}
	snprintf(ret_name, n, "%s-%ld", host, (long)getpid());
}

static const char *default_text(const struct config *cfg, enum config_key key)
{
	if (key == CONFIG_KEY_WORKER_NAME)
		return cfg->worker_name;
	for (size_t i = 0; i < sizeof(process_defaults) / sizeof(process_defaults[0]); i++) {
		if (process_defaults[i].key == key && process_defaults[i].process == cfg->process)
			return process_defaults[i].dflt;
	}
	return rows[key].dflt;
}

/* The variable's text, NULL if unset or empty. */
static const char *find(const char *const *environment, const char *name)
{
	size_t n = strlen(name);

	for (; *environment; environment++) {
		if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
			return (*environment)[n + 1] ? *environment + n + 1 : NULL;
	}
	return NULL;
}

static void load_value(struct config *cfg, enum config_key key, const char *const *environment,
		       struct buf *errors)
{
	struct config_value *v = &cfg->values[key];
	const struct config_row *row = &rows[key];
	const char *text = find(environment, row->name);
	size_t start = errors->len;

	if (text) {
		v->given = strdup(text);
		if (!v->given)
			buf_addf(errors, "%s: no memory; try again\n", row->name);
	}
	v->text = v->given ? v->given : default_text(cfg, key);
	if (!v->text) {
		v->wrong = (row->flags & CONFIG_FLAG_REQUIRED) != 0;
		if (v->wrong)
			buf_addf(errors, "%s: is unset; set it (%s)\n", row->name, row->doc);
		return;
	}
	buf_addf(errors, "%s: ", row->name);
	if (config_check(row, v->text, &v->num, errors)) {
		errors->len = start;
		errors->data[start] = '\0';
	} else {
		buf_addc(errors, '\n');
		v->wrong = true;
	}
}

struct config *config_load(enum config_process process, const char *const *environment,
			   struct buf *errors)
{
	size_t start = errors->len;
	struct config *cfg = calloc(1, sizeof(*cfg));

	if (!cfg) {
		buf_adds(errors, "no memory for the configuration; try again\n");
		return NULL;
	}
	cfg->process = process;
	make_worker_name(cfg->worker_name, sizeof(cfg->worker_name));
	for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
		if (reads(process, (enum config_key)k))
			load_value(cfg, (enum config_key)k, environment, errors);
	}
	check_rules(cfg, errors);
	check_https(cfg, errors);
	if (errors->len == start && !errors->failed)
		return cfg;
	config_free(cfg);
	return NULL;
}

void config_free(struct config *cfg)
{
	if (!cfg)
		return;
	for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
		if (cfg->values[k].given)
			explicit_bzero(cfg->values[k].given, strlen(cfg->values[k].given));
		free(cfg->values[k].given);
	}
	free(cfg);
}

/* ---- Reading ---- */

const char *config_str(const struct config *cfg, enum config_key key)
{
	assert(reads(cfg->process, key));
	assert(rows[key].type != CONFIG_TYPE_INT && rows[key].type != CONFIG_TYPE_BOOL);
	return cfg->values[key].text;
}

int64_t config_int(const struct config *cfg, enum config_key key)
{
	assert(reads(cfg->process, key) && rows[key].type == CONFIG_TYPE_INT &&
	       cfg->values[key].text);
	return cfg->values[key].num;
}

bool config_bool(const struct config *cfg, enum config_key key)
{
	assert(reads(cfg->process, key) && rows[key].type == CONFIG_TYPE_BOOL);
	return cfg->values[key].num != 0;
}

bool config_list_has(const struct config *cfg, enum config_key key, const char *word)
{
	assert(reads(cfg->process, key) && rows[key].type == CONFIG_TYPE_LIST);
	const char *list = cfg->values[key].text;
	return list && config_word_in(list, ',', word, strlen(word));
}

bool config_is_set(const struct config *cfg, enum config_key key)
{
	return given(cfg, key);
}

const char *config_text(const struct config *cfg, enum config_key key)
{
	return cfg->values[key].text;
}

/* ---- Output ---- */

static void help_default(const struct config *cfg, enum config_key key, char *ret_text, size_t n)
{
	const struct config_row *row = &rows[key];
	const char *dflt =
		key == CONFIG_KEY_WORKER_NAME ? "host name and pid" : default_text(cfg, key);

	if (row->flags & CONFIG_FLAG_REQUIRED)
		snprintf(ret_text, n, "required");
	else if (!dflt)
		snprintf(ret_text, n, "unset");
	else if (row->type == CONFIG_TYPE_INT)
		snprintf(ret_text, n, "%s %s", dflt, row->detail);
	else
		snprintf(ret_text, n, "%s", dflt);
}

void config_print_help(enum config_process process, const char *program, FILE *out)
{
	const struct config cfg = {.process = process};
	char dflt[64];

	fprintf(out, "Environment of %s (name, default, meaning):\n\n", program);
	for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
		if (!reads(process, (enum config_key)k))
			continue;
		const struct config_row *row = &rows[k];
		bool words = (row->type == CONFIG_TYPE_ENUM || row->type == CONFIG_TYPE_LIST) &&
			     *row->detail;
		help_default(&cfg, (enum config_key)k, dflt, sizeof(dflt));
		fprintf(out, "  %-26s %-27s %s", row->name, dflt, row->doc);
		if (words)
			fprintf(out, " (%s)", row->detail);
		if (row->type == CONFIG_TYPE_INT && !row->dflt)
			fprintf(out, " (%s)", row->detail);
		fputc('\n', out);
	}
}

/* A URL without the password it may carry. */
static void print_url(const char *url, FILE *out)
{
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	size_t authority = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', authority);

	if (at)
		fprintf(out, "%.*s********%s\n", (int)(host - url), url, at);
	else
		fprintf(out, "%s\n", url);
}

void config_print(const struct config *cfg, FILE *out)
{
	for (unsigned k = 0; k < CONFIG_KEY_COUNT; k++) {
		const struct config_value *v = &cfg->values[k];
		if (!reads(cfg->process, (enum config_key)k))
			continue;
		fprintf(out, "%s=", rows[k].name);
		if (!v->text)
			fputc('\n', out);
		else if (rows[k].flags & CONFIG_FLAG_SECRET)
			fputs("********\n", out);
		else if (rows[k].type == CONFIG_TYPE_URL)
			print_url(v->text, out);
		else
			fprintf(out, "%s\n", v->text);
	}
}
