/* snapshot.c - names of snapshots; an index's state written into one, and restored from it. */
#include "algorithms/spfresh/durable/durable.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/spfresh/filing/filing.h"
#include "src/core/mem.h"
#include "src/core/param.h"
#include "src/core/path_print.h"

#define PREFIX "snapshot."

/* ------------------------------------------------------------------------------- names */

void spfresh_snapshot_name(char name[SNAPSHOT_NAME_BYTES], uint64_t number)
{
    (void)snprintf(name, SNAPSHOT_NAME_BYTES, PREFIX "%" PRIu64, number);
}

int spfresh_snapshot_newest(const struct index_env *env, const char *dir, uint64_t *number)
{
    if (file_newest(dir, PREFIX, UINT64_MAX, number))
        return OK;
    return fail_errno(env->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                      "cannot read the folder %s", dir);
}

bool spfresh_snapshot_remove(const struct spfresh *s, uint64_t number)
{
    char name[SNAPSHOT_NAME_BYTES], path[PATH_MAX];

    spfresh_snapshot_name(name, number);
    return path_print(path, NULL, "%s/%s", s->base.env.dir, name) == OK &&
           !file_faulted(s->durable.fault, "unlink") && (unlink(path) == 0 || errno == ENOENT);
}

void spfresh_snapshot_remove_older(const struct spfresh *s, uint64_t than)
{
    while (file_newest(s->base.env.dir, PREFIX, than, &than) && than > 0)
        (void)spfresh_snapshot_remove(s, than);
}

/* ------------------------------------------------------------------------------ sections */

static void write_heads(struct spfresh *s, struct store_writer *w, size_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct spfresh_head *h = spfresh_head(s, i);
        struct spfresh_snapshot_head out = { 0 };
        if (spfresh_is_open(s, i))
            out = (struct spfresh_snapshot_head){ .size = atomic_load(&h->size),
                                                  .flags = atomic_load(&h->flags) &
                                                           (HEAD_OPEN | HEAD_UNSPLITTABLE),
                                                  .refused = atomic_load(&h->refused),
                                                  .error = atomic_load(&h->error) };
        store_write(w, &out, sizeof out);
    }
}

/* Writes or finds "versions", "ids" and "heads". s: what is written. */
static int fields(struct store_fields *f, struct spfresh *s, struct spfresh_snapshot_sections *x)
{
    const uint64_t *ids = f->w ? atomic_load(&s->slots.ids) : NULL;

    if (store_pieces(f, "versions", &x->versions, x->meta->slots, sizeof *x->versions))
        for (uint32_t i = 0; i < x->meta->slots; i++)
            store_write(f->w, &(uint16_t){ (uint16_t)spfresh_version(s, i) }, sizeof *x->versions);
    if (store_pieces(f, "ids", &x->ids, x->meta->live, sizeof *x->ids)) /* of live ones */
        for (uint32_t i = 0; i < x->meta->slots; i++)
            if (!(spfresh_version(s, i) & VERSION_DELETED))
                store_write(f->w, &ids[i], sizeof *ids);
    if (store_pieces(f, "heads", &x->heads, x->meta->heads, sizeof *x->heads))
        write_heads(s, f->w, (size_t)x->meta->heads);
    return f->code;
}

/* A slot that is dropped but not yet free counts as deleted: after a crash no reader holds it. */
int spfresh_snapshot_write(struct spfresh *s, struct store_writer *w, uint64_t lsn)
{
    struct spfresh_snapshot_meta meta;
    struct store_fields f = { .w = w };

    memset(&meta, 0, sizeof meta);
    meta.lsn = lsn;
    meta.slots = atomic_load(&s->slots.n);
    meta.heads = graph_capacity(s->graph);
    meta.built = atomic_load(&s->built);
    meta.repeats = atomic_load(&s->repeats);
    for (uint32_t i = 0; i < meta.slots; i++)
        meta.live += !(spfresh_version(s, i) & VERSION_DELETED);
    store_section(w, "meta");
    store_write(w, &meta, sizeof meta);
    store_section(w, "params");
    store_write(w, &s->params, sizeof s->params);
    (void)fields(&f, s, &(struct spfresh_snapshot_sections){ .meta = &meta });
    const int rc = graph_save(s->graph, w);
    return rc ? rc : spfresh_codec_field(s->codec, &f);
}

/* ------------------------------------------------------------------------------ reading */

