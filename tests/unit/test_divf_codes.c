/* test_divf_codes.c - divf with each quantizer: answers of a full scan, moved and damaged codes, threads, files. */
#include "tests/unit/test_divf.h"

enum { DIM = 24, N = 3000, QUERIES = 120, K = 10 };

static const struct kind {
    const char *name;
    int64_t quantizer, sketch;
    double eps0; /* rabitq: so wide that its bound does not fail */
} kinds[] = {
    { "sketch of 1", DIVF_SKETCH, 1, 1.9 },     { "sketch of 9", DIVF_SKETCH, 9, 1.9 },
    { "sketch of all", DIVF_SKETCH, DIM, 1.9 }, { "sq8", DIVF_SQ8, 0, 1.9 },
    { "sq8 and sketch", DIVF_SQ8, 8, 1.9 },     { "pq", DIVF_PQ, 0, 1.9 },
    { "rabitq", DIVF_RABITQ, 0, 12 },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static struct divf_params params_of(const struct kind *kind, int64_t clusters, int64_t soft_k)
{
    struct divf_params params = divf_defaults();
    params.clusters = clusters;
    params.soft_k = soft_k;
    params.split_threshold = 0;
    params.quantizer = kind->quantizer;
    params.sketch = kind->sketch;
    params.eps0 = kind->eps0;
    return params;
}

/* Trained on the first rows; all are stored but some that were deleted. */
static void open_filled(struct world *w, struct divf_params params, size_t threads)
{
    world_open(w, params, DIM, N, threads);
    test_fill_f32(&w->rng, w->rows, N, DIM, 40, 0.5);
    assert_ok(divf_ops.train(w->index, world_vectors(w, 0, 1500)), &w->bench.error);
    for (size_t first = 0; first < N; first += 1000)
        assert_ok(world_insert(w, first, 1000), &w->bench.error);
    for (uint64_t id = 0; id < N; id += 9)
        assert_ok(world_remove(w, &id, 1), &w->bench.error);
}

static struct work search_at(struct world *w, struct divf_knobs knobs, const struct id_filter *f,
                             size_t first, size_t n, uint64_t *ids, float *distances)
{
    struct search_request request = { world_vectors(w, first, n), K, &knobs, f, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(divf_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

static uint64_t truth_ids[4][QUERIES * K], ids[QUERIES * K];
static float truth_distances[4][QUERIES * K], distances[QUERIES * K];

/* Few lists and many, with a filter and without: as sketch = 0, which looks at every vector. */
static void test_answers_of_a_full_scan(void **state)
{
    (void)state;
    static const struct kind none = { "none", DIVF_SKETCH, 0, 1.9 };
    static uint64_t bits[N / 64 + 1];
    struct rng rng = rng_at(test_seed(), 3);
    for (size_t i = 0; i <= N / 64; i++)
        bits[i] = rng_u64(&rng) & rng_u64(&rng);
    const struct id_filter filter = { bits, N };
    for (int64_t soft_k = 1; soft_k <= 2; soft_k++) {
        for (size_t kind = 0; kind <= KINDS; kind++) {
            struct world w;
            open_filled(&w, params_of(kind ? &kinds[kind - 1] : &none, 150, soft_k), 1);
            world_check(&w);
            for (size_t i = 0; i < 4; i++) {
                struct divf_knobs knobs = { .nprobe = i < 2 ? 6 : 1000 };
                const struct id_filter *f = i % 2 ? &filter : NULL;
                if (kind == 0) {
                    search_at(&w, knobs, f, 0, QUERIES, truth_ids[i], truth_distances[i]);
                    continue;
                }
                struct work work = search_at(&w, knobs, f, 0, QUERIES, ids, distances);
                assert_memory_equal(ids, truth_ids[i], sizeof ids);
                assert_memory_equal(distances, truth_distances[i], sizeof distances);
                assert_true(work.estimates > 0);
                for (size_t q = 0; q < QUERIES; q++)
                    search_at(&w, knobs, f, q, 1, ids + q * K, distances + q * K);
                assert_memory_equal(ids, truth_ids[i], sizeof ids);
                assert_memory_equal(distances, truth_distances[i], sizeof distances);
            }
            world_close(&w);
        }
    }
}

/* Codes that bound well leave few vectors to look at. */
static void test_codes_save_distances(void **state)
{
    (void)state;
    for (size_t kind = 1; kind < KINDS; kind++) {
        struct world w;
        open_filled(&w, params_of(&kinds[kind], 40, 1), 1);
        struct divf_knobs knobs = { .nprobe = 1000 };
        struct work work = search_at(&w, knobs, NULL, 0, QUERIES, ids, distances);
        print_message("%s: %.0f of %zu vectors looked at\n", kinds[kind].name,
                      work.distances / QUERIES - 40, w.n);
        assert_true(work.scanned >= (double)(QUERIES * w.n));
        assert_true(work.distances < 0.6 * (double)(QUERIES * w.n));
        world_close(&w);
    }
}

static size_t common_answers(const uint64_t *a, const uint64_t *b)
{
    size_t hits = 0;
    for (size_t q = 0; q < QUERIES; q++)
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++)
                hits += a[q * K + i] == b[q * K + j];
    return hits;
}

/* Distances of so many a query and no more; of all: the truth. */
static void test_rerank(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (int64_t soft_k = 1; soft_k <= 2; soft_k++) {
            struct world w;
            open_filled(&w, params_of(&kinds[kind], 40, soft_k), 1);
            struct divf_knobs all = { .nprobe = 40 }, few = { .nprobe = 40, .rerank = 60 };
            search_at(&w, all, NULL, 0, QUERIES, truth_ids[0], truth_distances[0]);
            struct work work = search_at(&w, few, NULL, 0, QUERIES, ids, distances);
            assert_true(work.distances <= QUERIES * (40.0 + 60));
            if (kind > 1)
                assert_true(common_answers(ids, truth_ids[0]) > QUERIES * K * 9 / 10);
            few.rerank = N;
            search_at(&w, few, NULL, 0, QUERIES, ids, distances);
            assert_memory_equal(ids, truth_ids[0], sizeof ids);
            few.rerank = 1; /* fewer than k is k */
            search_at(&w, few, NULL, 0, QUERIES, ids, distances);
            for (size_t i = 0; i < QUERIES * K; i++)
                assert_true(ids[i] != ID_NONE && w.stored[ids[i]]);
            world_close(&w);
        }
    }
}

/* A list is read whole, and none after the budget is spent. */
static void test_scan_budget(void **state)
{
    (void)state;
    struct world w;
    open_filled(&w, params_of(&kinds[1], 40, 1), 1);
    uint32_t longest = 0;
    for (size_t i = 0; i < divf_of(w.index)->lists.n; i++)
        longest = divf_of(w.index)->lists.list[i].rows > longest
                      ? divf_of(w.index)->lists.list[i].rows
                      : longest;
    for (int64_t budget = 1; budget < N; budget *= 3) {
        struct divf_knobs knobs = { .nprobe = 40, .scan_budget = budget };
        struct work many = search_at(&w, knobs, NULL, 0, QUERIES, truth_ids[0], truth_distances[0]);
        assert_true(many.scanned >= (double)(QUERIES * budget));
        assert_true(many.scanned < (double)QUERIES * ((double)budget + longest));
        struct work few = { 0 };
        for (size_t q = 0; q < QUERIES; q++)
            few.scanned += search_at(&w, knobs, NULL, q, 1, ids + q * K, distances + q * K).scanned;
        assert_true(few.scanned == many.scanned);
        assert_memory_equal(ids, truth_ids[0], sizeof ids);
    }
    world_close(&w);
}

/* The usual bound of RabitQ fails seldom. */
static void test_rabitq_recall(void **state)
{
    (void)state;
    struct kind usual = { "rabitq", DIVF_RABITQ, 0, 1.9 };
    for (int64_t bits = 1; bits <= 9; bits += 4) {
        struct world w;
        struct divf_params params = params_of(&usual, 40, 1);
        params.bits = bits;
        open_filled(&w, params, 1);
        size_t hits = 0;
        struct divf_knobs knobs = { .nprobe = 1000 };
        search_at(&w, knobs, NULL, 0, QUERIES, ids, distances);
        for (size_t q = 0; q < QUERIES; q++) {
            size_t n;
            struct truth *t = world_truth(&w, w.rows + q * DIM, NULL, &n);
            for (size_t i = 0; i < K; i++)
                hits += distances[q * K + i] <= t[K - 1].distance;
            free(t);
        }
        print_message("rabitq, %d bits: recall %.4f\n", (int)bits, (double)hits / (QUERIES * K));
        assert_true(hits >= QUERIES * K * 98 / 100);
        world_close(&w);
    }
}

/* ------------------------------------------------------------------------------ moved codes */

static size_t some_slots(struct world *w, size_t from, size_t to, uint32_t *slots)
{
    const struct divf_lists *lists = &divf_of(w->index)->lists;
    size_t n = divf_list_slots(lists, from, slots), kept = 0;
    assert_int_equal(n, lists->list[from].live);
    for (size_t i = 0; i < n; i++)
        if (!divf_slot_in_list(lists, slots[i], to) && rng_below(&w->rng, 3) == 0)
            slots[kept++] = slots[i];
    return kept;
}

static void move_some(struct world *w)
{
    struct divf *d = divf_of(w->index);
    uint32_t slots[N];
    size_t from = rng_below(&w->rng, d->lists.n), to = rng_below(&w->rng, d->lists.n);
    size_t n = from == to ? 0 : some_slots(w, from, to, slots);
    assert_ok(divf_list_reserve(&d->lists, to, n), &w->bench.error);
    divf_list_move(&d->lists, from, to, slots, n);
    for (size_t i = 0; i < n; i++)
        assert_true(divf_slot_in_list(&d->lists, slots[i], to) &&
                    !divf_slot_in_list(&d->lists, slots[i], from));
}

static void drop_some(struct world *w)
{
    struct divf *d = divf_of(w->index);
    uint32_t slots[N];
    size_t list = rng_below(&w->rng, d->lists.n), n = divf_list_slots(&d->lists, list, slots);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t *places = divf_slot_places(&d->lists, slots[i]);
        if (d->lists.soft_k > 1 && places[1] != PLACE_NONE && rng_below(&w->rng, 4) == 0)
            slots[kept++] = slots[i];
    }
    divf_list_drop(&d->lists, list, slots, kept);
}

static void move_centroid(struct world *w)
{
    struct divf *d = divf_of(w->index);
    float centroid[DIM];
    test_fill_f32(&w->rng, centroid, 1, DIM, 1, 0.5);
    divf_centroid_set(&d->lists, rng_below(&w->rng, d->lists.n), centroid);
}

/* Empties a list into another and removes it. */
static void dissolve(struct world *w)
{
    struct divf *d = divf_of(w->index);
    uint32_t slots[N];
    if (d->lists.n < 4)
        return;
    size_t from = rng_below(&w->rng, d->lists.n), to = (from + 1) % d->lists.n;
    size_t n = divf_list_slots(&d->lists, from, slots), twice = 0, once = 0;
    uint32_t both[N];
    for (size_t i = 0; i < n; i++) {
        if (divf_slot_in_list(&d->lists, slots[i], to))
            both[twice++] = slots[i];
        else
            slots[once++] = slots[i];
    }
    assert_ok(divf_list_reserve(&d->lists, to, once), &w->bench.error);
    divf_list_drop(&d->lists, from, both, twice);
    divf_list_move(&d->lists, from, to, slots, once);
    assert_int_equal(d->lists.list[from].live, 0);
    divf_list_remove(&d->lists, from);
}

static void add_list(struct world *w)
{
    struct divf *d = divf_of(w->index);
    float centroid[DIM];
    test_fill_f32(&w->rng, centroid, 1, DIM, 1, 0.5);
    assert_ok(divf_list_add(&d->lists, centroid, 7), &w->bench.error);
}

static void test_moved_codes(void **state)
{
    (void)state;
    static void (*const changes[])(struct world *) = { move_some, move_some,     drop_some,
                                                       add_list,  move_centroid, dissolve };
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (int64_t soft_k = 1; soft_k <= 3; soft_k += 2) {
            struct world w;
            open_filled(&w, params_of(&kinds[kind], 12, soft_k), 1);
            for (int step = 0; step < 40; step++) {
                changes[rng_below(&w.rng, sizeof changes / sizeof *changes)](&w);
                divf_of(w.index)->largest_list = UINT32_MAX; /* the policies look after it */
                if (rng_below(&w.rng, 4) == 0)
                    divf_list_compact(divf_of(w.index),
                                      rng_below(&w.rng, divf_of(w.index)->lists.n));
                world_check(&w);
            }
            for (size_t q = 0; q < 20; q++)
                world_expect_exact(&w, w.rows + q * 31 * DIM, 12, NULL);
            world_close(&w);
        }
    }
}

