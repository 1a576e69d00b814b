/* cuda.c - measures the kernels of a CUDA device.
 *
 * Times are those of whole calls, of the median run: arguments are copied to the device and answers
 * back, but for the rows, which are there before. One core of the processor does a part of the same
 * work, alternating with the device, and is compared by the time of a comparison. */
#include "src/bench/cuda.h"

#include <cblas.h>
#include <limits.h>
#include <stdlib.h>

#include "kernels/cuda/device.h"
#include "kernels/kernels.h"
#include "src/base/clock.h"
#include "src/base/stats.h"
#include "src/base/table.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/rng.h"

enum { REPEATS = 5, HOST_ROWS = 4096, HOST_QUERIES = 64, HOST_CODES = 1 << 20 };

/* Of a device, and, shorter, of the emulated one. */
static const struct sizes {
    size_t rows, dim, queries, k;             /* exact neighbours */
    size_t assigned, assigned_dim, centroids; /* assignment */
    size_t codes, code_queries, code_k;
    size_t bounded; /* rows of BOUND_DIM bytes */
} sizes[] = {
    { 1000000, 768, 1024, 100, 1000000, 128, 4096, (size_t)1 << 28, 1024, 10, 1 << 24 },
    { 2000, 64, 32, 10, 500, 32, 64, 20000, 32, 10, 2000 },
};

struct bench {
    FILE *out;
    struct error *error;
    struct device_library library;
    struct device_session *session;
    struct device_description device;
    struct device_limits limits;
    const struct sizes *sizes;
    struct table table;
    size_t n_floats, n_codes;
    float *floats, *scores; /* scores: HOST_QUERIES x HOST_ROWS */
    uint64_t *codes;
    void *answers;
    size_t answer_bytes;
    uint32_t *found;
};

static int check(struct bench *b, int rc)
{
    return rc == 0 ? OK
                   : fail(b->error, rc == DEVICE_MEMORY ? ERR_NO_MEMORY : ERR_BASELINE,
                          "bench cuda: %s", b->library.ops->session_error(b->session));
}

/* ------------------------------------------------------------------------ measuring */

struct item {
    const char *name, *shape;
    double comparisons;      /* of a call */
    double limit_per_s;      /* comparisons that the limit allows, */
    const char *limit;       /* which is this one */
    double host_comparisons; /* of a call of host(); 0: none */
    int (*run)(struct bench *, void *with);
    void (*host)(struct bench *);
    void *with;
};

static double median(double *values)
{
    qsort(values, REPEATS, sizeof *values, stats_by_value);
    return values[REPEATS / 2];
}

static int measure(struct bench *b, const struct item *item)
{
    double device[REPEATS], host[REPEATS];
    int rc = check(b, item->run(b, item->with)); /* warms up */
    for (size_t i = 0; rc == OK && i < REPEATS; i++) {
        const uint64_t start = clock_ns();
        rc = check(b, item->run(b, item->with));
        const uint64_t middle = clock_ns();
        item->host(b);
        device[i] = clock_seconds(middle - start);
        host[i] = clock_seconds(clock_ns() - middle);
    }
    if (rc != OK)
        return rc;
    const double seconds = median(device), rate = item->comparisons / seconds;
    char text[32];
    table_add(&b->table, "%s", item->name);
    table_add(&b->table, "%s", item->shape);
    table_seconds(seconds, text, sizeof text);
    table_add(&b->table, "%s", text);
    table_number(rate, text, sizeof text);
    table_add(&b->table, "%s", text);
    table_add(&b->table, "%.0f", 100 * rate / item->limit_per_s);
    table_add(&b->table, "%s", item->limit);
    table_add(&b->table, "%.1f", rate / (item->host_comparisons / median(host)));
    return OK;
}

/* ------------------------------------------------------------------------ rows and centroids */

