/* check.c - checks every invariant of mvptree.h, with each row's distance to every vantage point
 * above it. */
#include "algorithms/hamming/mvptree/mvptree.h"

struct mvptree_walk {
    const struct mvptree *t;
    size_t rows, inner, leaves, bytes;
};

static int broken(const struct mvptree_walk *w, const char *what)
{
    return fail(w->t->base.env.error, ERR_INVARIANT, "mvptree: node %zu in preorder: %s",
                w->inner + w->leaves, what);
}

/* Checks that the cuts above `node` lead to it for a code, that bounds cover the code, and
   that path bytes are its distances: byte j is path[j * stride], for the first n; NULL: there
   are none. */
static int check_way(const struct mvptree_walk *w, const struct mvptree_node *node, uint64_t code,
                     const uint8_t *path, size_t stride, size_t n)
{
    const struct mvptree *t = w->t;
    uint8_t distances[MVP_POINTS];
    for (; node->parent; node = &node->parent->head) {
        const struct mvptree_inner *up = node->parent;
        if (mvptree_route(t, up, code, distances) != node->slot)
            return broken(w, "the cuts above lead one of its rows elsewhere");
        for (size_t i = 0; i < t->v; i++) {
            const size_t at = i * t->fan_out + node->slot, j = up->depth * t->v + i;
            if (distances[i] < up->lo[at] || distances[i] > up->hi[at])
                return broken(w, "a bound above leaves out one of its rows");
            if (path && j < n && path[j * stride] != distances[i])
                return broken(w, "a path distance is wrong");
        }
    }
    return OK;
}

static int check_leaf(struct mvptree_walk *w, const struct mvptree_leaf *leaf)
{
    const struct mvptree *t = w->t;
    int rc = OK;
    if (leaf->n == 0 || leaf->n > leaf->capacity || leaf->limit < (size_t)t->params.leaf_capacity)
        return broken(w, "rows, capacity and limit do not fit");
    if (leaf->n_path != mvptree_path_below(t, leaf->head.parent))
        return broken(w, "another number of path distances than its depth has");
    for (size_t i = 0; i < leaf->n && rc == OK; i++) {
        const uint32_t row = leaf->rows[i];
        if (row >= t->codes.rows.n || t->codes.rows.codes[row] != leaf->codes[i] ||
            t->codes.place[row] != i)
            return broken(w, "a position's code or row is not that of the store");
        rc =
            check_way(w, &leaf->head, leaf->codes[i], leaf->path + i, leaf->capacity, leaf->n_path);
    }
    w->rows += leaf->n;
    return rc;
}

static int check_inner(struct mvptree_walk *w, const struct mvptree_inner *inner)
{
    const struct mvptree *t = w->t;
    size_t live = 0, dead = 0;
    if (inner->depth != (inner->head.parent ? inner->head.parent->depth + 1 : 0))
        return broken(w, "its depth is wrong");
    for (size_t i = 0; i < t->v; i++) {
        const uint32_t row = inner->rows[i];
        live += row != MVP_DEAD;
        dead += row == MVP_DEAD;
        if (row == MVP_DEAD)
            continue;
        if (row >= t->codes.rows.n || t->codes.rows.codes[row] != inner->codes[i])
            return broken(w, "a vantage point is not its row");
        const int rc = check_way(w, &inner->head, inner->codes[i], NULL, 0, 0);
        if (rc != OK)
            return rc;
    }
    w->rows += live;
    for (size_t c = 0; c < t->fan_out; c++) {
        const struct mvptree_node *child = inner->children[c];
        if (!child)
            continue;
        if (child->parent != inner || child->slot != c)
            return broken(w, "a child has another parent");
        live += mvptree_live(child);
        dead += child->leaf ? 0 : ((const struct mvptree_inner *)child)->dead;
    }
    if (live != inner->live || dead != inner->dead)
        return broken(w, "live rows or dead points are miscounted");
    return OK;
}

int mvptree_check(const struct index *index, struct stat_sink *sink)
{
    const struct mvptree *t = (const struct mvptree *)index;
    struct error *err = index->env.error;
    struct mvptree_walk w = { .t = t };
    (void)sink;
    int rc = dense_rows_check(&t->codes.rows, "mvptree", err);
    for (struct mvptree_node *node = t->root; node && rc == OK;
         node = mvptree_next(t, node, NULL)) {
        rc = node->leaf ? check_leaf(&w, (struct mvptree_leaf *)node)
                        : check_inner(&w, (struct mvptree_inner *)node);
        w.leaves += node->leaf;
        w.inner += !node->leaf;
        w.bytes += mvptree_node_bytes(t, node);
    }
    if (rc != OK)
        return rc;
    if (w.rows != t->codes.rows.n)
        return fail(err, ERR_INVARIANT, "mvptree: %zu rows in the tree, %zu stored", w.rows,
                    t->codes.rows.n);
    if (w.inner != t->n_inner || w.leaves != t->n_leaves || w.bytes != t->nodes_bytes)
        return fail(err, ERR_INVARIANT,
                    "mvptree: %zu inner nodes, %zu leaves, %zu bytes found; %zu, %zu, %zu counted",
                    w.inner, w.leaves, w.bytes, t->n_inner, t->n_leaves, t->nodes_bytes);
    return OK;
}
