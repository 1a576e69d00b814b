/* test_inspect.c - the structure that every method shows, after inserts, deletes and a reload: its ids
 * are the live ids, and its counts are theirs. */
#include "src/core/idmap.h"
#include "tests/contract/world.h"

enum { LEVELS = 80 };

struct shown_node {
    double live; /* NAN: it has no such number */
    size_t n;    /* ids */
};

/* What was shown so far. */
struct shown {
    struct world *w;
    struct shown_node open[LEVELS];
    size_t level, nodes;
    double rows; /* of the root */
    struct idmap ids;
    size_t ends_at; /* no node below this level is wanted */
};

static bool enter(void *to, const char *kind, uint64_t number)
{
    struct shown *s = to;
    world_expect(s->w, s->level > 0 || strcmp(kind, s->w->ops->name) == 0,
                 "the root is \"%s\", not the method", kind);
    world_expect(s->w, s->level < LEVELS, "more than %d levels", LEVELS);
    s->nodes++;
    if (s->level >= s->ends_at)
        return false;
    s->open[s->level++] = (struct shown_node){ .live = NAN };
    return true;
}

static void leave(void *to)
{
    struct shown *s = to;
    world_expect(s->w, s->level > 0, "leave() without enter()");
    const struct shown_node *node = &s->open[--s->level];
    world_expect(s->w, node->n == 0 || node->live == (double)node->n,
                 "a node has %zu ids, and %g live rows", node->n, node->live);
}

static void number(void *to, const char *name, double value)
{
    struct shown *s = to;
    world_expect(s->w, s->level > 0 && isfinite(value), "\"%s\" is %g", name, value);
    if (strcmp(name, "live") == 0)
        s->open[s->level - 1].live = value;
    if (strcmp(name, "rows") == 0 && s->level == 1)
        s->rows = value;
}

static void text(void *to, const char *name, const char *value)
{
    const struct shown *s = to;
    world_expect(s->w, s->level > 0 && *value, "\"%s\" is empty", name);
}

static void vector(void *to, const char *name, const float *components, size_t dim)
{
    const struct shown *s = to;
    world_expect(s->w, dim == s->w->dim, "\"%s\" has %zu components", name, dim);
    for (size_t i = 0; i < dim; i++)
        world_expect(s->w, isfinite(components[i]), "\"%s\" is not finite", name);
}

static void ids(void *to, const char *name, const uint64_t *list, size_t n)
{
    struct shown *s = to;
    if (strcmp(name, "ids") != 0)
        return;
    s->open[s->level - 1].n += n;
    for (size_t i = 0; i < n; i++) {
        world_expect(s->w, idmap_get(&s->w->index.live, list[i], NULL),
                     "id %" PRIu64 " is shown and not live", list[i]);
        world_expect(s->w, idmap_put(&s->ids, list[i], 1), "no memory");
    }
}

/* Shows the nodes of so many levels. The caller frees the ids. */
static struct shown show(struct world *w, size_t levels)
{
    struct shown s = { .w = w, .rows = NAN, .ends_at = levels };
    const struct structure_sink sink = { enter, leave, number, text, vector, ids, &s };
    idmap_init(&s.ids, NULL);
    world_ok(w, w->ops->inspect(w->index.index, &sink));
    world_expect(w, s.level == 0, "%zu nodes are not left", s.level);
    return s;
}

static void expect_structure(struct world *w)
{
    struct shown whole = show(w, LEVELS), root = show(w, 1), none = show(w, 0);
    world_expect(w, whole.rows == (double)w->n, "the root has %g rows of %zu", whole.rows, w->n);
    world_expect(w, whole.ids.n == w->n, "%zu ids are shown of %zu", whole.ids.n, w->n);
    /* What is not wanted is not shown. */
    world_expect(w, none.nodes == 1, "%zu nodes below a root that is not wanted", none.nodes);
    world_expect(w, root.nodes <= whole.nodes, "%zu nodes of one level, %zu of all", root.nodes,
                 whole.nodes);
    idmap_free(&whole.ids);
    idmap_free(&root.ids);
    idmap_free(&none.ids);
    world_check(w);
}

static void test_structure(struct world *w)
{
    if (!world_is_sampled(w, 0))
        return;
    world_ok(w, world_open(w));
    expect_structure(w);
    world_train(w);
    world_insert(w, 350);
    expect_structure(w);
    world_remove(w, 200);
    expect_structure(w);
    world_insert(w, 90);
    if (world_reload(w))
        expect_structure(w);
    world_remove(w, w->n);
    expect_structure(w);
}

static bool inspects(const struct index_ops *ops)
{
    return ops->inspect;
}

int main(void)
{
    return world_run_those("inspect", inspects, test_structure);
}
