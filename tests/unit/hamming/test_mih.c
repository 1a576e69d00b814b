/* test_mih.c - multi-index hashing against a plain array: random histories at every radius, both
 * layouts, long buckets, freed memory, and the blocks that hold buckets. */
#include "tests/support/testing.h"

#include "algorithms/hamming/mih/mih.h"

enum { MOST = 12000, K = 12 };

static const struct mih_params settings[] = {
    { .tables = 4, .layout = MIH_COPIED, .key_bits = 10 },
    { .tables = 4, .layout = MIH_SLOTS, .key_bits = 16 },
    { .tables = 3, .layout = MIH_COPIED, .key_bits = 7 },
    { .tables = 1, .layout = MIH_SLOTS, .key_bits = 5 },
    { .tables = 2, .layout = MIH_COPIED, .key_bits = 12 },
    { .tables = 8, .layout = MIH_COPIED, .key_bits = 24 },
    { .tables = 16, .layout = MIH_SLOTS, .key_bits = 2 },
};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* The index and its reference: codes under ids, and which ids are live. */
struct scene {
    struct test_bench bench;
    struct rng rng;
    struct index *index;
    uint64_t codes[MOST], ids[MOST];
    size_t n;
    uint64_t next_id;
};

static struct scene *scene_new(const struct mih_params *params, uint64_t stream, size_t threads)
{
    struct scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    test_bench_begin(&s->bench, INDEX_B64, INDEX_HAMMING, 64, threads);
    s->rng = rng_at(test_seed(), stream);
    assert_ok(mih_ops.create(&s->index, &s->bench.env, params), &s->bench.error);
    return s;
}

static void scene_free(struct scene *s)
{
    mih_ops.destroy(s->index);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    test_bench_end(&s->bench);
    free(s);
}

static struct vectors vectors_of(const uint64_t *codes, size_t n)
{
    return (struct vectors){ codes, n, 64, INDEX_B64 };
}

static void expect_sound(struct scene *s)
{
    assert_ok(mih_check(s->index, NULL), &s->bench.error);
    assert_int_equal(((struct mih *)s->index)->codes.rows.n, s->n);
}

/* clusters = 0: uniform. copies: share of codes equal to a stored one. */
static void insert(struct scene *s, size_t n, size_t clusters, double copies)
{
    size_t done = SIZE_MAX;
    n = n < MOST - s->n ? n : MOST - s->n;
    test_fill_b64(&s->rng, s->codes + s->n, n, clusters);
    for (size_t i = s->n; i < s->n + n; i++) {
        s->ids[i] = s->next_id++ * (i % 2 ? 1 : UINT64_C(0x100000001));
        if (i > 0 && rng_unit(&s->rng) < copies)
            s->codes[i] = s->codes[rng_below(&s->rng, i)];
    }
    assert_ok(mih_insert(s->index, vectors_of(s->codes + s->n, n), s->ids + s->n, &done),
              &s->bench.error);
    assert_int_equal(done, n);
    s->n += n;
}

static void remove_some(struct scene *s, size_t n)
{
    uint64_t ids[MOST];
    size_t done = SIZE_MAX;
    n = n < s->n ? n : s->n;
    for (size_t i = 0; i < n; i++) {
        const size_t at = rng_below(&s->rng, s->n);
        ids[i] = s->ids[at];
        s->ids[at] = s->ids[--s->n];
        s->codes[at] = s->codes[s->n];
    }
    assert_ok(mih_remove(s->index, ids, n, &done), &s->bench.error);
    assert_int_equal(done, n);
}

/* ------------------------------------------------------------------------- the reference */

struct pair {
    unsigned distance;
    uint64_t id;
};

static int by_distance(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->distance != y->distance ? (x->distance > y->distance) - (x->distance < y->distance)
                                      : (x->id > y->id) - (x->id < y->id);
}

/* Allowed rows within the radius, nearest first; returns their number. */
static size_t truth(const struct scene *s, uint64_t query, unsigned radius,
                    const struct id_filter *filter, struct pair *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const unsigned d = (unsigned)__builtin_popcountll(query ^ s->codes[i]);
        if (d <= radius && index_filter_allows(filter, s->ids[i]))
            out[n++] = (struct pair){ d, s->ids[i] };
    }
    qsort(out, n, sizeof *out, by_distance);
    return n;
}

