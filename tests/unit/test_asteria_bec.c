/* test_asteria_bec.c - the tree of clusters, with bec_check() after each step. */
#include "algorithms/asteria/bec_parts.h"
#include "algorithms/asteria/model.h"
#include "algorithms/common/store_file.h"
#include "tests/testing.h"

enum { SLOTS = 6000, DIM = 32, RANK = 12 };

/* Rows of DIM floats, slot by slot: the first of them are p, some are y. */
struct forest {
    struct test_bench bench;
    struct rng rng;
    struct model model;
    struct bec_options options;
    struct bec_rows rows;
    struct bec *bec;
    float (*z)[DIM];
    bool alive[SLOTS];
    size_t n_alive;
};

static void vector(void *to, uint32_t slot, float *y)
{
    const struct forest *f = to;

    memcpy(y, f->z[slot] + DIM - RANK, RANK * sizeof *y);
}

/* constant: bits that all rows have alike. */
static void draw_rows(struct forest *f, unsigned bits, size_t clusters, double spread,
                      unsigned constant)
{
    test_fill_f32(&f->rng, f->z[0], SLOTS, DIM, clusters, spread);
    test_normalise_f32(f->z[0], SLOTS, DIM);
    for (size_t i = 0; i < SLOTS; i++)
        for (unsigned j = 0; j < bits; j++)
            if (constant >> j & 1)
                f->z[i][j] = 0.1F;
}

static void learn_bits(struct forest *f)
{
    for (unsigned j = 0; j < ECC_WORD_MAX; j++) {
        f->model.bit_mean[j] = f->model.bit_margin[j] = 0;
        for (size_t i = 0; i < SLOTS && j < f->model.m; i++) {
            f->model.bit_mean[j] += (double)(f->z[i][j] < 0) / SLOTS;
            f->model.bit_margin[j] += fabs((double)f->z[i][j]) / SLOTS;
        }
    }
}

static void forest_open(struct forest *f, enum asteria_code code, unsigned bits, size_t leaf_cap,
                        size_t clusters, double spread, unsigned constant, uint64_t stream)
{
    memset(f, 0, sizeof *f);
    test_bench_begin(&f->bench, ELEMENT_F32, METRIC_COS, DIM, 1);
    f->rng = rng_at(test_seed(), stream);
    f->z = calloc(SLOTS, sizeof *f->z);
    assert_non_null(f->z);
    assert_ok(ecc_create(&f->model.ecc, NULL, code, bits, 1, &f->bench.error), &f->bench.error);
    f->model.m = f->model.ecc->n;
    assert_true(f->model.m <= DIM);
    draw_rows(f, bits, clusters, spread, constant);
    learn_bits(f);
    f->options = (struct bec_options){ .rank = RANK, .leaf_cap = leaf_cap, .penalty = 0.1 };
    f->rows = (struct bec_rows){ vector, f };
    assert_ok(bec_create(&f->bec, &f->bench.env, &f->model, &f->options), &f->bench.error);
}

static void forest_close(struct forest *f)
{
    bec_destroy(f->bec);
    assert_int_equal(mem_live(&f->bench.mem), 0);
    ecc_destroy(NULL, f->model.ecc);
    free(f->z);
    test_bench_end(&f->bench);
}

static uint32_t address_of(const struct forest *f, uint32_t slot)
{
    return ecc_decode(f->model.ecc, f->z[slot]);
}

static void add(struct forest *f, uint32_t slot)
{
    bec_add(f->bec, &f->rows, slot, address_of(f, slot), f->z[slot]);
    f->alive[slot] = true;
    f->n_alive++;
}

static void add_all(struct forest *f, uint32_t first, uint32_t end)
{
    assert_ok(bec_reserve(f->bec, end, end - first), &f->bench.error);
    for (uint32_t slot = first; slot < end; slot++)
        add(f, slot);
}

static void take(struct forest *f, uint32_t slot)
{
    bec_remove(f->bec, &f->rows, slot);
    f->alive[slot] = false;
    f->n_alive--;
}

