/* operations.c - insert, remove and search: rows, ids and answers by way of the shared memory, a
 * block at a time, and answers held to what an answer may be. */
#include "algorithms/external/external.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "src/core/parallel.h"

/* Blocks are small enough that the pages they touch stay few, and large enough that a call per
   block costs nothing: at 3 us per call and 10 GB/s, 1 % of copying alone. A request that cannot
   be divided may take all of the memory. */
enum { BLOCK_BYTES = 4 << 20, ALIGNMENT = 64 };

/* Reserves `bytes` of the shared memory at *end. */
static uint64_t place(uint64_t *end, uint64_t bytes)
{
    const uint64_t at = *end;
    *end += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

static void *at_offset(struct external *x, uint64_t at)
{
    return (char *)x->client.shared + at;
}

static size_t block_of(size_t bytes_each, size_t left)
{
    const size_t most = bytes_each < BLOCK_BYTES ? BLOCK_BYTES / bytes_each : 1;
    return left < most ? left : most;
}

/* ---- insert, remove */

static int insert_block(struct external *x, struct vectors v, const uint64_t *ids, size_t *done)
{
    const size_t bytes = v.n * index_row_bytes(v.element, v.dim);
    uint64_t end = EXTERNAL_DATA_AT;
    struct external_request r = { .operation = EXTERNAL_INSERT, .n = v.n };
    struct external_answer answer;
    r.threads = pool_threads(x->base.env.pool);
    r.rows_at = place(&end, bytes);
    r.ids_at = place(&end, v.n * sizeof *ids);
    memcpy(at_offset(x, r.rows_at), v.rows, bytes);
    memcpy(at_offset(x, r.ids_at), ids, v.n * sizeof *ids);
    const int rc = external_call(x, &r, &answer);
    *done = answer.done <= v.n ? (size_t)answer.done : 0;
    if (rc == OK && *done < v.n)
        return external_client_lose(x, "answered insert of %zu rows with %zu done and no error",
                                    v.n, *done);
    return rc;
}

int external_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct external *x = (struct external *)index;
    const size_t row_bytes = index_row_bytes(v.element, v.dim);
    int rc = OK;
    *done = 0;
    if (!idmap_reserve(&x->live, x->live.n + v.n))
        return fail(index->env.error, ERR_NO_MEMORY, "external: out of memory for %zu ids", v.n);
    while (rc == OK && *done < v.n) {
        size_t did = 0;
        struct vectors block = v;
        block.rows = (const char *)v.rows + *done * row_bytes;
        block.n = block_of(row_bytes + sizeof *ids, v.n - *done);
        rc = insert_block(x, block, ids + *done, &did);
        for (size_t i = 0; i < did; i++)
            (void)idmap_put(&x->live, ids[*done + i], 1); /* cannot fail: reserved */
        *done += did;
    }
    return rc;
}

int external_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct external *x = (struct external *)index;
    int rc = OK;
    *done = 0;
    if (!(x->client.capabilities & EXTERNAL_CAN_DELETE))
        return fail(index->env.error, ERR_UNSUPPORTED, "external: client \"%s\" cannot delete",
                    x->client.name);
    while (rc == OK && *done < n) {
        const size_t block = block_of(sizeof *ids, n - *done);
        const struct external_request r = { .operation = EXTERNAL_DELETE,
                                            .n = block,
                                            .ids_at = EXTERNAL_DATA_AT };
        struct external_answer answer;
        memcpy(at_offset(x, r.ids_at), ids + *done, block * sizeof *ids);
        rc = external_call(x, &r, &answer);
        const size_t did = answer.done <= block ? (size_t)answer.done : 0;
        for (size_t i = 0; i < did; i++)
            (void)idmap_remove(&x->live, ids[*done + i], NULL);
        *done += did;
        if (rc == OK && did < block)
            rc = external_client_lose(x, "answered delete of %zu rows with %zu done and no error",
                                      block, did);
    }
    return rc;
}

/* ---- search */

static int lose_answer(struct external *x, size_t i, const char *what, uint64_t id, float distance)
{
    return external_client_lose(
        x, "answered a search with id %" PRIu64 " at distance %g, rank %zu: %s", id,
        (double)distance, i + 1, what);
}