/* A code that is another vector's, or of another list's making, is found. */
static void test_check_finds_damage(void **state)
{
    (void)state;
    for (size_t kind = 1; kind < KINDS; kind++) {
        struct world w;
        open_filled(&w, params_of(&kinds[kind], 12, 1), 1);
        struct divf_lists *lists = &divf_of(w.index)->lists;
        struct chunk *chunk = chunk_at(&lists->chunks, lists->list[3].chunks[0]);
        unsigned char *kept = malloc(lists->chunks.block_bytes);
        memcpy(kept, chunk->block, lists->chunks.block_bytes);
        world_check(&w);
        const struct chunk *other = chunk_at(&lists->chunks, lists->list[4].chunks[0]);
        memcpy(chunk->block, other->block, lists->chunks.block_bytes);
        assert_code(divf_ops.check(w.index, NULL), ERR_INVARIANT, &w.bench.error);
        memcpy(chunk->block, kept, lists->chunks.block_bytes);
        world_check(&w);
        struct chunk_head *head = chunk_head(&lists->chunks, lists->list[3].chunks[0]);
        uint64_t live = head->live;
        head->live &= live - 1;
        assert_code(divf_ops.check(w.index, NULL), ERR_INVARIANT, &w.bench.error);
        head->live = live;
        free(kept);
        world_close(&w);
    }
}

