/* test_checkpoint.c - checkpoints and saves during commits, searches and maintenance: each
 * captures one moment, and log and files stay bounded; those that fail leave the one before, or
 * the new one. */
#include <pthread.h>
#include <sys/stat.h>

#include "tests/unit/channi/files/crash.h"

struct beside {
    struct crash *c;
    atomic_bool stop;
    atomic_size_t checkpoints, searches;
};

static void *checkpoints(void *arg)
{
    struct beside *b = arg;

    while (!atomic_load(&b->stop)) {
        if (channi_checkpoint(b->c->s) == OK)
            atomic_fetch_add(&b->checkpoints, 1);
        usleep(2000);
    }
    return NULL;
}

static void *searches(void *arg)
{
    struct beside *b = arg;
    uint64_t ids[5];
    float distances[5];

    for (size_t i = 0; !atomic_load(&b->stop); i++)
        if (crash_nearest(b->c, i % CRASH_IDS, ids, distances, 5) == OK)
            atomic_fetch_add(&b->searches, 1);
    return NULL;
}

static bool is_enough(struct beside *b)
{
    return atomic_load(&b->checkpoints) > 3 && atomic_load(&b->searches) > 10;
}

static void beside(int64_t maintenance, int64_t inside)
{
    static struct crash c;
    struct beside b = { .c = &c };
    struct channi_params p = crash_params();
    struct rng r = rng_at(test_seed(), 21);
    pthread_t threads[2];
    bool more;

    p.maintenance = maintenance;
    p.background_threads = 2;
    p.cluster_index = inside;
    p.history = inside == INSIDE_SCAN ? 9 : 0;
    crash_begin(&c, p);
    assert_ok(crash_create(&c), &c.b.bench.error);
    assert_int_equal(pthread_create(&threads[0], NULL, checkpoints, &b), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, searches, &b), 0);
    /* More updates if the other threads were not scheduled meanwhile. */
    for (size_t i = 0; i < 300 || (i < 30000 && !is_enough(&b)); i++) {
        struct crash_op op = crash_pick(&c, &r, 1 + rng_below(&r, 60));
        if (i == 0)
            op = (struct crash_op){ .first = 0, .n = 130, .put = true };
        assert_ok(crash_apply(&c, op), &c.b.bench.error);
        crash_note(&c, op);
        if (i % 50 == 49)
            assert_ok(channi_maintain(c.b.index, 0, &more), &c.b.bench.error);
    }
    atomic_store(&b.stop, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_true(is_enough(&b));
    crash_expect(&c, "beside");
    const uint64_t version = book_version(&c.b);
    /* Maintenance after the last manifest is not in it; the commits are in the log. */
    crash_reopen(&c);
    assert_int_equal(book_version(&c.b), version);
    crash_expect(&c, "opened again");
    crash_end(&c);
}

static void test_beside(void **state)
{
    beside(CHANNI_INLINE, INSIDE_GRAPH);
    beside(CHANNI_BACKGROUND, INSIDE_SCAN);
    beside(CHANNI_BACKGROUND, INSIDE_CODES);
}

static uint64_t bytes_of(const char *dir, const char *like, size_t *files)
{
    DIR *d = opendir(dir);
    uint64_t sum = 0;
    struct stat st;

    assert_non_null(d);
    *files = 0;
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        if (strstr(e->d_name, like) && fstatat(dirfd(d), e->d_name, &st, 0) == 0) {
            sum += (uint64_t)st.st_size;
            ++*files;
        }
    closedir(d);
    return sum;
}

/* checkpoint_mb of log, or of files that only the manifest needs, trigger a checkpoint. */
static void test_due(void **state)
{
    static struct crash c;
    struct rng r = rng_at(test_seed(), 22);
    struct channi_params p = crash_params();
    enum { DUE = 40000 };
    size_t files = 0, most = 0;
    uint64_t bytes = 0;

    p.checkpoint_mb = 1;
    crash_begin(&c, p);
    assert_ok(crash_create(&c), &c.b.bench.error);
    for (size_t i = 0; i < 500; i++) {
        struct crash_op op = crash_pick(&c, &r, 1 + rng_below(&r, 60));
        if (i == 0)
            op = (struct crash_op){ .first = 0, .n = 130, .put = true };
        op.abort = false;
        /* Rows are too small to reach a megabyte soon. */
        if (atomic_load(&c.s->durable.due_at) > DUE)
            atomic_store(&c.s->durable.due_at, DUE);
        assert_ok(crash_apply(&c, op), &c.b.bench.error);
        crash_note(&c, op);
        bytes = bytes_of(c.b.dir, ".clu", &files);
        most = files > most ? files : most;
        const struct channi_layout *l = atomic_load(&c.s->now)->layout;
        uint64_t needed = 0;
        for (uint32_t cid = 0; cid < l->n_clusters; cid++)
            if (l->clusters[cid] && l->clusters[cid]->base)
                needed += l->clusters[cid]->base->file_bytes;
        assert_true(bytes <= needed + 4 * DUE);
        assert_true(bytes_of(c.b.dir, "journal.", &files) <= 4 * DUE);
    }
    assert_true(atomic_load(&c.s->counters.checkpoints) > 3);
    crash_expect(&c, "at the end");
    crash_end(&c);
}

