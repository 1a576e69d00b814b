/* code_tree.h - histories for methods of codes (mtree, mvptree, hwtree, mih, hftrie), beside a plain
 * array of their expected contents. */
#ifndef DRIFTLINE_TESTS_SUPPORT_CODE_TREE_H
#define DRIFTLINE_TESTS_SUPPORT_CODE_TREE_H

#include "tests/support/testing.h"

#include "src/core/order.h"
#include "tests/support/checked_calls.h"

struct code_tree {
    struct test_bench bench;
    struct checked index;
    struct rng rng;
    uint64_t *codes, *ids; /* reference */
    size_t n, capacity;
    uint64_t next_id;
    _Alignas(16) char knobs[64];    /* the method's, at their defaults */
    const struct id_filter *filter; /* of searches, or NULL */
    double computed;                /* of the last range search */
    bool scans_equal_as_one;        /* rows of one code count as one that is scanned */
    bool more_work; /* a range search may compute more than 3 distances a row: removals ran out of
                       memory, or a row is in many tables */
};

static inline void tree_begin(struct code_tree *t, const struct index_ops *ops, const char *options)
{
    _Alignas(16) char params[1024];
    memset(t, 0, sizeof *t);
    test_bench_begin(&t->bench, INDEX_B64, INDEX_HAMMING, 64, 2);
    t->rng = rng_at(test_seed(), 3);
    t->scans_equal_as_one = strcmp(ops->name, "hftrie") == 0;
    t->more_work = t->scans_equal_as_one || strcmp(ops->name, "mih") == 0;
    assert_true(ops->knobs_bytes <= sizeof t->knobs);
    if (ops->knobs)
        param_defaults(ops->knobs, t->knobs);
    test_set_options(ops->params, options, ",", params);
    assert_ok(index_open(&t->index, ops, &t->bench.env, params), &t->bench.error);
}

static inline void tree_end(struct code_tree *t)
{
    index_close(&t->index);
    assert_int_equal(mem_live(&t->bench.mem), 0);
    test_bench_end(&t->bench);
    free(t->codes);
    free(t->ids);
}

static inline void tree_check(struct code_tree *t)
{
    assert_ok(index_check(&t->index, NULL), &t->bench.error);
}

static inline double tree_stat(const struct code_tree *t, const char *name)
{
    return test_stat(t->index.index, name);
}

/* check() must find the damage, and say so. */
static inline void tree_expect_noticed(struct code_tree *t, const char *sentence)
{
    const int rc = index_check(&t->index, NULL);
    assert_int_equal(rc, ERR_INVARIANT);
    assert_non_null(strstr(t->bench.error.text, sentence));
    error_clear(&t->bench.error);
}

static inline void tree_insert(struct code_tree *t, const uint64_t *codes, size_t n)
{
    if (t->n + n > t->capacity) {
        t->capacity = 2 * (t->n + n);
        t->codes = realloc(t->codes, t->capacity * sizeof *t->codes);
        t->ids = realloc(t->ids, t->capacity * sizeof *t->ids);
        assert_true(t->codes && t->ids);
    }
    memcpy(t->codes + t->n, codes, n * sizeof *codes);
    for (size_t i = 0; i < n; i++)
        t->ids[t->n + i] = t->next_id++;
    size_t done;
    assert_ok(
        index_insert(&t->index, (struct vectors){ codes, n, 64, INDEX_B64 }, t->ids + t->n, &done),
        &t->bench.error);
    t->n += n;
}

/* Removes the last n rows of the array. */
static inline void tree_remove_last(struct code_tree *t, size_t n)
{
    size_t done;
    t->n -= n;
    const uint64_t *gone = n > 0 ? t->ids + t->n : NULL; /* ids are NULL before the first row */
    assert_ok(index_remove(&t->index, gone, n, &done), &t->bench.error);
    assert_int_equal(done, n);
}

