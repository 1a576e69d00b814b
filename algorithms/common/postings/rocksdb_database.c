/* rocksdb_database.c - the database: its options, and the merge operator for splices; opening and
 * closing; the value of one posting; errors.
 *
 * Settings follow the SPFresh artifact: 4 levels, memtables of 16 MB, 10 bloom bits per key, values
 * of 64 bytes and more in blob files. Compression is off, because vectors hardly compress. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/postings/rocksdb_internal.h"

enum {
    LEVELS = 4,
    BLOOM_BITS = 10,
    BLOB_FROM_BYTES = 64,
    MEMTABLE_BYTES = 16 << 20,
    BLOB_FILE_BYTES = 64 << 20,
    CACHE_BYTES = 8 << 20, /* for blocks of keys; postings are in blobs, which it does not cache */
    KEEP_BYTES = 8,        /* at the front of an operand */
};

/* ---- errors */

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

/* ---- merging */

/* A base that is missing or shorter than an operand's `keep` has lost data: RocksDB then reports
   corruption, and so does the store. The value is allocated by malloc(), because RocksDB frees
   it. */
static char *full_merge(void *state, const char *key, size_t key_n, const char *base, size_t base_n,
                        const char *const *operands, const size_t *sizes, int count,
                        unsigned char *success, size_t *n)
{
    size_t most = base ? base_n : 0, length = most;

    (void)state, (void)key, (void)key_n;
    for (int i = 0; i < count; i++)
        most += sizes[i];
    char *bytes = malloc(most ? most : 1);
    bool good = bytes;
    if (good && length)
        memcpy(bytes, base, length);
    for (int i = 0; i < count && good; i++) {
        uint64_t keep = UINT64_MAX;

        if (sizes[i] >= KEEP_BYTES)
            memcpy(&keep, operands[i], sizeof keep);
        good = keep <= length;
        if (good) {
            length = keep + sizes[i] - KEEP_BYTES;
            memcpy(bytes + keep, operands[i] + KEEP_BYTES, sizes[i] - KEEP_BYTES);
        }
    }
    *success = good;
    *n = good ? length : 0;
    if (good)
        return bytes;
    free(bytes);
    return NULL;
}

/* Operands stay apart until the base is there: there are ROCKS_CHAIN of them at most. */
static char *no_partial_merge(void *state, const char *key, size_t key_n,
                              const char *const *operands, const size_t *sizes, int count,
                              unsigned char *success, size_t *n)
{
    (void)state, (void)key, (void)key_n, (void)operands, (void)sizes, (void)count;
    *success = 0;
    *n = 0;
    return NULL;
}

static void delete_value(void *state, const char *value, size_t n)
{
    (void)state, (void)n;
    free((void *)(uintptr_t)value);
}

static const char *merge_name(void *state)
{
    (void)state;
    return "driftline.splice";
}

static void nothing(void *state)
{
    (void)state;
}

/* ---- options */

int posting_rocks_configure(struct rocks *r)
{
    rocksdb_options_t *plain = rocksdb_options_create();
    char *words = NULL;

    r->options = rocksdb_options_create();
    /* Closing writes nothing, as in a crash. The C interface has no function for this option. */
    rocksdb_get_options_from_string(plain, "avoid_flush_during_shutdown=true", r->options, &words);
    rocksdb_options_destroy(plain);
    if (words)
        return posting_rocks_trouble(r, r->store.env.error, "set up", NULL, words);
    rocksdb_options_t *o = r->options;
    rocksdb_options_set_num_levels(o, LEVELS);
    rocksdb_options_set_write_buffer_size(o, MEMTABLE_BYTES);
    rocksdb_options_set_compression(o, rocksdb_no_compression);
    rocksdb_options_set_enable_blob_files(o, 1);
    rocksdb_options_set_min_blob_size(o, BLOB_FROM_BYTES);
    rocksdb_options_set_blob_file_size(o, BLOB_FILE_BYTES);
    rocksdb_options_set_blob_compression_type(o, rocksdb_no_compression);
    rocksdb_options_set_enable_blob_gc(o, 1);
    rocksdb_options_set_merge_operator(o, rocksdb_mergeoperator_create(NULL, nothing, full_merge,
                                                                       no_partial_merge,
                                                                       delete_value, merge_name));
    /* For bytes_written. Nothing is printed or kept over time. */
    rocksdb_options_enable_statistics(o);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    rocksdb_options_set_info_log_level(o, 3); /* errors */
    rocksdb_options_set_keep_log_file_num(o, 1);
    rocksdb_block_based_table_options_t *tables = rocksdb_block_based_options_create();
    r->cache = rocksdb_cache_create_lru(CACHE_BYTES);
    rocksdb_block_based_options_set_block_cache(tables, r->cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(tables, 1);
    rocksdb_block_based_options_set_filter_policy(
        tables, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_options_set_block_based_table_factory(r->options, tables);
    rocksdb_block_based_options_destroy(tables);
    r->reading = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(r->reading, 1);
    r->writing = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(r->writing, 1);
    return OK;
}

static void open_as_set(struct rocks *r, char **words)
{
    const char *const names[] = { "default" };
    const rocksdb_options_t *const families[] = { r->options };

    r->db = rocksdb_open_column_families(r->options, r->dir, 1, names, families, &r->family, words);
}

/* Tries direct reads first: RocksDB refuses to open where the file system has none. */
int posting_rocks_open_database(struct rocks *r, bool create)
{
    char *words = NULL;

    rocksdb_options_set_create_if_missing(r->options, create);
    rocksdb_options_set_use_direct_reads(r->options, r->store.options.direct);
    rocksdb_options_set_use_direct_io_for_flush_and_compaction(r->options, r->store.options.direct);
    open_as_set(r, &words);
    r->direct = !words && r->store.options.direct;
    if (words && r->store.options.direct && strstr(words, "irect I/O")) {
        rocksdb_free(words);
        words = NULL;
        rocksdb_options_set_use_direct_reads(r->options, 0);
        rocksdb_options_set_use_direct_io_for_flush_and_compaction(r->options, 0);
        open_as_set(r, &words);
    }
    return words ? posting_rocks_trouble(r, r->store.env.error, "cannot open", NULL, words) : OK;
}

void posting_rocks_close_database(struct rocks *r)
{
    if (r->family)
        rocksdb_column_family_handle_destroy(r->family);
    if (r->db)
        rocksdb_close(r->db);
    if (r->writing)
        rocksdb_writeoptions_destroy(r->writing);
    if (r->reading)
        rocksdb_readoptions_destroy(r->reading);
    if (r->options)
        rocksdb_options_destroy(r->options);
    if (r->cache)
        rocksdb_cache_destroy(r->cache);
}

uint64_t posting_rocks_ticker(const struct rocks *r, const char *name)
{
    char wanted[96];
    char *all = rocksdb_options_statistics_get_string(r->options);
    const char *at;
    uint64_t value = 0;

    (void)snprintf(wanted, sizeof wanted, "%s COUNT : ", name);
    if (all && (at = strstr(all, wanted)))
        value = strtoull(at + strlen(wanted), NULL, 10);
    rocksdb_free(all);
    return value;
}

/* ---- one posting */

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
