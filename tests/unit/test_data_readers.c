/* test_data_readers.c - every reader on good files, and on every kind of damage: the error must
 * name it. */
#define _GNU_SOURCE
#include "data_files.h"

#include <sys/stat.h>

static struct source *open_good(const char *path, const struct file_options *options)
{
    struct source *s = NULL;
    struct error err = { 0 };
    if (file_open(path, options, &s, &err))
        fail_with("%s: %s", path, err.text);
    assert_true(s->hash != 0);
    return s;
}

static void expect_rows(const struct source *s, size_t n, size_t dim, enum element element,
                        const void *rows)
{
    struct error err = { 0 };
    char got[1024];
    assert_int_equal(s->n, n);
    assert_int_equal(s->dim, dim);
    assert_int_equal(s->element, element);
    assert_int_equal(source_read(s, 0, n, got, &err), OK);
    assert_memory_equal(got, rows, n * source_row_bytes(s));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(source_read(s, i, 1, got, &err), OK);
        assert_memory_equal(got, (const char *)rows + i * source_row_bytes(s), source_row_bytes(s));
    }
    assert_int_equal(source_read(s, n, 1, got, &err), ERR_ARGUMENT);
    assert_int_equal(source_read(s, 1, SIZE_MAX, got, &err), ERR_ARGUMENT);
}

static const float six[6] = { 1, -2.5f, 3, 4, 5, 1e-20f };
static const uint8_t six_bytes[6] = { 0, 1, 2, 250, 254, 255 };
static const int32_t six_ints[6] = { 0, -1, 2, 70000, INT32_MAX, INT32_MIN };

static struct blob idx_bytes(void)
{
    struct blob b = { { 0, 0, 8, 3 }, 4 };
    blob_big_u32(&b, 2);
    blob_big_u32(&b, 3);
    blob_big_u32(&b, 1);
    blob_add(&b, six_bytes, 6);
    return b;
}

static struct blob fbin_bytes(void)
{
    struct blob b = { .n = 0 };
    blob_u32(&b, 2);
    blob_u32(&b, 3);
    blob_add(&b, six, sizeof six);
    return b;
}

static struct blob fvecs_bytes(void)
{
    struct blob b = { .n = 0 };
    for (int row = 0; row < 2; row++) {
        blob_u32(&b, 3);
        blob_add(&b, six + 3 * row, 12);
    }
    return b;
}

