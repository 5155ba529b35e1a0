/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is Avro: another implementation reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <avro.h>

#include "msg_fixture.h"

#define VALUE_BYTES 4096
#define FRAME_BYTES 5

/* Read and written by avro-c, the body is the same. */
static void assert_same_again(avro_value_t *v, const char *body, int64_t n)
{
	char again[VALUE_BYTES];
	avro_reader_t reader = avro_reader_memory(body, n);
	avro_writer_t writer = avro_writer_memory(again, sizeof(again));

	assert_int_equal(avro_value_read(reader, v), 0);
	assert_int_equal(avro_value_write(writer, v), 0);
	assert_int_equal(avro_writer_tell(writer), n);
	assert_memory_equal(again, body, (size_t)n);
	avro_writer_free(writer);
	avro_reader_free(reader);
}

static avro_value_t member_of(avro_value_t *v, const char *name)
{
	avro_value_t field, value;

	assert_int_equal(avro_value_get_by_name(v, name, &field, NULL), 0);
	if (avro_value_get_type(&field) != AVRO_UNION)
		return field;
	assert_int_equal(avro_value_get_current_branch(&field, &value), 0);
	return value;
}

static void assert_field(avro_value_t *v, const struct msg_field *row, struct msg *m)
{
	const char *at = member(m, row);
	avro_value_t value = member_of(v, row->name);
	const char *text = NULL;
	const void *bytes = NULL;
	size_t n = 0;
	int64_t number = 0;
	int small = 0;

	if (avro_value_get_type(&value) == AVRO_NULL) {
		assert_true(!row->required);
		return;
	}
	switch (row->kind) {
	case MSG_FIELD_TEXT:
		assert_int_equal(avro_value_get_string(&value, &text, &n), 0);
		assert_string_equal(text, *(const char *const *)at);
		break;
	case MSG_FIELD_BYTES:
		assert_int_equal(avro_value_get_bytes(&value, &bytes, &n), 0);
		assert_memory_equal(bytes, *(const char *const *)at, n);
		break;
	case MSG_FIELD_LONG:
	case MSG_FIELD_TIME:
		assert_int_equal(avro_value_get_long(&value, &number), 0);
		assert_int_equal(number, *(const int64_t *)at);
		break;
	case MSG_FIELD_FLAG:
		assert_int_equal(avro_value_get_boolean(&value, &small), 0);
		assert_int_equal(small, *(const int64_t *)at);
		break;
	case MSG_FIELD_BOOL:
		assert_int_equal(avro_value_get_boolean(&value, &small), 0);
		assert_int_equal(small, *(const bool *)at);
		break;
	case MSG_FIELD_ENUM:
		assert_int_equal(avro_value_get_enum(&value, &small), 0);
		assert_memory_equal(&small, at, sizeof(small));
		break;
	}
}

static void assert_read(struct msg_codec *codec, struct msg *m)
{
	size_t n;
	const char *json = msg_schema_text(m->type, &n);
	avro_schema_t schema;
	avro_value_t v;
	struct buf value;

	buf_init(&value, VALUE_BYTES);
	assert_int_equal(msg_encode(codec, m, &value), 0);
	assert_int_equal(avro_schema_from_json_length(json, n, &schema), 0);
	avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
	assert_int_equal(avro_generic_value_new(iface, &v), 0);
	assert_same_again(&v, value.data + FRAME_BYTES, (int64_t)(value.len - FRAME_BYTES));
	const struct msg_field *rows = msg_fields(m->type, &n);
	for (size_t i = 0; i < n; i++)
		assert_field(&v, &rows[i], m);
	avro_value_decref(&v);
	avro_value_iface_decref(iface);
	avro_schema_decref(schema);
	buf_release(&value);
}

static void every_field_is_read(void **state)
{
	struct msg_codec *codec = msg_codec_new();
	struct msg m;

	(void)state;
	assert_non_null(codec);
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		fill(&m, (enum msg_type)t, true);
		assert_read(codec, &m);
		fill(&m, (enum msg_type)t, false);
		assert_read(codec, &m);
	}
	msg_codec_free(codec);
}

static void numbers_of_any_size_are_read(void **state)
{
	static const int64_t numbers[] = {0,	     1,		-1,	 63,	    64,
					  -64,	     -65,	8191,	 8192,	    -8193,
					  INT32_MAX, INT32_MIN, 1 << 30, INT64_MAX, INT64_MIN + 1};
	struct msg_codec *codec = msg_codec_new();
	struct msg m;

	(void)state;
	assert_non_null(codec);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		fill(&m, MSG_DISPATCH_REQUESTED, true);
		m.requested.attempt = m.requested.due_at = m.requested.dial_by = numbers[i];
		assert_read(codec, &m);
	}
	msg_codec_free(codec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(numbers_of_any_size_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
