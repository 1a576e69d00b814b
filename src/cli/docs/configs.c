/* configs.c - a table of a folder's configs: the first paragraph of the head comment, and the data.
 *
 * Configs are read, not run, as running one makes or fetches its data. A config itself names its
 * data sets, each in a string of its own; configs/lib opens none by name.
 * tests/cli/test_data_sets.sh compares the tables with what the configs open.
 */
#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/path.h"
#include "src/cli/docs/internal.h"
#include "src/config/data/catalog.h"
#include "src/core/append_text.h"

int docs_is_config(const struct dirent *entry)
{
    return path_ends(entry->d_name, ".lua");
}

/* The first lines of the comment, up to an empty one, without "NAME.lua - ". */
static void purpose_cell(const char *path, const char *name, FILE *out)
{
    char line[1000];
    FILE *in = fopen(path, "r");
    for (size_t n = 0; in && fgets(line, sizeof line, in); n++) {
        line[strcspn(line, "\n")] = '\0';
        const char *text = line + 3;
        if (strncmp(line, "-- ", 3) != 0)
            break;
        const size_t length = strlen(name);
        if (!n && !strncmp(text, name, length) && !strncmp(text + length, " - ", 3))
            text += length + 3;
        fputs(n ? " " : "", out);
        docs_cell(out, text);
    }
    if (in)
        (void)fclose(in);
}

struct data_cells {
    struct catalog *catalog;
    char names[1000], origins[1000];
};

/* Whether the cell, a list with "; " between its items, has the item. */
static bool cell_has(const char *cell, const char *item)
{
    const size_t length = strlen(item);
    for (const char *at = cell; (at = strstr(at, item)); at += length)
        if ((at == cell || at[-1] == ' ') && (!at[length] || at[length] == ';'))
            return true;
    return false;
}

/* A string of a config, without its quotes. */
static void add_string(struct data_cells *cells, const char *from, size_t length)
{
    char name[100], origin[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)length, from);
    const struct catalog_entry *entry = catalog_find(cells->catalog, name);
    if (!entry || cell_has(cells->names, name))
        return;
    append_text(cells->names, sizeof cells->names, "; ", "%s", name);
    catalog_origin(entry, origin, sizeof origin);
    append_text(cells->origins, sizeof cells->origins, "; ", "%s", origin);
}

/* Whether the line, without the text of its strings, calls the function. */
static bool calls(const char *line, const char *function)
{
    const size_t length = strlen(function);
    for (const char *at = line; (at = strstr(at, function)); at += length) {
        const char *next = at + length + strspn(at + length, " ");
        if ((at == line || !isalnum((unsigned char)at[-1])) && *next && strchr("(\"{", *next))
            return true;
    }
    return false;
}

/* What is neither named nor a file is synthetic, by the config or by a module of configs/lib. */
static void find_data(struct data_cells *cells, char *text)
{
    bool made = false, file = false;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "--", 2) == 0)
            continue;
        for (char *at = line; (at = strchr(at, '"'));) {
            const size_t length = strcspn(++at, "\"");
            add_string(cells, at, length);
            memset(at, ' ', length);
            at += length + (at[length] == '"');
        }
        made = made || calls(line, "synthetic");
        file = file || calls(line, "file");
    }
    if (file)
        append_text(cells->names, sizeof cells->names, "; ", "%s", "a file");
    if (made || !*cells->names)
        append_text(cells->names, sizeof cells->names, "; ", "%s", "synthetic");
}

static int data_cells(struct catalog *catalog, const char *folder, const char *name, FILE *out,
                      struct error *error)
{
    struct data_cells cells = { .catalog = catalog };
    char *text;
    size_t bytes;
    if (path_read_file(folder, name, &text, &bytes, error))
        return error->code;
    find_data(&cells, text);
    free(text);
    docs_cell(out, cells.names);
    fputs(" | ", out);
    docs_cell(out, cells.origins);
    return OK;
}

enum docs_result docs_configs(const struct docs_program *program, FILE *out, const char *arguments,
                              struct error *error)
{
    const bool top = strcmp(arguments, "configs") == 0;
    char folder[PATH_MAX], path[PATH_MAX + 300];
    struct dirent **entries;
    (void)snprintf(folder, sizeof folder, "%s/configs%s%s", program->root, top ? "" : "/",
                   top ? "" : arguments);
    const struct run_options options = { .root = program->root };
    struct catalog *catalog;
    if (catalog_open(&catalog, &options, error))
        return DOCS_FAILED;
    const int n = scandir(folder, &entries, docs_is_config, alphasort);
    if (n < 0)
        fail_errno(error, ERR_NOT_FOUND, "%s", folder);
    fputs("\n| config | what it measures | data | from |\n| --- | --- | --- | --- |\n", out);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        fprintf(out, "| [%s](../configs%s%s/%s) | ", name, top ? "" : "/", top ? "" : arguments,
                name);
        (void)snprintf(path, sizeof path, "%s/%s", folder, name);
        purpose_cell(path, name, out);
        fputs(" | ", out);
        if (!error->code)
            data_cells(catalog, folder, name, out, error);
        fputs(" |\n", out);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    catalog_close(catalog);
    fputc('\n', out);
    return error->code ? DOCS_FAILED : DOCS_WRITTEN;
}
