/* scann.h - ScaNN: a partition of the rows into lists, score-aware 4-bit codes that a scan reads,
 * spilling by SOAR, and exact distances for the best estimates.
 *
 *   method.c options, reports, table     index.c create, destroy, slots    lists.c lists and copies
 *   assign.c lists of a row (SOAR)       train.c k-means and codes         update.c insert remove
 *   search.c query.c search              stop.c target_recall              store.c sections of a file
 *   check.c check inspect
 *
 * Invariants (check.c):
 *  - Rows are in slots 0 .. n - 1 of `store`. The last row takes a removed row's slot.
 *  - A trained index has lists, and each row has one or two *copies* in them: places[2 slot] is its
 *    place in its first list, places[2 slot + 1] that in its second or list NO_LIST.
 *    The two lists differ. The copy at a place has the row's slot and its code in that list.
 *  - An index that is not trained has no lists, and searches compare every row.
 *
 * Searches may run beside each other, not beside a change. */
#ifndef DRIFTLINE_SCANN_H
#define DRIFTLINE_SCANN_H

#include "algorithms/common/clustering/stop_rule.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/durable/logged.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/common/rows/dense_rows.h"
#include "kernels/kernels.h"
#include "src/core/index.h"

enum scann_spill { SCANN_SPILL_NONE, SCANN_SPILL_SOAR };

struct scann_params {
    int64_t clusters, spill;
    double soar_lambda, threshold;
    int64_t pq_groups, train_iters, train_sample;
    int64_t wal, checkpoint_mb;
};

struct scann_knobs {
    int64_t nprobe, rerank;
    double target_recall;
};

#define NO_LIST UINT32_MAX

/* Copies of a list, dense: the last one takes a removed one's position. */
struct scann_list {
    uint32_t *slots; /* n of slots_capacity */
    uint8_t *codes;  /* blocks of QUANTIZER_BLOCK; codes_capacity bytes */
    size_t n, slots_capacity, codes_capacity;
    double error;         /* sum of the copies' squared distances from the centroid */
    double trained_error; /* what the list added to the mean of those when it was trained */
};

struct scann_place {
    uint32_t list, at;
};

/* What training makes, and the rows' copies. Retraining fills a second one and swaps. */
struct scann_lists {
    size_t n; /* 0: not trained */
    float *centroids;
    struct scann_list *list;
    struct quantizer *quantizer;
    struct scann_place *places; /* 2 per slot */
    size_t places_capacity;     /* in slots */
    size_t copies;              /* over all lists */
    size_t empty;               /* lists without copies, which no query opens */
};

struct scann {
    union {
        struct index base;
        struct logged_index logged;
    };
    struct scann_params params;
    struct dense_rows store; /* by slot */
    struct scann_lists lists;
    bool fixed;                /* train() made the lists: insertions do not train */
    uint64_t train_at;         /* rows at which an insertion trains */
    uint64_t trainings;        /* since the index was created */
    uint64_t removed;          /* rows since the last training */
    struct stop_learnt stop;   /* by the first search with target_recall; under stop_lock */
    double greatest;           /* squared norm of the rows when it was learnt; INDEX_IP */
    pthread_mutex_t stop_lock; /* searches may run beside each other */
    struct scratch_pool scratch;
};

extern const struct index_ops scann_ops;

static inline struct scann *scann_of(struct index *index)
{
    return (struct scann *)index;
}

static inline const float *scann_row(const struct scann *s, size_t slot)
{
    return s->store.floats + slot * s->base.env.dim;
}

/* Whether the estimates of the codes are inner products. Rows of unit length are nearest by squared
   L2 too, and its choice of lists is the better one. */
static inline bool scann_products(const struct index_env *env)
{
    return env->metric == INDEX_IP;
}

/* Whether rows have a second copy. */
static inline bool scann_spills(const struct scann *s)
{
    return s->params.spill == SCANN_SPILL_SOAR;
}

/* index.c */
int scann_create(struct index **, const struct index_ops *, const struct index_env *,
                 const void *params);
void scann_destroy(struct index *);
/* Space for n more rows with these ids, their places included. ERR_NO_MEMORY: nothing changed. */
int scann_reserve(struct scann *, const uint64_t *ids, size_t n);

/* lists.c */
void scann_lists_free(const struct index_env *, struct scann_lists *);
bool scann_places_reserve(const struct index_env *, struct scann_lists *, size_t slots);
/* Files the rows of slots first .. first + n - 1 in their lists, which scann_assign() found; they are
   after all slots in lists. rows: of slot 0 on. ERR_NO_MEMORY: *filed of them are filed. */
int scann_file(const struct index_env *, struct scann_lists *, const float *rows, uint32_t first,
               size_t n, const uint32_t *lists, size_t *filed);
/* Removes the slot's copies. rows: of slot 0 on. */
void scann_unfile(const struct index_env *, struct scann_lists *, const float *rows, uint32_t slot);
/* The squared distance of a row from a list's centroid. */
double scann_error(const struct index_env *, const struct scann_lists *, const float *row,
                   uint32_t list);
/* The sum of those of the list's copies. rows: of slot 0 on. */
double scann_errors(const struct index_env *, const struct scann_lists *, const float *rows,
                    uint32_t list);
/* The copies of slot `from` become those of slot `to`, which has none. */
void scann_renumber(struct scann_lists *, uint32_t from, uint32_t to);
static inline uint8_t *scann_block(const struct scann_lists *lists, const struct scann_list *l,
                                   size_t at)
{
    return l->codes + at / QUANTIZER_BLOCK * lists->quantizer->block_bytes;
}

/* assign.c. The lists of n rows, 2 per row: the list with the nearest centroid, and if there are
   two lists and `spill`, SOAR's second with this lambda, else NO_LIST. ERR_NO_MEMORY. */
int scann_assign(const struct index_env *, const float *centroids, size_t n_centroids, bool spill,
                 float lambda, const float *rows, size_t n, uint32_t *lists);

/* train.c. The weight of a code's error along its row: eta of quantizer.h, from `threshold`. */
double scann_eta(const struct scann *);
/* Trains on n rows, for an index that will hold `total`, and files the index's rows.
   ERR_NO_MEMORY: nothing changed. */
int scann_train_on(struct scann *, const float *rows, size_t n, size_t total);
int scann_train(struct index *, struct vectors sample);
int scann_maintain(struct index *, uint64_t budget, bool *more);

/* update.c */
int scann_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int scann_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);

/* search.c */
int scann_search(struct index *, const struct search_request *, struct search_result *);
extern const struct scratch_kind scann_scratch_kind;

/* store.c, check.c */
int scann_write(struct index *, struct store_writer *);
int scann_read(struct index *, struct store_reader *);
int scann_check(const struct index *, struct stat_sink *);
int scann_inspect(const struct index *, const struct structure_sink *);

#endif
