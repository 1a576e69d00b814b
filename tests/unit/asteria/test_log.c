/* test_log.c - recovery from the log and the folder: torn tails, foreign records, copies,
 * interrupted training, a long log.
 */
#include "tests/unit/asteria/crash.h"

static void wal_of(const struct crash *c, char path[PATH_MAX])
{
    DIR *d = opendir(c->dir);
    long newest = -1;

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        if (strncmp(e->d_name, "journal.", 8) == 0 && atol(e->d_name + 8) > newest)
            newest = atol(e->d_name + 8);
    (void)closedir(d);
    assert_true(newest >= 0 && snprintf(path, PATH_MAX, "%s/journal.%06ld", c->dir, newest) > 0);
}

/* Cut anywhere, the index has the rows before the cut; a changed byte of durable records
   is refused. */
static void test_torn_tail(void **state)
{
    (void)state;
    static struct crash c;
    static struct folder_copy kept;
    char path[PATH_MAX];
    size_t done, last_live = 0;

    begin(&c, &kinds[0]);
    open_bench(&c);
    c.s.params.wal = ASTERIA_SYNCED;
    assert_ok(small_create(&c.s, NULL), &c.s.bench.error);
    assert_ok(small_train(&c.s), &c.s.bench.error);
    for (size_t i = 0; i < 30; i++)
        assert_ok(small_apply(&c.s, true, i, 1, &done), &c.s.bench.error);
    small_end(&c.s);
    wal_of(&c, path);
    folder_copy_take(&kept, c.dir);
    struct bytes all = bytes_read(path);
    for (size_t n = 32; n <= all.n; n += 7) {
        folder_copy_put(&kept, c.dir);
        bytes_write(path, all.at, n);
        open_bench(&c);
        assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
        assert_true(c.s.a->live >= last_live);
        last_live = c.s.a->live;
        for (size_t id = 0; id < STORE_ROWS; id++)
            c.s.stored[id] = id < last_live;
        small_expect(&c.s, "cut");
        small_end(&c.s);
    }
    assert_true(last_live >= 29);
    all.at[all.n / 2] ^= 4;
    folder_copy_put(&kept, c.dir);
    bytes_write(path, all.at, all.n);
    open_bench(&c);
    assert_code(small_load(&c.s, c.dir, NULL), ERR_CORRUPT, &c.s.bench.error);
    small_end(&c.s);
    free(all.at);
    folder_copy_free(&kept);
    end(&c);
}

/* A batch of removals with one id twice, which index.h forbids, is refused before it is logged: the
   index that is loaded from the log has all rows. */
static void test_id_twice(void **state)
{
    (void)state;
    static struct crash c;
    static const uint64_t ids[] = { 3, 7, 3 };
    size_t done;

    begin(&c, &kinds[0]);
    open_bench(&c);
    c.s.params.wal = ASTERIA_SYNCED;
    assert_ok(small_create(&c.s, NULL), &c.s.bench.error);
    assert_ok(small_train(&c.s), &c.s.bench.error);
    for (size_t i = 0; i < 10; i++)
        assert_ok(small_apply(&c.s, true, i, 1, &done), &c.s.bench.error);
    assert_code(asteria_ops.remove(&c.s.a->base, ids, 3, &done), ERR_DUPLICATE_ID,
                &c.s.bench.error);
    assert_int_equal(done, 0);
    small_expect(&c.s, "refused");
    small_end(&c.s);
    open_bench(&c);
    assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
    for (size_t id = 0; id < STORE_ROWS; id++)
        c.s.stored[id] = id < 10;
    small_expect(&c.s, "loaded");
    small_end(&c.s);
    end(&c);
}

/* A well-formed record that no index wrote. */
struct foreign {
    uint8_t op;
    size_t n; /* ids, then as many rows */
    uint64_t ids[2];
    size_t more;
    bool rows;
    const char *why;
};

