/* cache.c - opening the file, and the records in memory: those that the fewest steps lead to from the entry, as many as
 * the option cache_mb allows (DiskANN, section 3.4). */
#define _GNU_SOURCE /* O_DIRECT */
#include "algorithms/vamana_disk/vamana_disk.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/core/mem.h"
#include "src/core/order.h"
#include "src/core/path_print.h"

/* Breadth first: `queue` has the nodes to cache, in the order in which they were met. */
struct filling {
    struct vamana_disk_part *part;
    uint64_t *met; /* a bit per node */
    uint32_t *queue;
    size_t n, most;
};

static void meet(struct filling *f, uint32_t node)
{
    if (f->n == f->most || (f->met[node / 64] >> (node % 64) & 1))
        return;
    f->met[node / 64] |= UINT64_C(1) << (node % 64);
    f->queue[f->n++] = node;
}

static int meet_links(void *to, uint32_t node, const unsigned char *record)
{
    struct filling *f = to;
    const struct vamana_disk_links *links = vamana_disk_links_of(&f->part->layout, record);

    (void)node;
    for (size_t i = 0; i < links->n; i++)
        meet(f, links->to[i]);
    return OK;
}

/* The records of `part->cached`; part->n_cached is set once all are there. */
struct keeping {
    struct vamana_disk_part *part;
    size_t n;
};

static int keep(void *to, uint32_t node, const unsigned char *record)
{
    const struct keeping *k = to;
    struct vamana_disk_part *p = k->part;
    const uint32_t *at = bsearch(&node, p->cached, k->n, sizeof node, order_u32);

    memcpy(p->cache + (size_t)(at - p->cached) * p->layout.record_bytes, record,
           p->layout.record_bytes);
    return OK;
}

static int fill(struct vamana_disk_part *p, struct filling *f, struct vamana_disk_scratch *x)
{
    struct mem *mem = p->owner->base.env.mem;
    int rc = OK;

    meet(f, p->entry);
    /* One at a time, so that the nodes met do not depend on the order in which reads end. */
    for (size_t i = 0; i < f->n && f->n < f->most && rc == OK; i++)
        rc = vamana_disk_read(p, x, &f->queue[i], 1, meet_links, f);
    if (rc != OK)
        return rc;
    p->cached = mem_array(mem, f->n, sizeof *p->cached);
    p->cache = mem_array(mem, f->n, p->layout.record_bytes);
    if (!p->cached || !p->cache)
        return fail(p->owner->base.env.error, ERR_NO_MEMORY,
                    "vamana-disk: out of memory for a cache of %zu nodes", f->n);
    memcpy(p->cached, f->queue, f->n * sizeof *f->queue);
    qsort(p->cached, f->n, sizeof *p->cached, order_u32);
    rc = vamana_disk_read(p, x, p->cached, f->n, keep, &(struct keeping){ p, f->n });
    p->n_cached = rc == OK ? f->n : 0;
    return rc;
}

static int cache_fill(struct vamana_disk_part *p)
{
    struct mem *mem = p->owner->base.env.mem;
    const double bytes = p->owner->params.cache_mb * 1048576;
    const size_t most = (size_t)(bytes / (double)(p->layout.record_bytes + sizeof *p->cached));
    struct filling f = { .part = p, .most = most < p->n ? most : p->n };
    int rc = OK;

    if (f.most == 0 || p->n_cached > 0)
        return OK;
    struct vamana_disk_scratch *x = vamana_disk_scratch_take(p);
    f.met = mem_zalloc(mem, (p->n / 64 + 1) * sizeof *f.met);
    f.queue = mem_array(mem, f.most, sizeof *f.queue);
    if (x && f.met && f.queue)
        rc = fill(p, &f, x);
    else
        rc = fail(p->owner->base.env.error, ERR_NO_MEMORY,
                  "vamana-disk: out of memory for a cache of %zu nodes", f.most);
    mem_free(mem, f.met);
    mem_free(mem, f.queue);
    vamana_disk_scratch_give(p, x);
    return rc;
}

/* ---------------------------------------------------------------------------------- file */

int vamana_disk_part_attach(struct vamana_disk_part *p, const char *dir)
{
    const struct vamana_disk *h = p->owner;
    char path[PATH_MAX];

    const int rc = path_print(path, h->base.env.error, "%s/%s", dir, VAMANA_DISK_FILE);

    if (rc != OK)
        return rc;
    const int fd = h->params.direct ? file_open_direct(path, p->pages_at) : -1;
    const int plain = fd >= 0 ? fd : open(path, O_RDONLY | O_CLOEXEC);
    if (plain < 0)
        return fail_errno(h->base.env.error, ERR_IO, "cannot open %s", path);
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = plain;
    const off_t end = lseek(p->fd, 0, SEEK_END);
    p->file_bytes = end > 0 ? (uint64_t)end : 0;
    return cache_fill(p);
}
