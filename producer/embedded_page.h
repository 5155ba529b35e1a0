/* SPDX-License-Identifier: Apache-2.0 */
/* The producer's own embedded files: producer/page and schemas/phone_zones.tsv (see
 * common/embed.cmake). */
#ifndef CARILLON_PRODUCER_EMBEDDED_PAGE_H
#define CARILLON_PRODUCER_EMBEDDED_PAGE_H

#include "common/embedded.h"

extern const struct embedded_file embedded_page[];
extern const size_t embedded_page_count;

#endif
