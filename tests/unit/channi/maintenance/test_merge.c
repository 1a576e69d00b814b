/* test_merge.c - clusters that have become too small: partners, aliases, OOD clusters, and the
 * deletion of nearly all rows. */
#include "tests/unit/channi/maintenance/maintenance.h"

static struct channi_params small_clusters(void)
{
    return book_with(twenty(), "expected_n=400");
}

static void open_built(struct book *b, struct channi_params p, size_t n)
{
    book_open(b, p, INDEX_F32, 8, 2 * n, 1);
    book_start(b, 12, 0.4, n);
    assert_non_null(layout_of(b)->routes);
}

/* The cluster with the fewest rows, but at least `least`. */
static uint32_t smallest(const struct book *b, uint32_t least)
{
    uint32_t best = CID_NONE;

    for (uint32_t cid = 0; cid < layout_of(b)->n_clusters; cid++) {
        const struct channi_cluster *cl = cluster_of(b, cid);

        if (cl && live_of(cl) >= least &&
            (best == CID_NONE || live_of(cl) < live_of(cluster_of(b, best))))
            best = cid;
    }
    assert_true(best != CID_NONE);
    return best;
}

/* -------------------------------------------------------------------------------- one merge */

/* The root is the live member nearest to the mean. */
static void expect_central_root(struct book *b, const struct channi_cluster *one)
{
    double mean[8] = { 0 }, least = INFINITY, root;
    for (size_t i = 0; i < b->capacity; i++)
        for (size_t j = 0; b->stored[i] && cid_of(b, i) == one->cid && j < 8; j++)
            mean[j] += (double)((float *)book_row(b, i))[j] / live_of(one);
    float point[8];
    for (size_t j = 0; j < 8; j++)
        point[j] = (float)mean[j];
    for (size_t i = 0; i < b->capacity; i++)
        if (b->stored[i] && cid_of(b, i) == one->cid)
            least = fmin(least, book_distance(b, book_row(b, i), point));
    root = book_distance(b, book_row(b, one->root_id), point);
    assert_true(root <= least * (1 + 1e-5));
}

static void test_a_merge(void **state)
{
    struct channi_params p = book_with(small_clusters(), "maintenance=explicit");
    struct book b;
    struct before was;
    double cost = 0;
    bool busy;

    p.alias_max = 1024; /* no route is dropped */
    open_built(&b, p, 400);
    work_off(&b, 0);
    const uint32_t cid = smallest(&b, 10);
    starve(&b, cid, 5);
    before_take(&was, &b);
    const size_t clusters = clusters_of(&b);
    const uint64_t merges = book_counter(&b, merges);
    assert_int_equal(channi_needs(book_channi(&b), cluster_of(&b, cid)), JOB_MERGE);
    assert_ok(channi_merge(book_channi(&b), cid, &cost, &busy), &b.bench.error);
    assert_false(busy);
    assert_int_equal(book_counter(&b, merges), merges + 1);
    assert_int_equal(clusters_of(&b), clusters - 1);
    assert_null(cluster_of(&b, cid)); /* the larger one is the successor */
    /* No route was added or dropped; the routes of both clusters lead directly to the partner. */
    assert_int_equal(layout_of(&b)->routes->n, was.n_routes);
    uint32_t partner = CID_NONE;
    for (uint32_t i = 0; i < was.n_routes; i++)
        if (was.routes[i].cid == cid)
            partner = layout_of(&b)->routes->cid[i];
    const struct channi_cluster *one = cluster_of(&b, partner);
    assert_non_null(one);
    assert_int_equal(live_of(one), was.clusters[partner].live + 5);
    assert_true(live_of(one) <= book_channi(&b)->split_max / 2);
    for (uint32_t i = 0; i < was.n_routes; i++)
        assert_int_equal(layout_of(&b)->routes->cid[i],
                         was.routes[i].cid == cid ? partner : was.routes[i].cid);
    assert_int_equal(one->base->phash, was.clusters[partner].phash);
    assert_true(one->base->version > was.clusters[partner].file);
    assert_true(has_file(&b, one->base));
    expect_routes_stay(&was, &b);
    before_free(&was);
    expect_central_root(&b, one);
    book_end(&b, 20);
}

/* -------------------------------------------------------------------------------- aliases */

