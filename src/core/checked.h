/* checked.h - calls to a method with the caller's arguments validated once, so that methods need
 * not.
 *
 * A struct checked is a method plus the set of its live ids. It refuses NaN and infinity, zero
 * vectors under cosine, k = 0, duplicate and unknown ids, a wrong dimension or element, ids equal
 * to ID_NONE, and missing capabilities (ERR_UNSUPPORTED). The validation is a call of its own
 * (index_admit_*), so that the replay room can validate before it reads the clock and then call the
 * method's operation directly.
 */
#ifndef DRIFTLINE_CHECKED_H
#define DRIFTLINE_CHECKED_H

#include "idmap.h"
#include "index.h"

struct checked {
    struct index *index;
    const struct index_ops *ops;
    struct error *error; /* env's */
    struct idmap
        live;     /* id -> 1; on an account of its own, so it is no part of the index's memory */
    size_t k_max; /* 0: no bound */
    bool in_transaction; /* `live` is then as a commit would leave it */
    struct idmap before; /* ids that the open transaction touched -> whether they were live */
    struct idmap pins;   /* version -> how often it is pinned */
};

/* Checks the table (ABI, mandatory operations by name, space) and creates. Release with
 * index_close(). */
int index_open(struct checked *, const struct index_ops *, const struct index_env *,
               const void *params);
/* Takes the live ids over from `from`, when a saved index of it is loaded. */
int index_open_saved(struct checked *, const struct index_ops *, const struct index_env *,
                     const char *dir, const struct checked *from);
void index_close(struct checked *);

int index_train(struct checked *, struct vectors sample);
int index_insert(struct checked *, struct vectors, const uint64_t *ids, size_t *done);
int index_remove(struct checked *, const uint64_t *ids, size_t n, size_t *done);
int index_search(struct checked *, const struct search_request *, struct search_result *);
int index_range(struct checked *, const struct range_request *, struct range_result *);
int index_maintain(struct checked *, uint64_t budget, bool *more);
/* Refused while a transaction is open. */
int index_save(struct checked *, const char *dir);
int index_check(struct checked *,
                struct stat_sink *); /* sink may be NULL; OK where the method has no check */

/* Transactions and versions; ERR_UNSUPPORTED for a method without. ERR_ARGUMENT: a commit or rollback
   without begin, a begin or snapshot inside. A failed commit leaves the transaction as it was, open.
   version may be NULL. */
int index_begin(struct checked *);
int index_commit(struct checked *, uint64_t *version);
int index_rollback(struct checked *);
int index_snapshot(struct checked *, uint64_t *version);
int index_release(struct checked *, uint64_t version); /* ERR_NOT_FOUND: it is not pinned */
int index_search_as_of(struct checked *, uint64_t version, const struct search_request *,
                       struct search_result *);
/* Attributes: NULL is index_insert(); a search by a range of them has no filter beside. */
int index_insert_with(struct checked *, struct vectors, const uint64_t *ids,
                      const uint32_t *attributes, size_t *done);
int index_search_where(struct checked *, const struct search_request *, struct attribute_range,
                       struct search_result *);

/* Validation alone. After index_admit_insert / _remove and the operation itself call index_note_*,
   with how many rows the operation did, to keep the live set. */
int index_admit_vectors(struct checked *, struct vectors, const char *what);
int index_admit_insert(struct checked *, struct vectors, const uint64_t *ids);
int index_admit_remove(struct checked *, const uint64_t *ids, size_t n);
int index_admit_search(struct checked *, const struct search_request *);
int index_admit_as_of(struct checked *, const struct search_request *);
int index_admit_where(struct checked *, const struct search_request *, struct attribute_range);
/* Whether a transaction may begin (open: false), or end (open: true). After the operation itself succeeded
   comes index_note_*. */
int index_admit_transaction(struct checked *, bool open, const char *what);
int index_admit_snapshot(struct checked *);
int index_admit_release(struct checked *, uint64_t version);
void index_note_begun(struct checked *);
void index_note_committed(struct checked *);
void index_note_rolled_back(struct checked *);
int index_note_pinned(struct checked *, uint64_t version);
void index_note_released(struct checked *, uint64_t version);
/* Bytes of its own tables, which are none of the index's. */
size_t index_checked_bytes(const struct checked *);
/* What is wrong with a radius under this metric, to follow "radius = X"; NULL: nothing. Under HAMMING
   it is a whole number 0 .. 64, under L2SQ and COS at least 0, and never NaN. */
const char *index_radius_fault(enum metric, double radius);
/* What an insertion or removal of n rows returned and reported as done; ERR_INVARIANT where the two do not agree,
   for then its live set is not ours. */
int index_admit_done(struct checked *, int rc, size_t done, size_t n, const char *what);
int index_note_inserted(struct checked *, const uint64_t *ids, size_t done);
void index_note_removed(struct checked *, const uint64_t *ids, size_t done);

/* Refuses a table with another ABI, no name, or a missing mandatory operation, naming it. */
int index_ops_check(const struct index_ops *, struct error *);

#endif
