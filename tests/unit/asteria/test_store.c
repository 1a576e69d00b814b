/* test_store.c - a loaded index answers bit for bit as the saved one, and behaves the same
 * afterwards; files with wrong values, of another kind or of other versions are refused. Damaged
 * files are contract/test_faults. */
#include "tests/unit/asteria/saved.h"

/* Applies the same calls to both. */
static void live_together(struct small *x, struct small *y, size_t steps)
{
    memcpy(y->stored, x->stored, sizeof x->stored);
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
    static struct small s, t;
    const struct asteria_params p = params_of(k), other = small_params();
    char dirs[4][PATH_MAX], when[100];

    (void)snprintf(when, sizeof when, "%s, %s", k->name, ages[age]);
    for (size_t i = 0; i < 4; i++)
        test_dir_make_in_memory(dirs[i]);
    small_begin(&s, k->element, &p, dirs[0]);
    small_begin(&t, k->element, &other, dirs[1]);
    grow_to(&s, age);
    assert_ok(asteria_ops.save(&s.a->base, dirs[2]), &s.bench.error);
    assert_ok(small_load(&t, dirs[2]), &t.bench.error);
    assert_memory_equal(&t.a->params, &s.a->params, sizeof p);
    assert_ok(asteria_ops.save(&t.a->base, dirs[3]), &t.bench.error);
    expect_same_file(dirs[2], dirs[3]);
    memcpy(t.stored, s.stored, sizeof s.stored);
    small_expect(&t, when);
    small_expect_same(&s, &t, when);
    if (age >= EMPTY) {
        live_together(&s, &t, 30);
        small_expect(&s, when);
        small_expect(&t, when);
        small_expect_same(&s, &t, when);
    }
    small_end(&s);
    small_end(&t);
    for (size_t i = 0; i < 4; i++)
        test_dir_remove(dirs[i]);
}

static void test_round_trips(void **state)
{
    for (size_t k = 0; k < KINDS; k++)
        for (enum age age = UNTRAINED; age < AGES; age++)
            round_trip(&kinds[k], age);
}

/* ------------------------------------------------------------------------------- refusals */

static void refused(struct small *s, const char *dir, const char *what, const char *where)
{
    const int rc = small_load(s, dir);

    if (rc == OK)
        fail_msg("%s in %s is not noticed", what, where);
    assert_int_equal(mem_live(&s->bench.mem), 0);
    assert_true(rc == ERR_CORRUPT || rc == ERR_VERSION || rc == ERR_DIMENSION);
    assert_code(rc, rc, &s->bench.error);
}

/* A saved file, split into sections. */
struct apart {
    struct bytes all;
    struct store_entry entries[STORE_SECTIONS_MAX];
    size_t n;
    char path[PATH_MAX];
};

static void take_apart(struct small *s, const char *dir, struct apart *x)
{
    static struct store_reader r;
    const struct store_identity identity = saved_identity(s);

    assert_ok(store_open(&r, dir, SAVED, &identity, &s->bench.error), &s->bench.error);
    (void)snprintf(x->path, sizeof x->path, "%s", r.path);
    x->all = bytes_read(x->path);
    x->n = r.n_entries;
    memcpy(x->entries, r.entries, r.n_entries * sizeof *r.entries);
    store_close(&r);
}

/* Writes the file again with correct checksums: with `less` bytes fewer in a section, or with n
   bytes at `at` replaced. */
static void write_again(struct small *s, const struct apart *x, const char *dir, size_t section,
                        size_t less, size_t at, const void *instead, size_t n)
{
    static struct store_writer w;
    const struct store_identity identity = saved_identity(s);

    assert_ok(store_begin(&w, dir, SAVED, &identity, NULL, &s->bench.error), &s->bench.error);
    for (size_t i = 0; i < x->n; i++) {
        const struct store_entry *e = &x->entries[i];
        unsigned char *bytes = malloc(e->bytes + 1);
        assert_non_null(bytes);
        memcpy(bytes, x->all.at + e->offset, e->bytes);
        if (i == section && n > 0)
            memcpy(bytes + at, instead, n);
        store_section(&w, e->tag);
        store_write(&w, bytes, e->bytes - (i == section ? less : 0));
        free(bytes);
    }
    assert_ok(store_commit(&w), &s->bench.error);
}

