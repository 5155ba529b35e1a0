/* SPDX-License-Identifier: Apache-2.0 */
/* In one place, because the lag of these groups is what operators and autoscalers look at by name.
 */
#include "consumer/kafka_group.h"

#include <stdio.h>
#include <string.h>

void kafka_group(const struct config *cfg, const char *role, char ret_group[KAFKA_GROUP_BYTES])
{
	const char *prefix = config_str(cfg, CONFIG_KEY_TOPIC_PREFIX);
	size_t n = strlen(prefix);

	if (n > 0 && prefix[n - 1] == '.')
		n--;
	snprintf(ret_group, KAFKA_GROUP_BYTES, "%.*s-%s", (int)n, prefix, role);
}
