/* test_hwtree.c - the Hamming-weight tree against a plain array over random histories, at every
 * radius; its node names and blocks, and the memory that it frees. */
#include "tests/support/testing.h"

#include "algorithms/hamming/hwtree/hwtree.h"
#include "src/core/topk.h"

struct world {
    struct test_bench bench;
    struct index *index;
    struct rng rng;
    uint64_t *codes, *ids; /* reference: n live codes */
    size_t n, capacity;
    uint64_t next_id;
};

static void begin(struct world *w, int64_t leaf_capacity, int64_t max_depth, uint64_t stream)
{
    const struct hwtree_params params = { .leaf_capacity = leaf_capacity, .max_depth = max_depth };
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, INDEX_B64, INDEX_HAMMING, 64, 2);
    w->rng = rng_at(test_seed(), stream);
    assert_ok(hwtree_ops.create(&w->index, &w->bench.env, &params), &w->bench.error);
}

static void end(struct world *w)
{
    hwtree_ops.destroy(w->index);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
    free(w->codes);
    free(w->ids);
}

static void check(struct world *w)
{
    assert_ok(hwtree_ops.check(w->index, NULL), &w->bench.error);
}

static void insert(struct world *w, const uint64_t *codes, size_t n)
{
    size_t done = 0;
    if (w->n + n > w->capacity) {
        w->capacity = 2 * (w->n + n);
        w->codes = realloc(w->codes, w->capacity * sizeof *w->codes);
        w->ids = realloc(w->ids, w->capacity * sizeof *w->ids);
        assert_true(w->codes && w->ids);
    }
    memcpy(w->codes + w->n, codes, n * sizeof *codes);
    for (size_t i = 0; i < n; i++)
        w->ids[w->n + i] = w->next_id++;
    const struct vectors v = { codes, n, 64, INDEX_B64 };
    assert_ok(hwtree_ops.insert(w->index, v, w->ids + w->n, &done), &w->bench.error);
    assert_int_equal(done, n);
    w->n += n;
}

/* Removes n of the live codes at random. */
static void remove_some(struct world *w, size_t n)
{
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    size_t done = 0;
    assert_non_null(ids);
    for (size_t i = 0; i < n; i++) {
        const size_t at = rng_below(&w->rng, w->n--);
        ids[i] = w->ids[at];
        w->ids[at] = w->ids[w->n];
        w->codes[at] = w->codes[w->n];
    }
    assert_ok(hwtree_ops.remove(w->index, ids, n, &done), &w->bench.error);
    assert_int_equal(done, n);
    free(ids);
}

enum kind { UNIFORM, CLUSTERS, LOW_WEIGHT, FEW, KINDS };

static uint64_t random_code(struct world *w, enum kind kind)
{
    struct rng *r = &w->rng;
    if (w->n > 0 && rng_below(r, 8) == 0)
        return w->codes[rng_below(r, w->n)];
    switch (kind) {
        case CLUSTERS:
            return rng_mix(rng_below(r, 3), test_seed()) ^ (rng_u64(r) & rng_u64(r) & rng_u64(r));
        case LOW_WEIGHT: return rng_u64(r) & rng_u64(r) & rng_u64(r) & rng_u64(r);
        case FEW: return (rng_below(r, 2) ? ~UINT64_C(0) : 0) ^ UINT64_C(1) << rng_below(r, 3);
        default: return rng_u64(r);
    }
}

static void insert_random(struct world *w, enum kind kind, size_t n)
{
    uint64_t codes[256];
    assert_true(n <= 256);
    for (size_t i = 0; i < n; i++)
        codes[i] = random_code(w, kind);
    insert(w, codes, n);
}

static double stat(struct world *w, const char *name)
{
    return test_stat(w->index, name);
}

/* ------------------------------------------------------------------------ answers */

struct found {
    const struct world *w;
    uint64_t query;
    unsigned radius;
    const struct id_filter *filter;
    uint8_t *seen; /* by id */
    size_t n;
};

static int take(void *to, size_t query, uint64_t id, float distance)
{
    struct found *f = to;
    assert_int_equal(query, 0);
    assert_true(id < f->w->next_id && !f->seen[id] && index_filter_allows(f->filter, id));
    assert_true(distance <= (float)f->radius);
    f->seen[id] = (uint8_t)(1 + (unsigned)distance);
    f->n++;
    return OK;
}

