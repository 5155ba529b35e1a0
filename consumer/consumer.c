/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which part is made of which, in what order, and in what order they go. The publisher goes before
 * its users, because it tells them of their last messages; the shared PostgreSQL connection goes
 * before the readers that hear of its end.
 */
#include "consumer/consumer.h"

#include <stdio.h>
#include <string.h>

#include "common/kafka.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/schema_registry.h"
#include "consumer/consumer_http.h"
#include "consumer/kafka_group.h"
#include "consumer_sql.h"

#define WATCH_BATCHES_MAX 128
#define WATCH_TIMEOUT_MS 10000
#define REGISTRY_REQUESTS_MAX 8
#define PUBLISH_WAIT_MS 5000
#define GAUGES_S 1.0
#define ERROR_BYTES 1024
#define HANG_UP_CHANNEL "carillon_hang_up"

/* ---- The shared PostgreSQL connections ---- */

static void refresh(struct consumer *c)
{
	reference_refresh(c->reference);
	stop_feed_refresh(c->stop_feed);
}

static void on_watch_state(void *arg, bool up, const char *reason)
{
	struct consumer *c = arg;

	if (up)
		refresh(c);
	else if (!c->watch_is_down)
		log_warn("watch.postgres_down", LOG_STR("error", reason));
	c->watch_is_down = !up;
}

static void on_notify(void *arg, const char *channel, const char *payload)
{
	struct consumer *c = arg;

	(void)payload;
	if (strcmp(channel, HANG_UP_CHANNEL) != 0)
		refresh(c);
	else if (c->reconciler)
		reconciler_wake(c->reconciler);
}

/* ---- Parts ---- */

static void on_schema(void *arg, int32_t id, bool known)
{
	struct consumer *c = arg;

	if (c->dispatcher)
		dispatcher_schema_resolved(c->dispatcher, id, known);
	if (c->recorder)
		recorder_schema_resolved(c->recorder, id, known);
}

static void on_registry_error(void *arg, const char *reason)
{
	(void)arg;
	log_warn("registry.trouble", LOG_STR("error", reason));
}

static bool start_registry(struct consumer *c)
{
	const struct config *cfg = c->process.cfg;
	const struct http_client_options ho = {
		.max_requests = REGISTRY_REQUESTS_MAX,
		.connection_max_idle_s = 60,
		.allow_insecure = true, /* it stands beside us, not at a provider's */
		.user_agent = "carillon/" CARILLON_VERSION,
		.clock = clock_system(),
	};

	if (!config_str(cfg, CONFIG_KEY_SCHEMA_REGISTRY_URL))
		return true;
	c->registry_http = http_client_new(c->process.loop, &ho);
	if (!c->registry_http)
		return false;
	const struct schema_registry_options ro = {
		.url = config_str(cfg, CONFIG_KEY_SCHEMA_REGISTRY_URL),
		.topic_prefix = config_str(cfg, CONFIG_KEY_TOPIC_PREFIX),
		.http = c->registry_http,
		.codec = c->codec,
		.on_resolved = on_schema,
		.on_error = on_registry_error,
		.arg = c,
	};
	c->registry = schema_registry_new(c->process.loop, &ro);
	return c->registry != NULL;
}

static bool start_shared(struct consumer *c, struct buf *error)
{
	const struct config *cfg = c->process.cfg;
	char incarnation[UUID_TEXT_BYTES];

	uuid_v7(clock_system(), incarnation);
	snprintf(c->worker, sizeof(c->worker), "%s/%s", config_str(cfg, CONFIG_KEY_WORKER_NAME),
		 incarnation);
	c->codec = msg_codec_new();
	c->written = written_new();
	if (!c->codec || !c->written || !start_registry(c)) {
		buf_adds(error, "no memory, or no usable schema registry URL");
		return false;
	}
	const struct publisher_options po = {
		.cfg = cfg, .codec = c->codec, .worker = c->worker, .clock = clock_system()};
	c->publisher = publisher_new(c->process.loop, &po, error);
	return c->publisher != NULL;
}

