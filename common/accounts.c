/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An account is a JSON record {id, name, tenant, provider, active, max_concurrent, settings},
 * whether it comes from the environment, the database or a snapshot; struct account borrows from
 * it. So all three ways meet in set_of_records(), and writing a snapshot is writing the records.
 */
#include "common/accounts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/pg.h"

#define CREDENTIALS_MAX_BYTES 65536
#define SETTINGS_MAX_BYTES (1 << 20)
#define MASKED_MIN 4 /* what is shorter could be any word's part */
#define SNAPSHOT_MAX_BYTES ((size_t)ACCOUNTS_MAX * 4096)

struct account_set {
	json_t *records; /* array, owns what the accounts borrow */
	struct account *accounts;
	size_t n;
	const char **shut; /* names of those whose credentials can't be opened, sorted */
	size_t shut_count;
};

/* The environment's accounts: rows of one provider stand together; one of its secrets makes the
 * account. */
static const struct {
	const char *provider, *setting;
	enum config_key key;
	bool secret;
} environment[] = {
	{"omni", "api_key", CONFIG_KEY_OMNI_API_KEY, true},
	{"omni", "base_url", CONFIG_KEY_OMNI_BASE_URL, false},
	{"omni", "url", CONFIG_KEY_OMNI_URL, false},
	{"omni", "agent_id", CONFIG_KEY_OMNI_AGENT_ID, false},
	{"omni", "from_number_id", CONFIG_KEY_OMNI_FROM_NUMBER_ID, false},
	{"omni", "webhook_token", CONFIG_KEY_OMNI_WEBHOOK_TOKEN, true},
	{"vapi", "api_key", CONFIG_KEY_VAPI_API_KEY, true},
	{"vapi", "base_url", CONFIG_KEY_VAPI_BASE_URL, false},
	{"vapi", "assistant_id", CONFIG_KEY_VAPI_ASSISTANT_ID, false},
	{"vapi", "phone_number_id", CONFIG_KEY_VAPI_PHONE_NUMBER_ID, false},
	{"vapi", "webhook_secret", CONFIG_KEY_VAPI_WEBHOOK_SECRET, true},
	{"vapi", "webhook_auth", CONFIG_KEY_VAPI_WEBHOOK_AUTH, false},
	{"twilio", "account_sid", CONFIG_KEY_TWILIO_ACCOUNT_SID, false},
	{"twilio", "auth_token", CONFIG_KEY_TWILIO_AUTH_TOKEN, true},
	{"twilio", "base_url", CONFIG_KEY_TWILIO_BASE_URL, false},
	{"twilio", "from_number", CONFIG_KEY_TWILIO_NUMBER, false},
	{"twilio", "twiml_url", CONFIG_KEY_TWIML_URL_PRECLASSIFY, false},
	{"bland", "api_key", CONFIG_KEY_BLAND_API_KEY, true},
	{"bland", "base_url", CONFIG_KEY_BLAND_BASE_URL, false},
	{"bland", "pathway_id", CONFIG_KEY_BLAND_PATHWAY_ID, false},
	{"bland", "from_number", CONFIG_KEY_BLAND_NUMBER, false},
	{"bland", "webhook_secret", CONFIG_KEY_BLAND_WEBHOOK_SECRET, true},
	{"convoso", "webhook_secret", CONFIG_KEY_CONVOSO_WEBHOOK_SECRET, true},
	{"convoso", "fields", CONFIG_KEY_CONVOSO_FIELDS, false},
	{"convoso", "time_zone", CONFIG_KEY_CONVOSO_TIME_ZONE, false},
	{"classifier", "webhook_secret", CONFIG_KEY_CLASSIFIER_WEBHOOK_SECRET, true},
	{"generic", "webhook_secret", CONFIG_KEY_GENERIC_WEBHOOK_SECRET, true},
};
#define ENVIRONMENT_ROWS (sizeof(environment) / sizeof(environment[0]))

