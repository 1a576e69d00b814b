/* row_store.c - rows in memory, or in a file: a record and its checksum; opens, grows and writes the file;
 * reads the rows of many slots at once, each page once. */
#define _GNU_SOURCE /* O_DIRECT */
#include "algorithms/common/rows/row_store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/concurrency/segmented.h"
#include "algorithms/common/io/read_queue.h"
#include "algorithms/common/rows/key_set.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/path_print.h"

enum { TAIL_BYTES = 2 * sizeof(uint32_t), RUN_BYTES = 1 << 16 };

enum { ROWS_PAGE = 4096, ROWS_WINDOW = 1 << 24 };

/* A *unit* is read at once: a page, the pages of one long row, or a row of a scratch file. */
struct row_store {
    struct index_env env;
    struct epoch *epoch;
    struct row_store_options options;
    size_t row_bytes, record_bytes, summed_bytes;
    size_t per_unit, unit_bytes, window_bytes; /* a window is mapped as a whole */
    char path[PATH_MAX];
    int write_fd, read_fd;         /* two: O_DIRECT reads whole pages, writes do not */
    bool direct, unsure;           /* unsure: the last sync failed */
    pthread_mutex_t lock;          /* held while growing */
    atomic_uint_fast64_t capacity; /* memory: slots; files: bytes */
    struct segmented memory;       /* memory: rows; mapped: windows; scratch: checksums */
    struct read_threads *threads;
    struct scratch_pool idle;  /* struct row_reader */
    atomic_uint_fast64_t held; /* bytes of all readers, idle ones included */
    atomic_uint_fast64_t reads;
};

static uint32_t unit_of(const struct row_store *r, uint32_t slot)
{
    return r->per_unit > 1 ? slot / (uint32_t)r->per_unit : slot;
}

static size_t within_unit(const struct row_store *r, uint32_t slot)
{
    return r->per_unit > 1 ? slot % (uint32_t)r->per_unit * r->record_bytes : 0;
}

static uint64_t offset_of(const struct row_store *r, uint32_t slot)
{
    return (uint64_t)unit_of(r, slot) * r->unit_bytes + within_unit(r, slot);
}

static uint32_t checksum(const struct row_store *r, const void *record)
{
    return (uint32_t)XXH3_64bits(record, r->summed_bytes);
}

/* Whether rows are read into memory that a reader holds. */
static bool is_read(const struct row_store *r)
{
    return r->options.kind >= ROWS_FILE;
}

/* Whether the slot's record lies within the capacity. */
static bool has(const struct row_store *r, uint32_t slot)
{
    const uint64_t capacity = atomic_load_explicit(&r->capacity, memory_order_acquire);

    return r->options.kind == ROWS_MEMORY ? slot < capacity
                                          : offset_of(r, slot) + r->record_bytes <= capacity;
}

enum { HELD_BYTES = 1 << 22 };

struct row_reader {
    struct scratch_item item;
    struct row_store *rows;
    struct key_set units;  /* of the query; i-th at held[i * unit_bytes] */
    size_t before;         /* units read and then dropped from `held` */
    unsigned char *memory; /* as allocated; `held` is page-aligned within it */
    unsigned char *held;
    size_t capacity, most; /* of `held`, in units, and its upper bound */
    struct read_queue *queue;
    struct read_request requests[ROWS_BATCH];
};

static bool open_reader(void *owner, void *reader)
{
    struct row_reader *r = reader;

    r->rows = owner;
    r->most = HELD_BYTES / r->rows->unit_bytes;
    r->most = r->most < ROWS_BATCH ? ROWS_BATCH : r->most;
    if (is_read(r->rows))
        r->queue = read_queue_create(r->rows->env.mem, r->rows->threads, r->rows->options.uring);
    return r->queue || !is_read(r->rows);
}

static void close_reader(struct mem *mem, void *reader)
{
    struct row_reader *r = reader;

    atomic_fetch_sub(&r->rows->held, r->capacity * r->rows->unit_bytes);
    read_queue_destroy(r->queue);
    key_set_free(&r->units, mem);
    mem_free(mem, r->memory);
}

static const struct scratch_kind reader_kind = { sizeof(struct row_reader), open_reader,
                                                 close_reader, NULL };

/* 1. Opening */

