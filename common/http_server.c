/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd without threads of its own: it waits in an epoll set of its own, whose descriptor
 * is readable in our loop when there is something to do.
 *
 * Life of a request: on_target (the request line has come: an exchange begins), on_request once for
 * the header (guard, route, limits), for each piece of body, and at the end (the handler),
 * on_completed.
 */
#include "common/http_server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http_guard.h"
#include "common/http_server_internal.h"

#define CONNECTION_MEMORY_BYTES 32768
#define CONNECTION_STALL_S 30 /* an answer of which the client takes nothing */
/* Places beyond max_connections, for those that have been cut and are not yet closed. */
#define CONNECTIONS_SPARE 64
#define LISTEN_BACKLOG 1024
#define DESCRIPTORS_OF_OTHERS 128 /* PostgreSQL, Kafka, files */
#define REAP_MIN_S 0.02
#define REAP_MAX_S 0.5
/* How long http_server_free() waits for clients to take their 503. */
#define STOP_TURNS 50
#define STOP_TURN_MS 10

/* ---- The header ---- */

/*
 * libmicrohttpd 0.9.75 keeps the header as one block and only overwrites separators with NUL, so it
 * can be checked byte by byte that its reading is the only one. Later versions parse strictly
 * themselves.
 */
#define HEADER_BLOCK_KEPT (MHD_VERSION <= 0x00097500)

static enum MHD_Result on_header_field(void *arg, enum MHD_ValueKind kind, const char *name,
				       size_t name_bytes, const char *value, size_t value_bytes)
{
	(void)kind;
	http_guard_field(arg, name, name_bytes, value ? value : "", value_bytes);
	return MHD_YES;
}

static void guard_fields(struct http_guard *g, const struct http_exchange *x, const char *version)
{
	if (!HEADER_BLOCK_KEPT) {
		MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, on_header_field, g);
		return;
	}
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
	int fields = MHD_get_connection_values(x->mhd, MHD_HEADER_KIND, NULL, NULL);
	const char *block = version + strlen(version);
	const char *end = info ? x->method + info->header_size : block;
	/* The parts of the request line must lie one behind the other: no blanks or NUL between
	 * them. */
	if (x->target_at != x->method + strlen(x->method) + 1 ||
	    version != x->target_at + x->target_bytes + 1 || end < block)
		g->reason = "Malformed request line";
	else
		http_guard_block(g, block, (size_t)(end - block), (size_t)fields);
}

static void find_route(struct http_exchange *x)
{
	const struct http_server_options *o = &x->server->o;
	char storage[128];
	struct buf allow;

	buf_init_fixed(&allow, storage, sizeof(storage));
	x->route = http_route_find(o->routes, o->routes_count, x->method, &x->path, &x->params,
				   &allow);
	if (x->route)
		return;
	x->early_status = allow.len > 0 ? 405 : 404;
	if (allow.len > 0)
		http_respond_header(x, "Allow", allow.data);
}

static bool admitted(struct http_exchange *x)
{
	const struct http_server_options *o = &x->server->o;

	if (!o->admit)
		return true;
	x->admitting = true;
	bool good = o->admit(o->arg, x->route, x);
	x->admitting = false;
	return good;
}

/* The header is complete. A request that is refused here is answered before its body is read. */
static void begin(struct http_exchange *x, const char *version)
{
	struct http_guard g;
	bool has_body = false;
	uint64_t content_length = 0;

	x->begun = true;
	if (!x->target) {
		exchange_refuse(x, 503, NULL);
		return;
	}
	http_guard_init(&g, x->method, x->target, version);
	if (!g.reason)
		guard_fields(&g, x, version);
	const char *reason = http_guard_verdict(&g, &has_body, &content_length);
	if (!reason && !exchange_parse_target(x))
		reason = "Malformed request target";
	if (reason) {
		exchange_refuse(x, 400, reason);
		return;
	}
	if (x->server->freeing) {
		exchange_refuse(x, 503, NULL);
		return;
	}
	find_route(x);
	x->body.max_bytes = x->route ? x->route->max_body_bytes : 0;
	if (!has_body)
		return;
	if (!x->route)
		exchange_refuse(x, x->early_status, NULL);
	else if (content_length != UINT64_MAX && content_length > x->route->max_body_bytes)
		exchange_refuse(x, 413, NULL);
	else if (admitted(x) && !x->answered)
		connection_enter(x->connection, x->receiver ? CONNECTION_STREAM : CONNECTION_BODY);
}

/* ---- Callbacks of libmicrohttpd ---- */

static void finish(struct http_exchange *x)
{
	struct http_server *s = x->server;

	if (x->early_status != 0) {
		http_respond_problem(x, x->early_status, NULL);
		return;
	}
	connection_enter(x->connection, CONNECTION_BUSY);
	x->in_handler = true;
	x->route->handler(s->o.arg, x);
	x->in_handler = false;
}

