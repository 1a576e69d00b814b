/* run.c - one experiment: loads a config, plans it, computes ground truth, runs the cells, and
 * writes the results. */
#include "src/cli/run.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "src/base/atomic_file.h"
#include "src/base/clock.h"
#include "src/base/path.h"
#include "src/base/quote.h"
#include "src/base/sysinfo.h"
#include "src/cli/commands.h"
#include "src/cli/configs.h"
#include "src/cli/support/libraries.h"
#include "src/cli/support/progress.h"
#include "src/data/fetch/cache.h"
#include "src/plan/key.h"
#include "src/report/report.h"
#include "src/result/folder_lock.h"
#include "src/result/lookup.h"
#include "src/result/older.h"
#include "src/result/result.h"
#include "src/run/cell.h"
#include "src/run/compare.h"
#include "src/run/scratch.h"
#include "src/truth/apart.h"

/* The state of one run; run_free() releases it at any stage. */
struct run {
    struct app *app;
    struct experiment *experiment;
    struct plan plan;
    struct oracle oracle;
    struct progress progress;
    json_t *environment, *result;
    json_t **finished; /* each cell's JSON by its number, NULL until it has run */
    char *dir, *scratch;
    int lock; /* of dir; -1: not taken */
    struct older_result older;
    json_t *not_kept; /* set of reasons (JSON keys) already printed for measuring a cell again */
    size_t failed, kept;
    bool replacing;              /* dir has files of this run */
    bool unwritten;              /* cells have finished since result.json was written */
    double written_s, writing_s; /* when result.json was last written, and how long that took */
};

static double now_s(void)
{
    return 1e-9 * (double)clock_ns();
}

static void run_free(struct run *run)
{
    json_decref(run->result);
    for (size_t i = 0; run->finished && i < run->plan.n; i++)
        json_decref(run->finished[i]);
    free(run->finished);
    json_decref(run->environment);
    oracle_free(&run->oracle);
    plan_free(&run->plan);
    experiment_free(run->experiment);
    free(run->dir);
    free(run->scratch);
    older_result_free(&run->older);
    json_decref(run->not_kept);
    if (run->lock >= 0)
        close(run->lock);
}

/* Makes and locks the results folder first, so that a folder that is not writable fails before any
   cell runs. */
static int make_results_dir(struct run *run, struct error *error)
{
    const struct run_options *o = &run->app->options;
    char *base = app_path(o->root, "results");
    run->dir = app_path(o->out ? o->out : base, run->experiment->name);
    free(base);
    run->scratch = app_path(run->dir, "scratch");
    int rc = path_make_folders(run->dir, 0777, error);
    if (!rc)
        rc = folder_lock(run->dir, &run->lock, error);
    if (!rc)
        rc = path_make_folders(run->scratch, 0777, error);
    if (rc)
        fail_within(error, "the results folder cannot be used; choose another with --out");
    return rc;
}

static struct result_run run_state(const struct run *run)
{
    return (struct result_run){ run->plan.n, run->progress.finished, run->kept,
                                run->app->options.quick, run->app->options.in_process };
}

/* A finished result in the folder is kept until this run has replaced it. */
static int keep_older(struct run *run, struct error *error)
{
    if (run->app->options.force)
        return OK;
    const struct result_run state = run_state(run);
    json_t *now = result_run_json(run->experiment, &state);
    const int rc = older_result_keep(&run->older, run->dir, now, error);
    json_decref(now);
    if (rc)
        fail_within(error, "the finished result in %s cannot be kept; --force replaces it",
                    run->dir);
    else if (run->older.path && *run->older.smaller)
        progress_note(&run->progress,
                      "the finished result of an earlier run is kept in %s, because this run is "
                      "smaller (%s); --force replaces it instead",
                      run->older.path, run->older.smaller);
    return rc;
}

/* Called before a file of the older result is replaced; acts on the first call only. */
static void replace_older(struct run *run)
{
    if (!run->replacing)
        older_result_replace(&run->older, run->dir);
    run->replacing = true;
}

