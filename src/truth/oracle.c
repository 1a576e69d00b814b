/* oracle.c - the ground truth of every search of a list. A query set that is searched again updates
   its earlier neighbours. */
#include "src/truth/oracle.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/core/device/cuda.h"
#include "src/core/mem.h"
#include "src/truth/oracle_internal.h"
#include "src/workload/gather.h"

/* In answers. A larger truth is not cached: computing it again is about as fast as reading it. */
static const size_t MOST_CACHED = (size_t)64 << 20;

static bool has_truth(const struct op *op)
{
    return (op_info(op->kind)->flags & OP_ASKS) && op->rows && (op->kind == OP_RANGE || op->k > 0);
}

/* text: "" for none. */
static void add_note(struct oracle *oracle, const char *text)
{
    if (*text && oracle->n_notes < sizeof oracle->notes / sizeof *oracle->notes)
        (void)snprintf(oracle->notes[oracle->n_notes++], sizeof *oracle->notes, "%s", text);
}

static void find_query_sets(struct oracle_run *w)
{
    for (size_t i = 0; i < w->list->n; i++) {
        const struct op *op = &w->list->ops[i];
        size_t at = 0;

        w->query_set_of[i] = SIZE_MAX;
        if (!has_truth(op))
            continue;
        const XXH128_hash_t key = oracle_query_set_key(w->list, op);
        while (at < w->n_query_sets && !XXH128_isEqual(w->query_sets[at].key, key))
            at++;
        w->n_query_sets += at == w->n_query_sets;
        w->query_sets[at].key = key;
        w->query_sets[at].n_queries = op->rows->n;
        w->query_sets[at].left++;
        w->n_asked++;
        w->query_set_of[i] = at;
    }
}

static size_t answers_of(const struct query_set *q)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n_queries; i++)
        n += q->known[i].n;
    return n;
}

/* Copies the neighbours: each query of a search has k places, those of a range follow each other. */
static int fill(struct oracle_run *w, struct truth *t, const struct query_set *q, bool range)
{
    static const struct neighbour none = { HUGE_VAL, INDEX_NO_ID };
    const size_t n = range ? answers_of(q) : t->n_queries * t->k;
    const size_t bytes = range ? n * (sizeof *t->ids + sizeof *t->distances) : 0;
    size_t at = 0;

    if (bytes > w->range_bytes)
        return fail(w->err, ERR_NO_MEMORY,
                    "%zu answers need more than what is left of half the memory", n);
    w->range_bytes -= bytes;
    t->ids = mem_array(NULL, n, sizeof *t->ids);
    t->distances = mem_array(NULL, n, sizeof *t->distances);
    t->starts = range ? mem_array(NULL, t->n_queries + 1, sizeof *t->starts) : NULL;
    if (!t->ids || !t->distances || (range && !t->starts))
        return fail(w->err, ERR_NO_MEMORY, "truth: out of memory for %zu answers", n);
    for (size_t i = 0; i < t->n_queries; i++) {
        const struct neighbours *known = &q->known[i];

        if (range)
            t->starts[i] = at;
        for (size_t j = 0; j < (range ? known->n : t->k); j++, at++) {
            const struct neighbour *answer = j < known->n ? &known->items[j] : &none;

            t->ids[at] = answer->id;
            t->distances[at] = answer->distance;
        }
    }
    if (range)
        t->starts[t->n_queries] = at;
    return OK;
}

/* Whether one query of a cached file is computed again as a check. About 20 files per run are
   chosen at random, so that the author of a wrong file cannot predict which. */
static bool is_drawn(const struct oracle_run *w, uint64_t *number)
{
    enum { FILES = 20 };

    if (getrandom(number, sizeof *number, 0) != (ssize_t)sizeof *number)
        return false;
    const bool drawn = w->n_asked <= FILES || *number % w->n_asked < FILES;
    *number /= w->n_asked ? w->n_asked : 1;
    return drawn;
}

static bool same_neighbours(const struct neighbours *a, const struct neighbours *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; i < a->n && same; i++)
        same = a->items[i].id == b->items[i].id && !(a->items[i].distance < b->items[i].distance) &&
               !(a->items[i].distance > b->items[i].distance);
    return same;
}

/* Computes one query of a cached file again. Returns false, with a message in `note`, if the file
   is wrong. */
static bool holds_up(struct oracle_run *w, const struct query_set *read, const struct op *op,
                     struct error *note)
{
    const uint32_t which = 0;
    struct neighbours again = { .horizon = oracle_horizon_of(op) };
    struct exact_scan scan = w->scan;
    struct buffer rows = { 0 };
    struct vectors query;
    struct error err = { 0 };
    uint64_t number;
    bool holds = true;

