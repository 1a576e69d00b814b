/* epoch.h - readers without locks: what a writer has taken out of use is given back when no reader
 * that may have seen it is left.
 *
 * A reader enters, follows pointers and numbers that writers publish with release stores, and
 * leaves. A writer unlinks, retires, and some time later epoch_collect() calls the retired thing's
 * function. Nothing is ever freed while a reader who entered before its retirement is still inside
 * (epoch-based reclamation, Fraser 2004). Retiring needs no memory: what is retired has its place
 * in the list of such with it, from the day on which it was made.
 */
#ifndef DRIFTLINE_EPOCH_H
#define DRIFTLINE_EPOCH_H

#include <stddef.h>
#include <stdint.h>

struct mem;
struct epoch;

/* NULL: out of memory. */
struct epoch *epoch_create(struct mem *);
/* Calls what is still retired. No reader is inside. NULL is allowed. */
void epoch_destroy(struct epoch *);

/* A ticket to be handed to epoch_leave(). Waits only where more than 128 readers are inside. A
   thread may be inside twice. */
unsigned epoch_enter(struct epoch *);
void epoch_leave(struct epoch *, unsigned ticket);

/* A place in the list of what is retired; the owner's again when it is called. */
struct epoch_item {
    struct epoch_item *next;
    void (*call)(void *owner, struct epoch_item *);
    void *owner;
    uint64_t at;
};
/* Allocates nothing, waits for nobody and calls nothing, so it may be called under any lock, from
   inside and from a retired thing's function. */
void epoch_retire(struct epoch *, struct epoch_item *,
                  void (*call)(void *owner, struct epoch_item *), void *owner);
/* Calls what no reader can hold any more, in the order of retirement; to be called under no lock that
   such a call takes. Cheap where there is nothing. */
void epoch_collect(struct epoch *);
/* A moment, and a wait until no reader is inside who entered before it. Not from inside; cheap where
   there is none. */
uint64_t epoch_mark(struct epoch *);
void epoch_wait(struct epoch *, uint64_t mark);
/* The same, having waited for the readers of now: whatever was retired before has been called when it
   returns, by other threads too. Not from inside, nor from a retired thing's function. */
void epoch_drain(struct epoch *);

/* Blocks that readers follow, with an item of their own: n * each bytes, contents undefined. NULL:
   out of memory. */
void *epoch_array(struct mem *, size_t n, size_t each);
void epoch_array_retire(struct epoch *, struct mem *, void *);
/* At once: no reader has it. NULL is allowed. */
void epoch_array_free(struct mem *, void *);

#endif
