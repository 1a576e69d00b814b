/* saved.h - indexes of several kinds and states, saved in folders. */
#ifndef DRIFTLINE_TESTS_UNIT_ASTERIA_SAVED_H
#define DRIFTLINE_TESTS_UNIT_ASTERIA_SAVED_H

#include "tests/support/index_folder.h"
#include "tests/unit/asteria/store.h"

struct kind {
    const char *name;
    enum element element;
    int64_t rows, hot_mb, code, address_bits;
    bool caprg;
};

static const struct kind kinds[] = {
    { "floats", INDEX_F32, ASTERIA_ROWS_MEMORY, 0, ECC_GOLAY, 4, true },
    { "bytes, no graph", INDEX_U8, ASTERIA_ROWS_MEMORY, 0, ECC_HAMMING, 3, false },
    { "bytes, tiered, cold", INDEX_U8, ASTERIA_ROWS_TIERED, 0, ECC_NONE, 6, true },
    { "floats, tiered, hot", INDEX_F32, ASTERIA_ROWS_TIERED, 1, ECC_BCH, 3, true },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The state of an index. */
enum age { UNTRAINED, EMPTY, FULL, WORN, HALFWAY, AGES };
static const char *const ages[] = { "untrained", "empty", "full", "worn", "halfway" };

static inline struct asteria_params params_of(const struct kind *k)
{
    struct asteria_params p = small_params();

    p.storage = k->rows;
    p.cache_mb = k->hot_mb;
    p.code = k->code;
    p.address_bits = k->address_bits;
    p.caprg = k->caprg;
    return p;
}

static inline void grow_to(struct small *s, enum age age)
{
    bool more;
    size_t done;

    assert_ok(small_create(s), &s->bench.error);
    if (age == UNTRAINED)
        return;
    assert_ok(small_train(s), &s->bench.error);
    if (age == EMPTY)
        return;
    assert_ok(small_apply(s, true, 0, STORE_ROWS - 50, &done), &s->bench.error);
    if (age == FULL)
        return;
    small_live(s, 40);
    if (age == WORN)
        return;
    /* A newer model, and some rows moved to it. */
    assert_ok(asteria_ops.train(&s->a->base, small_rows(s, 60, STORE_ROWS / 2)), &s->bench.error);
    assert_ok(small_apply(s, false, 0, s->stored[0], &done), &s->bench.error);
    while (s->a->generations[s->a->now]->live == 0)
        assert_ok(asteria_maintain(&s->a->base, 10, &more), &s->bench.error);
    assert_non_null(s->a->generations[!s->a->now]);
    assert_true(s->a->generations[!s->a->now]->live > 0);
}

/* An index in that state, saved in a folder. */
static inline void begin_saved(struct small *s, const struct kind *k, enum age age,
                               char dirs[2][PATH_MAX])
{
    const struct asteria_params p = params_of(k);

    test_dir_make_in_memory(dirs[0]);
    test_dir_make_in_memory(dirs[1]);
    small_begin(s, k->element, &p, dirs[0]);
    grow_to(s, age);
    assert_ok(asteria_ops.save(&s->a->base, dirs[1]), &s->bench.error);
}

static inline void end_saved(struct small *s, char dirs[2][PATH_MAX])
{
    small_end(s);
    test_dir_remove(dirs[0]);
    test_dir_remove(dirs[1]);
}

#endif
