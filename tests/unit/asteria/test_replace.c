/* test_replace.c - an index whose rows are replaced many times, without maintenance, stays about as
 * large as a new one with the same rows: its memory, its files, its snapshots.
 */
#include <sys/stat.h>

#include "tests/unit/asteria/support.h"

enum { LIVE = 1000, ALL = 3 * LIVE, AT_ONCE = 50 };

struct sizes {
    double heap, reported, disk, saved, slots;
};

static struct sizes sizes_of(struct asteria_world *w)
{
    struct memory_use use;
    struct stat st;
    char dir[PATH_MAX], path[PATH_MAX];

    test_dir_make_in_memory(dir);
    if (w->dir[0])
        assert_ok(asteria_ops.save(w->index, w->dir), &w->bench.error); /* a checkpoint */
    assert_ok(asteria_ops.memory(w->index, &use), &w->bench.error);
    assert_ok(asteria_ops.save(w->index, dir), &w->bench.error);
    assert_true(snprintf(path, sizeof path, "%s/asteria.index", dir) > 0);
    assert_int_equal(stat(path, &st), 0);
    test_dir_remove(dir);
    return (struct sizes){ .heap = (double)mem_live(&w->bench.mem),
                           .reported =
                               (double)(use.vectors + use.codes + use.graph + use.ids + use.other),
                           .disk = (double)use.disk,
                           .saved = (double)st.st_size,
                           .slots = (double)state_of(w)->n_slots };
}

/* Chooses n ids at random that are stored, or that are not. */
static size_t choose(struct asteria_world *w, bool stored, uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n;) {
        const uint64_t id = rng_below(&w->rng, w->capacity);

        if (w->stored[id] != stored)
            continue;
        w->stored[id] = !stored; /* so that it is not chosen twice */
        ids[i++] = id;
    }
    for (size_t i = 0; i < n; i++)
        w->stored[ids[i]] = stored;
    return n;
}

/* Replaces n rows. Returns the greatest size of the files in bytes. */
static double replace(struct asteria_world *w, size_t n)
{
    struct memory_use use;
    uint64_t ids[AT_ONCE];
    double disk = 0;
    size_t done;

    for (; n > 0; n -= n < AT_ONCE ? n : AT_ONCE) {
        size_t some = choose(w, true, ids, n < AT_ONCE ? n : AT_ONCE);
        assert_ok(asteria_world_try_remove(w, ids, some), &w->bench.error);
        some = choose(w, false, ids, some);
        for (size_t i = 0; i < some; i++)
            assert_ok(asteria_ops.insert(w->index, rows_from(w, ids[i], 1), &ids[i], &done),
                      &w->bench.error);
        for (size_t i = 0; i < some; i++)
            w->stored[ids[i]] = true;
        w->live += some;
        assert_ok(asteria_ops.memory(w->index, &use), &w->bench.error);
        disk = fmax(disk, (double)use.disk);
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

static double times(double replaced, double fresh, const struct kind *k, const char *what)
{
    const double factor = fresh > 0 ? replaced / fresh : 1;

    if (factor > 3)
        fail_msg("%s: %s: %.0f after replacements, %.0f of a fresh index", k->settings, what,
                 replaced, fresh);
    return factor;
}

static void begin(struct asteria_world *w, const struct kind *k, const char *settings)
{
    asteria_world_open(w, settings, k->element, k->dim, ALL, 1);
    asteria_world_train(w, 0, LIVE);
}

static struct sizes fresh_sizes(const struct kind *k, const struct asteria_world *like)
{
    struct asteria_world w;

    begin(&w, k, k->settings);
    for (size_t i = 0; i < ALL; i++)
        if (like->stored[i])
            asteria_world_insert(&w, i, 1);
    if (k->newer)
        asteria_world_train(&w, LIVE, LIVE);
    const struct sizes sizes = sizes_of(&w);
    asteria_world_close(&w);
    return sizes;
}

static void replace_many(const struct kind *k)
{
    struct asteria_world w;

    begin(&w, k, k->settings);
    asteria_world_insert(&w, 0, LIVE);
    if (k->linked)
        asteria_world_maintain_all(&w);
    if (k->newer)
        asteria_world_train(&w, LIVE, LIVE);
    const double disk = replace(&w, k->rounds * LIVE / test_scale());
    assert_int_equal(w.live, LIVE);
    asteria_world_check(&w);
    asteria_world_search(&w, 3);
    const struct sizes now = sizes_of(&w), fresh = fresh_sizes(k, &w);
    /* During replacements there is also a log. */
    assert_true(disk <= 3 * fresh.disk + (double)(w.params.checkpoint_mb << 20) + 10000);
    print_message(
        "           \"%s\": %.2f x the heap, %.2f x memory(), %.2f x the files, %.2f x "
        "the snapshot, %.2f x the slots\n",
        k->settings, times(now.heap, fresh.heap, k, "heap"),
        times(now.reported, fresh.reported, k, "memory()"), times(now.disk, fresh.disk, k, "files"),
        times(now.saved, fresh.saved, k, "snapshot"), times(now.slots, fresh.slots, k, "slots"));
    asteria_world_close(&w);
}

static void test_replaced(void **state)
{
    for (size_t i = 0; i < KINDS; i++)
        replace_many(&kinds[i]);
}

static struct stat snapshot_of(const struct asteria_world *w)
{
    struct stat st;
    char path[PATH_MAX + 32];

    (void)snprintf(path, sizeof path, "%s/asteria.snapshot", w->dir);
    assert_int_equal(stat(path, &st), 0);
    return st;
}

/* A snapshot has the whole index. So the larger it is, the longer is the log before the next. */
static void test_large_snapshots_are_rare(void **state)
{
    enum { GIVEN = 12000, STEP = 100, WIDE = 512 };
    struct asteria_world w;
    size_t snapshots = 0, since = 0, least = 1 << 20;

    asteria_world_open(&w, "wal=written,checkpoint_mb=1,caprg=false", INDEX_U8, WIDE, GIVEN, 1);
    asteria_world_train(&w, 0, 500);
    struct stat before = snapshot_of(&w);
    for (size_t i = 0; i < GIVEN; i += STEP) {
        asteria_world_insert(&w, i, STEP);
        since += STEP * (WIDE + sizeof(uint64_t));
        const struct stat now = snapshot_of(&w);
        if (now.st_ino == before.st_ino)
            continue;
        assert_true(since > least - 10000); /* heads of records not counted */
        least = (size_t)now.st_size > least ? (size_t)now.st_size : least;
        before = now;
        since = 0;
        snapshots++;
    }
    assert_true(snapshots >= 2 && least > 2 << 20);
    assert_true(since < least + 10000);
    asteria_world_check(&w);
    asteria_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_large_snapshots_are_rare),
    };
    return test_run("asteria_replace", tests);
}
