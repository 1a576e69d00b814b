/* test_hftrie.c - the trie under changes: random histories, equal codes, memory, files. */
#include "algorithms/common/durable/store_file.h"
#include "src/structure/json.h"
#include "tests/unit/hftrie/support.h"

static const int64_t all_bits[] = { 1, 2, 4, 8 };
static const int64_t all_capacities[] = { 1, 2, 10, 64 };

/* ------------------------------------------------------------------------ histories */

static void test_histories(void **state)
{
    for (size_t b = 0; b < 4; b++)
        for (size_t c = 0; c < 4; c++) {
            char options[100];
            (void)snprintf(options, sizeof options, "mode=standard,chunk_bits=%d,leaf_capacity=%d",
                           (int)all_bits[b], (int)all_capacities[c]);
            tree_history(&hftrie_ops, options, 240, 200);
        }
}

/* A hundred thousand codes, enough for chained leaves and full node lists; one code under most ids. */
static void test_adversaries(void **state)
{
    for (size_t b = 0; b < 4; b++) {
        char options[100];
        (void)snprintf(options, sizeof options, "mode=standard,chunk_bits=%d,leaf_capacity=10",
                       (int)all_bits[b]);
        tree_adversaries(&hftrie_ops, options, 100000);
    }
}

/* ------------------------------------------------------------------------ equal codes */

/* Codes that differ in the last bit only, with more on one side than a leaf holds: each insertion
 * on the other side splits them, each removal there merges them. */
static void test_last_bit(void **state)
{
    const uint64_t even[12] = { 0 }, odd = 1;
    for (size_t b = 0; b < 4; b++) {
        struct code_tree w;
        hf_open_trie(&w, "standard", all_bits[b], 4, 130);
        tree_insert(&w, even, 12);
        assert_int_equal(tree_stat(&w, "nodes"), 0);
        for (int i = 0; i < 3; i++) {
            tree_insert(&w, &odd, 1);
            tree_check(&w);
            assert_int_equal(tree_stat(&w, "depth"), 64 / all_bits[b]);
            tree_compare(&w, 0, 0, 0);
            tree_compare(&w, 1, 0, 0);
            tree_remove_last(&w, 1);
            tree_check(&w);
            assert_int_equal(tree_stat(&w, "nodes"), 0);
        }
        tree_end(&w);
    }
}

/* ---------------------------------------------------------------------- splits, merges, memory */

/* At the size limit of a leaf, a code inserted and removed again and again splits and merges
 * once, not each time. */
static void test_no_thrashing(void **state)
{
    struct code_tree w;
    hf_open_trie(&w, "standard", 4, 64, 140);
    hf_insert(&w, HF_UNIFORM, 64);
    for (int i = 0; i < 50; i++) {
        hf_insert(&w, HF_UNIFORM, 1);
        tree_remove_last(&w, 1);
        tree_check(&w);
    }
    assert_int_equal(tree_stat(&w, "splits"), 1);
    assert_int_equal(tree_stat(&w, "merges"), 0);
    tree_remove_last(&w, 15);
    assert_int_equal(tree_stat(&w, "merges"), 0);
    tree_remove_last(&w, 1);
    tree_check(&w);
    assert_int_equal(tree_stat(&w, "merges"), 1);
    assert_int_equal(tree_stat(&w, "nodes"), 0);
    tree_end(&w);
}

/* Deletions free memory as they go, not only at the end. */
static void test_memory(void **state)
{
    for (enum hf_pattern pattern = 0; pattern < HF_PATTERNS; pattern++) {
        struct code_tree w;
        hf_open_trie(&w, "standard", 4, 64, 150 + pattern);
        const size_t empty = mem_live(&w.bench.mem);
        hf_insert(&w, pattern, 10000);
        const size_t small = mem_live(&w.bench.mem);
        hf_insert(&w, pattern, 90000);
        for (int i = 0; i < 9; i++) {
            tree_remove(&w, 10000);
            tree_check(&w);
        }
        /* Leaves that were sized for ten times as many codes are no longer full. */
        if (mem_live(&w.bench.mem) > 4 * small)
            fail_msg("pattern %d: %zu bytes for 10000 codes after deletions, %zu before", pattern,
                     mem_live(&w.bench.mem), small);
        tree_remove_last(&w, w.n);
        assert_int_equal(mem_live(&w.bench.mem), empty);
        tree_end(&w);
    }
}

/* ------------------------------------------------------------------------ saved */

