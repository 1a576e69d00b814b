/* store.c - the sections of "flat.index": the ids, and the rows in the order of their positions. */
#include "algorithms/flat/flat.h"

#include <string.h>

struct values {
    size_t n;
    const uint64_t *ids;
    const unsigned char *rows;
};

static int fields(struct store_fields *f, const struct flat *flat, struct values *v)
{
    store_field_whole(f, "ids", &v->ids, &v->n, sizeof *v->ids);
    return store_field(f, "rows", &v->rows, v->n, flat->row_bytes);
}

int flat_write(struct index *index, struct store_writer *w)
{
    const struct flat *flat = (const struct flat *)index;
    struct values v = { flat->n, flat->ids, flat->rows };
    return fields(&(struct store_fields){ .w = w }, flat, &v);
}

int flat_read(struct index *index, struct store_reader *r)
{
    struct flat *flat = (struct flat *)index;
    struct values v = { 0 };
    const int rc = fields(&(struct store_fields){ .r = r }, flat, &v);
    if (rc != OK || v.n == 0)
        return rc;
    if (!flat_reserve(flat, v.ids, v.n))
        return fail(r->error, ERR_NO_MEMORY, "flat: out of memory, cannot load %zu rows", v.n);
    memcpy(flat->ids, v.ids, v.n * sizeof *v.ids);
    memcpy(flat->rows, v.rows, v.n * flat->row_bytes);
    flat->n = v.n;
    return store_take_ids(r, flat->ids, v.n, v.n, &flat->slot_of);
}
