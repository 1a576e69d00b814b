/* heads.c - adds and removes heads. */
#include <sched.h>

#include "algorithms/spfresh/filing/filing.h"
#include "src/core/mem.h"

struct graph_options spfresh_graph_options(const struct spfresh *s)
{
    const struct spfresh_params *p = &s->params;

    return (struct graph_options){ .kind = (enum graph_kind)p->head_index,
                                   .degree = (size_t)p->degree,
                                   .build_ef = (size_t)p->build_ef,
                                   .insert_ef = (size_t)p->insert_ef,
                                   .rng_factor = 1,
                                   .seed = s->base.env.seed };
}

/* A removed head whose posting is to be dropped. */
struct removed {
    struct epoch_item item;
    uint32_t head;
};

/* Called when every search that found the head before its removal has left the epoch. */
static void drop_posting(void *index, struct epoch_item *item)
{
    struct spfresh *s = index;
    const uint32_t head = ((struct removed *)(void *)item)->head;

    posting_drop(s->store, head);
    (void)atomic_fetch_and(&spfresh_head(s, head)->flags, ~(uint32_t)HEAD_DROPPING);
    mem_free(s->base.env.mem, item);
}

int spfresh_add_head(struct spfresh *s, const void *centre, const struct spfresh_members *m,
                     uint32_t *head)
{
    pthread_mutex_lock(&s->heads_lock);
    /* The number of the head that the graph adds next is not known yet. */
    const bool grown = segmented_grow(&s->heads, graph_capacity(s->graph) + SPFRESH_ADDERS);
    pthread_mutex_unlock(&s->heads_lock);
    if (!grown)
        return spfresh_no_memory(s, "out of memory working on a posting");
    int rc = graph_add(s->graph, centre, head);
    if (rc != OK)
        return rc;
    struct spfresh_head *h = spfresh_head(s, *head);
    /* The graph may reuse a number shortly before the old posting is dropped. */
    while (atomic_load(&h->flags) & HEAD_DROPPING) {
        epoch_collect(s->epoch);
        (void)sched_yield();
    }
    atomic_store(&h->size, 0);
    atomic_store(&h->error, 0);
    atomic_store(&h->flags, 0);
    (void)atomic_fetch_add(&h->generation, 1);
    rc = spfresh_put(s, *head, m);
    if (rc != OK) {
        /* If this fails too, the head stays closed and empty. */
        (void)graph_remove(s->graph, *head);
        return rc;
    }
    atomic_store_explicit(&h->flags, HEAD_OPEN, memory_order_release);
    return OK;
}

int spfresh_remove_head(struct spfresh *s, uint32_t head)
{
    struct spfresh_head *h = spfresh_head(s, head);
    struct removed *removed = mem_alloc(s->base.env.mem, sizeof *removed);

    if (!removed)
        return spfresh_no_memory(s, "out of memory working on a posting");
    const uint32_t flags = atomic_exchange(&h->flags, HEAD_DROPPING);
    const int rc = graph_remove(s->graph, head);
    if (rc != OK) {
        atomic_store(&h->flags, flags);
        mem_free(s->base.env.mem, removed);
        return rc;
    }
    atomic_store(&h->size, 0);
    removed->head = head;
    epoch_retire(s->epoch, &removed->item, drop_posting, s);
    return OK;
}
