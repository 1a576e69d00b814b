/* test_crash.c - every method that keeps something on disk, over a disk that fails and a machine
 * that loses its power: what was acknowledged is there afterwards, and nothing else.
 *
 * crash_run.h says what a seed and its lives are. The last life has no faults and closes the index.
 * DRIFTLINE_CRASH_SEEDS says how many seeds there are over all methods (350, under a sanitizer
 * fewer).
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "src/cli/methods.h"
#include "src/core/registry.h"
#include "tests/contract/crash_run.h"
#include "tests/support/fault_disk.h"

enum { LIVES_MOST = 4, STEPS = 24 };

#define POSTINGS "posting_entries=12,replicas=2,assign_heads=16,"
#define CLUSTERS "expected_n=50,target_cluster=12,split_max=28,merge_min=3,flat_below=4,"
#define TRAINING "train_steps=4,batch=32,"
#define ALL      "nprobe=4194304"
#define ALL_IN   "nprobe=4194304,top_ef=4194304,in_ef=4194304"
#define ALL_OF   "mode=certified,nprobe=4194304"

static const struct crash_setting settings[] = {
    { "spfresh", POSTINGS "store=mmap,wal=synced", ALL, CRASH_SYNCED, 0 },
    { "spfresh", POSTINGS "store=file,wal=synced,postings=sq8", ALL, CRASH_SYNCED, 0 },
    { "spfresh", POSTINGS "store=mmap,wal=written", ALL, CRASH_WRITTEN, 0 },
    { "spfresh", POSTINGS "store=file,wal=written,postings=rabitq,eps0=12", ALL, CRASH_WRITTEN, 0 },
    { "spann", POSTINGS "store=mmap,wal=written,postings=sq8", ALL, CRASH_WRITTEN, 0 },
    { "spfresh", POSTINGS "store=rocksdb,wal=synced", ALL, CRASH_SYNCED, CRASH_FOREIGN_STORE },
    { "spfresh", POSTINGS "store=mmap,wal=synced,maintenance=background", ALL, CRASH_SYNCED, 0 },
    { "channi", CLUSTERS "cluster_index=graph,wal=synced,maintenance=background", ALL_IN,
      CRASH_SYNCED, 0 },
    { "channi", CLUSTERS "cluster_index=graph,wal=synced,maintenance=inline", ALL_IN, CRASH_SYNCED,
      0 },
    { "channi",
      CLUSTERS "cluster_index=codes,eps0=12,cold_rows=true,wal=written,maintenance=inline", ALL_IN,
      CRASH_WRITTEN, 0 },
    { "channi", CLUSTERS "cluster_index=scan,history=5,wal=written,maintenance=explicit", ALL_IN,
      CRASH_WRITTEN, 0 },
    { "channi", CLUSTERS "cluster_index=graph,wal=none,maintenance=inline", ALL_IN, CRASH_SAVED,
      0 },
    { "asteria", TRAINING "wal=synced", ALL_OF, CRASH_SYNCED, 0 },
    { "asteria", TRAINING "wal=synced,storage=tiered,cache_mb=0", ALL_OF, CRASH_SYNCED,
      CRASH_VECTORS_FILE },
    { "asteria", TRAINING "storage=tiered,cache_mb=0", ALL_OF, CRASH_SAVED, 0 },
    { "asteria", TRAINING "wal=written", ALL_OF, CRASH_WRITTEN, 0 },
    { "symqg", "ef_construction=60,wal=synced", "ef_search=4194304", CRASH_SYNCED, 0 },
    { "symqg", "ef_construction=60,wal=written", "ef_search=4194304", CRASH_WRITTEN, 0 },
    { "symqg", "ef_construction=60", "ef_search=4194304", CRASH_SAVED, 0 },
    { "flat", "", "", CRASH_SAVED, 0 },
    { "flat", "wal=synced", "", CRASH_SYNCED, 0 },
    { "flat", "wal=written", "", CRASH_WRITTEN, 0 },
    { "divf", "clusters=4,soft_k=2", ALL, CRASH_SAVED, 0 },
    { "divf", "clusters=4,storage=mmap,quantizer=rabitq,eps0=12", ALL, CRASH_SAVED, 0 },
    { "divf", "clusters=4,soft_k=2,wal=written", ALL, CRASH_WRITTEN, 0 },
    { "divf", "clusters=4,storage=mmap,quantizer=rabitq,eps0=12,wal=synced", ALL, CRASH_SYNCED,
      CRASH_VECTORS_FILE },
    { "divf", "clusters=4,quantizer=rabitq,eps0=12,wal=synced", ALL, CRASH_SYNCED, 0 },
    { "scann", "clusters=4,wal=synced", "nprobe=4194304,rerank=1048576", CRASH_SYNCED, 0 },
    { "hnsw", "", "ef_search=4194304", CRASH_SAVED, 0 },
    { "hnsw", "wal=synced", "ef_search=4194304", CRASH_SYNCED, 0 },
    { "vamana", "maintenance=explicit", "search_list=4194304", CRASH_SAVED, 0 },
    { "vamana", "deletes=in-place", "search_list=4194304", CRASH_SAVED, 0 },
    { "vamana", "wal=synced", "search_list=4194304", CRASH_SYNCED, 0 },
    { "vamana", "deletes=in-place,wal=written", "search_list=4194304", CRASH_WRITTEN, 0 },
    { "vamana-disk", "merge_rows=8", "search_list=4194304", CRASH_SAVED, 0 },
    { "ampi", "clusters=4,fans=3", "nprobe=4194304,fan_probes=4194304,window=1073741824",
      CRASH_SAVED, 0 },
    { "ampi", "clusters=4,fans=3,wal=synced", "nprobe=4194304,fan_probes=4194304,window=1073741824",
      CRASH_SYNCED, 0 },
    { "hftrie", "mode=multi", "", CRASH_SAVED, 0 },
    { "hftrie", "mode=multi,wal=synced", "", CRASH_SYNCED, 0 },
    { "hftrie", "mode=standard,leaf_capacity=4,wal=written", "", CRASH_WRITTEN, 0 },
    { "hftrie", "mode=standard,leaf_capacity=4", "", CRASH_SAVED, 0 },
    { "mih", "", "", CRASH_SAVED, 0 },
    { "mih", "wal=synced", "", CRASH_SYNCED, 0 },
    { "mtree", "node_capacity=7", "", CRASH_SAVED, 0 },
    { "mtree", "node_capacity=7,wal=synced", "", CRASH_SYNCED, 0 },
    { "mvptree", "leaf_capacity=8,branch_factor=2,wal=written", "", CRASH_WRITTEN, 0 },
    { "hwtree", "leaf_capacity=5,max_depth=3,wal=synced", "", CRASH_SYNCED, 0 },
    { "hamming-scan", "wal=written", "", CRASH_WRITTEN, 0 },
    { "faiss-flat", "", "", CRASH_SAVED, CRASH_LIBRARY },
};

/* ---- a life */

