/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of one process in static memory: a metric has a few series, one for each label value
 * seen. A series is found by comparing a handful of short texts, so counting costs some ten
 * nanoseconds and never allocates.
 */
#include "common/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LABEL_BYTES 64
#define OTHER "other"

enum metric_kind { COUNTER, GAUGE, HISTOGRAM };

static const struct metric_row {
	const char *name;
	enum metric_kind kind;
	const char *label;
	const char *help;
} metric_rows[METRIC_COUNT] = {
#define METRIC_ROW(NAME, name, kind, label, help) [METRIC_##NAME] = {name, kind, label, help},
#include "common/tbl/metrics.h"
#undef METRIC_ROW
};

static const struct {
	const char *type;   /* as Prometheus calls it */
	const char *suffix; /* of the exported name */
} kinds[] = {
	[COUNTER] = {"counter", "_total"},
	[GAUGE] = {"gauge", ""},
	[HISTOGRAM] = {"histogram", "_seconds"},
};

static const double bucket_limits[] = {0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
				       0.5,   1,     2.5,   5,	  10,	 30,   60};
#define BUCKETS (sizeof(bucket_limits) / sizeof(bucket_limits[0]))

struct series {
	char label[LABEL_BYTES];
	double value; /* a histogram's count */
	double sum;   /* histograms only, as are the buckets: each its own count, not cumulated */
	double buckets[BUCKETS];
};

static struct {
	unsigned series_count;
	struct series series[METRICS_LABELS_MAX + 1]; /* the last one may become "other" */
} metrics[METRIC_COUNT];

static bool kind_is(enum metric m, enum metric_kind kind)
{
	return metric_rows[m].kind == kind;
}

/* NULL if there is none yet. */
static struct series *find(enum metric m, const char *label_value)
{
	for (unsigned i = 0; i < metrics[m].series_count; i++) {
		if (strncmp(metrics[m].series[i].label, label_value, LABEL_BYTES - 1) == 0)
			return &metrics[m].series[i];
	}
	return NULL;
}

static struct series *series(enum metric m, const char *label_value)
{
	assert((label_value != NULL) == (metric_rows[m].label != NULL));
	const char *label = label_value ? label_value : "";
	struct series *s = find(m, label);
	if (s)
		return s;
	if (metrics[m].series_count >= METRICS_LABELS_MAX) {
		label = OTHER;
		s = find(m, label);
		if (s)
			return s;
	}
	s = &metrics[m].series[metrics[m].series_count++];
	memcpy(s->label, label, strnlen(label, LABEL_BYTES - 1));
	return s;
}

void metric_add(enum metric m, const char *label_value, double n)
{
	assert(!kind_is(m, HISTOGRAM) && (n >= 0 || kind_is(m, GAUGE)));
	series(m, label_value)->value += n;
}

void metric_set(enum metric m, const char *label_value, double v)
{
	assert(kind_is(m, GAUGE));
	series(m, label_value)->value = v;
}

void metric_observe(enum metric m, const char *label_value, double seconds)
{
	assert(kind_is(m, HISTOGRAM));
	struct series *s = series(m, label_value);
	s->value++;
	s->sum += seconds;
	for (size_t i = 0; i < BUCKETS; i++) {
		if (seconds <= bucket_limits[i]) {
			s->buckets[i]++;
			break;
		}
	}
}

double metric_value(enum metric m, const char *label_value)
{
	const struct series *s = find(m, label_value ? label_value : "");

	return s ? s->value : 0;
}

void metrics_reset(void)
{
	memset(metrics, 0, sizeof(metrics));
}

/* ---- Text format ---- */

static void print_number(double v, struct buf *out)
{
	if (isnan(v))
		buf_adds(out, "NaN");
	else if (isinf(v))
		buf_adds(out, v > 0 ? "+Inf" : "-Inf");
	else
		buf_addf(out, "%.15g", v);
}

static void print_label(const char *name, const char *value, struct buf *out)
{
	size_t n = strlen(value);

	buf_addf(out, "%s=\"", name);
	for (size_t i = 0; i < n;) {
		size_t length = utf8_sequence(value + i, n - i);
		if (length == 0)
			buf_adds(out, "\xef\xbf\xbd");
		else if (value[i] == '\\' || value[i] == '"')
			buf_add(out, (char[]){'\\', value[i]}, 2);
		else if (value[i] == '\n')
			buf_adds(out, "\\n");
		else
			buf_add(out, value + i, length);
		i += length ? length : 1;
	}
	buf_addc(out, '"');
}

struct sample {
	const char *process;
	const struct metric_row *row;
	const struct series *series;
};

/* One line: carillon_NAME{process="...",LABEL="...",le="..."} VALUE; le NULL where there is none.
 */
static void print_sample(const struct sample *s, const char *suffix, const char *le, double v,
			 struct buf *out)
{
	buf_addf(out, "carillon_%s%s%s{", s->row->name, kinds[s->row->kind].suffix, suffix);
	print_label("process", s->process, out);
	if (s->row->label) {
		buf_addc(out, ',');
		print_label(s->row->label, s->series->label, out);
	}
	if (le)
		buf_addf(out, ",le=\"%s\"", le);
	buf_adds(out, "} ");
	print_number(v, out);
	buf_addc(out, '\n');
}

static void print_histogram(const struct sample *s, struct buf *out)
{
	double below = 0;
	char le[32];

	for (size_t i = 0; i < BUCKETS; i++) {
		below += s->series->buckets[i];
		snprintf(le, sizeof(le), "%g", bucket_limits[i]);
		print_sample(s, "_bucket", le, below, out);
	}
	print_sample(s, "_bucket", "+Inf", s->series->value, out);
	print_sample(s, "_sum", NULL, s->series->sum, out);
	print_sample(s, "_count", NULL, s->series->value, out);
}

void metrics_print(const char *process, struct buf *out)
{
	for (unsigned m = 0; m < METRIC_COUNT; m++) {
		const struct metric_row *row = &metric_rows[m];
		const char *suffix = kinds[row->kind].suffix;
		if (metrics[m].series_count == 0)
			continue;
		buf_addf(out, "# HELP carillon_%s%s %s\n", row->name, suffix, row->help);
		buf_addf(out, "# TYPE carillon_%s%s %s\n", row->name, suffix,
			 kinds[row->kind].type);
		for (unsigned i = 0; i < metrics[m].series_count; i++) {
			const struct sample s = {process, row, &metrics[m].series[i]};
			if (row->kind == HISTOGRAM)
				print_histogram(&s, out);
			else
				print_sample(&s, "", NULL, s.series->value, out);
		}
	}
}