/* Repeated merges: never a chain of routes, never more than alias_max routes to a cluster. */
static void shrink(struct channi_params p)
{
    struct book b;
    struct before was;

    open_built(&b, p, 800);
    before_take(&was, &b);
    const size_t clusters = clusters_of(&b);
    const uint64_t merges = book_counter(&b, merges);
    const uint64_t more = book_counter(&b, split_parts) - book_counter(&b, splits);
    while (b.n > 40) {
        for (size_t i = 0; i < 20; i++)
            assert_ok(book_remove(&b, book_any(&b)), &b.bench.error);
        book_check(&b);
        for (uint32_t cid = 0; cid < layout_of(&b)->n_clusters; cid++)
            if (cluster_of(&b, cid))
                assert_in_range(cluster_of(&b, cid)->n_routes, 1, p.alias_max);
    }
    work_off(&b, 0);
    assert_true(clusters_of(&b) < clusters / 3);
    assert_int_equal(book_counter(&b, merges) - merges + clusters_of(&b),
                     clusters + book_counter(&b, split_parts) - book_counter(&b, splits) - more);
    size_t nowhere = 0, routes = 0;
    for (uint32_t i = 0; i < layout_of(&b)->routes->n; i++)
        nowhere += layout_of(&b)->routes->cid[i] == CID_NONE;
    for (uint32_t cid = 0; cid < layout_of(&b)->n_clusters; cid++)
        routes += cluster_of(&b, cid) ? cluster_of(&b, cid)->n_routes : 0;
    assert_int_equal(routes + nowhere, layout_of(&b)->routes->n);
    assert_true(test_stat(b.index, "routes_dropped") == (double)nowhere);
    if (!p.alias)
        assert_int_equal(routes, clusters_of(&b));
    else if (p.alias_max == 1024)
        expect_routes_stay(&was, &b);
    else
        assert_true(nowhere > 0);
    before_free(&was);
    book_end(&b, 20);
}

static void test_aliases(void **state)
{
    struct channi_params p = small_clusters();

    for (p.alias_max = 1; p.alias_max <= 4; p.alias_max *= 4)
        shrink(p);
    p.alias_max = 1024;
    shrink(p);
    p.alias = false;
    shrink(p);
    p.history = 20;
    shrink(p);
}

static void expect_farther(struct book *b, uint32_t route, const struct channi_cluster *cl)
{
    for (uint32_t j = 0; j < cl->n_routes; j++)
        assert_true(book_distance(b, segmented_at(&book_channi(b)->route_rows, route), cl->site) >=
                    (1 - 1e-5) *
                        book_distance(b, segmented_at(&book_channi(b)->route_rows, cl->routes[j]),
                                      cl->site));
}

/* Of too many routes the one farthest from the root is dropped. */
static void test_farthest_alias_is_dropped(void **state)
{
    struct book b;
    struct before was;

    open_built(&b, book_with(small_clusters(), "maintenance=explicit,alias_max=2"), 800);
    work_off(&b, 0);
    for (size_t round = 0; round < 12; round++) {
        double cost = 0;
        bool busy;
        const uint32_t cid = smallest(&b, 6);
        const uint64_t merges = book_counter(&b, merges);

        starve(&b, cid, 5);
        before_take(&was, &b);
        assert_ok(channi_merge(book_channi(&b), cid, &cost, &busy), &b.bench.error);
        if (book_counter(&b, merges) == merges) {
            before_free(&was);
            continue;
        }
        const struct channi_cluster *one = NULL; /* the merged one */
        for (uint32_t i = 0; i < was.n_clusters && !one; i++)
            if (cluster_of(&b, i) && live_of(cluster_of(&b, i)) > was.clusters[i].live)
                one = cluster_of(&b, i);
        assert_non_null(one);
        assert_true(live_of(one) <= book_channi(&b)->split_max / 2);
        for (uint32_t i = 0; i < was.n_routes; i++)
            if (was.routes[i].cid != CID_NONE && layout_of(&b)->routes->cid[i] == CID_NONE)
                expect_farther(&b, i, one);
        before_free(&was);
        book_check(&b);
    }
    assert_true(test_stat(b.index, "routes_dropped") > 0);
    book_close(&b);
}

/* --------------------------------------------------------------------------------- OOD clusters */

/* Two tight groups, and some rows far away around each: OOD clusters of a few rows. */
static void open_outliers(struct book *b)
{
    struct channi_params p = book_with(
        small_clusters(), "expected_n=60,merge_min=30,target_cluster=80,maintenance=explicit");

    book_open(b, p, INDEX_F32, 12, 2000, 1);
    for (size_t i = 0; i < 2000; i++) {
        float *row = book_row(b, i);
        double length = 0;

        for (size_t j = 0; j < 12; j++) {
            row[j] = (float)rng_normal(&b->rng);
            length += (double)row[j] * (double)row[j];
        }
        for (size_t j = 0; j < 12; j++)
            row[j] = row[j] * (float)((i % 20 ? 1 : 3) / sqrt(length)) +
                     (j == 0 ? (i % 2 ? 30.0F : -30.0F) : 0);
        if (i % 20 == 0 && i % 40 == 0) /* half of the outliers on the other side */
            row[0] += 60;
    }
    assert_ok(book_insert(b, 0, 60), &b->bench.error);
    assert_ok(book_insert(b, 60, 500), &b->bench.error);
}

static size_t young_and_small(const struct book *b)
{
    size_t n = 0;

    for (uint32_t i = 0; i < layout_of(b)->n_ood; i++)
        n += live_of(cluster_of(b, layout_of(b)->ood[i])) < book_channi(b)->merge_min;
    return n;
}

