/* update.c - training, insertions and deletions: each by all replicas of the shards it concerns, and
 * taken back in all if it fails in one. UNMARK and DISCARD may be repeated: what they could not do is done
 * before the next operation, or when a lost rank is back. */
#include <string.h>

#include "algorithms/sharded/sharded.h"
#include "src/core/mem.h"
#include "src/core/ranks/shards.h"

/* Rows of a call that are sent together. */
enum { PIECE_BYTES = 32 << 20 };

/* Rows, ids or both, for one shard. */
struct change {
    uint64_t sequence;
    size_t n;
    const uint64_t *ids;
    const uint32_t *buckets;
    const void *rows;
    size_t row_bytes;
    const struct row_request *in_file; /* NULL: rows are sent */
    const uint64_t *numbers;           /* of the rows in the file */
    uint64_t (*hash)(const void *rows, size_t bytes);
    uint64_t *from_file; /* counts rows that are not sent */
};

/* The rows of a call, sorted by shard; those of shard i begin at first[i]. */
struct changes {
    struct changes *next;   /* in s->undo */
    enum request_kind redo; /* what has yet to be asked of the shards: UNMARK or DISCARD */
    size_t *first;          /* n_shards + 1 */
    uint64_t *ids, *numbers;
    uint32_t *buckets;
    unsigned char *rows;
    struct change *changes;
    struct shard_call *calls;
    size_t n_calls;
};

/* Records ERR_NO_MEMORY, and returns it. */
static int changes_no_memory(const struct sharded *s, size_t n)
{
    return fail(s->base.env.error, ERR_NO_MEMORY, "sharded: out of memory for %zu rows", n);
}

/* ---- requests */

static void put_rows(const struct change *c, size_t rank, struct wire *w)
{
    const struct row_origin *from = c->in_file && rank > 0 ? c->in_file->from : NULL;
    wire_put(w, from != NULL);
    if (!from) {
        wire_put_bytes(w, c->rows, c->n * c->row_bytes);
        return;
    }
    wire_put_text(w, from->path);
    wire_put_text(w, from->dataset);
    wire_put(w, from->offset);
    wire_put(w, from->stride);
    wire_put(w, c->hash(c->rows, c->n * c->row_bytes));
    wire_put_bytes(w, c->numbers, c->n * sizeof *c->numbers);
    *c->from_file += c->n;
}

static void put_insert(void *to, size_t rank, struct wire *w)
{
    const struct change *c = to;
    wire_put(w, c->sequence);
    wire_put(w, c->n);
    wire_put_bytes(w, c->ids, c->n * sizeof *c->ids);
    wire_put_bytes(w, c->buckets, c->n * sizeof *c->buckets);
    put_rows(c, rank, w);
}

static void put_ids(void *to, size_t rank, struct wire *w)
{
    const struct change *c = to;
    (void)rank;
    wire_put(w, c->sequence);
    wire_put(w, c->n);
    wire_put_bytes(w, c->ids, c->n * sizeof *c->ids);
}

/* ---- rows by shard */

static void changes_free(struct sharded *s, struct changes *g)
{
    struct mem *mem = s->base.env.mem;
    if (!g)
        return;
    mem_free(mem, g->first);
    mem_free(mem, g->ids);
    mem_free(mem, g->numbers);
    mem_free(mem, g->buckets);
    mem_free(mem, g->rows);
    mem_free(mem, g->changes);
    mem_free(mem, g->calls);
    mem_free(mem, g);
}

static struct changes *changes_new(struct sharded *s, size_t n, size_t row_bytes)
{
    struct mem *mem = s->base.env.mem;
    struct changes *g = mem_zalloc(mem, sizeof *g);
    if (g) {
        g->first = mem_zalloc(mem, (s->n_shards + 2) * sizeof *g->first);
        g->ids = mem_array(mem, n + 1, sizeof *g->ids);
        g->numbers = mem_array(mem, n + 1, sizeof *g->numbers);
        g->buckets = mem_array(mem, n + 1, sizeof *g->buckets);
        g->rows = mem_alloc(mem, n * row_bytes + 1);
        g->changes = mem_zalloc(mem, s->n_shards * sizeof *g->changes);
        g->calls = mem_zalloc(mem, s->n_shards * sizeof *g->calls);
    }
    if (g && g->first && g->ids && g->numbers && g->buckets && g->rows && g->changes && g->calls)
        return g;
    changes_free(s, g);
    (void)changes_no_memory(s, n);
    return NULL;
}

