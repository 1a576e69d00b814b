/* shelf.h - a store of rows with a copy of what was written to it, and failing calls, for
 * test_rows.c.
 */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_ROWS_SHELF_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_ROWS_SHELF_H

#include <errno.h>

#include "algorithms/asteria/options.h"
#include "algorithms/asteria/rows/rows.h"
#include "tests/support/testing.h"

enum { SLOTS = 3000 };

struct kind {
    const char *name;
    enum element element;
    size_t dim;
    bool tiered;
    int64_t hot_mb;
};

static const struct kind kinds[] = {
    { "memory, u8", INDEX_U8, 7, false, 0 },
    { "memory, f32", INDEX_F32, 33, false, 0 },
    { "file, all cold, u8", INDEX_U8, 7, true, 0 },
    { "file, all cold, f32", INDEX_F32, 512, true, 0 },
    { "file, some hot, f32", INDEX_F32, 512, true, 1 },
    { "file, some hot, u8", INDEX_U8, 2001, true, 1 },
    { "file, all hot, u8", INDEX_U8, 30, true, 1 },
};
enum { KINDS = sizeof kinds / sizeof *kinds, SOME_HOT = 4, ALL_COLD = 3 };

struct trouble {
    const char *call;
    size_t at, calls; /* fails at this call of that name; 0: at every one */
    int code;         /* 0: none fails */
};

static inline int trouble_before(void *to, const char *call)
{
    struct trouble *t = to;

    if (t->code == 0 || strcmp(call, t->call) != 0)
        return 0;
    t->calls++;
    return t->at == 0 || t->calls == t->at ? t->code : 0;
}

struct shelf {
    struct test_bench bench;
    struct asteria_rows *rows;
    struct row_reader *reader; /* NULL: all rows are in memory */
    struct trouble trouble;
    struct file_fault fault;
    char dir[PATH_MAX], path[PATH_MAX];
    size_t row_bytes;
    unsigned char *truth; /* SLOTS rows */
    bool written[SLOTS];
    struct rng rng;
};

static inline void shelf_open(struct shelf *s, const struct kind *k)
{
    const struct asteria_params params = { .storage = k->tiered ? ASTERIA_ROWS_TIERED
                                                                : ASTERIA_ROWS_MEMORY,
                                           .cache_mb = k->hot_mb };

    memset(s, 0, sizeof *s);
    s->rng = rng_at(test_seed(), 11);
    test_bench_begin(&s->bench, k->element, INDEX_COS, k->dim, 1);
    test_dir_make_in_memory(s->dir);
    s->bench.env.dir = s->dir;
    assert_true(snprintf(s->path, PATH_MAX, "%.4000s/rows", s->dir) > 0);
    s->row_bytes = index_row_bytes(k->element, k->dim);
    s->truth = calloc(SLOTS, s->row_bytes);
    assert_non_null(s->truth);
    s->fault = (struct file_fault){ trouble_before, &s->trouble };
    assert_ok(asteria_rows_create(&s->rows, &s->bench.env, &params, &s->fault), &s->bench.error);
    assert_int_equal(asteria_rows_are_tiered(s->rows), k->tiered);
    s->reader = k->tiered ? asteria_rows_reader(s->rows) : NULL;
    assert_int_equal(s->reader != NULL, k->tiered);
    assert_ok(asteria_rows_reserve(s->rows, SLOTS), &s->bench.error);
}

static inline void shelf_close(struct shelf *s)
{
    row_reader_give(s->reader);
    asteria_rows_destroy(s->rows);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    assert_int_not_equal(access(s->path, F_OK), 0); /* removed with the store */
    free(s->truth);
    test_dir_remove(s->dir);
    test_bench_end(&s->bench);
}

static inline int shelf_put(struct shelf *s, const uint32_t *slots, size_t n)
{
    unsigned char *rows = malloc(n * s->row_bytes + 1);

    assert_non_null(rows);
    for (size_t i = 0; i < n * s->row_bytes; i++)
        rows[i] = (unsigned char)rng_u64(&s->rng);
    const int rc = asteria_rows_write(s->rows, slots, rows, n);
    asteria_rows_written(s->rows, slots, rows, n, rc == OK);
    for (size_t i = 0; i < n; i++) {
        s->written[slots[i]] = rc == OK;
        if (rc == OK)
            memcpy(s->truth + slots[i] * s->row_bytes, rows + i * s->row_bytes, s->row_bytes);
    }
    free(rows);
    return rc;
}

static inline void shelf_expect_row(const struct shelf *s, uint32_t slot, const void *row,
                                    const char *how)
{
    if (memcmp(row, s->truth + slot * s->row_bytes, s->row_bytes) != 0)
        fail_msg("slot %u: %s: another row (seed %" PRIu64 ")", slot, how, test_seed());
}

/* Checks all rows one by one, and that frames are within the budget. */
static inline void shelf_expect_all(struct shelf *s)
{
    unsigned char *to = malloc(s->row_bytes);
    size_t hot = 0;

    assert_non_null(to);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const void *row = NULL;
        if (!s->written[slot])
            continue;
        assert_ok(asteria_rows_get(s->rows, slot, to, &row), &s->bench.error);
        shelf_expect_row(s, slot, row, "got");
        row = asteria_rows_resident(s->rows, slot);
        hot += row != NULL;
        if (row)
            shelf_expect_row(s, slot, row, "resident");
    }
    free(to);
    if (asteria_rows_are_tiered(s->rows)) {
        const struct asteria_rows_file *f = s->rows->file;
        assert_true(hot <= f->frames_most && f->frames_capacity <= f->frames_most);
        assert_true(f->frames_most * s->rows->row_bytes <= 1 << 20); /* hot_mb is 0 or 1 */
    }
}

static inline size_t shelf_count_hot(const struct shelf *s)
{
    size_t n = 0;

    for (uint32_t slot = 0; slot < SLOTS; slot++)
        n += asteria_rows_resident(s->rows, slot) != NULL;
    return n;
}

#endif
