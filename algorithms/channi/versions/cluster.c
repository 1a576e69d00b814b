/* cluster.c - lifetimes of a cluster's state and of its file; the rows of its delta. */
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/channi.h"
#include "algorithms/channi/versions/cluster.h"
#include "src/core/mem.h"

void channi_base_unref(struct channi *s, struct channi_base *base)
{
    const bool marked = atomic_load(&base->in_manifest);
    const size_t file_bytes = base->file_bytes;
    const size_t before = atomic_fetch_sub_explicit(&base->refs, 1, memory_order_acq_rel);

    if (before == 2 && marked) /* only the manifest's reference is left */
        (void)atomic_fetch_add(&s->durable.parked_bytes, file_bytes);
    if (before > 1)
        return;
    const bool kept = atomic_load(&base->in_manifest); /* final: no other thread has a reference */

    channi_cache_leave(s->cache, base);
    if (!kept && !channi_cluster_file_remove(&s->base.env, base, s->durable.fault))
        atomic_store(&s->file_left, true);
    mem_free(s->base.env.mem, base);
}

struct channi_cluster *channi_cluster_create(struct channi *s, uint32_t cid,
                                             enum channi_cluster_kind kind, uint64_t born_ver)
{
    struct mem *mem = s->base.env.mem;
    struct channi_cluster *cl = mem_zalloc(mem, sizeof *cl);

    if (!cl)
        return NULL;
    cl->cid = cid;
    cl->kind = kind;
    cl->born_ver = born_ver;
    atomic_init(&cl->refs, 1);
    cl->delta.mem = mem;
    cl->delta.row_bytes = s->row_bytes;
    cl->delta.n_fields = s->base.env.n_attributes;
    return cl;
}

void channi_cluster_ref(struct channi_cluster *cl)
{
    (void)atomic_fetch_add_explicit(&cl->refs, 1, memory_order_relaxed);
}