static void add_call(struct sharded *s, struct changes *g, size_t shard, struct change change)
{
    struct change *c = &g->changes[g->n_calls];
    *c = change;
    c->sequence = ++s->shards[shard].sequence;
    c->from_file = &s->counters.rows_from_files;
    g->calls[g->n_calls++] = (struct shard_call){ .shard = shard, .to = c };
}

/* Copies the rows of a call. v.rows = NULL: ids alone. numbers: of the rows in their file; NULL: none.
   NULL: out of memory, which is recorded. The caller calls changes_free(). */
static struct changes *changes_by_shard(struct sharded *s, struct vectors v, const uint64_t *ids,
                                        const uint32_t *buckets, const uint64_t *numbers)
{
    const size_t row_bytes = v.rows ? sharded_row_bytes(s) : 0;
    struct changes *g = changes_new(s, v.n, row_bytes);
    if (!g)
        return NULL;
    size_t *first = g->first + 1; /* counts, then places; shifted by one shard */
    for (size_t i = 0; i < v.n; i++)
        first[s->placement.shard_of[buckets[i]]]++;
    for (size_t i = 0, at = 0; i < s->n_shards; i++) {
        const size_t n = first[i];
        first[i] = at;
        at += n;
    }
    for (size_t i = 0; i < v.n; i++) {
        const size_t at = first[s->placement.shard_of[buckets[i]]]++;
        g->ids[at] = ids[i];
        g->buckets[at] = buckets[i];
        g->numbers[at] = numbers ? numbers[i] : 0;
        if (v.rows)
            memcpy(g->rows + at * row_bytes, (const char *)v.rows + i * row_bytes, row_bytes);
    }
    for (size_t i = 0; i < s->n_shards; i++) {
        const size_t at = g->first[i], n = g->first[i + 1] - at;
        if (n > 0)
            add_call(s, g, i,
                     (struct change){ .n = n,
                                      .ids = g->ids + at,
                                      .buckets = g->buckets + at,
                                      .rows = g->rows + at * row_bytes,
                                      .row_bytes = row_bytes,
                                      .numbers = g->numbers + at });
    }
    return g;
}

/* The same ids for every shard, or for one of them; SIZE_MAX: every one. */
static struct changes *changes_of_ids(struct sharded *s, size_t shard, const uint64_t *ids,
                                      size_t n)
{
    struct changes *g = changes_new(s, n, 0);
    if (!g)
        return NULL;
    if (n > 0)
        memcpy(g->ids, ids, n * sizeof *ids);
    for (size_t i = 0; i < s->n_shards; i++)
        if (shard == SIZE_MAX || shard == i)
            add_call(s, g, i, (struct change){ .n = n, .ids = g->ids });
    return g;
}

/* ---- asking, and taking back */

static void (*const put_change[])(void *, size_t, struct wire *) = {
    [REQUEST_INSERT] = put_insert, [REQUEST_MARK] = put_ids,    [REQUEST_UNMARK] = put_ids,
    [REQUEST_FLUSH] = NULL,        [REQUEST_DISCARD] = put_ids,
};

/* Asks the shards: INSERT, MARK, UNMARK, FLUSH or DISCARD. */
static int changes_tell(struct sharded *s, enum request_kind kind, struct changes *g)
{
    const bool logs = kind != REQUEST_MARK && kind != REQUEST_UNMARK;
    for (size_t i = 0; i < g->n_calls; i++) {
        const struct change *c = g->calls[i].to;
        g->calls[i].put = put_change[kind];
        g->calls[i].sequence = logs ? c->sequence : 0;
    }
    return sharded_tell(s, kind, g->calls, g->n_calls);
}

static void keep(struct sharded *s, struct changes *g, enum request_kind redo)
{
    g->redo = redo;
    g->next = s->undo;
    s->undo = g;
}

/* Only what is not done stays: new rows may have the same ids. */
static int undo(struct sharded *s, struct changes *g)
{
    size_t left = 0;
    for (size_t i = 0; g->redo == REQUEST_DISCARD && i < g->n_calls; i++) {
        struct change *c = g->calls[i].to;
        c->sequence = ++s->shards[g->calls[i].shard].sequence;
    }
    const int rc = changes_tell(s, g->redo, g);
    for (size_t i = 0; i < g->n_calls; i++)
        if (!g->calls[i].done || g->calls[i].failed)
            g->calls[left++] = g->calls[i];
    g->n_calls = left;
    return rc;
}

