/* test_multi.c - hftrie's multi mode against a plain array: every radius, histories, very uneven
 * codes, one code under many ids, growth and shrinkage. */
#include "algorithms/hftrie/multi/multi.h"
#include "tests/unit/hftrie/support.h"

/* Codes that make buckets uneven, or give different codes equal entries and keys. */
enum pattern { UNIFORM, CLUSTERED, FEW_BLOCKS, ONE_BLOCK, FEW_CODES, EQUAL, PATTERNS };

static uint64_t code_of(struct code_tree *w, enum pattern pattern)
{
    const uint64_t r = rng_u64(&w->rng);
    uint64_t code = 0;
    switch (pattern) {
        case CLUSTERED: return hf_code(w, HF_CLUSTERED);
        case FEW_BLOCKS: /* each block has one of five values */
            for (unsigned j = 0; j < 4; j++)
                code |= ((r >> 8 * j) % 5 * 0x1357 + 0x0f0f) % 65536 << 16 * j;
            return code;
        case ONE_BLOCK: return r & ~UINT64_C(0xffff);
        case FEW_CODES: return hf_code(w, HF_FEW_VALUES);
        case EQUAL: return 42;
        default: return r;
    }
}

static void insert(struct code_tree *w, enum pattern pattern, size_t n)
{
    uint64_t *codes = malloc((n + 1) * sizeof *codes);
    assert_non_null(codes);
    for (size_t i = 0; i < n; i++)
        codes[i] = code_of(w, pattern);
    tree_insert(w, codes, n);
    free(codes);
}

static struct multi *multi(const struct code_tree *w)
{
    return hf_index(w)->state;
}

/* A stored code, one a few bits from it, or a random one. */
static uint64_t query_of(struct code_tree *w, enum pattern pattern)
{
    const uint64_t kind = rng_below(&w->rng, 3);
    if (kind == 0 || w->n == 0)
        return code_of(w, pattern);
    const uint64_t code = w->codes[rng_below(&w->rng, w->n)];
    return kind == 1
               ? code
               : code ^ (rng_u64(&w->rng) & rng_u64(&w->rng) & rng_u64(&w->rng) & rng_u64(&w->rng));
}

/* A query at a radius below this one. */
static void compare(struct code_tree *w, enum pattern pattern, uint64_t below)
{
    const unsigned radius = (unsigned)rng_below(&w->rng, below);
    tree_compare(w, query_of(w, pattern), radius, radius);
}

/* ------------------------------------------------------------------------ histories */

static void history(enum pattern pattern, bool permute, int64_t plan)
{
    struct code_tree w;
    hf_open(&w, permute ? "mode=multi" : "mode=multi,permute=false", 100 + pattern);
    hf_knobs(&w)->plan = plan;
    for (size_t step = 0; step < 40; step++) {
        const uint64_t kind = rng_below(&w.rng, 5);
        if (kind < 3 || w.n == 0) {
            insert(&w, pattern, (size_t)rng_below(&w.rng, step % 10 == 0 ? 1500 : 90));
        } else {
            tree_remove(&w, (size_t)rng_below(&w.rng, kind == 3 ? w.n + 1 : w.n % 70 + 1));
        }
        tree_check(&w);
        compare(&w, pattern, 24);
        compare(&w, pattern, 65);
    }
    insert(&w, pattern, 2000);
    for (unsigned radius = 0; radius <= 64; radius++)
        tree_compare(&w, query_of(&w, pattern), radius, radius);
    tree_reload(&w);
    tree_check(&w);
    for (unsigned radius = 0; radius <= 64; radius += 4)
        tree_compare(&w, query_of(&w, pattern), radius, radius);
    tree_end(&w);
}

static void test_histories(void **state)
{
    for (enum pattern p = 0; p < PATTERNS; p++)
        for (unsigned i = 0; i < 4; i++)
            history(p, i & 1, i & 2 ? HFTRIE_AUTO : HFTRIE_TABLES);
}

/* One index gets two kinds of codes in turn, so that statistics of the first are
   wrong for the second. */
static void test_drift(void **state)
{
    struct code_tree w;
    hf_open(&w, "mode=multi", 110);
    hf_knobs(&w)->plan = HFTRIE_TABLES;
    insert(&w, ONE_BLOCK, 3000);
    for (unsigned round = 0; round < 4; round++) {
        insert(&w, FEW_BLOCKS, 1000);
        tree_check(&w);
        for (unsigned radius = 0; radius <= 24; radius += 3)
            tree_compare(&w, query_of(&w, round % 2 ? ONE_BLOCK : FEW_BLOCKS), radius, radius);
        tree_remove(&w, 700);
    }
    tree_end(&w);
}

