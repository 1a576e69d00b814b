/* test_threads.c - searches run while a thread inserts, removes, maintains and trains. Answers are
 * rows that may be live, with their true distances; afterwards the index is as without searches.
 */
#define _GNU_SOURCE /* gettid() */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "algorithms/asteria/graph/internal.h"
#include "algorithms/asteria/tree/internal.h"
#include "tests/unit/asteria/support.h"

enum { READERS = 3, NEAR = 5, ROWS = 900, STAY = 200 };

struct reader {
    const struct asteria_world *w;
    pthread_t thread;
    atomic_bool *done;
    unsigned number;
    int rc;
    size_t searches, wrong;
};

/* Rows below STAY are never removed: a search for one finds it at distance 0. */
static void search_row(struct reader *r, size_t row, const struct asteria_knobs *knobs)
{
    uint64_t ids[NEAR];
    float distances[NEAR];
    const struct search_request request = { rows_from(r->w, row, 1), NEAR, knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };

    r->rc = asteria_ops.search(r->w->index, &request, &result);
    for (size_t i = 0; r->rc == OK && i < NEAR; i++)
        r->wrong += ids[i] >= ROWS || fabsf(asteria_distance(&r->w->bench.env, world_row(r->w, row),
                                                             world_row(r->w, ids[i])) -
                                            distances[i]) > 1e-4F;
    r->wrong += r->rc == OK && !(distances[0] < 1e-5F);
    r->searches++;
}

static void *search_on(void *arg)
{
    struct reader *r = arg;
    struct asteria_knobs knobs;

    param_defaults(asteria_ops.knobs, &knobs);
    knobs.nprobe = 1 << 22;
    while (!atomic_load(r->done) && r->rc == OK) {
        const size_t row = (r->searches * 7 + r->number) % STAY;

        knobs.mode = r->searches % 2 ? MODE_CERTIFIED : MODE_HEURISTIC;
        knobs.beam = r->searches % 3 ? 0 : 8;
        search_row(r, row, &knobs);
    }
    return NULL;
}

static void change(struct asteria_world *w)
{
    for (w->step = 0; w->step < 12; w->step++) {
        asteria_world_insert(w, STAY + 50 * w->step, 50);
        if (w->step > 2)
            asteria_world_remove(w, STAY + 50 * (w->step - 3), 50, 1 + w->step % 3);
        /* Every second call has no budget: re-encoding uses up a budget of 100, and no bucket would
           be rewritten. */
        (void)asteria_world_maintain(w, w->step % 2 ? 0 : 100);
        if (w->step % 4 == 3)
            asteria_world_train(w, 0, 300);
    }
}

static void begin_readers(struct reader readers[READERS], const struct asteria_world *w,
                          atomic_bool *done)
{
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ .w = w, .done = done, .number = i };
        assert_int_equal(pthread_create(&readers[i].thread, NULL, search_on, &readers[i]), 0);
    }
}

static void end_readers(struct reader readers[READERS])
{
    atomic_store(readers[0].done, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].rc, OK);
        assert_int_equal(readers[i].wrong, 0);
        assert_true(readers[i].searches > 0);
    }
}

/* threads: for the changes. */
static void search_beside(const char *settings, size_t threads)
{
    struct asteria_world w;
    struct reader readers[READERS];
    atomic_bool done = false;

    asteria_world_open(&w, settings, INDEX_F32, 24, ROWS, threads);
    asteria_world_train(&w, 0, 300);
    asteria_world_insert(&w, 0, STAY);
    begin_readers(readers, &w, &done);
    change(&w);
    end_readers(readers);
    asteria_world_check(&w);
    asteria_world_maintain_all(&w);
    asteria_world_check(&w);
    asteria_world_search(&w, 5);
    asteria_world_close(&w);
}

/* Of few buckets; and of many: threads add the rows of a batch to different buckets, many of them
   new. */
static void test_searches_beside_changes(void **state)
{
    search_beside("address_bits=4,eps0=12", 1);
    search_beside("code=none,address_bits=18,eps0=12", 4);
}

/* ----------------------------------------------------------- updates, checkpoints, searches */

enum { UPDATERS = 2, PART = 300, UPDATES = 60 };

