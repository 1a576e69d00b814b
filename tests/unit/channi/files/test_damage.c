/* test_damage.c - damaged or missing cluster files, with and without `degraded`. */
#include "tests/unit/channi/files/recovery.h"

static char logged[4096];

static void note_line(void *to, const char *line)
{
    (void)snprintf(logged, sizeof logged, "%s", line);
}

/* The cluster whose file has the most rows. */
static struct channi_cluster *largest(const struct crash *c)
{
    const struct channi_layout *l = atomic_load(&c->s->now)->layout;
    struct channi_cluster *best = NULL;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        if (l->clusters[cid] && l->clusters[cid]->base &&
            (!best || l->clusters[cid]->base_n > best->base_n))
            best = l->clusters[cid];
    assert_non_null(best);
    return best;
}

/* Records the ids whose rows are in the cluster's file. */
static size_t note_lost(struct crash *c, const struct channi_cluster *cl, bool lost[CRASH_IDS])
{
    size_t n = 0;

    for (uint64_t id = 0; id < CRASH_IDS; id++) {
        struct channi_place at;
        lost[id] = channi_place_of(c->s, id, &at) && at.cid == cl->cid && at.row < cl->base_n;
        n += lost[id];
    }
    return n;
}

enum damage { MISSING, FLIPPED, SHORT, HEAD, DAMAGES };

static void do_damage(const char *path, enum damage damage)
{
    const struct bytes b = bytes_read(path);

    assert_int_equal(unlink(path), 0); /* it may be a link shared with a saved index */
    if (damage == FLIPPED)
        b.at[4096 + 5] ^= 4;
    if (damage == HEAD)
        b.at[60] ^= 1;
    if (damage != MISSING)
        bytes_write(path, b.at, damage == SHORT ? b.n / 2 : b.n);
    free(b.at);
}

static void expect_lost(struct crash *c, size_t n, const char *name)
{
    assert_int_equal(atomic_load(&c->s->counters.damaged_clusters), 1);
    assert_int_equal(atomic_load(&c->s->counters.lost_rows), n);
    crash_expect(c, name);
}

static void go_on_without(struct crash *c, const bool *lost, size_t n, bool saved)
{
    for (size_t id = 0; id < CRASH_IDS; id++)
        c->stored[id] = c->stored[id] && !lost[id];
    expect_lost(c, n, "without it");
    crash_go_on(c, 12); /* the lost ids may be inserted again */
    expect_lost(c, n, "without it, and on");
    if (!saved) {
        reopen(c);
        expect_lost(c, n, "without it, again");
    }
}

static void damage_one(enum damage damage, bool degraded, bool saved, size_t kind)
{
    static struct crash c;
    bool lost[CRASH_IDS];
    char name[CLUSTER_NAME_MAX], path[PATH_MAX], aside[PATH_MAX], other[PATH_MAX];
    struct channi_params p = params_of(kind);

    p.degraded = degraded;
    crash_begin(&c, p);
    crash_bench(&c);
    test_dir_make_in_memory(aside);
    test_dir_make_in_memory(other);
    assert_ok(crash_stream(&c, 40, true, NULL), &c.bench.error);
    assert_ok(channi_checkpoint(c.s), &c.bench.error);
    if (saved)
        assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
    const struct channi_cluster *cl = largest(&c);
    const size_t n = note_lost(&c, cl, lost);
    assert_true(n > 0);
    channi_cluster_file_name(cl->base->phash, cl->base->version, name);
    if (saved)
        (void)snprintf(path, sizeof path, "%.3000s/channi.1.%s", aside, name);
    else
        (void)snprintf(path, sizeof path, "%.3000s/%s", c.dir, name);
    crash_close(&c);
    do_damage(path, damage);
    crash_bench(&c);
    c.bench.env.log = note_line;
    logged[0] = '\0';
    if (saved)
        c.bench.env.dir = other;
    const int rc = crash_load_from(&c, saved ? aside : c.dir);
    if (!degraded) {
        assert_int_equal(rc, damage == MISSING ? ERR_NOT_FOUND : ERR_CORRUPT);
        assert_non_null(strstr(c.bench.error.text, name));
        error_clear(&c.bench.error);
    } else {
        assert_ok(rc, &c.bench.error);
        assert_non_null(strstr(logged, name));
        go_on_without(&c, lost, n, saved);
    }
    crash_close(&c);
    test_dir_remove(aside);
    test_dir_remove(other);
    crash_end(&c);
}

static void test_damaged(void **state)
{
    for (enum damage damage = 0; damage < DAMAGES; damage++)
        for (size_t kind = 0; kind < 3; kind++)
            for (int i = 0; i < 4; i++)
                damage_one(damage, i & 1, i & 2, kind);
}

/* A logged deletion of a lost row is not an error in recovery. */
static void test_damaged_then_deleted(void **state)
{
    static struct crash c;
    bool lost[CRASH_IDS];
    char name[CLUSTER_NAME_MAX], path[PATH_MAX];
    struct channi_params p = crash_params();
    uint64_t gone = INDEX_NO_ID;

    p.degraded = true;
    p.maintenance = CHANNI_EXPLICIT;
    crash_begin(&c, p);
    crash_bench(&c);
    assert_ok(crash_stream(&c, 40, true, NULL), &c.bench.error);
    assert_ok(channi_checkpoint(c.s), &c.bench.error);
    const struct channi_cluster *cl = largest(&c);
    const size_t n = note_lost(&c, cl, lost);
    channi_cluster_file_name(cl->base->phash, cl->base->version, name);
    (void)snprintf(path, sizeof path, "%.3000s/%s", c.dir, name);
    for (uint64_t id = 0; id < CRASH_IDS && gone == INDEX_NO_ID; id++)
        gone = lost[id] ? id : INDEX_NO_ID;
    assert_ok(crash_del(&c, gone, 1), &c.bench.error);
    assert_ok(crash_put(&c, gone, 1, 7), &c.bench.error); /* inserted again, and not lost */
    lost[gone] = false;
    crash_close(&c);
    assert_int_equal(unlink(path), 0);
    crash_bench(&c);
    assert_ok(crash_load(&c), &c.bench.error);
    for (size_t id = 0; id < CRASH_IDS; id++)
        c.stored[id] = c.stored[id] && !lost[id];
    expect_lost(&c, n, "one deleted and put again");
    crash_close(&c);
    crash_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_damaged_then_deleted),
    };
    return test_run("channi_damage", tests);
}
