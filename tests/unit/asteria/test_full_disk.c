/* test_full_disk.c - an index on a full disk opens and answers as before; updates are refused, lose
 * nothing, and work again once there is space.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/rows/internal.h"
#include "algorithms/common/durable/wal.h"
#include "tests/unit/asteria/store.h"

struct kind {
    const char *name;
    enum element element;
    int64_t durability, rows, link;
};

static const struct kind kinds[] = {
    { "bytes, written", INDEX_U8, ASTERIA_WRITTEN, ASTERIA_ROWS_MEMORY, LINK_MAINTAIN },
    { "floats, synced", INDEX_F32, ASTERIA_SYNCED, ASTERIA_ROWS_MEMORY, LINK_MAINTAIN },
    { "bytes, written, tiered", INDEX_U8, ASTERIA_WRITTEN, ASTERIA_ROWS_TIERED, LINK_MAINTAIN },
    { "floats, synced, tiered", INDEX_F32, ASTERIA_SYNCED, ASTERIA_ROWS_TIERED, LINK_INSERT },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* What the log must restore at the next opening. */
enum history { UNTRAINED, SNAPSHOT_ALONE, SHORT_LOG, LONG_LOG, HISTORIES };

/* How the disk is full: a hook fails calls, or the system limits the size of files. */
enum way { BY_HOOK, BY_LIMIT, WAYS };

static int no_space(void *to, const char *call)
{
    const bool *full = to;
    const bool needs_space = strcmp(call, "write") == 0 || strcmp(call, "open") == 0;

    return *full && needs_space ? ENOSPC : 0;
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void fill_disk(enum way way, bool *full, bool to)
{
    *full = to && way == BY_HOOK;
    limit_files(to && way == BY_LIMIT ? 0 : RLIM_INFINITY);
}

/* A log of more than a megabyte without a checkpoint; all rows are stored afterwards. */
static void make_long_log(struct small *s)
{
    const uint64_t usually = s->a->durable.checkpoint_bytes;
    size_t done;

    s->a->durable.checkpoint_bytes = UINT64_C(100) << 20;
    atomic_store(&s->a->durable.due_at, s->a->durable.checkpoint_bytes);
    for (size_t id = 0; id < STORE_ROWS; id++)
        if (s->stored[id])
            assert_ok(small_apply(s, false, id, 1, &done), &s->bench.error);
    for (size_t i = 0; i < 301; i++)
        assert_ok(small_apply(s, i % 2 == 0, 0, STORE_ROWS, &done), &s->bench.error);
    s->a->durable.checkpoint_bytes = usually;
    assert_true(wal_bytes(s->a->durable.wal) > 1 << 20);
}

static void make_history(struct small *s, enum history history)
{
    size_t done;

    if (history == UNTRAINED)
        return;
    assert_ok(small_train(s), &s->bench.error);
    assert_ok(small_apply(s, true, 0, STORE_ROWS - 80, &done), &s->bench.error);
    small_live(s, 20);
    assert_ok(asteria_checkpoint(s->a), &s->bench.error);
    if (history == SHORT_LOG)
        small_live(s, 30);
    if (history == LONG_LOG)
        make_long_log(s);
}

static void expect_refused(struct small *s, int rc)
{
    const char *text = s->bench.error.text;

    if (rc == OK || !(strstr(text, strerror(ENOSPC)) || strstr(text, strerror(EFBIG))))
        fail_msg("of a full disk is said: %s (%s)", text, error_name(rc));
    assert_code(rc, ERR_IO, &s->bench.error);
}

static void try_updates(struct small *s)
{
    size_t done;

    for (size_t first = 0; first < STORE_ROWS; first += 23) {
        expect_refused(s, small_apply(s, !s->stored[first], first, 1, &done));
        assert_int_equal(done, 0);
    }
    expect_refused(s, asteria_checkpoint(s->a));
}

static void open_full(const struct kind *k, enum history history, enum way way)
{
    static struct small s;
    struct asteria_params params = small_params();
    char dir[PATH_MAX], when[120];
    bool full = false;
    const struct file_fault fault = { no_space, &full };

    (void)snprintf(when, sizeof when, "%s, history %d, way %d", k->name, (int)history, (int)way);
    params.wal = k->durability;
    params.storage = k->rows;
    params.cache_mb = 0;
    params.link_policy = k->link;
    params.checkpoint_mb = 1;
    test_dir_make_in_memory(dir);
    small_begin(&s, k->element, &params, dir);
    assert_ok(small_create(&s, &fault), &s.bench.error);
    make_history(&s, history);
    for (size_t round = 0; round < 2; round++) {
        small_close(&s);
        fill_disk(way, &full, true);
        const int rc = small_load(&s, dir, &fault);
        if (rc != OK)
            fail_msg("%s: %s", when, s.bench.error.text);
        small_expect(&s, when);
        if (s.a->trained)
            try_updates(&s);
        small_expect(&s, when);
    }
    fill_disk(way, &full, false);
    if (!s.a->trained)
        assert_ok(small_train(&s), &s.bench.error);
    small_live(&s, 12);
    small_expect(&s, "with space again");
    for (size_t round = 0; round < 2; round++) {
        small_close(&s);
        assert_ok(small_load(&s, dir, &fault), &s.bench.error);
        small_expect(&s, "opened again");
        small_live(&s, 6);
        assert_ok(asteria_checkpoint(s.a), &s.bench.error);
    }
    small_end(&s);
    test_dir_remove(dir);
}

static void test_open_on_a_full_disk(void **state)
{
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t k = 0; k < KINDS; k++)
        for (enum history h = UNTRAINED; h < HISTORIES; h++)
            for (enum way way = BY_HOOK; way < WAYS; way++)
                if (h != LONG_LOG || k == 0 || k == 2) /* it takes the longest to make */
                    open_full(&kinds[k], h, way);
    (void)signal(SIGXFSZ, SIG_DFL);
}

