/* store.c - an index as sections of a file; what is read is checked against all else. "rows" are
 * of the slots kept: live ones, and dead ones that their bucket or the graph still has.
 */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/rows/slots.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

struct meta {
    uint64_t n_slots, live, n_free, fitted_rows, inserted_since;
    uint32_t now, trained, generations; /* bit g: generation g exists */
    uint32_t has_graph, has_tree;
};

static bool is_sound(const struct meta *m)
{
    const bool now = m->now < 2 && (m->generations >> m->now & 1);

    return m->n_slots < UINT32_MAX / 2 && m->live + m->n_free <= m->n_slots && m->now < 2 &&
           m->generations < 4 && m->trained < 2 && m->has_graph < 2 && m->has_tree < 2 &&
           (m->trained ? now : m->generations == 0 && m->n_slots == 0);
}

struct values {
    const struct meta *meta;
    const uint64_t *ids, *tombstones;
    const struct asteria_place *places;
    const uint32_t *free;
};

static int fields(struct store_fields *f, struct values *v)
{
    if (store_field(f, "meta", &v->meta, 1, sizeof *v->meta) != OK)
        return f->code;
    if (f->r && !is_sound(v->meta))
        return f->code = store_corrupt(f->r, "the index's numbers are inconsistent");
    const uint64_t n = v->meta->n_slots;
    store_field(f, "ids", &v->ids, n, sizeof *v->ids);
    store_field(f, "places", &v->places, n, sizeof *v->places);
    store_field(f, "waiting", &v->tombstones, (2 * n + 63) / 64, sizeof *v->tombstones);
    return store_field(f, "free", &v->free, v->meta->n_free, sizeof *v->free);
}

/* Padding is zero, so that equal indexes give equal files. */
static void write_slots(const struct asteria *a, struct store_fields *f)
{
    struct meta meta;
    struct values v = { &meta, a->ids, a->tombstones, a->places, a->free };

    memset(&meta, 0, sizeof meta);
    meta.n_slots = a->n_slots;
    meta.live = a->live;
    meta.n_free = a->n_free;
    meta.fitted_rows = a->fitted_rows;
    meta.inserted_since = a->inserted_since;
    meta.now = a->now;
    meta.trained = a->trained;
    meta.generations = (a->generations[0] != NULL) | (uint32_t)(a->generations[1] != NULL) << 1;
    meta.has_graph = a->graph != NULL;
    meta.has_tree = a->bec != NULL;
    (void)fields(f, &v);
}

/* ---------------------------------------------------------------------------------- rows */

static int write_rows(const struct asteria *a, struct store_writer *w)
{
    const size_t row_bytes = index_row_bytes(a->base.env.element, a->base.env.dim);
    uint32_t slots[FETCH_MOST], at = 0;
    const void *rows[FETCH_MOST];
    int rc = OK;

    store_section(w, "rows");
    while (rc == OK && at < a->n_slots) {
        const size_t n = asteria_kept_slots(a, &at, slots);

        rc = asteria_rows_get_many(a->rows, slots, n, rows);
        for (size_t i = 0; rc == OK && i < n; i++)
            store_write(w, rows[i], row_bytes);
    }
    return rc;
}

/* Changes wait, searches do not. */
int asteria_write(struct index *index, struct store_writer *w)
{
    struct asteria *a = asteria_of(index);

    (void)pthread_mutex_lock(&a->changing);
    write_slots(a, &(struct store_fields){ .w = w });
    for (unsigned g = 0; g < 2; g++)
        if (a->generations[g])
            asteria_generation_write(a, g, w);
    if (a->graph)
        asteria_caprg_write(a->graph, w);
    if (a->bec)
        asteria_bec_write(a->bec, w);
    const int rc = write_rows(a, w);
    (void)pthread_mutex_unlock(&a->changing);
    return rc;
}

/* ----------------------------------------------------------------------- reading: slots */

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

/* The generation of a live row must exist. buckets/file.c checks bucket and position. */
static bool has_place(const struct asteria *a, const struct values *p, uint32_t slot)
{
    return a->ids[slot] == INDEX_NO_ID || (p->meta->generations >> a->places[slot].generation & 1);
}

static int read_slots(struct asteria *a, const struct values *p, const struct store_reader *r)
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

/* ------------------------------------------------------------------------ reading: rows */

/* Floats were normalised to unit length before insertion. Others could lead to NaN. */
static bool rows_possible(const struct index_env *env, const void *rows, size_t n)
{
    const float *row = rows;

    for (size_t i = 0; env->element == INDEX_F32 && i < n; i++, row += env->dim)
        if (!(fabsf(env->kernels->ip_f32(row, row, env->dim) - 1) < 1e-3F))
            return false;
    return true;
}

static int read_rows(struct asteria *a, const struct store_reader *r)
{
    const struct index_env *env = &a->base.env;
    const size_t each = index_row_bytes(env->element, env->dim), kept = a->n_slots - a->n_free;
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

/* ----------------------------------------------------------------------- reading: whole */

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
    struct values slots = { 0 };
    int rc = fields(&(struct store_fields){ .r = r }, &slots);

    if (rc == OK)
        rc = read_slots(a, &slots, r);
    if (rc != OK)
        return rc;
    const struct meta *m = slots.meta;
    a->now = m->now;
    a->fitted_rows = m->fitted_rows;
    a->inserted_since = m->inserted_since;
    for (unsigned g = 0; rc == OK && g < 2; g++)
        if (m->generations >> g & 1)
            rc = asteria_generation_read(a, g, r);
    for (unsigned g = 0; rc == OK && g < 2; g++)
        if (a->generations[g] && a->generations[g]->model->fitted.version > a->last_version)
            a->last_version = a->generations[g]->model->fitted.version;
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
