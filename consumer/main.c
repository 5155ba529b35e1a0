/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carillon-consumer: dials, and keeps the books.
 *
 *   Kafka jobs    -> dispatcher (claim in PostgreSQL, POST to the provider) -> result to both
 *   PostgreSQL    -> stop feed -> dispatcher: what must not be sent any more
 *   each hour     -> audit: providers' lists against the ledger, both ways (--audit: now)
 *   live calls    -> reconciler (asks the provider) -> the results and ends that nobody told
 *   Kafka results, events, redial updates, stages -> recorder -> PostgreSQL, with the offsets
 */
#include "consumer/consumer.h"

static void on_stop(void *arg)
{
	consumer_drain(arg);
}

int main(int argc, char **argv)
{
	struct consumer c = {0};
	int exit_code;

	if (!process_init(&c.process, "consumer", CONFIG_CONSUMER, argc, argv, &exit_code))
		return exit_code;
	if (c.process.check_only)
		exit_code = consumer_check(c.process.loop, c.process.cfg) ? 0 : 1;
	else if (c.process.audit_only)
		exit_code = consumer_audit(c.process.loop, c.process.cfg);
	else if (consumer_start(&c))
		process_run(&c.process, on_stop, &c);
	else
		exit_code = 1;
	consumer_free(&c);
	process_release(&c.process);
	return exit_code;
}
