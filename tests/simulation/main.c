/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carillon-simulation [--seeds A-B] [--trace] [--database URL]
 *
 * Plays the histories of these seeds, says what broke in the first one that breaks a rule, and with
 * what command it is played again; with --trace it tells what happens, with --database it holds
 * its tables against PostgreSQL's. Ends with what all of them
 * went through: a world in which nothing goes wrong would prove nothing.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "tests/simulation/differential.h"

#define HORIZON (60 * MINUTE)
#define FAULTS_MAX_MS (5 * MINUTE)

struct sim sim;
struct sim_counts counts;

/* ---- Chance: splitmix64 ---- */

uint64_t chance_bits(void)
{
	uint64_t z = sim.state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t chance_between(int64_t from, int64_t to)
{
	assert(to >= from);
	return from + (int64_t)(chance_bits() % (uint64_t)(to - from + 1));
}

bool chance(int permille)
{
	return permille > 0 && chance_between(0, 999) < permille;
}

bool faulty(int permille)
{
	return sim_now() < sim.faults.until && chance(permille);
}

/* ---- What is said ---- */

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	if (sim.failure[0])
		return;
	va_start(ap, fmt);
	vsnprintf(sim.failure, sizeof(sim.failure), fmt, ap);
	va_end(ap);
}

bool sim_failed(void)
{
	return sim.failure[0] != '\0';
}

