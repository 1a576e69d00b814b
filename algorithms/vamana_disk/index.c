/* index.c - creating and destroying an index; views. */
#include "algorithms/vamana_disk/vamana_disk.h"

#include <unistd.h>

#include "algorithms/common/durable/durable.h"
#include "algorithms/common/durable/folder_claim.h"
#include "src/core/mem.h"

/* ------------------------------------------------------------------------- recent rows */

/* As those of `vamana`. */
static struct graph_options options_of(const void *params)
{
    const struct vamana_disk_params *p = params;

    return (struct graph_options){ .kind = GRAPH_VAMANA,
                                   .degree = (size_t)p->degree,
                                   .build_ef = (size_t)p->build_list,
                                   .insert_ef = (size_t)p->build_list,
                                   .rng_factor = p->alpha * p->alpha };
}

static size_t beam_of(const void *knobs)
{
    return (size_t)((const struct vamana_disk_knobs *)knobs)->search_list;
}

static bool is_lazy(const void *params)
{
    (void)params;
    return true;
}

static double consolidate_share_of(const void *params)
{
    (void)params;
    return .1;
}

static const struct graph_index_kind vamana_disk_recent = { .options = options_of,
                                                            .beam = beam_of,
                                                            .lazy = is_lazy,
                                                            .consolidate_share =
                                                                consolidate_share_of };

/* ------------------------------------------------------------------------------- opening */

static int check_params(const struct index_env *env, const struct vamana_disk_params *p)
{
    const char *why = "";

    if (!env->dir)
        return fail(env->error, ERR_ARGUMENT, "vamana-disk works on disk, but was given no folder");
    if (p->pq_groups > (int64_t)(env->dim + (env->metric == INDEX_IP)))
        return fail(env->error, ERR_ARGUMENT,
                    "vamana-disk: pq_groups is %lld, more than the vectors' %zu dimensions",
                    (long long)p->pq_groups, env->dim);
    if (p->io == VAMANA_DISK_IO_URING && !read_queue_uring_usable(&why))
        return fail(env->error, ERR_UNSUPPORTED, "vamana-disk: io = uring: %s", why);
    return OK;
}

int vamana_disk_open(struct vamana_disk **out, const struct index_ops *ops,
                     const struct index_env *env, const struct vamana_disk_params *params)
{
    int rc = check_params(env, params);
    struct vamana_disk *h = rc == OK ? mem_zalloc(env->mem, sizeof *h) : NULL;

    if (rc != OK)
        return rc;
    if (!h)
        return fail(env->error, ERR_NO_MEMORY, "vamana-disk: out of memory for an index");
    h->base = (struct index){ .ops = ops, .env = *env };
    h->params = *params;
    h->claim = -1;
    (void)pthread_mutex_init(&h->lock, NULL);
    scratch_pool_init(&h->scratch, &vamana_disk_scratch_kind, env->mem, h);
    h->dir = mem_strdup(env->mem, env->dir);
    h->epoch = epoch_create(env->mem);
    h->threads = read_threads_create(env->mem);
    const bool ready = h->dir && h->epoch && h->threads;
    rc = ready ? folder_claim(h->dir, &h->claim, env->error)
               : fail(env->error, ERR_NO_MEMORY, "vamana-disk: out of memory for an index");
    h->base.env.dir = h->dir;
    if (rc == OK)
        *out = h;
    else
        vamana_disk_destroy(&h->base);
    return rc;
}

int vamana_disk_recent_create(struct vamana_disk *h, struct graph_index **recent)
{
    struct index *made = NULL;
    const int rc =
        graph_index_create(&made, h->base.ops, &vamana_disk_recent, &h->base.env, &h->params);

    *recent = rc == OK ? (struct graph_index *)made : NULL;
    return rc;
}

static void destroy_parts(struct vamana_disk_part *part, struct graph_index *recent)
{
    vamana_disk_part_destroy(part);
    if (recent)
        graph_index_destroy(&recent->base);
}

static void view_call(void *owner, struct epoch_item *item)
{
    struct vamana_disk_view *view = (struct vamana_disk_view *)(void *)item;
    const struct vamana_disk *h = owner;

    destroy_parts(view->part, view->recent);
    mem_free(h->base.env.mem, view);
}

int vamana_disk_show(struct vamana_disk *h, struct vamana_disk_part *part,
                     struct graph_index *recent)
{
    struct vamana_disk_view *view = mem_zalloc(h->base.env.mem, sizeof *view);

    if (!view) {
        destroy_parts(part, recent);
        return fail(h->base.env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for a view");
    }
    view->part = part;
    view->recent = recent;
    struct vamana_disk_view *old = atomic_exchange_explicit(&h->view, view, memory_order_acq_rel);
    if (old)
        epoch_retire(h->epoch, &old->item, view_call, h);
    epoch_collect(h->epoch);
    return OK;
}

/* An index without rows has no file yet. */
int vamana_disk_create(struct index **index, const struct index_ops *ops,
                       const struct index_env *env, const void *params)
{
    struct vamana_disk *h = NULL;
    struct vamana_disk_part *part = NULL;
    struct graph_index *recent = NULL;
    int rc = OK;

    if (env->dir && folder_has(env->dir, VAMANA_DISK_FILE))
        rc = durable_refuse_taken(env, "vamana-disk", VAMANA_DISK_FILE);
    if (rc == OK)
        rc = vamana_disk_open(&h, ops, env, params);
    if (rc != OK)
        return rc;
    rc = vamana_disk_part_create(&part, h, 0);
    if (rc == OK)
        rc = vamana_disk_recent_create(h, &recent);
    if (rc == OK)
        rc = vamana_disk_show(h, part, recent);
    else
        destroy_parts(part, recent);
    if (rc == OK)
        *index = &h->base;
    else
        vamana_disk_destroy(&h->base);
    return rc;
}

void vamana_disk_destroy(struct index *index)
{
    struct vamana_disk *h = vamana_disk_of(index);
    struct vamana_disk_view *view = vamana_disk_view_of(h);
    struct mem *mem = index->env.mem;

    epoch_destroy(h->epoch);
    if (view)
        view_call(h, &view->item);
    scratch_pool_free(&h->scratch);
    read_threads_destroy(h->threads);
    (void)pthread_mutex_destroy(&h->lock);
    if (h->claim >= 0)
        (void)close(h->claim);
    mem_free(mem, h->dir);
    mem_free(mem, h);
}
