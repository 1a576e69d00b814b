/* test_channi_upkeep.c - splits and folds as they are done: one after another, at commits, by maintain(), by several
 * threads, beside readers of old versions, and when something fails. */
#include <errno.h>
#include <pthread.h>

#include "algorithms/channi/upkeep.h"
#include "tests/unit/test_channi_upkeep.h"

static struct channi_params fifty(void)
{
    struct channi_params p = book_defaults();

    p.target_cluster = 50; /* split past 200, merged below 6 */
    p.split_max = p.merge_min = 0;
    p.expected_n = 500;
    return p;
}

/* --------------------------------------------------------------------------------- growth */

static void test_growth(void **state)
{
    (void)state;
    const struct {
        enum element element;
        enum channi_inside inside;
        size_t threads;
        int64_t history;
    } cases[] = { { ELEMENT_F32, INSIDE_GRAPH, 1, 0 },
                  { ELEMENT_U8, INSIDE_SCAN, 3, 0 },
                  { ELEMENT_F32, INSIDE_CODES, 1, 5 },
                  { ELEMENT_U8, INSIDE_GRAPH, 1, 1000 } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params p = fifty();
        struct book b;

        p.inside = cases[i].inside;
        p.history = cases[i].history;
        p.eps0 = 12;
        book_open(&b, p, cases[i].element, 12, 3000, cases[i].threads);
        book_fill(&b, 0, 3000, 20, 0.3);
        for (size_t first = 0; first < 3000; first += 100) {
            assert_ok(book_insert(&b, first, 100), &b.bench.error);
            book_check(&b);
        }
        assert_true(book_counter(&b, splits) > 0);
        assert_true(book_counter(&b, folds) > 0);
        assert_int_equal(book_counter(&b, job_errors), 0);
        assert_int_equal(channi_queued(book_channi(&b)), 0);
        book_expect(&b, 20, 10);
        work_off(&b, 0);
        book_check(&b);
        book_close(&b);
    }
}

/* ------------------------------------------------------------------------------- one split */

/* Rows about the middle of one cluster, until it is past its limit. Its cid. */
static uint32_t overfill(struct book *b, size_t first)
{
    const uint32_t cid = cid_of(b, 0);
    const struct cluster *cl = cluster_of(b, cid);
    size_t next = first;

    for (; live_of(cluster_of(b, cid)) <= book_channi(b)->split_max; next++) {
        assert_true(next < b->capacity);
        for (size_t j = 0; j < b->dim; j++)
            ((float *)book_row(b, next))[j] = ((const float *)(const void *)cl->root_row)[j] +
                                              (float)(0.05 * rng_normal(&b->rng)) +
                                              (float)(next % 2 && j == 0 ? 0.2 : 0);
        assert_ok(book_insert(b, next, 1), &b->bench.error);
    }
    return cid;
}

/* Split past 80, merged below 9: much to do for few rows. */
static struct channi_params twenty(void)
{
    struct channi_params p = fifty();

    p.target_cluster = 20;
    p.expected_n = 100;
    p.merge_min = 9;
    return p;
}

static void open_explicit(struct book *b, struct channi_params p)
{
    p.maintenance = CHANNI_EXPLICIT;
    book_open(b, p, ELEMENT_F32, 8, 2000, 1);
    book_fill(b, 0, 400, 8, 0.2);
    assert_ok(book_insert(b, 0, 400), &b->bench.error);
    assert_non_null(layout_of(b)->routes);
}

