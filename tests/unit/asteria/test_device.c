/* test_device.c - asteria with device = cuda, on the emulated device, beside device = cpu with the same
 * history: the answers of certified searches in every bit; check() computes every row's outputs, word
 * and address again on the processor; and a device that fails. */
#include "algorithms/asteria/asteria.h"
#include "tests/support/device_pair.h"

enum { DIM = 24, ROWS = 1100, QUERIES = 66, K = 12 };

/* Around nine centres. */
static void draw(struct device_pair *p, void *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rng centre = rng_at(test_seed(), rng_below(&p->rng, 9));
        float row[DIM];
        for (size_t j = 0; j < DIM; j++)
            row[j] = (float)(rng_normal(&centre) + .4 * rng_normal(&p->rng));
        test_normalise_f32(row, 1, DIM);
        for (size_t j = 0; j < DIM; j++)
            if (p->bench.env.element == INDEX_U8)
                ((uint8_t *)rows)[i * DIM + j] = (uint8_t)(128 + 127 * row[j]);
            else
                ((float *)rows)[i * DIM + j] = row[j];
    }
}

static void draw_equal(struct device_pair *p, void *rows, size_t n)
{
    draw(p, rows, 1);
    for (size_t i = 1; i < n; i++)
        memcpy((float *)rows + i * DIM, rows, DIM * sizeof(float));
}

static void begin(struct device_pair *p, const char *settings, enum element element)
{
    const struct index_space space = { element, INDEX_COS };
    char options[160];
    (void)snprintf(options, sizeof options, "rotation=bor;train_steps=5;batch=32;%s", settings);
    pair_begin(p, &asteria_ops, space, DIM, options, QUERIES, draw, 21);
    ((struct asteria_knobs *)(void *)p->knobs)->mode = MODE_CERTIFIED;
}

static void compare(struct device_pair *p)
{
    const size_t compared = p->compared++;
    pair_draw_queries(p);
    for (size_t k = 1; k <= K; k += K - 1) /* after each change one of the two */
        if (compared <= 2 || (compared % 2 == 0) == (k == 1) || test_is_long())
            pair_compare(p, k, 0);
    assert_ok(asteria_ops.check(p->there, NULL), &p->bench.error);
}

static void compare_on(struct device_pair *p, const struct emulated_device *device)
{
    const size_t grids = device->grids;
    compare(p);
    assert_true(device->grids > grids);
}

static void maintain(struct device_pair *p)
{
    size_t steps = 0;
    for (bool more = true; more; steps++) {
        bool ignored;
        assert_ok(asteria_ops.maintain(p->here, 200, &ignored), &p->bench.error);
        assert_ok(asteria_ops.maintain(p->there, 200, &more), &p->bench.error);
        if (steps % 64 == 1)
            compare(p);
    }
}

static const char *const settings[] = {
    "caprg=false;r=24;bits=8",
    "caprg=false;r=24;bits=6;lrsq_pca=true;passes=2;centering=false;code=none",
    "caprg=false;r=24;bits=4;retrain_share=.3",
    "caprg=true;r=8;vantages=learned",
    "caprg=false;r=24;bits=8;rotation=pca",
    "caprg=false;r=24;bits=8;rotation=hadamard",
};

static void test_histories(void **state)
{
    struct emulated_device *device = test_emulate_device();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i += test_scale())
        for (int bytes = 0; bytes < 2; bytes++) {
            static struct device_pair p;
            if (i > 0 && bytes == (int)i % 2 && !test_is_long())
                continue;
            begin(&p, settings[i], bytes ? INDEX_U8 : INDEX_F32);
            pair_train(&p, 300);
            compare(&p); /* nothing is stored */
            pair_insert(&p, 5, 5);
            compare(&p); /* too few for the device */
            const size_t grids = device->grids;
            pair_insert(&p, ROWS - 205, ROWS);
            assert_int_equal(device->grids > grids, !strstr(settings[i], "rotation=pca"));
            compare(&p);
            maintain(&p);
            compare_on(&p, device);
            pair_remove(&p, 50); /* few changes, and many */
            compare_on(&p, device);
            pair_remove(&p, 500);
            pair_insert(&p, 150, 150);
            maintain(&p);
            compare_on(&p, device);
            pair_insert(&p, 100, 100); /* into free slots */
            compare_on(&p, device);
            assert_true(test_stat(p.there, "device_in_bytes") > 0);
            pair_end(&p);
            assert_int_equal(device->used_bytes, 0);
        }
}

/* Codes of a model that was trained on copies of one row have no coordinates. */
static void test_no_coordinates(void **state)
{
    struct emulated_device *device = test_emulate_device();
    static struct device_pair p;
    begin(&p, settings[0], INDEX_F32);
    p.draw = draw_equal;
    pair_train(&p, 100);
    p.draw = draw;
    pair_insert(&p, 300, 300);
    compare_on(&p, device);
    pair_end(&p);
}

static int ask(struct device_pair *p)
{
    static uint64_t ids[QUERIES * K];
    static float distances[QUERIES * K];
    return pair_ask(p, p->there, K, ids, distances);
}

/* A failed insertion stores nothing. */
static int insert_there(struct device_pair *p)
{
    enum { MORE = 100 };
    static _Alignas(64) char rows[MORE * PAIR_ROW_BYTES];
    uint64_t ids[MORE];
    size_t done;
    draw(p, rows, MORE);
    for (size_t i = 0; i < MORE; i++)
        ids[i] = p->next + i;
    const int rc = asteria_ops.insert(p->there, pair_rows(p, rows, MORE), ids, &done);
    assert_int_equal(done, rc == OK ? MORE : 0);
    if (rc == OK)
        assert_ok(asteria_ops.remove(p->there, ids, MORE, &done), &p->bench.error);
    return rc;
}

static void test_failures(void **state)
{
    struct emulated_device *device = test_emulate_device();
    static struct device_pair p;
    begin(&p, settings[0], INDEX_F32);
    pair_train(&p, 300);
    pair_insert(&p, 1000, 1000);
    pair_draw_queries(&p);
    assert_true(pair_fail(&p, device, ask, compare, 1, false, true) > 10);
    assert_true(pair_fail(&p, device, insert_there, compare, 1, false, true) > 8);
    compare(&p);
    pair_end(&p);
}

int main(void)
{
    return test_run_all("asteria_device", test_histories, test_no_coordinates, test_failures);
}
