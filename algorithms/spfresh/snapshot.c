/* snapshot.c - writing an index's state, and the checkpoint that makes it what a crash returns to. */
#include "algorithms/spfresh/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/core/mem.h"

#define PREFIX "snapshot."

enum { ROWS = 256 }; /* read and put again at once */

/* ------------------------------------------------------------------------------- names */

void snapshot_name(char name[SNAPSHOT_NAME_BYTES], uint64_t number)
{
    (void)snprintf(name, SNAPSHOT_NAME_BYTES, PREFIX "%" PRIu64, number);
}

/* 0: not a snapshot's name. */
static uint64_t number_of(const char *name)
{
    const size_t prefix = sizeof PREFIX - 1;
    char *end = NULL;

    if (strncmp(name, PREFIX, prefix) != 0 || strspn(name + prefix, "0123456789") == 0)
        return 0;
    const uint64_t number = strtoull(name + prefix, &end, 10);
    return *end ? 0 : number;
}

int snapshot_newest(const struct index_env *env, const char *dir, uint64_t *number)
{
    DIR *d = opendir(dir);

    *number = 0;
    if (!d)
        return fail_errno(env->error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                          "cannot read the folder %s", dir);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        const uint64_t n = number_of(e->d_name);
        *number = n > *number ? n : *number;
    }
    (void)closedir(d);
    return OK;
}

static bool remove_snapshot(const struct spfresh *s, uint64_t number)
{
    char name[SNAPSHOT_NAME_BYTES], path[PATH_MAX];

    snapshot_name(name, number);
    const int n = snprintf(path, sizeof path, "%s/%s", s->base.env.dir, name);
    return n > 0 && (size_t)n < sizeof path && !store_faulted(s->fault, "unlink") &&
           (unlink(path) == 0 || errno == ENOENT);
}

/* What cannot be removed now is tried again next time. */
static void remove_older(const struct spfresh *s, uint64_t than)
{
    DIR *d = opendir(s->base.env.dir);

    if (!d)
        return;
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        const uint64_t n = number_of(e->d_name);
        if (n > 0 && n < than)
            (void)remove_snapshot(s, n);
    }
    (void)closedir(d);
}

struct store_identity snapshot_identity(const struct index_env *env, bool live)
{
    return store_identity_of(env, live ? spfresh_ops.name : spann_ops.name, SNAPSHOT_VERSION);
}

/* ------------------------------------------------------------------------------ sections */

static void write_slots(const struct spfresh *s, struct store_writer *w, size_t n)
{
    const uint64_t *ids = atomic_load(&((struct spfresh *)(uintptr_t)s)->slots.ids);

    store_section(w, "versions");
    for (uint32_t i = 0; i < n; i++) {
        const uint16_t version = (uint16_t)spfresh_version(s, i);
        store_write(w, &version, sizeof version);
    }
    store_section(w, "ids"); /* of live ones */
    for (uint32_t i = 0; i < n; i++)
        if (!(spfresh_version(s, i) & VERSION_DELETED))
            store_write(w, &ids[i], sizeof *ids);
}

static void write_heads(const struct spfresh *s, struct store_writer *w, size_t n)
{
    store_section(w, "heads");
    for (uint32_t i = 0; i < n; i++) {
        struct spfresh_head *h = spfresh_head(s, i);
        struct snapshot_head out = { 0 };
        if (spfresh_is_open(s, i))
            out = (struct snapshot_head){ .size = atomic_load(&h->size),
                                          .flags = atomic_load(&h->flags) &
                                                   (HEAD_OPEN | HEAD_UNSPLITTABLE),
                                          .refused = atomic_load(&h->refused),
                                          .error = atomic_load(&h->error) };
        store_write(w, &out, sizeof out);
    }
}

/* Slots that are dropped and not yet free count as dead: nobody will read them after a crash. */
int snapshot_write(struct spfresh *s, struct store_writer *w, uint64_t lsn)
{
    struct snapshot_meta meta;

    memset(&meta, 0, sizeof meta);
    meta.params = s->params;
    meta.lsn = lsn;
    meta.slots = atomic_load(&s->slots.n);
    meta.heads = graph_capacity(s->graph);
    meta.built = atomic_load(&s->built);
    meta.repeats = atomic_load(&s->repeats);
    for (uint32_t i = 0; i < meta.slots; i++)
        meta.live += !(spfresh_version(s, i) & VERSION_DELETED);
    store_section(w, "meta");
    store_write(w, &meta, sizeof meta);
    write_slots(s, w, (size_t)meta.slots);
    write_heads(s, w, (size_t)meta.heads);
    const int rc = graph_save(s->graph, w);
    return rc ? rc : codec_save(s->codec, w);
}

/* ---------------------------------------------------------------------------- checkpoint */

bool spfresh_checkpoint_due(const struct spfresh *s)
{
    return s->journal &&
           journal_bytes(s->journal) >= atomic_load((atomic_uint_fast64_t *)(uintptr_t)&s->due_at);
}

/* After a failure not at once again. */
static void set_due(struct spfresh *s, bool failed)
{
    const uint64_t step = (uint64_t)s->params.checkpoint_mb << 20;

    atomic_store(&s->due_at, (failed ? journal_bytes(s->journal) : 0) + step);
}

