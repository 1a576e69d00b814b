/* ranks.c - a run on several processes under mpirun (docs/cluster.md).
 *
 * Rank 0 plans, stores all results, and hands parts of the ground truth and then cells to all ranks, itself
 * included: a thread of it measures, as the other ranks do. A build whose time is not known yet goes
 * first, then the slowest. A rank that is not heard of any more loses its cell, which goes to another. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/base/path.h"
#include "src/base/sysinfo.h"
#include "src/cli/run/ranks_internal.h"
#include "src/cli/run/worker_internal.h"
#include "src/core/mem.h"
#include "src/plan/plan.h"
#include "src/run/measure/folder.h"

/* ------------------------------------------------------------------------------- state */

static void ranks_free(struct dispatcher *r)
{
    for (int i = 0; r->rank && i < r->n; i++)
        json_decref(r->rank[i].about);
    ranks_truth_free(r);
    for (size_t i = 0; r->cell && i < r->run->plan.n; i++)
        json_decref(r->cell[i].lost);
    mem_free(NULL, r->rank);
    mem_free(NULL, r->cell);
}

static void find_builds(struct dispatcher *r)
{
    const struct plan *plan = &r->run->plan;
    json_t *known = json_object();
    for (size_t i = 0; i < plan->n; i++) {
        char label[300];
        plan_build_label(&plan->cells[i], label, sizeof label);
        const json_t *first = json_object_get(known, label);
        r->cell[i].build = first ? (size_t)json_integer_value(first) : i;
        if (!first)
            json_object_set_new(known, label, json_integer((json_int_t)i));
    }
    json_decref(known);
}

static int ranks_init(struct dispatcher *r, struct run_state *run, struct error *error)
{
    *r = (struct dispatcher){ .run = run,
                              .messenger = run->messenger,
                              .n = messenger_ranks(run->messenger),
                              .left = run->plan.n };
    r->rank = mem_zalloc(NULL, (size_t)r->n * sizeof *r->rank);
    r->cell = mem_zalloc(NULL, (run->plan.n + 1) * sizeof *r->cell);
    if (!r->rank || !r->cell)
        return fail(error, ERR_NO_MEMORY, "--mpi: out of memory for %zu cells", run->plan.n);
    for (int i = 0; i < r->n; i++) {
        r->rank[i].cell = NO_CELL;
        r->rank[i].part = NO_PART;
    }
    find_builds(r);
    return ranks_truth_begin(r, error);
}

/* environment.ranks of the result. */
static void record_ranks(const struct dispatcher *r)
{
    json_t *all = json_array();
    for (int i = 0; i < r->n; i++) {
        const struct rank_state *rank = &r->rank[i];
        json_t *one = rank->about ? json_copy(rank->about) : json_object();
        json_object_set_new(one, "rank", json_integer(i));
        json_object_set_new(one, "cells", json_integer((json_int_t)rank->measured));
        json_object_set_new(one, "truth_rows", json_integer((json_int_t)rank->truth_rows));
        json_object_set_new(one, "truth_seconds", json_real(rank->truth_seconds));
        json_object_set_new(one, "lost", json_boolean(rank->lost));
        json_array_append_new(all, one);
    }
    json_object_set_new(r->run->environment, "ranks", all);
}

/* ------------------------------------------------------------------------------- handing out */

/* Seconds that a cell may take; INFINITY if none of its build has finished. */
static double expected_s(const struct dispatcher *r, size_t cell)
{
    const struct handed_cell *build = &r->cell[r->cell[cell].build];
    return build->timed ? build->seconds / (double)build->timed : INFINITY;
}

/* The waiting cell that takes longest; of those not known, the one with most points. NO_CELL: none
   waits. */
static long longest(const struct dispatcher *r)
{
    const struct plan *plan = &r->run->plan;
    long best = NO_CELL;
    for (size_t i = 0; i < plan->n; i++) {
        if (r->cell[i].state != CELL_WAITS)
            continue;
        const double mine = expected_s(r, i), its = best < 0 ? -1 : expected_s(r, (size_t)best);
        if (mine > its ||
            (isinf(mine) && isinf(its) && plan->cells[i].n_points > plan->cells[best].n_points))
            best = (long)i;
    }
    return best;
}

