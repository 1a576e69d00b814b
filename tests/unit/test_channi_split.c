/* test_channi_split.c - how a cluster would be divided: outliers, groups, primaries, the heir. */
#include "algorithms/channi/split.h"
#include "tests/unit/test_channi.h"

/* Members made by hand, of a cluster without routes whose root is the first. */
struct crowd {
    struct book b;
    struct cluster cl;
    struct members m;
    struct split_plan plan;
};

static void crowd_open(struct crowd *c, struct channi_params params, enum element element,
                       size_t dim, size_t n)
{
    memset(c, 0, sizeof *c);
    book_open(&c->b, params, element, dim, n, 1);
    c->m.rows = calloc(n, sizeof *c->m.rows);
    c->m.ids = calloc(n, sizeof *c->m.ids);
    c->m.born = calloc(n, sizeof *c->m.born);
    c->m.dead = calloc(n, sizeof *c->m.dead);
    c->m.n = c->m.n_live = n;
    for (size_t i = 0; i < n; i++) {
        c->m.rows[i] = book_row(&c->b, i);
        c->m.ids[i] = i;
        c->m.born[i] = 1;
    }
    c->cl.site = book_row(&c->b, 0);
}

static void crowd_forget(struct crowd *c)
{
    mem_free(&c->b.bench.mem, c->plan.block);
    c->plan.block = NULL;
}

static void crowd_close(struct crowd *c)
{
    crowd_forget(c);
    free(c->m.rows);
    free(c->m.ids);
    free(c->m.born);
    free(c->m.dead);
    book_close(&c->b);
}

static int crowd_plan(struct crowd *c, uint64_t seed)
{
    double cost = 0;

    crowd_forget(c);
    return channi_split_plan(book_channi(&c->b), &c->cl, &c->m, seed, &c->plan, &cost);
}

static void crowd_kill(struct crowd *c, size_t i)
{
    c->m.n_live -= c->m.dead[i] == 0;
    c->m.dead[i] = 2;
}

static struct channi_params hundred(void)
{
    struct channi_params p = book_defaults();

    p.target_cluster = 100;
    p.split_max = p.merge_min = 0;
    return p;
}

/* -------------------------------------------------------------------------------- soundness */

static size_t temporary_most(const struct crowd *c)
{
    const double n = (double)c->m.n_live;
    const int64_t rule = c->b.params.split_count;
    const double k = rule == SPLIT_2    ? 2
                     : rule == SPLIT_3  ? 3
                     : rule == SPLIT_LN ? log(n)
                                        : log2(n);

    return k > 3 || rule == SPLIT_2 ? (size_t)k : 3;
}

static uint32_t *parts_of(const struct crowd *c)
{
    uint32_t *of = calloc(c->m.n, sizeof *of);

    memset(of, 0xff, c->m.n * sizeof *of);
    for (uint32_t p = 0; p < c->plan.n_parts; p++)
        for (size_t i = 0; i < c->plan.parts[p].n; i++) {
            const uint32_t at = c->plan.parts[p].rows[i];
            assert_true(at < c->m.n);
            assert_int_equal(of[at], UINT32_MAX);
            of[at] = p;
        }
    for (size_t i = 0; i < c->m.n; i++)
        assert_true(of[i] != UINT32_MAX);
    return of;
}

static size_t nearest_root(const struct crowd *c, size_t row, double *distance)
{
    size_t best = 0;

    *distance = INFINITY;
    for (size_t p = 0; p < c->plan.n_normal; p++) {
        const double d = book_distance(&c->b, c->m.rows[row], c->m.rows[c->plan.parts[p].root]);
        if (d < *distance) {
            *distance = d;
            best = p;
        }
    }
    return best;
}

