/* maintain.c - upkeep, in the order in which its parts make work for one another: a newer model, moving rows to it,
 * buckets written anew, links, clusters, hot rows, a checkpoint. */
#include "algorithms/asteria/upkeep.h"

static int keep_tree(struct upkeep *u)
{
    struct asteria *a = u->a;
    const struct bec_rows rows = asteria_bec_rows(a);
    bool more = false;
    int rc = OK;

    if (!upkeep_goes_on(u)) {
        u->more = true; /* nobody has looked */
        return OK;
    }
    asteria_change_begin(a);
    if (a->bec)
        rc = bec_maintain(a->bec, &rows, upkeep_left(u), &more);
    asteria_change_end(a);
    u->more |= more;
    return rc;
}

static int keep_files(struct upkeep *u)
{
    struct asteria *a = u->a;
    bool more = false;
    int rc = OK;

    asteria_change_begin(a);
    if (tier_tiered(a->tier) && upkeep_goes_on(u))
        rc = tier_tend(a, upkeep_left(u), &more);
    const bool many = asteria_pins_are_many(a);
    asteria_change_end(a);
    if (rc == OK && (many || asteria_log_is_long(a)))
        rc = asteria_checkpoint(a);
    u->more |= more;
    return rc;
}

int asteria_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct asteria *a = asteria_of(index);
    struct upkeep u = { .a = a, .budget = budget };
    int rc = OK;

    *more = false;
    if (!a->trained)
        return OK;
    rc = upkeep_refit(&u);
    if (rc == OK)
        rc = upkeep_take_over(&u);
    if (rc == OK)
        rc = upkeep_compact(&u);
    if (rc == OK)
        rc = upkeep_link(&u);
    if (rc == OK)
        rc = keep_tree(&u);
    if (rc == OK)
        rc = keep_files(&u);
    *more = u.more;
    return rc;
}
