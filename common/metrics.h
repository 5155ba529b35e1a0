/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms in Prometheus' text format, declared once in tbl/metrics.h.
 *
 * One loop, one thread: values are plain doubles. A metric has at most one label; its values are
 * bounded (METRICS_LABELS_MAX), later ones count under "other".
 */
#ifndef CARILLON_METRICS_H
#define CARILLON_METRICS_H

#include "common/buf.h"

#define METRICS_LABELS_MAX 32

enum metric {
#define METRIC_ROW(NAME, name, kind, label, help) METRIC_##NAME,
#include "common/tbl/metrics.h"
#undef METRIC_ROW
	METRIC_COUNT
};

/* label_value NULL for a metric without label. */
void metric_add(enum metric m, const char *label_value, double n);
void metric_set(enum metric m, const char *label_value, double v);
/* Seconds, into the fixed buckets 1 ms .. 60 s. */
void metric_observe(enum metric m, const char *label_value, double seconds);
double metric_value(enum metric m, const char *label_value); /* for tests; a histogram's count */
void metrics_reset(void);

/* Writes those that have a value; `process` becomes the label process="...". */
void metrics_print(const char *process, struct buf *out);

#endif