/* What an account of the database takes from the environment if it has none of its own. */
static bool is_shared_setting(const char *setting)
{
	return strcmp(setting, "base_url") == 0 || strcmp(setting, "webhook_auth") == 0 ||
	       strcmp(setting, "time_zone") == 0;
}

/* ---- Records ---- */

/* Takes over `settings`; NULL without memory. */
static json_t *new_record(const char *name, const char *tenant, const char *provider,
			  json_t *settings)
{
	return json_pack("{s:n, s:s, s:s, s:s, s:b, s:i, s:o}", "id", "name", name, "tenant",
			 tenant, "provider", provider, "active", 1, "max_concurrent", 0, "settings",
			 settings);
}

/* Adds the environment's accounts. False without memory. */
static bool add_environment(const struct config *cfg, json_t *records)
{
	for (size_t i = 0, end; i < ENVIRONMENT_ROWS; i = end) {
		const char *provider = environment[i].provider;
		json_t *settings = json_object();
		bool exists = false;
		for (end = i;
		     end < ENVIRONMENT_ROWS && strcmp(environment[end].provider, provider) == 0;
		     end++) {
			const char *text = config_text(cfg, environment[end].key);
			if (!text)
				continue;
			exists |= environment[end].secret;
			if (json_object_set_new(settings, environment[end].setting,
						json_string(text)) != 0) {
				json_decref(settings);
				return false;
			}
		}
		if (!exists)
			json_decref(settings);
		else if (json_array_append_new(
				 records, new_record(provider, "default", provider, settings)) != 0)
			return false;
	}
	return true;
}

static bool add_setting(json_t *settings, const char *key, const json_t *value)
{
	char number[64];
	const char *text = json_path_scalar(value, "", number, sizeof(number));

	return !text || json_object_set_new(settings, key, json_string(text)) == 0;
}

/* Members of `from` as strings into `settings`, those of an object among them as "key.member"; what
 * is neither text nor number is left out. */
static bool add_settings(json_t *settings, const json_t *from)
{
	const char *key, *member;
	json_t *value, *part;
	char name[256];

	json_object_foreach ((json_t *)from, key, value) {
		if (!add_setting(settings, key, value))
			return false;
		json_object_foreach (value, member, part) {
			int n = snprintf(name, sizeof(name), "%s.%s", key, member);
			if (n < (int)sizeof(name) && !add_setting(settings, name, part))
				return false;
		}
	}
	return true;
}

/* ---- Rows of the database ---- */

struct columns {
	int id, name, tenant, provider, active, max_concurrent, credentials, settings, source;
};

struct row_reader {
	const PGresult *rows;
	struct columns col;
	const struct seal_keys *keys;
	json_t *records;
	size_t environment_count; /* the first records */
	struct buf *problems;
};

/* The opened credentials as a JSON object, or NULL with the reason among the problems. */
static json_t *open_credentials(const struct row_reader *r, const char *name, const char *hex)
{
	struct buf plain, reason;
	json_t *credentials = NULL;
	size_t n = strlen(hex), which;

	if (!r->keys || r->keys->n == 0) {
		buf_addf(r->problems,
			 "account %s: its credentials are sealed and SECRET_KEY is unset\n", name);
		return NULL;
	}
	unsigned char *bytes = n <= 2 * CREDENTIALS_MAX_BYTES ? malloc(n / 2 + 1) : NULL;
	buf_init(&plain, CREDENTIALS_MAX_BYTES);
	buf_init(&reason, 256);
	if (bytes && hex_decode(hex, n, bytes) == 0 &&
	    unseal_any(r->keys, name, bytes, n / 2, &plain, &which) == 0)
		credentials = json_parse(plain.data, plain.len, CREDENTIALS_MAX_BYTES, &reason);
	if (!credentials)
		buf_addf(r->problems,
			 "account %s: its credentials can't be opened with this SECRET_KEY\n",
			 name);
	explicit_bzero(plain.data, plain.len);
	buf_release(&plain);
	buf_release(&reason);
	free(bytes);
	return credentials;
}

