/* test_filter.c - filtered searches: by id, by attributes; and the summaries of attributes. */
#include "tests/unit/channi/search.h"

static uint64_t *bits_make(struct ledger *l, double share, struct id_filter *filter)
{
    uint64_t *bits = calloc(l->n_given / 64 + 1, sizeof *bits);

    assert_non_null(bits);
    for (uint64_t id = 0; id < l->n_given; id++)
        if (rng_unit(&l->b.rng) < share)
            bits[id / 64] |= (uint64_t)1 << id % 64;
    *filter = (struct id_filter){ bits, l->n_given };
    return bits;
}

static void assert_allowed(const struct ledger *l, const struct answers *a,
                           const struct id_selector *choice)
{
    for (size_t i = 0; i < a->n * a->k; i++)
        if (a->ids[i] != INDEX_NO_ID)
            assert_true(l->b.stored[a->ids[i]] && choice_allows(l, choice, a->ids[i]));
}

/* The range of field 0, and a condition on field 1. Valid until the next call. */
static struct attribute_filter both_fields(const struct attribute_filter *range, size_t which)
{
    static const struct attribute_condition second[] = { { 1, INDEX_ATTRIBUTE_IN, 2, 2 },
                                                         { 1, INDEX_ATTRIBUTE_NOT_IN, 2, 2 },
                                                         { 1, INDEX_ATTRIBUTE_MISSING, 2, 0 },
                                                         { 1, INDEX_ATTRIBUTE_RANGE, 2, 2 } };
    static struct attribute_condition conditions[2];
    static int64_t values[4];

    conditions[0] = range->conditions[0];
    conditions[1] = second[which % 4];
    memcpy(values, range->values, 2 * sizeof *values);
    values[2] = 2;
    values[3] = 7;
    return (struct attribute_filter){ conditions, 2, values };
}

/* With knobs for a recall of .9 the filter must not cost recall, by id or by attribute. */
static void test_recall(void **state)
{
    static const double shares[] = { 1, .5, .1, .02, .005, .001 };
    static const char *const by[] = { "id", "attribute", "two attributes" };

    for (size_t which = 0; which < INSIDES; which++) {
        struct channi_params p = book_with(inside_params(which), "eps0=1.9,bits=4");
        struct ledger l;
        double plain = 0;

        ledger_start(&l, p, INDEX_F32, 24, 6000, 1, 6000);
        l.knobs.nprobe = 16;
        l.knobs.in_ef = 24;
        unsigned char *queries = ledger_queries(&l);
        for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
            const struct attribute_filter range = ONE_RANGE(100, 100 + (int64_t)(shares[i] * 1000));
            struct id_filter filter;
            uint64_t *bits = bits_make(&l, shares[i], &filter);
            const struct attribute_filter both = both_fields(&range, i);
            const struct id_selector choices[] = { { .ids = &filter },
                                                   { .where = &range },
                                                   { .where = &both } };

            for (size_t j = 0; j < 3; j++) {
                struct answers truth = ledger_truth(&l, queries, QUERIES, 10, &choices[j]),
                               found = ledger_ask(&l, queries, QUERIES, 10, 1, &choices[j]);
                const double recall = answers_recall(&truth, &found);

                assert_allowed(&l, &found, &choices[j]);
                plain = i == 0 && j == 0 ? recall : plain;
                print_message("%s, %g allowed by %s: recall %.3f, %.0f rows scanned\n",
                              insides[which], shares[i], by[j], recall,
                              found.work.scanned / QUERIES);
                assert_true(recall >= plain - .05);
                answers_free(&truth);
                answers_free(&found);
            }
            free(bits);
        }
        assert_true(plain > .85);
        assert_true(atomic_load(&book_channi(&l.b)->counters.filter_exact) > 0);
        free(queries);
        ledger_close(&l);
    }
}

/* The allowed rows are far from the query, and in few clusters. */
static void test_elsewhere(void **state)
{
    struct ledger l;

    ledger_open(&l, inside_params(1), INDEX_F32, 8, 4000, 1);
    for (size_t i = 0; i < l.b.capacity; i++) { /* attributes by place */
        const float *row = book_row(&l.b, i);
        l.attributes[i * LEDGER_FIELDS] = (int64_t)(1000 + 100 * row[0]);
        l.attributes[i * LEDGER_FIELDS + 1] = (int64_t)(1000 + 100 * row[1]) / 20;
    }
    ledger_insert(&l, 4000);
    struct channi *c = book_channi(&l.b);
    unsigned char *queries = ledger_queries(&l);
    l.knobs.nprobe = 4;
    double plain, recall;
    (void)asked_of(&l, queries, NULL, &plain);
    for (int64_t low = 700; low < 1300; low += 100) {
        const struct attribute_filter range = ONE_RANGE(low, low + 9);
        const struct id_selector choice = { .where = &range };

        (void)asked_of(&l, queries, &choice, &recall);
        assert_true(recall >= plain - .05);
    }
    assert_true(atomic_load(&c->counters.clusters_skipped) > 0);
    /* The same values of the other field as a set with gaps: only the Bloom filter excludes. */
    const uint64_t skipped = atomic_load(&c->counters.clusters_skipped);
    const struct attribute_condition set = { 1, INDEX_ATTRIBUTE_IN, 0, 2 };
    const struct attribute_filter gaps = { &set, 1, (const int64_t[]){ 1, 49 } };
    const struct id_selector in_set = { .where = &gaps };
    (void)asked_of(&l, queries, &in_set, &recall);
    assert_true(recall >= plain - .05);
    assert_true(atomic_load(&c->counters.clusters_skipped) > skipped);
    free(queries);
    ledger_close(&l);
}

