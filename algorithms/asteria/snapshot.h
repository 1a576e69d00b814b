/* snapshot.h - how an index lies on disk, for those that write and read it: snapshot*.c, save.c,
 * log.c, recover.c.
 *
 * A running index with a log has in its folder
 *
 *     LOCK              claimed by who has the index open
 *     asteria.snapshot  the index at a moment: models, buckets, short codes, graph, tree, rows
 *     journal.N         rows that were inserted and removed since
 *     rows              if rows are tiered: the rows, by slot (tier_file.c); then the snapshot has none
 *
 * and the snapshot, with the rows that it refers to and the journal after it, is the index. Rows of
 * slots that the last durable snapshot refers to are never written over (pins.c). save() to another
 * folder writes "asteria.index": the same sections, with the rows. It is also what an index without
 * a log leaves in its own folder, where "rows" is scratch.
 *
 * Sections: "meta"; by slot "ids" "places" "waiting"; "free"; of each generation g, with tags that
 * end in g: the model's, "gen" "buckets" "vacant" "slots" "words" "alive" "blocks" "centres"
 * "codes"; the graph's and the tree's own; "rows" of the slots that are kept, live ones and dead
 * ones that their bucket or the graph still knows, or "sums": crc32c of these rows.
 */
#ifndef DRIFTLINE_ASTERIA_SNAPSHOT_H
#define DRIFTLINE_ASTERIA_SNAPSHOT_H

#include "algorithms/asteria/asteria.h"
#include "algorithms/common/store_file.h"

enum { SNAPSHOT_VERSION = 3 };
#define SNAPSHOT_RUNNING "asteria.snapshot"
#define SNAPSHOT_SAVED   "asteria.index"

struct snapshot_meta {
    struct asteria_params params;
    uint64_t lsn; /* of the last journal record that is in it */
    uint64_t n_slots, live, n_free, fitted_rows, inserted_since;
    uint32_t now, trained, generations; /* bit g: generation g is there */
    uint32_t has_graph, has_tree;
    uint32_t rows_apart; /* in the file "rows" */
};

static inline struct store_identity snapshot_identity(const struct index_env *env)
{
    return store_identity_of(env, "asteria", SNAPSHOT_VERSION);
}

/* Everything but the rows, while nothing changes; rows_apart: their checksums, too. Errors stick to
   the writer. */
void asteria_snapshot_write(const struct asteria *, struct store_writer *, uint64_t lsn,
                            bool rows_apart);
/* The rows, of the slots that the snapshot has pinned: beside changes. ERR_IO, ERR_CORRUPT,
   ERR_NO_MEMORY: of reading them. */
int asteria_snapshot_write_rows(struct asteria *, struct store_writer *);
/* An index of these sections, without a log under way; tier_load() is begun. */
int asteria_snapshot_read(struct asteria **, const struct index_env *,
                          const struct asteria_opening *, const struct store_reader *,
                          uint64_t *lsn);

/* Whether n rows, 4-byte aligned where they are floats, are such as insert() is given: for those that a file has. */
bool asteria_rows_possible(const struct index_env *, const void *rows, size_t n);

/* snapshot_buckets.c. Reading: slots are there; ERR_VERSION: model and rows are of different versions. */
void asteria_snapshot_write_generation(const struct asteria *, unsigned g, struct store_writer *);
int asteria_snapshot_read_generation(struct asteria *, unsigned g, const struct store_reader *);

/* Whether the slot's row and codes are in the snapshot. */
static inline bool asteria_keeps(const struct asteria *a, uint32_t slot)
{
    const size_t bit = 2 * (size_t)slot;

    return a->ids[slot] != ID_NONE || (a->waiting[bit / 64] >> bit % 64 & 3) != 0;
}

static inline const char *snapshot_tag(char tag[STORE_TAG_BYTES], const char *name, unsigned g)
{
    size_t n = 0;

    for (; name[n]; n++)
        tag[n] = name[n];
    tag[n] = (char)('0' + g);
    tag[n + 1] = '\0';
    return tag;
}

/* recover.c: the index of env.dir's own folder, or of one that was saved. */
int asteria_load_from(struct asteria **, const struct index_env *, const char *dir,
                      const struct asteria_opening *);
/* save.c: of a saved file. ERR_NOT_FOUND. */
int asteria_load_saved(struct asteria **, const struct index_env *, const char *dir,
                       const struct asteria_opening *);

/* log.c, for recovery: records, the journal after them. */
enum asteria_op { LOG_INSERT = 1, LOG_REMOVE = 2, LOG_TRAIN = 3 };
int asteria_log_open(struct asteria *, uint64_t last_lsn, uint64_t snapshot_lsn);
bool asteria_log_keeps(const struct asteria *); /* whether what it acknowledges outlives it */
bool asteria_log_is_own(const struct asteria *, const char *dir);

#endif
