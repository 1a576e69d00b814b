/* configs.c - a table of a folder's configs, each with the first paragraph of its head comment. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/docs/internal.h"

int docs_is_config(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return length > 4 && !strcmp(entry->d_name + length - 4, ".lua");
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

enum docs_result docs_configs(const struct docs_program *program, FILE *out, const char *arguments,
                              struct error *error)
{
    const bool top = strcmp(arguments, "configs") == 0;
    char folder[PATH_MAX], path[PATH_MAX + 300];
    struct dirent **entries;
    (void)snprintf(folder, sizeof folder, "%s/configs%s%s", program->root, top ? "" : "/",
                   top ? "" : arguments);
    const int n = scandir(folder, &entries, docs_is_config, alphasort);
    if (n < 0) {
        fail_errno(error, ERR_NOT_FOUND, "%s", folder);
        return DOCS_FAILED;
    }
    fputs("\n| config | what it measures |\n| --- | --- |\n", out);
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        fprintf(out, "| [%s](../configs%s%s/%s) | ", name, top ? "" : "/", top ? "" : arguments,
                name);
        (void)snprintf(path, sizeof path, "%s/%s", folder, name);
        purpose_cell(path, name, out);
        fputs(" |\n", out);
        free(entries[i]);
    }
    free(entries);
    fputc('\n', out);
    return DOCS_WRITTEN;
}
