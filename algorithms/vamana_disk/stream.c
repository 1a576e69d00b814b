/* stream.c - the streaming merge (FreshDiskANN, section 5.3), three phases. Delete: one pass over the
 * file writes a file between, in which a node with deleted neighbours has links selected among the
 * neighbours of these. Insert: link.c. Patch: a pass over the file between adds the links back and
 * the recent rows, and writes the new file. Links are selected by the distances of codes. */
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/vamana_disk/stream_internal.h"
#include "kernels/kernels.h"
#include "src/core/path_print.h"

#define NORM_SHRINKS 1.5625F /* a quarter, squared */

static int no_memory(const struct vamana_disk_stream *s)
{
    return fail(s->h->base.env.error, ERR_NO_MEMORY, "vamana-disk: out of memory to merge %zu rows",
                s->kept + s->n_recent);
}

/* --------------------------------------------------------------------------------- output */

static int flush(struct vamana_disk_stream *s)
{
    const int rc = s->in_page > 0 ? s->put(s->to, s->page) : OK;

    memset(s->page, 0, s->part->layout.read_bytes);
    s->in_page = 0;
    return rc;
}

/* Every node but an only one has a link, so that searches can leave it. */
static int emit(struct vamana_disk_stream *s, uint32_t number, const unsigned char *row,
                const uint32_t *to, size_t n)
{
    const struct vamana_disk_layout *l = &s->part->layout;
    unsigned char *record = s->page + s->in_page * l->record_bytes;
    struct vamana_disk_links *links = vamana_disk_links_of(l, record);
    const uint32_t entry = s->part->entry;

    vamana_disk_put_row(s->part, row, record);
    links->n = (uint32_t)n;
    memcpy(links->to, to, n * sizeof *to);
    if (n == 0 && s->kept > 1) {
        links->n = 1;
        links->to[0] = entry != number ? entry : (number + 1) % (uint32_t)s->kept;
    }
    return ++s->in_page == l->per_page ? flush(s) : OK;
}

/* ------------------------------------------------------------------------------ preparation */

/* Numbers of the rows that stay, and their ids; the nodes of the others. */
static void number_kept(struct vamana_disk_stream *s)
{
    uint32_t n = 0, deleted = 0;

    for (uint32_t i = 0; i < s->old->n; i++) {
        const uint64_t id = vamana_disk_id(s->old, i);

        s->map[i] = id == INDEX_NO_ID ? deleted : n;
        if (id == INDEX_NO_ID)
            s->gone[deleted++] = i;
        else
            atomic_init(&s->part->ids[n++], id);
    }
}

static int number_recent(struct vamana_disk_stream *s)
{
    const size_t capacity = graph_capacity(s->recent->graph);
    struct mem_group *g = &s->memory;
    size_t n = 0;

    s->nodes = mem_group_array(g, s->n_recent, sizeof *s->nodes);
    s->number_of = mem_group_array(g, capacity, sizeof *s->number_of);
    s->rows = mem_group_array(g, s->n_recent, s->part->layout.row_bytes);
    const bool ready = !g->failed;
    for (uint32_t i = 0; ready && i < capacity; i++) {
        if (!graph_is_live(s->recent->graph, i))
            continue;
        const uint32_t number = (uint32_t)(s->kept + n);
        unsigned char *row = s->rows + n * s->part->layout.row_bytes;
        vamana_disk_put_row(s->part, graph_row(s->recent->graph, i), row);
        atomic_init(&s->part->ids[number], graph_index_id_of(s->recent, i));
        s->number_of[i] = (uint32_t)n;
        s->nodes[n++] = i;
    }
    return ready ? OK : no_memory(s);
}

static int measure_norm(void *to, uint32_t node, const unsigned char *record)
{
    struct vamana_disk_stream *s = to;
    const struct index_env *env = &s->h->base.env;
    const float *row = (const float *)(const void *)record;

    if (vamana_disk_id(s->old, node) != INDEX_NO_ID)
        s->part->norm_max_sq =
            fmaxf(s->part->norm_max_sq, env->kernels->ip_f32(row, row, env->dim));
    return OK;
}

/* The greatest norm under INDEX_IP: where it is another, all rows are coded anew. So a lesser one
   is taken only if much of the codes' precision is for norms that are gone. */
static int measure_norms(struct vamana_disk_stream *s)
{
    const float old = s->old->norm_max_sq;
    int rc = OK;

    if (s->h->base.env.metric != INDEX_IP)
        return OK;
    s->part->norm_max_sq = vamana_disk_greatest_norm_sq(s->recent);
    if (s->part->norm_max_sq < old)
        rc = vamana_disk_read_all(s->old, measure_norm, s);
    if (s->part->norm_max_sq < old && s->part->norm_max_sq * NORM_SHRINKS > old)
        s->part->norm_max_sq = old;
    return rc;
}

