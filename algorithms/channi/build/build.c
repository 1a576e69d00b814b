/* build.c - turns the one list of rows into clusters: chooses primaries, assigns every row to the
 * primary that a graph search finds nearest, and replaces the one cluster by the new ones.
 *
 * The graph of primaries, by which rows are assigned, becomes that of the routes.
 *
 * Primaries are chosen from a random subset of the rows (SUBSET_LEAST, or SUBSET_PER per primary),
 * so that no kind of sampling takes longer than the assignment. For uniform sampling a smaller
 * subset is enough.
 *
 * Memory that serves only the choice and the assignment is freed before the files are made. Then
 * the rows are in memory twice, and that is the build's peak.
 */
#include "algorithms/channi/build/build.h"

#include <string.h>

#include "algorithms/channi/channi.h"
#include "algorithms/channi/jobs/jobs.h"
#include "algorithms/channi/rewrite/replace.h"
#include "algorithms/channi/search/scratch.h"
#include "algorithms/channi/versions/view.h"
#include "algorithms/common/clustering/kmeans.h"
#include "algorithms/common/quantizer/quantizer.h"
#include "algorithms/common/rows/rows.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* ---------------------------------------------------------------------------------------- memory */

/* Blocks used to make files lie between the blocks of lasting clusters, so malloc() keeps them
   after they are freed: after a build and its splits more than all memory in use. Later jobs reuse
   them. So memory is returned only when a quarter of the memory in use was written. Meanwhile other
   threads wait for malloc(), half a millisecond with 60 MiB in use. */
enum { TRIM_LEAST = 4 << 20, TRIM_SHARE = 4 };

void channi_trim(struct channi *c)
{
    const uint64_t written = atomic_load(&c->counters.bytes_written);
    const uint64_t share = mem_live(c->base.env.mem) / TRIM_SHARE;
    uint64_t at = atomic_load(&c->trimmed_at);

    if (written - at >= (share > TRIM_LEAST ? share : TRIM_LEAST) &&
        atomic_compare_exchange_strong(&c->trimmed_at, &at, written))
        mem_trim();
}

enum {
    BUILD_STREAM = 0x6275,
    SUBSET_LEAST = 65536,
    SUBSET_PER = 32,
    UNIFORM_PER = 4,    /* some rows are equal */
    TRAIN_ROWS = 16384, /* of the subset, to train the quantizer */
    BLOCK = 64,
};

struct building {
    struct channi *c;
    struct channi_taken w;
    struct rng rng;
    struct mem_group memory; /* of what serves the choice and the assignment only */
    unsigned char *subset;   /* n_subset rows */
    uint32_t *members;       /* the subset's rows, as member indices */
    size_t n_subset, k;
    uint32_t *primaries;       /* k member indices */
    uint32_t *of;              /* each member's primary, 0 .. k - 1 */
    uint32_t *order;           /* members, grouped by primary */
    struct channi_part *parts; /* k */
    struct graph *top;
};

static int no_memory(const struct building *b)
{
    return CHANNI_NO_MEMORY(&b->c->base.env, ", cannot build clusters of %zu rows", b->w.members.n);
}

/* ------------------------------------------------------------------------------ primaries */

static int draw_subset(struct building *b)
{
    const bool any = b->c->params.sampling == SAMPLE_UNIFORM;
    const size_t per = b->k * (any ? UNIFORM_PER : SUBSET_PER),
                 least = any ? TRAIN_ROWS : SUBSET_LEAST, most = per > least ? per : least;
    const size_t row_bytes = b->c->row_bytes;
    uint32_t *live = mem_group_array(&b->memory, b->w.members.n_live, sizeof *live);
    size_t n = 0;

    if (!live)
        return no_memory(b);
    for (size_t i = 0; i < b->w.members.n; i++)
        if (!b->w.members.rows[i].dead)
            live[n++] = (uint32_t)i;
    b->members = live;
    b->n_subset = n < most ? n : most;
    if (b->n_subset < n)
        rng_shuffle_u32(&b->rng, live, n);
    b->subset = mem_group_array(&b->memory, b->n_subset, row_bytes);
    if (!b->subset)
        return no_memory(b);
    for (size_t i = 0; i < b->n_subset; i++)
        memcpy(b->subset + i * row_bytes, b->w.members.rows[live[i]].bytes, row_bytes);
    return OK;
}

