/* blas_threads.c - see blas_threads.h. The state belongs to the process, because OpenBLAS' does. */
#include "algorithms/common/concurrency/blas_threads.h"

#include <cblas.h>
#include <pthread.h>
#include <stddef.h>

static struct {
    pthread_mutex_t lock; /* protects the fields below */
    size_t sections;      /* that have begun and not ended */
    int before;           /* threads of OpenBLAS as the first of them began */
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

void blas_threads_one(void)
{
    pthread_mutex_lock(&state.lock);
    if (state.sections++ == 0) {
        state.before = openblas_get_num_threads();
        if (state.before > 1)
            openblas_set_num_threads(1);
    }
    pthread_mutex_unlock(&state.lock);
}

void blas_threads_back(void)
{
    pthread_mutex_lock(&state.lock);
    if (--state.sections == 0 && state.before > 1)
        openblas_set_num_threads(state.before);
    pthread_mutex_unlock(&state.lock);
}
