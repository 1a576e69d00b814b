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
        .kind = QUANTIZER_RABITQ, .seed = s->base.env.seed, .bits = 1, .eps0 = 1.9
    };
    const size_t n = rows.n < SAMPLE ? rows.n : SAMPLE;
    float *floats = mem_array(env->mem, n * env->dim, sizeof *floats);

    if (!floats)
        return fail(env->error, ERR_NO_MEMORY, "symqg: out of memory for a sample of %zu rows", n);
    for (size_t i = 0; i < n; i++)
        rows_to_floats(env, (const char *)rows.rows + i * (rows.n / n) * s->row_bytes, 1,
                       floats + i * env->dim);
    struct quantizer *trained;
    const int rc = quantizer_train(&trained, env, &options, floats, n);
    mem_free(env->mem, floats);
    if (rc != OK)
        return rc;
    quantizer_destroy(env, s->quantizer); /* of rows that are all removed, if there is one */
    s->quantizer = trained;
    symqg_lay_out(s);
    return OK;
}

/* The live rows that a search has expanded, and the entry if there are none. The search may have
   come through v, which was free. */
static size_t live_candidates(const struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    size_t n = 0;

    for (size_t i = 0; i < x->n_expanded; i++) {
        const uint32_t found = candidate_node(x->expanded[i]);

        if (found != v && symqg_is_live(s, found))
            x->expanded[n++] = x->expanded[i];
    }
    if (n == 0)
        x->expanded[n++] = candidate_of(
            symqg_distance(s, symqg_vertex(s, v), symqg_vertex(s, s->entry)), s->entry);
    return n;
}

/* Links v, which has no edges yet, with the rows that a search has expanded. An edge leads to it. */
static void link_row(struct symqg *s, struct symqg_scratch *x, uint32_t v)
{
    size_t n = live_candidates(s, x, v), linked = 0;
    const size_t kept = symqg_prune(s, v, x->expanded, &n);

    symqg_set_edges(s, x, v, x->expanded, kept, n);
    for (size_t i = 0; i < n; i++)
        linked += symqg_add_edges(s, x, candidate_node(x->expanded[i]), &v, 1, false);
    if (linked == 0)
        (void)symqg_add_edges(s, x, candidate_node(x->expanded[0]), &v, 1, true);
}

/* The search comes first, because only it can fail. */
static int add(struct symqg *s, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct symqg_scratch *x = symqg_scratch_take(s, s->n + rows.n);
    int rc = x ? OK : fail(s->base.env.error, ERR_NO_MEMORY, "symqg: out of memory, cannot insert");

    for (; *done < rows.n && rc == OK; *done += rc == OK) {
        const unsigned char *row = (const unsigned char *)rows.rows + *done * s->row_bytes;

        rc = symqg_beam(s, x, row, (size_t)s->params.ef_construction);
        if (rc != OK)
            break;
        pthread_rwlock_rdlock(&s->lock);
        link_row(s, x, symqg_take(s, row, ids[*done]));
        symqg_sweep(s, x);
        pthread_rwlock_unlock(&s->lock);
    }
    scratch_pool_give(&s->scratch, x);
    return rc;
}

static int build(struct symqg *s, struct vectors rows, const uint64_t *ids, size_t *done)
{
    for (size_t i = 0; i < rows.n; i++)
        (void)symqg_take(s, (const unsigned char *)rows.rows + i * s->row_bytes, ids[i]);
    const int rc = symqg_build(s);
    if (rc != OK)
        symqg_empty(s);
    *done = s->n;
    return rc;
}

int symqg_insert(struct index *index, struct vectors rows, const uint64_t *ids, size_t *done)
{
    struct symqg *s = (struct symqg *)index;
    const bool building = s->n == 0;
    int rc = OK;

    *done = 0;
    if (rows.n == 0)
        return OK;
    const bool alone = building || !symqg_has_space(s, rows.n);
    if (alone)
        pthread_rwlock_wrlock(&s->lock);
    if (building)
        rc = make_quantizer(s, rows);
    if (rc == OK)
        rc = symqg_reserve(s, ids, rows.n);
    if (rc == OK && building)
        rc = build(s, rows, ids, done);
    if (alone)
        pthread_rwlock_unlock(&s->lock);
    return rc == OK && !building ? add(s, rows, ids, done) : rc;
}
