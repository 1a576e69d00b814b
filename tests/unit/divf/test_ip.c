/* test_ip.c - divf under inner product: with every list probed its answers are those of brute force,
 * with each quantizer, also where later rows are longer than those trained on. */
#include "tests/unit/divf/support.h"

enum { DIM = 20, N = 2400, HALF = N / 2, QUERIES = 40, K = 10 };

static const struct kind {
    int64_t quantizer, sketch, soft_k, maintenance;
} kinds[] = {
    { DIVF_SKETCH, 0, 1, DIVF_COPENHAGEN },
    { DIVF_SKETCH, 9, 2, DIVF_LIRE },
    { DIVF_SKETCH, DIM, 1, DIVF_DEDRIFT },
    { DIVF_SQ8, 5, 1, DIVF_LIRE },
    { DIVF_PQ, 0, 2, DIVF_COPENHAGEN },
    { DIVF_RABITQ, 0, 1, DIVF_COST_MODEL },
    /* Without maintenance longer rows stay longer than M: storage/rows.h. */
    { DIVF_SKETCH, 9, 2, DIVF_NONE },
    { DIVF_SQ8, 5, 1, DIVF_NONE },
    { DIVF_PQ, 0, 2, DIVF_NONE },
    { DIVF_RABITQ, 0, 1, DIVF_NONE },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static float queries[QUERIES * DIM]; /* some of the rows */

static void insert(struct stored_rows *w, size_t first, size_t n)
{
    assert_ok(stored_insert(w, first, n), &w->bench.error);
    stored_check(w);
}

/* Norms differ by a factor of 10^spread. Those of the second half, which is not trained on, are up to
   `longer` times those of the first. */
static void open_filled(struct stored_rows *w, const struct kind *kind, double spread,
                        double longer, size_t threads)
{
    struct divf_params params = divf_defaults("clusters=140,split_threshold=1.5,bits=5,eps0=12");
    params.quantizer = kind->quantizer;
    params.sketch = kind->sketch;
    params.soft_k = kind->soft_k;
    params.maintenance = kind->maintenance;
    stored_open_under(w, INDEX_IP, &divf_ops, &params, DIM, N, threads, 21);
    test_fill_f32(&w->rng, w->rows, N, DIM, 30, 0.4);
    for (size_t i = 0; i < N; i++) {
        const double times = pow(10, spread * rng_unit(&w->rng)) * (i < HALF ? 1 : longer);
        for (size_t j = 0; j < DIM; j++)
            w->rows[i * DIM + j] *= (float)times;
    }
    for (size_t q = 0; q < QUERIES; q++)
        memcpy(queries + q * DIM, w->rows + q * (N / QUERIES) * DIM, DIM * sizeof(float));
    assert_ok(divf_ops.train(w->index, stored_vectors(w, 0, HALF)), &w->bench.error);
    insert(w, 0, HALF);
    for (uint64_t id = 0; id < HALF; id += 7)
        assert_ok(stored_remove(w, &id, 1), &w->bench.error);
    for (size_t i = 0; i < 20; i++)
        insert(w, HALF + i, 1);
    insert(w, HALF + 20, HALF - 20);
}

static uint64_t ids[QUERIES * K];
static float distances[QUERIES * K];

/* Returns the distances that were computed. */
static double ask(struct stored_rows *w, struct divf_knobs knobs, size_t at_once)
{
    double work = 0;
    for (size_t q = 0; q < QUERIES; q += at_once) {
        struct search_request request = {
            { queries + q * DIM, at_once, DIM, INDEX_F32 }, K, &knobs, NULL, 1
        };
        struct search_result result = { .ids = ids + q * K, .distances = distances + q * K };
        assert_ok(divf_ops.search(w->index, &request, &result), &w->bench.error);
        work += result.work.distances;
    }
    return work;
}

static const struct divf_knobs everything = { .nprobe = 1 << 22 };

static void expect_exact(struct stored_rows *w)
{
    for (size_t at_once = 1; at_once <= QUERIES; at_once *= QUERIES) {
        (void)ask(w, everything, at_once);
        for (size_t q = 0; q < QUERIES; q++)
            stored_expect(w, queries + q * DIM, K, NULL, ids + q * K, distances + q * K);
    }
}

static void test_exact(void **state)
{
    static const double longer[] = { 0.5, 1, 10, 1e12 };
    for (size_t kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
            struct stored_rows w;
            open_filled(&w, &kinds[kind], 2, longer[i], 1 + i);
            expect_exact(&w);
            assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, N)), &w.bench.error);
            expect_exact(&w);
            stored_close(&w);
        }
}

