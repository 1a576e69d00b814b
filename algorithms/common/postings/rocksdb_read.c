/* rocksdb_read.c - reading postings from RocksDB, a group at a time.
 *
 * A call of RocksDB cannot be interrupted, so the deadline is checked between groups. Larger groups
 * would exceed it, smaller ones gain less from batching. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/postings/rocksdb_internal.h"
#include "src/core/mem.h"

enum { GROUP = 16 };

struct rocks_value {
    unsigned char *bytes; /* aligned, allocated by the reader and reused */
    size_t capacity, n;
};

static struct rocks_reader *reader_of(struct posting_reader *reader)
{
    return (struct rocks_reader *)reader;
}

int posting_rocks_reader_open(struct posting_reader *reader)
{
    atomic_fetch_add(&rocks_of(reader->store)->reader_bytes, sizeof(struct rocks_reader));
    return OK;
}

static size_t bytes_of(const struct rocks_reader *d)
{
    size_t bytes = sizeof *d + d->postings_capacity * sizeof(uint32_t) +
                   d->values_capacity * sizeof(struct rocks_value);

    for (size_t i = 0; i < d->values_capacity; i++)
        bytes += d->values[i].capacity;
    return bytes;
}

void posting_rocks_reader_close(struct posting_reader *reader)
{
    struct rocks_reader *d = reader_of(reader);
    struct mem *mem = reader->store->env.mem;

    atomic_fetch_sub(&rocks_of(reader->store)->reader_bytes, bytes_of(d));
    for (size_t i = 0; i < d->values_capacity; i++)
        mem_free(mem, d->values[i].bytes);
    mem_free(mem, d->values);
    mem_free(mem, d->postings);
}

/* ---- reading */

static bool reserve(struct rocks_reader *d, size_t n)
{
    struct posting_store *store = d->base.store;
    const size_t before = bytes_of(d), values = d->values_capacity;
    const bool there =
        mem_grow(store->env.mem, &d->postings, &d->postings_capacity, n, sizeof *d->postings) &&
        mem_grow(store->env.mem, &d->values, &d->values_capacity, n, sizeof *d->values);

    if (d->values_capacity > values)
        memset(d->values + values, 0, (d->values_capacity - values) * sizeof *d->values);
    atomic_fetch_add(&rocks_of(store)->reader_bytes, bytes_of(d) - before);
    return there;
}

int posting_rocks_read(struct posting_reader *reader, const uint32_t *postings, size_t n)
{
    struct rocks_reader *d = reader_of(reader);

    d->fetched = 0;
    if (!reserve(d, n))
        return fail(reader->store->env.error, ERR_NO_MEMORY,
                    "out of memory, cannot read %zu postings at once", n);
    if (n)
        memcpy(d->postings, postings, n * sizeof *postings);
    return OK;
}

static bool fill(struct rocks_reader *d, struct rocks_value *value, const char *bytes, size_t n)
{
    struct posting_store *store = d->base.store;

    if (n > value->capacity) {
        const size_t capacity = (n + n / 4 + 63) / 64 * 64;
        unsigned char *more = mem_alloc(store->env.mem, capacity);

        if (!more)
            return false;
        mem_free(store->env.mem, value->bytes);
        atomic_fetch_add(&rocks_of(store)->reader_bytes, capacity - value->capacity);
        value->bytes = more;
        value->capacity = capacity;
    }
    if (n)
        memcpy(value->bytes, bytes, n);
    value->n = n;
    return true;
}

/* Whether n bytes can be all of the posting. The database has at least as many bytes as the entry
   counts. The entry was read before and after the bytes; an update may have shortened the posting
   before, or lengthened it after. */
static bool is_whole(const struct rocks_entry *e, size_t n, uint32_t before)
{
    const uint32_t after = atomic_load(&e->length);

    return n >= (before < after ? before : after);
}

/* Reads a posting again that seems too short. It is damaged, unless an update has shortened and
   lengthened it meanwhile, which cannot happen each time. Replaces *value. */
