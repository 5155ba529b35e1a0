/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Built-in meanings are rows of one table, made of each provider's own; a provider has tens of
 * them and a call ends once, so they are read from the first to the one that fits. The database's
 * may be thousands: they are sorted and searched.
 */
#include "common/rules/words.h"

#include <stdlib.h>
#include <string.h>

#define ANY_PROVIDER "*"

enum match { EXACT, PREFIX, PART };

static const char *const match_words[] = {
	[EXACT] = "exact",
	[PREFIX] = "prefix",
	[PART] = "part",
};

static const struct default_word {
	const char *provider;
	enum word_kind kind;
	enum match how;
	const char *word, *outcome;
	bool decided;
} defaults[] = {
#define OMNI_STATUS_ROW(word, outcome) {"omni", WORD_STATUS, EXACT, word, outcome, true},
#include "common/tbl/omni_call_status.h"
#undef OMNI_STATUS_ROW
#define VAPI_REASON_ROW(how, word, outcome, decided)                                               \
	{"vapi", WORD_STATUS, how, word, outcome, decided},
#include "common/tbl/vapi_ended_reason.h"
#undef VAPI_REASON_ROW
#define CONVOSO_STATUS_ROW(word, outcome) {"convoso", WORD_STATUS, EXACT, word, outcome, true},
#include "common/tbl/convoso_status.h"
#undef CONVOSO_STATUS_ROW
#define SAID_WORD_ROW(word, outcome) {ANY_PROVIDER, WORD_SAID, EXACT, word, outcome, true},
#include "common/tbl/said_word.h"
#undef SAID_WORD_ROW
};
#define DEFAULTS (sizeof(defaults) / sizeof(defaults[0]))

/* ---- The database's ---- */

static bool fill(char *ret, size_t n, const char *text)
{
	if (!text || strlen(text) >= n)
		return false;
	memcpy(ret, text, strlen(text) + 1);
	return true;
}

bool rule_set_add_word(struct rule_set *rules, const char *tenant, const char *provider,
		       const char *word, const char *outcome)
{
	struct outcome_word w;

	if (rules->words_count >= WORDS_MAX || !fill(w.tenant, sizeof(w.tenant), tenant) ||
	    !fill(w.provider, sizeof(w.provider), provider) ||
	    !fill(w.word, sizeof(w.word), word) || !fill(w.outcome, sizeof(w.outcome), outcome) ||
	    !*w.word || !*w.outcome)
		return false;
	rules->words[rules->words_count++] = w;
	return true;
}

int word_compare(const void *a, const void *b)
{
	const struct outcome_word *x = a;
	const struct outcome_word *y = b;
	int order = strcmp(x->word, y->word);

	if (order == 0)
		order = strcmp(x->provider, y->provider);
	return order != 0 ? order : strcmp(x->tenant, y->tenant);
}

static const char *find_row(const struct rule_set *rules, const char *tenant, const char *provider,
			    const char *word)
{
	struct outcome_word key;

	if (!rules || rules->words_count == 0 || !fill(key.tenant, sizeof(key.tenant), tenant) ||
	    !fill(key.provider, sizeof(key.provider), provider) ||
	    !fill(key.word, sizeof(key.word), word))
		return NULL;
	const struct outcome_word *row = bsearch(&key, rules->words, rules->words_count,
						 sizeof(*rules->words), word_compare);
	return row ? row->outcome : NULL;
}

/* ---- Built in ---- */

static const struct default_word *find_default(const char *provider, enum word_kind kind,
					       const char *word)
{
	for (size_t i = 0; i < DEFAULTS; i++) {
		const struct default_word *row = &defaults[i];
		if (row->kind != kind || (strcmp(row->provider, provider) != 0 &&
					  strcmp(row->provider, ANY_PROVIDER) != 0))
			continue;
		if ((row->how == EXACT && strcmp(word, row->word) == 0) ||
		    (row->how == PREFIX && strncmp(word, row->word, strlen(row->word)) == 0) ||
		    (row->how == PART && strstr(word, row->word)))
			return row;
	}
	return NULL;
}

/* ---- Public ---- */

bool word_find(const struct rule_set *rules, const char *tenant, const char *provider,
	       enum word_kind kind, const char *text, struct word_meaning *ret)
{
	char word[WORD_BYTES];

	word_normalize(text, word, sizeof(word));
	if (!*word)
		return false;
	const struct default_word *built_in = find_default(provider, kind, word);
	const char *outcome = find_row(rules, tenant, provider, word);
	if (!outcome)
		outcome = find_row(rules, "", provider, word);
	if (!outcome && !built_in)
		return false;
	/* Whether somebody may know more is the provider's nature, whatever the word means here. */
	*ret = (struct word_meaning){
		.outcome = outcome ? outcome : built_in->outcome,
		.decided = built_in && built_in->decided,
	};
	return true;
}

void word_outcome(const struct rule_set *rules, const char *tenant, const char *provider,
		  enum word_kind kind, const char *text, char ret_outcome[RULES_OUTCOME_BYTES])
{
	struct word_meaning meaning;

	outcome_normalize(word_find(rules, tenant, provider, kind, text, &meaning) ? meaning.outcome
										   : text,
			  ret_outcome);
}

void word_normalize(const char *text, char *ret_word, size_t n)
{
	size_t used = 0;
	bool gap = false;

	for (const char *p = text ? text : ""; *p; p++) {
		char c = *p;
		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
			gap = used > 0;
			continue;
		}
		if (used + 1 + gap >= n)
			break;
		if (gap)
			ret_word[used++] = '_';
		gap = false;
		ret_word[used++] = c;
	}
	ret_word[used] = '\0';
}

static void write_member(struct buf *json, const char *name, const char *text)
{
	buf_addf(json, "\"%s\":", name);
	buf_add_json_string(json, text, strlen(text));
	buf_addc(json, ',');
}

void words_write_defaults(struct buf *json)
{
	buf_addc(json, '[');
	for (size_t i = 0; i < DEFAULTS; i++) {
		const struct default_word *row = &defaults[i];
		buf_adds(json, i > 0 ? ",{" : "{");
		write_member(json, "provider", row->provider);
		write_member(json, "word", row->word);
		write_member(json, "match", match_words[row->how]);
		write_member(json, "outcome", row->outcome);
		buf_addf(json, "\"said\":%s}", row->kind == WORD_SAID ? "true" : "false");
	}
	buf_addc(json, ']');
}
