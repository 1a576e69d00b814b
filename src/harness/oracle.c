/* oracle.c - the truth of every search of a list: what is already known of a query set is
   carried forward. */
#include "oracle.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "core/mem.h"
#include "oracle_cache.h"
#include "oracle_scan.h"

/* A question: queries, k or radius, filter. Asked again later, its answer starts from what is
   known here. */
struct question {
    XXH128_hash_t key;
    size_t left; /* times it is still to be asked */
    bool begun;
    size_t at; /* the operation it was last asked at, plus one */
    struct neighbours *known;
    size_t n_queries;
};

struct inquiry {
    struct oracle *oracle;
    const struct op_list *list;
    const char *cache_dir;
    struct holding now;
    const struct holding *asked; /* now, or the snapshot that the operation is asked of */
    struct scan scan;
    struct question *questions;
    size_t n_questions;
    size_t *question_of; /* by operation; SIZE_MAX: none */
    uint64_t *ids;       /* live and allowed, room for all */
    uint64_t *fresh;     /* those of them that came since the question was last asked */
    size_t n_ids;
    bool shrinks;   /* the list deletes or updates */
    size_t room;    /* bytes that the truths of ranges may still take */
    size_t n_asked; /* operations that have a truth */
    struct error *err;
};

/* A larger truth is computed again as soon as it is read: the file would be its size twice. */
static const size_t MOST_CACHED = (size_t)64 << 20; /* answers */

/* What truths of ranges may take: half of the machine's memory; the cells come after them. */
static size_t memory_for_ranges(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    return pages > 0 && page > 0 ? (size_t)pages / 2 * (size_t)page : SIZE_MAX;
}

static bool has_truth(const struct op *op)
{
    return op->kind == OP_SEARCH || op->kind == OP_RANGE ||
           (op->kind == OP_CONCURRENT && op->rows && op->k > 0);
}

static void add_note(struct oracle *oracle, const struct error *note)
{
    const size_t most = sizeof oracle->notes / sizeof *oracle->notes;
    char *text = note->code && oracle->n_notes < most ? mem_strdup(NULL, note->text) : NULL;

    if (text)
        oracle->notes[oracle->n_notes++] = text;
}

/* ---- keys */

/* Runs of rows that follow on each other are one entry, however views and segments cut them. */
struct row_hash {
    XXH3_state_t *state;
    uint64_t source, first, n;
};

static void flush_run(struct row_hash *h)
{
    const uint64_t entry[] = { h->source, h->first, h->n };

    if (h->n)
        XXH3_128bits_update(h->state, entry, sizeof entry);
    h->n = 0;
}

static void hash_row(struct row_hash *h, uint64_t source, uint64_t row)
{
    if (h->n && h->source == source && h->first + h->n == row) {
        h->n++;
        return;
    }
    flush_run(h);
    h->source = source;
    h->first = row;
    h->n = 1;
}

static void hash_view(XXH3_state_t *state, const struct view *v)
{
    struct row_hash h = { .state = state };

    for (size_t i = 0; i < v->n; i++) {
        size_t row;
        const struct source *source = view_row(v, i, &row);
        hash_row(&h, source->hash, row);
    }
    flush_run(&h);
}

static XXH128_hash_t question_key(const struct op_list *list, const struct op *op)
{
    XXH3_state_t *state = XXH3_createState();
    const uint64_t head[] = { 2,           (uint64_t)list->metric,  (uint64_t)list->element,
                              list->dim,   op->kind == OP_RANGE,    op->k,
                              op->rows->n, op->filter_bits != NULL, op->filter_ids };
    const double radius = op->kind == OP_RANGE ? op->radius : 0;
    XXH128_hash_t key = { 0, 0 };

    if (!state)
        return key;
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, head, sizeof head);
    XXH3_128bits_update(state, &radius, sizeof radius);
    if (op->filter_bits)
        XXH3_128bits_update(state, op->filter_bits, (op->filter_ids + 63) / 64 * sizeof(uint64_t));
    /* What is known of a snapshot never grows old, and is of it alone. */
    if (op->as_of)
        XXH3_128bits_update(state, &op->as_of, sizeof op->as_of);
    hash_view(state, op->rows);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}

/* The question's key and the rows it is asked of, in rank order. The filter is in the second by
   what it lets through, and its bits, which depend on ids, need not be: hence a key of its own. */