struct found {
    struct pair pairs[MOST];
    size_t n;
};

static int take(void *to, size_t query, uint64_t id, float distance)
{
    struct found *f = to;
    assert_int_equal(query, 0);
    assert_true(f->n < MOST);
    f->pairs[f->n++] = (struct pair){ (unsigned)distance, id };
    return OK;
}

/* Near a stored code, or random. */
static uint64_t random_query(struct scene *s)
{
    uint64_t query = rng_u64(&s->rng);
    if (s->n > 0 && rng_below(&s->rng, 3) > 0) {
        query = s->codes[rng_below(&s->rng, s->n)];
        for (uint64_t flips = rng_below(&s->rng, 12); flips > 0; flips--)
            query ^= UINT64_C(1) << rng_below(&s->rng, 64);
    }
    return query;
}

static void expect_range(struct scene *s, unsigned radius, const struct id_filter *filter)
{
    static struct pair expected[MOST];
    static struct found found;
    const uint64_t query = random_query(s);
    const struct range_request request = { vectors_of(&query, 1), radius, NULL, filter, 1 };
    struct range_result result = { .found = take, .to = &found };
    found.n = 0;
    assert_ok(mih_ops.range(s->index, &request, &result), &s->bench.error);
    qsort(found.pairs, found.n, sizeof *found.pairs, by_distance);
    assert_int_equal(found.n, truth(s, query, radius, filter, expected));
    for (size_t i = 0; i < found.n; i++) {
        assert_int_equal(found.pairs[i].id, expected[i].id);
        assert_int_equal(found.pairs[i].distance, expected[i].distance);
    }
}

static void expect_nearest(struct scene *s, size_t k, const struct id_filter *filter)
{
    static struct pair expected[MOST];
    uint64_t queries[3], ids[3 * K];
    float distances[3 * K];
    for (size_t q = 0; q < 3; q++)
        queries[q] = random_query(s);
    const struct search_request request = { vectors_of(queries, 3), k, NULL, filter, 2 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(mih_ops.search(s->index, &request, &result), &s->bench.error);
    for (size_t q = 0; q < 3; q++) {
        const size_t n = truth(s, queries[q], 64, filter, expected);
        for (size_t i = 0; i < k; i++) {
            assert_true(ids[q * k + i] == (i < n ? expected[i].id : INDEX_NO_ID));
            if (i < n)
                assert_int_equal(distances[q * k + i], expected[i].distance);
        }
    }
}

/* Each odd id below 64 * words is allowed with this probability. */
static struct id_filter random_filter(struct scene *s, uint64_t *bits, size_t words, double share)
{
    for (size_t i = 0; i < words * 64; i++) {
        bits[i / 64] &= ~(UINT64_C(1) << i % 64);
        bits[i / 64] |= (uint64_t)(rng_unit(&s->rng) < share) << i % 64;
    }
    return (struct id_filter){ bits, words * 64 - 5 };
}

/* ------------------------------------------------------------------------- tests */

static void test_histories(void **state)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        struct scene *s = scene_new(&settings[i], 10 + i, 2);
        for (size_t step = 0; step < 30; step++) {
            uint64_t bits[60];
            const struct id_filter filter = random_filter(s, bits, 60, .3);
            if (rng_below(&s->rng, 3) > 0)
                insert(s, 1 + rng_below(&s->rng, 400), step % 2 ? 5 : 0, .1);
            else
                remove_some(s, rng_below(&s->rng, s->n + 1));
            expect_sound(s);
            for (size_t q = 0; q < 4; q++)
                expect_range(s, (unsigned)rng_below(&s->rng, 65), q % 2 ? &filter : NULL);
            expect_nearest(s, 1 + rng_below(&s->rng, K), step % 2 ? &filter : NULL);
        }
        remove_some(s, s->n);
        expect_sound(s);
        scene_free(s);
    }
}

static void test_every_radius(void **state)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        struct scene *s = scene_new(&settings[i], 30 + i, 1);
        insert(s, 3000, i % 2 ? 4 : 0, .1);
        for (unsigned radius = 0; radius <= 64; radius++)
            expect_range(s, radius, NULL);
        scene_free(s);
    }
}

