/* test_channi_build.c - CHANNI's build: which rows found clusters, where the others go, the same at any number of
 * threads; sizes, counters, memory as reported. */
#include <sys/stat.h>

#include "algorithms/channi/replace.h"
#include "algorithms/channi/stats.h"
#include "tests/unit/test_channi.h"

static const char *const kind_names[] = { "uniform", "distant", "farthest", "density", "kmeans" };
enum { KINDS = 5 };

/* ------------------------------------------------------------------------------ sampling */

/* Most rows in one crowd, a few in each of `blobs` small ones far away from it and one another. */
enum { BLOBS = 19, IN_BLOB = 5, SPREAD_ROWS = 2000, DIM = 8 };

/* They lie in the midst of the others; BLOBS: the row is of the crowd. */
static size_t blob_of(size_t row)
{
    const size_t first = SPREAD_ROWS / 2;

    return row < first || row >= first + BLOBS * IN_BLOB ? BLOBS : (row - first) / IN_BLOB;
}

static void fill_spread(struct rng *rng, uint8_t *rows)
{
    for (size_t i = 0; i < SPREAD_ROWS; i++) {
        const size_t blob = blob_of(i);

        for (size_t j = 0; j < DIM; j++) {
            const unsigned far = blob < BLOBS ? (unsigned)(rng_mix(blob, j) % 2) * 200 + 10 : 120;
            rows[i * DIM + j] = (uint8_t)(far + rng_below(rng, 16));
        }
    }
}

static void sample(struct test_bench *b, enum channi_sampling kind, const void *rows, size_t n,
                   size_t k, uint32_t *out)
{
    struct rng rng = rng_at(test_seed(), 77 + kind);
    double checked = 0;

    assert_ok(channi_sample(&b->env, kind, &rng, rows, n, k, out, &checked), &b->error);
    for (size_t i = 0; i < k; i++)
        assert_true(out[i] < n && (i == 0 || out[i] > out[i - 1]));
    assert_true(kind == SAMPLE_UNIFORM ? checked == 0 : k == 1 || checked >= (double)n);
}

static size_t blobs_hit(const uint32_t *out, size_t k)
{
    bool hit[BLOBS] = { false };
    size_t n = 0;

    for (size_t i = 0; i < k; i++)
        if (blob_of(out[i]) < BLOBS && !hit[blob_of(out[i])]) {
            hit[blob_of(out[i])] = true;
            n++;
        }
    return n;
}

/* Mean squared distance of rows from the nearest chosen one. */
static double mean_nearest(const uint8_t *rows, size_t n, const uint32_t *out, size_t k)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        double least = INFINITY;

        for (size_t j = 0; j < k; j++) {
            double d = 0;
            for (size_t x = 0; x < DIM; x++) {
                const double e = (double)rows[i * DIM + x] - rows[out[j] * DIM + x];
                d += e * e;
            }
            least = d < least ? d : least;
        }
        sum += least;
    }
    return sum / (double)n;
}

/* Distant and farthest reach every blob, which uniform misses; density reaches more of them than uniform;
   k-means comes nearest to the rows. */
static void test_kinds_spread(void **state)
{
    (void)state;
    enum { K = 40 };
    struct test_bench b;
    struct rng rng = rng_at(test_seed(), 3);
    static uint8_t rows[SPREAD_ROWS * DIM];
    uint32_t out[KINDS][K];
    size_t hit[KINDS];
    double near[KINDS];

    test_bench_begin(&b, ELEMENT_U8, METRIC_L2SQ, DIM, 2);
    fill_spread(&rng, rows);
    for (size_t kind = 0; kind < KINDS; kind++) {
        sample(&b, (enum channi_sampling)kind, rows, SPREAD_ROWS, K, out[kind]);
        hit[kind] = blobs_hit(out[kind], K);
        near[kind] = mean_nearest(rows, SPREAD_ROWS, out[kind], K);
        print_message("seed %" PRIu64 ", %s: %zu of %d blobs, %.1f\n", test_seed(),
                      kind_names[kind], hit[kind], BLOBS, near[kind]);
    }
    assert_true(hit[SAMPLE_UNIFORM] < 8);
    assert_int_equal(hit[SAMPLE_FARTHEST], BLOBS);
    assert_true(hit[SAMPLE_DISTANT] >= BLOBS - 2);
    assert_true(hit[SAMPLE_DENSITY] > hit[SAMPLE_UNIFORM] + 2);
    assert_true(near[SAMPLE_DISTANT] < .5 * near[SAMPLE_UNIFORM]);
    assert_true(near[SAMPLE_KMEANS] < .8 * near[SAMPLE_UNIFORM]);
    test_bench_end(&b);
    assert_int_equal(mem_live(&b.mem), 0);
}

