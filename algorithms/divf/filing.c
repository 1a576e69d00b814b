/* filing.c - rows in their lists: the nearest centroids of a block of rows, then a copy in each list.
 *
 * A block goes through six steps. All threads find its lists and transform its rows. Space is
 * reserved. Slots are taken. All threads store the vectors. All threads add the copies and their
 * codes, each list by one thread; from then on searches find them. The places are recorded. The
 * result does not depend on which thread did what, so an index does not depend on the
 * thread count. Training files the stored vectors likewise, in lists that no search has yet. */
#include <string.h>

#include "algorithms/divf/device.h"
#include "algorithms/divf/search/scratch.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Fewer rows than this are not sent to a device. */
enum { DEVICE_ROWS_MIN = 4 };
/* Up to this many rows are inserted one by one: sorting them by list would not pay. */
enum { FEW_ROWS = 64 };
/* Rows per block at most: enough to keep threads busy and the codes of a list together. Bytes of
   their transformed rows, approximately. */
enum { BLOCK_ROWS = 16384, BLOCK_BYTES = 1 << 22 };
/* Prefetch distance, in ids, for the entries of the map. */
enum { IDS_AHEAD = 8 };
/* Prefetch distance, in codes, for transformed rows: codes are put list by list, their rows are
   scattered over the block. */
enum { CODES_AHEAD = 8 };
/* Prefetch distance, in lists. */
enum { LISTS_AHEAD = 4 };

/* ------------------------------------------------------------------------ the nearest lists */

static int out_of_memory(const struct divf *d)
{
    return fail(d->env.error, ERR_NO_MEMORY, "insert: out of memory");
}

/* Finds the n_lists nearest lists of `among` for each of n rows. */
static int assign(struct divf *d, const struct divf_lists *among, struct divf_scratch *s,
                  const float *rows, size_t n, size_t n_lists, uint32_t *lists)
{
    const struct index_env *env = &d->env;
    struct centroids centroids = divf_centroids(among);
    if (among->n == 1) {
        memset(lists, 0, n * sizeof *lists);
        return OK;
    }
    if (n >= DEVICE_ROWS_MIN && d->device && among == &d->lists)
        return divf_device_assign(d, rows, n, n_lists, lists);
    if (!divf_scratch_fit_nearest(d, s))
        return out_of_memory(d);
    for (size_t first = 0; first < n; first += NEAREST_ROWS)
        nearest_rows(s->nearest, env->kernels, &centroids, rows + first * env->dim,
                     n - first < NEAREST_ROWS ? n - first : NEAREST_ROWS, n_lists,
                     lists + first * n_lists);
    return OK;
}

/* ------------------------------------------------------------------------------- a few rows */

/* Reserves space in every list first: after that nothing can fail, so a vector is stored completely
   or not at all. */
static int file_row(struct divf *d, const void *row, uint64_t id, const uint32_t *lists, size_t n,
                    const float *transformed)
{
    for (size_t j = 0; j < n; j++) {
        int rc = divf_list_reserve(&d->lists, lists[j], 1);
        if (rc)
            return rc;
    }
    uint32_t slot = divf_slot_take(d, id);
    memcpy(divf_row(&d->lists, slot), row, d->vectors.element_bytes);
    for (size_t j = 0; j < n; j++)
        divf_slot_places(&d->lists, slot)[j] =
            divf_list_append(&d->lists, lists[j], slot, transformed);
    return OK;
}

static int file_few(struct divf *d, const void *rows, const uint64_t *ids, size_t n, size_t *done)
{
    uint32_t lists[FEW_ROWS * DIVF_SOFT_K_MAX];
    const struct quantizer *q = d->lists.quantizer;
    const size_t soft_k = (size_t)d->params.soft_k,
                 n_lists = soft_k < d->lists.n ? soft_k : d->lists.n;
    struct divf_scratch *s = scratch_pool_take(&d->scratch);
    int rc = OK;
    if (s && divf_scratch_fit_work(d, d->view, s, n) && divf_scratch_fit_floats(d, s, n)) {
        const float *vectors = divf_floats(&d->lists.space, rows, n, s->floats);
        rc = assign(d, &d->lists, s, vectors, n, n_lists, lists);
        if (!rc && q)
            quantizer_transform(q, vectors, n, s->work);
        for (; !rc && *done < n; *done += !rc)
            rc = file_row(d, (const unsigned char *)rows + *done * d->vectors.element_bytes,
                          ids[*done], lists + *done * n_lists, n_lists,
                          q ? s->work + *done * q->work_dim : NULL);
    } else {
        rc = out_of_memory(d);
    }
    scratch_pool_give(&d->scratch, s);
    return rc;
}

/* -------------------------------------------------------------------------------- a block */

