/* test_asteria_turn.c - rotations: isometries all, written and read, trained to what they are for, and what goes wrong on
 * the way.
 */
#include "tests/testing.h"

#include "algorithms/asteria/bor.h"
#include "algorithms/common/store_file.h"

static const enum asteria_turn KINDS[] = { TURN_BOR, TURN_HADAMARD, TURN_IDENTITY, TURN_RANDOM,
                                           TURN_PCA };
enum { N_KINDS = sizeof KINDS / sizeof *KINDS };

static float *floats(size_t n)
{
    float *p = aligned_alloc(64, (n * sizeof *p + 127) / 64 * 64);
    assert_non_null(p);
    return p;
}

/* Unit rows near `clusters` axes of few dimensions, plus noise in all: most of their length is in a few directions. */
static float *some_rows(size_t n, size_t dim, uint64_t seed)
{
    struct rng r = rng_at(seed, 50);
    const size_t few = dim < 6 ? dim : 6;
    float *rows = floats(n * dim), *axes = floats(few * dim);
    test_fill_f32(&r, axes, few, dim, 0, 1);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < dim; j++)
            rows[i * dim + j] = (float)rng_normal(&r) + axes[j];
        for (size_t a = 0; a < few; a++) {
            const float along = (float)rng_normal(&r);
            for (size_t j = 0; j < dim; j++)
                rows[i * dim + j] += along * axes[a * dim + j];
        }
    }
    test_normalise_f32(rows, n, dim);
    free(axes);
    return rows;
}

static struct turn_options options_of(enum asteria_turn kind, size_t m)
{
    return (struct turn_options){ .kind = kind,
                                  .centre = true,
                                  .m = m,
                                  .rank = m,
                                  .blocks = 2,
                                  .seed = test_seed(),
                                  .passes = 1,
                                  .steps = 5,
                                  .batch = 32,
                                  .learning_rate = 1e-2,
                                  .init = BOR_HADAMARD };
}

static void test_isometry(void **state)
{
    const size_t dims[] = { 1, 2, 7, 32, 100, 324, 512, 784 };
    (void)state;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t k = 0; k < N_KINDS; k++)
            for (int centre = 0; centre <= 1; centre++) {
                const size_t dim = dims[d], n = 40;
                struct test_bench b;
                struct turn *t;
                struct turn_options o = options_of(KINDS[k], dim < 4 ? 1 : 4);
                float *rows = some_rows(n, dim, test_seed() + dim);
                o.centre = centre;
                o.passes = 1 + d % 2;
                test_bench_begin(&b, ELEMENT_F32, METRIC_COS, dim, 1);
                assert_ok(turn_train(&t, &b.env, &o, rows, n, NULL), &b.error);
                assert_true(turn_defect(t, b.env.kernels, test_seed(), 100) < 1e-5);
                float *z = floats(2 * t->out_dim + 16), *y = z + (t->out_dim + 15) / 16 * 16;
                double zero = 0;
                for (size_t i = 0; i + 1 < n; i++) {
                    turn_apply(t, b.env.kernels, rows + i * dim, z);
                    turn_apply(t, b.env.kernels, rows + (i + 1) * dim, y);
                    assert_float_equal(
                        b.env.kernels->l2sq_f32(z, y, t->out_dim),
                        b.env.kernels->l2sq_f32(rows + i * dim, rows + (i + 1) * dim, dim), 1e-5);
                    for (size_t j = 0; j < t->out_dim; j++)
                        zero += z[j];
                }
                if (!centre)
                    for (size_t j = 0; j < t->out_dim; j++)
                        assert_true(t->shift[j] == 0);
                assert_true(isfinite(zero));
                free(z);
                turn_destroy(&b.env, t);
                assert_int_equal(mem_live(&b.mem), 0);
                test_bench_end(&b);
                free(rows);
            }
}

