/* rocksdb_values.c - shared by the files of RocksDB's store: errors, entries, and the value of
   one posting. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "algorithms/common/postings/rocksdb_internal.h"

int posting_rocks_trouble(const struct rocks *r, struct error *error, const char *doing,
                          const uint32_t *posting, char *words)
{
    const bool corrupt = strstr(words, "Corruption") != NULL;
    const bool full = strstr(words, "No space left") != NULL;
    char which[32] = "";

    if (posting)
        (void)snprintf(which, sizeof which, " posting %" PRIu32, *posting);
    const int code =
        fail(error, corrupt ? ERR_CORRUPT : ERR_IO, "%s%s in RocksDB's folder %s: %s%s", doing,
             which, r->dir, full ? "the disk is full: " : "", words);
    rocksdb_free(words);
    return code;
}

int posting_rocks_fault(const struct rocks *r, struct error *error, const char *call,
                        const char *path)
{
    if (!file_faulted(r->store.options.fault, call))
        return OK;
    return fail_errno(error, ERR_IO, "%s %s", call, path);
}

int posting_rocks_reserve(struct rocks *r, uint32_t posting)
{
    return directory_reserve(&r->directory, posting)
               ? OK
               : fail(r->store.env.error, ERR_NO_MEMORY,
                      "posting store: out of memory for the length of posting %" PRIu32, posting);
}

int posting_rocks_erase(struct rocks *r, struct error *error, uint32_t posting)
{
    char key[ROCKS_KEY_BYTES], *words = NULL;
    const int rc = posting_rocks_fault(r, error, "write", r->dir);

    if (rc != OK)
        return rc;
    rocks_key(posting, key);
    rocksdb_delete(r->db, r->writing, key, sizeof key, &words);
    return words ? posting_rocks_trouble(r, error, "cannot delete", &posting, words) : OK;
}

int posting_rocks_get(const struct rocks *r, uint32_t posting, rocksdb_pinnableslice_t **value)
{
    char key[ROCKS_KEY_BYTES], *words = NULL;

    rocks_key(posting, key);
    *value = rocksdb_get_pinned(r->db, r->reading, key, sizeof key, &words);
    return words ? posting_rocks_trouble(r, r->store.env.error, "cannot read", &posting, words)
                 : OK;
}

int posting_rocks_too_short(const struct rocks *r, uint32_t posting, size_t n, size_t need)
{
    return fail(r->store.env.error, ERR_CORRUPT,
                "posting %" PRIu32 " in RocksDB's folder %s has %zu bytes, %zu were written",
                posting, r->dir, n, need);
}
