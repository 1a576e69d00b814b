/* method.c - SPANN and SPFresh as methods: their options, and the two tables of operations. */
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"

/* ------------------------------------------------------------------------------- options */

#define FILING                                                                                     \
    PARAM_REAL(struct spfresh_params, ratio, .1, 1e-4, 1,                                          \
               "heads per vector of the build (Ratio). More: shorter postings, more memory"),      \
        PARAM_INT(struct spfresh_params, replicas, 8, 1, SPFRESH_REPLICAS_MAX,                     \
                  "postings that a vector is stored in, at most (ReplicaCount). More: fewer "      \
                  "postings per query, more disk space, slower updates"),                          \
        PARAM_REAL(struct spfresh_params, rng_factor, 1, .1, 10,                                   \
                   "how alike the heads of one vector may be (RNGFactor). More: more copies"),     \
        PARAM_REAL(struct spfresh_params, closure_eps, 10, 0, 1e6,                                 \
                   "a vector is stored with heads within (1 + closure_eps) times the distance of " \
                   "its nearest one. Less: fewer copies"),                                         \
        PARAM_INT(struct spfresh_params, assign_heads, 32, 1, 4096,                                \
                  "candidate heads per vector (InternalResultNum)", .paper = "64"),                \
        PARAM_INT(struct spfresh_params, page_limit, 0, 0, 4096,                                   \
                  "pages of 4096 bytes per posting, at most (PostingPageLimit); 0: 3 for bytes, "  \
                  "12 for floats, and posting_entries' limit",                                     \
                  .paper = "3"),                                                                   \
        PARAM_INT(struct spfresh_params, posting_entries, 0, 0, 1 << 24,                           \
                  "entries per posting, at most; 0: by page_limit, and where that is 0 too, "      \
                  "6 / ratio or 32, whichever is more"),                                           \
        PARAM_INT(struct spfresh_params, fanout, 32, 2, 1024,                                      \
                  "tree that heads are chosen from: children per node (BKTKmeansK)"),              \
        PARAM_INT(struct spfresh_params, leaf, 8, 1, 4096,                                         \
                  "tree that heads are chosen from: vectors in a node that is not divided "        \
                  "further (BKTLeafSize)"),                                                        \
        PARAM_INT(struct spfresh_params, samples, 1000, 16, 1 << 24,                               \
                  "tree that heads are chosen from: vectors per k-means (SamplesNumber)"),         \
        PARAM_REAL(struct spfresh_params, balance, 1, -1, 1e6,                                     \
                   "penalty on full clusters (BKTLambdaFactor); 0: none; below 0: powers of ten "  \
                   "are tried, and the most even result is kept"),                                 \
        PARAM_INT(struct spfresh_params, select_threshold, 0, 0, 1 << 24,                          \
                  "vectors below a node from which its centre becomes a head (SelectThreshold); "  \
                  "0: chosen for ratio"),                                                          \
        PARAM_INT(struct spfresh_params, split_threshold, 0, 0, 1 << 24,                           \
                  "vectors below a node from which its largest children become heads too "         \
                  "(SplitThreshold); 0: chosen for ratio"),                                        \
        PARAM_INT(struct spfresh_params, split_factor, 0, 0, 1 << 24,                              \
                  "vectors per head among those children (SplitFactor); 0: 1 / ratio"),            \
        PARAM_INT(struct spfresh_params, refine, 0, 0, 100,                                        \
                  "rounds in which heads move to the mean of the vectors nearest to them; 0: "     \
                  "heads are vectors, as in SPTAG"),                                               \
        PARAM_CHOICE(struct spfresh_params, head_index, GRAPH_HNSW, "hnsw|bkt",                    \
                     "how heads are found: HNSW, or SPTAG's k-means tree with a neighbourhood "    \
                     "graph (bkt)",                                                                \
                     .paper = "bkt"),                                                              \
        PARAM_INT(struct spfresh_params, degree, 32, 4, 256,                                       \
                  "graph of heads: neighbours per head (NeighborhoodSize); memory and accuracy "   \
                  "grow with it"),                                                                 \
        PARAM_INT(struct spfresh_params, build_ef, 200, 8, 1 << 16,                                \
                  "graph of heads: candidates for neighbours during the build (CEF)",              \
                  .paper = "1000"),                                                                \
        PARAM_INT(struct spfresh_params, insert_ef, 100, 8, 1 << 16,                               \
                  "graph of heads: candidates for neighbours of a later head (AddCEF)",            \
                  .paper = "500"),                                                                 \
        PARAM_CHOICE(struct spfresh_params, postings, CODEC_RAW, "raw|sq8|pq|rabitq",              \
                     "what postings hold: vectors, or codes, with the vectors stored apart for "   \
                     "exact distances"),                                                           \
        PARAM_INT(struct spfresh_params, bits, 1, 1, 9, "postings = rabitq: bits per dimension"),  \
        PARAM_INT(                                                                                 \
            struct spfresh_params, pq_groups, 0, 0, 1 << 16,                                       \
            "postings = pq: groups of dimensions, 4 bits each; 0: half the number of dimensions"), \
        PARAM_REAL(struct spfresh_params, eps0, 1.9, .1, 100,                                      \
                   "postings = rabitq: confidence of the error bound; more: fewer misses, more "   \
                   "exact distances"),                                                             \
        PARAM_CHOICE(struct spfresh_params, code_centre, CODEC_CENTRE_POSTING, "posting|global",   \
                     "postings = pq, rabitq: codes are relative to the head of their posting and " \
                     "made again with every move, or to one global point"),                        \
        PARAM_CHOICE(struct spfresh_params, version_bits, 0, "7|15",                               \
                     "bits of a vector's version; 7 saves a byte per copy"),                       \
        PARAM_CHOICE(struct spfresh_params, store, POSTING_MMAP, "memory|mmap|file|rocksdb",       \
                     "where postings are stored: in memory, in a mapped file, in a file that is "  \
                     "read, or in RocksDB",                                                        \
                     .paper = "file"),                                                             \
        PARAM_CHOICE(struct spfresh_params, io, POSTING_IO_AUTO, "auto|uring|pread",               \
                     "store = file: how postings are read; auto: io_uring where the kernel "       \
                     "allows it, else pread. pread: one after the other, or by threads with "      \
                     "direct = true"),                                                             \
        PARAM_BOOL(struct spfresh_params, direct, false,                                           \
                   "store = file, rocksdb: reads bypass the page cache where the file system "     \
                   "allows it, so that cold reads are measured"),                                  \
        PARAM_CHOICE(struct spfresh_params, wal, SPFRESH_AUTO, "none|written|synced|auto",         \
                     "what an acknowledged update survives. none: nothing; written: the death of " \
                     "the process; synced: a power failure, by an fsync per batch; auto: none "    \
                     "with store = memory, else written",                                          \
                     .old_name = "journal"),                                                       \
        PARAM_INT(struct spfresh_params, checkpoint_mb, 64, 1, 1 << 20,                            \
                  "megabytes of log after which a snapshot is due")

