/* test_updates.c - rows that move from model to model, slots side by side, links. Histories
 * of changes are contract/test_contract, with training among them contract/test_set. */
#include "tests/unit/asteria/support.h"

/* ------------------------------------------------------------------------------ bad input */

static void test_untrained(void **state)
{
    struct book w;
    bool more = true;

    book_open(&w, "", INDEX_F32, 32, 100, 1);
    assert_code(book_insert(&w, 0, 3), ERR_UNTRAINED, &w.bench.error);
    assert_code(asteria_ops.train(w.index, book_vectors(&w, 0, 0)), ERR_ARGUMENT, &w.bench.error);
    /* Fewer rows than bits of a word. */
    assert_code(asteria_ops.train(w.index, book_vectors(&w, 0, 2)), ERR_ARGUMENT, &w.bench.error);
    assert_ok(asteria_ops.maintain(w.index, 0, &more), &w.bench.error);
    assert_false(more);
    assert_code(book_insert(&w, 0, 3), ERR_UNTRAINED, &w.bench.error);
    book_expect_sound(&w);
    book_train(&w, 0, 100);
    book_add(&w, 0, 50);
    /* A failed training keeps the present model. */
    assert_code(asteria_ops.train(w.index, book_vectors(&w, 0, 2)), ERR_ARGUMENT, &w.bench.error);
    book_expect_answers(&w, 3);
    book_close(&w);
}

static void test_refused(void **state)
{
    /* The last two need a folder. */
    static const char *const refused[] = { "code=hamming,address_bits=12", "storage=tiered",
                                           "wal=written" };
    struct test_bench bench;
    struct index *index = NULL;

    test_bench_begin(&bench, INDEX_F32, INDEX_COS, 8, 1);
    for (size_t i = 0; i < 3; i++) {
        const struct asteria_params params = params_with(refused[i]);
        assert_code(asteria_ops.create(&index, &bench.env, &params), ERR_ARGUMENT, &bench.error);
        assert_int_equal(mem_live(&bench.mem), 0);
    }
    test_bench_end(&bench);
}

/* ------------------------------------------------------------------------------- re-encoding */

static size_t rows_of(const struct asteria *a, unsigned generation)
{
    return a->generations[generation] ? a->generations[generation]->live : 0;
}

/* 800 linked rows, and a newer model. */
static void begin_reencoding(struct book *w)
{
    book_open(w, "address_bits=4", INDEX_F32, 24, 1200, 1);
    book_train(w, 0, 300);
    book_add(w, 0, 800);
    book_maintain_all(w);
    book_train(w, 400, 500);
}

/* Stopped after any step, with changes in between, the index stays valid and exact. */
static void reencode_by(uint64_t budget, bool change)
{
    struct book w;
    size_t halfway = 0;

    begin_reencoding(&w);
    const struct asteria *a = state_of(&w);
    assert_int_equal(rows_of(a, !a->now), 800);
    for (size_t step = 0; book_maintain(&w, budget); step++) {
        assert_true(step < 20000);
        if (step % 16 == 0 || a->generations[!a->now]) {
            book_expect_answers(&w, 1);
        }
        halfway += rows_of(a, 0) > 0 && rows_of(a, 1) > 0;
        if (change && step < 300)
            book_add(&w, 800 + step, 1);
        if (change)
            book_remove_each(&w, step % 800, 1, 1);
    }
    assert_true(halfway > 0);
    assert_null(a->generations[!a->now]);
    assert_int_equal(now_of(&w)->model->fitted.version, 2);
    book_expect_answers(&w, 5);
    book_close(&w);
}

static void test_reencoding(void **state)
{
    reencode_by(100, false);
    reencode_by(40, true);
}

/* Rows removed before they were moved: too few for a sweep of the graph, so it passes through them
   by codes of the newer model. */