static int read_again(const struct rocks *r, uint32_t posting, rocksdb_pinnableslice_t **value)
{
    enum { TIMES = 8 };
    const struct rocks_entry *e = rocks_entry(r, posting);
    uint32_t before = 0;
    size_t n = 0;

    for (int i = 0; i < TIMES; i++) {
        if (*value)
            rocksdb_pinnableslice_destroy(*value);
        *value = NULL;
        before = atomic_load(&e->length);
        const int rc = posting_rocks_get(r, posting, value);
        if (rc != OK)
            return rc;
        n = 0;
        if (*value)
            (void)rocksdb_pinnableslice_value(*value, &n);
        if (is_whole(e, n, before))
            return OK;
    }
    return posting_rocks_too_short(r, posting, n, before);
}

/* Copies one posting's value into its slot; *value NULL: not in the database. before: its length
   before the read. */
static int take(struct rocks_reader *d, size_t i, rocksdb_pinnableslice_t **value, uint32_t before)
{
    struct rocks *r = rocks_of(d->base.store);
    size_t whole = 0;
    const char *bytes = *value ? rocksdb_pinnableslice_value(*value, &whole) : NULL;

    if (!is_whole(rocks_entry(r, d->postings[i]), whole, before)) {
        const int rc = read_again(r, d->postings[i], value);
        if (rc != OK)
            return rc;
        whole = 0;
        bytes = *value ? rocksdb_pinnableslice_value(*value, &whole) : NULL;
    }
    const size_t n = d->base.at_most < whole ? d->base.at_most : whole;
    if (!fill(d, &d->values[i], bytes, n))
        return fail(r->store.env.error, ERR_NO_MEMORY,
                    "out of memory, cannot read posting %" PRIu32, d->postings[i]);
    COUNT_ADD(r->store.pages_read, (whole + POSTING_PAGE - 1) / POSTING_PAGE);
    return OK;
}

/* Reads the next postings that are not empty, at most a group of them, and passes over the empty
   ones in between. */
static int fetch_group(struct rocks_reader *d)
{
    struct rocks *r = rocks_of(d->base.store);
    char bytes[GROUP][ROCKS_KEY_BYTES], *errors[GROUP] = { NULL };
    const char *keys[GROUP];
    size_t sizes[GROUP], of[GROUP], m = 0, end = d->fetched;
    uint32_t lengths[GROUP];
    rocksdb_pinnableslice_t *values[GROUP] = { NULL };
    int rc = posting_rocks_fault(r, r->store.env.error, "read", r->dir);

    if (rc != OK)
        return rc;
    for (; end < d->base.n && m < GROUP; end++) {
        const struct rocks_entry *e = rocks_entry(r, d->postings[end]);

        d->values[end].n = 0;
        lengths[m] = e ? atomic_load(&e->length) : 0;
        if (lengths[m] == 0)
            continue;
        rocks_key(d->postings[end], bytes[m]);
        keys[m] = bytes[m];
        sizes[m] = ROCKS_KEY_BYTES;
        of[m++] = end;
    }
    if (m > 0)
        rocksdb_batched_multi_get_cf(r->db, r->reading, r->family, m, keys, sizes, values, errors,
                                     false);
    for (size_t i = 0; i < m; i++) {
        if (errors[i] && rc == OK)
            rc = posting_rocks_trouble(r, r->store.env.error, "cannot read", &d->postings[of[i]],
                                       errors[i]);
        else if (errors[i])
            rocksdb_free(errors[i]);
        else if (rc == OK)
            rc = take(d, of[i], &values[i], lengths[i]);
        if (values[i])
            rocksdb_pinnableslice_destroy(values[i]);
    }
    if (rc == OK)
        d->fetched = end;
    return rc;
}

int posting_rocks_next(struct posting_reader *reader, size_t i, const unsigned char **bytes,
                       size_t *n)
{
    struct rocks_reader *d = reader_of(reader);

    if (i >= d->fetched) {
        if (deadline_passed(&reader->deadline)) {
            *bytes = NULL;
            return OK;
        }
        const int rc = fetch_group(d);
        if (rc != OK)
            return rc;
    }
    const struct rocks_value *value = &d->values[i];
    if (value->n) {
        *bytes = value->bytes;
        *n = value->n;
    }
    return OK;
}