static struct disk_plan plan_of(struct crash_run *c)
{
    /* Lives make from some ten calls to some five hundred; those that end early are cheap. */
    const size_t calls = (size_t)16 << rng_below(&c->rng, 6);
    struct disk_plan p = { .seed = rng_mix(c->seed, c->life) };

    c->profile =
        rng_below(&c->rng, (c->setting->flags & CRASH_FOREIGN_STORE) ? CRASH_FULL : CRASH_PROFILES);
    p.end_at = 1 + rng_below(&c->rng, calls);
    p.killed = c->profile == CRASH_KILLED;
    if (c->profile == CRASH_INTERRUPTED)
        p.short_rate = p.interrupt_rate = 300;
    if (c->profile == CRASH_FULL) {
        p.full_from = 1 + rng_below(&c->rng, calls / 2);
        p.full_calls = calls / 4;
    }
    if (c->profile == CRASH_FAILED_SYNC)
        p.sync_fails_at = 1 + rng_below(&c->rng, calls / 4 + 1);
    return p;
}

static void begin_life(struct crash_run *c, bool last)
{
    struct disk_plan plan;
    crash_state found;

    c->rng = rng_at(c->seed, 10 + c->life);
    crash_run_begin(c);
    plan = plan_of(c);
    if (last) {
        plan = (struct disk_plan){ .seed = c->seed };
        c->profile = CRASH_QUIET;
        c->healed = true;
    }
    disk_begin(c->dir, &plan);
    crash_run_open(c, !c->history->cut, found);
    crash_opened(c->history, found);
}