static void test_reencoding_of_the_dead(void **state)
{
    enum { DEAD = 6 };
    struct book w;
    size_t dead = 0;

    begin_reencoding(&w);
    const struct asteria *a = state_of(&w);
    book_remove_each(&w, 100, DEAD, 1);
    book_maintain_all(&w);
    book_expect_sound(&w);
    assert_null(a->generations[!a->now]);
    const struct asteria_model *m = now_of(&w)->model;
    float *z = calloc(m->rotation->out_dim, sizeof *z);
    assert_non_null(z);
    for (uint32_t slot = 0; slot < a->n_slots; slot++) {
        const void *row;

        if (asteria_is_live(a, slot))
            continue;
        dead++;
        assert_true(asteria_is_dead_in_graph(a, slot));
        assert_true(a->places[slot].bucket == UINT32_MAX); /* its bucket is gone */
        assert_int_equal(a->places[slot].generation, a->now);
        assert_ok(asteria_rows_get(a->rows, slot, NULL, &row), &w.bench.error);
        asteria_rotation_apply(m->rotation, w.bench.env.kernels, row, z);
        assert_ok(
            asteria_lrsq_check(m->lrsq, z, segmented_at(&now_of(&w)->codes, slot), &w.bench.error),
            &w.bench.error);
    }
    assert_int_equal(dead, DEAD);
    free(z);
    book_close(&w);
}

/* A third model is not fitted while two exist. */
static void test_models_in_a_row(void **state)
{
    struct book w;

    book_open(&w, "address_bits=4", INDEX_U8, 24, 900, 1);
    for (uint32_t version = 1; version <= 4; version++) {
        book_train(&w, 0, 300 + 100 * version);
        book_add(&w, 200 * (version - 1), 200);
        assert_int_equal(now_of(&w)->model->fitted.version, version);
        book_expect_answers(&w, 2);
    }
    book_close(&w);
}

/* ---------------------------------------------------------------------------------- slots */

/* Rows of a bucket inserted together get consecutive slots. */
static void test_slots_side_by_side(void **state)
{
    struct book w;

    book_open(&w, "address_bits=4,caprg=false", INDEX_F32, 16, 600, 2);
    book_train(&w, 0, 300);
    book_add(&w, 0, 600);
    const struct asteria *a = state_of(&w);
    for (uint32_t slot = 0; slot < 600; slot++)
        assert_true(slot == 0 || a->places[slot].bucket == a->places[slot - 1].bucket ||
                    a->places[slot].position == 0);
    book_close(&w);
}

static void test_links(void **state)
{
    static const char *const settings[] = { "link_policy=insert", "link_policy=maintain" };
    struct book w;

    for (size_t i = 0; i < 2; i++) {
        book_open(&w, settings[i], INDEX_F32, 16, 300, 1);
        book_train(&w, 0, 300);
        book_add(&w, 0, 300);
        assert_int_equal(asteria_caprg_count(state_of(&w)->graph).queued, i == 0 ? 0 : 300);
        book_expect_sound(&w);
        book_maintain_all(&w);
        assert_int_equal(asteria_caprg_count(state_of(&w)->graph).queued, 0);
        assert_true(asteria_caprg_count(state_of(&w)->graph).edges > 900);
        book_close(&w);
    }
}

/* The codes of the centres, which searches order buckets by, are up to date. */
static void test_codes_of_centres(void **state)
{
    struct book w;
    struct asteria_knobs knobs;
    uint64_t id, versions = 0, before = 0;
    float distance;

    book_open(&w, "code=none,address_bits=12,caprg=false", INDEX_F32, 24, 900, 2);
    param_defaults(asteria_ops.knobs, &knobs);
    book_train(&w, 0, 300);
    for (size_t step = 0; step < 9; step++) {
        if (step < 8)
            book_add(&w, 100 * step, 100);
        else
            book_maintain_all(&w);
        (void)book_search(&w, book_row(&w, step), 1, 1, &knobs, NULL, 1, &id, &distance);
        const struct asteria_generation *g = now_of(&w);
        const uint64_t coded = atomic_load(&g->coded_version);
        if (w.bench.env.kernels->isa == ISA_SCALAR || coded == 0)
            continue;
        assert_int_equal(coded, g->centres_version + 1);
        assert_int_equal(g->coded.n, g->n);
        versions += coded != before;
        before = coded;
    }
    assert_true(versions > 3 || w.bench.env.kernels->isa == ISA_SCALAR);
    book_close(&w);
}

int main(void)
{
    return test_run_all("asteria updates", test_untrained, test_refused, test_reencoding,
                        test_reencoding_of_the_dead, test_models_in_a_row, test_slots_side_by_side,
                        test_links, test_codes_of_centres);
}
