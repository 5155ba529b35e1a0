/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carillon-producer: makes follow-ups due, claims them, publishes their jobs, and answers the API.
 *   scheduler -> pass (seed, claim) -> publisher -> Kafka; sweeper -> repairs -> publisher
 *   api       -> requests, some of which the scheduler serves
 */
#include <stdlib.h>

#include "common/log.h"
#include "common/process.h"
#include "producer/api/routes.h"
#include "producer/prepare.h"
#include "producer/publisher.h"
#include "producer/registration.h"
#include "producer/scheduler.h"
#include "producer/sweeper.h"
#include "producer/topics.h"

struct producer {
	struct process process;
	struct registration *registration; /* of our schemas */
	struct topics *topics;
	struct publisher *publisher;
	struct scheduler *scheduler;
	struct sweeper *sweeper; /* NULL without the role */
	struct api api;
	struct http_server *server;
	bool failed;
};

/* ---- Who waits for whom ---- */

static bool postgres_ready(void *arg)
{
	return scheduler_ready(((struct producer *)arg)->scheduler) &&
	       api_ready(&((struct producer *)arg)->api);
}

static bool kafka_ready(void *arg)
{
	return publisher_ready(((struct producer *)arg)->publisher);
}

static bool schemas_ready(void *arg)
{
	return registration_ready(((struct producer *)arg)->registration);
}

static bool may_publish(void *arg)
{
	return kafka_ready(arg) && schemas_ready(arg);
}

static void on_room(void *arg)
{
	scheduler_on_room(((struct producer *)arg)->scheduler);
}

static void on_topics_ready(void *arg)
{
	struct producer *p = arg;

	p->failed = !publisher_start(p->publisher);
	if (p->failed)
		ev_break(p->process.loop, EVBREAK_ALL);
}

/* ---- Start, run, stop ---- */

static bool start(struct producer *p, const struct readiness *checks)
{
	struct ev_loop *loop = p->process.loop;
	const struct config *cfg = p->process.cfg;
	const struct clock *clock = clock_system();

	p->registration = registration_new(loop, cfg);
	p->publisher = publisher_new(&(struct publisher_options){
		loop, cfg, clock, registration_codec(p->registration), on_room, p});
	p->scheduler = scheduler_new(
		&(struct scheduler_options){loop, cfg, clock, p->publisher, may_publish, p});
	if (config_list_has(cfg, CONFIG_KEY_PRODUCER_ROLES, "schedule"))
		p->sweeper = sweeper_new(
			&(struct sweeper_options){loop, cfg, clock, p->publisher, may_publish, p});
	p->topics = topics_new(loop, cfg, on_topics_ready, p);
	process_set_readiness(p->process.name, checks);
	api_init(&p->api, loop, cfg, p->scheduler, p->publisher);
	p->server = api_serve(loop, &p->api);
	return p->server != NULL;
}

static void on_drained(void *arg)
{
	ev_break(((struct producer *)arg)->process.loop, EVBREAK_ALL);
}

static void on_stop(void *arg)
{
	struct producer *p = arg;

	api_stop(&p->api);
	http_server_quiesce(p->server);
	if (p->sweeper)
		sweeper_stop(p->sweeper);
	scheduler_drain(p->scheduler, on_drained, p);
}

static void release(struct producer *p)
{
	topics_free(p->topics);
	sweeper_free(p->sweeper);
	publisher_close(p->publisher);
	scheduler_free(p->scheduler);
	api_release(&p->api);
	publisher_free(p->publisher);
	http_server_free(p->server);
	api_free(&p->api);
	registration_free(p->registration);
	process_release(&p->process);
}

int main(int argc, char **argv)
{
	struct producer p = {0};
	const struct readiness checks[] = {
		{"postgres", postgres_ready, &p},
		{"kafka", kafka_ready, &p},
		{"schemas", schemas_ready, &p},
		{NULL, NULL, NULL},
	};
	int code;

	if (!process_init(&p.process, "producer", CONFIG_PRODUCER, argc, argv, &code))
		return code;
	if (prepare(&p.process, &code)) {
		p.failed = !start(&p, checks);
		if (!p.failed)
			process_run(&p.process, on_stop, &p);
		api_finish(p.process.loop, p.server);
		code = p.failed ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	release(&p);
	return code;
}
