/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to bytes and back, with our schemas, with others', and with bytes that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "msg_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct msg_codec *codec;
static char reason[512];

static int start(void **state)
{
	(void)state;
	codec = msg_codec_new();
	return codec ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	msg_codec_free(codec);
	return 0;
}

static enum msg_decode decode(enum msg_type type, const void *bytes, size_t n, struct msg *ret)
{
	struct buf error;
	int32_t id;

	buf_init_fixed(&error, reason, sizeof(reason));
	enum msg_decode rc = msg_decode(codec, type, bytes, n, ret, &id, &error);
	assert_int_equal(error.len > 0, rc != MSG_DECODED);
	return rc;
}

static void assert_same(struct msg *a, struct msg *b)
{
	size_t n;
	const struct msg_field *rows = msg_fields(a->type, &n);

	assert_int_equal(a->type, b->type);
	for (size_t i = 0; i < n; i++) {
		const char *x = member(a, &rows[i]);
		const char *y = member(b, &rows[i]);
		const char *s = *(const char *const *)x;
		const char *t = *(const char *const *)y;
		switch (rows[i].kind) {
		case MSG_FIELD_TEXT:
			assert_int_equal(s == NULL, t == NULL);
			if (s)
				assert_string_equal(s, t);
			break;
		case MSG_FIELD_BYTES: {
			size_t size = *(size_t *)((char *)a + rows[i].size_offset);
			assert_int_equal(s == NULL, t == NULL);
			assert_int_equal(size, *(size_t *)((char *)b + rows[i].size_offset));
			if (s)
				assert_memory_equal(s, t, size);
			break;
		}
		case MSG_FIELD_LONG:
		case MSG_FIELD_TIME:
		case MSG_FIELD_FLAG:
			assert_int_equal(*(const int64_t *)x, *(const int64_t *)y);
			break;
		case MSG_FIELD_BOOL:
			assert_int_equal(*(const bool *)x, *(const bool *)y);
			break;
		case MSG_FIELD_ENUM:
			assert_memory_equal(x, y, sizeof(int));
			break;
		}
	}
}

/* ---- Schemas and table ---- */

/* The type of a field but for null; `ret_nullable` says whether it was ["null", T]. */
static const json_t *bare_type(const json_t *type, bool *ret_nullable)
{
	*ret_nullable = json_is_array(type);
	if (!*ret_nullable)
		return type;
	assert_int_equal(json_array_size(type), 2);
	assert_string_equal(json_string_value(json_array_get(type, 0)), "null");
	return json_array_get(type, 1);
}

static void check_type(const struct msg_field *row, const json_t *type)
{
	static const char *const names[] = {
		[MSG_FIELD_TEXT] = "string",  [MSG_FIELD_BYTES] = "bytes",
		[MSG_FIELD_LONG] = "long",    [MSG_FIELD_TIME] = "long",
		[MSG_FIELD_FLAG] = "boolean", [MSG_FIELD_BOOL] = "boolean",
		[MSG_FIELD_ENUM] = "enum",
	};
	bool has_text = json_is_string(type);
	const json_t *name = has_text ? type : json_object_get(type, "type");

	assert_string_equal(json_string_value(name), names[row->kind]);
	const char *logical = json_string_value(json_object_get(type, "logicalType"));
	if (row->kind == MSG_FIELD_TIME)
		assert_string_equal(logical, "timestamp-millis");
	else
		assert_null(logical);
	if (row->kind != MSG_FIELD_ENUM)
		return;
	const json_t *symbols = json_object_get(type, "symbols");
	assert_int_equal(json_array_size(symbols), row->words->count);
	for (int i = 0; i < row->words->count; i++)
		assert_string_equal(json_string_value(json_array_get(symbols, (size_t)i)),
				    row->words->texts[i]);
}

