/* cluster.c - lifetimes of a cluster's state and of its file. */
#include "algorithms/channi/versions/cluster.h"

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

/* --------------------------------------------------------------------------------- files */

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

/* ------------------------------------------------------------------------------ clusters */

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
    channi_delta_init(&cl->delta, mem, s->row_bytes, s->base.env.n_attributes);
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
    channi_delta_free(&cl->delta);
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
