/* run.c - one experiment: loads a config, plans it, computes ground truth, runs the cells, and
 * writes the results. */
#include "src/cli/run/internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/atomic_file.h"
#include "src/base/path.h"
#include "src/base/quote.h"
#include "src/base/sysinfo.h"
#include "src/cli/support/libraries.h"
#include "src/core/append_text.h"
#include "src/plan/plan.h"
#include "src/report/report.h"
#include "src/result/folder_lock.h"
#include "src/result/result.h"
#include "src/run/compare.h"
#include "src/run/scratch.h"

/* Makes and locks the results folder first, so that a folder that is not writable fails before any
   cell runs. */
static int make_results_dir(struct run_state *run, struct error *error)
{
    const struct run_options *o = &run->app->options;
    run->dir = app_path(o->out ? o->out : o->results, run->experiment->name);
    run->scratch = app_path(run->dir, "scratch");
    run->stored = app_path(run->dir, "cells");
    int rc = path_make_folders(run->dir, 0777, error);
    if (!rc)
        rc = folder_lock(run->dir, &run->lock, error);
    if (!rc)
        rc = path_make_folders(run->scratch, 0777, error);
    if (rc)
        fail_within(error, "the results folder cannot be used; choose another with --out");
    return rc;
}

/* A finished result in the folder is kept until this run has replaced it. */
static int keep_older(struct run_state *run, struct error *error)
{
    if (run->app->options.force)
        return OK;
    const struct result_run state = run_result_state(run);
    json_t *now = result_run_json(run->experiment, &state);
    const int rc = older_result_keep(&run->older, run->dir, now,
                                     result_measures_other(run->dir, &run->plan), error);
    json_decref(now);
    if (rc)
        fail_within(error, "the finished result in %s cannot be kept; --force replaces it",
                    run->dir);
    else if (run->older.path && *run->older.why)
        progress_note(&run->progress,
                      "the finished result of an earlier run is kept in %s, because %s; --force "
                      "replaces it instead",
                      run->older.path, run->older.why);
    return rc;
}

/* Prepares the cells that an earlier run has stored: for this plan's numbers, and to be compared with
   that run's result. */
static void read_earlier(struct run_state *run)
{
    result_renumber_cells(run->dir, &run->plan);
    result_read_earlier(run->dir, &run->earlier);
}

/* Removes the temporary files, scratch folders and processes of a run that was killed. */
static void sweep(struct run_state *run)
{
    size_t folders, processes;
    atomic_file_sweep(run->dir);
    atomic_file_sweep(run->stored);
    scratch_sweep(run->scratch, &folders, &processes);
    if (folders)
        progress_note(&run->progress,
                      "removed %zu scratch folders of a run that was killed, and ended %zu of its "
                      "processes",
                      folders, processes);
}

/* The cell's files are written to the scratch folder and moved once it has finished: until then the
   results folder may still have an older result. */
static int run_and_store(struct run_state *run, const struct cell *cell, json_t **cells,
                         struct error *error)
{
    struct cell_env env = run_cell_env(run);
    char *paths[CELL_FILES];
    for (size_t i = 0; i < CELL_FILES; i++) {
        paths[i] = app_path(run->scratch, cell_file_names[i]);
        env.files[i] = env.options->in_process ? NULL : paths[i];
    }
    int rc = cell_run(cell, &env, cells, error);
    if (!rc && env.options->in_process)
        run_replace_older(run);
    else if (!rc)
        rc = run_store(run, cell, *cells, env.files, error);
    for (size_t i = 0; i < CELL_FILES; i++) {
        (void)unlink(paths[i]);
        free(paths[i]);
    }
    return rc;
}

static int run_cell(struct run_state *run, const struct cell *cell, struct error *error)
{
    json_t *cells;
    const double began = clock_now_s();
    char label[300];
    int rc = run_take_stored(run, cell, &cells, error);
    const bool kept = cells != NULL;
    plan_build_label(cell, label, sizeof label);
    if (!rc && !kept) {
        progress_cell_begin(&run->progress, label, cell->repeat);
        rc = run_and_store(run, cell, &cells, error);
    }
    if (!rc)
        rc = run_cell_finished(run, cell, cells, kept, clock_now_s() - began, error);
    json_decref(cells);
    return rc;
}