/* The rows of one thread: PART rows from STAY + number * PART on, used as a ring. */
struct updater {
    struct asteria_world *w;
    pthread_t thread;
    unsigned number;
    int rc;
    size_t stored; /* rows stored, from place `from` of the ring on */
    size_t from;
    atomic_bool *done; /* NULL: it ends by itself, after UPDATES steps */
};

static uint64_t own_row(const struct updater *u, size_t i)
{
    return STAY + (size_t)u->number * PART + i % PART;
}

static void *update_on(void *arg)
{
    struct updater *u = arg;

    for (size_t step = 0; u->rc == OK && (u->done ? !atomic_load(u->done) : step < UPDATES);
         step++) {
        uint64_t ids[20];
        size_t done = 0;
        const bool insert = u->stored < PART / 2;

        for (size_t i = 0; i < 20; i++)
            ids[i] = own_row(u, insert ? u->from + u->stored + i : u->from + i);
        for (size_t i = 0; insert && i < 20 && u->rc == OK;
             i++) /* one by one, because the ring wraps around */
            u->rc = asteria_ops.insert(u->w->index, rows_from(u->w, ids[i], 1), &ids[i], &done);
        if (!insert)
            u->rc = asteria_ops.remove(u->w->index, ids, 20, &done);
        u->stored = insert ? u->stored + 20 : u->stored - 20;
        u->from += insert ? 0 : 20;
    }
    return NULL;
}

/* The rows that an updater left are the world's. */
static void note_updates(const struct updater *u)
{
    for (size_t i = 0; i < u->stored; i++)
        u->w->stored[own_row(u, u->from + i)] = true;
    u->w->live += u->stored;
}

/* Updates go on while models are trained and rows move to them. */
static void test_updates_beside_training(void **state)
{
    struct asteria_world w;
    atomic_bool done = false;
    struct updater u = { .w = &w, .done = &done };
    asteria_world_open(&w, "address_bits=4,caprg=false,retrain_share=.1", INDEX_F32, 24, ROWS, 1);
    asteria_world_train(&w, 0, 300);
    asteria_world_insert(&w, 0, STAY);
    assert_int_equal(pthread_create(&u.thread, NULL, update_on, &u), 0);
    for (size_t i = 0; i < 12; i++) {
        asteria_world_train(&w, 0, 100);
        (void)asteria_world_maintain(&w, 0);
    }
    atomic_store(&done, true);
    assert_int_equal(pthread_join(u.thread, NULL), 0);
    assert_int_equal(u.rc, OK);
    note_updates(&u);
    asteria_world_check(&w);
    asteria_world_search(&w, 5);
    asteria_world_close(&w);
}

struct saver {
    struct asteria_world *w;
    pthread_t thread;
    atomic_bool *done;
    char dir[PATH_MAX];
    int rc;
    size_t made;
};

static void *save_on(void *arg)
{
    struct saver *s = arg;

    while (!atomic_load(s->done) && s->rc == OK) {
        s->rc = asteria_ops.save(s->w->index, s->made++ % 2 ? s->dir : s->w->dir);
    }
    return NULL;
}

/* Afterwards, and after loading, the index has the rows that the updaters left. */
static void update_beside(const char *settings)
{
    struct asteria_world w;
    struct updater updaters[UPDATERS];
    struct reader readers[READERS];
    struct saver saver = { .w = &w };
    atomic_bool done = false;

    asteria_world_open(&w, settings, INDEX_F32, 24, ROWS, 1);
    test_dir_make_in_memory(saver.dir);
    asteria_world_train(&w, 0, 300);
    asteria_world_insert(&w, 0, STAY);
    saver.done = &done;
    assert_int_equal(pthread_create(&saver.thread, NULL, save_on, &saver), 0);
    begin_readers(readers, &w, &done);
    for (unsigned i = 0; i < UPDATERS; i++) {
        updaters[i] = (struct updater){ .w = &w, .number = i };
        assert_int_equal(pthread_create(&updaters[i].thread, NULL, update_on, &updaters[i]), 0);
    }
    for (size_t i = 0; i < UPDATERS; i++) {
        assert_int_equal(pthread_join(updaters[i].thread, NULL), 0);
        assert_int_equal(updaters[i].rc, OK);
        note_updates(&updaters[i]);
    }
    end_readers(readers);
    assert_int_equal(pthread_join(saver.thread, NULL), 0);
    assert_int_equal(saver.rc, OK);
    assert_true(saver.made > 0);
    asteria_world_check(&w);
    asteria_ops.destroy(w.index);
    assert_ok(asteria_ops.load(&w.index, &w.bench.env, w.dir), &w.bench.error);
    asteria_world_check(&w);
    asteria_world_search(&w, 5);
    test_dir_remove(saver.dir);
    asteria_world_close(&w);
}