/* -------------------------------------------------------------------------- threads and files */

/* Every chunk of every list, byte for byte. */
static void expect_same_chunks(const struct world *a, const struct world *b)
{
    const struct divf_lists *x = &divf_of(a->index)->lists, *y = &divf_of(b->index)->lists;
    assert_int_equal(x->n, y->n);
    for (size_t i = 0; i < x->n; i++) {
        assert_int_equal(x->list[i].rows, y->list[i].rows);
        assert_true(!(x->list[i].error < y->list[i].error) &&
                    !(x->list[i].error > y->list[i].error));
        for (uint32_t c = 0; c < x->list[i].n_chunks; c++) {
            const struct chunk *p = chunk_at(&x->chunks, x->list[i].chunks[c]);
            const struct chunk *q = chunk_at(&y->chunks, y->list[i].chunks[c]);
            assert_true(chunk_head(&x->chunks, x->list[i].chunks[c])->live ==
                        chunk_head(&y->chunks, y->list[i].chunks[c])->live);
            assert_memory_equal(p->slots, q->slots, sizeof p->slots);
            assert_memory_equal(p->block, q->block, x->chunks.block_bytes);
        }
    }
}

static void test_threads_leave_no_trace(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct world one, many;
        open_filled(&one, params_of(&kinds[kind], 30, 2), 1);
        open_filled(&many, params_of(&kinds[kind], 30, 2), 4);
        expect_same_chunks(&one, &many);
        world_close(&one);
        world_close(&many);
    }
}