static bool start_dispatch(struct consumer *c, struct buf *error)
{
	static const char *const channels[] = {"carillon_settings", HANG_UP_CHANNEL, NULL};
	const struct config *cfg = c->process.cfg;
	struct ev_loop *loop = c->process.loop;
	struct pg_options po = {
		.url = config_str(cfg, CONFIG_KEY_DATABASE_URL),
		.application_name = "carillon-consumer",
		.stmts = consumer_stmts,
		.stmts_count = CONSUMER_STMT_COUNT,
		.listen = channels,
		.statement_timeout_ms = WATCH_TIMEOUT_MS,
		.max_batches = WATCH_BATCHES_MAX,
		.on_state = on_watch_state,
		.on_notify = on_notify,
		.arg = c,
		.clock = clock_system(),
	};

	c->watch = pg_new(loop, &po);
	/* It is up and down with the other, which tells. */
	po.application_name = "carillon-consumer look-ups";
	po.listen = NULL;
	po.on_state = NULL;
	po.on_notify = NULL;
	c->look_ups = pg_new(loop, &po);
	c->reference = reference_new(loop, c->watch, cfg);
	c->stop_feed = stop_feed_new(loop, c->watch, config_int(cfg, CONFIG_KEY_JOB_LEASE_S),
				     clock_system());
	if (!c->watch || !c->look_ups || !c->reference || !c->stop_feed) {
		buf_adds(error, "no memory");
		return false;
	}
	const struct dispatcher_options d = {
		.cfg = cfg,
		.codec = c->codec,
		.publisher = c->publisher,
		.reference = c->reference,
		.stop_feed = c->stop_feed,
		.written = c->written,
		.registry = c->registry,
		.worker = c->worker,
		.clock = clock_system(),
	};
	const struct reconciler_options r = {
		.cfg = cfg,
		.pg = c->look_ups,
		.publisher = c->publisher,
		.reference = c->reference,
		.worker = c->worker,
		.clock = clock_system(),
	};
	c->dispatcher = dispatcher_new(loop, &d, error);
	c->reconciler = c->dispatcher ? reconciler_new(loop, &r) : NULL;
	if (!c->reconciler || config_int(cfg, CONFIG_KEY_AUDIT_INTERVAL_S) == 0)
		return c->reconciler != NULL;
	const struct audit_options a = {
		.cfg = cfg, .pg = c->look_ups, .reference = c->reference, .clock = clock_system()};
	c->audit = audit_new(loop, &a);
	return c->audit != NULL;
}

static bool start_record(struct consumer *c, struct buf *error)
{
	const struct recorder_options o = {
		.cfg = c->process.cfg,
		.codec = c->codec,
		.publisher = c->publisher,
		.written = c->written,
		.registry = c->registry,
		.worker = c->worker,
		.clock = clock_system(),
	};

	const struct dead_letter_feed_options f = {
		.cfg = c->process.cfg,
		.worker = c->worker,
		.clock = clock_system(),
	};

	c->recorder = recorder_new(c->process.loop, &o, error);
	c->dead_letters = c->recorder ? dead_letter_feed_new(c->process.loop, &f, error) : NULL;
	return c->dead_letters != NULL;
}

/* ---- Readiness ---- */

static bool kafka_is_ready(void *arg)
{
	return publisher_is_ready(((struct consumer *)arg)->publisher);
}

static bool registry_is_ready(void *arg)
{
	return schema_registry_ready(((struct consumer *)arg)->registry);
}

static bool accounts_are_ready(void *arg)
{
	const struct consumer *c = arg;

	return reference_is_ready(c->reference) && stop_feed_is_fresh(c->stop_feed);
}

static bool dispatcher_ready(void *arg)
{
	return dispatcher_is_ready(((struct consumer *)arg)->dispatcher);
}

static bool recorder_ready(void *arg)
{
	return recorder_is_ready(((struct consumer *)arg)->recorder);
}

static bool is_not_stopping(void *arg)
{
	return !((struct consumer *)arg)->process.signals.stopping;
}

static void set_readiness(struct consumer *c)
{
	const struct {
		bool wanted;
		struct readiness check;
	} all[] = {
		{true, {"running", is_not_stopping, c}},
		{true, {"kafka", kafka_is_ready, c}},
		{c->registry != NULL, {"registry", registry_is_ready, c}},
		{c->dispatcher != NULL, {"accounts", accounts_are_ready, c}},
		{c->dispatcher != NULL, {"dispatcher", dispatcher_ready, c}},
		{c->recorder != NULL, {"recorder", recorder_ready, c}},
	};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].wanted)
			c->checks[n++] = all[i].check;
	}
	process_set_readiness("consumer", c->checks);
}

