/* tier_file.c - rows in the file "rows" of env->dir, the hot ones in frames of memory too.
 *
 * A row is in the file before tier_write() returns; the system writes it back when it likes, and
 * tier_sync() makes it. Slots that are given to tier_write() are ones that no snapshot needs. What
 * is read is held to the checksum of what was written: the file outlives processes, failed
 * write-backs and disks' errors.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "algorithms/asteria/tier_state.h"
#include "algorithms/common/crc32c.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { BOUNCE_BYTES = 1 << 16 };

static size_t bounce_rows(const struct tier *t)
{
    return BOUNCE_BYTES / t->stride > 0 ? BOUNCE_BYTES / t->stride : 1;
}

static int open_rows(struct tier *t, const struct tier_opening *opening)
{
    const struct index_env *env = &t->env;
    struct tier_file *f = t->file;
    const int flags = O_RDWR | O_CLOEXEC | (opening->again ? 0 : O_CREAT | O_TRUNC);
    const int length = snprintf(f->path, sizeof f->path, "%s/%s", env->dir, TIER_FILE_NAME);
    struct stat st;

    if (length < 0 || (size_t)length >= sizeof f->path)
        return fail(env->error, ERR_ARGUMENT, "asteria: the path of %s is too long", env->dir);
    if (opening->again || !store_faulted(f->fault, "open"))
        f->fd = open(f->path, flags, 0666);
    if (f->fd < 0 && opening->again && errno == ENOENT)
        return fail(env->error, ERR_CORRUPT,
                    "asteria: the index's file of rows %s is missing; put it back, or load a copy "
                    "that was saved",
                    f->path);
    if (f->fd < 0)
        return fail_errno(env->error, ERR_IO, "asteria: cannot %s the file of rows %s",
                          opening->again ? "open" : "create", f->path);
    if (fstat(f->fd, &st) != 0)
        return fail_errno(env->error, ERR_IO, "asteria: cannot look at %s", f->path);
    f->end = (uint64_t)st.st_size;
    f->stays = f->named = opening->again;
    /* Reads ahead of a row would fill memory with rows of no one's asking; what it says is only
       advice. */
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM);
    return OK;
}

int tier_file_open(struct tier *t, const struct tier_opening *opening, uint64_t hot_bytes)
{
    const struct index_env *env = &t->env;
    struct tier_file *f = mem_zalloc(env->mem, sizeof *f);

    if (!f)
        return fail(env->error, ERR_NO_MEMORY, "asteria: no memory for the file of rows");
    t->file = f;
    f->fd = -1;
    f->uring = true;
    f->fault = opening->fault;
    f->frames_most =
        hot_bytes / t->stride < TIER_HELD ? (size_t)(hot_bytes / t->stride) : (size_t)TIER_HELD - 1;
    stable_init(&f->sums, env->mem, sizeof(uint32_t));
    f->threads = read_threads_create(env->mem);
    f->bounce = mem_array(env->mem, bounce_rows(t), t->stride);
    if (!f->threads || !f->bounce)
        return fail(env->error, ERR_NO_MEMORY, "asteria: no memory for the file of rows");
    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: rows=tiered keeps rows in a file, but there is no folder for the "
                    "index; use rows=memory");
    return open_rows(t, opening);
}

void tier_file_close(struct tier *t)
{
    struct tier_file *f = t->file;
    struct mem *mem = t->env.mem;

    tier_fetch_destroy(f->own);
    read_threads_destroy(f->threads);
    if (f->fd >= 0) {
        (void)close(f->fd);
        if (!f->stays)
            (void)unlink(f->path);
    }
    tier_free_held(t);
    stable_free(&f->sums);
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
    if (!mem_grow(t->env.mem, &f->frame_of, &f->slots_capacity, n, sizeof *f->frame_of) ||
        (n > f->sums.capacity && !stable_grow(&f->sums, n)))
        return fail(t->env.error, ERR_NO_MEMORY, "asteria: no memory for the places of %zu rows",
                    n);
    memset(f->frame_of + f->slots, 0, (n - f->slots) * sizeof *f->frame_of);
    f->slots = n;
    return OK;
}

/* ------------------------------------------------------------------------------- writing */

static bool is_full(int why)
{
    return why == ENOSPC || why == EDQUOT || why == EFBIG;
}

int tier_file_unwritten(const struct tier *t, uint32_t slot, int why)
{
    const char *path = t->file->path;

    errno = why;
    if (is_full(why))
        return fail_errno(t->env.error, ERR_IO,
                          "asteria: %s: no room for the row of slot %" PRIu32
                          "; the index is as before: make room and try again",
                          path, slot);
    return fail_errno(t->env.error, ERR_IO,
                      "asteria: %s: cannot write the row of slot %" PRIu32
                      "; the index is as before: see to the disk and try again",
                      path, slot);
}