/* The record of the environment's account of this name, or NULL. */
static json_t *environment_record(const struct row_reader *r, const char *name)
{
	for (size_t i = 0; i < r->environment_count; i++) {
		json_t *record = json_array_get(r->records, i);
		if (strcmp(json_path_text(record, "name"), name) == 0)
			return record;
	}
	return NULL;
}

/* What only the database knows of an account. */
static bool set_facts(const struct row_reader *r, int row, json_t *record)
{
	return json_object_set_new(record, "id", json_string(pg_text(r->rows, row, r->col.id))) ==
		       0 &&
	       json_object_set_new(record, "tenant",
				   json_string(pg_text(r->rows, row, r->col.tenant))) == 0 &&
	       json_object_set_new(record, "active",
				   json_boolean(pg_bool(r->rows, row, r->col.active))) == 0 &&
	       json_object_set_new(record, "max_concurrent",
				   json_integer(pg_int(r->rows, row, r->col.max_concurrent))) == 0;
}

/* One whose credentials stay shut: its name is kept, so that it is not taken for unknown. */
static bool add_shut(const struct row_reader *r, int row)
{
	json_t *record = new_record(pg_text(r->rows, row, r->col.name), "",
				    pg_text(r->rows, row, r->col.provider), json_object());

	return json_array_append_new(r->records, record) == 0 && set_facts(r, row, record) &&
	       json_object_set_new(record, "shut", json_true()) == 0;
}

/* False without memory only. */
static bool add_row(const struct row_reader *r, int row)
{
	const char *name = pg_text(r->rows, row, r->col.name);
	const char *sealed = pg_text(r->rows, row, r->col.credentials);
	const char *settings_text = pg_text(r->rows, row, r->col.settings);
	bool of_environment = strcmp(pg_text(r->rows, row, r->col.source), "environment") == 0;
	json_t *record = environment_record(r, name);

	if (record) {
		if (!of_environment)
			buf_addf(r->problems,
				 "account %s: is in the database too; the environment's wins\n",
				 name);
		return set_facts(r, row, record);
	}
	_cleanup_json_ json_t *credentials = NULL;
	if (sealed) {
		credentials = open_credentials(r, name, sealed);
		if (!credentials)
			return add_shut(r, row);
	}
	struct buf reason;
	buf_init(&reason, 256);
	_cleanup_json_ json_t *stored =
		json_parse(settings_text, strlen(settings_text), SETTINGS_MAX_BYTES, &reason);
	buf_release(&reason);
	if (!stored)
		buf_addf(r->problems, "account %s: its settings can't be read\n", name);
	json_t *settings = json_object();
	if (!settings || !add_settings(settings, stored) || !add_settings(settings, credentials)) {
		json_decref(settings);
		return false;
	}
	record = new_record(name, "", pg_text(r->rows, row, r->col.provider), settings);
	return json_array_append_new(r->records, record) == 0 && set_facts(r, row, record);
}

static bool add_rows(struct row_reader *r)
{
	int count = PQntuples(r->rows);

	r->col = (struct columns){
		.id = pg_col(r->rows, "id"),
		.name = pg_col(r->rows, "name"),
		.tenant = pg_col(r->rows, "tenant_id"),
		.provider = pg_col(r->rows, "provider"),
		.active = pg_col(r->rows, "active"),
		.max_concurrent = pg_col(r->rows, "max_concurrent"),
		.credentials = pg_col(r->rows, "credentials"),
		.settings = pg_col(r->rows, "settings"),
		.source = pg_col(r->rows, "source"),
	};
	if (count > ACCOUNTS_MAX) {
		buf_addf(r->problems, "accounts: %d in the database, only the first %d are used\n",
			 count, ACCOUNTS_MAX);
		count = ACCOUNTS_MAX;
	}
	for (int row = 0; row < count; row++) {
		if (!add_row(r, row))
			return false;
	}
	return true;
}

