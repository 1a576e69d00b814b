/* replace.h - replacement of given clusters by random parts, for tests. */
#ifndef TEST_CHANNI_REPLACE_H
#define TEST_CHANNI_REPLACE_H

#include "algorithms/channi/channi.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/versions/view.h"
#include "tests/unit/channi/maintenance/maintenance.h"

enum { DIM = 6, ROWS = 600 };

/* ------------------------------------------------------------------------------- an index */

/* Rows 0 .. n-1 in clusters; only the test replaces clusters. */
static inline void open_built(struct book *b, struct channi_params params, enum element element,
                              size_t n)
{
    params = book_with(params, "maintenance=explicit,target_cluster=40,flat_below=16");
    params.expected_n = (int64_t)n;
    book_open(b, params, element, DIM, ROWS, 2);
    book_start(b, 12, .3, n);
    assert_non_null(atomic_load(&book_channi(b)->now)->layout->routes);
    book_check(b);
}

/* Finds the n largest clusters. */
static inline void largest(const struct book *b, uint32_t *cids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cids[i] = CID_NONE;
        for (uint32_t cid = 0; cid < layout_of(b)->n_clusters; cid++) {
            bool is_new = cluster_of(b, cid) != NULL;

            for (size_t j = 0; j < i; j++)
                is_new &= cids[j] != cid;
            if (is_new && (cids[i] == CID_NONE ||
                           live_of(cluster_of(b, cid)) > live_of(cluster_of(b, cids[i]))))
                cids[i] = cid;
        }
        assert_int_not_equal(cids[i], CID_NONE);
    }
}

/* --------------------------------------------------------------------------- replacements */

struct plan {
    uint32_t cids[4];
    size_t n, n_parts;
    bool successor;                 /* the first part succeeds the first cluster, with all routes */
    bool go_on;                     /* one part, rows in file order */
    uint64_t seed;                  /* of the partition */
    void (*between)(struct book *); /* between gathering and replacing */
};

/* Live rows go to the nearest of n_parts random roots; dead rows to any part. */
static inline void partition(struct book *b, const struct plan *plan,
                             const struct channi_members *m, struct channi_part *parts,
                             uint32_t *order)
{
    struct rng rng = rng_at(plan->seed, 1);
    uint32_t of[ROWS], at = 0;

    assert_true(m->n <= ROWS && m->n_live >= plan->n_parts);
    for (size_t p = 0; p < plan->n_parts; p++) {
        bool fresh = false;

        parts[p] = (struct channi_part){ .kind = p % 3 == 2 ? CLUSTER_OOD : CLUSTER_NORMAL,
                                         .successor_of = plan->successor && p == 0 ? 0 : UINT32_MAX,
                                         .routes_of = plan->successor && p == 0 ? 15 : 0,
                                         .go_on = plan->go_on };
        while (!fresh) {
            parts[p].root = (uint32_t)rng_below(&rng, m->n);
            fresh = m->rows[parts[p].root].dead == 0;
            for (size_t q = 0; q < p; q++)
                fresh &= parts[q].root != parts[p].root;
        }
    }
    for (size_t i = 0; i < m->n; i++) {
        double least = INFINITY;

        for (size_t p = 0; p < plan->n_parts; p++) {
            const double d = i == parts[p].root
                                 ? -1
                                 : book_distance(b, m->rows[i].bytes, m->rows[parts[p].root].bytes);
            if (d < least) {
                least = d;
                of[i] = (uint32_t)p;
            }
        }
    }
    for (size_t p = 0; p < plan->n_parts; p++) {
        parts[p].rows = order + at;
        for (size_t i = 0; i < m->n; i++)
            if (of[i] == p) {
                order[at++] = (uint32_t)i;
                parts[p].n++;
            }
    }
}

static inline int replace(struct book *b, const struct plan *plan)
{
    struct channi *c = book_channi(b);
    struct channi_taken w;
    struct channi_part parts[16];
    uint32_t order[ROWS];

    assert_true(channi_take(c, plan->cids, plan->n, &w));
    int rc = channi_gather(c, &w);
    if (rc == OK) {
        struct channi_replacement r = { .parts = parts, .n_parts = plan->n_parts, .threads = 2 };

        partition(b, plan, &w.members, parts, order);
        if (plan->between)
            plan->between(b);
        rc = channi_replace(c, &w, &r);
    }
    channi_give(c, &w);
    epoch_collect(c->epoch);
    return rc;
}

#endif
