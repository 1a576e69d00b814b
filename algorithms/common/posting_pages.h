/* posting_pages.h - which pages of a block file are in use, free, or parked.
 *
 * Parked pages belong to no posting any more, but the last durable snapshot (or the frozen one that may
 * become it) refers to them, so a crash would want them back: they are used again when a snapshot
 * without them is durable. Next fit for runs: what is written together lies together.
 */
#ifndef DRIFTLINE_POSTING_PAGES_H
#define DRIFTLINE_POSTING_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;

#define PAGE_NONE UINT32_MAX

struct page_space {
    struct mem *mem;
    uint64_t *taken;   /* bit by page: not free. The block of all four */
    uint64_t *parked;  /* taken, and waits for a snapshot */
    uint64_t *durable; /* the durable snapshot refers to it */
    uint64_t *frozen;  /* the frozen one does */
    size_t total;      /* pages, a multiple of 64 */
    size_t n_free, n_parked;
    size_t cursor;   /* where the next search starts */
    size_t hopeless; /* no run of so many was found; 0: unknown */
    size_t freed;    /* pages given back since */
};

void space_init(struct page_space *, struct mem *);
void space_free(struct page_space *);
/* At least `total` pages. false: out of memory, unchanged. */
bool space_grow(struct page_space *, size_t total);
size_t space_bytes(const struct page_space *);
/* How far to grow so that a run of n fits for certain: by a sixteenth at least, as a file of holes costs
   nothing. */
size_t space_wish(const struct page_space *, size_t n);

/* n >= 1 pages in a row, if possible from `near` on (PAGE_NONE: anywhere); with `only_near`, there or
   nowhere. PAGE_NONE: there are none. */
uint32_t space_take(struct page_space *, size_t n, uint32_t near, bool only_near);
/* A given page is free, that is free or parked. */
void space_give(struct page_space *, uint32_t page);
/* For resume: false where it is taken already. */
bool space_claim(struct page_space *, uint32_t page);

/* Frozen pages: thaw(), then mark each. */
void space_mark(struct page_space *, uint32_t page);
/* The marked pages are the durable ones, and what was parked for others is free. */
void space_durable(struct page_space *);
/* The marked pages are durable ones too. */
void space_keep_both(struct page_space *);
/* No page is marked, and what was parked for the marks is free. */
void space_thaw(struct page_space *);

static inline bool space_is_taken(const struct page_space *s, uint32_t page)
{
    return page < s->total && (s->taken[page / 64] >> page % 64 & 1);
}
static inline bool space_is_parked(const struct page_space *s, uint32_t page)
{
    return page < s->total && (s->parked[page / 64] >> page % 64 & 1);
}

#endif