static void table_and_schemas_agree(void **state)
{
	(void)state;
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		size_t n;
		size_t bytes;
		struct buf error;
		const struct msg_field *rows = msg_fields((enum msg_type)t, &n);
		const char *text = msg_schema_text((enum msg_type)t, &bytes);
		buf_init_fixed(&error, reason, sizeof(reason));
		_cleanup_json_ json_t *schema = json_parse(text, bytes, bytes, &error);
		assert_non_null(schema);
		assert_string_equal(json_path_text(schema, "namespace"), "carillon");
		const json_t *fields = json_path(schema, "fields");
		assert_int_equal(json_array_size(fields), n);
		for (size_t i = 0; i < n; i++) {
			const json_t *field = json_array_get(fields, i);
			bool nullable;
			assert_string_equal(json_path_text(field, "name"), rows[i].name);
			assert_non_null(json_path_text(field, "doc"));
			check_type(&rows[i], bare_type(json_path(field, "type"), &nullable));
			assert_int_equal(nullable, !rows[i].required);
			if (nullable)
				assert_true(json_is_null(json_path(field, "default")));
			if (rows[i].kind == MSG_FIELD_BOOL)
				assert_true(json_is_false(json_path(field, "default")));
		}
	}
}

/* A changed id means that old messages need their old schema: release it as <name>.vN.avsc. */
static void builtin_ids_are_pinned(void **state)
{
	static const int32_t ids[MSG_TYPE_COUNT] = {
		[MSG_DISPATCH_REQUESTED] = 0x54f68dd2, [MSG_DISPATCH_RESULT] = 0x586a75b0,
		[MSG_CALL_EVENT] = 0x61b8e4eb,	       [MSG_REDIAL_UPDATE] = 0x790c5f65,
		[MSG_STAGE_TRANSITION] = 0x436b0d3b,
	};

	(void)state;
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		int32_t id = msg_builtin_schema_id((enum msg_type)t);
		assert_true(id >= 0x40000000);
		for (int other = 0; other < t; other++)
			assert_int_not_equal(id, msg_builtin_schema_id((enum msg_type)other));
		assert_int_equal(id, ids[t]);
	}
}

/* ---- There and back ---- */

static void messages_come_back(void **state)
{
	(void)state;
	for (int t = 0; t < 2 * MSG_TYPE_COUNT; t++) {
		enum msg_type type = (enum msg_type)(t % MSG_TYPE_COUNT);
		struct msg m;
		struct msg back;
		struct buf value;
		fill(&m, type, t < MSG_TYPE_COUNT);
		buf_init(&value, MSG_VALUE_BYTES_MAX);
		assert_int_equal(msg_encode(codec, &m, &value), 0);
		assert_int_equal(decode(type, value.data, value.len, &back), MSG_DECODED);
		assert_same(&m, &back);
		buf_release(&value);
	}
}

static void the_frame_carries_the_id(void **state)
{
	uint32_t id = (uint32_t)msg_builtin_schema_id(MSG_CALL_EVENT);
	struct msg m;
	struct msg back;
	struct buf value;

	(void)state;
	fill(&m, MSG_CALL_EVENT, false);
	buf_init(&value, 4096);
	assert_int_equal(msg_encode(codec, &m, &value), 0);
	unsigned char frame[] = {0, (unsigned char)(id >> 24), (unsigned char)(id >> 16),
				 (unsigned char)(id >> 8), (unsigned char)id};
	assert_memory_equal(value.data, frame, sizeof(frame));

	/* An id that a registry issued is written from then on; both are read. */
	msg_codec_set_id(codec, MSG_CALL_EVENT, 258);
	assert_int_equal(decode(MSG_CALL_EVENT, value.data, value.len, &back), MSG_DECODED);
	buf_clear(&value);
	assert_int_equal(msg_encode(codec, &m, &value), 0);
	assert_memory_equal(value.data, "\0\0\0\1\2", 5);
	assert_int_equal(decode(MSG_CALL_EVENT, value.data, value.len, &back), MSG_DECODED);
	/* An id is known for its type alone. */
	assert_int_equal(decode(MSG_REDIAL_UPDATE, value.data, value.len, &back),
			 MSG_UNKNOWN_SCHEMA);
	buf_release(&value);
}

static void no_required_field_may_be_absent(void **state)
{
	(void)state;
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		size_t n;
		const struct msg_field *rows = msg_fields((enum msg_type)t, &n);
		for (size_t i = 0; i < n; i++) {
			struct msg m;
			struct buf value;
			if (!rows[i].required || rows[i].kind == MSG_FIELD_BOOL ||
			    rows[i].kind == MSG_FIELD_ENUM)
				continue;
			fill(&m, (enum msg_type)t, true);
			if (rows[i].kind == MSG_FIELD_TEXT)
				*(const char **)member(&m, &rows[i]) = NULL;
			else
				*(int64_t *)member(&m, &rows[i]) = MSG_NO_INT;
			buf_init(&value, 4096);
			assert_int_equal(msg_encode(codec, &m, &value), -1);
			assert_int_equal(value.len, 0);
			buf_release(&value);
		}
	}
}

