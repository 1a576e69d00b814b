/* posting_store.c - dispatch to the kinds of stores; each kind is a table of functions. */
#include "algorithms/common/postings/posting_store.h"

#include "algorithms/common/concurrency/throttle.h"
#include "src/core/error.h"

static const struct posting_ops *const kinds[] = {
    [POSTING_MEMORY] = &posting_memory_ops,
    [POSTING_MMAP] = &posting_file_ops,
    [POSTING_FILE] = &posting_file_ops,
#ifdef HAVE_ROCKSDB
    [POSTING_ROCKSDB] = &posting_rocksdb_ops,
#endif
};

int posting_store_open(struct posting_store **store, const struct index_env *env,
                       struct epoch *epoch, const struct posting_options *options,
                       const struct store_reader *snapshot)
{
    const struct posting_ops *ops = kinds[options->kind];

    *store = NULL;
    if (snapshot && !ops->freeze)
        return fail(env->error, ERR_UNSUPPORTED, "postings: a store of kind %s has no snapshots",
                    ops->name);
    return ops->open(store, env, epoch, options, snapshot);
}

void posting_store_close(struct posting_store *store)
{
    if (!store)
        return;
    /* Retired items refer to the store. */
    epoch_drain(store->epoch);
    store->ops->close(store);
}

/* For background threads with a limit on bytes read and written. */
static void charge(const struct posting_store *store, size_t bytes)
{
    if (store->options.kind != POSTING_MEMORY)
        throttle_charge(bytes);
}

int posting_splice(struct posting_store *store, uint32_t posting, size_t keep, const void *bytes,
                   size_t n)
{
    charge(store, n);
    return store->ops->splice(store, posting, keep, bytes, n);
}

void posting_drop(struct posting_store *store, uint32_t posting)
{
    store->ops->drop(store, posting);
}

size_t posting_length(const struct posting_store *store, uint32_t posting)
{
    return store->ops->length(store, posting);
}

int posting_fetch(struct posting_store *store, uint32_t posting, size_t from, size_t n, void *out)
{
    const size_t length = n > 0 ? posting_length(store, posting) : 0;

    if (n == 0)
        return OK;
    if (from > length || n > length - from)
        return fail(store->env.error, ERR_ARGUMENT,
                    "posting %u: bytes %zu to %zu were requested, it has %zu", posting, from,
                    from + n, length);
    charge(store, n);
    return store->ops->fetch(store, posting, from, n, out);
}

int posting_reader_create(struct posting_reader **reader, struct posting_store *store)
{
    *reader = NULL;
    return store->ops->reader_create(reader, store);
}

void posting_reader_destroy(struct posting_reader *reader)
{
    if (reader)
        reader->store->ops->reader_destroy(reader);
}

int posting_read(struct posting_reader *reader, const uint32_t *postings, size_t n,
                 const struct posting_read_options *options)
{
    static const struct posting_read_options all;

    return reader->store->ops->read(reader, postings, n, options ? options : &all);
}

int posting_next(struct posting_reader *reader, const unsigned char **bytes, size_t *n)
{
    const int rc = reader->store->ops->next(reader, bytes, n);

    if (rc == OK)
        charge(reader->store, *n);
    return rc;
}

int posting_store_freeze(struct posting_store *store, struct store_writer *writer)
{
    return store->ops->freeze(store, writer);
}

int posting_store_sync(struct posting_store *store)
{
    return store->ops->sync(store);
}

void posting_store_ended(struct posting_store *store, enum durable_outcome outcome)
{
    store->ops->ended(store, outcome);
}

void posting_store_counts(const struct posting_store *store, struct posting_counts *counts)
{
    *counts = (struct posting_counts){ .pages_read = COUNT_GET(store->pages_read),
                                       .bytes_given = COUNT_GET(store->bytes_given),
                                       .late = COUNT_GET(store->late) };
    if (store->ops->counts)
        store->ops->counts(store, counts);
}

uint64_t posting_store_resident(const struct posting_store *store)
{
    return store->ops->resident(store);
}

uint64_t posting_store_disk(const struct posting_store *store)
{
    return store->ops->disk ? store->ops->disk(store) : 0;
}

int posting_store_check(const struct posting_store *store)
{
    return store->ops->check(store);
}
