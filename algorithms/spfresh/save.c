/* save.c - writes a whole index to one file: durable.h's sections, every posting's bytes, and the
 * rows of live slots if postings hold codes. */
#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/operations.h"
#include "src/core/mem.h"

enum { ROWS = 256 };

static int write_postings(const struct spfresh *s, struct store_writer *w)
{
    struct mem *mem = s->base.env.mem;
    const size_t n = graph_capacity(s->graph);
    unsigned char *bytes = NULL;
    size_t capacity = 0;
    int rc = OK;

    store_section(w, "lengths");
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t length = spfresh_is_open(s, i) ? posting_length(s->store, i) : 0;
        store_write(w, &length, sizeof length);
    }
    store_section(w, "postings");
    for (uint32_t i = 0; rc == OK && i < n; i++) {
        const size_t length = spfresh_is_open(s, i) ? posting_length(s->store, i) : 0;
        if (!mem_grow(mem, &bytes, &capacity, length, 1))
            rc = spfresh_no_memory(s, "save: out of memory for a posting");
        else
            rc = posting_fetch(s->store, i, 0, length, bytes);
        if (rc == OK)
            store_write(w, bytes, length);
    }
    mem_free(mem, bytes);
    return rc;
}

static int write_rows(const struct spfresh *s, struct store_writer *w)
{
    const size_t row_bytes = spfresh_row_bytes(s);
    unsigned char *rows = mem_array(s->base.env.mem, ROWS, row_bytes);
    uint32_t slots[ROWS], at = 0;
    size_t n;
    int rc = rows ? OK : spfresh_no_memory(s, "save: out of memory for a block of rows");

    store_section(w, "rows");
    while (rc == OK && (n = spfresh_live_slots(s, &at, slots, ROWS)) > 0) {
        rc = row_store_get(s->rows, slots, n, rows);
        if (rc == OK)
            store_write(w, rows, n * row_bytes);
    }
    mem_free(s->base.env.mem, rows);
    return rc;
}

static int write_all(void *to, struct store_writer *w, uint64_t *lsn)
{
    struct spfresh *s = to;

    (void)lsn;
    pthread_rwlock_wrlock(&s->checkpoint_lock);
    int rc = spfresh_snapshot_write(s, w, 0);
    if (rc == OK)
        rc = write_postings(s, w);
    if (rc == OK && spfresh_has_row_file(s))
        rc = write_rows(s, w);
    pthread_rwlock_unlock(&s->checkpoint_lock);
    return rc;
}

/* A save into the index's own folder is a checkpoint, if the index has a log. */
int spfresh_save(struct index *index, const char *dir)
{
    struct spfresh *s = spfresh_of(index);
    const struct durable_snapshot snapshot = {
        .name = SNAPSHOT_SAVED,
        .identity = store_identity_of(&index->env, index->ops->name, SNAPSHOT_VERSION),
        .write = write_all,
        .to = s,
    };

    return durable_is_own(&s->durable, dir) ? spfresh_checkpoint(s)
                                            : durable_write(&s->durable, dir, &snapshot);
}
