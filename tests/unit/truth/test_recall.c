/* test_recall.c - found answers and wrong ids case by case, and intervals that cover the mean. */
#include "src/truth/recall.h"
#include "tests/support/ground_truth.h"
#include "tests/support/tiny_workload.h"

/* Eight points on a line at 0 1 2 2 3 4 5 6 (ids 0 .. 7; 2 and 3 are alike), id 6 deleted; one
   query at 0. */
struct line {
    struct op_list *list;
    struct live_state now;
    struct oracle oracle;
    struct score_context context;
    float query[1], four[4]; /* four: of copies_begin() */
    struct error err;
};

static const float points[] = { 0, 1, 2, 2, 3, 4, 5, 6 };

static void line_begin(struct line *l, size_t k, const uint64_t *allowed, size_t n_allowed,
                       double radius)
{
    struct rng r = rng_at(1, 1);
    struct workload w;
    const uint64_t gone = 6;

    memset(l, 0, sizeof *l);
    workload_begin(&w, &r, INDEX_F32, INDEX_L2SQ, 8, 1, 1);
    memcpy(w.rows->state, points, sizeof points);
    memset(w.queries->state, 0, sizeof(float));
    workload_insert(&w, 0, 8, 0, 0, NULL);
    const struct id_selector choice = { .ids = &gone, .n_ids = 1 };
    assert_ok(record_delete(w.recorder, &(struct op_options){ 0 }, &choice, &w.err), &w.err);
    const struct filter_spec allow = { .ids = allowed, .n_ids = n_allowed };
    if (radius >= 0)
        workload_range(&w, radius);
    else
        workload_search_with(&w, (struct op_options){ .k = k, .filter = allow });
    l->list = workload_finish(&w);
    ground_truth(&l->oracle, l->list, 1, NULL);
    assert_ok(live_state_init(&l->now, l->list, &l->err), &l->err);
    for (size_t i = 0; i < l->list->n; i++)
        assert_ok(live_state_step(&l->now, i, &l->err), &l->err);
    l->context =
        (struct score_context){ &l->now, &l->list->ops[2], &l->oracle.truths[2], l->query };
}

static void line_end(struct line *l)
{
    live_state_free(&l->now);
    oracle_free(&l->oracle);
    op_list_free(l->list);
}

#define NONE INDEX_NO_ID

static void test_cases(void **state)
{
    static const struct {
        const char *name;
        uint64_t ids[4];
        uint32_t hits;
        double wrong;
        bool is_short; /* fewer right ids than there are to find, whatever their distance */
    } cases[] = {
        { "the truth", { 0, 1, 2, 3 }, 3, 0, false }, /* k = 3: a fourth is not requested */
        { "a tie", { 0, 1, 3 }, 3, 0, false },
        { "in any order", { 3, 0, 1 }, 3, 0, false },
        { "one too far", { 0, 1, 4 }, 2, 0, false },
        { "fewer", { 0, NONE, NONE }, 1, 0, true },
        { "nothing", { NONE, NONE, NONE }, 0, 0, true },
        { "ten copies of one", { 0, 0, 0 }, 1, 2, true },
        { "a deleted one", { 0, 1, 6 }, 2, 1, true },
        { "an unknown one", { 0, 1, 99 }, 2, 1, true },
        { "an unknown one near the end", { 0, 1, UINT64_MAX - 1 }, 2, 1, true },
        { "both of a tie and one nearer", { 2, 3, 0 }, 3, 0, false },
        { "a copy of a wrong one", { 6, 6, 0 }, 1, 2, true },
    };
    struct line l;

    line_begin(&l, 3, NULL, 0, -1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct score s;

        assert_ok(score_search(&s, &l.context, NULL, 1, cases[i].ids, 1, &l.err), &l.err);
        if (s.hits[0] != cases[i].hits || s.wrong_ids != cases[i].wrong ||
            s.short_answers != cases[i].is_short || fabs(s.mean - cases[i].hits / 3.0) > 1e-12) {
            print_error("%s: %u hits, %g wrong ids, %g short answers, recall %g\n", cases[i].name,
                        s.hits[0], s.wrong_ids, s.short_answers, s.mean);
            _fail(__FILE__, __LINE__);
        }
        assert_true(isnan(s.low) && isnan(s.recall));
        score_free(&s);
    }
    line_end(&l);
}

