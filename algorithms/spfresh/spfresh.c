/* spfresh.c - SPANN and SPFresh: options, creation, and the two tables. spfresh.h has the state and
 * its invariants. */
#include "algorithms/spfresh/spfresh.h"

#include "src/core/mem.h"

/* ------------------------------------------------------------------------------- options */

#define FILING                                                                                     \
    PARAM_REAL(struct spfresh_params, ratio, .1, 1e-4, 1,                                          \
               "heads per vector of the build. More: shorter postings, more memory"),              \
        PARAM_INT(struct spfresh_params, replicas, 8, 1, SPFRESH_REPLICAS_MAX,                     \
                  "postings a vector is filed in at most; disk and the cost of updates grow "      \
                  "with it, the postings a query needs fall"),                                     \
        PARAM_REAL(struct spfresh_params, rng_factor, 1, .1, 10,                                   \
                   "how alike the heads of one vector may be (RNG rule). More: more copies"),      \
        PARAM_REAL(struct spfresh_params, closure_eps, 10, 0, 1e6,                                 \
                   "a copy goes to heads within (1 + this) times the nearest one's distance; "     \
                   "less: fewer copies"),                                                          \
        PARAM_INT(struct spfresh_params, assign_heads, 32, 1, 4096,                                \
                  "heads looked at to file a vector (InternalResultNum, 64 in SPTAG)"),            \
        PARAM_INT(struct spfresh_params, page_limit, 0, 0, 4096,                                   \
                  "pages of 4096 bytes a posting may fill (PostingPageLimit); 0: 3 for bytes, 12 " \
                  "for floats"),                                                                   \
        PARAM_INT(struct spfresh_params, posting_entries, 0, 0, 1 << 24,                           \
                  "the same limit in entries; 0: by page_limit"),                                  \
        PARAM_INT(struct spfresh_params, fanout, 32, 2, 1024,                                      \
                  "children of a node of the tree that heads are chosen from (BKTKmeansK)"),       \
        PARAM_INT(struct spfresh_params, leaf, 8, 1, 4096,                                         \
                  "vectors of a cluster that is not divided any more (BKTLeafSize)"),              \
        PARAM_INT(struct spfresh_params, samples, 1000, 16, 1 << 24,                               \
                  "vectors that k-means works on at a node (SamplesNumber)"),                      \
        PARAM_REAL(struct spfresh_params, balance, 1, -1, 1e6,                                     \
                   "penalty on full clusters; 0: none; below 0: tried by decades, the most even "  \
                   "taken"),                                                                       \
        PARAM_INT(struct spfresh_params, select_threshold, 0, 0, 1 << 24,                          \
                  "vectors below a node that make its centre a head (SelectThreshold); 0: found "  \
                  "for ratio"),                                                                    \
        PARAM_INT(struct spfresh_params, split_threshold, 0, 0, 1 << 24,                           \
                  "... that make heads of its largest children too (SplitThreshold); 0: found"),   \
        PARAM_INT(struct spfresh_params, split_factor, 0, 0, 1 << 24,                              \
                  "... one of so many vectors (SplitFactor); 0: 1 / ratio"),                       \
        PARAM_INT(struct spfresh_params, refine, 0, 0, 100,                                        \
                  "times that each head is moved to the mean of the vectors nearest to it; 0: "    \
                  "heads are vectors, as in SPTAG"),                                               \
        PARAM_CHOICE(                                                                              \
            struct spfresh_params, head_index, GRAPH_HNSW, "hnsw|bkt",                             \
            "how heads are found: HNSW, or SPTAG's k-means tree and neighbourhood graph"),         \
        PARAM_INT(struct spfresh_params, degree, 32, 4, 256,                                       \
                  "neighbours of a head in the graph (NeighborhoodSize); memory and accuracy"),    \
        PARAM_INT(struct spfresh_params, build_ef, 200, 8, 1 << 16,                                \
                  "candidates for a head's neighbours at the build (CEF, 1000 in SPTAG)"),         \
        PARAM_INT(struct spfresh_params, insert_ef, 100, 8, 1 << 16,                               \
                  "the same for a head that comes later (AddCEF, 500 in SPTAG)"),                  \
        PARAM_CHOICE(                                                                              \
            struct spfresh_params, postings, CODEC_RAW, "raw|sq8|pq|rabitq",                       \
            "what postings hold: vectors, or codes, with the vectors beside for an exact "         \
            "rerank"),                                                                             \
        PARAM_INT(struct spfresh_params, bits, 1, 1, 9, "postings = rabitq: bits a dimension"),    \
        PARAM_INT(struct spfresh_params, pq_groups, 0, 0, 1 << 16,                                 \
                  "postings = pq: groups of dimensions, 4 bits each; 0: half as many as "          \
                  "dimensions"),                                                                   \
        PARAM_REAL(struct spfresh_params, eps0, 1.9, .1, 100,                                      \
                   "postings = rabitq: how sure its bound is; more: fewer misses, more exact "     \
                   "distances"),                                                                   \
        PARAM_CHOICE(struct spfresh_params, code_centre, CODEC_CENTRE_POSTING, "posting|global",   \
                     "what pq and rabitq codes are relative to: their posting's head, made anew "  \
                     "with every move, or one point"),                                             \
        PARAM_CHOICE(struct spfresh_params, version_bits, 0, "7|15",                               \
                     "bits of a vector's version; 7 is a byte a copy less"),                       \
        PARAM_CHOICE(struct spfresh_params, store, POSTING_MMAP, "memory|mmap|file|rocksdb",       \
                     "where postings lie: memory, a mapped file, a file that is read, RocksDB"),   \
        PARAM_CHOICE(struct spfresh_params, io, POSTING_IO_AUTO, "auto|uring|pread",               \
                     "store = file: how it is read; auto: io_uring where the kernel allows it"),   \
        PARAM_BOOL(                                                                                \
            struct spfresh_params, direct, false,                                                  \
            "store = file, rocksdb: read past the page cache where the file system allows, "       \
            "so that cold reads are real"),                                                        \
        PARAM_BOOL(struct spfresh_params, verify, true, "hold every page read to its checksum"),   \
        PARAM_CHOICE(                                                                              \
            struct spfresh_params, journal, SPFRESH_AUTO, "none|written|synced|auto",              \
            "what an acknowledged update survives: nothing, the death of the process, or of the "  \
            "machine (an fsync a batch); auto: written, and none with store = memory"),            \
        PARAM_INT(struct spfresh_params, checkpoint_mb, 64, 1, 1 << 20,                            \
                  "megabytes of journal after which a snapshot is due")

