/* record_state.h - what record.c and record_live.c share: a list in the making, and its live set.
 */
#ifndef DRIFTLINE_RECORD_STATE_H
#define DRIFTLINE_RECORD_STATE_H

#include "harness/record.h"
#include "harness/record_rows.h"

/* What the ids and filters of a runaway workload may take before it is stopped with a sentence. */
#define RECORD_BYTES_MAX ((size_t)4 << 30)

/* The rows that a search sees: all that are live, those of the last commit, or of a snapshot. */
struct sight {
    const uint64_t *bits;
    size_t words, live;
    const uint32_t *attributes; /* of ids below n_attributes; all others have none */
    size_t n_attributes;
};

struct record_pin {
    char *name;
    size_t op;
    uint64_t *bits;
    uint32_t *attributes; /* NULL: nobody has any */
    struct sight sight;
};

/* What the open transaction did to one id, to be undone in the opposite order. */
struct record_undo {
    uint64_t id, born;
    uint32_t attribute;
};

struct recorder {
    struct op_list *list;
    size_t ops_capacity, datasets_capacity;
    struct row_ids **row_ids; /* one a dataset, in its order */
    size_t row_ids_capacity;
    size_t ids_capacity;   /* of list->rows, born, attributes and, by 64, bits */
    uint64_t *bits, *born; /* live; position in the log of an id's latest insertion */
    uint32_t *attributes;
    uint64_t *log; /* ids in order of insertion */
    size_t log_n, log_head, log_capacity, live;
    size_t bytes; /* held by operations */
    uint64_t seed;
    bool metric_set, space_set, saved, changed;
    const char *space_of; /* the dataset that fixed dim and metric */
    /* The open transaction: as it was when it began. */
    bool in_transaction;
    size_t begun_at; /* its operation */
    uint64_t *before;
    size_t before_words, before_live, before_log_n, before_log_head;
    struct record_undo *undo;
    size_t undo_n, undo_capacity;
    struct record_pin *pins;
    size_t n_pins, pins_capacity;
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
int record_filter(struct recorder *, const struct allow *, const struct sight *, struct op *,
                  struct error *);

/* The operation, or NULL and err; undone, or counted, by record_op_end(). */
struct op *record_op(struct recorder *, enum op_kind, const struct step_note *, struct error *);
int record_op_end(struct recorder *, struct op *, int rc, const struct error *);

/* ---- record_versions.c */
/* The rows that are asked: as_of NULL, the last commit's. Sets op->as_of. `spare` is what was allocated for
   it, to be freed after use. */
int record_sight(struct recorder *, const char *as_of, struct op *, struct sight *, void **spare,
                 struct error *);
/* For what cannot be inside a transaction. */
int record_outside(const struct recorder *, struct error *);
/* An id is about to be inserted, or to get another attribute. false: out of memory. */
bool record_remember(struct recorder *, uint64_t id);
/* n attributes for op's ids, by the spec; NULL: those that the ids have, if any has one. */
int record_attributes(struct recorder *, const struct attribute_spec *, struct op *,
                      struct error *);
int record_not_begun(const struct recorder *, struct error *); /* OK unless a transaction is open */
void record_versions_free(struct recorder *);

#endif