/* What the spec says of a split: one old root changes, a route a new part, the old file name goes on. */
static void test_a_split(void **state)
{
    (void)state;
    struct book b;
    struct before was;
    double cost = 0;
    bool busy;

    struct channi_params p = fifty();
    p.settle = 0; /* no other cluster changes */
    open_explicit(&b, p);
    const uint32_t cid = overfill(&b, 400);
    before_take(&was, &b);
    assert_int_equal(channi_needs(book_channi(&b), cluster_of(&b, cid)), JOB_SPLIT);
    assert_ok(channi_split(book_channi(&b), cid, &cost, &busy), &b.bench.error);
    assert_false(busy);
    assert_true(cost > 0);
    assert_int_equal(book_counter(&b, splits), 1);
    const size_t parts = book_counter(&b, split_parts), ood = book_counter(&b, ood_clusters);
    assert_in_range(parts - ood, 2, 3);
    assert_int_equal(layout_of(&b)->routes->n, was.n_routes + parts - 1);
    size_t founded = 0;
    for (uint32_t i = 0; i < layout_of(&b)->n_clusters; i++) {
        const struct cluster *cl = cluster_of(&b, i);
        const bool old = i < was.n_clusters && was.clusters[i].there;

        founded += cl && !old;
        if (!old)
            continue;
        assert_non_null(cl);
        assert_int_equal(cl->base->phash, was.clusters[i].phash);
        assert_true((cl->base->version > was.clusters[i].file) == (i == cid));
        assert_true(has_file(&b, cl->base));
        if (i != cid)
            assert_int_equal(cl->root_id, was.clusters[i].root_id);
    }
    assert_int_equal(founded, parts - 1);
    for (uint32_t i = 0; i < was.n_routes; i++)
        assert_int_equal(layout_of(&b)->routes->cid[i], was.routes[i].cid);
    expect_routes_stay(&was, &b);
    before_free(&was);
    book_check(&b);
    book_expect(&b, 20, 10);
    book_close(&b);
}

static void test_a_split_without_reuse(void **state)
{
    (void)state;
    struct channi_params p = fifty();
    struct book b;
    struct before was;
    double cost = 0;
    bool busy;

    p.reuse = false;
    open_explicit(&b, p);
    const uint32_t cid = overfill(&b, 400);
    before_take(&was, &b);
    assert_ok(channi_split(book_channi(&b), cid, &cost, &busy), &b.bench.error);
    const size_t parts = book_counter(&b, split_parts);
    assert_int_equal(layout_of(&b)->routes->n, was.n_routes + parts);
    for (uint32_t i = 0; i < was.n_routes; i++)
        assert_int_equal(layout_of(&b)->routes->cid[i],
                         was.routes[i].cid == cid ? CID_NONE : was.routes[i].cid);
    assert_int_equal(cluster_of(&b, cid)->n_routes, 1);
    assert_true(cluster_of(&b, cid)->drift == 0);
    before_free(&was);
    book_check(&b);
    book_expect(&b, 20, 10);
    book_close(&b);
}

/* The cluster a search with nprobe 1 looks at, by a scan: of the five nearest by route the one nearest by root or
   route. */
static uint32_t probed_cluster(struct book *b, const void *row, double *least)
{
    enum { CANDIDATES = 5 };
    const struct layout *l = layout_of(b);
    uint32_t cids[CANDIDATES + 1], best = CID_NONE;
    double distances[CANDIDATES + 1];
    size_t n = 0;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++) {
        double d = INFINITY;
        size_t at = n;

        for (uint32_t r = 0; r < l->routes->n; r++)
            if (l->routes->cid[r] == cid)
                d = fmin(d, book_distance(b, row, upkeep_route_row(book_channi(b), r)));
        if (!l->clusters[cid])
            continue;
        for (; at > 0 && distances[at - 1] > d; at--) {
            distances[at] = distances[at - 1];
            cids[at] = cids[at - 1];
        }
        distances[at] = d;
        cids[at] = cid;
        n += n < CANDIDATES;
    }
    *least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double d = fmin(distances[i], book_distance(b, row, l->clusters[cids[i]]->root_row));

        if (d < *least) {
            *least = d;
            best = cids[i];
        }
    }
    return best;
}

/* -------------------------------------------------------------------------------- outliers */