/* ------------------------------------------------------------------------ one code, many ids */

enum { MANY = 100000 };

static void many_ids(bool in_order, size_t batch)
{
    struct code_tree w;
    hf_open(&w, "mode=multi", 120);
    const size_t empty = mem_live(&w.bench.mem);
    insert(&w, UNIFORM, 500);
    uint64_t *codes = malloc(MANY * sizeof *codes);
    assert_non_null(codes);
    for (size_t i = 0; i < MANY; i++)
        codes[i] = 42;
    for (size_t i = 0; i < MANY; i += batch)
        tree_insert(&w, codes + i, MANY - i < batch ? MANY - i : batch);
    free(codes);
    assert_true(tree_stat(&w, "distinct_codes") <= 501);
    tree_check(&w);
    tree_compare(&w, 43, 1, 1);
    while (w.n > 0) {
        (in_order ? tree_remove_last : tree_remove)(&w, w.n < batch ? w.n : batch);
        if (w.n % 20000 < batch)
            tree_check(&w);
    }
    assert_int_equal(mem_live(&w.bench.mem), empty);
    tree_end(&w);
}

static void test_many_ids(void **state)
{
    many_ids(true, 5000);
    many_ids(false, 5000);
    many_ids(true, 1);
}

/* ------------------------------------------------------------------------ growing, shrinking */

static void grow_and_shrink(size_t hint)
{
    struct code_tree w;
    hf_open(&w, "mode=multi", 130);
    hf_index(&w)->base.env.expected_n = hint;
    const size_t empty = mem_live(&w.bench.mem);
    for (size_t batch = 1; w.n < 60000; batch = batch * 3 / 2 + 1) {
        insert(&w, UNIFORM, batch);
        tree_check(&w);
        compare(&w, UNIFORM, 12);
    }
    const double bits = tree_stat(&w, "key_bits");
    assert_true(bits >= 10);
    while (w.n > 100) {
        tree_remove(&w, w.n / 3);
        tree_check(&w);
        compare(&w, UNIFORM, 12);
    }
    assert_true(tree_stat(&w, "key_bits") < bits);
    assert_true(mem_live(&w.bench.mem) < 40000);
    tree_remove_last(&w, w.n);
    assert_int_equal(mem_live(&w.bench.mem), empty);
    tree_check(&w);
    insert(&w, UNIFORM, 300);
    tree_check(&w);
    tree_end(&w);
}

static void test_growing(void **state)
{
    grow_and_shrink(0);
    grow_and_shrink(70000);
}

/* Bytes per code are bounded, and freed lines are returned without a rebuild. */
static void test_memory(void **state)
{
    struct code_tree w;
    hf_open(&w, "mode=multi", 140);
    insert(&w, UNIFORM, 200000);
    const size_t full = mem_live(&w.bench.mem);
    assert_true(full < (size_t)50 * 200000);
    tree_remove(&w, 130000);
    tree_check(&w);
    assert_true(tree_stat(&w, "free_lines") < .4 * tree_stat(&w, "lines"));
    assert_true((double)mem_live(&w.bench.mem) < .8 * (double)full);
    tree_end(&w);
}

/* ------------------------------------------------------------------- maintenance, cost model */

static void test_maintain(void **state)
{
    struct code_tree w;
    bool more = true;
    hf_open(&w, "mode=multi", 150);
    hf_index(&w)->base.env.expected_n = 20000;
    for (unsigned i = 0; i < 40; i++)
        insert(&w, UNIFORM, 250);
    assert_true(multi(&w)->table[2].loose > 0);
    for (unsigned calls = 0; more; calls++) {
        assert_true(calls < 8);
        assert_ok(hftrie_ops.maintain(w.index.index, 1, &more), &w.bench.error);
        tree_check(&w);
    }
    for (unsigned j = 0; j < MULTI_TABLES; j++)
        assert_int_equal(multi(&w)->table[j].loose, 0);
    hf_knobs(&w)->plan = HFTRIE_TABLES;
    for (unsigned radius = 0; radius <= 64; radius += 5)
        tree_compare(&w, query_of(&w, UNIFORM), radius, radius);
    tree_end(&w);
}

