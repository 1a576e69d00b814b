/* scan.c - scanning a list's chunks: the quantizer selects vectors that may be answers, and these
 * get their exact distance.
 *
 * The exact vectors are stored by slot, at random addresses: a candidate's vector is prefetched and
 * waits in a queue of PENDING. Its limit may have fallen in the meantime, which costs a distance
 * but no answer. */
#include "algorithms/divf/search/scan.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { LINE = 64, ROW_LINES_MAX = 16 }; /* beyond this the hardware prefetcher continues */

void divf_count_scanned(const struct divf_view *view, struct work *work, size_t n)
{
    work->scanned += (double)n;
    if (!view->quantizer)
        return;
    work->estimates += (double)n;
    work->bytes_read += (double)n * view->quantizer->code_bytes;
}

void divf_query_begin(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                      const void *row, const float *vector)
{
    const struct quantizer *quantizer = job->view->quantizer;
    q->row = row;
    q->norm_sq = job->d->space.kind == DIVF_LIFTED
                     ? (double)job->d->env.kernels->ip_f32(row, row, job->d->space.row_dim)
                     : 0;
    q->n_pending = q->first_pending = q->opened = 0;
    q->best.n = 0;
    if (job->view->soft_k > 1)
        memset(q->seen, 0xff, sizeof q->seen);
    if (quantizer) {
        quantizer_transform(quantizer, vector, 1, s->work);
        quantizer_query(quantizer, s->work, q->prepared);
    }
}

/* The limit of the vectors' distances. That of lifted rows is relaxed by what the floats of an inner
   product, and of a lifted row, are wrong by. */
static float limit_of(const struct divf_job *job, const struct divf_query *q)
{
    if (job->rerank)
        return topk_limit(&q->best);
    float limit = job->range ? job->limit : topk_limit(&q->nearest);
    if (job->d->space.kind != DIVF_LIFTED)
        return limit;
    double lifted = 2 * (double)limit + q->beyond;
    if (lifted <= 0)
        return 0;
    return isfinite(lifted) ? nextafterf((float)lifted, INFINITY) : INFINITY;
}

static const void *row_at(const struct divf *d, uint32_t slot)
{
    return divf_segments_at(&d->vectors, slot);
}

/* A second copy of a vector, in another list or because it moved meanwhile, has the same distance:
   it arrives while the first is still held, or is no nearer than the vectors held. */
static void keep(struct divf_query *q, uint64_t id, float distance)
{
    if (id != INDEX_NO_ID && distance <= topk_limit(&q->nearest) && !topk_holds(&q->nearest, id))
        topk_push(&q->nearest, distance, id);
}

static void count_rows(const struct divf *d, struct work *work, size_t n)
{
    work->distances += (double)n;
    work->bytes_read += (double)n * (double)d->vectors.element_bytes;
}

static void measure(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                    uint32_t slot, struct work *work)
{
    struct divf *d = job->d;
    float distance = divf_distance(&d->space, q->row, row_at(d, slot));
    count_rows(d, work, 1);
    uint64_t id = divf_id(d, slot);
    if (!job->range)
        keep(q, id, distance);
    else if (id != INDEX_NO_ID && (double)distance <= job->radius && !s->failure)
        s->failure = range_hits_add(&s->hits, &d->env, id, distance);
}

/* Whether a vector's distance may still be needed. One copy is enough. `seen` may forget slots, but
   every slot in it has been offered. */
static bool wanted(const struct divf_job *job, struct divf_query *q, uint32_t slot)
{
    if (!index_filter_allows(job->filter, job->filter ? divf_id(job->d, slot) : 0))
        return false;
    if (job->view->soft_k == 1)
        return true;
    if (q->seen[slot & (SEEN - 1)] == slot)
        return false;
    q->seen[slot & (SEEN - 1)] = slot;
    return true;
}

static void prefetch_vector(struct divf *d, uint32_t slot)
{
    const char *at = row_at(d, slot);
    size_t bytes = d->vectors.element_bytes;
    for (size_t i = 0; i < bytes && i < ROW_LINES_MAX * LINE; i += LINE)
        __builtin_prefetch(at + i, 0, 2); /* into L2: in L1 the queues would evict each other */
    __builtin_prefetch(atomic_load_explicit(&d->slots.id, memory_order_relaxed) + slot);
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
        measure(job, s, q, take_pending(q), work);
    q->pending[(q->first_pending + q->n_pending++) & (PENDING - 1)] = slot;
    prefetch_vector(job->d, slot);
}

void divf_query_flush(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                      struct work *work)
{
    while (q->n_pending > 0)
        measure(job, s, q, take_pending(q), work);
}

