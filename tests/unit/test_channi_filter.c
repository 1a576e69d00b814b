/* test_channi_filter.c - searches that only some rows may answer: by id, by attribute. */
#include "tests/unit/test_channi_search.h"

static uint64_t *bits_make(struct ledger *l, double share, struct id_filter *filter)
{
    uint64_t *bits = calloc(l->n_vectors / 64 + 1, sizeof *bits);

    assert_non_null(bits);
    for (uint64_t id = 0; id < l->n_vectors; id++)
        if (rng_unit(&l->rng) < share)
            bits[id / 64] |= (uint64_t)1 << id % 64;
    *filter = (struct id_filter){ bits, l->n_vectors };
    return bits;
}

static void assert_allowed(const struct ledger *l, const struct answers *a,
                           const struct choice *choice)
{
    for (size_t i = 0; i < a->n * a->k; i++)
        if (a->ids[i] != ID_NONE)
            assert_true(l->live[a->ids[i]] && choice_allows(l, choice, a->ids[i]));
}

/* With everything looked at answers are the truth, whatever is allowed. */
static void test_exact(void **state)
{
    static const double shares[] = { .5, .1, .01, .001, 0 };

    (void)state;
    for (size_t which = 0; which < INSIDES; which++) {
        struct ledger l;

        ledger_open(&l, inside_params(which), which % 2 ? ELEMENT_U8 : ELEMENT_F32, 20, 2000, 2);
        for (int round = 0; round < 3; round++) {
            ledger_insert(&l, round == 1 ? 1200 : 250); /* before, at and after the build */
            ledger_churn(&l, 20);
            unsigned char *queries = ledger_queries(&l);
            knobs_exhaustive(&l.knobs);
            for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
                const uint32_t low = (uint32_t)rng_below(&l.rng, 900);
                const struct attribute_range range = { low, low + (uint32_t)(shares[i] * 1000) };
                struct id_filter filter;
                uint64_t *bits = bits_make(&l, shares[i], &filter);
                const struct choice choices[] = { { .ids = &filter }, { .range = &range } };

                for (size_t j = 0; j < 2; j++) {
                    struct answers truth = truth_of(&l, queries, QUERIES, 10, l.live, l.of,
                                                    &choices[j]),
                                   found =
                                       ledger_ask(&l, queries, QUERIES, 10, 1 + i % 2, &choices[j]);

                    assert_same_answers(&found, &truth);
                    answers_free(&truth);
                    answers_free(&found);
                }
                free(bits);
            }
            free(queries);
        }
        ledger_close(&l);
    }
}

/* At knobs that find nine of ten, the filter must not cost recall, by id and by attribute. */
static void test_recall(void **state)
{
    static const double shares[] = { 1, .5, .1, .02, .005, .001 };

    (void)state;
    for (size_t which = 0; which < INSIDES; which++) {
        struct channi_params p = inside_params(which);
        struct ledger l;
        double plain = 0;

        p.eps0 = 1.9;
        p.bits = 4;
        ledger_open(&l, p, ELEMENT_F32, 24, 6000, 1);
        ledger_insert(&l, 6000);
        l.knobs.nprobe = 16;
        l.knobs.in_ef = 24;
        unsigned char *queries = ledger_queries(&l);
        for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
            const struct attribute_range range = { 100, 100 + (uint32_t)(shares[i] * 1000) };
            struct id_filter filter;
            uint64_t *bits = bits_make(&l, shares[i], &filter);
            const struct choice choices[] = { { .ids = &filter }, { .range = &range } };

            for (size_t j = 0; j < 2; j++) {
                struct answers truth =
                                   truth_of(&l, queries, QUERIES, 10, l.live, l.of, &choices[j]),
                               found = ledger_ask(&l, queries, QUERIES, 10, 1, &choices[j]);
                const double recall = answers_recall(&truth, &found);

                assert_allowed(&l, &found, &choices[j]);
                plain = i == 0 && j == 0 ? recall : plain;
                print_message("%s, %g allowed by %s: recall %.3f, %.0f rows scanned\n",
                              insides[which], shares[i], j ? "attribute" : "id", recall,
                              found.work.scanned / QUERIES);
                assert_true(recall >= plain - .05);
                answers_free(&truth);
                answers_free(&found);
            }
            free(bits);
        }
        assert_true(plain > .85);
        assert_true(atomic_load(&ledger_index(&l)->counters.filter_exact) > 0);
        free(queries);
        ledger_close(&l);
    }
}

/* Where the allowed ones are far from the query, and few clusters have any. */
static void test_elsewhere(void **state)
{
    (void)state;
    struct ledger l;

    ledger_open(&l, inside_params(1), ELEMENT_F32, 8, 4000, 1);
    for (size_t i = 0; i < l.capacity; i++) { /* attributes by place */
        const float *row = ledger_row(&l, i);
        l.attributes[i] = (uint32_t)(1000 + 100 * row[0]);
    }
    ledger_insert(&l, 4000);
    struct channi *c = ledger_index(&l);
    unsigned char *queries = ledger_queries(&l);
    l.knobs.nprobe = 4;
    struct answers all = truth_of(&l, queries, QUERIES, 10, l.live, l.of, NULL),
                   some = ledger_ask(&l, queries, QUERIES, 10, 1, NULL);
    const double plain = answers_recall(&all, &some);
    answers_free(&all);
    answers_free(&some);
    for (uint32_t low = 700; low < 1300; low += 100) {
        const struct attribute_range range = { low, low + 9 };
        const struct choice choice = { .range = &range };
        struct answers truth = truth_of(&l, queries, QUERIES, 10, l.live, l.of, &choice),
                       found = ledger_ask(&l, queries, QUERIES, 10, 1, &choice);

        print_message("%u to %u: recall %.3f, without a filter %.3f; %.0f rows scanned\n", low,
                      low + 9, answers_recall(&truth, &found), plain, found.work.scanned / QUERIES);
        assert_true(answers_recall(&truth, &found) >= plain - .05);
        answers_free(&truth);
        answers_free(&found);
    }
    assert_true(atomic_load(&c->counters.clusters_skipped) > 0);
    free(queries);
    ledger_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_recall),
        cmocka_unit_test(test_elsewhere),
    };

    return test_run("channi_filter", tests);
}
