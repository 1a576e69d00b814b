/* train.c - training: fits a model and installs it; maintain() moves rows of an older model to it.
 *
 * Re-encoding moves rows from an older generation to the newer one, bucket by bucket, by encoding the
 * stored rows again. A row is in one of the two at any time and keeps its slot, so ids and edges do not
 * change. Buckets of the older generation are dropped from the last to the first; nothing is added to
 * it. Dead rows that are still in the graph come last: they get residual codes of the newer model,
 * which beam searches need, and no bucket.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "algorithms/asteria/buckets/device.h"
#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/rng.h"

/* --------------------------------------------------------------------------------- re-encoding */

/* Rows moved at a time while the lock is held: as many as one read. */
enum { MOVE_ROWS = FETCH_MOST };

struct move {
    struct asteria_batch batch;
    unsigned char *rows; /* MOVE_ROWS */
    uint32_t next;       /* no slot below is a dead row of the older generation */
};

/* Reads the batch's slots. */
static int encode_rows(struct move *m)
{
    struct asteria_batch *b = &m->batch;
    const void *rows[MOVE_ROWS];
    const int rc = asteria_rows_get_many(b->a->rows, b->slots, b->n, rows);

    for (size_t i = 0; rc == OK && i < b->n; i++)
        memcpy(m->rows + i * b->row_bytes, rows[i], b->row_bytes);
    return rc == OK ? asteria_batch_encode(b) : rc;
}

/* At most MOVE_ROWS live rows of a bucket. */
static int move_rows(struct move *m, struct asteria_generation *older, uint32_t bucket)
{
    struct asteria_batch *b = &m->batch;
    struct asteria *a = b->a;
    const struct asteria_bucket *from = &older->buckets[bucket];

    for (uint32_t i = 0; i < from->n && b->n < MOVE_ROWS; i++)
        if (bucket_is_alive(from, i))
            b->slots[b->n++] = from->slots[i];
    int rc = encode_rows(m);
    if (rc == OK)
        rc = asteria_batch_reserve(b, a->n_slots);
    if (rc == OK)
        rc = asteria_bec_reserve(a->generations[a->now]->bec, a->n_slots);
    if (rc != OK)
        return rc;
    for (size_t i = 0; i < b->n; i++)
        asteria_bucket_remove(older, bucket, a->places[b->slots[i]].position);
    asteria_batch_put(b);
    return OK;
}

static int move_dead(struct move *m)
{
    struct asteria_batch *b = &m->batch;
    struct asteria *a = b->a;
    struct asteria_generation *now = a->generations[a->now];

    for (; m->next < a->n_slots && b->n < MOVE_ROWS; m->next++)
        if (asteria_is_dead_in_graph(a, m->next) && a->places[m->next].generation != a->now)
            b->slots[b->n++] = m->next;
    int rc = encode_rows(m);
    if (rc == OK && !segmented_grow(&now->codes, a->n_slots))
        rc = fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory for %zu residual codes",
                  a->n_slots);
    for (size_t i = 0; rc == OK && i < b->n; i++) {
        asteria_lrsq_put(now->model->lrsq, b->encodings[i].z,
                         segmented_at(&now->codes, b->slots[i]));
        a->places[b->slots[i]] =
            (struct asteria_place){ .bucket = UINT32_MAX, .generation = a->now & 1U };
    }
    return rc;
}

/* Moves some rows, or drops the last bucket if it is empty, or moves dead rows and then destroys
   the generation. */
static int move_step(struct move *m, struct asteria_maintenance *u, bool *left)
{
    struct asteria *a = u->a;
    struct asteria_generation *older = a->generations[!a->now];
    const uint32_t last = (uint32_t)older->n - 1;
    int rc = OK;

    m->batch.rows = m->rows;
    m->batch.n = 0;
    if (older->n == 0) {
        rc = move_dead(m);
    } else if (older->buckets[last].live > 0) {
        rc = move_rows(m, older, last);
    } else {
        asteria_release_dead(a, !a->now, last);
        asteria_bucket_free(&older->buckets[last], a->base.env.mem);
        older->n--;
    }
    if (rc != OK)
        return rc;
    u->spent += m->batch.n + 1;
    *left = older->n > 0 || m->next < a->n_slots;
    if (!*left) {
        a->generations[!a->now] = NULL;
        asteria_generation_destroy(&a->base.env, older);
    }
    return OK;
}

