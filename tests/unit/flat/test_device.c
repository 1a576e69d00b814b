/* test_device.c - flat with device = cuda, on the emulated device, beside flat on the processor: the
 * same answers after any history, ties and long rows included; and a device that fails. */
#include "algorithms/flat/flat.h"
#include "tests/support/device.h"
#include "tests/support/testing.h"

enum { MOST = 900, DIM = 7, QUERIES = 40, K = 10 };

static const struct {
    enum element element;
    enum metric metric;
} spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_IP }, { INDEX_F32, INDEX_COS },
    { INDEX_U8, INDEX_L2SQ },  { INDEX_U8, INDEX_IP },  { INDEX_U8, INDEX_COS },
};

struct pair {
    struct test_bench bench;
    struct index *here, *there; /* without and with the device */
    struct rng rng;
    size_t row_bytes, next;
    uint64_t live[MOST];
    size_t n;
};

/* Whole numbers, so that sums are exact in any order; but for unit rows under cosine. */
static void draw(struct pair *p, void *rows, size_t n)
{
    float *f = rows;
    uint8_t *u = rows;
    for (size_t i = 0; i < n * DIM; i++) {
        const uint64_t value = rng_below(&p->rng, 20);
        if (p->bench.env.element == INDEX_F32)
            f[i] = (float)value - 7;
        else
            u[i] = (uint8_t)(value + 1);
    }
    if (p->bench.env.element != INDEX_F32 || p->bench.env.metric != INDEX_COS)
        return;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        f[i * DIM] += .5f; /* never the zero vector */
        for (size_t j = 0; j < DIM; j++)
            sum += (double)f[i * DIM + j] * (double)f[i * DIM + j];
        for (size_t j = 0; j < DIM; j++)
            f[i * DIM + j] = (float)((double)f[i * DIM + j] / sqrt(sum));
    }
}

static void begin(struct pair *p, size_t space)
{
    const struct flat_params params = { CUDA_CUDA };
    *p = (struct pair){ .rng = rng_at(test_seed(), space) };
    test_bench_begin(&p->bench, spaces[space].element, spaces[space].metric, DIM, 2);
    p->row_bytes = index_row_bytes(spaces[space].element, DIM);
    assert_ok(flat_ops.create(&p->here, &p->bench.env, NULL), &p->bench.error);
    assert_ok(flat_ops.create(&p->there, &p->bench.env, &params), &p->bench.error);
}

static void end(struct pair *p)
{
    flat_ops.destroy(p->here);
    flat_ops.destroy(p->there);
    assert_int_equal(mem_live(&p->bench.mem), 0);
    test_bench_end(&p->bench);
}

static void insert(struct pair *p, size_t n, const void *given)
{
    _Alignas(64) static char rows[MOST * DIM * sizeof(float)];
    const void *from = given ? given : rows;
    size_t done;
    if (!given)
        draw(p, rows, n);
    for (size_t i = 0; i < n; i++)
        p->live[p->n + i] = p->next++;
    const struct vectors v = { from, n, DIM, p->bench.env.element };
    assert_ok(flat_ops.insert(p->here, v, p->live + p->n, &done), &p->bench.error);
    assert_ok(flat_ops.insert(p->there, v, p->live + p->n, &done), &p->bench.error);
    p->n += n;
}

static void remove_random(struct pair *p, size_t n)
{
    size_t done;
    for (; n > 0; n--) {
        const size_t at = rng_below(&p->rng, p->n);
        assert_ok(flat_ops.remove(p->here, &p->live[at], 1, &done), &p->bench.error);
        assert_ok(flat_ops.remove(p->there, &p->live[at], 1, &done), &p->bench.error);
        p->live[at] = p->live[--p->n];
    }
    assert_ok(flat_ops.check(p->there, NULL), &p->bench.error);
}

static int ask(struct pair *p, struct index *index, const void *queries, uint64_t *ids,
               float *distances)
{
    const struct search_request request = {
        { queries, QUERIES, DIM, p->bench.env.element }, K, NULL, NULL, 2
    };
    struct search_result result = { .ids = ids, .distances = distances };
    return flat_ops.search(index, &request, &result);
}

