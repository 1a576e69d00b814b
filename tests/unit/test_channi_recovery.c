/* test_channi_recovery.c - an index reopened, saved and loaded: the same rows, the same answers, the same
 * versions; and files that are torn, damaged or missing, with and without the index doing without them.
 */
#include "tests/unit/test_channi_crash.h"

/* ------------------------------------------------------------------------------- answers */

enum { K = 10, QUERIES = 60 };

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
};

/* By default knobs: what is found depends on graphs, routes and the order of rows. */
static void ask(struct crash *c, struct answers *a)
{
    struct channi_knobs knobs;
    const struct search_request request = {
        { c->rows[0], QUERIES, CRASH_DIM, ELEMENT_U8 }, K, &knobs, NULL, 1
    };
    struct search_result result = { .ids = a->ids, .distances = a->distances };

    param_defaults(channi_ops.knobs, &knobs);
    knobs.nprobe = 3;
    knobs.in_ef = 4;
    knobs.top_ef = 6;
    assert_ok(channi_search(&c->s->base, &request, &result), &c->bench.error);
}

static void expect_same(struct crash *c, const struct answers *before, const char *when)
{
    struct answers now;

    ask(c, &now);
    if (memcmp(before, &now, sizeof now) != 0)
        fail_msg("%s: answers differ (seed %" PRIu64 ")", when, c->seed);
}

static void reopen(struct crash *c)
{
    crash_close(c);
    crash_bench(c);
    assert_ok(crash_load(c), &c->bench.error);
}

static struct channi_params params_of(size_t kind)
{
    struct channi_params p = crash_params();

    p.inside = kind % 3 == 0 ? INSIDE_GRAPH : kind % 3 == 1 ? INSIDE_SCAN : INSIDE_CODES;
    p.cold_rows = kind % 3 == 2;
    p.history = kind % 2 ? 30 : 0;
    p.durability = kind % 2 ? CHANNI_SYNCED : CHANNI_WRITTEN;
    return p;
}

enum { KINDS = 6 };

/* Through a checkpoint, and by the journal. */
static void test_reopened(void **state)
{
    (void)state;
    static struct crash c;
    static struct answers a;

    for (size_t kind = 0; kind < KINDS; kind++) {
        crash_begin(&c, params_of(kind));
        crash_bench(&c);
        assert_ok(crash_stream(&c, 40, true, NULL), &c.bench.error);
        assert_ok(channi_checkpoint(c.s), &c.bench.error);
        ask(&c, &a);
        const uint64_t version = crash_version(&c), layouts = c.s->layouts;
        for (size_t i = 0; i < 2; i++) {
            reopen(&c);
            crash_expect(&c, "reopened");
            expect_same(&c, &a, "reopened");
            assert_int_equal(crash_version(&c), version);
            assert_true(c.s->layouts >= layouts);
        }
        /* The same commits on both sides of a death come to the same: journal and upkeep are replayed. */
        crash_go_on(&c, 12);
        struct rng r = rng_at(c.seed, 7);
        for (size_t i = 0; i < 10; i++) {
            const struct crash_op op = crash_pick(&c, &r, 40);
            assert_ok(crash_apply(&c, op), &c.bench.error);
            crash_note(&c, op);
        }
        ask(&c, &a);
        const uint64_t later = crash_version(&c);
        reopen(&c);
        assert_int_equal(crash_version(&c), later);
        crash_expect(&c, "replayed");
        expect_same(&c, &a, "replayed");
        crash_close(&c);
        crash_end(&c);
    }
}

