/* test_route.c - clusters near a vector, where routes lead to other clusters than their own:
 * aliases count once, dropped routes are skipped, a row goes to the nearest root. Compared with
 * exact scans of routes and roots. */
#include "algorithms/channi/search/route.h"
#include "algorithms/common/rows/rows.h"
#include "tests/unit/channi/support.h"

enum { DIM = 6 };

/* An index of n clusters, so with n routes. */
struct stage {
    struct book b;
    struct channi_layout *l;
    struct channi_scratch *x;
};

static void stage_open(struct stage *t, enum element element, uint32_t n)
{
    struct channi_params p =
        book_defaults("defer_fraction=1,target_cluster=2,maintenance=explicit");

    p.expected_n = 2 * n;
    book_open(&t->b, p, element, DIM, 2 * n, 1);
    book_start(&t->b, 5, .5, 2 * n);
    t->l = layout_of(&t->b);
    assert_int_equal(t->l->routes->n, n);
    t->x = scratch_pool_take(&book_channi(&t->b)->scratch);
    assert_non_null(t->x);
}

static void stage_close(struct stage *t)
{
    scratch_pool_give(&book_channi(&t->b)->scratch, t->x);
    book_close(&t->b);
}

/* Route i leads to cluster cid[i]. moved: no root is a route's row. */
static void stage_lead(struct stage *t, const uint32_t *cid, bool moved)
{
    for (uint32_t i = 0; i < t->l->n_clusters; i++) {
        t->l->clusters[i]->n_routes = 0;
        t->l->clusters[i]->drift = moved;
    }
    for (uint32_t i = 0; i < t->l->routes->n; i++)
        if ((t->l->routes->cid[i] = cid[i]) != CID_NONE)
            t->l->clusters[cid[i]]->n_routes++;
}

static const void *row_of_route(const struct stage *t, uint32_t route)
{
    return segmented_at(&book_channi(&t->b)->route_rows, route);
}

static float route_distance(const struct stage *t, const void *query, uint32_t route)
{
    return rows_distance(&t->b.bench.env, query, row_of_route(t, route));
}

