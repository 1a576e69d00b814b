/* test_channi_replace.c - clusters replaced by others: every id stays in one place whatever happens meanwhile,
 * failures leave no trace, and routes are only ever added to. */
#include <errno.h>
#include <sys/stat.h>

#include "algorithms/channi/members.h"
#include "src/core/idmap.h"
#include "tests/unit/test_channi.h"

enum { DIM = 6, ROWS = 600 };

/* ------------------------------------------------------------------------------- an index */

/* Rows 0 .. n-1 in clusters; only the test changes which there are. */
static void open_built(struct book *b, struct channi_params params, enum element element, size_t n)
{
    params.maintenance = CHANNI_EXPLICIT;
    params.target_cluster = 40;
    params.flat_below = 16;
    params.expected_n = (int64_t)n;
    book_open(b, params, element, DIM, ROWS, 2);
    book_fill(b, 0, ROWS, 12, .3);
    assert_ok(book_insert(b, 0, n), &b->bench.error);
    assert_non_null(atomic_load(&book_channi(b)->now)->layout->routes);
    book_check(b);
}

static const struct layout *layout_of(const struct book *b)
{
    return atomic_load(&book_channi(b)->now)->layout;
}

static struct cluster *cluster_of(const struct book *b, uint32_t cid)
{
    return layout_of(b)->clusters[cid];
}

static uint32_t live_of(const struct book *b, uint32_t cid)
{
    return atomic_load(&cluster_of(b, cid)->live);
}

/* The n largest clusters. */
static void largest(const struct book *b, uint32_t *cids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cids[i] = CID_NONE;
        for (uint32_t cid = 0; cid < layout_of(b)->n_clusters; cid++) {
            bool is_new = cluster_of(b, cid) != NULL;

            for (size_t j = 0; j < i; j++)
                is_new &= cids[j] != cid;
            if (is_new && (cids[i] == CID_NONE || live_of(b, cid) > live_of(b, cids[i])))
                cids[i] = cid;
        }
        assert_int_not_equal(cids[i], CID_NONE);
    }
}

static size_t count_clusters(const struct book *b)
{
    size_t n = 0;

    for (uint32_t cid = 0; cid < layout_of(b)->n_clusters; cid++)
        n += cluster_of(b, cid) != NULL;
    return n;
}

static size_t count_files(const struct book *b)
{
    DIR *dir = opendir(b->dir);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += strstr(e->d_name, ".clu") != NULL;
    (void)closedir(dir);
    return n;
}

/* --------------------------------------------------------------------------- replacements */

struct plan {
    uint32_t cids[4];
    size_t n, n_parts;
    bool heir;                      /* the first part is the first cluster's, and has all routes */
    bool go_on;                     /* one part, rows in their order */
    uint64_t seed;                  /* of who goes where */
    void (*between)(struct book *); /* between gathering and replacing */
};

/* Live rows go to the nearest of n_parts roots drawn by chance; the dead anywhere. */
static void partition(struct book *b, const struct plan *plan, const struct members *m,
                      struct part *parts, uint32_t *order)
{
    struct rng rng = rng_at(plan->seed, 1);
    uint32_t of[ROWS], at = 0;

    assert_true(m->n <= ROWS && m->n_live >= plan->n_parts);
    for (size_t p = 0; p < plan->n_parts; p++) {
        bool fresh = false;

        parts[p] = (struct part){ .kind = p % 3 == 2 ? CLUSTER_OOD : CLUSTER_NORMAL,
                                  .heir_of = plan->heir && p == 0 ? 0 : UINT32_MAX,
                                  .routes_of = plan->heir && p == 0 ? 15 : 0,
                                  .new_route = !(plan->heir && p == 0),
                                  .go_on = plan->go_on };
        while (!fresh) {
            parts[p].root = (uint32_t)rng_below(&rng, m->n);
            fresh = m->dead[parts[p].root] == 0;
            for (size_t q = 0; q < p; q++)
                fresh &= parts[q].root != parts[p].root;
        }
    }
    for (size_t i = 0; i < m->n; i++) {
        double least = INFINITY;

        for (size_t p = 0; p < plan->n_parts; p++) {
            const double d =
                i == parts[p].root ? -1 : book_distance(b, m->rows[i], m->rows[parts[p].root]);
            if (d < least) {
                least = d;
                of[i] = (uint32_t)p;
            }
        }
    }
    for (size_t p = 0; p < plan->n_parts; p++) {
        parts[p].rows = order + at;
        for (size_t i = 0; i < m->n; i++)
            if (of[i] == p) {
                order[at++] = (uint32_t)i;
                parts[p].n++;
            }
    }
}