/* While rows are gathered for the build, and when it is the journal that has them. */
static void test_deferred(void **state)
{
    (void)state;
    static struct crash c;
    static struct answers a;

    for (size_t checkpoint = 0; checkpoint < 2; checkpoint++) {
        crash_begin(&c, crash_params());
        crash_bench(&c);
        assert_ok(crash_create(&c), &c.bench.error);
        assert_ok(crash_step(&c, (struct crash_op){ .first = 0, .n = 80, .put = true }),
                  &c.bench.error);
        assert_ok(crash_step(&c, (struct crash_op){ .first = 10, .n = 5 }), &c.bench.error);
        if (checkpoint)
            assert_ok(channi_checkpoint(c.s), &c.bench.error);
        assert_null(atomic_load(&c.s->now)->layout->routes);
        ask(&c, &a);
        reopen(&c);
        assert_null(atomic_load(&c.s->now)->layout->routes);
        crash_expect(&c, "gathering");
        expect_same(&c, &a, "gathering");
        assert_ok(crash_step(&c, (struct crash_op){ .first = 100, .n = 90, .put = true }),
                  &c.bench.error);
        assert_non_null(atomic_load(&c.s->now)->layout->routes);
        ask(&c, &a);
        reopen(&c);
        assert_non_null(atomic_load(&c.s->now)->layout->routes);
        crash_expect(&c, "built again");
        expect_same(&c, &a, "built again");
        crash_close(&c);
        crash_end(&c);
    }
}

/* Versions that could be asked for still can; those before cannot. */
static void test_history(void **state)
{
    (void)state;
    static struct crash c;
    enum { VERSIONS = 30 };
    static bool at[VERSIONS + 64][CRASH_IDS];
    struct rng r = rng_at(test_seed(), 11);
    struct channi_params p = crash_params();

    p.history = 12;
    crash_begin(&c, p);
    crash_bench(&c);
    assert_ok(crash_stream(&c, 20, true, NULL), &c.bench.error);
    const uint64_t first = crash_version(&c);
    for (size_t i = 0; i < VERSIONS; i++) {
        struct crash_op op = crash_pick(&c, &r, 30);
        op.abort = false;
        assert_ok(crash_apply(&c, op), &c.bench.error);
        crash_note(&c, op);
        memcpy(at[i], c.stored, sizeof c.stored);
        if (i == VERSIONS - 5)
            assert_ok(channi_checkpoint(c.s), &c.bench.error);
    }
    assert_int_equal(crash_version(&c), first + VERSIONS);
    reopen(&c);
    for (size_t i = 0; i < VERSIONS; i++) {
        const uint64_t version = first + i + 1;
        static uint64_t ids[CRASH_IDS];
        static float distances[CRASH_IDS];
        struct channi_knobs knobs;
        const struct search_request request = {
            { c.rows[0], 1, CRASH_DIM, ELEMENT_U8 }, CRASH_IDS, &knobs, NULL, 1
        };
        struct search_result result = { .ids = ids, .distances = distances };
        size_t n = 0, there = 0;
        param_defaults(channi_ops.knobs, &knobs);
        knobs.nprobe = knobs.top_ef = knobs.in_ef = 1 << 22;
        const int rc = channi_search_as_of(&c.s->base, version, &request, &result);
        if (version + 12 < crash_version(&c)) {
            assert_code(rc, ERR_NOT_FOUND, &c.bench.error);
            continue;
        }
        assert_ok(rc, &c.bench.error);
        for (; n < CRASH_IDS && ids[n] != ID_NONE; n++)
            assert_true(at[i][ids[n]]);
        for (size_t id = 0; id < CRASH_IDS; id++)
            there += at[i][id];
        assert_int_equal(n, there);
    }
    crash_close(&c);
    crash_end(&c);
}

