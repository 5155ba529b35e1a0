/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three kinds of lists. By time: the window is asked for as a whole, and halved while the answer is
 * full or too large, since a full answer may hide rows. By page: newest first, until a page begins
 * before the window or is the last one. By number: all calls to one number, newest first, in one
 * answer that is not full or goes back behind the window. Whatever fails on the way leaves the list
 * incomplete, and then only what was found counts; the same if the provider's clock is far from the
 * database's.
 *
 * A row that was called from another number than the account's is never taken for one of its calls.
 * It stays a doubt: the account's number may have been another when the call was made.
 *
 * Where rows lack the job id, those that could be one of the calls are candidates, read one by one
 * after the list. Each is a doubt about the calls it could be until it was read and bears an id.
 */
#include "consumer/lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/msg.h"

#define REQUESTS_MAX 64
#define WINDOWS_MAX 32
#define WINDOW_MIN_MS 1000
#define WINDOW_SLACK_MS 300000		     /* the provider's clock may differ so much */
#define CLOCK_SLACK_MS (WINDOW_SLACK_MS / 2) /* with the time that a look-up takes */
#define PAGE_SLACK_MS INT64_C(86400000)	     /* where not even the zone of its times is known */
#define CALL_MAX_BYTES (4u << 20)
#define CANDIDATES_MAX 128

enum progress { LOOKUP_MORE, LOOKUP_COMPLETE, LOOKUP_FAILED };

struct window {
	int64_t from_ms, to_ms;
};

/* As the list shows it. */
struct candidate {
	char id[PROVIDER_CALL_ID_BYTES];
	char phone[PHONE_BYTES];
};

struct lookup {
	struct lookup_options o;
	struct lookup_target *targets; /* NULL: the whole list is asked for */
	char account[CHECK_WORD_BYTES];
	struct provider_request request;
	char fingerprint[ACCOUNT_FINGERPRINT_BYTES];
	char from[PHONE_BYTES]; /* the account's number; "": it has none */
	bool get;
	int requests;
	int64_t first_at; /* when the first answer was asked for, our clock; 0: not yet */
	bool out_of_time; /* the provider's clock is not known to be near the database's */
	int page;
	struct window windows[WINDOWS_MAX]; /* by time: still to be read, the next one last */
	int windows_count;
	int64_t oldest;	 /* by page: where reading may end */
	bool complete;	 /* the list */
	bool unreadable; /* a row of it */
	struct candidate candidates[CANDIDATES_MAX];
	size_t candidates_count;
	size_t candidates_asked; /* the last one of them is being read; 0: the list is */
};

static void on_answer(void *arg, const struct http_answer *a);

/* ---- Requests ---- */

static bool build(struct lookup *l, const struct account *a)
{
	const struct adapter *ad = l->o.adapter;
	struct list_query q = {.page = l->page};

	provider_request_clear(&l->request);
	if (l->candidates_asked > 0)
		return ad->build_get(a, l->candidates[l->candidates_asked - 1].id, &l->request);
	if (l->get)
		return ad->build_get(a, l->targets->check->provider_call_id, &l->request);
	if (l->targets)
		q.phone = l->targets->check->phone;
	if (ad->list_kind == LIST_BY_TIME) {
		q.from_ms = l->windows[l->windows_count - 1].from_ms;
		q.to_ms = l->windows[l->windows_count - 1].to_ms;
	}
	return ad->build_list(ad, a, &q, &l->request);
}

static void note_from(struct lookup *l, const struct account *a)
{
	const char *from = account_setting(a, "from_number");

	if (!from || phone_normalize(from, strlen(from), l->from) != PHONE_OK)
		l->from[0] = '\0';
}

/* The next request; false: none can be sent. Credentials must not change on the way. */
static bool ask(struct lookup *l)
{
	const struct account *a = l->o.account(l->o.arg, l->account);
	const char *headers[] = {NULL, "Accept: application/json", NULL};

	if (!a || (l->candidates_asked == 0 && l->requests++ >= REQUESTS_MAX))
		return false;
	if (l->fingerprint[0] && strcmp(l->fingerprint, a->fingerprint) != 0)
		return false;
	memcpy(l->fingerprint, a->fingerprint, sizeof(l->fingerprint));
	note_from(l, a);
	if (!build(l, a))
		return false;
	headers[0] = l->request.authorization.data;
	const struct http_request r = {
		.method = "GET",
		.url = l->request.url.data,
		.headers = headers,
		.timeout_ms = l->o.timeout_ms,
		.max_response_bytes = l->get || l->candidates_asked > 0 ? CALL_MAX_BYTES
									: PROVIDER_LIST_MAX_BYTES,
	};
	return http_send(l->o.http, &r, on_answer, l);
}

/* ---- Rows ---- */

