/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/kafka.h over logs in memory. The jobs' topic has partitions that belong to one member of
 * the group each; who was asleep while its partitions were given to another finds that out late.
 */
#include "common/kafka.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simulation/sim.h"

#define PARTITIONS 3
#define LOG_MAX 4096
#define NOBODY SIZE_MAX

struct kept {
	void *value;
	size_t bytes;
};

struct log {
	struct kept messages[LOG_MAX];
	size_t n;
};

struct kafka_consumer {
	struct kafka_consumer_options o;
	const char *topic; /* the array of them does not outlive its caller */
	struct worker *owner;
	bool owned[PARTITIONS], stopped, polling;
	size_t position[PARTITIONS];
};

struct kafka_producer {
	struct kafka_producer_options o;
	struct worker *owner;
};

static struct {
	struct log jobs[PARTITIONS];
	struct log others[MSG_TYPE_COUNT];
	struct kafka_consumer *members[WORKERS_MAX];
	size_t owners[PARTITIONS]; /* index of the worker */
	size_t committed[PARTITIONS];
	bool rebalancing;
} broker;

/* ---- Logs ---- */

static void clear_log(struct log *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->messages[i].value);
	l->n = 0;
}

void kafka_reset(void)
{
	for (size_t p = 0; p < PARTITIONS; p++) {
		clear_log(&broker.jobs[p]);
		broker.owners[p] = NOBODY;
		broker.committed[p] = 0;
	}
	for (size_t t = 0; t < MSG_TYPE_COUNT; t++)
		clear_log(&broker.others[t]);
	memset(broker.members, 0, sizeof(broker.members));
	broker.rebalancing = false;
}

static void *copy_of(const void *bytes, size_t n)
{
	void *copy = malloc(n + 1);

	assert(copy);
	memcpy(copy, bytes, n);
	return copy;
}

static void wake(size_t partition);

void kafka_append(enum msg_type type, const void *value, size_t bytes)
{
	size_t p = (size_t)chance_between(0, PARTITIONS - 1);
	struct log *l = type == MSG_DISPATCH_REQUESTED ? &broker.jobs[p] : &broker.others[type];

	assert(l->n < LOG_MAX);
	l->messages[l->n++] = (struct kept){copy_of(value, bytes), bytes};
	if (type == MSG_DISPATCH_REQUESTED)
		wake(p);
}

const void *kafka_read(enum msg_type type, size_t *offset, size_t *ret_bytes)
{
	const struct log *l = &broker.others[type];

	if (*offset >= l->n)
		return NULL;
	*ret_bytes = l->messages[*offset].bytes;
	return l->messages[(*offset)++].value;
}

/* ---- The group ---- */

struct member_event {
	struct kafka_consumer *c;
	bool assigned[PARTITIONS];
};

static void plan_for(struct kafka_consumer *c, int64_t at, event_fn *fn, const bool *assigned)
{
	struct member_event *e = calloc(1, sizeof(*e));

	assert(e);
	e->c = c;
	if (assigned)
		memcpy(e->assigned, assigned, sizeof(e->assigned));
	sim_at(at, c->owner, fn, e, NULL);
}

static bool offer_all(struct kafka_consumer *c, size_t p)
{
	const struct log *l = &broker.jobs[p];

	while (c->owned[p] && c->position[p] < l->n) {
		const struct kept *k = &l->messages[c->position[p]];
		const rd_kafka_message_t m = {
			.payload = k->value,
			.len = k->bytes,
			.partition = (int32_t)p,
			.offset = (int64_t)c->position[p],
		};
		if (!c->o.on_message(c->o.arg, &m))
			return false;
		c->position[p]++;
	}
	return true;
}

static void on_poll(void *arg)
{
	struct kafka_consumer *c = ((struct member_event *)arg)->c;

	c->polling = false;
	for (size_t p = 0; p < PARTITIONS && !c->stopped; p++)
		c->stopped = !offer_all(c, p);
}

static void poll_soon(struct kafka_consumer *c)
{
	if (c->polling || c->stopped)
		return;
	c->polling = true;
	plan_for(c, sim_now() + chance_between(0, 20), on_poll, NULL);
}

static void wake(size_t partition)
{
	for (size_t i = 0; i < WORKERS_MAX; i++) {
		struct kafka_consumer *c = broker.members[i];
		if (c && c->owned[partition])
			poll_soon(c);
	}
}

