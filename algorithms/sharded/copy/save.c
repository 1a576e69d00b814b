/* save.c - copies of shards in saved files. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "algorithms/common/durable/store_file.h"
#include "algorithms/sharded/copy/copy.h"
#include "src/core/path_print.h"

#define SAVED   "sharded.shard"
#define VERSION 1

/* ---- saving */

struct saving {
    const struct shard_copy *copy;
    struct store_writer *to;
    struct picked_rows some; /* of a record */
    uint64_t *ids;           /* of all rows */
    uint32_t *buckets;
    size_t n;
    struct mem_group arrays; /* ids, buckets */
};

static int save_rows(void *to, const struct log_record *r)
{
    struct saving *s = to;
    s->some.n = 0;
    copy_pick_live(s->copy, r, NULL, 0, &s->some);
    memcpy(s->ids + s->n, s->some.ids, s->some.n * sizeof *s->ids);
    memcpy(s->buckets + s->n, s->some.buckets, s->some.n * sizeof *s->buckets);
    s->n += s->some.n;
    store_write(s->to, s->some.rows, s->some.n * s->some.row_bytes);
    return OK;
}

static int save_sample(void *to, const struct log_record *r)
{
    struct saving *s = to;
    if (r->op == LOG_TRAIN)
        store_write(s->to, r->rows, r->n * copy_row_bytes(s->copy));
    return OK;
}

static int save_sections(const struct shard_copy *c, struct store_writer *w)
{
    struct saving s = { .copy = c, .to = w, .arrays.mem = c->env.mem };
    s.ids = mem_group_array(&s.arrays, c->live.n + 1, sizeof *s.ids);
    s.buckets = mem_group_array(&s.arrays, c->live.n + 1, sizeof *s.buckets);
    int rc = copy_picked_make(&s.some, c->env.mem, LOG_ROWS, copy_row_bytes(c)) && !s.arrays.failed
                 ? OK
                 : copy_no_memory(c, c->live.n);
    store_section(w, "rows");
    if (rc == OK)
        rc = log_read(&c->log, 0, save_rows, &s);
    store_section(w, "sample");
    if (rc == OK)
        rc = log_read(&c->log, 0, save_sample, &s);
    if (rc == OK) {
        store_section(w, "ids");
        store_write(w, s.ids, s.n * sizeof *s.ids);
        store_section(w, "buckets");
        store_write(w, s.buckets, s.n * sizeof *s.buckets);
        store_section(w, "sequence");
        store_write(w, &c->sequence, sizeof c->sequence);
    }
    copy_picked_free(&s.some);
    mem_group_free(&s.arrays);
    return rc;
}

int copy_save(struct shard_copy *c, const char *to)
{
    const struct store_identity identity = store_identity_of(&c->env, "sharded", VERSION);
    struct store_writer *w;
    char path[PATH_MAX];
    int rc = copy_flush(c);
    if (!c->ops->save || !c->ops->load)
        return fail(c->env.error, ERR_UNSUPPORTED, "sharded: method \"%s\" cannot be saved",
                    c->ops->name);
    if (rc == OK)
        rc = path_print(path, c->env.error, "%s/index", to);
    if (rc != OK)
        return rc;
    if ((mkdir(to, 0700) != 0 && errno != EEXIST) || (mkdir(path, 0700) != 0 && errno != EEXIST))
        return fail_errno(c->env.error, ERR_IO, "sharded: %s cannot be made", path);
    rc = c->ops->save(c->index, path);
    if (rc != OK)
        return rc;
    w = mem_alloc(c->env.mem, sizeof *w);
    if (!w)
        return fail(c->env.error, ERR_NO_MEMORY, "sharded: out of memory to save a shard");
    (void)store_begin(w, to, SAVED, &identity, NULL, c->env.error);
    rc = save_sections(c, w);
    if (rc != OK)
        store_fail(w, rc);
    rc = store_commit(w);
    mem_free(c->env.mem, w);
    return rc;
}

/* ---- loading */

/* All rows of a shard in one batch of the log would be in memory twice. The index has them already. */
static int take_in_parts(struct shard_copy *c, const struct log_record *whole)
{
    int rc = OK;

    for (size_t first = 0; rc == OK && first < whole->n; first += LOG_ROWS) {
        const struct log_record part = log_part(whole, first, copy_row_bytes(c));
        rc = copy_do(c, &part, true, false);
    }
    return rc;
}

static int load_sections(struct shard_copy *c, const struct store_reader *r)
{
    const size_t row_bytes = copy_row_bytes(c);
    struct store_fields f = { .r = r };
    const void *rows, *sample;
    const uint64_t *ids, *sequence;
    const uint32_t *buckets;
    size_t n = 0, n_sample = 0;
    store_field_whole(&f, "rows", &rows, &n, row_bytes);
    store_field_whole(&f, "sample", &sample, &n_sample, row_bytes);
    store_field(&f, "ids", &ids, n, sizeof *ids);
    store_field(&f, "buckets", &buckets, n, sizeof *buckets);
    store_field(&f, "sequence", &sequence, 1, sizeof *sequence);
    if (f.code != OK)
        return f.code;
    const struct log_record trained = {
        .op = LOG_TRAIN, .sequence = *sequence, .ends = true, .n = n_sample, .rows = sample
    };
    const struct log_record inserted = { .op = LOG_INSERT,
                                         .sequence = *sequence,
                                         .ends = true,
                                         .n = n,
                                         .ids = ids,
                                         .buckets = buckets,
                                         .rows = rows };
    c->sequence = *sequence;
    const int rc = take_in_parts(c, &trained);
    return rc ? rc : take_in_parts(c, &inserted);
}

int copy_load(struct shard_copy *c, const char *from)
{
    struct store_reader r;
    char path[PATH_MAX];
    const struct store_identity identity = store_identity_of(&c->env, "sharded", VERSION);
    int rc = path_print(path, c->env.error, "%s/index", from);
    if (rc == OK)
        rc = copy_make_index(c, path);
    if (rc == OK && (rc = store_open(&r, from, SAVED, &identity, c->env.error)) == OK) {
        rc = load_sections(c, &r);
        store_close(&r);
    }
    return rc;
}
