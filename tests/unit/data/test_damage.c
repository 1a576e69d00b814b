/* test_damage.c - every reader on every kind of damage: the error names the file, the
 * place and the reason. */
#include "tests/unit/data/good_files.h"

/* Text cases give the bytes as a string; binary cases are built below. */
static void names_damage_in_text(void **state)
{
    static const struct {
        const char *name, *text;
        int code;
        const char *expected;
    } bad[] = {
        { "ragged.txt", "1 2 3\n4 5\n", ERR_CORRUPT, "ragged.txt|line 2 has 2 columns|have 3" },
        { "long.txt", "1 2 3\n4 5 6 7\n", ERR_CORRUPT, "line 2 has 4 columns|have 3" },
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
        { "a.what", "12345678901", ERR_UNSUPPORTED,
          "a.what: the name does not end like a known format" },
        { "gzip.txt", "\x1f\x8bnot really", ERR_CORRUPT, "gzip.txt: gzip data damaged" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_refused(scratch_write(*state, bad[i].name, bad[i].text, strlen(bad[i].text)), NULL,
                       bad[i].code, bad[i].expected);
    }
}

/* A valid file, damaged at one place: bytes set, cut, or extended. */
struct damage {
    const char *name;
    struct blob (*make)(void);
    size_t at;
    int value;  /* written at `at`, unless -1 */
    int resize; /* added to the length */
    const char *expected;
    int code;
};

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
    { "is npy.fbin", npy_good, 0, -1, 0, "expected fbin by its name, but it begins like npy",
      ERR_CORRUPT },
};

/* Valid headers of what is not read, and others. */
static const struct {
    const char *name, *header;
    size_t bytes; /* behind the header */
    const char *expected;
    int code;
} headers[] = {
    { "fortran.npy", "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 1), }\n", 24,
      "3 dimensions in Fortran order; save numpy.ascontiguousarray", ERR_UNSUPPORTED },
    { "objects.npy", "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }\n", 24,
      "Python objects", ERR_UNSUPPORTED },
    { "fields.npy", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }\n", 24,
      "named fields", ERR_UNSUPPORTED },
    { "complex.npy", "{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }\n", 24,
      "element type \"<c8\"", ERR_UNSUPPORTED },
    { "huge.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }\n",
      24, "which cannot be", ERR_CORRUPT },
    { "overflow.npy",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 4), }\n", 24,
      "is not a size", ERR_CORRUPT },
    { "no rows.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4), }\n", 0,
      "0 rows of 4 columns", ERR_CORRUPT },
    { "scalar.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", 4,
      "a single value", ERR_CORRUPT },
    { "half.npy", "{'descr': '<f4', 'shape': (2, 3), }\n", 24, "missing", ERR_CORRUPT },
};

/* As it is, and in gzip. */
static void expect_damage(struct scratch *s, const char *name, const struct blob *b, int code,
                          const char *expected)
{
    expect_refused(scratch_write(s, name, b->at, b->n), NULL, code, expected);
    expect_refused(scratch_write_gzip(s, name, b->at, b->n), NULL, code, expected);
}

static void names_damage_in_binary(void **state)
{
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        const struct damage *d = &damages[i];
        struct blob b = d->make();
        if (d->value >= 0)
            b.at[d->at] = (uint8_t)d->value;
        /* nan.fbin: with 0xff in the exponent byte the value is NaN or
           infinite, whatever the mantissa */
        if (!strcmp(d->name, "nan.fbin"))
            b.at[14] = 0x80;
        b.n += (size_t)d->resize;
        expect_damage(*state, d->name, &b, d->code, d->expected);
    }
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const struct blob b = npy_bytes(1, headers[i].header, six, headers[i].bytes);
        expect_damage(*state, headers[i].name, &b, headers[i].code, headers[i].expected);
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
        if (cases[i].spoil)
            spoilt.at[(int)z.n + cases[i].spoil] ^= 0x55;
        if (cases[i].resize > 0)
            memset(spoilt.at + z.n, 'x', 8);
        spoilt.n = (size_t)((int)z.n + cases[i].resize);
        expect_refused(scratch_write_blob(*state, cases[i].name, spoilt), NULL, ERR_CORRUPT,
                       cases[i].expected);
    }
    /* Two gzip members in a row are one file; the size limit applies to their sum. */
    struct blob two = z;
    blob_add(&two, z.at, z.n);
    const char *path = scratch_write_blob(*state, "two.i32.gz", two);
    struct source *s = open_good(path, NULL);
    assert_int_equal(s->n, 16);
    source_close(s);
    expect_refused(path, &(struct file_options){ .limit_bytes = 40 }, ERR_CORRUPT,
                   "more than the 40 bytes allowed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_damage_in_text),
        cmocka_unit_test(names_damage_in_binary),
        cmocka_unit_test(names_damaged_gzip),
    };
    return scratch_run("data_damage", tests);
}
