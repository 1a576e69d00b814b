/* test_recovery.c - an index reopened from its manifest and its log: the same rows, answers and
 * versions; and folders with a saved index, another's, or none. Attributes after a recovery are
 * cli/test_channi_configs, damaged files contract/test_faults. */
#include <errno.h>

#include "tests/support/index_folder.h"
#include "tests/unit/channi/files/history.h"

enum { K = 10, QUERIES = 60 };

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
};

/* With such knobs the answers depend on graphs, routes and the order of rows. */
static void ask(struct book *b, struct answers *a)
{
    struct channi_knobs knobs = book_knobs();
    const struct search_request request = { book_vectors(b, 0, QUERIES), K, &knobs, NULL, 1 };
    struct search_result result = { .ids = a->ids, .distances = a->distances };

    knobs.nprobe = 3;
    knobs.in_ef = 4;
    knobs.top_ef = 6;
    assert_ok(channi_ops.search(b->index, &request, &result), &b->bench.error);
}

static void expect_same(struct book *b, const struct answers *before)
{
    struct answers now;

    history_expect(b);
    ask(b, &now);
    assert_memory_equal(before, &now, sizeof now);
}

/* Reopened after a checkpoint, and from the log: commits are applied, and maintenance done, as
   before. */
static void test_reopened(void **state)
{
    static struct book b;
    static struct answers a;

    for (size_t kind = 0; kind < 6; kind++) {
        struct channi_params p = history_params();
        struct rng r = rng_at(test_seed(), 7);

        p.cluster_index = kind % 3 == 0 ? INSIDE_GRAPH : kind % 3 == 1 ? INSIDE_SCAN : INSIDE_CODES;
        p.cold_rows = kind % 3 == 2;
        p.history = kind % 2 ? 30 : 0;
        p.wal = kind % 2 ? CHANNI_SYNCED : CHANNI_WRITTEN;
        history_begin(&b, p, NULL);
        history_run(&b, 40);
        assert_true(book_counter(&b, splits) > 0 && book_counter(&b, merges) > 0 &&
                    book_counter(&b, compactions) > 0 && book_counter(&b, checkpoints) > 2 &&
                    book_counter(&b, aborts) > 0);
        assert_ok(channi_checkpoint(book_channi(&b)), &b.bench.error);
        for (size_t i = 0; i < 3; i++) {
            const uint64_t version = book_version(&b), layouts = book_channi(&b)->layouts;

            ask(&b, &a);
            reopen(&b, b.dir);
            expect_same(&b, &a);
            assert_int_equal(book_version(&b), version);
            assert_true(i == 2 || book_channi(&b)->layouts >= layouts);
            for (size_t j = 0; i == 1 && j < 22; j++) /* then the log is replayed */
                change(&b, &r, j < 12 ? 9 : 40);
        }
        book_close(&b);
    }
}

enum { VERSIONS = 30, PAST = 12 };
static bool rows_at[VERSIONS][IDS]; /* after each version, from the first + 1 on */

/* The last PAST versions and the newest can be searched; earlier ones, and later, are not there. */
static void expect_versions(struct book *b, uint64_t first)
{
    const struct channi_knobs knobs = book_exhaustive();
    const struct search_request request = { book_vectors(b, 0, 1), IDS, &knobs, NULL, 1 };

    for (size_t i = 0; i <= VERSIONS; i++) {
        static uint64_t ids[IDS];
        static float distances[IDS];
        struct search_result result = { .ids = ids, .distances = distances };
        size_t n = 0, there = 0;
        const int rc = channi_search_as_of(b->index, first + i + 1, &request, &result);

        if (i + PAST + 1 < VERSIONS || i == VERSIONS) {
            assert_code(rc, ERR_NOT_FOUND, &b->bench.error);
            continue;
        }
        assert_ok(rc, &b->bench.error);
        for (; n < IDS && ids[n] != INDEX_NO_ID; n++)
            assert_true(rows_at[i][ids[n]]);
        for (size_t id = 0; id < IDS; id++)
            there += rows_at[i][id];
        assert_int_equal(n, there);
    }
}

/* Versions that could be searched still can, before the build and after it; earlier ones cannot. */
static void test_history(void **state)
{
    static struct book b;

    for (int deferred = 0; deferred < 2; deferred++) {
        struct rng r = rng_at(test_seed(), 11);
        struct channi_params p = history_params();

        p.history = PAST;
        p.expected_n = deferred ? 1 << 20 : p.expected_n;
        history_begin(&b, p, NULL);
        history_run(&b, 20);
        const uint64_t first = book_version(&b);
        while (book_version(&b) < first + VERSIONS) {
            change(&b, &r, 30);
            memcpy(rows_at[book_version(&b) - first - (book_version(&b) > first)], b.stored,
                   sizeof *rows_at);
            if (book_version(&b) == first + VERSIONS - 5)
                assert_ok(channi_checkpoint(book_channi(&b)), &b.bench.error);
        }
        expect_versions(&b, first);
        reopen(&b, b.dir);
        expect_versions(&b, first);
        book_close(&b);
    }
}

