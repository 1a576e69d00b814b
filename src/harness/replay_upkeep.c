/* replay_upkeep.c - maintenance, saving, and coming back from what was saved. */
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

int replay_reload(struct replay *r, struct step *s)
{
    struct checked old = r->checked;
    int rc;

    if (!r->ops->save || !r->ops->load)
        return step_unsupported(s, "this method cannot be loaded from what it saved");
    /* The ids stay behind for index_open_saved() to take over; the index itself must be gone
       before, as it would be after a restart. */
    r->open = false;
    const uint64_t start = clock_ns();
    r->ops->destroy(old.index);
    old.index = NULL;
    const uint64_t destroyed = clock_ns();
    rc = index_open_saved(&r->checked, r->ops, &r->index_env, r->saved_dir, &old);
    const uint64_t loaded = clock_ns();
    r->open = rc == OK;
    s->count = (double)old.live.n;
    index_close(&old);
    s->seconds = clock_seconds(loaded - start);
    step_stat(s, "destroy_seconds", clock_seconds(destroyed - start));
    step_stat(s, "load_seconds", clock_seconds(loaded - destroyed));
    return rc;
}
