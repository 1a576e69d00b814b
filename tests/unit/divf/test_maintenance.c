/* test_maintenance.c - maintenance policies: which vectors they move, which they must not, and that
 * they end. Random histories are contract/test_contract, and memory that
 * fails contract/test_faults. */
#include "algorithms/divf/maintenance/members.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "tests/unit/divf/support.h"

static const int64_t policies[] = { DIVF_LIRE, DIVF_DEDRIFT, DIVF_COST_MODEL };
enum { POLICIES = sizeof policies / sizeof *policies };

static struct divf_maintenance_counters counters(const struct stored_rows *w)
{
    return divf_of_const(w->index)->counters.maintenance;
}

/* Row i lies near one of a few centres, which move with `at`. */
static void fill_row(struct stored_rows *w, size_t i, double at)
{
    size_t centre = (size_t)rng_below(&w->rng, 6);
    for (size_t j = 0; j < w->dim; j++)
        w->rows[i * w->dim + j] =
            (float)(8 * sin((double)(centre * 13 + j * 7) + at) + rng_normal(&w->rng));
}

static void maintain_all(struct stored_rows *w, uint64_t budget)
{
    bool more = true;
    for (size_t calls = 0; more; calls++) {
        assert_true(calls < 100000);
        assert_ok(divf_ops.maintain(w->index, budget, &more), &w->bench.error);
        stored_check(w);
    }
}

/* Share of vectors without a copy in their nearest list. */
static double misfiled(const struct stored_rows *w)
{
    const struct divf *d = divf_of_const(w->index);
    float *distances = malloc(d->lists.n * sizeof *distances);
    size_t wrong = 0;
    for (size_t s = 0; s < d->slots.n; s++) {
        if (d->slots.id[s] == INDEX_NO_ID)
            continue;
        d->base.env.kernels->l2sq_f32_1n(divf_row(&d->lists, (uint32_t)s), d->lists.centroids,
                                         d->lists.n, w->dim, distances);
        size_t nearest = d->base.env.kernels->argmin_f32(distances, d->lists.n);
        size_t in = 0; /* a list at the same distance is correct too */
        for (size_t l = 0; l < d->lists.n; l++)
            in +=
                distances[l] == distances[nearest] && divf_slot_in_list(&d->lists, (uint32_t)s, l);
        if (in == 0)
            for (size_t l = 0; l < d->lists.n; l++)
                in += distances[l] <= distances[nearest] * 1.00001F &&
                      divf_slot_in_list(&d->lists, (uint32_t)s, l);
        wrong += in == 0;
    }
    free(distances);
    return w->n > 0 ? (double)wrong / (double)w->n : 0;
}

/* Trained on both ends of a line, then filled with its middle. */
static void drifted(struct stored_rows *w, struct divf_params params, size_t dim)
{
    enum { HALF = 400 };
    world_open(w, params, dim, 3 * HALF, 1);
    for (size_t i = 0; i < 3 * HALF; i++)
        fill_row(w, i, i < HALF ? 0 : 1.3);
    assert_ok(divf_ops.train(w->index, stored_vectors(w, 0, HALF)), &w->bench.error);
    assert_int_equal(stored_insert(w, 0, HALF), OK);
    assert_int_equal(stored_insert(w, HALF, 2 * HALF), OK);
}

static struct divf_params policy_params(int64_t maintenance, const char *text)
{
    struct divf_params params = divf_defaults("clusters=12");
    params.maintenance = maintenance;
    return divf_with(params, text);
}

/* LIRE: after a full maintain() few vectors are misassigned, without refinement none, for any
   soft_k; Copenhagen's splits leave many misassigned. */
static void test_lire_property(void **state)
{
    struct stored_rows w;
    for (int64_t soft_k = 1; soft_k <= 2; soft_k++) {
        struct divf_params params = policy_params(DIVF_LIRE, "");
        params.soft_k = soft_k;
        drifted(&w, params, 8);
        maintain_all(&w, 0);
        assert_true(test_stat(w.index, "splits") > 0);
        assert_true(test_stat(w.index, "reassign_moved") > 0);
        assert_true(test_stat(w.index, "centroids_refreshed") > 0);
        assert_true(misfiled(&w) == 0);
        double limit = params.list_limit * divf_fair_length(divf_of(w.index));
        for (size_t l = 0; l < divf_of(w.index)->lists.n; l++)
            if (divf_of(w.index)->maintenance->list[l].refused == 0)
                assert_true(divf_of(w.index)->lists.list[l]->live <= limit);
        stored_close(&w);
    }
    struct divf_params params = policy_params(DIVF_LIRE, "reassign_lists=0");
    drifted(&w, params, 8);
    maintain_all(&w, 0);
    double without = misfiled(&w);
    print_message("misfiled without reassignment: %.3f\n", without);
    assert_true(without > 0.01);
    stored_close(&w);
}

