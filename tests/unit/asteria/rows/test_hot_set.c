/* test_hot_set.c - maintenance of an index whose rows are on disk has the same result as with rows
 * in memory, and reads many rows at a time.
 */
#include "algorithms/asteria/buckets/bucket.h"
#include "algorithms/asteria/graph/internal.h"
#include "tests/unit/asteria/support.h"

enum { ROWS = 2000 };

/* Two addresses, so that buckets have more rows than one read takes, and so do pools. */
#define FEW_BUCKETS "code=none,address_bits=1,pool=300,degree=12"

static void expect_same_bucket(const struct asteria_generation *g, const struct asteria_bucket *a,
                               const struct asteria_bucket *b)
{
    const struct asteria_model *m = g->model;
    const size_t blocks = (b->n + QUANTIZER_BLOCK - 1) / QUANTIZER_BLOCK;

    assert_int_equal(a->address, b->address);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->live, b->live);
    assert_memory_equal(a->slots, b->slots, b->n * sizeof *b->slots);
    assert_memory_equal(a->words, b->words, b->n * sizeof *b->words);
    assert_memory_equal(a->alive, b->alive, blocks * sizeof *b->alive);
    assert_memory_equal(a->blocks, b->blocks, blocks * m->quantizer->block_bytes);
    assert_memory_equal(a->centre, b->centre, m->dim * sizeof *b->centre);
    assert_memory_equal(a->low, b->low, m->m * sizeof *b->low);
    assert_memory_equal(a->high, b->high, m->m * sizeof *b->high);
    assert_true(a->angle_min == b->angle_min && a->angle_max == b->angle_max);
    assert_true(a->near == b->near && a->far == b->far);
}

static void expect_same(const struct asteria *a, const struct asteria *b)
{
    assert_int_equal(a->now, b->now);
    assert_int_equal(a->n_slots, b->n_slots);
    assert_memory_equal(a->ids, b->ids, b->n_slots * sizeof *b->ids);
    const struct asteria_generation *g = a->generations[a->now], *h = b->generations[b->now];
    assert_int_equal(g->n, h->n);
    for (size_t i = 0; i < h->n; i++)
        expect_same_bucket(g, &g->buckets[i], &h->buckets[i]);
    for (uint32_t slot = 0; slot < b->n_slots; slot++) {
        size_t n, more;
        const uint32_t *edges = asteria_caprg_edges(a->graph, slot, &n);
        const uint32_t *others = asteria_caprg_edges(b->graph, slot, &more);
        assert_int_equal(n, more);
        assert_memory_equal(edges, others, n * sizeof *edges);
    }
}

/* Links rows, compacts buckets, and moves all rows to a newer model. */
static void live(struct asteria_world *w)
{
    asteria_world_train(w, 0, 600);
    asteria_world_insert(w, 0, 900);
    asteria_world_maintain_all(w);
    asteria_world_remove(w, 0, 900, 3);
    asteria_world_maintain_all(w);
    asteria_world_insert(w, 900, ROWS - 900);
    asteria_world_maintain_all(w);
    asteria_world_check(w);
    asteria_world_search(w, 5);
}

static void test_rows_on_disk_change_nothing(void **state)
{
    static const enum element elements[] = { INDEX_F32, INDEX_U8 };

    for (size_t e = 0; e < 2; e++) {
        struct asteria_world memory, disk;
        asteria_world_open(&memory, FEW_BUCKETS ",retrain_share=1", elements[e], 20, ROWS, 1);
        asteria_world_open(&disk, FEW_BUCKETS ",retrain_share=1,storage=tiered,cache_mb=0",
                           elements[e], 20, ROWS, 1);
        live(&memory);
        live(&disk);
        assert_true(state_of(&disk)->generations[state_of(&disk)->now]->model->fitted.version > 1);
        assert_true(asteria_rows_reads(state_of(&disk)->rows) > 0);
        expect_same(state_of(&memory), state_of(&disk));
        asteria_world_close(&memory);
        asteria_world_close(&disk);
    }
}

/* The rows of a bucket have consecutive slots, so a small bucket is one read, and a large one is
   two for each part. */
static void test_a_bucket_is_few_reads(void **state)
{
    struct asteria_world w;

    asteria_world_open(&w, FEW_BUCKETS ",caprg=false,storage=tiered,cache_mb=0", INDEX_F32, 20,
                       ROWS, 1);
    asteria_world_train(&w, 0, 600);
    asteria_world_insert(&w, 0, 300);
    struct asteria *a = state_of(&w);
    for (size_t round = 0; round < 2; round++) {
        struct asteria_generation *g = a->generations[a->now];
        const uint64_t before = asteria_rows_reads(a->rows);
        size_t most = 0;
        for (uint32_t i = 0; i < g->n; i++) {
            const size_t parts = (g->buckets[i].live + FETCH_MOST - 1) / FETCH_MOST;
            most += (parts > 1 ? 2 * parts : parts) * (1 + round);
            assert_ok(asteria_bucket_rewrite(a, g, i), &w.bench.error);
        }
        assert_in_range(asteria_rows_reads(a->rows) - before, 1, most);
        asteria_world_check(&w);
        asteria_world_insert(&w, 300 + 850 * round, 850); /* one more run of slots */
    }
    asteria_world_close(&w);
}

/* Distances to more rows than one read takes. */
static void test_distances_of_a_pool(void **state)
{
    enum { POOL = 2 * FETCH_MOST + 77 };
    static const char *const rows[] = { "storage=memory", "storage=tiered,cache_mb=0" };

    for (size_t i = 0; i < 2; i++) {
        struct asteria_world w;
        uint32_t others[POOL];
        float distances[POOL];
        asteria_world_open(&w, rows[i], INDEX_U8, 20, ROWS, 1);
        asteria_world_train(&w, 0, 600);
        asteria_world_insert(&w, 0, 1500);
        const struct asteria *a = state_of(&w);
        const struct asteria_caprg_rows graph = asteria_graph_rows(state_of(&w));
        for (uint32_t j = 0; j < POOL; j++)
            others[j] = (100 + 7 * j) % 1500; /* not side by side; none is 1499 */
        assert_ok(graph.exact(graph.to, 1499, others, POOL, distances), &w.bench.error);
        for (size_t j = 0; j < POOL; j++)
            assert_float_equal(distances[j],
                               asteria_world_distance(&w, a->ids[1499], a->ids[others[j]]), 1e-4);
        asteria_world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_on_disk_change_nothing),
        cmocka_unit_test(test_a_bucket_is_few_reads),
        cmocka_unit_test(test_distances_of_a_pool),
    };
    return test_run("asteria_tier_upkeep", tests);
}
