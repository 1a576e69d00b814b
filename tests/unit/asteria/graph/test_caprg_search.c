/* test_caprg_search.c - beam search in CAPRG, and damaged files of the graph. That a graph read equals the
   one written is test_store.c's. */
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

static void test_recall(void **state)
{
    for (size_t noisy = 0; noisy < 2; noisy++) {
        struct bed b;
        double scored, narrow;

        bed_open(&b, 1500, 24, 16, 20);
        b.noise = noisy ? .1 : 0;
        bed_build(&b, 1);
        assert_false(bed_forget(&b, 0));
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
    bed_build(&b, 1);
    assert_false(bed_forget(&b, 0));
    assert_true(recall(&b, b.n, 50, 1, &scored) == 1);
    assert_true(fabs(scored - (double)(b.n - 1)) < .01); /* all but the seed */
    bed_close(&b);
}

/* Tombstones are passed through until they are taken out, and are never answers. The other rows are
   found afterwards, also when new rows have taken the slots. */
static void test_recall_under_churn(void **state)
{
    struct bed b;
    double scored;

    bed_open(&b, 1200, 24, 16, 12);
    b.noise = .05;
    bed_build(&b, 1);
    for (size_t round = 0; round < 4; round++) {
        for (uint32_t x = 0; x < b.n; x++)
            if (rng_unit(&b.rng) < .6)
                bed_remove(&b, x);
        bed_check(&b);
        assert_true(recall(&b, 160, 60, 4, &scored) >= .95);
        assert_false(bed_forget(&b, 0));
        assert_int_equal(asteria_caprg_count(b.graph).removed_waiting, 0);
        assert_true(recall(&b, 64, 60, 8, &scored) >= .95);
        bed_build(&b, .5);
        assert_false(bed_forget(&b, 0));
        assert_true(recall(&b, 64, 60, 4, &scored) >= .95);
    }
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
    bed_build(&b, 1);
    assert_ok(asteria_caprg_begin(b.graph, &b.scratch, 8), &b.bench.error);
    asteria_caprg_search(b.graph, &b.scratch, seeds, scores, 3, &walk);
    assert_int_equal(walk.hops, 3 + 2);
    size_t n7, n3;
    (void)bed_edges(&b, 7, &n7);
    (void)bed_edges(&b, 3, &n3);
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

static int write_and_read(struct bed *b)
{
    struct asteria_caprg *g = NULL;

    asteria_caprg_write(b->graph, part_file_write(&file));
    part_file_written(&file);
    assert_ok(asteria_caprg_create(&g, &b->bench.env, b->degree, &b->rows), &b->bench.error);
    const int rc = asteria_caprg_read(g, part_file_read(&file));
    asteria_caprg_destroy(g);
    store_close(&file.reader);
    return rc;
}

/* Nodes, tombstones, an unfinished sweep, deferred back-links and queued rows. */
static void make_all_kinds(struct bed *b)
{
    b->n -= 10; /* to be queued */
    bed_build(b, 1);
    for (uint32_t x = 0; x < b->n; x += 4)
        bed_remove(b, x);
    assert_true(bed_forget(b, 100) && b->graph->counts.leaving > 0 && b->graph->cursor > 0);
    for (uint32_t x = 1; x < b->n; x += 16)
        bed_remove(b, x);
    assert_ok(asteria_caprg_reserve(b->graph, b->n + 40), &b->bench.error);
    for (size_t i = 0; i < 10; i++)
        bed_queue(b, (uint32_t)b->n++);
    assert_true(asteria_caprg_count(b->graph).deferred > 0);
}

/* A damaged graph is refused, whatever part is damaged. */
static void test_damaged_files(void **state)
{
    struct bed b;

    bed_open(&b, 300, 6, 5, 8);
    part_file_begin(&file, &b.bench);
    make_all_kinds(&b);
    struct asteria_caprg *g = b.graph;
    uint32_t x = (uint32_t)g->cursor + 1, y = 0;
    while (g->states[x] != CAPRG_NODE || caprg_links(g, x)[1] == CAPRG_NONE)
        x++;
    while (g->first_deferred[y] == CAPRG_NONE)
        y++;
    uint32_t *links = caprg_links(g, x);
    struct asteria_caprg_deferred *deferred = &g->deferred[g->first_deferred[y]];
#define REFUSED(thing, value)                                         \
    do {                                                              \
        const __typeof__(thing) was = (thing);                        \
        (thing) = (value);                                            \
        assert_code(write_and_read(&b), ERR_CORRUPT, &b.bench.error); \
        (thing) = was;                                                \
    } while (0)
    REFUSED(links[0], x);
    REFUSED(links[0], links[1]);
    REFUSED(links[0], 4000);
    REFUSED(links[0], 320);
    REFUSED(links[0], CAPRG_NONE);
    REFUSED(g->states[x], 0);
    REFUSED(g->states[x], 64);
    REFUSED(g->states[x], CAPRG_NODE | CAPRG_QUEUED);
    REFUSED(g->states[x], CAPRG_REMOVED);
    REFUSED(g->counts.removed_waiting, was - 1);
    REFUSED(g->cursor, g->n_slots);
    REFUSED(deferred->x, y);
    REFUSED(deferred->x, 4000);
#undef REFUSED
    assert_ok(write_and_read(&b), &b.bench.error);
    part_file_end(&file);
    bed_close(&b);
}

int main(void)
{
    return test_run_all("asteria_caprg_search", test_recall, test_wide_beam_finds_all,
                        test_recall_under_churn, test_walks_end, test_damaged_files);
}
