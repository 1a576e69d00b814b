/* scan.c - scans postings of whole vectors, whose distances are exact, and of codes: these select
 * candidates by their bounds, and then exact distances of those that remain are computed.
 *
 * During the scan the limit is the k-th smallest upper bound of distinct current vectors; an entry
 * whose lower bound is above it cannot be an answer. At the end rows are read by ascending
 * estimate. From then on the k-th exact distance is the limit, and a candidate is reranked if and
 * only if its lower bound is not above the limit. This needs no parameter; the knob `rerank` caps
 * the number of exact distances. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/rows/key_set.h"
#include "algorithms/common/rows/row_store.h"
#include "algorithms/common/rows/rows.h"
#include "algorithms/spfresh/codec/internal.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { GROUP = QUANTIZER_BLOCK, BATCH = 32 };

/* A vector that may be in the answer. Its index equals its slot's index in `met`. */
struct candidate {
    float lower, upper, estimate;
    uint64_t id;
};

/* A sort key, and the index of its candidate. */
struct ranked {
    float key;
    uint32_t i;
};

struct spfresh_codec_scratch {
    struct mem *mem;
    /* Codes: the slots of candidates. Raw: entries, and slots that were offered. */
    struct key_set met;
    uint32_t *places; /* indexes of a posting's new entries */
    size_t n_places;
    /* codes */
    unsigned char *prepared; /* query_bytes */
    float *rotated, *floats; /* the query: work_dim, dim */
    float global_distance;   /* code_centre = global: squared, query to centre */
    struct candidate *candidates;
    size_t candidate_capacity;
    struct ranked *ranked;
    size_t ranked_capacity;
    float *limits; /* the k smallest upper bounds */
    uint64_t *limit_slots;
    size_t limits_capacity, limit_slots_capacity;
    struct topk uppers;
    float *estimates; /* the k smallest estimates, of scans with `stops` */
    uint64_t *estimate_ids;
    size_t estimates_capacity, estimate_ids_capacity;
    struct topk best;
    struct row_reader *reader;
};

static int no_memory(const struct spfresh_codec *c)
{
    return spfresh_no_memory(c->s, "out of memory searching");
}

/* 1. A query */

struct spfresh_codec_scratch *spfresh_codec_scratch_create(const struct spfresh *s)
{
    struct spfresh_codec_scratch *x = mem_zalloc(s->base.env.mem, sizeof *x);

    if (x)
        x->mem = s->base.env.mem;
    return x;
}

void spfresh_codec_scratch_destroy(struct spfresh_codec_scratch *x)
{
    if (!x)
        return;
    struct mem *mem = x->mem;
    key_set_free(&x->met, mem);
    mem_free(mem, x->places);
    mem_free(mem, x->prepared);
    mem_free(mem, x->rotated);
    mem_free(mem, x->floats);
    mem_free(mem, x->candidates);
    mem_free(mem, x->ranked);
    mem_free(mem, x->limits);
    mem_free(mem, x->limit_slots);
    mem_free(mem, x->estimates);
    mem_free(mem, x->estimate_ids);
    row_reader_give(x->reader);
    mem_free(mem, x);
}

/* Allocates memory for queries. The sizes depend only on the codec's options, and on k. */
static int reserve(struct spfresh_codec_scratch *x, const struct spfresh_codec *c, size_t k)
{
    const struct quantizer *q = c->quantizer;

    if (!x->prepared)
        x->prepared = mem_alloc(x->mem, q->query_bytes);
    if (!x->rotated)
        x->rotated = mem_array(x->mem, q->work_dim, sizeof *x->rotated);
    if (!x->floats)
        x->floats = mem_array(x->mem, c->env.dim, sizeof *x->floats);
    if (!x->prepared || !x->rotated || !x->floats ||
        !mem_grow(x->mem, &x->limits, &x->limits_capacity, k, sizeof *x->limits) ||
        !mem_grow(x->mem, &x->limit_slots, &x->limit_slots_capacity, k, sizeof *x->limit_slots) ||
        !mem_grow(x->mem, &x->estimates, &x->estimates_capacity, k, sizeof *x->estimates) ||
        !mem_grow(x->mem, &x->estimate_ids, &x->estimate_ids_capacity, k, sizeof *x->estimate_ids))
        return no_memory(c);
    return OK;
}

