/* posting_store.c - what all kinds of stores do alike, and dispatch: each kind is a table of
 * functions. */
#include "algorithms/common/postings/posting_store.h"

#include "algorithms/common/concurrency/throttle.h"
#include "src/core/error.h"
#include "src/core/mem.h"

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
    struct posting_store *s = mem_zalloc(env->mem, ops->store_bytes);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "postings: out of memory for a store");
    s->ops = ops;
    s->env = *env;
    s->epoch = epoch;
    s->options = *options;
    const int rc = ops->open(s, snapshot);
    if (rc != OK)
        posting_store_close(s);
    else
        *store = s;
    return rc;
}

void posting_store_close(struct posting_store *store)
{
    if (!store)
        return;
    /* Retired items refer to the store. */
    epoch_drain(store->epoch);
    store->ops->close(store);
    mem_free(store->env.mem, store);
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
    const size_t length = posting_length(store, posting);

    if (keep > length || n > UINT32_MAX - keep)
        return fail(
            store->env.error, ERR_ARGUMENT,
            "posting %u: %zu bytes are to stay and %zu to follow; it has %zu, and may have %u",
            posting, keep, n, length, UINT32_MAX);
    charge(store, n);
    const int rc = store->ops->splice(store, posting, keep, bytes, n);
    if (rc == OK)
        COUNT_ADD(store->bytes_given, n);
    return rc;
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
    struct posting_reader *r = mem_zalloc(store->env.mem, store->ops->reader_bytes);
    int rc = OK;

    *reader = NULL;
    if (!r)
        return fail(store->env.error, ERR_NO_MEMORY, "postings: out of memory for a reader");
    r->store = store;
    deadline_init(&r->deadline);
    if (store->ops->reader_open)
        rc = store->ops->reader_open(r);
    if (rc == OK)
        *reader = r;
    else
        mem_free(store->env.mem, r);
    return rc;
}

void posting_reader_destroy(struct posting_reader *reader)
{
    if (!reader)
        return;
    reader->store->ops->reader_close(reader);
    deadline_close(&reader->deadline);
    mem_free(reader->store->env.mem, reader);
}

int posting_read(struct posting_reader *reader, const uint32_t *postings, size_t n,
                 const struct posting_read_options *options)
{
    reader->n = reader->at = 0;
    reader->at_most = options && options->bytes_at_most ? options->bytes_at_most : SIZE_MAX;
    if (!deadline_set(&reader->deadline, options ? options->deadline_us : 0))
        return fail_errno(reader->store->env.error, ERR_IO,
                          "postings: cannot create a timer for a deadline");
    const int rc = reader->store->ops->read(reader, postings, n);
    if (rc == OK)
        reader->n = n;
    return rc;
}

int posting_next(struct posting_reader *reader, const unsigned char **bytes, size_t *n)
{
    static const _Alignas(64) unsigned char nothing[64];
    struct posting_store *store = reader->store;

    *bytes = NULL;
    *n = 0;
    if (reader->at == reader->n)
        return fail(store->env.error, ERR_ARGUMENT, "postings: all %zu have been read", reader->n);
    *bytes = nothing;
    const int rc = store->ops->next(reader, reader->at++, bytes, n);
    if (rc != OK)
        *bytes = NULL;
    else if (*bytes)
        charge(store, *n);
    else
        COUNT_ADD(store->late, 1);
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
