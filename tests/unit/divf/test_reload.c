/* test_reload.c - divf loaded without encoding again: codes are copied, vectors stay in the saved
 * file, which never changes. Memory that fails and damaged files are contract/test_faults. */
#include "algorithms/common/durable/store_file.h"
#include "tests/support/index_folder.h"
#include "tests/unit/divf/support.h"

enum { DIM = 24, N = 3000, QUERIES = 60, K = 10 };

static const char *const kinds[] = {
    "sketch=9",
    "quantizer=sq8,sketch=0",
    "quantizer=pq,sketch=0",
    "quantizer=pq,sketch=0,pq_bits=8",
    "quantizer=rabitq,sketch=0",
    "sketch=0",
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static struct divf_params params_of(const char *kind)
{
    return divf_with(divf_defaults("clusters=30,soft_k=2,split_threshold=1.5,eps0=12"), kind);
}

/* An index after splits and deletions. */
static void open_used(struct stored_rows *w, struct divf_params params, const char *dir, size_t dim,
                      size_t n)
{
    world_open(w, divf_defaults(""), dim, n, 1);
    divf_ops.destroy(w->index);
    w->bench.env.dir = dir;
    assert_ok(divf_ops.create(&w->index, &w->bench.env, &params), &w->bench.error);
    test_fill_f32(&w->rng, w->rows, n, dim, 25, 0.4);
    for (size_t first = 0; first < n; first += n / 4)
        assert_ok(stored_insert(w, first, n / 4), &w->bench.error);
    for (uint64_t id = 5; id < n / 2; id += 9)
        assert_ok(stored_remove(w, &id, 1), &w->bench.error);
}

struct answers {
    uint64_t ids[QUERIES * K];
    float distances[QUERIES * K];
};

static void ask(struct stored_rows *w, struct index *index, int64_t rerank, struct answers *a)
{
    struct divf_knobs knobs = { .nprobe = 4, .rerank = rerank };
    struct search_request request = { stored_vectors(w, 0, QUERIES), K, &knobs, NULL, 1 };
    struct search_result result = { .ids = a->ids, .distances = a->distances };
    assert_ok(divf_ops.search(index, &request, &result), &w->bench.error);
}

static void expect_same_answers(struct stored_rows *w, struct index *x, struct index *y)
{
    static struct answers a, b;
    for (int64_t rerank = 0; rerank <= K; rerank += K) {
        ask(w, x, rerank, &a);
        ask(w, y, rerank, &b);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static void expect_same_codes(const struct index *a, const struct index *b)
{
    const struct divf_lists *x = &divf_of_const(a)->lists, *y = &divf_of_const(b)->lists;
    assert_int_equal(x->n, y->n);
    for (size_t i = 0; i < x->n; i++) {
        assert_int_equal(x->list[i]->rows, y->list[i]->rows);
        assert_memory_equal(&x->list[i]->error, &y->list[i]->error, sizeof(float));
        for (uint32_t c = 0; c * CHUNK_VECTORS < x->list[i]->rows; c++)
            assert_memory_equal(divf_chunk_at(x->chunks, x->list[i]->chunks[c])->block,
                                divf_chunk_at(y->chunks, y->list[i]->chunks[c])->block,
                                x->chunks->block_bytes);
    }
}

/* The whole file; `at` is freed by the caller. */
static struct bytes contents(const char *dir)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/divf.index", dir);
    return bytes_read(path);
}

static void expect_same_files(const char *a, const char *b)
{
    struct bytes x = contents(a), y = contents(b);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.at, y.at, x.n);
    free(x.at);
    free(y.at);
}

/* The loaded index has the codes and answers of the saved one, and saves the same file. */
static void test_codes_are_copied(void **state)
{
    char dir[PATH_MAX], again[PATH_MAX];
    test_dir_make(dir);
    test_dir_make(again);
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct stored_rows w;
        struct index *loaded = NULL;
        open_used(&w, params_of(kinds[kind]), NULL, DIM, N);
        assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
        assert_ok(divf_ops.load(&loaded, &w.bench.env, dir), &w.bench.error);
        expect_same_codes(w.index, loaded);
        expect_same_answers(&w, w.index, loaded);
        assert_ok(divf_ops.check(loaded, NULL), &w.bench.error);
        assert_ok(divf_ops.save(loaded, again), &w.bench.error);
        expect_same_files(dir, again);
        divf_ops.destroy(loaded);
        stored_close(&w);
    }
    test_dir_remove(dir);
    test_dir_remove(again);
}

