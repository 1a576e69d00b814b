/* kernels.c - measures each kernel of every instruction set, and the machine's limits.
 *
 * One line is one kernel at one dimension with its data in one place. The instruction sets and a
 * loop that only reads the same bytes alternate, so that a disturbance affects all of them, and the
 * medians of their times are compared. Data "in memory" are a window of a buffer that is larger
 * than the last cache; each run uses the next window. */
#include "src/bench/bench.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "src/base/clock.h"
#include "src/base/stats.h"
#include "src/base/sysinfo.h"
#include "src/base/table.h"
#include "src/bench/kernel_items.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

/* ------------------------------------------------------- limits: sequential reading, float
   multiply-adds */

static uint64_t read_words(const uint64_t *word, size_t n)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < n; i += 4) {
        a ^= word[i];
        b ^= word[i + 1];
        c ^= word[i + 2];
        d ^= word[i + 3];
    }
    return (a ^ b) ^ (c ^ d);
}

/* Independent sums. Four cycles of latency times two pipes need at least eight. */
enum { CHAINS = 10 };

static double multiply_add_scalar(size_t rounds)
{
    volatile const float half = 0.5f;
    float sum[CHAINS] = { 0 };
    for (size_t i = 0; i < rounds; i++) {
        const float x = half;
        for (size_t c = 0; c < CHAINS; c++)
            sum[c] = sum[c] * x + 1.0f;
    }
    __asm__ volatile("" : : "r"(sum) : "memory");
    return (double)rounds * CHAINS;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *data, size_t bytes)
{
    __m256i sum[4] = { _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                       _mm256_setzero_si256() };
    for (size_t i = 0; i < bytes; i += 128)
        for (size_t j = 0; j < 4; j++) {
            const void *at = data + i + 32 * j;
            sum[j] = _mm256_xor_si256(sum[j], _mm256_loadu_si256(at));
        }
    sum[0] = _mm256_xor_si256(_mm256_xor_si256(sum[0], sum[1]), _mm256_xor_si256(sum[2], sum[3]));
    uint64_t word[4];
    _mm256_storeu_si256((void *)word, sum[0]);
    return word[0] ^ word[1] ^ word[2] ^ word[3];
}

__attribute__((target("avx512f"))) static uint64_t read_avx512(const uint8_t *data, size_t bytes)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < bytes; i += 256) {
        a = _mm512_xor_si512(a, _mm512_loadu_si512(data + i));
        b = _mm512_xor_si512(b, _mm512_loadu_si512(data + i + 64));
        c = _mm512_xor_si512(c, _mm512_loadu_si512(data + i + 128));
        d = _mm512_xor_si512(d, _mm512_loadu_si512(data + i + 192));
    }
    uint64_t word[8];
    _mm512_storeu_si512(word, _mm512_xor_si512(_mm512_xor_si512(a, b), _mm512_xor_si512(c, d)));
    return read_words(word, 8);
}

__attribute__((target("avx2,fma"))) static double multiply_add_avx2(size_t rounds)
{
    __m256 sum[CHAINS], one = _mm256_set1_ps(1.0f), x = _mm256_set1_ps(0.5f);
    for (size_t c = 0; c < CHAINS; c++)
        sum[c] = one;
    for (size_t i = 0; i < rounds; i++) {
        __asm__ volatile("" : "+x"(x)); /* else the compiler simplifies the loop */
        for (size_t c = 0; c < CHAINS; c++)
            sum[c] = _mm256_fmadd_ps(sum[c], x, one);
    }
    for (size_t c = 0; c < CHAINS; c++)
        __asm__ volatile("" : "+x"(sum[c]));
    return (double)rounds * CHAINS * 8;
}

__attribute__((target("avx512f"))) static double multiply_add_avx512(size_t rounds)
{
    __m512 sum[CHAINS], one = _mm512_set1_ps(1.0f), x = _mm512_set1_ps(0.5f);
    for (size_t c = 0; c < CHAINS; c++)
        sum[c] = one;
    for (size_t i = 0; i < rounds; i++) {
        __asm__ volatile("" : "+v"(x));
        for (size_t c = 0; c < CHAINS; c++)
            sum[c] = _mm512_fmadd_ps(sum[c], x, one);
    }
    for (size_t c = 0; c < CHAINS; c++)
        __asm__ volatile("" : "+v"(sum[c]));
    return (double)rounds * CHAINS * 16;
}

#endif

/* Reads `bytes` bytes, a multiple of 256, in order with the set's widest loads. The result depends
   on every byte, so that the compiler cannot skip any. */
static uint64_t limit_read(enum isa isa, const void *data, size_t bytes)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512)
        return read_avx512(data, bytes);
    if (isa == ISA_AVX2)
        return read_avx2(data, bytes);