/* A copy saved to another folder has all rows. */
static void small_expect_copy(const struct small *s, const char *dir)
{
    static struct small t;

    small_begin(&t, s->bench.env.element, &s->params, dir);
    assert_ok(small_load(&t, dir, NULL), &t.bench.error);
    memcpy(t.stored, s->stored, sizeof t.stored);
    small_expect(&t, "a copy");
    small_end(&t);
}

/* Rows restored from the log are held in memory until the file has space. */
static void test_held_rows(void **state)
{
    (void)state;
    static struct small s;
    struct asteria_params params = small_params();
    char dir[PATH_MAX], other[PATH_MAX];
    bool full = false;
    size_t done;
    const struct file_fault fault = { no_space, &full };

    params.wal = ASTERIA_WRITTEN;
    params.storage = ASTERIA_ROWS_TIERED;
    params.cache_mb = 0;
    test_dir_make_in_memory(dir);
    test_dir_make_in_memory(other);
    small_begin(&s, INDEX_F32, &params, dir);
    assert_ok(small_create(&s, &fault), &s.bench.error);
    assert_ok(small_train(&s), &s.bench.error);
    assert_ok(small_apply(&s, true, 0, 100, &done), &s.bench.error);
    small_close(&s);
    full = true;
    assert_ok(small_load(&s, dir, &fault), &s.bench.error);
    assert_int_equal(s.a->rows->file->held.n, 100);
    full = false;
    assert_ok(small_apply(&s, true, 100, 1, &done), &s.bench.error);
    assert_int_equal(s.a->rows->file->held.n, 0);
    small_expect(&s, "in the file");
    for (uint32_t slot = 0; slot < 101; slot++)
        assert_null(asteria_rows_resident(s.a->rows, slot));
    small_close(&s);
    full = true;
    assert_ok(small_load(&s, dir, &fault), &s.bench.error);
    s.a->durable.fault = NULL; /* another disk has space */
    assert_ok(asteria_save(&s.a->base, other), &s.bench.error);
    assert_true(s.a->rows->file->held.n > 0);
    small_expect_copy(&s, other);
    s.a->durable.fault = &fault;
    full = false;
    assert_ok(asteria_checkpoint(s.a), &s.bench.error); /* must not refer to held rows */
    assert_int_equal(s.a->rows->file->held.n, 0);
    small_close(&s);
    assert_ok(small_load(&s, dir, &fault), &s.bench.error);
    small_expect(&s, "opened again");
    small_end(&s);
    test_dir_remove(dir);
    test_dir_remove(other);
}

/* A log that is too long is not replayed twice. */
static void test_long_log_is_shortened(void **state)
{
    (void)state;
    static struct small s;
    struct asteria_params params = small_params();
    char dir[PATH_MAX];
    bool full = false;
    const struct file_fault fault = { no_space, &full };

    params.wal = ASTERIA_WRITTEN;
    params.checkpoint_mb = 1;
    test_dir_make_in_memory(dir);
    small_begin(&s, INDEX_U8, &params, dir);
    assert_ok(small_create(&s, &fault), &s.bench.error);
    assert_ok(small_train(&s), &s.bench.error);
    make_long_log(&s);
    small_close(&s);
    full = true;
    assert_ok(small_load(&s, dir, &fault), &s.bench.error);
    assert_true(wal_bytes(s.a->durable.wal) > 1 << 20);
    small_close(&s);
    full = false;
    assert_ok(small_load(&s, dir, &fault), &s.bench.error);
    assert_true(wal_bytes(s.a->durable.wal) < 1000); /* the head of the new log */
    small_expect(&s, "shortened");
    small_end(&s);
    test_dir_remove(dir);
}

static size_t count_logs(const char *dir)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        n += strncmp(e->d_name, "journal.", 8) == 0;
    (void)closedir(d);
    return n;
}

/* Opened and updated repeatedly, without a checkpoint. */
static void test_few_log_files(void **state)
{
    (void)state;
    static struct small s;
    struct asteria_params params = small_params();
    char dir[PATH_MAX];
    size_t done;

    params.wal = ASTERIA_WRITTEN;
    test_dir_make_in_memory(dir);
    small_begin(&s, INDEX_U8, &params, dir);
    assert_ok(small_create(&s, NULL), &s.bench.error);
    assert_ok(small_train(&s), &s.bench.error);
    for (size_t i = 0; i < 30; i++) {
        assert_ok(small_apply(&s, true, 5 * i, 5, &done), &s.bench.error);
        small_close(&s);
        assert_ok(small_load(&s, dir, NULL), &s.bench.error);
        assert_in_range(count_logs(dir), 1, 3);
    }
    small_expect(&s, "after 30 openings");
    small_end(&s);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_on_a_full_disk),
        cmocka_unit_test(test_held_rows),
        cmocka_unit_test(test_long_log_is_shortened),
        cmocka_unit_test(test_few_log_files),
    };
    return test_run("asteria_full_disk", tests);
}
