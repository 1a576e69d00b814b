/* scan.c - a list's chunks: the quantizer says which vectors may be answers, these get their exact
 * distance.
 *
 * The exact vectors lie by slot, at random: a candidate's is fetched from memory and waits in a queue
 * of PENDING until the fetch is done. Its limit may be out of date by then, which costs a distance
 * and no answer.
 */
#include "algorithms/divf/scan.h"

#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { LINE = 64, ROW_LINES_MAX = 16 }; /* the processor fetches on from there by itself */

void divf_count_scanned(const struct divf *d, struct work *work, size_t n)
{
    work->scanned += (double)n;
    if (!d->lists.quantizer)
        return;
    work->estimates += (double)n;
    work->bytes_read += (double)n * d->lists.quantizer->code_bytes;
}

void divf_query_begin(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                      const float *vector)
{
    const struct quantizer *quantizer = job->d->lists.quantizer;
    q->vector = vector;
    q->cap = INFINITY;
    q->n_pending = q->first_pending = 0;
    q->best.n = 0;
    if (job->d->lists.soft_k > 1)
        memset(q->seen, 0xff, sizeof q->seen);
    if (quantizer) {
        quantizer_transform(quantizer, vector, 1, s->work);
        quantizer_query(quantizer, s->work, q->prepared);
    }
}

static float limit_of(const struct divf_job *job, const struct divf_query *q)
{
    return job->range    ? job->limit
           : job->rerank ? topk_limit(&q->best)
                         : fminf(topk_limit(&q->nearest), q->cap);
}

static bool held(const struct topk *t, uint64_t id)
{
    bool found = false;
    for (size_t i = 0; i < t->n; i++)
        found |= t->ids[i] == id;
    return found;
}

static void keep_hit(struct divf *d, struct divf_scratch *s, uint64_t id, float distance)
{
    if (s->n_hits == s->hits_capacity &&
        !mem_grow(d->base.env.mem, &s->hits, &s->hits_capacity, s->n_hits + 1, sizeof *s->hits)) {
        s->failure = fail(d->base.env.error, ERR_NO_MEMORY,
                          "range: out of memory after %zu answers", s->n_hits);
        return;
    }
    s->hits[s->n_hits++] = (struct divf_hit){ id, distance };
}

/* A vector's copies are at the same distance, so a second one comes while the first is still held,
   or is no nearer than what is. */
static void settle(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                   uint32_t slot, struct work *work)
{
    struct divf *d = job->d;
    size_t dim = d->base.env.dim;
    float distance = d->base.env.kernels->l2sq_f32(q->vector, divf_vector(&d->lists, slot), dim);
    work->distances += 1;
    work->bytes_read += (double)(dim * sizeof(float));
    uint64_t id = d->slots.id[slot];
    if (job->range) {
        if ((double)distance <= job->radius && !s->failure)
            keep_hit(d, s, id, distance);
    } else if (distance <= topk_limit(&q->nearest) &&
               (d->lists.soft_k == 1 || !held(&q->nearest, id))) {
        topk_push(&q->nearest, distance, id);
    }
}

/* Whether an earlier copy of the vector is in a list that is probed too, and so the one to report.
 */
static bool copy_before(const struct divf_lists *lists, const struct divf_scratch *s, uint32_t slot,
                        uint32_t chunk)
{
    for (const uint32_t *copy = divf_slot_places(lists, slot);; copy++) {
        if (*copy >> CHUNK_SHIFT == chunk)
            return false;
        if (s->probed[place_head(&lists->chunks, *copy)->list])
            return true;
    }
}

/* Whether a vector's distance may still be wanted. Of copies one is enough: `seen` forgets, but what
   it knows has been offered. */
static bool wanted(const struct divf_job *job, const struct divf_scratch *s, struct divf_query *q,
                   uint32_t chunk, uint32_t slot)
{
    const struct divf *d = job->d;
    if (!id_filter_allows(job->filter, job->filter ? d->slots.id[slot] : 0))
        return false;
    if (d->lists.soft_k == 1)
        return true;
    if (job->range)
        return !copy_before(&d->lists, s, slot, chunk);
    if (q->seen[slot & (SEEN - 1)] == slot)
        return false;
    q->seen[slot & (SEEN - 1)] = slot;
    return true;
}

