/* test_checkpoint.c - a checkpoint that is halted at any of its system calls delays no search and,
 * once the log is rotated, no update. Acknowledged updates survive a crash at that moment. Snapshots of
 * a tiered index have no rows, and rows that a snapshot refers to are not overwritten, so later
 * writes do not affect recovery.
 */
#define _GNU_SOURCE /* pthread_timedjoin_np() */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>

#include "algorithms/asteria/durable/durable.h"
#include "algorithms/asteria/rows/internal.h"
#include "tests/support/fault_injection.h"
#include "tests/support/index_folder.h"
#include "tests/unit/asteria/store.h"

struct kind {
    const char *name;
    enum element element;
    int64_t durability, rows;
};

static const struct kind kinds[] = {
    { "memory, written", INDEX_U8, ASTERIA_WRITTEN, ASTERIA_ROWS_MEMORY },
    { "tiered, synced", INDEX_F32, ASTERIA_SYNCED, ASTERIA_ROWS_TIERED },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static struct asteria_params params_of(const struct kind *k)
{
    struct asteria_params p = small_params();

    p.wal = k->durability;
    p.storage = k->rows;
    p.cache_mb = 0;
    p.address_bits = 8; /* so that the parts before the rows take several calls */
    return p;
}

/* ------------------------------------------------------------------ a halted call */

enum { WAIT_MS = 600000, SOON_MS = 500 };

struct halt {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread; /* whose calls are counted */
    size_t calls, at; /* halts at this call; 0: at none */
    bool halted, released;
    char call[32]; /* the call it halts at */
    struct file_fault fault;
};

static int halt_before(void *to, const char *call)
{
    struct halt *h = to;

    pthread_mutex_lock(&h->lock);
    if (pthread_equal(pthread_self(), h->thread) && h->at > 0 && ++h->calls == h->at) {
        (void)snprintf(h->call, sizeof h->call, "%s", call);
        h->halted = true;
        pthread_cond_broadcast(&h->changed);
        while (!h->released)
            pthread_cond_wait(&h->changed, &h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return 0;
}

static void halt_begin(struct halt *h)
{
    memset(h, 0, sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    h->thread = pthread_self(); /* calls are not counted while at is 0 */
    h->fault = (struct file_fault){ halt_before, h };
}

static void release(struct halt *h)
{
    pthread_mutex_lock(&h->lock);
    h->released = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

/* A call in a thread of its own. */
struct task {
    struct small *s;
    struct halt *halt; /* NULL: its calls are not counted */
    const char *dir;   /* folder to save to */
    pthread_t thread;
    int rc;
    size_t first; /* an update's rows */
};

static void count_calls(struct halt *h)
{
    pthread_mutex_lock(&h->lock);
    h->thread = pthread_self();
    pthread_mutex_unlock(&h->lock);
}

static void note_end(struct halt *h)
{
    pthread_mutex_lock(&h->lock);
    h->halted = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

/* Waits until the thread halts or ends. */
static void await_halt(struct halt *h)
{
    pthread_mutex_lock(&h->lock);
    while (!h->halted)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void *make_checkpoint(void *arg)
{
    struct task *t = arg;

    count_calls(t->halt);
    t->rc = t->dir ? asteria_save(&t->s->a->base, t->dir) : asteria_checkpoint(t->s->a);
    note_end(t->halt);
    return NULL;
}

static void *search(void *arg)
{
    struct task *t = arg;
    uint64_t ids[STORE_K];
    float distances[STORE_K];

    for (size_t way = 0; way < SMALL_WAYS && t->rc == OK; way++) {
        const struct asteria_knobs knobs = small_knobs(way);
        const struct search_request request = { small_rows(t->s, t->first, 1), STORE_K, &knobs,
                                                NULL, 1 };
        struct search_result result = { .ids = ids, .distances = distances };

        t->rc = asteria_search(&t->s->a->base, &request, &result);
    }
    return NULL;
}

static void *update(void *arg)
{
    struct task *t = arg;
    size_t done;

    if (t->halt)
        count_calls(t->halt);
    for (size_t i = 0; i < 12 && t->rc == OK; i++)
        t->rc = small_apply(t->s, !t->s->stored[t->first + i], t->first + i, 1, &done);
    if (t->halt)
        note_end(t->halt);
    return NULL;
}

static void start(struct task *t, void *(*what)(void *))
{
    t->rc = OK;
    assert_int_equal(pthread_create(&t->thread, NULL, what, t), 0);
}

/* false: the thread is still running and must be joined later. */
static bool ends(struct task *t, long ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return pthread_timedjoin_np(t->thread, NULL, &until) == 0;
}

/* An index with dead rows in it, and a checkpoint that halts at its i-th call. */
struct scene {
    struct small s;
    struct halt halt;
    struct task halted;
    char dir[PATH_MAX], other[PATH_MAX];
};

static void scene_begin(struct scene *c, const struct kind *k)
{
    const struct asteria_params params = params_of(k);
    size_t done;

    halt_begin(&c->halt);
    test_dir_make_in_memory(c->dir);
    test_dir_make_in_memory(c->other);
    small_begin(&c->s, k->element, &params, c->dir);
    assert_ok(small_create(&c->s, &c->halt.fault), &c->s.bench.error);
    assert_ok(small_train(&c->s), &c->s.bench.error);
    assert_ok(small_apply(&c->s, true, 0, STORE_ROWS - 60, &done), &c->s.bench.error);
    small_live(&c->s, 12);
    c->halted = (struct task){ .s = &c->s, .halt = &c->halt };
}

static void scene_halt(struct scene *c, void *(*what)(void *), size_t at)
{
    c->halt.at = at;
    start(&c->halted, what);
    await_halt(&c->halt);
}

static void scene_go_on(struct scene *c)
{
    release(&c->halt);
    if (!ends(&c->halted, WAIT_MS))
        fail_msg("what stood still does not end");
    assert_int_equal(c->halted.rc, OK);
}

static void scene_end(struct scene *c)
{
    small_end(&c->s);
    test_dir_remove(c->dir);
    test_dir_remove(c->other);
}

/* A copy of the folder, as a crash at this moment leaves it, has everything acknowledged. */
static void expect_recovered(struct scene *c, const struct folder_copy *files, const bool *stored)
{
    static struct small t;
    char dir[PATH_MAX], when[100];

    test_dir_make_in_memory(dir);
    folder_copy_put(files, dir);
    small_begin(&t, c->s.bench.env.element, &c->s.params, dir);
    assert_ok(small_load(&t, dir, NULL), &t.bench.error);
    memcpy(t.stored, stored, sizeof t.stored);
    (void)snprintf(when, sizeof when, "crashed while a checkpoint stood at call %zu, %s",
                   c->halt.at, c->halt.call);
    small_expect(&t, when);
    small_live(&t, 10);
    small_expect(&t, when);
    small_end(&t);
    test_dir_remove(dir);
}

static void expect_search(struct scene *c, const char *beside)
{
    struct task searching = { .s = &c->s, .first = 7 };

    start(&searching, search);
    if (!ends(&searching, WAIT_MS)) {
        scene_go_on(c);
        (void)pthread_join(searching.thread, NULL);
        fail_msg("a search waits at call %zu, %s, %s", c->halt.at, c->halt.call, beside);
    }
    assert_int_equal(searching.rc, OK);
}

/* While the checkpoint is halted searches end. An update ends too, or waits while the log is
   rotated, without delaying searches (unless a row is read under the lock, as in a search). Returns
   whether it waited. */
static bool expect_progress(struct scene *c)
{
    struct task updating = { .s = &c->s, .first = 280 };
    static struct folder_copy files;
    bool stored[STORE_ROWS];

    expect_search(c, "alone");
    memcpy(stored, c->s.stored, sizeof stored);
    start(&updating, update);
    const bool waited = !ends(&updating, SOON_MS);
    if (!waited)
        memcpy(stored, c->s.stored, sizeof stored);
    if (strcmp(c->halt.call, "read") != 0)
        expect_search(c, "beside an update");
    folder_copy_take(&files, c->dir);
    if (!waited) /* else the update may be in or out */
        expect_recovered(c, &files, stored);
    folder_copy_free(&files);
    scene_go_on(c);
    if (waited)
        assert_int_equal(pthread_join(updating.thread, NULL), 0);
    assert_int_equal(updating.rc, OK);
    return waited;
}

static void halt_everywhere(const struct kind *k, bool save)
{
    static struct scene c;
    size_t waits = 0, free_calls = 0;
    bool ended = false, fsyncs = false;

    for (size_t at = 1; !ended; at++) {
        scene_begin(&c, k);
        c.halted.dir = save ? c.other : NULL;
        scene_halt(&c, make_checkpoint, at);
        ended = c.halt.calls < at;
        if (ended) {
            scene_go_on(&c);
        } else {
            const bool waited = expect_progress(&c);
            waits += waited;
            /* Only a row that is read under the lock, or the rotation of the log, delays it. */
            if (waited && save)
                assert_string_equal(c.halt.call, "read");
            free_calls += !waited;
            fsyncs |= !waited && strcmp(c.halt.call, "fsync") == 0;
        }
        small_expect(&c.s, "after the checkpoint");
        if (save) {
            static struct small t;
            small_begin(&t, k->element, &c.s.params, c.other);
            assert_ok(small_load(&t, c.other, NULL), &t.bench.error);
            assert_ok(asteria_check(&t.a->base, NULL), &t.bench.error);
            small_end(&t);
        }
        scene_end(&c);
    }
    print_message("           %s, %s: updates wait at %zu calls, and do not at %zu\n", k->name,
                  save ? "saved elsewhere" : "checkpoint", waits, free_calls);
    assert_true(fsyncs && free_calls >= 4);
}

static void test_beside_checkpoints(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (size_t save = 0; save < 2; save++)
            halt_everywhere(&kinds[k], save);
}

/* An update that waits for the sync of its log delays no search. */
static void test_beside_log(void **state)
{
    (void)state;
    static struct scene c;
    bool fsyncs = false, ended = false;

    for (size_t at = 1; !ended; at++) {
        scene_begin(&c, &kinds[1]);
        c.halted.first = 280;
        scene_halt(&c, update, at);
        ended = c.halt.calls < at;
        fsyncs |= strcmp(c.halt.call, "fsync") == 0;
        expect_search(&c, "of an update");
        scene_go_on(&c);
        small_expect(&c.s, "after the update");
        scene_end(&c);
    }
    assert_true(fsyncs);
}

/* -------------------------------------------------------------------- writes that are lost */

static struct bytes rows_of(const char *dir)
{
    char path[PATH_MAX];

    assert_true(snprintf(path, sizeof path, "%s/" ROWS_FILE_NAME, dir) > 0);
    return bytes_read(path);
}

/* What a power cut may leave of the file: each sector as it was synced last, or as written
   since then. */
static void lose_writes(const char *dir, struct bytes synced, struct rng *r)
{
    char path[PATH_MAX];
    struct bytes now = rows_of(dir);

    assert_true(snprintf(path, sizeof path, "%s/" ROWS_FILE_NAME, dir) > 0);
    assert_true(now.n >= synced.n);
    const size_t n = synced.n + rng_below(r, now.n - synced.n + 1);
    for (size_t at = 0; at < n; at += 512) {
        const size_t some = n - at < 512 ? n - at : 512;

        if (rng_below(r, 2))
            continue;
        memset(now.at + at, 0, some);
        if (at < synced.n)
            memcpy(now.at + at, synced.at + at, synced.n - at < some ? synced.n - at : some);
    }
    bytes_write(path, now.at, n);
    free(now.at);
}

static void expect_after_power_cut(const struct small *s, struct bytes synced, struct rng *r)
{
    static struct folder_copy files;
    static struct small t;
    char dir[PATH_MAX];

    test_dir_make_in_memory(dir);
    folder_copy_take(&files, s->dir);
    folder_copy_put(&files, dir);
    folder_copy_free(&files);
    lose_writes(dir, synced, r);
    small_begin(&t, s->bench.env.element, &s->params, dir);
    assert_ok(small_load(&t, dir, NULL), &t.bench.error);
    memcpy(t.stored, s->stored, sizeof t.stored);
    small_expect(&t, "after a power cut");
    small_end(&t);
    test_dir_remove(dir);
}

/* Rows inserted since the last checkpoint are in the log; older ones are not overwritten. */
static void test_lost_writes(void **state)
{
    (void)state;
    static struct small s;
    const struct asteria_params params = params_of(&kinds[1]);
    struct rng r = rng_at(test_seed(), 51);
    char dir[PATH_MAX];
    size_t pinned = 0;

    test_dir_make_in_memory(dir);
    small_begin(&s, kinds[1].element, &params, dir);
    assert_ok(small_create(&s, NULL), &s.bench.error);
    assert_ok(small_train(&s), &s.bench.error);
    for (size_t round = 0; round < 40 / test_scale(); round++) {
        assert_ok(asteria_checkpoint(s.a), &s.bench.error);
        struct bytes synced = rows_of(dir);
        for (size_t i = 0; i < 1 + rng_below(&r, 3); i++) {
            small_live(&s, 1 + rng_below(&r, 20));
            expect_after_power_cut(&s, synced, &r);
        }
        pinned += s.a->pins.n;
        free(synced.at);
        small_expect(&s, "meanwhile");
    }
    assert_true(pinned > 200 / test_scale());
    small_end(&s);
    test_dir_remove(dir);
}

/* The same during a checkpoint that is not installed yet: the previous one counts. */
static void test_lost_writes_beside_checkpoints(void **state)
{
    (void)state;
    static struct scene c;
    struct rng r = rng_at(test_seed(), 52);
    bool renamed = false;
    size_t done;

    for (size_t at = 1; !renamed; at++) {
        scene_begin(&c, &kinds[1]);
        scene_halt(&c, make_checkpoint, at);
        renamed = strcmp(c.halt.call, "rename") == 0;
        if (renamed || strcmp(c.halt.call, "fsync") == 0) {
            struct bytes synced = rows_of(c.dir); /* nothing of it was overwritten since */
            for (size_t first = 0; first < STORE_ROWS; first += 10)
                assert_ok(small_apply(&c.s, !c.s.stored[first], first, 1, &done), &c.s.bench.error);
            expect_after_power_cut(&c.s, synced, &r);
            free(synced.at);
        }
        scene_go_on(&c);
        small_expect(&c.s, "after the checkpoint");
        scene_end(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_checkpoints),
        cmocka_unit_test(test_beside_log),
        cmocka_unit_test(test_lost_writes),
        cmocka_unit_test(test_lost_writes_beside_checkpoints),
    };
    return test_run("asteria_checkpoint", tests);
}
