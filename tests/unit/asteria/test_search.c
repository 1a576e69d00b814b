/* test_search.c - both modes compared with a scan of all rows; probe orders; the effect
   of each knob. */
#include "tests/support/paper.h"
#include "tests/unit/asteria/support.h"

enum { EVERY = 1 << 22 };

static const struct {
    enum element element;
    size_t dim, n;
} shapes[] = {
    { INDEX_F32, 1, 40 },    { INDEX_F32, 7, 1 },  { INDEX_F32, 7, 700 },  { INDEX_F32, 32, 1500 },
    { INDEX_F32, 100, 900 }, { INDEX_U8, 7, 300 }, { INDEX_U8, 32, 1500 }, { INDEX_U8, 100, 900 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* A filter that allows about a third of the ids, some of them not stored. */
static struct id_filter some_ids(struct book *w, uint64_t *bits)
{
    const size_t words = w->capacity / 64 + 1;
    for (size_t i = 0; i < words; i++)
        bits[i] = rng_u64(&w->rng) & (rng_u64(&w->rng) | rng_u64(&w->rng));
    return (struct id_filter){ bits, w->capacity - w->capacity / 10 };
}

static void open_shape(struct book *w, size_t shape, double eps0)
{
    struct asteria_params params = search_params();
    params.eps0 = eps0;
    const size_t n = shapes[shape].n;
    book_open_with(w, params, shapes[shape].element, shapes[shape].dim, n + 20, 1);
    book_train(w, 0, n + 20);
    book_add(w, 0, n / 2);
    book_add(w, n / 2, n - n / 2);
}

static void expect_exact_everywhere(struct book *w, struct asteria_knobs knobs)
{
    uint64_t bits[64];
    struct id_filter filter = some_ids(w, bits);
    for (size_t i = 0; i < 12; i++) {
        const size_t query = i < 6 ? rng_below(&w->rng, w->capacity) : w->capacity - 1 - i % 20;
        const size_t k = i % 4 == 0 ? 1 : i % 4 == 1 ? w->n + 5 : 10;
        book_expect_exact(w, book_row(w, query), k, &knobs, i % 3 == 2 ? &filter : NULL);
    }
}

/* Certified searches with any of the bounds; and heuristic ones of all buckets in each order, with a
   bound that does not fail and all rows that pass it. */
static void test_exact(void **state)
{
    for (size_t i = 0; i < 2 * SHAPES; i++) {
        const bool certified = i % 2;
        const size_t n = shapes[i / 2].n;
        struct book w;
        open_shape(&w, i / 2, certified ? 1.9 : 12);
        for (unsigned way = 0; way < (certified ? 8 : 4); way++) {
            struct asteria_knobs knobs = search_knobs();
            if (certified) {
                knobs.mode = MODE_CERTIFIED;
                knobs.use_b1 = way & 1;
                knobs.use_b2 = way >> 1 & 1;
                knobs.use_b3 = way >> 2 & 1;
                knobs.nprobe = 1;       /* ignored here, */
                knobs.exact = way != 7; /* and so is this */
            } else {
                knobs.probe_order = way;
                knobs.nprobe = EVERY;
                knobs.rerank = way % 2 ? EVERY : 0;
                knobs.beam = way == ORDER_SCORE ? 8 : 0;
            }
            for (size_t j = 0; way == 2 && j < n / 2; j++)
                book_remove_each(&w, rng_below(&w.rng, n), 1, 1);
            if (way == 3)
                book_maintain_all(&w);
            expect_exact_everywhere(&w, knobs);
        }
        book_close(&w);
    }
}

static void open_clustered(struct book *w, size_t n, size_t dim, size_t extra)
{
    struct asteria_params params = search_params();
    params.train_steps = 200;
    params.address_bits = 6;
    book_open_with(w, params, INDEX_F32, dim, n + extra, 2);
    book_train(w, 0, n);
    book_add(w, 0, n);
    book_maintain_all(w);
}

/* More probes give better answers, and fewer than all rows are scanned. */
static void test_orders(void **state)
{
    enum { QUERIES = 40, K = 10 };
    struct book w;
    open_clustered(&w, 4000, 48, QUERIES);
    const void *queries = book_row(&w, 4000);
    for (enum asteria_order order = ORDER_CENTRE; order <= ORDER_HYBRID; order++) {
        struct asteria_knobs knobs = search_knobs();
        struct work few, many;
        knobs.probe_order = order;
        knobs.nprobe = 2;
        const double low = book_recall(&w, queries, QUERIES, K, &knobs, &few);
        knobs.nprobe = 16;
        const double high = book_recall(&w, queries, QUERIES, K, &knobs, &many);
        if (!(high > low) || high < .5 || !(many.scanned > few.scanned) ||
            many.scanned > QUERIES * 4000 * .9)
            fail_msg("order %d: recall %.3f, %.3f; scanned %.0f, %.0f", (int)order, low, high,
                     few.scanned, many.scanned);
    }
    book_close(&w);
}

/* All buckets, each once, with ascending keys in each order; more buckets than one heap has. */
static void test_every_bucket_in_order(void **state)
{
    struct book w;
    struct asteria_params params = search_params();
    params.train_steps = 0;
    params.address_bits = 11;
    params.code = ECC_NONE;
    book_open_with(&w, params, INDEX_F32, 32, 4000, 2);
    book_train(&w, 0, 4000);
    book_add(&w, 0, 4000);
    const size_t n = now_of(&w)->n;
    bool *met = calloc(n, sizeof *met);
    assert_true(met && n > 300);
    for (enum asteria_order order = ORDER_CENTRE; order <= ORDER_HYBRID; order++) {
        struct asteria_knobs knobs = search_knobs();
        knobs.probe_order = order;
        const struct asteria_job job = { .a = state_of(&w), .knobs = &knobs, .k = 1 };
        struct asteria_scratch *s = scratch_pool_take(&job.a->scratch);
        assert_non_null(s);
        assert_int_equal(asteria_scratch_prepare(job.a, s, 0), OK);
        asteria_query_begin(&job, s, book_row(&w, 17), NEEDS_SCAN | NEEDS_BOUNDS);
        asteria_probe_order(&job, s);
        memset(met, 0, n * sizeof *met);
        size_t number, count = 0;
        for (uint64_t before = 0; s->n_keys > 0; count++) {
            const uint64_t key = s->keys[0];
            assert_true(asteria_probe_next(s, &number) && key >= before && number < n &&
                        !met[number]);
            met[number] = true;
            before = key;
        }
        assert_int_equal(count, n);
        asteria_scratch_give(job.a, s);
    }
    free(met);
    book_close(&w);
}

static void test_candidates(void **state)
{
    struct book w;
    struct work all, some;
    struct asteria_knobs knobs = search_knobs();
    open_clustered(&w, 3000, 32, 10);
    knobs.nprobe = EVERY;
    knobs.use_b1 = knobs.use_b2 = false;
    book_recall(&w, book_row(&w, 3000), 10, 10, &knobs, &all);
    assert_int_equal((int)all.scanned, 10 * 3000);
    knobs.candidates = 600;
    book_recall(&w, book_row(&w, 3000), 10, 10, &knobs, &some);
    assert_true(some.scanned > 10 * 50 && some.scanned <= 10 * 1500);
    book_close(&w);
}

/* target_recall: what is found, and the rows scanned for it, of queries that are not stored. nprobe stays an
   upper limit. */
static void test_target(void **state)
{
    enum { STORED = 6000, ASKED = 200 };
    static const double targets[] = { .8, .9, .95 };
    static const char *const cases[] = { "", "storage=tiered,cache_mb=0", "centering=false" };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct book w;
        struct work all, work, before = { 0 };
        struct asteria_params params;
        struct asteria_knobs knobs = search_knobs();
        char options[200];
        (void)snprintf(options, sizeof options, "train_steps=40,address_bits=6%s%s",
                       *cases[c] ? "," : "", cases[c]);
        test_set_options(asteria_ops.params, options, ",", &params);
        book_begin_of(&w, &asteria_ops, params, INDEX_F32, 24, STORED + ASKED, 1, 9);
        book_fill_units(&w, 0, STORED + ASKED, 40, .7);
        book_create(&w);
        book_train(&w, 0, STORED / 2);
        book_add(&w, 0, STORED);
        knobs.nprobe = EVERY;
        (void)book_recall(&w, book_row(&w, STORED), ASKED, 10, &knobs, &all);
        for (size_t i = 0; i < 3; i++) {
            knobs.target_recall = targets[i];
            const double found = book_recall(&w, book_row(&w, STORED), ASKED, 10, &knobs, &work);
            print_message("%s: target %.2f: recall %.3f, %.0f rows of %.0f\n", options, targets[i],
                          found, work.scanned / ASKED, all.scanned / ASKED);
            assert_true(found >= targets[i] - .03);
            assert_true(work.scanned > before.scanned && work.scanned < .6 * all.scanned);
            before = work;
        }
        knobs.nprobe = 1;
        (void)book_recall(&w, book_row(&w, STORED), ASKED, 10, &knobs, &work);
        knobs.target_recall = 0;
        (void)book_recall(&w, book_row(&w, STORED), ASKED, 10, &knobs, &before);
        assert_true(work.scanned == before.scanned);
        /* Those of the sample are not counted. */
        assert_true(state_of(&w)->counts.queries == 6 * ASKED);
        book_close(&w);
    }
}

struct switched {
    double recall;
    struct asteria_counts counts;
};

static struct switched with(struct book *w, const struct asteria_knobs *knobs)
{
    struct switched s;
    struct work work;
    state_of(w)->counts = (struct asteria_counts){ 0 };
    s.recall = book_recall(w, book_row(w, 4000), 40, 10, knobs, &work);
    s.counts = state_of(w)->counts;
    return s;
}

static void test_certified_switches(void **state)
{
    struct book w;
    struct asteria_knobs knobs = search_knobs();
    open_clustered(&w, 4000, 16, 40);
    knobs.mode = MODE_CERTIFIED;
    const struct switched all = with(&w, &knobs);
    knobs.use_b1 = false;
    const struct switched no_b1 = with(&w, &knobs);
    knobs.use_b2 = false;
    const struct switched no_buckets = with(&w, &knobs);
    knobs.use_b3 = false;
    const struct switched none = with(&w, &knobs);
    assert_true(all.counts.rows_skipped_b1 > 0);
    assert_true(no_b1.counts.rows_skipped_b1 == 0 && no_b1.counts.rows_skipped_b2 > 0);
    assert_true(no_buckets.counts.buckets_skipped == 0 && no_buckets.counts.skipped_b3 > 0);
    assert_true(all.counts.scanned < no_buckets.counts.scanned);
    assert_true(none.counts.skipped_b3 == 0 && none.counts.estimates == 0);
    assert_true(none.counts.exact > 2 * no_buckets.counts.exact);
    assert_true(all.recall == 1 && none.recall == 1);
    book_close(&w);
}

/* An index without a graph refuses a beam search. */
static void test_beam_without_graph(void **state)
{
    struct book w;
    struct asteria_knobs knobs;
    uint64_t id;
    float distance;
    const float query[16] = { 1 };
    book_open(&w, "address_bits=2,caprg=false", INDEX_F32, 16, 400, 1);
    param_defaults(asteria_ops.knobs, &knobs);
    knobs.beam = 4;
    const struct search_request request = { { query, 1, 16, INDEX_F32 }, 1, &knobs, NULL, 1 };
    struct search_result result = { .ids = &id, .distances = &distance };
    assert_int_equal(asteria_search(w.index, &request, &result), ERR_ARGUMENT);
    assert_non_null(strstr(w.bench.error.text, "build it with caprg = true"));
    book_close(&w);
}

static void test_heuristic_switches(void **state)
{
    struct book w;
    struct asteria_knobs knobs = search_knobs();
    open_clustered(&w, 4000, 64, 40);
    knobs.nprobe = 3;
    const struct switched plain = with(&w, &knobs);
    knobs.beam = 32;
    const struct switched beam_rows = with(&w, &knobs);
    assert_true(plain.counts.hops == 0 && beam_rows.counts.hops > 0 &&
                beam_rows.counts.beam_rows > 0);
    assert_true(beam_rows.recall > plain.recall);
    knobs.beam = 0;
    knobs.rerank = 10;
    const struct switched few = with(&w, &knobs);
    assert_true(few.counts.exact < plain.counts.exact);
    assert_true(few.counts.estimates > plain.counts.estimates); /* LRSQ's and the scan's */
    knobs.rerank = 0;
    knobs.exact = false;
    knobs.probe_order = ORDER_SCORE;
    const struct switched estimated = with(&w, &knobs);
    assert_true(estimated.counts.exact == 0);
    book_close(&w);
}

/* In the paper bits are signs about zero, and LRSQ's codes choose the rows to read. */
static void test_paper(void **state)
{
    struct book w;
    struct asteria_params params = search_params();
    struct asteria_knobs knobs = search_knobs();
    test_take_paper(asteria_ops.params, &params);
    test_take_paper(asteria_ops.knobs, &knobs);
    assert_false(params.centering);
    book_open_with(&w, params, INDEX_F32, 32, 4040, 1);
    book_train(&w, 0, 4000);
    book_add(&w, 0, 4000);
    const struct switched paper = with(&w, &knobs);
    const double by_lrsq = paper.counts.estimates - paper.counts.scanned;
    assert_true(by_lrsq > paper.counts.scanned / 2);
    assert_true(paper.counts.exact > 0 && paper.counts.exact < by_lrsq / 4);
    book_close(&w);
}

/* exact = false: distances are estimates near the true ones. */
static void test_estimated_distances(void **state)
{
    struct book w;
    uint64_t ids[10];
    float distances[10];
    struct asteria_knobs knobs = search_knobs();
    double off = 0;
    open_clustered(&w, 2000, 32, 20);
    knobs.exact = false;
    knobs.nprobe = EVERY;
    for (size_t q = 0; q < 20; q++) {
        const void *query = book_row(&w, 2000 + q);
        book_search(&w, query, 1, 10, &knobs, NULL, 1, ids, distances);
        for (size_t i = 0; i < 10; i++) {
            assert_true(i == 0 || distances[i] >= distances[i - 1]);
            off += fabs((double)distances[i] -
                        (double)asteria_distance(&w.bench.env, query, book_row(&w, ids[i])));
        }
    }
    assert_true(off > 0 && off / 200 < .2);
    book_close(&w);
}

/* A search computes far fewer distances than a scan. */
static void test_distances_are_few(void **state)
{
    enum { N = 20000, QUERIES = 60 };
    struct book w;
    struct work work;
    struct asteria_knobs knobs = search_knobs();
    open_clustered(&w, N, 64, QUERIES);
    double recall = 0;
    for (knobs.nprobe = 2; recall < .95; knobs.nprobe += 2) {
        assert_true(knobs.nprobe <= 64);
        recall = book_recall(&w, book_row(&w, N), QUERIES, 10, &knobs, &work);
    }
    if (work.distances / QUERIES > N / 20)
        fail_msg("recall %.3f takes %.0f distances a query of %d rows", recall,
                 work.distances / QUERIES, N);
    book_close(&w);
}

static int count_found(void *to, size_t query, uint64_t id, float distance)
{
    ++*(size_t *)to;
    return OK;
}

/* Bounds save work of a range search and change no answer. */
static void test_bounds_spare_distances(void **state)
{
    struct book w;
    struct asteria_knobs knobs = search_knobs();
    struct work work[2];
    size_t n[2] = { 0 };
    book_open_with(&w, search_params(), INDEX_F32, 32, 1000, 1);
    book_train(&w, 0, 1000);
    book_add(&w, 0, 1000);
    for (int all = 0; all < 2; all++) {
        const struct range_request request = { book_vectors(&w, 0, 8), .05, &knobs, NULL, 1 };
        struct range_result result = { .found = count_found, .to = &n[all] };
        knobs.use_b1 = knobs.use_b2 = knobs.use_b3 = !all;
        assert_ok(asteria_ops.range(w.index, &request, &result), &w.bench.error);
        work[all] = result.work;
    }
    assert_true(n[0] >= 8 && n[0] == n[1]);
    assert_true(work[1].distances >= 8 * 1000);
    assert_true(work[0].distances < work[1].distances / 4);
    book_close(&w);
}

int main(void)
{
    return test_run_all(
        "asteria_search", test_exact, test_orders, test_every_bucket_in_order, test_candidates,
        test_target, test_certified_switches, test_beam_without_graph, test_heuristic_switches,
        test_paper, test_estimated_distances, test_distances_are_few, test_bounds_spare_distances);
}
