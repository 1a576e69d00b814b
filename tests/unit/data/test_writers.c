/* test_writers.c - files are read back as they were written, in every format; data that do not fit
 * are refused, and a failed write leaves the old file. */
#include "tests/unit/data/data_files.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const char *make_source_file(struct scratch *s, enum element element)
{
    struct blob b = { .n = 0 };
    const int8_t signed_bytes[6] = { 0, -1, 2, -128, 127, 5 };
    const float floats[6] = { 1, -2.5f, 3, 1.17549435e-38f, 16777216, -0.1f };
    const int64_t longs[6] = { 1, -1, INT64_MAX, INT64_MIN, 0, 5 };
    const int32_t ints[6] = { 1, -1, INT32_MAX, INT32_MIN, 0, 5 };
    if (element == ELEMENT_I64)
        return scratch_write(s, "in.i64", longs, sizeof longs);
    blob_u32(&b, element == INDEX_B64 ? 6 : 3);
    blob_u32(&b, element == INDEX_B64 ? 8 : 2);
    if (element == INDEX_F32)
        blob_add(&b, floats, sizeof floats);
    if (element == ELEMENT_I32)
        blob_add(&b, ints, sizeof ints);
    if (element == ELEMENT_I8 || element == INDEX_U8)
        blob_add(&b, signed_bytes, sizeof signed_bytes);
    if (element == INDEX_B64)
        blob_add(&b, longs, sizeof longs);
    const char *name = element == INDEX_F32     ? "in.fbin"
                       : element == ELEMENT_I32 ? "in.ibin"
                       : element == ELEMENT_I8  ? "in.i8bin"
                                                : "in.u8bin";
    return scratch_write(s, name, b.at, b.n);
}

struct trip {
    enum element element;
    const char *out;
    const char *back_element; /* requested when reading back */
};

static const struct trip trips[] = {
    { INDEX_F32, "o.npy", NULL },     { INDEX_F32, "o.fvecs", NULL },
    { INDEX_F32, "o.fbin.gz", NULL }, { INDEX_F32, "o.idx", NULL },
    { INDEX_F32, "o.csv", NULL },     { INDEX_F32, "o.tsv.gz", NULL },
    { INDEX_F32, "o.txt", NULL },     { INDEX_F32, "o.f64", NULL },
    { INDEX_U8, "o.npy.gz", NULL },   { INDEX_U8, "o.bvecs", NULL },
    { INDEX_U8, "o.u8bin", NULL },    { INDEX_U8, "o.idx.gz", NULL },
    { INDEX_U8, "o.csv", "u8" },      { ELEMENT_I8, "o.i8bin", NULL },
    { ELEMENT_I8, "o.npy", NULL },    { ELEMENT_I8, "o.ibin", "i8" },
    { ELEMENT_I32, "o.ivecs", NULL }, { ELEMENT_I32, "o.ibin", NULL },
    { ELEMENT_I32, "o.idx", NULL },   { ELEMENT_I32, "o.npy", NULL },
    { ELEMENT_I64, "o.npy", NULL },   { ELEMENT_I64, "o.i64", NULL },
    { INDEX_B64, "o.npy", NULL },     { INDEX_B64, "o.u8bin", "b64" },
    { INDEX_B64, "o.bvecs", "b64" },
};

static void round_trips(void **state)
{
    for (size_t i = 0; i < sizeof trips / sizeof trips[0]; i++) {
        const struct trip *t = &trips[i];
        struct error err = { 0 };
        struct file_options as = { .element = data_element_name(t->element),
                                   .dim = t->element == ELEMENT_I64 ? 2 : 0 };
        const char *path = make_source_file(*state, t->element),
                   *out = scratch_path(*state, t->out);
        struct source *in = open_good(path, &as);
        if (data_write(in, out, NULL, &err))
            fail_msg("%s: %s", t->out, err.text);
        as = (struct file_options){ .element = t->back_element };
        if (!strcmp(t->out, "o.i64") || !strcmp(t->out, "o.f64"))
            as.dim = in->dim;
        if (!strcmp(t->out, "o.f64"))
            as.element = "f32";
        struct source *back = open_good(out, &as);
        /* The hash covers element, shape and bytes, so it decides; the byte
         * comparison shows the place. */
        char a[64], b[64];
        assert_int_equal(source_read(in, 0, in->n, a, &err), OK);
        assert_int_equal(source_read(back, 0, back->n, b, &err), OK);
        if (in->hash != back->hash || memcmp(a, b, in->n * source_row_bytes(in)))
            fail_msg("%s of %s: came back different", t->out, data_element_name(t->element));
        source_close(in);
        source_close(back);
    }
}

