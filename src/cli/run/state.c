/* state.c - what run.c and ranks.c need of a run: loading it, its ground truth, and storing cells. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "src/cli/run/internal.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/base/path.h"
#include "src/data/fetch/cache.h"
#include "src/result/result.h"
#include "src/truth/apart.h"

void run_free(struct run_state *run)
{
    result_close(&run->result);
    for (size_t i = 0; run->finished && i < run->plan.n; i++)
        json_decref(run->finished[i]);
    free(run->finished);
    json_decref(run->environment);
    oracle_free(&run->oracle);
    plan_free(&run->plan);
    experiment_free(run->experiment);
    free(run->dir);
    free(run->scratch);
    free(run->stored);
    older_result_free(&run->older);
    result_close(&run->earlier);
    json_decref(run->not_kept);
    if (run->lock >= 0)
        close(run->lock);
}

int run_load(struct run_state *run, const char *path, struct error *error)
{
    struct run_options *o = &run->app->options;
    int rc = experiment_load(&run->experiment, path, o, &run->app->registry, error);
    rc = rc ? rc : cell_in_process_check(run->experiment, o, error);
    rc = rc ? rc : plan_make(&run->plan, run->experiment, o, error);
    return rc ? rc : plan_check_runnable(&run->plan, run->experiment, error);
}

static void show_truth_progress(void *to, double share)
{
    progress_share(to, "exact truth", share);
}

/* mpirun may bind a rank to a core. */
static size_t processors(void)
{
    cpu_set_t may;
    const int n = sched_getaffinity(0, sizeof may, &may) == 0 ? CPU_COUNT(&may) : get_nprocs();
    return n > 0 ? (size_t)n : 1;
}

/* *folder: of stored truths; NULL: there is no cache, or none that can be written, and the truth is
   computed without. A cache that others could write is an error. */
static int open_truth_folder(struct run_state *run, char **folder, struct error *error)
{
    const char *cache = run->app->options.cache;
    struct error why = { 0 };
    int rc = cache_prepare(cache, &why);
    *folder = rc ? NULL : app_path(cache, "truth");
    if (!rc)
        rc = path_make_folders(*folder, 0777, &why);
    if (!rc)
        return OK;
    free(*folder);
    *folder = NULL;
    if (cache && rc != ERR_IO)
        return fail(error, rc, "%s", why.text);
    if (!run->cacheless)
        app_warn(run->app, "the ground truth is not kept for later runs: %s", why.text);
    run->cacheless = true;
    return OK;
}

int run_make_truth(struct run_state *run, struct oracle *oracle, struct oracle_env what,
                   struct error *error)
{
    char *folder;
    what.kernels = run->app->kernels;
    what.threads = processors();
    what.on_device = run->experiment->truth_on_device;
    what.interrupted = run->app->interrupted;
    if (what.parts == 0 && !what.merge) { /* of parts, rank 0 shows how many are finished */
        what.progress = show_truth_progress;
        what.to = &run->progress;
    }
    *oracle = (struct oracle){ 0 };
    int rc = open_truth_folder(run, &folder, error);
    what.cache_dir = folder;
    if (!rc)
        rc = oracle_make_apart(oracle, run->experiment->ops, &what, error);
    free(folder);
    return rc;
}

void run_report_truth(struct run_state *run)
{
    for (size_t i = 0; i < run->oracle.n_notes; i++)
        app_warn(run->app, "%s", run->oracle.notes[i]);
    if (run->oracle.seconds > 0.5)
        progress_note(&run->progress, "exact truth computed in %.1f s", run->oracle.seconds);
}

struct cell_env run_cell_env(struct run_state *run)
{
    return (struct cell_env){ .experiment = run->experiment,
                              .options = &run->app->options,
                              .oracle = &run->oracle,
                              .kernels = run->app->kernels,
                              .scratch_dir = run->scratch,
                              .stored_dir = run->stored,
                              .progress = progress_of_cell,
                              .to = &run->progress,
                              .interrupted = run->app->interrupted };
}

struct result_run run_result_state(const struct run_state *run)
{
    return (struct result_run){ run->plan.n, run->progress.finished, run->kept,
                                run->app->options.quick, run->app->options.in_process };
}

/* Called before a file of the older result is replaced; acts on the first call only. */
void run_replace_older(struct run_state *run)
{
    if (!run->replacing)
        older_result_replace(&run->older, run->dir);
    run->replacing = true;
}

/* Writes result.json with the cells finished so far, so that it can be read during the run. Cells
   are in the plan's order, not in the shuffled order of execution. */
int run_write_result(struct run_state *run, struct error *error)
{
    json_t *cells = json_array();
    for (size_t i = 0; i < run->plan.n; i++)
        json_array_extend(cells, run->finished[i]);
    result_close(&run->result);
    const struct result_run state = run_result_state(run);
    int rc = result_make(run->experiment, &run->oracle, run->environment, &state, cells,
                         &run->result, error);
    json_decref(cells);
    run_replace_older(run);
    if (rc)
        result_close(&run->result);
    rc = rc ? rc : result_save(run->result.json, run->dir, error);
    run->unwritten = false;
    return rc;
}

