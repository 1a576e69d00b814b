/* test_channi_cache_faults.c - the cache when files are damaged, system calls fail, descriptors or memory run out. */
#include <errno.h>
#include <sys/resource.h>

#include "tests/unit/cluster_files.h"

/* Takes all n; those not in `bad` (bits) as they were written, those in it with one of two codes, of which the
   sentence names the file and `part`. */
static void take_but(struct shelf *s, struct fetch *f, size_t n, uint64_t bad, int code,
                     const char *part)
{
    struct error *err = &s->f.bench.error;
    const struct image *image;
    char name[CLUSTER_NAME_MAX];
    size_t i, taken = 0;
    int rc;

    assert_int_equal(err->code, OK); /* nothing is said before it is handed out */
    for (; fetch_next(f, &i, &image, &rc); taken++) {
        if (!(bad >> i & 1)) {
            assert_ok(rc, err);
            assert_image(image, &s->filed[i], &s->f, !(s->with & WITH_COLD));
            continue;
        }
        assert_null(image);
        cluster_file_name(s->bases[i].phash, s->bases[i].version, name);
        assert_int_equal(rc, code);
        assert_int_equal(err->code, code);
        if (!strstr(err->text, name) || !strstr(err->text, part))
            fail_msg("\"%s\" does not name %s and %s", err->text, name, part);
        error_clear(err);
    }
    assert_int_equal(taken, n);
}

/* ---- damage */

static void flip(const struct shelf *s, size_t file, size_t at)
{
    char path[CLUSTER_PATH_MAX];
    unsigned char byte;
    int fd;

    shelf_path(s, file, path);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 4;
    assert_true(pwrite(fd, &byte, 1, (off_t)at) == 1);
    assert_int_equal(close(fd), 0);
}

enum damage { FLIPPED_HEAD, FLIPPED_IDS, FLIPPED_ROWS, CUT, CUT_TO_NOTHING, MISSING, ANOTHER };
static const struct {
    const char *name;
    int code;
    const char *part;
} damages[] = {
    [FLIPPED_HEAD] = { "flipped in the head", ERR_CORRUPT, "head" },
    [FLIPPED_IDS] = { "flipped in the ids", ERR_CORRUPT, "ids" },
    [FLIPPED_ROWS] = { "flipped in the rows", ERR_CORRUPT, "rows" },
    [CUT] = { "cut", ERR_CORRUPT, "ends at" },
    [CUT_TO_NOTHING] = { "empty", ERR_CORRUPT, "ends at" },
    [MISSING] = { "missing", ERR_IO, "cannot open" },
    [ANOTHER] = { "another's", ERR_CORRUPT, "another name" },
};

static void damage(const struct shelf *s, size_t file, enum damage how)
{
    char path[CLUSTER_PATH_MAX], other[CLUSTER_PATH_MAX + 8];

    shelf_path(s, file, path);
    switch (how) {
        case FLIPPED_HEAD: flip(s, file, 30); break;
        case FLIPPED_IDS: flip(s, file, CLUSTER_HEAD + 5); break;
        case FLIPPED_ROWS: flip(s, file, s->bases[file].rows_at + 77); break;
        case CUT: assert_int_equal(truncate(path, (off_t)s->bases[file].rows_at + 10), 0); break;
        case CUT_TO_NOTHING: assert_int_equal(truncate(path, 0), 0); break;
        case MISSING: assert_int_equal(unlink(path), 0); break;
        case ANOTHER:
            shelf_path(s, file + 1, other);
            assert_int_equal(rename(other, path), 0);
            break;
    }
}

/* One file of all is damaged, before it was opened or after: it alone is not handed out, by name. */
static void test_damage(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++)
        for (unsigned how = 0; how < sizeof damages / sizeof *damages; how++) {
            const size_t n = how == ANOTHER ? 5 : FILES; /* the sixth's is where the fifth's was */
            struct shelf s;
            struct fetch *f;

            shelf_begin(&s, WITH_ATTRIBUTES, ways[way]);
            damage(&s, 4, how);
            f = fetch_create(s.cache);
            for (size_t round = 0; round < 2; round++) {
                assert_ok(fetch_ask(f, s.list, n), &s.f.bench.error);
                take_but(&s, f, n, 1U << 4, damages[how].code, damages[how].part);
                fetch_done(f);
                assert_true(s.bases[4].damaged && !s.bases[3].damaged);
                assert_int_equal(s.f.n_logged, 1);
            }
            struct whole whole;
            assert_code(cache_whole(s.cache, s.list[4], &whole), damages[how].code,
                        &s.f.bench.error);
            fetch_destroy(f);
            shelf_end(&s);
        }
}