/* ---- What every account has ---- */

static bool set_default(json_t *settings, const char *setting, const char *text)
{
	if (!text || json_path_text(settings, setting))
		return true;
	return json_object_set_new(settings, setting, json_string(text)) == 0;
}

/* base_url without a slash at its end, shared settings, webhook_url. False without memory. */
static bool complete(const struct config *cfg, json_t *record)
{
	json_t *settings = json_object_get(record, "settings");
	const char *provider = json_path_text(record, "provider");
	const char *public_url = config_text(cfg, CONFIG_KEY_PUBLIC_WEBHOOK_URL);
	bool good = true;

	for (size_t i = 0; i < ENVIRONMENT_ROWS; i++) {
		if (strcmp(environment[i].provider, provider) == 0 &&
		    is_shared_setting(environment[i].setting))
			good = good && set_default(settings, environment[i].setting,
						   config_text(cfg, environment[i].key));
	}
	const char *base_url = json_path_text(settings, "base_url");
	size_t n = base_url ? strlen(base_url) : 0;
	while (n > 0 && base_url[n - 1] == '/')
		n--;
	if (base_url && base_url[n])
		good = good &&
		       json_object_set_new(settings, "base_url", json_stringn(base_url, n)) == 0;
	if (!public_url)
		return good;
	struct buf url;
	buf_init(&url, 8192);
	buf_adds(&url, public_url);
	while (url.len > 0 && url.data[url.len - 1] == '/')
		url.len--;
	buf_adds(&url, "/webhooks/");
	buf_add_url(&url, provider, strlen(provider));
	buf_addc(&url, '/');
	const char *name = json_path_text(record, "name");
	buf_add_url(&url, name, strlen(name));
	good = good && !url.failed &&
	       json_object_set_new(settings, "webhook_url", json_string(url.data)) == 0;
	buf_release(&url);
	return good;
}

/* ---- The set ---- */

static bool fingerprint(const struct account *a, char ret_text[ACCOUNT_FINGERPRINT_BYTES])
{
	/* What decides whose calls the provider lists. */
	static const char *const settings[] = {"base_url", "account_sid", "api_key", "auth_token"};
	struct sign_part parts[1 + sizeof(settings) / sizeof(settings[0])];
	unsigned char digest[SHA256_BYTES];
	size_t n = 0;

	/* Each with its NUL, so that no two lists of values read the same. */
	parts[n++] = (struct sign_part){a->provider, strlen(a->provider) + 1};
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const char *text = account_setting(a, settings[i]);
		text = text ? text : "";
		parts[n++] = (struct sign_part){text, strlen(text) + 1};
	}
	if (!sha256(parts, n, digest))
		return false;
	hex_encode(digest, (ACCOUNT_FINGERPRINT_BYTES - 1) / 2, ret_text);
	return true;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct account *)a)->name, ((const struct account *)b)->name);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Takes over the records, which are known to be complete. NULL without memory. */
static struct account_set *set_of_records(json_t *records)
{
	struct account_set *s = calloc(1, sizeof(*s));
	size_t n = json_array_size(records);

	if (!s) {
		json_decref(records);
		return NULL;
	}
	s->records = records;
	s->accounts = calloc(n + 1, sizeof(*s->accounts));
	s->shut = calloc(n + 1, sizeof(*s->shut));
	for (size_t i = 0; s->accounts && s->shut && i < n; i++) {
		const json_t *record = json_array_get(records, i);
		if (json_path_is_true(record, "shut")) {
			s->shut[s->shut_count++] = json_path_text(record, "name");
			continue;
		}
		struct account *a = &s->accounts[s->n];
		*a = (struct account){
			.id = json_path_text(record, "id"),
			.name = json_path_text(record, "name"),
			.tenant = json_path_text(record, "tenant"),
			.provider = json_path_text(record, "provider"),
			.active = json_path_is_true(record, "active"),
			.max_concurrent =
				(long)json_integer_value(json_path(record, "max_concurrent")),
			.settings = json_path(record, "settings"),
		};
		if (!fingerprint(a, a->fingerprint))
			break;
		s->n++;
	}
	if (!s->accounts || !s->shut || s->n + s->shut_count < n) {
		account_set_free(s);
		return NULL;
	}
	qsort(s->accounts, s->n, sizeof(*s->accounts), compare_names);
	qsort(s->shut, s->shut_count, sizeof(*s->shut), compare_texts);
	return s;
}

