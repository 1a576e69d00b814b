/* snapshot.c - writing an index as sections of a file. */
#include "algorithms/asteria/durable/snapshot.h"

#include <string.h>

#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"

/* Padding is zero, so that equal indexes give equal files. */
static void write_meta(const struct asteria *a, struct store_writer *w)
{
    struct asteria_snapshot_meta meta;

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
    store_section(w, "meta");
    store_write(w, &meta, sizeof meta);
}

static void write_slots(const struct asteria *a, struct store_writer *w)
{
    store_section(w, "ids");
    store_write(w, a->ids, a->n_slots * sizeof *a->ids);
    store_section(w, "places");
    store_write(w, a->places, a->n_slots * sizeof *a->places);
    store_section(w, "waiting");
    store_write(w, a->tombstones, (2 * a->n_slots + 63) / 64 * sizeof *a->tombstones);
    store_section(w, "free");
    store_write(w, a->free, a->n_free * sizeof *a->free);
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
    write_meta(a, w);
    write_slots(a, w);
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
