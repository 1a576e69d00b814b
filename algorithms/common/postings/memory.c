/* memory.c - postings in memory: the kind without files and snapshots.
 *
 * A posting is a block with spare capacity. Bytes below its length never change, so an append
 * writes past them and then publishes the length; any other update makes a new block and retires
 * the old one. */
#include <string.h>

#include "algorithms/common/postings/directory_internal.h"
#include "algorithms/common/postings/posting_store.h"
#include "src/core/mem.h"

struct block {
    struct epoch_item item; /* for retiring it */
    _Atomic(size_t) length;
    size_t capacity;
    _Alignas(64) unsigned char bytes[];
};

struct memory_store {
    struct posting_store base;
    struct posting_directory directory; /* of struct block */
    _Atomic(uint64_t) resident;         /* of blocks, in use and retired */
};

struct memory_reader {
    struct posting_reader base;
    const struct block **blocks;
    size_t capacity;
};

static struct memory_store *memory_of(const struct posting_store *store)
{
    return (struct memory_store *)(uintptr_t)store;
}

static size_t block_bytes(size_t capacity)
{
    return sizeof(struct block) + capacity;
}

static void block_free(struct memory_store *s, struct block *b)
{
    atomic_fetch_sub_explicit(&s->resident, block_bytes(b->capacity), memory_order_relaxed);
    mem_free(s->base.env.mem, b);
}

static void give_back(void *owner, struct epoch_item *item)
{
    block_free(owner, (struct block *)(void *)item);
}

/* n: bytes it must hold. */
static struct block *block_make(struct memory_store *s, size_t n)
{
    const size_t capacity = (n + 63) / 64 * 64;
    struct block *b = capacity < n ? NULL : mem_alloc(s->base.env.mem, block_bytes(capacity));

    if (!b)
        return NULL;
    atomic_init(&b->length, 0);
    b->capacity = capacity;
    COUNT_ADD(s->resident, block_bytes(capacity));
    return b;
}

static int no_memory(const struct memory_store *s, uint32_t posting, size_t bytes)
{
    return fail(s->base.env.error, ERR_NO_MEMORY,
                "posting %u: out of memory for %zu bytes; it is unchanged", posting, bytes);
}

static void memory_close(struct posting_store *store)
{
    struct memory_store *s = memory_of(store);

    for (size_t i = 0; i < directory_n(&s->directory); i++) {
        struct block *b = directory_get(&s->directory, (uint32_t)i);

        if (b)
            block_free(s, b);
    }
    directory_free(&s->directory);
}

static int memory_open(struct posting_store *store, const struct store_reader *resume)
{
    (void)resume;
    directory_init(&memory_of(store)->directory, store->env.mem, sizeof(_Atomic(void *)));
    return OK;
}

static int memory_splice(struct posting_store *store, uint32_t posting, size_t keep,
                         const void *bytes, size_t n)
{
    struct memory_store *s = memory_of(store);
    struct block *old, *b;
    size_t length;

    if (!directory_reserve(&s->directory, posting))
        return no_memory(s, posting, n);
    old = directory_get(&s->directory, posting);
    length = old ? atomic_load_explicit(&old->length, memory_order_relaxed) : 0;
    if (old && keep == length && n <= old->capacity - keep) {
        if (n > 0)
            memcpy(old->bytes + keep, bytes, n);
        atomic_store_explicit(&old->length, keep + n, memory_order_release);
    } else {
        /* Growth by an eighth, not by doubling: there are many postings. The copies take no
           measurable time beside filing (docs/decisions.md). */
        b = block_make(s, keep == 0 ? n : keep + n + (keep + n) / 8);
        if (!b)
            return no_memory(s, posting, keep + n);
        if (keep > 0)
            memcpy(b->bytes, old->bytes, keep);
        if (n > 0)
            memcpy(b->bytes + keep, bytes, n);
        atomic_init(&b->length, keep + n);
        directory_put(&s->directory, posting, b);
        if (old)
            epoch_retire(s->base.epoch, &old->item, give_back, s);
    }
    return OK;
}