struct account_set *account_set_new(const struct config *cfg, const PGresult *rows,
				    const struct seal_keys *keys, struct buf *problems)
{
	json_t *records = json_array();
	bool good = records && add_environment(cfg, records);

	if (good && rows) {
		struct row_reader r = {
			.rows = rows,
			.keys = keys,
			.records = records,
			.environment_count = json_array_size(records),
			.problems = problems,
		};
		good = add_rows(&r);
	}
	for (size_t i = 0; good && i < json_array_size(records); i++)
		good = complete(cfg, json_array_get(records, i));
	if (good)
		return set_of_records(records);
	json_decref(records);
	return NULL;
}

void account_set_free(struct account_set *s)
{
	if (!s)
		return;
	free(s->accounts);
	free(s->shut);
	json_decref(s->records);
	free(s);
}

const struct account *account_by_name(const struct account_set *s, const char *name)
{
	const struct account key = {.name = name};

	return bsearch(&key, s->accounts, s->n, sizeof(*s->accounts), compare_names);
}

bool account_is_shut(const struct account_set *s, const char *name)
{
	return bsearch(&name, s->shut, s->shut_count, sizeof(*s->shut), compare_texts) != NULL;
}

size_t account_count(const struct account_set *s)
{
	return s->n;
}

const struct account *account_at(const struct account_set *s, size_t i)
{
	assert(i < s->n);
	return &s->accounts[i];
}

const char *account_setting(const struct account *a, const char *key)
{
	const char *text = json_string_value(json_object_get(a->settings, key));

	return text && *text ? text : NULL;
}

void account_mask(const struct account *a, char *text)
{
	static const char *const secrets[] = {"api_key", "auth_token", "webhook_secret",
					      "webhook_token"};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		const char *list = account_setting(a, secrets[i]);
		while (list && *list) {
			size_t n = strcspn(list, ",");
			for (char *at = text;
			     n >= MASKED_MIN && (at = memmem(at, strlen(at), list, n)); at += n)
				memset(at, '*', n);
			list += n + (list[n] == ',');
		}
	}
}

/* ---- Snapshot ---- */

void account_set_write(const struct account_set *s, struct buf *json)
{
	json_write(s->records, json);
}

static bool is_record(const json_t *record)
{
	int64_t limit;

	return json_path_text(record, "name") && json_path_text(record, "tenant") &&
	       json_path_text(record, "provider") &&
	       json_path_int(record, "max_concurrent", &limit) && limit >= 0 &&
	       json_is_object(json_path(record, "settings"));
}

struct account_set *account_set_read(const char *json, size_t n, struct buf *error)
{
	json_t *records = json_parse(json, n, SNAPSHOT_MAX_BYTES, error);
	const json_t *record;
	size_t i;

	if (!records)
		return NULL;
	bool good = json_is_array(records) &&
		    json_array_size(records) <= ACCOUNTS_MAX + ENVIRONMENT_ROWS;
	json_array_foreach (records, i, record)
		good = good && is_record(record);
	if (!good) {
		buf_adds(error, "no snapshot of accounts");
		json_decref(records);
		return NULL;
	}
	struct account_set *s = set_of_records(records);
	if (!s)
		buf_adds(error, "no memory");
	return s;
}
