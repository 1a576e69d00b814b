/* fuzz_index_ops.c - bytes as a stream of operations on an index, compared with an array of
 * the index's rows.
 *
 *   byte 0: method and parameters   byte 1: dimension 1 .. 8, codes   then operations:
 *   0 insert (count, ids, components)   1 remove (position)   2 search (k, components)   3 maintain
 *   4 range (radius, components)   5 remove an id by its number, live or not
 *
 * Components are small integers, so distances are exact in every kernel and answers must be equal,
 * including ties.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "src/cli/methods.h"
#include "src/core/checked.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"
#include "src/core/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define ROWS_MAX 512
#define DIM_MAX  8
#define IDS      600

struct fuzz {
    const uint8_t *at, *end;
    struct mem mem;
    struct error error;
    struct checked index;
    void *params, *knobs;
    size_t dim, n;
    float rows[ROWS_MAX][DIM_MAX];
    uint64_t ids[ROWS_MAX];
};

#define EXPECT(f, holds)                                                                       \
    do {                                                                                       \
        if (!(holds)) {                                                                        \
            fprintf(stderr, "%s, dim %zu, %zu rows: %s: %s\n", (f)->index.ops->name, (f)->dim, \
                    (f)->n, #holds, (f)->error.text);                                          \
            abort();                                                                           \
        }                                                                                      \
    } while (0)

static uint8_t next(struct fuzz *f)
{
    return f->at < f->end ? *f->at++ : 0;
}

static void next_row(struct fuzz *f, float *row)
{
    for (size_t j = 0; j < f->dim; j++)
        row[j] = (float)(next(f) % 9) - 4;
}

static size_t position_of(const struct fuzz *f, uint64_t id)
{
    size_t at = 0;
    while (at < f->n && f->ids[at] != id)
        at++;
    return at;
}

static double distance_of(const struct fuzz *f, const float *query, size_t row)
{
    double l2 = 0, ip = 0;
    for (size_t j = 0; j < f->dim; j++) {
        const double x = (double)query[j], y = (double)f->rows[row][j];
        l2 += (x - y) * (x - y);
        ip += x * y;
    }
    return f->index.index->env.metric == INDEX_IP ? -ip : l2;
}

static void insert(struct fuzz *f)
{
    float rows[16][DIM_MAX], packed[16 * DIM_MAX];
    uint64_t ids[16];
    size_t n = 1 + next(f) % 16, done = 99;
    if (f->n + n > ROWS_MAX)
        return;
    const uint64_t first = (uint64_t)next(f) * 2 + next(f) % 90;
    bool fresh = true;
    for (size_t i = 0; i < n; i++) {
        ids[i] = (first + i * 7) % IDS;
        next_row(f, rows[i]);
        memcpy(packed + i * f->dim, rows[i], f->dim * sizeof(float));
        fresh = fresh && position_of(f, ids[i]) == f->n;
    }
    const int rc =
        index_insert(&f->index, (struct vectors){ packed, n, f->dim, INDEX_F32 }, ids, &done);
    EXPECT(f, rc == (fresh ? OK : ERR_DUPLICATE_ID));
    EXPECT(f, done == (fresh ? n : 0));
    error_clear(&f->error);
    for (size_t i = 0; i < done; i++) {
        memcpy(f->rows[f->n], rows[i], sizeof rows[i]);
        f->ids[f->n++] = ids[i];
    }
}

static void remove_id(struct fuzz *f, uint64_t id)
{
    const size_t at = position_of(f, id);
    size_t done = 99;
    const int rc = index_remove(&f->index, &id, 1, &done);
    EXPECT(f, rc == (at < f->n ? OK : ERR_UNKNOWN_ID));
    EXPECT(f, done == (at < f->n));
    error_clear(&f->error);
    if (at < f->n) {
        f->n--;
        memmove(f->rows[at], f->rows[f->n], sizeof f->rows[at]);
        f->ids[at] = f->ids[f->n];
    }
}

static void search(struct fuzz *f)
{
    float query[DIM_MAX], distances[40];
    uint64_t ids[40];
    const size_t k = 1 + next(f) % 40;
    next_row(f, query);
    const struct search_request request = { { query, 1, f->dim, INDEX_F32 }, k, f->knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    EXPECT(f, index_search(&f->index, &request, &result) == OK);
    bool taken[ROWS_MAX] = { false };
    for (size_t i = 0; i < k; i++) {
        size_t best = f->n;
        for (size_t r = 0; r < f->n; r++) {
            if (taken[r])
                continue;
            const double d = distance_of(f, query, r);
            const double b = best < f->n ? distance_of(f, query, best) : INFINITY;
            if (d < b || (d <= b && f->ids[r] < f->ids[best]))
                best = r;
        }
        EXPECT(f, ids[i] == (best < f->n ? f->ids[best] : INDEX_NO_ID));
        EXPECT(f, best == f->n ? isinf(distances[i])
                               : (double)distances[i] <= distance_of(f, query, best));
        EXPECT(f, best == f->n || (double)distances[i] >= distance_of(f, query, best));
        if (best < f->n)
            taken[best] = true;
    }
}

struct found {
    struct fuzz *f;
    const float *query;
    double radius;
    bool seen[ROWS_MAX];
};

static int take(void *to, size_t query, uint64_t id, float distance)
{
    struct found *found = to;
    struct fuzz *f = found->f;
    const size_t at = position_of(f, id);
    EXPECT(f, query == 0 && at < f->n && !found->seen[at]);
    EXPECT(f, (double)distance <= found->radius &&
                  fabs((double)distance - distance_of(f, found->query, at)) <= 0);
    found->seen[at] = true;
    return OK;
}

static void range(struct fuzz *f)
{
    float query[DIM_MAX];
    struct found found = { .f = f, .query = query, .radius = (double)next(f) - 40 };
    next_row(f, query);
    const struct range_request request = {
        { query, 1, f->dim, INDEX_F32 }, found.radius, f->knobs, NULL, 1
    };
    struct range_result result = { .found = take, .to = &found };
    const int rc = index_range(&f->index, &request, &result);
    const bool refused = index_radius_fault(f->index.index->env.metric, found.radius) != NULL;
    EXPECT(f, rc == (!f->index.ops->range ? ERR_UNSUPPORTED : refused ? ERR_ARGUMENT : OK));
    error_clear(&f->error);
    for (size_t i = 0; rc == OK && i < f->n; i++)
        EXPECT(f, found.seen[i] == (distance_of(f, query, i) <= found.radius));
}

static void set(const struct param *table, void *out, const char *name, double value)
{
    if (param_find(table, name))
        (void)param_set(table, out, name,
                        (struct param_value){ .kind = VALUE_NUMBER, .number = value }, "fuzz",
                        NULL);
}

/* divf: codes of each kind, with bounds that do not fail. */
static void set_codes(struct fuzz *f, const struct index_ops *ops, unsigned kind)
{
    static const char *const kinds[] = { "none", "none", "sq8", "pq", "rabitq", "pq" };
    if (!param_find(ops->params, "quantizer") || kind >= sizeof kinds / sizeof *kinds)
        return;
    (void)param_set(ops->params, f->params, "quantizer",
                    (struct param_value){ .kind = VALUE_TEXT, .text = kinds[kind] }, "fuzz", NULL);
    set(ops->params, f->params, "sketch", kind == 1 ? 1 : kind == 0 ? 0 : -1);
    set(ops->params, f->params, "eps0", 12);
    set(ops->params, f->params, "pq_bits", kind == 5 ? 8 : 4);
}

