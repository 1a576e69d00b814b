/* test_durable.c - claims of a folder, checkpoints that fail at any system call, and which
   state a load restores. */
#include "tests/support/testing.h"

#include <errno.h>
#include <unistd.h>

#include "algorithms/common/durable/durable.h"
#include "algorithms/common/durable/folder_claim.h"
#include "tests/support/fault_injection.h"

enum { STEP = 4096, RECORD = 64 };
#define NAME "toy.snapshot"

struct shell {
    struct mem mem;
    struct error error;
    struct index_env env;
    char dir[PATH_MAX];
    struct durable d;
    /* settings and observations of the snapshot's callbacks */
    int refuse; /* write()'s code */
    size_t wrote, padding, ends;
    bool rotates;
    enum durable_outcome outcome;
    uint64_t lsn;
};

static void begin(struct shell *s, const struct file_fault *fault)
{
    memset(s, 0, sizeof *s);
    test_dir_make(s->dir);
    s->env = (struct index_env){ .mem = &s->mem, .error = &s->error, .dir = s->dir, .dim = 1 };
    s->rotates = true;
    durable_init(&s->d, &s->env, fault, STEP);
}

static void end(struct shell *s)
{
    durable_free(&s->d);
    assert_int_equal(mem_live(&s->mem), 0);
    test_dir_remove(s->dir);
}

static void open_log(struct shell *s)
{
    assert_ok(durable_take_folder(&s->d, NULL), &s->error);
    assert_ok(durable_open_log(&s->d, WAL_WRITTEN, 0, 0), &s->error);
}

static void log_some(struct shell *s, size_t records)
{
    const unsigned char bytes[RECORD] = { 7 };
    const struct wal_part part = { bytes, sizeof bytes };
    struct wal_batch batch = { 0 };

    for (size_t i = 0; i < records; i++)
        assert_ok(wal_append(s->d.wal, &batch, 1, &part, 1), &s->error);
    assert_ok(wal_commit(s->d.wal, &batch), &s->error);
}

static int write_sections(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct shell *s = to;
    const unsigned char byte = 1;

    s->wrote++;
    if (s->refuse != OK)
        return s->refuse;
    const int rc = s->rotates ? wal_rotate(s->d.wal, lsn) : OK;
    store_section(w, "bytes");
    for (size_t i = 0; i < 1 + s->padding; i++)
        store_write(w, &byte, 1);
    return rc;
}

static void ended(void *to, enum durable_outcome outcome, uint64_t lsn)
{
    struct shell *s = to;

    s->ends++;
    s->outcome = outcome;
    s->lsn = lsn;
}

static struct durable_snapshot snapshot_of(struct shell *s)
{
    return (struct durable_snapshot){ .name = NAME,
                                      .identity = store_identity_of(&s->env, "toy", 1),
                                      .write = write_sections,
                                      .ended = ended,
                                      .to = s };
}

/* ------------------------------------------------------------------------------ the folder */

static void test_one_index_to_a_folder(void **state)
{
    struct shell s;
    struct durable other;
    int claim = -1;

    begin(&s, NULL);
    assert_ok(durable_take_folder(&s.d, NULL), &s.error);
    assert_ptr_not_equal(s.d.env.dir, s.dir);
    assert_string_equal(s.d.env.dir, s.dir);
    durable_init(&other, &s.env, NULL, STEP);
    assert_code(durable_take_folder(&other, NULL), ERR_IO, &s.error);
    durable_free(&other);
    durable_free(&s.d);

    /* a claim that the caller made before is taken over */
    assert_ok(folder_claim(s.dir, &claim, &s.error), &s.error);
    durable_init(&s.d, &s.env, NULL, STEP);
    assert_ok(durable_take_folder(&s.d, &claim), &s.error);
    assert_int_equal(claim, -1);
    assert_true(s.d.claim >= 0);
    assert_int_equal(durable_refuse_taken(&s.env, "toy", NAME), ERR_ARGUMENT);
    assert_non_null(strstr(s.error.text, "holds an index already (" NAME ")"));
    end(&s);
}

/* --------------------------------------------------------------------------- checkpoints */

static void test_without_a_log_nothing_happens(void **state)
{
    struct shell s;

    begin(&s, NULL);
    const struct durable_snapshot snapshot = snapshot_of(&s);
    assert_false(durable_is_due(&s.d));
    assert_false(durable_is_own(&s.d, s.dir));
    assert_ok(durable_checkpoint(&s.d, &snapshot), &s.error);
    assert_int_equal(s.wrote + s.ends, 0);
    end(&s);
}

static void test_a_checkpoint_shortens_the_log(void **state)
{
    struct shell s;

    begin(&s, NULL);
    open_log(&s);
    const struct durable_snapshot snapshot = snapshot_of(&s);
    log_some(&s, 2);
    assert_false(durable_is_due(&s.d));
    log_some(&s, STEP / RECORD);
    assert_true(durable_is_due(&s.d));
    assert_ok(durable_checkpoint(&s.d, &snapshot), &s.error);
    assert_int_equal(s.outcome, DURABLE_DONE);
    assert_int_equal(s.lsn, 2 + STEP / RECORD);
    assert_false(durable_is_due(&s.d));
    assert_true(wal_bytes(s.d.wal) < STEP);
    assert_true(folder_has(s.dir, NAME));
    assert_true(durable_is_own(&s.d, s.dir));
    end(&s);
}

