/* reference_versions.h - a small exact method with transactions, versions and attributes, on one
   array of rows that are born and die at versions. What tests of the harness hold real ones' groups
   of operations to. */
#ifndef DRIFTLINE_TESTS_SUPPORT_REFERENCE_VERSIONS_H
#define DRIFTLINE_TESTS_SUPPORT_REFERENCE_VERSIONS_H

#include "src/core/topk.h"
#include "src/truth/exact.h"
#include "tests/support/testing.h"

/* born, dead: of the open transaction; dead 0: alive. */
#define VERSIONED_PENDING (UINT64_MAX - 1)

struct versioned_row {
    uint64_t id, born, dead;
    int64_t attributes[INDEX_ATTRIBUTES_MAX];
    bool pending_death;
};

struct versioned {
    struct index base;
    struct versioned_row *at;
    float *rows;
    size_t n, capacity, rows_capacity;
    uint64_t version;
    bool in_transaction;
    size_t asked_where, pins;
};

static inline struct versioned *versioned_of(struct index *index)
{
    return (struct versioned *)index;
}

static inline int versioned_create(struct index **out, const struct index_env *env,
                                   const void *params)
{
    struct versioned *p = mem_zalloc(env->mem, sizeof *p);

    if (!p)
        return fail(env->error, ERR_NO_MEMORY, "versioned: no memory");
    p->base.env = *env;
    *out = &p->base;
    return OK;
}

static inline void versioned_destroy(struct index *index)
{
    struct versioned *p = versioned_of(index);

    mem_free(p->base.env.mem, p->rows);
    mem_free(p->base.env.mem, p->at);
    mem_free(p->base.env.mem, p);
}

static inline int versioned_put(struct index *index, struct vectors v, const uint64_t *ids,
                                const int64_t *attributes, size_t *done)
{
    struct versioned *p = versioned_of(index);
    struct mem *mem = p->base.env.mem;

    *done = 0;
    if (!mem_grow(mem, &p->at, &p->capacity, p->n + v.n, sizeof *p->at) ||
        !mem_grow(mem, &p->rows, &p->rows_capacity, p->n + v.n, v.dim * sizeof *p->rows))
        return fail(p->base.env.error, ERR_NO_MEMORY, "versioned: no memory");
    if (!p->in_transaction)
        p->version++;
    memcpy(p->rows + p->n * v.dim, v.rows, v.n * v.dim * sizeof *p->rows);
    const size_t n_fields = p->base.env.n_attributes;
    for (size_t i = 0; i < v.n; i++) {
        struct versioned_row *row = &p->at[p->n + i];

        *row = (struct versioned_row){ .id = ids[i],
                                       .born = p->in_transaction ? VERSIONED_PENDING : p->version };
        for (size_t f = 0; f < n_fields; f++)
            row->attributes[f] = attributes ? attributes[i * n_fields + f] : INDEX_ATTRIBUTE_NONE;
    }
    p->n += v.n;
    *done = v.n;
    return OK;
}

static inline int versioned_insert(struct index *index, struct vectors v, const uint64_t *ids,
                                   size_t *done)
{
    return versioned_put(index, v, ids, NULL, done);
}

static inline int versioned_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct versioned *p = versioned_of(index);

    if (!p->in_transaction)
        p->version++;
    for (*done = 0; *done < n; ++*done)
        for (size_t i = 0; i < p->n; i++) {
            struct versioned_row *row = &p->at[i];

            if (row->id != ids[*done] || row->dead || row->pending_death)
                continue;
            if (!p->in_transaction)
                row->dead = p->version;
            row->pending_death = p->in_transaction;
            break;
        }
    return OK;
}

static inline bool versioned_sees(const struct versioned_row *row, uint64_t version)
{
    return row->born <= version && (row->dead == 0 || row->dead > version);
}

