/* store.c - the sections of a file: numbers; and if there are rows the quantizer, the ids and the
 * vertices, the vertices that are not live, and the sum of the rows. */
#include "algorithms/symqg/symqg.h"
#include "src/core/mem.h"

struct state {
    uint64_t n, n_free, n_leaving, n_removed, cursor, entry;
};

struct values {
    const struct state *state;
    const uint64_t *ids;
    const unsigned char *vertices;
    const uint32_t *rule, *gone;
    const double *sum;
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

static size_t rule_words(const struct symqg *s)
{
    return s->degree / RABITQ_EDGES;
}

static int fields(struct store_fields *f, struct symqg *s, struct values *v)
{
    store_field(f, "state", &v->state, 1, sizeof *v->state);
    if (f->r && f->code == OK && !is_possible(v->state))
        f->code = store_corrupt(f->r, "a number of rows is out of range");
    if (f->code != OK || v->state->n == 0)
        return f->code;
    if (quantizer_field(f, "quantizer", &s->base.env, &s->quantizer) != OK)
        return f->code;
    if (!s->quantizer || s->quantizer->kind != QUANTIZER_RABITQ || s->quantizer->refines)
        return f->code = store_corrupt(f->r, "the quantizer is not RaBitQ with one bit");
    if (f->r)
        symqg_lay_out(s);
    store_field(f, "ids", &v->ids, v->state->n, sizeof *v->ids);
    store_field(f, "vertices", &v->vertices, v->state->n, s->stride);
    store_field(f, "rule", &v->rule, v->state->n, rule_words(s) * sizeof *v->rule);
    store_field(f, "gone", &v->gone, gone_of(v->state), sizeof *v->gone);
    return store_field(f, "sum", &v->sum, s->base.env.dim, sizeof *v->sum);
}

int symqg_write(struct index *index, struct store_writer *w)
{
    struct symqg *s = (struct symqg *)index;
    const struct state state = { s->n, s->n_free, s->n_leaving, s->n_removed, s->cursor, s->entry };
    struct values v = { &state, s->ids, s->vertices, s->rule, s->gone, s->sum };

    return fields(&(struct store_fields){ .w = w }, s, &v);
}

int symqg_read(struct index *index, struct store_reader *r)
{
    struct symqg *s = (struct symqg *)index;
    struct values v = { 0 };
    int rc = fields(&(struct store_fields){ .r = r }, s, &v);

    if (rc != OK || v.state->n == 0)
        return rc;
    const size_t n = v.state->n, n_gone = gone_of(v.state);
    rc = symqg_reserve_vertices(s, n);
    if (rc == OK)
        rc = symqg_reserve_gone(s, n_gone);
    if (rc != OK)
        return rc;
    memcpy(s->ids, v.ids, n * sizeof *v.ids);
    memcpy(s->vertices, v.vertices, n * s->stride);
    memcpy(s->rule, v.rule, n * rule_words(s) * sizeof *v.rule);
    memcpy(s->sum, v.sum, index->env.dim * sizeof *v.sum);
    if (n_gone > 0)
        memcpy(s->gone, v.gone, n_gone * sizeof *v.gone);
    for (size_t i = 0; i < n; i++)
        atomic_init(&s->latches[i], 0);
    s->n = n;
    s->n_free = v.state->n_free;
    s->n_leaving = v.state->n_leaving;
    s->n_removed = v.state->n_removed;
    s->cursor = v.state->cursor;
    s->entry = (uint32_t)v.state->entry;
    rc = store_take_ids(r, s->ids, n, n - n_gone, &s->numbers);
    return rc == OK ? symqg_check_graph(s) : rc;
}
