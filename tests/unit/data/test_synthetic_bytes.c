/* test_synthetic_bytes.c - a mixture as bytes: the floats of the same options, scaled and rounded. */
#include "src/data/source/source.h"
#include "src/data/synthetic/synthetic.h"
#include "tests/support/testing.h"

enum { ROWS = 500, DIM = 20, SCALE = 60 };

static struct source *mixture(double byte_scale)
{
    struct synthetic_params params;
    struct source *s = NULL;
    struct error err = { 0 };

    memset(&params, 0, sizeof params);
    param_defaults(synthetic_table(SYNTHETIC_MIXTURE), &params);
    params.rows = ROWS;
    params.dim = DIM;
    params.byte_scale = byte_scale;
    assert_ok(synthetic_open(SYNTHETIC_MIXTURE, &params, 5, &s, &err), &err);
    return s;
}

static void bytes_are_rounded_floats(void **state)
{
    float floats[ROWS * DIM];
    uint8_t bytes[ROWS * DIM];
    struct source *f = mixture(0), *b = mixture(SCALE);
    struct error err = { 0 };
    size_t cut = 0;

    assert_int_equal(f->element, INDEX_F32);
    assert_int_equal(b->element, INDEX_U8);
    assert_true(f->hash != b->hash);
    assert_ok(source_read(f, 0, ROWS, floats, &err), &err);
    assert_ok(source_read(b, 0, ROWS, bytes, &err), &err);
    for (size_t i = 0; i < ROWS * DIM; i++) {
        const double exact = 128 + SCALE * (double)floats[i];

        assert_true(fabs(fmin(fmax(exact, 0), 255) - bytes[i]) <= .5001);
        cut += exact < 0 || exact > 255;
    }
    assert_true(cut > 0);
    source_close(f);
    source_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bytes_are_rounded_floats) };

    return test_run("synthetic bytes", tests);
}
