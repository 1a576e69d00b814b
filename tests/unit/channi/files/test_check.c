/* test_check.c - check() detects each violated invariant: a valid index with one error. */
#include <sys/stat.h>

#include "tests/unit/channi/support.h"

enum { ROWS = 600, DIM = 12 };

static struct book b;

static struct channi *build(int64_t inside)
{
    struct channi_params p = book_defaults("target_cluster=40,defer_fraction=0,wal=written");

    p.cluster_index = inside;
    book_open(&b, p, INDEX_U8, DIM, ROWS, 1);
    book_start(&b, 12, .4, 400);
    for (size_t i = 0; i < 20; i++)
        assert_ok(book_insert(&b, 400 + 5 * i, 5), &b.bench.error);
    for (size_t i = 0; i < 60; i++)
        assert_ok(book_remove(&b, book_any(&b)), &b.bench.error);
    book_check(&b);
    return book_channi(&b);
}

static void end(void)
{
    book_check_and_close(&b);
}

/* check() must fail with `what` in its message. */
static void expect_found(const char *what)
{
    const int rc = channi_ops.check(b.index, NULL);

    if (rc == OK || !strstr(b.bench.error.text, what))
        fail_msg("expected \"%s\", got %s: %s", what, error_name(rc), rc ? b.bench.error.text : "");
    error_clear(&b.bench.error);
}

/* The same while the field has another value. */
static void expect_wrong(void *field, size_t bytes, uint64_t value, const char *what)
{
    uint64_t kept;

    memcpy(&kept, field, bytes);
    memcpy(field, &value, bytes);
    expect_found(what);
    memcpy(field, &kept, bytes);
}
#define WRONG(field, value, what) expect_wrong(&(field), sizeof(field), (uint64_t)(value), what)

/* A cluster with a file, live rows other than the root, and delta rows. */
static struct channi_cluster *any_cluster(void)
{
    struct channi_cluster *cl;

    for (uint32_t next = 0; (cl = channi_layout_next(layout_of(&b), &next));)
        if (cl->base && channi_delta_count(&cl->delta) > 0)
            return cl;
    fail_msg("no cluster has a file and a delta");
    return NULL;
}

static void test_places(void **state)
{
    struct channi *s = build(INSIDE_GRAPH);
    const uint32_t cid = any_cluster()->cid;
    uint64_t id = 0, more = 1 << 20;
    struct channi_place at;

    while (!channi_place_of(s, id, &at) || at.cid != cid)
        assert_true(++id < ROWS);
    channi_place_set(s, id, (struct channi_place){ at.cid, at.row + 1 });
    expect_found("its place is");
    channi_place_set(s, id, (struct channi_place){ at.cid + 1, at.row });
    expect_found("its place is");
    channi_place_remove(s, id);
    expect_found("its place is");
    channi_place_add(s, id, at);
    /* A place without a row. */
    assert_ok(channi_places_reserve(s, &more, 1), &b.bench.error);
    channi_place_add(s, more, at);
    expect_found("ids have a place");
    channi_place_remove(s, more);
    end();
}

static void test_fields(void **state)
{
    struct channi *s = build(INSIDE_GRAPH);
    struct channi_layout *l = layout_of(&b);
    struct channi_cluster *cl = any_cluster();
    const struct channi_delta_row row = channi_delta_at(&cl->delta, 0);
    const uint64_t later = book_version(&b) + 1;
    uint64_t version = 0;

    WRONG(cl->live, cl->live + 1, "are counted");
    WRONG(cl->n_dead, cl->n_dead + 1, "are counted");
    WRONG(*row.born, later, "newest version");
    WRONG(*row.dead, later, "newest version");
    WRONG(cl->born_ver, later, "founded after");
    /* The root. */
    WRONG(cl->base->root, (cl->base->root + 1) % cl->base_n, "its root is row");
    WRONG(cl->root_id, cl->root_id + 1, "the root's id");
    WRONG(cl->site[3], cl->site[3] ^ 1, "its site is");
    /* The layout. */
    WRONG(cl->cid, cl->cid + 1, "is filed under");
    WRONG(cl->kind, cl->kind == CLUSTER_OOD ? CLUSTER_NORMAL : CLUSTER_OOD, "OOD");
    WRONG(cl->kind, CLUSTER_DEFERRED, "is of kind");
    for (uint32_t i = 0; i < l->n_clusters; i++)
        atomic_store(&((struct channi_latch *)segmented_at(&s->latches, i))->tried, 0);
    WRONG(s->split_max, 1, "past split_max"); /* without a queued split */
    assert_ok(channi_ops.txn->snapshot(b.index, &version), &b.bench.error);
    WRONG(s->snapshots[0].version, version + 1, "pin 0");
    assert_ok(channi_ops.txn->release(b.index, version), &b.bench.error);
    end();
}

