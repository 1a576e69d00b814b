/* rows_read.c - a record of the row file and its checksum; reads the rows of many slots, each page
 * once. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "algorithms/spfresh/codec/candidate_set.h"
#include "algorithms/spfresh/codec/rows_internal.h"
#include "src/core/mem.h"
#include "src/core/order.h"

enum { HELD_BYTES = 1 << 22, RUN_UNITS = 64 };

struct spfresh_rows_reader {
    struct scratch_item item;
    struct spfresh_rows *rows;
    struct spfresh_candidate_set units; /* of the query; i-th at held[i * unit_bytes] */
    size_t before;                      /* units read and then dropped from `held` */
    unsigned char *memory;              /* as allocated; `held` is page-aligned within it */
    unsigned char *held;
    size_t capacity, most; /* of `held`, in units, and its upper bound */
};

static bool open_reader(void *owner, void *reader)
{
    struct spfresh_rows_reader *r = reader;

    r->rows = owner;
    r->most = HELD_BYTES / r->rows->unit_bytes;
    r->most = r->most < ROWS_BATCH ? ROWS_BATCH : r->most;
    return true;
}

static void close_reader(struct mem *mem, void *reader)
{
    struct spfresh_rows_reader *r = reader;

    atomic_fetch_sub(&r->rows->held, r->capacity * r->rows->unit_bytes);
    spfresh_candidate_set_free(&r->units, mem);
    mem_free(mem, r->memory);
}

const struct scratch_kind spfresh_rows_reader_kind = { sizeof(struct spfresh_rows_reader),
                                                       open_reader, close_reader, NULL };

struct spfresh_rows_reader *spfresh_rows_reader_take(struct spfresh_rows *rows)
{
    struct spfresh_rows_reader *r = scratch_pool_take(&rows->idle);

    if (!r)
        fail(rows->env.error, ERR_NO_MEMORY, "rows: out of memory for a reader");
    return r;
}

void spfresh_rows_reader_give(struct spfresh_rows_reader *r)
{
    if (r)
        scratch_pool_give(&r->rows->idle, r);
}

void spfresh_rows_begin(struct spfresh_rows_reader *r)
{
    spfresh_candidate_set_clear(&r->units);
    r->before = 0;
}

size_t spfresh_rows_pages(const struct spfresh_rows_reader *r)
{
    return (r->before + r->units.n) * (r->rows->unit_bytes / ROWS_PAGE);
}

static uint32_t unit_of(const struct spfresh_rows *rows, uint32_t slot)
{
    return slot / (uint32_t)rows->per_unit;
}