static void sound(const struct forest *f)
{
    struct error error = { 0 };

    assert_ok(bec_check(f->bec, &f->rows, &error), &error);
    assert_int_equal(f->bec->n, f->n_alive);
}

static void settle(struct forest *f)
{
    bool more = true;

    for (unsigned i = 0; i < 1000 && more; i++)
        assert_ok(bec_maintain(f->bec, &f->rows, 0, &more), &f->bench.error);
    assert_false(more);
    sound(f);
}

/* At every level each row is in one cluster, inside of its cluster of the level above. */
static void expect_levels(const struct forest *f)
{
    const struct bec *b = f->bec;
    const unsigned depth = bec_depth(b);
    uint32_t *numbers = malloc(bec_leaves_end(b) * sizeof *numbers);

    assert_int_equal(bec_count(b, 0), bec_count_events(b).leaves);
    assert_int_equal(bec_count(b, depth), 1);
    assert_int_equal(bec_count(b, depth + 7), 1);
    for (unsigned level = 0; level <= depth; level++) {
        const size_t n = bec_count(b, level);
        uint32_t *medoids = calloc(n, sizeof *medoids), *rows = calloc(n, sizeof *rows),
                 *above = malloc(n * sizeof *above);
        assert_true(level == 0 || n < bec_count(b, level - 1));
        bec_medoids(b, level, medoids);
        bec_numbers(b, level, numbers);
        memset(above, 255, n * sizeof *above);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            if (!f->alive[slot])
                continue;
            const uint64_t cluster = bec_cluster(b, slot, level);
            const uint32_t up = (uint32_t)bec_cluster(b, slot, level + 1);
            assert_true(cluster < n && numbers[bec_leaf(b, slot)] == cluster);
            assert_true(above[cluster] == UINT32_MAX || above[cluster] == up);
            above[cluster] = up;
            rows[cluster]++;
        }
        for (size_t i = 0; i < n; i++) {
            assert_true((medoids[i] == UINT32_MAX) == (rows[i] == 0));
            if (rows[i] > 0) {
                assert_true(f->alive[medoids[i]]);
                assert_int_equal(bec_cluster(b, medoids[i], level), i);
            }
        }
        free(medoids);
        free(rows);
        free(above);
    }
    free(numbers);
}

static void test_rows_come_and_go(void **state)
{
    (void)state;
    static const struct {
        enum asteria_code code;
        unsigned bits;
        size_t cap, clusters;
        double spread;
        unsigned constant;
    } cases[] = { { ECC_GOLAY, 12, 50, 0, 1, 0 }, { ECC_NONE, 8, 20, 12, .5, 0 },
                  { ECC_GOLAY, 5, 4, 3, .2, 0 },  { ECC_HAMMING, 9, 30, 5, .8, 5 },
                  { ECC_NONE, 1, 10, 0, 1, 0 },   { ECC_NONE, 24, 16, 0, 1, 0 },
                  { ECC_RM, 6, 40, 1, 0, 0 } /* all rows are equal */ };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct forest f;
        forest_open(&f, cases[c].code, cases[c].bits, cases[c].cap, cases[c].clusters,
                    cases[c].spread, cases[c].constant, 10 + c);
        sound(&f);
        for (unsigned step = 0; step < 60; step++) {
            bool more;
            const bool grow = rng_below(&f.rng, 100) < (step < 35 ? 75 : 25);
            const size_t n = rng_below(&f.rng, 300);
            assert_ok(bec_reserve(f.bec, SLOTS, n), &f.bench.error);
            for (size_t i = 0; i < n; i++) {
                const uint32_t slot = (uint32_t)rng_below(&f.rng, SLOTS);
                if (grow && !f.alive[slot])
                    add(&f, slot);
                else if (!grow && f.alive[slot])
                    take(&f, slot);
            }
            sound(&f);
            assert_ok(bec_maintain(f.bec, &f.rows,
                                   rng_below(&f.rng, 3) ? 1 + rng_below(&f.rng, 500) : 0, &more),
                      &f.bench.error);
            sound(&f);
            if (step % 10 == 9)
                expect_levels(&f);
        }
        settle(&f);
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            if (f.alive[slot])
                take(&f, slot);
        settle(&f);
        assert_int_equal(bec_count(f.bec, 0), 1);
        forest_close(&f);
    }
}

