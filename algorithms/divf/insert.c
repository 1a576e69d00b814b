/* insert.c - insertion: the nearest centroids of a block of rows, then a copy in each list.
 *
 * A block goes through six steps. All threads find its lists and transform its rows. Space is
 * reserved. Slots are taken. All threads store the vectors. All threads add the copies and their
 * codes, each list by one thread; from then on searches find them. The places are recorded. The
 * result does not depend on which thread did what, so an index does not depend on the
 * thread count. */
#include <string.h>

#include "algorithms/divf/maintenance/members.h"
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

/* Finds the n_lists nearest lists of each of n rows. */
static int assign(struct divf *d, struct divf_scratch *s, const float *rows, size_t n,
                  size_t n_lists, uint32_t *lists)
{
    const struct index_env *env = &d->env;
    struct centroids centroids = divf_centroids(&d->lists);
    if (d->lists.n == 1) {
        memset(lists, 0, n * sizeof *lists);
        return OK;
    }
    if (n >= DEVICE_ROWS_MIN && cuda_is_open(&d->device.cuda))
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
    if (d->lists.list[list]->live > d->largest_list)
        d->largest_list = d->lists.list[list]->live;
}

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
    for (size_t j = 0; j < n; j++) {
        divf_slot_places(&d->lists, slot)[j] =
            divf_list_append(&d->lists, lists[j], slot, transformed);
        note_length(d, lists[j]);
    }
    return OK;
}

static int file_few_with(struct divf *d, struct divf_scratch *s, const unsigned char *rows,
                         const uint64_t *ids, size_t n, size_t *done)
{
    uint32_t lists[FEW_ROWS * DIVF_SOFT_K_MAX];
    const struct quantizer *q = d->lists.quantizer;
    size_t soft_k = (size_t)d->params.soft_k, n_lists = soft_k < d->lists.n ? soft_k : d->lists.n;
    if (!divf_scratch_fit_work(d, d->view, s, n) || !divf_scratch_fit_floats(d, s, n))
        return out_of_memory(d);
    const float *vectors = divf_floats(&d->lists.space, rows, n, s->floats);
    int rc = assign(d, s, vectors, n, n_lists, lists);
    if (!rc && q)
        quantizer_transform(q, vectors, n, s->work);
    for (; !rc && *done < n; *done += !rc)
        rc = file_row(d, rows + *done * d->vectors.element_bytes, ids[*done],
                      lists + *done * n_lists, n_lists, q ? s->work + *done * q->work_dim : NULL);
    return rc;
}

static int file_few(struct divf *d, const void *rows, const uint64_t *ids, size_t n, size_t *done)
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
    const unsigned char *rows; /* in env's element */
    const float *vectors;      /* the same as floats; unless `tiled` */
    float *floats;             /* rows of bytes as floats: a tile, or the block */
    const uint64_t *ids;
    size_t n, s;        /* rows of the block; lists per row */
    size_t capacity;    /* rows that fit in the arrays */
    uint32_t *lists;    /* n x s */
    uint32_t *slots;    /* n */
    uint32_t *places;   /* n x s */
    float *transformed; /* n x work_dim */
    uint32_t *order;    /* n x s: copies (row * s + j) by list, each list's in the order of rows */
    uint32_t *start;    /* lists + 2 */
    struct divf_scratch *scratch;
    size_t threads;
    bool
        tiled; /* by one thread, which takes all steps with a tile of rows while it is in the cache */
};

static int transform_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    const struct quantizer *q = f->d->lists.quantizer;
    (void)worker;
    quantizer_transform(q, f->vectors + first * f->d->env.dim, end - first,
                        f->transformed + first * q->work_dim);
    return OK;
}

static int widen_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    const struct divf_space *space = &f->d->lists.space;
    (void)worker;
    divf_widen(space, f->rows + first * space->row_bytes, end - first,
               f->floats + first * space->dim);
    return OK;
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

/* The copies of list l are f->order[start[l] .. start[l + 1]). */
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

static void record_places(struct filing *f)
{
    struct divf_lists *lists = &f->d->lists;
    lists->rows += f->n * f->s;
    lists->live += f->n * f->s;
    for (size_t l = 0; l < lists->n; l++)
        note_length(f->d, l);
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
    struct divf_lists *lists = &f->d->lists;
    const bool codes = lists->quantizer;
    const size_t floats = codes ? lists->quantizer->work_dim : 0;
    divf_latch(&lists->list[list]->latch);
    for (uint32_t i = f->start[list]; i < f->start[list + 1]; i++) {
        size_t copy = f->order[i], row = copy / f->s;
        if (codes && i + CODES_AHEAD < last)
            fetch_ahead(f->transformed + f->order[i + CODES_AHEAD] / f->s * floats, floats);
        f->places[copy] =
            divf_copy_put(lists, list, f->slots[row], codes ? f->transformed + row * floats : NULL);
    }
    divf_unlatch(&lists->list[list]->latch);
}

static int put_copies(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    (void)worker;
    for (size_t l = first; l < end; l++) {
        if (l + LISTS_AHEAD < end)
            __builtin_prefetch(f->d->lists.list[l + LISTS_AHEAD], 1);
        if (f->start[l + 1] > f->start[l])
            put_list(f, l, f->start[end]);
    }
    return OK;
}

