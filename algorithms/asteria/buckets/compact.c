/* compact.c - compaction of buckets: in place, by removals; by rewriting, in maintain().
 *
 * Removals compact a bucket at once when a third of it is dead (two codes are moved per removal),
 * so that an index without maintenance stays as large as its rows. This reads no row and leaves
 * bounds and centre as they are. Rewriting makes the mean of the live rows the centre, and bounds
 * tight.
 */
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/buckets/bucket.h"
#include "algorithms/asteria/buckets/encode.h"
#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"

enum {
    DEAD_SHARE = 3,    /* a bucket is compacted when 1/3 of it is dead */
    EMPTIED_SHARE = 2, /* empty buckets are vacated when 1/2 of all may be empty */
};

void asteria_release_dead(struct asteria *a, unsigned generation, uint32_t bucket)
{
    const struct asteria_bucket *b = &a->generations[generation]->buckets[bucket];

    for (uint32_t i = 0; i < b->n; i++) {
        const uint32_t slot = b->slots[i];
        const struct asteria_place *place = &a->places[slot];

        /* A slot that moved to the other generation no longer belongs to this bucket. */
        if (!bucket_is_alive(b, i) && asteria_is_tombstone(a, slot, 0) &&
            place->generation == generation && place->bucket == bucket && place->position == i)
            asteria_left_bucket(a, slot);
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
    struct asteria_generation *g = a->generations[generation];
    const struct asteria_bucket *b = &g->buckets[bucket];

    if ((uint64_t)(b->n - b->live) * DEAD_SHARE <= b->n)
        return;
    squeeze(a, generation, bucket);
    if (b->n > 0 || ++g->emptied * EMPTIED_SHARE < g->n)
        return;
    /* Vacates empty buckets together: each time, the next search must recompute the centres' codes
       (generation.centres_version). Buckets that never had a row stay, because their centres come
       from the sample. */
    for (uint32_t i = 0; i < g->n; i++)
        if (g->buckets[i].n == 0 && g->buckets[i].gone > 0)
            asteria_generation_vacate(g, &a->base.env, i);
    g->emptied = 0;
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

/* Reads as many rows as fit. A bucket that fits is read once for both passes. */
static int read_rows(struct rewrite *w, uint32_t from)
{
    const struct asteria_bucket *old = w->old;

    if (w->n > 0 && w->from == from)
        return OK;
    w->n = 0;
    w->from = from;
    for (w->end = from; w->end < old->n && w->n < FETCH_MOST; w->end++)
        if (bucket_is_alive(old, w->end)) {
            w->positions[w->n] = w->end;
            w->slots[w->n++] = old->slots[w->end];
        }
    return asteria_rows_get_many(w->a->rows, w->slots, w->n, w->rows);
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
    asteria_bucket_add_to_mean(w->made.centre, unit, w->g->model->dim, 1 / (float)w->old->live);
}

static void copy_row(struct rewrite *w, uint32_t position, const float *unit)
{
    const struct index_env *env = &w->a->base.env;
    const struct asteria_model *m = w->g->model;
    struct asteria_bucket *b = &w->made;
    const uint64_t word = w->old->words[position];

    if (w->tight) {
        asteria_rotation_apply(m->rotation, env->kernels, unit, w->z);
        asteria_model_hash(m, env->kernels, w->z, w->p);
        asteria_bucket_widen_box(b, m->m, w->p);
        asteria_bucket_widen_angles(w->g, b, w->p);
    }
    asteria_bucket_put_code(m, env, b, unit, b->n);
    asteria_bucket_put_place(b, b->n, w->old->slots[position], word);
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
    int rc = asteria_free_reserve(a, 0);

    w.unit = mem_group_array(&w.memory, env->dim, sizeof *w.unit);
    w.z = mem_group_array(&w.memory, m->rotation->out_dim, sizeof *w.z);
    w.p = mem_group_array(&w.memory, m->m, sizeof *w.p);
    if (rc == OK && (w.memory.failed || !asteria_bucket_begin(&w.made, m, env->mem) ||
                     !asteria_bucket_grow(&w.made, m, env->mem, old->live)))
        rc = fail(env->error, ERR_NO_MEMORY,
                  "asteria: out of memory, cannot write a bucket of %u rows again", old->live);
    if (rc == OK)
        rc = each_row(&w, take_to_mean);
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
    if (rc == OK && old->n == 0)
        asteria_generation_vacate(g, env, bucket);
    mem_group_free(&w.memory);
    return rc;
}
