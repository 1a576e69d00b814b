/* test_caprg_search.c - beam search in CAPRG, and the graph in a file. */
#include "tests/unit/asteria/graph/caprg.h"
#include "tests/unit/asteria/sections.h"

/* Recall of the 10 nearest from a few random seeds; queries are rows that were moved. *scored: mean
   number of rows scored. */
static double recall(struct bed *b, size_t beam, size_t queries, size_t n_seeds, double *scored)
{
    float query[64];
    uint32_t seeds[8];
    size_t found = 0, all = 0;

    *scored = 0;
    for (size_t i = 0; i < queries; i++) {
        struct nearest got, truth;

        for (size_t j = 0; j < b->dim; j++)
            query[j] = bed_row(b, rng_below(&b->rng, b->n))[j];
        const float *row = bed_row(b, rng_below(&b->rng, b->n));
        for (size_t j = 0; j < b->dim; j++)
            query[j] = row[j] + .1F * query[j];
        test_normalise_f32(query, 1, b->dim);
        for (size_t j = 0; j < n_seeds; j++)
            do
                seeds[j] = (uint32_t)rng_below(&b->rng, b->n);
            while (caprg_has(seeds, j, seeds[j]));
        bed_scan(b, &truth, query, 10);
        *scored +=
            (double)bed_walk(b, &got, query, 10, beam, seeds, n_seeds).scored / (double)queries;
        for (size_t j = 0; j < truth.n; j++)
            for (size_t k = 0; k < got.n; k++)
                found += got.best[k] == truth.best[j];
        all += truth.n;
    }
    return (double)found / (double)all;
}

static void forget_all(struct bed *b)
{
    bool more;

    assert_ok(asteria_caprg_forget(b->graph, 0, &more), &b->bench.error);
    assert_false(more);
    bed_check(b);
}

static void test_recall(void **state)
{
    for (size_t noisy = 0; noisy < 2; noisy++) {
        struct bed b;
        double scored, narrow;

        bed_open(&b, 1500, 24, 16, 20);
        b.noise = noisy ? .1 : 0;
        bed_build(&b);
        forget_all(&b);
        const double wide = recall(&b, 64, 100, 4, &scored);
        assert_true(wide >= .95);
        assert_true(scored < 900); /* far fewer than a scan */
        assert_true(recall(&b, 4, 100, 4, &narrow) < wide);
        assert_true(narrow < scored / 3);
        bed_close(&b);
    }
}

/* If the degree allows all relative neighbours the graph is connected, and a beam as wide as the
   graph scores all rows. */
static void test_wide_beam_finds_all(void **state)
{
    struct bed b;
    double scored;

    bed_open(&b, 800, 5, 48, 10);
    bed_build(&b);
    forget_all(&b);
    assert_true(recall(&b, b.n, 50, 1, &scored) == 1);
    assert_true(fabs(scored - (double)(b.n - 1)) < .01); /* all but the seed */
    bed_close(&b);
}

/* Tombstones are passed through until they are taken out, and are never answers. The other rows are
   found afterwards, also when new rows have taken the slots. */
static void test_recall_under_churn(void **state)
{
    struct bed b;
    uint32_t *pool;
    double scored;

    bed_open(&b, 1200, 24, 16, 12);
    pool = calloc(b.n, sizeof *pool);
    assert_non_null(pool);
    b.noise = .05;
    bed_build(&b);
    for (size_t round = 0; round < 4; round++) {
        for (uint32_t x = 0; x < b.n; x++)
            if (rng_unit(&b.rng) < .6) {
                assert_ok(remove_node(b.graph, x), &b.bench.error);
                b.alive[x] = false;
            }
        bed_check(&b);
        assert_true(recall(&b, 160, 60, 4, &scored) >= .95);
        forget_all(&b);
        assert_int_equal(asteria_caprg_count(b.graph).removed_waiting, 0);
        assert_true(recall(&b, 64, 60, 8, &scored) >= .95);
        for (uint32_t x = 0; x < b.n; x++)
            if (!b.alive[x]) {
                b.alive[x] = true;
                asteria_caprg_queue(b.graph, x);
            }
        for (uint32_t x; (x = asteria_caprg_pending(b.graph)) != CAPRG_NONE;)
            assert_ok(asteria_caprg_add(b.graph, x, pool, bed_pool(&b, x, .5, pool)),
                      &b.bench.error);
        forget_all(&b);
        assert_true(recall(&b, 64, 60, 4, &scored) >= .95);
    }
    free(pool);
    bed_close(&b);
}

