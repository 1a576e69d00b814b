/* test_route.c - clusters near a vector, in layouts made by hand: aliases count once,
 * dropped routes are skipped, a row goes to the nearest root. Compared with exact scans of
 * routes and roots. */
#include "algorithms/channi/channi.h"
#include "algorithms/channi/search/route.h"
#include "tests/support/testing.h"

/* An index with only routes and roots. */
struct stage {
    struct test_bench bench;
    struct rng rng;
    struct channi c;
    struct epoch *epoch;
    struct channi_layout layout;
    struct channi_routes routes;
    struct channi_scratch *x;
    unsigned char *rows; /* of the routes */
    struct graph *graph;
};

enum { DIM = 6 };

static void stage_graph(struct stage *t, enum element element, uint32_t n)
{
    const struct graph_options options = {
        .kind = GRAPH_HNSW, .degree = 16, .build_ef = 80, .insert_ef = 80, .rng_factor = 1
    };

    t->epoch = epoch_create(&t->bench.mem);
    assert_non_null(t->epoch);
    assert_ok(graph_create(&t->graph, &t->bench.env, t->epoch, &options), &t->bench.error);
    assert_ok(graph_build(t->graph, (struct vectors){ t->rows, n, DIM, element }), &t->bench.error);
    t->routes.n = n;
    t->routes.block = mem_alloc(&t->bench.mem, graph_image_bytes(t->graph));
    graph_image_write(t->graph, t->routes.block);
    assert_ok(graph_image_open(&t->routes.graph, t->routes.block, graph_image_bytes(t->graph),
                               "routes", &t->bench.error),
              &t->bench.error);
    t->routes.rows = (struct graph_image_rows){ .base = t->rows,
                                                .row_bytes = t->c.row_bytes,
                                                .dim = DIM,
                                                .element = element,
                                                .kernels = t->bench.env.kernels };
}

/* The cluster's root is the route's row moved by `drift`. */
static struct channi_cluster *stage_cluster(struct stage *t, enum element element, uint32_t cid,
                                            uint32_t route, double drift)
{
    struct channi_cluster *cl = t->layout.clusters[cid] = calloc(1, sizeof *cl);
    cl->cid = cid;
    cl->site = malloc(t->c.row_bytes);
    memcpy(cl->site, t->rows + route * t->c.row_bytes, t->c.row_bytes);
    for (size_t d = 0; drift > 0 && d < DIM; d++) {
        if (element == INDEX_F32)
            ((float *)(void *)cl->site)[d] += (float)(drift * rng_normal(&t->rng));
        else
            cl->site[d] ^= (unsigned char)rng_below(&t->rng, 16);
    }
    cl->drift = graph_distance(t->graph, cl->site, t->rows + route * t->c.row_bytes);
    return cl;
}

/* Makes n routes around 5 centres; cid[i] is route i's cluster. Each cluster's root is the row of
   its first route, moved by `drift`. */
