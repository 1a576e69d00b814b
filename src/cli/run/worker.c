#include "src/cli/run/worker_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/cli/run/pieces_internal.h"
#include "src/core/mem.h"

/* A message: this, the text of a JSON object { cells, identity, key }, the files. */
struct head {
    uint64_t number, json_bytes, file_bytes[CELL_FILES]; /* UINT64_MAX: no file */
    double seconds;
};

struct part {
    char *bytes;
    size_t n;
};

static int send_result(const struct rank_worker *w, const struct head *head,
                       const struct part parts[1 + CELL_FILES], struct error *err)
{
    size_t n = sizeof *head;
    for (size_t i = 0; i < 1 + CELL_FILES; i++)
        n += parts[i].n;
    unsigned char *message = mem_alloc(NULL, n), *at = message;
    if (!message)
        return fail(err, ERR_NO_MEMORY, "--mpi: out of memory for a result of %zu bytes", n);
    memcpy(at, head, sizeof *head);
    at += sizeof *head;
    for (size_t i = 0; i < 1 + CELL_FILES; i++)
        if (parts[i].n > 0) {
            memcpy(at, parts[i].bytes, parts[i].n);
            at += parts[i].n;
        }
    const int rc = messenger_send(w->run->messenger, 0, MESSAGE_DONE, message, n, err);
    mem_free(NULL, message);
    return rc;
}

/* Rank 0 writes the files that it receives beside those of its own worker. */
static const char *const names[CELL_FILES] = { [CELL_ANSWERS] = "rank-answers",
                                               [CELL_STRUCTURE] = "rank-structure",
                                               [CELL_ORDERS] = "rank-orders" };

/* A file that is not there is left out: .bytes is NULL. */
static int read_file(const char *folder, const char *name, struct part *out, struct error *err)
{
    char *path = app_path(folder, name);
    const int there = access(path, F_OK) == 0;
    free(path);
    return there ? path_read_file(folder, name, &out->bytes, &out->n, err) : OK;
}

static int pack(const struct rank_worker *w, const struct cell *cell, json_t *cells, double seconds,
                struct error *err)
{
    struct part parts[1 + CELL_FILES] = { 0 };
    json_t *object =
        json_pack("{s:O, s:O, s:s}", "cells", cells, "identity", cell->identity, "key", cell->key);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    int rc = text ? OK : fail(err, ERR_NO_MEMORY, "--mpi: out of memory for a cell's result");
    parts[0] = (struct part){ text, text ? strlen(text) : 0 };
    struct head head = { .number = cell->number, .json_bytes = parts[0].n, .seconds = seconds };
    for (size_t i = 0; !rc && i < CELL_FILES; i++) {
        rc = read_file(w->scratch, names[i], &parts[1 + i], err);
        head.file_bytes[i] = parts[1 + i].bytes ? parts[1 + i].n : UINT64_MAX;
    }
    if (!rc)
        rc = send_result(w, &head, parts, err);
    for (size_t i = 0; i < 1 + CELL_FILES; i++)
        free(parts[i].bytes);
    json_decref(object);
    return rc;
}

static int measure(const struct rank_worker *w, const struct cell *cell, struct error *err)
{
    struct cell_env env = run_cell_env(w->run);
    char *paths[CELL_FILES];
    json_t *cells = NULL;
    const double began = run_now_s();
    env.scratch_dir = w->scratch;
    for (size_t i = 0; i < CELL_FILES; i++)
        env.files[i] = paths[i] = app_path(w->scratch, names[i]);
    env.progress = NULL;
    int rc = cell_run(cell, &env, &cells, err);
    if (!rc)
        rc = pack(w, cell, cells, run_now_s() - began, err);
    json_decref(cells);
    for (size_t i = 0; i < CELL_FILES; i++) {
        (void)unlink(paths[i]);
        free(paths[i]);
    }
    return rc;
}