/* The shift makes the sample's mean zero, after training too. */
static void test_centred(void **state)
{
    enum { N = 300, DIM = 20 };
    float *rows = some_rows(N, DIM, test_seed());
    (void)state;
    for (size_t k = 0; k < N_KINDS; k++) {
        struct test_bench b;
        struct turn *t;
        const struct turn_options o = options_of(KINDS[k], 8);
        double mean[32] = { 0 };
        float z[64] __attribute__((aligned(64)));
        test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 1);
        assert_ok(turn_train(&t, &b.env, &o, rows, N, NULL), &b.error);
        assert_int_equal(t->out_dim, 32);
        for (size_t i = 0; i < N; i++) {
            turn_apply(t, b.env.kernels, rows + i * DIM, z);
            for (size_t j = 0; j < t->out_dim; j++)
                mean[j] += z[j] / N;
        }
        for (size_t j = 0; j < t->out_dim; j++)
            assert_float_equal(mean[j], 0, 1e-6);
        turn_destroy(&b.env, t);
        test_bench_end(&b);
    }
    free(rows);
}

/* Share of the first m bits in which each row and its nearest other agree, less the share in which any two do. */
static double agreement(const struct turn *t, const struct kernels *kernels, const float *rows,
                        size_t n, size_t m)
{
    bool *bits = calloc(n * m, sizeof *bits);
    float *z = floats(t->out_dim);
    double near = 0, any = 0;
    assert_non_null(bits);
    for (size_t i = 0; i < n; i++) {
        turn_apply(t, kernels, rows + i * t->dim, z);
        for (size_t j = 0; j < m; j++)
            bits[i * m + j] = z[j] > 0;
    }
    for (size_t i = 0; i < n; i++) {
        size_t nearest = i ? 0 : 1;
        for (size_t j = 0; j < n; j++)
            if (j != i && kernels->l2sq_f32(rows + i * t->dim, rows + j * t->dim, t->dim) <
                              kernels->l2sq_f32(rows + i * t->dim, rows + nearest * t->dim, t->dim))
                nearest = j;
        for (size_t j = 0; j < m; j++) {
            near += bits[i * m + j] == bits[nearest * m + j];
            any += bits[i * m + j] == bits[(i * 7 + 1) % n * m + j];
        }
    }
    free(bits);
    free(z);
    return (near - any) / (double)(n * m);
}

static void test_training(void **state)
{
    enum { N = 1200, DIM = 48, M = 12 };
    const enum asteria_bor_init inits[] = { BOR_HADAMARD, BOR_NEAR_IDENTITY, BOR_RANDOM };
    float *rows = some_rows(N, DIM, test_seed());
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct test_bench b;
        struct turn *before, *after, *more;
        struct turn_report report, again;
        struct turn_options o = options_of(TURN_BOR, M);
        o.init = inits[i];
        o.batch = 128;
        o.steps = 0;
        test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 2);
        assert_ok(turn_train(&before, &b.env, &o, rows, N, NULL), &b.error);
        o.steps = 300;
        assert_ok(turn_train(&after, &b.env, &o, rows, N, &report), &b.error);
        assert_false(report.stopped);
        assert_int_equal(report.steps, 300);
        assert_true(report.last_loss < 0.85 * report.first_loss);
        assert_true(report.margin_after > 1.2 * report.margin_before);
        const double was = agreement(before, b.env.kernels, rows, N, M),
                     is = agreement(after, b.env.kernels, rows, N, M);
        if (is < was + 0.02)
            fail_msg("init %d: near rows agree by %g more than others, %g untrained (seed %" PRIu64
                     ")",
                     inits[i], is, was, test_seed());
        /* goes on from where it was, signs and all, whatever the seed */
        o.from = after;
        o.steps = 20;
        o.learning_rate = 1e-3;
        o.seed++;
        assert_ok(turn_train(&more, &b.env, &o, rows, N, &again), &b.error);
        assert_memory_equal(more->bor->signs, after->bor->signs, 64 * sizeof(float));
        assert_memory_not_equal(more->bor->angles, after->bor->angles,
                                bor_n_angles(after->bor) * sizeof(float));
        assert_true(again.first_loss < report.last_loss + 0.1);
        turn_destroy(&b.env, before);
        turn_destroy(&b.env, after);
        turn_destroy(&b.env, more);
        assert_int_equal(mem_live(&b.mem), 0);
        test_bench_end(&b);
    }
    free(rows);
}

