/* test_search.c - the answers of the trie's searches: fast mode against its rule, nearest
 * neighbours, filters, threads, work. */
#include "tests/unit/hftrie/support.h"

static const int64_t all_bits[] = { 1, 2, 4, 8 };
static const char *const modes[] = { "standard", "fast" };

static uint64_t chunk_of(uint64_t code, int64_t bits, unsigned level)
{
    return code << (level * (unsigned)bits) >> (64 - bits);
}

/* Number of leading chunks of which none has two flipped bits. */
static unsigned chunks_passed(uint64_t a, uint64_t b, int64_t bits)
{
    unsigned level = 0;
    while (level < 64 / bits &&
           __builtin_popcountll(chunk_of(a, bits, level) ^ chunk_of(b, bits, level)) <= 1)
        level++;
    return level;
}

/* The level of a code's leaf if nothing was ever deleted: the first level at which the codes with
 * the same prefix fit into a leaf or are all equal. */
static unsigned leaf_level(const struct code_tree *w, uint64_t code)
{
    const int64_t bits = hf_index(w)->params.chunk_bits;
    for (unsigned level = 0;; level++) {
        size_t n = 0, equal = 0;
        for (size_t i = 0; i < w->n; i++) {
            const unsigned shift = 64 - level * (unsigned)bits;
            n += level == 0 || (w->codes[i] ^ code) >> (shift & 63) == 0 ||
                 (shift == 0 && w->codes[i] == code);
            equal += w->codes[i] == code;
        }
        if (n <= (size_t)hf_index(w)->params.leaf_capacity || n == equal)
            return level;
    }
}

/* Whether the paper's rule finds it: each chunk down to its leaf has at most one flipped bit. */
static bool fast_finds(const struct code_tree *w, uint64_t query, uint64_t code)
{
    return chunks_passed(query, code, hf_index(w)->params.chunk_bits) >= leaf_level(w, code);
}

static void expect_fast(struct code_tree *w, uint64_t query, unsigned radius)
{
    struct hf_found f = hf_range(w, query, radius);
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        const unsigned d = (unsigned)__builtin_popcountll(query ^ w->codes[i]);
        const bool wanted = d <= radius && fast_finds(w, query, w->codes[i]);
        n += wanted;
        if (f.distance[w->ids[i]] != (wanted ? d : 255))
            fail_msg("chunk_bits %d, radius %u: %016" PRIx64 " for %016" PRIx64 ": %u, should %s",
                     (int)hf_index(w)->params.chunk_bits, radius, w->codes[i], query,
                     f.distance[w->ids[i]], wanted ? "be found" : "not be");
    }
    assert_int_equal(f.n, n);
    free(f.distance);
}

/* While nothing was deleted, fast mode finds exactly the codes of its rule. */
static void test_fast_is_its_rule(void **state)
{
    static const int64_t capacities[] = { 1, 10, 64 };
    for (size_t b = 0; b < 4; b++)
        for (size_t c = 0; c < 3; c++) {
            struct code_tree w;
            hf_open_trie(&w, "fast", all_bits[b], capacities[c], 200 + b);
            for (enum hf_pattern p = 0; p < HF_PATTERNS; p++)
                hf_insert(&w, p, 150);
            for (unsigned radius = 0; radius <= 64; radius += radius < 12 ? 2 : 13) {
                expect_fast(&w, w.codes[rng_below(&w.rng, w.n)], radius);
                expect_fast(&w, hf_code(&w, HF_CLUSTERED), radius);
                expect_fast(&w, hf_code(&w, HF_LAST_BITS), radius);
            }
            tree_end(&w);
        }
}

/* After deletions leaves may be deeper than necessary: codes that pass in all chunks are still
 * found, and every answer is correct. */
static void test_fast_after_deletions(void **state)
{
    for (size_t b = 0; b < 4; b++) {
        struct code_tree w;
        hf_open_trie(&w, "fast", all_bits[b], 10, 210 + b);
        size_t passed = 0, found = 0;
        for (int round = 0; round < 10; round++) {
            hf_insert(&w, HF_CLUSTERED, 2000);
            hf_insert(&w, HF_UNIFORM, 500);
            tree_remove(&w, 1500);
            tree_check(&w);
            const uint64_t query = w.codes[rng_below(&w.rng, w.n)];
            const unsigned radius = 2 + (unsigned)rng_below(&w.rng, 20);
            struct hf_found f = hf_range(&w, query, radius);
            for (size_t i = 0; i < w.n; i++) {
                const unsigned d = (unsigned)__builtin_popcountll(query ^ w.codes[i]),
                               got = f.distance[w.ids[i]];
                assert_true(got == 255 || (got == d && d <= radius));
                if (d <= radius &&
                    chunks_passed(query, w.codes[i], all_bits[b]) == 64 / all_bits[b]) {
                    assert_int_equal(got, d);
                    passed++;
                }
            }
            found += f.n;
            free(f.distance);
        }
        assert_true(passed > 0 && found > 0);
        tree_end(&w);
    }
}

