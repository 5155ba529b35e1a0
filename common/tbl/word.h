/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in meanings of all words: WORD_ROW(provider, kind, how, word, outcome, decided). kind: STATUS (the provider's
 * own word) or SAID (an agent's; provider "*" is any). Of those that fit, the first counts. A provider's own table is
 * included here.
 */
#define OMNI_STATUS_ROW(word, outcome) WORD_ROW("omni", STATUS, EXACT, word, outcome, 1)
#include "common/tbl/omni_call_status.h"
#undef OMNI_STATUS_ROW
#define VAPI_REASON_ROW(how, word, outcome, decided) WORD_ROW("vapi", STATUS, how, word, outcome, decided)
#include "common/tbl/vapi_ended_reason.h"
#undef VAPI_REASON_ROW
#define CONVOSO_STATUS_ROW(word, outcome) WORD_ROW("convoso", STATUS, EXACT, word, outcome, 1)
#include "common/tbl/convoso_status.h"
#undef CONVOSO_STATUS_ROW
#define BLAND_DISPOSITION_ROW(word, outcome) WORD_ROW("bland", SAID, EXACT, word, outcome, 1)
#define BLAND_WORD_ROW(how, word, outcome) WORD_ROW("bland", STATUS, how, word, outcome, 1)
#include "common/tbl/bland_word.h"
#undef BLAND_DISPOSITION_ROW
#undef BLAND_WORD_ROW
#define TWILIO_WORD_ROW(how, word, outcome) WORD_ROW("twilio", STATUS, how, word, outcome, 1)
#include "common/tbl/twilio_word.h"
#undef TWILIO_WORD_ROW
#define SAID_WORD_ROW(word, outcome) WORD_ROW("*", SAID, EXACT, word, outcome, 1)
#include "common/tbl/said_word.h"
#undef SAID_WORD_ROW