static int replace(struct book *b, const struct plan *plan)
{
    struct channi *c = book_channi(b);
    struct work_on w;
    struct members m;
    struct part parts[16];
    uint32_t order[ROWS];
    bool taken;
    int rc = channi_take(c, plan->cids, plan->n, &w, &taken);

    assert_int_equal(rc, OK);
    assert_true(taken);
    channi_members_init(&m, c);
    rc = channi_gather(c, &w, &m);
    if (rc == OK) {
        struct replacement r = { .parts = parts, .n_parts = plan->n_parts, .threads = 2 };

        partition(b, plan, &m, parts, order);
        if (plan->between)
            plan->between(b);
        rc = channi_replace(c, &w, &m, &r);
    }
    channi_members_free(&m, c);
    channi_give(c, &w);
    epoch_collect(c->epoch);
    return rc;
}

/* ---------------------------------------------------------------------------------- seats */

static void test_seats(void **state)
{
    (void)state;
    struct book b;
    struct work_on w, other;
    bool taken;
    uint32_t cids[3];

    open_built(&b, book_defaults(), ELEMENT_U8, 400);
    struct channi *c = book_channi(&b);
    largest(&b, cids, 3);
    assert_ok(channi_take(c, cids, 2, &w, &taken), &b.bench.error);
    assert_true(taken);
    assert_ptr_equal(w.clusters[0], cluster_of(&b, cids[0]));
    assert_ptr_equal(w.clusters[1], cluster_of(&b, cids[1]));
    /* One of them is taken: nothing of it is held on to. */
    assert_ok(channi_take(c, (uint32_t[]){ cids[2], cids[1] }, 2, &other, &taken), &b.bench.error);
    assert_false(taken);
    assert_ok(channi_take(c, &cids[2], 1, &other, &taken), &b.bench.error);
    assert_true(taken);
    channi_give(c, &other);
    channi_give(c, &w);
    /* No cluster, twice the same, none. */
    assert_ok(channi_take(c, (uint32_t[]){ 100000 }, 1, &w, &taken), &b.bench.error);
    assert_false(taken);
    assert_ok(channi_take(c, (uint32_t[]){ cids[0], cids[0] }, 2, &w, &taken), &b.bench.error);
    assert_false(taken);
    assert_code(channi_take(c, cids, 0, &w, &taken), ERR_ARGUMENT, &b.bench.error);
    assert_ok(channi_take(c, cids, 3, &w, &taken), &b.bench.error);
    assert_true(taken);
    channi_give(c, &w);
    book_close(&b);
}

/* -------------------------------------------------------------------------- ids and names */

