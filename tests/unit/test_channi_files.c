/* test_channi_files.c - cluster files: every combination of sections there and back, every kind of damage named. */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/cluster_files.h"

/* ---- there and back */

static void round_trip(struct files_fixture *f, unsigned with, uint32_t n)
{
    struct error *err = &f->bench.error;
    struct filed d;
    struct cluster_block block;
    struct base base;
    struct image image;
    struct cache *cache;
    struct whole whole;

    filed_make(&d, f, with, 100 + with, n);
    assert_ok(cluster_block_make(&f->bench.env, &d.contents, &block), err);
    assert_int_equal(block.file_bytes % 4096, 0);
    assert_int_equal(block.hot_bytes % 4096, 0);
    assert_ok(cluster_block_write(&f->bench.env, &d.contents, &block, with & 1, NULL), err);
    assert_ok(cluster_file_head(&f->bench.env, d.contents.phash, d.contents.version, &base), err);
    assert_int_equal(base.n, n);
    assert_int_equal(base.root, d.contents.root);
    assert_true(base.cold_rows == d.contents.cold_rows);
    assert_true(base.cold_rows ? base.rows_at == base.hot_bytes
                               : base.hot_bytes == base.file_bytes);
    assert_ok(image_open(&image, &f->bench.env, &base, block.bytes, block.hot_bytes, true), err);
    assert_image(&image, &d, f, !base.cold_rows);
    assert_ok(cache_create(&cache, &f->bench.env, &(struct cache_options){ 0 }), err);
    assert_ok(cache_join(cache, &base, NULL), err);
    assert_ok(cache_whole(cache, &base, &whole), err);
    assert_image(&whole.image, &d, f, true);
    cache_whole_done(cache, &whole);
    cache_leave(cache, &base, true);
    cache_destroy(cache);
    assert_code(cluster_file_head(&f->bench.env, d.contents.phash, d.contents.version, &base),
                ERR_NOT_FOUND, err);
    mem_free(&f->bench.mem, block.bytes);
    filed_free(&d, f);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        enum element element;
        size_t dim;
    } kinds[] = { { ELEMENT_F32, 7 }, { ELEMENT_U8, 128 }, { ELEMENT_F32, 1100 } };

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct files_fixture f;

        files_begin(&f, kinds[k].element, kinds[k].dim);
        for (unsigned with = 0; with < WITH_ALL; with++)
            for (uint32_t n = 0; n < 400; n = 3 * n + 1)
                if (n > 0 || !(with & WITH_GRAPH))
                    round_trip(&f, with, n);
        files_end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_round_trip) };

    return test_run("channi_files", tests);
}
