/* part.c - the disk part: its codes, its ids and the descriptor of its file. */
#include "algorithms/vamana_disk/vamana_disk.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/common/rows/rows.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"
#include "src/core/order.h"

enum { GROUPS_LEAST = 32 };

/* ----------------------------------------------------------------------------------- rows */

struct index_env vamana_disk_row_env(const struct vamana_disk *h)
{
    struct index_env env = h->base.env;

    env.dim += env.metric == INDEX_IP;
    return env;
}

float vamana_disk_distance(const struct vamana_disk *h, const void *query, const void *row)
{
    const struct index_env *env = &h->base.env;

    return env->metric == INDEX_IP ? -env->kernels->ip_f32(query, row, env->dim)
                                   : rows_distance(env, query, row);
}

void vamana_disk_put_row(const struct vamana_disk_part *p, const void *row, void *out)
{
    const struct index_env *env = &p->owner->base.env;
    float *floats = out;

    memcpy(out, row, index_row_bytes(env->element, env->dim));
    if (env->metric != INDEX_IP)
        return;
    const float rest = p->norm_max_sq - env->kernels->ip_f32(floats, floats, env->dim);
    floats[env->dim] = rest > 0 ? sqrtf(rest) : 0;
}

void vamana_disk_floats(const struct vamana_disk_part *p, const void *row, float *out)
{
    const struct index_env *env = &p->owner->base.env;

    if (env->element == INDEX_F32)
        vamana_disk_put_row(p, row, out);
    else
        rows_to_floats(env, row, 1, out);
}

float vamana_disk_greatest_norm_sq(const struct graph_index *recent)
{
    const struct index_env *env = &recent->base.env;
    float most = 0;

    for (uint32_t i = 0; env->metric == INDEX_IP && i < graph_capacity(recent->graph); i++) {
        const float *row = graph_row(recent->graph, i);

        if (graph_is_live(recent->graph, i))
            most = fmaxf(most, env->kernels->ip_f32(row, row, env->dim));
    }
    return most;
}

/* ------------------------------------------------------------------- creation, destruction */

struct vamana_disk_layout vamana_disk_layout_of(const struct vamana_disk *h)
{
    const struct index_env env = vamana_disk_row_env(h);
    struct vamana_disk_layout l = { .row_bytes = index_row_bytes(env.element, env.dim),
                                    .degree = (size_t)h->params.degree };

    l.links_at = (l.row_bytes + 3) / 4 * 4;
    l.record_bytes = l.links_at + (1 + l.degree) * sizeof(uint32_t);
    l.per_page = l.record_bytes <= VAMANA_DISK_PAGE ? VAMANA_DISK_PAGE / l.record_bytes : 1;
    l.read_bytes = (l.record_bytes + VAMANA_DISK_PAGE - 1) / VAMANA_DISK_PAGE * VAMANA_DISK_PAGE;
    return l;
}

int vamana_disk_part_create(struct vamana_disk_part **out, const struct vamana_disk *h, size_t n)
{
    struct mem *mem = h->base.env.mem;
    struct vamana_disk_part *p = mem_zalloc(mem, sizeof *p);

    *out = NULL;
    if (!p)
        return fail(h->base.env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for %zu rows", n);
    p->owner = h;
    p->layout = vamana_disk_layout_of(h);
    p->n = n;
    p->fd = -1;
    p->entry = GRAPH_NONE;
    atomic_init(&p->n_live, 0);
    slot_table_init(&p->nodes, mem);
    p->ids = mem_array(mem, n, sizeof *p->ids);
    if (!p->ids) {
        vamana_disk_part_destroy(p);
        return fail(h->base.env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for %zu rows", n);
    }
    for (size_t i = 0; i < n; i++)
        atomic_init(&p->ids[i], INDEX_NO_ID);
    *out = p;
    return OK;
}

void vamana_disk_part_destroy(struct vamana_disk_part *p)
{
    if (!p)
        return;
    const struct index_env *env = &p->owner->base.env;
    if (p->fd >= 0)
        (void)close(p->fd);
    quantizer_destroy(env, p->quantizer);
    slot_table_free(&p->nodes);
    mem_free(env->mem, p->codes);
    mem_free(env->mem, (void *)(uintptr_t)p->ids);
    mem_free(env->mem, p->cached);
    mem_free(env->mem, p->cache);
    mem_free(env->mem, p);
}

/* ---------------------------------------------------------------------------- codes, ids */

/* Short codes of few dimensions tie or nearly do, and merges, which prune by codes, then lose edges:
   recall of two dimensions fell to .4 under turnover. */
size_t vamana_disk_groups(const struct vamana_disk *h)
{
    const size_t dim = vamana_disk_row_env(h).dim, quarter = (dim + 3) / 4;
    const size_t least = dim < GROUPS_LEAST ? dim : GROUPS_LEAST;

    if (h->params.pq_groups)
        return (size_t)h->params.pq_groups;
    return quarter > least ? quarter : least;
}

int vamana_disk_part_train(struct vamana_disk_part *p, const float *rows, size_t n)
{
    const struct vamana_disk *h = p->owner;
    const struct index_env env = vamana_disk_row_env(h);
    const size_t groups = vamana_disk_groups(h);
    const int rc = pq_codes_train(&p->quantizer, &env, env.seed, groups, rows, n);

    if (rc == OK)
        p->codes = mem_array(env.mem, p->n, groups);
    return rc == OK && !p->codes
               ? fail(env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for %zu codes", p->n)
               : rc;
}

void vamana_disk_part_code(struct vamana_disk_part *p, uint32_t node, const void *row,
                           float *floats)
{
    float *transformed = floats + p->quantizer->dim;

    vamana_disk_floats(p, row, floats);
    quantizer_transform(p->quantizer, floats, 1, transformed);
    pq_codes_put(p->quantizer, transformed, p->codes + node * pq_codes_bytes(p->quantizer));
}

int vamana_disk_part_map(struct vamana_disk_part *p)
{
    const uint64_t *ids = (const uint64_t *)(uintptr_t)p->ids;
    struct error *error = p->owner->base.env.error;

    for (uint32_t i = 0; i < p->n; i++) {
        if (ids[i] == INDEX_NO_ID)
            continue;
        if (slot_table_get(&p->nodes, ids, ids[i], NULL))
            return fail(error, ERR_CORRUPT, "vamana-disk: id %" PRIu64 " occurs twice", ids[i]);
        if (!slot_table_reserve(&p->nodes, ids, &ids[i], 1))
            return fail(error, ERR_NO_MEMORY, "vamana-disk: out of memory for %zu ids", p->n);
        slot_table_put(&p->nodes, ids[i], i);
    }
    atomic_store(&p->n_live, p->nodes.n);
    return OK;
}

/* --------------------------------------------------------------------------------- cache */

const unsigned char *vamana_disk_cached(const struct vamana_disk_part *p, uint32_t node)
{
    const uint32_t *found =
        p->n_cached ? bsearch(&node, p->cached, p->n_cached, sizeof node, order_u32) : NULL;

    return found ? p->cache + (size_t)(found - p->cached) * p->layout.record_bytes : NULL;
}

uint64_t vamana_disk_part_bytes(const struct vamana_disk_part *p)
{
    return sizeof *p + p->n_cached * (sizeof *p->cached + p->layout.record_bytes);
}
