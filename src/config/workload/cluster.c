/* cluster.c - w:cluster. */
#include "src/config/data/data.h"
#include "src/config/workload/internal.h"

/* Reads labels = "PART" for each data set that has the part. The list is a userdata that stays on
   the stack. false: the key is not given. */
static bool read_labels(const struct fields *f, struct label_spec *spec)
{
    lua_State *L = f->L;
    *spec = (struct label_spec){ .part = fields_text(f, "labels", NULL) };
    if (!spec->part)
        return false;
    size_t sets = 0;
    for (struct data_set *set = script_of(L)->sets; set; set = set->next)
        sets++;
    struct label_part *parts = lua_newuserdatauv(L, (sets + 1) * sizeof *parts, 0);
    for (struct data_set *set = script_of(L)->sets; set; set = set->next) {
        const struct source *labels = lua_data_find_part(L, set, spec->part);
        if (labels)
            parts[spec->n++] = (struct label_part){ set->base, labels };
    }
    spec->parts = parts;
    return true;
}

int lua_w_cluster(lua_State *L)
{
    const struct fields f = lua_open_step(L, CALL_W_CLUSTER, 0);
    const struct op_options note = lua_step_options(&f);
    const size_t level = (size_t)fields_count(&f, "level", 0, 0, UINT32_MAX);
    const size_t target = (size_t)fields_count(&f, "target_k", 0, 1, UINT32_MAX);
    struct view *queries = fields_has(&f, "queries") ? lua_step_view(&f, "queries") : NULL;
    struct label_spec labels;
    struct error err = { 0 };
    if (fields_has(&f, "level") && target)
        fields_fail(&f, "level", ERR_CONFIG, "level and target_k are both given; use one of them");
    const bool labelled = read_labels(&f, &labels);
    return lua_step_end(&f,
                        record_cluster(lua_recorder(L), &note, queries, level, target,
                                       labelled ? &labels : NULL, &err),
                        &err);
}