/* The rows of live slots, read and put once more. */
static int put_rows_again(struct spfresh *s)
{
    const size_t n = atomic_load(&s->slots.n), row_bytes = spfresh_row_bytes(s);
    unsigned char *rows = mem_array(s->base.env.mem, ROWS, row_bytes);
    const void *each[ROWS];
    uint32_t slots[ROWS], at = 0;
    int rc = rows ? OK
                  : fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory for a checkpoint",
                         s->base.ops->name);

    while (rc == OK && at < n) {
        size_t some = 0;

        for (; at < n && some < ROWS; at++)
            if (!(spfresh_version(s, at) & VERSION_DELETED)) {
                each[some] = rows + some * row_bytes;
                slots[some++] = at;
            }
        rc = codec_rows_get(s->codec, slots, some, rows);
        if (rc == OK)
            rc = codec_rows_put(s->codec, slots, each, some);
    }
    mem_free(s->base.env.mem, rows);
    return rc;
}

/* The state of one moment; the gate is shut. *frozen: the store has to be told what came of it. */
static int capture(struct spfresh *s, struct store_writer *w, uint64_t *lsn, bool *frozen)
{
    epoch_drain(s->epoch);
    int rc = codec_rows_unsure(s->codec) ? put_rows_again(s) : OK;
    if (!rc)
        rc = journal_rotate(s->journal, lsn);
    if (!rc)
        rc = snapshot_write(s, w, *lsn);
    if (!rc) {
        rc = posting_store_freeze(s->store, w);
        *frozen = rc == OK;
    }
    if (!rc)
        spfresh_slots_frozen(s);
    return rc;
}

/* What a checkpoint has come to. IN_DOUBT: a commit that failed may have put the snapshot in its
   place, in a folder that is not durable, or it was taken out again, and that is not durable. A
   crash may return to it or to the one before, so pages of both are kept, and the next snapshot has
   a name after it. */
enum outcome { NOTHING_NEW, DURABLE, IN_DOUBT };

static int make_durable(struct spfresh *s, struct store_writer *w, enum outcome *outcome)
{
    struct stat there;
    int rc = posting_store_sync(s->store);

    *outcome = NOTHING_NEW;
    if (!rc && codec_has_rows(s->codec))
        rc = codec_rows_sync(s->codec);
    if (rc) {
        store_abort(w);
        return rc;
    }
    rc = store_commit(w);
    if (!rc)
        *outcome = DURABLE;
    else if ((stat(w->path, &there) == 0 || errno != ENOENT) &&
             !(remove_snapshot(s, s->snapshot + 1) &&
               store_sync_dir(s->base.env.dir, s->fault, NULL) == OK))
        *outcome = IN_DOUBT;
    return rc;
}

/* Slots and store go on as the outcome lets them. */
static void report(struct spfresh *s, enum outcome outcome, bool frozen)
{
    spfresh_slots_thawed(s, outcome == DURABLE);
    if (outcome != NOTHING_NEW)
        s->snapshot++;
    if (outcome == DURABLE)
        posting_store_durable(s->store);
    else if (outcome == IN_DOUBT)
        posting_store_keep_both(s->store);
    else if (frozen)
        posting_store_unfreeze(s->store);
}

static int write_snapshot(struct spfresh *s, struct store_writer *w, bool locked, bool *kept)
{
    const struct index_env *env = &s->base.env;
    const struct store_identity identity = snapshot_identity(env, s->live);
    char name[SNAPSHOT_NAME_BYTES];
    enum outcome outcome = NOTHING_NEW;
    bool frozen = false;
    uint64_t lsn = 0;

    snapshot_name(name, s->snapshot + 1);
    int rc = journal_prepare(s->journal);
    if (!rc)
        rc = store_begin(w, env->dir, name, &identity, s->fault, env->error);
    if (rc)
        return rc;
    if (!locked)
        pthread_rwlock_wrlock(&s->gate);
    rc = capture(s, w, &lsn, &frozen);
    if (!locked)
        pthread_rwlock_unlock(&s->gate);
    if (rc)
        store_abort(w);
    else
        rc = make_durable(s, w, &outcome);
    report(s, outcome, frozen);
    *kept = outcome != NOTHING_NEW;
    if (outcome != DURABLE)
        return rc;
    s->snapshot_lsn = lsn;
    journal_forget(s->journal, lsn);
    remove_older(s, s->snapshot);
    spfresh_count(&s->counters.checkpoints, 1);
    return OK;
}

/* `checkpointing` is held. */
static int checkpoint(struct spfresh *s, bool locked, bool *kept)
{
    struct store_writer *w = mem_alloc(s->base.env.mem, sizeof *w);

    *kept = false;
    if (!w)
        return fail(s->base.env.error, ERR_NO_MEMORY, "%s: no memory for a checkpoint",
                    s->base.ops->name);
    const int rc = write_snapshot(s, w, locked, kept);
    set_due(s, rc != OK);
    mem_free(s->base.env.mem, w);
    return rc;
}

int spfresh_checkpoint(struct spfresh *s)
{
    bool kept;

    if (!s->journal)
        return OK;
    pthread_mutex_lock(&s->checkpointing);
    const int rc = checkpoint(s, false, &kept);
    pthread_mutex_unlock(&s->checkpointing);
    return rc;
}

int spfresh_checkpoint_locked(struct spfresh *s, bool *kept)
{
    return checkpoint(s, true, kept);
}

void spfresh_lock_updates(struct spfresh *s)
{
    pthread_mutex_lock(&s->checkpointing);
    pthread_rwlock_wrlock(&s->gate);
}

void spfresh_unlock_updates(struct spfresh *s)
{
    pthread_rwlock_unlock(&s->gate);
    pthread_mutex_unlock(&s->checkpointing);
}
