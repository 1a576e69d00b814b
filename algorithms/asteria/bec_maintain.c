/* bec_maintain.c - what is due: leaves to be split, pairs to be merged, medoids, rounds of assignment. */
#include "algorithms/asteria/bec_parts.h"

enum { ROWS_A_STEP = 4096 };

struct upkeep {
    struct bec *b;
    const struct bec_rows *rows;
    uint64_t budget, spent;
};

static bool spent_all(const struct upkeep *u)
{
    return u->budget > 0 && u->spent >= u->budget;
}

static bool split_is_due(const struct bec *b, uint32_t node)
{
    return b->nodes[node].used && bec_is_leaf(b, node) && bec_split_place(b, node) < b->bits;
}

/* Whether anything was done is in *did. Children come behind their parents, so a split leaf's are looked at, too. */
static int tend_nodes(struct upkeep *u, bool *did)
{
    struct bec *b = u->b;
    int rc = OK;

    for (uint32_t i = 0; rc == OK && i < b->n_nodes && !spent_all(u); i++)
        if (split_is_due(b, i)) {
            rc = bec_split(b, u->rows, i, bec_split_place(b, i), &u->spent);
            *did = true;
        }
    for (uint32_t i = (uint32_t)b->n_nodes; rc == OK && i-- > 0 && !spent_all(u);)
        if (b->nodes[i].used && bec_merge_is_due(b, i)) {
            bec_merge(b, i);
            *did = true;
        }
    /* Amid a round they stay: it lessens the objective for medoids as they are. */
    for (uint32_t i = 0; rc == OK && b->cursor == 0 && i < b->n_nodes && !spent_all(u); i++)
        if (bec_medoid_is_due(b, i)) {
            bec_medoid_find(b, u->rows, i, &u->spent);
            *did = true;
        }
    return rc;
}

static bool is_due(struct bec *b)
{
    for (uint32_t i = 0; i < b->n_nodes; i++)
        if (b->nodes[i].used &&
            (split_is_due(b, i) || bec_merge_is_due(b, i) || bec_medoid_is_due(b, i)))
            return true;
    return bec_rounds_are_due(b);
}

int bec_maintain(struct bec *b, const struct bec_rows *rows, uint64_t budget, bool *more)
{
    struct upkeep u = { b, rows, budget, 0 };
    bool did = true;
    int rc = OK;

    while (rc == OK && did && !spent_all(&u)) {
        did = false;
        rc = tend_nodes(&u, &did);
        if (rc == OK && !spent_all(&u) && bec_rounds_are_due(b)) {
            const uint64_t left = budget > 0 ? budget - u.spent : ROWS_A_STEP;
            rc = bec_assign(b, rows, left < ROWS_A_STEP ? (size_t)left : ROWS_A_STEP, &u.spent);
            did = true;
        }
    }
    *more = rc == OK && is_due(b);
    return rc;
}
