/* lookup.h - finds values of a result by label and metric, and cells by label. */
#ifndef DRIFTLINE_RESULT_LOOKUP_H
#define DRIFTLINE_RESULT_LOOKUP_H

#include <jansson.h>
#include <stdbool.h>

/* Summary entries by label and metric. The result must outlive the index. */
struct summary_index {
    json_t *by_key;
};
void summary_index_init(struct summary_index *, const json_t *result);
void summary_index_free(struct summary_index *);
/* Returns a borrowed summary entry; NULL: absent. */
const json_t *summary_find(const struct summary_index *, const char *label, const char *metric);
/* Returns the entry's median; NAN: absent. */
double summary_median(const struct summary_index *, const char *label, const char *metric);

/* Writes LABEL[point], or LABEL if the cell has no point. */
void result_cell_label(const json_t *cell, char *text, size_t bytes);
/* Writes the label with the point's build parameters, without its search knobs. */
void result_build_label(const json_t *cell, char *text, size_t bytes);
/* Returns a new array of the first cell of each LABEL[point], in the config's order of methods. */
json_t *result_variants(const json_t *result);
/* Returns a new array of the first cell of each build label, in the same order. */
json_t *result_builds(const json_t *result);
/* Whether searches chose their settings by tuning queries, as in a leaderboard. */
bool result_is_tuned(const json_t *result);

#endif
