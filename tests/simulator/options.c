/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#include "tests/simulator/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: carillon-simulator [OPTION...]\n"
	"Speaks like Omni, Vapi, Bland and Twilio, keeps a ledger of every call, misbehaves as scripted.\n"
	"\n"
	"  --listen HOST:PORT      default 127.0.0.1:8089\n"
	"  --webhook-url URL       origin that gets the calls' events; none: no webhooks\n"
	"  --webhooks on|off       default on\n"
	"  --omni-token TOKEN      last part of Omni's webhook URL\n"
	"  --omni-key KEY          the API key expected; default: any\n"
	"  --vapi-secret SECRET    authenticates Vapi's webhooks\n"
	"  --vapi-auth KIND        secret, bearer or hmac; default secret\n"
	"  --vapi-key KEY          the API key expected; default: any\n"
	"  --bland-secret SECRET   signs Bland's webhooks\n"
	"  --bland-key KEY         the API key expected; default: any\n"
	"  --twilio-token TOKEN    the account's: authenticates requests, signs webhooks; default: any\n"
	"  --classifier-secret S   whsec_ and base64: signs what a classifier says; none: no classifier\n"
	"  --script FILE           rules of behaviour, as POST /script takes them\n"
	"  --seed N                of the outcomes; default: another one each time\n"
	"  --latency-ms N          before each answer; default 0\n"
	"  --call-ms N             how long a call lasts; default 2000\n"
	"  --help\n"
	"\n"
	"For tests: POST /script /reset /release /calls/{id}/end, GET /ledger /stats /requests?n=\n";

enum key {
	KEY_LISTEN = 1,
	KEY_WEBHOOK_URL,
	KEY_WEBHOOKS,
	KEY_OMNI_TOKEN,
	KEY_OMNI_KEY,
	KEY_VAPI_SECRET,
	KEY_VAPI_AUTH,
	KEY_VAPI_KEY,
	KEY_BLAND_SECRET,
	KEY_BLAND_KEY,
	KEY_TWILIO_TOKEN,
	KEY_CLASSIFIER_SECRET,
	KEY_SCRIPT,
	KEY_SEED,
	KEY_LATENCY_MS,
	KEY_CALL_MS,
	KEY_HELP,
};

static const struct option rows[] = {
	{"listen", required_argument, NULL, KEY_LISTEN},
	{"webhook-url", required_argument, NULL, KEY_WEBHOOK_URL},
	{"webhooks", required_argument, NULL, KEY_WEBHOOKS},
	{"omni-token", required_argument, NULL, KEY_OMNI_TOKEN},
	{"omni-key", required_argument, NULL, KEY_OMNI_KEY},
	{"vapi-secret", required_argument, NULL, KEY_VAPI_SECRET},
	{"vapi-auth", required_argument, NULL, KEY_VAPI_AUTH},
	{"vapi-key", required_argument, NULL, KEY_VAPI_KEY},
	{"bland-secret", required_argument, NULL, KEY_BLAND_SECRET},
	{"bland-key", required_argument, NULL, KEY_BLAND_KEY},
	{"twilio-token", required_argument, NULL, KEY_TWILIO_TOKEN},
	{"classifier-secret", required_argument, NULL, KEY_CLASSIFIER_SECRET},
	{"script", required_argument, NULL, KEY_SCRIPT},
	{"seed", required_argument, NULL, KEY_SEED},
	{"latency-ms", required_argument, NULL, KEY_LATENCY_MS},
	{"call-ms", required_argument, NULL, KEY_CALL_MS},
	{"help", no_argument, NULL, KEY_HELP},
	{NULL, 0, NULL, 0},
};

static bool take_number(const char *text, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *ret >= 0 && *ret <= INT32_MAX;
}

static bool take_auth(const char *text, enum vapi_auth *ret)
{
	static const char *const words[] = {[VAPI_AUTH_SECRET] = "secret",
					    [VAPI_AUTH_BEARER] = "bearer",
					    [VAPI_AUTH_HMAC] = "hmac"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = (enum vapi_auth)i;
			return true;
		}
	}
	return false;
}

static bool take(struct options *o, int key, const char *value)
{
	switch ((enum key)key) {
	case KEY_LISTEN:
		o->listen = value;
		return true;
	case KEY_WEBHOOK_URL:
		o->webhook_url = value;
		return true;
	case KEY_WEBHOOKS:
		o->webhooks = strcmp(value, "on") == 0;
		return o->webhooks || strcmp(value, "off") == 0;
	case KEY_OMNI_TOKEN:
		o->omni_token = value;
		return true;
	case KEY_OMNI_KEY:
		o->keys[PROVIDER_OMNI] = value;
		return true;
	case KEY_VAPI_SECRET:
		o->vapi_secret = value;
		return true;
	case KEY_VAPI_AUTH:
		return take_auth(value, &o->vapi_auth);
	case KEY_VAPI_KEY:
		o->keys[PROVIDER_VAPI] = value;
		return true;
	case KEY_BLAND_SECRET:
		o->bland_secret = value;
		return true;
	case KEY_BLAND_KEY:
		o->keys[PROVIDER_BLAND] = value;
		return true;
	case KEY_TWILIO_TOKEN:
		o->keys[PROVIDER_TWILIO] = value;
		o->twilio_token = value;
		return true;
	case KEY_CLASSIFIER_SECRET:
		o->classifier_secret = value + 6;
		return strncmp(value, "whsec_", 6) == 0;
	case KEY_SCRIPT:
		o->script_file = value;
		return true;
	case KEY_SEED:
		return take_number(value, &o->seed);
	case KEY_LATENCY_MS:
		return take_number(value, &o->latency_ms);
	case KEY_CALL_MS:
		return take_number(value, &o->call_ms);
	case KEY_HELP:
		break;
	}
	return false;
}

int options_parse(struct options *o, int argc, char **argv)
{
	int key;

	*o = (struct options){.listen = "127.0.0.1:8089",
			      .omni_token = "",
			      .vapi_secret = "",
			      .bland_secret = "",
			      .twilio_token = "",
			      .webhooks = true,
			      .seed = -1,
			      .call_ms = 2000};
	while ((key = getopt_long(argc, argv, "", rows, NULL)) != -1) {
		if (key == KEY_HELP) {
			fputs(help, stdout);
			return 0;
		}
		if (key == '?' || !take(o, key, optarg)) {
			if (key != '?')
				fprintf(stderr, "carillon-simulator: %s: not a valid value\n",
					optarg);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "carillon-simulator: %s: unknown argument\n", argv[optind]);
		return 2;
	}
	o->webhooks = o->webhooks && o->webhook_url;
	return -1;
}
