/* checked_calls.h - one call for what the replay does in three steps around the clock: admits an operation,
   does it, and notes what it did (src/core/checked.h). */
#ifndef DRIFTLINE_TESTS_SUPPORT_CHECKED_CALLS_H
#define DRIFTLINE_TESTS_SUPPORT_CHECKED_CALLS_H

#include <string.h>

#include "src/core/checked.h"
#include "src/core/mem.h"

static inline int index_lacks(struct checked *c, const char *what)
{
    return fail(c->error, ERR_UNSUPPORTED, "method \"%s\" has no %s", c->ops->name, what);
}

static inline int index_train(struct checked *c, struct vectors sample)
{
    if (!c->ops->train)
        return index_lacks(c, "training");
    const int rc = index_admit_vectors(c, sample, "train");
    return rc == OK ? c->ops->train(c->index, sample) : rc;
}

/* With attributes = NULL it is index_insert(). */
static inline int index_insert_with(struct checked *c, struct vectors v, const uint64_t *ids,
                                    const int64_t *attributes, size_t *done)
{
    size_t did = 0;
    if (!attributes)
        return index_insert(c, v, ids, done);
    int rc = index_admit_attributes(c);
    if (rc == OK)
        rc = index_admit_insert(c, v, ids);
    if (rc == OK && v.n > 0) {
        rc = c->ops->attributes->insert(c->index, v, ids, attributes, &did);
        rc = index_admit_done(c, rc, did, v.n, "insert");
        if (did <= v.n)
            (void)index_note_inserted(c, ids, did);
    }
    if (done)
        *done = did;
    return rc;
}

static inline int index_search(struct checked *c, const struct search_request *request,
                               struct search_result *result)
{
    const int rc = index_admit_search(c, request);
    result->work = (struct work){ 0 };
    return rc == OK ? c->ops->search(c->index, request, result) : rc;
}

static inline int index_range(struct checked *c, const struct range_request *request,
                              struct range_result *result)
{
    if (!c->ops->range)
        return index_lacks(c, "range search");
    if (index_radius_fault(c->index->env.metric, c->index->env.dim, (double)request->radius))
        return fail(c->error, ERR_ARGUMENT, "range: radius %g", (double)request->radius);
    const int rc = index_admit_vectors(c, request->queries, "range");
    result->work = (struct work){ 0 };
    return rc == OK ? c->ops->range(c->index, request, result) : rc;
}

static inline int index_begin(struct checked *c)
{
    int rc = index_admit_transaction(c, false, "begin");
    if (rc == OK)
        rc = c->ops->txn->begin(c->index);
    if (rc == OK)
        index_note_begun(c);
    return rc;
}

/* version may be NULL. */
static inline int index_commit(struct checked *c, uint64_t *version)
{
    uint64_t ignored;
    int rc = index_admit_transaction(c, true, "commit");
    if (rc == OK)
        rc = c->ops->txn->commit(c->index, version ? version : &ignored);
    if (rc == OK)
        index_note_committed(c);
    return rc;
}

static inline int index_rollback(struct checked *c)
{
    int rc = index_admit_transaction(c, true, "rollback");
    if (rc == OK)
        rc = c->ops->txn->rollback(c->index);
    if (rc == OK)
        index_note_rolled_back(c);
    return rc;
}

/* version may be NULL. */
static inline int index_snapshot(struct checked *c, uint64_t *version)
{
    uint64_t pinned = 0;
    int rc = index_admit_snapshot(c);
    if (rc == OK)
        rc = c->ops->txn->snapshot(c->index, &pinned);
    if (rc == OK)
        rc = index_note_pinned(c, pinned);
    if (version)
        *version = pinned;
    return rc;
}

static inline int index_release(struct checked *c, uint64_t version)
{
    int rc = index_admit_release(c, version);
    if (rc == OK)
        rc = c->ops->txn->release(c->index, version);
    if (rc == OK)
        index_note_released(c, version);
    return rc;
}

static inline int index_search_as_of(struct checked *c, uint64_t version,
                                     const struct search_request *request,
                                     struct search_result *result)
{
    const int rc = index_admit_as_of(c, request);
    result->work = (struct work){ 0 };
    return rc == OK ? c->ops->txn->search_as_of(c->index, version, request, result) : rc;
}

static inline int index_search_where(struct checked *c, const struct search_request *request,
                                     const struct attribute_filter *filter,
                                     struct search_result *result)
{
    const int rc = index_admit_where(c, request, filter);
    result->work = (struct work){ 0 };
    return rc == OK ? c->ops->attributes->search(c->index, request, filter, result) : rc;
}

/* `params` has the present values, and gets the new ones if the method took them. */
static inline int index_set(struct checked *c, void *params, const struct param_setting *settings,
                            size_t n)
{
    const size_t bytes = c->ops->params_bytes;
    void *next = mem_alloc(NULL, bytes);
    if (!next)
        return fail(c->error, ERR_NO_MEMORY, "set: out of memory");
    memcpy(next, params, bytes);
    int rc = index_admit_set(c, next, settings, n);
    if (rc == OK)
        rc = c->ops->set_params(c->index, next);
    if (rc == OK)
        memcpy(params, next, bytes);
    mem_free(NULL, next);
    return rc;
}

#endif