static void note(struct lookup_target *t, json_t *row, const struct found_call *f)
{
	if (t->seen == SEEN_CALL && strcmp(t->found_id, f->provider_call_id) != 0)
		t->seen = SEEN_AMBIGUOUS;
	if (t->seen == SEEN_CALL || t->seen == SEEN_AMBIGUOUS)
		return;
	t->seen = SEEN_CALL;
	t->row = json_incref(row);
	memcpy(t->found_id, f->provider_call_id, sizeof(t->found_id));
}

/* Two windows may show the same row. */
static bool is_candidate(const struct lookup *l, const char *id)
{
	for (size_t i = 0; i < l->candidates_count; i++) {
		if (strcmp(l->candidates[i].id, id) == 0)
			return true;
	}
	return false;
}

static void add_candidate(struct lookup *l, const struct found_call *f)
{
	struct candidate *c = &l->candidates[l->candidates_count];

	/* One too many stays a doubt. */
	if (!l->o.adapter->rows_need_get || l->candidates_count == CANDIDATES_MAX)
		return;
	memcpy(c->id, f->provider_call_id, sizeof(c->id));
	memcpy(c->phone, f->phone, sizeof(c->phone));
	l->candidates_count++;
}

/* A campaign may have a number of its own, which nobody tells here. */
static bool is_from_another(const struct lookup *l, const struct check *c,
			    const struct found_call *f)
{
	return !c->provider_call_id[0] && !f->job_id[0] && l->from[0] && f->from[0] &&
	       strcmp(l->from, f->from) != 0 && strcmp(c->kind, "campaign") != 0;
}

static void take_row(struct lookup *l, json_t *row, struct found_call *f)
{
	const struct adapter *ad = l->o.adapter;
	bool doubtful = false;

	found_call_init(f);
	bool readable = ad->read_row(row, f);
	if (l->o.row && readable)
		l->o.row(l->o.arg, f);
	l->unreadable |= !readable;
	bool again = readable && is_candidate(l, f->provider_call_id);
	for (struct lookup_target *t = l->targets; t && !again; t = t->next) {
		if (!readable || reconcile_is_doubtful(ad, t->check, f, l->o.now)) {
			doubtful = true;
			t->doubts++;
		}
		if (readable && reconcile_matches(ad, t->check, f, l->o.now) &&
		    !is_from_another(l, t->check, f))
			note(t, row, f);
	}
	if (readable && doubtful)
		add_candidate(l, f);
}

/* Reads the rows; returns the time of the oldest one. */
static int64_t take_rows(struct lookup *l, const json_t *rows)
{
	int64_t oldest = INT64_MAX;
	size_t i;
	json_t *row;

	json_array_foreach (rows, i, row) {
		struct found_call f;
		take_row(l, row, &f);
		if (f.created_at != MSG_NO_TIME && f.created_at < oldest)
			oldest = f.created_at;
	}
	return oldest;
}

/* ---- Progress ---- */

static enum progress halve(struct lookup *l)
{
	struct window *last = &l->windows[l->windows_count - 1];
	int64_t middle = last->from_ms + (last->to_ms - last->from_ms) / 2;

	if (last->to_ms - last->from_ms < WINDOW_MIN_MS || l->windows_count == WINDOWS_MAX)
		return LOOKUP_FAILED;
	l->windows[l->windows_count++] = (struct window){last->from_ms, middle};
	last->from_ms = middle;
	return LOOKUP_MORE;
}

/* Windows are the database's times, rows have the provider's: apart, rows may be where nobody
 * looks. */
static bool is_in_time(struct lookup *l, const struct http_answer *a)
{
	if (l->first_at == 0)
		l->first_at = a->started_at;
	/* Many requests of one look-up take minutes. */
	int64_t now = l->o.now + (a->started_at - l->first_at);
	return a->date_at >= 0 && a->date_at >= now - CLOCK_SLACK_MS &&
	       a->date_at <= now + CLOCK_SLACK_MS;
}

static enum progress take_list(struct lookup *l, const struct http_answer *a, const json_t *body)
{
	const struct adapter *ad = l->o.adapter;
	const json_t *rows = ad->list_rows(body);
	int64_t total;

	if (!rows)
		return LOOKUP_FAILED;
	int64_t oldest = take_rows(l, rows);
	l->out_of_time |= !is_in_time(l, a);
	size_t n = json_array_size(rows);
	bool full = n >= (size_t)ad->list_page_rows ||
		    (ad->list_total && json_path_int(body, ad->list_total, &total) &&
		     total > (int64_t)n) ||
		    (ad->list_next && json_path_text(body, ad->list_next));
	if (ad->list_kind == LIST_BY_TIME) {
		if (full)
			return halve(l);
		return --l->windows_count == 0 ? LOOKUP_COMPLETE : LOOKUP_MORE;
	}
	if (!full || oldest < l->oldest)
		return LOOKUP_COMPLETE;
	l->page++;
	return ad->list_kind == LIST_BY_PAGE ? LOOKUP_MORE : LOOKUP_FAILED;
}