/* Two flips in one visited chunk lose a code; one flip in each of two chunks does not. */
static void test_fast_loses(void **state)
{
    for (size_t b = 1; b < 4; b++) {
        struct code_tree w;
        hf_open_trie(&w, "fast", all_bits[b], 1, 220);
        const uint64_t query = UINT64_C(0x5a5a5a5a5a5a5a5a), top = UINT64_C(1) << 63;
        const uint64_t apart = query ^ top ^ top >> all_bits[b], together = query ^ top ^ top >> 1;
        const uint64_t codes[] = { apart, together, ~query, together ^ 1, apart ^ 1 };
        tree_insert(&w, codes, 5);
        struct hf_found f = hf_range(&w, query, 2);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.distance[0], 2);
        free(f.distance);
        tree_end(&w);
    }
}

/* ------------------------------------------------------------------------ the nearest */

static struct work search(struct code_tree *w, const uint64_t *queries, size_t nq, size_t k,
                          const struct id_filter *filter, size_t threads, uint64_t *ids,
                          float *distances)
{
    const struct search_request request = {
        { queries, nq, 64, INDEX_B64 }, k, w->knobs, filter, threads
    };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(index_search(&w->index, &request, &result), &w->bench.error);
    return result.work;
}

/* The k nearest are the first k answers of an unlimited range search, ties by id: in standard mode
 * among all codes, in fast mode among those it reaches. */
static void expect_nearest(struct code_tree *w, uint64_t query, size_t k,
                           const struct id_filter *filter)
{
    struct test_truth *all = malloc((w->n + 1) * sizeof *all);
    uint64_t *ids = malloc((k + 1) * sizeof *ids);
    float *distances = malloc((k + 1) * sizeof *distances);
    assert_true(all && ids && distances);
    struct hf_found f = hf_range(w, query, 64);
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        if (f.distance[w->ids[i]] != 255 && index_filter_allows(filter, w->ids[i]))
            all[n++] =
                (struct test_truth){ (float)__builtin_popcountll(query ^ w->codes[i]), w->ids[i] };
    qsort(all, n, sizeof *all, test_truth_order);
    (void)search(w, &query, 1, k, filter, 1, ids, distances);
    for (size_t i = 0; i < k; i++) {
        assert_int_equal(ids[i], i < n ? all[i].id : INDEX_NO_ID);
        assert_true(distances[i] == (i < n ? all[i].distance : INFINITY));
    }
    free(f.distance);
    free(all);
    free(ids);
    free(distances);
}

static void test_nearest(void **state)
{
    for (int mode = 0; mode < 2; mode++)
        for (size_t b = 0; b < 4; b++) {
            struct code_tree w;
            hf_open_trie(&w, modes[mode], all_bits[b], 10, 230 + b);
            expect_nearest(&w, 5, 3, NULL);
            hf_insert(&w, HF_UNIFORM, 1);
            expect_nearest(&w, 5, 3, NULL);
            for (enum hf_pattern p = 0; p < HF_PATTERNS; p++)
                hf_insert(&w, p, 700);
            uint64_t bits[64];
            for (size_t i = 0; i < 64; i++)
                bits[i] = rng_u64(&w.rng) & rng_u64(&w.rng);
            const struct id_filter filter = { bits, 64 * 64 };
            for (int i = 0; i < 20; i++) {
                const uint64_t query = hf_code(&w, (enum hf_pattern)(i % HF_PATTERNS));
                expect_nearest(&w, query, 1 + (size_t)rng_below(&w.rng, 40), NULL);
                expect_nearest(&w, query, 10, &filter);
            }
            expect_nearest(&w, rng_u64(&w.rng), w.n + 5, NULL);
            tree_end(&w);
        }
}

/* At the distance of the k-th, with a smaller id, in a leaf that cannot hold a nearer code. */
static void test_nearest_ties(void **state)
{
    for (int mode = 0; mode < 2; mode++)
        for (size_t b = 0; b < 4; b++) {
            struct code_tree w;
            hf_open_trie(&w, modes[mode], all_bits[b], 2, 255);
            const uint64_t query = rng_u64(&w.rng), far = query ^ UINT64_C(1) << 63;
            const uint64_t codes[] = { far, far ^ 1, far ^ 2, query ^ 1, query ^ 2, query ^ 3 };
            tree_insert(&w, codes, 6);
            uint64_t id;
            float distance;
            (void)search(&w, &query, 1, 1, NULL, 1, &id, &distance);
            assert_int_equal(id, 0);
            assert_true(distance == 1);
            tree_end(&w);
        }
}

