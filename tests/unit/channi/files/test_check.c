/* test_check.c - check() detects each violated invariant: a valid index with one error. */
#include <sys/stat.h>

#include "tests/unit/channi/support.h"

enum { ROWS = 600, DIM = 12 };

static void build(struct book *b, int64_t inside)
{
    struct channi_params p = book_defaults();

    p.target_cluster = 40;
    p.defer_fraction = 0;
    p.cluster_index = inside;
    p.wal = CHANNI_WRITTEN;
    book_open(b, p, INDEX_U8, DIM, ROWS, 1);
    book_fill(b, 0, ROWS, 12, .4);
    assert_ok(book_insert(b, 0, 400), &b->bench.error);
    for (size_t i = 0; i < 20; i++)
        assert_ok(book_insert(b, 400 + 5 * i, 5), &b->bench.error);
    for (size_t i = 0; i < 60; i++)
        assert_ok(book_remove(b, book_any(b)), &b->bench.error);
    book_check(b);
}

/* check() must fail with `what` in its message. */
static void expect_found(struct book *b, const char *what)
{
    const int rc = channi_ops.check(b->index, NULL);

    if (rc == OK || !strstr(b->bench.error.text, what))
        fail_msg("expected \"%s\", got %s: %s", what, error_name(rc),
                 rc ? b->bench.error.text : "");
    error_clear(&b->bench.error);
}

/* A cluster with a file, live rows other than the root, and delta rows. */
static struct channi_cluster *any_cluster(const struct book *b)
{
    struct channi_layout *l = layout_of(b);

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        if (l->clusters[cid] && l->clusters[cid]->base &&
            channi_delta_count(&l->clusters[cid]->delta) > 0)
            return l->clusters[cid];
    fail_msg("no cluster has a file and a delta");
    return NULL;
}

static uint64_t live_id_of(const struct book *b, const struct channi_cluster *cl)
{
    for (uint64_t id = 0; id < ROWS; id++) {
        struct channi_place at;
        if (channi_place_of(book_channi(b), id, &at) && at.cid == cl->cid)
            return id;
    }
    fail_msg("no row is alive");
    return INDEX_NO_ID;
}

/* --------------------------------------------------------------------------------- places */

static void test_places(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    struct channi *s = book_channi(&b);
    struct channi_cluster *cl = any_cluster(&b);
    const uint64_t id = live_id_of(&b, cl);
    struct channi_place at;

    assert_true(channi_place_of(s, id, &at));
    channi_place_set(s, id, (struct channi_place){ at.cid, at.row + 1 });
    expect_found(&b, "its place is");
    channi_place_set(s, id, (struct channi_place){ at.cid + 1, at.row });
    expect_found(&b, "its place is");
    channi_place_remove(s, id);
    expect_found(&b, "its place is");
    channi_place_add(s, id, at);
    /* A place without a row. */
    const uint64_t more = 1 << 20;
    assert_ok(channi_places_reserve(s, &more, 1), &b.bench.error);
    channi_place_add(s, more, at);
    expect_found(&b, "ids have a place");
    channi_place_remove(s, more);
    book_check(&b);
    book_close(&b);
}

static void test_counts_and_versions(void **state)
{
    static struct book b;
    build(&b, INSIDE_SCAN);
    struct channi_cluster *cl = any_cluster(&b);
    const struct channi_delta_row row = channi_delta_at(&cl->delta, 0);
    const uint64_t born = atomic_load(row.born), dead = atomic_load(row.dead);

    (void)atomic_fetch_add(&cl->live, 1);
    expect_found(&b, "are counted");
    (void)atomic_fetch_sub(&cl->live, 1);
    (void)atomic_fetch_add(&cl->n_dead, 1);
    expect_found(&b, "are counted");
    (void)atomic_fetch_sub(&cl->n_dead, 1);
    atomic_store(row.born, book_version(&b) + 1);
    expect_found(&b, "newest version");
    atomic_store(row.born, born);
    atomic_store(row.dead, book_version(&b) + 1);
    expect_found(&b, "newest version");
    atomic_store(row.dead, dead);
    const uint64_t founded = cl->born_ver;
    cl->born_ver = book_version(&b) + 1;
    expect_found(&b, "founded after");
    cl->born_ver = founded;
    book_check(&b);
    book_close(&b);
}

/* --------------------------------------------------------------------------------- roots */

