/* test_contract_versions.c - every method that has transactions or attributes, through random histories of them
 * beside the truth: what a commit does, what a rollback leaves, what a snapshot keeps, whom a range of
 * attributes lets through. */
#include "world.h"

enum { QUERIES = 6, K = 9 };

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
};

static void expect_same(struct world *w, const struct answers *a, const struct answers *b,
                        const char *what)
{
    for (size_t i = 0; i < QUERIES * K; i++)
        world_expect(w,
                     a->ids[i] == b->ids[i] &&
                         memcmp(&a->distances[i], &b->distances[i], sizeof a->distances[i]) == 0,
                     "%s: answer %zu is id %" PRIu64 " at %.9g, was %" PRIu64 " at %.9g", what, i,
                     b->ids[i], (double)b->distances[i], a->ids[i], (double)a->distances[i]);
}

/* Rows of one component, and long ones, are test_contract.c's; commits that are synced are slow. */
static bool skips(const struct world *w)
{
    return !w->ops->txn || w->dim == 1 || w->dim == 100;
}

/* ---- 1. transactions */

/* Rows go in and out; ids that a rollback took back may come again. */
static void change(struct world *w)
{
    switch (rng_below(&w->rng, 5)) {
        case 0: world_insert(w, 1 + rng_below(&w->rng, 60)); break;
        case 1: world_insert(w, 1); break;
        case 2: world_remove(w, 1 + rng_below(&w->rng, 40)); break;
        case 3: world_remove(w, 1); break;
        default: world_remove(w, 3); world_insert(w, 3);
    }
}

/* What is asked inside is asked of the last commit. */
static void ask_before(struct world *w, struct past *before)
{
    world_swap(w, before);
    world_search(w, 2, K, NULL, 1 + rng_below(&w->rng, 2));
    world_search(w, 1, w->n + 2, NULL, 1);
    world_swap(w, before);
}

static void roll_back(struct world *w, struct past *before)
{
    world_ok(w, index_rollback(&w->index));
    const struct past undone = world_past(w);
    world_swap(w, before);
    /* Some of the ids that are gone again are free to be used. */
    for (size_t i = 0; i < undone.n && w->n_retired < 64; i++) {
        bool taken = idmap_get(&w->index.live, undone.ids[i], NULL);
        for (size_t j = 0; j < w->n_retired; j++)
            taken |= w->retired[j] == undone.ids[i];
        if (!taken && rng_below(&w->rng, 2))
            w->retired[w->n_retired++] = undone.ids[i];
    }
    world_forget((struct past *)(uintptr_t)&undone);
}

static void one_transaction(struct world *w, uint64_t *last)
{
    struct past before = world_past(w);
    world_ok(w, index_begin(&w->index));
    for (size_t i = rng_below(&w->rng, 5); i > 0; i--) {
        change(w);
        if (rng_below(&w->rng, 2))
            ask_before(w, &before);
        if (rng_below(&w->rng, 3) == 0)
            world_check(w);
    }
    if (rng_below(&w->rng, 3) == 0) {
        roll_back(w, &before);
    } else {
        uint64_t version = 0;
        world_ok(w, index_commit(&w->index, &version));
        world_expect(w, version >= *last, "version %" PRIu64 " after %" PRIu64, version, *last);
        *last = version;
    }
    world_forget(&before);
}

static void test_transactions(struct world *w)
{
    bool more;
    uint64_t last = 0;
    if (skips(w))
        return;
    world_ok(w, world_open(w));
    world_train(w);
    for (w->step = 1; w->step <= 30; w->step++) {
        switch (rng_below(&w->rng, 6)) {
            case 0: change(w); break;
            case 1:
                if (w->ops->maintain)
                    world_ok(w, index_maintain(&w->index, 0, &more));
                break;
            case 2: (void)(rng_below(&w->rng, 3) == 0 && world_reload(w)); break;
            default: one_transaction(w, &last);
        }
        world_check(w);
        world_search(w, 2, K, NULL, 1);
    }
}