/* One cluster is looked at, and all OOD ones whose roots are within (1 + reach) times its route. */
static void expect_reach(struct book *b, double reach)
{
    const struct layout *l = layout_of(b);
    struct channi_knobs knobs = book_knobs();
    struct book_answer answer;
    size_t within = 0, touched = 0, all = 0;

    knobs.nprobe = 1;
    knobs.top_ef = 1 << 20;
    knobs.ood_probe = 1 << 20;
    knobs.ood_reach = reach;
    for (size_t i = 0; i < b->capacity; i += 7) {
        const void *row = book_row(b, i);
        uint32_t nearest = CID_NONE;
        double least = INFINITY;

        nearest = probed_cluster(b, row, &least);
        for (uint32_t o = 0; o < l->n_ood; o++) {
            const double d = book_distance(b, row, cluster_of(b, l->ood[o])->root_row);
            all += l->ood[o] != nearest;
            within += l->ood[o] != nearest && sqrt(d) <= (1 + reach) * sqrt(least) * (1 + 1e-5);
        }
        const uint64_t before = book_counter(b, ood_touched);
        assert_ok(book_search_at(b, ROW_VOID, row, 5, &knobs, &answer), &b->bench.error);
        touched += book_counter(b, ood_touched) - before;
    }
    assert_true(all > 0);
    assert_int_equal(touched, reach > 0 ? within : all);
    assert_true(reach == 0 || reach > 10 || touched < all);
}

/* One row in twenty, six deviations of the distances farther from its centre than the others' mean. They all are
   in one cluster, which is split until none is too large. */
static void test_planted_outliers(void **state)
{
    (void)state;
    enum { N = 6000, DIM = 16, CENTRES = 6 };
    struct channi_params p = fifty();
    struct book b;
    float centres[CENTRES][DIM];
    size_t found = 0, out = 0, others = 0;

    p.target_cluster = 400;
    p.expected_n = 100;
    p.maintenance = CHANNI_EXPLICIT;
    book_open(&b, p, ELEMENT_F32, DIM, N, 1);
    for (size_t i = 0; i < CENTRES * DIM; i++)
        centres[i / DIM][i % DIM] = (float)(6 * rng_normal(&b.rng));
    for (size_t i = 0; i < N; i++) {
        float *row = book_row(&b, i);
        double length = 0;

        for (size_t j = 0; j < DIM; j++) {
            row[j] = (float)rng_normal(&b.rng);
            length += (double)row[j] * (double)row[j];
        }
        for (size_t j = 0; j < DIM; j++)
            row[j] = centres[i % CENTRES][j] +
                     row[j] * (i % 20 ? 1 : (float)((sqrt(DIM) + 6 * sqrt(0.5)) / sqrt(length)));
    }
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_int_equal(clusters_of(&b), 1);
    assert_ok(book_insert(&b, 100, N - 100), &b.bench.error);
    work_off(&b, 0);
    book_check(&b);
    for (size_t i = 0; i < N; i++) {
        const bool in = cluster_of(&b, cid_of(&b, i))->kind == CLUSTER_OOD;

        out += i % 20 == 0;
        found += in && i % 20 == 0;
        others += in && i % 20 != 0;
    }
    print_message("seed %" PRIu64 ": %zu of %zu outliers in %u clusters of their own with %zu of "
                  "%zu others; %" PRIu64 " splits to %zu clusters\n",
                  test_seed(), found, out, layout_of(&b)->n_ood, others, N - out,
                  book_counter(&b, splits), clusters_of(&b));
    assert_true((double)found >= 0.95 * (double)out);
    assert_true((double)others <= 0.05 * (double)(N - out));
    for (double reach = 0; reach < 2; reach += 0.25)
        expect_reach(&b, reach);
    book_expect(&b, 20, 10);
    book_close(&b);
}

/* ------------------------------------------------------------------------------- equal rows */

