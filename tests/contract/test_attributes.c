/* test_attributes.c - every method that has attributes, through random histories beside the truth:
 * which rows conditions on several fields let through. The truth does not use
 * index_attribute_meets(). */
#include <float.h>

#include "tests/contract/world.h"

/* Fields: a class, often 3; a real; any integer; one value, which few rows have. */
enum { QUERIES = 6, K = 9, CLASSES = 7, FIELDS = 4, RECORDS = 8000, VALUES = 5 };

/* The record of each id: at position `at` of `of`. */
struct records {
    struct idmap at;
    size_t n;
    int64_t of[RECORDS][FIELDS];
};

static const int64_t rare[] = { INT64_MAX, INT64_MIN + 1, 0, -1, 77 };

/* A number that a field may have; without INDEX_ATTRIBUTE_NONE. */
static int64_t some_number(struct world *w, size_t field)
{
    static const double extremes[] = { -DBL_MAX, DBL_MAX, 0, DBL_MIN, -1e-300 };

    switch (field) {
        case 0: return rng_below(&w->rng, 2) ? 3 : (int64_t)rng_below(&w->rng, CLASSES) * 1000;
        case 1:
            return index_attribute_of_real(rng_below(&w->rng, 9) ? rng_unit(&w->rng) * 20 - 10
                                                                 : extremes[rng_below(&w->rng, 5)]);
        case 2:
            return rng_below(&w->rng, 5) ? (int64_t)(rng_u64(&w->rng) >> 1)
                                         : rare[rng_below(&w->rng, 5)];
        default: return 5;
    }
}

/* Now and then by plain insert(), which gives none. */
static void insert_numbered(struct world *w, struct records *a, size_t n)
{
    const bool plain = rng_below(&w->rng, 4) == 0;
    void *rows = world_rows(w, n);
    uint64_t *ids = calloc(n + 1, sizeof *ids);
    int64_t *attributes = calloc(n + 1, FIELDS * sizeof *attributes);
    world_expect(w, ids && attributes, "no memory");
    for (size_t i = 0; i < n; i++) {
        ids[i] = world_new_id(w);
        world_expect(w, a->n < RECORDS && idmap_put(&a->at, ids[i], a->n), "too many ids");
        for (size_t f = 0; f < FIELDS; f++) {
            const bool none = rng_below(&w->rng, f == 3 ? 2 : 9) == 0;
            attributes[i * FIELDS + f] = none ? INDEX_ATTRIBUTE_NONE : some_number(w, f);
            a->of[a->n][f] = plain ? INDEX_ATTRIBUTE_NONE : attributes[i * FIELDS + f];
        }
        a->n++;
    }
    size_t done = 0;
    world_ok(w, index_insert_with(&w->index, world_vectors(w, rows, n), ids,
                                  plain ? NULL : attributes, &done));
    world_expect(w, done == n, "insert did %zu of %zu", done, n);
    world_note_inserted(w, rows, ids, n);
    free(rows);
    free(ids);
    free(attributes);
}

/* ---- conditions */

struct conditions {
    struct attribute_condition list[FIELDS];
    int64_t values[FIELDS * VALUES];
    struct attribute_filter filter;
};

static bool holds(const struct attribute_condition *c, const int64_t *values, int64_t number)
{
    bool any = false;

    for (size_t i = 0; i < c->n; i++)
        any |= values[c->first + i] == number;
    switch (c->test) {
        case INDEX_ATTRIBUTE_MISSING: return number == INDEX_ATTRIBUTE_NONE;
        case INDEX_ATTRIBUTE_IN: return any;
        case INDEX_ATTRIBUTE_NOT_IN: return number != INDEX_ATTRIBUTE_NONE && !any;
        default:
            return number != INDEX_ATTRIBUTE_NONE && values[c->first] <= number &&
                   number <= values[c->first + 1];
    }
}

static void sort_distinct(int64_t *values, uint64_t *n, bool range)
{
    size_t kept = 0;

    for (size_t i = 1; i < *n; i++)
        for (size_t j = i; j > 0 && values[j] < values[j - 1]; j--) {
            const int64_t x = values[j];
            values[j] = values[j - 1];
            values[j - 1] = x;
        }
    for (size_t i = 0; i < *n && !range; i++)
        if (i == 0 || values[i] != values[kept - 1])
            values[kept++] = values[i];
    *n = range ? *n : kept;
}

