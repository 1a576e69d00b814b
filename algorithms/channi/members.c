/* members.c - clusters taken for upkeep, and their rows gathered. */
#include <string.h>

#include "algorithms/channi/members.h"
#include "src/core/mem.h"

/* --------------------------------------------------------------------------------- seats */

static struct channi_seat *seat_of(const struct channi *c, uint32_t cid)
{
    return stable_at(&c->seats, cid);
}

static void leave_seats(const struct channi *c, const uint32_t *cids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        atomic_store(&seat_of(c, cids[i])->busy, false);
}

/* Never waits, so two that want the same clusters cannot wait for one another. */
static bool take_seats(const struct channi *c, const uint32_t *sorted, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (atomic_exchange(&seat_of(c, sorted[i])->busy, true)) {
            leave_seats(c, sorted, i);
            return false;
        }
    }
    return true;
}

/* The cids ascending; false: one is there twice, or there never was such a cluster. */
static bool sort_cids(const struct layout *layout, const uint32_t *cids, size_t n, uint32_t *out)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = i;

        for (; at > 0 && out[at - 1] > cids[i]; at--)
            out[at] = out[at - 1];
        out[at] = cids[i];
        if (cids[i] >= layout->n_clusters || (at > 0 && out[at - 1] == cids[i]))
            return false;
    }
    return true;
}

/* What the seats' clusters are now: without the seats they could be replaced meanwhile. */
static bool refer(struct channi *c, const uint32_t *cids, size_t n, struct work_on *w)
{
    struct view *now = atomic_load(&c->now);

    for (size_t i = 0; i < n; i++) {
        if (!now->layout->clusters[cids[i]])
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        w->clusters[i] = now->layout->clusters[cids[i]];
        cluster_ref(w->clusters[i]);
    }
    (void)atomic_fetch_add(&now->refs, 1);
    w->view = now;
    w->n = n;
    return true;
}

int channi_take(struct channi *c, const uint32_t *cids, size_t n, struct work_on *w, bool *taken)
{
    uint32_t sorted[sizeof w->clusters / sizeof *w->clusters];

    *w = (struct work_on){ 0 };
    *taken = false;
    if (n == 0 || n > sizeof sorted / sizeof *sorted)
        return fail(c->base.env.error, ERR_ARGUMENT,
                    "channi: upkeep of %zu clusters at once; it works on 1 to %zu", n,
                    sizeof sorted / sizeof *sorted);
    /* `now` keeps its view while `write` is held. */
    pthread_mutex_lock(&c->write);
    if (sort_cids(atomic_load(&c->now)->layout, cids, n, sorted) && take_seats(c, sorted, n)) {
        *taken = refer(c, cids, n, w);
        if (!*taken)
            leave_seats(c, sorted, n);
    }
    pthread_mutex_unlock(&c->write);
    if (!*taken)
        channi_count(&c->counters.conflicts, 1);
    return OK;
}

void channi_give(struct channi *c, struct work_on *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const uint32_t cid = w->clusters[i]->cid;

        cluster_unref(c, w->clusters[i]);
        leave_seats(c, &cid, 1);
    }
    if (w->view)
        view_unref(c, w->view);
    *w = (struct work_on){ 0 };
}

/* ------------------------------------------------------------------------------- members */

void channi_members_init(struct members *m, struct channi *c)
{
    *m = (struct members){ .mem = c->base.env.mem };
}

void channi_members_free(struct members *m, struct channi *c)
{
    for (size_t i = 0; i < m->n_wholes; i++)
        if (m->wholes[i].base)
            cache_whole_done(c->cache, &m->wholes[i]);
    mem_free(m->mem, m->wholes);
    mem_free(m->mem, m->rows);
    mem_free(m->mem, m->ids);
    mem_free(m->mem, m->born);
    mem_free(m->mem, m->dead);
    mem_free(m->mem, m->attributes);
    mem_free(m->mem, m->from);
    mem_free(m->mem, m->row);
    channi_members_init(m, c);
}

