/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three kinds of lists. By time: the times at which the calls can have been made (list_range.h). By
 * page: newest first, until a page begins before the first of them or is the last one. By number:
 * all calls to one number, newest first, in one answer that is not full or goes back behind that
 * time. Whatever fails on the way leaves the list incomplete, and then only what was found counts;
 * the same if the provider's clock is far from the database's or changes. By time, what was read
 * before that is complete for the calls that were made in it.
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
#include "consumer/list_range.h"

#define REQUESTS_MAX 256
#define DRIFT_MAX_MS 15000		/* of one answer's clock from that of the first */
#define DATE_STEP_MS 1000		/* of a Date header */
#define PAGE_SLACK_MS INT64_C(86400000) /* where not even the zone of its times is known */
#define CALL_MAX_BYTES (4u << 20)
#define CANDIDATES_MAX 128

_Static_assert(LOOKUP_TARGETS_MAX <= LIST_SPANS_MAX, "a span for each");

enum progress { LOOKUP_MORE, LOOKUP_COMPLETE, LOOKUP_FAILED };

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
	int64_t began_boot_ms, asked_boot_ms; /* boot clock: this look-up, its last request */
	bool clock_known;
	const char *trouble; /* why the list is not complete; NULL: it is, or is not at its end */
	bool out_of_time;    /* the provider's clock is not known to be near the database's */
	struct list_range range;
	struct list_span window;
	int page;
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
		q.from_ms = l->window.from_ms;
		q.to_ms = l->window.to_ms;
	}
	return ad->build_list(ad, a, &q, &l->request);
}

static void note_from(struct lookup *l, const struct account *a)
{
	const char *from = account_setting(a, "from_number");

	if (!from || phone_normalize(from, strlen(from), l->from) != PHONE_OK)
		l->from[0] = '\0';
}

static bool fail(struct lookup *l, const char *why)
{
	if (!l->trouble)
		l->trouble = why;
	return false;
}

