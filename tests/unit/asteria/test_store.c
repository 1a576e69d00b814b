/* test_store.c - a loaded index answers bit for bit as the saved one, and behaves the same
 * afterwards; files with wrong values, of another kind or of other versions are refused. Damaged
 * files are contract/test_faults. */
#include "tests/unit/asteria/saved.h"
#include "tests/unit/asteria/sections.h"

/* Applies the same calls to both. */
static void live_together(struct asteria_world *x, struct asteria_world *y, size_t steps)
{
    y->rng = x->rng;
    small_live(x, steps);
    small_live(y, steps);
}

static void expect_same_file(const char *a, const char *b)
{
    char path[PATH_MAX];

    assert_true(snprintf(path, sizeof path, "%s/" SAVED, a) > 0);
    struct bytes x = bytes_read(path);
    assert_true(snprintf(path, sizeof path, "%s/" SAVED, b) > 0);
    struct bytes y = bytes_read(path);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.at, y.at, x.n);
    free(x.at);
    free(y.at);
}

static void round_trip(const struct kind *k, enum age age)
{
    struct asteria_world s, t;
    char saved[2][PATH_MAX], when[100];

    (void)snprintf(when, sizeof when, "%s, %s", k->name, ages[age]);
    begin_saved(&s, k, age, saved[0]);
    small_begin(&t, k->element, params_of(k));
    test_dir_make_in_memory(saved[1]);
    assert_ok(small_load(&t, saved[0]), &t.bench.error);
    assert_memory_equal(&state_of(&t)->params, &state_of(&s)->params, sizeof s.params);
    assert_ok(asteria_ops.save(t.index, saved[1]), &t.bench.error);
    expect_same_file(saved[0], saved[1]);
    memcpy(t.stored, s.stored, STORE_ROWS * sizeof *s.stored);
    t.live = s.live;
    small_expect(&t, when);
    small_expect_same(&s, &t, when);
    if (age >= EMPTY) {
        live_together(&s, &t, 30);
        small_expect(&s, when);
        small_expect(&t, when);
        small_expect_same(&s, &t, when);
    }
    end_saved(&s, saved[0]);
    end_saved(&t, saved[1]);
}

static void test_round_trips(void **state)
{
    for (size_t k = 0; k < KINDS; k++)
        for (enum age age = UNTRAINED; age < AGES; age++)
            round_trip(&kinds[k], age);
}

/* ------------------------------------------------------------------------------- refusals */

static void refused(struct asteria_world *s, const char *dir, const char *what, const char *where)
{
    const int rc = small_load(s, dir);

    if (rc == OK)
        fail_msg("%s in %s is not noticed", what, where);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    assert_true(rc == ERR_CORRUPT || rc == ERR_VERSION || rc == ERR_DIMENSION);
    assert_code(rc, rc, &s->bench.error);
}

static struct part_file file;

/* Keeps the saved file, whose sections are changed from now on. */
static void take_apart(struct asteria_world *s, const char *dir)
{
    file = (struct part_file){ .error = &s->bench.error,
                               .name = SAVED,
                               .identity = saved_identity(s) };
    (void)snprintf(file.dir, sizeof file.dir, "%s", dir);
    part_file_keep(&file);
}

static void change(const char *tag, size_t at, const void *value, size_t n)
{
    part_file_change(&file, &(struct section_change){ tag, at, value, n, 0, false });
}

/* Correct checksums, but wrong values: refused, or an index that does not crash. Shorter sections
   are always refused. */
static void test_nonsense(void **state)
{
    struct asteria_world s;
    static struct small_answers answers;
    struct rng rng = rng_at(test_seed(), 32);
    char saved[PATH_MAX];
    size_t refusals = 0;

    begin_saved(&s, &kinds[0], HALFWAY, saved);
    small_close(&s);
    take_apart(&s, saved);
    for (size_t i = 0; i < file.sound.n_entries; i++) {
        const struct store_entry *e = &file.sound.entries[i];
        const bool numbers = strncmp(e->tag, "meta", 4) == 0 || strncmp(e->tag, "params", 6) == 0 ||
                             strncmp(e->tag, "ids", 3) == 0 || strncmp(e->tag, "places", 6) == 0 ||
                             strncmp(e->tag, "free", 4) == 0 ||
                             strncmp(e->tag, "buckets", 7) == 0 ||
                             strncmp(e->tag, "slots", 5) == 0 || strncmp(e->tag, "alive", 5) == 0;
        if (e->bytes > 0) {
            part_file_change(&file, &(struct section_change){ .tag = e->tag, .more = -1 });
            refused(&s, saved, "a byte less", e->tag);
        }
        for (size_t trial = 0; numbers && e->bytes >= 4 && trial < 60; trial++) {
            const uint32_t odd[] = { 0,        1,          UINT32_MAX, (uint32_t)rng_u64(&rng),
                                     1U << 31, STORE_ROWS, 3,          0x7f800000 };
            const size_t at = rng_below(&rng, e->bytes / 4) * 4;
            change(e->tag, at, &odd[rng_below(&rng, 8)], 4);
            const int rc = small_load(&s, saved);
            if (rc == OK && state_of(&s)->trained)
                small_search(&s, 2, &answers);
            small_close(&s);
            refusals += rc != OK;
            error_clear(&s.bench.error);
            assert_int_equal(mem_live(&s.bench.mem), 0);
        }
    }
    assert_true(refusals > 100);
    store_close(&file.sound);
    end_saved(&s, saved);
}