    if (read->n_queries == 0 || !is_drawn(w, &number))
        return true;
    number %= read->n_queries;
    int rc = gather_view(op->rows, &number, 1, w->list->element, false, &rows, &query, &err);
    if (rc == OK) {
        scan.queries = query.rows;
        scan.most = 0;
        rc = scan_rows(&scan, w->ids, w->n_ids, &which, 1, &again, oracle_most_of(op), &err);
    }
    if (rc == OK)
        holds = same_neighbours(&again, &read->known[number]);
    if (!holds)
        fail(note, ERR_CORRUPT,
             "a stored truth is wrong (query %" PRIu64 " of the operation on line %d), so it is "
             "computed again",
             number + 1, op->line);
    buffer_free(&rows);
    mem_free(NULL, again.items);
    return holds;
}

/* Replaces the query set's neighbours by the cached ones. The horizon is the last cached neighbour,
   unless all rows are cached. Returns false if there is no valid file. */
static bool from_cache(struct oracle_run *w, struct query_set *q, const struct op *op,
                       XXH128_hash_t key)
{
    struct error note = { 0 };
    struct query_set read = { .n_queries = q->n_queries };

    if (!w->env->cache_dir || oracle_query_set_begin(w, &read, op) != OK)
        return false;
    bool found = truth_load(w->env->cache_dir, key, w->ids, w->n_ids, read.known, read.n_queries,
                            oracle_most_of(op), &note);
    found = found && holds_up(w, &read, op, &note);
    add_note(w->oracle, note.text);
    if (!found) {
        oracle_query_set_free(&read);
        return false;
    }
    for (size_t i = 0; op->kind != OP_RANGE && i < q->n_queries; i++) {
        struct neighbours *known = &read.known[i];

        if (known->n > 0 && known->n < w->n_ids)
            known->horizon = known->items[known->n - 1];
    }
    oracle_query_set_free(q);
    q->known = read.known;
    return true;
}

static int compute(struct oracle_run *w, struct query_set *q, const struct op *op)
{
    uint32_t *which = mem_array(NULL, q->n_queries + 1, sizeof *which);
    struct buffer rows = { 0 };
    struct vectors queries;
    int rc = which ? OK : fail(w->err, ERR_NO_MEMORY, "truth: out of memory for queries");

    if (rc == OK)
        rc = gather_view(op->rows, NULL, op->rows->n, w->list->element, false, &rows, &queries,
                         w->err);
    if (rc == OK) {
        w->scan.queries = queries.rows;
        w->scan.most = w->range_bytes / RANGE_ANSWER_BYTES + 1;
        rc = oracle_query_set_update(w, q, op, which);
    }
    mem_free(NULL, which);
    buffer_free(&rows);
    return rc;
}

static int compute_and_store(struct oracle_run *w, struct query_set *q, size_t at,
                             XXH128_hash_t key)
{
    const struct op *op = &w->list->ops[at];
    const uint64_t start = clock_ns();

    if (w->env->only_cached)
        return fail(w->err, ERR_NOT_FOUND, "truth: the cache has none of the operation on line %d",
                    op->line);
    const int rc = w->env->merge ? oracle_merge(w, q, at) : compute(w, q, op);
    w->oracle->seconds += clock_seconds(clock_ns() - start);
    if (rc == OK && w->env->cache_dir && answers_of(q) <= MOST_CACHED) {
        struct error note = { 0 };

        truth_store(w->env->cache_dir, key, w->ids, w->n_ids, q->known, q->n_queries,
                    oracle_most_of(op), &note);
        add_note(w->oracle, note.text);
    }
    return rc;
}

static int answer(struct oracle_run *w, size_t i)
{
    const struct op *op = &w->list->ops[i];
    struct query_set *q = &w->query_sets[w->query_set_of[i]];
    struct truth *t = &w->oracle->truths[i];
    int rc = OK;

    w->asked = w->scan.at = live_state_of(&w->now, op);
    w->n_ids = live_state_ids(w->asked, op->filter_bits, op->filter_ids, w->ids);
    w->n_ids = oracle_part_of(w->env->part, w->env->parts, w->ids, w->n_ids, w->ids);
    q->left--;
    const XXH128_hash_t key = oracle_truth_key(w, op, w->ids, w->n_ids);
    *t = (struct truth){ .n_queries = op->rows->n,
                         .k = op->kind == OP_RANGE ? 0 : op->k,
                         .available = w->n_ids,
                         .key = { key.low64, key.high64 } };
    if (!from_cache(w, q, op, key))
        rc = compute_and_store(w, q, i, key);
    if (rc == OK)
        rc = fill(w, t, q, op->kind == OP_RANGE);
    if (rc == ERR_NO_MEMORY && op->kind == OP_RANGE)
        fail_within(w->err,
                    "truth of the range search on line %d, radius %g, %zu queries, %zu rows live "
                    "(fewer queries, or a smaller radius, find less)",
                    op->line, op->radius, op->rows->n, w->n_ids);
    q->at = i + 1;
    if (q->left == 0)
        oracle_query_set_free(q);
    return rc;
}

