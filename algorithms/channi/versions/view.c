/* view.c - layouts and views; the versions that are kept; the places of live ids.
 *
 * The newest view is `now`. A reader inside the epoch needs no reference to it: the index drops
 * its own reference only after all readers that may have loaded the pointer have left. Kept are
 * versions with a snapshot and, with `history`, the last ones. A snapshot keeps its whole view:
 * routes, files and deltas. */
#include "algorithms/channi/versions/view.h"

#include <inttypes.h>
#include <stdio.h>

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

    if (!mem_fit(s->base.env.mem, &l->ood, l->n_clusters, sizeof *l->ood))
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

/* ---- snapshots */

static struct channi_snapshot *snapshot_of(const struct channi *s, uint64_t version)
{
    for (size_t i = 0; i < s->n_snapshots; i++)
        if (s->snapshots[i].version == version)
            return &s->snapshots[i];
    return NULL;
}

static struct channi_view *ref(struct channi_view *view)
{
    (void)atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    return view;
}

int channi_snapshot(struct index *index, uint64_t *version)
{
    struct channi *s = channi_of(index);
    struct channi_view *now = channi_view_now(s);
    int rc = OK;

    *version = now->version;
    pthread_mutex_lock(&s->snapshot_lock);
    struct channi_snapshot *pin = snapshot_of(s, now->version);
    if (pin) {
        pin->times++;
    } else if (mem_grow(index->env.mem, &s->snapshots, &s->snapshots_capacity, s->n_snapshots + 1,
                        sizeof *s->snapshots)) {
        s->snapshots[s->n_snapshots++] =
            (struct channi_snapshot){ .version = now->version, .view = ref(now), .times = 1 };
    } else {
        rc = CHANNI_NO_MEMORY(&index->env, " for a snapshot");
    }
    pthread_mutex_unlock(&s->snapshot_lock);
    channi_view_unref(s, now);
    return rc;
}

/* Lists the versions with a snapshot, "3, 7, 9", as many as fit. */
static const char *snapshot_names(const struct channi *s, char *text, size_t size)
{
    size_t at = 0;

    (void)snprintf(text, size, "none");
    for (size_t i = 0; i < s->n_snapshots && at + 48 < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%" PRIu64, i ? ", " : "",
                               s->snapshots[i].version);
    if (at + 48 >= size)
        (void)snprintf(text + at, size - at, " and others");
    return text;
}

int channi_release(struct index *index, uint64_t version)
{
    struct channi *s = channi_of(index);
    struct channi_view *view = NULL;
    char names[400];
    int rc = OK;

    pthread_mutex_lock(&s->snapshot_lock);
    struct channi_snapshot *pin = snapshot_of(s, version);
    if (!pin) {
        rc = fail(index->env.error, ERR_NOT_FOUND,
                  "channi: there is no snapshot of version %" PRIu64 "; there are: %s", version,
                  snapshot_names(s, names, sizeof names));
    } else if (--pin->times == 0) {
        view = pin->view;
        *pin = s->snapshots[--s->n_snapshots];
    }
    pthread_mutex_unlock(&s->snapshot_lock);
    channi_view_unref(s, view);
    return rc;
}

static uint64_t oldest_of(const struct channi *s, uint64_t now)
{
    const uint64_t history = (uint64_t)s->params.history;

    return now > history ? now - history : 0;
}

/* Takes no lock that a commit holds, because searches call it. */
int channi_view_of(struct channi *s, uint64_t version, struct channi_view **out)
{
    struct channi_view *now = channi_view_now(s);
    const uint64_t newest = now->version, oldest = oldest_of(s, newest);
    char names[400];
    int rc = OK;

    pthread_mutex_lock(&s->snapshot_lock);
    const struct channi_snapshot *pin = snapshot_of(s, version);
    if (pin)
        *out = ref(pin->view);
    else if (version == newest)
        *out = ref(now);
    else if (version >= oldest && version < newest) {
        /* The files of the present layout keep what that version sees. */
        rc = (*out = channi_view_make(s)) ? OK : ERR_NO_MEMORY;
        if (rc == OK) {
            (*out)->version = version;
            (*out)->layout = now->layout;
            (void)atomic_fetch_add_explicit(&now->layout->refs, 1, memory_order_relaxed);
            atomic_init(&(*out)->refs, 1);
        }
    } else
        rc = fail(s->base.env.error, ERR_NOT_FOUND,
                  "channi: there is no version %" PRIu64 "; there are %" PRIu64 " to %" PRIu64
                  ", and snapshots of: %s",
                  version, oldest, newest, snapshot_names(s, names, sizeof names));
    pthread_mutex_unlock(&s->snapshot_lock);
    channi_view_unref(s, now);
    return rc;
}

uint64_t channi_horizon(struct channi *s)
{
    unsigned ticket;
    const uint64_t oldest = oldest_of(s, channi_enter(s, &ticket)->version);

    channi_leave(s, ticket);
    return oldest;
}

/* ---- places: slots, found by id. A free slot's id is INDEX_NO_ID, and its place links to the
   next free one. */

#define SLOT_NONE UINT32_MAX

int channi_places_reserve(struct channi *s, const uint64_t *ids, size_t n)
{
    struct mem *mem = s->base.env.mem;
    size_t more = n;

    for (uint32_t at = s->first_free; at != SLOT_NONE && more > 0; more--)
        at = s->places[at].row;
    if (more < SLOT_NONE - s->n_slots &&
        mem_grow(mem, &s->ids, &s->ids_capacity, s->n_slots + more, sizeof *s->ids) &&
        mem_grow(mem, &s->places, &s->places_capacity, s->n_slots + more, sizeof *s->places) &&
        slot_table_reserve(&s->table, s->ids, ids, n))
        return OK;
    return CHANNI_NO_MEMORY(&s->base.env, " for %zu more ids", n);
}

void channi_place_add(struct channi *s, uint64_t id, struct channi_place place)
{
    uint32_t slot = s->first_free;

    if (slot == SLOT_NONE)
        slot = (uint32_t)s->n_slots++;
    else
        s->first_free = s->places[slot].row;
    s->ids[slot] = id;
    s->places[slot] = place;
    slot_table_put(&s->table, id, slot);
}

bool channi_place_of(const struct channi *s, uint64_t id, struct channi_place *place)
{
    uint32_t slot = SLOT_NONE;

    if (!slot_table_get(&s->table, s->ids, id, &slot))
        return false;
    if (place)
        *place = s->places[slot];
    return true;
}

void channi_place_set(struct channi *s, uint64_t id, struct channi_place place)
{
    uint32_t slot = SLOT_NONE;

    if (slot_table_get(&s->table, s->ids, id, &slot))
        s->places[slot] = place;
}

void channi_place_remove(struct channi *s, uint64_t id)
{
    uint32_t slot = SLOT_NONE;

    if (!slot_table_remove(&s->table, s->ids, id, &slot))
        return;
    s->ids[slot] = INDEX_NO_ID;
    s->places[slot] = (struct channi_place){ CID_NONE, s->first_free };
    s->first_free = slot;
}

size_t channi_live(const struct channi *s)
{
    return s->table.n;
}

uint64_t channi_places_bytes(const struct channi *s)
{
    return s->ids_capacity * sizeof *s->ids + s->places_capacity * sizeof *s->places +
           slot_table_bytes(&s->table);
}