int asteria_maintenance_reencode(struct asteria_maintenance *u)
{
    struct asteria *a = u->a;
    struct move m = { .next = 0 };
    bool left = a->generations[!a->now] != NULL;

    if (!left)
        return OK;
    int rc = asteria_batch_begin(&m.batch, a, MOVE_ROWS);
    m.rows = mem_group_array(&m.batch.memory, MOVE_ROWS, m.batch.row_bytes);
    if (rc == OK && !m.rows)
        rc = fail(a->base.env.error, ERR_NO_MEMORY, "asteria: out of memory, cannot move %d rows",
                  MOVE_ROWS);
    while (rc == OK && left && asteria_maintenance_goes_on(u)) {
        pthread_rwlock_wrlock(&a->lock);
        rc = move_step(&m, u, &left);
        pthread_rwlock_unlock(&a->lock);
    }
    mem_group_free(&m.batch.memory);
    u->more |= left;
    return rc;
}

/* Mean rows per bucket that address_bits = 0 aims at. */
static const double ROWS_PER_BUCKET = 200;
/* Sample rows that decide which buckets exist at first. */
enum { FOUNDING_ROWS = 65536, FOUNDED_ROWS = 4 };

/* --------------------------------------------------------------------------- a new model */

/* A model has at most those of its code. */
static unsigned address_bits(const struct asteria *a, size_t rows)
{
    const struct asteria_params *p = &a->params;
    const double bits = round(log2((double)rows / ROWS_PER_BUCKET));

    return p->address_bits > 0 ? (unsigned)p->address_bits : bits < 1 ? 1 : (unsigned)bits;
}

/* Creates buckets for the addresses of at least FOUNDED_ROWS rows of the sample, with the means of
   these as centres, before any row is added. On ERR_NO_MEMORY some buckets exist, which is
   harmless. */
static int found_buckets(struct asteria *a, struct asteria_generation *g, const float *units,
                         size_t n)
{
    const struct index_env *env = &a->base.env;
    const size_t some = n < FOUNDING_ROWS ? n : FOUNDING_ROWS;
    struct mem_group memory = { .mem = env->mem };
    uint32_t *addresses = mem_group_array(&memory, some, sizeof *addresses);
    uint64_t *order = mem_group_array(&memory, some, sizeof *order); /* address, row */
    int rc = memory.failed ? fail(env->error, ERR_NO_MEMORY,
                                  "asteria: train: out of memory for %zu rows", some)
                           : asteria_model_encode(g->model, env, units, some, NULL, addresses);

    for (size_t i = 0; rc == OK && i < some; i++)
        order[i] = (uint64_t)addresses[i] << 32 | i;
    if (rc == OK)
        qsort(order, some, sizeof *order, order_u64);
    for (size_t first = 0, end; rc == OK && first < some; first = end) {
        const uint32_t address = (uint32_t)(order[first] >> 32);
        uint32_t bucket;

        for (end = first + 1; end < some && order[end] >> 32 == address;)
            end++;
        if (end - first < FOUNDED_ROWS)
            continue;
        rc = asteria_generation_reserve(g, env, address, 0, 0, &bucket);
        if (rc == OK)
            asteria_bucket_centre(g, env, bucket, units, order + first, end - first);
    }
    mem_group_free(&memory);
    return rc;
}

/* Fits a new model, and makes its buckets and tree. The caller destroys *made, also on failure. */
static int fit(struct asteria *a, const float *units, size_t n, struct asteria_generation **made)
{
    const struct index_env *env = &a->base.env;
    const struct asteria_generation *before = a->generations[a->now];
    const struct asteria_model *from = before ? before->model : NULL;
    struct asteria_model *model = NULL;
    struct index_env fitted = *env;

    fitted.expected_n = n > a->live ? n : a->live;
    fitted.expected_n = fitted.expected_n > env->expected_n ? fitted.expected_n : env->expected_n;
    struct asteria_trainer trainer = { 0 };
    if (a->device)
        trainer = (struct asteria_trainer){ &a->device->cuda, &a->device->lock };
    int rc = asteria_model_fit(&model, &fitted, &a->params, address_bits(a, fitted.expected_n),
                               units, n, from, ++a->last_version, a->device ? &trainer : NULL);

    if (rc == OK)
        rc = asteria_generation_create(made, env, model);
    if (rc != OK)
        return rc;
    const struct asteria_bec_options options = asteria_bec_options(a, model);
    rc = asteria_bec_create(&(*made)->bec, env, model, &options);
    return rc == OK ? found_buckets(a, *made, units, n) : rc;
}

/* ---------------------------------------------------------------------------- installing */

