/* test_npy.c - npy variants that numpy writes: Fortran order and big-endian. */
#include "tests/unit/data/data_files.h"

static const float rows_3x2[6] = { 1, 2, 3, 4, 5, 6 };

static void open_rows(const char *path, const struct file_options *options, const float *rows,
                      size_t n, size_t dim)
{
    struct source *s = open_good(path, options);
    struct error err = { 0 };
    assert_int_equal(s->n, n);
    assert_int_equal(s->dim, dim);
    float *got = malloc(n * dim * sizeof *got);
    assert_non_null(got);
    assert_ok(source_read_f32(s, 0, n, got, &err), &err);
    assert_memory_equal(got, rows, n * dim * sizeof *got);
    free(got);
    source_close(s);
}

static void reads_columns_as_rows(void **state)
{
    static const char f4[] = "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }\n",
                      u1[] = "{'descr': '|u1', 'fortran_order': True, 'shape': (3, 2), }\n",
                      f8[] = "{'descr': '>f8', 'fortran_order': True, 'shape': (3, 2), }\n",
                      i2[] = "{'descr': '>i2', 'fortran_order': True, 'shape': (3, 2), }\n";
    const float columns[6] = { 1, 3, 5, 2, 4, 6 };
    const uint8_t bytes[6] = { 1, 3, 5, 2, 4, 6 },
                  shorts[12] = { 0, 1, 0, 3, 0, 5, 0, 2, 0, 4, 0, 6 };
    uint64_t doubles[6];
    for (int i = 0; i < 6; i++) {
        const double wide = (double)columns[i];
        memcpy(&doubles[i], &wide, 8);
        doubles[i] = __builtin_bswap64(doubles[i]);
    }
    const struct blob blobs[] = { npy_bytes(1, f4, columns, sizeof columns),
                                  npy_bytes(1, u1, bytes, sizeof bytes),
                                  npy_bytes(2, f8, doubles, sizeof doubles),
                                  npy_bytes(1, i2, shorts, sizeof shorts) };
    for (size_t i = 0; i < sizeof blobs / sizeof *blobs; i++)
        open_rows(scratch_write(*state, "columns.npy", blobs[i].at, blobs[i].n), NULL, rows_3x2, 3,
                  2);
}

/* More rows and more columns than a block of the transposition has. */
static void transposes_in_blocks(void **state)
{
    static const size_t shapes[][2] = { { 70000, 7 }, { 3, 300000 }, { 1001, 1001 } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t n = shapes[i][0], dim = shapes[i][1];
        float *rows = malloc(n * dim * sizeof *rows);
        char *file = malloc(n * dim * sizeof *rows + 200), header[100];
        assert_true(rows && file);
        snprintf(header, sizeof header,
                 "{'descr': '<f4', 'fortran_order': True, 'shape': (%zu, %zu), }\n", n, dim);
        const struct blob b = npy_bytes(1, header, NULL, 0);
        memcpy(file, b.at, b.n);
        for (size_t r = 0; r < n; r++)
            for (size_t c = 0; c < dim; c++) {
                rows[r * dim + c] = (float)(r * dim + c);
                memcpy(file + b.n + (c * n + r) * sizeof *rows, &rows[r * dim + c], sizeof *rows);
            }
        open_rows(scratch_write(*state, "large.npy", file, b.n + n * dim * sizeof *rows), NULL,
                  rows, n, dim);
        free(rows);
        free(file);
    }
}

static void reads_big_endian_and_native(void **state)
{
    static const struct {
        const char *descr;
        size_t width;
    } kinds[] = { { ">f4", 4 }, { "=f4", 4 }, { ">f8", 8 }, { ">f2", 2 },
                  { ">i2", 2 }, { ">i4", 4 }, { ">i8", 8 } };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct blob rows = { .n = 0 };
        for (int v = 1; v <= 6; v++) {
            static const uint16_t halves[] = { 0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600 };
            const char kind = kinds[i].descr[1];
            const float f4 = (float)v;
            const double f8 = v;
            const int64_t whole = kinds[i].width == 2 && kind == 'f' ? halves[v] : v;
            uint8_t bytes[8];
            memcpy(bytes,
                   kind == 'i' || kinds[i].width == 2 ? (const void *)&whole
                   : kinds[i].width == 4              ? (const void *)&f4
                                                      : (const void *)&f8,
                   kinds[i].width);
            for (size_t k = 0; k < kinds[i].width; k++)
                blob_add(&rows, &bytes[kinds[i].descr[0] == '>' ? kinds[i].width - 1 - k : k], 1);
        }
        char header[100];
        snprintf(header, sizeof header,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (3, 2), }\n", kinds[i].descr);
        const struct blob b = npy_bytes(1, header, rows.at, rows.n);
        open_rows(scratch_write(*state, "big.npy", b.at, b.n),
                  &(struct file_options){ .element = "f32" }, rows_3x2, 3, 2);
    }
}

static void holds_sets_by_name(void **state)
{
    const struct file_options hdf5 = { .format = "hdf5" }, npy = { .format = "npy" };
    assert_true(file_holds_sets("a.hdf5.gz", NULL) && file_holds_sets("a.h5", NULL));
    assert_true(file_holds_sets("a.bin", &hdf5));
    assert_false(file_holds_sets("a.h5", &npy) || file_holds_sets("a.npy.gz", NULL) ||
                 file_holds_sets("a", NULL) || file_holds_sets("a.multivec", NULL));
}

static void names_what_is_not_read(void **state)
{
    expect_refused(scratch_write(*state, "a.npz", "PK\3\4", 4), NULL, ERR_UNSUPPORTED,
                   "a.npz: npz is not read; save one array of it by numpy.save(), as npy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_columns_as_rows),       cmocka_unit_test(transposes_in_blocks),
        cmocka_unit_test(reads_big_endian_and_native), cmocka_unit_test(holds_sets_by_name),
        cmocka_unit_test(names_what_is_not_read),
    };
    return scratch_run("data_npy", tests);
}
