/* crash.h - an index in a process that is killed at any system call, and what it must
   have afterwards. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_CRASH_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_CRASH_H

#include <sys/mman.h>
#include <sys/stat.h>

#include "algorithms/asteria/durable/durable.h"
#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/common/durable/wal.h"
#include "tests/support/fault_injection.h"
#include "tests/support/index_folder.h"
#include "tests/unit/asteria/store.h"

enum { OPS = 512 };

struct op { /* ids first .. first + n - 1 */
    bool insert;
    size_t first, n;
};

/* Shared with children. An op is in progress from `begun` to `done`. */
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
    { "bytes, written", INDEX_U8, ASTERIA_WRITTEN, ASTERIA_ROWS_MEMORY, LINK_MAINTAIN },
    { "floats, synced, tiered", INDEX_F32, ASTERIA_SYNCED, ASTERIA_ROWS_TIERED, LINK_INSERT },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct crash {
    struct small s;
    struct asteria_params params;
    enum element element;
    char dir[PATH_MAX];
    bool stored[STORE_ROWS], doubtful[STORE_ROWS];
    struct record *record;
    struct injected_faults faults;
    struct file_fault fault; /* as faults, except for reads, which change nothing */
    uint64_t seed;
    char said[300]; /* the last line of env.log */
};

static inline void say(void *to, const char *line)
{
    struct crash *c = to;

    (void)snprintf(c->said, sizeof c->said, "%s", line);
}

static inline int but_for_reads(void *to, const char *call)
{
    struct crash *c = to;

    return strcmp(call, "read") == 0 ? 0 : c->faults.fault.before(c->faults.fault.to, call);
}

static inline void begin(struct crash *c, const struct kind *k)
{
    memset(c, 0, sizeof *c);
    c->element = k->element;
    c->params = small_params();
    c->params.wal = k->durability;
    c->params.storage = k->rows;
    c->params.cache_mb = 0;
    c->params.link_policy = k->link;
    c->seed = test_seed();
    c->record =
        mmap(NULL, sizeof *c->record, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(c->record != MAP_FAILED);
    faults_begin(&c->faults, &c->record->calls);
    c->fault = (struct file_fault){ but_for_reads, c };
    test_dir_make_in_memory(c->dir);
}

static inline void end(struct crash *c)
{
    munmap(c->record, sizeof *c->record);
    test_dir_remove(c->dir);
}

/* Opens a new bench, so that a child has threads and the parent has none. */
static inline void open_bench(struct crash *c)
{
    small_begin(&c->s, c->element, &c->params, c->dir);
    memcpy(c->s.stored, c->stored, sizeof c->stored);
    c->s.rng = rng_at(c->seed, 41);
    c->s.bench.env.log = say;
    c->s.bench.env.log_to = c;
}

static inline int apply(struct crash *c, struct op op)
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

/* What the child does: training, updates, maintenance, checkpoints, a newer model. */
static inline int stream(struct crash *c, size_t steps, bool fresh)
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

/* Runs the stream in a child. true: it finished; false: it was killed. delay_us: time after which
   it is killed. */
static inline bool child(struct crash *c, size_t steps, bool fresh, useconds_t delay_us)
{
    memset(c->record, 0, sizeof *c->record);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_bench(c);
        const int rc = stream(c, steps, fresh);
        if (rc != OK)
            fprintf(stderr, "child: %s: %s\n", error_name(rc), c->s.bench.error.text);
        /* Not destroyed: recovery must not need that. */
        _exit(rc != OK ? 3 : 0);
    }
    return faults_wait(&c->faults, pid, delay_us, c->seed);
}

/* What the child has acknowledged. Ids of the op in progress may be stored or not. */
static inline void learn(struct crash *c)
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

static inline void expect(struct crash *c, const char *when)
{
    char text[120];

    (void)snprintf(text, sizeof text, "%s (kill_at %zu)", when, atomic_load(&c->faults.kill_at));
    for (size_t id = 0; id < STORE_ROWS; id++)
        if (c->doubtful[id])
            c->s.stored[id] = slot_table_get(&c->s.a->slots, c->s.a->ids, id, NULL);
    memset(c->doubtful, 0, sizeof c->doubtful);
    small_expect(&c->s, text);
    memcpy(c->stored, c->s.stored, sizeof c->stored);
}

/* Reopened, the index has what was acknowledged; it accepts updates; reopened again,
   it has these. */
static inline void recover(struct crash *c, bool fresh)
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

#endif
