/* fetch.c - reading many rows at once: those in memory first, the others as their reads complete.
 *
 * Consecutive slots that are also consecutive in `slots` are one read. The rows of a bucket often
 * have consecutive slots.
 */
#include <errno.h>
#include <inttypes.h>

#include "algorithms/asteria/rows/internal.h"
#include "src/core/error.h"
#include "src/core/mem.h"

struct asteria_rows_fetch {
    const struct asteria_rows *rows;
    const uint32_t *slots;
    size_t n_ready, next;
    uint16_t ready[FETCH_MOST]; /* places in `slots`, in the order of return */
    /* Tiered only: */
    struct read_queue *queue;
    struct read_request *requests; /* FETCH_MOST; a run uses that of its first place in `slots` */
    unsigned char *buffer;         /* FETCH_MOST rows, by place in `slots` */
};

const void *asteria_rows_resident(const struct asteria_rows *t, uint32_t slot)
{
    return t->file ? asteria_rows_frame(t, slot) : segmented_at(&t->rows, slot);
}

/* Each row read is compared with the checksum of the row written, because the file outlives failed
   write-backs and disk errors. */
bool asteria_rows_are_sound(const struct asteria_rows *t, uint32_t slot, const void *row)
{
    const uint32_t *sum = segmented_at(&t->file->sums, slot);

    return asteria_rows_sum(t, row) == *sum;
}

int asteria_rows_unread(const struct asteria_rows *t, uint32_t slot, int why)
{
    const char *path = t->file->path;
    const uint64_t at = (uint64_t)slot * t->row_bytes;

    if (why == READ_SHORT)
        return fail(t->env.error, ERR_CORRUPT,
                    "asteria: %s ends before the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                    "): the file was truncated; load a saved copy",
                    path, slot, t->row_bytes, at);
    if (why == ROWS_DAMAGED)
        return fail(t->env.error, ERR_CORRUPT,
                    "asteria: %s: the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                    ") has a wrong checksum: the file was changed, or the disk lost a write; load "
                    "a saved copy",
                    path, slot, t->row_bytes, at);
    errno = why;
    return fail_errno(t->env.error, ERR_IO,
                      "asteria: %s: cannot read the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                      "); check the disk and try again",
                      path, slot, t->row_bytes, at);
}

int asteria_rows_fetch_create(struct asteria_rows_fetch **out, const struct asteria_rows *t)
{
    struct mem *mem = t->env.mem;
    struct asteria_rows_fetch *f = mem_zalloc(mem, sizeof *f);
    bool made = f != NULL;

    if (f)
        f->rows = t;
    if (f && t->file) {
        f->requests = mem_array(mem, FETCH_MOST, sizeof *f->requests);
        f->buffer = mem_array(mem, FETCH_MOST, t->row_bytes);
        f->queue = read_queue_create(mem, t->file->threads, t->file->uring);
        made = f->requests && f->buffer && f->queue;
    }
    if (!made) {
        asteria_rows_fetch_destroy(f);
        return fail(t->env.error, ERR_NO_MEMORY, "asteria: out of memory, cannot read rows");
    }
    *out = f;
    return OK;
}

/* Waits for reads under way, because they write to the buffer. */
static void empty(struct asteria_rows_fetch *f)
{
    f->n_ready = f->next = 0;
    while (f->queue && read_queue_in_flight(f->queue) > 0)
        (void)read_queue_take(f->queue, true);
}

void asteria_rows_fetch_destroy(struct asteria_rows_fetch *f)
{
    if (!f)
        return;
    struct mem *mem = f->rows->env.mem;

    empty(f);
    read_queue_destroy(f->queue);
    mem_free(mem, f->buffer);
    mem_free(mem, f->requests);
    mem_free(mem, f);
}

static int fail_fetch(struct asteria_rows_fetch *f, uint32_t slot, int why)
{
    empty(f);
    return asteria_rows_unread(f->rows, slot, why);
}

int asteria_rows_fetch_begin(struct asteria_rows_fetch *f, const uint32_t *slots, size_t n)
{
    const struct asteria_rows *t = f->rows;

    empty(f);
    if (n > FETCH_MOST)
        return fail(t->env.error, ERR_ARGUMENT, "asteria: %zu rows to read at once, at most %d", n,
                    FETCH_MOST);
    f->slots = slots;
    for (size_t i = 0, end; i < n; i = end) {
        end = i + 1;
        if (asteria_rows_resident(t, slots[i])) {
            f->ready[f->n_ready++] = (uint16_t)i;
            continue;
        }
        while (end < n && slots[end] == slots[end - 1] + 1 && !asteria_rows_resident(t, slots[end]))
            end++;
        if (file_faulted(t->file->fault, "read"))
            return fail_fetch(f, slots[i], errno);
        f->requests[i] = (struct read_request){ .fd = t->file->fd,
                                                .to = f->buffer + i * t->row_bytes,
                                                .at = (uint64_t)slots[i] * t->row_bytes,
                                                .bytes = (end - i) * t->row_bytes };
        atomic_fetch_add_explicit(&t->file->reads, 1, memory_order_relaxed);
        read_queue_add(f->queue, &f->requests[i], false);
    }
    if (f->queue)
        read_queue_submit(f->queue);
    return OK;
}

/* Waits for the next read and makes its rows ready. */
static int await(struct asteria_rows_fetch *f)
{
    const struct read_request *r = read_queue_take(f->queue, true);

    if (!r)
        return OK;
    const size_t first = (size_t)(r - f->requests);
    if (r->error)
        return fail_fetch(f, f->slots[first] + (uint32_t)(r->done / f->rows->row_bytes), r->error);
    for (size_t i = first; i < first + r->bytes / f->rows->row_bytes; i++) {
        if (!asteria_rows_are_sound(f->rows, f->slots[i], f->buffer + i * f->rows->row_bytes))
            return fail_fetch(f, f->slots[i], ROWS_DAMAGED);
        f->ready[f->n_ready++] = (uint16_t)i;
    }
    return OK;
}

int asteria_rows_fetch_next(struct asteria_rows_fetch *f, size_t *i, const void **row)
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
    *row = asteria_rows_resident(f->rows, f->slots[*i]);
    if (!*row)
        *row = f->buffer + *i * f->rows->row_bytes;
    return OK;
}

uint64_t asteria_rows_fetch_bytes(const struct asteria_rows_fetch *f)
{
    return f ? sizeof *f + FETCH_MOST * (sizeof *f->requests + (uint64_t)f->rows->row_bytes) : 0;
}

/* Returns rows in the order of slots, not of completed reads, so that sums of floats do not differ
   from run to run. */
int asteria_rows_get_many(struct asteria_rows *t, const uint32_t *slots, size_t n,
                          const void **rows)
{
    const void *row;
    size_t at;

    if (!t->file) {
        for (size_t i = 0; i < n; i++)
            rows[i] = segmented_at(&t->rows, slots[i]);
        return OK;
    }
    int rc = asteria_rows_fetch_begin(t->file->own, slots, n);
    while (rc == OK && (rc = asteria_rows_fetch_next(t->file->own, &at, &row)) == OK && row)
        rows[at] = row;
    return rc;
}
