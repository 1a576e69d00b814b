/* replay_upkeep.c - maintenance, saving, and coming back: from what was saved, or as after a crash. */
#include <sys/stat.h>

#include "replay_state.h"

int replay_fresh_dir(const char *path, struct error *err)
{
    folder_remove(path);
    return mkdir(path, 0700) == 0 ? OK : fail_errno(err, ERR_IO, "%s: cannot be made", path);
}

int replay_maintain(struct replay *r, struct step *s)
{
    bool more = false;
    int rc;

    if (!r->ops->maintain)
        return step_unsupported(s, "this method has no maintenance of its own");
    const uint64_t start = clock_ns();
    rc = r->ops->maintain(r->checked.index, s->op->budget, &more);
    s->seconds = clock_seconds(interval_ns(r, start, clock_ns()));
    step_stat(s, "more_to_do", more);
    return rc;
}

int replay_save(struct replay *r, struct step *s)
{
    int rc;

    if (!r->ops->save)
        return step_unsupported(s, "this method cannot be saved");
    if ((rc = replay_fresh_dir(r->saved_dir, r->err)) != OK)
        return rc;
    const uint64_t start = clock_ns();
    rc = r->ops->save(r->checked.index, r->saved_dir);
    s->seconds = clock_seconds(interval_ns(r, start, clock_ns()));
    s->count = (double)r->checked.live.n;
    if (rc == OK)
        step_stat(s, "saved_bytes", (double)folder_bytes(r->saved_dir));
    return rc;
}

/* The index is destroyed and loaded from `dir`, both timed. */
static int reopen(struct replay *r, struct step *s, const char *dir)
{
    struct checked old = r->checked;
    int rc;

    /* The ids stay behind for index_open_saved() to take over; the index itself must be gone
       before, as it would be after a restart. */
    r->open = false;
    replay_forget_versions(r);
    const uint64_t start = clock_ns();
    r->ops->destroy(old.index);
    old.index = NULL;
    const uint64_t destroyed = clock_ns();
    /* What it kept on disk while it ran is not what was saved. */
    rc = dir == r->state_dir ? OK : replay_fresh_dir(r->state_dir, r->err);
    const uint64_t emptied = clock_ns();
    if (rc == OK)
        rc = index_open_saved(&r->checked, r->ops, &r->index_env, dir, &old);
    const uint64_t loaded = clock_ns();
    r->open = rc == OK;
    s->count = (double)old.live.n;
    index_close(&old);
    s->seconds = clock_seconds(loaded - emptied + destroyed - start);
    step_stat(s, "destroy_seconds", clock_seconds(destroyed - start));
    step_stat(s, "load_seconds", clock_seconds(loaded - emptied));
    return rc;
}

int replay_reload(struct replay *r, struct step *s)
{
    if (!r->ops->save || !r->ops->load)
        return step_unsupported(s, "this method cannot be loaded from what it saved");
    return reopen(r, s, r->saved_dir);
}

/* Some of the live rows are asked for: what is answered must be live, and a row of them is mostly
   its own neighbour. */
static int ask_for_own(struct replay *r, struct step *s)
{
    enum { ASKED = 100, K = 10 };
    const size_t live = r->now.live.n, n = live < ASKED ? live : ASKED, k = live < K ? live : K;
    struct buffer all = { 0 }, rows = { 0 }, answers = { 0 };
    int rc = buffer_reserve(&all, (live + 1) * sizeof(uint64_t), r->err);

    if (rc == OK)
        rc = buffer_reserve(&rows, n * element_row_bytes(r->cell->element, r->list->dim) + 1,
                            r->err);
    if (rc == OK)
        rc = buffer_reserve(&answers, (n * k + 1) * (sizeof(uint64_t) + sizeof(float)), r->err);
    if (rc == OK && n > 0) {
        uint64_t *ids = all.bytes, *found = answers.bytes;
        size_t own = 0, wrong = 0;

        (void)holding_ids(&r->now, NULL, 0, ids);
        for (size_t i = 0; i < n; i++)
            ids[i] = ids[i * live / n];
        rc = holding_read(&r->now, ids, n, r->cell->element, rows.bytes, r->err);
        if (unit_rows(r) && rc == OK)
            scale_to_unit(rows.bytes, n, r->list->dim);
        const struct search_request request = {
            { rows.bytes, n, r->list->dim, r->cell->element }, k, r->cell->points[0].knobs, NULL, 1
        };
        struct search_result result = { .ids = found,
                                        .distances = (float *)(void *)(found + n * k) };
        if (rc == OK)
            rc = r->ops->search(r->checked.index, &request, &result);
        for (size_t i = 0; rc == OK && i < n * k; i++) {
            own += found[i] == ids[i / k];
            wrong += found[i] != ID_NONE && !idmap_get(&r->checked.live, found[i], NULL);
        }
        s->wrong_ids = (double)wrong;
        step_stat(s, "own_found", (double)own / (double)n);
    }
    buffer_free(&all);
    buffer_free(&rows);
    buffer_free(&answers);
    return rc;
}

int replay_recover(struct replay *r, struct step *s)
{
    if (!(r->ops->flags & INDEX_ON_DISK) || !r->ops->load)
        return step_unsupported(s, "this method keeps no files of its own to come back from");
    if (folder_bytes(r->state_dir) == 0)
        return step_unsupported(s,
                                "its folder is empty: with these params it keeps nothing on disk");
    int rc = reopen(r, s, r->state_dir);
    if (rc == OK)
        rc = index_check(&r->checked, NULL);
    return rc == OK ? ask_for_own(r, s) : rc;
}
