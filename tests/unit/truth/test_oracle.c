/* test_oracle.c - ground truth against a naive double loop, over random histories with ties,
 * updates and filters; the cache and its damaged files. */
#include <dirent.h>
#include <sys/stat.h>

#include "src/truth/exact.h"
#include "src/truth/scan.h"
#include "src/workload/live_state.h"
#include "tests/support/ground_truth.h"
#include "tests/support/tiny_workload.h"
#include "tests/support/vector_at.h"

static const struct space {
    const char *name;
    enum element element;
    enum metric metric;
    size_t dim;
    double radius;
} spaces[] = {
    { "f32 l2", INDEX_F32, INDEX_L2SQ, 19, 6 },
    { "f32 ip", INDEX_F32, INDEX_IP, 33, -20 },
    { "f32 cosine", INDEX_F32, INDEX_COS, 8, .2 },
    { "u8 l2", INDEX_U8, INDEX_L2SQ, 21, 9000 },
    { "u8 ip", INDEX_U8, INDEX_IP, 5, -90000 },
    { "u8 cosine", INDEX_U8, INDEX_COS, 16, .01 },
    { "b64 hamming", INDEX_B64, INDEX_HAMMING, 64, 9 },
    { "256 bits hamming", INDEX_B64, INDEX_HAMMING, 256, 36 },
};

/* The correct answer of operation `at` to query `q`, nearest first, by a scan of all rows. */
static size_t naive(const struct op_list *list, const struct live_set *live, size_t at, size_t q,
                    struct neighbour *out)
{
    const struct op *op = &list->ops[at];
    struct error err = { 0 };
    _Alignas(64) char query[4096], row[4096];
    size_t n = 0;

    assert_ok(view_read(op->rows, q, 1, list->element, query, &err), &err);
    for (uint64_t id = 0; id < list->n_ids; id++) {
        if (!live_has(live, id) ||
            (op->filter_bits &&
             (id >= op->filter_ids || !(op->filter_bits[id / 64] >> id % 64 & 1))))
            continue;
        vector_at(list, id, at, list->element, row);
        const struct neighbour found = {
            exact_distance(list->metric, list->element, query, row, list->dim), id
        };
        if (op->kind == OP_RANGE && found.distance > op->radius)
            continue;
        size_t i = n++;
        for (; i > 0 && scan_before(found, out[i - 1]); i--)
            out[i] = out[i - 1];
        out[i] = found;
    }
    return n;
}

/* The first difference between ground truth and the naive answers, or "". */
static const char *difference(const struct op_list *list, const struct oracle *oracle,
                              char text[200])
{
    struct neighbour *want = malloc((list->n_ids + 1) * sizeof *want);
    struct live_state now;
    struct error err = { 0 };

    text[0] = '\0';
    assert_ok(live_state_init(&now, list, &err), &err);
    for (size_t at = 0; at < list->n && !text[0]; at++) {
        const struct op *op = &list->ops[at];
        const struct truth *t = &oracle->truths[at];

        assert_ok(live_state_step(&now, at, &err), &err);
        if (op->kind != OP_SEARCH && op->kind != OP_RANGE)
            continue;
        for (size_t q = 0; q < op->rows->n && !text[0]; q++) {
            const size_t n = naive(list, &now.live, at, q, want);
            const size_t first = op->kind == OP_RANGE ? t->starts[q] : q * t->k;
            const size_t count = op->kind == OP_RANGE ? t->starts[q + 1] - first : t->k;

            if (op->kind == OP_RANGE && count != n)
                snprintf(text, 200, "operation %zu, query %zu: %zu answers, not %zu", at, q, count,
                         n);
            for (size_t i = 0; i < count && !text[0]; i++) {
                const uint64_t id = i < n ? want[i].id : INDEX_NO_ID;
                const double distance = i < n ? want[i].distance : HUGE_VAL;

                if (t->ids[first + i] != id || t->distances[first + i] != distance)
                    snprintf(text, 200,
                             "operation %zu, query %zu, rank %zu: id %" PRIu64
                             " at %g, not %" PRIu64 " at %g",
                             at, q, i, t->ids[first + i], t->distances[first + i], id, distance);
            }
        }
    }
    live_state_free(&now);
    free(want);
    return text;
}

static void failed_in(const char *name, uint64_t round, const char *text)
{
    print_error("%s, round %" PRIu64 ": %s\n", name, round, text);
    _fail(__FILE__, __LINE__);
}

static void test_histories(void **state)
{
    for (size_t s = 0; s < sizeof spaces / sizeof *spaces; s++) {
        for (uint64_t round = 0; round < 6; round++) {
            struct rng r = rng_at(test_seed(), 100 * s + round);
            struct workload w;
            struct oracle oracle;
            char text[200];

            workload_begin(&w, &r, spaces[s].element, spaces[s].metric, round == 0 ? 2600 : 400, 20,
                           spaces[s].dim);
            struct op_list *list =
                workload_history(&w, &r, 8, round == 1 ? 1 : 10, spaces[s].radius);
            ground_truth(&oracle, list, 1 + round % 2, NULL);
            if (*difference(list, &oracle, text))
                failed_in(spaces[s].name, round, text);
            oracle_free(&oracle);
            op_list_free(list);
        }
    }
}

/* All rows are equal: only the id decides, and no bound excludes a row. */
static void test_nothing_but_ties(void **state)
{
    struct rng r = rng_at(test_seed(), 2);
    struct workload w;
    struct oracle oracle;
    struct error err = { 0 };

    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, 9000, 5, 24);
    for (size_t i = 0; i < 9000 * 24; i++)
        ((float *)w.rows->state)[i] = .25f;
    assert_ok(source_scan(w.rows, &err), &err);
    workload_insert(&w, 0, 9000, 0, 0, NULL);
    workload_search(&w, 7, 1, NULL);
    struct op_list *list = workload_finish(&w);
    ground_truth(&oracle, list, 2, NULL);
    for (size_t i = 0; i < 5 * 7; i++)
        assert_int_equal(oracle.truths[1].ids[i], i % 7);
    oracle_free(&oracle);
    op_list_free(list);
}

