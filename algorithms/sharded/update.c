/* update.c - training, insertions and deletions: each by all replicas of the shards it concerns, and
 * taken back in all if it fails in one. */
#include <string.h>

#include "algorithms/sharded/sharded.h"
#include "src/core/ranks/shards.h"

/* Rows of a call that are sent together. */
enum { PIECE_BYTES = 32 << 20 };

/* ---- training */

int sharded_train_shard(struct sharded *s, size_t shard, struct vectors sample)
{
    return sharded_tell_record(
        s, REQUEST_TRAIN, shard,
        (struct log_record){ .op = LOG_TRAIN, .n = sample.n, .rows = sample.rows });
}

int sharded_train(struct index *index, struct vectors sample)
{
    struct sharded *s = sharded_of(index);
    size_t rows = 0;
    int rc = OK;
    for (size_t i = 0; i < s->n_shards; i++)
        rows += s->shards[i].rows;
    if (s->params.placement == PLACE_CLUSTER && rows == 0)
        rc = placement_train(s, sample);
    for (size_t i = 0; rc == OK && s->of->train && i < s->n_shards; i++)
        rc = sharded_train_shard(s, i, sample);
    return rc;
}

/* ---- insertion */

/* Rows to the shards of their buckets; in_file: the file that ranks read them from, and their numbers
   there, or NULL. On success, *inserted is what can be taken back; else all are taken back. */
static int insert_piece(struct sharded *s, struct vectors v, const uint64_t *ids,
                        const uint32_t *buckets, const struct row_request *in_file,
                        struct changes **inserted)
{
    struct changes *g = changes_by_shard(s, v, ids, buckets, in_file);
    *inserted = NULL;
    if (!g)
        return ERR_NO_MEMORY;
    const int rc = changes_tell(s, REQUEST_INSERT, g);
    if (rc != OK) {
        changes_take_back(s, g, REQUEST_DISCARD);
        return rc;
    }
    *inserted = g;
    return OK;
}

static void note_inserted(struct sharded *s, const struct changes *g)
{
    for (size_t i = 0; i < g->n_calls; i++) {
        s->shards[g->calls[i].shard].rows += g->calls[i].record.n;
        s->shards[g->calls[i].shard].logged += g->calls[i].record.n;
    }
}

/* Ranks read the rows themselves, from their file. *cannot: there is none, or a rank cannot read it. */
static int insert_from_file(struct sharded *s, struct vectors v, const uint64_t *ids,
                            const uint32_t *buckets, struct changes **inserted, bool *cannot)
{
    const struct row_files *files = s->base.env.shards->files;
    const uint64_t read_before = s->counters.rows_from_files;
    struct row_origin origin;
    uint64_t *numbers = mem_array(s->base.env.mem, v.n + 1, sizeof *numbers);
    *cannot = false;
    int rc = numbers ? OK : sharded_no_memory(s, "the rows of a call");
    if (rc == OK && !files->origin(files->to, v, &origin, numbers)) {
        *cannot = true;
    } else if (rc == OK) {
        struct error why = { 0 };
        struct error *before = error_divert(&why);
        const struct row_request in_file = { .from = &origin, .numbers = numbers };
        rc = insert_piece(s, v, ids, buckets, &in_file, inserted);
        (void)error_divert(before);
        *cannot = rc == ERR_NOT_FOUND || rc == ERR_IO || rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED;
        s->sends_rows = *cannot;
        if (rc != OK)
            s->counters.rows_from_files = read_before;
        if (rc != OK && !*cannot)
            rc = fail(s->base.env.error, rc, "%s", why.text);
    }
    mem_free(s->base.env.mem, numbers);
    return rc;
}

/* Where a rank cannot read a file, the rows that others have read are taken back, which needs remove();
   all are then sent, and so are those of later calls. */
static int insert_or_send(struct sharded *s, struct vectors v, const uint64_t *ids,
                          const uint32_t *buckets, struct changes **inserted)
{
    bool sends = !s->group || !s->base.env.shards->files || !s->of->remove || s->sends_rows;
    int rc = OK;
    if (!sends)
        rc = insert_from_file(s, v, ids, buckets, inserted, &sends);
    return sends ? insert_piece(s, v, ids, buckets, NULL, inserted) : rc;
}

