/* save.c - a whole index in one file, and an index from it: snapshot.h's sections, every posting's bytes,
 * and the rows of live slots where postings hold codes.
 */
#include <string.h>
#include <sys/stat.h>

#include "algorithms/spfresh/snapshot.h"
#include "src/core/mem.h"

enum { ROWS = 256 };

/* ------------------------------------------------------------------------------- saving */

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
            rc = fail(s->base.env.error, ERR_NO_MEMORY, "%s: save: no memory for a posting",
                      s->base.ops->name);
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
    const size_t n = atomic_load(&((struct spfresh *)(uintptr_t)s)->slots.n);
    const size_t row_bytes = spfresh_row_bytes(s);
    unsigned char *rows = mem_array(s->base.env.mem, ROWS, row_bytes);
    uint32_t slots[ROWS], at = 0;
    int rc = rows ? OK
                  : fail(s->base.env.error, ERR_NO_MEMORY, "%s: save: no memory for some rows",
                         s->base.ops->name);

    store_section(w, "rows");
    while (rc == OK && at < n) {
        size_t some = 0;
        for (; at < n && some < ROWS; at++)
            if (!(spfresh_version(s, at) & VERSION_DELETED))
                slots[some++] = at;
        rc = codec_rows_get(s->codec, slots, some, rows);
        if (rc == OK)
            store_write(w, rows, some * row_bytes);
    }
    mem_free(s->base.env.mem, rows);
    return rc;
}

static int write_all(struct spfresh *s, struct store_writer *w)
{
    int rc = snapshot_write(s, w, 0);

    if (rc == OK)
        rc = write_postings(s, w);
    if (rc == OK && codec_has_rows(s->codec))
        rc = write_rows(s, w);
    return rc;
}

static bool is_own_folder(const struct spfresh *s, const char *dir)
{
    struct stat x, y;

    return s->base.env.dir && stat(dir, &x) == 0 && stat(s->base.env.dir, &y) == 0 &&
           x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Into its own folder a checkpoint is enough, where there can be one. */
int spfresh_save(struct index *index, const char *dir)
{
    struct spfresh *s = spfresh_of(index);
    const struct index_env *env = &index->env;
    const struct store_identity identity = snapshot_identity(env, s->live);

    if (s->journal && is_own_folder(s, dir))
        return spfresh_checkpoint(s);
    struct store_writer *w = mem_alloc(env->mem, sizeof *w);
    if (!w)
        return fail(env->error, ERR_NO_MEMORY, "%s: save: out of memory", index->ops->name);
    int rc = store_begin(w, dir, SNAPSHOT_SAVED, &identity, s->fault, env->error);
    if (rc == OK) {
        pthread_rwlock_wrlock(&s->gate);
        rc = write_all(s, w);
        pthread_rwlock_unlock(&s->gate);
        if (rc == OK)
            rc = store_commit(w);
        else
            store_abort(w);
    }
    mem_free(env->mem, w);
    return rc;
}

/* ------------------------------------------------------------------------------ loading */

/* Offsets from lengths, and the numbers of the postings that are not empty. */
static int read_lengths(const struct spfresh *s, const struct store_reader *r, uint32_t *postings,
                        uint64_t *offsets, size_t *filled, const unsigned char **bytes)
{
    const size_t n = graph_capacity(s->graph);
    const uint64_t *lengths = NULL;
    size_t total = 0;
    int rc = store_need_array(r, "lengths", n, sizeof *lengths, &lengths);

    if (rc == OK)
        rc = store_need(r, "postings", SIZE_MAX, (const void **)bytes, &total);
    *filled = 0;
    offsets[0] = 0;
    for (uint32_t i = 0; rc == OK && i < n; i++) {
        if (lengths[i] == 0)
            continue;
        if (lengths[i] > total - offsets[*filled])
            return store_corrupt(r, "postings are longer than their section");
        postings[*filled] = i;
        offsets[*filled + 1] = offsets[*filled] + lengths[i];
        ++*filled;
    }
    if (rc == OK && offsets[*filled] != total)
        rc = store_corrupt(r, "postings are shorter than their section");
    return rc;
}

static int read_postings(struct spfresh *s, const struct store_reader *r)
{
    struct mem *mem = s->base.env.mem;
    const size_t n = graph_capacity(s->graph);
    uint32_t *postings = mem_array(mem, n + 1, sizeof *postings);
    uint64_t *offsets = mem_array(mem, n + 1, sizeof *offsets);
    const unsigned char *bytes = NULL;
    size_t filled = 0;
    int rc = postings && offsets
                 ? OK
                 : fail(s->base.env.error, ERR_NO_MEMORY, "%s: load: no memory for %zu postings",
                        s->base.ops->name, n);

    if (rc == OK)
        rc = read_lengths(s, r, postings, offsets, &filled, &bytes);
    if (rc == OK && filled > 0)
        rc = posting_fill(s->store, postings, filled, bytes, offsets);
    mem_free(mem, postings);
    mem_free(mem, offsets);
    return rc;
}

static int read_rows(struct spfresh *s, const struct store_reader *r)
{
    const size_t n = atomic_load(&s->slots.n), row_bytes = spfresh_row_bytes(s);
    const unsigned char *row = NULL;
    const void *rows[ROWS];
    uint32_t slots[ROWS], at = 0;
    int rc = store_need_array(r, "rows", atomic_load(&s->slots.live), row_bytes, &row);

    while (rc == OK && at < n) {
        size_t some = 0;
        for (; at < n && some < ROWS; at++) {
            if (spfresh_version(s, at) & VERSION_DELETED)
                continue;
            slots[some] = at;
            rows[some++] = row;
            row += row_bytes;
        }
        rc = codec_rows_put(s->codec, slots, rows, some);
    }
    return rc;
}

static int fill(struct spfresh *s, const struct store_reader *r)
{
    int rc = spfresh_claim_empty(s);

    if (rc == OK)
        rc = spfresh_open_store(s, NULL);
    if (rc == OK)
        rc = read_postings(s, r);
    if (rc == OK)
        rc = snapshot_fits(s, r);
    if (rc == OK && codec_has_rows(s->codec))
        rc = read_rows(s, r);
    if (rc == OK)
        rc = spfresh_start(s);
    if (rc == OK)
        snapshot_queue(s);
    return rc == OK ? spfresh_after_update(s) : rc;
}

int spfresh_load_saved(struct spfresh **out, const struct index_env *env, const char *dir,
                       const struct spfresh_opening *opening)
{
    const struct store_identity identity = snapshot_identity(env, opening->live);
    struct store_reader r;
    struct spfresh *s = NULL;
    uint64_t lsn;
    int rc = store_open(&r, dir, SNAPSHOT_SAVED, &identity, env->error);

    if (rc == OK) {
        rc = snapshot_read(&s, env, opening, &r, &lsn);
        if (rc == OK)
            rc = fill(s, &r);
        store_close(&r);
    }
    if (rc == OK)
        *out = s;
    else
        spfresh_destroy(s ? &s->base : NULL);
    return rc;
}
