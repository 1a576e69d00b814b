/* bucket.c - buckets: memory, bounds, adding and removing rows; all buckets of a model, by address;
 * compaction in place, by removals, and by rewriting, in maintain().
 */
#include "algorithms/asteria/buckets/bucket.h"

#include <math.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/common/rotation/rotation.h"
#include "kernels/kernels.h"
#include "src/core/idmap.h"
#include "src/core/mem.h"

enum { BLOCK = QUANTIZER_BLOCK };
/* A bucket of fewer rows does not need a better centre. */
enum { DUE_ROWS = 16 };
/* Rounding error of a sum of m products of floats, for rows of unit length up to rounding. */
static const float COSINE_SLACK = 2e-6F;
/* Relative and absolute error of a distance; the latter because distances of a few float steps
   cannot be distinguished from zero. */
static const float BALL_SHARE = 4e-6F, BALL_SLACK = 1e-6F;

/* ------------------------------------------------------------------------------ memory */

/* Resets the bounds to those of no row: an empty box, no angles. */
static void unbound(struct asteria_bucket *b, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        b->low[i] = INFINITY;
        b->high[i] = -INFINITY;
    }
    b->angle_min = b->near = INFINITY;
    b->angle_max = b->far = 0;
    b->error = b->rest = 0;
}

bool asteria_bucket_begin(struct asteria_bucket *b, const struct asteria_model *m, struct mem *mem)
{
    b->centre = mem_zalloc(mem, bucket_floats(m) * sizeof *b->centre);
    if (!b->centre)
        return false;
    b->low = b->centre + m->dim + m->quantizer->work_dim;
    b->high = b->low + m->m;
    unbound(b, m->m);
    return true;
}

static void free_positions(struct asteria_bucket *b, struct mem *mem)
{
    mem_free(mem, b->slots);
    mem_free(mem, b->words);
    mem_free(mem, b->alive);
    mem_free(mem, b->blocks);
    b->slots = NULL;
    b->words = b->alive = NULL;
    b->blocks = NULL;
    b->capacity = 0;
}

void asteria_bucket_free(struct asteria_bucket *b, struct mem *mem)
{
    free_positions(b, mem);
    mem_free(mem, b->centre);
}

bool asteria_bucket_grow(struct asteria_bucket *b, const struct asteria_model *m, struct mem *mem,
                         size_t n)
{
    const size_t block = m->quantizer->block_bytes, had = b->capacity / BLOCK;
    size_t need = n;

    if (n <= b->capacity)
        return true;
    /* Grows by at least an eighth, so that adding single rows has constant amortised cost. */
    if (need < b->capacity + b->capacity / 8)
        need = b->capacity + b->capacity / 8;
    need = (need + BLOCK - 1) / BLOCK * BLOCK;
    if (!mem_fit(mem, &b->slots, need, sizeof *b->slots) ||
        !mem_fit(mem, &b->words, need, sizeof *b->words) ||
        !mem_fit(mem, &b->alive, need / BLOCK, sizeof *b->alive) ||
        !mem_fit(mem, &b->blocks, need / BLOCK, block))
        return false;
    memset(b->alive + had, 0, (need / BLOCK - had) * sizeof *b->alive);
    memset(b->blocks + had * block, 0, (need / BLOCK - had) * block);
    b->capacity = (uint32_t)need;
    return true;
}

/* ------------------------------------------------------------------------------ bounds */

struct asteria_angles asteria_bucket_angles(float cosine)
{
    const float most = cosine + COSINE_SLACK, least = cosine - COSINE_SLACK;

    return (struct asteria_angles){ acosf(most < 1 ? most : 1), acosf(least > -1 ? least : -1) };
}

float asteria_bucket_cosine(const struct asteria_generation *g, const struct asteria_bucket *b,
                            const float *p)
{
    const struct asteria_ecc *e = &g->model->ecc;

    return (asteria_ecc_correlation(e, b->codeword, p) +
            asteria_ecc_correlation(e, b->codeword, g->shift)) /
           sqrtf((float)g->model->m);
}

