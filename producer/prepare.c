/* SPDX-License-Identifier: Apache-2.0 */
/* A check goes through all connections, so that one run shows everything that is wrong. */
#include "producer/prepare.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/pg.h"
#include "producer/migrate.h"
#include "producer/phone_zones.h"
#include "producer/reseal.h"

#define REASON_BYTES 1024
#define KAFKA_TIMEOUT_MS 10000

/* Brings the database's schema and the phone zones up to date. 0, or -1 and logged. */
static int prepare_schema(const struct config *cfg)
{
	const char *url = config_str(cfg, CONFIG_KEY_DATABASE_URL);
	struct migrate_report report;
	struct phone_zones_report zones;
	char reason[REASON_BYTES];
	struct buf error;

	buf_init_fixed(&error, reason, sizeof(reason));
	if (migrate_run(url, &report, &error) != 0) {
		log_error("schema.not_migrated", LOG_STR("error", error.data));
		return -1;
	}
	log_info("schema.migrated", LOG_INT("applied", report.applied),
		 LOG_INT("version", report.version));
	if (phone_zones_load(url, &zones, &error) != 0) {
		log_error("phone_zones.not_loaded", LOG_STR("error", error.data));
		return -1;
	}
	if (zones.changed)
		log_info("phone_zones.loaded", LOG_INT("prefixes", zones.prefixes));
	return 0;
}

static int check_postgres(const struct config *cfg, struct buf *error)
{
	PGconn *conn = pg_connect_blocking(config_str(cfg, CONFIG_KEY_DATABASE_URL),
					   "carillon-producer-check", error);

	PQfinish(conn);
	return conn ? 0 : -1;
}

static int check_kafka(const struct config *cfg, struct buf *error)
{
	const struct kafka_settings settings = {
		.brokers = config_str(cfg, CONFIG_KEY_KAFKA_BROKERS),
		.properties_file = config_str(cfg, CONFIG_KEY_KAFKA_PROPERTIES),
		.client_id = config_str(cfg, CONFIG_KEY_WORKER_NAME),
	};

	return kafka_check(&settings, KAFKA_TIMEOUT_MS, error);
}

/* Tries every connection and prints a line for each. 0, or -1 if one failed. */
static int check_connections(const struct config *cfg)
{
	static const struct {
		const char *name;
		int (*check)(const struct config *cfg, struct buf *error);
	} checks[] = {{"PostgreSQL", check_postgres}, {"Kafka", check_kafka}};
	char reason[REASON_BYTES];
	struct buf error;
	int rc = 0;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		buf_init_fixed(&error, reason, sizeof(reason));
		bool good = checks[i].check(cfg, &error) == 0;
		printf("%s: %s\n", checks[i].name, good ? "good" : error.data);
		if (!good)
			rc = -1;
	}
	return rc;
}

static int reseal(const struct config *cfg)
{
	struct reseal_report report;
	char reason[REASON_BYTES];
	struct buf error;

	buf_init_fixed(&error, reason, sizeof(reason));
	if (reseal_accounts(cfg, &report, &error) != 0) {
		log_error("accounts.not_resealed", LOG_STR("error", error.data));
		return -1;
	}
	printf("%zu accounts' credentials sealed anew, %zu were already, %zu can't be opened\n",
	       report.sealed, report.current, report.shut);
	return report.shut == 0 ? 0 : -1;
}

bool prepare(const struct process *p, int *ret_exit_code)
{
	bool only = p->check_only || p->migrate_only || p->reseal_only;
	int rc = 0;

	if (p->check_only)
		rc = check_connections(p->cfg);
	else if (p->reseal_only)
		rc = reseal(p->cfg);
	else if (p->migrate_only || config_bool(p->cfg, CONFIG_KEY_AUTO_MIGRATE))
		rc = prepare_schema(p->cfg);
	*ret_exit_code = rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	return rc == 0 && !only;
}