/* The shares of queries that lost more than some recall. */
static void test_tails(void **state)
{
    static const uint64_t positions[4] = { 0 },
                          ids[] = { 0, 1, 2, 0, 1, 4, 0, NONE, NONE, NONE, NONE, NONE };
    static const double below[RECALL_TAILS] = { .5, .75, .75, .75 };
    struct line l;
    struct score s;

    line_begin(&l, 3, NULL, 0, -1);
    assert_ok(score_search(&s, &l.context, positions, 4, ids, 1, &l.err), &l.err);
    for (size_t t = 0; t < RECALL_TAILS; t++)
        assert_true(fabs(s.below[t] - below[t]) < 1e-12);
    score_free(&s);
    assert_ok(score_search(&s, &l.context, positions, 0, ids, 1, &l.err), &l.err);
    assert_true(isnan(s.below[0]));
    score_free(&s);
    line_end(&l);
}

/* The mean is the nearest number to hits / (queries k): a sum of shares of fifths would miss 0.9, and a curve through
   this point would not reach it. */
static void test_the_mean_is_not_rounded_twice(void **state)
{
    static const size_t found[] = { 5, 5, 5, 4, 5, 4, 4, 5, 5, 3 };
    enum { QUERIES = sizeof found / sizeof *found, K = 5 };
    static const uint64_t positions[QUERIES] = { 0 };
    uint64_t ids[QUERIES * K];
    struct line l;
    struct score s;

    for (size_t i = 0; i < QUERIES; i++)
        for (size_t j = 0; j < K; j++)
            ids[i * K + j] = j < found[i] ? j : NONE;
    line_begin(&l, K, NULL, 0, -1);
    assert_ok(score_search(&s, &l.context, positions, QUERIES, ids, 1, &l.err), &l.err);
    assert_true(s.mean == .9);
    score_free(&s);
    line_end(&l);
}

static void test_a_filter(void **state)
{
    static const uint64_t allowed[] = { 1, 4 }, ids[] = { 1, 0, 4 };
    struct line l;
    struct score s;

    line_begin(&l, 3, allowed, 2, -1);
    assert_ok(score_search(&s, &l.context, NULL, 1, ids, 1, &l.err), &l.err);
    /* Only two can be found; recall divides by min(k, rows allowed). */
    assert_int_equal(s.most, 2);
    assert_int_equal(s.hits[0], 2);
    assert_true(s.wrong_ids == 1 && s.mean == 1 && s.short_answers == 0);
    score_free(&s);
    line_end(&l);
}

static void test_range(void **state)
{
    static const uint64_t ids[] = { 0, 1, 3, 4, 6, 0 }, starts[] = { 0, 6 }, none[] = { 0, 0 };
    struct line l;
    struct score s;

    line_begin(&l, 0, NULL, 0, 4); /* within the squared radius: 0 1 2 2 */
    assert_ok(score_range(&s, &l.context, NULL, 1, starts, ids, &l.err), &l.err);
    assert_true(s.recall == .75);        /* 2 is missing */
    assert_true(s.precision == 3.0 / 6); /* one too far, one deleted, one repeated */
    assert_true(s.results == 6 && s.wrong_ids == 2);
    score_free(&s);
    assert_ok(score_range(&s, &l.context, NULL, 1, none, ids, &l.err), &l.err);
    assert_true(s.recall == 0 && isnan(s.precision));
    score_free(&s);
    line_end(&l);
}

enum { COPIES = 30, COPIES_K = 5 };

/* Rows 0 .. 29 are copies of one vector, each component up to two units in the last place away from
   it; row 30 is 1 % longer in its first component. The query is the vector. Under IP, it is
   orthogonal to the copies: their products cancel. Then a search, a range and readers beside
   writers that insert row 31, far away. */