/* Parameters small enough that splits, compactions and several lists happen within an input. */
static void open_one(struct fuzz *f, const struct registry *registry, struct pool *pool)
{
    static const char *const methods[] = { "flat", "divf", "divf", "skeleton",
                                           "ampi", "divf", "divf", "ampi" };
    const uint8_t choice = next(f);
    const struct index_ops *ops = registry_find(registry, methods[choice % 8], NULL);
    const uint8_t size = next(f);
    f->dim = 1 + size % DIM_MAX;
    if (!ops)
        abort();
    const bool ip = choice & 64 && index_takes(ops, INDEX_F32, INDEX_IP);
    const struct index_env env = { .dim = f->dim,
                                   .element = INDEX_F32,
                                   .metric = ip ? INDEX_IP : INDEX_L2SQ,
                                   .seed = choice,
                                   .k_hint = 10,
                                   .mem = &f->mem,
                                   .pool = pool,
                                   .kernels = kernels_select(ISA_AVX512),
                                   .error = &f->error,
                                   .device = "cpu" };
    f->params = calloc(1, ops->params_bytes + 1);
    f->knobs = calloc(1, ops->knobs_bytes + 1);
    if (!f->params || !f->knobs)
        abort();
    param_defaults(ops->params, f->params);
    param_defaults(ops->knobs, f->knobs);
    set(ops->params, f->params, "clusters", 1 + (choice >> 3) % 5);
    set(ops->params, f->params, "soft_k", 1 + (choice >> 4) % 3);
    set(ops->params, f->params, "split_threshold", choice & 32 ? 1.2 : 3);
    set(ops->params, f->params, "compact_at", choice & 128 ? 0.05 : 0.5);
    set_codes(f, ops, size / DIM_MAX % 8);
    set(ops->params, f->params, "fans", 1 + (choice >> 4) % 5);
    set(ops->params, f->params, "cones", 1 + (choice >> 5) % 3);
    set(ops->params, f->params, "refresh_at", choice & 128 ? 0.05 : 0.5);
    set(ops->knobs, f->knobs, "nprobe", 1 << 22);
    set(ops->knobs, f->knobs, "probes", 1 << 22);
    set(ops->knobs, f->knobs, "fan_probes", 1 << 22);
    set(ops->knobs, f->knobs, "window", 1 << 30);
    EXPECT(f, index_open(&f->index, ops, &env, f->params) == OK);
}