/* Entropy of a leaf's bit among its rows, and whether its margin is large enough. */
static bool may_split(const struct bec *b, uint32_t leaf, unsigned bit)
{
    double ones = 0, margin = 0, n = 0;

    for (uint32_t cell = BEC_NONE, slot; bec_next_row(b, leaf, &cell, &slot); n++) {
        ones += b->cells[cell].address >> bit & 1;
        margin += abs(2 * bec_q(b, slot)[bit] + 1);
    }
    const double p = ones / n;
    return p > 0 && p < 1 && -p * log2(p) - (1 - p) * log2(1 - p) >= .8 &&
           margin / n >= BEC_LEAST_MARGIN;
}

static void test_leaves_split_at_the_cap(void **state)
{
    (void)state;
    struct forest f;
    const unsigned constant = 1U << 2 | 1U << 7;

    forest_open(&f, ECC_NONE, 10, 100, 20, 0.7, constant, 30);
    add_all(&f, 0, 100);
    settle(&f);
    assert_int_equal(bec_count(f.bec, 0), 1);
    add_all(&f, 100, SLOTS);
    settle(&f);
    const struct bec *b = f.bec;
    assert_true(bec_count(b, 0) > 20);
    for (uint32_t i = 0; i < b->n_nodes; i++) {
        if (!b->nodes[i].used)
            continue;
        assert_int_equal(b->nodes[i].mask & constant, 0);
        if (!bec_is_leaf(b, i) || b->nodes[i].n <= 100)
            continue;
        for (unsigned place = b->nodes[i].next; place < b->bits; place++)
            assert_false(may_split(b, i, b->order[place]));
    }
    forest_close(&f);
}

/* A split takes the first bit of the order that is allowed, and leaves all rows where their addresses say. */
static void test_a_split_is_by_the_next_bit(void **state)
{
    (void)state;
    struct forest f;
    uint64_t spent = 0;

    forest_open(&f, ECC_NONE, 8, 50, 9, 0.6, 1U << 3, 31);
    /* One bit is first in the order, and a tenth of the rows have it: it is passed over. */
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        f.z[slot][5] = slot % 10 ? 0.9F : -0.9F;
    learn_bits(&f);
    bec_destroy(f.bec);
    assert_ok(bec_create(&f.bec, &f.bench.env, &f.model, &f.options), &f.bench.error);
    assert_int_equal(f.bec->order[0], 5);
    add_all(&f, 0, 51);
    const struct bec *b = f.bec;
    unsigned place = 0;
    while (place < 8 && !may_split(b, 0, b->order[place]))
        place++;
    assert_true(place > 0 && place < 8);
    assert_int_equal(bec_split_place(b, 0), place);
    assert_ok(bec_split(f.bec, &f.rows, 0, place, &spent), &f.bench.error);
    assert_true(spent > 0 && spent <= 25 + 2 * BEC_SAMPLE);
    sound(&f);
    assert_int_equal(bec_count(b, 0), 2);
    for (uint32_t slot = 0; slot < 51; slot++)
        assert_int_equal(bec_leaf(b, slot), 1 + (address_of(&f, slot) >> b->order[place] & 1));
    forest_close(&f);
}

static void test_emptied_siblings_merge(void **state)
{
    (void)state;
    struct forest f;

    forest_open(&f, ECC_NONE, 10, 100, 0, 1, 0, 32);
    add_all(&f, 0, SLOTS);
    settle(&f);
    const size_t leaves = bec_count(f.bec, 0);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (slot % 20)
            take(&f, slot);
    settle(&f);
    assert_true(bec_count(f.bec, 0) < leaves / 4);
    assert_true(bec_count_events(f.bec).merges > 0);
    for (uint32_t i = 0; i < f.bec->n_nodes; i++)
        assert_false(f.bec->nodes[i].used && bec_merge_is_due(f.bec, i));
    forest_close(&f);
}

