/* bucket.c - the rows of one address: added, removed, written anew. */
#include "algorithms/asteria/bucket.h"

#include <math.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/upkeep.h"
#include "algorithms/common/rotation.h"
#include "kernels/kernels.h"
#include "src/core/mem.h"

enum { BLOCK = QUANTIZER_BLOCK };
/* Fewer rows are not worth a better centre. */
enum { DUE_ROWS = 16 };
/* What sums of m products of floats, of rows that are unit up to rounding, may be off. */
static const float COSINE_SLACK = 2e-6F;
/* A distance's share, and a little: those of floats a few steps apart are not told from zero. */
static const float BALL_SHARE = 4e-6F, BALL_SLACK = 1e-6F;

/* ------------------------------------------------------------------------------ memory */

static size_t centre_floats(const struct model *m)
{
    return m->dim + m->quantizer->work_dim;
}

/* The centre and the box are one block, for they live as long. */
bool bucket_begin(struct bucket *b, const struct model *m, struct mem *mem)
{
    b->centre = mem_zalloc(mem, (centre_floats(m) + 2 * m->m) * sizeof *b->centre);
    if (!b->centre)
        return false;
    b->low = b->centre + centre_floats(m);
    b->high = b->low + m->m;
    bucket_unbound(b, m->m);
    return true;
}

void bucket_unbound(struct bucket *b, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        b->low[i] = INFINITY;
        b->high[i] = -INFINITY;
    }
    b->agree_mask = (1ULL << m) - 1;
    b->agree_value = 0;
    b->angle_min = b->near = INFINITY;
    b->angle_max = b->far = 0;
    b->error = b->rest = 0;
}

void bucket_free(struct bucket *b, struct mem *mem)
{
    mem_free(mem, b->slots);
    mem_free(mem, b->words);
    mem_free(mem, b->alive);
    mem_free(mem, b->blocks);
    mem_free(mem, b->centre);
}

/* false: unchanged. */
static bool resize(struct mem *mem, void *array, size_t bytes)
{
    void *old, *made;

    memcpy(&old, array, sizeof old);
    made = mem_resize(mem, old, bytes);
    if (made)
        memcpy(array, &made, sizeof made);
    return made != NULL;
}

bool bucket_grow(struct bucket *b, const struct model *m, struct mem *mem, size_t n)
{
    const size_t block = m->quantizer->block_bytes, had = b->capacity / BLOCK;
    size_t need = n;

    if (n <= b->capacity)
        return true;
    /* By an eighth at least, so that growing by one row at a time costs each a bounded share. */
    if (need < b->capacity + b->capacity / 8)
        need = b->capacity + b->capacity / 8;
    need = (need + BLOCK - 1) / BLOCK * BLOCK;
    if (!resize(mem, &b->slots, need * sizeof *b->slots) ||
        !resize(mem, &b->words, need * sizeof *b->words) ||
        !resize(mem, &b->alive, need / BLOCK * sizeof *b->alive) ||
        !resize(mem, &b->blocks, need / BLOCK * block))
        return false;
    memset(b->alive + had, 0, (need / BLOCK - had) * sizeof *b->alive);
    memset(b->blocks + had * block, 0, (need / BLOCK - had) * block);
    b->capacity = (uint32_t)need;
    return true;
}

uint64_t bucket_bytes(const struct bucket *b, const struct model *m)
{
    const uint64_t row = sizeof *b->slots + sizeof *b->words;

    return b->capacity * row +
           b->capacity / BLOCK * (sizeof *b->alive + m->quantizer->block_bytes) +
           (b->centre ? (centre_floats(m) + 2 * m->m) * sizeof *b->centre : 0);
}

/* ------------------------------------------------------------------------------ bounds */

struct angles bucket_angles(float cosine)
{
    const float most = cosine + COSINE_SLACK, least = cosine - COSINE_SLACK;

    return (struct angles){ acosf(most < 1 ? most : 1), acosf(least > -1 ? least : -1) };
}

float bucket_cosine(const struct generation *g, const struct bucket *b, const float *p)
{
    const struct ecc *e = g->model->ecc;

    return (ecc_correlation(e, b->codeword, p) + ecc_correlation(e, b->codeword, g->shift)) /
           sqrtf((float)g->model->m);
}

static void widen_box(struct bucket *b, size_t m, const float *p, uint64_t word)
{
    for (size_t i = 0; i < m; i++) {
        b->low[i] = fminf(b->low[i], p[i]);
        b->high[i] = fmaxf(b->high[i], p[i]);
    }
    if (b->live == 0)
        b->agree_value = word & b->agree_mask;
    b->agree_mask &= ~(b->agree_value ^ word);
    b->agree_value &= b->agree_mask;
}