static void stage_open(struct stage *t, enum element element, uint32_t n, const uint32_t *cid,
                       double drift)
{
    uint32_t n_clusters = 0;

    memset(t, 0, sizeof *t);
    test_bench_begin(&t->bench, element, INDEX_L2SQ, DIM, 1);
    t->rng = rng_at(test_seed(), 12);
    t->c.base.env = t->bench.env;
    t->c.row_bytes = index_row_bytes(element, DIM);
    assert_ok(channi_cache_create(&t->c.cache, &t->bench.env, &(struct channi_cache_options){ 0 }),
              &t->bench.error);
    scratch_pool_init(&t->c.scratch, &channi_scratch_kind, t->bench.env.mem, &t->c);
    t->rows = aligned_alloc(64, (n * t->c.row_bytes + 63) / 64 * 64);
    assert_non_null(t->rows);
    if (element == INDEX_F32)
        test_fill_f32(&t->rng, (float *)(void *)t->rows, n, DIM, 5, 0.5);
    else
        test_fill_u8(&t->rng, t->rows, n, DIM, 5, 0.5);
    stage_graph(t, element, n);
    t->routes.cid = malloc(n * sizeof *cid);
    memcpy(t->routes.cid, cid, n * sizeof *cid);
    for (uint32_t i = 0; i < n; i++)
        n_clusters = cid[i] != CID_NONE && cid[i] >= n_clusters ? cid[i] + 1 : n_clusters;
    t->layout.routes = &t->routes;
    t->layout.n_clusters = n_clusters;
    t->layout.clusters = calloc(n_clusters + 1, sizeof *t->layout.clusters);
    for (uint32_t i = 0; i < n; i++) {
        struct channi_cluster *cl = cid[i] == CID_NONE ? NULL : t->layout.clusters[cid[i]];

        if (cid[i] != CID_NONE && !cl)
            cl = stage_cluster(t, element, cid[i], i, drift);
        if (cl)
            cl->n_routes++;
    }
    t->x = scratch_pool_take(&t->c.scratch);
    assert_non_null(t->x);
}

static void stage_close(struct stage *t)
{
    scratch_pool_give(&t->c.scratch, t->x);
    assert_true(scratch_pool_bytes(&t->c.scratch) >= sizeof *t->x);
    scratch_pool_free(&t->c.scratch);
    channi_cache_destroy(t->c.cache);
    for (uint32_t i = 0; i < t->layout.n_clusters; i++) {
        if (t->layout.clusters[i])
            free(t->layout.clusters[i]->site);
        free(t->layout.clusters[i]);
    }
    free(t->layout.clusters);
    free(t->routes.cid);
    mem_free(&t->bench.mem, t->routes.block);
    graph_destroy(t->graph);
    epoch_destroy(t->epoch);
    free(t->rows);
    assert_int_equal(mem_live(&t->bench.mem), 0);
    test_bench_end(&t->bench);
}

static float route_distance(const struct stage *t, const void *query, uint32_t route)
{
    return graph_distance(t->graph, query, t->rows + route * t->c.row_bytes);
}

/* Exact scan: the nearest route of each cluster, clusters in ascending order. */
static size_t exact_clusters(const struct stage *t, const void *query, size_t n, uint32_t *cids,
                             float *distances)
{
    bool *taken = calloc(t->layout.n_clusters + 1, sizeof *taken);
    size_t found = 0;

    while (found < n) {
        uint32_t best = CID_NONE;
        float least = 0;

        for (uint32_t i = 0; i < t->routes.n; i++) {
            const uint32_t cid = t->routes.cid[i];
            const float distance = route_distance(t, query, i);

            if (cid == CID_NONE || taken[cid] || (best != CID_NONE && distance >= least))
                continue;
            best = cid;
            least = distance;
        }
        if (best == CID_NONE)
            break;
        taken[best] = true;
        cids[found] = best;
        distances[found++] = least;
    }
    free(taken);
    return found;
}

/* A beam over all routes is exact, and so are the clusters; a narrow beam finds as many. */
static void expect_clusters(struct stage *t, const void *query, size_t n)
{
    uint32_t cids[2][600];
    float distances[2][600];
    double checked = 0;
    size_t found;
    const size_t wanted = exact_clusters(t, query, n, cids[0], distances[0]);

    assert_ok(channi_nearest_clusters(&t->c, t->x, &t->layout, query, n, t->routes.n, cids[1],
                                      distances[1], &found, &checked),
              &t->bench.error);
    assert_int_equal(found, wanted);
    assert_memory_equal(distances[0], distances[1], found * sizeof(float));
    for (size_t i = 0; i < found; i++)
        assert_true(cids[0][i] == cids[1][i] || (i > 0 && distances[0][i] == distances[0][i - 1]) ||
                    (i + 1 < found && distances[0][i] == distances[0][i + 1]));
    assert_ok(channi_nearest_clusters(&t->c, t->x, &t->layout, query, n, 1, cids[1], distances[1],
                                      &found, &checked),
              &t->bench.error);
    assert_int_equal(found, wanted);
    for (size_t i = 0; i < found; i++) {
        assert_true(cids[1][i] < t->layout.n_clusters && t->layout.clusters[cids[1][i]]);
        assert_true(i == 0 || distances[1][i - 1] <= distances[1][i]);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(cids[1][i], cids[1][j]);
    }
}