/* Two lists on a line, one of which is split: of five vectors exactly those that conditions C1 and
   C2 select are moved. */
static void test_conditions(void **state)
{
    struct stored_rows w;
    struct divf_params params =
        policy_params(DIVF_LIRE, "maintenance_budget=0,refine_passes=0,clusters=2");
    world_open(&w, params, 2, 100, 1);
    /* List 0 at (0, 0): 20 vectors at (-4, y) and 20 at (4, y); list 1 at (10, 0): 20
       at (11, y). */
    for (size_t i = 0; i < 60; i++) {
        w.rows[2 * i] = i < 20 ? -4 : i < 40 ? 4 : 11;
        w.rows[2 * i + 1] = (float)(i % 20) * 0.01F;
    }
    w.rows[2 * 60] = 4.9F; /* list 0, kept by the half at (4, .): nearer to it than to (10, 0) */
    w.rows[2 * 61] = 5.1F; /* list 1, C2: nearer to the half at 4 than to 10 */
    w.rows[2 * 62] = 0;    /* list 0, C1: its half's centroid is farther than the old one was ... */
    w.rows[2 * 62 + 1] = -3;
    w.rows[2 * 63] = 9; /* list 1, stays */
    w.n = 0;
    struct divf *d = divf_of(w.index);
    float centroids[6] = { 0, 0, 10, 0, 0, -7 };
    assert_ok(divf_ops.train(w.index, (struct vectors){ centroids, 2, 2, INDEX_F32 }),
              &w.bench.error);
    size_t zero = d->lists.centroids[0] < 5 ? 0 : 1;
    assert_int_equal(stored_insert(&w, 0, 64), OK);
    assert_ok(divf_maintenance_ready(d), &w.bench.error);
    /* ... and a third list, below, was farther from it than the old centroid, but is
       nearer than its half's. */
    assert_ok(divf_lists_detach(d), &w.bench.error);
    assert_ok(divf_maintenance_list_add(d, centroids + 4), &w.bench.error);
    uint64_t spent = 0;
    assert_ok(divf_split_list(d, zero, &spent), &w.bench.error);
    stored_check(&w);
    assert_int_equal(d->lists.n, 4);
    maintain_all(&w, 0);
    size_t positive = d->lists.centroids[2 * zero] > 0 ? zero : 3;
    uint32_t slot = 0;
    for (uint32_t s = 0; s < d->slots.n; s++) {
        slot = s;
        if (d->slots.id[s] == 60 || d->slots.id[s] == 61)
            assert_true(divf_slot_in_list(&d->lists, slot, positive));
        if (d->slots.id[s] == 62)
            assert_true(divf_slot_in_list(&d->lists, slot, 2));
        if (d->slots.id[s] == 63 || (d->slots.id[s] >= 40 && d->slots.id[s] < 60))
            assert_true(divf_slot_in_list(&d->lists, slot, 1 - zero));
    }
    assert_int_equal(counters(&w).moved, 2);
    assert_true(misfiled(&w) == 0);
    stored_close(&w);
}

/* A list of a new codebook that is still empty is kept; lists that
   deletions emptied are removed. */
static void test_merges(void **state)
{
    struct stored_rows w;
    world_open(&w, policy_params(DIVF_LIRE, "list_limit=10"), 4, 1200, 1);
    for (size_t i = 0; i < 1200; i++)
        fill_row(&w, i, 0);
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 1200)), &w.bench.error);
    size_t trained = divf_of(w.index)->lists.n;
    assert_int_equal(stored_insert(&w, 0, 3), OK);
    maintain_all(&w, 0);
    assert_int_equal(divf_of(w.index)->lists.n, trained);
    assert_int_equal(stored_insert(&w, 3, 1197), OK);
    maintain_all(&w, 0);
    assert_int_equal(divf_of(w.index)->lists.n, trained);
    /* All vectors of four lists, and most of a fifth list. */
    struct divf *d = divf_of(w.index);
    for (size_t l = 0; l < 5; l++) {
        uint32_t slots[1200];
        size_t n = divf_list_slots(&d->lists, l, slots);
        for (size_t i = 0; i + (l == 4 ? 2 : 0) < n; i++) {
            uint64_t id = d->slots.id[slots[i]];
            assert_int_equal(stored_remove(&w, &id, 1), OK);
        }
    }
    maintain_all(&w, 1); /* one step per call */
    print_message("%zu lists of %zu are left\n", d->lists.n, trained);
    assert_true(d->lists.n <= trained - 5);
    assert_true(counters(&w).merges >= 5);
    assert_true(misfiled(&w) == 0);
    world_expect_exact(&w, w.rows, 10, NULL);
    stored_close(&w);
}

