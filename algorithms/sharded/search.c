/* search.c - which shards a query is asked of, and the merging of their answers. */
#include <string.h>

#include "algorithms/common/rows/work.h"
#include "algorithms/sharded/sharded.h"
#include "src/core/mem.h"
#include "src/core/ranks/shards.h"
#include "src/core/topk.h"

/* A query and a shard that it is asked of. */
struct pair {
    uint32_t query, shard;
};

/* The queries of a request that go to a rank. */
struct rank_part {
    struct call *call;
    uint32_t *queries; /* of the request, by their numbers in the call */
    size_t n;
    size_t first_pair, n_pairs; /* in pairs sorted by rank */
};

/* A search or range search under way. */
struct gathering {
    struct sharded *s;
    enum request_kind kind;
    const struct sharded_knobs *knobs;
    struct vectors queries;
    const struct id_filter *filter;
    size_t k, threads;
    double radius;
    uint64_t deadline_ns;

    struct pair *pairs; /* to be asked, sorted by rank, shard and query */
    size_t n_pairs;
    struct pair *sorted;
    uint32_t *rank_of;       /* of each pair */
    uint32_t *number_of;     /* of a query in the call being made */
    struct rank_part *parts; /* one per rank that is asked, */
    struct call *calls;      /* and as many requests */
    uint32_t *part_queries;  /* of all parts */
    bool *is_partial;        /* of each query */
    uint32_t *buckets; /* nearest ones of each query, n_buckets each; NULL: it asks every shard */
    size_t n_buckets;
    uint32_t *asked;         /* of each shard: 1 + the last query that asked it */
    struct mem_group arrays; /* those above */

    struct topk *nearest; /* REQUEST_SEARCH */
    struct range_result *range;
    struct work *work;
    struct shard_work *shard_work; /* may be NULL */
};

/* ---- the shards of a query */

static void ask_everywhere(struct gathering *g, size_t query)
{
    for (size_t i = 0; i < g->s->n_shards; i++)
        if (g->s->shards[i].rows > 0)
            g->pairs[g->n_pairs++] = (struct pair){ (uint32_t)query, (uint32_t)i };
}

/* The shards of the buckets with the nearest centroids. */
static void ask_nearest(struct gathering *g, size_t query)
{
    const struct sharded *s = g->s;
    for (size_t i = 0; i < g->n_buckets; i++) {
        const uint32_t shard = s->placement.shard_of[g->buckets[query * g->n_buckets + i]];
        if (g->asked[shard] == query + 1 || s->shards[shard].rows == 0)
            continue;
        g->asked[shard] = (uint32_t)query + 1;
        g->pairs[g->n_pairs++] = (struct pair){ (uint32_t)query, shard };
    }
}

static int route(struct gathering *g)
{
    struct sharded *s = g->s;
    const size_t all = s->placement.n_buckets, wanted = (size_t)g->knobs->route;
    if (s->params.placement != PLACE_CLUSTER || wanted == 0 || wanted >= all) {
        for (size_t q = 0; q < g->queries.n; q++)
            ask_everywhere(g, q);
        return OK;
    }
    g->n_buckets = wanted;
    g->buckets = mem_group_array(&g->arrays, g->queries.n * wanted + 1, sizeof *g->buckets);
    g->asked = mem_group_zalloc(&g->arrays, s->n_shards, sizeof *g->asked);
    const int rc = g->arrays.failed ? sharded_no_memory(s, "queries")
                                    : placement_nearest(s, g->queries, wanted, g->buckets);
    for (size_t q = 0; rc == OK && q < g->queries.n; q++)
        ask_nearest(g, q);
    g->work->distances += (double)(g->queries.n * all);
    return rc;
}

/* Of a query that has fewer than k answers the shards that were not asked. */
static void ask_the_rest(struct gathering *g)
{
    const struct sharded *s = g->s;
    for (size_t q = 0; g->buckets && q < g->queries.n; q++) {
        if (g->nearest[q].n == g->k || g->is_partial[q])
            continue;
        memset(g->asked, 0, s->n_shards * sizeof *g->asked);
        for (size_t i = 0; i < g->n_buckets; i++)
            g->asked[s->placement.shard_of[g->buckets[q * g->n_buckets + i]]] = 1;
        for (size_t i = 0; i < s->n_shards; i++)
            if (!g->asked[i] && s->shards[i].rows > 0)
                g->pairs[g->n_pairs++] = (struct pair){ (uint32_t)q, (uint32_t)i };
    }
}