/* Exact scan: of the nearest clusters, the one with the nearest root or route. */
static void expect_route(struct stage *t, const void *row)
{
    uint32_t cids[ASSIGN_CLUSTERS], cid;
    float distances[ASSIGN_CLUSTERS], least = INFINITY, own = NAN;
    double checked = 0;
    const size_t n = exact_clusters(t, row, ASSIGN_CLUSTERS, cids, distances);

    assert_ok(channi_route(&t->c, t->x, &t->layout, row, t->routes.n, &cid, &checked),
              &t->bench.error);
    for (size_t i = 0; i < n; i++) {
        const float root = graph_distance(t->graph, row, t->layout.clusters[cids[i]]->site);
        const float d = root < distances[i] ? root : distances[i];

        least = d < least ? d : least;
        own = cids[i] == cid ? d : own;
    }
    assert_true(own == least);
}

enum kind_of_layout { OWN_ROUTES, ALIASES, DROPPED, ONE_LEFT, KINDS_OF_LAYOUT };

static void lead(enum kind_of_layout kind, struct rng *rng, uint32_t n, uint32_t *cid)
{
    for (uint32_t i = 0; i < n; i++) {
        cid[i] = i;
        if (kind == ALIASES)
            cid[i] = (uint32_t)rng_below(rng, n / 8 + 1);
        if (kind == DROPPED)
            cid[i] = rng_below(rng, 10) < 9 ? CID_NONE : (uint32_t)rng_below(rng, n / 4 + 1);
        if (kind == ONE_LEFT)
            cid[i] = i == n / 2 ? 3 : CID_NONE;
    }
    cid[n - 1] = 0; /* some lead somewhere */
}

static void test_layouts(void **state)
{
    static const uint32_t sizes[] = { 1, 2, 9, 500 };

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (int kind = 0; kind < KINDS_OF_LAYOUT; kind++) {
            for (int u8 = 0; u8 < 2; u8++) {
                const uint32_t n = sizes[s];
                uint32_t cid[500];
                unsigned char query[DIM * sizeof(float)] = { 0 };
                struct rng rng = rng_at(test_seed(), 5);
                struct stage t;

                lead(kind, &rng, n, cid);
                stage_open(&t, u8 ? INDEX_U8 : INDEX_F32, n, cid, kind == OWN_ROUTES ? 0 : .3);
                for (size_t q = 0; q < 20; q++) {
                    static const size_t asked[] = { 1, 4, 30, 600 };

                    memcpy(query, t.rows + rng_below(&t.rng, n) * t.c.row_bytes, t.c.row_bytes);
                    if (u8)
                        query[2] ^= (unsigned char)rng_below(&t.rng, 30);
                    else
                        ((float *)(void *)query)[2] += (float)rng_normal(&t.rng);
                    for (size_t a = 0; a < sizeof asked / sizeof *asked; a++)
                        expect_clusters(&t, query, asked[a]);
                    expect_route(&t, query);
                }
                stage_close(&t);
            }
        }
    }
}

