/* snapshot.c - writing an index as sections of a file. */
#include "algorithms/asteria/durable/snapshot.h"

#include <string.h>

#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"

static bool is_sound(const struct asteria_snapshot_meta *m)
{
    const bool now = m->now < 2 && (m->generations >> m->now & 1);

    return m->n_slots < UINT32_MAX / 2 && m->live + m->n_free <= m->n_slots && m->now < 2 &&
           m->generations < 4 && m->trained < 2 && m->has_graph < 2 && m->has_tree < 2 &&
           (m->trained ? now : m->generations == 0 && m->n_slots == 0);
}

int asteria_snapshot_slots(struct store_fields *f, struct asteria_snapshot_slots *v)
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
    struct asteria_snapshot_meta meta;
    struct asteria_snapshot_slots v = { &meta, a->ids, a->tombstones, a->places, a->free };

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
    (void)asteria_snapshot_slots(f, &v);
}

/* ---------------------------------------------------------------------------------- rows */

static int write_some(struct asteria_rows_fetch *fetch, const uint32_t *slots, size_t n,
                      unsigned char *rows, size_t row_bytes, struct store_writer *w)
{
    size_t i;
    const void *row;
    int rc = asteria_rows_fetch_begin(fetch, slots, n);

    while (rc == OK && (rc = asteria_rows_fetch_next(fetch, &i, &row)) == OK && row)
        memcpy(rows + i * row_bytes, row, row_bytes);
    if (rc == OK)
        store_write(w, rows, n * row_bytes);
    return rc;
}

static int write_rows(const struct asteria *a, struct store_writer *w)
{
    const struct index_env *env = &a->base.env;
    const size_t row_bytes = index_row_bytes(env->element, env->dim);
    struct asteria_rows_fetch *fetch;
    uint32_t slots[FETCH_MOST], at = 0;
    int rc = asteria_rows_fetch_create(&fetch, a->rows);

    if (rc != OK)
        return rc;
    unsigned char *rows = mem_array(env->mem, FETCH_MOST, row_bytes);
    if (!rows)
        rc = fail(env->error, ERR_NO_MEMORY, "asteria: save: out of memory for a block of rows");
    store_section(w, "rows");
    while (rc == OK && at < a->n_slots) {
        const size_t n = asteria_kept_slots(a, &at, slots);

        rc = write_some(fetch, slots, n, rows, row_bytes, w);
    }
    mem_free(env->mem, rows);
    asteria_rows_fetch_destroy(fetch);
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
            asteria_snapshot_write_generation(a, g, w);
    if (a->graph)
        asteria_caprg_write(a->graph, w);
    if (a->bec)
        asteria_bec_write(a->bec, w);
    const int rc = write_rows(a, w);
    (void)pthread_mutex_unlock(&a->changing);
    return rc;
}
