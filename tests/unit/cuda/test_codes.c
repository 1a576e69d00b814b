/* test_codes.c - 64-bit codes on the device against counting bit by bit: every code within the
 * radius, every code as near as the k-th, on odd sizes, equal codes, and changed positions. */
#include "tests/support/device.h"
#include "tests/support/testing.h"

enum { MOST = 20000, MOST_QUERIES = 1100, CAPACITY = 3000 };

static const struct {
    size_t n, nq, k;
    unsigned radius;
    unsigned bits; /* that differ between codes */
} shapes[] = {
    { 1, 1, 1, 64, 64 },        { 31, 2, 5, 30, 64 },    { 65, 3, 100, 0, 64 },
    { 2047, 5, 10, 24, 64 },    { 2049, 33, 1, 20, 64 }, { 3000, 3, 10, 1, 4 },
    { 2500, 1100, 2, 3, 64 },   { MOST, 3, 10, 22, 64 }, { MOST, 2, 100, 15, 64 },
    { MOST - 33, 2, 3, 9, 24 },
};

struct set {
    size_t n, nq;
    uint64_t codes[MOST], queries[MOST_QUERIES];
};

struct answer {
    uint32_t found[MOST_QUERIES];
    struct device_match matches[MOST_QUERIES * CAPACITY];
};

static struct set s;
static struct answer answer;

static unsigned distance(uint64_t a, uint64_t b)
{
    unsigned bits = 0;
    for (uint64_t rest = a ^ b; rest; rest >>= 1)
        bits += rest & 1;
    return bits;
}

static void draw(struct rng *r, size_t shape)
{
    const unsigned bits = shapes[shape].bits;
    const uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    s.n = shapes[shape].n;
    s.nq = shapes[shape].nq;
    for (size_t i = 0; i < s.n; i++)
        s.codes[i] = rng_u64(r) & mask;
    for (size_t i = 0; i < s.nq; i++)
        s.queries[i] = i % 2 ? rng_u64(r) & mask : s.codes[rng_below(r, s.n)];
}

/* Whether the matches of query q are the codes within the radius, each once, or none can be used. */
static void check_query(size_t q, unsigned radius, bool partly)
{
    static bool seen[MOST];
    size_t within = 0;
    for (size_t i = 0; i < s.n; i++)
        within += distance(s.codes[i], s.queries[q]) <= radius;
    if (within > CAPACITY) {
        assert_true(partly ? answer.found[q] > CAPACITY : answer.found[q] == within);
        return;
    }
    assert_int_equal(answer.found[q], within);
    memset(seen, 0, sizeof seen);
    for (size_t j = 0; j < within; j++) {
        const struct device_match m = answer.matches[q * CAPACITY + j];
        assert_true(m.position < s.n && !seen[m.position]);
        seen[m.position] = true;
        assert_int_equal(m.distance, distance(s.codes[m.position], s.queries[q]));
        assert_true(m.distance <= radius);
    }
}

static unsigned kth(size_t q, size_t k)
{
    size_t counts[65] = { 0 }, sum = 0;
    for (size_t i = 0; i < s.n; i++)
        counts[distance(s.codes[i], s.queries[q])]++;
    for (unsigned d = 0; d < 64; d++)
        if ((sum += counts[d]) >= k)
            return d;
    return 64;
}

static void check_searches(const struct device_ops *ops, struct device_session *session,
                           struct device_codes *codes, unsigned radius, size_t k)
{
    memset(&answer, 0xff, sizeof answer);
    test_device_ok(ops, session,
                   ops->codes->range(codes, s.n, s.queries, s.nq, radius, CAPACITY, answer.found,
                                     answer.matches));
    for (size_t q = 0; q<s.nq; q += s.nq> 100 ? 97 : 1)
        check_query(q, radius, false);
    memset(&answer, 0xff, sizeof answer);
    test_device_ok(ops, session,
                   ops->codes->nearest(codes, s.n, s.queries, s.nq, k, CAPACITY, answer.found,
                                       answer.matches));
    for (size_t q = 0; q<s.nq; q += s.nq> 100 ? 97 : 1)
        check_query(q, kth(q, k), true);
}

