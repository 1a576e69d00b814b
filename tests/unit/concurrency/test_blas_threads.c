/* test_blas_threads.c - OpenBLAS has one thread while any section lasts, and its own number after
 * the last. */
#include <cblas.h>
#include <pthread.h>

#include "algorithms/common/concurrency/blas_threads.h"
#include "tests/support/testing.h"

enum { BEFORE = 2, THREADS = 4, SECTIONS = 200 };

static void test_one_in_another(void **state)
{
    const int found = openblas_get_num_threads();
    openblas_set_num_threads(BEFORE);
    const int before = openblas_get_num_threads(); /* fewer, where OpenBLAS has no more */
    blas_threads_one();
    assert_int_equal(openblas_get_num_threads(), 1);
    blas_threads_one();
    blas_threads_back();
    assert_int_equal(openblas_get_num_threads(), 1);
    blas_threads_back();
    assert_int_equal(openblas_get_num_threads(), before);
    openblas_set_num_threads(found);
}

static void *enter_often(void *arg)
{
    size_t *wrong = arg;
    for (size_t i = 0; i < SECTIONS; i++) {
        blas_threads_one();
        *wrong += openblas_get_num_threads() != 1;
        blas_threads_back();
    }
    return NULL;
}

static void test_several_threads(void **state)
{
    const int found = openblas_get_num_threads();
    pthread_t threads[THREADS];
    size_t wrong[THREADS] = { 0 };
    openblas_set_num_threads(BEFORE);
    const int before = openblas_get_num_threads();
    for (size_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, enter_often, &wrong[t]), 0);
    for (size_t t = 0; t < THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
        assert_int_equal(wrong[t], 0);
    }
    assert_int_equal(openblas_get_num_threads(), before);
    openblas_set_num_threads(found);
}

int main(void)
{
    return test_run_all("blas_threads", test_one_in_another, test_several_threads);
}
