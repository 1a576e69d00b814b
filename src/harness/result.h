/* result.h - all cells -> result.json: written whole or not at all, and readable back.
 *
 * cells/NUMBER.json beside it holds each finished cell with its per-query data and key, for
 * --resume and `compare`.
 */
#ifndef DRIFTLINE_RESULT_H
#define DRIFTLINE_RESULT_H

#include "cell.h"

/* Stores one cell's JSON (cell_run's array) under dir/cells, with its key, the key's parts and its
   identity. */
int result_store_cell(const char *dir, const struct cell *, json_t *cells, const char *answers,
                      struct error *);
/* Reads it back if it finished and was stored under this key; else *cells = NULL, and why says what
   differs, or "" where there is none. */
int result_stored_cell(const char *dir, const struct cell *, json_t **cells, char *why,
                       size_t why_bytes, struct error *);

/* Every cell stored under dir/cells, concatenated, with per-query data; an empty array where there
 * is none. */
int result_all_stored(const char *dir, json_t **cells, struct error *);

/* The numbers N of the files cells/N.json in dir, ascending; *n of them, freed with mem_free(NULL, ...); NULL: none. */
unsigned long *result_stored_numbers(const char *dir, size_t *n);

/* How far a run has come, and what kind it is. */
struct result_run {
    size_t planned, finished, kept; /* cells; kept: taken from an earlier run by --resume */
    bool quick;
};

/* The whole document: summary (medians with intervals over repeats, by LABEL[point] and
   metric), claims, paper values beside measured, environment, datasets. `cells`: concatenated
   arrays of cell_run. */
int result_make(struct experiment *, const struct oracle *, json_t *environment,
                const struct result_run *, json_t *cells, json_t **result, struct error *);
/* The `run` object of a result: what kind of run it was and how far it has come. NULL out of memory. */
json_t *result_run_json(const struct experiment *, const struct result_run *);
/* Median of a summary metric, NAN if absent. */
double result_lookup(const json_t *result, const char *label, const char *metric);
int result_save(const json_t *result, const char *dir, struct error *);
/* Reads and checks the schema name and shape; the caller owns *result. */
int result_load(const char *path, json_t **result, struct error *);

#endif
