/* test_store.c - a loaded index answers bit for bit as the saved one, and behaves the same
 * afterwards; files with wrong values, of another kind or of other versions are refused. Damaged
 * files are contract/test_faults. */
#include "tests/support/index_folder.h"
#include "tests/unit/asteria/sections.h"
#include "tests/unit/asteria/support.h"

enum { DIM = 12, ROWS = 300, K = 8 };

static const char *const kinds[] = {
    "code=golay,address_bits=4",
    "code=hamming,address_bits=3,caprg=false",
    "code=none,address_bits=6,storage=tiered,cache_mb=0",
    ("code=bch,address_bits=3,storage=tiered,cache_mb=1,leaf_rules=entropy,leaf_prototypes=3,"
     "lrsq_scale=block"),
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The state of an index. */
enum age { UNTRAINED, EMPTY, FULL, WORN, HALFWAY, AGES };

/* Begins all but the index. */
static void begin(struct book *w, size_t kind)
{
    char settings[300];

    (void)snprintf(settings, sizeof settings,
                   "rotation=auto,train_steps=10,batch=64,degree=5,pool=24,leaf_cap=24,"
                   "lrsq_block=4,%s",
                   kinds[kind]);
    book_begin_of(w, &asteria_ops, params_with(settings), kind % 3 ? INDEX_U8 : INDEX_F32, DIM,
                  ROWS, 1, 21);
    book_fill_units(w, 0, ROWS, 9, .3);
}

/* Random updates, each of a run of ids that are all stored or all not stored, and maintenance with a
   small budget. */
static void live(struct book *w, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        if (rng_below(&w->rng, 4) == 0) {
            (void)book_maintain(w, 40);
            continue;
        }
        const size_t first = rng_below(&w->rng, ROWS), most = 1 + rng_below(&w->rng, 40);
        size_t n = 0;

        while (n < most && first + n < ROWS && w->stored[first + n] == w->stored[first])
            n++;
        if (w->stored[first])
            book_remove_each(w, first, n, 1);
        else
            book_add(w, first, n);
    }
}

static void grow_to(struct book *w, enum age age)
{
    book_create(w);
    if (age >= EMPTY)
        book_train(w, 0, ROWS / 2);
    if (age >= FULL)
        book_add(w, 0, ROWS - 50);
    if (age >= WORN)
        live(w, 40);
    if (age < HALFWAY)
        return;
    /* Free slots; a newer model, and some rows moved to it. */
    const struct asteria *a = state_of(w);
    book_remove_each(w, 0, 100, 1);
    book_maintain_all(w);
    assert_true(a->n_free > 1);
    book_train(w, 60, ROWS / 2);
    while (a->generations[a->now]->live == 0)
        (void)book_maintain(w, 10);
    assert_true(a->generations[!a->now] && a->generations[!a->now]->live > 0);
}

static void expect_same_file(const char *a, const char *b)
{
    struct bytes bytes[2];
    char path[PATH_MAX];

    for (size_t i = 0; i < 2; i++) {
        assert_true(snprintf(path, sizeof path, "%.4000s/asteria.index", i ? b : a) > 0);
        bytes[i] = bytes_read(path);
    }
    assert_int_equal(bytes[0].n, bytes[1].n);
    assert_memory_equal(bytes[0].at, bytes[1].at, bytes[0].n);
    free(bytes[0].at);
    free(bytes[1].at);
}

/* The same answers to all rows, in each way of searching. */
static void expect_same_answers(struct book *x, struct book *y)
{
    static const char *const ways[] = { "nprobe=3", "nprobe=3,beam=10", "mode=certified",
                                        "nprobe=3,beam=10,probe_order=score",
                                        "nprobe=3,probe_order=bound" };
    static uint64_t ids[2][ROWS * K];
    static float distances[2][ROWS * K];

    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        struct asteria_knobs knobs;
        test_set_options(asteria_ops.knobs, ways[way], ",", &knobs);
        knobs.beam = x->params.caprg ? knobs.beam : 0;
        book_search(x, x->rows, ROWS, K, &knobs, NULL, 1, ids[0], distances[0]);
        book_search(y, x->rows, ROWS, K, &knobs, NULL, 1, ids[1], distances[1]);
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
    }
}

static void round_trip(size_t kind, enum age age)
{
    struct book s, t;
    char saved[2][PATH_MAX];

    print_message("           %s, age %d\n", kinds[kind], age);
    test_dir_make_in_memory(saved[0]);
    test_dir_make_in_memory(saved[1]);
    begin(&s, kind);
    begin(&t, kind);
    grow_to(&s, age);
    assert_ok(asteria_ops.save(s.index, saved[0]), &s.bench.error);
    assert_ok(book_reload(&t, saved[0]), &t.bench.error);
    assert_memory_equal(&state_of(&t)->params, &state_of(&s)->params, sizeof s.params);
    assert_ok(asteria_ops.save(t.index, saved[1]), &t.bench.error);
    expect_same_file(saved[0], saved[1]);
    memcpy(t.stored, s.stored, ROWS * sizeof *s.stored);
    t.n = s.n;
    book_expect_sound(&t);
    for (size_t i = 0; i < 2 && age >= EMPTY; i++) { /* also after the same calls to both */
        expect_same_answers(&s, &t);
        t.rng = s.rng;
        live(&s, 30);
        live(&t, 30);
        book_expect_sound(&s);
        book_expect_answers(&t, 20);
    }
    book_close(&s);
    book_close(&t);
    test_dir_remove(saved[0]);
    test_dir_remove(saved[1]);
}