static void on_revoked(void *arg)
{
	struct kafka_consumer *c = ((struct member_event *)arg)->c;
	struct kafka_partition parts[PARTITIONS];
	size_t n = 0;

	for (size_t p = 0; p < PARTITIONS; p++) {
		if (c->owned[p])
			parts[n++] = (struct kafka_partition){c->topic, (int32_t)p, 0};
		c->owned[p] = false;
	}
	if (n > 0 && c->o.on_revoke)
		c->o.on_revoke(c->o.arg, parts, n, false);
}

static void on_assigned(void *arg)
{
	const struct member_event *e = arg;
	struct kafka_consumer *c = e->c;
	struct kafka_partition parts[PARTITIONS];
	size_t n = 0;

	for (size_t p = 0; p < PARTITIONS; p++) {
		if (!e->assigned[p] || broker.owners[p] != worker_index(c->owner))
			continue;
		c->owned[p] = true;
		c->position[p] = broker.committed[p];
		parts[n++] = (struct kafka_partition){c->topic, (int32_t)p, 0};
	}
	if (n > 0)
		c->o.on_assign(c->o.arg, parts, n);
	poll_soon(c);
}

static void on_rebalance(void *arg)
{
	size_t members[WORKERS_MAX], n = 0;
	bool assigned[WORKERS_MAX][PARTITIONS] = {{false}};

	(void)arg;
	broker.rebalancing = false;
	for (size_t i = 0; i < WORKERS_MAX; i++) {
		if (broker.members[i] && !worker_is_frozen(broker.members[i]->owner))
			members[n++] = i;
	}
	for (size_t p = 0; p < PARTITIONS; p++) {
		broker.owners[p] = n > 0 ? members[p % n] : NOBODY;
		if (n > 0)
			assigned[members[p % n]][p] = true;
		if (faulty(sim.faults.kafka_lost))
			broker.committed[p] = 0; /* the offsets are lost: all is read again */
	}
	for (size_t i = 0; i < WORKERS_MAX; i++) {
		struct kafka_consumer *c = broker.members[i];
		if (!c)
			continue;
		plan_for(c, sim_now(), on_revoked, NULL); /* the frozen one hears of it late */
		plan_for(c, sim_now() + chance_between(1, 300), on_assigned, assigned[i]);
	}
}

static void rebalance_at(int64_t at)
{
	if (broker.rebalancing)
		return;
	broker.rebalancing = true;
	sim_at(at, NULL, on_rebalance, NULL, NULL);
}

void kafka_member_gone(struct worker *w)
{
	broker.members[worker_index(w)] = NULL;
	rebalance_at(sim_now() + 10 * SECOND);
}

/* A member that sleeps loses its partitions, and gets some again when it is awake. */
static void on_heartbeat(void *arg)
{
	struct kafka_consumer *c = ((struct member_event *)arg)->c;
	size_t index = worker_index(c->owner);
	bool owns = false;

	for (size_t p = 0; p < PARTITIONS; p++)
		owns |= broker.owners[p] == index;
	if (!owns)
		rebalance_at(sim_now());
	plan_for(c, sim_now() + 3 * SECOND, on_heartbeat, NULL);
}

/* The broker's side of it. */
static void on_sessions(void *arg)
{
	(void)arg;
	for (size_t p = 0; p < PARTITIONS; p++) {
		struct kafka_consumer *c =
			broker.owners[p] == NOBODY ? NULL : broker.members[broker.owners[p]];
		if (c && worker_is_frozen(c->owner))
			rebalance_at(sim_now());
	}
	sim_at(sim_now() + 10 * SECOND, NULL, on_sessions, NULL, NULL);
}

struct kafka_consumer *kafka_consumer_new(struct ev_loop *loop,
					  const struct kafka_consumer_options *o, struct buf *error)
{
	struct kafka_consumer *c = calloc(1, sizeof(*c));

	(void)error;
	assert(c);
	c->o = *o;
	c->topic = o->topics[0];
	c->owner = worker_of(loop);
	broker.members[worker_index(c->owner)] = c;
	rebalance_at(sim_now() + chance_between(10, 500));
	plan_for(c, sim_now() + 3 * SECOND, on_heartbeat, NULL);
	if (sim_now() == 0 && worker_index(c->owner) == 0)
		sim_at(10 * SECOND, NULL, on_sessions, NULL, NULL);
	return c;
}

