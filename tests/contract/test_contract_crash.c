/* test_contract_crash.c - every method that keeps something on disk, over a disk that fails and a machine that
 * loses its power: what was acknowledged is there afterwards, and nothing else.
 *
 * A seed is a row of lives. Each is a process that opens the index, holds it to what the one before left,
 * updates it, and ends at a call to the disk, or when it has done its operations. The last one has no faults
 * and closes the index. DRIFTLINE_CRASH_SEEDS says how many seeds there are over all
 * methods (200, under a sanitizer fewer).
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "crash_history.h"
#include "src/core/param.h"
#include "src/core/registry.h"
#include "tests/fault_disk.h"
#include "tests/testing.h"

enum { DIM = 16, LIVES_MOST = 4, STEPS = 24, BATCH_MOST = 20 };
enum profile { QUIET, KILLED, INTERRUPTED, FULL, FAILED_SYNC, PROFILES };

enum kind_flags {
    LIBRARY = 1,       /* filters and answers as others wrote them: asked without a filter */
    FOREIGN_STORE = 2, /* written by a library that ends the process where a call is refused */
};

struct kind {
    const char *method, *params, *knobs;
    enum crash_durability durability;
    unsigned flags;
};

#define POSTINGS "posting_entries=12,replicas=2,assign_heads=16,"
#define CLUSTERS "expected_n=50,target_cluster=12,split_max=28,merge_min=3,flat_below=4,"
#define TRAINING "train_steps=4,batch=32,"
#define ALL      "nprobe=4194304"
#define ALL_IN   "nprobe=4194304,top_ef=4194304,in_ef=4194304"
#define ALL_OF   "mode=certified,probes=4194304"

static const struct kind kinds[] = {
    { "spfresh", POSTINGS "store=mmap,journal=synced", ALL, CRASH_SYNCED, 0 },
    { "spfresh", POSTINGS "store=file,journal=synced,postings=sq8", ALL, CRASH_SYNCED, 0 },
    { "spfresh", POSTINGS "store=mmap,journal=written", ALL, CRASH_WRITTEN, 0 },
    { "spfresh", POSTINGS "store=rocksdb,journal=synced", ALL, CRASH_SYNCED, FOREIGN_STORE },
    { "spfresh", POSTINGS "store=mmap,journal=synced,maintenance=background", ALL, CRASH_SYNCED,
      0 },
    { "channi", CLUSTERS "durability=synced,maintenance=background", ALL_IN, CRASH_SYNCED, 0 },
    { "channi", CLUSTERS "durability=synced", ALL_IN, CRASH_SYNCED, 0 },
    { "channi", CLUSTERS "inside=codes,eps0=12,cold_rows=true,durability=written", ALL_IN,
      CRASH_WRITTEN, 0 },
    { "asteria", TRAINING "durability=synced", ALL_OF, CRASH_SYNCED, 0 },
    { "asteria", TRAINING "durability=synced,rows=tiered,hot_mb=0", ALL_OF, CRASH_SYNCED, 0 },
    { "asteria", TRAINING "durability=written", ALL_OF, CRASH_WRITTEN, 0 },
    { "flat", "", "", CRASH_SAVED, 0 },
    { "divf", "clusters=4,soft_k=2", ALL, CRASH_SAVED, 0 },
    { "divf", "clusters=4,storage=mmap,quantizer=rabitq,eps0=12", ALL, CRASH_SAVED, 0 },
    { "hnsw", "", "ef_search=4194304", CRASH_SAVED, 0 },
    { "ampi", "clusters=4,fans=3", "probes=4194304,fan_probes=4194304,window=1073741824",
      CRASH_SAVED, 0 },
    { "hftrie", "mode=multi", "", CRASH_SAVED, 0 },
    { "hftrie", "mode=standard,leaf_capacity=4", "", CRASH_SAVED, 0 },
    { "mih", "", "", CRASH_SAVED, 0 },
    { "mtree", "node_capacity=7", "", CRASH_SAVED, 0 },
    { "faiss-flat", "", "", CRASH_SAVED, LIBRARY },
};