#endif
    (void)isa;
    return read_words(data, bytes / sizeof(uint64_t));
}

/* Float multiply-adds without loads, enough of them independent to fill the pipes. Returns how many
   were done, each lane counted. The scalar set uses a multiplication and an addition. */
static double limit_multiply_add(enum isa isa, size_t rounds)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512)
        return multiply_add_avx512(rounds);
    if (isa == ISA_AVX2)
        return multiply_add_avx2(rounds);
#endif
    (void)isa;
    return multiply_add_scalar(rounds);
}

enum { REPEATS = 11, MAX_TABLES = 3, MAX_DIM = 784 };
enum { SAMPLE_NS = 800000, WINDOW_BYTES = 16 << 20, OUT_BYTES = 4 * WINDOW_BYTES };

enum bench_place { L1, L2, MEMORY, PLACES };
static const char *const place_names[PLACES] = { "L1", "L2", "memory" };
static const size_t place_bytes[PLACES] = { 16 << 10, 512 << 10, WINDOW_BYTES };

struct bench {
    FILE *out;
    const struct kernels *table[MAX_TABLES];
    size_t n_tables;
    unsigned char *data, *query, *results;
    size_t data_bytes, window; /* number of the window last read from memory */
    double multiply_adds_per_ns;
};

/* ------------------------------------------------------------------------------ measurement */

struct sample {
    double ns[MAX_TABLES]; /* median per pair, code or value */
    double read_ns;        /* median of only reading the same bytes; NAN: not measured */
};

/* One run of the kernel of table t, or of the reading loop if t is n_tables. */
static void run_once(struct bench *b, const struct bench_item *item, size_t t, struct bench_load *l,
                     enum bench_place place)
{
    if (place == MEMORY) {
        b->window = (b->window + 1) % (b->data_bytes / WINDOW_BYTES);
        l->rows = b->data + b->window * WINDOW_BYTES;
    }
    if (t < b->n_tables) {
        item->run(b->table[t], l);
        return;
    }
    const size_t bytes = l->n * l->dim * item->component_bytes;
    volatile uint64_t used =
        limit_read(b->table[b->n_tables - 1]->isa, l->rows, bytes & ~(size_t)255);
    (void)used;
}

static double time_runs(struct bench *b, const struct bench_item *item, size_t t,
                        struct bench_load *l, enum bench_place place, size_t runs)
{
    const uint64_t start = clock_ns();
    for (size_t i = 0; i < runs; i++)
        run_once(b, item, t, l, place);
    return (double)(clock_ns() - start);
}

/* How many runs make a sample of about SAMPLE_NS, so that the clock's cost is negligible. One run
   from memory is long enough. The first run also warms up. */
static size_t runs_for(struct bench *b, const struct bench_item *item, size_t t,
                       struct bench_load *l, enum bench_place place)
{
    run_once(b, item, t, l, place);
    size_t runs = 1;
    double ns = place == MEMORY ? SAMPLE_NS : time_runs(b, item, t, l, place, runs);
    while (ns < (double)SAMPLE_NS / 8) {
        runs *= 4;
        ns = time_runs(b, item, t, l, place, runs);
    }
    return 1 + (size_t)((double)runs * SAMPLE_NS / (ns + 1));
}

static struct sample measure(struct bench *b, const struct bench_item *item, size_t dim,
                             enum bench_place place)
{
    const bool many = item->form == MANY_TO_MANY;
    struct bench_load l = { .query = b->query, .rows = b->data, .dim = dim, .out = b->results };
    l.n = many ? BENCH_MANY_A + BENCH_MANY_B : place_bytes[place] / (dim * item->component_bytes);
    const double each = many ? BENCH_MANY_A * BENCH_MANY_B : (double)l.n;
    const size_t contestants = b->n_tables + (many ? 0 : 1);
    size_t runs[MAX_TABLES + 1];
    double ns[MAX_TABLES + 1][REPEATS];
    for (size_t t = 0; t < contestants; t++)
        runs[t] = place == MEMORY && !many ? 1 : runs_for(b, item, t, &l, place);
    for (size_t repeat = 0; repeat < REPEATS; repeat++)
        for (size_t t = 0; t < contestants; t++)
            ns[t][repeat] = time_runs(b, item, t, &l, place, runs[t]) / (double)runs[t] / each;
    struct sample s = { .read_ns = NAN };
    for (size_t t = 0; t < b->n_tables; t++)
        s.ns[t] = stats_median(ns[t], REPEATS);
    if (!many)
        s.read_ns = stats_median(ns[b->n_tables], REPEATS);
    return s;
}

/* ------------------------------------------------------------------------------------ tables */

