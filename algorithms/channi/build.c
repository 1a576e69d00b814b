/* build.c - from one list of rows to clusters: primaries are chosen, every row goes to the primary that the
 * graph of them finds nearest, and the whole is a replacement of the one cluster there was.
 *
 * The graph of primaries is made twice: here, to assign by, and from the same rows in the same order, so
 * the same, by the replacement, when it is certain that there will be routes. It has one node for a
 * thousand rows.
 *
 * Primaries are chosen from a random subset of the rows (SUBSET_LEAST, or SUBSET_PER for each primary), so
 * that no kind of sampling takes longer than the assignment. Where any row will do, the subset need not be
 * larger than what is taken from it.
 *
 * What is only there to choose and to assign goes before the files are made: the rows are then in memory
 * twice, and a build is held to its peak.
 */
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/replace.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum {
    BUILD_STREAM = 0x6275,
    SUBSET_LEAST = 65536,
    SUBSET_PER = 32,
    UNIFORM_PER = 4,    /* some are equal to others */
    TRAIN_ROWS = 16384, /* of the subset: what the quantizer is trained on */
    BLOCK = 64,
};

struct building {
    struct channi *c;
    struct work_on w;
    struct members m;
    struct rng rng;
    unsigned char *subset; /* n_subset rows */
    uint32_t *members;     /* of the subset: theirs */
    size_t n_subset, k;
    uint32_t *primaries; /* members, k of them */
    uint32_t *of;        /* by member: its primary's number */
    uint32_t *order;     /* members, primary by primary */
    struct part *parts;  /* k */
    struct graph *top;
    struct graph_scratch **scratch; /* a worker's each */
    double *checked;                /* likewise */
};

static int no_memory(const struct building *b)
{
    return fail(b->c->base.env.error, ERR_NO_MEMORY,
                "channi: out of memory to build clusters of %zu rows", b->m.n);
}

static bool is_due(struct channi *c)
{
    const size_t live = channi_live(c);

    return !atomic_load(&c->now)->layout->routes && live > 0 && live >= c->build_at;
}

/* ------------------------------------------------------------------------------ primaries */

static size_t subset_most(const struct building *b)
{
    const bool any = b->c->params.sampling == SAMPLE_UNIFORM;
    const size_t per = b->k * (any ? UNIFORM_PER : SUBSET_PER);
    const size_t least = any ? TRAIN_ROWS : SUBSET_LEAST;

    return per > least ? per : least;
}

static int draw_subset(struct building *b)
{
    struct mem *mem = b->c->base.env.mem;
    const size_t row_bytes = b->c->row_bytes, most = subset_most(b);
    uint32_t *live = mem_array(mem, b->m.n_live, sizeof *live);
    size_t n = 0;

    if (!live)
        return no_memory(b);
    for (size_t i = 0; i < b->m.n; i++)
        if (!b->m.dead[i])
            live[n++] = (uint32_t)i;
    b->members = live;
    b->n_subset = n < most ? n : most;
    if (b->n_subset < n)
        rng_shuffle_u32(&b->rng, live, n);
    b->subset = mem_array(mem, b->n_subset, row_bytes);
    if (!b->subset)
        return no_memory(b);
    for (size_t i = 0; i < b->n_subset; i++)
        memcpy(b->subset + i * row_bytes, b->m.rows[live[i]], row_bytes);
    return OK;
}

/* A primary equal to another would have no row but itself. */
static size_t drop_equal(const struct building *b, uint32_t *chosen, size_t n)
{
    const size_t row_bytes = b->c->row_bytes;
    struct idmap seen;
    size_t kept = 0;

    idmap_init(&seen, b->c->base.env.mem);
    if (!idmap_reserve(&seen, n))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *row = b->subset + chosen[i] * row_bytes;
        const uint64_t hash = channi_row_hash(b->c, row);
        uint64_t other;

        if (idmap_get(&seen, hash, &other) &&
            memcmp(row, b->subset + other * row_bytes, row_bytes) == 0)
            continue;
        (void)idmap_put(&seen, hash, chosen[i]);
        chosen[kept++] = chosen[i];
    }
    idmap_free(&seen);
    return kept;
}