/* The replica that a pair asks: they take turns. RANKS_MAX: none is up. */
static size_t choose_rank(const struct sharded *s, struct pair pair)
{
    const struct shard *shard = &s->shards[pair.shard];
    size_t up[REPLICAS_MAX], n = 0;
    for (size_t j = 0; j < sharded_replicas(s); j++)
        if (shard->replicas[j].up)
            up[n++] = shard->replicas[j].rank;
    return n ? up[(s->counters.queries + pair.query + pair.shard) % n] : RANKS_MAX;
}

/* Sorts the pairs by rank and shard; those whose shard no rank has are left out. */
static size_t sort_pairs(struct gathering *g, size_t *first_of_rank)
{
    const size_t keys = (size_t)g->s->params.ranks * g->s->n_shards;
    size_t kept = 0;
    memset(first_of_rank, 0, (keys + 1) * sizeof *first_of_rank);
    for (size_t i = 0; i < g->n_pairs; i++) {
        const size_t rank = choose_rank(g->s, g->pairs[i]);
        if (rank == RANKS_MAX) {
            g->is_partial[g->pairs[i].query] = true;
            continue;
        }
        g->pairs[kept] = g->pairs[i];
        g->rank_of[kept] = (uint32_t)(rank * g->s->n_shards + g->pairs[i].shard);
        first_of_rank[g->rank_of[kept++] + 1]++;
    }
    for (size_t i = 0; i < keys; i++)
        first_of_rank[i + 1] += first_of_rank[i];
    for (size_t i = 0; i < kept; i++)
        g->sorted[first_of_rank[g->rank_of[i]]++] = g->pairs[i];
    return kept;
}

/* ---- requests */

static void put_queries(struct gathering *g, struct wire *w, const struct rank_part *part)
{
    const size_t row_bytes = sharded_row_bytes(g->s);
    wire_put(w, part->n);
    wire_put(w, g->queries.dim);
    wire_put(w, g->queries.element);
    char *rows = part->n ? wire_reserve(w, part->n * row_bytes) : NULL;
    for (size_t i = 0; rows && i < part->n; i++)
        memcpy(rows + i * row_bytes, (const char *)g->queries.rows + part->queries[i] * row_bytes,
               row_bytes);
}

static void put_request(struct gathering *g, struct rank_part *part)
{
    struct wire *w = &part->call->request;
    const struct pair *pairs = g->sorted + part->first_pair;
    wire_put_text(w, g->knobs->of_knobs);
    if (g->kind == REQUEST_RANGE)
        wire_put_bytes(w, &g->radius, sizeof g->radius);
    else
        wire_put(w, g->k);
    wire_put(w, g->threads);
    wire_put(w, g->filter != NULL);
    if (g->filter) {
        wire_put(w, g->filter->n_ids);
        /* The bitmap may end before the word that n_ids would begin. */
        const size_t words = (size_t)((g->filter->n_ids + 63) / 64);
        wire_put_bytes(w, g->filter->bits, words * sizeof(uint64_t));
        if (g->filter->n_ids % 64 == 0)
            wire_put(w, 0);
    }
    put_queries(g, w, part);
    size_t lists = 0;
    for (size_t i = 0; i < part->n_pairs; i++)
        lists += i == 0 || pairs[i].shard != pairs[i - 1].shard;
    wire_put(w, lists);
    for (size_t i = 0, n; i < part->n_pairs; i += n) {
        for (n = 1; i + n < part->n_pairs && pairs[i + n].shard == pairs[i].shard;)
            n++;
        wire_put(w, pairs[i].shard);
        wire_put(w, n);
        uint32_t *numbers = wire_reserve(w, n * sizeof *numbers);
        for (size_t j = 0; numbers && j < n; j++)
            numbers[j] = g->number_of[pairs[i + j].query];
    }
}