static void add_number(struct table *t, int decimals, double value)
{
    if (isnan(value))
        table_add(t, "-");
    else
        table_add(t, "%.*f", decimals, value);
}

static void add_header(const struct bench *b, struct table *t, const char *each, bool vectors)
{
    table_add(t, "kernel");
    if (vectors)
        table_add(t, "dim");
    table_add(t, "data in");
    for (size_t i = 0; i < b->n_tables; i++)
        table_add(t, "%s ns/%s", b->table[i]->name, each);
    table_add(t, "x scalar");
    table_add(t, "GB/s");
    table_add(t, "%% of read");
    if (vectors)
        table_add(t, "%% of FMA");
}

static void add_row(struct bench *b, struct table *t, const struct bench_item *item, size_t dim,
                    enum bench_place place, bool vectors)
{
    const struct sample s = measure(b, item, dim, place);
    const double best = s.ns[b->n_tables - 1], bytes = (double)(dim * item->component_bytes);
    const bool many = item->form == MANY_TO_MANY;
    table_add(t, "%s", item->name);
    if (vectors)
        table_add(t, "%zu", dim);
    table_add(t, "%s", many ? "cache" : place_names[place]);
    for (size_t i = 0; i < b->n_tables; i++)
        add_number(t, vectors ? 2 : 3, s.ns[i]);
    add_number(t, 1, s.ns[0] / best);
    add_number(t, 1, many ? (double)NAN : bytes / best);
    add_number(t, 0, many ? (double)NAN : 100 * s.read_ns / best);
    const double peak = b->multiply_adds_per_ns;
    if (vectors)
        add_number(t, 0,
                   item->multiply_adds ? 100.0 * item->multiply_adds * (double)dim / best / peak
                                       : (double)NAN);
}

/* A line per item, dimension and place. Pairs are measured in L1 only, _mn kernels
   in no given place. */
static void print_group(struct bench *b, const struct bench_group *g)
{
    static const size_t dims[] = { 32, 128, MAX_DIM };
    struct table t;
    table_init(&t, b->n_tables + (g->vectors ? 7 : 5));
    add_header(b, &t, g->each, g->vectors);
    for (size_t i = 0; i < g->n; i++) {
        const enum bench_form form = g->items[i].form;
        const size_t places = form == PAIR || form == MANY_TO_MANY ? 1 : PLACES;
        for (size_t d = 0; d < (g->vectors ? sizeof dims / sizeof *dims : 1); d++)
            for (enum bench_place place = L1; place < (enum bench_place)places; place++)
                add_row(b, &t, &g->items[i], g->vectors ? dims[d] : 1, place, g->vectors);
    }
    fprintf(b->out, "\n%s\n", g->title);
    table_print(&t, b->out);
    fflush(b->out);
    table_free(&t);
}

static void print_groups(struct bench *b, const struct bench_group *groups)
{
    for (; groups->title; groups++)
        print_group(b, groups);
}

/* -------------------------------------------------------------------------- the machine's own */

