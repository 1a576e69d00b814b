/* rocksdb_store.h - postings in RocksDB, and their checkpoints. */
#ifndef DRIFTLINE_TESTS_UNIT_POSTINGS_ROCKSDB_STORE_H
#define DRIFTLINE_TESTS_UNIT_POSTINGS_ROCKSDB_STORE_H

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/unit/postings/histories.h"

#ifdef HAVE_ROCKSDB

#include "algorithms/common/postings/rocksdb_internal.h"

static const struct posting_options in_rocksdb = { .kind = POSTING_ROCKSDB };

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
