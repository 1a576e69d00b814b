/* codec.h - the parts of an index that a codec uses: options, versions and ids of slots, errors of
 * heads; and members to encode. */
#ifndef TEST_SPFRESH_CODEC_H
#define TEST_SPFRESH_CODEC_H

#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/filing/filing.h"
#include "tests/support/testing.h"

enum { SLOTS = 2000, POSTINGS = 40, SIZE_MOST = 200, K = 10 };

static const struct index_ops named = { .name = "codec test" };

struct codec_form {
    enum spfresh_codec_kind postings;
    int64_t bits;
    enum spfresh_codec_centre centre;
};

static const struct codec_form kinds[] = {
    { CODEC_RAW, 1, CODEC_CENTRE_POSTING },    { CODEC_SQ8, 1, CODEC_CENTRE_POSTING },
    { CODEC_PQ, 1, CODEC_CENTRE_POSTING },     { CODEC_PQ, 1, CODEC_CENTRE_GLOBAL },
    { CODEC_RABITQ, 1, CODEC_CENTRE_POSTING }, { CODEC_RABITQ, 3, CODEC_CENTRE_POSTING },
    { CODEC_RABITQ, 3, CODEC_CENTRE_GLOBAL },  { CODEC_RABITQ, 4, CODEC_CENTRE_POSTING },
    { CODEC_RABITQ, 5, CODEC_CENTRE_POSTING }, { CODEC_RABITQ, 8, CODEC_CENTRE_POSTING },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

struct codec_table {
    struct test_bench bench;
    struct spfresh *s;
    struct rng rng;
    size_t row_bytes;
    unsigned char *rows; /* by slot */
    uint64_t *ids;
    struct spfresh_members m;
};

static inline void table_begin(struct codec_table *t, const struct codec_form *kind,
                               enum element element, size_t dim, double eps0, uint64_t stream)
{
    memset(t, 0, sizeof *t);
    test_bench_begin(&t->bench, element, INDEX_L2SQ, dim, 1);
    t->rng = rng_at(test_seed(), stream);
    t->row_bytes = index_row_bytes(element, dim);
    struct spfresh *s = t->s = calloc(1, sizeof *s);
    t->rows = calloc(SLOTS, t->row_bytes);
    t->ids = calloc(SLOTS, sizeof *t->ids);
    assert_true(s && t->rows && t->ids);
    s->base = (struct index){ &named, t->bench.env };
    s->params = (struct spfresh_params){ .postings = kind->postings,
                                         .bits = kind->bits,
                                         .eps0 = eps0,
                                         .code_centre = kind->centre,
                                         .version_bits = (int64_t)(stream % 2),
                                         .store = POSTING_MEMORY };
    s->epoch = epoch_create(&t->bench.mem);
    assert_non_null(s->epoch);
    segmented_init(&s->slots.versions, &t->bench.mem, s->params.version_bits ? 2 : 1);
    segmented_init(&s->heads, &t->bench.mem, sizeof(struct spfresh_head));
    assert_true(segmented_grow(&s->slots.versions, SLOTS) && segmented_grow(&s->heads, POSTINGS));
    if (element == INDEX_U8)
        test_fill_u8(&t->rng, t->rows, SLOTS, dim, 20, 0.5);
    else
        test_fill_f32(&t->rng, (float *)(void *)t->rows, SLOTS, dim, 20, 0.5);
    for (uint32_t i = 0; i < SLOTS; i++) {
        t->ids[i] = 10 + 3 * (uint64_t)i;
        spfresh_set_version(s, i, (unsigned)rng_below(&t->rng, 100));
    }
    atomic_store(&s->slots.ids, t->ids);
    atomic_store(&s->slots.n, SLOTS);
    assert_ok(spfresh_codec_create(&s->codec, s), &t->bench.error);
    assert_ok(spfresh_codec_train(s->codec, (struct vectors){ t->rows, SLOTS, dim, element }),
              &t->bench.error);
    if (spfresh_has_row_file(s))
        assert_ok(row_store_open(&s->rows, &t->bench.env, s->epoch,
                                 &(struct row_store_options){ .kind = ROWS_MEMORY }),
                  &t->bench.error);
    spfresh_members_init(&t->m, s);
    assert_true(spfresh_members_reserve(&t->m, SIZE_MOST));
}

static inline void table_end(struct codec_table *t)
{
    spfresh_members_free(&t->m);
    row_store_close(t->s->rows);
    spfresh_codec_destroy(t->s->codec);
    segmented_free(&t->s->slots.versions);
    segmented_free(&t->s->heads);
    epoch_destroy(t->s->epoch);
    assert_int_equal(mem_live(&t->bench.mem), 0);
    test_bench_end(&t->bench);
    free(t->s);
    free(t->rows);
    free(t->ids);
}

static inline void *row_of(const struct codec_table *t, uint32_t slot)
{
    return t->rows + slot * t->row_bytes;
}

static inline void draw_members(struct codec_table *t, size_t n)
{
    t->m.n = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = (uint32_t)rng_below(&t->rng, SLOTS);
        spfresh_members_add(&t->m, slot, (unsigned)rng_below(&t->rng, 128), row_of(t, slot));
    }
}

/* The n drawn members from `first` on. */
static inline struct spfresh_members members_from(const struct codec_table *t, size_t first,
                                                  size_t n)
{
    struct spfresh_members m = t->m;

    m.slots += first;
    m.versions += first;
    m.rows += first * t->row_bytes;
    m.n = n;
    return m;
}

static inline void *aligned_bytes(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xab, bytes);
    return p;
}

#endif