int tier_file_put(struct tier *t, uint32_t slot, const unsigned char *bytes, size_t n)
{
    const struct tier_file *f = t->file;
    uint64_t at = (uint64_t)slot * t->stride;
    const uint64_t end = at + n * t->stride;

    while (at < end) {
        const ssize_t did = store_faulted(f->fault, "write")
                                ? -1
                                : pwrite(f->fd, bytes, (size_t)(end - at), (off_t)at);

        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            return errno;
        bytes += did;
        at += (uint64_t)did;
    }
    return 0;
}

/* How many of the rows from the i-th on have slots one after the other, and fit the bounce where
   there is a gap. */
static size_t run_of(const struct tier *t, const uint32_t *slots, size_t i, size_t n)
{
    const size_t most = t->stride > t->row_bytes ? bounce_rows(t) : SIZE_MAX;
    size_t some = 1;

    while (i + some < n && slots[i + some] == slots[i] + some && some < most)
        some++;
    return some;
}

/* 0, or the errno of what failed. */
static int write_all(struct tier *t, const uint32_t *slots, const unsigned char *rows, size_t n)
{
    struct tier_file *f = t->file;
    const size_t gap = t->stride - t->row_bytes;
    int why = 0;

    for (size_t i = 0, some; i < n && why == 0; i += some) {
        const unsigned char *from = rows + i * t->row_bytes;

        some = run_of(t, slots, i, n);
        for (size_t j = 0; gap > 0 && j < some; j++) {
            unsigned char *to = f->bounce + j * t->stride;
            memcpy(to, from + j * t->row_bytes, t->row_bytes);
            memset(to + t->row_bytes, 0, gap);
        }
        why = tier_file_put(t, slots[i], gap > 0 ? f->bounce : from, some);
        const uint64_t end = ((uint64_t)slots[i] + some) * t->stride;
        if (why == 0 && end > f->end)
            f->end = end;
    }
    return why;
}

/* Slots of rows that are written have no live row: one that fails halfway has harmed none. */
int tier_file_write(struct tier *t, const uint32_t *slots, const void *rows, size_t n)
{
    const unsigned char *row = rows;
    const int why = write_all(t, slots, row, n);

    for (size_t i = 0; i < n; i++)
        *(uint32_t *)stable_at(&t->file->sums, slots[i]) =
            crc32c(0, row + i * t->row_bytes, t->row_bytes);
    if (t->file->loading && is_full(why))
        return tier_hold(t, slots, rows, n);
    return why == 0 ? OK : tier_file_unwritten(t, slots[0], why);
}

/* Rows just written are likely to be read again soon, for their buckets' and neighbours' upkeep.
   Where there is no memory for a frame that is no error: the row is in the file. A frame must not
   be newer or older than the file. */
void tier_file_written(struct tier *t, const uint32_t *slots, const unsigned char *rows, size_t n,
                       bool all)
{
    bool refused = false;

    if (!all) {
        tier_cool(t, slots, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char *frame = tier_frame_for(t, slots[i], &refused);
        if (frame)
            memcpy(frame, rows + i * t->row_bytes, t->row_bytes);
    }
    /* There may be space again: what was held goes where it belongs, a little with each write. */
    if (!t->file->loading)
        (void)tier_release_held(t, FETCH_MOST);
}

/* ------------------------------------------------------------------------------- reading */

bool tier_file_is_sound(const struct tier *t, uint32_t slot, const void *row)
{
    const uint32_t *sum = stable_at(&t->file->sums, slot);

    return crc32c(0, row, t->row_bytes) == *sum;
}

int tier_file_unread(const struct tier *t, uint32_t slot, int why)
{
    const struct tier_file *f = t->file;
    const uint64_t at = (uint64_t)slot * t->stride;

    if (why == READ_SHORT)
        return fail(t->env.error, ERR_CORRUPT,
                    "asteria: %s ends before the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                    "): something has cut it; load a copy that was saved",
                    f->path, slot, t->stride, at);
    if (why == TIER_DAMAGED)
        return fail(t->env.error, ERR_CORRUPT,
                    "asteria: %s: the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                    ") has another checksum than what was written: the file was changed, or the "
                    "disk has lost a write; load a copy that was saved",
                    f->path, slot, t->row_bytes, at);
    errno = why;
    return fail_errno(t->env.error, ERR_IO,
                      "asteria: %s: cannot read the row of slot %" PRIu32 " (%zu bytes at %" PRIu64
                      "); see to the disk and try again",
                      f->path, slot, t->stride, at);
}

int tier_file_read(const struct tier *t, uint32_t slot, void *to)
{
    struct tier_file *f = t->file;
    const uint64_t at = (uint64_t)slot * t->stride;

    atomic_fetch_add_explicit(&f->reads, 1, memory_order_relaxed);
    for (size_t done = 0; done < t->row_bytes;) {
        const ssize_t did =
            store_faulted(f->fault, "read")
                ? -1
                : pread(f->fd, (char *)to + done, t->row_bytes - done, (off_t)(at + done));

        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            return tier_file_unread(t, slot, did < 0 ? errno : READ_SHORT);
        done += (size_t)did;
    }
    return tier_file_is_sound(t, slot, to) ? OK : tier_file_unread(t, slot, TIER_DAMAGED);
}
