/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/outcome-rules and /api/outcome-words: what ends mean. The built-in words are compiled in, so
 * they go to the statements as a parameter: the database shows them with the rows that win over
 * them.
 */
#include "common/rules/words.h"
#include "producer/api/routes.h"

#define RULES "/api/outcome-rules"
#define WORDS "/api/outcome-words"

static const struct endpoint endpoints[] = {
	{"GET",
	 RULES,
	 API_OUTCOME_RULES,
	 0,
	 {{PARAM_WORD, words_built_in}, {PARAM_QUERY, "tenant"}}},
	{"PUT",
	 RULES "/{outcome}",
	 API_OUTCOME_RULE_PUT,
	 0,
	 {{PARAM_PATH, "outcome"}, {PARAM_QUERY, "tenant"}, {PARAM_BODY, NULL}}},
	{"DELETE",
	 RULES "/{outcome}",
	 API_OUTCOME_RULE_DELETE,
	 0,
	 {{PARAM_PATH, "outcome"}, {PARAM_QUERY, "tenant"}}},
	{"GET",
	 WORDS,
	 API_OUTCOME_WORDS_LIST,
	 0,
	 {{PARAM_WORD, words_built_in}, {PARAM_QUERY, "provider"}, {PARAM_QUERY, "tenant"}}},
	{"PUT",
	 WORDS "/{provider}/{word}",
	 API_OUTCOME_WORD_PUT,
	 0,
	 {{PARAM_PATH, "provider"},
	  {PARAM_PATH, "word"},
	  {PARAM_QUERY, "tenant"},
	  {PARAM_BODY, NULL},
	  {PARAM_WORD, words_built_in}}},
	{"DELETE",
	 WORDS "/{provider}/{word}",
	 API_OUTCOME_WORD_DELETE,
	 0,
	 {{PARAM_PATH, "provider"},
	  {PARAM_PATH, "word"},
	  {PARAM_QUERY, "tenant"},
	  {PARAM_WORD, words_built_in}}},
};

const struct resource outcomes_resource = {
	RESOURCE_ENDPOINTS(endpoints),
	.auth = AUTH_ADMIN,
	.words = &problem_words,
};
