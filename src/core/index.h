/* index.h - what a method promises the harness. A minimal method needs sections 1-3 only.
 *
 *   1 vectors, ids, spaces   2 create insert search   3 env: all a method may depend on
 *   4 train remove range maintain   5 save load stats memory check   6 clusters, transactions, attributes
 *   7 the table   8 checked calls (checked.h)   9 the registry and plugins (registry.h)
 *
 * Every operation returns OK or a code of error.h, having said why with fail(index->env.error,
 * ...). Inputs are borrowed for the call. One thread calls at a time unless flags say otherwise.
 * Same env and same calls give the same answers, bit for bit, on one thread and one kernel table.
 */
#ifndef DRIFTLINE_INDEX_H
#define DRIFTLINE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "param.h"

#ifdef __cplusplus
extern "C" {
#endif

#define INDEX_ABI 3

/* 1. Vectors, ids, spaces */

enum element {
    ELEMENT_F32, /* float; a row is dim floats */
    ELEMENT_U8,  /* 0..255; a row is dim bytes */
    ELEMENT_B64, /* 64-bit codes; dim = 64 bits, a row is one uint64_t */
};

/* What search and range report as `distance`, ascending = nearer:
   L2SQ sum (a-b)^2; IP -<a,b>; COS 2 - 2 cos(a,b); HAMMING differing bits. */
enum metric { METRIC_L2SQ, METRIC_IP, METRIC_COS, METRIC_HAMMING };

struct index_space {
    enum element element;
    enum metric metric;
};
#define INDEX_SPACES_END                      \
    {                                         \
        (enum element)(-1), (enum metric)(-1) \
    }

/* How code in C reads floats of rows: they may lie at any address. */
typedef float float_anywhere __attribute__((aligned(1)));

/* n rows, contiguous, any alignment. Borrowed. */
struct vectors {
    const void *rows;
    size_t n, dim;
    enum element element;
};

/* Ids are the caller's 64-bit ids; UINT64_MAX is not an id but "no answer". */
#define ID_NONE UINT64_MAX

size_t element_row_bytes(enum element, size_t dim); /* F32: 4 dim; U8: dim; B64: dim / 8 */
const char *element_name(enum element);             /* "f32" "u8" "b64" */
const char *metric_name(enum metric);               /* "l2" "ip" "cosine" "hamming" */

/* 2. Requests and results */

/* Ids allowed in an answer: bit id % 64 of bits[id / 64]; ids >= n_ids are not allowed. */
struct id_filter {
    const uint64_t *bits;
    uint64_t n_ids;
};

static inline bool id_filter_allows(const struct id_filter *filter, uint64_t id) /* NULL: all */
{
    return !filter || (id < filter->n_ids && (filter->bits[id / 64] >> (id % 64) & 1));
}

struct search_request {
    struct vectors queries;         /* of env's element and dim; unit length under COS with F32 */
    size_t k;                       /* >= 1 */
    const void *knobs;              /* the method's knob struct; NULL only if it has none */
    const struct id_filter *filter; /* NULL: all */
    size_t threads;                 /* at most this many, from env's pool */
};

/* Work, summed over the request's queries. NAN: this method cannot tell. Add to it; the caller
 * zeroed it. */
struct work {
    double distances;  /* exact distance computations, centroids included; an abandoned one by the
                          share read */
    double estimates;  /* quantised ones */
    double bytes_read; /* bytes of vectors and codes that scans touched */
    double scanned;    /* stored copies looked at, by a distance or by a code, each once however
                          often; a row in two lists is two, centroids are none. 0 beside other work:
                          this method does not tell */
};

/* Row q's answers at ids[q * k .. q * k + k - 1], nearest first, ties to the smaller id; fewer than
   k found: the rest ID_NONE and INFINITY. The arrays are the caller's. */
struct search_result {
    uint64_t *ids;
    float *distances;
    struct work work;
};

struct range_request {
    struct vectors queries;
    double radius; /* in `distance` units of the metric; answers have distance <= radius */
    const void *knobs;
    const struct id_filter *filter;
    size_t threads;
};

/* One answer of a range search, delivered in any order, each id once a query. Returns OK, or a code
   that the method must return at once. Called from one thread. */
struct range_result {
    int (*found)(void *to, size_t query, uint64_t id, float distance);
    void *to;
    struct work work;
};

/* 3. What a method may depend on, and nothing else */

struct mem;
struct pool;
struct kernels;

struct index_env {
    size_t dim;
    enum element element;
    enum metric metric;
    size_t expected_n; /* rows the workload will hold at most; a hint, may be 0 */
    uint64_t seed;     /* the only source of randomness */
    size_t k_hint;     /* neighbours asked for most; a hint */
    struct mem *mem;   /* every allocation, see mem.h */
    struct pool *pool; /* parallel.h; never NULL */
    const struct kernels *kernels;
    struct error *error;
    const char *dir; /* an existing empty folder for on-disk state; NULL: in-memory methods only */
    const char *device;                          /* "cpu" or "cuda" */
    void (*log)(void *log_to, const char *line); /* may be NULL */
    void *log_to;
};

/* Every method's state begins with this. create() and load() copy the env. */
struct index {
    const struct index_ops *ops;
    struct index_env env;
};

/* 5. Reporting */

/* Named numbers, and rows of tables ("clusters", row 3, "live", 812). Names are valid for the call.
 */
struct stat_sink {
    void (*value)(void *to, const char *name, double value);
    void (*cell)(void *to, const char *table, size_t row, const char *column, double value);
    void *to;
};

struct memory_use {                             /* bytes */
    uint64_t vectors, codes, graph, ids, other; /* resident parts */
    uint64_t disk;                              /* files under env.dir */
};

/* 6. Optional groups */

struct index_cluster_ops {
    /* Hierarchy level (0 = finest) of n live ids -> cluster number each. */
    int (*assign)(const struct index *, const uint64_t *ids, size_t n, size_t level,
                  uint64_t *cluster);
    int (*count)(const struct index *, size_t level, size_t *clusters);
    /* ids of the medoids of a level, room for count(). */
    int (*medoids)(const struct index *, size_t level, uint64_t *ids);
};

/* insert() and remove() between begin() and commit() happen at commit, all or none; searches see the last
   commit meanwhile. Outside of them each call is a transaction of its own. One is open at a time. */
struct index_txn_ops {
    int (*begin)(struct index *);
    int (*commit)(struct index *, uint64_t *version);
    int (*rollback)(struct index *);
    int (*snapshot)(struct index *, uint64_t *version); /* pins it */
    int (*release)(struct index *, uint64_t version);
    int (*search_as_of)(struct index *, uint64_t version, const struct search_request *,
                        struct search_result *);
};

/* Rows may carry a number each, and searches ask for those whose number is in a range: what a filter by ids
   says from outside, known to the method. */
#define ATTRIBUTE_NONE UINT32_MAX /* in no range; what insert() gives */

struct attribute_range {
    uint32_t low, high; /* both in it; high < ATTRIBUTE_NONE */
};

struct index_attribute_ops {
    int (*insert)(struct index *, struct vectors, const uint64_t *ids, const uint32_t *attributes,
                  size_t *done);
    /* The request has no filter. */
    int (*search)(struct index *, const struct search_request *, struct attribute_range,
                  struct search_result *);
};

/* 7. The table */

enum index_flags {
    INDEX_EXACT = 1,              /* every answer is the truth, at any knob */
    INDEX_NEEDS_TRAIN = 2,        /* insert before train() is ERR_UNTRAINED */
    INDEX_ON_DISK = 4,            /* keeps state under env.dir while running */
    INDEX_CONCURRENT_SEARCH = 8,  /* search and range may run in several threads at once */
    INDEX_CONCURRENT_UPDATE = 16, /* insert and remove may run beside searches */
    INDEX_NO_SIMD = 32, /* a peer built without SIMD: named so wherever its numbers stand */
};

/* A NULL operation is a missing capability: the harness records `unsupported` and goes on. */
struct index_ops {
    uint32_t abi;                        /* INDEX_ABI */
    const char *name, *summary, *source; /* "divf", one line, paper or project */
    uint32_t flags;
    const struct index_space
        *spaces; /* ends with INDEX_SPACES_END; F32 x COS gets unit rows from the harness */
    const struct param *params; /* build-time options, a struct of params_bytes */
    size_t params_bytes;
    const struct param
        *knobs; /* search-time options, a struct of knobs_bytes, may change per search */
    size_t knobs_bytes;

    /* params: filled by param_defaults() and param_set(), so in range one by one; create() checks
     * combinations. */
    int (*create)(struct index **, const struct index_env *, const void *params);
    void (*destroy)(struct index *);
    int (*train)(struct index *, struct vectors sample);
    /* All rows, or the first *done of them when it fails. ids are new, distinct, not ID_NONE. */
    int (*insert)(struct index *, struct vectors, const uint64_t *ids, size_t *done);
    /* ids are live and distinct. */
    int (*remove)(struct index *, const uint64_t *ids, size_t n, size_t *done);
    int (*search)(struct index *, const struct search_request *, struct search_result *);
    int (*range)(struct index *, const struct range_request *, struct range_result *);
    /* At most about `budget` distance computations of upkeep (0: no bound); *more: there is more to
     * do. */
    int (*maintain)(struct index *, uint64_t budget, bool *more);
    int (*save)(struct index *,
                const char *dir); /* dir exists; the old state in it or the new, never a mix */
    int (*load)(struct index **, const struct index_env *, const char *dir);
    int (*stats)(const struct index *, struct stat_sink *);
    int (*memory)(const struct index *, struct memory_use *);
    /* Walks every invariant; ERR_INVARIANT with a sentence naming the first that is broken. */
    int (*check)(const struct index *, struct stat_sink *);

    const struct index_cluster_ops *clusters;
    const struct index_txn_ops *txn;
    const struct index_attribute_ops *attributes;
};

/* The one symbol of a plugin. The program itself does not define it. */
#define INDEX_PLUGIN_SYMBOL "driftline_plugin"
const struct index_ops *driftline_plugin(void);

/* Whether ops->spaces holds (element, metric). */
bool index_takes(const struct index_ops *, enum element, enum metric);

#ifdef __cplusplus
}
#endif
#endif
