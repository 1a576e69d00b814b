/* snapshot.h - the files of an index.
 *
 * A running index with a log has in its folder
 *
 *     LOCK              claimed by the process that has the index open
 *     asteria.snapshot  the index at one moment: models, buckets, residual codes, graph, tree, rows
 *     journal.N         rows inserted and removed since then
 *     rows              if tiered: the rows by slot (rows/file.c); then the snapshot has none
 *
 * The index is the snapshot, the rows that it refers to, and the log after it. Rows of slots that
 * the last durable snapshot refers to are never overwritten (pins.c). save() to another folder
 * writes "asteria.index": the same sections, with the rows. An index without a log saves the same
 * file in its own folder, where "rows" is temporary.
 *
 * Sections: "meta"; by slot "ids" "places" "waiting"; "free"; for each generation g, with tags that
 * end in g: the model's, "gen" "buckets" "vacant" "slots" "words" "alive" "blocks" "centres"
 * "codes"; those of graph and tree; "rows" of the slots kept (live ones, and dead ones that their
 * bucket or the graph still has), or "sums": crc32c of these rows.
 */
#ifndef DRIFTLINE_ASTERIA_DURABLE_SNAPSHOT_H
#define DRIFTLINE_ASTERIA_DURABLE_SNAPSHOT_H

#include "algorithms/asteria/asteria.h"
#include "algorithms/common/durable/store_file.h"

enum { SNAPSHOT_VERSION = 5 };
#define SNAPSHOT_RUNNING "asteria.snapshot"
#define SNAPSHOT_SAVED   "asteria.index"

struct asteria_snapshot_meta {
    struct asteria_params params;
    uint64_t lsn; /* of the last log record included */
    uint64_t n_slots, live, n_free, fitted_rows, inserted_since;
    uint32_t now, trained, generations; /* bit g: generation g exists */
    uint32_t has_graph, has_tree;
    uint32_t rows_apart; /* rows are in the file "rows" */
};

static inline struct store_identity asteria_snapshot_identity(const struct index_env *env)
{
    return store_identity_of(env, "asteria", SNAPSHOT_VERSION);
}

/* Writes everything but the rows while nothing changes; rows_apart: also the rows' checksums.
   Errors are kept by the writer. */
void asteria_snapshot_write(const struct asteria *, struct store_writer *, uint64_t lsn,
                            bool rows_apart);
/* Writes the rows of the pinned slots; changes may go on. ERR_IO, ERR_CORRUPT, ERR_NO_MEMORY: from
   reading them. */
int asteria_snapshot_write_rows(struct asteria *, struct store_writer *);
/* Reading, first step: what is needed to open the index, in the reader's memory. params: the table
   of options. ERR_CORRUPT. */
struct asteria_snapshot_parts {
    const struct asteria_snapshot_meta *meta;
    const uint64_t *ids, *tombstones;
    const struct asteria_place *places;
    const uint32_t *free;
};
int asteria_snapshot_find(struct asteria_snapshot_parts *, const struct store_reader *,
                          const struct param *params);
/* Second step: reads the rest into a newly opened index, between asteria_rows_load(true)
   and (false). recovers: the file is the snapshot of env.dir. On failure the index can only
   be destroyed. */
int asteria_snapshot_read(struct asteria *, const struct asteria_snapshot_parts *,
                          const struct store_reader *, bool recovers);

/* Whether n rows of a file could be rows of insert(); floats must be aligned to 4 bytes. */
bool asteria_rows_possible(const struct index_env *, const void *rows, size_t n);

/* snapshot_buckets.c. Reading: slots must have been read. ERR_VERSION: model and rows have
   different versions. */
void asteria_snapshot_write_generation(const struct asteria *, unsigned g, struct store_writer *);
int asteria_snapshot_read_generation(struct asteria *, unsigned g, const struct store_reader *);

static inline const char *asteria_snapshot_tag(char tag[STORE_TAG_BYTES], const char *name,
                                               unsigned g)
{
    size_t n = 0;

    for (; name[n]; n++)
        tag[n] = name[n];
    tag[n] = (char)('0' + g);
    tag[n + 1] = '\0';
    return tag;
}

#endif
