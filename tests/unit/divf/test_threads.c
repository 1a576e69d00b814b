/* test_threads.c - divf: threads search while another one changes the index. Every answer is
 * compared with the rows that were live while its search ran.
 *
 * Id i has vector i whenever it is stored. stage[i] counts what happens to it: 0 absent, 1 being
 * inserted, 2 live, 3 being removed, 4 absent again, and so on. A reader copies all stages before
 * and after a search. An id that was absent all the time must not be an answer. An id that was live
 * all the time must be one, where the search is exhaustive and the id is near enough. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/unit/divf/support.h"

enum { READERS = 2, DIM = 9, IDS = 700, STEPS = 40, NEAR = 12, GROUP = 10, FOUND_MAX = 2 * IDS };

struct live_index {
    struct stored_rows w;
    atomic_uint stage[IDS];
    atomic_bool over;
    const char *dir;
    bool exhaustive; /* no bound of the quantizer fails */
};

struct reader {
    struct live_index *x;
    pthread_t thread;
    struct rng rng;
    unsigned before[IDS], after[IDS];
    size_t searches, n_found;
    uint64_t found[FOUND_MAX];
    float found_at[FOUND_MAX];
    const char *wrong; /* the first thing; assertions belong to the main thread */
};

#define EXPECT(r, holds)             \
    do {                             \
        if (!(holds) && !(r)->wrong) \
            (r)->wrong = #holds;     \
    } while (0)

static void note_stages(const struct live_index *x, unsigned *stages)
{
    for (size_t i = 0; i < IDS; i++)
        stages[i] = atomic_load(&((struct live_index *)(uintptr_t)x)->stage[i]);
}

static bool was_absent(const struct reader *r, uint64_t id)
{
    return r->before[id] % 4 == 0 && r->after[id] == r->before[id];
}

static bool was_live(const struct reader *r, uint64_t id)
{
    return r->before[id] % 4 == 2 && r->after[id] == r->before[id];
}

static float distance_to(const struct reader *r, const float *query, uint64_t id)
{
    const struct stored_rows *w = &r->x->w;
    return w->bench.env.kernels->l2sq_f32(query, w->rows + id * DIM, DIM);
}

/* n answers: existing ids, each once, with their distances. Sets answered[]. */
static void check_answers(struct reader *r, const float *query, const uint64_t *ids,
                          const float *distances, size_t n, bool *answered)
{
    memset(answered, 0, IDS * sizeof *answered);
    for (size_t i = 0; i < n; i++) {
        EXPECT(r, ids[i] < IDS);
        if (ids[i] >= IDS)
            return;
        EXPECT(r, !answered[ids[i]]);
        answered[ids[i]] = true;
        EXPECT(r, !was_absent(r, ids[i]));
        EXPECT(r, distances[i] == distance_to(r, query, ids[i]));
    }
}

/* No row that was live throughout is nearer than the limit and not answered. */
static void check_missing(struct reader *r, const float *query, float limit,
                          const struct id_filter *filter, const bool *answered)
{
    for (uint64_t id = 0; id < IDS; id++)
        if (was_live(r, id) && !answered[id] && index_filter_allows(filter, id))
            EXPECT(r, !(distance_to(r, query, id) < limit));
}

static void pick_queries(struct reader *r, float *queries, size_t n)
{
    for (size_t q = 0; q < n; q++)
        memcpy(queries + q * DIM, r->x->w.rows + rng_below(&r->rng, IDS) * DIM,
               DIM * sizeof *queries);
}