static void test_updates_beside_checkpoints(void **state)
{
    update_beside("address_bits=4,wal=written,checkpoint_mb=1");
    update_beside("address_bits=4,wal=synced,checkpoint_mb=1,storage=tiered,cache_mb=0");
}

/* A search within each call that writes to the file. */
static int search_within(void *to, const char *call)
{
    struct reader *r = to;
    struct asteria_knobs knobs;

    if (strcmp(call, "write") != 0)
        return 0;
    param_defaults(asteria_ops.knobs, &knobs);
    knobs.nprobe = 1 << 22;
    search_row(r, r->searches % STAY, &knobs);
    return 0;
}

/* A snapshot delays no search. */
static void test_searches_while_a_file_is_written(void **state)
{
    static struct store_writer file;
    struct asteria_world w;
    struct reader r = { .w = &w };
    const struct file_fault fault = { search_within, &r };

    asteria_world_open(&w, "address_bits=4,storage=tiered,cache_mb=0", INDEX_F32, 128, ROWS, 1);
    asteria_world_train(&w, 0, 300);
    asteria_world_insert(&w, 0, STAY);
    const struct store_identity identity = store_identity_of(&w.bench.env, "asteria", 1);
    assert_ok(store_begin(&file, w.dir, "some.index", &identity, &fault, &w.bench.error),
              &w.bench.error);
    assert_ok(asteria_write(w.index, &file), &w.bench.error);
    assert_true(r.searches > 1);
    assert_int_equal(r.rc, OK);
    assert_int_equal(r.wrong, 0);
    store_abort(&file);
    asteria_world_close(&w);
}

/* ------------------------------------------------------------ models that change in between */

enum { OTHER_VERSION = 3 };

struct change {
    struct asteria_world *w;
    atomic_int tid;
    atomic_bool ended;
    int rc;
};

static void *insert_rows(void *arg)
{
    struct change *c = arg;

    atomic_store(&c->tid, (int)gettid());
    c->rc = asteria_world_try_insert(c->w, 0, STAY);
    atomic_store(&c->ended, true);
    return NULL;
}

static void *link_rows(void *arg)
{
    struct change *c = arg;
    struct asteria_maintenance u = { .a = state_of(c->w) };

    atomic_store(&c->tid, (int)gettid());
    c->rc = asteria_maintenance_link(&u);
    atomic_store(&c->ended, true);
    return NULL;
}

static bool sleeps(int tid)
{
    char path[64], state = 'R';

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *f = tid > 0 ? fopen(path, "r") : NULL;
    if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 'R';
    if (f)
        (void)fclose(f);
    return state == 'S';
}

/* Waits until the thread waits to change the index (the caller holds `changing`), or has ended.
   Then takes the lock, so that no search runs either. */
static void await_change(struct change *c)
{
    struct asteria *a = state_of(c->w);

    while (!atomic_load(&c->ended) && !sleeps(atomic_load(&c->tid)))
        sched_yield();
    pthread_rwlock_wrlock(&a->lock);
}

static struct index *make_other(struct asteria_world *w, const char *settings)
{
    const struct asteria_params params = asteria_world_params(settings);
    struct index *other = NULL;

    assert_ok(asteria_ops.create(&other, &w->bench.env, &params), &w->bench.error);
    for (size_t i = 0; i < OTHER_VERSION; i++)
        assert_ok(asteria_ops.train(other, rows_from(w, 500, 300)), &w->bench.error);
    return other;
}

/* Tells the index's graph and tree whose rows are theirs, after an exchange. */
static void own(struct asteria *a)
{
    if (a->bec)
        a->bec->options.rows.to = a;
    if (a->graph)
        a->graph->rows.to = a;
}