static const struct param spann_options[] = { FILING, PARAM_END };

static const struct param spfresh_options[] = {
    FILING,
    PARAM_CHOICE(struct spfresh_params, maintenance, SPFRESH_INLINE, "inline|explicit|background",
                 "when postings are split and merged: before an update returns, by w:maintain "
                 "alone, or in background threads",
                 .paper = "background"),
    PARAM_INT(struct spfresh_params, background_threads, 1, 1, 64,
              "maintenance = background: number of threads"),
    PARAM_INT(
        struct spfresh_params, background_nice, 0, 0, 20,
        "maintenance = background: nice value of the threads. Above 0, searches take "
        "precedence while all processors are busy; 20: the threads run while a processor is idle"),
    PARAM_REAL(struct spfresh_params, background_cpu_share, 1, .01, 1,
               "maintenance = background: share of a processor that each thread uses, at most; it "
               "pauses between jobs",
               .live = true),
    PARAM_INT(struct spfresh_params, background_mb_s, 0, 0, 1 << 20,
              "maintenance = background: megabytes of postings that the threads read and write per "
              "second, at most; 0: no limit",
              .live = true),
    PARAM_INT(
        struct spfresh_params, buffer_pages, 3, 0, 4096,
        "pages beyond the limit from which an update splits the posting itself (BufferLength)",
        .live = true),
    PARAM_BOOL(struct spfresh_params, split, true, "whether postings beyond the limit are split"),
    PARAM_INT(struct spfresh_params, reassign_heads, 64, 0, 4096,
              "postings around a split whose vectors may be reassigned (ReassignK); 0: none. More: "
              "closer to a new build, slower splits",
              .live = true),
    PARAM_BOOL(
        struct spfresh_params, condition1, true,
        "whether vectors of a split posting that were nearer to the old head are reassigned"),
    PARAM_BOOL(
        struct spfresh_params, condition2, true,
        "whether vectors of neighbouring postings that are nearer to a new head are reassigned"),
    PARAM_BOOL(struct spfresh_params, merge, true, "whether small postings are merged"),
    PARAM_INT(
        struct spfresh_params, merge_entries, 0, 0, 1 << 24,
        "live entries below which a posting is merged (MergeThreshold); 0: 1 / ratio, a tenth of "
        "the limit at most, at least 10",
        .paper = "10", .live = true),
    PARAM_END_GONE("recentre=take it out: heads stay where the build or a split put them")
};

