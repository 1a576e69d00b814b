/* crowd.h - handmade members of a cluster, and the plan of their split. */
#ifndef TEST_CHANNI_CROWD_H
#define TEST_CHANNI_CROWD_H

#include "algorithms/channi/maintenance/internal.h"
#include "tests/unit/channi/support.h"

/* Handmade members of a cluster without routes, whose root is the first member. */
struct crowd {
    struct book b;
    struct channi_cluster cl;
    struct channi_members m;
    struct channi_split_plan plan;
};

static inline void crowd_open(struct crowd *c, struct channi_params params, enum element element,
                              size_t dim, size_t n)
{
    memset(c, 0, sizeof *c);
    book_open(&c->b, params, element, dim, n, 1);
    c->m.rows = calloc(n, sizeof *c->m.rows);
    c->m.n = c->m.n_live = n;
    for (size_t i = 0; i < n; i++)
        c->m.rows[i] = (struct channi_row){ .bytes = book_row(&c->b, i), .id = i, .born = 1 };
    c->cl.site = book_row(&c->b, 0);
}

static inline void crowd_forget(struct crowd *c)
{
    mem_free(&c->b.bench.mem, c->plan.block);
    c->plan.block = NULL;
}

static inline void crowd_close(struct crowd *c)
{
    crowd_forget(c);
    free(c->m.rows);
    book_close(&c->b);
}

static inline int crowd_plan(struct crowd *c, uint64_t seed)
{
    double cost = 0;

    crowd_forget(c);
    return channi_plan_split(book_channi(&c->b), &c->cl, &c->m, seed, &c->plan, &cost);
}

static inline void crowd_kill(struct crowd *c, size_t i)
{
    c->m.n_live -= c->m.rows[i].dead == 0;
    c->m.rows[i].dead = 2;
}

static inline struct channi_params hundred(void)
{
    return book_defaults("target_cluster=100,split_max=0,merge_min=0");
}

/* --------------------------------------------------------------------------------- validity */

static inline size_t temporary_most(const struct crowd *c)
{
    const double n = (double)c->m.n_live;
    const int64_t rule = c->b.params.split_count;
    const double k = rule == SPLIT_2    ? 2
                     : rule == SPLIT_3  ? 3
                     : rule == SPLIT_LN ? log(n)
                                        : log2(n);

    return k > 3 || rule == SPLIT_2 ? (size_t)k : 3;
}

static inline uint32_t *parts_of(const struct crowd *c)
{
    uint32_t *of = calloc(c->m.n, sizeof *of);

    memset(of, 0xff, c->m.n * sizeof *of);
    for (uint32_t p = 0; p < c->plan.n_parts; p++)
        for (size_t i = 0; i < c->plan.parts[p].n; i++) {
            const uint32_t at = c->plan.parts[p].rows[i];
            assert_true(at < c->m.n);
            assert_int_equal(of[at], UINT32_MAX);
            of[at] = p;
        }
    for (size_t i = 0; i < c->m.n; i++)
        assert_true(of[i] != UINT32_MAX);
    return of;
}

static inline size_t nearest_root(const struct crowd *c, size_t row, double *distance)
{
    size_t best = 0;

    *distance = INFINITY;
    for (size_t p = 0; p < c->plan.n_normal; p++) {
        const double d =
            book_distance(&c->b, c->m.rows[row].bytes, c->m.rows[c->plan.parts[p].root].bytes);
        if (d < *distance) {
            *distance = d;
            best = p;
        }
    }
    return best;
}

/* Normal rows are with the nearest primary, unless that leaves a part nearly empty. */
static inline void expect_nearest(const struct crowd *c, const uint32_t *of)
{
    const struct channi *s = book_channi(&c->b);
    size_t count[64] = { 0 }, wrong = 0, least = SIZE_MAX;

    for (size_t i = 0; i < c->m.n; i++) {
        double nearest;

        if (c->m.rows[i].dead != 0 || of[i] >= c->plan.n_normal)
            continue;
        count[nearest_root(c, i, &nearest)]++;
        wrong +=
            book_distance(&c->b, c->m.rows[i].bytes, c->m.rows[c->plan.parts[of[i]].root].bytes) >
            nearest * (1 + 1e-5) + 1e-9;
    }
    for (size_t p = 0; p < c->plan.n_normal; p++)
        least = count[p] < least ? count[p] : least;
    if (wrong > 0)
        assert_true(least < s->merge_min || least == 0);
}

static inline void expect_sound(struct crowd *c)
{
    const struct channi *s = book_channi(&c->b);
    const struct channi_split_plan *plan = &c->plan;
    size_t heirs = 0, outliers = 0;

    if (plan->n_parts == 0)
        return;
    uint32_t *of = parts_of(c);
    assert_in_range(plan->n_normal, 1, plan->n_parts);
    assert_true(plan->n_parts > 1);
    assert_true(plan->n_temporary <= temporary_most(c));
    for (size_t p = 0; p < plan->n_parts; p++) {
        const struct channi_part *part = &plan->parts[p];
        size_t live = 0;

        for (size_t i = 0; i < part->n; i++)
            live += c->m.rows[part->rows[i]].dead == 0;
        assert_int_equal(of[part->root], p);
        assert_int_equal(c->m.rows[part->root].dead, 0);
        assert_int_equal(part->kind, p < plan->n_normal ? CLUSTER_NORMAL : CLUSTER_OOD);
        heirs += part->successor_of == 0;
        assert_true(part->successor_of == 0
                        ? p < plan->n_normal && part->routes_of == 1
                        : part->successor_of == UINT32_MAX && part->routes_of == 0);
        if (part->kind == CLUSTER_OOD) {
            assert_in_range(live, 1, s->ood_cap);
            outliers += live;
        } else if (plan->n_normal > 1) {
            assert_true(live >= (s->merge_min > 0 ? s->merge_min : 1));
        }
    }
    assert_int_equal(heirs, 1);
    assert_int_equal(outliers, plan->flagged);
    if (!c->b.params.assign_to_centroid)
        expect_nearest(c, of);
    free(of);
}

static inline void expect_plan(struct crowd *c, uint64_t seed)
{
    assert_ok(crowd_plan(c, seed), &c->b.bench.error);
    expect_sound(c);
}

#endif
