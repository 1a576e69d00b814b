/* parts.c - makes a part's file, and its unpublished cluster.
 *
 * The rows of a part are written in the given order. Its graph or codes are made here. A graph
 * extends that of the old file if most of its rows are still there in the same order; the other
 * rows are removed from it. Otherwise it is built anew. */
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/files/cluster_file.h"
#include "algorithms/channi/rewrite/internal.h"
#include "algorithms/common/concurrency/throttle.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum {
    INSIDE_STREAM = 0x696e,
    GONE_SHARE = 3, /* a graph is extended if at most a third of its rows are gone */
};

/* The content of a file in the making. */
struct draft {
    struct channi_cluster_contents contents;
    struct mem_group memory;
    unsigned char *rows;
    struct graph *graph;
};

/* -------------------------------------------------------------------------------- drafts */

/* false: out of memory. */
static bool draft_fill(const struct channi_replacing *x, const struct channi_making *p,
                       struct draft *d)
{
    const struct channi_members *m = x->m;
    const struct channi_params *params = &x->c->params;
    const size_t n = p->part->n, row_bytes = x->c->row_bytes,
                 n_fields = x->c->base.env.n_attributes;
    struct mem_group *g = &d->memory;
    bool attributes = false;

    g->mem = x->c->base.env.mem;
    uint64_t *ids = mem_group_array(g, n, sizeof *ids), *born = NULL, *dead = NULL;
    int64_t *columns = mem_group_array(g, n * n_fields, sizeof *columns);
    d->rows = mem_group_array(g, n, row_bytes);
    if (params->history > 0) {
        born = mem_group_array(g, n, sizeof *born);
        dead = mem_group_array(g, n, sizeof *dead);
    }
    if (g->failed)
        return false;
    d->contents =
        (struct channi_cluster_contents){ .phash = p->file_phash,
                                          .version = p->file_version,
                                          .n = (uint32_t)n,
                                          .ids = ids,
                                          .rows = d->rows,
                                          .born = born,
                                          .dead = dead,
                                          .cold_rows = params->cluster_index == INSIDE_CODES &&
                                                       params->cold_rows };
    for (size_t i = 0; i < n; i++) {
        const uint32_t at = p->part->rows[i];

        memcpy(d->rows + i * row_bytes, m->rows[at].bytes, row_bytes);
        ids[i] = m->rows[at].id;
        for (size_t f = 0; f < n_fields; f++) {
            columns[f * n + i] = channi_record_at(m->rows[at].record, f);
            attributes |= columns[f * n + i] != INDEX_ATTRIBUTE_NONE;
        }
        if (born) {
            born[i] = m->rows[at].born;
            dead[i] = m->rows[at].dead;
        }
        if (at == p->part->root)
            d->contents.root = (uint32_t)i;
    }
    d->contents.attributes = attributes ? columns : NULL;
    return true;
}

/* -------------------------------------------------------------------------------- graphs */

/* Number of rows that the part keeps from the file whose graph it extends. They come first and in
   file order. 0: it extends none, also if so many rows are gone that a new graph costs as much. */
static uint32_t goes_on(const struct channi_replacing *x, const struct channi_making *p)
{
    const struct channi_cluster *predecessor = p->predecessor;
    const uint32_t from = p->part->successor_of;
    uint32_t n = 0, next = 0;

    if (!p->part->go_on || !predecessor || !x->m->wholes[from].image.has_graph)
        return 0;
    for (; n < p->part->n; n++) {
        const uint32_t at = p->part->rows[n];

        if (x->m->rows[at].from != from || x->m->rows[at].number >= predecessor->base_n)
            break;
        if (x->m->rows[at].number < next)
            return 0;
        next = x->m->rows[at].number + 1;
    }
    return n < predecessor->base_n - predecessor->base_n / GONE_SHARE ? 0 : n;
}

/* Removes the file's rows that the part lacks from the graph. kept: number of rows that it has. */
static int take_out(const struct channi_replacing *x, const struct channi_making *p, uint32_t kept,
                    struct graph *graph)
{
    struct mem *mem = x->c->base.env.mem;
    const uint32_t base_n = p->predecessor->base_n;
    uint32_t *gone, n = 0;

    if (kept == base_n)
        return OK;
    gone = mem_array(mem, base_n - kept, sizeof *gone);
    if (!gone)
        return channi_replacing_no_memory(x);
    for (uint32_t row = 0, i = 0; row < base_n; row++) {
        if (i < kept && x->m->rows[p->part->rows[i]].number == row)
            i++;
        else
            gone[n++] = row;
    }
    const int rc = graph_take_out(graph, gone, n);
    mem_free(mem, gone);
    return rc;
}

