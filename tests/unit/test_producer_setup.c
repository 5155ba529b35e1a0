/* SPDX-License-Identifier: Apache-2.0 */
/* producer/setup.h: which account a lane gets from the environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "producer/setup.h"

#define BASE "DATABASE_URL=postgresql://x@localhost/x", "KAFKA_BROKERS=localhost:9092"

/* With this environment; the key's lane gets the account `expected`, NULL for none. */
static void check(const char *const *environment, enum config_key key, const char *expected)
{
	struct buf errors;

	buf_init(&errors, 10000);
	struct config *cfg = config_load(CONFIG_PRODUCER, environment, &errors);
	if (!cfg)
		fail_msg("%s", errors.data);
	struct account_set *accounts = account_set_new(cfg, NULL, NULL, &errors);
	assert_non_null(accounts);
	const char *account = setup_lane_account(cfg, accounts, key);
	if (expected)
		assert_string_equal(account, expected);
	else
		assert_null(account);
	account_set_free(accounts);
	config_free(cfg);
	buf_release(&errors);
}

static void test_none(void **state)
{
	(void)state;
	check((const char *const[]){BASE, NULL}, CONFIG_KEY_FOLLOW_UP_ACCOUNT, NULL);
	/* It can receive, not dial. */
	check((const char *const[]){BASE, "VAPI_WEBHOOK_SECRET=s3cret-of-vapi", NULL},
	      CONFIG_KEY_FOLLOW_UP_ACCOUNT, NULL);
}

static void test_the_only_one(void **state)
{
	(void)state;
	check((const char *const[]){BASE, "OMNI_API_KEY=k", "OMNI_AGENT_ID=7", NULL},
	      CONFIG_KEY_REDIAL_ACCOUNT, "omni");
	check((const char *const[]){BASE, "VAPI_API_KEY=k", "VAPI_ASSISTANT_ID=a",
				    "VAPI_PHONE_NUMBER_ID=p", "OMNI_WEBHOOK_TOKEN=t", NULL},
	      CONFIG_KEY_FOLLOW_UP_ACCOUNT, "vapi");
	check((const char *const[]){BASE, "BLAND_API_KEY=k", "BLAND_PATHWAY_ID=p",
				    "VAPI_WEBHOOK_SECRET=s3cret-of-vapi", NULL},
	      CONFIG_KEY_FOLLOW_UP_ACCOUNT, "bland");
}

static void test_one_before_the_other(void **state)
{
	(void)state;
	check((const char *const[]){BASE, "BLAND_API_KEY=k", "BLAND_PATHWAY_ID=p", "VAPI_API_KEY=k",
				    "VAPI_ASSISTANT_ID=a", "VAPI_PHONE_NUMBER_ID=p", NULL},
	      CONFIG_KEY_FOLLOW_UP_ACCOUNT, "vapi");
	check((const char *const[]){BASE, "VAPI_API_KEY=k", "VAPI_ASSISTANT_ID=a",
				    "VAPI_PHONE_NUMBER_ID=p", "OMNI_API_KEY=k", "OMNI_AGENT_ID=7",
				    NULL},
	      CONFIG_KEY_FOLLOW_UP_ACCOUNT, "omni");
}

static void test_named(void **state)
{
	const char *const environment[] = {BASE, "OMNI_API_KEY=k", "OMNI_AGENT_ID=7",
					   "REDIAL_ACCOUNT=acme-vapi", NULL};

	(void)state;
	check(environment, CONFIG_KEY_REDIAL_ACCOUNT, "acme-vapi");
	check(environment, CONFIG_KEY_FOLLOW_UP_ACCOUNT, "omni");
}

static void test_workflow(void **state)
{
	const char *const dialers[] = {BASE,
				       "OMNI_API_KEY=k",
				       "OMNI_AGENT_ID=7",
				       "VAPI_API_KEY=k",
				       "VAPI_ASSISTANT_ID=a",
				       "VAPI_PHONE_NUMBER_ID=p",
				       NULL};

	(void)state;
	/* Task calls need an evaluation of their success; nobody classifies who was not named. */
	check(dialers, CONFIG_KEY_TASK_ACCOUNT, "vapi");
	check(dialers, CONFIG_KEY_CLASSIFY_ACCOUNT, NULL);
	check((const char *const[]){BASE, "TWILIO_ACCOUNT_SID=AC1", "TWILIO_AUTH_TOKEN=t",
				    "TWILIO_NUMBER=+12125550100",
				    "TWIML_URL_PRECLASSIFY=https://example.com/x",
				    "PUBLIC_WEBHOOK_URL=https://example.com", NULL},
	      CONFIG_KEY_CLASSIFY_ACCOUNT, "twilio");
	check((const char *const[]){BASE, "CLASSIFY_ACCOUNT=acme-twilio", NULL},
	      CONFIG_KEY_CLASSIFY_ACCOUNT, "acme-twilio");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_the_only_one),
		cmocka_unit_test(test_one_before_the_other),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_workflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
