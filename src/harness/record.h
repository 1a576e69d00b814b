/* record.h - the workload as a list of operations, with every row and every id fixed.
 *
 * The config's workload function runs once and calls record_*(); replay.c then runs the same list
 * for every cell. Ids are given in order of first insertion, from 0; a row inserted again after its
 * deletion gets its old id.
 */
#ifndef DRIFTLINE_RECORD_H
#define DRIFTLINE_RECORD_H

#include <jansson.h>
#include <stdbool.h>

#include "../core/rng.h"
#include "view.h"

enum op_kind {
    OP_TRAIN,
    OP_INSERT,
    OP_DELETE,
    OP_UPDATE,
    OP_SEARCH,
    OP_RANGE,
    OP_MAINTAIN,
    OP_SAVE,
    OP_RELOAD,
    OP_CONCURRENT,
    OP_CHECKPOINT,
    OP_RECOVER,
    OP_BEGIN,
    OP_COMMIT,
    OP_ROLLBACK,
    OP_SNAPSHOT,
    OP_RELEASE,
    OP_KINDS
};
const char *op_name(enum op_kind); /* "train" "insert" ... as in Lua and in result.json */
struct op;
const char *op_tag(const struct op *); /* an untagged operation goes by its name */

/* Every field of an operation, once: struct op is declared from this list, and plan_key.c hashes the
 * same list, so that a cell's key cannot miss a field. How it is hashed:
 *
 *   NUMBER(type, name)   REAL(name): a double   TEXT(name): a string or NULL   VIEW(name): its rows
 *   ARRAY(type, name, count): owned, or NULL; count is an expression over `op`
 *
 * singles: so many evenly spaced ids go in calls of their own, for latency.
 * cold: the page cache of the index's files is dropped before each call.
 * repeated: the study is of queries asked again, so that remembered answers count.
 * planted: so many rows were planted about each query.
 * rate: operations a second a thread from their intended start.
 * writes: rows the writers insert; ids has theirs. What they did not reach in time is inserted after
 *   it, so that the live set is the same for every method.
 * removes: writing row i is to remove removes[i], then to insert it.
 * pending, back: inside a transaction, what is inserted, deleted and updated is so from its commit
 *   on, if it comes to one, and until then everything else sees the rows of the last commit. */
#define OP_FIELDS(NUMBER, REAL, TEXT, VIEW, ARRAY)                                              \
    NUMBER(enum op_kind, kind)                                                                  \
    TEXT(tag)         /* NULL: none */                                                          \
    NUMBER(int, line) /* in the config */                                                       \
    VIEW(rows)        /* train insert update search range concurrent(queries); else NULL */     \
    ARRAY(uint64_t, ids, op->n) /* insert delete update; insert: ids[i] is row i's */           \
    NUMBER(size_t, n)           /* rows or ids the operation is about */                        \
    NUMBER(size_t, batch)       /* insert delete update: ids a call; 0: all in one call */      \
    NUMBER(size_t, singles)     /* insert delete; 0: none */                                    \
    NUMBER(size_t, k)           /* search */                                                    \
    NUMBER(bool, cold)          /* search */                                                    \
    NUMBER(bool, repeated)      /* search range concurrent */                                   \
    REAL(radius)                /* range */                                                     \
    NUMBER(size_t, planted)     /* range; 0: unknown */                                         \
    /* search range: allowed ids, as struct id_filter; NULL: all */                             \
    ARRAY(uint64_t, filter_bits, op->filter_ids / 64 + 1)                                       \
    NUMBER(uint64_t, filter_ids)                                                                \
    NUMBER(uint64_t, budget)        /* maintain */                                              \
    NUMBER(size_t, writers)         /* concurrent */                                            \
    NUMBER(size_t, readers)         /* concurrent */                                            \
    REAL(seconds)                   /* concurrent */                                            \
    REAL(rate)                      /* concurrent; 0: unpaced */                                \
    VIEW(writes)                    /* concurrent */                                            \
    ARRAY(uint64_t, removes, op->n) /* concurrent; NULL: nothing is removed */                  \
    NUMBER(bool, pending)           /* insert delete update: waits for the commit */            \
    NUMBER(size_t, back)            /* commit rollback: its begin is so many operations back */ \
    TEXT(name)                      /* snapshot release: of the snapshot */                     \
    NUMBER(size_t, as_of) /* search release: its snapshot's operation, plus one; 0: now */      \
    ARRAY(uint32_t, attributes, op->n) /* insert update; NULL: the rows have none */            \
    NUMBER(bool, where) /* search: attributes low .. high; filter_bits says which rows */       \
    NUMBER(uint32_t, low)                                                                       \
    NUMBER(uint32_t, high)                                                                      \
    NUMBER(size_t, live_after) /* ids live when it is done */

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

struct dataset_use {
    char *name; /* catalog name, path, or "synthetic mixture ..." */
    struct source *source;
    char sha256[65]; /* of the delivered file where known, else the content hash */
};

/* Where an id's vector is. With w:update the newest before a given operation counts: see row_of_id.
 */
struct row_ref {
    uint32_t dataset; /* index into op_list.datasets */
    uint64_t row;
};

/* An id's vector is row `row` of operation op's view, from operation `since` on: op itself, or the
   commit that it waited for. */
struct update_ref {
    uint64_t id;
    size_t op, since, row;
};

struct op_list {
    struct op *ops;
    size_t n;
    struct dataset_use *datasets; /* each source once; owned; in order of first use */
    size_t n_datasets;
    size_t n_opened; /* entries of datasets past n_datasets are sources that no operation uses */
    size_t dim;
    enum element element; /* of the data as recorded */
    enum metric metric;   /* config `metric`, or the first dataset's own */
    struct row_ref *rows; /* by id, n_ids of them: as first inserted */
    size_t n_ids, max_live, max_queries, max_k;
    bool has_updates, has_attributes;
    struct update_ref *updates; /* by id, then operation; n_updates of them */
    size_t n_updates;
};