static const struct param spann_options[] = { FILING, PARAM_END };

static const struct param spfresh_options[] = {
    FILING,
    PARAM_CHOICE(struct spfresh_params, maintenance, SPFRESH_INLINE, "inline|explicit|background",
                 "when postings are split and merged: before an update returns, by maintain() "
                 "alone, or by threads beside"),
    PARAM_INT(struct spfresh_params, background_threads, 1, 1, 64,
              "maintenance = background: its threads"),
    PARAM_INT(struct spfresh_params, buffer_pages, 3, 0, 4096,
              "pages past the limit before an update splits a posting by itself (BufferLength)"),
    PARAM_BOOL(struct spfresh_params, split, true, "split postings past the limit"),
    PARAM_INT(struct spfresh_params, reassign_heads, 64, 0, 4096,
              "postings around a split whose vectors may move (ReassignK); 0: none. More: closer "
              "to a fresh build, dearer splits"),
    PARAM_BOOL(struct spfresh_params, condition1, true,
               "reassign vectors of a split posting that were nearer to the old head"),
    PARAM_BOOL(struct spfresh_params, condition2, true,
               "reassign vectors of neighbouring postings that are nearer to a new head"),
    PARAM_BOOL(
        struct spfresh_params, recentre, false,
        "a posting that is rewritten gets one of its members for a head, if its head is none "
        "any more"),
    PARAM_BOOL(struct spfresh_params, merge, true, "merge postings that have run low"),
    PARAM_INT(struct spfresh_params, merge_entries, 0, 0, 1 << 24,
              "live entries of a posting that is merged; 0: a tenth of the limit, at least 10"),
    PARAM_REAL(struct spfresh_params, same_head, .05, 0, 1,
               "a half of a split keeps the old head where its centre moved less than this share "
               "of its radius"),
    PARAM_END
};