/* Searches use the newer model at once. */
static void install(struct asteria *a, struct asteria_generation *newer, size_t rows)
{
    struct asteria_generation *before = a->generations[a->now];
    struct asteria_bec *bec = before ? before->bec : NULL;

    pthread_rwlock_wrlock(&a->lock);
    if (before)
        before->bec = NULL;
    a->now = !a->now;
    a->generations[a->now] = newer;
    a->fitted_rows = a->live > 0 ? a->live : rows;
    a->inserted_since = 0;
    pthread_rwlock_unlock(&a->lock);
    asteria_bec_destroy(bec);
}

static int refit(struct asteria *a, const float *units, size_t n)
{
    struct asteria_generation *newer = NULL;
    struct asteria_maintenance all = { .a = a };
    int rc = asteria_maintenance_reencode(&all); /* there are at most two generations */

    if (rc == OK)
        rc = fit(a, units, n, &newer);
    if (rc == OK)
        install(a, newer, n);
    else
        asteria_generation_destroy(&a->base.env, newer);
    return rc;
}

/* ------------------------------------------------------------------------------- samples */

/* Returns a sample of the sample as unit rows of floats in *made. */
static int unit_rows(const struct asteria *a, struct vectors sample, float **made, size_t *n)
{
    const struct index_env *env = &a->base.env;
    const size_t most = (size_t)a->params.train_rows;
    const size_t row_bytes = index_row_bytes(env->element, env->dim);
    struct rng rng = rng_at(env->seed, 0x75);

    *n = sample.n < most ? sample.n : most;
    uint64_t *chosen = mem_array(env->mem, *n, sizeof *chosen);
    *made = mem_array(env->mem, *n * env->dim, sizeof **made);
    if (!chosen || !*made) {
        mem_free(env->mem, chosen);
        return fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for %zu rows", *n);
    }
    rng_sample(&rng, sample.n, *n, chosen);
    for (size_t i = 0; i < *n; i++)
        asteria_unit_copy(env, (const unsigned char *)sample.rows + chosen[i] * row_bytes,
                          *made + i * env->dim);
    mem_free(env->mem, chosen);
    return OK;
}

int asteria_train(struct index *index, struct vectors sample)
{
    struct asteria *a = asteria_of(index);
    float *units = NULL;
    size_t n;
    int rc;

    if (sample.n == 0)
        return fail(index->env.error, ERR_ARGUMENT,
                    "asteria: train: the sample is empty; give at least one row");
    rc = unit_rows(a, sample, &units, &n);
    if (rc == OK)
        rc = refit(a, units, n);
    mem_free(index->env.mem, units);
    return rc;
}

/* ------------------------------------------------------------------------------ refitting */

/* Copies n random live rows as unit rows. */
static int live_rows(struct asteria *a, float *units, size_t n)
{
    const struct index_env *env = &a->base.env;
    struct rng rng = rng_at(env->seed, 0x11fe + a->generations[a->now]->model->fitted.version);
    size_t left = n, there = a->live;
    int rc = OK;

    /* Draws n of the live rows with equal probability (Knuth's algorithm S). */
    for (uint32_t slot = 0; rc == OK && left > 0; slot++) {
        const void *row;

        if (a->ids[slot] == INDEX_NO_ID || rng_below(&rng, there--) >= left)
            continue;
        rc = asteria_rows_get_many(a->rows, &slot, 1, &row);
        if (rc == OK)
            asteria_unit_copy(env, row, units + (n - left--) * env->dim);
    }
    return rc;
}

/* Unless a newer model is due, or if there are too few rows for a sample, *n is 0. */
static int sample_live(struct asteria *a, float **units, size_t *n)
{
    const struct index_env *env = &a->base.env;
    const size_t most = (size_t)a->params.train_rows;
    const double share = a->params.retrain_share;
    int rc = OK;

    *units = NULL;
    *n = a->live < most ? a->live : most;
    if (share <= 0 || a->generations[!a->now] || a->live == 0 ||
        (double)a->inserted_since <= share * (double)a->fitted_rows ||
        *n < a->generations[a->now]->model->m)
        *n = 0;
    if (*n > 0) {
        *units = mem_array(env->mem, *n * env->dim, sizeof **units);
        rc = *units ? live_rows(a, *units, *n)
                    : fail(env->error, ERR_NO_MEMORY, "asteria: train: out of memory for %zu rows",
                           *n);
    }
    return rc;
}

int asteria_maintenance_refit(struct asteria_maintenance *u)
{
    float *units;
    size_t n;
    int rc = sample_live(u->a, &units, &n);

    if (rc == OK && n > 0)
        rc = refit(u->a, units, n);
    mem_free(u->a->base.env.mem, units);
    u->spent += rc == OK ? n : 0;
    return rc;
}