/* The request has been read to its end. */
static enum MHD_Result answer_whole(struct http_exchange *x)
{
	connection_enter(x->connection, CONNECTION_WRITING);
	return exchange_queue(x);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *data_bytes, void **context)
{
	struct http_exchange *x = *context;

	(void)arg;
	(void)url;
	if (!x || x->connection->phase == CONNECTION_CUT)
		return MHD_NO;
	if (!x->begun) {
		x->method = method;
		begin(x, version);
		return x->answered ? exchange_queue(x) : MHD_YES;
	}
	if (*data_bytes > 0 && x->receiver) {
		exchange_receive(x, data, data_bytes);
		return MHD_YES;
	}
	if (*data_bytes > 0) {
		buf_add(&x->body, data, *data_bytes);
		*data_bytes = 0;
		if (!x->body.failed)
			return MHD_YES;
		connection_cut(x->connection, CUT_TOO_LARGE);
		return MHD_NO;
	}
	if (x->receiver && !x->answered)
		exchange_received(x);
	else if (!x->answered)
		finish(x);
	if (x->answered)
		return answer_whole(x);
	MHD_suspend_connection(mhd);
	x->suspended = true;
	return MHD_YES;
}

/* Returns what on_request() finds in its context: the exchange, NULL without memory. */
static void *on_target(void *arg, const char *target, struct MHD_Connection *mhd)
{
	struct http_server *s = arg;
	struct connection *c =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	struct http_exchange *x = c ? exchange_new(s, c, mhd) : NULL;

	if (!x)
		return NULL;
	connection_enter(c, CONNECTION_HEADER);
	x->target_at = target;
	x->target_bytes = target ? strlen(target) : 0;
	x->target = http_alloc(x, x->target_bytes + 1);
	if (x->target) {
		memcpy(x->target, target ? target : "", x->target_bytes);
		x->target[x->target_bytes] = '\0';
	}
	return x;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct http_exchange *x = *context;

	(void)arg;
	(void)mhd;
	(void)code;
	*context = NULL;
	if (!x)
		return;
	if (!x->answered && x->connection->cut_status != 0)
		exchange_report(x, x->connection->cut_status);
	connection_enter(x->connection, CONNECTION_IDLE);
	exchange_free(x);
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *s = arg;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		struct connection *c = connection_new(s, mhd);
		*context = c;
		if (c)
			connection_make_room(s, c);
	} else if (*context) {
		connection_free(*context);
		*context = NULL;
	}
}

/* The target is decoded by us, after it was split. */
static size_t leave_escaped(void *arg, struct MHD_Connection *mhd, char *text)
{
	(void)arg;
	(void)mhd;
	return strlen(text);
}

/* ---- The loop ---- */

void http_server_kick(struct http_server *s)
{
	if (!ev_is_active(&s->pending)) {
		ev_timer_set(&s->pending, 0., 0.);
		ev_timer_start(s->loop, &s->pending);
	}
}

static void turn(struct http_server *s)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(s->daemon);
	/* Deadlines are the reaper's, so only "at once" matters. */
	if (MHD_get_timeout(s->daemon, &wait_ms) == MHD_YES && wait_ms == 0)
		http_server_kick(s);
}

static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	turn(w->data);
}

static void on_pending(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	turn(w->data);
}

static void on_reap(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	connections_reap(w->data);
	turn(w->data);
}

static double reap_interval_s(const struct http_server_options *o)
{
	int64_t shortest_ms = o->header_timeout_ms < o->request_timeout_ms ? o->header_timeout_ms
									   : o->request_timeout_ms;
	double s = (double)shortest_ms / 4000.;

	return s < REAP_MIN_S ? REAP_MIN_S : s > REAP_MAX_S ? REAP_MAX_S : s;
}

/* ---- Starting ---- */

/* Splits "host:port"; brackets around an IPv6 address. */
static bool split_listen(const char *listen, char *ret_host, size_t host_bytes,
			 const char **ret_port)
{
	const char *colon = strrchr(listen, ':');
	size_t n = colon ? (size_t)(colon - listen) : 0;

	if (!colon || colon[1] == '\0' || n >= host_bytes)
		return false;
	if (n >= 2 && listen[0] == '[' && listen[n - 1] == ']') {
		listen++;
		n -= 2;
	} else if (memchr(listen, ':', n)) {
		return false;
	}
	memcpy(ret_host, listen, n);
	ret_host[n] = '\0';
	*ret_port = colon + 1;
	return true;
}

