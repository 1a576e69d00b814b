/* log.h - what was done to one copy of a shard, with the rows, in files of its folder.
 *
 * It is what rows are read from when they move to another shard, what a copy is made from when its
 * process has died (to which end records are written, but not synced, before they are acknowledged),
 * and what another copy that has missed something is given. "log.N" is a write-ahead log whose first
 * part, the base, ends with a record BASE: the rows that were live when log N replaced log N - 1.
 */
#ifndef DRIFTLINE_SHARDED_LOG_H
#define DRIFTLINE_SHARDED_LOG_H

#include "algorithms/common/durable/wal.h"
#include "src/core/index.h"

enum log_op {
    LOG_TRAIN = 1, /* rows: the sample */
    LOG_INSERT,    /* ids, buckets, rows */
    LOG_REMOVE,    /* ids */
    LOG_RELABEL,   /* ids, buckets: rows that are in other buckets now */
    LOG_BASE,      /* nothing: the base is complete */
};

struct log_record {
    enum log_op op;
    /* The operation's number, counted by shard. A long operation has several records; `ends` is set
       in the last. */
    uint64_t sequence;
    bool ends;
    uint64_t lsn; /* of a record that was read */
    size_t n;
    const uint64_t *ids;
    const uint32_t *buckets;
    const void *rows;
};

struct row_log {
    struct index_env env; /* dir: path */
    char *path;           /* of log.N; owned */
    const char *folder;   /* borrowed */
    uint64_t number;
    uint64_t base; /* the last operation that the base includes */
    struct wal *wal;
};

/* Rows in a record at most. */
enum { LOG_ROWS = 4096 };
/* The part of a record with the next rows from `first` on, at most LOG_ROWS; the last part ends if `r` does. */
struct log_record log_part(const struct log_record *r, size_t first, size_t row_bytes);

/* Makes the log of this number in the folder, whose name stays valid. It is complete, and can be opened
   again, from log_end_base() on. A zeroed log is closed. */
int log_create(struct row_log *, const struct index_env *, const char *folder, uint64_t number);
int log_end_base(struct row_log *, uint64_t sequence);
/* Opens the newest complete log in the folder, and removes those before it. ERR_NOT_FOUND: there is
   none. */
int log_open(struct row_log *, const struct index_env *, const char *folder);
void log_close(struct row_log *);

/* Writes a record, divided into several if it has many rows. All of them, or none. */
int log_write(struct row_log *, const struct log_record *);
/* Calls visit() for each record with lsn > after, the base's included, until it returns a code other
   than OK, which is then returned. A record's arrays are valid during the call. */
int log_read(const struct row_log *, uint64_t after,
             int (*visit)(void *to, const struct log_record *), void *to);

/* Puts `next`, whose base ends here, in the place of the log, which is removed. On failure both stay. */
int log_replace(struct row_log *, const struct row_log *next, uint64_t sequence);
/* Removes the files of a log, and closes it. */
void log_discard(struct row_log *);
uint64_t log_bytes(const struct row_log *);

/* A record as bytes of a message, and back; the payload of a record in the file is the same. */
struct wire;
struct wire_reader;
void log_put(struct wire *, const struct log_record *, size_t row_bytes);
/* false: damaged. */
bool log_take(struct wire_reader *, struct log_record *, size_t row_bytes);

/* Removes a folder of files and folders of files. */
void log_remove_folder(const char *path);

#endif
