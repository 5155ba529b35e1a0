/* SPDX-License-Identifier: Apache-2.0 */
/* GET /openapi.json: what this interface is; needs no key. tests/unit compares it with the routes.
 */
#include "common/embedded.h"
#include "producer/api/routes.h"

void handle_openapi(void *arg, struct http_exchange *x)
{
	const struct embedded_file *f = embedded_file("openapi.json");

	(void)arg;
	http_respond(x, 200, "application/json", f->data, f->size);
}