static void test_roots(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    struct channi_cluster *cl = any_cluster(&b);
    const uint32_t root = cl->root;

    cl->root = (root + 1) % cl->base_n;
    expect_found(&b, "its root is row");
    cl->root = cl->base_n;
    expect_found(&b, "its root is row");
    cl->root = root;
    cl->root_id++;
    expect_found(&b, "the root's id");
    cl->root_id--;
    cl->site[3] ^= 1;
    expect_found(&b, "its site is");
    cl->site[3] ^= 1;
    book_check(&b);
    book_close(&b);
}

/* --------------------------------------------------------------------------------- routes */

static void test_routes(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    struct channi *s = book_channi(&b);
    struct channi_layout *l = layout_of(&b);
    struct channi_cluster *cl = any_cluster(&b);
    const uint32_t route = cl->routes[0];

    l->routes->cid[route] = CID_NONE;
    expect_found(&b, "which leads to");
    l->routes->cid[route] = l->n_clusters;
    expect_found(&b, "which is not there");
    l->routes->cid[route] = cl->cid;
    for (uint32_t cid = 0; cid < l->n_clusters; cid++) {
        if (!l->clusters[cid] || cid == cl->cid)
            continue;
        l->routes->cid[route] = cid; /* one route of two clusters */
        expect_found(&b, "does not list it");
        break;
    }
    l->routes->cid[route] = cl->cid;
    const uint32_t n = cl->n_routes;
    cl->n_routes = 0;
    expect_found(&b, "does not list it");
    l->routes->cid[route] = n == 1 ? CID_NONE : cl->cid;
    if (n == 1)
        expect_found(&b, "has no route");
    l->routes->cid[route] = cl->cid;
    cl->n_routes = n;
    uint64_t *phash = segmented_at(&s->route_phash, route);
    *phash ^= 1;
    expect_found(&b, "is not a route's");
    *phash ^= 1;
    cl->base->phash ^= 1; /* the file belongs to another cluster */
    assert_int_not_equal(channi_ops.check(b.index, NULL), OK);
    error_clear(&b.bench.error);
    cl->base->phash ^= 1;
    s->n_routes++;
    expect_found(&b, "routes in the layout");
    s->n_routes--;
    book_check(&b);
    book_close(&b);
}

/* The routes' graph: a link out of range, to its own node, repeated, and unreachable nodes. */
static void test_graph(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    struct channi_routes *r = layout_of(&b)->routes;
    const uint32_t degree = r->graph.layers[0].degree;

    assert_true(r->graph.narrow && r->n > 3);
    uint16_t *links = (uint16_t *)(uintptr_t)r->graph.layers[0].links;
    uint16_t before[512];
    assert_true(degree <= 512);
    memcpy(before, links, degree * sizeof *links);
    links[1] = (uint16_t)r->n;
    expect_found(&b, "links of layer 0");
    links[1] = 0;
    expect_found(&b, "links of layer 0");
    links[1] = links[2] = 1;
    expect_found(&b, "links of layer 0");
    memcpy(links, before, degree * sizeof *links);
    /* Each node links only to node 0, and node 0 to none. */
    const size_t bytes = r->n * (size_t)degree * sizeof *links;
    uint16_t *all = malloc(bytes);
    memcpy(all, links, bytes);
    memset(links, 0xff, bytes);
    for (uint32_t i = 1; i < r->n; i++)
        links[i * degree] = 0;
    expect_found(&b, "links of layer 0");
    memcpy(links, all, bytes);
    free(all);
    book_check(&b);
    book_close(&b);
}

static void test_layout(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    struct channi *s = book_channi(&b);
    struct channi_layout *l = layout_of(&b);
    struct channi_cluster *cl = any_cluster(&b);
    const enum channi_cluster_kind kind = cl->kind;
    const uint32_t cid = cl->cid;

    cl->cid++;
    expect_found(&b, "is filed under");
    cl->cid = cid;
    cl->kind = kind == CLUSTER_OOD ? CLUSTER_NORMAL : CLUSTER_OOD;
    expect_found(&b, "OOD");
    cl->kind = CLUSTER_DEFERRED;
    expect_found(&b, "is of kind");
    cl->kind = kind;
    /* Past split_max without a queued split. */
    struct channi_latch *latch = segmented_at(&s->latches, cid);
    const uint32_t split_max = s->split_max, tried = atomic_load(&latch->tried);
    for (uint32_t i = 0; i < l->n_clusters; i++)
        atomic_store(&((struct channi_latch *)segmented_at(&s->latches, i))->tried, 0);
    s->split_max = 1;
    expect_found(&b, "past split_max");
    s->split_max = split_max;
    atomic_store(&latch->tried, tried);
    book_check(&b);
    book_close(&b);
}

/* ---------------------------------------------------------------------------------- files */

