/* test_caprg.c - selection of edges, and graphs with insertions and removals. */
#include "tests/unit/asteria/graph/caprg.h"

/* Whether y is in the exact relative neighbourhood of x within the pool: no z is nearer to both. Of
   equally far rows the lower slot counts as nearer. */
static bool is_relative(const struct bed *b, uint32_t x, uint32_t y, const uint32_t *pool, size_t n)
{
    const float xy = bed_true(b, bed_row(b, x), bed_row(b, y));

    for (size_t i = 0; i < n; i++) {
        const float *z = bed_row(b, pool[i]);

        if (caprg_key(bed_true(b, bed_row(b, x), z), pool[i]) < caprg_key(xy, y) &&
            bed_true(b, bed_row(b, y), z) < xy)
            return false;
    }
    return true;
}

/* The rows kept of a pool, ascending. */
static size_t keep(struct bed *b, uint32_t x, const uint32_t *pool, size_t n, size_t most,
                   uint64_t *kept)
{
    uint64_t *keys = calloc(n, sizeof *keys);
    size_t n_kept;

    assert_non_null(keys);
    for (size_t i = 0; i < n; i++)
        keys[i] = caprg_key(bed_true(b, bed_row(b, x), bed_row(b, pool[i])), pool[i]);
    n_kept = asteria_caprg_select(b->graph, x, keys, n, most, kept);
    assert_true(n_kept <= most);
    free(keys);
    qsort(kept, n_kept, sizeof *kept, test_by_u64);
    for (size_t i = 1; i < n_kept; i++)
        assert_true(kept[i - 1] != kept[i]);
    return n_kept;
}

static bool is_kept(const uint64_t *kept, size_t n, uint32_t y)
{
    for (size_t i = 0; i < n; i++)
        if ((uint32_t)kept[i] == y)
            return true;
    return false;
}

static bool is_hidden_by(const struct bed *b, uint32_t x, uint32_t y, const uint64_t *kept,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t two[] = { (uint32_t)kept[i], y };

        if (!is_relative(b, x, y, two, 2))
            return true;
    }
    return false;
}

/* Compares the rows kept of one pool with the brute-force relative neighbourhood, which is among
   them for any bound. With the exact bound they are the rows that no kept one hides; a hidden z
   hides nobody, so they may be more. Returns how many more a loose bound keeps. */
static size_t gate_against_truth(struct bed *b, uint32_t x, const uint32_t *pool, size_t n)
{
    uint64_t *kept = calloc(n, sizeof *kept), *loose = calloc(n, sizeof *loose);
    size_t n_kept, n_loose, relative = 0;

    assert_true(kept && loose);
    b->noise = 0;
    n_kept = keep(b, x, pool, n, n, kept);
    b->noise = .6;
    n_loose = keep(b, x, pool, n, n, loose);
    for (size_t i = 0; i < n; i++) {
        const bool is = is_relative(b, x, pool[i], pool, n);

        relative += is;
        assert_true(!is || is_kept(kept, n_kept, pool[i]));
        assert_true(!is || is_kept(loose, n_loose, pool[i]));
        assert_int_equal(is_kept(kept, n_kept, pool[i]),
                         !is_hidden_by(b, x, pool[i], kept, n_kept));
    }
    assert_true(relative > 0 && relative <= n_kept);
    free(kept);
    free(loose);
    return n_loose - n_kept;
}

static void test_gate_keeps_relative_neighbours(void **state)
{
    size_t more = 0;

    for (size_t round = 0; round < 60; round++) {
        struct bed b;
        uint32_t pool[256];

        bed_open(&b, 257, 1 + round % 20, 16, round % 3 ? 12 : 0);
        b.rng = rng_at(test_seed(), 100 + round);
        for (uint32_t x = 0; x < b.n; x++)
            b.alive[x] = true;
        const uint32_t x = (uint32_t)rng_below(&b.rng, b.n);
        const size_t n = bed_pool(&b, x, round % 2 ? 1 : .3, pool);

        more += gate_against_truth(&b, x, pool, n);
        bed_close(&b);
    }
    assert_true(more > 100); /* the noise had an effect */
}

/* Rows that are all equal, or few distinct ones: the degree is respected, searches and maintenance
   end, and copies do not take all places of a node that has other candidates. */
static void test_equal_rows(void **state)
{
    for (size_t kinds = 1; kinds <= 8; kinds *= 2) {
        struct bed b;
        struct nearest s;

        bed_open(&b, 160, 5, 8, 0);
        for (size_t i = kinds; i < b.n; i++)
            memcpy(b.x + i * b.dim, bed_row(&b, i % kinds), b.dim * sizeof *b.x);
        bed_build(&b, 1);
        bed_check(&b);
        for (uint32_t x = 0; x < b.n; x++) {
            size_t n, others = 0;
            const uint32_t *edges = bed_edges(&b, x, &n);

            assert_true(n > 0 && n <= 8);
            for (size_t i = 0; i < n; i++)
                others += edges[i] % kinds != x % kinds;
            assert_true(others > 0 || kinds == 1);
        }
        for (uint32_t x = 0; x < b.n; x += 2)
            bed_remove(&b, x);
        assert_false(bed_forget(&b, 0));
        assert_int_equal(b.n_gone, b.n / 2);
        (void)bed_walk(&b, &s, bed_row(&b, 1), 4, 20, (const uint32_t[]){ 1 }, 1);
        assert_int_equal(s.n, 4);
        bed_close(&b);
    }
}