struct filing {
    struct divf *d;
    struct divf_lists *to; /* the index's, or those of a training */
    struct mem_group memory;
    const unsigned char *rows; /* in env's element; NULL: they are stored, in their slots, */
    float *vectors;            /* and these are theirs */
    const uint64_t *ids;
    size_t n, s;        /* rows of the block; lists per row */
    size_t capacity;    /* rows that fit in the arrays */
    uint32_t *lists;    /* n x s */
    uint32_t *slots;    /* n */
    uint32_t *places;   /* n x s */
    float *transformed; /* n x work_dim */
    uint32_t *order;    /* n x s: copies (row * s + j) by list, each list's in the order of rows */
    uint32_t *start;    /* lists + 2 */
    struct divf_scratch **scratch; /* one per thread, `ready` of them taken */
    size_t threads, ready;
    bool on_device; /* a device finds the lists of the whole block */
};

/* The vectors of rows first .. end - 1, until the worker's next call. NULL: out of memory. */
static const float *floats_of(const struct filing *f, size_t first, size_t end, size_t worker)
{
    struct divf_scratch *s = f->scratch[worker];
    const struct divf_space *space = &f->to->space;
    if (!f->rows) {
        float *vectors = f->vectors + first * space->dim;
        for (size_t i = first; i < end; i++)
            divf_widen(space, divf_row(f->to, f->slots[i]), 1, f->vectors + i * space->dim);
        return vectors;
    }
    if (!divf_scratch_fit_floats(f->d, s, end - first))
        return NULL;
    return divf_floats(space, f->rows + first * space->row_bytes, end - first, s->floats);
}

/* Widens rows of bytes, finds their lists and transforms them, a tile of rows after the other, so
   that all three are done while it is in the cache. */
static int assign_tile(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    struct divf *d = f->d;
    const struct quantizer *q = f->to->quantizer;
    const float *vectors = floats_of(f, first, end, worker);
    int rc = vectors ? OK : out_of_memory(d);
    if (!rc && !f->on_device)
        rc = assign(d, f->to, f->scratch[worker], vectors, end - first, f->s,
                    f->lists + first * f->s);
    if (!rc && q)
        quantizer_transform(q, vectors, end - first, f->transformed + first * q->work_dim);
    return rc;
}

static int assign_block(struct filing *f)
{
    struct divf *d = f->d;
    int rc = OK;
    if (f->on_device) {
        const float *vectors = floats_of(f, 0, f->n, 0);
        rc = vectors ? assign(d, f->to, f->scratch[0], vectors, f->n, f->s, f->lists)
                     : out_of_memory(d);
        if (rc || !f->to->quantizer)
            return rc;
    }
    return parallel_for(d->env.pool, f->threads, f->n, NEAREST_ROWS, assign_tile, f);
}

static int store_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    size_t row_bytes = f->d->vectors.element_bytes;
    (void)worker;
    for (size_t i = first; i < end; i++)
        memcpy(divf_row(&f->d->lists, f->slots[i]), f->rows + i * row_bytes, row_bytes);
    return OK;
}

static void take_slots(struct filing *f)
{
    struct divf *d = f->d;
    for (size_t i = 0; i < f->n && i < IDS_AHEAD; i++)
        slot_table_prefetch(&d->slots.ids, f->ids[i]);
    for (size_t i = 0; i < f->n; i++) {
        if (i + IDS_AHEAD < f->n)
            slot_table_prefetch(&d->slots.ids, f->ids[i + IDS_AHEAD]);
        f->slots[i] = divf_slot_take(d, f->ids[i]);
    }
}

static void record_places(struct filing *f)
{
    struct divf_lists *lists = f->to;
    for (size_t l = 0; l < lists->n; l++)
        divf_list_grown(lists, l, f->start[l + 1] - f->start[l]);
    for (size_t i = 0; i < f->n; i++)
        memcpy(divf_slot_places(lists, f->slots[i]), f->places + i * f->s,
               f->s * sizeof *f->places);
}

static void fetch_ahead(const float *floats, size_t n)
{
    for (size_t at = 0; at < n; at += 16)
        __builtin_prefetch(floats + at);
}

static void put_list(struct filing *f, size_t list, size_t last)
{
    struct divf_lists *lists = f->to;
    const bool codes = lists->quantizer;
    const size_t floats = codes ? lists->quantizer->work_dim : 0;
    latch_take(&lists->list[list]->latch);
    for (uint32_t i = f->start[list]; i < f->start[list + 1]; i++) {
        size_t copy = f->order[i], row = copy / f->s;
        if (codes && i + CODES_AHEAD < last)
            fetch_ahead(f->transformed + f->order[i + CODES_AHEAD] / f->s * floats, floats);
        f->places[copy] =
            divf_copy_put(lists, list, f->slots[row], codes ? f->transformed + row * floats : NULL);
    }
    latch_give(&lists->list[list]->latch);
}

static int put_copies(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    (void)worker;
    for (size_t l = first; l < end; l++) {
        if (l + LISTS_AHEAD < end)
            __builtin_prefetch(f->to->list[l + LISTS_AHEAD], 1);
        if (f->start[l + 1] > f->start[l])
            put_list(f, l, f->start[end]);
    }
    return OK;
}

/* Reserves all space first: after that nothing can fail, so the block is stored completely or not
   at all. */
