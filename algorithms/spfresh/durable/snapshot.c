/* snapshot.c - names of snapshots, and the writing of an index's state into one. */
#include "algorithms/spfresh/durable/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithms/spfresh/codec/codec.h"
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

int spfresh_snapshot_fields(struct store_fields *f, struct spfresh *s,
                            struct spfresh_snapshot_sections *x)
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
    (void)spfresh_snapshot_fields(&f, s, &(struct spfresh_snapshot_sections){ .meta = &meta });
    const int rc = graph_save(s->graph, w);
    return rc ? rc : spfresh_codec_field(s->codec, &f);
}