static void expect_range(struct world *w, uint64_t query, unsigned radius,
                         const struct id_filter *filter)
{
    struct found f = { w, query, radius, filter, calloc(w->next_id + 1, 1), 0 };
    assert_non_null(f.seen);
    const struct range_request request = { { &query, 1, 64, INDEX_B64 }, radius, NULL, filter, 1 };
    struct range_result result = { .found = take, .to = &f };
    assert_ok(hwtree_ops.range(w->index, &request, &result), &w->bench.error);
    size_t expected = 0;
    for (size_t i = 0; i < w->n; i++) {
        const unsigned distance = (unsigned)__builtin_popcountll(w->codes[i] ^ query);
        if (distance > radius || !index_filter_allows(filter, w->ids[i]))
            continue;
        expected++;
        assert_int_equal(f.seen[w->ids[i]], distance + 1);
    }
    assert_int_equal(f.n, expected);
    assert_true(result.work.distances <= (double)w->n && result.work.scanned >= (double)f.n);
    free(f.seen);
}

static void expect_nearest(struct world *w, uint64_t query, size_t k,
                           const struct id_filter *filter)
{
    enum { MOST = 40 };
    uint64_t ids[MOST], true_ids[MOST];
    float distances[MOST], true_distances[MOST];
    assert_true(k <= MOST);
    const struct search_request request = { { &query, 1, 64, INDEX_B64 }, k, NULL, filter, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(hwtree_ops.search(w->index, &request, &result), &w->bench.error);
    struct topk truth = topk_begin(k, true_distances, true_ids);
    for (size_t i = 0; i < w->n; i++)
        if (index_filter_allows(filter, w->ids[i]))
            topk_push(&truth, (float)__builtin_popcountll(w->codes[i] ^ query), w->ids[i]);
    topk_sort(&truth);
    assert_memory_equal(ids, true_ids, k * sizeof *ids);
    assert_memory_equal(distances, true_distances, k * sizeof *distances);
}

static void expect_answers(struct world *w, enum kind kind)
{
    uint64_t bits[200] = { 0 };
    const struct id_filter filter = { bits, 64 * sizeof bits / sizeof *bits };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        bits[i] = rng_u64(&w->rng) & rng_u64(&w->rng);
    for (unsigned radius = 0; radius <= CODE_BITS; radius++) {
        const uint64_t query = random_code(w, radius % 3 ? kind : UNIFORM);
        expect_range(w, query, radius, NULL);
        if (radius % 4 == 0)
            expect_range(w, query, radius, &filter);
        if (radius % 8 == 0)
            expect_nearest(w, query, 1 + rng_below(&w->rng, 40), radius % 16 ? &filter : NULL);
    }
}

static const struct {
    int64_t leaf_capacity, max_depth;
} shapes[] = { { 1, 6 }, { 2, 2 }, { 7, 6 }, { 10, 3 }, { 64, 6 }, { 5, 0 }, { 3, 5 } };

static void test_histories(void **state)
{
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (enum kind kind = UNIFORM; kind < KINDS; kind++) {
            struct world w;
            begin(&w, shapes[s].leaf_capacity, shapes[s].max_depth, 8 * s + kind);
            for (size_t step = 0; step < 60; step++) {
                /* Grows, shrinks to nothing, grows again. */
                const bool grow =
                    step < 20 || step >= 40 ? rng_below(&w.rng, 4) > 0 : rng_below(&w.rng, 6) == 0;
                const size_t n = 1 + rng_below(&w.rng, 90);
                if (grow)
                    insert_random(&w, kind, n);
                else
                    remove_some(&w, n < w.n ? n : w.n);
                check(&w);
                if (step % 10 == 9)
                    expect_answers(&w, kind);
            }
            remove_some(&w, w.n);
            check(&w);
            expect_answers(&w, kind);
            assert_int_equal(stat(&w, "leaves"), 0);
            end(&w);
        }
    }
}

