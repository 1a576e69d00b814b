/* test_slots.c - a slot's version never wraps around: an entry of an earlier generation never
 * counts as the slot's vector, neither in a running index nor after a save and a load. */
#include <pthread.h>
#include <unistd.h>

#include "tests/unit/spfresh/lire.h"

/* Saves to a new folder and continues with the index loaded from it. */
static void save_and_load(struct book *b)
{
    char saved[PATH_MAX];

    test_dir_make(saved);
    assert_ok(b->ops->save(b->index, saved), &b->bench.error);
    b->ops->destroy(b->index);
    b->index = NULL;
    test_dir_clear(b->dir);
    assert_ok(b->ops->load(&b->index, &b->bench.env, saved), &b->bench.error);
    test_dir_remove(saved);
}

/* Searches for every row ever used. book_search() checks that answers have their own rows'
   distances; stored rows are found. */
static void expect_own_distances(struct book *b, size_t rows)
{
    const struct spfresh_knobs knobs = book_knobs(b, 1 << 22);
    uint64_t ids[4];

    for (size_t i = 0; i < rows; i++)
        (void)book_search(b, book_row(b, i), 4, &knobs, ids, NULL);
    book_check(b);
    book_all_found(b);
}

/* ------------------------------------------------------------------- at the exact version */

enum { LEFT = 40, GONE = 6, NEW = 12 };

/* Makes dead slots with the last versions, one each. Their first entries, of version 0, are still
   in the postings. */
static void at_the_last_versions(int64_t version_bits, int64_t postings, bool loaded)
{
    struct book b;
    struct spfresh_params params = book_defaults(&spfresh_ops, "maintenance=explicit");

    params.version_bits = version_bits;
    params.postings = postings;
    book_open(&b, &spfresh_ops, params, INDEX_F32, 8, LEFT + GONE + NEW, 1);
    book_start(&b, 4, .5, LEFT + GONE);
    for (uint64_t id = LEFT; id < LEFT + GONE; id++) {
        const uint32_t slot = lire_slot(&b, id);

        assert_int_equal(spfresh_version(book_index(&b), slot), 0);
        /* As after that many moves and reuses. */
        spfresh_set_version(book_index(&b), slot,
                            spfresh_version_max(book_index(&b)) - (unsigned)(id - LEFT));
        assert_ok(book_remove(&b, id), &b.bench.error);
    }
    if (loaded)
        save_and_load(&b);
    for (uint64_t id = LEFT + GONE; id < b.capacity; id++) {
        assert_ok(book_insert(&b, id, 1), &b.bench.error);
        book_check(&b);
    }
    expect_own_distances(&b, b.capacity);
    book_close(&b);
}

static void last_versions(void **state)
{
    for (int i = 0; i < 8; i++)
        at_the_last_versions(i & 1, i & 2 ? CODEC_SQ8 : CODEC_RAW, i & 4);
}

/* ------------------------------------------------------------------------ by public calls */

enum { STAY = 200, PART = 100, ROUNDS = 60, SAVED_FROM = 30 };

/* Each round removes the newest part and inserts another. Splits move vectors, but not in the
   corner of the first part. Slots reach the critical versions only in some rounds, so most rounds
   save and load. */
static void saved_after_churn(void **state)
{
    struct book b;
    struct spfresh_params params = book_defaults(
        &spfresh_ops, "maintenance=explicit,posting_entries=24,buffer_pages=0,replicas=2");

    book_open(&b, &spfresh_ops, params, INDEX_F32, 6, STAY + (1 + ROUNDS) * PART, 1);
    book_fill(&b, 0, b.capacity, 10, .6);
    for (size_t i = STAY; i < STAY + PART; i++)
        ((float *)book_row(&b, i))[0] += 100;
    assert_ok(book_insert(&b, 0, STAY + PART), &b.bench.error);
    for (size_t at = STAY; at + PART < b.capacity; at += PART) {
        const bool saved = at >= STAY + SAVED_FROM * PART;

        for (size_t i = 0; i < PART; i++)
            assert_ok(book_remove(&b, at + i), &b.bench.error);
        if (saved)
            save_and_load(&b);
        assert_ok(book_insert(&b, at + PART, PART), &b.bench.error);
        if (saved)
            book_check(&b);
    }
    assert_true(book_index(&b)->slots.exhausted > 0);
    expect_own_distances(&b, b.capacity);
    book_close(&b);
}

/* ------------------------------------------------------------------------- without memory */

struct reader {
    struct epoch *epoch;
    atomic_bool inside;
};

static void *leave_later(void *arg)
{
    struct reader *r = arg;
    const unsigned ticket = epoch_enter(r->epoch);

    atomic_store(&r->inside, true);
    (void)usleep(50000);
    atomic_store(&r->inside, false);
    epoch_leave(r->epoch, ticket);
    return NULL;
}

/* Without memory to retire slots, the removal waits for the reader; then the slots are free. */
static void removed_without_memory(void **state)
{
    struct book b;
    struct spfresh_params params = book_defaults(&spfresh_ops, "maintenance=explicit");
    struct reader reader = { .inside = false };
    pthread_t thread;
    uint64_t ids[PART];
    size_t done = 0;

    book_open(&b, &spfresh_ops, params, INDEX_F32, 6, 3 * PART, 1);

    book_start(&b, 10, .6, 2 * PART);
    for (size_t i = 0; i < PART; i++)
        ids[i] = 2 * i;
    reader.epoch = book_index(&b)->epoch;
    assert_int_equal(pthread_create(&thread, NULL, leave_later, &reader), 0);
    while (!atomic_load(&reader.inside))
        (void)sched_yield();
    /* There is memory for the marks of ids, but none for the slots. */
    assert_true(idmap_reserve(&book_index(&b)->slots.changing, PART));
    b.bench.mem.fail_at = atomic_load(&b.bench.mem.calls) + 1;
    b.bench.mem.fail_after = true;
    assert_ok(b.ops->remove(b.index, ids, PART, &done), &b.bench.error);
    assert_false(atomic_load(&reader.inside));
    b.bench.mem.fail_at = 0;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(done, PART);
    for (size_t i = 0; i < PART; i++)
        b.stored[ids[i]] = false;
    b.n -= PART;
    book_check(&b);
    assert_ok(book_insert(&b, 2 * PART, PART), &b.bench.error);
    assert_int_equal(atomic_load(&book_index(&b)->slots.n), 2 * PART);
    expect_own_distances(&b, b.capacity);
    book_close(&b);
}

int main(void)
{
    return test_run_all("spfresh_slots", last_versions, saved_after_churn, removed_without_memory);
}
