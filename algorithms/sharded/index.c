/* index.c - making and ending an index, its ranks and its shards. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "algorithms/sharded/sharded.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/path_print.h"
#include "src/core/ranks/shards.h"
#include "src/core/registry.h"

/* ---- shards */

int sharded_create_copy(struct sharded *s, size_t shard, size_t rank, enum copy_made made,
                        const char *from, uint64_t *sequence)
{
    const struct index_env *env = &s->base.env;
    struct call call;
    call_begin(s, &call, rank, REQUEST_CREATE, shard);
    struct wire *w = &call.request;
    wire_put(w, made);
    wire_put(w, env->dim);
    wire_put(w, env->element);
    wire_put(w, env->metric);
    wire_put(w, env->expected_n ? env->expected_n / (size_t)s->params.shards + 1 : 0);
    wire_put(w, env->seed + shard);
    wire_put(w, env->k_hint);
    wire_put_text(w, s->params.of);
    wire_put_text(w, s->params.of_params);
    wire_put_text(w, from ? from : "");
    const int rc = sharded_ask(s, &call);
    if (sequence)
        *sequence = rc == OK ? wire_take(&call.reply) : 0;
    call_end(&call);
    return rc;
}

/* The rank that is up with the fewest copies, and none of this shard. */
static size_t freest_rank(const struct sharded *s, const struct shard *shard, size_t n_replicas)
{
    size_t best = RANKS_MAX, fewest = SIZE_MAX;
    for (size_t rank = 0; rank < (size_t)s->params.ranks; rank++) {
        size_t copies = 0;
        bool taken = !s->is_up[rank];
        for (size_t j = 0; j < n_replicas; j++)
            taken |= shard->replicas[j].rank == rank;
        for (size_t i = 0; i < s->n_shards; i++)
            for (size_t j = 0; j < sharded_replicas(s); j++)
                copies += s->shards[i].replicas[j].rank == rank;
        if (!taken && copies < fewest) {
            best = rank;
            fewest = copies;
        }
    }
    return best;
}

static void drop_copies(struct sharded *s, size_t shard, const struct shard *of, size_t n)
{
    struct error unreported = { 0 };
    struct error *before = error_divert(&unreported);
    for (size_t j = 0; j < n; j++)
        (void)sharded_ask_word(s, of->replicas[j].rank, REQUEST_DROP, shard, NULL);
    (void)error_divert(before);
}

int sharded_add_shard(struct sharded *s, const char *from)
{
    struct shard shard = { 0 };
    int rc = OK;
    size_t n = 0;
    if (s->n_shards == SHARDS_MAX)
        return fail(s->base.env.error, ERR_ARGUMENT, "sharded: more than %d shards", SHARDS_MAX);
    if (!mem_grow(s->base.env.mem, &s->shards, &s->room_shards, s->n_shards + 1, sizeof *s->shards))
        return sharded_no_memory(s, "a shard");
    for (; rc == OK && n < sharded_replicas(s); n++) {
        uint64_t sequence;
        const size_t rank = freest_rank(s, &shard, n);
        if (rank == RANKS_MAX) {
            rc = fail(s->base.env.error, ERR_IO, "sharded: too few ranks are left for a new shard");
            break;
        }
        rc = sharded_create_copy(s, s->n_shards, rank, from ? COPY_LOADED : COPY_NEW, from,
                                 &sequence);
        shard.replicas[n] = (struct replica){ rank, true };
        shard.sequence = shard.acknowledged = sequence;
    }
    if (rc != OK) {
        drop_copies(s, s->n_shards, &shard, n);
        return rc;
    }
    for (size_t j = 0; j < n; j++)
        shard.replicas[j].up = s->is_up[shard.replicas[j].rank];
    s->shards[s->n_shards++] = shard;
    return OK;
}

void sharded_drop_shard(struct sharded *s)
{
    const struct shard last = s->shards[s->n_shards - 1];
    s->n_shards--;
    drop_copies(s, s->n_shards, &last, sharded_replicas(s));
}

/* ---- ranks */

static int measure_round_trip(struct sharded *s)
{
    enum { PINGS = 21 };
    uint64_t ns[PINGS];
    int rc = OK;
    for (size_t i = 0; rc == OK && s->base.env.clock_ns && i < PINGS; i++) {
        const uint64_t start = s->base.env.clock_ns();
        rc = sharded_ask_word(s, 1, REQUEST_PING, 0, NULL);
        ns[i] = s->base.env.clock_ns() - start;
    }
    if (rc == OK && s->base.env.clock_ns) {
        qsort(ns, PINGS, sizeof *ns, order_u64);
        s->round_trip_ns = ns[PINGS / 2];
    }
    return rc;
}

