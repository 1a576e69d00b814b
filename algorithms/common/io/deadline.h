/* deadline.h - a deadline relative to now, kept by a kernel timer, because methods may not read a
 * clock.
 *
 * Threads: a deadline belongs to one thread. */
#ifndef DRIFTLINE_COMMON_IO_DEADLINE_H
#define DRIFTLINE_COMMON_IO_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct deadline {
    int timer;        /* timerfd, -1: none yet */
    bool set, passed; /* passed: as of the last check */
};

void deadline_init(struct deadline *);
void deadline_close(struct deadline *);
/* Sets the deadline to `us` microseconds from now, 0: none. false: no timer; errno is set. */
bool deadline_set(struct deadline *, uint64_t us);
/* Checks the deadline; once passed it stays so. */
bool deadline_passed(struct deadline *);
/* Waits until fd is readable or the deadline, which must be set, has passed. */
void deadline_wait(struct deadline *, int fd);

#endif
