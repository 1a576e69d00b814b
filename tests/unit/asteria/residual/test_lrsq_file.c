/* test_lrsq_file.c - LRSQ written and read gives the same bounds; damaged files are refused. */
#include "tests/unit/asteria/residual/lrsq.h"
#include "tests/unit/asteria/sections.h"

enum { ROWS = 300, DIM = 40 };

struct file {
    struct coded c;
    float *rows;
    struct part_file file;
};

static void file_begin(struct file *f, enum rows_kind kind, bool pca)
{
    struct rng r = rng_at(test_seed(), 1);
    const struct asteria_lrsq_options o = { 30, 5, 6, pca, 1 };
    f->rows = rows_make(&r, kind, ROWS, DIM);
    coded_begin(&f->c, &o, f->rows, ROWS, DIM);
    part_file_begin(&f->file, &f->c.b);
    asteria_lrsq_write(f->c.l, part_file_write(&f->file), '3');
    part_file_written(&f->file);
}

static void file_end(struct file *f)
{
    part_file_end(&f->file);
    coded_end(&f->c);
    free(f->rows);
}

static int read_file(struct file *f, struct asteria_lrsq **to)
{
    const int rc = asteria_lrsq_read(to, &f->c.b.env, part_file_read(&f->file), '3');
    store_close(&f->file.reader);
    return rc;
}

static void round_trip(enum rows_kind kind, bool pca)
{
    static struct file f;
    struct asteria_lrsq *l;
    file_begin(&f, kind, pca);
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

/* With another value in the section, or with `more` bytes. */
static void refuse(struct file *f, size_t at, const void *value, size_t n, int64_t more)
{
    struct asteria_lrsq *l;
    const size_t live = mem_live(&f->c.b.mem);
    part_file_change(&f->file, &(struct section_change){ "lrsq3", at, value, n, more, false });
    assert_code(read_file(f, &l), ERR_CORRUPT, &f->c.b.error);
    assert_null(l);
    assert_int_equal(mem_live(&f->c.b.mem), live);
}

static void test_damage(void **state)
{
    enum { HEAD = 48 };
    static const uint64_t shapes[] = { 0, 3, 41, UINT64_MAX, UINT64_MAX / 8 };
    static const float numbers[] = { NAN, INFINITY, -INFINITY };
    for (unsigned pca = 0; pca < 2; pca++) {
        static struct file f;
        size_t n;
        file_begin(&f, ROWS_ANISOTROPIC, pca);
        part_file_keep(&f.file);
        const unsigned char *bytes = store_find(&f.file.sound, "lrsq3", &n);
        const size_t width = lrsq_width(f.c.l), scale = HEAD + DIM * 4, zero = scale + width * 4;
        const size_t last = zero + width * 4;
        for (size_t cut = 0; cut < n; cut += cut < HEAD ? 1 : 97)
            refuse(&f, 0, NULL, 0, (int64_t)cut - (int64_t)n);
        for (size_t field = 0; field < 5; field++)
            for (size_t i = 0; i < 5; i++)
                if (field != 4 || shapes[i] != pca) /* 0: coordinates */
                    refuse(&f, field * 8, &shapes[i], 8, 0);
        for (size_t i = 0; i < 3; i++) {
            refuse(&f, 40, &numbers[i], 4, 0);
            refuse(&f, 44, &numbers[i], 4, 0);
            refuse(&f, HEAD + 4 * i, &numbers[i], 4, 0);
            refuse(&f, scale + 4 * i, &numbers[i], 4, 0);
            refuse(&f, zero + 4 * i, &numbers[i], 4, 0);
            if (pca)
                refuse(&f, last + 4 * i, &numbers[i], 4, 0);
        }
        refuse(&f, scale, &(float){ -1 }, 4, 0);
        refuse(&f, scale, &(float){ 0 }, 4, 0);
        if (pca) /* an axis twice, and one too long */
            refuse(&f, last, bytes + last + DIM * 4, DIM * 4, 0);
        else
            refuse(&f, last, bytes + last + 4, 4, 0);
        refuse(&f, last, pca ? (void *)&(float){ 1.5f } : &(uint32_t){ DIM }, 4, 0);
        file_end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damage),
    };
    return test_run("asteria_lrsq_file", tests);
}