static void test_round_trips(void **state)
{
    for (size_t k = 0; k < KINDS; k++)
        for (enum age age = UNTRAINED; age < AGES; age++)
            round_trip(k, age);
}

/* ------------------------------------------------------------------------------- refusals */

static struct part_file file;

/* An index that was saved as a file of sections, and closed. */
static void take_apart(struct book *w, size_t kind, enum age age)
{
    begin(w, kind);
    part_file_begin(&file, &w->bench);
    file.name = "asteria.index";
    file.identity.version = 11;
    grow_to(w, age);
    assert_ok(asteria_ops.save(w->index, file.dir), &w->bench.error);
    asteria_ops.destroy(w->index);
    w->index = NULL;
    part_file_keep(&file);
}

static void end_apart(struct book *w)
{
    part_file_end(&file);
    book_close(w);
}

static int load_changed(struct book *w, const struct section_change *c)
{
    part_file_change(&file, c);
    const int rc = book_reload(w, file.dir);
    assert_true(w->index || mem_live(&w->bench.mem) == 0);
    return rc;
}

/* Correct checksums, but wrong values: refused, or an index that does not crash. Shorter sections
   are always refused. */
static void test_nonsense(void **state)
{
    static const char *const numbers[] = { "meta", "params",  "ids",   "places",
                                           "free", "buckets", "slots", "alive" };
    static uint64_t ids[ROWS * K];
    static float distances[ROWS * K];
    struct book w;
    struct asteria_knobs knobs;
    struct rng rng = rng_at(test_seed(), 32);
    size_t refusals = 0;

    test_set_options(asteria_ops.knobs, "mode=certified", ",", &knobs);
    take_apart(&w, 0, HALFWAY);
    for (size_t i = 0; i < file.sound.n_entries; i++) {
        const struct store_entry *e = &file.sound.entries[i];
        bool odd_numbers = false;
        for (size_t j = 0; j < sizeof numbers / sizeof *numbers; j++)
            odd_numbers |= strncmp(e->tag, numbers[j], strlen(numbers[j])) == 0;
        if (e->bytes > 0)
            assert_code(load_changed(&w, &(struct section_change){ .tag = e->tag, .more = -1 }),
                        strcmp(e->tag, "params") == 0 ? ERR_VERSION : ERR_CORRUPT, &w.bench.error);
        for (size_t trial = 0; odd_numbers && e->bytes >= 4 && trial < 60; trial++) {
            const uint32_t odd[] = { 0,        1,    UINT32_MAX, (uint32_t)rng_u64(&rng),
                                     1U << 31, ROWS, 3,          0x7f800000 };
            const struct section_change change = { .tag = e->tag,
                                                   .at = rng_below(&rng, e->bytes / 4) * 4,
                                                   .value = &odd[rng_below(&rng, 8)],
                                                   .n = 4 };
            const int rc = load_changed(&w, &change);
            if (rc == OK && state_of(&w)->generations[state_of(&w)->now])
                book_search(&w, w.rows, ROWS, K, &knobs, NULL, 1, ids, distances);
            refusals += rc != OK;
            error_clear(&w.bench.error);
        }
    }
    assert_true(refusals > 100);
    end_apart(&w);
}

/* Values that would make computations meaningless, and a free slot that is listed twice instead of
   another, which would be used for two rows. */
static void test_impossible(void **state)
{
    const float wild = 3e30F;
    const int64_t none = -1, many_bits = 13;
    const uint64_t all = UINT64_MAX;
    const void *free_slots, *ids;
    struct book w;
    size_t live = 0;

    take_apart(&w, 0, HALFWAY);
    assert_ok(store_need(&file.sound, "free", SIZE_MAX, &free_slots, NULL), &w.bench.error);
    assert_ok(store_need(&file.sound, "ids", SIZE_MAX, &ids, NULL), &w.bench.error);
    while (((const uint64_t *)ids)[live] == INDEX_NO_ID)
        live++;
    const struct section_change cases[] = {
        { "rows", 8, &wild, sizeof wild, 0, false },
        { "shift0", 0, &wild, sizeof wild, 0, false },
        { "params", offsetof(struct asteria_params, degree), &none, 8, 0, false },
        { "params", offsetof(struct asteria_params, centering), &(const char){ 5 }, 1, 0, false },
        { "places", 8 * live, &all, 8, 0, false },        /* of a live slot: none */
        { "words0", 7, &(const char){ 1 }, 1, 0, false }, /* bits beyond the word */
        { "params", offsetof(struct asteria_params, address_bits), &many_bits, 8, 0, false },
        { "free", 4, free_slots, 4, 0, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_code(load_changed(&w, &cases[i]), ERR_CORRUPT, &w.bench.error);
    end_apart(&w);
}

/* An empty folder, a file of a later version of the program, and no folder for a file of rows. */
static void test_others(void **state)
{
    struct book w;

    take_apart(&w, 2, FULL);
    assert_code(book_reload(&w, w.dir), ERR_NOT_FOUND, &w.bench.error);
    w.bench.env.dir = NULL;
    assert_code(book_reload(&w, file.dir), ERR_ARGUMENT, &w.bench.error);
    assert_null(w.index);
    w.bench.env.dir = w.dir;
    file.identity.version++;
    (void)part_file_write(&file);
    part_file_written(&file);
    assert_code(book_reload(&w, file.dir), ERR_VERSION, &w.bench.error);
    end_apart(&w);
}

int main(void)
{
    return test_run_all("asteria_store", test_round_trips, test_impossible, test_nonsense,
                        test_others);
}
