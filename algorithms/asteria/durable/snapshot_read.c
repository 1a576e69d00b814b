/* snapshot_read.c - reading an index from the sections of a file; all numbers are checked against
   each other. */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/check/check.h"
#include "algorithms/asteria/durable/snapshot.h"
#include "algorithms/asteria/rows/slots.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

/* -------------------------------------------------------------------------------- slots */

static bool reserve(struct asteria *a, size_t n_slots, size_t n_free)
{
    struct mem *mem = a->base.env.mem;

    if (!mem_grow(mem, &a->ids, &a->ids_capacity, n_slots, sizeof *a->ids) ||
        !mem_grow(mem, &a->places, &a->places_capacity, n_slots, sizeof *a->places) ||
        !mem_grow(mem, &a->free, &a->free_capacity, n_free, sizeof *a->free) ||
        !mem_grow(mem, &a->tombstones, &a->tombstones_capacity, (2 * n_slots + 63) / 64,
                  sizeof *a->tombstones))
        return false;
    if (a->tombstones_capacity > 0)
        memset(a->tombstones, 0, a->tombstones_capacity * sizeof *a->tombstones);
    return true;
}

/* The generation of a live row must exist. snapshot_buckets.c checks bucket and position. */
static bool has_place(const struct asteria *a, const struct asteria_snapshot_slots *p,
                      uint32_t slot)
{
    return a->ids[slot] == INDEX_NO_ID || (p->meta->generations >> a->places[slot].generation & 1);
}

static int read_slots(struct asteria *a, const struct asteria_snapshot_slots *p,
                      const struct store_reader *r)
{
    const size_t n = (size_t)p->meta->n_slots, n_free = (size_t)p->meta->n_free;
    size_t kept = 0;

    if (!reserve(a, n, n_free))
        return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: load: out of memory for %zu slots",
                    n);
    a->n_slots = n;
    a->n_free = n_free;
    if (n > 0) {
        memcpy(a->ids, p->ids, n * sizeof *a->ids);
        memcpy(a->places, p->places, n * sizeof *a->places);
        memcpy(a->tombstones, p->tombstones, (2 * n + 63) / 64 * sizeof *a->tombstones);
    }
    if (n_free > 0)
        memcpy(a->free, p->free, n_free * sizeof *a->free);
    if (2 * n % 64 > 0 && a->tombstones[2 * n / 64] >> 2 * n % 64 != 0)
        return store_corrupt(r, "a tombstone belongs to no slot");
    for (uint32_t slot = 0; slot < n; slot++) {
        kept += asteria_keeps(a, slot);
        if (!has_place(a, p, slot))
            return store_corrupt(r, "a row's generation is not there");
    }
    for (size_t i = 0; i < n_free; i++)
        if (a->free[i] >= n || asteria_keeps(a, a->free[i]))
            return store_corrupt(r, "a slot is free and used");
    if (kept + n_free != n)
        return store_corrupt(r, "slots are neither used nor free");
    a->live = (size_t)p->meta->live;
    return store_take_ids(r, a->ids, n, a->live, &a->slots);
}

/* ---------------------------------------------------------------------------------- rows */

/* Floats were normalised to unit length before insertion. Others could lead to NaN. */
static bool rows_possible(const struct index_env *env, const void *rows, size_t n)
{
    const float *row = rows;

    for (size_t i = 0; env->element == INDEX_F32 && i < n; i++, row += env->dim)
        if (!(fabsf(env->kernels->ip_f32(row, row, env->dim) - 1) < 1e-3F))
            return false;
    return true;
}

static size_t count_kept(const struct asteria *a)
{
    size_t n = 0;

    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        n += asteria_keeps(a, slot);
    return n;
}

static int read_rows(struct asteria *a, const struct store_reader *r)
{
    const struct index_env *env = &a->base.env;
    const size_t each = index_row_bytes(env->element, env->dim), kept = count_kept(a);
    uint32_t slots[FETCH_MOST], at = 0;
    const unsigned char *rows = NULL;
    int rc = store_need_array(r, "rows", kept, each, &rows);

    if (rc == OK && !rows_possible(env, rows, kept))
        rc = store_corrupt(r, "a row is not of unit length");
    if (rc == OK)
        rc = asteria_rows_reserve(a->rows, a->n_slots);
    while (rc == OK && at < a->n_slots) {
        const size_t n = asteria_kept_slots(a, &at, slots);

        rc = asteria_rows_write(a->rows, slots, rows, n);
        asteria_rows_written(a->rows, slots, rows, n, rc == OK);
        rows += n * each;
    }
    return rc;
}

/* --------------------------------------------------------------------------------- whole */

static int read_graph(struct asteria *a, const struct store_reader *r)
{
    struct asteria_caprg *graph = NULL;
    const int rc = asteria_caprg_read(&graph, &a->base.env, (size_t)a->params.degree, r);

    if (rc != OK)
        return rc;
    asteria_caprg_destroy(a->graph);
    a->graph = graph;
    return OK;
}

static int read_tree(struct asteria *a, const struct store_reader *r)
{
    const struct asteria_model *m = a->generations[a->now]->model;
    const struct asteria_bec_options options = asteria_bec_options(a, m);
    struct asteria_bec *tree = NULL;
    const int rc = asteria_bec_read(&tree, &a->base.env, m, &options, r);

    if (rc != OK)
        return rc;
    asteria_bec_destroy(a->bec);
    a->bec = tree;
    return OK;
}

int asteria_read(struct index *index, struct store_reader *r)
{
    struct asteria *a = asteria_of(index);
    struct asteria_snapshot_slots slots = { 0 };
    int rc = asteria_snapshot_slots(&(struct store_fields){ .r = r }, &slots);

    if (rc == OK)
        rc = read_slots(a, &slots, r);
    if (rc != OK)
        return rc;
    const struct asteria_snapshot_meta *m = slots.meta;
    a->now = m->now;
    a->fitted_rows = m->fitted_rows;
    a->inserted_since = m->inserted_since;
    for (unsigned g = 0; rc == OK && g < 2; g++)
        if (m->generations >> g & 1)
            rc = asteria_snapshot_read_generation(a, g, r);
    for (unsigned g = 0; rc == OK && g < 2; g++)
        if (a->generations[g] && a->generations[g]->model->version > a->last_version)
            a->last_version = a->generations[g]->model->version;
    const size_t live = (a->generations[0] ? a->generations[0]->live : 0) +
                        (a->generations[1] ? a->generations[1]->live : 0);
    if (rc == OK && live != a->live)
        rc = store_corrupt(r, "rows are in no bucket");
    if (rc == OK && m->has_graph)
        rc = read_graph(a, r);
    if (rc == OK && m->has_tree)
        rc = read_tree(a, r);
    if (rc == OK)
        rc = asteria_check_slots(a); /* a wrong link could lead to a slot that is used twice */
    if (rc == OK)
        rc = read_rows(a, r);
    a->trained = rc == OK && m->trained;
    return rc;
}
