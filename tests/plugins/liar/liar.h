/* liar.h - shared declarations of the adversarial plugin. See liar.c. */
#ifndef DRIFTLINE_TESTS_PLUGINS_LIAR_LIAR_H
#define DRIFTLINE_TESTS_PLUGINS_LIAR_LIAR_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "src/core/index.h"

/* All modes; honest is the one without a lie. docs/adversary.md states the result of each. */
#define LIES(LIE)                          \
    LIE(batch_writes_nothing)              \
    LIE(batch_answers_garbage)             \
    LIE(range_batch_delivers_nothing)      \
    LIE(concurrent_readers_answer_nothing) \
    LIE(memoises)                          \
    LIE(memoises_most)                     \
    LIE(memoises_other_points)             \
    LIE(caches_pages)                      \
    LIE(delayed_in_rhythm)                 \
    LIE(work_in_stats)                     \
    LIE(work_in_memory)                    \
    LIE(work_in_check)                     \
    LIE(work_in_search_warmup)             \
    LIE(work_in_thread)                    \
    LIE(work_in_child)                     \
    LIE(two_threads)                       \
    LIE(all_processors)                    \
    LIE(counts_nothing)                    \
    LIE(closes_descriptors_and_hangs)      \
    LIE(stops_the_guard)                   \
    LIE(kills_the_guard)                   \
    LIE(leaves_segment)                    \
    LIE(exits_early)                       \
    LIE(insert_done_half)                  \
    LIE(insert_done_too_large)             \
    LIE(remove_done_half)                  \
    LIE(work_assigned)                     \
    LIE(work_negative)                     \
    LIE(work_nan)                          \
    LIE(reads_truth)                       \
    LIE(reads_answers)                     \
    LIE(poisons_truth_cache)               \
    LIE(signs_poisoned_truths)             \
    LIE(forges_records)                    \
    LIE(forges_and_goes_on)                \
    LIE(memory_memfd)                      \
    LIE(memory_child)                      \
    LIE(memory_shm)                        \
    LIE(memory_shared_map)                 \
    LIE(unknown_ids_overfetch)             \
    LIE(stats_named_as_harness)            \
    LIE(range_query_out_of_range)          \
    LIE(writes_past_the_end)               \
    LIE(unsorted_distances)                \
    LIE(nan_distances)                     \
    LIE(negative_distances)                \
    LIE(exact_flag_recall_zero)            \
    LIE(repeats_ids)                       \
    LIE(answers_deleted)                   \
    LIE(square_roots)                      \
    LIE(rounds_answer_nothing)             \
    LIE(fails_at_the_end)                  \
    LIE(predicts_samples)                  \
    LIE(stalls)                            \
    LIE(lazy_until_batch)

#define LIE_NUMBER(name) lie_##name,
enum lie { lie_honest, LIES(LIE_NUMBER) };

struct liar_params {
    int64_t mode;    /* enum lie */
    int64_t work_ms; /* processor time that work_in_* and two_threads spend */
    int64_t hold_ms; /* memory_*: how long memory is held before any other call */
};

struct liar_knobs {
    int64_t effort; /* per cent of the rows that a search scans */
};

struct memory_of_answers;

struct liar {
    struct index base;
    struct liar_params params;
    pthread_rwlock_t lock; /* readers: searches; writers: updates */
    pthread_t owner;       /* the thread that created it: not one of the harness's readers */
    float *rows;           /* n x dim */
    uint64_t *ids;
    size_t n, rows_capacity, ids_capacity;
    struct memory_of_answers *remembered; /* of memoises */
    float page;                           /* caches_pages: the first component of the last query */
    atomic_size_t searches;               /* predicts_samples, stalls, delayed_in_rhythm */
    bool batched;                         /* lazy_until_batch */
    bool asked, in_rounds; /* rounds_answer_nothing: in rounds no query precedes the first batch */
    bool work_left;        /* work_in_*: inserted, not yet paid for */
    bool threaded;         /* work_in_thread: `thread` runs */
    pthread_t thread;
    pid_t child; /* work_in_child, memory_child; 0: none */
    int memory_fd;
    void *memory;               /* memory_shared_map */
    char memory_path[64];       /* memory_shm */
    double truth_found;         /* reads_truth: NAN before the search for it, then 0 or 1 */
    double processors_of_batch; /* two_threads: processor time of the last batch by its wall time */
};

/* Holds a row number, not an id: a copy of the ground truth's ids in this process
   is then the harness's. */
struct near_row {
    double distance;
    uint32_t slot;
};

/* ---- liar.c: the honest part */
/* The nearest min(k, allowed) of the first n rows, nearest first, ties to the smaller id; farthest:
   of all, the ones farthest away, nearest of those first. Returns how many. */
size_t liar_nearest(const struct liar *, const float *query, const struct id_filter *, size_t n,
                    size_t k, bool farthest, struct near_row *out);
/* Answers queries [first, end) of the request by a scan of `effort` per cent of the rows, or of the
   first k if the ground truth lists these as the nearest. */
int liar_scan(const struct liar *, const struct search_request *, size_t first, size_t end,
              bool farthest, struct search_result *);
void liar_answer_none(const struct search_request *, struct search_result *);

/* ---- lies_answers.c */
/* The lie of this mode that replaces the scan; false: none. */
bool lie_in_place_of_scan(struct liar *, const struct search_request *, struct search_result *,
                          int *rc);
void lie_about_answers(const struct liar *, const struct search_request *, struct search_result *);
void liar_forget(struct liar *);
void lie_about_done(const struct liar *, bool insert, size_t n, size_t *done);

/* ---- lies_process.c */
void lie_at_first_insert(struct liar *);
void liar_do_work(struct liar *, enum lie at); /* if this mode works there */
int liar_scan_with_two_threads(struct liar *, const struct search_request *,
                               struct search_result *);
void liar_clean_up(struct liar *);

/* ---- lies_reach.c: memory and descriptors of the harness's */
void liar_forge_records(void);
/* Opens the stored answers of other cells, which lie beside its folder. */
void liar_open_answers(const struct liar *);
void liar_hang(bool stop_the_guard); /* else closes all descriptors */
void liar_outlive_the_guard(void);
/* Whether a mapping of this process has the k nearest ids of one of the first queries in a row. */
bool liar_finds_truth(const struct liar *, const struct search_request *);
/* Makes the first rows the nearest ones of every query, in the harness's ground truth cache. sign:
   with the key that is stored there; else with a checksum. */
void liar_poison_truths(bool sign);

#endif