/* Farthest-first is Gonzalez's: but for the first every choice is the farthest from those before it, so the
   chosen are apart by at least what any row is from the nearest of them. */
static void test_farthest_is_farthest(void **state)
{
    (void)state;
    enum { N = 300, K = 12 };
    struct test_bench b;
    struct rng rng = rng_at(test_seed(), 4);
    float rows[N * DIM];
    uint32_t out[K];
    double apart = INFINITY, covered = 0;

    test_bench_begin(&b, ELEMENT_F32, METRIC_L2SQ, DIM, 1);
    test_fill_f32(&rng, rows, N, DIM, 6, .5);
    sample(&b, SAMPLE_FARTHEST, rows, N, K, out);
    for (size_t i = 0; i < N; i++) {
        double least = INFINITY;

        for (size_t j = 0; j < K; j++) {
            const double d =
                (double)b.env.kernels->l2sq_f32(rows + i * DIM, rows + out[j] * DIM, DIM);
            if (out[j] != i)
                least = d < least ? d : least;
        }
        bool chosen = false;
        for (size_t j = 0; j < K; j++)
            chosen |= out[j] == i;
        if (chosen)
            apart = least < apart ? least : apart;
        else
            covered = least > covered ? least : covered;
    }
    assert_true(apart >= covered * (1 - 1e-6));
    test_bench_end(&b);
}

/* Of 30 distinct rows, most of them many times over, all are chosen before any is twice. */
static void test_equal_rows(void **state)
{
    (void)state;
    enum { N = 900, DISTINCT = 30 };
    struct test_bench b;
    struct rng rng = rng_at(test_seed(), 5);
    uint8_t few[DISTINCT * DIM], rows[N * DIM];
    uint32_t out[N];

    test_bench_begin(&b, ELEMENT_U8, METRIC_L2SQ, DIM, 2);
    test_fill_u8(&rng, few, DISTINCT, DIM, 0, 1);
    for (size_t i = 0; i < N; i++) {
        const size_t which = i < DISTINCT ? i : rng_below(&rng, 3);
        memcpy(rows + i * DIM, few + which * DIM, DIM);
    }
    for (size_t kind = 0; kind < KINDS; kind++) {
        const size_t ks[] = { 1, 7, DISTINCT, 100, N };

        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
            size_t distinct = 0;

            sample(&b, (enum channi_sampling)kind, rows, N, ks[i], out);
            for (size_t j = 0; j < ks[i]; j++) {
                bool fresh = true;
                for (size_t x = 0; x < j; x++)
                    fresh &= memcmp(rows + out[j] * DIM, rows + out[x] * DIM, DIM) != 0;
                distinct += fresh;
            }
            assert_int_equal(distinct, ks[i] < DISTINCT ? ks[i] : DISTINCT);
        }
    }
    test_bench_end(&b);
}

static void test_sampling_threads_and_memory(void **state)
{
    (void)state;
    enum { N = 3000, K = 50 };
    struct test_bench one, two;
    struct rng rng = rng_at(test_seed(), 6);
    static float rows[N * DIM];
    uint32_t first[K], second[K];

    test_bench_begin(&one, ELEMENT_F32, METRIC_L2SQ, DIM, 1);
    test_bench_begin(&two, ELEMENT_F32, METRIC_L2SQ, DIM, 2);
    test_fill_f32(&rng, rows, N, DIM, 20, .4);
    for (size_t kind = 0; kind < KINDS; kind++) {
        double checked = 0;

        sample(&one, (enum channi_sampling)kind, rows, N, K, first);
        sample(&two, (enum channi_sampling)kind, rows, N, K, second);
        assert_memory_equal(first, second, sizeof first);
        for (size_t at = 1;; at++) {
            struct rng draws = rng_at(1, 1);

            atomic_store(&one.mem.failed, false);
            one.mem.fail_at = atomic_load(&one.mem.calls) + at;
            const int rc = channi_sample(&one.env, (enum channi_sampling)kind, &draws, rows, N, K,
                                         first, &checked);
            one.mem.fail_at = 0;
            if (rc == OK)
                break;
            assert_code(rc, ERR_NO_MEMORY, &one.error);
            assert_int_equal(mem_live(&one.mem), 0);
        }
    }
    test_bench_end(&one);
    test_bench_end(&two);
}