/* The box and the angles. */
static void widen(const struct asteria_generation *g, struct asteria_bucket *b, const float *p)
{
    const struct asteria_angles angles = asteria_bucket_angles(asteria_bucket_cosine(g, b, p));

    for (size_t i = 0; i < g->model->m; i++) {
        b->low[i] = fminf(b->low[i], p[i]);
        b->high[i] = fmaxf(b->high[i], p[i]);
    }
    b->angle_min = fminf(b->angle_min, angles.min);
    b->angle_max = fmaxf(b->angle_max, angles.max);
}

static void widen_ball(struct asteria_bucket *b, const struct index_env *env, const float *unit)
{
    const float root = sqrtf(env->kernels->l2sq_f32(unit, b->centre, env->dim));
    const float least = root * (1 - BALL_SHARE) - BALL_SLACK;

    b->near = fminf(b->near, least > 0 ? least : 0);
    b->far = fmaxf(b->far, root * (1 + BALL_SHARE) + BALL_SLACK);
}

/* ------------------------------------------------------------------------ adding, removing */

static void add_to_mean(float *mean, const float_anywhere *unit, size_t dim, float share)
{
    for (size_t i = 0; i < dim; i++)
        mean[i] += share * unit[i];
}

void asteria_bucket_centre(struct asteria_generation *g, const struct index_env *env,
                           uint32_t bucket, const float_anywhere *units, const uint64_t *order,
                           size_t n)
{
    struct asteria_bucket *b = &g->buckets[bucket];
    const size_t dim = g->model->dim;

    memset(b->centre, 0, dim * sizeof *b->centre);
    for (size_t i = 0; i < n; i++)
        add_to_mean(b->centre, units + (uint32_t)order[i] * dim, dim, 1 / (float)n);
    (void)asteria_model_scanned(g->model, env->kernels, b->centre, PCA_CODE_CENTRE,
                                b->centre + dim);
    memcpy(g->centres + (size_t)bucket * dim, b->centre, dim * sizeof *b->centre);
    g->centres_version++;
    b->centred_n = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Stores the code relative to the centre and widens the ball: what a new centre changes. */
static void put_code(const struct asteria_model *m, const struct index_env *env,
                     struct asteria_bucket *b, const float *unit, uint32_t position)
{
    _Alignas(64) float work[ROTATION_DIM_MAX];
    unsigned char *block = b->blocks + position / BLOCK * m->quantizer->block_bytes;

    b->rest = fmaxf(b->rest, asteria_model_scanned(m, env->kernels, unit, PCA_CODE_ROW, work));
    b->error = fmaxf(
        b->error, quantizer_put(m->quantizer, work, b->centre + m->dim, block, position % BLOCK));
    widen_ball(b, env, unit);
}

static void put_place(struct asteria_bucket *b, uint32_t position, uint32_t slot, uint64_t word)
{
    b->slots[position] = slot;
    b->words[position] = word;
    b->alive[position / 64] |= 1ULL << position % 64;
}

uint32_t asteria_bucket_put(struct asteria_generation *g, const struct index_env *env,
                            uint32_t bucket, const struct asteria_encoding *row, uint32_t slot)
{
    struct asteria_bucket *b = &g->buckets[bucket];
    const struct asteria_model *m = g->model;
    const uint32_t position = b->n;

    if (b->live == 0)
        unbound(b, m->m); /* dead rows need no bounds */
    if (b->centred_n == 0)
        asteria_bucket_centre(g, env, bucket, row->unit, (const uint64_t[]){ 0 }, 1);
    widen(g, b, row->p);
    put_code(m, env, b, row->unit, position);
    put_place(b, position, slot, row->word);
    asteria_lrsq_put(m->lrsq, row->z, segmented_at(&g->codes, slot));
    b->n++;
    b->live++;
    return position;
}

void asteria_bucket_remove(struct asteria_generation *g, uint32_t bucket, uint32_t position)
{
    struct asteria_bucket *b = &g->buckets[bucket];

    b->alive[position / 64] &= ~(1ULL << position % 64);
    b->live--;
    g->live--;
}

bool asteria_bucket_is_due(const struct asteria_bucket *b)
{
    return b->n >= 2 * (uint64_t)b->centred_n && b->n >= DUE_ROWS;
}

/* ------------------------------------------------------------------------------ generations */

static int no_memory(const struct index_env *env)
{
    return fail(env->error, ERR_NO_MEMORY, "asteria: out of memory for buckets");
}

int asteria_generation_create(struct asteria_generation **out, const struct index_env *env,
                              struct asteria_model *model)
{
    struct asteria_generation *g = mem_zalloc(env->mem, sizeof *g);

    if (!g) {
        asteria_model_destroy(env, model);
        return no_memory(env);
    }
    g->model = model;
    segmented_init(&g->codes, env->mem, model->lrsq->code_bytes);
    g->shift = mem_array(env->mem, model->m, sizeof *g->shift);
    idmap_init(&g->of_address, env->mem);
    if (!g->shift) {
        asteria_generation_destroy(env, g);
        return no_memory(env);
    }
    asteria_model_hash(model, env->kernels, model->rotation->shift, g->shift);
    *out = g;
    return OK;
}

void asteria_generation_destroy(const struct index_env *env, struct asteria_generation *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++)
        asteria_bucket_free(&g->buckets[i], env->mem);
    mem_free(env->mem, g->buckets);
    mem_free(env->mem, g->shift);
    idmap_free(&g->of_address);
    segmented_free(&g->codes);
    mem_free(env->mem, g->centres);
    centroid_codes_free(&g->coded, env->mem);
    asteria_bec_destroy(g->bec);
    asteria_model_destroy(env, g->model);
    mem_free(env->mem, g);
}