static void broken_text_is_repaired(void **state)
{
	struct msg m;
	struct msg back;
	struct buf value;

	(void)state;
	fill(&m, MSG_DISPATCH_RESULT, true);
	m.result.error = "cut \xc3";
	m.result.worker = "\xff\xffok\xc0\xaf";
	buf_init(&value, 4096);
	assert_int_equal(msg_encode(codec, &m, &value), 0);
	assert_int_equal(decode(MSG_DISPATCH_RESULT, value.data, value.len, &back), MSG_DECODED);
	assert_string_equal(back.result.error, "cut \xef\xbf\xbd");
	assert_string_equal(back.result.worker,
			    "\xef\xbf\xbd\xef\xbf\xbdok\xef\xbf\xbd\xef\xbf\xbd");
	buf_release(&value);
}

static void large_bodies_pass_and_larger_do_not(void **state)
{
	static char raw[MSG_VALUE_BYTES_MAX];
	static char text[MSG_VALUE_BYTES_MAX + 2];
	struct msg m;
	struct msg back;
	struct buf value;

	(void)state;
	memset(raw, 0xa5, sizeof(raw));
	memset(text, 'x', sizeof(text) - 1);
	fill(&m, MSG_CALL_EVENT, true);
	m.event.raw = raw;
	m.event.raw_bytes = 1 << 20;
	buf_init(&value, MSG_VALUE_BYTES_MAX);
	assert_int_equal(msg_encode(codec, &m, &value), 0);
	assert_int_equal(decode(MSG_CALL_EVENT, value.data, value.len, &back), MSG_DECODED);
	assert_same(&m, &back);

	m.event.raw_bytes = sizeof(raw);
	buf_clear(&value);
	assert_int_equal(msg_encode(codec, &m, &value), -1);
	assert_int_equal(value.len, 0);
	m.event.raw_bytes = 1;
	m.event.transcript = text;
	assert_int_equal(msg_encode(codec, &m, &value), -1);
	buf_release(&value);

	/* A smaller buffer's bound counts too. */
	fill(&m, MSG_CALL_EVENT, true);
	buf_init(&value, 20);
	assert_int_equal(msg_encode(codec, &m, &value), -1);
	assert_true(value.failed);
	buf_release(&value);
}

static void decoded_text_outlives_encoding(void **state)
{
	struct msg m;
	struct msg other;
	struct msg back;
	struct buf value;

	(void)state;
	fill(&m, MSG_REDIAL_UPDATE, true);
	buf_init(&value, 4096);
	assert_int_equal(msg_encode(codec, &m, &value), 0);
	assert_int_equal(decode(MSG_REDIAL_UPDATE, value.data, value.len, &back), MSG_DECODED);
	other = m;
	other.redial.phone = "+12025550199 and much longer, so that memory moves .............";
	buf_clear(&value);
	assert_int_equal(msg_encode(codec, &other, &value), 0);
	assert_same(&m, &back);
	buf_release(&value);
}

/* ---- Bytes that are no message ---- */

static void cut_and_flipped_messages_are_handled(void **state)
{
	(void)state;
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		struct msg m;
		struct msg back;
		struct buf value;
		fill(&m, (enum msg_type)t, true);
		buf_init(&value, 4096);
		assert_int_equal(msg_encode(codec, &m, &value), 0);
		for (size_t n = 0; n < value.len; n++)
			assert_int_equal(decode(m.type, value.data, n, &back), MSG_MALFORMED);
		buf_addc(&value, 0);
		assert_int_equal(decode(m.type, value.data, value.len, &back), MSG_MALFORMED);
		assert_non_null(strstr(reason, "left over"));
		/* A flipped bit may give another good message; nothing worse. */
		for (size_t bit = 0; bit < 8 * (value.len - 1); bit++) {
			value.data[bit / 8] = (char)(value.data[bit / 8] ^ 1 << bit % 8);
			(void)decode(m.type, value.data, value.len - 1, &back);
			value.data[bit / 8] = (char)(value.data[bit / 8] ^ 1 << bit % 8);
		}
		buf_release(&value);
	}
}

