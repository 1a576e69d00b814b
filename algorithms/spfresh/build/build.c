/* build.c - the static build. It chooses heads from a balanced tree of the vectors, then files all
 * vectors under the heads near them and writes the postings one after another.
 *
 * Postings are encoded in ranges of heads. So besides the caller's rows, memory holds at most the
 * choices of all vectors (8 bytes per copy) and about 64 MB of encoded postings. */
#include <stdlib.h>
#include <string.h>

#include "algorithms/common/clustering/balanced.h"
#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/build/build.h"
#include "algorithms/spfresh/filing/filing.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { GRAIN = 64, RANGE_BYTES = 64 << 20 };

static int no_memory(const struct spfresh *s)
{
    return spfresh_no_memory(s, "out of memory building the index");
}

/* ------------------------------------------------------------------------------- 1. heads */

static int gather_heads(struct spfresh *s, struct vectors rows, const uint32_t *picked, size_t n)
{
    const size_t row_bytes = spfresh_row_bytes(s);
    unsigned char *heads = mem_array(s->base.env.mem, n, row_bytes);
    int rc = heads ? OK : no_memory(s);

    for (size_t i = 0; heads && i < n; i++)
        memcpy(heads + i * row_bytes, (const char *)rows.rows + picked[i] * row_bytes, row_bytes);
    for (int64_t i = 0; rc == OK && i < s->params.refine; i++)
        rc = balanced_refine(&s->base.env, rows, heads, n);
    if (rc == OK)
        rc = graph_build(s->graph, (struct vectors){ heads, n, rows.dim, rows.element });
    mem_free(s->base.env.mem, heads);
    return rc;
}

static int pick_heads(struct spfresh *s, struct vectors rows, uint32_t **picked, size_t *n)
{
    const struct spfresh_params *p = &s->params;
    const struct balanced_options tree_options = { .fanout = (size_t)p->fanout,
                                                   .leaf = (size_t)p->leaf,
                                                   .samples = (size_t)p->samples,
                                                   .iterations = 100,
                                                   .balance = p->balance,
                                                   .seed = s->base.env.seed };
    const struct head_selection wanted = { p->ratio, (size_t)p->select_threshold,
                                           (size_t)p->split_threshold, (size_t)p->split_factor };
    struct balanced_tree tree = { 0 };
    int rc = balanced_tree_build(&tree, &s->base.env, &tree_options, rows);

    if (rc == OK)
        rc = balanced_select(&tree, &s->base.env, &wanted, picked, n);
    balanced_tree_free(&tree, s->base.env.mem);
    return rc;
}

/* An index that is trained a second time gets a new graph. */
static int renew_graph(struct spfresh *s)
{
    const struct graph_options options = spfresh_graph_options(s);
    const size_t n = graph_capacity(s->graph);
    struct graph *fresh = NULL;
    int rc = OK;

    if (n == 0)
        return OK;
    for (uint32_t i = 0; rc == OK && i < n; i++)
        if (graph_is_live(s->graph, i))
            rc = spfresh_remove_head(s, i);
    atomic_store(&s->built, false);
    if (rc == OK)
        rc = graph_create(&fresh, &s->base.env, s->epoch, &options);
    if (rc == OK) {
        epoch_drain(s->epoch);
        graph_destroy(s->graph);
        s->graph = fresh;
    }
    return rc;
}

int spfresh_build_heads(struct spfresh *s, struct vectors rows)
{
    uint32_t *picked = NULL;
    size_t n = 0;
    int rc = renew_graph(s);

    if (rc == OK)
        rc = spfresh_codec_train(s->codec, rows);
    if (rc == OK) {
        spfresh_set_limits(s);
        rc = pick_heads(s, rows, &picked, &n);
    }
    if (rc == OK && !segmented_grow(&s->heads, n + SPFRESH_ADDERS))
        rc = no_memory(s);
    if (rc == OK)
        rc = gather_heads(s, rows, picked, n);
    for (uint32_t i = 0; rc == OK && i < n; i++) {
        struct spfresh_head *h = spfresh_head(s, i);

        atomic_store(&h->size, 0);
        atomic_store(&h->error, 0);
        atomic_store_explicit(&h->flags, HEAD_OPEN, memory_order_release);
    }
    if (rc == OK)
        atomic_store(&s->built, true);
    mem_free(s->base.env.mem, picked);
    return rc;
}