/* A query with few answers reads few buckets, and each code at most once for any k. */
static void test_reads_little(void **state)
{
    struct scene *s = scene_new(&settings[0], 50, 1);
    insert(s, MOST, 0, 0);
    for (unsigned radius = 0; radius <= 64; radius += 4) {
        const uint64_t query = rng_u64(&s->rng);
        static struct found found;
        const struct range_request request = { vectors_of(&query, 1), radius, NULL, NULL, 1 };
        struct range_result result = { .found = take, .to = &found };
        found.n = 0;
        assert_ok(mih_ops.range(s->index, &request, &result), &s->bench.error);
        assert_true(result.work.distances <= MOST);
        if (radius < 8)
            assert_true(result.work.distances < MOST / 10);
        if (radius >= 40)
            assert_true(result.work.distances == MOST);
    }
    scene_free(s);
}

/* One code under most ids: buckets become long and short again, and rows are still found. */
static void test_duplicates(void **state)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        struct scene *s = scene_new(&settings[i], 60 + i, 1);
        for (size_t step = 0; step < 6; step++) {
            insert(s, 2500, 2, .9);
            expect_sound(s);
            expect_range(s, (unsigned)(3 * step), NULL);
            expect_nearest(s, K, NULL);
            remove_some(s, 1700);
            expect_sound(s);
        }
        while (s->n > 0) {
            remove_some(s, 1 + s->n / 3);
            expect_sound(s);
        }
        for (size_t t = 0; t < ((struct mih *)s->index)->n_tables; t++)
            assert_null(((struct mih *)s->index)->tables[t].position);
        scene_free(s);
    }
}

/* 100 000 ids of one code: the cost of insertion and deletion does not grow with the bucket. */
static void test_one_code(void **state)
{
    enum { IDS = 100000 };
    struct scene *s = scene_new(&settings[1], 70, 1);
    uint64_t *codes = calloc(IDS, sizeof *codes), *ids = calloc(IDS, sizeof *ids);
    assert_true(codes && ids);
    for (size_t i = 0; i < IDS; i++) {
        codes[i] = 77;
        ids[i] = i;
    }
    const size_t empty = mem_live(&s->bench.mem);
    size_t done;
    assert_ok(mih_insert(s->index, vectors_of(codes, IDS), ids, &done), &s->bench.error);
    assert_ok(mih_check(s->index, NULL), &s->bench.error);
    rng_shuffle_u64(&s->rng, ids, IDS);
    assert_ok(mih_remove(s->index, ids, IDS / 2, &done), &s->bench.error);
    assert_ok(mih_check(s->index, NULL), &s->bench.error);
    assert_ok(mih_remove(s->index, ids + IDS / 2, IDS / 2, &done), &s->bench.error);
    expect_sound(s);
    assert_int_equal(mem_live(&s->bench.mem), empty);
    free(codes);
    free(ids);
    scene_free(s);
}

/* After each failed allocation exactly the rows that were reported as inserted are stored. */
static void test_no_memory(void **state)
{
    for (size_t i = 0; i < 3; i++) {
        struct scene *s = scene_new(&settings[i], 80 + i, 1);
        size_t inserted = 0;
        for (size_t fault = 1; inserted < 3000; fault += 1 + fault / 8) {
            uint64_t codes[3000], ids[3000];
            test_fill_b64(&s->rng, codes, 3000, 1);
            for (size_t j = 0; j < 3000; j++) {
                ids[j] = s->next_id++;
                codes[j] = j % 2 ? codes[j] : 5;
            }
            s->bench.mem.fail_at = s->bench.mem.calls + fault;
            s->bench.mem.failed = false;
            const int rc = mih_insert(s->index, vectors_of(codes, 3000), ids, &inserted);
            s->bench.mem.fail_at = 0;
            assert_code(rc, s->bench.mem.failed ? ERR_NO_MEMORY : OK, &s->bench.error);
            s->n = inserted;
            expect_sound(s);
            memcpy(s->codes, codes, inserted * sizeof *codes);
            memcpy(s->ids, ids, inserted * sizeof *ids);
            expect_range(s, 9, NULL);
            remove_some(s, s->n);
            expect_sound(s);
        }
        scene_free(s);
    }
}