static void unframed_values_are_malformed(void **state)
{
	static char big[3 << 20];
	struct msg back;

	(void)state;
	assert_int_equal(decode(MSG_CALL_EVENT, NULL, 0, &back), MSG_MALFORMED);
	assert_int_equal(decode(MSG_CALL_EVENT, "\0\0\0\1", 4, &back), MSG_MALFORMED);
	assert_int_equal(decode(MSG_CALL_EVENT, "{\"a\":1}", 7, &back), MSG_MALFORMED);
	assert_int_equal(decode(MSG_CALL_EVENT, big, sizeof(big), &back), MSG_MALFORMED);
	assert_int_equal(decode(MSG_CALL_EVENT, "\0\0\0\x7f\x7f", 5, &back), MSG_UNKNOWN_SCHEMA);
	assert_int_equal(decode(MSG_CALL_EVENT, "\0\xff\xff\xff\xff", 5, &back),
			 MSG_UNKNOWN_SCHEMA);
	assert_non_null(strstr(reason, "schema id -1 is not known"));
}

/* ---- Other writers ---- */

#define STAGE_FIELDS                                                                               \
	"{\"name\":\"event_id\",\"type\":\"string\"},{\"name\":\"tenant\",\"type\":\"string\"},"   \
	"{\"name\":\"to\",\"type\":\"string\"},{\"name\":\"reason\",\"type\":\"string\"}"
#define STAGE(more)                                                                                \
	"{\"type\":\"record\",\"name\":\"StageTransition\",\"fields\":[" STAGE_FIELDS "," more "]}"

static int add_schema(int32_t id, const char *json)
{
	struct buf error;

	buf_init_fixed(&error, reason, sizeof(reason));
	return msg_codec_add_schema(codec, MSG_STAGE_TRANSITION, id, json, strlen(json), &error);
}

/* "e" "t" "x" "r" as the four texts, then `rest`. */
static enum msg_decode decode_stage(char id, const char *rest, size_t n, struct msg *ret)
{
	struct buf b;

	buf_init(&b, 256);
	buf_add(&b, (char[]){0, 0, 0, 0, id}, 5);
	buf_adds(&b, "\2e\2t\2x\2r");
	buf_add(&b, rest, n);
	enum msg_decode rc = decode(MSG_STAGE_TRANSITION, b.data, b.len, ret);
	buf_release(&b);
	return rc;
}

/* Symbols in another order, one of ours missing, one more; an int for a long; fields more and less.
 */
static void fields_and_symbols_go_by_name(void **state)
{
	struct msg m;

	(void)state;
	assert_int_equal(
		add_schema(
			7,
			STAGE("{\"name\":\"at\",\"type\":\"int\"},"
			      "{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"}},"
			      "{\"name\":\"entity\",\"type\":{\"type\":\"enum\",\"name\":\"E\","
			      "\"symbols\":[\"campaign\",\"robot\",\"lead\"]}},"
			      "{\"name\":\"id\",\"type\":[\"string\",\"null\"]}")),
		0);
	assert_int_equal(decode_stage(7, "\xc8\1\2\2a\0\4\0\2i", 10, &m), MSG_DECODED);
	assert_string_equal(m.stage.event_id, "e");
	assert_string_equal(m.stage.to, "x");
	assert_int_equal(m.stage.at, 100);
	assert_int_equal(m.stage.entity, ENTITY_LEAD);
	assert_string_equal(m.stage.id, "i");
	assert_null(m.stage.phone);
	/* The array is empty again for the next message. */
	assert_int_equal(decode_stage(7, "\xc8\1\0\0\2", 5, &m), MSG_DECODED);
	assert_int_equal(m.stage.entity, ENTITY_CAMPAIGN);
	assert_null(m.stage.id);
	assert_int_equal(decode_stage(7, "\xc8\1\0\2\2", 5, &m), MSG_MALFORMED);
	assert_non_null(strstr(reason, "entity is \"robot\""));
}

static void null_in_a_required_field_is_malformed(void **state)
{
	struct msg m;

	(void)state;
	assert_int_equal(add_schema(8, STAGE("{\"name\":\"at\",\"type\":[\"null\",\"long\"]},"
					     "{\"name\":\"entity\",\"type\":{\"type\":\"enum\","
					     "\"name\":\"E\",\"symbols\":[\"lead\"]}}")),
			 0);
	assert_int_equal(decode_stage(8, "\2\2\0", 3, &m), MSG_DECODED);
	assert_int_equal(decode_stage(8, "\0\0", 2, &m), MSG_MALFORMED);
	assert_non_null(strstr(reason, "at is null"));
}

