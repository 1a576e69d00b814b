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
#include "tests/fuzz/operations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define BATCH 32

static void draw(struct fuzz *f, union fuzz_row *row)
{
    static const uint64_t centres[] = { 0, UINT64_MAX, 0x00000000ffffffff, 0xffff0000ffff0000,
                                        0x0123456789abcdef };
    const uint8_t how = fuzz_next(f);
    row->code = centres[how % 5];
    for (unsigned flips = how / 5 % 4; flips > 0; flips--)
        row->code ^= UINT64_C(1) << fuzz_next(f) % 64;
}

static double distance(const struct fuzz *f, const union fuzz_row *query, const union fuzz_row *row)
{
    return (double)__builtin_popcountll(query->code ^ row->code);
}

static void insert(struct fuzz *f)
{
    union fuzz_row rows[BATCH];
    uint64_t packed[BATCH], ids[BATCH];
    const uint8_t count = fuzz_next(f);
    const size_t n = 1 + count % BATCH;
    const uint64_t first = (uint64_t)fuzz_next(f) * 3;
    if (f->n + n > ROWS_MAX)
        return;
    for (size_t i = 0; i < n; i++) {
        ids[i] = (first + i * 7) % IDS;
        if (count & 128 && i > 0)
            rows[i] = rows[0];
        else
            draw(f, &rows[i]);
        packed[i] = rows[i].code;
    }
    fuzz_insert(f, packed, rows, ids, n);
}

/* Parameters small enough that nodes split and merge, and tables grow, within an input. */
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
    const uint8_t choice = fuzz_next(f) % (sizeof choices / sizeof *choices), how = fuzz_next(f);
    const char *mode = choices[choice].mode;
    const struct index_ops *ops = fuzz_method(f, registry, choices[choice].method);
    f->dim = 64;
    f->exact = strcmp(mode, "fast") != 0;
    fuzz_choose(ops->params, f->params, "mode", mode);
    fuzz_choose(ops->params, f->params, "layout", how & 1 ? "copied" : "slots");
    fuzz_set(ops->params, f->params, "chunk_bits", 1 << how % 4);
    fuzz_set(ops->params, f->params, "leaf_capacity", 1 + (how >> 2) % 16);
    fuzz_set(ops->params, f->params, "tables", 1 + (how >> 1) % 6);
    fuzz_set(ops->params, f->params, "key_bits", 1 + (how >> 4) % 8);
    fuzz_set(ops->params, f->params, "node_capacity", 4 + (how >> 3) % 8);
    fuzz_choose(ops->knobs, f->knobs, "plan", how % 8 == 7 ? "auto" : "tables");
    fuzz_open(f, ops, INDEX_B64, INDEX_HAMMING, choice, pool);
}

static void step(struct fuzz *f)
{
    switch (fuzz_next(f) % 7) {
        case 0:
        case 1: insert(f); break;
        case 2:
            if (f->n > 0)
                fuzz_remove(f, f->ids[(size_t)fuzz_next(f) * 5 % f->n]);
            break;
        case 3: fuzz_remove(f, (uint64_t)fuzz_next(f) * 3); break;
        case 4: fuzz_range(f, fuzz_next(f) % 65); break;
        case 5: fuzz_search(f); break;
        default: fuzz_maintain(f); break;
    }
}

static const struct fuzz_kind kind = {
    .bytes_most = 2048, .open = open_one, .step = step, .draw = draw, .distance = distance
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_run(&kind, data, bytes);
    return 0;
}
