/* maintain.c - maintenance. Each step may cause work for the next: a newer model, re-encoding,
 * rewriting buckets, links, clusters, hot rows.
 */
#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/change.h"
#include "algorithms/asteria/maintenance/internal.h"

static int keep_tree(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    const struct asteria_bec_rows rows = asteria_bec_rows(a);
    bool more = false;
    int rc = OK;

    if (!asteria_maintenance_goes_on(u)) {
        u->more = true; /* not checked */
        return OK;
    }
    asteria_change_begin(a);
    if (a->bec)
        rc = asteria_bec_maintain(a->bec, &rows, asteria_maintenance_left(u), &more);
    asteria_change_end(a);
    u->more |= more;
    return rc;
}

static int keep_hot_rows(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    bool more = false;
    int rc = OK;

    asteria_change_begin(a);
    if (asteria_rows_are_tiered(a->rows) && asteria_maintenance_goes_on(u))
        rc = asteria_rows_refresh_hot_set(a, asteria_maintenance_left(u), &more);
    asteria_change_end(a);
    u->more |= more;
    return rc;
}

int asteria_maintain(struct index *index, uint64_t budget, bool *more)
{
    struct asteria *a = asteria_of(index);
    struct asteria_maintenance u = { .a = a, .budget = budget };
    int rc = OK;

    *more = false;
    if (!a->trained)
        return OK;
    rc = asteria_maintenance_refit(&u);
    if (rc == OK)
        rc = asteria_maintenance_reencode(&u);
    if (rc == OK)
        rc = asteria_maintenance_compact(&u);
    if (rc == OK)
        rc = asteria_maintenance_link(&u);
    if (rc == OK)
        rc = keep_tree(&u);
    if (rc == OK)
        rc = keep_hot_rows(&u);
    *more = u.more;
    return rc;
}
