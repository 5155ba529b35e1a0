/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schemas that are compiled in, and their ids. Without a registry every process must come to
 * the same ids by itself: so they are fingerprints.
 */
#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#include "common/avro_canonical.h"
#include "common/avro_walk.h"
#include "common/msg_internal.h"

static const struct msg_type_info infos[MSG_TYPE_COUNT] = {
	[MSG_DISPATCH_REQUESTED] = {"calls.dispatch.requested.v1",
				    "carillon.calls.dispatch.requested.v1",
				    "dispatch_requested.avsc"},
	[MSG_DISPATCH_RESULT] = {"calls.dispatch.result.v1", "carillon.calls.dispatch.result.v1",
				 "dispatch_result.avsc"},
	[MSG_CALL_EVENT] = {"calls.event.v1", "carillon.calls.event.v1", "call_event.avsc"},
	[MSG_REDIAL_UPDATE] = {"leads.redial.v1", "carillon.leads.redial.v1", "redial_update.avsc"},
	[MSG_STAGE_TRANSITION] = {"leads.stage.v1", "carillon.leads.stage.v1",
				  "stage_transition.avsc"},
};

const struct msg_type_info *msg_type_info(enum msg_type type)
{
	assert((unsigned)type < MSG_TYPE_COUNT);
	return &infos[type];
}

const struct embedded_file *msg_schema_version(enum msg_type type, size_t i)
{
	const char *current = msg_type_info(type)->schema_file;
	size_t stem = strcspn(current, ".") + 1; /* "call_event." */

	for (size_t k = 0; k < embedded_avro_count; k++) {
		const struct embedded_file *f = &embedded_avro[k];
		bool is_current = strcmp(f->name, current) == 0;
		if (i == 0 && is_current)
			return f;
		if (!is_current && strncmp(f->name, current, stem) == 0 && i > 0 && --i == 0)
			return f;
	}
	return NULL;
}

const char *msg_schema_text(enum msg_type type, size_t *ret_bytes)
{
	const struct embedded_file *f = msg_schema_version(type, 0);

	assert(f);
	*ret_bytes = f->size;
	return (const char *)f->data;
}

int msg_schema_fingerprint(const char *json, size_t bytes, int32_t *ret_id, struct buf *error)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned hash_bytes;
	struct buf form;

	buf_init(&form, AVRO_SCHEMA_BYTES_MAX);
	int rc = avro_canonical(json, bytes, &form, error);
	if (rc == 0 &&
	    EVP_Digest(form.data, form.len, hash, &hash_bytes, EVP_sha256(), NULL) != 1) {
		buf_adds(error, "no SHA-256");
		rc = -1;
	}
	buf_release(&form);
	if (rc != 0)
		return -1;
	uint32_t head = (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 |
			hash[3];
	*ret_id = (int32_t)((head & 0x3fffffff) | 0x40000000);
	return 0;
}

int32_t msg_builtin_schema_id(enum msg_type type)
{
	static int32_t ids[MSG_TYPE_COUNT];

	assert((unsigned)type < MSG_TYPE_COUNT);
	if (ids[type] == 0) {
		size_t bytes;
		char why[256];
		struct buf error;
		const char *text = msg_schema_text(type, &bytes);

		buf_init_fixed(&error, why, sizeof(why));
		int rc = msg_schema_fingerprint(text, bytes, &ids[type], &error);
		assert(rc == 0);
		(void)rc;
	}
	return ids[type];
}
