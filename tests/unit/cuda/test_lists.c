/* test_lists.c - candidates for the nearest rows of probed lists: every row that is among the k
 * nearest by single precision, added up in two orders, is a candidate; lists of all lengths, rows in
 * several lists, and queries that probe none. */
#include "tests/support/device.h"
#include "tests/support/testing.h"

enum { CAPACITY = 700 };

static const struct {
    size_t n, dim, lists, nq, nprobe, k, copies;
    double offset;
} shapes[] = {
    { 1, 1, 1, 1, 1, 1, 1, 0 },      { 300, 7, 9, 70, 3, 5, 1, 0 },
    { 500, 33, 3, 5, 2, 10, 1, 0 },  { 400, 16, 40, 9, 30, 3, 2, 0 },
    { 600, 20, 5, 3, 5, 150, 1, 0 }, { 350, 9, 4, 6, 2, 10, 1, 1e4 },
    { 129, 65, 2, 200, 1, 1, 1, 0 },
};

struct set {
    size_t n, dim, lists, nq, nprobe, k;
    float *rows, *queries;
    uint32_t *positions, *probes;
    uint64_t *starts;
};

static float in_order(const float *a, const float *b, size_t dim)
{
    float sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static float backwards(const float *a, const float *b, size_t dim)
{
    float even = 0, odd = 0;
    for (size_t i = dim; i-- > 0;)
        *(i % 2 ? &odd : &even) += (a[i] - b[i]) * (a[i] - b[i]);
    return even + odd;
}

static void check_query(const struct set *s, size_t q, const struct device_candidate *found,
                        size_t n_found)
{
    const float *query = s->queries + q * s->dim;
    uint32_t *times = test_room(s->n, sizeof *times), *seen = test_room(s->n, sizeof *seen);
    float *distances = test_room(s->starts[s->lists] + 1, sizeof *distances);
    for (size_t i = 0; i < n_found; i++) {
        assert_true(found[i].position < s->n);
        seen[found[i].position]++;
        assert_true(found[i].low <= in_order(query, s->rows + found[i].position * s->dim, s->dim));
    }
    for (int order = 0; order < 2; order++) {
        size_t n = 0;
        memset(times, 0, s->n * sizeof *times);
        for (size_t p = 0; p < s->nprobe; p++) {
            const uint32_t list = s->probes[q * s->nprobe + p];
            for (uint64_t i = list == DEVICE_NO_LIST ? 0 : s->starts[list];
                 list != DEVICE_NO_LIST && i < s->starts[list + 1]; i++) {
                const float *row = s->rows + s->positions[i] * s->dim;
                times[s->positions[i]]++;
                distances[n++] =
                    order ? backwards(query, row, s->dim) : in_order(query, row, s->dim);
            }
        }
        qsort(distances, n, sizeof *distances, test_by_float);
        const float kth = n > 0 ? distances[(s->k < n ? s->k : n) - 1] : 0;
        for (size_t i = 0; i < s->n; i++) {
            const float *row = s->rows + i * s->dim;
            const float distance =
                order ? backwards(query, row, s->dim) : in_order(query, row, s->dim);
            assert_true(seen[i] == 0 || seen[i] == times[i]);
            assert_true(seen[i] > 0 || times[i] == 0 || distance > kth);
        }
    }
}

static void draw(struct set *s, struct rng *r, size_t shape)
{
    *s = (struct set){ shapes[shape].n,  shapes[shape].dim,    shapes[shape].lists,
                       shapes[shape].nq, shapes[shape].nprobe, shapes[shape].k,
                       .rows = NULL };
    const size_t copies = shapes[shape].copies;
    s->rows = test_room(s->n * s->dim, sizeof *s->rows);
    s->queries = test_room(s->nq * s->dim, sizeof *s->queries);
    s->positions = test_room(s->n * copies, sizeof *s->positions);
    s->probes = test_room(s->nq * s->nprobe, sizeof *s->probes);
    s->starts = test_room(s->lists + 1, sizeof *s->starts);
    test_fill_f32(r, s->rows, s->n, s->dim, 0, 1);
    test_fill_f32(r, s->queries, s->nq, s->dim, 0, 1);
    for (size_t i = 0; i < s->n * s->dim; i++)
        s->rows[i] += (float)shapes[shape].offset;
    for (size_t i = 0; i < s->nq * s->dim; i++)
        s->queries[i] += (float)shapes[shape].offset;
    size_t n = 0; /* row i is in lists i % lists, i / 3 % lists, of which some are empty */
    for (size_t list = 0; list < s->lists; list++) {
        for (size_t i = 0; i < s->n; i++)
            for (size_t c = 0; c < copies; c++)
                if ((c ? i / 3 + 1 : i) % s->lists == list && (c == 0 || i % s->lists != list) &&
                    n < s->n * copies)
                    s->positions[n++] = (uint32_t)i;
        s->starts[list + 1] = n;
        if (list % 4 == 2)
            n = s->starts[list + 1] = s->starts[list];
    }
    for (size_t q = 0; q < s->nq; q++)
        for (size_t p = 0; p < s->nprobe; p++)
            s->probes[q * s->nprobe + p] = (q + p) % 11 == 7 || s->nprobe > s->lists
                                               ? DEVICE_NO_LIST
                                               : (uint32_t)((q * 5 + p) % s->lists);
}

static void compare_shapes(const struct device_ops *ops, struct device_session *session)
{
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        struct rng r = rng_at(test_seed(), shape);
        struct set s;
        struct device_rows *rows;
        struct device_lists *lists;
        draw(&s, &r, shape);
        uint32_t *found = test_room(s.nq, sizeof *found);
        struct device_candidate *out = test_room(s.nq * CAPACITY, sizeof *out);
        test_device_ok(ops, session, ops->rows->create(session, DEVICE_L2SQ, s.dim, &rows));
        test_device_ok(ops, session, ops->rows->put_f32(rows, 0, s.rows, s.n));
        test_device_ok(ops, session, ops->lists->create(session, &lists));
        test_device_ok(ops, session, ops->lists->put(lists, s.positions, NULL, s.starts, s.lists));
        test_device_ok(ops, session,
                       ops->lists->candidates(lists, rows, s.queries, s.nq, s.probes, s.nprobe, s.k,
                                              CAPACITY, found, out));
        for (size_t q = 0; q < s.nq; q++) {
            assert_true(found[q] <= CAPACITY);
            check_query(&s, q, out + q * CAPACITY, found[q]);
        }
        const uint32_t probe = (uint32_t)s.lists;
        assert_int_equal(
            ops->lists->candidates(lists, rows, s.queries, 1, &probe, 1, 1, CAPACITY, found, out),
            DEVICE_REFUSED);
        assert_true(ops->lists->bytes(lists) > 0);
        ops->lists->destroy(lists);
        ops->rows->destroy(rows);
    }
}

