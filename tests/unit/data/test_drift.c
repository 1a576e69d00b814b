/* test_drift.c - the measured drift: of nothing, of a shift, of a wider spread, and of halves of one set. */
#include "src/data/drift.h"

#include <math.h>
#include <stdlib.h>

#include "src/core/rng.h"
#include "tests/support/testing.h"

enum { ROWS = 2000, DIM = 32 };

/* Rows of independent normal components of this deviation around this value. */
static float *normal_rows(uint64_t stream, double around, double deviation)
{
    struct rng rng = rng_at(test_seed(), stream);
    float *rows = malloc((size_t)ROWS * DIM * sizeof *rows);
    assert_non_null(rows);
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++)
        rows[i] = (float)(around + deviation * rng_normal(&rng));
    return rows;
}

static struct data_drift drift_of(const float *a, const float *b, size_t n, size_t dim)
{
    struct data_drift drift = { .means = -1, .projections = -1 };
    struct error err = { 0 };
    assert_int_equal(data_drift(a, b, n, dim, &drift, &err), OK);
    return drift;
}

static void test_normal(void **state)
{
    (void)state;
    float *a = normal_rows(1, 3, 2), *half = normal_rows(2, 3, 2), *moved = normal_rows(3, 5, 2),
          *wide = normal_rows(4, 3, 4);
    const struct data_drift none = drift_of(a, a, ROWS, DIM), same = drift_of(a, half, ROWS, DIM),
                            shift = drift_of(a, moved, ROWS, DIM),
                            spread = drift_of(a, wide, ROWS, DIM);
    assert_true(none.means == 0 && none.projections == 0);
    assert_true(same.means < .1 && same.projections < 2 / sqrt(ROWS));
    /* The means differ by a deviation in each component, so by s in all; of a random direction the mean of |cos| is
       sqrt(2 / pi / DIM). */
    assert_float_equal(shift.means, 1, .05);
    assert_float_equal(shift.projections, sqrt(2 / 3.14159), .2);
    /* W1 of N(0, 1) and N(0, 2^2) is the mean of |x|. */
    assert_true(spread.means < .15);
    assert_float_equal(spread.projections, sqrt(2 / 3.14159), .05);
    /* The contrast does not depend on the deviation. */
    assert_float_equal(spread.contrast[0], spread.contrast[1], .1);
    assert_true(none.contrast[0] == none.contrast[1] && none.contrast[0] > 1.2);
    /* Scaling both sets changes nothing. */
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++) {
        a[i] *= 8;
        moved[i] *= 8;
    }
    const struct data_drift scaled = drift_of(a, moved, ROWS, DIM);
    assert_float_equal(scaled.means, shift.means, 1e-6);
    assert_float_equal(scaled.projections, shift.projections, 1e-6);
    assert_float_equal(scaled.contrast[1], shift.contrast[1], 1e-6);
    free(a);
    free(half);
    free(moved);
    free(wide);
}

/* Worked by hand: one dimension, so each direction is 1 or -1. */
static void test_by_hand(void **state)
{
    (void)state;
    const float a[] = { 0, 4 }, b[] = { 7, 1 }, point[] = { 5 }, other[] = { 8 };
    const struct data_drift d = drift_of(a, b, 2, 1), p = drift_of(point, other, 1, 1);
    assert_float_equal(d.means, 1, 1e-9);       /* 4 - 2 over a deviation of 2 */
    assert_float_equal(d.projections, 1, 1e-9); /* (|0 - 1| + |4 - 7|) / 2 / 2 */
    assert_float_equal(p.means, 3, 1e-9);       /* one row has no deviation: s is 1 */
    assert_float_equal(p.projections, 3, 1e-9);
    assert_float_equal(d.contrast[0], 1, 1e-9);
    assert_true(p.contrast[0] == 0 && p.contrast[1] == 0);
    const float near_pairs[] = { 0, 1, 9, 10 }, copies[] = { 2, 2, 5, 5 };
    const struct data_drift c = drift_of(near_pairs, copies, 4, 1);
    assert_float_equal(c.contrast[0], 19. / 3,
                       1e-9); /* each is 1, 8 or 9, 9 or 10 away from the others */
    assert_true(c.contrast[1] == 0);
}

int main(void)
{
    return test_run_all("drift", test_normal, test_by_hand);
}