/* Of a table that grows a little at a time, few lines are loose. */
static void test_loose(void **state)
{
    struct code_tree w;
    hf_open(&w, "mode=multi", 155);
    insert(&w, UNIFORM, 70000);
    for (unsigned i = 0; i < 60; i++) {
        insert(&w, UNIFORM, 1500);
        for (unsigned j = 0; j < MULTI_TABLES; j++)
            assert_true(multi(&w)->table[j].loose <= multi(&w)->table[j].used / 4 + 1500);
    }
    tree_check(&w);
    tree_compare(&w, query_of(&w, UNIFORM), 8, 8);
    tree_end(&w);
}

/* Short radii use the tables, long ones the scan, unless that is forbidden. */
static void test_fallback(void **state)
{
    struct code_tree w;
    hf_open(&w, "mode=multi", 160);
    insert(&w, UNIFORM, 30000);
    tree_compare(&w, rng_u64(&w.rng), 2, 2);
    assert_true(tree_stat(&w, "scans") == 0 && tree_stat(&w, "lookups") > 0);
    const double lookups = tree_stat(&w, "lookups");
    tree_compare(&w, rng_u64(&w.rng), 30, 30);
    assert_true(tree_stat(&w, "scans") == 1 && tree_stat(&w, "lookups") == lookups);
    hf_knobs(&w)->plan = HFTRIE_TABLES;
    tree_compare(&w, rng_u64(&w.rng), 30, 30);
    assert_true(tree_stat(&w, "scans") == 1 && tree_stat(&w, "lookups") > lookups);
    tree_end(&w);
}

/* The cost model of a scan, on the processor and on a device. A full group has no share of a call of the device. */
static void test_cost_of_a_scan(void **state)
{
    struct code_tree w;
    bool later[CODE_GROUP];
    hf_open(&w, "mode=multi", 195);
    hf_insert(&w, HF_UNIFORM, 4000);
    const struct multi *m = multi(&w);
    struct code_group g = { .n = 10, .knobs = hf_knobs(&w) };
    const double here = hftrie_multi_scan_ns(m, &g);
    const struct hftrie_multi_costs *cost = &hftrie_multi_costs;
    const double compare = cost->compare[m->kernels->isa];
    assert_true(here >= 4000 * compare && here < 4000 * (compare + cost->read));
    g.later = later;
    assert_true(hftrie_multi_scan_ns(m, &g) == 4000 * cost->device + cost->call / 10);
    g.n = CODE_GROUP;
    assert_true(hftrie_multi_scan_ns(m, &g) == 4000 * cost->device);
    tree_end(&w);
}

/* Bits that all codes share are spread over the blocks. */
static void test_permutation(void **state)
{
    double crowding[2];
    for (unsigned permute = 0; permute < 2; permute++) {
        struct code_tree w;
        hf_open(&w, permute ? "mode=multi" : "mode=multi,permute=false", 170);
        insert(&w, ONE_BLOCK, 20000);
        assert_true(tree_stat(&w, "permuted") == permute);
        crowding[permute] = tree_stat(&w, "crowding_0");
        tree_end(&w);
    }
    assert_true(crowding[1] < crowding[0] / 20);
    struct code_tree w;
    hf_open(&w, "mode=multi", 171);
    insert(&w, UNIFORM, 20000);
    assert_true(tree_stat(&w, "permuted") == 0);
    tree_end(&w);
}

/* ------------------------------------------------------------------------ requests */

/* Batches longer than a group, filters that allow few and many ids, one thread and two. */
static void test_batches(void **state)
{
    enum { QUERIES = 100 };
    for (int64_t plan = HFTRIE_AUTO; plan <= HFTRIE_SCAN; plan++) {
        struct code_tree w;
        uint64_t queries[QUERIES], bits[200] = { 0 };
        hf_open(&w, "mode=multi", 180 + (unsigned)plan);
        hf_knobs(&w)->plan = plan;
        insert(&w, UNIFORM, 4000 / test_scale());
        insert(&w, FEW_BLOCKS, 4000 / test_scale());
        for (size_t i = 0; i < QUERIES; i++)
            queries[i] = query_of(&w, i % 2 ? UNIFORM : FEW_BLOCKS);
        for (unsigned radius = 0; radius < 24; radius += 4) {
            w.filter = NULL;
            for (size_t threads = 1; threads <= 2; threads++)
                tree_compare_batch(&w, queries, QUERIES, radius, threads);
            for (unsigned share = 0; share < 3; share++) {
                for (size_t i = 0; i < 125; i++)
                    bits[i] = share == 0   ? (uint64_t)(i % 50 == 0)
                              : share == 1 ? rng_u64(&w.rng)
                                           : ~(uint64_t)0;
                const struct id_filter filter = { bits, 8000 - 64 * share - share };
                w.filter = &filter;
                for (size_t threads = 1; threads <= 2; threads++)
                    tree_compare_batch(&w, queries, 40, radius, threads);
            }
        }
        tree_end(&w);
    }
}

