/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the consumer's Kafka groups: one a role, the same in every process of a deployment. */
#ifndef CARILLON_CONSUMER_KAFKA_GROUP_H
#define CARILLON_CONSUMER_KAFKA_GROUP_H

#include "common/config.h"

#define KAFKA_GROUP_BYTES 160

/* "carillon-dispatch": TOPIC_PREFIX without its last dot, a dash and the role, so that deployments
 * that share brokers share no group. */
void kafka_group(const struct config *cfg, const char *role, char ret_group[KAFKA_GROUP_BYTES]);

#endif