/* Removes n random rows, or all. */
static inline void tree_remove(struct code_tree *t, size_t n)
{
    n = n < t->n ? n : t->n;
    for (size_t i = 0; i < n; i++) { /* to the end of the array */
        const size_t at = rng_below(&t->rng, t->n - i), last = t->n - 1 - i;
        const uint64_t code = t->codes[at], id = t->ids[at];
        t->codes[at] = t->codes[last];
        t->ids[at] = t->ids[last];
        t->codes[last] = code;
        t->ids[last] = id;
    }
    tree_remove_last(t, n);
}

/* The row with this id. */
static inline void tree_remove_id(struct code_tree *t, uint64_t id)
{
    size_t at = 0, done;
    while (t->ids[at] != id)
        at++;
    assert_ok(index_remove(&t->index, &id, 1, &done), &t->bench.error);
    t->n--;
    t->codes[at] = t->codes[t->n];
    t->ids[at] = t->ids[t->n];
}

/* Saves the index, loads it beside the old one, and closes the old one. */
static inline void tree_reload(struct code_tree *t)
{
    char dir[PATH_MAX];
    struct checked saved = t->index;
    test_dir_make(dir);
    assert_ok(index_save(&saved, dir), &t->bench.error);
    assert_ok(index_open_saved(&t->index, saved.ops, &t->bench.env, dir, &saved), &t->bench.error);
    index_close(&saved);
    test_dir_remove(dir);
}

/* Answers come in no order, so they are counted: each must be within the radius, at the right
   distance, and occur once. */
struct tree_found {
    const struct code_tree *t;
    const uint64_t *queries, *code_of; /* code_of: by id */
    uint8_t *seen;                     /* by query and id */
    size_t n;
    double radius;
};

static inline int tree_note(void *to, size_t query, uint64_t id, float distance)
{
    struct tree_found *f = to;
    assert_true(id < f->t->next_id && !f->seen[query * f->t->next_id + id]);
    assert_true(distance <= f->radius && index_filter_allows(f->t->filter, id));
    assert_true(distance == (float)__builtin_popcountll(f->code_of[id] ^ f->queries[query]));
    f->seen[query * f->t->next_id + id] = 1;
    f->n++;
    return OK;
}

/* Compares the answers to a batch of queries with the array. */
static inline void tree_compare_batch(struct code_tree *t, const uint64_t *queries, size_t nq,
                                      unsigned radius, size_t threads)
{
    uint64_t *code_of = calloc(t->next_id + 1, sizeof *code_of);
    struct tree_found found = { t, queries, code_of, calloc(nq * t->next_id + 1, 1), 0, radius };
    size_t expected = 0;
    assert_true(found.seen && code_of);
    for (size_t i = 0; i < t->n; i++) {
        code_of[t->ids[i]] = t->codes[i];
        for (size_t q = 0; q < nq && index_filter_allows(t->filter, t->ids[i]); q++)
            expected += (unsigned)__builtin_popcountll(t->codes[i] ^ queries[q]) <= radius;
    }
    const struct range_request request = {
        { queries, nq, 64, INDEX_B64 }, radius, t->knobs, t->filter, threads
    };
    struct range_result result = { .found = tree_note, .to = &found };
    assert_ok(index_range(&t->index, &request, &result), &t->bench.error);
    assert_int_equal(found.n, expected);
    assert_true(t->more_work || result.work.distances <= (double)nq * ((double)t->n * 3 + 64));
    assert_true(t->scans_equal_as_one || result.work.scanned >= (double)found.n);
    t->computed = result.work.distances;
    free(found.seen);
    free(code_of);
}

/* Compares one query at every radius of a range with the array. */
static inline void tree_compare(struct code_tree *t, uint64_t query, unsigned first, unsigned last)
{
    for (unsigned radius = first; radius <= last; radius++)
        tree_compare_batch(t, &query, 1, radius, 1);
}

