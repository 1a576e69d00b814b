/* result.h - all cells -> result.json: written whole or not at all, and readable back.
 *
 * cells/NUMBER.json beside it holds each finished cell with its per-query data and key, for
 * --resume and `compare`.
 */
#ifndef DRIFTLINE_RESULT_H
#define DRIFTLINE_RESULT_H

#include "cell.h"

/* Stores one cell's JSON (cell_run's array) under dir/cells; reads it back if key matches, else
 * *cells = NULL. */
int result_store_cell(const char *dir, const struct cell *, json_t *cells, struct error *);
int result_stored_cell(const char *dir, const struct cell *, json_t **cells, struct error *);

/* Every cell stored under dir/cells, concatenated, with per-query data; an empty array where there
 * is none. */
int result_all_stored(const char *dir, json_t **cells, struct error *);

/* The whole document: summary (medians with intervals over repeats, by LABEL[point] and
   metric), claims, paper values beside measured, environment, datasets. `cells`: concatenated
   arrays of cell_run. */
int result_make(struct experiment *, const struct oracle *, json_t *environment, json_t *cells,
                json_t **result, struct error *);
/* Median of a summary metric, NAN if absent. */
double result_lookup(const json_t *result, const char *label, const char *metric);
int result_save(const json_t *result, const char *dir, struct error *);
/* Reads and checks the schema name and shape; the caller owns *result. */
int result_load(const char *path, json_t **result, struct error *);

#endif