static int choose(struct building *b)
{
    struct channi *c = b->c;
    double checked = 0;
    int rc;

    b->k = (b->w.members.n_live - 1) / (size_t)c->params.target_cluster + 1;
    rc = draw_subset(b);
    if (rc != OK)
        return rc;
    b->k = b->k < b->n_subset ? b->k : b->n_subset;
    b->primaries = mem_group_array(&b->memory, b->k, sizeof *b->primaries);
    if (!b->primaries)
        return no_memory(b);
    rc = channi_sample(&c->base.env, (enum channi_sampling)c->params.sampling, &b->rng, b->subset,
                       b->n_subset, &b->k, b->primaries, &checked);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < b->k; i++)
        b->primaries[i] = b->members[b->primaries[i]];
    channi_count(&c->counters.build_sampling, (uint64_t)checked);
    return OK;
}

/* ------------------------------------------------------------------------------ quantizer */

/* The quantizer is kept: if the build fails later, the next one uses it. */
static int train(struct building *b)
{
    struct channi *c = b->c;
    const struct index_env *env = &c->base.env;
    const size_t n = b->n_subset < TRAIN_ROWS ? b->n_subset : TRAIN_ROWS;
    const struct quantizer_options options = { .kind = QUANTIZER_RABITQ,
                                               .seed = env->seed,
                                               .bits = (size_t)c->params.bits,
                                               .eps0 = c->params.eps0 };
    float *rows;
    int rc;

    if (c->params.cluster_index != INSIDE_CODES || c->quantizer)
        return OK;
    rows = mem_array(env->mem, n, env->dim * sizeof *rows);
    if (!rows)
        return no_memory(b);
    rows_to_floats(env, b->subset, n, rows);
    rc = quantizer_train(&c->quantizer, env, &options, rows, n);
    mem_free(env->mem, rows);
    return rc;
}

/* ----------------------------------------------------------------------------- assignment */

static int make_top(struct building *b)
{
    struct channi *c = b->c;
    const struct index_env *env = &c->base.env;
    const struct graph_options options = channi_top_options(c);
    unsigned char *rows = mem_array(env->mem, b->k, c->row_bytes);
    int rc = rows ? graph_create(&b->top, env, c->graph_epoch, &options) : no_memory(b);

    for (size_t i = 0; rc == OK && i < b->k; i++)
        memcpy(rows + i * c->row_bytes, b->w.members.rows[b->primaries[i]].bytes, c->row_bytes);
    if (rc == OK)
        rc = graph_build(b->top, (struct vectors){ rows, b->k, env->dim, env->element });
    mem_free(env->mem, rows);
    return rc;
}

static int assign_block(void *arg, size_t first, size_t end, size_t worker)
{
    const struct building *b = arg;
    struct channi *c = b->c;
    const struct graph_query query = { .k = 1, .ef = (size_t)c->params.assign_ef };
    struct channi_scratch *x = scratch_pool_take(&c->scratch);
    double checked = 0;
    int rc = x ? OK : no_memory(b);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        float distance;
        size_t n = 0;

        rc = graph_search(b->top, x->graph, b->w.members.rows[i].bytes, &query, &b->of[i],
                          &distance, &n, &checked);
        if (rc == OK && n == 0)
            rc = fail(c->base.env.error, ERR_INVARIANT,
                      "channi: the graph of %zu primaries found none for row %zu", b->k, i);
    }
    scratch_pool_give(&c->scratch, x);
    channi_count(&c->counters.build_assigning, (uint64_t)checked);
    return rc;
}

