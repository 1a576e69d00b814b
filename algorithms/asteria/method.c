/* method.c - the options of Asteria and its table of operations. asteria.h describes the state and
 * its invariants.
 */
#define _GNU_SOURCE /* pthread_rwlockattr_setkind_np() */
#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/buckets/device.h"
#include "algorithms/asteria/code/ecc.h"
#include "src/core/device/cuda.h"
#include "src/core/mem.h"
#include "src/core/rwlock.h"

#define P struct asteria_params
#define K struct asteria_knobs

/* ------------------------------------------------------------------------------- options */

static const struct param options[] = {
    PARAM_CHOICE(
        P, rotation, ROTATION_AUTO, "bor|hadamard|identity|pca|opq|auto",
        "how rows are rotated. bor: a learned butterfly; hadamard: the same before learning; "
        "identity: not at all; pca, opq: a dense matrix, which costs dim^2 per row; "
        "auto: bor or pca, whichever makes queries cheaper by rows kept out of training",
        .paper = "bor"),
    PARAM_INT(P, passes, 1, 1, 4,
              "bor, hadamard: butterflies in sequence. More: closer to a dense matrix, slower"),
    PARAM_CHOICE(P, init, BOR_HADAMARD, "hadamard|identity|random",
                 "bor: the angles that training starts with"),
    PARAM_INT(P, train_steps, 2000, 0, 1 << 20, "bor: gradient steps; 0: no training"),
    PARAM_INT(P, batch, 512, 2, 1 << 16, "bor: rows per gradient step"),
    PARAM_REAL(P, learning_rate, .01, 1e-6, 1, "bor: step size of Adam"),
    PARAM_INT(P, train_rows, 50000, 1, 1 << 24,
              "rows of the sample that a model is trained on, at most"),
    PARAM_BOOL(
        P, centering, true,
        "true: bits are signs about the mean of the sample, which balances them; false: about zero",
        .paper = "false", .old_name = "centre"),
    PARAM_CHOICE(P, code, ECC_GOLAY, "golay|bch|hamming|none",
                 "error-correcting code that sign bits are decoded to, so that near rows share an "
                 "address: golay [24,12], bch [27,12], hamming [15,11], none (raw bits)"),
    PARAM_INT(
        P, address_bits, 0, 0, ECC_ADDRESS_MAX,
        "bits of a bucket's address, at most the code's; 0: chosen for about 200 rows per bucket"),
    PARAM_CHOICE(P, vantages, VANTAGE_COORDINATES, "coordinates|learned",
                 "what bits are signs of: coordinates of the rotated row, or products with learned "
                 "orthonormal directions, which are slower",
                 .paper = "learned"),
    PARAM_INT(P, r, 0, 0, 8192,
              "coordinates of the residual codes (LRSQ); 0: half of the rotated row's, at most 96. "
              "More: closer estimates, more memory"),
    PARAM_INT(
        P, bits, 8, 4, 8,
        "mean bits per coordinate of the residual codes. More: closer estimates, more memory"),
    PARAM_INT(P, lrsq_block, 24, 1, 8192,
              "coordinates of the residual codes that share a number of bits"),
    PARAM_CHOICE(P, lrsq_scale, LRSQ_SCALE_COORDINATE, "coordinate|block",
                 "what has a scale and zero in the residual codes. coordinate: closer bounds, for "
                 "no memory per row; block: lrsq_block coordinates",
                 .paper = "block"),
    PARAM_BOOL(P, lrsq_pca, true,
               "true: residual codes use principal axes, which are much closer and cost a dense "
               "product; false: the strongest coordinates of the rotated row",
               .paper = "false"),
    PARAM_INT(P, scan_dims, 0, 0, 8192,
              "principal coordinates in the scanned codes, of 4 bits, at most a quarter of the "
              "dimensions. "
              "Fewer: faster, but recall falls where the rest matters; 0: all dimensions"),
    PARAM_INT(
        P, rabitq_bits, 0, 0, 9,
        "scan_dims = 0: bits per dimension. 4 are scanned at once; else the sign first, then "
        "the other bits of what passes. More: fewer distances; 0: 4 up to 64 dimensions, else 1"),
    PARAM_REAL(P, eps0, 1.9, .1, 100,
               "confidence of the scan's error bound; more: fewer misses, more estimates. 100: it "
               "excludes only what is certainly too far",
               .paper = "100"),
    PARAM_BOOL(
        P, caprg, false,
        "whether a graph links each row to near rows of the buckets around it, for beam > 0. "
        "Linking takes longer than inserting",
        .paper = "true"),
    PARAM_INT(P, degree, 16, 2, CAPRG_DEGREE_MAX,
              "links per row in the graph, at most; 4 bytes each"),
    PARAM_INT(P, r0, 1, 0, 8,
              "distance of the buckets that a row's links lead to, in codeword steps"),
    PARAM_INT(P, pool, 64, 4, 4096, "candidates for a row's links, at most"),
    PARAM_CHOICE(P, link_policy, LINK_MAINTAIN, "insert|maintain",
                 "when rows are linked: before insert returns, or by w:maintain alone",
                 .paper = "insert", .old_name = "link"),
    PARAM_INT(P, leaf_cap, 2048, 4, 1 << 24, "rows in a cluster before it is split"),
    PARAM_CHOICE(
        P, leaf_rules, LEAF_ROWS, "rows|entropy",
        "rows: a cluster of more than leaf_cap rows is split, and two are merged when they "
        "have few rows or when the bit between them has a small margin; entropy: a "
        "cluster of more than leaf_cap rows is split when the bits of their addresses have "
        "more entropy than log2 leaf_cap together, and two are merged when both conditions "
        "hold",
        .paper = "entropy"),
    PARAM_INT(P, leaf_prototypes, 0, 0, 64,
              "vectors of a cluster, beside its medoid, that rows are compared with when they are "
              "assigned again. More: w:maintain takes longer",
              .paper = "4"),
    PARAM_REAL(P, leaf_penalty, .1, 0, 10,
               "penalty on storing a row in another cluster than its address names"),
    PARAM_REAL(P, compact_share, .2, 0, 1,
               "share of removed rows from which w:maintain rewrites a bucket. More: rarer, looser "
               "bounds",
               .live = true),
    PARAM_REAL(P, retrain_share, 0, 0, 1e6,
               "w:maintain trains a new model when the rows added since the last training exceed "
               "this share of the rows it was trained for, and migrates the rows to it; 0: never",
               .live = true),
    PARAM_CHOICE(P, storage, ASTERIA_ROWS_MEMORY, "memory|tiered",
                 "where rows are stored: in memory, or in a file with a cache of the most used "
                 "rows in memory",
                 .old_name = "rows"),
    PARAM_INT(P, cache_mb, 64, 0, 1 << 24, "storage = tiered: megabytes of rows in memory",
              .old_name = "hot_mb"),
    PARAM_CHOICE(P, wal, LOGGED_NONE, "none|written|synced", LOGGED_WAL_HELP,
                 .old_name = "durability", .old_choices = "volatile=none"),
    LOGGED_CHECKPOINT(P),
    PARAM_CHOICE(P, device, CUDA_CPU, "cpu|cuda",
                 "rotation = bor: what computes the gradients of training; bor, hadamard: what "
                 "rotates batches of 64 rows or more and takes their sign bits; any: what bounds "
                 "the rows of certified searches of 32 "
                 "queries or more"),
    PARAM_END_GONE("scan_bits=take it out: coordinates have 4 bits")
};