static int start_ranks(struct sharded *s)
{
    const struct index_env *env = &s->base.env;
    const size_t n = (size_t)s->params.ranks;
    s->is_up = mem_zalloc(env->mem, n * sizeof *s->is_up);
    if (!s->is_up)
        return sharded_no_memory(s, "ranks");
    s->is_up[0] = true;
    if (n == 1)
        return OK;
    if (!env->shards->ranks)
        return fail(env->error, ERR_UNSUPPORTED,
                    "sharded: ranks = %zu, but processes cannot be "
                    "started here; use ranks = 1",
                    n);
    int rc = env->shards->ranks->open(env->shards->ranks, &s->group, env->error);
    if (rc == OK)
        rc = s->group->ops->start(s->group, 1, n - 1, env->dir, env->error);
    for (size_t i = 1; rc == OK && i < n; i++)
        s->is_up[i] = true;
    return rc == OK ? measure_round_trip(s) : rc;
}

/* ---- the index */

static int check_options(const struct index_env *env, const struct sharded_params *p,
                         const struct index_ops **of)
{
    const bool cluster = p->placement == PLACE_CLUSTER;
    if (!env->dir)
        return fail(env->error, ERR_UNSUPPORTED, "sharded: needs a folder for its logs");
    if (!env->shards)
        return fail(env->error, ERR_UNSUPPORTED, "sharded: no methods to contain are known here");
    *of = registry_find(env->shards->registry, p->of, env->error);
    if (!*of)
        return env->error->code;
    if ((*of)->flags & INDEX_CONTAINS)
        return fail(env->error, ERR_ARGUMENT, "sharded: of = \"%s\": a shard cannot contain shards",
                    p->of);
    if (!index_takes(*of, env->element, env->dim, env->metric))
        return fail(env->error, ERR_UNSUPPORTED,
                    "sharded: method \"%s\" does not take %s rows under metric \"%s\"", p->of,
                    index_element_name(env->element), index_metric_name(env->metric));
    if (cluster && (env->element == INDEX_B64 || env->metric == INDEX_IP))
        return fail(env->error, ERR_UNSUPPORTED,
                    "sharded: placement = \"cluster\" needs vectors under l2 or cosine; use "
                    "\"hash\" or \"range\"");
    if (p->replicas > p->ranks)
        return fail(env->error, ERR_ARGUMENT,
                    "sharded: replicas = %lld, but ranks = %lld; each replica is on another rank",
                    (long long)p->replicas, (long long)p->ranks);
    return OK;
}

void sharded_destroy(struct index *index)
{
    struct sharded *s = sharded_of(index);
    struct mem *mem = index->env.mem;
    if (s->group)
        s->group->ops->close(s->group);
    server_close(&s->local);
    sharded_forget_undo(s);
    placement_free(s);
    mem_free(mem, s->folder);
    mem_free(mem, s->is_up);
    mem_free(mem, s->shards);
    mem_free(mem, s);
}

int sharded_new(struct sharded **out, const struct index_ops *ops, const struct index_env *env,
                const struct sharded_params *p)
{
    char folder[PATH_MAX];
    const struct index_ops *of = NULL;
    int rc = check_options(env, p, &of);
    *out = NULL;
    if (rc != OK)
        return rc;
    struct sharded *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "sharded: out of memory for an index");
    s->base.ops = ops;
    s->base.env = *env;
    s->params = *p;
    s->of = of;
    struct index_env local = *env;
    rc = path_print(folder, env->error, "%s/rank-0", env->dir);
    if (rc == OK && !(s->folder = mem_strdup(env->mem, folder)))
        rc = sharded_no_memory(s, "an index");
    if (rc == OK) {
        log_remove_folder(folder); /* of an attempt that failed */
        if (mkdir(folder, 0700) != 0)
            rc = fail_errno(env->error, ERR_IO, "sharded: %s cannot be made", folder);
    }
    local.dir = s->folder;
    server_open(&s->local, &local);
    if (rc == OK)
        rc = start_ranks(s);
    if (rc == OK)
        *out = s;
    else
        sharded_destroy(&s->base);
    return rc;
}
