/* test_turnover.c - recall after all rows were replaced, and after all were deleted and a quarter came
 * back, beside that of a new index of the same rows at equal work. (A tenth of so few rows is what any
 * index compares without a choice.) */
#include <math.h>

#include "tests/contract/world.h"

enum { ROWS_MOST = 4000, QUERIES = 100, K = 10, DIM = 32, DIM_MOST = 768, STEPS = 5 };

/* Rows are centre + spread x normal, in `latent` random directions of the space (0: in all of its
   dimensions). moves: how far the centres go from the first rows to the last. skew: the more, the more rows
   the first centres have (0: all as many). shrinks: by what share the last rows are shorter than the first, by
   inner product alone. */
static const struct shape {
    const char *name;
    size_t rows, dim, centres, latent;
    double spread, moves, skew, shrinks;
} shapes[] = {
    { "clusters", 1000, DIM, 40, 0, .3, 0, 0, 0 },
    { "tight clusters", 1000, DIM, 300, 0, .05, 0, 0, 0 },
    { "one cluster", 1000, DIM, 1, 8, 1, 0, 0, 0 },
    { "drift", 1000, DIM, 20, 0, .3, 3, 0, 0 },
    { "drift of more rows", ROWS_MOST, DIM, 20, 0, .3, 3, 0, 0 },
    { "two directions", 1000, DIM, 1, 2, 1, 0, 0, 0 },
    { "a line", 1000, DIM, 1, 1, 1, 0, 0, 0 },
    { "few clusters", 1000, DIM, 5, 4, .05, 0, 0, 0 },
    { "uneven clusters", 1000, DIM, 100, 8, .3, 0, 3, 0 },
    { "two dimensions", 1000, 2, 100, 0, .1, 0, 0, 0 },
    { "wide", 1000, DIM_MOST, 40, 16, .5, 0, 0, 0 },
    { "shorter rows", 1000, DIM, 1, 0, 1, 0, 0, .75 },
};

struct data {
    struct world *w;
    const struct shape *shape;
    float *centres, *directions;
    struct rng rng;
};

static void data_begin(struct data *d, struct world *w, const struct shape *shape, uint64_t seed)
{
    const size_t directions = shape->latent > 0 ? shape->latent : 1;
    *d = (struct data){ .w = w, .shape = shape, .rng = rng_at(seed, shape->centres) };
    d->centres = calloc(shape->centres * shape->dim, sizeof *d->centres);
    d->directions = calloc(directions * shape->dim, sizeof *d->directions);
    world_expect(w, d->centres && d->directions, "no memory");
    for (size_t i = 0; i < shape->centres * shape->dim; i++)
        d->centres[i] = (float)rng_normal(&d->rng);
    for (size_t i = 0; i < directions * shape->dim; i++)
        d->directions[i] = (float)rng_normal(&d->rng);
}

static void data_end(struct data *d)
{
    free(d->centres);
    free(d->directions);
}

/* A row at a time from 0 to 1. */
static void draw(struct data *d, double at, float *row)
{
    const struct shape *s = d->shape;
    const double at_random = pow(rng_unit(&d->rng), 1 + s->skew);
    const float *centre = d->centres + (size_t)(at_random * (double)s->centres) * s->dim;
    for (size_t j = 0; j < s->dim; j++)
        row[j] = centre[j] + (float)(at * s->moves) * d->directions[j] +
                 (float)(s->latent ? 0 : s->spread * rng_normal(&d->rng));
    for (size_t i = 0; i < s->latent; i++) {
        const float along = (float)(s->spread * rng_normal(&d->rng));
        for (size_t j = 0; j < s->dim; j++)
            row[j] += along * d->directions[i * s->dim + j];
    }
    for (size_t j = 0; j < s->dim; j++)
        row[j] *= (float)(1 - at * s->shrinks);
    if (d->w->space.metric == INDEX_COS)
        test_normalise_f32(row, 1, s->dim);
}

