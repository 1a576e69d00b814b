/* file.c - rows in the file "rows" of env->dir, with the hot ones also in memory frames.
 *
 * A row is in the file when asteria_rows_write() returns.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/asteria/rows/internal.h"
#include "algorithms/common/durable/crc32c.h"
#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/logged.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { BOUNCE_BYTES = 1 << 16 };

static size_t bounce_rows(const struct asteria_rows *t)
{
    return BOUNCE_BYTES / t->stride > 0 ? BOUNCE_BYTES / t->stride : 1;
}

static int open_rows(struct asteria_rows *t, bool locked)
{
    const struct index_env *env = &t->env;
    struct asteria_rows_file *f = t->file;
    const int length = snprintf(f->path, sizeof f->path, "%s/%s", env->dir, ROWS_FILE_NAME);
    const int rc = locked ? OK : folder_claim(env->dir, &f->claim, env->error);

    if (rc != OK)
        return rc;
    if (length < 0 || (size_t)length >= sizeof f->path)
        return fail(env->error, ERR_ARGUMENT, "asteria: the path of %s is too long", env->dir);
    f->fd = open(f->path, O_RDWR | O_CLOEXEC | O_CREAT | O_TRUNC, 0666);
    if (f->fd < 0)
        return fail_errno(env->error, ERR_IO, "asteria: cannot create the file of rows %s",
                          f->path);
    /* Read-ahead would fill memory with rows that no search needs. Its result is ignored: it is
       only advice. */
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM);
    return OK;
}

int asteria_rows_file_open(struct asteria_rows *t, const struct asteria_params *params)
{
    const struct index_env *env = &t->env;
    const uint64_t hot = t->budget / t->stride;
    struct asteria_rows_file *f = mem_zalloc(env->mem, sizeof *f);

    if (!f)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for the file of rows");
    t->file = f;
    f->fd = f->claim = -1;
    f->uring = true;
    f->frames_most = hot < UINT32_MAX ? (size_t)hot : (size_t)UINT32_MAX - 1;
    segmented_init(&f->sums, env->mem, sizeof(uint32_t));
    f->threads = read_threads_create(env->mem);
    f->bounce = mem_array(env->mem, bounce_rows(t), t->stride);
    if (!f->threads || !f->bounce)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for the file of rows");
    if (!env->dir)
        return fail(
            env->error, ERR_ARGUMENT,
            "asteria: storage = tiered needs a folder for the index, but none was given; use "
            "storage = memory");
    return open_rows(t, params->wal != LOGGED_NONE);
}

void asteria_rows_file_close(struct asteria_rows *t)
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
    mem_free(mem, f->bounce);
    mem_free(mem, f->free);
    mem_free(mem, f->frames);
    mem_free(mem, f->frame_of);
    mem_free(mem, f);
    t->file = NULL;
}

int asteria_rows_file_reserve(struct asteria_rows *t, size_t n)
{
    struct asteria_rows_file *f = t->file;

    if (n <= f->slots)
        return OK;
    if (!mem_grow(t->env.mem, &f->frame_of, &f->slots_capacity, n, sizeof *f->frame_of) ||
        (n > f->sums.capacity && !segmented_grow(&f->sums, n)))
        return fail(t->env.error, ERR_NO_MEMORY,
                    "asteria: out of memory for the positions of %zu rows", n);
    memset(f->frame_of + f->slots, 0, (n - f->slots) * sizeof *f->frame_of);
    f->slots = n;
    return OK;
}

/* ------------------------------------------------------------------------------- writing */

/* Number of rows from the i-th on that have consecutive slots, and fit the bounce buffer if rows
   have padding. */
static size_t run_of(const struct asteria_rows *t, const uint32_t *slots, size_t i, size_t n)
{
    const size_t most = t->stride > t->row_bytes ? bounce_rows(t) : SIZE_MAX;
    size_t some = 1;

    while (i + some < n && slots[i + some] == slots[i] + some && some < most)
        some++;
    return some;
}

/* Returns 0 or the errno. */
static int write_all(struct asteria_rows *t, const uint32_t *slots, const unsigned char *rows,
                     size_t n)
{
    struct asteria_rows_file *f = t->file;
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
        why = asteria_rows_file_put(t, slots[i], gap > 0 ? f->bounce : from, some);
        const uint64_t end = ((uint64_t)slots[i] + some) * t->stride;
        if (why == 0 && end > f->end)
            f->end = end;
    }
    return why;
}

/* The slots have no live row, so a failure halfway damages none. */
int asteria_rows_file_write(struct asteria_rows *t, const uint32_t *slots, const void *rows,
                            size_t n)
{
    const unsigned char *row = rows;
    const int why = write_all(t, slots, row, n);

    for (size_t i = 0; i < n; i++)
        *(uint32_t *)segmented_at(&t->file->sums, slots[i]) =
            crc32c(0, row + i * t->row_bytes, t->row_bytes);
    return why == 0 ? OK : asteria_rows_file_unwritten(t, slots[0], why);
}

/* Rows just written are likely to be read soon, for maintenance of their bucket and
   neighbours. If there is no memory for a frame, the row is still in the file. A frame must
   always equal the file. */
void asteria_rows_file_written(struct asteria_rows *t, const uint32_t *slots,
                               const unsigned char *rows, size_t n, bool all)
{
    bool refused = false;

    if (!all) {
        asteria_rows_demote(t, slots, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char *frame = asteria_rows_frame_for(t, slots[i], &refused);
        if (frame)
            memcpy(frame, rows + i * t->row_bytes, t->row_bytes);
    }
}