static const struct param knobs[] = {
    PARAM_INT(struct spfresh_knobs, nprobe, 32, 1, 1 << 22,
              "postings read a query at most (SearchInternalResultNum); recall and time grow "
              "with it"),
    PARAM_INT(
        struct spfresh_knobs, ef, 0, 0, 1 << 22,
        "heads kept while searching for them; 0: by nprobe. Less: faster, nearer ones missed"),
    PARAM_INT(struct spfresh_knobs, max_check, 0, 0, 1 << 30,
              "heads compared with the query at most (MaxCheck); 0: no bound"),
    PARAM_REAL(struct spfresh_knobs, max_dist_ratio, 0, 0, 1e6,
               "a posting is left out whose head is farther than this times the nearest one's, in "
               "squared distance (MaxDistRatio); 0: none is"),
    PARAM_INT(struct spfresh_knobs, page_budget, 0, 0, 1 << 22,
              "pages of a posting read at most; 0: all (SearchPostingPageLimit)"),
    PARAM_INT(struct spfresh_knobs, rerank, 0, 0, 1 << 20,
              "codes: exact distances a query at most; 0: all that their bound cannot exclude"),
    PARAM_REAL(struct spfresh_knobs, latency_limit_ms, 0, 0, 1e6,
               "store = file: postings that have not come by then are left out (LatencyLimit); 0: "
               "all are waited for"),
    PARAM_END
};

/* ------------------------------------------------------------------------------ creation */

static int check_params(const struct index_env *env, const struct spfresh_params *p,
                        const char *name)
{
    if (p->store != POSTING_MEMORY && !env->dir)
        return fail(env->error, ERR_ARGUMENT,
                    "%s: store = mmap, file and rocksdb need a folder for the index, and there is "
                    "none; store = memory needs none",
                    name);
    if (p->store == POSTING_MEMORY &&
        (p->journal == SPFRESH_WRITTEN || p->journal == SPFRESH_SYNCED))
        return fail(env->error, ERR_ARGUMENT,
                    "%s: journal = %s with store = memory: postings in memory do not survive the "
                    "process, so a log of updates is not kept; set journal = none, or store = mmap "
                    "or file",
                    name, p->journal == SPFRESH_SYNCED ? "synced" : "written");
    if (p->pq_groups > (int64_t)env->dim)
        return fail(env->error, ERR_ARGUMENT,
                    "%s: pq_groups is %lld, more than the vectors' %zu dimensions", name,
                    (long long)p->pq_groups, env->dim);
#ifndef HAVE_ROCKSDB
    if (p->store == POSTING_ROCKSDB)
        return fail(env->error, ERR_UNSUPPORTED,
                    "%s: store = rocksdb: this build is without RocksDB (librocksdb-dev)", name);
#endif
    return OK;
}

void spfresh_set_limits(struct spfresh *s)
{
    const struct spfresh_params *p = &s->params;
    const size_t usual = s->base.env.element == ELEMENT_U8 ? 3 : 12;
    const size_t pages = p->page_limit > 0 ? (size_t)p->page_limit : usual;
    const size_t tenth = (size_t)10;

    s->limit = p->posting_entries > 0 ? (size_t)p->posting_entries : codec_entries(s->codec, pages);
    s->hard_limit = s->limit + codec_entries(s->codec, (size_t)p->buffer_pages + 1);
    s->merge_limit = p->merge_entries > 0    ? (size_t)p->merge_entries
                     : s->limit / tenth > 10 ? s->limit / tenth
                                             : 10;
    /* Two postings that are merged must not be split again. */
    if (s->merge_limit > s->limit / 3)
        s->merge_limit = s->limit / 3;
}