static int begin(struct oracle_run *w, const struct kernels *kernels, struct pool *pool)
{
    const struct op_list *list = w->list;
    int rc = live_state_init(&w->now, list, w->err);

    if (rc != OK)
        return rc;
    w->oracle->truths = mem_zalloc(NULL, list->n * sizeof *w->oracle->truths);
    w->oracle->n = list->n;
    w->query_sets = mem_group_zalloc(&w->memory, list->n, sizeof *w->query_sets);
    w->query_set_of = mem_group_array(&w->memory, list->n, sizeof *w->query_set_of);
    w->ids = mem_group_array(&w->memory, list->n_ids, sizeof *w->ids);
    w->fresh = mem_group_array(&w->memory, list->n_ids, sizeof *w->fresh);
    if (!w->oracle->truths || w->memory.failed)
        return fail(w->err, ERR_NO_MEMORY, "truth: out of memory for %zu operations and %zu ids",
                    list->n, list->n_ids);
    w->scan = (struct exact_scan){ .at = &w->now, .kernels = kernels, .pool = pool };
    for (size_t i = 0; i < list->n; i++) {
        const enum op_rows rows = op_info(list->ops[i].kind)->rows;

        w->shrinks |= rows == ROWS_GO || rows == ROWS_CHANGE || list->ops[i].n_removes > 0;
    }
    find_query_sets(w);
    return OK;
}

/* The parts were computed at the same time, so the slowest counts. */
static void add_parts(struct oracle_run *w)
{
    for (size_t i = 0; i < w->env->n_merge; i++) {
        const struct oracle *part = &w->env->merge[i];

        w->scan.flops += part->gflops * part->seconds * 1e9;
        if (w->oracle->seconds < part->seconds)
            w->oracle->seconds = part->seconds;
        for (size_t j = 0; j < part->n_notes; j++)
            add_note(w->oracle, part->notes[j]);
    }
}

static int make(struct oracle_run *w)
{
    const struct oracle_env *env = w->env;
    int rc = OK;

    add_parts(w);
    for (size_t i = 0; rc == OK && i < w->list->n; i++) {
        rc = live_state_step(&w->now, i, w->err);
        if (rc == OK && has_truth(&w->list->ops[i]))
            rc = answer(w, i);
        if (env->progress)
            env->progress(env->to, (double)(i + 1) / (double)w->list->n);
    }
    return rc;
}

int oracle_make(struct oracle *oracle, const struct op_list *list, const struct oracle_env *env,
                struct error *err)
{
    const size_t memory =
        (size_t)mem_of_machine(); /* half for range searches: cells need some, too */
    struct oracle_run w = { .oracle = oracle,
                            .list = list,
                            .env = env,
                            .range_bytes = memory > 0 ? memory / 2 : SIZE_MAX,
                            .err = err };
    struct cuda cuda = { 0 };
    int rc = OK;

    *oracle = (struct oracle){ 0 };
    /* Each worker of the pool calls SGEMM for its own tile. */
    openblas_set_num_threads(1);
    if (env->on_device)
        rc = cuda_open(&cuda, "truth", "truth_device", err);
    if (rc == OK)
        rc = begin(&w, env->kernels, env->pool);
    w.scan.interrupted = env->interrupted;
    w.scan.cuda = env->on_device ? &cuda : NULL;
    if (rc == OK)
        rc = make(&w);
    if (oracle->seconds > 0)
        oracle->gflops = w.scan.flops / oracle->seconds * 1e-9;
    for (size_t i = 0; w.query_sets && i < w.n_query_sets; i++)
        oracle_query_set_free(&w.query_sets[i]);
    mem_group_free(&w.memory);
    live_state_free(&w.now);
    cuda_close(&cuda);
    if (rc != OK)
        oracle_free(oracle);
    return rc;
}

void oracle_free(struct oracle *oracle)
{
    for (size_t i = 0; oracle->truths && !oracle->mapped && i < oracle->n; i++) {
        mem_free(NULL, oracle->truths[i].ids);
        mem_free(NULL, oracle->truths[i].distances);
        mem_free(NULL, oracle->truths[i].starts);
    }
    mem_free(NULL, oracle->truths);
    if (oracle->mapped)
        (void)munmap(oracle->mapped, oracle->mapped_bytes);
    *oracle = (struct oracle){ 0 };
}