static const struct param knobs[] = {
    PARAM_CHOICE(K, mode, MODE_HEURISTIC, "heuristic|certified",
                 "heuristic: rows that residual codes find unlikely are skipped; certified: only "
                 "rows that a bound excludes, so that answers are exact"),
    PARAM_CHOICE(K, probe_order, ORDER_HYBRID, "centre|score|bound|hybrid",
                 "order of the buckets: by their centres, by the codeword's correlation (score), "
                 "by the certified bound (always in certified mode), or by centre and score "
                 "together (hybrid), which scans fewest rows",
                 .paper = "bound", .old_name = "order", .old_choices = "both=hybrid"),
    PARAM_INT(K, nprobe, 16, 1, 1 << 22, "buckets scanned per query; recall and time grow with it",
              .old_name = "probes"),
    PARAM_REAL(K, target_recall, 0, 0, 0.9999,
               "mean recall at which queries stop, by an estimate; nprobe is the most buckets they "
               "scan. 0: nprobe alone decides. Only with mode = heuristic and probe_order = "
               "hybrid"),
    PARAM_INT(K, candidates, 0, 0, 1 << 30,
              "rows scanned per query, at most, beyond the first bucket's; 0: no limit"),
    PARAM_INT(K, beam, 0, 0, 4096,
              "caprg = true: rows kept by the beam search in the graph; 0: no beam search",
              .paper = "16"),
    PARAM_INT(
        K, rerank, 0, 0, 1 << 22,
        "best LRSQ estimates per query that get an exact distance, k at least; 0: all rows that "
        "pass the scan",
        .paper = "1"),
    PARAM_BOOL(K, exact, true,
               "true: answers have exact distances; false: estimates, and no row is read"),
    PARAM_BOOL(K, use_b1, true,
               "whether bounds by boxes of buckets exclude rows; false: for comparison"),
    PARAM_BOOL(K, use_b2, true,
               "whether bounds by angles and balls of buckets exclude rows; false: for comparison"),
    PARAM_BOOL(K, use_b3, true,
               "whether bounds by residual codes exclude rows; false: for comparison"),
    PARAM_BOOL(
        K, audit, false,
        "compares every bound with the exact distance of every row, beside the search; slow"),
    PARAM_END_GONE("early_stop_buckets=take target_recall: the mean recall to be reached|"
                   "patience=take target_recall: the mean recall to be reached")
};