/* Correct checksums, but wrong values: refused, or an index that does not crash. Shorter sections
   are always refused. */
static void test_nonsense(void **state)
{
    static struct small s;
    static struct apart x;
    static struct small_answers answers;
    struct rng rng = rng_at(test_seed(), 32);
    char dirs[2][PATH_MAX];
    size_t refusals = 0;

    begin_saved(&s, &kinds[0], HALFWAY, dirs);
    small_close(&s);
    take_apart(&s, dirs[1], &x);
    for (size_t i = 0; i < x.n; i++) {
        const struct store_entry *e = &x.entries[i];
        const bool numbers = strncmp(e->tag, "meta", 4) == 0 || strncmp(e->tag, "params", 6) == 0 ||
                             strncmp(e->tag, "ids", 3) == 0 || strncmp(e->tag, "places", 6) == 0 ||
                             strncmp(e->tag, "waiting", 7) == 0 ||
                             strncmp(e->tag, "free", 4) == 0 || strncmp(e->tag, "gen", 3) == 0 ||
                             strncmp(e->tag, "buckets", 7) == 0 ||
                             strncmp(e->tag, "slots", 5) == 0 || strncmp(e->tag, "alive", 5) == 0;
        if (e->bytes > 0) {
            write_again(&s, &x, dirs[1], i, 1, 0, NULL, 0);
            refused(&s, dirs[1], "a byte less", e->tag);
        }
        for (size_t trial = 0; numbers && e->bytes >= 4 && trial < 60; trial++) {
            const uint32_t odd[] = { 0,        1,          UINT32_MAX, (uint32_t)rng_u64(&rng),
                                     1U << 31, STORE_ROWS, 3,          0x7f800000 };
            const size_t at = rng_below(&rng, e->bytes / 4) * 4;
            write_again(&s, &x, dirs[1], i, 0, at, &odd[rng_below(&rng, 8)], 4);
            const int rc = small_load(&s, dirs[1]);
            if (rc == OK && s.a->trained)
                small_search(&s, 2, &answers);
            small_close(&s);
            refusals += rc != OK;
            error_clear(&s.bench.error);
            assert_int_equal(mem_live(&s.bench.mem), 0);
        }
    }
    assert_true(refusals > 100);
    free(x.all.at);
    end_saved(&s, dirs);
}

static size_t section_of(const struct apart *x, const char *tag)
{
    size_t i = 0;

    while (i < x->n && strcmp(x->entries[i].tag, tag) != 0)
        i++;
    assert_true(i < x->n);
    return i;
}

/* Values that would make computations meaningless. */
static void test_impossible(void **state)
{
    static struct small s;
    static struct apart x;
    char dirs[2][PATH_MAX];
    const float wild = 3e30F;
    const int64_t none = -1;
    const uint64_t all = UINT64_MAX;
    const uint32_t zero = 0;

    begin_saved(&s, &kinds[0], HALFWAY, dirs);
    small_close(&s);
    take_apart(&s, dirs[1], &x);
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
        { "meta", 52, &zero, 4 },               /* there is no graph, which has all rows */
        { "waiting", 0, &all, 8 },              /* live slots, too */
        { "words0", 7, &(const char){ 1 }, 1 }, /* bits beyond the word */
        { "params", offsetof(struct asteria_params, address_bits), &(const int64_t){ 13 }, 8 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_again(&s, &x, dirs[1], section_of(&x, cases[i].tag), 0, cases[i].at, cases[i].instead,
                    cases[i].n);
        assert_code(small_load(&s, dirs[1]), ERR_CORRUPT, &s.bench.error);
    }
    free(x.all.at);
    end_saved(&s, dirs);
}

