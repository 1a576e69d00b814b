/* codec_rows_read.c - rows of many slots, each page once. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/spfresh/codec_rows_parts.h"
#include "algorithms/spfresh/ordinals.h"
#include "src/core/mem.h"

enum { HELD_BYTES = 1 << 22, RUN_UNITS = 64 };

struct rows_reader {
    struct rows_reader *next; /* first: of idle ones */
    struct rows *rows;
    struct ordinals units; /* of the query, numbered as their bytes lie in `held` */
    size_t before;         /* units that are held no more */
    unsigned char *memory; /* as allocated; `held` is at a multiple of a page in it */
    unsigned char *held;
    size_t capacity, most; /* units that held has room for; that it may come to hold */
};

int rows_reader_create(struct rows_reader **out, struct rows *rows)
{
    struct rows_reader *r = mem_zalloc(rows->env.mem, sizeof *r);

    *out = r;
    if (!r)
        return fail(rows->env.error, ERR_NO_MEMORY, "rows: out of memory for a reader");
    r->rows = rows;
    r->most = HELD_BYTES / rows->unit_bytes;
    r->most = r->most < ROWS_BATCH ? ROWS_BATCH : r->most;
    return OK;
}

void rows_reader_destroy(struct rows_reader *r)
{
    if (!r)
        return;
    atomic_fetch_sub(&r->rows->held, r->capacity * r->rows->unit_bytes);
    ordinals_free(&r->units, r->rows->env.mem);
    mem_free(r->rows->env.mem, r->memory);
    mem_free(r->rows->env.mem, r);
}

static void forget(struct rows_reader *r)
{
    if (r->units.bits)
        ordinals_clear(&r->units);
}

void rows_begin(struct rows_reader *r)
{
    forget(r);
    r->before = 0;
}

size_t rows_pages(const struct rows_reader *r)
{
    return (r->before + r->units.n) * (r->rows->unit_bytes / ROWS_PAGE);
}

static uint32_t unit_of(const struct rows *rows, uint32_t slot)
{
    return slot / (uint32_t)rows->per_unit;
}