/* The highest rate: the run with the least disturbance is nearest to the limit. */
static double best(const double *values, size_t n)
{
    double most = values[0];
    for (size_t i = 1; i < n; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

static void print_limits(struct bench *b)
{
    double rate[REPEATS];
    const struct kernels *widest = b->table[b->n_tables - 1];
    for (size_t i = 0; i < REPEATS; i++) {
        const uint64_t start = clock_ns();
        const double done = limit_multiply_add(widest->isa, 400000);
        rate[i] = done / (double)(clock_ns() - start);
    }
    b->multiply_adds_per_ns = best(rate, REPEATS);
    fprintf(b->out, "This processor, one thread, widest set %s:\n", widest->name);
    fprintf(b->out, "  float multiply-adds   %6.1f G/s (%.1f GFLOP/s)\n", b->multiply_adds_per_ns,
            2 * b->multiply_adds_per_ns);
    const struct bench_item nothing = { .name = "read", .form = SCAN, .component_bytes = 1 };
    for (enum bench_place place = L1; place < PLACES; place++) {
        struct bench_load l = { .rows = b->data, .n = place_bytes[place], .dim = 1 };
        const size_t runs = 1 + (size_t)(WINDOW_BYTES / l.n) / 4;
        for (size_t i = 0; i < REPEATS; i++)
            rate[i] =
                (double)l.n * (double)runs / time_runs(b, &nothing, b->n_tables, &l, place, runs);
        fprintf(b->out, "  reading from %-6s   %6.1f GB/s\n", place_names[place],
                best(rate, REPEATS));
    }
}

static void print_sgemm(struct bench *b)
{
    enum { ROWS = 384, COLUMNS = 384, DEPTH = 384 };
    const float *x = (const float *)(const void *)b->data;
    const int threads = openblas_get_num_threads();
    openblas_set_num_threads(1);
    double rate[REPEATS];
    for (size_t i = 0; i < REPEATS; i++) {
        const uint64_t start = clock_ns();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, COLUMNS, DEPTH, 1, x, DEPTH,
                    x + ROWS * DEPTH, DEPTH, 0, (float *)(void *)b->results, COLUMNS);
        rate[i] = 2.0 * ROWS * COLUMNS * DEPTH / (double)(clock_ns() - start);
    }
    openblas_set_num_threads(threads);
    const double gflops = best(rate, REPEATS);
    fprintf(b->out,
            "  SGEMM by OpenBLAS     %6.1f GFLOP/s, %.0f %% of the multiply-adds, %s kernels\n",
            gflops, 50 * gflops / b->multiply_adds_per_ns, openblas_get_corename());
    if (sysinfo_blas_is_below())
        fputs("warning: these leave AVX-512 idle: start through ./harness, or with "
              "OPENBLAS_CORETYPE=SkylakeX\n",
              b->out);
}

/* ----------------------------------------------------------------------------------- the whole */

static void fill_floats(struct bench *b)
{
    struct rng r = rng_at(1, 1);
    float *data = (float *)(void *)b->data, *query = (float *)(void *)b->query;
    for (size_t i = 0; i < b->data_bytes / sizeof *data; i++)
        data[i] = (float)(rng_u64(&r) >> 40) * 0x1p-24f;
    memcpy(query, data + MAX_DIM, MAX_DIM * sizeof *query);
}

static void fill_bytes(struct bench *b)
{
    struct rng r = rng_at(1, 2);
    for (size_t i = 0; i < b->data_bytes; i += sizeof(uint64_t)) {
        const uint64_t word = rng_u64(&r);
        memcpy(b->data + i, &word, sizeof word);
    }
    memcpy(b->query, b->data + MAX_DIM, MAX_DIM);
}

static void print_all(struct bench *b)
{
    fill_floats(b);
    print_limits(b);
    print_sgemm(b);
    fprintf(
        b->out,
        "\nx scalar: how many times as fast as scalar the last set is. %% of read: of the speed of "
        "only reading the same bytes.\n%% of FMA: of the multiply-adds above; a subtraction or a "
        "fold counts nothing. Medians of %d, one thread.\n_1n: one query to many rows, %d x %d "
        "rows for _mn; without either, a call a pair.\n",
        REPEATS, BENCH_MANY_A, BENCH_MANY_B);
    print_groups(b, bench_float_groups);
    fill_bytes(b);
    print_groups(b, bench_byte_groups);
}

/* The size of a buffer that does not fit into any cache. */
static size_t buffer_bytes(void)
{
    const long last_cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t bytes = last_cache > 0 ? 4 * (size_t)last_cache : 0;
    bytes = bytes < (size_t)128 << 20 ? (size_t)128 << 20 : bytes;
    bytes = bytes > (size_t)1 << 30 ? (size_t)1 << 30 : bytes;
    return bytes - bytes % WINDOW_BYTES;
}

/* If other programs ran on this thread's processor, the times above include theirs. */
static void warn_if_shared(const struct bench *b, uint64_t wall_ns, clock_t used)
{
    const double share = (double)used / CLOCKS_PER_SEC / clock_seconds(wall_ns);
    if (share < 0.9)
        fprintf(
            b->out,
            "\nwarning: this thread had a processor for %.0f %% of the time; other programs ran "
            "meanwhile. Run it again on a quiet machine if numbers are implausible.\n",
            100 * share);
}

int bench_kernels(FILE *out)
{
    struct bench b = { .out = out, .data_bytes = buffer_bytes() };
    for (enum isa isa = ISA_SCALAR; isa <= kernels_best_isa(); isa++)
        b.table[b.n_tables++] = kernels_select(isa);
    b.data = mem_alloc(NULL, b.data_bytes);
    b.query = mem_alloc(NULL, MAX_DIM * sizeof(float));
    b.results = mem_zalloc(NULL, OUT_BYTES);
    const bool enough = b.data && b.query && b.results;
    const uint64_t start_ns = clock_ns();
    const clock_t start = clock();
    if (enough) {
        print_all(&b);
        warn_if_shared(&b, clock_ns() - start_ns, clock() - start);
    } else {
        fprintf(out, "bench kernels: needs %zu MiB of memory, which the system refused\n",
                (b.data_bytes + OUT_BYTES) >> 20);
    }
    mem_free(NULL, b.data);
    mem_free(NULL, b.query);
    mem_free(NULL, b.results);
    return enough ? 0 : -1;
}
