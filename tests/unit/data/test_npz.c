/* test_npz.c - npy variants that numpy writes: Fortran order, big-endian, several in a zip; and
 * zips that are damaged or malicious. */
#include "tests/unit/data/data_files.h"

enum { STORED = 0, DEFLATED = 8 };

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

/* A zip that is being built. */
struct zip {
    struct blob file, directory;
    unsigned n;
};

static void blob_u16(struct blob *b, unsigned v)
{
    blob_add(b, &(uint16_t){ (uint16_t)v }, 2);
}

static void blob_u64(struct blob *b, uint64_t v)
{
    blob_add(b, &v, 8);
}

static struct blob deflated(const struct blob *plain)
{
    struct blob out = { .n = 0 };
    z_stream z = { .next_in = (Bytef *)plain->at, .avail_in = (uInt)plain->n };
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = out.at;
    z.avail_out = sizeof out.at;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.n = z.total_out;
    deflateEnd(&z);
    return out;
}

/* wide: sizes and offset in zip64 fields, as numpy writes them in local headers, here
   also in the directory. */
static void zip_add(struct zip *z, const char *name, const struct blob *plain, unsigned method,
                    bool wide)
{
    const struct blob packed = method == DEFLATED ? deflated(plain) : *plain;
    const uint32_t crc = (uint32_t)crc32(0, plain->at, (uInt)plain->n), place = (uint32_t)z->file.n;
    const unsigned name_bytes = (unsigned)strlen(name);
    for (int central = 0; central < 2; central++) {
        struct blob *b = central ? &z->directory : &z->file;
        blob_u32(b, central ? 0x02014b50 : 0x04034b50);
        if (central)
            blob_u16(b, 45);
        blob_u16(b, 45);
        blob_u16(b, 0);
        blob_u16(b, method);
        blob_u32(b, 0);
        blob_u32(b, crc);
        blob_u32(b, wide ? UINT32_MAX : (uint32_t)packed.n);
        blob_u32(b, wide ? UINT32_MAX : (uint32_t)plain->n);
        blob_u16(b, name_bytes);
        blob_u16(b, wide ? central ? 28 : 20 : 0);
        if (central) {
            blob_u16(b, 0);
            blob_u16(b, 0);
            blob_u16(b, 0);
            blob_u32(b, 0);
            blob_u32(b, wide ? UINT32_MAX : place);
        }
        blob_add(b, name, name_bytes);
        if (!wide)
            continue;
        blob_u16(b, 1);
        blob_u16(b, central ? 24 : 16);
        blob_u64(b, plain->n);
        blob_u64(b, packed.n);
        if (central)
            blob_u64(b, place);
    }
    blob_add(&z->file, packed.at, packed.n);
    z->n++;
}

static struct blob zip_end(const struct zip *z, bool wide)
{
    struct blob b = z->file;
    const size_t directory = b.n;
    blob_add(&b, z->directory.at, z->directory.n);
    const size_t end_64 = b.n;
    if (wide) {
        blob_u32(&b, 0x06064b50);
        blob_u64(&b, 44);
        blob_u32(&b, 0);
        blob_u64(&b, 0);
        blob_u64(&b, z->n);
        blob_u64(&b, z->n);
        blob_u64(&b, z->directory.n);
        blob_u64(&b, directory);
        blob_u32(&b, 0x07064b50);
        blob_u32(&b, 0);
        blob_u64(&b, end_64);
        blob_u32(&b, 1);
    }
    blob_u32(&b, 0x06054b50);
    blob_u32(&b, 0);
    blob_u16(&b, wide ? UINT16_MAX : z->n);
    blob_u16(&b, wide ? UINT16_MAX : z->n);
    blob_u32(&b, wide ? UINT32_MAX : (uint32_t)z->directory.n);
    blob_u32(&b, wide ? UINT32_MAX : (uint32_t)directory);
    blob_u16(&b, 0);
    return b;
}

static struct blob array(bool fortran)
{
    const float columns[6] = { 1, 3, 5, 2, 4, 6 };
    return fortran ? npy_bytes(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }\n",
                               columns, sizeof columns)
                   : npy_bytes(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n",
                               rows_3x2, sizeof rows_3x2);
}

