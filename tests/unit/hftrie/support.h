/* support.h - an hftrie beside a plain array of its codes (code_tree.h). */
#ifndef DRIFTLINE_TESTS_UNIT_HFTRIE_SUPPORT_H
#define DRIFTLINE_TESTS_UNIT_HFTRIE_SUPPORT_H

#include "algorithms/hftrie/trie/trie.h"
#include "tests/support/code_tree.h"

enum hf_pattern { HF_UNIFORM, HF_CLUSTERED, HF_LAST_BITS, HF_FEW_VALUES, HF_PATTERNS };

static inline struct hftrie *hf_index(const struct code_tree *w)
{
    return (struct hftrie *)w->index.index;
}

static inline struct hftrie_knobs *hf_knobs(struct code_tree *w)
{
    return (struct hftrie_knobs *)(void *)w->knobs;
}

static inline void hf_open(struct code_tree *w, const char *options, uint64_t stream)
{
    tree_begin(w, &hftrie_ops, options);
    w->rng = rng_at(test_seed(), stream);
}

/* A trie: mode is standard or fast. */
static inline void hf_open_trie(struct code_tree *w, const char *mode, int64_t bits,
                                int64_t capacity, uint64_t stream)
{
    char options[100];
    (void)snprintf(options, sizeof options, "mode=%s,chunk_bits=%d,leaf_capacity=%d", mode,
                   (int)bits, (int)capacity);
    hf_open(w, options, stream);
}

static inline uint64_t hf_code(struct code_tree *w, enum hf_pattern pattern)
{
    const uint64_t r = rng_u64(&w->rng);
    switch (pattern) {
        case HF_CLUSTERED: return (r % 7 + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (r >> 8 & r >> 20);
        case HF_LAST_BITS: return UINT64_C(0x0123456789abcdef) ^ (r & 15);
        case HF_FEW_VALUES: return (r % 5 + 1) * UINT64_C(0xd6e8feb86659fd93);
        default: return r;
    }
}

static inline void hf_insert(struct code_tree *w, enum hf_pattern pattern, size_t n)
{
    uint64_t *codes = malloc((n + 1) * sizeof *codes);
    assert_non_null(codes);
    for (size_t i = 0; i < n; i++)
        codes[i] = hf_code(w, pattern);
    tree_insert(w, codes, n);
    free(codes);
}

/* Some codes of each pattern, so that leaves of all kinds are side by side. */
static inline void hf_insert_mixture(struct code_tree *w, size_t n)
{
    for (enum hf_pattern pattern = 0; pattern < HF_PATTERNS; pattern++)
        hf_insert(w, pattern, n);
}

/* The answers of a range search, by id; the ids are below next_id. */
struct hf_found {
    uint8_t *distance; /* 255: not found */
    size_t n;
    bool twice;
    struct work work;
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
static inline struct hf_found hf_range(struct code_tree *w, uint64_t query, unsigned radius)
{
    struct hf_found found = { .distance = malloc(w->next_id + 1) };
    assert_non_null(found.distance);
    memset(found.distance, 255, w->next_id + 1);
    const struct range_request request = {
        { &query, 1, 64, INDEX_B64 }, radius, w->knobs, NULL, 1
    };
    struct range_result result = { .found = hf_note, .to = &found };
    assert_ok(index_range(&w->index, &request, &result), &w->bench.error);
    assert_false(found.twice);
    found.work = result.work;
    return found;
}

#endif