static int open_parts(struct spfresh *s)
{
    const struct index_env *env = &s->base.env;
    const struct spfresh_params *p = &s->params;
    const struct graph_options graph = { .kind = (enum graph_kind)p->head_index,
                                         .degree = (size_t)p->degree,
                                         .build_ef = (size_t)p->build_ef,
                                         .insert_ef = (size_t)p->insert_ef,
                                         .rng_factor = 1,
                                         .seed = env->seed };
    int rc;

    s->epoch = epoch_create(env->mem);
    if (!s->epoch)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory creating the index",
                    s->base.ops->name);
    stable_init(&s->slots.versions, env->mem, p->version_bits ? 2 : 1);
    stable_init(&s->heads, env->mem, sizeof(struct spfresh_head));
    slot_table_init(&s->slots.table, env->mem);
    if ((rc = graph_create(&s->graph, env, s->epoch, &graph)) != OK ||
        (rc = codec_create(&s->codec, s)) != OK)
        return rc;
    spfresh_set_limits(s);
    return OK;
}

/* Updates that overlap without end must not keep a checkpoint out; nobody takes the gate twice. */
static void init_gate(pthread_rwlock_t *gate)
{
    pthread_rwlockattr_t writers_first;

    (void)pthread_rwlockattr_init(&writers_first);
    (void)pthread_rwlockattr_setkind_np(&writers_first,
                                        PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(gate, &writers_first);
    (void)pthread_rwlockattr_destroy(&writers_first);
}

/* Before any file of it is opened. */
static int take_folder(struct spfresh *s, const struct spfresh_opening *opening)
{
    const struct index_env *env = &s->base.env;

    if (!env->dir)
        return OK;
    s->dir = mem_strdup(env->mem, env->dir);
    if (!s->dir)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory creating the index",
                    s->base.ops->name);
    s->base.env.dir = s->dir;
    if (opening->claim && *opening->claim >= 0) {
        s->claim = *opening->claim;
        *opening->claim = -1;
    }
    return spfresh_claim(s);
}

int spfresh_open(struct spfresh **out, const struct index_env *env, const struct spfresh_params *p,
                 const struct spfresh_opening *opening)
{
    const struct index_ops *ops = opening->live ? &spfresh_ops : &spann_ops;
    int rc = check_params(env, p, ops->name);

    if (rc != OK)
        return rc;
    struct spfresh *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "%s: out of memory creating the index", ops->name);
    s->base = (struct index){ ops, *env };
    s->params = *p;
    if (p->journal == SPFRESH_AUTO)
        s->params.journal = p->store == POSTING_MEMORY ? SPFRESH_NO_JOURNAL : SPFRESH_WRITTEN;
    s->live = opening->live;
    s->fault = opening->fault;
    s->claim = -1;
    atomic_init(&s->due_at, (uint64_t)p->checkpoint_mb << 20);
    s->slots.first_free = s->slots.first_exhausted = SLOT_NONE;
    s->slots.first_parked = s->slots.first_frozen = SLOT_NONE;
    init_gate(&s->gate);
    pthread_mutex_init(&s->checkpointing, NULL);
    pthread_mutex_init(&s->heads_lock, NULL);
    pthread_mutex_init(&s->scratch_lock, NULL);
    pthread_mutex_init(&s->slots.lock, NULL);
    pthread_cond_init(&s->slots.changed, NULL);
    idmap_init(&s->slots.changing, env->mem);
    for (size_t i = 0; i < SPFRESH_STRIPES; i++) {
        pthread_mutex_init(&s->slots.of[i], NULL);
        pthread_mutex_init(&s->posting[i], NULL);
    }
    rc = take_folder(s, opening);
    if (rc == OK)
        rc = open_parts(s);
    if (rc != OK) {
        spfresh_destroy(&s->base);
        return rc;
    }
    *out = s;
    return OK;
}

int spfresh_open_store(struct spfresh *s, const struct store_reader *resume)
{
    const struct spfresh_params *p = &s->params;
    const struct posting_options options = { .kind = (enum posting_kind)p->store,
                                             .io = (enum posting_io)p->io,
                                             .direct = p->direct,
                                             .verify = p->verify,
                                             .typical_bytes = codec_bytes(s->codec, s->limit / 2),
                                             .fault = s->fault };

    return resume ? posting_store_resume(&s->store, &s->base.env, s->epoch, &options, resume)
                  : posting_store_open(&s->store, &s->base.env, s->epoch, &options);
}

