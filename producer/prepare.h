/* SPDX-License-Identifier: Apache-2.0 */
/* What the producer does before its loop runs: the schema, --check-config, --reseal. Blocking. */
#ifndef CARILLON_PRODUCER_PREPARE_H
#define CARILLON_PRODUCER_PREPARE_H

#include "common/process.h"

/* Does what was asked for in place of serving, or what comes before it. False: the process is to
 * end with *ret_exit_code. What failed is logged or printed. */
bool prepare(const struct process *p, int *ret_exit_code);

#endif