/* One seed; parent and children share what `history` points to. */
struct crash {
    const struct kind *kind;
    const struct index_ops *ops;
    struct crash_history *history;
    uint64_t seed;
    size_t life;
    char dir[PATH_MAX], state[PATH_MAX], saved[PATH_MAX];
    /* Of the process: */
    struct test_bench bench;
    struct index *index;
    struct rng rng;
    size_t row_bytes;
    void *params, *knobs;
    bool healed;
    enum profile profile;
};

/* ------------------------------------------------------------------------------- failing */

#define expect(c, holds, ...)                  \
    do {                                       \
        if (!(holds))                          \
            wrong((c), __LINE__, __VA_ARGS__); \
    } while (0)

static _Noreturn void wrong(const struct crash *c, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static _Noreturn void wrong(const struct crash *c, int line, const char *format, ...)
{
    static const char *const names[] = { "quiet", "killed", "interrupted", "full disk",
                                         "failed sync" };
    va_list args;

    fprintf(stderr,
            "%s %s, seed %" PRIu64 ", life %zu (%s), operation %zu, line %d: ", c->kind->method,
            c->kind->params, c->seed, c->life, names[c->profile], c->history->n, line);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", c->bench.error.code ? ": " : "",
            c->bench.error.code ? c->bench.error.text : "");
    _exit(3);
}

/* ------------------------------------------------------------------------------- rows */

static void fill_row(const struct crash *c, uint64_t id, unsigned generation, void *row)
{
    struct rng r = rng_at(c->seed, 1000 + id * 256 + generation);
    const struct index_env *env = &c->bench.env;

    if (env->element == ELEMENT_B64) {
        const uint64_t code = rng_u64(&r);
        memcpy(row, &code, sizeof code);
    } else if (env->element == ELEMENT_U8) {
        test_fill_u8(&r, row, 1, DIM, 0, 1);
    } else {
        test_fill_f32(&r, row, 1, DIM, 0, 1);
        if (env->metric == METRIC_COS)
            test_normalise_f32(row, 1, DIM);
    }
}

/* The generation that the index has of an id, 0: none. Asked by the row itself and a filter for the id. */
static uint8_t generation_of(struct crash *c, uint64_t id)
{
    enum { NEAREST = 16 };
    unsigned char row[DIM * sizeof(float)];
    uint64_t bits[CRASH_IDS / 64 + 1] = { 0 }, found[NEAREST];
    const struct id_filter filter = { bits, CRASH_IDS };
    const size_t k = (c->kind->flags & LIBRARY) ? NEAREST : 1;
    float distances[NEAREST];
    bool there = false;

    bits[id / 64] = UINT64_C(1) << id % 64;
    for (uint8_t g = c->history->generations[id]; g > 0; g--) {
        fill_row(c, id, g, row);
        const struct search_request request = { { row, 1, c->bench.env.dim, c->bench.env.element },
                                                k,
                                                c->knobs,
                                                (c->kind->flags & LIBRARY) ? NULL : &filter,
                                                1 };
        struct search_result result = { .ids = found, .distances = distances };
        const int rc = c->ops->search(c->index, &request, &result);
        expect(c, rc == OK, "search: %s", error_name(rc));
        for (size_t i = 0; i < k; i++) {
            expect(c, k > 1 || found[i] == id || found[i] == ID_NONE,
                   "a search for id %" PRIu64 " alone gives %" PRIu64, id, found[i]);
            if (found[i] == id && fabsf(distances[i]) < 1e-4F)
                return g;
            there = there || found[i] == id;
        }
    }
    expect(c, !there || (c->kind->flags & LIBRARY),
           "id %" PRIu64 " has a row that was never inserted", id);
    return 0;
}

