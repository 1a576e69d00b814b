/* test_version_faults.c - every method that has transactions, with each allocation failing in turn
 * from begin() to the release of a snapshot: the call gives an error, and does its work when it is
 * called again. */
#include "tests/contract/world.h"

enum { QUERIES = 6, K = 9 };

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

/* A commit that failed has done nothing: the state is as before it, and it may be tried again or
   taken back. */
static void commit_through(struct world *w, struct past *before, bool again)
{
    const int rc = index_commit(&w->index, NULL);
    if (rc == OK)
        return;
    lift(w, rc, "commit");
    world_check(w);
    world_search_past(w, before, K);
    if (again)
        world_ok(w, index_commit(&w->index, NULL));
    else
        world_rollback(w, before);
}

static void life(struct world *w, bool again)
{
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
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
    struct search_result result = { .ids = ids, .distances = distances };
    if ((rc = index_search_as_of(&w->index, version, &request, &result)) != OK) {
        lift(w, rc, "search as of a snapshot");
        world_ok(w, index_search_as_of(&w->index, version, &request, &result));
    }
    world_expect_answers(w, queries, QUERIES, K, NULL, ids, distances);
    world_ok(w, index_release(&w->index, version));
    free(queries);
    world_forget(&before);
    w->bench.mem.fail_at = 0;
    world_check(w);
    world_search(w, 2, K, NULL, 1);
}

static void test_allocator(struct world *w)
{
    if (!w->ops->txn || (w->flags & BASELINE) || (w->dim != 7 && w->dim != 64) ||
        (w->space.metric != INDEX_L2SQ && w->dim != 64))
        return;
    bool hit = true;
    for (size_t i = 1; hit; i = world_next_fault(w, i)) {
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

static bool has_transactions(const struct index_ops *ops)
{
    return ops->txn;
}

int main(void)
{
    static const char *const names[] = { "allocator" };
    static world_test *const tests[] = { test_allocator };
    return world_run_those("version faults", names, tests, sizeof tests / sizeof *tests,
                           has_transactions);
}
