/* test_rows_file.c - rows that snapshots refer to keep their place, are not written twice, are made
 * durable before the snapshot counts, and are checked against their checksums.
 */
#include <errno.h>

#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/rows/internal.h"
#include "algorithms/asteria/rows/slots.h"
#include "tests/support/index_folder.h"
#include "tests/unit/asteria/store.h"

struct kind {
    const char *name;
    enum element element;
    int64_t durability, rows;
};

static const struct kind kinds[] = {
    { "memory, written", INDEX_U8, ASTERIA_WRITTEN, ASTERIA_ROWS_MEMORY },
    { "tiered, synced", INDEX_F32, ASTERIA_SYNCED, ASTERIA_ROWS_TIERED },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct asteria_params params_of(const struct kind *k)
{
    struct asteria_params p = small_params();

    p.wal = k->durability;
    p.storage = k->rows;
    p.cache_mb = 0;
    return p;
}

/* Rows that a snapshot needs keep their place until it is done, in memory too; then their slots
   are reused. */
static void test_pinned_rows_stay(void **state)
{
    (void)state;
    static struct small s;
    char dir[PATH_MAX];
    bool more;

    for (size_t k = 0; k < KINDS; k++) {
        const struct asteria_params params = params_of(&kinds[k]);
        unsigned char at_first[2 * STORE_ROWS][STORE_DIM * sizeof(float)], now[sizeof *at_first];
        const void *row;

        test_dir_make_in_memory(dir);
        small_begin(&s, kinds[k].element, &params, dir);
        assert_ok(small_create(&s, NULL), &s.bench.error);
        assert_ok(small_train(&s), &s.bench.error);
        small_live(&s, 60);
        assert_ok(asteria_pins_take(s.a), &s.bench.error);
        const size_t n = s.a->n_slots;
        assert_true(n <= 2 * STORE_ROWS);
        for (uint32_t slot = 0; slot < n; slot++)
            if (asteria_is_pinned(s.a, slot)) {
                assert_ok(asteria_rows_get(s.a->rows, slot, now, &row), &s.bench.error);
                memcpy(at_first[slot], row, s.row_bytes);
            }
        for (size_t round = 0; round < 10; round++) {
            small_live(&s, 30);
            assert_ok(asteria_maintain(&s.a->base, 0, &more), &s.bench.error);
        }
        small_expect(&s, "pinned");
        assert_true(s.a->pins.n > 50);
        for (uint32_t slot = 0; slot < n; slot++)
            if (asteria_is_pinned(s.a, slot)) {
                assert_ok(asteria_rows_get(s.a->rows, slot, now, &row), &s.bench.error);
                assert_memory_equal(at_first[slot], row, s.row_bytes);
            }
        asteria_pins_drop(s.a, PINS_NONE);
        small_expect(&s, "no longer pinned");
        small_end(&s);
        test_dir_remove(dir);
    }
}

/* ------------------------------------------------------------------------------ what it costs */

static uint64_t bytes_written(void)
{
    char line[100];
    unsigned long long n = 0;
    FILE *f = fopen("/proc/self/io", "r");

    assert_non_null(f);
    while (fgets(line, sizeof line, f) && sscanf(line, "wchar: %llu", &n) != 1)
        ;
    (void)fclose(f);
    return n;
}

/* A checkpoint after a few updates does not write the rows of 4 KB in their file again. */
static void test_second_checkpoint(void **state)
{
    (void)state;
    enum { DIM = 1024, ROWS = 600, FEW = 5 };
    struct test_bench b;
    struct asteria_params p = small_params();
    struct index *index = NULL;
    char dir[PATH_MAX];
    struct rng r = rng_at(test_seed(), 53);
    float *rows = malloc(ROWS * DIM * sizeof *rows);
    uint64_t ids[ROWS];
    size_t done;

    assert_non_null(rows);
    test_fill_f32(&r, rows, ROWS, DIM, 9, .3);
    test_normalise_f32(rows, ROWS, DIM);
    for (size_t i = 0; i < ROWS; i++)
        ids[i] = i;
    test_bench_begin(&b, INDEX_F32, INDEX_COS, DIM, 1);
    test_dir_make_in_memory(dir);
    b.env.dir = dir;
    p.rotation = ROTATION_HADAMARD;
    p.lrsq_pca = false;
    p.address_bits = 2;
    p.storage = ASTERIA_ROWS_TIERED;
    p.wal = ASTERIA_WRITTEN;
    assert_ok(asteria_ops.create(&index, &b.env, &p), &b.error);
    const struct vectors all = { rows, ROWS, DIM, INDEX_F32 };
    assert_ok(asteria_train(index, all), &b.error);
    assert_ok(asteria_insert(index, all, ids, &done), &b.error);
    assert_ok(asteria_checkpoint(asteria_of(index)), &b.error);
    assert_ok(asteria_remove(index, ids, FEW, &done), &b.error);
    assert_ok(asteria_insert(index, (struct vectors){ rows, FEW, DIM, INDEX_F32 }, ids, &done),
              &b.error);
    const uint64_t before = bytes_written();
    assert_ok(asteria_checkpoint(asteria_of(index)), &b.error);
    const double share = (double)(bytes_written() - before) / (ROWS * DIM * sizeof *rows);
    print_message("           a second checkpoint writes %.2f of the rows' bytes\n", share);
    assert_true(share > 0 && share < .15);
    assert_ok(asteria_check(index, NULL), &b.error);
    asteria_destroy(index);
    assert_int_equal(mem_live(&b.mem), 0);
    free(rows);
    test_dir_remove(dir);
    test_bench_end(&b);
}

/* ------------------------------------------------------------------------- fsyncs that fail */

struct refusal { /* fails the at-th call of that name, and counts writes */
    const char *call;
    size_t at, calls, writes;
};

static int refuse(void *to, const char *call)
{
    struct refusal *f = to;

    f->writes += strcmp(call, "write") == 0;
    if (strcmp(call, f->call) != 0)
        return 0;
    return ++f->calls == f->at ? EIO : 0;
}

/* After a failed fsync pages count as clean although they were not written: the next checkpoint
   writes the rows again. */
static void test_failed_sync(void **state)
{
    (void)state;
    static struct small s;
    struct refusal f = { .call = "fsync" };
    const struct file_fault fault = { refuse, &f };
    const struct asteria_params params = params_of(&kinds[1]);
    char dir[PATH_MAX];
    size_t done;

    test_dir_make_in_memory(dir);
    small_begin(&s, kinds[1].element, &params, dir);
    assert_ok(small_create(&s, &fault), &s.bench.error);
    assert_ok(small_train(&s), &s.bench.error);
    assert_ok(small_apply(&s, true, 0, 200, &done), &s.bench.error);
    assert_ok(asteria_checkpoint(s.a), &s.bench.error);
    f = (struct refusal){ .call = "fsync" };
    assert_ok(asteria_checkpoint(s.a), &s.bench.error);
    const size_t usually = f.writes;
    f = (struct refusal){ .call = "fsync", .at = 1 };
    const int rc = asteria_checkpoint(s.a);
    assert_non_null(strstr(s.bench.error.text, ROWS_FILE_NAME));
    assert_code(rc, ERR_IO, &s.bench.error);
    small_expect(&s, "failed");
    small_live(&s, 10);
    f = (struct refusal){ .call = "fsync" };
    assert_ok(asteria_checkpoint(s.a), &s.bench.error);
    assert_true(f.writes >= usually + s.a->live); /* each row once */
    small_expect(&s, "written again");
    f = (struct refusal){ .call = "fsync" };
    assert_ok(asteria_checkpoint(s.a), &s.bench.error);
    assert_true(f.writes <= usually + 1);
    small_end(&s);
    test_dir_remove(dir);
}

/* A changed byte or a missing file of rows is reported by opening, and by a search of an
   open index. */
static void test_damaged_rows(void **state)
{
    (void)state;
    static struct small s;
    const struct asteria_params params = params_of(&kinds[1]);
    char dir[PATH_MAX], path[PATH_MAX];
    size_t done;

    test_dir_make_in_memory(dir);
    assert_true(snprintf(path, sizeof path, "%s/" ROWS_FILE_NAME, dir) > 0);
    small_begin(&s, kinds[1].element, &params, dir);
    assert_ok(small_create(&s, NULL), &s.bench.error);
    assert_ok(small_train(&s), &s.bench.error);
    assert_ok(small_apply(&s, true, 0, 200, &done), &s.bench.error);
    assert_ok(asteria_checkpoint(s.a), &s.bench.error);
    struct bytes whole = bytes_read(path);
    for (size_t i = 0; i < 3; i++) {
        struct small_answers answers;
        const struct asteria_knobs knobs = small_knobs(2);
        const struct search_request request = { small_rows(&s, 0, STORE_ROWS), STORE_K, &knobs,
                                                NULL, 1 };
        struct search_result result = { .ids = answers.ids, .distances = answers.distances };

        whole.at[100 + i * 2000] ^= 4;
        if (i < 2)
            bytes_write(path, whole.at, whole.n);
        else
            assert_int_equal(unlink(path), 0);
        if (i == 0)
            assert_code(asteria_search(&s.a->base, &request, &result), ERR_CORRUPT, &s.bench.error);
        small_close(&s);
        const int rc = small_load(&s, dir, NULL);
        assert_non_null(strstr(s.bench.error.text, ROWS_FILE_NAME));
        assert_code(rc, ERR_CORRUPT, &s.bench.error);
        whole.at[100 + i * 2000] ^= 4;
        bytes_write(path, whole.at, whole.n);
        assert_ok(small_load(&s, dir, NULL), &s.bench.error);
        small_expect(&s, "mended");
    }
    bytes_write(path, whole.at, whole.n - 1000);
    small_close(&s);
    assert_code(small_load(&s, dir, NULL), ERR_CORRUPT, &s.bench.error);
    free(whole.at);
    small_end(&s);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pinned_rows_stay),
        cmocka_unit_test(test_second_checkpoint),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_damaged_rows),
    };
    return test_run("asteria_rows_file", tests);
}
