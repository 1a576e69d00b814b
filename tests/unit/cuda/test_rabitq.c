/* test_rabitq.c - the nearest rows of probed lists by RaBitQ codes: with certain bounds every row that
 * is among the k nearest is a candidate; and only estimates that are computed from the right code, with
 * the right terms, leave the rows that they should. */
#include <math.h>

#include "algorithms/common/quantizer/rabitq/device.h"
#include "kernels/kernels.h"
#include "tests/support/device.h"
#include "tests/support/testing.h"

enum { CAPACITY = 600 };

static const struct {
    size_t n, dim, lists, nq, nprobe, k, bits;
} shapes[] = {
    { 1, 3, 1, 1, 1, 1, 4 },       { 700, 31, 3, 70, 2, 5, 1 },   { 500, 64, 5, 9, 5, 10, 4 },
    { 400, 40, 40, 9, 30, 3, 5 },  { 900, 100, 2, 3, 1, 64, 8 },  { 300, 128, 3, 130, 1, 1, 2 },
    { 2500, 16, 1, 35, 1, 10, 8 }, { 300, 96, 2, 6, 2, 1000, 3 },
};

/* Row i is in list i % lists; its code is at place places[i], its vector at position i. */
struct set {
    struct test_bench bench;
    struct quantizer *quantizer;
    size_t n, dim, lists, nq, nprobe, k;
    float *rows, *queries, *centroids, *distances, *work;
    uint32_t *positions, *places, *probes, *words;
    uint64_t *starts;
    int8_t *high, *low;
    struct device_rabitq_row *codes;
    struct device_rabitq_query *terms;
};

