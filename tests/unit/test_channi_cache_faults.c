/* test_channi_cache_faults.c - the cache when files are damaged, system calls fail, descriptors or memory run out,
 * and several threads use it at once.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "algorithms/channi/cache_state.h"
#include "tests/unit/cluster_files.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { SCALE = 4 }; /* rounds by this: a sanitizer costs ten times the time */
#else
enum { SCALE = 1 };
#endif

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
    assert_true(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1);
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

/* Cold rows: a flipped byte is found by who reads its row, and by who reads the file. */
static void test_damaged_row(void **state)
{
    (void)state;
    const uint32_t row = 40, far = 100;
    float out[SHELF_DIM];

    for (size_t way = 0; way < WAYS; way++) {
        struct shelf s;
        struct error *err = &s.f.bench.error;
        struct fetch *f;
        struct whole whole;
        char path[CLUSTER_PATH_MAX];

        shelf_begin(&s, WITH_CODES | WITH_COLD, ways[way]);
        flip(&s, 20, s.bases[20].rows_at + row * sizeof out + 3);
        f = fetch_create(s.cache);
        assert_ok(fetch_ask(f, s.list, FILES), err);
        take_all(&s, f, in_order, FILES);
        assert_code(cache_rows(s.cache, f, s.list[20], &row, 1, out), ERR_CORRUPT, err);
        assert_ok(cache_rows(s.cache, f, s.list[20], &far, 1, out), err);
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

/* ---- several threads */

struct reader {
    struct shelf *shelf;
    uint64_t seed;
    size_t rounds;
    bool fine;
};

/* What a reader can say without cmocka, whose asserts are the main thread's. */
static bool is_as_written(const struct shelf *s, const struct image *image, size_t file)
{
    const struct cluster_contents *c = &s->filed[file].contents;

    return image->n == c->n && memcmp(image->ids, c->ids, c->n * sizeof *c->ids) == 0 &&
           (!image->rows || memcmp(image->rows, c->rows, c->n * SHELF_DIM * sizeof(float)) == 0);
}

static bool one_search(struct shelf *s, struct fetch *f, struct rng *r)
{
    const size_t n = 1 + rng_below(r, 6), file = rng_below(r, FILES);
    const uint32_t row = (uint32_t)rng_below(r, s->bases[file].n);
    const struct image *image, *held[6];
    struct base *list[6];
    size_t which[6], i;
    float out[SHELF_DIM];
    struct whole whole;
    bool fine = true;
    int rc;

    for (i = 0; i < n; i++)
        list[i] = s->list[which[i] = rng_below(r, FILES)];
    fine = fetch_ahead(f, list, n / 2) == OK && fetch_ask(f, list, n) == OK;
    for (size_t k = 0; fine && k < n; k++) {
        fine = fetch_next(f, &i, &image, &rc) && rc == OK && is_as_written(s, image, which[i]);
        held[i] = image;
    }
    if (fine && s->with & WITH_COLD)
        fine = cache_rows(s->cache, f, s->list[file], &row, 1, out) == OK &&
               memcmp(out, s->filed[file].rows + row * sizeof out, sizeof out) == 0;
    for (i = 0; fine && i < n; i++)
        fine = is_as_written(s, held[i], which[i]);
    fetch_done(f);
    if (fine && rng_below(r, 4) == 0) {
        fine = cache_whole(s->cache, s->list[file], &whole) == OK &&
               is_as_written(s, &whole.image, file);
        if (fine)
            cache_whole_done(s->cache, &whole);
    }
    return fine;
}

static void *read_on(void *arg)
{
    struct reader *me = arg;
    struct rng r = rng_at(me->seed, 1);
    struct fetch *f = fetch_create(me->shelf->cache);

    me->fine = f;
    for (size_t i = 0; me->fine && i < me->rounds; i++)
        me->fine = one_search(me->shelf, f, &r);
    fetch_destroy(f);
    return NULL;
}

/* Four threads, room for a few clusters and descriptors: all that is handed out is right while it is pinned. */
static void test_threads(void **state)
{
    (void)state;
    for (size_t run = 0; run < 20; run++) {
        struct cache_options options = ways[run % WAYS];
        struct reader readers[4];
        pthread_t threads[4];
        struct shelf s;

        options.budget_bytes = run % 5 * 50000;
        options.files_max = run % 3 ? 2 + run % 7 : 0;
        shelf_begin(&s, run & 4 ? WITH_COLD | WITH_CODES : 0, options);
        for (size_t i = 0; i < 4; i++) {
            readers[i] = (struct reader){ .shelf = &s,
                                          .seed = test_seed() + run * 4 + i,
                                          .rounds = 400 / SCALE };
            assert_int_equal(pthread_create(&threads[i], NULL, read_on, readers + i), 0);
        }
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (size_t i = 0; i < 4; i++)
            if (!readers[i].fine)
                fail_msg("run %zu, reader %zu: %s", run, i, s.f.bench.error.text);
        assert_true(counts_of(&s).evictions > 0);
        shelf_end(&s);
    }
}

/* The protocol of pins by itself: two threads pin and unpin one cluster, at distances of some instructions, while it
   is read, unpinned and evicted; who has it pinned sees it whole. */
struct hammer {
    struct shelf *shelf;
    atomic_bool *end;
    atomic_size_t lost; /* times it was not there any more: the two ran side by side */
    bool fine;
};

static void *hammer_on(void *arg)
{
    struct hammer *me = arg;
    struct cache_slot *slot = me->shelf->bases[0].slot;

    bool had = false;

    me->fine = true;
    for (size_t round = 0; !atomic_load_explicit(me->end, memory_order_relaxed); round++) {
        for (volatile size_t i = 0; i < round % 300; i = i + 1)
            ;
        if (slot_pin(slot)) {
            const struct cluster_contents *c = &me->shelf->filed[0].contents;

            me->fine &= slot->image.n == c->n && slot->image.ids[c->n - 1] == c->ids[c->n - 1];
            slot_unpin(slot);
            had = true;
        } else if (had) {
            atomic_fetch_add(&me->lost, 1);
            had = false;
        }
    }
    return NULL;
}

static void test_pin_against_eviction(void **state)
{
    (void)state;
    struct hammer hammers[2];
    pthread_t threads[2];
    atomic_bool end = false;
    struct shelf s;
    struct cache_counts c;

    shelf_begin(&s, 0, (struct cache_options){ .budget_bytes = 0 });
    for (size_t i = 0; i < 2; i++) {
        hammers[i] = (struct hammer){ .shelf = &s, .end = &end };
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_on, hammers + i), 0);
    }
    for (size_t i = 0; i < 600000 / SCALE && (atomic_load(&hammers[0].lost) < 5000 / SCALE ||
                                              atomic_load(&hammers[1].lost) < 5000 / SCALE);
         i++) {
        assert_ok(cache_pin(s.cache, s.bases[0].slot), &s.f.bench.error);
        slot_unpin(s.bases[0].slot);
        cache_trim(s.cache);
    }
    atomic_store(&end, true);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(hammers[i].fine);
    }
    cache_trim(s.cache);
    c = counts_of(&s);
    assert_true(c.evictions > 0 && c.evictions <= c.reads);
    print_message("%zu and %zu side by side\n", atomic_load(&hammers[0].lost),
                  atomic_load(&hammers[1].lost));
    assert_int_equal(c.resident_bytes, 0);
    shelf_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage),           cmocka_unit_test(test_damaged_row),
        cmocka_unit_test(test_faults),           cmocka_unit_test(test_rows_refused),
        cmocka_unit_test(test_not_removed),      cmocka_unit_test(test_few_files),
        cmocka_unit_test(test_descriptor_limit), cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_refused_ask),      cmocka_unit_test(test_join_without_memory),
        cmocka_unit_test(test_threads),          cmocka_unit_test(test_pin_against_eviction),
    };

    return test_run("channi_cache_faults", tests);
}