/* Called after each cell that was measured; those that are kept are in the result.json of the earlier
   run. Spends at most a tenth of the time on writing, because with many cells the file is large. Each
   cell also has its own file, so a crash in between loses nothing. */
static int write_at_times(struct run_state *run, struct error *error)
{
    const double most = .1, began = clock_now_s();
    if (run->writing_s > most * (began - run->written_s))
        return OK;
    const int rc = run_write_result(run, error);
    run->written_s = clock_now_s();
    run->writing_s = run->written_s - began;
    return rc;
}

/* The points of a sweep share the cell's warnings, so those of the first point are printed. */
static void print_cell_warnings(struct run_state *run, const struct cell *cell, const json_t *cells)
{
    char label[300];
    plan_build_label(cell, label, sizeof label);
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(json_array_get(cells, 0), "warnings"), i, warning)
        app_warn(run->app, "%s, repeat %zu: %s", label, cell->repeat + 1,
                 json_string_value(warning));
}

static const char *worst_status(const json_t *cells)
{
    const char *worst = "ok";
    size_t i;
    json_t *cell;
    json_array_foreach(cells, i, cell) {
        const char *status = json_string_value(json_object_get(cell, "status"));
        if (status && strcmp(status, "ok") != 0)
            worst = status;
    }
    return worst;
}

/* A stored cell from another program, config or machine is measured again. Each reason is printed
   once, for the first cell that has it. */
int run_take_stored(struct run_state *run, const struct cell *cell, json_t **cells,
                    struct error *error)
{
    char why[600];
    *cells = NULL;
    if (!run->app->options.resume)
        return OK;
    const int rc = result_stored_cell(run->dir, cell, &run->earlier, cells, why, sizeof why, error);
    if (!rc && *why && !json_object_get(run->not_kept, why)) {
        json_object_set_new(run->not_kept, why, json_true());
        progress_note(&run->progress, "--resume: \"%s\", repeat %zu, is measured again: %s",
                      cell->method->label, cell->repeat + 1, why);
    }
    return rc;
}

/* Whether a step of the cells was measured: of the searches, if the workload has any. */
static bool has_measured(const struct run_state *run, const json_t *cells, bool asks)
{
    const struct op_list *list = run->experiment->ops;
    size_t i, j;
    json_t *cell, *step;
    json_array_foreach(cells, i, cell) {
        json_array_foreach(json_object_get(cell, "steps"), j, step) {
            const size_t at = (size_t)field_integer(step, "index", -1);
            if (at < list->n && strcmp(field_text(step, "status", "ok"), "ok") == 0 &&
                (!asks || (op_info(list->ops[at].kind)->flags & OP_ASKS)))
                return true;
        }
    }
    return false;
}

int run_check_measured(const struct run_state *run, struct error *error)
{
    const struct op_list *list = run->experiment->ops;
    const struct run_options *o = &run->app->options;
    bool asks = false;
    for (size_t i = 0; i < list->n; i++)
        asks |= (op_info(list->ops[i].kind)->flags & OP_ASKS) != 0;
    for (size_t i = 0; i < run->plan.n; i++)
        if (has_measured(run, run->finished[i], asks))
            return OK;
    if (o->parts || run->failed) /* other parts may have measured; failures are reported */
        return OK;
    return fail(error, ERR_UNSUPPORTED,
                "%s: %s was measured: every one is unsupported, as %s/result.json says of each",
                run->experiment->config_path, asks ? "no search" : "nothing", run->dir);
}

/* Adds two members to each cell of result.json: `kept`, and `identity` where it differs from the
   identity in `environment`. */
static void mark_cells(const struct run_state *run, const struct cell *cell, json_t *cells,
                       bool kept)
{
    const json_t *common = json_object_get(run->environment, "identity");
    size_t i;
    json_t *one;
    json_array_foreach(cells, i, one) {
        json_object_set_new(one, "kept", json_boolean(kept));
        if (!json_equal(common, cell->identity))
            json_object_set(one, "identity", cell->identity);
    }
}

int run_store(struct run_state *run, const struct cell *cell, json_t *cells,
              const char *const files[CELL_FILES], struct error *error)
{
    run_replace_older(run);
    return result_store_cell(run->dir, cell, cells, files, error);
}

int run_cell_finished(struct run_state *run, const struct cell *cell, json_t *cells, bool kept,
                      double seconds, struct error *error)
{
    const char *status = worst_status(cells);
    const bool fine = !strcmp(status, "ok") || !strcmp(status, "unsupported");
    char label[300];
    plan_build_label(cell, label, sizeof label);
    run->failed += !fine;
    run->kept += kept;
    progress_cell_done(&run->progress, label, cell->repeat, status, kept, seconds);
    print_cell_warnings(run, cell, cells);
    mark_cells(run, cell, cells, kept);
    run->finished[cell->number] = json_incref(cells);
    run->unwritten = true;
    return kept ? OK : write_at_times(run, error);
}
