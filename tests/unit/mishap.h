/* mishap.h - system calls that fail and processes that die, at the call a test says. */
#ifndef DRIFTLINE_MISHAP_H
#define DRIFTLINE_MISHAP_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "algorithms/common/store_file.h"

struct mishap {
    atomic_size_t *calls;  /* of the fault hook so far; where a child shares the memory, its too */
    pid_t parent;          /* is never killed */
    atomic_size_t kill_at; /* call of the hook at which a child kills itself; 0: none */
    size_t fail_at;        /* ... that fails ... */
    bool fail_on;          /* ... and every later one too */
    int code;              /* errno it fails with */
    char failed[32];       /* the last call that failed */
    struct store_fault fault;
};

/* None happens yet; the mishap stays where it is. */
void mishap_begin(struct mishap *, atomic_size_t *calls);
/* Waits for a child that ends well or is killed, by itself or, if there is a delay, after that. true: it ended. */
bool mishap_wait(const struct mishap *, pid_t child, useconds_t delay_us, uint64_t seed);

#endif
