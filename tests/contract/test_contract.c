/* test_contract.c - every method through random histories, filters, radii, repeats and reports. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "tests/contract/world.h"

/* Every live id's bit with chance 1 in `one_in`; bits for the ids below next_id. */
static uint64_t *random_filter(struct world *w, size_t one_in, struct id_filter *filter)
{
    const uint64_t n = w->next_id;
    uint64_t *bits = calloc(n / 64 + 1, sizeof *bits);
    world_expect(w, bits, "no memory");
    for (uint64_t id = 0; id < n; id++)
        if (rng_below(&w->rng, one_in) == 0)
            bits[id / 64] |= UINT64_C(1) << (id % 64);
    *filter = (struct id_filter){ bits, n };
    return bits;
}

static void random_step(struct world *w)
{
    struct id_filter filter;
    switch (rng_below(&w->rng, 12)) {
        case 0:
        case 1: world_insert(w, 1 + rng_below(&w->rng, 120)); break;
        case 2: world_insert(w, 1); break;
        case 3: world_remove(w, 1 + rng_below(&w->rng, 60)); break;
        case 4: world_remove(w, rng_below(&w->rng, 10) ? 1 : w->n); break;
        case 5: world_maintain(w, rng_below(&w->rng, 2) ? 0 : 5000); break;
        case 6: (void)(rng_below(&w->rng, 3) == 0 && world_reload(w)); break;
        case 7: world_search(w, 1, w->n + 3, NULL, 1); break; /* k beyond what is there */
        case 8: world_search(w, 40, 10, NULL, 3); break;
        case 9: world_range(w, 1 + rng_below(&w->rng, 5), NULL); break;
        default: {
            uint64_t *bits = random_filter(w, 1 + rng_below(&w->rng, 12), &filter);
            world_search(w, 1 + rng_below(&w->rng, 3), 10, &filter, 1 + rng_below(&w->rng, 3));
            world_range(w, 2, &filter);
            free(bits);
        }
    }
}

static void test_history(struct world *w)
{
    world_ok(w, world_open(w));
    world_search(w, (w->ops->flags & INDEX_NEEDS_TRAIN) ? 0 : 2, 5, NULL, 1);
    world_train(w);
    world_search(w, 2, 5, NULL, 1);
    for (w->step = 1; w->step <= 40; w->step++) {
        random_step(w);
        world_check(w);
        world_search(w, 1, 1 + rng_below(&w->rng, 12), NULL, 1);
    }
}

/* One long insert, so that what grows by batches grows past a few thousand rows once for each
   element; for the other metrics more rows than in a history. */
static void test_many_rows(struct world *w)
{
    if (w->dim != 7 && w->dim != 64)
        return;
    const size_t n = test_is_long() || world_is_first_metric(w) ? 1500 : 400;
    world_begin_with(w, n);
    world_insert(w, n / 3);
    world_check(w);
    world_search(w, 40, 10, NULL, 3);
    world_search(w, 1, 100, NULL, 3);
    static const double radii[] = { -1e30, -1, -0.5, 0, 0.5, 1e30 };
    void *queries = world_rows(w, 3);
    for (size_t i = 0; i < sizeof radii / sizeof *radii; i++)
        world_range_at(w, queries, 3, NULL, radii[i]);
    free(queries);
    world_remove(w, n + n / 3 - 100);
    world_check(w);
    world_search(w, 3, 200, NULL, 1);
}

static void expect_same(struct world *w, const uint64_t *ids_a, const float *a,
                        const uint64_t *ids_b, const float *b, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        world_expect(w, ids_a[i] == ids_b[i] && memcmp(&a[i], &b[i], sizeof a[i]) == 0,
                     "%s: answer %zu is id %" PRIu64 " at %.9g, was %" PRIu64 " at %.9g", what, i,
                     ids_b[i], (double)b[i], ids_a[i], (double)a[i]);
}

#define QUERIES 25
#define K       8

