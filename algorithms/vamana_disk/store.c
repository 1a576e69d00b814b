/* store.c - writing the file (sections "params", "disk.head", "disk.ids", "disk.pq", "disk.codes",
 * "pages", and those of the recent rows, graph_index_write()), saving the index to a folder, and loading
 * it: from its own folder, which is used as it is, or from another, whose file is copied to its own. */
#include <math.h>
#include <string.h>

#include "algorithms/common/durable/folder_claim.h"
#include "algorithms/vamana_disk/vamana_disk.h"
#include "src/core/mem.h"

struct vamana_disk_head {
    uint64_t n, unseen;
    uint32_t entry;
    float norm_max_sq;
};

/* Makes the part that the head describes. */
static int begin_part(struct vamana_disk_part **p, const struct vamana_disk *h,
                      const struct store_reader *r, const struct vamana_disk_head *head)
{
    if (head->n >= GRAPH_NONE || (head->n > 0 && head->entry >= head->n) ||
        !(head->norm_max_sq >= 0 && isfinite(head->norm_max_sq)))
        return store_corrupt(r, "the number of nodes or the entry is out of range");
    const int rc = vamana_disk_part_create(p, h, (size_t)head->n);
    if (rc == OK) {
        (*p)->entry = head->entry;
        (*p)->unseen = head->unseen;
        (*p)->norm_max_sq = head->norm_max_sq;
    }
    return rc;
}

/* The sections "disk.head", "disk.ids", "disk.pq" and "disk.codes" of *part, which reading makes. */
static int fields(struct store_fields *f, const struct vamana_disk *h,
                  const struct vamana_disk_head *head, struct vamana_disk_part **part)
{
    const struct index_env env = vamana_disk_row_env(h);
    const size_t each = vamana_disk_groups(h);

    if (store_field(f, "disk.head", &head, 1, sizeof *head) != OK ||
        (f->r && (f->code = begin_part(part, h, f->r, head)) != OK))
        return f->code;
    struct vamana_disk_part *p = *part;
    store_copy(f, "disk.ids", (void *)(uintptr_t)p->ids, p->n, sizeof(uint64_t));
    if (pq_codes_field(f, "disk.pq", &env, &p->quantizer) != OK || p->n == 0)
        return f->code;
    if (!p->quantizer || pq_codes_bytes(p->quantizer) != each)
        return f->code = store_corrupt(f->r, "codes of another length than the params say");
    return store_array(f, "disk.codes", &p->codes, NULL, p->n, each);
}

/* The pages begin at a multiple of their size, so that they can be read past the page cache. */
static void write_pages(const struct vamana_disk_pages *pages, struct store_writer *w,
                        uint64_t *pages_at)
{
    static const unsigned char zeros[VAMANA_DISK_PAGE];

    store_section(w, "pages");
    const uint64_t off = store_offset(w) % VAMANA_DISK_PAGE;
    store_write(w, zeros, (size_t)(off ? VAMANA_DISK_PAGE - off : 0));
    *pages_at = store_offset(w);
    if (w->code == OK) {
        const int rc = pages->write(pages->to, w);

        if (rc != OK)
            store_fail(w, rc);
    }
}

static int write_all(struct vamana_disk *h, struct store_writer *w, const char *dir,
                     struct vamana_disk_part *p, struct graph_index *recent,
                     const struct vamana_disk_pages *pages, uint64_t *pages_at)
{
    const struct store_identity identity =
        store_identity_of(&h->base.env, h->base.ops->name, VAMANA_DISK_VERSION);
    const struct vamana_disk_head head = { p->n, p->unseen, p->entry, p->norm_max_sq };

    (void)store_begin(w, dir, VAMANA_DISK_FILE, &identity, NULL, h->base.env.error);
    store_section(w, "params");
    store_write(w, &h->params, sizeof h->params);
    (void)fields(&(struct store_fields){ .w = w }, h, &head, &p);
    write_pages(pages, w, pages_at);
    (void)graph_index_write(&recent->base, w);
    return store_commit(w);
}

