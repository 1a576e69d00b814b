/* vamana_disk.h - the state of `vamana-disk`: DiskANN's index on disk, with FreshDiskANN's updates.
 *
 *   method.c options, reports, table    index.c creation, views    update.c insert remove maintain
 *   part.c the disk part       cache.c its first levels   read.c its pages
 *   beam.c search of the graph search.c search            range.c range search
 *   build.c rows to disk       merge.c when it merges how     stream.c, link.c the streaming merge
 *   prune.c links by codes     recode.c codes of a merge
 *   store.c file, save, load   check.c check
 *
 * A view is what searches see: the disk part, which does not change but for its deletes, and an
 * index in memory of the rows inserted since (`recent`). A merge makes a new view. Searches find
 * the view in an epoch and hold no lock.
 *
 * Each live id is in one of the two. An insert puts the new copy of a row into `recent`; searches
 * ask the disk part first, so that they find one of two copies.
 *
 * The file "vamana-disk.index" (store_file.h) has all of the disk part, and is replaced as a whole.
 * Its section "pages" ends with pages of VAMANA_DISK_PAGE bytes, at a multiple of that in the file.
 * A node is a record: its row, padded to 4 bytes; the number of its links; `degree` links. A page
 * has as many whole records as fit, or a record has several pages of its own. */
#ifndef DRIFTLINE_VAMANA_DISK_H
#define DRIFTLINE_VAMANA_DISK_H

#include <pthread.h>
#include <stdatomic.h>

#include "algorithms/common/concurrency/epoch.h"
#include "algorithms/common/concurrency/scratch_pool.h"
#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/graph/candidate_list.h"
#include "algorithms/common/graph_index/graph_index.h"
#include "algorithms/common/io/read_queue.h"
#include "algorithms/common/quantizer/pq_codes.h"
#include "src/core/index.h"
#include "src/core/mem.h"
#include "src/core/slot_table.h"
#include "src/core/topk.h"

#define VAMANA_DISK_FILE "vamana-disk.index"
enum { VAMANA_DISK_PAGE = 4096, VAMANA_DISK_VERSION = 2, VAMANA_DISK_BEAM_MAX = 64 };
enum { VAMANA_DISK_TRAIN_ROWS = 25600 /* 100 per codeword */ };

enum vamana_disk_maintenance { VAMANA_DISK_INLINE, VAMANA_DISK_EXPLICIT };
enum vamana_disk_io { VAMANA_DISK_IO_AUTO, VAMANA_DISK_IO_URING, VAMANA_DISK_IO_PREAD };

struct vamana_disk_params {
    int64_t degree, build_list;
    double alpha;
    int64_t pq_groups;
    double cache_mb;
    int64_t io; /* enum vamana_disk_io */
    bool direct;
    int64_t maintenance; /* enum vamana_disk_maintenance */
    double merge_share;
    int64_t merge_rows;
};

struct vamana_disk_knobs {
    int64_t search_list, beam_width;
};

/* Where records are. */
struct vamana_disk_layout {
    size_t row_bytes, links_at, degree, record_bytes;
    size_t per_page;   /* records; 1 if a record has several pages */
    size_t read_bytes; /* a record is read with its page or pages */
};

static inline uint64_t vamana_disk_n_reads(const struct vamana_disk_layout *l, size_t n)
{
    return (n + l->per_page - 1) / l->per_page;
}

/* A record's links, as they are in a page. */
struct vamana_disk_links {
    uint32_t n;
    uint32_t to[];
};

static inline struct vamana_disk_links *vamana_disk_links_of(const struct vamana_disk_layout *l,
                                                             const unsigned char *record)
{
    return (struct vamana_disk_links *)(uintptr_t)(record + l->links_at);
}

