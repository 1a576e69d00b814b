/* op.h - the operations of a workload, and a recorded list of them.
 *
 *   1 kinds   2 one operation   3 the list */
#ifndef DRIFTLINE_WORKLOAD_OP_H
#define DRIFTLINE_WORKLOAD_OP_H

#include <stdbool.h>

#include "src/core/idmap.h"
#include "src/core/index.h"
#include "src/workload/view.h"

/* 1. Kinds */

enum op_kind {
#define OP(KIND, name, steps, rows, flags) OP_##KIND,
#include "src/workload/ops.def"
#undef OP
    OP_KINDS
};

/* What an operation does to the rows of its ids: nothing, insert, delete, update. */
enum op_rows { ROWS_STAY, ROWS_COME, ROWS_GO, ROWS_CHANGE };
/* Flags; ops.def explains them. */
enum {
    OP_ASKS = 1,
    OP_AT_POINTS = 2,
    OP_COMPARED = 4,
    OP_ANSWERED = 8,
    OP_BUILDS = 16,
    OP_THREADS = 32
};

struct op_info {
    const char *name;
    enum op_rows rows;
    unsigned flags;
};

/* What an operation of a mix is; the order of op->shares. */
enum mix_kind { MIX_SEARCH, MIX_INSERT, MIX_DELETE, MIX_UPDATE, MIX_KINDS };
extern const char *const op_mix_kind_names[MIX_KINDS]; /* "search" "insert" "delete" "update" */
/* Every operation of a mix is drawn when it is recorded, and again in each cell. */
#define OP_OPERATIONS_MAX 100000000
enum query_choice { QUERY_UNIFORM, QUERY_ZIPF, QUERY_LATEST, QUERY_HOTSPOT, QUERY_DRIFT };
enum mix_arrivals { MIX_CONSTANT, MIX_POISSON, MIX_BURST, MIX_RECORDED };

/* 2. One operation */

/* The list of all fields of an operation. It declares struct op, op_free() frees by it, and key.c
 * hashes it, so that a cell's key cannot miss a field.
 *
 *   NUMBER(type, name)   REAL(name): a double   TEXT(name): a string or NULL   VIEW(name): its rows
 *   ARRAY(type, name, count): owned, or NULL; count is an expression over `op`
 *
 * singles   this many evenly spaced ids get a call each, for latency
 * pending   the operation is inside a transaction, and takes effect with the commit. Until then
 *           searches see the rows of the last commit
 * cold      the page cache of the index's files is dropped before each call
 * repeated  the workload repeats its queries on purpose: cached answers are not excluded
 * planted   this many rows were planted near each query
 * labels    the class, counted from 0, of each of the n live ids, ascending
 * writes    rows that threads insert, ids[i] being the id of row i; removes has the ids that they
 *           delete. Changes that they do not reach in time are made afterwards, so that the live
 *           set is the same for every method. Change c of n + n_removes - n_pairs is
 *
 *             c < n - n_pairs   the insertion of row c
 *             c < n             a pair: the removal of removes[c - (n - n_pairs)], then the
 *                               insertion of row c. concurrent: a replacement, with a new id;
 *                               mix: an update, with the same id
 *             else              the removal of removes[c - (n - n_pairs)]
 *
 *           All ids in removes are live before the operation, and each is there once */
#define OP_FIELDS(NUMBER, REAL, TEXT, VIEW, ARRAY)     \
    OP_FIELDS_ALL(NUMBER, REAL, TEXT, VIEW, ARRAY)     \
    OP_FIELDS_ROWS(NUMBER, REAL, TEXT, VIEW, ARRAY)    \
    OP_FIELDS_QUERIES(NUMBER, REAL, TEXT, VIEW, ARRAY) \
    OP_FIELDS_THREADS(NUMBER, REAL, TEXT, VIEW, ARRAY) \
    OP_FIELDS_MIX(NUMBER, REAL, TEXT, VIEW, ARRAY)     \
    OP_FIELDS_OTHERS(NUMBER, REAL, TEXT, VIEW, ARRAY)

/* All operations. */
#define OP_FIELDS_ALL(NUMBER, REAL, TEXT, VIEW, ARRAY)                                           \
    NUMBER(enum op_kind, kind)                                                                   \
    TEXT(tag)                  /* NULL: none */                                                  \
    NUMBER(int, line)          /* of the config, or of `file` */                                 \
    TEXT(file)                 /* what the config requires, such as long_life.lua; NULL: none */ \
    NUMBER(size_t, n)          /* rows or ids the operation is about */                          \
    VIEW(rows)                 /* to train on, to insert, new vectors, or queries; NULL: none */ \
    NUMBER(size_t, live_after) /* ids live when it is done */