/* ---- What others see of it ---- */

static void on_gauges(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct consumer *c = w->data;

	(void)loop, (void)revents;
	metric_set(METRIC_KAFKA_READY, NULL, kafka_is_ready(c));
	metric_set(METRIC_PG_UP, NULL,
		   (!c->dispatcher || dispatcher_has_database(c->dispatcher)) &&
			   (!c->recorder || recorder_has_database(c->recorder)));
}

static void add_lag(struct buf *out, const struct config *cfg, const char *role, int64_t lag)
{
	char group[KAFKA_GROUP_BYTES];

	kafka_group(cfg, role, group);
	buf_addc(out, out->len > 0 ? ',' : '{');
	buf_add_json_string(out, group, strlen(group));
	buf_addf(out, ":%lld", (long long)lag);
}

static void fill_heartbeat(void *arg, struct heartbeat_facts *facts)
{
	const struct consumer *c = arg;

	if (c->dispatcher)
		add_lag(&facts->lag, c->process.cfg, "dispatch", dispatcher_lag(c->dispatcher));
	if (c->recorder)
		add_lag(&facts->lag, c->process.cfg, "record", recorder_lag(c->recorder));
	buf_addc(&facts->lag, '}');
	if (c->stop_feed)
		facts->stopped_at_ms = stop_feed_last_stop(c->stop_feed, &facts->stop_ms);
}

static void on_heartbeat_error(void *arg, const char *reason)
{
	(void)arg;
	log_error("heartbeat.failed", LOG_STR("error", reason));
}

/* ---- Life ---- */

bool consumer_start(struct consumer *c)
{
	const struct config *cfg = c->process.cfg;
	char text[ERROR_BYTES];
	struct buf error;
	bool good;

	buf_init_fixed(&error, text, sizeof(text));
	good = start_shared(c, &error);
	if (good && config_list_has(cfg, CONFIG_KEY_ROLES, "dispatch"))
		good = start_dispatch(c, &error);
	if (good && config_list_has(cfg, CONFIG_KEY_ROLES, "record"))
		good = start_record(c, &error);
	if (good) {
		set_readiness(c);
		ev_timer_init(&c->gauges, on_gauges, 0.0, GAUGES_S);
		c->gauges.data = c;
		ev_timer_start(c->process.loop, &c->gauges);
		c->heartbeat = heartbeat_new(
			c->process.loop, cfg,
			&(struct heartbeat_options){.name = "consumer",
						    .stmt = &consumer_stmts[CONSUMER_HEARTBEAT],
						    .clock = clock_system(),
						    .fill = fill_heartbeat,
						    .on_error = on_heartbeat_error,
						    .arg = c});
		c->server = consumer_listen(c->process.loop, cfg, &error);
		good = c->server != NULL;
	}
	if (!good)
		log_error("consumer.not_started", LOG_STR("error", text));
	return good;
}

static void on_part_stopped(void *arg)
{
	struct consumer *c = arg;

	if (--c->stopping == 0)
		ev_break(c->process.loop, EVBREAK_ALL);
}

void consumer_drain(struct consumer *c)
{
	c->stopping = 1; /* not before all are asked */
	if (c->reconciler)
		reconciler_stop(c->reconciler);
	if (c->audit)
		audit_stop(c->audit);
	if (c->dispatcher) {
		c->stopping++;
		dispatcher_stop(c->dispatcher, on_part_stopped, c);
	}
	if (c->recorder) {
		c->stopping++;
		recorder_stop(c->recorder, on_part_stopped, c);
	}
	on_part_stopped(c);
}

void consumer_free(struct consumer *c)
{
	ev_timer_stop(c->process.loop, &c->gauges);
	heartbeat_free(c->heartbeat);
	http_server_free(c->server);
	publisher_free(c->publisher, PUBLISH_WAIT_MS);
	recorder_free(c->recorder);
	dead_letter_feed_free(c->dead_letters);
	dispatcher_free(c->dispatcher);
	pg_free(c->watch);
	pg_free(c->look_ups);
	reconciler_free(c->reconciler);
	audit_free(c->audit);
	stop_feed_free(c->stop_feed);
	reference_free(c->reference);
	schema_registry_free(c->registry);
	http_client_free(c->registry_http);
	msg_codec_free(c->codec);
	written_free(c->written);
}