/* Removes the temporary files, scratch folders and processes of a run that was killed. */
static void sweep(struct run *run)
{
    size_t folders, processes;
    char *cells = app_path(run->dir, "cells");
    atomic_file_sweep(run->dir);
    atomic_file_sweep(cells);
    free(cells);
    scratch_sweep(run->scratch, &folders, &processes);
    if (folders)
        progress_note(&run->progress,
                      "removed %zu scratch folders of a run that was killed, and ended %zu of its "
                      "processes",
                      folders, processes);
}

static void show_truth_progress(void *to, double share)
{
    progress_share(to, "exact truth", share);
}

static int make_truth(struct run *run, struct error *error)
{
    char *cache = app_path(run->app->options.cache, "truth");
    const struct oracle_env env = { .kernels = run->app->kernels,
                                    .threads = (size_t)get_nprocs(),
                                    .on_device = run->experiment->truth_on_device,
                                    .cache_dir = cache,
                                    .progress = show_truth_progress,
                                    .to = &run->progress,
                                    .interrupted = run->app->interrupted };
    int rc = cache_prepare(run->app->options.cache, error);
    if (!rc)
        rc = path_make_folders(cache, 0777, error);
    if (!rc)
        rc = oracle_make_apart(&run->oracle, run->experiment->ops, &env, error);
    free(cache);
    for (size_t i = 0; i < run->oracle.n_notes; i++)
        app_warn(run->app, "%s", run->oracle.notes[i]);
    if (!rc && run->oracle.seconds > 0.5)
        progress_note(&run->progress, "exact truth computed in %.1f s", run->oracle.seconds);
    return rc;
}

/* Writes result.json with the cells finished so far, so that it can be read during the run. Cells
   are in the plan's order, not in the shuffled order of execution. */
static int write_result(struct run *run, struct error *error)
{
    json_t *cells = json_array();
    for (size_t i = 0; i < run->plan.n; i++)
        json_array_extend(cells, run->finished[i]);
    json_decref(run->result);
    run->result = NULL;
    const struct result_run state = run_state(run);
    int rc = result_make(run->experiment, &run->oracle, run->environment, &state, cells,
                         &run->result, error);
    json_decref(cells);
    replace_older(run);
    rc = rc ? rc : result_save(run->result, run->dir, error);
    run->unwritten = false;
    return rc;
}

/* Called after each cell; spends at most a tenth of the time on writing, because with many cells
   the file is large. Each cell also has its own file, so a crash in between loses nothing. */
static int write_at_times(struct run *run, struct error *error)
{
    const double most = .1, began = now_s();
    run->unwritten = true;
    if (run->writing_s > most * (began - run->written_s))
        return OK;
    const int rc = write_result(run, error);
    run->written_s = now_s();
    run->writing_s = run->written_s - began;
    return rc;
}