/* One to FIELDS conditions; a field may have several. */
static void draw_conditions(struct world *w, struct conditions *c)
{
    size_t at = 0;

    c->filter = (struct attribute_filter){ c->list, 1 + rng_below(&w->rng, FIELDS), c->values };
    for (size_t i = 0; i < c->filter.n; i++) {
        struct attribute_condition *one = &c->list[i];
        *one =
            (struct attribute_condition){ (uint32_t)rng_below(&w->rng, FIELDS),
                                          (uint32_t)rng_below(&w->rng, INDEX_ATTRIBUTE_MISSING + 1),
                                          at, rng_below(&w->rng, VALUES + 1) };
        if (one->test == INDEX_ATTRIBUTE_RANGE)
            one->n = 2;
        if (one->test == INDEX_ATTRIBUTE_MISSING)
            one->n = 0;
        for (size_t v = 0; v < one->n; v++)
            c->values[at + v] =
                rng_below(&w->rng, 8) ? some_number(w, one->field) : rare[rng_below(&w->rng, 5)];
        sort_distinct(c->values + at, &one->n, one->test == INDEX_ATTRIBUTE_RANGE);
        at += one->n;
    }
}

static void ask_where(struct world *w, const struct records *a, size_t threads)
{
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
    struct conditions c;
    void *queries = world_rows(w, QUERIES);
    const struct search_request request = { world_vectors(w, queries, QUERIES), K, w->knobs, NULL,
                                            threads };
    struct search_result result = { .ids = ids, .distances = distances };
    draw_conditions(w, &c);
    memset(ids, 0x5a, sizeof ids);
    memset(distances, 0x5a, sizeof distances);
    world_ok(w, index_search_where(&w->index, &request, &c.filter, &result));
    /* The truth is, for a moment, that of the rows that meet the conditions. */
    struct past all = world_past(w);
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        bool passes = true;
        uint64_t at = 0;
        (void)idmap_get(&a->at, w->ids[i], &at);
        for (size_t j = 0; j < c.filter.n; j++)
            passes &= holds(&c.list[j], c.values, a->of[at][c.list[j].field]);
        if (!passes)
            continue;
        memmove(w->rows + n * w->row_bytes, w->rows + i * w->row_bytes, w->row_bytes);
        w->ids[n++] = w->ids[i];
    }
    w->n = n;
    world_expect_answers(w, queries, QUERIES, K, NULL, ids, distances);
    world_swap(w, &all);
    world_forget(&all);
    free(queries);
}

static void ask_several(struct world *w, const struct records *a)
{
    for (size_t i = 0; i < 4; i++)
        ask_where(w, a, 1 + rng_below(&w->rng, 2));
}

static void numbered_step(struct world *w, struct records *a)
{
    switch (rng_below(&w->rng, 8)) {
        case 0: insert_numbered(w, a, 1); break;
        case 1: world_remove(w, 1 + rng_below(&w->rng, 50)); break;
        case 2: world_maintain(w, 0); break;
        case 3: (void)(rng_below(&w->rng, 2) == 0 && world_reload(w)); break;
        case 4:
            if (w->ops->txn) {
                struct past before = world_past(w);
                world_ok(w, index_begin(&w->index));
                insert_numbered(w, a, 20);
                if (rng_below(&w->rng, 2))
                    world_ok(w, index_commit(&w->index, NULL));
                else
                    world_rollback(w, &before); /* none of its ids was live: `a` may keep them */
                world_forget(&before);
            }
            break;
        default: insert_numbered(w, a, 1 + rng_below(&w->rng, 100));
    }
}

static void test_attributes(struct world *w)
{
    if (!w->ops->attributes || w->dim == 1 || w->dim == 100)
        return;
    static struct records records;
    struct records *a = &records;
    a->n = 0;
    idmap_init(&a->at, NULL);
    w->bench.env.n_attributes = FIELDS;
    world_open_trained(w);
    ask_several(w, a);
    for (w->step = 1; w->step <= 30; w->step++) {
        numbered_step(w, a);
        world_check(w);
        ask_several(w, a);
        world_search(w, 1, K, NULL, 1);
    }
    idmap_free(&a->at);
}

static bool has_attributes(const struct index_ops *ops)
{
    return ops->attributes;
}

int main(void)
{
    return world_run_those("attributes", has_attributes, test_attributes);
}