void channi_cluster_unref(struct channi *s, struct channi_cluster *cl)
{
    struct mem *mem = s->base.env.mem;

    if (!cl || atomic_fetch_sub_explicit(&cl->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (cl->base)
        channi_base_unref(s, cl->base);
    for (unsigned c = 0; c < DELTA_CHUNKS; c++)
        mem_free(mem, atomic_load(&cl->delta.chunks[c]));
    mem_free(mem, atomic_load(&cl->delta.codes));
    mem_free(mem, atomic_load_explicit(&cl->dead, memory_order_relaxed));
    mem_free(mem, cl->routes);
    mem_free(mem, cl->site);
    mem_free(mem, cl);
}

_Atomic(uint64_t) *channi_cluster_marks(struct channi *s, struct channi_cluster *cl)
{
    _Atomic(uint64_t) *dead = atomic_load_explicit(&cl->dead, memory_order_relaxed);

    if (!dead && (dead = mem_zalloc(s->base.env.mem, (size_t)cl->base_n * sizeof *dead)))
        atomic_store_explicit(&cl->dead, dead, memory_order_release);
    return dead;
}

struct channi_row channi_cluster_row(const struct channi_cluster *cl,
                                     const struct channi_image *image, uint32_t number)
{
    if (number < cl->base_n)
        return (struct channi_row){ .bytes = image->rows + number * cl->delta.row_bytes,
                                    .id = image->ids[number],
                                    .born = image->born ? image->born[number] : 0,
                                    .dead = channi_cluster_base_dead(cl, image, number),
                                    .record = channi_image_record(image, number),
                                    .number = number };
    const struct channi_delta_row r = channi_delta_at(&cl->delta, number - cl->base_n);

    return (struct channi_row){ .bytes = r.row,
                                .id = r.id,
                                .born = atomic_load_explicit(r.born, memory_order_acquire),
                                .dead = atomic_load_explicit(r.dead, memory_order_acquire),
                                .record = r.record,
                                .number = number };
}

/* ---- deltas: chunks of doubling size, so that no row moves. One writer (under `write`) appends; the count
   is published last, and readers read only below it. */

static unsigned chunk_of(uint32_t i)
{
    return 31U - (unsigned)__builtin_clz(i / DELTA_FIRST + 1);
}

static uint32_t first_of(unsigned chunk)
{
    return DELTA_FIRST * ((1U << chunk) - 1);
}

static struct channi_delta_chunk *chunk_at(const struct channi_delta *d, unsigned c)
{
    return atomic_load_explicit(&((struct channi_delta *)(uintptr_t)d)->chunks[c],
                                memory_order_acquire);
}

/* One block: the struct padded to a multiple of 64, then the arrays, the rows last. */
static bool open_chunk(struct channi_delta *d, unsigned c)
{
    const size_t n = (size_t)DELTA_FIRST << c,
                 head = (sizeof(struct channi_delta_chunk) + 63) / 64 * 64;
    const size_t per_row = (3 + d->n_fields) * sizeof(uint64_t);

    if (n > (SIZE_MAX - head) / (per_row + d->row_bytes))
        return false;
    const size_t bytes = head + n * (per_row + d->row_bytes);
    unsigned char *block = mem_alloc(d->mem, bytes);
    if (!block)
        return false;
    struct channi_delta_chunk *chunk = (struct channi_delta_chunk *)block;
    chunk->born = (_Atomic(uint64_t) *)(block + head);
    chunk->dead = chunk->born + n;
    chunk->ids = (uint64_t *)(chunk->dead + n);
    chunk->attributes = (int64_t *)(chunk->ids + n);
    chunk->rows = (unsigned char *)(chunk->attributes + n * d->n_fields);
    atomic_store_explicit(&d->chunks[c], chunk, memory_order_release);
    (void)atomic_fetch_add_explicit(&d->bytes, bytes, memory_order_relaxed);
    return true;
}

bool channi_delta_reserve(struct channi_delta *d, size_t more)
{
    const uint32_t n = channi_delta_count(d);

    if (more == 0)
        return true;
    if (more > first_of(DELTA_CHUNKS - 1) - (size_t)n)
        return false;
    const unsigned last = chunk_of(n + (uint32_t)more - 1);
    for (unsigned c = chunk_of(n); c <= last; c++)
        if (!chunk_at(d, c) && !open_chunk(d, c))
            return false;
    return true;
}

uint32_t channi_delta_append(struct channi_delta *d, const struct channi_row *r)
{
    const uint32_t i = channi_delta_count(d);
    const unsigned c = chunk_of(i);
    const uint32_t at = i - first_of(c);
    struct channi_delta_chunk *chunk = chunk_at(d, c);

    atomic_init(&chunk->born[at], r->born);
    atomic_init(&chunk->dead[at], r->dead);
    chunk->ids[at] = r->id;
    for (size_t f = 0; f < d->n_fields; f++)
        chunk->attributes[at * d->n_fields + f] = channi_record_at(r->record, f);
    memcpy(chunk->rows + at * d->row_bytes, r->bytes, d->row_bytes);
    atomic_store_explicit(&d->n, i + 1, memory_order_release);
    return i;
}

struct channi_delta_row channi_delta_at(const struct channi_delta *d, uint32_t i)
{
    const unsigned c = chunk_of(i);
    const uint32_t at = i - first_of(c);
    const struct channi_delta_chunk *chunk = chunk_at(d, c);

    return (struct channi_delta_row){ .row = chunk->rows + at * d->row_bytes,
                                      .id = chunk->ids[at],
                                      .record = { chunk->attributes + at * d->n_fields, 1 },
                                      .born = &chunk->born[at],
                                      .dead = &chunk->dead[at] };
}

const struct channi_delta_chunk *channi_delta_run(const struct channi_delta *d, uint32_t i,
                                                  uint32_t *offset, uint32_t *n)
{
    const unsigned c = chunk_of(i);
    const uint32_t end = first_of(c + 1), there = channi_delta_count(d);

    *offset = i - first_of(c);
    *n = (there < end ? there : end) - i;
    return chunk_at(d, c);
}