/* With a scan that is said to be slow, most radii are tried before it. */
static void test_nearest(void **state)
{
    static const int64_t plans[] = { HFTRIE_AUTO, HFTRIE_AUTO, HFTRIE_TABLES, HFTRIE_SCAN };
    struct hftrie_multi_costs slow_scan = hftrie_multi_costs;
    static const size_t ks[] = { 1, 10, 300, 2500 };
    uint64_t queries[40], bits[32];
    for (int isa = ISA_SCALAR; isa <= ISA_AVX512; isa++)
        slow_scan.compare[isa] = 100;
    for (enum pattern p = 0; p < PATTERNS; p++)
        for (size_t way = 0; way < sizeof plans / sizeof *plans; way++) {
            struct code_tree w;
            hf_open(&w, "mode=multi", 190 + p);
            hf_knobs(&w)->plan = plans[way];
            insert(&w, p, 2000);
            if (way == 1)
                multi(&w)->costs = &slow_scan;
            for (size_t i = 0; i < 40; i++)
                queries[i] = query_of(&w, p);
            for (size_t i = 0; i < 32; i++)
                bits[i] = rng_u64(&w.rng);
            const struct id_filter filter = { bits, 2000 };
            for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
                w.filter = NULL;
                tree_compare_nearest(&w, queries, i < 2 ? 40 : 3, ks[i]);
                w.filter = &filter;
                tree_compare_nearest(&w, queries, 5, ks[i]);
            }
            tree_end(&w);
        }
}

/* ------------------------------------------------------------------------ check() */

/* Each kind of damage is detected, here of a bucket with a chain of lines. */
static void test_damage(void **state)
{
    struct code_tree w;
    hf_open(&w, "mode=multi", 200);
    insert(&w, FEW_CODES, 50);
    insert(&w, UNIFORM, 4000);
    tree_remove(&w, 2500);
    tree_check(&w);
    for (size_t i = 0; i < 2; i++) {
        struct multi *m = multi(&w);
        struct multi_table *t = &m->table[i];
        uint32_t key = 0;
        while (t->buckets[key].n <= multi_entries(t->which))
            key++;
        struct multi_bucket *bucket = &t->buckets[key];
        const uint32_t at = bucket->first & ~MULTI_RUN;
        struct multi_line *line = &t->lines[at], last_bits = *line;
        multi_line_set(&last_bits, 1, 0, multi_line_get(line, 1, 0) ^ (uint64_t)1 << 39);
#define BREAK(thing, value)                                                 \
    do {                                                                    \
        const __typeof__(thing) was = (thing);                              \
        (thing) = (value);                                                  \
        if (hftrie_ops.check(w.index.index, NULL) == OK)                    \
            fail_msg("check() passes table %zu's " #thing " = " #value, i); \
        error_clear(&w.bench.error);                                        \
        (thing) = was;                                                      \
        tree_check(&w);                                                     \
    } while (0)
        BREAK(line->entry[0], was ^ 4);
        BREAK(line->entry[MULTI_LINK], at);
        BREAK(bucket->n, was - 1);
        BREAK(t->n_free, was + 1);
        BREAK(m->n_codes, was - 1);
        if (i == 0) {
            BREAK(t->rows[at].entry[0], 1U << 30);
            continue;
        }
        BREAK(*line, last_bits);
        line->entry[MULTI_LINK] = 0; /* a run of one line, of more entries */
        bucket->first |= MULTI_RUN;
        assert_code(hftrie_ops.check(w.index.index, NULL), ERR_INVARIANT, &w.bench.error);
#undef BREAK
    }
    tree_end(&w);
}

int main(void)
{
    return test_run_all("hftrie: multi", test_histories, test_drift, test_many_ids, test_growing,
                        test_memory, test_maintain, test_loose, test_fallback, test_cost_of_a_scan,
                        test_permutation, test_batches, test_nearest, test_damage);
}