/* Copies of x, and a group of copies elsewhere, more than the degree. */
static void test_copies_do_not_take_all_places(void **state)
{
    struct bed b;
    uint64_t kept[30];
    uint32_t pool[30], n = 0;
    size_t n_kept, equal = 0, group = 0;

    bed_open(&b, 30, 24, 8, 0);
    for (size_t i = 1; i < 12; i++) /* of row 0, the node */
        memcpy(b.x + i * b.dim, b.x, b.dim * sizeof *b.x);
    for (size_t i = 13; i < 20; i++) /* of row 12 */
        memcpy(b.x + i * b.dim, bed_row(&b, 12), b.dim * sizeof *b.x);
    for (uint32_t i = 1; i < 30; i++)
        pool[n++] = i;
    n_kept = keep(&b, 0, pool, n, 8, kept);
    for (size_t i = 0; i < n_kept; i++) {
        equal += (uint32_t)kept[i] < 12;
        group += (uint32_t)kept[i] >= 12 && (uint32_t)kept[i] < 20;
    }
    assert_int_equal(n_kept, 8);
    assert_true(group <= 1 && (equal == 2 || n_kept - equal < 6));
    /* Without other candidates the copies take all places. */
    assert_int_equal(keep(&b, 0, pool, 11, 8, kept), 8);
    assert_int_equal(keep(&b, 0, pool + 11, 8, 8, kept), 1);
    bed_close(&b);
}

/* One step of a history: a free slot is added, by the queue or at once; a live one is removed; or
   maintenance runs. */
static void step(struct bed *b, uint32_t *pool)
{
    const uint32_t x = (uint32_t)rng_below(&b->rng, b->n);
    const double choice = rng_unit(&b->rng);

    if (choice < .15) {
        (void)bed_forget(b, 1 + rng_below(&b->rng, 60));
    } else if (choice < .4) {
        const uint32_t pending = asteria_caprg_pending(b->graph);

        if (pending != CAPRG_NONE)
            assert_ok(asteria_caprg_add(b->graph, pending, pool,
                                        bed_pool(b, pending, rng_unit(&b->rng), pool)),
                      &b->bench.error);
    } else if (b->alive[x]) {
        bed_remove(b, x);
    } else if (b->graph->states[x] == 0) {
        const size_t n = bed_pool(b, x, .5, pool);

        b->alive[x] = true;
        if (choice < .7)
            asteria_caprg_queue(b->graph, x);
        else
            assert_ok(asteria_caprg_add(b->graph, x, pool, n), &b->bench.error);
    }
}

static void test_histories(void **state)
{
    uint64_t pruned = 0;

    for (size_t round = 0; round < 12; round++) {
        struct bed b;
        uint32_t pool[300];
        size_t live = 0, removed;

        bed_open(&b, 20 + 25 * round, 3 + round, 2 + round % 7, 5);
        b.rng = rng_at(test_seed(), 200 + round);
        b.noise = round % 3 ? .1 : 0;
        for (size_t i = 0; i < 1500; i++) {
            const uint64_t deferred = asteria_caprg_count(b.graph).deferred;

            step(&b, pool);
            bed_check(&b);
            pruned += asteria_caprg_count(b.graph).deferred < deferred;
        }
        while (bed_forget(&b, 50))
            ;
        for (uint32_t x = 0; x < b.n; x++)
            live += b.alive[x];
        removed = asteria_caprg_count(b.graph).removed_waiting;
        assert_int_equal(asteria_caprg_count(b.graph).nodes, live);
        assert_true(removed == 0 || removed * CAPRG_SWEEP_SHARE < live);
        assert_true(b.n_gone > 100);
        bed_close(&b);
    }
    assert_true(pruned > 100);
}

/* After a removal the in-neighbours of the removed node have edges to some of its neighbours. */
static void test_in_neighbours_are_joined(void **state)
{
    struct bed b;

    /* A line: each node has edges to the next ones on both sides only. */
    bed_open(&b, 60, 2, 4, 0);
    for (size_t i = 0; i < b.n; i++) {
        b.x[2 * i] = (float)cos(.02 * (double)i);
        b.x[2 * i + 1] = (float)sin(.02 * (double)i);
    }
    bed_build(&b, 1);
    for (uint32_t x = 20; x < 34; x++) /* a gap wider than the edges of one node */
        bed_remove(&b, x);
    for (size_t i = 0; i < 2; i++) {
        struct nearest s; /* removed nodes are passed through, then bridged */
        const uint32_t seed = 0;

        (void)bed_walk(&b, &s, bed_row(&b, 59), 1, 4, &seed, 1);
        assert_int_equal((uint32_t)s.best[0], 59);
        if (i == 0)
            (void)bed_forget(&b, 0);
    }
    assert_int_equal(b.n_gone, 14);
    assert_int_equal(asteria_caprg_count(b.graph).removed_waiting, 0);
    bed_close(&b);
}