/* Rows whose bit has come to say nothing: the siblings merge, however many they are. */
static void test_siblings_of_no_margin_merge(void **state)
{
    (void)state;
    struct forest f;

    forest_open(&f, ECC_NONE, 1, 200, 0, 1, 0, 33);
    add_all(&f, 0, 300);
    settle(&f);
    assert_false(bec_is_leaf(f.bec, 0));
    for (uint32_t slot = 1000; slot < SLOTS; slot++)
        f.z[slot][0] *= 1e-4F;
    add_all(&f, 1000, SLOTS);
    for (uint32_t slot = 0; slot < 300; slot++)
        take(&f, slot);
    settle(&f);
    assert_true(bec_is_leaf(f.bec, 0));
    forest_close(&f);
}

static void test_medoids_are_the_nearest_to_the_mean(void **state)
{
    (void)state;
    struct forest f;

    forest_open(&f, ECC_GOLAY, 8, 400, 15, 0.5, 0, 34);
    add_all(&f, 0, SLOTS);
    settle(&f);
    unsigned large = 0;
    for (uint32_t leaf = 0; leaf < f.bec->n_nodes; leaf++) {
        uint32_t slots[BEC_SAMPLE];
        double sum[RANK] = { 0 }, best = -INFINITY, medoid = 0;
        uint64_t spent = 0;
        if (!bec_is_leaf(f.bec, leaf) || f.bec->nodes[leaf].n == 0)
            continue;
        bec_medoid_find(f.bec, &f.rows, leaf, &spent);
        const size_t n = bec_sample(f.bec, leaf, slots);
        assert_true(spent == n && n <= BEC_SAMPLE &&
                    2 * n > BEC_SAMPLE % (f.bec->nodes[leaf].n + 1));
        large += f.bec->nodes[leaf].n > BEC_SAMPLE;
        for (uint32_t slot = 0; slot < SLOTS; slot++)
            for (unsigned i = 0; i < RANK && bec_leaf(f.bec, slot) == leaf; i++)
                sum[i] += (double)f.z[slot][DIM - RANK + i];
        for (size_t j = 0; j < n; j++) {
            double product = 0;
            assert_int_equal(bec_leaf(f.bec, slots[j]), leaf);
            for (unsigned i = 0; i < RANK; i++)
                product += sum[i] * (double)f.z[slots[j]][DIM - RANK + i];
            best = product > best ? product : best;
            medoid = slots[j] == f.bec->nodes[leaf].medoid ? product : medoid;
        }
        assert_true(medoid > best - 1e-6);
    }
    assert_true(large > 0);
    sound(&f);
    forest_close(&f);
}

/* An eighth of a leaf's rows come or go before its medoid is found anew; one that goes is stood in for. */
static void test_medoids_are_found_anew(void **state)
{
    (void)state;
    struct forest f;
    uint32_t medoid;

    forest_open(&f, ECC_NONE, 4, 1000, 0, 1, 0, 35);
    add_all(&f, 0, 800);
    settle(&f);
    const uint64_t found = bec_count_events(f.bec).medoids;
    bec_medoids(f.bec, 0, &medoid);
    for (uint32_t slot = 800; slot < 900; slot++) {
        settle(&f);
        assert_int_equal(bec_count_events(f.bec).medoids, found);
        add_all(&f, slot, slot + 1);
    }
    for (uint32_t slot = 900; slot < 920; slot++)
        add_all(&f, slot, slot + 1);
    settle(&f);
    assert_true(bec_count_events(f.bec).medoids > found);
    bec_medoids(f.bec, 0, &medoid);
    take(&f, medoid);
    sound(&f);
    forest_close(&f);
}

