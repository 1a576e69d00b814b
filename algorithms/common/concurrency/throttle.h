/* throttle.h - limits what background work takes from the machine: bytes read and written per
 * second, all threads together, and the share of a processor that each thread uses.
 *
 * A thread works under a throttle between throttle_begin() and throttle_end(). Its work calls
 * throttle_charge() where it reads or writes files, and throttle_wait() between steps. Both do
 * nothing in other threads, so code that runs in the foreground as well needs no test.
 *
 *   bytes      the bucket holds one charge: a wait lasts until all bytes charged so far, divided by
 *              the rate, are paid for. So no interval has more bytes than rate x length + one
 *              charge per thread.
 *   processor  after t of processor time a thread pauses for t (1 - share) / share. A step shorter
 *              than THROTTLE_STEP_US does not pause; its time is added to the next one's.
 *
 * Both are kept by kernel timers, because methods may not read a clock. Without a timer (the
 * process has too many) that limit does not hold.
 *
 * Threads: all calls may run concurrently except init and free. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_THROTTLE_H
#define DRIFTLINE_COMMON_CONCURRENCY_THROTTLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { THROTTLE_STEP_US = 200 };

struct throttle {
    _Atomic uint64_t bytes_per_second; /* 0: no limit */
    _Atomic double cpu_share;          /* of one processor, per thread; <= 0 or >= 1: no limit */
    atomic_uint sets;                  /* calls of throttle_set() */
    int timer;            /* timerfd: expires when all charged bytes are paid for; -1: none */
    pthread_mutex_t lock; /* protects the timer */
    atomic_uint lifts;    /* calls of throttle_lift() not yet undone */
};

void throttle_init(struct throttle *); /* without limits */
void throttle_free(struct throttle *); /* no thread works under it */
/* Changes the limits. Waits under the earlier ones end, and nothing is owed. A first limit of the
   processor holds from a thread's next throttle_begin(). */
void throttle_set(struct throttle *, uint64_t bytes_per_second, double cpu_share);

/* Begins and ends the calling thread's work under the throttle. One at a time per thread. end: does
   not wait; the thread should have waited. */
void throttle_begin(struct throttle *);
void throttle_end(void);

/* Charges bytes read or written. Never waits, so it may be called with locks held. */
void throttle_charge(size_t bytes);
/* Waits until the thread is within its limits. The caller holds no lock that others wait for. */
void throttle_wait(void);

/* Suspends the limits, also for threads that are waiting, until as many throttle_drop(): somebody
   waits for the work. Work done meanwhile is not paid for later. */
void throttle_lift(struct throttle *);
void throttle_drop(struct throttle *);

#endif