static struct blob one_array(unsigned method, bool wide, bool fortran)
{
    struct zip z = { .n = 0 };
    const struct blob a = array(fortran);
    zip_add(&z, "arr_0.npy", &a, method, wide);
    return zip_end(&z, wide);
}

static struct blob two_arrays(void)
{
    struct zip z = { .n = 0 };
    const struct blob a = array(false),
                      label = npy_bytes(
                          1, "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n",
                          "\1\2\3", 3);
    zip_add(&z, "labels.npy", &label, DEFLATED, false);
    zip_add(&z, "remarks.txt", &label, STORED, false);
    zip_add(&z, "vectors.npy", &a, DEFLATED, false);
    return zip_end(&z, false);
}

static void reads_npz(void **state)
{
    for (int i = 0; i < 8; i++) {
        const struct blob b = one_array(i & 1 ? DEFLATED : STORED, i & 2, i & 4);
        open_rows(scratch_write(*state, "one.npz", b.at, b.n), NULL, rows_3x2, 3, 2);
        open_rows(scratch_write(*state, "nameless", b.at, b.n), NULL, rows_3x2, 3, 2);
        open_rows(scratch_write_gzip(*state, "one.npz.gz", b.at, b.n), NULL, rows_3x2, 3, 2);
    }
    const struct blob two = two_arrays();
    const char *path = scratch_write(*state, "two.npz", two.at, two.n);
    open_rows(path, &(struct file_options){ .dataset = "vectors" }, rows_3x2, 3, 2);
    open_rows(path, &(struct file_options){ .dataset = "vectors.npy" }, rows_3x2, 3, 2);
    const float labels[3] = { 1, 2, 3 };
    open_rows(path, &(struct file_options){ .dataset = "labels" }, labels, 3, 1);
    struct zip z = { .n = 0 };
    const struct blob a = array(false);
    zip_add(&z, "test.npy", &a, STORED, false);
    zip_add(&z, "train.npy", &a, STORED, false);
    const struct blob b = zip_end(&z, false);
    struct source *s = open_good(scratch_write(*state, "train.npz", b.at, b.n), NULL);
    assert_string_equal(s->name, "train.npz[train]");
    source_close(s);
}

static void holds_sets_by_name(void **state)
{
    const struct file_options npz = { .format = "npz" }, npy = { .format = "npy" };
    assert_true(file_holds_sets("a.npz", NULL) && file_holds_sets("a.npz.gz", NULL));
    assert_true(file_holds_sets("a.hdf5.gz", NULL) && file_holds_sets("a.h5", NULL));
    assert_true(file_holds_sets("a.bin", &npz));
    assert_false(file_holds_sets("a.npz", &npy) || file_holds_sets("a.npy.gz", NULL) ||
                 file_holds_sets("a", NULL) || file_holds_sets("a.multivec", NULL));
}

static void expect_bad(struct scratch *s, const char *name, const struct blob *b,
                       const char *dataset, int code, const char *expected)
{
    const struct file_options options = { .dataset = dataset, .limit_bytes = 4000 };
    expect_refused(scratch_write(s, name, b->at, b->n), &options, code, expected);
}

