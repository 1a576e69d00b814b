/* threads.c - see threads.h. */
#define _GNU_SOURCE
#include "src/run/measure/threads.h"

#include <cblas.h>
#include <dlfcn.h>
#include <sched.h>
#include <sys/resource.h>

#include "src/base/clock.h"
#include "src/run/measure/memory.h"

/* What threads_set() has set. */
static struct {
    cpu_set_t processors;
    int nice, policy;
} as_set;

/* Uses the processors with the highest numbers: interrupts tend to go to the lowest. */
static json_t *pin(size_t threads)
{
    cpu_set_t may, use;
    json_t *cpus = json_array();
    size_t left = threads;

    CPU_ZERO(&use);
    if (sched_getaffinity(0, sizeof may, &may) != 0)
        return cpus;
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0 && left > 0;)
        if (CPU_ISSET(cpu, &may)) {
            CPU_SET(cpu, &use);
            (void)json_array_append_new(cpus, json_integer((json_int_t)cpu));
            left--;
        }
    if (sched_setaffinity(0, sizeof use, &use) != 0)
        (void)json_array_clear(cpus);
    return cpus;
}

const char *threads_changed(void)
{
    cpu_set_t now;

    CPU_ZERO(&now);
    if (getpriority(PRIO_PROCESS, 0) != as_set.nice)
        return "priority";
    if (sched_getscheduler(0) != as_set.policy)
        return "scheduling policy";
    return sched_getaffinity(0, sizeof now, &now) == 0 && !CPU_EQUAL(&now, &as_set.processors)
               ? "processors"
               : NULL;
}

json_t *threads_set(size_t threads)
{
    json_t *cpus = pin(threads);
    void (*omp_set)(int) = NULL;
    int (*omp_get)(void) = NULL;
    struct resident now;

    /* The program itself is not linked with OpenMP, but a baseline's library may be. */
    *(void **)&omp_set = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    *(void **)&omp_get = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    CPU_ZERO(&as_set.processors);
    (void)sched_getaffinity(0, sizeof as_set.processors, &as_set.processors);
    as_set.nice = getpriority(PRIO_PROCESS, 0);
    as_set.policy = sched_getscheduler(0);
    openblas_set_num_threads((int)threads);
    if (omp_set)
        omp_set((int)threads);
    (void)memory_resident_read(0, &now); /* the threads of libraries are there now */
    return json_pack("{s:I, s:o, s:i, s:o, s:I, s:I}", "threads", (json_int_t)threads, "cpus", cpus,
                     "blas_threads", openblas_get_num_threads(), "omp_threads",
                     omp_get ? json_integer(omp_get()) : json_null(), "clock_ns",
                     (json_int_t)clock_cost_ns(), "threads_before", (json_int_t)now.threads);
}
