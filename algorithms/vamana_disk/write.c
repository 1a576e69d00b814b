/* write.c - the file: sections "params", "disk.head", "disk.ids", "disk.pq", "disk.codes", "pages",
 * and those of the recent rows (graph_index_write()). */
#include "algorithms/vamana_disk/write_internal.h"

#include "src/core/mem.h"

int vamana_disk_fields(struct store_fields *f, const struct index_env *env, struct quantizer **q,
                       struct vamana_disk_file *v)
{
    if (store_field(f, "disk.head", &v->head, 1, sizeof *v->head) != OK)
        return f->code;
    store_field(f, "disk.ids", &v->ids, v->head->n, sizeof *v->ids);
    return pq_codes_field(f, "disk.pq", env, q) == OK && *q
               ? store_field(f, "disk.codes", &v->codes, v->head->n, pq_codes_bytes(*q))
               : f->code;
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
                     const struct vamana_disk_part *p, struct graph_index *recent,
                     const struct vamana_disk_pages *pages, uint64_t *pages_at)
{
    const struct store_identity identity =
        store_identity_of(&h->base.env, h->base.ops->name, VAMANA_DISK_VERSION);
    const struct vamana_disk_head head = { p->n, p->unseen, p->entry, p->norm_max_sq };
    struct vamana_disk_file v = { &head, (const void *)(uintptr_t)p->ids, p->codes };
    struct quantizer *quantizer = p->quantizer;

    (void)store_begin(w, dir, VAMANA_DISK_FILE, &identity, NULL, h->base.env.error);
    store_section(w, "params");
    store_write(w, &h->params, sizeof h->params);
    (void)vamana_disk_fields(&(struct store_fields){ .w = w }, &h->base.env, &quantizer, &v);
    write_pages(pages, w, pages_at);
    (void)graph_index_write(&recent->base, w);
    return store_commit(w);
}

int vamana_disk_write(struct vamana_disk *h, const char *dir, const struct vamana_disk_part *p,
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

int vamana_disk_copy_pages(void *to, struct store_writer *w)
{
    struct copying c = { to, w };

    return vamana_disk_read_runs(to, copy_run, &c);
}