/* -------------------------------------------------------------------------------- builds */

enum { ROWS = 1200 };

static struct channi_params build_params(void)
{
    struct channi_params params = book_defaults();

    params.maintenance = CHANNI_EXPLICIT;
    params.target_cluster = 50;
    params.flat_below = 20;
    params.expected_n = ROWS;
    params.defer_fraction = .8;
    return params;
}

static const struct layout *layout_of(const struct book *b)
{
    return atomic_load(&book_channi(b)->now)->layout;
}

/* Not before its time, and then with as many clusters as are to be; every row is with its nearest primary if the
   graph is asked for all. */
static void test_build(void **state)
{
    (void)state;
    struct channi_params params = build_params();
    struct book b;

    params.assign_ef = ROWS;
    book_open(&b, params, ELEMENT_F32, DIM, ROWS, 2);
    book_fill(&b, 0, ROWS, 30, .4);
    assert_ok(book_insert(&b, 0, 959), &b.bench.error);
    assert_null(layout_of(&b)->routes);
    book_expect(&b, 10, 10);
    assert_ok(book_insert(&b, 959, 1), &b.bench.error);
    const struct layout *layout = layout_of(&b);
    assert_non_null(layout->routes);
    assert_int_equal(layout->routes->n, 20);
    assert_int_equal(layout->n_clusters, 20);
    assert_true(book_counter(&b, build_assigning) > 0);
    for (size_t i = 0; i < 960; i++) {
        struct place place;
        double least = INFINITY;

        assert_true(channi_place_of(book_channi(&b), i, &place));
        for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
            least =
                fmin(least, book_distance(&b, book_row(&b, i), layout->clusters[cid]->root_row));
        const double is = book_distance(&b, book_row(&b, i), layout->clusters[place.cid]->root_row);
        assert_true(is <= least * (1 + 1e-5) + 1e-9);
    }
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++) {
        const struct cluster *cl = layout->clusters[cid];

        assert_true(cl->drift == 0);
        assert_int_equal(cl->n_routes, 1);
        assert_memory_equal(cl->root_row, book_row(&b, cl->root_id), b.row_bytes);
    }
    book_check(&b);
    book_expect(&b, 20, 10);
    assert_ok(book_insert(&b, 960, ROWS - 960), &b.bench.error);
    book_check(&b);
    book_expect(&b, 20, 10);
    book_close(&b);
}

/* Equal rows cannot be told apart: as many clusters as there are distinct ones. */
static void test_build_of_equal_rows(void **state)
{
    (void)state;
    struct book b;

    book_open(&b, build_params(), ELEMENT_U8, DIM, ROWS, 2);
    book_fill(&b, 0, 3, 0, 1);
    for (size_t i = 3; i < ROWS; i++)
        memcpy(book_row(&b, i), book_row(&b, i % 3), b.row_bytes);
    assert_ok(book_insert(&b, 0, ROWS), &b.bench.error);
    assert_int_equal(layout_of(&b)->routes->n, 3);
    book_check(&b);
    book_expect(&b, 5, 10);
    book_close(&b);
}

/* Names and bytes of all cluster files, in the order of their names, as one hash. */
static uint64_t hash_of_files(const struct book *b, size_t *n_files)
{
    struct dirent **entries;
    const int n = scandir(b->dir, &entries, NULL, alphasort);
    uint64_t hash = 0;

    assert_true(n > 0);
    *n_files = 0;
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX + 300];
        int c;

        if (strstr(entries[i]->d_name, ".clu")) {
            (void)snprintf(path, sizeof path, "%s/%s", b->dir, entries[i]->d_name);
            FILE *f = fopen(path, "rb");
            assert_non_null(f);
            for (const char *at = entries[i]->d_name; *at; at++)
                hash = rng_mix(hash, (uint64_t)*at);
            while ((c = fgetc(f)) != EOF)
                hash = rng_mix(hash, (uint64_t)c);
            (void)fclose(f);
            ++*n_files;
        }
        free(entries[i]);
    }
    free(entries);
    return hash;
}