/* A window of a scratch file has as many rows as a chunk has checksums. */
static void lay_out(struct row_store *r)
{
    const bool scratch = r->options.kind == ROWS_SCRATCH;
    const size_t page = scratch ? 1 : ROWS_PAGE;

    r->row_bytes = index_row_bytes(r->env.element, r->env.dim);
    r->record_bytes = r->row_bytes + (scratch ? 0 : TAIL_BYTES);
    r->summed_bytes = r->row_bytes + (scratch ? 0 : sizeof(uint32_t));
    r->per_unit = r->record_bytes < page ? page / r->record_bytes : 1;
    r->unit_bytes = (r->record_bytes + page - 1) / page * page;
    r->window_bytes =
        scratch ? SEGMENTED_CHUNK * r->unit_bytes : ROWS_WINDOW / r->unit_bytes * r->unit_bytes;
}

/* Maps the windows that cover the file's first `bytes` bytes. The lock is held. */
static int map_windows(struct row_store *r, uint64_t bytes)
{
    const uint64_t have = atomic_load(&r->capacity) / r->window_bytes,
                   want = bytes / r->window_bytes;

    if (!segmented_grow(&r->memory, (size_t)want))
        return fail(r->env.error, ERR_NO_MEMORY, "%s: out of memory mapping it", r->path);
    for (uint64_t i = have; i < want; i++) {
        void **window = segmented_at(&r->memory, i);
        if (*window)
            continue;
        void *base = mmap(NULL, r->window_bytes, PROT_READ, MAP_SHARED, r->write_fd,
                          (off_t)(i * r->window_bytes));
        if (base == MAP_FAILED)
            return fail_errno(r->env.error, ERR_IO, "%s: cannot be mapped", r->path);
        (void)madvise(base, r->window_bytes, MADV_RANDOM);
        *window = base;
    }
    return OK;
}

/* The file's length is a multiple of the window size. Unwritten parts are holes. */
static int grow_file(struct row_store *r, uint64_t bytes)
{
    bytes = (bytes + r->window_bytes - 1) / r->window_bytes * r->window_bytes;
    if (bytes <= atomic_load(&r->capacity))
        return OK;
    if (file_faulted(r->options.fault, "truncate") || ftruncate(r->write_fd, (off_t)bytes))
        return fail_errno(r->env.error, ERR_IO, "%s: cannot be made %" PRIu64 " bytes long",
                          r->path, bytes);
    int rc = r->options.kind == ROWS_MAPPED ? map_windows(r, bytes) : OK;
    if (r->options.kind == ROWS_SCRATCH &&
        !segmented_grow(&r->memory, (size_t)(bytes / r->unit_bytes)))
        rc = fail(r->env.error, ERR_NO_MEMORY, "%s: out of memory for checksums", r->path);
    if (!rc)
        atomic_store(&r->capacity, bytes);
    return rc;
}

static int open_file(struct row_store *r)
{
    const bool scratch = r->options.kind == ROWS_SCRATCH;
    struct stat st;
    const int rc = path_print(r->path, r->env.error, "%s/rows", r->env.dir);

    if (rc != OK)
        return rc;
    if (file_faulted(r->options.fault, "open"))
        return fail_errno(r->env.error, ERR_IO, "%s: cannot be opened", r->path);
    r->write_fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC | (scratch ? O_TRUNC : 0), 0666);
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
    if (scratch) /* advice: read-ahead would fill memory with rows that no search needs */
        (void)posix_fadvise(r->read_fd, 0, 0, POSIX_FADV_RANDOM);
    r->threads = is_read(r) ? read_threads_create(r->env.mem) : NULL;
    if (is_read(r) && !r->threads)
        return fail(r->env.error, ERR_NO_MEMORY, "%s: out of memory opening it", r->path);
    return grow_file(r, (uint64_t)st.st_size);
}

int row_store_open(struct row_store **out, const struct index_env *env, struct epoch *epoch,
                   const struct row_store_options *options)
{
    const bool memory = options->kind == ROWS_MEMORY;
    struct row_store *r = mem_zalloc(env->mem, sizeof *r);

    *out = NULL;
    if (!r)
        return fail(env->error, ERR_NO_MEMORY, "rows: out of memory");
    r->env = *env;
    r->epoch = epoch;
    r->options = *options;
    r->write_fd = r->read_fd = -1;
    lay_out(r);
    (void)pthread_mutex_init(&r->lock, NULL);
    scratch_pool_init(&r->idle, &reader_kind, env->mem, r);
    segmented_init(&r->memory, env->mem,
                   memory                          ? r->row_bytes
                   : options->kind == ROWS_SCRATCH ? sizeof(uint32_t)
                                                   : sizeof(void *));
    (void)snprintf(r->path, sizeof r->path, "rows in memory");
    int rc = memory ? OK : open_file(r);
    if (rc)
        row_store_close(r);
    else
        *out = r;
    return rc;
}

