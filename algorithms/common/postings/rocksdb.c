/* rocksdb.c - postings in RocksDB: opening, updates, reports. */
#include "algorithms/common/postings/rocksdb_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "src/core/mem.h"

/* ---- updates */

/* Puts or merges a value that consists of two parts. */
static int write_parts(struct rocks *r, uint32_t posting, bool merge, const char *first,
                       size_t first_n, const void *second, size_t second_n)
{
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    const char *const values[] = { first, second };
    const size_t sizes[] = { first_n, second_n };
    const size_t key_n = ROCKS_KEY_BYTES;
    char key[ROCKS_KEY_BYTES];
    const char *const keys[] = { key };
    char *words = NULL;

    rocks_key(posting, key);
    if (merge)
        rocksdb_writebatch_mergev(batch, 1, keys, &key_n, 2, values, sizes);
    else
        rocksdb_writebatch_putv(batch, 1, keys, &key_n, 2, values, sizes);
    rocksdb_write(r->db, r->writing, batch, &words);
    rocksdb_writebatch_destroy(batch);
    return words ? posting_rocks_trouble(r, r->store.env.error, "cannot write", &posting, words)
                 : OK;
}

/* Reads the posting from the database, at least `need` bytes; the caller destroys *value. */
static int get(struct rocks *r, uint32_t posting, size_t need, rocksdb_pinnableslice_t **value,
               const char **bytes)
{
    size_t n = 0;
    const int rc = posting_rocks_get(r, posting, value);

    if (rc != OK)
        return rc;
    *bytes = *value ? rocksdb_pinnableslice_value(*value, &n) : NULL;
    if (n >= need)
        return OK;
    rocksdb_pinnableslice_destroy(*value);
    *value = NULL;
    return posting_rocks_too_short(r, posting, n, need);
}

static int put_whole(struct rocks *r, uint32_t posting, size_t keep, const void *bytes, size_t n)
{
    rocksdb_pinnableslice_t *old = NULL;
    const char *kept = NULL;
    int rc = keep ? get(r, posting, keep, &old, &kept) : OK;

    if (rc == OK)
        rc = write_parts(r, posting, false, kept, keep, bytes, n);
    if (old)
        rocksdb_pinnableslice_destroy(old);
    return rc;
}

static int rocks_splice(struct posting_store *store, uint32_t posting, size_t keep,
                        const void *bytes, size_t n)
{
    struct rocks *r = rocks_of(store);
    int rc = posting_rocks_reserve(r, posting);
    if (rc != OK)
        return rc;
    struct rocks_entry *e = rocks_entry(r, posting);
    const uint32_t length = atomic_load(&e->length), chain = atomic_load(&e->chain);
    const uint64_t kept = keep;
    const bool merge = kept > 0 && chain < ROCKS_CHAIN;

    if (kept == length && n == 0)
        return OK;
    if (kept + n < length) /* before the bytes are removed: see is_whole() */
        atomic_store(&e->length, (uint32_t)(kept + n));
    if (kept + n == 0)
        rc = posting_rocks_erase(r, store->env.error, posting);
    else if ((rc = posting_rocks_fault(r, r->store.env.error, "write", r->dir)) == OK)
        rc = merge ? write_parts(r, posting, true, (const char *)&kept, sizeof kept, bytes, n)
                   : put_whole(r, posting, kept, bytes, n);
    if (rc != OK) {
        atomic_store(&e->length, length);
        return rc;
    }
    atomic_store(&e->chain, merge ? chain + 1 : 0);
    atomic_store(&e->length, (uint32_t)(kept + n));
    return OK;
}

/* If the deletion fails, the length is 0 nevertheless, and freeze() deletes again. */
static void rocks_drop(struct posting_store *store, uint32_t posting)
{
    struct rocks *r = rocks_of(store);
    struct rocks_entry *e = rocks_entry(r, posting);

    if (!e || atomic_load(&e->length) == 0)
        return;
    atomic_store(&e->length, 0);
    atomic_store(&e->chain, posting_rocks_erase(r, NULL, posting) == OK ? 0 : ROCKS_STALE);
}

static size_t rocks_length(const struct posting_store *store, uint32_t posting)
{
    const struct rocks_entry *e = rocks_entry(rocks_of(store), posting);

    return e ? atomic_load(&e->length) : 0;
}

static int rocks_fetch(struct posting_store *store, uint32_t posting, size_t from, size_t n,
                       void *out)
{
    struct rocks *r = rocks_of(store);
    rocksdb_pinnableslice_t *value;
    const char *bytes;
    int rc;

    if ((rc = posting_rocks_fault(r, r->store.env.error, "read", r->dir)) != OK ||
        (rc = get(r, posting, rocks_length(store, posting), &value, &bytes)) != OK)
        return rc;
    memcpy(out, bytes + from, n);
    rocksdb_pinnableslice_destroy(value);
    return OK;
}

/* ---- reports */

