/* tier_file.c - rows in the file "rows" of env->dir, the hot ones in frames of memory too.
 *
 * The file is scratch: made anew whenever an index is created or loaded, which has its rows from a snapshot and the log,
 * and removed with it. So a slot's row may be written over by another's without a thought of what a snapshot needs.
 * A row is in the file before tier_write() returns; the system writes it back when it likes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/asteria/tier_state.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { BOUNCE_BYTES = 1 << 16 };

static size_t bounce_rows(const struct tier *t)
{
    return BOUNCE_BYTES / t->stride > 0 ? BOUNCE_BYTES / t->stride : 1;
}

int tier_file_open(struct tier *t, uint64_t hot_bytes)
{
    const struct index_env *env = &t->env;
    struct tier_file *f = mem_zalloc(env->mem, sizeof *f);

    if (!f)
        return fail(env->error, ERR_NO_MEMORY, "asteria: no memory for the file of rows");
    t->file = f;
    f->fd = -1;
    f->uring = true;
    f->frames_most =
        hot_bytes / t->stride < UINT32_MAX ? (size_t)(hot_bytes / t->stride) : UINT32_MAX - 1;
    f->threads = read_threads_create(env->mem);
    f->bounce = mem_array(env->mem, bounce_rows(t), t->stride);
    if (!f->threads || !f->bounce)
        return fail(env->error, ERR_NO_MEMORY, "asteria: no memory for the file of rows");
    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: rows=tiered keeps rows in a file, but there is no folder for the "
                    "index; use rows=memory");
    const int length = snprintf(f->path, sizeof f->path, "%s/%s", env->dir, TIER_FILE_NAME);
    if (length < 0 || (size_t)length >= sizeof f->path)
        return fail(env->error, ERR_ARGUMENT, "asteria: the path of %s is too long", env->dir);
    f->fd = open(f->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0)
        return fail_errno(env->error, ERR_IO, "asteria: cannot create the file of rows %s",
                          f->path);
    /* Reads ahead of a row would fill memory with rows of no one's asking; what it says is only advice. */
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM);
    return OK;
}

void tier_file_close(struct tier *t)
{
    struct tier_file *f = t->file;
    struct mem *mem = t->env.mem;

    tier_fetch_destroy(f->own);
    read_threads_destroy(f->threads);
    if (f->fd >= 0) {
        (void)close(f->fd);
        (void)unlink(f->path);
    }
    mem_free(mem, f->bounce);
    mem_free(mem, f->free);
    mem_free(mem, f->frames);
    mem_free(mem, f->frame_of);
    mem_free(mem, f);
    t->file = NULL;
}

int tier_file_reserve(struct tier *t, size_t n)
{
    struct tier_file *f = t->file;

    if (n <= f->slots)
        return OK;
    if (!mem_grow(t->env.mem, &f->frame_of, &f->slots_capacity, n, sizeof *f->frame_of))
        return fail(t->env.error, ERR_NO_MEMORY, "asteria: no memory for the places of %zu rows",
                    n);
    memset(f->frame_of + f->slots, 0, (n - f->slots) * sizeof *f->frame_of);
    f->slots = n;
    return OK;
}

/* ------------------------------------------------------------------------------- writing */

static int unwritten(const struct tier *t, uint32_t slot)
{
    const char *path = t->file->path;

    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return fail_errno(t->env.error, ERR_IO,
                          "asteria: %s: no room for the row of slot %" PRIu32
                          "; the index is as before: make room and try again",
                          path, slot);
    return fail_errno(t->env.error, ERR_IO,
                      "asteria: %s: cannot write the row of slot %" PRIu32
                      "; the index is as before: see to the disk and try again",
                      path, slot);
}

static int write_run(struct tier *t, uint32_t slot, const unsigned char *bytes, size_t n)
{
    struct tier_file *f = t->file;
    uint64_t at = (uint64_t)slot * t->stride;
    const uint64_t end = at + n * t->stride;

    while (at < end) {
        const ssize_t did = store_faulted(f->fault, "write")
                                ? -1
                                : pwrite(f->fd, bytes, (size_t)(end - at), (off_t)at);

        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            return unwritten(t, (uint32_t)(at / t->stride));
        bytes += did;
        at += (uint64_t)did;
        f->end = at > f->end ? at : f->end;
    }
    return OK;
}

/* Rows just written are likely to be read again soon, for their buckets' and neighbours' upkeep. Where there is no memory
   for a frame that is no error: the row is in the file. */
static void keep_hot(struct tier *t, const uint32_t *slots, const unsigned char *rows, size_t n)
{
    bool refused = false;

    for (size_t i = 0; i < n; i++) {
        unsigned char *frame = tier_frame_for(t, slots[i], &refused);
        if (frame)
            memcpy(frame, rows + i * t->row_bytes, t->row_bytes);
    }
}

/* Slots of rows that are written have no live row: one that fails halfway has harmed none. But a frame must not be newer
   or older than the file: frames come last. */
int tier_file_write(struct tier *t, const uint32_t *slots, const void *rows, size_t n)
{
    const unsigned char *row = rows;
    const size_t most = bounce_rows(t), gap = t->stride - t->row_bytes;
    int rc = OK;

    for (size_t i = 0, some; i < n && rc == OK; i += some) {
        const unsigned char *from = row + i * t->row_bytes;

        some = 1;
        while (i + some < n && slots[i + some] == slots[i] + some && (gap == 0 || some < most))
            some++;
        for (size_t j = 0; gap > 0 && j < some; j++) {
            unsigned char *to = t->file->bounce + j * t->stride;
            memcpy(to, from + j * t->row_bytes, t->row_bytes);
            memset(to + t->row_bytes, 0, gap);
        }
        rc = write_run(t, slots[i], gap > 0 ? t->file->bounce : from, some);
    }
    if (rc == OK)
        keep_hot(t, slots, row, n);
    else
        tier_cool(t, slots, n);
    return rc;
}

/* ------------------------------------------------------------------------------- reading */

int tier_file_unread(const struct tier *t, uint32_t slot, int why)
{
    const struct tier_file *f = t->file;
    const uint64_t at = (uint64_t)slot * t->stride;

    if (why == READ_SHORT)
        return fail(t->env.error, ERR_CORRUPT,
                    "asteria: %s ends before the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                    "): something has cut it; load the index from a snapshot",
                    f->path, slot, t->stride, at);
    errno = why;
    return fail_errno(t->env.error, ERR_IO,
                      "asteria: %s: cannot read the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                      "); see to the disk and try again",
                      f->path, slot, t->stride, at);
}

int tier_file_read(const struct tier *t, uint32_t slot, size_t n, void *to)
{
    struct tier_file *f = t->file;
    const uint64_t at = (uint64_t)slot * t->stride;
    const size_t bytes = n * t->stride - (t->stride - t->row_bytes);

    atomic_fetch_add_explicit(&f->reads, 1, memory_order_relaxed);
    for (size_t done = 0; done < bytes;) {
        const ssize_t did = store_faulted(f->fault, "read")
                                ? -1
                                : pread(f->fd, (char *)to + done, bytes - done, (off_t)(at + done));

        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            return tier_file_unread(t, slot + (uint32_t)(done / t->stride),
                                    did < 0 ? errno : READ_SHORT);
        done += (size_t)did;
    }
    return OK;
}
