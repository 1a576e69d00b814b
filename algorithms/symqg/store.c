/* store.c - writing the sections of a file: the numbers, the quantizer, the ids, the vertices, the vertices
 * that are not live, and the sum of the rows. */
#include "algorithms/symqg/symqg.h"
#include "src/core/mem.h"

static void save_quantizer(const struct symqg *s, struct store_writer *w)
{
    struct mem *mem = s->base.env.mem;
    const size_t n = quantizer_save(s->quantizer, NULL);
    void *bytes = mem_zalloc(mem, n);

    if (!bytes) {
        store_fail(w, fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory, cannot save"));
        return;
    }
    (void)quantizer_save(s->quantizer, bytes);
    store_section(w, "quantizer");
    store_write(w, bytes, n);
    mem_free(mem, bytes);
}

int symqg_write(struct index *index, struct store_writer *w)
{
    const struct symqg *s = (const struct symqg *)index;
    const struct symqg_state state = { .n = s->n,
                                       .n_free = s->n_free,
                                       .n_leaving = s->n_leaving,
                                       .n_removed = s->n_removed,
                                       .cursor = s->cursor,
                                       .entry = s->entry };

    store_section(w, "state");
    store_write(w, &state, sizeof state);
    if (s->n > 0) {
        save_quantizer(s, w);
        store_section(w, "ids");
        store_write(w, s->ids, s->n * sizeof *s->ids);
        store_section(w, "vertices");
        store_write(w, s->vertices, s->n * s->stride);
        store_section(w, "rule");
        store_write(w, s->rule, s->n * (s->degree / RABITQ_EDGES) * sizeof *s->rule);
        store_section(w, "gone");
        store_write(w, s->gone, (s->n_free + s->n_leaving + s->n_removed) * sizeof *s->gone);
        store_section(w, "sum");
        store_write(w, s->sum, s->base.env.dim * sizeof *s->sum);
    }
    return OK;
}
