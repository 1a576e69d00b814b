/* posting_store.h - postings by number, each an array of bytes: in memory, in a mapped file, in a
 * block file read with io_uring or preads, or in RocksDB.
 *
 * The store does not interpret the bytes. An update is a splice: the posting keeps its first bytes
 * and gets others after them. It is an append if all bytes are kept and a rewrite if none are. A
 * reader sees a posting as it was or as it is, never a mix, and takes no lock: in the files, bytes
 * are written once and not overwritten while a reader or a snapshot refers to them. An append goes
 * past the end of the last page, which nothing refers to; any other update goes to fresh pages
 * (copy on write). Each page's checksum is stored with its address, not in the page, so a flipped
 * byte, a torn page and a page of another posting are all detected; reading one is ERR_CORRUPT,
 * with a message that names file, page and posting.
 *
 *   1 opening   2 updates   3 reads   4 snapshots   5 reports   6 the functions of a kind
 *
 * Threads: reads and updates may run concurrently; updates of the same posting may not. */
#ifndef DRIFTLINE_COMMON_POSTINGS_POSTING_STORE_H
#define DRIFTLINE_COMMON_POSTINGS_POSTING_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/durable/durable.h"
#include "algorithms/common/io/deadline.h"
#include "src/core/index.h"

enum { POSTING_PAGE = 4096 };

/* 1. Opening */

enum posting_kind { POSTING_MEMORY, POSTING_MMAP, POSTING_FILE, POSTING_ROCKSDB };
enum posting_io { POSTING_IO_AUTO, POSTING_IO_URING, POSTING_IO_PREAD };

struct posting_options {
    enum posting_kind kind;
    /* file: auto is io_uring where the kernel allows it, else preads: one after the other through
       the page cache, by threads if direct. An explicit io_uring is ERR_UNSUPPORTED where it is not
       allowed */
    enum posting_io io;
    bool direct; /* file, rocksdb: reads bypass the page cache where the file system allows it */
    const struct file_fault *fault; /* tests: called before each "open", "write", "fsync" ... of
                                       its files */
};

struct posting_store;

/* Opens an empty store, of a kind that this build has, or one on the files that the snapshot refers
   to, as they were at freeze(); snapshot: NULL for an empty one. Its files are in env->dir (memory
   has none), which must not hold those of another store: files of the same names are emptied.
   ERR_IO, ERR_NO_MEMORY, ERR_UNSUPPORTED, ERR_CORRUPT. */
int posting_store_open(struct posting_store **, const struct index_env *, struct epoch *,
                       const struct posting_options *, const struct store_reader *snapshot);
/* Leaves the files as they are and makes nothing durable. NULL is allowed. */
void posting_store_close(struct posting_store *);

/* 2. Updates. On failure (ERR_IO, also for a full disk; ERR_NO_MEMORY; ERR_CORRUPT if the page that
   an append would extend is damaged) the posting is unchanged. Replaced pages and blocks are reused
   after epoch_collect(), which the owner calls. Callers must be outside the epoch. */

/* Keeps the posting's first `keep` bytes (at most its length) and appends the n given. A posting
   that does not exist counts as empty. */
int posting_splice(struct posting_store *, uint32_t posting, size_t keep, const void *bytes,
                   size_t n);
/* Removes the posting: reads find it empty. */
void posting_drop(struct posting_store *, uint32_t posting);

/* For the thread that updates a posting: its length, and a copy of bytes [from, from + n). */
size_t posting_length(const struct posting_store *, uint32_t posting);
int posting_fetch(struct posting_store *, uint32_t posting, size_t from, size_t n, void *out);

/* 3. Reads, by a thread inside the epoch */

/* Buffers and queue of one thread, reused from query to query. */
struct posting_reader;
int posting_reader_create(struct posting_reader **, struct posting_store *);
void posting_reader_destroy(struct posting_reader *);

struct posting_read_options {
    size_t bytes_at_most; /* of each posting; 0: all */
    uint64_t deadline_us; /* from now on; postings that are not read by then are given up.
                             0: none */
};
/* Starts reading n postings; pointers from earlier reads become invalid. */
int posting_read(struct posting_reader *, const uint32_t *postings, size_t n,
                 const struct posting_read_options *);
/* Waits for the next posting, in the order requested. *bytes is at a multiple of 64 and valid until
   the next posting_read() or the end of the epoch; NULL with *n = 0: the deadline has passed. An
   empty posting has *n = 0 and a pointer that is not NULL. */