/* Groups the members by primary. */
static int make_parts(struct building *b)
{
    struct mem *mem = b->c->base.env.mem;
    uint32_t *start = mem_group_array(&b->memory, b->k + 2, sizeof *start);

    b->order = mem_array(mem, b->w.members.n, sizeof *b->order);
    b->parts = mem_array(mem, b->k, sizeof *b->parts);
    if (!start || !b->order || !b->parts)
        return no_memory(b);
    nearest_sort_by_list(b->of, b->w.members.n, b->k, start, b->order);
    for (size_t i = 0; i < b->k; i++)
        b->parts[i] = (struct channi_part){ .rows = b->order + start[i],
                                            .n = start[i + 1] - start[i],
                                            .root = b->primaries[i],
                                            .kind = CLUSTER_NORMAL,
                                            .successor_of = SUCCESSOR_NONE };
    return OK;
}

/* --------------------------------------------------------------------------------- build */

static void end(struct building *b)
{
    struct mem *mem = b->c->base.env.mem;

    mem_group_free(&b->memory);
    graph_destroy(b->top);
    mem_free(mem, b->order);
    mem_free(mem, b->parts);
    channi_give(b->c, &b->w);
}

static int build(struct building *b)
{
    int rc = channi_gather(b->c, &b->w);

    if (rc != OK || b->w.members.n_live == 0)
        return rc;
    rc = choose(b);
    if (rc == OK)
        rc = train(b);
    if (rc == OK)
        rc = make_top(b);
    struct pool *pool = b->c->base.env.pool;
    if (rc == OK) {
        b->of = mem_group_array(&b->memory, b->w.members.n, sizeof *b->of);
        rc = b->of ? parallel_for(pool, pool_threads(pool), b->w.members.n, BLOCK, assign_block, b)
                   : no_memory(b);
    }
    for (size_t i = 0; rc == OK && i < b->k; i++)
        b->of[b->primaries[i]] = (uint32_t)i;
    if (rc == OK)
        rc = make_parts(b);
    mem_group_free(&b->memory); /* what is left is the input of the replacement */
    const struct channi_replacement r = {
        .parts = b->parts, .n_parts = b->k, .threads = pool_threads(pool), .top = b->top
    };
    return rc == OK ? channi_replace(b->c, &b->w, &r) : rc;
}

int channi_build_if_due(struct channi *c)
{
    struct building b = { .c = c,
                          .rng = rng_at(c->base.env.seed, BUILD_STREAM),
                          .memory.mem = c->base.env.mem };
    const uint32_t first = 0;
    int rc = OK;

    pthread_mutex_lock(&c->write);
    const struct channi_layout *now = atomic_load(&c->now)->layout;
    const size_t live = channi_live(c),
                 all = now->routes ? 0 : channi_delta_count(&now->clusters[0]->delta);
    pthread_mutex_unlock(&c->write);
    /* Only the build drops deleted rows, so it does not wait for live rows alone: a workload that
       replaces rows may never have enough, and every search scans the deleted ones. */
    if (all == 0 || live == 0 || (live < c->build_at && (all < c->build_at || all - live <= live)))
        return OK;
    if (!channi_take(c, &first, 1, &b.w))
        return OK; /* another thread builds */
    /* Another thread may have built while this one waited for the latch. */
    const bool due = !b.w.view->layout->routes;
    if (due)
        rc = build(&b);
    end(&b);
    if (rc == OK && due) {
        unsigned ticket;
        const struct channi_layout *layout = channi_enter(c, &ticket)->layout;
        struct channi_cluster *cl;

        /* Random primaries leave some clusters many times too large. */
        for (uint32_t next = 0; (cl = channi_layout_next(layout, &next));)
            if (atomic_load(&cl->live) > c->split_max)
                channi_queue(c, cl->cid);
        channi_leave(c, ticket);
        epoch_collect(c->epoch); /* frees the old cluster, a third of the memory in use */
        channi_trim(c);
    }
    return rc;
}