int spfresh_codec_scan_begin(struct spfresh_scan *scan)
{
    struct spfresh_codec_scratch *x = scan->scratch;
    const struct spfresh_codec *c = scan->s->codec;
    const struct quantizer *q = c->quantizer;

    key_set_clear(&x->met);
    if (c->kind == CODEC_RAW)
        return OK;
    const int rc = reserve(x, c, scan->top.k ? scan->top.k : 1);
    if (rc != OK)
        return rc;
    rows_to_floats(&c->env, scan->query, 1, x->floats);
    quantizer_transform(q, x->floats, 1, x->rotated);
    quantizer_query(q, x->rotated, x->prepared);
    if (scan->found) /* the answer is every vector within the radius */
        quantizer_query_certain(q, x->prepared);
    x->global_distance =
        c->global ? c->env.kernels->ip_f32(x->rotated, x->rotated, q->work_dim) : 0;
    x->uppers = topk_begin(scan->top.k, x->limits, x->limit_slots);
    x->best = topk_begin(scan->top.k, x->estimates, x->estimate_ids);
    return OK;
}

/* Reads the version first: it determines which id the slot has for this entry. An entry one version
   behind counts too. Its vector is the same, as reuse of a slot adds 3; and the search may have
   begun before a move to a posting that it will not read or has read already. An entry one version
   ahead counts for the same reason: the search may reach the old postings too late. */
static bool is_current(const struct spfresh_scan *x, uint32_t slot, unsigned version, uint64_t *id)
{
    if (slot >= atomic_load_explicit(&x->s->slots.n, memory_order_acquire))
        return false;
    const unsigned now = spfresh_version(x->s, slot);
    if (now & VERSION_DELETED || version + 1 - now > 2)
        return false;
    const uint64_t *ids =
        atomic_load_explicit(&((struct spfresh *)(uintptr_t)x->s)->slots.ids, memory_order_acquire);
    *id = ids[slot];
    return index_filter_allows(x->filter, *id);
}

/* 2. Whole vectors */

/* Adds an entry of a raw posting to `met`, in which space is reserved; false: it is there. The
   version is a part of the key because a stale entry must not hide a current one. */
static inline bool meet(struct spfresh_codec_scratch *x, uint32_t slot, unsigned version)
{
    const size_t n = x->met.n;

    return key_set_add(&x->met, (uint64_t)slot << 16 | version) == n;
}

/* An id is met in two slots if it was removed and inserted again meanwhile, or if maintenance moved
   its vector. */
static void push(struct topk *top, float distance, uint64_t id)
{
    if (distance <= topk_limit(top) && !topk_holds(top, id))
        topk_push(top, distance, id);
}

/* Passes an entry that is current, allowed by the filter and new to top or, in a range search, to
   `found`. Returns the error of `found`. */
static int offer(struct spfresh_scan *x, uint32_t slot, unsigned version, float distance)
{
    uint64_t id;

    if (!is_current(x, slot, version, &id) ||
        !meet(x->scratch, slot, VERSION_DELETED)) /* key of the slot alone */
        return OK;
    if (x->found)
        return x->found(x->to, id, distance);
    push(&x->top, distance, id);
    return OK;
}

/* Finds the new entries by their slots alone, so that the vectors of known copies are not read. */
static size_t find_new(struct spfresh_scan *x, const struct spfresh_codec *c,
                       const unsigned char *bytes, size_t n)
{
    struct spfresh_codec_scratch *scratch = x->scratch;
    size_t fresh = 0;

    for (size_t i = 0; i < n; i++) {
        const unsigned char *tail = bytes + i * c->stride + c->row_bytes;

        scratch->places[fresh] = (uint32_t)i;
        fresh += meet(scratch, spfresh_codec_slot_at(tail),
                      spfresh_codec_version_at(c, tail + sizeof(uint32_t)));
    }
    return fresh;
}

static int raw_scan(struct spfresh_scan *x, const struct spfresh_codec *c,
                    const unsigned char *bytes, size_t n_bytes)
{
    const size_t n = n_bytes / c->stride;
    struct spfresh_codec_scratch *scratch = x->scratch;

    if (!mem_grow(scratch->mem, &scratch->places, &scratch->n_places, n, sizeof *scratch->places) ||
        !key_set_reserve(&scratch->met, scratch->mem,
                         scratch->met.n + 2 * n)) /* one key with version, one without */
        return fail(c->env.error, ERR_NO_MEMORY, "out of memory, cannot scan a posting of %zu", n);
    const size_t fresh = find_new(x, c, bytes, n);
    for (size_t i = 0; i < fresh; i++) {
        const unsigned char *entry = bytes + scratch->places[i] * c->stride;
        /* No software prefetch: entries are contiguous, so the hardware prefetches them. */
        const float distance = rows_distance(&c->env, x->query, entry);
        const float limit = x->found ? x->radius : topk_limit(&x->top);
        int rc;

        if (distance > limit)
            continue;
        rc = offer(x, spfresh_codec_slot_at(entry + c->row_bytes),
                   spfresh_codec_version_at(c, entry + c->row_bytes + sizeof(uint32_t)), distance);
        if (rc != OK)
            return rc;
    }
    x->entries += (double)n;
    x->distances += (double)fresh;
    x->duplicates += (double)(n - fresh);
    x->bytes += (double)n_bytes;
    return OK;
}