static void refuse_all(void *to, const uint32_t *slots, size_t n, float *scores)
{
    for (size_t i = 0; i < n; i++)
        scores[i] = i % 2 ? INFINITY : NAN;
}

static void score_below_zero(void *to, const uint32_t *slots, size_t n, float *scores)
{
    for (size_t i = 0; i < n; i++)
        scores[i] = -(float)slots[i];
}

/* Counts and ends of searches: no expandable neighbour, duplicate seeds, negative scores; which
   slots are noted. */
static void test_walks_end(void **state)
{
    struct bed b;
    struct asteria_caprg_beam walk = { refuse_all, NULL, 3, 5 };
    const uint32_t seeds[] = { 7, 3, 7 };
    const float scores[] = { 2, -1, 2 };

    bed_open(&b, 100, 3, 12, 4);
    bed_build(&b);
    assert_ok(asteria_caprg_begin(b.graph, &b.scratch, 8), &b.bench.error);
    asteria_caprg_search(b.graph, &b.scratch, seeds, scores, 3, &walk);
    assert_int_equal(walk.hops, 3 + 2);
    size_t n7, n3;
    (void)asteria_caprg_edges(b.graph, 7, &n7);
    (void)asteria_caprg_edges(b.graph, 3, &n3);
    assert_true(walk.scored > 5 && walk.scored <= 5 + n7 + n3);

    /* The beam keeps the least scores: with the negated slot as score the search reaches
       the last slot. */
    walk = (struct asteria_caprg_beam){ score_below_zero, NULL, 0, 0 };
    for (size_t i = 1; i <= 600; i++) { /* the mark of a search comes again after 126 others */
        walk.hops = walk.scored = 0;
        assert_ok(asteria_caprg_begin(b.graph, &b.scratch, 100), &b.bench.error);
        assert_true(asteria_caprg_note(&b.scratch, 5) && !asteria_caprg_note(&b.scratch, 5));
        asteria_caprg_search(b.graph, &b.scratch, seeds, scores, 1, &walk);
        assert_false(asteria_caprg_note(&b.scratch, 9));
        assert_int_equal(walk.scored, 99);
        assert_int_equal(walk.hops, 100);
    }
    bed_close(&b);
}

static struct part_file file;

static void write_graph(const struct asteria_caprg *g)
{
    asteria_caprg_write(g, part_file_write(&file));
    part_file_written(&file);
}

static int read_graph(struct bed *b, struct asteria_caprg **g, size_t degree)
{
    struct store_reader *r = part_file_read(&file);
    int rc = asteria_caprg_create(g, &b->bench.env, degree, &b->rows);

    if (rc == OK && (rc = asteria_caprg_read(*g, r)) != OK)
        asteria_caprg_destroy(*g);
    store_close(r);
    return rc;
}

/* Nodes, tombstones, an unfinished sweep, deferred back-links and queued rows. */
static void make_all_kinds(struct bed *b)
{
    bool more;

    b->n -= 10; /* to be queued */
    bed_build(b);
    for (uint32_t x = 0; x < b->n; x += 4) {
        assert_ok(remove_node(b->graph, x), &b->bench.error);
        b->alive[x] = false;
    }
    assert_ok(asteria_caprg_forget(b->graph, 100, &more), &b->bench.error);
    assert_true(more && b->graph->n_leaving > 0 && b->graph->cursor > 0);
    for (uint32_t x = 1; x < b->n; x += 16) {
        assert_ok(remove_node(b->graph, x), &b->bench.error);
        b->alive[x] = false;
    }
    assert_ok(asteria_caprg_reserve(b->graph, b->n + 40), &b->bench.error);
    for (size_t i = 0; i < 10; i++, b->n++) {
        b->alive[b->n] = true;
        asteria_caprg_queue(b->graph, (uint32_t)b->n);
    }
    assert_true(asteria_caprg_count(b->graph).deferred > 0);
}

static size_t count_deferred(const struct asteria_caprg *g, uint32_t y)
{
    size_t n = 0;

    for (uint32_t cell = g->first_deferred[y]; cell != CAPRG_NONE; cell = g->deferred[cell].next)
        n++;
    return n;
}

static void compare(struct bed *b, const struct asteria_caprg *a, const struct asteria_caprg *c)
{
    const struct asteria_caprg_counts x = asteria_caprg_count(a), y = asteria_caprg_count(c);

    assert_memory_equal(&x, &y, sizeof x);
    for (uint32_t i = 0; i < b->n; i++) {
        size_t n, m;
        const uint32_t *of_a = asteria_caprg_edges(a, i, &n), *of_c = asteria_caprg_edges(c, i, &m);

        assert_int_equal(n, m);
        assert_memory_equal(of_a, of_c, n * sizeof *of_a);
        assert_int_equal(a->states[i], c->states[i]);
        assert_int_equal(count_deferred(a, i), count_deferred(c, i));
    }
}