/* The disk part: nodes 0 .. n - 1. */
struct vamana_disk_part {
    const struct vamana_disk *owner;
    struct vamana_disk_layout layout;
    size_t n;
    uint32_t entry;              /* where searches begin; GRAPH_NONE if n is 0 */
    float norm_max_sq;           /* INDEX_IP: at least that of each row */
    struct quantizer *quantizer; /* NULL if n is 0 */
    uint8_t *codes;              /* n codes */
    uint64_t unseen;             /* rows that came after the quantizer was trained */
    _Atomic(uint64_t) *ids;      /* by node; INDEX_NO_ID: deleted */
    struct slot_table nodes;     /* live id -> node; for changes */
    atomic_size_t n_live;
    int fd; /* -1: none; with the option `direct`, past the page cache */
    uint64_t pages_at, file_bytes;
    uint32_t *cached;     /* ascending: nodes whose records are in memory */
    unsigned char *cache; /* their records */
    size_t n_cached;
};

struct vamana_disk_view {
    struct epoch_item item;
    struct vamana_disk_part *part;
    struct graph_index *recent;
};

struct vamana_disk {
    struct index base;
    struct vamana_disk_params params;
    char *dir; /* env.dir's copy */
    int claim; /* descriptor of the folder's lock; -1: none */
    struct epoch *epoch;
    struct read_threads *threads;
    struct scratch_pool scratch; /* struct vamana_disk_scratch; of all parts, as rings are slow to
                                    close */
    pthread_mutex_t lock;        /* changes run one at a time */
    _Atomic(struct vamana_disk_view *) view;
    atomic_uint_fast64_t queries, pages_read, cache_hits, merges;
};

/* The memory that one thread needs to search; pooled. */
struct vamana_disk_scratch {
    struct scratch_item item;
    struct read_queue *queue;
    struct read_request requests[VAMANA_DISK_BEAM_MAX];
    unsigned char *buffers, *buffers_block; /* VAMANA_DISK_BEAM_MAX of layout.read_bytes */
    float *query, *table; /* the query as floats, transformed; its distances from codewords */
    uint64_t *seen;       /* a bit per node */
    size_t seen_capacity;
    struct candidate_list list; /* by estimates */
    uint32_t *found;            /* expanded nodes, with their exact distances */
    float *distances;
    size_t n_found, found_capacity, distances_capacity;
    uint64_t pages, hits; /* counts since they were taken */
    double exact, estimates;
};

extern const struct index_ops vamana_disk_ops;

static inline struct vamana_disk *vamana_disk_of(const struct index *index)
{
    return (struct vamana_disk *)(uintptr_t)index;
}

static inline struct vamana_disk_view *vamana_disk_view_of(const struct vamana_disk *h)
{
    return atomic_load_explicit(&((struct vamana_disk *)(uintptr_t)h)->view, memory_order_acquire);
}

static inline uint64_t vamana_disk_id(const struct vamana_disk_part *p, uint32_t node)
{
    return atomic_load_explicit(&p->ids[node], memory_order_acquire);
}

static inline size_t vamana_disk_live(const struct vamana_disk_part *p)
{
    return atomic_load_explicit(&((struct vamana_disk_part *)(uintptr_t)p)->n_live,
                                memory_order_acquire);
}

/* index.c */
int vamana_disk_create(struct index **, const struct index_ops *, const struct index_env *,
                       const void *params);
void vamana_disk_destroy(struct index *);
/* An index without a view, which has locked its folder. ERR_NO_MEMORY, ERR_ARGUMENT, ERR_IO. */
int vamana_disk_open(struct vamana_disk **, const struct index_ops *, const struct index_env *,
                     const struct vamana_disk_params *);
/* An empty index of recent rows. ERR_NO_MEMORY. */
int vamana_disk_recent_create(struct vamana_disk *, struct graph_index **);
/* Makes a view of these, which it then owns; they are destroyed on failure. Searches see it from
   then on, and the one before is destroyed after the last search of it. ERR_NO_MEMORY. */
int vamana_disk_show(struct vamana_disk *, struct vamana_disk_part *, struct graph_index *recent);

