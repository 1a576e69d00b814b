/* rows.c - opens, grows and writes the file of rows. */
#define _GNU_SOURCE /* O_DIRECT */
#include "algorithms/spfresh/codec/rows.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "algorithms/spfresh/codec/rows_internal.h"
#include "src/core/mem.h"
#include "src/core/path_print.h"

enum { TAIL_BYTES = 2 * sizeof(uint32_t), RUN_BYTES = 1 << 16 };

/* 1. Opening */

static void lay_out(struct spfresh_rows *r)
{
    r->row_bytes = index_row_bytes(r->env.element, r->env.dim);
    r->record_bytes = r->row_bytes + TAIL_BYTES;
    r->per_unit = r->record_bytes < ROWS_PAGE ? ROWS_PAGE / r->record_bytes : 1;
    r->unit_bytes = (r->record_bytes + ROWS_PAGE - 1) / ROWS_PAGE * ROWS_PAGE;
    r->window_bytes = ROWS_WINDOW / r->unit_bytes * r->unit_bytes;
}

/* Maps the windows that cover the file's first `bytes` bytes. The lock is held. */
static int map_windows(struct spfresh_rows *r, uint64_t bytes)
{
    const uint64_t have = atomic_load(&r->capacity) / r->window_bytes,
                   want = bytes / r->window_bytes;

    if (!segmented_grow(&r->memory, (size_t)want))
        return fail(r->env.error, ERR_NO_MEMORY, "%s: out of memory mapping it", r->path);
    for (uint64_t i = have; i < want; i++) {
        struct spfresh_rows_window *w = segmented_at(&r->memory, i);
        if (w->base)
            continue;
        void *base = mmap(NULL, r->window_bytes, PROT_READ, MAP_SHARED, r->write_fd,
                          (off_t)(i * r->window_bytes));
        if (base == MAP_FAILED)
            return fail_errno(r->env.error, ERR_IO, "%s: cannot be mapped", r->path);
        (void)madvise(base, r->window_bytes, MADV_RANDOM);
        w->base = base;
    }
    return OK;
}

/* The file's length is a multiple of the window size. Unwritten parts are holes. */
static int grow_file(struct spfresh_rows *r, uint64_t bytes)
{
    bytes = (bytes + r->window_bytes - 1) / r->window_bytes * r->window_bytes;
    if (bytes <= atomic_load(&r->capacity))
        return OK;
    if (file_faulted(r->options.fault, "truncate") || ftruncate(r->write_fd, (off_t)bytes))
        return fail_errno(r->env.error, ERR_IO, "%s: cannot be made %" PRIu64 " bytes long",
                          r->path, bytes);
    int rc = r->options.kind == ROWS_MAPPED ? map_windows(r, bytes) : OK;
    if (!rc)
        atomic_store(&r->capacity, bytes);
    return rc;
}

static int open_file(struct spfresh_rows *r)
{
    struct stat st;
    const int rc = path_print(r->path, r->env.error, "%s/rows", r->env.dir);

    if (rc != OK)
        return rc;
    if (file_faulted(r->options.fault, "open"))
        return fail_errno(r->env.error, ERR_IO, "%s: cannot be opened", r->path);
    r->write_fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (r->write_fd < 0 || fstat(r->write_fd, &st))
        return fail_errno(r->env.error, ERR_IO, "%s: cannot be opened", r->path);
    if (r->options.kind == ROWS_FILE && r->options.direct) {
        r->read_fd = file_open_direct(r->path, 0);
        r->direct = r->read_fd >= 0;
    }
    if (r->read_fd < 0)
        r->read_fd = dup(r->write_fd);
    if (r->read_fd < 0)
        return fail_errno(r->env.error, ERR_IO, "%s: cannot be opened", r->path);
    return grow_file(r, (uint64_t)st.st_size);
}

int spfresh_rows_open(struct spfresh_rows **out, const struct index_env *env, struct epoch *epoch,
                      const struct spfresh_rows_options *options)
{
    const bool memory = options->kind == ROWS_MEMORY;
    struct spfresh_rows *r = mem_zalloc(env->mem, sizeof *r);

    *out = NULL;
    if (!r)
        return fail(env->error, ERR_NO_MEMORY, "rows: out of memory");
    r->env = *env;
    r->epoch = epoch;
    r->options = *options;
    r->write_fd = r->read_fd = -1;
    lay_out(r);
    (void)pthread_mutex_init(&r->lock, NULL);
    scratch_pool_init(&r->idle, &spfresh_rows_reader_kind, env->mem, r);
    segmented_init(&r->memory, env->mem,
                   memory ? r->row_bytes : sizeof(struct spfresh_rows_window));
    (void)snprintf(r->path, sizeof r->path, "rows in memory");
    int rc = memory ? OK : open_file(r);
    if (rc)
        spfresh_rows_close(r);
    else
        *out = r;
    return rc;
}

void spfresh_rows_close(struct spfresh_rows *r)
{
    if (!r)
        return;
    scratch_pool_free(&r->idle);
    if (r->options.kind == ROWS_MAPPED)
        for (size_t i = 0; i < r->memory.capacity; i++) {
            struct spfresh_rows_window *w = segmented_at(&r->memory, i);
            if (w->base)
                (void)munmap(w->base, r->window_bytes);
        }
    segmented_free(&r->memory);
    if (r->read_fd >= 0)
        (void)close(r->read_fd);
    if (r->write_fd >= 0)
        (void)close(r->write_fd);
    (void)pthread_mutex_destroy(&r->lock);
    mem_free(r->env.mem, r);
}