/* Attributes come back, from files, deltas and the journal. */
static void test_attributes(void **state)
{
    (void)state;
    static struct crash c;

    crash_begin(&c, crash_params());
    crash_bench(&c);
    assert_ok(crash_stream(&c, 30, true, NULL), &c.bench.error);
    const uint64_t version = crash_version(&c);
    static uint64_t before[32][CRASH_IDS], ids[CRASH_IDS];
    static float distances[CRASH_IDS];
    for (size_t pass = 0; pass < 2; pass++) {
        for (uint32_t v = 0; v < 32; v++) {
            struct channi_knobs knobs;
            const struct search_request request = {
                { c.rows[1], 1, CRASH_DIM, ELEMENT_U8 }, CRASH_IDS, &knobs, NULL, 1
            };
            struct search_result result = { .ids = pass ? ids : before[v], .distances = distances };
            param_defaults(channi_ops.knobs, &knobs);
            knobs.nprobe = knobs.top_ef = knobs.in_ef = 1 << 22;
            assert_ok(channi_search_where(&c.s->base, &request, (struct attribute_range){ v, v },
                                          &result),
                      &c.bench.error);
            assert_true(!pass || memcmp(ids, before[v], sizeof ids) == 0);
        }
        reopen(&c);
    }
    assert_true(version > 10);
    crash_close(&c);
    crash_end(&c);
}

struct bytes {
    unsigned char *at;
    size_t n;
};

static struct bytes read_file(const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY);

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    struct bytes b = { malloc((size_t)st.st_size + 1), (size_t)st.st_size };
    assert_int_equal(read(fd, b.at, b.n), b.n);
    close(fd);
    return b;
}

static void write_file(const char *path, const unsigned char *bytes, size_t n)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

/* --------------------------------------------------------------------------- save and load */

static void test_saved(void **state)
{
    (void)state;
    static struct crash c;
    static struct answers a;

    for (size_t kind = 0; kind < KINDS; kind++)
        for (size_t quiet = 0; quiet < 2; quiet++) {
            char aside[PATH_MAX], other[PATH_MAX], third[PATH_MAX];
            struct channi_params p = params_of(kind);
            if (quiet)
                p.durability = CHANNI_VOLATILE;
            crash_begin(&c, p);
            crash_bench(&c);
            test_dir_make_in_memory(aside);
            test_dir_make_in_memory(other);
            test_dir_make_in_memory(third);
            assert_ok(crash_stream(&c, 40, true, aside), &c.bench.error);
            assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
            assert_ok(channi_save(&c.s->base, aside), &c.bench.error); /* over the old one */
            crash_expect(&c, "saved");
            ask(&c, &a);
            bool saved[CRASH_IDS];
            memcpy(saved, c.stored, sizeof saved);
            const uint64_t version = crash_version(&c);
            crash_go_on(&c, 20); /* what was saved does not notice */
            crash_expect(&c, "gone on");
            crash_close(&c);
            memcpy(c.stored, saved, sizeof saved);
            /* Twice, into folders of their own; the second time after the first has gone on. */
            for (size_t i = 0; i < 2; i++) {
                crash_bench(&c);
                c.bench.env.dir = i ? third : other;
                assert_ok(crash_load_from(&c, aside), &c.bench.error);
                assert_int_equal(crash_version(&c), version);
                crash_expect(&c, "loaded");
                expect_same(&c, &a, "loaded");
                if (i == 0) {
                    crash_go_on(&c, 20);
                    crash_expect(&c, "loaded, gone on");
                    memcpy(c.stored, saved, sizeof saved);
                }
                crash_close(&c);
            }
            test_dir_remove(aside);
            test_dir_remove(other);
            test_dir_remove(third);
            crash_end(&c);
        }
}

static int other_device(void *to, const char *call)
{
    *(size_t *)to += strcmp(call, "link") == 0;
    return strcmp(call, "link") == 0 ? EXDEV : 0;
}