/* ------------------------------------------------------------------------------ 2. filing */

struct copy { /* of a vector, in a posting */
    uint32_t row;
    float distance;
};

struct filing {
    struct spfresh *s;
    struct vectors rows;
    const uint64_t *ids;
    struct mem_group memory;
    size_t replicas, n_heads;
    uint32_t *heads;  /* n x replicas, GRAPH_NONE past the last */
    float *distances; /* the same */
    uint32_t *order;  /* rows sorted by nearest head */
    uint32_t *slots;  /* slots[i] is row i's */
    uint8_t *copies;  /* copies of each row not cut */
    uint64_t *start;  /* n_heads + 1: where a head's copies start in `filed` */
    struct copy *filed;
    size_t *kept; /* how many of a head's copies are kept; they come first */
};

static int filing_init(struct filing *f)
{
    struct mem_group *g = &f->memory;
    const size_t n = f->rows.n;

    f->heads = mem_group_array(g, n, f->replicas * sizeof *f->heads);
    f->distances = mem_group_array(g, n, f->replicas * sizeof *f->distances);
    f->order = mem_group_array(g, n, sizeof *f->order);
    f->slots = mem_group_array(g, n, sizeof *f->slots);
    f->copies = mem_group_zalloc(g, n, sizeof *f->copies);
    f->start = mem_group_zalloc(g, f->n_heads + 1, sizeof *f->start);
    f->kept = mem_group_zalloc(g, f->n_heads, sizeof *f->kept);
    return g->failed ? no_memory(f->s) : OK;
}

static int choose_rows(void *arg, size_t first, size_t end, size_t worker)
{
    struct filing *f = arg;
    struct spfresh_scratch *x = NULL;
    double checked = 0;
    int rc = spfresh_scratch_take(f->s, &x);

    (void)worker;
    for (size_t i = first; rc == OK && i < end; i++) {
        const char *row = (const char *)f->rows.rows + i * spfresh_row_bytes(f->s);
        struct spfresh_choice c = { .n = 0 };

        rc = spfresh_choose(f->s, x, row, &c, &checked);
        f->copies[i] = (uint8_t)c.n;
        for (size_t j = 0; j < f->replicas; j++) {
            f->heads[i * f->replicas + j] = j < c.n ? c.heads[j] : GRAPH_NONE;
            f->distances[i * f->replicas + j] = j < c.n ? c.distances[j] : 0;
        }
    }
    scratch_pool_give(&f->s->scratch, x);
    return rc;
}

