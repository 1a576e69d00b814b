/* support.h - an hftrie beside a plain array of its codes. */
#ifndef DRIFTLINE_TESTS_UNIT_HFTRIE_SUPPORT_H
#define DRIFTLINE_TESTS_UNIT_HFTRIE_SUPPORT_H

#include "algorithms/hftrie/trie/trie.h"
#include "src/core/checked.h"
#include "tests/support/testing.h"

enum hf_pattern { HF_UNIFORM, HF_CLUSTERED, HF_LAST_BITS, HF_FEW_VALUES, HF_PATTERNS };

struct hf_world {
    struct test_bench bench;
    struct hftrie_params params;
    struct hftrie_knobs knobs;
    struct index *index;
    struct rng rng;
    uint64_t *codes, *ids; /* reference */
    size_t n, capacity;
    uint64_t next_id;
};

static inline struct hftrie_params hf_params(enum hftrie_mode mode, int64_t bits, int64_t capacity)
{
    struct hftrie_params p;
    param_defaults(hftrie_ops.params, &p);
    p.mode = mode;
    p.chunk_bits = bits;
    p.leaf_capacity = capacity;
    return p;
}

static inline void hf_open(struct hf_world *w, struct hftrie_params params, uint64_t stream)
{
    memset(w, 0, sizeof *w);
    test_bench_begin(&w->bench, INDEX_B64, INDEX_HAMMING, 64, 2);
    w->params = params;
    param_defaults(hftrie_ops.knobs, &w->knobs);
    w->rng = rng_at(test_seed(), stream);
    assert_ok(hftrie_ops.create(&w->index, &w->bench.env, &w->params), &w->bench.error);
}

static inline void hf_close(struct hf_world *w)
{
    hftrie_ops.destroy(w->index);
    assert_int_equal(mem_live(&w->bench.mem), 0);
    test_bench_end(&w->bench);
    free(w->codes);
    free(w->ids);
}

static inline struct trie *hf_trie(const struct hf_world *w)
{
    return ((struct hftrie *)w->index)->state;
}

static inline void hf_check(struct hf_world *w)
{
    assert_ok(hftrie_ops.check(w->index, NULL), &w->bench.error);
}

static inline uint64_t hf_code(struct hf_world *w, enum hf_pattern pattern)
{
    const uint64_t r = rng_u64(&w->rng);
    switch (pattern) {
        case HF_CLUSTERED: return (r % 7 + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (r >> 8 & r >> 20);
        case HF_LAST_BITS: return UINT64_C(0x0123456789abcdef) ^ (r & 15);
        case HF_FEW_VALUES: return (r % 5 + 1) * UINT64_C(0xd6e8feb86659fd93);
        default: return r;
    }
}

/* Inserts codes under new ids. */
static inline void hf_insert_codes(struct hf_world *w, const uint64_t *codes, size_t n)
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
    assert_ok(hftrie_ops.insert(w->index, v, w->ids + w->n, &done), &w->bench.error);
    assert_int_equal(done, n);
    w->n += n;
}

static inline void hf_insert(struct hf_world *w, enum hf_pattern pattern, size_t n)
{
    uint64_t *codes = malloc((n + 1) * sizeof *codes);
    assert_non_null(codes);
    for (size_t i = 0; i < n; i++)
        codes[i] = hf_code(w, pattern);
    hf_insert_codes(w, codes, n);
    free(codes);
}

/* Removes the last n codes of the array; after hf_shuffle() these are a random choice. */
static inline void hf_remove_last(struct hf_world *w, size_t n)
{
    size_t done = 0;
    w->n -= n;
    assert_ok(hftrie_ops.remove(w->index, w->ids ? w->ids + w->n : NULL, n, &done),
              &w->bench.error);
    assert_int_equal(done, n);
}

static inline void hf_shuffle(struct hf_world *w)
{
    for (size_t i = w->n; i > 1; i--) {
        const size_t j = (size_t)rng_below(&w->rng, i);
        const uint64_t code = w->codes[i - 1], id = w->ids[i - 1];
        w->codes[i - 1] = w->codes[j];
        w->ids[i - 1] = w->ids[j];
        w->codes[j] = code;
        w->ids[j] = id;
    }
}

/* The answers of a range search, by id; the ids are below next_id. */
struct hf_found {
    uint8_t *distance; /* 255: not found */
    size_t n;
    bool twice;
};

static inline int hf_note(void *to, size_t query, uint64_t id, float distance)
{
    struct hf_found *f = to;
    f->twice |= f->distance[id] != 255;
    f->distance[id] = (uint8_t)distance;
    f->n++;
    return OK;
}

/* found.distance is the caller's to free. */
static inline struct hf_found hf_range(struct hf_world *w, uint64_t query, unsigned radius)
{
    struct hf_found found = { .distance = malloc(w->next_id + 1) };
    assert_non_null(found.distance);
    memset(found.distance, 255, w->next_id + 1);
    const struct range_request request = {
        { &query, 1, 64, INDEX_B64 }, radius, &w->knobs, NULL, 1
    };
    struct range_result result = { .found = hf_note, .to = &found };
    assert_ok(hftrie_ops.range(w->index, &request, &result), &w->bench.error);
    assert_false(found.twice);
    return found;
}

static inline unsigned hf_distance(uint64_t a, uint64_t b)
{
    unsigned n = 0;
    for (uint64_t x = a ^ b; x; x &= x - 1)
        n++;
    return n;
}

/* The answers are exact. */
static inline void hf_expect_exact(struct hf_world *w, uint64_t query, unsigned radius)
{
    struct hf_found f = hf_range(w, query, radius);
    size_t expected = 0;
    for (size_t i = 0; i < w->n; i++) {
        const unsigned d = hf_distance(query, w->codes[i]);
        expected += d <= radius;
        if (f.distance[w->ids[i]] != (d <= radius ? d : 255))
            fail_msg("radius %u: id %" PRIu64 " at distance %u is reported at %u", radius,
                     w->ids[i], d, f.distance[w->ids[i]]);
    }
    assert_int_equal(f.n, expected);
    free(f.distance);
}

static inline double hf_stat(const struct hf_world *w, const char *name)
{
    return test_stat(w->index, name);
}

/* Saves the index, loads it beside the old one, and closes the old one. */
static inline void hf_reload(struct hf_world *w)
{
    char dir[PATH_MAX];
    struct index *loaded = NULL;
    test_dir_make(dir);
    assert_ok(hftrie_ops.save(w->index, dir), &w->bench.error);
    assert_ok(hftrie_ops.load(&loaded, &w->bench.env, dir), &w->bench.error);
    hftrie_ops.destroy(w->index);
    w->index = loaded;
    test_dir_remove(dir);
}

#endif