/* Other files count as well as the log; with by_size, a large snapshot allows a long log. */
static void test_when_a_checkpoint_is_due(void **state)
{
    struct shell s;

    begin(&s, NULL);
    open_log(&s);
    struct durable_snapshot snapshot = snapshot_of(&s);
    atomic_store(&s.d.parked_bytes, STEP);
    assert_true(durable_is_due(&s.d));
    atomic_store(&s.d.parked_bytes, 0);
    s.padding = 8 * STEP;
    snapshot.by_size = true;
    assert_ok(durable_checkpoint(&s.d, &snapshot), &s.error);
    log_some(&s, 2 * STEP / RECORD);
    assert_false(durable_is_due(&s.d));
    log_some(&s, 8 * STEP / RECORD);
    assert_true(durable_is_due(&s.d));

    /* after a failure the next checkpoint is not due at once */
    s.refuse = ERR_NO_MEMORY;
    assert_int_equal(durable_checkpoint(&s.d, &snapshot), ERR_NO_MEMORY);
    assert_int_equal(s.outcome, DURABLE_NOTHING);
    assert_false(durable_is_due(&s.d));
    log_some(&s, STEP / RECORD);
    assert_true(durable_is_due(&s.d));
    end(&s);
}

/* Each system call fails in turn: the log stays complete, and the reported
   outcome matches the folder. */
static void test_every_call_fails(void **state)
{
    bool in_doubt = false;

    for (size_t i = 1;; i++) {
        struct shell s;
        struct injected_faults m;
        atomic_size_t calls = 0;

        faults_begin(&m, &calls);
        begin(&s, &m.fault);
        open_log(&s);
        log_some(&s, 3);
        const struct durable_snapshot snapshot = snapshot_of(&s);
        m.code = EIO;
        m.fail_at = atomic_load(&calls) + i;
        const int rc = durable_checkpoint(&s.d, &snapshot);
        const bool failed = m.failed[0] != '\0';
        m.fail_at = 0;
        if (s.ends > 0)
            assert_int_equal(s.outcome, rc == OK                  ? DURABLE_DONE
                                        : folder_has(s.dir, NAME) ? DURABLE_IN_DOUBT
                                                                  : DURABLE_NOTHING);
        else
            assert_false(folder_has(s.dir, NAME));
        in_doubt |= s.ends > 0 && s.outcome == DURABLE_IN_DOUBT;
        log_some(&s, 1);
        assert_int_equal(wal_last(s.d.wal), 4);
        assert_ok(durable_checkpoint(&s.d, &snapshot), &s.error);
        assert_int_equal(s.outcome, DURABLE_DONE);
        end(&s);
        if (!failed)
            break;
    }
    assert_true(in_doubt); /* the fsync of the folder */
}

static void test_a_copy_leaves_the_log_alone(void **state)
{
    struct shell s;
    char copy[PATH_MAX];

    begin(&s, NULL);
    open_log(&s);
    log_some(&s, 3);
    const uint64_t bytes = wal_bytes(s.d.wal);
    const struct durable_snapshot snapshot = snapshot_of(&s);
    test_dir_make(copy);
    s.rotates = false;
    assert_ok(durable_write(&s.d, copy, &snapshot), &s.error);
    assert_int_equal(s.outcome, DURABLE_DONE);
    assert_true(folder_has(copy, NAME));
    assert_false(folder_has(s.dir, NAME));
    assert_int_equal(wal_bytes(s.d.wal), bytes);
    test_dir_remove(copy);
    end(&s);
}

/* --------------------------------------------------------------------------------- loading */

struct loads {
    size_t recovered, loaded;
    int code;
    bool takes; /* recover() takes over the claim */
    int claim;
};

static int recover(void *to, int *claim)
{
    struct loads *l = to;

    l->recovered++;
    assert_true(*claim >= 0);
    if (l->takes) {
        l->claim = *claim;
        *claim = -1;
    }
    return l->code;
}

static int load_saved(void *to)
{
    struct loads *l = to;

    l->loaded++;
    return l->code;
}

static void test_which_index_is_loaded(void **state)
{
    struct shell s;
    struct loads l = { .takes = true };
    struct durable_loading calls = { .recover = recover, .load_saved = load_saved, .to = &l };
    char other[PATH_MAX];
    int claim = -1;

    begin(&s, NULL);
    test_dir_make(other);
    assert_ok(durable_load(&s.env, s.dir, &calls), &s.error); /* no index was running there */
    assert_int_equal(l.loaded, 1);
    calls.ran = true;
    assert_ok(durable_load(&s.env, other, &calls), &s.error);
    assert_int_equal(l.loaded, 2);
    assert_ok(durable_load(&s.env, s.dir, &calls), &s.error);
    assert_int_equal(l.recovered, 1);

    /* a load claims the folder, unless it fails */
    assert_code(durable_load(&s.env, s.dir, &calls), ERR_IO, &s.error);
    assert_int_equal(l.recovered, 1);
    (void)close(l.claim);
    l.takes = false;
    l.code = ERR_CORRUPT;
    assert_int_equal(durable_load(&s.env, s.dir, &calls), ERR_CORRUPT);
    assert_ok(folder_claim(s.dir, &claim, &s.error), &s.error);
    (void)close(claim);

    /* an index was running there, and nothing was saved */
    l.code = fail(&s.error, ERR_NOT_FOUND, "no file");
    assert_code(durable_load(&s.env, other, &calls), ERR_NOT_FOUND, &s.error);
    assert_int_equal(l.loaded, 3);
    test_dir_remove(other);
    end(&s);
}

int main(void)
{
    return test_run_all("durable", test_one_index_to_a_folder, test_without_a_log_nothing_happens,
                        test_a_checkpoint_shortens_the_log, test_when_a_checkpoint_is_due,
                        test_every_call_fails, test_a_copy_leaves_the_log_alone,
                        test_which_index_is_loaded);
}
