/* test_asteria_threads.c - searches beside a thread that inserts, removes, keeps and trains: answers are rows that may be live,
 * at their own distances; afterwards everything is as if nobody had looked.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "test_asteria.h"

enum { READERS = 3, NEAR = 5, ROWS = 900, STAY = 200 };

struct reader {
    const struct asteria_world *w;
    pthread_t thread;
    atomic_bool *done;
    unsigned number;
    int rc;
    size_t searches, wrong;
};

/* Rows below STAY are never removed: one of them that is asked for is found, at no distance. */
static void look(struct reader *r, size_t row, const struct asteria_knobs *knobs)
{
    uint64_t ids[NEAR];
    float distances[NEAR];
    const struct search_request request = { rows_from(r->w, row, 1), NEAR, knobs, NULL, 1 };
    struct search_result result = { .ids = ids, .distances = distances };

    r->rc = asteria_ops.search(r->w->index, &request, &result);
    for (size_t i = 0; r->rc == OK && i < NEAR; i++)
        r->wrong += ids[i] >= ROWS ||
                    fabs(asteria_world_distance(r->w, row, ids[i]) - (double)distances[i]) > 1e-4;
    r->wrong += r->rc == OK && !(distances[0] < 1e-5F);
    r->searches++;
}

static void *search_on(void *arg)
{
    struct reader *r = arg;
    struct asteria_knobs knobs;

    param_defaults(asteria_ops.knobs, &knobs);
    knobs.probes = 1 << 22;
    while (!atomic_load(r->done) && r->rc == OK) {
        const size_t row = (r->searches * 7 + r->number) % STAY;

        knobs.mode = r->searches % 2 ? MODE_CERTIFIED : MODE_HEURISTIC;
        knobs.beam = r->searches % 3 ? 0 : 8;
        look(r, row, &knobs);
    }
    return NULL;
}

static void change(struct asteria_world *w)
{
    for (w->step = 0; w->step < 12; w->step++) {
        asteria_world_insert(w, STAY + 50 * w->step, 50);
        if (w->step > 2)
            asteria_world_remove(w, STAY + 50 * (w->step - 3), 50, 1 + w->step % 3);
        /* Without a bound, too: moving rows to a newer model leaves nothing of 100 for buckets to be written anew. */
        (void)asteria_world_maintain(w, w->step % 2 ? 0 : 100);
        if (w->step % 4 == 3)
            asteria_world_train(w, 0, 300);
    }
}

/* threads: of changes. */
static void search_beside(const char *settings, size_t threads)
{
    struct asteria_world w;
    struct reader readers[READERS];
    atomic_bool done = false;

    asteria_world_open(&w, settings, ELEMENT_F32, 24, ROWS, threads);
    asteria_world_train(&w, 0, 300);
    asteria_world_insert(&w, 0, STAY);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){ .w = &w, .done = &done, .number = i };
        assert_int_equal(pthread_create(&readers[i].thread, NULL, search_on, &readers[i]), 0);
    }
    change(&w);
    atomic_store(&done, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].rc, OK);
        assert_int_equal(readers[i].wrong, 0);
        assert_true(readers[i].searches > 0);
    }
    asteria_world_check(&w);
    asteria_world_settle(&w);
    asteria_world_check(&w);
    asteria_world_search(&w, 5);
    asteria_world_close(&w);
}

static void test_searches_beside_changes(void **state)
{
    (void)state;
    search_beside("address_bits=4,eps0=12", 1);
}

/* And rows of a batch are put into their buckets side by side; many of these begin anew. */
static void test_searches_beside_changes_of_many(void **state)
{
    (void)state;
    search_beside("code=golay2,address_bits=18,eps0=12", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_searches_beside_changes),
                                        cmocka_unit_test(test_searches_beside_changes_of_many) };

    return test_run("asteria threads", tests);
}
