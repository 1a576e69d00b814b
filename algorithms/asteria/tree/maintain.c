/* maintain.c - maintenance of the tree: splits, merges, medoids, rounds of assignment. */
#include "algorithms/asteria/tree/internal.h"

enum { ROWS_A_STEP = 4096 };

struct tree_maintenance {
    struct asteria_bec *b;
    const struct asteria_bec_rows *rows;
    uint64_t budget, spent;
};

static bool spent_all(const struct tree_maintenance *u)
{
    return u->budget > 0 && u->spent >= u->budget;
}

static bool split_is_due(const struct asteria_bec *b, uint32_t node)
{
    return b->nodes[node].used && bec_is_leaf(b, node) &&
           asteria_bec_split_place(b, node) < b->bits;
}

/* Sets *did if anything was done. Children have higher numbers than their parents, so the children
   of a split leaf are visited, too. */
static int tend_nodes(struct tree_maintenance *u, bool *did)
{
    struct asteria_bec *b = u->b;
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < b->n_nodes && !spent_all(u); i++)
        if (split_is_due(b, i)) {
            rc = asteria_bec_split(b, u->rows, i, asteria_bec_split_place(b, i), &u->spent);
            *did = true;
        }
    for (uint32_t i = (uint32_t)b->n_nodes; rc == OK && i-- > 0 && !spent_all(u);)
        if (b->nodes[i].used && asteria_bec_merge_is_due(b, i)) {
            asteria_bec_merge(b, i);
            *did = true;
        }
    /* Not during a round: a round minimises the objective for fixed medoids. */
    for (uint32_t i = 0; rc == OK && b->cursor == 0 && i < b->n_nodes && !spent_all(u); i++)
        if (asteria_bec_medoid_is_due(b, i)) {
            asteria_bec_medoid_find(b, u->rows, i, &u->spent);
            *did = true;
        }
    return rc;
}

static bool is_due(struct asteria_bec *b)
{
    for (uint32_t i = 0; i < b->n_nodes; i++)
        if (b->nodes[i].used && (split_is_due(b, i) || asteria_bec_merge_is_due(b, i) ||
                                 asteria_bec_medoid_is_due(b, i)))
            return true;
    return asteria_bec_rounds_are_due(b);
}

int asteria_bec_maintain(struct asteria_bec *b, const struct asteria_bec_rows *rows,
                         uint64_t budget, bool *more)
{
    struct tree_maintenance u = { b, rows, budget, 0 };
    bool did = true;
    int rc = OK;

    while (rc == OK && did && !spent_all(&u)) {
        did = false;
        rc = tend_nodes(&u, &did);
        if (rc == OK && !spent_all(&u) && asteria_bec_rounds_are_due(b)) {
            const uint64_t left = budget > 0 ? budget - u.spent : ROWS_A_STEP;
            rc = asteria_bec_assign(b, rows, left < ROWS_A_STEP ? (size_t)left : ROWS_A_STEP,
                                    &u.spent);
            did = true;
        }
    }
    *more = rc == OK && is_due(b);
    return rc;
}
