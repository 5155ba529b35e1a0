/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The five messages as C structs, and their way to and from Kafka values: Confluent framing (byte
 * 0, schema id as 4 bytes big-endian, Avro body). One schema source: schemas/avro/<name>.avsc; a
 * unit test holds structs and schemas together.
 *
 * Decoding uses the writer's schema (looked up by id), maps fields and enum symbols by name and
 * gives absent ones their default. avro-c reads the schemas only: its own decoding must not see
 * hostile bytes, has no defaults and matches enums by index.
 *
 * Strings: NULL means absent (Avro null). Decoded strings belong to the codec and live until its
 * next decode; encoding leaves them alone. Copy what must stay. Times are milliseconds since 1970,
 * MSG_NO_TIME when absent. A message with a required field absent is not encoded.
 */
#ifndef CARILLON_MSG_H
#define CARILLON_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/tables.h"

#define MSG_NO_TIME INT64_MIN
#define MSG_NO_INT INT64_MIN

enum msg_type {
	MSG_DISPATCH_REQUESTED,
	MSG_DISPATCH_RESULT,
	MSG_CALL_EVENT,
	MSG_REDIAL_UPDATE,
	MSG_STAGE_TRANSITION,
	MSG_TYPE_COUNT
};

struct msg_type_info {
	const char *topic_suffix; /* "calls.dispatch.requested.v1": TOPIC_PREFIX comes before it */
	const char *ce_type;
	const char *schema_file; /* of schemas/avro */
};
const struct msg_type_info *msg_type_info(enum msg_type type);

struct msg_dispatch_requested {
	const char *job_id;	  /* required */
	const char *follow_up_id; /* required */
	const char *tenant;	  /* required */
	const char *kind;	  /* required: follow_up, redial, campaign, classify, task */
	const char *lead_id;
	const char *phone;   /* required */
	const char *account; /* required */
	int64_t attempt;     /* required; 1 for the first */
	int64_t due_at;	     /* required */
	int64_t dial_by;
};

struct msg_dispatch_result {
	const char *job_id; /* required */
	const char *follow_up_id;
	const char *tenant; /* required */
	const char *kind;
	const char *lead_id;
	const char *phone;
	const char *account;	     /* required */
	enum dispatch_result result; /* required */
	const char *
		refusal; /* of a refused job: backpressure, number, configuration, account, retry */
	const char *provider;
	const char *provider_call_id;
	int64_t http_status; /* MSG_NO_INT: no answer */
	const char *error;
	int64_t posted_at;
	int64_t answered_at;
	int64_t retry_at; /* the provider's own wait */
	const char *worker;
};

struct msg_call_event {
	const char *event_id; /* required; unique per account, stable over redeliveries */
	const char *tenant;   /* required */
	const char *provider; /* required */
	const char *account;  /* required */
	enum event_type type; /* required */
	const char *provider_call_id;
	const char *job_id;
	const char *lead_id;
	const char *phone;
	const char *outcome;
	const char *ended_reason;
	int64_t success; /* 1, 0 or MSG_NO_INT */
	int64_t callback_at;
	int64_t duration_ms; /* the schema's field `duration` */
	int64_t occurred_at; /* required: received_at, if the provider names no time */
	int64_t received_at; /* required */
	const char *summary;
	const char *transcript;
	const char *recording_url;
	int64_t cost_micros; /* millionths of the account's currency unit */
	const char *raw;     /* the provider's body */
	size_t raw_bytes;
	const char *success_evaluation; /* the provider's own word or number */
};

struct msg_redial_update {
	const char *event_id; /* required */
	const char *tenant;   /* required */
	const char *account;
	const char *provider;
	const char *provider_call_id;
	const char *job_id;
	const char *lead_id;
	const char *phone;
	const char *list_id;
	const char *first_name;
	const char *last_name;
	const char *state;
	enum redial_action action; /* required */
	const char *outcome;	   /* required */
	bool suppress;		   /* the number asked not to be called */
	int64_t ended_at;	   /* required */
	int64_t callback_at;
};

struct msg_stage_transition {
	const char *event_id; /* required */
	const char *tenant;   /* required */
	const char *account;
	const char *provider;
	const char *provider_call_id;
	const char *phone;
	const char *job_id;
	enum entity entity; /* required */
	const char *id;	    /* of the entity; NULL: that of the call */
	const char *to;	    /* required */
	const char *reason; /* required */
	int64_t at;	    /* required */
	const char *detail;
};

