/* maintain.c - maintenance, saving, and reopening: from the saved index, or as after a crash. */
#include "src/run/measure/folder.h"
#include "src/run/replay/verbs.h"

int replay_maintain(struct replay_session *r, struct step_record *s)
{
    bool more = false;
    int rc;

    if (!r->ops->maintain)
        return step_unsupported(s, "this method has no maintenance of its own");
    const uint64_t start = clock_ns();
    rc = r->ops->maintain(r->checked.index, s->op->budget, &more);
    s->seconds = clock_seconds(session_interval_ns(r, start, clock_ns()));
    step_stat(s, "more_to_do", more);
    return rc;
}

int replay_save(struct replay_session *r, struct step_record *s)
{
    int rc;

    if (!r->ops->save)
        return step_unsupported(s, "this method cannot be saved");
    if ((rc = session_fresh_dir(r->saved_dir, r->err)) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->save(r->checked.index, r->saved_dir);
    s->seconds = clock_seconds(session_interval_ns(r, start, clock_ns()));
    s->count = (double)r->checked.live.n;
    if (rc == OK)
        step_stat(s, "saved_bytes", (double)folder_bytes(r->saved_dir));
    return rc;
}

/* Only records: memory, statistics and invariants are observed after every operation. */
int replay_checkpoint(struct replay_session *r, struct step_record *s)
{
    (void)r;
    (void)s;
    return OK;
}

/* Destroys the index and loads it from `dir`. Both are timed. */
static int reopen(struct replay_session *r, struct step_record *s, const char *dir)
{
    struct checked old = r->checked;
    int rc;

    /* index_open_saved() takes over the ids, so they are kept. The index itself is destroyed first,
       as in a restart. */
    r->checked = (struct checked){ 0 };
    session_forget_versions(r);
    const uint64_t start = clock_ns();
    r->ops->destroy(old.index);
    old.index = NULL;
    const uint64_t destroyed = clock_ns();
    /* Removes the files of the running index, unless they are the ones to load. */
    rc = dir == r->state_dir ? OK : session_fresh_dir(r->state_dir, r->err);
    const uint64_t emptied = clock_ns();
    if (rc == OK)
        rc = index_open_saved(&r->checked, r->ops, &r->index_env, dir, &old);
    const uint64_t loaded = clock_ns();
    /* Files may be older than the last change of options. A service would configure them again. */
    if (rc == OK && r->params_changed)
        rc = r->ops->set_params(r->checked.index, r->params);
    s->count = (double)old.live.n;
    index_close(&old);
    s->seconds = clock_seconds(loaded - emptied + destroyed - start);
    step_stat(s, "destroy_seconds", clock_seconds(destroyed - start));
    step_stat(s, "load_seconds", clock_seconds(loaded - emptied));
    return rc;
}

int replay_reload(struct replay_session *r, struct step_record *s)
{
    if (!r->ops->save || !r->ops->load)
        return step_unsupported(s, "this method cannot be loaded from what it saved");
    return reopen(r, s, r->saved_dir);
}

/* Searches for some of the live rows. All answers must be live, and most
   rows must find themselves. */
static int ask_for_own(struct replay_session *r, struct step_record *s)
{
    enum { ASKED = 100, K = 10 };
    const size_t live = r->now.live.n, n = live < ASKED ? live : ASKED, k = live < K ? live : K;
    struct buffer all = { 0 }, rows = { 0 };
    const size_t words = live + n * k + (n * k + 1) / 2 + 1;
    int rc = buffer_reserve(&all, words * sizeof(uint64_t), r->err);

    if (rc == OK && n > 0) {
        uint64_t *ids = all.bytes, *found = ids + live;
        struct vectors own_rows;
        size_t own = 0, wrong = 0;

        (void)live_state_ids(&r->now, NULL, 0, ids);
        for (size_t i = 0; i < n; i++)
            ids[i] = ids[i * live / n];
        rc = session_gather_live(r, ids, n, &rows, &own_rows);
        const struct search_request request = { own_rows, k, r->cell->points[0].knobs, NULL, 1 };
        struct search_result result = { .ids = found,
                                        .distances = (float *)(void *)(found + n * k) };
        if (rc == OK)
            rc = r->ops->search(r->checked.index, &request, &result);
        for (size_t i = 0; rc == OK && i < n * k; i++) {
            own += found[i] == ids[i / k];
            wrong += found[i] != INDEX_NO_ID && !idmap_get(&r->checked.live, found[i], NULL);
        }
        s->wrong_ids = (double)wrong;
        step_stat(s, "own_found", (double)own / (double)n);
    }
    buffer_free(&all);
    buffer_free(&rows);
    return rc;
}

int replay_recover(struct replay_session *r, struct step_record *s)
{
    /* The files of an index of indexes are those of its shards, which it alone brings back. */
    const uint32_t kept = r->ops->flags & (INDEX_ON_DISK | INDEX_CONTAINS);
    const bool keeps_files = kept == INDEX_ON_DISK || param_find(r->ops->params, "wal") != NULL;

    if (!keeps_files || !r->ops->load)
        return step_unsupported(s, "this method keeps no files of its own to come back from");
    if (folder_bytes(r->state_dir) == 0)
        return step_unsupported(s,
                                "its folder is empty: with these params it keeps nothing on disk");
    int rc = reopen(r, s, r->state_dir);
    if (rc == OK)
        rc = index_check(&r->checked, NULL);
    return rc == OK ? ask_for_own(r, s) : rc;
}
