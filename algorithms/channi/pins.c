/* pins.c - versions that are kept: those somebody holds a snapshot of, and, where there is a history, the last
 * ones. A snapshot keeps its whole view: its routes, files and deltas, whatever upkeep does. */
#include <inttypes.h>
#include <stdio.h>

#include "algorithms/channi/channi.h"
#include "src/core/mem.h"

static struct pin *pin_of(const struct channi *s, uint64_t version)
{
    for (size_t i = 0; i < s->n_pins; i++)
        if (s->pins[i].version == version)
            return &s->pins[i];
    return NULL;
}

static struct view *ref(struct view *view)
{
    (void)atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    return view;
}

/* The present view, referred to. */
static struct view *ref_now(struct channi *s)
{
    unsigned ticket;
    struct view *now = ref((struct view *)(uintptr_t)channi_enter(s, &ticket));

    channi_leave(s, ticket);
    return now;
}

/* Takes the reference over. */
static int pin_it(struct channi *s, struct view *view)
{
    struct pin *pin = pin_of(s, view->version);

    if (pin) {
        pin->times++;
        view_unref(s, view);
        return OK;
    }
    if (!mem_grow(s->base.env.mem, &s->pins, &s->pins_capacity, s->n_pins + 1, sizeof *s->pins)) {
        view_unref(s, view);
        return fail(s->base.env.error, ERR_NO_MEMORY, "channi: no memory for a snapshot");
    }
    s->pins[s->n_pins++] = (struct pin){ .version = view->version, .view = view, .times = 1 };
    return OK;
}

int channi_snapshot(struct index *index, uint64_t *version)
{
    struct channi *s = channi_of(index);
    struct view *now = ref_now(s);

    *version = now->version;
    pthread_mutex_lock(&s->pin_lock);
    const int rc = pin_it(s, now);
    pthread_mutex_unlock(&s->pin_lock);
    return rc;
}

/* "3, 7 and 9", or as many as fit. */
static const char *pinned_names(const struct channi *s, char *text, size_t room)
{
    size_t at = 0;

    (void)snprintf(text, room, "none");
    for (size_t i = 0; i < s->n_pins && at + 48 < room; i++)
        at +=
            (size_t)snprintf(text + at, room - at, "%s%" PRIu64, i ? ", " : "", s->pins[i].version);
    if (at + 48 >= room)
        (void)snprintf(text + at, room - at, " and others");
    return text;
}

int channi_release(struct index *index, uint64_t version)
{
    struct channi *s = channi_of(index);
    struct view *view = NULL;
    char names[400];
    int rc = OK;

    pthread_mutex_lock(&s->pin_lock);
    struct pin *pin = pin_of(s, version);
    if (!pin) {
        rc = fail(index->env.error, ERR_NOT_FOUND,
                  "channi: there is no snapshot of version %" PRIu64 "; there are: %s", version,
                  pinned_names(s, names, sizeof names));
    } else if (--pin->times == 0) {
        view = pin->view;
        *pin = s->pins[--s->n_pins];
    }
    pthread_mutex_unlock(&s->pin_lock);
    view_unref(s, view);
    return rc;
}

static uint64_t oldest_of(const struct channi *s, uint64_t now)
{
    const uint64_t history = (uint64_t)s->params.history;

    return now > history ? now - history : 0;
}

/* An older version of the present layout: its files have what the version sees. */
static struct view *older_view(struct channi *s, const struct view *now, uint64_t version)
{
    struct view *view = channi_view_make(s);

    if (!view)
        return NULL;
    view->version = version;
    view->layout = now->layout;
    (void)atomic_fetch_add_explicit(&view->layout->refs, 1, memory_order_relaxed);
    atomic_init(&view->refs, 1);
    return view;
}

static struct view *pinned_view(struct channi *s, uint64_t version)
{
    pthread_mutex_lock(&s->pin_lock);
    const struct pin *pin = pin_of(s, version);
    struct view *view = pin ? ref(pin->view) : NULL;
    pthread_mutex_unlock(&s->pin_lock);
    return view;
}

static int no_such(struct channi *s, uint64_t version, uint64_t oldest, uint64_t newest)
{
    char names[400];

    pthread_mutex_lock(&s->pin_lock);
    const int rc = fail(s->base.env.error, ERR_NOT_FOUND,
                        "channi: there is no version %" PRIu64 "; there are %" PRIu64 " to %" PRIu64
                        ", and snapshots of: %s",
                        version, oldest, newest, pinned_names(s, names, sizeof names));
    pthread_mutex_unlock(&s->pin_lock);
    return rc;
}

/* Takes no lock that a commit holds: it is a search's. */
int channi_view_of(struct channi *s, uint64_t version, struct view **out)
{
    struct view *now = ref_now(s);
    const uint64_t newest = now->version, oldest = oldest_of(s, newest);
    int rc = OK;

    *out = pinned_view(s, version);
    if (!*out && version == newest)
        *out = ref(now);
    else if (!*out && version >= oldest && version < newest)
        rc = (*out = older_view(s, now, version)) ? OK : ERR_NO_MEMORY;
    else if (!*out)
        rc = no_such(s, version, oldest, newest);
    view_unref(s, now);
    return rc;
}

uint64_t channi_horizon(struct channi *s)
{
    unsigned ticket;
    const struct view *now = channi_enter(s, &ticket);
    const uint64_t oldest = oldest_of(s, now->version);

    channi_leave(s, ticket);
    return oldest;
}
