/* test_phantom.c - filtering by phantom dimensions, as in cosdata, compared with
 * CHANNI's attributes.
 *
 * There a field of C values adds ceil(log2 C) dimensions to each vector: +1024 or -1024 by the bits
 * of the value, and +1 or -1 in the query. A matching row scores its similarity plus 1024 per
 * dimension, so one graph serves both filter and similarity. The price is the large common offset:
 * similarities of unit vectors differ by thousandths, while a float's precision beside the offset
 * is 2^-12 with two dimensions and 2^-8 with fifty; a byte has none left. This test measures that
 * loss. Attributes stored beside the vectors lose nothing. */
#include "tests/unit/channi/support.h"

enum { ROWS = 6000, QUERIES = 24, DIM = 96, CLASSES = 12, BITS = 4, NEAR = 10, FIELDS_MOST = 16 };
static const float weight = 1024;

/* The value of a class's field: a different code for each field. */
static unsigned value_of(int64_t class, unsigned field)
{
    return (class * 5 + field * 7) % CLASSES;
}

/* Appends the dimensions of `fields` fields to a vector. */
static void widen(const float *row, int64_t class, unsigned fields, float by, float *out)
{
    memcpy(out, row, DIM * sizeof *out);
    for (unsigned f = 0; f < fields; f++)
        for (unsigned b = 0; b < BITS; b++)
            out[DIM + f * BITS + b] = value_of(class, f) >> b & 1 ? by : -by;
}

struct scene {
    float rows[ROWS * DIM], queries[QUERIES * DIM];
    int64_t class_of[ROWS], asked[QUERIES];
};

static void make_scene(struct scene *s)
{
    struct rng r = rng_at(test_seed(), 21);

    /* Queries are drawn together with the rows, so that they have near neighbours. */
    float *all = malloc((ROWS + QUERIES) * DIM * sizeof *all);
    assert_non_null(all);
    test_fill_f32(&r, all, ROWS + QUERIES, DIM, 6, .2);
    test_normalise_f32(all, ROWS + QUERIES, DIM);
    memcpy(s->rows, all, sizeof s->rows);
    memcpy(s->queries, all + ROWS * DIM, sizeof s->queries);
    free(all);
    for (size_t i = 0; i < ROWS; i++)
        s->class_of[i] = (int64_t)rng_below(&r, CLASSES);
    for (size_t q = 0; q < QUERIES; q++)
        s->asked[q] = (int64_t)rng_below(&r, CLASSES);
}

static double dot(const float *a, const float *b)
{
    double sum = 0;

    for (size_t d = 0; d < DIM; d++)
        sum += (double)a[d] * (double)b[d];
    return sum;
}

/* How many of these ids are of the class and as near as the true NEAR-th neighbour, within 1e-6,
   which exceeds the rounding of the true scores. */
static size_t hits(const struct scene *s, size_t q, const uint64_t *ids)
{
    double best[NEAR];
    size_t found = 0;

    for (size_t i = 0; i < NEAR; i++)
        best[i] = -HUGE_VAL;
    for (size_t i = 0; i < ROWS; i++) {
        double at = dot(s->queries + q * DIM, s->rows + i * DIM);
        for (size_t j = 0; s->class_of[i] == s->asked[q] && j < NEAR; j++)
            if (at > best[j]) {
                const double lower = best[j];
                best[j] = at;
                at = lower;
            }
    }
    for (size_t i = 0; i < NEAR; i++)
        found += ids[i] < ROWS && s->class_of[ids[i]] == s->asked[q] &&
                 dot(s->queries + q * DIM, s->rows + ids[i] * DIM) >= best[NEAR - 1] - 1e-6;
    return found;
}

/* An exact scan of the widened vectors, in single precision, with the methods' kernels. */
static double recall_of_floats(const struct scene *s, unsigned fields)
{
    const struct kernels *k = kernels_select(ISA_AVX512);
    const size_t dim = DIM + fields * BITS;
    float *rows = malloc(ROWS * dim * sizeof *rows), query[DIM + FIELDS_MOST * BITS];
    size_t found = 0;

    assert_non_null(rows);
    for (size_t i = 0; i < ROWS; i++)
        widen(s->rows + i * DIM, s->class_of[i], fields, weight, rows + i * dim);
    for (size_t q = 0; q < QUERIES; q++) {
        uint64_t ids[NEAR];
        float scores[NEAR];
        struct topk top = topk_begin(NEAR, scores, ids);

        widen(s->queries + q * DIM, s->asked[q], fields, 1, query);
        for (size_t i = 0; i < ROWS; i++)
            topk_push(&top, -k->ip_f32(query, rows + i * dim, dim), i);
        topk_sort(&top);
        found += hits(s, q, ids);
    }
    free(rows);
    return (double)found / (QUERIES * NEAR);
}