int spfresh_snapshot_find(struct spfresh_snapshot_sections *x, const struct store_reader *r,
                          const struct index_ops *ops)
{
    int rc = store_need_array(r, "meta", 1, sizeof *x->meta, &x->meta);

    if (!rc)
        rc = store_read_params(r, ops->params, sizeof x->params, &x->params);
    if (rc)
        return rc;
    if (x->meta->slots >= SLOT_NONE || x->meta->heads >= GRAPH_NONE)
        return store_corrupt(r, "more vectors or heads than there are numbers");
    return fields(&(struct store_fields){ .r = r }, NULL, x);
}

/* ------------------------------------------------------------------------------- slots */

static int read_slots(struct spfresh *s, const struct spfresh_snapshot_sections *x,
                      const struct store_reader *r)
{
    struct spfresh_slots *slots = &s->slots;
    const size_t n = (size_t)x->meta->slots;
    struct mem *mem = s->base.env.mem;
    uint64_t *ids = n > 0 ? epoch_array(mem, n, sizeof *ids) : NULL;
    uint64_t live = 0;

    atomic_store(&slots->ids, ids);
    slots->ids_capacity = n;
    if ((n > 0 && !ids) || !segmented_grow(&slots->versions, n) ||
        !slot_table_reserve(&slots->table, ids, x->ids, (size_t)x->meta->live))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: load: out of memory for %zu vectors",
                    s->base.ops->name, n);
    for (uint32_t i = (uint32_t)n; i-- > 0;) { /* descending: low slots are used first */
        spfresh_set_version(s, i, x->versions[i]);
        if (x->versions[i] & VERSION_DELETED)
            spfresh_slot_give(s, i);
        else
            live++;
    }
    if (live != x->meta->live)
        return store_corrupt(r, "live vectors and their ids do not add up");
    for (uint32_t i = 0, at = 0; i < n; i++)
        ids[i] = x->versions[i] & VERSION_DELETED ? INDEX_NO_ID : x->ids[at++];
    atomic_store(&slots->n, n);
    atomic_store(&slots->live, (size_t)live);
    return store_take_ids(r, ids, n, (size_t)live, &slots->table);
}

/* ------------------------------------------------------------------------------- heads */

static int read_heads(struct spfresh *s, const struct spfresh_snapshot_sections *x,
                      const struct store_reader *r)
{
    const size_t n = (size_t)x->meta->heads;

    if (n != graph_capacity(s->graph))
        return store_corrupt(r, "its heads are not the graph's nodes");
    if (!segmented_grow(&s->heads, n + SPFRESH_ADDERS))
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: load: out of memory for %zu heads",
                    s->base.ops->name, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct spfresh_snapshot_head *in = &x->heads[i];
        struct spfresh_head *h = spfresh_head(s, i);
        const bool open = in->flags & HEAD_OPEN;
        if (open != graph_is_live(s->graph, i))
            return store_corrupt(
                r, "a head is open and the graph does not have it, or closed and it has");
        atomic_store(&h->size, in->size);
        atomic_store(&h->error, in->error);
        atomic_store(&h->refused, in->refused);
        atomic_store(&h->flags, in->flags & (HEAD_OPEN | HEAD_UNSPLITTABLE));
    }
    atomic_store(&s->built, x->meta->built != 0);
    atomic_store(&s->repeats, x->meta->repeats != 0);
    return OK;
}

int spfresh_snapshot_restore(struct spfresh *s, const struct spfresh_snapshot_sections *x,
                             const struct store_reader *r)
{
    const struct graph_options options = spfresh_graph_options(s);
    int rc = spfresh_codec_field(s->codec, &(struct store_fields){ .r = r });

    if (!rc) {
        spfresh_set_limits(s);
        graph_destroy(s->graph);
        s->graph = NULL;
        rc = graph_load(&s->graph, &s->base.env, s->epoch, &options, r);
    }
    if (!rc)
        rc = read_heads(s, x, r);
    return rc ? rc : read_slots(s, x, r);
}

int spfresh_snapshot_fits(struct spfresh *s, const struct store_reader *r)
{
    const size_t n = graph_capacity(s->graph);

    for (uint32_t i = 0; i < n; i++) {
        const size_t size = atomic_load(&spfresh_head(s, i)->size);
        if (!spfresh_is_open(s, i))
            posting_drop(s->store, i);
        else if (posting_length(s->store, i) != spfresh_codec_bytes(s->codec, size))
            return store_corrupt(r, "a posting is not as long as its entries are");
    }
    return OK;
}
