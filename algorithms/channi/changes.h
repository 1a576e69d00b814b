/* changes.h - what a commit does: its puts and deletions, gathered in an open transaction, applied as one,
 * and written to the journal.
 */
#ifndef DRIFTLINE_CHANNI_CHANGES_H
#define DRIFTLINE_CHANNI_CHANGES_H

#include "algorithms/channi/channi.h"
#include "algorithms/common/journal.h"

enum change_op { CHANGE_PUT = 1, CHANGE_DEL = 2, CHANGE_COMMIT = 3 }; /* also the journal's */

/* What one commit does, in order: puts are n rows with ids (and attributes or NULL), dels ids. An id may be put,
   deleted and put again in one commit. */
struct change {
    enum change_op op;
    size_t n;
    const uint64_t *ids;
    const unsigned char *rows;
    const uint32_t *attributes;
};
/* All of it at the next version, or nothing: routes rows (over the pool), appends to deltas, marks the dead,
   journals, publishes; queues upkeep and does what is due at commit. ids as the contract says. *version may
   be NULL. */
int channi_apply(struct channi *, const struct change *, size_t n, uint64_t *version);

/* Changes gathered to be applied together, copied (changes.c): what an open transaction holds, and what replay
   has read up to a CHANGE_COMMIT. */
struct changes {
    struct change *list;
    size_t n, capacity;
    size_t bytes; /* of what was copied */
    struct mem *mem;
};
void changes_init(struct changes *, struct mem *);
void changes_free(struct changes *); /* empty again */
/* From any alignment; attributes NULL: none. ERR_NO_MEMORY: as before. */
int changes_put(struct changes *, struct error *, const void *rows, size_t row_bytes,
                const void *ids, const void *attributes, size_t n);
int changes_del(struct changes *, struct error *, const void *ids, size_t n);

/* What came since begin() and waits for commit(). Made and freed by txn.c; insert.c and remove.c add to it. */
struct channi_txn {
    struct changes changes;
};

/* The journal's records, whose op is the change's, all numbers little-endian:
     PUT     u32 n, u32 has_attributes, u64 ids[n], u32 attributes[n] if so, rows
     DEL     u64 ids[n]
     COMMIT  u64 version
   One commit is a run of PUT and DEL, of at most 1 MB each, and a COMMIT. Appends and commits that to the journal: a
   commit's last step that can fail. */
int channi_log_commit(struct channi *, const struct change *, size_t n, uint64_t version);
/* Adds a PUT or DEL record to `to`, or sets *version for a COMMIT (else 0). ERR_CORRUPT naming the record. */
int channi_log_read(const struct channi *, const struct journal_record *, struct changes *to,
                    uint64_t *version);

#endif
