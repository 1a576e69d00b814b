/* insert.c - filing vectors: the nearest centroids of a block of rows, then a copy into each list.
 *
 * A block goes through five steps: its lists are found and its codes' floats computed (by all
 * threads), room is made, slots are taken, the vectors are stored (by all threads), places are taken,
 * and codes are put, list by list (by all threads, a list by one). Which thread did what leaves no
 * trace, so an index does not depend on their number.
 */
#include <string.h>

#include "algorithms/divf/scratch.h"
#include "algorithms/divf/upkeep.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Fewer rows than this are not worth sending to a device. */
enum { DEVICE_ROWS_MIN = 4 };
/* Up to so many are filed one by one: sorting them by list would not pay. */
enum { FEW_ROWS = 64 };
/* Rows of a block at most: enough to keep threads busy and lists' codes together; and bytes of their
   transformed rows, about. */
enum { BLOCK_ROWS = 16384, BLOCK_BYTES = 1 << 22 };
/* Ids whose entries of the map are fetched ahead. */
enum { IDS_AHEAD = 8 };
/* Codes are put list by list, from transformed rows that lie anywhere in the block. */
enum { CODES_AHEAD = 8 };

/* ------------------------------------------------------------------------ the nearest lists */

static int out_of_memory(const struct divf *d)
{
    return fail(d->base.env.error, ERR_NO_MEMORY, "insert: out of memory");
}

/* The n_lists nearest of each of n rows. */
static int assign(struct divf *d, struct divf_scratch *s, const float *rows, size_t n,
                  size_t n_lists, uint32_t *lists)
{
    const struct index_env *env = &d->base.env;
    struct centroids centroids = divf_centroids(&d->lists);
    if (d->lists.n == 1) {
        memset(lists, 0, n * sizeof *lists);
        return OK;
    }
    if (n >= DEVICE_ROWS_MIN && d->device.library.ops)
        return divf_device_assign(d, rows, n, n_lists, lists);
    if (n > NEAREST_ROWS && pool_threads(env->pool) > 1)
        return nearest_all(env, &centroids, rows, n, n_lists, lists);
    if (!divf_scratch_fit_nearest(d, s))
        return out_of_memory(d);
    for (size_t first = 0; first < n; first += NEAREST_ROWS)
        nearest_rows(s->nearest, env->kernels, &centroids, rows + first * env->dim,
                     n - first < NEAREST_ROWS ? n - first : NEAREST_ROWS, n_lists,
                     lists + first * n_lists);
    return OK;
}

/* ------------------------------------------------------------------------------- a few rows */

static void note_length(struct divf *d, size_t list)
{
    if (d->lists.list[list].live > d->largest_list)
        d->largest_list = d->lists.list[list].live;
}

/* Room in every list first: what follows cannot fail, so a vector is stored whole or not at all. */
static int file_row(struct divf *d, const float *row, uint64_t id, const uint32_t *lists, size_t n,
                    const float *transformed)
{
    for (size_t j = 0; j < n; j++) {
        int rc = divf_list_reserve(&d->lists, lists[j], 1);
        if (rc)
            return rc;
    }
    uint32_t slot = divf_slot_take(d, id);
    memcpy(divf_vector(&d->lists, slot), row, d->base.env.dim * sizeof *row);
    for (size_t j = 0; j < n; j++) {
        uint32_t place = divf_list_append(&d->lists, lists[j], slot);
        divf_slot_places(&d->lists, slot)[j] = place;
        if (d->lists.quantizer)
            divf_code_put(&d->lists, lists[j], place, transformed);
        note_length(d, lists[j]);
    }
    return OK;
}

static int file_few_with(struct divf *d, struct divf_scratch *s, const float *rows,
                         const uint64_t *ids, size_t n, size_t *done)
{
    uint32_t lists[FEW_ROWS * DIVF_SOFT_K_MAX];
    const struct quantizer *q = d->lists.quantizer;
    size_t n_lists = d->lists.soft_k < d->lists.n ? d->lists.soft_k : d->lists.n;
    int rc = assign(d, s, rows, n, n_lists, lists);
    if (!rc && !divf_scratch_fit_work(d, s, n))
        rc = out_of_memory(d);
    if (!rc && q)
        quantizer_transform(q, rows, n, s->work);
    for (; !rc && *done < n; *done += !rc)
        rc = file_row(d, rows + *done * d->base.env.dim, ids[*done], lists + *done * n_lists,
                      n_lists, q ? s->work + *done * q->work_dim : NULL);
    return rc;
}