/* A process of its own: it ends as planned, or by a power cut when all is done. */
static _Noreturn void live(struct crash_run *c)
{
    begin_life(c, false);
    const size_t heal_at = rng_below(&c->rng, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        if (i == heal_at && c->profile > CRASH_KILLED)
            crash_run_heal(c);
        crash_run_step(c);
    }
    if (c->profile == CRASH_KILLED)
        _exit(DISK_KILLED);
    disk_cut();
}

static _Noreturn void last_life(struct crash_run *c)
{
    crash_state found;

    begin_life(c, true);
    for (size_t i = 0; i < STEPS / 3; i++)
        crash_run_step(c);
    c->ops->destroy(c->index);
    crash_run_open(c, true, found);
    c->ops->destroy(c->index);
    crash_run_expect(c, mem_live(&c->bench.mem) == 0, "%zu bytes leak", mem_live(&c->bench.mem));
    _exit(0);
}

static void run_life(struct crash_run *c, bool last)
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
                 c->setting->method, c->setting->params, c->seed, c->life,
                 WIFEXITED(status) ? "status" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), c->seed);
    c->history->cut = c->history->cut || WEXITSTATUS(status) == DISK_POWER_CUT;
}

/* ---- seeds */

static void run_seed(struct crash_run *c)
{
    struct rng r = rng_at(c->seed, 8);
    const size_t lives = 1 + rng_below(&r, LIVES_MOST - 1);

    memset(c->history, 0, sizeof *c->history);
    c->history->durability = c->setting->durability;
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

    return given && *given ? strtoull(given, NULL, 0) : 350 / test_scale();
}

/* Seeds that have found something. */
static const uint64_t finders[] = { 20240515 };

static void run_setting(void **state)
{
    struct crash_run *c = *state;
    const size_t n_settings = sizeof settings / sizeof *settings, seeds = seeds_in_all();
    const size_t each = seeds == 1 ? 1 : (seeds + n_settings - 1) / n_settings;

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
    enum { N = sizeof settings / sizeof *settings };
    static struct crash_run crashes[N];
    static struct CMUnitTest tests[N];
    static char names[N][200];
    struct registry registry;
    struct error error = { 0 };
    const char *only = getenv("DRIFTLINE_TEST_METHOD");
    const bool list = getenv("DRIFTLINE_TEST_LIST_METHODS") != NULL;
    size_t n = 0;

    if (methods_open(&registry, &error) != OK)
        return 1;
    for (size_t i = 0; i < N; i++) {
        const struct index_ops *ops = ops_named(&registry, settings[i].method);
        if (!ops || !test_is_chosen(only, settings[i].method))
            continue;
        if (list) {
            printf("%s\n", settings[i].method);
            continue;
        }
        crashes[n] = (struct crash_run){ .setting = &settings[i], .ops = ops };
        crashes[n].history = mmap(NULL, sizeof(struct crash_history), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        (void)snprintf(names[n], sizeof names[n], "crash: %s %s", settings[i].method,
                       settings[i].params);
        tests[n] = (struct CMUnitTest){ names[n], run_setting, NULL, NULL, &crashes[n] };
        n++;
    }
    test_filter();
    const int status = n ? test_verdict(_cmocka_run_group_tests("crash", tests, n, NULL, NULL)) : 0;
    registry_close(&registry);
    return status;
}