/* Holds the k answers to one query, which are a copy, to the contract. */
static int check_answers(struct external *x, size_t k, const struct id_filter *filter,
                         const uint64_t *ids, float *distances)
{
    size_t n = 0;
    for (; n < k && ids[n] != INDEX_NO_ID; n++) {
        const float d = distances[n];
        const char *fault = !isfinite(d)                    ? "the distance is not finite"
                            : n > 0 && d < distances[n - 1] ? "it is nearer than the one before"
                            : !idmap_get(&x->live, ids[n], NULL) ? "the id is not stored"
                            : !index_filter_allows(filter, ids[n])
                                ? "the filter does not allow the id"
                                : NULL;
        if (fault)
            return lose_answer(x, n, fault, ids[n], d);
    }
    for (size_t i = n; i < k; i++) {
        if (ids[i] != INDEX_NO_ID)
            return lose_answer(x, i, "there is none before it", ids[i], distances[i]);
        distances[i] = INFINITY;
    }
    return OK;
}

static double reported(uint64_t number)
{
    return number == UINT64_MAX ? (double)NAN : (double)number;
}

static int search_block(struct external *x, const struct search_request *s, size_t first, size_t n,
                        struct search_result *result)
{
    const size_t row_bytes = index_row_bytes(s->queries.element, s->queries.dim), k = s->k;
    const struct id_filter *filter = s->filter && s->filter->n_ids > 0 ? s->filter : NULL;
    uint64_t *ids = result->ids + first * k, end = EXTERNAL_DATA_AT;
    float *distances = result->distances + first * k;
    const struct external_knobs *knobs = s->knobs;
    struct external_request r = { .operation = EXTERNAL_SEARCH, .n = n, .k = k };
    struct external_answer answer;
    r.threads = s->threads;
    r.effort = (uint64_t)knobs->effort;
    r.rows_at = place(&end, n * row_bytes);
    r.ids_at = place(&end, n * k * sizeof *ids);
    r.distances_at = place(&end, n * k * sizeof *distances);
    if (filter) {
        r.filter_ids = filter->n_ids;
        r.filter_at = place(&end, (filter->n_ids + 63) / 64 * 8);
        if (end <= EXTERNAL_SHARED_BYTES)
            memcpy(at_offset(x, r.filter_at), filter->bits, (filter->n_ids + 63) / 64 * 8);
    }
    if (end > EXTERNAL_SHARED_BYTES)
        return fail(x->base.env.error, ERR_UNSUPPORTED,
                    "external: a search with k = %zu and a filter over %" PRIu64
                    " ids does not fit into %d MiB of shared memory",
                    k, r.filter_ids, EXTERNAL_SHARED_BYTES >> 20);
    memcpy(at_offset(x, r.rows_at), (const char *)s->queries.rows + first * row_bytes,
           n * row_bytes);
    memset(at_offset(x, r.ids_at), 0xff, n * k * sizeof *ids); /* INDEX_NO_ID: no answer yet */
    int rc = external_call(x, &r, &answer);
    if (rc != OK)
        return rc;
    memcpy(ids, at_offset(x, r.ids_at), n * k * sizeof *ids);
    memcpy(distances, at_offset(x, r.distances_at), n * k * sizeof *distances);
    for (size_t q = 0; q < n && rc == OK; q++)
        rc = check_answers(x, k, s->filter, ids + q * k, distances + q * k);
    result->work.distances += reported(answer.distances);
    result->work.bytes_read += reported(answer.bytes);
    return rc;
}

int external_search(struct index *index, const struct search_request *s,
                    struct search_result *result)
{
    struct external *x = (struct external *)index;
    const size_t each = index_row_bytes(s->queries.element, s->queries.dim) +
                        s->k * (sizeof *result->ids + sizeof *result->distances);
    int rc = OK;
    if (s->filter && s->filter->n_ids == 0) { /* allows none: there is nothing to ask */
        index_answer_none(s, result);
        return OK;
    }
    if (s->filter && !(x->client.capabilities & EXTERNAL_CAN_FILTER))
        return fail(index->env.error, ERR_UNSUPPORTED,
                    "external: client \"%s\" has no filters; deletes = \"filter\" and the like are "
                    "the harness's own",
                    x->client.name);
    for (size_t at = 0, n; at < s->queries.n && rc == OK; at += n) {
        n = block_of(each, s->queries.n - at);
        rc = search_block(x, s, at, n, result);
    }
    return rc;
}

/* ---- check */

int external_check(const struct index *index, struct stat_sink *sink)
{
    struct external *x = (struct external *)(uintptr_t)index;
    const struct external_request r = { .operation = EXTERNAL_COUNT, .n = UINT64_MAX };
    struct external_answer answer;
    (void)sink;
    const int rc = external_call(x, &r, &answer);
    if (rc == OK && answer.done != x->live.n)
        return fail(index->env.error, ERR_INVARIANT,
                    "external: client \"%s\" holds %" PRIu64 " rows, expected %zu", x->client.name,
                    answer.done, x->live.n);
    return rc;
}