static void test_saved_and_loaded(void **state)
{
    (void)state;
    char dir[PATH_MAX];
    test_dir_make(dir);
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct world w;
        open_filled(&w, params_of(&kinds[kind], 150, 2), 1);
        assert_ok(divf_ops.save(w.index, dir), &w.bench.error);
        struct divf_knobs knobs = { .nprobe = 5, .rerank = 30 };
        search_at(&w, knobs, NULL, 0, QUERIES, truth_ids[0], truth_distances[0]);
        divf_ops.destroy(w.index);
        w.index = NULL;
        assert_ok(divf_ops.load(&w.index, &w.bench.env, dir), &w.bench.error);
        world_check(&w);
        search_at(&w, knobs, NULL, 0, QUERIES, ids, distances);
        assert_memory_equal(ids, truth_ids[0], sizeof ids);
        assert_memory_equal(distances, truth_distances[0], sizeof distances);
        uint64_t again = 0; /* deleted by open_filled() */
        test_fill_f32(&w.rng, w.rows, 1, DIM, 1, 0.5);
        assert_ok(world_insert(&w, again, 1), &w.bench.error);
        world_check(&w);
        world_expect_exact(&w, w.rows, 15, NULL);
        world_close(&w);
    }
    test_dir_remove(dir);
}

/* Trained again with vectors stored, provisional at first: codes begin with the codebook. */
static void test_training_later(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct world w;
        world_open(&w, params_of(&kinds[kind], 20, 2), DIM, N, 1);
        test_fill_f32(&w.rng, w.rows, N, DIM, 40, 0.5);
        assert_ok(world_insert(&w, 0, 50), &w.bench.error);
        assert_true(world_stat(&w, "code_bytes") == 0);
        world_expect_exact(&w, w.rows, 12, NULL);
        assert_ok(world_insert(&w, 50, 1000), &w.bench.error);
        assert_true(world_stat(&w, "code_bytes") > 0);
        world_check(&w);
        world_expect_exact(&w, w.rows + 700 * DIM, 12, NULL);
        for (uint64_t id = 3; id < 900; id += 4)
            assert_ok(world_remove(&w, &id, 1), &w.bench.error);
        assert_ok(divf_ops.train(w.index, world_vectors(&w, 1000, 2000)), &w.bench.error);
        world_check(&w);
        world_expect_exact(&w, w.rows + 700 * DIM, 12, NULL);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_of_a_full_scan),
        cmocka_unit_test(test_codes_save_distances),
        cmocka_unit_test(test_rerank),
        cmocka_unit_test(test_scan_budget),
        cmocka_unit_test(test_rabitq_recall),
        cmocka_unit_test(test_moved_codes),
        cmocka_unit_test(test_check_finds_damage),
        cmocka_unit_test(test_threads_leave_no_trace),
        cmocka_unit_test(test_saved_and_loaded),
        cmocka_unit_test(test_training_later),
    };
    return test_run("divf_codes", tests);
}
