#include "algorithms/sharded/copy/wire.h"

#include <string.h>

#include "src/core/mem.h"

enum { WORD = sizeof(uint64_t), TEXT_MAX = 1 << 16 };

static size_t padded(size_t n_bytes)
{
    return (n_bytes + WORD - 1) / WORD * WORD;
}

/* 1. Writing */

void wire_free(struct wire *w)
{
    mem_free(w->mem, w->bytes);
    *w = (struct wire){ .mem = w->mem };
}

bool wire_make_room(struct wire *w, size_t n_bytes)
{
    w->failed |= !mem_grow(w->mem, &w->bytes, &w->capacity, w->n + n_bytes, 1);
    return !w->failed;
}

void *wire_reserve(struct wire *w, size_t n_bytes)
{
    const size_t n = padded(n_bytes);
    w->failed |= n < n_bytes || n > SIZE_MAX - w->n;
    if (w->failed || !wire_make_room(w, n))
        return NULL;
    unsigned char *at = w->bytes + w->n;
    if (n > n_bytes)
        memset(at + n - WORD, 0, WORD);
    w->n += n;
    return at;
}

void wire_put_bytes(struct wire *w, const void *bytes, size_t n_bytes)
{
    void *at = n_bytes ? wire_reserve(w, n_bytes) : NULL;
    if (at)
        memcpy(at, bytes, n_bytes);
}

void wire_put(struct wire *w, uint64_t word)
{
    wire_put_bytes(w, &word, sizeof word);
}

void wire_put_text(struct wire *w, const char *text)
{
    const size_t n = strlen(text) + 1;
    wire_put(w, n);
    wire_put_bytes(w, text, n);
}

void wire_set(struct wire *w, size_t offset, uint64_t word)
{
    if (!w->failed)
        memcpy(w->bytes + offset, &word, sizeof word);
}

/* 2. Reading */

static const void *take_bytes(struct wire_reader *r, size_t n_bytes)
{
    const size_t n = padded(n_bytes);
    if (r->failed || n < n_bytes || n > r->left) {
        r->failed = true;
        return NULL;
    }
    const unsigned char *at = r->at;
    r->at += n;
    r->left -= n;
    return at;
}

void wire_take_struct(struct wire_reader *r, void *out, size_t n_bytes)
{
    const void *at = take_bytes(r, n_bytes);
    if (at)
        memcpy(out, at, n_bytes);
    else
        memset(out, 0, n_bytes);
}

uint64_t wire_take(struct wire_reader *r)
{
    uint64_t word;
    wire_take_struct(r, &word, sizeof word);
    return word;
}

const void *wire_take_array(struct wire_reader *r, uint64_t n, size_t each)
{
    if (each > 0 && n > SIZE_MAX / each) {
        r->failed = true;
        return NULL;
    }
    return take_bytes(r, (size_t)n * each);
}

const char *wire_take_text(struct wire_reader *r)
{
    const uint64_t n = wire_take(r);
    const char *text = n > 0 && n < TEXT_MAX ? take_bytes(r, (size_t)n) : NULL;
    if (text && text[n - 1] == '\0')
        return text;
    r->failed = true;
    return NULL;
}