void kafka_consumer_free(struct kafka_consumer *c)
{
	free(c);
}

bool kafka_consumer_ready(const struct kafka_consumer *c)
{
	return c != NULL;
}

void kafka_consumer_resume(struct kafka_consumer *c)
{
	c->stopped = false;
	poll_soon(c);
}

struct commit {
	struct kafka_consumer *c;
	size_t partition, next;
};

static void on_commit(void *arg)
{
	const struct commit *m = arg;

	if (broker.owners[m->partition] == worker_index(m->c->owner) &&
	    broker.committed[m->partition] < m->next)
		broker.committed[m->partition] = m->next;
}

void kafka_consumer_store(struct kafka_consumer *c, const char *topic, int32_t partition,
			  int64_t next_offset)
{
	struct commit *m = malloc(sizeof(*m));

	(void)topic;
	assert(m);
	*m = (struct commit){c, (size_t)partition, (size_t)next_offset};
	if (c->owned[partition] && worker_acts(c->owner, "an offset"))
		sim_at(sim_now() + chance_between(1, SECOND), c->owner, on_commit, m, NULL);
	else
		free(m);
}

int64_t kafka_consumer_lag(const struct kafka_consumer *c)
{
	(void)c;
	return 0;
}

/* What comes has no headers. */
const char *kafka_header_text(const rd_kafka_message_t *m, const char *name, size_t *ret_bytes)
{
	(void)m, (void)name;
	*ret_bytes = 0;
	return NULL;
}

void kafka_headers_pack(const rd_kafka_message_t *m, struct buf *packed)
{
	(void)m, (void)packed;
}

/* ---- Producers ---- */

struct produced {
	struct kafka_producer *p;
	enum msg_type type;
	void *value;
	size_t bytes;
	void *opaque;
	bool failed;
};

static void release_produced(void *arg)
{
	struct produced *m = arg;

	free(m->value);
	free(m);
}

static void on_appended(void *arg)
{
	const struct produced *m = arg;

	kafka_append(m->type, m->value, m->bytes);
}

static void on_acknowledged(void *arg)
{
	const struct produced *m = arg;

	m->p->o.on_delivery(m->p->o.arg, m->opaque, m->failed ? "timed out" : NULL);
}

static struct produced *produced_of(struct kafka_producer *p, const struct kafka_message *m,
				    void *opaque)
{
	struct produced *d = calloc(1, sizeof(*d));

	assert(d);
	*d = (struct produced){.p = p, .bytes = m->value_bytes, .opaque = opaque};
	d->value = copy_of(m->value, m->value_bytes);
	for (int t = 0; t < MSG_TYPE_COUNT; t++) {
		if (strstr(m->topic, msg_type_info((enum msg_type)t)->topic_suffix))
			d->type = (enum msg_type)t;
	}
	return d;
}

bool kafka_produce(struct kafka_producer *p, const struct kafka_message *m, void *opaque)
{
	int64_t at = sim_now() + chance_between(0, 10);
	bool lost = faulty(sim.faults.kafka_lost), kept = !lost || chance(500);

	if (!worker_acts(p->owner, "a message"))
		return true;
	for (int copies = kept + (kept && faulty(sim.faults.kafka_twice)); copies > 0; copies--)
		sim_at(at, NULL, on_appended, produced_of(p, m, NULL), release_produced);
	struct produced *ack = produced_of(p, m, opaque);
	ack->failed = lost;
	sim_at(at + (lost ? 30 * SECOND : chance_between(0, 10)), p->owner, on_acknowledged, ack,
	       release_produced);
	return true;
}

struct kafka_producer *kafka_producer_new(struct ev_loop *loop,
					  const struct kafka_producer_options *o, struct buf *error)
{
	struct kafka_producer *p = calloc(1, sizeof(*p));

	(void)error;
	assert(p);
	p->o = *o;
	p->owner = worker_of(loop);
	return p;
}

bool kafka_producer_ready(const struct kafka_producer *p)
{
	return p != NULL;
}

void kafka_producer_free(struct kafka_producer *p, int timeout_ms)
{
	(void)timeout_ms;
	free(p);
}
