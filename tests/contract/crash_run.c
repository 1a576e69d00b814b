/* crash_run.c - opening an index that a crash may have left, and finding out what it holds. */
#include "tests/contract/crash_run.h"

#include "src/core/param.h"
#include "tests/support/fault_disk.h"

_Noreturn void crash_run_fail(const struct crash_run *c, const char *file, int line,
                              const char *format, ...)
{
    static const char *const names[] = { "quiet", "killed", "interrupted", "full disk",
                                         "failed sync" };
    va_list args;

    fprintf(stderr,
            "%s %s, seed %" PRIu64 ", life %zu (%s), operation %zu, %s:%d: ", c->setting->method,
            c->setting->params, c->seed, c->life, names[c->profile], c->history->n, file, line);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", c->bench.error.code ? ": " : "",
            c->bench.error.code ? c->bench.error.text : "");
    _exit(3);
}

/* ---- what the index holds */

void crash_run_fill_row(const struct crash_run *c, uint64_t id, unsigned generation, void *row)
{
    struct rng r = rng_at(c->seed, 1000 + id * 256 + generation);
    const struct index_env *env = &c->bench.env;

    if (env->element == INDEX_B64) {
        const uint64_t code = rng_u64(&r);
        memcpy(row, &code, sizeof code);
    } else if (env->element == INDEX_U8) {
        test_fill_u8(&r, row, 1, CRASH_DIM, 0, 1);
    } else {
        test_fill_f32(&r, row, 1, CRASH_DIM, 0, 1);
        if (env->metric == INDEX_COS)
            test_normalise_f32(row, 1, CRASH_DIM);
    }
}

/* The generation that the index has of an id, 0: none. Asked by the row itself and a filter for
   the id. */
static uint8_t generation_of(struct crash_run *c, uint64_t id)
{
    enum { NEAREST = 16 };
    unsigned char row[CRASH_DIM * sizeof(float)];
    uint64_t bits[CRASH_IDS / 64 + 1] = { 0 }, found[NEAREST];
    const struct id_filter filter = { bits, CRASH_IDS };
    const size_t k = (c->setting->flags & CRASH_LIBRARY) ? NEAREST : 1;
    float distances[NEAREST];
    bool there = false;

    bits[id / 64] = UINT64_C(1) << id % 64;
    for (uint8_t g = c->history->generations[id]; g > 0; g--) {
        crash_run_fill_row(c, id, g, row);
        const struct search_request request = { { row, 1, c->bench.env.dim, c->bench.env.element },
                                                k,
                                                c->knobs,
                                                (c->setting->flags & CRASH_LIBRARY) ? NULL
                                                                                    : &filter,
                                                1 };
        struct search_result result = { .ids = found, .distances = distances };
        const int rc = c->ops->search(c->index, &request, &result);
        crash_run_expect(c, rc == OK, "search: %s", error_name(rc));
        for (size_t i = 0; i < k; i++) {
            crash_run_expect(c, k > 1 || found[i] == id || found[i] == INDEX_NO_ID,
                             "a search for id %" PRIu64 " alone gives %" PRIu64, id, found[i]);
            if (found[i] == id && fabsf(distances[i]) < 1e-4F)
                return g;
            there = there || found[i] == id;
        }
    }
    crash_run_expect(c, !there || (c->setting->flags & CRASH_LIBRARY),
                     "id %" PRIu64 " has a row that was never inserted", id);
    return 0;
}

/* What the index holds: each id asked for by itself, and all at once. */
static void find_state(struct crash_run *c, crash_state found)
{
    enum { MOST = CRASH_IDS + 8 };
    unsigned char row[CRASH_DIM * sizeof(float)];
    uint64_t ids[MOST];
    float distances[MOST];
    bool seen[CRASH_IDS] = { false };
    struct search_result result = { .ids = ids, .distances = distances };

    const int rc = c->ops->check ? c->ops->check(c->index, NULL) : OK;
    crash_run_expect(c, rc == OK, "check: %s", error_name(rc));
    for (uint64_t id = 0; id < CRASH_IDS; id++)
        found[id] = generation_of(c, id);
    if (c->setting->flags & CRASH_LIBRARY)
        return;
    crash_run_fill_row(c, 0, 1, row);
    const struct search_request all = {
        { row, 1, c->bench.env.dim, c->bench.env.element }, MOST, c->knobs, NULL, 1
    };
    const int searched = c->ops->search(c->index, &all, &result);
    crash_run_expect(c, searched == OK, "search: %s", error_name(searched));
    for (size_t i = 0; i < MOST && ids[i] != INDEX_NO_ID; i++) {
        crash_run_expect(c, ids[i] < CRASH_IDS && !seen[ids[i]],
                         "id %" PRIu64 " is found twice, or never was one", ids[i]);
        seen[ids[i]] = true;
    }
    for (uint64_t id = 0; id < CRASH_IDS; id++)
        crash_run_expect(c, seen[id] == (found[id] > 0), "id %" PRIu64 " is found %s alone", id,
                         seen[id] ? "with others, and not" : "");
}