/* The rows are in; a checkpoint that fails is made later. */
static void make_checkpoints(struct sharded *s)
{
    struct error unreported = { 0 };
    struct error *before = error_divert(&unreported);
    for (size_t i = 0; s->params.checkpoint_rows && i < s->n_shards; i++) {
        struct shard_call call = { .shard = i };
        if (s->shards[i].logged >= (uint64_t)s->params.checkpoint_rows &&
            sharded_tell(s, REQUEST_CHECKPOINT, &call, 1) == OK)
            s->shards[i].logged = 0;
    }
    (void)error_divert(before);
}

int sharded_insert(struct index *index, struct vectors v, const uint64_t *ids, size_t *done)
{
    struct sharded *s = sharded_of(index);
    const size_t row_bytes = sharded_row_bytes(s);
    const size_t piece = PIECE_BYTES / row_bytes > 0 ? PIECE_BYTES / row_bytes : 1;
    *done = 0;
    int rc = sharded_finish_pending(s);
    if (rc != OK)
        return rc;
    uint32_t *buckets = mem_array(index->env.mem, v.n + 1, sizeof *buckets);
    rc = buckets ? placement_find(s, v, ids, buckets) : sharded_no_memory(s, "the rows of a call");
    while (rc == OK && *done < v.n) {
        struct changes *g;
        struct vectors part = v;
        part.rows = (const char *)v.rows + *done * row_bytes;
        part.n = v.n - *done < piece ? v.n - *done : piece;
        rc = insert_or_send(s, part, ids + *done, buckets + *done, &g);
        if (rc == OK) {
            note_inserted(s, g);
            changes_free(s, g);
            *done += part.n;
        }
    }
    mem_free(index->env.mem, buckets);
    if (rc == OK)
        make_checkpoints(s);
    return rc;
}

/* ---- deletion */

/* Marks, and removes what is marked, or takes the marks back. No copy logs a mark, so a deletion that
   has failed is not done by a rank that dies. `expected` rows are there. Frees the changes. */
static int remove_changes(struct sharded *s, struct changes *g, size_t expected)
{
    size_t found = 0;
    int rc = changes_tell(s, REQUEST_MARK, g);
    for (size_t i = 0; i < g->n_calls; i++)
        found += g->calls[i].done ? (size_t)g->calls[i].found : 0;
    if (rc == OK && found != expected)
        rc =
            fail(s->base.env.error, ERR_INVARIANT,
                 "sharded: the shards have %zu of %zu ids that are to be deleted", found, expected);
    if (rc != OK) {
        changes_take_back(s, g, REQUEST_UNMARK);
        return rc;
    }
    for (size_t i = 0; i < g->n_calls; i++)
        s->shards[g->calls[i].shard].rows -= (size_t)g->calls[i].found;
    changes_finish(s, g);
    return OK;
}

static struct changes *changes_of_removed(struct sharded *s, const uint64_t *ids, size_t n)
{
    const struct vectors none = { NULL, n, s->base.env.dim, s->base.env.element };
    struct changes *g = NULL;
    if (s->params.placement == PLACE_CLUSTER || s->misassigned)
        return changes_of_ids(s, SIZE_MAX, ids, n);
    uint32_t *buckets = mem_array(s->base.env.mem, n + 1, sizeof *buckets);
    if (!buckets)
        (void)sharded_no_memory(s, "the rows of a call");
    else if (placement_find(s, none, ids, buckets) == OK)
        g = changes_by_shard(s, none, ids, buckets, NULL);
    mem_free(s->base.env.mem, buckets);
    return g;
}

int sharded_remove(struct index *index, const uint64_t *ids, size_t n, size_t *done)
{
    struct sharded *s = sharded_of(index);
    *done = 0;
    int rc = sharded_finish_pending(s);
    if (rc != OK)
        return rc;
    struct changes *g = changes_of_removed(s, ids, n);
    rc = g ? remove_changes(s, g, n) : ERR_NO_MEMORY;
    *done = rc == OK ? n : 0;
    return rc;
}

int sharded_move(struct sharded *s, size_t from, struct vectors v, const uint64_t *ids,
                 const uint32_t *buckets)
{
    struct changes *inserted, *removed = changes_of_ids(s, from, ids, v.n);
    if (!removed)
        return ERR_NO_MEMORY;
    int rc = insert_piece(s, v, ids, buckets, NULL, &inserted);
    if (rc != OK) {
        changes_free(s, removed);
        return rc;
    }
    rc = remove_changes(s, removed, v.n);
    if (rc != OK) {
        changes_take_back(s, inserted, REQUEST_DISCARD);
        return rc;
    }
    note_inserted(s, inserted);
    changes_free(s, inserted);
    s->counters.moved_rows += v.n;
    return OK;
}
