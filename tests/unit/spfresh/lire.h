/* lire.h - for the tests of maintenance: heads placed by hand, and the postings of a vector. */
#ifndef TEST_SPFRESH_LIRE_H
#define TEST_SPFRESH_LIRE_H

#include "tests/unit/spfresh/support.h"

#define COUNT(b, what) ((double)atomic_load(&book_index(b)->counters.what))

/* Makes the head of this number, of no vector. */
static inline void lire_head(struct book *b, const float *point, uint32_t number)
{
    struct spfresh_members none;
    uint32_t head;

    spfresh_members_init(&none, book_index(b));
    assert_ok(spfresh_add_head(book_index(b), point, &none, &head), &b->bench.error);
    assert_int_equal(head, number);
}

/* Makes heads at these points instead of a build. */
static inline void lire_heads(struct book *b, const float *points, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        lire_head(b, points + i * b->dim, i);
    atomic_store(&book_index(b)->built, true);
}

static inline uint32_t lire_slot(const struct book *b, uint64_t id)
{
    uint32_t slot = SLOT_NONE;

    assert_true(spfresh_slot_of(book_index(b), id, &slot));
    return slot;
}

static inline unsigned lire_version(const struct book *b, uint64_t id)
{
    return spfresh_version(book_index(b), lire_slot(b, id));
}

/* Whether the posting has a current entry of the vector. */
static inline bool lire_is_in(struct book *b, uint32_t head, uint64_t id)
{
    struct spfresh *s = book_index(b);
    const uint32_t slot = lire_slot(b, id);
    struct spfresh_members m;
    bool there = false;

    spfresh_members_init(&m, s);
    spfresh_lock_posting(s, head);
    assert_ok(spfresh_load(s, head, true, &m), &b->bench.error);
    spfresh_unlock_posting(s, head);
    for (size_t i = 0; i < m.n; i++)
        there |= m.slots[i] == slot && m.versions[i] == spfresh_version(s, slot);
    spfresh_members_free(&m);
    return there;
}

/* Runs check() and returns the share of vectors that are not filed under their nearest head. */
static inline double lire_npa_violations(struct book *b)
{
    struct test_stat_wanted share = { "npa_violations", NAN };
    struct stat_sink sink = { test_stat_value, test_stat_cell, &share };

    assert_ok(b->ops->check(b->index, &sink), &b->bench.error);
    assert_true(share.value >= 0);
    return share.value;
}

static inline void lire_maintain(struct book *b, uint64_t budget)
{
    bool more = true;

    for (size_t calls = 0; more; calls++) {
        assert_true(calls < 100000);
        assert_ok(b->ops->maintain(b->index, budget, &more), &b->bench.error);
    }
}

#endif