struct msg {
	enum msg_type type;
	union {
		struct msg_dispatch_requested requested;
		struct msg_dispatch_result result;
		struct msg_call_event event;
		struct msg_redial_update redial;
		struct msg_stage_transition stage;
	};
};

/* ---- Schema ids ---- */
/*
 * Built-in ids are 31-bit fingerprints of the schema's canonical form in the reserved range
 * 0x40000000..0x7fffffff, the same in every process and always resolved locally. Released schemas
 * that are embedded as <name>.vN.avsc stay known by theirs. With a registry, ids are those it
 * issued.
 */
int32_t msg_builtin_schema_id(enum msg_type type);
/* The .avsc file as it is; NUL-terminated. */
const char *msg_schema_text(enum msg_type type, size_t *ret_bytes);

/* ---- Codec ---- */
/* A message of this size still fits a topic of 2 MiB with its key and headers. */
#define MSG_VALUE_BYTES_MAX (2048 * 1024 - 16 * 1024)

struct msg_codec;

/* Compiles the built-in schemas. Never fails but for memory (NULL). */
struct msg_codec *msg_codec_new(void);
/* Takes NULL. */
void msg_codec_free(struct msg_codec *c);
/* Messages of `type` are written with this id from now on (issued by a registry for our schema). */
void msg_codec_set_id(struct msg_codec *c, enum msg_type type, int32_t id);
/*
 * Makes a foreign writer schema known under an id (fetched from a registry). 0, also for an id that
 * is known already; or -1 with the reason, for example that it lacks a required field.
 */
int msg_codec_add_schema(struct msg_codec *c, enum msg_type type, int32_t id, const char *json,
			 size_t bytes, struct buf *error) __attribute__((warn_unused_result));

/*
 * Appends the framed value. 0, or -1 with nothing appended if a required field is absent or the
 * value passes MSG_VALUE_BYTES_MAX, or with ret_value->failed if it passes the buffer's bound.
 * Bytes of a text that are not UTF-8 become U+FFFD: a message is not lost for a broken character.
 */
int msg_encode(struct msg_codec *c, const struct msg *m, struct buf *ret_value)
	__attribute__((warn_unused_result));

enum msg_decode {
	MSG_DECODED,
	MSG_MALFORMED,	    /* for the dead-letter topic; reason in `error` */
	MSG_UNKNOWN_SCHEMA, /* well framed, id unknown: ask the registry, if there is one, else dead
			     * letter; reason in `error` too */
};
/* `ret_schema_id` is set whenever there is a frame. */
enum msg_decode msg_decode(struct msg_codec *c, enum msg_type type, const void *value, size_t bytes,
			   struct msg *ret, int32_t *ret_schema_id, struct buf *error)
	__attribute__((warn_unused_result));

/* Appends the message as a JSON object by the names of its schema; absent fields are left out, and
 * bytes that are no text are null. For people. */
void msg_write_json(const struct msg *m, struct buf *out);

/* ---- Envelope: key and headers of a message, built into caller's memory ---- */
#define MSG_HEADERS_MAX 10
#define MSG_HEADER_BYTES 256

struct msg_envelope {
	/* E.164 phone, else the provider's call id, else the job id, else the event id; never
	 * empty. Borrowed from the message. */
	const char *key;
	size_t headers_count;
	struct {
		const char *name;
		char value[MSG_HEADER_BYTES];
	} headers[MSG_HEADERS_MAX];
};
/*
 * CloudEvents binary mode: ce_id ce_source ce_type ce_specversion ce_time ce_subject, content-type
 * and traceparent (W3C). `source` is e.g. "/carillon/producer". `traceparent` is that of the
 * message or request this one follows from: the trace goes on with a span of its own; NULL, or one
 * that is none, starts a new trace.
 */
void msg_envelope_init(struct msg_envelope *e, const struct msg *m, const char *source,
		       const char *traceparent, const struct clock *clock);

struct kafka_header;
/* The headers as kafka_produce() takes them, borrowed from the envelope, into MSG_HEADERS_MAX
 * places. Returns their number. */
size_t msg_envelope_headers(const struct msg_envelope *e, struct kafka_header *ret_headers);

/*
 * `id` with `suffix`; where that is longer than `n` - 1 bytes, the beginning of the id, a hash of
 * all of it, and the suffix: different ids stay different. n must be larger than the suffix by 32.
 */
void msg_id_fit(const char *id, const char *suffix, char *ret_text, size_t n);

#endif
