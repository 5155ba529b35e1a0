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

static const struct default_word {
	const char *provider;
	enum word_kind kind;
	enum match how;
	const char *word, *outcome;
	bool decided;
} defaults[] = {
#define WORD_ROW(provider, kind, how, word, outcome, decided)                                      \
	{provider, WORD_##kind, how, word, outcome, decided},
#include "common/tbl/word.h"
#undef WORD_ROW
};
#define DEFAULTS (sizeof(defaults) / sizeof(defaults[0]))

const char words_built_in[] = "["
#define WORD_ROW(provider, kind, how, word, outcome, decided)                                      \
	"{\"provider\":\"" provider "\",\"kind\":\"" #kind "\",\"match\":\"" #how                  \
	"\",\"word\":\"" word "\",\"outcome\":\"" outcome "\"},"
#include "common/tbl/word.h"
#undef WORD_ROW
			      "null]";

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
