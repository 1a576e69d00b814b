/* check.c - the invariants: the map and the ids, each record's links and code, the cache. */
#include <inttypes.h>
#include <string.h>

#include "algorithms/vamana_disk/vamana_disk.h"
#include "src/core/mem.h"

struct checking {
    const struct vamana_disk_part *part;
    float *floats, *transformed;
    uint8_t *code;
};

static int broken(const struct checking *c, uint32_t node, const char *what)
{
    return fail(c->part->owner->base.env.error, ERR_INVARIANT, "vamana-disk: node %" PRIu32 " %s",
                node, what);
}

static int check_record(void *to, uint32_t node, const unsigned char *record)
{
    const struct checking *c = to;
    const struct vamana_disk_part *p = c->part;
    const struct vamana_disk_links *links = vamana_disk_links_of(&p->layout, record);
    const size_t code_bytes = pq_codes_bytes(p->quantizer);
    const unsigned char *cached = vamana_disk_cached(p, node);

    for (size_t i = 0; i < links->n; i++) {
        if (links->to[i] == node)
            return broken(c, node, "links to itself");
        for (size_t j = 0; j < i; j++)
            if (links->to[j] == links->to[i])
                return broken(c, node, "links twice to the same node");
    }
    if (p->n > 1 && links->n == 0)
        return broken(c, node, "has no links");
    if (cached && memcmp(cached, record, p->layout.record_bytes) != 0)
        return broken(c, node, "differs in the cache and in the file");
    vamana_disk_floats(p, record, c->floats);
    quantizer_transform(p->quantizer, c->floats, 1, c->transformed);
    pq_codes_put(p->quantizer, c->transformed, c->code);
    return memcmp(c->code, p->codes + node * code_bytes, code_bytes) == 0
               ? OK
               : broken(c, node, "has the code of another row");
}

static int check_records(const struct vamana_disk_part *p)
{
    struct mem *mem = p->owner->base.env.mem;
    struct checking c = { .part = p };
    int rc = OK;

    c.floats = mem_array(mem, 2 * p->quantizer->dim, sizeof *c.floats);
    c.code = mem_alloc(mem, pq_codes_bytes(p->quantizer));
    if (c.floats && c.code) {
        c.transformed = c.floats + p->quantizer->dim;
        rc = vamana_disk_read_all(p, check_record, &c);
    } else {
        rc = fail(p->owner->base.env.error, ERR_NO_MEMORY,
                  "vamana-disk: out of memory, cannot "
                  "check");
    }
    mem_free(mem, c.floats);
    mem_free(mem, c.code);
    return rc;
}

static int check_ids(const struct vamana_disk_view *view)
{
    const struct vamana_disk_part *p = view->part;
    const struct checking c = { .part = p };
    size_t live = 0;

    for (uint32_t i = 0; i < p->n; i++) {
        const uint64_t id = vamana_disk_id(p, i);
        uint32_t node;

        if (id == INDEX_NO_ID)
            continue;
        live++;
        if (!slot_table_get(&p->nodes, (const uint64_t *)(uintptr_t)p->ids, id, &node) || node != i)
            return broken(&c, i, "has an id that the map has elsewhere");
        if (slot_table_get(&view->recent->nodes, graph_index_ids(view->recent), id, NULL))
            return broken(&c, i, "has an id that is in memory too");
    }
    if (live != p->nodes.n || live != vamana_disk_live(p))
        return fail(p->owner->base.env.error, ERR_INVARIANT,
                    "vamana-disk: %zu live nodes on disk, %zu counted, %zu mapped", live,
                    vamana_disk_live(p), p->nodes.n);
    return OK;
}

int vamana_disk_check(const struct index *index, struct stat_sink *sink)
{
    const struct vamana_disk_view *view = vamana_disk_view_of(vamana_disk_of(index));
    int rc = check_ids(view);

    if (rc == OK && view->part->n > 0)
        rc = check_records(view->part);
    return rc == OK ? graph_index_check(&view->recent->base, sink) : rc;
}
