/* test_wide.c - methods over codes of more than 64 bits against a plain array: codes that differ
 * anywhere, in the last word alone, or not at all. */
#include "algorithms/hamming/mih/mih.h"
#include "algorithms/hftrie/hftrie.h"
#include "src/core/param.h"
#include "tests/support/checked_calls.h"
#include "tests/support/testing.h"

extern const struct index_ops hamming_scan_ops;

enum { MOST = 900, K = 7 };

static const struct setting {
    const struct index_ops *ops;
    const char *options[4][2]; /* name, value */
} settings[] = {
    { &hamming_scan_ops, { { NULL } } },
    { &mih_ops, { { "tables", "4" }, { "key_bits", "5" } } },
    { &mih_ops, { { "tables", "5" }, { "key_bits", "20" }, { "layout", "slots" } } },
    { &mih_ops, { { "tables", "16" }, { "key_bits", "8" } } },
    { &mih_ops, { { "tables", "1" }, { "key_bits", "3" }, { "layout", "slots" } } },
    { &hftrie_ops, { { "mode", "standard" } } },
    { &hftrie_ops, { { "mode", "standard" }, { "chunk_bits", "1" }, { "leaf_capacity", "1" } } },
    { &hftrie_ops, { { "mode", "standard" }, { "chunk_bits", "2" }, { "leaf_capacity", "10" } } },
    { &hftrie_ops, { { "mode", "standard" }, { "leaf_capacity", "3" } } },
};
static const size_t widths[] = { 64, 128, 256, 320, 1024 };

enum pattern { ANYWHERE, LAST_WORD, FEW_VALUES, PATTERNS };

struct scene {
    struct test_bench bench;
    struct checked index;
    void *params, *knobs;
    struct rng rng;
    size_t words, n;
    uint64_t codes[MOST * INDEX_CODE_WORDS_MAX], ids[MOST], next_id;
};

static void begin(struct scene *s, const struct setting *of, size_t bits)
{
    memset(s, 0, sizeof *s);
    test_bench_begin(&s->bench, INDEX_B64, INDEX_HAMMING, bits, 2);
    s->rng = rng_at(test_seed(), bits);
    s->words = bits / 64;
    s->params = calloc(1, of->ops->params_bytes + 1);
    s->knobs = calloc(1, of->ops->knobs_bytes + 1);
    assert_true(s->params && s->knobs);
    param_defaults(of->ops->params, s->params);
    param_defaults(of->ops->knobs, s->knobs);
    for (size_t i = 0; i < 4 && of->options[i][0]; i++)
        assert_ok(param_set(of->ops->params, s->params, of->options[i][0],
                            (struct param_value){ .kind = VALUE_TEXT, .text = of->options[i][1] },
                            of->ops->name, &s->bench.error),
                  &s->bench.error);
    assert_ok(index_open(&s->index, of->ops, &s->bench.env, s->params), &s->bench.error);
}

static void end(struct scene *s)
{
    index_close(&s->index);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    test_bench_end(&s->bench);
    free(s->params);
    free(s->knobs);
}

static uint64_t *code(struct scene *s, size_t i)
{
    return s->codes + i * s->words;
}

static void make_code(struct scene *s, enum pattern p, uint64_t *out)
{
    for (size_t w = 0; w < s->words; w++)
        out[w] = p == ANYWHERE ? rng_u64(&s->rng) : 5 * w;
    if (p == ANYWHERE && s->n > 0 && rng_below(&s->rng, 2))
        memcpy(out, code(s, rng_below(&s->rng, s->n)), s->words * sizeof *out);
    for (size_t flips = rng_below(&s->rng, 9); p == ANYWHERE && flips > 0; flips--) {
        const size_t bit = rng_below(&s->rng, 64 * s->words);
        out[bit / 64] ^= UINT64_C(1) << bit % 64;
    }
    if (p == LAST_WORD)
        out[s->words - 1] = rng_below(&s->rng, 400);
    if (p == FEW_VALUES)
        out[rng_below(&s->rng, s->words)] ^= rng_below(&s->rng, 2);
}

