/* read.c - reading records: some of them for a search, or all in order; and the memory that one
 * thread needs to search. */
#include "algorithms/vamana_disk/vamana_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "src/core/mem.h"

enum { RUN_BYTES = 1 << 18 }; /* read at a time, in order */

/* ---------------------------------------------------------------------------------- scratch */

static void close_scratch(struct mem *mem, void *scratch)
{
    struct vamana_disk_scratch *x = scratch;

    read_queue_destroy(x->queue);
    mem_free(mem, x->buffers_block);
    mem_free(mem, x->query);
    mem_free(mem, x->table);
    mem_free(mem, x->seen);
    mem_free(mem, x->list.keys);
    mem_free(mem, x->found);
    mem_free(mem, x->distances);
}

/* O_DIRECT reads to a multiple of a page. */
static unsigned char *aligned(unsigned char *block)
{
    return block + (VAMANA_DISK_PAGE - (uintptr_t)block % VAMANA_DISK_PAGE) % VAMANA_DISK_PAGE;
}

static size_t buffers_bytes(const struct vamana_disk *h)
{
    return VAMANA_DISK_BEAM_MAX * vamana_disk_layout_of(h).read_bytes + VAMANA_DISK_PAGE;
}

/* Of a query: its floats, those transformed, and the table. */
static size_t query_floats(const struct vamana_disk *h)
{
    return 2 * vamana_disk_row_env(h).dim;
}

static size_t table_floats(const struct vamana_disk *h)
{
    return vamana_disk_groups(h) * PQ_CODES_WORDS;
}

static bool open_scratch(void *owner, void *scratch)
{
    const struct vamana_disk *h = owner;
    struct mem *mem = h->base.env.mem;
    struct vamana_disk_scratch *x = scratch;

    x->queue = read_queue_create(mem, h->threads, h->params.io != VAMANA_DISK_IO_PREAD);
    x->buffers_block = mem_alloc(mem, buffers_bytes(h));
    x->query = mem_array(mem, query_floats(h), sizeof *x->query);
    x->table = mem_array(mem, table_floats(h), sizeof *x->table);
    if (x->buffers_block)
        x->buffers = aligned(x->buffers_block);
    return x->queue && x->buffers_block && x->query && x->table;
}

static uint64_t scratch_bytes(const void *owner, const void *scratch)
{
    const struct vamana_disk *h = owner;
    const struct vamana_disk_scratch *x = scratch;

    return buffers_bytes(h) + (query_floats(h) + table_floats(h)) * sizeof(float) +
           (x->seen_capacity + x->list.capacity) * sizeof(uint64_t) +
           (x->found_capacity + x->distances_capacity) * sizeof(uint32_t);
}

const struct scratch_kind vamana_disk_scratch_kind = { sizeof(struct vamana_disk_scratch),
                                                       open_scratch, close_scratch, scratch_bytes };

struct vamana_disk_scratch *vamana_disk_scratch_take(const struct vamana_disk_part *p)
{
    struct vamana_disk *h = (struct vamana_disk *)(uintptr_t)p->owner;
    struct vamana_disk_scratch *x = scratch_pool_take(&h->scratch);

    if (!x)
        return NULL;
    x->pages = x->hits = 0;
    x->exact = x->estimates = 0;
    if (mem_grow(h->base.env.mem, &x->seen, &x->seen_capacity, p->n / 64 + 1, sizeof *x->seen))
        return x;
    scratch_pool_give(&h->scratch, x);
    return NULL;
}

void vamana_disk_scratch_give(const struct vamana_disk_part *p, struct vamana_disk_scratch *x)
{
    scratch_pool_give(&((struct vamana_disk *)(uintptr_t)p->owner)->scratch, x);
}

/* ------------------------------------------------------------------------- some records */

static int check_read(const struct vamana_disk_part *p, int error, uint64_t at)
{
    struct error *to = p->owner->base.env.error;

    if (error == 0)
        return OK;
    if (error == READ_SHORT)
        return fail(to, ERR_CORRUPT,
                    "vamana-disk: %s/" VAMANA_DISK_FILE " ends before byte %" PRIu64, p->owner->dir,
                    at + p->layout.read_bytes);
    errno = error;
    return fail_errno(to, ERR_IO, "cannot read %s/" VAMANA_DISK_FILE " at byte %" PRIu64,
                      p->owner->dir, at);
}

static const unsigned char *record_in(const struct vamana_disk_layout *l, const unsigned char *page,
                                      uint32_t node)
{
    return page + node % l->per_page * l->record_bytes;
}

/* Links are indexes of arrays: they are checked, whatever the file holds. */
static int check_record(const struct vamana_disk_part *p, uint32_t node,
                        const unsigned char *record)
{
    const struct vamana_disk_links *links = vamana_disk_links_of(&p->layout, record);
    bool sound = links->n <= p->layout.degree;

    for (size_t i = 0; sound && i < links->n; i++)
        sound = links->to[i] < p->n;
    return sound ? OK
                 : fail(p->owner->base.env.error, ERR_CORRUPT,
                        "vamana-disk: %s/" VAMANA_DISK_FILE ": the links of node %" PRIu32
                        " are damaged",
                        p->owner->dir, node);
}

