/* fuzz_code_ops.c - bytes as a stream of operations on an index over 64-bit codes, compared with an
 * array of its rows.
 *
 *   bytes 0, 1: method and parameters   then operations:
 *   0, 1 insert (count, first id, codes)   2 remove (position)   3 remove an id by its number, live
 *   or not   4 range (radius, code)   5 search (k, code)   6 maintain
 *
 * A code is one of a few centres with a few bits flipped, so that there are equal codes, codes that
 * share whole blocks of bits, and codes at every distance. All methods here are exact, except
 * hftrie's fast search, which must return correct answers only. */
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

#define ROWS_MAX 400
#define BATCH    32
#define IDS      600
#define K_MAX    40

struct fuzz {
    const uint8_t *at, *end;
    struct mem mem;
    struct error error;
    struct checked index;
    void *params, *knobs;
    bool exact;
    size_t n;
    uint64_t codes[ROWS_MAX], ids[ROWS_MAX];
};

#define EXPECT(f, holds)                                                                    \
    do {                                                                                    \
        if (!(holds)) {                                                                     \
            fprintf(stderr, "%s, %zu rows: %s: %s\n", (f)->index.ops->name, (f)->n, #holds, \
                    (f)->error.text);                                                       \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

static uint8_t next(struct fuzz *f)
{
    return f->at < f->end ? *f->at++ : 0;
}

static uint64_t next_code(struct fuzz *f)
{
    static const uint64_t centres[] = { 0, UINT64_MAX, 0x00000000ffffffff, 0xffff0000ffff0000,
                                        0x0123456789abcdef };
    const uint8_t how = next(f);
    uint64_t code = centres[how % 5];
    for (unsigned flips = how / 5 % 4; flips > 0; flips--)
        code ^= UINT64_C(1) << next(f) % 64;
    return code;
}

static unsigned distance(uint64_t a, uint64_t b)
{
    return (unsigned)__builtin_popcountll(a ^ b);
}

static size_t position_of(const struct fuzz *f, uint64_t id)
{
    size_t at = 0;
    while (at < f->n && f->ids[at] != id)
        at++;
    return at;
}

static struct vectors vectors_of(const uint64_t *codes, size_t n)
{
    return (struct vectors){ codes, n, 64, INDEX_B64 };
}

static void insert(struct fuzz *f)
{
    uint64_t codes[BATCH], ids[BATCH];
    const uint8_t count = next(f);
    const size_t n = 1 + count % BATCH;
    const uint64_t first = (uint64_t)next(f) * 3;
    size_t done = 99;
    bool fresh = true;
    if (f->n + n > ROWS_MAX)
        return;
    for (size_t i = 0; i < n; i++) {
        ids[i] = (first + i * 7) % IDS;
        codes[i] = count & 128 && i > 0 ? codes[0] : next_code(f);
        fresh = fresh && position_of(f, ids[i]) == f->n;
    }
    const int rc = index_insert(&f->index, vectors_of(codes, n), ids, &done);
    EXPECT(f, rc == (fresh ? OK : ERR_DUPLICATE_ID));
    EXPECT(f, done == (fresh ? n : 0));
    error_clear(&f->error);
    for (size_t i = 0; i < done; i++, f->n++) {
        f->codes[f->n] = codes[i];
        f->ids[f->n] = ids[i];
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
        f->codes[at] = f->codes[f->n];
        f->ids[at] = f->ids[f->n];
    }
}

struct found {
    struct fuzz *f;
    uint64_t query;
    unsigned radius;
    bool seen[ROWS_MAX];
};

static int take(void *to, size_t query, uint64_t id, float reported)
{
    struct found *found = to;
    struct fuzz *f = found->f;
    const size_t at = position_of(f, id);
    EXPECT(f, query == 0 && at < f->n && !found->seen[at]);
    EXPECT(f, (unsigned)reported == distance(found->query, f->codes[at]));
    EXPECT(f, (unsigned)reported <= found->radius);
    found->seen[at] = true;
    return OK;
}

static void range(struct fuzz *f)
{
    struct found found = { .f = f, .radius = next(f) % 65 };
    found.query = next_code(f);
    const struct range_request request = { vectors_of(&found.query, 1), found.radius, f->knobs,
                                           NULL, 1 };
    struct range_result result = { .found = take, .to = &found };
    EXPECT(f, index_range(&f->index, &request, &result) == OK);
    for (size_t i = 0; f->exact && i < f->n; i++)
        EXPECT(f, found.seen[i] == (distance(found.query, f->codes[i]) <= found.radius));
}

/* The row nearest to the query among those not taken, ties to the smaller id. */
static size_t nearest(const struct fuzz *f, uint64_t query, const bool *taken)
{
    size_t best = f->n;
    for (size_t r = 0; r < f->n; r++) {
        if (taken[r])
            continue;
        const unsigned d = distance(query, f->codes[r]);
        const unsigned b = best < f->n ? distance(query, f->codes[best]) : UINT32_MAX;
        if (d < b || (d == b && f->ids[r] < f->ids[best]))
            best = r;
    }
    return best;
}

static void search(struct fuzz *f)
{
    float distances[K_MAX];
    uint64_t ids[K_MAX];
    bool taken[ROWS_MAX] = { false };
    const size_t k = 1 + next(f) % K_MAX;
    const uint64_t query = next_code(f);
    const struct search_request request = { vectors_of(&query, 1), k, f->knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    EXPECT(f, index_search(&f->index, &request, &result) == OK);
    for (size_t i = 0; f->exact && i < k; i++) {
        const size_t best = nearest(f, query, taken);
        EXPECT(f, ids[i] == (best < f->n ? f->ids[best] : INDEX_NO_ID));
        if (best == f->n)
            break;
        EXPECT(f, (unsigned)distances[i] == distance(query, f->codes[best]));
        taken[best] = true;
    }
}

static void set(const struct param *table, void *out, const char *name, double value)
{
    if (param_find(table, name))
        (void)param_set(table, out, name,
                        (struct param_value){ .kind = VALUE_NUMBER, .number = value }, "fuzz",
                        NULL);
}

static void choose(const struct param *table, void *out, const char *name, const char *value)
{
    if (param_find(table, name))
        (void)param_set(table, out, name, (struct param_value){ .kind = VALUE_TEXT, .text = value },
                        "fuzz", NULL);
}

/* Parameters small enough that nodes split and merge, and tables grow, within an input. */
static void set_params(struct fuzz *f, const struct index_ops *ops, const char *mode, uint8_t how)
{
    f->params = calloc(1, ops->params_bytes + 1);
    f->knobs = calloc(1, ops->knobs_bytes + 1);
    if (!f->params || !f->knobs)
        abort();
    param_defaults(ops->params, f->params);
    param_defaults(ops->knobs, f->knobs);
    choose(ops->params, f->params, "mode", mode);
    choose(ops->params, f->params, "layout", how & 1 ? "copied" : "slots");
    set(ops->params, f->params, "chunk_bits", 1 << how % 4);
    set(ops->params, f->params, "leaf_capacity", 1 + (how >> 2) % 16);
    set(ops->params, f->params, "tables", 1 + (how >> 1) % 6);
    set(ops->params, f->params, "key_bits", 1 + (how >> 4) % 8);
    set(ops->params, f->params, "node_capacity", 4 + (how >> 3) % 8);
    choose(ops->knobs, f->knobs, "plan", how % 8 == 7 ? "auto" : "tables");
}

static void open_one(struct fuzz *f, const struct registry *registry, struct pool *pool)
{
    static const struct {
        const char *method, *mode;
    } choices[] = { { "hftrie", "multi" },  { "hftrie", "standard" },
                    { "hftrie", "fast" },   { "hftrie", "multi" },
                    { "mih", "" },          { "mtree", "" },
                    { "mvptree", "" },      { "hwtree", "" },
                    { "hamming-scan", "" }, { "hftrie", "standard" },
                    { "flat", "" } };
    const uint8_t choice = next(f) % (sizeof choices / sizeof *choices);
    const struct index_ops *ops = registry_find(registry, choices[choice].method, NULL);
    if (!ops)
        abort();
    const struct index_env env = { .dim = 64,
                                   .element = INDEX_B64,
                                   .metric = INDEX_HAMMING,
                                   .seed = choice,
                                   .k_hint = 10,
                                   .mem = &f->mem,
                                   .pool = pool,
                                   .kernels = kernels_select(ISA_AVX512),
                                   .error = &f->error,
                                   .device = "cpu" };
    f->exact = strcmp(choices[choice].mode, "fast") != 0;
    set_params(f, ops, choices[choice].mode, next(f));
    EXPECT(f, index_open(&f->index, ops, &env, f->params) == OK);
}

static void run(struct fuzz *f)
{
    bool more;
    while (f->at < f->end) {
        switch (next(f) % 7) {
            case 0:
            case 1: insert(f); break;
            case 2:
                if (f->n > 0)
                    remove_id(f, f->ids[(size_t)next(f) * 5 % f->n]);
                break;
            case 3: remove_id(f, (uint64_t)next(f) * 3); break;
            case 4: range(f); break;
            case 5: search(f); break;
            default:
                if (f->index.ops->maintain)
                    EXPECT(f, index_maintain(&f->index, next(f) % 100, &more) == OK);
                break;
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
    f.end = data + (bytes < 2048 ? bytes : 2048);
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