/* insert delete update */
#define OP_FIELDS_ROWS(NUMBER, REAL, TEXT, VIEW, ARRAY)                                       \
    ARRAY(uint64_t, ids, op->n) /* insert: ids[i] is row i's; concurrent mix: of writes */    \
    /* insert update: records of the op list's first n_fields fields; NULL: rows have none */ \
    ARRAY(int64_t, attributes, op->n * op->n_fields)                                          \
    NUMBER(size_t, n_fields)                                                                  \
    NUMBER(size_t, batch)                 /* ids a call; 0: all in one call */                \
    NUMBER(size_t, singles)               /* insert delete; 0: none */                        \
    NUMBER(bool, pending)                 /* it waits for the commit */                       \
    NUMBER(size_t, n_chunks)              /* insert: views of a stream; 0: it is not one */   \
    ARRAY(uint64_t, chunks, op->n_chunks) /* rows of each */

/* search range cluster concurrent mix */
#define OP_FIELDS_QUERIES(NUMBER, REAL, TEXT, VIEW, ARRAY)                               \
    NUMBER(size_t, k)       /* search concurrent mix; cluster: 1 */                      \
    REAL(radius)            /* range */                                                  \
    NUMBER(size_t, planted) /* range; 0: unknown */                                      \
    NUMBER(bool, cold)      /* search */                                                 \
    NUMBER(bool, clusters)  /* search: of the answers, too */                            \
    NUMBER(bool, repeated)                                                               \
    /* search range: allowed ids, as struct id_filter; NULL: all */                      \
    ARRAY(uint64_t, filter_bits, op->filter_ids / 64 + 1)                                \
    NUMBER(uint64_t, filter_ids)                                                         \
    /* search: conditions on attributes (index.h); filter_bits has the rows that pass */ \
    NUMBER(size_t, n_where)                                                              \
    NUMBER(size_t, n_where_values)                                                       \
    ARRAY(struct attribute_condition, where, op->n_where)                                \
    ARRAY(int64_t, where_values, op->n_where_values)                                     \
    NUMBER(size_t, as_of) /* search release: its snapshot's operation, plus one; 0: now */

/* concurrent mix; insert: rate */
#define OP_FIELDS_THREADS(NUMBER, REAL, TEXT, VIEW, ARRAY)                                                \
    NUMBER(size_t, writers) /* concurrent: threads */                                                     \
    NUMBER(size_t, readers) /* concurrent: threads */                                                     \
    REAL(seconds)           /* 0: until all operations are done */                                        \
    /* Operations per second, concurrent: of each thread, mix: of all. insert: rows that arrive per     \
       second; each batch is inserted when its last row has arrived. 0: unpaced */ \
    REAL(rate)                                                                                            \
    NUMBER(bool, alone) /* its searches run alone first */                                                \
    VIEW(writes)                                                                                          \
    NUMBER(size_t, n_removes)                                                                             \
    NUMBER(size_t, n_pairs)                                                                               \
    ARRAY(uint64_t, removes, op->n_removes) /* NULL: nothing is removed */

/* mix; op_sequence.h has what they mean */
#define OP_FIELDS_MIX(NUMBER, REAL, TEXT, VIEW, ARRAY)                                    \
    NUMBER(size_t, threads)                                                               \
    NUMBER(size_t, operations)       /* of all threads; 0: as many as fit into seconds */ \
    ARRAY(double, shares, MIX_KINDS) /* of each kind; their sum is 1 */                   \
    NUMBER(enum mix_arrivals, arrivals)                                                   \
    NUMBER(size_t, burst) /* operations that are due at once */                           \
    NUMBER(size_t, n_due)                                                                 \
    ARRAY(uint64_t, due_ns, op->n_due) /* MIX_RECORDED: ascending, from the start */      \
    NUMBER(enum query_choice, choice)                                                     \
    REAL(until_found)    /* the share of insertions whose row is then searched for */     \
    REAL(maintain_every) /* seconds; 0: no maintenance beside the operations */           \
    REAL(skew)           /* QUERY_ZIPF, QUERY_LATEST */                                   \
    NUMBER(uint64_t, seed)                                                                \
    REAL(limit_ms)         /* of latency; 0: none */                                      \
    REAL(find_p99_ms)      /* the rate is found by this limit; 0: it is not */            \
    REAL(find_share)       /* the rate is this share of a closed loop's; 0: it is not */  \
    NUMBER(bool, recorded) /* the order of its operations is stored (op_order.h) */       \
    NUMBER(size_t, n_order)                                                               \
    ARRAY(uint64_t, order, op->n_order) /* operations begin in this order; NULL: freely */

