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

static inline void grow_to(struct asteria_world *w, enum age age)
{
    asteria_world_create(w);
    if (age == UNTRAINED)
        return;
    asteria_world_train(w, 0, STORE_ROWS / 2);
    if (age == EMPTY)
        return;
    asteria_world_insert(w, 0, STORE_ROWS - 50);
    if (age == FULL)
        return;
    small_live(w, 40);
    if (age == WORN)
        return;
    /* A newer model, and some rows moved to it. */
    asteria_world_train(w, 60, STORE_ROWS / 2);
    asteria_world_remove(w, 0, 1, 1);
    const struct asteria *a = state_of(w);
    while (a->generations[a->now]->live == 0)
        (void)asteria_world_maintain(w, 10);
    assert_non_null(a->generations[!a->now]);
    assert_true(a->generations[!a->now]->live > 0);
}

/* An index in that state, saved in a folder. */
static inline void begin_saved(struct asteria_world *w, const struct kind *k, enum age age,
                               char saved[PATH_MAX])
{
    test_dir_make_in_memory(saved);
    small_begin(w, k->element, params_of(k));
    grow_to(w, age);
    assert_ok(asteria_ops.save(w->index, saved), &w->bench.error);
}

static inline void end_saved(struct asteria_world *w, const char *saved)
{
    asteria_world_close(w);
    test_dir_remove(saved);
}

#endif