static void history_with_answers(struct world *w, uint64_t ids[QUERIES * K],
                                 float distances[QUERIES * K])
{
    w->rng = rng_at(test_seed(), 99);
    world_begin_with(w, 150);
    world_remove(w, 40);
    world_insert(w, 90);
    void *queries = world_rows(w, QUERIES);
    world_answers(w, queries, QUERIES, K, NULL, 1, ids, distances);
    free(queries);
}

static void forget(struct world *w)
{
    index_close(&w->index);
    w->n = w->n_retired = 0;
    w->next_id = 0;
}

static void test_determinism(struct world *w)
{
    uint64_t ids[2][QUERIES * K];
    float distances[2][QUERIES * K];
    if (!world_is_sampled(w, 1))
        return;
    struct pool *one_thread = pool_create(1);
    world_expect(w, one_thread, "no thread");
    w->bench.env.pool = one_thread;
    history_with_answers(w, ids[0], distances[0]);
    forget(w);
    char fresh[PATH_MAX];
    world_expect(w, snprintf(fresh, sizeof fresh, "%.4000s/again", w->dir) > 0, "path");
    test_dir_remove(w->state);
    strcpy(w->state, fresh);
    world_expect(w, mkdir(fresh, 0777) == 0, "mkdir");
    history_with_answers(w, ids[1], distances[1]);
    expect_same(w, ids[0], distances[0], ids[1], distances[1], QUERIES * K,
                "the same history again");
    index_close(&w->index);
    pool_destroy(one_thread);
}

static void test_save_and_load(struct world *w)
{
    uint64_t ids[2][QUERIES * K];
    float distances[2][QUERIES * K];
    if (!world_is_sampled(w, 0))
        return;
    if (!w->ops->save || !w->ops->load) {
        print_message("           %s cannot save and load: skipped\n", w->ops->name);
        return;
    }
    history_with_answers(w, ids[0], distances[0]);
    void *queries = world_rows(w, QUERIES);
    world_answers(w, queries, QUERIES, K, NULL, 1, ids[0], distances[0]);
    world_expect(w, world_reload(w), "reload");
    world_check(w);
    world_answers(w, queries, QUERIES, K, NULL, 1, ids[1], distances[1]);
    expect_same(w, ids[0], distances[0], ids[1], distances[1], QUERIES * K, "after loading");
    free(queries);
    world_insert(w, 30);
    world_remove(w, 20);
    world_check(w);
    world_search(w, 5, 10, NULL, 1);
    /* Over what is there already, and of nothing. */
    w->step = 1;
    if (w->ops->remove) {
        world_remove(w, w->n);
        world_expect(w, world_reload(w), "reload");
        world_check(w);
        world_search(w, 2, 3, NULL, 1);
        w->step = 2;
        world_insert(w, 20);
    }
    world_expect(w, world_reload(w), "reload");
    world_search(w, 2, 30, NULL, 1);
}

static void test_filters(struct world *w)
{
    if (!world_is_sampled(w, 0))
        return;
    world_begin_with(w, 300);
    struct id_filter filter;
    uint64_t *bits = random_filter(w, 1, &filter); /* all */
    world_search(w, 3, 10, &filter, 1);
    memset(bits, 0, (w->next_id / 64 + 1) * sizeof *bits);
    world_search(w, 3, 10, &filter, 1); /* none */
    world_search(w, 3, 1, &filter, 1);
    world_search(w, 30, 1, &filter, 1);
    world_range(w, 2, &filter);
    const uint64_t one = w->ids[17] < w->next_id ? w->ids[17] : 0;
    bits[one / 64] |= UINT64_C(1) << (one % 64);
    world_search(w, 3, 10, &filter, 1); /* one */
    filter = (struct id_filter){ NULL, 0 };
    world_search(w, 3, 10, &filter, 1);
    free(bits);
}

/* Few rows of many are left, so most lists are empty: searches answer k of them all the same, one
   query at a time and many together, and so they do after maintenance. */