void row_store_close(struct row_store *r)
{
    if (!r)
        return;
    scratch_pool_free(&r->idle);
    read_threads_destroy(r->threads);
    if (r->options.kind == ROWS_MAPPED)
        for (size_t i = 0; i < r->memory.capacity; i++) {
            void **window = segmented_at(&r->memory, i);
            if (*window)
                (void)munmap(*window, r->window_bytes);
        }
    segmented_free(&r->memory);
    if (r->read_fd >= 0)
        (void)close(r->read_fd);
    if (r->write_fd >= 0)
        (void)close(r->write_fd);
    if (r->write_fd >= 0 && r->options.kind == ROWS_SCRATCH)
        (void)unlink(r->path);
    (void)pthread_mutex_destroy(&r->lock);
    mem_free(r->env.mem, r);
}

/* 2. Writing */

/* Grows the capacity to include the slot `most`. */
static int grow(struct row_store *r, uint32_t most)
{
    const bool memory = r->options.kind == ROWS_MEMORY;
    int rc = OK;

    if (has(r, most))
        return OK;
    (void)pthread_mutex_lock(&r->lock);
    if (!memory)
        rc = grow_file(r, offset_of(r, most) + r->record_bytes);
    else if (!segmented_grow(&r->memory, (size_t)most + 1))
        rc = fail(r->env.error, ERR_NO_MEMORY, "rows: out of memory at slot %" PRIu32, most);
    else
        atomic_store_explicit(&r->capacity, r->memory.capacity, memory_order_release);
    (void)pthread_mutex_unlock(&r->lock);
    return rc;
}

/* Number of slots, from the first on, that are consecutive and whose records span at
   most `bytes`. */
static size_t run_length(const struct row_store *r, const uint32_t *slots, size_t n, size_t bytes)
{
    const uint64_t first = offset_of(r, slots[0]);
    size_t m = 1;

    while (m < n && slots[m] == slots[0] + m &&
           offset_of(r, slots[m]) + r->record_bytes - first <= bytes)
        m++;
    return m;
}

static int write_run(struct row_store *r, const uint32_t *slots, const void *const *rows, size_t n,
                     unsigned char *buffer)
{
    const uint64_t first = offset_of(r, slots[0]);
    const uint64_t end = offset_of(r, slots[n - 1]) + r->record_bytes;

    memset(buffer, 0, (size_t)(end - first));
    for (size_t i = 0; i < n; i++) {
        unsigned char *record = buffer + (offset_of(r, slots[i]) - first);
        memcpy(record, rows[i], r->row_bytes);
        if (r->options.kind == ROWS_SCRATCH) {
            *(uint32_t *)segmented_at(&r->memory, slots[i]) = checksum(r, record);
            continue;
        }
        memcpy(record + r->row_bytes, &slots[i], sizeof slots[i]);
        const uint32_t sum = checksum(r, record);
        memcpy(record + r->row_bytes + sizeof slots[i], &sum, sizeof sum);
    }
    const size_t bytes = (size_t)(end - first);
    const size_t done = file_write_at(r->write_fd, buffer, bytes, first, r->options.fault);
    return done == bytes
               ? OK
               : fail_errno(r->env.error, ERR_IO, "%s: byte %" PRIu64 " cannot be written", r->path,
                            first + done);
}