/* Cold rows: a flipped byte, the first, one within or the last, is found by who reads its row, not by who reads the
   rows beside it, and by who reads the file. */
static void test_damaged_row(void **state)
{
    (void)state;
    const uint32_t row = 40, others[] = { 39, 41, 100 };
    float out[3 * SHELF_DIM];
    const size_t row_bytes = SHELF_DIM * sizeof *out, at[] = { 0, 3, row_bytes - 1 };

    for (size_t way = 0; way < WAYS; way++) {
        struct shelf s;
        struct error *err = &s.f.bench.error;
        struct fetch *f;
        struct whole whole;
        char path[CLUSTER_PATH_MAX];

        shelf_begin(&s, WITH_CODES | WITH_COLD, ways[way]);
        flip(&s, 20, s.bases[20].rows_at + row * row_bytes + at[way % 3]);
        f = fetch_create(s.cache);
        assert_ok(fetch_ask(f, s.list, FILES), err);
        take_all(&s, f, in_order, FILES);
        assert_code(cache_rows(s.cache, f, s.list[20], &row, 1, out), ERR_CORRUPT, err);
        assert_ok(cache_rows(s.cache, f, s.list[20], others, 3, out), err);
        for (size_t i = 0; i < 3; i++)
            assert_memory_equal(out + i * SHELF_DIM, s.filed[20].rows + others[i] * row_bytes,
                                row_bytes);
        assert_ok(cache_rows(s.cache, f, s.list[19], &row, 1, out), err);
        assert_code(cache_whole(s.cache, s.list[20], &whole), ERR_CORRUPT, err);
        assert_ok(cache_whole(s.cache, s.list[19], &whole), err);
        assert_image(&whole.image, &s.filed[19], &s.f, true);
        cache_whole_done(s.cache, &whole);
        shelf_path(&s, 21, path);
        assert_int_equal(truncate(path, (off_t)s.bases[21].rows_at), 0);
        assert_code(cache_rows(s.cache, f, s.list[21], &row, 1, out), ERR_CORRUPT, err);
        assert_int_equal(s.f.n_logged, 2);
        fetch_destroy(f);
        shelf_end(&s);
    }
}

/* ---- refused calls */

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        int error;
    } faults[] = { { "open", EACCES }, { "read", EIO }, { "close", EIO } };

    for (size_t way = 0; way < WAYS; way++)
        for (size_t k = 0; k < sizeof faults / sizeof *faults; k++)
            for (int at = 1; at <= 6; at++) {
                const bool fails = strcmp(faults[k].call, "close") != 0;
                struct cache_options options = ways[way];
                struct shelf s;
                struct fetch *f;

                options.files_max = fails ? 0 : 2;
                shelf_begin(&s, 0, options);
                f = fetch_create(s.cache);
                s.plan = (struct fault_plan){ .call = faults[k].call,
                                              .at = at,
                                              .error = faults[k].error };
                assert_ok(fetch_ask(f, s.list, 6), &s.f.bench.error);
                take_but(&s, f, 6, fails ? 1U << (at - 1) : 0, ERR_IO, "");
                fetch_done(f);
                assert_true(atomic_load(&s.plan.seen) >= (fails ? 6 : 4));
                assert_ok(fetch_ask(f, s.list, 6), &s.f.bench.error);
                take_all(&s, f, in_order, 6); /* the next time it can be read */
                fetch_destroy(f);
                shelf_end(&s);
            }
}

static void test_rows_refused(void **state)
{
    (void)state;
    const uint32_t rows[] = { 70, 140, 0, 141 }; /* in three pages that do not touch */
    float out[4 * SHELF_DIM];

    for (int at = 1; at <= 3; at++) {
        struct shelf s;
        struct fetch *f;

        shelf_begin(&s, WITH_COLD, ways[0]);
        f = fetch_create(s.cache);
        assert_ok(fetch_ask(f, s.list + 23, 1), &s.f.bench.error);
        s.plan = (struct fault_plan){ .call = "read", .at = at, .error = EIO };
        assert_code(cache_rows(s.cache, f, s.list[23], rows, 4, out), ERR_IO, &s.f.bench.error);
        assert_ok(cache_rows(s.cache, f, s.list[23], rows, 4, out), &s.f.bench.error);
        fetch_destroy(f);
        shelf_end(&s);
    }
}

