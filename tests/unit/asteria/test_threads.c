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
        if (r->searches % 5 == 0 && r->rc == OK) { /* which may miss the row */
            const size_t wrong = r->wrong;

            knobs.mode = MODE_HEURISTIC;
            knobs.target_recall = .5;
            search_row(r, row, &knobs);
            knobs.target_recall = 0;
            r->wrong = wrong;
        }
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

/* threads: for the changes. Afterwards, and after loading, the index has the rows that they left. */
static void search_beside(const char *settings, size_t threads)
{
    struct book w;
    struct reader readers[READERS];
    atomic_bool done = false;

    book_open(&w, settings, INDEX_F32, 24, ROWS, threads);
    book_train(&w, 0, 300);
    book_add(&w, 0, STAY);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ .w = &w, .done = &done, .number = i };
        assert_int_equal(pthread_create(&readers[i].thread, NULL, search_on, &readers[i]), 0);
    }
    change(&w);
    assert_ok(asteria_ops.save(w.index, w.dir), &w.bench.error);
    atomic_store(&done, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].rc, OK);
        assert_int_equal(readers[i].wrong, 0);
        assert_true(readers[i].searches > 0);
    }
    book_expect_sound(&w);
    book_maintain_all(&w);
    book_expect_answers(&w, 5);
    assert_ok(book_reload(&w, w.dir), &w.bench.error);
    book_expect_answers(&w, 5);
    book_close(&w);
}

/* Of few buckets; of many: threads add the rows of a batch to different buckets, many of them new; and
   with files. */
static void test_searches_beside_changes(void **state)
{
    search_beside("address_bits=4,eps0=12", 1);
    search_beside("code=none,address_bits=18,eps0=12", 4);
    search_beside("address_bits=4,eps0=12,wal=written,checkpoint_mb=1", 1);
    search_beside("address_bits=4,eps0=12,wal=synced,storage=tiered,cache_mb=0", 1);
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
    return test_run_all("asteria threads", test_searches_beside_changes,
                        test_searches_while_a_file_is_written);
}