static void test_assignment_lessens_the_objective(void **state)
{
    (void)state;
    static const double penalties[] = { 0, 0.02, 0.1, 1, 10 };

    for (size_t c = 0; c < sizeof penalties / sizeof *penalties; c++) {
        struct forest f;
        forest_open(&f, ECC_GOLAY, 9, 150, 12, 0.6, 0, 40 + c);
        f.bec->penalty = penalties[c];
        add_all(&f, 0, SLOTS);
        for (uint32_t i = 0; i < f.bec->n_nodes; i++) {
            uint64_t spent = 0;
            const unsigned place = bec_is_leaf(f.bec, i) ? bec_split_place(f.bec, i) : 99;
            if (place < f.bec->bits)
                assert_ok(bec_split(f.bec, &f.rows, i, place, &spent), &f.bench.error);
        }
        assert_true(bec_rounds_are_due(f.bec));
        double first = 0;
        for (unsigned round = 0; round < BEC_ROUNDS; round++) {
            uint64_t spent = 0;
            const double lambda = bec_lambda(f.bec), before = bec_objective(f.bec, &f.rows, lambda);
            const uint64_t moved = bec_count_events(f.bec).moved;
            assert_int_equal(f.bec->round, round);
            assert_true(fabs(lambda - penalties[c] / (1 << round)) < 1e-12);
            while (f.bec->round == round)
                assert_ok(bec_assign(f.bec, &f.rows, 500, &spent), &f.bench.error);
            sound(&f);
            const double after = bec_objective(f.bec, &f.rows, lambda);
            if (bec_count_events(f.bec).moved > moved)
                assert_true(after < before);
            else
                assert_true(after <= before + 1e-6);
            first = round == 0 ? before - after : first;
        }
        assert_true(first > 1);
        forest_close(&f);
    }
}

static float distance_of_p(const struct forest *f, const float *p, uint32_t slot)
{
    double sum = 0;

    for (size_t i = 0; i < f->model.m; i++)
        sum += ((double)p[i] - (double)f->z[slot][i]) * ((double)p[i] - (double)f->z[slot][i]);
    return (float)sum;
}

static void expect_order(struct forest *f, const float *p)
{
    const size_t all = (size_t)1 << f->model.ecc->k;
    uint32_t *addresses = malloc((all + 1) * sizeof *addresses);
    float *lower = malloc((all + 1) * sizeof *lower), *of = malloc(all * sizeof *of);
    void *scratch = malloc(bec_scratch_bytes(f->bec) + 1);
    const size_t n = bec_order(f->bec, p, all + 1, addresses, lower, scratch);

    for (size_t a = 0; a < all; a++)
        of[a] = -1;
    for (size_t i = 0; i < n; i++) {
        assert_true(addresses[i] < all && of[addresses[i]] < 0);
        assert_true(lower[i] >= 0 && (i == 0 || lower[i] >= lower[i - 1]));
        of[addresses[i]] = lower[i];
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (!f->alive[slot])
            continue;
        const float bound = of[address_of(f, slot)];
        assert_true(bound >= 0); /* none is missing */
        assert_true(bound <= distance_of_p(f, p, slot) + 1e-5F);
    }
    assert_true(n <= f->n_alive);
    /* Fewer are the first of them. */
    for (size_t most = 0; most < n; most += 1 + n / 7) {
        uint32_t *some = malloc((most + 1) * sizeof *some);
        assert_int_equal(bec_order(f->bec, p, most, some, lower, scratch), most);
        assert_memory_equal(some, addresses, most * sizeof *some);
        free(some);
    }
    free(addresses);
    free(lower);
    free(of);
    free(scratch);
}

static void test_order_is_of_true_bounds(void **state)
{
    (void)state;
    static const struct {
        enum asteria_code code;
        unsigned bits;
        size_t cap, clusters;
        double spread;
    } cases[] = { { ECC_GOLAY, 12, 60, 0, 1 },     { ECC_NONE, 10, 40, 30, 0.3 },
                  { ECC_HAMMING, 8, 100, 6, 0.5 }, { ECC_NONE, 3, 5000, 0, 1 },
                  { ECC_NONE, 1, 100, 3, 0.02 }, /* the box's ends are rows */
                  { ECC_RM, 6, 50, 1, 0 } };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct forest f;
        forest_open(&f, cases[c].code, cases[c].bits, cases[c].cap, cases[c].clusters,
                    cases[c].spread, 0, 50 + c);
        const float none[DIM] = { 0 };
        expect_order(&f, none);
        add_all(&f, 0, SLOTS - 100);
        settle(&f);
        for (unsigned round = 0; round < 12; round++) {
            float p[DIM];
            for (unsigned i = 0; i < DIM; i++)
                p[i] = (float)rng_normal(&f.rng) * (round % 3 ? 0.2F : 2);
            expect_order(&f, round % 2 ? p : f.z[SLOTS - 1 - round]);
            /* beyond the box on the other side */
            for (unsigned i = 0; i < DIM; i++)
                p[i] = -p[i];
            expect_order(&f, p);
            for (unsigned i = 0; i < 400; i++) {
                const uint32_t slot = (uint32_t)rng_below(&f.rng, SLOTS - 100);
                if (f.alive[slot])
                    take(&f, slot);
            }
        }
        forest_close(&f);
    }
}