/* A file that cannot be removed is told of, and is all that is left. */
static void test_not_removed(void **state)
{
    (void)state;
    char path[CLUSTER_PATH_MAX];
    struct shelf s;

    shelf_begin(&s, 0, ways[0]);
    s.plan = (struct fault_plan){ .call = "unlink", .at = 1, .error = EACCES };
    shelf_path(&s, 5, path);
    cache_leave(s.cache, s.list[5], true);
    assert_non_null(strstr(s.f.logged, path));
    assert_int_equal(access(path, F_OK), 0);
    shelf_end(&s);
}

/* ---- descriptors */

/* With as few as one all files are read, one after the other. */
static void test_few_files(void **state)
{
    (void)state;
    for (size_t way = 0; way < WAYS; way++)
        for (size_t files = 1; files < 40; files = files * 3 + 1) {
            struct cache_options options = ways[way];
            struct shelf s;
            struct fetch *f;
            const uint32_t row = 3;
            float out[SHELF_DIM];

            options.files_max = files;
            shelf_begin(&s, WITH_COLD, options);
            f = fetch_create(s.cache);
            assert_ok(fetch_ask(f, s.list, FILES), &s.f.bench.error);
            take_all(&s, f, in_order, FILES);
            fetch_done(f);
            assert_ok(fetch_ahead(f, s.list, FILES), &s.f.bench.error);
            for (size_t i = 0; i < FILES; i++)
                assert_ok(cache_rows(s.cache, f, s.list[i], &row, 1, out), &s.f.bench.error);
            fetch_done(f);
            const struct cache_counts c = counts_of(&s);
            assert_int_equal(c.files_open, files < FILES ? files : FILES);
            assert_true((c.files_closed_for_room > 0) == (files < FILES));
            fetch_destroy(f);
            shelf_end(&s);
        }
}

/* The process has none left but `spare`: with one they are all read; with none each is refused, naming the limit,
   and is no damaged file; later all is well. */
static void test_descriptor_limit(void **state)
{
    (void)state;
    struct rlimit before, few;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t way = 0; way < WAYS; way++)
        for (int spare = 3; spare >= 0; spare--) {
            struct cache_options options = ways[way];
            struct shelf s;
            struct fetch *f;

            options.files_max = FILES;
            shelf_begin(&s, 0, options);
            f = fetch_create(s.cache);
            assert_ok(fetch_ask(f, s.list + 23, 1), &s.f.bench.error); /* the ring's own is open */
            take_all(&s, f, (size_t[]){ 23 }, 1);
            fetch_done(f);
            cache_leave(s.cache, s.list[23], false);
            const int next = open("/", O_RDONLY);
            assert_true(next >= 0);
            few =
                (struct rlimit){ .rlim_cur = (rlim_t)(next + spare), .rlim_max = before.rlim_max };
            (void)close(next);
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
            assert_ok(fetch_ask(f, s.list, 20), &s.f.bench.error);
            if (spare > 0)
                take_all(&s, f, in_order, 20);
            else
                take_but(&s, f, 20, (1U << 20) - 1, ERR_IO, "RLIMIT_NOFILE");
            fetch_done(f);
            assert_false(s.bases[0].damaged);
            assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
            assert_ok(fetch_ask(f, s.list, 20), &s.f.bench.error);
            take_all(&s, f, in_order, 20);
            fetch_destroy(f);
            shelf_end(&s);
        }
}

/* ---- memory */

