/* index.c - creating and destroying an index, the layout of its vertices, scratch. */
#include "algorithms/common/rotation/rotation.h"
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"
#include "src/core/mem.h"
#include "src/core/rwlock.h"

/* Scratch */

static void close_scratch(struct mem *mem, void *scratch)
{
    struct symqg_scratch *x = scratch;

    mem_free(mem, x->list.keys);
    mem_free(mem, x->expanded);
    mem_free(mem, x->visited);
    mem_free(mem, x->candidates);
    mem_free(mem, x->row);
    mem_free(mem, x->rotated);
    mem_free(mem, x->centre);
    mem_free(mem, x->query);
    mem_free(mem, x->mean);
}

static bool open_scratch(void *owner, void *scratch)
{
    const struct symqg *s = owner;
    struct mem *mem = s->base.env.mem;
    const size_t dim = s->base.env.dim, work_dim = s->quantizer->work_dim;
    struct symqg_scratch *x = scratch;

    x->row = mem_array(mem, dim, sizeof *x->row);
    x->rotated = mem_array(mem, work_dim, sizeof *x->rotated);
    x->centre = mem_array(mem, work_dim, sizeof *x->centre);
    x->query = mem_alloc(mem, s->quantizer->query_bytes);
    x->mean = mem_array(mem, dim, sizeof(float));
    return x->row && x->rotated && x->centre && x->query && x->mean;
}

/* No bit is set between two searches, so that new ones only need to be cleared. */
static bool fit_visited(struct mem *mem, struct symqg_scratch *x, size_t n)
{
    const size_t held = x->visited_capacity;

    if (!mem_grow(mem, &x->visited, &x->visited_capacity, n / 64 + 1, sizeof *x->visited))
        return false;
    memset(x->visited + held, 0, (x->visited_capacity - held) * sizeof *x->visited);
    return true;
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct symqg *s = owner;
    const struct symqg_scratch *x = scratch;

    return (x->list.capacity + x->expanded_capacity + x->visited_capacity +
            x->candidates_capacity) *
               sizeof(uint64_t) +
           (2 * s->base.env.dim + 2 * s->quantizer->work_dim) * sizeof(float) +
           s->quantizer->query_bytes;
}

static const struct scratch_kind scratch_kind = { sizeof(struct symqg_scratch), open_scratch,
                                                  close_scratch, scratch_bytes };

struct symqg_scratch *symqg_scratch_take(struct symqg *s, size_t n)
{
    struct symqg_scratch *x = scratch_pool_take(&s->scratch);

    if (x && !fit_visited(s->base.env.mem, x, n)) {
        scratch_pool_give(&s->scratch, x);
        x = NULL;
    }
    return x;
}

/* The index */

static size_t up_to_64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

int symqg_create(struct index **index, const struct index_ops *ops, const struct index_env *env,
                 const void *params)
{
    const struct symqg_params *p = params;

    if (p->degree % RABITQ_EDGES != 0)
        return fail(env->error, ERR_ARGUMENT, "symqg: degree is %lld; it must be a multiple of %d",
                    (long long)p->degree, RABITQ_EDGES);
    if (env->dim > ROTATION_DIM_MAX)
        return fail(env->error, ERR_ARGUMENT, "symqg: dimension %zu; at most %d are possible",
                    env->dim, ROTATION_DIM_MAX);
    struct symqg *s = mem_zalloc(env->mem, sizeof *s);
    if (!s)
        return fail(env->error, ERR_NO_MEMORY, "symqg: out of memory for an index");
    s->base = (struct index){ .ops = ops, .env = *env };
    s->params = *p;
    s->degree = (size_t)p->degree;
    s->row_bytes = index_row_bytes(env->element, env->dim);
    rwlock_init_writers_first(&s->lock);
    slot_table_init(&s->numbers, env->mem);
    scratch_pool_init(&s->scratch, &scratch_kind, env->mem, s);
    s->sum = mem_zalloc(env->mem, env->dim * sizeof *s->sum);
    if (!s->sum) {
        symqg_destroy(&s->base);
        return fail(env->error, ERR_NO_MEMORY, "symqg: out of memory for an index");
    }
    *index = &s->base;
    return OK;
}

void symqg_lay_out(struct symqg *s)
{
    s->block_bytes = rabitq_edges_bytes(s->quantizer);
    s->blocks_at = up_to_64(s->row_bytes);
    s->links_at = s->blocks_at + s->degree / RABITQ_EDGES * s->block_bytes;
    s->stride = s->links_at + up_to_64(s->degree * sizeof(uint32_t));
}

void symqg_rotate(const struct symqg *s, struct symqg_scratch *x, const void *row, float *out)
{
    if (s->base.env.element == INDEX_F32) {
        quantizer_transform(s->quantizer, row, 1, out);
        return;
    }
    rows_to_floats(&s->base.env, row, 1, x->row);
    quantizer_transform(s->quantizer, x->row, 1, out);
}

int symqg_fit_candidates(const struct symqg *s, struct symqg_scratch *x, size_t need)
{
    return mem_grow(s->base.env.mem, &x->candidates, &x->candidates_capacity, need,
                    sizeof *x->candidates)
               ? OK
               : fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory for %zu candidates",
                      need);
}

void symqg_destroy(struct index *index)
{
    struct symqg *s = (struct symqg *)index;
    struct mem *mem = index->env.mem;

    scratch_pool_free(&s->scratch);
    quantizer_destroy(&index->env, s->quantizer);
    mem_free(mem, s->vertices);
    mem_free(mem, s->ids);
    mem_free(mem, s->latches);
    mem_free(mem, s->gone);
    mem_free(mem, s->rule);
    mem_free(mem, s->sum);
    slot_table_free(&s->numbers);
    pthread_rwlock_destroy(&s->lock);
    mem_free(mem, s);
}