static int hand_out(struct dispatcher *r, struct error *error)
{
    int rc = OK;
    for (int i = 0; !rc && i < r->n; i++) {
        struct rank_state *rank = &r->rank[i];
        const long at = rank->ready && !rank->lost && rank->cell == NO_CELL ? longest(r) : NO_CELL;
        bool sent = false;
        if (at != NO_CELL)
            rc = ranks_truth_send(r, i, &sent, error);
        if (rc || !sent)
            continue;
        const struct cell *cell = &r->run->plan.cells[at];
        const uint64_t number = cell->number;
        char label[300];
        rank->cell = at;
        r->cell[at].state = CELL_RUNS;
        plan_build_label(cell, label, sizeof label);
        if (i > 0)
            progress_note(&r->run->progress, "%s, repeat %zu, begins on rank %d", label,
                          cell->repeat + 1, i);
        else
            progress_cell_begin(&r->run->progress, label, cell->repeat);
        rc = messenger_send(r->messenger, i, MESSAGE_CELL, &number, sizeof number, error);
    }
    return rc;
}

/* ------------------------------------------------------------------------------- results */

static void note_cell(const struct dispatcher *r, int rank, size_t at, json_t *cells)
{
    size_t i;
    json_t *one;
    json_array_foreach(cells, i, one) {
        json_object_set_new(one, "rank", json_integer(rank));
        if (r->cell[at].lost)
            json_object_set(one, "lost_ranks", r->cell[at].lost);
    }
}

/* Writes what came with the message, for result_store_cell() to move. *path: NULL if there was no
   file; the caller frees it. */
static int write_file(const struct run_state *run, const char *name, const void *bytes, size_t n,
                      char **path, struct error *error)
{
    *path = bytes ? app_path(run->scratch, name) : NULL;
    FILE *file = *path ? fopen(*path, "wb") : NULL;
    if (!*path)
        return OK;
    if (!file || fwrite(bytes, 1, n, file) != n) {
        const int rc = fail_errno(error, ERR_IO, "%s cannot be written", *path);
        if (file)
            (void)fclose(file);
        return rc;
    }
    return fclose(file) ? fail_errno(error, ERR_IO, "%s cannot be written", *path) : OK;
}

static int store(struct dispatcher *r, struct cell *cell, const struct worker_result *result,
                 struct error *error)
{
    struct run_state *run = r->run;
    char *paths[CELL_FILES] = { NULL };
    int rc = OK;
    for (size_t i = 0; !rc && i < CELL_FILES; i++)
        rc = write_file(run, cell_file_names[i], result->files[i], result->bytes[i], &paths[i],
                        error);
    /* The machine and the program that measured it are those of the rank. */
    json_decref(cell->identity);
    cell->identity = json_incref(result->identity);
    (void)snprintf(cell->key, sizeof cell->key, "%s", result->key);
    if (!rc)
        rc = run_store(run, cell, result->cells, (const char *const *)paths, error);
    for (size_t i = 0; i < CELL_FILES; i++) {
        if (paths[i])
            (void)unlink(paths[i]);
        free(paths[i]);
    }
    return rc;
}

static int finished(struct dispatcher *r, const struct message *message, struct error *error)
{
    struct rank_state *rank = &r->rank[message->from];
    struct worker_result result;
    int rc = worker_result_read(&result, message, error);
    const long at = rank->cell;
    if (!rc && (at == NO_CELL || r->run->plan.cells[at].number != result.number))
        rc = fail(error, ERR_CORRUPT, "--mpi: rank %d sent a cell that it was not asked for",
                  message->from);
    if (!rc) {
        rank->cell = NO_CELL;
        rank->measured++;
        struct handed_cell *build = &r->cell[r->cell[at].build];
        r->cell[at].state = CELL_FINISHED;
        r->left--;
        build->seconds += result.seconds;
        build->timed++;
        rc = store(r, &r->run->plan.cells[at], &result, error);
        note_cell(r, message->from, (size_t)at, result.cells);
        record_ranks(r);
    }
    if (!rc)
        rc = run_cell_finished(r->run, &r->run->plan.cells[at], result.cells, false, result.seconds,
                               error);
    worker_result_free(&result);
    return rc;
}

