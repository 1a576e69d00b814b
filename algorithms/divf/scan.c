/* scan.c - the distances of a list's rows, run by run, and which of them are answers. */
#include "algorithms/divf/scan.h"

#include "kernels/kernels.h"

void divf_count_distances(const struct divf *d, struct work *work, size_t n)
{
    work->distances += (double)n;
    work->bytes_read += (double)n * (double)(d->base.env.dim * sizeof(float));
}

void divf_choose_lists(const struct divf_job *job, struct divf_scratch *s, const float *query,
                       struct work *work)
{
    const struct divf_lists *lists = &job->d->lists;
    const struct kernels *kernels = job->d->base.env.kernels;
    kernels->l2sq_f32_1n(query, lists->centroids, lists->n, job->d->base.env.dim,
                         s->list_distances);
    divf_count_distances(job->d, work, lists->n);
    if (job->nprobe == 1) {
        s->probes[0] = kernels->argmin_f32(s->list_distances, lists->n);
        return;
    }
    struct topk nearest = topk_begin(job->nprobe, s->probe_distances, s->probes);
    topk_offer(&nearest, kernels, s->list_distances, NULL, 0, lists->n, s->positions);
    topk_sort(&nearest);
}

/* The first lines of a chunk, so that going on to it does not wait for memory. */
static void prefetch_chunk(const struct chunks *chunks, uint32_t chunk)
{
    const char *at = (const char *)chunk_rows(chunks, chunk);
    for (size_t line = 0; line < 64; line++)
        __builtin_prefetch(at + 64 * line, 0, 2);
}

/* How many rows from a chunk of the list's on lie in one run, `most` at most. */
static size_t run_rows(const struct chunks *chunks, const struct divf_list *l, size_t chunk,
                       size_t most)
{
    size_t rows = (size_t)1 << chunks->row_shift;
    for (; rows < most && chunk_follows(chunks, l->chunks[chunk], l->chunks[chunk + 1]); chunk++)
        rows += (size_t)1 << chunks->row_shift;
    return rows < most ? rows : most;
}

/* Distances of up to PIECE_ROWS rows from position `first` on (a multiple of PIECE_ROWS) to s->distances. */
size_t divf_piece_distances(const struct divf *d, const struct divf_list *l, size_t first,
                            size_t most, const float *query, struct divf_scratch *s)
{
    const struct chunks *chunks = &d->lists.chunks;
    size_t n = l->rows - first < most ? l->rows - first : most, count;
    for (size_t at = 0; at < n; at += count) {
        size_t chunk = (first + at) >> chunks->row_shift;
        count = run_rows(chunks, l, chunk, n - at);
        size_t next = chunk + (count >> chunks->row_shift);
        if (next < l->n_chunks)
            prefetch_chunk(chunks, l->chunks[next]);
        d->base.env.kernels->l2sq_f32_1n(query, chunk_rows(chunks, l->chunks[chunk]), count,
                                         chunks->dim, s->distances + at);
    }
    return n;
}

/* A vector's copies are at the same distance, so a second one comes while the first is still held, or is no nearer
   than what is. */
static bool held(const struct topk *t, uint64_t id)
{
    bool found = false;
    for (size_t i = 0; i < t->n; i++)
        found |= t->ids[i] == id;
    return found;
}

void divf_offer_piece(const struct divf_job *job, struct divf_scratch *s, const struct divf_list *l,
                      size_t first, size_t n, struct topk *nearest)
{
    const struct divf *d = job->d;
    size_t found =
        d->base.env.kernels->at_most_f32(s->distances, n, topk_limit(nearest), s->positions);
    for (size_t i = 0; i < found; i++) {
        float distance = s->distances[s->positions[i]];
        if (distance > topk_limit(nearest))
            continue;
        uint32_t slot =
            *row_slot(&d->lists.chunks, divf_list_row(&d->lists, l, first + s->positions[i]));
        if (slot == SLOT_NONE || !divf_allowed(job->filter, d->slots.id[slot]))
            continue;
        if (d->lists.soft_k == 1 || !held(nearest, d->slots.id[slot]))
            topk_push(nearest, distance, d->slots.id[slot]);
    }
}

void divf_mark_probed(struct divf *d, struct divf_list *l)
{
    if (l->rows == l->live || atomic_load_explicit(&l->probed, memory_order_relaxed))
        return;
    atomic_store_explicit(&l->probed, true, memory_order_relaxed);
    atomic_store_explicit(&d->probed_dirty, true, memory_order_relaxed);
}
