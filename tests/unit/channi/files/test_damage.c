/* test_damage.c - an index with a damaged or missing cluster file is not opened; the error names it. */
#include "tests/unit/channi/files/recovery.h"

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

static void damage_one(enum damage damage, bool saved, size_t kind)
{
    static struct crash c;
    char name[CLUSTER_NAME_MAX], path[PATH_MAX], aside[PATH_MAX], other[PATH_MAX];

    crash_begin(&c, params_of(kind));
    crash_bench(&c);
    test_dir_make_in_memory(aside);
    test_dir_make_in_memory(other);
    assert_ok(crash_stream(&c, 40, true, NULL), &c.bench.error);
    assert_ok(channi_checkpoint(c.s), &c.bench.error);
    if (saved)
        assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
    const struct channi_cluster *cl = largest(&c);
    channi_cluster_file_name(cl->base->phash, cl->base->version, name);
    if (saved)
        (void)snprintf(path, sizeof path, "%.3000s/channi.1.%s", aside, name);
    else
        (void)snprintf(path, sizeof path, "%.3000s/%s", c.dir, name);
    crash_close(&c);
    do_damage(path, damage);
    crash_bench(&c);
    if (saved)
        c.bench.env.dir = other;
    const int rc = crash_load_from(&c, saved ? aside : c.dir);
    assert_int_equal(rc, damage == MISSING ? ERR_NOT_FOUND : ERR_CORRUPT);
    assert_non_null(strstr(c.bench.error.text, name));
    error_clear(&c.bench.error);
    crash_close(&c);
    test_dir_remove(aside);
    test_dir_remove(other);
    crash_end(&c);
}

static void test_damaged(void **state)
{
    for (enum damage damage = 0; damage < DAMAGES; damage++)
        for (size_t kind = 0; kind < 3; kind++)
            for (int saved = 0; saved < 2; saved++)
                damage_one(damage, saved, kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_damaged) };
    return test_run("channi_damage", tests);
}
