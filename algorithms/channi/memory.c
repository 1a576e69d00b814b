/* memory.c - where the bytes are: those of cached clusters by what their files are made of, as a whole. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "algorithms/channi/stats.h"
#include "src/core/mem.h"

/* Of the hot parts of all files there are: what a cached byte is, in the mean. */
struct shares {
    uint64_t rows, ids, hot;
};

static void add_delta(const struct channi *c, const struct delta *d, struct memory_use *use)
{
    const uint64_t bytes = atomic_load(&((struct delta *)(uintptr_t)d)->bytes);
    const uint64_t rows =
        bytes * c->row_bytes / (c->row_bytes + 3 * sizeof(uint64_t) + sizeof(uint32_t));

    use->vectors += rows;
    use->ids += bytes - rows;
}

static void add_cluster(const struct channi *c, const struct cluster *cl, struct shares *shares,
                        struct memory_use *use)
{
    add_delta(c, &cl->delta, use);
    use->vectors += cl->site ? c->row_bytes : 0;
    use->other += sizeof *cl + cl->n_routes * sizeof *cl->routes;
    if (atomic_load(&((struct cluster *)(uintptr_t)cl)->dead))
        use->other += cl->base_n * sizeof(uint64_t);
    if (!cl->base)
        return;
    shares->rows += cl->base->cold_rows ? 0 : cl->base_n * c->row_bytes;
    shares->ids += cl->base_n * sizeof(uint64_t);
    shares->hot += cl->base->hot_bytes;
}

static void add_layout(const struct channi *c, const struct layout *layout,
                       const struct layout *but, struct shares *shares, struct memory_use *use)
{
    use->other += sizeof *layout + layout->capacity * sizeof(struct cluster *);
    for (uint32_t cid = 0; cid < layout->n_clusters; cid++) {
        const struct cluster *cl = layout->clusters[cid];

        if (cl && !(but && cid < but->n_clusters && but->clusters[cid] == cl))
            add_cluster(c, cl, shares, use);
    }
    if (layout->routes && !(but && but->routes == layout->routes))
        use->graph += sizeof *layout->routes + layout->routes->block_bytes +
                      layout->routes->n * sizeof *layout->routes->cid;
}

/* What snapshots keep beside the present: each as compared with it, so that what two of them share is counted
   for both. */
static void add_pins(struct channi *c, const struct layout *now, struct shares *shares,
                     struct memory_use *use)
{
    pthread_mutex_lock(&c->pin_lock);
    for (size_t i = 0; i < c->n_pins; i++)
        if (c->pins[i].view->layout != now)
            add_layout(c, c->pins[i].view->layout, now, shares, use);
    pthread_mutex_unlock(&c->pin_lock);
}

static void add_cache(const struct channi *c, const struct shares *shares, struct memory_use *use)
{
    struct cache_counts n = { 0 };
    const double hot = shares->hot ? (double)shares->hot : 1;

    cache_counts(c->cache, &n);
    const uint64_t rows = (uint64_t)((double)n.resident_bytes * ((double)shares->rows / hot));
    const uint64_t ids = (uint64_t)((double)n.resident_bytes * ((double)shares->ids / hot));
    const uint64_t rest = n.resident_bytes - rows - ids;
    use->vectors += rows;
    use->ids += ids;
    if (c->params.inside == INSIDE_GRAPH)
        use->graph += rest;
    else if (c->params.inside == INSIDE_CODES)
        use->codes += rest;
    else
        use->other += rest;
}

/* All that lies in the folder: clusters, those that only snapshots or the manifest refer to too, journal,
   manifest. */
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
    struct view *view = channi_look(c, NULL, NULL);
    struct shares shares = { 0 };

    *use = (struct memory_use){ .disk = disk_bytes(c) };
    add_layout(c, view->layout, NULL, &shares, use);
    add_pins(c, view->layout, &shares, use);
    view_unref(c, view);
    add_cache(c, &shares, use);
    pthread_mutex_lock(&c->write);
    use->ids += channi_places_bytes(c);
    use->vectors += stable_bytes(&c->route_rows);
    if (c->top) {
        use->vectors += graph_row_bytes(c->top);
        use->graph += graph_edge_bytes(c->top);
    }
    use->other += stable_bytes(&c->route_phash) + idmap_bytes(&c->by_phash) +
                  stable_bytes(&c->seats) + sizeof *c;
    if (c->quantizer)
        use->codes += quantizer_bytes(c->quantizer);
    pthread_mutex_unlock(&c->write);
    use->other += channi_scratch_bytes(c);
    return OK;
}
