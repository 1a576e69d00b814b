/* snapshot.h - how an index lies on disk, for those that write and read it: snapshot.c, recover.c,
 * save.c.
 *
 * A running index with a journal has in its folder
 *
 *     LOCK         claimed by who has the index open
 *     snapshot.N   sections: meta, slots, heads, graph, codec; where its postings lie ("store.*")
 *     journal.N    what was acknowledged since
 *     the store's files, and the row file of codes
 *
 * and the newest snapshot with the journal after it is the index. Postings' pages that a snapshot
 * refers to are not written again before the next one is durable. A row is written in place, but
 * only under a slot whose vector was deleted, which the journal tells: so recovery makes all
 * deletions first, and then reads no row that may have been overwritten.
 *
 * save() to another folder writes "spfresh.index": the same sections, and postings and rows
 * themselves. It is also what an index without a journal leaves in its own folder.
 */
#ifndef DRIFTLINE_SPFRESH_SNAPSHOT_H
#define DRIFTLINE_SPFRESH_SNAPSHOT_H

#include "algorithms/spfresh/spfresh.h"

enum { SNAPSHOT_VERSION = 1 };
#define SNAPSHOT_SAVED "spfresh.index"

struct snapshot_meta {
    struct spfresh_params params;
    uint64_t lsn; /* of the last journal record that is in it */
    uint64_t slots, live, heads;
    uint32_t built, repeats;
};

struct snapshot_head {
    uint32_t size, flags, refused;
    float error;
};

/* The number of dir's newest snapshot, 0: none. */
int snapshot_newest(const struct index_env *, const char *dir, uint64_t *number);
#define SNAPSHOT_NAME_BYTES 32
void snapshot_name(char name[SNAPSHOT_NAME_BYTES], uint64_t number);
struct store_identity snapshot_identity(const struct index_env *, bool live);

/* All but postings and rows. The gate is shut. */
int snapshot_write(struct spfresh *, struct store_writer *, uint64_t lsn);
/* An index of these sections, in env's folder, without store, journal and jobs. */
int snapshot_read(struct spfresh **, const struct index_env *, const struct spfresh_opening *,
                  const struct store_reader *, uint64_t *lsn);
/* Once it has its store and postings: whether the two fit. Postings of removed heads go. */
int snapshot_fits(struct spfresh *, const struct store_reader *);
/* Splits that were queued are queued again. */
void snapshot_queue(struct spfresh *);

#endif