static void prefetch_vector(const struct divf *d, uint32_t slot)
{
    const char *at = (const char *)divf_vector(&d->lists, slot);
    size_t bytes = d->base.env.dim * sizeof(float);
    for (size_t i = 0; i < bytes && i < ROW_LINES_MAX * LINE; i += LINE)
        __builtin_prefetch(at + i, 0, 2); /* into L2: nearer, queues of them push each other out */
    __builtin_prefetch(&d->slots.id[slot]);
}

static uint32_t take_pending(struct divf_query *q)
{
    uint32_t slot = q->pending[q->first_pending];
    q->first_pending = (q->first_pending + 1) & (PENDING - 1);
    q->n_pending--;
    return slot;
}

static void pend(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                 uint32_t slot, struct work *work)
{
    if (q->n_pending == PENDING)
        settle(job, s, q, take_pending(q), work);
    q->pending[(q->first_pending + q->n_pending++) & (PENDING - 1)] = slot;
    prefetch_vector(job->d, slot);
}

void divf_query_flush(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                      struct work *work)
{
    while (q->n_pending > 0)
        settle(job, s, q, take_pending(q), work);
}

/* rerank > 0: copies have estimates of their own; the first that is good enough stands for all. */
static void keep_estimate(const struct divf_job *job, struct divf_query *q, uint32_t slot,
                          float estimate)
{
    if (estimate <= topk_limit(&q->best) && (job->d->lists.soft_k == 1 || !held(&q->best, slot)))
        topk_push(&q->best, estimate, slot);
}

void divf_scan_chunk(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                     uint32_t number, struct work *work)
{
    const struct chunks *chunks = &job->d->lists.chunks;
    const struct chunk *chunk = chunk_at(chunks, number);
    const struct quantizer *quantizer = job->d->lists.quantizer;
    float estimate[QUANTIZER_BLOCK];
    uint64_t near = chunk_head(chunks, number)->live;
    if (near && quantizer)
        near &= quantizer_scan(quantizer, q->prepared, chunk->block, limit_of(job, q), estimate);
    for (; near; near &= near - 1) {
        unsigned i = (unsigned)__builtin_ctzll(near);
        uint32_t slot = chunk->slots[i];
        if (quantizer && quantizer->refines &&
            !quantizer_refine(quantizer, q->prepared, chunk->block, i, limit_of(job, q),
                              &estimate[i]))
            continue;
        if (job->rerank) {
            if (id_filter_allows(job->filter, job->filter ? job->d->slots.id[slot] : 0))
                keep_estimate(job, q, slot, estimate[i]);
        } else if (wanted(job, s, q, number, slot)) {
            pend(job, s, q, slot, work);
        }
    }
}

void divf_prefetch_chunk(const struct divf_lists *lists, const struct divf_list *l, uint32_t c)
{
    if (c >= l->n_chunks)
        return;
    const char *at = (const char *)chunk_at(&lists->chunks, l->chunks[c]);
    size_t bytes = sizeof(struct chunk);
    if (lists->quantizer) /* what a scan reads of every vector; more of few is for a second look */
        bytes += (size_t)(lists->quantizer->code_bytes * QUANTIZER_BLOCK);
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(at + i, 0, 2);
}

void divf_prefetch_lists(const struct divf_lists *lists, const uint64_t *next, size_t n)
{
    if (n > 0)
        divf_prefetch_chunk(lists, &lists->list[next[0]], 0);
    if (n > 1)
        __builtin_prefetch(lists->list[next[1]].chunks);
}

/* ------------------------------------------------------------------------- the first limit */

/* Codes looked at for it at most, and the largest k it is worth while for. */
enum { FIRST_CHUNKS = 16, FIRST_K_MAX = 64 };

/* Estimates of the first chunks' vectors, INFINITY where there is none that may be an answer.
   Returns how many. */
