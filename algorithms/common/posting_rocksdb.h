/* posting_rocksdb.h - the state of postings kept in RocksDB, shared by its files.
 *
 * env.dir/rocks     the database in use; nothing refers to it after the process ends
 * env.dir/rocks.N   what a snapshot refers to: a checkpoint, its tables and blobs hard links
 *
 *   key    the posting's number, big-endian          value   its bytes
 *   splice keep = 0: put; else merge {u64 keep, bytes}: the first `keep` bytes, then these
 *
 * Its own log is off: a snapshot is what a crash returns to, and the owner's journal what comes
 * after it. Lengths lie in memory, so that no update has to read what it appends to.
 */
#ifndef DRIFTLINE_POSTING_ROCKSDB_H
#define DRIFTLINE_POSTING_ROCKSDB_H

#include <limits.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "algorithms/common/posting_store.h"
#include "algorithms/common/stable.h"

enum {
    ROCKS_KEY_BYTES = 4,
    ROCKS_CHAIN = 16,       /* merges of one posting; then it is put whole */
    ROCKS_STALE = INT32_MAX /* chain: an empty posting whose deletion failed */
};

/* A posting not in the database has length 0. The database has at least `length` bytes of a posting
   at any moment: bytes come before they are counted, and go after. */
struct rocks_entry {
    _Atomic(uint32_t) length;
    _Atomic(uint32_t) chain; /* merges since it was last put */
};

struct rocks_counters {
    _Atomic(uint64_t) splices, drops, reads, bytes_read, pages_read, bytes_given, late;
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
    struct stable entries;
    atomic_size_t known;    /* entries that are there */
    pthread_mutex_t growth; /* of entries */
    uint64_t frozen;        /* the last snapshot's number */
    struct rocks_counters counters;
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

/* NULL: never spliced. Entries do not move, but finding one needs the epoch where others grow. */
static inline struct rocks_entry *rocks_entry(const struct rocks *r, uint32_t posting)
{
    return posting < atomic_load(&r->known) ? stable_at(&r->entries, posting) : NULL;
}

/* So that the posting has an entry. */
int rocks_make_room(struct rocks *, uint32_t posting);

/* Where tests let a call of ours fail: ERR_IO with the sentence. */
int rocks_fault(const struct rocks *, struct error *, const char *call, const char *path);
/* ERR_CORRUPT or ERR_IO with RocksDB's own words, which it frees; posting: NULL for none. */
int rocks_trouble(const struct rocks *, struct error *, const char *doing, const uint32_t *posting,
                  char *words);
/* What the database has of the posting, NULL: nothing; destroyed by the caller. */
int rocks_get(const struct rocks *, uint32_t posting, rocksdb_pinnableslice_t **);
/* ERR_CORRUPT: it has n bytes, and `need` were written. */
int rocks_too_short(const struct rocks *, uint32_t posting, size_t n, size_t need);
/* Deletes the posting's key, whatever its entry says. */
int rocks_erase(struct rocks *, struct error *, uint32_t posting);

/* posting_rocksdb_options.c: r->options and what goes with them; then the database in r->dir, which
   is created if it may be. */
int rocks_configure(struct rocks *);
int rocks_open_database(struct rocks *, bool create);
void rocks_close_database(struct rocks *);
/* Of RocksDB's statistics; 0 for a name it does not have. */
uint64_t rocks_ticker(const struct rocks *, const char *name);

/* posting_rocksdb_read.c */
int rocks_reader_create(struct posting_reader **, struct posting_store *);
void rocks_reader_destroy(struct posting_reader *);
int rocks_read(struct posting_reader *, const uint32_t *postings, size_t n,
               const struct posting_read_options *);
int rocks_next(struct posting_reader *, const unsigned char **bytes, size_t *n);

/* posting_rocksdb_snapshot.c */
int rocks_freeze(struct posting_store *, struct store_writer *);
int rocks_sync(struct posting_store *);
void rocks_durable(struct posting_store *);
void rocks_unfreeze(struct posting_store *);
uint64_t rocks_disk(const struct posting_store *);
/* r->dir empty, for a new database. */
int rocks_clear(struct rocks *);
/* r->dir and r->entries as the snapshot has them. */
int rocks_resume(struct rocks *, const struct store_reader *);

#endif
