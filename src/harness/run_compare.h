/* run_compare.h - the experiment's `compare`: its pairs, measured in turn once all cells have run. */
#ifndef DRIFTLINE_RUN_COMPARE_H
#define DRIFTLINE_RUN_COMPARE_H

#include "cell.h"

/* Sets experiment->compared, result.json's "compare". say (may be NULL) hears what is going on. With --quick each pair has at most
   ten seconds. */
int run_compare(struct experiment *, const struct plan *, const struct cell_env *,
                void (*say)(void *to, const char *a, const char *b), void *to, struct error *);

#endif
