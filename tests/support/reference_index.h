/* reference_index.h - a small exact method for tests of the harness, whose table a test copies and
   takes operations from. */
#ifndef DRIFTLINE_TESTS_SUPPORT_REFERENCE_INDEX_H
#define DRIFTLINE_TESTS_SUPPORT_REFERENCE_INDEX_H

#include <stdatomic.h>

#include "src/core/topk.h"
#include "src/truth/exact.h"
#include "tests/support/testing.h"

struct reference_index {
    struct index base;
    float *rows;
    uint64_t *ids;
    size_t n, capacity;
    atomic_size_t searches; /* they may run side by side */
};

struct reference_knobs {
    int64_t part; /* compares every part-th row: recall falls as it grows */
};

static const struct param reference_knob_table[] = {
    PARAM_INT(struct reference_knobs, part, 1, 1, 100, "compares every part-th row only"), PARAM_END
};

static inline int reference_create(struct index **out, const struct index_env *env,
                                   const void *params)
{
    struct reference_index *p = mem_zalloc(env->mem, sizeof *p);

    if (!p)
        return fail(env->error, ERR_NO_MEMORY, "plain: no memory");
    p->base.env = *env;
    *out = &p->base;
    return OK;
}

static inline void reference_destroy(struct index *index)
{
    struct reference_index *p = (struct reference_index *)index;

    mem_free(p->base.env.mem, p->rows);
    mem_free(p->base.env.mem, p->ids);
    mem_free(p->base.env.mem, p);
}

static inline int reference_train(struct index *index, struct vectors sample)
{
    return OK;
}

static inline int reference_insert(struct index *index, struct vectors v, const uint64_t *ids,
                                   size_t *done)
{
    struct reference_index *p = (struct reference_index *)index;
    struct mem *mem = p->base.env.mem;
    size_t old = p->capacity;

    for (size_t i = 0; p->base.env.metric == INDEX_COS && i < v.n; i++) {
        const float *row = (const float *)v.rows + i * v.dim;
        const double length = -exact_distance(INDEX_IP, INDEX_F32, row, row, v.dim);

        if (fabs(length - 1) > 1e-5)
            return fail(p->base.env.error, ERR_ARGUMENT, "plain: row %zu is not of unit length", i);
    }

    if (!mem_grow(mem, &p->ids, &old, p->n + v.n, sizeof *p->ids) ||
        !mem_grow(mem, &p->rows, &p->capacity, p->n + v.n, v.dim * sizeof *p->rows))
        return fail(p->base.env.error, ERR_NO_MEMORY, "plain: out of memory for %zu rows",
                    p->n + v.n);
    memcpy(p->rows + p->n * v.dim, v.rows, v.n * v.dim * sizeof *p->rows);
    memcpy(p->ids + p->n, ids, v.n * sizeof *ids);
    p->n += v.n;
    *done = v.n;
    return OK;
}

static inline int reference_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct reference_index *p = (struct reference_index *)index;
    const size_t dim = p->base.env.dim;

    for (*done = 0; *done < n; ++*done)
        for (size_t i = 0; i < p->n; i++)
            if (p->ids[i] == ids[*done]) {
                p->n--;
                p->ids[i] = p->ids[p->n];
                memmove(p->rows + i * dim, p->rows + p->n * dim, dim * sizeof *p->rows);
                break;
            }
    return OK;
}

static inline bool lets_through(const struct id_filter *f, uint64_t id)
{
    return !f || (id < f->n_ids && (f->bits[id / 64] >> id % 64 & 1));
}

static inline int reference_search(struct index *index, const struct search_request *q,
                                   struct search_result *out)
{
    struct reference_index *p = (struct reference_index *)index;
    const size_t part = (size_t)((const struct reference_knobs *)q->knobs)->part;

