/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its answer. Exchanges are pooled with their buffers: in a steady state a request
 * allocates nothing here but libmicrohttpd's response.
 */
#include "common/http_server_internal.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define POOLED_EXCHANGES_MAX 256
#define POOLED_BODY_BYTES 65536
#define PROBLEM_MAX_BYTES 4096

struct http_exchange *exchange_new(struct http_server *s, struct connection *c,
				   struct MHD_Connection *mhd)
{
	struct http_exchange *x = s->idle_exchanges;

	if (x) {
		s->idle_exchanges = x->next;
		s->idle_exchanges_count--;
	} else {
		x = calloc(1, sizeof(*x));
		if (!x)
			return NULL;
		buf_init(&x->body, 0);
	}
	x->server = s;
	x->connection = c;
	x->mhd = mhd;
	x->started_ms = clock_boot_ms(s->o.clock);
	x->previous = NULL;
	x->next = s->exchanges;
	if (x->next)
		x->next->previous = x;
	s->exchanges = x;
	s->exchanges_count++;
	return x;
}

void exchange_free(struct http_exchange *x)
{
	struct http_server *s = x->server;
	struct buf body = x->body;

	*(x->previous ? &x->previous->next : &s->exchanges) = x->next;
	if (x->next)
		x->next->previous = x->previous;
	s->exchanges_count--;
	if (x->response)
		MHD_destroy_response(x->response);
	if (x->parts)
		exchange_parts_release(x);
	if (x->receiver)
		exchange_receiver_release(x);
	while (x->blocks) {
		struct arena_block *block = x->blocks;
		x->blocks = block->next;
		free(block);
	}
	if (s->idle_exchanges_count == POOLED_EXCHANGES_MAX) {
		buf_release(&body);
		free(x);
		return;
	}
	if (body.cap > POOLED_BODY_BYTES) {
		buf_release(&body);
		buf_init(&body, 0);
	} else {
		buf_clear(&body);
	}
	memset(x, 0, offsetof(struct http_exchange, arena));
	x->body = body;
	x->next = s->idle_exchanges;
	s->idle_exchanges = x;
	s->idle_exchanges_count++;
}

void *http_alloc(struct http_exchange *x, size_t n)
{
	const size_t align = _Alignof(max_align_t);
	size_t rounded = (n + align - 1) / align * align;

	if (rounded < n)
		return NULL;
	if (rounded <= sizeof(x->arena) - x->arena_used) {
		void *p = x->arena + x->arena_used;
		x->arena_used += rounded;
		return p;
	}
	struct arena_block *block = malloc(sizeof(*block) + align + rounded);
	if (!block)
		return NULL;
	block->next = x->blocks;
	x->blocks = block;
	return block->bytes + (align - (size_t)((uintptr_t)block->bytes % align)) % align;
}

/* ---- The target ---- */

static bool parse_query(struct http_exchange *x, const char *s)
{
	size_t n = strlen(s);
	char *text = http_alloc(x, n + 2);

	x->query = http_alloc(x, HTTP_QUERY_MAX * sizeof(*x->query));
	if (!text || !x->query)
		return false;
	for (const char *end = s + n; s < end; s++) {
		size_t pair_bytes = strcspn(s, "&");
		const char *equals = memchr(s, '=', pair_bytes);
		size_t name_bytes = equals ? (size_t)(equals - s) : pair_bytes;
		if (pair_bytes == 0)
			continue;
		if (x->query_count == HTTP_QUERY_MAX)
			return false;
		struct text_pair *pair = &x->query[x->query_count++];
		pair->name = text;
		size_t length = http_decode(s, name_bytes, true, text);
		if (length == (size_t)-1)
			return false;
		text += length + 1;
		pair->value = "";
		if (equals) {
			pair->value = text;
			length = http_decode(equals + 1, pair_bytes - name_bytes - 1, true, text);
			if (length == (size_t)-1)
				return false;
			text += length + 1;
		}
		s += pair_bytes;
	}
	return true;
}

bool exchange_parse_target(struct http_exchange *x)
{
	size_t path_bytes = strcspn(x->target, "?");
	char *storage = http_alloc(x, 2 * (path_bytes + 1));

	if (!storage || !http_path_parse(x->target, path_bytes, storage, &x->path))
		return false;
	return x->target[path_bytes] == '\0' || parse_query(x, x->target + path_bytes + 1);
}

/* ---- Reading the request ---- */

const char *http_method(const struct http_exchange *x)
{
	return strcmp(x->method, "HEAD") == 0 ? "GET" : x->method;
}

const char *http_path(const struct http_exchange *x)
{
	return x->path.text;
}

const char *http_raw_query(const struct http_exchange *x)
{
	const char *mark = strchr(x->target, '?');

	return mark ? mark + 1 : NULL;
}

const char *http_route_path(const struct http_exchange *x)
{
	return x->route->path;
}

const char *http_param(const struct http_exchange *x, const char *name)
{
	for (size_t i = 0; i < x->params.count; i++)
		if (strncmp(x->params.name[i], name, x->params.name_bytes[i]) == 0 &&
		    name[x->params.name_bytes[i]] == '\0')
			return x->params.value[i];
	return NULL;
}

const char *http_query(const struct http_exchange *x, const char *name)
{
	for (size_t i = 0; i < x->query_count; i++)
		if (strcmp(x->query[i].name, name) == 0)
			return x->query[i].value;
	return NULL;
}

const char *http_query_name(const struct http_exchange *x, size_t i)
{
	return i < x->query_count ? x->query[i].name : NULL;
}