static int choose(struct building *b)
{
    struct channi *c = b->c;
    double checked = 0;
    int rc;

    b->k = (b->m.n_live - 1) / (size_t)c->params.target_cluster + 1;
    rc = draw_subset(b);
    if (rc != OK)
        return rc;
    b->k = b->k < b->n_subset ? b->k : b->n_subset;
    b->primaries = mem_array(c->base.env.mem, b->k, sizeof *b->primaries);
    if (!b->primaries)
        return no_memory(b);
    rc = channi_sample(&c->base.env, (enum channi_sampling)c->params.sampling, &b->rng, b->subset,
                       b->n_subset, b->k, b->primaries, &checked);
    if (rc != OK)
        return rc;
    b->k = drop_equal(b, b->primaries, b->k);
    if (b->k == 0)
        return no_memory(b);
    for (size_t i = 0; i < b->k; i++)
        b->primaries[i] = b->members[b->primaries[i]];
    channi_count(&c->counters.build_sampling, (uint64_t)checked);
    return OK;
}

/* ------------------------------------------------------------------------------ quantizer */

/* Once there it stays: a build that fails after this one uses it again. */
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

    if (c->params.inside != INSIDE_CODES || c->quantizer)
        return OK;
    rows = mem_array(env->mem, n, env->dim * sizeof *rows);
    if (!rows)
        return no_memory(b);
    for (size_t i = 0; i < n; i++)
        channi_to_float(c, b->subset + i * c->row_bytes, rows + i * env->dim);
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
    int rc = rows ? graph_create(&b->top, env, c->top_epoch, &options) : no_memory(b);

    for (size_t i = 0; rc == OK && i < b->k; i++)
        memcpy(rows + i * c->row_bytes, b->m.rows[b->primaries[i]], c->row_bytes);
    if (rc == OK)
        rc = graph_build(b->top, (struct vectors){ rows, b->k, env->dim, env->element });
    mem_free(env->mem, rows);
    return rc;
}

static int assign_block(void *arg, size_t first, size_t end, size_t worker)
{
    const struct building *b = arg;
    const struct graph_query query = { .k = 1, .ef = (size_t)b->c->params.assign_ef };

    for (size_t i = first; i < end; i++) {
        float distance;
        size_t n;
        const int rc = graph_search(b->top, b->scratch[worker], b->m.rows[i], &query, &b->of[i],
                                    &distance, &n, &b->checked[worker]);

        if (rc != OK)
            return rc;
        if (n == 0)
            return fail(b->c->base.env.error, ERR_INVARIANT,
                        "channi: the graph of %zu primaries found none for row %zu", b->k, i);
    }
    return OK;
}

static int assign(struct building *b)
{
    const struct index_env *env = &b->c->base.env;
    const size_t threads = pool_threads(env->pool);
    double sum = 0;
    int rc = OK;

    b->of = mem_array(env->mem, b->m.n, sizeof *b->of);
    b->scratch = mem_zalloc(env->mem, threads * sizeof(struct graph_scratch *));
    b->checked = mem_zalloc(env->mem, threads * sizeof *b->checked);
    if (!b->of || !b->scratch || !b->checked)
        return no_memory(b);
    for (size_t i = 0; i < threads; i++) {
        b->scratch[i] = graph_scratch_create(env->mem);
        if (!b->scratch[i])
            return no_memory(b);
    }
    rc = parallel_for(env->pool, threads, b->m.n, BLOCK, assign_block, b);
    for (size_t i = 0; i < b->k; i++)
        b->of[b->primaries[i]] = (uint32_t)i;
    for (size_t i = 0; i < threads; i++)
        sum += b->checked[i];
    channi_count(&b->c->counters.build_assigning, rc == OK ? (uint64_t)sum : 0);
    return rc;
}

