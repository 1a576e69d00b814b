/* test_lrsq_file.c - LRSQ written and read gives the same bounds; damaged files are refused. */
#include "tests/unit/asteria/residual/lrsq.h"

enum { ROWS = 300, DIM = 40 };

struct file {
    struct coded c;
    float *rows;
    char dir[PATH_MAX];
    struct store_identity identity;
};

static void file_begin(struct file *f, enum rows_kind kind, bool pca)
{
    struct rng r = rng_at(test_seed(), 1);
    const struct asteria_lrsq_options o = { 30, 5, 6, pca, 1 };
    f->rows = rows_make(&r, kind, ROWS, DIM);
    coded_begin(&f->c, &o, f->rows, ROWS, DIM);
    test_dir_make_in_memory(f->dir);
    f->identity = store_identity_of(&f->c.b.env, "asteria", 1);
}

static void file_end(struct file *f)
{
    coded_end(&f->c);
    test_dir_remove(f->dir);
    free(f->rows);
}

/* Writes LRSQ, or these bytes instead. */
static void write_file(struct file *f, const void *bytes, size_t n)
{
    struct store_writer *w = malloc(sizeof *w);
    assert_non_null(w);
    assert_ok(store_begin(w, f->dir, "model", &f->identity, NULL, &f->c.b.error), &f->c.b.error);
    if (bytes) {
        store_section(w, "lrsq3");
        store_write(w, bytes, n);
    } else {
        asteria_lrsq_write(f->c.l, w, '3');
    }
    assert_ok(store_commit(w), &f->c.b.error);
    free(w);
}

static int read_file(struct file *f, struct asteria_lrsq **to)
{
    struct store_reader r;
    assert_ok(store_open(&r, f->dir, "model", &f->identity, &f->c.b.error), &f->c.b.error);
    const int rc = asteria_lrsq_read(to, &f->c.b.env, &r, '3');
    store_close(&r);
    return rc;
}

static unsigned char *section_of(struct file *f, size_t *n)
{
    struct store_reader r;
    const void *bytes;
    assert_ok(store_open(&r, f->dir, "model", &f->identity, &f->c.b.error), &f->c.b.error);
    assert_ok(store_need(&r, "lrsq3", SIZE_MAX, &bytes, n), &f->c.b.error);
    unsigned char *copy = malloc(*n);
    assert_non_null(copy);
    memcpy(copy, bytes, *n);
    store_close(&r);
    return copy;
}

static void round_trip(enum rows_kind kind, bool pca)
{
    struct file f;
    struct asteria_lrsq *l;
    file_begin(&f, kind, pca);
    write_file(&f, NULL, 0);
    assert_ok(read_file(&f, &l), &f.c.b.error);
    assert_int_equal(asteria_lrsq_bytes(l), asteria_lrsq_bytes(f.c.l));
    assert_int_equal(l->code_bytes, f.c.l->code_bytes);
    assert_true(l->defect == f.c.l->defect);
    void *code = floats(l->code_bytes / 4), *query = floats(asteria_lrsq_query_bytes(l) / 4);
    for (size_t i = 0; i < ROWS; i++) {
        asteria_lrsq_put(l, f.rows + i * DIM, code);
        assert_memory_equal(code, code_at(&f.c, i), l->code_bytes);
        asteria_lrsq_query(l, f.rows + (ROWS - 1 - i) * DIM, query);
        asteria_lrsq_query(f.c.l, f.rows + (ROWS - 1 - i) * DIM, f.c.query);
        const struct asteria_lrsq_distance a = asteria_lrsq_bounds(l, query, code);
        const struct asteria_lrsq_distance b =
            asteria_lrsq_bounds(f.c.l, f.c.query, code_at(&f.c, i));
        assert_true(a.estimate == b.estimate && a.lower == b.lower && a.upper == b.upper);
    }
    free(code);
    free(query);
    asteria_lrsq_destroy(&f.c.b.env, l);
    file_end(&f);
}

/* Of some kinds of rows, such as a few points many times, not every axis has bits. */
static void test_round_trip(void **state)
{
    for (unsigned kind = 0; kind < ROWS_KINDS; kind++)
        for (unsigned pca = 0; pca < 2; pca++)
            round_trip(kind, pca);
}

