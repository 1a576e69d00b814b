/* set.c - changes live options of an index. The session's params keep the values, so that an index
 * that is built again gets them too. */
#include <string.h>

#include "src/run/replay/verbs.h"

/* Writes the present params with the operation's values to `next`. */
static int admit(struct replay_session *r, json_t *settings, void *next)
{
    struct param_setting *all = mem_array(NULL, json_object_size(settings), sizeof *all);
    const char *name;
    json_t *value;
    size_t n = 0;
    int rc;

    if (!all)
        return fail(r->err, ERR_NO_MEMORY, "set: out of memory");
    json_object_foreach(settings, name, value)
        all[n++] = (struct param_setting){ name, json_param_value(value) };
    if (r->params)
        memcpy(next, r->params, r->ops->params_bytes);
    rc = index_admit_set(&r->checked, next, all, n);
    mem_free(NULL, all);
    return rc;
}

static int timed_set(struct replay_session *r, struct step_record *s, void *next)
{
    const uint64_t start = clock_ns();
    const int rc = r->ops->set_params(r->checked.index, next);
    const uint64_t end = clock_ns();

    if (rc == OK) {
        step_take_call(r, s, session_interval_ns(r, start, end));
        memcpy(r->params, next, r->ops->params_bytes);
        r->params_changed = true;
    }
    return rc;
}

int replay_set(struct replay_session *r, struct step_record *s)
{
    json_t *settings = json_loads(s->op->settings, 0, NULL);
    void *next = mem_alloc(NULL, r->ops->params_bytes);
    int rc = settings && next ? admit(r, settings, next)
                              : fail(r->err, ERR_NO_MEMORY, "set: out of memory");

    if (rc == OK)
        rc = timed_set(r, s, next);
    json_decref(settings);
    mem_free(NULL, next);
    return step_take_unsupported(s, r, rc);
}