/* Exact scan: the nearest route of each cluster, clusters in ascending order. */
static size_t exact_clusters(const struct stage *t, const void *query, size_t n, uint32_t *cids,
                             float *distances)
{
    bool *taken = calloc(t->l->n_clusters + 1, sizeof *taken);
    size_t found = 0;

    while (found < n) {
        uint32_t best = CID_NONE;
        float least = 0;

        for (uint32_t i = 0; i < t->l->routes->n; i++) {
            const uint32_t cid = t->l->routes->cid[i];
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

/* Returns how many clusters were found; adds up what was compared. */
static size_t nearest(struct stage *t, const void *query, size_t n, size_t width, uint32_t *cids,
                      float *distances, double *checked)
{
    size_t found;

    assert_ok(channi_nearest_clusters(book_channi(&t->b), t->x, t->l, query, n, width, cids,
                                      distances, &found, checked),
              &t->b.bench.error);
    return found;
}

/* A beam over all routes is exact, and so are the clusters; a narrow beam finds as many. */
static void expect_clusters(struct stage *t, const void *query, size_t n)
{
    uint32_t cids[2][600];
    float distances[2][600];
    double checked = 0;
    const size_t wanted = exact_clusters(t, query, n, cids[0], distances[0]);
    size_t found = nearest(t, query, n, t->l->routes->n, cids[1], distances[1], &checked);

    assert_int_equal(found, wanted);
    assert_memory_equal(distances[0], distances[1], found * sizeof(float));
    for (size_t i = 0; i < found; i++)
        assert_true(cids[0][i] == cids[1][i] || (i > 0 && distances[0][i] == distances[0][i - 1]) ||
                    (i + 1 < found && distances[0][i] == distances[0][i + 1]));
    found = nearest(t, query, n, 1, cids[1], distances[1], &checked);
    assert_int_equal(found, wanted);
    for (size_t i = 0; i < found; i++) {
        assert_true(cids[1][i] < t->l->n_clusters && t->l->clusters[cids[1][i]]);
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

    assert_ok(channi_route(book_channi(&t->b), t->x, t->l, row, &cid, &checked), &t->b.bench.error);
    for (size_t i = 0; i < n; i++) {
        const float root = rows_distance(&t->b.bench.env, row, t->l->clusters[cids[i]]->site);
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
            cid[i] = i == n / 2 ? n / 3 : CID_NONE;
    }
    if (kind != OWN_ROUTES)
        cid[n - 1] = 0; /* some lead somewhere */
}

static void test_layouts(void **state)
{
    static const uint32_t sizes[] = { 1, 2, 9, 500 };
    static const size_t asked[] = { 1, 4, 30, 600 };

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int u8 = 0; u8 < 2; u8++) {
            const uint32_t n = sizes[s];
            uint32_t cid[500];
            unsigned char query[DIM * sizeof(float)];
            struct rng rng = rng_at(test_seed(), 5);
            struct stage t;

            stage_open(&t, u8 ? INDEX_U8 : INDEX_F32, n);
            for (int kind = 0; kind < KINDS_OF_LAYOUT; kind++) {
                lead(kind, &rng, n, cid);
                stage_lead(&t, cid, kind != OWN_ROUTES);
                for (size_t q = 0; q < 20; q++) {
                    memcpy(query, row_of_route(&t, (uint32_t)rng_below(&rng, n)), t.b.row_bytes);
                    if (u8)
                        query[2] ^= (unsigned char)rng_below(&rng, 30);
                    else
                        ((float *)(void *)query)[2] += (float)rng_normal(&rng);
                    for (size_t a = 0; a < sizeof asked / sizeof *asked; a++)
                        expect_clusters(&t, query, asked[a]);
                    expect_route(&t, query);
                }
            }
            stage_close(&t);
        }
}

/* A distance to a root is computed only if no route has the root's row. */
static void test_roots_are_measured_where_they_must(void **state)
{
    uint32_t own[40], cids[ASSIGN_CLUSTERS], cid;
    float distances[ASSIGN_CLUSTERS];
    struct stage t;

    stage_open(&t, INDEX_F32, 40);
    for (uint32_t i = 0; i < 40; i++)
        own[i] = i;
    for (int moved = 0; moved < 2; moved++) {
        double routes = 0, route = 0;

        stage_lead(&t, own, moved);
        (void)nearest(&t, book_row(&t.b, 0), ASSIGN_CLUSTERS, 8, cids, distances, &routes);
        assert_ok(channi_route(book_channi(&t.b), t.x, t.l, book_row(&t.b, 0), &cid, &route),
                  &t.b.bench.error);
        assert_true(route == routes + (moved ? ASSIGN_CLUSTERS : 0));
    }
    stage_close(&t);
}

/* Where most routes were dropped, more are requested than there are clusters to find. A scan
   measures every route each time, so it is repeated once at most. */
static void test_dropped_routes_are_not_measured_again(void **state)
{
    static const size_t widths[] = { 8, 64 }; /* the narrow one begins with a beam */
    uint32_t cids[500], found_cids[ASSIGN_CLUSTERS];
    float distances[ASSIGN_CLUSTERS];
    struct stage t;

    stage_open(&t, INDEX_F32, 500);
    for (uint32_t i = 0; i < 500; i++)
        cids[i] = i % 50 == 0 ? i / 50 : CID_NONE;
    stage_lead(&t, cids, false);
    for (size_t w = 0; w < 40; w++) {
        double checked = 0;

        assert_int_equal(nearest(&t, book_row(&t.b, w / 2), ASSIGN_CLUSTERS, widths[w % 2],
                                 found_cids, distances, &checked),
                         ASSIGN_CLUSTERS);
        assert_in_range(checked, 1, 500 * (w % 2 == 0 ? 3 : 2));
    }
    stage_close(&t);
}

/* Before the build all rows are in one cluster. A layout without a live route is an error. */
static void test_without_routes(void **state)
{
    uint32_t cids[4] = { 0 }, cid = 7;
    float distances[4];
    double checked = 0;
    size_t found;
    struct stage t;

    stage_open(&t, INDEX_F32, 1);
    struct channi *c = book_channi(&t.b);
    const void *row = book_row(&t.b, 0);
    struct channi_layout none = { .n_clusters = 1 };

    stage_lead(&t, (const uint32_t[]){ CID_NONE }, false);
    assert_code(channi_route(c, t.x, t.l, row, &cid, &checked), ERR_INVARIANT, &t.b.bench.error);
    assert_ok(channi_route(c, t.x, &none, row, &cid, &checked), &t.b.bench.error);
    assert_int_equal(cid, 0);
    assert_ok(channi_nearest_clusters(c, t.x, &none, row, 4, 8, cids, distances, &found, &checked),
              &t.b.bench.error);
    assert_int_equal(found, 1);
    stage_close(&t);
}

int main(void)
{
    return test_run_all("channi's routes", test_layouts, test_roots_are_measured_where_they_must,
                        test_dropped_routes_are_not_measured_again, test_without_routes);
}