/* part.c */
/* A part of n nodes without codes, ids and file. ERR_NO_MEMORY. */
int vamana_disk_part_create(struct vamana_disk_part **, const struct vamana_disk *, size_t n);
void vamana_disk_part_destroy(struct vamana_disk_part *); /* NULL is allowed */
/* Trains the quantizer on rows (floats of graph_env's dim), and allocates the codes. */
int vamana_disk_part_train(struct vamana_disk_part *, const float *rows, size_t n);
/* Codes a row; `floats` has space for two rows of floats. */
void vamana_disk_part_code(struct vamana_disk_part *, uint32_t node, const void *row,
                           float *floats);
/* Maps the ids of all nodes. ERR_NO_MEMORY, ERR_CORRUPT: an id occurs twice. */
int vamana_disk_part_map(struct vamana_disk_part *);
/* The env of rows on disk: under INDEX_IP rows have one component more. */
struct index_env vamana_disk_row_env(const struct vamana_disk *);
/* Distance of a query from a row on disk, as env's metric reports it. */
float vamana_disk_distance(const struct vamana_disk *, const void *query, const void *row);
/* A row as the part's records have it. Under INDEX_IP inner product becomes squared L2 (Bachrach et
   al. 2014), which codes estimate: a row x has sqrt(M - |x|^2) besides, where M is the greatest
   squared norm, and a query q has 0. Then the squared distance is |q|^2 + M - 2 <q, x>. Of `row`,
   dim components are read. */
void vamana_disk_put_row(const struct vamana_disk_part *, const void *row, void *out);
/* The same as floats. */
void vamana_disk_floats(const struct vamana_disk_part *, const void *row, float *out);
/* M of the live rows in memory; 0 under other metrics. */
float vamana_disk_greatest_norm_sq(const struct graph_index *);
/* Of a code. */
size_t vamana_disk_groups(const struct vamana_disk *);
struct vamana_disk_layout vamana_disk_layout_of(const struct vamana_disk *);
uint64_t vamana_disk_part_bytes(const struct vamana_disk_part *);

/* The record of a cached node; NULL: it is not cached. */
const unsigned char *vamana_disk_cached(const struct vamana_disk_part *, uint32_t node);

/* cache.c */
/* Opens the file in `dir`, in which the pages are at pages_at, and fills the cache. ERR_IO,
   ERR_NO_MEMORY, ERR_CORRUPT. */
int vamana_disk_part_attach(struct vamana_disk_part *, const char *dir);

/* read.c */
/* Of the pool, or new; for searches of the part, of which nothing is counted yet. NULL: out of
   memory. */
struct vamana_disk_scratch *vamana_disk_scratch_take(const struct vamana_disk_part *);
void vamana_disk_scratch_give(const struct vamana_disk_part *,
                              struct vamana_disk_scratch *); /* or NULL */
extern const struct scratch_kind vamana_disk_scratch_kind;   /* of the pool vamana_disk->scratch */
/* Reads the records of n distinct nodes, VAMANA_DISK_BEAM_MAX at a time, and calls visit() for
   each, in the order in which they arrive. ERR_IO, ERR_CORRUPT, errors of visit(). */
int vamana_disk_read(const struct vamana_disk_part *, struct vamana_disk_scratch *,
                     const uint32_t *nodes, size_t n,
                     int (*visit)(void *to, uint32_t node, const unsigned char *record), void *to);
/* Reads all pages in order, some at a time: `first` is the node of the first one's first record. */
int vamana_disk_read_runs(const struct vamana_disk_part *,
                          int (*take)(void *to, const unsigned char *pages, size_t n_reads,
                                      uint32_t first),
                          void *to);
/* Reads all records in the order of their nodes. */
int vamana_disk_read_all(const struct vamana_disk_part *,
                         int (*visit)(void *to, uint32_t node, const unsigned char *record),
                         void *to);

/* beam.c */
/* Searches the graph with a list of L candidates, `width` reads at a time: x->found. */
int vamana_disk_beam(const struct vamana_disk_part *, struct vamana_disk_scratch *x,
                     const void *query, size_t L, size_t width);
