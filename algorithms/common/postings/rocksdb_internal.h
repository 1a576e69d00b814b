/* rocksdb_internal.h - the state of postings in RocksDB, shared by its files.
 *
 * env.dir/rocks     the database in use; nothing refers to it after the process ends
 * env.dir/rocks.N   a snapshot's checkpoint, whose tables and blobs are hard links
 *
 *   key    the posting's number, big-endian          value   its bytes
 *   splice keep = 0: put; else merge {u64 keep, bytes}: the first `keep` bytes, then these
 *
 * RocksDB's own write-ahead log is off: recovery starts from a snapshot and continues with the
 * owner's log. Lengths are in memory, so that no update has to read what it appends to. */
#ifndef DRIFTLINE_COMMON_POSTINGS_ROCKSDB_INTERNAL_H
#define DRIFTLINE_COMMON_POSTINGS_ROCKSDB_INTERNAL_H

#include <limits.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "algorithms/common/postings/directory_internal.h"
#include "algorithms/common/postings/posting_store.h"

enum {
    ROCKS_KEY_BYTES = 4,
    ROCKS_CHAIN = 16,       /* merges of one posting, after which it is put whole */
    ROCKS_STALE = INT32_MAX /* value of chain: an empty posting whose deletion failed */
};

/* A posting that is not in the database has length 0. The database holds at least `length` bytes of
   a posting at any moment: bytes are added before they are counted, and removed after. */
struct rocks_entry {
    _Atomic(uint32_t) length;
    _Atomic(uint32_t) chain; /* merges since it was last put */
};

struct rocks {
    struct posting_store store;
    char dir[PATH_MAX]; /* of the database in use */
    rocksdb_t *db;
    rocksdb_column_family_handle_t *family;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *reading;
    rocksdb_writeoptions_t *writing;
    bool direct;
    struct posting_directory directory; /* of struct rocks_entry */
    uint64_t frozen;                    /* the last snapshot's number */
    atomic_size_t reader_bytes;
};

static inline struct rocks *rocks_of(const struct posting_store *store)
{
    return (struct rocks *)(uintptr_t)store;
}

static inline void rocks_key(uint32_t posting, char key[ROCKS_KEY_BYTES])
{
    for (int i = 0; i < ROCKS_KEY_BYTES; i++)
        key[i] = (char)(posting >> (24 - 8 * i));
}

/* NULL: never spliced. */
static inline struct rocks_entry *rocks_entry(const struct rocks *r, uint32_t posting)
{
    return directory_entry(&r->directory, posting);
}

/* rocksdb_database.c. Makes sure that the posting has an entry. ERR_NO_MEMORY. */
int posting_rocks_reserve(struct rocks *, uint32_t posting);

/* Whether a test injects a fault into this call: ERR_IO with a message. */
int posting_rocks_fault(const struct rocks *, struct error *, const char *call, const char *path);
/* ERR_CORRUPT or ERR_IO with RocksDB's message, which it frees; posting: NULL for none. */
int posting_rocks_trouble(const struct rocks *, struct error *, const char *doing,
                          const uint32_t *posting, char *words);
/* Reads the posting; *value NULL: not in the database. The caller destroys *value. */
int posting_rocks_get(const struct rocks *, uint32_t posting, rocksdb_pinnableslice_t **);
/* ERR_CORRUPT: the posting has n bytes in the database, and `need` were written. */
int posting_rocks_too_short(const struct rocks *, uint32_t posting, size_t n, size_t need);
/* Deletes the posting's key, whatever its entry is. */
int posting_rocks_erase(struct rocks *, struct error *, uint32_t posting);

/* Sets r->options and the objects they need; opens the database in r->dir;
   `create`: it may be created. */
int posting_rocks_configure(struct rocks *);
int posting_rocks_open_database(struct rocks *, bool create);
void posting_rocks_close_database(struct rocks *);
/* A counter of RocksDB's statistics; 0 for an unknown name. */
uint64_t posting_rocks_ticker(const struct rocks *, const char *name);

/* rocksdb_read.c */
struct rocks_reader {
    struct posting_reader base;
    uint32_t *postings;
    struct rocks_value *values; /* one per posting */
    size_t postings_capacity, values_capacity;
    size_t fetched; /* how many are in values */
};
int posting_rocks_reader_open(struct posting_reader *);
void posting_rocks_reader_close(struct posting_reader *);
int posting_rocks_read(struct posting_reader *, const uint32_t *postings, size_t n);
int posting_rocks_next(struct posting_reader *, size_t i, const unsigned char **bytes, size_t *n);

/* rocksdb_snapshot.c */
int posting_rocks_freeze(struct posting_store *, struct store_writer *);
int posting_rocks_sync(struct posting_store *);
void posting_rocks_ended(struct posting_store *, enum durable_outcome);
uint64_t posting_rocks_disk(const struct posting_store *);
/* Empties r->dir for a new database. */
int posting_rocks_clear(struct rocks *);
/* Restores r->dir and r->entries from the snapshot. */
int posting_rocks_resume(struct rocks *, const struct store_reader *);

#endif