static void reads_idx(void **state)
{
    struct blob b = idx_bytes();
    struct source *s = open_good(scratch_write(*state, "a-images-idx3-ubyte", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_U8, six_bytes);
    uint64_t hash = s->hash;
    source_close(s);
    s = open_good(scratch_write_gzip(*state, "a-images-idx3-ubyte.gz", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_U8, six_bytes);
    assert_true(s->hash == hash);
    source_close(s);
    /* gzip by content, whatever the name; idx by content, where the name says nothing */
    s = open_good(scratch_write_gzip(*state, "nameless", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_U8, six_bytes);
    source_close(s);
}

static void reads_idx_floats_big_endian(void **state)
{
    struct blob b = { { 0, 0, 13, 1 }, 4 };
    blob_big_u32(&b, 2);
    uint32_t bits[2];
    memcpy(bits, six, 8);
    blob_big_u32(&b, bits[0]);
    blob_big_u32(&b, bits[1]);
    struct source *s = open_good(scratch_write(*state, "f.idx", b.at, b.n), NULL);
    assert_null(s->rows);
    expect_rows(s, 2, 1, ELEMENT_F32, six);
    source_close(s);
}

static void reads_vecs(void **state)
{
    struct blob b = fvecs_bytes();
    struct source *s = open_good(scratch_write(*state, "a.fvecs", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_F32, six);
    source_close(s);
    b = (struct blob){ .n = 0 };
    for (int row = 0; row < 2; row++) {
        blob_u32(&b, 3);
        blob_add(&b, six_bytes + 3 * row, 3);
    }
    s = open_good(scratch_write(*state, "a.bvecs", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_U8, six_bytes);
    source_close(s);
    b = (struct blob){ .n = 0 };
    for (int row = 0; row < 2; row++) {
        blob_u32(&b, 3);
        blob_add(&b, six_ints + 3 * row, 12);
    }
    s = open_good(scratch_write_gzip(*state, "a.ivecs", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_I32, six_ints);
    source_close(s);
}

static void reads_bin(void **state)
{
    struct blob b = fbin_bytes();
    struct source *s = open_good(scratch_write(*state, "a.fbin", b.at, b.n), NULL);
    assert_non_null(s->rows);
    expect_rows(s, 2, 3, ELEMENT_F32, six);
    source_close(s);
    s = open_good(scratch_write(*state, "a.ibin", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_I32, six);
    source_close(s);
    b = (struct blob){ .n = 0 };
    blob_u32(&b, 3);
    blob_u32(&b, 2);
    blob_add(&b, six_bytes, 6);
    s = open_good(scratch_write(*state, "a.u8bin", b.at, b.n), NULL);
    expect_rows(s, 3, 2, ELEMENT_U8, six_bytes);
    float wide[6], expected[6] = { 0, 1, 2, -6, -2, -1 };
    source_close(s);
    s = open_good(scratch_write(*state, "a.i8bin", b.at, b.n), NULL);
    struct error err = { 0 };
    assert_int_equal(source_read_f32(s, 0, 3, wide, &err), OK);
    assert_memory_equal(wide, expected, sizeof wide);
    source_close(s);
    s = open_good(((struct scratch *)*state)->path, &(struct file_options){ .element = "f32" });
    expect_rows(s, 3, 2, ELEMENT_F32, expected);
    source_close(s);
}

static void reads_codes(void **state)
{
    uint64_t codes[2] = { 0x0123456789abcdef, UINT64_MAX };
    struct blob b = { .n = 0 };
    blob_u32(&b, 2);
    blob_u32(&b, 8);
    blob_add(&b, codes, 16);
    const char *path = scratch_write(*state, "a.u8bin", b.at, b.n);
    struct source *s = open_good(path, &(struct file_options){ .element = "b64" });
    expect_rows(s, 2, 64, ELEMENT_B64, codes);
    source_close(s);
}

static void reads_truth_and_raw(void **state)
{
    struct blob b = fbin_bytes();
    blob_add(&b, six, sizeof six);
    struct source *s = open_good(scratch_write(*state, "a.bin", b.at, b.n),
                                 &(struct file_options){ .format = "truth" });
    expect_rows(s, 2, 3, ELEMENT_I32, six);
    source_close(s);
    int64_t times[2] = { 1112911993, -1 };
    s = open_good(scratch_write_gzip(*state, "t.i64.gz", times, 16), NULL);
    expect_rows(s, 2, 1, ELEMENT_I64, times);
    source_close(s);
    s = open_good(scratch_write(*state, "r.f32", six, sizeof six),
                  &(struct file_options){ .dim = 3 });
    expect_rows(s, 2, 3, ELEMENT_F32, six);
    source_close(s);
}

static void reads_npy(void **state)
{
    struct blob b = npy_bytes(
        1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }     \n", six, sizeof six);
    struct source *s = open_good(scratch_write(*state, "a.npy", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_F32, six);
    source_close(s);
    b = npy_bytes(2, "{\"shape\":(6,),'fortran_order':True,'descr':'|u1'}\n", six_bytes, 6);
    s = open_good(scratch_write(*state, "a.npy", b.at, b.n), NULL);
    expect_rows(s, 6, 1, ELEMENT_U8, six_bytes);
    source_close(s);
    double wide[6];
    for (int i = 0; i < 6; i++)
        wide[i] = (double)six[i];
    b = npy_bytes(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n", wide,
                  sizeof wide);
    s = open_good(scratch_write(*state, "a.npy", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_F32, six);
    source_close(s);
    uint16_t halves[6] = { 0x3c00, 0xc100, 0x0001, 0x7bff, 0x0000, 0x3555 };
    float from_halves[6] = { 1, -2.5f, 0x1p-24f, 65504, 0, 0.333251953125f };
    b = npy_bytes(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }\n", halves,
                  sizeof halves);
    s = open_good(scratch_write(*state, "a.npy", b.at, b.n), NULL);
    expect_rows(s, 2, 3, ELEMENT_F32, from_halves);
    source_close(s);
    int64_t ids[2] = { 1, INT64_MIN };
    b = npy_bytes(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 1), }\n", ids,
                  sizeof ids);
    s = open_good(scratch_write(*state, "a.npy", b.at, b.n), NULL);
    expect_rows(s, 2, 1, ELEMENT_I64, ids);
    source_close(s);
    b = npy_bytes(1, "{'descr': '<u8', 'fortran_order': False, 'shape': (2,), }\n", ids,
                  sizeof ids);
    s = open_good(scratch_write(*state, "a.npy", b.at, b.n), NULL);
    expect_rows(s, 2, 64, ELEMENT_B64, ids);
    source_close(s);
}

static void reads_text(void **state)
{
    static const struct {
        const char *name, *text, *note;
    } good[] = {
        { "blanks.txt", "1 -2.5 3\n4 5 1e-20\n", "" },
        { "no end.txt", "1 -2.5 3\r\n\r\n# remark\n 4\t5   1e-20", "" },
        { "a.csv", "1,-2.5,3\n4, 5 ,1e-20\n", "" },
        { "comma.txt", "1, -2.5, 3\n4, 5, 1e-20\n", "" },
        { "a.tsv", "1\t-2.5\t3\n4\t5\t1e-20\n", "" },
        { "semicolon.csv", "1;-2.5;3\n4;5;1e-20\n", "" },
        { "header.csv", "x,y,z\n1,-2.5,3\n4,5,1e-20\n", "line 1 is a header, skipped" },
        { "glove.txt", "the 1 -2.5 3\n, 4 5 1e-20\n", "column 1 holds words, left out" },
        { "word2vec.vec", "2 3\nthe 1 -2.5 3\n1984 4 5 1e-20\n",
          "line 1 says 2 rows of 3 columns; column 1 holds words, left out" },
        { "word2vec numbers.vec", "2 3\n1 -2.5 3\n4 5 1e-20\n", "line 1 says 2 rows of 3 columns" },
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct source *s = open_good(
            scratch_write(*state, good[i].name, good[i].text, strlen(good[i].text)), NULL);
        if (strcmp(s->note, good[i].note))
            fail_with("%s: note \"%s\"", good[i].name, s->note);
        expect_rows(s, 2, 3, ELEMENT_F32, six);
        source_close(s);
    }
}

/* Text cases give the bytes as a string; the others are made below. */
static void names_damage_in_text(void **state)
{
    static const struct {
        const char *name, *text;
        int code;
        const char *expected;
    } bad[] = {
        { "ragged.txt", "1 2 3\n4 5\n", ERR_CORRUPT, "ragged.txt|line 2 has 2 columns|have 3" },
        { "long.txt", "1 2 3\n4 5 6 7\n", ERR_CORRUPT, "line 2 has 4 columns|have 3" },
        { "word.csv", "1,2\n3,x\n", ERR_CORRUPT, "line 2, column 2: \"x\" is not a number" },
        { "empty field.csv", "1,2\n,3\n", ERR_CORRUPT, "line 2, column 1: the cell is empty" },
        { "nan.txt", "1 2\n3 nan\n", ERR_NOT_FINITE, "row 2, column 2) is NaN" },
        { "inf.txt", "1 2\n3 1e99\n", ERR_NOT_FINITE, "row 2, column 2) is infinite" },
        { "prose.txt", "once upon a time\nthere was a file\n", ERR_CORRUPT,
          "line 2, column 2|\"was\" is not a number; expected numbers separated by" },
        { "blank.txt", "\n\n  \n", ERR_CORRUPT, "no line with numbers" },
        { "short.vec", "3 2\na 1 2\nb 3 4\n", ERR_CORRUPT, "says 3 rows, the file has 2" },
        { "no columns.vec", "5 0\nthe\n", ERR_CORRUPT,
          "line 2, column 1: \"the\" is not a number" },
        { "empty.txt", "", ERR_CORRUPT, "empty.txt: the file is empty" },
        { "a.fbin", "1234", ERR_CORRUPT,
          "a.fbin: truncated: the rows, columns header needs 8 bytes, the file has 4" },
        { "a.npy", "hello, I am no array", ERR_CORRUPT, "a.npy: not npy|magic" },
        { "a.hdf5", "hello, I am no group", ERR_CORRUPT, "a.hdf5: not hdf5|magic" },
        { "a.idx", "hello, I am no image", ERR_CORRUPT, "a.idx: not idx|found 68 65 6c" },
        { "a.fvecs", "hello, I am no vector", ERR_CORRUPT,
          "a.fvecs: truncated: one row of 1819043176 f32" },
        { "a.i64", "12345678901", ERR_CORRUPT,
          "a.i64: truncated: 11 bytes are not a whole number of rows of 8 bytes" },
        { "a.what", "12345678901", ERR_UNSUPPORTED, "a.what: the name tells no known format" },
        { "gzip.txt", "\x1f\x8bnot really", ERR_CORRUPT, "gzip.txt: gzip data damaged" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct source *s = NULL;
        struct error err = { 0 };
        int rc = file_open(scratch_write(*state, bad[i].name, bad[i].text, strlen(bad[i].text)),
                           NULL, &s, &err);
        if (rc != bad[i].code)
            fail_with("%s: got %s: %s", bad[i].name, error_name(rc), err.text);
        expect_text(bad[i].name, &err, bad[i].expected);
        assert_null(s);
    }
}

/* A good file, spoilt at one place: set bytes, cut, or extend. */
struct damage {
    const char *name;
    struct blob (*make)(void);
    size_t at;
    int value;  /* written at `at`, unless -1 */
    int resize; /* added to the length */
    const char *expected;
    int code;
};

static struct blob npy_good(void)
{
    return npy_bytes(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", six,
                     sizeof six);
}

static struct blob npy_fortran(void)
{
    return npy_bytes(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 1), }\n", six,
                     sizeof six);
}

static struct blob npy_objects(void)
{
    return npy_bytes(1, "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }\n", six,
                     sizeof six);
}

static struct blob npy_fields(void)
{
    return npy_bytes(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }\n", six,
                     sizeof six);
}

static struct blob npy_huge(void)
{
    return npy_bytes(
        1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }\n", six,
        sizeof six);
}

static struct blob npy_overflow(void)
{
    return npy_bytes(
        1, "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 4), }\n", six,
        24);
}

static struct blob npy_no_rows(void)
{
    return npy_bytes(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }\n", six, 0);
}

static struct blob npy_scalar(void)
{
    return npy_bytes(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", six, 4);
}

static struct blob npy_half_header(void)
{
    return npy_bytes(1, "{'descr': '<f4', 'shape': (2, 3), }\n", six, sizeof six);
}

static struct blob npy_complex(void)
{
    return npy_bytes(1, "{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }\n", six,
                     sizeof six);
}

static const struct damage damages[] = {
    { "cut.fbin", fbin_bytes, 0, -1, -1,
      "truncated: 2 rows of 3 f32 need 32 bytes, the file has 31", ERR_CORRUPT },
    { "long.fbin", fbin_bytes, 0, -1, 5,
      "extra bytes at the end: 2 rows of 3 f32 need 32 bytes, the file has 37", ERR_CORRUPT },
    { "no rows.fbin", fbin_bytes, 0, 0, 0, "0 rows of 3 columns; both must be at least 1",
      ERR_CORRUPT },
    { "no columns.fbin", fbin_bytes, 4, 0, 0, "2 rows of 0 columns", ERR_CORRUPT },
    { "absurd.fbin", fbin_bytes, 3, 255, 0,
      "truncated: 4278190082 rows of 3 f32 need 51338280992 bytes", ERR_CORRUPT },
    { "nan.fbin", fbin_bytes, 15, 255, 0, "row 1, column 2", ERR_NOT_FINITE },
    { "cut.fvecs", fvecs_bytes, 0, -1, -3, "truncated in row 2: 16 bytes a row, but 13 are left",
      ERR_CORRUPT },
    { "ragged.fvecs", fvecs_bytes, 16, 2, 0, "row 2 says it has 2 columns, row 1 has 3",
      ERR_CORRUPT },
    { "no columns.fvecs", fvecs_bytes, 0, 0, 0, "row 1 says it has 0 columns", ERR_CORRUPT },
    { "negative.fvecs", fvecs_bytes, 3, 255, 0, "row 1 says it has -16777213 columns",
      ERR_CORRUPT },
    { "long.fvecs", fvecs_bytes, 0, -1, 4, "truncated in row 3", ERR_CORRUPT },
    { "cut.idx", idx_bytes, 0, -1, -2, "truncated: 2 rows of 3 u8 need 22 bytes, the file has 20",
      ERR_CORRUPT },
    { "long.idx", idx_bytes, 0, -1, 1, "extra bytes", ERR_CORRUPT },
    { "type.idx", idx_bytes, 2, 10, 0, "not idx|found 00 00 0a", ERR_CORRUPT },
    { "flat.idx", idx_bytes, 3, 0, 0, "no dimensions", ERR_CORRUPT },
    { "deep.idx", idx_bytes, 3, 200, 0, "header needs 804 bytes", ERR_CORRUPT },
    { "huge.idx", idx_bytes, 4, 255, 0, "truncated: 4278190082 rows", ERR_CORRUPT },
    { "version.npy", npy_good, 6, 9, 0, "npy version 9; 1 to 3 are known", ERR_VERSION },
    { "cut.npy", npy_good, 0, -1, -1, "truncated: 2 rows of 3 f32", ERR_CORRUPT },
    { "long.npy", npy_good, 0, -1, 1, "extra bytes", ERR_CORRUPT },
    { "header.npy", npy_good, 9, 9, 0, "the npy header says it has", ERR_CORRUPT },
    { "syntax.npy", npy_good, 10, 'x', 0, "not a dictionary", ERR_CORRUPT },
    { "key.npy", npy_good, 13, 'x', 0, "unknown key \"dxscr\"", ERR_CORRUPT },
    { "fortran.npy", npy_fortran, 0, -1, 0,
      "3 dimensions in Fortran order; save numpy.ascontiguousarray", ERR_UNSUPPORTED },
    { "objects.npy", npy_objects, 0, -1, 0, "Python objects", ERR_UNSUPPORTED },
    { "fields.npy", npy_fields, 0, -1, 0, "named fields", ERR_UNSUPPORTED },
    { "complex.npy", npy_complex, 0, -1, 0, "element type \"<c8\"", ERR_UNSUPPORTED },
    { "huge.npy", npy_huge, 0, -1, 0, "absurd", ERR_CORRUPT },
    { "overflow.npy", npy_overflow, 0, -1, 0, "no size", ERR_CORRUPT },
    { "no rows.npy", npy_no_rows, 0, -1, 0, "0 rows of 4 columns", ERR_CORRUPT },
    { "scalar.npy", npy_scalar, 0, -1, 0, "a single value", ERR_CORRUPT },
    { "half.npy", npy_half_header, 0, -1, 0, "missing", ERR_CORRUPT },
    { "is npy.fbin", npy_good, 0, -1, 0, "expected fbin by its name, but it begins like npy",
      ERR_CORRUPT },
};

static void names_damage_in_binary(void **state)
{
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        const struct damage *d = &damages[i];
        struct blob b = d->make();
        if (d->value >= 0)
            b.at[d->at] = (uint8_t)d->value;
        /* nan.fbin: 0xff in the exponent byte is a NaN or an infinity, whatever the mantissa */
        if (!strcmp(d->name, "nan.fbin"))
            b.at[14] = 0x80;
        b.n += (size_t)d->resize;
        struct source *s = NULL;
        struct error err = { 0 };
        int rc = file_open(scratch_write(*state, d->name, b.at, b.n), NULL, &s, &err);
        if (rc != d->code)
            fail_with("%s: got %s: %s", d->name, error_name(rc), err.text);
        expect_text(d->name, &err, d->name);
        expect_text(d->name, &err, d->expected);
        assert_null(s);
        struct error again = { 0 };
        assert_int_equal(
            file_open(scratch_write_gzip(*state, d->name, b.at, b.n), NULL, &s, &again), d->code);
        expect_text(d->name, &again, d->expected);
    }
}

static void names_damaged_gzip(void **state)
{
    struct blob b = fbin_bytes(), z = { .n = 0 };
    FILE *f = fopen(scratch_write_gzip(*state, "good.fbin.gz", b.at, b.n), "rb");
    assert_non_null(f);
    z.n = fread(z.at, 1, sizeof z.at, f);
    fclose(f);
    static const struct {
        const char *name;
        int spoil;
        int resize;
        const char *expected;
    } cases[] = {
        { "crc.fbin.gz", -7, 0, "crc.fbin.gz: gzip data damaged|incorrect data check" },
        { "length.fbin.gz", -1, 0, "gzip data damaged|incorrect length check" },
        { "cut.fbin.gz", 0, -3, "cut.fbin.gz: gzip data end early|truncated" },
        { "half.fbin.gz", 0, -20, "gzip data end early|truncated" },
        { "tail.fbin.gz", 0, 3, "3 extra bytes after the end of the gzip data" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct blob spoilt = z;
        struct source *s = NULL;
        struct error err = { 0 };
        if (cases[i].spoil)
            spoilt.at[(int)z.n + cases[i].spoil] ^= 0x55;
        if (cases[i].resize > 0)
            memset(spoilt.at + z.n, 'x', 8);
        spoilt.n = (size_t)((int)z.n + cases[i].resize);
        int rc =
            file_open(scratch_write(*state, cases[i].name, spoilt.at, spoilt.n), NULL, &s, &err);
        if (rc != ERR_CORRUPT)
            fail_with("%s: got %s: %s", cases[i].name, error_name(rc), err.text);
        expect_text(cases[i].name, &err, cases[i].expected);
    }
    /* Two members one after the other are one file; a limit holds. */
    struct blob two = z;
    blob_add(&two, z.at, z.n);
    struct source *s = NULL;
    struct error err = { 0 };
    assert_int_equal(file_open(scratch_write(*state, "two.f32.gz", two.at, two.n), NULL, &s, &err),
                     OK);
    assert_int_equal(s->n, 16);
    source_close(s);
    struct file_options small = { .limit_bytes = 40 };
    assert_int_equal(file_open(((struct scratch *)*state)->path, &small, &s, &err), ERR_CORRUPT);
    expect_text("limit", &err, "more than the 40 bytes allowed");
}

static void names_what_cannot_be_opened(void **state)
{
    struct source *s = NULL;
    struct error err = { 0 };
    struct scratch *scratch = *state;
    assert_int_equal(file_open(scratch->dir, NULL, &s, &err), ERR_IO);
    expect_text("folder", &err, "is a directory");
    error_clear(&err);
    assert_int_equal(file_open(scratch_path(scratch, "missing.npy"), NULL, &s, &err),
                     ERR_NOT_FOUND);
    expect_text("missing", &err, "missing.npy|No such file");
    error_clear(&err);
    assert_int_equal(mkfifo(scratch_path(scratch, "pipe.npy"), 0600), 0);
    assert_int_equal(file_open(scratch->path, NULL, &s, &err), ERR_IO);
    expect_text("pipe", &err, "not a regular file");
    error_clear(&err);
    if (geteuid() == 0)
        return; /* root reads everything */
    chmod(scratch_write(scratch, "secret.f32", six, 24), 0);
    assert_int_equal(file_open(scratch->path, NULL, &s, &err), ERR_IO);
    expect_text("secret", &err, "secret.f32|Permission denied");
}

static void names_options_that_do_not_fit(void **state)
{
    struct blob b = fbin_bytes();
    const char *path = scratch_write(*state, "a.fbin", b.at, b.n);
    static const struct {
        struct file_options options;
        int code;
        const char *expected;
    } cases[] = {
        { { .dim = 4 }, ERR_DIMENSION, "has 3 columns, 4 were expected" },
        { { .element = "b64" }, ERR_DIMENSION, "64-bit codes are 8 columns of u8" },
        { { .element = "u8" }, ERR_DIMENSION, "row 1, column 2 does not fit u8" },
        { { .element = "f33" }, ERR_ARGUMENT, "unknown element \"f33\"" },
        { { .format = "fbni" }, ERR_ARGUMENT, "unknown format \"fbni\"; did you mean \"fbin\"?" },
        { { .format = "raw" }, ERR_ARGUMENT, "which element?" },
        { { .dataset = "train" }, ERR_ARGUMENT, "dataset is for HDF5 and npz, this is fbin" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct source *s = NULL;
        struct error err = { 0 };
        int rc = file_open(path, &cases[i].options, &s, &err);
        if (rc != cases[i].code)
            fail_with("%s: got %s: %s", cases[i].expected, error_name(rc), err.text);
        expect_text(cases[i].expected, &err, cases[i].expected);
    }
}

/* Every prefix of every good file either opens or is refused; never a crash, never rows that are
 * not there. */
static void survives_every_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct blob (*make)(void);
    } files[] = { { "a.idx", idx_bytes },
                  { "a.fbin", fbin_bytes },
                  { "a.fvecs", fvecs_bytes },
                  { "a.npy", npy_good } };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct blob b = files[i].make();
        for (size_t n = 0; n <= b.n; n++) {
            uint8_t *copy =
                malloc(n ? n : 1); /* its own block, so that the sanitizer sees one byte too far */
            assert_non_null(copy);
            memcpy(copy, b.at, n);
            struct source *s = NULL;
            int rc = file_open_block(files[i].name, copy, n, NULL, &s, NULL);
            if ((rc == OK) != (n == b.n || (i == 2 && n == 16)))
                fail_with("%s cut to %zu: %d", files[i].name, n, rc);
            source_close(s);
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_idx),
        cmocka_unit_test(reads_idx_floats_big_endian),
        cmocka_unit_test(reads_vecs),
        cmocka_unit_test(reads_bin),
        cmocka_unit_test(reads_codes),
        cmocka_unit_test(reads_truth_and_raw),
        cmocka_unit_test(reads_npy),
        cmocka_unit_test(reads_text),
        cmocka_unit_test(names_damage_in_text),
        cmocka_unit_test(names_damage_in_binary),
        cmocka_unit_test(names_damaged_gzip),
        cmocka_unit_test(names_what_cannot_be_opened),
        cmocka_unit_test(names_options_that_do_not_fit),
        cmocka_unit_test(survives_every_prefix),
    };
    test_filter();
    return test_verdict(
        cmocka_run_group_tests_name("data_readers", tests, scratch_setup, scratch_teardown));
}