static void test_routes(void **state)
{
    struct channi *s = build(INSIDE_GRAPH);
    struct channi_layout *l = layout_of(&b);
    struct channi_cluster *cl = any_cluster();
    uint32_t *to = &l->routes->cid[cl->routes[0]], next = 0;
    uint64_t *phash = segmented_at(&s->route_phash, cl->routes[0]);
    const struct channi_cluster *other = channi_layout_next(l, &next);

    if (other == cl)
        other = channi_layout_next(l, &next);
    WRONG(*to, CID_NONE, "which leads to");
    WRONG(*to, l->n_clusters, "which is not there");
    WRONG(*to, other->cid, "does not list it"); /* one route of two clusters */
    WRONG(cl->n_routes, 0, "does not list it");
    if (cl->n_routes == 1) {
        *to = CID_NONE;
        WRONG(cl->n_routes, 0, "has no route");
        *to = cl->cid;
    }
    WRONG(*phash, *phash ^ 1, "is not a route's");
    WRONG(cl->base->phash, cl->base->phash ^ 1, ""); /* the file belongs to another cluster */
    WRONG(s->n_routes, s->n_routes + 1, "routes in the layout");
    end();
}

/* The routes' graph: a link out of range, to its own node, repeated, and unreachable nodes. */
static void test_graph(void **state)
{
    (void)build(INSIDE_GRAPH);
    struct channi_routes *r = layout_of(&b)->routes;
    const uint32_t degree = r->graph.layers[0].degree;
    const size_t bytes = r->n * (size_t)degree * sizeof(uint16_t);
    uint16_t *links = (uint16_t *)(uintptr_t)r->graph.layers[0].links, *all = malloc(bytes);

    assert_true(r->graph.narrow && r->n > 3);
    WRONG(links[1], r->n, "links of layer 0");
    WRONG(links[1], 0, "links of layer 0");
    WRONG(links[2], links[1], "links of layer 0");
    /* Each node links only to node 0, and node 0 to none. */
    memcpy(all, links, bytes);
    memset(links, 0xff, bytes);
    for (uint32_t i = 1; i < r->n; i++)
        links[i * degree] = 0;
    expect_found("links of layer 0");
    memcpy(links, all, bytes);
    free(all);
    end();
}

static void test_files(void **state)
{
    (void)build(INSIDE_GRAPH);
    const struct channi_base *base = any_cluster()->base;
    char path[PATH_MAX], other[PATH_MAX];

    assert_int_equal(
        channi_cluster_file_path(&b.bench.env, base->phash, base->version + 12345, other), OK);
    assert_int_equal(channi_cluster_file_path(&b.bench.env, base->phash, base->version, path), OK);
    assert_int_equal(link(path, other), 0); /* superfluous */
    expect_found("nothing refers to");
    assert_int_equal(unlink(path), 0);
    expect_found(".clu");
    assert_int_equal(rename(other, path), 0);
    end();
}

/* A file that only pinned views or the manifest refer to is not superfluous. */
static void test_files_of_old_views(void **state)
{
    (void)build(INSIDE_GRAPH);
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
    end();
}

static void test_deferred(void **state)
{

    book_open(&b, book_defaults("expected_n=1000"), INDEX_F32, DIM, ROWS, 1);
    book_fill(&b, 0, ROWS, 12, .4);
    book_check(&b);
    assert_ok(book_insert(&b, 0, 300), &b.bench.error);
    assert_ok(book_remove(&b, 7), &b.bench.error);
    struct channi_cluster *cl = layout_of(&b)->clusters[0];
    WRONG(cl->kind, CLUSTER_NORMAL, "is of kind");
    WRONG(cl->live, cl->live + 1, "are counted");
    end();
}

static void test_routability(void **state)
{
    struct test_stat_wanted share = { "routability", -1 };
    struct stat_sink sink = { test_stat_value, test_stat_cell, &share };

    (void)build(INSIDE_SCAN);
    assert_ok(channi_ops.check(b.index, &sink), &b.bench.error);
    assert_true(share.value > .9 && share.value <= 1);
    end();
}

int main(void)
{
    return test_run_all("channi_check", test_places, test_fields, test_routes, test_graph,
                        test_files, test_files_of_old_views, test_deferred, test_routability);
}