/* Compares the k nearest, ties to the smaller id, with the sorted array. */
static inline void tree_compare_nearest(struct code_tree *t, const uint64_t *queries, size_t nq,
                                        size_t k)
{
    uint64_t *all = malloc((t->n + 1) * sizeof *all), *ids = malloc(nq * k * sizeof *ids);
    float *distances = malloc(nq * k * sizeof *distances);
    assert_true(all && ids && distances);
    const struct search_request request = {
        { queries, nq, 64, INDEX_B64 }, k, t->knobs, t->filter, 2
    };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(index_search(&t->index, &request, &result), &t->bench.error);
    for (size_t q = 0; q < nq; q++) {
        size_t n = 0;
        for (size_t i = 0; i < t->n; i++)
            if (index_filter_allows(t->filter, t->ids[i]))
                all[n++] =
                    (uint64_t)__builtin_popcountll(t->codes[i] ^ queries[q]) << 56 | t->ids[i];
        qsort(all, n, sizeof *all, order_u64);
        for (size_t i = 0; i < k; i++) {
            assert_true(ids[q * k + i] == (i < n ? all[i] & (UINT64_MAX >> 8) : INDEX_NO_ID));
            assert_true(distances[q * k + i] == (i < n ? (float)(all[i] >> 56) : INFINITY));
        }
    }
    free(all);
    free(ids);
    free(distances);
}

/* Codes of one of several kinds: uniform, clusters, few values, consecutive, of few bits, repeated. */
static inline void tree_codes(struct code_tree *t, uint64_t *codes, size_t n)
{
    const uint64_t kind = rng_below(&t->rng, 6);
    test_fill_b64(&t->rng, codes, n, kind == 1 ? 3 : 0);
    for (size_t i = 0; i < n && kind >= 2; i++)
        codes[i] = kind == 2   ? rng_below(&t->rng, 4) * UINT64_C(0x0101010101010101)
                   : kind == 3 ? t->next_id + i
                   : kind == 4 ? codes[i] & rng_u64(&t->rng) & rng_u64(&t->rng) & rng_u64(&t->rng)
                   : t->n > 0  ? t->codes[rng_below(&t->rng, t->n)]
                               : 0;
}

static inline uint64_t tree_a_query(struct code_tree *t)
{
    const uint64_t any = rng_u64(&t->rng);
    return t->n > 0 && any % 2 ? t->codes[any / 2 % t->n] ^ (UINT64_C(1) << any % 61) : any;
}

/* Inserts and removes at random; after each step runs check() and compares a range search, one
   radius per step and all radii at the end; every third with a filter. */
static inline void tree_history(const struct index_ops *ops, const char *options, size_t steps,
                                size_t most)
{
    struct code_tree t;
    uint64_t *codes = malloc(most * sizeof *codes), bits[200];
    const struct id_filter filter = { bits, 64 * sizeof bits / sizeof *bits };
    assert_non_null(codes);
    tree_begin(&t, ops, options);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        bits[i] = rng_u64(&t.rng) & rng_u64(&t.rng);
    for (size_t step = 0; step < steps; step++) {
        t.filter = step % 3 == 2 ? &filter : NULL;
        const size_t n = 1 + rng_below(&t.rng, rng_below(&t.rng, 3) ? 20 : most);
        if (rng_below(&t.rng, 20) == 0) {
            tree_remove(&t, t.n);
        } else if (rng_below(&t.rng, 9) < 5) {
            tree_codes(&t, codes, n);
            tree_insert(&t, codes, n);
        } else {
            tree_remove(&t, n);
        }
        tree_check(&t);
        tree_compare(&t, tree_a_query(&t), step % 65, step % 65);
        const uint64_t query = tree_a_query(&t);
        tree_compare_nearest(&t, &query, 1, 1 + rng_below(&t.rng, 30));
        if (step % 16 == 15)
            tree_compare(&t, tree_a_query(&t), 0, 64);
    }
    tree_remove(&t, t.n);
    tree_check(&t);
    tree_end(&t);
    free(codes);
}

/* Inserts n rows of `codes`, checks and searches, then removes half and all of them; memory must
   return to that of an empty index. */