/* Its cell or its part of the ground truth waits for another rank. dead: nothing is sent to it any more, not even the end. */
static void lose(struct dispatcher *r, int i, bool dead, const char *why)
{
    struct rank_state *rank = &r->rank[i];
    char label[300], what[400] = "no cell";
    if (rank->lost)
        return;
    rank->lost = true;
    if (dead)
        messenger_forget(r->messenger, i);
    if (rank->cell != NO_CELL) {
        json_t **lost = &r->cell[rank->cell].lost;
        *lost = *lost ? *lost : json_array();
        json_array_append_new(*lost, json_integer(i));
        r->cell[rank->cell].state = CELL_WAITS;
        plan_build_label(&r->run->plan.cells[rank->cell], label, sizeof label);
        (void)snprintf(what, sizeof what, "%s, which another measures", label);
    } else if (rank->part != NO_PART) {
        (void)snprintf(what, sizeof what,
                       "part %ld of %d of the exact truth, which another computes", rank->part + 1,
                       r->n);
    }
    app_warn(r->run->app, "rank %d is lost with %s: %s", i, what, why);
    ranks_truth_lose(r, rank);
    rank->cell = NO_CELL;
    record_ranks(r);
}

/* ------------------------------------------------------------------------------- rank 0 */

static void *serve_here(void *of)
{
    worker_serve(of);
    return NULL;
}

static void share_note(const struct dispatcher *r, int i)
{
    const char *host = field_text(r->rank[i].about, "host", "");
    for (int j = 0; j < i; j++)
        if (strcmp(host, field_text(r->rank[j].about, "host", "-")) == 0) {
            app_warn(r->run->app,
                     "ranks %d and %d share the machine %s: what one measures is slowed by the "
                     "other",
                     j, i, host);
            return;
        }
}

static int take_message(struct dispatcher *r, const struct message *message, struct error *error)
{
    const int from = message->from;
    struct rank_state *rank = &r->rank[from];
    if (message->kind == MESSAGE_DONE)
        return finished(r, message, error);
    if (message->kind == MESSAGE_READY) {
        json_decref(rank->about);
        rank->about = json_loadb((const char *)message->bytes, message->n, 0, NULL);
        rank->ready = true;
        record_ranks(r);
        share_note(r, from);
        return OK;
    }
    if (message->kind == MESSAGE_PART) {
        const int rc = ranks_truth_take(r, message, error);
        record_ranks(r);
        return rc;
    }
    if (*r->run->app->interrupted)
        return fail(error, ERR_INTERRUPTED, "interrupted");
    if (from == 0)
        return fail(error, ERR_IO, "%s", (const char *)message->bytes);
    lose(r, from, false, (const char *)message->bytes);
    return OK;
}

static int take_all_stored(struct dispatcher *r, struct error *error)
{
    int rc = OK;
    for (size_t i = 0; !rc && i < r->run->plan.n; i++) {
        const struct cell *cell = &r->run->plan.cells[i];
        const bool mine = run_is_mine(r->run, cell);
        json_t *cells = NULL;
        if (mine)
            rc = run_take_stored(r->run, cell, &cells, error);
        if (!rc && (cells || !mine)) {
            r->cell[i].state = CELL_FINISHED;
            r->left--;
        }
        if (!rc && cells)
            rc = run_cell_finished(r->run, cell, cells, true, 0, error);
        json_decref(cells);
    }
    return rc;
}

/* Waits for a message, and notices ranks that are not heard of. */
static int hear(struct dispatcher *r, struct error *error)
{
    struct message *message = messenger_take(r->messenger, BOX_DISPATCHER, .1);
    int rc = OK;
    if (message && !r->rank[message->from].lost)
        rc = take_message(r, message, error);
    message_free(message);
    for (int i = 1; i < r->n; i++)
        if (!messenger_hears(r->messenger, i))
            lose(r, i, true, "it was not heard of for 15 seconds");
    if (!rc && *r->run->app->interrupted)
        rc = fail(error, ERR_INTERRUPTED, "interrupted");
    return rc;
}

static int dispatch(struct dispatcher *r, struct error *error)
{
    int rc = OK;
    for (int i = 1; !rc && i < r->n; i++)
        rc = messenger_send(r->messenger, i, MESSAGE_LOAD, NULL, 0, error);
    while (!rc && !r->truth_known) {
        rc = ranks_truth_hand_out(r, error);
        if (!rc)
            rc = hear(r, error);
    }
    if (!rc)
        rc = take_all_stored(r, error);
    while (!rc && r->left > 0) {
        rc = hand_out(r, error);
        if (!rc)
            rc = hear(r, error);
    }
    return rc;
}

