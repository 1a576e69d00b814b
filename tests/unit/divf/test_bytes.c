/* test_bytes.c - divf with rows of bytes: in all that it answers it is the index of the same rows as
 * floats, and stores a quarter. */
#include "tests/unit/divf/support.h"

enum { DIM = 24, N = 3000, HALF = N / 2, QUERIES = 60, K = 10 };

struct twin {
    struct test_bench bench;
    struct index *index;
};

/* The same rows in two indexes. */
struct pair {
    struct twin bytes, floats;
    uint8_t rows[N * DIM];
    float widened[N * DIM];
    uint64_t ids[N];
};

static const char *const kinds[] = {
    "sketch=0,soft_k=1,maintenance=copenhagen",
    "sketch=9,soft_k=2,maintenance=lire",
    "quantizer=sq8,sketch=5,soft_k=1,maintenance=lire",
    "quantizer=pq,sketch=0,soft_k=2,maintenance=dedrift",
    "quantizer=rabitq,sketch=0,soft_k=1,maintenance=cost-model",
    "quantizer=rabitq,sketch=0,soft_k=2,maintenance=copenhagen",
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static struct divf_params params_of(const char *kind, int64_t storage)
{
    struct divf_params params = divf_with(
        divf_defaults("clusters=140,split_threshold=1.5,cost_probe=1,cost_tau=0,train_sample=1000"),
        kind);
    params.storage = storage;
    return params;
}

static struct vectors rows_of(const struct pair *p, const struct twin *t, size_t first, size_t n)
{
    const size_t at = first * DIM;
    return t->bench.env.element == INDEX_U8
               ? (struct vectors){ p->rows + at, n, DIM, INDEX_U8 }
               : (struct vectors){ p->widened + at, n, DIM, INDEX_F32 };
}

static void insert(struct pair *p, struct twin *t, size_t first, size_t n)
{
    size_t done = 0;
    assert_ok(divf_ops.insert(t->index, rows_of(p, t, first, n), p->ids + first, &done),
              &t->bench.error);
    assert_int_equal(done, n);
    assert_ok(divf_ops.check(t->index, NULL), &t->bench.error);
}

/* Trains on the first half and stores it, then rows of other places: one by one, a few, many. Every
   seventh of the first half is removed. */
static void fill(struct pair *p, struct twin *t, enum element element, const char *dir,
                 struct divf_params params)
{
    test_bench_begin(&t->bench, element, INDEX_L2SQ, DIM, 1);
    t->bench.env.dir = dir;
    assert_ok(divf_ops.create(&t->index, &t->bench.env, &params), &t->bench.error);
    assert_ok(divf_ops.train(t->index, rows_of(p, t, 0, HALF)), &t->bench.error);
    insert(p, t, 0, HALF);
    for (size_t i = 0; i < HALF; i += 7) {
        size_t done = 0;
        assert_ok(divf_ops.remove(t->index, p->ids + i, 1, &done), &t->bench.error);
    }
    for (size_t i = 0; i < 20; i++)
        insert(p, t, HALF + i, 1);
    insert(p, t, HALF + 20, 40);
    insert(p, t, HALF + 60, HALF - 60);
}

static struct pair *pair_of_rows(void)
{
    struct pair *p = calloc(1, sizeof *p);
    struct rng rng = rng_at(test_seed(), 11);
    assert_non_null(p);
    test_fill_u8(&rng, p->rows, HALF, DIM, 25, 0.4);
    test_fill_u8(&rng, p->rows + HALF * DIM, HALF, DIM, 25, 0.4);
    for (size_t i = 0; i < N * DIM; i++)
        p->widened[i] = p->rows[i];
    for (size_t i = 0; i < N; i++)
        p->ids[i] = i;
    return p;
}

static void twin_close(struct twin *t)
{
    divf_ops.destroy(t->index);
    assert_int_equal(mem_live(&t->bench.mem), 0);
    test_bench_end(&t->bench);
}

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
    size_t hits;
    double sum;
};

static int found(void *to, size_t query, uint64_t id, float distance)
{
    struct answers *a = to;
    a->hits += query * N + id;
    a->sum += (double)distance;
    return OK;
}

/* As a batch, or one by one; and all within a radius. */
static void ask(const struct pair *p, struct twin *t, struct index *index, struct divf_knobs knobs,
                size_t at_once, struct answers *a)
{
    memset(a, 0, sizeof *a);
    for (size_t q = 0; q < QUERIES; q += at_once) {
        const struct vectors queries = rows_of(p, t, q * (N / QUERIES), at_once);
        struct search_request request = { queries, K, &knobs, NULL, 1 };
        struct search_result result = { .ids = a->ids + q * K, .distances = a->distances + q * K };
        assert_ok(divf_ops.search(index, &request, &result), &t->bench.error);
        struct range_request range = { queries, 20000, &knobs, NULL, 1 };
        struct range_result within = { .found = found, .to = a };
        if (knobs.rerank == 0)
            assert_ok(divf_ops.range(index, &range, &within), &t->bench.error);
    }
}