/* What the index holds: each id asked for by itself, and all at once. */
static void find_state(struct crash *c, crash_state found)
{
    enum { MOST = CRASH_IDS + 8 };
    unsigned char row[DIM * sizeof(float)];
    uint64_t ids[MOST];
    float distances[MOST];
    bool seen[CRASH_IDS] = { false };
    struct search_result result = { .ids = ids, .distances = distances };

    const int rc = c->ops->check ? c->ops->check(c->index, NULL) : OK;
    expect(c, rc == OK, "check: %s", error_name(rc));
    for (uint64_t id = 0; id < CRASH_IDS; id++)
        found[id] = generation_of(c, id);
    if (c->kind->flags & LIBRARY)
        return;
    fill_row(c, 0, 1, row);
    const struct search_request all = {
        { row, 1, c->bench.env.dim, c->bench.env.element }, MOST, c->knobs, NULL, 1
    };
    const int searched = c->ops->search(c->index, &all, &result);
    expect(c, searched == OK, "search: %s", error_name(searched));
    for (size_t i = 0; i < MOST && ids[i] != ID_NONE; i++) {
        expect(c, ids[i] < CRASH_IDS && !seen[ids[i]],
               "id %" PRIu64 " is found twice, or never was one", ids[i]);
        seen[ids[i]] = true;
    }
    for (uint64_t id = 0; id < CRASH_IDS; id++)
        expect(c, seen[id] == (found[id] > 0), "id %" PRIu64 " is found %s alone", id,
               seen[id] ? "with others, and not" : "");
}

/* ------------------------------------------------------------------------------- opening */

static void open_bench(struct crash *c)
{
    const struct index_space space = c->ops->spaces[0];

    test_bench_begin(&c->bench, space.element, space.metric,
                     space.element == ELEMENT_B64 ? 64 : DIM, 1);
    c->bench.env.dir = c->state;
    c->row_bytes = element_row_bytes(space.element, c->bench.env.dim);
}

