/* bor_batch.c - what learned rotations and learned vantages share in training: batches, their
 * negatives, schedules. */
#include "algorithms/asteria/rotation/bor.h"

#include "src/core/error.h"

int asteria_bor_batch_init(struct asteria_bor_batch *b, const struct index_env *env,
                           const float *rows, size_t n_rows, size_t n, uint64_t neighbours_seed)
{
    b->memory.mem = env->mem;
    b->n = n;
    b->rows = mem_group_array(&b->memory, 2 * n, sizeof *b->rows);
    b->anchors = mem_group_array(&b->memory, n, sizeof *b->anchors);
    if (b->memory.failed)
        return fail(env->error, ERR_NO_MEMORY,
                    "asteria: train: out of memory for batches of %zu rows", n);
    return asteria_bor_neighbours_find(&b->near, env, rows, n_rows, neighbours_seed);
}

void asteria_bor_batch_free(struct asteria_bor_batch *b)
{
    mem_group_free(&b->near.memory);
    mem_group_free(&b->memory);
}

void asteria_bor_batch_draw(struct asteria_bor_batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        b->anchors[i] = (uint32_t)rng_below(&b->rng, b->near.n_anchors);
        b->rows[i] = (uint32_t)b->near.anchors[b->anchors[i]];
        b->rows[b->n + i] = b->near.near[b->anchors[i] * b->near.k + rng_below(&b->rng, b->near.k)];
    }
}

static bool is_near(const struct asteria_bor_neighbours *near, uint32_t anchor, uint32_t row)
{
    for (size_t i = 0; i < near->k; i++)
        if (near->near[anchor * near->k + i] == row)
            return true;
    return near->anchors[anchor] == row;
}

void asteria_bor_batch_negatives(struct asteria_bor_batch *b, struct asteria_bor_loss *l,
                                 size_t hard_of)
{
    for (size_t i = 0; i < b->n; i++) {
        const float *mine = l->t + i * l->m;
        float most = -INFINITY;

        l->negatives[i] = UINT32_MAX;
        for (size_t c = 0; c < (i % 2 ? hard_of : 1); c++) {
            const size_t j = rng_below(&b->rng, b->n);
            float agree = 0;

            if (is_near(&b->near, b->anchors[i], b->rows[j]))
                continue;
            for (size_t k = 0; k < l->m; k++)
                agree += mine[k] * l->t[j * l->m + k];
            if (agree > most) {
                most = agree;
                l->negatives[i] = (uint32_t)j;
            }
        }
    }
}

double asteria_bor_beta(double share)
{
    return pow(8, share);
}

double asteria_adam_rate(double rate, size_t step, size_t steps)
{
    const double last = 0.05; /* of the rate, at the end */
    const double done = (double)step / (double)steps, k = (double)(step + 1);
    const double fall = last + (1 - last) * (1 + cos(3.14159265358979 * done)) / 2;

    return rate * fall * sqrt(1 - pow(ADAM_SQUARE, k)) / (1 - pow(ADAM_MEAN, k));
}