/* The same angles at any thread count, others from another seed. */
static void test_deterministic(void **state)
{
    enum { N = 500, DIM = 30 };
    float *rows = some_rows(N, DIM, test_seed()), *angles[4];
    size_t bytes = 0;
    (void)state;
    for (size_t run = 0; run < 4; run++) {
        struct test_bench b;
        struct turn *t;
        struct turn_options o = options_of(TURN_BOR, 10);
        o.passes = 2;
        o.batch = 300; /* some chunks of lanes, the last one short */
        o.steps = 30;
        o.seed += run == 3;
        test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, run % 3 + 1);
        assert_ok(turn_train(&t, &b.env, &o, rows, N, NULL), &b.error);
        bytes = bor_n_angles(t->bor) * sizeof(float);
        angles[run] = malloc(bytes);
        assert_non_null(angles[run]);
        memcpy(angles[run], t->bor->angles, bytes);
        turn_destroy(&b.env, t);
        test_bench_end(&b);
    }
    assert_memory_equal(angles[0], angles[1], bytes);
    assert_memory_equal(angles[0], angles[2], bytes);
    assert_memory_not_equal(angles[0], angles[3], bytes);
    for (size_t run = 0; run < 4; run++)
        free(angles[run]);
    free(rows);
}

/* Training that leaves the numbers: the angles stay at the last that were good. */
static void stop(double rate, float scale, size_t steps_least, size_t steps_most, bool untouched)
{
    enum { N = 200, DIM = 16 };
    struct test_bench b;
    struct turn *t, *start;
    struct turn_report report;
    struct turn_options o = options_of(TURN_BOR, 8);
    float *rows = some_rows(N, DIM, test_seed());
    for (size_t i = 0; i < N * DIM; i++)
        rows[i] *= scale;
    o.centre = false;
    o.steps = 0;
    test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 2);
    assert_ok(turn_train(&start, &b.env, &o, rows, N, NULL), &b.error);
    o.steps = 50;
    o.learning_rate = rate;
    assert_ok(turn_train(&t, &b.env, &o, rows, N, &report), &b.error);
    assert_true(report.stopped);
    assert_in_range(report.steps, steps_least, steps_most);
    for (size_t i = 0; i < bor_n_angles(t->bor); i++)
        assert_true(isfinite(t->bor->angles[i]));
    if (untouched)
        assert_memory_equal(t->bor->angles, start->bor->angles,
                            bor_n_angles(t->bor) * sizeof(float));
    else
        assert_memory_not_equal(t->bor->angles, start->bor->angles,
                                bor_n_angles(t->bor) * sizeof(float));
    assert_true(turn_defect(t, b.env.kernels, 1, 20) < 1e-5);
    turn_destroy(&b.env, t);
    turn_destroy(&b.env, start);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
    free(rows);
}

static void test_stops(void **state)
{
    (void)state;
    stop(INFINITY, 1, 1, 1, true); /* the first step's angles are nothing */
    stop(1e38, 1, 2, 20, false);   /* some are numbers still */
    stop(1e-2, 1e25f, 0, 0, true); /* the first loss is none */
}

static void test_odd_rows(void **state)
{
    enum { N = 64, DIM = 12 };
    (void)state;
    for (size_t kind = 0; kind < 4; kind++) {
        struct test_bench b;
        struct turn *t;
        struct turn_report report;
        struct turn_options o = options_of(TURN_BOR, kind == 3 ? 1 : 8);
        float *rows = some_rows(N, DIM, test_seed());
        for (size_t i = 0; i < N && kind < 3; i++)
            if (kind == 0) /* all the same */
                memcpy(rows + i * DIM, rows, DIM * sizeof *rows);
            else if (kind == 1) /* each twice */
                memcpy(rows + i * DIM, rows + i / 2 * DIM, DIM * sizeof *rows);
            else /* dimensions that never vary */
                memset(rows + i * DIM + 4, 0, 8 * sizeof *rows);
        test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 1);
        o.steps = 20;
        assert_ok(turn_train(&t, &b.env, &o, rows, kind == 3 ? 1 : N, &report), &b.error);
        assert_false(report.stopped);
        assert_true(turn_defect(t, b.env.kernels, 1, 20) < 1e-5);
        turn_destroy(&b.env, t);
        test_bench_end(&b);
        free(rows);
    }
}

