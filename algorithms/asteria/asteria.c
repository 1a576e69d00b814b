/* asteria.c - Asteria: options, creation, and the table. asteria.h has the state and its invariants. */
#define _GNU_SOURCE /* pthread_rwlockattr_setkind_np() */
#include "algorithms/asteria/asteria.h"

#include "src/core/mem.h"

#define P struct asteria_params
#define K struct asteria_knobs

/* ------------------------------------------------------------------------------- options */

static const struct param options[] = {
    PARAM_CHOICE(P, rotation, TURN_BOR, "bor|hadamard|identity|random|pca|itq|opq",
                 "what rows are turned by: a learned butterfly, its unlearned start, nothing, or "
                 "a dense matrix (random, principal axes, ITQ's, OPQ's), which costs dim^2 a row"),
    PARAM_INT(P, passes, 1, 1, 4,
              "bor, hadamard: butterflies one after the other; more: closer to a dense matrix, "
              "dearer"),
    PARAM_CHOICE(P, init, BOR_HADAMARD, "hadamard|identity|random",
                 "bor: the angles that training begins with"),
    PARAM_INT(P, train_steps, 2000, 0, 1 << 20, "bor: gradient steps; 0: not trained"),
    PARAM_INT(P, batch, 512, 2, 1 << 16, "bor: rows of a step"),
    PARAM_REAL(P, learning_rate, .01, 1e-6, 1, "bor: Adam's step size"),
    PARAM_INT(P, train_rows, 50000, 1, 1 << 24,
              "rows of the sample that a model is fitted to, at most"),
    PARAM_BOOL(P, centre, true,
               "bits are signs about the sample's mean, so that they are balanced, not about zero"),
    PARAM_CHOICE(P, code, ECC_GOLAY, "golay|golay2|bch|hamming|rm|none|random",
                 "code that words of sign bits are decoded to, so that near rows share an address: "
                 "[24,12], two of them, [31,16], [15,11], Reed-Muller [32,6], raw bits, random "
                 "[24,12]"),
    PARAM_INT(P, address_bits, 0, 0, ECC_ADDRESS_MAX,
              "bits of a bucket's address, at most the code's; 0: so many that a bucket has about "
              "200 rows"),
    PARAM_CHOICE(P, vantages, VANTAGE_COORDINATES, "coordinates|learned",
                 "what bits are signs of: coordinates of the turned row, or products with learned "
                 "orthonormal directions, dearer"),
    PARAM_INT(P, r, 0, 0, 8192,
              "coordinates of the short codes; 0: half of the turned row's, at most 96; more: "
              "closer estimates, more memory"),
    PARAM_INT(P, bits, 8, 4, 8, "bits of such a coordinate in the mean; memory and closeness"),
    PARAM_INT(P, lrsq_block, 24, 1, 8192, "coordinates that share a number of bits"),
    PARAM_BOOL(P, lrsq_pca, true,
               "short codes are of principal axes: much closer, dearer by a dense product; "
               "false: of the turned row's strongest coordinates"),
    PARAM_INT(P, scan_dims, 0, 0, 8192,
              "principal coordinates that scanned codes are of, where they are at most a quarter "
              "of the dimensions; faster, but what they leave out must be little: see what recall "
              "says; 0: all dimensions"),
    PARAM_INT(P, scan_bits, 4, 1, 4,
              "bits of such a coordinate; more: fewer distances; 4 are scanned fastest"),
    PARAM_INT(P, rabitq_bits, 1, 1, 9,
              "bits of a dimension where all are scanned: 4 at once, else the sign and then the "
              "others of what passes; more: fewer distances"),
    PARAM_REAL(P, eps0, 1.9, .1, 100,
               "how sure the scan's bound is; more: fewer misses, more estimates"),
    PARAM_BOOL(P, caprg, true, "a graph links each row to near ones of the buckets around it"),
    PARAM_INT(P, degree, 16, 2, CAPRG_DEGREE_MAX, "links of a row, at most; 4 bytes each"),
    PARAM_INT(P, r0, 1, 0, 8,
              "buckets around a row's own that its links lead to: in codeword steps"),
    PARAM_INT(P, pool, 64, 4, 4096, "rows that a row's links are chosen from, at most"),
    PARAM_CHOICE(P, link, LINK_MAINTAIN, "insert|maintain",
                 "when rows are linked: before insert() returns, or by maintain() alone"),
    PARAM_INT(P, leaf_cap, 2048, 4, 1 << 24, "rows of a cluster before it is split in two"),
    PARAM_REAL(P, leaf_penalty, .1, 0, 10,
               "how unwillingly rows go to another cluster than their address says"),
    PARAM_REAL(
        P, compact_share, .2, 0, 1,
        "of a bucket's rows removed since it was written: maintain() writes it anew; more: rarer, "
        "looser bounds"),
    PARAM_REAL(P, retrain_share, 0, 0, 1e6,
               "rows come since the model was fitted, by those it was fitted for: maintain() fits "
               "a newer one and moves the rows to it; 0: never"),
    PARAM_CHOICE(P, rows, ASTERIA_ROWS_MEMORY, "memory|tiered",
                 "where the rows are: in memory, or in a file, the most asked for in memory too"),
    PARAM_INT(P, hot_mb, 64, 0, 1 << 24, "rows = tiered: megabytes of them in memory"),
    PARAM_CHOICE(P, durability, ASTERIA_VOLATILE, "volatile|written|synced",
                 "what an acknowledged update survives: nothing, the death of the process, or of "
                 "the machine (an fsync per batch)"),
    PARAM_INT(P, checkpoint_mb, 64, 1, 1 << 20, "megabytes of log after which a checkpoint is due"),
    PARAM_END
};