static float distance_of(const float *a, const float *b, size_t dim)
{
    float sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static void allocate(struct set *s)
{
    s->rows = test_room(s->n * s->dim, sizeof *s->rows);
    s->queries = test_room(s->nq * s->dim, sizeof *s->queries);
    s->centroids = test_room(s->lists * s->dim, sizeof *s->centroids);
    s->distances = test_room(s->nq * s->nprobe, sizeof *s->distances);
    s->positions = test_room(s->n, sizeof *s->positions);
    s->places = test_room(s->n, sizeof *s->places);
    s->probes = test_room(s->nq * s->nprobe, sizeof *s->probes);
    s->starts = test_room(s->lists + 1, sizeof *s->starts);
    s->codes = test_room(s->n, sizeof *s->codes);
    s->terms = test_room(s->nq, sizeof *s->terms);
}

static void lay_out(struct set *s, struct rng *r)
{
    size_t n = 0;
    for (size_t list = 0; list < s->lists; list++) {
        for (size_t i = list; i < s->n; i += s->lists)
            s->positions[n++] = (uint32_t)i;
        s->starts[list + 1] = n;
    }
    for (size_t i = 0; i < s->n; i++)
        s->places[i] = (uint32_t)(s->n - 1 - i);
    for (size_t q = 0; q < s->nq; q++)
        for (size_t p = 0; p < s->nprobe; p++) {
            const uint32_t list = (uint32_t)((q + p) % s->lists);
            s->probes[q * s->nprobe + p] = rng_below(r, 9) ? list : DEVICE_NO_LIST;
            s->distances[q * s->nprobe + p] =
                distance_of(s->queries + q * s->dim, s->centroids + list * s->dim, s->dim);
        }
}

/* The code of the list's copy of a row, at the place of its position in the lists. */
static void encode(struct set *s)
{
    const struct quantizer *q = s->quantizer;
    void *block = aligned_alloc(64, (q->block_bytes + 63) / 64 * 64);
    float *work = test_room(2 * q->work_dim, sizeof *work), *centroid = work + q->work_dim;
    const size_t words = rabitq_device_words(q), dim = rabitq_device_dim(q);
    assert_non_null(block);
    memset(block, 0, q->block_bytes);
    s->words = test_room(s->n * words, sizeof *s->words);
    for (size_t i = 0; i < s->n; i++) {
        const uint32_t row = s->positions[i], place = s->places[i];
        quantizer_transform(q, s->rows + row * s->dim, 1, work);
        quantizer_transform(q, s->centroids + row % s->lists * s->dim, 1, centroid);
        (void)quantizer_put(q, work, centroid, block, i % QUANTIZER_BLOCK);
        rabitq_device_code(q, block, i % QUANTIZER_BLOCK, s->words + place * words,
                           &s->codes[place]);
    }
    s->high = test_room(s->nq * dim, 1);
    s->low = test_room(s->nq * dim, 1);
    for (size_t i = 0; i < s->nq; i++) {
        quantizer_transform(q, s->queries + i * s->dim, 1, work);
        rabitq_device_query(q, work, s->high + i * dim, s->low + i * dim, &s->terms[i]);
    }
    free(block);
}

static void begin(struct set *s, size_t shape)
{
    struct rng r = rng_at(test_seed(), shape);
    *s = (struct set){ .n = shapes[shape].n,
                       .dim = shapes[shape].dim,
                       .lists = shapes[shape].lists,
                       .nq = shapes[shape].nq,
                       .nprobe = shapes[shape].nprobe,
                       .k = shapes[shape].k > DEVICE_RABITQ_MAX_K ? 10 : shapes[shape].k };
    allocate(s);
    test_bench_begin(&s->bench, INDEX_F32, INDEX_L2SQ, s->dim, 1);
    test_fill_f32(&r, s->rows, s->n, s->dim, 0, 1);
    test_fill_f32(&r, s->queries, s->nq, s->dim, 0, 1);
    test_fill_f32(&r, s->centroids, s->lists, s->dim, 0, 0.3);
    const struct quantizer_options options = {
        .kind = QUANTIZER_RABITQ, .seed = 3, .bits = shapes[shape].bits, .eps0 = 1.9
    };
    assert_ok(quantizer_train(&s->quantizer, &s->bench.env, &options, s->rows, s->n),
              &s->bench.error);
    assert_true(rabitq_fits_device(s->quantizer));
    lay_out(s, &r);
    encode(s);
}

static void end(struct set *s)
{
    quantizer_destroy(&s->bench.env, s->quantizer);
    test_bench_end(&s->bench);
}

struct on_device {
    struct device_rows *rows;
    struct device_lists *lists;
    struct device_rabitq *codes;
};

static struct on_device put(const struct device_ops *ops, struct device_session *session,
                            const struct set *s)
{
    const struct quantizer *q = s->quantizer;
    const size_t words = rabitq_device_words(q), half = s->n / 2;
    struct on_device d;
    test_device_ok(ops, session, ops->rows->create(session, DEVICE_L2SQ, s->dim, &d.rows));
    test_device_ok(ops, session, ops->rows->put_f32(d.rows, 0, s->rows, s->n));
    test_device_ok(ops, session, ops->lists->create(session, &d.lists));
    test_device_ok(ops, session,
                   ops->lists->put(d.lists, s->positions, s->places, s->starts, s->lists));
    test_device_ok(
        ops, session,
        ops->rabitq->create(session, rabitq_device_dim(q), rabitq_device_bits(q), &d.codes));
    assert_int_equal(ops->rabitq->put(d.codes, 1, s->words, s->codes, 1), DEVICE_REFUSED);
    test_device_ok(ops, session, ops->rabitq->put(d.codes, 0, s->words, s->codes, half));
    test_device_ok(
        ops, session,
        ops->rabitq->put(d.codes, half, s->words + half * words, s->codes + half, s->n - half));
    assert_true(ops->rabitq->bytes(d.codes) >= s->n * words * sizeof(uint32_t));
    return d;
}

static void take(const struct device_ops *ops, struct on_device *d)
{
    ops->rabitq->destroy(d->codes);
    ops->lists->destroy(d->lists);
    ops->rows->destroy(d->rows);
}

static struct device_rabitq_queries queries_of(const struct set *s)
{
    return (struct device_rabitq_queries){ .n = s->nq,
                                           .rows = s->queries,
                                           .high = s->high,
                                           .low = s->low,
                                           .terms = s->terms,
                                           .probes = s->probes,
                                           .distances = s->distances,
                                           .nprobe = s->nprobe };
}

static bool is_probed(const struct set *s, size_t q, size_t row)
{
    bool found = false;
    for (size_t p = 0; p < s->nprobe; p++)
        found |= s->probes[q * s->nprobe + p] == row % s->lists;
    return found;
}

/* The k-th smallest distance of the probed rows. */
static float kth_distance(const struct set *s, size_t q)
{
    float *distances = test_room(s->n, sizeof *distances);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (is_probed(s, q, i))
            distances[n++] = distance_of(s->queries + q * s->dim, s->rows + i * s->dim, s->dim);
    qsort(distances, n, sizeof *distances, test_by_float);
    const float kth = n > 0 ? distances[(s->k < n ? s->k : n) - 1] : 0;
    return kth;
}

static void check_query(const struct set *s, size_t q, const struct device_candidate *found,
                        size_t n_found)
{
    const float *query = s->queries + q * s->dim;
    const float kth = kth_distance(s, q);
    uint8_t *seen = test_room(s->n, 1);
    size_t n = 0;
    for (size_t i = 0; i < n_found; i++) {
        assert_true(found[i].position < s->n);
        assert_int_equal(seen[found[i].position]++, 0);
        assert_true(is_probed(s, q, found[i].position));
        assert_true(found[i].low <=
                    distance_of(query, s->rows + found[i].position * s->dim, s->dim));
    }
    for (size_t i = 0; i < s->n; i++)
        n += is_probed(s, q, i);
    assert_true(n_found <= s->k + 1 || n_found <= n / 4 || kth == 0);
    for (size_t i = 0; i < s->n; i++)
        if (is_probed(s, q, i) && distance_of(query, s->rows + i * s->dim, s->dim) <= kth)
            assert_int_equal(seen[i], 1);
}

static void compare_shapes(const struct device_ops *ops, struct device_session *session)
{
    static uint32_t found[200];
    static struct device_candidate out[200 * CAPACITY];
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        struct set s;
        begin(&s, shape);
        for (size_t q = 0; q < s.nq; q++) /* as rabitq_query_certain() */
            s.terms[q].sure = 1.001f * sqrtf((float)s.quantizer->work_dim) / 1.9f;
        const struct device_rabitq_queries queries = queries_of(&s);
        struct on_device d = put(ops, session, &s);
        test_device_ok(
            ops, session,
            ops->rabitq->candidates(d.codes, d.lists, d.rows, &queries, s.k, CAPACITY, found, out));
        size_t left_out = 0;
        for (size_t q = 0; q < s.nq; q++) {
            left_out += found[q] > CAPACITY;
            if (found[q] <= CAPACITY)
                check_query(&s, q, out + q * CAPACITY, found[q]);
        }
        assert_true(left_out * 10 <= s.nq); /* more than the device has room for */
        assert_int_equal(ops->rabitq->candidates(d.codes, d.lists, d.rows, &queries,
                                                 DEVICE_RABITQ_MAX_K + 1, CAPACITY, found, out),
                         DEVICE_REFUSED);
        take(ops, &d);
        end(&s);
    }
}

