/* SPDX-License-Identifier: Apache-2.0 */
/* What the answers with the page's files depend on, apart from the server for tests. Pure. */
#ifndef CARILLON_PRODUCER_API_PAGE_H
#define CARILLON_PRODUCER_API_PAGE_H

#include <stdbool.h>

/* By the name's ending; NULL: not one that the page is made of. */
const char *page_content_type(const char *name);
/* Values of headers, or NULL. */
bool page_takes_gzip(const char *accept_encoding);
/* `tag` with its quotes. */
bool page_has_tag(const char *if_none_match, const char *tag);

#endif