static void test_equal_rows(void **state)
{
    (void)state;
    struct channi_params p = fifty();
    struct book b;

    p.expected_n = 100;
    book_open(&b, p, ELEMENT_F32, 6, 1600, 1);
    for (size_t first = 0; first < 1600; first += 20) {
        assert_ok(book_insert(&b, first, 20), &b.bench.error);
        book_check(&b);
    }
    /* The build draws two primaries, both of the one point; what follows goes to one of them. 1600 rows are
       at most six times half as many more than the 200 of the limit. */
    assert_int_equal(book_counter(&b, splits), 0);
    assert_in_range(book_counter(&b, refused_splits), 1, 12);
    book_expect(&b, 3, 10);
    work_off(&b, 0);
    assert_in_range(book_counter(&b, refused_splits), 1, 12);
    book_close(&b);
}

/* --------------------------------------------------------------------------- roots that die */

static void test_roots_die(void **state)
{
    (void)state;
    for (int64_t history = 0; history < 20; history += 10) {
        struct channi_params p = fifty();
        struct book b;
        struct before was;
        size_t dead = 0;

        p.history = history;
        book_open(&b, p, ELEMENT_F32, 8, 2000, 1);
        book_fill(&b, 0, 2000, 8, 0.2);
        assert_ok(book_insert(&b, 0, 1500), &b.bench.error);
        before_take(&was, &b);
        for (size_t round = 0; round < 6; round++) {
            for (uint32_t cid = 0; cid < layout_of(&b)->n_clusters; cid++) {
                const struct cluster *cl = cluster_of(&b, cid);

                if (!cl || live_of(cl) == 0)
                    continue;
                assert_true(root_lives(&b, cl));
                assert_ok(book_remove(&b, cl->root_id), &b.bench.error);
                dead++;
                book_check(&b);
            }
            book_expect(&b, 3, 10);
        }
        assert_true(dead > 30);
        assert_true(book_counter(&b, folds) + book_counter(&b, merges) >= dead / 2);
        expect_routes_stay(&was, &b);
        before_free(&was);
        book_close(&b);
    }
}

/* The primaries themselves, whose routes stay for ever. */
static void test_primaries_die(void **state)
{
    (void)state;
    struct book b;
    struct before was;

    book_open(&b, fifty(), ELEMENT_F32, 8, 1000, 1);
    book_fill(&b, 0, 1000, 8, 0.2);
    assert_ok(book_insert(&b, 0, 1000), &b.bench.error);
    before_take(&was, &b);
    for (uint32_t route = 0; route < was.n_routes; route++)
        for (size_t i = 0; i < b.capacity; i++)
            if (b.stored[i] && memcmp(stable_at(&book_channi(&b)->route_rows, route),
                                      book_row(&b, i), b.row_bytes) == 0)
                assert_ok(book_remove(&b, i), &b.bench.error);
    book_check(&b);
    expect_routes_stay(&was, &b);
    before_free(&was);
    book_expect(&b, 20, 10);
    book_close(&b);
}

/* ---------------------------------------------------------------------------- old versions */

struct snap {
    uint64_t version;
    bool *stored;
    struct book_answer few[6], all[6];
};

static void ask(struct book *b, uint64_t version, struct book_answer *few, struct book_answer *all)
{
    struct channi_knobs knobs = book_knobs(), exhaustive = book_exhaustive();

    knobs.nprobe = 2;
    knobs.in_ef = 12;
    for (size_t q = 0; q < 6; q++) {
        const void *row = book_row(b, q * b->capacity / 6);

        assert_ok(book_search_at(b, version, row, 10, &knobs, &few[q]), &b->bench.error);
        assert_ok(book_search_at(b, version, row, 10, &exhaustive, &all[q]), &b->bench.error);
    }
}

static void expect_same(const struct book_answer *a, const struct book_answer *b)
{
    for (size_t q = 0; q < 6; q++) {
        assert_int_equal(a[q].n, b[q].n);
        assert_memory_equal(a[q].ids, b[q].ids, a[q].n * sizeof *a[q].ids);
        assert_memory_equal(a[q].distances, b[q].distances, a[q].n * sizeof *a[q].distances);
    }
}

