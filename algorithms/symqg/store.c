/* store.c - the sections of a file: numbers; and if there are rows the quantizer, the ids and the
 * vertices, the vertices that are not live, and the sum of the rows. */
#include "algorithms/symqg/symqg.h"
#include "src/core/mem.h"

struct state {
    uint64_t n, n_free, n_leaving, n_removed, cursor, entry;
};

static uint64_t gone_of(const struct state *s)
{
    return s->n_free + s->n_leaving + s->n_removed;
}

static bool is_possible(const struct state *s)
{
    return s->n < SYMQG_NONE && s->n_free <= s->n && s->n_leaving <= s->n && s->n_removed <= s->n &&
           s->cursor <= s->n && (s->n > 0 ? s->entry < s->n && gone_of(s) < s->n : s->entry == 0);
}

/* The sections of a file, which reading puts into an index without rows. */
static int fields(struct store_fields *f, struct symqg *s, struct state *state)
{
    const size_t rule_bytes = s->degree / RABITQ_EDGES * sizeof *s->rule;

    store_copy(f, "state", state, 1, sizeof *state);
    if (f->r && f->code == OK && !is_possible(state))
        f->code = store_corrupt(f->r, "a number of rows is out of range");
    if (f->code != OK || state->n == 0)
        return f->code;
    if (quantizer_field(f, "quantizer", &s->base.env, &s->quantizer) != OK)
        return f->code;
    if (!s->quantizer || s->quantizer->kind != QUANTIZER_RABITQ || s->quantizer->refines)
        return f->code = store_corrupt(f->r, "the quantizer is not RaBitQ with one bit");
    if (f->r)
        symqg_lay_out(s);
    store_array(f, "ids", &s->ids, &s->ids_capacity, state->n, sizeof *s->ids);
    store_array(f, "vertices", &s->vertices, &s->vertices_capacity, state->n, s->stride);
    store_array(f, "rule", &s->rule, &s->rule_capacity, state->n, rule_bytes);
    store_array(f, "gone", &s->gone, &s->gone_capacity, gone_of(state), sizeof *s->gone);
    return store_copy(f, "sum", s->sum, s->base.env.dim, sizeof *s->sum);
}

int symqg_write(struct index *index, struct store_writer *w)
{
    struct symqg *s = (struct symqg *)index;
    struct state state = { s->n, s->n_free, s->n_leaving, s->n_removed, s->cursor, s->entry };

    return fields(&(struct store_fields){ .w = w }, s, &state);
}

int symqg_read(struct index *index, struct store_reader *r)
{
    struct symqg *s = (struct symqg *)index;
    struct state state;
    int rc = fields(&(struct store_fields){ .r = r, .mem = index->env.mem }, s, &state);

    if (rc != OK || state.n == 0)
        return rc;
    rc = symqg_reserve_vertices(s, state.n);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < state.n; i++)
        atomic_init(&s->latches[i], 0);
    s->n = state.n;
    s->n_free = state.n_free;
    s->n_leaving = state.n_leaving;
    s->n_removed = state.n_removed;
    s->cursor = state.cursor;
    s->entry = (uint32_t)state.entry;
    rc = store_take_ids(r, s->ids, s->n, s->n - gone_of(&state), &s->numbers);
    return rc == OK ? symqg_check_graph(s) : rc;
}