/* A copy of the vector of `id` as it is after operations 0 .. at-1, as F32, B64 or the list's
 * element. */
int op_list_vector(const struct op_list *, uint64_t id, size_t at, enum element want, void *out,
                   struct error *);

/* The live set as a bitmap over n_ids, moved forward one operation at a time: live_step(live, op), of
 * an operation in its list, since a commit looks back. */
struct live_set {
    uint64_t *bits;
    size_t n_ids, n;
};
int live_init(struct live_set *, const struct op_list *, struct error *);
void live_step(struct live_set *, const struct op *);
void live_free(struct live_set *);
static inline bool live_has(const struct live_set *l, uint64_t id)
{
    return id < l->n_ids && (l->bits[id >> 6] >> (id & 63) & 1);
}

void op_list_free(struct op_list *);

/* Recording: what the config's workload calls, in its order.
 *
 * Each call checks its rows and ids against the live set as it then is. A sentence names rows from
 * 1 and ids, but not FILE:LINE, which the caller knows. After a failure the recorder is of no more
 * use: recorder_finish() says so again. */
struct recorder;

struct step_note {
    const char *tag; /* NULL: none */
    int line;
    size_t batch, singles; /* insert delete update; see struct op */
    bool allow_queries;    /* rows of a query set may be inserted or trained on */
    size_t planted;        /* range; see struct op */
    bool cold;             /* search; see struct op */
    bool repeated;         /* search range concurrent; see struct op */
    const char *as_of;     /* search: a snapshot's name; NULL: the present */
};

/* Which live ids an operation is about: exactly one of these. */
struct choice {
    const struct view *rows; /* the ids these rows were first inserted under */
    const uint64_t *ids;
    size_t n_ids;
    size_t random, oldest; /* so many of the live ones; oldest by their latest insertion */
};

/* Which ids a search may answer with: exactly one of these, and only the live ones of it. */
struct allow {
    const char *tag; /* what the inserts of this tag inserted */
    double fraction; /* 0 < fraction <= 1 of the live ids, at random */
    const uint64_t *ids;
    size_t n_ids;
    bool where; /* rows whose attribute is in low .. high */
    uint32_t low, high;
};

/* What an insertion gives its rows: a class each, drawn by a Zipf law of exponent skew (0: uniform;
   class 0 is the commonest), or these values. */
struct attribute_spec {
    size_t classes; /* 0: values */
    double skew;
    const uint32_t *values;
    size_t n_values;
};

struct concurrent_request {
    struct view *queries, *writes; /* writes: NULL if writers = 0 */
    const struct choice *removes; /* as many as there are writes, of what is live before; or NULL */
    size_t writers, readers, k;
    double seconds, rate; /* seconds 0: until the writers are done */
};

int recorder_new(struct recorder **, struct error *);
/* Of what `random` and `fraction` choose. Before the first operation. */
void recorder_set_seed(struct recorder *, uint64_t seed);
void recorder_free(struct recorder *);
/* The workload's metric where the config states it; else the first view's. Before the first
 * operation. */
void recorder_set_metric(struct recorder *, enum metric);
/* Owns the source from here on, also when it fails. sha256: "" if unknown. */
int recorder_source_take(struct recorder *, struct source *, const char *name, const char *sha256,
                         struct error *);

int record_train(struct recorder *, const struct step_note *, struct view *, struct error *);
int record_insert(struct recorder *, const struct step_note *, struct view *, struct error *);
int record_insert_with(struct recorder *, const struct step_note *, struct view *,
                       const struct attribute_spec *, struct error *);
int record_delete(struct recorder *, const struct step_note *, const struct choice *,
                  struct error *);
/* Gives the chosen ids new vectors; an id keeps the name it has from the row it was first inserted
 * with. */
int record_update(struct recorder *, const struct step_note *, const struct choice *,
                  struct view *with, struct error *);
int record_search(struct recorder *, const struct step_note *, struct view *queries, size_t k,
                  const struct allow *, struct error *);
int record_range(struct recorder *, const struct step_note *, struct view *queries, double radius,
                 const struct allow *, struct error *);
int record_maintain(struct recorder *, const struct step_note *, uint64_t budget, struct error *);
/* OP_SAVE, OP_RELOAD (of what the last save saved: an error if rows changed since), OP_RECOVER (from
 * the index's own files, as after a crash) or OP_CHECKPOINT. */
int record_mark(struct recorder *, const struct step_note *, enum op_kind, struct error *);
int record_concurrent(struct recorder *, const struct step_note *,
                      const struct concurrent_request *, struct error *);
/* Transactions. Inside one only rows change and searches are asked. After a rollback the rows are live that
   were before; a row that only it inserted has its id for good, and gets it when inserted again. */
int record_begin(struct recorder *, const struct step_note *, struct error *);
int record_commit(struct recorder *, const struct step_note *, struct error *);
int record_rollback(struct recorder *, const struct step_note *, struct error *);
/* A name for the rows as they are, until it is released. */
int record_snapshot(struct recorder *, const struct step_note *, const char *name, struct error *);
int record_release(struct recorder *, const struct step_note *, const char *name, struct error *);
/* Inside a transaction: as its commit would leave it. */
size_t recorder_live(const struct recorder *);
/* The list, and the recorder is freed, whatever the result. An empty workload is an error. */
int recorder_finish(struct recorder *, struct op_list **, struct error *);

#endif
