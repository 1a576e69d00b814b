/* beam.c - the search of the graph on disk (DiskANN, section 3.3): the list is ordered by distances
 * of codes; the nearest nodes not yet expanded are read, `width` at a time; a record that has
 * arrived gives its row's exact distance, and its links give candidates.
 *
 * All records of a round are expanded before the next nodes are chosen, so the answer does not
 * depend on the order in which reads end. */
#include "algorithms/vamana_disk/vamana_disk.h"

#include <inttypes.h>
#include <string.h>

#include "algorithms/common/rows/rows.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* ------------------------------------------------------------------------------ candidates */

/* Whether the node is met for the first time. */
static bool meet(struct vamana_disk_scratch *x, uint32_t node)
{
    const uint64_t bit = UINT64_C(1) << (node % 64);
    const bool fresh = !(x->seen[node / 64] & bit);

    x->seen[node / 64] |= bit;
    return fresh;
}

/* ------------------------------------------------------------------------------ expansion */

struct expanding {
    const struct vamana_disk_part *part;
    struct vamana_disk_scratch *x;
    const void *query;
};

static int take_exact(struct expanding *e, uint32_t node, const unsigned char *record)
{
    struct vamana_disk_scratch *x = e->x;
    struct mem *mem = e->part->owner->base.env.mem;

    if (!mem_grow(mem, &x->found, &x->found_capacity, x->n_found + 1, sizeof *x->found) ||
        !mem_grow(mem, &x->distances, &x->distances_capacity, x->n_found + 1, sizeof *x->distances))
        return fail(e->part->owner->base.env.error, ERR_NO_MEMORY,
                    "vamana-disk: out of memory for %zu candidates", x->n_found + 1);
    x->found[x->n_found] = node;
    x->distances[x->n_found++] = vamana_disk_distance(e->part->owner, e->query, record);
    x->exact += 1;
    return OK;
}

static int expand(void *to, uint32_t node, const unsigned char *record)
{
    struct expanding *e = to;
    struct vamana_disk_scratch *x = e->x;
    const struct vamana_disk_links *links = vamana_disk_links_of(&e->part->layout, record);
    uint32_t fresh[256] = { 0 };
    float estimates[256];
    size_t n = 0;

    for (size_t i = 0; i < links->n; i++) {
        fresh[n] = links->to[i];
        n += meet(x, links->to[i]);
    }
    pq_codes_distances(e->part->quantizer, x->table, e->part->codes, fresh, n, estimates);
    x->estimates += (double)n;
    for (size_t i = 0; i < n; i++)
        candidate_list_offer(&x->list, candidate_of(estimates[i], fresh[i]));
    return take_exact(e, node, record);
}

/* The nearest nodes not yet expanded, at most `width`; they count as expanded from here on. */
static size_t next_nodes(struct candidate_list *l, size_t width, uint32_t *nodes)
{
    size_t n = 0;

    for (; n < width && (l->cursor = candidate_list_next(l, l->cursor)) < l->n; n++) {
        nodes[n] = candidate_node(l->keys[l->cursor]);
        l->keys[l->cursor++] |= 1;
    }
    return n;
}

static int run(struct expanding *e, size_t L, size_t width)
{
    const struct vamana_disk_part *p = e->part;
    struct vamana_disk_scratch *x = e->x;
    float *transformed = x->query + p->quantizer->dim, estimate;
    uint32_t nodes[VAMANA_DISK_BEAM_MAX];
    size_t n;
    int rc = OK;

    x->n_found = 0;
    if (!candidate_list_begin(&x->list, p->owner->base.env.mem, L))
        return fail(p->owner->base.env.error, ERR_NO_MEMORY,
                    "vamana-disk: out of memory for %zu candidates", L);
    memset(x->seen, 0, (p->n / 64 + 1) * sizeof *x->seen);
    quantizer_transform(p->quantizer, x->query, 1, transformed);
    pq_codes_query(p->quantizer, transformed, x->table);
    (void)meet(x, p->entry);
    pq_codes_distances(p->quantizer, x->table, p->codes, &p->entry, 1, &estimate);
    candidate_list_offer(&x->list, candidate_of(estimate, p->entry));
    while (rc == OK && (n = next_nodes(&x->list, width, nodes)) > 0)
        rc = vamana_disk_read(p, x, nodes, n, expand, e);
    return rc;
}

/* Under inner product a query has a 0 where rows have the rest of their norm. */
int vamana_disk_beam(const struct vamana_disk_part *p, struct vamana_disk_scratch *x,
                     const void *query, size_t L, size_t width)
{
    const struct index_env *env = &p->owner->base.env;
    struct expanding e = { p, x, query };

    rows_to_floats(env, query, 1, x->query);
    if (p->quantizer->dim > env->dim)
        x->query[env->dim] = 0;
    return run(&e, L, width);
}

int vamana_disk_beam_row(const struct vamana_disk_part *p, struct vamana_disk_scratch *x,
                         const void *row, size_t L, size_t width)
{
    struct expanding e = { p, x, row };

    vamana_disk_floats(p, row, x->query);
    return run(&e, L, width);
}

/* ------------------------------------------------------------------------------------ scan */

struct scanning {
    struct expanding expanding;
    const struct id_filter *filter;
};

static bool is_allowed(const struct vamana_disk_part *p, uint32_t node,
                       const struct id_filter *filter)
{
    const uint64_t id = vamana_disk_id(p, node);

    return id != INDEX_NO_ID && index_filter_allows(filter, id);
}

static int measure_allowed(void *to, uint32_t node, const unsigned char *record)
{
    struct scanning *s = to;

    return is_allowed(s->expanding.part, node, s->filter) ? take_exact(&s->expanding, node, record)
                                                          : OK;
}

/* Where each page has an allowed row, pages are read in order. */
int vamana_disk_scan(const struct vamana_disk_part *p, struct vamana_disk_scratch *x,
                     const void *query, const struct id_filter *filter, size_t allowed)
{
    struct scanning s = { { p, x, query }, filter };
    uint32_t nodes[VAMANA_DISK_BEAM_MAX];
    size_t n = 0;
    int rc = OK;

    x->n_found = 0;
    if (allowed >= p->n / p->layout.per_page) {
        x->pages += vamana_disk_n_reads(&p->layout, p->n) * p->layout.read_bytes / VAMANA_DISK_PAGE;
        return vamana_disk_read_all(p, measure_allowed, &s);
    }
    for (uint32_t i = 0; i < p->n && rc == OK; i++) {
        if (is_allowed(p, i, filter))
            nodes[n++] = i;
        if (n == VAMANA_DISK_BEAM_MAX || (n > 0 && i + 1 == p->n)) {
            rc = vamana_disk_read(p, x, nodes, n, measure_allowed, &s);
            n = 0;
        }
    }
    return rc;
}