/* A few removed nodes wait for more, and cost nothing. */
static void test_sweeps_are_of_many(void **state)
{
    struct bed b;

    bed_open(&b, 700, 8, 12, 9);
    bed_build(&b, 1);
    assert_false(bed_forget(&b, 0));
    assert_int_equal(asteria_caprg_count(b.graph).deferred, 0);
    const uint64_t edges = asteria_caprg_count(b.graph).edges;
    for (uint32_t x = 0; x < 11; x++) {
        assert_int_equal(b.n_gone, 0);
        assert_int_equal(asteria_caprg_count(b.graph).edges, edges);
        bed_remove(&b, 60 * x);
        assert_false(bed_forget(&b, 0));
    }
    assert_int_equal(b.n_gone, 11);
    assert_true(asteria_caprg_count(b.graph).edges != edges);
    bed_close(&b);
}

/* Linking x fails at any allocation or any read of rows, which leaves a sound graph, in which x waits to
   be linked; then it succeeds. Returns the number of failures. */
static size_t fail_everywhere(struct bed *b, uint32_t x, bool of_rows)
{
    for (size_t i = 1; i < 200; i++) {
        uint32_t pool[400];
        size_t edges;

        b->exact_calls = 0;
        b->exact_fails_at = of_rows ? i : 0;
        test_fail_allocation(&b->bench.mem, of_rows ? SIZE_MAX / 2 : i, false);
        const int rc = asteria_caprg_add(b->graph, x, pool, bed_pool(b, x, 1, pool));
        const bool lacked = test_allocations_succeed(&b->bench.mem);
        const bool hit = of_rows ? b->exact_calls >= i : lacked;
        b->exact_fails_at = 0;
        assert_int_equal(rc != OK, hit);
        if (rc == OK)
            return i - 1;
        assert_code(rc, of_rows ? ERR_IO : ERR_NO_MEMORY, &b->bench.error);
        assert_ok(asteria_caprg_check(b->graph, &b->bench.error), &b->bench.error);
        (void)bed_edges(b, x, &edges);
        assert_int_equal(edges, 0);
        assert_false(b->graph->states[x] & CAPRG_NODE);
    }
    fail_msg("never succeeds");
    return 0;
}

static void test_failures(void **state)
{
    struct bed b;
    size_t failed[2] = { 0 };

    bed_open(&b, 300, 6, 4, 8);
    for (uint32_t x = 0; x < b.n; x++) {
        if (x % 2)
            asteria_caprg_queue(b.graph, x);
        b.alive[x] = true;
        failed[x % 4 < 2] += fail_everywhere(&b, x, x % 4 < 2);
        bed_check(&b);
    }
    /* More failures than a node's own pool has: nodes to be pruned fail, too. */
    assert_true(failed[0] > 5 && failed[1] > 150);
    bed_close(&b);
}

/* What is queued, and pools with slots that are no candidates. */
static void test_queue(void **state)
{
    struct bed b;
    uint32_t pool[] = { 0, 1, 1, 2, 3, 9, 77 }; /* itself, twice, no node, out of range */
    size_t n;

    bed_open(&b, 10, 4, 4, 0);
    assert_int_equal(asteria_caprg_pending(b.graph), CAPRG_NONE);
    for (uint32_t x = 0; x < 4; x++)
        bed_queue(&b, x);
    assert_int_equal(asteria_caprg_pending(b.graph), 0);
    assert_ok(asteria_caprg_add(b.graph, 0, pool, 7), &b.bench.error);
    assert_int_equal(asteria_caprg_pending(b.graph), 1);
    (void)bed_edges(&b, 0, &n);
    assert_true(n >= 1 && n <= 3);
    bed_check(&b);
    bed_remove(&b, 1);
    bed_remove(&b, 2);
    assert_int_equal(asteria_caprg_pending(b.graph), 3);
    assert_ok(asteria_caprg_add(b.graph, 3, pool, 0), &b.bench.error);
    assert_int_equal(asteria_caprg_pending(b.graph), CAPRG_NONE);
    bed_check(&b);
    bed_close(&b);
}

int main(void)
{
    return test_run_all("asteria_caprg", test_gate_keeps_relative_neighbours, test_equal_rows,
                        test_copies_do_not_take_all_places, test_histories,
                        test_in_neighbours_are_joined, test_sweeps_are_of_many, test_failures,
                        test_queue);
}
