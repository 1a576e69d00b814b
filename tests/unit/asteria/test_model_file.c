/* test_model_file.c - a model and its parts (rotation, vantages, LRSQ, PCA code, quantizer) as sections
   of a file: damaged ones are refused, although their checksums are right. That a model read equals the
   one written is test_store.c's. */
#include "algorithms/asteria/residual/internal.h"
#include "tests/unit/asteria/model.h"
#include "tests/unit/asteria/sections.h"

static struct part_file file;

static void refuse(struct test_bench *b, const struct section_change *c)
{
    struct asteria_model *model = NULL;
    part_file_change(&file, c);
    struct store_fields f = { .r = part_file_read(&file), .mem = b->env.mem };
    const int rc = asteria_model_field(&f, &b->env, '1', &model);
    if (rc != ERR_CORRUPT || model)
        fail_msg("section %s, byte %zu, %d more: %s", c->tag, c->at, (int)c->more, error_name(rc));
    error_clear(&b->error);
    store_close(&file.reader);
}

static const uint32_t two = 2, none = 0, many = 99, passes = 1000000;
static const uint32_t identity = ROTATION_IDENTITY, pca = ROTATION_PCA;
static const uint64_t other = 21, more = 40, huge = UINT64_MAX, eighth = UINT64_MAX / 8;
static const double not_a_number = NAN, four = 4;
static const float off = .5f, wild = 3e30f, not_one = NAN, infinite = INFINITY;
/* For the offsets of fields see model/model.c and rotation/rotation.c. */
static const struct section_change damages[] = {
    { "model1", 0, &many, 4, 0, false },           /* code */
    { "model1", 4, &none, 4, 0, false },           /* k */
    { "model1", 4, &many, 4, 0, false },           /* k */
    { "model1", 4, &two, 4, 0, false },            /* another k than the vantages' */
    { "model1", 8, &many, 4, 0, false },           /* has_vantages */
    { "model1", 12, &more, 4, 0, false },          /* PCA code */
    { "fitted1", 0, &none, 4, 0, false },          /* version */
    { "fitted1", 16, &not_a_number, 8, 0, false }, /* alpha */
    { "fitted1", 24, &four, 8, 0, false },         /* a quantile */
    { "fitted1", offsetof(struct asteria_fitted, bit_mean), &four, 8, 0, false },
    { "vantages1", 8, &off, 4, 0, false },
    { "shift1", 0, &wild, 4, 0, false },
    { "matrix1", 8, &off, 4, 0, false },
    { "matrix1", 8, &not_one, 4, 0, false },
    { "vantages1", 8, &not_one, 4, 0, false },
    { "quantizer1", 0, &other, 8, 0, false }, /* kind */
    { "quantizer1", 8, &other, 8, 0, false }, /* dim */
    { "outline1", 4, &off, 4, 0, false },     /* axes that are not orthonormal */
};
/* Of a butterfly of one pass. */
static const struct section_change butterfly_damages[] = {
    { "turn1", 0, &many, 4, 0, false },     /* kind */
    { "turn1", 0, &identity, 4, 0, false }, /* another kind */
    { "turn1", 0, &pca, 4, 0, false },      /* a dense one */
    { "turn1", 4, &none, 4, 0, false },     /* passes */
    { "turn1", 4, &two, 4, 0, false },       { "turn1", 4, &passes, 4, 0, false },
    { "shift1", 20, &not_one, 4, 0, false }, { "angles1", 280, &infinite, 4, 0, false },
    { "signs1", 12, &off, 4, 0, false },
};

/* LRSQ's head is four numbers of 8 bytes and two floats. */
static void damage_lrsq(struct test_bench *b, const struct asteria_lrsq *l)
{
    static const uint64_t *const shapes[] = { &other, &huge, &eighth };
    static const float *const numbers[] = { &not_one, &infinite };
    static const char *const floats[] = { "lrsq_centre1", "lrsq_scale1", "lrsq_zero1",
                                          "lrsq_rows1" };
    const char *const last = l->axis ? "lrsq_axis1" : floats[3];
    const uint64_t three = 3;
    size_t n;
    const unsigned char *bytes = store_find(&file.sound, last, &n);
#define REFUSE(tag, at, value, size) \
    refuse(b, &(struct section_change){ tag, at, value, size, 0, false })
    for (size_t field = 0; field < 4; field++) {
        REFUSE("lrsq1", field * 8, &three, 8);
        for (size_t i = 0; i < 3; i++)
            REFUSE("lrsq1", field * 8, shapes[i], 8);
    }
    for (size_t i = 0; i < 2; i++) {
        REFUSE("lrsq1", 32, numbers[i], 4);
        REFUSE("lrsq1", 36, numbers[i], 4);
        for (size_t j = 0; j < 3 + (size_t)!l->axis; j++)
            REFUSE(floats[j], 4 * i, numbers[i], 4);
    }
    REFUSE("lrsq_scale1", 0, &(float){ -1 }, 4);
    REFUSE("lrsq_scale1", 0, &(float){ 0 }, 4);
    if (l->axis) { /* a coordinate twice, and one that is not there */
        REFUSE(last, 0, bytes + 4, 4);
        REFUSE(last, 0, &(uint32_t){ (uint32_t)l->in_dim }, 4);
    } else { /* an axis twice, and one too long */
        REFUSE(last, 0, bytes + l->in_dim * 4, l->in_dim * 4);
        REFUSE(last, 0, &(float){ 1.5f }, 4);
    }
#undef REFUSE
}

static void test_damage(void **state)
{
    enum { N = 300, DIM = 20 };
    for (int butterfly = 0; butterfly < 2; butterfly++) {
        struct asteria_params p = params_of(butterfly ? ROTATION_BOR : ROTATION_PCA, ECC_HAMMING);
        const struct section_change *changes = butterfly ? butterfly_damages : damages;
        const size_t n = butterfly ? sizeof butterfly_damages / sizeof *butterfly_damages
                                   : sizeof damages / sizeof *damages;
        struct trial t;
        trial_begin(&t, N, DIM, 1, 9);
        part_file_begin(&file, &t.b);
        p.vantages = butterfly ? 0 : VANTAGE_LEARNED;
        p.lrsq_pca = !butterfly;
        p.passes = 1;
        p.scan_dims = 4;
        struct asteria_model *model = fitted(&t.b, &p, 8, t.rows, N, NULL);
        struct store_fields f = { .w = part_file_write(&file) };
        (void)asteria_model_field(&f, &t.b.env, '1', &model);
        part_file_written(&file);
        part_file_keep(&file);
        const size_t live = mem_live(&t.b.mem);
        for (size_t i = 0; i < n; i++)
            refuse(&t.b, changes + i);
        damage_lrsq(&t.b, model->lrsq);
        assert_true(file.sound.n_entries >= 5);
        for (size_t i = 0; i < file.sound.n_entries; i++)
            for (int gone = 0; gone < 2; gone++)
                refuse(&t.b, &(struct section_change){ .tag = file.sound.entries[i].tag,
                                                       .more = gone ? 0 : -4,
                                                       .gone = gone });
        assert_int_equal(mem_live(&t.b.mem), live);
        asteria_model_destroy(&t.b.env, model);
        part_file_end(&file);
        trial_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_damage) };
    return test_run("asteria_model_file", tests);
}