/* Everything at once taken back: of an empty index, of one with rows, of nothing done. */
static void test_rollbacks(struct world *w)
{
    if (skips(w))
        return;
    world_ok(w, world_open(w));
    world_train(w);
    for (w->step = 0; w->step < 4; w->step++) {
        struct past before = world_past(w);
        world_ok(w, index_begin(&w->index));
        world_remove(w, w->n);
        if (w->step % 2 == 0)
            world_insert(w, 150);
        ask_before(w, &before);
        roll_back(w, &before);
        world_check(w);
        world_search(w, 3, K, NULL, 1);
        world_ok(w, index_begin(&w->index));
        world_ok(w, index_rollback(&w->index));
        world_ok(w, index_begin(&w->index));
        world_ok(w, index_commit(&w->index, NULL));
        world_check(w);
        world_insert(w, 120);
        world_forget(&before);
    }
    /* An open one is dropped with the index. */
    world_ok(w, index_begin(&w->index));
    world_insert(w, 40);
    world_remove(w, 20);
}

/* ---- 2. snapshots */

struct pinned {
    uint64_t version;
    struct past truth;
    void *queries;
    struct answers answers;
};

static void ask_as_of(struct world *w, const struct pinned *p, size_t threads, struct answers *out)
{
    const struct search_request request = { world_vectors(w, p->queries, QUERIES), K, w->knobs,
                                            NULL, threads };
    struct search_result result = { .ids = out->ids, .distances = out->distances };
    world_ok(w, index_search_as_of(&w->index, p->version, &request, &result));
}

static struct pinned pin(struct world *w)
{
    struct pinned p = { .truth = world_past(w), .queries = world_rows(w, QUERIES) };
    struct answers now;
    world_ok(w, index_snapshot(&w->index, &p.version));
    world_answers(w, p.queries, QUERIES, K, NULL, 1, now.ids, now.distances);
    ask_as_of(w, &p, 1, &p.answers);
    /* One that was pinned before may be asked in the clusters it had then: then only the truth is one. */
    if (w->flags & EXHAUSTIVE)
        expect_same(w, &now, &p.answers, "as of the snapshot just made");
    return p;
}

/* The same answers as when it was made, and right ones. */
static void expect_kept(struct world *w, struct pinned *p)
{
    struct answers again;
    ask_as_of(w, p, 1 + rng_below(&w->rng, 2), &again);
    expect_same(w, &p->answers, &again, "as of a snapshot");
    world_swap(w, &p->truth);
    world_expect_answers(w, p->queries, QUERIES, K, NULL, again.ids, again.distances);
    /* Filtered to its first live row, it is found however long it may be dead. */
    if (w->n > 0 && w->ids[0] < w->next_id) {
        uint64_t *bits = calloc(w->next_id / 64 + 1, sizeof *bits);
        world_expect(w, bits, "no memory");
        const struct id_filter filter = { bits, w->next_id };
        bits[w->ids[0] / 64] |= UINT64_C(1) << (w->ids[0] % 64);
        const struct search_request request = { world_vectors(w, w->rows, 1), K, w->knobs, &filter,
                                                1 };
        struct search_result result = { .ids = again.ids, .distances = again.distances };
        world_ok(w, index_search_as_of(&w->index, p->version, &request, &result));
        world_expect_answers(w, w->rows, 1, K, &filter, again.ids, again.distances);
        free(bits);
    }
    world_swap(w, &p->truth);
}

static void unpin(struct world *w, struct pinned *p)
{
    world_ok(w, index_release(&w->index, p->version));
    world_forget(&p->truth);
    free(p->queries);
}

static void move_on(struct world *w)
{
    bool more;
    uint64_t ignored = 0;
    switch (rng_below(&w->rng, 4)) {
        case 0:
            if (w->ops->maintain)
                world_ok(w, index_maintain(&w->index, 0, &more));
            break;
        case 1: one_transaction(w, &ignored); break;
        case 2: world_insert(w, 1 + rng_below(&w->rng, 120)); break;
        default: world_remove(w, 1 + rng_below(&w->rng, w->n / 2 + 1));
    }
}

