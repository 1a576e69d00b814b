/* test_store.c - divf saved and loaded, mapped and in memory; allocations that fail.
   Damaged files are contract/test_faults. */
#include <sys/stat.h>

#include "tests/unit/divf/support.h"

enum { DIM = 20, N = 3000 };

static struct divf_params soft_params(void)
{
    struct divf_params params = divf_defaults();
    params.clusters = 30;
    params.soft_k = 2;
    params.split_threshold = 1.5;
    return params;
}

/* An index after splits and deletions, with gaps. */
static void open_used(struct stored_rows *w, struct divf_params params, const char *dir)
{
    world_open(w, divf_defaults(), DIM, N, 1);
    divf_ops.destroy(w->index);
    w->bench.env.dir = dir;
    assert_ok(divf_ops.create(&w->index, &w->bench.env, &params), &w->bench.error);
    test_fill_f32(&w->rng, w->rows, N, DIM, 25, 0.4);
    for (size_t first = 0; first < 2400; first += 400)
        assert_ok(stored_insert(w, first, 400), &w->bench.error);
    for (uint64_t id = 5; id < 900; id += 9)
        assert_ok(stored_remove(w, &id, 1), &w->bench.error);
}

static void answers(struct stored_rows *w, uint64_t *ids, float *distances)
{
    world_search(w, w->rows, 50, 10, 3, NULL, 1, ids, distances);
}

static void expect_same_answers(struct stored_rows *a, struct stored_rows *b)
{
    static uint64_t ids[2][500];
    static float distances[2][500];
    answers(a, ids[0], distances[0]);
    answers(b, ids[1], distances[1]);
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_memory_equal(distances[0], distances[1], sizeof distances[0]);
}

/* Replaces w's index by the one loaded from `dir`. */
static void reload(struct stored_rows *w, const char *dir)
{
    divf_ops.destroy(w->index);
    w->index = NULL;
    assert_ok(divf_ops.load(&w->index, &w->bench.env, dir), &w->bench.error);
}

/* In the original implementation, inserting after a load fails. */
static void test_load_then_insert(void **state)
{
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (int soft_k = 1; soft_k <= 3; soft_k++) {
        struct stored_rows a, b;
        struct divf_params params = soft_params();
        params.soft_k = soft_k;
        open_used(&a, params, NULL);
        open_used(&b, params, NULL);
        assert_ok(divf_ops.save(b.index, dir), &b.bench.error);
        stored_check(&b);
        expect_same_answers(&a, &b);
        reload(&b, dir);
        stored_check(&b);
        expect_same_answers(&a, &b);
        assert_true(test_stat(b.index, "splits") == test_stat(a.index, "splits") &&
                    test_stat(a.index, "splits") > 0);
        /* From here on both indexes get the same calls. */
        bool more;
        assert_ok(divf_ops.maintain(a.index, 0, &more), &a.bench.error);
        assert_ok(stored_insert(&a, 2400, 600), &a.bench.error);
        assert_ok(stored_insert(&b, 2400, 600), &b.bench.error);
        uint64_t gone[] = { 2400, 2999, 1000 };
        assert_ok(stored_remove(&a, gone, 3), &a.bench.error);
        assert_ok(stored_remove(&b, gone, 3), &b.bench.error);
        stored_check(&b);
        expect_same_answers(&a, &b);
        world_expect_exact(&b, b.rows, 40, NULL);
        stored_close(&a);
        stored_close(&b);
    }
    test_dir_remove(dir);
}

/* The original implementation's file is eleven times the size of the raw data. */
static void test_saved_size(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 16];
    struct stored_rows w;
    struct stat st;
    test_dir_make(dir);
    open_used(&w, soft_params(), NULL);
    assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
    snprintf(path, sizeof path, "%s/divf.index", dir);
    assert_int_equal(stat(path, &st), 0);
    double raw = (double)w.n * DIM * sizeof(float);
    double codes = test_stat(w.index, "n_clusters") * 64 +
                   test_stat(w.index, "stored_copies"); /* at most, for blocks are whole */
    codes *= test_stat(w.index, "code_bytes");
    /* A vector, its id, and 4 bytes per copy; codes; the lists; section headers. */
    assert_true((double)st.st_size <
                raw + (double)w.n * (8 + 2 * 4) + codes + 60 * (DIM * 4 + 32) + 4096);
    stored_close(&w);
    test_dir_remove(dir);
}

static void test_empty_and_provisional(void **state)
{
    char dir[PATH_MAX];
    struct stored_rows w;
    struct divf_params params = divf_defaults();
    params.clusters = 16;
    test_dir_make(dir);
    world_open(&w, params, DIM, N, 1);
    test_fill_f32(&w.rng, w.rows, N, DIM, 16, 0.2);
    assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
    reload(&w, dir);
    stored_check(&w);
    assert_ok(stored_insert(&w, 0, 1), &w.bench.error);
    assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
    reload(&w, dir);
    assert_ok(stored_insert(&w, 1, N - 1), &w.bench.error);
    assert_true(test_stat(w.index, "n_clusters") >= 16);
    stored_check(&w);
    stored_close(&w);
    test_dir_remove(dir);
}

