/* test_rotation_file.c - rotations as sections of a file: written and read; damaged ones
   are refused. */
#include "tests/unit/asteria/rotation/rotation.h"
#include "tests/unit/asteria/sections.h"

struct filed {
    struct test_bench bench;
    struct part_file file;
    struct asteria_rotation *rotation;
};

static int read_again(struct filed *f, struct asteria_rotation **t)
{
    const int rc = asteria_rotation_read(t, &f->bench.env, part_file_read(&f->file), '3');
    store_close(&f->file.reader);
    return rc;
}

static void filed_begin(struct filed *f, enum asteria_rotation_kind kind, size_t passes)
{
    struct asteria_rotation_options o = options_of(kind, 8);
    float *rows = some_rows(50, 20, test_seed());
    o.passes = passes;
    test_bench_begin(&f->bench, INDEX_F32, INDEX_COS, 20, 1);
    part_file_begin(&f->file, &f->bench);
    assert_ok(asteria_rotation_train(&f->rotation, &f->bench.env, &o, rows, 50, NULL),
              &f->bench.error);
    asteria_rotation_write(f->rotation, part_file_write(&f->file), '3');
    part_file_written(&f->file);
    free(rows);
}

static void filed_end(struct filed *f)
{
    asteria_rotation_destroy(&f->bench.env, f->rotation);
    assert_int_equal(mem_live(&f->bench.mem), 0);
    part_file_end(&f->file);
    test_bench_end(&f->bench);
}

static void test_file(void **state)
{
    for (size_t k = 0; k < N_KINDS; k++)
        for (size_t passes = 1; passes <= 2; passes++) {
            static struct filed f;
            struct asteria_rotation *t = NULL;
            float *row = some_rows(1, 20, 3), *z = floats(64), *y = floats(64);
            filed_begin(&f, KINDS[k], passes);
            assert_ok(read_again(&f, &t), &f.bench.error);
            assert_int_equal(t->kind, KINDS[k]);
            assert_int_equal(asteria_rotation_bytes(t), asteria_rotation_bytes(f.rotation));
            assert_int_equal(t->out_dim, f.rotation->out_dim);
            asteria_rotation_apply(f.rotation, f.bench.env.kernels, row, z);
            asteria_rotation_apply(t, f.bench.env.kernels, row, y);
            assert_memory_equal(z, y, t->out_dim * sizeof *z);
            asteria_rotation_destroy(&f.bench.env, t);
            filed_end(&f);
            free(row);
            free(z);
            free(y);
        }
}

static const struct {
    const char *name;
    size_t word;
    uint32_t value;
    int longer; /* bytes */
} cases[] = {
    { "kind", 0, 99, 0 },
    { "another kind", 0, ROTATION_IDENTITY, 0 },
    { "dense kind", 0, ROTATION_PCA, 0 },
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
    { "short", 0, ROTATION_BOR, -4 },
    { "long", 0, ROTATION_BOR, 4 },
    { "half a head", 0, ROTATION_BOR, -(int)(16 + 32 + 80 + 32) * 4 + 30 },
};

/* `word` counts 4-byte words from the start. */
static void test_damage(void **state)
{
    static struct filed f;
    size_t n = 0;
    filed_begin(&f, ROTATION_BOR, 1);
    part_file_keep(&f.file);
    assert_non_null(store_find(&f.file.sound, "turn3", &n));
    assert_int_equal(n, (16 + 32 + 80 + 32) * 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct asteria_rotation *t = NULL;
        const struct section_change c = { "turn3", 4 * cases[i].word, &cases[i].value,
                                          4,       cases[i].longer,   false };
        part_file_change(&f.file, &c);
        const int rc = read_again(&f, &t);
        if (rc != ERR_CORRUPT || t)
            fail_msg("%s: %s", cases[i].name, error_name(rc));
        assert_code(rc, ERR_CORRUPT, &f.bench.error);
    }
    filed_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_damage),
    };
    return test_run("asteria_rotation_file", tests);
}