static void test_snapshots(struct world *w)
{
    enum { MOST = 4 };
    struct pinned pins[MOST];
    size_t n = 0;
    if (skips(w))
        return;
    world_ok(w, world_open(w));
    world_train(w);
    world_insert(w, 200);
    for (w->step = 1; w->step <= 40; w->step++) {
        const uint64_t what = rng_below(&w->rng, 6);
        if (what == 0 && n < MOST) {
            pins[n++] = pin(w);
        } else if (what == 1 && n > 0) {
            const size_t at = (size_t)rng_below(&w->rng, n);
            unpin(w, &pins[at]);
            pins[at] = pins[--n];
        } else {
            move_on(w);
        }
        for (size_t i = 0; i < n; i++)
            expect_kept(w, &pins[i]);
        world_check(w);
        world_search(w, 1, K, NULL, 1);
    }
    while (n > 0)
        unpin(w, &pins[--n]);
    world_check(w);
}

/* What was released, or never was, is an error that is said; what is pinned twice is there until its second
   release. */
static void test_released(struct world *w)
{
    uint64_t version, again;
    struct answers a;
    if (skips(w))
        return;
    world_ok(w, world_open(w));
    world_train(w);
    world_insert(w, 50);
    void *queries = world_rows(w, QUERIES);
    const struct search_request request = { world_vectors(w, queries, QUERIES), K, w->knobs, NULL,
                                            1 };
    struct search_result result = { .ids = a.ids, .distances = a.distances };
    world_ok(w, index_snapshot(&w->index, &version));
    world_ok(w, index_snapshot(&w->index, &again));
    world_expect(w, version == again, "versions %" PRIu64 " and %" PRIu64 " of one state", version,
                 again);
    world_refuses(w, ERR_NOT_FOUND, index_release(&w->index, version + 1000));
    for (size_t i = 0; i < 3; i++) {
        world_insert(w, 30);
        world_remove(w, 10);
    }
    world_ok(w, index_release(&w->index, version));
    world_ok(w, index_search_as_of(&w->index, version, &request, &result));
    world_ok(w, index_release(&w->index, version));
    world_refuses(w, ERR_NOT_FOUND, index_release(&w->index, version));
    world_refuses(w, ERR_NOT_FOUND, index_search_as_of(&w->index, version, &request, &result));
    world_refuses(w, ERR_NOT_FOUND,
                  index_search_as_of(&w->index, version + 1000, &request, &result));
    world_check(w);
    world_search(w, 2, K, NULL, 1);
    free(queries);
}

/* ---- 3. attributes */

enum { CLASSES = 7 };

static uint32_t attribute_of(const struct idmap *a, uint64_t id)
{
    uint64_t attribute = ATTRIBUTE_NONE;
    (void)idmap_get(a, id, &attribute);
    return (uint32_t)attribute;
}

/* Now and then by plain insert(), which gives none. */
static void insert_numbered(struct world *w, struct idmap *a, size_t n)
{
    const bool plain = rng_below(&w->rng, 4) == 0;
    void *rows = world_rows(w, n);
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    uint32_t *attributes = calloc(n + 1, sizeof *attributes);
    world_expect(w, ids && attributes, "no memory");
    for (size_t i = 0; i < n; i++) {
        ids[i] = world_new_id(w);
        /* Half of them are of one class, some of none. */
        attributes[i] = rng_below(&w->rng, 9) == 0   ? ATTRIBUTE_NONE
                        : rng_below(&w->rng, 2) == 0 ? 3
                                                     : (uint32_t)rng_below(&w->rng, CLASSES) * 1000;
        world_expect(w, idmap_put(a, ids[i], plain ? ATTRIBUTE_NONE : attributes[i]), "no memory");
    }
    size_t done = 0;
    world_ok(w, index_insert_with(&w->index, world_vectors(w, rows, n), ids,
                                  plain ? NULL : attributes, &done));
    world_expect(w, done == n, "insert did %zu of %zu", done, n);
    world_note_inserted(w, rows, ids, n);
    free(rows);
    free(ids);
    free(attributes);
}