/* The number that stands for "absent" in the structs. */
static void the_lowest_number_is_malformed(void **state)
{
	struct msg m;
	struct msg back;
	struct buf value;

	(void)state;
	fill(&m, MSG_DISPATCH_REQUESTED, false);
	m.requested.due_at = INT64_MIN + 1;
	buf_init(&value, 4096);
	assert_int_equal(msg_encode(codec, &m, &value), 0);
	/* due_at is the last but the null of dial_by: ten bytes, of which the first has the sign.
	 */
	assert_int_equal((unsigned char)value.data[value.len - 11], 0xfd);
	value.data[value.len - 11] = (char)0xff;
	assert_int_equal(decode(MSG_DISPATCH_REQUESTED, value.data, value.len, &back),
			 MSG_MALFORMED);
	assert_string_equal(reason, "due_at is out of range");
	buf_release(&value);
}

/* The same named type used twice is a link inside avro-c. */
static void a_type_used_twice_is_read(void **state)
{
	struct msg m;

	(void)state;
	assert_int_equal(
		add_schema(9,
			   STAGE("{\"name\":\"at\",\"type\":\"long\"},"
				 "{\"name\":\"before\",\"type\":{\"type\":\"enum\",\"name\":\"E\","
				 "\"symbols\":[\"lead\",\"redial\"]}},"
				 "{\"name\":\"entity\",\"type\":\"E\"}")),
		0);
	assert_int_equal(decode_stage(9, "\2\0\2", 3, &m), MSG_DECODED);
	assert_int_equal(m.stage.entity, ENTITY_REDIAL);
}

static void schemas_that_do_not_fit_are_refused(void **state)
{
	static const struct {
		const char *json;
		const char *reason;
	} cases[] = {
		{"{\"type\":\"string\"}", "not a record"},
		{"{", "JSON"},
		{STAGE("{\"name\":\"at\",\"type\":\"long\"}"), "no field entity"},
		{STAGE("{\"name\":\"at\",\"type\":\"string\"},{\"name\":\"entity\",\"type\":{\"type\":"
		       "\"enum\",\"name\":\"E\",\"symbols\":[\"lead\"]}}"),
		 "at is of another type"},
		{STAGE("{\"name\":\"at\",\"type\":\"long\"},{\"name\":\"entity\",\"type\":\"string\"}"),
		 "entity is of another type"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(add_schema(20, cases[i].json), -1);
		if (!strstr(reason, cases[i].reason))
			fail_msg("%s: %s", cases[i].json, reason);
	}
	/* What is known stays as it is. */
	assert_int_equal(add_schema(msg_builtin_schema_id(MSG_STAGE_TRANSITION), "{"), 0);
}

static void schemas_are_bounded(void **state)
{
	char json[512];
	int taken = 0;

	(void)state;
	for (int32_t id = 1000; id < 1300; id++) {
		snprintf(
			json, sizeof(json),
			STAGE("{\"name\":\"at\",\"type\":\"long\"},{\"name\":\"n%d\",\"type\":\"null\"},"
			      "{\"name\":\"entity\",\"type\":{\"type\":\"enum\",\"name\":\"E\","
			      "\"symbols\":[\"lead\"]}}"),
			(int)id);
		taken += add_schema(id, json) == 0;
	}
	assert_true(taken > 200 && taken < 300);
	assert_non_null(strstr(reason, "more than"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_and_schemas_agree),
		cmocka_unit_test(builtin_ids_are_pinned),
		TEST(messages_come_back),
		TEST(the_frame_carries_the_id),
		TEST(no_required_field_may_be_absent),
		TEST(broken_text_is_repaired),
		TEST(large_bodies_pass_and_larger_do_not),
		TEST(decoded_text_outlives_encoding),
		TEST(cut_and_flipped_messages_are_handled),
		TEST(unframed_values_are_malformed),
		TEST(fields_and_symbols_go_by_name),
		TEST(null_in_a_required_field_is_malformed),
		TEST(the_lowest_number_is_malformed),
		TEST(a_type_used_twice_is_read),
		TEST(schemas_that_do_not_fit_are_refused),
		TEST(schemas_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