/* "a=1,b=2" */
static void *options(struct crash *c, const struct param *table, size_t bytes, const char *text)
{
    char copy[256], *rest = NULL;
    void *out = calloc(1, bytes + 1);

    (void)snprintf(copy, sizeof copy, "%s", text);
    param_defaults(table, out);
    for (char *pair = strtok_r(copy, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *value = strchr(pair, '=');
        *value++ = '\0';
        const struct param_value v = { .kind = VALUE_TEXT, .text = value };
        expect(c, param_set(table, out, pair, v, c->ops->name, &c->bench.error) == OK, "option");
    }
    return out;
}

static const char *home(const struct crash *c)
{
    return c->kind->durability == CRASH_SAVED ? c->saved : c->state;
}

/* A call failed: only if the disk did. It is asked again where a disk without faults must do. */
static bool may_fail(struct crash *c, int rc, const char *what)
{
    if (rc == OK)
        return false;
    expect(c, disk_failed() && !c->healed, "%s: %s, and the disk did not fail", what,
           error_name(rc));
    expect(c, rc == ERR_IO && c->bench.error.code == rc, "%s: expected %s, got %s", what,
           error_name(ERR_IO), error_name(rc));
    error_clear(&c->bench.error);
    return true;
}

static void heal(struct crash *c)
{
    disk_heal();
    c->healed = true;
}

static void create(struct crash *c)
{
    test_dir_clear(c->state);
    int rc = c->ops->create(&c->index, &c->bench.env, c->params);
    if (may_fail(c, rc, "create")) {
        heal(c);
        test_dir_clear(c->state);
        rc = c->ops->create(&c->index, &c->bench.env, c->params);
        expect(c, rc == OK, "create: %s", error_name(rc));
    }
}

static int load(struct crash *c)
{
    /* What an index saved elsewhere has in its own folder is scratch. */
    if (c->kind->durability == CRASH_SAVED)
        test_dir_clear(c->state);
    int rc = c->ops->load(&c->index, &c->bench.env, home(c));
    if (rc == OK || rc == ERR_NOT_FOUND)
        return rc;
    /* A full disk is no reason. */
    expect(c, c->profile != FULL || c->kind->durability == CRASH_SAVED, "load: %s", error_name(rc));
    (void)may_fail(c, rc, "load");
    heal(c);
    rc = c->ops->load(&c->index, &c->bench.env, home(c));
    expect(c, rc == OK || rc == ERR_NOT_FOUND, "load: %s", error_name(rc));
    return rc;
}

/* The index as it was left, or a new one where there need be none. */
static void open_index(struct crash *c, bool reload, crash_state found)
{
    const int rc = load(c);
    uint64_t id;

    memset(found, 0, sizeof(crash_state));
    if (rc == ERR_NOT_FOUND) {
        expect(c, crash_allows_none(c->history, reload), "no index is there");
        error_clear(&c->bench.error);
        create(c);
        return;
    }
    find_state(c, found);
    if (!crash_allows(c->history, found, reload, &id)) {
        crash_print(c->history, id, stderr);
        wrong(c, __LINE__, "id %" PRIu64 " has generation %d", id, found[id]);
    }
    c->history->existed = true;
}

/* ------------------------------------------------------------------------------- operations */

/* Up to n ids that are live, or not, in random order. */
static size_t pick(struct crash *c, bool live, size_t n, uint64_t *ids)
{
    uint64_t order[CRASH_IDS];
    size_t picked = 0;

    for (uint64_t i = 0; i < CRASH_IDS; i++)
        order[i] = i;
    rng_shuffle_u64(&c->rng, order, CRASH_IDS);
    for (size_t i = 0; i < CRASH_IDS && picked < n; i++)
        if ((crash_now(c->history)[order[i]] > 0) == live &&
            c->history->generations[order[i]] < 250)
            ids[picked++] = order[i];
    return picked;
}

static void train(struct crash *c)
{
    float rows[64 * DIM];
    struct rng r = rng_at(c->seed, 6);

    test_fill_f32(&r, rows, 64, DIM, 3, .5);
    test_normalise_f32(rows, 64, DIM);
    const int rc = c->ops->train(c->index, (struct vectors){ rows, 64, DIM, ELEMENT_F32 });
    if (may_fail(c, rc, "train")) {
        heal(c);
        expect(c, c->ops->train(c->index, (struct vectors){ rows, 64, DIM, ELEMENT_F32 }) == OK,
               "train");
    }
}

/* New rows for the operation's ids from `first` on. */
static void renew_rows(struct crash *c, struct crash_op *op, size_t first, size_t n,
                       unsigned char *rows)
{
    for (size_t i = 0; i < n; i++) {
        op->after[first + i] = ++c->history->generations[op->ids[first + i]];
        fill_row(c, op->ids[first + i], op->after[first + i], rows + i * c->row_bytes);
    }
}

static void insert(struct crash *c, struct crash_op *op)
{
    unsigned char rows[BATCH_MOST * DIM * sizeof(float)];
    size_t done = 0;

    op->kind = CRASH_UPDATE;
    op->n = pick(c, false, 1 + rng_below(&c->rng, BATCH_MOST), op->ids);
    renew_rows(c, op, 0, op->n, rows);
    const struct vectors v = { rows, op->n, c->bench.env.dim, c->bench.env.element };
    op->begun = true;
    int rc = op->n ? c->ops->insert(c->index, v, op->ids, &done) : OK;
    if (rc == ERR_UNTRAINED) {
        error_clear(&c->bench.error);
        train(c);
        rc = c->ops->insert(c->index, v, op->ids, &done);
    }
    const bool failed = may_fail(c, rc, "insert");
    expect(c, done <= op->n && (failed || done == op->n), "insert did %zu of %zu", done, op->n);
    crash_end_op(c->history, !failed, done);
}

static void remove_some(struct crash *c, struct crash_op *op)
{
    size_t done = 0;

    op->kind = CRASH_UPDATE;
    op->n = pick(c, true, 1 + rng_below(&c->rng, BATCH_MOST), op->ids);
    op->begun = true;
    const int rc = op->n ? c->ops->remove(c->index, op->ids, op->n, &done) : OK;
    const bool failed = may_fail(c, rc, "remove");
    expect(c, done <= op->n && (failed || done == op->n), "remove did %zu of %zu", done, op->n);
    crash_end_op(c->history, !failed, done);
}

/* Removals, then insertions, in one transaction. */
static void transact(struct crash *c, struct crash_op *op)
{
    unsigned char rows[BATCH_MOST * DIM * sizeof(float)];
    const struct index_txn_ops *txn = c->ops->txn;
    const bool commits = rng_below(&c->rng, 4) > 0;
    size_t done;

    op->kind = CRASH_UPDATE;
    op->atomic = true;
    const size_t removed = pick(c, true, rng_below(&c->rng, BATCH_MOST), op->ids);
    const size_t added = pick(c, false, 1 + rng_below(&c->rng, BATCH_MOST), op->ids + removed);
    op->n = removed + added;
    renew_rows(c, op, removed, added, rows);
    const struct vectors v = { rows, added, c->bench.env.dim, c->bench.env.element };
    op->begun = commits;
    int rc = txn->begin(c->index);
    if (rc == OK && removed)
        rc = c->ops->remove(c->index, op->ids, removed, &done);
    if (rc == OK && added)
        rc = c->ops->insert(c->index, v, op->ids + removed, &done);
    expect(c, rc == OK, "a transaction: %s", error_name(rc));
    rc = commits ? txn->commit(c->index, NULL) : txn->rollback(c->index);
    const bool failed = may_fail(c, rc, "commit");
    if (failed)
        expect(c, txn->rollback(c->index) == OK, "rollback after a commit that failed");
    crash_end_op(c->history, !failed, failed || !commits ? 0 : op->n);
}

static void maintain(struct crash *c, struct crash_op *op)
{
    bool more;

    op->kind = CRASH_OTHER;
    op->begun = true;
    const bool failed =
        c->ops->maintain && may_fail(c, c->ops->maintain(c->index, 0, &more), "maintain");
    crash_end_op(c->history, !failed, 0);
}

static void save(struct crash *c, struct crash_op *op)
{
    op->kind = CRASH_SAVE;
    op->begun = true;
    crash_end_op(c->history, !may_fail(c, c->ops->save(c->index, home(c)), "save"), 0);
}

static void reload(struct crash *c, struct crash_op *op)
{
    crash_state found;

    op->kind = CRASH_RELOAD;
    op->begun = true;
    c->ops->destroy(c->index);
    c->index = NULL;
    open_index(c, true, found);
    crash_end_reload(c->history, found);
}

static void step(struct crash *c)
{
    struct crash_op *op = crash_begin_op(c->history);
    const uint64_t dice = rng_below(&c->rng, 100);

    if (!op)
        return;
    if (dice < 20 && c->ops->txn)
        transact(c, op);
    else if (dice < 45)
        insert(c, op);
    else if (dice < 70)
        remove_some(c, op);
    else if (dice < 78)
        maintain(c, op);
    else if (dice < 91)
        save(c, op);
    else
        reload(c, op);
    const int rc = c->ops->check ? c->ops->check(c->index, NULL) : OK;
    expect(c, rc == OK, "check: %s", error_name(rc));
}

/* ------------------------------------------------------------------------------- lives */

static struct disk_plan plan_of(struct crash *c)
{
    /* Lives make from some ten calls to some five hundred; those that end early are cheap. */
    const size_t calls = (size_t)16 << rng_below(&c->rng, 6);
    struct disk_plan p = { .seed = rng_mix(c->seed, c->life) };

    c->profile = rng_below(&c->rng, (c->kind->flags & FOREIGN_STORE) ? FULL : PROFILES);
    p.end_at = 1 + rng_below(&c->rng, calls);
    p.killed = c->profile == KILLED;
    if (c->profile == INTERRUPTED)
        p.short_rate = p.interrupt_rate = 300;
    if (c->profile == FULL) {
        p.full_from = 1 + rng_below(&c->rng, calls / 2);
        p.full_calls = calls / 4;
    }
    if (c->profile == FAILED_SYNC)
        p.sync_fails_at = 1 + rng_below(&c->rng, calls / 4 + 1);
    return p;
}

static void begin_life(struct crash *c, bool last)
{
    struct disk_plan plan;
    crash_state found;

    c->rng = rng_at(c->seed, 10 + c->life);
    open_bench(c);
    c->params = options(c, c->ops->params, c->ops->params_bytes, c->kind->params);
    c->knobs = options(c, c->ops->knobs, c->ops->knobs_bytes, c->kind->knobs);
    plan = plan_of(c);
    if (last) {
        plan = (struct disk_plan){ .seed = c->seed };
        c->profile = QUIET;
        c->healed = true;
    }
    disk_begin(c->dir, &plan);
    open_index(c, !c->history->cut, found);
    crash_opened(c->history, found);
}

/* A process of its own: it ends as planned, or by a power cut when all is done. */
static _Noreturn void live(struct crash *c)
{
    begin_life(c, false);
    const size_t heal_at = rng_below(&c->rng, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        if (i == heal_at && c->profile > KILLED)
            heal(c);
        step(c);
    }
    if (c->profile == KILLED)
        _exit(DISK_KILLED);
    disk_cut();
}

static _Noreturn void last_life(struct crash *c)
{
    crash_state found;

    begin_life(c, true);
    for (size_t i = 0; i < STEPS / 3; i++)
        step(c);
    c->ops->destroy(c->index);
    open_index(c, true, found);
    c->ops->destroy(c->index);
    expect(c, mem_live(&c->bench.mem) == 0, "%zu bytes leak", mem_live(&c->bench.mem));
    _exit(0);
}

static void run_life(struct crash *c, bool last)
{
    int status = 0;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (last)
            last_life(c);
        live(c);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    const bool as_planned = WIFEXITED(status) && (last ? WEXITSTATUS(status) == 0
                                                       : WEXITSTATUS(status) == DISK_POWER_CUT ||
                                                             WEXITSTATUS(status) == DISK_KILLED);
    if (!as_planned)
        fail_msg("%s %s: seed %" PRIu64
                 ", life %zu ended with %s %d; again: DRIFTLINE_SEED=%" PRIu64
                 " DRIFTLINE_CRASH_SEEDS=1",
                 c->kind->method, c->kind->params, c->seed, c->life,
                 WIFEXITED(status) ? "status" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), c->seed);
    c->history->cut = c->history->cut || WEXITSTATUS(status) == DISK_POWER_CUT;
}