static void snap_take(struct snap *s, struct book *b)
{
    assert_ok(channi_ops.txn->snapshot(b->index, &s->version), &b->bench.error);
    s->stored = calloc(b->capacity, sizeof *s->stored);
    memcpy(s->stored, b->stored, b->capacity * sizeof *s->stored);
    ask(b, s->version, s->few, s->all);
}

static void snap_expect(struct snap *s, struct book *b)
{
    struct book_answer few[6], all[6];

    ask(b, s->version, few, all);
    expect_same(s->few, few);
    expect_same(s->all, all);
    book_expect_at(b, s->version, s->stored, book_row(b, rng_below(&b->rng, b->capacity)), 10);
}

/* Readers that pinned a version before splits, merges and folds get the same answers after them. */
static void test_pinned_readers(void **state)
{
    (void)state;
    enum { SNAPS = 8 };
    for (int inside = INSIDE_GRAPH; inside <= INSIDE_CODES; inside++) {
        struct channi_params p = twenty();
        struct snap snaps[SNAPS];
        struct book b;
        size_t n = 0;

        p.inside = inside;
        p.eps0 = 12;
        p.fold_share = 0.1;
        book_open(&b, p, inside == INSIDE_SCAN ? ELEMENT_U8 : ELEMENT_F32, 10, 1800, 1);
        book_fill(&b, 0, 1800, 12, 0.3);
        for (size_t round = 0; round < 24; round++) {
            assert_ok(book_insert(&b, 75 * round, 75), &b.bench.error);
            if (round % 8 == 7)
                starve_some(&b, 2);
            if (round % 5 == 2)
                snap_take(&snaps[n++], &b);
            for (size_t i = 0; i < n; i++)
                snap_expect(&snaps[i], &b);
        }
        print_message("%" PRIu64 " splits, %" PRIu64 " merges, %" PRIu64 " folds\n",
                      book_counter(&b, splits), book_counter(&b, merges), book_counter(&b, folds));
        assert_true(book_counter(&b, splits) > 3 && book_counter(&b, merges) > 3);
        book_check(&b);
        for (size_t i = 0; i < n; i++) {
            assert_ok(channi_ops.txn->release(b.index, snaps[i].version), &b.bench.error);
            free(snaps[i].stored);
        }
        book_check(&b);
        book_close(&b);
    }
}

/* Without a pin: versions within `history` are in the files, the dead with them. */
static void test_history(void **state)
{
    (void)state;
    enum { BACK = 6, ROUNDS = 60 };
    struct channi_params p = twenty();
    struct book b;
    bool *stored[ROUNDS + 1] = { NULL };
    uint64_t versions[ROUNDS];

    p.history = BACK;
    book_open(&b, p, ELEMENT_F32, 6, 3000, 1);
    book_fill(&b, 0, 3000, 10, 0.3);
    for (size_t round = 0; round < ROUNDS; round++) {
        uint64_t ids[40];
        size_t n = 0;

        assert_ok(channi_ops.txn->begin(b.index), &b.bench.error);
        assert_ok(book_insert(&b, 50 * round, 50), &b.bench.error);
        for (size_t i = 0; round >= 25 && i < 40; i++) {
            ids[n] = book_any(&b);
            b.stored[ids[n++]] = false;
        }
        size_t done;
        if (n > 0)
            assert_ok(channi_ops.remove(b.index, ids, n, &done), &b.bench.error);
        b.n -= n;
        assert_ok(channi_ops.txn->commit(b.index, &versions[round]), &b.bench.error);
        stored[round] = calloc(b.capacity, sizeof **stored);
        memcpy(stored[round], b.stored, b.capacity * sizeof **stored);
        for (size_t back = 0; back < BACK && back <= round; back++)
            book_expect_at(&b, versions[round - back], stored[round - back],
                           book_row(&b, rng_below(&b.rng, b.capacity)), 10);
        book_check(&b);
    }
    assert_true(book_counter(&b, splits) > 3 && book_counter(&b, folds) > 3);
    for (size_t round = 0; round < ROUNDS; round++)
        free(stored[round]);
    book_close(&b);
}