/* ------------------------------------------------------------------------------ failing calls */

static struct channi_params logged(int64_t inside)
{
    struct channi_params p = crash_params();

    p.cluster_index = inside;
    p.wal = CHANNI_WRITTEN;
    return p;
}

static bool is_said(const struct crash *c, int rc)
{
    return rc == ERR_IO && c->b.bench.error.code == ERR_IO && c->b.bench.error.text[0];
}

/* A failed checkpoint leaves the one before, or has replaced it. No other checkpoint follows here,
   so the files of both are needed. */
static void test_failing_checkpoint(void **state)
{
    static struct crash c;
    bool finished = false;
    size_t i = 1;

    for (; !finished; i++) {
        struct rng r = rng_at(test_seed(), 4);
        crash_begin(&c, logged(INSIDE_GRAPH));
        assert_ok(crash_stream(&c, 14, NULL), &c.b.bench.error);
        c.faults.fail_at = atomic_load(&c.calls) + i;
        c.faults.fail_on = i % 2;
        const int rc = channi_checkpoint(c.s);
        finished = atomic_load(&c.calls) < c.faults.fail_at;
        assert_true(rc == OK || is_said(&c, rc));
        assert_true(rc == OK || !finished);
        error_clear(&c.b.bench.error);
        c.faults.fail_at = 0;
        for (size_t k = 0; k < 12; k++) {
            const struct crash_op op = crash_pick(&c, &r, 60);
            assert_ok(crash_apply(&c, op), &c.b.bench.error);
            crash_note(&c, op);
        }
        crash_expect(&c, c.faults.failed);
        crash_reopen(&c);
        crash_expect(&c, c.faults.failed);
        /* The next one removes what is left over. */
        assert_ok(channi_checkpoint(c.s), &c.b.bench.error);
        crash_expect(&c, "the next");
        crash_end(&c);
    }
    assert_true(i > 12);
}

/* A failed save leaves either the earlier saved index or the new one. */
static void test_failing_save(void **state)
{
    static struct crash c;
    bool finished = false;
    size_t i = 1, new_ones = 0;

    for (; !finished; i++) {
        char aside[PATH_MAX], other[PATH_MAX];
        bool before[CRASH_IDS], now[CRASH_IDS];
        crash_begin(&c, logged(INSIDE_SCAN));
        test_dir_make_in_memory(aside);
        test_dir_make_in_memory(other);
        assert_ok(crash_stream(&c, 8, NULL), &c.b.bench.error);
        assert_ok(channi_save(c.b.index, aside), &c.b.bench.error);
        memcpy(before, c.b.stored, sizeof before);
        crash_go_on(&c, 6);
        memcpy(now, c.b.stored, sizeof now);
        c.faults.fail_at = atomic_load(&c.calls) + i;
        c.faults.fail_on = i % 2;
        const int rc = channi_save(c.b.index, aside);
        finished = atomic_load(&c.calls) < c.faults.fail_at;
        c.faults.fail_at = 0;
        assert_true(rc == OK || is_said(&c, rc));
        error_clear(&c.b.bench.error);
        crash_expect(&c, c.faults.failed);
        crash_close(&c);
        c.b.bench.env.dir = other;
        assert_ok(crash_load_from(&c, aside), &c.b.bench.error);
        bool is_new = true;
        for (size_t id = 0; id < CRASH_IDS; id++)
            is_new = is_new && crash_is_there(&c, id) == now[id];
        assert_true(is_new || rc != OK);
        memcpy(c.b.stored, is_new ? now : before, sizeof now);
        new_ones += is_new;
        crash_expect(&c, "saved");
        crash_close(&c);
        test_dir_remove(aside);
        test_dir_remove(other);
        crash_end(&c);
    }
    assert_true(new_ones < i - 2 && new_ones > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside),
        cmocka_unit_test(test_due),
        cmocka_unit_test(test_failing_checkpoint),
        cmocka_unit_test(test_failing_save),
    };
    return test_run("channi_checkpoint", tests);
}