static void test_candidates(void **state)
{
    test_each_device(compare_shapes);
}

/* An estimate and its bound, in double precision, of the code at a place. */
static double lower_bound(const struct set *s, size_t q, size_t probe, size_t row)
{
    const size_t dim = rabitq_device_dim(s->quantizer);
    const unsigned bits = rabitq_device_bits(s->quantizer);
    const unsigned stored = device_rabitq_stored_bits(bits);
    size_t at = 0;
    while (s->positions[at] != row)
        at++;
    const uint8_t *code = (const uint8_t *)(s->words + s->places[at] * dim * stored / 32);
    const struct device_rabitq_row t = s->codes[s->places[at]];
    const struct device_rabitq_query w = s->terms[q];
    double sum = 0;
    for (size_t i = 0; i < dim; i++) {
        const unsigned number = stored == 1   ? code[i / 8] >> i % 8 & 1
                                : stored == 4 ? code[i / 8 * 4 + i % 4] >> (i % 8 < 4 ? 0 : 4) & 15
                                              : code[i];
        sum += (256.0 * s->high[q * dim + i] + s->low[q * dim + i]) * number;
    }
    const double base = (double)s->distances[q * s->nprobe + probe];
    const double root = (double)w.sure * sqrt(base), scale = (double)t.scale;
    const double estimate =
        (double)t.add + base + scale * ((double)w.unit * sum + (double)w.offset);
    const double off = (double)t.error * root - scale * ((double)w.slack + (double)w.linear * root);
    return estimate - off - 0x1p-19 * (fabs(estimate) + off + base);
}

struct tally {
    size_t kept, excluded;
};

/* A row with a lower bound within the k-th smallest distance is measured, so it is a candidate if it is
   as near as one of those that are. */
