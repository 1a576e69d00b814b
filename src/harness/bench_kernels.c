/* bench_kernels.c - measures every kernel of every table, and beside them what the machine could do.
 *
 * One line is one kernel at one dimension with its data in one place. Its tables and the bare reading of the
 * same bytes take turns, and the medians of their times are compared: what disturbs one disturbs all.
 * Data "in memory" are a window of a buffer several times the last cache, another window each time.
 */
#include "harness/bench_kernels.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/rng.h"
#include "harness/bench_limits.h"
#include "harness/clock.h"
#include "harness/table.h"
#include "kernels/kernels.h"

enum { REPEATS = 11, MAX_TABLES = 3, MAX_DIM = 784, MANY_A = 96, MANY_B = 384 };
enum { SAMPLE_NS = 800000, WINDOW_BYTES = 16 << 20, OUT_BYTES = 4 * WINDOW_BYTES };

enum place { L1, L2, MEMORY, PLACES };
static const char *const place_names[PLACES] = { "L1", "L2", "memory" };
static const size_t place_bytes[PLACES] = { 16 << 10, 512 << 10, WINDOW_BYTES };

enum form { PAIR, ONE_TO_MANY, MANY_TO_MANY, SCAN };

/* What a kernel is given: n rows (or codes, or values) of dim components. */
struct load {
    const void *query, *rows;
    size_t n, dim;
    void *out;
};

struct item {
    const char *name;
    enum form form;
    size_t component_bytes;
    int multiply_adds; /* a component, in float; 0 where the peak of float says nothing */
    void (*run)(const struct kernels *, const struct load *);
};

struct bench {
    FILE *out;
    const struct kernels *table[MAX_TABLES];
    size_t n_tables;
    unsigned char *data, *query, *results;
    size_t data_bytes, window; /* the window of data that is next read from memory */
    double multiply_adds_per_ns;
};

/* ------------------------------------------------------------------------------- the kernels */

/* The rows are asked for one by one, in order: latency hides behind the next call as far as it can. */
#define PAIRS(kernel, type, result)                                         \
    static void run_##kernel(const struct kernels *k, const struct load *l) \
    {                                                                       \
        const type *rows = l->rows;                                         \
        result *out = l->out;                                               \
        for (size_t i = 0; i < l->n; i++)                                   \
            out[i] = k->kernel(l->query, rows + i * l->dim, l->dim);        \
    }
#define TO_MANY(kernel)                                                     \
    static void run_##kernel(const struct kernels *k, const struct load *l) \
    {                                                                       \
        k->kernel(l->query, l->rows, l->n, l->dim, l->out);                 \
    }
/* n rows: the first MANY_A against the next MANY_B. */
#define TO_EACH(kernel, type)                                                            \
    static void run_##kernel(const struct kernels *k, const struct load *l)              \
    {                                                                                    \
        const type *rows = l->rows;                                                      \
        k->kernel(rows, MANY_A, rows + MANY_A * l->dim, MANY_B, l->dim, l->out, MANY_B); \
    }
#define WITHIN(kernel, radius)                                                     \
    static void run_within_##radius(const struct kernels *k, const struct load *l) \
    {                                                                              \
        uint64_t query;                                                            \
        memcpy(&query, l->query, sizeof query);                                    \
        k->kernel(query, l->rows, l->n, radius, l->out);                           \
    }
#define AT_MOST(kernel, limit)                                              \
    static void run_##kernel(const struct kernels *k, const struct load *l) \
    {                                                                       \
        k->kernel(l->rows, l->n, limit, l->out);                            \
    }

PAIRS(l2sq_f32, float, float)
PAIRS(ip_f32, float, float)
PAIRS(cos_f32, float, float)
PAIRS(l2sq_u8, uint8_t, uint32_t)
PAIRS(ip_u8, uint8_t, uint32_t)
PAIRS(cos_u8, uint8_t, float)
TO_MANY(l2sq_f32_1n)
TO_MANY(ip_f32_1n)
TO_MANY(cos_f32_1n)
TO_MANY(l2sq_u8_1n)
TO_MANY(ip_u8_1n)
TO_MANY(cos_u8_1n)
TO_EACH(l2sq_f32_mn, float)
TO_EACH(ip_f32_mn, float)
TO_EACH(cos_f32_mn, float)
TO_EACH(l2sq_u8_mn, uint8_t)
TO_EACH(ip_u8_mn, uint8_t)
TO_EACH(cos_u8_mn, uint8_t)
WITHIN(hamming_b64_within, 8)
WITHIN(hamming_b64_within, 20)
AT_MOST(at_most_f32, 0.01f)
AT_MOST(at_most_u32, 1u << 25)
AT_MOST(at_most_u8, 1)