static void search_nearest(struct reader *r, size_t n, const struct divf_knobs *knobs,
                           const struct id_filter *filter, size_t threads)
{
    float queries[GROUP * DIM], distances[GROUP * NEAR];
    uint64_t ids[GROUP * NEAR];
    bool answered[IDS];
    const struct search_request request = {
        { queries, n, DIM, INDEX_F32 }, NEAR, knobs, filter, threads
    };
    struct search_result result = { .ids = ids, .distances = distances };

    pick_queries(r, queries, n);
    note_stages(r->x, r->before);
    EXPECT(r, divf_ops.search(r->x->w.index, &request, &result) == OK);
    note_stages(r->x, r->after);
    for (size_t q = 0; q < n; q++) {
        const float *query = queries + q * DIM, *at = distances + q * NEAR;
        size_t got = 0;
        while (got < NEAR && ids[q * NEAR + got] != INDEX_NO_ID)
            got++;
        check_answers(r, query, ids + q * NEAR, at, got, answered);
        if (r->x->exhaustive && knobs->nprobe > IDS && !knobs->rerank && knobs->target_recall <= 0)
            check_missing(r, query, got < NEAR ? INFINITY : at[NEAR - 1], filter, answered);
    }
}

static int keep_found(void *to, size_t query, uint64_t id, float distance)
{
    struct reader *r = to;
    EXPECT(r, r->n_found < FOUND_MAX);
    if (r->wrong)
        return ERR_INVARIANT;
    r->found[r->n_found] = id;
    r->found_at[r->n_found++] = distance;
    return OK;
}

static void search_range(struct reader *r, const struct divf_knobs *knobs)
{
    float query[DIM];
    bool answered[IDS];
    const float radius = 1 + (float)rng_below(&r->rng, 8);
    const struct range_request request = {
        { query, 1, DIM, INDEX_F32 }, (double)radius, knobs, NULL, 1
    };
    struct range_result result = { .found = keep_found, .to = r };

    pick_queries(r, query, 1);
    r->n_found = 0;
    note_stages(r->x, r->before);
    EXPECT(r, divf_ops.range(r->x->w.index, &request, &result) == OK);
    note_stages(r->x, r->after);
    check_answers(r, query, r->found, r->found_at, r->n_found, answered);
    for (size_t i = 0; i < r->n_found; i++)
        EXPECT(r, r->found_at[i] <= radius);
    if (r->x->exhaustive)
        check_missing(r, query, radius, NULL, answered);
}

