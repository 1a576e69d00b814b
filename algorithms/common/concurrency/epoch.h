/* epoch.h - epoch-based reclamation (Fraser 2004), so that readers need no locks.
 *
 * A reader enters, follows pointers and numbers that writers publish with release stores, and
 * leaves. A writer unlinks an item and retires it; some time later epoch_collect() calls the item's
 * function, which frees it. No item is freed while a reader that entered before its retirement is
 * still inside. Retiring allocates nothing, because each item contains its own list entry. */
#ifndef DRIFTLINE_COMMON_CONCURRENCY_EPOCH_H
#define DRIFTLINE_COMMON_CONCURRENCY_EPOCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mem;
struct epoch;

/* NULL: out of memory. */
struct epoch *epoch_create(struct mem *);
/* Calls all items that are still retired. No reader may be inside. NULL is allowed. */
void epoch_destroy(struct epoch *);

/* Returns a ticket for epoch_leave(). Waits only if more than 128 readers are inside. A thread may
   enter twice. */
unsigned epoch_enter(struct epoch *);
void epoch_leave(struct epoch *, unsigned ticket);

/* A list entry of a retired item. The owner may reuse it from the call on. */
struct epoch_item {
    struct epoch_item *next;
    void (*call)(void *owner, struct epoch_item *);
    void *owner;
    uint64_t at;
};
/* Allocates nothing, does not wait and calls nothing, so it may be used under any lock, inside the
   epoch, and in an item's function. */
void epoch_retire(struct epoch *, struct epoch_item *,
                  void (*call)(void *owner, struct epoch_item *), void *owner);
/* Calls the items that no reader can hold any more, in the order of retirement. Use it under no
   lock that such a call takes. Cheap if there are none. */
void epoch_collect(struct epoch *);
/* mark: the current moment; wait: until every reader that entered before it has left. Not from
   inside; cheap if there is none. */
uint64_t epoch_mark(struct epoch *);
void epoch_wait(struct epoch *, uint64_t mark);
/* Whether epoch_wait() would return at once. */
bool epoch_passed(struct epoch *, uint64_t mark);
/* Waits for all current readers and then collects: when it returns, every item retired before the
   call has been called, also by other threads. Not from inside, nor from an item's function. */
void epoch_drain(struct epoch *);

/* Arrays that contain their own item, of n * each bytes, contents undefined. NULL: out
   of memory. */
void *epoch_array(struct mem *, size_t n, size_t each);
void epoch_array_retire(struct epoch *, struct mem *, void *);
/* Frees at once: no reader may hold it. NULL is allowed. */
void epoch_array_free(struct mem *, void *);

#endif