/* Bounds that are 0 would be true, too: of well parted clusters most are not. */
static void test_bounds_tell_leaves_apart(void **state)
{
    (void)state;
    struct forest f;
    uint32_t addresses[1024];
    float lower[1024];

    forest_open(&f, ECC_NONE, 10, 60, 30, 0.1, 0, 60);
    add_all(&f, 0, SLOTS);
    settle(&f);
    void *scratch = malloc(bec_scratch_bytes(f.bec));
    const size_t n = bec_order(f.bec, f.z[17], 1024, addresses, lower, scratch);
    size_t above = 0;
    for (size_t i = 0; i < n; i++)
        above += lower[i] > 0.05F;
    assert_true(2 * above > n);
    free(scratch);
    forest_close(&f);
}

static const struct store_identity identity = { "asteria", 1, DIM, ELEMENT_F32, METRIC_COS };

static int write_tree(const struct bec *b, const char *dir, struct error *error)
{
    static struct store_writer w;
    int rc = store_begin(&w, dir, "tree", &identity, NULL, error);

    if (rc != OK)
        return rc;
    bec_write(b, &w);
    return store_commit(&w);
}

static int read_tree(struct forest *f, const char *dir, struct bec **b)
{
    static struct store_reader r;
    int rc = store_open(&r, dir, "tree", &identity, &f->bench.error);

    if (rc != OK)
        return rc;
    rc = bec_read(b, &f->bench.env, &f->model, &f->options, &r);
    store_close(&r);
    return rc;
}

static void test_what_was_written_goes_on(void **state)
{
    (void)state;
    struct forest f;
    struct bec *again;
    char dir[PATH_MAX];
    bool more;
    unsigned midway = 0;

    test_dir_make(dir);
    forest_open(&f, ECC_GOLAY, 10, 60, 9, 0.5, 0, 70);
    for (unsigned round = 0; round < 4; round++) {
        if (round > 0)
            add_all(&f, (round - 1) * 1000, round * 1000);
        for (uint32_t slot = 0; slot < 1000 && round == 3; slot++)
            take(&f, slot);
        assert_ok(bec_maintain(f.bec, &f.rows, 2500, &more), &f.bench.error);
        assert_ok(write_tree(f.bec, dir, &f.bench.error), &f.bench.error);
        assert_ok(read_tree(&f, dir, &again), &f.bench.error);
        assert_ok(bec_check(again, &f.rows, &f.bench.error), &f.bench.error);
        assert_int_equal(again->round, f.bec->round);
        assert_int_equal(again->cursor, f.bec->cursor);
        assert_int_equal(again->again, f.bec->again);
        assert_int_equal(again->changed, f.bec->changed);
        assert_int_equal(again->reshaped, f.bec->reshaped);
        midway += f.bec->round < BEC_ROUNDS && f.bec->cursor > 0;
        /* Both go on alike. */
        struct bec *both[2] = { f.bec, again };
        for (unsigned i = 0; i < 2; i++) {
            assert_ok(bec_reserve(both[i], 5500, 500), &f.bench.error);
            for (uint32_t slot = 5000; slot < 5500; slot++)
                bec_add(both[i], &f.rows, slot, address_of(&f, slot), f.z[slot]);
            assert_ok(bec_maintain(both[i], &f.rows, 900, &more), &f.bench.error);
        }
        const struct bec_counts a = bec_count_events(f.bec), b = bec_count_events(again);
        assert_memory_equal(&a, &b, sizeof a);
        for (uint32_t slot = 0; slot < 5500; slot++) {
            assert_int_equal(bec_has(f.bec, slot), bec_has(again, slot));
            if (bec_has(again, slot))
                assert_int_equal(bec_cluster(f.bec, slot, 0), bec_cluster(again, slot, 0));
        }
        bec_destroy(again);
        for (uint32_t slot = 5000; slot < 5500; slot++)
            bec_remove(f.bec, &f.rows, slot);
    }
    assert_true(midway > 0);
    forest_close(&f);
    test_dir_remove(dir);
}