/* ------------------------------------------------------------------------ work */

static struct work range_work(struct code_tree *w, uint64_t query, unsigned radius)
{
    const struct hf_found found = hf_range(w, query, radius);
    free(found.distance);
    return found.work;
}

struct team {
    uint64_t *ids;
    size_t n[40];
};

static int note_sum(void *to, size_t query, uint64_t id, float distance)
{
    struct team *t = to;
    t->n[query]++;
    t->ids[query] += rng_mix(id, (uint64_t)distance);
    return OK;
}

/* Queries of a batch find what each finds alone, and compare as many codes. */
static void test_together(void **state)
{
    enum { NQ = 40 };
    for (int mode = 0; mode < 2; mode++)
        for (size_t b = 0; b < 4; b++) {
            struct code_tree w;
            hf_open_trie(&w, modes[mode], all_bits[b], 10, 260 + b);
            for (enum hf_pattern p = 0; p < HF_PATTERNS; p++)
                hf_insert(&w, p, 2000);
            tree_remove(&w, 1000);
            uint64_t queries[NQ], sums[2][NQ], some[128];
            for (size_t i = 0; i < NQ; i++)
                queries[i] = hf_code(&w, (enum hf_pattern)(i % HF_PATTERNS));
            for (size_t i = 0; i < 128; i++)
                some[i] = rng_u64(&w.rng);
            const struct id_filter filter = { some, 128 * 64 };
            for (unsigned radius = 0; radius <= 64; radius += radius < 24 ? 3 : 8)
                for (size_t nq = NQ; nq > 0; nq /= 3) {
                    struct team all = { .ids = sums[0] }, alone = { .ids = sums[1] };
                    const bool filtered = rng_below(&w.rng, 2) == 0;
                    memset(sums, 0, sizeof sums);
                    struct range_request request = { { queries, nq, 64, INDEX_B64 },
                                                     radius,
                                                     w.knobs,
                                                     filtered ? &filter : NULL,
                                                     1 };
                    struct range_result result = { .found = note_sum, .to = &all };
                    assert_ok(index_range(&w.index, &request, &result), &w.bench.error);
                    const double together = result.work.distances;
                    double apart = 0;
                    result = (struct range_result){ .found = note_sum, .to = &alone };
                    for (size_t q = 0; q < nq; q++) {
                        request.queries = (struct vectors){ queries + q, 1, 64, INDEX_B64 };
                        alone.ids = &sums[1][q];
                        alone.n[0] = 0;
                        assert_ok(index_range(&w.index, &request, &result), &w.bench.error);
                        apart += result.work.distances;
                        assert_int_equal(alone.n[0], all.n[q]);
                    }
                    assert_memory_equal(sums[0], sums[1], nq * sizeof sums[0][0]);
                    assert_true(together == apart);
                }
            tree_end(&w);
        }
}

/* The codes compared are those of the leaves within reach, counted here from the codes alone. */
static void test_work(void **state)
{
    struct code_tree w;
    hf_open_trie(&w, "standard", 4, 10, 250);
    hf_insert(&w, HF_UNIFORM, 2000);
    for (unsigned radius = 0; radius <= 12; radius += 3) {
        const uint64_t query = w.codes[rng_below(&w.rng, w.n)];
        double expected = 0;
        for (size_t i = 0; i < w.n; i++) {
            const unsigned level = leaf_level(&w, w.codes[i]);
            const uint64_t differ = level ? (query ^ w.codes[i]) >> (64 - 4 * level) : 0;
            expected += (unsigned)__builtin_popcountll(differ) <= radius;
        }
        const struct work work = range_work(&w, query, radius);
        assert_true(work.distances == expected && work.scanned == expected);
        assert_true(work.bytes_read == 8 * expected);
    }
    tree_end(&w);
}

/* From a leaf of equal codes beyond the radius one granule is read, not the chain. */
static void test_equal_codes_are_one(void **state)
{
    struct code_tree w;
    static uint64_t codes[1000];
    hf_open_trie(&w, "standard", 4, 10, 256);
    for (size_t i = 0; i < 1000; i++)
        codes[i] = 7;
    tree_insert(&w, codes, 1000);
    assert_true(range_work(&w, 0, 2).distances <= TRIE_SLOTS);
    assert_true(range_work(&w, 0, 3).distances == 1000);
    tree_compare(&w, 0, 3, 3);
    tree_end(&w);
}

int main(void)
{
    return test_run_all("hftrie search", test_fast_is_its_rule, test_fast_after_deletions,
                        test_fast_loses, test_nearest, test_nearest_ties, test_together, test_work,
                        test_equal_codes_are_one);
}
