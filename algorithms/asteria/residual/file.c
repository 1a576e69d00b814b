/* file.c - LRSQ in a snapshot: one section with a head and the arrays. */
#include <math.h>

#include "algorithms/asteria/residual/internal.h"
#include "algorithms/common/durable/store_file.h"
#include "algorithms/common/rotation/axes.h"
#include "src/core/mem.h"

struct section {
    uint64_t in_dim, rank, n_bytes, n_nibbles, pca;
    float alpha, beta;
};
enum { DIM_MAX = 1 << 24 };

void asteria_lrsq_write(const struct asteria_lrsq *l, struct store_writer *w, char suffix)
{
    const size_t width = lrsq_width(l);
    const struct section head = { .in_dim = l->in_dim,
                                  .rank = l->rank,
                                  .n_bytes = l->n_bytes,
                                  .n_nibbles = l->n_nibbles,
                                  .pca = !l->axis,
                                  .alpha = l->alpha,
                                  .beta = l->beta };
    store_section(w, store_tag("lrsq", suffix).text);
    store_write(w, &head, sizeof head);
    store_write(w, l->centre, l->in_dim * sizeof *l->centre);
    store_write(w, l->scale, width * sizeof *l->scale);
    store_write(w, l->zero, width * sizeof *l->zero);
    if (l->axis)
        store_write(w, l->axis, width * sizeof *l->axis);
    else
        store_write(w, l->rows, width * l->in_dim * sizeof *l->rows);
}

static bool is_shape(const struct section *s)
{
    return s->in_dim >= 1 && s->in_dim <= DIM_MAX && s->n_bytes <= s->in_dim + 7 &&
           s->n_nibbles <= s->in_dim + 15 && s->n_bytes % 8 == 0 && s->n_nibbles % 16 == 0 &&
           s->rank <= s->in_dim && s->rank <= s->n_bytes + s->n_nibbles && s->pca <= 1 &&
           isfinite(s->alpha) && isfinite(s->beta);
}

/* Each coordinate of z is used at most once; unused ones have scale and zero 0. `seen`:
   in_dim zeros. */
static bool are_axes(const struct asteria_lrsq *l, unsigned char *seen)
{
    size_t rank = 0;
    for (size_t i = 0; i < lrsq_width(l); i++) {
        if (!(l->scale[i] >= 0) || (l->scale[i] == 0 && l->zero[i] != 0))
            return false;
        if (!(l->scale[i] > 0))
            continue;
        rank++;
        if (l->axis && (l->axis[i] >= l->in_dim || seen[l->axis[i]]++))
            return false;
        for (size_t j = 0; j < l->in_dim && !l->axis; j++)
            if (!(fabsf(l->rows[i * l->in_dim + j]) < 2))
                return false;
    }
    return rank == l->rank;
}

static const char *take(void *to, const char *from, size_t bytes)
{
    memcpy(to, from, bytes);
    return from + bytes;
}

static int finish_reading(struct asteria_lrsq *l, const struct index_env *env,
                          const struct store_reader *r)
{
    const size_t each = l->axis ? 1 : sizeof *l->rows * (l->rank ? l->rank : 1);
    void *scratch = mem_zalloc(env->mem, l->in_dim * each);
    if (!scratch)
        return fail(env->error, ERR_NO_MEMORY, "asteria: reading LRSQ: out of memory");
    const size_t width = lrsq_width(l);
    bool good = index_all_finite(l->centre, l->in_dim) && index_all_finite(l->scale, width) &&
                index_all_finite(l->zero, width) && are_axes(l, scratch);
    if (good && l->rows) {
        asteria_lrsq_measure(l, scratch);
        good = l->defect < 1e-3F;
        asteria_lrsq_lay(l);
    }
    mem_free(env->mem, scratch);
    return good ? OK : store_corrupt(r, "LRSQ's axes and scales are invalid");
}

int asteria_lrsq_read(struct asteria_lrsq **to, const struct index_env *env,
                      const struct store_reader *r, char suffix)
{
    const void *bytes;
    size_t n_bytes;
    struct section s;
    *to = NULL;
    int rc = store_need(r, store_tag("lrsq", suffix).text, SIZE_MAX, &bytes, &n_bytes);
    if (rc != OK)
        return rc;
    if (n_bytes < sizeof s)
        return store_corrupt(r, "LRSQ's section is too short");
    const char *at = take(&s, bytes, sizeof s);
    if (!is_shape(&s))
        return store_corrupt(r, "LRSQ's shape is invalid");
    const uint64_t width = s.n_bytes + s.n_nibbles;
    const uint64_t floats = s.in_dim + 2 * width + width * (s.pca ? s.in_dim : 1);
    if (n_bytes != sizeof s + floats * sizeof(float))
        return store_corrupt(r, "LRSQ's section is not of its shape's length");
    const struct asteria_lrsq shape = { .in_dim = s.in_dim,
                                        .rank = s.rank,
                                        .n_bytes = s.n_bytes,
                                        .n_nibbles = s.n_nibbles,
                                        .alpha = s.alpha,
                                        .beta = s.beta };
    struct asteria_lrsq *l;
    rc = asteria_lrsq_allocate(&l, env, &shape, s.pca);
    if (rc != OK)
        return rc;
    at = take(l->centre, at, l->in_dim * sizeof *l->centre);
    at = take(l->scale, at, width * sizeof *l->scale);
    at = take(l->zero, at, width * sizeof *l->zero);
    (void)take(l->axis ? (void *)l->axis : l->rows, at,
               width * (s.pca ? s.in_dim : 1) * sizeof(float));
    rc = finish_reading(l, env, r);
    if (rc == OK)
        *to = l;
    else
        asteria_lrsq_destroy(env, l);
    return rc;
}