static json_t *about_this_rank(const struct run_state *run)
{
    json_t *all =
        sysinfo_environment(run->app->kernels, run->app->options.root, run->experiment->threads);
    const json_t *cpu = json_object_get(all, "cpu");
    json_t *about =
        json_pack("{s:O?, s:O?, s:O?}", "host", json_object_get(all, "host"), "cpu",
                  json_object_get(cpu, "model"), "online", json_object_get(cpu, "online"));
    json_decref(all);
    return about;
}

static int send_ready(const struct run_state *run, struct error *error)
{
    json_t *about = about_this_rank(run);
    char *text = app_made(json_dumps(about, JSON_COMPACT));
    const int rc = messenger_send(run->messenger, 0, MESSAGE_READY, text, strlen(text), error);
    json_decref(about);
    free(text);
    return rc;
}

int ranks_run_cells(struct run_state *run, struct error *error)
{
    struct dispatcher r;
    struct error late = { 0 };
    pthread_t thread;
    int rc = ranks_init(&r, run, error);
    if (!rc)
        rc = send_ready(run, error);
    if (!rc && pthread_create(&thread, NULL, serve_here, run))
        rc = fail_errno(error, ERR_IO, "--mpi: a thread cannot be started");
    else if (!rc) {
        rc = dispatch(&r, error);
        (void)messenger_send(run->messenger, 0, MESSAGE_STOP, NULL, 0, &late);
        (void)pthread_join(thread, NULL);
    }
    ranks_free(&r);
    return rc;
}

void ranks_stop(struct messenger *m)
{
    struct error error = { 0 };
    for (int i = 1; i < messenger_ranks(m); i++)
        (void)messenger_send(m, i, MESSAGE_STOP, NULL, 0, &error);
}

/* ------------------------------------------------------------------------------- other ranks */

/* Waits for rank 0 to say that the config is loaded and its data are there: true; or that it was
   left out, or nothing any more. */
static bool wait_for_load(struct messenger *m)
{
    while (messenger_hears(m, 0)) {
        struct message *message = messenger_take(m, BOX_WORKER, 1);
        const bool load = message && message->kind == MESSAGE_LOAD;
        const bool stop = message && message->kind == MESSAGE_STOP;
        message_free(message);
        if (load || stop)
            return load;
    }
    return false;
}

/* Files of this rank's cells are on its own machine. */
static int make_scratch(struct run_state *run, struct error *error)
{
    const char *folder = getenv("TMPDIR");
    char name[64];
    (void)snprintf(name, sizeof name, "driftline-rank%d-%ld", messenger_rank(run->messenger),
                   (long)getpid());
    run->scratch = app_path(folder && *folder ? folder : "/tmp", name);
    return path_make_folders(run->scratch, 0777, error);
}

int ranks_serve(struct app *app, const char *path, struct messenger *m)
{
    struct run_state run = { .app = app, .messenger = m, .lock = -1 };
    struct error error = { 0 }, unsent = { 0 };
    app->options.quiet = true;
    if (!wait_for_load(m))
        return EXIT_OK;
    progress_begin(&run.progress, true, false);
    *app->measuring = 1;
    int rc = run_load(&run, path, &error);
    if (!rc)
        rc = plan_identify(&run.plan, run.experiment, &app->identity, &error);
    if (!rc)
        rc = make_scratch(&run, &error);
    if (!rc)
        rc = send_ready(&run, &error);
    if (rc)
        (void)messenger_send(m, 0, MESSAGE_FAILED, error.text, strlen(error.text), &unsent);
    worker_serve(&run); /* after a failure until MESSAGE_STOP alone: rank 0 hands it nothing */
    if (run.scratch)
        folder_remove(run.scratch);
    progress_end(&run.progress);
    run_free(&run);
    *app->measuring = 0;
    if (messenger_hears(m, 0))
        return EXIT_OK;
    app_warn(app,
             "rank 0 was not heard of for 15 seconds; ./harness run --resume %s goes on from "
             "the cells that it has stored",
             path);
    return EXIT_SOME_FAILED;
}