static void copies_begin(struct line *l, enum metric metric, double radius)
{
    static const float base[] = { 712.3F, -712.3F, 31.4F, -31.4F };
    struct rng r = rng_at(3, 1);
    struct workload w;

    memset(l, 0, sizeof *l);
    workload_begin(&w, &r, INDEX_F32, metric, COPIES + 2, 1, 4);
    float *rows = w.rows->state, *query = w.queries->state;
    for (size_t i = 0; i < COPIES + 2; i++)
        for (size_t j = 0; j < 4; j++) {
            const float ulps = (float)rng_below(&r, 5) - 2;
            rows[4 * i + j] = i <= COPIES ? base[j] * (1 + ulps * 0x1p-23F) : -base[j] * (float)j;
        }
    rows[(size_t)4 * COPIES] *= metric == INDEX_IP ? .99F : 1.01F;
    for (size_t j = 0; j < 4; j++)
        query[j] = metric == INDEX_IP ? fabsf(base[j]) : base[j];
    workload_insert(&w, 0, COPIES + 1, 0, 0, NULL);
    workload_search(&w, COPIES_K, 1, NULL);
    workload_range(&w, radius);
    const struct op_options beside = { .tag = "beside", .readers = 1, .writers = 1, .k = COPIES_K };
    workload_concurrent(&w, beside, COPIES + 1, 1, NULL);
    memcpy(l->four, query, sizeof l->four);
    l->list = workload_finish(&w);
    ground_truth(&l->oracle, l->list, 1, NULL);
    assert_ok(live_state_init(&l->now, l->list, &l->err), &l->err);
}

static void score_copies(struct line *l, size_t op, const uint64_t *ids, struct score *s)
{
    static const uint64_t first = 0, starts[] = { 0, COPIES_K };

    assert_ok(live_state_step(&l->now, op, &l->err), &l->err);
    l->context =
        (struct score_context){ &l->now, &l->list->ops[op], &l->oracle.truths[op], l->four };
    if (l->list->ops[op].kind == OP_RANGE)
        assert_ok(score_range(s, &l->context, NULL, 1, starts, ids, &l->err), &l->err);
    else if (l->list->ops[op].kind == OP_CONCURRENT)
        assert_ok(score_concurrent(s, &l->context, &first, 1, ids, 1, &l->err), &l->err);
    else
        assert_ok(score_search(s, &l->context, NULL, 1, ids, 1, &l->err), &l->err);
}

/* What single precision cannot tell apart is tied, for every kind of search; a row that it can is
   not. Differences lose nothing, so under L2 the nearest copies are the nearest, far from the
   origin too. */
static void test_near_copies(void **state)
{
    static const enum metric metrics[] = { INDEX_COS, INDEX_IP, INDEX_L2SQ };
    static const uint64_t any[] = { 3, 29, 11, 7, 17 }, one_far[] = { 3, 29, 11, 7, COPIES };

    for (size_t i = 0; i < 3; i++) {
        const bool tied = metrics[i] != INDEX_L2SQ;
        const uint64_t *nearest;
        struct score s;
        struct line l;

        copies_begin(&l, metrics[i], 0);
        nearest = l.oracle.truths[1].ids;
        assert_ok(live_state_step(&l.now, 0, &l.err), &l.err);
        score_copies(&l, 1, any, &s);
        assert_true(tied ? s.mean == 1 : s.mean < 1);
        score_free(&s);
        score_copies(&l, 1, one_far, &s);
        assert_true(tied ? s.mean == .8 : s.mean < .8);
        score_free(&s);
        score_copies(&l, 1, nearest, &s);
        assert_true(s.mean == 1);
        score_free(&s);
        score_copies(&l, 2, any, &s); /* the others may be beyond the radius */
        assert_true(!tied || (s.precision == 1 && (s.recall == 1 || isnan(s.recall))));
        score_free(&s);
        score_copies(&l, 2, one_far, &s);
        assert_true(!tied || s.precision == .8);
        score_free(&s);
        score_copies(&l, 3, any, &s);
        assert_true(tied ? isnan(s.mean) : s.mean < 1); /* any five copies: none is required */
        score_free(&s);
        line_end(&l);
    }
}

int main(void)
{
    return test_run_all("recall", test_cases, test_tails, test_a_filter, test_range,
                        test_near_copies, test_the_mean_is_not_rounded_twice);
}