/* Normal rows are with the nearest primary, unless a part would be next to nothing so. */
static void expect_nearest(const struct crowd *c, const uint32_t *of)
{
    const struct channi *s = book_channi(&c->b);
    size_t count[64] = { 0 }, wrong = 0, least = SIZE_MAX;

    for (size_t i = 0; i < c->m.n; i++) {
        double nearest;

        if (c->m.dead[i] != 0 || of[i] >= c->plan.n_normal)
            continue;
        count[nearest_root(c, i, &nearest)]++;
        wrong += book_distance(&c->b, c->m.rows[i], c->m.rows[c->plan.parts[of[i]].root]) >
                 nearest * (1 + 1e-5) + 1e-9;
    }
    for (size_t p = 0; p < c->plan.n_normal; p++)
        least = count[p] < least ? count[p] : least;
    if (wrong > 0)
        assert_true(least < s->merge_min || least == 0);
}

static void expect_sound(struct crowd *c)
{
    const struct channi *s = book_channi(&c->b);
    const struct split_plan *plan = &c->plan;
    size_t heirs = 0, outliers = 0;

    if (plan->n_parts == 0) {
        assert_non_null(plan->why);
        return;
    }
    uint32_t *of = parts_of(c);
    assert_in_range(plan->n_normal, 1, plan->n_parts);
    assert_true(plan->n_parts > 1);
    assert_true(plan->n_temporary <= temporary_most(c));
    for (size_t p = 0; p < plan->n_parts; p++) {
        const struct part *part = &plan->parts[p];
        size_t live = 0;

        for (size_t i = 0; i < part->n; i++)
            live += c->m.dead[part->rows[i]] == 0;
        assert_int_equal(of[part->root], p);
        assert_int_equal(c->m.dead[part->root], 0);
        assert_int_equal(part->kind, p < plan->n_normal ? CLUSTER_NORMAL : CLUSTER_OOD);
        heirs += part->heir_of == 0;
        assert_true(part->heir_of == 0
                        ? p < plan->n_normal && part->routes_of == 1
                        : part->heir_of == UINT32_MAX && part->routes_of == 0 && part->new_route);
        if (part->kind == CLUSTER_OOD) {
            assert_in_range(live, 1, s->ood_cap);
            outliers += live;
        } else if (plan->n_normal > 1) {
            assert_true(live >= (s->merge_min > 0 ? s->merge_min : 1));
        }
    }
    assert_int_equal(heirs, 1);
    assert_int_equal(outliers, plan->flagged);
    if (!c->b.params.assign_to_centroid)
        expect_nearest(c, of);
    free(of);
}

static void random_crowd(uint64_t turn)
{
    struct rng r = rng_at(test_seed(), turn);
    struct channi_params p = hundred();
    const size_t n = 20 + (size_t)rng_below(&r, 900), dim = 1 + (size_t)rng_below(&r, 40);
    const size_t distinct = rng_below(&r, 4) == 0 ? 1 + rng_below(&r, 10) : n;
    struct crowd c;

    p.split_count = (int64_t)rng_below(&r, 4);
    p.parts = rng_below(&r, 2) ? 2 + (int64_t)rng_below(&r, 4) : 0;
    p.ood = rng_below(&r, 4) > 0;
    p.ood_min = (int64_t)rng_below(&r, 3);
    p.ood_cap = rng_below(&r, 2) ? 7 : 0;
    p.ood_sigma = rng_unit(&r) * 3;
    p.assign_to_centroid = rng_below(&r, 3) == 0;
    p.restarts = 1 + (int64_t)rng_below(&r, 3);
    crowd_open(&c, p, rng_below(&r, 2) ? ELEMENT_U8 : ELEMENT_F32, dim, n);
    book_fill(&c.b, 0, n, rng_below(&r, 6), rng_unit(&r));
    for (size_t i = distinct; i < n; i++)
        memcpy(book_row(&c.b, i), book_row(&c.b, i % distinct), c.b.row_bytes);
    for (size_t i = rng_below(&r, 30); i > 0; i--)
        crowd_kill(&c, (size_t)rng_below(&r, n));
    assert_ok(crowd_plan(&c, turn), &c.b.bench.error);
    expect_sound(&c);
    const size_t parts = c.plan.n_parts;
    uint32_t *of = parts > 0 ? parts_of(&c) : NULL;
    assert_ok(crowd_plan(&c, turn), &c.b.bench.error);
    assert_int_equal(c.plan.n_parts, parts);
    uint32_t *again = parts > 0 ? parts_of(&c) : NULL;
    if (parts > 0)
        assert_memory_equal(of, again, n * sizeof *of);
    free(of);
    free(again);
    crowd_close(&c);
}

