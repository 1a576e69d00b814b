/* rows.c - rows by slot, in memory or in the file "rows" of env->dir.
 *
 * A row is in the file when asteria_rows_write() returns.
 */
#include "algorithms/asteria/rows/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/logged.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"

static int open_path(struct asteria_rows *t, bool locked)
{
    const struct index_env *env = &t->env;
    struct asteria_rows_file *f = t->file;
    int rc = locked ? OK : folder_claim(env->dir, &f->claim, env->error);

    if (rc == OK)
        rc = path_print(f->path, env->error, "%s/%s", env->dir, ROWS_FILE_NAME);
    if (rc != OK)
        return rc;
    f->fd = open(f->path, O_RDWR | O_CLOEXEC | O_CREAT | O_TRUNC, 0666);
    if (f->fd < 0)
        return fail_errno(env->error, ERR_IO, "asteria: cannot create the file of rows %s",
                          f->path);
    /* Read-ahead would fill memory with rows that no search needs. Its result is ignored: it is
       only advice. */
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM);
    return OK;
}

static int open_file(struct asteria_rows *t, const struct asteria_params *params)
{
    const struct index_env *env = &t->env;
    const uint64_t hot = t->budget / t->row_bytes;
    struct asteria_rows_file *f = t->file = mem_zalloc(env->mem, sizeof *f);

    if (!f)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for the file of rows");
    f->fd = f->claim = -1;
    f->uring = true;
    f->frames_most = hot < UINT32_MAX ? (size_t)hot : (size_t)UINT32_MAX - 1;
    segmented_init(&f->sums, env->mem, sizeof(uint32_t));
    f->threads = read_threads_create(env->mem);
    if (!f->threads)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for the file of rows");
    if (!env->dir)
        return fail(
            env->error, ERR_ARGUMENT,
            "asteria: storage = tiered needs a folder for the index, but none was given; use "
            "storage = memory");
    const int rc = open_path(t, params->wal != LOGGED_NONE);
    return rc == OK ? asteria_rows_fetch_create(&f->own, t) : rc;
}

static void close_file(struct asteria_rows *t)
{
    struct asteria_rows_file *f = t->file;
    struct mem *mem = t->env.mem;

    asteria_rows_fetch_destroy(f->own);
    read_threads_destroy(f->threads);
    if (f->fd >= 0) {
        (void)close(f->fd);
        (void)unlink(f->path);
    }
    if (f->claim >= 0)
        (void)close(f->claim);
    segmented_free(&f->sums);
    mem_free(mem, f->free);
    mem_free(mem, f->frames);
    mem_free(mem, f->frame_of);
    mem_free(mem, f);
}

int asteria_rows_create(struct asteria_rows **out, const struct index_env *env,
                        const struct asteria_params *params)
{
    struct asteria_rows *t = mem_zalloc(env->mem, sizeof *t);
    int rc = OK;

    if (!t)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for the rows' store");
    t->env = *env;
    t->row_bytes = index_row_bytes(env->element, env->dim);
    t->budget = UINT64_MAX;
    segmented_init(&t->rows, env->mem, t->row_bytes);
    if (params->storage == ASTERIA_ROWS_TIERED) {
        t->budget = (uint64_t)params->cache_mb << 20;
        rc = open_file(t, params);
    }
    if (rc == OK)
        *out = t;
    else
        asteria_rows_destroy(t);
    return rc;
}

void asteria_rows_destroy(struct asteria_rows *t)
{
    if (!t)
        return;
    if (t->file)
        close_file(t);
    segmented_free(&t->rows);
    mem_free(t->env.mem, t);
}

int asteria_rows_reserve(struct asteria_rows *t, size_t n)
{
    struct asteria_rows_file *f = t->file;
    struct segmented *rows = f ? &f->sums : &t->rows;

    if ((!f || mem_grow(t->env.mem, &f->frame_of, &f->slots_capacity, n, sizeof *f->frame_of)) &&
        (n <= rows->capacity || segmented_grow(rows, n))) {
        for (; f && f->slots < n; f->slots++)
            f->frame_of[f->slots] = 0;
        return OK;
    }
    return fail(t->env.error, ERR_NO_MEMORY,
                "asteria: out of memory for the rows of %zu slots of %zu bytes%s", n, t->row_bytes,
                t->file ? "" : "; storage = tiered keeps them in a file");
}