static int make_parts(struct building *b)
{
    struct mem *mem = b->c->base.env.mem;
    size_t *begins = mem_zalloc(mem, (b->k + 1) * sizeof *begins);

    b->order = mem_array(mem, b->m.n, sizeof *b->order);
    b->parts = mem_zalloc(mem, b->k * sizeof *b->parts);
    if (!begins || !b->order || !b->parts) {
        mem_free(mem, begins);
        return no_memory(b);
    }
    for (size_t i = 0; i < b->m.n; i++)
        begins[b->of[i] + 1]++;
    for (size_t i = 0; i < b->k; i++) {
        begins[i + 1] += begins[i];
        b->parts[i] = (struct part){ .rows = b->order + begins[i],
                                     .root = b->primaries[i],
                                     .kind = CLUSTER_NORMAL,
                                     .heir_of = HEIR_NONE,
                                     .new_route = true };
    }
    for (size_t i = 0; i < b->m.n; i++) {
        struct part *part = &b->parts[b->of[i]];

        b->order[begins[b->of[i]] + part->n++] = (uint32_t)i;
    }
    mem_free(mem, begins);
    return OK;
}

/* --------------------------------------------------------------------------------- build */

/* All but what the replacement needs: members, parts and their order. */
static void drop_work_space(struct building *b)
{
    struct mem *mem = b->c->base.env.mem;

    for (size_t i = 0; b->scratch && i < pool_threads(b->c->base.env.pool); i++)
        graph_scratch_destroy(b->scratch[i]);
    mem_free(mem, b->scratch);
    mem_free(mem, b->checked);
    graph_destroy(b->top);
    mem_free(mem, b->subset);
    mem_free(mem, b->members);
    mem_free(mem, b->primaries);
    mem_free(mem, b->of);
    b->scratch = NULL;
    b->checked = NULL;
    b->top = NULL;
    b->subset = NULL;
    b->members = b->primaries = b->of = NULL;
}

static void end(struct building *b)
{
    struct mem *mem = b->c->base.env.mem;

    drop_work_space(b);
    mem_free(mem, b->order);
    mem_free(mem, b->parts);
    channi_members_free(&b->m, b->c);
    channi_give(b->c, &b->w);
}

static int build(struct building *b)
{
    int rc = channi_gather(b->c, &b->w, &b->m);

    if (rc != OK || b->m.n_live == 0)
        return rc;
    rc = choose(b);
    if (rc == OK)
        rc = train(b);
    if (rc == OK)
        rc = make_top(b);
    if (rc == OK)
        rc = assign(b);
    if (rc == OK)
        rc = make_parts(b);
    drop_work_space(b);
    if (rc == OK)
        rc = channi_replace(b->c, &b->w, &b->m,
                            &(struct replacement){ .parts = b->parts,
                                                   .n_parts = b->k,
                                                   .threads = pool_threads(b->c->base.env.pool) });
    return rc;
}

/* Primaries drawn by chance leave some clusters many times too large. */
static void queue_large(struct channi *c)
{
    unsigned ticket;
    const struct layout *layout = channi_enter(c, &ticket)->layout;

    for (uint32_t cid = 0; cid < layout->n_clusters; cid++)
        if (layout->clusters[cid] && atomic_load(&layout->clusters[cid]->live) > c->split_max)
            channi_queue(c, cid);
    channi_leave(c, ticket);
}

int channi_build_if_due(struct channi *c)
{
    struct building b = { .c = c, .rng = rng_at(c->base.env.seed, BUILD_STREAM) };
    const uint32_t all = 0;
    bool due, taken = false;
    int rc = OK;

    pthread_mutex_lock(&c->write);
    due = is_due(c);
    pthread_mutex_unlock(&c->write);
    if (!due)
        return OK;
    channi_members_init(&b.m, c);
    rc = channi_take(c, &all, 1, &b.w, &taken);
    if (rc != OK || !taken)
        return rc; /* another is at it */
    /* It may have been built before the seat was to be had. */
    due = !b.w.view->layout->routes;
    if (due)
        rc = build(&b);
    end(&b);
    if (rc == OK && due) {
        queue_large(c);
        epoch_collect(c->epoch); /* the cluster that held all rows: a third of what is there now */
        channi_trim(c);
    }
    return rc;
}