/* ------------------------------------------------------------------------------- threads */

static void test_threads(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= 4; threads += 3) {
        struct channi_params p = twenty();
        struct book b;

        p.maintenance = CHANNI_EXPLICIT;
        book_open(&b, p, ELEMENT_F32, 8, 4000, threads);
        book_fill(&b, 0, 4000, 16, 0.3);
        assert_ok(book_insert(&b, 0, 100), &b.bench.error);
        assert_ok(book_insert(&b, 100, 900), &b.bench.error);
        for (size_t round = 0; round < 3; round++) {
            assert_ok(book_insert(&b, 1000 + 1000 * round, 1000), &b.bench.error);
            starve_some(&b, 4);
            work_off(&b, 0);
            book_check(&b);
            book_expect(&b, 10, 10);
        }
        assert_true(book_counter(&b, splits) > 10);
        assert_true(book_counter(&b, merges) > 0);
        book_close(&b);
    }
}

struct reader {
    struct book *b;
    uint64_t seed;
    atomic_bool *stop;
    size_t searches;
};

/* Answers are of rows that are there at some time, in order, apart. */
static void *read_on(void *arg)
{
    struct reader *r = arg;
    struct rng rng = rng_at(r->seed, 77);
    struct channi_knobs knobs = book_knobs();

    for (; !atomic_load(r->stop); r->searches++) {
        struct book_answer a;
        const void *row = book_row(r->b, rng_below(&rng, r->b->capacity));

        assert_ok(book_search_at(r->b, ROW_VOID, row, 10, &knobs, &a), &r->b->bench.error);
        assert_true(a.n > 0);
        for (size_t i = 0; i < a.n; i++) {
            const double d = book_distance(r->b, row, book_row(r->b, a.ids[i]));
            assert_true(fabs((double)a.distances[i] - d) <= 1e-4 * (1 + d));
        }
    }
    return NULL;
}

