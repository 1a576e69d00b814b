/* deadline.c - see deadline.h. */
#include "algorithms/common/io/deadline.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

void deadline_init(struct deadline *d)
{
    *d = (struct deadline){ .timer = -1 };
}

void deadline_close(struct deadline *d)
{
    if (d->timer >= 0)
        (void)close(d->timer);
    deadline_init(d);
}

bool deadline_set(struct deadline *d, uint64_t us)
{
    const struct itimerspec at = { .it_value = { .tv_sec = (time_t)(us / 1000000),
                                                 .tv_nsec = (long)(us % 1000000) * 1000 } };

    d->passed = false;
    if (us == 0 && !d->set)
        return true;
    d->set = us > 0;
    if (d->timer < 0)
        d->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return d->timer >= 0 && timerfd_settime(d->timer, 0, &at, NULL) == 0;
}

bool deadline_passed(struct deadline *d)
{
    uint64_t times;

    if (d->set && !d->passed)
        d->passed = read(d->timer, &times, sizeof times) == sizeof times;
    return d->passed;
}

void deadline_wait(struct deadline *d, int fd)
{
    struct pollfd fds[2] = { { .fd = fd, .events = POLLIN }, { .fd = d->timer, .events = POLLIN } };

    (void)poll(fds, 2, -1);
    if (fds[1].revents)
        (void)deadline_passed(d);
}