void sim_trace(const char *fmt, ...)
{
	va_list ap;

	if (!sim.trace)
		return;
	printf("%9.3f  ", (double)sim_now() / 1000.);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* ---- A history ---- */

static int often(int most)
{
	return chance(400) ? 0 : (int)chance_between(0, most);
}

static void draw_faults(void)
{
	sim.faults = (struct faults){
		.crash = often(8),
		.freeze = often(5),
		.pg_lost = often(30),
		.pg_refused = often(30),
		.pg_not_durable = often(20),
		.http_unsent = often(150),
		.http_broken = often(500),
		.list_broken = often(500),
		.refused = often(300),
		.kafka_lost = often(100),
		.kafka_twice = often(300),
		.event_lost = often(600),
		.event_late = often(400),
		.outage = often(300),
		.until = chance_between(30 * SECOND, FAULTS_MAX_MS),
	};
	sim.provider_ahead_ms = chance(300) ? chance_between(-120 * SECOND, 120 * SECOND) : 0;
	if (chance(100))
		sim.provider_ahead_ms *= 10;
	sim.list_rows = chance(500) ? (size_t)chance_between(3, 12) : SIZE_MAX;
	if (chance(300)) {
		sim.stopped_at = chance_between(0, 3 * MINUTE);
		sim.stopped_until = sim.stopped_at + chance_between(5 * SECOND, 2 * MINUTE);
	}
	if (chance(300)) {
		sim.closed_at = chance_between(1, 3 * MINUTE);
		sim.opens_at = sim.closed_at + chance_between(MINUTE, 5 * MINUTE);
	}
}

static void make_follow_ups(void)
{
	int people = (int)chance_between(1, 6), n = (int)chance_between(people, 12);

	for (int i = 0; i < n; i++) {
		struct follow_up *f = &db.follow_ups[db.follow_ups_n++];
		*f = (struct follow_up){
			.id = i + 1,
			.lead_id = i + 1,
			.account = (size_t)chance_between(0, ACCOUNTS - 1),
			.status = FOLLOW_UP_PENDING,
			.due_at = EPOCH_MS + chance_between(0, 2 * MINUTE),
			.lease_until = NO_TIME,
		};
		f->next_look_at = f->due_at;
		snprintf(f->phone, sizeof(f->phone), "+1212555%04d",
			 100 + (int)chance_between(1, people));
	}
}

static void begin(uint64_t seed)
{
	bool trace = sim.trace;
	struct msg_codec *codec = sim.codec;
	const struct config *cfg = sim.cfg;

	sim = (struct sim){.seed = seed, .state = seed, .trace = trace, .codec = codec, .cfg = cfg};
	sim_clear();
	database_reset();
	provider_reset();
	kafka_reset();
	draw_faults();
	make_follow_ups();
	differential_reset();
	outside_start();
	sim.workers_count = (size_t)chance_between(1, WORKERS_MAX);
	for (size_t i = 0; i < sim.workers_count; i++)
		sim.workers[i] = worker_new(i);
}

static void end(void)
{
	for (size_t i = 0; i < sim.workers_count; i++)
		worker_free(sim.workers[i]);
	sim_clear();
	kafka_reset();
}

/* False: it broke a rule. */
static bool play(uint64_t seed)
{
	begin(seed);
	for (int64_t look_at = 0; !sim_failed() && sim_step(HORIZON);) {
		if (sim_now() < look_at)
			continue;
		look_at = sim_now() + SECOND;
		if (oracle_is_settled())
			break;
	}
	if (!sim_failed())
		oracle_end();
	if (sim_failed())
		printf("seed %llu, after %.3f s: %s\n"
		       "again: tests/run simulation --%s %llu-%llu --trace\n",
		       (unsigned long long)seed, (double)sim_now() / 1000., sim.failure,
		       differential_is_on() ? "twin" : "seeds", (unsigned long long)seed,
		       (unsigned long long)seed);
	bool good = !sim_failed();
	end();
	return good;
}

/* ---- All of them ---- */

static const struct config *load_config(void)
{
	static const char *const environment[] = {
		"DATABASE_URL=postgresql://nobody@127.0.0.1:1/none",
		"KAFKA_BROKERS=127.0.0.1:1",
		"WORKER_NAME=simulation",
		"ALLOW_INSECURE_PROVIDERS=true",
		"VAPI_BASE_URL=http://vapi.test",
		"VAPI_API_KEY=k",
		"VAPI_ASSISTANT_ID=a",
		"VAPI_PHONE_NUMBER_ID=p",
		"BLAND_BASE_URL=http://bland.test",
		"BLAND_API_KEY=k",
		"BLAND_PATHWAY_ID=p",
		"OMNI_BASE_URL=http://omni.test",
		"OMNI_API_KEY=k",
		"OMNI_AGENT_ID=7",
		"HTTP_SLOTS=3",
		"JOB_LEASE_S=10",
		"LEASE_MARGIN_S=2",
		"PROVIDER_TIMEOUT_S=4",
		"SWEEP_INTERVAL_S=5",
		"UNDETERMINED_AFTER_S=120",
		"LIST_LAG_S=10",
		"MAX_CALL_S=60",
		"MAX_CALL_GRACE_S=20",
		"RETRY_BASE_S=5",
		"RETRY_MAX_S=60",
		"SETTINGS_REFRESH_S=30",
		NULL,
	};
	struct buf errors;

	buf_init(&errors, 4096);
	const struct config *cfg = config_load(CONFIG_CONSUMER, environment, &errors);
	if (!cfg)
		fprintf(stderr, "%s", errors.data);
	buf_release(&errors);
	return cfg;
}

static void print_counts(uint64_t seeds, double seconds)
{
	printf("%llu seeds in %.1f s: %.0f a minute\n", (unsigned long long)seeds, seconds,
	       (double)seeds * 60. / seconds);
#define COUNT(name, text) printf("%10lld %s\n", (long long)counts.name, text)
	COUNT(events, "events");
	COUNT(posts, "POSTs");
	COUNT(dialed, "calls that providers made");
	COUNT(decided, "ends decided");
	COUNT(unknown, "outcomes unknown");
	COUNT(looked_up, "look-ups");
	COUNT(found, "of those found or told later");
	COUNT(proved_absent, "of those proved absent");
	COUNT(undetermined, "of those left to an operator");
	COUNT(crashes, "workers killed");
	COUNT(freezes, "workers put to sleep");
	COUNT(lost_batches, "batches lost");
	COUNT(held, "follow-ups held");
	COUNT(resent, "jobs published again");
	COUNT(compared, "times compared with PostgreSQL");
	COUNT(repeated, "messages seen again");
#undef COUNT
}

int main(int argc, char **argv)
{
	unsigned long long from = 1, to = 1000;
	uint64_t failed = 0, played = 0;
	struct timespec t0, t1;
	const char *url = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			sim.trace = true;
		else if (strcmp(argv[i], "--database") == 0 && i + 1 < argc)
			url = argv[++i];
		else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
			 sscanf(argv[++i], "%llu-%llu", &from, &to) == 2)
			continue;
		else
			return fprintf(stderr,
				       "usage: %s [--seeds A-B] [--trace] [--database URL]\n",
				       argv[0]),
			       2;
	}
	sim.cfg = load_config();
	sim.codec = msg_codec_new();
	if (!sim.cfg || !sim.codec || (url && !differential_begin(url)))
		return 2;
	log_init("simulation", LOG_LEVEL_ERROR + 1);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (unsigned long long seed = from; seed <= to && failed == 0; seed++, played++)
		failed += !play(seed);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	print_counts(played,
		     (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
	differential_end();
	outside_release();
	msg_codec_free(sim.codec);
	config_free((struct config *)(uintptr_t)sim.cfg);
	return failed > 0;
}