static float *drawn(struct data *d, double at, size_t n)
{
    const size_t dim = d->shape->dim;
    float *rows = calloc(n * dim, sizeof *rows);
    world_expect(d->w, rows, "no memory");
    for (size_t i = 0; i < n; i++)
        draw(d, at, rows + i * dim);
    return rows;
}

/* ------------------------------------------------------------------- histories */

static void insert(struct world *w, const float *rows, size_t n)
{
    uint64_t *ids = calloc(n, sizeof *ids);
    size_t done;
    world_expect(w, ids, "no memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = w->next_id++;
    world_ok(w, index_insert(&w->index, world_vectors(w, rows, n), ids, &done));
    world_note_inserted(w, rows, ids, n);
    free(ids);
}

static void insert_drawn(struct data *d, double at, size_t n)
{
    float *rows = drawn(d, at, n);
    insert(d->w, rows, n);
    free(rows);
}

static void maintain(struct world *w)
{
    for (bool more = true; more;)
        more = world_maintain(w, 0);
    world_check(w);
}

/* With several threads the jobs of maintenance end in any order, and recall varies. */
static void begin(struct world *w, const struct subject *subject, struct index_space space,
                  const struct shape *shape)
{
    world_begin(w, subject, space, shape->dim);
    w->bench.env.expected_n = shape->rows;
    pool_destroy(w->bench.pool);
    w->bench.pool = w->bench.env.pool = pool_create(1);
    world_expect(w, w->bench.pool, "no memory");
}

static void open_trained(struct world *w, const float *rows, size_t n)
{
    world_ok(w, world_open(w));
    if (w->ops->train)
        world_ok(w, index_train(&w->index, world_vectors(w, rows, n)));
    insert(w, rows, n);
}

/* A fifth leaves, which may be any rows, and a fifth comes. */
static void replace_all(struct data *d)
{
    for (size_t i = 1; i <= STEPS; i++) {
        uint64_t ids[ROWS_MOST / STEPS];
        const size_t n = d->shape->rows / STEPS;
        size_t done;
        memcpy(ids, d->w->ids, n * sizeof *ids);
        world_ok(d->w, index_remove(&d->w->index, ids, n, &done));
        for (size_t j = 0; j < n; j++)
            world_note_removed(d->w, ids[j]);
        insert_drawn(d, (double)i / STEPS, n);
    }
}

/* ------------------------------------------------------------------- recall and work */

/* work: the rows compared by a query, copies and all, without the centres of lists; where they are not
   counted, distances and estimates. */
struct measured {
    double recall, work;
};

static const char *main_knob(const struct index_ops *ops)
{
    static const char *const names[] = { "nprobe", "ef_search", "search_list" };
    for (const struct param *p = ops->knobs; p && p->name; p++)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (!strcmp(p->name, names[i]))
                return p->name;
    return NULL;
}

/* The distance of the k-th row, and what rounding may add to it. */
static double kth(const struct world *w, const float *query)
{
    double least[K + 1];
    for (size_t i = 0; i < w->n; i++) {
        const double distance = world_distance(w, query, w->rows + i * w->row_bytes);
        size_t at = i < K ? i : K;
        for (; at > 0 && least[at - 1] > distance; at--)
            least[at] = least[at - 1];
        least[at] = distance;
    }
    return least[K - 1] + 2 * world_tolerance(w, query, w->rows);
}

static struct measured measure(struct world *w, const float *queries, const double *limits,
                               double knob)
{
    static uint64_t ids[QUERIES * K];
    static float distances[QUERIES * K];
    world_ok(w, param_set(w->ops->knobs, w->knobs, main_knob(w->ops),
                          (struct param_value){ .kind = VALUE_NUMBER, .number = knob },
                          w->ops->name, &w->bench.error));
    const struct search_request request = { world_vectors(w, queries, QUERIES), K, w->knobs, NULL,
                                            1 };
    struct search_result result = { .ids = ids, .distances = distances };
    world_ok(w, index_search(&w->index, &request, &result));
    double hits = 0, work = result.work.scanned;
    for (size_t i = 0; i < QUERIES * K; i++)
        hits += ids[i] != INDEX_NO_ID && (double)distances[i] <= limits[i / K];
    if (!(work > 0))
        work = result.work.distances + result.work.estimates;
    return (struct measured){ hits / (QUERIES * K), work / QUERIES };
}

static const double knobs[] = { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256 };
enum { KNOBS = sizeof knobs / sizeof *knobs };

/* The recall at this work, between those of two knobs. */
static struct measured between(struct measured a, struct measured b, double work)
{
    const double share = (work - a.work) / (b.work - a.work);
    return (struct measured){ a.recall + share * (b.recall - a.recall), work };
}

/* What the histories of a shape find at one moment: this index, and a new one. */
struct moment {
    const char *when;
    double old, anew;
};

/* Adds the recall of the new index at the least knob with recall .9, and of this one with as much work.
   Nothing is to be said where the new one compares every row. */
static void add_recall(struct data *d, double at, struct moment *to)
{
    struct world *w = d->w, fresh;
    double limits[QUERIES];
    float *queries = drawn(d, at, QUERIES);
    for (size_t i = 0; i < QUERIES; i++)
        limits[i] = kth(w, queries + i * d->shape->dim);
    begin(&fresh, w->subject, w->space, d->shape);
    open_trained(&fresh, (const float *)(const void *)w->rows, w->n);
    maintain(&fresh);
    struct measured anew = { 0, 0 }, old = { 0, 0 }, last = { 0, 0 };
    for (size_t i = 0; i < KNOBS && anew.recall < .9; i++)
        anew = measure(&fresh, queries, limits, knobs[i]);
    for (size_t i = 0; i < KNOBS; i++) {
        struct measured m = measure(w, queries, limits, knobs[i]), at_most = m;
        if (i > 0 && last.work < anew.work && m.work > anew.work)
            at_most = between(last, m, anew.work);
        if (i == 0 || (at_most.work <= anew.work && at_most.recall > old.recall))
            old = at_most;
        last = m;
    }
    world_end(&fresh);
    free(queries);
    if (anew.work >= (double)w->n)
        return;
    to->old += old.recall;
    to->anew += anew.recall;
}

/* Least shares of a new index's recall: under l2 and ip after maintenance, before it when a quarter has
   come back (0: as after it), and after drift (0: not looked at). The aim is .9. Less is about the least of the usual
   seed and eight more (more: of the usual seed and two to eight more).
   Before maintenance, lists are those of other rows, and a new index's were made for the very rows: in
   eight to twelve seeds divf, lire and scann had .90, .88 and .89 of its recall at least, and .94 after
   it. Under ip after drift all queries have the same few answers, which a training may divide well or
   not: lire had .88, and scann, which trains as a new index does, .67 to 1.1.
   vamana-disk after drift of more rows under ip, and channi after drift, find as much as a new index at
   equal knobs, but compare more rows: a longer way from the entry, and clusters that have grown towards
   their limit (docs/methods). One history of channi after drift had .71 to 1.02 in eight seeds, .85 in the
   mean; splits at half of the limit changed some for the better and some for the worse. Asteria keeps its
   first model (retrain_share = 0). */
struct shares {
    const char *method, *params;
    double l2, ip, before, drift, more; /* more: after drift of more rows */
    /* Whose recall is added up: several where random centroids alone make a difference. Of two builds of
       the same rows one of scann found .87 of what the other did. */
    size_t histories;
};

enum { REPLACED, CAME_BACK, MAINTAINED, MOMENTS };

static void run_history(struct world *w, struct data *d, struct moment *moments)
{
    float *rows = drawn(d, 0, d->shape->rows);
    open_trained(w, rows, d->shape->rows);
    free(rows);
    replace_all(d);
    maintain(w);
    add_recall(d, 1, &moments[REPLACED]);
    world_remove(w, w->n);
    insert_drawn(d, 0, d->shape->rows / 4);
    add_recall(d, 0, &moments[CAME_BACK]);
    maintain(w);
    add_recall(d, 0, &moments[MAINTAINED]);
}

static void turn_over(struct world *like, const struct shares *shares, const struct shape *shape)
{
    struct subject subject = {
        like->ops, like->subject->registry, { shares->method, shares->params, "", 0 }, ""
    };
    struct moment moments[MOMENTS] = { { "after all rows were replaced", 0, 0 },
                                       { "after a quarter came back", 0, 0 },
                                       { "after a quarter came back and maintenance", 0, 0 } };
    const double after = like->space.metric == INDEX_IP ? shares->ip : shares->l2;
    const double drifted = shape->rows == ROWS_MOST ? shares->more : shares->drift;
    world_expect(like, after > 0, "%s: no least share for this metric", shares->method);
    (void)snprintf(subject.name, sizeof subject.name, "%s %s", shares->method, shares->params);
    for (size_t i = 0; i < shares->histories; i++) {
        struct world w;
        struct data d;
        begin(&w, &subject, like->space, shape);
        data_begin(&d, &w, shape, shares->histories > 1 ? rng_mix(test_seed(), i) : test_seed());
        run_history(&w, &d, moments);
        data_end(&d);
        world_end(&w);
    }
    const double least[MOMENTS] = {
        [REPLACED] = shape->moves > 0 ? drifted : after,
        [CAME_BACK] = shares->before > 0 ? shares->before : after,
        [MAINTAINED] = after,
    };
    for (size_t i = 0; i < MOMENTS; i++)
        world_expect(like, moments[i].old >= least[i] * moments[i].anew,
                     "%s, %s, %s: recall %.3f of %.3f of a new index", subject.name, shape->name,
                     moments[i].when, moments[i].old / (double)shares->histories,
                     moments[i].anew / (double)shares->histories);
}

/* Not of baselines, whose lists nothing changes. ampi is one, too: what comes after its first batch
   has more copies, which its searches compare. */
static const struct shares all[] = {
    { "divf", "", .9, .9, .85, .9, .9, 3 },
    { "divf", "maintenance=lire", .9, .9, .85, .85, .9, 3 },
    { "divf", "quantizer=rabitq", .9, .9, .85, .9, .9, 3 },
    { "scann", "", .9, .9, .85, 0, 0, 3 },
    { "spfresh", "store=memory", .87, 0, 0, .9, .9, 1 },
    { "channi", "wal=none,target_cluster=40,maintenance=inline", .9, 0, 0, .8, .8, 3 },
    { "asteria", "train_steps=8,batch=32", .9, 0, 0, .9, .8, 3 },
    { "hnsw", "", .9, .9, 0, .9, .9, 1 },
    { "vamana", "", .9, .9, 0, .9, .9, 1 },
    { "vamana-disk", "merge_rows=100", .9, .85, 0, .9, .7, 1 },
    { "symqg", "", .9, 0, 0, .9, .9, 1 },
};

/* Cosine is squared L2 of unit vectors: it is judged where a method has nothing else. */
static bool judged(const struct world *w)
{
    return w->space.metric == INDEX_L2SQ || w->space.metric == INDEX_IP ||
           !index_takes(w->ops, INDEX_F32, w->dim, INDEX_L2SQ);
}

/* Once for a method and a metric: world_run() has other settings. */
static void test_turnover(struct world *w)
{
    static const struct index_ops *done[INDEX_HAMMING + 1];
    if (w->dim != DIM || w->space.element != INDEX_F32 || !judged(w) ||
        w->ops == done[w->space.metric])
        return;
    done[w->space.metric] = w->ops;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++)
            if (!strcmp(all[i].method, w->ops->name) &&
                (!(shapes[j].shrinks > 0) || w->space.metric == INDEX_IP))
                turn_over(w, &all[i], &shapes[j]);
}

int main(void)
{
    return world_run("turnover", test_turnover);
}
