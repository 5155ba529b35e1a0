/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/session: signing in and out. Begun with a key of the API, which a browser then need not
 * keep: it has a cookie that scripts can't read, and a token without which that cookie changes
 * nothing.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/http_address.h"
#include "common/json.h"
#include "common/log.h"
#include "producer/api/routes.h"

#define ATTRIBUTES "; Path=/; HttpOnly; SameSite=Strict"
#define ANSWER_BYTES 512

/* The cookie is given over the way that it came: a proxy in front says whether that was TLS. */
static void set_cookie(struct http_exchange *x, const char *value, int max_age_s)
{
	const char *proto = http_header(x, "X-Forwarded-Proto");
	char text[SESSION_COOKIE_BYTES + 128];

	snprintf(text, sizeof(text), SESSION_COOKIE "=%s; Max-Age=%d" ATTRIBUTES "%s", value,
		 max_age_s, proto && strcasecmp(proto, "https") == 0 ? "; Secure" : "");
	http_respond_header(x, "Set-Cookie", text);
}

static void add_text(struct buf *out, const char *name, const char *text)
{
	buf_addf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
	if (text)
		buf_add_json_string(out, text, strlen(text));
	else
		buf_adds(out, "null");
}

/* Who asks and what they may do; nobody where `may_enter` is false. */
static void tell(const struct api *api, const struct shown *shown, bool may_enter,
		 struct http_exchange *x)
{
	const bool operates = may_enter && (!shown->key || shown->key->may_operate);
	char storage[ANSWER_BYTES], csrf[SESSION_CSRF_BYTES], until[TIME_TEXT_BYTES];
	struct buf out;

	if (shown->in_session) {
		sessions_csrf(api->sessions, &shown->session, csrf);
		time_format(shown->session.expires_at_ms, until);
	}
	buf_init_fixed(&out, storage, sizeof(storage));
	buf_addc(&out, '{');
	add_text(&out, "role", !may_enter ? NULL : operates ? "operate" : "read");
	add_text(&out, "tenant", shown->key && shown->key->tenant[0] ? shown->key->tenant : NULL);
	buf_addf(&out, ",\"admin\":%s", may_enter && !shown->key ? "true" : "false");
	add_text(&out, "csrf", shown->in_session ? csrf : NULL);
	add_text(&out, "expiresAt", shown->in_session ? until : NULL);
	buf_addc(&out, '}');
	http_respond_header(x, "Cache-Control", "no-store");
	http_respond(x, 200, "application/json", out.data, out.len);
}

static bool is_open(const struct api *api)
{
	return !config_str(api->cfg, CONFIG_KEY_ADMIN_API_KEY);
}

void handle_session(void *arg, struct http_exchange *x)
{
	const struct api *api = arg;
	struct shown shown = auth_shown(api, x);

	if (shown.any && !api_keys_ready(api->keys)) {
		http_respond_header(x, "Retry-After", "1");
		http_respond_problem(x, 503, "the keys can't be read yet; try again");
		return;
	}
	if (shown.any && !shown.admin && !shown.key)
		set_cookie(x, "", 0); /* it is of no use any more */
	tell(api, &shown, shown.admin || shown.key || is_open(api), x);
}

/* Who tries keys: the client's address, as a proxy of ours has it. */
static const char *address_of(const struct http_exchange *x)
{
	const char *peer = http_peer(x);
	const char *forwarded = http_header(x, "X-Forwarded-For");
	const char *last = forwarded ? strrchr(forwarded, ',') : NULL;
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	bool is_public = inet_pton(AF_INET, peer, &in.sin_addr) == 1
				 ? http_address_is_public((const struct sockaddr *)&in)
				 : inet_pton(AF_INET6, peer, &in6.sin6_addr) != 1 ||
					   http_address_is_public((const struct sockaddr *)&in6);

	if (is_public || !forwarded)
		return peer;
	last = last ? last + 1 : forwarded;
	return last + strspn(last, " ");
}