/* A distance to a root is computed only if no route has the root's row. */
static void test_roots_are_measured_where_they_must(void **state)
{
    for (int moved = 0; moved < 2; moved++) {
        uint32_t cids[40], cid;
        double routes = 0, route = 0;
        float distances[ASSIGN_CLUSTERS];
        size_t found;
        struct stage t;

        for (uint32_t i = 0; i < 40; i++)
            cids[i] = i;
        stage_open(&t, INDEX_F32, 40, cids, moved ? .2 : 0);
        assert_ok(channi_nearest_clusters(&t.c, t.x, &t.layout, t.rows, ASSIGN_CLUSTERS, 8, cids,
                                          distances, &found, &routes),
                  &t.bench.error);
        assert_ok(channi_route(&t.c, t.x, &t.layout, t.rows, 8, &cid, &route), &t.bench.error);
        assert_true(route == routes + (moved ? ASSIGN_CLUSTERS : 0));
        stage_close(&t);
    }
}

/* Where most routes were dropped, more are requested than there are clusters to find. A scan
   measures every route each time, so it is repeated once at most. */
static void test_dropped_routes_are_not_measured_again(void **state)
{
    static const size_t widths[] = { 8, 64 }; /* the narrow one begins with a beam */

    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        uint32_t cids[500], found_cids[ASSIGN_CLUSTERS];
        float distances[ASSIGN_CLUSTERS];
        double checked = 0;
        size_t found;
        struct stage t;

        for (uint32_t i = 0; i < 500; i++)
            cids[i] = i % 50 == 0 ? i / 50 : CID_NONE;
        stage_open(&t, INDEX_F32, 500, cids, 0);
        for (uint32_t i = 0; i < 20; i++) {
            checked = 0;
            assert_ok(channi_nearest_clusters(&t.c, t.x, &t.layout, t.rows + i * t.c.row_bytes,
                                              ASSIGN_CLUSTERS, widths[w], found_cids, distances,
                                              &found, &checked),
                      &t.bench.error);
            assert_int_equal(found, ASSIGN_CLUSTERS);
            assert_in_range(checked, 1, 500 * (w == 0 ? 3 : 2));
        }
        stage_close(&t);
    }
}

/* Before the build all rows are in one cluster. A layout without a live route is an error. */
static void test_without_routes(void **state)
{
    uint32_t cids[4] = { 0 }, cid = 7;
    float distances[4];
    double checked = 0;
    size_t found;
    struct stage t;

    stage_open(&t, INDEX_F32, 1, cids, 0);
    t.routes.cid[0] = CID_NONE;
    assert_code(channi_route(&t.c, t.x, &t.layout, t.rows, 8, &cid, &checked), ERR_INVARIANT,
                &t.bench.error);
    t.layout.routes = NULL;
    assert_ok(channi_route(&t.c, t.x, &t.layout, t.rows, 8, &cid, &checked), &t.bench.error);
    assert_int_equal(cid, 0);
    assert_ok(channi_nearest_clusters(&t.c, t.x, &t.layout, t.rows, 4, 8, cids, distances, &found,
                                      &checked),
              &t.bench.error);
    assert_int_equal(found, 1);
    stage_close(&t);
}

/* Fails every allocation of a beam over the routes in turn; afterwards the same scratch works. */
static void test_out_of_memory(void **state)
{
    uint32_t cids[500], cid;
    size_t failed = 0;
    bool done = false;

    for (uint32_t i = 0; i < 500; i++)
        cids[i] = i / 3;
    for (size_t at = 1; !done; at++) {
        struct stage t;
        double checked = 0;

        stage_open(&t, INDEX_U8, 500, cids, .3);
        test_fail_allocation(&t.bench.mem, at, false);
        const int rc = channi_route(&t.c, t.x, &t.layout, t.rows, 8, &cid, &checked);
        done = !test_allocations_succeed(&t.bench.mem);
        assert_code(rc, done ? OK : ERR_NO_MEMORY, &t.bench.error);
        expect_route(&t, t.rows);
        stage_close(&t);
        assert_true(at < 100);
        failed += !done;
    }
    assert_true(failed > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_roots_are_measured_where_they_must),
        cmocka_unit_test(test_dropped_routes_are_not_measured_again),
        cmocka_unit_test(test_without_routes),
        cmocka_unit_test(test_out_of_memory),
    };
    return test_run("channi's routes", tests);
}