static void run_seed(struct crash *c)
{
    struct rng r = rng_at(c->seed, 8);
    const size_t lives = 1 + rng_below(&r, LIVES_MOST - 1);

    memset(c->history, 0, sizeof *c->history);
    c->history->durability = c->kind->durability;
    test_dir_make_in_memory(c->dir);
    (void)snprintf(c->state, sizeof c->state, "%.4000s/state", c->dir);
    (void)snprintf(c->saved, sizeof c->saved, "%.4000s/saved", c->dir);
    assert_true(mkdir(c->state, 0777) == 0 && mkdir(c->saved, 0777) == 0);
    for (c->life = 0; c->life <= lives; c->life++)
        run_life(c, c->life == lives);
    test_dir_remove(c->dir);
}

static size_t seeds_in_all(void)
{
    const char *given = getenv("DRIFTLINE_CRASH_SEEDS");

    return given && *given ? strtoull(given, NULL, 0) : 200 / test_scale();
}

/* Seeds that have found something. */
static const uint64_t finders[] = { 20240515 };

static void run_kind(void **state)
{
    struct crash *c = *state;
    const size_t n_kinds = sizeof kinds / sizeof *kinds, seeds = seeds_in_all();
    const size_t each = seeds == 1 ? 1 : (seeds + n_kinds - 1) / n_kinds;

    for (size_t i = 0; i < each; i++) {
        c->seed = test_seed() + i;
        run_seed(c);
    }
    for (size_t i = 0; seeds > 1 && i < sizeof finders / sizeof *finders; i++) {
        c->seed = finders[i];
        run_seed(c);
    }
}