static int32_t rounded(float x, float step)
{
    return (int32_t)lrintf(x / step);
}

/* The same with rows as bytes: -127 .. 127 over their range, which is that of the offsets. */
static double recall_of_bytes(const struct scene *s, unsigned fields)
{
    const size_t dim = DIM + fields * BITS;
    const float most = fields ? weight : .5F, step = most / 127;
    float row[DIM + FIELDS_MOST * BITS], query[DIM + FIELDS_MOST * BITS];
    size_t found = 0;

    for (size_t q = 0; q < QUERIES; q++) {
        uint64_t ids[NEAR];
        float scores[NEAR];
        struct topk top = topk_begin(NEAR, scores, ids);

        widen(s->queries + q * DIM, s->asked[q], fields, 1, query);
        for (size_t i = 0; i < ROWS; i++) {
            double sum = 0;

            widen(s->rows + i * DIM, s->class_of[i], fields, weight, row);
            for (size_t d = 0; d < dim; d++)
                sum += (double)query[d] * rounded(fmaxf(fminf(row[d], most), -most), step);
            topk_push(&top, (float)-sum, i);
        }
        topk_sort(&top);
        found += hits(s, q, ids);
    }
    return (double)found / (QUERIES * NEAR);
}

/* CHANNI's attributes on the same rows, one query at a time. */
static double recall_of_attributes(const struct scene *s, const struct channi_knobs *knobs)
{
    static struct book b;
    struct channi_params params = book_defaults();
    uint64_t *ids = malloc(ROWS * sizeof *ids), answers[NEAR];
    float distances[NEAR];
    size_t found = 0, done = 0;

    assert_non_null(ids);
    for (size_t i = 0; i < ROWS; i++)
        ids[i] = i;
    params.target_cluster = 100;
    params.split_max = params.merge_min = 0;
    params.defer_fraction = 0;
    book_open(&b, params, INDEX_F32, DIM, 1, 1);
    assert_ok(channi_ops.attributes->insert(b.index,
                                            (struct vectors){ s->rows, ROWS, DIM, INDEX_F32 }, ids,
                                            s->class_of, &done),
              &b.bench.error);
    for (size_t q = 0; q < QUERIES; q++) {
        const struct search_request request = {
            { s->queries + q * DIM, 1, DIM, INDEX_F32 }, NEAR, knobs, NULL, 1
        };
        struct search_result result = { .ids = answers, .distances = distances };
        const struct attribute_filter range = ONE_RANGE(s->asked[q], s->asked[q]);

        assert_ok(channi_ops.attributes->search(b.index, &request, &range, &result),
                  &b.bench.error);
        found += hits(s, q, answers);
    }
    book_close(&b);
    free(ids);
    return (double)found / (QUERIES * NEAR);
}

static void test_precision(void **state)
{
    static struct scene s;
    const struct channi_knobs all = book_exhaustive(), usual = book_knobs();
    double fields[5];

    make_scene(&s);
    for (unsigned i = 0; i < 5; i++)
        fields[i] = recall_of_floats(&s, 1U << i);
    const double bytes = recall_of_bytes(&s, 1), exact = recall_of_attributes(&s, &all),
                 near = recall_of_attributes(&s, &usual);
    print_message("recall@%d among one class of %d: attributes %.4f (defaults %.4f); phantom "
                  "floats, 1 2 4 8 16 "
                  "fields: %.4f %.4f %.4f %.4f %.4f; phantom bytes, 1 field: %.4f\n",
                  NEAR, CLASSES, exact, near, fields[0], fields[1], fields[2], fields[3], fields[4],
                  bytes);
    assert_true(exact == 1);
    assert_true(near > .9);
    /* The more fields a query has, the less precision is left in a float. */
    assert_true(fields[4] < fields[0] && fields[4] < .97);
    /* A byte only finds the class: any of its rows. */
    assert_true(bytes < .2);
}

/* Control: without the offset both measures lose only what the type cannot represent. */
static void test_the_measures(void **state)
{
    static struct scene s;

    make_scene(&s);
    memset(s.class_of, 0, sizeof s.class_of);
    memset(s.asked, 0, sizeof s.asked);
    assert_true(recall_of_floats(&s, 0) == 1);
    assert_true(recall_of_bytes(&s, 0) > .7);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_precision),
                                        cmocka_unit_test(test_the_measures) };
    return test_run("channi_phantom", tests);
}
