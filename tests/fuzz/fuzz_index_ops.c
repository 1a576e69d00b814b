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
#include "tests/fuzz/operations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void draw(struct fuzz *f, union fuzz_row *row)
{
    for (size_t j = 0; j < f->dim; j++)
        row->components[j] = (float)(fuzz_next(f) % 9) - 4;
}

static double distance(const struct fuzz *f, const union fuzz_row *query, const union fuzz_row *row)
{
    double l2 = 0, ip = 0;
    for (size_t j = 0; j < f->dim; j++) {
        const double x = (double)query->components[j], y = (double)row->components[j];
        l2 += (x - y) * (x - y);
        ip += x * y;
    }
    return f->index.index->env.metric == INDEX_IP ? -ip : l2;
}

static void insert(struct fuzz *f)
{
    union fuzz_row rows[16];
    float packed[16 * DIM_MAX];
    uint64_t ids[16];
    const size_t n = 1 + fuzz_next(f) % 16;
    if (f->n + n > ROWS_MAX)
        return;
    const uint64_t first = (uint64_t)fuzz_next(f) * 2 + fuzz_next(f) % 90;
    for (size_t i = 0; i < n; i++) {
        ids[i] = (first + i * 7) % IDS;
        draw(f, &rows[i]);
        memcpy(packed + i * f->dim, rows[i].components, f->dim * sizeof(float));
    }
    fuzz_insert(f, packed, rows, ids, n);
}

/* divf: codes of each kind, with bounds that do not fail. */
static void set_codes(struct fuzz *f, const struct index_ops *ops, unsigned kind)
{
    static const char *const kinds[] = { "none", "none", "sq8", "pq", "rabitq", "pq" };
    if (!param_find(ops->params, "quantizer") || kind >= sizeof kinds / sizeof *kinds)
        return;
    fuzz_choose(ops->params, f->params, "quantizer", kinds[kind]);
    fuzz_set(ops->params, f->params, "sketch", kind == 1 ? 1 : kind == 0 ? 0 : -1);
    fuzz_set(ops->params, f->params, "eps0", 12);
    fuzz_set(ops->params, f->params, "pq_bits", kind == 5 ? 8 : 4);
}

static void train(struct fuzz *f)
{
    float rows[16 * DIM_MAX];
    if (!f->index.ops->train || fuzz_next(f) % 4 == 0)
        return;
    for (size_t i = 0; i < 16 * f->dim; i++)
        rows[i] = (float)(fuzz_next(f) % 9) - 4;
    EXPECT(f, index_train(&f->index, fuzz_vectors(f, rows, 16)) == OK);
}

/* Parameters small enough that splits, compactions and several lists happen within an input. */
static void open_one(struct fuzz *f, const struct registry *registry, struct pool *pool)
{
    static const char *const methods[] = { "flat", "divf", "divf", "skeleton",
                                           "ampi", "divf", "divf", "ampi" };
    const uint8_t choice = fuzz_next(f), size = fuzz_next(f);
    const struct index_ops *ops = fuzz_method(f, registry, methods[choice % 8]);
    const bool ip = choice & 64 && index_takes(ops, INDEX_F32, 1, INDEX_IP);
    f->dim = 1 + size % DIM_MAX;
    f->exact = true;
    fuzz_set(ops->params, f->params, "clusters", 1 + (choice >> 3) % 5);
    fuzz_set(ops->params, f->params, "soft_k", 1 + (choice >> 4) % 3);
    fuzz_set(ops->params, f->params, "split_threshold", choice & 32 ? 1.2 : 3);
    fuzz_set(ops->params, f->params, "compact_at", choice & 128 ? 0.05 : 0.5);
    set_codes(f, ops, size / DIM_MAX % 8);
    fuzz_set(ops->params, f->params, "fans", 1 + (choice >> 4) % 5);
    fuzz_set(ops->params, f->params, "cones", 1 + (choice >> 5) % 3);
    fuzz_set(ops->params, f->params, "refresh_at", choice & 128 ? 0.05 : 0.5);
    fuzz_set(ops->knobs, f->knobs, "nprobe", 1 << 22);
    fuzz_set(ops->knobs, f->knobs, "probes", 1 << 22);
    fuzz_set(ops->knobs, f->knobs, "fan_probes", 1 << 22);
    fuzz_set(ops->knobs, f->knobs, "window", 1 << 30);
    fuzz_open(f, ops, INDEX_F32, ip ? INDEX_IP : INDEX_L2SQ, choice, pool);
    train(f);
}

static void step(struct fuzz *f)
{
    switch (fuzz_next(f) % 6) {
        case 0: insert(f); break;
        case 1:
            if (f->n > 0)
                fuzz_remove(f, f->ids[(size_t)fuzz_next(f) * 3 % f->n]);
            break;
        case 2: fuzz_search(f); break;
        case 3: fuzz_maintain(f); break;
        case 4: fuzz_range(f, (double)fuzz_next(f) - 40); break;
        default: fuzz_remove(f, (uint64_t)fuzz_next(f) * 2); break;
    }
}

static const struct fuzz_kind kind = {
    .bytes_most = 4096, .open = open_one, .step = step, .draw = draw, .distance = distance
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_run(&kind, data, bytes);
    return 0;
}
