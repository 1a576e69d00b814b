/* compare.h - measures the pairs of the experiment's `compare` alternately, after all cells. */
#ifndef DRIFTLINE_RUN_COMPARE_H
#define DRIFTLINE_RUN_COMPARE_H

#include "src/run/cell.h"

/* Sets experiment->compared, the "compare" of result.json. finished: the cells of result.json by
   the plan's number, an array with one for each point; NULL, or NULL for a cell: not known. A pair of
   which a cell failed is not measured. Calls say, which may be NULL, before each pair. --quick
   reduces the budget of each pair to one second. */
int compare_pairs(struct experiment *, const struct plan *, json_t *const *finished,
                  const struct cell_env *, void (*say)(void *to, const char *a, const char *b),
                  void *to, struct error *);

#endif
