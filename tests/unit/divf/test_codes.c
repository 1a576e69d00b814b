/* test_codes.c - divf with each quantizer: answers of a full scan, and damaged codes. Codes that move
   with their vectors are contract/test_contract. */
#include "tests/unit/divf/support.h"

enum { DIM = 24, N = 3000, QUERIES = 120, K = 10 };

/* rabitq: eps0 so large that its bound does not fail. */
static const char *const kinds[] = {
    "sketch=1",
    "sketch=9",
    "sketch=24",
    "quantizer=sq8,sketch=0",
    "quantizer=sq8,sketch=8",
    "quantizer=pq,sketch=0",
    "quantizer=rabitq,sketch=0,eps0=12",
    "quantizer=pq,sketch=0,pq_bits=8",
};

enum { KINDS = sizeof kinds / sizeof *kinds };

static struct divf_params params_of(const char *kind, int64_t clusters, int64_t soft_k)
{
    struct divf_params params = divf_with(divf_defaults("split_threshold=0,bits=5"), kind);
    params.clusters = clusters;
    params.soft_k = soft_k;
    return params;
}

/* Trains on the first rows and stores all rows, then deletes a few. */
static void open_filled(struct stored_rows *w, struct divf_params params, size_t threads)
{
    world_open_filled(w, params, DIM, N, threads, 40, 0.5);
    assert_ok(divf_ops.train(w->index, stored_vectors(w, 0, 1500)), &w->bench.error);
    for (size_t first = 0; first < N; first += 1000)
        assert_ok(stored_insert(w, first, 1000), &w->bench.error);
    for (uint64_t id = 0; id < N; id += 9)
        assert_ok(stored_remove(w, &id, 1), &w->bench.error);
}

static struct work search_at(struct stored_rows *w, struct divf_knobs knobs,
                             const struct id_filter *f, size_t first, size_t n, uint64_t *ids,
                             float *distances)
{
    struct search_request request = { stored_vectors(w, first, n), K, &knobs, f, 1 };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(divf_ops.search(w->index, &request, &result), &w->bench.error);
    return result.work;
}

static uint64_t truth_ids[4][QUERIES * K], ids[QUERIES * K];
static float truth_distances[4][QUERIES * K], distances[QUERIES * K];

/* Few and many lists, with and without a filter: the same answers as with sketch = 0,
   which computes every distance. */
static void test_answers_of_a_full_scan(void **state)
{
    static uint64_t bits[N / 64 + 1];
    struct rng rng = rng_at(test_seed(), 3);
    for (size_t i = 0; i <= N / 64; i++)
        bits[i] = rng_u64(&rng) & rng_u64(&rng);
    const struct id_filter filter = { bits, N };
    for (int64_t soft_k = 1; soft_k <= 2; soft_k++) {
        for (size_t kind = 0; kind <= KINDS; kind++) {
            struct stored_rows w;
            open_filled(&w, params_of(kind ? kinds[kind - 1] : "sketch=0", 150, soft_k), 1);
            stored_check(&w);
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
            stored_close(&w);
        }
    }
}

/* With codes whose bounds are tight, few exact distances are computed. */
static void test_codes_save_distances(void **state)
{
    for (size_t kind = 1; kind < KINDS; kind++) {
        struct stored_rows w;
        open_filled(&w, params_of(kinds[kind], 40, 1), 1);
        struct divf_knobs knobs = { .nprobe = 1000 };
        struct work work = search_at(&w, knobs, NULL, 0, QUERIES, ids, distances);
        print_message("%s: %.0f of %zu vectors looked at\n", kinds[kind],
                      work.distances / QUERIES - 40, w.n);
        assert_true(work.scanned >= (double)(QUERIES * w.n));
        assert_true(work.distances < 0.6 * (double)(QUERIES * w.n));
        stored_close(&w);
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

/* Exactly `rerank` exact distances per query; with all vectors reranked the answer is exact. */
static void test_rerank(void **state)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        for (int64_t soft_k = 1; soft_k <= 2; soft_k++) {
            struct stored_rows w;
            open_filled(&w, params_of(kinds[kind], 40, soft_k), 1);
            struct divf_knobs all = { .nprobe = 40 }, few = { .nprobe = 40, .rerank = 60 };
            search_at(&w, all, NULL, 0, QUERIES, truth_ids[0], truth_distances[0]);
            struct work work = search_at(&w, few, NULL, 0, QUERIES, ids, distances);
            assert_true(work.distances <= QUERIES * (40.0 + 60));
            if (kind > 1)
                assert_true(common_answers(ids, truth_ids[0]) > QUERIES * K * 9 / 10);
            few.rerank = N;
            search_at(&w, few, NULL, 0, QUERIES / 4, ids, distances);
            assert_memory_equal(ids, truth_ids[0], sizeof ids / 4);
            few.rerank = 1; /* rerank below k counts as k */
            search_at(&w, few, NULL, 0, QUERIES, ids, distances);
            for (size_t i = 0; i < QUERIES * K; i++)
                assert_true(ids[i] != INDEX_NO_ID && w.stored[ids[i]]);
            stored_close(&w);
        }
    }
}

