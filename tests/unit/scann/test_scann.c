/* test_scann.c - ScaNN beyond the contract tests: what score-aware codes and spilling gain at equal
 * cost, the second list, and rows that come and go across trainings. */
#include "algorithms/scann/scann.h"
#include "tests/support/baselines.h"

enum { K = 10, ROWS = 6000, QUERIES = 150, DIM = 48 };

struct outcome {
    double recall, scanned; /* a query */
};

/* Queries are rows that are not stored: ROWS .. ROWS + QUERIES - 1. No id is answered twice. */
static struct outcome ask(struct baseline_test *t, const char *knobs)
{
    struct outcome o = { 0 };
    for (size_t q = ROWS; q < ROWS + QUERIES; q++) {
        uint64_t ids[K];
        float distances[K];
        size_t n;
        double *truth = baseline_truth(t, baseline_row(t, q), NULL, &n);
        o.scanned +=
            baseline_search(t, baseline_row(t, q), 1, K, knobs, NULL, ids, distances).scanned /
            QUERIES;
        for (size_t i = 0; i < K; i++) {
            o.recall +=
                (double)(ids[i] != INDEX_NO_ID && (double)distances[i] <= truth[K - 1] + 1e-6) /
                (K * QUERIES);
            for (size_t j = 0; j < i; j++)
                assert_true(ids[i] == INDEX_NO_ID || ids[i] != ids[j]);
        }
        free(truth);
    }
    return o;
}

/* ROWS rows of unit length are stored: in clusters, or with a decaying spectrum. */
static void begin_as(struct baseline_test *t, enum metric metric, bool clustered,
                     const char *params)
{
    baseline_begin(t, &scann_ops, params, INDEX_F32, metric, DIM, ROWS + QUERIES);
    struct rng r = rng_at(test_seed(), 3);
    test_fill_f32(&r, t->f32, t->n, DIM, clustered ? 60 : 0, clustered ? 0.6 : 1);
    for (size_t i = 0; !clustered && i < t->n * DIM; i++)
        t->f32[i] /= sqrtf((float)(1 + i % DIM));
    test_normalise_f32(t->f32, t->n, DIM);
    baseline_insert(t, 0, ROWS);
}

static void begin(struct baseline_test *t, bool clustered, const char *params)
{
    begin_as(t, INDEX_IP, clustered, params);
}

/* Codes of equal size, all of them scanned, and no exact distance to spare. */
static void test_aware_codes(void **state)
{
    static const char *const params[] = { "clusters=40;pq_groups=24;threshold=0",
                                          "clusters=40;pq_groups=24;threshold=0.2" };
    struct outcome o[2];
    uint64_t bytes[2];
    for (size_t i = 0; i < 2; i++) {
        struct baseline_test t;
        struct memory_use use;
        begin(&t, true, params[i]);
        o[i] = ask(&t, "nprobe=40;rerank=10");
        assert_ok(scann_ops.memory(t.index, &use), &t.bench.error);
        bytes[i] = use.codes;
        baseline_end(&t);
    }
    assert_int_equal(bytes[0], bytes[1]);
    if (!(o[1].recall > o[0].recall + .04))
        fail_msg("recall %g, of plain codes %g", o[1].recall, o[0].recall);
}

/* On a line all residuals are along one direction, and of most lists so small beside those of the
   outer ones that all rows have one code. */
static void test_a_line(void **state)
{
    static const char *const params[] = { "clusters=60", "clusters=60;spill=soar" };
    for (size_t i = 0; i < 2; i++) {
        struct baseline_test t;
        struct rng r = rng_at(test_seed(), 32);
        float direction[DIM];
        baseline_begin(&t, &scann_ops, params[i], INDEX_F32, INDEX_L2SQ, DIM, ROWS + QUERIES);
        test_fill_f32(&r, direction, 1, DIM, 0, 1);
        for (size_t row = 0; row < t.n; row++) {
            const float along = (float)rng_normal(&r);
            for (size_t j = 0; j < DIM; j++)
                t.f32[row * DIM + j] = along * direction[j];
        }
        assert_ok(scann_ops.train(t.index, baseline_rows(&t, 0, ROWS)), &t.bench.error);
        baseline_insert(&t, 0, ROWS);
        const struct outcome o = ask(&t, "nprobe=6");
        if (!(o.recall > .9))
            fail_msg("%s: recall %g", params[i], o.recall);
        baseline_end(&t);
    }
}