/* Deletions leave a trie deeper than its codes need. A loaded trie is as deep, so that a fast
 * search misses the same codes. */
static void test_reload_keeps_shape(void **state)
{
    for (size_t b = 0; b < 4; b++) {
        struct code_tree w;
        hf_open_trie(&w, "fast", all_bits[b], 20, 160 + b);
        hf_insert_mixture(&w, 2000);
        tree_remove(&w, 5000);
        static const char *const names[] = { "rows", "nodes", "leaves", "depth", "granules" };
        double before[5];
        for (size_t i = 0; i < 5; i++)
            before[i] = tree_stat(&w, names[i]);
        const uint64_t query = rng_u64(&w.rng);
        struct hf_found a = hf_range(&w, query, 26);
        tree_reload(&w);
        tree_check(&w);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(tree_stat(&w, names[i]), before[i]);
        struct hf_found z = hf_range(&w, query, 26);
        assert_memory_equal(a.distance, z.distance, w.next_id);
        assert_true(a.n > 0);
        free(a.distance);
        free(z.distance);
        tree_remove_last(&w, w.n);
        tree_reload(&w);
        tree_check(&w);
        tree_end(&w);
    }
}

struct leaf {
    uint32_t level, n;
};

/* Sections whose checksums are right but whose contents form no trie. */
static void test_impossible_files(void **state)
{
    static const struct {
        const char *what;
        struct leaf leaves[2];
        uint64_t ids[3], codes[3];
    } cases[] = {
        { "an id twice", { { 1, 2 }, { 1, 1 } }, { 1, 2, 1 }, { 0, 1, UINT64_C(1) << 63 } },
        { "an id that is none",
          { { 1, 2 }, { 1, 1 } },
          { 1, 2, INDEX_NO_ID },
          { 0, 1, UINT64_MAX } },
        { "an empty leaf", { { 1, 0 }, { 1, 3 } }, { 1, 2, 3 }, { 0, 1, UINT64_MAX } },
        { "too deep", { { 17, 2 }, { 1, 1 } }, { 1, 2, 3 }, { 0, 1, UINT64_MAX } },
        { "not below its node", { { 1, 2 }, { 1, 1 } }, { 1, 2, 3 }, { 0, UINT64_MAX, 1 } },
        { "one in another", { { 1, 2 }, { 2, 1 } }, { 1, 2, 3 }, { 0, 1, 2 } },
        { "over another", { { 2, 2 }, { 1, 1 } }, { 1, 2, 3 }, { 0, 1, 2 } },
        { "too many", { { 0, 3 }, { 0, 0 } }, { 1, 2, 3 }, { 0, 1, 2 } },
        { "should be one leaf", { { 1, 2 }, { 2, 1 } }, { 1, 2, 3 }, { 0, 1, UINT64_MAX } },
        { "fewer codes", { { 1, 3 }, { 1, 1 } }, { 1, 2, 3 }, { 0, 1, UINT64_MAX } },
    };
    struct code_tree w;
    struct store_writer *writer = malloc(sizeof *writer);
    assert_non_null(writer);
    hf_open_trie(&w, "standard", 4, 2, 170);
    const struct store_identity identity = store_identity_of(&w.bench.env, "hftrie", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[PATH_MAX];
        struct index *loaded = NULL;
        test_dir_make(dir);
        (void)store_begin(writer, dir, "hftrie.index", &identity, NULL, &w.bench.error);
        store_section(writer, "params");
        store_write(writer, &hf_index(&w)->params, offsetof(struct hftrie_params, wal));
        store_section(writer, "leaves");
        store_write(writer, cases[i].leaves,
                    (cases[i].leaves[0].level == 0 ? 1 : 2) * sizeof(struct leaf));
        store_section(writer, "ids");
        store_write(writer, cases[i].ids, sizeof cases[i].ids);
        store_section(writer, "codes");
        store_write(writer, cases[i].codes, sizeof cases[i].codes);
        assert_ok(store_commit(writer), &w.bench.error);
        print_message("           %s\n", cases[i].what);
        assert_code(hftrie_ops.load(&loaded, &w.bench.env, dir), ERR_CORRUPT, &w.bench.error);
        test_dir_remove(dir);
    }
    free(writer);
    tree_end(&w);
}

/* ------------------------------------------------------------------------ check, print, options */