static void run_hamming_b64_1n(const struct kernels *k, const struct load *l)
{
    uint64_t query;
    memcpy(&query, l->query, sizeof query);
    k->hamming_b64_1n(query, l->rows, l->n, l->out);
}

static void run_hamming_b64_mn(const struct kernels *k, const struct load *l)
{
    const uint64_t *codes = l->rows;
    k->hamming_b64_mn(codes, MANY_A, codes + MANY_A, MANY_B, l->out, MANY_B);
}

/* 64 codes of 128 bits at a time; what becomes of the last block's sums is in the second. */
enum { FASTSCAN_BYTES = 16 };

static void run_fastscan_64(const struct kernels *k, const struct load *l)
{
    const uint8_t *codes = l->rows;
    for (size_t i = 0; i + 64 <= l->n; i += 64)
        k->fastscan_64(codes + i * FASTSCAN_BYTES, l->query, FASTSCAN_BYTES, l->out);
}

/* 64 codes of 128 numbers. */
enum { NIBBLES_BYTES = 64 };

static void run_nibbles_64(const struct kernels *k, const struct load *l)
{
    const uint8_t *codes = l->rows;
    for (size_t i = 0; i + 64 <= l->n; i += 64)
        k->nibbles_64(codes + i * NIBBLES_BYTES, l->query, NIBBLES_BYTES / 4, 0, l->out);
}

static void run_bound_64(const struct kernels *k, const struct load *l)
{
    const float *add = (const float *)l->query;
    const struct code_terms terms = { .add = add, .scale = add, .error = add, .slope = 1 };
    uint64_t *within = l->out;
    float *estimate = (float *)l->out + 64;
    for (size_t i = 0; i + 64 <= l->n; i += 64)
        *within ^= k->bound_64(&terms, (const uint32_t *)l->rows + i, 1, estimate);
}

/* Codes of 96 bytes, 16 at a time, out of order. The weights are the query's floats, as they are. */
enum { MIXED_BYTES = 96 };

static void run_ip_mixed_n(const struct kernels *k, const struct load *l)
{
    const int8_t *high = l->query, *low = high + MIXED_BYTES;
    const struct mixed_weights w = { high, low, (const int16_t *)l->query + MIXED_BYTES };
    const uint8_t *codes[16];
    int32_t *out = l->out;
    for (size_t i = 0; i + 16 <= l->n; i += 16) {
        for (size_t j = 0; j < 16; j++)
            codes[j] = (const uint8_t *)l->rows + (i + (j * 5) % 16) * MIXED_BYTES;
        k->ip_mixed_n(&w, codes, 16, MIXED_BYTES, 0, out + i);
    }
}

static void run_argmin_f32(const struct kernels *k, const struct load *l)
{
    *(size_t *)l->out = k->argmin_f32(l->rows, l->n);
}

