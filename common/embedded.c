/* SPDX-License-Identifier: Apache-2.0 */
#include "common/embedded.h"

#include <stdlib.h>
#include <string.h>

const struct embedded_file *embedded_file(const char *name)
{
	for (size_t i = 0; i < embedded_page_count; i++) {
		if (strcmp(embedded_page[i].name, name) == 0)
			return &embedded_page[i];
	}
	abort();
}