static void test_sound(void **state)
{
    (void)state;
    for (uint64_t turn = 0; turn < 300; turn++)
        random_crowd(turn);
}

/* -------------------------------------------------------------------------------- outliers */

enum { PLANTED_ROWS = 4000 };

/* Of `out` rows far out as distances of all others go, and of the others: how many are in outliers' clusters. */
struct planted {
    double out, others;
};

/* Outliers' distance from a centre is the others' mean distance and `deviations` of theirs. */
static struct planted planted(uint64_t seed, size_t out, double deviations, double excess)
{
    enum { DIM = 24, CENTRES = 4 };
    struct channi_params p = hundred();
    struct crowd c;
    struct rng r = rng_at(test_seed(), seed);
    float centres[CENTRES][DIM];
    size_t found = 0, wrong = 0;

    p.target_cluster = 1000;
    p.ood_excess = excess;
    crowd_open(&c, p, ELEMENT_F32, DIM, PLANTED_ROWS);
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
    assert_ok(crowd_plan(&c, seed), &c.b.bench.error);
    expect_sound(&c);
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
    (void)state;
    const double excess = book_defaults().ood_excess;

    assert_true(excess > 0);
    for (size_t parts = 20; parts <= 50; parts += 30) {
        const struct planted mean = planted_often(PLANTED_ROWS / parts, excess);

        assert_true(mean.out >= 0.95);
        assert_true(mean.others <= 0.02);
    }
}

/* What any cluster has above mu + 2 sigma is no cluster of its own, unless any tail is asked for. */
static void test_an_ordinary_tail(void **state)
{
    (void)state;
    assert_true(planted_often(0, book_defaults().ood_excess).others == 0);
    assert_true(planted_often(0, 0).others > 0.01);
}

/* Where the mean of those flagged is as far out as asked for, and not where it is not. */
static void test_excess_of_outliers(void **state)
{
    (void)state;
    const size_t out = PLANTED_ROWS / 20;
    double below = 0, above = 100; /* 5 % that are y sigma above: y is at most (.95 / .05)^.5 */

    for (int step = 0; step < 12; step++) {
        const double middle = (below + above) / 2;

        *(planted(1, out, 6, middle).out > 0 ? &below : &above) = middle;
    }
    print_message("seed %" PRIu64 ": outliers to an excess of %.3f\n", test_seed(), below);
    assert_true(below > 1 && below <= sqrt(0.95 / 0.05) - 2);
}

/* Whatever the rows: at most 1 / (1 + s^2) are more than s deviations above the mean. */
static void test_share_of_outliers(void **state)
{
    (void)state;
    double most = 0;

    for (uint64_t turn = 0; turn < 60; turn++) {
        struct channi_params p = hundred();
        struct rng r = rng_at(test_seed(), turn);
        struct crowd c;
        const size_t n = 50 + (size_t)rng_below(&r, 1500);

        p.ood_sigma = turn % 2 ? 2 : 0.5 + 2.5 * rng_unit(&r);
        p.ood_min = 1;
        p.ood_excess = 0;
        p.ood_max_share = 1;
        crowd_open(&c, p, ELEMENT_F32, 1 + (size_t)rng_below(&r, 6), n);
        for (size_t i = 0; i < n * c.b.dim; i++) { /* tails down to those of no mean */
            const double tail = 0.5 + 3 * (double)(turn % 7) / 6;
            ((float *)(void *)c.b.rows)[i] =
                (float)(pow(1 - rng_unit(&r), -1 / tail) * (rng_below(&r, 2) ? 1 : -1));
        }
        assert_ok(crowd_plan(&c, turn), &c.b.bench.error);
        expect_sound(&c);
        const double share = (double)c.plan.flagged / (double)n;
        const double bound = 1 / (1 + p.ood_sigma * p.ood_sigma);
        assert_true(share <= bound + 1e-9);
        most = share / bound > most ? share / bound : most;
        crowd_close(&c);
    }
    assert_true(most > 0.2); /* something was flagged at all */
}