/* Searches begin at the row on disk that is nearest to the mean of all, by its code. */
static void choose_entry(struct vamana_disk_stream *s)
{
    struct vamana_disk_part *p = s->part;
    float least = INFINITY, *table = s->prune.table, *mean = s->prune.rows;

    memset(mean, 0, p->quantizer->dim * sizeof *mean); /* transformed rows have their mean at 0 */
    pq_codes_query(p->quantizer, mean, table);
    p->entry = 0; /* also if no distance is finite */
    for (uint32_t i = 0; i < s->kept; i++) {
        float distance;

        pq_codes_distances(p->quantizer, table, p->codes, &i, 1, &distance);
        if (distance < least) {
            least = distance;
            p->entry = i;
        }
    }
}

/* ------------------------------------------------------------------------------ delete phase */

static int keep_links(void *to, uint32_t node, const unsigned char *record)
{
    struct vamana_disk_stream *s = to;
    const struct vamana_disk_links *links = vamana_disk_links_of(&s->old->layout, record);
    uint32_t *out = s->deleted + s->map[node] * (s->old->layout.degree + 1), n = 0;

    for (size_t i = 0; i < links->n; i++) {
        if (vamana_disk_id(s->old, links->to[i]) != INDEX_NO_ID)
            out[++n] = s->map[links->to[i]];
    }
    out[0] = n;
    return OK;
}

static int read_deleted(struct vamana_disk_stream *s)
{
    struct vamana_disk_scratch *x = vamana_disk_scratch_take(s->old);
    const int rc =
        x ? vamana_disk_read(s->old, x, s->gone, s->old->n - s->kept, keep_links, s) : no_memory(s);

    vamana_disk_scratch_give(s->old, x);
    return rc;
}

static int repair(void *to, uint32_t node, const unsigned char *record)
{
    struct vamana_disk_stream *s = to;
    const struct vamana_disk_links *links = vamana_disk_links_of(&s->old->layout, record);
    uint32_t out[256];
    bool around = false;

    if (vamana_disk_id(s->old, node) == INDEX_NO_ID)
        return OK;
    vamana_disk_prune_begin(&s->prune, s->map[node]);
    for (size_t i = 0; i < links->n; i++) {
        const uint32_t number = s->map[links->to[i]];

        if (vamana_disk_id(s->old, links->to[i]) != INDEX_NO_ID) {
            vamana_disk_prune_add(&s->prune, number);
            continue;
        }
        const uint32_t *further = s->deleted + number * (s->old->layout.degree + 1);
        around = true;
        for (size_t j = 1; j <= further[0]; j++)
            vamana_disk_prune_add(&s->prune, further[j]);
    }
    const size_t n = vamana_disk_prune(&s->prune, around, out);
    return emit(s, s->map[node], record, out, n);
}

static int put_between(void *to, const unsigned char *page)
{
    const struct vamana_disk_stream *s = to;
    const size_t n = s->part->layout.read_bytes;

    return file_write(s->part->fd, page, n, NULL) == n
               ? OK
               : fail_errno(s->h->base.env.error, ERR_IO, "cannot write to a file in %s",
                            s->h->dir);
}

/* The file between has no name: it is gone with its descriptor. */
static int open_between(struct vamana_disk_stream *s)
{
    char path[PATH_MAX];
    const int rc =
        path_print(path, s->h->base.env.error, "%s/%s", s->h->dir, VAMANA_DISK_FILE ".merge");

    if (rc != OK)
        return rc;
    s->part->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (s->part->fd < 0)
        return fail_errno(s->h->base.env.error, ERR_IO, "cannot create %s", path);
    (void)unlink(path);
    return OK;
}

static int delete_phase(struct vamana_disk_stream *s)
{
    int rc = open_between(s);

    s->put = put_between;
    s->to = s;
    rc = rc == OK ? read_deleted(s) : rc;
    rc = rc == OK ? vamana_disk_read_all(s->old, repair, s) : rc;
    return rc == OK ? flush(s) : rc;
}

/* ------------------------------------------------------------------------------ patch phase */

static int add_back(struct vamana_disk_stream *s, uint32_t number, const unsigned char *row)
{
    uint32_t out[256];

    for (; s->at_back < s->n_back && s->back[s->at_back] >> 32 == number; s->at_back++)
        vamana_disk_prune_add(&s->prune, (uint32_t)s->back[s->at_back]);
    const size_t n = vamana_disk_prune(&s->prune, false, out);
    return emit(s, number, row, out, n);
}

