/* test_input.c - arguments no method should get, and small or odd ones that every method
 * must take. */
#include "tests/contract/world.h"

static struct search_request request_of(const struct world *w, const void *queries, size_t n,
                                        size_t k)
{
    return (struct search_request){ world_vectors(w, queries, n), k, w->knobs, NULL, 1 };
}

static void put_component(const struct world *w, void *row, size_t j, float x)
{
    memcpy((char *)row + j * sizeof x, &x, sizeof x);
}

static void expect_unharmed(struct world *w)
{
    world_check(w);
    world_search(w, 2, 5, NULL, 1);
}

/* Wrong vectors are refused alike wherever they come in. */
static void refuse_vectors(struct world *w, int code, struct vectors v)
{
    uint64_t ids[2] = { w->next_id, w->next_id + 1 }, found[10];
    float distances[10];
    size_t done = 99;
    struct search_request request = request_of(w, NULL, 0, 5);
    struct search_result result = { .ids = found, .distances = distances };
    request.queries = v;
    world_refuses(w, code, index_insert(&w->index, v, ids, &done));
    world_expect(w, done == 0, "a refused insert says %zu rows are in", done);
    world_refuses(w, code, index_search(&w->index, &request, &result));
    if (w->ops->train)
        world_refuses(w, code, index_train(&w->index, v));
    expect_unharmed(w);
}

static void test_bad_vectors(struct world *w)
{
    world_begin_with(w, 30);
    unsigned char *rows = world_rows(w, 2);
    struct vectors v = world_vectors(w, rows, 2);
    if (w->space.element == INDEX_F32) {
        static const float odd[] = { NAN, INFINITY, -INFINITY };
        for (size_t i = 0; i < 3; i++) {
            memcpy(rows + w->row_bytes, rows, w->row_bytes);
            put_component(w, rows + w->row_bytes, w->dim - 1, odd[i]);
            refuse_vectors(w, ERR_NOT_FINITE, v);
            world_expect(w, !w->bench.error.code, "cleared");
        }
    }
    memcpy(rows + w->row_bytes, rows, w->row_bytes);
    if (w->space.metric == INDEX_COS) {
        memset(rows + w->row_bytes, 0, w->row_bytes);
        refuse_vectors(w, ERR_ZERO_VECTOR, v);
        memcpy(rows + w->row_bytes, rows, w->row_bytes);
    }
    v.dim = w->dim + 1;
    v.n = 1;
    refuse_vectors(w, ERR_DIMENSION, v);
    v.dim = w->dim;
    v.element = w->space.element == INDEX_F32 ? INDEX_U8 : INDEX_F32;
    refuse_vectors(w, ERR_DIMENSION, v);
    v.element = w->space.element;
    v.rows = NULL;
    refuse_vectors(w, ERR_ARGUMENT, v);
    free(rows);
}

/* The id comes back with another row. */
static void remove_twice_and_insert_again(struct world *w, const void *rows, uint64_t id)
{
    size_t done;
    world_ok(w, index_remove(&w->index, &id, 1, &done));
    world_note_removed(w, id);
    world_refuses(w, ERR_UNKNOWN_ID, index_remove(&w->index, &id, 1, &done));
    world_ok(w, index_insert(&w->index, world_vectors(w, rows, 1), &id, &done));
    world_note_inserted(w, rows, &id, 1);
    w->n_retired = 0;
}

static void test_bad_ids(struct world *w)
{
    world_begin_with(w, 30);
    unsigned char *rows = world_rows(w, 3);
    const uint64_t live = w->ids[3], fresh = w->next_id;
    const struct {
        int code;
        uint64_t ids[3];
    } inserts[] = {
        { ERR_DUPLICATE_ID, { fresh, fresh + 1, fresh } },
        { ERR_DUPLICATE_ID, { fresh, fresh, fresh + 1 } },
        { ERR_DUPLICATE_ID, { fresh, fresh + 1, live } },
        { ERR_ARGUMENT, { fresh, INDEX_NO_ID, fresh + 1 } },
    };
    size_t done;
    for (size_t i = 0; i < sizeof inserts / sizeof *inserts; i++) {
        done = 99;
        world_refuses(w, inserts[i].code,
                      index_insert(&w->index, world_vectors(w, rows, 3), inserts[i].ids, &done));
        world_expect(w, done == 0, "a refused insert says %zu rows are in", done);
        expect_unharmed(w);
    }
    world_refuses(w, ERR_ARGUMENT, index_insert(&w->index, world_vectors(w, rows, 3), NULL, &done));
    if (!w->ops->remove) {
        world_refuses(w, ERR_UNSUPPORTED, index_remove(&w->index, &live, 1, &done));
        free(rows);
        return;
    }
    const struct {
        int code;
        uint64_t ids[3];
    } removes[] = {
        { ERR_UNKNOWN_ID, { w->ids[0], fresh + 5, w->ids[1] } },
        { ERR_DUPLICATE_ID, { w->ids[0], w->ids[1], w->ids[0] } },
        { ERR_ARGUMENT, { w->ids[0], INDEX_NO_ID, w->ids[1] } },
    };
    for (size_t i = 0; i < sizeof removes / sizeof *removes; i++) {
        done = 99;
        world_refuses(w, removes[i].code, index_remove(&w->index, removes[i].ids, 3, &done));
        world_expect(w, done == 0, "a refused delete says %zu rows are out", done);
        expect_unharmed(w);
    }
    remove_twice_and_insert_again(w, rows, live);
    expect_unharmed(w);
    free(rows);
}