static void test_background(void **state)
{
    (void)state;
    struct channi_params p = twenty();
    struct book b;
    pthread_t threads[2];
    struct reader readers[2];
    atomic_bool stop = false;
    struct snap snap;

    p.maintenance = CHANNI_BACKGROUND;
    p.background_threads = 3;
    book_open(&b, p, ELEMENT_F32, 8, 3000, 2);
    book_fill(&b, 0, 3000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_ok(book_insert(&b, 100, 400), &b.bench.error);
    snap_take(&snap, &b);
    for (size_t i = 0; i < 2; i++) {
        readers[i] = (struct reader){ &b, i, &stop, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    for (size_t first = 500; first < 3000; first += 50) {
        assert_ok(book_insert(&b, first, 50), &b.bench.error);
        for (size_t i = 0; first > 1500 && i < 60; i++)
            assert_ok(book_remove(&b, book_any(&b)), &b.bench.error);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    work_off(&b, 0);
    book_check(&b);
    book_expect(&b, 20, 10);
    snap_expect(&snap, &b);
    free(snap.stored);
    assert_true(book_counter(&b, splits) > 5);
    assert_int_equal(book_counter(&b, job_errors), 0);
    book_close(&b);
}

/* ---------------------------------------------------------------------------------- drift */

struct drift {
    double routes, misrouted; /* mean distance of root and route over mean_d; share of rows */
    size_t n_routes, n_clusters;
};

static struct drift drift_of(struct book *b)
{
    struct channi *c = book_channi(b);
    struct channi_scratch *x = channi_scratch_take(c);
    const struct layout *l = layout_of(b);
    struct drift d = { .n_clusters = clusters_of(b) };
    size_t rows = 0;
    double checked = 0;

    for (uint32_t i = 0; i < l->n_clusters; i++)
        if (l->clusters[i] && l->clusters[i]->mean_d > 0) {
            d.routes += sqrt((double)l->clusters[i]->drift) / (double)l->clusters[i]->mean_d;
            d.n_routes += l->clusters[i]->n_routes;
        }
    d.routes /= (double)d.n_clusters;
    for (size_t i = 0; i < b->capacity; i++) {
        uint32_t cid;

        if (!b->stored[i])
            continue;
        assert_ok(channi_route(c, x, l, book_row(b, i), 64, &cid, &checked), &b->bench.error);
        d.misrouted += cid != cid_of(b, i);
        rows++;
    }
    d.misrouted /= (double)rows;
    channi_scratch_give(c, x);
    return d;
}

/* Data that wander: each generation's rows a step on, the oldest go. */
static void drift_run(bool reroute, struct drift *last)
{
    enum { GENERATIONS = 50, ROWS = 250, ALIVE = 4 };
    struct channi_params p = twenty();
    struct book b;
    float centres[8][8], way[8][8];
    uint64_t ids[ROWS];

    p.reroute = reroute;
    book_open(&b, p, ELEMENT_F32, 8, GENERATIONS * ROWS, 1);
    for (size_t i = 0; i < 64; i++) {
        centres[i / 8][i % 8] = (float)(2 * rng_normal(&b.rng));
        way[i / 8][i % 8] = (float)(0.06 * rng_normal(&b.rng));
    }
    for (size_t g = 0; g < GENERATIONS; g++) {
        for (size_t i = g * ROWS; i < (g + 1) * ROWS; i++)
            for (size_t j = 0; j < 8; j++)
                ((float *)book_row(&b, i))[j] = centres[i % 8][j] + (float)g * way[i % 8][j] +
                                                (float)(0.3 * rng_normal(&b.rng));
        assert_ok(book_insert(&b, g * ROWS, ROWS), &b.bench.error);
        for (size_t i = 0; i < ROWS; i++)
            ids[i] = (g - ALIVE) * ROWS + i;
        if (g >= ALIVE)
            assert_ok(book_remove_some(&b, ids, ROWS), &b.bench.error);
        if (g % 5 == 4)
            book_check(&b);
        if (g % 10 == 9 || g == 4) {
            *last = drift_of(&b);
            print_message("reroute %d, generation %zu: drift %.2f of the mean distance, %.4f "
                          "misrouted, %zu routes to %zu clusters, %" PRIu64 " rerouted\n",
                          reroute, g + 1, last->routes, last->misrouted, last->n_routes,
                          last->n_clusters, book_counter(&b, reroutes));
        }
    }
    book_expect(&b, 20, 10);
    struct channi_knobs knobs = book_knobs();
    knobs.nprobe = 3;
    print_message("recall with 3 of %zu clusters: %.4f\n", last->n_clusters,
                  book_recall(&b, 300, 10, &knobs));
    assert_true(book_counter(&b, splits) > 10 && book_counter(&b, merges) > 10);
    assert_true((book_counter(&b, reroutes) > 0) == reroute);
    book_close(&b);
}

static void test_drift(void **state)
{
    (void)state;
    struct drift without, with;

    drift_run(false, &without);
    drift_run(true, &with);
    assert_true(with.routes < without.routes);
}

/* ---------------------------------------------------------------------------------- budget */

static void test_budget(void **state)
{
    (void)state;
    struct channi_params p = fifty();
    struct book b;
    size_t calls = 0;
    bool more = true;

    p.maintenance = CHANNI_EXPLICIT;
    book_open(&b, p, ELEMENT_F32, 8, 3000, 1);
    book_fill(&b, 0, 3000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 500), &b.bench.error);
    assert_ok(book_insert(&b, 500, 2500), &b.bench.error);
    assert_int_equal(book_counter(&b, splits), 0);
    assert_true(channi_queued(book_channi(&b)) > 3);
    for (; more; calls++) {
        const uint64_t jobs = book_counter(&b, splits) + book_counter(&b, folds) +
                              book_counter(&b, merges) + book_counter(&b, refused_splits);

        assert_ok(channi_ops.maintain(b.index, 1, &more), &b.bench.error);
        assert_true(book_counter(&b, splits) + book_counter(&b, folds) + book_counter(&b, merges) +
                        book_counter(&b, refused_splits) <=
                    jobs + 1); /* one job is past the budget */
        assert_true(calls < 1000);
    }
    assert_true(calls > 5);
    book_check(&b);
    book_expect(&b, 20, 10);
    book_close(&b);
}

/* --------------------------------------------------------------------------------- failures */

static void test_out_of_memory(void **state)
{
    (void)state;
    bool done = false;

    for (size_t at = 1; !done; at += 1 + at / 8) {
        struct channi_params p = fifty();
        struct book b;
        bool more;

        p.maintenance = CHANNI_EXPLICIT;
        p.target_cluster = 20;
        p.split_max = 40;
        p.expected_n = 100;
        book_open(&b, p, ELEMENT_F32, 4, 400, 1);
        book_fill(&b, 0, 400, 5, 0.3);
        assert_ok(book_insert(&b, 0, 100), &b.bench.error);
        assert_ok(book_insert(&b, 100, 300), &b.bench.error);
        for (size_t i = 0; i < 60; i++)
            assert_ok(book_remove(&b, i), &b.bench.error);
        atomic_store(&b.bench.mem.calls, 0);
        b.bench.mem.fail_at = at;
        b.bench.mem.fail_after = at % 2;
        const int rc = channi_ops.maintain(b.index, 0, &more);
        b.bench.mem.fail_at = 0;
        b.bench.mem.fail_after = false;
        done = !b.bench.mem.failed;
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &b.bench.error);
        book_check(&b);
        book_expect(&b, 3, 10);
        work_off(&b, 0);
        book_check(&b);
        book_expect(&b, 3, 10);
        assert_true(book_counter(&b, splits) > 0);
        book_close(&b);
    }
}

struct full_disk {
    bool full;
    size_t calls;
};

static int no_room(void *to, const char *call)
{
    struct full_disk *disk = to;

    if (!disk->full || strcmp(call, "write") != 0)
        return 0;
    disk->calls++;
    return ENOSPC;
}

/* A commit whose upkeep fails is done all the same; maintain() says what was wrong, and mends it. */
static void test_full_disk(void **state)
{
    (void)state;
    struct full_disk disk = { false, 0 };
    const struct store_fault fault = { no_room, &disk };
    const struct channi_opening opening = { .fault = &fault };
    struct channi_params p = fifty();
    struct channi *c;
    struct book b;
    bool more;

    p.expected_n = 100;
    book_begin(&b, p, ELEMENT_F32, 8, 2000, 1);
    assert_ok(channi_create_with(&c, &b.bench.env, &p, &opening), &b.bench.error);
    b.index = &c->base;
    book_fill(&b, 0, 2000, 16, 0.3);
    assert_ok(book_insert(&b, 0, 100), &b.bench.error);
    assert_ok(book_insert(&b, 100, 400), &b.bench.error);
    disk.full = true;
    for (size_t first = 500; first < 2000; first += 100) {
        assert_ok(book_insert(&b, first, 100), &b.bench.error);
        book_check(&b);
    }
    assert_true(disk.calls > 3);
    assert_true(book_counter(&b, job_errors) > 3);
    assert_true(channi_queued(c) > 0);
    assert_code(channi_ops.maintain(b.index, 0, &more), ERR_IO, &b.bench.error);
    assert_false(more); /* nothing that would go now */
    book_expect(&b, 10, 10);
    disk.full = false;
    work_off(&b, 0);
    assert_true(book_counter(&b, splits) > 3);
    book_check(&b);
    book_expect(&b, 10, 10);
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_a_split),
        cmocka_unit_test(test_a_split_without_reuse),
        cmocka_unit_test(test_planted_outliers),
        cmocka_unit_test(test_equal_rows),
        cmocka_unit_test(test_roots_die),
        cmocka_unit_test(test_primaries_die),
        cmocka_unit_test(test_pinned_readers),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_full_disk),
    };
    return test_run("channi_upkeep", tests);
}
