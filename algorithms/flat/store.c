/* store.c - the sections of "flat.index": the ids, and the rows in the order of their positions. */
#include "algorithms/flat/flat.h"

#include <inttypes.h>
#include <string.h>

int flat_write(struct index *index, struct store_writer *w)
{
    const struct flat *f = (const struct flat *)index;
    store_section(w, "ids");
    store_write(w, f->ids, f->n * sizeof *f->ids);
    store_section(w, "rows");
    store_write(w, f->rows, f->n * f->row_bytes);
    return OK;
}

int flat_read(struct index *index, struct store_reader *r)
{
    struct flat *f = (struct flat *)index;
    struct error *err = f->base.env.error;
    const void *ids, *rows;
    size_t ids_bytes;
    int rc = store_need(r, "ids", SIZE_MAX, &ids, &ids_bytes);
    if (rc != OK)
        return rc;
    const size_t n = ids_bytes / sizeof *f->ids;
    if (ids_bytes % sizeof *f->ids != 0)
        return fail(err, ERR_CORRUPT, "%s: section \"ids\" has %zu bytes, expected a multiple of 8",
                    r->path, ids_bytes);
    rc = store_need(r, "rows", n * f->row_bytes, &rows, NULL);
    if (rc != OK || n == 0)
        return rc;
    if (!flat_reserve(f, ids, n))
        return fail(err, ERR_NO_MEMORY, "flat: out of memory, cannot load %zu rows", n);
    memcpy(f->ids, ids, ids_bytes);
    memcpy(f->rows, rows, n * f->row_bytes);
    for (size_t i = 0; i < n; i++) {
        if (f->ids[i] == INDEX_NO_ID || slot_table_get(&f->slot_of, f->ids, f->ids[i], NULL))
            return fail(err, ERR_CORRUPT, "%s: id %" PRIu64 " at %zu is reserved or occurs twice",
                        r->path, f->ids[i], i);
        slot_table_put(&f->slot_of, f->ids[i], (uint32_t)i);
    }
    f->n = n;
    return OK;
}
