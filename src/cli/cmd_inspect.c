/* cmd_inspect.c - `inspect RESULT|DIR`: prints the structure of a saved index, or what the workload of
 * a result stored by w:inspect. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/json.h"
#include "src/base/quote.h"
#include "src/cli/commands.h"
#include "src/cli/support/app.h"
#include "src/plan/plan.h"
#include "src/result/result.h"
#include "src/run/saved/saved.h"
#include "src/structure/json.h"
#include "src/structure/print.h"

/* The node that --node names; the root without it. */
static const json_t *choose_node(const struct app *app, const json_t *root, struct error *error)
{
    char kind[64];
    long long number;
    int end = 0;

    if (!app->node)
        return root;
    if (sscanf(app->node, "%63s %lld%n", kind, &number, &end) != 2 || app->node[end]) {
        fail(error, ERR_CONFIG, "--node %s: expected a kind and a number, such as 'list 3'",
             app->node);
        return NULL;
    }
    const json_t *node = structure_json_find(root, kind, number);
    if (!node)
        fail(error, ERR_NOT_FOUND, "%s has no node \"%s\"; without --node all are printed",
             app->arguments[0], app->node);
    return node;
}

static int print_root(const struct app *app, const json_t *root, FILE *out, struct error *error)
{
    const json_t *node = choose_node(app, root, error);

    if (!node)
        return error->code;
    if (app->json) {
        (void)json_dumpf(node, out, JSON_INDENT(1) | JSON_REAL_PRECISION(7));
        fputc('\n', out);
    } else {
        structure_print(node, app->depth, app->all, out);
    }
    return OK;
}

/* ---- a saved index */

static int inspect_index(const struct app *app, FILE *out, struct error *error)
{
    struct saved_index index;
    struct structure_json structure;
    /* A node may lie deeper than the levels that are printed below it. */
    structure_json_begin(&structure, app->node ? 0 : app->depth, true);
    const struct structure_sink sink = structure_json_sink(&structure);
    int rc = saved_open(&index, app->arguments[0], &app->registry, app->kernels,
                        app->options.threads, error);

    if (!rc && !index.ops->inspect)
        rc = fail(error, ERR_UNSUPPORTED, "%s: method \"%s\" shows no structure", app->arguments[0],
                  index.ops->name);
    rc = rc ? rc : index.ops->inspect(index.checked.index, &sink);
    rc = rc ? rc : print_root(app, structure.root, out, error);
    json_decref(structure.root);
    saved_close(&index);
    return rc;
}

/* ---- a result */

static int print_line(const struct app *app, const json_t *line, FILE *out, struct error *error)
{
    if (!app->json)
        fprintf(out, "%s, repeat %lld, operation %lld, %s\n", field_text(line, "label", ""),
                field_integer(line, "repeat", 0), field_integer(line, "op", 0),
                field_text(line, "tag", ""));
    return print_root(app, json_object_get(line, "root"), out, error);
}

/* A cell's file is a sequence of JSON texts. */
static int print_cell(const struct app *app, const char *path, size_t *found, FILE *out,
                      struct error *error)
{
    FILE *file = fopen(path, "r");
    int rc = OK, next;

    if (!file)
        return errno == ENOENT ? OK : fail_errno(error, ERR_IO, "%s: cannot be read", path);
    while (!rc && (next = fgetc(file)) != EOF) {
        (void)ungetc(next, file);
        json_t *line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        if (!line)
            rc = fail(error, ERR_CORRUPT, "%s: the file is damaged or truncated", path);
        else if (plan_wants(&app->options, field_text(line, "label", ""))) {
            *found += 1;
            rc = print_line(app, line, out, error);
        }
        json_decref(line);
        (void)fgetc(file); /* the newline */
    }
    (void)fclose(file);
    return rc;
}

static int inspect_result(const struct app *app, FILE *out, struct error *error)
{
    char *dir, path[PATH_MAX];
    size_t n = 0, found = 0;
    struct error why = { 0 };
    int rc = result_dir(app->arguments[0], &dir, &why);
    if (rc == ERR_NOT_FOUND)
        rc = OK; /* a folder without a result: the message below */
    else if (rc)
        *error = why;
    unsigned long *numbers = rc ? NULL : result_stored_numbers(dir, &n);

    for (size_t i = 0; !rc && i < n; i++) {
        (void)snprintf(path, sizeof path, "%s/cells/%lu.structure", dir, numbers[i]);
        rc = print_cell(app, path, &found, out, error);
    }
    if (!rc && !found)
        rc = fail(error, ERR_NOT_FOUND,
                  "%s: neither a saved index (index.json) nor a result with structures "
                  "(cells/NUMBER.structure); w:inspect in a workload stores them",
                  dir);
    mem_free(NULL, numbers);
    free(dir);
    return rc;
}

int command_inspect(struct app *app, struct error *error)
{
    char *index = app_path(app->arguments[0], "index.json");
    struct quoted_output text;
    int rc = OK;

    quote_terminal_begin(&text);
    if (text.out)
        rc = access(index, F_OK) == 0 ? inspect_index(app, text.out, error)
                                      : inspect_result(app, text.out, error);
    quote_terminal_print(&text);
    free(index);
    return rc ? EXIT_USAGE : EXIT_OK;
}
