/* history.h - a seeded stream of transactions on an index, and what it must hold after them, for
 * tests that open it again or save it. Processes that end and disks that fail are
 * contract/test_crash. */
#ifndef TEST_CHANNI_HISTORY_H
#define TEST_CHANNI_HISTORY_H

#include "tests/unit/channi/support.h"

enum { IDS = 500, DIM = 8 };

/* Small clusters: a few hundred rows are enough for a build, splits, merges and compactions. */
static inline struct channi_params history_params(void)
{
    return book_options("cluster_index=graph,expected_n=150,target_cluster=6,split_max=17,"
                        "merge_min=2,flat_below=5,eps0=12");
}

/* fault: of the index's system calls; NULL: none. */
static inline void history_begin(struct book *b, struct channi_params p,
                                 const struct file_fault *fault)
{
    book_begin(b, p, INDEX_U8, DIM, IDS, 1);
    test_dir_remove(b->dir);
    test_dir_make_in_memory(b->dir);
    book_fill(b, 0, IDS, 8, .4);
    assert_ok(channi_create_with(&b->index, &b->bench.env, &b->params, fault), &b->bench.error);
}

/* Closes the index, and opens it again from `dir`, in its own folder. */
static inline void reopen(struct book *b, const char *dir)
{
    b->ops->destroy(b->index);
    b->index = NULL;
    assert_int_equal(mem_live(&b->bench.mem), 0);
    assert_ok(b->ops->load(&b->index, &b->bench.env, dir), &b->bench.error);
}

/* Inserts or removes up to n ids from a random one on; one change in four inserts what it removed,
   or removes and inserts again what it inserted, and one in eight is rolled back. */
static inline void change(struct book *b, struct rng *r, size_t n)
{
    const size_t first = rng_below(r, IDS), was = b->n;
    const bool put = !b->stored[first], twice = rng_below(r, 4) == 0, undo = rng_below(r, 8) == 0;
    bool before[IDS];
    uint64_t ids[IDS];
    size_t m = 0;

    memcpy(before, b->stored, sizeof before);
    for (; m < n && first + m < IDS && b->stored[first + m] != put; m++)
        ids[m] = first + m;
    if (twice || undo)
        assert_ok(b->ops->txn->begin(b->index), &b->bench.error);
    if (!put)
        assert_ok(book_remove_some(b, ids, m), &b->bench.error);
    if (put || twice)
        assert_ok(book_insert(b, first, m), &b->bench.error);
    if (put && twice) {
        assert_ok(book_remove_some(b, ids, m), &b->bench.error);
        assert_ok(book_insert(b, first, m), &b->bench.error);
    }
    if (undo) {
        assert_ok(b->ops->txn->rollback(b->index), &b->bench.error);
        memcpy(b->stored, before, sizeof before);
        b->n = was;
    } else if (twice) {
        assert_ok(b->ops->txn->commit(b->index, &(uint64_t){ 0 }), &b->bench.error);
    }
}

/* Deferred rows, the build, changes, maintenance, checkpoints. */
static inline void history_run(struct book *b, size_t steps)
{
    struct rng r = rng_at(test_seed(), 5);
    bool more;

    for (size_t i = 0; i < 3 && b->n == 40 * i; i++)
        assert_ok(book_insert(b, 40 * i, 40), &b->bench.error);
    for (size_t i = 0; i < steps; i++) {
        const uint64_t dice = rng_below(&r, 12);

        if (dice == 0 || i % 12 == 11)
            assert_ok(channi_checkpoint(book_channi(b)), &b->bench.error);
        else if (dice == 1)
            assert_ok(b->ops->maintain(b->index, 0, &more), &b->bench.error);
        else
            change(b, &r, 1 + rng_below(&r, dice < 6 ? 90 : 8));
    }
}

/* check() passes, exactly the stored ids have a place, and searches find them. */
static inline void history_expect(struct book *b)
{
    book_check(b);
    for (size_t id = 0; id < IDS; id++)
        assert_int_equal(channi_place_of(book_channi(b), id, NULL), b->stored[id]);
    book_expect(b, 20, 10);
}

#endif
