/* posting_store.h - postings by number, each an array of bytes: in memory, in a mapped file, in a
 * block file read with io_uring or preads, or in RocksDB.
 *
 * What the bytes mean is the owner's. An update splices: the posting keeps its first bytes and gets
 * others after them, which is an append where it keeps all and a rewrite where it keeps none. A
 * reader sees a posting as it was or as it is, never a mix, and needs no lock: in the files, bytes
 * are written once and not again before no reader and no snapshot refers to them. An append goes past
 * the end of the last page, which nobody refers to; all else to fresh pages (copy on write).
 * Each page's checksum lies with its address, apart from the page, so a flipped byte, a torn page
 * and a page of another posting are all found; a read of one is ERR_CORRUPT naming file, page and
 * posting.
 *
 *   1 opening   2 updates   3 reads   4 snapshots   5 reports   6 what a kind implements
 *
 * Threads: reads and updates may run beside one another; updates of one posting one at a time.
 */
#ifndef DRIFTLINE_POSTING_STORE_H
#define DRIFTLINE_POSTING_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/epoch.h"
#include "algorithms/common/store_file.h"
#include "src/core/index.h"

enum { POSTING_PAGE = 4096 };

/* 1. Opening */

enum posting_kind { POSTING_MEMORY, POSTING_MMAP, POSTING_FILE, POSTING_ROCKSDB };
enum posting_io { POSTING_IO_AUTO, POSTING_IO_URING, POSTING_IO_PREAD };

struct posting_options {
    enum posting_kind kind;
    enum posting_io
        io;      /* file: auto is io_uring where the kernel lets it, else preads; io_uring asked
                             for and refused is ERR_UNSUPPORTED */
    bool direct; /* file, rocksdb: reads past the page cache where the file system allows */
    bool verify; /* hold every page read to its checksum */
    size_t typical_bytes; /* of a posting; a hint */
    const struct store_fault
        *fault; /* tests: before each "open" "write" "fsync" ... of its files */
};

struct posting_store;

/* An empty store; its files go to env->dir (not used by memory), which must not hold another's: files of
   the same names are emptied. */
int posting_store_open(struct posting_store **, const struct index_env *, struct epoch *,
                       const struct posting_options *);
/* Leaves its files as they are: nothing is made durable. NULL is allowed. */
void posting_store_close(struct posting_store *);

/* 2. Updates. On failure (ERR_IO with "disk full" said, ERR_NO_MEMORY) the posting is as before; so it is
   where the page that an append would go to is damaged (ERR_CORRUPT). What an update replaces is used
   again after epoch_collect(), which the store leaves to its owner. Not from inside the epoch. */

/* The posting's bytes become its first `keep` bytes (at most what it has), then the n given. A posting
   not there before is empty. */
int posting_splice(struct posting_store *, uint32_t posting, size_t keep, const void *bytes,
                   size_t n);
/* Not there any more: reads find it empty. */
void posting_drop(struct posting_store *, uint32_t posting);
/* Many new postings at once, laid out one after another: the fast way to fill an empty store.
   Posting i is number postings[i], bytes from bytes + offsets[i] to offsets[i + 1]. */
int posting_fill(struct posting_store *, const uint32_t *postings, size_t n, const void *bytes,
                 const uint64_t *offsets);

/* For the updater of a posting: its length, and a copy of bytes [from, from + n) of it. */
size_t posting_length(const struct posting_store *, uint32_t posting);
int posting_fetch(struct posting_store *, uint32_t posting, size_t from, size_t n, void *out);

/* 3. Reads, by a thread inside the epoch */

/* One thread's buffers and queue. Reused from query to query. */
struct posting_reader;
int posting_reader_create(struct posting_reader **, struct posting_store *);
void posting_reader_destroy(struct posting_reader *);

struct posting_read_options {
    size_t bytes_at_most; /* of each posting; 0: all */
    uint64_t deadline_us; /* from now on; what has not come then is given up. 0: none */
};
/* Starts reading n postings; those read before are void. */
int posting_read(struct posting_reader *, const uint32_t *postings, size_t n,
                 const struct posting_read_options *);