/* Each invariant, broken by hand, must be named in the error. */
static void test_check_finds(void **state)
{
    struct code_tree w;
    hf_open_trie(&w, "standard", 4, 10, 180);
    hf_insert(&w, HF_UNIFORM, 500);
    hf_insert(&w, HF_FEW_VALUES, 100);
    struct trie *t = hf_index(&w)->state;
    const uint32_t leaf = *hftrie_trie_find(t, w.codes, NULL);
    uint32_t long_leaf = leaf;
    for (uint32_t g = 0; g < t->n_granules; g++)
        if (t->granules[g].before & TRIE_HEAD && trie_leaf_size(t, g) > TRIE_SLOTS)
            long_leaf = g;
#define BREAK(thing, value)                                                                \
    do {                                                                                   \
        __typeof__(thing) was = (thing);                                                   \
        (thing) = (value);                                                                 \
        assert_code(hftrie_ops.check(w.index.index, NULL), ERR_INVARIANT, &w.bench.error); \
        (thing) = was;                                                                     \
        tree_check(&w);                                                                    \
    } while (0)
    BREAK(t->granules[leaf].codes[0], ~was);
    BREAK(t->ids[leaf * TRIE_SLOTS], was + 100000);
    BREAK(t->granules[leaf].before, was + 1);
    BREAK(t->granules[long_leaf].next, TRIE_NONE);
    BREAK(t->granules[t->granules[long_leaf].next].before, was + 1);
    BREAK(t->nodes[0].inner, was + 1);
    BREAK(t->nodes[1].codes, was - 1);
    BREAK(t->nodes[1].children, was + 1);
    BREAK(t->n, was + 1);
    BREAK(t->n_granules, was + 1);
    BREAK(t->n_nodes, was - 1);
    BREAK(t->spare, 0);
    BREAK(*hftrie_trie_find(t, w.codes, NULL), TRIE_NONE);
    BREAK(*hftrie_trie_find(t, w.codes, NULL), long_leaf == leaf ? 0 : long_leaf);
#undef BREAK
    tree_end(&w);
}

/* Counts what is shown below a node at a level; as many bits lead to a node as its level says. */
static void count_shown(const json_t *node, size_t level, size_t *nodes, size_t *leaves,
                        size_t *codes)
{
    const char *kind = json_string_value(json_object_get(node, "kind"));
    const json_t *values = json_object_get(node, "values"), *child;
    const char *prefix = json_string_value(json_object_get(values, "prefix"));
    size_t i;
    assert_true(!prefix || strlen(prefix) == level - 1);
    *nodes += strcmp(kind, "node") == 0;
    *leaves += strcmp(kind, "leaf") == 0;
    *codes += (size_t)json_number_value(json_object_get(values, "live"));
    json_array_foreach(json_object_get(node, "children"), i, child)
        count_shown(child, level + 1, nodes, leaves, codes);
}

static void test_inspect(void **state)
{
    struct code_tree w;
    hf_open_trie(&w, "standard", 1, 3, 190);
    for (size_t i = 0; i < 2; i++) {
        struct structure_json shown;
        size_t nodes = 0, leaves = 0, codes = 0;
        structure_json_begin(&shown, 0, false);
        const struct structure_sink sink = structure_json_sink(&shown);
        assert_int_equal(hftrie_ops.inspect(w.index.index, &sink), OK);
        count_shown(shown.root, 0, &nodes, &leaves, &codes);
        assert_int_equal(nodes, tree_stat(&w, "nodes"));
        assert_int_equal(leaves, tree_stat(&w, "leaves"));
        assert_int_equal(codes, w.n);
        json_decref(shown.root);
        hf_insert_mixture(&w, 50);
    }
    tree_end(&w);
}

static void test_options(void **state)
{
    struct test_bench b;
    test_bench_begin(&b, INDEX_B64, INDEX_HAMMING, 64, 1);
    for (int64_t bits = 1; bits <= 8; bits++) {
        struct hftrie_params p;
        struct index *index = NULL;
        const bool good = bits == 1 || bits == 2 || bits == 4 || bits == 8;
        param_defaults(hftrie_ops.params, &p);
        p.mode = HFTRIE_STANDARD;
        p.chunk_bits = bits;
        const int rc = hftrie_ops.create(&index, &b.env, &p);
        assert_code(rc, good ? OK : ERR_CONFIG, &b.error);
        if (good)
            hftrie_ops.destroy(index);
    }
    test_bench_end(&b);
}

int main(void)
{
    return test_run_all("hftrie", test_histories, test_adversaries, test_last_bit,
                        test_no_thrashing, test_memory, test_reload_keeps_shape,
                        test_impossible_files, test_check_finds, test_inspect, test_options);
}