static int go_on(const struct channi_replacing *x, const struct channi_making *p, uint32_t kept,
                 struct draft *d)
{
    const struct channi_image *image = &x->m->wholes[p->part->successor_of].image;
    const struct index_env *env = &x->env;
    const struct graph_image_rows rows = { .base = image->rows,
                                           .row_bytes = x->c->row_bytes,
                                           .dim = env->dim,
                                           .element = env->element,
                                           .kernels = env->kernels };
    uint32_t node;
    int rc = graph_image_thaw(&image->graph, &rows, d->graph);

    if (rc == OK)
        rc = take_out(x, p, kept, d->graph);
    for (size_t i = kept; rc == OK && i < p->part->n; i++) {
        rc = graph_add(d->graph, d->rows + i * x->c->row_bytes, &node);
        throttle_wait();
    }
    return rc;
}

static int make_graph(const struct channi_replacing *x, const struct channi_making *p,
                      struct draft *d)
{
    const struct channi_params *params = &x->c->params;
    const uint32_t kept = goes_on(x, p);
    const uint64_t seed = rng_mix(x->env.seed, INSIDE_STREAM);
    const struct graph_options options = { .kind = GRAPH_HNSW,
                                           .degree = 2 * (size_t)params->degree,
                                           .build_ef = (size_t)params->in_ef_construction,
                                           .insert_ef = (size_t)params->in_ef_construction,
                                           .rng_factor = 1,
                                           .between_rows = throttle_wait,
                                           /* Levels are drawn from the seed by row number,
                                              and numbers repeat. */
                                           .seed = kept ? rng_mix(seed, p->file_version) : seed };
    int rc = graph_create(&d->graph, &x->env, x->c->graph_epoch, &options);

    if (rc == OK)
        rc = kept ? go_on(x, p, kept, d)
                  : graph_build(d->graph, (struct vectors){ d->rows, p->part->n, x->env.dim,
                                                            x->env.element });
    d->contents.graph = d->graph;
    return rc;
}

/* --------------------------------------------------------------------------------- files */

static int write_file(const struct channi_replacing *x, const struct channi_making *p)
{
    struct channi *c = x->c;
    const struct index_env *env = &c->base.env;
    const size_t n = p->part->n;
    struct draft d = { 0 };
    unsigned char *bytes = NULL;
    struct channi_base *base = channi_base_create(env);
    int rc = base && draft_fill(x, p, &d) ? OK : channi_replacing_no_memory(x);

    if (rc == OK && c->params.cluster_index == INSIDE_GRAPH && n > (size_t)c->params.flat_below)
        rc = make_graph(x, p, &d);
    else if (rc == OK && c->params.cluster_index == INSIDE_CODES)
        rc = channi_codes_make(c, d.rows, n, &d.memory, &d.contents);
    if (rc == OK)
        rc = channi_cluster_file_write(env, &d.contents, c->params.wal == CHANNI_SYNCED,
                                       c->durable.fault, &bytes);
    if (rc == OK) {
        channi_cluster_head_base((const void *)bytes, base);
        atomic_init(&base->refs, 1);
        if (base->hot_bytes < base->file_bytes && /* the cache gets the hot part */
            !mem_fit(env->mem, &bytes, base->hot_bytes, 1))
            rc = channi_replacing_no_memory(x);
        if (rc == OK)
            rc = channi_cache_join(c->cache, base, bytes); /* which owns them then */
        if (rc != OK)
            (void)channi_cluster_file_remove(env, base, NULL);
    }
    if (rc == OK) {
        p->cl->base = base;
        p->cl->base_n = base->n;
        p->cl->root = base->root;
        throttle_charge(base->file_bytes);
        channi_count(&c->counters.files_written, 1);
        channi_count(&c->counters.bytes_written, base->file_bytes);
    } else {
        mem_free(env->mem, bytes);
        mem_free(env->mem, base);
    }
    graph_destroy(d.graph);
    mem_group_free(&d.memory);
    return rc;
}

/* ----------------------------------------------------------------------------- one part */

static int make_part(void *arg, size_t first, size_t end, size_t worker)
{
    const struct channi_replacing *x = arg;
    int rc = OK;

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        const struct channi_making *p = &x->parts[i];
        const struct channi_part *part = p->part;

        memcpy(p->cl->site, part->stays ? p->predecessor->site : x->m->rows[part->root].bytes,
               x->c->row_bytes);
        p->cl->root_id = x->m->rows[part->root].id;
        rc = channi_measure(x, p);
        if (rc == OK)
            rc = write_file(x, p);
        throttle_wait();
    }
    return rc;
}

int channi_replace_make(struct channi_replacing *x)
{
    const size_t n = x->r->n_parts;

    x->env = x->c->base.env;
    /* With many parts each graph is built by one thread, and must not use the pool, which searches
       may be using. A single part may use all threads. */
    if (n > 1 || x->r->threads <= 1) {
        x->alone = pool_create(1);
        if (!x->alone)
            return channi_replacing_no_memory(x);
        x->env.pool = x->alone;
    }
    return parallel_for(x->c->base.env.pool, n > 1 ? x->r->threads : 1, n, 1, make_part, x);
}