static int patch(void *to, uint32_t number, const unsigned char *record)
{
    struct vamana_disk_stream *s = to;
    const struct vamana_disk_links *links = vamana_disk_links_of(&s->part->layout, record);

    vamana_disk_prune_begin(&s->prune, number);
    for (size_t i = 0; i < links->n; i++)
        vamana_disk_prune_add(&s->prune, links->to[i]);
    return add_back(s, number, record);
}

struct writing {
    struct store_writer *w;
    size_t bytes;
};

static int put_stored(void *to, const unsigned char *page)
{
    const struct writing *out = to;

    store_write(out->w, page, out->bytes);
    return out->w->code;
}

/* While the file between is read, the part has the rows in it, and all of them afterwards. */
static int write_patched(void *to, struct store_writer *w)
{
    struct vamana_disk_stream *s = to;
    const struct vamana_disk_layout *l = &s->part->layout;
    struct writing out = { w, l->read_bytes };
    const size_t n = s->part->n;

    s->put = put_stored;
    s->to = &out;
    s->part->n = s->kept;
    int rc = vamana_disk_read_all(s->part, patch, s);
    s->part->n = n;
    for (size_t i = 0; i < s->n_recent && rc == OK; i++) {
        const uint32_t *links = s->links + i * (l->degree + 1);
        const uint32_t number = (uint32_t)(s->kept + i);

        vamana_disk_prune_begin(&s->prune, number);
        for (size_t j = 1; j <= links[0]; j++)
            vamana_disk_prune_add(&s->prune, links[j]);
        rc = add_back(s, number, s->rows + i * l->row_bytes);
    }
    return rc == OK ? flush(s) : rc;
}

/* ---------------------------------------------------------------------------------- merge */

static int prepare(struct vamana_disk_stream *s)
{
    const size_t degree = s->old->layout.degree;
    struct mem_group *g = &s->memory;
    int rc = vamana_disk_part_create(&s->part, s->h, s->kept + s->n_recent);

    if (rc != OK)
        return rc;
    s->map = mem_group_array(g, s->old->n, sizeof *s->map);
    s->gone = mem_group_array(g, s->old->n - s->kept, sizeof *s->gone);
    s->deleted = mem_group_array(g, s->old->n - s->kept, (degree + 1) * sizeof *s->deleted);
    s->page = mem_group_zalloc(g, s->part->layout.read_bytes, 1);
    if (g->failed)
        return no_memory(s);
    number_kept(s);
    rc = measure_norms(s);
    rc = rc == OK ? number_recent(s) : rc;
    rc = rc == OK ? vamana_disk_recode(s) : rc;
    if (rc != OK)
        return rc;
    /* A record's links, those of each, and the links back of a node, one by each recent row. */
    if (!vamana_disk_prune_init(&s->prune, s->part, degree * (degree + 1) + s->n_recent))
        return no_memory(s);
    choose_entry(s);
    return OK;
}

static int merge(struct vamana_disk_stream *s, struct graph_index *empty)
{
    const struct vamana_disk_pages pages = { write_patched, s };
    uint64_t pages_at = 0;
    int rc = prepare(s);

    rc = rc == OK ? delete_phase(s) : rc;
    if (rc == OK) {
        const size_t n = s->part->n;

        s->part->n = s->kept;
        rc = vamana_disk_link_recent(s);
        s->part->n = n;
    }
    rc = rc == OK ? vamana_disk_part_map(s->part) : rc;
    rc = rc == OK ? vamana_disk_write(s->h, s->h->dir, s->part, empty, &pages, &pages_at) : rc;
    if (rc != OK)
        return rc;
    s->part->pages_at = pages_at; /* the file between has its pages at 0 */
    return vamana_disk_part_attach(s->part, s->h->dir);
}

int vamana_disk_stream(struct vamana_disk *h, const struct vamana_disk_view *view,
                       struct graph_index *empty, struct vamana_disk_part **out)
{
    struct mem *mem = h->base.env.mem;
    struct vamana_disk_stream s = { .h = h,
                                    .memory.mem = mem,
                                    .old = view->part,
                                    .recent = view->recent,
                                    .kept = vamana_disk_live(view->part),
                                    .n_recent = view->recent->nodes.n };
    bool more;
    int rc = graph_index_maintain(&view->recent->base, 0, &more);

    rc = rc == OK ? merge(&s, empty) : rc;
    vamana_disk_prune_free(&s.prune);
    mem_group_free(&s.memory);
    if (rc == OK)
        *out = s.part;
    else
        vamana_disk_part_destroy(s.part);
    return rc;
}