uint64_t rows_page(const struct rows *rows, uint32_t slot)
{
    return unit_of(rows, slot);
}

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Room for n units more, in the table and, files, in memory. */
static int reserve(struct rows_reader *r, size_t n)
{
    struct mem *mem = r->rows->env.mem;

    if (r->units.n + n > r->most) {
        r->before += r->units.n;
        forget(r);
    }
    const size_t need = r->units.n + n;
    bool room = ordinals_reserve(&r->units, mem, need);
    if (room && r->rows->options.kind == ROWS_FILE && need > r->capacity) {
        size_t more = 2 * r->capacity > need ? 2 * r->capacity : need;
        more = more < 32 ? 32 : more;
        const size_t bytes = more * r->rows->unit_bytes;
        unsigned char *memory = mem_alloc(mem, bytes + ROWS_PAGE);
        room = memory != NULL;
        if (room) {
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
    return room ? OK
                : fail(r->rows->env.error, ERR_NO_MEMORY, "rows: out of memory reading %zu", n);
}

static int read_units(const struct rows *rows, unsigned char *to, uint32_t unit, size_t n)
{
    size_t left = n * rows->unit_bytes;
    uint64_t at = (uint64_t)unit * rows->unit_bytes;

    while (left > 0) {
        const ssize_t got = pread(rows->read_fd, to, left, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(rows->env.error, ERR_IO, "%s: byte %" PRIu64 ": cannot be read",
                              rows->path, at);
        if (got == 0)
            return fail(rows->env.error, ERR_CORRUPT,
                        "%s: it ends at byte %" PRIu64 ", before slot %" PRIu64, rows->path, at,
                        at / rows->unit_bytes * rows->per_unit);
        to += got;
        left -= (size_t)got;
        at += (uint64_t)got;
    }
    return OK;
}

/* Units first, first + 1 ... of the reader are new: neighbours are read together. */
static int read_new(struct rows_reader *r, size_t first)
{
    const size_t unit_bytes = r->rows->unit_bytes;
    int rc = OK;

    for (size_t i = first, m; !rc && i < r->units.n; i += m) {
        m = 1;
        while (i + m < r->units.n && m < RUN_UNITS &&
               r->units.slots[i + m] == r->units.slots[i] + m)
            m++;
        rc = read_units(r->rows, r->held + i * unit_bytes, r->units.slots[i], m);
    }
    return rc;
}

/* Where the slot's record is, or row where rows are all there is. */
static const unsigned char *record_of(const struct rows_reader *r, uint32_t slot, size_t at)
{
    const struct rows *rows = r->rows;
    const uint64_t offset = rows_offset(rows, slot);

    if (rows->options.kind == ROWS_MEMORY)
        return stable_at(&rows->memory, slot);
    if (rows->options.kind == ROWS_FILE)
        return r->held + at * rows->unit_bytes + offset % rows->unit_bytes;
    const struct rows_window *w = stable_at(&rows->memory, offset / rows->window_bytes);
    return w->base + offset % rows->window_bytes;
}

/* Meets the slots' units in ascending order, so that what is read lies in one piece. */
static int meet(struct rows_reader *r, const uint32_t *slots, size_t n)
{
    uint32_t units[ROWS_BATCH];

    for (size_t i = 0; i < n; i++) {
        if (!rows_has(r->rows, slots[i]))
            return fail(r->rows->env.error, ERR_CORRUPT, "%s: slot %" PRIu32 " is not in it",
                        r->rows->path, slots[i]);
        units[i] = unit_of(r->rows, slots[i]);
    }
    int rc = reserve(r, n);
    if (!rc && r->rows->options.kind == ROWS_FILE)
        qsort(units, n, sizeof *units, ascending);
    for (size_t i = 0; !rc && i < n; i++)
        (void)ordinals_add(&r->units, units[i]);
    return rc;
}

int rows_read(struct rows_reader *r, const uint32_t *slots, size_t n, const void **out)
{
    const struct rows *rows = r->rows;
    const bool file = rows->options.kind == ROWS_FILE;
    const size_t before = r->before;
    size_t first = r->units.n;
    int rc = meet(r, slots, n);

    first = r->before == before ? first : 0;
    if (!rc && file)
        rc = read_new(r, first);
    if (rc && file && r->units.bits)
        forget(r); /* what is held is not what it says */
    for (size_t i = 0; !rc && i < n; i++) {
        const size_t at = file ? ordinals_add(&r->units, unit_of(rows, slots[i])) : 0;
        out[i] = record_of(r, slots[i], at);
        __builtin_prefetch(out[i]);
    }
    for (size_t i = 0; !rc && i < n && rows->options.kind != ROWS_MEMORY; i++)
        rc = rows_verify(rows, slots[i], out[i]);
    return rc;
}

/* Copies by a reader of the store's own. */

static int take_idle(struct rows *rows, struct rows_reader **reader)
{
    (void)pthread_mutex_lock(&rows->lock);
    *reader = rows->idle;
    if (*reader)
        rows->idle = (*reader)->next;
    (void)pthread_mutex_unlock(&rows->lock);
    return *reader ? OK : rows_reader_create(reader, rows);
}

static void give_idle(struct rows *rows, struct rows_reader *reader)
{
    (void)pthread_mutex_lock(&rows->lock);
    reader->next = rows->idle;
    rows->idle = reader;
    (void)pthread_mutex_unlock(&rows->lock);
}

int rows_get(struct rows *rows, const uint32_t *slots, size_t n, void *out)
{
    const void *found[ROWS_BATCH];
    unsigned char *to = out;
    struct rows_reader *reader;
    int rc = take_idle(rows, &reader);

    if (rc)
        return rc;
    const unsigned ticket = epoch_enter(rows->epoch);
    for (size_t i = 0; !rc && i < n; i += ROWS_BATCH) {
        const size_t m = n - i < ROWS_BATCH ? n - i : ROWS_BATCH;
        rows_begin(reader); /* what was read before may have been written since */
        rc = rows_read(reader, slots + i, m, found);
        for (size_t j = 0; !rc && j < m; j++)
            memcpy(to + (i + j) * rows->row_bytes, found[j], rows->row_bytes);
    }
    epoch_leave(rows->epoch, ticket);
    give_idle(rows, reader);
    return rc;
}