static void ask_range(struct world *w, const struct idmap *a, struct attribute_range range,
                      size_t threads)
{
    struct answers found;
    void *queries = world_rows(w, QUERIES);
    const struct search_request request = { world_vectors(w, queries, QUERIES), K, w->knobs, NULL,
                                            threads };
    struct search_result result = { .ids = found.ids, .distances = found.distances };
    memset(&found, 0x5a, sizeof found);
    world_ok(w, index_search_where(&w->index, &request, range, &result));
    /* The truth is, for a moment, that of the rows in the range. */
    struct past all = world_past(w);
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        const uint32_t attribute = attribute_of(a, w->ids[i]);
        if (attribute < range.low || attribute > range.high)
            continue;
        memmove(w->rows + n * w->row_bytes, w->rows + i * w->row_bytes, w->row_bytes);
        w->ids[n++] = w->ids[i];
    }
    w->n = n;
    world_expect_answers(w, queries, QUERIES, K, NULL, found.ids, found.distances);
    world_swap(w, &all);
    world_forget(&all);
    free(queries);
}

static void ask_ranges(struct world *w, const struct idmap *a)
{
    static const struct attribute_range fixed[] = {
        { 3, 3 }, { 0, ATTRIBUTE_NONE - 1 }, { 0, 0 }, { CLASSES * 1000, 1000000 }
    };
    const uint32_t low = (uint32_t)rng_below(&w->rng, CLASSES * 1000);
    const struct attribute_range any = { low, low + (uint32_t)rng_below(&w->rng, 3000) };
    ask_range(w, a, any, 1 + rng_below(&w->rng, 2));
    ask_range(w, a, fixed[rng_below(&w->rng, 4)], 1);
}

static void numbered_step(struct world *w, struct idmap *a)
{
    bool more;
    switch (rng_below(&w->rng, 8)) {
        case 0: insert_numbered(w, a, 1); break;
        case 1:
            if (w->ops->remove)
                world_remove(w, 1 + rng_below(&w->rng, 50));
            break;
        case 2:
            if (w->ops->maintain)
                world_ok(w, index_maintain(&w->index, 0, &more));
            break;
        case 3: (void)(rng_below(&w->rng, 2) == 0 && world_reload(w)); break;
        case 4:
            if (w->ops->txn) {
                struct past before = world_past(w);
                world_ok(w, index_begin(&w->index));
                insert_numbered(w, a, 20);
                if (rng_below(&w->rng, 2))
                    world_ok(w, index_commit(&w->index, NULL));
                else
                    roll_back(w, &before); /* none of its ids was live: `a` may keep them */
                world_forget(&before);
            }
            break;
        default: insert_numbered(w, a, 1 + rng_below(&w->rng, 100));
    }
}

static void test_attributes(struct world *w)
{
    if (!w->ops->attributes || w->dim == 1 || w->dim == 100)
        return;
    struct idmap a;
    idmap_init(&a, NULL);
    world_ok(w, world_open(w));
    world_train(w);
    ask_ranges(w, &a);
    for (w->step = 1; w->step <= 30; w->step++) {
        numbered_step(w, &a);
        world_check(w);
        ask_ranges(w, &a);
        world_search(w, 1, K, NULL, 1);
    }
    idmap_free(&a);
}

/* ---- 4. allocations that fail */

static void lift(struct world *w, int rc, const char *doing)
{
    struct mem *mem = &w->bench.mem;
    world_expect(w, rc == ERR_NO_MEMORY && w->bench.error.code == rc && *w->bench.error.text,
                 "%s with failing allocation %zu%s: %s: %s", doing, mem->fail_at,
                 mem->fail_after ? "+" : "", error_name(rc), w->bench.error.text);
    error_clear(&w->bench.error);
    mem->fail_at = 0;
}

