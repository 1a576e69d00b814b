/* index.h - the contract between a method and the harness. A minimal method needs sections 1-4.
 *
 *   1 vectors, ids, spaces   2 env: all that a method may depend on   3 search
 *   4 the table of operations
 *   optional: 5 range search   6 statistics and memory   7 clusters
 *   8 transactions   9 attributes   10 plugins
 *
 * checked.h declares calls that validate their arguments; registry.h declares the list of methods.
 *
 * Every operation returns OK or a code of error.h. Before it returns a code other than OK, it
 * records the reason with fail(index->env.error, ...). Inputs are borrowed for the duration of the
 * call. Calls come from one thread at a time unless the flags permit more. On one thread and with
 * one kernel table, the same env and the same calls give the same answers, bit for bit.
 *
 * Macros and values begin with INDEX_, functions with index_, so that other libraries' headers, such
 * as FAISS's METRIC_L2, can be included beside this one.
 */
#ifndef DRIFTLINE_INDEX_H
#define DRIFTLINE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/error.h"
#include "src/core/param.h"

#ifdef __cplusplus
extern "C" {
#define INDEX_INT : int /* so that -1, which ends a list of spaces, is in range */
#else
#define INDEX_INT
#endif

#define INDEX_ABI 8

/* 1. Vectors, ids, spaces */

enum element INDEX_INT {
    INDEX_F32, /* float; a row is dim floats */
    INDEX_U8,  /* 0..255; a row is dim bytes */
    INDEX_B64, /* binary codes; dim is in bits, a multiple of 64; a row is dim / 64 uint64_t */
};
#define INDEX_CODE_BITS_MAX  1024 /* the longest code */
#define INDEX_CODE_WORDS_MAX (INDEX_CODE_BITS_MAX / 64)
/* Ends the message of a method without INDEX_WIDE_CODES. */
#define INDEX_WIDE_HINT "hamming-scan, mih and hftrie take longer ones"

/* Search and range report this as `distance`; a smaller value is nearer.
   L2SQ: sum (a-b)^2; IP: -<a,b>; COS: 2 - 2 cos(a,b); HAMMING: the number of differing bits.
   What computes or names a distance is a switch over them, so that the compiler says what a new one lacks. */
#define INDEX_METRICS(METRIC) \
    METRIC(L2SQ, "l2") METRIC(IP, "ip") METRIC(COS, "cosine") METRIC(HAMMING, "hamming")
#define INDEX_METRIC(metric, name) INDEX_##metric,
enum metric INDEX_INT { INDEX_METRICS(INDEX_METRIC) };
#undef INDEX_METRIC

struct index_space {
    enum element element;
    enum metric metric;
};
// clang-format off
#define INDEX_SPACES_END { (enum element)(-1), (enum metric)(-1) }
// clang-format on

/* C code reads the floats of a row through this type, because a row may lie at any address. */
typedef float float_anywhere __attribute__((aligned(1)));

/* n contiguous rows at any alignment. The rows are borrowed. */
struct vectors {
    const void *rows;
    size_t n, dim;
    enum element element;
};

/* Ids are 64-bit numbers chosen by the caller. UINT64_MAX is not an id; it means "no answer". */
#define INDEX_NO_ID UINT64_MAX

size_t index_row_bytes(enum element, size_t dim); /* F32: 4 dim; U8: dim; B64: dim / 8 */
const char *index_element_name(enum element);     /* "f32" "u8" "b64" */
const char *index_metric_name(enum metric);       /* "l2" "ip" "cosine" "hamming" */
/* Sets *out to the value of a name. Returns false if there is no such name; *out
   is then unchanged. */
bool index_element_named(const char *name, enum element *out);
bool index_metric_named(const char *name, enum metric *out);
/* All names, indexed by the enums' values. NULL ends a list. */
extern const char *const index_element_names[], *const index_metric_names[];

/* Whether f32 holds the squared length of a row. Methods compare rows by sums of squares: a sum above
   the range is infinite, one below it is 0, and answers would be wrong. A squared distance is at most
   four times the greater squared length, so lengths of 1.1e-19 to 9.2e18 fit; a method gets no others,
   but for rows of zeros. */
enum row_range INDEX_INT {
    INDEX_ROW_FITS,
    INDEX_ROW_ZERO,
    INDEX_ROW_NOT_FINITE,
    INDEX_ROW_TOO_SMALL,
    INDEX_ROW_TOO_LARGE
};
enum row_range index_row_range(const float_anywhere *row, size_t dim);
/* The error of a row that does not fit: "WHERE J is VALUE ...", where J counts components from `first`.
   Returns ERR_NOT_FINITE. */
int index_row_refuse(struct error *, const char *where, const float_anywhere *row, size_t dim,
                     size_t first);
bool index_all_finite(const float *values, size_t n);

/* 2. The environment: all that a method may depend on */

struct mem;
struct pool;
struct kernels;
struct shard_env;
struct shard_ops;
struct shard_work;

struct index_env {
    size_t dim;
    enum element element;
    enum metric metric;
    size_t expected_n;             /* a hint: the most rows the workload will hold; may be 0 */
    uint64_t seed;                 /* the only source of randomness */
    size_t k_hint;                 /* a hint: the most frequent k */
    size_t n_attributes;           /* numbers that a row may carry, see section 9; 0: none */
    struct mem *mem;               /* for every allocation; see mem.h */
    struct pool *pool;             /* parallel.h; never NULL */
    const struct kernels *kernels; /* kernels/kernels.h */
    struct error *error;
    const char *dir;    /* an existing empty folder for files; NULL: methods in memory only */
    const char *device; /* "cpu" or "cuda" */
    void (*log)(void *log_to, const char *line); /* may be NULL */
    void *log_to;
    /* A monotonic clock, for statistics alone: no answer may depend on it. NULL: no times. */
    uint64_t (*clock_ns)(void);
    /* ranks/shards.h: for a method that contains others; NULL: no method may be contained. */
    const struct shard_env *shards;
};

/* The state of every method begins with this struct. create() and load() copy the env. */
struct index {
    const struct index_ops *ops;
    struct index_env env;
};

/* 3. Search */

/* An answer may contain an id only if id < n_ids and bit id % 64 of bits[id / 64] is set. */
struct id_filter {
    const uint64_t *bits;
    uint64_t n_ids;
};

static inline bool index_filter_allows(const struct id_filter *filter, uint64_t id) /* NULL: all */
{
    return !filter || (id < filter->n_ids && (filter->bits[id / 64] >> (id % 64) & 1));
}

/* How many ids it allows, counted up to `most`. */
size_t index_filter_count(const struct id_filter *, size_t most);

struct search_request {
    struct vectors queries;         /* of env's element and dim; unit length under COS with F32 */
    size_t k;                       /* >= 1 */
    const void *knobs;              /* the method's knob struct; NULL only if it has none */
    const struct id_filter *filter; /* NULL: all */
    size_t threads;                 /* the most threads to use, from env's pool */
};

/* Work, summed over the queries of the request. The caller has zeroed the fields, and the method
   adds to them. NAN: the method does not report this field. */
struct work {
    /* Exact distance computations, including those to centroids. An abandoned computation counts as
       the fraction that was computed. */
    double distances;
    double estimates;  /* distances estimated from quantised codes */
    double bytes_read; /* bytes of vectors and codes that scans read */
    /* Stored copies gone through, each once: compared, or passed over in a list (filtered, or compared
       before as another copy). Centroids do not count. 0 while other fields are above 0: not reported. */
    double scanned;
};

/* The answers to query q are at ids[q * k .. q * k + k - 1], nearest first; ties go to the smaller
   id. If fewer than k are found, the rest are INDEX_NO_ID and INFINITY, a miss each; the contract
   tests allow that only at settings that say so ("short"). The caller owns the arrays. */
struct search_result {
    uint64_t *ids;
    float *distances;
    struct work work;
    struct shard_work *shards; /* ranks/shards.h: an index in shards adds to it; NULL: nowhere */
};
/* Writes that no query has an answer. */
void index_answer_none(const struct search_request *, struct search_result *);

/* 4. The table of operations */

struct range_request;
struct range_result;
struct stat_sink;
struct memory_use;
struct structure_sink;
struct cluster_request;
struct cluster_result;
struct index_txn_ops;
struct index_attribute_ops;

enum index_flags {
    INDEX_EXACT = 1 << 0,             /* every answer is exact, at any knob */
    INDEX_NEEDS_TRAIN = 1 << 1,       /* insert() before train() returns ERR_UNTRAINED */
    INDEX_ON_DISK = 1 << 2,           /* the method keeps state under env.dir while it runs */
    INDEX_CONCURRENT_SEARCH = 1 << 3, /* search and range may run in several threads at once */
    INDEX_CONCURRENT_UPDATE = 1 << 4, /* insert, remove, maintain may run during searches */
    INDEX_NO_SIMD = 1 << 5,           /* a baseline built without SIMD; all results mark it */
    /* Contains indexes of another method, which the text param `of` names. Configs may give that
       method's options beside the own ones; they arrive as the text param `of_params` and the text
       knob `of_knobs`, "name=value,name=value". Takes the spaces that the other method takes. */
    INDEX_CONTAINS = 1 << 6,
    INDEX_WIDE_CODES = 1 << 7, /* takes B64 rows of any allowed length; else of 64 bits alone */
};

#define INDEX_NAME_BYTES 32

/* A NULL operation is a missing capability: the harness records `unsupported` and continues. */
struct index_ops {
    uint32_t abi; /* INDEX_ABI */
    /* "divf": letters, digits, '-' and '_', less than INDEX_NAME_BYTES; one line; paper or project */
    const char *name, *summary, *source;
    uint32_t flags;
    /* Ends with INDEX_SPACES_END. For F32 with COS the harness passes rows of unit length. */
    const struct index_space *spaces;
    /* `params` describes the build options, a struct of params_bytes. `knobs` describes the search
       options, a struct of knobs_bytes; they may change with each search. NULL and 0: none. */
    const struct param *params;
    size_t params_bytes;
    const struct param *knobs;
    size_t knobs_bytes;

    /* Required. param_defaults() and param_set() fill `params`, so each value is in range; create()
       checks combinations of values. */
    int (*create)(struct index **, const struct index_env *, const void *params);
    void (*destroy)(struct index *);
    /* Inserts all rows; on failure, the first *done rows. The ids are new and distinct, and
       none is INDEX_NO_ID. */
    int (*insert)(struct index *, struct vectors, const uint64_t *ids, size_t *done);
    int (*search)(struct index *, const struct search_request *, struct search_result *);

    /* Optional. Configs and results call remove() "delete". The ids are live and distinct. */
    int (*remove)(struct index *, const uint64_t *ids, size_t n, size_t *done);
    int (*train)(struct index *, struct vectors sample);
    int (*range)(struct index *, const struct range_request *, struct range_result *);
    /* Does maintenance of at most about `budget` distance computations (0: no bound). *more:
       whether maintenance remains to be done. */
    int (*maintain)(struct index *, uint64_t budget, bool *more);
    /* Changes live options, those whose row of `params` says .live. The struct has params_bytes;
       its other fields are as at create(). The values hold for all later calls, and save() stores
       them. On failure nothing has changed. No other call runs at the same time. */
    int (*set_params)(struct index *, const void *params);
    /* save() writes to an existing dir, which afterwards holds the old state or the new one, never
       a mix. Configs call load() "reload". Its env has as many attributes as the saved index, or 0:
       as many as are saved. */
    int (*save)(struct index *, const char *dir);
    int (*load)(struct index **, const struct index_env *, const char *dir);
    int (*stats)(const struct index *, struct stat_sink *);
    int (*memory)(const struct index *, struct memory_use *);
    /* Checks every invariant. Returns ERR_INVARIANT with a sentence that names the
       first broken one. */
    int (*check)(const struct index *, struct stat_sink *);
    /* Shows the structure. No change and no search runs meanwhile. */
    int (*inspect)(const struct index *, const struct structure_sink *);
    int (*cluster)(struct index *, const struct cluster_request *, struct cluster_result *);
    const struct index_txn_ops *txn;
    const struct index_attribute_ops *attributes;
    const struct shard_ops *shards; /* ranks/shards.h */
};

/* Whether ops->spaces contains (element, metric), and codes may have `dim` bits. */
bool index_takes(const struct index_ops *, enum element, size_t dim, enum metric);

/* 5. Range search */

struct range_request {
    struct vectors queries;
    double radius; /* in the metric's `distance` units; answers have distance <= radius */
    const void *knobs;
    const struct id_filter *filter;
    size_t threads;
};

/* Receives the answers of a range search. The method calls found() for each answer, in any order,
   each id once per query, from one thread. If found() returns a code other than OK, the method
   returns that code at once. */
struct range_result {
    int (*found)(void *to, size_t query, uint64_t id, float distance);
    void *to;
    struct work work;
    struct shard_work *shards; /* as of a search */
};

/* The fault of a radius under this metric, as text to follow "radius = X"; NULL: none.
   Under HAMMING a radius is a whole number 0 .. dim, that of the rows; under L2SQ and COS it is at
   least 0. It is never NaN. */
const char *index_radius_fault(enum metric, size_t dim, double radius);

/* 6. Statistics and memory */

/* Receives named numbers and table cells, such as ("clusters", row 3, "live", 812). Names are valid
   only during the call. */
struct stat_sink {
    void (*value)(void *to, const char *name, double value);
    void (*cell)(void *to, const char *table, size_t row, const char *column, double value);
    void *to;
};

/* Receives the structure of an index as a tree of nodes. enter() begins a node, such as list 3;
   kind and number name one node. Its numbers, texts, vectors and ids follow, then its children,
   then leave(); none of these follow if enter() returns false. Pointers are valid only during the
   call, numbers are finite, texts not empty. ids() may be called several times for a name; the
   lists are joined. The root is (name of the method, 0), and its number "rows" that of live rows.
   The lists "ids" of all nodes together have each live id at least once and no other id; a node
   with "ids" has their number as "live". */
struct structure_sink {
    bool (*enter)(void *to, const char *kind, uint64_t number);
    void (*leave)(void *to);
    void (*number)(void *to, const char *name, double value);
    void (*text)(void *to, const char *name, const char *value);
    void (*vector)(void *to, const char *name, const float *components, size_t dim);
    void (*ids)(void *to, const char *name, const uint64_t *ids, size_t n);
    void *to;
};

struct memory_use {                             /* bytes */
    uint64_t vectors, codes, graph, ids, other; /* resident parts */
    uint64_t disk;                              /* files under env.dir */
};

/* 7. Clusters */

/* Of a row in no cluster, such as the noise of a density-based method, and of vectors if there is
   no cluster. */
#define INDEX_NO_CLUSTER UINT64_MAX

/* A method has one or more levels of clusters, level 0 the finest. A cluster of a level is a union
   of clusters of the level before. */
struct cluster_request {
    size_t level; /* beyond the last one: the last one */
    /* Not 0: `level` is ignored. The method uses the level whose number of clusters is nearest to
       `target`, the finer of two; a method that can make any number of clusters makes `target`. */
    size_t target;
    const uint64_t *ids; /* live and distinct */
    size_t n;
    struct vectors vectors; /* as queries of a search; n may be 0 */
    size_t threads;
};

/* All of it describes one moment, also beside background maintenance. */
struct cluster_result {
    size_t levels, level; /* level: the one used */
    size_t clusters;      /* numbered from 0; some may be empty */
    /* The clusters of the ids, and those that the vectors would be in if they were inserted: arrays
       of the caller. */
    uint64_t *of_ids, *of_vectors;
    /* Called at most once for each cluster, with a live row of it that represents it, near its
       centre. If it returns a code other than OK, the method returns that code at once. */
    int (*medoid)(void *to, uint64_t cluster, uint64_t id);
    void *to;
};

/* 8. Transactions */

/* Calls of insert() and remove() between begin() and commit() take effect at commit, all or none.
   Until then, searches see the last commit. Outside a transaction each call is a transaction of its
   own. At most one transaction is open at a time. */
struct index_txn_ops {
    int (*begin)(struct index *);
    int (*commit)(struct index *, uint64_t *version);
    int (*rollback)(struct index *);
    int (*snapshot)(struct index *, uint64_t *version); /* pins the version */
    int (*release)(struct index *, uint64_t version);
    int (*search_as_of)(struct index *, uint64_t version, const struct search_request *,
                        struct search_result *);
};

/* 9. Attributes */

/* A row may carry env.n_attributes numbers, one per field. A search may be limited to rows whose
   numbers meet conditions, all of them; the method itself applies this filter. The harness maps
   every type of field to these numbers: see index_attribute_of_real() for reals; texts are numbers
   of a dictionary. A row's numbers are a record. Rows from insert() have no number in any field. */
enum { INDEX_ATTRIBUTES_MAX = 8 };
#define INDEX_ATTRIBUTE_NONE INT64_MIN /* the row has no number in this field */

enum attribute_test {
    INDEX_ATTRIBUTE_RANGE,  /* values: low, high; both are included */
    INDEX_ATTRIBUTE_IN,     /* the number is one of the values */
    INDEX_ATTRIBUTE_NOT_IN, /* the row has a number, which is none of the values */
    INDEX_ATTRIBUTE_MISSING /* the row has no number; there are no values */
};

/* Values are ascending, and distinct but for the two of a range. None is INDEX_ATTRIBUTE_NONE. */
struct attribute_condition {
    uint32_t field, test; /* test: enum attribute_test */
    uint64_t first, n;    /* its values in the filter's array */
};

/* Passes rows that meet all conditions. */
struct attribute_filter {
    const struct attribute_condition *conditions;
    size_t n;
    const int64_t *values; /* of all conditions */
};

/* Whether a row with this number in the condition's field meets the condition. */
bool index_attribute_meets(const struct attribute_condition *, const int64_t *values,
                           int64_t number);
/* Whether a record passes; field f's number is at record[f * stride]. A NULL record has no numbers.
   A NULL filter passes all. */
bool index_attribute_filter_allows(const struct attribute_filter *, const int64_t *record,
                                   size_t stride);
/* The number of a real, such that numbers are ordered as the reals are. NaN: INDEX_ATTRIBUTE_NONE.
   */
int64_t index_attribute_of_real(double);
double index_attribute_to_real(int64_t);

struct index_attribute_ops {
    /* attributes: n records of env.n_attributes numbers each. */
    int (*insert)(struct index *, struct vectors, const uint64_t *ids, const int64_t *attributes,
                  size_t *done);
    /* The request has no filter of ids. */
    int (*search)(struct index *, const struct search_request *, const struct attribute_filter *,
                  struct search_result *);
};

/* 10. Plugins */

/* The symbol that a plugin defines. The program itself does not define it. */
#define INDEX_PLUGIN_SYMBOL "driftline_plugin"
const struct index_ops *driftline_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
