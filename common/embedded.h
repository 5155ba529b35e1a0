/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the tree that are compiled into the programs (see embed.cmake). */
#ifndef CARILLON_EMBEDDED_H
#define CARILLON_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
	const char *name;	   /* file name without folder, with its ending */
	const unsigned char *data; /* NUL-terminated after `size` bytes */
	size_t size;
};

/* A file that browsers are given. */
struct embedded_asset {
	const char *name;
	const char *sha256; /* of its bytes, in hexadecimal digits */
	const unsigned char *data;
	size_t size;
	const unsigned char *gzip;
	size_t gzip_size;
};

extern const struct embedded_file embedded_migrations[]; /* schemas/sql, in order of name */
extern const size_t embedded_migrations_count;
extern const struct embedded_file embedded_avro[]; /* schemas/avro */
extern const size_t embedded_avro_count;
extern const struct embedded_file embedded_page[]; /* openapi.json, phone_zones.tsv */
extern const size_t embedded_page_count;

extern const struct embedded_asset page_assets[]; /* producer/page/assets, and uPlot's files */
extern const size_t page_assets_count;

/* One of embedded_page, which the build has put there. */
const struct embedded_file *embedded_file(const char *name);

#endif
