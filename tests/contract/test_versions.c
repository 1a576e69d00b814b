/* test_versions.c - every method that has transactions, through random histories of them beside
 * the truth: what a commit does, what a rollback leaves, what a snapshot keeps. */
#include "tests/contract/world.h"

enum { QUERIES = 6, K = 9 };

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
};

static void expect_same(struct world *w, const struct answers *a, const struct answers *b,
                        const char *what)
{
    for (size_t i = 0; !(w->flags & LEARNS) && i < QUERIES * K; i++)
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

static void one_transaction(struct world *w, uint64_t *last)
{
    struct past before = world_past(w);
    world_ok(w, index_begin(&w->index));
    for (size_t i = rng_below(&w->rng, 5); i > 0; i--) {
        change(w);
        if (rng_below(&w->rng, 2))
            world_search_past(w, &before, K);
        if (rng_below(&w->rng, 3) == 0)
            world_check(w);
    }
    if (rng_below(&w->rng, 3) == 0) {
        world_rollback(w, &before);
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
    uint64_t last = 0;
    if (skips(w))
        return;
    world_open_trained(w);
    for (w->step = 1; w->step <= 30; w->step++) {
        switch (rng_below(&w->rng, 6)) {
            case 0: change(w); break;
            case 1: world_maintain(w, 0); break;
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
    world_open_trained(w);
    for (w->step = 0; w->step < 4; w->step++) {
        struct past before = world_past(w);
        world_ok(w, index_begin(&w->index));
        world_remove(w, w->n);
        if (w->step % 2 == 0)
            world_insert(w, 150);
        world_search_past(w, &before, K);
        world_rollback(w, &before);
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
    /* One that was pinned before may be asked in the clusters it had then: then only the truth
       is one. */
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
    uint64_t ignored = 0;
    switch (rng_below(&w->rng, 4)) {
        case 0: world_maintain(w, 0); break;
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
    world_begin_with(w, 200);
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

/* A version that was released, or never existed, is an error; one that is pinned twice stays until
   its second release. */
static void test_released(struct world *w)
{
    uint64_t version, again;
    struct answers a;
    if (skips(w))
        return;
    world_begin_with(w, 50);
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

static bool has_transactions(const struct index_ops *ops)
{
    return ops->txn;
}

int main(void)
{
    return world_run_those("versions", has_transactions, test_transactions, test_rollbacks,
                           test_snapshots, test_released);
}
