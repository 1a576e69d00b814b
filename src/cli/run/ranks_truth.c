/* ranks_truth.c - the ground truth of a run on several ranks, by rank 0.
 *
 * There is a part for each rank. A rank that has loaded the config computes a part, and another while one
 * waits: that of a rank which is lost, or has not loaded the config yet. Rank 0 merges the parts, stores the whole
 * in its cache, and sends it to the ranks that get cells. */
#include "src/cli/run/ranks_internal.h"
#include "src/cli/run/worker_internal.h"
#include "src/core/mem.h"

/* Pieces that wait to be sent to one rank, so that a large truth is not copied whole for each. */
enum { MOST_QUEUED = 64 };

static void truth_is_known(struct dispatcher *r)
{
    r->truth_known = true;
    run_report_truth(r->run);
}

int ranks_truth_begin(struct dispatcher *r, struct error *error)
{
    const size_t n = (size_t)r->n;
    struct error missing = { 0 };

    r->part = mem_zalloc(NULL, n * sizeof *r->part);
    r->parts = mem_zalloc(NULL, n * sizeof *r->parts);
    r->parts_left = n;
    if (!r->part || !r->parts)
        return fail(error, ERR_NO_MEMORY, "--mpi: out of memory for %zu ranks", n);
    const struct oracle_env cached = { .only_cached = true };
    const int rc = run_make_truth(r->run, &r->run->oracle, cached, &missing);
    if (rc == OK)
        truth_is_known(r);
    return rc == OK || rc == ERR_NOT_FOUND ? OK : fail(error, rc, "%s", missing.text);
}

static void free_parts(struct dispatcher *r)
{
    for (int i = 0; r->parts && i < r->n; i++)
        oracle_free(&r->parts[i]);
}

void ranks_truth_free(struct dispatcher *r)
{
    free_parts(r);
    for (int i = 0; r->rank && i < r->n; i++)
        oracle_free(&r->rank[i].arriving.oracle);
    mem_free(NULL, r->part);
    mem_free(NULL, r->parts);
}

int ranks_truth_hand_out(struct dispatcher *r, struct error *error)
{
    int rc = OK, at = 0;
    for (int i = 0; !rc && i < r->n; i++) {
        struct rank_state *rank = &r->rank[i];
        if (!rank->ready || rank->lost || rank->part != NO_PART)
            continue;
        while (at < r->n && r->part[at] != CELL_WAITS)
            at++;
        if (at == r->n)
            break;
        const struct worker_part which = { (uint64_t)at, (uint64_t)r->n };
        rank->part = at;
        r->part[at] = CELL_RUNS;
        progress_note(&r->run->progress, "part %d of %d of the exact truth begins on rank %d",
                      at + 1, r->n, i);
        rc = messenger_send(r->messenger, i, MESSAGE_COMPUTE, &which, sizeof which, error);
    }
    return rc;
}

static int merge(struct dispatcher *r, struct error *error)
{
    const struct oracle_env parts = { .merge = r->parts, .n_merge = (size_t)r->n };
    const int rc = run_make_truth(r->run, &r->run->oracle, parts, error);
    free_parts(r); /* before a method runs */
    if (rc == OK)
        truth_is_known(r);
    return rc;
}

int ranks_truth_take(struct dispatcher *r, const struct message *message, struct error *error)
{
    struct rank_state *rank = &r->rank[message->from];
    const struct op_list *ops = r->run->experiment->ops;
    bool whole;
    if (rank->part == NO_PART)
        return fail(error, ERR_CORRUPT,
                    "--mpi: rank %d sent a part of the ground truth that it was not asked for",
                    message->from);
    const int rc = run_take_piece(&rank->arriving, ops, message, &whole, error);
    if (rc || !whole)
        return rc;
    r->part[rank->part] = CELL_FINISHED;
    r->parts[rank->part] = rank->arriving.oracle;
    rank->truth_rows += oracle_part_ids((size_t)rank->part, (size_t)r->n, ops->n_ids);
    rank->truth_seconds += rank->arriving.oracle.seconds;
    rank->arriving = (struct run_pieces){ 0 };
    rank->part = NO_PART;
    r->parts_left--;
    progress_share(&r->run->progress, "exact truth", 1 - (double)r->parts_left / (double)r->n);
    return r->parts_left > 0 ? OK : merge(r, error);
}

void ranks_truth_lose(struct dispatcher *r, struct rank_state *rank)
{
    oracle_free(&rank->arriving.oracle);
    rank->arriving = (struct run_pieces){ 0 };
    if (rank->part != NO_PART)
        r->part[rank->part] = CELL_WAITS;
    rank->part = NO_PART;
}

int ranks_truth_send(struct dispatcher *r, int i, bool *sent, struct error *error)
{
    struct rank_state *rank = &r->rank[i];
    const struct oracle *whole = &r->run->oracle;
    int rc = OK;
    while (!rc && i > 0 && rank->sent < whole->mapped_bytes &&
           messenger_queued(r->messenger, i) < MOST_QUEUED)
        rc = run_send_piece(r->messenger, i, MESSAGE_TRUTH, whole, &rank->sent, error);
    *sent = i == 0 || rank->sent == whole->mapped_bytes;
    return rc;
}
