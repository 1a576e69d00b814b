/* internal.h - the recorder: a list that is being recorded, and its live set. Each file uses only
 * those before it: recorder.c, ids.c, select.c, attributes.c,
 * record_threads.c, record.c. */
#ifndef DRIFTLINE_WORKLOAD_INTERNAL_H
#define DRIFTLINE_WORKLOAD_INTERNAL_H

#include "src/workload/live_state.h"
#include "src/workload/record.h"

/* The limit for ids, filters and snapshots of a workload; past it, recording fails. */
#define RECORD_BYTES_MAX ((size_t)4 << 30)

enum { ROW_PAGE = 4096 };

struct recorder {
    struct op_list *list;
    size_t ops_capacity, datasets_capacity;
    /* The ids of rows, by dataset: from number / ROW_PAGE to an array of id + 1 of these rows, 0: none. */
    struct idmap *pages;
    size_t n_pages, pages_capacity;
    /* The rows as the next operation finds them: those of an open transaction among them. Its `past` are
       the snapshots that are held. */
    struct live_state now;
    uint64_t *born; /* by id: its latest insertion in the log */
    size_t born_capacity;
    uint64_t *log; /* ids in order of insertion */
    size_t log_n, log_head, log_capacity;
    size_t bytes; /* used by operations, of RECORD_BYTES_MAX */
    uint64_t seed;
    bool metric_set, saved, changed;
    const char *space_of; /* the dataset that determined dim and metric; NULL: none yet */
    bool in_transaction;
    size_t begun_at;          /* number of its begin operation */
    struct live_state before; /* the rows before it, which searches see; so are the following */
    size_t before_log_n, before_log_head;
    struct error first;
};

/* ---- recorder.c */

int record_no_memory(struct error *);
/* The number of a source in list->datasets. At its first use the source moves before those that no
   operation uses. */
size_t record_dataset(struct recorder *, const struct source *);
/* ERR_DIMENSION unless the view has the workload's dimension and metric; the first sets them. */
int record_check_space(struct recorder *, const struct view *, struct error *);
/* The same for rows to store. ERR_CONFIG if they are of a query set, unless options allow it. */
int record_check_stored(struct recorder *, const struct view *, const struct op_options *,
                        struct error *);

/* ERR_CONFIG inside a transaction, for operations that are not allowed there. */
int record_outside(const struct recorder *, struct error *);
/* Gives the operation these rows, and their number. */
void record_use_rows(struct recorder *, struct op *, struct view *);

/* ---- ids.c */

/* Memory for n ids of an operation, counted against RECORD_BYTES_MAX; NULL on failure. */
uint64_t *record_new_ids(struct recorder *, size_t n, struct error *);
/* Makes a view's rows live and writes their v->n ids. ERR_CONFIG if a row is already live. */
int record_make_live(struct recorder *, const struct view *, uint64_t *ids, struct error *);
void record_set_live(struct recorder *, uint64_t id, bool live);
/* The ids of a view's rows; INDEX_NO_ID for a row without one. */
void record_ids_of(struct recorder *, const struct view *, uint64_t *ids);
/* Returns ERR_CONFIG, "row ROW of DATASET (id ID) WHAT", for row i of the view. */
int record_fail_row(struct recorder *, const struct view *, size_t i, uint64_t id, const char *what,
                    struct error *);

/* ---- select.c */

size_t record_selected_n(const struct id_selector *);
/* Writes the chosen ids. ERR_CONFIG if an id is not live or occurs twice. With `remove` they are no
   longer live afterwards. */
int record_choose(struct recorder *, const struct id_selector *, bool remove, uint64_t *ids,
                  struct error *);
/* What searches of every kind have: the queries of the options, op's k, a filter, a snapshot. */
int record_ask(struct recorder *, struct op *, const struct op_options *, struct error *);
/* The snapshot's number in recorder.now.past; n_past: it is not held. */
size_t record_snapshot_of(const struct recorder *, const char *name);
const char *record_snapshot_name(const struct recorder *, size_t i);
/* Sets op->as_of. ERR_CONFIG: no snapshot of this name is held. */
int record_find_snapshot(const struct recorder *, const char *name, struct op *, struct error *);

/* ---- attributes.c */

/* Sets op->attributes by the specs. None: the present attributes of the ids, if any has one. */
int record_attributes(struct recorder *, const struct attribute_spec *, size_t n, struct op *,
                      struct error *);

/* Sets op->labels, for the op->n rows that are live. ERR_CONFIG if a row has no label. */
int record_labels(struct recorder *, const struct label_spec *, struct op *, struct error *);

/* ---- record_threads.c: OP_CONCURRENT and OP_MIX */

int record_concurrent(struct recorder *, struct op *, const struct op_options *, struct error *);
int record_mix(struct recorder *, struct op *, const struct op_options *, struct error *);

#endif
