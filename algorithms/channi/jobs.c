/* jobs.c - not written yet. */
#include "algorithms/channi/channi.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"

enum job_kind channi_needs(const struct channi *a0, const struct cluster *a1)
{
    return JOB_KINDS;
}

int channi_jobs_open(struct channi *a0)
{
    return ERR_UNSUPPORTED;
}

int channi_jobs_start(struct channi *a0)
{
    return ERR_UNSUPPORTED;
}

void channi_jobs_close(struct channi *a0) {}

void channi_queue(struct channi *a0, uint32_t cid) {}

int channi_work(struct channi *a0, uint64_t budget, bool *more)
{
    return ERR_UNSUPPORTED;
}

int channi_after_commit(struct channi *a0)
{
    return ERR_UNSUPPORTED;
}

int channi_upkeep_error(const struct channi *a0)
{
    return ERR_UNSUPPORTED;
}

size_t channi_queued(const struct channi *a0)
{
    return 0;
}
