/* view.c - views: a version in a layout. The newest view is `now`. A reader inside the epoch needs
 * no reference to it: the index drops its own reference only after all readers that may have loaded
 * the pointer have left. */
#include "algorithms/channi/versions/view.h"

#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

const struct channi_view *channi_enter(struct channi *s, unsigned *ticket)
{
    *ticket = epoch_enter(s->epoch);
    return atomic_load_explicit(&s->now, memory_order_acquire);
}

void channi_leave(struct channi *s, unsigned ticket)
{
    epoch_leave(s->epoch, ticket);
}

struct channi_layout *channi_layout_copy(const struct channi *s, const struct channi_layout *old)
{
    struct mem *mem = s->base.env.mem;
    struct channi_layout *l = mem_zalloc(mem, sizeof *l);

    if (!l)
        return NULL;
    l->clusters = mem_array(mem, old->n_clusters, sizeof *l->clusters);
    if (!l->clusters) {
        mem_free(mem, l);
        return NULL;
    }
    l->routes = old->routes;
    if (l->routes)
        (void)atomic_fetch_add_explicit(&l->routes->refs, 1, memory_order_relaxed);
    for (; l->n_clusters < old->n_clusters; l->n_clusters++) {
        struct channi_cluster *cl = old->clusters[l->n_clusters];

        l->clusters[l->n_clusters] = cl;
        if (cl)
            channi_cluster_ref(cl);
    }
    atomic_init(&l->refs, 1);
    return l;
}

void channi_layout_unref(struct channi *s, struct channi_layout *l)
{
    struct mem *mem = s->base.env.mem;

    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t c = 0; c < l->n_clusters; c++)
        channi_cluster_unref(s, l->clusters[c]);
    channi_routes_unref(s, l->routes);
    mem_free(mem, l->clusters);
    mem_free(mem, l->ood);
    mem_free(mem, l);
}

bool channi_layout_reserve(struct channi *s, struct channi_layout *l, uint32_t n_clusters)
{
    return segmented_grow(&s->latches, n_clusters) &&
           (n_clusters <= l->n_clusters ||
            mem_fit(s->base.env.mem, &l->clusters, n_clusters, sizeof *l->clusters));
}

void channi_layout_set(struct channi *s, struct channi_layout *l, uint32_t cid,
                       struct channi_cluster *cl)
{
    while (l->n_clusters <= cid)
        l->clusters[l->n_clusters++] = NULL;
    struct channi_cluster *old = l->clusters[cid];

    l->clusters[cid] = cl;
    channi_cluster_unref(s, old);
}

bool channi_layout_find_ood(const struct channi *s, struct channi_layout *l)
{
    const struct channi_cluster *cl;
    uint32_t n = 0;

    for (uint32_t next = 0; (cl = channi_layout_next(l, &next));)
        n += cl->kind == CLUSTER_OOD;
    if (!mem_fit(s->base.env.mem, &l->ood, n, sizeof *l->ood))
        return false;
    l->n_ood = 0;
    for (uint32_t next = 0; (cl = channi_layout_next(l, &next));)
        if (cl->kind == CLUSTER_OOD)
            l->ood[l->n_ood++] = cl->cid;
    return true;
}

uint64_t channi_layout_live(const struct channi_layout *l)
{
    struct channi_cluster *cl;
    uint64_t n = 0;

    for (uint32_t next = 0; (cl = channi_layout_next(l, &next));)
        n += atomic_load_explicit(&cl->live, memory_order_relaxed);
    return n;
}

struct channi_view *channi_view_now(struct channi *s)
{
    unsigned ticket;
    struct channi_view *now = (struct channi_view *)(uintptr_t)channi_enter(s, &ticket);

    (void)atomic_fetch_add_explicit(&now->refs, 1, memory_order_relaxed);
    channi_leave(s, ticket);
    return now;
}

void channi_view_unref(struct channi *s, struct channi_view *view)
{
    if (view && atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) == 1) {
        channi_layout_unref(s, view->layout);
        mem_free(s->base.env.mem, view);
    }
}

static void unref_retired(void *index, struct epoch_item *item)
{
    channi_view_unref(index, (struct channi_view *)(void *)item);
}

struct channi_view *channi_view_make(struct channi *s)
{
    struct channi_view *view = mem_zalloc(s->base.env.mem, sizeof *view);

    if (!view)
        (void)CHANNI_NO_MEMORY(&s->base.env, " for a version");
    return view;
}

void channi_show(struct channi *s, struct channi_view *view, uint64_t version,
                 struct channi_layout *layout)
{
    struct channi_view *old = atomic_load_explicit(&s->now, memory_order_relaxed);

    if (layout) {
        layout->number = ++s->layouts;
    } else {
        layout = old->layout;
        (void)atomic_fetch_add_explicit(&layout->refs, 1, memory_order_relaxed);
    }
    view->version = version;
    view->layout = layout;
    atomic_init(&view->refs, 1);
    atomic_store_explicit(&s->now, view, memory_order_release);
    if (old)
        epoch_retire(s->epoch, &old->item, unref_retired, s);
}

int channi_publish(struct channi *s, uint64_t version, struct channi_layout *layout)
{
    struct channi_view *view = channi_view_make(s);

    if (!view)
        return ERR_NO_MEMORY;
    channi_show(s, view, version, layout);
    return OK;
}
