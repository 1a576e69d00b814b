/* inspect.c - stores the structure of the index: a line of JSON for each inspect operation,
 * { label, repeat, op, tag, root }. */
#include <stdio.h>

#include "src/base/quote.h"
#include "src/run/replay/verbs.h"
#include "src/structure/json.h"

static int append(struct replay_session *r, const struct op *op, json_t *root_taken)
{
    json_t *line = json_pack(
        "{s:o, s:I, s:I, s:o, s:o}", "label", quote_json(r->cell->method->label), "repeat",
        (json_int_t)r->cell->repeat + 1, "op", (json_int_t)(op - r->list->ops) + 1, "tag",
        quote_json(op_tag(op)), "root", root_taken);
    const char *path = r->env->asked->files[CELL_STRUCTURE];
    FILE *file = fopen(path, "a");
    bool good = file && json_dumpf(line, file, JSON_COMPACT | JSON_REAL_PRECISION(7)) == 0 &&
                fputc('\n', file) != EOF;

    if (file && fclose(file) != 0)
        good = false;
    json_decref(line);
    return good ? OK : fail_errno(r->err, ERR_IO, "%s: cannot be written", path);
}

int replay_inspect(struct replay_session *r, struct step_record *s)
{
    struct structure_json structure;
    int rc;

    if (!r->ops->inspect)
        return step_unsupported(s, "this method shows no structure");
    structure_json_begin(&structure, s->op->depth, s->op->with_ids);
    const struct structure_sink sink = structure_json_sink(&structure);
    const uint64_t start = clock_ns();
    rc = r->ops->inspect(r->checked.index, &sink);
    s->seconds = clock_seconds(session_interval_ns(r, start, clock_ns()));
    s->count = (double)r->checked.live.n;
    if (rc == OK && r->env->asked->files[CELL_STRUCTURE] && structure.root)
        return append(r, s->op, structure.root);
    json_decref(structure.root);
    return rc;
}