static int file_few(struct divf *d, const float *rows, const uint64_t *ids, size_t n, size_t *done)
{
    struct divf_scratch *s = divf_scratch_take(d);
    if (!s)
        return out_of_memory(d);
    int rc = file_few_with(d, s, rows, ids, n, done);
    divf_scratch_give(d, s);
    return rc;
}

/* -------------------------------------------------------------------------------- a block */

struct filing {
    struct divf *d;
    const float *rows;
    const uint64_t *ids;
    size_t n, s;        /* rows of the block, lists of a row */
    size_t room;        /* rows the arrays are for */
    uint32_t *lists;    /* n x s */
    uint32_t *slots;    /* n */
    uint32_t *places;   /* n x s */
    float *transformed; /* n x work_dim */
    uint32_t *order; /* n x s: copies (row * s + j) list by list, each list's in the rows' order */
    uint32_t *start; /* lists + 2 */
    struct divf_scratch *scratch;
    size_t threads;
};

static int transform_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    const struct quantizer *q = f->d->lists.quantizer;
    (void)worker;
    quantizer_transform(q, f->rows + first * f->d->base.env.dim, end - first,
                        f->transformed + first * q->work_dim);
    return OK;
}

static int store_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    size_t dim = f->d->base.env.dim;
    (void)worker;
    for (size_t i = first; i < end; i++)
        memcpy(divf_vector(&f->d->lists, f->slots[i]), f->rows + i * dim, dim * sizeof(float));
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

/* start[l] .. start[l + 1]: the copies of list l, of f->order. */
static void sort_by_list(struct filing *f)
{
    size_t lists = f->d->lists.n, copies = f->n * f->s;
    memset(f->start, 0, (lists + 2) * sizeof *f->start);
    for (size_t i = 0; i < copies; i++)
        f->start[f->lists[i] + 2]++;
    for (size_t l = 2; l <= lists; l++)
        f->start[l] += f->start[l - 1];
    for (size_t i = 0; i < copies; i++)
        f->order[f->start[f->lists[i] + 1]++] = (uint32_t)i;
}

static int reserve_lists(struct filing *f)
{
    int rc = OK;
    for (size_t l = 0; !rc && l < f->d->lists.n; l++)
        if (f->start[l + 1] > f->start[l])
            rc = divf_list_reserve(&f->d->lists, l, f->start[l + 1] - f->start[l]);
    return rc;
}

static void take_places(struct filing *f)
{
    struct divf_lists *lists = &f->d->lists;
    for (size_t l = 0; l < lists->n; l++) {
        for (uint32_t i = f->start[l]; i < f->start[l + 1]; i++) {
            size_t copy = f->order[i];
            f->places[copy] = divf_list_append(lists, l, f->slots[copy / f->s]);
        }
        note_length(f->d, l);
    }
    for (size_t i = 0; i < f->n; i++)
        memcpy(divf_slot_places(lists, f->slots[i]), f->places + i * f->s,
               f->s * sizeof *f->places);
}

static void fetch_ahead(const float *floats, size_t n)
{
    for (size_t at = 0; at < n; at += 16)
        __builtin_prefetch(floats + at);
}

static int put_codes(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    struct divf_lists *lists = &f->d->lists;
    (void)worker;
    const size_t floats = lists->quantizer->work_dim, last = f->start[end];
    for (size_t l = first; l < end; l++)
        for (uint32_t i = f->start[l]; i < f->start[l + 1]; i++) {
            if (i + CODES_AHEAD < last)
                fetch_ahead(f->transformed + f->order[i + CODES_AHEAD] / f->s * floats, floats);
            divf_code_put(lists, l, f->places[f->order[i]],
                          f->transformed + f->order[i] / f->s * floats);
        }
    return OK;
}

/* One thread does both with a tile of rows while it is in the cache; more threads, or a device, do
   one after the other. */