static bool reserve(struct members *m, size_t n, size_t n_clusters)
{
    m->capacity = n;
    n = n ? n : 1;
    m->rows = mem_array(m->mem, n, sizeof *m->rows);
    m->ids = mem_array(m->mem, n, sizeof *m->ids);
    m->born = mem_array(m->mem, n, sizeof *m->born);
    m->dead = mem_array(m->mem, n, sizeof *m->dead);
    m->attributes = mem_array(m->mem, n, sizeof *m->attributes);
    m->from = mem_array(m->mem, n, sizeof *m->from);
    m->row = mem_array(m->mem, n, sizeof *m->row);
    m->wholes = mem_array(m->mem, n_clusters, sizeof *m->wholes);
    if (m->wholes)
        memset(m->wholes, 0, n_clusters * sizeof *m->wholes);
    m->n_wholes = m->wholes ? n_clusters : 0;
    return m->rows && m->ids && m->born && m->dead && m->attributes && m->from && m->row &&
           m->wholes;
}

/* As of one version: what a commit under way has marked is not yet so. */
struct moment {
    uint64_t version, horizon;
    bool history;
};

static void gather_row(struct members *m, const struct moment *at, uint32_t from, uint32_t row,
                       const struct delta_row *r, uint64_t born, uint64_t dead)
{
    if (born == ROW_VOID)
        return;
    dead = dead > at->version ? 0 : dead;
    if (dead && !(at->history && dead > at->horizon))
        return;
    m->rows[m->n] = r->row;
    m->ids[m->n] = r->id;
    m->attributes[m->n] = r->attribute;
    m->born[m->n] = born;
    m->dead[m->n] = dead;
    m->from[m->n] = from;
    m->row[m->n] = row;
    m->n++;
    m->n_live += dead == 0;
}

static int gather_file(struct channi *c, const struct cluster *cl, uint32_t from,
                       const struct moment *at, struct members *m)
{
    struct whole *whole = &m->wholes[from];
    const struct image *image = &whole->image;
    const int rc = cl->base ? cache_whole(c->cache, cl->base, whole) : OK;

    if (rc != OK) {
        whole->base = NULL; /* nothing is held */
        return rc;
    }
    for (uint32_t i = 0; i < cl->base_n; i++) {
        const struct delta_row r = { .row = image->rows + i * c->row_bytes,
                                     .id = image->ids[i],
                                     .attribute = image->attributes ? image->attributes[i]
                                                                    : ATTRIBUTE_NONE };

        gather_row(m, at, from, i, &r, image->born ? image->born[i] : 0,
                   cluster_base_dead(cl, image, i));
    }
    return OK;
}

static void gather_delta(const struct cluster *cl, uint32_t from, uint32_t seen,
                         const struct moment *at, struct members *m)
{
    for (uint32_t i = 0; i < seen; i++) {
        const struct delta_row r = delta_at(&cl->delta, i);

        gather_row(m, at, from, cl->base_n + i, &r,
                   atomic_load_explicit(r.born, memory_order_acquire),
                   atomic_load_explicit(r.dead, memory_order_acquire));
    }
}

int channi_gather(struct channi *c, struct work_on *w, struct members *m)
{
    struct moment at = { .history = c->params.history > 0 };
    size_t most = 0;
    int rc = OK;

    /* No commit is under way: what is appended is committed or void. */
    pthread_mutex_lock(&c->write);
    at.version = atomic_load(&c->now)->version;
    at.horizon = channi_horizon(c);
    for (size_t i = 0; i < w->n; i++) {
        w->seen[i] = delta_count(&w->clusters[i]->delta);
        most += w->clusters[i]->base_n + w->seen[i];
    }
    pthread_mutex_unlock(&c->write);
    channi_members_free(m, c);
    if (!reserve(m, most, w->n))
        rc = fail(c->base.env.error, ERR_NO_MEMORY,
                  "channi: out of memory to gather the %zu rows of %zu clusters", most, w->n);
    for (size_t i = 0; rc == OK && i < w->n; i++) {
        rc = gather_file(c, w->clusters[i], (uint32_t)i, &at, m);
        if (rc == OK)
            gather_delta(w->clusters[i], (uint32_t)i, w->seen[i], &at, m);
    }
    if (rc != OK)
        channi_members_free(m, c);
    return rc;
}
