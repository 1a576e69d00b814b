/* store_held.c - sections kept in memory until they are written.
 *
 * The bytes of all sections lie in a list of chunks, one after another. Chunks are freed as they
 * are taken. */
#include <assert.h>
#include <string.h>

#include "algorithms/common/durable/store_internal.h"
#include "src/core/mem.h"

enum { CHUNK_LEAST = 1 << 16, CHUNK_MOST = 1 << 22 };

struct chunk {
    struct chunk *next;
    size_t n, capacity;
    unsigned char bytes[];
};

struct held_section {
    char tag[STORE_TAG_BYTES];
    uint64_t begin; /* bytes of all sections before it */
};

struct store_held {
    struct mem *mem;
    struct chunk *first, *last;
    uint64_t bytes;
    size_t n;
    struct held_section sections[STORE_SECTIONS_MAX];
    /* taken so far */
    uint64_t taken;
    size_t sections_taken, of_first; /* of_first: bytes of the first chunk */
};

/* ------------------------------------------------------------------------------- holding */

struct store_held *store_held_create(struct mem *mem)
{
    struct store_held *h = mem_zalloc(mem, sizeof *h);

    if (h)
        h->mem = mem;
    return h;
}

static void free_first(struct store_held *h)
{
    struct chunk *c = h->first;

    h->first = c->next;
    mem_free(h->mem, c);
}

void store_held_free(struct store_held *h)
{
    if (!h)
        return;
    while (h->first)
        free_first(h);
    mem_free(h->mem, h);
}

void store_held_section(struct store_held *h, const char *tag)
{
    assert(h->n < STORE_SECTIONS_MAX && strlen(tag) < STORE_TAG_BYTES);
    struct held_section *s = &h->sections[h->n++];

    memcpy(s->tag, tag, strlen(tag) + 1);
    s->begin = h->bytes;
}

static bool add_chunk(struct store_held *h)
{
    const size_t twice = h->last ? 2 * h->last->capacity : CHUNK_LEAST;
    const size_t capacity = twice < CHUNK_MOST ? twice : CHUNK_MOST;
    struct chunk *c = mem_alloc(h->mem, sizeof *c + capacity);

    if (!c)
        return false;
    c->next = NULL;
    c->n = 0;
    c->capacity = capacity;
    if (h->last)
        h->last->next = c;
    else
        h->first = c;
    h->last = c;
    return true;
}

size_t store_held_write(struct store_held *h, const void *bytes, size_t n_bytes)
{
    const unsigned char *from = bytes;
    size_t done = 0;

    while (done < n_bytes && ((h->last && h->last->n < h->last->capacity) || add_chunk(h))) {
        struct chunk *c = h->last;
        const size_t space = c->capacity - c->n, left = n_bytes - done;
        const size_t some = left < space ? left : space;

        memcpy(c->bytes + c->n, from + done, some);
        c->n += some;
        done += some;
    }
    h->bytes += done;
    return done;
}

/* -------------------------------------------------------------------------------- taking */

bool store_held_next(struct store_held *h, struct store_piece *piece)
{
    const bool section = h->sections_taken < h->n;

    if (section && h->sections[h->sections_taken].begin == h->taken) {
        *piece = (struct store_piece){ .tag = h->sections[h->sections_taken++].tag };
        return true;
    }
    if (h->taken == h->bytes)
        return false;
    if (h->of_first == h->first->n) {
        free_first(h);
        h->of_first = 0;
    }
    const uint64_t end = section ? h->sections[h->sections_taken].begin : h->bytes;
    const uint64_t left = end - h->taken;
    const size_t there = h->first->n - h->of_first, n = left < there ? (size_t)left : there;

    *piece = (struct store_piece){ .bytes = h->first->bytes + h->of_first, .n = n };
    h->of_first += n;
    h->taken += n;
    return true;
}