static int assign_and_transform(struct filing *f)
{
    struct divf *d = f->d;
    const bool tiled = f->threads == 1 && !d->device.library.ops;
    const size_t tile = tiled ? NEAREST_ROWS : f->n;
    for (size_t first = 0; first < f->n; first += tile) {
        size_t n = f->n - first < tile ? f->n - first : tile;
        int rc = assign(d, f->scratch, f->rows + first * d->base.env.dim, n, f->s,
                        f->lists + first * f->s);
        if (rc)
            return rc;
        if (d->lists.quantizer && tiled)
            (void)transform_rows(f, first, first + n, 0);
    }
    if (d->lists.quantizer && !tiled)
        (void)parallel_for(d->base.env.pool, f->threads, f->n, NEAREST_ROWS, transform_rows, f);
    return OK;
}

/* All room first; what follows cannot fail, so the block is stored whole or not at all. */
static int file_block(struct filing *f)
{
    struct divf *d = f->d;
    struct pool *pool = d->base.env.pool;
    int rc = assign_and_transform(f);
    if (rc)
        return rc;
    sort_by_list(f);
    rc = reserve_lists(f);
    if (rc)
        return rc;
    take_slots(f);
    (void)parallel_for(pool, f->threads, f->n, NEAREST_ROWS, store_rows, f);
    take_places(f);
    if (d->lists.quantizer)
        (void)parallel_for(pool, f->threads, d->lists.n, 16, put_codes, f);
    return OK;
}

/* --------------------------------------------------------------------------------- batches */

static size_t block_rows(const struct divf *d, size_t n)
{
    size_t most = BLOCK_ROWS;
    if (d->lists.quantizer)
        most = BLOCK_BYTES / (d->lists.quantizer->work_dim * sizeof(float));
    most = most < NEAREST_ROWS ? NEAREST_ROWS : most > BLOCK_ROWS ? BLOCK_ROWS : most;
    return n < most ? n : most;
}

static bool filing_open(struct filing *f, size_t n)
{
    struct divf *d = f->d;
    struct mem *mem = d->base.env.mem;
    size_t lists = d->lists.n, work_dim = d->lists.quantizer ? d->lists.quantizer->work_dim : 0;
    f->s = d->lists.soft_k < lists ? d->lists.soft_k : lists;
    f->room = block_rows(d, n);
    f->lists = mem_array(mem, f->room * f->s, sizeof *f->lists);
    f->places = mem_array(mem, f->room * f->s, sizeof *f->places);
    f->order = mem_array(mem, f->room * f->s, sizeof *f->order);
    f->slots = mem_array(mem, f->room, sizeof *f->slots);
    f->start = mem_array(mem, lists + 2, sizeof *f->start);
    f->transformed = mem_array(mem, f->room * work_dim, sizeof *f->transformed);
    f->scratch = divf_scratch_take(d);
    return f->lists && f->places && f->order && f->slots && f->start && f->transformed &&
           f->scratch;
}

static void filing_close(struct filing *f)
{
    struct mem *mem = f->d->base.env.mem;
    if (f->scratch)
        divf_scratch_give(f->d, f->scratch);
    mem_free(mem, f->lists);
    mem_free(mem, f->places);
    mem_free(mem, f->order);
    mem_free(mem, f->slots);
    mem_free(mem, f->start);
    mem_free(mem, f->transformed);
}

static int file_all(struct divf *d, const float *rows, const uint64_t *ids, size_t n, size_t *done)
{
    struct filing f = { .d = d, .threads = n > NEAREST_ROWS ? pool_threads(d->base.env.pool) : 1 };
    int rc = filing_open(&f, n) ? OK : out_of_memory(d);
    while (!rc && *done < n) {
        f.rows = rows + *done * d->base.env.dim;
        f.ids = ids + *done;
        f.n = n - *done < f.room ? n - *done : f.room;
        rc = file_block(&f);
        if (!rc)
            *done += f.n;
    }
    filing_close(&f);
    return rc;
}

int divf_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct divf *d = divf_of(index);
    *done = 0;
    if (v.n == 0)
        return OK;
    divf_compact_probed(d);
    int rc = divf_train_if_due(d, v.rows, v.n);
    if (!rc)
        rc = divf_slots_reserve(d, ids, v.n);
    if (!rc)
        rc = (v.n <= FEW_ROWS ? file_few : file_all)(d, v.rows, ids, v.n, done);
    d->counters.inserted += *done;
    if (rc)
        return rc;
    d->counters.insert_batches++;
    return divf_upkeep_inserted(d, v.n);
}
