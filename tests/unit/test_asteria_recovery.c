/* test_asteria_recovery.c - killed at any system call, or at any time, an index comes back with all that it acknowledged,
 * and nothing else; a tail that is torn is cut off, other damage is refused; training that was interrupted left no trace
 * but a line that says so.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "algorithms/common/folder_claim.h"
#include "algorithms/common/journal.h"
#include "tests/unit/kept_folder.h"
#include "tests/unit/mishap.h"
#include "tests/unit/test_asteria_store.h"

enum { OPS = 512 };

struct op { /* ids first .. first + n - 1 */
    bool insert;
    size_t first, n;
};

/* Shared with children. An op is in flight from `begun` to `done`. */
struct record {
    atomic_size_t begun, done, calls, created, trained;
    struct op ops[OPS];
};

struct kind {
    const char *name;
    enum element element;
    int64_t durability, rows, link;
};

static const struct kind kinds[] = {
    { "bytes, written", ELEMENT_U8, ASTERIA_WRITTEN, ASTERIA_ROWS_MEMORY, LINK_MAINTAIN },
    { "floats, synced, tiered", ELEMENT_F32, ASTERIA_SYNCED, ASTERIA_ROWS_TIERED, LINK_INSERT },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct crash {
    struct small s;
    struct asteria_params params;
    enum element element;
    char dir[PATH_MAX];
    bool stored[STORE_ROWS], doubtful[STORE_ROWS];
    struct record *record;
    struct mishap mishap;
    struct store_fault fault; /* the mishap's, but for reads: no state hangs on them */
    uint64_t seed;
    char said[300]; /* the last line of env.log */
};

static void say(void *to, const char *line)
{
    struct crash *c = to;

    (void)snprintf(c->said, sizeof c->said, "%s", line);
}

static int but_for_reads(void *to, const char *call)
{
    struct crash *c = to;

    return strcmp(call, "read") == 0 ? 0 : c->mishap.fault.before(c->mishap.fault.to, call);
}

static void begin(struct crash *c, const struct kind *k)
{
    memset(c, 0, sizeof *c);
    c->element = k->element;
    c->params = small_params();
    c->params.durability = k->durability;
    c->params.rows = k->rows;
    c->params.hot_mb = 0;
    c->params.link = k->link;
    c->seed = test_seed();
    c->record =
        mmap(NULL, sizeof *c->record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(c->record != MAP_FAILED);
    mishap_begin(&c->mishap, &c->record->calls);
    c->fault = (struct store_fault){ but_for_reads, c };
    test_dir_make_in_memory(c->dir);
}

static void end(struct crash *c)
{
    munmap(c->record, sizeof *c->record);
    test_dir_remove(c->dir);
}

/* A bench of its own, so that a child has threads and a parent none. */
static void open_bench(struct crash *c)
{
    small_begin(&c->s, c->element, &c->params, c->dir);
    memcpy(c->s.stored, c->stored, sizeof c->stored);
    c->s.rng = rng_at(c->seed, 41);
    c->s.bench.env.log = say;
    c->s.bench.env.log_to = c;
}

static int apply(struct crash *c, struct op op)
{
    struct record *log = c->record;
    const size_t at = atomic_load(&log->begun);
    size_t done = 0;

    assert_true(at < OPS);
    log->ops[at] = op;
    atomic_store(&log->begun, at + 1);
    const int rc = small_apply(&c->s, op.insert, op.first, op.n, &done);
    if (rc == OK)
        atomic_store(&log->done, at + 1);
    return rc;
}

/* The child's life: training, updates, upkeep, checkpoints, a newer model. */
static int stream(struct crash *c, size_t steps, bool fresh)
{
    struct rng dice = rng_at(c->seed, 42);
    bool more;
    int rc = fresh ? small_create(&c->s, &c->fault) : small_load(&c->s, c->dir, &c->fault);

    atomic_store(&c->record->created, rc == OK);
    if (rc == OK && !c->s.a->trained)
        rc = small_train(&c->s);
    atomic_store(&c->record->trained, rc == OK);
    for (size_t i = 0; rc == OK && i < steps; i++) {
        const uint64_t die = rng_below(&dice, 16);
        struct op op;

        if (die == 0) {
            rc = asteria_checkpoint(c->s.a);
        } else if (die < 3) {
            rc = asteria_maintain(&c->s.a->base, 60, &more);
        } else if (die == 3 && i > 5) {
            rc = small_train(&c->s);
        } else {
            small_pick(&c->s, 1 + rng_below(&dice, die == 4 ? 90 : 12), &op.insert, &op.first,
                       &op.n);
            rc = apply(c, op);
        }
    }
    return rc;
}

/* Runs the stream in a child. true: it came to its end; false: it was killed. delay_us: kill it then. */
static bool child(struct crash *c, size_t steps, bool fresh, useconds_t delay_us)
{
    memset(c->record, 0, sizeof *c->record);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_bench(c);
        const int rc = stream(c, steps, fresh);
        if (rc != OK)
            fprintf(stderr, "child: %s: %s\n", error_name(rc), c->s.bench.error.text);
        /* Not destroyed: that must not be needed. */
        _exit(rc != OK ? 3 : 0);
    }
    return mishap_wait(&c->mishap, pid, delay_us, c->seed);
}

/* What the child has acknowledged; ids of the op in flight may be in or out. */
static void learn(struct crash *c)
{
    const size_t done = atomic_load(&c->record->done), begun = atomic_load(&c->record->begun);

    memset(c->doubtful, 0, sizeof c->doubtful);
    for (size_t i = 0; i < begun; i++)
        for (size_t j = 0; j < c->record->ops[i].n; j++) {
            const size_t id = c->record->ops[i].first + j;
            if (i < done)
                c->stored[id] = c->record->ops[i].insert;
            else
                c->doubtful[id] = true;
        }
}

static void expect(struct crash *c, const char *when)
{
    char text[120];

    (void)snprintf(text, sizeof text, "%s (kill_at %zu)", when, atomic_load(&c->mishap.kill_at));
    for (size_t id = 0; id < STORE_ROWS; id++)
        if (c->doubtful[id])
            c->s.stored[id] = slot_table_get(&c->s.a->slots, c->s.a->ids, id, NULL);
    memset(c->doubtful, 0, sizeof c->doubtful);
    small_expect(&c->s, text);
    memcpy(c->stored, c->s.stored, sizeof c->stored);
}

/* Reopened, it is what was acknowledged; it goes on working; reopened again, so it is. */
static void recover(struct crash *c, bool fresh)
{
    open_bench(c);
    if (!folder_has(c->dir, SNAPSHOT_RUNNING)) { /* killed before there was an index */
        assert_true(fresh && !atomic_load(&c->record->created));
        assert_code(small_load(&c->s, c->dir, NULL), ERR_NOT_FOUND, &c->s.bench.error);
        small_end(&c->s);
        return;
    }
    assert_ok(small_load(&c->s, c->dir, NULL), &c->s.bench.error);
    if (atomic_load(&c->record->trained))
        assert_true(c->s.a->trained);
    expect(c, "recovered");
    if (!c->s.a->trained)
        assert_ok(small_train(&c->s), &c->s.bench.error);
    small_live(&c->s, 12);
    assert_ok(asteria_checkpoint(c->s.a), &c->s.bench.error);
    small_live(&c->s, 4);
    expect(c, "updated");
    small_end(&c->s);
    open_bench(c);
    assert_ok(small_load(&c->s, c->dir, NULL), &c->s.bench.error);
    expect(c, "opened again");
    small_end(&c->s);
}

/* The same stream, killed at call 1, 2, 3, ... until it comes to its end. */
static void test_every_call(void **state)
{
    (void)state;
    static struct crash c;

    for (size_t k = 0; k < KINDS; k++) {
        bool finished = false;
        size_t i = 1;
        for (; !finished; i = test_next_fault(i)) {
            begin(&c, &kinds[k]);
            atomic_store(&c.mishap.kill_at, i);
            finished = child(&c, 14, true, 0);
            learn(&c);
            recover(&c, true);
            end(&c);
        }
        print_message("           %s: killed at calls 1 to %zu\n", kinds[k].name, i);
        assert_true(i > 60);
    }
}

/* And again while it recovers. */
static void test_killed_in_recovery(void **state)
{
    (void)state;
    static struct crash c;

    for (size_t k = 0; k < KINDS; k++) {
        bool finished = false;
        begin(&c, &kinds[k]);
        assert_true(child(&c, 60, true, 0));
        learn(&c);
        for (size_t i = 1; !finished; i++) {
            atomic_store(&c.mishap.kill_at, i);
            finished = child(&c, 0, false, 0);
        }
        memset(c.record, 0, sizeof *c.record);
        recover(&c, false);
        end(&c);
    }
}

/* Wherever it happens to be; several lives in one folder. */
static void test_any_time(void **state)
{
    (void)state;
    static struct crash c;
    struct rng r = rng_at(test_seed(), 43);

    for (size_t k = 0; k < KINDS; k++) {
        begin(&c, &kinds[k]);
        c.params.checkpoint_mb = 1;
        for (size_t life = 0; life < 6; life++) {
            c.seed = test_seed() + 10 * k + life;
            const bool fresh = !folder_has(c.dir, SNAPSHOT_RUNNING);
            if (fresh)
                test_dir_clear(c.dir);
            (void)child(&c, 400, fresh, (useconds_t)(1000 + rng_below(&r, 60000)));
            learn(&c);
            recover(&c, fresh);
        }
        end(&c);
    }
}

/* ---------------------------------------------------------------------------- failing calls */

/* Each call fails in turn: an update that is refused is not there, now or after reopening; others go on. */
static void test_failing_calls(void **state)
{
    (void)state;
    static struct crash c;

    for (size_t k = 0; k < KINDS; k++) {
        size_t failures = 0;
        for (size_t at = 1; at < 60; at = test_next_fault(at)) {
            begin(&c, &kinds[k]);
            open_bench(&c);
            assert_ok(small_create(&c.s, &c.fault), &c.s.bench.error);
            assert_ok(small_train(&c.s), &c.s.bench.error);
            c.mishap.fail_at = atomic_load(&c.record->calls) + at;
            for (size_t i = 0; i < 12; i++) {
                size_t first, n, done;
                bool insert;
                int rc;
                if (i == 4) {
                    rc = asteria_checkpoint(c.s.a);
                } else {
                    small_pick(&c.s, 9, &insert, &first, &n);
                    rc = small_apply(&c.s, insert, first, n, &done);
                    if (rc != OK)
                        assert_int_equal(done, 0);
                }
                failures += rc != OK;
                if (rc != OK)
                    assert_code(rc, ERR_IO, &c.s.bench.error);
            }
            small_expect(&c.s, c.mishap.failed);
            memcpy(c.stored, c.s.stored, sizeof c.stored);
            small_end(&c.s);
            open_bench(&c);
            assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
            small_expect(&c.s, "reopened");
            small_end(&c.s);
            end(&c);
        }
        assert_true(failures > 12 / test_scale());
    }
}

/* Training whose checkpoint fails is undone; so is a newer model's. */
static void test_failing_training(void **state)
{
    (void)state;
    static struct crash c;
    size_t failures = 0, done;

    for (size_t later = 0; later < 2; later++) {
        int rc = ERR_IO;
        for (size_t at = 1; rc != OK; at++) {
            begin(&c, &kinds[1]);
            open_bench(&c);
            assert_ok(small_create(&c.s, &c.fault), &c.s.bench.error);
            if (later) {
                assert_ok(small_train(&c.s), &c.s.bench.error);
                assert_ok(small_apply(&c.s, true, 0, 200, &done), &c.s.bench.error);
            }
            c.mishap.fail_at = atomic_load(&c.record->calls) + at;
            rc = small_train(&c.s);
            if (rc != OK) {
                failures++;
                assert_code(rc, ERR_IO, &c.s.bench.error);
                assert_int_equal(c.s.a->trained, later);
                if (later)
                    assert_int_equal(c.s.a->generations[c.s.a->now]->model->version, 1);
                small_expect(&c.s, "after training failed");
                assert_ok(small_train(&c.s), &c.s.bench.error);
            }
            small_live(&c.s, 5);
            memcpy(c.stored, c.s.stored, sizeof c.stored);
            small_end(&c.s);
            open_bench(&c);
            assert_ok(small_load(&c.s, c.dir, NULL), &c.s.bench.error);
            small_expect(&c.s, "reopened");
            small_end(&c.s);
            end(&c);
        }
    }
    assert_true(failures > 10);
}

static int count_syncs(void *to, const char *call)
{
    size_t *syncs = to;

    *syncs += strcmp(call, "fsync") == 0;
    return 0;
}

/* A killed process loses nothing that was written: what the machine's death would take shows only in the calls. */
static void test_syncs(void **state)
{
    (void)state;
    static struct crash c;
    size_t syncs = 0;

    for (size_t k = 0; k < KINDS; k++) {
        begin(&c, &kinds[k]);
        c.fault = (struct store_fault){ count_syncs, &syncs };
        open_bench(&c);
        assert_ok(small_create(&c.s, &c.fault), &c.s.bench.error);
        assert_ok(small_train(&c.s), &c.s.bench.error);
        for (size_t i = 0; i < 12; i++) {
            size_t done;

            syncs = 0;
            assert_ok(small_apply(&c.s, i % 2 == 0, i / 2 * 10, 10, &done), &c.s.bench.error);
            assert_int_equal(syncs, c.params.durability == ASTERIA_SYNCED);
        }
        small_end(&c.s);
        end(&c);
    }
}

/* -------------------------------------------------------------------------- the journal's end */

static void journal_of(const struct crash *c, char path[PATH_MAX])
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

/* Cut anywhere it is the rows before; a changed byte of what was durable is refused. */
static void test_torn_tail(void **state)
{
    (void)state;
    static struct crash c;
    static struct kept_folder kept;
    char path[PATH_MAX];
    size_t done, last_live = 0;

    begin(&c, &kinds[0]);
    open_bench(&c);
    c.s.params.durability = ASTERIA_SYNCED;
    assert_ok(small_create(&c.s, NULL), &c.s.bench.error);
    assert_ok(small_train(&c.s), &c.s.bench.error);
    for (size_t i = 0; i < 30; i++)
        assert_ok(small_apply(&c.s, true, i, 1, &done), &c.s.bench.error);
    small_end(&c.s);
    journal_of(&c, path);
    kept_folder_take(&kept, c.dir);
    struct bytes all = bytes_read(path);
    for (size_t n = 32; n <= all.n; n += 7) {
        kept_folder_put(&kept, c.dir);
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
    kept_folder_put(&kept, c.dir);
    bytes_write(path, all.at, all.n);
    open_bench(&c);
    assert_code(small_load(&c.s, c.dir, NULL), ERR_CORRUPT, &c.s.bench.error);
    small_end(&c.s);
    free(all.at);
    kept_folder_free(&kept);
    end(&c);
}

/* Whole records that no index wrote: refused, and nothing of them is there. */
static void test_records_of_others(void **state)
{
    (void)state;
    static struct crash c;
    static const float wild[STORE_DIM] = { 3e30F };
    const struct {
        uint8_t op;
        size_t n; /* ids, then as many rows */
        uint64_t ids[2];
        size_t more;
        bool rows;
        const char *why;
    } records[] = {
        { LOG_INSERT, 2, { 60, 60 }, 0, true, "an id that is there" },
        { LOG_INSERT, 2, { 60, 7 }, 0, true, "an id that is there" },
        { LOG_INSERT, 1, { ID_NONE, 0 }, 0, true, "an id that is there" },
        { LOG_INSERT, 1, { 61, 0 }, 0, true, "not of unit length" },
        { LOG_INSERT, 1, { 60, 0 }, 1, true, "none of this index" },
        { LOG_INSERT, 0, { 0, 0 }, 0, true, "none of this index" },
        { LOG_REMOVE, 1, { 60, 0 }, 0, false, "an id that is not there" },
        { LOG_REMOVE, 2, { 7, 7 }, 0, false, "an id that is not there" },
        { LOG_REMOVE, 1, { 7, 0 }, 3, false, "none of this index" },
        { LOG_REMOVE, 0, { 0, 0 }, 0, false, "none of this index" },
        { LOG_TRAIN, 0, { 0, 0 }, 2, false, "none of this index" },
        { 9, 0, { 0, 0 }, 1, false, "none of this index" },
    };

    for (size_t i = 0; i < 2 * sizeof records / sizeof *records; i++) {
        const size_t at = i / 2, k = i % 2;

        if (k == 0 && records[at].op == LOG_INSERT && records[at].ids[0] == 61)
            continue; /* bytes have any length */
        struct journal *j = NULL;
        size_t done;

        begin(&c, &kinds[k]);
        open_bench(&c);
        assert_ok(small_create(&c.s, NULL), &c.s.bench.error);
        assert_ok(small_train(&c.s), &c.s.bench.error);
        assert_ok(small_apply(&c.s, true, 0, 50, &done), &c.s.bench.error);
        const uint64_t last = UINT64_C(2) /* training began, rows came */;
        small_close(&c.s);
        const struct journal_part parts[] = {
            { records[at].ids, records[at].n * sizeof(uint64_t) },
            { records[at].ids[0] == 61 ? (const void *)wild : c.s.rows,
              (records[at].rows ? records[at].n * c.s.row_bytes : 0) + records[at].more },
        };
        assert_ok(journal_open(&j, &c.s.bench.env, JOURNAL_WRITTEN, last, NULL), &c.s.bench.error);
        assert_ok(journal_append(j, records[at].op, parts, 2), &c.s.bench.error);
        assert_ok(journal_commit(j), &c.s.bench.error);
        journal_close(j);
        const int rc = small_load(&c.s, c.dir, NULL);
        if (!strstr(c.s.bench.error.text, records[at].why))
            fail_msg("record %zu: %s", at, c.s.bench.error.text);
        assert_code(rc, ERR_CORRUPT, &c.s.bench.error);
        small_end(&c.s);
        end(&c);
    }
}

/* ----------------------------------------------------------------------------------- folders */

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
    small_begin(&t, ELEMENT_U8, &c.params, c.dir);
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
    /* What was saved, in a folder of its own from now on; as another's folder it is refused. */
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

/* What a crash within training leaves: its beginning in the log. */
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

    journal_of(c, path);
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

/* A log that grows past its measure is replaced by a snapshot, without anyone's asking. */
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
        cmocka_unit_test(test_folders),          cmocka_unit_test(test_interrupted_training),
        cmocka_unit_test(test_torn_tail),        cmocka_unit_test(test_records_of_others),
        cmocka_unit_test(test_long_log),         cmocka_unit_test(test_syncs),
        cmocka_unit_test(test_failing_training), cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_every_call),       cmocka_unit_test(test_killed_in_recovery),
        cmocka_unit_test(test_any_time),
    };
    return test_run("asteria_recovery", tests);
}
