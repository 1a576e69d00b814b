/* snapshots.c - versions that are kept: those with a snapshot and, with `history`, the last ones. A
 * snapshot keeps its whole view: routes, files and deltas. */
#include <inttypes.h>
#include <stdio.h>

#include "algorithms/channi/channi.h"
#include "algorithms/channi/versions/view.h"
#include "src/core/mem.h"

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
