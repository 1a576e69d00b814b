/* update.c - inserting rows into memory, deleting them there or on disk, and the merge of both into
 * the file when it is due. */
#include "algorithms/vamana_disk/vamana_disk.h"

/* Rows inserted or deleted since the last merge. */
static size_t pending(const struct vamana_disk_view *view)
{
    return view->recent->nodes.n + (view->part->n - vamana_disk_live(view->part));
}

/* If a merge fails, the updates stay where they are until the next one; maintain() reports why. */
static void merge_if_due(struct vamana_disk *h)
{
    const struct vamana_disk_params *p = &h->params;
    const struct vamana_disk_view *view = vamana_disk_view_of(h);
    const double n = (double)pending(view);

    epoch_collect(h->epoch); /* views that were still searched when a merge replaced them */
    if (p->maintenance != VAMANA_DISK_INLINE || n < (double)p->merge_rows ||
        n <= p->merge_share * (double)view->part->n)
        return;
    if (vamana_disk_merge(h) == OK)
        return;
    if (h->base.env.log && h->base.env.error)
        h->base.env.log(h->base.env.log_to, h->base.env.error->text);
    error_clear(h->base.env.error);
}

int vamana_disk_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct vamana_disk *h = vamana_disk_of(index);

    pthread_mutex_lock(&h->lock);
    const int rc = graph_index_insert(&vamana_disk_view_of(h)->recent->base, rows, ids, done);
    if (rc == OK)
        merge_if_due(h);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* The map needs the id until it is removed from it. */
static int remove_one(const struct vamana_disk_view *view, uint64_t id)
{
    struct vamana_disk_part *p = view->part;
    uint32_t node;
    size_t done;

    if (!slot_table_remove(&p->nodes, (const uint64_t *)(uintptr_t)p->ids, id, &node))
        return graph_index_remove(&view->recent->base, &id, 1, &done);
    atomic_store_explicit(&p->ids[node], INDEX_NO_ID, memory_order_release);
    atomic_fetch_sub(&p->n_live, 1);
    return OK;
}

int vamana_disk_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct vamana_disk *h = vamana_disk_of(index);
    int rc = OK;

    *done = 0;
    pthread_mutex_lock(&h->lock);
    for (; *done < n && rc == OK; *done += rc == OK)
        rc = remove_one(vamana_disk_view_of(h), ids[*done]);
    if (rc == OK)
        merge_if_due(h);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* A merge passes over the whole file, which no budget cuts. */
int vamana_disk_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct vamana_disk *h = vamana_disk_of(index);

    (void)budget;
    pthread_mutex_lock(&h->lock);
    const int rc = pending(vamana_disk_view_of(h)) > 0 ? vamana_disk_merge(h) : OK;
    pthread_mutex_unlock(&h->lock);
    *more = false;
    return rc;
}