/* Too few are no outliers; of too many the farthest are. */
static void test_bounds_of_outliers(void **state)
{
    (void)state;
    for (size_t far = 4; far <= 40; far += 12) {
        struct channi_params p = hundred();
        struct crowd c;

        p.ood_max_share = 0.03;
        crowd_open(&c, p, ELEMENT_F32, 12, 1000);
        book_fill(&c.b, 0, 1000, 2, 0.2);
        for (size_t i = 0; i < far; i++) /* in directions of their own, the later ones farther */
            ((float *)book_row(&c.b, i))[i % 12] +=
                (4 + 0.1F * (float)i) * (float)(i % 24 < 12 ? 1 : -1);
        assert_ok(crowd_plan(&c, far), &c.b.bench.error);
        expect_sound(&c);
        if (c.plan.flagged > 0)
            assert_in_range(c.plan.flagged, 16, 30);
        else
            assert_true(far < 30);
        double flagged = 0;
        for (size_t i = c.plan.n_normal; i < c.plan.n_parts; i++)
            for (size_t j = 0; far > 30 && j < c.plan.parts[i].n; j++) {
                assert_true(c.plan.parts[i].rows[j] < far);
                flagged += c.plan.parts[i].rows[j];
            }
        if (far > 30) /* of the nearest 30 of 40 the mean would be 14.5 */
            assert_true(flagged > 17 * (double)c.plan.flagged);
        crowd_close(&c);
    }
}

/* ----------------------------------------------------------------------------------- groups */

/* Four tight groups, two and two near one another: the near ones become one part. */
static void test_near_groups_are_merged(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct channi_params p = hundred();
        struct crowd c;

        p.ood = false;
        p.parts = 2;
        p.restarts = 8;
        crowd_open(&c, p, ELEMENT_F32, 2, 400);
        for (size_t i = 0; i < 400; i++) {
            float *row = book_row(&c.b, i);
            row[0] = (float)(i % 4 / 2 * 100 + 0.1 * rng_normal(&c.b.rng));
            row[1] = (float)(i % 2 * 10 + 0.1 * rng_normal(&c.b.rng));
        }
        assert_ok(crowd_plan(&c, seed), &c.b.bench.error);
        expect_sound(&c);
        assert_int_equal(c.plan.n_parts, 2);
        uint32_t *of = parts_of(&c);
        for (size_t i = 0; i < 400; i++)
            assert_int_equal(of[i] == of[0], i % 4 / 2 == 0);
        free(of);
        /* The root of the heir is on the side of the old one. */
        const size_t heir = c.plan.parts[0].heir_of == 0 ? 0 : 1;
        assert_int_equal(c.plan.parts[heir].root % 4 / 2, 0);
        crowd_close(&c);
    }
}

/* A handful far away is no part of its own where outliers are not looked for. */
static void test_small_groups_are_not_left(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct channi_params p = hundred();
        struct crowd c;

        p.ood = false;
        crowd_open(&c, p, ELEMENT_F32, 8, 500);
        book_fill(&c.b, 0, 500, seed % 3, 0.3);
        for (size_t i = 0; i < 6; i++)
            ((float *)book_row(&c.b, i))[0] += 50;
        assert_ok(crowd_plan(&c, seed), &c.b.bench.error);
        expect_sound(&c);
        assert_in_range(c.plan.n_parts, 2, 3);
        crowd_close(&c);
    }
}