/* Numbers whose squares overflow or underflow single precision, or whose differences
   are lost in it. */
static void test_extreme_scales(void **state)
{
    static const struct {
        float scale, offset;
    } cases[] = { { 1e-22f, 0 }, { 3e-22f, 0 }, { 1e-21f, 0 }, { 1e-3f, 0 }, { 1e16f, 0 },
                  { 1e19f, 0 },  { 1e20f, 0 },  { 1, 300 },    { 1, 20000 }, { .01f, -5000 } };

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct rng r = rng_at(test_seed(), 3);
        struct workload w;
        struct oracle oracle;
        char text[200];

        workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, 3000, 10, 16);
        for (size_t i = 0; i < 3000 * 16; i++)
            ((float *)w.rows->state)[i] =
                ((float *)w.rows->state)[i] * cases[c].scale + cases[c].offset;
        for (size_t i = 0; i < 10 * 16; i++)
            ((float *)w.queries->state)[i] =
                ((float *)w.queries->state)[i] * cases[c].scale + cases[c].offset;
        w.rows->hash = c + 1; /* source_scan() refuses the least and the largest */
        workload_insert(&w, 0, 3000, 0, 0, NULL);
        workload_search(&w, 9, 1, NULL);
        struct op_list *list = workload_finish(&w);
        ground_truth(&oracle, list, 1, NULL);
        if (*difference(list, &oracle, text))
            failed_in("extreme case", c, text);
        oracle_free(&oracle);
        op_list_free(list);
    }
}

static size_t damage_all(const char *dir, long at)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[PATH_MAX + 300];
        if (e->d_name[0] == '.' || strcmp(e->d_name, "key") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
        const int c = fgetc(f);
        assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
        fputc(c ^ 4, f);
        fclose(f);
        n++;
    }
    closedir(d);
    return n;
}

static void test_cache(void **state)
{
    char dir[PATH_MAX], text[200];

    test_dir_make(dir);
    for (size_t s = 0; s < sizeof spaces / sizeof *spaces; s += 3) {
        struct rng r = rng_at(test_seed(), 40 + s);
        struct workload w;
        struct oracle oracle;

        workload_begin(&w, &r, spaces[s].element, spaces[s].metric, 500, 20, spaces[s].dim);
        struct op_list *list = workload_history(&w, &r, 8, 10, spaces[s].radius);
        ground_truth(&oracle, list, 1, dir);
        assert_true(oracle.seconds > 0);
        oracle_free(&oracle);

        ground_truth(&oracle, list, 1, dir);
        assert_true(oracle.seconds == 0);
        assert_int_equal(oracle.n_notes, 0);
        assert_string_equal(difference(list, &oracle, text), "");
        oracle_free(&oracle);

        for (long at = 24; at >= -40; at -= 32) {
            assert_true(damage_all(dir, at) > 0);
            ground_truth(&oracle, list, 1, dir);
            assert_true(oracle.seconds > 0);
            assert_true(oracle.n_notes > 0);
            assert_non_null(strstr(oracle.notes[0], "damaged"));
            assert_string_equal(difference(list, &oracle, text), "");
            oracle_free(&oracle);
        }
        op_list_free(list);
    }
    test_dir_remove(dir);
}

/* A range whose answers exceed memory stops with a message; one whose answers just fit succeeds. */
static void test_a_range_has_a_limit(void **state)
{
    enum { ROWS = 3000, QUERIES = 4 };
    struct rng r = rng_at(test_seed(), 5);
    struct workload w;
    struct live_state now;
    struct error err = { 0 };
    uint64_t ids[ROWS];
    uint32_t which[QUERIES];

    workload_begin(&w, &r, INDEX_B64, INDEX_HAMMING, ROWS, QUERIES, 64);
    workload_insert(&w, 0, ROWS, 0, 0, NULL);
    struct op_list *list = workload_finish(&w);
    assert_ok(live_state_init(&now, list, &err), &err);
    assert_ok(live_state_step(&now, 0, &err), &err);
    assert_int_equal(live_state_ids(&now, NULL, 0, ids), ROWS);
    for (uint32_t i = 0; i < QUERIES; i++)
        which[i] = i;
    for (size_t less = 0; less < 2; less++) {
        struct pool *pool = pool_create(2);
        struct neighbours known[QUERIES] = { { 0 } };
        struct exact_scan scan = { .at = &now,
                                   .kernels = kernels_select(ISA_AVX512),
                                   .pool = pool,
                                   .queries = w.queries->rows,
                                   .most = ROWS * QUERIES - less };
        for (size_t i = 0; i < QUERIES; i++)
            known[i].horizon = (struct neighbour){ 64, UINT64_MAX };
        const int rc = scan_rows(&scan, ids, ROWS, which, QUERIES, known, SIZE_MAX, &err);
        assert_int_equal(rc, less ? ERR_NO_MEMORY : OK);
        if (!less)
            assert_int_equal(known[3].n, ROWS);
        else
            assert_string_equal(err.text, "more than 11999 answers");
        for (size_t i = 0; i < QUERIES; i++)
            mem_free(NULL, known[i].items);
        pool_destroy(pool);
        error_clear(&err);
    }
    live_state_free(&now);
    op_list_free(list);
}

int main(void)
{
    return test_run_all("oracle", test_a_range_has_a_limit, test_histories, test_nothing_but_ties,
                        test_extreme_scales, test_cache);
}
