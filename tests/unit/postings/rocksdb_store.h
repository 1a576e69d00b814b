/* rocksdb_store.h - postings in RocksDB, with snapshots and checkpoints. */
#ifndef DRIFTLINE_TESTS_UNIT_POSTINGS_ROCKSDB_STORE_H
#define DRIFTLINE_TESTS_UNIT_POSTINGS_ROCKSDB_STORE_H

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/unit/postings/histories.h"

#ifdef HAVE_ROCKSDB

#include "algorithms/common/postings/rocksdb_internal.h"

#define NAME "test.snapshot"

static const struct posting_options in_rocksdb = { .kind = POSTING_ROCKSDB };

static inline struct store_identity identity(const struct postings_bench *b)
{
    return store_identity_of(&b->bench.env, "test", 1);
}

/* freeze, sync, rename, durable; a failed step is undone. */
static inline int snapshot(struct postings_bench *b)
{
    static struct store_writer w;
    const struct store_identity id = identity(b);
    int rc = store_begin(&w, b->dir, NAME, &id, NULL, &b->bench.error);

    if (rc != OK)
        return rc;
    rc = posting_store_freeze(b->store, &w);
    if (rc == OK && (rc = posting_store_sync(b->store)) != OK)
        posting_store_ended(b->store, DURABLE_NOTHING);
    if (rc != OK) {
        store_abort(&w);
        return rc;
    }
    rc = store_commit(&w);
    if (rc == OK)
        posting_store_ended(b->store, DURABLE_DONE);
    else
        posting_store_ended(b->store, DURABLE_NOTHING);
    return rc;
}

static inline int resume(struct postings_bench *b, const struct posting_options *options)
{
    const struct store_identity id = identity(b);
    struct store_reader in;
    int rc = store_open(&in, b->dir, NAME, &id, &b->bench.error);

    if (rc != OK)
        return rc;
    rc = posting_store_open(&b->store, &b->bench.env, b->epoch, options, &in);
    store_close(&in);
    return rc == OK ? posting_reader_create(&b->reader, b->store) : rc;
}

static inline size_t count_checkpoints(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += strncmp(e->d_name, "rocks.", 6) == 0;
    (void)closedir(dir);
    return n;
}

#endif

#endif
