/* SPDX-License-Identifier: Apache-2.0 */
/* What the producer does before its loop runs: the schema, and --check-config. Blocking. */
#ifndef CARILLON_PRODUCER_PREPARE_H
#define CARILLON_PRODUCER_PREPARE_H

#include "common/config.h"

/* Brings the database's schema and the phone zones up to date. 0, or -1 and logged. */
int prepare_schema(const struct config *cfg);

/* Tries every connection and prints a line for each. 0, or -1 if one failed. */
int check_connections(const struct config *cfg);

#endif
