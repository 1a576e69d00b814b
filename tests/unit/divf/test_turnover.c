/* test_turnover.c - what maintain() does after deletions: it removes lists that they emptied, which
 * queries pass over, and trains again after a turnover. */
#include "algorithms/divf/maintenance/members.h"
#include "tests/unit/divf/support.h"

static void maintain_all(struct stored_rows *w)
{
    bool more = true;
    while (more)
        assert_ok(divf_ops.maintain(w->index, 0, &more), &w->bench.error);
    stored_check(w);
}

/* maintain() removes the lists that deletions emptied, with every policy that has no other use for
   them, while there are more than training would make. Before it, and where they stay, a query reads
   nprobe lists that have rows. */
static const int64_t all[] = { DIVF_NONE,    DIVF_COPENHAGEN, DIVF_LIRE,
                               DIVF_DEDRIFT, DIVF_COST_MODEL, DIVF_ADA_IVF };

static void test_empty_lists(void **state)
{
    enum { LEFT = 20, ROWS = 900 };
    for (size_t p = 0; p < sizeof all / sizeof *all; p++) {
        struct stored_rows w;
        struct divf_params params = divf_defaults(""); /* as many lists as the root of the rows */
        params.maintenance = all[p];
        world_open_filled(&w, params, 4, ROWS, 1, 6, 1);
        assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, ROWS)), &w.bench.error);
        assert_int_equal(stored_insert(&w, 0, ROWS), OK);
        struct divf *d = divf_of(w.index);
        const size_t lists = d->lists.n;
        while (w.n > 0) { /* but for the vectors of some lists */
            size_t list = d->lists.n;
            while (list-- > 0 && (list < lists - LEFT || d->lists.list[list]->live == 0))
                ;
            if (list >= d->lists.n)
                break;
            uint32_t slots[ROWS];
            const size_t n = divf_list_slots(&d->lists, list, slots);
            for (size_t i = 0; i < n; i++) {
                uint64_t id = d->slots.id[slots[i]];
                assert_int_equal(stored_remove(&w, &id, 1), OK);
            }
        }
        for (size_t i = 0; i < 2; i++) {
            uint64_t ids[3];
            float distances[3];
            for (size_t q = 0; q < ROWS; q += 30) {
                const struct work work =
                    world_search(&w, w.rows + q * w.dim, 1, 3, 2, NULL, 1, ids, distances);
                assert_true(ids[2] != INDEX_NO_ID && work.scanned > 0);
            }
            world_expect_exact(&w, w.rows, (size_t)w.n + 1, NULL);
            maintain_all(&w);
        }
        const bool stay = all[p] == DIVF_NONE || all[p] == DIVF_DEDRIFT;
        for (size_t l = 0; l < d->lists.n && d->lists.n > divf_clusters_wanted(d, w.n); l++)
            assert_true(stay || d->lists.list[l]->live > 0);
        assert_true(!stay || d->lists.n == lists);
        stored_close(&w);
    }
}

/* The first `n` rows leave, and as many come after the last ones. */
static void replace(struct stored_rows *w, size_t first, size_t n, size_t come)
{
    for (uint64_t id = first; id < first + n; id++)
        assert_int_equal(stored_remove(w, &id, 1), OK);
    assert_int_equal(stored_insert(w, come, n), OK);
}

/* Not before as many vectors were deleted as are stored, and once for each such number. */
static void test_trains_again(void **state)
{
    enum { HELD = 900, ROWS = 3 * HELD };
    for (size_t p = 0; p < sizeof all / sizeof *all; p++) {
        struct stored_rows w;
        struct divf_params params = divf_defaults("");
        const bool keeps = all[p] == DIVF_NONE || all[p] == DIVF_DEDRIFT;
        params.maintenance = all[p];
        world_open_filled(&w, params, 4, ROWS, 1, 6, 1);
        assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, HELD)), &w.bench.error);
        assert_int_equal(stored_insert(&w, 0, HELD), OK);
        const struct divf *d = divf_of(w.index);
        for (size_t turnover = 1; turnover <= 2; turnover++) {
            const size_t first = (turnover - 1) * HELD;
            const uint64_t trainings = d->counters.trainings;
            replace(&w, first, HELD / 2, first + HELD);
            maintain_all(&w);
            assert_true(d->counters.trainings == trainings);
            replace(&w, first + HELD / 2, HELD / 2, first + HELD + HELD / 2);
            maintain_all(&w);
            maintain_all(&w);
            assert_true(d->counters.trainings == trainings + !keeps);
            world_expect_exact(&w, w.rows, (size_t)w.n + 1, NULL);
        }
        stored_close(&w);
    }
}

int main(void)
{
    return test_run_all("turnover", test_empty_lists, test_trains_again);
}