/* rerank > 0: copies have separate estimates; the first one that is good enough is used. */
static void keep_estimate(struct divf_query *q, uint32_t slot, float estimate)
{
    if (estimate <= topk_limit(&q->best) && !topk_holds(&q->best, slot))
        topk_push(&q->best, estimate, slot);
}

static void fetch_chunk(const struct divf_view *view, uint32_t chunk)
{
    const char *at = (const char *)divf_chunk_at(view->chunks, chunk);
    size_t bytes = sizeof(struct divf_chunk);
    if (view->quantizer) /* the part that a scan reads for every vector; the rest is
                            for quantizer_refine() */
        bytes += (size_t)(view->quantizer->code_bytes * QUANTIZER_BLOCK);
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(at + i, 0, 2);
}

/* The live bits come first: a change may be writing the places that are not live. */
void divf_scan_chunk(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                     uint32_t number, bool codes, struct work *work)
{
    const struct chunks *chunks = job->view->chunks;
    const struct divf_chunk *chunk = divf_chunk_at(chunks, number);
    const struct quantizer *quantizer = codes ? job->view->quantizer : NULL;
    float estimate[QUANTIZER_BLOCK];
    uint64_t near = divf_chunk_live(chunks, number);
    if (near && quantizer)
        near &= quantizer_scan(quantizer, q->prepared, chunk->block, limit_of(job, q), estimate);
    for (; near; near &= near - 1) {
        unsigned i = (unsigned)__builtin_ctzll(near);
        uint32_t slot = chunk->slots[i];
        if (quantizer && quantizer->refines &&
            !quantizer_refine(quantizer, q->prepared, chunk->block, i, limit_of(job, q),
                              &estimate[i]))
            continue;
        if (job->rerank && codes) {
            if (index_filter_allows(job->filter, job->filter ? divf_id(job->d, slot) : 0))
                keep_estimate(q, slot, estimate[i]);
        } else if (wanted(job, q, slot)) {
            pend(job, s, q, slot, work);
        }
    }
}

void divf_prefetch_chunk(const struct divf_view *view, const struct divf_list *l, uint32_t c)
{
    if (c < l->n_chunks)
        fetch_chunk(view, atomic_load_explicit(&l->chunks, memory_order_relaxed)[c]);
}

/* Without latches, so what is fetched may be of no use. */
void divf_prefetch_lists(const struct divf_view *view, const uint64_t *next, size_t n)
{
    if (n > 0) {
        uint32_t chunk =
            atomic_load_explicit(&view->list[next[0]]->first_chunk, memory_order_acquire);
        if (chunk != CHUNK_NONE)
            fetch_chunk(view, chunk);
    }
    if (n > 1)
        __builtin_prefetch(
            atomic_load_explicit(&view->list[next[1]]->chunks, memory_order_relaxed));
    if (n > 2)
        __builtin_prefetch(view->list[next[2]], 1);
}

/* ------------------------------------------------------------------------- the first limit */

/* Chunks used for the first limit at most, and the largest k for which it pays. */
enum { FIRST_CHUNKS = 16, FIRST_K_MAX = 64 };

/* Estimates of the first chunks' vectors, INFINITY for those that cannot be answers. Returns
   their number. */
static size_t first_estimates(const struct divf_job *job, const struct divf_query *q,
                              const struct divf_list *l, float *estimates)
{
    const struct divf_view *view = job->view;
    uint32_t n = l->n_chunks < FIRST_CHUNKS ? l->n_chunks : FIRST_CHUNKS;
    for (uint32_t c = 0; c < n; c++) {
        const struct divf_chunk *chunk = divf_chunk_at(view->chunks, l->chunks[c]);
        uint64_t live = divf_chunk_live(view->chunks, l->chunks[c]);
        divf_prefetch_chunk(view, l, c + 1);
        (void)quantizer_scan(view->quantizer, q->prepared, chunk->block, INFINITY,
                             estimates + c * CHUNK_VECTORS);
        for (uint64_t dead = ~live; dead; dead &= dead - 1)
            estimates[c * CHUNK_VECTORS + (size_t)__builtin_ctzll(dead)] = INFINITY;
        for (unsigned i = 0; job->filter && i < CHUNK_VECTORS; i++)
            if ((live >> i & 1) &&
                !index_filter_allows(job->filter, divf_id(job->d, chunk->slots[i])))
                estimates[c * CHUNK_VECTORS + i] = INFINITY;
    }
    return (size_t)n * CHUNK_VECTORS;
}

/* While no answer is held no vector can be excluded, and a scan would fetch them all. So the k best
   estimates of the list come first. */
