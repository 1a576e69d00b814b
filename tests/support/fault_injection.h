/* fault_injection.h - system calls that fail and processes that die, at the call a test says. */
#ifndef DRIFTLINE_TESTS_SUPPORT_FAULT_INJECTION_H
#define DRIFTLINE_TESTS_SUPPORT_FAULT_INJECTION_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "algorithms/common/durable/store_file.h"

/* A method's threads may make calls while the test changes these. */
struct injected_faults {
    atomic_size_t *calls;  /* of the fault hook so far; a child that shares the memory counts too */
    pid_t parent;          /* is never killed */
    atomic_size_t kill_at; /* call of the hook at which a child kills itself; 0: none */
    atomic_size_t fail_at; /* ... that fails ... */
    atomic_bool fail_on;   /* ... and every later one too */
    atomic_int code;       /* errno it fails with */
    _Atomic(const char *) failed; /* the last call that failed, or "" */
    struct file_fault fault;
};

/* No fault happens yet; the struct must not move. */
void faults_begin(struct injected_faults *, atomic_size_t *calls);
/* Waits for a child that ends well or is killed, by itself or, if there is a delay, after that.
   true: it ended. */
bool faults_wait(const struct injected_faults *, pid_t child, useconds_t delay_us, uint64_t seed);

#endif
