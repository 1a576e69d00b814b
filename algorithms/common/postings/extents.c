/* extents.c - see extents_internal.h: four bitmaps. */
#include "algorithms/common/postings/extents_internal.h"

#include <string.h>

#include "src/core/mem.h"

void posting_extents_init(struct posting_extents *s, struct mem *mem)
{
    *s = (struct posting_extents){ .mem = mem };
}

void posting_extents_free(struct posting_extents *s)
{
    mem_free(s->mem, s->taken);
}

size_t posting_extents_bytes(const struct posting_extents *s)
{
    return 4 * s->total / 8;
}

bool posting_extents_grow(struct posting_extents *s, size_t total)
{
    const size_t old = s->total / 64, words = (total + 63) / 64;
    const uint64_t *from[] = { s->taken, s->pinned, s->durable, s->frozen };
    uint64_t *all;

    if (words <= old)
        return true;
    all = mem_zalloc(s->mem, 4 * words * sizeof *all);
    if (!all)
        return false;
    for (size_t i = 0; i < 4 && old > 0; i++)
        memcpy(all + i * words, from[i], old * sizeof *all);
    mem_free(s->mem, s->taken);
    s->taken = all;
    s->pinned = all + words;
    s->durable = all + 2 * words;
    s->frozen = all + 3 * words;
    s->n_free += 64 * (words - old);
    s->total = 64 * words;
    s->hopeless = 0;
    return true;
}

size_t posting_extents_grown(const struct posting_extents *s, size_t n)
{
    const size_t step = s->total / 16 < 256 ? 256 : s->total / 16;

    return s->total + (n > step ? n : step);
}

/* The first page of [p, end) that is taken (or free), or end. */
static size_t next_of(const struct posting_extents *s, bool taken, size_t p, size_t end)
{
    while (p < end) {
        const uint64_t word = (taken ? s->taken[p / 64] : ~s->taken[p / 64]) >> p % 64;

        if (word != 0) {
            p += (size_t)__builtin_ctzll(word);
            return p < end ? p : end;
        }
        p = (p / 64 + 1) * 64;
    }
    return end;
}

/* The start of n consecutive free pages within [p, end), or SIZE_MAX. */
static size_t find_run(const struct posting_extents *s, size_t n, size_t p, size_t end)
{
    while ((p = next_of(s, false, p, end)) + n <= end) {
        const size_t stop = next_of(s, true, p, p + n);

        if (stop == p + n)
            return p;
        p = stop;
    }
    return SIZE_MAX;
}

static size_t search(struct posting_extents *s, size_t n)
{
    size_t at;

    /* Do not search a file with many holes shorter than n again until enough pages were freed. */
    if (s->n_free < n || (s->hopeless && n >= s->hopeless && s->freed < 64 + s->total / 64))
        return SIZE_MAX;
    at = find_run(s, n, s->cursor, s->total);
    if (at == SIZE_MAX)
        at = find_run(s, n, 0, s->cursor + n < s->total ? s->cursor + n : s->total);
    if (at == SIZE_MAX) {
        s->hopeless = n;
        s->freed = 0;
    }
    return at;
}

uint32_t posting_extents_reserve(struct posting_extents *s, size_t n, uint32_t near, bool only_near)
{
    size_t at = SIZE_MAX;

    if (near < s->total && n <= s->total - near && next_of(s, true, near, near + n) == near + n)
        at = near;
    else if (!only_near)
        at = search(s, n);
    if (at == SIZE_MAX)
        return PAGE_NONE;
    for (size_t p = at; p < at + n; p++)
        s->taken[p / 64] |= UINT64_C(1) << p % 64;
    s->n_free -= n;
    if (at != near)
        s->cursor = at + n;
    return (uint32_t)at;
}

void posting_extents_release(struct posting_extents *s, uint32_t page)
{
    const size_t w = page / 64;
    const uint64_t bit = UINT64_C(1) << page % 64;

    if ((s->durable[w] | s->frozen[w]) & bit) {
        s->pinned[w] |= bit;
        s->n_pinned++;
    } else {
        s->taken[w] &= ~bit;
        s->n_free++;
        s->freed++;
    }
}

bool posting_extents_claim(struct posting_extents *s, uint32_t page)
{
    if (page >= s->total || posting_extents_is_taken(s, page))
        return false;
    s->taken[page / 64] |= UINT64_C(1) << page % 64;
    s->n_free--;
    return true;
}

void posting_extents_pin(struct posting_extents *s, uint32_t page)
{
    s->frozen[page / 64] |= UINT64_C(1) << page % 64;
}

/* Frees the pinned pages that no snapshot refers to. */
static void unpin(struct posting_extents *s, size_t w)
{
    const uint64_t loose = s->pinned[w] & ~(s->durable[w] | s->frozen[w]);
    const size_t n = (size_t)__builtin_popcountll(loose);

    s->pinned[w] &= ~loose;
    s->taken[w] &= ~loose;
    s->n_pinned -= n;
    s->n_free += n;
    s->freed += n;
}

void posting_extents_ended(struct posting_extents *s, enum durable_outcome outcome)
{
    for (size_t w = 0; w < s->total / 64; w++) {
        if (outcome == DURABLE_DONE)
            s->durable[w] = s->frozen[w];
        else if (outcome == DURABLE_IN_DOUBT)
            s->durable[w] |= s->frozen[w];
        s->frozen[w] = 0;
        unpin(s, w);
    }
    s->hopeless = 0;
}
