/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /registry: the built-in schemas with the read-only part of a Confluent schema registry's
 * interface, so that standard clients decode the topics with no registry deployed. Needs no key:
 * schemas are no secret.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg.h"
#include "producer/api/routes.h"

#define CONTENT_TYPE "application/vnd.schemaregistry.v1+json"
#define ANSWER_MAX_BYTES (1 << 20)
#define SUBJECT_BYTES 256
/* Each subject has one version here: the schema that this program writes. */
#define ONLY_VERSION "1"

enum registry_error {
	REGISTRY_NO_SUBJECT,
	REGISTRY_NO_VERSION,
	REGISTRY_NO_SCHEMA,
	REGISTRY_BAD_VERSION
};

static const struct {
	unsigned status;
	int code;
	const char *message;
} errors[] = {
	[REGISTRY_NO_SUBJECT] = {404, 40401, "Subject not found."},
	[REGISTRY_NO_VERSION] = {404, 40402, "Version not found."},
	[REGISTRY_NO_SCHEMA] = {404, 40403, "Schema not found"},
	[REGISTRY_BAD_VERSION] = {422, 42202,
				  "The specified version is not valid: a number from 1, or latest"},
};

static void respond_error(struct http_exchange *x, enum registry_error e)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "{\"error_code\":%d,\"message\":\"%s\"}",
			 errors[e].code, errors[e].message);

	http_respond(x, errors[e].status, CONTENT_TYPE, text, (size_t)n);
}

static void respond(struct http_exchange *x, struct buf *b)
{
	http_respond(x, 200, CONTENT_TYPE, b->data, b->len);
	buf_release(b);
}

static void respond_text(struct http_exchange *x, const char *text)
{
	http_respond(x, 200, CONTENT_TYPE, text, strlen(text));
}

/* ---- Schemas by id ---- */

/* The whole text as a number, or -1. */
static long number_of(const char *text)
{
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	long v = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' ? v : -1;
}

/* The text of the schema the path names; NULL, and answered, if there is none. */
static const char *requested_schema(struct http_exchange *x, size_t *ret_bytes)
{
	long id = number_of(http_param(x, "id"));

	for (unsigned t = 0; t < MSG_TYPE_COUNT; t++) {
		if (id == msg_builtin_schema_id((enum msg_type)t))
			return msg_schema_text((enum msg_type)t, ret_bytes);
	}
	respond_error(x, REGISTRY_NO_SCHEMA);
	return NULL;
}

void handle_registry_schema(void *arg, struct http_exchange *x)
{
	size_t n;
	const char *text = requested_schema(x, &n);
	struct buf b;

	(void)arg;
	if (!text)
		return;
	buf_init(&b, ANSWER_MAX_BYTES);
	buf_adds(&b, "{\"schema\":");
	buf_add_json_string(&b, text, n);
	buf_addc(&b, '}');
	respond(x, &b);
}

void handle_registry_schema_text(void *arg, struct http_exchange *x)
{
	size_t n;
	const char *text = requested_schema(x, &n);

	(void)arg;
	if (text)
		http_respond(x, 200, CONTENT_TYPE, text, n);
}

/* ---- Subjects ---- */

static void subject_name(const struct api *api, enum msg_type type, char ret_name[SUBJECT_BYTES])
{
	snprintf(ret_name, SUBJECT_BYTES, "%s%s-value",
		 config_str(api->cfg, CONFIG_KEY_TOPIC_PREFIX), msg_type_info(type)->topic_suffix);
}

/* The message type of the subject the path names; false, and answered, if there is none. */
static bool requested_subject(const struct api *api, struct http_exchange *x,
			      enum msg_type *ret_type)
{
	const char *subject = http_param(x, "subject");
	char name[SUBJECT_BYTES];

	for (unsigned t = 0; subject && t < MSG_TYPE_COUNT; t++) {
		subject_name(api, (enum msg_type)t, name);
		if (strcmp(subject, name) == 0) {
			*ret_type = (enum msg_type)t;
			return true;
		}
	}
	respond_error(x, REGISTRY_NO_SUBJECT);
	return false;
}

void handle_registry_subjects(void *arg, struct http_exchange *x)
{
	char name[SUBJECT_BYTES];
	struct buf b;

	buf_init(&b, ANSWER_MAX_BYTES);
	for (unsigned t = 0; t < MSG_TYPE_COUNT; t++) {
		subject_name(arg, (enum msg_type)t, name);
		buf_addc(&b, t == 0 ? '[' : ',');
		buf_add_json_string(&b, name, strlen(name));
	}
	buf_addc(&b, ']');
	respond(x, &b);
}

void handle_registry_versions(void *arg, struct http_exchange *x)
{
	enum msg_type type;

	if (requested_subject(arg, x, &type))
		respond_text(x, "[" ONLY_VERSION "]");
}

void handle_registry_version(void *arg, struct http_exchange *x)
{
	const char *version = http_param(x, "version");
	char name[SUBJECT_BYTES];
	enum msg_type type;
	struct buf b;
	size_t n;

	if (!requested_subject(arg, x, &type))
		return;
	if (strcmp(version, "latest") != 0 && number_of(version) < 1) {
		respond_error(x, REGISTRY_BAD_VERSION);
		return;
	}
	if (strcmp(version, "latest") != 0 && strcmp(version, ONLY_VERSION) != 0) {
		respond_error(x, REGISTRY_NO_VERSION);
		return;
	}
	const char *text = msg_schema_text(type, &n);
	subject_name(arg, type, name);
	buf_init(&b, ANSWER_MAX_BYTES);
	buf_adds(&b, "{\"subject\":");
	buf_add_json_string(&b, name, strlen(name));
	buf_addf(&b, ",\"version\":" ONLY_VERSION ",\"id\":%d,\"schema\":",
		 (int)msg_builtin_schema_id(type));
	buf_add_json_string(&b, text, n);
	buf_addc(&b, '}');
	respond(x, &b);
}

/* ---- What the registry is ---- */

void handle_registry_types(void *arg, struct http_exchange *x)
{
	(void)arg;
	respond_text(x, "[\"AVRO\"]");
}

void handle_registry_config(void *arg, struct http_exchange *x)
{
	(void)arg;
	respond_text(x, "{\"compatibilityLevel\":\"BACKWARD_TRANSITIVE\"}");
}