/* An index of 50 rows, with the record appended to its log. */
static void log_foreign(struct crash *c, const struct kind *k, const struct foreign *r)
{
    static const float wild[STORE_DIM] = { 3e30F };
    struct wal *j = NULL;
    size_t done;

    begin(c, k);
    open_bench(c);
    assert_ok(small_create(&c->s, NULL), &c->s.bench.error);
    assert_ok(small_train(&c->s), &c->s.bench.error);
    assert_ok(small_apply(&c->s, true, 0, 50, &done), &c->s.bench.error);
    const uint64_t last = UINT64_C(2) /* training began, rows came */;
    small_close(&c->s);
    const struct wal_part parts[] = {
        { r->ids, r->n * sizeof(uint64_t) },
        { r->ids[0] == 61 ? (const void *)wild : c->s.rows,
          (r->rows ? r->n * c->s.row_bytes : 0) + r->more },
    };
    assert_ok(wal_open(&j, &c->s.bench.env, WAL_WRITTEN, last, NULL), &c->s.bench.error);
    assert_ok(wal_append(j, r->op, parts, 2), &c->s.bench.error);
    assert_ok(wal_commit(j), &c->s.bench.error);
    wal_close(j);
}

/* Well-formed records that no index wrote are refused, and nothing of them is applied. */
static void test_records_of_others(void **state)
{
    (void)state;
    static struct crash c;
    static const struct foreign records[] = {
        { LOG_INSERT, 2, { 60, 60 }, 0, true, "an id that is there" },
        { LOG_INSERT, 2, { 60, 7 }, 0, true, "an id that is there" },
        { LOG_INSERT, 1, { INDEX_NO_ID, 0 }, 0, true, "an id that is there" },
        { LOG_INSERT, 1, { 61, 0 }, 0, true, "not of unit length" },
        { LOG_INSERT, 1, { 60, 0 }, 1, true, "does not belong to this index" },
        { LOG_INSERT, 0, { 0, 0 }, 0, true, "does not belong to this index" },
        { LOG_REMOVE, 1, { 60, 0 }, 0, false, "an id that is not there" },
        { LOG_REMOVE, 2, { 7, 7 }, 0, false, "an id that is not there" },
        { LOG_REMOVE, 1, { 7, 0 }, 3, false, "does not belong to this index" },
        { LOG_REMOVE, 0, { 0, 0 }, 0, false, "does not belong to this index" },
        { LOG_TRAIN, 0, { 0, 0 }, 2, false, "does not belong to this index" },
        { 9, 0, { 0, 0 }, 1, false, "does not belong to this index" },
    };

    for (size_t i = 0; i < 2 * sizeof records / sizeof *records; i++) {
        const size_t at = i / 2, k = i % 2;

        if (k == 0 && records[at].op == LOG_INSERT && records[at].ids[0] == 61)
            continue; /* u8 rows may have any length */
        log_foreign(&c, &kinds[k], &records[at]);
        const int rc = small_load(&c.s, c.dir, NULL);
        if (!strstr(c.s.bench.error.text, records[at].why))
            fail_msg("record %zu: %s", at, c.s.bench.error.text);
        assert_code(rc, ERR_CORRUPT, &c.s.bench.error);
        small_end(&c.s);
        end(&c);
    }
}

static void test_folders(void **state)
{
    (void)state;
    static struct crash c;
    static struct small t;
    char other[PATH_MAX];
    size_t done;

    begin(&c, &kinds[0]);
    test_dir_make_in_memory(other);
    open_bench(&c);
    assert_ok(small_create(&c.s, NULL), &c.s.bench.error);
    small_begin(&t, INDEX_U8, &c.params, c.dir);
    assert_code(small_create(&t, NULL), ERR_IO, &t.bench.error); /* claimed */
    assert_code(small_load(&t, c.dir, NULL), ERR_IO, &t.bench.error);
    assert_ok(small_train(&c.s), &c.s.bench.error);
    assert_ok(small_apply(&c.s, true, 0, 50, &done), &c.s.bench.error);
    assert_ok(asteria_save(&c.s.a->base, other), &c.s.bench.error);
    assert_ok(asteria_save(&c.s.a->base, c.dir), &c.s.bench.error); /* a checkpoint */
    assert_false(folder_has(c.dir, SNAPSHOT_SAVED));
    memcpy(c.stored, c.s.stored, sizeof c.stored);
    small_end(&c.s);
    assert_code(small_create(&t, NULL), ERR_ARGUMENT, &t.bench.error); /* holds an index */
    /* A saved copy used as an index of its own; from another folder it is refused. */
    (void)snprintf(t.dir, sizeof t.dir, "%s", other);
    assert_ok(small_load(&t, other, NULL), &t.bench.error);
    memcpy(t.stored, c.stored, sizeof c.stored);
    assert_ok(small_apply(&t, true, 100, 5, &done), &t.bench.error);
    small_close(&t);
    assert_ok(small_load(&t, other, NULL), &t.bench.error);
    small_expect(&t, "copy, reopened");
    small_close(&t);
    assert_code(small_load(&t, c.dir, NULL), ERR_NOT_FOUND, &t.bench.error);
    small_end(&t);
    open_bench(&c);
    assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
    small_expect(&c.s, "the first, reopened");
    struct memory_use use;
    assert_ok(asteria_memory(&c.s.a->base, &use), &c.s.bench.error);
    assert_true(use.disk > 50 * STORE_DIM); /* a snapshot of as many rows, and a log */
    small_end(&c.s);
    test_dir_remove(other);
    end(&c);
}