static inline void tree_fill_and_empty(const struct index_ops *ops, const char *options,
                                       const uint64_t *codes, size_t n)
{
    struct code_tree t;
    tree_begin(&t, ops, options);
    const size_t empty = mem_live(&t.bench.mem);
    tree_insert(&t, codes, n);
    tree_check(&t);
    for (unsigned radius = 0; radius <= 64; radius += 8)
        tree_compare(&t, codes[n / 3], radius, radius);
    tree_compare_nearest(&t, (const uint64_t[]){ codes[n / 2] ^ 5 }, 1, 10);
    tree_remove(&t, n / 2);
    tree_check(&t);
    tree_compare(&t, codes[0], 2, 3);
    tree_remove(&t, t.n - t.n / 10);
    tree_check(&t);
    tree_compare(&t, codes[0], 2, 3);
    tree_remove(&t, t.n);
    tree_check(&t);
    if (mem_live(&t.bench.mem) > empty + empty / 10)
        fail_msg("%zu bytes after removing all, %zu at first", mem_live(&t.bench.mem), empty);
    tree_insert(&t, codes, 100);
    tree_check(&t);
    tree_compare(&t, codes[1], 0, 64);
    tree_end(&t);
}

/* Codes that unbalance a tree: all equal, consecutive, two clusters far apart. */
static inline void tree_adversaries(const struct index_ops *ops, const char *options, size_t n)
{
    struct rng rng = rng_at(test_seed(), 5);
    uint64_t *codes = malloc(n * sizeof *codes);
    assert_non_null(codes);
    for (size_t i = 0; i < n; i++)
        codes[i] = UINT64_C(0x123456789abcdef0);
    tree_fill_and_empty(ops, options, codes, n);
    for (size_t i = 0; i < n; i++)
        codes[i] = i;
    tree_fill_and_empty(ops, options, codes, n);
    for (size_t i = 0; i < n; i++)
        codes[i] = (i % 2 ? UINT64_MAX : 0) ^ (UINT64_C(1) << rng_below(&rng, 64));
    tree_fill_and_empty(ops, options, codes, n);
    for (size_t i = 0; i < n; i++) /* most equal, the others random */
        codes[i] = i % 16 ? 77 : rng_u64(&rng);
    tree_fill_and_empty(ops, options, codes, n);
    free(codes);
}

/* Removals must succeed without memory, and leave a sound index. */
static inline void tree_remove_without_memory(const struct index_ops *ops, const char *options)
{
    struct code_tree t;
    uint64_t codes[3000];
    tree_begin(&t, ops, options);
    test_fill_b64(&t.rng, codes, 3000, 0);
    tree_insert(&t, codes, 3000);
    t.more_work = true;
    for (size_t round = 0; round < 29; round++) {
        t.bench.mem.fail_at = 1;
        t.bench.mem.fail_after = true;
        tree_remove(&t, 100);
        t.bench.mem.fail_at = 0;
        tree_check(&t);
        tree_compare(&t, tree_a_query(&t), 20, 22);
    }
    tree_insert(&t, codes, 1000);
    tree_remove(&t, 1);
    tree_check(&t);
    tree_compare(&t, codes[7], 0, 64);
    tree_end(&t);
}

/* A query near one of 40 clusters computes far fewer distances than there are rows. */
static inline void tree_prunes(const struct index_ops *ops, const char *options, double most_share)
{
    enum { N = 20000 };
    struct code_tree t;
    uint64_t *codes = malloc(N * sizeof *codes);
    assert_non_null(codes);
    tree_begin(&t, ops, options);
    for (size_t i = 0; i < N; i++)
        codes[i] = rng_mix(i % 40, 9) ^ (UINT64_C(1) << rng_below(&t.rng, 64)) ^
                   (UINT64_C(1) << rng_below(&t.rng, 64));
    tree_insert(&t, codes, N);
    tree_compare(&t, codes[17], 4, 4);
    assert_true(t.computed < N * most_share);
    tree_end(&t);
    free(codes);
}

/* The same calls do the same work and give the same answers. */
static inline void tree_repeats(const struct index_ops *ops, const char *options)
{
    double computed[2];
    for (size_t i = 0; i < 2; i++) {
        struct code_tree t;
        uint64_t codes[2000];
        tree_begin(&t, ops, options);
        test_fill_b64(&t.rng, codes, 2000, 0);
        tree_insert(&t, codes, 2000);
        tree_remove(&t, 900);
        tree_compare(&t, codes[3], 9, 9);
        computed[i] = t.computed;
        tree_end(&t);
    }
    assert_true(computed[0] == computed[1]);
}

#endif
