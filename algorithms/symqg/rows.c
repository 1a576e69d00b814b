/* rows.c - the vertices: taking one for a row, and giving it back. */
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"
#include "src/core/mem.h"

int symqg_reserve_vertices(struct symqg *s, size_t need)
{
    struct mem *mem = s->base.env.mem;

    if (need >= SYMQG_NONE ||
        !mem_grow(mem, &s->vertices, &s->vertices_capacity, need, s->stride) ||
        !mem_grow(mem, &s->ids, &s->ids_capacity, need, sizeof *s->ids) ||
        !mem_grow(mem, &s->rule, &s->rule_capacity, need,
                  s->degree / RABITQ_EDGES * sizeof *s->rule) ||
        !mem_grow(mem, &s->latches, &s->latches_capacity, need, sizeof *s->latches))
        return fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu rows", need);
    return OK;
}

/* Of `more` rows, those that no free vertex takes. */
static size_t need_of(const struct symqg *s, size_t more)
{
    return s->n + (more > s->n_free ? more - s->n_free : 0);
}

bool symqg_has_space(const struct symqg *s, size_t more)
{
    const size_t need = need_of(s, more);

    return need <= s->vertices_capacity && need <= s->ids_capacity && need <= s->latches_capacity;
}

int symqg_reserve(struct symqg *s, const uint64_t *ids, size_t more)
{
    const int rc = symqg_reserve_vertices(s, need_of(s, more));

    if (rc == OK && !slot_table_reserve(&s->numbers, s->ids, ids, more))
        return fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu ids", more);
    return rc;
}

int symqg_reserve_gone(struct symqg *s, size_t more)
{
    const size_t need = s->n_free + s->n_leaving + s->n_removed + more;

    return mem_grow(s->base.env.mem, &s->gone, &s->gone_capacity, need, sizeof *s->gone)
               ? OK
               : fail(s->base.env.error, ERR_NO_MEMORY,
                      "symqg: out of memory, cannot remove %zu rows", more);
}

/* Adds or takes away a row of the sum. */
static void count_row(struct symqg *s, const unsigned char *row, double sign)
{
    const float *floats = (const float *)(const void *)row;

    for (size_t d = 0; d < s->base.env.dim; d++)
        s->sum[d] += sign * (s->base.env.element == INDEX_U8 ? (double)row[d] : (double)floats[d]);
}

void symqg_mean(const struct symqg *s, void *row)
{
    uint8_t *bytes = row;
    float *floats = row;

    for (size_t d = 0; d < s->base.env.dim; d++) {
        const double mean = s->sum[d] / (double)s->numbers.n;

        if (s->base.env.element == INDEX_U8)
            bytes[d] = (uint8_t)(mean < 0 ? 0 : mean > 255 ? 255 : mean + .5);
        else
            floats[d] = (float)mean;
    }
}

/* The first of the other groups takes the place of the last free one. */
static uint32_t take_free(struct symqg *s)
{
    const uint32_t v = s->gone[--s->n_free];
    const size_t last_leaving = s->n_free + s->n_leaving, last = last_leaving + s->n_removed;

    s->gone[s->n_free] = s->gone[last_leaving];
    s->gone[last_leaving] = s->gone[last];
    return v;
}

static void clear_edges(struct symqg *s, uint32_t v)
{
    unsigned char *vertex = symqg_vertex(s, v);

    for (size_t b = 0; b < s->degree / RABITQ_EDGES; b++)
        rabitq_edges_clear(s->quantizer, vertex + s->blocks_at + b * s->block_bytes);
    memset(symqg_links(s, v), 0xff, s->degree * sizeof(uint32_t)); /* SYMQG_NONE */
    memset(symqg_rule(s, v), 0, s->degree / RABITQ_EDGES * sizeof(uint32_t));
}

uint32_t symqg_take(struct symqg *s, const void *row, uint64_t id)
{
    const bool fresh = s->n_free == 0;
    const uint32_t v = fresh ? (uint32_t)s->n : take_free(s);
    unsigned char *vertex = symqg_vertex(s, v);

    if (fresh) {
        atomic_init(&s->latches[v], 0);
        symqg_set_id(s, v, INDEX_NO_ID);
    }
    latch_take(&s->latches[v]); /* edges of a removed vertex may lead to a free one */
    memset(vertex, 0, s->stride);
    memcpy(vertex, row, s->row_bytes);
    clear_edges(s, v);
    symqg_set_id(s, v, id);
    latch_give(&s->latches[v]);
    if (fresh)
        s->n++;
    s->n_changes++;
    slot_table_put(&s->numbers, id, v);
    count_row(s, vertex, 1);
    return v;
}

void symqg_bury(struct symqg *s, uint32_t v)
{
    uint32_t same;

    (void)slot_table_remove(&s->numbers, s->ids, s->ids[v], &same);
    symqg_set_id(s, v, INDEX_NO_ID);
    s->n_changes++;
    s->gone[s->n_free + s->n_leaving + s->n_removed++] = v;
    count_row(s, symqg_vertex(s, v), -1);
}

void symqg_free_leaving(struct symqg *s)
{
    symqg_hold_alone(s);
    for (size_t i = 0; i < s->n_leaving; i++)
        clear_edges(s, s->gone[s->n_free + i]);
    symqg_share_again(s);
    s->n_free += s->n_leaving;
    s->n_leaving = s->n_removed;
    s->n_removed = 0;
    s->cursor = 0;
}

void symqg_empty(struct symqg *s)
{
    s->n = 0;
    s->n_free = s->n_leaving = s->n_removed = s->cursor = 0;
    s->entry = 0;
    slot_table_free(&s->numbers);
    slot_table_init(&s->numbers, s->base.env.mem);
    memset(s->sum, 0, s->base.env.dim * sizeof *s->sum);
}
