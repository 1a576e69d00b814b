/* cell.c - see cell.h. */
#include "src/run/cell.h"

#include <stdio.h>
#include <string.h>

#include "src/run/in_process.h"
#include "src/run/watch.h"

/* The outcome of an unsupported cell, which is not run. */
static int not_run(const struct cell *cell, const struct cell_env *env, json_t **out,
                   struct error *err)
{
    struct cell_watch *w = watch_new(cell, env, err);

    if (!w)
        return err->code;
    *out = watch_cells(w, "unsupported", cell->unsupported);
    watch_free(w);
    return OK;
}

const char *const cell_file_names[CELL_FILES] = {
    [CELL_ANSWERS] = "answers", [CELL_STRUCTURE] = "structure", [CELL_ORDERS] = "orders"
};

int cell_run(const struct cell *cell, const struct cell_env *env, json_t **out, struct error *err)
{
    char error[TAIL_BYTES + 2000];
    struct cell_watch *w;

    *out = NULL;
    if (cell->unsupported)
        return not_run(cell, env, out, err);
    if (env->options && env->options->in_process)
        return cell_run_in_process(cell, env, out, err);
    int rc = watch_open(&w, cell, env, err);
    if (rc != OK)
        return rc;
    watch_end(w);
    const char *status = watch_outcome(w, error, sizeof error);
    if (env->interrupted && *env->interrupted && strcmp(status, "ok") != 0)
        rc = fail(err, ERR_INTERRUPTED, "interrupted");
    else if (!(*out = watch_cells(w, status, error)))
        rc = fail(err, ERR_NO_MEMORY, "out of memory for a cell's result");
    watch_free(w);
    return rc;
}