/* ---- opening */

static void open_bench(struct crash_run *c)
{
    const struct index_space space = c->ops->spaces[0];

    test_bench_begin(&c->bench, space.element, space.metric,
                     space.element == INDEX_B64 ? 64 : CRASH_DIM, 1);
    c->bench.env.dir = c->state;
    c->row_bytes = index_row_bytes(space.element, c->bench.env.dim);
}

static void *options(const struct param *table, size_t bytes, const char *text)
{
    void *out = calloc(1, bytes + 1);

    test_set_options(table, text, ",", out);
    return out;
}

void crash_run_begin(struct crash_run *c)
{
    open_bench(c);
    c->params = options(c->ops->params, c->ops->params_bytes, c->setting->params);
    c->knobs = options(c->ops->knobs, c->ops->knobs_bytes, c->setting->knobs);
}

const char *crash_run_home(const struct crash_run *c)
{
    return c->setting->durability == CRASH_SAVED ? c->saved : c->state;
}

bool crash_run_may_fail(struct crash_run *c, int rc, const char *what)
{
    if (rc == OK)
        return false;
    crash_run_expect(c, disk_failed() && !c->healed, "%s: %s, and the disk did not fail", what,
                     error_name(rc));
    crash_run_expect(c, rc == ERR_IO && c->bench.error.code == rc, "%s: expected %s, got %s", what,
                     error_name(ERR_IO), error_name(rc));
    error_clear(&c->bench.error);
    return true;
}

void crash_run_heal(struct crash_run *c)
{
    disk_heal();
    c->healed = true;
}

static void create(struct crash_run *c)
{
    test_dir_clear(c->state);
    int rc = c->ops->create(&c->index, &c->bench.env, c->params);
    if (crash_run_may_fail(c, rc, "create")) {
        crash_run_heal(c);
        test_dir_clear(c->state);
        rc = c->ops->create(&c->index, &c->bench.env, c->params);
        crash_run_expect(c, rc == OK, "create: %s", error_name(rc));
    }
}

static int load(struct crash_run *c)
{
    /* What an index saved elsewhere has in its own folder is scratch. */
    if (c->setting->durability == CRASH_SAVED)
        test_dir_clear(c->state);
    int rc = c->ops->load(&c->index, &c->bench.env, crash_run_home(c));
    if (rc == OK || rc == ERR_NOT_FOUND)
        return rc;
    /* A full disk is not a reason to fail. */
    crash_run_expect(c,
                     c->profile != CRASH_FULL || c->setting->durability == CRASH_SAVED ||
                         (c->setting->flags & CRASH_VECTORS_FILE),
                     "load: %s", error_name(rc));
    (void)crash_run_may_fail(c, rc, "load");
    crash_run_heal(c);
    rc = c->ops->load(&c->index, &c->bench.env, crash_run_home(c));
    crash_run_expect(c, rc == OK || rc == ERR_NOT_FOUND, "load: %s", error_name(rc));
    return rc;
}

void crash_run_open(struct crash_run *c, bool reload, crash_state found)
{
    const int rc = load(c);
    uint64_t id;

    memset(found, 0, sizeof(crash_state));
    if (rc == ERR_NOT_FOUND) {
        crash_run_expect(c, crash_allows_none(c->history, reload), "no index is there");
        error_clear(&c->bench.error);
        create(c);
        return;
    }
    find_state(c, found);
    if (!crash_allows(c->history, found, reload, &id)) {
        crash_print(c->history, id, stderr);
        crash_run_fail(c, __FILE__, __LINE__, "id %" PRIu64 " has generation %d", id, found[id]);
    }
    c->history->existed = true;
}
