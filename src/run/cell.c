/* cell.c - see cell.h. */
#include "src/run/cell.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/run/measure/folder.h"
#include "src/run/measure/memory.h"
#include "src/run/scratch.h"
#include "src/run/watch.h"

const char *const cell_file_names[CELL_FILES] = {
    [CELL_ANSWERS] = "answers", [CELL_STRUCTURE] = "structure", [CELL_ORDERS] = "orders"
};

int cell_in_process_check(const struct experiment *x, const struct run_options *o,
                          struct error *err)
{
    static const char limit[] = "only a process of the cell's own can be ended at a limit",
                      stored[] = "cells of such a run are not stored";
    const struct {
        bool given;
        const char *what, *why;
    } conflicts[] = { { o->timeout_s > 0, "--timeout", limit },
                      { o->memory_limit > 0, "--memory-limit", limit },
                      { x->memory_limit > 0, "the config's memory_limit", limit },
                      { o->mpi, "--mpi", "its cells are of several processes" },
                      { o->resume, "--resume", stored } };

    for (size_t i = 0; o->in_process && i < sizeof conflicts / sizeof *conflicts; i++)
        if (conflicts[i].given)
            return fail(err, ERR_CONFIG,
                        "--in-process cannot be used with %s: %s; leave one of the two out",
                        conflicts[i].what, conflicts[i].why);
    return OK;
}

/* ---- --in-process */

/* Ctrl-C takes effect between two steps. */
static int take(void *to, json_t *message)
{
    struct cell_watch *w = to;
    struct resident now;

    watch_take_json(w, message);
    if (json_object_get(message, "step") && memory_resident_read(0, &now) &&
        now.threads > w->threads)
        w->threads = now.threads;
    return w->env->interrupted && *w->env->interrupted;
}

static int run_here(struct cell_watch *w)
{
    const int rc = scratch_make(w->env->scratch_dir, w->dir, sizeof w->dir, w->err);
    if (rc == OK) {
        w->channel = (struct cell_channel){ .take = take, .to = w, .scorer = &w->scorer };
        w->began_ns = clock_ns();
        cell_replay(w->cell, w->env, w->dir, &w->channel, 0);
        folder_remove(w->dir);
    }
    return rc;
}

int cell_run(const struct cell *cell, const struct cell_env *env, json_t **out, struct error *err)
{
    const bool here = env->options && env->options->in_process;
    struct cell_watch *w = watch_new(cell, env, err);
    char error[TAIL_BYTES + 2000];
    const char *status = "unsupported";
    int rc = OK;

    *out = NULL;
    if (!w)
        return err->code;
    if (cell->unsupported) {
        *out = watch_cells(w, status, cell->unsupported);
    } else if ((rc = here ? run_here(w) : watch_start(w)) == OK) {
        if (!here)
            watch_end(w);
        status = watch_outcome(w, error, sizeof error);
        if (env->interrupted && *env->interrupted && (here || strcmp(status, "ok") != 0))
            rc = fail(err, ERR_INTERRUPTED, "interrupted");
        else if (!(*out = watch_cells(w, status, error)))
            rc = fail(err, ERR_NO_MEMORY, "out of memory for a cell's result");
    }
    watch_free(w);
    return rc;
}