static const struct item float_items[] = {
    { "l2sq_f32", PAIR, 4, 1, run_l2sq_f32 },
    { "ip_f32", PAIR, 4, 1, run_ip_f32 },
    { "cos_f32", PAIR, 4, 3, run_cos_f32 },
    { "l2sq_f32_1n", ONE_TO_MANY, 4, 1, run_l2sq_f32_1n },
    { "ip_f32_1n", ONE_TO_MANY, 4, 1, run_ip_f32_1n },
    { "cos_f32_1n", ONE_TO_MANY, 4, 2, run_cos_f32_1n },
    { "l2sq_f32_mn", MANY_TO_MANY, 4, 1, run_l2sq_f32_mn },
    { "ip_f32_mn", MANY_TO_MANY, 4, 1, run_ip_f32_mn },
    { "cos_f32_mn", MANY_TO_MANY, 4, 1, run_cos_f32_mn },
};
static const struct item byte_items[] = {
    { "l2sq_u8", PAIR, 1, 0, run_l2sq_u8 },
    { "ip_u8", PAIR, 1, 0, run_ip_u8 },
    { "cos_u8", PAIR, 1, 0, run_cos_u8 },
    { "l2sq_u8_1n", ONE_TO_MANY, 1, 0, run_l2sq_u8_1n },
    { "ip_u8_1n", ONE_TO_MANY, 1, 0, run_ip_u8_1n },
    { "cos_u8_1n", ONE_TO_MANY, 1, 0, run_cos_u8_1n },
    { "l2sq_u8_mn", MANY_TO_MANY, 1, 0, run_l2sq_u8_mn },
    { "ip_u8_mn", MANY_TO_MANY, 1, 0, run_ip_u8_mn },
    { "cos_u8_mn", MANY_TO_MANY, 1, 0, run_cos_u8_mn },
};
static const struct item code_items[] = {
    { "hamming_b64_1n", SCAN, 8, 0, run_hamming_b64_1n },
    { "hamming_b64_within 8", SCAN, 8, 0, run_within_8 },
    { "hamming_b64_within 20", SCAN, 8, 0, run_within_20 },
    { "hamming_b64_mn", MANY_TO_MANY, 8, 0, run_hamming_b64_mn },
    { "fastscan_64, 128 bits", SCAN, FASTSCAN_BYTES, 0, run_fastscan_64 },
    { "nibbles_64, 64 bytes", SCAN, NIBBLES_BYTES, 0, run_nibbles_64 },
    { "ip_mixed_n, 96 bytes", SCAN, MIXED_BYTES, 0, run_ip_mixed_n },
    { "bound_64", SCAN, 4, 0, run_bound_64 },
};
static const struct item float_scans[] = {
    { "at_most_f32", SCAN, 4, 0, run_at_most_f32 },
    { "argmin_f32", SCAN, 4, 0, run_argmin_f32 },
};
static const struct item byte_scans[] = {
    { "at_most_u32", SCAN, 4, 0, run_at_most_u32 },
    { "at_most_u8", SCAN, 1, 0, run_at_most_u8 },
};

/* ------------------------------------------------------------------------------ measurement */

struct sample {
    double ns[MAX_TABLES]; /* a vector, pair, code or value; medians */
    double read_ns;        /* reading its bytes and doing nothing; NAN where not asked for */
};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

/* One run of the kernel of table t, or of the bare reading where t is past the tables. */
static void run_once(struct bench *b, const struct item *item, size_t t, struct load *l,
                     enum place place)
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

static double time_runs(struct bench *b, const struct item *item, size_t t, struct load *l,
                        enum place place, size_t runs)
{
    const uint64_t start = clock_ns();
    for (size_t i = 0; i < runs; i++)
        run_once(b, item, t, l, place);
    return (double)(clock_ns() - start);
}

/* How many runs make a sample long against the clock; a run from memory always is. The first also warms up. */
static size_t runs_for(struct bench *b, const struct item *item, size_t t, struct load *l,
                       enum place place)
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