uint32_t asteria_generation_find(const struct asteria_generation *g, uint32_t address)
{
    uint64_t bucket;

    return idmap_get(&g->of_address, address, &bucket) ? (uint32_t)bucket : UINT32_MAX;
}

static int make_bucket(struct asteria_generation *g, const struct index_env *env, uint32_t address,
                       uint32_t *bucket)
{
    const uint32_t at = (uint32_t)g->n;
    struct asteria_bucket made = { .address = address,
                                   .codeword = asteria_ecc_codeword(&g->model->ecc, address) };

    if (!mem_grow(env->mem, &g->buckets, &g->capacity, g->n + 1, sizeof *g->buckets) ||
        !mem_grow(env->mem, &g->centres, &g->centres_capacity, g->n + 1,
                  env->dim * sizeof *g->centres) ||
        !asteria_bucket_begin(&made, g->model, env->mem))
        return no_memory(env);
    if (!idmap_put(&g->of_address, address, at)) {
        asteria_bucket_free(&made, env->mem);
        return no_memory(env);
    }
    g->buckets[g->n++] = made;
    memset(g->centres + at * env->dim, 0, env->dim * sizeof *g->centres);
    g->centres_version++;
    *bucket = at;
    return OK;
}

int asteria_generation_reserve(struct asteria_generation *g, const struct index_env *env,
                               uint32_t address, size_t n, size_t n_slots, uint32_t *bucket)
{
    int rc = OK;

    if (n_slots > g->codes.capacity && !segmented_grow(&g->codes, n_slots))
        return no_memory(env);
    *bucket = asteria_generation_find(g, address);
    if (*bucket == UINT32_MAX)
        rc = make_bucket(g, env, address, bucket);
    if (rc == OK &&
        !asteria_bucket_grow(&g->buckets[*bucket], g->model, env->mem, g->buckets[*bucket].n + n))
        rc = no_memory(env);
    return rc;
}