#undef P
#undef K

/* ------------------------------------------------------------------------------ lifecycle */

static void destroy_index(struct index *index)
{
    if (!index)
        return;
    struct asteria *a = asteria_of(index);
    struct mem *mem = index->env.mem;

    scratch_pool_free(&a->scratch);
    asteria_device_close(a->device, &index->env);
    mem_free(mem, a->audit);
    asteria_caprg_destroy(a->graph);
    for (size_t i = 0; i < 2; i++)
        asteria_generation_destroy(&index->env, a->generations[i]);
    asteria_rows_destroy(a->rows);
    slot_table_free(&a->slots);
    mem_free(mem, a->ids);
    mem_free(mem, a->places);
    mem_free(mem, a->free);
    pthread_rwlock_destroy(&a->lock);
    pthread_mutex_destroy(&a->stop_lock);
    mem_free(mem, a);
}

static int create_index(struct index **out, const struct index_ops *ops,
                        const struct index_env *env, const void *params)
{
    const struct asteria_params *p = params;
    const unsigned most = asteria_ecc_bits_most((enum asteria_code)p->code);

    if (p->address_bits > most)
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: address_bits is %lld, but the code's words have %u bits of address; "
                    "code = none has 24",
                    (long long)p->address_bits, most);
    struct asteria *a = mem_zalloc(env->mem, sizeof *a);
    if (!a)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory creating the index");
    a->base = (struct index){ ops, *env };
    a->params = *p;
    rwlock_init_writers_first(&a->lock);
    pthread_mutex_init(&a->stop_lock, NULL);
    stop_rule_default(&a->stop.rule);
    scratch_pool_init(&a->scratch, &asteria_scratch_kind, env->mem, a);
    slot_table_init(&a->slots, env->mem);
    int rc = asteria_rows_create(&a->rows, &a->base.env, &a->params, NULL);
    if (rc == OK && p->device == CUDA_CUDA)
        rc = asteria_device_open(&a->device, &a->base.env);
    if (rc == OK && p->caprg) {
        const struct asteria_caprg_rows rows = asteria_graph_rows(a);
        rc = asteria_caprg_create(&a->graph, &a->base.env, (size_t)p->degree, &rows);
    }
    if (rc == OK)
        *out = &a->base;
    else
        destroy_index(&a->base);
    return rc;
}

static int set_params(struct index *index, const void *params)
{
    asteria_of(index)->params = *(const struct asteria_params *)params;
    return OK;
}

static bool has(const struct index *index, uint64_t id)
{
    const struct asteria *a = asteria_of(index);

    return slot_table_get(&a->slots, a->ids, id, NULL);
}

static const struct logged_method logged = { .ops = &asteria_ops,
                                             .version = 11,
                                             .params = offsetof(struct asteria, params),
                                             .create = create_index,
                                             .destroy = destroy_index,
                                             .insert = asteria_insert,
                                             .remove = asteria_remove,
                                             .train = asteria_train,
                                             .has = has,
                                             .write = asteria_write,
                                             .read = asteria_read };

LOGGED_CALLS(&logged)

/* ------------------------------------------------------------------------------ the table */

static const struct index_space spaces[] = { { INDEX_F32, INDEX_COS },
                                             { INDEX_U8, INDEX_COS },
                                             INDEX_SPACES_END };

const struct index_ops asteria_ops = {
    .abi = INDEX_ABI,
    .name = "asteria",
    .summary = "learned rotation, buckets by decoded sign bits, bounds that are certain, a small "
               "graph, clusters by prefix",
    .source = "Asteria (public prototype); Golay 1949, Gao and Long 2024",
    .flags = INDEX_NEEDS_TRAIN | INDEX_ON_DISK | INDEX_CONCURRENT_SEARCH | INDEX_CONCURRENT_UPDATE,
    .spaces = spaces,
    .params = options,
    .params_bytes = sizeof(struct asteria_params),
    .knobs = knobs,
    .knobs_bytes = sizeof(struct asteria_knobs),
    LOGGED_OPERATIONS,
    .train = logged_train,
    .search = asteria_search,
    .range = asteria_range,
    .maintain = asteria_maintain,
    .set_params = set_params,
    .stats = asteria_stats,
    .memory = asteria_memory,
    .check = asteria_check,
    .inspect = asteria_inspect,
    .cluster = asteria_cluster,
};