/* To where a file cannot have a second name it is copied. */
static void test_saved_by_copying(void **state)
{
    (void)state;
    static struct crash c;
    static struct answers a;
    char aside[PATH_MAX], other[PATH_MAX];
    size_t refused = 0;
    const struct store_fault fault = { other_device, &refused };
    const struct channi_opening o = { .fault = &fault };
    struct channi *copy = NULL;

    crash_begin(&c, crash_params());
    crash_bench(&c);
    test_dir_make_in_memory(aside);
    test_dir_make_in_memory(other);
    assert_ok(crash_stream(&c, 40, true, NULL), &c.bench.error);
    ask(&c, &a);
    c.s->fault = &fault;
    assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
    assert_true(refused > 5);
    crash_close(&c);
    crash_bench(&c);
    c.bench.env.dir = other;
    assert_ok(channi_load_from(&copy, &c.bench.env, aside, &o), &c.bench.error);
    c.s = copy;
    assert_true(refused > 10);
    crash_expect(&c, "copied");
    expect_same(&c, &a, "copied");
    crash_close(&c);
    test_dir_remove(aside);
    test_dir_remove(other);
    crash_end(&c);
}

/* What a process left in a folder that never became an index is in nobody's way. */
static void test_rubbish(void **state)
{
    (void)state;
    static struct crash c;
    struct channi_params p = crash_params();
    const char *names[] = { "0123456789abcdef.0000000000000001.clu", "channi.manifest.new" };
    char path[PATH_MAX];

    p.durability = CHANNI_VOLATILE;
    crash_begin(&c, p);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%.3000s/%s", c.dir, names[i]);
        write_file(path, (const unsigned char *)"rubbish", 7);
    }
    crash_bench(&c);
    assert_ok(crash_create(&c), &c.bench.error);
    assert_ok(crash_step(&c, (struct crash_op){ .first = 0, .n = 200, .put = true }),
              &c.bench.error);
    crash_expect(&c, "created");
    crash_close(&c);
    crash_end(&c);
}

/* Without a journal an index is in its folder what it was when it was saved there. */
static void test_saved_at_home(void **state)
{
    (void)state;
    static struct crash c;
    static struct answers a;
    struct channi_params p = crash_params();

    p.durability = CHANNI_VOLATILE;
    crash_begin(&c, p);
    crash_bench(&c);
    assert_ok(crash_stream(&c, 40, true, NULL), &c.bench.error);
    assert_ok(channi_save(&c.s->base, c.dir), &c.bench.error);
    ask(&c, &a);
    bool saved[CRASH_IDS];
    memcpy(saved, c.stored, sizeof saved);
    crash_go_on(&c, 20);
    crash_expect(&c, "gone on");
    for (size_t i = 0; i < 2; i++) {
        reopen(&c);
        memcpy(c.stored, saved, sizeof saved);
        crash_expect(&c, "as it was saved");
        expect_same(&c, &a, "as it was saved");
        crash_go_on(&c, 5);
    }
    crash_close(&c);
    crash_end(&c);
}

static void test_folders(void **state)
{
    (void)state;
    static struct crash c;
    const struct channi_opening o = { .claim = NULL };
    struct channi *other = NULL;
    char aside[PATH_MAX], empty[PATH_MAX];

    crash_begin(&c, crash_params());
    crash_bench(&c);
    test_dir_make_in_memory(aside);
    test_dir_make_in_memory(empty);
    assert_ok(crash_stream(&c, 10, true, NULL), &c.bench.error);
    /* Open here already. */
    assert_int_equal(channi_load_from(&other, &c.bench.env, c.dir, &o), ERR_IO);
    assert_non_null(strstr(c.bench.error.text, "in use by this process"));
    error_clear(&c.bench.error);
    assert_code(channi_create_with(&other, &c.bench.env, &c.params, &o), ERR_IO, &c.bench.error);
    assert_ok(channi_save(&c.s->base, aside), &c.bench.error);
    /* Where an index ran is no copy; where there is none nothing is found. */
    c.bench.env.dir = empty;
    assert_int_equal(channi_load_from(&other, &c.bench.env, c.dir, &o), ERR_NOT_FOUND);
    assert_non_null(strstr(c.bench.error.text, "save() makes a copy"));
    error_clear(&c.bench.error);
    assert_code(channi_load_from(&other, &c.bench.env, empty, &o), ERR_NOT_FOUND, &c.bench.error);
    crash_close(&c);
    crash_bench(&c);
    /* Another dimension's, another's. */
    c.bench.env.dim++;
    assert_code(crash_load(&c), ERR_DIMENSION, &c.bench.error);
    c.bench.env.dim--;
    assert_code(crash_create(&c), ERR_ARGUMENT, &c.bench.error);
    assert_code(channi_load_from(&other, &c.bench.env, aside, &o), ERR_ARGUMENT, &c.bench.error);
    assert_ok(crash_load(&c), &c.bench.error);
    crash_expect(&c, "opened");
    crash_close(&c);
    test_dir_remove(aside);
    test_dir_remove(empty);
    crash_end(&c);
}