/* A free slot is listed twice instead of another: it would be used for two rows. A tombstone bit is
   set beyond the last slot, which the next row would use. */
static void test_slots(void **state)
{
    static struct small s;
    static struct apart x;
    char dirs[2][PATH_MAX];
    size_t done;
    bool more = true;

    begin_saved(&s, &kinds[0], FULL, dirs);
    assert_ok(small_apply(&s, false, 0, 100, &done), &s.bench.error);
    while (more)
        assert_ok(asteria_maintain(&s.a->base, 0, &more), &s.bench.error);
    assert_true(s.a->n_free > 1);
    assert_ok(asteria_ops.save(&s.a->base, dirs[1]), &s.bench.error);
    small_close(&s);
    take_apart(&s, dirs[1], &x);
    const size_t section = section_of(&x, "free");
    write_again(&s, &x, dirs[1], section, 0, 4, x.all.at + x.entries[section].offset, 4);
    assert_code(small_load(&s, dirs[1]), ERR_CORRUPT, &s.bench.error);
    const struct store_entry *tombstones = &x.entries[section_of(&x, "waiting")];
    assert_int_equal(tombstones->bytes * 8, 512); /* two bits for each of 250 */
    write_again(&s, &x, dirs[1], section_of(&x, "waiting"), 0, 63, &(const char){ 16 }, 1);
    assert_code(small_load(&s, dirs[1]), ERR_CORRUPT, &s.bench.error);
    free(x.all.at);
    end_saved(&s, dirs);
}

static void test_others(void **state)
{
    static struct small s;
    static struct apart x;
    char dirs[2][PATH_MAX];
    const uint64_t version = 7;

    begin_saved(&s, &kinds[0], HALFWAY, dirs);
    small_close(&s);
    take_apart(&s, dirs[1], &x);
    const struct index_env env = s.bench.env;
    s.bench.env.dim = STORE_DIM + 1;
    assert_code(small_load(&s, dirs[1]), ERR_DIMENSION, &s.bench.error);
    s.bench.env = env;
    s.bench.env.element = INDEX_U8;
    assert_code(small_load(&s, dirs[1]), ERR_DIMENSION, &s.bench.error);
    s.bench.env = env;
    s.bench.env.metric = INDEX_L2SQ;
    assert_code(small_load(&s, dirs[1]), ERR_DIMENSION, &s.bench.error);
    s.bench.env = env;
    assert_code(small_load(&s, dirs[0]), ERR_NOT_FOUND, &s.bench.error);

    /* Rows of another model. */
    write_again(&s, &x, dirs[1], section_of(&x, "gen1"), 0, 0, &version, sizeof version);
    const int rc = small_load(&s, dirs[1]);
    assert_non_null(strstr(s.bench.error.text, "version 7"));
    assert_code(rc, ERR_VERSION, &s.bench.error);

    /* Written by a later version of the program. */
    static struct store_writer w;
    struct store_identity identity = saved_identity(&s);
    identity.version++;
    assert_ok(store_begin(&w, dirs[1], SAVED, &identity, NULL, &s.bench.error), &s.bench.error);
    assert_ok(store_commit(&w), &s.bench.error);
    assert_code(small_load(&s, dirs[1]), ERR_VERSION, &s.bench.error);
    free(x.all.at);
    end_saved(&s, dirs);
}

/* Files are needed, but there is no folder for them. */
static void test_no_folder(void **state)
{
    static struct small s;
    char dirs[2][PATH_MAX];

    begin_saved(&s, &kinds[2], FULL, dirs);
    small_close(&s);
    s.bench.env.dir = NULL;
    assert_code(small_load(&s, dirs[1]), ERR_ARGUMENT, &s.bench.error);
    assert_null(s.a);
    end_saved(&s, dirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_slots),       cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_others),      cmocka_unit_test(test_no_folder),
    };
    return test_run("asteria_store", tests);
}