static void test_same_at_any_threads(void **state)
{
    (void)state;
    for (int inside = INSIDE_GRAPH; inside <= INSIDE_CODES; inside++) {
        for (int sampling = 0; sampling < KINDS; sampling += inside == INSIDE_GRAPH ? 1 : 3) {
            uint64_t hash[2];
            size_t files[2];

            for (size_t i = 0; i < 2; i++) {
                struct channi_params params = build_params();
                struct book b;

                params.inside = inside;
                params.sampling = sampling;
                book_open(&b, params, ELEMENT_U8, DIM, ROWS, i + 1);
                book_fill(&b, 0, ROWS, 30, .4);
                assert_ok(book_insert(&b, 0, ROWS), &b.bench.error);
                const struct routes *r = layout_of(&b)->routes;
                hash[i] = hash_of_files(&b, &files[i]);
                for (size_t j = 0; j < r->block_bytes; j++)
                    hash[i] = rng_mix(hash[i], r->block[j]);
                for (uint32_t j = 0; j < r->n; j++)
                    hash[i] = rng_mix(hash[i], r->cid[j]);
                book_check(&b);
                book_close(&b);
            }
            assert_int_equal(files[0], 24);
            assert_int_equal(files[0], files[1]);
            assert_true(hash[0] == hash[1]);
        }
    }
}

/* A build that fails changes nothing: the rows are there, in one, and it is built at the next commit. */
static void test_build_out_of_memory(void **state)
{
    (void)state;
    for (size_t at = 1;; at += 5) {
        struct channi_params params = build_params();
        struct book b;

        params.inside = at % 2 ? INSIDE_CODES : INSIDE_GRAPH;
        params.eps0 = 12;
        params.sampling = (int64_t)(at / 5 % KINDS);
        params.expected_n = 10 * ROWS;
        book_open(&b, params, ELEMENT_U8, DIM, ROWS, 1);
        book_fill(&b, 0, ROWS, 30, .4);
        assert_ok(book_insert(&b, 0, ROWS - 1), &b.bench.error);
        struct channi *c = book_channi(&b);
        c->build_at = 100;
        b.bench.mem.fail_at = atomic_load(&b.bench.mem.calls) + at;
        const int rc = channi_build_if_due(c);
        const bool failed = atomic_load(&b.bench.mem.failed);
        b.bench.mem.fail_at = 0;
        if (rc != OK) {
            assert_true(failed);
            assert_code(rc, ERR_NO_MEMORY, &b.bench.error);
            assert_null(layout_of(&b)->routes);
            assert_int_equal(c->by_phash.n, 0);
            assert_int_equal(c->n_routes, 0);
            book_expect(&b, 2, 10);
            assert_ok(channi_build_if_due(c), &b.bench.error);
        }
        assert_non_null(layout_of(&b)->routes);
        if (at % 3 == 1) {
            book_check(&b);
            book_expect(&b, 2, 10);
        }
        book_close(&b);
        if (!failed)
            break;
        assert_true(at < 100000);
    }
}

/* ------------------------------------------------------------------------------- memory */

/* What is in memory while files are written: at most by the build, at most by the splits after it. */
struct watch {
    struct channi *c;
    size_t build, upkeep, writes;
};

static int watch_write(void *to, const char *call)
{
    struct watch *w = to;

    if (w->c && strcmp(call, "write") == 0) {
        size_t *most = atomic_load(&w->c->now)->layout->routes ? &w->upkeep : &w->build;
        const size_t live = mem_live(w->c->base.env.mem);

        *most = live > *most ? live : *most;
        w->writes++;
    }
    return 0;
}

/* The rows that were in one list before the build are gone when the splits begin that it makes due in the same
   commit; and what all of that was made in is given back, not for every commit anew. */