static void refuses_what_does_not_fit(void **state)
{
    static const struct {
        enum element element;
        const char *out, *expected;
        int code;
    } cases[] = {
        { INDEX_F32, "bad.u8bin", "bad.u8bin: row 1, column 2 of in.fbin does not fit",
          ERR_DIMENSION },
        { INDEX_F32, "bad.ivecs", "row 1, column 2", ERR_DIMENSION },
        { ELEMENT_I32, "bad.fbin", "row 2, column 1 of in.ibin does not fit fbin (f32)",
          ERR_DIMENSION },
        { ELEMENT_I32, "bad.bvecs", "row 1, column 2", ERR_DIMENSION },
        { INDEX_B64, "bad.fbin", "b64 cannot become f32", ERR_DIMENSION },
        { INDEX_F32, "bad.truth", "only read", ERR_UNSUPPORTED },
        { INDEX_F32, "bad.hdf5", "bad.hdf5: hdf5 is only read; write npy", ERR_UNSUPPORTED },
        { INDEX_F32, "bad.jpeg", "not end like a known format", ERR_UNSUPPORTED },
        { INDEX_F32, "none/o.npy", "none/o.npy: cannot be written|No such file", ERR_IO },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = { 0 };
        struct file_options as = { .element = data_element_name(cases[i].element) };
        const char *in = make_source_file(*state, cases[i].element),
                   *out = scratch_path(*state, cases[i].out);
        int rc = data_convert(in, &as, out, NULL, NULL, &err);
        if (rc != cases[i].code)
            fail_msg("%s: got %s: %s", cases[i].out, error_name(rc), err.text);
        expect_text(cases[i].out, &err, cases[i].expected);
        struct stat st;
        assert_int_not_equal(stat(out, &st), 0);
    }
}

/* f64 and text become what the output's name states, without a float between. */
static void doubles_reach_wide_formats(void **state)
{
    static const double times[2] = { 1700000003, 1e300 };
    static const char *const outs[] = { "o.f64", "o.i64" };
    for (int i = 0; i < 4; i++) {
        struct error err = { 0 };
        union {
            double real;
            int64_t integer;
        } value;
        const char *in =
            i % 2 ? scratch_write(*state, "in.csv", "1700000003\n", 11)
                  : scratch_write(*state, "in.f64", times, sizeof times / (i < 2 ? 1 : 2));
        const char *out = scratch_path(*state, outs[i / 2]);
        assert_ok(data_convert(in, NULL, out, NULL, NULL, &err), &err);
        struct source *back = open_good(out, &(struct file_options){ .numbers = true });
        assert_ok(source_read(back, 0, 1, &value, &err), &err);
        assert_true(i < 2 ? value.real == times[0] : value.integer == 1700000003);
        source_close(back);
    }
}

static int stop_at_once(void *context, const char *what, size_t done, size_t total)
{
    *(size_t *)context += 1;
    return done <= total;
}

static void a_failed_write_leaves_the_old_file(void **state)
{
    struct error err = { 0 };
    size_t calls = 0;
    const char *in = make_source_file(*state, INDEX_F32);
    const char *old = scratch_write(*state, "old.npy", "old", 3);
    struct data_progress stop = { stop_at_once, &calls };
    assert_code(data_convert(in, NULL, old, &stop, NULL, &err), ERR_INTERRUPTED, &err);
    assert_int_equal(calls, 1);
    char left[8] = { 0 };
    FILE *f = fopen(old, "rb");
    assert_int_equal(fread(left, 1, sizeof left, f), 3);
    fclose(f);
    assert_string_equal(left, "old");
    /* The write fails half way, as on a full disk; here because of a file size limit. */
    float many[5000] = { 0 };
    in = scratch_write(*state, "many.f32", many, sizeof many);
    struct rlimit before, small = { 4096, 4096 };
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    int rc = data_convert(in, NULL, old, NULL, NULL, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, ERR_IO);
    expect_text("full", &err,
                "old.npy: cannot be written, what was there before is kept: File too large");
    struct stat st;
    assert_int_equal(stat(old, &st), 0);
    assert_int_equal(st.st_size, 3);
    DIR *dir = opendir(((struct scratch *)*state)->dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (!strncmp(e->d_name, "old.npy.", 8))
            fail_msg("%s was left behind", e->d_name);
    closedir(dir);
}

/* More rows than a block, so that loops over blocks have a partial last one. */
static void writes_large_files(void **state)
{
    enum { N = 70001, DIM = 5 };
    struct error err = { 0 };
    float *rows = malloc(N * DIM * sizeof *rows);
    struct rng r = rng_at(test_seed(), 1);
    assert_non_null(rows);
    for (size_t i = 0; i < N * DIM; i++)
        rows[i] = (float)rng_normal(&r);
    struct source *s = open_good(scratch_write(*state, "big.f32", rows, N * DIM * sizeof *rows),
                                 &(struct file_options){ .dim = DIM });
    static const char *const outs[] = { "big.npy", "big.fvecs.gz", "big.idx", "big.csv" };
    for (size_t i = 0; i < sizeof outs / sizeof outs[0]; i++) {
        const char *out = scratch_path(*state, outs[i]);
        assert_ok(data_write(s, out, NULL, &err), &err);
        struct source *back = open_good(out, NULL);
        assert_true(back->hash == s->hash);
        source_close(back);
    }
    source_close(s);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(doubles_reach_wide_formats),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(writes_large_files),
    };
    return scratch_run("data_writers", tests);
}