/* ---- folders */

static int other_device(void *to, const char *call)
{
    *(size_t *)to += strcmp(call, "link") == 0;
    return strcmp(call, "link") == 0 ? EXDEV : 0;
}

/* Where hard links are impossible, files are copied. */
static void test_saved_by_copying(void **state)
{
    static struct book b;
    static struct answers a;
    char aside[PATH_MAX], other[PATH_MAX];
    size_t refused = 0;
    const struct file_fault fault = { other_device, &refused };

    history_begin(&b, history_params(), NULL);
    test_dir_make_in_memory(aside);
    test_dir_make_in_memory(other);
    history_run(&b, 40);
    ask(&b, &a);
    book_channi(&b)->durable.fault = &fault;
    assert_ok(channi_save(b.index, aside), &b.bench.error);
    const size_t saved = refused;
    assert_true(saved > 5);
    channi_destroy(b.index);
    b.index = NULL;
    b.bench.env.dir = other;
    assert_ok(channi_load_from(&b.index, &b.bench.env, aside, &fault), &b.bench.error);
    assert_true(refused > saved + 5);
    expect_same(&b, &a);
    book_close(&b);
    test_dir_remove(aside);
    test_dir_remove(other);
}

/* Without a log an index can be loaded from its own folder as it was saved there. Files left there
   by a process whose index was never completed do not matter. */
static void test_saved_at_home(void **state)
{
    static struct book b;
    static struct answers a;
    const char *names[] = { "0123456789abcdef.0000000000000001.clu", "channi.manifest.new" };
    bool saved[IDS];

    history_begin(&b, book_with(history_params(), "wal=none"), NULL);
    channi_destroy(b.index);
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%.3000s/%s", b.dir, names[i]);
        bytes_write(path, (const unsigned char *)"rubbish", 7);
    }
    book_create(&b);
    history_run(&b, 40);
    assert_ok(channi_save(b.index, b.dir), &b.bench.error);
    ask(&b, &a);
    memcpy(saved, b.stored, sizeof saved);
    const size_t n = b.n;
    for (size_t i = 0; i < 2; i++) {
        history_run(&b, 20);
        history_expect(&b);
        reopen(&b, b.dir);
        memcpy(b.stored, saved, sizeof saved);
        b.n = n;
        expect_same(&b, &a);
    }
    book_close(&b);
}

/* rc is the code, and the message has `what`. */
static void expect_refused(struct book *b, int rc, int code, const char *what)
{
    assert_int_equal(rc, code);
    assert_non_null(strstr(b->bench.error.text, what));
    error_clear(&b->bench.error);
}

static void test_folders(void **state)
{
    static struct book b;
    struct index_env *env = &b.bench.env;
    struct index *other = NULL;
    char aside[PATH_MAX], empty[PATH_MAX];

    history_begin(&b, history_params(), NULL);
    test_dir_make_in_memory(aside);
    test_dir_make_in_memory(empty);
    history_run(&b, 10);
    /* The folder is open in this process. */
    expect_refused(&b, channi_ops.load(&other, env, b.dir), ERR_IO, "in use by this process");
    expect_refused(&b, channi_ops.create(&other, env, &b.params), ERR_IO, "in use by this process");
    assert_ok(channi_save(b.index, aside), &b.bench.error);
    /* The folder of a running index is not a saved one; an empty folder has none. */
    env->dir = empty;
    expect_refused(&b, channi_ops.load(&other, env, b.dir), ERR_NOT_FOUND, "save() makes a copy");
    expect_refused(&b, channi_ops.load(&other, env, empty), ERR_NOT_FOUND, "");
    channi_destroy(b.index);
    b.index = NULL;
    /* Another dimension, a folder with an index. */
    env->dir = b.dir;
    env->dim++;
    expect_refused(&b, channi_ops.load(&other, env, b.dir), ERR_DIMENSION, "");
    env->dim--;
    expect_refused(&b, channi_ops.create(&other, env, &b.params), ERR_ARGUMENT, "");
    expect_refused(&b, channi_ops.load(&other, env, aside), ERR_ARGUMENT, "");
    reopen(&b, b.dir);
    history_expect(&b);
    book_close(&b);
    test_dir_remove(aside);
    test_dir_remove(empty);
}

int main(void)
{
    return test_run_all("channi_recovery", test_reopened, test_history, test_saved_by_copying,
                        test_saved_at_home, test_folders);
}
