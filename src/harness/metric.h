/* metric.h - what is known of each metric name of a summary: how it is called on an axis, and its
 * scale. */
#ifndef DRIFTLINE_METRIC_H
#define DRIFTLINE_METRIC_H

#include <jansson.h>
#include <stdbool.h>

struct metric_info {
    const char *name;  /* without /TAG; "recall@" stands for any k, "parts." for any part */
    const char *title; /* on an axis, with its unit */
    bool logarithmic;
    int better; /* +1: more is better, -1: less, 0: neither */
    enum { UNIT_NONE, UNIT_SECONDS, UNIT_NS, UNIT_BYTES } unit;
};

/* Never NULL: an unknown name gets a neutral description. */
const struct metric_info *metric_info(const char *name);
/* The i-th of those that are known, NULL past the end. */
const struct metric_info *metric_at(size_t i);
/* RATE@recall=R: of a whole sweep, so that a build has it and its points do not. */
bool metric_is_at_recall(const char *name);
/* As people read it in a table. */
void metric_text(const struct metric_info *, double value, char *text, size_t bytes);
/* Splits "recall@10/fashion#2" at its slash; tag may be empty. */
void metric_split(const char *metric, char *name, size_t name_bytes, char *tag, size_t tag_bytes);

/* Summary values by label and metric. Built once for a result, which must outlive it. */
struct summary_index {
    json_t *by_key;
};
void summary_index_init(struct summary_index *, const json_t *result);
void summary_index_free(struct summary_index *);
/* The summary's entry, or NULL. */
const json_t *summary_find(const struct summary_index *, const char *label, const char *metric);
double summary_median(const struct summary_index *, const char *label,
                      const char *metric); /* NAN: absent */

/* LABEL[point] or LABEL of a cell. */
void cell_label(const json_t *cell, char *text, size_t bytes);
/* The label and what of the point is not a knob: what was built, whatever it was then asked with.
 */
void build_label(const json_t *cell, char *text, size_t bytes);
/* First cell of each LABEL[point], in the config's order of methods. Borrowed references in a new
 * array. */
json_t *result_variants(const json_t *result);
/* First cell of each build. */
json_t *result_builds(const json_t *result);

#endif