static void test_bad_requests(struct world *w)
{
    world_begin_with(w, 30);
    void *query = world_rows(w, 1);
    uint64_t ids[8];
    float distances[8];
    struct search_result result = { .ids = ids, .distances = distances };
    struct search_request request = request_of(w, query, 1, 0);
    world_refuses(w, ERR_ARGUMENT, index_search(&w->index, &request, &result));
    w->index.k_max = 7;
    request.k = 8;
    world_refuses(w, ERR_ARGUMENT, index_search(&w->index, &request, &result));
    w->index.k_max = 0;
    const struct id_filter no_bits = { NULL, 10 };
    request.filter = &no_bits;
    world_refuses(w, ERR_ARGUMENT, index_search(&w->index, &request, &result));
    request.filter = NULL;
    if (param_count(w->ops->knobs) > 0) {
        request.knobs = NULL;
        world_refuses(w, ERR_ARGUMENT, index_search(&w->index, &request, &result));
        request.knobs = w->knobs;
    }
    struct range_request range = { request.queries, (double)NAN, w->knobs, NULL, 1 };
    struct range_result nobody = { .found = NULL };
    world_refuses(w, w->ops->range ? ERR_ARGUMENT : ERR_UNSUPPORTED,
                  index_range(&w->index, &range, &nobody));
    expect_unharmed(w);
    free(query);
}

/* Insertion before training: refused by a method that needs it, taken by all others. */
static void test_untrained(struct world *w)
{
    world_ok(w, world_open(w));
    if (!(w->ops->flags & INDEX_NEEDS_TRAIN)) {
        world_insert(w, 40);
        world_check(w);
        world_search(w, 3, 10, NULL, 1);
        return;
    }
    unsigned char *rows = world_rows(w, 2);
    uint64_t ids[] = { 1, 2 };
    size_t done = 99;
    world_refuses(w, ERR_UNTRAINED, index_insert(&w->index, world_vectors(w, rows, 2), ids, &done));
    world_expect(w, done == 0, "a refused insert says %zu rows are in", done);
    world_train(w);
    world_insert(w, 40);
    world_check(w);
    world_search(w, 3, 10, NULL, 1);
    free(rows);
}

/* Nothing, one, and nothing again. */
static void test_few_rows(struct world *w)
{
    size_t done = 99;
    world_open_trained(w);
    world_check(w);
    world_search(w, 3, 10, NULL, 1);
    world_range(w, 1, NULL);
    world_ok(w, index_insert(&w->index, world_vectors(w, NULL, 0), NULL, &done));
    world_expect(w, done == 0, "an empty insert says %zu rows are in", done);
    world_search(w, 0, 10, NULL, 1);
    world_insert(w, 1);
    world_check(w);
    world_search(w, 3, 10, NULL, 3);
    world_search(w, 1, 1, NULL, 1);
    world_range(w, 2, NULL);
    if (!w->ops->remove)
        return;
    world_ok(w, index_remove(&w->index, NULL, 0, &done));
    world_remove(w, 1);
    world_check(w);
    world_search(w, 2, 3, NULL, 1);
    world_insert(w, 2);
    world_check(w);
    world_search(w, 2, 3, NULL, 1);
}

