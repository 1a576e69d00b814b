/* test_bec_file.c - a tree read from a file behaves like the one written, a damaged one is refused;
 * asteria_bec_check() finds errors, and memory failures leave the tree valid.
 */
#include "tests/unit/asteria/sections.h"
#include "tests/unit/asteria/tree/bec.h"

static struct part_file file;

static void write_tree(const struct asteria_bec *b)
{
    asteria_bec_write(b, part_file_write(&file));
    part_file_written(&file);
}

static int read_tree(struct forest *f, struct asteria_bec **b)
{
    const int rc =
        asteria_bec_read(b, &f->bench.env, &f->model, &f->options, part_file_read(&file));

    store_close(&file.reader);
    return rc;
}

static void test_what_was_written_goes_on(void **state)
{
    struct forest f;
    struct asteria_bec *again;
    bool more;
    unsigned midway = 0;

    forest_open(&f, ECC_GOLAY, 10, 60, 9, 0.5, 0, 70);
    part_file_begin(&file, &f.bench);
    for (unsigned round = 0; round < 4; round++) {
        if (round > 0)
            forest_add_all(&f, (round - 1) * 1000, round * 1000);
        for (uint32_t slot = 0; slot < 1000 && round == 3; slot++)
            forest_take(&f, slot);
        assert_ok(asteria_bec_maintain(f.bec, 2500, &more), &f.bench.error);
        write_tree(f.bec);
        assert_ok(read_tree(&f, &again), &f.bench.error);
        assert_ok(asteria_bec_check(again, &f.bench.error), &f.bench.error);
        assert_int_equal(again->state.round, f.bec->state.round);
        assert_int_equal(again->state.cursor, f.bec->state.cursor);
        assert_int_equal(again->state.again, f.bec->state.again);
        assert_int_equal(again->state.changed, f.bec->state.changed);
        assert_int_equal(again->state.reshaped, f.bec->state.reshaped);
        midway += f.bec->state.round < BEC_ROUNDS && f.bec->state.cursor > 0;
        /* Both behave the same. */
        struct asteria_bec *both[2] = { f.bec, again };
        for (unsigned i = 0; i < 2; i++) {
            assert_ok(asteria_bec_reserve(both[i], 5500), &f.bench.error);
            for (uint32_t slot = 5000; slot < 5500; slot++)
                asteria_bec_add(both[i], slot, forest_address(&f, slot), f.z[slot]);
            assert_ok(asteria_bec_maintain(both[i], 900, &more), &f.bench.error);
        }
        const struct asteria_bec_counts a = asteria_bec_count_events(f.bec),
                                        b = asteria_bec_count_events(again);
        assert_memory_equal(&a, &b, sizeof a);
        for (uint32_t slot = 0; slot < 5500; slot++) {
            assert_int_equal(asteria_bec_has(f.bec, slot), asteria_bec_has(again, slot));
            if (asteria_bec_has(again, slot))
                assert_int_equal(asteria_bec_leaf(f.bec, slot), asteria_bec_leaf(again, slot));
        }
        asteria_bec_destroy(again);
        for (uint32_t slot = 5000; slot < 5500; slot++)
            asteria_bec_remove(f.bec, slot);
    }
    assert_true(midway > 0);
    part_file_end(&file);
    forest_close(&f);
}

/* Bytes of the tree's arrays are changed before writing: the file is refused, or gives a
   valid tree. */
static void test_damage_is_refused(void **state)
{
    struct forest f;
    unsigned refused = 0;
    enum { TRIES = 600 };

    forest_open(&f, ECC_GOLAY, 7, 30, 9, 0.5, 0, 71);
    part_file_begin(&file, &f.bench);
    forest_add_all(&f, 0, 400);
    forest_maintain_all(&f);
    for (uint32_t slot = 0; slot < 200; slot++)
        forest_take(&f, slot);
    forest_maintain_all(&f);
    for (unsigned i = 0; i < TRIES; i++) {
        struct asteria_bec *b = f.bec, *again = NULL;
        unsigned char *const arrays[] = { (unsigned char *)b->nodes, (unsigned char *)b->rows,
                                          (unsigned char *)b->tallies };
        const size_t bytes[] = { b->state.n_nodes * sizeof *b->nodes,
                                 b->state.n_slots * sizeof *b->rows,
                                 b->state.n_nodes * b->state.bits * sizeof *b->tallies };
        const unsigned which = i % 3;
        unsigned char *at = arrays[which] + rng_below(&f.rng, bytes[which]);
        const unsigned char was = *at;
        *at ^= (unsigned char)(1U << rng_below(&f.rng, 8));
        write_tree(b);
        *at = was;
        const int rc = read_tree(&f, &again);
        if (rc == OK) {
            assert_ok(asteria_bec_check_shape(again, &f.bench.error), &f.bench.error);
            asteria_bec_destroy(again);
        } else {
            assert_code(rc, ERR_CORRUPT, &f.bench.error);
            refused++;
        }
    }
    assert_true(refused > TRIES / 4);
    part_file_end(&file);
    forest_close(&f);
}