/* The next request; false: none can be sent. Credentials must not change on the way. */
static bool ask(struct lookup *l)
{
	const struct account *a = l->o.account(l->o.arg, l->account);
	const char *headers[] = {NULL, "Accept: application/json", NULL};

	if (!a)
		return fail(l, "the account is gone");
	if (l->candidates_asked == 0 && l->requests++ >= REQUESTS_MAX)
		return fail(l, "the list is too long");
	if (l->fingerprint[0] && strcmp(l->fingerprint, a->fingerprint) != 0)
		return fail(l, "the credentials changed meanwhile");
	memcpy(l->fingerprint, a->fingerprint, sizeof(l->fingerprint));
	note_from(l, a);
	if (!build(l, a))
		return fail(l, "no request can be made of the account's settings");
	headers[0] = l->request.authorization.data;
	const struct http_request r = {
		.method = "GET",
		.url = l->request.url.data,
		.headers = headers,
		.timeout_ms = l->o.timeout_ms,
		.wants_date = true,
		.max_response_bytes = l->get || l->candidates_asked > 0 ? CALL_MAX_BYTES
									: PROVIDER_LIST_MAX_BYTES,
	};
	l->asked_boot_ms = clock_boot_ms(l->o.clock);
	return http_send(l->o.http, &r, on_answer, l) || fail(l, "too much is under way");
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

/* Reads the rows; returns when they were made, which ends before it begins if none says. */
static struct list_span take_rows(struct lookup *l, const json_t *rows)
{
	struct list_span made = {INT64_MAX, 0};
	size_t i;
	json_t *row;

	json_array_foreach (rows, i, row) {
		struct found_call f;
		take_row(l, row, &f);
		if (f.created_at == MSG_NO_TIME)
			continue;
		made.from_ms = f.created_at < made.from_ms ? f.created_at : made.from_ms;
		made.to_ms = f.created_at > made.to_ms ? f.created_at : made.to_ms;
	}
	return made;
}

/* ---- Progress ---- */

/* The database's clock at that time of ours: it was this, or up to now_late_ms more. */
static int64_t db_time(const struct lookup *l, int64_t boot_ms)
{
	return l->o.now + (boot_ms - l->began_boot_ms);
}

/*
 * Rows have the provider's time: with a clock that is not known they may be where nobody looks. Its
 * Date is of some moment between request and answer; the boot clock measures those, which nobody
 * sets and which goes on while the machine sleeps.
 */
static void take_clock(struct lookup *l, const struct http_answer *a)
{
	int64_t answered = db_time(l, clock_boot_ms(l->o.clock)) + l->o.now_late_ms;
	int64_t ahead_min = a->date_at - answered;
	int64_t ahead_max = a->date_at + DATE_STEP_MS - db_time(l, l->asked_boot_ms);

	if (a->date_at < 0) {
		l->out_of_time = !fail(l, "no answer told the provider's time");
	} else if (ahead_min < -LOOKUP_APART_MAX_MS || ahead_max > LOOKUP_APART_MAX_MS) {
		l->out_of_time = !fail(l, "the provider's clock is not the database's");
	} else if (!l->clock_known) {
		l->clock_known = true;
		list_range_clock(&l->range, ahead_min, ahead_max);
	} else if (ahead_max < l->range.ahead_min_ms - DRIFT_MAX_MS ||
		   ahead_min > l->range.ahead_max_ms + DRIFT_MAX_MS) {
		l->out_of_time = !fail(l, "the provider's clock goes back and forth");
	}
}

static enum progress list_failed(struct lookup *l, const char *why)
{
	fail(l, why);
	return LOOKUP_FAILED;
}

static enum progress more(struct lookup *l)
{
	if (clock_boot_ms(l->o.clock) - l->began_boot_ms > l->o.reading_max_ms)
		return list_failed(l, "reading the list takes too long");
	return LOOKUP_MORE;
}

static enum progress window_is_full(struct lookup *l, int64_t rows_ms)
{
	if (!list_range_full(&l->range, rows_ms))
		return list_failed(l, "more calls in a moment than the list shows");
	return list_range_next(&l->range, &l->window) ? more(l) : LOOKUP_COMPLETE;
}

static enum progress window_is_read(struct lookup *l, size_t rows, size_t bytes)
{
	double by_rows = (double)rows / l->o.adapter->list_page_rows;
	double by_bytes = (double)bytes / PROVIDER_LIST_MAX_BYTES;

	list_range_read(&l->range, by_rows > by_bytes ? by_rows : by_bytes);
	return list_range_next(&l->range, &l->window) ? more(l) : LOOKUP_COMPLETE;
}

static enum progress take_list(struct lookup *l, const struct http_answer *a, const json_t *body)
{
	const struct adapter *ad = l->o.adapter;
	const json_t *rows = ad->list_rows(body);
	int64_t total;

	if (!rows)
		return list_failed(l, "the answer is no list");
	struct list_span made = take_rows(l, rows);
	take_clock(l, a);
	size_t n = json_array_size(rows);
	bool full = n >= (size_t)ad->list_page_rows ||
		    (ad->list_total && json_path_int(body, ad->list_total, &total) &&
		     total > (int64_t)n) ||
		    (ad->list_next && json_path_text(body, ad->list_next));
	if (ad->list_kind == LIST_BY_TIME)
		return full ? window_is_full(l, made.to_ms - made.from_ms)
			    : window_is_read(l, n, a->body_bytes);
	if (!full || made.from_ms < l->oldest)
		return LOOKUP_COMPLETE;
	l->page++;
	if (ad->list_kind != LIST_BY_PAGE)
		return list_failed(l, "more calls to a number than the list shows");
	return more(l);
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
		return window_is_full(l, 0);
	_cleanup_json_ json_t *body = read_body(a);
	if (!body)
		return list_failed(l, "no list was answered");
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

/* Wherever a row of it could be was read. */
static bool is_read(const struct lookup *l, const struct lookup_target *t)
{
	return l->complete || (l->o.adapter->list_kind == LIST_BY_TIME && !l->get &&
			       list_range_covers(&l->range, t->made_by));
}

static void finish(struct lookup *l)
{
	for (struct lookup_target *t = l->targets; t; t = t->next) {
		if (t->seen == SEEN_NOTHING && is_read(l, t) && !l->out_of_time && t->doubts == 0)
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

static struct lookup *lookup_new(const struct lookup_options *o, const char *account)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->o = *o;
	snprintf(l->account, sizeof(l->account), "%s", account);
	l->page = 1;
	l->oldest = INT64_MAX;
	l->began_boot_ms = clock_boot_ms(o->clock);
	list_range_init(&l->range);
	provider_request_init(&l->request);
	return l;
}

static void add_span(struct lookup *l, int64_t from_ms, int64_t to_ms)
{
	list_range_add(&l->range, from_ms, to_ms);
	if (from_ms - PAGE_SLACK_MS < l->oldest)
		l->oldest = from_ms - PAGE_SLACK_MS;
}

static struct lookup *begin(struct lookup *l)
{
	if (list_range_next(&l->range, &l->window) && ask(l))
		return l;
	lookup_free(l);
	return NULL;
}

struct lookup *lookup_start(const struct lookup_options *o, struct lookup_target *targets)
{
	struct lookup *l = lookup_new(o, targets->check->account);

	if (!l)
		return NULL;
	l->targets = targets;
	l->get = !targets->next && targets->check->provider_call_id[0] && o->adapter->build_get;
	for (const struct lookup_target *t = targets; t; t = t->next)
		add_span(l, t->check->claimed_at, t->made_by);
	return begin(l);
}

struct lookup *lookup_list(const struct lookup_options *o, const char *account, int64_t from_ms,
			   int64_t to_ms)
{
	struct lookup *l = o->adapter->list_kind == LIST_BY_NUMBER ? NULL : lookup_new(o, account);

	if (!l)
		return NULL;
	add_span(l, from_ms, to_ms);
	return begin(l);
}

bool lookup_is_complete(const struct lookup *l)
{
	return l->complete && !l->out_of_time && !l->unreadable;
}

const char *lookup_trouble(const struct lookup *l)
{
	return l->get || (l->complete && !l->out_of_time) ? NULL : l->trouble;
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
