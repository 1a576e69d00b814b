/* record.h - records a workload as a list of operations with fixed rows and ids.
 *
 * The config's workload function runs once and calls record_operation(); replay.c then runs the same list
 * for every cell. Ids are assigned from 0 in order of first insertion. A row that is inserted again
 * after its deletion gets its old id. */
#ifndef DRIFTLINE_WORKLOAD_RECORD_H
#define DRIFTLINE_WORKLOAD_RECORD_H

#include "src/core/rng.h"
#include "src/workload/op.h"

/* Each call checks its rows and ids against the live set at that time. Messages number rows from 1
 * and do not have FILE:LINE, which the caller adds. After a failure, all further calls and
 * recorder_finish() fail with the first error. */
struct recorder;

/* Selects live ids for an operation by exactly one of these. */
struct id_selector {
    const struct view *rows; /* the ids of these rows */
    const uint64_t *ids;
    size_t n_ids;
    size_t random, oldest; /* how many live ids; oldest by their latest insertion */
};

/* Allows ids in a search by exactly one of these; only live ids pass. */
struct filter_spec {
    const char *tag; /* the ids of all inserts with this tag */
    double fraction; /* 0 < fraction <= 1 of the live ids, at random */
    const uint64_t *ids;
    size_t n_ids;
};

/* One field of inserted rows: the given values, uniform reals, or classes drawn by a Zipf law with
   exponent skew (0: uniform), of which class 0 is the most frequent. */
struct attribute_spec {
    const char *name;
    enum attribute_type type;
    size_t classes; /* 0: none */
    double skew;
    const double *uniform; /* low, high; NULL: none */
    const int64_t *values; /* numbers as in struct attribute_field, but of `words` here */
    size_t n_values;
    const char *const *words; /* FIELD_TEXT: distinct; a class or value is a position in it */
    size_t n_words;
    double missing; /* share of the rows that get no value, at random */
};

/* Labels of rows: a part of their data sets with one number per row. */
struct label_spec {
    const char *part; /* its name, for messages */
    const struct label_part {
        const struct source *rows, *labels;
    } * parts; /* of each data set that has it */
    size_t n;
};

/* What a workload asks of an operation: fields of struct op, which are copied except for `rows` and
   `writes`, and how it is recorded. */
struct op_options {
#define DECLARE_NUMBER(type, name)       type name;
#define DECLARE_REAL(name)               double name;
#define DECLARE_TEXT(name)               const char *name;
#define DECLARE_VIEW(name)               struct view *name;
#define DECLARE_ARRAY(type, name, count) const type *name;
    OP_FIELDS(DECLARE_NUMBER, DECLARE_REAL, DECLARE_TEXT, DECLARE_VIEW, DECLARE_ARRAY)
#undef DECLARE_NUMBER
#undef DECLARE_REAL
#undef DECLARE_TEXT
#undef DECLARE_VIEW
#undef DECLARE_ARRAY
    /* insert: one per field, at most INDEX_ATTRIBUTES_MAX. A field that has no spec here has no value in these rows. */
    const struct attribute_spec *specs;
    size_t n_specs;
    struct id_selector which;  /* delete update; concurrent: what the writers remove, or none */
    struct filter_spec filter; /* search range: all zero: none */
    struct label_spec classes; /* cluster: part NULL: none */
    bool allow_queries;        /* rows of a query set may be inserted or trained on */
    const char *snapshot;      /* search: the rows of this one; NULL: the present */
    bool oldest;               /* mix: the oldest rows are deleted; else random ones */
    const char *replay; /* mix: the file of orders (op_order.h) whose part is replayed; or NULL */
};

int recorder_new(struct recorder **, struct error *);
/* Sets the seed of random choices. Called before the first operation. */
void recorder_set_seed(struct recorder *, uint64_t seed);
void recorder_free(struct recorder *);
/* Sets the metric; without this call it is the first view's. Called before the first operation. */
void recorder_set_metric(struct recorder *, enum metric);
/* Takes ownership of the source, also on failure. sha256: "" if unknown. */
int recorder_source_take(struct recorder *, struct source *, const char *name, const char *sha256,
                         struct error *);

/* Records the next operation:
 *
 *   OP_TRAIN, OP_INSERT     `rows`, with attributes by `specs`. ERR_CONFIG: a field of another type, or more
 *                           than INDEX_ATTRIBUTES_MAX fields
 *   OP_DELETE               `which`
 *   OP_UPDATE               gives the ids of `which` new vectors, `rows`. The row first inserted with an id
 *                           still selects it
 *   OP_SEARCH, OP_RANGE     `rows` are the queries
 *   OP_CLUSTER              of the live rows; `rows`: queries, or NULL. target 0: by level
 *   OP_CONCURRENT           threads search `rows` and insert `writes`, or NULL. `which`: as many ids as there
 *                           are writes, all live before the operation
 *   OP_MIX                  searches of `rows` with changes (op_sequence.h); `writes`: rows to insert and of
 *                           updates, or NULL. ERR_CONFIG: they do not suffice. With `replay` also errors of
 *                           op_order_read() and op_order_take(); the n-th such mix of a tag takes the n-th
 *                           part with that tag
 *   OP_SET                  changes options of the methods' indexes to `settings`
 *   OP_RELOAD               loads the last save; an error if rows or options have changed since
 *   OP_RECOVER              from the index's own files, as after a crash
 *   OP_BEGIN, OP_COMMIT, OP_ROLLBACK   of a transaction: inside one, only changes of rows and searches are
 *                           allowed. A rollback restores the live set. A row that the transaction inserted
 *                           keeps its id for a later insertion
 *   OP_SNAPSHOT             names the present live set, until OP_RELEASE
 *   OP_SAVE, OP_MAINTAIN, OP_INSPECT, OP_CHECKPOINT */
int record_operation(struct recorder *, enum op_kind, const struct op_options *, struct error *);
/* The ids of the last operation, an insert: those of its rows in order are *first .. *last. Returns
   false if they are not consecutive, because some rows had ids from an earlier insertion. */
bool recorder_inserted(const struct recorder *, uint64_t *first, uint64_t *last);
/* The number of live ids; inside a transaction, as after its commit. */
size_t recorder_live(const struct recorder *);
/* The list recorded so far. */
const struct op_list *recorder_list(const struct recorder *);
/* Gives the list to the caller. Frees the recorder, also on failure. ERR_CONFIG if
   the workload is empty. */
int recorder_finish(struct recorder *, struct op_list **, struct error *);

#endif