static void test_refusals(void **state)
{
    enum { N = 20, DIM = 10 };
    struct test_bench b;
    struct turn *t = NULL, *other;
    struct turn_options o = options_of(TURN_BOR, 21);
    float *rows = some_rows(N, DIM, test_seed());
    (void)state;
    test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 1);
    int rc = turn_train(&t, &b.env, &o, rows, N, NULL);
    assert_non_null(strstr(b.error.text, "20 rows are too few for words of 21 bits"));
    assert_code(rc, ERR_ARGUMENT, &b.error);
    o.m = 17; /* of 16 */
    assert_code(turn_train(&t, &b.env, &o, rows, N, NULL), ERR_ARGUMENT, &b.error);
    o.m = 16;
    o.passes = 2;
    assert_ok(turn_train(&other, &b.env, &o, rows, N, NULL), &b.error);
    o.passes = 1;
    o.from = other;
    assert_code(turn_train(&t, &b.env, &o, rows, N, NULL), ERR_ARGUMENT, &b.error);
    b.env.dim = TURN_DIM_MAX + 1;
    assert_code(turn_train(&t, &b.env, &o, rows, N, NULL), ERR_ARGUMENT, &b.error);
    assert_null(t);
    turn_destroy(&b.env, other);
    turn_destroy(&b.env, NULL);
    assert_int_equal(mem_live(&b.mem), 0);
    test_bench_end(&b);
    free(rows);
}

static void test_no_memory(void **state)
{
    enum { N = 40, DIM = 10 };
    float *rows = some_rows(N, DIM, test_seed());
    (void)state;
    for (size_t k = 0; k < N_KINDS; k++)
        for (int after = 0; after <= 1; after++) {
            const struct turn_options o = options_of(KINDS[k], 8);
            bool failed = true;
            for (size_t at = 1; failed; at++) {
                struct test_bench b;
                struct turn *t = NULL;
                test_bench_begin(&b, ELEMENT_F32, METRIC_COS, DIM, 2);
                b.mem.fail_at = at;
                b.mem.fail_after = after;
                const int rc = turn_train(&t, &b.env, &o, rows, N, NULL);
                failed = atomic_load(&b.mem.failed);
                if (failed) {
                    assert_code(rc, ERR_NO_MEMORY, &b.error);
                    assert_null(t);
                } else {
                    assert_ok(rc, &b.error);
                    turn_destroy(&b.env, t);
                    assert_true(at > (KINDS[k] == TURN_BOR ? 20 : 4));
                }
                assert_int_equal(mem_live(&b.mem), 0);
                test_bench_end(&b);
            }
        }
    free(rows);
}

/* Files. */

struct filed {
    struct test_bench bench;
    struct store_identity identity;
    char dir[PATH_MAX];
    struct turn *turn;
    struct store_reader reader;
};

static void write_section(struct filed *f, const void *bytes, size_t n)
{
    static struct store_writer w;
    assert_ok(store_begin(&w, f->dir, "turn.index", &f->identity, NULL, &f->bench.error),
              &f->bench.error);
    if (bytes) {
        store_section(&w, "turn3");
        store_write(&w, bytes, n);
    } else {
        turn_write(f->turn, &w, '3');
    }
    assert_ok(store_commit(&w), &f->bench.error);
}

static int read_section(struct filed *f, struct turn **t)
{
    assert_ok(store_open(&f->reader, f->dir, "turn.index", &f->identity, &f->bench.error),
              &f->bench.error);
    const int rc = turn_read(t, &f->bench.env, &f->reader, '3');
    store_close(&f->reader);
    return rc;
}

static void filed_begin(struct filed *f, enum asteria_turn kind, size_t passes)
{
    struct turn_options o = options_of(kind, 8);
    float *rows = some_rows(50, 20, test_seed());
    o.passes = passes;
    test_bench_begin(&f->bench, ELEMENT_F32, METRIC_COS, 20, 1);
    f->identity = store_identity_of(&f->bench.env, "asteria", 1);
    test_dir_make_in_memory(f->dir);
    assert_ok(turn_train(&f->turn, &f->bench.env, &o, rows, 50, NULL), &f->bench.error);
    free(rows);
}

static void filed_end(struct filed *f)
{
    turn_destroy(&f->bench.env, f->turn);
    assert_int_equal(mem_live(&f->bench.mem), 0);
    test_dir_remove(f->dir);
    test_bench_end(&f->bench);
}

