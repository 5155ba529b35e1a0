/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the words of ends mean: a provider's own (statuses, reasons, dispositions) and those that
 * its agents say. Rows of carillon.outcome_words win, the tenant's own before everybody's; after
 * them come the built-in meanings of common/tbl. One lookup for the webhook and the reconciler.
 */
#ifndef CARILLON_WORDS_H
#define CARILLON_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/rules/rules.h"

#define WORD_BYTES 128
#define WORD_PROVIDER_BYTES 32
#define WORDS_MAX 4096

/* A row of carillon.outcome_words. */
struct outcome_word {
	char tenant[64]; /* "": everybody's */
	char provider[WORD_PROVIDER_BYTES];
	char word[WORD_BYTES];
	char outcome[RULES_OUTCOME_BYTES];
};

/* False: full, or a text that is missing or too long for its place. rule_set_sort() comes after the
 * last one. */
bool rule_set_add_word(struct rule_set *rules, const char *tenant, const char *provider,
		       const char *word, const char *outcome);

/* The order of rule_set_sort(); for qsort(). */
int word_compare(const void *a, const void *b);

enum word_kind {
	WORD_STATUS, /* the provider's own */
	WORD_SAID,   /* an agent's */
};

struct word_meaning {
	const char *outcome; /* of the rules, or for ever */
	bool decided; /* the word alone says how the call ended; else somebody may know more */
};

/* `text` as the provider has it. False: nobody gave it a meaning. `rules` may be NULL: built-in
 * meanings alone. */
bool word_find(const struct rule_set *rules, const char *tenant, const char *provider,
	       enum word_kind kind, const char *text, struct word_meaning *ret);

/* An outcome always: what the word means, else the word itself; "" where nothing is left of it. */
void word_outcome(const struct rule_set *rules, const char *tenant, const char *provider,
		  enum word_kind kind, const char *text, char ret_outcome[RULES_OUTCOME_BYTES]);

/*
 * Upper-case word: ASCII letters and digits, each run of anything else is one '_', none at the
 * ends; cut to n - 1 bytes. Empty if nothing is left, or for NULL. carillon.outcome_word() is the
 * same.
 */
void word_normalize(const char *text, char *ret_word, size_t n);

/* The built-in meanings for the API: a JSON array of {provider, kind, match, word, outcome} in
 * their order, and a null. */
extern const char words_built_in[];

#endif