/* A second copy finds more in as many lists. (It does not find more among as many scanned rows:
   docs/methods/scann.md.) */
static void test_spilling(void **state)
{
    static const char *const params[] = { "clusters=80", "clusters=80;spill=soar" };
    struct outcome o[2];
    for (size_t i = 0; i < 2; i++) {
        struct baseline_test t;
        begin(&t, false, params[i]);
        assert_true(test_stat(t.index, "stored_copies") == (double)((1 + i) * ROWS));
        o[i] = ask(&t, "nprobe=3;rerank=400");
        baseline_end(&t);
    }
    if (!(o[1].recall > o[0].recall + .1))
        fail_msg("recall %g, without second copies %g", o[1].recall, o[0].recall);
}

/* The mean of |cos(r, r')|, and that each second list has the least loss, by another formula. */
static double parallel(const struct baseline_test *t, const float *centroids, size_t lists,
                       double lambda)
{
    uint32_t of[2 * 500];
    double sum = 0;
    assert_ok(scann_assign(&t->bench.env, centroids, lists, true, (float)lambda, t->f32, 500, of),
              &t->bench.error);
    for (size_t i = 0; i < 500; i++) {
        const float *x = t->f32 + i * DIM, *c = centroids + of[2 * i] * DIM;
        double chosen = 0, least = INFINITY, cosine = 0;
        assert_int_not_equal(of[2 * i], of[2 * i + 1]);
        for (size_t l = 0; l < lists; l++) {
            double rr = 0, ss = 0, rs = 0;
            for (size_t d = 0; d < DIM; d++) {
                const double r = (double)x[d] - (double)c[d];
                const double s = (double)x[d] - (double)centroids[l * DIM + d];
                rr += r * r;
                ss += s * s;
                rs += r * s;
            }
            const double loss = ss + lambda * rs * rs / rr;
            least = l != of[2 * i] && loss < least ? loss : least;
            chosen = l == of[2 * i + 1] ? loss : chosen;
            cosine = l == of[2 * i + 1] ? fabs(rs) / sqrt(rr * ss) : cosine;
        }
        assert_true(chosen <= least * (1 + 1e-4));
        sum += cosine / 500;
    }
    return sum;
}

static void test_second_list(void **state)
{
    struct baseline_test t;
    begin(&t, false, "clusters=80");
    const struct scann_lists *lists = &((struct scann *)t.index)->lists;
    const double nearest = parallel(&t, lists->centroids, lists->n, 0);
    const double soar = parallel(&t, lists->centroids, lists->n, 1);
    const double strong = parallel(&t, lists->centroids, lists->n, 10);
    if (!(soar < .97 * nearest && strong < soar))
        fail_msg("|cos| of residuals: %g, by SOAR %g, with lambda 10 %g", nearest, soar, strong);
    baseline_end(&t);
}

/* Rows come one by one and in batches, and go, while the index trains itself at 256 rows, and at
   four times as many; check() runs after each call. */