/* Reserves space for n more units, in the set and, for files, in `held`. */
static int reserve(struct spfresh_rows_reader *r, size_t n)
{
    struct mem *mem = r->rows->env.mem;

    if (r->units.n + n > r->most) {
        r->before += r->units.n;
        spfresh_candidate_set_clear(&r->units);
    }
    const size_t need = r->units.n + n;
    bool fits = spfresh_candidate_set_reserve(&r->units, mem, need);
    if (fits && r->rows->options.kind == ROWS_FILE && need > r->capacity) {
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

static int read_units(const struct spfresh_rows *rows, unsigned char *to, uint32_t unit, size_t n)
{
    const size_t bytes = n * rows->unit_bytes;
    const uint64_t first = (uint64_t)unit * rows->unit_bytes;
    const size_t done = file_read_at(rows->read_fd, to, bytes, first, NULL);
    const uint64_t at = first + done;

    if (done == bytes)
        return OK;
    if (errno)
        return fail_errno(rows->env.error, ERR_IO, "%s: byte %" PRIu64 ": cannot be read",
                          rows->path, at);
    return fail(rows->env.error, ERR_CORRUPT,
                "%s: it ends at byte %" PRIu64 ", before slot %" PRIu64, rows->path, at,
                at / rows->unit_bytes * rows->per_unit);
}

/* Reads the reader's units from index `first` on. Adjacent units in the file are one read. */
static int read_new(struct spfresh_rows_reader *r, size_t first)
{
    const size_t unit_bytes = r->rows->unit_bytes;
    int rc = OK;

    for (size_t i = first, m; !rc && i < r->units.n; i += m) {
        m = 1;
        while (i + m < r->units.n && m < RUN_UNITS && r->units.keys[i + m] == r->units.keys[i] + m)
            m++;
        rc = read_units(r->rows, r->held + i * unit_bytes, (uint32_t)r->units.keys[i], m);
    }
    return rc;
}

/* Address of the slot's record. In memory it is the row alone. */
static const unsigned char *record_of(const struct spfresh_rows_reader *r, uint32_t slot, size_t at)
{
    const struct spfresh_rows *rows = r->rows;
    const uint64_t offset = spfresh_rows_offset(rows, slot);

    if (rows->options.kind == ROWS_MEMORY)
        return segmented_at(&rows->memory, slot);
    if (rows->options.kind == ROWS_FILE)
        return r->held + at * rows->unit_bytes + offset % rows->unit_bytes;
    const struct spfresh_rows_window *w = segmented_at(&rows->memory, offset / rows->window_bytes);
    return w->base + offset % rows->window_bytes;
}

/* Adds the slots' units in order_u32 order, so that new units form contiguous runs in the file. */
static int meet(struct spfresh_rows_reader *r, const uint32_t *slots, size_t n)
{
    uint32_t units[ROWS_BATCH];

    for (size_t i = 0; i < n; i++) {
        if (!spfresh_rows_has(r->rows, slots[i]))
            return fail(r->rows->env.error, ERR_CORRUPT, "%s: slot %" PRIu32 " is not in it",
                        r->rows->path, slots[i]);
        units[i] = unit_of(r->rows, slots[i]);
    }
    int rc = reserve(r, n);
    if (!rc && r->rows->options.kind == ROWS_FILE)
        qsort(units, n, sizeof *units, order_u32);
    for (size_t i = 0; !rc && i < n; i++)
        (void)spfresh_candidate_set_add(&r->units, units[i]);
    return rc;
}

/* ERR_CORRUPT unless the record belongs to the slot and its checksum is right. */
static int verify(const struct spfresh_rows *r, uint32_t slot, const unsigned char *record)
{
    uint32_t owner, sum;

    memcpy(&owner, record + r->row_bytes, sizeof owner);
    memcpy(&sum, record + r->row_bytes + sizeof owner, sizeof sum);
    if (owner == slot && sum == spfresh_rows_checksum(r, record))
        return OK;
    return fail(r->env.error, ERR_CORRUPT,
                "%s: slot %" PRIu32 ", byte %" PRIu64 ": the vector's checksum does not match",
                r->path, slot, spfresh_rows_offset(r, slot));
}

int spfresh_rows_read(struct spfresh_rows_reader *r, const uint32_t *slots, size_t n,
                      const void **out)
{
    const struct spfresh_rows *rows = r->rows;
    const bool file = rows->options.kind == ROWS_FILE;
    const size_t before = r->before;
    size_t first = r->units.n;
    int rc = meet(r, slots, n);

    first = r->before == before ? first : 0;
    if (!rc && file)
        rc = read_new(r, first);
    if (rc && file)
        spfresh_candidate_set_clear(&r->units); /* `held` lacks units that the set lists */
    for (size_t i = 0; !rc && i < n; i++) {
        const size_t at = file ? spfresh_candidate_set_add(&r->units, unit_of(rows, slots[i])) : 0;
        out[i] = record_of(r, slots[i], at);
        __builtin_prefetch(out[i]);
    }
    for (size_t i = 0; !rc && i < n && rows->options.kind != ROWS_MEMORY; i++)
        rc = verify(rows, slots[i], out[i]);
    return rc;
}

/* Copies, with a pooled reader. */

int spfresh_rows_get(struct spfresh_rows *rows, const uint32_t *slots, size_t n, void *out)
{
    const void *found[ROWS_BATCH];
    unsigned char *to = out;
    struct spfresh_rows_reader *reader = spfresh_rows_reader_take(rows);
    int rc = OK;

    if (!reader)
        return ERR_NO_MEMORY;
    const unsigned ticket = epoch_enter(rows->epoch);
    for (size_t i = 0; !rc && i < n; i += ROWS_BATCH) {
        const size_t m = n - i < ROWS_BATCH ? n - i : ROWS_BATCH;
        spfresh_rows_begin(reader); /* pages held from an earlier call may be outdated */
        rc = spfresh_rows_read(reader, slots + i, m, found);
        for (size_t j = 0; !rc && j < m; j++)
            memcpy(to + (i + j) * rows->row_bytes, found[j], rows->row_bytes);
    }
    epoch_leave(rows->epoch, ticket);
    spfresh_rows_reader_give(reader);
    return rc;
}

uint32_t spfresh_rows_checksum(const struct spfresh_rows *r, const unsigned char *record)
{
    return (uint32_t)XXH3_64bits(record, r->row_bytes + sizeof(uint32_t));
}

bool spfresh_rows_has(const struct spfresh_rows *r, uint32_t slot)
{
    const uint64_t capacity = atomic_load_explicit(&r->capacity, memory_order_acquire);

    return r->options.kind == ROWS_MEMORY
               ? slot < capacity
               : spfresh_rows_offset(r, slot) + r->record_bytes <= capacity;
}
