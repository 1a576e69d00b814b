/* fetch.c - reading many rows at once.
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
    struct asteria_rows_fetch *f = *out = mem_zalloc(mem, sizeof *f);

    if (f) {
        f->rows = t;
        f->requests = mem_array(mem, FETCH_MOST, sizeof *f->requests);
        f->buffer = mem_array(mem, FETCH_MOST, t->row_bytes);
        f->queue = read_queue_create(mem, t->file->threads, t->file->uring);
        if (f->requests && f->buffer && f->queue)
            return OK;
    }
    asteria_rows_fetch_destroy(f);
    *out = NULL;
    return fail(t->env.error, ERR_NO_MEMORY, "asteria: out of memory, cannot read rows");
}

void asteria_rows_fetch_destroy(struct asteria_rows_fetch *f)
{
    if (!f)
        return;
    struct mem *mem = f->rows->env.mem;

    read_queue_destroy(f->queue);
    mem_free(mem, f->buffer);
    mem_free(mem, f->requests);
    mem_free(mem, f);
}

/* The result of a read that has ended. */
static int take(struct asteria_rows_fetch *f, const struct read_request *r, const uint32_t *slots)
{
    const size_t row_bytes = f->rows->row_bytes, first = (size_t)(r - f->requests);

    if (r->error)
        return asteria_rows_unread(f->rows, slots[first] + (uint32_t)(r->done / row_bytes),
                                   r->error);
    for (size_t i = first; i < first + r->bytes / row_bytes; i++)
        if (!asteria_rows_are_sound(f->rows, slots[i], f->buffer + i * row_bytes))
            return asteria_rows_unread(f->rows, slots[i], ROWS_DAMAGED);
    return OK;
}

int asteria_rows_fetch(struct asteria_rows_fetch *f, const uint32_t *slots, size_t n,
                       const void **rows)
{
    const struct asteria_rows *t = f->rows;
    const struct read_request *r;
    int rc = OK;

    for (size_t i = 0, end; rc == OK && i < n; i = end) {
        end = i + 1;
        rows[i] = asteria_rows_resident(t, slots[i]);
        if (rows[i])
            continue;
        while (end < n && slots[end] == slots[end - 1] + 1 && !asteria_rows_resident(t, slots[end]))
            end++;
        for (size_t j = i; j < end; j++)
            rows[j] = f->buffer + j * t->row_bytes;
        f->requests[i] = (struct read_request){ .fd = t->file->fd,
                                                .to = f->buffer + i * t->row_bytes,
                                                .at = (uint64_t)slots[i] * t->row_bytes,
                                                .bytes = (end - i) * t->row_bytes };
        if (file_faulted(t->file->fault, "read")) {
            rc = asteria_rows_unread(t, slots[i], errno);
        } else {
            atomic_fetch_add_explicit(&t->file->reads, 1, memory_order_relaxed);
            read_queue_add(f->queue, &f->requests[i], false);
        }
    }
    read_queue_submit(f->queue);
    while ((r = read_queue_take(f->queue, true))) /* all, because reads write to the buffer */
        if (rc == OK)
            rc = take(f, r, slots);
    return rc;
}

uint64_t asteria_rows_fetch_bytes(const struct asteria_rows_fetch *f)
{
    return f ? sizeof *f + FETCH_MOST * (sizeof *f->requests + (uint64_t)f->rows->row_bytes) : 0;
}

int asteria_rows_get_many(struct asteria_rows *t, const uint32_t *slots, size_t n,
                          const void **rows)
{
    if (t->file)
        return asteria_rows_fetch(t->file->own, slots, n, rows);
    for (size_t i = 0; i < n; i++)
        rows[i] = segmented_at(&t->rows, slots[i]);
    return OK;
}