/* Bytes of the tree's arrays are changed before they are written: refused, or a sound tree all the same. */
static void test_damage_is_refused(void **state)
{
    (void)state;
    struct forest f;
    char dir[PATH_MAX];
    unsigned refused = 0;
    enum { TRIES = 600 };

    test_dir_make_in_memory(dir);
    forest_open(&f, ECC_GOLAY, 7, 30, 9, 0.5, 0, 71);
    add_all(&f, 0, 400);
    settle(&f);
    for (uint32_t slot = 0; slot < 200; slot++)
        take(&f, slot);
    settle(&f);
    for (unsigned i = 0; i < TRIES; i++) {
        struct bec *b = f.bec, *again = NULL;
        unsigned char *const arrays[] = { (unsigned char *)b->nodes, (unsigned char *)b->cells,
                                          (unsigned char *)b->rows, (unsigned char *)b->tallies };
        const size_t bytes[] = { b->n_nodes * sizeof *b->nodes, b->n_cells * sizeof *b->cells,
                                 b->n_slots * sizeof *b->rows,
                                 b->n_nodes * b->bits * sizeof *b->tallies };
        const unsigned which = i % 4;
        unsigned char *at = arrays[which] + rng_below(&f.rng, bytes[which]);
        const unsigned char was = *at;
        *at ^= (unsigned char)(1U << rng_below(&f.rng, 8));
        assert_ok(write_tree(b, dir, &f.bench.error), &f.bench.error);
        *at = was;
        const int rc = read_tree(&f, dir, &again);
        if (rc == OK) {
            assert_ok(bec_check_shape(again, &f.bench.error), &f.bench.error);
            bec_destroy(again);
        } else {
            assert_code(rc, ERR_CORRUPT, &f.bench.error);
            refused++;
        }
    }
    assert_true(refused > TRIES / 4);
    forest_close(&f);
    test_dir_remove(dir);
}

static void test_another_models_tree_is_refused(void **state)
{
    (void)state;
    struct forest f, other;
    struct bec *b;
    char dir[PATH_MAX];

    test_dir_make(dir);
    forest_open(&f, ECC_GOLAY, 7, 30, 9, 0.5, 0, 72);
    forest_open(&other, ECC_GOLAY, 8, 30, 9, 0.5, 0, 73);
    assert_ok(write_tree(f.bec, dir, &f.bench.error), &f.bench.error);
    assert_code(read_tree(&other, dir, &b), ERR_CORRUPT, &other.bench.error);
    assert_null(b);
    forest_close(&f);
    forest_close(&other);
    test_dir_remove(dir);
}

