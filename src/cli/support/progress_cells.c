/* progress_cells.c - progress of the cells of a plan. */
#include <stdio.h>

#include "src/cli/support/progress.h"

enum { LABEL_BYTES = 300 };

void progress_expect(struct progress *p, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++) {
        char label[LABEL_BYTES];
        plan_build_label(&plan->cells[i], label, sizeof label);
        progress_expect_cell(p, label, plan->cells[i].method->label);
    }
}

void progress_of_cell(void *progress, const struct cell *cell, size_t step, size_t of,
                      const char *what, double share)
{
    char text[200], label[LABEL_BYTES];
    plan_build_label(cell, label, sizeof label);
    snprintf(text, sizeof text, "%zu of %zu, %s", step + 1, of, what);
    progress_cell(progress, label, cell->repeat, text, share);
}