int posting_next(struct posting_reader *, const unsigned char **bytes, size_t *n);

/* 4. Snapshots of stores with files. No update may run during freeze(). After freeze() come sync(),
   the rename that publishes the snapshot, and ended(). */

/* Writes the location of every posting, as sections whose tags begin with "store." */
int posting_store_freeze(struct posting_store *, struct store_writer *);
int posting_store_sync(struct posting_store *); /* writes frozen data to the device */
/* A crash now returns to the frozen state, or to the durable one before if the outcome is nothing.
   In doubt it may return to either: pages of both are kept until a later snapshot is durable. */
void posting_store_ended(struct posting_store *, enum durable_outcome);

/* 5. Reports */

struct posting_counts {
    uint64_t pages_read;                   /* from the store; RocksDB: that postings read fill */
    uint64_t pages_written, bytes_written; /* to files; RocksDB: as it reports */
    uint64_t bytes_given;                  /* by splices; bytes_written / bytes_given is the
                                              write amplification */
    uint64_t late;                         /* postings given up at a deadline */
    uint64_t pages_used, pages_free, pages_pinned, pages_total;
    bool direct, uring, threads; /* in use for reads; neither ring nor threads: one after the
                                    other */
};
void posting_store_counts(const struct posting_store *, struct posting_counts *);
/* Bytes in memory, buffers included. */
uint64_t posting_store_resident(const struct posting_store *);
uint64_t posting_store_disk(const struct posting_store *); /* bytes of files */
/* Checks that every page belongs to one posting, or is free, or is pinned; that lengths and
   addresses fit; and all checksums. ERR_INVARIANT, ERR_CORRUPT, ERR_IO. */
int posting_store_check(const struct posting_store *);

/* 6. The functions of a kind. Its store begins with struct posting_store, its reader with struct
   posting_reader. Arguments are checked, both structs filled and freed by posting_store.c. */

struct posting_ops {
    const char *name;
    size_t store_bytes, reader_bytes; /* of the kind's structs, which come as zeros */
    int (*open)(struct posting_store *, const struct store_reader *resume); /* on failure: closed */
    void (*close)(struct posting_store *);
    int (*splice)(struct posting_store *, uint32_t posting, size_t keep, const void *, size_t n);
    void (*drop)(struct posting_store *, uint32_t posting);
    size_t (*length)(const struct posting_store *, uint32_t posting);
    int (*fetch)(struct posting_store *, uint32_t posting, size_t from, size_t n, void *out);
    int (*reader_open)(struct posting_reader *); /* NULL: nothing to do */
    void (*reader_close)(struct posting_reader *);
    int (*read)(struct posting_reader *, const uint32_t *, size_t n);
    /* The i-th of those. An empty one leaves *bytes and *n as they are; *bytes NULL: the deadline
       has passed. */
    int (*next)(struct posting_reader *, size_t i, const unsigned char **bytes, size_t *n);
    /* NULL, also the next two: no snapshots. */
    int (*freeze)(struct posting_store *, struct store_writer *);
    int (*sync)(struct posting_store *);
    void (*ended)(struct posting_store *, enum durable_outcome);
    /* Adds what only this kind counts; NULL: nothing. */
    void (*counts)(const struct posting_store *, struct posting_counts *);
    uint64_t (*resident)(const struct posting_store *);
    uint64_t (*disk)(const struct posting_store *); /* NULL: none */
    int (*check)(const struct posting_store *);
};

struct posting_store {
    const struct posting_ops *ops;
    struct index_env env;
    struct epoch *epoch;
    struct posting_options options;
    /* What all kinds count, for posting_store_counts(). */
    _Atomic(uint64_t) pages_read, bytes_given, late;
};

struct posting_reader {
    struct posting_store *store;
    size_t n, at;   /* postings requested, and returned so far */
    size_t at_most; /* bytes of each posting; SIZE_MAX: all */
    struct deadline deadline;
};

#define COUNT_ADD(counter, by) atomic_fetch_add_explicit(&(counter), (by), memory_order_relaxed)
#define COUNT_GET(counter)     atomic_load_explicit(&(counter), memory_order_relaxed)

extern const struct posting_ops posting_memory_ops, posting_file_ops; /* file: mmap too */
#ifdef HAVE_ROCKSDB
extern const struct posting_ops posting_rocksdb_ops;
#endif

#endif