/* Numbers the queries of the part's pairs in the order in which they occur. */
static void number_queries(struct gathering *g, struct rank_part *part)
{
    for (size_t i = 0; i < part->n_pairs; i++)
        g->number_of[g->sorted[part->first_pair + i].query] = UINT32_MAX;
    for (size_t i = 0; i < part->n_pairs; i++) {
        const uint32_t query = g->sorted[part->first_pair + i].query;
        if (g->number_of[query] != UINT32_MAX)
            continue;
        g->number_of[query] = (uint32_t)part->n;
        part->queries[part->n++] = query;
    }
}

static size_t make_parts(struct gathering *g, const size_t *end_of_key)
{
    const size_t shards = g->s->n_shards;
    size_t n = 0, at = 0, begin = 0;
    for (size_t rank = 0; rank < (size_t)g->s->params.ranks; rank++) {
        const size_t end = end_of_key[rank * shards + shards - 1];
        if (end == begin)
            continue;
        struct rank_part *part = &g->parts[n++];
        *part = (struct rank_part){ .call = &g->calls[part - g->parts],
                                    .queries = g->part_queries + at,
                                    .first_pair = begin,
                                    .n_pairs = end - begin };
        call_begin(g->s, part->call, rank, g->kind, 0);
        number_queries(g, part);
        put_request(g, part);
        at += part->n;
        begin = end;
    }
    return n;
}

/* ---- replies */

static void take_work(struct gathering *g, struct wire_reader *r)
{
    struct work its;
    wire_take_struct(r, &its, sizeof its);
    work_add(g->work, &its);
}

static int damaged(const struct gathering *g, const struct rank_part *part)
{
    return fail(g->s->base.env.error, ERR_CORRUPT, "sharded: the answers of rank %zu are damaged",
                part->call->rank);
}

static int take_nearest(struct gathering *g, struct rank_part *part)
{
    struct wire_reader *r = &part->call->reply;
    const uint64_t *ids = wire_take_array(r, part->n * g->k, sizeof *ids);
    const float *distances = wire_take_array(r, part->n * g->k, sizeof *distances);
    if (!ids || !distances)
        return damaged(g, part);
    for (size_t i = 0; i < part->n; i++)
        for (size_t j = i * g->k; j < (i + 1) * g->k && ids[j] != INDEX_NO_ID; j++)
            topk_push(&g->nearest[part->queries[i]], distances[j], ids[j]);
    take_work(g, r);
    return OK;
}

static int take_range(struct gathering *g, struct rank_part *part)
{
    struct wire_reader *r = &part->call->reply;
    const uint64_t n = wire_take(r);
    const struct found_row *rows = wire_take_array(r, n, sizeof *rows);
    int rc = r->failed ? damaged(g, part) : OK;
    for (const struct found_row *at = rows; rc == OK && at < rows + n; at++)
        rc = at->query < part->n
                 ? g->range->found(g->range->to, part->queries[at->query], at->id, at->distance)
                 : damaged(g, part);
    if (rc == OK)
        take_work(g, r);
    return rc;
}

/* Pairs of lost ranks are asked again; those of late ones are not. */
static int take_part(struct gathering *g, struct rank_part *part)
{
    if (part->call->code == OK)
        return g->kind == REQUEST_RANGE ? take_range(g, part) : take_nearest(g, part);
    if (!part->call->lost && !part->call->late)
        return call_check(g->s, part->call);
    for (size_t i = 0; i < part->n_pairs; i++) {
        const struct pair pair = g->sorted[part->first_pair + i];
        if (part->call->late)
            g->is_partial[pair.query] = true;
        else
            g->pairs[g->n_pairs++] = pair;
    }
    return OK;
}

/* ---- a search */

static int ask_round(struct gathering *g, size_t *end_of_key)
{
    const size_t n_pairs = sort_pairs(g, end_of_key);
    g->n_pairs = 0;
    g->s->counters.asked += n_pairs;
    if (g->shard_work)
        g->shard_work->asked += (double)n_pairs;
    const size_t n = make_parts(g, end_of_key);
    int rc = sharded_exchange(g->s, g->calls, n, g->deadline_ns);
    for (size_t i = 0; i < n; i++) {
        if (rc == OK)
            rc = take_part(g, &g->parts[i]);
        call_end(&g->calls[i]);
    }
    return rc;
}

