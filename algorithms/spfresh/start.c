/* start.c - what runs beside an index: the claim on its folder, its journal, its upkeep. */
#include <unistd.h>

#include "algorithms/common/folder_claim.h"
#include "algorithms/spfresh/snapshot.h"

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

/* Postings and snapshots of another index would be written over. */
int spfresh_claim_empty(struct spfresh *s)
{
    const struct index_env *env = &s->base.env;
    uint64_t number = 0;
    const int rc = spfresh_has_files(s) ? snapshot_newest(env, env->dir, &number) : OK;

    if (rc != OK || number == 0)
        return rc;
    return fail(
        env->error, ERR_ARGUMENT,
        "%s: the folder %s holds an index already (snapshot.%llu); load it, or give the new "
        "one an empty folder",
        s->base.ops->name, env->dir, (unsigned long long)number);
}

int spfresh_open_journal(struct spfresh *s, uint64_t last_lsn)
{
    const enum journal_sync sync =
        s->params.journal == SPFRESH_SYNCED ? JOURNAL_SYNCED : JOURNAL_WRITTEN;

    if (!spfresh_has_files(s) || s->params.journal == SPFRESH_NO_JOURNAL)
        return OK;
    return journal_open(&s->journal, &s->base.env, sync, last_lsn, s->fault);
}

/* With a snapshot from the start, a folder that has a journal also tells the index's options. */
int spfresh_start(struct spfresh *s)
{
    int rc = spfresh_open_journal(s, 0);

    if (rc == OK && s->live)
        rc = spfresh_jobs_open(s);
    if (rc == OK)
        rc = spfresh_jobs_start(s);
    /* Last: a folder that has one is an index, and is not taken for another. */
    return rc == OK ? spfresh_checkpoint(s) : rc;
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