/* The largest ids there are, and rows at odd addresses. */
static void test_odd_arguments(struct world *w)
{
    world_open_trained(w);
    const size_t n = 20;
    unsigned char *rows = world_rows(w, n), *odd = malloc(n * w->row_bytes + 1);
    uint64_t ids[20], found[5];
    float distances[5];
    world_expect(w, odd, "no memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = i < 10 ? INDEX_NO_ID - 1 - i : i;
    memcpy(odd + 1, rows, n * w->row_bytes);
    size_t done;
    world_ok(w, index_insert(&w->index, world_vectors(w, odd + 1, n), ids, &done));
    world_note_inserted(w, rows, ids, n);
    world_check(w);
    world_answers(w, rows, 1, 5, NULL, 1, found, distances);
    free(rows);
    free(odd);
}

/* Lengths of 1e-24 to 1e20, of which those from 2e-19 to 8e18 fit; some rows alike but for their
   length. */
static float *rows_of_any_length(struct world *w, size_t n)
{
    float *rows = world_rows(w, n);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < w->dim; j++)
            sum += (double)rows[i * w->dim + j] * (double)rows[i * w->dim + j];
        const double length = pow(10, -24 + 44 * rng_unit(&w->rng));
        for (size_t j = 0; j < w->dim; j++)
            rows[i * w->dim + j] = (float)((double)rows[i * w->dim + j] / sqrt(sum) * length);
    }
    return rows;
}

/* Keeps the rows that the door lets in; each other is refused by its number, wherever it comes in. */
static size_t keep_admitted(struct world *w, float *rows, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < w->dim; j++)
            sum += (double)rows[i * w->dim + j] * (double)rows[i * w->dim + j];
        const double length = sqrt(sum);
        const bool fits = length > 2e-19 && length < 8e18;
        if (!fits && (length < 1e-19 || length > 9.3e18)) {
            const uint64_t id = w->next_id;
            size_t done;
            world_refuses(
                w, ERR_NOT_FINITE,
                index_admit_vectors(&w->index, world_vectors(w, rows + i * w->dim, 1), "x"));
            world_refuses(
                w, ERR_NOT_FINITE,
                index_insert(&w->index, world_vectors(w, rows + i * w->dim, 1), &id, &done));
        }
        if (fits)
            memmove(rows + kept++ * w->dim, rows + i * w->dim, w->row_bytes);
    }
    return kept;
}

static void search_any_length(struct world *w)
{
    enum { QUERIES = 12, K = 5 };
    float *queries = rows_of_any_length(w, QUERIES), distances[QUERIES * K];
    uint64_t ids[QUERIES * K];
    world_answers(w, queries, keep_admitted(w, queries, QUERIES), K, NULL, 1, ids, distances);
    free(queries);
}

static void insert_any_length(struct world *w, size_t n)
{
    float *rows = rows_of_any_length(w, n);
    uint64_t *ids = calloc(n, sizeof *ids);
    size_t done;
    world_expect(w, ids, "no memory");
    n = keep_admitted(w, rows, n);
    for (size_t i = 0; i < n; i++)
        ids[i] = world_new_id(w);
    world_ok(w, index_insert(&w->index, world_vectors(w, rows, n), ids, &done));
    world_note_inserted(w, rows, ids, n);
    free(rows);
    free(ids);
}

/* The squares of most magnitudes of a float do not fit: such rows are refused at the door. With all
   others, in one index, there is no crash and no infinite distance. */
static void test_magnitudes(struct world *w)
{
    /* A bound that holds with a probability does not count the rounding of so unequal rows. */
    if (strstr(w->subject->setting.params, "eps0="))
        w->flags &= ~(unsigned)EXHAUSTIVE;
    if (w->space.element != INDEX_F32 || w->space.metric == INDEX_COS || w->dim == 1 || w->dim > 32)
        return;
    world_ok(w, world_open(w));
    if (w->ops->train) {
        float *rows = rows_of_any_length(w, 300);
        world_ok(w, index_train(&w->index, world_vectors(w, rows, keep_admitted(w, rows, 300))));
        free(rows);
    }
    for (size_t round = 0; round < 3; round++) {
        insert_any_length(w, 60);
        search_any_length(w);
        world_maintain(w, 0);
        world_remove(w, 20);
        world_check(w);
        search_any_length(w);
        (void)world_reload(w);
    }
}

/* create() refuses wrong shapes and spaces. */
static void test_bad_env(struct world *w)
{
    struct index_env env = w->bench.env;
    struct checked c;
    env.dim = 0;
    world_refuses(w, ERR_DIMENSION, index_open(&c, w->ops, &env, w->params));
    index_close(&c);
    env.dim = w->dim;
    env.metric = w->space.metric == INDEX_HAMMING ? INDEX_L2SQ : INDEX_HAMMING;
    world_refuses(w, ERR_DIMENSION, index_open(&c, w->ops, &env, w->params));
    index_close(&c);
}

int main(void)
{
    return world_run("input", test_bad_vectors, test_bad_ids, test_bad_requests, test_untrained,
                     test_few_rows, test_odd_arguments, test_magnitudes, test_bad_env);
}
