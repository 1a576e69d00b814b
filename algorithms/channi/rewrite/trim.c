/* trim.c - returns memory freed by rewrites to the system. */
#include "algorithms/channi/channi.h"
#include "algorithms/channi/rewrite/replace.h"
#include "src/core/mem.h"

/* Blocks used to make files lie between the blocks of lasting clusters, so malloc() keeps them
   after they are freed: after a build and its splits more than all memory in use. Later jobs reuse
   them. So memory is returned only when a quarter of the memory in use was written. Meanwhile other
   threads wait for malloc(), half a millisecond with 60 MiB in use. */
enum { TRIM_LEAST = 4 << 20, TRIM_SHARE = 4 };

void channi_trim(struct channi *c)
{
    const uint64_t written = atomic_load(&c->counters.bytes_written);
    const uint64_t share = mem_live(c->base.env.mem) / TRIM_SHARE;
    uint64_t at = atomic_load(&c->trimmed_at);

    if (written - at >= (share > TRIM_LEAST ? share : TRIM_LEAST) &&
        atomic_compare_exchange_strong(&c->trimmed_at, &at, written))
        mem_trim();
}