/* Each allocation fails in turn: whatever is refused, the next time it is done, and nothing is lost. */
static void test_out_of_memory(void **state)
{
    (void)state;
    static const uint32_t rows[] = { 1, 2, 30 };
    float out[3 * SHELF_DIM];
    bool hit = true;

    for (size_t at = 1; hit; at++) {
        struct shelf s;
        struct error *err = &s.f.bench.error;
        struct mem *mem = &s.f.bench.mem;
        struct fetch *f;
        struct whole whole;
        int rc;

        shelf_begin(&s, WITH_COLD | WITH_CODES, ways[at % WAYS]);
        mem->fail_at = atomic_load(&mem->calls) + at;
        f = fetch_create(s.cache);
        rc = f ? fetch_ask(f, s.list, 4) : ERR_NO_MEMORY;
        if (rc == OK) {
            take_all(&s, f, in_order, 4);
            rc = fetch_ahead(f, s.list + 4, 4);
        }
        if (rc == OK)
            rc = cache_rows(s.cache, f, s.list[2], rows, 2, out);
        if (rc == OK)
            rc = cache_rows(s.cache, f, s.list[12], rows, 2, out);
        if (rc == OK)
            rc = fetch_ask(f, s.list + 4, 8);
        if (rc == OK)
            rc = cache_whole(s.cache, s.list[2], &whole);
        if (rc == OK)
            cache_whole_done(s.cache, &whole);
        hit = atomic_load(&mem->failed);
        mem->fail_at = 0;
        if (hit) {
            assert_int_equal(rc, ERR_NO_MEMORY);
            error_clear(err);
        } else {
            assert_ok(rc, err);
        }
        /* what was asked for before stays so */
        if (!f)
            f = fetch_create(s.cache);
        fetch_done(f);
        assert_ok(cache_check(s.cache), err);
        assert_ok(fetch_ask(f, s.list, FILES), err);
        take_all(&s, f, in_order, FILES);
        fetch_destroy(f);
        shelf_end(&s);
    }
}

/* None of those refused is asked for; those from before come. */
static void test_refused_ask(void **state)
{
    (void)state;
    for (size_t at = 1; at < 12; at++) {
        struct shelf s;
        struct mem *mem = &s.f.bench.mem;
        struct fetch *f;
        int rc;

        shelf_begin(&s, 0, ways[at % WAYS]);
        f = fetch_create(s.cache);
        assert_ok(fetch_ask(f, s.list, 3), &s.f.bench.error);
        assert_ok(fetch_ahead(f, s.list + 3, 2), &s.f.bench.error);
        mem->fail_at = atomic_load(&mem->calls) + at;
        rc = fetch_ask(f, s.list + 3, 8);
        mem->fail_at = 0;
        if (rc != OK) {
            assert_code(rc, ERR_NO_MEMORY, &s.f.bench.error);
            assert_int_equal(counts_of(&s).misses, 0);
            take_all(&s, f, in_order, 3);
            assert_ok(fetch_ask(f, s.list + 3, 8), &s.f.bench.error);
        } else {
            assert_true(at > 6);
            take_all(&s, f, in_order, 11);
        }
        fetch_done(f);
        assert_int_equal(counts_of(&s).prefetch_used, 2);
        fetch_destroy(f);
        shelf_end(&s);
    }
}

static void test_join_without_memory(void **state)
{
    (void)state;
    bool hit = true;

    for (size_t at = 1; hit; at++) {
        struct files_fixture f;
        struct error *err = &f.bench.error;
        struct cluster_block block = { 0 };
        struct cache *cache = NULL;
        struct filed d;
        struct base base = { 0 };
        int rc;

        files_begin(&f, ELEMENT_U8, 64);
        filed_make(&d, &f, WITH_COLD, 9, 300);
        f.bench.mem.fail_at = atomic_load(&f.bench.mem.calls) + at;
        rc = cluster_block_make(&f.bench.env, &d.contents, &block);
        if (rc == OK)
            rc = cluster_block_write(&f.bench.env, &d.contents, &block, false, NULL);
        if (rc == OK)
            rc = cluster_file_head(&f.bench.env, 9, d.contents.version, &base);
        if (rc == OK)
            rc = cache_create(&cache, &f.bench.env,
                              &(struct cache_options){ .budget_bytes = SIZE_MAX });
        if (rc == OK)
            rc = cache_join(cache, &base, block.bytes);
        if (rc == OK)
            block.bytes = NULL;
        hit = atomic_load(&f.bench.mem.failed);
        assert_true(hit == (rc != OK));
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, err);
        mem_free(&f.bench.mem, block.bytes);
        cache_destroy(cache);
        filed_free(&d, &f);
        files_end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage),           cmocka_unit_test(test_damaged_row),
        cmocka_unit_test(test_faults),           cmocka_unit_test(test_rows_refused),
        cmocka_unit_test(test_not_removed),      cmocka_unit_test(test_few_files),
        cmocka_unit_test(test_descriptor_limit), cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_refused_ask),      cmocka_unit_test(test_join_without_memory),
    };

    return test_run("channi_cache_faults", tests);
}