/* Values that would make computations meaningless. */
static void test_impossible(void **state)
{
    struct asteria_world s;
    char saved[PATH_MAX];
    const float wild = 3e30F;
    const int64_t none = -1;
    const uint64_t all = UINT64_MAX;

    begin_saved(&s, &kinds[0], HALFWAY, saved);
    small_close(&s);
    take_apart(&s, saved);
    const struct {
        const char *tag;
        size_t at;
        const void *instead;
        size_t n;
    } cases[] = {
        { "rows", 8, &wild, sizeof wild },
        { "turn0", 64, &wild, sizeof wild },
        { "params", offsetof(struct asteria_params, degree), &none, sizeof none },
        { "params", offsetof(struct asteria_params, centering), &(const char){ 5 }, 1 },
        { "places", 0, &all, 8 },               /* of a live slot: none */
        { "words0", 7, &(const char){ 1 }, 1 }, /* bits beyond the word */
        { "params", offsetof(struct asteria_params, address_bits), &(const int64_t){ 13 }, 8 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        change(cases[i].tag, cases[i].at, cases[i].instead, cases[i].n);
        assert_code(small_load(&s, saved), ERR_CORRUPT, &s.bench.error);
    }
    store_close(&file.sound);
    end_saved(&s, saved);
}

/* A node of the graph that is no row: a search would read beyond the rows. */
static void test_node_beyond_slots(void **state)
{
    struct asteria_world s;
    char saved[PATH_MAX];

    begin_saved(&s, &kinds[0], HALFWAY, saved);
    struct asteria *a = state_of(&s);
    assert_ok(asteria_check(s.index, NULL), &s.bench.error);
    assert_ok(asteria_caprg_reserve(a->graph, a->n_slots + 1), &s.bench.error);
    asteria_caprg_queue(a->graph, (uint32_t)a->n_slots);
    assert_code(asteria_check(s.index, NULL), ERR_INVARIANT, &s.bench.error);
    small_close(&s);
    end_saved(&s, saved);
}

/* A free slot is listed twice instead of another: it would be used for two rows. */
static void test_slots(void **state)
{
    struct asteria_world s;
    char saved[PATH_MAX];
    const void *free_slots;

    begin_saved(&s, &kinds[0], FULL, saved);
    asteria_world_remove(&s, 0, 100, 1);
    asteria_world_maintain_all(&s);
    assert_true(state_of(&s)->n_free > 1);
    assert_ok(asteria_ops.save(s.index, saved), &s.bench.error);
    small_close(&s);
    take_apart(&s, saved);
    assert_ok(store_need(&file.sound, "free", SIZE_MAX, &free_slots, NULL), &s.bench.error);
    change("free", 4, free_slots, 4);
    assert_code(small_load(&s, saved), ERR_CORRUPT, &s.bench.error);
    store_close(&file.sound);
    end_saved(&s, saved);
}

static void test_others(void **state)
{
    struct asteria_world s;
    char saved[PATH_MAX];

    begin_saved(&s, &kinds[0], HALFWAY, saved);
    small_close(&s);
    take_apart(&s, saved);
    assert_code(small_load(&s, s.dir), ERR_NOT_FOUND, &s.bench.error);

    /* Written by a later version of the program. */
    file.identity.version++;
    (void)part_file_write(&file);
    part_file_written(&file);
    assert_code(small_load(&s, saved), ERR_VERSION, &s.bench.error);
    store_close(&file.sound);
    end_saved(&s, saved);
}

/* Files are needed, but there is no folder for them. */
static void test_no_folder(void **state)
{
    struct asteria_world s;
    char saved[PATH_MAX];

    begin_saved(&s, &kinds[2], FULL, saved);
    small_close(&s);
    s.bench.env.dir = NULL;
    assert_code(small_load(&s, saved), ERR_ARGUMENT, &s.bench.error);
    assert_null(s.index);
    end_saved(&s, saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),       cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_node_beyond_slots), cmocka_unit_test(test_slots),
        cmocka_unit_test(test_nonsense),          cmocka_unit_test(test_others),
        cmocka_unit_test(test_no_folder),
    };
    return test_run("asteria_store", tests);
}
