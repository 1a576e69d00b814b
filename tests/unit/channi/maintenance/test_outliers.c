/* test_outliers.c - splits: which rows are outliers, and how many. */
#include "tests/unit/channi/maintenance/crowd.h"

enum { PLANTED_ROWS = 4000 };

/* Numbers of planted outliers and of other rows that are in OOD clusters. */
struct planted {
    double out, others;
};

/* An outlier's distance from a centre is the mean of the others' plus `deviations` deviations. */
static struct planted planted(uint64_t seed, size_t out, double deviations, double excess)
{
    enum { DIM = 24, CENTRES = 4 };
    struct channi_params p = book_with(hundred(), "target_cluster=1000");
    struct crowd c;
    struct rng r = rng_at(test_seed(), seed);
    float centres[CENTRES][DIM];
    size_t found = 0, wrong = 0;

    p.ood_excess = excess;
    crowd_open(&c, p, INDEX_F32, DIM, PLANTED_ROWS);
    for (size_t i = 0; i < CENTRES * DIM; i++)
        centres[i / DIM][i % DIM] = (float)(5 * rng_normal(&r));
    for (size_t i = 0; i < PLANTED_ROWS; i++) {
        float *row = book_row(&c.b, i);
        const float *centre = centres[rng_below(&r, CENTRES)];
        double length = 0, to = sqrt(DIM) + deviations * sqrt(0.5);

        for (size_t j = 0; j < DIM; j++) {
            row[j] = (float)rng_normal(&r);
            length += (double)row[j] * (double)row[j];
        }
        for (size_t j = 0; j < DIM; j++)
            row[j] = centre[j] + row[j] * (i < out ? (float)(to / sqrt(length)) : 1);
    }
    expect_plan(&c, seed);
    uint32_t *of = parts_of(&c);
    for (size_t i = 0; i < PLANTED_ROWS; i++)
        if (of[i] >= c.plan.n_normal)
            *(i < out ? &found : &wrong) += 1;
    free(of);
    crowd_close(&c);
    return (struct planted){ out > 0 ? (double)found / (double)out : 0,
                             (double)wrong / (double)(PLANTED_ROWS - out) };
}

static struct planted planted_often(size_t out, double excess)
{
    struct planted sum = { 0, 0 };

    for (uint64_t seed = 0; seed < 10; seed++) {
        const struct planted one = planted(seed, out, 6, excess);

        sum.out += one.out / 10;
        sum.others += one.others / 10;
    }
    print_message("seed %" PRIu64 ": of %zu outliers at 6 deviations %.3f found, %.4f of others\n",
                  test_seed(), out, sum.out, sum.others);
    return sum;
}

static void test_planted_outliers(void **state)
{
    const double excess = book_defaults("").ood_excess;

    assert_true(excess > 0);
    for (size_t parts = 20; parts <= 50; parts += 30) {
        const struct planted mean = planted_often(PLANTED_ROWS / parts, excess);

        assert_true(mean.out >= 0.95);
        assert_true(mean.others <= 0.02);
    }
}

/* The rows that any cluster has above mu + 2 sigma make no OOD cluster, unless ood_excess is 0. */
static void test_an_ordinary_tail(void **state)
{
    assert_true(planted_often(0, book_defaults("").ood_excess).others == 0);
    assert_true(planted_often(0, 0).others > 0.01);
}

/* Outliers are found if their mean is as far out as required, and not otherwise. */
static void test_excess_of_outliers(void **state)
{
    const size_t out = PLANTED_ROWS / 20;
    double below = 0, above = 100; /* 5 % that are y sigma above: y is at most (.95 / .05)^.5 */

    for (int step = 0; step < 12; step++) {
        const double middle = (below + above) / 2;

        *(planted(1, out, 6, middle).out > 0 ? &below : &above) = middle;
    }
    print_message("seed %" PRIu64 ": outliers to an excess of %.3f\n", test_seed(), below);
    assert_true(below > 1 && below <= sqrt(0.95 / 0.05) - 2);
}

/* For any rows at most 1 / (1 + s^2) are more than s deviations above the mean, and at most a
   fifth are outliers. */
static void test_share_of_outliers(void **state)
{
    double most = 0;

    for (uint64_t turn = 0; turn < 60; turn++) {
        struct channi_params p = book_with(hundred(), "ood_excess=0");
        struct rng r = rng_at(test_seed(), turn);
        struct crowd c;
        const size_t n = 50 + (size_t)rng_below(&r, 1500);

        p.ood_sigma = turn % 2 ? 2 : 0.5 + 2.5 * rng_unit(&r);
        crowd_open(&c, p, INDEX_F32, 1 + (size_t)rng_below(&r, 6), n);
        for (size_t i = 0; i < n * c.b.dim; i++) { /* tails up to those without a mean */
            const double tail = 0.5 + 3 * (double)(turn % 7) / 6;
            ((float *)(void *)c.b.rows)[i] =
                (float)(pow(1 - rng_unit(&r), -1 / tail) * (rng_below(&r, 2) ? 1 : -1));
        }
        expect_plan(&c, turn);
        const double share = (double)c.plan.flagged / (double)n;
        const double bound = fmin(1 / (1 + p.ood_sigma * p.ood_sigma), 0.2);
        assert_true(share <= bound + 1e-9);
        most = share / bound > most ? share / bound : most;
        crowd_close(&c);
    }
    assert_true(most > 0.2); /* something was flagged at all */
}

/* Too few rows are no outliers; of too many the farthest are. */
static void test_bounds_of_outliers(void **state)
{
    for (size_t far = 4; far <= 76; far += 12) {
        struct channi_params p = hundred();
        struct crowd c;

        p.ood_cap = 1; /* at most 56 OOD clusters, so 56 outliers */
        crowd_open(&c, p, INDEX_F32, 12, 1000);
        book_fill(&c.b, 0, 1000, 2, 0.2);
        for (size_t i = 0; i < far; i++) /* in different directions, later ones farther */
            ((float *)book_row(&c.b, i))[i % 12] +=
                (4 + 0.1F * (float)i) * (float)(i % 24 < 12 ? 1 : -1);
        expect_plan(&c, far);
        if (c.plan.flagged > 0)
            assert_in_range(c.plan.flagged, 16, 56);
        else
            assert_true(far < 30);
        double flagged = 0;
        for (size_t i = c.plan.n_normal; i < c.plan.n_parts; i++)
            for (size_t j = 0; far > 56 && j < c.plan.parts[i].n; j++) {
                assert_true(c.plan.parts[i].rows[j] < far);
                flagged += c.plan.parts[i].rows[j];
            }
        if (far > 56) /* of the nearest 56 the mean would be 27.5 */
            assert_true(flagged > 30 * (double)c.plan.flagged);
        crowd_close(&c);
    }
}

int main(void)
{
    return test_run_all("channi outliers", test_planted_outliers, test_an_ordinary_tail,
                        test_excess_of_outliers, test_share_of_outliers, test_bounds_of_outliers);
}
