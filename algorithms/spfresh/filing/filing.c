/* filing.c - appends a vector to the postings of the heads chosen for it. */
#include "algorithms/spfresh/filing/filing.h"
#include "algorithms/spfresh/jobs/jobs.h"

int spfresh_file(struct spfresh *s, const struct spfresh_choice *c, uint32_t slot, unsigned version,
                 const void *row, size_t *done)
{
    uint32_t slots[1] = { slot };
    uint16_t versions[1] = { (uint16_t)version };
    const struct spfresh_members one = { slots, versions, (unsigned char *)(uintptr_t)row,
                                         1,     1,        spfresh_row_bytes(s),
                                         NULL };
    const uint64_t merges = atomic_load(&s->counters.merges);
    int rc = OK;

    *done = 0;
    for (size_t i = 0; rc == OK && i < c->n; i++) {
        const uint32_t head = c->heads[i];

        spfresh_lock_posting(s, head);
        const bool open = spfresh_is_open(s, head) &&
                          atomic_load(&spfresh_head(s, head)->generation) == c->generation[i];
        bool held = false;
        /* A merge may have moved a copy of this vector into this posting since. */
        if (open && *done > 0 && atomic_load(&s->counters.merges) != merges)
            rc = spfresh_holds(s, head, slot, version, &held);
        if (open && rc == OK && !held)
            rc = spfresh_append(s, head, &one);
        const size_t size = atomic_load(&spfresh_head(s, head)->size);
        spfresh_unlock_posting(s, head);
        *done += open && rc == OK;
        spfresh_count(&s->counters.head_misses, !open);
        if (open && rc == OK && size > s->limit)
            spfresh_queue(s, (struct spfresh_job){ .kind = SPFRESH_JOB_SPLIT, .what = head });
    }
    return rc;
}

static uint32_t first_open(const struct spfresh *s, const struct spfresh_choice *c)
{
    size_t i = 0;

    while (i + 1 < c->n && !spfresh_is_open(s, c->heads[i]))
        i++;
    return c->heads[i];
}

void spfresh_file_again(struct spfresh *s, const struct spfresh_choice *c, uint32_t slot,
                        unsigned version)
{
    spfresh_queue(s, (struct spfresh_job){ .kind = SPFRESH_JOB_REASSIGN,
                                           .what = slot,
                                           .version = version,
                                           .from = first_open(s, c) });
}