    for (size_t i = 0; i < q->queries.n; i++) {
        struct topk top = topk_begin(q->k, out->distances + i * q->k, out->ids + i * q->k);

        for (size_t j = 0; j < p->n; j += part)
            if (lets_through(q->filter, p->ids[j]))
                topk_push(&top,
                          (float)exact_distance(p->base.env.metric, INDEX_F32,
                                                (const float *)q->queries.rows + i * q->queries.dim,
                                                p->rows + j * q->queries.dim, q->queries.dim),
                          p->ids[j]);
        topk_sort(&top);
        out->work.distances += (double)(p->n / part);
    }
    out->work.estimates = NAN;
    atomic_fetch_add(&p->searches, q->queries.n);
    return OK;
}

static inline int reference_range(struct index *index, const struct range_request *q,
                                  struct range_result *out)
{
    struct reference_index *p = (struct reference_index *)index;

    for (size_t i = 0; i < q->queries.n; i++)
        for (size_t j = 0; j < p->n; j++) {
            const float d = (float)exact_distance(
                p->base.env.metric, INDEX_F32, (const float *)q->queries.rows + i * q->queries.dim,
                p->rows + j * q->queries.dim, q->queries.dim);
            if ((double)d <= q->radius && lets_through(q->filter, p->ids[j]))
                out->found(out->to, i, p->ids[j], d);
        }
    return OK;
}

static inline int reference_memory(const struct index *index, struct memory_use *use)
{
    const struct reference_index *p = (const struct reference_index *)index;

    use->vectors = p->n * p->base.env.dim * sizeof *p->rows;
    use->ids = p->n * sizeof *p->ids;
    return OK;
}

static inline int reference_stats(const struct index *index, struct stat_sink *sink)
{
    const struct reference_index *p = (const struct reference_index *)index;

    sink->value(sink->to, "searches", (double)atomic_load(&p->searches));
    for (size_t i = 0; i < 3; i++)
        sink->cell(sink->to, "clusters", i, "live", (double)(p->n + i));
    return OK;
}

static inline int reference_save(struct index *index, const char *dir)
{
    struct reference_index *p = (struct reference_index *)index;
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/plain", dir);
    FILE *f = fopen(path, "wb");
    if (!f)
        return fail_errno(p->base.env.error, ERR_IO, "%s", path);
    fwrite(&p->n, sizeof p->n, 1, f);
    fwrite(p->ids, sizeof *p->ids, p->n, f);
    fwrite(p->rows, sizeof *p->rows * p->base.env.dim, p->n, f);
    return fclose(f) == 0 ? OK : fail_errno(p->base.env.error, ERR_IO, "%s", path);
}

static inline int reference_load(struct index **out, const struct index_env *env, const char *dir)
{
    char path[PATH_MAX];
    size_t n = 0, done;
    int rc;

    snprintf(path, sizeof path, "%s/plain", dir);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(&n, sizeof n, 1, f), 1);
    uint64_t *ids = malloc(n * sizeof *ids);
    float *rows = malloc(n * env->dim * sizeof *rows);
    assert_int_equal(fread(ids, sizeof *ids, n, f), n);
    assert_int_equal(fread(rows, sizeof *rows * env->dim, n, f), n);
    fclose(f);
    rc = reference_create(out, env, NULL);
    if (rc == OK)
        rc = reference_insert(*out, (struct vectors){ rows, n, env->dim, INDEX_F32 }, ids, &done);
    free(ids);
    free(rows);
    return rc;
}

static const struct index_space reference_spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                                       { INDEX_F32, INDEX_COS },
                                                       INDEX_SPACES_END };

static const struct index_ops reference_ops = {
    .abi = INDEX_ABI,
    .name = "plain",
    .summary = "exact scan",
    .source = "this test",
    .flags = INDEX_EXACT | INDEX_CONCURRENT_SEARCH,
    .spaces = reference_spaces,
    .knobs = reference_knob_table,
    .knobs_bytes = sizeof(struct reference_knobs),
    .create = reference_create,
    .destroy = reference_destroy,
    .train = reference_train,
    .insert = reference_insert,
    .remove = reference_remove,
    .search = reference_search,
    .range = reference_range,
    .save = reference_save,
    .load = reference_load,
    .stats = reference_stats,
    .memory = reference_memory,
};

#endif