static void test_few_left(struct world *w)
{
    if (!w->ops->remove || !world_is_sampled(w, 1))
        return;
    world_begin_with(w, 700);
    world_remove(w, 500);
    world_remove(w, w->n - 12);
    for (size_t i = 0; i < 2; i++) {
        world_search(w, 40, 10, NULL, 1);
        world_search(w, 1, 12, NULL, 2);
        for (bool more = i == 0; more;)
            more = world_maintain(w, 0);
        world_check(w);
    }
    world_insert(w, 30);
    world_check(w);
    world_search(w, 5, 40, NULL, 1);
}

/* Identical rows in bulk, then more of them: no method may lose or multiply them. */
static void test_equal_rows(struct world *w)
{
    if (!world_is_sampled(w, 1))
        return;
    world_open_trained(w);
    const size_t n = 200;
    unsigned char *rows = world_rows(w, n);
    uint64_t ids[200];
    for (size_t i = 0; i < n; i++) {
        memcpy(rows + i * w->row_bytes, rows, w->row_bytes);
        ids[i] = w->next_id++;
    }
    size_t done;
    world_ok(w, index_insert(&w->index, world_vectors(w, rows, n), ids, &done));
    world_note_inserted(w, rows, ids, n);
    world_check(w);
    uint64_t found[50];
    float distances[50];
    world_answers(w, rows, 1, 50, NULL, 1, found, distances);
    world_remove(w, 120);
    world_check(w);
    world_answers(w, rows, 1, 50, NULL, 1, found, distances);
    free(rows);
}

