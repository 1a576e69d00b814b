/* lrsq.c - not written yet. */
#include "algorithms/asteria/lrsq.h"

int lrsq_train(struct lrsq **a0, const struct index_env *a1, const struct lrsq_options *a2,
               const float *z, size_t n, size_t in_dim)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)z;
    (void)n;
    (void)in_dim;
    return ERR_UNSUPPORTED;
}

void lrsq_destroy(const struct index_env *a0, struct lrsq *a1)
{
    (void)a0;
    (void)a1;
}

size_t lrsq_bytes(const struct lrsq *a0)
{
    (void)a0;
    return 0;
}

void lrsq_put(const struct lrsq *a0, const float *z, void *code)
{
    (void)a0;
    (void)z;
    (void)code;
}

void lrsq_get(const struct lrsq *a0, const void *code, float *y)
{
    (void)a0;
    (void)code;
    (void)y;
}

size_t lrsq_query_bytes(const struct lrsq *a0)
{
    (void)a0;
    return 0;
}

void lrsq_query(const struct lrsq *a0, const float *z, void *query)
{
    (void)a0;
    (void)z;
    (void)query;
}

float lrsq_estimate(const struct lrsq *a0, const void *query, const void *code)
{
    (void)a0;
    (void)query;
    (void)code;
    return 0;
}

struct lrsq_distance lrsq_bounds(const struct lrsq *a0, const void *query, const void *code)
{
    (void)a0;
    (void)query;
    (void)code;
    return (struct lrsq_distance){ 0 };
}

struct lrsq_distance lrsq_between(const struct lrsq *a0, const void *code_a, const void *code_b)
{
    (void)a0;
    (void)code_a;
    (void)code_b;
    return (struct lrsq_distance){ 0 };
}

int lrsq_check(const struct lrsq *a0, const float *z, const void *code, struct error *a3)
{
    (void)a0;
    (void)z;
    (void)code;
    (void)a3;
    return ERR_UNSUPPORTED;
}

void lrsq_write(const struct lrsq *a0, struct store_writer *a1, char suffix)
{
    (void)a0;
    (void)a1;
    (void)suffix;
}

int lrsq_read(struct lrsq **a0, const struct index_env *a1, const struct store_reader *a2,
              char suffix)
{
    (void)a0;
    (void)a1;
    (void)a2;
    (void)suffix;
    return ERR_UNSUPPORTED;
}
