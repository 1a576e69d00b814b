/* test_imports.c - what the data sets of other benchmarks need: ids counted from 1, i8 rows, long codes,
 * and the HDF5 files of ann-benchmarks, VIBE and SISAP. */
#include "tests/unit/data/data_files.h"

static const int8_t signed_rows[6] = { -128, -1, 0, 1, 127, 5 };

static void i8_rows_become_u8_or_f32(void **state)
{
    static const uint8_t shifted[6] = { 0, 127, 128, 129, 255, 133 };
    static const float floats[6] = { -128, -1, 0, 1, 127, 5 };
    const struct file_options as_u8 = { .element = "u8", .add = 128 },
                              as_f32 = { .element = "f32" },
                              too_little = { .element = "u8", .add = 100 },
                              too_much = { .element = "u8", .add = 129 };
    const struct blob b = bin_bytes(2, 3, signed_rows, sizeof signed_rows);
    const char *path = scratch_write_blob(*state, "space.i8bin", b);
    expect_good(path, &as_u8, 2, 3, INDEX_U8, shifted);
    expect_good(path, &as_f32, 2, 3, INDEX_F32, floats);
    expect_refused(path, &too_little, ERR_DIMENSION,
                   "row 1, column 1: with +100 it is negative or does not fit u8");
    expect_refused(path, &too_much, ERR_DIMENSION, "row 2, column 2: with +129");
    expect_refused(scratch_write(*state, "space.i8bin", b.at, b.n - 1), &as_u8, ERR_CORRUPT,
                   "truncated");
}

/* A big-endian i16 file, whose values need swapping before the sum. */
static void a_sum_of_swapped_values(void **state)
{
    const struct blob b = { { 0, 0, 0x0b, 1, 0, 0, 0, 2, 0x01, 0x00, 0x00, 0x02 }, 12 };
    expect_good(scratch_write_blob(*state, "swapped.idx", b), &(struct file_options){ .add = -2 },
                2, 1, ELEMENT_I32, (const int32_t[]){ 254, 0 });
}

static void ids_counted_from_1(void **state)
{
    static const int32_t ids[6] = { 1, 2, 3, 300000, 4, INT32_MAX },
                         from_0[6] = { 0, 1, 2, 299999, 3, INT32_MAX - 1 };
    const struct file_options from_1 = { .add = -1 }, whole = { .add = 0 };
    struct blob b = bin_bytes(2, 3, ids, sizeof ids);
    const char *path = scratch_write_blob(*state, "knns.ibin", b);
    struct source *s = open_good(path, &from_1), *plain = open_good(path, &whole);
    assert_null(s->rows);
    assert_true(s->hash != plain->hash);
    expect_source(s, 2, 3, ELEMENT_I32, from_0);
    source_close(s);
    source_close(plain);
    /* Converting writes the sums. */
    const char *out = scratch_path(*state, "from0.ibin");
    struct data_written written;
    struct error err = { 0 };
    assert_ok(data_convert(path, &from_1, out, NULL, &written, &err), &err);
    expect_good(out, NULL, 2, 3, ELEMENT_I32, from_0);
    /* A file with an id 0 counts from 0. */
    memset(b.at + 8 + 16, 0, 4);
    expect_refused(scratch_write_blob(*state, "knns.ibin", b), &from_1, ERR_DIMENSION,
                   "row 2, column 2: with -1 it is negative or does not fit i32");
    b = bin_bytes(1, 2, (const float[]){ 1, 2 }, 8);
    expect_refused(scratch_write_blob(*state, "real.fbin", b), &from_1, ERR_ARGUMENT,
                   "add is for integers, these are f32");
}

/* A file that is there as a whole serves several slices; one that was cut serves its own. */
static void first_rows_of_a_whole_file(void **state)
{
    const struct blob b = bin_bytes(3, 2, signed_rows, 6);
    const struct file_options two = { .first_rows = 2 }, all = { .first_rows = 3 },
                              four = { .first_rows = 4 };
    const char *path = scratch_path(*state, "slice.i8bin");
    for (int cut = 0; cut < 2; cut++) {
        scratch_write(*state, "slice.i8bin", b.at, b.n - (cut ? 2 : 0));
        expect_good(path, &two, 2, 2, ELEMENT_I8, signed_rows);
    }
    expect_refused(path, &all, ERR_CORRUPT, "truncated");
    expect_refused(path, &four, ERR_CORRUPT, "the header says 3 rows, at least 4");
    scratch_write(*state, "slice.i8bin", b.at, b.n - 1);
    expect_refused(path, &two, ERR_CORRUPT, "extra bytes at the end");
}

