/* time_mark.h - processor time and wall time at one moment, for differences. Untimed work is
   counted in processor time, since wall time on a busy machine also includes waiting. */
#ifndef DRIFTLINE_RUN_REPLAY_TIME_MARK_H
#define DRIFTLINE_RUN_REPLAY_TIME_MARK_H

#include <stdint.h>

struct time_mark {
    uint64_t wall_ns;
    uint64_t process_ns; /* of all threads */
    uint64_t main_ns;    /* of this thread */
};

void time_mark_take(struct time_mark *);
/* The difference between now and `from`. */
struct time_mark time_mark_since(const struct time_mark *from);

#endif