/* The points of a sweep share the cell's warnings, so those of the first point are printed. */
static void print_cell_warnings(struct run *run, const struct cell *cell, const json_t *cells)
{
    char label[300];
    result_build_label(json_array_get(cells, 0), label, sizeof label);
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

static struct cell_env env_of(struct run *run)
{
    return (struct cell_env){ .experiment = run->experiment,
                              .options = &run->app->options,
                              .oracle = &run->oracle,
                              .kernels = run->app->kernels,
                              .scratch_dir = run->scratch,
                              .progress = progress_of_cell,
                              .to = &run->progress,
                              .interrupted = run->app->interrupted };
}

/* A stored cell from another program, config or machine is measured again. Each reason is printed
   once, for the first cell that has it. */
static int take_stored(struct run *run, const struct cell *cell, json_t **cells,
                       struct error *error)
{
    char why[600];
    const int rc = result_stored_cell(run->dir, cell, cells, why, sizeof why, error);
    if (!rc && *why && !json_object_get(run->not_kept, why)) {
        json_object_set_new(run->not_kept, why, json_true());
        progress_note(&run->progress, "--resume: \"%s\", repeat %zu, is measured again: %s",
                      cell->method->label, cell->repeat + 1, why);
    }
    return rc;
}

/* Adds two members to each cell of result.json: `kept`, and `identity` where it differs from the
   identity in `environment`. */
static void mark_cells(const struct run *run, const struct cell *cell, json_t *cells, bool kept)
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

/* Answers are written to the scratch folder and moved once the cell has finished: until then the
   results folder may still have an older result. */
static int run_and_store(struct run *run, const struct cell *cell, json_t **cells,
                         struct error *error)
{
    struct cell_env env = env_of(run);
    char *answers = app_path(run->scratch, "answers");
    char *structure = app_path(run->scratch, "structure");
    env.answers_path = env.options->in_process ? NULL : answers;
    env.structure_path = env.options->in_process ? NULL : structure;
    int rc = cell_run(cell, &env, cells, error);
    if (!rc)
        replace_older(run);
    if (!rc && !env.options->in_process)
        rc = result_store_cell(run->dir, cell, *cells, answers, structure, error);
    (void)unlink(answers);
    (void)unlink(structure);
    free(answers);
    free(structure);
    return rc;
}

static int run_cell(struct run *run, const struct cell *cell, struct error *error)
{
    const struct run_options *o = &run->app->options;
    json_t *cells = NULL;
    double began = now_s();
    char label[300];
    bool kept = false;
    int rc = OK;
    if (o->resume) {
        rc = take_stored(run, cell, &cells, error);
        kept = cells != NULL;
    }
    plan_build_label(cell, label, sizeof label);
    if (!rc && !cells) {
        progress_cell_begin(&run->progress, label, cell->repeat);
        rc = run_and_store(run, cell, &cells, error);
    }
    if (!rc) {
        const char *status = worst_status(cells);
        bool fine = !strcmp(status, "ok") || !strcmp(status, "unsupported");
        run->failed += !fine;
        run->kept += kept;
        progress_cell_done(&run->progress, label, cell->repeat, status, kept, now_s() - began);
        print_cell_warnings(run, cell, cells);
        mark_cells(run, cell, cells, kept);
        run->finished[cell->number] = json_incref(cells);
        rc = write_at_times(run, error);
    }
    json_decref(cells);
    return rc;
}

static int run_cells(struct run *run, struct error *error)
{
    run->finished = calloc(run->plan.n + 1, sizeof *run->finished);
    if (!run->finished)
        return fail(error, ERR_NO_MEMORY, "out of memory for %zu cells", run->plan.n);
    for (size_t i = 0; i < run->plan.n; i++) {
        if (*run->app->interrupted)
            return fail(error, ERR_INTERRUPTED, "interrupted");
        int rc = run_cell(run, &run->plan.cells[i], error);
        if (rc)
            return rc;
    }
    return OK;
}

static void say_comparison(void *to, const char *a, const char *b)
{
    progress_note(to, "measuring alternately: %s, %s", a, b);
}

static int run_comparisons(struct run *run, struct error *error)
{
    const struct cell_env env = env_of(run);
    const int rc =
        compare_pairs(run->experiment, &run->plan, &env, say_comparison, &run->progress, error);

    run->unwritten |= run->experiment->n_compare > 0;
    return rc;
}

static int finish(struct run *run, struct error *error)
{
    const struct run_options *o = &run->app->options;
    int rc = OK;
    if (!o->no_plots && run->result) {
        struct error unreported = { 0 };
        if (*run->app->interrupted)
            rc = ERR_INTERRUPTED;
        else
            rc = app_draw(run->dir, run->app, error);
        if (rc == ERR_INTERRUPTED)
            app_warn(run->app, "figures are not drawn; ./harness plot %s draws them", run->dir);
        if ((rc == OK || rc == ERR_INTERRUPTED) && report_write(run->dir, &unreported))
            rc = fail(error, unreported.code, "%s", unreported.text);
    }
    rmdir(run->scratch);
    return rc;
}

static int load(struct run *run, const char *path, struct error *error)
{
    struct run_options *o = &run->app->options;
    o->say = app_say;
    o->say_to = run->app;
    int rc = experiment_load(&run->experiment, path, o, &run->app->registry, error);
    rc = rc ? rc : cell_in_process_check(run->experiment, o, error);
    return rc ? rc : plan_make(&run->plan, run->experiment, o, error);
}

static void print_warnings(struct run *run)
{
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(run->environment, "warnings"), i, warning)
        app_warn(run->app, "%s", json_string_value(warning));
}

