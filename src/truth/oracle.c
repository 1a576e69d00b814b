/* oracle.c - see oracle.h. A query set that is searched again updates its earlier neighbours.
 *
 * 1 the neighbours of a query set   2 merging parts   3 the truth of an operation   4 all of them */
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
#include "src/truth/cache.h"
#include "src/truth/scan.h"
#include "src/workload/gather.h"

/* The same queries with the same k or radius and filter. If they are searched again, the
   computation starts from the neighbours stored here. */
struct query_set {
    XXH128_hash_t key;
    size_t left;              /* how many operations that search it are still to come */
    size_t at;                /* one plus the number of the last operation that searched it */
    struct neighbours *known; /* NULL: not begun, or freed */
    size_t n_queries;
};

struct oracle_run {
    struct oracle *oracle;
    const struct op_list *list;
    const struct oracle_env *env;
    struct live_state now;
    const struct live_state *asked; /* `now`, or the snapshot that the operation searches */
    struct exact_scan scan;
    struct mem_group memory; /* of the following arrays */
    struct query_set *query_sets;
    size_t n_query_sets;
    size_t *query_set_of; /* by operation; SIZE_MAX: none */
    uint64_t *ids;   /* n_ids live ids of the part that pass the filter; capacity list->n_ids */
    uint64_t *fresh; /* those inserted since the query set was last searched */
    size_t n_ids;
    bool shrinks;       /* the list deletes or updates */
    size_t range_bytes; /* bytes that the truths of ranges may still use */
    size_t n_asked;     /* operations that have a truth */
    struct error *err;
};

/* Where the neighbours of the operation's queries end, and how many each has at most. */
static struct neighbour horizon_of(const struct op *op)
{
    return op->kind == OP_RANGE ? (struct neighbour){ op->radius, UINT64_MAX } : HORIZON_NONE;
}

static size_t most_of(const struct op *op)
{
    return op->kind == OP_RANGE ? SIZE_MAX : op->k;
}

/* ---- 1. the neighbours of a query set */

static void free_set(struct query_set *q)
{
    for (size_t i = 0; q->known && i < q->n_queries; i++)
        mem_free(NULL, q->known[i].items);
    mem_free(NULL, q->known);
    q->known = NULL;
}

/* Allocates q->known, without neighbours. */
static int begin_set(struct oracle_run *w, struct query_set *q, const struct op *op)
{
    q->known = mem_zalloc(NULL, (q->n_queries ? q->n_queries : 1) * sizeof *q->known);
    if (!q->known)
        return fail(w->err, ERR_NO_MEMORY, "truth: out of memory for %zu queries", q->n_queries);
    for (size_t i = 0; i < q->n_queries; i++)
        q->known[i].horizon = horizon_of(op);
    return OK;
}

/* Removes neighbours that are no longer live or whose row has changed. */
static void drop_stale(const struct oracle_run *w, struct query_set *q)
{
    for (size_t i = 0; i < q->n_queries; i++) {
        struct neighbours *known = &q->known[i];
        size_t kept = 0;

        for (size_t j = 0; j < known->n; j++)
            if (live_has(&w->asked->live, known->items[j].id) &&
                w->asked->rows[known->items[j].id].since <= q->at)
                known->items[kept++] = known->items[j];
        known->n = kept;
    }
}

/* Finds the queries with fewer than `least` neighbours although there are more rows. Clears them,
   because they must scan all rows. */
static size_t find_short(struct query_set *q, size_t least, uint32_t *which)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n_queries; i++) {
        struct neighbours *known = &q->known[i];

        if (known->n < least && known->horizon.distance < HUGE_VAL) {
            known->n = 0;
            known->horizon = HORIZON_NONE;
            which[n++] = (uint32_t)i;
        }
    }
    return n;
}

static size_t find_fresh(struct oracle_run *w, size_t since)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_ids; i++)
        if (w->asked->rows[w->ids[i]].since > since)
            w->fresh[n++] = w->ids[i];
    return n;
}

/* Updates the neighbours to the live set searched now. Scans only new rows, except for queries that
   have lost too many neighbours. which: scratch space for n_queries. */
static int update_set(struct oracle_run *w, struct query_set *q, const struct op *op,
                      uint32_t *which)
{
    const bool range = op->kind == OP_RANGE;
    /* If the queries are searched again, spare neighbours make it unlikely that
       deletes leave too few. */
    const size_t keep = range ? SIZE_MAX : q->left > 0 && w->shrinks ? 2 * op->k + 32 : op->k;
    int rc = OK;

    if (q->known)
        drop_stale(w, q);
    else if ((rc = begin_set(w, q, op)) != OK)
        return rc;
    for (size_t i = 0; i < q->n_queries; i++)
        which[i] = (uint32_t)i;
    rc = scan_rows(&w->scan, w->fresh, find_fresh(w, q->at), which, q->n_queries, q->known, keep,
                   w->err);
    if (rc == OK && !range) {
        const size_t least = op->k < w->n_ids ? op->k : w->n_ids;
        const size_t n = find_short(q, least, which);

        rc = scan_rows(&w->scan, w->ids, w->n_ids, which, n, q->known, keep, w->err);
    }
    return rc;
}

/* ---- 2. merging parts, which several processes have computed for ids of their own */

size_t oracle_part_ids(size_t part, size_t parts, size_t n_ids)
{
    size_t n = 0;

    for (size_t first = 0; first < n_ids; first += ORACLE_PART_CHUNK)
        if (oracle_part_has(part, parts, first))
            n += n_ids - first < ORACLE_PART_CHUNK ? n_ids - first : ORACLE_PART_CHUNK;
    return n;
}