static void *read_on(void *arg)
{
    struct reader *r = arg;
    const struct divf_knobs all = { .nprobe = 1 << 20 }, some = { .nprobe = 3 };
    const struct divf_knobs reranks = { .nprobe = 1 << 20, .rerank = 40 };
    const struct divf_knobs stops = { .nprobe = 1 << 20, .target_recall = 0.9 };
    const uint64_t bits[IDS / 64 + 1] = { UINT64_C(0x5555555555555555), UINT64_MAX, 0, 77 };
    const struct id_filter filter = { bits, 256 };

    while (!r->wrong && (!atomic_load(&r->x->over) || r->searches < 8)) {
        switch (r->searches++ % 8) {
            case 0: search_nearest(r, GROUP, &all, NULL, 1); break;
            case 1: search_nearest(r, 1, &some, NULL, 1); break;
            case 2: search_range(r, &all); break;
            case 3: search_nearest(r, 1, &reranks, NULL, 1); break;
            case 4: search_nearest(r, 2, &all, &filter, 2); break;
            case 5: search_nearest(r, GROUP, &some, NULL, 2); break;
            case 6: search_nearest(r, 1, &stops, NULL, 1); break;
            default: search_nearest(r, 1, &all, NULL, 1);
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------------------------- changes */

/* At most `most` of the ids that are stored, or that are not, from a random one on. */
static size_t pick_ids(struct live_index *x, bool stored, size_t most, uint64_t *ids)
{
    const size_t start = rng_below(&x->w.rng, IDS);
    size_t n = 0;
    for (size_t i = 0; i < IDS && n < most; i++) {
        const uint64_t id = (start + i) % IDS;
        if ((atomic_load(&x->stage[id]) % 4 == 2) == stored)
            ids[n++] = id;
    }
    return n;
}

static void next_stage(struct live_index *x, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        atomic_fetch_add(&x->stage[ids[i]], 1);
}

static void insert_some(struct live_index *x, size_t most)
{
    uint64_t ids[IDS];
    float *rows = calloc(IDS * DIM, sizeof *rows);
    size_t n = pick_ids(x, false, most, ids), done = 0;
    assert_non_null(rows);
    for (size_t i = 0; i < n; i++)
        memcpy(rows + i * DIM, x->w.rows + ids[i] * DIM, DIM * sizeof *rows);
    next_stage(x, ids, n);
    assert_ok(divf_ops.insert(x->w.index, (struct vectors){ rows, n, DIM, INDEX_F32 }, ids, &done),
              &x->w.bench.error);
    next_stage(x, ids, n);
    free(rows);
}

static void remove_some(struct live_index *x, size_t most)
{
    uint64_t ids[IDS];
    size_t n = pick_ids(x, true, most, ids), done = 0;
    next_stage(x, ids, n);
    assert_ok(divf_ops.remove(x->w.index, ids, n, &done), &x->w.bench.error);
    next_stage(x, ids, n);
}

static void change(struct live_index *x)
{
    struct stored_rows *w = &x->w;
    struct memory_use use;
    bool more;
    for (size_t step = 0; step < STEPS / test_scale() + 8; step++) {
        switch (step < 3 ? 0 : rng_below(&w->rng, 10)) {
            case 0: insert_some(x, 200); break;
            case 1:
            case 2: insert_some(x, 1 + rng_below(&w->rng, 100)); break;
            case 3: insert_some(x, 1); break;
            case 4:
            case 5: remove_some(x, 1 + rng_below(&w->rng, 120)); break;
            case 6: remove_some(x, 1); break;
            case 7: assert_ok(divf_ops.maintain(w->index, 0, &more), &w->bench.error); break;
            case 8: assert_ok(divf_ops.maintain(w->index, 3000, &more), &w->bench.error); break;
            default:
                if (rng_below(&w->rng, 3) == 0)
                    assert_ok(divf_ops.train(w->index, stored_vectors(w, 0, 200)), &w->bench.error);
                else if (rng_below(&w->rng, 2) == 0)
                    assert_ok(divf_ops.save(w->index, x->dir), &w->bench.error);
                else
                    assert_ok(divf_ops.memory(w->index, &use), &w->bench.error);
        }
        if (step % 7 == 0)
            stored_check(w);
        sched_yield();
    }
}

static void search_beside(struct divf_params params, uint64_t stream, const char *dir)
{
    static struct live_index x;
    static struct reader readers[READERS];
    memset(&x, 0, sizeof x);
    memset(readers, 0, sizeof readers);
    const struct divf_params in_memory = divf_defaults(""); /* until there is a folder */
    stored_open(&x.w, &divf_ops, &in_memory, DIM, IDS, 2, stream);
    divf_ops.destroy(x.w.index);
    x.w.bench.env.dir = x.dir = dir;
    assert_ok(divf_ops.create(&x.w.index, &x.w.bench.env, &params), &x.w.bench.error);
    x.exhaustive = true;
    test_fill_f32(&x.w.rng, x.w.rows, IDS, DIM, 12, 0.4);
    for (size_t i = 0; i < READERS; i++) {
        readers[i].x = &x;
        readers[i].rng = rng_at(test_seed(), 1000 + stream * READERS + i);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    change(&x);
    atomic_store(&x.over, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        if (readers[i].wrong)
            fail_msg("run %d, search %zu: not %s", (int)stream, readers[i].searches,
                     readers[i].wrong);
    }
    for (size_t id = 0; id < IDS; id++)
        x.w.stored[id] = atomic_load(&x.stage[id]) % 4 == 2;
    stored_check(&x.w);
    world_expect_exact(&x.w, x.w.rows, NEAR, NULL);
    stored_close(&x.w);
}

/* Every policy with every quantizer; storage and soft_k in turn. */
static void test_searches_beside_changes(void **state)
{
    static const int64_t quantizers[] = { DIVF_SKETCH, DIVF_SKETCH, DIVF_PQ, DIVF_SQ8,
                                          DIVF_RABITQ };
    enum { QUANTIZERS = sizeof quantizers / sizeof *quantizers };
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (uint64_t run = 0; run < 5 * QUANTIZERS; run++) {
        struct divf_params params = divf_defaults(
            "eps0=12,split_threshold=1.5,maintenance_budget=1000,cost_tau=0,cost_probe=1");
        params.maintenance = (int64_t)(run / QUANTIZERS);
        params.quantizer = quantizers[run % QUANTIZERS];
        params.sketch = run % QUANTIZERS == 0 ? 0 : run % QUANTIZERS == 1 ? 4 : -1;
        params.clusters = 4 + (int64_t)(run % 3) * 6;
        params.soft_k = 1 + (int64_t)(run % 2) * 2;
        params.storage = run % 3 == 2 ? DIVF_MMAP : DIVF_RAM;
        search_beside(params, run, dir);
    }
    test_dir_remove(dir);
}

/* ----------------------------------------------------------------- while a search is inside */

static void open_lists(struct stored_rows *w, struct divf_params params)
{
    params.clusters = 4;
    world_open_filled(w, params, DIM, IDS, 1, 12, 0.4);
    assert_ok(divf_ops.train(w->index, stored_vectors(w, 0, 200)), &w->bench.error);
    assert_int_equal(stored_insert(w, 0, 200), OK);
}

static bool has_id(const struct divf *d, uint64_t id)
{
    bool found = false;
    for (uint32_t slot = 0; slot < d->slots.n; slot++)
        found |= divf_id(d, slot) == id;
    return found;
}

/* The slot of a deleted vector is not reused before a search that may read it has ended. */
static void test_slots_wait(void **state)
{
    struct stored_rows w;
    const uint64_t deleted[] = { 7, 8 };
    open_lists(&w, divf_defaults(""));
    struct divf *d = divf_of(w.index);
    const unsigned ticket = epoch_enter(d->epoch);
    assert_int_equal(stored_remove(&w, deleted, 2), OK);
    assert_int_equal(stored_insert(&w, 200, 1), OK);
    assert_int_equal(stored_insert(&w, 201, 1), OK);
    assert_int_equal(d->slots.n, 202);
    assert_false(has_id(d, 7));
    stored_check(&w);
    epoch_leave(d->epoch, ticket);
    assert_int_equal(stored_insert(&w, 202, 2), OK);
    assert_int_equal(d->slots.n, 202);
    assert_true(has_id(d, 202) && has_id(d, 203));
    stored_check(&w);
    stored_close(&w);
}

static void *maintain_on(void *arg)
{
    struct stored_rows *w = arg;
    bool more;
    (void)divf_ops.maintain(w->index, 0, &more);
    return NULL;
}

/* Live copies in the lists of a view. */
static size_t live_copies(const struct divf_view *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) {
        struct divf_list *l = v->list[i];
        latch_take_shared(&l->latch);
        for (uint32_t c = 0; c < l->n_chunks; c++)
            n += (size_t)__builtin_popcountll(divf_chunk_live(v->chunks, l->chunks[c]));
        latch_give_shared(&l->latch);
    }
    return n;
}

/* A list that is split keeps its vectors until the searches that chose it have ended. */
static void test_moves_wait(void **state)
{
    struct stored_rows w;
    pthread_t thread;
    open_lists(&w, divf_defaults("maintenance=lire,maintenance_budget=0,list_limit=0.5"));
    struct divf *d = divf_of(w.index);
    const unsigned ticket = epoch_enter(d->epoch);
    const struct divf_view *view = atomic_load(&d->view);
    assert_int_equal(pthread_create(&thread, NULL, maintain_on, &w), 0);
    while (atomic_load(&d->view) == view)
        sched_yield();
    for (size_t i = 0; i < 20; i++) { /* what comes next would come soon */
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
        assert_true(live_copies(view) >= 200);
    }
    epoch_leave(d->epoch, ticket);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(test_stat(w.index, "splits") > 0);
    stored_check(&w);
    stored_close(&w);
}

int main(void)
{
    return test_run_all("divf_threads", test_searches_beside_changes, test_slots_wait,
                        test_moves_wait);
}
