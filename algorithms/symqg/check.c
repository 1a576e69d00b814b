/* check.c - the check of the invariants; store.c checks a file by those of the graph. */
#include <inttypes.h>

#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"
#include "src/core/mem.h"

enum { LIVE, REMOVED, FREE };

/* Sets the state of each vertex; returns NULL or what is wrong with the list of those not live. */
static const char *states_of(const struct symqg *s, unsigned char *states)
{
    const size_t n = s->n_free + s->n_leaving + s->n_removed;

    if (n + s->numbers.n != s->n)
        return "live and other rows are not all rows";
    for (size_t i = 0; i < n; i++) {
        const uint32_t v = s->gone[i];

        if (v >= s->n || symqg_is_live(s, v))
            return "a removed row is live";
        if (states[v] != LIVE)
            return "a row is removed twice";
        states[v] = i < s->n_free ? FREE : REMOVED;
    }
    return NULL;
}

static const char *fault_of_vertex(const struct symqg *s, uint32_t v, const unsigned char *states)
{
    const uint32_t *links = symqg_links(s, v);
    const size_t n = symqg_edges(s, v);
    uint32_t found;

    if (states[v] == FREE && n > 0)
        return "is free and has edges";
    if (states[v] == LIVE &&
        (!slot_table_get(&s->numbers, s->ids, s->ids[v], &found) || found != v))
        return "is not found by its id";
    for (size_t i = 0; i < n; i++) {
        if (links[i] >= s->n || links[i] == v)
            return "has an edge to no other row";
        if (states[v] == LIVE && states[links[i]] == FREE)
            return "has an edge to a free row";
        for (size_t j = 0; j < i; j++) {
            if (links[j] == links[i])
                return "has two edges to one row";
        }
    }
    for (size_t i = n; i < s->degree; i++) {
        if (links[i] != SYMQG_NONE)
            return "has a gap among its edges";
    }
    for (size_t i = n; i < s->degree; i++) {
        if (symqg_rule(s, v)[i / RABITQ_EDGES] >> i % RABITQ_EDGES & 1)
            return "marks an edge that it has not";
    }
    return NULL;
}

int symqg_check_graph(struct symqg *s)
{
    const struct index_env *env = &s->base.env;
    unsigned char *states = mem_zalloc(env->mem, s->n);
    int rc = OK;

    if (!states)
        return fail(env->error, ERR_NO_MEMORY, "symqg: out of memory to check %zu rows", s->n);
    const char *fault = states_of(s, states);
    if (!fault && (s->entry >= s->n || states[s->entry] != LIVE))
        fault = "searches do not begin at a live row";
    if (fault)
        rc = fail(env->error, ERR_INVARIANT, "symqg: %s", fault);
    for (uint32_t v = 0; v < s->n && rc == OK; v++) {
        fault = fault_of_vertex(s, v, states);
        if (fault)
            rc = fail(env->error, ERR_INVARIANT, "symqg: row %" PRIu32 " %s", v, fault);
    }
    mem_free(env->mem, states);
    return rc;
}

/* Codes the edges of a vertex again; the codes must be the stored ones. */
static bool is_coded(const struct symqg *s, struct symqg_scratch *x, unsigned char *block,
                     uint32_t v)
{
    const unsigned char *stored = symqg_vertex(s, v) + s->blocks_at;
    const uint32_t *links = symqg_links(s, v);
    bool same = true;

    symqg_rotate(s, x, symqg_vertex(s, v), x->centre);
    for (size_t i = 0; i < s->degree && same; i++) {
        const unsigned place = (unsigned)(i % RABITQ_EDGES);

        if (place == 0)
            rabitq_edges_clear(s->quantizer, block);
        if (links[i] != SYMQG_NONE) {
            symqg_rotate(s, x, symqg_vertex(s, links[i]), x->rotated);
            rabitq_edges_put(s->quantizer, x->rotated, x->centre, block, place);
        }
        if (place == RABITQ_EDGES - 1)
            same = memcmp(block, stored + i / RABITQ_EDGES * s->block_bytes, s->block_bytes) == 0;
    }
    return same;
}

static int check_vertices(struct symqg *s, struct symqg_scratch *x, unsigned char *block)
{
    const struct index_env *env = &s->base.env;

    for (uint32_t v = 0; v < s->n; v++) {
        if (symqg_is_live(s, v) && !is_coded(s, x, block, v))
            return fail(env->error, ERR_INVARIANT,
                        "symqg: row %" PRIu32 " has codes that are not those of its edges", v);
    }
    return OK;
}

int symqg_check(const struct index *index, struct stat_sink *sink)
{
    struct symqg *s = (struct symqg *)(uintptr_t)index;
    const struct index_env *env = &index->env;

    (void)sink;
    if (s->n == 0)
        return OK;
    if (s->n > s->vertices_capacity || s->n > s->ids_capacity)
        return fail(env->error, ERR_INVARIANT, "symqg: %zu rows, space for %zu", s->n,
                    s->vertices_capacity);
    struct symqg_scratch *x = symqg_scratch_take(s, s->n);
    unsigned char *block = mem_alloc(env->mem, s->block_bytes);
    int rc = x && block ? symqg_check_graph(s)
                        : fail(env->error, ERR_NO_MEMORY, "symqg: out of memory to check");
    if (rc == OK)
        rc = check_vertices(s, x, block);
    scratch_pool_give(&s->scratch, x);
    mem_free(env->mem, block);
    return rc;
}