/* The same, for a row as it is on disk, which under INDEX_IP has its added component: the nearest
   by squared L2. */
int vamana_disk_beam_row(const struct vamana_disk_part *, struct vamana_disk_scratch *x,
                         const void *row, size_t L, size_t width);
/* Reads all live nodes that are allowed, which are `allowed` at most: x->found. */
int vamana_disk_scan(const struct vamana_disk_part *, struct vamana_disk_scratch *x,
                     const void *query, const struct id_filter *, size_t allowed);

/* search.c, range.c */
int vamana_disk_search(struct index *, const struct search_request *, struct search_result *);
int vamana_disk_range(struct index *, const struct range_request *, struct range_result *);
/* Adds what x counted to the totals and to *work. */
void vamana_disk_count(struct vamana_disk *, const struct vamana_disk_part *,
                       struct vamana_disk_scratch *x, struct work *work);

/* update.c */
int vamana_disk_insert(struct index *, struct vectors, const uint64_t *ids, size_t *done);
int vamana_disk_remove(struct index *, const uint64_t *ids, size_t n, size_t *done);
int vamana_disk_maintain(struct index *, uint64_t budget, bool *more);

/* build.c */
/* A part with the live rows of a graph in memory and its edges, written to the index's folder with
   the recent rows, and attached. ERR_NO_MEMORY, ERR_IO. */
int vamana_disk_build(struct vamana_disk *, struct graph_index *from, struct graph_index *recent,
                      struct vamana_disk_part **out);

/* merge.c */
/* Moves all recent rows to disk and removes the deleted ones: a new file, and a new view. Under the
   lock. On failure nothing has changed. */
int vamana_disk_merge(struct vamana_disk *);

/* prune.c. Space for candidates of one node at a time; they may be given several times. */
struct vamana_disk_prune {
    const struct vamana_disk_part *part; /* its codes */
    uint32_t self;
    uint32_t *numbers;
    uint64_t *keys;
    float *distances, *rows, *table;
    size_t n;
    struct mem_group memory; /* of these arrays */
};
/* For at most `most` candidates of a node. false: out of memory; it is freed in any case, zeroed
   ones too. */
bool vamana_disk_prune_init(struct vamana_disk_prune *, const struct vamana_disk_part *,
                            size_t most);
void vamana_disk_prune_free(struct vamana_disk_prune *);
void vamana_disk_prune_begin(struct vamana_disk_prune *, uint32_t self);
void vamana_disk_prune_add(struct vamana_disk_prune *, uint32_t number); /* self: ignored */
/* The links of `self`, at most `degree`: all candidates if they fit and !always, else those that
   robust prune selects. Returns their number. */
size_t vamana_disk_prune(struct vamana_disk_prune *, bool always, uint32_t *out);

/* stream.c */
/* The streaming merge (FreshDiskANN, section 5): a part of the live rows on disk and the recent
   ones, written to the index's folder with the rows of `empty`, and attached. Memory is needed for
   the recent rows and for numbers of the others. ERR_NO_MEMORY, ERR_IO, ERR_CORRUPT. */
int vamana_disk_stream(struct vamana_disk *, const struct vamana_disk_view *,
                       struct graph_index *empty, struct vamana_disk_part **out);

/* store.c */
struct vamana_disk_pages {
    int (*write)(void *to, struct store_writer *); /* writes all pages of the part */
    void *to;
};
/* Writes the file in `dir`: the part and the recent rows. *pages_at: where its pages are in it. */
int vamana_disk_write(struct vamana_disk *, const char *dir, struct vamana_disk_part *,
                      struct graph_index *recent, const struct vamana_disk_pages *,
                      uint64_t *pages_at);

/* store.c, check.c */
int vamana_disk_save(struct index *, const char *dir);
int vamana_disk_load(struct index **, const struct index_ops *, const struct index_env *,
                     const char *dir);
int vamana_disk_check(const struct index *, struct stat_sink *);

#endif
