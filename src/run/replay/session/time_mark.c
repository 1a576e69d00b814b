/* time_mark.c - see time_mark.h. */
#include "src/run/replay/session/time_mark.h"

#include "src/base/clock.h"

void time_mark_take(struct time_mark *m)
{
    *m = (struct time_mark){ clock_ns(), clock_read_ns(CLOCK_PROCESS_CPUTIME_ID),
                             clock_read_ns(CLOCK_THREAD_CPUTIME_ID) };
}

struct time_mark time_mark_since(const struct time_mark *from)
{
    struct time_mark now;

    time_mark_take(&now);
    return (struct time_mark){ now.wall_ns - from->wall_ns, now.process_ns - from->process_ns,
                               now.main_ns - from->main_ns };
}