static void test_mutations(void **state)
{
    static const enum metric metrics[] = { INDEX_L2SQ, INDEX_IP, INDEX_COS };
    for (size_t m = 0; m < 3; m++) {
        struct baseline_test t;
        baseline_begin(&t, &scann_ops, "spill=soar", INDEX_F32, metrics[m], 20, 1500);
        for (size_t i = 0; i < 40; i++)
            baseline_insert(&t, i, i + 1);
        baseline_expect_exact(&t, "", NULL); /* not trained: every row is compared */
        assert_true(test_stat(t.index, "trainings") == 0);
        baseline_insert(&t, 40, 255);
        assert_true(test_stat(t.index, "clusters") == 0);
        baseline_insert(&t, 255, 256);
        assert_true(test_stat(t.index, "trainings") == 1);
        assert_true(test_stat(t.index, "clusters") == 16);
        for (size_t i = 256; i < 300; i++)
            baseline_insert(&t, i, i + 1);
        for (size_t i = 0; i < 120; i++)
            baseline_remove(&t, 2 * i, 2 * i + 1);
        baseline_expect_exact(&t, "nprobe=4194304;rerank=10000", NULL);
        baseline_insert(&t, 300, 1450);
        assert_true(test_stat(t.index, "trainings") == 2);
        assert_true(test_stat(t.index, "stored_copies") == 2 * (1450 - 120));
        baseline_expect_exact(&t, "nprobe=4194304;rerank=10000", NULL);
        assert_true(baseline_recall(&t, "") > .8);
        baseline_remove(&t, 300, 1450);
        baseline_expect_exact(&t, "nprobe=4194304;rerank=10000", NULL);
        baseline_insert(&t, 300, 420);
        const struct id_filter some = baseline_filter(&t, 5);
        baseline_expect_exact(&t, "nprobe=4194304;rerank=10000", &some);
        baseline_end(&t);
    }
}

/* The codes and places of a row, one after the other. */
static void read_codes(const struct baseline_test *t, uint8_t *codes, uint32_t *places)
{
    const struct scann *s = (const struct scann *)t->index;
    for (size_t i = 0; i < 2 * s->store.n; i++) {
        const struct scann_place p = s->lists.places[i];
        places[2 * i] = p.list;
        places[2 * i + 1] = p.at;
        uint8_t *code = codes + i * s->lists.quantizer->block_bytes;
        memset(code, 0, s->lists.quantizer->block_bytes);
        if (p.list != NO_LIST)
            quantizer_copy(s->lists.quantizer, scann_block(&s->lists, &s->lists.list[p.list], p.at),
                           p.at % QUANTIZER_BLOCK, code, 0);
    }
}

/* Several threads file rows as one does: in the same places, by the same codes. */
static void test_threads_file_alike(void **state)
{
    enum { N = 1500 };
    static uint8_t codes[2][2 * N * 4096];
    static uint32_t places[2][4 * N];
    for (size_t i = 0; i < 2; i++) {
        struct baseline_test t;
        baseline_begin(&t, &scann_ops, "spill=soar;clusters=20", INDEX_F32, INDEX_L2SQ, 20, N);
        pool_destroy(t.bench.pool);
        t.bench.pool = pool_create(1 + 2 * i);
        assert_non_null(t.bench.pool);
        t.bench.env.pool = t.index->env.pool = t.bench.pool;
        assert_ok(scann_ops.train(t.index, baseline_rows(&t, 0, 600)), &t.bench.error);
        baseline_insert(&t, 0, 100);
        baseline_insert(&t, 100, 700);
        baseline_remove(&t, 50, 300);
        baseline_insert(&t, 700, N);
        assert_true(((struct scann *)t.index)->lists.quantizer->block_bytes <= 4096);
        read_codes(&t, codes[i], places[i]);
        baseline_end(&t);
    }
    assert_memory_equal(places[0], places[1], sizeof places[0]);
    assert_memory_equal(codes[0], codes[1], sizeof codes[0]);
}

/* After train() insertions never train. */
static void test_trained_once(void **state)
{
    struct baseline_test t;
    baseline_begin(&t, &scann_ops, "clusters=7", INDEX_F32, INDEX_COS, 16, 2000);
    assert_ok(scann_ops.train(t.index, baseline_rows(&t, 0, 300)), &t.bench.error);
    baseline_insert(&t, 0, 2000);
    assert_true(test_stat(t.index, "trainings") == 1 && test_stat(t.index, "clusters") == 7);
    assert_ok(scann_ops.train(t.index, baseline_rows(&t, 0, 2000)), &t.bench.error);
    assert_ok(scann_ops.check(t.index, NULL), &t.bench.error);
    assert_true(test_stat(t.index, "trainings") == 2);
    baseline_end(&t);
}