/* Widens rows of bytes, finds their lists and transforms them. */
static int assign_tiles(struct filing *f)
{
    struct divf *d = f->d;
    const struct quantizer *q = d->lists.quantizer;
    for (size_t first = 0; first < f->n; first += NEAREST_ROWS) {
        size_t n = f->n - first < NEAREST_ROWS ? f->n - first : NEAREST_ROWS;
        const float *vectors =
            divf_floats(&d->lists.space, f->rows + first * d->vectors.element_bytes, n, f->floats);
        int rc = assign(d, f->scratch, vectors, n, f->s, f->lists + first * f->s);
        if (rc)
            return rc;
        if (q)
            quantizer_transform(q, vectors, n, f->transformed + first * q->work_dim);
    }
    return OK;
}

/* The same, one step after the other. */
static int assign_block(struct filing *f)
{
    struct divf *d = f->d;
    struct pool *pool = d->env.pool;
    f->vectors = (const void *)f->rows;
    if (d->space.kind != DIVF_FLOATS) {
        (void)parallel_for(pool, f->threads, f->n, NEAREST_ROWS, widen_rows, f);
        f->vectors = f->floats;
    }
    int rc = assign(d, f->scratch, f->vectors, f->n, f->s, f->lists);
    if (!rc && d->lists.quantizer)
        (void)parallel_for(pool, f->threads, f->n, NEAREST_ROWS, transform_rows, f);
    return rc;
}

/* Reserves all space first: after that nothing can fail, so the block is stored completely or not
   at all. */
static int file_block(struct filing *f)
{
    struct divf *d = f->d;
    struct pool *pool = d->env.pool;
    int rc = (f->tiled ? assign_tiles : assign_block)(f);
    if (rc)
        return rc;
    sort_by_list(f);
    rc = reserve_lists(f);
    if (rc)
        return rc;
    take_slots(f);
    (void)parallel_for(pool, f->threads, f->n, NEAREST_ROWS, store_rows, f);
    (void)parallel_for(pool, f->threads, d->lists.n, 16, put_copies, f);
    record_places(f);
    return OK;
}

/* --------------------------------------------------------------------------------- batches */

static size_t block_rows(const struct divf *d, size_t n)
{
    size_t most = BLOCK_ROWS;
    if (d->lists.quantizer)
        most = BLOCK_BYTES / (d->lists.quantizer->work_dim * sizeof(float));
    if (d->space.kind != DIVF_FLOATS && most > BLOCK_BYTES / (d->env.dim * sizeof(float)))
        most = BLOCK_BYTES / (d->env.dim * sizeof(float));
    most = most < NEAREST_ROWS ? NEAREST_ROWS : most > BLOCK_ROWS ? BLOCK_ROWS : most;
    return n < most ? n : most;
}

static bool filing_open(struct filing *f, size_t n)
{
    struct divf *d = f->d;
    struct mem *mem = d->env.mem;
    size_t lists = d->lists.n, work_dim = d->lists.quantizer ? d->lists.quantizer->work_dim : 0;
    f->s = (size_t)d->params.soft_k < lists ? (size_t)d->params.soft_k : lists;
    f->capacity = block_rows(d, n);
    f->tiled = f->threads == 1 && !cuda_is_open(&d->device.cuda);
    f->floats =
        mem_array(mem, divf_floats_needed(&d->lists.space, f->tiled ? NEAREST_ROWS : f->capacity),
                  sizeof *f->floats);
    f->lists = mem_array(mem, f->capacity * f->s, sizeof *f->lists);
    f->places = mem_array(mem, f->capacity * f->s, sizeof *f->places);
    f->order = mem_array(mem, f->capacity * f->s, sizeof *f->order);
    f->slots = mem_array(mem, f->capacity, sizeof *f->slots);
    f->start = mem_array(mem, lists + 2, sizeof *f->start);
    f->transformed = mem_array(mem, f->capacity * work_dim, sizeof *f->transformed);
    f->scratch = divf_scratch_take(d);
    return f->lists && f->places && f->order && f->slots && f->start && f->transformed &&
           f->floats && f->scratch;
}

static void filing_close(struct filing *f)
{
    struct mem *mem = f->d->env.mem;
    if (f->scratch)
        divf_scratch_give(f->d, f->scratch);
    mem_free(mem, f->lists);
    mem_free(mem, f->places);
    mem_free(mem, f->order);
    mem_free(mem, f->slots);
    mem_free(mem, f->start);
    mem_free(mem, f->transformed);
    mem_free(mem, f->floats);
}

static int file_all(struct divf *d, const void *rows, const uint64_t *ids, size_t n, size_t *done)
{
    struct filing f = { .d = d, .threads = n > NEAREST_ROWS ? pool_threads(d->env.pool) : 1 };
    int rc = filing_open(&f, n) ? OK : out_of_memory(d);
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

int divf_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct divf *d = divf_of(index);
    *done = 0;
    if (v.n == 0)
        return OK;
    divf_compact_probed(d);
    int rc = divf_train_if_due(d, v);
    if (!rc)
        rc = divf_slots_reserve(d, ids, v.n);
    if (!rc)
        rc = (v.n <= FEW_ROWS ? file_few : file_all)(d, v.rows, ids, v.n, done);
    d->counters.inserted += *done;
    if (rc)
        return rc;
    d->counters.insert_batches++;
    return divf_maintenance_inserted(d, v.n);
}
