/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/accounts: tenants' accounts with providers. Their credentials are sealed here, before the
 * database hears of them, and are told to nobody again: answers have their names alone. Needs
 * ADMIN_API_KEY itself.
 */
#include <string.h>

#include "common/json.h"
#include "common/seal.h"
#include "producer/api/routes.h"

#define BASE "/api/accounts"
#define CREDENTIAL_CHARACTERS_MAX 4096
#define SEALED_BYTES_MAX 65536
#define BODY_BYTES_MAX 65536

static const struct endpoint endpoints[] = {
	{"GET",
	 BASE,
	 API_ACCOUNTS_LIST,
	 0,
	 {{PARAM_QUERY, "tenant"},
	  {PARAM_QUERY, "provider"},
	  {PARAM_QUERY, "limit"},
	  {PARAM_QUERY, "after"}}},
	{"GET", BASE "/{name}", API_ACCOUNT, 0, {{PARAM_PATH, "name"}}},
	{"DELETE", BASE "/{name}", API_ACCOUNT_REMOVE, 0, {{PARAM_PATH, "name"}}},
};

const struct resource accounts_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.audience = AUDIENCE_ADMIN,
	.words = &problem_words,
};

/* ---- Credentials ---- */

static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xC0) != 0x80;
	return n;
}

/* Takes the credentials' values out of the account: what the statement sees of one is that it is a
 * text, or what else it is. NULL: there are none. */
static json_t *take_credentials(json_t *account)
{
	json_t *given = json_object_get(account, "credentials");
	json_t *taken = json_object();
	/* What is no object may be a secret all the same. */
	json_t *shown = json_is_object(given) ? json_object() : json_false();
	const char *name;
	json_t *value;

	json_object_foreach (given, name, value) {
		size_t n = json_is_string(value) ? characters(json_string_value(value)) : 0;
		if (json_is_null(value)) {
			json_object_set_new(shown, name, json_null());
		} else if (n == 0 || n > CREDENTIAL_CHARACTERS_MAX) {
			json_object_set_new(shown, name, json_false());
		} else {
			json_object_set(taken, name, value);
			json_object_set_new(shown, name, json_string("sealed"));
		}
	}
	if (given)
		json_object_set_new(account, "credentials", shown);
	else
		json_decref(shown);
	if (json_object_size(taken) > 0)
		return taken;
	json_decref(taken);
	return NULL;
}

/* Hexadecimal, bound to the account's name. False: no key, or it fails. */
static bool seal_credentials(const struct config *cfg, const char *account,
			     const json_t *credentials, struct buf *ret_hex)
{
	const char *hex = config_str(cfg, CONFIG_KEY_SECRET_KEY);
	struct seal_keys keys;
	char pair[3];
	struct buf plain, sealed;

	buf_init(&plain, SEALED_BYTES_MAX);
	buf_init(&sealed, SEALED_BYTES_MAX);
	json_write(credentials, &plain);
	bool good = hex && seal_keys_parse(hex, &keys) == 0 && !plain.failed &&
		    seal(keys.key[0], account, plain.data, plain.len, &sealed) == 0;
	for (size_t i = 0; good && i < sealed.len; i++) {
		hex_encode((const unsigned char *)sealed.data + i, 1, pair);
		buf_adds(ret_hex, pair);
	}
	explicit_bzero(plain.data, plain.len);
	explicit_bzero(&keys, sizeof(keys));
	buf_release(&plain);
	buf_release(&sealed);
	return good && !ret_hex->failed;
}

/* ---- To make one, and to change it ---- */

/* `named`: the account's name of the path; NULL: the body has it. */
static void serve(const struct api *api, struct http_exchange *x, const char *named)
{
	char reason[256];
	struct buf error, account, sealed;
	struct caller caller;

	if (!auth_admit(api, AUTH_ADMIN, AUDIENCE_ADMIN, x, http_respond_problem, &caller))
		return;
	const char *body = endpoint_object(x);
	if (!body)
		return;
	buf_init_fixed(&error, reason, sizeof(reason));
	_cleanup_json_ json_t *j = json_parse(body, strlen(body), BODY_BYTES_MAX, &error);
	_cleanup_json_ json_t *credentials = take_credentials(j);
	const char *name = named ? named : json_path_text(j, "name");
	buf_init(&account, 2 * BODY_BYTES_MAX);
	buf_init(&sealed, 2 * SEALED_BYTES_MAX);
	json_write(j, &account);
	if (credentials && !config_is_set(api->cfg, CONFIG_KEY_SECRET_KEY)) {
		http_respond_problem(
			x, 409,
			"SECRET_KEY is not set: without it credentials can't be sealed, nor kept");
	} else if (account.failed || (credentials && name &&
				      !seal_credentials(api->cfg, name, credentials, &sealed))) {
		http_respond_problem(x, 503, "the credentials could not be sealed");
	} else {
		const char *const params[] = {named, account.data,
					      credentials ? sealed.data : NULL};
		size_t first = named ? 0 : 1;
		api_database_answer(api->database, NULL, x,
				    named ? API_ACCOUNT_CHANGE : API_ACCOUNT_CREATE, 3 - first,
				    params + first, &problem_words);
	}
	buf_release(&account);
	buf_release(&sealed);
}

void handle_account_create(void *arg, struct http_exchange *x)
{
	serve(arg, x, NULL);
}

void handle_account_change(void *arg, struct http_exchange *x)
{
	serve(arg, x, http_param(x, "name"));
}
