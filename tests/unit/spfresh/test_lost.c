/* test_lost.c - a failed fsync after which the kernel marks unwritten pages as clean, so that the
 * next fsync succeeds although the pages are not on the device. A later durable snapshot must not
 * refer to such pages.
 *
 * The simulated device: pwrite() to the files of postings and rows makes pages dirty. fdatasync()
 * copies dirty pages to the device; if it fails, they become clean without being copied. After a
 * power cut the files have the device's content. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "tests/support/index_folder.h"
#include "tests/unit/spfresh/crash.h"

enum { PAGE = 4096 };

static struct device_file {
    const char *name;
    unsigned char *held; /* pages on the device */
    bool *dirty;
    size_t pages;
} device[] = { { .name = "postings" }, { .name = "rows" } };

/* Of device: the updates of another thread write while a checkpoint syncs. */
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;

static struct device_file *file_of(int fd)
{
    char link[64], path[PATH_MAX];

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *name = strrchr(path, '/');
    for (size_t i = 0; name && i < 2; i++)
        if (strcmp(name + 1, device[i].name) == 0)
            return &device[i];
    return NULL;
}

static void reach(struct device_file *f, size_t pages)
{
    if (pages <= f->pages)
        return;
    f->held = realloc(f->held, pages * PAGE);
    f->dirty = realloc(f->dirty, pages * sizeof *f->dirty);
    assert_true(f->held && f->dirty);
    memset(f->held + f->pages * PAGE, 0, (pages - f->pages) * PAGE);
    memset(f->dirty + f->pages, 0, (pages - f->pages) * sizeof *f->dirty);
    f->pages = pages;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    struct device_file *f = file_of(fd);

    (void)pthread_mutex_lock(&device_lock);
    if (f) {
        const size_t first = (size_t)at / PAGE, end = ((size_t)at + n + PAGE - 1) / PAGE;

        reach(f, end);
        for (size_t page = first; page < end; page++)
            f->dirty[page] = true;
    }
    const ssize_t written = syscall(SYS_pwrite64, fd, bytes, n, at);
    (void)pthread_mutex_unlock(&device_lock);
    return written;
}

int fdatasync(int fd)
{
    struct device_file *f = file_of(fd);

    (void)pthread_mutex_lock(&device_lock);
    for (size_t page = 0; f && page < f->pages; page++)
        if (f->dirty[page]) {
            assert_true(pread(fd, f->held + page * PAGE, PAGE, (off_t)(page * PAGE)) >= 0);
            f->dirty[page] = false;
        }
    (void)pthread_mutex_unlock(&device_lock);
    return 0;
}

static void device_begin(void)
{
    for (size_t i = 0; i < 2; i++) {
        free(device[i].held);
        free(device[i].dirty);
        device[i] = (struct device_file){ .name = device[i].name };
    }
}

/* ---------------------------------------------------------------------------------- index */

/* During a checkpoint, the fsync number `fail_at` fails (1: of postings, 2: of rows or of the
   snapshot). Updates of another thread run as soon as the state has been captured. */
struct trouble {
    struct crash *crash;
    struct rng rng;
    atomic_bool on; /* the updater reads it too */
    bool was_shut, updated;
    size_t syncs, fail_at, steps; /* steps: updates of the other thread */
    pthread_t checkpointer, updater;
    atomic_bool done;
    int rc;
};

static int update(struct crash *c, struct rng *r, size_t steps)
{
    int rc = OK;

    for (size_t i = 0; rc == OK && i < steps; i++) {
        const struct crash_op op = crash_pick(c, r, 9);
        size_t done = 0;

        rc = crash_apply(c, op, &done);
        crash_note(c, op, done);
    }
    return rc;
}

static void *updater(void *arg)
{
    struct trouble *t = arg;
    struct error error = { 0 };

    (void)error_divert(&error);
    t->rc = update(t->crash, &t->rng, t->steps);
    (void)error_divert(NULL);
    atomic_store(&t->done, true);
    return NULL;
}

