/* insert.c - rows come in batches: encoded, sorted by address, room made, logged, added.
 *
 * All that can fail comes before the first thing that is seen, so that a batch is in whole or not at all; that includes
 * the log, which is therefore written before the rows are added. Rows get slots in the order of their buckets, so that
 * those of a bucket lie side by side.
 */
#include <stdlib.h>
#include <string.h>

#include "algorithms/asteria/asteria.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

/* Of a batch, at most: rows, and bytes of what is encoded of them, about. */
enum { BATCH_ROWS = 16384, BATCH_LEAST = 64, BATCH_BYTES = 1 << 23 };
/* Buckets added to by a thread at a time. */
enum { GROUP_GRAIN = 8 };

/* Rows of one bucket: order[first .. first + n - 1]. */
struct group {
    uint32_t first, n, bucket;
};

struct batch {
    struct asteria *a;
    struct model *model; /* that the rows were encoded by */
    const unsigned char *rows;
    const uint64_t *ids;
    size_t n, row_bytes;
    float *units, *z, *p;
    struct encoding *encodings;
    const struct encoding **of_bucket; /* by order */
    uint64_t *order;                   /* address << 32 | row, ascending */
    uint32_t *next, *slots;            /* by order; by row */
    struct group *groups;
    size_t n_groups;
};

/* ------------------------------------------------------------------------------ memory */

static struct vectors rows_of(const struct batch *b)
{
    const struct index_env *env = &b->a->base.env;

    return (struct vectors){ b->rows, b->n, env->dim, env->element };
}

static void batch_free(struct batch *b)
{
    struct mem *mem = b->a->base.env.mem;

    mem_free(mem, b->units);
    mem_free(mem, b->z);
    mem_free(mem, b->p);
    mem_free(mem, b->encodings);
    mem_free(mem, b->of_bucket);
    mem_free(mem, b->order);
    mem_free(mem, b->next);
    mem_free(mem, b->slots);
    mem_free(mem, b->groups);
}

static int batch_begin(struct batch *b, struct asteria *a, const struct model *m, size_t most)
{
    struct mem *mem = a->base.env.mem;

    *b = (struct batch){ .a = a,
                         .row_bytes = element_row_bytes(a->base.env.element, a->base.env.dim) };
    b->units = mem_array(mem, most * m->dim, sizeof *b->units);
    b->z = mem_array(mem, most * m->turn->out_dim, sizeof *b->z);
    b->p = mem_array(mem, most * ECC_WORD_MAX, sizeof *b->p); /* whatever a newer model has */
    b->encodings = mem_array(mem, most, sizeof *b->encodings);
    b->of_bucket = mem_array(mem, most, sizeof *b->of_bucket);
    b->order = mem_array(mem, most, sizeof *b->order);
    b->next = mem_array(mem, most, sizeof *b->next);
    b->slots = mem_array(mem, most, sizeof *b->slots);
    b->groups = mem_array(mem, most, sizeof *b->groups);
    if (b->units && b->z && b->p && b->encodings && b->of_bucket && b->order && b->next &&
        b->slots && b->groups)
        return OK;
    batch_free(b);
    return fail(a->base.env.error, ERR_NO_MEMORY, "asteria: insert: out of memory for %zu rows",
                most);
}

static size_t rows_at_once(const struct asteria *a, const struct model *m)
{
    const size_t floats = a->base.env.dim + m->turn->out_dim + m->m;
    const size_t rows = BATCH_BYTES / (floats * sizeof(float));

    return rows > BATCH_ROWS ? BATCH_ROWS : rows < BATCH_LEAST ? BATCH_LEAST : rows;
}

/* --------------------------------------------------------------------------- encoding */

static int ascending(const void *x, const void *y)
{
    const uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

    return (a > b) - (a < b);
}

static void sort_by_address(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        b->order[i] = (uint64_t)b->encodings[i].address << 32 | i;
    qsort(b->order, b->n, sizeof *b->order, ascending);
    b->n_groups = 0;
    for (size_t i = 0; i < b->n; i++) {
        const size_t row = (uint32_t)b->order[i];

        b->of_bucket[i] = &b->encodings[row];
        if (i == 0 || b->order[i] >> 32 != b->order[i - 1] >> 32)
            b->groups[b->n_groups++] = (struct group){ .first = (uint32_t)i };
        b->groups[b->n_groups - 1].n++;
    }
}

static int encode(struct batch *b)
{
    const struct asteria *a = b->a;
    int rc;

    b->model = a->generations[a->now]->model;
    rc = asteria_encode(a, b->model, b->rows, b->n, b->units, b->z, b->p, b->encodings);
    if (rc == OK)
        sort_by_address(b);
    return rc;
}

/* ------------------------------------------------------------------------ room, rows, log */

