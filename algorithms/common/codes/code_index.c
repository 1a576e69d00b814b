/* code_index.c - batches of rows; the file's sections "ids" and "codes". */
#include "algorithms/common/codes/code_index.h"

#include <inttypes.h>
#include <string.h>

#include "src/core/error.h"
#include "src/core/mem.h"

#define PREFETCH_AHEAD 8
#define SHRINK_FROM    1024 /* places; fewer are kept */

const struct index_space code_index_spaces[] = { { INDEX_B64, INDEX_HAMMING }, INDEX_SPACES_END };

static const struct code_method *method_of(const struct index *index)
{
    const struct logged_method *m = ((const struct logged_index *)index)->method;

    return (const struct code_method *)(const void *)m;
}

void *code_index_create(const struct index_ops *ops, const struct index_env *env, size_t bytes)
{
    struct code_index *c = mem_zalloc(env->mem, bytes);

    if (!c) {
        (void)fail(env->error, ERR_NO_MEMORY, "%s: out of memory for an index", ops->name);
        return NULL;
    }
    c->base = (struct index){ ops, *env };
    dense_rows_init(&c->rows, env->mem, env->dim / 8);
    return c;
}

void code_index_free(struct code_index *c)
{
    dense_rows_free(&c->rows);
    mem_free(c->base.env.mem, c->place);
}

/* Grows as dense_rows_reserve(): to the hint if there is one, else as needed. */
int code_index_reserve_places(struct index *index, size_t n)
{
    struct code_index *c = (struct code_index *)index;
    const size_t expected = index->env.expected_n;
    struct mem *mem = index->env.mem;

    if ((n <= expected && c->place_capacity < n &&
         mem_grow(mem, &c->place, &c->place_capacity, expected, sizeof *c->place)) ||
        mem_grow(mem, &c->place, &c->place_capacity, n, sizeof *c->place))
        return OK;
    return fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory for %zu codes",
                index->ops->name, n);
}

int code_index_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct code_index *c = (struct code_index *)index;
    const struct code_method *m = method_of(index);
    const bool aligned = (uintptr_t)v.rows % _Alignof(uint64_t) == 0;
    const size_t bytes = v.dim / 8;
    const void *row = v.rows;
    uint64_t copy[INDEX_CODE_WORDS_MAX];
    int rc = OK;

    *done = 0;
    if (!dense_rows_reserve(&c->rows, ids, v.n, index->env.expected_n))
        return fail(index->env.error, ERR_NO_MEMORY, "%s: out of memory for %zu more codes",
                    index->ops->name, v.n);
    if (m->places)
        rc = code_index_reserve_places(index, c->rows.n + v.n);
    while (rc == OK && *done < v.n) {
        const uint64_t *code = row;

        if (!aligned)
            code = memcpy(copy, row, bytes);
        if (m->put)
            rc = m->put(index, (uint32_t)c->rows.n, code);
        if (rc == OK)
            (void)dense_rows_add(&c->rows, code, ids[(*done)++]);
        row = (const char *)row + bytes;
    }
    return rc;
}

/* If a resize fails the array stays as it is. */
static void shrink_places(struct code_index *c)
{
    struct mem *mem = c->base.env.mem;
    const size_t n = c->rows.n, capacity = n + n / 4;

    if (n == 0) {
        mem_free(mem, c->place);
        c->place = NULL;
        c->place_capacity = 0;
    } else if (c->place_capacity >= SHRINK_FROM && n < c->place_capacity / 4) {
        if (mem_fit(mem, &c->place, capacity, sizeof *c->place))
            c->place_capacity = capacity;
    }
}

int code_index_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct code_index *c = (struct code_index *)index;
    const struct code_method *m = method_of(index);
    uint32_t row;
    int rc = OK;

    for (*done = 0; *done < n; ++*done) {
        if (*done + PREFETCH_AHEAD < n)
            slot_table_prefetch(&c->rows.slot_of, ids[*done + PREFETCH_AHEAD]);
        if (!dense_rows_find(&c->rows, ids[*done], &row)) {
            rc = fail(index->env.error, ERR_UNKNOWN_ID, "%s: id %" PRIu64 " is not stored",
                      index->ops->name, ids[*done]);
            break;
        }
        if (m->take)
            m->take(index, row);
        dense_rows_remove(&c->rows, row);
    }
    shrink_places(c);
    return rc;
}

int code_index_search(struct index *index, const struct search_request *request,
                      struct search_result *result)
{
    return code_search(index, request, result, method_of(index)->queries);
}

int code_index_range(struct index *index, const struct range_request *request,
                     struct range_result *result)
{
    return code_range(index, request, result, method_of(index)->queries);
}

/* -------------------------------------------------------------------------------- the file */

bool code_index_has(const struct index *index, uint64_t id)
{
    uint32_t row;

    return dense_rows_find(&((const struct code_index *)index)->rows, id, &row);
}

int code_index_write(struct index *index, struct store_writer *w)
{
    dense_rows_save(&((struct code_index *)index)->rows, w, "codes");
    return OK;
}

static int fill(struct index *index)
{
    const struct code_method *m = method_of(index);
    const struct dense_rows *rows = &((struct code_index *)index)->rows;
    int rc = OK;

    if (m->fill)
        return m->fill(index);
    if (m->places && rows->n > 0)
        rc = code_index_reserve_places(index, rows->n);
    for (size_t row = 0; m->put && row < rows->n && rc == OK; row++)
        rc = m->put(index, (uint32_t)row, dense_rows_code(rows, row));
    return rc;
}

int code_index_read(struct index *index, struct store_reader *r)
{
    const int rc = dense_rows_load(&((struct code_index *)index)->rows, r, "codes");

    return rc == OK ? fill(index) : rc;
}