static size_t first_estimates(const struct divf_job *job, const struct divf_query *q,
                              const struct divf_list *l, float *estimates)
{
    const struct divf_lists *lists = &job->d->lists;
    uint32_t n = l->n_chunks < FIRST_CHUNKS ? l->n_chunks : FIRST_CHUNKS;
    for (uint32_t c = 0; c < n; c++) {
        const struct chunk *chunk = chunk_at(&lists->chunks, l->chunks[c]);
        divf_prefetch_chunk(lists, l, c + 1);
        (void)quantizer_scan(lists->quantizer, q->prepared, chunk->block, INFINITY,
                             estimates + c * CHUNK_VECTORS);
        uint64_t live = chunk_head(&lists->chunks, l->chunks[c])->live;
        for (uint64_t dead = ~live; dead; dead &= dead - 1)
            estimates[c * CHUNK_VECTORS + (size_t)__builtin_ctzll(dead)] = INFINITY;
        for (unsigned i = 0; job->filter && i < CHUNK_VECTORS; i++)
            if ((live >> i & 1) &&
                !id_filter_allows(job->filter, job->d->slots.id[chunk->slots[i]]))
                estimates[c * CHUNK_VECTORS + i] = INFINITY;
    }
    return (size_t)n * CHUNK_VECTORS;
}

/* As long as nothing is held no vector could be excluded, and a scan would fetch them all. So first
   the k best estimates of the list: whatever else is an answer is no farther than the farthest of
   these. */
static void find_cap(const struct divf_job *job, struct divf_query *q, size_t list,
                     struct work *work)
{
    struct divf *d = job->d;
    const struct divf_list *l = &d->lists.list[list];
    float estimates[FIRST_CHUNKS * CHUNK_VECTORS], best[FIRST_K_MAX], cap = 0;
    uint64_t positions[FIRST_K_MAX];
    uint32_t scratch[FIRST_CHUNKS * CHUNK_VECTORS], slots[FIRST_K_MAX];
    size_t n = first_estimates(job, q, l, estimates), dim = d->base.env.dim;
    struct topk t = topk_begin(job->k, best, positions);
    topk_offer(&t, d->base.env.kernels, estimates, NULL, 0, n, scratch);
    if (t.n < job->k || isinf(topk_limit(&t)))
        return;
    for (size_t i = 0; i < t.n; i++) {
        uint32_t place = divf_place(l, positions[i]);
        slots[i] = place_chunk(&d->lists.chunks, place)->slots[place_in_chunk(place)];
        prefetch_vector(d, slots[i]);
    }
    for (size_t i = 0; i < t.n; i++)
        cap = fmaxf(
            cap, d->base.env.kernels->l2sq_f32(q->vector, divf_vector(&d->lists, slots[i]), dim));
    divf_count_distances(d, work, t.n);
    q->cap = cap;
}

void divf_query_list(const struct divf_job *job, struct divf_query *q, size_t list, float distance,
                     struct work *work)
{
    const struct divf_lists *lists = &job->d->lists;
    if (!lists->quantizer)
        return;
    quantizer_query_list(lists->quantizer, q->prepared, divf_work_centroid(lists, list), distance,
                         lists->list[list].error);
    if (!job->rerank && job->k <= FIRST_K_MAX && isinf(limit_of(job, q)))
        find_cap(job, q, list, work);
}

/* -------------------------------------------------------------------------------- scanning */

void divf_scan_list(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                    size_t list, float distance, struct work *work)
{
    struct divf_lists *lists = &job->d->lists;
    struct divf_list *l = &lists->list[list];
    divf_query_list(job, q, list, distance, work);
    for (uint32_t c = 0; c < l->n_chunks; c++) {
        divf_prefetch_chunk(lists, l, c + 1);
        divf_scan_chunk(job, s, q, l->chunks[c], work);
    }
    divf_count_scanned(job->d, work, l->rows);
    divf_mark_probed(job->d, l, 1);
}

void divf_query_end(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                    struct work *work)
{
    for (size_t i = 0; i < q->best.n; i++)
        pend(job, s, q, (uint32_t)q->best.ids[i], work);
    divf_query_flush(job, s, q, work);
    topk_sort(&q->nearest);
}

void divf_mark_probed(struct divf *d, struct divf_list *l, size_t queries)
{
    if (d->params.maintenance == DIVF_COST_MODEL)
        atomic_fetch_add_explicit(&l->probes, (unsigned)queries, memory_order_relaxed);
    if (l->rows == l->live || atomic_load_explicit(&l->probed, memory_order_relaxed))
        return;
    atomic_store_explicit(&l->probed, true, memory_order_relaxed);
    atomic_store_explicit(&d->probed_dirty, true, memory_order_relaxed);
}