const char *http_header(const struct http_exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, name);
}

const char *http_body(const struct http_exchange *x, size_t *ret_bytes)
{
	if (ret_bytes)
		*ret_bytes = x->body.len;
	return x->body.data;
}

bool http_is_answered(const struct http_exchange *x)
{
	return x->answered;
}

const char *http_peer(const struct http_exchange *x)
{
	return x->connection->peer;
}

int http_socket(const struct http_exchange *x)
{
	return x->connection->fd;
}

/* ---- Answering ---- */

static char *copy_text(struct http_exchange *x, const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = http_alloc(x, n);

	return copy ? memcpy(copy, text, n) : NULL;
}

void http_respond_header(struct http_exchange *x, const char *name, const char *value)
{
	struct text_pair pair = {copy_text(x, name), copy_text(x, value)};

	if (!pair.name || !pair.value || x->headers_count == HTTP_RESPONSE_HEADERS_MAX ||
	    strpbrk(value, "\r\n"))
		x->headers_failed = true;
	else
		x->headers[x->headers_count++] = pair;
}

static bool add_headers(struct http_exchange *x, struct MHD_Response *r, const char *content_type)
{
	if (content_type && MHD_add_response_header(r, "Content-Type", content_type) != MHD_YES)
		return false;
	for (size_t i = 0; i < x->headers_count; i++)
		if (MHD_add_response_header(r, x->headers[i].name, x->headers[i].value) != MHD_YES)
			return false;
	if ((x->server->stopping || x->admitting) &&
	    MHD_add_response_header(r, "Connection", "close") != MHD_YES)
		return false;
	return !x->headers_failed;
}

void exchange_report(struct http_exchange *x, unsigned status)
{
	const struct http_server_options *o = &x->server->o;

	if (o->on_done)
		o->on_done(o->arg, x->route, status, clock_boot_ms(o->clock) - x->started_ms);
}

enum MHD_Result exchange_queue(struct http_exchange *x)
{
	if (!x->response)
		return MHD_NO;
	return MHD_queue_response(x->mhd, x->status, x->response);
}

void exchange_answer(struct http_exchange *x, unsigned status, const char *content_type,
		     struct MHD_Response *r)
{
	assert(!x->answered);
	if (r && !add_headers(x, r, content_type)) {
		MHD_destroy_response(r);
		r = NULL;
	}
	x->answered = true;
	x->status = r ? status : 500;
	x->response =
		r ? r : MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
	exchange_report(x, x->status);
	if (x->connection->phase != CONNECTION_STREAM)
		connection_enter(x->connection,
				 exchange_body_is_open(x) ? CONNECTION_STREAM : CONNECTION_WRITING);
	if (!x->suspended)
		return; /* the handler callback queues it */
	if (exchange_body_is_open(x)) {
		exchange_resume(x); /* and is queued behind the rest of the body */
		return;
	}
	/* Without a response libmicrohttpd asks again and is told to close. */
	(void)!exchange_queue(x);
	exchange_resume(x);
}

void exchange_resume(struct http_exchange *x)
{
	x->suspended = false;
	MHD_resume_connection(x->mhd);
	http_server_kick(x->server);
}

void http_respond(struct http_exchange *x, unsigned status, const char *content_type,
		  const void *body, size_t n)
{
	/* libmicrohttpd copies and does not write; its parameter is older than that. */
	exchange_answer(x, status, content_type,
			MHD_create_response_from_buffer(n, (void *)body, MHD_RESPMEM_MUST_COPY));
}

void http_respond_problem(struct http_exchange *x, unsigned status, const char *detail)
{
	char storage[PROBLEM_MAX_BYTES];
	struct buf b;

	buf_init_fixed(&b, storage, sizeof(storage));
	buf_adds(&b, "{\"type\":\"about:blank\",\"title\":");
	const char *title = MHD_get_reason_phrase_for(status);
	buf_add_json_string(&b, title, strlen(title));
	buf_addf(&b, ",\"status\":%u", status);
	size_t without_detail = b.len;
	if (detail) {
		buf_adds(&b, ",\"detail\":");
		buf_add_json_string(&b, detail, strlen(detail));
	}
	buf_addc(&b, '}');
	if (b.failed) { /* a detail of kilobytes */
		storage[without_detail] = '}';
		b.len = without_detail + 1;
	}
	http_respond(x, status, "application/problem+json", storage, b.len);
}

void exchange_refuse(struct http_exchange *x, unsigned status, const char *detail)
{
	http_respond_header(x, "Connection", "close");
	http_respond_problem(x, status, detail);
}

/* ---- Secrets ---- */

bool http_secret_equal(const char *presented, const char *secret)
{
	unsigned char a[SHA256_DIGEST_LENGTH];
	unsigned char b[SHA256_DIGEST_LENGTH];

	if (!presented || !secret)
		return false;
	/* Digests have one length, and where they differ says nothing of where the texts do. */
	SHA256((const unsigned char *)presented, strlen(presented), a);
	SHA256((const unsigned char *)secret, strlen(secret), b);
	return CRYPTO_memcmp(a, b, sizeof(a)) == 0;
}

const char *http_presented_secret(const struct http_exchange *x, const char *const *header_names)
{
	const char *value = http_header(x, "Authorization");

	if (value && strncasecmp(value, "Bearer ", 7) == 0)
		return value + 7 + strspn(value + 7, " ");
	for (; header_names && *header_names; header_names++) {
		value = http_header(x, *header_names);
		if (value)
			return value;
	}
	return NULL;
}