static void test_outliers_come_of_age(void **state)
{
    struct book b;

    open_outliers(&b);
    work_off(&b, 0);
    book_check(&b);
    assert_true(book_counter(&b, ood_clusters) > 0);
    assert_true(young_and_small(&b) > 0); /* too small, but young */
    for (uint32_t cid = 0; cid < layout_of(&b)->n_clusters; cid++)
        if (cluster_of(&b, cid) && cluster_of(&b, cid)->kind == CLUSTER_NORMAL)
            starve(&b, cid, 40); /* so that there are partners */
    assert_int_equal(book_counter(&b, merges), 0);
    const uint64_t born = cluster_of(&b, layout_of(&b)->ood[0])->born_ver;
    for (size_t i = 600; book_version(&b) < born + CHANNI_OOD_AGE - 1; i++) {
        assert_ok(book_insert(&b, i, 1), &b.bench.error);
        work_off(&b, 0);
        book_check(&b);
        assert_true(layout_of(&b)->n_ood > 0);
    }
    const size_t small = young_and_small(&b);
    assert_true(small > 0);
    const uint64_t merges = book_counter(&b, merges);
    assert_ok(book_insert(&b, 700, 1), &b.bench.error);
    work_off(&b, 0);
    book_check(&b);
    assert_true(book_counter(&b, merges) > merges);
    assert_true(young_and_small(&b) < small);
    book_end(&b, 20);
}

/* Young OOD clusters merge only with OOD clusters. */
static void test_outliers_merge_with_their_like(void **state)
{
    struct book b;

    open_outliers(&b);
    work_off(&b, 0);
    for (size_t first = 600; first < 2000; first += 100) {
        const size_t rows = b.n;

        assert_ok(book_insert(&b, first, 100), &b.bench.error);
        assert_int_equal(b.n, rows + 100);
        work_off(&b, 0);
        book_check(&b);
        /* Any two small ones are too large together, or there is at most one. */
        for (uint32_t i = 0; i < layout_of(&b)->n_ood; i++)
            for (uint32_t j = 0; j < i; j++) {
                const uint32_t x = live_of(cluster_of(&b, layout_of(&b)->ood[i]));
                const uint32_t y = live_of(cluster_of(&b, layout_of(&b)->ood[j]));
                if (x < book_channi(&b)->merge_min || y < book_channi(&b)->merge_min)
                    assert_true(x + y > book_channi(&b)->split_max / 2);
            }
    }
    assert_true(layout_of(&b)->n_ood > 0);
    /* No merge brings normal rows into an OOD cluster: they hold outliers, and rows of the tail. */
    size_t in = 0, out = 0;
    for (size_t i = 0; i < b.capacity; i++)
        if (b.stored[i] && cluster_of(&b, cid_of(&b, i))->kind == CLUSTER_OOD)
            *(i % 20 == 0 ? &out : &in) += 1;
    assert_true(out > 0);
    book_end(&b, 20);
}

/* OOD clusters scanned by searches of one cluster besides it, for rows that are not stored. */
static uint64_t outliers_scanned(struct book *b, double reach)
{
    const uint64_t before = book_counter(b, ood_touched);
    struct channi_knobs knobs = book_knobs();
    struct book_answer a;

    knobs.nprobe = 1;
    knobs.top_ef = knobs.ood_probe = 1 << 20;
    knobs.ood_reach = reach;
    for (size_t row = 600; row < b->capacity; row += 7)
        assert_ok(book_search_at(b, BOOK_NEWEST, book_row(b, row), 5, &knobs, &a), &b->bench.error);
    return book_counter(b, ood_touched) - before;
}

/* They are those within (1 + reach) times the distance of the cluster; without a reach all are. */
static void test_reach(void **state)
{
    struct book b;
    uint64_t last = 0;
    size_t between = 0;

    open_outliers(&b);
    work_off(&b, 0);
    const uint64_t all = outliers_scanned(&b, 0);
    for (double reach = .25; reach < 1e4; reach *= 1.2) {
        const uint64_t n = outliers_scanned(&b, reach);

        assert_true(n >= last);
        between += n > 0 && n < all;
        last = n;
    }
    assert_true(between > 0 && last == all);
    book_close(&b);
}

/* -------------------------------------------------------------------------------- nearly empty */

/* All deletions in one commit, with many more clusters than candidate partners. */
static void test_all_at_once(void **state)
{
    struct book b;

    open_built(&b, small_clusters(), 1600);
    assert_true(clusters_of(&b) > 40);
    const uint32_t cids = layout_of(&b)->n_clusters;
    book_remove_run(&b, 1, 1599);
    work_off(&b, 0);
    book_check(&b);
    assert_int_equal(clusters_of(&b), 1);
    book_expect(&b, 3, 10);
    book_remove_run(&b, 0, 1);
    work_off(&b, 0);
    book_check(&b);
    assert_int_equal(clusters_of(&b), 1);
    assert_ok(book_insert(&b, 0, 1600), &b.bench.error);
    work_off(&b, 0);
    book_check(&b);
    book_expect(&b, 10, 10);
    assert_true(clusters_of(&b) > 20 && layout_of(&b)->n_clusters <= cids); /* used again */
    book_close(&b);
}

int main(void)
{
    return test_run_all("channi_merge", test_a_merge, test_aliases, test_farthest_alias_is_dropped,
                        test_outliers_come_of_age, test_outliers_merge_with_their_like, test_reach,
                        test_all_at_once);
}