/* ------------------------------------------------------------------------------- writing */

static int unwritten(const struct asteria_rows *t, uint32_t slot)
{
    const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

    return fail_errno(t->env.error, ERR_IO,
                      "asteria: %s: %scannot write the row of slot %" PRIu32
                      "; the index is unchanged; %s and try again",
                      t->file->path, full ? "the disk is full, " : "", slot,
                      full ? "free disk space" : "check the disk");
}

/* Rows with consecutive slots are one write. The slots have no live row, so a failure halfway
   damages none. */
static int write_to_file(struct asteria_rows *t, const uint32_t *slots, const unsigned char *rows,
                         size_t n)
{
    struct asteria_rows_file *f = t->file;

    for (size_t i = 0; i < n; i++)
        *(uint32_t *)segmented_at(&f->sums, slots[i]) =
            asteria_rows_sum(t, rows + i * t->row_bytes);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && slots[end] == slots[end - 1] + 1;)
            end++;
        const uint64_t at = (uint64_t)slots[i] * t->row_bytes;
        const size_t bytes = (end - i) * t->row_bytes;
        if (file_write_at(f->fd, rows + i * t->row_bytes, bytes, at, f->fault) != bytes)
            return unwritten(t, slots[i]);
        if (at + bytes > f->end)
            f->end = at + bytes;
    }
    return OK;
}

int asteria_rows_write(struct asteria_rows *t, const uint32_t *slots, const void *rows, size_t n)
{
    const unsigned char *row = rows;

    if (t->file)
        return write_to_file(t, slots, rows, n);
    for (size_t i = 0; i < n; i++)
        memcpy(segmented_at(&t->rows, slots[i]), row + i * t->row_bytes, t->row_bytes);
    return OK;
}

/* Rows just written are likely to be read soon, for maintenance of their bucket and
   neighbours. If there is no memory for a frame, the row is still in the file. A frame must
   always equal the file. */
void asteria_rows_written(struct asteria_rows *t, const uint32_t *slots, const void *rows, size_t n,
                          bool all)
{
    const unsigned char *row = rows;

    if (!all)
        asteria_rows_demote(t, slots, n);
    for (size_t i = 0; all && t->file && i < n; i++) {
        unsigned char *frame = asteria_rows_frame_for(t, slots[i]);
        if (frame)
            memcpy(frame, row + i * t->row_bytes, t->row_bytes);
    }
}

/* ------------------------------------------------------------------------------- reading */

int asteria_rows_get(const struct asteria_rows *t, uint32_t slot, void *to, const void **row)
{
    struct asteria_rows_file *f = t->file;

    *row = asteria_rows_resident(t, slot);
    if (*row)
        return OK;
    atomic_fetch_add_explicit(&f->reads, 1, memory_order_relaxed);
    if (file_read_at(f->fd, to, t->row_bytes, (uint64_t)slot * t->row_bytes, f->fault) <
        t->row_bytes)
        return asteria_rows_unread(t, slot, errno ? errno : READ_SHORT);
    if (!asteria_rows_are_sound(t, slot, to))
        return asteria_rows_unread(t, slot, ROWS_DAMAGED);
    *row = to;
    return OK;
}

uint64_t asteria_rows_resident_bytes(const struct asteria_rows *t)
{
    const struct asteria_rows_file *f = t->file;

    if (!f)
        return segmented_bytes(&t->rows);
    return (uint64_t)f->frames_capacity * (t->row_bytes + sizeof *f->free) +
           (uint64_t)f->slots_capacity * sizeof *f->frame_of + segmented_bytes(&f->sums) +
           asteria_rows_fetch_bytes(f->own);
}

uint64_t asteria_rows_disk_bytes(const struct asteria_rows *t)
{
    return t->file ? t->file->end : 0;
}

bool asteria_rows_are_tiered(const struct asteria_rows *t)
{
    return t->file != NULL;
}

uint64_t asteria_rows_reads(const struct asteria_rows *t)
{
    return t->file ? atomic_load_explicit(&t->file->reads, memory_order_relaxed) : 0;
}