static void path_of(const struct book *b, const struct channi_base *base, char path[PATH_MAX])
{
    char name[CLUSTER_NAME_MAX];

    channi_cluster_file_name(base->phash, base->version, name);
    (void)snprintf(path, PATH_MAX, "%.3000s/%s", b->dir, name);
}

static void test_files(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    const struct channi_base *base = any_cluster(&b)->base;
    char path[PATH_MAX], other[PATH_MAX + 8];

    path_of(&b, base, path);
    (void)snprintf(other, sizeof other, "%s.aside", path);
    /* A missing file. */
    assert_int_equal(rename(path, other), 0);
    assert_int_not_equal(channi_ops.check(b.index, NULL), OK);
    assert_non_null(strstr(b.bench.error.text, ".clu"));
    error_clear(&b.bench.error);
    assert_int_equal(rename(other, path), 0);
    book_check(&b);
    /* A superfluous file. */
    const struct channi_base orphan = { .phash = base->phash, .version = base->version + 12345 };
    path_of(&b, &orphan, other);
    assert_int_equal(link(path, other), 0);
    expect_found(&b, "nothing refers to");
    assert_int_equal(unlink(other), 0);
    book_check(&b);
    book_close(&b);
}

/* A file that only pinned views or the manifest refer to is not superfluous. */
static void test_files_of_old_views(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    uint64_t version = 0;
    bool more;

    assert_ok(channi_ops.txn->snapshot(b.index, &version), &b.bench.error);
    assert_ok(channi_checkpoint(book_channi(&b)), &b.bench.error);
    const uint64_t splits = book_counter(&b, splits), folds = book_counter(&b, compactions);
    for (size_t i = 0; i < 100; i++)
        assert_ok(book_insert(&b, 500 + i, 1), &b.bench.error);
    for (size_t i = 0; i < 200; i++)
        assert_ok(book_remove(&b, book_any(&b)), &b.bench.error);
    assert_ok(channi_ops.maintain(b.index, 0, &more), &b.bench.error);
    assert_true(book_counter(&b, splits) + book_counter(&b, compactions) > splits + folds);
    book_check(&b);
    assert_ok(channi_checkpoint(book_channi(&b)), &b.bench.error);
    book_check(&b);
    assert_ok(channi_ops.txn->release(b.index, version), &b.bench.error);
    book_check(&b);
    assert_ok(channi_checkpoint(book_channi(&b)), &b.bench.error);
    book_check(&b);
    book_close(&b);
}

static void test_pins(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    struct channi *s = book_channi(&b);
    uint64_t version = 0;

    assert_ok(channi_ops.txn->snapshot(b.index, &version), &b.bench.error);
    s->snapshots[0].version++;
    expect_found(&b, "pin 0");
    s->snapshots[0].version--;
    book_check(&b);
    assert_ok(channi_ops.txn->release(b.index, version), &b.bench.error);
    book_close(&b);
}

static void test_deferred(void **state)
{
    struct book b;
    struct channi_params p = book_defaults();

    p.expected_n = 1000;
    book_open(&b, p, INDEX_F32, DIM, ROWS, 1);
    book_fill(&b, 0, ROWS, 12, .4);
    book_check(&b);
    assert_ok(book_insert(&b, 0, 300), &b.bench.error);
    assert_ok(book_remove(&b, 7), &b.bench.error);
    book_check(&b);
    struct channi_cluster *cl = layout_of(&b)->clusters[0];
    cl->kind = CLUSTER_NORMAL;
    expect_found(&b, "is of kind");
    cl->kind = CLUSTER_DEFERRED;
    (void)atomic_fetch_add(&cl->live, 1);
    expect_found(&b, "are counted");
    (void)atomic_fetch_sub(&cl->live, 1);
    book_check(&b);
    book_close(&b);
}

/* --------------------------------------------------------------------------------- values */

static void test_routability(void **state)
{
    static struct book b;
    build(&b, INSIDE_GRAPH);
    struct test_stat_wanted share = { "routability", -1 };
    struct stat_sink sink = { test_stat_value, test_stat_cell, &share };

    assert_ok(channi_ops.check(b.index, &sink), &b.bench.error);
    assert_true(share.value > .9 && share.value <= 1);
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),      cmocka_unit_test(test_counts_and_versions),
        cmocka_unit_test(test_roots),       cmocka_unit_test(test_routes),
        cmocka_unit_test(test_graph),       cmocka_unit_test(test_layout),
        cmocka_unit_test(test_files),       cmocka_unit_test(test_files_of_old_views),
        cmocka_unit_test(test_pins),        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_routability),
    };
    return test_run("channi_check", tests);
}
