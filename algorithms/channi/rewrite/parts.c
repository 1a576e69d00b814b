/* parts.c - makes a part's file, and its unpublished cluster; sees how its rows lie.
 *
 * The rows of a part are written in the given order. Its graph or codes are made here. A graph
 * extends that of the old file if most of its rows are still there in the same order; the other
 * rows are removed from it. Otherwise it is built anew. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/channi/cache/cache.h"
#include "algorithms/channi/files/cluster_file.h"
#include "algorithms/channi/rewrite/internal.h"
#include "algorithms/common/concurrency/throttle.h"
#include "algorithms/common/rows/rows.h"
#include "src/core/mem.h"
#include "src/core/order.h"

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
    const struct index_env *env = &x->c->base.env;
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
    struct index_env env = x->c->base.env;
    const uint64_t seed = rng_mix(env.seed, INSIDE_STREAM);
    const struct graph_options options = { .kind = GRAPH_HNSW,
                                           .degree = 2 * (size_t)params->degree,
                                           .build_ef = (size_t)params->in_ef_construction,
                                           .insert_ef = (size_t)params->in_ef_construction,
                                           .rng_factor = 1,
                                           .between_rows = throttle_wait,
                                           /* Levels are drawn from the seed by row number,
                                              and numbers repeat. */
                                           .seed = kept ? rng_mix(seed, p->file_version) : seed };
    int rc = OK;

    env.pool =
        x->c->alone; /* parts are made in parallel, and searches may be using the index's pool */
    rc = graph_create(&d->graph, &env, x->c->graph_epoch, &options);

    if (rc == OK)
        rc = kept ? go_on(x, p, kept, d)
                  : graph_build(d->graph,
                                (struct vectors){ d->rows, p->part->n, env.dim, env.element });
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

/* ---- shapes: how the live rows of a cluster lie about its site.
 *
 * Where data drift, rows of a place that has no cluster come to the nearest one, however far it
 * is. While they are too few for a split by size, searches for them go to other clusters, whose
 * sites are nearer. So three shapes are recognised. Ordinary clusters have none:
 *   - the rows have left the site. A random member is about twice as far (squared) from the
 *     others as their mean is; here the site is more than LEFT times as far;
 *   - the rows may lie in places apart: a share of 1 / FAR_SHARE is more than FAR times as far
 *     from the site as the nearest such share. This is so on a line, too; a split decides
 *     (split.c);
 *   - the rows that came since the file was written lie beyond those before: three quarters of
 *     them are farther from the site than all those, or their median is more than BEYOND times
 *     as far (squared). Vectors of many dimensions and of unit length are never so far from each
 *     other that the two other shapes show. */

enum { LEFT = 4, FAR = 3, FAR_SHARE = 8, BEYOND = 2 };
/* At least so many rows before, so many since, and together: by chance 3 in 100 such clusters
   look so at most; at least so many of each where medians are compared. */
enum { BEYOND_FEW = 4, BEYOND_TOGETHER = 12, BEYOND_MANY = 16 };

struct shape {
    float *squared; /* n: distances to the site; then dim floats each: a row, the site */
    double *shift;  /* dim: sum of the rows less the site */
    size_t n;
    size_t n_before; /* rows of a file, which come first until they are sorted together */
};

/* Dead rows serve old versions only. */
static void look(const struct channi_replacing *x, const struct channi_making *p, struct shape *s)
{
    const size_t dim = x->c->base.env.dim;
    float *row = s->squared + p->part->n, *site = row + dim;
    size_t n_since = 0;

    rows_to_floats(&x->c->base.env, p->cl->site, 1, site);
    for (size_t i = 0; i < p->part->n; i++) {
        const uint32_t at = p->part->rows[i];

        if (x->m->rows[at].dead)
            continue;
        const float squared = rows_distance(&x->c->base.env, x->m->rows[at].bytes, p->cl->site);
        const bool since = x->m->rows[at].number >= x->w->clusters[x->m->rows[at].from]->base_n;
        s->squared[since ? p->part->n - ++n_since : s->n_before++] = squared;
        rows_to_floats(&x->c->base.env, x->m->rows[at].bytes, 1, row);
        for (size_t j = 0; j < dim; j++)
            s->shift[j] += (double)row[j] - (double)site[j];
    }
    memmove(s->squared + s->n_before, s->squared + p->part->n - n_since,
            n_since * sizeof *s->squared);
    s->n = s->n_before + n_since;
}

static bool may_be_apart(struct shape *s, size_t merge_min)
{
    size_t far = 0;

    qsort(s->squared, s->n, sizeof *s->squared, order_f32);
    while (far < s->n && s->squared[s->n - 1 - far] > FAR * FAR * s->squared[s->n / FAR_SHARE])
        far++;
    return far >= merge_min && far >= s->n / FAR_SHARE && far > 0;
}

static bool are_beyond(struct shape *s)
{
    const size_t n = s->n_before, n_since = s->n - n;
    float *since = s->squared + n;

    if (n < BEYOND_FEW || n_since < BEYOND_FEW || s->n < BEYOND_TOGETHER)
        return false;
    qsort(s->squared, n, sizeof *s->squared, order_f32);
    qsort(since, n_since, sizeof *since, order_f32);
    return since[n_since / 4] > s->squared[n - 1] ||
           (n >= BEYOND_MANY && n_since >= BEYOND_MANY &&
            since[n_since / 2] > BEYOND * s->squared[n / 2]);
}

static void judge(const struct channi_replacing *x, struct channi_cluster *cl, struct shape *s)
{
    double sum = 0, squares = 0, shift = 0;

    for (size_t i = 0; i < s->n; i++) {
        sum += sqrt((double)s->squared[i]);
        squares += (double)s->squared[i];
    }
    for (size_t j = 0; j < x->c->base.env.dim; j++)
        shift += s->shift[j] * s->shift[j];
    cl->mean_d = (float)(sum / (double)s->n);
    /* The sum of squares about the mean is that about the site, less n times the squared shift of
       the mean. */
    if (squares > LEFT * (squares - shift / (double)s->n))
        atomic_store(&cl->shape, SHAPE_LEFT);
    else if (are_beyond(s))
        atomic_store(&cl->shape, SHAPE_BEYOND);
    else
        atomic_store(&cl->shape, may_be_apart(s, x->c->merge_min) ? SHAPE_APART : SHAPE_USUAL);
}

/* Sets mean_d and shape of the part's cluster, whose site is set. ERR_NO_MEMORY. */
static int measure(const struct channi_replacing *x, const struct channi_making *p)
{
    struct mem *mem = x->c->base.env.mem;
    const size_t dim = x->c->base.env.dim;
    struct shape s = { .squared = mem_array(mem, p->part->n + 2 * dim, sizeof *s.squared),
                       .shift = mem_array(mem, dim, sizeof *s.shift) };
    const bool got = s.squared && s.shift;

    if (got) {
        memset(s.shift, 0, dim * sizeof *s.shift);
        look(x, p, &s);
        if (s.n > 0)
            judge(x, p->cl, &s);
    }
    mem_free(mem, s.squared);
    mem_free(mem, s.shift);
    return got ? OK : channi_replacing_no_memory(x);
}

/* ----------------------------------------------------------------------------- one part */

int channi_replace_make(void *arg, size_t first, size_t end, size_t worker)
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
        rc = measure(x, p);
        if (rc == OK)
            rc = write_file(x, p);
        throttle_wait();
    }
    return rc;
}