static int nearer(const void *a, const void *b)
{
    const struct copy *x = a, *y = b;

    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Groups all copies by head, nearest first, and orders the rows by their nearest head, so that
   neighbours get neighbouring slots. */
static int group_copies(struct filing *f)
{
    const size_t n = f->rows.n * f->replicas;
    size_t ordered = 0;

    for (size_t i = 0; i < n; i++)
        if (f->heads[i] != GRAPH_NONE)
            f->start[f->heads[i] + 1]++;
    for (size_t h = 0; h < f->n_heads; h++)
        f->start[h + 1] += f->start[h];
    f->filed = mem_group_array(&f->memory, (size_t)f->start[f->n_heads], sizeof *f->filed);
    if (!f->filed)
        return no_memory(f->s);
    for (size_t i = 0; i < n; i++)
        if (f->heads[i] != GRAPH_NONE) {
            const size_t h = f->heads[i];

            f->filed[f->start[h] + f->kept[h]++] =
                (struct copy){ (uint32_t)(i / f->replicas), f->distances[i] };
        }
    for (size_t h = 0; h < f->n_heads; h++) {
        struct copy *of = f->filed + f->start[h];

        for (size_t i = 0; i < f->kept[h]; i++)
            if (f->heads[of[i].row * f->replicas] == h)
                f->order[ordered++] = of[i].row;
        qsort(of, f->kept[h], sizeof *of, nearer);
    }
    return OK;
}

/* Cuts a posting to the limit by dropping its farthest copies, but never a vector's last copy.
   SPTAG may drop that too. */
static void cut(struct filing *f)
{
    for (size_t h = 0; h < f->n_heads; h++) {
        struct copy *of = f->filed + f->start[h];
        size_t n = f->kept[h], left = 0;
        size_t over = n > f->s->limit ? n - f->s->limit : 0;

        for (size_t i = n; i-- > 0 && over > 0;)
            if (f->copies[of[i].row] > 1) {
                f->copies[of[i].row]--;
                of[i].row = UINT32_MAX;
                over--;
            }
        for (size_t i = 0; i < n; i++)
            if (of[i].row != UINT32_MAX)
                of[left++] = of[i];
        f->kept[h] = left;
    }
}

static int take_slots(struct filing *f)
{
    const size_t n = f->rows.n;
    struct mem_group g = { .mem = f->s->base.env.mem };
    uint64_t *ids = mem_group_array(&g, n, sizeof *ids);
    uint32_t *slots = mem_group_array(&g, n, sizeof *slots);

    for (size_t i = 0; !g.failed && i < n; i++)
        ids[i] = f->ids[f->order[i]];
    const int rc = g.failed ? no_memory(f->s) : spfresh_slots_take(f->s, ids, n, slots);
    for (size_t i = 0; rc == OK && i < n; i++)
        f->slots[f->order[i]] = slots[i];
    mem_group_free(&g);
    return rc;
}

static const void *row_at(const struct filing *f, size_t i)
{
    return (const char *)f->rows.rows + i * spfresh_row_bytes(f->s);
}

static int put_rows(struct filing *f)
{
    enum { SOME = 1024 };
    uint32_t slots[SOME];
    const void *rows[SOME];
    int rc = OK;

    if (!spfresh_has_row_file(f->s))
        return OK;
    for (size_t i = 0; rc == OK && i < f->rows.n; i += SOME) {
        const size_t left = f->rows.n - i, n = left < SOME ? left : SOME;

        for (size_t j = 0; j < n; j++) {
            slots[j] = f->slots[f->order[i + j]];
            rows[j] = row_at(f, f->order[i + j]);
        }
        rc = row_store_put(f->s->rows, slots, rows, n);
    }
    return rc;
}

/* ------------------------------------------------------------------------------ 3. writing */

struct range { /* encoded postings of some heads */
    struct filing *f;
    size_t first, end;
    unsigned char *bytes;
    uint64_t *offsets; /* end - first + 1 */
};

static int encode_some(void *arg, size_t first, size_t end, size_t worker)
{
    struct range *r = arg;
    struct filing *f = r->f;
    struct spfresh *s = f->s;
    struct spfresh_members m;
    int rc = OK;

    (void)worker;
    spfresh_members_init(&m, s);
    for (size_t i = first; rc == OK && i < end; i++) {
        const size_t h = r->first + i;
        const struct copy *of = f->filed + f->start[h];
        float error = 0;

        m.n = 0;
        if (!spfresh_members_reserve(&m, f->kept[h]))
            rc = no_memory(s);
        for (size_t j = 0; rc == OK && j < f->kept[h]; j++) {
            const uint32_t slot = f->slots[of[j].row];

            spfresh_members_add(&m, slot, spfresh_version(s, slot) & ~VERSION_DELETED,
                                row_at(f, of[j].row));
        }
        if (rc == OK)
            rc = spfresh_codec_extend(s->codec, graph_row(s->graph, (uint32_t)h), 0, NULL, &m,
                                      r->bytes + r->offsets[i], &error);
        atomic_store(&spfresh_head(s, (uint32_t)h)->error, error);
    }
    spfresh_members_free(&m);
    return rc;
}

static int write_range(struct range *r)
{
    struct spfresh *s = r->f->s;
    struct pool *pool = s->base.env.pool;
    const size_t n = r->end - r->first;

    r->bytes = mem_array(s->base.env.mem, 1, (size_t)r->offsets[n]);
    int rc =
        r->bytes ? parallel_for(pool, pool_threads(pool), n, GRAIN, encode_some, r) : no_memory(s);
    for (size_t i = 0; rc == OK && i < n; i++) {
        const uint32_t h = (uint32_t)(r->first + i);

        rc = posting_splice(s->store, h, 0, r->bytes + r->offsets[i],
                            (size_t)(r->offsets[i + 1] - r->offsets[i]));
        if (rc == OK)
            atomic_store(&spfresh_head(s, h)->size, (uint32_t)r->f->kept[h]);
    }
    mem_free(s->base.env.mem, r->bytes);
    return rc;
}

static int write_postings(struct filing *f)
{
    struct spfresh *s = f->s;
    struct range r = { .f = f };
    int rc = OK;

    r.offsets = mem_array(s->base.env.mem, f->n_heads + 1, sizeof *r.offsets);
    if (!r.offsets)
        return no_memory(s);
    while (rc == OK && r.end < f->n_heads) {
        r.first = r.end;
        r.offsets[0] = 0;
        while (r.end < f->n_heads && r.offsets[r.end - r.first] < RANGE_BYTES) {
            r.offsets[r.end - r.first + 1] =
                r.offsets[r.end - r.first] + spfresh_codec_bytes(s->codec, f->kept[r.end]);
            r.end++;
        }
        rc = write_range(&r);
    }
    mem_free(s->base.env.mem, r.offsets);
    return rc;
}

int spfresh_fill(struct spfresh *s, struct vectors rows, const uint64_t *ids)
{
    struct filing f = { .s = s,
                        .rows = rows,
                        .ids = ids,
                        .memory.mem = s->base.env.mem,
                        .replicas = (size_t)s->params.replicas,
                        .n_heads = graph_capacity(s->graph) };
    struct pool *pool = s->base.env.pool;
    bool taken = false;
    int rc = filing_init(&f);

    if (rc == OK)
        rc = parallel_for(pool, pool_threads(pool), rows.n, GRAIN, choose_rows, &f);
    if (rc == OK)
        rc = group_copies(&f);
    if (rc == OK) {
        cut(&f);
        rc = take_slots(&f);
        taken = rc == OK;
    }
    if (rc == OK)
        rc = put_rows(&f);
    if (rc == OK)
        rc = write_postings(&f);
    for (size_t i = 0; rc == OK && i < rows.n; i++)
        spfresh_set_version(s, f.slots[i], spfresh_version(s, f.slots[i]) & ~VERSION_DELETED);
    if (rc != OK && taken)
        spfresh_unfill(s, ids, rows.n);
    mem_group_free(&f.memory);
    mem_trim();
    return rc;
}

void spfresh_unfill(struct spfresh *s, const uint64_t *ids, size_t n)
{
    const size_t n_heads = graph_capacity(s->graph);

    spfresh_slots_drop(s, ids, n);
    for (uint32_t h = 0; h < n_heads; h++) {
        posting_drop(s->store, h);
        atomic_store(&spfresh_head(s, h)->size, 0);
    }
}

bool spfresh_is_empty(const struct spfresh *s)
{
    const size_t n_heads = graph_capacity(s->graph);

    if (atomic_load(&((struct spfresh *)(uintptr_t)s)->slots.live) > 0)
        return false;
    for (uint32_t h = 0; h < n_heads; h++)
        if (atomic_load(&spfresh_head(s, h)->size) > 0)
            return false;
    return true;
}
