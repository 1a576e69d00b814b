/* test_replace.c - an index whose rows are replaced many times, without maintenance, stays about as
 * large as a new one with the same rows: its memory, its files, its snapshots.
 */
#include <sys/stat.h>

#include "tests/unit/asteria/support.h"

enum { LIVE = 1000, ALL = 3 * LIVE, AT_ONCE = 50 };

enum { HEAP, REPORTED, FILES, SNAPSHOT, SLOTS, SIZES };
static const char *const sizes[] = { "heap", "memory()", "files", "snapshot", "slots" };

static void measure(struct book *w, double to[SIZES])
{
    struct memory_use use;
    struct stat st;
    char dir[PATH_MAX], path[PATH_MAX];

    test_dir_make_in_memory(dir);
    assert_ok(asteria_ops.save(w->index, w->dir), &w->bench.error); /* a checkpoint */
    assert_ok(asteria_ops.memory(w->index, &use), &w->bench.error);
    assert_ok(asteria_ops.save(w->index, dir), &w->bench.error);
    assert_true(snprintf(path, sizeof path, "%.4000s/asteria.index", dir) > 0);
    assert_int_equal(stat(path, &st), 0);
    test_dir_remove(dir);
    to[HEAP] = (double)mem_live(&w->bench.mem);
    to[REPORTED] = (double)(use.vectors + use.codes + use.graph + use.ids + use.other);
    to[FILES] = (double)use.disk;
    to[SNAPSHOT] = (double)st.st_size;
    to[SLOTS] = (double)state_of(w)->n_slots;
}

/* Replaces n rows, some at once. Returns the greatest size of the files in bytes. */
static double replace(struct book *w, size_t n)
{
    struct memory_use use;
    double disk = 0;

    for (size_t i = 0; i < n; i++) {
        const bool remove = i / AT_ONCE % 2 == 0;
        uint64_t id = rng_below(&w->rng, w->capacity);

        while (w->stored[id] != remove)
            id = (id + 1) % w->capacity;
        assert_ok(remove ? book_remove(w, id) : book_insert(w, id, 1), &w->bench.error);
        if (i % AT_ONCE == 0) {
            assert_ok(asteria_ops.memory(w->index, &use), &w->bench.error);
            disk = fmax(disk, (double)use.disk);
        }
    }
    return disk;
}

struct kind {
    const char *settings;
    enum element element;
    size_t dim, rounds; /* of replacing LIVE rows */
    bool newer;         /* a newer model waits for maintain() to move the rows */
    bool linked;        /* rows are linked before the replacements */
};

static const struct kind kinds[] = {
    { "", INDEX_U8, 128, 60, false, false },
    { "address_bits=3,degree=8,pool=24", INDEX_U8, 32, 30, false, true },
    { "address_bits=3,degree=8,pool=24,link_policy=insert", INDEX_F32, 24, 12, false, false },
    { "caprg=false,code=none,address_bits=18", INDEX_F32, 64, 40, false, false },
    { "address_bits=3", INDEX_F32, 24, 40, true, false },
    { "storage=tiered,cache_mb=0", INDEX_U8, 128, 40, false, false },
    { "wal=written,checkpoint_mb=1", INDEX_U8, 128, 40, false, false },
    { "storage=tiered,cache_mb=0,wal=written,checkpoint_mb=1", INDEX_U8, 128, 60, false, false },
    { "storage=tiered,cache_mb=0,wal=written,address_bits=3,degree=8,pool=24", INDEX_F32, 32, 30,
      false, true },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void begin(struct book *w, const struct kind *k)
{
    book_open(w, k->settings, k->element, k->dim, ALL, 1);
    book_train(w, 0, LIVE);
}

static void replace_many(const struct kind *k)
{
    struct book w, fresh;
    double after[SIZES], anew[SIZES];

    begin(&w, k);
    book_add(&w, 0, LIVE);
    if (k->linked)
        book_maintain_all(&w);
    if (k->newer)
        book_train(&w, LIVE, LIVE);
    const double disk = replace(&w, 2 * k->rounds * LIVE / test_scale());
    assert_int_equal(w.n, LIVE);
    book_expect_answers(&w, 3);
    begin(&fresh, k);
    for (size_t i = 0; i < ALL; i++)
        if (w.stored[i])
            book_add(&fresh, i, 1);
    if (k->newer)
        book_train(&fresh, LIVE, LIVE);
    measure(&w, after);
    measure(&fresh, anew);
    for (size_t i = 0; i < SIZES; i++)
        if (after[i] > 3 * anew[i] && anew[i] > 0)
            fail_msg("%s: %s: %.0f after replacements, %.0f of a fresh index", k->settings,
                     sizes[i], after[i], anew[i]);
    /* During replacements there is also a log. */
    assert_true(disk <= 3 * anew[FILES] + (double)(w.params.checkpoint_mb << 20) + 10000);
    book_close(&w);
    book_close(&fresh);
}

static void test_replaced(void **state)
{
    for (size_t i = 0; i < KINDS; i++)
        replace_many(&kinds[i]);
}

/* A snapshot has the whole index. So the larger it is, the longer is the log before the next: of 6 MB of
   rows there are few. */
static void test_large_snapshots_are_rare(void **state)
{
    enum { GIVEN = 12000, STEP = 100 };
    struct book w;
    struct stat st;
    char path[PATH_MAX];
    size_t snapshots = 0;
    ino_t before = 0;

    book_open(&w, "wal=written,checkpoint_mb=1,caprg=false", INDEX_U8, 512, GIVEN, 1);
    book_train(&w, 0, 500);
    assert_true(snprintf(path, sizeof path, "%.4000s/asteria.snapshot", w.dir) > 0);
    for (size_t i = 0; i < GIVEN; i += STEP) {
        book_add(&w, i, STEP);
        assert_int_equal(stat(path, &st), 0);
        snapshots += st.st_ino != before;
        before = st.st_ino;
    }
    assert_in_range(snapshots, 3, 4); /* the first is that of training */
    book_close(&w);
}

int main(void)
{
    return test_run_all("asteria_replace", test_replaced, test_large_snapshots_are_rare);
}