static void test_split_and_merge(void **state)
{
    (void)state;
    struct book b;
    struct plan plan = { .n = 1, .n_parts = 4, .heir = true, .seed = test_seed() };

    open_built(&b, book_defaults(), ELEMENT_F32, 500);
    largest(&b, plan.cids, 1);
    const struct cluster *old = cluster_of(&b, plan.cids[0]);
    const uint64_t phash = old->base->phash, version = old->base->version;
    const uint32_t route = old->routes[0], live = live_of(&b, plan.cids[0]);
    const uint32_t n_routes = layout_of(&b)->routes->n;
    const size_t clusters = count_clusters(&b);

    /* A split: one keeps cid, name and route; each other part has a new file and one route. */
    assert_ok(replace(&b, &plan), &b.bench.error);
    book_check(&b);
    const struct cluster *heir = cluster_of(&b, plan.cids[0]);
    assert_int_equal(heir->base->phash, phash);
    assert_true(heir->base->version > version);
    assert_int_equal(heir->n_routes, 1);
    assert_int_equal(heir->routes[0], route);
    assert_int_equal(layout_of(&b)->routes->n, n_routes + 3);
    assert_int_equal(count_clusters(&b), clusters + 3);
    assert_int_equal(count_files(&b), clusters + 3);
    assert_int_equal(layout_of(&b)->n_ood, 1);
    uint32_t sum = live_of(&b, plan.cids[0]);
    for (uint32_t r = n_routes; r < n_routes + 3; r++) {
        const uint32_t cid = layout_of(&b)->routes->cid[r];
        const uint64_t name = *(uint64_t *)stable_at(&book_channi(&b)->route_phash, r);

        assert_int_equal(cluster_of(&b, cid)->base->phash, name);
        assert_true(cluster_of(&b, cid)->drift == 0);
        sum += live_of(&b, cid);
        plan.cids[r - n_routes + 1] = cid;
    }
    assert_int_equal(sum, live);
    book_expect(&b, 20, 10);

    /* All four together again: four routes lead to one file of the old name; no route is gone. */
    plan.n = 4;
    plan.n_parts = 1;
    assert_ok(replace(&b, &plan), &b.bench.error);
    book_check(&b);
    heir = cluster_of(&b, plan.cids[0]);
    assert_int_equal(heir->base->phash, phash);
    assert_int_equal(heir->n_routes, 4);
    assert_int_equal(live_of(&b, plan.cids[0]), live);
    assert_int_equal(layout_of(&b)->routes->n, n_routes + 3);
    assert_int_equal(count_clusters(&b), clusters);
    assert_int_equal(count_files(&b), clusters);
    for (size_t i = 0; i < heir->n_routes; i++)
        assert_int_equal(layout_of(&b)->routes->cid[heir->routes[i]], plan.cids[0]);
    book_expect(&b, 20, 10);

    /* Cids that are free again are the next to be given. */
    const uint32_t n_cids = layout_of(&b)->n_clusters;
    plan.n = 1;
    plan.n_parts = 3;
    assert_ok(replace(&b, &plan), &b.bench.error);
    assert_int_equal(layout_of(&b)->n_clusters, n_cids);
    book_check(&b);
    book_close(&b);
}

/* Mean, deviation and drift are of the rows. */
static void test_measures(void **state)
{
    (void)state;
    struct book b;
    struct plan plan = { .n = 1, .n_parts = 1, .heir = true, .seed = test_seed() + 1 };

    open_built(&b, book_defaults(), ELEMENT_F32, 400);
    largest(&b, plan.cids, 1);
    const unsigned char *route =
        stable_at(&book_channi(&b)->route_rows, cluster_of(&b, plan.cids[0])->routes[0]);
    assert_ok(replace(&b, &plan), &b.bench.error);
    const struct cluster *cl = cluster_of(&b, plan.cids[0]);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < 400; i++) {
        struct place place;

        assert_true(channi_place_of(book_channi(&b), i, &place));
        if (place.cid != plan.cids[0])
            continue;
        const double d = book_distance(&b, book_row(&b, i), cl->root_row);
        sum += sqrt(d);
        squares += d;
    }
    const double n = live_of(&b, plan.cids[0]), mean = sum / n;
    assert_float_equal(cl->mean_d, mean, 1e-4 * mean);
    assert_float_equal(cl->sd_d, sqrt(squares / n - mean * mean), 1e-3);
    assert_float_equal(cl->drift, book_distance(&b, route, cl->root_row), 1e-4);
    assert_memory_equal(cl->root_row, book_row(&b, cl->root_id), b.row_bytes);
    book_close(&b);
}