static void maintain(struct baseline_test *t)
{
    bool more = true;
    while (more)
        assert_ok(scann_ops.maintain(t->index, 0, &more), &t->bench.error);
    assert_ok(scann_ops.check(t->index, NULL), &t->bench.error);
}

/* maintain() does, once for as many deleted rows as are stored. */
static void test_trained_after_turnover(void **state)
{
    (void)state;
    enum { N = 1000 };
    struct baseline_test t;
    baseline_begin(&t, &scann_ops, "clusters=7", INDEX_F32, INDEX_IP, 16, 2 * N);
    assert_ok(scann_ops.train(t.index, baseline_rows(&t, 0, N)), &t.bench.error);
    baseline_insert(&t, 0, N);
    for (size_t half = 0; half < 2; half++) {
        maintain(&t);
        assert_true(test_stat(t.index, "trainings") == 1);
        baseline_remove(&t, half * N / 2, (half + 1) * N / 2);
        baseline_insert(&t, N + half * N / 2, N + (half + 1) * N / 2);
    }
    maintain(&t);
    maintain(&t);
    assert_true(test_stat(t.index, "trainings") == 2 && test_stat(t.index, "clusters") == 7);
    baseline_end(&t);
}

/* maintain() trains again when a twentieth of the rows lies elsewhere, once; whether or not others left.
   Rows of the same distribution, as many, are no reason. */
static void test_trained_after_shift(void **state)
{
    enum { N = 1000, MOVED = N / 20 };
    for (size_t growth = 0; growth < 2; growth++) {
        struct baseline_test t;
        baseline_begin(&t, &scann_ops, "clusters=7", INDEX_F32, INDEX_L2SQ, 16, N + 2 * MOVED);
        for (size_t i = (N + MOVED) * 16; i < t.n * 16; i++)
            t.f32[i] += 3;
        assert_ok(scann_ops.train(t.index, baseline_rows(&t, 0, N)), &t.bench.error);
        baseline_insert(&t, 0, N);
        for (size_t elsewhere = 0; elsewhere < 2; elsewhere++) {
            if (!growth)
                baseline_remove(&t, elsewhere * MOVED, (elsewhere + 1) * MOVED);
            baseline_insert(&t, N + elsewhere * MOVED, N + (elsewhere + 1) * MOVED);
            maintain(&t);
            maintain(&t);
            assert_true(test_stat(t.index, "trainings") == (double)(1 + elsewhere));
        }
        baseline_end(&t);
    }
    (void)state;
}

/* target_recall: what is found, and the codes scanned for it. nprobe stays an upper limit. */
static void test_target(void **state)
{
    static const struct {
        enum metric metric;
        const char *params;
    } cases[] = { { INDEX_IP, "clusters=80" },
                  { INDEX_L2SQ, "clusters=80" },
                  { INDEX_COS, "clusters=80;spill=soar" } };
    static const double targets[] = { .8, .9, .95 };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct baseline_test t;
        char knobs[80];
        double last = 0;
        begin_as(&t, cases[c].metric, false, cases[c].params);
        const struct outcome all = ask(&t, "nprobe=80");
        for (size_t i = 0; i < 3; i++) {
            (void)snprintf(knobs, sizeof knobs, "target_recall=%g", targets[i]);
            const struct outcome o = ask(&t, knobs);
            print_message("%s, target %.2f: recall %.3f, %.0f codes of %.0f\n", cases[c].params,
                          targets[i], o.recall, o.scanned, all.scanned);
            assert_true(o.recall >= targets[i] - .03);
            assert_true(o.scanned > last && o.scanned < .5 * all.scanned);
            last = o.scanned;
        }
        assert_true(ask(&t, "nprobe=1;target_recall=.95").scanned == ask(&t, "nprobe=1").scanned);
        baseline_end(&t);
    }
}