static void train(struct fuzz *f)
{
    float rows[16 * DIM_MAX];
    if (!f->index.ops->train || next(f) % 4 == 0)
        return;
    for (size_t i = 0; i < 16; i++)
        next_row(f, rows + i * f->dim);
    EXPECT(f, index_train(&f->index, (struct vectors){ rows, 16, f->dim, INDEX_F32 }) == OK);
}

static void run(struct fuzz *f)
{
    bool more;
    train(f);
    while (f->at < f->end) {
        switch (next(f) % 6) {
            case 0: insert(f); break;
            case 1:
                if (f->n > 0)
                    remove_id(f, f->ids[(size_t)next(f) * 3 % f->n]);
                break;
            case 2: search(f); break;
            case 3:
                if (f->index.ops->maintain)
                    EXPECT(f, index_maintain(&f->index, next(f) % 100, &more) == OK);
                break;
            case 4: range(f); break;
            default: remove_id(f, (uint64_t)next(f) * 2); break;
        }
        EXPECT(f, index_check(&f->index, NULL) == OK);
        EXPECT(f, f->index.live.n == f->n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct fuzz f; /* too large for the stack; keeps no state */
    struct registry registry;
    struct pool *pool = pool_create(1);
    memset(&f, 0, sizeof f);
    f.at = data;
    f.end = data + (bytes < 4096 ? bytes : 4096);
    if (!pool || methods_open(&registry, &f.error) != OK)
        abort();
    open_one(&f, &registry, pool);
    run(&f);
    index_close(&f.index);
    EXPECT(&f, mem_live(&f.mem) == 0);
    free(f.params);
    free(f.knobs);
    registry_close(&registry);
    pool_destroy(pool);
    return 0;
}
