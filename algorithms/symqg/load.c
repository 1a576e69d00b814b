/* load.c - reading the sections of a file (store.c). */
#include "algorithms/symqg/symqg.h"
#include "src/core/param.h"

static bool is_possible(const struct symqg_state *s)
{
    const bool has_rows = s->n_free + s->n_leaving + s->n_removed < s->n;

    return s->n < SYMQG_NONE && s->n_free <= s->n && s->n_leaving <= s->n && s->n_removed <= s->n &&
           s->cursor <= s->n && s->entry <= s->n && (s->n == 0 || (s->entry < s->n && has_rows));
}

/* Rows and their ids; those without one are listed in "gone". */
static int take_vertices(struct symqg *s, const struct store_reader *r,
                         const struct symqg_state *saved)
{
    const void *vertices = NULL;
    const size_t rule_bytes = s->degree / RABITQ_EDGES * sizeof *s->rule;
    const uint64_t *ids = NULL;
    const uint32_t *rule = NULL;
    int rc = store_need_array(r, "ids", saved->n, sizeof *ids, &ids);

    if (rc == OK)
        rc = store_need_array(r, "vertices", saved->n, s->stride, &vertices);
    if (rc == OK)
        rc = store_need_array(r, "rule", saved->n, rule_bytes, &rule);
    if (rc == OK)
        rc = symqg_reserve_vertices(s, saved->n);
    if (rc != OK)
        return rc;
    memcpy(s->ids, ids, saved->n * sizeof *ids);
    memcpy(s->vertices, vertices, saved->n * s->stride);
    memcpy(s->rule, rule, saved->n * rule_bytes);
    s->n = saved->n;
    for (uint32_t v = 0; v < s->n; v++) {
        if (!symqg_is_live(s, v))
            continue;
        if (slot_table_get(&s->numbers, s->ids, s->ids[v], NULL))
            return store_corrupt(r, "an id is stored twice");
        if (!slot_table_reserve(&s->numbers, s->ids, s->ids + v, 1))
            return fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu ids", s->n);
        slot_table_put(&s->numbers, s->ids[v], v);
    }
    return OK;
}

static int take_gone(struct symqg *s, const struct store_reader *r, const struct symqg_state *saved)
{
    const size_t n = saved->n_free + saved->n_leaving + saved->n_removed;
    const void *sum = NULL;
    const uint32_t *gone = NULL;
    int rc = store_need_array(r, "gone", n, sizeof *gone, &gone);

    if (rc == OK)
        rc = store_need_array(r, "sum", s->base.env.dim, sizeof *s->sum, &sum);
    if (rc == OK)
        rc = symqg_reserve_gone(s, n);
    if (rc != OK)
        return rc;
    if (n > 0)
        memcpy(s->gone, gone, n * sizeof *gone);
    memcpy(s->sum, sum, s->base.env.dim * sizeof *s->sum);
    s->n_free = saved->n_free;
    s->n_leaving = saved->n_leaving;
    s->n_removed = saved->n_removed;
    s->cursor = saved->cursor;
    s->entry = (uint32_t)saved->entry;
    return OK;
}

static int take_rows(struct symqg *s, const struct store_reader *r, const struct symqg_state *saved)
{
    const struct index_env *env = &s->base.env;
    const void *bytes;
    size_t n_bytes;
    int rc = store_need(r, "quantizer", SIZE_MAX, &bytes, &n_bytes);

    if (rc == OK)
        rc = quantizer_load(&s->quantizer, env, bytes, n_bytes);
    if (rc != OK)
        return rc;
    if (s->quantizer->kind != QUANTIZER_RABITQ || s->quantizer->refines)
        return store_corrupt(r, "the quantizer is not RaBitQ with one bit");
    symqg_lay_out(s);
    rc = take_vertices(s, r, saved);
    if (rc == OK)
        rc = take_gone(s, r, saved);
    return rc == OK ? symqg_check_graph(s) : rc;
}

int symqg_read(struct index *index, struct store_reader *r)
{
    const struct symqg_state *state;
    const int rc = store_need_array(r, "state", 1, sizeof *state, &state);

    if (rc != OK)
        return rc;
    if (!is_possible(state))
        return store_corrupt(r, "a number of rows is out of range");
    return state->n > 0 ? take_rows((struct symqg *)index, r, state) : OK;
}