#define OP_FIELDS_OTHERS(NUMBER, REAL, TEXT, VIEW, ARRAY)                                        \
    NUMBER(size_t, level)          /* cluster */                                                 \
    NUMBER(size_t, target)         /* cluster: clusters wanted; 0: level decides */              \
    ARRAY(uint32_t, labels, op->n) /* cluster; NULL: none */                                     \
    NUMBER(uint64_t, budget)       /* maintain */                                                \
    NUMBER(size_t, back)           /* commit rollback: its begin is this many operations back */ \
    TEXT(name)                     /* snapshot release: of the snapshot */                       \
    TEXT(settings)                 /* set: a JSON object, options and their new values */        \
    NUMBER(size_t, depth)          /* inspect: levels below the root; 0: all */                  \
    NUMBER(bool, with_ids)         /* inspect */

struct op {
#define DECLARE_NUMBER(type, name)       type name;
#define DECLARE_REAL(name)               double name;
#define DECLARE_TEXT(name)               char *name;
#define DECLARE_VIEW(name)               struct view *name;
#define DECLARE_ARRAY(type, name, count) type *name;
    OP_FIELDS(DECLARE_NUMBER, DECLARE_REAL, DECLARE_TEXT, DECLARE_VIEW, DECLARE_ARRAY)
#undef DECLARE_NUMBER
#undef DECLARE_REAL
#undef DECLARE_TEXT
#undef DECLARE_VIEW
#undef DECLARE_ARRAY
};

/* The file of its line, for messages: "config line 9". */
static inline const char *op_file(const struct op *op)
{
    return op->file ? op->file : "config";
}

/* The name in Lua and in result.json. */
const char *op_name(enum op_kind);
/* The kind of that name; OP_KINDS: there is none, as in the result of another version. */
enum op_kind op_named(const char *name);
/* The tag; the name if the operation has no tag. */
const char *op_tag(const struct op *);
const struct op_info *op_info(enum op_kind);
/* Whether it inserts, deletes or updates rows. */
static inline bool op_changes_rows(const struct op *op)
{
    return op_info(op->kind)->rows != ROWS_STAY;
}
/* Whether an index can be built again in its place: no answer and no file of it is waited for. */
static inline bool op_can_rebuild(const struct op *op)
{
    return (op_info(op->kind)->flags & OP_BUILDS) || op_changes_rows(op);
}
/* The rows that the operation assigns to its ids by an insert or update; NULL for others. */
const struct view *op_new_rows(const struct op *);
/* concurrent mix: the number of changes, and what change c of them is (OP_FIELDS). */
size_t op_changes(const struct op *);
enum mix_kind op_change_kind(const struct op *, size_t c);
/* Frees the fields; the struct belongs to the list. */
void op_free(struct op *);

/* 3. The list */

struct dataset_use {
    char *name; /* catalog name, path, or "synthetic mixture ..." */
    struct source *source;
    char sha256[65]; /* of the downloaded file if known, else "xxh64:" and a content hash */
};

enum attribute_type { FIELD_INTEGER, FIELD_REAL, FIELD_TEXT };

/* A field of the rows' attributes. Its numbers (index.h, section 9) are integers as they are, those
   of index_attribute_of_real(), or positions in `words`. */
struct attribute_field {
    char *name;
    enum attribute_type type;
    char **words; /* FIELD_TEXT: distinct, in order of first use */
    size_t n_words, words_capacity;
    struct idmap word_of; /* hash of a word -> its position */
};

struct op_list {
    struct op *ops;
    size_t n;
    struct dataset_use *datasets; /* owned; each source once, in order of first use */
    size_t n_datasets;
    size_t n_opened; /* entries from n_datasets to n_opened - 1 are not used by any operation */
    size_t dim;
    enum element element; /* of the data as recorded */
    enum metric metric;   /* config `metric`, or the first dataset's own */
    size_t n_ids, max_live, max_queries, max_k;
    struct attribute_field fields[INDEX_ATTRIBUTES_MAX]; /* n_fields, in order of first use */
    size_t n_fields;
};

void op_list_free(struct op_list *);

const char *op_field_type_name(enum attribute_type); /* "integers" "reals" "texts" */
/* The field of this name; NULL: no insert so far has it. */
const struct attribute_field *op_list_field(const struct op_list *, const char *name);
uint64_t op_word_hash(const char *word); /* the key in word_of */
/* Whether the field has the word; sets its number. */
bool op_field_word(const struct attribute_field *, const char *word, int64_t *number);
/* The conditions of a search, such as "price 10 .. 20, colour red | blue", cut to the buffer. */
void op_where_text(const struct op_list *, const struct op *, char *text, size_t bytes);
/* Widens the records of all operations to all fields of the list. false: out of memory. */
bool op_fields_widen(struct op_list *);
void op_fields_free(struct op_list *);

#endif