/* HOST_QUERIES rows with HOST_ROWS others, by SGEMM, and the nearest of each. */
static void host_products(struct bench *b, size_t dim)
{
    volatile float least = 0;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, HOST_QUERIES, HOST_ROWS, (int)dim, 1,
                b->floats, (int)dim, b->floats, (int)dim, 0, b->scores, HOST_ROWS);
    for (size_t i = 0; i < HOST_QUERIES; i++) {
        float most = 0;
        for (size_t j = 0; j < HOST_ROWS; j++) {
            const float score = b->scores[i * HOST_ROWS + j];
            most = score > most ? score : most;
        }
        least = most;
    }
    (void)least;
}

static void host_rows(struct bench *b)
{
    host_products(b, b->sizes->dim);
}

static void host_centroids(struct bench *b)
{
    host_products(b, b->sizes->assigned_dim);
}

static int run_rows(struct bench *b, void *rows)
{
    const struct sizes *s = b->sizes;
    const size_t capacity = 8 * s->k + 64;
    return b->library.ops->rows->candidates(rows, s->rows, b->floats, s->queries, s->k, NULL,
                                            capacity, b->found, b->answers);
}

static int measure_rows(struct bench *b)
{
    const struct sizes *s = b->sizes;
    const struct device_row_ops *ops = b->library.ops->rows;
    struct device_rows *rows;
    char shape[96];
    int rc = check(b, ops->create(b->session, DEVICE_L2SQ, s->dim, &rows));
    if (rc != OK)
        return rc;
    /* the same floats again and again, so that the host needs not hold all */
    const size_t each = b->n_floats / s->dim;
    for (size_t first = 0; rc == OK && first < s->rows; first += each)
        rc = check(b, ops->put_f32(rows, first, b->floats,
                                   s->rows - first < each ? s->rows - first : each));
    (void)snprintf(shape, sizeof shape, "%zu x %zu rows, %zu queries, k = %zu", s->rows, s->dim,
                   s->queries, s->k);
    const struct item item = { .name = "nearest rows",
                               .shape = shape,
                               .comparisons = (double)s->rows * (double)s->queries,
                               .limit_per_s = b->limits.sgemm_flops_per_s / 2 / (double)s->dim,
                               .limit = "SGEMM",
                               .host_comparisons = (double)HOST_QUERIES * HOST_ROWS,
                               .run = run_rows,
                               .host = host_rows,
                               .with = rows };
    if (rc == OK)
        rc = measure(b, &item);
    ops->destroy(rows);
    return rc;
}

static int run_assign(struct bench *b, void *centroids)
{
    const struct sizes *s = b->sizes;
    const size_t each = b->n_floats / s->assigned_dim;
    int rc = 0;
    for (size_t first = 0; rc == 0 && first < s->assigned; first += each)
        rc = b->library.ops->centroids->assign(
            centroids, b->floats, s->assigned - first < each ? s->assigned - first : each, 1,
            b->answers, NULL);
    return rc;
}

static int measure_assign(struct bench *b)
{
    const struct sizes *s = b->sizes;
    const struct device_centroid_ops *ops = b->library.ops->centroids;
    struct device_centroids *centroids;
    char shape[96];
    int rc =
        check(b, ops->create(b->session, b->floats, s->centroids, s->assigned_dim, &centroids));
    if (rc != OK)
        return rc;
    (void)snprintf(shape, sizeof shape, "%zu x %zu rows, %zu centroids", s->assigned,
                   s->assigned_dim, s->centroids);
    const struct item item = { .name = "assignment",
                               .shape = shape,
                               .comparisons = (double)s->assigned * (double)s->centroids,
                               .limit_per_s =
                                   b->limits.sgemm_flops_per_s / 2 / (double)s->assigned_dim,
                               .limit = "SGEMM",
                               .host_comparisons = (double)HOST_QUERIES * HOST_ROWS,
                               .run = run_assign,
                               .host = host_centroids,
                               .with = centroids };
    rc = measure(b, &item);
    ops->destroy(centroids);
    return rc;
}