static XXH128_hash_t truth_key(const struct inquiry *w, const struct op *op)
{
    struct op unfiltered = *op;
    XXH3_state_t *state = XXH3_createState();
    XXH128_hash_t key = { 0, 0 };

    if (!state)
        return key;
    unfiltered.filter_bits = NULL;
    unfiltered.filter_ids = 0;
    unfiltered.as_of = 0;
    key = question_key(w->list, &unfiltered);
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, &key, sizeof key);
    struct row_hash h = { .state = state };
    for (size_t i = 0; i < w->n_ids; i++) {
        const struct holding_row at = w->asked->rows[w->ids[i]];
        hash_row(&h, w->list->datasets[at.dataset].source->hash, at.row);
    }
    flush_run(&h);
    key = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    return key;
}

/* ---- questions */

static void question_free(struct question *q)
{
    for (size_t i = 0; q->known && i < q->n_queries; i++)
        mem_free(NULL, q->known[i].items);
    mem_free(NULL, q->known);
    q->known = NULL;
}

static int find_questions(struct inquiry *w)
{
    w->questions = mem_zalloc(NULL, w->list->n * sizeof *w->questions);
    w->question_of = mem_array(NULL, w->list->n, sizeof *w->question_of);
    if (!w->questions || !w->question_of)
        return fail(w->err, ERR_NO_MEMORY, "truth: no memory for %zu operations", w->list->n);
    for (size_t i = 0; i < w->list->n; i++) {
        const struct op *op = &w->list->ops[i];
        size_t at = 0;

        w->question_of[i] = SIZE_MAX;
        if (!has_truth(op))
            continue;
        const XXH128_hash_t key = question_key(w->list, op);
        while (at < w->n_questions && !XXH128_isEqual(w->questions[at].key, key))
            at++;
        w->n_questions += at == w->n_questions;
        w->questions[at].key = key;
        w->questions[at].n_queries = op->rows->n;
        w->questions[at].left++;
        w->n_asked++;
        w->question_of[i] = at;
    }
    return OK;
}

static int question_begin(struct inquiry *w, struct question *q, const struct op *op)
{
    q->known = mem_zalloc(NULL, (q->n_queries ? q->n_queries : 1) * sizeof *q->known);
    if (!q->known)
        return fail(w->err, ERR_NO_MEMORY, "truth: no memory for %zu queries", q->n_queries);
    for (size_t i = 0; i < q->n_queries; i++)
        q->known[i].horizon =
            op->kind == OP_RANGE ? (struct neighbour){ op->radius, UINT64_MAX } : HORIZON_NONE;
    q->begun = true;
    return OK;
}

/* Drops what is no longer live, or is another row now. */
static void drop_stale(const struct inquiry *w, struct question *q)
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

/* Queries of which fewer than `least` are known although there are more rows: their horizon is
   of no use. */
static size_t find_short(struct question *q, size_t least, uint32_t *which)
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

static size_t find_fresh(struct inquiry *w, size_t since)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_ids; i++)
        if (w->asked->rows[w->ids[i]].since > since)
            w->fresh[n++] = w->ids[i];
    return n;
}

/* Brings the question up to the present: new rows only, where enough is known. */
static int question_update(struct inquiry *w, struct question *q, const struct op *op,
                           uint32_t *which)
{
    const bool range = op->kind == OP_RANGE;
    /* Spare neighbours, so that deletes seldom leave too few: only where the question comes
       again. */
    const size_t keep = range ? SIZE_MAX : q->left > 0 && w->shrinks ? 2 * op->k + 32 : op->k;
    int rc = OK;

    if (q->begun)
        drop_stale(w, q);
    else if ((rc = question_begin(w, q, op)) != OK)
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

/* ---- one operation */

static int fill_search(struct truth *t, const struct question *q, struct error *err)
{
    t->ids = mem_array(NULL, t->n_queries * t->k + 1, sizeof *t->ids);
    t->distances = mem_array(NULL, t->n_queries * t->k + 1, sizeof *t->distances);
    if (!t->ids || !t->distances)
        return fail(err, ERR_NO_MEMORY, "truth: no memory for %zu answers", t->n_queries * t->k);
    for (size_t i = 0; i < t->n_queries; i++)
        for (size_t j = 0; j < t->k; j++) {
            const struct neighbours *known = &q->known[i];
            const bool there = j < known->n;

            t->ids[i * t->k + j] = there ? known->items[j].id : ID_NONE;
            t->distances[i * t->k + j] = there ? (float)known->items[j].distance : INFINITY;
        }
    return OK;
}

static size_t answers_of(const struct question *q)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n_queries; i++)
        n += q->known[i].n;
    return n;
}

