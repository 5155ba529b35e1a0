/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier that listens to Twilio's calls: it knows what the call's instructions had in their
 * URL, says what the script tells it to, and signs by Standard Webhooks, the same id at each
 * delivery.
 */
#include "tests/simulator/simulator.h"

#include <stdio.h>
#include <string.h>

#include "common/form.h"
#include "common/json.h"
#include "common/seal.h"

static const struct {
	const char *by, *parameter;
} names[] = {{"pending_call_id", "pending_call_id"}, {"job_id", "job"}};

int64_t classifier_time(const struct simulator *s, const struct call *c)
{
	int64_t after_ms = 0;

	if (!c->action->classify || !s->o.classifier_secret || c->provider != PROVIDER_TWILIO ||
	    c->answered_at == 0)
		return -1;
	json_path_int(c->action->classify, "after_ms", &after_ms);
	return c->answered_at + after_ms;
}

static void add_subject(const struct call *c, struct buf *out)
{
	const char *query = strchr(c->agent, '?');
	const char *by = json_path_text(c->action->classify, "by");
	char ignored[64];
	struct buf error;

	buf_init_fixed(&error, ignored, sizeof(ignored));
	_cleanup_json_ json_t *ids =
		query ? form_parse(query + 1, strlen(query + 1), &error) : NULL;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *id = json_path_text(ids, names[i].parameter);
		if (id && (!by || strcmp(by, names[i].by) == 0)) {
			buf_addf(out, ",\"%s\":\"%s\"", names[i].by, id);
			return;
		}
	}
	buf_addf(out, ",\"phone\":\"%s\"", c->phone);
}

void classifier_write_event(const struct call *c, struct buf *out)
{
	static const char *const members[] = {"classification", "confidence", "menu_path"};

	buf_adds(out, "{\"type\":\"call.classified\"");
	add_subject(c, out);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const json_t *value = json_path(c->action->classify, members[i]);
		if (!value)
			continue;
		buf_addf(out, ",\"%s\":", members[i]);
		json_write(value, out);
	}
	buf_addc(out, '}');
}

void classifier_address(const struct simulator *s, const struct call *c, const struct buf *body,
			struct buf *url, struct buf *headers)
{
	static const char type[] = "Content-Type: application/json";
	unsigned char digest[SIGN_MAX_BYTES];
	char signed_before[128];
	struct buf key, text;

	buf_init(&key, 128);
	buf_init(&text, 128);
	snprintf(signed_before, sizeof(signed_before), "msg_%s.%lld.", c->id,
		 (long long)simulator_now(s) / 1000);
	const struct sign_part parts[] = {{signed_before, strlen(signed_before)},
					  {body->data, body->len}};
	const char *secret = s->o.classifier_secret;
	if (base64_decode(secret, strlen(secret), &key) == 0) {
		size_t n = sign_hmac(SIGN_SHA256, key.data, key.len, parts, 2, digest);
		base64_encode(digest, n, &text);
	}
	buf_addf(url, "%s/webhooks/classifier/classifier", s->o.webhook_url);
	buf_add(headers, type, sizeof(type));
	buf_addf(headers, "webhook-id: msg_%s", c->id);
	buf_addc(headers, '\0');
	buf_addf(headers, "webhook-timestamp: %.*s",
		 (int)strcspn(strchr(signed_before, '.') + 1, "."), strchr(signed_before, '.') + 1);
	buf_addc(headers, '\0');
	buf_addf(headers, "webhook-signature: v1,%s", text.data);
	buf_addc(headers, '\0');
	buf_release(&key);
	buf_release(&text);
}
