/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary text as an environment, a variable a line; the first byte says whose. A configuration
 * is taken or refused with reasons, and the word that stands for a secret is in none of them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define VARIABLES_MAX 64
#define SECRET "hidden-word"

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const enum config_process processes[] = {CONFIG_PRODUCER, CONFIG_CONSUMER,
							CONFIG_WEBHOOK};
	const char *environment[VARIABLES_MAX + 4] = {
		("DATABASE_URL=postgresql://u:" SECRET "@127.0.0.1/db"),
		"KAFKA_BROKERS=127.0.0.1:1", ("ADMIN_API_KEY=" SECRET)};
	size_t count = 3;
	struct buf errors;

	if (n == 0)
		return 0;
	char *text = malloc(n);
	check(text != NULL);
	memcpy(text, data + 1, n - 1);
	text[n - 1] = '\0';
	char *next = text;
	for (char *line; count < VARIABLES_MAX && (line = strsep(&next, "\n"));) {
		/* What is no secret may be told. */
		if (!strstr(line, SECRET))
			environment[count++] = line;
	}
	environment[count] = NULL;
	buf_init(&errors, 1 << 20);
	struct config *cfg = config_load(processes[data[0] % 3], environment, &errors);
	check((cfg == NULL) == (errors.len > 0));
	check(!strstr(errors.data, SECRET));
	config_free(cfg);
	buf_release(&errors);
	free(text);
	return 0;
}