/* `room` is what all ranges together may still take. */
static int fill_range(struct truth *t, const struct question *q, size_t *room, struct error *err)
{
    size_t n = answers_of(q);
    const size_t bytes = n * (sizeof *t->ids + sizeof *t->distances);

    if (bytes > *room)
        return fail(err, ERR_NO_MEMORY, "%zu answers are more than the rest of half the memory", n);
    *room -= bytes;
    t->starts = mem_array(NULL, t->n_queries + 1, sizeof *t->starts);
    t->ids = mem_array(NULL, n + 1, sizeof *t->ids);
    t->distances = mem_array(NULL, n + 1, sizeof *t->distances);
    if (!t->starts || !t->ids || !t->distances)
        return fail(err, ERR_NO_MEMORY, "truth: no memory for %zu answers", n);
    n = 0;
    for (size_t i = 0; i < t->n_queries; i++) {
        t->starts[i] = n;
        for (size_t j = 0; j < q->known[i].n; j++, n++) {
            t->ids[n] = q->known[i].items[j].id;
            t->distances[n] = (float)q->known[i].items[j].distance;
        }
    }
    t->starts[t->n_queries] = n;
    return OK;
}

/* Whether to compute again one query of what a file says: by chance, of some twenty files a run, so that who writes
   files does not know which. */
static bool is_drawn(const struct inquiry *w, uint64_t *number)
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

/* One query of a file that was read, measured again. false: the file is wrong, and *note says so. */
static bool holds_up(struct inquiry *w, const struct question *read, const struct op *op,
                     struct error *note)
{
    const bool range = op->kind == OP_RANGE;
    const uint32_t which = 0;
    struct neighbours again = { .horizon = range ? (struct neighbour){ op->radius, UINT64_MAX }
                                                 : HORIZON_NONE };
    struct scan scan = w->scan;
    struct buffer rows = { 0 };
    struct vectors query;
    struct error err = { 0 };
    uint64_t number;
    bool holds = true;

