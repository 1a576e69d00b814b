/* extents_internal.h - which pages of a block file are in use, free, or pinned.
 *
 * Pinned pages belong to no posting any more, but the last durable snapshot (or the frozen one that
 * may become it) refers to them, so recovery from a crash would need them. They become free when a
 * snapshot without them is durable. Runs are allocated next fit, so that pages written together are
 * close to each other. */
#ifndef DRIFTLINE_COMMON_POSTINGS_EXTENTS_INTERNAL_H
#define DRIFTLINE_COMMON_POSTINGS_EXTENTS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "algorithms/common/durable/durable.h"

struct mem;

#define PAGE_NONE UINT32_MAX

struct posting_extents {
    struct mem *mem;
    uint64_t *taken;   /* bit per page: not free. Start of the allocation of all four */
    uint64_t *pinned;  /* taken, and waiting for a snapshot */
    uint64_t *durable; /* the durable snapshot refers to it */
    uint64_t *frozen;  /* the frozen one does */
    size_t total;      /* pages, a multiple of 64 */
    size_t n_free, n_pinned;
    size_t cursor;   /* where the next search starts */
    size_t hopeless; /* no run of this many was found; 0: unknown */
    size_t freed;    /* pages freed since */
};

void posting_extents_init(struct posting_extents *, struct mem *);
void posting_extents_free(struct posting_extents *);
/* Grows to at least `total` pages. false: out of memory, unchanged. */
bool posting_extents_grow(struct posting_extents *, size_t total);
size_t posting_extents_bytes(const struct posting_extents *);
/* The total to grow to so that a run of n certainly fits: a sixteenth more at least, because the
   file's holes take no disk space. */
size_t posting_extents_grown(const struct posting_extents *, size_t n);

/* Takes n >= 1 consecutive pages, if possible from `near` on (PAGE_NONE: anywhere); with
   `only_near`, there or nowhere. Returns the first page; PAGE_NONE: there is no such run. */
uint32_t posting_extents_reserve(struct posting_extents *, size_t n, uint32_t near, bool only_near);
/* Gives back a page: it becomes pinned if a snapshot refers to it, else free. */
void posting_extents_release(struct posting_extents *, uint32_t page);
/* For resume: takes the page. false: it is already taken. */
bool posting_extents_claim(struct posting_extents *, uint32_t page);

/* Marks a page as frozen, after the last snapshot has ended. */
void posting_extents_pin(struct posting_extents *, uint32_t page);
/* A snapshot has ended: the frozen pages become the durable ones, are added to them if it is in
   doubt, or are frozen no more. Frees pages that were pinned for others. */
void posting_extents_ended(struct posting_extents *, enum durable_outcome);

static inline bool posting_extents_is_taken(const struct posting_extents *s, uint32_t page)
{
    return page < s->total && (s->taken[page / 64] >> page % 64 & 1);
}
static inline bool posting_extents_is_pinned(const struct posting_extents *s, uint32_t page)
{
    return page < s->total && (s->pinned[page / 64] >> page % 64 & 1);
}

#endif