/* What a cluster's file has from its graph on. */
static unsigned char *file_of(const struct book *b, uint32_t cid, size_t *n)
{
    char path[PATH_MAX + CLUSTER_NAME_MAX], name[CLUSTER_NAME_MAX];
    const struct base *base = cluster_of(b, cid)->base;

    cluster_file_name(base->phash, base->version, name);
    (void)snprintf(path, sizeof path, "%s/%s", b->dir, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *n = base->file_bytes - CLUSTER_HEAD;
    unsigned char *bytes = malloc(*n);
    assert_non_null(bytes);
    assert_int_equal(fseek(f, CLUSTER_HEAD, SEEK_SET), 0);
    assert_int_equal(fread(bytes, 1, *n, f), *n);
    (void)fclose(f);
    return bytes;
}

struct folded {
    unsigned char *first, *second, *third;
    size_t n_first, n_second, n_third;
};

/* Every second row of the file's, and so more than a graph goes on without. */
static void remove_half(struct book *b, uint32_t cid)
{
    const uint32_t base_n = cluster_of(b, cid)->base_n;
    struct place at;

    for (size_t i = 0; i < 600; i++)
        if (channi_place_of(book_channi(b), i, &at) && at.cid == cid && at.row < base_n &&
            at.row % 2 == 0)
            assert_ok(book_remove(b, i), &b->bench.error);
}

static struct folded fold_one(bool go_on)
{
    struct book b;
    struct plan plan = { .n = 1, .n_parts = 1, .heir = true, .go_on = go_on, .seed = test_seed() };
    struct place before[ROWS], after;
    struct folded f;

    open_built(&b, book_defaults(), ELEMENT_U8, 400);
    largest(&b, plan.cids, 1);
    const uint32_t base_n = cluster_of(&b, plan.cids[0])->base_n;
    for (size_t i = 0; i < 400; i++)
        assert_true(channi_place_of(book_channi(&b), i, &before[i]));
    assert_ok(book_insert(&b, 400, 200), &b.bench.error);
    const uint32_t delta = delta_count(&cluster_of(&b, plan.cids[0])->delta);
    assert_true(delta > 0);
    assert_ok(replace(&b, &plan), &b.bench.error);
    assert_int_equal(cluster_of(&b, plan.cids[0])->base_n, base_n + delta);
    assert_int_equal(delta_count(&cluster_of(&b, plan.cids[0])->delta), 0);
    for (size_t i = 0; i < 400; i++) {
        assert_true(channi_place_of(book_channi(&b), i, &after));
        assert_int_equal(after.cid, before[i].cid);
        assert_int_equal(after.row, before[i].row);
    }
    book_check(&b);
    book_expect(&b, 20, 10);
    f.first = file_of(&b, plan.cids[0], &f.n_first);
    /* A row of the file is gone, and as many are there. */
    const uint64_t root = cluster_of(&b, plan.cids[0])->root_id;
    assert_ok(book_remove(&b, root), &b.bench.error);
    assert_ok(book_insert(&b, root, 1), &b.bench.error);
    assert_ok(replace(&b, &plan), &b.bench.error);
    assert_int_equal(cluster_of(&b, plan.cids[0])->base_n, base_n + delta);
    f.second = file_of(&b, plan.cids[0], &f.n_second);
    book_check(&b);
    book_expect(&b, 20, 10);
    remove_half(&b, plan.cids[0]);
    assert_ok(replace(&b, &plan), &b.bench.error);
    f.third = file_of(&b, plan.cids[0], &f.n_third);
    book_check(&b);
    book_expect(&b, 20, 10);
    book_close(&b);
    return f;
}

/* A graph that goes on from the file's is as good as one that is made anew, and another; its rows keep their
   places. So it is where a row of the file is gone; where too many are it is made anew. */
static void test_go_on(void **state)
{
    (void)state;
    const struct folded on = fold_one(true), anew = fold_one(false);

    assert_int_equal(on.n_first, anew.n_first);
    assert_memory_not_equal(on.first, anew.first, on.n_first);
    assert_int_equal(on.n_second, anew.n_second);
    assert_memory_not_equal(on.second, anew.second, on.n_second);
    assert_int_equal(on.n_third, anew.n_third);
    assert_memory_equal(on.third, anew.third, on.n_third);
    free(on.first);
    free(on.second);
    free(on.third);
    free(anew.first);
    free(anew.second);
    free(anew.third);
}

/* ------------------------------------------------------------------------------ gathering */

/* What a commit under way has marked is not yet dead, and what never was committed is not there. */
static void test_gather_committed(void **state)
{
    (void)state;
    struct book b;
    struct work_on w;
    struct members m;
    bool taken;
    uint32_t cid;

    open_built(&b, book_defaults(), ELEMENT_U8, 400);
    assert_ok(book_insert(&b, 400, 100), &b.bench.error);
    struct channi *c = book_channi(&b);
    largest(&b, &cid, 1);
    const struct cluster *cl = cluster_of(&b, cid);
    const uint32_t live = live_of(&b, cid);
    assert_true(delta_count(&cl->delta) > 2);
    atomic_store(delta_at(&cl->delta, 0).dead, book_version(&b) + 1);
    atomic_store(delta_at(&cl->delta, 1).dead, book_version(&b));
    const uint64_t born = atomic_exchange(delta_at(&cl->delta, 2).born, ROW_VOID);
    channi_members_init(&m, c);
    assert_ok(channi_take(c, &cid, 1, &w, &taken), &b.bench.error);
    assert_true(taken);
    assert_ok(channi_gather(c, &w, &m), &b.bench.error);
    assert_int_equal(m.n, live - 2);
    assert_int_equal(m.n_live, live - 2);
    for (size_t i = 0; i < m.n; i++) {
        const uint32_t row = m.row[i];

        assert_int_equal(m.dead[i], 0);
        assert_true(row != cl->base_n + 1 && row != cl->base_n + 2);
        assert_memory_equal(m.rows[i], book_row(&b, m.ids[i]), b.row_bytes);
    }
    channi_members_free(&m, c);
    channi_give(c, &w);
    atomic_store(delta_at(&cl->delta, 0).dead, 0);
    atomic_store(delta_at(&cl->delta, 1).dead, 0);
    atomic_store(delta_at(&cl->delta, 2).born, born);
    book_close(&b);
}

/* ------------------------------------------------------------------------------- carrying */

static size_t between_from; /* the first row that is inserted meanwhile */

/* Some come, some die, one of those that came dies again, and one dies and comes again. */
static void traffic(struct book *b)
{
    const size_t first = between_from;

    assert_ok(book_insert(b, first, 25), &b->bench.error);
    for (size_t i = 0; i < 30; i++)
        assert_ok(book_remove(b, book_any(b)), &b->bench.error);
    if (b->stored[first + 3])
        assert_ok(book_remove(b, first + 3), &b->bench.error);
    const uint64_t id = book_any(b);
    assert_ok(book_remove(b, id), &b->bench.error);
    assert_ok(book_insert(b, id, 1), &b->bench.error);
    between_from += 25;
}

static void carry_over(int64_t history, enum channi_inside inside)
{
    struct channi_params params = book_defaults();
    struct book b;
    struct plan plan = { .between = traffic };

    params.history = history;
    params.inside = inside;
    params.eps0 = 12;
    open_built(&b, params, ELEMENT_U8, 400);
    between_from = 400;
    for (size_t round = 0; round < 7; round++) {
        plan.n = 1 + round % 3;
        plan.n_parts = 1 + round % 4;
        plan.heir = round % 2 == 0;
        plan.seed = test_seed() + round;
        largest(&b, plan.cids, plan.n);
        assert_ok(replace(&b, &plan), &b.bench.error);
        book_check(&b);
        book_expect(&b, 10, 10);
    }
    assert_true(book_counter(&b, carried) > 0);
    book_close(&b);
}

static void test_carry_over(void **state)
{
    (void)state;
    print_message("seed %" PRIu64 "\n", test_seed());
    carry_over(0, INSIDE_GRAPH);
    carry_over(0, INSIDE_CODES);
    carry_over(50, INSIDE_SCAN);
    carry_over(3, INSIDE_GRAPH);
}

/* A carried row is where the new root is nearest. */
static void one_more(struct book *b)
{
    assert_ok(book_insert(b, between_from, 1), &b->bench.error);
}

static void test_carried_to_the_nearest(void **state)
{
    (void)state;
    struct book b;
    size_t tried = 0;

    open_built(&b, book_defaults(), ELEMENT_F32, 400);
    for (between_from = 400; between_from < 440; between_from++) {
        struct plan plan = { .n_parts = 3,
                             .seed = test_seed() + between_from,
                             .between = one_more };
        struct place place;
        const uint64_t carried = book_counter(&b, carried);

        plan.n = count_clusters(&b) < 4 ? count_clusters(&b) : 4;
        largest(&b, plan.cids, plan.n);
        assert_ok(replace(&b, &plan), &b.bench.error);
        if (book_counter(&b, carried) == carried)
            continue; /* it belonged to another */
        assert_true(channi_place_of(book_channi(&b), between_from, &place));
        const double here =
            book_distance(&b, book_row(&b, between_from), cluster_of(&b, place.cid)->root_row);
        for (uint32_t r = layout_of(&b)->routes->n - 3; r < layout_of(&b)->routes->n; r++)
            assert_true(here <= book_distance(&b, book_row(&b, between_from),
                                              stable_at(&book_channi(&b)->route_rows, r)) +
                                    1e-5);
        tried++;
    }
    assert_true(tried > 5);
    book_check(&b);
    book_close(&b);
}

/* Versions that are kept see what they saw: rows that have died since are in the new files. */
static void test_history(void **state)
{
    (void)state;
    struct channi_params params = book_defaults();
    bool stored[ROWS];
    struct book b;

    params.history = 1000;
    open_built(&b, params, ELEMENT_U8, 400);
    for (size_t round = 0; round < 5; round++) {
        struct plan plan = { .n = 2, .n_parts = 2, .heir = true, .seed = test_seed() + round };
        const uint64_t version = book_version(&b);

        memcpy(stored, b.stored, sizeof stored);
        for (size_t i = 0; i < 40; i++)
            assert_ok(book_remove(&b, book_any(&b)), &b.bench.error);
        largest(&b, plan.cids, 2);
        assert_ok(replace(&b, &plan), &b.bench.error);
        book_check(&b);
        for (size_t i = 0; i < 10; i++)
            book_expect_at(&b, version, stored, book_row(&b, 37 * i), 10);
        book_expect(&b, 10, 10);
    }
    book_close(&b);
}

/* --------------------------------------------------------------------------------- routes */

/* An image of routes that somebody holds is byte for byte what it was, whatever is added. */
static void test_routes_append_only(void **state)
{
    (void)state;
    struct book b;
    struct {
        struct view *view;
        unsigned char *block, *rows;
        uint32_t *cid;
    } held[12];
    const size_t n_held = sizeof held / sizeof *held;

    open_built(&b, book_defaults(), ELEMENT_U8, 500);
    struct channi *c = book_channi(&b);
    for (size_t i = 0; i < n_held; i++) {
        struct plan plan = {
            .n = 1 + i % 2, .n_parts = 2, .heir = i % 3 > 0, .seed = test_seed() + i
        };
        struct view *view = atomic_load(&c->now);
        const struct routes *r = view->layout->routes;

        (void)atomic_fetch_add(&view->refs, 1);
        held[i].view = view;
        held[i].block = malloc(r->block_bytes);
        held[i].cid = malloc(r->n * sizeof *r->cid);
        held[i].rows = malloc(r->n * b.row_bytes);
        assert_true(held[i].block && held[i].cid && held[i].rows);
        memcpy(held[i].block, r->block, r->block_bytes);
        memcpy(held[i].cid, r->cid, r->n * sizeof *r->cid);
        for (uint32_t j = 0; j < r->n; j++)
            memcpy(held[i].rows + j * b.row_bytes, stable_at(&c->route_rows, j), b.row_bytes);
        largest(&b, plan.cids, plan.n);
        assert_ok(replace(&b, &plan), &b.bench.error);
        assert_true(layout_of(&b)->routes->n > r->n);
    }
    for (size_t i = 0; i < n_held; i++) {
        const struct routes *r = held[i].view->layout->routes;

        assert_memory_equal(r->block, held[i].block, r->block_bytes);
        assert_memory_equal(r->cid, held[i].cid, r->n * sizeof *r->cid);
        for (uint32_t j = 0; j < r->n; j++)
            assert_memory_equal(r->rows.chunks[j / STABLE_CHUNK] + j % STABLE_CHUNK * b.row_bytes,
                                held[i].rows + j * b.row_bytes, b.row_bytes);
        free(held[i].block);
        free(held[i].cid);
        free(held[i].rows);
        view_unref(c, held[i].view);
    }
    book_check(&b); /* the files that only they kept are gone too */
    book_close(&b);
}

/* Without the graph that grew, as after a load, the next addition goes on from the image. */
static void test_routes_thawed(void **state)
{
    (void)state;
    struct book b;
    struct plan plan = { .n = 1, .n_parts = 3, .heir = true, .seed = test_seed() };

    open_built(&b, book_defaults(), ELEMENT_F32, 500);
    struct channi *c = book_channi(&b);
    graph_destroy(c->top);
    c->top = NULL;
    const uint32_t n = layout_of(&b)->routes->n;
    largest(&b, plan.cids, 1);
    assert_ok(replace(&b, &plan), &b.bench.error);
    assert_int_equal(layout_of(&b)->routes->n, n + 2);
    assert_int_equal(graph_live(c->top), n + 2);
    book_check(&b);
    book_expect(&b, 20, 10);
    book_close(&b);
}

/* ------------------------------------------------------------------------------- failures */

struct trace {
    uint64_t version, layout;
    size_t files, routes, phashes, clusters, bytes;
};

static struct trace trace_of(const struct book *b)
{
    const struct channi *c = book_channi(b);

    return (struct trace){ .version = book_version(b),
                           .layout = layout_of(b)->number,
                           .files = count_files(b),
                           .routes = c->n_routes,
                           .phashes = c->by_phash.n,
                           .clusters = count_clusters(b) };
}

static void expect_trace(const struct book *b, const struct trace *was)
{
    const struct trace is = trace_of(b);

    assert_memory_equal(&is, was, sizeof is);
}

/* The i-th allocation fails, for all i, alone or with all after it. */
static void fail_allocations(enum channi_inside inside, bool all_after, const struct plan *given)
{
    struct channi_params params = book_defaults();
    struct plan plan = *given;
    struct book b;
    bool hit = true;
    size_t at = 1;

    params.inside = inside;
    params.eps0 = 12; /* so that no code's bound fails */
    params.history = inside == INSIDE_SCAN ? 100 : 0;
    open_built(&b, params, ELEMENT_U8, 400);
    assert_ok(book_insert(&b, 400, 50), &b.bench.error);
    largest(&b, plan.cids, plan.n);
    const struct trace was = trace_of(&b);
    struct mem *mem = &b.bench.mem;
    for (; hit; at++) {
        mem->fail_after = all_after;
        atomic_store(&mem->failed, false);
        mem->fail_at = atomic_load(&mem->calls) + at;
        const int rc = replace(&b, &plan);
        mem->fail_at = 0;
        hit = atomic_load(&mem->failed);
        if (rc == OK)
            break; /* or it was one that can be done without */
        assert_code(rc, ERR_NO_MEMORY, &b.bench.error);
        expect_trace(&b, &was);
        if (at % 7 == 0)
            book_check(&b);
        if (at % 16 == 0)
            book_expect(&b, 2, 10);
    }
    assert_true(at > 20);
    book_check(&b);
    book_expect(&b, 10, 10);
    book_close(&b);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    const struct plan split = { .n = 1, .n_parts = 3, .heir = true, .seed = test_seed() };
    const struct plan merge = { .n = 2, .n_parts = 1, .heir = true, .seed = test_seed() };
    const struct plan fold = {
        .n = 1, .n_parts = 1, .heir = true, .go_on = true, .seed = test_seed()
    };
    const struct plan anew = { .n = 2, .n_parts = 3, .seed = test_seed() };

    fail_allocations(INSIDE_GRAPH, true, &split);
    fail_allocations(INSIDE_GRAPH, false, &merge);
    fail_allocations(INSIDE_GRAPH, true, &fold);
    fail_allocations(INSIDE_SCAN, false, &anew);
    fail_allocations(INSIDE_CODES, true, &anew);
}

struct faults {
    size_t at, calls;
    char call[32];
};

static int fault(void *to, const char *call)
{
    struct faults *f = to;

    if (++f->calls != f->at)
        return 0;
    (void)snprintf(f->call, sizeof f->call, "%s", call);
    return EIO;
}

/* Each system call that writing the files makes fails in turn. */
static void test_files_fail(void **state)
{
    (void)state;
    struct channi_params params = book_defaults();
    struct faults faults = { .at = 0 };
    const struct store_fault hook = { fault, &faults };
    const struct channi_opening opening = { .fault = &hook };
    struct plan plan = { .n = 1, .n_parts = 3, .seed = test_seed() };
    struct book b;
    size_t opens = 0, writes = 0, syncs = 0;

    params.maintenance = CHANNI_EXPLICIT;
    params.target_cluster = 40;
    params.expected_n = 400;
    book_begin(&b, params, ELEMENT_U8, DIM, ROWS, 1);
    struct channi *c;
    assert_ok(channi_create_with(&c, &b.bench.env, &params, &opening), &b.bench.error);
    b.index = &c->base;
    book_fill(&b, 0, ROWS, 12, .3);
    assert_ok(book_insert(&b, 0, 400), &b.bench.error);
    c->params.durability = CHANNI_SYNCED; /* files only: there is no journal */
    largest(&b, plan.cids, 1);
    const struct trace was = trace_of(&b);
    for (size_t at = 1;; at++) {
        faults = (struct faults){ .at = at };
        const int rc = replace(&b, &plan);
        const bool hit = faults.calls >= at;

        faults.at = 0;
        if (rc == OK && (!hit || strcmp(faults.call, "unlink") == 0))
            break;
        assert_code(rc, ERR_IO, &b.bench.error);
        opens += strcmp(faults.call, "open") == 0;
        writes += strcmp(faults.call, "write") == 0;
        syncs += strcmp(faults.call, "fsync") == 0;
        expect_trace(&b, &was);
        book_check(&b);
    }
    assert_true(opens >= 3 && writes >= 3 && syncs >= 3);
    book_expect(&b, 10, 10);
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seats),
        cmocka_unit_test(test_split_and_merge),
        cmocka_unit_test(test_measures),
        cmocka_unit_test(test_go_on),
        cmocka_unit_test(test_gather_committed),
        cmocka_unit_test(test_carry_over),
        cmocka_unit_test(test_carried_to_the_nearest),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_routes_append_only),
        cmocka_unit_test(test_routes_thawed),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_files_fail),
    };
    return test_run("channi_replace", tests);
}