static void test_list_goes_before_splits(void **state)
{
    (void)state;
    enum { MANY = 12000, MORE = 100, WIDE = 128 };
    struct channi_params params = build_params();
    struct watch w = { 0 };
    const struct store_fault fault = { watch_write, &w };
    struct book b;

    params.inside = INSIDE_SCAN;
    params.maintenance = CHANNI_AT_COMMIT;
    params.target_cluster = 100;
    params.split_max = 150;
    params.expected_n = MANY;
    params.defer_fraction = 1;
    params.cache_mb = 1;
    book_begin(&b, params, ELEMENT_F32, WIDE, MANY + MORE, 1);
    assert_ok(channi_create_with(&w.c, &b.bench.env, &b.params,
                                 &(struct channi_opening){ .fault = &fault }),
              &b.bench.error);
    b.index = &w.c->base;
    book_fill(&b, 0, MANY, 30, .4);
    book_fill(&b, MANY, MORE, 1, .1);
    assert_ok(book_insert(&b, 0, MANY), &b.bench.error);
    assert_true(w.writes > 100 && w.upkeep > 0);
    assert_true(book_counter(&b, splits) > 0);
    assert_true(w.upkeep + MANY * b.row_bytes / 2 < w.build);
    const uint64_t trimmed_at = atomic_load(&w.c->trimmed_at);
    const uint64_t written = book_counter(&b, bytes_written);
    assert_true(trimmed_at >= MANY * b.row_bytes && trimmed_at <= written);
    assert_ok(book_insert(&b, MANY, MORE), &b.bench.error);
    assert_true(book_counter(&b, bytes_written) > written);
    assert_int_equal(atomic_load(&w.c->trimmed_at), trimmed_at);
    book_check(&b);
    book_close(&b);
}

/* --------------------------------------------------------------------------------- codes */

static void test_codes(void **state)
{
    (void)state;
    struct channi_params params = build_params();
    struct book b;
    struct cluster_codes codes;

    params.inside = INSIDE_CODES;
    book_open(&b, params, ELEMENT_U8, DIM, ROWS, 1);
    book_fill(&b, 0, ROWS, 30, .4);
    struct channi *c = book_channi(&b);
    assert_ok(channi_codes_make(c, b.rows, 100, &codes), &b.bench.error);
    assert_null(codes.bytes); /* there is no quantizer yet */
    assert_ok(book_insert(&b, 0, ROWS), &b.bench.error);
    const struct quantizer *q = c->quantizer;
    assert_non_null(q);
    assert_ok(channi_codes_make(c, b.rows, 100, &codes), &b.bench.error);
    assert_int_equal(codes.n_bytes, 2 * q->block_bytes);
    assert_int_equal(codes.centre_bytes, q->work_dim * sizeof(float));

    float row[DIM], mean[DIM] = { 0 };
    float *work = calloc(q->work_dim, sizeof *work), estimate[QUANTIZER_BLOCK];
    void *query = aligned_alloc(64, q->query_bytes);
    assert_true(work && query);
    for (size_t i = 0; i < 100; i++)
        for (size_t j = 0; j < DIM; j++)
            mean[j] += (float)b.rows[i * DIM + j] / 100;
    quantizer_transform(q, mean, 1, work);
    for (size_t j = 0; j < q->work_dim; j++)
        assert_float_equal(work[j], codes.centre[j], 1e-2);
    for (size_t j = 0; j < DIM; j++)
        row[j] = b.rows[500 * DIM + j];
    quantizer_transform(q, row, 1, work);
    quantizer_query(q, work, query);
    quantizer_query_certain(q, query);
    quantizer_query_list(q, query, codes.centre, b.bench.env.kernels->l2sq_f32(row, mean, DIM),
                         codes.error);
    for (size_t block = 0; block < 2; block++) {
        const unsigned char *at = codes.bytes + block * q->block_bytes;

        (void)quantizer_scan(q, query, at, INFINITY, estimate);
        for (unsigned i = 0; block * QUANTIZER_BLOCK + i < 100 && i < QUANTIZER_BLOCK; i++) {
            if (q->refines)
                (void)quantizer_refine(q, query, at, i, INFINITY, &estimate[i]);
            const struct quantizer_bounds bounds = quantizer_bounds(q, query, at, i, estimate[i]);
            const double d =
                book_distance(&b, book_row(&b, 500), book_row(&b, block * QUANTIZER_BLOCK + i));
            assert_true((double)bounds.lower <= d * (1 + 1e-3) + 1);
            assert_true((double)bounds.upper >= d * (1 - 1e-3) - 1);
        }
    }
    free(work);
    free(query);
    channi_codes_free(c, &codes);
    book_close(&b);
}

