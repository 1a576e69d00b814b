/* store.c - one file "symqg.index": the parameters, the quantizer, the ids, the vertices; and the
 * check of the invariants. */
#include <inttypes.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/symqg/symqg.h"
#include "src/core/mem.h"
#include "src/core/param.h"

#define FILE_NAME "symqg.index"
#define VERSION   1

/* Of a file: the parameters, and numbers of the index. */
struct saved {
    struct symqg_params params;
    uint64_t n, entry;
};

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

int symqg_save(struct index *index, const char *dir)
{
    const struct symqg *s = (const struct symqg *)index;
    const struct store_identity identity = store_identity_of(&index->env, "symqg", VERSION);
    const struct saved saved = { s->params, s->n, s->entry };
    struct store_writer w;

    (void)store_begin(&w, dir, FILE_NAME, &identity, NULL, index->env.error);
    store_section(&w, "params");
    store_write(&w, &saved, sizeof saved);
    if (s->n > 0) {
        save_quantizer(s, &w);
        store_section(&w, "ids");
        store_write(&w, s->ids, s->n * sizeof *s->ids);
        store_section(&w, "vertices");
        store_write(&w, s->vertices, s->n * s->stride);
    }
    return store_commit(&w);
}

/* The links of a vertex, checked in a file and in memory alike: NULL, or what is wrong. */
static const char *fault_of_links(const struct symqg *s, uint32_t v)
{
    const uint32_t *links = symqg_links(s, v);
    const size_t n = symqg_edges(s, v);

    for (size_t i = 0; i < n; i++) {
        if (links[i] >= s->n || links[i] == v)
            return "has an edge to no other row";
        for (size_t j = 0; j < i; j++) {
            if (links[j] == links[i])
                return "has two edges to one row";
        }
    }
    for (size_t i = n; i < s->degree; i++) {
        if (links[i] != SYMQG_NONE)
            return "has a gap among its edges";
    }
    return NULL;
}

static int read_saved(const struct store_reader *r, const struct index_ops *ops,
                      struct saved *saved)
{
    const void *bytes;
    const int rc = store_need(r, "params", sizeof *saved, &bytes, NULL);

    if (rc != OK)
        return rc;
    memcpy(saved, bytes, sizeof *saved);
    struct symqg_params limits = saved->params;
    limits.seed = 0; /* may be any, once it is the experiment's */
    if (!param_possible(ops->params, &limits) || saved->params.degree % RABITQ_EDGES != 0 ||
        saved->n >= SYMQG_NONE || saved->entry > saved->n ||
        (saved->n > 0 && saved->entry == saved->n))
        return store_corrupt(r, "a parameter or a number of rows is out of range");
    return OK;
}

static int take_rows(struct symqg *s, const struct store_reader *r, const struct saved *saved)
{
    const struct index_env *env = &s->base.env;
    const void *bytes, *vertices = NULL;
    const uint64_t *ids = NULL;
    size_t n_bytes;
    int rc = store_need(r, "quantizer", SIZE_MAX, &bytes, &n_bytes);

    if (rc == OK)
        rc = quantizer_load(&s->quantizer, env, bytes, n_bytes);
    if (rc != OK)
        return rc;
    if (s->quantizer->kind != QUANTIZER_RABITQ || s->quantizer->refines)
        return store_corrupt(r, "the quantizer is not RaBitQ with one bit");
    symqg_lay_out(s);
    rc = store_need_array(r, "ids", saved->n, sizeof *ids, &ids);
    if (rc == OK)
        rc = store_need_array(r, "vertices", saved->n, s->stride, &vertices);
    if (rc == OK)
        rc = symqg_reserve(s, saved->n);
    if (rc != OK)
        return rc;
    memcpy(s->ids, ids, saved->n * sizeof *ids);
    memcpy(s->vertices, vertices, saved->n * s->stride);
    s->n = saved->n;
    s->entry = (uint32_t)saved->entry;
    for (uint32_t v = 0; v < s->n; v++) {
        const char *fault = fault_of_links(s, v);

        if (fault)
            return fail(env->error, ERR_CORRUPT, "%s: row %" PRIu32 " %s", r->path, v, fault);
    }
    return OK;
}

int symqg_load(struct index **index, const struct index_ops *ops, const struct index_env *env,
               const char *dir)
{
    const struct store_identity identity = store_identity_of(env, "symqg", VERSION);
    struct saved saved;
    struct store_reader r;
    int rc = store_open(&r, dir, FILE_NAME, &identity, env->error);

    if (rc != OK)
        return rc;
    rc = read_saved(&r, ops, &saved);
    if (rc == OK)
        rc = symqg_create(index, ops, env, &saved.params);
    if (rc == OK && saved.n > 0) {
        rc = take_rows((struct symqg *)*index, &r, &saved);
        if (rc != OK)
            symqg_destroy(*index);
    }
    store_close(&r);
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
        const char *fault = fault_of_links(s, v);

        if (!fault && !is_coded(s, x, block, v))
            fault = "has codes that are not those of its edges";
        if (fault)
            return fail(env->error, ERR_INVARIANT, "symqg: row %" PRIu32 " %s", v, fault);
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
    if (s->entry >= s->n || s->n > s->vertices_capacity || s->n > s->ids_capacity)
        return fail(env->error, ERR_INVARIANT, "symqg: %zu rows, entry %" PRIu32 ", space for %zu",
                    s->n, s->entry, s->vertices_capacity);
    struct symqg_scratch *x = symqg_scratch_take(s, s->n);
    unsigned char *block = mem_alloc(env->mem, s->block_bytes);
    const int rc = x && block ? check_vertices(s, x, block)
                              : fail(env->error, ERR_NO_MEMORY, "symqg: out of memory to check");
    if (x)
        scratch_pool_give(&s->scratch, x);
    mem_free(env->mem, block);
    return rc;
}