static int open_listener(const struct addrinfo *at)
{
	const int on = 1;
	const int off = 0;
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int start_listening(struct http_server *s, struct buf *error)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	struct sockaddr_in6 bound = {0};
	socklen_t bound_bytes = sizeof(bound);
	char host[256];
	const char *port;

	if (!split_listen(s->o.listen, host, sizeof(host), &port)) {
		buf_addf(error, "%s: not HOST:PORT", s->o.listen);
		return -1;
	}
	int failed = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
	if (failed != 0) {
		buf_addf(error, "%s: %s", s->o.listen, gai_strerror(failed));
		return -1;
	}
	s->listen_fd = open_listener(found);
	freeaddrinfo(found);
	if (s->listen_fd < 0 ||
	    getsockname(s->listen_fd, (struct sockaddr *)&bound, &bound_bytes) != 0) {
		buf_addf(error, "%s: %s", s->o.listen, strerrordesc_np(errno));
		return -1;
	}
	s->port = ntohs(bound.sin6_port); /* where IPv4 has it, too */
	return 0;
}

/* Without a descriptor left nobody could be accepted, to make room for whom another is cut off. */
static unsigned connections_that_fit(unsigned wanted)
{
	const rlim_t reserved = CONNECTIONS_SPARE + DESCRIPTORS_OF_OTHERS;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= wanted + reserved)
		return wanted;
	return (unsigned)(r.rlim_cur > 2 * reserved ? r.rlim_cur - reserved : r.rlim_cur / 2);
}

static struct MHD_Daemon *start_daemon(struct http_server *s)
{
	return MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
		MHD_OPTION_LISTEN_SOCKET, s->listen_fd, MHD_OPTION_CONNECTION_LIMIT,
		s->o.max_connections + CONNECTIONS_SPARE, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		s->o.max_per_ip, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)CONNECTION_STALL_S, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, s, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
#if !HEADER_BLOCK_KEPT
		MHD_OPTION_CLIENT_DISCIPLINE_LVL, 2,
#endif
		MHD_OPTION_END);
}

struct http_server *http_server_new(struct ev_loop *loop, const struct http_server_options *o,
				    struct buf *error)
{
	struct http_server *s = calloc(1, sizeof(*s));

	if (!s) {
		buf_adds(error, "no memory");
		return NULL;
	}
	s->loop = loop;
	s->o = *o;
	s->o.max_connections = connections_that_fit(o->max_connections);
	s->listen_fd = -1;
	ev_init(&s->readable, on_readable);
	ev_init(&s->pending, on_pending);
	ev_init(&s->reaper, on_reap);
	s->readable.data = s->pending.data = s->reaper.data = s;
	s->reaper.repeat = reap_interval_s(o);
	if (start_listening(s, error) != 0) {
		http_server_free(s);
		return NULL;
	}
	s->daemon = start_daemon(s);
	if (!s->daemon) {
		buf_addf(error, "%s: libmicrohttpd does not start: %s", o->listen,
			 strerrordesc_np(errno));
		http_server_free(s);
		return NULL;
	}
	ev_io_set(&s->readable, MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
		  EV_READ);
	ev_io_start(loop, &s->readable);
	turn(s); /* adds the listening socket to its epoll set */
	return s;
}

unsigned http_server_port(const struct http_server *s)
{
	return s->port;
}

size_t http_server_open_exchanges(const struct http_server *s)
{
	return s->exchanges_count;
}

/* ---- Stopping ---- */

void http_server_quiesce(struct http_server *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	MHD_quiesce_daemon(s->daemon);
	close(s->listen_fd);
	s->listen_fd = -1;
	connections_cut_phases(s, CONNECTION_FRESH, CONNECTION_IDLE, CUT_SILENTLY);
	http_server_kick(s);
}

/* libmicrohttpd aborts the process when it is stopped with a suspended connection. */
static void answer_open(struct http_server *s)
{
	s->freeing = true;
	connections_cut_phases(s, CONNECTION_HEADER, CONNECTION_STREAM, CUT_OVERLOAD);
	for (struct http_exchange *x = s->exchanges; x; x = x->next) {
		if (x->parts)
			exchange_parts_break(x);
		else if (x->suspended)
			http_respond_problem(x, 503, NULL);
	}
	for (int i = 0; i == 0 || (s->exchanges_count > 0 && i < STOP_TURNS); i++) {
		struct pollfd ready = {.fd = s->readable.fd, .events = POLLIN};
		MHD_run(s->daemon);
		if (s->exchanges_count > 0)
			poll(&ready, 1, STOP_TURN_MS);
	}
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	if (s->daemon) {
		http_server_quiesce(s);
		answer_open(s);
		MHD_stop_daemon(s->daemon);
	}
	ev_io_stop(s->loop, &s->readable);
	ev_timer_stop(s->loop, &s->pending);
	ev_timer_stop(s->loop, &s->reaper);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	while (s->idle_exchanges) {
		struct http_exchange *x = s->idle_exchanges;
		s->idle_exchanges = x->next;
		buf_release(&x->body);
		free(x);
	}
	free(s);
}