/* The greatest |x|^2 - M^2, as a share of M^2. */
static double excess_of(const struct stored_rows *w)
{
    const struct divf_lists *lists = &divf_of(w->index)->lists;
    double most = 0;
    for (size_t i = 0; i < lists->n; i++)
        most = fmax(most, (double)lists->list[i]->excess);
    return most / (double)lists->space.lift;
}

static void test_longer_rows(void **state)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct stored_rows w;
        open_filled(&w, &kinds[kind], 0, 10, 1);
        const uint64_t trainings = divf_of(w.index)->counters.trainings;
        bool more = true;
        while (more)
            assert_ok(divf_ops.maintain(w.index, 0, &more), &w.bench.error);
        stored_check(&w);
        if (kinds[kind].maintenance == DIVF_NONE)
            assert_true(trainings == 1 && excess_of(&w) > 10);
        else
            assert_true(trainings > 1 && excess_of(&w) <= .25);
        expect_exact(&w);
        stored_close(&w);
    }
}

static double recall_of(const struct stored_rows *w)
{
    size_t hits = 0, n;
    for (size_t q = 0; q < QUERIES; q++) {
        struct test_truth *truth = stored_truth(w, queries + q * DIM, NULL, &n);
        for (size_t i = 0; i < K; i++)
            hits += distances[q * K + i] <= truth[K - 1].distance;
        free(truth);
    }
    return (double)hits / (QUERIES * K);
}

/* Codes save distances; few lists, reranked estimates and the rule to stop by lose little. */
static void test_recall(void **state)
{
    static const struct divf_knobs asked[] = { { .nprobe = 40 },
                                               { .nprobe = 1 << 22, .rerank = 200 },
                                               { .nprobe = 1 << 22, .target_recall = 0.9 } };
    for (size_t kind = 1; kind < KINDS; kind++) {
        struct stored_rows w;
        open_filled(&w, &kinds[kind], 0.5, 1, 1);
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
            (void)ask(&w, asked[i], QUERIES);
            print_message("kind %zu, search %zu: recall %.3f\n", kind, i, recall_of(&w));
            assert_true(recall_of(&w) > 0.8);
        }
        const double work = ask(&w, everything, QUERIES);
        print_message("kind %zu: %.0f distances per query\n", kind, work / QUERIES);
        if (kinds[kind].sketch != 9 &&
            kinds[kind].quantizer != DIVF_PQ) /* their bounds are loose */
            assert_true(work < 0.5 * QUERIES * N);
        stored_close(&w);
    }
}

/* Rows a tenth as long as those trained on: an insertion trains once these are gone, not before. */
static void test_shorter_rows(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct stored_rows w;
        open_filled(&w, &kinds[kind], 0, .1, 1);
        const struct divf *d = divf_of(w.index);
        assert_true(d->counters.trainings == 1);
        for (uint64_t id = 0; id < N; id++)
            if (w.stored[id])
                assert_ok(stored_remove(&w, &id, 1), &w.bench.error);
        insert(&w, HALF, HALF);
        assert_true(d->counters.trainings == (kinds[kind].maintenance == DIVF_NONE ? 1 : 2));
        expect_exact(&w);
        stored_close(&w);
    }
}

int main(void)
{
    return test_run_all("divf, inner product", test_exact, test_longer_rows, test_shorter_rows,
                        test_recall);
}