/* ------------------------------------------------------------------------------- reports */

static void test_sizes(void **state)
{
    (void)state;
    struct channi_sizes s;
    uint32_t even[] = { 7, 7, 7, 7 }, one[] = { 0, 0, 0, 12, 0 }, mixed[] = { 5, 1, 3 };
    uint32_t many[200], hundred[100];

    channi_sizes_of(even, 4, &s);
    assert_float_equal(s.mean, 7, 1e-12);
    assert_float_equal(s.cv, 0, 1e-12);
    assert_float_equal(s.gini, 0, 1e-12);
    assert_int_equal(s.p99, 7);
    assert_int_equal(s.empty, 0);
    channi_sizes_of(one, 5, &s);
    assert_float_equal(s.gini, .8, 1e-12); /* (n - 1) / n */
    assert_float_equal(s.cv, 2, 1e-12);    /* sqrt(n - 1) */
    assert_int_equal(s.max, 12);
    assert_int_equal(s.empty, 4);
    channi_sizes_of(mixed, 3, &s);
    assert_float_equal(s.mean, 3, 1e-12);
    assert_float_equal(s.cv, sqrt(8. / 3) / 3, 1e-12);
    assert_int_equal(s.p99, 5);
    assert_float_equal(s.gini, 8. / 27, 1e-12); /* mean |x - y| / (2 mean) */
    for (uint32_t i = 0; i < 200; i++)
        many[i] = 200 - i;
    channi_sizes_of(many, 200, &s);
    assert_int_equal(s.p99, 198);
    assert_int_equal(s.max, 200);
    for (uint32_t i = 0; i < 100; i++)
        hundred[i] = i;
    channi_sizes_of(hundred, 100, &s);
    assert_int_equal(s.p99, 98);
    channi_sizes_of(NULL, 0, &s);
    assert_int_equal(s.n, 0);
    assert_float_equal(s.gini, 0, 0);
}

struct told {
    size_t values, rows;
    double live, misroute, clusters, size_mean, deferred, routes, root_not_route;
};

static void take_value(void *to, const char *name, double value)
{
    struct told *t = to;

    assert_true(isfinite(value));
    t->values++;
    if (strcmp(name, "misroute_rate") == 0)
        t->misroute = value;
    if (strcmp(name, "clusters") == 0)
        t->clusters = value;
    if (strcmp(name, "size_mean") == 0)
        t->size_mean = value;
    if (strcmp(name, "deferred") == 0)
        t->deferred = value;
    if (strcmp(name, "routes") == 0)
        t->routes = value;
    if (strcmp(name, "root_not_route") == 0)
        t->root_not_route = value;
}

static void take_cell(void *to, const char *table, size_t row, const char *column, double value)
{
    struct told *t = to;

    assert_string_equal(table, "cluster");
    if (strcmp(column, "live") == 0) {
        assert_int_equal(row, t->rows++);
        t->live += value;
    }
}

static struct told told_by(struct book *b)
{
    struct told t = { 0 };
    struct stat_sink sink = { take_value, take_cell, &t };

    assert_ok(channi_ops.stats(b->index, &sink), &b->bench.error);
    return t;
}

/* Two clusters whose rows change places. */
static void exchange(struct book *b, uint32_t x, uint32_t y)
{
    struct channi *c = book_channi(b);
    struct work_on w;
    struct members m;
    uint32_t order[ROWS], n[2] = { 0, 0 };
    bool taken;

    channi_members_init(&m, c);
    assert_ok(channi_take(c, (uint32_t[]){ x, y }, 2, &w, &taken), &b->bench.error);
    assert_true(taken);
    assert_ok(channi_gather(c, &w, &m), &b->bench.error);
    for (uint32_t from = 0; from < 2; from++)
        for (size_t i = 0; i < m.n; i++)
            if (m.from[i] == from)
                order[from * n[0] + n[from]++] = (uint32_t)i;
    const struct part parts[] = {
        { .rows = order + n[0], .n = n[1], .root = order[n[0]], .heir_of = 0 },
        { .rows = order, .n = n[0], .root = order[0], .heir_of = 1 },
    };
    const struct replacement r = { .parts = parts, .n_parts = 2, .threads = 1 };
    assert_ok(channi_replace(c, &w, &m, &r), &b->bench.error);
    channi_members_free(&m, c);
    channi_give(c, &w);
}

