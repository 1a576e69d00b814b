/* start.c - what runs beside an index: the claim on its folder, its journal, its upkeep. */
#include <unistd.h>

#include "algorithms/spfresh/spfresh.h"

bool spfresh_has_files(const struct spfresh *s)
{
    return s->params.store != POSTING_MEMORY;
}

int spfresh_claim(struct spfresh *s)
{
    if (!spfresh_has_files(s) || s->claim >= 0)
        return OK;
    return folder_claim(s->base.env.dir, &s->claim, s->base.env.error);
}

int spfresh_start(struct spfresh *s, uint64_t last_lsn)
{
    const bool logs = spfresh_has_files(s) && s->params.journal != SPFRESH_NO_JOURNAL;
    const enum journal_sync sync =
        s->params.journal == SPFRESH_SYNCED ? JOURNAL_SYNCED : JOURNAL_WRITTEN;
    int rc = OK;

    if (logs)
        rc = journal_open(&s->journal, &s->base.env, sync, last_lsn, s->fault);
    if (rc == OK && s->live)
        rc = spfresh_jobs_open(s);
    return rc;
}

void spfresh_stop(struct spfresh *s)
{
    spfresh_jobs_close(s);
    journal_close(s->journal);
    s->journal = NULL;
}

void spfresh_release(struct spfresh *s)
{
    if (s->claim >= 0)
        (void)close(s->claim);
    s->claim = -1;
}