/* A list is scanned whole, and no list is begun after the budget is spent. */
static void test_scan_budget(void **state)
{
    struct stored_rows w;
    open_filled(&w, params_of(kinds[1], 40, 1), 1);
    uint32_t longest = 0;
    for (size_t i = 0; i < divf_of(w.index)->lists.n; i++)
        longest = divf_of(w.index)->lists.list[i]->rows > longest
                      ? divf_of(w.index)->lists.list[i]->rows
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
    stored_close(&w);
}

/* The usual bound of RabitQ rarely fails. */
static void test_rabitq_recall(void **state)
{
    for (int64_t bits = 1; bits <= 9; bits += 4) {
        struct stored_rows w;
        struct divf_params params = params_of("quantizer=rabitq,sketch=0", 40, 1);
        params.bits = bits;
        open_filled(&w, params, 1);
        size_t hits = 0;
        struct divf_knobs knobs = { .nprobe = 1000 };
        search_at(&w, knobs, NULL, 0, QUERIES, ids, distances);
        for (size_t q = 0; q < QUERIES; q++) {
            size_t n;
            struct test_truth *t = stored_truth(&w, w.rows + q * DIM, NULL, &n);
            for (size_t i = 0; i < K; i++)
                hits += distances[q * K + i] <= t[K - 1].distance;
            free(t);
        }
        print_message("rabitq, %d bits: recall %.4f\n", (int)bits, (double)hits / (QUERIES * K));
        assert_true(hits >= QUERIES * K * 98 / 100);
        stored_close(&w);
    }
}

/* A code of another vector, or encoded for another list, is detected. */
static void test_check_finds_damage(void **state)
{
    for (size_t kind = 1; kind < KINDS; kind++) {
        struct stored_rows w;
        open_filled(&w, params_of(kinds[kind], 12, 1), 1);
        struct divf_lists *lists = &divf_of(w.index)->lists;
        struct divf_chunk *chunk = divf_chunk_at(lists->chunks, lists->list[3]->chunks[0]);
        unsigned char *kept = malloc(lists->chunks->block_bytes);
        memcpy(kept, chunk->block, lists->chunks->block_bytes);
        stored_check(&w);
        const struct divf_chunk *other = divf_chunk_at(lists->chunks, lists->list[4]->chunks[0]);
        memcpy(chunk->block, other->block, lists->chunks->block_bytes);
        assert_code(divf_ops.check(w.index, NULL), ERR_INVARIANT, &w.bench.error);
        memcpy(chunk->block, kept, lists->chunks->block_bytes);
        stored_check(&w);
        struct divf_chunk_head *head = divf_chunk_head(lists->chunks, lists->list[3]->chunks[0]);
        uint64_t live = head->live;
        head->live &= live - 1;
        assert_code(divf_ops.check(w.index, NULL), ERR_INVARIANT, &w.bench.error);
        head->live = live;
        free(kept);
        stored_close(&w);
    }
}

/* -------------------------------------------------------------------------- threads */

/* Training while vectors are stored, in a provisional list at first: codes exist
   once the codebook does. */
static void test_training_later(void **state)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct stored_rows w;
        world_open_filled(&w, params_of(kinds[kind], 20, 2), DIM, N, 1, 40, 0.5);
        assert_ok(stored_insert(&w, 0, 50), &w.bench.error);
        assert_true(test_stat(w.index, "code_bytes") == 0);
        world_expect_exact(&w, w.rows, 12, NULL);
        assert_ok(stored_insert(&w, 50, 1000), &w.bench.error);
        assert_true(test_stat(w.index, "code_bytes") > 0);
        stored_check(&w);
        world_expect_exact(&w, w.rows + 700 * DIM, 12, NULL);
        for (uint64_t id = 3; id < 900; id += 4)
            assert_ok(stored_remove(&w, &id, 1), &w.bench.error);
        assert_ok(divf_ops.train(w.index, stored_vectors(&w, 1000, 2000)), &w.bench.error);
        stored_check(&w);
        world_expect_exact(&w, w.rows + 700 * DIM, 12, NULL);
        stored_close(&w);
    }
}

int main(void)
{
    return test_run_all("divf_codes", test_answers_of_a_full_scan, test_codes_save_distances,
                        test_rerank, test_scan_budget, test_rabitq_recall, test_check_finds_damage,
                        test_training_later);
}