/* Codes that this program would round differently are made again. */
static void test_other_codes_are_made_again(void **state)
{
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (size_t kind = 0; kind + 1 < KINDS; kind++) {
        struct stored_rows w;
        open_used(&w, params_of(kinds[kind]), NULL, DIM, N);
        bool more;
        assert_ok(divf_ops.maintain(w.index, 0, &more), &w.bench.error);
        const struct divf_lists *lists = &divf_of(w.index)->lists;
        struct divf_chunk *chunk = divf_chunk_at(lists->chunks, lists->list[3]->chunks[0]);
        for (unsigned i = 0; i + 1 < CHUNK_VECTORS; i++)
            quantizer_copy(lists->quantizer, chunk->block, i + 1, chunk->block, i);
        assert_code(divf_ops.check(w.index, NULL), ERR_INVARIANT, &w.bench.error);
        assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
        world_reload(&w, dir);
        stored_check(&w);
        world_expect_exact(&w, w.rows, 20, NULL);
        stored_close(&w);
    }
    test_dir_remove(dir);
}

/* A file of one kernel table under another. */
static void test_other_kernels(void **state)
{
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct stored_rows w;
        const struct kernels *best = NULL;
        open_used(&w, params_of(kinds[kind]), NULL, DIM, N);
        best = w.bench.env.kernels;
        assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
        divf_ops.destroy(w.index);
        w.index = NULL;
        w.bench.env.kernels = kernels_select(ISA_SCALAR);
        assert_ok(divf_ops.load(&w.index, &w.bench.env, dir), &w.bench.error);
        stored_check(&w);
        world_expect_exact(&w, w.rows, 20, NULL);
        w.bench.env.kernels = best;
        stored_close(&w);
    }
    test_dir_remove(dir);
}

static void test_earlier_version_is_refused(void **state)
{
    char dir[PATH_MAX];
    struct stored_rows w;
    struct index *loaded = NULL;
    struct store_writer *writer = malloc(sizeof *writer);
    test_dir_make(dir);
    world_open(&w, divf_defaults(""), DIM, N, 1);
    const struct store_identity earlier = store_identity_of(&w.bench.env, "divf", 4);
    assert_ok(store_begin(writer, dir, "divf.index", &earlier, NULL, &w.bench.error),
              &w.bench.error);
    assert_ok(store_commit(writer), &w.bench.error);
    assert_code(divf_ops.load(&loaded, &w.bench.env, dir), ERR_VERSION, &w.bench.error);
    free(writer);
    stored_close(&w);
    test_dir_remove(dir);
}

/* ---------------------------------------------------------------------------- mapped vectors */

/* Vectors of 4 kB: two segments and a half. */
enum { WIDE = 1024, MANY = 5120 };

static void open_mapped(struct stored_rows *w, const char *dir, const char *saved)
{
    struct divf_params params =
        divf_with(params_of(kinds[4]), "clusters=8,soft_k=1,train_iters=3,bits=1,storage=mmap");
    open_used(w, params, dir, WIDE, MANY);
    assert_ok(divf_ops.save(w->index, saved), &w->bench.error);
    world_reload(w, saved);
}

/* Whether the vector of a slot is in the mapping of the saved file. */
static bool is_in_saved_file(const struct divf *d, uint32_t slot)
{
    const uintptr_t at = (uintptr_t)divf_row(&d->lists, slot);
    const uintptr_t from = (uintptr_t)d->vectors.saved;
    return at >= from && at < from + d->vectors.saved_bytes;
}

static size_t count_in_saved_file(const struct divf *d)
{
    size_t n = 0;
    for (uint32_t slot = 0; slot < d->slots.n; slot++)
        n += is_in_saved_file(d, slot);
    return n;
}

/* Ids that open_used() deleted are inserted again: their slots were not saved, so others are freed
   first. */
static void replace_some(struct stored_rows *w, uint64_t step)
{
    for (uint64_t id = 1; id < MANY; id += step)
        if (w->stored[id])
            assert_ok(stored_remove(w, &id, 1), &w->bench.error);
    for (uint64_t id = 0; id < MANY; id++)
        if (!w->stored[id])
            assert_ok(stored_insert(w, id, 1), &w->bench.error);
}

/* Updates of a loaded index go to its own file; the saved one keeps its bytes. Only the segments
   that are written leave it. */
