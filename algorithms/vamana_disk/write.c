/* write.c - the file: sections "params", "disk.head", "disk.ids", "disk.pq", "disk.codes", "pages",
 * and those of the recent rows (graph_index_write()). */
#include "algorithms/vamana_disk/write_internal.h"

#include "src/core/mem.h"

static void write_quantizer(struct vamana_disk *h, const struct vamana_disk_part *p,
                            struct store_writer *w)
{
    if (!p->quantizer)
        return;
    const size_t n = quantizer_save(p->quantizer, NULL);
    unsigned char *bytes = mem_alloc(h->base.env.mem, n);

    if (bytes) {
        (void)quantizer_save(p->quantizer, bytes);
        store_section(w, "disk.pq");
        store_write(w, bytes, n);
        store_section(w, "disk.codes");
        store_write(w, p->codes, p->n * pq_codes_bytes(p->quantizer));
    } else {
        store_fail(w, fail(h->base.env.error, ERR_NO_MEMORY,
                           "vamana-disk: out of memory for a quantizer"));
    }
    mem_free(h->base.env.mem, bytes);
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

    (void)store_begin(w, dir, VAMANA_DISK_FILE, &identity, NULL, h->base.env.error);
    store_section(w, "params");
    store_write(w, &h->params, sizeof h->params);
    store_section(w, "disk.head");
    store_write(w, &head, sizeof head);
    store_section(w, "disk.ids");
    store_write(w, (const void *)(uintptr_t)p->ids, p->n * sizeof(uint64_t));
    write_quantizer(h, p, w);
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