static void test_check_finds_what_is_wrong(void **state)
{
    (void)state;
    struct forest f;

    forest_open(&f, ECC_GOLAY, 8, 100, 9, 0.5, 0, 74);
    add_all(&f, 0, 1500);
    settle(&f);
    struct bec *b = f.bec;
    const uint32_t leaf = bec_leaf(b, 7), cell = b->rows[7].cell;
    uint32_t *const numbers[] = { &b->nodes[leaf].n,       &b->nodes[leaf].mask,
                                  &b->nodes[0].n,          &b->nodes[leaf].medoid,
                                  &b->cells[cell].address, &b->cells[cell].leaf,
                                  &b->cells[cell].n,       &b->rows[7].cell,
                                  &b->nodes[leaf].n_cells, &bec_tallies(b, leaf)[3].ones };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const uint32_t was = *numbers[i];
        *numbers[i] = was == 0 ? 1 : was - 1;
        assert_code(bec_check(b, &f.rows, &f.bench.error), ERR_INVARIANT, &f.bench.error);
        *numbers[i] = was;
        sound(&f);
    }
    bec_sum(b, leaf)[2] += 0.01;
    assert_code(bec_check(b, &f.rows, &f.bench.error), ERR_INVARIANT, &f.bench.error);
    bec_sum(b, leaf)[2] -= 0.01;
    bec_tallies(b, leaf)[1].low = 127;
    assert_code(bec_check(b, &f.rows, &f.bench.error), ERR_INVARIANT, &f.bench.error);
    forest_close(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    char dir[PATH_MAX];
    bool done = false;

    test_dir_make_in_memory(dir);
    for (size_t at = 1; !done; at++) {
        struct forest f;
        struct bec *again = NULL;
        bool more = true;
        forest_open(&f, ECC_GOLAY, 8, 20, 9, 0.5, 0, 75);
        f.bench.mem.fail_at = atomic_load(&f.bench.mem.calls) + at;
        f.bench.mem.fail_after = at % 2;
        int rc = bec_reserve(f.bec, 500, 500);
        for (uint32_t slot = 0; rc == OK && slot < 500; slot++)
            add(&f, slot);
        while (rc == OK && more)
            rc = bec_maintain(f.bec, &f.rows, 300, &more);
        if (rc == OK)
            rc = write_tree(f.bec, dir, &f.bench.error);
        if (rc == OK)
            rc = read_tree(&f, dir, &again);
        if (rc == OK)
            bec_destroy(again);
        done = !atomic_load(&f.bench.mem.failed);
        assert_true(done == (rc == OK));
        f.bench.mem.fail_at = 0;
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &f.bench.error);
        sound(&f);
        settle(&f); /* and it goes on */
        forest_close(&f);
    }
    for (size_t at = 1; at <= 6; at++) {
        struct forest f;
        struct bec *b;
        forest_open(&f, ECC_GOLAY, 8, 20, 9, 0.5, 0, 76);
        f.bench.mem.fail_at = atomic_load(&f.bench.mem.calls) + at;
        assert_code(bec_create(&b, &f.bench.env, &f.model, &f.options), ERR_NO_MEMORY,
                    &f.bench.error);
        assert_null(b);
        forest_close(&f);
    }
    test_dir_remove(dir);
}

static void test_options_out_of_range_are_refused(void **state)
{
    (void)state;
    struct forest f;
    struct bec *b;
    struct bec_options options;

    forest_open(&f, ECC_GOLAY, 8, 20, 9, 0.5, 0, 77);
    options = (struct bec_options){ .rank = 0, .leaf_cap = 20 };
    assert_code(bec_create(&b, &f.bench.env, &f.model, &options), ERR_ARGUMENT, &f.bench.error);
    options = (struct bec_options){ .rank = 3, .leaf_cap = 3 };
    assert_code(bec_create(&b, &f.bench.env, &f.model, &options), ERR_ARGUMENT, &f.bench.error);
    forest_close(&f);
    bec_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_and_go),
        cmocka_unit_test(test_leaves_split_at_the_cap),
        cmocka_unit_test(test_a_split_is_by_the_next_bit),
        cmocka_unit_test(test_emptied_siblings_merge),
        cmocka_unit_test(test_siblings_of_no_margin_merge),
        cmocka_unit_test(test_medoids_are_the_nearest_to_the_mean),
        cmocka_unit_test(test_medoids_are_found_anew),
        cmocka_unit_test(test_assignment_lessens_the_objective),
        cmocka_unit_test(test_order_is_of_true_bounds),
        cmocka_unit_test(test_bounds_tell_leaves_apart),
        cmocka_unit_test(test_what_was_written_goes_on),
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_another_models_tree_is_refused),
        cmocka_unit_test(test_check_finds_what_is_wrong),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_options_out_of_range_are_refused),
    };
    return test_run("asteria bec", tests);
}