static int reserve(struct batch *b)
{
    struct asteria *a = b->a;
    struct generation *g = a->generations[a->now];
    int rc = asteria_slots_reserve(a, b->ids, b->n);

    if (rc != OK)
        return rc;
    asteria_slots_next(a, b->n, b->next);
    for (size_t i = 0; i < b->n; i++)
        b->slots[(uint32_t)b->order[i]] = b->next[i];
    for (size_t i = 0; rc == OK && i < b->n_groups; i++) {
        struct group *group = &b->groups[i];

        rc = generation_reserve(g, &a->base.env, (uint32_t)(b->order[group->first] >> 32), group->n,
                                (size_t)b->next[b->n - 1] + 1, &group->bucket);
    }
    return rc;
}

/* ------------------------------------------------------------------------------- adding */

/* A bucket's rows, by one thread. One that begins with more rows than its centre is of gets their mean. */
static int add_groups(void *arg, size_t first, size_t end, size_t worker)
{
    const struct batch *b = arg;
    struct asteria *a = b->a;
    struct generation *g = a->generations[a->now];

    (void)worker;
    for (size_t i = first; i < end; i++) {
        const struct group *group = &b->groups[i];
        const struct bucket *to = &g->buckets[group->bucket];

        if (to->n == 0 && group->n > to->centred_n)
            bucket_centre(g, group->bucket, b->of_bucket + group->first, group->n);
        for (size_t j = group->first; j < group->first + group->n; j++) {
            const uint32_t slot = b->next[j];
            const uint32_t position =
                bucket_put(g, &a->base.env, group->bucket, b->of_bucket[j], slot);

            a->places[slot] = (struct place){ .bucket = group->bucket,
                                              .position = position & 0x7fffffffU,
                                              .generation = a->now & 1U };
        }
    }
    return OK;
}

static void add(struct batch *b)
{
    struct asteria *a = b->a;
    struct generation *g = a->generations[a->now];
    const struct bec_rows tree_rows = asteria_bec_rows(a);

    asteria_slots_take(a, b->ids, b->slots, b->n);
    (void)parallel_for(a->base.env.pool, pool_threads(a->base.env.pool), b->n_groups, GROUP_GRAIN,
                       add_groups, b);
    g->live += b->n;
    for (size_t j = 0; a->bec && j < b->n; j++)
        bec_add(a->bec, &tree_rows, b->next[j], b->of_bucket[j]->address, b->of_bucket[j]->p);
    a->inserted_since += b->n;
}

/* The lock is held for writing, or nobody else is there. */
static int insert_encoded(struct batch *b, bool log)
{
    struct asteria *a = b->a;
    int rc = OK;

    if (b->model != a->generations[a->now]->model)
        rc = encode(b); /* a newer one took over meanwhile */
    if (rc == OK)
        rc = reserve(b);
    if (rc == OK)
        rc = tier_write(a->tier, b->slots, b->rows, b->n);
    if (rc == OK && log)
        rc = asteria_log_insert(a, rows_of(b), b->ids, b->n);
    if (rc == OK)
        add(b);
    return rc;
}

static int insert_batch(struct batch *b, bool shared)
{
    struct asteria *a = b->a;
    int rc;

    if (shared)
        pthread_rwlock_rdlock(&a->lock);
    rc = encode(b);
    if (shared) {
        pthread_rwlock_unlock(&a->lock);
        pthread_rwlock_wrlock(&a->lock);
    }
    if (rc == OK)
        rc = insert_encoded(b, shared);
    if (shared)
        pthread_rwlock_unlock(&a->lock);
    return rc;
}

static int insert(struct asteria *a, struct vectors v, const uint64_t *ids, size_t *done,
                  bool shared)
{
    struct batch b;
    int rc;

    *done = 0;
    if (v.n == 0)
        return OK;
    const struct model *m = a->generations[a->now]->model;
    const size_t at_once = rows_at_once(a, m), most = v.n < at_once ? v.n : at_once;
    rc = batch_begin(&b, a, m, most);
    if (rc != OK)
        return rc;
    while (rc == OK && *done < v.n) {
        b.n = v.n - *done < most ? v.n - *done : most;
        b.rows = (const unsigned char *)v.rows + *done * b.row_bytes;
        b.ids = ids + *done;
        rc = insert_batch(&b, shared);
        *done += rc == OK ? b.n : 0;
    }
    batch_free(&b);
    return rc;
}

int asteria_apply_insert(struct asteria *a, struct vectors v, const uint64_t *ids, size_t *done)
{
    return insert(a, v, ids, done, false);
}

int asteria_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct asteria *a = asteria_of(index);

    *done = 0;
    if (!a->trained)
        return fail(index->env.error, ERR_UNTRAINED,
                    "asteria: insert: the index is not trained; train() it with a sample first");
    return insert(a, v, ids, done, true);
}