static void insert_through(struct world *w, size_t n)
{
    unsigned char *rows = world_rows(w, n);
    uint64_t *ids = calloc(n, sizeof *ids);
    world_expect(w, ids, "no memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = w->next_id++;
    size_t done = 0;
    const int rc = index_insert(&w->index, world_vectors(w, rows, n), ids, &done);
    world_note_inserted(w, rows, ids, done);
    if (rc != OK) {
        lift(w, rc, "insert in a transaction");
        const size_t first = done;
        world_ok(w,
                 index_insert(&w->index, world_vectors(w, rows + first * w->row_bytes, n - first),
                              ids + first, &done));
        world_note_inserted(w, rows + first * w->row_bytes, ids + first, done);
    }
    free(rows);
    free(ids);
}

static void remove_through(struct world *w, size_t n)
{
    uint64_t ids[32];
    size_t done = 0;
    for (size_t i = 0; i < n; i++)
        ids[i] = w->ids[2 * i];
    const int rc = index_remove(&w->index, ids, n, &done);
    for (size_t i = 0; i < done; i++)
        world_note_removed(w, ids[i]);
    if (rc == OK)
        return;
    lift(w, rc, "delete in a transaction");
    const size_t first = done;
    world_ok(w, index_remove(&w->index, ids + first, n - first, &done));
    for (size_t i = 0; i < done; i++)
        world_note_removed(w, ids[first + i]);
}

/* A commit that failed has done nothing: the state is as before it, and it may be tried again or taken back. */
static void commit_through(struct world *w, struct past *before, bool again)
{
    const int rc = index_commit(&w->index, NULL);
    if (rc == OK)
        return;
    lift(w, rc, "commit");
    world_check(w);
    ask_before(w, before);
    if (again)
        world_ok(w, index_commit(&w->index, NULL));
    else
        roll_back(w, before);
}

static void life(struct world *w, bool again)
{
    struct answers a;
    uint64_t version = 0;
    int rc = index_begin(&w->index);
    struct past before = world_past(w);
    if (rc != OK) {
        lift(w, rc, "begin");
        world_ok(w, index_begin(&w->index));
    }
    insert_through(w, 30);
    remove_through(w, 20);
    commit_through(w, &before, again);
    if ((rc = index_snapshot(&w->index, &version)) != OK) {
        lift(w, rc, "snapshot");
        world_ok(w, index_snapshot(&w->index, &version));
    }
    void *queries = world_rows(w, QUERIES);
    const struct search_request request = { world_vectors(w, queries, QUERIES), K, w->knobs, NULL,
                                            1 };
    struct search_result result = { .ids = a.ids, .distances = a.distances };
    if ((rc = index_search_as_of(&w->index, version, &request, &result)) != OK) {
        lift(w, rc, "search as of a snapshot");
        world_ok(w, index_search_as_of(&w->index, version, &request, &result));
    }
    world_expect_answers(w, queries, QUERIES, K, NULL, a.ids, a.distances);
    world_ok(w, index_release(&w->index, version));
    free(queries);
    world_forget(&before);
    w->bench.mem.fail_at = 0;
    world_check(w);
    world_search(w, 2, K, NULL, 1);
}

static void test_allocator(struct world *w)
{
    if (!w->ops->txn || (w->flags & PEER) || (w->dim != 7 && w->dim != 64) ||
        (w->space.metric != METRIC_L2SQ && w->dim != 64))
        return;
    bool hit = true;
    for (size_t i = 1; hit; i++) {
        hit = false;
        for (int persistent = 0; persistent < 2; persistent++) {
            struct mem *mem = &w->bench.mem;
            w->step = i;
            w->rng = rng_at(test_seed(), 7);
            world_ok(w, world_open(w));
            world_train(w);
            world_insert(w, 60);
            atomic_store(&mem->calls, 0);
            atomic_store(&mem->failed, false);
            mem->fail_at = i;
            mem->fail_after = persistent;
            life(w, (i + (size_t)persistent) % 2);
            hit |= atomic_load(&mem->failed);
            index_close(&w->index);
            world_expect(w, mem_live(mem) == 0, "%zu bytes leak with failing allocation %zu",
                         mem_live(mem), i);
            w->n = w->n_retired = 0;
            w->next_id = 0;
        }
    }
    world_expect(w, w->step > 1, "no allocation was ever asked of env.mem");
}

static bool has_groups(const struct index_ops *ops)
{
    return ops->txn || ops->attributes;
}

int main(void)
{
    static const char *const names[] = { "transactions", "rollbacks",  "snapshots",
                                         "released",     "attributes", "allocator" };
    static world_test *const tests[] = { test_transactions, test_rollbacks,  test_snapshots,
                                         test_released,     test_attributes, test_allocator };
    return world_run_those("versions", names, tests, sizeof tests / sizeof *tests, has_groups);
}