int row_store_put(struct row_store *r, const uint32_t *slots, const void *const *rows, size_t n)
{
    const size_t bytes = n == 1 || r->record_bytes > RUN_BYTES ? r->record_bytes : RUN_BYTES;
    unsigned char small[1024], *buffer = small;
    uint32_t most = 0;

    for (size_t i = 0; i < n; i++)
        most = slots[i] > most ? slots[i] : most;
    int rc = n ? grow(r, most) : OK;
    for (size_t i = 0; !rc && i < n && r->options.kind == ROWS_MEMORY; i++)
        memcpy(segmented_at(&r->memory, slots[i]), rows[i], r->row_bytes);
    if (rc || r->options.kind == ROWS_MEMORY)
        return rc;
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

int row_store_sync(struct row_store *r)
{
    if (r->options.kind == ROWS_MEMORY)
        return OK;
    r->unsure = !file_sync_data(r->write_fd, r->options.fault);
    return r->unsure ? fail_errno(r->env.error, ERR_IO, "%s: cannot be synced", r->path) : OK;
}

bool row_store_unsure(const struct row_store *r)
{
    return r->unsure;
}

uint64_t row_store_reads(const struct row_store *r)
{
    return atomic_load(&((struct row_store *)(uintptr_t)r)->reads);
}

uint64_t row_store_resident(const struct row_store *r)
{
    return sizeof *r + segmented_bytes(&r->memory) +
           atomic_load(&((struct row_store *)(uintptr_t)r)->held);
}

uint64_t row_store_disk(const struct row_store *r)
{
    struct stat st;

    if (r->options.kind == ROWS_MEMORY || fstat(r->write_fd, &st))
        return 0;
    return (uint64_t)st.st_blocks * 512;
}

/* 3. Reading */

struct row_reader *row_reader_take(struct row_store *rows)
{
    struct row_reader *r = scratch_pool_take(&rows->idle);

    if (!r)
        fail(rows->env.error, ERR_NO_MEMORY, "rows: out of memory for a reader");
    return r;
}

void row_reader_give(struct row_reader *r)
{
    if (r)
        scratch_pool_give(&r->rows->idle, r);
}

void row_reader_begin(struct row_reader *r)
{
    key_set_clear(&r->units);
    r->before = 0;
}

size_t row_reader_pages(const struct row_reader *r)
{
    return (r->before + r->units.n) * (r->rows->unit_bytes / ROWS_PAGE);
}

/* Reserves space for n more units, in the set and, for files, in `held`. */
static int reserve(struct row_reader *r, size_t n)
{
    struct mem *mem = r->rows->env.mem;

    if (r->units.n + n > r->most) {
        r->before += r->units.n;
        key_set_clear(&r->units);
    }
    const size_t need = r->units.n + n;
    bool fits = key_set_reserve(&r->units, mem, need);
    if (fits && is_read(r->rows) && need > r->capacity) {
        size_t more = 2 * r->capacity > need ? 2 * r->capacity : need;
        more = more < 32 ? 32 : more;
        const size_t bytes = more * r->rows->unit_bytes;
        unsigned char *memory = mem_alloc(mem, bytes + ROWS_PAGE);
        fits = memory != NULL;
        if (fits) {
            unsigned char *held = memory + (-(uintptr_t)memory & (ROWS_PAGE - 1));
            if (r->units.n)
                memcpy(held, r->held, r->units.n * r->rows->unit_bytes);
            mem_free(mem, r->memory);
            atomic_fetch_add(&r->rows->held, (more - r->capacity) * r->rows->unit_bytes);
            r->memory = memory;
            r->held = held;
            r->capacity = more;
        }
    }
    return fits ? OK
                : fail(r->rows->env.error, ERR_NO_MEMORY, "rows: out of memory reading %zu", n);
}

/* Sets the error of a read of `done` bytes from a unit on. why: an errno, or READ_SHORT. */
static int unread(const struct row_store *rows, uint64_t unit, size_t done, int why)
{
    const uint64_t at = unit * rows->unit_bytes + done;
    const uint64_t slot = at / rows->unit_bytes * rows->per_unit;

    if (why == READ_SHORT)
        return fail(rows->env.error, ERR_CORRUPT,
                    "%s: it ends at byte %" PRIu64 ", before slot %" PRIu64, rows->path, at, slot);
    errno = why;
    return fail_errno(rows->env.error, ERR_IO,
                      "%s: byte %" PRIu64 ", slot %" PRIu64 ": cannot be read", rows->path, at,
                      slot);
}

/* Reads n units to `held`, from its place `first` on. Adjacent units in the file are one read. */
static int read_units(struct row_reader *r, size_t first, const uint32_t *units, size_t n)
{
    struct row_store *rows = r->rows;
    const size_t unit_bytes = rows->unit_bytes;
    const struct read_request *x;
    size_t n_reads = 0;
    int rc = OK;

    for (size_t i = 0, m; !rc && i < n; i += m) {
        m = 1;
        while (i + m < n && units[i + m] == units[i] + m)
            m++;
        r->requests[i] = (struct read_request){ .fd = rows->read_fd,
                                                .to = r->held + (first + i) * unit_bytes,
                                                .at = (uint64_t)units[i] * unit_bytes,
                                                .bytes = m * unit_bytes };
        n_reads++;
        if (file_faulted(rows->options.fault, "read"))
            rc = unread(rows, units[i], 0, errno);
        else
            read_queue_add(r->queue, &r->requests[i], rows->direct);
    }
    read_queue_submit(r->queue);
    atomic_fetch_add_explicit(&rows->reads, n_reads, memory_order_relaxed);
    while ((x = read_queue_take(r->queue, NULL))) /* all, because they write to `held` */
        if (!rc && x->error)
            rc = unread(rows, x->at / unit_bytes, x->done, x->error);
    return rc;
}

/* Address of the slot's record. In memory it is the row alone. */
static const unsigned char *record_of(const struct row_reader *r, uint32_t slot, size_t at)
{
    const struct row_store *rows = r->rows;

    if (rows->options.kind == ROWS_MEMORY)
        return segmented_at(&rows->memory, slot);
    if (is_read(rows))
        return r->held + at * rows->unit_bytes + within_unit(rows, slot);
    const uint64_t offset = offset_of(rows, slot);
    unsigned char *const *window = segmented_at(&rows->memory, offset / rows->window_bytes);
    return *window + offset % rows->window_bytes;
}

/* Adds the slots' units to the query's, those of a file that is kept in ascending order, so that new
   units form contiguous runs. Slots of a scratch file are units that no query meets twice. Sets
   units[0 .. *n_new) to the new ones. */
static int meet(struct row_reader *r, const uint32_t *slots, size_t n, uint32_t *units,
                size_t *n_new)
{
    const struct row_store *rows = r->rows;
    uint32_t most = 0;

    for (size_t i = 0; i < n; i++) {
        most = slots[i] > most ? slots[i] : most;
        units[i] = unit_of(rows, slots[i]);
    }
    if (n > 0 && !has(rows, most))
        return fail(rows->env.error, ERR_CORRUPT, "%s: slot %" PRIu32 " is not in it", rows->path,
                    most);
    const int rc = reserve(r, n);
    *n_new = rows->options.kind == ROWS_SCRATCH ? n : 0;
    if (rc || rows->options.kind == ROWS_SCRATCH)
        return rc;
    if (rows->options.kind == ROWS_FILE)
        qsort(units, n, sizeof *units, order_u32);
    for (size_t i = 0, before = r->units.n; i < n; i++)
        if (key_set_add(&r->units, units[i]) == before + *n_new)
            units[(*n_new)++] = units[i];
    return OK;
}

/* ERR_CORRUPT unless the record belongs to the slot and its checksum is right. */
static int verify(const struct row_store *r, uint32_t slot, const unsigned char *record)
{
    uint32_t owner = slot, sum;

    if (r->options.kind == ROWS_SCRATCH) {
        sum = *(const uint32_t *)segmented_at(&r->memory, slot);
    } else {
        memcpy(&owner, record + r->row_bytes, sizeof owner);
        memcpy(&sum, record + r->row_bytes + sizeof owner, sizeof sum);
    }
    if (owner == slot && sum == checksum(r, record))
        return OK;
    return fail(r->env.error, ERR_CORRUPT,
                "%s: slot %" PRIu32 ", byte %" PRIu64 ": the vector's checksum does not match",
                r->path, slot, offset_of(r, slot));
}

int row_reader_read(struct row_reader *r, const uint32_t *slots, size_t n, const void **out)
{
    const struct row_store *rows = r->rows;
    const bool scratch = rows->options.kind == ROWS_SCRATCH;
    uint32_t units[ROWS_BATCH];
    size_t n_new = 0;
    int rc = meet(r, slots, n, units, &n_new);

    if (!rc && is_read(rows))
        rc = read_units(r, scratch ? 0 : r->units.n - n_new, units, n_new);
    if (rc && is_read(rows))
        key_set_clear(&r->units); /* `held` lacks units that the set lists */
    for (size_t i = 0; !rc && i < n; i++) {
        const size_t at = scratch         ? i
                          : is_read(rows) ? key_set_add(&r->units, unit_of(rows, slots[i]))
                                          : 0;
        out[i] = record_of(r, slots[i], at);
        __builtin_prefetch(out[i]);
    }
    for (size_t i = 0; !rc && i < n && rows->options.kind != ROWS_MEMORY; i++)
        rc = verify(rows, slots[i], out[i]);
    return rc;
}

int row_store_get(struct row_store *rows, const uint32_t *slots, size_t n, void *out)
{
    const void *found[ROWS_BATCH];
    unsigned char *to = out;
    struct row_reader *reader = row_reader_take(rows);
    int rc = OK;

    if (!reader)
        return ERR_NO_MEMORY;
    const unsigned ticket = rows->epoch ? epoch_enter(rows->epoch) : 0;
    for (size_t i = 0; !rc && i < n; i += ROWS_BATCH) {
        const size_t m = n - i < ROWS_BATCH ? n - i : ROWS_BATCH;
        row_reader_begin(reader); /* pages held from an earlier call may be outdated */
        rc = row_reader_read(reader, slots + i, m, found);
        for (size_t j = 0; !rc && j < m; j++)
            memcpy(to + (i + j) * rows->row_bytes, found[j], rows->row_bytes);
    }
    if (rows->epoch)
        epoch_leave(rows->epoch, ticket);
    row_reader_give(reader);
    return rc;
}