static void begin_read(const struct vamana_disk_part *p, struct vamana_disk_scratch *x, size_t i,
                       const uint32_t *node)
{
    const struct vamana_disk_layout *l = &p->layout;
    struct read_request *r = &x->requests[i];

    *r = (struct read_request){ .fd = p->fd,
                                .to = x->buffers + i * l->read_bytes,
                                .at = p->pages_at + *node / l->per_page * l->read_bytes,
                                .bytes = l->read_bytes,
                                .tag = (void *)(uintptr_t)node };
    read_queue_add(x->queue, r, p->owner->params.direct);
    x->pages += l->read_bytes / VAMANA_DISK_PAGE;
}

static int read_some(const struct vamana_disk_part *p, struct vamana_disk_scratch *x,
                     const uint32_t *nodes, size_t n,
                     int (*visit)(void *to, uint32_t node, const unsigned char *record), void *to)
{
    const unsigned char *cached[VAMANA_DISK_BEAM_MAX];
    int rc = OK;

    for (size_t i = 0; i < n; i++) {
        cached[i] = vamana_disk_cached(p, nodes[i]);
        if (!cached[i])
            begin_read(p, x, i, &nodes[i]);
    }
    read_queue_submit(x->queue);
    for (size_t i = 0; i < n && rc == OK; i++) {
        if (cached[i])
            rc = visit(to, nodes[i], cached[i]);
        x->hits += cached[i] != NULL;
    }
    while (rc == OK && read_queue_in_flight(x->queue) > 0) {
        const struct read_request *r = read_queue_take(x->queue, NULL);
        const uint32_t node = *(const uint32_t *)r->tag;
        const unsigned char *record = record_in(&p->layout, r->to, node);

        rc = check_read(p, r->error, r->at);
        if (rc == OK)
            rc = check_record(p, node, record);
        if (rc == OK)
            rc = visit(to, node, record);
    }
    read_queue_cancel(x->queue);
    return rc;
}

int vamana_disk_read(const struct vamana_disk_part *p, struct vamana_disk_scratch *x,
                     const uint32_t *nodes, size_t n,
                     int (*visit)(void *to, uint32_t node, const unsigned char *record), void *to)
{
    int rc = OK;

    for (size_t i = 0; i < n && rc == OK; i += VAMANA_DISK_BEAM_MAX)
        rc = read_some(p, x, nodes + i, n - i < VAMANA_DISK_BEAM_MAX ? n - i : VAMANA_DISK_BEAM_MAX,
                       visit, to);
    return rc;
}

/* ------------------------------------------------------------------------- all records */

int vamana_disk_read_runs(const struct vamana_disk_part *p,
                          int (*take)(void *to, const unsigned char *pages, size_t n_reads,
                                      uint32_t first),
                          void *to)
{
    const struct vamana_disk_layout *l = &p->layout;
    const uint64_t all = vamana_disk_n_reads(l, p->n);
    const size_t each = l->read_bytes < RUN_BYTES ? RUN_BYTES / l->read_bytes : 1;
    struct mem *mem = p->owner->base.env.mem;
    unsigned char *block = mem_alloc(mem, each * l->read_bytes + VAMANA_DISK_PAGE);
    int rc = OK;

    if (!block)
        return fail(p->owner->base.env.error, ERR_NO_MEMORY,
                    "vamana-disk: out of memory for pages");
    unsigned char *run = aligned(block);
    for (uint64_t at = 0; at < all && rc == OK; at += each) {
        const size_t n = all - at < each ? (size_t)(all - at) : each;
        const uint64_t from = p->pages_at + at * l->read_bytes;

        errno = 0;
        if (file_read_at(p->fd, run, n * l->read_bytes, from, NULL) < n * l->read_bytes)
            rc = check_read(p, errno ? errno : READ_SHORT, from);
        if (rc == OK)
            rc = take(to, run, n, (uint32_t)(at * l->per_page));
    }
    mem_free(mem, block);
    return rc;
}

struct visiting {
    const struct vamana_disk_part *part;
    int (*visit)(void *to, uint32_t node, const unsigned char *record);
    void *to;
};

static int visit_run(void *to, const unsigned char *pages, size_t n_reads, uint32_t first)
{
    const struct visiting *v = to;
    const struct vamana_disk_layout *l = &v->part->layout;
    int rc = OK;

    for (size_t i = 0; i < n_reads * l->per_page && first + i < v->part->n && rc == OK; i++) {
        const uint32_t node = first + (uint32_t)i;
        const unsigned char *record = record_in(l, pages + i / l->per_page * l->read_bytes, node);

        rc = check_record(v->part, node, record);
        if (rc == OK)
            rc = v->visit(v->to, node, record);
    }
    return rc;
}

int vamana_disk_read_all(const struct vamana_disk_part *p,
                         int (*visit)(void *to, uint32_t node, const unsigned char *record),
                         void *to)
{
    struct visiting v = { p, visit, to };

    return vamana_disk_read_runs(p, visit_run, &v);
}