/* Whether the rest must be asked for again. A rank that is lost has forgotten its marks, but may find
   rows in its log. */
static bool is_left(const struct changes *g, int rc)
{
    return g->n_calls > 0 &&
           (g->redo == REQUEST_DISCARD ? rc != ERR_UNSUPPORTED : rc == ERR_NO_MEMORY);
}

/* Whether a rank that is up has failed, and not only ranks that are lost. */
static bool is_refused(const struct changes *g, int rc)
{
    bool failed = rc == ERR_NO_MEMORY;
    for (size_t i = 0; i < g->n_calls; i++)
        failed |= g->calls[i].failed;
    return failed;
}

/* Asks for the opposite: of MARK, UNMARK; of INSERT, DISCARD. Frees the changes, or keeps them for
   sharded_finish_pending(). */
static void changes_take_back(struct sharded *s, struct changes *g, enum request_kind redo)
{
    struct error unreported = { 0 };
    struct error *before = error_divert(&unreported);
    g->redo = redo;
    if (is_left(g, undo(s, g)))
        keep(s, g, redo);
    else
        changes_free(s, g);
    (void)error_divert(before);
}

/* After MARK in all shards, when a deletion is done for good: FLUSH. What no copy of a shard has logged is
   kept for sharded_finish_pending(); the rest is freed. */
static void changes_finish(struct sharded *s, struct changes *g)
{
    struct error unreported = { 0 };
    struct error *before = error_divert(&unreported);
    size_t left = 0;
    for (size_t i = 0; i < g->n_calls; i++)
        if (g->calls[i].found > 0)
            g->calls[left++] = g->calls[i];
    g->n_calls = left;
    (void)changes_tell(s, REQUEST_FLUSH, g);
    left = 0;
    for (size_t i = 0; i < g->n_calls; i++)
        if (!g->calls[i].done)
            g->calls[left++] = g->calls[i];
    g->n_calls = left;
    if (left > 0)
        keep(s, g, REQUEST_DISCARD);
    else
        changes_free(s, g);
    (void)error_divert(before);
}

int sharded_finish_pending(struct sharded *s)
{
    for (struct changes **at = &s->undo, *g = *at; g; g = *at) {
        struct error why = { 0 };
        struct error *before = error_divert(&why);
        const int rc = undo(s, g);
        (void)error_divert(before);
        if (is_left(g, rc)) {
            if (is_refused(g, rc))
                return fail(s->base.env.error, rc, "%s", why.text);
            at = &g->next;
            continue;
        }
        *at = g->next;
        changes_free(s, g);
    }
    return OK;
}

void sharded_forget_undo(struct sharded *s)
{
    while (s->undo) {
        struct changes *g = s->undo;
        s->undo = g->next;
        changes_free(s, g);
    }
}

/* ---- training */

static void put_train(void *to, size_t rank, struct wire *w)
{
    const struct change *c = to;
    (void)rank;
    wire_put(w, c->sequence);
    wire_put(w, c->n);
    wire_put_bytes(w, c->rows, c->n * c->row_bytes);
}

int sharded_train_shard(struct sharded *s, size_t shard, struct vectors sample)
{
    struct change c = { .sequence = ++s->shards[shard].sequence,
                        .n = sample.n,
                        .rows = sample.rows,
                        .row_bytes = sharded_row_bytes(s) };
    struct shard_call call = { .shard = shard, .sequence = c.sequence, .put = put_train, .to = &c };
    return sharded_tell(s, REQUEST_TRAIN, &call, 1);
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
    struct changes *g = changes_by_shard(s, v, ids, buckets, in_file ? in_file->numbers : NULL);
    *inserted = NULL;
    if (!g)
        return ERR_NO_MEMORY;
    for (size_t i = 0; in_file && i < g->n_calls; i++) {
        g->changes[i].in_file = in_file;
        g->changes[i].hash = s->base.env.shards->files->hash;
    }
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
        s->shards[g->calls[i].shard].rows += g->changes[i].n;
        s->shards[g->calls[i].shard].logged += g->changes[i].n;
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
    int rc = numbers ? OK : changes_no_memory(s, v.n);
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
    rc = buckets ? placement_find(s, v, ids, buckets) : changes_no_memory(s, v.n);
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
        (void)changes_no_memory(s, n);
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
