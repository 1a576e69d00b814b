/* store.c - an index as sections of a file; what is read is checked against all else. "rows" are
 * of the slots kept: live ones, and dead ones that their bucket or the graph still has.
 */
#include <math.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

struct meta {
    uint64_t n_slots, live, n_free, fitted_rows, inserted_since;
    uint32_t now, generations; /* bit g: generation g exists; 0: not trained */
    struct stop_learnt stop;
};

static bool is_sound(const struct meta *m)
{
    return m->n_slots < UINT32_MAX / 2 && m->live + m->n_free <= m->n_slots && m->now < 2 &&
           m->generations < 4 && stop_rule_valid(&m->stop.rule) &&
           (m->generations > 0 ? m->generations >> m->now & 1 : m->n_slots == 0);
}

static int fields(struct store_fields *f, struct asteria *a, struct meta *m)
{
    if (store_copy(f, "meta", m, 1, sizeof *m) != OK)
        return f->code;
    if (f->r && !is_sound(m))
        return f->code = store_corrupt(f->r, "the index's numbers are inconsistent");
    const uint64_t n = m->n_slots;
    store_array(f, "ids", &a->ids, &a->ids_capacity, n, sizeof *a->ids);
    store_array(f, "places", &a->places, &a->places_capacity, n, sizeof *a->places);
    return store_array(f, "free", &a->free, &a->free_capacity, m->n_free, sizeof *a->free);
}

/* Padding is zero, so that equal indexes give equal files. */
static void write_slots(struct asteria *a, struct store_fields *f)
{
    struct meta meta;

    memset(&meta, 0, sizeof meta);
    meta.n_slots = a->n_slots;
    meta.live = a->live;
    meta.n_free = a->n_free;
    meta.fitted_rows = a->fitted_rows;
    meta.inserted_since = a->inserted_since;
    meta.now = a->now;
    meta.generations = (a->generations[0] != NULL) | (uint32_t)(a->generations[1] != NULL) << 1;
    pthread_mutex_lock(&a->stop_lock); /* a search may be learning it */
    meta.stop = a->stop;
    pthread_mutex_unlock(&a->stop_lock);
    (void)fields(f, a, &meta);
}

/* ---------------------------------------------------------------------------------- rows */

/* The next slots from *at on whose rows a file has; returns how many. */
static size_t kept_slots(const struct asteria *a, uint32_t *at, uint32_t slots[FETCH_MOST])
{
    size_t n = 0;

    for (; *at < a->n_slots && n < FETCH_MOST; ++*at)
        if (asteria_keeps(a, *at))
            slots[n++] = *at;
    return n;
}

static int write_rows(const struct asteria *a, struct store_writer *w)
{
    const size_t row_bytes = index_row_bytes(a->base.env.element, a->base.env.dim);
    uint32_t slots[FETCH_MOST], at = 0;
    const void *rows[FETCH_MOST];
    int rc = OK;

    store_section(w, "rows");
    while (rc == OK && at < a->n_slots) {
        const size_t n = kept_slots(a, &at, slots);

        rc = asteria_rows_get_many(a->rows, slots, n, rows);
        for (size_t i = 0; rc == OK && i < n; i++)
            store_write(w, rows[i], row_bytes);
    }
    return rc;
}

/* Searches do not wait. */
int asteria_write(struct index *index, struct store_writer *w)
{
    struct asteria *a = asteria_of(index);

    write_slots(a, &(struct store_fields){ .w = w });
    for (unsigned g = 0; g < 2; g++)
        if (a->generations[g])
            asteria_generation_write(a, g, w);
    if (a->graph)
        asteria_caprg_write(a->graph, w);
    if (a->generations[a->now])
        asteria_bec_write(a->generations[a->now]->bec, w);
    return write_rows(a, w);
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
        const size_t n = kept_slots(a, &at, slots);

        rc = asteria_rows_write(a->rows, slots, rows, n);
        asteria_rows_written(a->rows, slots, rows, n, rc == OK);
        rows += n * each;
    }
    return rc;
}

/* ----------------------------------------------------------------------- reading: whole */

int asteria_read(struct index *index, struct store_reader *r)
{
    struct asteria *a = asteria_of(index);
    const struct index_env *env = &index->env;
    struct meta m = { 0 };
    int rc = fields(&(struct store_fields){ .r = r, .mem = env->mem }, a, &m);

    if (rc == OK && !mem_grow(env->mem, &a->free, &a->free_capacity, m.n_slots, sizeof *a->free))
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: load: out of memory for slots");
    if (rc == OK)
        rc = store_take_ids(r, a->ids, (size_t)m.n_slots, (size_t)m.live, &a->slots);
    if (rc != OK)
        return rc;
    a->n_slots = (size_t)m.n_slots;
    a->n_free = (size_t)m.n_free;
    a->live = (size_t)m.live;
    a->now = m.now;
    a->fitted_rows = m.fitted_rows;
    a->inserted_since = m.inserted_since;
    a->stop = m.stop;
    if (rc == OK && a->graph)
        rc = asteria_caprg_read(a->graph, r);
    for (unsigned g = 0; rc == OK && g < 2; g++)
        if (m.generations >> g & 1)
            rc = asteria_generation_read(a, g, r);
    for (unsigned g = 0; rc == OK && g < 2; g++)
        if (a->generations[g] && a->generations[g]->model->fitted.version > a->last_version)
            a->last_version = a->generations[g]->model->fitted.version;
    if (rc == OK && m.generations > 0) {
        struct asteria_generation *g = a->generations[a->now];
        const struct asteria_bec_options options = asteria_bec_options(a, g->model);
        rc = asteria_bec_read(&g->bec, env, g->model, &options, r);
    }
    if (rc == OK)
        rc = asteria_check_places(a);
    return rc == OK ? read_rows(a, r) : rc;
}