uint64_t asteria_generation_bytes(const struct asteria_generation *g, uint64_t *codes)
{
    uint64_t bytes = sizeof *g + g->capacity * sizeof *g->buckets + g->model->m * sizeof *g->shift +
                     g->centres_capacity * g->model->dim * sizeof *g->centres +
                     idmap_bytes(&g->of_address) + centroid_codes_bytes(&g->coded) +
                     asteria_model_bytes(g->model) + (g->bec ? asteria_bec_bytes(g->bec) : 0);

    *codes += segmented_bytes(&g->codes);
    for (size_t i = 0; i < g->n; i++) {
        const struct asteria_bucket *b = &g->buckets[i];

        bytes += b->capacity * (sizeof *b->slots + sizeof *b->words) +
                 b->capacity / BLOCK * sizeof *b->alive +
                 bucket_floats(g->model) * sizeof *b->centre;
        *codes += b->capacity / BLOCK * g->model->quantizer->block_bytes;
    }
    return bytes;
}

/* ------------------------------------------------------------------------------- compaction */

enum { DEAD_SHARE = 3 }; /* a bucket is compacted when 1/3 of it is dead */

void asteria_release_dead(struct asteria *a, unsigned generation, uint32_t bucket)
{
    const struct asteria_bucket *b = &a->generations[generation]->buckets[bucket];

    for (uint32_t i = 0; i < b->n; i++) {
        const uint32_t slot = b->slots[i];
        struct asteria_place *place = &a->places[slot];

        /* A slot that moved to the other generation no longer belongs to this bucket. */
        if (!bucket_is_alive(b, i) && place->generation == generation && place->bucket == bucket &&
            place->position == i) {
            place->bucket = UINT32_MAX;
            asteria_slot_left(a, slot);
        }
    }
}

/* Moves live rows to the front in their order. Bounds stay valid but loose; codes stay relative to
   the same centre. */
static void squeeze(struct asteria *a, unsigned generation, uint32_t bucket)
{
    const struct asteria_generation *g = a->generations[generation];
    const struct quantizer *q = g->model->quantizer;
    struct asteria_bucket *b = &g->buckets[bucket];
    uint32_t to = 0;

    asteria_release_dead(a, generation, bucket);
    for (uint32_t i = 0; i < b->n; i++) {
        if (!bucket_is_alive(b, i))
            continue;
        if (to < i) {
            quantizer_copy(q, b->blocks + i / QUANTIZER_BLOCK * q->block_bytes, i % QUANTIZER_BLOCK,
                           b->blocks + to / QUANTIZER_BLOCK * q->block_bytes, to % QUANTIZER_BLOCK);
            b->slots[to] = b->slots[i];
            b->words[to] = b->words[i];
            a->places[b->slots[to]].position = to & 0x7fffffffU;
        }
        to++;
    }
    memset(b->alive, 0, (b->n + 63) / 64 * sizeof *b->alive);
    for (uint32_t i = 0; i < to; i++)
        b->alive[i / 64] |= 1ULL << i % 64;
    b->gone += b->n - to;
    b->n = to;
}

void asteria_compact_bucket(struct asteria *a, unsigned generation, uint32_t bucket)
{
    struct asteria_bucket *b = &a->generations[generation]->buckets[bucket];

    if ((uint64_t)(b->n - b->live) * DEAD_SHARE <= b->n)
        return;
    squeeze(a, generation, bucket);
    if (b->n == 0)
        free_positions(b, a->base.env.mem);
}

/* ------------------------------------------------------------------------------ rewriting */

struct rewrite {
    struct asteria *a;
    struct asteria_generation *g;
    struct asteria_bucket *old, made;
    float *unit;  /* dim, for u8 rows */
    float *z, *p; /* if tight */
    bool tight;   /* box and angles are recomputed */
    struct mem_group memory;
    /* The rows read: the n live ones at positions `from` to `end` - 1 of the old bucket. */
    uint32_t from, end;
    size_t n;
    uint32_t positions[FETCH_MOST], slots[FETCH_MOST];
    const void *rows[FETCH_MOST];
};