static const struct index_ops *ops_named(const struct registry *registry, const char *name)
{
    for (size_t i = 0; i < registry->n; i++)
        if (strcmp(registry->ops[i]->name, name) == 0)
            return registry->ops[i];
    return NULL;
}

int main(void)
{
    enum { N = sizeof kinds / sizeof *kinds };
    static struct crash crashes[N];
    static struct CMUnitTest tests[N];
    static char names[N][200];
    struct registry registry;
    struct error error = { 0 };
    const char *only = getenv("DRIFTLINE_TEST_METHOD");
    size_t n = 0;

    if (registry_open(&registry, &error) != OK)
        return 1;
    for (size_t i = 0; i < N; i++) {
        const struct index_ops *ops = ops_named(&registry, kinds[i].method);
        if (!ops || (only && *only && strcmp(only, kinds[i].method) != 0))
            continue;
        crashes[n] = (struct crash){ .kind = &kinds[i], .ops = ops };
        crashes[n].history = mmap(NULL, sizeof(struct crash_history), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        (void)snprintf(names[n], sizeof names[n], "crash: %s %s", kinds[i].method, kinds[i].params);
        tests[n] = (struct CMUnitTest){ names[n], run_kind, NULL, NULL, &crashes[n] };
        n++;
    }
    test_filter();
    const int status = n ? test_verdict(_cmocka_run_group_tests("crash", tests, n, NULL, NULL)) : 0;
    registry_close(&registry);
    return status;
}