/* ------------------------------------------------------------------------ codes */

enum { CODE_CAPACITY = 1024 };

struct code_run {
    struct device_codes *codes;
    size_t queries, k; /* k = 0: a range of `radius` */
    unsigned radius;
};

static void host_codes(struct bench *b)
{
    volatile size_t within = kernels_select(kernels_best_isa())
                                 ->hamming_b64_within(b->codes[1], b->codes, HOST_CODES, 8,
                                                      (uint32_t *)(void *)b->scores);
    (void)within;
}

static int run_codes(struct bench *b, void *with)
{
    const struct code_run *r = with;
    const struct device_code_ops *ops = b->library.ops->codes;
    return r->k > 0 ? ops->nearest(r->codes, b->sizes->codes, b->codes, r->queries, r->k,
                                   CODE_CAPACITY, b->found, b->answers)
                    : ops->range(r->codes, b->sizes->codes, b->codes, r->queries, r->radius,
                                 CODE_CAPACITY, b->found, b->answers);
}

/* One query is limited by reading the codes; of many, only what one does is known. */
static int measure_code_run(struct bench *b, struct code_run *r)
{
    const struct sizes *s = b->sizes;
    char shape[96];
    (void)snprintf(shape, sizeof shape, "%zu codes, %zu quer%s, %s %zu", s->codes, r->queries,
                   r->queries == 1 ? "y" : "ies", r->k ? "k =" : "radius",
                   r->k ? r->k : (size_t)r->radius);
    const struct item item = { .name = "Hamming scan",
                               .shape = shape,
                               .comparisons = (double)s->codes * (double)r->queries,
                               .limit_per_s = b->limits.read_bytes_per_s / sizeof(uint64_t),
                               .limit = "one query's read",
                               .host_comparisons = HOST_CODES,
                               .run = run_codes,
                               .host = host_codes,
                               .with = r };
    return measure(b, &item);
}

static int measure_codes(struct bench *b)
{
    const struct sizes *s = b->sizes;
    const struct device_code_ops *ops = b->library.ops->codes;
    struct device_codes *codes;
    int rc = check(b, ops->create(b->session, &codes));
    if (rc != OK)
        return rc;
    for (size_t first = 0; rc == OK && first < s->codes; first += b->n_codes)
        rc = check(b, ops->put(codes, first, b->codes,
                               s->codes - first < b->n_codes ? s->codes - first : b->n_codes));
    struct code_run runs[] = { { codes, 1, 0, 8 },
                               { codes, 1, s->code_k, 0 },
                               { codes, s->code_queries, 0, 8 },
                               { codes, s->code_queries, s->code_k, 0 } };
    for (size_t i = 0; rc == OK && i < sizeof runs / sizeof *runs; i++)
        rc = measure_code_run(b, &runs[i]);
    ops->destroy(codes);
    return rc;
}

/* ------------------------------------------------------------------------ bounds of codes */

enum { BOUND_DIM = 96, HOST_BOUNDS = 65536 }; /* asteria's default; codes at a time */

/* Products of one query with the codes. */
static void host_bounds(struct bench *b)
{
    const struct kernels *kernels = kernels_select(kernels_best_isa());
    const int8_t *weights = (const int8_t *)b->floats;
    const struct mixed_weights w = { weights, weights + 128,
                                     (const int16_t *)(const void *)b->floats };
    volatile int32_t last = 0;
    for (size_t first = 0; first < HOST_BOUNDS; first += 16) {
        const uint8_t *at[16];
        int32_t sums[16];
        for (size_t i = 0; i < 16; i++)
            at[i] = (const uint8_t *)b->codes + (first + i) * BOUND_DIM;
        kernels->ip_mixed_n(&w, at, 16, BOUND_DIM, 0, sums);
        last = sums[0];
    }
    (void)last;
}