static void test_parts_wanted(void **state)
{
    (void)state;
    const struct {
        size_t n;
        int64_t parts, split_count;
        size_t least, most;
    } cases[] = {
        { 160, 0, SPLIT_LN, 2, 2 }, { 420, 0, SPLIT_LN, 2, 3 }, { 900, 5, SPLIT_LOG2, 4, 5 },
        { 900, 5, SPLIT_3, 2, 3 },  { 900, 5, SPLIT_2, 2, 2 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params p = hundred();
        struct crowd c;

        p.parts = cases[i].parts;
        p.split_count = cases[i].split_count;
        p.ood = false;
        crowd_open(&c, p, ELEMENT_F32, 6, cases[i].n);
        book_fill(&c.b, 0, cases[i].n, 0, 1);
        assert_ok(crowd_plan(&c, i), &c.b.bench.error);
        expect_sound(&c);
        assert_in_range(c.plan.n_parts, cases[i].least, cases[i].most);
        crowd_close(&c);
    }
}

/* -------------------------------------------------------------------------------- equal rows */

static void test_equal_rows(void **state)
{
    (void)state;
    /* of 500 rows, which are one point, and what becomes of them */
    const struct {
        size_t equal;
        bool ood;
        size_t least, most;
    } cases[] = {
        { 500, true, 0, 0 },  { 500, false, 0, 0 }, { 497, false, 0, 0 },
        { 440, true, 1, 64 }, { 300, false, 2, 3 }, { 2, true, 2, 64 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct channi_params p = hundred();
        struct crowd c;

        p.ood = cases[i].ood;
        crowd_open(&c, p, i % 2 ? ELEMENT_U8 : ELEMENT_F32, 9, 500);
        book_fill(&c.b, 0, 500, 0, 1);
        for (size_t j = 1; j < cases[i].equal; j++)
            memcpy(book_row(&c.b, j), book_row(&c.b, 0), c.b.row_bytes);
        assert_ok(crowd_plan(&c, i), &c.b.bench.error);
        expect_sound(&c);
        assert_in_range(c.plan.n_parts, cases[i].least, cases[i].most);
        crowd_close(&c);
    }
}

/* Two points, many times each: neither is divided. */
static void test_two_points(void **state)
{
    (void)state;
    struct channi_params p = hundred();
    struct crowd c;

    crowd_open(&c, p, ELEMENT_F32, 3, 450);
    for (size_t i = 0; i < 450; i++)
        ((float *)book_row(&c.b, i))[1] = i % 3 == 0;
    assert_ok(crowd_plan(&c, 1), &c.b.bench.error);
    expect_sound(&c);
    assert_int_equal(c.plan.n_parts, 2);
    uint32_t *of = parts_of(&c);
    for (size_t i = 0; i < 450; i++)
        assert_int_equal(of[i], of[i % 3 == 0 ? 0 : 1]);
    free(of);
    crowd_close(&c);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct crowd c;
    bool done = false;

    crowd_open(&c, hundred(), ELEMENT_F32, 5, 450);
    book_fill(&c.b, 0, 450, 4, 0.4);
    crowd_kill(&c, 17);
    const size_t before = mem_live(&c.b.bench.mem);
    for (size_t at = 1; !done; at++) {
        atomic_store(&c.b.bench.mem.calls, 0);
        c.b.bench.mem.failed = false;
        c.b.bench.mem.fail_at = at;
        const int rc = crowd_plan(&c, 1);
        c.b.bench.mem.fail_at = 0;
        done = !c.b.bench.mem.failed;
        assert_code(rc, done ? OK : ERR_NO_MEMORY, &c.b.bench.error);
        if (!done)
            assert_int_equal(mem_live(&c.b.bench.mem), before);
    }
    expect_sound(&c);
    crowd_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_planted_outliers),
        cmocka_unit_test(test_an_ordinary_tail),
        cmocka_unit_test(test_excess_of_outliers),
        cmocka_unit_test(test_share_of_outliers),
        cmocka_unit_test(test_bounds_of_outliers),
        cmocka_unit_test(test_near_groups_are_merged),
        cmocka_unit_test(test_small_groups_are_not_left),
        cmocka_unit_test(test_parts_wanted),
        cmocka_unit_test(test_equal_rows),
        cmocka_unit_test(test_two_points),
        cmocka_unit_test(test_out_of_memory),
    };
    return test_run("channi_split", tests);
}
