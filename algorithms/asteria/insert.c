/* insert.c - insertion of rows in batches: encoding, reserving memory, writing, adding.
 *
 * All that can fail comes before the first visible change, so a batch is stored as a whole or not at
 * all. Rows get slots in the order of their buckets, so that the rows of a
 * bucket have consecutive slots.
 */
#include "algorithms/asteria/buckets/batch.h"
#include "algorithms/asteria/maintenance/maintenance.h"
#include "algorithms/asteria/rows/slots.h"
#include "src/core/mem.h"

struct insertion {
    struct asteria_batch batch;
    size_t most;    /* rows of a batch */
    uint32_t *next; /* slots, ascending */
};

/* Another thread may exchange the model. */
static int insertion_begin(struct insertion *n, struct asteria *a, size_t rows)
{
    const struct index_env *env = &a->base.env;
    pthread_rwlock_rdlock(&a->lock);
    const size_t at_once = asteria_batch_rows(a);
    n->most = rows < at_once ? rows : at_once;
    int rc = asteria_batch_begin(&n->batch, a, n->most);
    pthread_rwlock_unlock(&a->lock);

    if (rc != OK)
        return rc;
    n->next = mem_array(env->mem, n->most, sizeof *n->next);
    if (n->next)
        return OK;
    asteria_batch_free(&n->batch);
    return fail(env->error, ERR_NO_MEMORY, "asteria: insert: out of memory for %zu rows", n->most);
}

static int reserve(struct insertion *n, const uint64_t *ids)
{
    struct asteria_batch *b = &n->batch;
    int rc = asteria_slots_reserve(b->a, ids, b->n);

    if (rc != OK)
        return rc;
    asteria_slots_next(b->a, b->n, n->next);
    for (size_t i = 0; i < b->n; i++)
        b->slots[batch_row(b, i)] = n->next[i];
    return asteria_batch_reserve(b, (size_t)n->next[b->n - 1] + 1);
}

static void add(struct insertion *n, const uint64_t *ids)
{
    struct asteria_batch *b = &n->batch;
    struct asteria *a = b->a;

    asteria_slots_take(a, ids, b->slots, b->n);
    asteria_batch_put(b);
    for (size_t i = 0; a->graph && i < b->n; i++)
        asteria_caprg_queue(a->graph, b->slots[i]);
    a->inserted_since += b->n;
}

/* The rows are stored. A row that cannot be linked now does not fail insert(): maintain()
   links it later. */
static void link_some(struct asteria *a)
{
    struct error ignored = { 0 }, *before = error_divert(&ignored);

    (void)asteria_link(a);
    (void)error_divert(before);
}

static int insert_encoded(struct insertion *n, const uint64_t *ids)
{
    struct asteria_batch *b = &n->batch;
    struct asteria *a = b->a;
    int rc = OK;

    if (b->version != a->generations[a->now]->model->fitted.version)
        rc = asteria_batch_encode(b); /* a newer model came into use meanwhile */
    if (rc == OK)
        rc = reserve(n, ids);
    if (rc != OK)
        return rc;
    (void)pthread_rwlock_unlock(&a->lock); /* searches run, and do not see the rows yet */
    rc = asteria_rows_write(a->rows, b->slots, b->rows, b->n);
    (void)pthread_rwlock_wrlock(&a->lock);
    asteria_rows_written(a->rows, b->slots, b->rows, b->n, rc == OK);
    if (rc == OK)
        add(n, ids);
    if (rc == OK && a->graph && a->params.link_policy == LINK_INSERT)
        link_some(a);
    return rc;
}

static int insert_batch(struct insertion *n, const uint64_t *ids)
{
    struct asteria *a = n->batch.a;

    pthread_rwlock_rdlock(&a->lock);
    int rc = asteria_batch_encode(&n->batch);
    pthread_rwlock_unlock(&a->lock);
    if (rc != OK)
        return rc;
    asteria_change_begin(a);
    rc = insert_encoded(n, ids);
    asteria_change_end(a);
    return rc;
}

int asteria_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct asteria *a = asteria_of(index);
    struct insertion n;
    int rc;

    *done = 0;
    if (!a->trained)
        return fail(index->env.error, ERR_UNTRAINED,
                    "asteria: insert: the index is not trained; train() it with a sample first");
    if (v.n == 0)
        return OK;
    rc = insertion_begin(&n, a, v.n);
    if (rc != OK)
        return rc;
    while (rc == OK && *done < v.n) {
        struct asteria_batch *b = &n.batch;

        b->n = v.n - *done < n.most ? v.n - *done : n.most;
        b->rows = (const unsigned char *)v.rows + *done * b->row_bytes;
        rc = insert_batch(&n, ids + *done);
        *done += rc == OK ? b->n : 0;
    }
    mem_free(a->base.env.mem, n.next);
    asteria_batch_free(&n.batch);
    return rc;
}