static int run_bounds(struct bench *b, void *bounds)
{
    const struct sizes *s = b->sizes;
    const int8_t *weights = (const int8_t *)b->floats;
    struct device_bound_query *terms = (void *)b->scores;
    for (size_t q = 0; q < s->queries; q++)
        terms[q] = (struct device_bound_query){ .whole = 4, .unit = 0x1p-24f };
    const struct device_bound_queries queries = { s->queries, weights,
                                                  weights + s->queries * BOUND_DIM, terms };
    return b->library.ops->bounds->candidates(bounds, s->bounded, &queries, s->code_k, 0,
                                              8 * s->code_k + 64, b->found, b->answers);
}

/* The same codes again and again, so that the host needs not hold all. */
static int put_bounds(struct bench *b, struct device_bounds *bounds)
{
    const size_t rows = b->sizes->bounded;
    struct device_bound_row *terms = mem_zalloc(NULL, HOST_BOUNDS * sizeof *terms);
    int rc = terms ? OK : fail(b->error, ERR_NO_MEMORY, "bench cuda: out of memory");
    for (size_t first = 0; rc == OK && first < rows; first += HOST_BOUNDS)
        rc = check(b, b->library.ops->bounds->put(bounds, first, (const uint8_t *)b->codes, terms,
                                                  rows - first < HOST_BOUNDS ? rows - first
                                                                             : HOST_BOUNDS));
    mem_free(NULL, terms);
    return rc;
}

static int measure_bounds(struct bench *b)
{
    const struct sizes *s = b->sizes;
    const struct device_bound_ops *ops = b->library.ops->bounds;
    struct device_bounds *bounds;
    char shape[96];
    int rc = check(b, ops->create(b->session, BOUND_DIM, &bounds));
    if (rc != OK)
        return rc;
    rc = put_bounds(b, bounds);
    (void)snprintf(shape, sizeof shape, "%zu x %d bytes, %zu queries, k = %zu", s->bounded,
                   BOUND_DIM, s->queries, s->code_k);
    /* two products, of the high and the low bytes */
    const struct item item = { .name = "bounds of codes",
                               .shape = shape,
                               .comparisons = (double)s->bounded * (double)s->queries,
                               .limit_per_s = b->limits.int8_ops_per_s / 2 / 2 / BOUND_DIM,
                               .limit = "int8 products",
                               .host_comparisons = HOST_BOUNDS,
                               .run = run_bounds,
                               .host = host_bounds,
                               .with = bounds };
    if (rc == OK)
        rc = measure(b, &item);
    ops->destroy(bounds);
    return rc;
}

/* ------------------------------------------------------------------------ the whole */

static void print_device(struct bench *b)
{
    const struct device_description *d = &b->device;
    char text[32];
    table_bytes((double)d->memory_bytes, text, sizeof text);
    fprintf(b->out, "%s, %s, compute capability %d.%d, %d multiprocessors", d->name, text, d->major,
            d->minor, d->multiprocessors);
    if (d->clock_khz > 0)
        fprintf(b->out, " at %.2f GHz", d->clock_khz / 1e6);
    fprintf(b->out, "\ndriver for CUDA %d.%d, kernels built by CUDA %d.%d\n", d->driver / 1000,
            d->driver % 1000 / 10, d->runtime / 1000, d->runtime % 1000 / 10);
    if (d->emulated)
        fprintf(b->out, "warning: the kernels run on the processor, so the figures are not those "
                        "of a GPU, and sizes are small.\n");
    fprintf(b->out, "  reading its memory    %8.1f GB/s\n", b->limits.read_bytes_per_s / 1e9);
    fprintf(b->out, "  SGEMM by cuBLAS       %8.1f GFLOP/s\n", b->limits.sgemm_flops_per_s / 1e9);
    fprintf(b->out, "  int8 products         %8.1f Gop/s\n", b->limits.int8_ops_per_s / 1e9);
    fprintf(b->out, "  copying to it         %8.1f GB/s\n", b->limits.to_device_bytes_per_s / 1e9);
    fprintf(b->out, "  copying from it       %8.1f GB/s\n\n",
            b->limits.from_device_bytes_per_s / 1e9);
}