static inline int versioned_scan(struct index *index, uint64_t version,
                                 const struct search_request *q,
                                 const struct attribute_filter *where, struct search_result *out)
{
    struct versioned *p = versioned_of(index);

    for (size_t i = 0; i < q->queries.n; i++) {
        struct topk top = topk_begin(q->k, out->distances + i * q->k, out->ids + i * q->k);

        for (size_t j = 0; j < p->n; j++) {
            const struct versioned_row *row = &p->at[j];

            if (versioned_sees(row, version) && index_filter_allows(q->filter, row->id) &&
                index_attribute_filter_allows(where, row->attributes, 1))
                topk_push(&top,
                          (float)exact_distance(p->base.env.metric, INDEX_F32,
                                                (const float *)q->queries.rows + i * q->queries.dim,
                                                p->rows + j * q->queries.dim, q->queries.dim),
                          row->id);
        }
        topk_sort(&top);
        out->work.distances += (double)p->n;
    }
    return OK;
}

static inline int versioned_search(struct index *index, const struct search_request *q,
                                   struct search_result *out)
{
    return versioned_scan(index, versioned_of(index)->version, q, NULL, out);
}

static inline int versioned_search_where(struct index *index, const struct search_request *q,
                                         const struct attribute_filter *where,
                                         struct search_result *out)
{
    versioned_of(index)->asked_where++;
    return versioned_scan(index, versioned_of(index)->version, q, where, out);
}

static inline int versioned_search_as_of(struct index *index, uint64_t version,
                                         const struct search_request *q, struct search_result *out)
{
    return versioned_scan(index, version, q, NULL, out);
}

static inline int versioned_begin(struct index *index)
{
    versioned_of(index)->in_transaction = true;
    return OK;
}

static inline int versioned_commit(struct index *index, uint64_t *version)
{
    struct versioned *p = versioned_of(index);

    *version = ++p->version;
    for (size_t i = 0; i < p->n; i++) {
        struct versioned_row *row = &p->at[i];

        row->born = row->born == VERSIONED_PENDING ? p->version : row->born;
        row->dead = row->pending_death ? p->version : row->dead;
        row->pending_death = false;
    }
    p->in_transaction = false;
    return OK;
}

static inline int versioned_rollback(struct index *index)
{
    struct versioned *p = versioned_of(index);

    while (p->n > 0 && p->at[p->n - 1].born == VERSIONED_PENDING)
        p->n--;
    for (size_t i = 0; i < p->n; i++)
        p->at[i].pending_death = false;
    p->in_transaction = false;
    return OK;
}

static inline int versioned_snapshot(struct index *index, uint64_t *version)
{
    versioned_of(index)->pins++;
    *version = versioned_of(index)->version;
    return OK;
}

static inline int versioned_release(struct index *index, uint64_t version)
{
    versioned_of(index)->pins--;
    return OK;
}

static inline int versioned_stats(const struct index *index, struct stat_sink *sink)
{
    const struct versioned *p = versioned_of((struct index *)(uintptr_t)index);

    sink->value(sink->to, "asked_where", (double)p->asked_where);
    sink->value(sink->to, "pins", (double)p->pins);
    sink->value(sink->to, "at_version", (double)p->version);
    return OK;
}

static const struct index_txn_ops versioned_txn = {
    .begin = versioned_begin,
    .commit = versioned_commit,
    .rollback = versioned_rollback,
    .snapshot = versioned_snapshot,
    .release = versioned_release,
    .search_as_of = versioned_search_as_of,
};
static const struct index_attribute_ops versioned_attributes = { versioned_put,
                                                                 versioned_search_where };
static const struct index_space versioned_spaces[] = { { INDEX_F32, INDEX_L2SQ },
                                                       INDEX_SPACES_END };

static const struct index_ops versioned_ops = {
    .abi = INDEX_ABI,
    .name = "versioned",
    .summary = "exact scan of rows with versions",
    .source = "this test",
    .flags = INDEX_EXACT,
    .spaces = versioned_spaces,
    .create = versioned_create,
    .destroy = versioned_destroy,
    .insert = versioned_insert,
    .remove = versioned_remove,
    .search = versioned_search,
    .stats = versioned_stats,
    .txn = &versioned_txn,
    .attributes = &versioned_attributes,
};

#endif