/* A value within a knob's range may still contradict the parameters, which must be an error. */
static void search_or_refusal(struct world *w)
{
    uint64_t ids[4];
    float distances[4];
    void *query = world_rows(w, 1);
    const struct search_request request = { world_vectors(w, query, 1), 4, w->knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    const int rc = index_search(&w->index, &request, &result);
    if (rc == OK)
        world_answers(w, query, 1, 4, NULL, 1, ids, distances);
    else
        world_refuses(w, ERR_ARGUMENT, rc);
    free(query);
}

static void test_knobs(struct world *w)
{
    char before[512];
    if (!world_is_sampled(w, 0))
        return;
    world_begin_with(w, 250);
    world_expect(w, w->ops->knobs_bytes <= sizeof before, "knobs of %zu bytes",
                 w->ops->knobs_bytes);
    memcpy(before, w->knobs, w->ops->knobs_bytes);
    const unsigned flags = w->flags;
    /* Each numeric knob at its bounds, then everything as it was: answers may only change
       in between. */
    if (!(w->ops->flags & INDEX_EXACT))
        w->flags = (w->flags & ~(unsigned)EXHAUSTIVE) | MAY_BE_SHORT;
    for (const struct param *p = w->ops->knobs; p && p->name; p++) {
        const double bounds[] = { p->min, p->max < 1e6 ? p->max : 1e6 };
        for (size_t i = 0; i < 2 && p->type == PARAM_TYPE_INT; i++) {
            world_ok(w, param_set(w->ops->knobs, w->knobs, p->name,
                                  (struct param_value){ .kind = VALUE_NUMBER, .number = bounds[i] },
                                  w->ops->name, &w->bench.error));
            search_or_refusal(w);
        }
    }
    w->flags = flags;
    memcpy(w->knobs, before, w->ops->knobs_bytes);
    world_search(w, 3, 10, NULL, 1);
    world_check(w);
}

/* ------------------------------------------------------------------------------- reports */

static void finite_value(void *to, const char *name, double value)
{
    struct world *w = to;
    world_expect(w, name && *name && isfinite(value), "stat \"%s\" is %g", name ? name : "NULL",
                 value);
}

static void finite_cell(void *to, const char *table, size_t row, const char *column, double value)
{
    struct world *w = to;
    world_expect(w, table && *table && column && *column && isfinite(value),
                 "stat %s[%zu].%s is %g", table ? table : "NULL", row, column ? column : "NULL",
                 value);
}

static void expect_reports(struct world *w)
{
    const struct stat_sink sink = { finite_value, finite_cell, w };
    struct stat_sink copy = sink;
    if (w->ops->stats)
        world_ok(w, w->ops->stats(w->index.index, &copy));
    world_ok(w, index_check(&w->index, &copy));
    if (!w->ops->memory)
        return;
    struct memory_use use = { 0 };
    world_ok(w, w->ops->memory(w->index.index, &use));
    const uint64_t sum = use.vectors + use.codes + use.graph + use.ids + use.other;
    const size_t live = mem_live(&w->bench.mem);
    world_expect(w, sum + use.disk >= w->n * w->row_bytes,
                 "memory(): %" PRIu64 " bytes for %zu rows of %zu", sum, w->n, w->row_bytes);
    /* The account counts block heads, rounding and what is reserved but not touched yet too. */
    world_expect(w,
                 (w->flags & BASELINE) || (sum <= live + live / 20 && live <= 2 * sum + (1U << 20)),
                 "memory() says %" PRIu64 " bytes, the account %zu", sum, live);
}

static void test_reports(struct world *w)
{
    if (!world_is_sampled(w, 1))
        return;
    world_ok(w, world_open(w));
    expect_reports(w);
    world_train(w);
    expect_reports(w);
    world_insert(w, 400);
    expect_reports(w);
    world_remove(w, 280);
    expect_reports(w);
    world_search(w, 5, 10, NULL, 1);
    expect_reports(w);
}

/* Of 3 queries of 333 rows. A field that is NAN is not reported. */
static void expect_work(struct world *w, const struct work *work)
{
    const double fields[] = { work->distances, work->estimates, work->bytes_read, work->scanned };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        world_expect(w, isnan(fields[i]) || (fields[i] >= 0 && isfinite(fields[i])),
                     "field %zu of struct work is %g", i + 1, fields[i]);
    world_expect(w,
                 isnan(work->distances) || isnan(work->estimates) ||
                     work->distances + work->estimates > 0,
                 "a search without any work");
    if ((w->flags & COMPARES_ALL) && work->scanned > 0)
        world_expect(w, work->scanned >= 999, "%g copies scanned of 333, by 3 queries",
                     work->scanned);
    if (!(w->flags & COMPARES_ONCE))
        return;
    world_expect(w, work->distances == 999, "%g distances, expected 999", work->distances);
    world_expect(w, work->bytes_read == 999.0 * (double)w->row_bytes, "%g bytes read",
                 work->bytes_read);
    world_expect(w, work->scanned == 999, "%g rows scanned", work->scanned);
}

static void test_work(struct world *w)
{
    if (!world_is_sampled(w, 0))
        return;
    world_begin_with(w, 333);
    void *queries = world_rows(w, 3);
    uint64_t ids[30];
    float distances[30];
    const struct search_request request = { world_vectors(w, queries, 3), 10, w->knobs, NULL, 2 };
    struct search_result result = { .ids = ids, .distances = distances };
    world_ok(w, index_search(&w->index, &request, &result));
    expect_work(w, &result.work);
    free(queries);
}

/* ---- searches from several threads at once */

struct searcher {
    const struct world *w;
    pthread_t thread;
    struct search_request request;
    int rc;
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
    size_t found; /* in range */
};

static int count_found(void *to, size_t query, uint64_t id, float distance)
{
    ++*(size_t *)to;
    return OK;
}

/* As far as the first query's answers reach: of each query some. */
static int range_once(const struct world *w, struct searcher *s)
{
    const struct range_request request = { s->request.queries, (double)s->distances[K - 1],
                                           w->knobs, NULL, s->request.threads };
    struct range_result result = { .found = count_found, .to = &s->found };
    return w->ops->range ? w->ops->range(w->index.index, &request, &result) : OK;
}

static void *search_often(void *arg)
{
    struct searcher *s = arg;
    for (size_t i = 0; i < 3 && s->rc == OK; i++) {
        struct search_result result = { .ids = s->ids, .distances = s->distances };
        s->rc = s->w->ops->search(s->w->index.index, &s->request, &result);
        s->found = 0;
        if (s->rc == OK)
            s->rc = range_once(s->w, s);
    }
    return NULL;
}

static void test_side_by_side(struct world *w)
{
    enum { SEARCHERS = 4 };
    static struct searcher all[SEARCHERS];
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
    if (!(w->ops->flags & INDEX_CONCURRENT_SEARCH) || !world_is_sampled(w, 1))
        return;
    history_with_answers(w, ids, distances);
    void *queries = world_rows(w, QUERIES);
    world_answers(w, queries, QUERIES, K, NULL, 1, ids, distances);
    for (size_t i = 0; i < SEARCHERS; i++) {
        /* Half of them want the pool, which only one can have. */
        all[i] = (struct searcher){
            .w = w, .request = { world_vectors(w, queries, QUERIES), K, w->knobs, NULL, 1 + i % 2 }
        };
        world_expect(w, pthread_create(&all[i].thread, NULL, search_often, &all[i]) == 0,
                     "no thread");
    }
    for (size_t i = 0; i < SEARCHERS; i++)
        (void)pthread_join(all[i].thread, NULL);
    for (size_t i = 0; i < SEARCHERS; i++) {
        world_ok(w, all[i].rc);
        expect_same(w, ids, distances, all[i].ids, all[i].distances, QUERIES * K,
                    "beside other searches");
        world_expect(w, all[i].found == all[0].found, "%zu and %zu in range", all[i].found,
                     all[0].found);
    }
    free(queries);
}

/* ---- changes beside searches */

static atomic_bool changing;

/* Searches while the rows change: no error, and no id twice. */
static void *search_meanwhile(void *arg)
{
    struct searcher *s = arg;
    do {
        struct search_result result = { .ids = s->ids, .distances = s->distances };
        s->rc = s->w->ops->search(s->w->index.index, &s->request, &result);
        for (size_t i = 0; s->rc == OK && i < QUERIES * K; i++)
            for (size_t j = i / K * K; j < i; j++)
                s->found += s->ids[i] == s->ids[j] && s->ids[i] != INDEX_NO_ID;
    } while (s->rc == OK && atomic_load(&changing));
    return NULL;
}

static void test_changes_beside_searches(struct world *w)
{
    enum { SEARCHERS = 2, ROUNDS = 4 };
    static struct searcher all[SEARCHERS];
    bool more;
    if (!(w->ops->flags & INDEX_CONCURRENT_UPDATE) || !world_is_sampled(w, 0))
        return;
    w->rng = rng_at(test_seed(), 97);
    world_begin_with(w, 150);
    void *queries = world_rows(w, QUERIES);
    atomic_store(&changing, true);
    for (size_t i = 0; i < SEARCHERS; i++) {
        all[i] = (struct searcher){
            .w = w, .request = { world_vectors(w, queries, QUERIES), K, w->knobs, NULL, 1 }
        };
        world_expect(w, pthread_create(&all[i].thread, NULL, search_meanwhile, &all[i]) == 0,
                     "no thread");
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        world_insert(w, 40);
        world_remove(w, 30);
        if (w->ops->maintain)
            world_ok(w, w->ops->maintain(w->index.index, 0, &more));
    }
    atomic_store(&changing, false);
    for (size_t i = 0; i < SEARCHERS; i++)
        (void)pthread_join(all[i].thread, NULL);
    for (size_t i = 0; i < SEARCHERS; i++) {
        world_ok(w, all[i].rc);
        world_expect(w, all[i].found == 0, "%zu ids were answered twice", all[i].found);
    }
    free(queries);
    world_check(w);
    world_search(w, QUERIES, K, NULL, 1);
}

int main(void)
{
    return world_run("contract", test_history, test_many_rows, test_determinism, test_save_and_load,
                     test_filters, test_few_left, test_equal_rows, test_knobs, test_reports,
                     test_work, test_side_by_side, test_changes_beside_searches);
}
