/* test_faiss_threads.c - with several threads, FAISS's matrix products are divided among them, and
 * none of them starts threads of OpenBLAS. A binary of its own, because it takes the place of
 * sgemm_(). */
#include "tests/support/testing.h"

#ifndef HAVE_FAISS
int main(void)
{
    puts("skipped: built without FAISS");
    return 0;
}
#else

#include <cblas.h>
#include <stdatomic.h>

#include "tests/support/baselines.h"

extern const struct index_ops faiss_flat_ops, faiss_ivf_flat_ops;

enum { DIM = 16, ROWS = 4000, THREADS = 2, QUERIES = 400, K = 5 };

static atomic_size_t products, widest; /* calls; most rows of a call */
static atomic_bool threaded;           /* whether OpenBLAS had several threads in a call */

int sgemm_(const char *transa, const char *transb, const int *m, const int *n, const int *k,
           const float *alpha, const float *a, const int *lda, const float *b, const int *ldb,
           const float *beta, float *c, const int *ldc);

/* As FAISS calls it: the columns of the product are its rows and queries. */
int sgemm_(const char *transa, const char *transb, const int *m, const int *n, const int *k,
           const float *alpha, const float *a, const int *lda, const float *b, const int *ldb,
           const float *beta, float *c, const int *ldc)
{
    size_t seen = atomic_load(&widest);
    while (seen < (size_t)*n && !atomic_compare_exchange_weak(&widest, &seen, (size_t)*n))
        ;
    atomic_fetch_add(&products, 1);
    if (openblas_get_num_threads() > 1)
        atomic_store(&threaded, true);
    cblas_sgemm(CblasColMajor, *transa == 'T' || *transa == 't' ? CblasTrans : CblasNoTrans,
                *transb == 'T' || *transb == 't' ? CblasTrans : CblasNoTrans, *m, *n, *k, *alpha, a,
                *lda, b, *ldb, *beta, c, *ldc);
    return 0;
}

static void expect_divided(size_t rows)
{
    assert_true(atomic_load(&products) >= THREADS);
    assert_true(atomic_load(&widest) <= (rows + THREADS - 1) / THREADS);
    assert_false(atomic_load(&threaded));
    atomic_store(&products, 0);
    atomic_store(&widest, 0);
}

/* As baseline_begin(), with threads. */
static void begin(struct baseline_test *t, const struct index_ops *ops, const char *params,
                  size_t threads)
{
    baseline_begin(t, ops, params, INDEX_F32, INDEX_L2SQ, DIM, ROWS);
    baseline_use_threads(t, threads, params);
}

static void ask(struct baseline_test *t, int64_t nprobe, size_t threads, uint64_t *ids)
{
    static float distances[QUERIES * K];
    const struct search_request request = {
        { t->f32, QUERIES, DIM, INDEX_F32 }, K, &nprobe, NULL, threads
    };
    struct search_result result = { .ids = ids, .distances = distances };
    assert_ok(t->ops->search(t->index, &request, &result), &t->bench.error);
}

static void test_inverted_file(void **state)
{
    static uint64_t ids[2][QUERIES * K];
    struct baseline_test t;
    openblas_set_num_threads(THREADS);
    const int before = openblas_get_num_threads();
    begin(&t, &faiss_ivf_flat_ops, "clusters=64", THREADS);
    atomic_store(&products, 0);
    assert_ok(t.ops->train(t.index, baseline_rows(&t, 0, ROWS)), &t.bench.error);
    expect_divided(ROWS);
    baseline_insert(&t, 0, ROWS);
    expect_divided(ROWS);
    ask(&t, 4, THREADS, ids[0]);
    expect_divided(QUERIES);
    ask(&t, 4, 1, ids[1]);
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    assert_int_equal(openblas_get_num_threads(), before);
    assert_ok(t.ops->check(t.index, NULL), &t.bench.error);
    baseline_end(&t);
}

static void test_flat(void **state)
{
    static uint64_t ids[2][QUERIES * K];
    struct baseline_test t;
    openblas_set_num_threads(THREADS);
    begin(&t, &faiss_flat_ops, "", THREADS);
    baseline_insert(&t, 0, ROWS);
    atomic_store(&products, 0);
    atomic_store(&widest, 0);
    ask(&t, 0, THREADS, ids[0]);
    expect_divided(QUERIES);
    ask(&t, 0, 1, ids[1]);
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    baseline_end(&t);
}

int main(void)
{
    return test_run_all("faiss_threads", test_inverted_file, test_flat);
}
#endif