static int gather(struct gathering *g)
{
    struct sharded *s = g->s;
    const size_t most = g->queries.n * s->n_shards + 1, ranks = (size_t)s->params.ranks;
    struct mem_group *arrays = &g->arrays;
    arrays->mem = s->base.env.mem;
    size_t *end_of_key = mem_group_array(arrays, ranks * s->n_shards + 2, sizeof *end_of_key);
    g->pairs = mem_group_array(arrays, most, sizeof *g->pairs);
    g->sorted = mem_group_array(arrays, most, sizeof *g->sorted);
    g->rank_of = mem_group_array(arrays, most, sizeof *g->rank_of);
    g->number_of = mem_group_array(arrays, g->queries.n + 1, sizeof *g->number_of);
    g->parts = mem_group_array(arrays, ranks, sizeof *g->parts);
    g->calls = mem_group_array(arrays, ranks, sizeof *g->calls);
    g->part_queries = mem_group_array(arrays, most, sizeof *g->part_queries);
    g->is_partial = mem_group_zalloc(arrays, g->queries.n + 1, sizeof *g->is_partial);
    int rc = arrays->failed ? sharded_no_memory(s, "queries") : OK;
    if (g->knobs->timeout_ms > 0 && s->base.env.clock_ns)
        g->deadline_ns = s->base.env.clock_ns() + (uint64_t)(g->knobs->timeout_ms * 1e6);
    if (rc == OK)
        rc = route(g);
    while (rc == OK && g->n_pairs > 0)
        rc = ask_round(g, end_of_key);
    if (rc == OK)
        ask_the_rest(g);
    while (rc == OK && g->n_pairs > 0)
        rc = ask_round(g, end_of_key);
    for (size_t q = 0; rc == OK && q < g->queries.n; q++) {
        if (g->shard_work)
            g->shard_work->partial += g->is_partial[q];
        s->counters.partial += g->is_partial[q];
    }
    s->counters.queries += rc == OK ? g->queries.n : 0;
    mem_group_free(arrays);
    return rc;
}

int sharded_search(struct index *index, const struct search_request *request,
                   struct search_result *result)
{
    struct sharded *s = sharded_of(index);
    struct gathering g = { .s = s,
                           .kind = REQUEST_SEARCH,
                           .knobs = request->knobs,
                           .queries = request->queries,
                           .filter = request->filter,
                           .k = request->k,
                           .threads = request->threads,
                           .work = &result->work,
                           .shard_work = result->shards };
    int rc = sharded_finish_pending(s);
    if (rc != OK)
        return rc;
    g.nearest = mem_array(index->env.mem, request->queries.n + 1, sizeof *g.nearest);
    rc = g.nearest ? OK : sharded_no_memory(s, "queries");
    for (size_t q = 0; rc == OK && q < request->queries.n; q++)
        g.nearest[q] = topk_begin(g.k, result->distances + q * g.k, result->ids + q * g.k);
    if (rc == OK)
        rc = gather(&g);
    for (size_t q = 0; rc == OK && q < request->queries.n; q++)
        topk_sort(&g.nearest[q]);
    mem_free(index->env.mem, g.nearest);
    return rc;
}

int sharded_range(struct index *index, const struct range_request *request,
                  struct range_result *result)
{
    struct sharded *s = sharded_of(index);
    /* A radius says nothing of how many buckets it reaches: every shard is asked. */
    struct sharded_knobs knobs = *(const struct sharded_knobs *)request->knobs;
    struct gathering g = { .s = s,
                           .kind = REQUEST_RANGE,
                           .knobs = &knobs,
                           .queries = request->queries,
                           .filter = request->filter,
                           .radius = request->radius,
                           .threads = request->threads,
                           .range = result,
                           .work = &result->work,
                           .shard_work = result->shards };
    knobs.route = 0;
    const int rc = sharded_finish_pending(s);
    return rc ? rc : gather(&g);
}