static const struct cell *cell_of(const struct rank_worker *w, const struct message *message)
{
    uint64_t number;
    if (message->n != sizeof number)
        return NULL;
    memcpy(&number, message->bytes, sizeof number);
    for (size_t i = 0; i < w->run->plan.n; i++)
        if (w->run->plan.cells[i].number == number)
            return &w->run->plan.cells[i];
    return NULL;
}

static int compute_part(const struct rank_worker *w, const struct message *message,
                        struct error *err)
{
    struct worker_part which;
    struct oracle part;
    size_t at = 0;
    if (message->n != sizeof which)
        return fail(err, ERR_CORRUPT, "--mpi: a part of the ground truth without a number");
    memcpy(&which, message->bytes, sizeof which);
    const struct oracle_env what = { .part = (size_t)which.part, .parts = (size_t)which.parts };
    int rc = run_make_truth(w->run, &part, what, err);
    while (!rc && at < part.mapped_bytes)
        rc = run_send_piece(w->run->messenger, 0, MESSAGE_PART, &part, &at, err);
    oracle_free(&part);
    return rc;
}

static int take_truth(const struct rank_worker *w, struct run_pieces *arriving,
                      const struct message *message, struct error *err)
{
    bool whole;
    const int rc = run_take_piece(arriving, w->run->experiment->ops, message, &whole, err);
    if (rc || !whole)
        return rc;
    w->run->oracle = arriving->oracle;
    *arriving = (struct run_pieces){ 0 };
    return OK;
}

static int run_cell(const struct rank_worker *w, const struct message *message, struct error *err)
{
    const struct cell *cell = cell_of(w, message);
    return cell ? measure(w, cell, err)
                : fail(err, ERR_CORRUPT, "--mpi: a cell that the plan has not");
}

void worker_serve(const struct rank_worker *w)
{
    struct messenger *m = w->run->messenger;
    struct run_pieces arriving = { 0 };
    bool more = true;
    while (more) {
        struct message *message = messenger_take(m, BOX_WORKER, 1);
        struct error err = { 0 }, unsent = { 0 };
        int rc = OK;
        if (!message) {
            more = messenger_hears(m, 0);
            continue;
        }
        if (message->kind == MESSAGE_COMPUTE)
            rc = compute_part(w, message, &err);
        else if (message->kind == MESSAGE_TRUTH)
            rc = take_truth(w, &arriving, message, &err);
        else if (message->kind == MESSAGE_CELL)
            rc = run_cell(w, message, &err);
        if (rc)
            (void)messenger_send(m, 0, MESSAGE_FAILED, err.text, strlen(err.text), &unsent);
        more = message->kind != MESSAGE_STOP;
        message_free(message);
    }
    oracle_free(&arriving.oracle);
}

/* ------------------------------------------------------------------------------- rank 0 */

void worker_result_free(struct worker_result *r)
{
    json_decref(r->head);
    *r = (struct worker_result){ 0 };
}

int worker_result_read(struct worker_result *r, const struct message *m, struct error *err)
{
    struct head head;
    size_t n = sizeof head;
    *r = (struct worker_result){ 0 };
    if (m->n >= n) {
        memcpy(&head, m->bytes, sizeof head);
        const unsigned char *at = m->bytes + n;
        r->number = head.number;
        r->seconds = head.seconds;
        n += head.json_bytes;
        if (n <= m->n)
            r->head = json_loadb((const char *)at, head.json_bytes, 0, NULL);
        for (size_t i = 0; i < CELL_FILES; i++) {
            if (head.file_bytes[i] == UINT64_MAX)
                continue;
            r->files[i] = m->bytes + n;
            r->bytes[i] = head.file_bytes[i];
            n += r->bytes[i];
        }
    }
    r->cells = json_object_get(r->head, "cells");
    r->identity = json_object_get(r->head, "identity");
    r->key = json_string_value(json_object_get(r->head, "key"));
    if (n == m->n && json_is_array(r->cells) && json_is_object(r->identity) && r->key)
        return OK;
    worker_result_free(r);
    return fail(err, ERR_CORRUPT, "--mpi: rank %d sent a result that cannot be read", m->from);
}