/* Waits for the other thread, but not for ever, as it may wait for this one. */
static void update_once_captured(struct trouble *t)
{
    pthread_rwlock_t *lock = &t->crash->s->checkpoint_lock;
    const bool shut = pthread_rwlock_tryrdlock(lock) != 0;

    if (!shut)
        (void)pthread_rwlock_unlock(lock);
    t->was_shut |= shut;
    if (shut || !t->was_shut || t->updated || t->steps == 0)
        return;
    t->updated = true;
    atomic_store(&t->done, false);
    assert_int_equal(pthread_create(&t->updater, NULL, updater, t), 0);
    for (size_t ms = 0; ms < 500 && !atomic_load(&t->done); ms++)
        (void)usleep(1000);
}

static int before(void *to, const char *call)
{
    struct trouble *t = to;

    if (!atomic_load(&t->on) || !pthread_equal(pthread_self(), t->checkpointer))
        return 0;
    update_once_captured(t);
    if (strcmp(call, "fsync") != 0 || ++t->syncs != t->fail_at)
        return 0;
    (void)pthread_mutex_lock(&device_lock);
    for (size_t i = 0; i < 2; i++)
        if (device[i].pages > 0)
            memset(device[i].dirty, 0, device[i].pages * sizeof *device[i].dirty);
    (void)pthread_mutex_unlock(&device_lock);
    return EIO;
}

static int checkpoint(struct trouble *t, size_t fail_at)
{
    t->checkpointer = pthread_self();
    atomic_store(&t->on, true);
    t->was_shut = t->updated = false;
    t->syncs = 0;
    t->fail_at = fail_at;
    const int rc = spfresh_checkpoint(t->crash->s);
    atomic_store(&t->on, false);
    assert_int_equal(t->updated, t->steps > 0);
    if (t->updated)
        assert_int_equal(pthread_join(t->updater, NULL), 0);
    assert_int_equal(t->rc, OK);
    return rc;
}

/* Sets the files to the device's content. The log is not changed: it was durable throughout. */
static void cut_power(struct crash *c)
{
    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];
        const int n = snprintf(path, sizeof path, "%s/%s", c->dir, device[i].name);

        assert_true(n > 0 && n < PATH_MAX);
        if (access(path, F_OK) != 0)
            continue;
        struct bytes b = bytes_read(path);
        memset(b.at, 0, b.n);
        assert_true(device[i].pages * PAGE <= b.n);
        memcpy(b.at, device[i].held, device[i].pages * PAGE);
        bytes_write(path, b.at, b.n);
        free(b.at);
    }
}

static void lost(int64_t store, int64_t postings, size_t fail_at, size_t steps, size_t trial)
{
    static struct crash c;
    struct spfresh_params p = crash_params(true);
    struct trouble t = { .crash = &c, .steps = steps, .rng = rng_at(test_seed() + trial, 4) };

    p.store = store;
    p.postings = postings;
    p.wal = SPFRESH_SYNCED;
    device_begin();
    crash_begin(&c, true, p);
    c.seed += trial;
    c.faults.fault = (struct file_fault){ before, &t };
    crash_bench(&c);
    assert_ok(crash_create(&c), &c.bench.error);
    assert_ok(crash_step(&c, (struct crash_op){ CRASH_INSERT, 0, 100 }), &c.bench.error);
    assert_ok(update(&c, &t.rng, 10), &c.bench.error);
    assert_code(checkpoint(&t, fail_at), ERR_IO, &c.bench.error);
    assert_ok(checkpoint(&t, 0), &c.bench.error);
    crash_close(&c);
    cut_power(&c);
    crash_bench(&c);
    assert_ok(crash_load(&c), &c.bench.error);
    crash_expect(&c, "after the power cut");
    crash_close(&c);
    crash_end(&c);
}

static void written_again(void **state)
{
    for (size_t trial = 0; trial < 5; trial++) {
        lost(POSTING_MMAP, CODEC_RAW, 1, 25, trial);
        lost(POSTING_FILE, CODEC_RAW, 1, 25, trial);
    }
}

static void rows_too(void **state)
{
    for (size_t trial = 0; trial < 5; trial++) {
        lost(POSTING_MMAP, CODEC_SQ8, 1, 25, trial);
        /* Without updates: in such a small index a page is soon written again. */
        lost(POSTING_FILE, CODEC_SQ8, 2, 0, trial);
    }
    device_begin();
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(written_again),
                                        cmocka_unit_test(rows_too) };

    return test_run("spfresh_lost", tests);
}