/* ---- summaries */

enum { COLUMN = 3000, KINDS = 5 };

static void fill_column(struct rng *r, size_t kind, int64_t *column, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double u = rng_unit(r);

        column[i] = kind == 0   ? (int64_t)rng_below(r, 1000)
                    : kind == 1 ? (int64_t)(1 / (u + .001)) /* skewed: half are 1 */
                    : kind == 2 ? index_attribute_of_real(exp(40 * u - 20))
                    : kind == 3 ? 7
                                : (int64_t)rng_below(r, 4) * (INT64_MAX / 4);
        if (kind > 0 && rng_below(r, 4) == 0)
            column[i] = INDEX_ATTRIBUTE_NONE;
    }
}

static struct attribute_condition draw_condition(struct rng *r, const int64_t *column,
                                                 int64_t values[4])
{
    struct attribute_condition c = { 0, (uint32_t)rng_below(r, INDEX_ATTRIBUTE_MISSING + 1), 0, 0 };

    c.n = c.test == INDEX_ATTRIBUTE_MISSING ? 0
          : c.test == INDEX_ATTRIBUTE_RANGE ? 2
                                            : 1 + rng_below(r, 4);
    for (size_t i = 0; i < c.n; i++) {
        int64_t value;
        do
            value = column[rng_below(r, COLUMN)];
        while (value == INDEX_ATTRIBUTE_NONE);
        value += rng_below(r, 9) == 0; /* perhaps no row's */
        size_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
    size_t kept = 0;
    for (size_t i = 0; i < c.n && c.test != INDEX_ATTRIBUTE_RANGE; i++)
        if (i == 0 || values[i] != values[kept - 1])
            values[kept++] = values[i];
    c.n = c.test == INDEX_ATTRIBUTE_RANGE ? c.n : kept;
    return c;
}

/* A condition that a row meets is never excluded, and the estimated share is near. */
static void test_summaries(void **state)
{
    struct rng r = rng_at(test_seed(), 31);
    static int64_t column[COLUMN], scratch[COLUMN];

    for (size_t kind = 0; kind < KINDS; kind++) {
        struct channi_summary s;
        double error = 0;
        size_t skipped = 0;

        fill_column(&r, kind, column, COLUMN);
        channi_summary_make(&s, column, COLUMN, scratch);
        assert_true(channi_summary_fits(&s, column, COLUMN));
        for (size_t i = 0; i < 300; i++) {
            int64_t values[4];
            const struct attribute_condition c = draw_condition(&r, column, values);
            size_t met = 0;

            for (size_t j = 0; j < COLUMN; j++)
                met += index_attribute_meets(&c, values, column[j]);
            const bool may = channi_summary_may(&s, COLUMN, &c, values);
            const double share = channi_summary_share(&s, COLUMN, &c, values);
            assert_true(may || met == 0);
            assert_true(share >= 0 && share <= 1);
            error += fabs(share - (double)met / COLUMN) / 300;
            skipped += !may;
        }
        print_message("column %zu: mean error of the share %.3f, %zu of 300 excluded\n", kind,
                      error, skipped);
        assert_true(error < .05);
        column[5] = s.steps[SUMMARY_STEPS] + 1; /* above the greatest */
        assert_false(channi_summary_fits(&s, column, COLUMN));
    }
    struct channi_summary none;
    for (size_t i = 0; i < COLUMN; i++)
        column[i] = INDEX_ATTRIBUTE_NONE;
    channi_summary_make(&none, column, COLUMN, scratch);
    assert_false(channi_summary_may(&none, COLUMN, ONE_RANGE(INT64_MIN + 1, INT64_MAX).conditions,
                                    (const int64_t[]){ INT64_MIN + 1, INT64_MAX }));
}

int main(void)
{
    return test_run_all("channi_filter", test_recall, test_elsewhere, test_summaries);
}