static int print_all(struct bench *b)
{
    static const char *const columns[] = { "kernel",     "work",  "a call",    "comparisons/s",
                                           "% of limit", "limit", "x one core" };
    table_init(&b->table, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_add(&b->table, "%s", columns[i]);
    int rc = measure_rows(b);
    if (rc == OK)
        rc = measure_assign(b);
    if (rc == OK)
        rc = measure_codes(b);
    if (rc == OK)
        rc = measure_bounds(b);
    if (rc == OK) {
        table_print(&b->table, b->out);
        fprintf(b->out,
                "\nMedians of %d calls, with copies of the arguments and answers. One core: "
                "SGEMM and the nearest, the scan of codes, or their products, by this "
                "processor.\n",
                REPEATS);
    }
    table_free(&b->table);
    return rc;
}

static int allocate(struct bench *b)
{
    const struct sizes *s = b->sizes;
    const size_t candidates = s->queries * (8 * s->k + 64) * sizeof(struct device_candidate);
    const size_t matches = s->code_queries * CODE_CAPACITY * sizeof(struct device_match);
    struct rng r = rng_at(1, 1);
    b->answer_bytes = candidates > matches ? candidates : matches;
    b->answer_bytes += s->assigned * sizeof(uint32_t);
    b->n_floats = (s->queries > HOST_ROWS ? s->queries : HOST_ROWS) * 16 * s->dim;
    b->n_codes = HOST_CODES;
    b->floats = mem_array(NULL, b->n_floats, sizeof *b->floats);
    b->scores = mem_array(NULL, (size_t)HOST_CODES, sizeof *b->scores);
    b->codes = mem_array(NULL, b->n_codes, sizeof *b->codes);
    b->answers = mem_alloc(NULL, b->answer_bytes);
    b->found = mem_array(NULL, s->queries + s->code_queries, sizeof *b->found);
    if (!b->floats || !b->scores || !b->codes || !b->answers || !b->found)
        return fail(b->error, ERR_NO_MEMORY, "bench cuda: out of memory");
    for (size_t i = 0; i < b->n_floats; i++)
        b->floats[i] = (float)(rng_u64(&r) >> 40) * 0x1p-24f;
    for (size_t i = 0; i < b->n_codes; i++)
        b->codes[i] = rng_u64(&r);
    return OK;
}

static int open_device(struct bench *b)
{
    char path[PATH_MAX], why[512] = "";
    if (!device_find(path, sizeof path))
        return fail(b->error, ERR_UNSUPPORTED,
                    "bench cuda: there is no %s beside the program or above it; run make where "
                    "nvcc is installed, which builds it",
                    DEVICE_LIBRARY);
    if (device_load(path, &b->library, why, sizeof why) ||
        b->library.ops->session_create(&b->session, why, sizeof why))
        return fail(b->error, ERR_UNSUPPORTED, "bench cuda: %s", why);
    int rc = check(b, b->library.ops->describe(b->session, &b->device));
    if (rc == OK)
        rc = check(b, b->library.ops->limits(b->session, &b->limits));
    b->sizes = &sizes[b->device.emulated];
    return rc;
}

int bench_cuda(FILE *out, struct error *error)
{
    struct bench b = { .out = out, .error = error };
    const int threads = openblas_get_num_threads();
    int rc = open_device(&b);
    openblas_set_num_threads(1);
    if (rc == OK)
        rc = allocate(&b);
    if (rc == OK) {
        print_device(&b);
        rc = print_all(&b);
    }
    openblas_set_num_threads(threads);
    mem_free(NULL, b.floats);
    mem_free(NULL, b.scores);
    mem_free(NULL, b.codes);
    mem_free(NULL, b.answers);
    mem_free(NULL, b.found);
    if (b.session)
        b.library.ops->session_destroy(b.session);
    device_unload(&b.library);
    return rc;
}