/* 2. Writing */

/* Grows the capacity to include the slot `most`. */
static int grow(struct spfresh_rows *r, uint32_t most)
{
    const bool memory = r->options.kind == ROWS_MEMORY;
    int rc = OK;

    if (spfresh_rows_has(r, most))
        return OK;
    (void)pthread_mutex_lock(&r->lock);
    if (!memory)
        rc = grow_file(r, spfresh_rows_offset(r, most) + r->record_bytes);
    else if (!segmented_grow(&r->memory, (size_t)most + 1))
        rc = fail(r->env.error, ERR_NO_MEMORY, "rows: out of memory at slot %" PRIu32, most);
    else
        atomic_store_explicit(&r->capacity, r->memory.capacity, memory_order_release);
    (void)pthread_mutex_unlock(&r->lock);
    return rc;
}

static int write_all(struct spfresh_rows *r, const unsigned char *bytes, size_t n, uint64_t at)
{
    const size_t done = file_write_at(r->write_fd, bytes, n, at, r->options.fault);

    if (done == n)
        return OK;
    return fail_errno(r->env.error, ERR_IO, "%s: byte %" PRIu64 "%s", r->path, at + done,
                      errno == ENOSPC ? ": the disk is full" : ": cannot be written");
}

/* Number of slots, from the first on, that are consecutive and whose records span at
   most `bytes`. */
static size_t run_length(const struct spfresh_rows *r, const uint32_t *slots, size_t n,
                         size_t bytes)
{
    const uint64_t first = spfresh_rows_offset(r, slots[0]);
    size_t m = 1;

    while (m < n && slots[m] == slots[0] + m &&
           spfresh_rows_offset(r, slots[m]) + r->record_bytes - first <= bytes)
        m++;
    return m;
}

static int write_run(struct spfresh_rows *r, const uint32_t *slots, const void *const *rows,
                     size_t n, unsigned char *buffer)
{
    const uint64_t first = spfresh_rows_offset(r, slots[0]);
    const uint64_t end = spfresh_rows_offset(r, slots[n - 1]) + r->record_bytes;

    memset(buffer, 0, (size_t)(end - first));
    for (size_t i = 0; i < n; i++) {
        unsigned char *record = buffer + (spfresh_rows_offset(r, slots[i]) - first);
        memcpy(record, rows[i], r->row_bytes);
        memcpy(record + r->row_bytes, &slots[i], sizeof slots[i]);
        const uint32_t sum = spfresh_rows_checksum(r, record);
        memcpy(record + r->row_bytes + sizeof slots[i], &sum, sizeof sum);
    }
    return write_all(r, buffer, (size_t)(end - first), first);
}

static int put_in_memory(struct spfresh_rows *r, const uint32_t *slots, const void *const *rows,
                         size_t n)
{
    const unsigned ticket = epoch_enter(r->epoch);

    for (size_t i = 0; i < n; i++)
        memcpy(segmented_at(&r->memory, slots[i]), rows[i], r->row_bytes);
    epoch_leave(r->epoch, ticket);
    return OK;
}

int spfresh_rows_put(struct spfresh_rows *r, const uint32_t *slots, const void *const *rows,
                     size_t n)
{
    const size_t bytes = n == 1 || r->record_bytes > RUN_BYTES ? r->record_bytes : RUN_BYTES;
    unsigned char small[1024], *buffer = small;
    uint32_t most = 0;

    for (size_t i = 0; i < n; i++)
        most = slots[i] > most ? slots[i] : most;
    int rc = n ? grow(r, most) : OK;
    if (rc || r->options.kind == ROWS_MEMORY)
        return rc ? rc : put_in_memory(r, slots, rows, n);
    if (bytes > sizeof small)
        buffer = mem_alloc(r->env.mem, bytes);
    if (!buffer)
        return fail(r->env.error, ERR_NO_MEMORY, "%s: out of memory writing to it", r->path);
    for (size_t i = 0, m; !rc && i < n; i += m) {
        m = run_length(r, slots + i, n - i, bytes);
        rc = write_run(r, slots + i, rows + i, m, buffer);
    }
    if (buffer != small)
        mem_free(r->env.mem, buffer);
    return rc;
}

int spfresh_rows_sync(struct spfresh_rows *r)
{
    if (r->options.kind == ROWS_MEMORY)
        return OK;
    r->unsure = !file_sync_data(r->write_fd, r->options.fault);
    return r->unsure ? fail_errno(r->env.error, ERR_IO, "%s: cannot be synced", r->path) : OK;
}

bool spfresh_rows_unsure(const struct spfresh_rows *r)
{
    return r->unsure;
}

uint64_t spfresh_rows_resident(const struct spfresh_rows *r)
{
    return sizeof *r + segmented_bytes(&r->memory) +
           atomic_load(&((struct spfresh_rows *)(uintptr_t)r)->held);
}

uint64_t spfresh_rows_disk(const struct spfresh_rows *r)
{
    struct stat st;

    if (r->options.kind == ROWS_MEMORY || fstat(r->write_fd, &st))
        return 0;
    return (uint64_t)st.st_blocks * 512;
}
