#include "src/cli/run/worker_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/path.h"
#include "src/core/mem.h"

/* A message: this, the text of a JSON object { cells, identity, key }, and for each file its size,
   UINT64_MAX if there is none, and its bytes. */
struct head {
    uint64_t number, json_bytes;
    double seconds;
};

/* Rank 0 writes the files that it receives beside those of its own worker. */
static const char *const names[CELL_FILES] = { [CELL_ANSWERS] = "rank-answers",
                                               [CELL_STRUCTURE] = "rank-structure",
                                               [CELL_ORDERS] = "rank-orders" };

static int put_file(const char *folder, const char *name, FILE *out, struct error *err)
{
    char *path = app_path(folder, name), *bytes = NULL;
    size_t n = 0;
    const bool there = access(path, F_OK) == 0;
    const int rc = there ? path_read_file(folder, name, &bytes, &n, err) : OK;
    const uint64_t size = bytes ? n : UINT64_MAX;
    (void)fwrite(&size, sizeof size, 1, out);
    (void)fwrite(bytes ? bytes : "", 1, n, out);
    free(path);
    free(bytes);
    return rc;
}

static int send_result(struct run_state *run, const struct cell *cell, json_t *cells,
                       double seconds, struct error *err)
{
    json_t *object =
        json_pack("{s:O, s:O, s:s}", "cells", cells, "identity", cell->identity, "key", cell->key);
    char *text = app_made(json_dumps(object, JSON_COMPACT)), *message = NULL;
    const struct head head = { cell->number, strlen(text), seconds };
    size_t n = 0;
    FILE *out = app_made(open_memstream(&message, &n));
    int rc = OK;
    (void)fwrite(&head, sizeof head, 1, out);
    (void)fwrite(text, 1, head.json_bytes, out);
    for (size_t i = 0; !rc && i < CELL_FILES; i++)
        rc = put_file(run->scratch, names[i], out, err);
    if (fclose(out) && !rc)
        rc = fail(err, ERR_NO_MEMORY, "--mpi: out of memory for a cell's result");
    if (!rc)
        rc = messenger_send(run->messenger, 0, MESSAGE_DONE, message, n, err);
    free(message);
    free(text);
    json_decref(object);
    return rc;
}

static int measure(struct run_state *run, const struct cell *cell, struct error *err)
{
    struct cell_env env = run_cell_env(run);
    char *paths[CELL_FILES];
    json_t *cells = NULL;
    const double began = clock_now_s();
    for (size_t i = 0; i < CELL_FILES; i++)
        env.files[i] = paths[i] = app_path(run->scratch, names[i]);
    env.progress = NULL;
    int rc = cell_run(cell, &env, &cells, err);
    if (!rc)
        rc = send_result(run, cell, cells, clock_now_s() - began, err);
    json_decref(cells);
    for (size_t i = 0; i < CELL_FILES; i++) {
        (void)unlink(paths[i]);
        free(paths[i]);
    }
    return rc;
}

static const struct cell *cell_of(struct run_state *run, const struct message *message)
{
    uint64_t number;
    if (message->n != sizeof number)
        return NULL;
    memcpy(&number, message->bytes, sizeof number);
    for (size_t i = 0; i < run->plan.n; i++)
        if (run->plan.cells[i].number == number)
            return &run->plan.cells[i];
    return NULL;
}

static int compute_part(struct run_state *run, const struct message *message, struct error *err)
{
    struct worker_part which;
    struct oracle part;
    size_t at = 0;
    if (message->n != sizeof which)
        return fail(err, ERR_CORRUPT, "--mpi: a part of the ground truth without a number");
    memcpy(&which, message->bytes, sizeof which);
    const struct oracle_env what = { .part = (size_t)which.part, .parts = (size_t)which.parts };
    int rc = run_make_truth(run, &part, what, err);
    while (!rc && at < part.mapped_bytes)
        rc = run_send_piece(run->messenger, 0, MESSAGE_PART, &part, &at, err);
    oracle_free(&part);
    return rc;
}

static int take_truth(struct run_state *run, struct run_pieces *arriving,
                      const struct message *message, struct error *err)
{
    bool whole;
    const int rc = run_take_piece(arriving, run->experiment->ops, message, &whole, err);
    if (rc || !whole)
        return rc;
    run->oracle = arriving->oracle;
    *arriving = (struct run_pieces){ 0 };
    return OK;
}

static int run_cell(struct run_state *run, const struct message *message, struct error *err)
{
    const struct cell *cell = cell_of(run, message);
    return cell ? measure(run, cell, err)
                : fail(err, ERR_CORRUPT, "--mpi: a cell that the plan has not");
}

void worker_serve(struct run_state *run)
{
    struct messenger *m = run->messenger;
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
            rc = compute_part(run, message, &err);
        else if (message->kind == MESSAGE_TRUTH)
            rc = take_truth(run, &arriving, message, &err);
        else if (message->kind == MESSAGE_CELL)
            rc = run_cell(run, message, &err);
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

/* The next n bytes of the message; NULL past its end. */
static const void *take(const struct message *m, size_t *at, uint64_t n)
{
    if (n > m->n - *at)
        return NULL;
    *at += n;
    return m->bytes + *at - n;
}

int worker_result_read(struct worker_result *r, const struct message *m, struct error *err)
{
    struct head head = { 0 };
    size_t at = 0;
    const void *bytes = take(m, &at, sizeof head);
    *r = (struct worker_result){ 0 };
    if (bytes)
        memcpy(&head, bytes, sizeof head);
    const char *text = take(m, &at, head.json_bytes);
    bool whole = bytes && text;
    for (size_t i = 0; whole && i < CELL_FILES; i++) {
        uint64_t size = UINT64_MAX;
        whole = (bytes = take(m, &at, sizeof size)) != NULL;
        if (whole)
            memcpy(&size, bytes, sizeof size);
        if (size == UINT64_MAX)
            continue;
        r->bytes[i] = size;
        whole = (r->files[i] = take(m, &at, size)) != NULL;
    }
    r->number = head.number;
    r->seconds = head.seconds;
    r->head = whole ? json_loadb(text, head.json_bytes, 0, NULL) : NULL;
    r->cells = json_object_get(r->head, "cells");
    r->identity = json_object_get(r->head, "identity");
    r->key = json_string_value(json_object_get(r->head, "key"));
    if (at == m->n && json_is_array(r->cells) && json_is_object(r->identity) && r->key)
        return OK;
    worker_result_free(r);
    return fail(err, ERR_CORRUPT, "--mpi: rank %d sent a result that cannot be read", m->from);
}
