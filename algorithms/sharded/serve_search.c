/* serve_search.c - searches of a rank's shards: the answers of its shards are merged before they are
 * sent. */
#include <string.h>

#include "algorithms/common/rows/work.h"
#include "algorithms/sharded/serve.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/topk.h"

/* What both kinds of search have. */
struct asked {
    const char *of_knobs;
    size_t k;
    double radius;
    size_t threads;
    const struct id_filter *filter; /* NULL, or &its */
    struct id_filter its;
    struct vectors queries;
    size_t n_lists;
};

static bool take_asked(struct wire_reader *r, struct asked *a, bool range)
{
    *a = (struct asked){ .of_knobs = wire_take_text(r) };
    if (range)
        wire_take_struct(r, &a->radius, sizeof a->radius);
    else
        a->k = (size_t)wire_take(r);
    a->threads = (size_t)wire_take(r);
    if (wire_take(r)) {
        a->its.n_ids = wire_take(r);
        a->its.bits = wire_take_array(r, a->its.n_ids / 64 + 1, sizeof(uint64_t));
        a->filter = &a->its;
    }
    a->queries.n = (size_t)wire_take(r);
    a->queries.dim = (size_t)wire_take(r);
    a->queries.element = (enum element)wire_take(r);
    a->queries.rows =
        wire_take_array(r, a->queries.n, index_row_bytes(a->queries.element, a->queries.dim));
    a->n_lists = (size_t)wire_take(r);
    return !r->failed;
}

/* The queries that a shard is asked. */
struct query_list {
    struct shard_copy *copy;
    struct vectors queries; /* these: those of the request if they are all */
    size_t n;
    const uint32_t *numbers;
    void *gathered;
};

/* Whether the list is of all queries in their order. */
static bool is_whole(const struct query_list *list, size_t n)
{
    size_t same = 0;
    while (same < list->n && list->numbers[same] == same)
        same++;
    return same == n && list->n == n;
}

static int take_list(struct server *s, struct wire_reader *r, const struct asked *a,
                     struct query_list *list)
{
    const size_t row_bytes = index_row_bytes(a->queries.element, a->queries.dim);
    const uint64_t shard = wire_take(r);
    *list = (struct query_list){ .n = (size_t)wire_take(r), .queries = a->queries };
    list->numbers = wire_take_array(r, list->n, sizeof *list->numbers);
    if (r->failed || list->n > a->queries.n)
        return server_damaged(s);
    list->copy = server_copy(s, shard);
    if (!list->copy)
        return s->error.code;
    if (is_whole(list, a->queries.n))
        return OK;
    char *rows = list->gathered = mem_array(s->env.mem, list->n + 1, row_bytes);
    if (!rows)
        return fail(&s->error, ERR_NO_MEMORY, "sharded: out of memory for %zu queries", list->n);
    for (size_t i = 0; i < list->n; i++) {
        if (list->numbers[i] >= a->queries.n)
            return server_damaged(s);
        memcpy(rows + i * row_bytes, (const char *)a->queries.rows + list->numbers[i] * row_bytes,
               row_bytes);
    }
    list->queries.rows = rows;
    list->queries.n = list->n;
    return OK;
}

static size_t threads_of(const struct server *s, const struct asked *a)
{
    const size_t most = pool_threads(s->env.pool);
    return a->threads < most ? a->threads : most;
}

/* ---- k nearest */

struct merging {
    struct topk *nearest; /* of each query, in arrays of n x k */
    uint64_t *ids;
    float *distances;
    uint64_t *own_ids; /* a shard's answers */
    float *own_distances;
    struct mem_group arrays;
};

static bool merging_begin(struct merging *m, struct mem *mem, size_t n, size_t k)
{
    const size_t all = n * k + 1;
    *m = (struct merging){ .arrays = { .mem = mem } };
    m->nearest = mem_group_array(&m->arrays, n + 1, sizeof *m->nearest);
    m->ids = mem_group_array(&m->arrays, all, sizeof *m->ids);
    m->distances = mem_group_array(&m->arrays, all, sizeof *m->distances);
    m->own_ids = mem_group_array(&m->arrays, all, sizeof *m->own_ids);
    m->own_distances = mem_group_array(&m->arrays, all, sizeof *m->own_distances);
    for (size_t q = 0; !m->arrays.failed && q < n; q++)
        m->nearest[q] = topk_begin(k, m->distances + q * k, m->ids + q * k);
    return !m->arrays.failed;
}