static struct sample measure(struct bench *b, const struct item *item, size_t dim, enum place place)
{
    const bool many = item->form == MANY_TO_MANY;
    struct load l = { .query = b->query, .rows = b->data, .dim = dim, .out = b->results };
    l.n = many ? MANY_A + MANY_B : place_bytes[place] / (dim * item->component_bytes);
    const double each = many ? MANY_A * MANY_B : (double)l.n;
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
        s.ns[t] = median(ns[t], REPEATS);
    if (!many)
        s.read_ns = median(ns[b->n_tables], REPEATS);
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

static void add_row(struct bench *b, struct table *t, const struct item *item, size_t dim,
                    enum place place, bool vectors)
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

/* One line an item, dimension and place that means something for its form. */
static void print_items(struct bench *b, const char *title, const char *each,
                        const struct item *items, size_t n, bool vectors)
{
    static const size_t dims[] = { 32, 128, MAX_DIM };
    struct table t;
    table_init(&t, b->n_tables + (vectors ? 7 : 5));
    add_header(b, &t, each, vectors);
    for (size_t i = 0; i < n; i++) {
        const enum form form = items[i].form;
        const size_t places = form == PAIR || form == MANY_TO_MANY ? 1 : PLACES;
        for (size_t d = 0; d < (vectors ? sizeof dims / sizeof *dims : 1); d++)
            for (enum place place = L1; place < (enum place)places; place++)
                add_row(b, &t, &items[i], vectors ? dims[d] : 1, place, vectors);
    }
    fprintf(b->out, "\n%s\n", title);
    table_print(&t, b->out);
    fflush(b->out);
    table_free(&t);
}

/* -------------------------------------------------------------------------- the machine's own */

/* The best of many: a limit is what nothing disturbed. */
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
    const struct item nothing = { .name = "read", .form = SCAN, .component_bytes = 1 };
    for (enum place place = L1; place < PLACES; place++) {
        struct load l = { .rows = b->data, .n = place_bytes[place], .dim = 1 };
        const size_t runs = 1 + (size_t)(WINDOW_BYTES / l.n) / 4;
        for (size_t i = 0; i < REPEATS; i++)
            rate[i] =
                (double)l.n * (double)runs / time_runs(b, &nothing, b->n_tables, &l, place, runs);
        fprintf(b->out, "  reading from %-6s   %6.1f GB/s\n", place_names[place],
                best(rate, REPEATS));
    }
}

/* Whether OpenBLAS's chosen kernels use what this processor has. */
static bool blas_is_below(const char *core)
{
    static const char *const wide[] = { "SkylakeX", "Cooperlake", "SapphireRapids" };
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (!strcasecmp(core, wide[i]))
            return false;
    return kernels_best_isa() == ISA_AVX512;
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
    const char *core = openblas_get_corename(), *asked = getenv("OPENBLAS_CORETYPE");
    fprintf(b->out,
            "  SGEMM by OpenBLAS     %6.1f GFLOP/s, %.0f %% of the multiply-adds, %s kernels\n",
            gflops, 50 * gflops / b->multiply_adds_per_ns, core);
    if (!blas_is_below(core))
        return;
    fprintf(b->out,
            "warning: OpenBLAS uses its %s kernels, which leave AVX-512 idle. Where that is wider "
            "than AVX2 "
            "(not on Zen 4), ground truth and training take up to twice as long.\n",
            core);
    if (asked && *asked)
        fprintf(b->out, "  OPENBLAS_CORETYPE=%s chose them: unset it, or set it to SkylakeX.\n",
                asked);
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

#define COUNT(array) (sizeof(array) / sizeof *(array))

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
        REPEATS, MANY_A, MANY_B);
    print_items(b, "float vectors", "pair", float_items, COUNT(float_items), true);
    print_items(b, "selection among floats", "value", float_scans, COUNT(float_scans), false);
    fill_bytes(b);
    print_items(b, "byte vectors", "pair", byte_items, COUNT(byte_items), true);
    print_items(b,
                "codes, of 64 bits but where more are named (within R: positions at a distance of "
                "at most R)",
                "code", code_items, COUNT(code_items), false);
    print_items(b, "selection among integers", "value", byte_scans, COUNT(byte_scans), false);
}

/* A buffer that no cache holds. */
static size_t buffer_bytes(void)
{
    const long last_cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t bytes = last_cache > 0 ? 4 * (size_t)last_cache : 0;
    bytes = bytes < (size_t)128 << 20 ? (size_t)128 << 20 : bytes;
    bytes = bytes > (size_t)1 << 30 ? (size_t)1 << 30 : bytes;
    return bytes - bytes % WINDOW_BYTES;
}

/* A share of the processor for ourselves, or the numbers above are partly other programs'. */
static void warn_if_shared(const struct bench *b, uint64_t wall_ns, clock_t used)
{
    const double share = (double)used / CLOCKS_PER_SEC / clock_seconds(wall_ns);
    if (share < 0.9)
        fprintf(
            b->out,
            "\nwarning: this thread had a processor for %.0f %% of the time; other programs ran "
            "meanwhile. Numbers that look wrong are: run it again on a quiet machine.\n",
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
