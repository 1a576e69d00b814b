/* update_ids.c - allows one update of an id at a time. */
#include <inttypes.h>

#include "algorithms/spfresh/spfresh.h"

/* Marks ids until one is marked already; returns how many. *twice: that one was marked by this very
   call. Memory is reserved. */
static size_t mark_ids(struct idmap *changing, const uint64_t *ids, size_t n, bool *twice)
{
    uint64_t owner = 0;
    size_t i = 0;

    for (; i < n && !idmap_get(changing, ids[i], &owner); i++)
        (void)idmap_put(changing, ids[i], (uintptr_t)ids);
    *twice = i < n && owner == (uintptr_t)ids;
    return i;
}

static void unmark_ids(struct idmap *changing, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)idmap_remove(changing, ids[i], NULL);
}

int spfresh_ids_begin(struct spfresh *s, const uint64_t *ids, size_t n)
{
    struct spfresh_slots *slots = &s->slots;
    bool twice = false, fits;
    size_t marked = 0;

    pthread_mutex_lock(&slots->lock);
    while ((fits = idmap_reserve(&slots->changing, slots->changing.n + n)) &&
           (marked = mark_ids(&slots->changing, ids, n, &twice)) < n) {
        unmark_ids(&slots->changing, ids, marked);
        if (twice)
            break;
        pthread_cond_wait(&slots->changed, &slots->lock);
    }
    pthread_mutex_unlock(&slots->lock);
    if (!fits)
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: out of memory, cannot update %zu ids",
                    s->base.ops->name, n);
    return twice ? fail(s->base.env.error, ERR_DUPLICATE_ID, "%s: id %" PRIu64 " occurs twice",
                        s->base.ops->name, ids[marked])
                 : OK;
}

void spfresh_ids_end(struct spfresh *s, const uint64_t *ids, size_t n)
{
    pthread_mutex_lock(&s->slots.lock);
    unmark_ids(&s->slots.changing, ids, n);
    pthread_cond_broadcast(&s->slots.changed);
    pthread_mutex_unlock(&s->slots.lock);
}