static int run_cells(struct run_state *run, struct error *error)
{
    run->finished = calloc(run->plan.n + 1, sizeof *run->finished);
    if (!run->finished)
        return fail(error, ERR_NO_MEMORY, "out of memory for %zu cells", run->plan.n);
    if (run->messenger)
        return ranks_run_cells(run, error);
    for (size_t i = 0; i < run->plan.n; i++) {
        if (*run->app->interrupted)
            return fail(error, ERR_INTERRUPTED, "interrupted");
        if (!run_is_mine(run, &run->plan.cells[i]))
            continue;
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

static int run_comparisons(struct run_state *run, struct error *error)
{
    const struct cell_env env = run_cell_env(run);
    const int rc = compare_pairs(run->experiment, &run->plan, run->finished, &env, say_comparison,
                                 &run->progress, error);

    run->unwritten |= run->experiment->n_compare > 0;
    return rc;
}

static int finish(struct run_state *run, struct error *error)
{
    const struct run_options *o = &run->app->options;
    int rc = OK;
    if (!o->no_plots && run->result.json) {
        struct error unreported = { 0 };
        if (*run->app->interrupted)
            rc = ERR_INTERRUPTED;
        else
            rc = app_draw(run->dir, run->app, error);
        if (rc == ERR_INTERRUPTED)
            app_warn(run->app, "figures are not drawn; ./harness plot %s draws them", run->dir);
        if (report_write(run->dir, &unreported) && (rc == OK || rc == ERR_INTERRUPTED))
            rc = fail(error, unreported.code, "%s", unreported.text);
    }
    rmdir(run->scratch);
    return rc;
}

static void print_warnings(struct run_state *run)
{
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(run->environment, "warnings"), i, warning)
        app_warn(run->app, "%s", json_string_value(warning));
}

/* Once for all runs of a command. */
static void note_removed_variables(struct run_state *run)
{
    char names[1000] = "";
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(run->environment, "variables_removed"), i, entry) {
        const char *text = json_string_value(entry);
        append_text(names, sizeof names, " ", "%.*s", (int)strcspn(text, "="), text);
    }
    if (*names && !run->app->named_removed_variables)
        progress_note(
            &run->progress,
            "not handed on, as it would change libraries: %s (DRIFTLINE_KEEP_ENV=1 keeps it)",
            names);
    run->app->named_removed_variables = true;
}

static int prepare(struct run_state *run, struct error *error)
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
    if (app->options.resume)
        read_earlier(run);
    progress_note(&run->progress, "%s: %zu operations, %zu cells, results in %s",
                  run->experiment->name, run->experiment->ops->n, run->plan.n, run->dir);
    run->environment =
        sysinfo_environment(app->kernels, app->options.root, run->experiment->threads);
    run->not_kept = json_object();
    json_object_set(run->environment, "identity", plan_common_identity(&run->plan));
    note_removed_variables(run);
    print_warnings(run);
    if (run->messenger) /* all ranks compute the ground truth */
        return OK;
    rc = run_make_truth(run, &run->oracle, (struct oracle_env){ 0 }, error);
    run_report_truth(run);
    return rc;
}

/* The tables also where they could not be written: they are all that is left of the run. */
static void print_outcome(struct run_state *run, bool is_written, bool is_drawn)
{
    struct quoted_output summary;
    if (!run->result.json || run->app->brief)
        return;
    quote_terminal_begin(&summary);
    if (summary.out)
        report_summary(&run->result, summary.out);
    if (summary.out && fclose(summary.out) == 0)
        app_print(run->app, stdout, summary.text);
    free(summary.text);
    if (is_written && run->failed)
        printf("\n%zu of %zu cells did not finish; each has its error in %s/result.json\n",
               run->failed, run->plan.n, run->dir);
    if (is_written)
        printf("\nresults: %s/result.json%s\n", run->dir,
               is_drawn ? ", figures and report.html" : "");
    if (is_written && run->older.path)
        printf("the finished result of an earlier run is kept in %s\n", run->older.path);
    fflush(stdout);
}

static int measure(struct app *app, const char *path, char **dir, struct messenger *messenger)
{
    struct run_state run = { .app = app, .messenger = messenger, .lock = -1 };
    struct error error = { 0 };
    if (run_load(&run, path, &error)) {
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
    if (run.unwritten && run_write_result(&run, &unsaved)) {
        app_error(app, &unsaved);
        rc = rc ? rc : unsaved.code;
    }
    progress_end(&run.progress);
    older_result_settle(&run.older, !run.replacing || (!rc && !run.failed && !*run.older.why));
    const bool is_written = !rc || rc == ERR_INTERRUPTED;
    bool is_drawn = is_written && !app->options.no_plots;
    if (is_written) {
        struct error late = { 0 };
        const int unfinished = finish(&run, &late);
        if (unfinished && unfinished != ERR_INTERRUPTED)
            app_error(app, &late);
        is_drawn &= !unfinished;
        rc = rc ? rc : unfinished;
    }
    print_outcome(&run, is_written, is_drawn);
    if (rc == ERR_INTERRUPTED && !app->brief)
        app_warn(
            app,
            "interrupted: %zu of %zu cells are written; the same command with --resume goes on",
            run.progress.finished, run.plan.n);
    else if (rc && error.code) {
        app_error(app, &error);
        if (run.older.path)
            app_warn(app, "the finished result of an earlier run is kept in %s", run.older.path);
    } else if (!rc && (rc = run_check_measured(&run, &error)) != OK)
        app_error(app, &error);
    int status = rc || run.failed ? EXIT_SOME_FAILED : EXIT_OK;
    if (dir && run.dir)
        *dir = strdup(run.dir);
    run_free(&run);
    *app->measuring = 0;
    return status;
}

int run_measure(struct app *app, const char *path, char **dir, struct messenger *messenger)
{
    if (messenger && messenger_rank(messenger) > 0)
        return ranks_serve(app, path, messenger);
    const int status = measure(app, path, dir, messenger);
    if (messenger)
        ranks_stop(messenger);
    return status;
}