/* What is reported is what there is; rows that are where no search for them goes are seen to be astray. */
static void test_stats(void **state)
{
    (void)state;
    struct book b;

    book_open(&b, build_params(), ELEMENT_F32, DIM, ROWS, 1);
    book_fill(&b, 0, ROWS, 30, .2);
    assert_ok(book_insert(&b, 0, 500), &b.bench.error);
    struct told t = told_by(&b);
    assert_true(t.deferred == 1 && t.clusters == 1 && t.routes == 0 && t.live == 500);
    assert_ok(book_insert(&b, 500, 600), &b.bench.error);
    t = told_by(&b);
    assert_true(t.deferred == 0 && t.clusters == 22 && t.routes == 22 && t.live == 1100);
    assert_int_equal(t.rows, 22);
    assert_float_equal(t.size_mean, 50, 1e-9);
    assert_true(t.root_not_route == 0);
    assert_true(t.misroute < .05);
    for (uint32_t cid = 0; cid < 22; cid += 2)
        exchange(&b, cid, cid + 1);
    book_check(&b);
    t = told_by(&b);
    assert_true(t.live == 1100 && t.root_not_route == 22);
    assert_true(t.misroute > .5);
    book_close(&b);
}

static void test_memory_and_clusters(void **state)
{
    (void)state;
    struct book b;
    struct memory_use use;
    size_t n;
    uint64_t ids[ROWS], numbers[ROWS], medoids[ROWS];

    book_open(&b, build_params(), ELEMENT_F32, DIM, ROWS, 1);
    book_fill(&b, 0, ROWS, 30, .2);
    assert_ok(book_insert(&b, 0, ROWS), &b.bench.error);
    assert_ok(channi_ops.memory(b.index, &use), &b.bench.error);
    const uint64_t sum = use.vectors + use.codes + use.graph + use.ids + use.other;
    print_message("told %" PRIu64 " of %zu bytes, %" PRIu64 " on disk\n", sum,
                  mem_live(&b.bench.mem), use.disk);
    assert_true(sum <= mem_live(&b.bench.mem) && 2 * sum > mem_live(&b.bench.mem));
    assert_true(use.disk > ROWS * (DIM * 4 + 8));
    assert_true(use.vectors >= ROWS * DIM * 4); /* all is in the cache */

    assert_ok(channi_ops.clusters->count(b.index, 0, &n), &b.bench.error);
    assert_int_equal(n, 24);
    for (size_t i = 0; i < ROWS; i++)
        ids[i] = i;
    assert_ok(channi_ops.clusters->assign(b.index, ids, ROWS, 0, numbers), &b.bench.error);
    assert_ok(channi_ops.clusters->medoids(b.index, 0, medoids), &b.bench.error);
    for (size_t i = 0; i < ROWS; i++)
        assert_true(numbers[i] < n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(numbers[medoids[i]], i);
    assert_code(channi_ops.clusters->count(b.index, 1, &n), ERR_ARGUMENT, &b.bench.error);
    assert_ok(book_remove(&b, 5), &b.bench.error);
    assert_code(channi_ops.clusters->assign(b.index, ids, ROWS, 0, numbers), ERR_UNKNOWN_ID,
                &b.bench.error);
    book_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_spread),
        cmocka_unit_test(test_farthest_is_farthest),
        cmocka_unit_test(test_equal_rows),
        cmocka_unit_test(test_sampling_threads_and_memory),
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_build_of_equal_rows),
        cmocka_unit_test(test_same_at_any_threads),
        cmocka_unit_test(test_build_out_of_memory),
        cmocka_unit_test(test_list_goes_before_splits),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_memory_and_clusters),
    };
    return test_run("channi_build", tests);
}