/* NULL, and `x` is answered, if the body has no key. */
static json_t *read_body(struct http_exchange *x)
{
	const char *type = http_header(x, "Content-Type");

	/* Another site's form can't send this type, and so can't sign anybody in as somebody. */
	if (!type || strncasecmp(type, "application/json", strlen("application/json")) != 0) {
		http_respond_problem(x, 415, "send application/json");
		return NULL;
	}
	const char *text = endpoint_object(x);
	if (!text)
		return NULL;
	char reason[64];
	struct buf error;
	buf_init_fixed(&error, reason, sizeof(reason));
	json_t *body = json_parse(text, strlen(text), strlen(text), &error);
	if (body && json_path_text(body, "key") && json_object_size(body) == 1)
		return body;
	json_decref(body);
	http_respond_problem(x, 422, "key: the text of a key, and nothing else");
	return NULL;
}

/* False, and `x` is answered, if this address has tried too many. */
static bool may_try(const struct api *api, const char *address, struct http_exchange *x)
{
	char text[24];
	int64_t wait_ms = sign_ins_wait_ms(api->sign_ins, address, clock_boot_ms(clock_system()));

	if (wait_ms == 0)
		return true;
	snprintf(text, sizeof(text), "%lld", (long long)(wait_ms + 999) / 1000);
	http_respond_header(x, "Retry-After", text);
	http_respond_problem(x, 429, "too many wrong keys from this address; try again shortly");
	return false;
}

static void begin(const struct api *api, const char *text, const char *address,
		  struct http_exchange *x)
{
	const struct sign_part part = {text, strlen(text)};
	struct shown shown = auth_shown_text(api, text);
	unsigned char hash[SHA256_BYTES];
	char cookie[SESSION_COOKIE_BYTES];

	if (!shown.admin && !shown.key && !api_keys_ready(api->keys)) {
		http_respond_header(x, "Retry-After", "1");
		http_respond_problem(x, 503, "the keys can't be read yet; try again");
		return;
	}
	if (!shown.admin && !shown.key) {
		sign_ins_failed(api->sign_ins, address, clock_boot_ms(clock_system()));
		log_info("session.refused", LOG_STR("address", address));
		http_respond_problem(x, 401, "the key is wrong");
		return;
	}
	if (!sha256(&part, 1, hash) ||
	    !sessions_begin(api->sessions, hash, &shown.session, cookie)) {
		http_respond_problem(x, 503, "no memory");
		return;
	}
	sign_ins_succeeded(api->sign_ins, address);
	shown.in_session = true;
	set_cookie(x, cookie, SESSION_S);
	tell(api, &shown, true, x);
}

void handle_session_begin(void *arg, struct http_exchange *x)
{
	const struct api *api = arg;
	const char *address = address_of(x);

	if (!may_try(api, address, x))
		return;
	_cleanup_json_ json_t *body = read_body(x);
	if (body)
		begin(api, json_path_text(body, "key"), address, x);
}

void handle_session_end(void *arg, struct http_exchange *x)
{
	const struct api *api = arg;
	struct shown shown = auth_shown(api, x);
	char id[2 * SESSION_ID_BYTES + 1], until[24];
	const char *const params[] = {id, until};

	/* What can't be used any more need not be ended. */
	if (!shown.in_session) {
		set_cookie(x, "", 0);
		tell(api, &(struct shown){.any = false}, is_open(api), x);
		return;
	}
	const char *why = auth_forged(api, &shown.session, x);
	if (why) {
		http_respond_problem(x, 403, why);
		return;
	}
	hex_encode(shown.session.id, SESSION_ID_BYTES, id);
	snprintf(until, sizeof(until), "%lld", (long long)shown.session.expires_at_ms);
	set_cookie(x, "", 0);
	api_database_answer(api->database, NULL, x, API_SESSION_END, 2, params, &problem_words);
}
