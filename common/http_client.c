/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: what libcurl is told, and what is made of its answer.
 *
 * Everything here serves one question, "can this request have been executed?". libcurl announces
 * each attempt in the call that then sends it (the pre-request callback): there a request is held
 * back, and there the second attempt is stopped that libcurl makes on its own when a reused
 * connection dies without an answer. (A body from a read callback that can't rewind stops only
 * repeats whose body had begun, sends the header before it can be held back, and costs a second
 * pass through libcurl: 17,000 instead of 27,000 requests a second.)
 */
#include "common/http_client.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/fail_point.h"
#include "common/http_address.h"
#include "common/http_client_internal.h"

#define URL_MAX_BYTES 8192
#define HEADER_TEXT_MAX_BYTES 65536
#define BODY_MAX_BYTES 8388608
#define ANSWER_HEADER_MAX_BYTES 65536
#define VALUE_BYTES 64	       /* of a header that is read */
#define POOLED_BUF_BYTES 65536 /* a pooled transfer keeps no more storage than this */

/* ---- Callbacks of libcurl ---- */

/*
 * Connected, and the next thing libcurl does is to send: it asks once an attempt, on a reused
 * connection too. The gate of may_send, and the place where a second attempt ends.
 */
static int on_attempt(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	struct transfer *t = arg;

	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	(void)local_port;
	if (t->once && t->attempts > 0) {
		t->stopped = STOPPED_RESEND;
		return CURL_PREREQFUNC_ABORT;
	}
	if (t->may_send && !t->may_send(t->arg)) {
		t->stopped = STOPPED_HELD;
		return CURL_PREREQFUNC_ABORT;
	}
	if (fail_point_of(FAIL_HTTP_SENDING, t->once ? "dial" : "ask"))
		return CURL_PREREQFUNC_ABORT;
	t->attempts++;
	t->started_at = clock_wall_ms(t->client->o.clock);
	return CURL_PREREQFUNC_OK;
}

static size_t on_write(char *bytes, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	buf_add(&t->answer, bytes, size * n);
	if (t->answer.failed) {
		t->stopped = STOPPED_TOO_LARGE;
		return 0;
	}
	return size * n;
}

/* A header's value without the spaces around it; empty if it is too long to be one of ours. */
static void copy_value(const char *value, size_t n, char ret_text[VALUE_BYTES])
{
	while (n > 0 && (*value == ' ' || *value == '\t')) {
		value++;
		n--;
	}
	while (n > 0 && (unsigned char)value[n - 1] <= ' ')
		n--;
	if (n >= VALUE_BYTES)
		n = 0;
	memcpy(ret_text, value, n);
	ret_text[n] = '\0';
}

static int64_t parse_date(const char *text)
{
	time_t at = curl_getdate(text, NULL);

	return at == -1 ? -1 : (int64_t)at * 1000;
}

/* Seconds or an HTTP date; -1 if it is neither. */
static int64_t parse_retry_after(const struct clock *clock, const char *text)
{
	size_t digits = strspn(text, "0123456789"), n = strlen(text);

	if (n > 0 && digits == n)
		return digits > 15 ? INT64_MAX : (int64_t)strtoll(text, NULL, 10) * 1000;
	if (digits > 0 || text[0] == '-' || text[0] == '+')
		return -1;
	int64_t at = parse_date(text);
	if (at == -1)
		return -1;
	int64_t wait_ms = at - clock_wall_ms(clock);
	return wait_ms > 0 ? wait_ms : 0;
}

/* If the line is this header's, its value. */
static bool header_value(const char *line, size_t n, const char *name, char ret_text[VALUE_BYTES])
{
	size_t name_len = strlen(name);

	if (n < name_len || strncasecmp(line, name, name_len) != 0)
		return false;
	copy_value(line + name_len, n - name_len, ret_text);
	return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	char text[VALUE_BYTES];

	n *= size;
	t->answer_header_bytes += n;
	if (t->answer_header_bytes > ANSWER_HEADER_MAX_BYTES) {
		t->stopped = STOPPED_TOO_LARGE;
		return 0;
	}
	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0)
		t->retry_after_ms = t->date_at = -1; /* those of an interim answer do not count */
	else if (header_value(line, n, "Retry-After:", text))
		t->retry_after_ms = parse_retry_after(t->client->o.clock, text);
	else if (t->wants_date && header_value(line, n, "Date:", text))
		t->date_at = parse_date(text);
	return n;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *t = arg;
	const int on = 1;
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};

	(void)purpose;
	if (!t->client->o.allow_insecure && !http_address_is_public(&address->addr)) {
		t->address_refused = true;
		return CURL_SOCKET_BAD;
	}
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &t->timeout_ms, sizeof(t->timeout_ms));
	return fd;
}

