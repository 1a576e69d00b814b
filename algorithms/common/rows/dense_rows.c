/* dense_rows.c - contiguous rows, and the table that finds them by id. */
#include "algorithms/common/rows/dense_rows.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "algorithms/common/durable/store_file.h"
#include "src/core/device/copy.h"
#include "src/core/mem.h"

#define PREFETCH_AHEAD 8
#define SHRINK_FROM    1024 /* rows; smaller arrays are not shrunk */

void dense_rows_init(struct dense_rows *s, struct mem *mem, size_t row_bytes)
{
    *s = (struct dense_rows){ .mem = mem, .row_bytes = row_bytes };
    slot_table_init(&s->slot_of, mem);
}

void dense_rows_free(struct dense_rows *s)
{
    mem_free(s->mem, s->rows);
    mem_free(s->mem, s->ids);
    slot_table_free(&s->slot_of);
    struct cuda_copy *copy = s->copy;
    dense_rows_init(s, s->mem, s->row_bytes);
    s->copy = copy;
}

bool dense_rows_find(const struct dense_rows *s, uint64_t id, uint32_t *row)
{
    return slot_table_get(&s->slot_of, s->ids, id, row);
}

/* ------------------------------------------------------------------------------- insertion */

static bool reserve(struct dense_rows *s, size_t n)
{
    return mem_grow(s->mem, &s->rows, &s->rows_capacity, n, s->row_bytes) &&
           mem_grow(s->mem, &s->ids, &s->ids_capacity, n, sizeof *s->ids);
}

bool dense_rows_reserve(struct dense_rows *s, const uint64_t *ids, size_t n, size_t expected_n)
{
    if (n >= UINT32_MAX - s->n)
        return false;
    /* The hint avoids the spare half of doubling. If it exceeds the memory, growing by need may
       still succeed. */
    const size_t need = s->n + n;
    return ((need <= expected_n && s->rows_capacity < need && reserve(s, expected_n)) ||
            reserve(s, need)) &&
           slot_table_reserve(&s->slot_of, s->ids, ids, n);
}

static void copy_row(const struct dense_rows *s, size_t to, const void *from)
{
    if (s->row_bytes == sizeof *s->codes)
        memcpy(s->codes + to, from, sizeof *s->codes);
    else
        memcpy(s->rows + to * s->row_bytes, from, s->row_bytes);
}

static void put_id(struct dense_rows *s, uint64_t id)
{
    s->ids[s->n] = id;
    slot_table_put(&s->slot_of, id, (uint32_t)s->n++);
    s->most = s->n > s->most ? s->n : s->most;
}

uint32_t dense_rows_add(struct dense_rows *s, const void *row, uint64_t id)
{
    assert(s->n < s->rows_capacity && s->n < s->ids_capacity);
    copy_row(s, s->n, row);
    put_id(s, id);
    return (uint32_t)s->n - 1;
}

void dense_rows_append(struct dense_rows *s, const void *rows, const uint64_t *ids, size_t n)
{
    assert(s->n + n <= s->rows_capacity && s->n + n <= s->ids_capacity);
    if (rows && n > 0)
        memcpy(s->rows + s->n * s->row_bytes, rows, n * s->row_bytes);
    for (size_t i = 0; i < n; i++)
        put_id(s, ids[i]);
}

int dense_rows_insert(struct dense_rows *s, const struct index *index, struct vectors v,
                      const uint64_t *ids, size_t *done)
{
    *done = 0;
    if (!dense_rows_reserve(s, ids, v.n, index->env.expected_n))
        return fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory for %zu more rows",
                    index->ops->name, v.n);
    dense_rows_append(s, v.rows, ids, v.n);
    *done = v.n;
    return OK;
}

/* --------------------------------------------------------------------------------- removal */

/* Shrinks an array of `capacity` to n; if that fails it stays as it is. */
static void cut(struct mem *mem, void *array_ptr, size_t *capacity, size_t n, size_t each)
{
    if (n < *capacity && mem_fit(mem, array_ptr, n, each))
        *capacity = n;
}

static void shrink(struct dense_rows *s)
{
    if (s->n == 0) {
        dense_rows_free(s);
        return;
    }
    cut(s->mem, &s->rows, &s->rows_capacity, s->n + s->n / 4, s->row_bytes);
    cut(s->mem, &s->ids, &s->ids_capacity, s->n + s->n / 4, sizeof *s->ids);
    (void)slot_table_pack(&s->slot_of, s->ids);
    s->most = s->n;
}