static void insert(struct scene *s, enum pattern p, size_t n)
{
    const size_t first = s->n;
    size_t done;
    for (; s->n < first + n; s->n++) {
        make_code(s, p, code(s, s->n));
        s->ids[s->n] = s->next_id++;
    }
    const struct vectors rows = { code(s, first), n, 64 * s->words, INDEX_B64 };
    assert_ok(index_insert(&s->index, rows, s->ids + first, &done), &s->bench.error);
}

static void remove_some(struct scene *s, size_t n)
{
    uint64_t ids[MOST];
    size_t done;
    for (size_t i = 0; i < n; i++) {
        const size_t at = rng_below(&s->rng, s->n--);
        ids[i] = s->ids[at];
        s->ids[at] = s->ids[s->n];
        memmove(code(s, at), code(s, s->n), s->words * sizeof(uint64_t));
    }
    assert_ok(index_remove(&s->index, ids, n, &done), &s->bench.error);
}

struct found {
    bool seen[4 * MOST];
    float distance[4 * MOST];
    size_t n;
};

static int take(void *to, size_t query, uint64_t id, float distance)
{
    struct found *f = to;
    assert_int_equal(query, 0);
    assert_true(id < 4 * MOST && !f->seen[id]);
    f->seen[id] = true;
    f->distance[id] = distance;
    f->n++;
    return OK;
}

static void expect_range(struct scene *s, const uint64_t *query, unsigned radius)
{
    struct found f = { .n = 0 };
    const struct range_request request = {
        { query, 1, 64 * s->words, INDEX_B64 }, radius, s->knobs, NULL, 1
    };
    struct range_result result = { .found = take, .to = &f };
    size_t n = 0;
    assert_ok(index_range(&s->index, &request, &result), &s->bench.error);
    for (size_t i = 0; i < s->n; i++) {
        const unsigned distance = code_distance(query, code(s, i), s->words);
        if (distance > radius)
            continue;
        n++;
        assert_true(f.seen[s->ids[i]]);
        assert_true(f.distance[s->ids[i]] == (float)distance);
    }
    assert_int_equal(f.n, n);
}

/* The i-th nearest is farther than i others, smaller ids first among equals. */
static void expect_nearest(struct scene *s, const uint64_t *queries, size_t n)
{
    uint64_t ids[3 * K];
    float distances[3 * K];
    const struct search_request request = {
        { queries, n, 64 * s->words, INDEX_B64 }, K, s->knobs, NULL, 1
    };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(index_search(&s->index, &request, &result), &s->bench.error);
    for (size_t at = 0; at < n * K; at++) {
        const uint64_t *query = queries + at / K * s->words;
        size_t before = 0, is = SIZE_MAX;
        for (size_t i = 0; i < s->n; i++) {
            const float d = (float)code_distance(query, code(s, i), s->words);
            before += d < distances[at] || (d == distances[at] && s->ids[i] < ids[at]);
            if (s->ids[i] == ids[at]) {
                is = i;
                assert_true(d == distances[at]);
            }
        }
        assert_true(is != SIZE_MAX);
        assert_int_equal(before, at % K);
    }
}

static void expect_answers(struct scene *s, enum pattern p)
{
    const unsigned radii[] = { 0, 1, 3, 9, 40, 32 * (unsigned)s->words, 64 * (unsigned)s->words };
    uint64_t queries[3 * INDEX_CODE_WORDS_MAX];
    assert_ok(index_check(&s->index, NULL), &s->bench.error);
    for (size_t q = 0; q < 3; q++)
        make_code(s, p, queries + q * s->words);
    for (size_t i = 0; i < sizeof radii / sizeof *radii; i++)
        if (radii[i] <= 64 * s->words)
            expect_range(s, queries, radii[i]);
    expect_nearest(s, queries, 3);
}

static void test_history(void **state)
{
    struct scene *s = malloc(sizeof *s);
    assert_non_null(s);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (enum pattern p = 0; p < PATTERNS; p++) {
                begin(s, &settings[i], widths[w]);
                insert(s, p, 300);
                expect_answers(s, p);
                remove_some(s, 200);
                expect_answers(s, p);
                insert(s, p, 250);
                expect_answers(s, p);
                remove_some(s, 340);
                expect_answers(s, p);
                end(s);
            }
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history),
    };
    return test_run("codes_wide", tests);
}
