/* cluster.c - how long a cluster's state lives. */
#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

struct cluster *cluster_create(struct channi *s, uint32_t cid, enum cluster_kind kind,
                               uint64_t born_ver)
{
    struct mem *mem = s->base.env.mem;
    struct cluster *cl = mem_zalloc(mem, sizeof *cl);

    if (!cl)
        return NULL;
    cl->cid = cid;
    cl->kind = kind;
    cl->born_ver = born_ver;
    atomic_init(&cl->refs, 1);
    delta_init(&cl->delta, mem, s->row_bytes);
    return cl;
}

void cluster_ref(struct cluster *cl)
{
    (void)atomic_fetch_add_explicit(&cl->refs, 1, memory_order_relaxed);
}

void cluster_unref(struct channi *s, struct cluster *cl)
{
    struct mem *mem = s->base.env.mem;

    if (!cl || atomic_fetch_sub_explicit(&cl->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (cl->base)
        base_unref(s, cl->base);
    delta_free(&cl->delta);
    mem_free(mem, atomic_load_explicit(&cl->dead, memory_order_relaxed));
    mem_free(mem, cl->routes);
    mem_free(mem, cl->site);
    mem_free(mem, cl);
}