static void test_file(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_KINDS; k++)
        for (size_t passes = 1; passes <= 2; passes++) {
            static struct filed f;
            struct turn *t = NULL;
            float *row = some_rows(1, 20, 3), *z = floats(64), *y = floats(64);
            filed_begin(&f, KINDS[k], passes);
            write_section(&f, NULL, 0);
            assert_ok(read_section(&f, &t), &f.bench.error);
            assert_int_equal(t->kind, KINDS[k]);
            assert_int_equal(turn_bytes(t), turn_bytes(f.turn));
            assert_int_equal(t->out_dim, f.turn->out_dim);
            turn_apply(f.turn, f.bench.env.kernels, row, z);
            turn_apply(t, f.bench.env.kernels, row, y);
            assert_memory_equal(z, y, t->out_dim * sizeof *z);
            turn_destroy(&f.bench.env, t);
            bool failed = true;
            for (size_t at = 1; failed; at++) {
                f.bench.mem.fail_at = atomic_load(&f.bench.mem.calls) + at;
                atomic_store(&f.bench.mem.failed, false);
                const int rc = read_section(&f, &t);
                failed = atomic_load(&f.bench.mem.failed);
                f.bench.mem.fail_at = 0;
                assert_code(rc, failed ? ERR_NO_MEMORY : OK, &f.bench.error);
            }
            turn_destroy(&f.bench.env, t);
            filed_end(&f);
            free(row);
            free(z);
            free(y);
        }
}

/* A section whose bytes are as they were written and make no rotation. Words of 4 bytes are numbered from its begin. */
static void test_damage(void **state)
{
    const struct {
        const char *name;
        size_t word;
        uint32_t value;
        int longer; /* bytes */
    } cases[] = {
        { "kind", 0, 99, 0 },
        { "another kind", 0, TURN_IDENTITY, 0 },
        { "dense kind", 0, TURN_PCA, 0 },
        { "no pass", 1, 0, 0 },
        { "passes", 1, 3, 0 },
        { "many passes", 1, 1000000, 0 },
        { "dim", 2, 21, 0 },
        { "dim's upper half", 3, 1, 0 },
        { "outputs", 4, 64, 0 },
        { "outputs' upper half", 5, 1, 0 },
        { "shift", 16 + 5, UINT32_C(0x7fc00000), 0 },
        { "angle", 16 + 32 + 70, UINT32_C(0x7f800000), 0 },
        { "sign", 16 + 32 + 80 + 3, UINT32_C(0x3f000000), 0 },
        { "short", 0, TURN_BOR, -4 },
        { "long", 0, TURN_BOR, 4 },
        { "half a head", 0, TURN_BOR, -(int)(16 + 32 + 80 + 32) * 4 + 30 },
    };
    static struct filed f;
    (void)state;
    filed_begin(&f, TURN_BOR, 1);
    write_section(&f, NULL, 0);
    assert_ok(store_open(&f.reader, f.dir, "turn.index", &f.identity, &f.bench.error),
              &f.bench.error);
    size_t n = 0;
    const void *section = store_find(&f.reader, "turn3", &n);
    assert_int_equal(n, (16 + 32 + 80 + 32) * 4);
    uint32_t *good = malloc(n), *bad = calloc(1, n + 4);
    assert_true(section && good && bad);
    memcpy(good, section, n);
    store_close(&f.reader);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct turn *t = NULL;
        memcpy(bad, good, n);
        bad[cases[i].word] = cases[i].value;
        write_section(&f, bad, (size_t)((int64_t)n + cases[i].longer));
        const int rc = read_section(&f, &t);
        if (rc != ERR_CORRUPT || t)
            fail_msg("%s: %s", cases[i].name, error_name(rc));
        assert_code(rc, ERR_CORRUPT, &f.bench.error);
    }
    struct turn *t = NULL;
    write_section(&f, good, n);
    assert_ok(read_section(&f, &t), &f.bench.error);
    turn_destroy(&f.bench.env, t);
    free(good);
    free(bad);
    filed_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_isometry), cmocka_unit_test(test_centred),
        cmocka_unit_test(test_training), cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_stops),    cmocka_unit_test(test_odd_rows),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_file),     cmocka_unit_test(test_damage),
    };
    return test_run("asteria_turn", tests);
}
