/* build.c - a disk part from a graph in memory: its rows are numbered anew, coded, and written as
 * records with the graph's links (DiskANN, section 3.2). */
#include <string.h>

#include "algorithms/vamana_disk/vamana_disk.h"
#include "src/core/mem.h"
#include "src/core/parallel.h"

enum { CODED_A_CHUNK = 256 };

struct building {
    struct vamana_disk_part *part;
    const struct graph_index *from;
    uint32_t *nodes;   /* by number on disk: the node in memory */
    uint32_t *numbers; /* by node in memory: the number on disk */
    float *floats;     /* of each thread: two rows */
};

static int code_rows(void *arg, size_t first, size_t end, size_t worker)
{
    const struct building *b = arg;
    float *floats = b->floats + worker * 2 * b->part->quantizer->dim;

    for (size_t i = first; i < end; i++)
        vamana_disk_part_code(b->part, (uint32_t)i, graph_row(b->from->graph, b->nodes[i]), floats);
    return OK;
}

/* Trains the quantizer on rows at equal steps, and codes all rows. */
static int code(struct building *b)
{
    struct vamana_disk_part *p = b->part;
    const struct vamana_disk *h = p->owner;
    const struct index_env *env = &h->base.env;
    const size_t threads = pool_threads(env->pool), dim = vamana_disk_row_env(h).dim;
    const size_t n = p->n < VAMANA_DISK_TRAIN_ROWS ? p->n : VAMANA_DISK_TRAIN_ROWS;
    struct mem_group g = { .mem = env->mem };
    float *rows = mem_group_array(&g, n, dim * sizeof *rows);

    b->floats = mem_group_array(&g, threads, 2 * dim * sizeof *b->floats);
    for (size_t i = 0; !g.failed && i < n; i++)
        vamana_disk_floats(p, graph_row(b->from->graph, b->nodes[i * p->n / n]), rows + i * dim);
    int rc = g.failed ? fail(env->error, ERR_NO_MEMORY, "vamana-disk: out of memory for codes")
                      : vamana_disk_part_train(p, rows, n);
    if (rc == OK)
        rc = parallel_for(env->pool, threads, p->n, CODED_A_CHUNK, code_rows, b);
    mem_group_free(&g);
    return rc;
}

static void fill_record(const struct building *b, uint32_t number, unsigned char *record)
{
    const struct vamana_disk_layout *l = &b->part->layout;
    struct vamana_disk_links *links = vamana_disk_links_of(l, record);
    uint32_t to[256];
    const size_t n = graph_links(b->from->graph, b->nodes[number], to);

    vamana_disk_put_row(b->part, graph_row(b->from->graph, b->nodes[number]), record);
    links->n = (uint32_t)n;
    for (size_t i = 0; i < n; i++)
        links->to[i] = b->numbers[to[i]];
}

static int write_pages(void *to, struct store_writer *w)
{
    const struct building *b = to;
    const struct vamana_disk_layout *l = &b->part->layout;
    struct mem *mem = b->part->owner->base.env.mem;
    unsigned char *page = mem_alloc(mem, l->read_bytes);

    if (!page)
        return fail(b->part->owner->base.env.error, ERR_NO_MEMORY,
                    "vamana-disk: out of memory for a page");
    for (size_t i = 0; i < b->part->n; i += l->per_page) {
        memset(page, 0, l->read_bytes);
        for (size_t j = 0; j < l->per_page && i + j < b->part->n; j++)
            fill_record(b, (uint32_t)(i + j), page + j * l->record_bytes);
        store_write(w, page, l->read_bytes);
    }
    mem_free(mem, page);
    return w->code;
}

static int fill_part(struct building *b, struct graph_index *recent)
{
    struct vamana_disk_part *p = b->part;
    const struct vamana_disk_pages pages = { write_pages, b };
    struct vamana_disk *h = (struct vamana_disk *)(uintptr_t)p->owner;
    int rc = OK;

    for (size_t i = 0; i < p->n; i++)
        atomic_init(&p->ids[i], graph_index_id_of(b->from, b->nodes[i]));
    p->norm_max_sq = vamana_disk_greatest_norm_sq(b->from);
    rc = vamana_disk_part_map(p);
    if (rc == OK && p->n > 0) {
        p->entry = b->numbers[graph_entry(b->from->graph)];
        rc = code(b);
    }
    if (rc == OK)
        rc = vamana_disk_write(h, h->dir, p, recent, &pages, &p->pages_at);
    return rc == OK && p->n > 0 ? vamana_disk_part_attach(p, h->dir) : rc;
}

int vamana_disk_build(struct vamana_disk *h, struct graph_index *from, struct graph_index *recent,
                      struct vamana_disk_part **out)
{
    struct mem *mem = h->base.env.mem;
    const size_t capacity = graph_capacity(from->graph);
    struct building b = { .from = from };
    size_t n = 0;
    int rc = OK;

    b.nodes = mem_array(mem, capacity, sizeof *b.nodes);
    b.numbers = mem_array(mem, capacity, sizeof *b.numbers);
    /* All live nodes have an id, as deletes were consolidated. */
    for (uint32_t i = 0; b.nodes && b.numbers && i < capacity; i++)
        if (graph_is_live(from->graph, i)) {
            b.numbers[i] = (uint32_t)n;
            b.nodes[n++] = i;
        }
    if (b.nodes && b.numbers)
        rc = vamana_disk_part_create(&b.part, h, n);
    else
        rc = fail(h->base.env.error, ERR_NO_MEMORY, "vamana-disk: out of memory for %zu rows",
                  capacity);
    if (rc == OK)
        rc = fill_part(&b, recent);
    mem_free(mem, b.nodes);
    mem_free(mem, b.numbers);
    if (rc == OK)
        *out = b.part;
    else
        vamana_disk_part_destroy(b.part);
    return rc;
}
