/* memory.c - reports memory by kind. Bytes of cached clusters are divided by the mean composition
   of all files. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "algorithms/channi/index.h"
#include "algorithms/channi/search/scratch.h"
#include "algorithms/common/quantizer/quantizer.h"

/* Composition of the hot parts of all files. */
struct byte_shares {
    uint64_t rows, ids, hot;
};

static void add_cluster(const struct channi *c, const struct channi_cluster *cl,
                        struct byte_shares *shares, struct memory_use *use)
{
    struct channi_delta *d = &((struct channi_cluster *)(uintptr_t)cl)->delta;
    const uint64_t bytes = atomic_load(&d->bytes);
    const uint64_t numbers = 3 + c->base.env.n_attributes; /* id, birth, death; attributes */
    const uint64_t rows = bytes * c->row_bytes / (c->row_bytes + numbers * sizeof(uint64_t));

    use->vectors += rows;
    use->ids += bytes - rows;
    use->codes += atomic_load(&d->code_bytes);
    use->vectors += cl->site ? c->row_bytes : 0;
    use->other += sizeof *cl + cl->n_routes * sizeof *cl->routes;
    if (atomic_load(&((struct channi_cluster *)(uintptr_t)cl)->dead))
        use->other += cl->base_n * sizeof(uint64_t);
    if (!cl->base)
        return;
    shares->rows += cl->base->cold_rows ? 0 : cl->base_n * c->row_bytes;
    shares->ids += cl->base_n * sizeof(uint64_t);
    shares->hot += cl->base->hot_bytes;
}

static void add_layout(const struct channi *c, const struct channi_layout *layout,
                       const struct channi_layout *but, struct byte_shares *shares,
                       struct memory_use *use)
{
    const struct channi_cluster *cl;

    use->other += sizeof *layout + layout->n_clusters * sizeof(struct channi_cluster *);
    for (uint32_t next = 0; (cl = channi_layout_next(layout, &next));)
        if (!(but && cl->cid < but->n_clusters && but->clusters[cl->cid] == cl))
            add_cluster(c, cl, shares, use);
    if (layout->routes && !(but && but->routes == layout->routes))
        use->graph += sizeof *layout->routes + layout->routes->block_bytes +
                      layout->routes->n * sizeof *layout->routes->cid;
}

/* All files in the folder: clusters, also those of snapshots or of the manifest only,
   log and manifest. */
static uint64_t disk_bytes(const struct channi *c)
{
    DIR *dir = opendir(c->base.env.dir);
    uint64_t sum = 0;

    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        struct stat info;

        if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(info.st_mode))
            sum += (uint64_t)info.st_size;
    }
    if (dir)
        (void)closedir(dir);
    return sum;
}

int channi_memory(const struct index *index, struct memory_use *use)
{
    struct channi *c = channi_of(index);
    struct channi_view *view = channi_view_now(c);
    struct byte_shares shares = { 0 };
    struct channi_cache_counts n;

    *use = (struct memory_use){ .disk = disk_bytes(c) };
    add_layout(c, view->layout, NULL, &shares, use);
    /* What snapshots keep beyond the newest view. Each is compared with that view only, so parts that two
       snapshots share count twice. */
    pthread_mutex_lock(&c->snapshot_lock);
    for (size_t i = 0; i < c->n_snapshots; i++)
        if (c->snapshots[i].view->layout != view->layout)
            add_layout(c, c->snapshots[i].view->layout, view->layout, &shares, use);
    pthread_mutex_unlock(&c->snapshot_lock);
    channi_view_unref(c, view);
    channi_cache_counts(c->cache, &n);
    const double hot = shares.hot ? (double)shares.hot : 1;
    const uint64_t rows = (uint64_t)((double)n.resident_bytes * ((double)shares.rows / hot)),
                   ids = (uint64_t)((double)n.resident_bytes * ((double)shares.ids / hot));
    use->vectors += rows;
    use->ids += ids;
    *(c->params.cluster_index == INSIDE_GRAPH   ? &use->graph
      : c->params.cluster_index == INSIDE_CODES ? &use->codes
                                                : &use->other) += n.resident_bytes - rows - ids;
    pthread_mutex_lock(&c->write);
    use->ids += channi_places_bytes(c);
    use->vectors += segmented_bytes(&c->route_rows) + (c->top ? graph_row_bytes(c->top) : 0);
    use->graph += c->top ? graph_edge_bytes(c->top) : 0;
    use->other += segmented_bytes(&c->route_phash) + segmented_bytes(&c->latches) + sizeof *c;
    if (c->quantizer)
        use->codes += quantizer_bytes(c->quantizer);
    pthread_mutex_unlock(&c->write);
    use->other += scratch_pool_bytes(&c->scratch);
    return OK;
}
