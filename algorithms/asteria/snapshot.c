/* snapshot.c - an index as sections of a file. */
#include "algorithms/asteria/snapshot.h"

#include <string.h>

#include "algorithms/asteria/tier.h"
#include "src/core/mem.h"

/* Whatever lies between members is zero, so that the same index gives the same file. */
static void write_meta(const struct asteria *a, struct store_writer *w, uint64_t lsn)
{
    struct snapshot_meta meta;

    memset(&meta, 0, sizeof meta);
    meta.params = a->params;
    meta.lsn = lsn;
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
    store_write(w, a->waiting, (2 * a->n_slots + 63) / 64 * sizeof *a->waiting);
    store_section(w, "free");
    store_write(w, a->free, a->n_free * sizeof *a->free);
}

struct rows_out {
    const struct asteria *a;
    struct tier_fetch *fetch;
    unsigned char *rows; /* FETCH_MOST, in the order of slots */
    size_t row_bytes;
};

/* They come as they are read, and go as they follow one another. */
static int write_some(const struct rows_out *o, struct store_writer *w, const uint32_t *slots,
                      size_t n)
{
    size_t i;
    const void *row;
    int rc = tier_fetch_begin(o->fetch, slots, n);

    while (rc == OK && (rc = tier_fetch_next(o->fetch, &i, &row)) == OK && row)
        memcpy(o->rows + i * o->row_bytes, row, o->row_bytes);
    if (rc == OK)
        store_write(w, o->rows, n * o->row_bytes);
    return rc;
}

static int write_kept(const struct rows_out *o, struct store_writer *w)
{
    uint32_t slots[FETCH_MOST], at = 0;
    int rc = OK;

    store_section(w, "rows");
    while (rc == OK && at < o->a->n_slots) {
        size_t n = 0;

        for (; at < o->a->n_slots && n < FETCH_MOST; at++)
            if (asteria_keeps(o->a, at))
                slots[n++] = at;
        rc = write_some(o, w, slots, n);
    }
    return rc;
}

static int write_rows(const struct asteria *a, struct store_writer *w)
{
    const struct index_env *env = &a->base.env;
    struct rows_out o = { .a = a, .row_bytes = element_row_bytes(env->element, env->dim) };
    int rc = tier_fetch_create(&o.fetch, a->tier);

    if (rc != OK)
        return rc;
    o.rows = mem_array(env->mem, FETCH_MOST, o.row_bytes);
    rc = o.rows ? write_kept(&o, w)
                : fail(env->error, ERR_NO_MEMORY, "asteria: save: no memory for some rows");
    mem_free(env->mem, o.rows);
    tier_fetch_destroy(o.fetch);
    return rc;
}

int asteria_snapshot_write(const struct asteria *a, struct store_writer *w, uint64_t lsn)
{
    write_meta(a, w, lsn);
    write_slots(a, w);
    for (unsigned g = 0; g < 2; g++)
        if (a->generations[g])
            asteria_snapshot_write_generation(a, g, w);
    if (a->graph)
        caprg_write(a->graph, w);
    if (a->bec)
        bec_write(a->bec, w);
    return write_rows(a, w);
}