static void refuse(struct file *f, const void *bytes, size_t n)
{
    struct asteria_lrsq *l;
    const size_t live = mem_live(&f->c.b.mem);
    write_file(f, bytes, n);
    assert_code(read_file(f, &l), ERR_CORRUPT, &f->c.b.error);
    assert_null(l);
    assert_int_equal(mem_live(&f->c.b.mem), live);
}

/* Replaces one value of the section; the file's checksums are correct. */
static void refuse_with(struct file *f, const unsigned char *bytes, size_t n, size_t at,
                        const void *value, size_t value_bytes)
{
    unsigned char *copy = malloc(n);
    assert_non_null(copy);
    memcpy(copy, bytes, n);
    memcpy(copy + at, value, value_bytes);
    refuse(f, copy, n);
    free(copy);
}

static void test_damage(void **state)
{
    enum { HEAD = 48 };
    static const uint64_t shapes[] = { 0, 3, 41, UINT64_MAX, UINT64_MAX / 8 };
    static const float numbers[] = { NAN, INFINITY, -INFINITY };
    for (unsigned pca = 0; pca < 2; pca++) {
        struct file f;
        size_t n;
        file_begin(&f, ROWS_ANISOTROPIC, pca);
        write_file(&f, NULL, 0);
        unsigned char *bytes = section_of(&f, &n);
        const size_t width = lrsq_width(f.c.l), scale = HEAD + DIM * 4, zero = scale + width * 4;
        const size_t last = zero + width * 4;
        for (size_t cut = 0; cut < n; cut += cut < HEAD ? 1 : 97)
            refuse(&f, bytes, cut);
        for (size_t field = 0; field < 5; field++)
            for (size_t i = 0; i < 5; i++)
                if (field != 4 || shapes[i] != pca) /* 0: coordinates */
                    refuse_with(&f, bytes, n, field * 8, &shapes[i], 8);
        for (size_t i = 0; i < 3; i++) {
            refuse_with(&f, bytes, n, 40, &numbers[i], 4);
            refuse_with(&f, bytes, n, 44, &numbers[i], 4);
            refuse_with(&f, bytes, n, HEAD + 4 * i, &numbers[i], 4);
            refuse_with(&f, bytes, n, scale + 4 * i, &numbers[i], 4);
            refuse_with(&f, bytes, n, zero + 4 * i, &numbers[i], 4);
            if (pca)
                refuse_with(&f, bytes, n, last + 4 * i, &numbers[i], 4);
        }
        refuse_with(&f, bytes, n, scale, &(float){ -1 }, 4);
        refuse_with(&f, bytes, n, scale, &(float){ 0 }, 4);
        if (pca) /* an axis twice, and one too long */
            refuse_with(&f, bytes, n, last, bytes + last + DIM * 4, DIM * 4);
        else
            refuse_with(&f, bytes, n, last, bytes + last + 4, 4);
        refuse_with(&f, bytes, n, last, pca ? (void *)&(float){ 1.5f } : &(uint32_t){ DIM }, 4);
        free(bytes);
        file_end(&f);
    }
}

static void test_no_memory(void **state)
{
    for (unsigned pca = 0; pca < 2; pca++) {
        struct file f;
        struct asteria_lrsq *l = NULL;
        file_begin(&f, ROWS_ANISOTROPIC, pca);
        write_file(&f, NULL, 0);
        const size_t live = mem_live(&f.c.b.mem);
        size_t i = 0;
        for (int rc = !OK; rc != OK;) {
            f.c.b.mem.fail_at = atomic_load(&f.c.b.mem.calls) + ++i;
            rc = read_file(&f, &l);
            if (rc != OK) {
                assert_code(rc, ERR_NO_MEMORY, &f.c.b.error);
                assert_null(l);
                assert_int_equal(mem_live(&f.c.b.mem), live);
            }
        }
        assert_true(i > 5);
        asteria_lrsq_destroy(&f.c.b.env, l);
        file_end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_round_trip),
                                        cmocka_unit_test(test_damage),
                                        cmocka_unit_test(test_no_memory) };
    return test_run("asteria_lrsq_file", tests);
}