static void search_shapes(const struct device_ops *ops, struct device_session *session)
{
    for (size_t shape = 0; shape < sizeof shapes / sizeof *shapes; shape++) {
        struct rng r = rng_at(test_seed(), shape);
        struct device_codes *codes;
        draw(&r, shape);
        test_device_ok(ops, session, ops->codes->create(session, &codes));
        const size_t half = s.n / 2;
        test_device_ok(ops, session, ops->codes->put(codes, 0, s.codes, half));
        test_device_ok(ops, session, ops->codes->put(codes, half, s.codes + half, s.n - half));
        check_searches(ops, session, codes, shapes[shape].radius, shapes[shape].k);
        const size_t changed = rng_below(&r, s.n);
        s.codes[changed] ^= 0xf0f0;
        test_device_ok(ops, session, ops->codes->put(codes, changed, s.codes + changed, 1));
        if (s.n > 40)
            s.n -= 7; /* the last ones are not asked for */
        check_searches(ops, session, codes, shapes[shape].radius, shapes[shape].k);
        assert_true(ops->codes->bytes(codes) >= s.n * sizeof *s.codes);
        ops->codes->destroy(codes);
    }
}

static void test_against_counting(void **state)
{
    test_each_device(search_shapes);
}

/* A device so small that its room takes the queries in several launches; and codes that are all
   equal, of which there are more than fit. */
static void check_little_memory(const struct device_ops *ops, struct device_session *session)
{
    struct device_codes *codes;
    struct rng r = rng_at(test_seed(), 1000);
    assert_int_equal(ops->codes->create(session, &codes), 0);
    draw(&r, 4);
    test_device_ok(ops, session, ops->codes->put(codes, 0, s.codes, s.n));
    check_searches(ops, session, codes, 21, 10);
    s.n = 10000; /* more than the room for k = 1 */
    for (size_t i = 0; i < s.n; i++)
        s.codes[i] = 5;
    test_device_ok(ops, session, ops->codes->put(codes, 0, s.codes, s.n));
    check_searches(ops, session, codes, 64, 1);
    ops->codes->destroy(codes);
}

static void test_little_memory(void **state)
{
    test_small_device((size_t)4 << 20, check_little_memory);
}

static void refuse(const struct device_ops *ops, struct device_session *session)
{
    struct device_codes *codes;
    const uint64_t code = 1;
    test_device_ok(ops, session, ops->codes->create(session, &codes));
    assert_int_equal(ops->codes->put(codes, 1, &code, 1), DEVICE_REFUSED);
    assert_non_null(strstr(ops->session_error(session), "at most 0 before them"));
    assert_int_equal(ops->codes->range(codes, 1, &code, 1, 3, 1, answer.found, answer.matches),
                     DEVICE_REFUSED);
    test_device_ok(ops, session, ops->codes->put(codes, 0, &code, 1));
    assert_int_equal(ops->codes->nearest(codes, 1, &code, 1, 0, 1, answer.found, answer.matches),
                     DEVICE_REFUSED);
    assert_int_equal(
        ops->codes->nearest(codes, 1, &code, 1, DEVICE_MAX_K + 1, 1, answer.found, answer.matches),
        DEVICE_REFUSED);
    test_device_ok(ops, session,
                   ops->codes->nearest(codes, 1, &code, 1, 9, 1, answer.found, answer.matches));
    assert_int_equal(answer.found[0], 1);
    ops->codes->destroy(codes);
}

static void test_refused(void **state)
{
    test_each_device(refuse);
}

int main(void)
{
    return test_run_all("cuda_codes", test_against_counting, test_little_memory, test_refused);
}
