/* tier_fetch.c - many rows at once: those in memory first, the others as their reads are done.
 *
 * Slots that follow one another, in a row in `slots` too, are one read: a bucket's rows often lie so.
 */
#include <errno.h>

#include "algorithms/asteria/tier_state.h"
#include "src/core/error.h"
#include "src/core/mem.h"

struct tier_fetch {
    const struct tier *tier;
    const uint32_t *slots;
    size_t n_ready, next;
    uint16_t ready[FETCH_MOST]; /* places in `slots`, in the order in which they are given */
    /* tiered only */
    struct read_queue *queue;
    struct read_request *requests; /* FETCH_MOST: that of a run is its first place in `slots` */
    unsigned char *buffer;         /* FETCH_MOST rows, by place in `slots` */
};

int tier_fetch_create(struct tier_fetch **out, const struct tier *t)
{
    struct mem *mem = t->env.mem;
    struct tier_fetch *f = mem_zalloc(mem, sizeof *f);
    bool made = f != NULL;

    if (f)
        f->tier = t;
    if (f && t->file) {
        f->requests = mem_array(mem, FETCH_MOST, sizeof *f->requests);
        f->buffer = mem_array(mem, FETCH_MOST, t->stride);
        f->queue = read_queue_create(mem, t->file->threads, t->file->uring);
        made = f->requests && f->buffer && f->queue;
    }
    if (!made) {
        tier_fetch_destroy(f);
        return fail(t->env.error, ERR_NO_MEMORY, "asteria: no memory to read rows");
    }
    *out = f;
    return OK;
}

/* Requests point into the buffer until they are taken back. */
static void empty(struct tier_fetch *f)
{
    f->n_ready = f->next = 0;
    while (f->queue && read_queue_in_flight(f->queue) > 0)
        (void)read_queue_take(f->queue, true);
}

void tier_fetch_destroy(struct tier_fetch *f)
{
    if (!f)
        return;
    struct mem *mem = f->tier->env.mem;

    empty(f);
    read_queue_destroy(f->queue);
    mem_free(mem, f->buffer);
    mem_free(mem, f->requests);
    mem_free(mem, f);
}

static size_t run_of(const struct tier_fetch *f, size_t i, size_t n)
{
    size_t end = i + 1;

    while (end < n && f->slots[end] == f->slots[end - 1] + 1 &&
           !tier_resident(f->tier, f->slots[end]))
        end++;
    return end - i;
}

static void begin_read(struct tier_fetch *f, size_t i, size_t n)
{
    const struct tier *t = f->tier;
    struct read_request *r = &f->requests[i];

    *r = (struct read_request){ .fd = t->file->fd,
                                .to = f->buffer + i * t->stride,
                                .at = (uint64_t)f->slots[i] * t->stride,
                                .bytes = n * t->stride };
    atomic_fetch_add_explicit(&t->file->reads, 1, memory_order_relaxed);
    read_queue_add(f->queue, r, false);
}

int tier_fetch_begin(struct tier_fetch *f, const uint32_t *slots, size_t n)
{
    const struct tier *t = f->tier;

    empty(f);
    if (n > FETCH_MOST)
        return fail(t->env.error, ERR_ARGUMENT, "asteria: %zu rows to read at once, at most %d", n,
                    FETCH_MOST);
    f->slots = slots;
    for (size_t i = 0, some; i < n; i += some) {
        some = 1;
        if (tier_resident(t, slots[i])) {
            f->ready[f->n_ready++] = (uint16_t)i;
            continue;
        }
        some = run_of(f, i, n);
        if (store_faulted(t->file->fault, "read")) {
            const int rc = tier_file_unread(t, slots[i], errno);
            empty(f);
            return rc;
        }
        begin_read(f, i, some);
    }
    if (f->queue)
        read_queue_submit(f->queue);
    return OK;
}

/* The next read's rows become ready. */
static int await(struct tier_fetch *f)
{
    const struct read_request *r = read_queue_take(f->queue, true);

    if (!r)
        return OK;
    const size_t first = (size_t)(r - f->requests);
    if (r->error) {
        const uint32_t slot = f->slots[first] + (uint32_t)(r->done / f->tier->stride);
        const int rc = tier_file_unread(f->tier, slot, r->error);
        empty(f);
        return rc;
    }
    for (size_t i = first; i < first + r->bytes / f->tier->stride; i++) {
        if (!tier_file_is_sound(f->tier, f->slots[i], f->buffer + i * f->tier->stride)) {
            const int rc = tier_file_unread(f->tier, f->slots[i], TIER_DAMAGED);
            empty(f);
            return rc;
        }
        f->ready[f->n_ready++] = (uint16_t)i;
    }
    return OK;
}

int tier_fetch_next(struct tier_fetch *f, size_t *i, const void **row)
{
    *row = NULL;
    if (f->next == f->n_ready && f->queue) {
        const int rc = await(f);
        if (rc != OK)
            return rc;
    }
    if (f->next == f->n_ready)
        return OK;
    *i = f->ready[f->next++];
    *row = tier_resident(f->tier, f->slots[*i]);
    if (!*row)
        *row = f->buffer + *i * f->tier->stride;
    return OK;
}

/* ------------------------------------------------------------------------- the tier's own */

int tier_own_fetch(struct tier *t, struct tier_fetch **f)
{
    const int rc = t->file->own ? OK : tier_fetch_create(&t->file->own, t);

    *f = t->file->own;
    return rc;
}

uint64_t tier_fetch_bytes(const struct tier_fetch *f)
{
    return f ? sizeof *f + FETCH_MOST * (sizeof *f->requests + (uint64_t)f->tier->stride) : 0;
}

/* Rows come as their reads are done: sums of floats, made in that order, would differ from run to run. */
int tier_get_many(struct tier *t, const uint32_t *slots, size_t n, const void **rows)
{
    struct tier_fetch *f;
    const void *row;
    size_t at;
    int rc;

    if (!t->file) {
        for (size_t i = 0; i < n; i++)
            rows[i] = stable_at(&t->rows, slots[i]);
        return OK;
    }
    rc = tier_own_fetch(t, &f);
    if (rc == OK)
        rc = tier_fetch_begin(f, slots, n);
    while (rc == OK && (rc = tier_fetch_next(f, &at, &row)) == OK && row)
        rows[at] = row;
    return rc;
}