static void test_saved_file_never_changes(void **state)
{
    char dir[PATH_MAX], saved[PATH_MAX];
    struct stored_rows w;
    struct memory_use use;
    test_dir_make(dir);
    test_dir_make(saved);
    open_mapped(&w, dir, saved);
    const struct bytes before = contents(saved);
    const struct divf *d = divf_of(w.index);
    const size_t all = count_in_saved_file(d);
    assert_true(all >= MANY / 2 && all < d->slots.n);
    assert_int_equal(divf_ops.memory(w.index, &use), OK);
    assert_int_equal(use.vectors, 0);
    assert_true(use.disk >= w.n * WIDE * sizeof(float));
    stored_check(&w);
    world_expect_exact(&w, w.rows, 20, NULL);

    uint32_t slot = 0;
    const uint64_t gone = d->slots.id[slot];
    assert_ok(stored_remove(&w, &gone, 1), &w.bench.error);
    assert_ok(stored_insert(&w, gone, 1), &w.bench.error);
    assert_false(is_in_saved_file(d, slot));
    assert_true(count_in_saved_file(d) > 0);
    stored_check(&w);
    replace_some(&w, 40);
    assert_int_equal(count_in_saved_file(d), 0);
    stored_check(&w);
    world_expect_exact(&w, w.rows, 20, NULL);

    const struct bytes after = contents(saved);
    assert_int_equal(before.n, after.n);
    assert_memory_equal(before.at, after.at, after.n);
    free(before.at);
    free(after.at);
    stored_close(&w);
    test_dir_remove(dir);
    test_dir_remove(saved);
}

/* Saving into the folder from which vectors are mapped replaces the file; the mapping stays. */
static void test_saved_over_its_own_file(void **state)
{
    char dir[PATH_MAX], saved[PATH_MAX];
    struct stored_rows w;
    struct index *loaded = NULL;
    test_dir_make(dir);
    test_dir_make(saved);
    open_mapped(&w, dir, saved);
    for (uint64_t id = 0; id < 100; id++)
        if (w.stored[id])
            assert_ok(stored_remove(&w, &id, 1), &w.bench.error);
    assert_ok(divf_ops.save(w.index, saved), &w.bench.error);
    stored_check(&w);
    assert_ok(divf_ops.load(&loaded, &w.bench.env, saved), &w.bench.error);
    expect_same_answers(&w, w.index, loaded);
    divf_ops.destroy(w.index);
    w.index = loaded;
    stored_check(&w);
    world_expect_exact(&w, w.rows, 20, NULL);
    stored_close(&w);
    test_dir_remove(dir);
    test_dir_remove(saved);
}

/* -------------------------------------------------------------------- what else is saved */

/* The original implementation's file is eleven times the size of the raw data. */
static void test_saved_size(void **state)
{
    char dir[PATH_MAX];
    struct stored_rows w;
    test_dir_make(dir);
    open_used(&w, params_of(kinds[0]), NULL, DIM, N);
    assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
    const struct bytes file = contents(dir);
    const double raw = (double)w.n * DIM * sizeof(float), lists = test_stat(w.index, "n_clusters");
    /* At most, for blocks are whole. */
    const double codes =
        (lists * 64 + test_stat(w.index, "stored_copies")) * test_stat(w.index, "code_bytes");
    /* A vector, its id, and 4 bytes per copy; codes; the lists; the quantizer; section headers. */
    assert_true((double)file.n <
                raw + (double)w.n * (8 + 2 * 4) + codes + lists * (DIM * 4 + 32) + 8192);
    free(file.at);
    stored_close(&w);
    test_dir_remove(dir);
}

static void test_empty_and_provisional(void **state)
{
    char dir[PATH_MAX];
    struct stored_rows w;
    test_dir_make(dir);
    world_open_filled(&w, divf_defaults("clusters=16"), DIM, N, 1, 16, 0.2);
    assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
    world_reload(&w, dir);
    stored_check(&w);
    assert_ok(stored_insert(&w, 0, 1), &w.bench.error);
    assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
    world_reload(&w, dir);
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
    struct divf_params params = params_of(kinds[0]);
    open_used(&ram, params, NULL, DIM, N);
    params.storage = DIVF_MMAP;
    open_used(&mapped, params, dir, DIM, N);
    stored_check(&mapped);
    expect_same_answers(&ram, ram.index, mapped.index);
    assert_int_equal(divf_ops.memory(mapped.index, &use), OK);
    assert_int_equal(use.vectors, 0);
    assert_true(use.disk >= mapped.n * DIM * sizeof(float)); /* copies share one vector */
    assert_ok(divf_ops.save(mapped.index, saved), &mapped.bench.error);
    world_reload(&mapped, saved);
    stored_check(&mapped);
    expect_same_answers(&ram, ram.index, mapped.index);
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

int main(void)
{
    return test_run_all("divf_reload", test_codes_are_copied, test_other_codes_are_made_again,
                        test_other_kernels, test_earlier_version_is_refused,
                        test_saved_file_never_changes, test_saved_over_its_own_file,
                        test_saved_size, test_empty_and_provisional, test_mapped_equals_memory);
}