/* When a list is removed, the last list takes its number, and its maintenance
   state moves with it. */
static void test_state_follows(void **state)
{
    struct stored_rows w;
    struct divf_params params = policy_params(DIVF_LIRE, "maintenance_budget=0");
    drifted(&w, params, 4);
    struct divf *d = divf_of(w.index);
    assert_ok(divf_maintenance_ready(d), &w.bench.error);
    size_t last = d->lists.n - 1;
    uint64_t spent = 0;
    d->maintenance->list[last].refused = 77;
    divf_mark_pending(d, last);
    divf_mark_pending(d, 2);
    assert_ok(divf_dissolve(d, 2, &spent), &w.bench.error);
    divf_lists_publish(d);
    assert_int_equal(d->maintenance->list[2].refused, 77);
    assert_true(d->maintenance->list[2].pending);
    stored_check(&w);
    stored_close(&w);
}

/* maintain(budget) stops within one step of the budget; insertions spend only what they earn. */
static void test_budget(void **state)
{
    for (size_t p = 0; p < POLICIES; p++) {
        struct stored_rows w;
        struct divf_params params = policy_params(policies[p], "maintenance_budget=0,cost_probe=1");
        drifted(&w, params, 8);
        assert_int_equal(counters(&w).steps, 0);
        bool more = true;
        uint64_t calls = 0;
        for (; more; calls++) {
            uint64_t steps = counters(&w).steps, before = counters(&w).distances;
            assert_ok(divf_ops.maintain(w.index, 1, &more), &w.bench.error);
            assert_true(counters(&w).steps <= steps + 1); /* only the last step may cost anything */
            assert_true(!more || counters(&w).distances > before || counters(&w).steps == steps);
            assert_true(calls < 10000);
        }
        assert_true(calls > 5);
        stored_close(&w);

        params.maintenance_budget = 20;
        drifted(&w, params, 8);
        uint64_t earned = (uint64_t)params.maintenance_budget * w.n;
        print_message("policy %d: %d distances of %d earned\n", (int)policies[p],
                      (int)counters(&w).distances, (int)earned);
        assert_true(counters(&w).distances > 0);
        assert_true(counters(&w).distances < earned + 20000); /* and a step */
        stored_close(&w);
    }
}

/* The cost model splits lists that queries read, and no others. */
static void test_cost_follows_queries(void **state)
{
    struct stored_rows w;
    world_open(&w, policy_params(DIVF_COST_MODEL, "maintenance_budget=0,clusters=8"), 2, 8000, 1);
    for (size_t i = 0; i < 8000; i++)
        for (size_t j = 0; j < 2; j++)
            w.rows[2 * i + j] = (float)(rng_normal(&w.rng) + (j == 0 ? (i % 2 ? 50 : -50) : 0));
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 8000)), &w.bench.error);
    assert_int_equal(stored_insert(&w, 0, 8000), OK);
    uint64_t ids[1];
    float distances[1];
    for (size_t q = 0; q < 4000; q++) /* all on the right */
        world_search(&w, w.rows + 2 * (2 * q + 1), 1, 1, 1, NULL, 1, ids, distances);
    maintain_all(&w, 0);
    const struct divf *d = divf_of(w.index);
    size_t sides[2] = { 0, 0 };
    for (size_t l = 0; l < d->lists.n; l++)
        sides[d->lists.centroids[2 * l] > 0]++;
    print_message("lists where nobody asks: %zu, where all do: %zu\n", sides[0], sides[1]);
    assert_true(sides[1] >= sides[0] + 4);
    stored_close(&w);
}