/* The next posting, in the order asked, waiting for it. *bytes starts at a multiple of 64 and stays
   until the next posting_read() or the end of the epoch; NULL with *n = 0: the deadline has passed.
   An empty posting has *n = 0 and some pointer. */
int posting_next(struct posting_reader *, const unsigned char **bytes, size_t *n);

/* 4. Snapshots of stores with files: no update runs during freeze(). After freeze() come sync(),
   the snapshot's own rename, and durable(); if either fails, unfreeze(), or keep_both() where the
   rename may have been made all the same. */

/* Writes where every posting lies, as sections whose tags begin with "store." */
int posting_store_freeze(struct posting_store *, struct store_writer *);
int posting_store_sync(struct posting_store *); /* what is frozen is on the device */
void posting_store_durable(
    struct posting_store *); /* the frozen state is what a crash returns to */
void posting_store_unfreeze(struct posting_store *);
/* A crash may return to the frozen state or to the durable one: neither's pages are used again
   before a later one is durable. */
void posting_store_keep_both(struct posting_store *);
/* An opened, empty store over the files a snapshot refers to, as they were at freeze(). ERR_CORRUPT. */
int posting_store_resume(struct posting_store **, const struct index_env *, struct epoch *,
                         const struct posting_options *, const struct store_reader *);

/* 5. Reports */

struct posting_counts {
    uint64_t splices, drops, reads; /* postings */
    uint64_t pages_read,
        bytes_read; /* bytes: of pages, from the store; of RocksDB: of postings, and
                                        the pages these fill */
    uint64_t pages_written, bytes_written; /* to files; of RocksDB as it tells */
    uint64_t bytes_given;                  /* by splices: write amplification is the quotient */
    uint64_t late;                         /* postings given up at a deadline */
    uint64_t pages_used, pages_free, pages_parked, pages_total;
    bool direct, uring; /* what is in use */
};
void posting_store_counts(const struct posting_store *, struct posting_counts *);
uint64_t
posting_store_resident(const struct posting_store *);      /* bytes in memory, buffers included */
uint64_t posting_store_disk(const struct posting_store *); /* bytes of files */
/* Every page is of one posting, or free, or parked; lengths and addresses fit; contents verified. */
int posting_store_check(const struct posting_store *);

/* 6. What a kind implements. Each kind's state begins with struct posting_store. */

struct posting_ops {
    const char *name;
    int (*open)(struct posting_store **, const struct index_env *, struct epoch *,
                const struct posting_options *, const struct store_reader *resume);
    void (*close)(struct posting_store *);
    int (*splice)(struct posting_store *, uint32_t posting, size_t keep, const void *, size_t n);
    void (*drop)(struct posting_store *, uint32_t posting);
    int (*fill)(struct posting_store *, const uint32_t *, size_t n, const void *,
                const uint64_t *offsets); /* NULL: by splices */
    size_t (*length)(const struct posting_store *, uint32_t posting);
    int (*fetch)(struct posting_store *, uint32_t posting, size_t from, size_t n, void *out);
    int (*reader_create)(struct posting_reader **, struct posting_store *);
    void (*reader_destroy)(struct posting_reader *);
    int (*read)(struct posting_reader *, const uint32_t *, size_t n,
                const struct posting_read_options *);
    int (*next)(struct posting_reader *, const unsigned char **bytes, size_t *n);
    int (*freeze)(struct posting_store *, struct store_writer *); /* NULL: no snapshots */
    int (*sync)(struct posting_store *);
    void (*durable)(struct posting_store *);
    void (*unfreeze)(struct posting_store *);
    void (*keep_both)(struct posting_store *);
    void (*counts)(const struct posting_store *, struct posting_counts *);
    uint64_t (*resident)(const struct posting_store *);
    uint64_t (*disk)(const struct posting_store *);
    int (*check)(const struct posting_store *);
};

struct posting_store {
    const struct posting_ops *ops;
    struct index_env env;
    struct epoch *epoch;
    struct posting_options options;
};

struct posting_reader {
    struct posting_store *store;
};

extern const struct posting_ops posting_memory_ops, posting_file_ops; /* file: mmap too */
#ifdef HAVE_ROCKSDB
extern const struct posting_ops posting_rocksdb_ops;
#endif

#endif