static const struct param knobs[] = {
    PARAM_CHOICE(K, mode, MODE_HEURISTIC, "heuristic|certified",
                 "what is left out: what short codes find unlikely, or only what bounds exclude "
                 "for certain"),
    PARAM_CHOICE(
        K, order, ORDER_BOTH, "centre|score|bound|flips|tree|both",
        "which buckets come first: by their centres, by the codeword's correlation, by "
        "the certain bound (certified: always), by flips of doubtful bits, by the tree, by "
        "centres and correlation together, which takes fewest rows"),
    PARAM_INT(K, probes, 16, 1, 1 << 22, "buckets looked at; recall and time grow with it"),
    PARAM_INT(K, patience, 0, 0, 1 << 22,
              "buckets in a row without a new answer that end a query before its probes do: "
              "fewer rows for the same recall; 0: they do not"),
    PARAM_INT(K, candidates, 0, 0, 1 << 30,
              "rows scanned at most, but for the first bucket's; 0: no bound"),
    PARAM_INT(K, beam, 0, 0, 4096, "rows kept while walking in the graph; 0: it is not walked"),
    PARAM_INT(
        K, rerank, 0, 0, 1 << 22,
        "best LRSQ estimates that get an exact distance; 0: all rows that the scan lets pass"),
    PARAM_BOOL(K, exact, true, "answers have exact distances; else estimates, and no row is read"),
    PARAM_BOOL(K, use_b1, true, "bounds by boxes of buckets prune; off: for comparison"),
    PARAM_BOOL(K, use_b2, true, "bounds by angles and balls of buckets prune"),
    PARAM_BOOL(K, use_b3, true, "bounds by short codes prune"),
    PARAM_BOOL(K, audit, false,
               "every bound is held to every row's distance, beside the search; slow"),
    PARAM_END
};

#undef P
#undef K

static int check_params(const struct index_env *env, const struct asteria_params *p)
{
    const unsigned most = ecc_bits_most((enum asteria_code)p->code);

    if (p->address_bits > most)
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: address_bits is %lld, but the code's words have %u bits of address; "
                    "code = golay2 and none have 24",
                    (long long)p->address_bits, most);
    if (!env->dir && (p->rows == ASTERIA_ROWS_TIERED || p->durability != ASTERIA_VOLATILE))
        return fail(env->error, ERR_ARGUMENT,
                    "asteria: %s needs a folder for the index, and there is none; rows = memory "
                    "and durability = volatile need none",
                    p->rows == ASTERIA_ROWS_TIERED ? "rows = tiered" : "durability");
    return OK;
}