int spfresh_create(struct spfresh **out, const struct index_env *env,
                   const struct spfresh_params *params, const struct spfresh_opening *opening)
{
    struct spfresh *s = NULL;
    int rc = spfresh_open(&s, env, params, opening);

    if (rc != OK)
        return rc;
    rc = spfresh_claim_empty(s);
    if (rc == OK)
        rc = spfresh_open_store(s, NULL);
    if (rc == OK)
        rc = spfresh_start(s);
    if (rc != OK) {
        spfresh_destroy(&s->base);
        return rc;
    }
    *out = s;
    return OK;
}

static int create(struct index **out, const struct index_env *env, const void *params, bool live)
{
    const struct spfresh_opening opening = { .live = live };
    struct spfresh *s = NULL;
    const int rc = spfresh_create(&s, env, params, &opening);

    if (rc == OK)
        *out = &s->base;
    return rc;
}

static int create_spann(struct index **out, const struct index_env *env, const void *params)
{
    return create(out, env, params, false);
}

static int create_spfresh(struct index **out, const struct index_env *env, const void *params)
{
    return create(out, env, params, true);
}

/* Makes nothing durable: what was acknowledged is. */
void spfresh_destroy(struct index *index)
{
    if (!index)
        return;
    struct spfresh *s = spfresh_of(index);
    struct mem *mem = index->env.mem;

    spfresh_stop(s);
    spfresh_scratch_free(s);
    /* Parts that retire things go before the epoch, whose last calls reach into none of them but
       slots. */
    if (s->epoch)
        epoch_drain(s->epoch);
    posting_store_close(s->store);
    graph_destroy(s->graph);
    codec_destroy(s->codec);
    epoch_destroy(s->epoch);
    stable_free(&s->heads);
    stable_free(&s->slots.versions);
    slot_table_free(&s->slots.table);
    epoch_array_free(mem, atomic_load(&s->slots.ids));
    for (size_t i = 0; i < SPFRESH_STRIPES; i++) {
        pthread_mutex_destroy(&s->slots.of[i]);
        pthread_mutex_destroy(&s->posting[i]);
    }
    idmap_free(&s->slots.changing);
    pthread_cond_destroy(&s->slots.changed);
    pthread_mutex_destroy(&s->slots.lock);
    pthread_mutex_destroy(&s->scratch_lock);
    pthread_mutex_destroy(&s->heads_lock);
    pthread_mutex_destroy(&s->checkpointing);
    pthread_rwlock_destroy(&s->gate);
    spfresh_release(s);
    mem_free(mem, s->dir);
    mem_free(mem, s);
}

/* ------------------------------------------------------------------------------ the tables */

static const struct index_space spaces[] = { { ELEMENT_F32, METRIC_L2SQ },
                                             { ELEMENT_F32, METRIC_COS },
                                             { ELEMENT_U8, METRIC_L2SQ },
                                             INDEX_SPACES_END };

#define OPERATIONS                                                                           \
    .abi = INDEX_ABI, .spaces = spaces, .params_bytes = sizeof(struct spfresh_params),       \
    .knobs = knobs, .knobs_bytes = sizeof(struct spfresh_knobs), .destroy = spfresh_destroy, \
    .train = spfresh_train, .insert = spfresh_insert, .remove = spfresh_remove,              \
    .search = spfresh_search_op, .range = spfresh_range, .maintain = spfresh_maintain,       \
    .save = spfresh_save, .stats = spfresh_stats, .memory = spfresh_memory,                  \
    .check = spfresh_check,                                                                  \
    .flags = INDEX_ON_DISK | INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE

const struct index_ops spann_ops = {
    OPERATIONS,
    .name = "spann",
    .summary = "inverted file on disk, heads in memory under a graph, copies at the borders; "
               "inserts append",
    .source = "SPANN (Chen et al. 2021); Microsoft SPTAG; PySPTAG",
    .params = spann_options,
    .create = create_spann,
    .load = spann_load_index,
};

const struct index_ops spfresh_ops = {
    OPERATIONS,
    .name = "spfresh",
    .summary = "SPANN that stays fresh: postings are split and merged and their vectors "
               "reassigned as they change",
    .source = "SPFresh (Xu et al. 2023); Microsoft SPTAG; PySPTAG",
    .params = spfresh_options,
    .create = create_spfresh,
    .load = spfresh_load_index,
};