/* A crash within training leaves the record of its beginning. */
static void test_interrupted_training(void **state)
{
    (void)state;
    static struct crash c;
    size_t done;

    for (size_t later = 0; later < 2; later++) {
        begin(&c, &kinds[0]);
        open_bench(&c);
        assert_ok(small_create(&c.s, NULL), &c.s.bench.error);
        if (later) {
            assert_ok(small_train(&c.s), &c.s.bench.error);
            assert_ok(small_apply(&c.s, true, 0, 50, &done), &c.s.bench.error);
        }
        memcpy(c.stored, c.s.stored, sizeof c.stored);
        assert_ok(asteria_log_train(c.s.a, true), &c.s.bench.error);
        small_end(&c.s);
        open_bench(&c);
        assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
        assert_non_null(strstr(c.said, later ? "model of version 1" : "no model yet"));
        small_expect(&c.s, "interrupted");
        if (!later)
            assert_code(small_apply(&c.s, true, 0, 1, &done), ERR_UNTRAINED, &c.s.bench.error);
        assert_ok(small_train(&c.s), &c.s.bench.error);
        small_live(&c.s, 5);
        memcpy(c.stored, c.s.stored, sizeof c.stored);
        small_end(&c.s);
        c.said[0] = '\0';
        open_bench(&c);
        assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
        assert_string_equal(c.said, "");
        small_expect(&c.s, "trained after all");
        small_end(&c.s);
        end(&c);
    }
}

static size_t log_bytes(const struct crash *c)
{
    struct stat st;
    char path[PATH_MAX];

    wal_of(c, path);
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

/* A log longer than checkpoint_mb is replaced by a snapshot without a request. */
static void test_long_log(void **state)
{
    (void)state;
    static struct crash c;
    size_t done, shorter = 0, bytes = 0;

    begin(&c, &kinds[0]);
    c.params.checkpoint_mb = 1;
    open_bench(&c);
    assert_ok(small_create(&c.s, &c.fault), &c.s.bench.error);
    assert_ok(small_train(&c.s), &c.s.bench.error);
    for (size_t round = 0; round < 500; round++) {
        assert_ok(small_apply(&c.s, round % 2 == 0, 0, STORE_ROWS, &done), &c.s.bench.error);
        const size_t now = log_bytes(&c);
        shorter += now < bytes;
        if (now < bytes)
            assert_true(bytes > (1 << 20) - 40000);
        bytes = now;
        assert_true(bytes < (1 << 20) + 40000);
    }
    assert_true(shorter >= 2);
    small_expect(&c.s, "after many rounds");
    memcpy(c.stored, c.s.stored, sizeof c.stored);
    small_end(&c.s);
    open_bench(&c);
    assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
    small_expect(&c.s, "reopened");
    small_end(&c.s);
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),           cmocka_unit_test(test_interrupted_training),
        cmocka_unit_test(test_torn_tail),         cmocka_unit_test(test_id_twice),
        cmocka_unit_test(test_records_of_others), cmocka_unit_test(test_long_log),
    };
    return test_run("asteria_log", tests);
}