/* Five documents of 1, 2, 1, 0 and 1 vectors, whose vectors are (0, 1), (2, 3), ... */
static struct blob multivec_bytes(void)
{
    static const uint32_t header_and_counts[8] = { 5, 2, 5, 1, 2, 1, 0, 1 };
    static const float vectors[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    struct blob b = { .n = 0 };
    blob_add(&b, header_and_counts, sizeof header_and_counts);
    blob_add(&b, vectors, sizeof vectors);
    return b;
}

static void documents_of_one_vector(void **state)
{
    static const float expected[6] = { 0, 1, 6, 7, 8, 9 };
    const struct file_options named = { .format = "multivec" },
                              other = { .format = "multivec", .dataset = "all" },
                              small = { .format = "multivec", .limit_bytes = 20 };
    struct blob b = multivec_bytes();
    const char *path = scratch_write_blob(*state, "cases.bin", b);
    struct source *s = open_good(path, &named);
    expect_source(s, 3, 2, INDEX_F32, expected);
    assert_string_equal(s->note, "3 of 5 documents have one vector, the others are left out");
    source_close(s);
    expect_refused(path, &other, ERR_NOT_FOUND, "no dataset \"all\"");
    expect_refused(path, &small, ERR_CORRUPT, "more than the 20 bytes allowed");
    /* Every prefix is refused, and so are counts that do not fit. */
    for (size_t n = 1; n < b.n; n++)
        expect_refused(scratch_write(*state, "cases.bin", b.at, n), &named, ERR_CORRUPT,
                       "truncated");
    b.at[12] = 2;
    expect_refused(scratch_write_blob(*state, "cases.bin", b), &named, ERR_CORRUPT,
                   "its 5 documents have 6 vectors, the header says 5");
    b.at[12] = b.at[20] = b.at[28] = 0;
    b.at[16] = 5;
    expect_refused(scratch_write_blob(*state, "cases.bin", b), &named, ERR_CORRUPT,
                   "none of its 5 documents has exactly one vector");
}

/* Codes of several words, from bytes and from raw words; the length of what is none is named. */
static void long_codes_are_read(void **state)
{
    static const uint8_t bits[136] = { 1, [40] = 7 };
    const struct file_options codes = { .element = "b64" },
                              raw = { .element = "b64", .dim = 128, .format = "raw" },
                              sums = { .element = "b64", .add = 1 };
    expect_good(scratch_write_blob(*state, "long.u8bin", bin_bytes(2, 32, bits, 64)), &codes, 2,
                256, INDEX_B64, bits);
    expect_good(scratch_write(*state, "long.bits", bits, 64), &raw, 4, 128, INDEX_B64, bits);
    expect_refused(scratch_write_blob(*state, "odd.u8bin", bin_bytes(1, 12, bits, 12)), &codes,
                   ERR_UNSUPPORTED,
                   "12 columns of u8 are codes of 96 bits|expected a multiple of 64, at most 1024");
    expect_refused(scratch_write_blob(*state, "longer.u8bin", bin_bytes(1, 136, bits, 136)), &codes,
                   ERR_UNSUPPORTED, "136 columns of u8 are codes of 1088 bits|at most 1024");
    expect_refused(scratch_write_blob(*state, "sums.u8bin", bin_bytes(4, 8, bits, 32)), &sums,
                   ERR_ARGUMENT, "add is for integers, these are b64");
}

#ifdef HAVE_HDF5

#include "tests/unit/data/hdf5_files.h"

enum { TRAIN = 5, TEST = 2, DIM = 3, K = 4 };

static hid_t half_type(void)
{
    hid_t half = H5Tcopy(H5T_IEEE_F32LE);
    assert_true(H5Tset_fields(half, 15, 10, 5, 0, 10) >= 0);
    assert_true(H5Tset_size(half, 2) >= 0);
    assert_true(H5Tset_ebias(half, 15) >= 0);
    return half;
}

/* As h5py stores numpy's bool. */
static hid_t bool_type(void)
{
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    assert_true(H5Tenum_insert(type, "FALSE", &(int8_t){ 0 }) >= 0);
    assert_true(H5Tenum_insert(type, "TRUE", &(int8_t){ 1 }) >= 0);
    return type;
}

static const double
    train[TRAIN * DIM] = { 1, -2, .5, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, -65504 },
                  test[TEST * DIM] = { .1, 2, 3, 4, 5, 6 },
                  nearest[TEST * K] = { 1, 2, 3, 4, 5, 4, 3, 2 };

/* A file with rows, queries and the ids of the nearest, of these types. */
static void make_set(struct scratch *s, const char *name, hid_t rows, hid_t queries, hid_t ids)
{
    hid_t file = H5Fcreate(scratch_path(s, name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    put_dataset(file, "train", rows, TRAIN, DIM, H5P_DEFAULT, H5T_NATIVE_DOUBLE, train);
    put_dataset(file, "test", queries, TEST, DIM, H5P_DEFAULT, H5T_NATIVE_DOUBLE, test);
    put_dataset(file, "neighbors", ids, TEST, K, H5P_DEFAULT, H5T_NATIVE_DOUBLE, nearest);
    assert_true(H5Fclose(file) >= 0);
}

static void truth_of_any_width(void **state)
{
    const hid_t types[] = { H5T_STD_I32LE, H5T_STD_I64LE, H5T_STD_U32LE, H5T_STD_I64BE };
    static const char *const elements[] = { NULL, "i32", "i64" };
    for (size_t t = 0; t < 4; t++) {
        make_set(*state, "vibe.hdf5", H5T_IEEE_F32LE, H5T_IEEE_F32LE, types[t]);
        for (size_t e = 0; e < 6; e++) {
            const bool from_1 = e >= 3;
            const struct file_options options = {
                .dataset = "neighbors", .element = elements[e % 3], .dim = K, .add = from_1 ? -1 : 0
            };
            struct source *s = open_good(scratch_path(*state, "vibe.hdf5"), &options);
            struct error err = { 0 };
            int64_t wide[TEST * K] = { 0 };
            int32_t narrow[TEST * K];
            assert_int_equal(s->n, TEST);
            const bool is_i32 = s->element == ELEMENT_I32;
            assert_true(is_i32 || s->element == ELEMENT_I64);
            assert_ok(source_read(s, 0, TEST, is_i32 ? (void *)narrow : wide, &err), &err);
            for (size_t i = 0; i < TEST * K; i++)
                assert_int_equal(is_i32 ? narrow[i] : wide[i], (int64_t)nearest[i] - from_1);
            source_close(s);
        }
    }
    const struct file_options whole = { .dataset = "neighbors", .element = "i32", .add = -2 };
    expect_refused(scratch_path(*state, "vibe.hdf5"), &whole, ERR_DIMENSION,
                   "row 1, column 1: with -2");
}

/* SISAP stores rows as f16 and queries as f32, lastfm has f64 queries: all become f32. */
static void rows_and_queries_of_different_floats(void **state)
{
    hid_t half = half_type();
    make_set(*state, "mixed.h5", half, H5T_IEEE_F32LE, H5T_STD_I32LE);
    H5Tclose(half);
    make_set(*state, "lastfm.h5", H5T_IEEE_F32LE, H5T_IEEE_F64LE, H5T_STD_I32LE);
    static const char *const names[] = { "mixed.h5", "lastfm.h5" };
    for (size_t f = 0; f < 2; f++)
        for (int queries = 0; queries < 2; queries++) {
            const struct file_options options = { .dataset = queries ? "test" : "train" };
            float expected[TRAIN * DIM];
            for (size_t i = 0; i < (queries ? TEST : TRAIN) * DIM; i++)
                expected[i] = (float)(queries ? test : train)[i];
            expect_good(scratch_path(*state, names[f]), &options, queries ? TEST : TRAIN, DIM,
                        INDEX_F32, expected);
        }
}

static void booleans_are_refused_as_codes(void **state)
{
    enum { BITS = 20 };
    hid_t type = bool_type(), file;
    int8_t bits[TRAIN * BITS] = { 1, 0, 1 };
    file = H5Fcreate(scratch_path(*state, "bits.hdf5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_dataset(file, "train", type, TRAIN, BITS, H5P_DEFAULT, type, bits);
    H5Tclose(type);
    assert_true(H5Fclose(file) >= 0);
    expect_refused(scratch_path(*state, "bits.hdf5"), NULL, ERR_UNSUPPORTED,
                   "holds booleans, codes of 20 bits|only codes of 64 bits|Hamming");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i8_rows_become_u8_or_f32),
        cmocka_unit_test(a_sum_of_swapped_values),
        cmocka_unit_test(ids_counted_from_1),
        cmocka_unit_test(first_rows_of_a_whole_file),
        cmocka_unit_test(documents_of_one_vector),
        cmocka_unit_test(long_codes_are_read),
#ifdef HAVE_HDF5
        cmocka_unit_test(truth_of_any_width),
        cmocka_unit_test(rows_and_queries_of_different_floats),
        cmocka_unit_test(booleans_are_refused_as_codes),
#endif
    };
    return scratch_run("data_imports", tests);
}