/* The rule is learnt again once the index has changed. An index of few rows gives all of them, and one that
   is not trained needs no rule. */
static void test_target_again(void **state)
{
    struct baseline_test t;
    uint64_t ids[K];
    float distances[K];
    (void)state;
    begin(&t, true, "clusters=20");
    const struct scann *s = (const struct scann *)t.index;
    const char *knobs = "target_recall=.5";
    for (size_t row = ROWS - 1; row >= 9; row /= 3) {
        (void)baseline_search(&t, baseline_row(&t, ROWS), 1, K, knobs, NULL, ids, distances);
        assert_int_equal(s->stop.rows, s->store.n);
        baseline_remove(&t, row / 3 + 1, row + 1);
        if (row / 3 < 9)
            baseline_remove(&t, 4, row / 3 + 1);
    }
    (void)baseline_search(&t, baseline_row(&t, ROWS), 1, K, knobs, NULL, ids, distances);
    assert_int_equal(s->store.n, 4);
    for (size_t i = 0; i < K; i++)
        assert_true((ids[i] != INDEX_NO_ID) == (i < 4));
    baseline_end(&t);
    baseline_begin(&t, &scann_ops, "", INDEX_F32, INDEX_L2SQ, 16, 100);
    baseline_insert(&t, 0, 99);
    (void)baseline_search(&t, baseline_row(&t, 99), 1, K, knobs, NULL, ids, distances);
    assert_int_equal(((const struct scann *)t.index)->stop.rows, 0);
    baseline_end(&t);
}

static void test_target_out_of_memory(void **state)
{
    struct baseline_test t;
    bool done = false;
    (void)state;
    begin(&t, true, "clusters=20;spill=soar");
    for (size_t at = 1; !done; at += 1 + at / 2) {
        uint64_t ids[K];
        float distances[K];
        const struct scann_knobs knobs = { .target_recall = .9 };
        const struct search_request request = {
            { baseline_row(&t, ROWS), 1, DIM, INDEX_F32 }, K, &knobs, NULL, 1
        };
        struct search_result result = { .ids = ids, .distances = distances };
        ((struct scann *)t.index)->stop.rows = 0;
        test_fail_allocation(&t.bench.mem, at, false);
        const int rc = scann_ops.search(t.index, &request, &result);
        done = !test_allocations_succeed(&t.bench.mem);
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &t.bench.error);
    }
    baseline_end(&t);
}

static void test_defaults(void **state)
{
    static const struct {
        enum metric metric;
        const char *params;
        double eta;
        bool spills;
    } cases[] = { { INDEX_L2SQ, "threshold=0", 1, false },
                  { INDEX_IP, "", 47 * .04 / .96, false },
                  { INDEX_COS, "spill=soar", 47 * .04 / .96, true },
                  { INDEX_L2SQ, "spill=soar;threshold=.5", 47 * .25 / .75, true } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct baseline_test t;
        baseline_begin(&t, &scann_ops, cases[i].params, INDEX_F32, cases[i].metric, 48, 8);
        const struct scann *s = (const struct scann *)t.index;
        assert_true(fabs(scann_eta(s) - cases[i].eta) < 1e-9);
        assert_int_equal(scann_spills(s), cases[i].spills);
        baseline_end(&t);
    }
    struct test_bench b;
    struct scann_params params;
    struct index *index = NULL;
    test_bench_begin(&b, INDEX_F32, INDEX_IP, 8, 1);
    baseline_options(scann_ops.params, "pq_groups=9", &params);
    assert_code(scann_ops.create(&index, &b.env, &params), ERR_ARGUMENT, &b.error);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
}

int main(void)
{
    return test_run_all("scann", test_aware_codes, test_a_line, test_spilling, test_second_list,
                        test_mutations, test_threads_file_alike, test_trained_once,
                        test_trained_after_turnover, test_trained_after_shift, test_target,
                        test_target_again, test_target_out_of_memory, test_defaults);
}