/* ---- Transfers ---- */

static void transfer_free(struct transfer *t)
{
	if (!t)
		return;
	curl_easy_cleanup(t->easy);
	curl_url_cleanup(t->parts);
	buf_release(&t->url);
	buf_release(&t->header_text);
	buf_release(&t->body);
	buf_release(&t->answer);
	free(t);
}

/* The settings that no request changes; 0 or the first error. */
static CURLcode set_constants(struct transfer *t)
{
	CURL *e = t->easy;
	const struct http_client *c = t->client;
	const char *protocols = c->o.allow_insecure ? "http,https" : "https";
	CURLcode failed = CURLE_OK;

#define SET(option, value)                                                                         \
	do {                                                                                       \
		if (failed == CURLE_OK)                                                            \
			failed = curl_easy_setopt(e, option, value);                               \
	} while (0)
	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_ERRORBUFFER, t->error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* a stuck resolver would block the loop */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROTOCOLS_STR, protocols);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_MAXAGE_CONN, c->o.connection_max_idle_s);
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_PREREQFUNCTION, on_attempt);
	SET(CURLOPT_PREREQDATA, t);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(CURLOPT_OPENSOCKETDATA, t);
#undef SET
	return failed;
}

static struct transfer *transfer_new(struct http_client *c)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->client = c;
	buf_init(&t->url, URL_MAX_BYTES);
	buf_init(&t->header_text, HEADER_TEXT_MAX_BYTES);
	buf_init(&t->body, BODY_MAX_BYTES);
	buf_init(&t->answer, 0);
	t->parts = curl_url();
	t->easy = curl_easy_init();
	if (!t->parts || !t->easy || set_constants(t) != CURLE_OK) {
		transfer_free(t);
		return NULL;
	}
	t->next_all = c->all;
	c->all = t;
	return t;
}

static struct transfer *take_transfer(struct http_client *c)
{
	struct transfer *t = c->idle;

	if (!t)
		return transfer_new(c);
	c->idle = t->next;
	return t;
}

/* Empties for the next use; storage beyond the ordinary goes back. */
static void rewind_buf(struct buf *b)
{
	if (b->cap > POOLED_BUF_BYTES) {
		size_t max_bytes = b->max_bytes;
		buf_release(b);
		buf_init(b, max_bytes);
	} else {
		buf_clear(b);
	}
}

static void give_transfer(struct transfer *t)
{
	rewind_buf(&t->body);
	rewind_buf(&t->answer);
	t->next = t->client->idle;
	t->client->idle = t;
}

/* ---- Sending ---- */

static bool url_usable(const struct http_client *c, const char *url)
{
	size_t n = strnlen(url, URL_MAX_BYTES);

	if (strncasecmp(url, "https://", 8) != 0 &&
	    !(c->o.allow_insecure && strncasecmp(url, "http://", 7) == 0))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)url[i] <= ' ' || (unsigned char)url[i] >= 0x7f)
			return false;
	return n < URL_MAX_BYTES;
}

/* Copies the headers into one buffer and links list nodes of our own to it: nothing to allocate
 * when warm. */