struct block_set {
    struct blocks blocks;
    uint32_t block[2000], size[2000];
    unsigned char mark[2000]; /* the expected bytes of each block */
    size_t n, moves;
};

static void note_move(void *owner, uint32_t from, uint32_t to)
{
    struct block_set *set = owner;
    size_t i = 0;
    while (i < set->n && set->block[i] != from)
        i++;
    assert_true(i < set->n);
    set->block[i] = to;
    set->moves++;
}

static void take_block(struct block_set *set, struct rng *r, uint32_t size)
{
    const size_t i = set->n;
    set->size[i] = size;
    assert_true(mih_blocks_take(&set->blocks, set->size[i], &set->block[i]));
    const struct slab *slab = mih_blocks_slab(&set->blocks, set->block[i]);
    assert_int_equal(slab->capacity, mih_blocks_capacity_for(&set->blocks, set->size[i]));
    assert_true(slab->capacity >= set->size[i]);
    set->mark[i] = (unsigned char)rng_below(r, 256);
    memset(mih_blocks_at(slab, set->block[i]), set->mark[i],
           slab->capacity * set->blocks.entry_bytes);
    set->n++;
}

static void give_block(struct block_set *set, size_t i)
{
    const struct slab *slab = mih_blocks_slab(&set->blocks, set->block[i]);
    const unsigned char *bytes = mih_blocks_at(slab, set->block[i]);
    for (size_t j = 0; j < slab->capacity * set->blocks.entry_bytes; j++)
        assert_int_equal(bytes[j], set->mark[i]);
    mih_blocks_give_back(&set->blocks, set->block[i]);
    set->n--;
    set->block[i] = set->block[set->n];
    set->size[i] = set->size[set->n];
    set->mark[i] = set->mark[set->n];
}

/* Blocks of all sizes are allocated, freed and moved at random: none overlap, none are left. */
static void test_blocks(void **state)
{
    static const size_t entry_bytes[] = { 4, 12 };
    for (size_t e = 0; e < 2; e++) {
        struct block_set *set = calloc(1, sizeof *set);
        assert_non_null(set);
        struct mem mem = { 0 };
        struct error err = { 0 };
        struct rng r = rng_at(test_seed(), 90 + e);
        mih_blocks_init(&set->blocks, &mem, entry_bytes[e]);
        for (size_t step = 0; step < 8000; step++) {
            const uint64_t more = step < 3000 ? 800 : step < 6000 ? 500 : 150;
            if (set->n == 0 || (set->n < 2000 && rng_below(&r, 1000) < more))
                take_block(set, &r, 1 + (uint32_t)rng_below(&r, rng_below(&r, 20) ? 90 : 3000));
            else
                give_block(set, rng_below(&r, set->n));
            if (rng_below(&r, 3) == 0)
                mih_blocks_compact(&set->blocks, note_move, set);
            if (step % 50 == 0)
                assert_ok(mih_blocks_check(&set->blocks, &err), &err);
        }
        while (set->n > 0)
            give_block(set, set->n - 1);
        assert_int_equal(mem_live(&mem), 0);
        assert_true(e == 0 || set->moves > 0);
        mih_blocks_free(&set->blocks);
        free(set);
    }
}

/* One in twenty of many blocks stays, at random places: the memory of the others is freed. */
static void test_blocks_that_stay(void **state)
{
    struct block_set *set = calloc(1, sizeof *set);
    assert_non_null(set);
    struct mem mem = { 0 };
    struct rng r = rng_at(test_seed(), 95);
    mih_blocks_init(&set->blocks, &mem, 12);
    while (set->n < 2000)
        take_block(set, &r, 48);
    const size_t full = mih_blocks_bytes(&set->blocks);
    while (set->n > 100) {
        give_block(set, rng_below(&r, set->n));
        mih_blocks_compact(&set->blocks, note_move, set);
    }
    assert_true(mih_blocks_bytes(&set->blocks) < full / 4);
    while (set->n > 0)
        give_block(set, set->n - 1);
    assert_int_equal(mem_live(&mem), 0);
    mih_blocks_free(&set->blocks);
    free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories),    cmocka_unit_test(test_every_radius),
        cmocka_unit_test(test_reads_little), cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_one_code),     cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_blocks),       cmocka_unit_test(test_blocks_that_stay),
    };
    return test_run("mih", tests);
}