/* A batch of queries on several threads gives the answers of single queries. */
static void test_groups(void **state)
{
    enum { NQ = 70, K = 5 };
    struct world w;
    uint64_t queries[NQ], ids[2][NQ * K];
    float distances[2][NQ * K];
    begin(&w, 8, 6, 99);
    for (int i = 0; i < 10; i++)
        insert_random(&w, CLUSTERS, 200);
    for (size_t i = 0; i < NQ; i++)
        queries[i] = random_code(&w, CLUSTERS);
    const struct search_request all = { { queries, NQ, 64, INDEX_B64 }, K, NULL, NULL, 2 };
    struct search_result result = { .ids = ids[0], .distances = distances[0] };
    assert_ok(hwtree_ops.search(w.index, &all, &result), &w.bench.error);
    for (size_t i = 0; i < NQ; i++) {
        const struct search_request one = { { queries + i, 1, 64, INDEX_B64 }, K, NULL, NULL, 1 };
        struct search_result to = { .ids = ids[1] + i * K, .distances = distances[1] + i * K };
        assert_ok(hwtree_ops.search(w.index, &one, &to), &w.bench.error);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
    end(&w);
}

/* ------------------------------------------------------------------------ the bound */

static unsigned weight_difference(uint64_t a, uint64_t b, unsigned level)
{
    const unsigned bits = 64 >> level;
    unsigned sum = 0;
    for (unsigned at = 0; at < 64; at += bits) {
        int difference = 0;
        for (unsigned i = at; i < at + bits; i++)
            difference += (int)(a >> i & 1) - (int)(b >> i & 1);
        sum += (unsigned)abs(difference);
    }
    return sum;
}

static void test_names_bound_distances(void **state)
{
    struct rng r = rng_at(test_seed(), 5);
    const uint64_t ends[] = { 0, ~UINT64_C(0), 1, UINT64_C(1) << 63 };
    for (size_t i = 0; i < 4000; i++) {
        const uint64_t a = i < 4 ? ends[i] : rng_u64(&r);
        const uint64_t b = i % 3 ? a ^ (rng_u64(&r) & rng_u64(&r) & rng_u64(&r)) : rng_u64(&r);
        unsigned before = 0;
        for (unsigned level = 0; level < HWTREE_LEVELS; level++) {
            const uint64_t name = hwtree_name(a, level);
            const unsigned bound = (unsigned)__builtin_popcountll(name ^ hwtree_name(b, level));
            assert_int_equal(bound, weight_difference(a, b, level));
            assert_true(bound >= before);
            assert_int_equal(hwtree_name(name, level), name);
            before = bound;
        }
        assert_int_equal(hwtree_name(a, 6), a);
        assert_int_equal(before, __builtin_popcountll(a ^ b));
    }
}

/* ------------------------------------------------------------------------ duplicates */

static void test_one_code_under_many_ids(void **state)
{
    enum { N = 100000 };
    struct world w;
    uint64_t *codes = calloc(N, sizeof *codes);
    assert_non_null(codes);
    begin(&w, 10, 6, 11);
    for (size_t i = 0; i < N; i++)
        codes[i] = UINT64_C(0x123456789abcdef0) ^ (i % 1000 == 0);
    insert(&w, codes, N);
    check(&w);
    assert_int_equal(stat(&w, "leaves"), 2);
    assert_int_equal(stat(&w, "depth"), 6);
    expect_range(&w, codes[1], 0, NULL);
    expect_range(&w, codes[1], 1, NULL);
    remove_some(&w, N / 2);
    check(&w);
    expect_range(&w, codes[0], 1, NULL);
    remove_some(&w, w.n);
    check(&w);
    end(&w);
    free(codes);
}

/* ------------------------------------------------------------------------ memory */

static void test_memory_is_given_back(void **state)
{
    enum { N = 120000 };
    struct world w;
    uint64_t *codes = calloc(N, sizeof *codes);
    assert_non_null(codes);
    begin(&w, 6, 6, 12);
    const size_t empty = mem_live(&w.bench.mem);
    for (size_t i = 0; i < N; i++)
        codes[i] = rng_u64(&w.rng);
    insert(&w, codes, N);
    const size_t full = mem_live(&w.bench.mem);
    struct memory_use use;
    assert_ok(hwtree_ops.memory(w.index, &use), &w.bench.error);
    const uint64_t told = use.vectors + use.ids + use.graph + use.other;
    assert_true(told > full * 97 / 100 && told <= full);
    /* The remaining nodes lie all over the blocks, and are compacted. */
    remove_some(&w, N * 97 / 100);
    check(&w);
    assert_true(mem_live(&w.bench.mem) < full / 8);
    expect_range(&w, w.codes[0], 12, NULL);
    remove_some(&w, w.n);
    check(&w);
    assert_true(mem_live(&w.bench.mem) <= empty + empty / 10);
    insert(&w, codes, 1000);
    check(&w);
    end(&w);
    free(codes);
}

static void test_nodes_merge(void **state)
{
    struct world w;
    begin(&w, 64, 6, 16);
    for (int i = 0; i < 12; i++)
        insert_random(&w, UNIFORM, 256);
    assert_true(stat(&w, "depth") >= 2);
    /* At most 32 codes are left, half of a leaf's 64, so each root is a leaf again. */
    remove_some(&w, w.n - 32);
    check(&w);
    assert_int_equal(stat(&w, "depth"), 0);
    assert_int_equal(stat(&w, "inner_nodes"), 0);
    end(&w);
}

/* Only insertion may fail for lack of memory, and then changes nothing; all else works without. */
static void test_removal_needs_no_memory(void **state)
{
    struct world w;
    begin(&w, 4, 6, 13);
    for (int i = 0; i < 20; i++)
        insert_random(&w, UNIFORM, 256);
    w.bench.mem.fail_at = 1;
    w.bench.mem.fail_after = true;
    while (w.n > 300) {
        remove_some(&w, 100);
        check(&w);
    }
    uint64_t code = 5, id = w.next_id;
    size_t done = 1;
    const struct vectors v = { &code, 1, 64, INDEX_B64 };
    for (int i = 0; i < 100; i++) {
        code = rng_u64(&w.rng);
        const int rc = hwtree_ops.insert(w.index, v, &id, &done);
        check(&w);
        if (rc == OK) {
            assert_ok(hwtree_ops.remove(w.index, &id, 1, &done), &w.bench.error);
            continue;
        }
        assert_code(rc, ERR_NO_MEMORY, &w.bench.error);
        assert_int_equal(done, 0);
    }
    w.bench.mem.fail_at = 0;
    remove_some(&w, 100);
    check(&w);
    expect_answers(&w, UNIFORM);
    end(&w);
}

static void test_blocks(void **state)
{
    enum { MOST = 400 };
    struct mem mem = { 0 };
    struct hwtree_blocks b;
    struct rng r = rng_at(test_seed(), 14);
    uint32_t refs[MOST];
    size_t pairs[MOST], n = 0;
    size_t before = 0;
    for (size_t i = 1; i < 100000; i++) {
        const size_t capacity = hwtree_block_capacity(i);
        assert_true(capacity >= i && capacity >= before && capacity <= 1 + i * 3 / 2);
        before = capacity;
    }
    hwtree_blocks_init(&b, &mem);
    for (size_t step = 0; step < 40000; step++) {
        if (n < MOST && rng_below(&r, step % 8000 < 4000 ? 3 : 2) > 0) {
            pairs[n] = 1 + rng_below(&r, rng_below(&r, 50) ? 12 : 9000);
            refs[n] = hwtree_block_alloc(&b, pairs[n]);
            assert_true(refs[n] != HW_NONE && !(refs[n] & HW_INNER));
            const struct hwtree_view v = hwtree_view(&b, refs[n]);
            assert_true(v.capacity >= pairs[n]);
            memset(v.words, (int)refs[n] & 0xff, v.capacity * sizeof *v.words);
            for (size_t i = 0; i < v.capacity; i++)
                v.refs[i] = refs[n];
            v.block->n = refs[n];
            n++;
        } else if (n > 0) {
            const size_t at = rng_below(&r, n--);
            const struct hwtree_view v = hwtree_view(&b, refs[at]);
            assert_int_equal(v.block->n, refs[at]);
            for (size_t i = 0; i < v.capacity; i++)
                assert_true(v.refs[i] == refs[at] &&
                            v.words[i] == (refs[at] & 0xff) * UINT64_C(0x0101010101010101));
            hwtree_block_free(&b, refs[at]);
            refs[at] = refs[n];
        }
    }
    while (n > 0)
        hwtree_block_free(&b, refs[--n]);
    assert_int_equal(mem_live(&mem), 0);
}

/* ------------------------------------------------------------------------ files */

static void test_files_keep_options(void **state)
{
    struct world w;
    char dir[PATH_MAX];
    struct index *loaded = NULL;
    test_dir_make(dir);
    begin(&w, 6, 4, 15);
    for (int i = 0; i < 12; i++)
        insert_random(&w, CLUSTERS, 250);
    assert_ok(hwtree_ops.save(w.index, dir), &w.bench.error);
    assert_ok(hwtree_ops.load(&loaded, &w.bench.env, dir), &w.bench.error);
    const double leaves = stat(&w, "leaves");
    hwtree_ops.destroy(w.index);
    w.index = loaded;
    check(&w);
    /* Nothing was removed, so the loaded tree equals the saved one. */
    assert_int_equal(stat(&w, "leaves"), leaves);
    expect_answers(&w, CLUSTERS);
    remove_some(&w, 2500);
    check(&w);
    end(&w);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_bound_distances),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_histories),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_one_code_under_many_ids),
        cmocka_unit_test(test_memory_is_given_back),
        cmocka_unit_test(test_nodes_merge),
        cmocka_unit_test(test_removal_needs_no_memory),
        cmocka_unit_test(test_files_keep_options),
    };
    return test_run("hwtree", tests);
}