static json_t *read_body(const struct http_answer *a)
{
	char text[64];
	struct buf ignored;

	if (a->outcome != HTTP_ANSWERED || a->status != 200)
		return NULL;
	buf_init_fixed(&ignored, text, sizeof(text));
	return json_parse(a->body, a->body_bytes, PROVIDER_LIST_MAX_BYTES, &ignored);
}

static enum progress take_answer(struct lookup *l, const struct http_answer *a)
{
	if (a->outcome == HTTP_TOO_LARGE && !l->get && l->o.adapter->list_kind == LIST_BY_TIME)
		return halve(l);
	_cleanup_json_ json_t *body = read_body(a);
	if (!body)
		return LOOKUP_FAILED;
	if (!l->get)
		return take_list(l, a, body);
	struct found_call f;
	take_row(l, body, &f);
	return LOOKUP_FAILED; /* a get proves only what it shows */
}

/* With its job id it is one of the calls, or another's; without, it stays a doubt. */
static void take_candidate(struct lookup *l, const struct http_answer *a)
{
	const struct candidate *c = &l->candidates[l->candidates_asked - 1];
	const struct adapter *ad = l->o.adapter;
	_cleanup_json_ json_t *body = read_body(a);
	struct found_call f, listed;

	found_call_init(&f);
	found_call_init(&listed);
	if (!body || !ad->read_row(body, &f) || strcmp(f.provider_call_id, c->id) != 0 ||
	    !f.job_id[0])
		return;
	memcpy(listed.phone, c->phone, sizeof(listed.phone));
	for (struct lookup_target *t = l->targets; t; t = t->next) {
		if (reconcile_is_doubtful(ad, t->check, &listed, l->o.now))
			t->doubts--;
		if (reconcile_matches(ad, t->check, &f, l->o.now))
			note(t, body, &f);
	}
}

static void finish(struct lookup *l)
{
	for (struct lookup_target *t = l->targets; t; t = t->next) {
		if (t->seen == SEEN_NOTHING && l->complete && !l->out_of_time && t->doubts == 0)
			t->seen = SEEN_ABSENT;
		t->same_account = strcmp(t->check->fingerprint, l->fingerprint) == 0;
	}
	l->o.done(l, l->o.arg);
}

/* Whatever came of the list: a call that is found in it is found. */
static void ask_candidate(struct lookup *l)
{
	if (l->candidates_asked == l->candidates_count) {
		finish(l);
		return;
	}
	l->candidates_asked++;
	if (!ask(l))
		finish(l);
}

static void on_answer(void *arg, const struct http_answer *a)
{
	struct lookup *l = arg;

	if (l->candidates_asked > 0) {
		take_candidate(l, a);
		if (a->outcome == HTTP_FAILED)
			finish(l); /* the others would fail as slowly */
		else
			ask_candidate(l);
		return;
	}
	enum progress p = take_answer(l, a);
	if (p == LOOKUP_MORE && ask(l))
		return;
	l->complete = p == LOOKUP_COMPLETE;
	ask_candidate(l);
}

/* ---- Public ---- */

static void set_range(struct lookup *l, int64_t from_ms, int64_t to_ms)
{
	l->windows[0] = (struct window){from_ms - WINDOW_SLACK_MS, to_ms + WINDOW_SLACK_MS};
	l->windows_count = 1;
	l->oldest = from_ms - PAGE_SLACK_MS;
	l->page = 1;
}

static struct lookup *lookup_new(const struct lookup_options *o, const char *account)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->o = *o;
	snprintf(l->account, sizeof(l->account), "%s", account);
	provider_request_init(&l->request);
	return l;
}

static struct lookup *begin(struct lookup *l)
{
	if (ask(l))
		return l;
	lookup_free(l);
	return NULL;
}

struct lookup *lookup_start(const struct lookup_options *o, struct lookup_target *targets)
{
	struct lookup *l = lookup_new(o, targets->check->account);
	int64_t from_ms = INT64_MAX;

	if (!l)
		return NULL;
	l->targets = targets;
	l->get = !targets->next && targets->check->provider_call_id[0] && o->adapter->build_get;
	for (const struct lookup_target *t = targets; t; t = t->next) {
		if (t->check->claimed_at < from_ms)
			from_ms = t->check->claimed_at;
	}
	set_range(l, from_ms, o->now);
	return begin(l);
}

struct lookup *lookup_list(const struct lookup_options *o, const char *account, int64_t from_ms,
			   int64_t to_ms)
{
	struct lookup *l = o->adapter->list_kind == LIST_BY_NUMBER ? NULL : lookup_new(o, account);

	if (!l)
		return NULL;
	set_range(l, from_ms, to_ms);
	return begin(l);
}

bool lookup_is_complete(const struct lookup *l)
{
	return l->complete && !l->out_of_time && !l->unreadable;
}

const char *lookup_fingerprint(const struct lookup *l)
{
	return l->fingerprint;
}

struct lookup_target *lookup_targets(struct lookup *l)
{
	return l->targets;
}

void lookup_free(struct lookup *l)
{
	if (!l)
		return;
	provider_request_release(&l->request);
	free(l);
}