static int file_block(struct filing *f)
{
    struct divf_lists *to = f->to;
    struct pool *pool = f->d->env.pool;
    int rc = assign_block(f);
    if (rc)
        return rc;
    nearest_sort_by_list(f->lists, f->n * f->s, to->n, f->start, f->order);
    for (size_t l = 0; l < to->n; l++) {
        if (f->start[l + 1] > f->start[l])
            rc = divf_list_reserve(to, l, f->start[l + 1] - f->start[l]);
        if (rc)
            return rc;
    }
    if (f->rows) {
        take_slots(f);
        (void)parallel_for(pool, f->threads, f->n, NEAREST_ROWS, store_rows, f);
    }
    (void)parallel_for(pool, f->threads, to->n, 16, put_copies, f);
    record_places(f);
    return OK;
}

/* --------------------------------------------------------------------------------- batches */

static size_t block_rows(const struct divf *d, const struct divf_lists *to, size_t n)
{
    size_t most = BLOCK_ROWS;
    if (to->quantizer)
        most = BLOCK_BYTES / (to->quantizer->work_dim * sizeof(float));
    if ((d->space.kind != DIVF_FLOATS || to != &d->lists) &&
        most > BLOCK_BYTES / (d->env.dim * sizeof(float)))
        most = BLOCK_BYTES / (d->env.dim * sizeof(float));
    most = most < NEAREST_ROWS ? NEAREST_ROWS : most > BLOCK_ROWS ? BLOCK_ROWS : most;
    return n < most ? n : most;
}

static bool filing_open(struct filing *f, struct divf *d, struct divf_lists *to, size_t n)
{
    struct mem_group *g = &f->memory;
    size_t lists = to->n, work_dim = to->quantizer ? to->quantizer->work_dim : 0;
    *f = (struct filing){ .d = d,
                          .to = to,
                          .memory.mem = d->env.mem,
                          .s = (size_t)d->params.soft_k < lists ? (size_t)d->params.soft_k : lists,
                          .capacity = block_rows(d, to, n),
                          .threads = n > NEAREST_ROWS ? pool_threads(d->env.pool) : 1,
                          .on_device = d->device && to == &d->lists };
    f->lists = mem_group_array(g, f->capacity * f->s, sizeof *f->lists);
    f->places = mem_group_array(g, f->capacity * f->s, sizeof *f->places);
    f->order = mem_group_array(g, f->capacity * f->s, sizeof *f->order);
    f->slots = mem_group_array(g, f->capacity, sizeof *f->slots);
    f->start = mem_group_array(g, lists + 2, sizeof *f->start);
    f->transformed = mem_group_array(g, f->capacity * work_dim, sizeof *f->transformed);
    f->vectors = mem_group_array(g, to == &d->lists ? 0 : f->capacity * d->env.dim, sizeof(float));
    f->scratch = mem_group_array(g, f->threads, sizeof *f->scratch);
    while (f->scratch && f->ready < f->threads &&
           (f->scratch[f->ready] = scratch_pool_take(&d->scratch)))
        f->ready++;
    return f->ready == f->threads;
}

static void filing_close(struct filing *f)
{
    while (f->ready > 0)
        scratch_pool_give(&f->d->scratch, f->scratch[--f->ready]);
    mem_group_free(&f->memory);
}

static int file_all(struct divf *d, const void *rows, const uint64_t *ids, size_t n, size_t *done)
{
    struct filing f;
    int rc = filing_open(&f, d, &d->lists, n) ? OK : out_of_memory(d);
    while (!rc && *done < n) {
        f.rows = (const unsigned char *)rows + *done * d->vectors.element_bytes;
        f.ids = ids + *done;
        f.n = n - *done < f.capacity ? n - *done : f.capacity;
        rc = file_block(&f);
        if (!rc)
            *done += f.n;
    }
    filing_close(&f);
    return rc;
}

int divf_file_rows(struct divf *d, const void *rows, const uint64_t *ids, size_t n, size_t *done)
{
    return (n <= FEW_ROWS ? file_few : file_all)(d, rows, ids, n, done);
}

/* A free slot keeps its place in the list of free ones. */
int divf_file_stored(struct divf *d, struct divf_lists *to)
{
    struct filing f;
    to->places = mem_array(d->env.mem, d->slots.capacity * to->soft_k, sizeof *to->places);
    int rc = filing_open(&f, d, to, d->slots.ids.n) && to->places
                 ? OK
                 : fail(d->env.error, ERR_NO_MEMORY, "divf: out of memory reassigning %zu vectors",
                        d->slots.ids.n);
    for (uint32_t slot = 0; !rc && slot < d->slots.n; slot++) {
        uint32_t *places = divf_slot_places(to, slot);
        memset(places, 0xff, to->soft_k * sizeof *places);
        if (d->slots.id[slot] == INDEX_NO_ID)
            *places = *divf_slot_places(&d->lists, slot);
        else
            f.slots[f.n++] = slot;
        if (f.n > 0 && (f.n == f.capacity || slot + 1 == d->slots.n)) {
            rc = file_block(&f);
            f.n = 0;
        }
    }
    filing_close(&f);
    return rc;
}