static void test_another_models_tree_is_refused(void **state)
{
    struct forest f, other;
    struct asteria_bec *b;

    forest_open(&f, ECC_GOLAY, 7, 30, 9, 0.5, 0, 72);
    forest_open(&other, ECC_GOLAY, 8, 30, 9, 0.5, 0, 73);
    part_file_begin(&file, &other.bench);
    write_tree(f.bec);
    assert_code(read_tree(&other, &b), ERR_CORRUPT, &other.bench.error);
    assert_null(b);
    part_file_end(&file);
    forest_close(&f);
    forest_close(&other);
}

static void test_check_finds_what_is_wrong(void **state)
{
    struct forest f;

    forest_open(&f, ECC_GOLAY, 8, 100, 9, 0.5, 0, 74);
    forest_add_all(&f, 0, 1500);
    forest_maintain_all(&f);
    struct asteria_bec *b = f.bec;
    const uint32_t leaf = asteria_bec_leaf(b, 7);
    uint32_t *const numbers[] = { &b->nodes[leaf].n,     &b->nodes[leaf].mask,
                                  &b->nodes[0].n,        &b->nodes[leaf].medoid,
                                  &b->nodes[leaf].first, &b->rows[7].address,
                                  &b->rows[7].leaf,      &b->rows[7].next,
                                  &b->rows[7].prev,      &bec_tallies(b, leaf)[3].ones };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const uint32_t was = *numbers[i];
        *numbers[i] = was == 0 ? 1 : was - 1;
        assert_code(asteria_bec_check(b, &f.bench.error), ERR_INVARIANT, &f.bench.error);
        *numbers[i] = was;
        forest_check(&f);
    }
    bec_sum(b, leaf)[2] += 0.01;
    assert_code(asteria_bec_check(b, &f.bench.error), ERR_INVARIANT, &f.bench.error);
    forest_close(&f);
}

static void test_no_memory(void **state)
{
    bool done = false;

    for (size_t at = 1; !done; at++) {
        struct forest f;
        struct asteria_bec *again = NULL;
        bool more = true;
        forest_open(&f, ECC_GOLAY, 8, 20, 9, 0.5, 0, 75);
        part_file_begin(&file, &f.bench);
        f.bench.mem.fail_at = atomic_load(&f.bench.mem.calls) + at;
        f.bench.mem.fail_after = at % 2;
        int rc = asteria_bec_reserve(f.bec, 500);
        for (uint32_t slot = 0; rc == OK && slot < 500; slot++)
            forest_add(&f, slot);
        while (rc == OK && more)
            rc = asteria_bec_maintain(f.bec, 300, &more);
        if (rc == OK) {
            asteria_bec_write(f.bec, part_file_write(&file));
            rc = store_commit(&file.writer);
        }
        if (rc == OK)
            rc = read_tree(&f, &again);
        if (rc == OK)
            asteria_bec_destroy(again);
        done = !atomic_load(&f.bench.mem.failed);
        assert_true(done == (rc == OK));
        f.bench.mem.fail_at = 0;
        if (rc != OK)
            assert_code(rc, ERR_NO_MEMORY, &f.bench.error);
        forest_check(&f);
        forest_maintain_all(&f); /* and it goes on */
        part_file_end(&file);
        forest_close(&f);
    }
    for (size_t at = 1; at <= 6; at++) {
        struct forest f;
        struct asteria_bec *b;
        forest_open(&f, ECC_GOLAY, 8, 20, 9, 0.5, 0, 76);
        f.bench.mem.fail_at = atomic_load(&f.bench.mem.calls) + at;
        assert_code(asteria_bec_create(&b, &f.bench.env, &f.model, &f.options), ERR_NO_MEMORY,
                    &f.bench.error);
        assert_null(b);
        forest_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_goes_on),
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_another_models_tree_is_refused),
        cmocka_unit_test(test_check_finds_what_is_wrong),
        cmocka_unit_test(test_no_memory),
    };
    return test_run("asteria bec file", tests);
}
