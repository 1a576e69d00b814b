/* test_checkpoint.c - checkpoints beside commits, searches and maintenance, and when they are due;
 * checkpoints and saves that fail. */
#include <pthread.h>
#include <sys/stat.h>

#include "tests/support/fault_injection.h"
#include "tests/unit/channi/files/history.h"

struct beside {
    struct book *b;
    atomic_bool stop;
    atomic_size_t checkpoints, searches;
};

static void *checkpoints(void *arg)
{
    struct beside *x = arg;

    for (; !atomic_load(&x->stop); usleep(2000))
        if (channi_checkpoint(book_channi(x->b)) == OK)
            atomic_fetch_add(&x->checkpoints, 1);
    return NULL;
}

static void *searches(void *arg)
{
    struct beside *x = arg;
    const struct channi_knobs knobs = book_exhaustive();
    struct book_answer a;

    for (size_t i = 0; !atomic_load(&x->stop); i++)
        if (book_search_at(x->b, BOOK_NEWEST, book_row(x->b, i % IDS), 5, &knobs, &a) == OK)
            atomic_fetch_add(&x->searches, 1);
    return NULL;
}

static bool is_enough(struct beside *x)
{
    return atomic_load(&x->checkpoints) > 3 && atomic_load(&x->searches) > 10;
}

static void beside(int64_t maintenance, int64_t inside)
{
    static struct book b;
    struct beside x = { .b = &b };
    struct channi_params p = book_with(history_params(), "background_threads=2");
    struct rng r = rng_at(test_seed(), 21);
    pthread_t threads[2];
    bool more;

    p.maintenance = maintenance;
    p.cluster_index = inside;
    p.history = inside == INSIDE_SCAN ? 9 : 0;
    history_begin(&b, p, NULL);
    assert_int_equal(pthread_create(&threads[0], NULL, checkpoints, &x), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, searches, &x), 0);
    assert_ok(book_insert(&b, 0, 130), &b.bench.error);
    /* More updates if the other threads were not scheduled meanwhile. */
    for (size_t i = 0; i < 300 || (i < 30000 && !is_enough(&x)); i++) {
        change(&b, &r, 1 + rng_below(&r, 60));
        if (i % 50 == 49)
            assert_ok(channi_ops.maintain(b.index, 0, &more), &b.bench.error);
    }
    atomic_store(&x.stop, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_true(is_enough(&x));
    history_expect(&b);
    const uint64_t version = book_version(&b);
    /* Maintenance after the last manifest is not in it; the commits are in the log. */
    reopen(&b, b.dir);
    assert_int_equal(book_version(&b), version);
    history_expect(&b);
    book_close(&b);
}

static void test_beside(void **state)
{
    beside(CHANNI_INLINE, INSIDE_GRAPH);
    beside(CHANNI_BACKGROUND, INSIDE_SCAN);
    beside(CHANNI_BACKGROUND, INSIDE_CODES);
}

static uint64_t bytes_of(const struct book *b, const char *like)
{
    DIR *d = opendir(b->dir);
    uint64_t sum = 0;
    struct stat st;

    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e; e = readdir(d))
        if (strstr(e->d_name, like) && fstatat(dirfd(d), e->d_name, &st, 0) == 0)
            sum += (uint64_t)st.st_size;
    closedir(d);
    return sum;
}

/* checkpoint_mb of log, or of files that only the manifest needs, trigger a checkpoint. */
static void test_due(void **state)
{
    enum { DUE = 40000 };
    static struct book b;
    struct rng r = rng_at(test_seed(), 22);

    history_begin(&b, history_params(), NULL);
    struct channi *s = book_channi(&b);
    assert_ok(book_insert(&b, 0, 130), &b.bench.error);
    for (size_t i = 0; i < 500; i++) {
        struct channi_cluster *cl;
        uint64_t needed = 0;

        /* Rows are too small to reach a megabyte soon. */
        if (atomic_load(&s->durable.due_at) > DUE)
            atomic_store(&s->durable.due_at, DUE);
        change(&b, &r, 1 + rng_below(&r, 60));
        for (uint32_t next = 0; (cl = channi_layout_next(layout_of(&b), &next));)
            needed += cl->base ? cl->base->file_bytes : 0;
        assert_true(bytes_of(&b, ".clu") <= needed + 4 * DUE);
        assert_true(bytes_of(&b, "journal.") <= 4 * DUE);
    }
    assert_true(book_counter(&b, checkpoints) > 3);
    history_expect(&b);
    book_close(&b);
}

/* ---- a system call fails, and those after it or not */

static struct injected_faults faults;
static atomic_size_t calls;

static void begin_faulty(struct book *b)
{
    faults_begin(&faults, &calls);
    history_begin(b, history_params(), &faults.fault);
}

static void fail_at(size_t call)
{
    faults.fail_on = call % 2;
    faults.fail_at = atomic_load(&calls) + call;
}

/* Whether what was to fail made fewer calls. */
static bool made_fewer(struct book *b, int rc)
{
    const bool fewer = atomic_load(&calls) < atomic_load(&faults.fail_at);

    assert_true(rc == OK || (rc == ERR_IO && b->bench.error.text[0] && !fewer));
    error_clear(&b->bench.error);
    faults.fail_at = 0;
    history_expect(b);
    return fewer;
}

/* A failed checkpoint leaves the one before, or has replaced it. No other checkpoint follows here,
   so the files of both are needed. */
static void test_failing_checkpoint(void **state)
{
    static struct book b;
    size_t call = 1;

    for (bool done = false; !done; call++) {
        struct rng r = rng_at(test_seed(), 4);

        begin_faulty(&b);
        history_run(&b, 14);
        fail_at(call);
        done = made_fewer(&b, channi_checkpoint(book_channi(&b)));
        for (size_t k = 0; k < 12; k++)
            change(&b, &r, 60);
        reopen(&b, b.dir);
        history_expect(&b);
        assert_ok(channi_checkpoint(book_channi(&b)),
                  &b.bench.error); /* removes what is left over */
        book_check_and_close(&b);
    }
    assert_true(call > 12);
}

/* A failed save leaves either the earlier copy or the new one. */
static void test_failing_save(void **state)
{
    static struct book b;
    size_t call = 1, new_ones = 0;

    for (bool done = false; !done; call++) {
        char aside[PATH_MAX], other[PATH_MAX];
        bool before[IDS], now[IDS], is_new = true;

        begin_faulty(&b);
        test_dir_make_in_memory(aside);
        test_dir_make_in_memory(other);
        history_run(&b, 8);
        assert_ok(channi_save(b.index, aside), &b.bench.error);
        memcpy(before, b.stored, sizeof before);
        history_run(&b, 6);
        memcpy(now, b.stored, sizeof now);
        fail_at(call);
        const int rc = channi_save(b.index, aside);
        done = made_fewer(&b, rc);
        b.bench.env.dir = other;
        reopen(&b, aside);
        for (size_t id = 0; id < IDS; id++)
            is_new = is_new && channi_place_of(book_channi(&b), id, NULL) == now[id];
        assert_true(is_new || rc != OK);
        memcpy(b.stored, is_new ? now : before, sizeof now);
        new_ones += is_new;
        history_expect(&b);
        book_close(&b);
        test_dir_remove(aside);
        test_dir_remove(other);
    }
    assert_true(new_ones > 0 && new_ones + 2 < call);
}

int main(void)
{
    return test_run_all("channi_checkpoint", test_beside, test_due, test_failing_checkpoint,
                        test_failing_save);
}