/* 3. Codes */

/* Adds a candidate: an entry that is current, allowed, and not excluded by its bounds. If
   the vector is a candidate already, narrows its bounds: replicas have different codes.
   Capacity is reserved. */
static void keep(struct spfresh_scan *scan, uint32_t slot, uint64_t id, float estimate,
                 struct quantizer_bounds b)
{
    struct spfresh_codec_scratch *x = scan->scratch;
    const size_t n = x->met.n, i = key_set_add(&x->met, slot);
    struct candidate *to = &x->candidates[i];

    if (i == n) {
        *to = (struct candidate){ b.lower, b.upper, estimate, id };
        if (!scan->found && b.upper <= topk_limit(&x->uppers))
            topk_push(&x->uppers, b.upper, slot);
        if (scan->stops && estimate <= topk_limit(&x->best))
            topk_push(&x->best, estimate, id);
        return;
    }
    scan->duplicates += 1;
    if (b.upper - b.lower < to->upper - to->lower)
        to->estimate = estimate;
    to->lower = fmaxf(to->lower, b.lower);
    to->upper = fminf(to->upper, b.upper);
}

static float limit_of(const struct spfresh_scan *scan)
{
    return scan->found ? scan->radius : topk_limit(&scan->scratch->uppers);
}

static void scan_group(struct spfresh_scan *scan, const struct spfresh_codec *c,
                       const unsigned char *group, size_t n)
{
    const struct quantizer *q = c->quantizer;
    struct spfresh_codec_scratch *x = scan->scratch;
    float estimate[GROUP];
    uint64_t near = quantizer_scan(q, x->prepared, group, limit_of(scan), estimate);

    near &= n < GROUP ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
    for (; near; near &= near - 1) {
        const unsigned i = (unsigned)__builtin_ctzll(near);
        const uint32_t slot = spfresh_codec_slot_at(group + c->slots_at + i * sizeof slot);
        const unsigned version =
            spfresh_codec_version_at(c, group + c->versions_at + i * c->version_bytes);
        const float limit = limit_of(scan);
        uint64_t id;

        if (q->refines && !quantizer_refine(q, x->prepared, group, i, limit, &estimate[i]))
            continue;
        const struct quantizer_bounds b = quantizer_bounds(q, x->prepared, group, i, estimate[i]);
        if (b.lower > limit || !is_current(scan, slot, version, &id))
            continue;
        keep(scan, slot, id, estimate[i], b);
    }
}

static int codes_scan(struct spfresh_scan *scan, const struct spfresh_codec *c, uint32_t head,
                      float distance, const unsigned char *bytes, size_t n_bytes)
{
    struct spfresh_codec_scratch *x = scan->scratch;
    const size_t n = spfresh_codec_count(c, bytes, n_bytes);
    const size_t most = x->met.n + n;

    if (!key_set_reserve(&x->met, x->mem, most) ||
        !mem_grow(x->mem, &x->candidates, &x->candidate_capacity, most, sizeof *x->candidates))
        return no_memory(c);
    quantizer_query_list(
        c->quantizer, x->prepared, NULL, c->global ? x->global_distance : distance,
        atomic_load_explicit(&spfresh_head(scan->s, head)->error, memory_order_relaxed));
    for (size_t i = 0; i < n; i += GROUP)
        scan_group(scan, c, bytes + i / GROUP * c->group_bytes, n - i < GROUP ? n - i : GROUP);
    scan->entries += (double)n;
    scan->estimates += (double)n;
    scan->bytes += (double)n_bytes;
    return OK;
}

int spfresh_codec_scan(struct spfresh_scan *x, uint32_t head, float distance,
                       const unsigned char *bytes, size_t n_bytes)
{
    return x->s->codec->kind == CODEC_RAW
               ? raw_scan(x, x->s->codec, bytes, n_bytes)
               : codes_scan(x, x->s->codec, head, distance, bytes, n_bytes);
}

size_t spfresh_codec_found(const struct spfresh_scan *x)
{
    return x->s->codec->kind == CODEC_RAW ? x->top.n : x->scratch->met.n;
}