/* Keeps the ids of the part; returns how many. In and out may be the same. */
static size_t keep_part(size_t part, size_t parts, const uint64_t *ids, size_t n, uint64_t *out)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (oracle_part_has(part, parts, ids[i]))
            out[kept++] = ids[i];
    return kept;
}

/* Another process may have other data, or another config: its answers would be a wrong truth. */
static int check_part(const struct oracle_run *w, size_t part, size_t at)
{
    const struct op *op = &w->list->ops[at];
    const bool range = op->kind == OP_RANGE;
    const struct oracle *from = &w->env->merge[part];
    const struct truth *t = at < from->n ? &from->truths[at] : NULL;
    const size_t n = keep_part(part, w->env->n_merge, w->ids, w->n_ids, w->fresh);
    const XXH128_hash_t key = truth_key(w->asked, op, w->fresh, n);

    if (t && t->n_queries == op->rows->n && t->k == (range ? 0 : op->k) &&
        (t->starts != NULL) == range && t->available == n && t->key[0] == key.low64 &&
        t->key[1] == key.high64)
        return OK;
    return fail(w->err, ERR_CORRUPT,
                "truth: part %zu of %zu is of other queries or rows than those of the operation "
                "on line %d; its process needs the same config and the same data",
                part + 1, w->env->n_merge, op->line);
}

/* Answers of one query in one part that are not merged yet. */
struct rest {
    const struct truth *from;
    size_t at, end;
};

static struct neighbour head_of(const struct rest *r)
{
    return (struct neighbour){ r->from->distances[r->at], r->from->ids[r->at] };
}

static struct rest rest_of(const struct truth *t, size_t query)
{
    if (t->starts)
        return (struct rest){ t, (size_t)t->starts[query], (size_t)t->starts[query + 1] };
    return (struct rest){ t, query * t->k, (query + 1) * t->k };
}

static bool merge_query(struct neighbours *known, struct rest *rests, size_t parts, size_t most)
{
    known->n = 0;
    while (known->n < most) {
        struct rest *nearest = NULL;

        for (size_t i = 0; i < parts; i++)
            /* A search has INDEX_NO_ID past its rows. */
            if (rests[i].at < rests[i].end && head_of(&rests[i]).id != INDEX_NO_ID &&
                (!nearest || scan_before(head_of(&rests[i]), head_of(nearest))))
                nearest = &rests[i];
        if (!nearest)
            break;
        if (!mem_grow(NULL, &known->items, &known->capacity, known->n + 1, sizeof *known->items))
            return false;
        known->items[known->n++] = head_of(nearest);
        nearest->at++;
    }
    return true;
}

/* Replaces the query set's neighbours by those of the parts of operation `at`, merged. ERR_CORRUPT:
   a part is of another shape, or of other queries or rows. */
static int merge(struct oracle_run *w, struct query_set *q, size_t at)
{
    const struct op *op = &w->list->ops[at];
    const size_t parts = w->env->n_merge;
    struct rest *rests = mem_array(NULL, parts, sizeof *rests);
    bool enough = rests != NULL;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < parts; i++)
        rc = check_part(w, i, at);
    if (rc == OK && !q->known)
        rc = begin_set(w, q, op);
    for (size_t query = 0; rc == OK && enough && query < q->n_queries; query++) {
        for (size_t i = 0; i < parts; i++)
            rests[i] = rest_of(&w->env->merge[i].truths[at], query);
        enough = merge_query(&q->known[query], rests, parts, most_of(op));
    }
    if (rc == OK && !enough)
        rc = fail(w->err, ERR_NO_MEMORY, "truth: out of memory to merge %zu parts", parts);
    mem_free(NULL, rests);
    return rc;
}

/* ---- 3. the truth of an operation */

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
        const XXH128_hash_t key = truth_query_key(w->list, op);
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
    struct neighbours again = { .horizon = horizon_of(op) };
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
        rc = scan_rows(&scan, w->ids, w->n_ids, &which, 1, &again, most_of(op), &err);
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

    if (!w->env->cache_dir || begin_set(w, &read, op) != OK)
        return false;
    bool found = truth_load(w->env->cache_dir, key, w->ids, w->n_ids, read.known, read.n_queries,
                            most_of(op), &note);
    found = found && holds_up(w, &read, op, &note);
    add_note(w->oracle, note.text);
    if (!found) {
        free_set(&read);
        return false;
    }
    for (size_t i = 0; op->kind != OP_RANGE && i < q->n_queries; i++) {
        struct neighbours *known = &read.known[i];

        if (known->n > 0 && known->n < w->n_ids)
            known->horizon = known->items[known->n - 1];
    }
    free_set(q);
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
        rc = update_set(w, q, op, which);
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
    const int rc = w->env->merge ? merge(w, q, at) : compute(w, q, op);
    w->oracle->seconds += clock_seconds(clock_ns() - start);
    if (rc == OK && w->env->cache_dir && answers_of(q) <= MOST_CACHED) {
        struct error note = { 0 };

        truth_store(w->env->cache_dir, key, w->ids, w->n_ids, q->known, q->n_queries, most_of(op),
                    &note);
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
    w->n_ids = keep_part(w->env->part, w->env->parts, w->ids, w->n_ids, w->ids);
    q->left--;
    const XXH128_hash_t key = truth_key(w->asked, op, w->ids, w->n_ids);
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
        free_set(q);
    return rc;
}

/* ---- 4. all of them */

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
        free_set(&w.query_sets[i]);
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
