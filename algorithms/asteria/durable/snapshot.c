/* snapshot.c - writing an index as sections of a file. */
#include "algorithms/asteria/durable/snapshot.h"

#include <string.h>

#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"

/* Padding is zero, so that equal indexes give equal files. */
static void write_meta(const struct asteria *a, struct store_writer *w, uint64_t lsn,
                       bool rows_apart)
{
    struct asteria_snapshot_meta meta;

    memset(&meta, 0, sizeof meta);
    meta.params = a->params;
    meta.lsn = lsn;
    meta.n_slots = a->n_slots;
    meta.live = a->live;
    meta.n_free = a->n_free + a->pins.n;
    meta.fitted_rows = a->fitted_rows;
    meta.inserted_since = a->inserted_since;
    meta.now = a->now;
    meta.trained = a->trained;
    meta.generations = (a->generations[0] != NULL) | (uint32_t)(a->generations[1] != NULL) << 1;
    meta.has_graph = a->graph != NULL;
    meta.has_tree = a->bec != NULL;
    meta.rows_apart = rows_apart;
    store_section(w, "meta");
    store_write(w, &meta, sizeof meta);
}

/* This snapshot needs no pinned slot: they are free for the index that loads it. */
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
    store_write(w, a->pins.slots, a->pins.n * sizeof *a->pins.slots);
}

static void write_sums(const struct asteria *a, struct store_writer *w)
{
    store_section(w, "sums");
    for (uint32_t slot = 0; slot < a->n_slots; slot++)
        if (asteria_keeps(a, slot)) {
            const uint32_t sum = asteria_rows_sum(a->rows, slot);

            store_write(w, &sum, sizeof sum);
        }
}

void asteria_snapshot_write(const struct asteria *a, struct store_writer *w, uint64_t lsn,
                            bool rows_apart)
{
    write_meta(a, w, lsn, rows_apart);
    write_slots(a, w);
    for (unsigned g = 0; g < 2; g++)
        if (a->generations[g])
            asteria_snapshot_write_generation(a, g, w);
    if (a->graph)
        asteria_caprg_write(a->graph, w);
    if (a->bec)
        asteria_bec_write(a->bec, w);
    if (rows_apart)
        write_sums(a, w);
}

/* ---------------------------------------------------------------------------------- rows */

struct rows_out {
    struct asteria *a;
    struct asteria_rows_fetch *fetch;
    unsigned char *rows; /* FETCH_MOST, in the order of slots */
    size_t row_bytes;
};

/* The lock only protects where the rows are, in memory or in the file; the rows themselves stay. */
static int read_some(const struct rows_out *o, const uint32_t *slots, size_t n)
{
    size_t i;
    const void *row;

    (void)pthread_rwlock_rdlock(&o->a->lock);
    int rc = asteria_rows_fetch_begin(o->fetch, slots, n);
    while (rc == OK && (rc = asteria_rows_fetch_next(o->fetch, &i, &row)) == OK && row)
        memcpy(o->rows + i * o->row_bytes, row, o->row_bytes);
    (void)pthread_rwlock_unlock(&o->a->lock);
    return rc;
}

static int write_pinned(const struct rows_out *o, struct store_writer *w)
{
    const struct asteria_pins *p = &o->a->pins;
    uint32_t slots[FETCH_MOST], at = 0;
    int rc = OK;

    store_section(w, "rows");
    while (rc == OK && at < p->n_writing) {
        size_t n = 0;

        for (; at < p->n_writing && n < FETCH_MOST; at++)
            if (p->writing[at / 64] >> at % 64 & 1)
                slots[n++] = at;
        rc = read_some(o, slots, n);
        if (rc == OK)
            store_write(w, o->rows, n * o->row_bytes);
    }
    return rc;
}

int asteria_snapshot_write_rows(struct asteria *a, struct store_writer *w)
{
    const struct index_env *env = &a->base.env;
    struct rows_out o = { .a = a, .row_bytes = index_row_bytes(env->element, env->dim) };
    int rc = asteria_rows_fetch_create(&o.fetch, a->rows);

    if (rc != OK)
        return rc;
    o.rows = mem_array(env->mem, FETCH_MOST, o.row_bytes);
    rc = o.rows
             ? write_pinned(&o, w)
             : fail(env->error, ERR_NO_MEMORY, "asteria: save: out of memory for a block of rows");
    mem_free(env->mem, o.rows);
    asteria_rows_fetch_destroy(o.fetch);
    return rc;
}
