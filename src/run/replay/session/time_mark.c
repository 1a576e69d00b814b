/* time_mark.c - see time_mark.h. */
#include "src/run/replay/session/time_mark.h"

#include <time.h>

#include "src/base/clock.h"

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t;

    return clock_gettime(clock, &t) == 0 ? (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec
                                         : 0;
}

void time_mark_take(struct time_mark *m)
{
    *m = (struct time_mark){ clock_ns(), read_ns(CLOCK_PROCESS_CPUTIME_ID),
                             read_ns(CLOCK_THREAD_CPUTIME_ID) };
}

struct time_mark time_mark_since(const struct time_mark *from)
{
    struct time_mark now;

    time_mark_take(&now);
    return (struct time_mark){ now.wall_ns - from->wall_ns, now.process_ns - from->process_ns,
                               now.main_ns - from->main_ns };
}