static void test_candidates(void **state)
{
    test_each_device(compare_shapes);
}

/* So little memory that the queries take several calls. */
static void check_little_memory(const struct device_ops *ops, struct device_session *session)
{
    struct device_rows *rows;
    struct device_lists *lists;
    struct rng r = rng_at(test_seed(), 99);
    struct set s;
    enum { FEW = 40 };
    static uint32_t found[100];
    static struct device_candidate out[100 * FEW];
    draw(&s, &r, 1);
    test_device_ok(ops, session, ops->rows->create(session, DEVICE_L2SQ, s.dim, &rows));
    test_device_ok(ops, session, ops->rows->put_f32(rows, 0, s.rows, s.n));
    test_device_ok(ops, session, ops->lists->create(session, &lists));
    test_device_ok(ops, session, ops->lists->put(lists, s.positions, NULL, s.starts, s.lists));
    struct device_traffic before, after;
    ops->session_traffic(session, &before);
    test_device_ok(ops, session,
                   ops->lists->candidates(lists, rows, s.queries, s.nq, s.probes, s.nprobe, s.k,
                                          FEW, found, out));
    ops->session_traffic(session, &after);
    assert_true(after.launches - before.launches >= 8);
    for (size_t q = 0; q < s.nq; q++)
        check_query(&s, q, out + q * FEW, found[q]);
    ops->lists->destroy(lists);
    ops->rows->destroy(rows);
}

static void test_little_memory(void **state)
{
    test_small_device((size_t)128 << 10, check_little_memory);
}

int main(void)
{
    return test_run_all("cuda_lists", test_candidates, test_little_memory);
}
