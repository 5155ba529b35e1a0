/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's page: the files of producer/page/assets, compiled in, at "/" and "/page/NAME".
 * They need no key and tell nothing; what they show, they ask the API for. A browser keeps them and
 * asks each time whether they are still the same, so that page and API are of one version.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/embedded.h"
#include "producer/api/page.h"
#include "producer/api/routes.h"

#define INDEX "index.html"
#define ETAG_BYTES 80 /* a SHA-256 in digits, quotes, and how it is packed */

static const struct {
	const char *ending;
	const char *content_type;
} types[] = {
	{".html", "text/html; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
	{".ico", "image/x-icon"},
};

static const struct {
	const char *name;
	const char *value;
} headers[] = {
	{"Cache-Control", "no-cache"},
	{"Vary", "Accept-Encoding"},
	{"Content-Security-Policy",
	 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
	 "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"X-Content-Type-Options", "nosniff"},
	{"Referrer-Policy", "no-referrer"},
};

const char *page_content_type(const char *name)
{
	const char *ending = strrchr(name, '.');

	for (size_t i = 0; ending && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(ending, types[i].ending) == 0)
			return types[i].content_type;
	}
	return NULL;
}

/* What is left of a header's list behind its first element, which is given trimmed. */
static const char *next_element(const char *list, const char **ret_element, size_t *ret_n)
{
	size_t n;

	list += strspn(list, " \t,");
	n = strcspn(list, ",");
	*ret_element = list;
	const char *rest = list + n;
	while (n > 0 && (list[n - 1] == ' ' || list[n - 1] == '\t'))
		n--;
	*ret_n = n;
	return rest;
}

/* "gzip", "gzip;q=0.5", but not "gzip;q=0". */
static bool means_gzip(const char *coding, size_t n)
{
	const size_t name = strlen("gzip");
	const char *q = memchr(coding, '=', n);

	if (n < name || strncasecmp(coding, "gzip", name) != 0)
		return false;
	if (n > name && !strchr("; \t", coding[name]))
		return false;
	/* A weight of nothing has no other digit than 0. */
	return !q || strspn(q + 1, "0. \t") < n - (size_t)(q + 1 - coding);
}

bool page_takes_gzip(const char *accept_encoding)
{
	const char *coding;
	size_t n;

	for (const char *list = accept_encoding; list && *list;) {
		list = next_element(list, &coding, &n);
		if (means_gzip(coding, n))
			return true;
	}
	return false;
}

bool page_has_tag(const char *if_none_match, const char *tag)
{
	const char *given;
	size_t n;

	for (const char *list = if_none_match; list && *list;) {
		list = next_element(list, &given, &n);
		if (n > 2 && strncmp(given, "W/", 2) == 0)
			given += 2, n -= 2;
		if ((n == 1 && *given == '*') || (n == strlen(tag) && memcmp(given, tag, n) == 0))
			return true;
	}
	return false;
}

static const struct embedded_asset *find(const char *name)
{
	for (size_t i = 0; i < page_assets_count; i++) {
		if (strcmp(page_assets[i].name, name) == 0)
			return &page_assets[i];
	}
	return NULL;
}

void handle_page(void *arg, struct http_exchange *x)
{
	const char *name = http_param(x, "name");
	const struct embedded_asset *asset = find(name ? name : INDEX);
	char tag[ETAG_BYTES];

	(void)arg;
	if (!asset) {
		http_respond_problem(x, 404, NULL);
		return;
	}
	bool packed = page_takes_gzip(http_header(x, "Accept-Encoding"));
	snprintf(tag, sizeof(tag), "\"%s%s\"", asset->sha256, packed ? "-gzip" : "");
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		http_respond_header(x, headers[i].name, headers[i].value);
	http_respond_header(x, "ETag", tag);
	if (page_has_tag(http_header(x, "If-None-Match"), tag)) {
		http_respond(x, 304, NULL, "", 0);
		return;
	}
	if (packed)
		http_respond_header(x, "Content-Encoding", "gzip");
	http_respond(x, 200, page_content_type(asset->name), packed ? asset->gzip : asset->data,
		     packed ? asset->gzip_size : asset->size);
}
