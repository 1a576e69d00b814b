/* checked.h - calls to a method whose arguments are validated here, not in every method.
 *
 * A struct checked is a method and the set of its live ids. It refuses NaN, infinity and rows that do
 * not fit f32 (index_row_range()), zero vectors under cosine, k = 0, duplicate and unknown ids, a
 * wrong dimension or element, ids equal to INDEX_NO_ID, and missing capabilities (ERR_UNSUPPORTED).
 * The index_admit_* functions validate alone, so that the replay can validate before it reads the
 * clock and then call the method's operation directly.
 */
#ifndef DRIFTLINE_CHECKED_H
#define DRIFTLINE_CHECKED_H

#include "src/core/idmap.h"
#include "src/core/index.h"

struct checked {
    struct index *index;
    const struct index_ops *ops;
    struct error *error; /* the env's */
    struct idmap live;   /* id -> 1; not part of the index's memory */
    size_t k_max;        /* 0: no bound */
    bool in_transaction; /* if true, `live` is the set that a commit would leave */
    struct idmap before; /* ids touched by the open transaction -> whether they were live */
    struct idmap pins;   /* version -> how many times it is pinned */
};

/* Checks the table (ABI, mandatory operations by name, space) and creates the index.
   index_close() releases it. */
int index_open(struct checked *, const struct index_ops *, const struct index_env *,
               const void *params);
/* Loads a saved index. Copies the live ids of `from`, the index that was saved. */
int index_open_saved(struct checked *, const struct index_ops *, const struct index_env *,
                     const char *dir, const struct checked *from);
void index_close(struct checked *);

int index_insert(struct checked *, struct vectors, const uint64_t *ids, size_t *done);
int index_remove(struct checked *, const uint64_t *ids, size_t n, size_t *done);
/* ERR_ARGUMENT: the arrays of the result are NULL; the method also gives it for a level that it
   does not have. */
int index_cluster(struct checked *, const struct cluster_request *, struct cluster_result *);
int index_maintain(struct checked *, uint64_t budget, bool *more);
/* Refuses while a transaction is open. */
int index_save(struct checked *, const char *dir);
/* sink may be NULL. Returns OK if the method has no check(). */
int index_check(struct checked *, struct stat_sink *);

/* These functions only validate. After index_admit_insert() or index_admit_remove() and the
   operation itself, the caller passes the number of rows done to index_note_*, which updates
   the live set. */
int index_admit_vectors(struct checked *, struct vectors, const char *what);
int index_admit_insert(struct checked *, struct vectors, const uint64_t *ids);
int index_admit_remove(struct checked *, const uint64_t *ids, size_t n);
int index_admit_search(struct checked *, const struct search_request *);
int index_admit_cluster(struct checked *, const struct cluster_request *);
int index_admit_as_of(struct checked *, const struct search_request *);
/* Whether the index takes attributes: ERR_UNSUPPORTED, or ERR_ARGUMENT if it has no field. */
int index_admit_attributes(struct checked *);
int index_admit_where(struct checked *, const struct search_request *,
                      const struct attribute_filter *);
/* Live options: also writes the new values into `params`, which has the present ones, for the method's
   set_params(). On failure, `params` may have some of them. ERR_UNSUPPORTED: the method lacks one of the
   options, or cannot change it. ERR_CONFIG: a wrong type, or out of range. ERR_ARGUMENT: a transaction
   is open. */
int index_admit_set(struct checked *, void *params, const struct param_setting *, size_t n);
/* Whether a transaction may begin (open: false) or end (open: true). After the operation itself
   succeeds, the caller calls index_note_*; a failed commit leaves the transaction open.
   ERR_UNSUPPORTED: the method has none. ERR_ARGUMENT: not in this order, or a snapshot inside a
   transaction. ERR_NOT_FOUND: the version is not pinned. */
int index_admit_transaction(struct checked *, bool open, const char *what);
int index_admit_snapshot(struct checked *);
int index_admit_release(struct checked *, uint64_t version);
void index_note_begun(struct checked *);
void index_note_committed(struct checked *);
void index_note_rolled_back(struct checked *);
int index_note_pinned(struct checked *, uint64_t version);
void index_note_released(struct checked *, uint64_t version);
/* Bytes of the tables of struct checked, which do not count as memory of the index. */
size_t index_checked_bytes(const struct checked *);
/* Checks the code and the `done` count that an insertion or removal of n rows gave.
   Returns ERR_INVARIANT if the two disagree, because the live sets of the method and of
   this struct then differ. */
int index_admit_done(struct checked *, int rc, size_t done, size_t n, const char *what);
int index_note_inserted(struct checked *, const uint64_t *ids, size_t done);
void index_note_removed(struct checked *, const uint64_t *ids, size_t done);

/* Refuses a table with another ABI, no name, or a missing mandatory operation; the sentence
   names that operation. */
int index_ops_check(const struct index_ops *, struct error *);

#endif