static void check_bounds(const struct set *s, size_t q, const struct device_candidate *found,
                         size_t n_found, struct tally *t)
{
    const float *query = s->queries + q * s->dim;
    const double kth = (double)kth_distance(s, q);
    uint8_t *seen = test_room(s->n, 1);
    float last = 0;
    for (size_t i = 0; i < n_found; i++) {
        seen[found[i].position] = 1;
        last = found[i].low > last ? found[i].low : last;
    }
    for (size_t p = 0; p < s->nprobe; p++)
        for (size_t i = 0; i < s->n; i++) {
            if (s->probes[q * s->nprobe + p] != i % s->lists ||
                distance_of(query, s->rows + i * s->dim, s->dim) >= 0.999f * last)
                continue;
            if (lower_bound(s, q, p, i) < 0.999 * kth) {
                assert_true(seen[i]);
                t->kept++;
            }
            t->excluded += !seen[i];
        }
}

/* With bounds that are too narrow: so none is left out by another code's terms, and estimates are not off
   by more than floats are. */
static void narrow_bounds(const struct device_ops *ops, struct device_session *session)
{
    static uint32_t found[200];
    static struct device_candidate out[200 * CAPACITY];
    struct tally tally = { 0, 0 };
    for (size_t shape = 1; shape < sizeof shapes / sizeof *shapes; shape++) {
        struct set s;
        begin(&s, shape);
        for (size_t q = 0; q < s.nq; q++) {
            s.terms[q].sure = 0.3f;
            s.terms[q].slack += q % 2 ? 0.2f : 0;
            s.terms[q].linear += q % 3 ? 0.1f : 0;
        }
        const struct device_rabitq_queries queries = queries_of(&s);
        struct on_device d = put(ops, session, &s);
        test_device_ok(
            ops, session,
            ops->rabitq->candidates(d.codes, d.lists, d.rows, &queries, s.k, CAPACITY, found, out));
        for (size_t q = 0; q < s.nq; q++)
            if (found[q] <= CAPACITY && found[q] >= s.k)
                check_bounds(&s, q, out + q * CAPACITY, found[q], &tally);
        take(ops, &d);
        end(&s);
    }
    assert_true(tally.kept > 100 && tally.excluded > 0);
}

static void test_narrow_bounds(void **state)
{
    test_each_device(narrow_bounds);
}

/* Rows whose bound is far above their distance are not candidates, wherever they are. */
static void far_bounds(const struct device_ops *ops, struct device_session *session)
{
    static uint32_t found[200];
    static struct device_candidate out[200 * CAPACITY];
    struct set s;
    begin(&s, 2);
    for (size_t i = 0; i < s.n; i++)
        if (s.positions[i] % 7 == 3)
            s.codes[s.places[i]].add += 1e6f;
    const struct device_rabitq_queries queries = queries_of(&s);
    struct on_device d = put(ops, session, &s);
    test_device_ok(
        ops, session,
        ops->rabitq->candidates(d.codes, d.lists, d.rows, &queries, s.k, CAPACITY, found, out));
    for (size_t q = 0; q < s.nq; q++) {
        assert_true(found[q] >= s.k && found[q] <= CAPACITY);
        for (size_t i = 0; i < found[q]; i++)
            assert_true(out[q * CAPACITY + i].position % 7 != 3);
    }
    for (size_t q = 0; q < s.nq; q++)
        s.terms[q].sure = 1e9f;
    test_device_ok(
        ops, session,
        ops->rabitq->candidates(d.codes, d.lists, d.rows, &queries, s.k, CAPACITY, found, out));
    for (size_t q = 0; q < s.nq; q++)
        assert_true(found[q] >= s.k && found[q] <= CAPACITY);
    take(ops, &d);
    end(&s);
}

/* More rows than the device measures for a query. */
static void many_rows(const struct device_ops *ops, struct device_session *session)
{
    static uint32_t found[200];
    static struct device_candidate out[200 * CAPACITY];
    struct set s;
    begin(&s, 6);
    for (size_t q = 0; q < s.nq; q++)
        s.terms[q].sure = 1e9f;
    const struct device_rabitq_queries queries = queries_of(&s);
    struct on_device d = put(ops, session, &s);
    test_device_ok(
        ops, session,
        ops->rabitq->candidates(d.codes, d.lists, d.rows, &queries, s.k, CAPACITY, found, out));
    for (size_t q = 0; q < s.nq; q++)
        assert_true(found[q] > CAPACITY || s.probes[q] == DEVICE_NO_LIST);
    take(ops, &d);
    end(&s);
}

static void test_many_rows(void **state)
{
    test_each_device(many_rows);
}

static void test_far_bounds(void **state)
{
    test_each_device(far_bounds);
}

int main(void)
{
    return test_run_all("cuda_rabitq", test_candidates, test_narrow_bounds, test_far_bounds,
                        test_many_rows);
}
