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

struct products {
    struct test_bench bench;
    struct index *index;
    float rows[N * DIM], queries[QUERIES * DIM]; /* queries: some of the rows */
    uint64_t ids[N];
    bool stored[N];
};

static struct vectors rows_of(const struct products *p, size_t first, size_t n)
{
    return (struct vectors){ p->rows + first * DIM, n, DIM, INDEX_F32 };
}

static struct vectors queries_of(const struct products *p, size_t first, size_t n)
{
    return (struct vectors){ p->queries + first * DIM, n, DIM, INDEX_F32 };
}

static void insert(struct products *p, size_t first, size_t n)
{
    size_t done = 0;
    assert_ok(divf_ops.insert(p->index, rows_of(p, first, n), p->ids + first, &done),
              &p->bench.error);
    assert_int_equal(done, n);
    for (size_t i = first; i < first + n; i++)
        p->stored[i] = true;
    assert_ok(divf_ops.check(p->index, NULL), &p->bench.error);
}

/* Norms differ by a factor of 10^spread. Those of the second half, which is not trained on, are up to
   `longer` times those of the first. */
static struct products *open_filled(const struct kind *kind, double spread, double longer,
                                    size_t threads)
{
    struct products *p = calloc(1, sizeof *p);
    struct rng rng = rng_at(test_seed(), 21);
    struct divf_params params = divf_defaults("");
    assert_non_null(p);
    test_bench_begin(&p->bench, INDEX_F32, INDEX_IP, DIM, threads);
    test_fill_f32(&rng, p->rows, N, DIM, 30, 0.4);
    for (size_t i = 0; i < N; i++) {
        const double times = pow(10, spread * rng_unit(&rng)) * (i < HALF ? 1 : longer);
        p->ids[i] = i;
        for (size_t j = 0; j < DIM; j++)
            p->rows[i * DIM + j] *= (float)times;
    }
    for (size_t q = 0; q < QUERIES; q++)
        memcpy(p->queries + q * DIM, p->rows + q * (N / QUERIES) * DIM, DIM * sizeof(float));
    params = divf_with(params, "clusters=140,split_threshold=1.5,bits=5,eps0=12");
    params.quantizer = kind->quantizer;
    params.sketch = kind->sketch;
    params.soft_k = kind->soft_k;
    params.maintenance = kind->maintenance;
    assert_ok(divf_ops.create(&p->index, &p->bench.env, &params), &p->bench.error);
    assert_ok(divf_ops.train(p->index, rows_of(p, 0, HALF)), &p->bench.error);
    insert(p, 0, HALF);
    for (size_t i = 0; i < HALF; i += 7) {
        size_t done = 0;
        assert_ok(divf_ops.remove(p->index, p->ids + i, 1, &done), &p->bench.error);
        p->stored[i] = false;
    }
    for (size_t i = 0; i < 20; i++)
        insert(p, HALF + i, 1);
    insert(p, HALF + 20, HALF - 20);
    return p;
}

static void close_products(struct products *p)
{
    divf_ops.destroy(p->index);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
    free(p);
}

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
};

static void ask(struct products *p, struct index *index, struct divf_knobs knobs, size_t at_once,
                struct answers *a)
{
    for (size_t q = 0; q < QUERIES; q += at_once) {
        struct search_request request = { queries_of(p, q, at_once), K, &knobs, NULL, 1 };
        struct search_result result = { .ids = a->ids + q * K, .distances = a->distances + q * K };
        assert_ok(divf_ops.search(index, &request, &result), &p->bench.error);
    }
}

/* All stored rows, nearest first. */
static size_t truth_of(const struct products *p, size_t q, struct test_truth truth[N])
{
    const float *query = p->queries + q * DIM;
    size_t n = 0;
    for (size_t i = 0; i < N; i++)
        if (p->stored[i])
            truth[n++] =
                (struct test_truth){ -p->bench.env.kernels->ip_f32(query, p->rows + i * DIM, DIM),
                                     i };
    qsort(truth, n, sizeof *truth, test_truth_order);
    return n;
}

static struct test_truth truth[N];
static struct answers answers;

