/* query_batch.h - queries prepared for a search with one set of search parameters,
   with their filter and warm-up queries. The clock runs while a method answers, so
   all preparation precedes it. */
#ifndef DRIFTLINE_RUN_REPLAY_QUERY_BATCH_H
#define DRIFTLINE_RUN_REPLAY_QUERY_BATCH_H

#include "src/core/ranks/shards.h"
#include "src/core/rng.h"
#include "src/run/replay/session/step.h"

struct answer_buffer;

/* Untimed queries before a timed search: enough to warm caches and code, and few compared with any
   query set worth timing. They differ from the operation's (see struct query_batch). */
enum { WARMUP_QUERIES = 32 };

/* The function of the method that answers. */
enum search_call { SEARCH_PLAIN, SEARCH_AS_OF, SEARCH_WHERE, SEARCH_RANGE };

struct query_batch {
    struct replay_session *replay;
    const struct op *op;
    struct vectors queries; /* in the form that the method receives */
    uint64_t *positions;    /* queries.n positions in the operation's queries */
    /* At most WARMUP_QUERIES queries that differ from the operation's: the first half of one and the
       second half of another. */
    struct vectors warm;
    const void *knobs;
    const struct id_filter *filter; /* NULL: none */
    enum search_call kind;
    uint64_t version;              /* SEARCH_AS_OF */
    struct attribute_filter where; /* SEARCH_WHERE; the operation's */
    size_t k, k_fetched; /* k_fetched > k: dead answers are dropped; SEARCH_RANGE: both 0 */
    bool drops_dead;     /* SEARCH_RANGE: no filter is passed, and dead answers are dropped */
    size_t threads;
    struct work work; /* of all calls so far */
    struct shard_work shard_work;
    struct buffer rows, order, bits, warm_rows;
    struct id_filter own_filter;
};

/* Gathers and validates n queries of the operation (positions NULL: all), and chooses between a
   filter and over-fetching. ERR_UNSUPPORTED: the method supports neither. The caller calls
   query_batch_end() even after an error. */
int query_batch_begin(struct query_batch *, struct replay_session *, const struct op *,
                      const uint64_t *positions, size_t n, const void *knobs, struct step_record *);
void query_batch_end(struct query_batch *);
/* Searches queries [first, first + n) of `of`. The buffer holds at least n queries; a range search
   appends to its `caught`. The function does nothing else, since the clock is running. */
int query_batch_search(struct query_batch *, struct vectors of, size_t first, size_t n,
                       struct answer_buffer *);
void query_batch_begin_work(struct query_batch *); /* nothing so far */
/* Asks all queries, untimed, and scores the answers. */
int query_batch_score_untimed(struct query_batch *, struct step_record *, enum pass,
                              double *recall);

/* Makes n warm-up queries from queries that the method has not seen; see struct query_batch. *out
   points into `rows`. */
int query_warm_make(struct vectors queries, enum metric, size_t n, struct buffer *rows,
                    struct vectors *out, struct error *);

/* How queries are timed: [0, n_single) one at a time, the others as a batch. Neither pass thus
   profits from caches that the other filled. If there is only one query, it is in both. */
struct query_shares {
    size_t n_single, first_batch, n_batch;
};
/* Copies positions (NULL: 0 .. n-1) to out, those of single queries first. */
struct query_shares query_shares_of(const uint64_t *positions, size_t n, uint64_t *out);

/* Asks the warm-up queries, untimed, one at a time. `one`: for one query; answers of a range search
   also grow the memory that receives them. */
int query_batch_warm_up(struct query_batch *, struct step_record *, struct answer_buffer *one);
/* Runs queries that were timed, which are the first `timed` of the batch, and the same queries with a
   small change, which are new, alternately. Their times set only the step's new_over_repeated.
   ERR_INVARIANT: the method caches answers (probe.c). */
int query_batch_probe(struct query_batch *, struct step_record *, size_t timed,
                      struct answer_buffer *one);
/* A generator with a seed that the system draws: a method cannot know what it will give. */
struct rng query_rng(void);

#endif