/* DeDrift keeps the number of lists; the lazy policy alone moves no vector. */
static void test_dedrift(void **state)
{
    struct stored_rows w;
    struct divf_params params = policy_params(DIVF_DEDRIFT, "");
    drifted(&w, params, 8);
    maintain_all(&w, 0);
    assert_int_equal(divf_of(w.index)->lists.n, 12);
    assert_true(counters(&w).merges > 0 && counters(&w).refreshed > 0);
    stored_close(&w);

    params.dedrift_lists = 0;
    drifted(&w, params, 8);
    maintain_all(&w, 0);
    assert_int_equal(counters(&w).moved, 0);
    assert_int_equal(counters(&w).merges, 0);
    assert_true(counters(&w).refreshed >= 12);
    stored_close(&w);

    /* A cluster between two small ones: which of these is in its list changes with every trade. */
    params = divf_with(params, "dedrift_lists=4194304,clusters=2");
    world_open(&w, params, 2, 3000, 1);
    for (size_t i = 0; i < 3000; i++) {
        w.rows[2 * i] = (float)(i % 5 == 0 ? -1 : i % 5 == 1 ? 1 : 0) * 10;
        w.rows[2 * i + 1] = (float)rng_normal(&w.rng);
    }
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, 1000)), &w.bench.error);
    assert_int_equal(stored_insert(&w, 0, 3000), OK);
    maintain_all(&w, 0);
    assert_in_range(counters(&w).merges, 1, 20);
    stored_close(&w);
}

/* Rows come above both clusters. Ada-IVF clusters again where queries read: the score of the list that
   the rows are filed in is .2 at both sides, and twice that where all queries are. */
static void ada_at(double threshold, bool *left, bool *right)
{
    enum { BEFORE = 8000, AFTER = 2000 };
    struct stored_rows w;
    struct divf_params params =
        policy_params(DIVF_ADA_IVF, "maintenance_budget=0,clusters=8,ada_size=0");
    params.ada_threshold = threshold;
    params.reassign_lists = 3; /* those of its side */
    world_open(&w, params, 2, BEFORE + AFTER, 1);
    for (size_t i = 0; i < BEFORE + AFTER; i++) {
        w.rows[2 * i] = (float)(rng_normal(&w.rng) + (i % 2 ? 50 : -50));
        w.rows[2 * i + 1] = (float)(rng_normal(&w.rng) + (i < BEFORE ? 0 : 20));
    }
    assert_ok(divf_ops.train(w.index, stored_vectors(&w, 0, BEFORE)), &w.bench.error);
    assert_int_equal(stored_insert(&w, 0, BEFORE + AFTER), OK);
    uint64_t ids[1];
    float distances[1];
    for (size_t q = 0; q < BEFORE / 2; q++) /* all on the right */
        world_search(&w, w.rows + 2 * (2 * q + 1), 1, 1, 1, NULL, 1, ids, distances);
    maintain_all(&w, 0);
    const struct divf *d = divf_of(w.index);
    *left = *right = false;
    for (size_t l = 0; l < d->lists.n; l++) {
        const float *centroid = d->lists.centroids + 2 * l;
        *(centroid[0] < 0 ? left : right) |= centroid[1] > 5;
    }
    stored_close(&w);
}

static void test_ada_follows_queries(void **state)
{
    bool left, right;
    ada_at(.3, &left, &right);
    assert_true(right && !left);
    ada_at(.1, &left, &right);
    assert_true(right && left);
    ada_at(1, &left, &right);
    assert_true(!right && !left);
}

/* Short lists are dissolved and long ones divided, as far as the threshold allows. */
static void test_ada_sizes(void **state)
{
    struct stored_rows w;
    struct divf_params params = policy_params(DIVF_ADA_IVF, "ada_size=1");
    drifted(&w, params, 8);
    for (uint64_t id = 0; id < 390; id++)
        assert_int_equal(stored_remove(&w, &id, 1), OK);
    maintain_all(&w, 0);
    assert_true(counters(&w).merges > 0 && divf_of(w.index)->counters.splits > 0);
    const uint64_t splits = divf_of(w.index)->counters.splits, merges = counters(&w).merges;
    maintain_all(&w, 0); /* nothing has changed since */
    assert_int_equal(divf_of(w.index)->counters.splits, splits);
    assert_int_equal(counters(&w).merges, merges);
    stored_close(&w);
}

int main(void)
{
    return test_run_all("divf_upkeep", test_lire_property, test_conditions, test_merges,
                        test_state_follows, test_budget, test_cost_follows_queries, test_dedrift,
                        test_ada_follows_queries, test_ada_sizes);
}