static void memory_drop(struct posting_store *store, uint32_t posting)
{
    struct memory_store *s = memory_of(store);
    struct block *old = directory_get(&s->directory, posting);

    if (!old)
        return;
    directory_put(&s->directory, posting, NULL);
    epoch_retire(s->base.epoch, &old->item, give_back, s);
}

static size_t memory_length(const struct posting_store *store, uint32_t posting)
{
    struct block *b = directory_get(&memory_of(store)->directory, posting);

    return b ? atomic_load_explicit(&b->length, memory_order_acquire) : 0;
}

static int memory_fetch(struct posting_store *store, uint32_t posting, size_t from, size_t n,
                        void *out)
{
    const struct block *b = directory_get(&memory_of(store)->directory, posting);

    memcpy(out, b->bytes + from, n);
    return OK;
}

static void memory_reader_close(struct posting_reader *reader)
{
    mem_free(reader->store->env.mem, ((struct memory_reader *)reader)->blocks);
}

static int memory_read(struct posting_reader *reader, const uint32_t *postings, size_t n)
{
    struct memory_reader *r = (struct memory_reader *)reader;
    struct memory_store *s = memory_of(reader->store);

    if (!mem_grow(s->base.env.mem, &r->blocks, &r->capacity, n, sizeof *r->blocks))
        return fail(s->base.env.error, ERR_NO_MEMORY,
                    "postings: out of memory, cannot read %zu of them", n);
    for (size_t i = 0; i < n; i++) {
        r->blocks[i] = directory_get(&s->directory, postings[i]);
        __builtin_prefetch(r->blocks[i]);
    }
    return OK;
}

static size_t length_of(const struct block *b)
{
    return atomic_load_explicit((_Atomic(size_t) *)&b->length, memory_order_acquire);
}

static int memory_next(struct posting_reader *reader, size_t i, const unsigned char **bytes,
                       size_t *n)
{
    const struct memory_reader *r = (const struct memory_reader *)reader;
    const struct block *b = r->blocks[i];
    const struct block *after = i + 1 < reader->n ? r->blocks[i + 1] : NULL;

    if (after)
        directory_prefetch(after->bytes, length_of(after));
    if (b) {
        const size_t length = length_of(b);

        *bytes = b->bytes;
        *n = length < reader->at_most ? length : reader->at_most;
    }
    return OK;
}

static uint64_t memory_resident(const struct posting_store *store)
{
    const struct memory_store *s = memory_of(store);

    return sizeof *s + directory_bytes(&s->directory) + COUNT_GET(s->resident);
}

static int memory_check(const struct posting_store *store)
{
    const struct memory_store *s = memory_of(store);
    uint64_t held = 0;

    for (size_t i = 0; i < directory_n(&s->directory); i++) {
        struct block *b = directory_get(&s->directory, (uint32_t)i);
        const size_t length = b ? atomic_load_explicit(&b->length, memory_order_acquire) : 0;

        if (b && length > b->capacity)
            return fail(s->base.env.error, ERR_INVARIANT, "posting %zu: %zu bytes in space for %zu",
                        i, length, b->capacity);
        held += b ? block_bytes(b->capacity) : 0;
    }
    if (held > COUNT_GET(s->resident))
        return fail(s->base.env.error, ERR_INVARIANT,
                    "postings hold %ju bytes, more than the %ju accounted for", (uintmax_t)held,
                    (uintmax_t)COUNT_GET(s->resident));
    return OK;
}

const struct posting_ops posting_memory_ops = {
    .name = "memory",
    .store_bytes = sizeof(struct memory_store),
    .reader_bytes = sizeof(struct memory_reader),
    .open = memory_open,
    .close = memory_close,
    .splice = memory_splice,
    .drop = memory_drop,
    .length = memory_length,
    .fetch = memory_fetch,
    .reader_close = memory_reader_close,
    .read = memory_read,
    .next = memory_next,
    .resident = memory_resident,
    .check = memory_check,
};