static void compare(struct pair *p)
{
    static _Alignas(64) char queries[QUERIES * DIM * sizeof(float)];
    static uint64_t ids[2][QUERIES * K];
    static float distances[2][QUERIES * K];
    draw(p, queries, QUERIES);
    assert_ok(ask(p, p->here, queries, ids[0], distances[0]), &p->bench.error);
    assert_ok(ask(p, p->there, queries, ids[1], distances[1]), &p->bench.error);
    if (p->bench.env.metric != INDEX_COS) {
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
        return;
    }
    for (size_t i = 0; i < QUERIES * K; i++) {
        assert_true((ids[0][i] == INDEX_NO_ID) == (ids[1][i] == INDEX_NO_ID));
        assert_true(ids[0][i] == INDEX_NO_ID || fabsf(distances[0][i] - distances[1][i]) < 1e-6f);
    }
}

static void test_histories(void **state)
{
    (void)state;
    struct emulated_device *device = test_emulate_device();
    for (size_t space = 0; space < sizeof spaces / sizeof *spaces; space++) {
        static struct pair p;
        begin(&p, space);
        compare(&p); /* of nothing */
        insert(&p, 3, NULL);
        compare(&p); /* fewer than k */
        insert(&p, 400, NULL);
        compare(&p);
        const size_t grids = device->grids;
        for (size_t round = 0; round < 4 / test_scale(); round++) {
            remove_random(&p, 30); /* some below the rows that the device has, some at the end */
            insert(&p, round * 20, NULL);
            compare(&p);
        }
        remove_random(&p, 300); /* more than are noted one by one */
        insert(&p, 320, NULL);
        compare(&p);
        assert_true(device->grids > grids);
        assert_true(test_stat(p.there, "device_in_bytes") > 0);
        assert_true(test_stat(p.there, "device_bytes") > 0);
        remove_random(&p, p.n);
        compare(&p);
        end(&p);
        assert_int_equal(device->used_bytes, 0);
    }
}

/* Equal rows, which are all candidates; and rows whose squares overflow. */
static void test_what_the_device_leaves(void **state)
{
    (void)state;
    (void)test_emulate_device();
    static float rows[MOST * DIM];
    for (int large = 0; large < 2; large++) {
        static struct pair p;
        begin(&p, 0);
        for (size_t i = 0; i < MOST * DIM; i++)
            rows[i] = large && i % 100 == 0 ? 3e18f : 2;
        insert(&p, 600, rows);
        compare(&p);
        end(&p);
    }
}

static void test_saved(void **state)
{
    (void)state;
    (void)test_emulate_device();
    static struct pair p;
    char dir[PATH_MAX];
    begin(&p, 0);
    test_dir_make(dir);
    insert(&p, 300, NULL);
    assert_ok(flat_ops.save(p.there, dir), &p.bench.error);
    flat_ops.destroy(p.there);
    assert_ok(flat_ops.load(&p.there, &p.bench.env, dir), &p.bench.error);
    compare(&p);
    assert_true(test_stat(p.there, "device_in_bytes") > 0);
    end(&p);
    test_dir_remove(dir);
}

/* A failed batch is an error with the device's sentence, and the next one is right. */
static void test_failures(void **state)
{
    (void)state;
    struct emulated_device *device = test_emulate_device();
    static const struct {
        int failure, code;
        const char *said;
    } cases[] = {
        { 2, ERR_NO_MEMORY, "out of memory" },
        { 700, ERR_BASELINE, "illegal memory access" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct pair p;
        static _Alignas(64) char queries[QUERIES * DIM * sizeof(float)];
        static uint64_t ids[QUERIES * K];
        static float distances[QUERIES * K];
        size_t failed = 0;
        begin(&p, 3);
        insert(&p, 200, NULL);
        draw(&p, queries, QUERIES);
        for (size_t at = 1;; at += test_scale()) {
            remove_random(&p, 1);
            device->calls = 0;
            device->failure = cases[i].failure;
            device->fail_at = at;
            const int rc = ask(&p, p.there, queries, ids, distances);
            device->calls = device->fail_at = 0;
            if (rc == OK)
                break;
            failed++;
            assert_int_equal(rc, cases[i].code);
            assert_non_null(strstr(p.bench.error.text, cases[i].said));
            error_clear(&p.bench.error);
            assert_ok(flat_ops.check(p.there, NULL), &p.bench.error);
            if (at % 7 == 0)
                compare(&p);
        }
        assert_true(failed > 2);
        compare(&p);
        end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_what_the_device_leaves),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_failures),
    };
    return test_run("flat_device", tests);
}