static void refuses_npz(void **state)
{
    struct blob b = two_arrays();
    expect_bad(*state, "two.npz", &b, NULL, ERR_ARGUMENT,
               "holds 2 arrays, labels, vectors; name one, as in dataset = \"labels\"");
    expect_bad(*state, "two.npz", &b, "other", ERR_NOT_FOUND,
               "no array \"other\"; the file has labels, vectors");
    struct zip none = { .n = 0 };
    zip_add(&none, "a.txt", &b, DEFLATED, false);
    b = zip_end(&none, false);
    expect_bad(*state, "none.npz", &b, NULL, ERR_CORRUPT, "holds no npy array");
    /* Offsets in the file of one stored array: see zip_add() and zip_end(). */
    const struct blob good = one_array(STORED, false, false);
    const size_t body = array(false).n, directory = 30 + 9 + body, end = directory + 46 + 9;
    assert_int_equal(good.n, end + 22);
    const struct {
        size_t at;
        uint32_t value; /* four bytes; 0: the file is cut there */
        int code;
        const char *expected;
    } spoilt[] = {
        { good.n - 1, 0, ERR_CORRUPT, "end record is missing" },
        { end + 16, 0x7fffffff, ERR_CORRUPT, "directory does not fit" },
        { end + 12, 4, ERR_CORRUPT, "directory does not fit" },
        { end + 8, 0x00090009, ERR_CORRUPT, "directory does not fit" },
        { directory, 1, ERR_CORRUPT, "directory ends early" },
        { directory + 28, 2000, ERR_CORRUPT, "an entry of its directory does not fit" },
        { directory + 42, 5, ERR_CORRUPT, "not where the directory says" },
        { directory + 20, 5, ERR_CORRUPT, "two sizes" },
        { directory + 20, 50000, ERR_CORRUPT, "ends behind the file" },
        { directory + 16, 5, ERR_CORRUPT, "one.npz: |array \"arr_0\" is damaged: its checksum" },
        { directory + 10, 12, ERR_UNSUPPORTED, "packed in another way" },
        { directory + 8, 1, ERR_UNSUPPORTED, "encrypted" },
        { directory - 4, 0x40e00001, ERR_CORRUPT, "checksum does not hold" },
    };
    for (size_t i = 0; i < sizeof spoilt / sizeof *spoilt; i++) {
        b = good;
        if (spoilt[i].value)
            memcpy(b.at + spoilt[i].at, &spoilt[i].value,
                   spoilt[i].at == directory + 10 || spoilt[i].at == directory + 8 ? 2 : 4);
        else
            b.n = spoilt[i].at;
        expect_bad(*state, "one.npz", &b, NULL, spoilt[i].code, spoilt[i].expected);
    }
}

static void refuses_wrong_sizes(void **state)
{
    struct blob b = one_array(DEFLATED, false, false);
    const size_t entry = b.n - 22 - 46 - 9;
    b.at[30 + 9 + 20] ^= 0xff;
    expect_bad(*state, "packed.npz", &b, NULL, ERR_CORRUPT, "packed.npz");
    /* Sizes that would fill the disk, or differ from those in the directory. */
    const uint32_t sizes[] = { UINT32_MAX - 1, 3999, 20 };
    static const char *const why[] = { "packed ones, or more than", "3999 were announced",
                                       "more than the 20 bytes allowed" };
    for (size_t i = 0; i < 3; i++) {
        b = one_array(DEFLATED, false, false);
        memcpy(b.at + entry + 24, &sizes[i], 4);
        expect_bad(*state, "bomb.npz", &b, NULL, ERR_CORRUPT, why[i]);
    }
}

/* A zip that is cut anywhere or has any byte changed is refused or gives the same rows. */
static void survives_damage(void **state)
{
    for (int kind = 0; kind < 4; kind++) {
        const struct blob good = one_array(kind & 1 ? DEFLATED : STORED, kind & 2, true);
        for (size_t i = 0; i < 2 * good.n; i++) {
            const size_t n = i < good.n ? i : good.n;
            uint8_t *copy = malloc(n ? n : 1);
            struct source *s = NULL;
            float got[6];
            assert_non_null(copy);
            memcpy(copy, good.at, n);
            if (i >= good.n)
                copy[i - good.n] ^= 0x41;
            if (file_open_block("a.npz", copy, n, NULL, &s, NULL) == OK) {
                assert_int_equal(s->n * s->dim, 6);
                assert_int_equal(source_read(s, 0, s->n, got, NULL), OK);
                assert_memory_equal(got, rows_3x2, sizeof got);
                assert_int_equal(n, good.n);
            }
            source_close(s);
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_columns_as_rows),       cmocka_unit_test(transposes_in_blocks),
        cmocka_unit_test(reads_big_endian_and_native), cmocka_unit_test(reads_npz),
        cmocka_unit_test(holds_sets_by_name),          cmocka_unit_test(refuses_npz),
        cmocka_unit_test(refuses_wrong_sizes),         cmocka_unit_test(survives_damage),
    };
    return scratch_run("data_npz", tests);
}