static void test_mapped_equals_memory(void **state)
{
    char dir[PATH_MAX], saved[PATH_MAX], path[PATH_MAX + 32];
    struct stored_rows ram, mapped;
    struct memory_use use;
    test_dir_make(dir);
    test_dir_make(saved);
    struct divf_params params = soft_params();
    open_used(&ram, params, NULL);
    params.storage = DIVF_MMAP;
    open_used(&mapped, params, dir);
    stored_check(&mapped);
    expect_same_answers(&ram, &mapped);
    assert_int_equal(divf_ops.memory(mapped.index, &use), OK);
    assert_int_equal(use.vectors, 0);
    assert_true(use.disk >= mapped.n * DIM * sizeof(float)); /* copies share one vector */

    assert_ok(divf_ops.save(mapped.index, saved), &mapped.bench.error);
    reload(&mapped, saved);
    stored_check(&mapped);
    expect_same_answers(&ram, &mapped);
    divf_ops.destroy(mapped.index);
    mapped.index = NULL;
    snprintf(path, sizeof path, "%s/divf.vectors", dir);
    assert_int_equal(access(path, F_OK), -1); /* removed with the index */
    mapped.bench.env.dir = NULL;
    assert_code(divf_ops.load(&mapped.index, &mapped.bench.env, saved), ERR_ARGUMENT,
                &mapped.bench.error);
    stored_close(&mapped);
    stored_close(&ram);
    test_dir_remove(dir);
    test_dir_remove(saved);
}

/* Every allocation of a script fails in turn, alone or together with all later ones. A refused call
   leaves a sound index, and succeeds once memory is available. */
static int script(struct stored_rows *w, const char *dir, size_t *at)
{
    uint64_t ids[200], found[30];
    float distances[30];
    struct divf_knobs knobs = { .nprobe = 4 };
    struct search_request request = { stored_vectors(w, 0, 3), 10, &knobs, NULL, 2 };
    struct search_result result = { .ids = found, .distances = distances };
    int rc = OK;
    if (*at == 0 && (rc = stored_insert(w, w->n, 40 - w->n)) == OK)
        ++*at;
    while (!rc && *at >= 1 && *at <= 4)
        if ((rc = stored_insert(w, w->n, 40 + 340 * *at - w->n)) == OK)
            ++*at;
    if (!rc && *at == 5 && (rc = divf_ops.search(w->index, &request, &result)) == OK)
        ++*at;
    for (size_t i = 0; i < 200; i++)
        ids[i] = i * 3;
    if (!rc && *at == 6 && (rc = stored_remove(w, ids, 200)) == OK)
        ++*at;
    if (!rc && *at == 7 && (rc = divf_ops.train(w->index, stored_vectors(w, 0, 700))) == OK)
        ++*at;
    if (!rc && *at == 8 && (rc = divf_ops.save(w->index, dir)) == OK)
        ++*at;
    struct index *loaded = NULL;
    if (!rc && *at == 9 && (rc = divf_ops.load(&loaded, &w->bench.env, dir)) == OK) {
        divf_ops.destroy(w->index);
        w->index = loaded;
        ++*at;
    }
    return rc;
}

static void test_out_of_memory(void **state)
{
    char dir[PATH_MAX];
    struct divf_params params = soft_params();
    params.clusters = 10;
    test_dir_make(dir);
    bool done = false;
    size_t failures = 0;
    for (size_t fault = 1; !done; fault = test_next_fault(fault)) {
        for (int after = 0; after < 2; after++) {
            struct stored_rows w;
            size_t at = 0;
            world_open(&w, params, 6, 1500, 2);
            test_fill_f32(&w.rng, w.rows, 1500, 6, 10, 0.3);
            w.bench.mem.fail_at =
                mem_live(&w.bench.mem) ? atomic_load(&w.bench.mem.calls) + fault : fault;
            w.bench.mem.fail_after = after;
            int rc = script(&w, dir, &at);
            if (rc) {
                failures++;
                assert_code(rc, ERR_NO_MEMORY, &w.bench.error);
            }
            done = !test_allocations_succeed(&w.bench.mem);
            stored_check(&w);
            while (rc) {
                rc = script(&w, dir, &at);
                assert_ok(rc, &w.bench.error);
            }
            assert_int_equal(at, 10);
            stored_check(&w);
            world_expect_exact(&w, w.rows, 20, NULL);
            stored_close(&w);
        }
    }
    assert_true(failures > 50 / test_scale());
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load_then_insert),      cmocka_unit_test(test_saved_size),
        cmocka_unit_test(test_empty_and_provisional), cmocka_unit_test(test_mapped_equals_memory),
        cmocka_unit_test(test_out_of_memory),
    };
    return test_run("divf_store", tests);
}