static void expect_exact(struct products *p, struct index *index)
{
    const struct divf_knobs all = { .nprobe = 1 << 22 };
    for (size_t at_once = 1; at_once <= QUERIES; at_once *= QUERIES) {
        ask(p, index, all, at_once, &answers);
        for (size_t q = 0; q < QUERIES; q++) {
            (void)truth_of(p, q, truth);
            for (size_t i = 0; i < K; i++) {
                assert_int_equal(answers.ids[q * K + i], truth[i].id);
                assert_true(answers.distances[q * K + i] == truth[i].distance);
            }
        }
    }
}

static void test_exact(void **state)
{
    static const double longer[] = { 0.5, 1, 10, 1e12 };
    for (size_t kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
            struct products *p = open_filled(&kinds[kind], 2, longer[i], 1 + i);
            expect_exact(p, p->index);
            assert_ok(divf_ops.train(p->index, rows_of(p, 0, N)), &p->bench.error);
            expect_exact(p, p->index);
            close_products(p);
        }
}

/* The greatest |x|^2 - M^2, as a share of M^2. */
static double excess_of(const struct products *p)
{
    const struct divf_lists *lists = &divf_of(p->index)->lists;
    double most = 0;
    for (size_t i = 0; i < lists->n; i++)
        most = fmax(most, (double)lists->list[i]->excess);
    return most / (double)lists->space.lift;
}

static void test_longer_rows(void **state)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct products *p = open_filled(&kinds[kind], 0, 10, 1);
        const uint64_t trainings = divf_of(p->index)->counters.trainings;
        bool more = true;
        while (more)
            assert_ok(divf_ops.maintain(p->index, 0, &more), &p->bench.error);
        assert_ok(divf_ops.check(p->index, NULL), &p->bench.error);
        if (kinds[kind].maintenance == DIVF_NONE)
            assert_true(trainings == 1 && excess_of(p) > 10);
        else
            assert_true(trainings > 1 && excess_of(p) <= .25);
        expect_exact(p, p->index);
        close_products(p);
    }
}

static double recall_of(const struct products *p, const struct answers *a)
{
    size_t hits = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        (void)truth_of(p, q, truth);
        for (size_t i = 0; i < K; i++)
            hits += a->distances[q * K + i] <= truth[K - 1].distance;
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
        struct products *p = open_filled(&kinds[kind], 0.5, 1, 1);
        for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
            ask(p, p->index, asked[i], QUERIES, &answers);
            print_message("kind %zu, search %zu: recall %.3f\n", kind, i, recall_of(p, &answers));
            assert_true(recall_of(p, &answers) > 0.8);
        }
        const struct divf_knobs all = { .nprobe = 1 << 22 };
        struct search_request request = { queries_of(p, 0, QUERIES), K, &all, NULL, 1 };
        struct search_result result = { .ids = answers.ids, .distances = answers.distances };
        assert_ok(divf_ops.search(p->index, &request, &result), &p->bench.error);
        print_message("kind %zu: %.0f distances per query\n", kind,
                      result.work.distances / QUERIES);
        if (kinds[kind].sketch != 9 &&
            kinds[kind].quantizer != DIVF_PQ) /* their bounds are loose */
            assert_true(result.work.distances < 0.5 * QUERIES * N);
        close_products(p);
    }
}

/* Rows a tenth as long as those trained on: an insertion trains once these are gone, not before. */
static void test_shorter_rows(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct products *p = open_filled(&kinds[kind], 0, .1, 1);
        const struct divf *d = divf_of(p->index);
        assert_true(d->counters.trainings == 1);
        for (size_t i = 0; i < N; i++)
            if (p->stored[i]) {
                size_t done = 0;
                assert_ok(divf_ops.remove(p->index, p->ids + i, 1, &done), &p->bench.error);
                p->stored[i] = false;
            }
        insert(p, HALF, HALF);
        assert_ok(divf_ops.check(p->index, NULL), &p->bench.error);
        assert_true(d->counters.trainings == (kinds[kind].maintenance == DIVF_NONE ? 1 : 2));
        expect_exact(p, p->index);
        close_products(p);
    }
}

int main(void)
{
    return test_run_all("divf, inner product", test_exact, test_longer_rows, test_shorter_rows,
                        test_recall);
}