static void widen_angles(const struct generation *g, struct bucket *b, const float *p)
{
    const struct angles angles = bucket_angles(bucket_cosine(g, b, p));

    b->angle_min = fminf(b->angle_min, angles.min);
    b->angle_max = fmaxf(b->angle_max, angles.max);
}

static void widen_ball(struct bucket *b, const struct index_env *env, const float *unit)
{
    const float root = sqrtf(env->kernels->l2sq_f32(unit, b->centre, env->dim));
    const float least = root * (1 - BALL_SHARE) - BALL_SLACK;

    b->near = fminf(b->near, least > 0 ? least : 0);
    b->far = fmaxf(b->far, root * (1 + BALL_SHARE) + BALL_SLACK);
}

/* ------------------------------------------------------------------------ adding, removing */

/* b->centre is the mean of n rows: what depends on it is made. */
static void settle_centre(struct generation *g, const struct index_env *env, struct bucket *b,
                          size_t n)
{
    const struct model *m = g->model;
    float *all = g->centres + (size_t)(b - g->buckets) * m->dim;

    (void)model_scanned(m, env->kernels, b->centre, OUTLINE_CENTRE, b->centre + m->dim);
    memcpy(all, b->centre, m->dim * sizeof *all);
    g->centres_version++;
    b->centred_n = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static void add_to_mean(float *mean, const float_anywhere *unit, size_t dim, float share)
{
    for (size_t i = 0; i < dim; i++)
        mean[i] += share * unit[i];
}

void bucket_centre(struct generation *g, const struct index_env *env, uint32_t bucket,
                   const struct encoding *const *rows, size_t n)
{
    struct bucket *b = &g->buckets[bucket];
    const size_t dim = g->model->dim;

    memset(b->centre, 0, dim * sizeof *b->centre);
    for (size_t i = 0; i < n; i++)
        add_to_mean(b->centre, rows[i]->unit, dim, 1 / (float)n);
    settle_centre(g, env, b, n);
}

/* The code relative to the centre, and the ball: what a new centre changes. */
static void put_code(const struct model *m, const struct index_env *env, struct bucket *b,
                     const float *unit, uint32_t position)
{
    _Alignas(64) float work[ROTATION_DIM_MAX];
    unsigned char *block = b->blocks + position / BLOCK * m->quantizer->block_bytes;

    b->rest = fmaxf(b->rest, model_scanned(m, env->kernels, unit, OUTLINE_ROW, work));
    b->error = fmaxf(
        b->error, quantizer_put(m->quantizer, work, b->centre + m->dim, block, position % BLOCK));
    widen_ball(b, env, unit);
}

static void put_place(struct bucket *b, uint32_t position, uint32_t slot, uint64_t word)
{
    b->slots[position] = slot;
    b->words[position] = word;
    b->alive[position / 64] |= 1ULL << position % 64;
}

uint32_t bucket_put(struct generation *g, const struct index_env *env, uint32_t bucket,
                    const struct encoding *row, uint32_t slot)
{
    struct bucket *b = &g->buckets[bucket];
    const struct model *m = g->model;
    const uint32_t position = b->n;

    if (b->live == 0)
        bucket_unbound(b, m->m); /* the dead hold no bound any more */
    if (b->centred_n == 0)
        bucket_centre(g, env, bucket, &row, 1);
    widen_box(b, m->m, row->p, row->word);
    widen_angles(g, b, row->p);
    put_code(m, env, b, row->unit, position);
    put_place(b, position, slot, row->word);
    lrsq_put(m->lrsq, row->z, stable_at(&g->codes, slot));
    b->n++;
    b->live++;
    return position;
}

uint32_t bucket_add(struct generation *g, const struct index_env *env, uint32_t bucket,
                    const struct encoding *row, uint32_t slot)
{
    g->live++;
    return bucket_put(g, env, bucket, row, slot);
}

void bucket_remove(struct generation *g, uint32_t bucket, uint32_t position)
{
    struct bucket *b = &g->buckets[bucket];

    b->alive[position / 64] &= ~(1ULL << position % 64);
    b->live--;
    g->live--;
}

bool bucket_is_due(const struct bucket *b)
{
    return b->n >= 2 * (uint64_t)b->centred_n && b->n >= DUE_ROWS;
}

/* --------------------------------------------------------------------------- writing anew */

struct rewrite {
    struct asteria *a;
    struct generation *g;
    struct bucket *old, made;
    float *unit;  /* dim, for bytes */
    float *z, *p; /* where bounds are to be tight */
    bool tight;
    /* The rows that are there: the n live ones of the old bucket's positions from `from` to before `end`. */
    uint32_t from, end;
    size_t n;
    uint32_t positions[FETCH_MOST], slots[FETCH_MOST];
    const void *rows[FETCH_MOST];
};

/* As many as are read at once. A bucket that has no more is read once and gone through twice. */
static int read_rows(struct rewrite *w, uint32_t from)
{
    const struct bucket *old = w->old;

    if (w->n > 0 && w->from == from)
        return OK;
    w->n = 0;
    w->from = from;
    for (w->end = from; w->end < old->n && w->n < FETCH_MOST; w->end++)
        if (bucket_is_alive(old, w->end)) {
            w->positions[w->n] = w->end;
            w->slots[w->n++] = old->slots[w->end];
        }
    return tier_get_many(w->a->tier, w->slots, w->n, w->rows);
}

static int each_row(struct rewrite *w, void (*take)(struct rewrite *, uint32_t, const float *))
{
    int rc = OK;

    for (uint32_t from = 0; rc == OK && from < w->old->n; from = w->end) {
        rc = read_rows(w, from);
        for (size_t i = 0; rc == OK && i < w->n; i++)
            take(w, w->positions[i], asteria_unit(&w->a->base.env, w->rows[i], w->unit));
    }
    return rc;
}

static void take_to_mean(struct rewrite *w, uint32_t position, const float *unit)
{
    (void)position;
    add_to_mean(w->made.centre, unit, w->g->model->dim, 1 / (float)w->old->live);
}

static int find_mean(struct rewrite *w)
{
    struct bucket *b = &w->made;
    const int rc = each_row(w, take_to_mean);

    (void)model_scanned(w->g->model, w->a->base.env.kernels, b->centre, OUTLINE_CENTRE,
                        b->centre + w->g->model->dim);
    b->centred_n = w->old->live;
    return rc;
}

static void take_over(struct rewrite *w, uint32_t position, const float *unit)
{
    const struct index_env *env = &w->a->base.env;
    const struct model *m = w->g->model;
    struct bucket *b = &w->made;
    const uint64_t word = w->old->words[position];

    if (w->tight) {
        model_turn(m, env->kernels, unit, w->z);
        model_hash(m, env->kernels, w->z, w->p);
        widen_box(b, m->m, w->p, word);
        widen_angles(w->g, b, w->p);
    }
    put_code(m, env, b, unit, b->n);
    put_place(b, b->n, w->old->slots[position], word);
    b->n++;
    b->live++;
}

/* With no dead rows box and angles are as tight as they can be: they are taken over. */
static void keep_bounds(struct rewrite *w)
{
    struct bucket *b = &w->made;
    const size_t m = w->g->model->m;

    memcpy(b->low, w->old->low, m * sizeof *b->low);
    memcpy(b->high, w->old->high, m * sizeof *b->high);
    b->agree_mask = w->old->agree_mask;
    b->agree_value = w->old->agree_value;
    b->angle_min = w->old->angle_min;
    b->angle_max = w->old->angle_max;
}

static void swap_in(struct rewrite *w, uint32_t bucket)
{
    struct asteria *a = w->a;

    upkeep_release_dead(a, w->g == a->generations[1], bucket);
    for (uint32_t i = 0; i < w->made.n; i++)
        a->places[w->made.slots[i]].position = i & 0x7fffffffU;
    bucket_free(w->old, a->base.env.mem);
    *w->old = w->made;
    memcpy(w->g->centres + bucket * w->g->model->dim, w->made.centre,
           w->g->model->dim * sizeof(float));
    w->g->centres_version++;
}

static bool make_room(struct rewrite *w)
{
    const struct index_env *env = &w->a->base.env;
    const struct model *m = w->g->model;

    w->unit = mem_array(env->mem, env->dim, sizeof *w->unit);
    w->z = mem_array(env->mem, m->turn->out_dim, sizeof *w->z);
    w->p = mem_array(env->mem, m->m, sizeof *w->p);
    return w->unit && w->z && w->p && bucket_begin(&w->made, m, env->mem) &&
           bucket_grow(&w->made, m, env->mem, w->old->live);
}

int bucket_rewrite(struct asteria *a, struct generation *g, uint32_t bucket)
{
    struct bucket *old = &g->buckets[bucket];
    struct mem *mem = a->base.env.mem;
    struct rewrite w = { a,
                         g,
                         old,
                         { .address = old->address, .codeword = old->codeword },
                         .tight = old->live < old->n || old->gone > 0 };
    int rc = asteria_free_reserve(a, 0);

    if (rc == OK && !make_room(&w))
        rc = fail(a->base.env.error, ERR_NO_MEMORY,
                  "asteria: out of memory to write a bucket of %u rows anew", old->live);
    if (rc == OK)
        rc = find_mean(&w);
    if (rc == OK)
        rc = each_row(&w, take_over);
    if (rc == OK && !w.tight)
        keep_bounds(&w);
    if (rc == OK)
        swap_in(&w, bucket);
    else
        bucket_free(&w.made, mem);
    if (rc == OK && old->n == 0)
        generation_vacate(g, &a->base.env, bucket);
    mem_free(mem, w.unit);
    mem_free(mem, w.z);
    mem_free(mem, w.p);
    return rc;
}
