/* record_state.h - what record.c and record_live.c share: a list in the making, and its live set.
 */
#ifndef DRIFTLINE_RECORD_STATE_H
#define DRIFTLINE_RECORD_STATE_H

#include "harness/record.h"
#include "harness/record_rows.h"

/* What the ids and filters of a runaway workload may take before it is stopped with a sentence. */
#define RECORD_BYTES_MAX ((size_t)4 << 30)

struct recorder {
    struct op_list *list;
    size_t ops_capacity, datasets_capacity;
    struct row_ids **row_ids; /* one a dataset, in its order */
    size_t row_ids_capacity;
    size_t ids_capacity;   /* of list->rows, born and, by 64, bits */
    uint64_t *bits, *born; /* live; position in the log of an id's latest insertion */
    uint64_t *log;         /* ids in order of insertion */
    size_t log_n, log_head, log_capacity, live;
    size_t bytes; /* held by operations */
    uint64_t seed;
    bool metric_set, space_set, saved, changed;
    const char *space_of; /* the dataset that fixed dim and metric */
    struct error first;
};

/* Makes *array_ptr hold need elements, at least doubling. false: out of memory, unchanged. */
bool record_grow(void *array_ptr, size_t *capacity, size_t need, size_t element_bytes);
int record_no_memory(struct error *);

/* The number of a source in the list; at its first use it moves before those that no operation uses
 * yet. */
size_t record_dataset(struct recorder *, const struct source *);

/* Room for n ids of an operation, counted against RECORD_BYTES_MAX. NULL: err says why. */
uint64_t *record_new_ids(struct recorder *, size_t n, struct error *);
/* Names a view's rows into ids (v->n of them) and makes them live; an error where one is already.
 */
int record_make_live(struct recorder *, const struct view *, uint64_t *ids, struct error *);
bool record_is_live(const struct recorder *, uint64_t id);
size_t record_choice_n(const struct choice *);
/* The chosen ids, each live and none twice; with `remove` they are live no longer. */
int record_choose(struct recorder *, const struct choice *, bool remove, uint64_t *ids,
                  struct error *);
/* Sets op's filter; allow NULL: none. */
int record_filter(struct recorder *, const struct allow *, struct op *, struct error *);

#endif
