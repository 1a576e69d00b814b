/* members.c - takes clusters for a job, and gathers their rows. */
#include "algorithms/channi/rewrite/replace.h"

#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/channi.h"
#include "algorithms/channi/versions/view.h"
#include "algorithms/common/concurrency/throttle.h"
#include "src/core/mem.h"
#include "src/core/order.h"

/* --------------------------------------------------------------------------------- latches */

static struct channi_latch *latch_of(const struct channi *c, uint32_t cid)
{
    return segmented_at(&c->latches, cid);
}

/* References the clusters, and counts their bytes. The latches are held, so they cannot be
   replaced. */
static bool refer(struct channi *c, const uint32_t *cids, size_t n, struct channi_taken *w)
{
    const struct channi_layout *layout = atomic_load(&c->now)->layout;
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        struct channi_cluster *cl = w->clusters[i] = layout->clusters[cids[i]];

        if (!cl)
            return false;
        bytes += (cl->base ? cl->base->file_bytes : 0) + atomic_load(&cl->delta.bytes);
    }
    if (c->taken_bytes > 0 && c->taken_bytes + bytes > c->taken_bytes_most)
        return false; /* with those of other jobs they are too many */
    for (size_t i = 0; i < n; i++)
        channi_cluster_ref(w->clusters[i]);
    c->taken_bytes += bytes;
    w->bytes = bytes;
    w->view = channi_view_now(c);
    w->n = n;
    return true;
}

bool channi_take(struct channi *c, const uint32_t *cids, size_t n, struct channi_taken *w)
{
    uint32_t sorted[WORK_MOST];
    size_t held = 0;
    bool taken;

    memset(w, 0, sizeof *w);
    memcpy(sorted, cids, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, order_u32);
    /* `now` keeps its view while `write` is held. */
    pthread_mutex_lock(&c->write);
    taken = sorted[n - 1] < atomic_load(&c->now)->layout->n_clusters;
    /* Never waits, so two jobs that need the same clusters cannot deadlock. */
    while (taken && held < n) {
        taken = !atomic_exchange(&latch_of(c, sorted[held])->busy, true);
        held += taken;
    }
    taken = taken && refer(c, cids, n, w);
    while (!taken && held > 0)
        atomic_store(&latch_of(c, sorted[--held])->busy, false);
    pthread_mutex_unlock(&c->write);
    return taken;
}

static void free_members(struct channi *c, struct channi_members *m)
{
    for (size_t i = 0; i < WORK_MOST; i++)
        if (m->wholes[i].base)
            channi_cache_whole_done(c->cache, &m->wholes[i]);
    mem_free(c->base.env.mem, m->rows);
    memset(m, 0, sizeof *m);
}

/* A latch is released last: check() takes them all and expects that no file is being removed. */
void channi_give(struct channi *c, struct channi_taken *w)
{
    free_members(c, &w->members);
    pthread_mutex_lock(&c->write);
    c->taken_bytes -= w->bytes;
    pthread_mutex_unlock(&c->write);
    channi_view_unref(c, w->view);
    for (size_t i = 0; i < w->n; i++) {
        struct channi_latch *latch = latch_of(c, w->clusters[i]->cid);

        channi_cluster_unref(c, w->clusters[i]);
        atomic_store(&latch->busy, false);
    }
}

/* ------------------------------------------------------------------------------- members */

int channi_gather(struct channi *c, struct channi_taken *w)
{
    struct channi_members *m = &w->members;
    size_t most = 0;
    int rc = OK;

    /* No commit is under way, so every appended row is committed. The marks of a later one do
       not count. */
    pthread_mutex_lock(&c->write);
    const uint64_t version = atomic_load(&c->now)->version, horizon = channi_horizon(c);
    for (size_t i = 0; i < w->n; i++) {
        w->seen[i] = channi_delta_count(&w->clusters[i]->delta);
        most += w->clusters[i]->base_n + w->seen[i];
    }
    pthread_mutex_unlock(&c->write);
    m->rows = mem_array(c->base.env.mem, most, sizeof *m->rows);
    if (!m->rows)
        rc = CHANNI_NO_MEMORY(&c->base.env, ", cannot gather the %zu rows of %zu clusters", most,
                              w->n);
    for (uint32_t i = 0; rc == OK && i < w->n; i++) {
        const struct channi_cluster *cl = w->clusters[i];

        rc = cl->base ? channi_cache_whole(c->cache, cl->base, &m->wholes[i]) : OK;
        throttle_wait();
        for (uint32_t row = 0; rc == OK && row < cl->base_n + w->seen[i]; row++) {
            struct channi_row *r = &m->rows[m->n];

            *r = channi_cluster_row(cl, &m->wholes[i].image, row);
            r->from = i;
            r->dead = r->dead > version ? 0 : r->dead;
            m->n += r->dead == 0 || r->dead > horizon;
            m->n_live += r->dead == 0;
        }
    }
    if (rc != OK)
        free_members(c, m);
    return rc;
}