static int search_list(struct server *s, const struct asked *a, const struct query_list *list,
                       struct merging *m, struct work *work)
{
    const struct search_request request = {
        .queries = list->queries, .k = a->k, .filter = a->filter, .threads = threads_of(s, a)
    };
    struct search_result result = { .ids = m->own_ids, .distances = m->own_distances };
    const int rc = copy_search(list->copy, a->of_knobs, request, &result);
    for (size_t i = 0; rc == OK && i < list->n; i++)
        for (size_t j = 0; j < a->k; j++) {
            const size_t at = i * a->k + j;
            if (m->own_ids[at] == INDEX_NO_ID)
                break;
            topk_push(&m->nearest[list->numbers[i]], m->own_distances[at], m->own_ids[at]);
        }
    work_add(work, &result.work);
    return rc;
}

int server_search(struct server *s, struct wire_reader *r, struct wire *reply)
{
    struct mem *mem = s->env.mem;
    struct merging m = { 0 };
    struct work work = { 0 };
    struct asked a;
    if (!take_asked(r, &a, false) || a.k == 0 || a.queries.n > SIZE_MAX / a.k - 1)
        return server_damaged(s);
    int rc = merging_begin(&m, mem, a.queries.n, a.k)
                 ? OK
                 : fail(&s->error, ERR_NO_MEMORY, "sharded: out of memory for %zu answers",
                        a.queries.n * a.k);
    for (size_t i = 0; rc == OK && i < a.n_lists; i++) {
        struct query_list list;
        rc = take_list(s, r, &a, &list);
        if (rc == OK)
            rc = search_list(s, &a, &list, &m, &work);
        mem_free(mem, list.gathered);
    }
    if (rc == OK) {
        for (size_t q = 0; q < a.queries.n; q++)
            topk_sort(&m.nearest[q]);
        wire_put_bytes(reply, m.ids, a.queries.n * a.k * sizeof *m.ids);
        wire_put_bytes(reply, m.distances, a.queries.n * a.k * sizeof *m.distances);
        wire_put_bytes(reply, &work, sizeof work);
    }
    mem_group_free(&m.arrays);
    return rc;
}

/* ---- radius */

struct found {
    const struct query_list *list;
    struct wire rows; /* struct found_row */
    struct error *error;
};

static int on_found(void *to, size_t query, uint64_t id, float distance)
{
    struct found *f = to;
    const struct found_row row = { id, f->list->numbers[query], distance };
    wire_put_bytes(&f->rows, &row, sizeof row);
    return f->rows.failed ? fail(f->error, ERR_NO_MEMORY, "sharded: out of memory for answers")
                          : OK;
}

int server_range(struct server *s, struct wire_reader *r, struct wire *reply)
{
    struct mem *mem = s->env.mem;
    struct found found = { .rows = { .mem = mem }, .error = &s->error };
    struct range_result result = { .found = on_found, .to = &found };
    struct asked a;
    if (!take_asked(r, &a, true))
        return server_damaged(s);
    int rc = OK;
    for (size_t i = 0; rc == OK && i < a.n_lists; i++) {
        struct query_list list;
        rc = take_list(s, r, &a, &list);
        const struct range_request request = { .queries = list.queries,
                                               .radius = a.radius,
                                               .filter = a.filter,
                                               .threads = threads_of(s, &a) };
        found.list = &list;
        if (rc == OK)
            rc = copy_range(list.copy, a.of_knobs, request, &result);
        mem_free(mem, list.gathered);
    }
    if (rc == OK) {
        wire_put(reply, found.rows.n / sizeof(struct found_row));
        wire_put_bytes(reply, found.rows.bytes, found.rows.n);
        wire_put_bytes(reply, &result.work, sizeof result.work);
    }
    wire_free(&found.rows);
    return rc;
}
