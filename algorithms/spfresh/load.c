/* load.c - loads an index from the file that save() wrote, or from the folder it ran in. */
#include "algorithms/common/rows/row_store.h"
#include "algorithms/spfresh/durable/durable.h"
#include "algorithms/spfresh/maintenance/maintenance.h"
#include "algorithms/spfresh/operations.h"

enum { ROWS = 256 };

static int read_postings(struct spfresh *s, const struct store_reader *r)
{
    const size_t n = graph_capacity(s->graph);
    const uint64_t *lengths = NULL;
    const unsigned char *bytes = NULL;
    size_t left = 0;
    int rc = store_need_array(r, "lengths", n, sizeof *lengths, &lengths);

    if (rc == OK)
        rc = store_need(r, "postings", SIZE_MAX, (const void **)&bytes, &left);
    for (uint32_t i = 0; rc == OK && i < n; i++) {
        if (lengths[i] > left)
            return store_corrupt(r, "postings are longer than their section");
        if (lengths[i] > 0)
            rc = posting_splice(s->store, i, 0, bytes, (size_t)lengths[i]);
        bytes += lengths[i];
        left -= (size_t)lengths[i];
    }
    return rc == OK && left > 0 ? store_corrupt(r, "postings are shorter than their section") : rc;
}

static int read_rows(struct spfresh *s, const struct store_reader *r)
{
    const size_t row_bytes = spfresh_row_bytes(s);
    const unsigned char *row = NULL;
    const void *rows[ROWS];
    uint32_t slots[ROWS], at = 0;
    size_t n;
    int rc = store_need_array(r, "rows", atomic_load(&s->slots.live), row_bytes, &row);

    while (rc == OK && (n = spfresh_live_slots(s, &at, slots, ROWS)) > 0) {
        for (size_t i = 0; i < n; i++, row += row_bytes)
            rows[i] = row;
        rc = row_store_put(s->rows, slots, rows, n);
    }
    return rc;
}

static int fill(struct spfresh *s, const struct store_reader *r)
{
    int rc = spfresh_expect_empty(s);

    if (rc == OK)
        rc = spfresh_open_store(s, NULL);
    if (rc == OK)
        rc = read_postings(s, r);
    if (rc == OK)
        rc = spfresh_snapshot_fits(s, r);
    if (rc == OK && spfresh_has_row_file(s))
        rc = read_rows(s, r);
    return rc == OK ? spfresh_start(s) : rc;
}

static int go_on(struct spfresh *s, const struct store_reader *r, uint64_t snapshot_lsn)
{
    uint64_t last = 0;
    int rc = spfresh_open_store(s, r);

    if (rc == OK)
        rc = spfresh_snapshot_fits(s, r);
    if (rc == OK && s->live)
        rc = spfresh_maintenance_open(s);
    if (rc == OK)
        rc = spfresh_replay(s, snapshot_lsn, &last);
    if (rc == OK)
        rc = spfresh_open_wal(s, last, snapshot_lsn);
    return rc == OK ? spfresh_maintenance_start(s) : rc;
}

/* The context of durable_load()'s callbacks. */
struct loading {
    struct index **out;
    const struct index_env *env;
    const char *dir;
    struct spfresh_opening opening;
};

/* number: of the snapshot of a folder where an index ran; 0: the file is a saved copy. */
static int load_file(const struct loading *l, const char *dir, const char *name, uint64_t number)
{
    const struct index_ops *ops = l->opening.ops;
    const struct store_identity identity = store_identity_of(l->env, ops->name, SNAPSHOT_VERSION);
    struct spfresh_snapshot_sections x = { 0 };
    struct store_reader r;
    struct spfresh *s = NULL;
    int rc = store_open(&r, dir, name, &identity, l->env->error);

    if (rc != OK)
        return rc;
    rc = spfresh_snapshot_find(&x, &r, ops);
    if (rc == OK)
        rc = spfresh_open(&s, l->env, &x.params, &l->opening);
    if (rc == OK)
        rc = spfresh_snapshot_restore(s, &x, &r);
    if (rc == OK) {
        s->snapshot = number;
        rc = number > 0 ? go_on(s, &r, x.meta->lsn) : fill(s, &r);
    }
    if (rc == OK)
        rc = spfresh_after_update(s);
    store_close(&r);
    if (rc == OK)
        *l->out = &s->base;
    else
        spfresh_destroy(s ? &s->base : NULL);
    return rc;
}

static int load_saved(void *to)
{
    const struct loading *l = to;

    return load_file(l, l->dir, SNAPSHOT_SAVED, 0);
}

/* Uses the newest snapshot, not the newest valid one: it was durable before it got its name, and
   pages of an older one may have been overwritten since. */
static int recover(void *to, int *claim)
{
    struct loading *l = to;
    char name[SNAPSHOT_NAME_BYTES];
    uint64_t number = 0;
    const int rc = spfresh_snapshot_newest(l->env, l->env->dir, &number);

    l->opening.claim = claim;
    spfresh_snapshot_name(name, number);
    return rc == OK ? load_file(l, l->env->dir, name, number) : rc;
}

int spfresh_load_from(struct index **out, const struct index_env *env, const char *dir,
                      const struct spfresh_opening *opening)
{
    struct loading loading = { out, env, dir, *opening };
    struct durable_loading calls = { .recover = recover, .load_saved = load_saved, .to = &loading };
    uint64_t number = 0;
    const int rc = spfresh_snapshot_newest(env, dir, &number);

    calls.ran = number > 0;
    return rc == OK ? durable_load(env, dir, &calls) : rc;
}