static void rocks_counts(const struct posting_store *store, struct posting_counts *c)
{
    const struct rocks *r = rocks_of(store);

    c->bytes_written = posting_rocks_ticker(r, "rocksdb.flush.write.bytes") +
                       posting_rocks_ticker(r, "rocksdb.compact.write.bytes");
    c->pages_written = c->bytes_written / POSTING_PAGE;
    c->direct = r->direct;
}

static uint64_t property(const struct rocks *r, const char *name)
{
    uint64_t value = 0;

    return rocksdb_property_int(r->db, name, &value) == 0 ? value : 0;
}

static uint64_t rocks_resident(const struct posting_store *store)
{
    const struct rocks *r = rocks_of(store);

    return sizeof *r + directory_bytes(&r->directory) + atomic_load(&r->reader_bytes) +
           property(r, "rocksdb.size-all-mem-tables") +
           property(r, "rocksdb.estimate-table-readers-mem") + rocksdb_cache_get_usage(r->cache);
}

/* Compares one key's value with the stored length; *filled counts the keys. */
static int check_pair(const struct rocks *r, rocksdb_iterator_t *at, size_t *filled)
{
    size_t key_n, n;
    const unsigned char *key = (const unsigned char *)rocksdb_iter_key(at, &key_n);
    uint32_t posting = 0;

    if (key_n != ROCKS_KEY_BYTES)
        return fail(r->store.env.error, ERR_INVARIANT, "a key of %zu bytes in %s", key_n, r->dir);
    for (int i = 0; i < ROCKS_KEY_BYTES; i++)
        posting = posting << 8 | key[i];
    const struct rocks_entry *e = rocks_entry(r, posting);
    (void)rocksdb_iter_value(at, &n);
    if (!e || (atomic_load(&e->length) != n && atomic_load(&e->chain) != ROCKS_STALE))
        return fail(r->store.env.error, ERR_INVARIANT,
                    "posting %" PRIu32 " has %zu bytes in %s and should have %" PRIu32, posting, n,
                    r->dir, e ? atomic_load(&e->length) : 0);
    *filled += atomic_load(&e->length) > 0;
    return OK;
}

/* Reads the whole database, so every checksum is verified. */
static int rocks_check(const struct posting_store *store)
{
    const struct rocks *r = rocks_of(store);
    rocksdb_iterator_t *at = rocksdb_create_iterator(r->db, r->reading);
    size_t filled = 0, expected = 0;
    char *words = NULL;
    int rc = OK;

    for (rocksdb_iter_seek_to_first(at); rc == OK && rocksdb_iter_valid(at); rocksdb_iter_next(at))
        rc = check_pair(r, at, &filled);
    rocksdb_iter_get_error(at, &words);
    rocksdb_iter_destroy(at);
    if (words)
        rc = posting_rocks_trouble(r, r->store.env.error, "cannot read through", NULL, words);
    for (size_t i = 0; i < directory_n(&r->directory); i++)
        expected += atomic_load(&rocks_entry(r, (uint32_t)i)->length) > 0;
    if (rc == OK && filled != expected)
        rc = fail(store->env.error, ERR_INVARIANT, "%zu postings in %s, %zu were written", filled,
                  r->dir, expected);
    return rc;
}

/* ---- opening */

static void rocks_close(struct posting_store *store)
{
    struct rocks *r = rocks_of(store);

    posting_rocks_close_database(r);
    directory_free(&r->directory);
}

static int rocks_open(struct posting_store *store, const struct store_reader *resume)
{
    struct rocks *r = rocks_of(store);
    const struct index_env *env = &store->env;
    const int n = snprintf(r->dir, sizeof r->dir - NAME_MAX, "%s/rocks", env->dir);
    int rc;

    directory_init(&r->directory, env->mem, sizeof(struct rocks_entry));
    if (n < 0 || (size_t)n >= sizeof r->dir - NAME_MAX)
        return fail(env->error, ERR_ARGUMENT,
                    "postings in RocksDB need a folder, with a shorter path than %s", env->dir);
    if ((rc = posting_rocks_clear(r)) != OK ||
        (resume && (rc = posting_rocks_resume(r, resume)) != OK) ||
        (rc = posting_rocks_configure(r)) != OK)
        return rc;
    return posting_rocks_open_database(r, !resume);
}

const struct posting_ops posting_rocksdb_ops = {
    .name = "rocksdb",
    .store_bytes = sizeof(struct rocks),
    .reader_bytes = sizeof(struct rocks_reader),
    .open = rocks_open,
    .close = rocks_close,
    .splice = rocks_splice,
    .drop = rocks_drop,
    .length = rocks_length,
    .fetch = rocks_fetch,
    .reader_open = posting_rocks_reader_open,
    .reader_close = posting_rocks_reader_close,
    .read = posting_rocks_read,
    .next = posting_rocks_next,
    .freeze = posting_rocks_freeze,
    .sync = posting_rocks_sync,
    .ended = posting_rocks_ended,
    .counts = rocks_counts,
    .resident = rocks_resident,
    .disk = posting_rocks_disk,
    .check = rocks_check,
};
