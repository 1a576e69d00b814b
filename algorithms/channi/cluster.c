/* cluster.c - how long a cluster's state, and the file under it, live. */
#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

void cluster_ref(struct cluster *cl)
{
    (void)atomic_fetch_add_explicit(&cl->refs, 1, memory_order_relaxed);
}

/* The file goes too, unless the newest manifest still refers to it: then the next one removes it. */
static void base_unref(struct channi *s, struct base *base)
{
    if (!base || atomic_fetch_sub_explicit(&base->refs, 1, memory_order_acq_rel) > 1)
        return;
    const bool parked = atomic_load_explicit(&base->in_manifest, memory_order_acquire);

    if (parked)
        channi_count(&s->parked_bytes, base->file_bytes);
    cache_leave(s->cache, base, !parked);
    mem_free(s->base.env.mem, base);
}

void cluster_unref(struct channi *s, struct cluster *cl)
{
    struct mem *mem = s->base.env.mem;

    if (!cl || atomic_fetch_sub_explicit(&cl->refs, 1, memory_order_acq_rel) > 1)
        return;
    base_unref(s, cl->base);
    delta_free(&cl->delta);
    mem_free(mem, atomic_load_explicit(&cl->dead, memory_order_relaxed));
    mem_free(mem, cl->routes);
    mem_free(mem, cl->root_row);
    mem_free(mem, cl);
}