static void find_first(const struct divf_job *job, struct divf_query *q, size_t list,
                       struct work *work)
{
    struct divf *d = job->d;
    const struct divf_list *l = job->view->list[list];
    float estimates[FIRST_CHUNKS * CHUNK_VECTORS], best[FIRST_K_MAX];
    uint64_t positions[FIRST_K_MAX];
    uint32_t scratch[FIRST_CHUNKS * CHUNK_VECTORS], slots[FIRST_K_MAX];
    size_t n = first_estimates(job, q, l, estimates);
    struct topk t = topk_begin(job->k, best, positions);
    topk_offer(&t, d->env.kernels, estimates, NULL, 0, n, scratch);
    if (t.n < job->k || isinf(topk_limit(&t)))
        return;
    for (size_t i = 0; i < t.n; i++) {
        uint32_t place = divf_place(l, positions[i]);
        slots[i] = divf_place_slot(job->view->chunks, place);
        prefetch_vector(d, slots[i]);
    }
    for (size_t i = 0; i < t.n; i++)
        keep(q, divf_id(d, slots[i]), divf_distance(&d->space, q->row, row_at(d, slots[i])));
    count_rows(d, work, t.n);
}

void divf_query_list(const struct divf_job *job, struct divf_query *q, size_t list, float distance,
                     struct work *work)
{
    const struct divf_view *view = job->view;
    q->opened += view->list[list]->live > 0;
    if (!divf_codes_of(view, list))
        return;
    if (job->d->space.kind == DIVF_LIFTED)
        q->beyond = (q->norm_sq + (double)view->lift + fmax((double)view->list[list]->excess, 0)) *
                    (1 + ((double)job->d->env.dim + 16) * 0x1p-22);
    quantizer_query_list(view->quantizer, q->prepared, NULL, distance, view->list[list]->error);
    if (!job->range && !job->rerank && job->k <= FIRST_K_MAX && isinf(limit_of(job, q)))
        find_first(job, q, list, work);
}

/* -------------------------------------------------------------------------------- scanning */

void divf_scan_list(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                    size_t list, float distance, struct work *work)
{
    struct divf_list *l = job->view->list[list];
    latch_take_shared(&l->latch);
    const bool codes = divf_codes_of(job->view, list);
    const uint32_t *chunks = atomic_load_explicit(&l->chunks, memory_order_relaxed);
    divf_query_list(job, q, list, distance, work);
    for (uint32_t c = 0; c < l->n_chunks; c++) {
        divf_prefetch_chunk(job->view, l, c + 1);
        divf_scan_chunk(job, s, q, chunks[c], codes, work);
    }
    divf_count_scanned(job->view, work, l->rows);
    latch_give_shared(&l->latch);
    if (!job->learning)
        divf_mark_probed(job->d, l, 1);
}

/* Whether fewer than nprobe of the lists read had rows, or there are fewer than k answers yet. What
   target_recall has ended goes on for answers alone. */
static bool wants_more(const struct divf_job *job, const struct divf_query *q)
{
    return (!job->stops && q->opened < job->nprobe) ||
           (!job->range && q->nearest.n + q->best.n < job->k);
}

/* The lists are chosen anew, twice as many each time: an order of all of them would cost more than
   the few that are mostly missing. */
static void probe_on(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                     const float *vector, size_t done, struct work *work)
{
    const size_t all = job->view->n;
    size_t most = done, end = done;
    while (end == most && done < all && wants_more(job, q)) {
        most = 2 * done < all ? 2 * done : all;
        divf_nearest_lists(job, s, vector, most, work);
        end = divf_affordable(job, s->probes, most);
        for (; done < end && wants_more(job, q); done++) {
            divf_scan_list(job, s, q, s->probes[done], s->probe_distances[done], work);
            divf_query_flush(job, s, q, work);
        }
    }
}

void divf_query_end(const struct divf_job *job, struct divf_scratch *s, struct divf_query *q,
                    const float *vector, size_t done, struct work *work)
{
    divf_query_flush(job, s, q, work);
    if (wants_more(job, q))
        probe_on(job, s, q, vector, done, work);
    if (job->range)
        return;
    for (size_t i = 0; i < q->best.n; i++)
        pend(job, s, q, (uint32_t)q->best.ids[i], work);
    divf_query_flush(job, s, q, work);
    topk_sort(&q->nearest);
}

void divf_mark_probed(struct divf *d, struct divf_list *l, size_t queries)
{
    if (divf_counts_reads(d))
        atomic_fetch_add_explicit(&l->probes, (unsigned)queries, memory_order_relaxed);
    if (l->rows == l->live || atomic_load_explicit(&l->probed, memory_order_relaxed))
        return;
    atomic_store_explicit(&l->probed, true, memory_order_relaxed);
    atomic_store_explicit(&d->probed_dirty, true, memory_order_relaxed);
}