    if (read->n_queries == 0 || !is_drawn(w, &number))
        return true;
    number %= read->n_queries;
    int rc = gather_positions(op->rows, &number, 1, w->list->element, false, &rows, &query, &err);
    if (rc == OK) {
        scan.queries = query.rows;
        scan.most = 0;
        rc = scan_rows(&scan, w->ids, w->n_ids, &which, 1, &again, range ? SIZE_MAX : op->k, &err);
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

/* What the cache has becomes what is known: its last entry is the horizon, unless it holds
   everything. */
static bool from_cache(struct inquiry *w, struct question *q, const struct op *op,
                       XXH128_hash_t key)
{
    const bool range = op->kind == OP_RANGE;
    struct error note = { 0 };
    struct question read = { .n_queries = q->n_queries };

    if (!w->cache_dir || question_begin(w, &read, op) != OK)
        return false;
    bool found = truth_load(w->cache_dir, key, w->ids, w->n_ids, read.known, read.n_queries,
                            range ? SIZE_MAX : op->k, &note);
    found = found && holds_up(w, &read, op, &note);
    add_note(w->oracle, &note);
    if (!found) {
        question_free(&read);
        return false;
    }
    for (size_t i = 0; !range && i < q->n_queries; i++) {
        struct neighbours *known = &read.known[i];

        if (known->n > 0 && known->n < w->n_ids)
            known->horizon = known->items[known->n - 1];
    }
    question_free(q);
    q->known = read.known;
    q->begun = true;
    return true;
}

static int compute(struct inquiry *w, struct question *q, const struct op *op, XXH128_hash_t key)
{
    const uint64_t start = clock_ns();
    uint32_t *which = mem_array(NULL, q->n_queries + 1, sizeof *which);
    struct buffer rows = { 0 };
    struct vectors queries;
    int rc = which ? OK : fail(w->err, ERR_NO_MEMORY, "truth: no memory for queries");

    if (rc == OK)
        rc =
            gather_view(op->rows, 0, op->rows->n, w->list->element, false, &rows, &queries, w->err);
    if (rc == OK) {
        w->scan.queries = queries.rows;
        w->scan.most = w->room / RANGE_ANSWER_BYTES + 1;
        rc = question_update(w, q, op, which);
    }
    mem_free(NULL, which);
    buffer_free(&rows);
    w->oracle->seconds += clock_seconds(clock_ns() - start);
    if (rc == OK && w->cache_dir && answers_of(q) <= MOST_CACHED) {
        struct error note = { 0 };

        truth_store(w->cache_dir, key, w->ids, w->n_ids, q->known, q->n_queries,
                    op->kind == OP_RANGE ? SIZE_MAX : op->k, &note);
        add_note(w->oracle, &note);
    }
    return rc;
}

static int answer(struct inquiry *w, size_t i)
{
    const struct op *op = &w->list->ops[i];
    struct question *q = &w->questions[w->question_of[i]];
    struct truth *t = &w->oracle->truths[i];
    int rc = OK;

    w->asked = w->scan.at = holding_of(&w->now, op);
    w->n_ids = holding_ids(w->asked, op->filter_bits, op->filter_ids, w->ids);
    q->left--;
    *t = (struct truth){ .n_queries = op->rows->n,
                         .k = op->kind == OP_RANGE ? 0 : op->k,
                         .available = w->n_ids };
    const XXH128_hash_t key = truth_key(w, op);
    if (!from_cache(w, q, op, key))
        rc = compute(w, q, op, key);
    if (rc == OK)
        rc = op->kind == OP_RANGE ? fill_range(t, q, &w->room, w->err) : fill_search(t, q, w->err);
    if (rc == ERR_NO_MEMORY && op->kind == OP_RANGE)
        fail_within(w->err,
                    "truth of the range search on line %d, radius %g, %zu queries, %zu rows live "
                    "(fewer queries, or a smaller radius, find less)",
                    op->line, op->radius, op->rows->n, w->n_ids);
    q->at = i + 1;
    if (q->left == 0)
        question_free(q);
    return rc;
}

static int begin(struct inquiry *w, const struct kernels *kernels, struct pool *pool)
{
    const struct op_list *list = w->list;
    int rc = holding_init(&w->now, list, w->err);

    if (rc != OK)
        return rc;
    w->oracle->truths = mem_zalloc(NULL, (list->n + 1) * sizeof *w->oracle->truths);
    w->oracle->n = list->n;
    w->ids = mem_array(NULL, list->n_ids + 1, sizeof *w->ids);
    w->fresh = mem_array(NULL, list->n_ids + 1, sizeof *w->fresh);
    if (!w->oracle->truths || !w->ids || !w->fresh)
        return fail(w->err, ERR_NO_MEMORY, "truth: no memory for %zu ids", list->n_ids);
    w->scan = (struct scan){ .at = &w->now, .kernels = kernels, .pool = pool };
    for (size_t i = 0; i < list->n; i++)
        w->shrinks |= list->ops[i].kind == OP_DELETE || list->ops[i].kind == OP_UPDATE ||
                      list->ops[i].removes;
    return find_questions(w);
}

static void end(struct inquiry *w)
{
    for (size_t i = 0; w->questions && i < w->n_questions; i++)
        question_free(&w->questions[i]);
    mem_free(NULL, w->questions);
    mem_free(NULL, w->question_of);
    mem_free(NULL, w->ids);
    mem_free(NULL, w->fresh);
    holding_free(&w->now);
}

int oracle_make(struct oracle *oracle, const struct op_list *list, const struct kernels *kernels,
                struct pool *pool, const char *cache_dir, void (*progress)(void *to, double share),
                void *to, const volatile int *interrupted, struct error *err)
{
    struct inquiry w = { .oracle = oracle,
                         .list = list,
                         .cache_dir = cache_dir,
                         .room = memory_for_ranges(),
                         .err = err };
    int rc;

    *oracle = (struct oracle){ 0 };
    /* The pool's workers each call it for a tile of their own. */
    openblas_set_num_threads(1);
    rc = begin(&w, kernels, pool);
    w.scan.interrupted = interrupted;
    for (size_t i = 0; rc == OK && i < list->n; i++) {
        rc = holding_step(&w.now, i, err);
        if (rc == OK && has_truth(&list->ops[i]))
            rc = answer(&w, i);
        if (progress)
            progress(to, (double)(i + 1) / (double)list->n);
    }
    if (oracle->seconds > 0)
        oracle->gflops = w.scan.flops / oracle->seconds * 1e-9;
    end(&w);
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
    for (size_t i = 0; i < oracle->n_notes; i++)
        mem_free(NULL, oracle->notes[i]);
    *oracle = (struct oracle){ 0 };
}