static int prepare(struct run *run, struct error *error)
{
    struct app *app = run->app;
    progress_begin(&run->progress, app->options.quiet, app->options.terminal);
    progress_expect(&run->progress, &run->plan);
    int rc = libraries_check_linked(error);
    if (!rc)
        rc = make_results_dir(run, error);
    if (!rc)
        rc = plan_identify(&run->plan, run->experiment, &app->identity, error);
    if (!rc)
        rc = keep_older(run, error);
    if (rc)
        return rc;
    sweep(run);
    progress_note(&run->progress, "%s: %zu operations, %zu cells, results in %s",
                  run->experiment->name, run->experiment->ops->n, run->plan.n, run->dir);
    run->environment =
        sysinfo_environment(app->kernels, app->options.root, run->experiment->threads);
    run->not_kept = json_object();
    json_object_set(run->environment, "identity", plan_common_identity(&run->plan));
    print_warnings(run);
    return make_truth(run, error);
}

static void print_outcome(struct run *run)
{
    struct quoted_output summary;
    if (!run->result || run->app->brief)
        return;
    quote_terminal_begin(&summary);
    if (summary.out)
        report_summary(run->result, summary.out);
    quote_terminal_print(&summary);
    if (run->failed)
        printf("\n%zu of %zu cells did not finish; each has its error in %s/result.json\n",
               run->failed, run->plan.n, run->dir);
    printf("\nresults: %s/result.json%s\n", run->dir,
           run->app->options.no_plots ? "" : ", figures and report.html");
    if (run->older.path)
        printf("the older, %s result is kept in %s\n", *run->older.smaller ? "larger" : "finished",
               run->older.path);
    fflush(stdout);
}

int run_config(struct app *app, const char *path, char **dir)
{
    struct run run = { .app = app, .lock = -1 };
    struct error error = { 0 };
    if (load(&run, path, &error)) {
        app_error(app, &error);
        run_free(&run);
        return error.code == ERR_INTERRUPTED ? EXIT_SOME_FAILED : EXIT_USAGE;
    }
    *app->measuring = 1;
    int rc = prepare(&run, &error);
    if (!rc)
        rc = run_cells(&run, &error);
    if (!rc)
        rc = run_comparisons(&run, &error);
    struct error unsaved = { 0 };
    if (run.unwritten && write_result(&run, &unsaved)) {
        app_error(app, &unsaved);
        rc = rc ? rc : unsaved.code;
    }
    progress_end(&run.progress);
    older_result_settle(&run.older, !run.replacing || (!rc && !run.failed && !*run.older.smaller));
    if (!rc || rc == ERR_INTERRUPTED) {
        struct error late = { 0 };
        const int unfinished = finish(&run, &late);
        if (unfinished && unfinished != ERR_INTERRUPTED)
            app_error(app, &late);
        rc = rc ? rc : unfinished;
        print_outcome(&run);
    }
    if (rc == ERR_INTERRUPTED)
        app_warn(
            app,
            "interrupted: %zu of %zu cells are written; ./harness run --resume %s with the same "
            "options goes on",
            run.progress.finished, run.plan.n, path);
    else if (rc && error.code) {
        app_error(app, &error);
        if (run.older.path)
            app_warn(app, "the finished result of an earlier run is kept in %s", run.older.path);
    }
    int status = rc || run.failed ? EXIT_SOME_FAILED : EXIT_OK;
    if (dir && run.dir)
        *dir = strdup(run.dir);
    run_free(&run);
    *app->measuring = 0;
    return status;
}

int command_run(struct app *app)
{
    int worst = EXIT_OK;
    for (size_t i = 0; i < app->n_arguments && !*app->interrupted; i++) {
        char path[PATH_MAX];
        struct error error = { 0 };
        int status = EXIT_USAGE;
        if (configs_find(app, app->arguments[i], path, sizeof path, &error))
            app_error(app, &error);
        else
            status = run_config(app, path, NULL);
        if (status > worst)
            worst = status;
    }
    return worst;
}