const struct topk *spfresh_codec_nearest(const struct spfresh_scan *x)
{
    return x->s->codec->kind == CODEC_RAW ? &x->top : &x->scratch->best;
}

/* 4. Exact distances */

static float final_limit(const struct spfresh_scan *scan)
{
    return scan->found ? scan->radius : topk_limit(&scan->top);
}

/* Computes exact distances of n candidates, given by index, and marks them as done. */
static int rerank(struct spfresh_scan *scan, const struct spfresh_codec *c, const uint32_t *which,
                  size_t n)
{
    struct spfresh_codec_scratch *x = scan->scratch;
    const void *rows[ROWS_BATCH];
    uint32_t slots[ROWS_BATCH] = { 0 };
    int rc;

    for (size_t i = 0; i < n; i++)
        slots[i] = (uint32_t)x->met.keys[which[i]];
    rc = row_reader_read(x->reader, slots, n, rows);
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct candidate *of = &x->candidates[which[i]];
        const float distance = rows_distance(&c->env, scan->query, rows[i]);

        of->lower = INFINITY;
        if (distance > final_limit(scan))
            continue;
        if (scan->found)
            rc = scan->found(scan->to, of->id, distance);
        else
            push(&scan->top, distance, of->id);
    }
    scan->distances += (double)n;
    return rc;
}

/* Collects the candidates that may be within the limit, sorted by ascending key. Returns their
   number. */
static int by_key(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

static size_t rank(struct spfresh_scan *scan, bool by_estimate, float limit, struct ranked *to)
{
    const struct spfresh_codec_scratch *x = scan->scratch;
    size_t n = 0;

    for (uint32_t i = 0; i < x->met.n; i++) {
        const struct candidate *of = &x->candidates[i];
        if (!(of->lower > limit) && of->lower < INFINITY) /* INFINITY: already reranked */
            to[n++] = (struct ranked){ by_estimate ? of->estimate : of->lower, i };
    }
    qsort(to, n, sizeof *to, by_key);
    return n;
}

/* Reranks in this order, until the lower bounds pass the limit or `most` candidates are done. */
static int rerank_in_order(struct spfresh_scan *scan, const struct spfresh_codec *c,
                           const struct ranked *r, size_t n, size_t batch, size_t most)
{
    const struct spfresh_codec_scratch *x = scan->scratch;
    uint32_t which[ROWS_BATCH];
    size_t m = 0, done = 0;
    int rc = OK;

    for (size_t i = 0; rc == OK && i < n && done < most; i++) {
        if (!(x->candidates[r[i].i].lower > final_limit(scan))) {
            which[m++] = r[i].i;
            done++;
        }
        if (m == batch || (m > 0 && (i + 1 == n || done == most))) {
            rc = rerank(scan, c, which, m);
            m = 0;
        }
    }
    return rc == OK && m > 0 ? rerank(scan, c, which, m) : rc;
}

/* Reranks the k best estimates, which gives a limit; then all candidates with a lower bound below
   it, in order of that bound. */
int spfresh_codec_scan_end(struct spfresh_scan *scan)
{
    struct spfresh_codec_scratch *x = scan->scratch;
    const struct spfresh_codec *c = scan->s->codec;
    const size_t k = scan->top.k < ROWS_BATCH ? scan->top.k : ROWS_BATCH;
    size_t most = SIZE_MAX;
    int rc = OK;

    if (c->kind == CODEC_RAW || x->met.n == 0)
        return OK;
    if (!mem_grow(x->mem, &x->ranked, &x->ranked_capacity, x->met.n, sizeof *x->ranked))
        return no_memory(c);
    if (!x->reader && !(x->reader = row_reader_take(scan->s->rows)))
        return ERR_NO_MEMORY;
    row_reader_begin(x->reader);
    struct ranked *ranked = x->ranked;
    if (scan->rerank > 0)
        most = scan->rerank > scan->top.k ? scan->rerank : scan->top.k;
    size_t n = rank(scan, true, limit_of(scan), ranked);
    if (scan->found || most != SIZE_MAX) {
        rc = rerank_in_order(scan, c, ranked, n, ROWS_BATCH, scan->found ? SIZE_MAX : most);
    } else {
        rc = rerank_in_order(scan, c, ranked, n, k, k);
        n = rc == OK ? rank(scan, false, final_limit(scan), ranked) : 0;
        rc = rc == OK ? rerank_in_order(scan, c, ranked, n, BATCH, SIZE_MAX) : rc;
    }
    scan->row_pages += (double)row_reader_pages(x->reader);
    return rc;
}