int vamana_disk_write(struct vamana_disk *h, const char *dir, struct vamana_disk_part *p,
                      struct graph_index *recent, const struct vamana_disk_pages *pages,
                      uint64_t *pages_at)
{
    struct store_writer *w = mem_alloc(h->base.env.mem, sizeof *w);

    if (!w)
        return fail(h->base.env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for a file");
    const int rc = write_all(h, w, dir, p, recent, pages, pages_at);
    mem_free(h->base.env.mem, w);
    return rc;
}

struct copying {
    const struct vamana_disk_part *part;
    struct store_writer *w;
};

static int copy_run(void *to, const unsigned char *pages, size_t n_reads, uint32_t first)
{
    const struct copying *c = to;

    (void)first;
    store_write(c->w, pages, n_reads * c->part->layout.read_bytes);
    return c->w->code;
}

/* Those of the part `to`. */
static int copy_pages(void *to, struct store_writer *w)
{
    struct copying c = { to, w };

    return vamana_disk_read_runs(to, copy_run, &c);
}

/* In its own folder the file takes the name of the one in use, which has the same pages: searches go
   on in that one until the next merge. */
int vamana_disk_save(struct index *index, const char *dir)
{
    struct vamana_disk *h = vamana_disk_of(index);
    uint64_t pages_at = 0;

    pthread_mutex_lock(&h->lock);
    struct vamana_disk_view *view = vamana_disk_view_of(h);
    struct vamana_disk_part *p = view->part;
    const struct vamana_disk_pages pages = { copy_pages, p };
    const int rc = vamana_disk_write(h, dir, p, view->recent, &pages, &pages_at);
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* ------------------------------------------------------------------------------- loading */

static int take_pages(struct vamana_disk_part *p, const struct store_reader *r)
{
    const unsigned char *bytes;
    size_t n;
    const int rc = store_need(r, "pages", SIZE_MAX, (const void **)&bytes, &n);

    if (rc != OK)
        return rc;
    const uint64_t at = (uint64_t)(bytes - r->base), off = at % VAMANA_DISK_PAGE;
    p->pages_at = at + (off ? VAMANA_DISK_PAGE - off : 0);
    return at + n - p->pages_at == vamana_disk_n_reads(&p->layout, p->n) * p->layout.read_bytes
               ? OK
               : store_corrupt(r, "there are not as many pages as nodes need");
}

static int take_part(struct vamana_disk *h, const struct store_reader *r,
                     struct vamana_disk_part **out)
{
    struct vamana_disk_part *p = NULL;
    int rc = fields(&(struct store_fields){ .r = r, .mem = h->base.env.mem }, h, NULL, &p);

    rc = rc == OK ? vamana_disk_part_map(p) : rc;
    rc = rc == OK ? take_pages(p, r) : rc;
    if (rc == OK)
        *out = p;
    else
        vamana_disk_part_destroy(p);
    return rc;
}

/* Opens the file; one of another folder is copied into the index's own, which is then opened. */
static int import_file(struct vamana_disk *h, const char *dir, struct vamana_disk_part *p,
                       struct graph_index *recent)
{
    const struct vamana_disk_pages pages = { copy_pages, p };
    uint64_t at = 0;
    int rc = p->n > 0 ? vamana_disk_part_attach(p, dir) : OK;

    if (rc != OK || folder_same(dir, h->dir))
        return rc;
    rc = vamana_disk_write(h, h->dir, p, recent, &pages, &at);
    p->pages_at = at;
    return rc == OK && p->n > 0 ? vamana_disk_part_attach(p, h->dir) : rc;
}

static int take_all(struct vamana_disk *h, struct store_reader *r, const char *dir)
{
    struct vamana_disk_part *p = NULL;
    struct graph_index *recent = NULL;
    int rc = take_part(h, r, &p);

    if (rc == OK)
        rc = vamana_disk_recent_create(h, &recent);
    if (rc == OK)
        rc = graph_index_read(&recent->base, r);
    if (rc == OK)
        rc = import_file(h, dir, p, recent);
    if (rc == OK)
        return vamana_disk_show(h, p, recent);
    vamana_disk_part_destroy(p);
    if (recent)
        graph_index_destroy(&recent->base);
    return rc;
}

int vamana_disk_load(struct index **index, const struct index_ops *ops, const struct index_env *env,
                     const char *dir)
{
    const struct store_identity identity = store_identity_of(env, ops->name, VAMANA_DISK_VERSION);
    struct vamana_disk_params params;
    struct vamana_disk *h = NULL;
    struct store_reader r;
    int rc = store_open(&r, dir, VAMANA_DISK_FILE, &identity, env->error);

    if (rc != OK)
        return rc;
    rc = store_read_params(&r, ops->params, sizeof params, &params);
    if (rc == OK)
        rc = vamana_disk_open(&h, ops, env, &params);
    if (rc == OK) {
        rc = take_all(h, &r, dir);
        if (rc == OK)
            *index = &h->base;
        else
            vamana_disk_destroy(&h->base);
    }
    store_close(&r);
    return rc;
}
