/* test_bec_file.c - a damaged file of a tree is refused, and asteria_bec_check() finds errors. That a tree
 * read behaves as the one written is test_store.c's, memory that fails contract/test_faults.
 */
#include "tests/unit/asteria/sections.h"
#include "tests/unit/asteria/tree/bec.h"

static struct part_file file;

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
    forest_take_all(&f, 0, 200);
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
        asteria_bec_write(b, part_file_write(&file));
        part_file_written(&file);
        *at = was;
        const int rc =
            asteria_bec_read(&again, &f.bench.env, &f.model, &f.options, part_file_read(&file));
        store_close(&file.reader);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_check_finds_what_is_wrong),
    };
    return test_run("asteria bec file", tests);
}
