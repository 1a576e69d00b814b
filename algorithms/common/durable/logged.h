/* logged.h - an index whose changes survive a crash: for every method that saves one file.
 *
 * With wal = written or synced, an index has in its folder, env.dir,
 *
 *     LOCK           locked while the index is open
 *     NAME.snapshot  the index at one moment: the sections of NAME.index, the file of save()
 *     journal.N      the rows inserted and removed since then, as they were given
 *
 * Recovery loads the snapshot, and makes the changes after it again by the method's own calls. A
 * snapshot is due when the log is as large as the last one, or as checkpoint_mb if that is more, and
 * after each training. Changes come one at a time, and wait while a snapshot is written.
 *
 * An insertion is made, then logged, then acknowledged; rows that the log does not take are removed
 * again. A removal cannot be undone, so it is logged first. If a change is made and not logged, or
 * logged and not made, as where memory ran out, a snapshot follows, and the next change waits for it.
 *
 * The method has in its struct, its table of options, and its table of operations:
 *
 *     struct flat {
 *         union { struct index base; struct logged_index logged; };
 *         struct flat_params params; ...             as in use; they are in the file
 *     };
 *     struct flat_params { ... int64_t wal, checkpoint_mb; };     those of the log come last
 *     LOGGED_OPTIONS(struct flat_params)
 *     LOGGED_CALLS(&logged)                          `logged` is its struct logged_method
 *     LOGGED_OPERATIONS, .train = logged_train, ... */
#ifndef DRIFTLINE_COMMON_DURABLE_LOGGED_H
#define DRIFTLINE_COMMON_DURABLE_LOGGED_H

#include "algorithms/common/durable/store_file.h"
#include "src/core/index.h"

enum logged_wal { LOGGED_NONE, LOGGED_WRITTEN, LOGGED_SYNCED };

// clang-format off
#define LOGGED_WAL_HELP                                                                           \
    "what an acknowledged update survives. none: nothing; written: the death of the process; "   \
    "synced: a power failure, by an fsync per batch"
#define LOGGED_OPTIONS(type)                                                                      \
    PARAM_CHOICE(type, wal, LOGGED_NONE, "none|written|synced", LOGGED_WAL_HELP),                 \
    LOGGED_CHECKPOINT(type)
#define LOGGED_CHECKPOINT(type)                                                                   \
    PARAM_INT(type, checkpoint_mb, 64, 1, 1 << 20,                                                \
              "megabytes of log after which a checkpoint is due, or the size of the last "        \
              "snapshot if that is more")
// clang-format on

/* Defines create() and load() for the method's table, and sets the operations there that go through
   the log. */
#define LOGGED_CALLS(method)                                                                 \
    static int create(struct index **index, const struct index_env *env, const void *params) \
    {                                                                                        \
        return logged_create(index, method, env, params);                                    \
    }                                                                                        \
                                                                                             \
    static int load(struct index **index, const struct index_env *env, const char *dir)      \
    {                                                                                        \
        return logged_load(index, method, env, dir);                                         \
    }
#define LOGGED_OPERATIONS                                                                          \
    .create = create, .destroy = logged_destroy, .insert = logged_insert, .remove = logged_remove, \
    .save = logged_save, .load = load

/* What a method gives. The calls are those of index.h, and know of no log. */
struct logged_method {
    const struct index_ops *ops;
    uint32_t version; /* of its file */
    size_t params;    /* where in its struct the options in use are */
    int (*create)(struct index **, const struct index_ops *, const struct index_env *,
                  const void *params);
    void (*destroy)(struct index *);
    int (*insert)(struct index *, struct vectors, const uint64_t *ids, size_t *done);
    int (*remove)(struct index *, const uint64_t *ids, size_t n, size_t *done);
    int (*train)(struct index *, struct vectors sample); /* NULL: it has none */
    bool (*has)(const struct index *, uint64_t id);      /* whether the id is stored */
    /* Writes and reads the sections but "log" and "params". The writer keeps its errors. Read: into an
       index that was created with the options of the file, and is destroyed on failure. Its
       ERR_INVARIANT, as of check(), is one of the file: ERR_CORRUPT. */
    int (*write)(struct index *, struct store_writer *);
    int (*read)(struct index *, struct store_reader *);
};

/* Operations of records; part of the format. The records of a change are one commit. */
enum { LOGGED_INSERT = 1, LOGGED_REMOVE };

struct logged_log; /* private */

struct logged_index {
    struct index base;
    const struct logged_method *method;
    struct logged_log *log; /* NULL: wal = none */
};

/* As index.h says of these operations. create and load also give ERR_ARGUMENT: env has no folder, or
   the folder has an index already; ERR_IO: another index has it open. */
int logged_create(struct index **, const struct logged_method *, const struct index_env *,
                  const void *params);
int logged_load(struct index **, const struct logged_method *, const struct index_env *,
                const char *dir);
void logged_destroy(struct index *);
int logged_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int logged_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int logged_train(struct index *, struct vectors sample);
int logged_save(struct index *, const char *dir); /* into its own folder: a checkpoint */
/* Bytes of the log and its snapshot, for memory(). */
uint64_t logged_bytes(const struct index *);

#endif