static bool set_headers(struct transfer *t, const char *const *headers)
{
	/* Without a value libcurl sends no such header: no 100-continue, no type that nobody chose.
	 */
	static const char *const suppressed[] = {"Expect:", "Content-Type:"};
	const char *const own[] = {t->client->user_agent, suppressed[0], suppressed[1]};
	size_t offsets[TRANSFER_HEADERS_MAX];
	size_t count = 0;
	bool has_type = false;

	buf_clear(&t->header_text);
	for (; headers && *headers; headers++) {
		if (count == TRANSFER_HEADERS_MAX - 3 || strpbrk(*headers, "\r\n"))
			return false;
		has_type = has_type ||
			   strncasecmp(*headers, suppressed[1], strlen(suppressed[1])) == 0;
		offsets[count++] = t->header_text.len;
		buf_add(&t->header_text, *headers, strlen(*headers) + 1);
	}
	for (size_t i = 0; i < (has_type ? 2 : 3); i++) {
		offsets[count++] = t->header_text.len;
		buf_add(&t->header_text, own[i], strlen(own[i]) + 1);
	}
	if (t->header_text.failed)
		return false;
	for (size_t i = 0; i < count; i++) {
		t->header_list[i].data = t->header_text.data + offsets[i];
		t->header_list[i].next = i + 1 < count ? &t->header_list[i + 1] : NULL;
	}
	return true;
}

/* One that libcurl can't take apart is left to it, which has words for what is wrong with it. */
static CURLcode set_url(struct transfer *t, const char *url)
{
	if (strcmp(t->url.data, url) == 0)
		return CURLE_OK;
	buf_clear(&t->url);
	CURLcode failed = curl_easy_setopt(t->easy, CURLOPT_URL, url);
	bool usable = curl_url_set(t->parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK;
	if (failed == CURLE_OK)
		failed = curl_easy_setopt(t->easy, CURLOPT_CURLU, usable ? t->parts : NULL);
	if (failed == CURLE_OK && usable)
		buf_adds(&t->url, url);
	return failed;
}

/* Settings of this request; 0 or the first error. */
static CURLcode set_request(struct transfer *t, const struct http_request *r, bool post)
{
	CURL *e = t->easy;
	long close_after = r->fresh_connection || t->client->o.connection_max_idle_s == 0;
	CURLcode failed = set_url(t, r->url);

#define SET(option, value)                                                                         \
	do {                                                                                       \
		if (failed == CURLE_OK)                                                            \
			failed = curl_easy_setopt(e, option, value);                               \
	} while (0)
	if (post) {
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.len);
		SET(CURLOPT_POSTFIELDS, t->body.data);
		SET(CURLOPT_POST, 1L);
	} else {
		SET(CURLOPT_HTTPGET, 1L);
	}
	SET(CURLOPT_HTTPHEADER, t->header_list);
	SET(CURLOPT_TIMEOUT_MS, (long)t->timeout_ms);
	SET(CURLOPT_FRESH_CONNECT, (long)r->fresh_connection);
	SET(CURLOPT_FORBID_REUSE, close_after);
#undef SET
	return failed;
}

static bool prepare(struct transfer *t, const struct http_request *r, http_done_cb *cb, void *arg)
{
	bool post = strcmp(r->method, "POST") == 0;

	assert(post || strcmp(r->method, "GET") == 0);
	assert(post || r->body_bytes == 0);
	assert(r->timeout_ms > 0);
	t->once = r->once;
	t->wants_date = r->wants_date;
	t->timeout_ms = r->timeout_ms > INT32_MAX ? INT32_MAX : (int)r->timeout_ms;
	t->may_send = r->may_send;
	t->done = cb;
	t->arg = arg;
	t->answer.max_bytes = r->max_response_bytes;
	t->answer_header_bytes = 0;
	t->retry_after_ms = t->date_at = -1;
	t->attempts = 0;
	t->stopped = STOPPED_NOT;
	t->address_refused = false;
	t->started_at = clock_wall_ms(t->client->o.clock);
	t->error[0] = '\0';
	if (r->body_bytes > 0)
		buf_add(&t->body, r->body, r->body_bytes);
	return !t->body.failed && set_headers(t, r->headers) && set_request(t, r, post) == CURLE_OK;
}

bool http_send(struct http_client *c, const struct http_request *r, http_done_cb *cb, void *arg)
{
	if (c->under_way >= c->o.max_requests || !url_usable(c, r->url))
		return false;
	struct transfer *t = take_transfer(c);
	if (!t)
		return false;
	if (!prepare(t, r, cb, arg) || curl_multi_add_handle(c->multi, t->easy) != CURLM_OK) {
		give_transfer(t);
		return false;
	}
	t->under_way = true;
	c->under_way++;
	return true;
}

/* ---- The answer ---- */