/* Deferred back-links to rows removed since, in the last slots: the graph can still be read. */
static void test_files_of_deferred(void **state)
{
    struct bed b;
    struct asteria_caprg *read = NULL;
    bool more = true;

    bed_open(&b, 300, 6, 5, 8);
    part_file_begin(&file, &b.bench);
    bed_build(&b);
    for (uint32_t x = 200; x < b.n; x++) {
        assert_ok(remove_node(b.graph, x), &b.bench.error);
        b.alive[x] = false;
    }
    for (uint64_t spent = 0; more; spent = 0)
        more = asteria_caprg_sweep(b.graph, 2, 50, &spent);
    assert_int_equal(b.n_gone, 100);
    assert_true(asteria_caprg_count(b.graph).deferred > 0);
    bed_check(&b);
    write_graph(b.graph);
    assert_ok(read_graph(&b, &read, 5), &b.bench.error);
    assert_ok(asteria_caprg_reserve(read, b.graph->n_slots), &b.bench.error);
    compare(&b, b.graph, read);
    asteria_caprg_destroy(read);
    part_file_end(&file);
    bed_close(&b);
}

/* A damaged graph is refused, whatever part is damaged. */
static void test_damaged_files(void **state)
{
    struct bed b;
    struct asteria_caprg *read;
    struct asteria_caprg *g;

    bed_open(&b, 300, 6, 5, 8);
    part_file_begin(&file, &b.bench);
    make_all_kinds(&b);
    g = b.graph;
    const size_t cursor = g->cursor;
    const uint32_t late = g->removed[g->n_removed - 1];
    uint32_t x = (uint32_t)cursor + 1;
    while (g->states[x] != CAPRG_NODE || caprg_links(g, x)[1] == CAPRG_NONE)
        x++;
    uint32_t *links = caprg_links(g, x), keep[5];
    memcpy(keep, links, sizeof keep);
#define REFUSED(set, undo)                                                  \
    do {                                                                    \
        set;                                                                \
        write_graph(g);                                                     \
        assert_code(read_graph(&b, &read, 5), ERR_CORRUPT, &b.bench.error); \
        undo;                                                               \
    } while (0)
    REFUSED(links[0] = x, links[0] = keep[0]);
    REFUSED(links[0] = keep[1], links[0] = keep[0]);
    REFUSED(links[0] = 4000, links[0] = keep[0]);
    REFUSED(links[0] = 320, links[0] = keep[0]);
    REFUSED(links[0] = CAPRG_NONE, links[0] = keep[0]);
    REFUSED(g->states[x] = 0, g->states[x] = CAPRG_NODE);
    REFUSED(g->states[x] = 64, g->states[x] = CAPRG_NODE);
    REFUSED(g->states[x] = CAPRG_NODE | CAPRG_QUEUED, g->states[x] = CAPRG_NODE);
    REFUSED(g->states[x] = CAPRG_REMOVED, g->states[x] = CAPRG_NODE);
    REFUSED(g->removed[g->n_removed - 1] = g->removed[g->n_removed - 2],
            g->removed[g->n_removed - 1] = late);
    REFUSED(g->removed[0] = 4000, g->removed[0] = 0);
    REFUSED(g->n_leaving--, g->n_leaving++);
    REFUSED(g->cursor = g->n_slots, g->cursor = cursor);
    uint32_t y = 0;
    while (g->first_deferred[y] == CAPRG_NONE)
        y++;
    const uint32_t first_deferred = g->deferred[g->first_deferred[y]].x;
    REFUSED(g->deferred[g->first_deferred[y]].x = y,
            g->deferred[g->first_deferred[y]].x = first_deferred);
    REFUSED(g->deferred[g->first_deferred[y]].x = 4000,
            g->deferred[g->first_deferred[y]].x = first_deferred);
    write_graph(g);
    assert_ok(read_graph(&b, &read, 5), &b.bench.error);
    asteria_caprg_destroy(read);
    part_file_end(&file);
    bed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recall),
        cmocka_unit_test(test_wide_beam_finds_all),
        cmocka_unit_test(test_recall_under_churn),
        cmocka_unit_test(test_walks_end),
        cmocka_unit_test(test_files_of_deferred),
        cmocka_unit_test(test_damaged_files),
    };
    return test_run("asteria_caprg_search", tests);
}