/* Closes the gap of a row whose id the table has no more. */
static void fill_gap(struct dense_rows *s, uint32_t row)
{
    const size_t last = --s->n;

    if (row != last) {
        copy_row(s, row, dense_rows_at(s, last));
        s->ids[row] = s->ids[last];
        slot_table_move(&s->slot_of, s->ids[row], (uint32_t)last, row);
    }
    if (s->copy)
        cuda_copy_note(s->copy, row, s->n);
    if (s->n == 0 || (s->most >= SHRINK_FROM && s->n < s->most / 4))
        shrink(s);
}

void dense_rows_remove(struct dense_rows *s, uint32_t row)
{
    uint32_t was;
    const bool there = slot_table_remove(&s->slot_of, s->ids, s->ids[row], &was);

    assert(there && was == row);
    (void)there;
    fill_gap(s, row);
}

int dense_rows_remove_ids(struct dense_rows *s, const struct index *index, const uint64_t *ids,
                          size_t n, size_t *done)
{
    for (*done = 0; *done < n; ++*done) {
        uint32_t row;
        if (*done + PREFETCH_AHEAD < n)
            slot_table_prefetch(&s->slot_of, ids[*done + PREFETCH_AHEAD]);
        if (!slot_table_remove(&s->slot_of, s->ids, ids[*done], &row))
            return fail(index->env.error, ERR_UNKNOWN_ID, "%s: id %" PRIu64 " is not stored",
                        index->ops->name, ids[*done]);
        fill_gap(s, row);
    }
    return OK;
}

/* --------------------------------------------------------------------------------- reports */

size_t dense_rows_bytes(const struct dense_rows *s)
{
    return s->rows_capacity * s->row_bytes;
}

size_t dense_rows_ids_bytes(const struct dense_rows *s)
{
    return s->ids_capacity * sizeof *s->ids + slot_table_bytes(&s->slot_of);
}

int dense_rows_check(const struct dense_rows *s, const char *method, struct error *error)
{
    if (s->n > s->rows_capacity || s->n > s->ids_capacity)
        return fail(error, ERR_INVARIANT, "%s: %zu rows, with capacity for %zu rows and %zu ids",
                    method, s->n, s->rows_capacity, s->ids_capacity);
    if (s->slot_of.n != s->n)
        return fail(error, ERR_INVARIANT, "%s: %zu rows, but the table has %zu ids", method, s->n,
                    s->slot_of.n);
    for (size_t i = 0; i < s->n; i++) {
        uint32_t row = UINT32_MAX;
        if (!dense_rows_find(s, s->ids[i], &row) || row != i)
            return fail(error, ERR_INVARIANT,
                        "%s: row %zu holds id %" PRIu64 ", which the table has at %" PRIu32, method,
                        i, s->ids[i], row);
    }
    return OK;
}

/* -------------------------------------------------------------------------------- the file */

struct values {
    size_t n;
    const uint64_t *ids;
    const unsigned char *rows;
};

static int fields(struct store_fields *f, const struct dense_rows *s, const char *tag,
                  struct values *v)
{
    store_field_whole(f, "ids", &v->ids, &v->n, sizeof *v->ids);
    return store_field(f, tag, &v->rows, v->n, s->row_bytes);
}

void dense_rows_save(const struct dense_rows *s, struct store_writer *w, const char *tag)
{
    (void)fields(&(struct store_fields){ .w = w }, s, tag,
                 &(struct values){ s->n, s->ids, s->rows });
}

int dense_rows_load(struct dense_rows *s, const struct store_reader *r, const char *tag)
{
    struct values v = { 0 };
    const int rc = fields(&(struct store_fields){ .r = r }, s, tag, &v);

    return rc == OK ? dense_rows_take(s, r, v.rows, v.ids, v.n) : rc;
}

int dense_rows_take(struct dense_rows *s, const struct store_reader *r, const void *rows,
                    const uint64_t *ids, size_t n)
{
    if (n == 0)
        return OK;
    if (!dense_rows_reserve(s, ids, n, 0))
        return fail(r->error, ERR_NO_MEMORY, "load: out of memory for %zu rows", n);
    memcpy(s->ids, ids, n * sizeof *ids);
    memcpy(s->rows, rows, n * s->row_bytes);
    s->n = s->most = n;
    return store_take_ids(r, s->ids, n, n, &s->slot_of);
}
