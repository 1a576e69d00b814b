/* test_threads.c - searches run while a thread inserts, removes, maintains and trains. Answers are
 * rows that may be live, with their true distances; afterwards the index is as without searches.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/asteria/support.h"

enum { READERS = 3, NEAR = 5, ROWS = 900, STAY = 200 };

struct reader {
    const struct book *w;
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
    const struct search_request request = { book_vectors(r->w, row, 1), NEAR, knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };

    r->rc = asteria_ops.search(r->w->index, &request, &result);
    for (size_t i = 0; r->rc == OK && i < NEAR; i++)
        r->wrong += ids[i] >= ROWS || fabsf(asteria_distance(&r->w->bench.env, book_row(r->w, row),
                                                             book_row(r->w, ids[i])) -
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

static void change(struct book *w)
{
    for (size_t step = 0; step < 12; step++) {
        book_add(w, STAY + 50 * step, 50);
        if (step > 2)
            book_remove_each(w, STAY + 50 * (step - 3), 50, 1 + step % 3);
        /* Every second call has no budget: re-encoding uses up a budget of 100, and no bucket would
           be rewritten. */
        (void)book_maintain(w, step % 2 ? 0 : 100);
        if (step % 4 == 3)
            book_train(w, 0, 300);
    }
}

static void begin_readers(struct reader readers[READERS], const struct book *w, atomic_bool *done)
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
    struct book w;
    struct reader readers[READERS];
    atomic_bool done = false;

    book_open(&w, settings, INDEX_F32, 24, ROWS, threads);
    book_train(&w, 0, 300);
    book_add(&w, 0, STAY);
    begin_readers(readers, &w, &done);
    change(&w);
    end_readers(readers);
    book_expect_sound(&w);
    book_maintain_all(&w);
    book_expect_sound(&w);
    book_expect_answers(&w, 5);
    book_close(&w);
}

/* Of few buckets; and of many: threads add the rows of a batch to different buckets, many of them
   new. */
static void test_searches_beside_changes(void **state)
{
    search_beside("address_bits=4,eps0=12", 1);
    search_beside("code=none,address_bits=18,eps0=12", 4);
}

/* ----------------------------------------------------------- updates, checkpoints, searches */

enum { UPDATERS = 2, PART = 300, SOME = 20, UPDATES = 60 };

/* The rows of one thread: PART rows from STAY + number * PART on, used as a ring, SOME at a time. */
struct updater {
    struct book *w;
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
        const bool insert = u->stored < PART / 2;
        const uint64_t first = own_row(u, insert ? u->from + u->stored : u->from);
        uint64_t ids[SOME];
        size_t done = 0;

        for (size_t i = 0; i < SOME; i++)
            ids[i] = first + i;
        u->rc = insert
                    ? asteria_ops.insert(u->w->index, book_vectors(u->w, first, SOME), ids, &done)
                    : asteria_ops.remove(u->w->index, ids, SOME, &done);
        u->stored = insert ? u->stored + SOME : u->stored - SOME;
        u->from += insert ? 0 : SOME;
    }
    return NULL;
}

/* The rows that an updater left are the world's. */
static void note_updates(const struct updater *u)
{
    for (size_t i = 0; i < u->stored; i++)
        u->w->stored[own_row(u, u->from + i)] = true;
    u->w->n += u->stored;
}

/* Updates go on while models are trained and rows move to them. */
static void test_updates_beside_training(void **state)
{
    struct book w;
    atomic_bool done = false;
    struct updater u = { .w = &w, .done = &done };
    book_open(&w, "address_bits=4,caprg=false,retrain_share=.1", INDEX_F32, 24, ROWS, 1);
    book_train(&w, 0, 300);
    book_add(&w, 0, STAY);
    assert_int_equal(pthread_create(&u.thread, NULL, update_on, &u), 0);
    for (size_t i = 0; i < 12; i++) {
        book_train(&w, 0, 100);
        book_check(&w); /* rows encoded by the last model are encoded again */
        (void)book_maintain(&w, 0);
    }
    atomic_store(&done, true);
    assert_int_equal(pthread_join(u.thread, NULL), 0);
    assert_int_equal(u.rc, OK);
    note_updates(&u);
    book_expect_sound(&w);
    book_expect_answers(&w, 5);
    book_close(&w);
}

struct saver {
    struct book *w;
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
    struct book w;
    struct updater updaters[UPDATERS];
    struct reader readers[READERS];
    struct saver saver = { .w = &w };
    atomic_bool done = false;

    book_open(&w, settings, INDEX_F32, 24, ROWS, 1);
    test_dir_make_in_memory(saver.dir);
    book_train(&w, 0, 300);
    book_add(&w, 0, STAY);
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
    book_expect_sound(&w);
    assert_ok(book_reload(&w, w.dir), &w.bench.error);
    book_expect_sound(&w);
    book_expect_answers(&w, 5);
    test_dir_remove(saver.dir);
    book_close(&w);
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
    struct book w;
    struct reader r = { .w = &w };
    const struct file_fault fault = { search_within, &r };

    book_open(&w, "address_bits=4,storage=tiered,cache_mb=0", INDEX_F32, 128, ROWS, 1);
    book_train(&w, 0, 300);
    book_add(&w, 0, STAY);
    const struct store_identity identity = store_identity_of(&w.bench.env, "asteria", 1);
    assert_ok(store_begin(&file, w.dir, "some.index", &identity, &fault, &w.bench.error),
              &w.bench.error);
    assert_ok(asteria_write(w.index, &file), &w.bench.error);
    assert_true(r.searches > 1);
    assert_int_equal(r.rc, OK);
    assert_int_equal(r.wrong, 0);
    store_abort(&file);
    book_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_searches_beside_changes),
                                        cmocka_unit_test(test_updates_beside_training),
                                        cmocka_unit_test(test_updates_beside_checkpoints),
                                        cmocka_unit_test(test_searches_while_a_file_is_written) };

    return test_run("asteria threads", tests);
}
