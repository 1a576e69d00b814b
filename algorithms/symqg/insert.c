/* insert.c - adding rows. The first batch is built at once; later rows are linked one by one. */
#include "algorithms/symqg/symqg.h"
#include "src/core/error.h"
#include "src/core/mem.h"

/* Trains the quantizer: of the rows it needs only the mean, so a sample is enough. */
static int make_quantizer(struct symqg *s, struct vectors rows)
{
    enum { SAMPLE = 10000 };
    const struct index_env *env = &s->base.env;
    const struct quantizer_options options = {
        .kind = QUANTIZER_RABITQ, .seed = (uint64_t)s->params.seed, .bits = 1, .eps0 = 1.9
    };
    const size_t n = rows.n < SAMPLE ? rows.n : SAMPLE;
    float *floats = mem_array(env->mem, n * env->dim, sizeof *floats);

    if (!floats)
        return fail(env->error, ERR_NO_MEMORY, "symqg: out of memory for a sample of %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        const size_t at = i * (rows.n / n) * env->dim;

        for (size_t d = 0; d < env->dim; d++)
            floats[i * env->dim + d] = env->element == ELEMENT_U8
                                           ? (float)((const uint8_t *)rows.rows)[at + d]
                                           : ((const float_anywhere *)rows.rows)[at + d];
    }
    const int rc = quantizer_train(&s->quantizer, env, &options, floats, n);
    mem_free(env->mem, floats);
    if (rc == OK)
        symqg_lay_out(s);
    return rc;
}

static void put_row(struct symqg *s, size_t v, const void *row, uint64_t id)
{
    unsigned char *vertex = s->vertices + v * s->stride;

    memset(vertex, 0, s->stride);
    memcpy(vertex, row, s->row_bytes);
    s->ids[v] = id;
}

/* Links row n, which is in place. */
static int link_row(struct symqg *s, struct symqg_scratch *x)
{
    const uint32_t v = (uint32_t)s->n;
    const int rc = symqg_beam(s, x, symqg_vertex(s, v), (size_t)s->params.ef_construction);
    size_t n = x->n_expanded;

    if (rc != OK)
        return rc;
    const size_t kept = symqg_prune(s, v, x->expanded, &n);
    symqg_set_edges(s, x, v, x->expanded, n);
    s->n++;
    for (size_t i = 0; i < kept; i++)
        symqg_add_edge(s, x, symqg_key_vertex(x->expanded[i]), v);
    return OK;
}

static int add(struct symqg *s, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct symqg_scratch *x = symqg_scratch_take(s, s->n + rows.n);
    int rc = x ? OK : fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory, cannot insert");

    for (; *done < rows.n && rc == OK; *done += rc == OK) {
        put_row(s, s->n, (const unsigned char *)rows.rows + *done * s->row_bytes, ids[*done]);
        rc = link_row(s, x);
    }
    if (x)
        scratch_pool_give(&s->scratch, x);
    return rc;
}

int symqg_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct symqg *s = (struct symqg *)index;
    int rc = OK;

    *done = 0;
    if (rows.n == 0)
        return OK;
    if (!s->quantizer)
        rc = make_quantizer(s, rows);
    if (rc == OK)
        rc = symqg_reserve(s, s->n + rows.n);
    if (rc != OK)
        return rc;
    if (s->n > 0)
        return add(s, rows, ids, done);
    for (size_t i = 0; i < rows.n; i++)
        put_row(s, i, (const unsigned char *)rows.rows + i * s->row_bytes, ids[i]);
    s->n = rows.n;
    rc = symqg_build(s);
    if (rc != OK)
        s->n = 0;
    *done = s->n;
    return rc;
}