static const struct param knobs[] = {
    PARAM_INT(
        struct spfresh_knobs, nprobe, 32, 1, 1 << 22,
        "postings read per query, at most (SearchInternalResultNum); recall and time grow with it",
        .paper = "64"),
    PARAM_INT(
        struct spfresh_knobs, ef, 0, 0, 1 << 22,
        "heads kept while searching for heads; 0: by nprobe. Less: faster, near heads are missed"),
    PARAM_INT(struct spfresh_knobs, max_check, 0, 0, 1 << 30,
              "heads compared per query, at most (MaxCheck); 0: no limit", .paper = "4096"),
    PARAM_REAL(struct spfresh_knobs, max_dist_ratio, 0, 0, 1e6,
               "postings whose head is farther than this times the nearest head, in squared "
               "distance, are left out (MaxDistRatio); 0: none"),
    PARAM_INT(struct spfresh_knobs, page_budget, 0, 0, 1 << 22,
              "pages read per posting, at most (SearchPostingPageLimit); 0: all"),
    PARAM_INT(struct spfresh_knobs, rerank, 0, 0, 1 << 20,
              "postings = sq8, pq, rabitq: exact distances per query, at most; 0: all that the "
              "bound cannot exclude"),
    PARAM_REAL(struct spfresh_knobs, latency_limit_ms, 0, 0, 1e6,
               "store = file, rocksdb: postings that have not arrived by then are left out "
               "(LatencyLimit); 0: all are waited for",
               .paper = "2"),
    PARAM_REAL(
        struct spfresh_knobs, target_recall, 0, 0, .9999,
        "mean recall at which queries stop, by an estimate; nprobe is the most postings they "
        "read. 0: nprobe alone decides"),
    PARAM_END
};

/* ------------------------------------------------------------------------ creation, loading */

static const struct spfresh_opening spann_opening = { .ops = &spann_ops };
static const struct spfresh_opening spfresh_opening = { .ops = &spfresh_ops, .live = true };

static int create_spann(struct index **out, const struct index_env *env, const void *params)
{
    return spfresh_create(out, env, params, &spann_opening);
}

static int create_spfresh(struct index **out, const struct index_env *env, const void *params)
{
    return spfresh_create(out, env, params, &spfresh_opening);
}

static int load_spann(struct index **out, const struct index_env *env, const char *dir)
{
    return spfresh_load_from(out, env, dir, &spann_opening);
}

static int load_spfresh(struct index **out, const struct index_env *env, const char *dir)
{
    return spfresh_load_from(out, env, dir, &spfresh_opening);
}

/* ------------------------------------------------------------------------------ the tables */

static const struct index_space spaces[] = {
    { INDEX_F32, INDEX_L2SQ }, { INDEX_F32, INDEX_COS }, { INDEX_U8, INDEX_L2SQ }, INDEX_SPACES_END
};

#define OPERATIONS                                                                           \
    .abi = INDEX_ABI, .spaces = spaces, .params_bytes = sizeof(struct spfresh_params),       \
    .knobs = knobs, .knobs_bytes = sizeof(struct spfresh_knobs), .destroy = spfresh_destroy, \
    .train = spfresh_train, .insert = spfresh_insert, .remove = spfresh_remove,              \
    .search = spfresh_search_op, .range = spfresh_range, .maintain = spfresh_maintain,       \
    .save = spfresh_save, .stats = spfresh_stats, .memory = spfresh_memory,                  \
    .check = spfresh_check, .inspect = spfresh_inspect, .cluster = spfresh_cluster,          \
    .flags = INDEX_ON_DISK | INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE

const struct index_ops spann_ops = {
    OPERATIONS,
    .name = "spann",
    .summary = "inverted file on disk, heads in memory under a graph, copies at the borders; "
               "inserts append",
    .source = "SPANN (Chen et al. 2021); Microsoft SPTAG; PySPTAG",
    .params = spann_options,
    .create = create_spann,
    .load = load_spann,
};

const struct index_ops spfresh_ops = {
    OPERATIONS,
    .name = "spfresh",
    .summary = "SPANN that stays fresh: postings are split and merged and their vectors "
               "reassigned as they change",
    .source = "SPFresh (Xu et al. 2023); Microsoft SPTAG; PySPTAG",
    .params = spfresh_options,
    .set_params = spfresh_set_params,
    .create = create_spfresh,
    .load = load_spfresh,
};