static const struct divf_knobs asked[] = { { .nprobe = 4 },
                                           { .nprobe = 40 },
                                           { .nprobe = 1 << 22 },
                                           { .nprobe = 40, .rerank = 30 },
                                           { .nprobe = 1 << 22, .target_recall = 0.9 } };

/* Sums of squares of 24 bytes are exact in a float, so nothing differs. */
static void expect_same(const struct pair *p, struct twin *s, struct index *x, struct twin *t,
                        struct index *y)
{
    static struct answers a, b;
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        for (size_t at_once = 1; at_once <= QUERIES; at_once *= QUERIES) {
            ask(p, s, x, asked[i], at_once, &a);
            ask(p, t, y, asked[i], at_once, &b);
            assert_memory_equal(a.ids, b.ids, sizeof a.ids);
            assert_memory_equal(a.distances, b.distances, sizeof a.distances);
            assert_true(a.hits == b.hits && a.sum == b.sum);
        }
}

static void test_as_floats(void **state)
{
    struct pair *p = pair_of_rows();
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (size_t kind = 0; kind < KINDS; kind++) {
        const struct divf_params params = params_of(kinds[kind], kind % 2 ? DIVF_MMAP : DIVF_RAM);
        fill(p, &p->floats, INDEX_F32, dir, params);
        fill(p, &p->bytes, INDEX_U8, dir, params);
        expect_same(p, &p->bytes, p->bytes.index, &p->floats, p->floats.index);
        twin_close(&p->bytes);
        twin_close(&p->floats);
    }
    test_dir_remove(dir);
    free(p);
}

static double bytes_of(const struct twin *t, bool disk)
{
    struct memory_use use;
    assert_int_equal(divf_ops.memory(t->index, &use), OK);
    return (double)(disk ? use.disk : use.vectors);
}

static void test_memory(void **state)
{
    struct pair *p = pair_of_rows();
    fill(p, &p->floats, INDEX_F32, NULL, params_of(kinds[0], DIVF_RAM));
    fill(p, &p->bytes, INDEX_U8, NULL, params_of(kinds[0], DIVF_RAM));
    assert_true(4 * bytes_of(&p->bytes, false) == bytes_of(&p->floats, false));
    twin_close(&p->bytes);
    twin_close(&p->floats);
    free(p);
}

/* Sums of squares that a float cannot hold are rounded, and the codes exclude no row for that. */
static void test_wide_rows(void **state)
{
    enum { WIDE = 700, ROWS = 400 };
    static uint8_t rows[ROWS * WIDE];
    static uint64_t ids[ROWS];
    struct rng rng = rng_at(test_seed(), 12);
    for (size_t i = 0; i < sizeof rows; i++)
        rows[i] = rng_below(&rng, 2) ? 255 : (uint8_t)rng_below(&rng, 3);
    for (size_t i = 0; i < ROWS; i++)
        ids[i] = i;
    for (size_t kind = 0; kind + 2 < KINDS; kind++) { /* of certain bounds */
        struct test_bench bench;
        struct index *index;
        size_t done;
        test_bench_begin(&bench, INDEX_U8, INDEX_L2SQ, WIDE, 1);
        struct divf_params params = params_of(kinds[kind], DIVF_RAM);
        assert_ok(divf_ops.create(&index, &bench.env, &params), &bench.error);
        const struct vectors all = { rows, ROWS, WIDE, INDEX_U8 };
        assert_ok(divf_ops.train(index, all), &bench.error);
        assert_ok(divf_ops.insert(index, all, ids, &done), &bench.error);
        for (size_t q = 0; q < 20; q++) {
            struct divf_knobs knobs = { .nprobe = 1 << 22 };
            uint64_t got[K];
            float distances[K];
            struct search_request request = {
                { rows + q * WIDE, 1, WIDE, INDEX_U8 }, K, &knobs, NULL, 1
            };
            struct search_result result = { .ids = got, .distances = distances };
            struct test_truth truth[ROWS];
            assert_ok(divf_ops.search(index, &request, &result), &bench.error);
            for (size_t i = 0; i < ROWS; i++)
                truth[i] = (struct test_truth){
                    (float)bench.env.kernels->l2sq_u8(rows + q * WIDE, rows + i * WIDE, WIDE), i
                };
            qsort(truth, ROWS, sizeof *truth, test_truth_order);
            assert_true(truth[1].distance > 0x1p24F);
            for (size_t i = 0; i < K; i++)
                assert_true(got[i] == truth[i].id && distances[i] == truth[i].distance);
        }
        divf_ops.destroy(index);
        test_bench_end(&bench);
    }
}

int main(void)
{
    return test_run_all("divf, bytes", test_as_floats, test_memory, test_wide_rows);
}