static const char *const stopped_text[] = {
	[STOPPED_HELD] = "held back before the first byte",
	[STOPPED_RESEND] = "connection died after the request was sent",
	[STOPPED_TOO_LARGE] = "answer too large",
};

/* Adds what libcurl keeps to itself: which system error stopped a connect. */
static void complete_error(struct transfer *t, CURLcode code)
{
	size_t n = strlen(t->error);
	long system_error = 0;
	const char *more = NULL;

	if (t->stopped != STOPPED_NOT)
		snprintf(t->error, sizeof(t->error), "%s", stopped_text[t->stopped]);
	else if (n == 0)
		snprintf(t->error, sizeof(t->error), "%s", curl_easy_strerror(code));
	n = strlen(t->error);
	if (code != CURLE_COULDNT_CONNECT)
		return;
	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &system_error);
	if (t->address_refused)
		more = "address not permitted";
	else if (system_error != 0)
		more = strerrordesc_np((int)system_error);
	if (more)
		snprintf(t->error + n, sizeof(t->error) - n, " (%s)", more);
}

/*
 * Of an attempt nothing left if its first write failed. (A write that was put off counts its header
 * bytes nowhere, hence the condition that not all of the body left either.)
 */
static bool may_have_left(struct transfer *t, CURLcode code)
{
	long request_bytes = 0;
	curl_off_t body_bytes = 0;

	if (t->attempts != 1 || code != CURLE_SEND_ERROR || t->body.len == 0)
		return t->attempts > 0;
	return curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &request_bytes) != CURLE_OK ||
	       curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &body_bytes) != CURLE_OK ||
	       request_bytes > 0 || body_bytes > 0;
}

static void finish(struct transfer *t, CURLcode code)
{
	struct http_client *c = t->client;
	struct http_answer a = {
		.body_started = may_have_left(t, code),
		.body = t->answer.data,
		.body_bytes = t->answer.len,
		.retry_after_ms = t->retry_after_ms,
		.date_at = t->date_at,
		.started_at = t->started_at,
		.answered_at = clock_wall_ms(c->o.clock),
	};

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &a.status);
	if (code == CURLE_OK && fail_point_of(FAIL_HTTP_ANSWERED, t->once ? "dial" : "ask")) {
		code = CURLE_OPERATION_TIMEDOUT;
		a.status = 0;
	}
	if (code == CURLE_OK) {
		a.outcome = HTTP_ANSWERED;
	} else {
		a.outcome = t->stopped == STOPPED_TOO_LARGE		    ? HTTP_TOO_LARGE
			    : t->stopped == STOPPED_HELD && !a.body_started ? HTTP_HELD
									    : HTTP_FAILED;
		complete_error(t, code);
		a.error = t->error;
	}
	curl_multi_remove_handle(c->multi, t->easy);
	t->under_way = false;
	c->under_way--;
	t->done(t->arg, &a);
	give_transfer(t);
}

void http_client_reap(struct http_client *c)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(c->multi, &left))) {
		struct transfer *t = NULL;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
		finish(t, m->data.result);
	}
}

/* ---- The client ---- */

struct http_client *http_client_new(struct ev_loop *loop, const struct http_client_options *o)
{
	static bool library_ready;

	if (!library_ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	library_ready = true;
	struct http_client *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->loop = loop;
	c->o = *o;
	/* As a header of ours: libcurl would put its own together anew for each request. */
	if (asprintf(&c->user_agent, "User-Agent: %s", o->user_agent) < 0)
		c->user_agent = NULL;
	c->multi = curl_multi_init();
	long kept = o->max_requests > INT32_MAX ? INT32_MAX : (long)o->max_requests;
	if (!c->user_agent || !c->multi || http_client_loop_init(c) != 0 ||
	    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, kept) != CURLM_OK) {
		http_client_free(c);
		return NULL;
	}
	return c;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	while (c->all) {
		struct transfer *t = c->all;
		c->all = t->next_all;
		if (t->under_way)
			curl_multi_remove_handle(c->multi, t->easy);
		transfer_free(t);
	}
	if (c->multi) {
		http_client_loop_detach(c);
		curl_multi_cleanup(c->multi);
	}
	http_client_loop_release(c);
	free(c->user_agent);
	free(c);
}

size_t http_client_free_slots(const struct http_client *c)
{
	return c->o.max_requests - c->under_way;
}