/* -------------------------------------------------------------------------------- journals */

/* The folder's only file of a name like this. */
static void find_file(const char *dir, const char *like, char path[PATH_MAX])
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        if (strncmp(e->d_name, like, strlen(like)) == 0) {
            (void)snprintf(path, PATH_MAX, "%.3000s/%.200s", dir, e->d_name);
            n++;
        }
    closedir(d);
    assert_int_equal(n, 1);
}

static void remove_journals(const char *dir)
{
    DIR *d = opendir(dir);

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        if (strncmp(e->d_name, "journal.", 8) == 0)
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    closedir(d);
}

/* Cut anywhere, what is there is what was there after one of the transactions, whole. */
static void test_torn(void **state)
{
    (void)state;
    static struct crash c;
    enum { COMMITS = 8 };
    static bool at[COMMITS + 1][CRASH_IDS];
    struct rng r = rng_at(test_seed(), 12);
    char path[PATH_MAX];
    size_t whole = 0, last = 0;

    crash_begin(&c, crash_params());
    crash_bench(&c);
    assert_ok(crash_stream(&c, 20, true, NULL), &c.bench.error);
    assert_ok(channi_checkpoint(c.s), &c.bench.error);
    const uint64_t first = crash_version(&c);
    memcpy(at[0], c.stored, sizeof c.stored);
    for (size_t i = 0; i < COMMITS; i++) {
        struct crash_op op = crash_pick(&c, &r, 4);
        op.abort = false;
        op.twice = i % 2;
        assert_ok(crash_apply(&c, op), &c.bench.error);
        crash_note(&c, op);
        memcpy(at[i + 1], c.stored, sizeof c.stored);
    }
    crash_close(&c);
    find_file(c.dir, "journal.", path);
    const struct bytes journal = read_file(path);
    for (size_t cut = journal.n; cut-- > 0;) {
        const size_t n = journal.n - cut;
        if (n < 40 || (n % 3 != 0 && cut > 30))
            continue;
        remove_journals(c.dir);
        write_file(path, journal.at, n);
        crash_bench(&c);
        assert_ok(crash_load(&c), &c.bench.error);
        const size_t i = (size_t)(crash_version(&c) - first);
        assert_true(i <= COMMITS && i >= last);
        whole += i > last;
        last = i;
        memcpy(c.stored, at[i], sizeof c.stored);
        crash_expect(&c, "torn");
        crash_close(&c);
    }
    print_message("           cut in %zu bytes, each of %zu commits\n", journal.n, whole);
    assert_int_equal(last, COMMITS);
    assert_int_equal(whole, COMMITS);
    free(journal.at);
    crash_end(&c);
}

/* ---------------------------------------------------------------------------------- damage */

static char logged[4096];

static void note_line(void *to, const char *line)
{
    (void)to;
    (void)snprintf(logged, sizeof logged, "%s", line);
}

/* A cluster's file that has most rows. */
static struct cluster *largest(const struct crash *c)
{
    const struct layout *l = atomic_load(&c->s->now)->layout;
    struct cluster *best = NULL;

    for (uint32_t cid = 0; cid < l->n_clusters; cid++)
        if (l->clusters[cid] && l->clusters[cid]->base &&
            (!best || l->clusters[cid]->base_n > best->base_n))
            best = l->clusters[cid];
    assert_non_null(best);
    return best;
}