/* Reads as many rows as fit at a time. A bucket that fits is read once for both passes. */
static int each_row(struct rewrite *w, void (*take)(struct rewrite *, uint32_t, const float *))
{
    const struct asteria_bucket *old = w->old;
    int rc = OK;

    for (uint32_t from = 0; rc == OK && from < old->n; from = w->end) {
        if (w->n == 0 || w->from != from) {
            w->n = 0;
            w->from = from;
            for (w->end = from; w->end < old->n && w->n < FETCH_MOST; w->end++)
                if (bucket_is_alive(old, w->end)) {
                    w->positions[w->n] = w->end;
                    w->slots[w->n++] = old->slots[w->end];
                }
            rc = asteria_rows_get_many(w->a->rows, w->slots, w->n, w->rows);
        }
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

static void copy_row(struct rewrite *w, uint32_t position, const float *unit)
{
    const struct index_env *env = &w->a->base.env;
    const struct asteria_model *m = w->g->model;
    struct asteria_bucket *b = &w->made;
    const uint64_t word = w->old->words[position];

    if (w->tight) {
        asteria_model_project(m, env->kernels, unit, w->z, w->p);
        widen(w->g, b, w->p);
    }
    put_code(m, env, b, unit, b->n);
    put_place(b, b->n, w->old->slots[position], word);
    b->n++;
    b->live++;
}

/* The new bucket takes the old one's place. */
static void swap_in(struct rewrite *w, uint32_t bucket)
{
    struct asteria *a = w->a;
    const size_t m = w->g->model->m, dim = w->g->model->dim;
    struct asteria_bucket *b = &w->made;

    if (!w->tight) { /* without removals box and angles are already tight */
        memcpy(b->low, w->old->low, m * sizeof *b->low);
        memcpy(b->high, w->old->high, m * sizeof *b->high);
        b->angle_min = w->old->angle_min;
        b->angle_max = w->old->angle_max;
    }
    asteria_release_dead(a, w->g == a->generations[1], bucket);
    for (uint32_t i = 0; i < b->n; i++)
        a->places[b->slots[i]].position = i & 0x7fffffffU;
    asteria_bucket_free(w->old, a->base.env.mem);
    *w->old = *b;
    memcpy(w->g->centres + bucket * dim, b->centre, dim * sizeof *b->centre);
    w->g->centres_version++;
}

int asteria_bucket_rewrite(struct asteria *a, struct asteria_generation *g, uint32_t bucket)
{
    struct asteria_bucket *old = &g->buckets[bucket];
    const struct asteria_model *m = g->model;
    const struct index_env *env = &a->base.env;
    struct rewrite w = { a,
                         g,
                         old,
                         { .address = old->address, .codeword = old->codeword },
                         .tight = old->live < old->n || old->gone > 0,
                         .memory.mem = env->mem };

    w.unit = mem_group_array(&w.memory, env->dim, sizeof *w.unit);
    w.z = mem_group_array(&w.memory, m->rotation->out_dim, sizeof *w.z);
    w.p = mem_group_array(&w.memory, m->m, sizeof *w.p);
    const bool fits = !w.memory.failed && asteria_bucket_begin(&w.made, m, env->mem) &&
                      asteria_bucket_grow(&w.made, m, env->mem, old->live);
    int rc =
        fits ? each_row(&w, take_to_mean)
             : fail(env->error, ERR_NO_MEMORY,
                    "asteria: out of memory, cannot write a bucket of %u rows again", old->live);
    if (rc == OK) {
        (void)asteria_model_scanned(m, env->kernels, w.made.centre, PCA_CODE_CENTRE,
                                    w.made.centre + m->dim);
        w.made.centred_n = old->live;
        rc = each_row(&w, copy_row);
    }
    if (rc == OK)
        swap_in(&w, bucket);
    else
        asteria_bucket_free(&w.made, env->mem);
    mem_group_free(&w.memory);
    return rc;
}