/* ------------------------------------------------------------------------------ creation */

/* Searches that overlap without end must not keep changes out, nor changes a checkpoint; nobody
   takes a lock twice. */
static void init_lock(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t writers_first;

    (void)pthread_rwlockattr_init(&writers_first);
    (void)pthread_rwlockattr_setkind_np(&writers_first,
                                        PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(lock, &writers_first);
    (void)pthread_rwlockattr_destroy(&writers_first);
}

int asteria_open(struct asteria **out, const struct index_env *env, const struct asteria_params *p,
                 const struct asteria_opening *opening)
{
    const struct tier_opening rows = { .again =
                                           opening->recovers && p->durability != ASTERIA_VOLATILE,
                                       .fault = opening->fault };
    int rc = check_params(env, p);

    if (rc != OK)
        return rc;
    struct asteria *a = mem_zalloc(env->mem, sizeof *a);
    if (!a)
        return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory creating the index");
    a->base = (struct index){ &asteria_ops, *env };
    a->params = *p;
    a->fault = opening->fault;
    init_lock(&a->lock);
    init_lock(&a->checkpoint_lock);
    pthread_mutex_init(&a->checkpointing, NULL);
    pthread_mutex_init(&a->changing, NULL);
    pthread_mutex_init(&a->scratch_lock, NULL);
    slot_table_init(&a->slots, env->mem);
    rc = asteria_log_create(a, opening);
    if (rc == OK)
        rc = tier_create(&a->tier, &a->base.env, &a->params, &rows);
    if (rc == OK && p->caprg)
        rc = caprg_create(&a->graph, &a->base.env, (size_t)p->degree);
    if (rc == OK)
        *out = a;
    else
        asteria_destroy(&a->base);
    return rc;
}

int asteria_create(struct index **out, const struct index_env *env, const void *params)
{
    const struct asteria_opening opening = { 0 };
    struct asteria *a = NULL;
    int rc = asteria_open(&a, env, params, &opening);

    if (rc == OK && (rc = asteria_log_start(a)) != OK)
        asteria_destroy(&a->base);
    if (rc == OK)
        *out = &a->base;
    return rc;
}

void asteria_destroy(struct index *index)
{
    if (!index)
        return;
    struct asteria *a = asteria_of(index);
    struct mem *mem = index->env.mem;

    asteria_scratch_free(a);
    bec_destroy(a->bec);
    caprg_destroy(a->graph);
    for (size_t i = 0; i < 2; i++)
        generation_destroy(&index->env, a->generations[i]);
    tier_destroy(a->tier);
    slot_table_free(&a->slots);
    mem_free(mem, a->ids);
    mem_free(mem, a->places);
    mem_free(mem, a->free);
    mem_free(mem, a->waiting);
    asteria_pins_free(a);
    pthread_mutex_destroy(&a->scratch_lock);
    pthread_mutex_destroy(&a->changing);
    pthread_mutex_destroy(&a->checkpointing);
    pthread_rwlock_destroy(&a->checkpoint_lock);
    pthread_rwlock_destroy(&a->lock);
    asteria_log_destroy(a);
    mem_free(mem, a);
}

/* ------------------------------------------------------------------------------ the table */

static const struct index_space spaces[] = { { ELEMENT_F32, METRIC_COS },
                                             { ELEMENT_U8, METRIC_COS },
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
    .create = asteria_create,
    .destroy = asteria_destroy,
    .train = asteria_train,
    .insert = asteria_insert,
    .remove = asteria_remove,
    .search = asteria_search,
    .range = asteria_range,
    .maintain = asteria_maintain,
    .save = asteria_save,
    .load = asteria_load,
    .stats = asteria_stats,
    .memory = asteria_memory,
    .check = asteria_check,
    .clusters = &asteria_clusters,
};
