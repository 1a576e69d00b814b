/* options.c - tables of options, from the tables of parameters of methods and of synthetic data. */
#include <string.h>

#include "src/cli/docs/internal.h"
#include "src/data/synthetic/synthetic.h"

enum { SHARED_MAX = 8 }; /* at most this many methods in one block */

/* The methods of one block. */
struct group {
    const struct index_ops *ops[SHARED_MAX];
    size_t n;
};

typedef const struct param *table_of(const struct index_ops *);

static const struct param *params_of(const struct index_ops *ops)
{
    return ops->params;
}

static const struct param *knobs_of(const struct index_ops *ops)
{
    return ops->knobs;
}

static void values_cell(FILE *out, const struct param *row)
{
    switch (row->type) {
        case PARAM_TYPE_INT:
        case PARAM_TYPE_REAL:
            docs_number(out, row->min);
            fputs(" .. ", out);
            docs_number(out, row->max);
            break;
        case PARAM_TYPE_BOOL: fputs("true, false", out); break;
        case PARAM_TYPE_CHOICE:
            for (const char *at = row->choices; *at; at++) {
                if (*at == '|')
                    fputs(", ", out);
                else
                    fputc(*at, out);
            }
            break;
        case PARAM_TYPE_TEXT: fprintf(out, "at most %d bytes", PARAM_TEXT_BYTES - 1); break;
    }
}

static void default_cell(FILE *out, const struct param *row)
{
    const char *choice = row->choices;
    switch (row->type) {
        case PARAM_TYPE_INT:
        case PARAM_TYPE_REAL: docs_number(out, row->def); break;
        case PARAM_TYPE_BOOL: fputs(row->def != 0 ? "true" : "false", out); break;
        case PARAM_TYPE_CHOICE:
            for (int i = 0; i < (int)row->def; i++)
                choice = strchr(choice, '|') + 1;
            fprintf(out, "%.*s", (int)strcspn(choice, "|"), choice);
            break;
        case PARAM_TYPE_TEXT: docs_cell(out, row->text ? row->text : ""); break;
    }
}

static void option_head(FILE *out)
{
    fputs("| name | default | values | meaning |\n| --- | --- | --- | --- |\n", out);
}

static void option_row(FILE *out, const struct param *row, const char *only)
{
    fprintf(out, "| `%s` | ", row->name);
    default_cell(out, row);
    fputs(" | ", out);
    values_cell(out, row);
    fputs(" | ", out);
    if (only)
        fprintf(out, "`%s` only: ", only);
    docs_cell(out, row->help);
    if (row->paper)
        fprintf(out, "; the paper: %s", row->paper);
    if (row->old_name)
        fprintf(out, " (formerly `%s`)", row->old_name);
    if (row->live)
        fputs(" *(live)*", out);
    fputs(" |\n", out);
}

/* "Build parameters of `spfresh` and `spann`" */
static void title_of(FILE *out, const struct group *group, const char *kind)
{
    fprintf(out, "\n%s of ", kind);
    for (size_t i = 0; i < group->n; i++)
        fprintf(out, "%s`%s`", i ? " and " : "", group->ops[i]->name);
}

/* Whether a method of the group before the i-th has a row of that name. */
static bool is_earlier(const struct group *group, table_of *table, size_t i, const char *name)
{
    while (i-- > 0)
        if (param_find(table(group->ops[i]), name))
            return true;
    return false;
}

/* Each option of the group's methods once, under a title made from `kind` and `when`. */
static void option_table(FILE *out, const struct group *group, table_of *table, const char *kind,
                         const char *when)
{
    size_t rows = 0;
    title_of(out, group, kind);
    for (size_t i = 0; i < group->n; i++) {
        for (const struct param *row = table(group->ops[i]); row && row->name; row++) {
            size_t sharing = 0;
            for (size_t j = 0; j < group->n; j++)
                sharing += param_find(table(group->ops[j]), row->name) != NULL;
            if (is_earlier(group, table, i, row->name))
                continue;
            if (!rows++) {
                fprintf(out, ", %s:\n\n", when);
                option_head(out);
            }
            option_row(out, row, sharing < group->n ? group->ops[i]->name : NULL);
        }
    }
    if (!rows)
        fputs(": none.\n", out);
}

/* The methods of a block's arguments; false: some are not in this build. */
static bool find_group(const struct registry *registry, const char *names, struct group *group)
{
    *group = (struct group){ 0 };
    for (const char *at = names; *at && group->n < SHARED_MAX;) {
        const size_t length = strcspn(at, " ");
        const struct index_ops *found = NULL;
        for (size_t i = 0; i < registry->n; i++) {
            const char *name = registry->ops[i]->name;
            if (strlen(name) == length && !memcmp(name, at, length))
                found = registry->ops[i];
        }
        if (!found)
            return false;
        group->ops[group->n++] = found;
        at += length + strspn(at + length, " ");
    }
    return group->n > 0;
}

enum docs_result docs_options(const struct docs_program *program, FILE *out, const char *arguments,
                              struct error *error)
{
    struct group group;
    (void)error;
    if (!find_group(program->registry, arguments, &group))
        return DOCS_ABSENT;
    bool live = false;
    for (size_t i = 0; i < group.n; i++)
        live |= group.ops[i]->set_params != NULL;
    option_table(out, &group, params_of, "Build parameters (`params`)",
                 live ? "fixed when the index is built, except those marked *live*, which `w:set` "
                        "changes"
                      : "fixed when the index is built");
    option_table(out, &group, knobs_of, "Search parameters (`knobs`)",
                 "which may differ from search to search");
    fputc('\n', out);
    return DOCS_WRITTEN;
}

enum docs_result docs_synthetic(const struct docs_program *program, FILE *out,
                                const char *arguments, struct error *error)
{
    (void)program;
    (void)arguments;
    (void)error;
    for (int i = 0; i < SYNTHETIC_KINDS; i++) {
        const struct synthetic_type *type = &synthetic_types[i];
        fprintf(out, "\nKind `%s`: ", type->name);
        docs_cell(out, type->summary);
        fputs("\n\n", out);
        option_head(out);
        for (const struct param *row = type->table; row->name; row++)
            option_row(out, row, NULL);
    }
    fputc('\n', out);
    return DOCS_WRITTEN;
}
