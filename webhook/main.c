/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carillon-webhook: the providers' callbacks become messages.
 *
 *   HTTP server -> routes -> ingest (adapter, rules) -> outlet -> Kafka; its word -> the answer
 *   PostgreSQL  -> snapshot feed -> accounts and rules for ingest
 *
 * It is the only process that faces the internet, and it goes on while PostgreSQL is down.
 */
#include "common/log.h"
#include "common/metrics.h"
#include "common/process.h"
#include "webhook/check.h"
#include "webhook/ingest.h"
#include "webhook/outlet.h"
#include "webhook/routes.h"
#include "webhook/snapshot_feed.h"

#define TICK_S 0.25
#define STOP_WAIT_MS 10000
#define FLUSH_MS 5000

struct webhook {
	struct process process;
	struct msg_codec *codec;
	struct snapshot_feed *feed;
	struct ingest *ingest;
	struct outlet *outlet;
	struct http_server *server;
	ev_timer tick;
	int64_t stop_by; /* boot clock; 0: not stopping */
};

/* ---- What ingest sees of the feed and the outlet, and the outlet of ingest ---- */

static const struct snapshot *snapshot(void *arg)
{
	const struct webhook *h = arg;
	return outlet_has_schemas(h->outlet) ? snapshot_feed_current(h->feed) : NULL;
}

static bool produce(void *arg, const struct kafka_message *m, void *opaque)
{
	return outlet_produce(((struct webhook *)arg)->outlet, m, opaque);
}

static void on_delivery(void *arg, void *opaque, const char *error)
{
	ingest_on_delivery(((struct webhook *)arg)->ingest, opaque, error);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct webhook *h = w->data;

	(void)revents;
	ingest_expire(h->ingest);
	metric_set(METRIC_KAFKA_READY, NULL, outlet_is_ready(h->outlet));
	if (h->stop_by && (http_server_open_exchanges(h->server) == 0 ||
			   clock_boot_ms(clock_system()) >= h->stop_by))
		ev_break(loop, EVBREAK_ALL);
}

static void on_stop(void *arg)
{
	struct webhook *h = arg;

	h->stop_by = clock_boot_ms(clock_system()) + STOP_WAIT_MS;
	http_server_quiesce(h->server);
}

static bool start_parts(struct webhook *h, struct buf *error)
{
	const struct config *cfg = h->process.cfg;
	const struct ingest_options io = {
		.topic_prefix = config_str(cfg, CONFIG_KEY_TOPIC_PREFIX),
		.codec = h->codec = msg_codec_new(),
		.clock = clock_system(),
		.timeout_ms = OUTLET_TIMEOUT_MS + 1000, /* Kafka gives its reason first */
		.max_open = OUTLET_MESSAGES_MAX / 3,
		.max_open_bytes = 64u << 20,
		.snapshot = snapshot,
		.produce = produce,
		.answer = webhook_respond,
		.arg = h,
	};
	h->ingest = h->codec ? ingest_new(&io) : NULL;
	h->feed = snapshot_feed_new(h->process.loop, cfg, clock_system());
	if (!h->ingest || !h->feed) {
		buf_adds(error, "no memory");
		return false;
	}
	const struct outlet_options oo = {
		.cfg = cfg,
		.codec = h->codec,
		.topics = ingest_topics(h->ingest),
		.on_delivery = on_delivery,
		.arg = h,
	};
	h->outlet = outlet_new(h->process.loop, &oo, error);
	if (h->outlet)
		h->server = webhook_listen(h->process.loop, cfg, h->ingest, error);
	return h->server != NULL;
}

/* Runs until told to stop. False: could not start. */
static bool serve(struct webhook *h)
{
	struct buf error;

	buf_init(&error, 4096);
	bool started = start_parts(h, &error);
	if (!started) {
		log_error("process.not_started", LOG_STR("error", error.data));
	} else {
		/* PostgreSQL is not asked for: what it told once is enough. */
		const struct readiness checks[] = {
			{"accounts", snapshot_feed_is_ready, h->feed},
			{"kafka", outlet_is_ready, h->outlet},
			{"schemas", outlet_has_schemas, h->outlet},
			{NULL, NULL, NULL},
		};
		process_set_readiness(h->process.name, checks);
		ev_timer_init(&h->tick, on_tick, TICK_S, TICK_S);
		h->tick.data = h;
		ev_timer_start(h->process.loop, &h->tick);
		process_run(&h->process, on_stop, h);
	}
	buf_release(&error);
	/* Acknowledgements still answer exchanges; the rest is answered 503. */
	outlet_free(h->outlet, FLUSH_MS);
	http_server_free(h->server);
	snapshot_feed_free(h->feed);
	ingest_free(h->ingest);
	msg_codec_free(h->codec);
	return started;
}

int main(int argc, char **argv)
{
	struct webhook h = {0};
	int exit_code;

	if (!process_init(&h.process, "webhook", CONFIG_WEBHOOK, argc, argv, &exit_code))
		return exit_code;
	bool good = h.process.check_only ? webhook_check(h.process.loop, h.process.cfg) : serve(&h);
	process_release(&h.process);
	return good ? 0 : 1;
}