/* Imitates several trainings after which the newest model has the address of the first one: puts
   the model of another index, without rows, at that address. */
static void exchange_models(struct asteria *a, struct asteria *other)
{
    struct asteria_generation *g = a->generations[a->now], *h = other->generations[other->now];
    struct asteria_model *at = g->model, *there = h->model;
    const struct asteria_generation kept = *g;
    const struct asteria_model model = *at;
    struct asteria_bec *tree = a->bec;

    *g = *h;
    *h = kept;
    *at = *there;
    *there = model;
    g->model = at;
    h->model = there;
    a->bec = other->bec;
    other->bec = tree;
    own(a);
    own(other);
}

/* Rows encoded by a model that is gone are encoded again, even if the newer model has the
   same address. */
static void test_insert_beside_other_models(void **state)
{
    static const char *const settings = "address_bits=4,caprg=false";
    struct asteria_world w;
    struct change c = { .w = &w };
    pthread_t thread;

    asteria_world_open(&w, settings, INDEX_F32, 24, ROWS, 1);
    asteria_world_train(&w, 0, 300);
    struct index *other = make_other(&w, settings);
    pthread_mutex_lock(&state_of(&w)->changing);
    assert_int_equal(pthread_create(&thread, NULL, insert_rows, &c), 0);
    await_change(&c);
    exchange_models(state_of(&w), asteria_of(other));
    pthread_rwlock_unlock(&state_of(&w)->lock);
    pthread_mutex_unlock(&state_of(&w)->changing);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(c.rc, OK);
    asteria_world_check(&w);
    asteria_world_search(&w, 5);
    asteria_ops.destroy(other);
    asteria_world_close(&w);
}

/* Exchanges everything of two indexes but their options, folders and locks. */
static void exchange_contents(struct asteria *a, struct asteria *b)
{
    enum { FROM = offsetof(struct asteria, generations), TO = offsetof(struct asteria, scratch) };
    unsigned char kept[TO - FROM], *x = (unsigned char *)a + FROM, *y = (unsigned char *)b + FROM;

    memcpy(kept, x, sizeof kept);
    memcpy(x, y, sizeof kept);
    memcpy(y, kept, sizeof kept);
    own(a);
    own(b);
}

/* Between the linking of two rows a model with larger codes is installed: the buffers of linking
   must grow. (Otherwise only the address sanitizer notices.) */
static void test_link_beside_other_models(void **state)
{
    struct asteria_world w;
    struct change c = { .w = &w };
    uint64_t ids[ROWS];
    pthread_t thread;
    size_t done;

    asteria_world_open(&w, "address_bits=2,r=8,pool=8,degree=4", INDEX_F32, 512, ROWS, 1);
    asteria_world_train(&w, 0, 300);
    asteria_world_insert(&w, 0, ROWS);
    struct index *other = make_other(&w, "address_bits=2,r=512,pool=8,degree=4");
    for (size_t i = 0; i < ROWS; i++)
        ids[i] = i;
    assert_ok(asteria_ops.insert(other, rows_from(&w, 0, ROWS), ids, &done), &w.bench.error);
    pthread_mutex_lock(&state_of(&w)->changing);
    assert_int_equal(pthread_create(&thread, NULL, link_rows, &c), 0);
    for (size_t i = 0; i < 3; i++) {
        await_change(&c);
        exchange_contents(state_of(&w), asteria_of(other));
        pthread_rwlock_unlock(&state_of(&w)->lock);
        pthread_mutex_unlock(&state_of(&w)->changing);
        sched_yield();
        pthread_mutex_lock(&state_of(&w)->changing);
    }
    pthread_mutex_unlock(&state_of(&w)->changing);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(c.rc, OK);
    asteria_world_check(&w);
    assert_ok(asteria_ops.check(other, NULL), &w.bench.error);
    asteria_ops.destroy(other);
    asteria_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_searches_beside_changes),
                                        cmocka_unit_test(test_updates_beside_training),
                                        cmocka_unit_test(test_updates_beside_checkpoints),
                                        cmocka_unit_test(test_searches_while_a_file_is_written),
                                        cmocka_unit_test(test_insert_beside_other_models),
                                        cmocka_unit_test(test_link_beside_other_models) };

    return test_run("asteria threads", tests);
}
