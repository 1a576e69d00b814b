/* crash_history.h - the operations on an index and their results, kept across the death of the
 * process, and the states that the index may have afterwards.
 *
 * A row is known by its id and its generation: how often the id was inserted. A state is the
 * generation that each id has, 0: none. History lies in memory that parent and child share.
 */
#ifndef DRIFTLINE_CRASH_HISTORY_H
#define DRIFTLINE_CRASH_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CRASH_IDS = 96, CRASH_OPS = 64 };

/* What an operation that returned OK survives. */
enum crash_durability {
    CRASH_SAVED,   /* nothing, before save() */
    CRASH_WRITTEN, /* the end of the process; the last checkpoint survives a power cut */
    CRASH_SYNCED,  /* a power cut */
};

enum crash_kind { CRASH_UPDATE, CRASH_OTHER, CRASH_SAVE, CRASH_RELOAD };

struct crash_op {
    int kind;
    size_t n;
    uint64_t ids[CRASH_IDS];
    uint8_t after[CRASH_IDS]; /* generation of each, once it took effect */
    bool atomic;              /* all of them or none, after a crash too */
    bool begun, ok;
};

typedef uint8_t crash_state[CRASH_IDS];

struct crash_history {
    enum crash_durability durability;
    crash_state generations; /* the newest that each id ever had */
    /* Since the index was last opened: state i is before operation i, and is expected to be the one
       after i - 1. */
    size_t n;
    struct crash_op ops[CRASH_OPS];
    crash_state states[CRASH_OPS + 1];
    bool cut;     /* the power went since then */
    bool existed; /* an index was there for certain, in this life or one before */
};

/* The index was opened, and found in this state. */
void crash_opened(struct crash_history *, const crash_state found);
/* An operation begins; the caller fills in what it is, and `begun` last. NULL: no more fit. */
struct crash_op *crash_begin_op(struct crash_history *);
/* It ended; `done` of its ids took effect. */
void crash_end_op(struct crash_history *, bool ok, size_t done);
/* It was a reload, and this was found. */
void crash_end_reload(struct crash_history *, const crash_state found);

static inline const uint8_t *crash_now(const struct crash_history *h)
{
    return h->states[h->n];
}

/* Whether the index may be found like this: `reload`: after it was closed in a sound machine, or
   its process ended; else after a power cut. If not, *id is one that shows it. */
bool crash_allows(const struct crash_history *, const crash_state found, bool reload, uint64_t *id);
/* What was done since the index was opened, and what an id had after each operation. */
void crash_print(const struct crash_history *, uint64_t id, FILE *);
/* Whether there may be no index at all. */
bool crash_allows_none(const struct crash_history *, bool reload);

#endif