/* Ids whose rows are in the cluster's file. */
static size_t note_lost(struct crash *c, const struct cluster *cl, bool lost[CRASH_IDS])
{
    size_t n = 0;

    for (uint64_t id = 0; id < CRASH_IDS; id++) {
        struct place at;
        lost[id] = channi_place_of(c->s, id, &at) && at.cid == cl->cid && at.row < cl->base_n;
        n += lost[id];
    }
    return n;
}

enum damage { MISSING, FLIPPED, SHORT, HEAD, DAMAGES };

static void do_damage(const char *path, enum damage damage)
{
    const struct bytes b = read_file(path);

    assert_int_equal(unlink(path), 0); /* it may be shared with what was saved */
    if (damage == FLIPPED)
        b.at[4096 + 5] ^= 4;
    if (damage == HEAD)
        b.at[60] ^= 1;
    if (damage != MISSING)
        write_file(path, b.at, damage == SHORT ? b.n / 2 : b.n);
    free(b.at);
}

static void expect_lost(struct crash *c, size_t n, const char *name)
{
    assert_int_equal(atomic_load(&c->s->counters.damaged_clusters), 1);
    assert_int_equal(atomic_load(&c->s->counters.lost_rows), n);
    crash_expect(c, name);
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
    const struct cluster *cl = largest(&c);
    const size_t n = note_lost(&c, cl, lost);
    assert_true(n > 0);
    cluster_file_name(cl->base->phash, cl->base->version, name);
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
        for (size_t id = 0; id < CRASH_IDS; id++)
            c.stored[id] = c.stored[id] && !lost[id];
        expect_lost(&c, n, "without it");
        crash_go_on(&c, 12); /* the lost ids may come again */
        expect_lost(&c, n, "without it, and on");
        if (!saved) {
            reopen(&c);
            expect_lost(&c, n, "without it, again");
        }
    }
    crash_close(&c);
    test_dir_remove(aside);
    test_dir_remove(other);
    crash_end(&c);
}

static void test_damaged(void **state)
{
    (void)state;
    for (enum damage damage = 0; damage < DAMAGES; damage++)
        for (size_t kind = 0; kind < 3; kind++)
            for (int i = 0; i < 4; i++)
                damage_one(damage, i & 1, i & 2, kind);
}

/* What was journalled since says of lost rows that they are deleted: that is no misfit. */
static void test_damaged_then_deleted(void **state)
{
    (void)state;
    static struct crash c;
    bool lost[CRASH_IDS];
    char name[CLUSTER_NAME_MAX], path[PATH_MAX];
    struct channi_params p = crash_params();
    uint64_t gone = ID_NONE;

    p.degraded = true;
    p.maintenance = CHANNI_EXPLICIT;
    crash_begin(&c, p);
    crash_bench(&c);
    assert_ok(crash_stream(&c, 40, true, NULL), &c.bench.error);
    assert_ok(channi_checkpoint(c.s), &c.bench.error);
    const struct cluster *cl = largest(&c);
    const size_t n = note_lost(&c, cl, lost);
    cluster_file_name(cl->base->phash, cl->base->version, name);
    (void)snprintf(path, sizeof path, "%.3000s/%s", c.dir, name);
    for (uint64_t id = 0; id < CRASH_IDS && gone == ID_NONE; id++)
        gone = lost[id] ? id : ID_NONE;
    assert_ok(crash_del(&c, gone, 1), &c.bench.error);
    assert_ok(crash_put(&c, gone, 1, 7), &c.bench.error); /* and put again: that is not lost */
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
        cmocka_unit_test(test_reopened),
        cmocka_unit_test(test_deferred),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_saved_at_home),
        cmocka_unit_test(test_saved_by_copying),
        cmocka_unit_test(test_rubbish),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_damaged_then_deleted),
    };
    return test_run("channi_recovery", tests);
}
