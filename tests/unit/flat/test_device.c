/* test_device.c - flat with device = cuda, on the emulated device, beside flat on the processor: the
 * same answers after any history, ties and long rows included; and a device that fails. */
#include "algorithms/flat/flat.h"
#include "tests/support/device_pair.h"

enum { DIM = 7, QUERIES = 40, K = 10 };

static const struct index_space spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_IP }, { INDEX_F32, INDEX_COS },
    { INDEX_U8, INDEX_L2SQ },  { INDEX_U8, INDEX_IP },  { INDEX_U8, INDEX_COS },
};

/* Whole numbers, so that sums are exact in any order; but for unit rows under cosine. */
static void draw(struct device_pair *p, void *rows, size_t n)
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
        f[i * DIM] += .5f; /* never the zero vector */
        test_normalise_f32(f + i * DIM, 1, DIM);
    }
}

/* Equal rows, which are all candidates. */
static void draw_equal(struct device_pair *p, void *rows, size_t n)
{
    for (size_t i = 0; i < n * DIM; i++)
        ((float *)rows)[i] = 2;
}

/* The same, and some whose squares overflow. */
static void draw_large(struct device_pair *p, void *rows, size_t n)
{
    draw_equal(p, rows, n);
    for (size_t i = 0; n > QUERIES && i < n * DIM; i += 100)
        ((float *)rows)[i] = 3e18f;
}

static void begin(struct device_pair *p, size_t space,
                  void (*rows)(struct device_pair *, void *, size_t))
{
    pair_begin(p, &flat_ops, spaces[space], DIM, "", QUERIES, rows, space);
}

static void compare(struct device_pair *p)
{
    pair_draw_queries(p);
    pair_compare(p, K, p->bench.env.metric == INDEX_COS ? 1e-6f : 0);
}

static void test_histories(void **state)
{
    struct emulated_device *device = test_emulate_device();
    for (size_t space = 0; space < sizeof spaces / sizeof *spaces; space++) {
        static struct device_pair p;
        begin(&p, space, draw);
        compare(&p); /* of nothing */
        pair_insert(&p, 3, PAIR_ROWS);
        compare(&p); /* fewer than k */
        pair_insert(&p, 400, PAIR_ROWS);
        compare(&p);
        const size_t grids = device->grids;
        for (size_t round = 0; round < 4 / test_scale(); round++) {
            pair_remove(&p, 30); /* some below the rows that the device has, some at the end */
            pair_insert(&p, round * 20, PAIR_ROWS);
            compare(&p);
        }
        pair_remove(&p, 300); /* more than are noted one by one */
        pair_insert(&p, 320, PAIR_ROWS);
        compare(&p);
        assert_true(device->grids > grids);
        assert_true(test_stat(p.there, "device_in_bytes") > 0);
        assert_true(test_stat(p.there, "device_bytes") > 0);
        pair_remove(&p, p.n);
        compare(&p);
        pair_end(&p);
        assert_int_equal(device->used_bytes, 0);
    }
}

static void test_what_the_device_leaves(void **state)
{
    (void)test_emulate_device();
    for (int large = 0; large < 2; large++) {
        static struct device_pair p;
        begin(&p, 0, large ? draw_large : draw_equal);
        pair_insert(&p, 600, 600);
        p.draw = draw;
        compare(&p);
        pair_end(&p);
    }
}

static void test_saved(void **state)
{
    (void)test_emulate_device();
    static struct device_pair p;
    begin(&p, 0, draw);
    pair_insert(&p, 300, 300);
    pair_reload(&p);
    compare(&p);
    assert_true(test_stat(p.there, "device_in_bytes") > 0);
    pair_end(&p);
}

static int ask(struct device_pair *p)
{
    static uint64_t ids[QUERIES * K];
    static float distances[QUERIES * K];
    return pair_ask(p, p->there, K, ids, distances);
}

static void test_failures(void **state)
{
    struct emulated_device *device = test_emulate_device();
    for (int memory = 0; memory < 2; memory++) {
        static struct device_pair p;
        begin(&p, 3, draw);
        pair_insert(&p, 200, 200);
        pair_draw_queries(&p);
        assert_true(pair_fail(&p, device, ask, compare, test_scale(), false, memory) > 2);
        compare(&p);
        pair_end(&p);
    }
}

int main(void)
{
    return test_run_all("flat_device", test_histories, test_what_the_device_leaves, test_saved,
                        test_failures);
}
