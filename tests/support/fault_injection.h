/* fault_injection.h - system calls that fail, at the call a test says. */
#ifndef DRIFTLINE_TESTS_SUPPORT_FAULT_INJECTION_H
#define DRIFTLINE_TESTS_SUPPORT_FAULT_INJECTION_H

#include <stdatomic.h>
#include <stdbool.h>

#include "algorithms/common/durable/store_file.h"

/* A method's threads may make calls while the test changes these. */
struct injected_faults {
    atomic_size_t *calls;  /* of the fault hook so far; a child that shares the memory counts too */
    atomic_size_t fail_at; /* call of the hook that fails; 0: none */
    atomic_bool fail_on;   /* ... and every later one too */
    atomic_int code;       /* errno it fails with */
    _Atomic(const char *) failed; /* the last call that failed, or "" */
    struct file_fault fault;
};

/* No fault happens yet; the struct must not move. */
void faults_begin(struct injected_faults *, atomic_size_t *calls);

#endif
